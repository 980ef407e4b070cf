// ema (ema.h).
#include "ema.h"

#include "master_lanes.h"
#include "variants.h"

ANGEL_INLINE void ema(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_ema_arguments *a = arguments;
  // Only read: the type has no word for it.
  const struct angel_master master = {(void *)a->parameter, (int16_t *)a->low};
  const struct angel_range own = angel_part_range((a->count + 15) / 16, part, parts);
  for (int64_t at = own.begin * 16; at < own.end * 16; at += 16) {
    const int64_t left = a->count - at < 16 ? a->count - at : 16;
    struct angel_last_master last;
    const struct angel_master here = left == 16 ? master : master_last(&last, master, at, left);
    const f32x16 average = f32x16_load_first_or_all(a->average + at, left);
    const f32x16 value = master_load(here, left == 16 ? at : 0);
    f32x16_write(a->average, at, average + (value - average) * (1 - a->decay), left, ANGEL_F32);
  }
}
ANGEL_VARIANTS(ema, ema)

angel_kernel angel_ema_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  const int is_known = angel_only(ANGEL_F32, first, second, third) || angel_only(ANGEL_BF16, first, second, third);
  return is_known ? ema_variant(isa) : NULL;
}
