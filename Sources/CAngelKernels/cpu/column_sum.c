// column_sum (column_sum.h).
#include "column_sum.h"

#include "column_tree.h"
#include "norm_backward.h"
#include "variants.h"

ANGEL_INLINE void column_sums(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_column_sum_arguments *a = arguments;
  const struct angel_range vectors = angel_part_range((a->width + 15) / 16, part, parts);
  for (int64_t column = vectors.begin * 16; column < vectors.end * 16; column += 16) {
    const int64_t count = a->width - column < 16 ? a->width - column : 16;
    struct column_tree tree = {.chains = 0};
    for (int64_t begin = 0; begin < a->rows; begin += ANGEL_TREE_ROWS) {
      const int64_t end = begin + ANGEL_TREE_ROWS < a->rows ? begin + ANGEL_TREE_ROWS : a->rows;
      f32x16 sum = f32x16_splat(0);
      for (int64_t r = begin; r < end; r++) sum += f32x16_read(a->input, r * a->width + column, count, dtype);
      tree_push(&tree, sum);
    }
    f32x16_store_first(a->output + column, tree_sum(&tree), count);
  }
}
ANGEL_FLOAT_VARIANTS(column_sum, column_sums)
ANGEL_FLOAT_KERNEL(column_sum)
