// expert_sum in sixteen lanes (expert_sum.h).
#include "expert_sum.h"
#include "lanes.h"
#include "variants.h"

// Sixteen columns of one row, or the `left` last ones.
ANGEL_INLINE void sum_lanes(const struct angel_expert_sum_arguments *a, int64_t row, int64_t column, int64_t left) {
  const float *weights = a->weights + row * a->count;
  const int32_t *places = a->places + row * a->count;
  f32x16 sum = f32x16_splat(0);
  for (int64_t k = 0; k < a->count; k++) {
    const float *x = a->input + places[k] * a->width + column;
    const f32x16 value = left >= 16 ? f32x16_load(x) : f32x16_load_first(x, left);
    sum = k == 0 ? f32x16_splat(weights[k]) * value : f32x16_fma(f32x16_splat(weights[k]), value, sum);
  }
  float *output = a->output + row * a->width + column;
  if (left >= 16) {
    f32x16_store(output, sum);
  } else {
    f32x16_store_first(output, sum, left);
  }
}

ANGEL_INLINE void sum_rows(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_expert_sum_arguments *a = arguments;
  const int64_t lines = (a->width + 15) / 16;
  const struct angel_range own = angel_part_range(a->rows * lines, part, parts);
  for (int64_t i = own.begin; i < own.end; i++) {
    const int64_t row = i / lines, column = i % lines * 16;
    sum_lanes(a, row, column, a->width - column);
  }
}
ANGEL_VARIANTS(expert_sum, sum_rows)

angel_kernel angel_expert_sum_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? expert_sum_variant(isa) : NULL;
}
