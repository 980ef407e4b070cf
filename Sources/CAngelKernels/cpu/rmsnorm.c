// rmsnorm in float32 (rmsnorm.h).
#include "rmsnorm.h"
#include "rmsnorm_row.h"
#include "variants.h"

ANGEL_INLINE void rmsnorm_row(const struct angel_rmsnorm_arguments *a, const float *input, float *output) {
  const int64_t whole = a->width / 16 * 16, left = a->width - whole;
  f32x16 squares = f32x16_splat(0);
  for (int64_t i = 0; i < whole; i += 16) {
    const f32x16 x = f32x16_load(input + i);
    squares = f32x16_fma(x, x, squares);
  }
  if (left > 0) {
    const f32x16 x = f32x16_load_first(input + whole, left);
    squares = f32x16_fma(x, x, squares);
  }
  rmsnorm_apply(input, rmsnorm_scale(squares, a->width, a->epsilon), a->weight, output, a->width);
}

ANGEL_INLINE void rmsnorm_rows(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_rmsnorm_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) rmsnorm_row(a, a->input + r * a->width, a->output + r * a->width);
}
ANGEL_VARIANTS(rmsnorm, rmsnorm_rows)

angel_kernel angel_rmsnorm_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? rmsnorm_variant(isa) : NULL;
}
