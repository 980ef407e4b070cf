// layernorm in float32 arithmetic (layernorm.h).
#include "layernorm.h"
#include "layernorm_row.h"
#include "variants.h"

ANGEL_INLINE void layernorm_rows(
  const void *arguments, int32_t part, int32_t parts, angel_dtype input, angel_dtype output) {
  const struct angel_layernorm_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t at = rows.begin * a->width; at < rows.end * a->width; at += a->width) {
    const float mean = layernorm_mean(a->input, input, at, a->width);
    const float scale = layernorm_scale(a->input, input, at, a->width, mean, a->epsilon);
    for (int64_t i = 0; i < a->width; i += 16) {
      const int64_t left = a->width - i;
      const f32x16 x = (f32x16_read(a->input, at + i, left, input) - mean) * scale;
      const f32x16 weight = f32x16_load_first_or_all(a->weight + i, left);
      const f32x16 bias = f32x16_load_first_or_all(a->bias + i, left);
      f32x16_write(a->output, at + i, f32x16_fma(x, weight, bias), left, output);
    }
  }
}
ANGEL_MIXED_KERNEL(layernorm, layernorm_rows)
