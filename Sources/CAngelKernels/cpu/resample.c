// upsample and downsample in sixteen channels at a time (resample.h).
#include "resample.h"

#include "lanes.h"
#include "variants.h"

ANGEL_INLINE void upsample_rows(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_resample_arguments *a = arguments;
  const int64_t width = a->width * a->factor;
  const struct angel_range own = angel_part_range(a->batch * a->height * a->factor, part, parts);
  for (int64_t row = own.begin; row < own.end; row++) {
    const int64_t from = row / a->factor * a->width * a->channels, to = row * width * a->channels;
    for (int64_t x = 0; x < width; x++) {
      for (int64_t c = 0; c < a->channels; c += 16) {
        const int64_t left = a->channels - c;
        const f32x16 value = f32x16_read(a->input, from + x / a->factor * a->channels + c, left, dtype);
        f32x16_write(a->output, to + x * a->channels + c, value * a->scale, left, dtype);
      }
    }
  }
}
ANGEL_FLOAT_VARIANTS(upsample, upsample_rows)
ANGEL_FLOAT_KERNEL(upsample)

ANGEL_INLINE void downsample_rows(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_resample_arguments *a = arguments;
  const int64_t line = a->width * a->factor * a->channels;
  const struct angel_range own = angel_part_range(a->batch * a->height, part, parts);
  for (int64_t row = own.begin; row < own.end; row++) {
    for (int64_t x = 0; x < a->width; x++) {
      for (int64_t c = 0; c < a->channels; c += 16) {
        const int64_t left = a->channels - c, from = row * a->factor * line + x * a->factor * a->channels + c;
        f32x16 sum = f32x16_splat(0);
        for (int64_t i = 0; i < a->factor; i++) {
          for (int64_t j = 0; j < a->factor; j++) {
            const f32x16 value = f32x16_read(a->input, from + i * line + j * a->channels, left, dtype);
            sum = i + j == 0 ? value : sum + value;
          }
        }
        f32x16_write(a->output, (row * a->width + x) * a->channels + c, sum * a->scale, left, dtype);
      }
    }
  }
}
ANGEL_FLOAT_VARIANTS(downsample, downsample_rows)
ANGEL_FLOAT_KERNEL(downsample)
