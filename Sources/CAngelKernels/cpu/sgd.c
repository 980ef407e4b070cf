// sgd (sgd.h).
#include "sgd.h"

#include "master_lanes.h"
#include "variants.h"

ANGEL_INLINE void sgd(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_sgd_arguments *a = arguments;
  const struct angel_master master = {a->parameter, a->low};
  const struct angel_range own = angel_part_range((a->count + 15) / 16, part, parts);
  for (int64_t at = own.begin * 16; at < own.end * 16; at += 16) {
    const int64_t left = a->count - at < 16 ? a->count - at : 16;
    struct angel_last_master last;
    const struct angel_master here = left == 16 ? master : master_last(&last, master, at, left);
    const int64_t place = left == 16 ? at : 0;
    f32x16 direction = f32x16_load_first_or_all(a->gradient + at, left) * a->gradient_scale;
    if (a->velocity != NULL) {
      direction = f32x16_load_first_or_all(a->velocity + at, left) * a->momentum + direction;
      if (left == 16) f32x16_store(a->velocity + at, direction);
      else f32x16_store_first(a->velocity + at, direction, left);
    }
    const f32x16 decayed = master_load(here, place) * (1 - a->learning_rate * a->weight_decay);
    master_store(here, place, decayed - a->learning_rate * direction);
    if (left < 16) master_put_back(&last, master, at, left);
  }
}
ANGEL_VARIANTS(sgd, sgd)

angel_kernel angel_sgd_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  const int is_known = angel_only(ANGEL_F32, first, second, third) || angel_only(ANGEL_BF16, first, second, third);
  return is_known ? sgd_variant(isa) : NULL;
}
