// matmul of bfloat16 rows with bfloat16 weights: how rows, panels and depth are cut so that a stretch of weights stays
// in the first cache while a block of rows passes by. The arithmetic is in matmul_<isa>_bf16.c; cuts never change its
// order.
//
// One core of a Zen 4 VM (233 GFLOP/s at most), CPU time, shared machine. 512 rows, columns x depth: 576x576 222,
// 192x576 230, 1536x576 213, 576x1536 217, 2048x2048 207, 8192x2048 206, 2048x8192 208; in float32 about 105.
#include "lanes.h"
#include "matmul_engine.h"

#if defined(ANGEL_X86)
#include <immintrin.h>
#endif

typedef void (*bf16_tile)(const struct angel_bf16_tile *tile);

// How work is cut: what one call of a tile has at most.
struct cuts {
  int32_t few_rows;   // see all depth of one panel at once
  int32_t row_step;   // more are cut into blocks of whole steps,
  int32_t row_block;  // of so many rows at most, which pass by a stretch of
  int32_t panels;
  int32_t pairs;  // of depth
};
static const struct cuts vector_cuts = {
  ANGEL_BF16_TILE_ROWS, ANGEL_BF16_TILE_ROWS, ANGEL_BF16_ROW_BLOCK, 4, ANGEL_BF16_PAIRS};
#if defined(ANGEL_X86)
// Stretches end where tiles end: at multiples of 16 pairs.
static const struct cuts tile_cuts = {32, 32, ANGEL_AMX_ROW_BLOCK, 8, ANGEL_AMX_PAIRS};
#endif
enum { BESIDE = ANGEL_AMX_ROW_BLOCK * 8 * ANGEL_PANEL };  // the most rows by the most panels

// Bytes of a panel's first `pairs` pairs: whole blocks of 2:4 panels.
ANGEL_INLINE int64_t bytes_of_pairs(angel_dtype weight, int64_t pairs) {
  return weight == ANGEL_BF16 ? pairs * ANGEL_PANEL * 4 : angel_panel_bytes(weight, 2 * pairs);
}

// Writes sums that ran up beside the output, with the bias, rounded once where the output is bfloat16.
ANGEL_INLINE void finish(
  const struct angel_matmul_arguments *a, int64_t row, int64_t column, int64_t width, const float *sums,
  const int is_bf16) {
  const int64_t at = row * a->columns + column;
  for (int64_t c = 0; c < width; c += 16) {
    const int64_t count = width - c < 16 ? width - c : 16;
    f32x16 values = f32x16_load(sums + c);
    if (a->bias != NULL) values += f32x16_load_first_or_all(a->bias + column + c, count);
    f32x16_write(a->output, at + c, values, count, is_bf16 ? ANGEL_BF16 : ANGEL_F32);
  }
}

// Panels `panels` of rows `rows`, all depth.
ANGEL_INLINE void multiply_block(
  const struct angel_matmul_arguments *a, struct angel_range rows, struct angel_range panels, bf16_tile multiply,
  const struct cuts cuts, const angel_dtype weight, const int is_bf16) {
  alignas(64) float beside[BESIDE];
  const int64_t pairs = (a->depth + 1) / 2, panel_bytes = bytes_of_pairs(weight, pairs);
  const int64_t row_bytes = angel_bf16_row_bytes(a->depth), column = panels.begin * ANGEL_PANEL;
  const int64_t count = rows.end - rows.begin, padded = (panels.end - panels.begin) * ANGEL_PANEL;
  const int64_t width = a->columns - column < padded ? a->columns - column : padded;
  const int is_beside = is_bf16 || a->bias != NULL || width < padded, is_streamed = count <= cuts.few_rows;
  struct angel_bf16_tile tile = {
    .row_bytes = row_bytes, .panel_bytes = panel_bytes,
    .sums = is_beside ? beside : a->output + rows.begin * a->columns + column,
    .sums_stride = is_beside ? padded : a->columns, .rows = (int32_t)count,
    .panels = (int32_t)(panels.end - panels.begin), .is_streamed = is_streamed};
  for (int64_t r = 0; r < count && is_beside && a->accumulates; r++) {
    float *sums = beside + r * padded;
    memcpy(sums, a->output + (rows.begin + r) * a->columns + column, (size_t)width * sizeof(float));
    for (int64_t c = width; c < padded; c++) sums[c] = 0;
  }
  // About equally long, and whole tiles.
  const int64_t stretches = (pairs + cuts.pairs - 1) / cuts.pairs, even = (pairs + stretches - 1) / stretches;
  const int64_t stretch = is_streamed ? pairs : (even + 15) / 16 * 16;
  for (int64_t pair = 0; pair < pairs; pair += stretch) {
    tile.input = (const uint8_t *)a->input + rows.begin * row_bytes + pair * 4;
    tile.weight = (const uint8_t *)a->weight + panels.begin * panel_bytes + bytes_of_pairs(weight, pair);
    tile.pairs = pairs - pair < stretch ? pairs - pair : stretch;
    tile.is_first = pair == 0 && !a->accumulates;
    multiply(&tile);
  }
  for (int64_t r = 0; r < count && is_beside; r++) {
    finish(a, rows.begin + r, column, width, beside + r * padded, is_bf16);
  }
}

// Parts are runs of blocks of panels and, for many rows, of a block of rows; all rows of some panels in turn.
ANGEL_INLINE void multiply_part(
  const void *arguments, int32_t part, int32_t parts, bf16_tile multiply, const struct cuts cuts,
  const angel_dtype weight, const int is_bf16) {
  const struct angel_matmul_arguments *a = arguments;
  const int64_t panels = (a->columns + ANGEL_PANEL - 1) / ANGEL_PANEL;
  if (a->rows <= cuts.few_rows) {
    const struct angel_range own = angel_part_range(panels, part, parts);
    // One panel at a time reads memory in one stream: 30 GB/s, against 20 with four panels of 576 elements at once.
    for (int64_t panel = own.begin; panel < own.end; panel++) {
      const struct angel_range all = {0, a->rows}, one = {panel, panel + 1};
      multiply_block(a, all, one, multiply, cuts, weight, is_bf16);
    }
    return;
  }
  const int64_t block_count = (a->rows + cuts.row_block - 1) / cuts.row_block;
  const int64_t even = (a->rows + block_count - 1) / block_count;
  const int64_t block = (even + cuts.row_step - 1) / cuts.row_step * cuts.row_step;
  const struct angel_range own =
    angel_part_range((panels + cuts.panels - 1) / cuts.panels * block_count, part, parts);
  for (int64_t item = own.begin; item < own.end; item++) {
    const int64_t row = item % block_count * block, panel = item / block_count * cuts.panels;
    const struct angel_range rows = {row, row + block < a->rows ? row + block : a->rows};
    if (rows.begin >= rows.end) continue;
    const int64_t end = panel + cuts.panels < panels ? panel + cuts.panels : panels;
    multiply_block(a, rows, (struct angel_range){panel, end}, multiply, cuts, weight, is_bf16);
  }
}

#define KERNEL(target, name, tile, cuts, weight)                                          \
  target static void name(const void *arguments, int32_t part, int32_t parts) {           \
    multiply_part(arguments, part, parts, tile, cuts, weight, 0);                         \
  }                                                                                       \
  target static void name##_to_bf16(const void *arguments, int32_t part, int32_t parts) { \
    multiply_part(arguments, part, parts, tile, cuts, weight, 1);                         \
  }
KERNEL(, scalar, angel_scalar_bf16, vector_cuts, ANGEL_BF16)
KERNEL(, scalar_2of4, angel_scalar_bf16_2of4, vector_cuts, ANGEL_BF16_2OF4)
#if defined(ANGEL_X86)
// The instruction flushes subnormals whatever the mode; multiply-adds do so in a mode that is this thread's.
#define FLUSHING_KERNEL(target, name, tile, weight)            \
  static void name##_tile(const struct angel_bf16_tile *t) {   \
    const unsigned mode = _mm_getcsr();                        \
    _mm_setcsr(mode | FLUSH);                                  \
    tile(t);                                                   \
    _mm_setcsr(mode);                                          \
  }                                                            \
  KERNEL(target, name, name##_tile, vector_cuts, weight)
enum { FLUSH = 0x8040 };  // of results, and subnormal operands taken as zero
FLUSHING_KERNEL(ANGEL_TARGET_AVX2, avx2, angel_avx2_bf16, ANGEL_BF16)
FLUSHING_KERNEL(ANGEL_TARGET_AVX2, avx2_2of4, angel_avx2_bf16_2of4, ANGEL_BF16_2OF4)
FLUSHING_KERNEL(ANGEL_TARGET_AVX512, avx512, angel_avx512_bf16, ANGEL_BF16)
KERNEL(ANGEL_TARGET_AVX512_BF16, avx512_instruction, angel_avx512_bf16_instruction, vector_cuts, ANGEL_BF16)
KERNEL(ANGEL_TARGET_AMX, amx, angel_amx_bf16, tile_cuts, ANGEL_BF16)
KERNEL(ANGEL_TARGET_AMX, amx_2of4, angel_amx_bf16_2of4, tile_cuts, ANGEL_BF16_2OF4)
#endif

angel_kernel angel_matmul_bf16_kernel(angel_isa isa, angel_dtype weight, int to_bf16) {
  const int is_dense = weight == ANGEL_BF16;
#if defined(ANGEL_X86)
  if (isa == ANGEL_ISA_AMX && !is_dense) return to_bf16 ? amx_2of4_to_bf16 : amx_2of4;
  if (isa == ANGEL_ISA_AMX) return to_bf16 ? amx_to_bf16 : amx;
  const int has_avx2 = isa >= ANGEL_ISA_AVX2 && isa <= ANGEL_ISA_AVX512_BF16;
  if (has_avx2 && !is_dense) return to_bf16 ? avx2_2of4_to_bf16 : avx2_2of4;
  if (isa == ANGEL_ISA_AVX512_BF16) return to_bf16 ? avx512_instruction_to_bf16 : avx512_instruction;
  if (isa == ANGEL_ISA_AVX512) return to_bf16 ? avx512_to_bf16 : avx512;
  if (isa == ANGEL_ISA_AVX2) return to_bf16 ? avx2_to_bf16 : avx2;
#endif
  (void)isa;
  if (!is_dense) return to_bf16 ? scalar_2of4_to_bf16 : scalar_2of4;
  return to_bf16 ? scalar_to_bf16 : scalar;
}
