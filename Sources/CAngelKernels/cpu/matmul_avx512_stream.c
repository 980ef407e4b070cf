// matmul with AVX-512 and VNNI: few rows of int8 against packed panels, straight from memory.
#include "matmul_avx512.h"

#if defined(ANGEL_X86)
enum { ROWS = 8 };  // at once: their sums and the quants of a block fit the registers

// One more block in the chain of matmul.h, for one row: its activations, their scale and their terms.
TARGET_INLINE __m512 extend(
  __m512 sum, const struct block_registers *block, enum angel_block_kind kind, const int8_t *q, float x_scale,
  const union angel_row_term *terms) {
  const __m512 scale = _mm512_mul_ps(block->d, _mm512_set1_ps(x_scale));
  __m512i dot[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  if (kind == ANGEL_OFFSET_BLOCK || kind == ANGEL_HALVES_BLOCK) dot[0] = _mm512_set1_epi32(terms[0].start);
  if (kind == ANGEL_HALVES_BLOCK) dot[1] = _mm512_set1_epi32(terms[1].start);
#pragma unroll
  for (int g = 0; g < 8; g++) dot[g / 4] = _mm512_dpbusd_epi32(dot[g / 4], block->q[g], four(q, g));
  if (kind == ANGEL_HALVES_BLOCK) {
    dot[0] = _mm512_mullo_epi32(dot[0], block->scale[0]);
    dot[1] = _mm512_mullo_epi32(dot[1], block->scale[1]);
  }
  if (kind == ANGEL_MINIMA_BLOCK) {
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(scaled_halves(dot[0], dot[1], block->scale[0])), scale, sum);
    const __m512 shift = _mm512_mul_ps(_mm512_set1_ps(x_scale), summed_minima(block->scale[0], terms));
    return _mm512_fmadd_ps(block->minimum, shift, sum);
  }
  sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(dot[0], dot[1])), scale, sum);
  if (kind == ANGEL_MINIMUM_BLOCK) sum = _mm512_fmadd_ps(block->minimum, _mm512_set1_ps(terms->shift), sum);
  return sum;
}

TARGET_INLINE void stream_rows(
  angel_dtype dtype, const struct angel_int8_tile *t, const uint8_t *panel, int32_t row, const int rows) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  const struct angel_int8_row x = angel_int8_row_at(t->input + row * t->row_bytes, t->depth);
  const int64_t scale_stride = t->row_bytes / (int64_t)sizeof(float);
  const int64_t each = angel_terms_per_block(geometry.kind);
  const union angel_row_term *terms = t->terms + row * t->terms_stride;
  const uint8_t *group = panel;
  __m512 sum[ROWS];
#pragma unroll
  for (int r = 0; r < rows; r++) sum[r] = _mm512_setzero_ps();
  for (int64_t b = 0; b < t->depth / ANGEL_BLOCK; group += angel_group_bytes(geometry)) {
    const uint8_t *packed = group + geometry.header_bytes;
    for (int64_t index = 0; index < geometry.blocks; index++, b++, packed += geometry.block_bytes) {
      struct block_registers block;
#pragma unroll
      for (int32_t line = 0; line < geometry.block_bytes; line += 64) {
        _mm_prefetch((const char *)packed + PREFETCH_BYTES + line, _MM_HINT_T0);
      }
      load_scales(dtype, group, index, &block);
      load_quants(dtype, packed, block.q);
#pragma unroll
      for (int r = 0; r < rows; r++) {
        sum[r] = extend(
          sum[r], &block, geometry.kind, x.q + r * t->row_bytes + b * ANGEL_BLOCK, x.scale[r * scale_stride + b],
          terms + r * t->terms_stride + b * each);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < rows; r++) _mm512_storeu_ps(t->sums + (row + r) * t->sums_stride, sum[r]);
}

TARGET_INLINE void stream_panel(angel_dtype dtype, const struct angel_int8_tile *t, const uint8_t *panel) {
  int32_t row = 0;
  for (; row + 8 <= t->rows; row += 8) stream_rows(dtype, t, panel, row, 8);
  for (; row + 4 <= t->rows; row += 4) stream_rows(dtype, t, panel, row, 4);
  for (; row + 2 <= t->rows; row += 2) stream_rows(dtype, t, panel, row, 2);
  if (row < t->rows) stream_rows(dtype, t, panel, row, 1);
}

TARGET void angel_avx512_stream(angel_dtype dtype, const struct angel_int8_tile *t, const uint8_t *panel) {
#define BODY(constant) stream_panel(constant, t, panel)
  ANGEL_WITH_BLOCK_DTYPE(dtype, BODY)
#undef BODY
}
#endif
