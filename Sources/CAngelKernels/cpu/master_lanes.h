// Sixteen parameters as float32, whether they are held whole or in two halves (adamw.h).
#pragma once
#include <string.h>

#include "lanes.h"

struct angel_master {
  void *parameter;
  int16_t *low;
};

typedef int16_t i16x16 __attribute__((ext_vector_type(16)));

ANGEL_INLINE f32x16 master_load(struct angel_master master, int64_t at) {
  if (master.low == NULL) return f32x16_load((const float *)master.parameter + at);
  u16x16 high;
  i16x16 low;
  memcpy(&high, (const uint16_t *)master.parameter + at, sizeof high);
  memcpy(&low, master.low + at, sizeof low);
  const u32x16 bits = __builtin_convertvector(high, u32x16) << 16;
  return f32x16_of_bits(bits + (u32x16)__builtin_convertvector(low, i32x16));
}

ANGEL_INLINE void master_store(struct angel_master master, int64_t at, f32x16 value) {
  if (master.low == NULL) return f32x16_store((float *)master.parameter + at, value);
  // Halves away from zero: to even, a tie's rest would be +2^15 for one neighbour and -2^15 for the other, of which 16 bits
  // hold only one.
  const u32x16 all = f32x16_bits(value), bits = (all & 0x7fffffff) > 0x7f800000 ? (all & 0xffff0000) | 0x400000 : all;
  const u16x16 high = __builtin_convertvector((bits + 0x8000) >> 16, u16x16);
  const u32x16 rest = bits - (__builtin_convertvector(high, u32x16) << 16);
  const i16x16 low = __builtin_convertvector((i32x16)rest, i16x16);
  memcpy((uint16_t *)master.parameter + at, &high, sizeof high);
  memcpy(master.low + at, &low, sizeof low);
}

// The last `count` < 16 parameters, copied so that whole vectors may be loaded and stored.
struct angel_last_master {
  float values[16];
  uint16_t high[16];
  int16_t low[16];
};

ANGEL_INLINE struct angel_master master_last(
  struct angel_last_master *last, struct angel_master master, int64_t at, int64_t count) {
  memset(last, 0, sizeof *last);
  if (master.low == NULL) {
    memcpy(last->values, (const float *)master.parameter + at, (size_t)count * 4);
    return (struct angel_master){last->values, NULL};
  }
  memcpy(last->high, (const uint16_t *)master.parameter + at, (size_t)count * 2);
  memcpy(last->low, master.low + at, (size_t)count * 2);
  return (struct angel_master){last->high, last->low};
}

ANGEL_INLINE void master_put_back(
  const struct angel_last_master *last, struct angel_master master, int64_t at, int64_t count) {
  if (master.low == NULL) {
    memcpy((float *)master.parameter + at, last->values, (size_t)count * 4);
    return;
  }
  memcpy((uint16_t *)master.parameter + at, last->high, (size_t)count * 2);
  memcpy(master.low + at, last->low, (size_t)count * 2);
}
