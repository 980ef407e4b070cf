// adafactor (adafactor.h).
#include "adafactor.h"

#include "lanes.h"
#include "variants.h"

ANGEL_INLINE void adafactor(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_adafactor_arguments *a = arguments;
  const struct angel_range own = angel_part_range(a->rows, part, parts);
  for (int64_t i = own.begin; i < own.end; i++) {
    for (int64_t j = 0; j < a->columns; j += 16) {
      const int64_t left = a->columns - j < 16 ? a->columns - j : 16, at = i * a->columns + j;
      const f32x16 g = f32x16_load_first_or_all(a->gradient + at, left) * a->gradient_scale;
      const f32x16 moment = f32x16_load_first_or_all(a->column + j, left) * a->row[i] * a->scale;
      const f32x16 root = __builtin_elementwise_sqrt(f32x16_max(moment, f32x16_splat(a->floor)));
      f32x16_write(a->direction, at, g / root, left, ANGEL_F32);
    }
  }
}
ANGEL_VARIANTS(adafactor, adafactor)

angel_kernel angel_adafactor_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? adafactor_variant(isa) : NULL;
}
