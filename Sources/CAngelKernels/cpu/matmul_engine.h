// What an instruction set supplies to matmul.c: tiles that extend running sums by a stretch of depth.
//
// sums[r * sums_stride + 16 * p + lane] is the running sum of row r and lane `lane` of panel p. A tile loads it (or
// starts from zero in the first stretch of depth), extends it in the order of matmul.h and stores it, which is exact:
// how depth is cut never shows in the result.
#pragma once
#include "matmul.h"
#include "panels.h"
#include "quantize_rows.h"

// Blocks of two panels unpacked at a time: 33 KiB, beside which a few rows of activations fit the first cache.
enum { ANGEL_STRETCH_BLOCKS = 24 };

// A row of int8 activations, taken apart.
struct angel_int8_row {
  const int8_t *q;
  const float *scale;
  const int32_t *sum;
};
ANGEL_INLINE struct angel_int8_row angel_int8_row_at(const uint8_t *row, int64_t depth) {
  const float *scale = (const float *)(const void *)(row + depth);
  return (struct angel_int8_row){
    (const int8_t *)row, scale, (const int32_t *)(const void *)(scale + depth / ANGEL_BLOCK)};
}

// What a row contributes to a block beside its quants: where the integer sum starts (minus offset times the sum of
// quants; one per half if the format has two scales), for formats with a minimum the factor of the minimum, and for
// those with one per half the sums of both halves' quants, in 16 bits each.
union angel_row_term {
  int32_t start;
  float shift;
  int16_t sums[2];
};

ANGEL_INLINE int32_t angel_terms_per_block(enum angel_block_kind kind) { return kind == ANGEL_HALVES_BLOCK ? 2 : 1; }

// The terms of a whole row, one body for every set.
ANGEL_INLINE void angel_find_terms(
  struct angel_geometry geometry, struct angel_int8_row row, int64_t blocks, union angel_row_term *terms) {
  switch (geometry.kind) {
    case ANGEL_OFFSET_BLOCK:
      for (int64_t b = 0; b < blocks; b++) terms[b].start = -geometry.offset * (row.sum[2 * b] + row.sum[2 * b + 1]);
      break;
    case ANGEL_MINIMUM_BLOCK:
      for (int64_t b = 0; b < blocks; b++) {
        terms[b].shift = row.scale[b] * (float)(row.sum[2 * b] + row.sum[2 * b + 1]);
      }
      break;
    case ANGEL_HALVES_BLOCK:
      for (int64_t h = 0; h < 2 * blocks; h++) terms[h].start = -geometry.offset * row.sum[h];
      break;
    case ANGEL_MINIMA_BLOCK:
      for (int64_t h = 0; h < 2 * blocks; h++) terms[h / 2].sums[h % 2] = (int16_t)row.sum[h];
      break;
  }
}

// Float32 rows against panels of f32, f16 or bf16.
struct angel_dense_tile {
  const float *input;  // first row, at the first element of the stretch
  int64_t input_stride;
  const uint8_t *weight;  // first panel, at the first element of the stretch
  int64_t panel_bytes;
  int64_t depth;  // elements in the stretch
  float *sums;
  int64_t sums_stride;
  int32_t rows, panels;  // panels 1 or 2
  int32_t is_first;      // sums start from zero
};

// How matmul_bf16.c cuts its work: what one call of a tile has at most.
enum {
  ANGEL_BF16_TILE_ROWS = 6,  // of the widest tile; so few rows see all depth at once
  ANGEL_BF16_ROW_BLOCK = 132,  // more rows than these pass by a stretch of weights in several calls
  ANGEL_BF16_PAIRS = 96,  // of depth, for more rows than a tile has: 24 KiB of four panels
  ANGEL_AMX_ROW_BLOCK = 128,  // the same two for AMX
  ANGEL_AMX_PAIRS = 512,
};

// Rows of bfloat16 against bfloat16 panels.
struct angel_bf16_tile {
  const uint8_t *input;  // first row, at the first pair of the stretch
  int64_t row_bytes;
  const uint8_t *weight;  // first panel, at the first pair of the stretch
  int64_t panel_bytes;
  int64_t pairs;  // of elements in the stretch
  float *sums;
  int64_t sums_stride;
  int32_t rows, panels;
  int32_t is_first;     // sums start from zero
  int32_t is_streamed;  // weights come from memory, for these rows alone
};

// Packed weights that are needed after a tile, to be fetched while it computes: `bytes` of each panel.
struct angel_ahead {
  const uint8_t *start;
  int64_t panel_bytes, bytes;
};

// Rows of int8 (quantize_rows.h) against unpacked blocks.
struct angel_int8_tile {
  const uint8_t *input;  // first row
  int64_t row_bytes, depth;
  int64_t first_block, blocks;  // at most ANGEL_STRETCH_BLOCKS
  const union angel_row_term *terms;  // of the first row, all its blocks; only where the engine has `terms`
  int64_t terms_stride;
  const struct angel_block *weight;  // [panels][weight_stride]
  int64_t weight_stride;
  struct angel_geometry geometry;
  float *sums;
  int64_t sums_stride;
  int32_t rows, panels;  // panels 1 or 2
  int32_t is_first;      // sums start from zero
  struct angel_ahead ahead;
};

// Blocks first ..< first + count of a panel.
struct angel_stretch {
  const uint8_t *panel;
  int64_t first, count;
};

struct angel_matmul_engine {
  void (*dense)(angel_dtype weight, const struct angel_dense_tile *tile);
  void (*int8)(const struct angel_int8_tile *tile);
  // The terms of one row, once for all panels; NULL when the tile finds them itself.
  void (*terms)(
    struct angel_geometry geometry, struct angel_int8_row row, int64_t blocks, union angel_row_term *terms);
  // Blocks as float32, [32 * count][16].
  void (*dequantize)(angel_dtype weight, struct angel_stretch stretch, float *values);
  // f16 or bf16 pairs first ..< first + count as float32, [2 * count][16].
  void (*widen)(angel_dtype weight, struct angel_stretch stretch, float *values);
  void (*unpack)(angel_dtype weight, struct angel_stretch stretch, struct angel_block *blocks);
  // At most `stream_rows` int8 rows against one packed panel, all depth and no buffer between; the weights of the tile
  // are unused. 0 and NULL when there is no such kernel.
  int32_t stream_rows;
  void (*stream)(angel_dtype weight, const struct angel_int8_tile *tile, const uint8_t *panel);
};

// The kernel of bfloat16 rows with bfloat16 weights, dense or 2:4; its output is float32 or, `to_bf16`, rounded to
// bfloat16.
angel_kernel angel_matmul_bf16_kernel(angel_isa isa, angel_dtype weight, int to_bf16);
void angel_scalar_bf16(const struct angel_bf16_tile *tile);
void angel_scalar_bf16_2of4(const struct angel_bf16_tile *tile);
#if defined(ANGEL_X86)
void angel_avx2_bf16(const struct angel_bf16_tile *tile);
void angel_avx2_bf16_2of4(const struct angel_bf16_tile *tile);
void angel_avx512_bf16(const struct angel_bf16_tile *tile);
void angel_avx512_bf16_instruction(const struct angel_bf16_tile *tile);
void angel_amx_bf16(const struct angel_bf16_tile *tile);
void angel_amx_bf16_2of4(const struct angel_bf16_tile *tile);
#endif

extern const struct angel_matmul_engine angel_matmul_scalar;
#if defined(ANGEL_X86)
extern const struct angel_matmul_engine angel_matmul_avx2;
void angel_avx2_dense(angel_dtype dtype, const struct angel_dense_tile *t);
void angel_avx2_terms(
  struct angel_geometry geometry, struct angel_int8_row row, int64_t blocks, union angel_row_term *terms);
void angel_avx2_int8(const struct angel_int8_tile *t);
void angel_avx2_unpack(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks);
void angel_avx2_stream(angel_dtype dtype, const struct angel_int8_tile *t, const uint8_t *panel);
extern const struct angel_matmul_engine angel_matmul_avx512;
// For 2:4 weights.
extern const struct angel_matmul_engine angel_matmul_avx2_2of4, angel_matmul_avx512_2of4;
void angel_avx2_dequantize_2of4(angel_dtype dtype, struct angel_stretch stretch, float *values);
void angel_avx2_unpack_2of4(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks);
void angel_avx2_stream_2of4(angel_dtype dtype, const struct angel_int8_tile *t, const uint8_t *panel);
enum { ANGEL_2OF4_STREAM_ROWS = 12 };
#endif

// Calls `body(dtype)` with the dtype as a constant, so that each format gets code of its own; those of 2:4 weights have
// engines of their own.
#define ANGEL_WITH_BLOCK_DTYPE(dtype, body)       \
  switch (dtype) {                                \
    case ANGEL_Q4_0: body(ANGEL_Q4_0); break;     \
    case ANGEL_Q4_1: body(ANGEL_Q4_1); break;     \
    case ANGEL_Q5_0: body(ANGEL_Q5_0); break;     \
    case ANGEL_Q5_1: body(ANGEL_Q5_1); break;     \
    case ANGEL_Q8_0: body(ANGEL_Q8_0); break;     \
    case ANGEL_Q4_K: body(ANGEL_Q4_K); break;     \
    case ANGEL_Q5_K: body(ANGEL_Q5_K); break;     \
    case ANGEL_Q6_K: body(ANGEL_Q6_K); break;     \
    case ANGEL_Q2_K: body(ANGEL_Q2_K); break;     \
    case ANGEL_Q3_K: body(ANGEL_Q3_K); break;     \
    case ANGEL_IQ4_NL: body(ANGEL_IQ4_NL); break; \
    case ANGEL_IQ4_XS: body(ANGEL_IQ4_XS); break; \
    case ANGEL_TQ1_0:                             \
    case ANGEL_TQ2_0: body(ANGEL_TQ2_0); break;   \
    default: break;                               \
  }

// Portable bodies of unpack, dequantize and widen; an instruction set wraps them with its target attribute.
ANGEL_INLINE void angel_unpack_stretch(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  for (int64_t b = 0; b < stretch.count; b++) {
    const int64_t at = stretch.first + b;
    const uint8_t *group = stretch.panel + at / geometry.blocks * angel_group_bytes(geometry);
    angel_unpack_block(dtype, group, (int)(at % geometry.blocks), &blocks[b]);
  }
}

ANGEL_INLINE void angel_dequantize_stretch(angel_dtype dtype, struct angel_stretch stretch, float *values) {
  for (int64_t b = 0; b < stretch.count; b++) {
    if (dtype == ANGEL_BF16_2OF4) {
      angel_widen_two_of_four(
        stretch.panel + (stretch.first + b) * 576,
        (float(*)[ANGEL_PANEL])(values + b * ANGEL_BLOCK * ANGEL_PANEL));
      continue;
    }
    struct angel_block block;
    angel_unpack_stretch(dtype, (struct angel_stretch){stretch.panel, stretch.first + b, 1}, &block);
    angel_dequantize_block(
      angel_geometry_of(dtype), &block, (float(*)[ANGEL_PANEL])(values + b * ANGEL_BLOCK * ANGEL_PANEL));
  }
}

ANGEL_INLINE void angel_widen_stretch(angel_dtype dtype, struct angel_stretch stretch, float *values) {
  for (int64_t pair = 0; pair < stretch.count; pair++) {
    uint32_t both[ANGEL_PANEL];
    memcpy(both, stretch.panel + (stretch.first + pair) * sizeof both, sizeof both);
    float *even = values + pair * 2 * ANGEL_PANEL, *odd = even + ANGEL_PANEL;
    for (int lane = 0; lane < ANGEL_PANEL; lane++) {
      const uint16_t low = (uint16_t)both[lane], high = (uint16_t)(both[lane] >> 16);
      even[lane] = dtype == ANGEL_F16 ? angel_float_of_half(low) : angel_float_of_bfloat(low);
      odd[lane] = dtype == ANGEL_F16 ? angel_float_of_half(high) : angel_float_of_bfloat(high);
    }
  }
}
