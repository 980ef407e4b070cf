// cross_entropy in float32 arithmetic (cross_entropy.h).
#include <math.h>

#include "cross_entropy.h"
#include "quantize_rows.h"
#include "variants.h"
#include "vector_math.h"

struct row_sums {
  float maximum, exponentials, values;
};

ANGEL_INLINE struct row_sums cross_entropy_sums(const float *logits, int64_t width) {
  const int64_t whole = width / 16 * 16, left = width - whole;
  f32x16 largest = f32x16_splat(-INFINITY), exponentials = f32x16_splat(0), values = f32x16_splat(0);
  for (int64_t i = 0; i < whole; i += 16) largest = f32x16_max(f32x16_load(logits + i), largest);
  float maximum = f32x16_maximum(largest);
  for (int64_t i = whole; i < width; i++) maximum = logits[i] > maximum ? logits[i] : maximum;
  for (int64_t i = 0; i < whole; i += 16) {
    const f32x16 x = f32x16_load(logits + i);
    exponentials += f32x16_exp(x - maximum);
    values += x;
  }
  if (left > 0) {
    float lanes[16];
    const f32x16 x = f32x16_load_first(logits + whole, left);
    f32x16_store(lanes, f32x16_exp(x - maximum));
    exponentials += f32x16_load_first(lanes, left);
    values += x;
  }
  return (struct row_sums){maximum, f32x16_sum(exponentials), f32x16_sum(values)};
}

ANGEL_INLINE void cross_entropy_row(const struct angel_cross_entropy_arguments *a, int64_t r, angel_dtype dtype) {
  const int64_t width = a->vocabulary, stride = dtype == ANGEL_F32 ? width : angel_bf16_row_bytes(width) / 2;
  const float *logits = a->logits + r * width;
  void *gradient = a->gradient;
  const int64_t begin = r * stride;
  const float weight = a->weights[r];
  // Rows in bfloat16 are padded with zeros.
  for (int64_t i = width; gradient != NULL && i < stride; i++) f32_write(gradient, begin + i, 0, dtype);
  if (weight == 0) {
    a->losses[r] = 0;
    for (int64_t i = 0; gradient != NULL && i < width; i++) f32_write(gradient, begin + i, 0, dtype);
    return;
  }
  const struct row_sums sums = cross_entropy_sums(logits, width);
  const float z = sums.maximum + logf(sums.exponentials), kept = 1.0f - a->smoothing;
  const int64_t target = a->targets[r];
  float loss = z - kept * logits[target];
  if (a->smoothing > 0) loss -= a->smoothing * (sums.values / (float)width);
  if (a->penalty > 0) loss += a->penalty * z * z;
  a->losses[r] = weight * loss;
  if (gradient == NULL) return;
  const float slope = weight * (1.0f + 2.0f * a->penalty * z), everywhere = weight * a->smoothing / (float)width;
  // The gradient may lie where the logits are: the target's is found first.
  const float right = slope * f32_exp(logits[target] - z) - everywhere - weight * kept;
  for (int64_t i = 0; i < width; i += 16) {
    const int64_t left = width - i;
    const f32x16 x = f32x16_load_first_or_all(logits + i, left);
    f32x16_write(gradient, begin + i, slope * f32x16_exp(x - z) - everywhere, left, dtype);
  }
  f32_write(gradient, begin + target, right, dtype);
}

ANGEL_INLINE void cross_entropy_rows(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_cross_entropy_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) cross_entropy_row(a, r, dtype);
}
ANGEL_FLOAT_VARIANTS(cross_entropy, cross_entropy_rows)

angel_kernel angel_cross_entropy_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (first != ANGEL_F32 || third != ANGEL_NO_DTYPE) return NULL;
  if (second == ANGEL_BF16_ROWS) return cross_entropy_bf16_variant(isa);
  return second == ANGEL_NO_DTYPE ? cross_entropy_f32_variant(isa) : NULL;
}
