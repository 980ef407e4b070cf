// quantize_rows: float32 rows -> int8 activations per 32 elements (quantize_rows.h). No step depends on the order of
// evaluation, so the vector forms have the scalar one's bits: the largest magnitude and the sums are exact, and the
// conversion of the vector unit rounds half to even as `rounded` does.
#include "quantize_rows.h"

#include "bf16_rows.h"
#include "panels.h"
#if defined(ANGEL_X86)
#include <immintrin.h>
#endif

// Round half to even, for |x| < 2^22: adding 1.5 * 2^23 leaves no room for a fraction.
ANGEL_INLINE int32_t rounded(float x) {
  return (int32_t)((x + 12582912.0f) - 12582912.0f);
}

ANGEL_INLINE float largest_magnitude(const float *x) {
  uint32_t bits[ANGEL_BLOCK], largest = 0;
  memcpy(bits, x, sizeof bits);
  // As integers, magnitudes keep their order, and infinities and NaNs come out on top.
  for (int i = 0; i < ANGEL_BLOCK; i++) {
    const uint32_t magnitude = bits[i] & 0x7fffffff;
    largest = magnitude > largest ? magnitude : largest;
  }
  float value;
  memcpy(&value, &largest, 4);
  return value;
}

ANGEL_INLINE void quantize_block(const float *x, int8_t *q, float *scale, int32_t sum[2]) {
  const float largest = largest_magnitude(x);
  const float inverse = 127.0f / largest;
  sum[0] = sum[1] = 0;
  // Zero, non-finite, or so small (below 4e-37) that the inverse overflows.
  if (!(largest <= 0x1.fffffep127f && inverse <= 0x1.fffffep127f)) {
    memset(q, 0, ANGEL_BLOCK);
    *scale = largest <= 0x1.fffffep127f ? 0.0f : __builtin_nanf("");
    return;
  }
  *scale = largest / 127.0f;
  for (int half = 0; half < 2; half++) {
    int32_t total = 0;
    for (int i = 0; i < 16; i++) {
      int32_t quant = rounded(x[16 * half + i] * inverse);
      quant = quant > 127 ? 127 : quant < -127 ? -127 : quant;
      q[16 * half + i] = (int8_t)quant;
      total += quant;
    }
    sum[half] = total;
  }
}

// The three parts of an output row.
struct int8_row {
  int8_t *q;
  float *scale;
  int32_t *sum;
};

ANGEL_INLINE struct int8_row output_row(const struct angel_quantize_rows_arguments *a, int64_t row) {
  int8_t *q = (int8_t *)a->output + row * angel_int8_row_bytes(a->depth);
  float *scale = (float *)(void *)(q + a->depth);
  return (struct int8_row){q, scale, (int32_t *)(void *)(scale + a->depth / ANGEL_BLOCK)};
}

static void quantize_rows_scalar(const void *arguments, int32_t part, int32_t parts) {
  const struct angel_quantize_rows_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t row = rows.begin; row < rows.end; row++) {
    const struct int8_row out = output_row(a, row);
    const float *x = a->input + row * a->depth;
    for (int64_t b = 0; b < a->depth / ANGEL_BLOCK; b++) {
      quantize_block(x + b * ANGEL_BLOCK, out.q + b * ANGEL_BLOCK, out.scale + b, out.sum + 2 * b);
    }
  }
}
#if defined(ANGEL_X86)
ANGEL_TARGET_AVX2 static inline int32_t sum_of_16_avx2(__m128i q) {
  const __m128i ones = _mm_set1_epi8(1);
  const __m128i pairs = _mm_madd_epi16(_mm_maddubs_epi16(ones, q), _mm_set1_epi16(1));
  const __m128i halves = _mm_add_epi32(pairs, _mm_shuffle_epi32(pairs, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(halves, _mm_shuffle_epi32(halves, 0xb1)));
}

ANGEL_TARGET_AVX2 static void quantize_block_avx2(const float *x, int8_t *q, float *scale, int32_t *sum) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256 v[4];
  __m256i m[4];
  for (int i = 0; i < 4; i++) {
    v[i] = _mm256_loadu_ps(x + 8 * i);
    m[i] = _mm256_and_si256(_mm256_castps_si256(v[i]), magnitude);
  }
  const __m256i most = _mm256_max_epi32(_mm256_max_epi32(m[0], m[1]), _mm256_max_epi32(m[2], m[3]));
  __m128i top = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  top = _mm_max_epi32(top, _mm_shuffle_epi32(top, 0x4e));
  top = _mm_max_epi32(top, _mm_shuffle_epi32(top, 0xb1));
  const float largest = _mm_cvtss_f32(_mm_castsi128_ps(top));
  const float inverse = 127.0f / largest;
  if (!(largest <= 0x1.fffffep127f && inverse <= 0x1.fffffep127f)) {
    quantize_block(x, q, scale, sum);
    return;
  }
  *scale = largest / 127.0f;
  const __m256 factor = _mm256_set1_ps(inverse);
  __m256i r[4];
  for (int i = 0; i < 4; i++) r[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], factor));
  // Saturation to 127 happens in the pack, to -128 never: the magnitude is at most 127 and a rounding error.
  const __m256i low = _mm256_permute4x64_epi64(_mm256_packs_epi32(r[0], r[1]), 0xd8);
  const __m256i high = _mm256_permute4x64_epi64(_mm256_packs_epi32(r[2], r[3]), 0xd8);
  const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xd8);
  _mm256_storeu_si256((__m256i *)(void *)q, bytes);
  sum[0] = sum_of_16_avx2(_mm256_castsi256_si128(bytes));
  sum[1] = sum_of_16_avx2(_mm256_extracti128_si256(bytes, 1));
}

ANGEL_TARGET_AVX2 static void quantize_rows_avx2(const void *arguments, int32_t part, int32_t parts) {
  const struct angel_quantize_rows_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t row = rows.begin; row < rows.end; row++) {
    const struct int8_row out = output_row(a, row);
    const float *x = a->input + row * a->depth;
    for (int64_t b = 0; b < a->depth / ANGEL_BLOCK; b++) {
      quantize_block_avx2(x + b * ANGEL_BLOCK, out.q + b * ANGEL_BLOCK, out.scale + b, out.sum + 2 * b);
    }
  }
}
#endif

angel_kernel angel_quantize_rows_kernel(
  angel_isa isa, angel_dtype input, angel_dtype output, [[maybe_unused]] angel_dtype third) {
  if (input == ANGEL_F32 && output == ANGEL_BF16_ROWS) return angel_bf16_rows_kernel(isa);
  if (input != ANGEL_F32 || output != ANGEL_INT8_ROWS) return NULL;
#if defined(ANGEL_X86)
  if (isa >= ANGEL_ISA_AVX2) return quantize_rows_avx2;
#endif
  (void)isa;
  return quantize_rows_scalar;
}
