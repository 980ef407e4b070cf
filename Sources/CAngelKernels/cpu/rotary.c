// rotary position embedding and its table, float32 (rotary.h).
#include <math.h>

#include "lanes.h"
#include "rotary.h"
#include "variants.h"

ANGEL_INLINE void rotary_head(const float *input, const float *cosines, float *output, int64_t half) {
  const float *sines = cosines + half;
  int64_t i = 0;
  for (; i + 16 <= half; i += 16) {
    const f32x16 x = f32x16_load(input + i), y = f32x16_load(input + half + i);
    const f32x16 cosine = f32x16_load(cosines + i), sine = f32x16_load(sines + i);
    f32x16_store(output + i, x * cosine - y * sine);
    f32x16_store(output + half + i, y * cosine + x * sine);
  }
  for (; i < half; i++) {
    const float x = input[i], y = input[half + i];
    output[i] = x * cosines[i] - y * sines[i];
    output[half + i] = y * cosines[i] + x * sines[i];
  }
}

ANGEL_INLINE void rotary_heads(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_rotary_arguments *a = arguments;
  const struct angel_range heads = angel_part_range(a->rows * a->heads, part, parts);
  for (int64_t h = heads.begin; h < heads.end; h++) {
    const float *input = a->input + h * a->head_size;
    float *output = a->output + h * a->head_size;
    rotary_head(input, a->table + h / a->heads * a->rotated, output, a->rotated / 2);
    if (input == output) continue;
    for (int64_t i = a->rotated; i < a->head_size; i++) output[i] = input[i];
  }
}
ANGEL_VARIANTS(rotary, rotary_heads)

// Cosines are taken in float64 of the rounded angle: float32 range reduction loses digits at large positions.
static void rotary_table(const void *arguments, int32_t part, int32_t parts) {
  const struct angel_rotary_table_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) {
    float *cosines = a->output + r * 2 * a->half, *sines = cosines + a->half;
    for (int64_t i = 0; i < a->half; i++) {
      const float angle = (float)a->positions[r] * a->inverse_frequencies[i];
      cosines[i] = (float)cos((double)angle) * a->scaling;
      sines[i] = (float)sin((double)angle) * a->scaling;
    }
  }
}

angel_kernel angel_rotary_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? rotary_variant(isa) : NULL;
}
angel_kernel angel_rotary_table_kernel(
  [[maybe_unused]] angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? rotary_table : NULL;
}
