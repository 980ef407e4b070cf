// matmul with AVX-512 and VNNI: tiles of int8 rows.
//
// Measured on one core of a 2-core Emerald Rapids VM (2 MiB second cache), q4_1, CPU time. Bare dot products reach 742
// Gop/s; the contract's four float steps to every eight of them leave at most 495.
//   512 rows, columns x depth: 576x576 458, 1536x576 463, 576x1536 464, 2048x2048 450, 8192x2048 447, 2048x8192 424
//   rows of 2048x2048, weights in memory: 1 44 (14 GB/s, as fast as plain reads), 2 83, 4 135, 8 276, 16 297, 32 353
//
// One core of a 2-core Zen 4 VM (1 MiB second cache), CPU time, shared machine. Bare dot products reach 466 Gop/s; they
// share their unit with the float multiplies, so 374 are possible with an offset, 340 with a minimum.
//   512 rows: q4_1 576x576 303, 1536x576 308, 2048x2048 297, 2048x8192 283; q4_0 340, 347, 330, 305; q8_0 329, 328, 313,
//   288; q4_K 2048x2048 300; q6_K 275. Stretches of 12 to 24 blocks and half the activations in the second cache: no
//   faster. One row, 576x576, weights in memory: q4_1 27 GB/s, q4_0 26, q8_0 27; 2048x2048: q4_K 23, q6_K 22.
#include "matmul_avx512.h"

#if defined(ANGEL_X86)
enum { ROWS = 6 };  // of an int8 tile: twelve chains of dot products cover their latency

TARGET void angel_avx512_terms(
  struct angel_geometry geometry, struct angel_int8_row row, int64_t blocks, union angel_row_term *terms) {
  angel_find_terms(geometry, row, blocks, terms);
}

// Integer sums of groups first ..< last of one block, for all rows of the tile. Groups are the outer loop, so that few
// weights are live at a time and nothing spills.
TARGET_INLINE void dot_groups(
  const struct angel_block *const block[2], const int8_t *q, int64_t row_bytes, int first, int last, const int rows,
  const int panels, __m512i dot[ROWS][2]) {
#pragma unroll
  for (int g = first; g < last; g++) {
    __m512i quants[2];
#pragma unroll
    for (int p = 0; p < panels; p++) quants[p] = _mm512_load_si512(block[p]->q[g]);
#pragma unroll
    for (int r = 0; r < rows; r++) {
      const __m512i activation = four(q + r * row_bytes, g);
#pragma unroll
      for (int p = 0; p < panels; p++) dot[r][p] = _mm512_dpbusd_epi32(dot[r][p], quants[p], activation);
    }
  }
}

TARGET_INLINE void start_dots(
  const union angel_row_term *terms, int64_t terms_stride, enum angel_block_kind kind, const int rows, const int panels,
  __m512i dot[ROWS][2]) {
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int p = 0; p < panels; p++) {
      dot[r][p] =
        kind == ANGEL_MINIMUM_BLOCK || kind == ANGEL_MINIMA_BLOCK
          ? _mm512_setzero_si512() : _mm512_set1_epi32(terms[r * terms_stride].start);
    }
  }
}

// The integer sums of a block, scaled per half where the format has two scales.
TARGET_INLINE void dot_block(
  const struct angel_block *const block[2], const int8_t *q, int64_t row_bytes, const union angel_row_term *terms,
  int64_t terms_stride, enum angel_block_kind kind, const int rows, const int panels, __m512i dot[ROWS][2]) {
  if (kind != ANGEL_HALVES_BLOCK && kind != ANGEL_MINIMA_BLOCK) {
    start_dots(terms, terms_stride, kind, rows, panels, dot);
    return dot_groups(block, q, row_bytes, 0, 8, rows, panels, dot);
  }
  __m512i second[ROWS][2];
  start_dots(terms, terms_stride, kind, rows, panels, dot);
  dot_groups(block, q, row_bytes, 0, 4, rows, panels, dot);
  start_dots(terms + 1, terms_stride, kind, rows, panels, second);
  dot_groups(block, q, row_bytes, 4, 8, rows, panels, second);
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int p = 0; p < panels; p++) {
      if (kind == ANGEL_MINIMA_BLOCK) {
        dot[r][p] = scaled_halves(dot[r][p], second[r][p], _mm512_loadu_si512(block[p]->scales_and_mins));
        continue;
      }
      dot[r][p] = _mm512_add_epi32(
        _mm512_mullo_epi32(dot[r][p], _mm512_load_si512(block[p]->scale[0])),
        _mm512_mullo_epi32(second[r][p], _mm512_load_si512(block[p]->scale[1])));
    }
  }
}

// The last step of a block: from the integer sums to the running float32 sums.
TARGET_INLINE __m512 accumulate(
  __m512 sum, __m512i dot, const struct angel_block *block, enum angel_block_kind kind, float x_scale,
  const union angel_row_term *term) {
  const __m512 scale = _mm512_mul_ps(_mm512_load_ps(block->d), _mm512_set1_ps(x_scale));
  sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, sum);
  if (kind == ANGEL_MINIMUM_BLOCK) {
    sum = _mm512_fmadd_ps(_mm512_load_ps(block->minimum), _mm512_set1_ps(term->shift), sum);
  }
  if (kind == ANGEL_MINIMA_BLOCK) {
    const __m512 minima = summed_minima(_mm512_loadu_si512(block->scales_and_mins), term);
    const __m512 shift = _mm512_mul_ps(_mm512_set1_ps(x_scale), minima);
    sum = _mm512_fmadd_ps(_mm512_load_ps(block->negative_dmin), shift, sum);
  }
  return sum;
}

// This tile's share of fetching what comes next into the second cache.
TARGET_INLINE void fetch_ahead(const struct angel_int8_tile *t, int32_t row, const int rows, const int panels) {
  const int64_t lines = t->ahead.bytes / 64;
  for (int64_t line = lines * row / t->rows; line < lines * (row + rows) / t->rows; line++) {
#pragma unroll
    for (int p = 0; p < panels; p++) {
      _mm_prefetch((const char *)t->ahead.start + p * t->ahead.panel_bytes + line * 64, _MM_HINT_T1);
    }
  }
}

TARGET_INLINE void int8_rows(
  const struct angel_int8_tile *t, int32_t row, enum angel_block_kind kind, const int rows, const int panels) {
  float *sums = t->sums + row * t->sums_stride;
  const struct angel_int8_row x = angel_int8_row_at(t->input + row * t->row_bytes, t->depth);
  const int8_t *q = x.q + t->first_block * ANGEL_BLOCK;
  const float *scale = x.scale + t->first_block;
  const int64_t scale_stride = t->row_bytes / (int64_t)sizeof(float);
  const int64_t each = angel_terms_per_block(kind);
  const union angel_row_term *terms = t->terms + row * t->terms_stride + t->first_block * each;
  __m512 sum[ROWS][2];
  fetch_ahead(t, row, rows, panels);
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int p = 0; p < panels; p++) {
      // The next tile's sums: in a fresh output they are in no cache.
      _mm_prefetch((const char *)(sums + (r + rows) * t->sums_stride + 16 * p), _MM_HINT_T0);
      sum[r][p] = t->is_first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + r * t->sums_stride + 16 * p);
    }
  }
  for (int64_t b = 0; b < t->blocks; b++) {
    const struct angel_block *const block[2] = {&t->weight[b], &t->weight[t->weight_stride + b]};
    __m512i dot[ROWS][2];
    dot_block(
      block, q + b * ANGEL_BLOCK, t->row_bytes, terms + b * each, t->terms_stride, kind, rows, panels, dot);
#pragma unroll
    for (int r = 0; r < rows; r++) {
#pragma unroll
      for (int p = 0; p < panels; p++) {
        sum[r][p] = accumulate(
          sum[r][p], dot[r][p], block[p], kind, scale[r * scale_stride + b], terms + r * t->terms_stride + b * each);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int p = 0; p < panels; p++) _mm512_storeu_ps(sums + r * t->sums_stride + 16 * p, sum[r][p]);
  }
}

TARGET_INLINE void int8_panels(const struct angel_int8_tile *t, enum angel_block_kind kind, const int panels) {
  int32_t row = 0;
  // Two integer sums per row and panel leave registers for four rows only.
  if (kind != ANGEL_HALVES_BLOCK && kind != ANGEL_MINIMA_BLOCK) {
    for (; row + ROWS <= t->rows; row += ROWS) int8_rows(t, row, kind, ROWS, panels);
  }
  for (; row + 4 <= t->rows; row += 4) int8_rows(t, row, kind, 4, panels);
  for (; row + 2 <= t->rows; row += 2) int8_rows(t, row, kind, 2, panels);
  if (row < t->rows) int8_rows(t, row, kind, 1, panels);
}

#define INT8(name, kind)                                            \
  TARGET static void int8_##name(const struct angel_int8_tile *t) { \
    if (t->panels == 1) {                                           \
      int8_panels(t, kind, 1);                                      \
    } else {                                                        \
      int8_panels(t, kind, 2);                                      \
    }                                                               \
  }
INT8(offset, ANGEL_OFFSET_BLOCK)
INT8(minimum, ANGEL_MINIMUM_BLOCK)
INT8(halves, ANGEL_HALVES_BLOCK)
INT8(minima, ANGEL_MINIMA_BLOCK)

void angel_avx512_int8(const struct angel_int8_tile *t) {
  switch (t->geometry.kind) {
    case ANGEL_OFFSET_BLOCK: int8_offset(t); break;
    case ANGEL_MINIMUM_BLOCK: int8_minimum(t); break;
    case ANGEL_HALVES_BLOCK: int8_halves(t); break;
    case ANGEL_MINIMA_BLOCK: int8_minima(t); break;
  }
}

TARGET_INLINE void unpack_stretch(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  for (int64_t b = 0; b < stretch.count; b++) {
    const int64_t at = stretch.first + b, index = at % geometry.blocks;
    const uint8_t *group = stretch.panel + at / geometry.blocks * angel_group_bytes(geometry);
    struct block_registers block;
    load_scales(dtype, group, index, &block);
    load_quants(dtype, group + geometry.header_bytes + index * geometry.block_bytes, block.q);
#pragma unroll
    for (int g = 0; g < 8; g++) _mm512_store_si512(blocks[b].q[g], block.q[g]);
    _mm512_store_ps(blocks[b].d, block.d);
    if (geometry.kind == ANGEL_MINIMUM_BLOCK) _mm512_store_ps(blocks[b].minimum, block.minimum);
    if (geometry.kind == ANGEL_HALVES_BLOCK) {
      _mm512_store_si512(blocks[b].scale[0], block.scale[0]);
      _mm512_store_si512(blocks[b].scale[1], block.scale[1]);
    }
    if (geometry.kind == ANGEL_MINIMA_BLOCK) {
      _mm512_store_ps(blocks[b].negative_dmin, block.minimum);
      _mm512_store_si512(blocks[b].scales_and_mins, block.scale[0]);
    }
  }
}

TARGET void angel_avx512_unpack(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks) {
#define BODY(constant) unpack_stretch(constant, stretch, blocks)
  ANGEL_WITH_BLOCK_DTYPE(dtype, BODY)
#undef BODY
}
#endif
