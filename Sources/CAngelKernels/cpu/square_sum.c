// square_sum (square_sum.h).
#include "square_sum.h"

#include "lanes.h"
#include "variants.h"

typedef double f64x8 __attribute__((ext_vector_type(8)));

ANGEL_INLINE double block_sum(const float *input, int64_t count) {
  f64x8 low = 0, high = 0;
  for (int64_t i = 0; i < count; i += 16) {
    const f32x16 x = count - i >= 16 ? f32x16_load(input + i) : f32x16_load_first(input + i, count - i);
    const f64x8 a = __builtin_convertvector(x.lo, f64x8), b = __builtin_convertvector(x.hi, f64x8);
    low += a * a;
    high += b * b;
  }
  const f64x8 eight = low + high;
  double lanes[8];
  __builtin_memcpy(lanes, &eight, sizeof lanes);
  for (int half = 4; half > 0; half /= 2) {
    for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

ANGEL_INLINE void square_sum(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_square_sum_arguments *a = arguments;
  const struct angel_range own =
    angel_part_range((a->count + ANGEL_SQUARE_BLOCK - 1) / ANGEL_SQUARE_BLOCK, part, parts);
  for (int64_t block = own.begin; block < own.end; block++) {
    const int64_t at = block * ANGEL_SQUARE_BLOCK, left = a->count - at;
    a->output[block] = block_sum(a->input + at, left < ANGEL_SQUARE_BLOCK ? left : ANGEL_SQUARE_BLOCK);
  }
}
ANGEL_VARIANTS(square_sum, square_sum)

angel_kernel angel_square_sum_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? square_sum_variant(isa) : NULL;
}
