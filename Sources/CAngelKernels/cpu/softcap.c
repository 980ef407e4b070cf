// softcap in float32 (softcap.h).
#include "softcap.h"
#include "variants.h"
#include "vector_math.h"

ANGEL_INLINE void softcap_elements(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_softcap_arguments *a = arguments;
  // Parts are whole cache lines of output.
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const int64_t left = a->count - i;
    if (left >= 16) {
      f32x16_store(a->output + i, a->cap * f32x16_tanh(f32x16_load(a->input + i) / a->cap));
    } else {
      f32x16_store_first(a->output + i, a->cap * f32x16_tanh(f32x16_load_first(a->input + i, left) / a->cap), left);
    }
  }
}
ANGEL_VARIANTS(softcap, softcap_elements)

angel_kernel angel_softcap_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? softcap_variant(isa) : NULL;
}
