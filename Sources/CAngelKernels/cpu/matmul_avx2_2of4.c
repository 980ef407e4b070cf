// matmul with AVX2: quantised 2:4 panels (pack.h), read straight from memory for one or two int8 rows, or unpacked into
// dense blocks for the tiles of matmul_avx2_int8.c. Half a panel, eight lanes, at a time.
//
// A lane's kept quants meet the activations at their places, which a shuffle of bytes picks for all lanes at once; the
// integer sum of a block is that of the dense block, and so are the bits of what follows.
#include "matmul_avx2_int8.h"

#if defined(ANGEL_X86)
enum {
  PREFETCH_BYTES = 2048,
  ROWS = 4,  // at once
};

TARGET_INLINE __m256 load_halves(const uint8_t *halves) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)halves));
}

// The kept quants of group `g`, two of either quad in every lane.
TARGET_INLINE __m256i kept_quants(angel_dtype dtype, const uint8_t *quants, int lane, const int g) {
  if (dtype == ANGEL_Q8_0_2OF4) return load_line(quants + 64 * g + 4 * lane);
  const __m256i both = load_line(quants + 64 * (g % 2) + 4 * lane);
  return _mm256_and_si256(g < 2 ? both : _mm256_srli_epi16(both, 4), _mm256_set1_epi8(15));
}

// Their places among the eight elements of both quads, from all places of the lanes.
TARGET_INLINE __m256i kept_places(__m256i places, const int g) {
  const __m256i own = _mm256_and_si256(_mm256_srli_epi16(places, 2 * g), _mm256_set1_epi8(3));
  return _mm256_or_si256(own, _mm256_set1_epi32(0x04040000));
}

// Eight lanes of one block with a few rows: integer sums of what quants without offsets make.
TARGET_INLINE void dot_rows(
  angel_dtype dtype, const uint8_t *block, const int lane, const int8_t *x, int64_t stride, const int rows,
  __m256i dot[ROWS]) {
  const int is_wide = dtype == ANGEL_Q8_0_2OF4;
  const uint8_t *quants = block + 32;
  const __m256i places = load_line(quants + (is_wide ? 256 : 128) + 4 * lane), ones = _mm256_set1_epi16(1);
#pragma unroll
  for (int r = 0; r < rows; r++) dot[r] = _mm256_setzero_si256();
#pragma unroll
  for (int g = 0; g < 4; g++) {
    const __m256i kept = kept_quants(dtype, quants, lane, g), at = kept_places(places, g);
#pragma unroll
    for (int r = 0; r < rows; r++) {
      int64_t eight;
      memcpy(&eight, x + r * stride + 8 * g, 8);
      const __m256i met = _mm256_shuffle_epi8(_mm256_set1_epi64x(eight), at);
      if (is_wide) {
        // The sign goes to the activations: 128 * 127 twice is 32512.
        const __m256i products = _mm256_maddubs_epi16(_mm256_abs_epi8(kept), _mm256_sign_epi8(met, kept));
        dot[r] = _mm256_add_epi32(dot[r], _mm256_madd_epi16(products, ones));
      } else {
        // Of sixteen kept products of at most 15 * 127 a lane's half adds eight: 15240, less 8 * 127 * 8.
        const __m256i offsets = _mm256_maddubs_epi16(_mm256_set1_epi8(8), met);
        dot[r] = _mm256_add_epi16(dot[r], _mm256_sub_epi16(_mm256_maddubs_epi16(kept, met), offsets));
      }
    }
  }
#pragma unroll
  for (int r = 0; r < rows && !is_wide; r++) dot[r] = _mm256_madd_epi16(dot[r], ones);
}

// One block for lanes `lane` ..< lane + 8 of the rows.
TARGET_INLINE void extend_rows(
  angel_dtype dtype, const struct angel_int8_tile *t, int64_t b, const uint8_t *block, const int lane, int32_t row,
  const int rows, __m256 sum[ROWS]) {
  const struct angel_int8_row x = angel_int8_row_at(t->input + row * t->row_bytes, t->depth);
  const __m256 d = load_halves(block + 2 * lane);
  __m256i dot[ROWS];
  dot_rows(dtype, block, lane, x.q + b * ANGEL_BLOCK, t->row_bytes, rows, dot);
#pragma unroll
  for (int r = 0; r < rows; r++) {
    const __m256 scale = _mm256_set1_ps(x.scale[r * (t->row_bytes / (int64_t)sizeof(float)) + b]);
    sum[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[r]), _mm256_mul_ps(d, scale), sum[r]);
  }
}

TARGET_INLINE void stream_rows(
  angel_dtype dtype, const struct angel_int8_tile *t, const uint8_t *panel, int32_t row, const int rows) {
  const int64_t block_bytes = angel_group_bytes(angel_geometry_of(dtype));
  float *sums = t->sums + row * t->sums_stride;
  __m256 low[ROWS], high[ROWS];
#pragma unroll
  for (int r = 0; r < rows; r++) low[r] = high[r] = _mm256_setzero_ps();
  for (int64_t b = 0; b < t->depth / ANGEL_BLOCK; b++, panel += block_bytes) {
    for (int64_t line = 0; line < block_bytes; line += 64) {
      _mm_prefetch((const char *)panel + PREFETCH_BYTES + line, _MM_HINT_T0);
    }
    extend_rows(dtype, t, b, panel, 0, row, rows, low);
    extend_rows(dtype, t, b, panel, 8, row, rows, high);
  }
#pragma unroll
  for (int r = 0; r < rows; r++) {
    _mm256_storeu_ps(sums + r * t->sums_stride, low[r]);
    _mm256_storeu_ps(sums + r * t->sums_stride + 8, high[r]);
  }
}

TARGET_INLINE void stream_panel(angel_dtype dtype, const struct angel_int8_tile *t, const uint8_t *panel) {
  int32_t row = 0;
  for (; row + 4 <= t->rows; row += 4) stream_rows(dtype, t, panel, row, 4);
  for (; row + 2 <= t->rows; row += 2) stream_rows(dtype, t, panel, row, 2);
  if (row < t->rows) stream_rows(dtype, t, panel, row, 1);
}

TARGET void angel_avx2_stream_2of4(angel_dtype dtype, const struct angel_int8_tile *t, const uint8_t *panel) {
  if (dtype == ANGEL_Q8_0_2OF4) {
    stream_panel(ANGEL_Q8_0_2OF4, t, panel);
  } else {
    stream_panel(ANGEL_Q4_0_2OF4, t, panel);
  }
}

// The four elements of the first (0) or second (1) quad of a group: kept quants at their places, the offset elsewhere.
TARGET_INLINE __m256i dense_quants(__m256i kept, __m256i places, const int quad, __m256i offset) {
  const __m256i lanes = _mm256_set_epi32(
    0x0c0c0c0c, 0x08080808, 0x04040404, 0, 0x0c0c0c0c, 0x08080808, 0x04040404, 0);
  const __m256i elements = _mm256_set1_epi32(0x03020100);
  __m256i quants = offset;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const __m256i from = _mm256_add_epi8(lanes, _mm256_set1_epi8((char)(2 * quad + i)));
    const __m256i is_here = _mm256_cmpeq_epi8(_mm256_shuffle_epi8(places, from), elements);
    quants = _mm256_blendv_epi8(quants, _mm256_shuffle_epi8(kept, from), is_here);
  }
  return quants;
}

TARGET_INLINE void unpack_half(
  angel_dtype dtype, const uint8_t *block, const int lane, struct angel_block *target) {
  const int is_wide = dtype == ANGEL_Q8_0_2OF4;
  const __m256i all = load_line(block + 32 + (is_wide ? 256 : 128) + 4 * lane);
  const __m256i offset = _mm256_set1_epi8(is_wide ? -128 : 8);
#pragma unroll
  for (int g = 0; g < 4; g++) {
    __m256i kept = kept_quants(dtype, block + 32, lane, g);
    if (is_wide) kept = _mm256_xor_si256(kept, offset);
    const __m256i places = _mm256_and_si256(_mm256_srli_epi16(all, 2 * g), _mm256_set1_epi8(3));
#pragma unroll
    for (int quad = 0; quad < 2; quad++) {
      _mm256_store_si256(
        (__m256i *)(void *)(target->q[2 * g + quad] + 4 * lane), dense_quants(kept, places, quad, offset));
    }
  }
  _mm256_store_ps(target->d + lane, load_halves(block + 2 * lane));
}

TARGET_INLINE void unpack_stretch(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks) {
  const int64_t block_bytes = angel_group_bytes(angel_geometry_of(dtype));
  for (int64_t b = 0; b < stretch.count; b++) {
    const uint8_t *block = stretch.panel + (stretch.first + b) * block_bytes;
    unpack_half(dtype, block, 0, &blocks[b]);
    unpack_half(dtype, block, 8, &blocks[b]);
  }
}

TARGET void angel_avx2_unpack_2of4(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks) {
  if (dtype == ANGEL_Q8_0_2OF4) {
    unpack_stretch(ANGEL_Q8_0_2OF4, stretch, blocks);
  } else {
    unpack_stretch(ANGEL_Q4_0_2OF4, stretch, blocks);
  }
}

// Products in float32 are rare: the portable body.
TARGET void angel_avx2_dequantize_2of4(angel_dtype dtype, struct angel_stretch stretch, float *values) {
  switch (dtype) {
    case ANGEL_Q4_0_2OF4: angel_dequantize_stretch(ANGEL_Q4_0_2OF4, stretch, values); break;
    case ANGEL_Q8_0_2OF4: angel_dequantize_stretch(ANGEL_Q8_0_2OF4, stretch, values); break;
    default: angel_dequantize_stretch(ANGEL_BF16_2OF4, stretch, values); break;
  }
}
#endif
