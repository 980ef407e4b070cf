// rmsnorm in float32 arithmetic (rmsnorm.h).
#include "rmsnorm.h"
#include "rmsnorm_row.h"
#include "variants.h"

ANGEL_INLINE void rmsnorm_rows(
  const void *arguments, int32_t part, int32_t parts, angel_dtype input, angel_dtype output) {
  const struct angel_rmsnorm_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t at = rows.begin * a->width; at < rows.end * a->width; at += a->width) {
    f32x16 squares = f32x16_splat(0);
    for (int64_t i = 0; i < a->width; i += 16) {
      const f32x16 x = f32x16_read(a->input, at + i, a->width - i, input);
      squares = f32x16_fma(x, x, squares);
    }
    const f32x16 scale = rmsnorm_scale(squares, a->width, a->epsilon);
    rmsnorm_apply(a->input, input, scale, a->weight, a->output, output, at, a->width);
  }
}
ANGEL_MIXED_KERNEL(rmsnorm, rmsnorm_rows)
