// matmul with AVX2: int8 rows against unpacked blocks, or few of them against packed panels straight from memory. A
// panel is two registers of eight lanes, which are worked on one after the other.
#include "matmul_engine.h"

#if defined(ANGEL_X86)
#include <immintrin.h>

#define TARGET ANGEL_TARGET_AVX2
#define TARGET_INLINE static inline __attribute__((always_inline)) TARGET

enum { PREFETCH_BYTES = 4096 };

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

TARGET_INLINE __m256i load_line(const uint8_t *line) {
  return _mm256_loadu_si256((const __m256i *)(const void *)line);
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
    block->scale[0] = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)scale));
    block->scale[1] = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(scale + 16)));
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

// Sums over four groups (16 elements) of eight lanes, as int32. Without VNNI they run up in 16 bits as long as they
// fit: four groups of quants up to 31 (31 * 127 * 8 = 31496), two of quants up to 63, one of q8_0.
TARGET_INLINE __m256i dot_half(const __m256i q[4], const int8_t *x, enum angel_block_kind kind, const int is_wide) {
  const __m256i p0 = four_products(q[0], x, is_wide), p1 = four_products(q[1], x + 4, is_wide);
  const __m256i p2 = four_products(q[2], x + 8, is_wide), p3 = four_products(q[3], x + 12, is_wide);
  if (is_wide) {
    return _mm256_add_epi32(
      _mm256_add_epi32(widen_sums(p0), widen_sums(p1)), _mm256_add_epi32(widen_sums(p2), widen_sums(p3)));
  }
  const __m256i low = _mm256_add_epi16(p0, p1), high = _mm256_add_epi16(p2, p3);
  if (kind == ANGEL_HALVES_BLOCK) return _mm256_add_epi32(widen_sums(low), widen_sums(high));
  return widen_sums(_mm256_add_epi16(low, high));
}

// One more block in the chain of matmul.h, for eight lanes of one row: its activations, their scale and their terms.
TARGET_INLINE __m256 extend(
  __m256 sum, const struct half_block *block, enum angel_block_kind kind, const int is_wide, const int8_t *x,
  float x_scale, const union angel_row_term *terms) {
  const __m256 scale = _mm256_mul_ps(block->d, _mm256_set1_ps(x_scale));
  __m256i first = dot_half(block->q, x, kind, is_wide), second = dot_half(block->q + 4, x + 16, kind, is_wide);
  if (kind == ANGEL_HALVES_BLOCK) {
    first = _mm256_mullo_epi32(_mm256_add_epi32(first, _mm256_set1_epi32(terms[0].start)), block->scale[0]);
    second = _mm256_mullo_epi32(_mm256_add_epi32(second, _mm256_set1_epi32(terms[1].start)), block->scale[1]);
  }
  if (kind == ANGEL_MINIMA_BLOCK) {
    sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(scaled_halves(first, second, block->scale[0])), scale, sum);
    const __m256 shift = _mm256_mul_ps(_mm256_set1_ps(x_scale), summed_minima(block->scale[0], terms));
    return _mm256_fmadd_ps(block->minimum, shift, sum);
  }
  __m256i dot = _mm256_add_epi32(first, second);
  if (kind == ANGEL_OFFSET_BLOCK && !is_wide) dot = _mm256_add_epi32(dot, _mm256_set1_epi32(terms->start));
  sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, sum);
  if (kind == ANGEL_MINIMUM_BLOCK) sum = _mm256_fmadd_ps(block->minimum, _mm256_set1_ps(terms->shift), sum);
  return sum;
}

// --- Tiles -----------------------------------------------------------------------------------------------------------

TARGET_INLINE struct half_block half_of(const struct angel_block *block, int lane, enum angel_block_kind kind) {
  struct half_block half;
#pragma unroll
  for (int g = 0; g < 8; g++) half.q[g] = load_line(block->q[g] + 4 * lane);
  half.d = _mm256_load_ps(block->d + lane);
  if (kind == ANGEL_MINIMUM_BLOCK) half.minimum = _mm256_load_ps(block->minimum + lane);
  if (kind == ANGEL_HALVES_BLOCK) {
    half.scale[0] = load_line((const uint8_t *)(block->scale[0] + lane));
    half.scale[1] = load_line((const uint8_t *)(block->scale[1] + lane));
  }
  if (kind == ANGEL_MINIMA_BLOCK) {
    half.minimum = _mm256_load_ps(block->negative_dmin + lane);
    half.scale[0] = load_line((const uint8_t *)(block->scales_and_mins + lane));
  }
  return half;
}

// Two rows at a time share the loads of eight lanes of a panel.
TARGET_INLINE void int8_rows(
  const struct angel_int8_tile *t, int32_t row, enum angel_block_kind kind, const int is_wide, const int rows) {
  const struct angel_int8_row x = angel_int8_row_at(t->input + row * t->row_bytes, t->depth);
  const int64_t scale_stride = t->row_bytes / (int64_t)sizeof(float), each = angel_terms_per_block(kind);
  const union angel_row_term *terms = t->terms + row * t->terms_stride;
  for (int32_t half = 0; half < 2 * t->panels; half++) {
    float *sums = t->sums + row * t->sums_stride + 8 * half;
    const struct angel_block *blocks = t->weight + half / 2 * t->weight_stride;
    __m256 sum[2];
#pragma unroll
    for (int r = 0; r < rows; r++) {
      sum[r] = t->is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + r * t->sums_stride);
    }
    for (int64_t at = 0; at < t->blocks; at++) {
      const struct half_block block = half_of(&blocks[at], half % 2 * 8, kind);
      const int64_t b = t->first_block + at;
#pragma unroll
      for (int r = 0; r < rows; r++) {
        sum[r] = extend(
          sum[r], &block, kind, is_wide, x.q + r * t->row_bytes + b * ANGEL_BLOCK, x.scale[r * scale_stride + b],
          terms + r * t->terms_stride + b * each);
      }
    }
#pragma unroll
    for (int r = 0; r < rows; r++) _mm256_storeu_ps(sums + r * t->sums_stride, sum[r]);
  }
}

#define INT8(name, kind, is_wide)                                                     \
  TARGET static void int8_##name(const struct angel_int8_tile *t) {                   \
    int32_t row = 0;                                                                  \
    for (; row + 2 <= t->rows; row += 2) int8_rows(t, row, kind, is_wide, 2);         \
    if (row < t->rows) int8_rows(t, row, kind, is_wide, 1);                           \
  }
INT8(offset, ANGEL_OFFSET_BLOCK, 0)
INT8(wide, ANGEL_OFFSET_BLOCK, 1)
INT8(minimum, ANGEL_MINIMUM_BLOCK, 0)
INT8(halves, ANGEL_HALVES_BLOCK, 0)
INT8(minima, ANGEL_MINIMA_BLOCK, 0)

void angel_avx2_int8(const struct angel_int8_tile *t) {
  switch (t->geometry.kind) {
    case ANGEL_OFFSET_BLOCK: return t->geometry.offset == 128 ? int8_wide(t) : int8_offset(t);
    case ANGEL_MINIMUM_BLOCK: return int8_minimum(t);
    case ANGEL_HALVES_BLOCK: return int8_halves(t);
    case ANGEL_MINIMA_BLOCK: return int8_minima(t);
  }
}

TARGET void angel_avx2_terms(
  struct angel_geometry geometry, struct angel_int8_row row, int64_t blocks, union angel_row_term *terms) {
  angel_find_terms(geometry, row, blocks, terms);
}

// --- Packed panels ---------------------------------------------------------------------------------------------------

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
    sum[r] = extend(sum[r], &block, geometry.kind, geometry.offset == 128, q, scale, terms);
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
