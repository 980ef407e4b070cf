// add_rmsnorm in float32 (add_rmsnorm.h): the row is summed and squared in one pass, then scaled while it is in cache.
#include "add_rmsnorm.h"
#include "rmsnorm_row.h"
#include "variants.h"

ANGEL_INLINE void add_rmsnorm_row(const struct angel_add_rmsnorm_arguments *a, int64_t row) {
  const int64_t whole = a->width / 16 * 16, left = a->width - whole;
  const float *input = a->input + row * a->width, *update = a->update + row * a->width;
  float *sum = a->sum + row * a->width;
  f32x16 squares = f32x16_splat(0);
  for (int64_t i = 0; i < whole; i += 16) {
    const f32x16 x = f32x16_load(input + i) + f32x16_load(update + i);
    f32x16_store(sum + i, x);
    squares = f32x16_fma(x, x, squares);
  }
  if (left > 0) {
    const f32x16 x = f32x16_load_first(input + whole, left) + f32x16_load_first(update + whole, left);
    f32x16_store_first(sum + whole, x, left);
    squares = f32x16_fma(x, x, squares);
  }
  const f32x16 scale = rmsnorm_scale(squares, a->width, a->epsilon);
  rmsnorm_apply(sum, scale, a->weight, a->normalized + row * a->width, a->width);
}

ANGEL_INLINE void add_rmsnorm_rows(
  const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_add_rmsnorm_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) add_rmsnorm_row(a, r);
}
ANGEL_VARIANTS(add_rmsnorm, add_rmsnorm_rows)

angel_kernel angel_add_rmsnorm_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? add_rmsnorm_variant(isa) : NULL;
}
