// matmul with AVX2: packed panels, read straight from memory for one or two int8 rows, or unpacked into blocks for the
// tiles of matmul_avx2_int8.c. Half a panel, eight lanes, at a time.
#include "matmul_avx2_int8.h"

#if defined(ANGEL_X86)
enum { PREFETCH_BYTES = 2048 };  // one row of q8_0 from memory, a core of a Zen 3: 17.6 GB/s, 16.2 at 4096

// Eight lanes of one 32-block of a panel.
struct half_block {
  __m256i q[8];
  __m256 d, minimum;
  __m256i scale[2];
};

TARGET_INLINE __m256 load_halves(const uint8_t *halves) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)halves));
}

TARGET_INLINE __m256 load_bytes(const uint8_t *bytes) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)bytes)));
}

// Eight signed bytes, each twice in the 16 bits of a pair.
TARGET_INLINE __m256i load_scale_pairs(const uint8_t *bytes) {
  const __m128i scales = _mm_loadl_epi64((const __m128i *)(const void *)bytes);
  return _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(scales, scales));
}

// The scales of lanes `lane` ..< lane + 8 of block `index` of a group.
TARGET_INLINE void load_scales(
  angel_dtype dtype, const uint8_t *group, int64_t index, int lane, struct half_block *block) {
  block->d = load_halves(group + 2 * lane);
  if (dtype == ANGEL_Q4_1 || dtype == ANGEL_Q5_1) block->minimum = load_halves(group + 32 + 2 * lane);
  if (dtype == ANGEL_Q4_K || dtype == ANGEL_Q5_K) {
    const uint8_t *scale = group + 64 + index * 16 + lane;
    const __m256 minimum = _mm256_mul_ps(load_halves(group + 32 + 2 * lane), load_bytes(scale + 128));
    block->d = _mm256_mul_ps(block->d, load_bytes(scale));
    block->minimum = _mm256_xor_ps(minimum, _mm256_set1_ps(-0.0f));
  }
  if (dtype == ANGEL_Q6_K || dtype == ANGEL_Q3_K) {
    const uint8_t *scale = group + 32 + index * 32 + lane;
    block->scale[0] = load_scale_pairs(scale);
    block->scale[1] = load_scale_pairs(scale + 16);
  }
  if (dtype == ANGEL_IQ4_XS) {
    const __m128i scale = _mm_loadl_epi64((const __m128i *)(const void *)(group + 32 + index * 16 + lane));
    block->d = _mm256_mul_ps(block->d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(scale)));
  }
  if (dtype == ANGEL_Q2_K) {
    const uint8_t *scale = group + 64 + index * 32 + lane;
    const __m256i second = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(scale + 16)));
    block->scale[0] = _mm256_or_si256(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)scale)), _mm256_slli_epi32(second, 16));
    block->minimum = _mm256_xor_ps(load_halves(group + 32 + 2 * lane), _mm256_set1_ps(-0.0f));
  }
}

// `value` in every byte whose bit of the 32 is set.
TARGET_INLINE __m256i high_bits(const uint8_t *high, char value) {
  int32_t bits;
  memcpy(&bits, high, 4);
  const __m256i byte_of = _mm256_setr_epi64x(
    0x0000000000000000, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit_of = _mm256_set1_epi64x((int64_t)0x8040201008040201);
  const __m256i spread = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(bits), byte_of), bit_of);
  return _mm256_and_si256(_mm256_cmpeq_epi8(spread, bit_of), _mm256_set1_epi8(value));
}

// Eight groups of two bits each.
TARGET_INLINE void load_two_bits(const uint8_t *packed, int lane, __m256i q[8]) {
#pragma unroll
  for (int g = 0; g < 8; g++) {
    const __m256i four_groups = load_line(packed + 64 * (g / 4) + 4 * lane);
    q[g] = _mm256_and_si256(_mm256_srli_epi16(four_groups, 2 * (g % 4)), _mm256_set1_epi8(3));
  }
}

TARGET_INLINE void load_quants(angel_dtype dtype, const uint8_t *packed, int lane, __m256i q[8]) {
  const __m256i fifteen = _mm256_set1_epi8(15);
  const int has_fifth = dtype == ANGEL_Q5_0 || dtype == ANGEL_Q5_1 || dtype == ANGEL_Q5_K;
  if (dtype == ANGEL_Q8_0) {
#pragma unroll
    for (int g = 0; g < 8; g++) q[g] = load_line(packed + 64 * g + 4 * lane);
    return;
  }
  if (dtype == ANGEL_Q2_K || dtype == ANGEL_TQ2_0) return load_two_bits(packed, lane, q);
  if (dtype == ANGEL_Q3_K) {
    load_two_bits(packed + 64, lane, q);
#pragma unroll
    for (int g = 0; g < 8; g++) q[g] = _mm256_or_si256(q[g], high_bits(packed + 8 * g + lane / 2, 4));
    return;
  }
#pragma unroll
  for (int j = 0; j < 4; j++) {
    const __m256i both = load_line(packed + (has_fifth ? 64 : 0) + 64 * j + 4 * lane);
    q[j] = _mm256_and_si256(both, fifteen);
    q[4 + j] = _mm256_and_si256(_mm256_srli_epi16(both, 4), fifteen);
  }
#pragma unroll
  for (int g = 0; g < 8; g++) {
    if (has_fifth) q[g] = _mm256_or_si256(q[g], high_bits(packed + 8 * g + lane / 2, 16));
    if (dtype == ANGEL_IQ4_NL || dtype == ANGEL_IQ4_XS) {
      const __m128i values = _mm_loadu_si128((const __m128i *)(const void *)angel_iq4_values);
      q[g] = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(values), q[g]);
    }
    if (dtype == ANGEL_Q6_K) {
      const __m256i top = load_line(packed + 256 + 64 * (g / 4) + 4 * lane);
      const int shift = 2 * (g % 4);
      const __m256i placed = shift <= 4 ? _mm256_slli_epi16(top, 4 - shift) : _mm256_srli_epi16(top, 2);
      q[g] = _mm256_or_si256(q[g], _mm256_and_si256(placed, _mm256_set1_epi8(0x30)));
    }
  }
}

// Products of four quants with four activations, two and two added in 16 bits. Bytes of q8_0 reach 255 and would
// saturate, so their offset is taken off first and their sign moved to the activations: 128 * 127 twice is 32512.
TARGET_INLINE __m256i four_products(__m256i quant, const int8_t *x, const int is_wide) {
  int32_t bytes;
  memcpy(&bytes, x, 4);
  const __m256i activation = _mm256_set1_epi32(bytes);
  if (!is_wide) return _mm256_maddubs_epi16(quant, activation);
  const __m256i centred = _mm256_xor_si256(quant, _mm256_set1_epi8(-128));
  return _mm256_maddubs_epi16(_mm256_abs_epi8(centred), _mm256_sign_epi8(activation, centred));
}

TARGET_INLINE __m256i widen_sums(__m256i words) { return _mm256_madd_epi16(words, _mm256_set1_epi16(1)); }

// The integer sum of eight lanes of a block with a row.
TARGET_INLINE __m256i dot_row(
  const struct half_block *block, const enum form form, const int8_t *x, const union angel_row_term *terms) {
  __m256i p[8];
#pragma unroll
  for (int g = 0; g < 8; g++) p[g] = four_products(block->q[g], x + 4 * g, form == BYTES);
  if (form == BYTES) {
#pragma unroll
    for (int g = 0; g < 8; g++) p[g] = widen_sums(p[g]);
    return _mm256_add_epi32(
      _mm256_add_epi32(_mm256_add_epi32(p[0], p[1]), _mm256_add_epi32(p[2], p[3])),
      _mm256_add_epi32(_mm256_add_epi32(p[4], p[5]), _mm256_add_epi32(p[6], p[7])));
  }
  __m256i first = _mm256_add_epi16(_mm256_add_epi16(p[0], p[1]), _mm256_add_epi16(p[2], p[3]));
  __m256i second = _mm256_add_epi16(_mm256_add_epi16(p[4], p[5]), _mm256_add_epi16(p[6], p[7]));
  switch (form) {
    case ONE_RUN: return widen_sums(_mm256_add_epi16(first, second));
    case HALVES:
      first = _mm256_add_epi16(first, _mm256_set1_epi32(terms[0].start));
      second = _mm256_add_epi16(second, _mm256_set1_epi32(terms[1].start));
      return _mm256_add_epi32(_mm256_madd_epi16(first, block->scale[0]), _mm256_madd_epi16(second, block->scale[1]));
    case MINIMA: return scaled_halves(widen_sums(first), widen_sums(second), block->scale[0]);
    default: return _mm256_add_epi32(widen_sums(first), widen_sums(second));
  }
}

// One block for lanes `lane` ..< lane + 8 of one or two rows.
TARGET_INLINE void extend_rows(
  angel_dtype dtype, const struct angel_int8_tile *t, int64_t b, const uint8_t *group, const int lane, const int rows,
  __m256 sum[2]) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  const struct angel_int8_row x = angel_int8_row_at(t->input, t->depth);
  const int64_t index = b % geometry.blocks, each = angel_terms_per_block(geometry.kind);
  struct half_block block;
  load_scales(dtype, group, index, lane, &block);
  load_quants(dtype, group + geometry.header_bytes + index * geometry.block_bytes, lane, block.q);
#pragma unroll
  for (int r = 0; r < rows; r++) {
    const float scale = x.scale[r * (t->row_bytes / (int64_t)sizeof(float)) + b];
    const int8_t *q = x.q + r * t->row_bytes + b * ANGEL_BLOCK;
    const union angel_row_term *terms = t->terms + r * t->terms_stride + b * each;
    const enum form form = form_of(geometry);
    __m256i dot = dot_row(&block, form, q, terms);
    // Bytes have had their offset taken off.
    if (geometry.kind == ANGEL_OFFSET_BLOCK && form != BYTES) {
      dot = _mm256_add_epi32(dot, _mm256_set1_epi32(terms->start));
    }
    sum[r] = extend(sum[r], dot, geometry.kind, block.d, block.minimum, block.scale[0], scale, terms);
  }
}

TARGET_INLINE void stream_rows(
  angel_dtype dtype, const struct angel_int8_tile *t, const uint8_t *panel, const int rows) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  const uint8_t *group = panel;
  __m256 low[2], high[2];
#pragma unroll
  for (int r = 0; r < rows; r++) low[r] = high[r] = _mm256_setzero_ps();
  for (int64_t b = 0; b < t->depth / ANGEL_BLOCK; group += angel_group_bytes(geometry)) {
    const char *ahead = (const char *)group + geometry.header_bytes + PREFETCH_BYTES;
    for (int32_t index = 0; index < geometry.blocks; index++, b++, ahead += geometry.block_bytes) {
      for (int32_t line = 0; line < geometry.block_bytes; line += 64) _mm_prefetch(ahead + line, _MM_HINT_T0);
      extend_rows(dtype, t, b, group, 0, rows, low);
      extend_rows(dtype, t, b, group, 8, rows, high);
    }
  }
#pragma unroll
  for (int r = 0; r < rows; r++) {
    _mm256_storeu_ps(t->sums + r * t->sums_stride, low[r]);
    _mm256_storeu_ps(t->sums + r * t->sums_stride + 8, high[r]);
  }
}

TARGET_INLINE void stream_panel(angel_dtype dtype, const struct angel_int8_tile *t, const uint8_t *panel) {
  if (t->rows == 1) {
    stream_rows(dtype, t, panel, 1);
  } else {
    stream_rows(dtype, t, panel, 2);
  }
}

TARGET void angel_avx2_stream(angel_dtype dtype, const struct angel_int8_tile *t, const uint8_t *panel) {
#define BODY(constant) stream_panel(constant, t, panel)
  ANGEL_WITH_BLOCK_DTYPE(dtype, BODY)
#undef BODY
}

TARGET_INLINE void unpack_half(
  angel_dtype dtype, const uint8_t *group, int64_t index, const int lane, struct angel_block *target) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  struct half_block block;
  load_scales(dtype, group, index, lane, &block);
  load_quants(dtype, group + geometry.header_bytes + index * geometry.block_bytes, lane, block.q);
#pragma unroll
  for (int g = 0; g < 8; g++) _mm256_store_si256((__m256i *)(void *)(target->q[g] + 4 * lane), block.q[g]);
  _mm256_store_ps(target->d + lane, block.d);
  if (geometry.kind == ANGEL_MINIMUM_BLOCK) _mm256_store_ps(target->minimum + lane, block.minimum);
  if (geometry.kind == ANGEL_HALVES_BLOCK) {
    _mm256_store_si256((__m256i *)(void *)(target->scale[0] + lane), block.scale[0]);
    _mm256_store_si256((__m256i *)(void *)(target->scale[1] + lane), block.scale[1]);
  }
  if (geometry.kind == ANGEL_MINIMA_BLOCK) {
    _mm256_store_ps(target->negative_dmin + lane, block.minimum);
    _mm256_store_si256((__m256i *)(void *)(target->scales_and_mins + lane), block.scale[0]);
  }
}

TARGET_INLINE void unpack_stretch(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  for (int64_t b = 0; b < stretch.count; b++) {
    const int64_t at = stretch.first + b;
    const uint8_t *group = stretch.panel + at / geometry.blocks * angel_group_bytes(geometry);
    unpack_half(dtype, group, at % geometry.blocks, 0, &blocks[b]);
    unpack_half(dtype, group, at % geometry.blocks, 8, &blocks[b]);
  }
}

TARGET void angel_avx2_unpack(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks) {
#define BODY(constant) unpack_stretch(constant, stretch, blocks)
  ANGEL_WITH_BLOCK_DTYPE(dtype, BODY)
#undef BODY
}
#endif
