// matmul with AVX2: tiles of int8 rows against unpacked blocks. A panel is two registers of eight lanes.
//
// One core of a Zen 3 VM, CPU time, shared machine, 512 rows, 1536 x 576 (512 for k formats), with two rows and eight
// lanes at a time and now with four rows and sixteen: q4_0 150, 207 Gop/s; q4_1 144, 204; q4_K 143, 205; q5_0 150, 191;
// q6_K 126, 180; q2_K 113, 145; q8_0 80, 112; iq4_nl 81, 111. `vpmaddubsw` and the addition of what it gives alone,
// with their loads, reach 285 there: the units that multiply add too, and the processor does not keep additions off them.
#include "matmul_avx2_int8.h"

#if defined(ANGEL_X86)
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
    dot_block(block, form == BYTES ? nibbles + at : nibbles, form, x.q + b * ANGEL_BLOCK, t->row_bytes, terms, t->terms_stride, dot, rows);
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
#endif
