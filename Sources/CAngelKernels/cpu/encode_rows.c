// encode_rows: one function a format, from 32 floats to a block (encode_rows.h).
#include "encode_rows.h"

#include "encode_blocks.h"

typedef void (*encode_block)(const float *x, uint8_t *block);

// Towards zero, within 0 ... most; what no integer stands for is 0.
static uint8_t bounded(float x, int most) { return x >= (float)most ? (uint8_t)most : x > 0 ? (uint8_t)x : 0; }

// Quants around the middle of the grid.
ANGEL_INLINE void encode_centred(const float *x, angel_dtype format, uint8_t *block) {
  const struct angel_quant_grid grid = angel_quant_grid_of(format);
  const float half = (float)grid.offset, scale = angel_extreme(x) / -half, inverse = angel_inverse_scale(scale);
  uint8_t q[ANGEL_BLOCK];
  for (int e = 0; e < ANGEL_BLOCK; e++) q[e] = bounded(x[e] * inverse + (half + 0.5f), grid.most);
  angel_store_block(format, q, scale, 0, block);
}

// Quants from the minimum on.
ANGEL_INLINE void encode_from_minimum(const float *x, angel_dtype format, uint8_t *block) {
  const struct angel_quant_grid grid = angel_quant_grid_of(format);
  float low = x[0], high = x[0];
  for (int e = 1; e < ANGEL_BLOCK; e++) {
    low = x[e] < low ? x[e] : low;
    high = x[e] > high ? x[e] : high;
  }
  const float scale = (high - low) / (float)grid.most, inverse = angel_inverse_scale(scale);
  uint8_t q[ANGEL_BLOCK];
  for (int e = 0; e < ANGEL_BLOCK; e++) q[e] = bounded((x[e] - low) * inverse + 0.5f, grid.most);
  angel_store_block(format, q, scale, low, block);
}

static void encode_q4_0(const float *x, uint8_t *block) { encode_centred(x, ANGEL_Q4_0, block); }
static void encode_q4_1(const float *x, uint8_t *block) { encode_from_minimum(x, ANGEL_Q4_1, block); }
static void encode_q5_0(const float *x, uint8_t *block) { encode_centred(x, ANGEL_Q5_0, block); }
static void encode_q5_1(const float *x, uint8_t *block) { encode_from_minimum(x, ANGEL_Q5_1, block); }

static void encode_q8_0(const float *x, uint8_t *block) {
  const float scale = fabsf(angel_extreme(x)) / 127, inverse = angel_inverse_scale(scale);
  uint8_t q[ANGEL_BLOCK];
  for (int e = 0; e < ANGEL_BLOCK; e++) {
    const float product = x[e] * inverse, magnitude = fabsf(product);
    // floor(a) + floor(2 * (a - floor(a))) is exact, where a + 0.5 may round up.
    const float whole = floorf(magnitude);
    const uint8_t rounded = bounded(whole + floorf(2 * (magnitude - whole)), 127);
    q[e] = product < 0 ? 128 - rounded : 128 + rounded;
  }
  angel_store_block(ANGEL_Q8_0, q, scale, 0, block);
}

ANGEL_INLINE void encode(
  const void *arguments, int32_t part, int32_t parts, angel_dtype format, encode_block encode_one) {
  const int64_t block_bytes = angel_quant_grid_of(format).block_bytes;
  const struct angel_encode_rows_arguments *a = arguments;
  const struct angel_range blocks = angel_part_range(a->rows * (a->depth / ANGEL_BLOCK), part, parts);
  for (int64_t b = blocks.begin; b < blocks.end; b++) {
    encode_one(a->input + b * ANGEL_BLOCK, (uint8_t *)a->output + b * block_bytes);
  }
}

#define ENCODE(name, format)                                                           \
  static void encode_rows_##name(const void *arguments, int32_t part, int32_t parts) { \
    encode(arguments, part, parts, format, encode_##name);                             \
  }
ENCODE(q4_0, ANGEL_Q4_0)
ENCODE(q4_1, ANGEL_Q4_1)
ENCODE(q5_0, ANGEL_Q5_0)
ENCODE(q5_1, ANGEL_Q5_1)
ENCODE(q8_0, ANGEL_Q8_0)

angel_kernel angel_encode_rows_kernel(
  [[maybe_unused]] angel_isa isa, angel_dtype input, angel_dtype target, [[maybe_unused]] angel_dtype third) {
  if (input != ANGEL_F32) return NULL;
  switch (target) {
    case ANGEL_Q4_0: return encode_rows_q4_0;
    case ANGEL_Q4_1: return encode_rows_q4_1;
    case ANGEL_Q5_0: return encode_rows_q5_0;
    case ANGEL_Q5_1: return encode_rows_q5_1;
    case ANGEL_Q8_0: return encode_rows_q8_0;
    default: return NULL;
  }
}
