// lion (lion.h).
#include "lion.h"

#include "master_lanes.h"
#include "variants.h"

ANGEL_INLINE void lion(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_lion_arguments *a = arguments;
  const struct angel_master master = {a->parameter, a->low};
  const struct angel_range own = angel_part_range((a->count + 15) / 16, part, parts);
  for (int64_t at = own.begin * 16; at < own.end * 16; at += 16) {
    const int64_t left = a->count - at < 16 ? a->count - at : 16;
    struct angel_last_master last;
    const struct angel_master here = left == 16 ? master : master_last(&last, master, at, left);
    const int64_t place = left == 16 ? at : 0;
    const f32x16 g = f32x16_load_first_or_all(a->gradient + at, left) * a->gradient_scale;
    const f32x16 m = f32x16_load_first_or_all(a->momentum + at, left);
    const f32x16 c = m * a->beta1 + g * (1 - a->beta1);
    const f32x16 zero = 0, rate = f32x16_splat(a->learning_rate);
    const f32x16 step = c > zero ? rate : c < zero ? -rate : zero;
    master_store(here, place, master_load(here, place) * (1 - a->learning_rate * a->weight_decay) - step);
    f32x16_write(a->momentum, at, m * a->beta2 + g * (1 - a->beta2), left, ANGEL_F32);
    if (left < 16) master_put_back(&last, master, at, left);
  }
}
ANGEL_VARIANTS(lion, lion)

angel_kernel angel_lion_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  const int is_known = angel_only(ANGEL_F32, first, second, third) || angel_only(ANGEL_BF16, first, second, third);
  return is_known ? lion_variant(isa) : NULL;
}
