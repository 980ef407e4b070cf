// layernorm in float32 (layernorm.h).
#include "layernorm.h"
#include "layernorm_row.h"
#include "variants.h"

ANGEL_INLINE void layernorm_row(const struct angel_layernorm_arguments *a, const float *input, float *output) {
  const int64_t whole = a->width / 16 * 16;
  const float mean = layernorm_mean(input, a->width);
  const float scale = layernorm_scale(input, a->width, mean, a->epsilon);
  for (int64_t i = 0; i < whole; i += 16) {
    const f32x16 x = (f32x16_load(input + i) - mean) * scale;
    f32x16_store(output + i, f32x16_fma(x, f32x16_load(a->weight + i), f32x16_load(a->bias + i)));
  }
  for (int64_t i = whole; i < a->width; i++) {
    output[i] = __builtin_fmaf((input[i] - mean) * scale, a->weight[i], a->bias[i]);
  }
}

ANGEL_INLINE void layernorm_rows(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_layernorm_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) layernorm_row(a, a->input + r * a->width, a->output + r * a->width);
}
ANGEL_VARIANTS(layernorm, layernorm_rows)

angel_kernel angel_layernorm_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? layernorm_variant(isa) : NULL;
}
