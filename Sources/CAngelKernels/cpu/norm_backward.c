// The backward pass of the norms in float32 arithmetic (norm_backward.h).
#include "norm_backward.h"

#include "column_tree.h"
#include "layernorm_row.h"
#include "rmsnorm_row.h"
#include "variants.h"

ANGEL_INLINE void rmsnorm_backward_row(
  const struct angel_norm_backward_arguments *a, int64_t r, angel_dtype input, angel_dtype gradient) {
  const int64_t width = a->width, at = r * width;
  f32x16 squares = f32x16_splat(0), products = f32x16_splat(0);
  for (int64_t i = 0; i < width; i += 16) {
    const f32x16 x = f32x16_read(a->input, at + i, width - i, input);
    const f32x16 h =
      f32x16_read(a->gradient, at + i, width - i, gradient) * f32x16_load_first_or_all(a->weight + i, width - i);
    squares = f32x16_fma(x, x, squares);
    products = f32x16_fma(h, x, products);
  }
  const f32x16 scale = rmsnorm_scale(squares, width, a->epsilon);
  a->scales[r] = scale[0];
  if (a->input_gradient == NULL) return;
  // n mean(h n) = x s^2 mean(h x)
  const f32x16 pull = scale * scale * (f32x16_sum(products) / (float)width);
  for (int64_t i = 0; i < width; i += 16) {
    const f32x16 x = f32x16_read(a->input, at + i, width - i, input);
    const f32x16 h =
      f32x16_read(a->gradient, at + i, width - i, gradient) * f32x16_load_first_or_all(a->weight + i, width - i);
    f32x16_write(a->input_gradient, at + i, (h - x * pull) * scale, width - i, input);
  }
}

ANGEL_INLINE void rmsnorm_backward_rows(
  const void *arguments, int32_t part, int32_t parts, angel_dtype input, angel_dtype gradient) {
  const struct angel_norm_backward_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) rmsnorm_backward_row(a, r, input, gradient);
}
ANGEL_MIXED_KERNEL(rmsnorm_backward, rmsnorm_backward_rows)

ANGEL_INLINE void layernorm_backward_row(
  const struct angel_norm_backward_arguments *a, int64_t r, angel_dtype input, angel_dtype gradient) {
  const int64_t width = a->width, at = r * width;
  const float centre = layernorm_mean(a->input, input, at, width);
  const float scale = layernorm_scale(a->input, input, at, width, centre, a->epsilon);
  a->centres[r] = centre;
  a->scales[r] = scale;
  if (a->input_gradient == NULL) return;
  f32x16 sums = f32x16_splat(0), products = f32x16_splat(0);
  for (int64_t i = 0; i < width; i += 16) {
    // Past the end h is zero, so what x is there adds nothing.
    const f32x16 x = f32x16_read(a->input, at + i, width - i, input) - centre;
    const f32x16 h =
      f32x16_read(a->gradient, at + i, width - i, gradient) * f32x16_load_first_or_all(a->weight + i, width - i);
    sums += h;
    products = f32x16_fma(h, x, products);
  }
  // n mean(h n) = (x - m) s^2 mean(h (x - m))
  const float mean = f32x16_sum(sums) / (float)width, pull = scale * scale * (f32x16_sum(products) / (float)width);
  for (int64_t i = 0; i < width; i += 16) {
    const f32x16 x = f32x16_read(a->input, at + i, width - i, input) - centre;
    const f32x16 h =
      f32x16_read(a->gradient, at + i, width - i, gradient) * f32x16_load_first_or_all(a->weight + i, width - i);
    f32x16_write(a->input_gradient, at + i, (h - mean - x * pull) * scale, width - i, input);
  }
}

ANGEL_INLINE void layernorm_backward_rows(
  const void *arguments, int32_t part, int32_t parts, angel_dtype input, angel_dtype gradient) {
  const struct angel_norm_backward_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) layernorm_backward_row(a, r, input, gradient);
}
ANGEL_MIXED_KERNEL(layernorm_backward, layernorm_backward_rows)

// Columns column ..< column + count, at most 16.
ANGEL_INLINE void norm_weight_columns(
  const struct angel_norm_weight_backward_arguments *a, int64_t column, int64_t count, angel_dtype input,
  angel_dtype gradient) {
  struct column_tree weights = {.chains = 0}, biases = {.chains = 0};
  for (int64_t begin = 0; begin < a->rows; begin += ANGEL_TREE_ROWS) {
    const int64_t end = begin + ANGEL_TREE_ROWS < a->rows ? begin + ANGEL_TREE_ROWS : a->rows;
    f32x16 weight = f32x16_splat(0), bias = f32x16_splat(0);
    for (int64_t r = begin; r < end; r++) {
      const f32x16 x = f32x16_read(a->input, r * a->width + column, count, input);
      const f32x16 dy = f32x16_read(a->gradient, r * a->width + column, count, gradient);
      const f32x16 centred = a->centres == NULL ? x : x - a->centres[r];
      weight = f32x16_fma(dy, centred * a->scales[r], weight);
      bias += dy;
    }
    tree_push(&weights, weight);
    if (a->bias_gradient != NULL) tree_push(&biases, bias);
  }
  f32x16_store_first(a->weight_gradient + column, tree_sum(&weights), count);
  if (a->bias_gradient != NULL) f32x16_store_first(a->bias_gradient + column, tree_sum(&biases), count);
}

ANGEL_INLINE void norm_weight_backward_columns(
  const void *arguments, int32_t part, int32_t parts, angel_dtype input, angel_dtype gradient) {
  const struct angel_norm_weight_backward_arguments *a = arguments;
  const struct angel_range vectors = angel_part_range((a->width + 15) / 16, part, parts);
  for (int64_t column = vectors.begin * 16; column < vectors.end * 16; column += 16) {
    const int64_t left = a->width - column;
    norm_weight_columns(a, column, left < 16 ? left : 16, input, gradient);
  }
}
ANGEL_MIXED_KERNEL(norm_weight_backward, norm_weight_backward_columns)
