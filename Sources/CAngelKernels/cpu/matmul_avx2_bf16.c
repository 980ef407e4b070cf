// matmul with AVX2 and FMA: rows of bfloat16 against bfloat16 panels. A few rows are widened in registers, more of them
// once for the panels of a tile, odd elements before even ones: what is left is the float32 tile.
//
// One core of a Zen 3 VM (multiply-add peak 103 GFLOP/s), CPU time, shared machine, 512 rows, all widened in registers
// and now: 576x576 74, 91 GFLOP/s; 1536x576 73, 88. Weights from memory, 2048x2048, 8192x2048, 2048x8192, without and with
// lines fetched ahead: one row 13.0 and 16.5, 14.0 and 16.4, 15.1 and 15.0 GB/s; three 12.2 and 16.9, 13.0 and 16.9, 13.9
// and 15.9.
#include "matmul_engine.h"

#if defined(ANGEL_X86)
#include <immintrin.h>

#define TARGET ANGEL_TARGET_AVX2
#define TARGET_INLINE static inline __attribute__((always_inline)) TARGET

enum { PREFETCH_BYTES = 2048 };

struct pairs {
  __m256 even, odd;
};
TARGET_INLINE struct pairs split(__m256i both) {
  return (struct pairs){
    _mm256_castsi256_ps(_mm256_slli_epi32(both, 16)),
    _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32((int32_t)0xffff0000)))};
}

// One panel and a few rows, in registers.
TARGET_INLINE void few_rows(const struct angel_bf16_tile *t, int32_t panel, const int rows) {
  const uint8_t *x = t->input, *weight = t->weight + panel * t->panel_bytes;
  float *sums = t->sums + panel * ANGEL_PANEL;
  __m256 sum[ANGEL_BF16_TILE_ROWS][2];
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      sum[r][h] = t->is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + r * t->sums_stride + 8 * h);
    }
  }
  for (int64_t pair = 0; pair < t->pairs; pair++) {
    _mm_prefetch((const char *)weight + pair * 64 + PREFETCH_BYTES, _MM_HINT_T0);
    const struct pairs low = split(_mm256_loadu_si256((const __m256i *)(weight + pair * 64)));
    const struct pairs high = split(_mm256_loadu_si256((const __m256i *)(weight + pair * 64 + 32)));
#pragma unroll
    for (int r = 0; r < rows; r++) {
      int32_t both;
      memcpy(&both, x + r * t->row_bytes + pair * 4, 4);
      const struct pairs at = split(_mm256_set1_epi32(both));
      // The order of `vdpbf16ps`, under flushing of subnormals.
      sum[r][0] = _mm256_fmadd_ps(low.even, at.even, _mm256_fmadd_ps(low.odd, at.odd, sum[r][0]));
      sum[r][1] = _mm256_fmadd_ps(high.even, at.even, _mm256_fmadd_ps(high.odd, at.odd, sum[r][1]));
    }
  }
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int h = 0; h < 2; h++) _mm256_storeu_ps(sums + r * t->sums_stride + 8 * h, sum[r][h]);
  }
}

// Pairs of a row as float32, the odd element of each first; up to seven pairs more, which a row's padding has.
TARGET_INLINE void widen_row(const uint8_t *row, int64_t pairs, float *values) {
  for (int64_t pair = 0; pair < pairs; pair += 8, values += 16) {
    const struct pairs p = split(_mm256_loadu_si256((const __m256i *)(row + pair * 4)));
    const __m256 left = _mm256_unpacklo_ps(p.odd, p.even), right = _mm256_unpackhi_ps(p.odd, p.even);
    _mm256_store_ps(values, _mm256_permute2f128_ps(left, right, 0x20));
    _mm256_store_ps(values + 8, _mm256_permute2f128_ps(left, right, 0x31));
  }
}

// Pairs of a panel as float32, [2 * pairs][16], the odd element of each first.
TARGET_INLINE void widen_panel(const uint8_t *panel, int64_t pairs, float *values) {
  for (int64_t pair = 0; pair < pairs; pair++, panel += 64, values += 32) {
    const struct pairs low = split(_mm256_loadu_si256((const __m256i *)panel));
    const struct pairs high = split(_mm256_loadu_si256((const __m256i *)(panel + 32)));
    _mm256_store_ps(values, low.odd);
    _mm256_store_ps(values + 8, high.odd);
    _mm256_store_ps(values + 16, low.even);
    _mm256_store_ps(values + 24, high.even);
  }
}

#include "matmul_avx2_bf16_tiles.h"

TARGET void angel_avx2_bf16(const struct angel_bf16_tile *t) { all_rows(t); }
#endif
