// matmul with AVX-512 and VNNI: one row of int8 against packed panels, straight from memory.
#include "matmul_avx512.h"

#if defined(ANGEL_X86)
// The activations of one row that one block needs.
struct block_input {
  const int8_t *q;
  float scale;
  int32_t sum[2];
};

TARGET_INLINE struct block_input input_at(struct angel_int8_row row, int64_t b) {
  return (struct block_input){row.q + b * ANGEL_BLOCK, row.scale[b], {row.sum[2 * b], row.sum[2 * b + 1]}};
}

// One more block in the chain of matmul.h, for one row.
TARGET_INLINE __m512 extend(
  __m512 sum, const struct block_registers *block, enum angel_block_kind kind, int32_t offset, struct block_input x) {
  const __m512 scale = _mm512_mul_ps(block->d, _mm512_set1_ps(x.scale));
  const int32_t both = x.sum[0] + x.sum[1];
  __m512i dot[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  if (kind == ANGEL_OFFSET_BLOCK) dot[0] = _mm512_set1_epi32(-offset * both);
  if (kind == ANGEL_HALVES_BLOCK) {
    dot[0] = _mm512_set1_epi32(-offset * x.sum[0]);
    dot[1] = _mm512_set1_epi32(-offset * x.sum[1]);
  }
#pragma unroll
  for (int g = 0; g < 8; g++) dot[g / 4] = _mm512_dpbusd_epi32(dot[g / 4], block->q[g], four(x.q, g));
  if (kind == ANGEL_HALVES_BLOCK) {
    dot[0] = _mm512_mullo_epi32(dot[0], block->scale[0]);
    dot[1] = _mm512_mullo_epi32(dot[1], block->scale[1]);
  }
  sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(dot[0], dot[1])), scale, sum);
  if (kind == ANGEL_MINIMUM_BLOCK) {
    sum = _mm512_fmadd_ps(block->minimum, _mm512_set1_ps(x.scale * (float)both), sum);
  }
  return sum;
}

TARGET_INLINE void stream_panel(
  angel_dtype dtype, struct angel_int8_row row, int64_t depth, const uint8_t *panel, float *sums) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  const uint8_t *group = panel;
  __m512 sum = _mm512_setzero_ps();
  for (int64_t b = 0; b < depth / ANGEL_BLOCK; group += angel_group_bytes(geometry)) {
    const uint8_t *packed = group + geometry.header_bytes;
    for (int64_t index = 0; index < geometry.blocks; index++, b++, packed += geometry.block_bytes) {
      struct block_registers block;
#pragma unroll
      for (int32_t line = 0; line < geometry.block_bytes; line += 64) {
        _mm_prefetch((const char *)packed + PREFETCH_BYTES + line, _MM_HINT_T0);
      }
      load_scales(dtype, group, index, &block);
      load_quants(dtype, packed, block.q);
      sum = extend(sum, &block, geometry.kind, geometry.offset, input_at(row, b));
    }
  }
  _mm512_storeu_ps(sums, sum);
}

TARGET void angel_avx512_stream(angel_dtype dtype, const uint8_t *row, int64_t depth, const uint8_t *panel, float *sums) {
  const struct angel_int8_row x = angel_int8_row_at(row, depth);
#define BODY(constant) stream_panel(constant, x, depth, panel, sums)
  ANGEL_WITH_BLOCK_DTYPE(dtype, BODY)
#undef BODY
}
#endif
