// muon (muon.h).
#include "muon.h"

#include "lanes.h"
#include "variants.h"

ANGEL_INLINE void muon(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_muon_arguments *a = arguments;
  const struct angel_range own = angel_part_range((a->count + 15) / 16, part, parts);
  for (int64_t at = own.begin * 16; at < own.end * 16; at += 16) {
    const int64_t left = a->count - at < 16 ? a->count - at : 16;
    const f32x16 g = f32x16_load_first_or_all(a->gradient + at, left) * a->gradient_scale;
    f32x16 m = f32x16_load_first_or_all(a->velocity + at, left);
    m = m + (g - m) * (1 - a->momentum);
    f32x16_write(a->velocity, at, m, left, ANGEL_F32);
    f32x16_write(a->direction, at, g + (m - g) * a->momentum, left, ANGEL_F32);
  }
}
ANGEL_VARIANTS(muon, muon)

angel_kernel angel_muon_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? muon_variant(isa) : NULL;
}
