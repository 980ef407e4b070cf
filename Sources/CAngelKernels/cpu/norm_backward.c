// The backward pass of the norms in float32 (norm_backward.h).
#include "layernorm_row.h"
#include "norm_backward.h"
#include "rmsnorm_row.h"
#include "variants.h"

ANGEL_INLINE void rmsnorm_backward_row(const struct angel_norm_backward_arguments *a, int64_t r) {
  const int64_t width = a->width, whole = width / 16 * 16, left = width - whole;
  const float *input = a->input + r * width, *gradient = a->gradient + r * width;
  f32x16 squares = f32x16_splat(0), products = f32x16_splat(0);
  for (int64_t i = 0; i < whole; i += 16) {
    const f32x16 x = f32x16_load(input + i), h = f32x16_load(gradient + i) * f32x16_load(a->weight + i);
    squares = f32x16_fma(x, x, squares);
    products = f32x16_fma(h, x, products);
  }
  if (left > 0) {
    const f32x16 x = f32x16_load_first(input + whole, left);
    const f32x16 h = f32x16_load_first(gradient + whole, left) * f32x16_load_first(a->weight + whole, left);
    squares = f32x16_fma(x, x, squares);
    products = f32x16_fma(h, x, products);
  }
  const f32x16 scale = rmsnorm_scale(squares, width, a->epsilon);
  a->scales[r] = scale[0];
  if (a->input_gradient == NULL) return;
  float *target = a->input_gradient + r * width;
  // n mean(h n) = x s^2 mean(h x)
  const f32x16 pull = scale * scale * (f32x16_sum(products) / (float)width);
  for (int64_t i = 0; i < whole; i += 16) {
    const f32x16 h = f32x16_load(gradient + i) * f32x16_load(a->weight + i);
    f32x16_store(target + i, (h - f32x16_load(input + i) * pull) * scale);
  }
  for (int64_t i = whole; i < width; i++) {
    target[i] = (gradient[i] * a->weight[i] - input[i] * pull[0]) * scale[0];
  }
}

ANGEL_INLINE void rmsnorm_backward_rows(
  const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_norm_backward_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) rmsnorm_backward_row(a, r);
}
ANGEL_VARIANTS(rmsnorm_backward, rmsnorm_backward_rows)

ANGEL_INLINE void layernorm_backward_row(const struct angel_norm_backward_arguments *a, int64_t r) {
  const int64_t width = a->width, whole = width / 16 * 16, left = width - whole;
  const float *input = a->input + r * width, *gradient = a->gradient + r * width;
  const float centre = layernorm_mean(input, width), scale = layernorm_scale(input, width, centre, a->epsilon);
  a->centres[r] = centre;
  a->scales[r] = scale;
  if (a->input_gradient == NULL) return;
  f32x16 sums = f32x16_splat(0), products = f32x16_splat(0);
  for (int64_t i = 0; i < whole; i += 16) {
    const f32x16 x = f32x16_load(input + i) - centre, h = f32x16_load(gradient + i) * f32x16_load(a->weight + i);
    sums += h;
    products = f32x16_fma(h, x, products);
  }
  if (left > 0) {
    // Past the end h is zero, so what x is there adds nothing.
    const f32x16 x = f32x16_load_first(input + whole, left) - centre;
    const f32x16 h = f32x16_load_first(gradient + whole, left) * f32x16_load_first(a->weight + whole, left);
    sums += h;
    products = f32x16_fma(h, x, products);
  }
  // n mean(h n) = (x - m) s^2 mean(h (x - m))
  const float mean = f32x16_sum(sums) / (float)width, pull = scale * scale * (f32x16_sum(products) / (float)width);
  float *target = a->input_gradient + r * width;
  for (int64_t i = 0; i < whole; i += 16) {
    const f32x16 x = f32x16_load(input + i) - centre, h = f32x16_load(gradient + i) * f32x16_load(a->weight + i);
    f32x16_store(target + i, (h - mean - x * pull) * scale);
  }
  for (int64_t i = whole; i < width; i++) {
    target[i] = (gradient[i] * a->weight[i] - mean - (input[i] - centre) * pull) * scale;
  }
}

ANGEL_INLINE void layernorm_backward_rows(
  const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_norm_backward_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) layernorm_backward_row(a, r);
}
ANGEL_VARIANTS(layernorm_backward, layernorm_backward_rows)

enum { tree_levels = 48 };

// Sums of chains, pairwise: `levels[l]` waits for its neighbour of 2^l chains, as the bits of a counter do.
struct column_tree {
  f32x16 levels[tree_levels];
  int64_t chains;
};

ANGEL_INLINE void tree_push(struct column_tree *tree, f32x16 sum) {
  int level = 0;
  for (int64_t n = tree->chains; n & 1; n >>= 1, level++) sum = tree->levels[level] + sum;
  tree->levels[level] = sum;
  tree->chains++;
}

// What is left at the end, smallest first.
ANGEL_INLINE f32x16 tree_sum(const struct column_tree *tree) {
  f32x16 sum = f32x16_splat(0);
  int level = 0, begun = 0;
  for (int64_t n = tree->chains; n > 0; n >>= 1, level++) {
    if (!(n & 1)) continue;
    sum = begun ? tree->levels[level] + sum : tree->levels[level];
    begun = 1;
  }
  return sum;
}

// Columns column ..< column + count, at most 16.
ANGEL_INLINE void norm_weight_columns(
  const struct angel_norm_weight_backward_arguments *a, int64_t column, int64_t count) {
  struct column_tree weights = {.chains = 0}, biases = {.chains = 0};
  for (int64_t begin = 0; begin < a->rows; begin += ANGEL_TREE_ROWS) {
    const int64_t end = begin + ANGEL_TREE_ROWS < a->rows ? begin + ANGEL_TREE_ROWS : a->rows;
    f32x16 weight = f32x16_splat(0), bias = f32x16_splat(0);
    for (int64_t r = begin; r < end; r++) {
      const float *input = a->input + r * a->width + column, *gradient = a->gradient + r * a->width + column;
      const f32x16 x = count == 16 ? f32x16_load(input) : f32x16_load_first(input, count);
      const f32x16 dy = count == 16 ? f32x16_load(gradient) : f32x16_load_first(gradient, count);
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
  const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_norm_weight_backward_arguments *a = arguments;
  const struct angel_range vectors = angel_part_range((a->width + 15) / 16, part, parts);
  for (int64_t column = vectors.begin * 16; column < vectors.end * 16; column += 16) {
    const int64_t left = a->width - column;
    norm_weight_columns(a, column, left < 16 ? left : 16);
  }
}
ANGEL_VARIANTS(norm_weight_backward, norm_weight_backward_columns)

angel_kernel angel_rmsnorm_backward_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? rmsnorm_backward_variant(isa) : NULL;
}
angel_kernel angel_layernorm_backward_kernel(
  angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? layernorm_backward_variant(isa) : NULL;
}
angel_kernel angel_norm_weight_backward_kernel(
  angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? norm_weight_backward_variant(isa) : NULL;
}
