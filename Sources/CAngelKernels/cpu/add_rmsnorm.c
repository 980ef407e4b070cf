// add_rmsnorm in float32 arithmetic (add_rmsnorm.h): the row is summed and squared in one pass, then scaled while it is in
// cache.
#include "add_rmsnorm.h"
#include "rmsnorm_row.h"
#include "variants.h"

ANGEL_INLINE void add_rmsnorm_rows(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_add_rmsnorm_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t at = rows.begin * a->width; at < rows.end * a->width; at += a->width) {
    f32x16 squares = f32x16_splat(0);
    for (int64_t i = 0; i < a->width; i += 16) {
      const int64_t left = a->width - i;
      const f32x16 x = f32x16_read(a->input, at + i, left, ANGEL_F32) + f32x16_read(a->update, at + i, left, dtype);
      f32x16_write(a->sum, at + i, x, left, ANGEL_F32);
      squares = f32x16_fma(x, x, squares);
    }
    const f32x16 scale = rmsnorm_scale(squares, a->width, a->epsilon);
    rmsnorm_apply(a->sum, ANGEL_F32, scale, a->weight, a->normalized, dtype, at, a->width);
  }
}
ANGEL_FLOAT_VARIANTS(add_rmsnorm, add_rmsnorm_rows)
ANGEL_FLOAT_KERNEL(add_rmsnorm)
