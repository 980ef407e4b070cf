// expert_sum and its backward pass in sixteen lanes (expert_sum.h).
#include "expert_sum.h"
#include "lanes.h"
#include "variants.h"

// Sixteen columns of one row, or the `left` last ones.
ANGEL_INLINE void sum_lanes(
  const struct angel_expert_sum_arguments *a, int64_t row, int64_t column, int64_t left, angel_dtype dtype) {
  const int32_t *places = a->places + row * a->count;
  f32x16 sum = f32x16_splat(0);
  for (int64_t k = 0; k < a->count; k++) {
    const f32x16 value = f32x16_read(a->input, places[k] * a->width + column, left, dtype);
    if (a->weights == NULL) {
      sum = k == 0 ? value : sum + value;
    } else {
      const f32x16 weight = f32x16_splat(a->weights[row * a->count + k]);
      sum = k == 0 ? weight * value : f32x16_fma(weight, value, sum);
    }
  }
  f32x16_write(a->output, row * a->width + column, sum, left, ANGEL_F32);
}

ANGEL_INLINE void sum_rows(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_expert_sum_arguments *a = arguments;
  const int64_t lines = (a->width + 15) / 16;
  const struct angel_range own = angel_part_range(a->rows * lines, part, parts);
  for (int64_t i = own.begin; i < own.end; i++) {
    const int64_t row = i / lines, column = i % lines * 16;
    sum_lanes(a, row, column, a->width - column, dtype);
  }
}
ANGEL_FLOAT_VARIANTS(expert_sum, sum_rows)
ANGEL_FLOAT_KERNEL(expert_sum)

ANGEL_INLINE void sum_backward_rows(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_expert_sum_backward_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t slot = rows.begin * a->count; slot < rows.end * a->count; slot++) {
    const int64_t from = slot / a->count * a->width, to = a->places[slot] * a->width;
    const f32x16 weight = f32x16_splat(a->weights[slot]);
    f32x16 products = f32x16_splat(0);
    for (int64_t i = 0; i < a->width; i += 16) {
      const int64_t left = a->width - i;
      const f32x16 dy = f32x16_read(a->gradient, from + i, left, ANGEL_F32);
      if (a->weight_gradient != NULL) {
        products = f32x16_fma(dy, f32x16_read(a->input, to + i, left, dtype), products);
      }
      if (a->input_gradient != NULL) f32x16_write(a->input_gradient, to + i, weight * dy, left, dtype);
    }
    if (a->weight_gradient != NULL) a->weight_gradient[slot] = f32x16_sum(products);
  }
}
ANGEL_FLOAT_VARIANTS(expert_sum_backward, sum_backward_rows)
ANGEL_FLOAT_KERNEL(expert_sum_backward)
