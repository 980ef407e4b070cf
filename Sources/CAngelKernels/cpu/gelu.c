// gelu in float32 (gelu.h).
#include "gelu.h"
#include "gelu_lanes.h"
#include "variants.h"

ANGEL_INLINE void gelu_lines(const struct angel_gelu_arguments *a, struct angel_range lines, angel_gelu_form form) {
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const int64_t left = a->count - i;
    if (left >= 16) {
      f32x16_store(a->output + i, gelu_lanes(f32x16_load(a->input + i), form));
    } else {
      f32x16_store_first(a->output + i, gelu_lanes(f32x16_load_first(a->input + i, left), form), left);
    }
  }
}

ANGEL_INLINE void gelu_elements(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_gelu_arguments *a = arguments;
  // Parts are whole cache lines of output.
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  if (a->form == ANGEL_GELU_TANH) gelu_lines(a, lines, ANGEL_GELU_TANH);
  if (a->form == ANGEL_GELU_ERF) gelu_lines(a, lines, ANGEL_GELU_ERF);
}
ANGEL_VARIANTS(gelu, gelu_elements)

ANGEL_INLINE void gelu_backward_lines(
  const struct angel_gelu_backward_arguments *a, struct angel_range lines, angel_gelu_form form) {
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const int64_t left = a->count - i < 16 ? a->count - i : 16;
    const f32x16 x = left == 16 ? f32x16_load(a->input + i) : f32x16_load_first(a->input + i, left);
    const f32x16 dy = left == 16 ? f32x16_load(a->gradient + i) : f32x16_load_first(a->gradient + i, left);
    const f32x16 dx = dy * gelu_slope(x, form);
    if (left == 16) f32x16_store(a->input_gradient + i, dx);
    else f32x16_store_first(a->input_gradient + i, dx, left);
  }
}

ANGEL_INLINE void gelu_backward_elements(
  const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_gelu_backward_arguments *a = arguments;
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  if (a->form == ANGEL_GELU_TANH) gelu_backward_lines(a, lines, ANGEL_GELU_TANH);
  if (a->form == ANGEL_GELU_ERF) gelu_backward_lines(a, lines, ANGEL_GELU_ERF);
}
ANGEL_VARIANTS(gelu_backward, gelu_backward_elements)

angel_kernel angel_gelu_backward_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? gelu_backward_variant(isa) : NULL;
}
angel_kernel angel_gelu_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? gelu_variant(isa) : NULL;
}
