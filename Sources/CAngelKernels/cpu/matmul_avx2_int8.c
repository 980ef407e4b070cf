// matmul with AVX2: int8 rows against unpacked blocks, or few of them against packed panels straight from memory. A
// panel is two registers of eight lanes.
//
// One core of a Zen 3 VM, CPU time, shared machine, 512 rows, 1536 x 576 (512 for k formats), with two rows and eight
// lanes at a time and now with four rows and sixteen: q4_0 150, 207 Gop/s; q4_1 144, 204; q4_K 143, 205; q5_0 150, 191;
// q6_K 126, 180; q2_K 113, 145; q8_0 80, 112; iq4_nl 81, 111. `vpmaddubsw` and the addition of what it gives alone,
// with their loads, reach 285 there: the units that multiply add too, and the processor does not keep additions off them.
#include "matmul_engine.h"

#if defined(ANGEL_X86)
#include <immintrin.h>

#define TARGET ANGEL_TARGET_AVX2
#define TARGET_INLINE static inline __attribute__((always_inline)) TARGET

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

// --- Tiles -----------------------------------------------------------------------------------------------------------

enum { TILE_ROWS = 4 };  // at most

// The quants of a block of bytes, low and high four bits apart.
struct nibbles {
  alignas(32) uint8_t low[8][64], high[8][64];
};

TARGET_INLINE void split_nibbles(const struct angel_block *block, struct nibbles *nibbles) {
  const __m256i fifteen = _mm256_set1_epi8(15);
  for (int at = 0; at < 512; at += 32) {
    const __m256i bytes = load_line(block->q[0] + at);
    _mm256_store_si256((__m256i *)(void *)(nibbles->low[0] + at), _mm256_and_si256(bytes, fifteen));
    _mm256_store_si256(
      (__m256i *)(void *)(nibbles->high[0] + at), _mm256_and_si256(_mm256_srli_epi16(bytes, 4), fifteen));
  }
}

// The compiler adds in pairs what may be added in any order, which takes more registers than there are.
#define ANGEL_IN_ORDER(value) __asm__("" : "+x"(value))

// Adds the products of `groups` groups of quants with a few rows of activations to sums of 16 bits.
TARGET_INLINE void run_up(
  const uint8_t (*q)[64], const int groups, const int8_t *x, int64_t stride, __m256i run[TILE_ROWS][2], const int rows,
  const int is_first) {
#pragma unroll
  for (int g = 0; g < groups; g++) {
    const __m256i low = load_line(q[g]), high = load_line(q[g] + 32);
#pragma unroll
    for (int r = 0; r < rows; r++) {
      int32_t bytes;
      memcpy(&bytes, x + r * stride + 4 * g, 4);
      const __m256i activation = _mm256_set1_epi32(bytes);
      const __m256i left = _mm256_maddubs_epi16(low, activation), right = _mm256_maddubs_epi16(high, activation);
      const int is_new = is_first && g == 0;
      run[r][0] = is_new ? left : _mm256_add_epi16(run[r][0], left);
      run[r][1] = is_new ? right : _mm256_add_epi16(run[r][1], right);
      ANGEL_IN_ORDER(run[r][0]);
      ANGEL_IN_ORDER(run[r][1]);
    }
  }
}

// dot = or += run * factor, pairs of 16 bits to 32.
TARGET_INLINE void widen_runs(
  __m256i run[TILE_ROWS][2], __m256i low, __m256i high, __m256i dot[TILE_ROWS][2], const int rows, const int is_first) {
#pragma unroll
  for (int r = 0; r < rows; r++) {
    const __m256i left = _mm256_madd_epi16(run[r][0], low), right = _mm256_madd_epi16(run[r][1], high);
    dot[r][0] = is_first ? left : _mm256_add_epi32(dot[r][0], left);
    dot[r][1] = is_first ? right : _mm256_add_epi32(dot[r][1], right);
  }
}

// The integer sums of a block with a few rows, for sixteen lanes.
TARGET_INLINE void dot_block(
  const struct angel_block *block, const struct nibbles *nibbles, const enum form form, const int8_t *x, int64_t stride,
  const union angel_row_term *terms, int64_t terms_stride, __m256i dot[TILE_ROWS][2], const int rows) {
  const __m256i one = _mm256_set1_epi16(1), sixteen = _mm256_set1_epi16(16);
  __m256i run[TILE_ROWS][2];
  switch (form) {
    case ONE_RUN:
      run_up(block->q, 8, x, stride, run, rows, 1);
      widen_runs(run, one, one, dot, rows, 1);
      break;
    case TWO_RUNS:
      run_up(block->q, 4, x, stride, run, rows, 1);
      widen_runs(run, one, one, dot, rows, 1);
      run_up(block->q + 4, 4, x + 16, stride, run, rows, 1);
      widen_runs(run, one, one, dot, rows, 0);
      break;
    case BYTES:
      run_up(nibbles->low, 8, x, stride, run, rows, 1);
      widen_runs(run, one, one, dot, rows, 1);
      run_up(nibbles->high, 8, x, stride, run, rows, 1);
      widen_runs(run, sixteen, sixteen, dot, rows, 0);
      break;
    case HALVES:
#pragma unroll
      for (int half = 0; half < 2; half++) {
#pragma unroll
        for (int r = 0; r < rows; r++) {
          run[r][0] = run[r][1] = _mm256_set1_epi32(terms[r * terms_stride + half].start);
        }
        run_up(block->q + 4 * half, 4, x + 16 * half, stride, run, rows, 0);
        const uint8_t *scale = (const uint8_t *)block->scale[half];
        widen_runs(run, load_line(scale), load_line(scale + 32), dot, rows, half == 0);
      }
      break;
    case MINIMA: {
      __m256i second[TILE_ROWS][2];
      run_up(block->q, 4, x, stride, run, rows, 1);
      widen_runs(run, one, one, dot, rows, 1);
      run_up(block->q + 4, 4, x + 16, stride, run, rows, 1);
      widen_runs(run, one, one, second, rows, 1);
#pragma unroll
      for (int i = 0; i < 2 * rows; i++) {
        const __m256i scales = load_line((const uint8_t *)(block->scales_and_mins + i % 2 * 8));
        dot[i / 2][i % 2] = scaled_halves(dot[i / 2][i % 2], second[i / 2][i % 2], scales);
      }
      break;
    }
  }
}

// A few rows against sixteen lanes of a panel, which share the loads.
TARGET_INLINE void int8_rows(
  const struct angel_int8_tile *t, const struct nibbles *nibbles, int32_t panel, int32_t row,
  enum angel_block_kind kind, const enum form form, const int rows) {
  const struct angel_int8_row x = angel_int8_row_at(t->input + row * t->row_bytes, t->depth);
  const int64_t scale_stride = t->row_bytes / (int64_t)sizeof(float), each = angel_terms_per_block(kind);
  const struct angel_block *blocks = t->weight + panel * t->weight_stride;
  float *sums = t->sums + row * t->sums_stride + panel * ANGEL_PANEL;
  __m256 sum[TILE_ROWS][2];
#pragma unroll
  for (int i = 0; i < 2 * rows; i++) {
    sum[i / 2][i % 2] = t->is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + i / 2 * t->sums_stride + i % 2 * 8);
  }
  for (int64_t at = 0; at < t->blocks; at++) {
    const struct angel_block *block = &blocks[at];
    const int64_t b = t->first_block + at;
    const union angel_row_term *terms = t->terms + row * t->terms_stride + b * each;
    __m256i dot[TILE_ROWS][2];
    dot_block(block, nibbles + at, form, x.q + b * ANGEL_BLOCK, t->row_bytes, terms, t->terms_stride, dot, rows);
#pragma unroll
    for (int i = 0; i < 2 * rows; i++) {
      const int r = i / 2, lane = i % 2 * 8;
      const union angel_row_term *term = terms + r * t->terms_stride;
      __m256i total = dot[r][i % 2];
      if (kind == ANGEL_OFFSET_BLOCK) total = _mm256_add_epi32(total, _mm256_set1_epi32(term->start));
      const float *minimum = kind == ANGEL_MINIMA_BLOCK ? block->negative_dmin : block->minimum;
      sum[r][i % 2] = extend(
        sum[r][i % 2], total, kind, _mm256_load_ps(block->d + lane), _mm256_load_ps(minimum + lane),
        load_line((const uint8_t *)(block->scales_and_mins + lane)), x.scale[r * scale_stride + b], term);
      // One row after the other, which loses where there is a second multiply-add to fill the wait.
      if (kind != ANGEL_MINIMUM_BLOCK) __asm__ volatile("" : "+x"(sum[r][i % 2]));
    }
  }
#pragma unroll
  for (int i = 0; i < 2 * rows; i++) _mm256_storeu_ps(sums + i / 2 * t->sums_stride + i % 2 * 8, sum[i / 2][i % 2]);
}

#define INT8(name, kind, form)                                                                                  \
  TARGET static void int8_##name(const struct angel_int8_tile *t) {                                             \
    struct nibbles nibbles[form == BYTES ? ANGEL_STRETCH_BLOCKS : 1];                                           \
    for (int32_t panel = 0; panel < t->panels; panel++) {                                                       \
      const struct angel_block *blocks = t->weight + panel * t->weight_stride;                                  \
      for (int64_t b = 0; form == BYTES && b < t->blocks; b++) split_nibbles(blocks + b, nibbles + b);          \
      int32_t row = 0;                                                                                          \
      for (; row + TILE_ROWS <= t->rows; row += TILE_ROWS) int8_rows(t, nibbles, panel, row, kind, form, TILE_ROWS); \
      for (; row + 2 <= t->rows; row += 2) int8_rows(t, nibbles, panel, row, kind, form, 2);                    \
      if (row < t->rows) int8_rows(t, nibbles, panel, row, kind, form, 1);                                      \
    }                                                                                                           \
  }
INT8(offset_one_run, ANGEL_OFFSET_BLOCK, ONE_RUN)
INT8(offset_two_runs, ANGEL_OFFSET_BLOCK, TWO_RUNS)
INT8(bytes, ANGEL_OFFSET_BLOCK, BYTES)
INT8(minimum_one_run, ANGEL_MINIMUM_BLOCK, ONE_RUN)
INT8(minimum_two_runs, ANGEL_MINIMUM_BLOCK, TWO_RUNS)
INT8(halves, ANGEL_HALVES_BLOCK, HALVES)
INT8(minima, ANGEL_MINIMA_BLOCK, MINIMA)

void angel_avx2_int8(const struct angel_int8_tile *t) {
  const enum form form = form_of(t->geometry);
  switch (form) {
    case HALVES: return int8_halves(t);
    case MINIMA: return int8_minima(t);
    case BYTES: return int8_bytes(t);
    case ONE_RUN: return t->geometry.kind == ANGEL_OFFSET_BLOCK ? int8_offset_one_run(t) : int8_minimum_one_run(t);
    case TWO_RUNS: return t->geometry.kind == ANGEL_OFFSET_BLOCK ? int8_offset_two_runs(t) : int8_minimum_two_runs(t);
  }
}

// As in angel_find_terms, but that the start of a half is two of 16 bits, each for the elements that its sum runs over:
// quants up to 63 less 32 with eight activations then stay within 16 bits, 32 * 127 * 8 = 32512.
TARGET static void find_starts(
  struct angel_geometry geometry, struct angel_int8_row row, int64_t blocks, union angel_row_term *terms) {
  for (int64_t h = 0; h < 2 * blocks; h++) {
    const __m128i q = _mm_loadu_si128((const __m128i *)(const void *)(row.q + 16 * h));
    __m128i sums = _mm_maddubs_epi16(_mm_set1_epi8(1), q);
    sums = _mm_add_epi16(sums, _mm_unpackhi_epi64(sums, sums));
    sums = _mm_add_epi16(sums, _mm_srli_epi64(sums, 32));
    terms[h].start = _mm_cvtsi128_si32(_mm_mullo_epi16(sums, _mm_set1_epi16((int16_t)-geometry.offset)));
  }
}

TARGET void angel_avx2_terms(
  struct angel_geometry geometry, struct angel_int8_row row, int64_t blocks, union angel_row_term *terms) {
  if (geometry.kind == ANGEL_HALVES_BLOCK) return find_starts(geometry, row, blocks, terms);
  angel_find_terms(geometry, row, blocks, terms);
}

// --- Packed panels ---------------------------------------------------------------------------------------------------

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
