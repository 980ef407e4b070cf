// conv2d and its backward passes (conv2d.h) on the float32 tiles of matmul (matmul_engine.h): a row of outputs and one
// tap are a product of rows, whose stride is the image's, with panels. Nothing is copied for it but the weights.
#include "conv2d.h"

#include "matmul_engine.h"
#include "variants.h"

enum {
  BLOCK = 128,    // places of a row, or output channels, that share a panel's stay in the first cache
  STRETCH = 256,  // places of a line that do: 32 KiB of two panels
};

typedef struct angel_conv2d_shape shape;

ANGEL_INLINE int64_t panels_of(int64_t columns) { return (columns + ANGEL_PANEL - 1) / ANGEL_PANEL; }
ANGEL_INLINE int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
ANGEL_INLINE int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
ANGEL_INLINE int64_t floor_of(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

// Outputs whose tap at `offset` (tap * dilation - padding) reads one of `count` places, of all outputs 0 ..< outputs.
ANGEL_INLINE struct angel_range readers(int64_t offset, int64_t stride, int64_t count, int64_t outputs) {
  const int64_t begin = at_least(0, floor_of(stride - 1 - offset, stride));
  return (struct angel_range){begin, at_least(begin, at_most(outputs, floor_of(count - 1 - offset, stride) + 1))};
}

// What both directions are made of: a row of targets, each a sum over taps and `depth` channels of the sources it is
// connected with.
struct walk {
  const float *source;
  int64_t source_height, source_width, source_channels, depth;
  int64_t target_height, target_width, target_channels, columns;
  int is_transposed;
};

ANGEL_INLINE struct walk walk_of(const struct angel_conv2d_arguments *a, int is_transposed) {
  const shape *s = &a->shape;
  const int64_t in = s->channels / s->groups, out = s->out_channels / s->groups;
  if (is_transposed) {
    return (struct walk){a->input, s->out_height, s->out_width, s->out_channels, out,
                         s->height, s->width, s->channels, in, 1};
  }
  return (struct walk){a->input, s->height, s->width, s->channels, in,
                       s->out_height, s->out_width, s->out_channels, out, 0};
}

// The source row that target row `y` reads with a tap at `offset`, or -1.
ANGEL_INLINE int64_t source_row(const struct walk *w, int64_t y, int64_t offset, int64_t stride) {
  const int64_t row = w->is_transposed ? y - offset : y * stride + offset;
  if (w->is_transposed && (row < 0 || row % stride != 0)) return -1;
  const int64_t index = w->is_transposed ? row / stride : row;
  return index >= 0 && index < w->source_height ? index : -1;
}

// Adds one tap of a row to the targets begin ..< end of it.
ANGEL_INLINE void add_tap(
  const struct walk *w, const struct angel_matmul_engine *engine, const shape *s, struct angel_range targets,
  int64_t offset, const float *row, struct angel_dense_tile tile) {
  const int64_t outputs = w->is_transposed ? w->source_width : w->target_width;
  const int64_t count = w->is_transposed ? w->target_width : w->source_width;
  struct angel_range own = readers(offset, s->stride_x, count, outputs);
  // Targets of the block alone: outputs themselves, or the inputs output * stride + offset.
  const int64_t step = w->is_transposed ? s->stride_x : 1, origin = w->is_transposed ? offset : 0;
  own.begin = at_least(own.begin, floor_of(targets.begin - origin + step - 1, step));
  own.end = at_most(own.end, floor_of(targets.end - 1 - origin, step) + 1);
  if (own.begin >= own.end) return;
  const int64_t first = own.begin * s->stride_x + offset;
  tile.rows = (int32_t)(own.end - own.begin);
  tile.input = row + (w->is_transposed ? own.begin : first) * w->source_channels;
  tile.input_stride = (w->is_transposed ? 1 : s->stride_x) * w->source_channels;
  tile.sums += ((w->is_transposed ? first : own.begin) - targets.begin) * tile.sums_stride;
  tile.sums_stride *= step;
  engine->dense(ANGEL_F32, &tile);
}

// Targets begin ..< end of row `y` of image `n`, columns of the panels `panel` ..< panel + width of group `g`.
ANGEL_INLINE void add_block(
  const struct angel_conv2d_arguments *a, const struct walk *w, const struct angel_matmul_engine *engine, int64_t n,
  int64_t y, struct angel_range targets, int64_t g, int64_t panel, int32_t width, float *buffer) {
  const shape *s = &a->shape;
  const int64_t panels = panels_of(w->columns), panel_bytes = w->depth * ANGEL_PANEL * 4;
  const int64_t count = targets.end - targets.begin;
  const int64_t column = panel * ANGEL_PANEL, valid = at_most(width * ANGEL_PANEL, w->columns - column);
  float *output = a->output + ((n * w->target_height + y) * w->target_width + targets.begin) * w->target_channels +
                  g * w->columns + column;
  const int is_direct = valid == width * ANGEL_PANEL;
  struct angel_dense_tile tile = {
    .panel_bytes = panel_bytes, .depth = w->depth, .sums = is_direct ? output : buffer,
    .sums_stride = is_direct ? w->target_channels : width * ANGEL_PANEL, .panels = width};
  for (int64_t x = 0; x < count; x++) memset(tile.sums + x * tile.sums_stride, 0, (size_t)width * ANGEL_PANEL * 4);
  for (int64_t i = 0; i < s->kernel_height; i++) {
    const int64_t row = source_row(w, y, i * s->dilation_y - s->padding_y, s->stride_y);
    if (row < 0) continue;
    const float *source =
      w->source + (n * w->source_height + row) * w->source_width * w->source_channels + g * w->depth;
    for (int64_t j = 0; j < s->kernel_width; j++) {
      const int64_t tap = (g * s->kernel_height + i) * s->kernel_width + j;
      tile.weight = (const uint8_t *)a->panels + (tap * panels + panel) * panel_bytes;
      add_tap(w, engine, s, targets, j * s->dilation_x - s->padding_x, source, tile);
    }
  }
  const float *bias = w->is_transposed || a->bias == NULL ? NULL : a->bias + g * w->columns + column;
  for (int64_t x = 0; x < count && (!is_direct || bias != NULL); x++) {
    const float *sums = tile.sums + x * tile.sums_stride;
    for (int64_t c = 0; c < valid; c++) output[x * w->target_channels + c] = bias == NULL ? sums[c] : sums[c] + bias[c];
  }
}

// Parts own ranges of (group, pair of panels, image, row), in this order: two panels' weights are read for many rows.
ANGEL_INLINE void walk_rows(
  const void *arguments, int32_t part, int32_t parts, const struct angel_matmul_engine *engine, int is_transposed) {
  const struct angel_conv2d_arguments *a = arguments;
  const struct walk w = walk_of(a, is_transposed);
  alignas(64) float buffer[BLOCK * 2 * ANGEL_PANEL];
  const int64_t pairs = (panels_of(w.columns) + 1) / 2, rows = a->shape.batch * w.target_height;
  const struct angel_range own = angel_part_range(a->shape.groups * pairs * rows, part, parts);
  for (int64_t i = own.begin; i < own.end; i++) {
    const int64_t row = i % rows, panel = i / rows % pairs * 2, g = i / rows / pairs;
    const int32_t width = panels_of(w.columns) - panel < 2 ? 1 : 2;
    for (int64_t x = 0; x < w.target_width; x += BLOCK) {
      const struct angel_range targets = {x, at_most(x + BLOCK, w.target_width)};
      add_block(a, &w, engine, row / w.target_height, row % w.target_height, targets, g, panel, width, buffer);
    }
  }
}

// One tap of the weights of `rows` output channels from `channel` of group `g`, against two panels of channels.
ANGEL_INLINE void add_weights(
  const struct angel_conv2d_weight_backward_arguments *a, const struct angel_matmul_engine *engine, int64_t g,
  int64_t panel, int32_t width, int64_t tap, int64_t channel, int32_t rows) {
  const shape *s = &a->shape;
  alignas(64) float sums[BLOCK * 2 * ANGEL_PANEL];
  const int64_t in = s->channels / s->groups, line = angel_conv2d_line(s), plane_width = angel_conv2d_plane_width(s);
  const int64_t plane = angel_conv2d_plane_height(s) * plane_width, phases = s->stride_y * s->stride_x;
  const int64_t y = tap / s->kernel_width * s->dilation_y, x = tap % s->kernel_width * s->dilation_x;
  const int64_t phase = y % s->stride_y * s->stride_x + x % s->stride_x;
  const int64_t start = y / s->stride_y * plane_width + x / s->stride_x;
  const int64_t panels = panels_of(in), taps = s->kernel_height * s->kernel_width;
  struct angel_dense_tile tile = {
    .input_stride = line, .panel_bytes = phases * plane * ANGEL_PANEL * 4, .sums = sums,
    .sums_stride = width * ANGEL_PANEL, .rows = rows, .panels = width, .is_first = 1};
  for (int64_t n = 0; n < s->batch; n++) {
    const float *input = a->lines + (n * s->out_channels + channel) * line;
    const float *weight =
      a->planes + ((((n * s->groups + g) * panels + panel) * phases + phase) * plane + start) * ANGEL_PANEL;
    for (int64_t k = 0; k < line; k += STRETCH) {
      tile.input = input + k;
      tile.weight = (const uint8_t *)(weight + k * ANGEL_PANEL);
      tile.depth = at_most(STRETCH, line - k);
      engine->dense(ANGEL_F32, &tile);
      tile.is_first = 0;
    }
  }
  const int64_t column = panel * ANGEL_PANEL, valid = at_most(width * ANGEL_PANEL, in - column);
  for (int32_t r = 0; r < rows; r++) {
    memcpy(a->output + ((channel + r) * taps + tap) * in + column, sums + r * tile.sums_stride, (size_t)valid * 4);
  }
}

// Parts own ranges of (group, block of output channels, pair of panels, tap).
ANGEL_INLINE void walk_weights(
  const void *arguments, int32_t part, int32_t parts, const struct angel_matmul_engine *engine) {
  const struct angel_conv2d_weight_backward_arguments *a = arguments;
  const shape *s = &a->shape;
  const int64_t in = s->channels / s->groups, out = s->out_channels / s->groups;
  const int64_t taps = s->kernel_height * s->kernel_width, pairs = (panels_of(in) + 1) / 2;
  const int64_t blocks = (out + BLOCK - 1) / BLOCK;
  const struct angel_range own = angel_part_range(s->groups * blocks * pairs * taps, part, parts);
  for (int64_t i = own.begin; i < own.end; i++) {
    const int64_t tap = i % taps, panel = i / taps % pairs * 2, block = i / taps / pairs % blocks;
    const int64_t g = i / taps / pairs / blocks, channel = block * BLOCK;
    const int32_t width = panels_of(in) - panel < 2 ? 1 : 2;
    add_weights(a, engine, g, panel, width, tap, g * out + channel, (int32_t)at_most(BLOCK, out - channel));
  }
}

#define KERNELS(isa)                                                                                         \
  static void conv2d_##isa(const void *arguments, int32_t part, int32_t parts) {                             \
    walk_rows(arguments, part, parts, &angel_matmul_##isa, 0);                                               \
  }                                                                                                          \
  static void input_backward_##isa(const void *arguments, int32_t part, int32_t parts) {                     \
    walk_rows(arguments, part, parts, &angel_matmul_##isa, 1);                                               \
  }                                                                                                          \
  static void weight_backward_##isa(const void *arguments, int32_t part, int32_t parts) {                    \
    walk_weights(arguments, part, parts, &angel_matmul_##isa);                                               \
  }
KERNELS(scalar)
#if defined(ANGEL_X86)
KERNELS(avx2)
KERNELS(avx512)
#define BEST(name, isa) (isa >= ANGEL_ISA_AVX512 ? name##_avx512 : isa == ANGEL_ISA_AVX2 ? name##_avx2 : name##_scalar)
#else
#define BEST(name, isa) ((void)isa, name##_scalar)
#endif

angel_kernel angel_conv2d_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? BEST(conv2d, isa) : NULL;
}
angel_kernel angel_conv2d_input_backward_kernel(
  angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? BEST(input_backward, isa) : NULL;
}
angel_kernel angel_conv2d_weight_backward_kernel(
  angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? BEST(weight_backward, isa) : NULL;
}
