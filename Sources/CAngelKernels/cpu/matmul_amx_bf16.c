// matmul with AMX: rows of bfloat16 against bfloat16 panels, in tiles. A panel's sixteen pairs are a tile as they lie,
// and so are sixteen rows; two by two tiles of sums use every loaded tile twice. All that is ever configured is how
// many rows the tiles of rows have: depth that does not fill a tile is filled with zeros (matmul.h).
//
// One core of a 2-core Emerald Rapids VM (2,900 GFLOP/s in registers), CPU time beside other work, best of repeated
// runs, GFLOP/s and beside it those of the AVX-512 instruction, which is slow there. 512 rows, columns x depth:
// 576x576 1230, 75; 1536x576 1078, 67; 576x1536 1019, 72; 2048x2048 928, 69; 8192x2048 796, 69; 2048x8192 747, 65.
// 1,024 rows: 768x768 1025, 80; 3072x768 1026, 77; 768x3072 930, 76; 50257x768, whose output leaves the caches, 412,
// 77. Rows of 8192x2048 in memory: 1 13.1 GB/s, 12.6; 8 10.8, 7.3; 32 7.9, 2.1.
#include "matmul_engine.h"

#if defined(ANGEL_X86)
#include <immintrin.h>

#define TARGET ANGEL_TARGET_AMX
#define TARGET_INLINE static inline __attribute__((always_inline)) TARGET

enum {
  HEIGHT = 16,
  TILE_BYTES = 1024,
  PREFETCH_BYTES = 4096,
  SUMS = 0,  // four tiles: two panels of the upper rows, two of the lower
  ROWS = 4,  // two tiles
  PANELS = 6,
};

// Tiles for `rows` rows, at most 32.
TARGET_INLINE void configure(int64_t rows) {
  const uint8_t upper = (uint8_t)(rows < HEIGHT ? rows : HEIGHT), lower = (uint8_t)(rows > HEIGHT ? rows - HEIGHT : 1);
  const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } configuration = {
    .palette = 1,
    .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {upper, upper, lower, lower, upper, lower, HEIGHT, HEIGHT}};
  _tile_loadconfig(&configuration);
}

// Sixteen pairs of one or two panels times one or two tiles of rows.
TARGET_INLINE void extend(
  const uint8_t *x, int64_t row_bytes, const uint8_t *first, const uint8_t *second, const int is_high,
  const int is_wide) {
  _tile_loadd(PANELS, first, 64);
  _tile_loadd(ROWS, x, row_bytes);
  _tile_dpbf16ps(SUMS, ROWS, PANELS);
  if (is_wide) {
    _tile_loadd(PANELS + 1, second, 64);
    _tile_dpbf16ps(SUMS + 1, ROWS, PANELS + 1);
  }
  if (!is_high) return;
  _tile_loadd(ROWS + 1, x + HEIGHT * row_bytes, row_bytes);
  _tile_dpbf16ps(SUMS + 2, ROWS + 1, PANELS);
  if (is_wide) _tile_dpbf16ps(SUMS + 3, ROWS + 1, PANELS + 1);
}

// The pairs of two panels that do not fill a tile, filled up.
struct rest {
  alignas(64) uint8_t bytes[2][TILE_BYTES];
};

TARGET_INLINE void multiply_rows(
  const struct angel_bf16_tile *t, int64_t row, int64_t panel, const struct rest *rest, const int is_high,
  const int is_wide) {
  const uint8_t *x = t->input + row * t->row_bytes, *first = t->weight + panel * t->panel_bytes;
  const uint8_t *second = first + t->panel_bytes;
  float *sums = t->sums + row * t->sums_stride + panel * ANGEL_PANEL;
  const int64_t stride = t->sums_stride * (int64_t)sizeof(float), tiles = t->pairs / HEIGHT;
  if (t->is_first) {
    _tile_zero(SUMS);
    if (is_wide) _tile_zero(SUMS + 1);
    if (is_high) _tile_zero(SUMS + 2);
    if (is_high && is_wide) _tile_zero(SUMS + 3);
  } else {
    _tile_loadd(SUMS, sums, stride);
    if (is_wide) _tile_loadd(SUMS + 1, sums + ANGEL_PANEL, stride);
    if (is_high) _tile_loadd(SUMS + 2, sums + HEIGHT * t->sums_stride, stride);
    if (is_high && is_wide) _tile_loadd(SUMS + 3, sums + HEIGHT * t->sums_stride + ANGEL_PANEL, stride);
  }
  for (int64_t tile = 0; tile < tiles; tile++, x += 64, first += TILE_BYTES, second += TILE_BYTES) {
    if (t->is_streamed) {
      for (int line = 0; line < TILE_BYTES; line += 64) {
        _mm_prefetch((const char *)first + PREFETCH_BYTES + line, _MM_HINT_T0);
      }
    }
    extend(x, t->row_bytes, first, second, is_high, is_wide);
  }
  if (t->pairs % HEIGHT != 0) extend(x, t->row_bytes, rest->bytes[0], rest->bytes[1], is_high, is_wide);
  _tile_stored(SUMS, sums, stride);
  if (is_wide) _tile_stored(SUMS + 1, sums + ANGEL_PANEL, stride);
  if (is_high) _tile_stored(SUMS + 2, sums + HEIGHT * t->sums_stride, stride);
  if (is_high && is_wide) _tile_stored(SUMS + 3, sums + HEIGHT * t->sums_stride + ANGEL_PANEL, stride);
}

TARGET_INLINE void multiply_panels(
  const struct angel_bf16_tile *t, int64_t row, int64_t end, int64_t panel, const int is_high, const int is_wide) {
  struct rest rest;
  const int64_t left = t->pairs % HEIGHT * 64;
  for (int p = 0; p <= is_wide && left > 0; p++) {
    memcpy(rest.bytes[p], t->weight + (panel + p) * t->panel_bytes + t->pairs * 64 - left, (size_t)left);
    memset(rest.bytes[p] + left, 0, (size_t)(TILE_BYTES - left));
  }
  for (; row < end; row += 2 * HEIGHT) multiply_rows(t, row, panel, &rest, is_high, is_wide);
}

// All panels of rows `row` ..< `end`, which are whole pairs of tiles of rows or one pair or tile that is not full.
TARGET_INLINE void multiply(const struct angel_bf16_tile *t, int64_t row, int64_t end) {
  const int is_high = end - row > HEIGHT;
  if (row == end) return;
  configure(is_high && end - row >= 2 * HEIGHT ? 2 * HEIGHT : end - row);
  int64_t panel = 0;
  for (; panel + 2 <= t->panels; panel += 2) {
    if (is_high) multiply_panels(t, row, end, panel, 1, 1);
    else multiply_panels(t, row, end, panel, 0, 1);
  }
  if (panel == t->panels) return;
  if (is_high) multiply_panels(t, row, end, panel, 1, 0);
  else multiply_panels(t, row, end, panel, 0, 0);
}

TARGET void angel_amx_bf16(const struct angel_bf16_tile *t) {
  const int64_t whole = t->rows / (2 * HEIGHT) * 2 * HEIGHT;
  multiply(t, 0, whole);
  multiply(t, whole, t->rows);
  _tile_release();
}

// The elements a block of 2:4 panels keeps, at their places among zeros.
TARGET_INLINE void widen_block(const uint8_t *block, uint8_t *pairs) {
  const __m512i places = _mm512_loadu_si512(block + 512), three = _mm512_set1_epi32(3);
  for (int quad = 0; quad < 8; quad++) {
    const __m512i kept = _mm512_loadu_si512(block + 64 * quad);
    const __m512i elements[2] = {_mm512_and_si512(kept, _mm512_set1_epi32(0xffff)), _mm512_srli_epi32(kept, 16)};
    __m512i words[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (int i = 0; i < 2; i++) {
      const __m512i place = _mm512_and_si512(_mm512_srli_epi32(places, (unsigned)(4 * quad + 2 * i)), three);
      // Shifts of 32 bits and more, which those of the other word are, leave zeros.
      const __m512i shift = _mm512_slli_epi32(place, 4);
      words[0] = _mm512_or_si512(words[0], _mm512_sllv_epi32(elements[i], shift));
      words[1] = _mm512_or_si512(
        words[1], _mm512_sllv_epi32(elements[i], _mm512_sub_epi32(shift, _mm512_set1_epi32(32))));
    }
    _mm512_store_si512(pairs + 128 * quad, words[0]);
    _mm512_store_si512(pairs + 128 * quad + 64, words[1]);
  }
}

// 2:4 panels become dense ones, a stretch at a time, and so give the dense product's bits.
TARGET void angel_amx_bf16_2of4(const struct angel_bf16_tile *t) {
  enum { BLOCK_BYTES = 576, STRETCH = 16, PANELS_AT_ONCE = 4 };
  alignas(64) uint8_t dense[PANELS_AT_ONCE * STRETCH * TILE_BYTES];
  struct angel_bf16_tile part = *t;
  part.weight = dense;
  part.is_streamed = 0;
  for (int64_t block = 0; block < t->pairs / HEIGHT; block += STRETCH) {
    const int64_t left = t->pairs / HEIGHT - block, count = left < STRETCH ? left : STRETCH;
    part.panel_bytes = count * TILE_BYTES;
    part.input = t->input + block * 64;
    part.pairs = count * HEIGHT;
    part.is_first = t->is_first && block == 0;
    for (int32_t panel = 0; panel < t->panels; panel += PANELS_AT_ONCE) {
      part.panels = t->panels - panel < PANELS_AT_ONCE ? t->panels - panel : PANELS_AT_ONCE;
      for (int32_t p = 0; p < part.panels; p++) {
        const uint8_t *source = t->weight + (panel + p) * t->panel_bytes + block * BLOCK_BYTES;
        for (int64_t b = 0; b < count; b++) {
          widen_block(source + b * BLOCK_BYTES, dense + p * part.panel_bytes + b * TILE_BYTES);
        }
      }
      part.sums = t->sums + panel * ANGEL_PANEL;
      angel_amx_bf16(&part);
    }
  }
}
#endif
