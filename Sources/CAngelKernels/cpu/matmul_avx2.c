// matmul with AVX2 and FMA: a panel is two registers of eight lanes. Int8 rows are in matmul_avx2_int8.c and matmul_avx2_stream.c.
//
// One core of a Zen 3 VM (multiply-add peak 103 GFLOP/s), CPU time, shared machine, float32 weights, rows x columns x
// depth, with four rows a tile and now with six: 512x576x576 81, 93 GFLOP/s; 128x768x768 82, 92; 128x768x3072 78, 85.
#include "matmul_engine.h"

#if defined(ANGEL_X86)
#include <immintrin.h>

#define TARGET ANGEL_TARGET_AVX2
#define TARGET_INLINE static inline __attribute__((always_inline)) TARGET

// --- Float32 rows against dense panels -------------------------------------------------------------------------------

enum { DENSE_ROWS = 6 };

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

// Both halves of one panel for `rows` rows. Six rows are twelve chains, which hide the latency of two multiply-adds a
// cycle, and eight loads feed them.
TARGET_INLINE void dense_rows(
  angel_dtype dtype, const struct angel_dense_tile *t, int32_t row, int32_t panel, const int rows) {
  const float *x = t->input + row * t->input_stride;
  float *sums = t->sums + row * t->sums_stride + panel * ANGEL_PANEL;
  const uint8_t *weight = t->weight + panel * t->panel_bytes;
  __m256 sum[DENSE_ROWS][2];
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      sum[r][h] = t->is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + r * t->sums_stride + 8 * h);
    }
  }
  for (int64_t k = 0; k + 1 < t->depth; k += 2) {
    const struct weight_pair low = load_pair(dtype, weight, k / 2), high = load_pair(dtype, weight + 32, k / 2);
#pragma unroll
    for (int r = 0; r < rows; r++) {
      const __m256 at = _mm256_broadcast_ss(x + r * t->input_stride + k);
      sum[r][0] = _mm256_fmadd_ps(low.even, at, sum[r][0]);
      sum[r][1] = _mm256_fmadd_ps(high.even, at, sum[r][1]);
    }
#pragma unroll
    for (int r = 0; r < rows; r++) {
      const __m256 at = _mm256_broadcast_ss(x + r * t->input_stride + k + 1);
      sum[r][0] = _mm256_fmadd_ps(low.odd, at, sum[r][0]);
      sum[r][1] = _mm256_fmadd_ps(high.odd, at, sum[r][1]);
    }
  }
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      if (t->depth % 2) {
        const __m256 last = load_last(dtype, weight + 32 * h, t->depth);
        sum[r][h] = _mm256_fmadd_ps(last, _mm256_set1_ps(x[r * t->input_stride + t->depth - 1]), sum[r][h]);
      }
      _mm256_storeu_ps(sums + r * t->sums_stride + 8 * h, sum[r][h]);
    }
  }
}

// Rows of the next tile when `left` are left: six, or what leaves no tile of one or two rows behind six.
TARGET_INLINE int32_t even_rows(int32_t left) {
  if (left >= 2 * DENSE_ROWS) return DENSE_ROWS;
  return left > DENSE_ROWS ? (left + 1) / 2 : left;
}

// A panel stays in the first cache while all rows pass by.
TARGET_INLINE void dense_panels(angel_dtype dtype, const struct angel_dense_tile *t) {
  for (int32_t panel = 0; panel < t->panels; panel++) {
    for (int32_t row = 0, count; row < t->rows; row += count) {
      count = even_rows(t->rows - row);
      switch (count) {
        case 1: dense_rows(dtype, t, row, panel, 1); break;
        case 2: dense_rows(dtype, t, row, panel, 2); break;
        case 3: dense_rows(dtype, t, row, panel, 3); break;
        case 4: dense_rows(dtype, t, row, panel, 4); break;
        case 5: dense_rows(dtype, t, row, panel, 5); break;
        default: dense_rows(dtype, t, row, panel, 6); break;
      }
    }
  }
}

TARGET void angel_avx2_dense(angel_dtype dtype, const struct angel_dense_tile *t) {
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
  .dense = angel_avx2_dense, .int8 = angel_avx2_int8, .terms = angel_avx2_terms, .dequantize = dequantize,
  .widen = widen, .unpack = angel_avx2_unpack, .stream = angel_avx2_stream, .stream_rows = 2};

const struct angel_matmul_engine angel_matmul_avx2_2of4 = {
  .dense = angel_avx2_dense, .int8 = angel_avx2_int8, .terms = angel_avx2_terms,
  .dequantize = angel_avx2_dequantize_2of4, .unpack = angel_avx2_unpack_2of4, .stream = angel_avx2_stream_2of4,
  .stream_rows = ANGEL_2OF4_STREAM_ROWS};
#endif
