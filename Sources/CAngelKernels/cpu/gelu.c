// gelu in float32 arithmetic (gelu.h).
#include "gelu.h"
#include "gelu_lanes.h"
#include "variants.h"

ANGEL_INLINE void gelu_lines(
  const struct angel_gelu_arguments *a, struct angel_range lines, angel_gelu_form form, angel_dtype dtype) {
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const int64_t left = a->count - i;
    f32x16_write(a->output, i, gelu_lanes(f32x16_read(a->input, i, left, dtype), form), left, dtype);
  }
}

ANGEL_INLINE void gelu_elements(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_gelu_arguments *a = arguments;
  // Parts are whole cache lines of output.
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  if (a->form == ANGEL_GELU_TANH) gelu_lines(a, lines, ANGEL_GELU_TANH, dtype);
  if (a->form == ANGEL_GELU_ERF) gelu_lines(a, lines, ANGEL_GELU_ERF, dtype);
}
ANGEL_FLOAT_VARIANTS(gelu, gelu_elements)

ANGEL_INLINE void gelu_backward_lines(
  const struct angel_gelu_backward_arguments *a, struct angel_range lines, angel_gelu_form form, angel_dtype dtype) {
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const int64_t left = a->count - i;
    const f32x16 x = f32x16_read(a->input, i, left, dtype), dy = f32x16_read(a->gradient, i, left, dtype);
    f32x16_write(a->input_gradient, i, dy * gelu_slope(x, form), left, dtype);
  }
}

ANGEL_INLINE void gelu_backward_elements(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_gelu_backward_arguments *a = arguments;
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  if (a->form == ANGEL_GELU_TANH) gelu_backward_lines(a, lines, ANGEL_GELU_TANH, dtype);
  if (a->form == ANGEL_GELU_ERF) gelu_backward_lines(a, lines, ANGEL_GELU_ERF, dtype);
}
ANGEL_FLOAT_VARIANTS(gelu_backward, gelu_backward_elements)

ANGEL_FLOAT_KERNEL(gelu)
ANGEL_FLOAT_KERNEL(gelu_backward)
