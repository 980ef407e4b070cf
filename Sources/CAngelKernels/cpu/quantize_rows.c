// quantize_rows: float32 rows -> int8 activations per 32 elements (quantize_rows.h). One body for every instruction set:
// no step of it depends on the order of evaluation, so the compiler may vectorise it as it likes.
#include "quantize_rows.h"

#include "panels.h"

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

ANGEL_INLINE void quantize(const struct angel_quantize_rows_arguments *a, int32_t part, int32_t parts) {
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  const int64_t row_bytes = angel_int8_row_bytes(a->depth);
  for (int64_t row = rows.begin; row < rows.end; row++) {
    int8_t *q = (int8_t *)a->output + row * row_bytes;
    float *scale = (float *)(void *)(q + a->depth);
    int32_t *sum = (int32_t *)(void *)(scale + a->depth / ANGEL_BLOCK);
    const float *x = a->input + row * a->depth;
    for (int64_t b = 0; b < a->depth / ANGEL_BLOCK; b++) {
      quantize_block(x + b * ANGEL_BLOCK, q + b * ANGEL_BLOCK, scale + b, sum + 2 * b);
    }
  }
}

static void quantize_rows_scalar(const void *arguments, int32_t part, int32_t parts) {
  quantize(arguments, part, parts);
}
#if defined(ANGEL_X86)
ANGEL_TARGET_AVX2 static void quantize_rows_avx2(const void *arguments, int32_t part, int32_t parts) {
  quantize(arguments, part, parts);
}
ANGEL_TARGET_AVX512 static void quantize_rows_avx512(const void *arguments, int32_t part, int32_t parts) {
  quantize(arguments, part, parts);
}
#endif

angel_kernel angel_quantize_rows_kernel(
  angel_isa isa, angel_dtype input, angel_dtype output, [[maybe_unused]] angel_dtype third) {
  if (input != ANGEL_F32 || output != ANGEL_INT8_ROWS) return NULL;
#if defined(ANGEL_X86)
  if (isa >= ANGEL_ISA_AVX512) return quantize_rows_avx512;
  if (isa == ANGEL_ISA_AVX2) return quantize_rows_avx2;
#endif
  (void)isa;
  return quantize_rows_scalar;
}
