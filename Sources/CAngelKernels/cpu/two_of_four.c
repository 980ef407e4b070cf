// two_of_four (two_of_four.h).
#include "two_of_four.h"

#include "quads.h"
#include "variants.h"

ANGEL_INLINE void flag_rows(
  const void *arguments, int32_t part, int32_t parts, angel_dtype dtype, int64_t block_bytes) {
  const struct angel_two_of_four_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  const int64_t blocks = a->depth / 32;
  for (int64_t row = rows.begin; row < rows.end; row++) {
    const uint8_t *block = (const uint8_t *)a->source + row * blocks * block_bytes;
    uint32_t is_kept = 1;
    for (int64_t b = 0; b < blocks && is_kept; b++, block += block_bytes) {
      for (int quad = 0; quad < 8; quad++) {
        // Bit n of 0x177f: a set n of nonzero elements has at most two.
        is_kept &= 0x177fu >> angel_nonzero_of_quad(dtype, block, quad);
      }
    }
    a->flags[row] = (uint8_t)is_kept;
  }
}

#define FLAG(name, dtype, block_bytes)                                                                          \
  ANGEL_INLINE void name##_body(                                                                                \
    const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {                       \
    flag_rows(arguments, part, parts, dtype, block_bytes);                                                      \
  }                                                                                                             \
  ANGEL_VARIANTS(name, name##_body)
FLAG(flag_q4_0, ANGEL_Q4_0, 18)
FLAG(flag_q8_0, ANGEL_Q8_0, 34)
FLAG(flag_bf16, ANGEL_BF16, 64)

angel_kernel angel_two_of_four_kernel(angel_isa isa, angel_dtype weight, angel_dtype second, angel_dtype third) {
  if (second != ANGEL_NO_DTYPE || third != ANGEL_NO_DTYPE) return NULL;
  switch (weight) {
    case ANGEL_Q4_0: return flag_q4_0_variant(isa);
    case ANGEL_Q8_0: return flag_q8_0_variant(isa);
    case ANGEL_BF16: return flag_bf16_variant(isa);
    default: return NULL;
  }
}
