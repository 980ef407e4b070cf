// How conv2d's operands come to lie (conv2d.h): weights as panels, gradients as lines, images as planes.
#include <string.h>

#include "arrange.h"
#include "conv2d.h"
#include "lanes.h"
#include "pack.h"
#include "variants.h"

typedef struct angel_conv2d_shape shape;

static int64_t panels_of(int64_t columns) { return (columns + ANGEL_PANEL - 1) / ANGEL_PANEL; }

// A tap of a group is a matrix of its own; parts split the panels of each.
ANGEL_INLINE void arrange_taps(const void *arguments, int32_t part, int32_t parts, angel_isa isa) {
  const struct angel_conv2d_panels_arguments *a = arguments;
  const shape *s = &a->shape;
  const angel_kernel arrange = angel_arrange_panels_kernel(isa, a->dtype, ANGEL_F32, ANGEL_NO_DTYPE);
  const int64_t in = s->channels / s->groups, out = s->out_channels / s->groups;
  const int64_t taps = s->kernel_height * s->kernel_width, columns = a->transposed ? in : out;
  const int64_t depth = a->transposed ? out : in, element = a->dtype == ANGEL_F32 ? 4 : 2;
  for (int64_t i = 0; i < s->groups * taps; i++) {
    const int64_t first = i / taps * out * taps * in + i % taps * in;
    const struct angel_arrange_arguments tap = {
      .source = (const char *)a->weight + first * element,
      .target = a->panels + i * panels_of(columns) * depth * ANGEL_PANEL, .lines = columns, .depth = depth,
      .line_stride = a->transposed ? 1 : taps * in, .depth_stride = a->transposed ? taps * in : 1};
    arrange(&tap, part, parts);
  }
}

ANGEL_VARIANTS(conv2d_panels, arrange_taps)

// Parts own rows of outputs: the gradient of one, [out_width, out_channels], is turned into a piece of every line.
ANGEL_INLINE void arrange_lines(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_conv2d_arrange_arguments *a = arguments;
  const shape *s = &a->shape;
  const int64_t pitch = angel_conv2d_plane_width(s), line = angel_conv2d_line(s), channels = s->out_channels;
  const struct angel_range own = angel_part_range(s->batch * s->out_height, part, parts);
  for (int64_t i = own.begin; i < own.end; i++) {
    const int64_t n = i / s->out_height, y = i % s->out_height;
    const float *row = a->source + i * s->out_width * channels;
    float *target = a->target + n * channels * line + y * pitch;
    const int64_t padding = y + 1 < s->out_height ? pitch - s->out_width : 0;
    for (int64_t c = 0; c < channels; c += 16) {
      const int64_t count = channels - c < 16 ? channels - c : 16;
      for (int64_t x = 0; x < s->out_width; x += 16) {
        const int64_t places = s->out_width - x < 16 ? s->out_width - x : 16;
        for (int64_t k = 0; k < count; k++) {
          for (int64_t p = 0; p < places; p++) target[(c + k) * line + x + p] = row[(x + p) * channels + c + k];
        }
      }
      for (int64_t k = 0; k < count; k++) memset(target + (c + k) * line + s->out_width, 0, (size_t)padding * 4);
    }
  }
}
ANGEL_VARIANTS(conv2d_lines, arrange_lines)

// Sixteen channels of one place, zeros outside the image and past the group's channels.
ANGEL_INLINE f32x16 place(
  const struct angel_conv2d_arrange_arguments *a, int64_t n, int64_t y, int64_t x, int64_t c, int64_t count) {
  const shape *s = &a->shape;
  if (y < 0 || y >= s->height || x < 0 || x >= s->width) return f32x16_splat(0);
  return f32x16_load_first_or_all(a->source + ((n * s->height + y) * s->width + x) * s->channels + c, count);
}

// Parts own (image, group, panel, phase).
ANGEL_INLINE void arrange_planes(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_conv2d_arrange_arguments *a = arguments;
  const shape *s = &a->shape;
  const int64_t in = s->channels / s->groups, panels = panels_of(in), phases = s->stride_y * s->stride_x;
  const int64_t height = angel_conv2d_plane_height(s), width = angel_conv2d_plane_width(s);
  const struct angel_range own = angel_part_range(s->batch * s->groups * panels * phases, part, parts);
  for (int64_t i = own.begin; i < own.end; i++) {
    const int64_t phase = i % phases, panel = i / phases % panels, g = i / phases / panels % s->groups;
    const int64_t n = i / phases / panels / s->groups, left = in - panel * ANGEL_PANEL;
    float *target = a->target + i * height * width * ANGEL_PANEL;
    for (int64_t y = 0; y < height; y++) {
      for (int64_t x = 0; x < width; x++, target += ANGEL_PANEL) {
        const int64_t row = y * s->stride_y + phase / s->stride_x - s->padding_y;
        const int64_t column = x * s->stride_x + phase % s->stride_x - s->padding_x;
        f32x16_store(target, place(a, n, row, column, g * in + panel * ANGEL_PANEL, left < 16 ? left : 16));
      }
    }
  }
}
ANGEL_VARIANTS(conv2d_planes, arrange_planes)

angel_kernel angel_conv2d_panels_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  const int is_known = first == ANGEL_F32 || first == ANGEL_BF16;
  return is_known && second == ANGEL_NO_DTYPE && third == ANGEL_NO_DTYPE ? conv2d_panels_variant(isa) : NULL;
}
angel_kernel angel_conv2d_lines_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? conv2d_lines_variant(isa) : NULL;
}
angel_kernel angel_conv2d_planes_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? conv2d_planes_variant(isa) : NULL;
}
