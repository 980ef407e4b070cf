// scale (scale.h).
#include "scale.h"

#include "lanes.h"
#include "variants.h"

ANGEL_INLINE void scale_elements(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_scale_arguments *a = arguments;
  const float factor = *a->factor;
  if (factor == 1) return;
  const struct angel_range lines = angel_part_range((a->count + 15) / 16, part, parts);
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    f32x16_write(a->values, i, f32x16_read(a->values, i, a->count - i, dtype) * factor, a->count - i, dtype);
  }
}
ANGEL_FLOAT_VARIANTS(scale, scale_elements)
ANGEL_FLOAT_KERNEL(scale)
