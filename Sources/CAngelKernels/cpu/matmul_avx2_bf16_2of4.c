// matmul with AVX2 and FMA: rows of bfloat16 against 2:4 panels (pack.h). For a few rows, `vpermilps` picks of four
// activations the one that each lane's weight meets; for more, panels are widened into dense ones for the float32 tile.
#include "matmul_engine.h"

#if defined(ANGEL_X86)
#include <immintrin.h>

#define TARGET ANGEL_TARGET_AVX2
#define TARGET_INLINE static inline __attribute__((always_inline)) TARGET

enum { PREFETCH_BYTES = 2048, BLOCK_PAIRS = ANGEL_BLOCK / 2 };

// Four activations, in both halves of a register.
TARGET_INLINE __m256 load_quad(const uint8_t *x) {
  const __m128i words = _mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)(const void *)x));
  return _mm256_castsi256_ps(_mm256_broadcastsi128_si256(_mm_slli_epi32(words, 16)));
}

// One panel and a few rows, in registers: of every quad the elements kept, in the order of the dense product.
TARGET_INLINE void few_rows(const struct angel_bf16_tile *t, int32_t panel, const int rows) {
  const uint8_t *x = t->input, *block = t->weight + panel * t->panel_bytes;
  const __m256i upper = _mm256_set1_epi32((int32_t)0xffff0000);
  float *sums = t->sums + panel * ANGEL_PANEL;
  __m256 sum[ANGEL_BF16_TILE_ROWS][2];
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      sum[r][h] = t->is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + r * t->sums_stride + 8 * h);
    }
  }
  for (int64_t pair = 0; pair < t->pairs; pair += BLOCK_PAIRS, block += 576, x += 64) {
    __m256i places[2];
#pragma unroll
    for (int h = 0; h < 2; h++) places[h] = _mm256_loadu_si256((const __m256i *)(block + 512 + 32 * h));
    for (int line = 0; line < 576; line += 64) _mm_prefetch((const char *)block + PREFETCH_BYTES + line, _MM_HINT_T0);
#pragma unroll
    for (int quad = 0; quad < 8; quad++) {
      __m256 first[2], second[2];
      __m256i next[2];
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const __m256i both = _mm256_loadu_si256((const __m256i *)(block + 64 * quad + 32 * h));
        first[h] = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
        second[h] = _mm256_castsi256_ps(_mm256_and_si256(both, upper));
        next[h] = _mm256_srli_epi32(places[h], 2);
      }
#pragma unroll
      for (int r = 0; r < rows; r++) {
        const __m256 four = load_quad(x + r * t->row_bytes + 8 * quad);
#pragma unroll
        for (int h = 0; h < 2; h++) {
          sum[r][h] = _mm256_fmadd_ps(first[h], _mm256_permutevar_ps(four, places[h]), sum[r][h]);
          sum[r][h] = _mm256_fmadd_ps(second[h], _mm256_permutevar_ps(four, next[h]), sum[r][h]);
        }
      }
#pragma unroll
      for (int h = 0; h < 2; h++) places[h] = _mm256_srli_epi32(places[h], 4);
    }
  }
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int h = 0; h < 2; h++) _mm256_storeu_ps(sums + r * t->sums_stride + 8 * h, sum[r][h]);
  }
}

// A panel as dense float32, [2 * pairs][16], the odd element of each pair first.
TARGET_INLINE void widen_panel(const uint8_t *block, int64_t pairs, float *values) {
  // Elements come out in this order.
  static const int32_t order[4] = {1, 0, 3, 2};
  const __m256i upper = _mm256_set1_epi32((int32_t)0xffff0000), three = _mm256_set1_epi32(3);
  for (int64_t pair = 0; pair < pairs; pair += BLOCK_PAIRS, block += 576) {
    for (int h = 0; h < 2; h++) {
      __m256i places = _mm256_loadu_si256((const __m256i *)(block + 512 + 32 * h));
      for (int quad = 0; quad < 8; quad++, places = _mm256_srli_epi32(places, 4)) {
        const __m256i both = _mm256_loadu_si256((const __m256i *)(block + 64 * quad + 32 * h));
        const __m256i first = _mm256_slli_epi32(both, 16), second = _mm256_and_si256(both, upper);
        const __m256i at = _mm256_and_si256(places, three);
        const __m256i next = _mm256_and_si256(_mm256_srli_epi32(places, 2), three);
        float *target = values + (2 * pair + 4 * quad) * ANGEL_PANEL + 8 * h;
#pragma unroll
        for (int e = 0; e < 4; e++) {
          const __m256i element = _mm256_set1_epi32(order[e]);
          const __m256i value = _mm256_or_si256(
            _mm256_and_si256(first, _mm256_cmpeq_epi32(at, element)),
            _mm256_and_si256(second, _mm256_cmpeq_epi32(next, element)));
          _mm256_store_ps(target + e * ANGEL_PANEL, _mm256_castsi256_ps(value));
        }
      }
    }
  }
}

// Pairs of a row as float32, the odd element of each first.
TARGET_INLINE void widen_row(const uint8_t *row, int64_t pairs, float *values) {
  for (int64_t pair = 0; pair < pairs; pair += 2, values += 4) {
    const __m128i words = _mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(row + pair * 4)));
    _mm_store_si128((__m128i *)(void *)values, _mm_shuffle_epi32(_mm_slli_epi32(words, 16), 0xb1));
  }
}

#include "matmul_avx2_bf16_tiles.h"

TARGET void angel_avx2_bf16_2of4(const struct angel_bf16_tile *t) { all_rows(t); }
#endif
