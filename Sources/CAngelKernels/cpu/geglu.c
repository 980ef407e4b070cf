// geglu in float32 arithmetic (geglu.h).
#include "geglu.h"
#include "gelu_lanes.h"
#include "variants.h"

ANGEL_INLINE void geglu_lines(
  const struct angel_geglu_arguments *a, struct angel_range lines, angel_gelu_form form, angel_dtype dtype) {
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const int64_t left = a->count - i;
    const f32x16 gate = f32x16_read(a->gate, i, left, dtype), up = f32x16_read(a->up, i, left, dtype);
    f32x16_write(a->output, i, gelu_lanes(gate, form) * up, left, dtype);
  }
}

ANGEL_INLINE void geglu_elements(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_geglu_arguments *a = arguments;
  // Parts are whole cache lines of output.
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  if (a->form == ANGEL_GELU_TANH) geglu_lines(a, lines, ANGEL_GELU_TANH, dtype);
  if (a->form == ANGEL_GELU_ERF) geglu_lines(a, lines, ANGEL_GELU_ERF, dtype);
}
ANGEL_FLOAT_VARIANTS(geglu, geglu_elements)

ANGEL_INLINE void geglu_backward_lines(
  const struct angel_geglu_backward_arguments *a, struct angel_range lines, angel_gelu_form form, angel_dtype dtype) {
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const int64_t left = a->count - i;
    const f32x16 gate = f32x16_read(a->gate, i, left, dtype), up = f32x16_read(a->up, i, left, dtype);
    const f32x16 dy = f32x16_read(a->gradient, i, left, dtype);
    f32x16_write(a->gate_gradient, i, dy * up * gelu_slope(gate, form), left, dtype);
    f32x16_write(a->up_gradient, i, dy * gelu_lanes(gate, form), left, dtype);
  }
}

ANGEL_INLINE void geglu_backward_elements(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_geglu_backward_arguments *a = arguments;
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  if (a->form == ANGEL_GELU_TANH) geglu_backward_lines(a, lines, ANGEL_GELU_TANH, dtype);
  if (a->form == ANGEL_GELU_ERF) geglu_backward_lines(a, lines, ANGEL_GELU_ERF, dtype);
}
ANGEL_FLOAT_VARIANTS(geglu_backward, geglu_backward_elements)

ANGEL_FLOAT_KERNEL(geglu)
ANGEL_FLOAT_KERNEL(geglu_backward)
