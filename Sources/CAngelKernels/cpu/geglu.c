// geglu in float32 (geglu.h).
#include "geglu.h"
#include "gelu_lanes.h"
#include "variants.h"

ANGEL_INLINE void geglu_lines(const struct angel_geglu_arguments *a, struct angel_range lines, angel_gelu_form form) {
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const int64_t left = a->count - i;
    if (left >= 16) {
      f32x16_store(a->output + i, gelu_lanes(f32x16_load(a->gate + i), form) * f32x16_load(a->up + i));
    } else {
      const f32x16 gate = f32x16_load_first(a->gate + i, left), up = f32x16_load_first(a->up + i, left);
      f32x16_store_first(a->output + i, gelu_lanes(gate, form) * up, left);
    }
  }
}

ANGEL_INLINE void geglu_elements(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_geglu_arguments *a = arguments;
  // Parts are whole cache lines of output.
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  if (a->form == ANGEL_GELU_TANH) geglu_lines(a, lines, ANGEL_GELU_TANH);
  if (a->form == ANGEL_GELU_ERF) geglu_lines(a, lines, ANGEL_GELU_ERF);
}
ANGEL_VARIANTS(geglu, geglu_elements)

ANGEL_INLINE void geglu_backward_lines(
  const struct angel_geglu_backward_arguments *a, struct angel_range lines, angel_gelu_form form) {
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const int64_t left = a->count - i < 16 ? a->count - i : 16;
    const f32x16 gate = left == 16 ? f32x16_load(a->gate + i) : f32x16_load_first(a->gate + i, left);
    const f32x16 up = left == 16 ? f32x16_load(a->up + i) : f32x16_load_first(a->up + i, left);
    const f32x16 dy = left == 16 ? f32x16_load(a->gradient + i) : f32x16_load_first(a->gradient + i, left);
    const f32x16 gates = dy * up * gelu_slope(gate, form), ups = dy * gelu_lanes(gate, form);
    if (left == 16) {
      f32x16_store(a->gate_gradient + i, gates);
      f32x16_store(a->up_gradient + i, ups);
    } else {
      f32x16_store_first(a->gate_gradient + i, gates, left);
      f32x16_store_first(a->up_gradient + i, ups, left);
    }
  }
}

ANGEL_INLINE void geglu_backward_elements(
  const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_geglu_backward_arguments *a = arguments;
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  if (a->form == ANGEL_GELU_TANH) geglu_backward_lines(a, lines, ANGEL_GELU_TANH);
  if (a->form == ANGEL_GELU_ERF) geglu_backward_lines(a, lines, ANGEL_GELU_ERF);
}
ANGEL_VARIANTS(geglu_backward, geglu_backward_elements)

angel_kernel angel_geglu_backward_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? geglu_backward_variant(isa) : NULL;
}
angel_kernel angel_geglu_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? geglu_variant(isa) : NULL;
}
