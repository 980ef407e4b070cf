// adamw8 (adamw8.h): 16 bytes move for each parameter, against 28 of adamw.
#include "adamw8.h"

#include "master_lanes.h"
#include "variants.h"

typedef uint8_t u8x16 __attribute__((ext_vector_type(16)));

// Codes are the upper bits of a float's exponent and mantissa, moved so that `bias` is the exponent of e = 1. Below it steps are
// equal, as in subnormal floats: adding a number whose last bit is that step aligns them.
ANGEL_INLINE f32x16 decoded(const uint8_t *codes, int64_t count, int bias, int is_signed) {
  u8x16 bytes = 0;
  if (count >= 16) __builtin_memcpy(&bytes, codes, 16);
  else for (int64_t i = 0; i < count; i++) bytes[i] = codes[i];
  const u32x16 code = __builtin_convertvector(bytes, u32x16), size = is_signed ? code & 0x7f : code;
  const u32x16 exponent = size >> 4, mantissa = size & 15;
  const f32x16 normal = f32x16_of_bits((exponent + (uint32_t)(bias - 1)) << 23 | mantissa << 19);
  // One unit is 2^(bias - 127 - 4).
  const f32x16 small = __builtin_convertvector(mantissa, f32x16) * f32x16_of_bits((u32x16)((uint32_t)(bias - 4) << 23));
  const f32x16 value = exponent > 0 ? normal : small;
  return is_signed ? f32x16_of_bits(f32x16_bits(value) | (code & 0x80) << 24) : value;
}

// Values of -1 ... 1 as codes, rounded by the 19 lower bits of `random`.
ANGEL_INLINE void encode(uint8_t *codes, int64_t count, f32x16 value, u32x16 random, int bias, int is_signed) {
  const u32x16 bits = f32x16_bits(value), size = bits & 0x7fffffff, noise = random & 0x7ffff;
  const u32x16 normal = ((size + noise) >> 19) - ((uint32_t)(bias - 1) << 4);
  // In units of 2^-19 steps, exactly: value * 2^(4 + 127 - bias) has at most 24 bits and is below 16.
  const f32x16 steps = f32x16_of_bits(size) * f32x16_of_bits((u32x16)((uint32_t)(254 - bias + 4) << 23));
  const f32x16 share = __builtin_convertvector(noise, f32x16) * 0x1p-19f;
  const u32x16 small = __builtin_convertvector(steps + share, u32x16);
  u32x16 code = size >= (uint32_t)bias << 23 ? normal : small;
  if (is_signed) code |= bits >> 24 & 0x80;
  const u8x16 bytes = __builtin_convertvector(code, u8x16);
  if (count >= 16) __builtin_memcpy(codes, &bytes, 16);
  else for (int64_t i = 0; i < count; i++) codes[i] = bytes[i];
}

// A hash with good low and high bits (Wellons, hash-prospector: lowbias32).
ANGEL_INLINE u32x16 hashed(u32x16 x) {
  x ^= x >> 16;
  x *= 0x7feb352d;
  x ^= x >> 15;
  x *= 0x846ca68b;
  return x ^ x >> 16;
}

ANGEL_INLINE f32x16 absolute(f32x16 x) { return f32x16_of_bits(f32x16_bits(x) & 0x7fffffff); }

#define FIRST_BIAS (127 - 6)
#define SECOND_BIAS (127 - 14)

ANGEL_INLINE void adamw8(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_adamw8_arguments *a = arguments;
  const struct angel_master master = {a->parameter, a->low};
  const int64_t block_count = (a->count + ANGEL_ADAMW8_BLOCK - 1) / ANGEL_ADAMW8_BLOCK;
  const struct angel_range own = angel_part_range(block_count, part, parts);
  const u32x16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (int64_t block = own.begin; block < own.end; block++) {
    const int64_t begin = block * ANGEL_ADAMW8_BLOCK;
    const int64_t end = begin + ANGEL_ADAMW8_BLOCK < a->count ? begin + ANGEL_ADAMW8_BLOCK : a->count;
    float first[ANGEL_ADAMW8_BLOCK], second[ANGEL_ADAMW8_BLOCK];
    f32x16 first_most = 0, second_most = 0;
    for (int64_t at = begin; at < end; at += 16) {
      const int64_t left = end - at < 16 ? end - at : 16;
      struct angel_last_master last;
      const struct angel_master here = left == 16 ? master : master_last(&last, master, at, left);
      const int64_t place = left == 16 ? at : 0;
      const f32x16 g = f32x16_load_first_or_all(a->gradient + at, left) * a->gradient_scale;
      f32x16 m = decoded(a->first + at, left, FIRST_BIAS, 1) * a->first_scale[block];
      const f32x16 root = decoded(a->second + at, left, SECOND_BIAS, 0) * a->second_scale[block];
      m = m + (g - m) * (1 - a->beta1);
      const f32x16 v = root * root * a->beta2 + g * g * (1 - a->beta2), r = __builtin_elementwise_sqrt(v);
      const f32x16 denominator = r / __builtin_sqrtf(a->correction2) + a->epsilon;
      const f32x16 p = master_load(here, place) * (1 - a->learning_rate * a->weight_decay);
      master_store(here, place, p - a->learning_rate / a->correction1 * m / denominator);
      if (left < 16) master_put_back(&last, master, at, left);
      f32x16_store(first + (at - begin), m);
      f32x16_store(second + (at - begin), r);
      first_most = f32x16_max(absolute(m), first_most);
      second_most = f32x16_max(r, second_most);
    }
    const float m_scale = f32x16_maximum(first_most), r_scale = f32x16_maximum(second_most);
    a->first_scale[block] = m_scale;
    a->second_scale[block] = r_scale;
    for (int64_t at = begin; at < end; at += 16) {
      const int64_t left = end - at < 16 ? end - at : 16;
      const u32x16 random = hashed(hashed(lanes + (uint32_t)at) ^ a->seed);
      const f32x16 one = f32x16_splat(1);
      // A quotient may round to a little more than 1, which has no code.
      const f32x16 m = f32x16_load(first + (at - begin)) / (m_scale > 0 ? m_scale : 1);
      const f32x16 r = f32x16_load(second + (at - begin)) / (r_scale > 0 ? r_scale : 1);
      encode(a->first + at, left, m > one ? one : m < -one ? -one : m, random, FIRST_BIAS, 1);
      encode(a->second + at, left, r > one ? one : r, random >> 13, SECOND_BIAS, 0);
    }
  }
}
ANGEL_VARIANTS(adamw8, adamw8)

angel_kernel angel_adamw8_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  const int is_known = angel_only(ANGEL_F32, first, second, third) || angel_only(ANGEL_BF16, first, second, third);
  return is_known ? adamw8_variant(isa) : NULL;
}
