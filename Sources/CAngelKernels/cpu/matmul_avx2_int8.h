// What the AVX2 tiles of int8 rows (matmul_avx2_int8.c) and the readers of packed panels (matmul_avx2_stream.c) share:
// how long products may run up in 16 bits, and how a block goes into the chain of sums.
#pragma once
#include "matmul_engine.h"

#if defined(ANGEL_X86)
#include <immintrin.h>

#define TARGET ANGEL_TARGET_AVX2
#define TARGET_INLINE static inline __attribute__((always_inline)) TARGET

TARGET_INLINE __m256i load_line(const uint8_t *line) {
  return _mm256_loadu_si256((const __m256i *)(const void *)line);
}

// The integer sum of a block with a scale per half, from the sums of both halves, which fit 16 bits.
TARGET_INLINE __m256i scaled_halves(__m256i first, __m256i second, __m256i scales_and_mins) {
  const __m256i both = _mm256_blend_epi16(first, _mm256_slli_epi32(second, 16), 0xaa);
  return _mm256_madd_epi16(both, _mm256_and_si256(scales_and_mins, _mm256_set1_epi32(0x000f000f)));
}

// The sum of both halves' minimum times the sum of the activations there.
TARGET_INLINE __m256 summed_minima(__m256i scales_and_mins, const union angel_row_term *term) {
  const __m256i minima = _mm256_and_si256(_mm256_srli_epi16(scales_and_mins, 4), _mm256_set1_epi32(0x000f000f));
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(minima, _mm256_set1_epi32(term->start)));
}

// How long products may run up in 16 bits, and what becomes of the sums. They are exact however they are cut.
enum form {
  ONE_RUN,  // quants up to 15: a whole block, 15 * 127 * 16 = 30480
  TWO_RUNS, // quants up to 31: half a block, 31 * 127 * 8 = 31496
  HALVES,   // quants up to 63 less an offset of 32, half a block from a start of its own, times a scale
  MINIMA,   // quants up to 3, half a block; scales and minima of both halves at once
  BYTES     // a group at a time; or two runs of a block where low and high four bits lie apart
};

ANGEL_INLINE enum form form_of(struct angel_geometry geometry) {
  switch (geometry.kind) {
    case ANGEL_OFFSET_BLOCK:
      return geometry.offset == 128 ? BYTES : geometry.offset == 16 ? TWO_RUNS : ONE_RUN;
    case ANGEL_MINIMUM_BLOCK: return geometry.block_bytes > 256 ? TWO_RUNS : ONE_RUN;
    case ANGEL_HALVES_BLOCK: return HALVES;
    case ANGEL_MINIMA_BLOCK: return MINIMA;
  }
}

// One more block in the chain of matmul.h, for eight lanes of one row: the integer sum, the scales and the row's terms.
TARGET_INLINE __m256 extend(
  __m256 sum, __m256i dot, enum angel_block_kind kind, __m256 d, __m256 minimum, __m256i scales_and_mins,
  float x_scale, const union angel_row_term *terms) {
  sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(d, _mm256_set1_ps(x_scale)), sum);
  if (kind == ANGEL_MINIMUM_BLOCK) sum = _mm256_fmadd_ps(minimum, _mm256_set1_ps(terms->shift), sum);
  if (kind == ANGEL_MINIMA_BLOCK) {
    const __m256 shift = _mm256_mul_ps(_mm256_set1_ps(x_scale), summed_minima(scales_and_mins, terms));
    sum = _mm256_fmadd_ps(minimum, shift, sum);
  }
  return sum;
}
#endif
