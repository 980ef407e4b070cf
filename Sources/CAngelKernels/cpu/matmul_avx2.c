// matmul with AVX2 and FMA: a panel is two registers of eight lanes.
#include "matmul_engine.h"

#if defined(ANGEL_X86)
#include <immintrin.h>

#define TARGET ANGEL_TARGET_AVX2
#define TARGET_INLINE static inline __attribute__((always_inline)) TARGET

// --- Float32 rows against dense panels -------------------------------------------------------------------------------

// Eight lanes of two consecutive elements of depth.
struct weight_pair {
  __m256 even, odd;
};

TARGET_INLINE __m256 widen_low_halves(__m256i words) {
  // The low 16 bits of eight 32-bit words, side by side.
  const __m128i halves = _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  return _mm256_cvtph_ps(halves);
}

// Half `half` of panel: h = 2 * panel + half.
TARGET_INLINE struct weight_pair load_pair(angel_dtype dtype, const uint8_t *half, int64_t pair) {
  if (dtype == ANGEL_F32) {
    return (struct weight_pair){
      _mm256_loadu_ps((const float *)(const void *)(half + pair * 128)),
      _mm256_loadu_ps((const float *)(const void *)(half + pair * 128 + 64))};
  }
  const __m256i both = _mm256_loadu_si256((const __m256i *)(half + pair * 64));
  const __m256i odd = _mm256_srli_epi32(both, 16);
  if (dtype == ANGEL_BF16) {
    return (struct weight_pair){
      _mm256_castsi256_ps(_mm256_slli_epi32(both, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(odd, 16))};
  }
  const __m256i even = _mm256_and_si256(both, _mm256_set1_epi32(0xffff));
  return (struct weight_pair){widen_low_halves(even), widen_low_halves(odd)};
}

TARGET_INLINE __m256 load_last(angel_dtype dtype, const uint8_t *half, int64_t depth) {
  if (dtype == ANGEL_F32) return _mm256_loadu_ps((const float *)(const void *)(half + (depth - 1) * 64));
  return load_pair(dtype, half, depth / 2).even;
}

// `halves` registers of eight lanes, starting at half `first`, two halves to a panel.
TARGET_INLINE void dense_rows(
  angel_dtype dtype, const struct angel_dense_tile *t, int32_t row, int first, const int rows, const int halves) {
  const float *x = t->input + row * t->input_stride;
  float *sums = t->sums + row * t->sums_stride + 8 * first;
  const uint8_t *weight = t->weight + first / 2 * t->panel_bytes;
  __m256 sum[4][8];
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int h = 0; h < halves; h++) {
      sum[r][h] = t->is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + r * t->sums_stride + 8 * h);
    }
  }
  for (int64_t k = 0; k + 1 < t->depth; k += 2) {
#pragma unroll
    for (int h = 0; h < halves; h++) {
      const struct weight_pair w = load_pair(dtype, weight + h / 2 * t->panel_bytes + h % 2 * 32, k / 2);
#pragma unroll
      for (int r = 0; r < rows; r++) {
        const float *at = x + r * t->input_stride + k;
        sum[r][h] = _mm256_fmadd_ps(w.even, _mm256_broadcast_ss(at), sum[r][h]);
        sum[r][h] = _mm256_fmadd_ps(w.odd, _mm256_broadcast_ss(at + 1), sum[r][h]);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int h = 0; h < halves; h++) {
      if (t->depth % 2) {
        const __m256 last = load_last(dtype, weight + h / 2 * t->panel_bytes + h % 2 * 32, t->depth);
        sum[r][h] = _mm256_fmadd_ps(last, _mm256_set1_ps(x[r * t->input_stride + t->depth - 1]), sum[r][h]);
      }
      _mm256_storeu_ps(sums + r * t->sums_stride + 8 * h, sum[r][h]);
    }
  }
}

TARGET_INLINE void dense_panels(angel_dtype dtype, const struct angel_dense_tile *t) {
  int32_t row = 0;
  for (; row + 4 <= t->rows; row += 4) {
    for (int h = 0; h < 2 * t->panels; h += 2) dense_rows(dtype, t, row, h, 4, 2);
  }
  for (; row < t->rows; row++) {
    int h = 0;
    for (; h + 8 <= 2 * t->panels; h += 8) dense_rows(dtype, t, row, h, 1, 8);
    for (; h < 2 * t->panels; h += 2) dense_rows(dtype, t, row, h, 1, 2);
  }
}

TARGET static void dense(angel_dtype dtype, const struct angel_dense_tile *t) {
  if (dtype == ANGEL_F32) return dense_panels(ANGEL_F32, t);
  if (dtype == ANGEL_F16) return dense_panels(ANGEL_F16, t);
  dense_panels(ANGEL_BF16, t);
}

TARGET static void widen(angel_dtype dtype, struct angel_stretch stretch, float *values) {
  if (dtype == ANGEL_F16) return angel_widen_stretch(ANGEL_F16, stretch, values);
  angel_widen_stretch(ANGEL_BF16, stretch, values);
}

TARGET static void dequantize(angel_dtype dtype, struct angel_stretch stretch, float *values) {
#define BODY(constant) angel_dequantize_stretch(constant, stretch, values)
  ANGEL_WITH_BLOCK_DTYPE(dtype, BODY)
#undef BODY
}

TARGET static void unpack(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks) {
#define BODY(constant) angel_unpack_stretch(constant, stretch, blocks)
  ANGEL_WITH_BLOCK_DTYPE(dtype, BODY)
#undef BODY
}

// --- Int8 rows -------------------------------------------------------------------------------------------------------

// Sums over four groups (16 elements) of eight lanes, as int32. Without VNNI, two products are added in 16 bits, which
// quants up to 63 times 127 never overflow. Bytes of q8_0 reach 255 and would saturate, so their offset is taken off
// first and their sign moved to the activations: 128 * 127 twice is 32512.
TARGET_INLINE __m256i dot_half(const uint8_t (*q)[64], int lanes, const int8_t *x, const int is_wide) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i dot = _mm256_setzero_si256();
#pragma unroll
  for (int g = 0; g < 4; g++) {
    int32_t bytes;
    memcpy(&bytes, x + 4 * g, 4);
    const __m256i activation = _mm256_set1_epi32(bytes);
    const __m256i quant = _mm256_load_si256((const __m256i *)(const void *)(q[g] + 4 * lanes));
    __m256i pairs;
    if (is_wide) {
      const __m256i centred = _mm256_xor_si256(quant, _mm256_set1_epi8(-128));
      pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(centred), _mm256_sign_epi8(activation, centred));
    } else {
      pairs = _mm256_maddubs_epi16(quant, activation);
    }
    dot = _mm256_add_epi32(dot, _mm256_madd_epi16(pairs, ones));
  }
  return dot;
}

TARGET_INLINE __m256 extend(
  __m256 sum, const struct angel_block *block, int lanes, struct angel_geometry geometry, enum angel_block_kind kind,
  const int is_wide, struct angel_int8_row row, int64_t b) {
  const int8_t *x = row.q + b * ANGEL_BLOCK;
  const int32_t *x_sum = row.sum + 2 * b, both = x_sum[0] + x_sum[1];
  const int32_t offset = is_wide ? 0 : geometry.offset;
  const __m256 scale = _mm256_mul_ps(_mm256_load_ps(block->d + lanes), _mm256_set1_ps(row.scale[b]));
  __m256i first = dot_half(block->q, lanes, x, is_wide), second = dot_half(block->q + 4, lanes, x + 16, is_wide);
  if (kind == ANGEL_HALVES_BLOCK) {
    const __m256i *scales[2] = {
      (const __m256i *)(const void *)(block->scale[0] + lanes), (const __m256i *)(const void *)(block->scale[1] + lanes)};
    first = _mm256_sub_epi32(first, _mm256_set1_epi32(offset * x_sum[0]));
    second = _mm256_sub_epi32(second, _mm256_set1_epi32(offset * x_sum[1]));
    first = _mm256_mullo_epi32(first, _mm256_load_si256(scales[0]));
    second = _mm256_mullo_epi32(second, _mm256_load_si256(scales[1]));
  }
  __m256i dot = _mm256_add_epi32(first, second);
  if (kind == ANGEL_OFFSET_BLOCK && !is_wide) dot = _mm256_sub_epi32(dot, _mm256_set1_epi32(offset * both));
  sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, sum);
  if (kind == ANGEL_MINIMUM_BLOCK) {
    const __m256 shift = _mm256_set1_ps(row.scale[b] * (float)both);
    sum = _mm256_fmadd_ps(_mm256_load_ps(block->minimum + lanes), shift, sum);
  }
  return sum;
}

// Two rows at a time share the loads of eight lanes of a panel.
TARGET_INLINE void int8_rows(
  const struct angel_int8_tile *t, int32_t first, enum angel_block_kind kind, const int is_wide, const int rows) {
  struct angel_int8_row x[2];
#pragma unroll
  for (int r = 0; r < rows; r++) x[r] = angel_int8_row_at(t->input + (first + r) * t->row_bytes, t->depth);
  for (int32_t half = 0; half < 2 * t->panels; half++) {
    float *sums = t->sums + first * t->sums_stride + 8 * half;
    const struct angel_block *blocks = t->weight + half / 2 * t->weight_stride;
    __m256 sum[2];
#pragma unroll
    for (int r = 0; r < rows; r++) {
      sum[r] = t->is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + r * t->sums_stride);
    }
    for (int64_t b = 0; b < t->blocks; b++) {
#pragma unroll
      for (int r = 0; r < rows; r++) {
        sum[r] = extend(sum[r], &blocks[b], half % 2 * 8, t->geometry, kind, is_wide, x[r], t->first_block + b);
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

static void int8(const struct angel_int8_tile *t) {
  switch (t->geometry.kind) {
    case ANGEL_OFFSET_BLOCK: return t->geometry.offset == 128 ? int8_wide(t) : int8_offset(t);
    case ANGEL_MINIMUM_BLOCK: return int8_minimum(t);
    case ANGEL_HALVES_BLOCK: return int8_halves(t);
  }
}

const struct angel_matmul_engine angel_matmul_avx2 = {
  .dense = dense, .int8 = int8, .dequantize = dequantize, .widen = widen, .unpack = unpack};
#endif
