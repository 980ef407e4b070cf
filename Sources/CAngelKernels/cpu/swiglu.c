// swiglu in float32 (swiglu.h).
#include "swiglu.h"
#include "variants.h"
#include "vector_math.h"

ANGEL_INLINE f32x16 swiglu_lanes(f32x16 gate, f32x16 up) { return gate / (1.0f + f32x16_exp(-gate)) * up; }

ANGEL_INLINE void swiglu_elements(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_swiglu_arguments *a = arguments;
  // Parts are whole cache lines of output.
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const int64_t left = a->count - i;
    if (left >= 16) {
      f32x16_store(a->output + i, swiglu_lanes(f32x16_load(a->gate + i), f32x16_load(a->up + i)));
    } else {
      const f32x16 gate = f32x16_load_first(a->gate + i, left), up = f32x16_load_first(a->up + i, left);
      f32x16_store_first(a->output + i, swiglu_lanes(gate, up), left);
    }
  }
}
ANGEL_VARIANTS(swiglu, swiglu_elements)

struct gate_gradients {
  f32x16 gate, up;
};
ANGEL_INLINE struct gate_gradients swiglu_gradients(f32x16 gate, f32x16 up, f32x16 gradient) {
  const f32x16 sigmoid = 1.0f / (1.0f + f32x16_exp(-gate)), silu = gate * sigmoid;
  return (struct gate_gradients){gradient * up * (sigmoid + silu * (1.0f - sigmoid)), gradient * silu};
}

ANGEL_INLINE void swiglu_backward_elements(
  const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_swiglu_backward_arguments *a = arguments;
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const int64_t left = a->count - i;
    if (left >= 16) {
      const struct gate_gradients results =
        swiglu_gradients(f32x16_load(a->gate + i), f32x16_load(a->up + i), f32x16_load(a->gradient + i));
      f32x16_store(a->gate_gradient + i, results.gate);
      f32x16_store(a->up_gradient + i, results.up);
    } else {
      const struct gate_gradients results = swiglu_gradients(
        f32x16_load_first(a->gate + i, left), f32x16_load_first(a->up + i, left),
        f32x16_load_first(a->gradient + i, left));
      f32x16_store_first(a->gate_gradient + i, results.gate, left);
      f32x16_store_first(a->up_gradient + i, results.up, left);
    }
  }
}
ANGEL_VARIANTS(swiglu_backward, swiglu_backward_elements)

angel_kernel angel_swiglu_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? swiglu_variant(isa) : NULL;
}
angel_kernel angel_swiglu_backward_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? swiglu_backward_variant(isa) : NULL;
}
