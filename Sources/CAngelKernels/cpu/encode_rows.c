// encode_rows: one function a format, from 32 floats to a block (encode_rows.h).
#include "encode_rows.h"

#include <math.h>

#include "half.h"
#include "panels.h"

typedef void (*encode_block)(const float *x, uint8_t *block);

static void store_half(float value, uint8_t *at) {
  const uint16_t half = angel_f16_from_f32(value);
  memcpy(at, &half, 2);
}

static float inverse_of(float d) { return d == 0 ? 0 : 1 / d; }

// Towards zero, within 0 ... most; what no integer stands for is 0.
static uint8_t bounded(float x, int most) { return x >= (float)most ? (uint8_t)most : x > 0 ? (uint8_t)x : 0; }

// The value of largest magnitude, the first of equals.
static float extreme(const float *x) {
  float most = x[0];
  for (int e = 1; e < ANGEL_BLOCK; e++) most = fabsf(x[e]) > fabsf(most) ? x[e] : most;
  return most;
}

// Element e in the low nibble of byte e, element 16 + e in the high one.
static void store_nibbles(const uint8_t q[ANGEL_BLOCK], uint8_t *bytes) {
  for (int e = 0; e < 16; e++) bytes[e] = (uint8_t)((q[e] & 15) | q[16 + e] << 4);
}

static void store_fifth_bits(const uint8_t q[ANGEL_BLOCK], uint8_t *bytes) {
  uint32_t bits = 0;
  for (int e = 0; e < ANGEL_BLOCK; e++) bits |= (uint32_t)(q[e] >> 4) << e;
  memcpy(bytes, &bits, 4);
}

// Quants around the middle of 0 ... 2 * half - 1; the scale goes to `d`.
static void quantize_centred(const float *x, int half, uint8_t q[ANGEL_BLOCK], uint8_t *d) {
  const float scale = extreme(x) / (float)-half, inverse = inverse_of(scale);
  for (int e = 0; e < ANGEL_BLOCK; e++) q[e] = bounded(x[e] * inverse + ((float)half + 0.5f), 2 * half - 1);
  store_half(scale, d);
}

// Quants from the minimum on; scale and minimum go to `d`.
static void quantize_from_minimum(const float *x, int most, uint8_t q[ANGEL_BLOCK], uint8_t *d) {
  float low = x[0], high = x[0];
  for (int e = 1; e < ANGEL_BLOCK; e++) {
    low = x[e] < low ? x[e] : low;
    high = x[e] > high ? x[e] : high;
  }
  const float scale = (high - low) / (float)most, inverse = inverse_of(scale);
  for (int e = 0; e < ANGEL_BLOCK; e++) q[e] = bounded((x[e] - low) * inverse + 0.5f, most);
  store_half(scale, d);
  store_half(low, d + 2);
}

static void encode_q4_0(const float *x, uint8_t *block) {
  uint8_t q[ANGEL_BLOCK];
  quantize_centred(x, 8, q, block);
  store_nibbles(q, block + 2);
}

static void encode_q4_1(const float *x, uint8_t *block) {
  uint8_t q[ANGEL_BLOCK];
  quantize_from_minimum(x, 15, q, block);
  store_nibbles(q, block + 4);
}

static void encode_q5_0(const float *x, uint8_t *block) {
  uint8_t q[ANGEL_BLOCK];
  quantize_centred(x, 16, q, block);
  store_fifth_bits(q, block + 2);
  store_nibbles(q, block + 6);
}

static void encode_q5_1(const float *x, uint8_t *block) {
  uint8_t q[ANGEL_BLOCK];
  quantize_from_minimum(x, 31, q, block);
  store_fifth_bits(q, block + 4);
  store_nibbles(q, block + 8);
}

static void encode_q8_0(const float *x, uint8_t *block) {
  const float scale = fabsf(extreme(x)) / 127, inverse = inverse_of(scale);
  for (int e = 0; e < ANGEL_BLOCK; e++) {
    const float product = x[e] * inverse, magnitude = fabsf(product);
    // floor(a) + floor(2 * (a - floor(a))) is exact, where a + 0.5 may round up.
    const float whole = floorf(magnitude);
    const uint8_t rounded = bounded(whole + floorf(2 * (magnitude - whole)), 127);
    block[2 + e] = product < 0 ? (uint8_t)-rounded : rounded;
  }
  store_half(scale, block);
}

ANGEL_INLINE void encode(
  const void *arguments, int32_t part, int32_t parts, int64_t block_bytes, encode_block encode_one) {
  const struct angel_encode_rows_arguments *a = arguments;
  const struct angel_range blocks = angel_part_range(a->rows * (a->depth / ANGEL_BLOCK), part, parts);
  for (int64_t b = blocks.begin; b < blocks.end; b++) {
    encode_one(a->input + b * ANGEL_BLOCK, (uint8_t *)a->output + b * block_bytes);
  }
}

#define ENCODE(name, bytes)                                                            \
  static void encode_rows_##name(const void *arguments, int32_t part, int32_t parts) { \
    encode(arguments, part, parts, bytes, encode_##name);                              \
  }
ENCODE(q4_0, 18)
ENCODE(q4_1, 20)
ENCODE(q5_0, 22)
ENCODE(q5_1, 24)
ENCODE(q8_0, 34)

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
