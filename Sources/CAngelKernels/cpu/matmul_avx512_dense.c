// matmul with AVX-512: float32 rows, and weights as float32.
#include "matmul_avx512.h"

#if defined(ANGEL_X86)
// Two consecutive elements of depth of one panel, or one in the last odd step.
struct weight_pair {
  __m512 even, odd;
};

TARGET_INLINE struct weight_pair load_pair(angel_dtype dtype, const uint8_t *panel, int64_t pair) {
  if (dtype == ANGEL_F32) {
    return (struct weight_pair){
      _mm512_loadu_ps(panel + pair * 128), _mm512_loadu_ps(panel + pair * 128 + 64)};
  }
  const __m512i both = _mm512_loadu_si512(panel + pair * 64);
  if (dtype == ANGEL_BF16) {
    return (struct weight_pair){
      _mm512_castsi512_ps(_mm512_slli_epi32(both, 16)),
      _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32((int32_t)0xffff0000)))};
  }
  return (struct weight_pair){
    _mm512_cvtph_ps(_mm512_cvtepi32_epi16(both)),
    _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(both, 16)))};
}

TARGET_INLINE __m512 load_last(angel_dtype dtype, const uint8_t *panel, int64_t depth) {
  if (dtype == ANGEL_F32) return _mm512_loadu_ps(panel + (depth - 1) * 64);
  return load_pair(dtype, panel, depth / 2).even;
}

TARGET_INLINE void dense_rows(
  angel_dtype dtype, const struct angel_dense_tile *t, int32_t row, const int rows, const int panels) {
  const float *x = t->input + row * t->input_stride;
  float *sums = t->sums + row * t->sums_stride;
  __m512 sum[8][2];
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int p = 0; p < panels; p++) {
      sum[r][p] = t->is_first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + r * t->sums_stride + 16 * p);
    }
  }
  for (int64_t k = 0; k + 1 < t->depth; k += 2) {
    struct weight_pair weight[2];
#pragma unroll
    for (int p = 0; p < panels; p++) {
      weight[p] = load_pair(dtype, t->weight + p * t->panel_bytes, k / 2);
      if (rows <= 4 && panels == 1) {
        const char *ahead = (const char *)t->weight + p * t->panel_bytes + k * (dtype == ANGEL_F32 ? 64 : 32);
        _mm_prefetch(ahead + PREFETCH_BYTES, _MM_HINT_T0);
        if (dtype == ANGEL_F32) _mm_prefetch(ahead + PREFETCH_BYTES + 64, _MM_HINT_T0);
      }
    }
#pragma unroll
    for (int r = 0; r < rows; r++) {
      const __m512 even = _mm512_set1_ps(x[r * t->input_stride + k]);
      const __m512 odd = _mm512_set1_ps(x[r * t->input_stride + k + 1]);
#pragma unroll
      for (int p = 0; p < panels; p++) {
        sum[r][p] = _mm512_fmadd_ps(weight[p].even, even, sum[r][p]);
        sum[r][p] = _mm512_fmadd_ps(weight[p].odd, odd, sum[r][p]);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int p = 0; p < panels; p++) {
      if (t->depth % 2) {
        sum[r][p] = _mm512_fmadd_ps(
          load_last(dtype, t->weight + p * t->panel_bytes, t->depth),
          _mm512_set1_ps(x[r * t->input_stride + t->depth - 1]), sum[r][p]);
      }
      _mm512_storeu_ps(sums + r * t->sums_stride + 16 * p, sum[r][p]);
    }
  }
}

TARGET_INLINE void dense_panels(angel_dtype dtype, const struct angel_dense_tile *t, const int panels) {
  int32_t row = 0;
  for (; row + 8 <= t->rows; row += 8) dense_rows(dtype, t, row, 8, panels);
  for (; row + 4 <= t->rows; row += 4) dense_rows(dtype, t, row, 4, panels);
  for (; row + 2 <= t->rows; row += 2) dense_rows(dtype, t, row, 2, panels);
  if (row < t->rows) dense_rows(dtype, t, row, 1, panels);
}

#define DENSE(name, dtype)                                                    \
  TARGET static void dense_##name(const struct angel_dense_tile *t) {         \
    if (t->panels == 1) {                                                     \
      dense_panels(dtype, t, 1);                                              \
    } else {                                                                  \
      dense_panels(dtype, t, 2);                                              \
    }                                                                         \
  }
DENSE(f32, ANGEL_F32)
DENSE(f16, ANGEL_F16)
DENSE(bf16, ANGEL_BF16)

static void dense(angel_dtype dtype, const struct angel_dense_tile *t) {
  if (dtype == ANGEL_F32) return dense_f32(t);
  if (dtype == ANGEL_F16) return dense_f16(t);
  dense_bf16(t);
}

TARGET static void widen(angel_dtype dtype, struct angel_stretch stretch, float *values) {
  for (int64_t pair = 0; pair < stretch.count; pair++) {
    const struct weight_pair both = dtype == ANGEL_F16 ? load_pair(ANGEL_F16, stretch.panel, stretch.first + pair)
                                                       : load_pair(ANGEL_BF16, stretch.panel, stretch.first + pair);
    _mm512_storeu_ps(values + pair * 32, both.even);
    _mm512_storeu_ps(values + pair * 32 + 16, both.odd);
  }
}

// --- Weights as float32 ---------------------------------------------------------------------------------------------

TARGET_INLINE void dequantize_block(angel_dtype dtype, const struct block_registers *block, float *values) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  __m512 d[2] = {block->d, block->d}, minimum[2] = {block->minimum, block->minimum};
  if (geometry.kind == ANGEL_MINIMA_BLOCK) {
    const __m512i low = _mm512_set1_epi32(15);
    for (int half = 0; half < 2; half++) {
      const __m512i both = _mm512_srli_epi32(block->scale[0], (unsigned)(16 * half));
      const __m512i min = _mm512_and_si512(_mm512_srli_epi32(both, 4), low);
      d[half] = _mm512_mul_ps(block->d, _mm512_cvtepi32_ps(_mm512_and_si512(both, low)));
      minimum[half] = _mm512_mul_ps(block->minimum, _mm512_cvtepi32_ps(min));
    }
  }
  if (geometry.kind == ANGEL_HALVES_BLOCK) {
    d[0] = _mm512_mul_ps(block->d, _mm512_cvtepi32_ps(block->scale[0]));
    d[1] = _mm512_mul_ps(block->d, _mm512_cvtepi32_ps(block->scale[1]));
  }
#pragma unroll
  for (int e = 0; e < ANGEL_BLOCK; e++) {
    const __m512i shifted = _mm512_srli_epi32(block->q[e / 4], (unsigned)(8 * (e % 4)));
    const __m512i quant = _mm512_and_si512(shifted, _mm512_set1_epi32(255));
    const __m512i centred = _mm512_sub_epi32(quant, _mm512_set1_epi32(geometry.offset));
    __m512 value = _mm512_mul_ps(d[e / 16], _mm512_cvtepi32_ps(centred));
    if (geometry.kind == ANGEL_MINIMUM_BLOCK || geometry.kind == ANGEL_MINIMA_BLOCK) {
      value = _mm512_add_ps(value, minimum[e / 16]);
    }
    _mm512_storeu_ps(values + e * ANGEL_PANEL, value);
  }
}

TARGET_INLINE void dequantize_stretch(angel_dtype dtype, struct angel_stretch stretch, float *values) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  for (int64_t b = 0; b < stretch.count; b++) {
    const int64_t at = stretch.first + b, index = at % geometry.blocks;
    const uint8_t *group = stretch.panel + at / geometry.blocks * angel_group_bytes(geometry);
    struct block_registers block;
    load_scales(dtype, group, index, &block);
    load_quants(dtype, group + geometry.header_bytes + index * geometry.block_bytes, block.q);
    dequantize_block(dtype, &block, values + b * ANGEL_BLOCK * ANGEL_PANEL);
  }
}

TARGET static void dequantize(angel_dtype dtype, struct angel_stretch stretch, float *values) {
#define BODY(constant) dequantize_stretch(constant, stretch, values)
  ANGEL_WITH_BLOCK_DTYPE(dtype, BODY)
#undef BODY
}

const struct angel_matmul_engine angel_matmul_avx512 = {
  .dense = dense, .int8 = angel_avx512_int8, .terms = angel_avx512_terms, .dequantize = dequantize, .widen = widen,
  .unpack = angel_avx512_unpack, .stream = angel_avx512_stream, .stream_rows = 16};

// 2:4 panels are read by the code for AVX2.
const struct angel_matmul_engine angel_matmul_avx512_2of4 = {
  .dense = dense, .int8 = angel_avx512_int8, .terms = angel_avx512_terms, .dequantize = angel_avx2_dequantize_2of4,
  .unpack = angel_avx2_unpack_2of4, .stream = angel_avx2_stream_2of4, .stream_rows = ANGEL_2OF4_STREAM_ROWS};
#endif
