// softmax over rows, float32 in vector variants, float64 in a plain loop (softmax.h).
#include <math.h>

#include "softmax.h"
#include "variants.h"
#include "vector_math.h"

// The row maximum. NaNs may be passed over here: they reach the sum through exp.
ANGEL_INLINE float softmax_maximum(const float *input, int64_t width) {
  const int64_t whole = width / 16 * 16;
  f32x16 lanes = f32x16_splat(-INFINITY);
  for (int64_t i = 0; i < whole; i += 16) lanes = f32x16_max(f32x16_load(input + i), lanes);
  float maximum = f32x16_maximum(lanes);
  for (int64_t i = whole; i < width; i++) maximum = input[i] > maximum ? input[i] : maximum;
  return maximum;
}

ANGEL_INLINE void softmax_row(const float *input, float *output, int64_t width) {
  const int64_t whole = width / 16 * 16, left = width - whole;
  const f32x16 maximum = f32x16_splat(softmax_maximum(input, width));
  f32x16 sums = f32x16_splat(0);
  for (int64_t i = 0; i < whole; i += 16) {
    const f32x16 weights = f32x16_exp(f32x16_load(input + i) - maximum);
    sums += weights;
    f32x16_store(output + i, weights);
  }
  if (left > 0) {
    const f32x16 weights = f32x16_exp(f32x16_load_first(input + whole, left) - maximum);
    f32x16_store_first(output + whole, weights, left);
    sums += f32x16_load_first(output + whole, left);
  }
  const f32x16 sum = f32x16_splat(f32x16_sum(sums));
  for (int64_t i = 0; i < whole; i += 16) f32x16_store(output + i, f32x16_load(output + i) / sum);
  for (int64_t i = whole; i < width; i++) output[i] /= sum[0];
}

ANGEL_INLINE void softmax_rows(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_softmax_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) {
    softmax_row((const float *)a->input + r * a->width, (float *)a->output + r * a->width, a->width);
  }
}
ANGEL_VARIANTS(softmax, softmax_rows)

static void softmax_row_f64(const double *input, double *output, int64_t width) {
  double maximum = -INFINITY, sums[16] = {0};
  for (int64_t i = 0; i < width; i++) maximum = input[i] > maximum ? input[i] : maximum;
  for (int64_t i = 0; i < width; i++) {
    output[i] = exp(input[i] - maximum);
    sums[i % 16] += output[i];
  }
  for (int stride = 8; stride > 0; stride /= 2) {
    for (int i = 0; i < stride; i++) sums[i] += sums[i + stride];
  }
  for (int64_t i = 0; i < width; i++) output[i] /= sums[0];
}

static void softmax_f64(const void *arguments, int32_t part, int32_t parts) {
  const struct angel_softmax_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) {
    softmax_row_f64((const double *)a->input + r * a->width, (double *)a->output + r * a->width, a->width);
  }
}

angel_kernel angel_softmax_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (angel_only(ANGEL_F64, first, second, third)) return softmax_f64;
  return angel_only(ANGEL_F32, first, second, third) ? softmax_variant(isa) : NULL;
}
