// What the AVX-512 parts of matmul share: a lane is an output row, one register is one panel, and nothing is summed
// across lanes. Dense tiles are in matmul_avx512_dense.c, int8 tiles in matmul_avx512_int8.c, few rows of
// int8 in matmul_avx512_stream.c.
#pragma once
#include "matmul_engine.h"

#if defined(ANGEL_X86)
#include <immintrin.h>

#define TARGET ANGEL_TARGET_AVX512
#define TARGET_INLINE static inline __attribute__((always_inline)) TARGET

enum {
  PREFETCH_BYTES = 4096,  // measured best of 512 ... 4096 for weights in memory: 14.0 against 10.7 GB/s for q4_0
};

void angel_avx512_terms(
  struct angel_geometry geometry, struct angel_int8_row row, int64_t blocks, union angel_row_term *terms);
void angel_avx512_int8(const struct angel_int8_tile *t);
void angel_avx512_unpack(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks);
void angel_avx512_stream(angel_dtype dtype, const struct angel_int8_tile *t, const uint8_t *panel);

// Four activations in every lane.
TARGET_INLINE __m512i four(const int8_t *q, int g) {
  int32_t bytes;
  memcpy(&bytes, q + 4 * g, 4);
  return _mm512_set1_epi32(bytes);
}

// One 32-block of a panel.
struct block_registers {
  __m512i q[8];
  __m512 d, minimum;
  __m512i scale[2];
};

TARGET_INLINE __m512 load_halves(const uint8_t *halves) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)halves));
}

TARGET_INLINE __m512 load_bytes(const uint8_t *bytes) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)bytes)));
}

TARGET_INLINE void load_scales(angel_dtype dtype, const uint8_t *group, int64_t index, struct block_registers *block) {
  block->d = load_halves(group);
  if (dtype == ANGEL_Q4_1 || dtype == ANGEL_Q5_1) block->minimum = load_halves(group + 32);
  if (dtype == ANGEL_Q4_K || dtype == ANGEL_Q5_K) {
    const uint8_t *scale = group + 64 + index * 16;
    const __m512 minimum = _mm512_mul_ps(load_halves(group + 32), load_bytes(scale + 128));
    block->d = _mm512_mul_ps(block->d, load_bytes(scale));
    block->minimum = _mm512_xor_ps(minimum, _mm512_set1_ps(-0.0f));
  }
  if (dtype == ANGEL_Q6_K || dtype == ANGEL_Q3_K) {
    const uint8_t *scale = group + 32 + index * 32;
    block->scale[0] = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)scale));
    block->scale[1] = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(scale + 16)));
  }
  if (dtype == ANGEL_IQ4_XS) {
    const __m128i scale = _mm_loadu_si128((const __m128i *)(group + 32 + index * 16));
    block->d = _mm512_mul_ps(block->d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(scale)));
  }
  if (dtype == ANGEL_Q2_K) {
    const uint8_t *scale = group + 64 + index * 32;
    const __m512i second = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(scale + 16)));
    block->scale[0] = _mm512_or_si512(
      _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)scale)), _mm512_slli_epi32(second, 16));
    block->minimum = _mm512_xor_ps(load_halves(group + 32), _mm512_set1_ps(-0.0f));
  }
}

// Eight groups of two bits each.
TARGET_INLINE void load_two_bits(const uint8_t *packed, __m512i q[8]) {
  const __m512i three = _mm512_set1_epi8(3);
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const __m512i four_groups = _mm512_loadu_si512(packed + 64 * half);
#pragma unroll
    for (int g = 0; g < 4; g++) {
      q[4 * half + g] = _mm512_and_si512(_mm512_srli_epi16(four_groups, (unsigned)(2 * g)), three);
    }
  }
}

// Adds `value` to every quant whose bit is set.
TARGET_INLINE void add_high_bits(const uint8_t *packed, char value, __m512i q[8]) {
#pragma unroll
  for (int g = 0; g < 8; g++) {
    uint64_t high;
    memcpy(&high, packed + 8 * g, 8);
    q[g] = _mm512_mask_add_epi8(q[g], _cvtu64_mask64(high), q[g], _mm512_set1_epi8(value));
  }
}

// The integer sum of a block with a scale per half, from the sums of both halves, which fit 16 bits.
TARGET_INLINE __m512i scaled_halves(__m512i first, __m512i second, __m512i scales_and_mins) {
  const __m512i both = _mm512_mask_blend_epi16(0xaaaaaaaa, first, _mm512_slli_epi32(second, 16));
  return _mm512_madd_epi16(both, _mm512_and_si512(scales_and_mins, _mm512_set1_epi32(0x000f000f)));
}

// The sum of both halves' minimum times the sum of the activations there.
TARGET_INLINE __m512 summed_minima(__m512i scales_and_mins, const union angel_row_term *term) {
  const __m512i minima = _mm512_and_si512(_mm512_srli_epi16(scales_and_mins, 4), _mm512_set1_epi32(0x000f000f));
  return _mm512_cvtepi32_ps(_mm512_madd_epi16(minima, _mm512_set1_epi32(term->start)));
}

TARGET_INLINE void load_quants(angel_dtype dtype, const uint8_t *packed, __m512i q[8]) {
  const __m512i fifteen = _mm512_set1_epi8(15);
  const int has_fifth = dtype == ANGEL_Q5_0 || dtype == ANGEL_Q5_1 || dtype == ANGEL_Q5_K;
  if (dtype == ANGEL_Q8_0) {
#pragma unroll
    for (int g = 0; g < 8; g++) q[g] = _mm512_loadu_si512(packed + 64 * g);
    return;
  }
  if (dtype == ANGEL_Q2_K || dtype == ANGEL_TQ2_0) return load_two_bits(packed, q);
  if (dtype == ANGEL_Q3_K) {
    load_two_bits(packed + 64, q);
    return add_high_bits(packed, 4, q);
  }
#pragma unroll
  for (int j = 0; j < 4; j++) {
    const __m512i both = _mm512_loadu_si512(packed + (has_fifth ? 64 : 0) + 64 * j);
    q[j] = _mm512_and_si512(both, fifteen);
    q[4 + j] = _mm512_and_si512(_mm512_srli_epi16(both, 4), fifteen);
  }
  if (has_fifth) add_high_bits(packed, 16, q);
  if (dtype == ANGEL_IQ4_NL || dtype == ANGEL_IQ4_XS) {
    const __m512i values = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)angel_iq4_values));
#pragma unroll
    for (int g = 0; g < 8; g++) q[g] = _mm512_shuffle_epi8(values, q[g]);
  }
  if (dtype == ANGEL_Q6_K) {
#pragma unroll
    for (int g = 0; g < 8; g++) {
      const __m512i top = _mm512_loadu_si512(packed + 256 + 64 * (g / 4));
      const int shift = 2 * (g % 4);
      const __m512i placed = shift <= 4 ? _mm512_slli_epi16(top, (unsigned)(4 - shift)) : _mm512_srli_epi16(top, 2);
      q[g] = _mm512_or_si512(q[g], _mm512_and_si512(placed, _mm512_set1_epi8(0x30)));
    }
  }
}
#endif
