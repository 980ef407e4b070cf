// matmul: how rows, panels and depth are cut so that weights are unpacked once for many rows and what a tile reads
// stays in the first two caches. The arithmetic is in matmul_<isa>.c; cuts never change its order (matmul_engine.h).
#include "matmul_engine.h"

enum {
  ROW_BLOCK = 128,       // rows that share one unpacking of the weights; their activations stay in the second cache
  STREAM_ROWS = 16,      // largest stream_rows of an engine
  INT8_ROW_BLOCK = 264,  // the same for int8 rows, whose tiles are six or four rows high: a multiple of
  ROW_MULTIPLE = 12,
  ACTIVATION_BYTES = 1 << 20,  // of int8 rows in the second cache, half of 2 MiB
  TERMS = 1 << 15,             // of the rows of a block: 128 KiB
  FEW_ROWS = 8,          // up to here 16-bit weights are widened in registers, not in a buffer
  STREAMED_ROWS = 4,     // up to here weights are read once, in one stream: a panel at a time
  DENSE_BUFFER = 8192,   // floats of unpacked weights: 32 KiB
};

// Where a row block's sums for a few panels run up: in the output itself, or beside it when panels are padded or a bias
// has yet to be added.
struct target {
  float *sums;
  int64_t stride;
  int64_t column, columns;  // valid ones
  int32_t is_output;
};

ANGEL_INLINE struct target target_at(
  const struct angel_matmul_arguments *a, int64_t row, int64_t panel, int32_t panels, float *buffer) {
  const int64_t column = panel * ANGEL_PANEL, width = panels * ANGEL_PANEL, left = a->columns - column;
  if (a->bias == NULL && left >= width) {
    return (struct target){a->output + row * a->columns + column, a->columns, column, width, 1};
  }
  return (struct target){buffer, width, column, left < width ? left : width, 0};
}

// Writes the valid columns of sums that ran up beside the output.
static void finish(const struct angel_matmul_arguments *a, int64_t row, int32_t rows, struct target target) {
  if (target.is_output) return;
  for (int32_t r = 0; r < rows; r++) {
    const float *sums = target.sums + r * target.stride;
    float *output = a->output + (row + r) * a->columns + target.column;
    if (a->bias == NULL) {
      memcpy(output, sums, (size_t)target.columns * sizeof(float));
    } else {
      for (int64_t c = 0; c < target.columns; c++) output[c] = sums[c] + a->bias[target.column + c];
    }
  }
}

// Where sums that run up beside the output go on from it: the valid columns, zeros past them.
static void begin(const struct angel_matmul_arguments *a, int64_t row, int32_t rows, struct target target) {
  if (target.is_output || !a->accumulates) return;
  for (int32_t r = 0; r < rows; r++) {
    float *sums = target.sums + r * target.stride;
    memcpy(sums, a->output + (row + r) * a->columns + target.column, (size_t)target.columns * sizeof(float));
    for (int64_t c = target.columns; c < target.stride; c++) sums[c] = 0;
  }
}

// Unpacks elements k ..< k + depth of `panels` panels to float32, one after the other.
ANGEL_INLINE void unpack_floats(
  const struct angel_matmul_engine *engine, angel_dtype dtype, const uint8_t *panel, int64_t panel_bytes,
  int32_t panels, struct angel_range k, float *buffer) {
  const int64_t step = angel_geometry_of(dtype).blocks == 0 ? 2 : ANGEL_BLOCK;
  const int64_t count = (k.end - k.begin + step - 1) / step;
  for (int32_t p = 0; p < panels; p++) {
    const struct angel_stretch stretch = {panel + p * panel_bytes, k.begin / step, count};
    (step == 2 ? engine->widen : engine->dequantize)(dtype, stretch, buffer + p * count * step * ANGEL_PANEL);
  }
}

// All depth of a row block against a few panels, in float32.
ANGEL_INLINE void multiply_panels(
  const struct angel_matmul_engine *engine, angel_dtype dtype, int64_t depth, struct angel_dense_tile tile,
  int32_t accumulates, float *buffer) {
  const int is_direct = dtype == ANGEL_F32 || (angel_geometry_of(dtype).blocks == 0 && tile.rows <= FEW_ROWS);
  const int64_t limit = is_direct && tile.rows <= FEW_ROWS ? depth : DENSE_BUFFER / ANGEL_PANEL / tile.panels;
  const uint8_t *panel = tile.weight;
  const int64_t panel_bytes = tile.panel_bytes;
  const float *input = tile.input;
  for (int64_t k = 0; k < depth; k += limit) {
    tile.depth = depth - k < limit ? depth - k : limit;
    tile.input = input + k;
    tile.is_first = k == 0 && !accumulates;
    if (is_direct) {
      tile.weight = panel + k * ANGEL_PANEL * 4;  // k is 0 unless the weights are f32
      engine->dense(dtype, &tile);
    } else {
      unpack_floats(engine, dtype, panel, panel_bytes, tile.panels, (struct angel_range){k, k + tile.depth}, buffer);
      tile.weight = (const uint8_t *)buffer;
      tile.panel_bytes = (tile.depth + 1) / 2 * 2 * ANGEL_PANEL * 4;
      engine->dense(ANGEL_F32, &tile);
    }
  }
}

ANGEL_INLINE void multiply_floats(
  const struct angel_matmul_arguments *a, int32_t part, int32_t parts, const struct angel_matmul_engine *engine,
  angel_dtype dtype) {
  alignas(64) float buffer[DENSE_BUFFER];
  alignas(64) float sums[ROW_BLOCK * 2 * ANGEL_PANEL];
  const struct angel_range panels = angel_part_range((a->columns + ANGEL_PANEL - 1) / ANGEL_PANEL, part, parts);
  const int64_t panel_bytes = angel_panel_bytes(dtype, a->depth);
  for (int64_t row = 0; row < a->rows; row += ROW_BLOCK) {
    const int32_t rows = (int32_t)(a->rows - row < ROW_BLOCK ? a->rows - row : ROW_BLOCK);
    // One row of 576 on one core of a Zen 4: 25 GB/s of f16 and 28 of f32, against 19 and 24 from four panels at once.
    int32_t width = rows <= STREAMED_ROWS ? 1 : 2;
    for (int64_t panel = panels.begin; panel < panels.end; panel += width) {
      if (width > panels.end - panel) width = 1;
      const struct target target = target_at(a, row, panel, width, sums);
      const struct angel_dense_tile tile = {
        .input = (const float *)a->input + row * a->depth, .input_stride = a->depth,
        .weight = (const uint8_t *)a->weight + panel * panel_bytes, .panel_bytes = panel_bytes,
        .sums = target.sums, .sums_stride = target.stride, .rows = rows, .panels = width};
      begin(a, row, rows, target);
      multiply_panels(engine, dtype, a->depth, tile, a->accumulates, buffer);
      finish(a, row, rows, target);
    }
  }
}

// Few rows of int8: every panel straight from memory.
ANGEL_INLINE void stream_int8(
  const struct angel_matmul_arguments *a, struct angel_range panels, const struct angel_matmul_engine *engine,
  angel_dtype dtype, struct angel_int8_tile tile) {
  const int64_t panel_bytes = angel_panel_bytes(dtype, a->depth);
  for (int64_t panel = panels.begin; panel < panels.end; panel++) {
    alignas(64) float sums[STREAM_ROWS * ANGEL_PANEL];
    const struct target target = target_at(a, 0, panel, 1, sums);
    tile.sums = target.sums;
    tile.sums_stride = target.stride;
    engine->stream(dtype, &tile, (const uint8_t *)a->weight + panel * panel_bytes);
    finish(a, 0, tile.rows, target);
  }
}

// Rows that share one unpacking of int8 weights: many, but so few that their activations stay in the second cache and
// their terms in the buffer; about equally many in every block, and a multiple of every tile's rows.
ANGEL_INLINE int64_t int8_row_block(int64_t rows, int64_t row_bytes, int64_t row_terms) {
  int64_t limit = INT8_ROW_BLOCK;
  if (limit * row_bytes > ACTIVATION_BYTES) limit = ACTIVATION_BYTES / row_bytes;
  if (limit * row_terms > TERMS) limit = TERMS / row_terms;
  if (limit < ROW_MULTIPLE) return limit < 1 ? 1 : limit;
  const int64_t count = (rows + limit - 1) / limit, even = (rows + count - 1) / count;
  const int64_t whole = (even + ROW_MULTIPLE - 1) / ROW_MULTIPLE * ROW_MULTIPLE;
  return whole < limit ? whole : limit / ROW_MULTIPLE * ROW_MULTIPLE;
}

// The stretch after the one that ends before block `b` of the first of `panels`.
ANGEL_INLINE struct angel_ahead ahead_of(
  const struct angel_matmul_arguments *a, angel_dtype dtype, struct angel_range panels, int64_t b) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  const int64_t panel_bytes = angel_panel_bytes(dtype, a->depth), blocks = a->depth / ANGEL_BLOCK;
  if (b >= blocks) {
    panels.begin += 2;
    b = 0;
  }
  if (panels.end - panels.begin < 2) return (struct angel_ahead){NULL, 0, 0};
  const int64_t count = blocks - b < ANGEL_STRETCH_BLOCKS ? blocks - b : ANGEL_STRETCH_BLOCKS;
  const int64_t group_bytes = angel_group_bytes(geometry);
  return (struct angel_ahead){
    (const uint8_t *)a->weight + panels.begin * panel_bytes + b / geometry.blocks * group_bytes, panel_bytes,
    count / geometry.blocks * group_bytes};
}

ANGEL_INLINE void multiply_int8(
  const struct angel_matmul_arguments *a, int32_t part, int32_t parts, const struct angel_matmul_engine *engine,
  angel_dtype dtype) {
  const struct angel_range panels = angel_part_range((a->columns + ANGEL_PANEL - 1) / ANGEL_PANEL, part, parts);
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  const int64_t panel_bytes = angel_panel_bytes(dtype, a->depth), row_bytes = angel_int8_row_bytes(a->depth);
  const int64_t blocks = a->depth / ANGEL_BLOCK, limit = ANGEL_STRETCH_BLOCKS;
  const int64_t row_terms = blocks * angel_terms_per_block(geometry.kind);
  // Rows of a million elements, whose terms no buffer holds: slow, but the same bits.
  if (row_terms > TERMS) engine = &angel_matmul_scalar;
  struct angel_block buffer[2 * ANGEL_STRETCH_BLOCKS];
  alignas(64) float sums[INT8_ROW_BLOCK * 2 * ANGEL_PANEL];
  union angel_row_term terms[TERMS];
  const int64_t row_block = int8_row_block(a->rows, row_bytes, row_terms);
  for (int64_t row = 0; row < a->rows; row += row_block) {
    const int32_t rows = (int32_t)(a->rows - row < row_block ? a->rows - row : row_block);
    const uint8_t *input = (const uint8_t *)a->input + row * row_bytes;
    for (int32_t r = 0; engine->terms != NULL && r < rows; r++) {
      engine->terms(geometry, angel_int8_row_at(input + r * row_bytes, a->depth), blocks, terms + r * row_terms);
    }
    struct angel_int8_tile tile = {
      .input = input, .row_bytes = row_bytes, .depth = a->depth, .terms = terms, .terms_stride = row_terms,
      .weight = buffer, .weight_stride = limit, .geometry = geometry, .rows = rows};
    if (a->rows <= engine->stream_rows && rows == a->rows) {
      return stream_int8(a, panels, engine, dtype, tile);
    }
    for (int64_t panel = panels.begin; panel < panels.end; panel += 2) {
      const int32_t width = panels.end - panel < 2 ? 1 : 2;
      const struct target target = target_at(a, row, panel, width, sums);
      tile.sums = target.sums;
      tile.sums_stride = target.stride;
      tile.panels = width;
      for (int64_t b = 0; b < blocks; b += limit) {
        tile.first_block = b;
        tile.blocks = blocks - b < limit ? blocks - b : limit;
        tile.is_first = b == 0;
        for (int32_t p = 0; p < width; p++) {
          const uint8_t *start = (const uint8_t *)a->weight + (panel + p) * panel_bytes;
          engine->unpack(dtype, (struct angel_stretch){start, b, tile.blocks}, buffer + p * limit);
        }
        tile.ahead = ahead_of(a, dtype, (struct angel_range){panel, panels.end}, b + limit);
        engine->int8(&tile);
      }
      finish(a, row, rows, target);
    }
  }
}

// One kernel per instruction set and weight dtype, for float32 and int8 rows.
#define KERNEL_WITH(engine, isa, inputs, name, dtype)                                                       \
  static void inputs##_##name##_##isa(const void *arguments, int32_t part, int32_t parts) {                 \
    multiply_##inputs(arguments, part, parts, &engine, dtype);                                              \
  }
#define KERNEL(isa, inputs, name, dtype) KERNEL_WITH(angel_matmul_##isa, isa, inputs, name, dtype)
#define KERNEL_2OF4(isa, inputs, name, dtype) KERNEL_WITH(angel_matmul_##isa##_2of4, isa, inputs, name, dtype)
#define angel_matmul_scalar_2of4 angel_matmul_scalar
#define BOTH(isa, name, dtype) KERNEL(isa, floats, name, dtype) KERNEL(isa, int8, name, dtype)
#define KERNELS(isa)                                                                                        \
  KERNEL(isa, floats, f32, ANGEL_F32)                                                                       \
  KERNEL(isa, floats, f16, ANGEL_F16)                                                                       \
  KERNEL(isa, floats, bf16, ANGEL_BF16)                                                                     \
  BOTH(isa, q4_0, ANGEL_Q4_0)                                                                               \
  BOTH(isa, q4_1, ANGEL_Q4_1)                                                                               \
  BOTH(isa, q5_0, ANGEL_Q5_0)                                                                               \
  BOTH(isa, q5_1, ANGEL_Q5_1)                                                                               \
  BOTH(isa, q8_0, ANGEL_Q8_0)                                                                               \
  BOTH(isa, q4_K, ANGEL_Q4_K)                                                                               \
  BOTH(isa, q5_K, ANGEL_Q5_K)                                                                               \
  BOTH(isa, q6_K, ANGEL_Q6_K)                                                                                 \
  BOTH(isa, q2_K, ANGEL_Q2_K)                                                                                 \
  BOTH(isa, q3_K, ANGEL_Q3_K)                                                                                 \
  BOTH(isa, iq4_nl, ANGEL_IQ4_NL)                                                                             \
  BOTH(isa, iq4_xs, ANGEL_IQ4_XS)                                                                             \
  BOTH(isa, tq2_0, ANGEL_TQ2_0)                                                                               \
  KERNEL_2OF4(isa, floats, q4_0_2of4, ANGEL_Q4_0_2OF4)                                                      \
  KERNEL_2OF4(isa, int8, q4_0_2of4, ANGEL_Q4_0_2OF4)                                                        \
  KERNEL_2OF4(isa, floats, q8_0_2of4, ANGEL_Q8_0_2OF4)                                                      \
  KERNEL_2OF4(isa, int8, q8_0_2of4, ANGEL_Q8_0_2OF4)                                                        \
  KERNEL_2OF4(isa, floats, bf16_2of4, ANGEL_BF16_2OF4)                                                      \
  static angel_kernel kernel_##isa(angel_dtype input, angel_dtype weight) {                                 \
    static const angel_kernel floats[ANGEL_DTYPE_LIMIT] = {                                                 \
      [ANGEL_F32] = floats_f32_##isa,   [ANGEL_F16] = floats_f16_##isa,   [ANGEL_BF16] = floats_bf16_##isa, \
      [ANGEL_Q4_0] = floats_q4_0_##isa, [ANGEL_Q4_1] = floats_q4_1_##isa, [ANGEL_Q5_0] = floats_q5_0_##isa, \
      [ANGEL_Q5_1] = floats_q5_1_##isa, [ANGEL_Q8_0] = floats_q8_0_##isa, [ANGEL_Q4_K] = floats_q4_K_##isa, \
      [ANGEL_Q5_K] = floats_q5_K_##isa, [ANGEL_Q6_K] = floats_q6_K_##isa,                                   \
      [ANGEL_Q2_K] = floats_q2_K_##isa, [ANGEL_Q3_K] = floats_q3_K_##isa, [ANGEL_IQ4_NL] = floats_iq4_nl_##isa,\
      [ANGEL_IQ4_XS] = floats_iq4_xs_##isa, [ANGEL_TQ1_0] = floats_tq2_0_##isa,                               \
      [ANGEL_TQ2_0] = floats_tq2_0_##isa,                                                                     \
      [ANGEL_Q4_0_2OF4] = floats_q4_0_2of4_##isa, [ANGEL_Q8_0_2OF4] = floats_q8_0_2of4_##isa,               \
      [ANGEL_BF16_2OF4] = floats_bf16_2of4_##isa,                                                           \
    };                                                                                                      \
    static const angel_kernel int8s[ANGEL_DTYPE_LIMIT] = {                                                  \
      [ANGEL_Q4_0] = int8_q4_0_##isa, [ANGEL_Q4_1] = int8_q4_1_##isa, [ANGEL_Q5_0] = int8_q5_0_##isa,       \
      [ANGEL_Q5_1] = int8_q5_1_##isa, [ANGEL_Q8_0] = int8_q8_0_##isa, [ANGEL_Q4_K] = int8_q4_K_##isa,       \
      [ANGEL_Q5_K] = int8_q5_K_##isa, [ANGEL_Q6_K] = int8_q6_K_##isa,                                       \
      [ANGEL_Q2_K] = int8_q2_K_##isa, [ANGEL_Q3_K] = int8_q3_K_##isa, [ANGEL_IQ4_NL] = int8_iq4_nl_##isa,     \
      [ANGEL_IQ4_XS] = int8_iq4_xs_##isa, [ANGEL_TQ1_0] = int8_tq2_0_##isa,                                   \
      [ANGEL_TQ2_0] = int8_tq2_0_##isa,                                                                       \
      [ANGEL_Q4_0_2OF4] = int8_q4_0_2of4_##isa, [ANGEL_Q8_0_2OF4] = int8_q8_0_2of4_##isa,                   \
    };                                                                                                      \
    if (weight >= ANGEL_DTYPE_LIMIT) return NULL;                                                           \
    return input == ANGEL_F32 ? floats[weight] : input == ANGEL_INT8_ROWS ? int8s[weight] : NULL;           \
  }

KERNELS(scalar)
#if defined(ANGEL_X86)
KERNELS(avx2)
KERNELS(avx512)
#endif

angel_kernel angel_matmul_kernel(
  angel_isa isa, angel_dtype input, angel_dtype weight, angel_dtype third) {
  const int is_bfloat = weight == ANGEL_BF16 || weight == ANGEL_BF16_2OF4;
  if (input == ANGEL_BF16_ROWS && is_bfloat && (third == ANGEL_NO_DTYPE || third == ANGEL_BF16)) {
    return angel_matmul_bf16_kernel(isa, weight, third == ANGEL_BF16);
  }
  if (input == ANGEL_BF16_ROWS || third != ANGEL_NO_DTYPE) return NULL;
#if defined(ANGEL_X86)
  if (isa >= ANGEL_ISA_AVX512) return kernel_avx512(input, weight);
  if (isa == ANGEL_ISA_AVX2) return kernel_avx2(input, weight);
#endif
  (void)isa;
  return kernel_scalar(input, weight);
}
