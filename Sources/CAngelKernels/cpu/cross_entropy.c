// cross_entropy in float32 (cross_entropy.h).
#include <math.h>

#include "cross_entropy.h"
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

ANGEL_INLINE void cross_entropy_row(const struct angel_cross_entropy_arguments *a, int64_t r) {
  const int64_t width = a->vocabulary, whole = width / 16 * 16;
  const float *logits = a->logits + r * width;
  float *gradient = a->gradient == NULL ? NULL : a->gradient + r * width;
  const float weight = a->weights[r];
  if (weight == 0) {
    a->losses[r] = 0;
    for (int64_t i = 0; gradient != NULL && i < width; i++) gradient[i] = 0;
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
  for (int64_t i = 0; i < whole; i += 16) {
    f32x16_store(gradient + i, slope * f32x16_exp(f32x16_load(logits + i) - z) - everywhere);
  }
  for (int64_t i = whole; i < width; i++) gradient[i] = slope * f32_exp(logits[i] - z) - everywhere;
  gradient[target] -= weight * kept;
}

ANGEL_INLINE void cross_entropy_rows(
  const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_cross_entropy_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) cross_entropy_row(a, r);
}
ANGEL_VARIANTS(cross_entropy, cross_entropy_rows)

angel_kernel angel_cross_entropy_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? cross_entropy_variant(isa) : NULL;
}
