// matmul with AVX2 and FMA: a panel is two registers of eight lanes. Int8 rows are in matmul_avx2_int8.c.
#include "matmul_engine.h"

#if defined(ANGEL_X86)
#include <immintrin.h>

#define TARGET ANGEL_TARGET_AVX2
#define TARGET_INLINE static inline __attribute__((always_inline)) TARGET

// --- Float32 rows against dense panels -------------------------------------------------------------------------------

// Eight lanes of two consecutive elements of depth.
struct weight_pair {
  __m256 even, odd;
};

TARGET_INLINE __m256 widen_low_halves(__m256i words) {
  // The low 16 bits of eight 32-bit words, side by side.
  const __m128i halves = _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  return _mm256_cvtph_ps(halves);
}

// Half `half` of panel: h = 2 * panel + half.
TARGET_INLINE struct weight_pair load_pair(angel_dtype dtype, const uint8_t *half, int64_t pair) {
  if (dtype == ANGEL_F32) {
    return (struct weight_pair){
      _mm256_loadu_ps((const float *)(const void *)(half + pair * 128)),
      _mm256_loadu_ps((const float *)(const void *)(half + pair * 128 + 64))};
  }
  const __m256i both = _mm256_loadu_si256((const __m256i *)(half + pair * 64));
  const __m256i odd = _mm256_srli_epi32(both, 16);
  if (dtype == ANGEL_BF16) {
    return (struct weight_pair){
      _mm256_castsi256_ps(_mm256_slli_epi32(both, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(odd, 16))};
  }
  const __m256i even = _mm256_and_si256(both, _mm256_set1_epi32(0xffff));
  return (struct weight_pair){widen_low_halves(even), widen_low_halves(odd)};
}

TARGET_INLINE __m256 load_last(angel_dtype dtype, const uint8_t *half, int64_t depth) {
  if (dtype == ANGEL_F32) return _mm256_loadu_ps((const float *)(const void *)(half + (depth - 1) * 64));
  return load_pair(dtype, half, depth / 2).even;
}

// `halves` registers of eight lanes, starting at half `first`, two halves to a panel.
TARGET_INLINE void dense_rows(
  angel_dtype dtype, const struct angel_dense_tile *t, int32_t row, int first, const int rows, const int halves) {
  const float *x = t->input + row * t->input_stride;
  float *sums = t->sums + row * t->sums_stride + 8 * first;
  const uint8_t *weight = t->weight + first / 2 * t->panel_bytes;
  __m256 sum[4][4];
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int h = 0; h < halves; h++) {
      sum[r][h] = t->is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + r * t->sums_stride + 8 * h);
    }
  }
  for (int64_t k = 0; k + 1 < t->depth; k += 2) {
#pragma unroll
    for (int h = 0; h < halves; h++) {
      const struct weight_pair w = load_pair(dtype, weight + h / 2 * t->panel_bytes + h % 2 * 32, k / 2);
#pragma unroll
      for (int r = 0; r < rows; r++) {
        const float *at = x + r * t->input_stride + k;
        sum[r][h] = _mm256_fmadd_ps(w.even, _mm256_broadcast_ss(at), sum[r][h]);
        sum[r][h] = _mm256_fmadd_ps(w.odd, _mm256_broadcast_ss(at + 1), sum[r][h]);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int h = 0; h < halves; h++) {
      if (t->depth % 2) {
        const __m256 last = load_last(dtype, weight + h / 2 * t->panel_bytes + h % 2 * 32, t->depth);
        sum[r][h] = _mm256_fmadd_ps(last, _mm256_set1_ps(x[r * t->input_stride + t->depth - 1]), sum[r][h]);
      }
      _mm256_storeu_ps(sums + r * t->sums_stride + 8 * h, sum[r][h]);
    }
  }
}

TARGET_INLINE void dense_panels(angel_dtype dtype, const struct angel_dense_tile *t) {
  int32_t row = 0;
  for (; row + 4 <= t->rows; row += 4) {
    for (int h = 0; h < 2 * t->panels; h += 2) dense_rows(dtype, t, row, h, 4, 2);
  }
  for (; row < t->rows; row++) {
    int h = 0;
    for (; h + 4 <= 2 * t->panels; h += 4) dense_rows(dtype, t, row, h, 1, 4);
    for (; h < 2 * t->panels; h += 2) dense_rows(dtype, t, row, h, 1, 2);
  }
}

TARGET static void dense(angel_dtype dtype, const struct angel_dense_tile *t) {
  if (dtype == ANGEL_F32) return dense_panels(ANGEL_F32, t);
  if (dtype == ANGEL_F16) return dense_panels(ANGEL_F16, t);
  dense_panels(ANGEL_BF16, t);
}

TARGET static void widen(angel_dtype dtype, struct angel_stretch stretch, float *values) {
  if (dtype == ANGEL_F16) return angel_widen_stretch(ANGEL_F16, stretch, values);
  angel_widen_stretch(ANGEL_BF16, stretch, values);
}

TARGET static void dequantize(angel_dtype dtype, struct angel_stretch stretch, float *values) {
#define BODY(constant) angel_dequantize_stretch(constant, stretch, values)
  ANGEL_WITH_BLOCK_DTYPE(dtype, BODY)
#undef BODY
}

const struct angel_matmul_engine angel_matmul_avx2 = {
  .dense = dense, .int8 = angel_avx2_int8, .terms = angel_avx2_terms, .dequantize = dequantize, .widen = widen,
  .unpack = angel_avx2_unpack, .stream = angel_avx2_stream, .stream_rows = 2};
#endif
