// matmul with AVX2 and FMA: rows of bfloat16 against bfloat16 panels, widened in registers.
#include "matmul_engine.h"

#if defined(ANGEL_X86)
#include <immintrin.h>

#define TARGET ANGEL_TARGET_AVX2
#define TARGET_INLINE static inline __attribute__((always_inline)) TARGET

struct pairs {
  __m256 even, odd;
};

TARGET_INLINE struct pairs split(__m256i both) {
  return (struct pairs){
    _mm256_castsi256_ps(_mm256_slli_epi32(both, 16)),
    _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32((int32_t)0xffff0000)))};
}

// `halves` registers of eight lanes from half `first` on, two halves to a panel.
TARGET_INLINE void rows_at(
  const struct angel_bf16_tile *t, int32_t row, int32_t first, const int rows, const int halves) {
  const uint8_t *x = t->input + row * t->row_bytes, *weight = t->weight + first / 2 * t->panel_bytes;
  float *sums = t->sums + row * t->sums_stride + 8 * first;
  __m256 sum[4][4];
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int h = 0; h < halves; h++) {
      sum[r][h] = t->is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + r * t->sums_stride + 8 * h);
    }
  }
  for (int64_t pair = 0; pair < t->pairs; pair++) {
    struct pairs w[4];
#pragma unroll
    for (int h = 0; h < halves; h++) {
      const uint8_t *at = weight + h / 2 * t->panel_bytes + pair * 64 + h % 2 * 32;
      w[h] = split(_mm256_loadu_si256((const __m256i *)at));
    }
#pragma unroll
    for (int r = 0; r < rows; r++) {
      int32_t both;
      memcpy(&both, x + r * t->row_bytes + pair * 4, 4);
      const struct pairs activations = split(_mm256_set1_epi32(both));
#pragma unroll
      for (int h = 0; h < halves; h++) {
        // The order of `vdpbf16ps`, under flushing of subnormals.
        sum[r][h] = _mm256_fmadd_ps(w[h].even, activations.even, _mm256_fmadd_ps(w[h].odd, activations.odd, sum[r][h]));
      }
    }
  }
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int h = 0; h < halves; h++) _mm256_storeu_ps(sums + r * t->sums_stride + 8 * h, sum[r][h]);
  }
}

TARGET void angel_avx2_bf16(const struct angel_bf16_tile *t) {
  int32_t row = 0;
  for (; row + 4 <= t->rows; row += 4) {
    for (int32_t half = 0; half < 2 * t->panels; half += 2) rows_at(t, row, half, 4, 2);
  }
  for (; row < t->rows; row++) {
    int32_t half = 0;
    for (; half + 4 <= 2 * t->panels; half += 4) rows_at(t, row, half, 1, 4);
    if (half < 2 * t->panels) rows_at(t, row, half, 1, 2);
  }
}
#endif
