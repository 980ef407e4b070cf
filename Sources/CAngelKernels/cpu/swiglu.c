// swiglu in float32 arithmetic (swiglu.h).
#include "swiglu.h"
#include "variants.h"
#include "vector_math.h"

ANGEL_INLINE void swiglu_elements(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_swiglu_arguments *a = arguments;
  // Parts are whole cache lines of output.
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const int64_t left = a->count - i;
    const f32x16 gate = f32x16_read(a->gate, i, left, dtype), up = f32x16_read(a->up, i, left, dtype);
    f32x16_write(a->output, i, gate / (1.0f + f32x16_exp(-gate)) * up, left, dtype);
  }
}
ANGEL_FLOAT_VARIANTS(swiglu, swiglu_elements)

ANGEL_INLINE void swiglu_backward_elements(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_swiglu_backward_arguments *a = arguments;
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const int64_t left = a->count - i;
    const f32x16 gate = f32x16_read(a->gate, i, left, dtype), up = f32x16_read(a->up, i, left, dtype);
    const f32x16 dy = f32x16_read(a->gradient, i, left, dtype);
    const f32x16 sigmoid = 1.0f / (1.0f + f32x16_exp(-gate)), silu = gate * sigmoid;
    f32x16_write(a->gate_gradient, i, dy * up * (sigmoid + silu * (1.0f - sigmoid)), left, dtype);
    f32x16_write(a->up_gradient, i, dy * silu, left, dtype);
  }
}
ANGEL_FLOAT_VARIANTS(swiglu_backward, swiglu_backward_elements)

ANGEL_FLOAT_KERNEL(swiglu)
ANGEL_FLOAT_KERNEL(swiglu_backward)
