// group_norm and its backward pass in sixteen channels at a time (group_norm.h).
#include "group_norm.h"

#include "column_tree.h"
#include "norm_backward.h"
#include "variants.h"
#include "vector_math.h"

// Sixteen channels of one image, or the `count` last ones.
struct columns {
  int64_t first, step, count;  // offset of the first place, distance of places
  int64_t at;                  // offset in [batch, channels]
  int64_t channel;
};

ANGEL_INLINE struct columns columns_of(int64_t index, int64_t places, int64_t channels) {
  const int64_t vectors = (channels + 15) / 16, n = index / vectors, c = index % vectors * 16;
  const int64_t count = channels - c < 16 ? channels - c : 16;
  return (struct columns){n * places * channels + c, channels, count, n * channels + c, c};
}

ANGEL_INLINE void moments(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_channel_moments_arguments *a = arguments;
  const struct angel_range own = angel_part_range(a->batch * ((a->channels + 15) / 16), part, parts);
  for (int64_t i = own.begin; i < own.end; i++) {
    const struct columns v = columns_of(i, a->places, a->channels);
    f32x16 centre = f32x16_splat(0);
    for (int pass = 0; pass < 2; pass++) {
      struct column_tree tree = {.chains = 0};
      for (int64_t begin = 0; begin < a->places; begin += ANGEL_TREE_ROWS) {
        const int64_t end = begin + ANGEL_TREE_ROWS < a->places ? begin + ANGEL_TREE_ROWS : a->places;
        f32x16 sum = f32x16_splat(0);
        for (int64_t p = begin; p < end; p++) {
          const f32x16 x = f32x16_load_first_or_all(a->input + v.first + p * v.step, v.count);
          sum = pass == 0 ? sum + x : f32x16_fma(x - centre, x - centre, sum);
        }
        tree_push(&tree, sum);
      }
      const f32x16 total = tree_sum(&tree);
      if (pass == 0) centre = total / (float)a->places;
      f32x16_store_first((pass == 0 ? a->centres : a->squares) + v.at, pass == 0 ? centre : total, v.count);
    }
  }
}
ANGEL_VARIANTS(channel_moments, moments)

// What all places of sixteen channels share.
struct lanes {
  f32x16 centre, scale, weight, bias;
};

ANGEL_INLINE struct lanes lanes_of(
  const float *centres, const float *scales, const float *weight, const float *bias, int64_t at, int64_t channel,
  int64_t count) {
  return (struct lanes){
    f32x16_load_first_or_all(centres + at, count), f32x16_load_first_or_all(scales + at, count),
    f32x16_load_first_or_all(weight + channel, count), f32x16_load_first_or_all(bias + channel, count)};
}

ANGEL_INLINE void normalize(
  const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_group_norm_arguments *a = arguments;
  const struct angel_range own = angel_part_range(a->batch * a->places, part, parts);
  for (int64_t p = own.begin; p < own.end; p++) {
    const int64_t n = p / a->places;
    for (int64_t c = 0; c < a->channels; c += 16) {
      const int64_t left = a->channels - c, at = p * a->channels + c;
      const struct lanes l = lanes_of(a->centres, a->scales, a->weight, a->bias, n * a->channels + c, c, left);
      const f32x16 x = f32x16_read(a->input, at, left, ANGEL_F32);
      f32x16 u = f32x16_fma((x - l.centre) * l.scale, l.weight, l.bias);
      if (a->has_silu) u = u / (1.0f + f32x16_exp(-u));
      f32x16_write(a->output, at, u, left, ANGEL_F32);
    }
  }
}
ANGEL_VARIANTS(group_norm, normalize)

// The gradient of u, and the normalised input.
struct pair {
  f32x16 gradient, normalized;
};

ANGEL_INLINE struct pair pair_at(
  const struct angel_group_norm_backward_arguments *a, struct lanes l, int64_t at, int64_t left) {
  const f32x16 x = f32x16_read(a->input, at, left, ANGEL_F32);
  struct pair result = {f32x16_read(a->gradient, at, left, ANGEL_F32), (x - l.centre) * l.scale};
  if (a->has_silu) {
    const f32x16 u = f32x16_fma(result.normalized, l.weight, l.bias), s = 1.0f / (1.0f + f32x16_exp(-u));
    result.gradient *= s * (1.0f + u * (1.0f - s));
  }
  return result;
}

ANGEL_INLINE void sums(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_group_norm_backward_arguments *a = arguments;
  const struct angel_range own = angel_part_range(a->batch * ((a->channels + 15) / 16), part, parts);
  for (int64_t i = own.begin; i < own.end; i++) {
    const struct columns v = columns_of(i, a->places, a->channels);
    const struct lanes l = lanes_of(a->centres, a->scales, a->weight, a->bias, v.at, v.channel, v.count);
    struct column_tree gradients = {.chains = 0}, products = {.chains = 0};
    for (int64_t begin = 0; begin < a->places; begin += ANGEL_TREE_ROWS) {
      const int64_t end = begin + ANGEL_TREE_ROWS < a->places ? begin + ANGEL_TREE_ROWS : a->places;
      f32x16 gradient = f32x16_splat(0), product = f32x16_splat(0);
      for (int64_t p = begin; p < end; p++) {
        const struct pair x = pair_at(a, l, v.first + p * v.step, v.count);
        gradient += x.gradient;
        product = f32x16_fma(x.gradient, x.normalized, product);
      }
      tree_push(&gradients, gradient);
      tree_push(&products, product);
    }
    f32x16_store_first(a->gradient_sums + v.at, tree_sum(&gradients), v.count);
    f32x16_store_first(a->product_sums + v.at, tree_sum(&products), v.count);
  }
}
ANGEL_VARIANTS(group_norm_sums_backward, sums)

ANGEL_INLINE void backward(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_group_norm_backward_arguments *a = arguments;
  const struct angel_range own = angel_part_range(a->batch * a->places, part, parts);
  for (int64_t p = own.begin; p < own.end; p++) {
    const int64_t n = p / a->places;
    for (int64_t c = 0; c < a->channels; c += 16) {
      const int64_t left = a->channels - c, at = p * a->channels + c, own_at = n * a->channels + c;
      const struct lanes l = lanes_of(a->centres, a->scales, a->weight, a->bias, own_at, c, left);
      const struct pair x = pair_at(a, l, at, left);
      const f32x16 centre_pull = f32x16_load_first_or_all(a->centre_pulls + own_at, left);
      const f32x16 scale_pull = f32x16_load_first_or_all(a->scale_pulls + own_at, left);
      const f32x16 gradient = (x.gradient * l.weight - centre_pull - x.normalized * scale_pull) * l.scale;
      f32x16_write(a->input_gradient, at, gradient, left, ANGEL_F32);
    }
  }
}
ANGEL_VARIANTS(group_norm_backward, backward)

#define PROVIDER(name)                                                                                          \
  angel_kernel angel_##name##_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) { \
    return angel_only(ANGEL_F32, first, second, third) ? name##_variant(isa) : NULL;                            \
  }
PROVIDER(channel_moments)
PROVIDER(group_norm)
PROVIDER(group_norm_sums_backward)
PROVIDER(group_norm_backward)
