// rotary position embedding and its table, in float32 arithmetic (rotary.h).
#include <math.h>

#include "lanes.h"
#include "rotary.h"
#include "variants.h"

ANGEL_INLINE void rotary_head(
  const void *input, const float *cosines, void *output, int64_t at, int64_t half, angel_dtype dtype) {
  const float *sines = cosines + half;
  for (int64_t i = 0; i < half; i += 16) {
    const int64_t left = half - i;
    const f32x16 x = f32x16_read(input, at + i, left, dtype), y = f32x16_read(input, at + half + i, left, dtype);
    const f32x16 cosine = f32x16_load_first_or_all(cosines + i, left), sine = f32x16_load_first_or_all(sines + i, left);
    f32x16_write(output, at + i, x * cosine - y * sine, left, dtype);
    f32x16_write(output, at + half + i, y * cosine + x * sine, left, dtype);
  }
}

ANGEL_INLINE void rotary_heads(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype) {
  const struct angel_rotary_arguments *a = arguments;
  const struct angel_range heads = angel_part_range(a->rows * a->heads, part, parts);
  for (int64_t h = heads.begin; h < heads.end; h++) {
    const int64_t at = h * a->head_size;
    rotary_head(a->input, a->table + h / a->heads * a->rotated, a->output, at, a->rotated / 2, dtype);
    if (a->input == a->output) continue;
    for (int64_t i = a->rotated; i < a->head_size; i++) f32_write(a->output, at + i, f32_read(a->input, at + i, dtype), dtype);
  }
}
ANGEL_FLOAT_VARIANTS(rotary, rotary_heads)

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

ANGEL_FLOAT_KERNEL(rotary)
angel_kernel angel_rotary_table_kernel(
  [[maybe_unused]] angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? rotary_table : NULL;
}
