// rank_sum (rank_sum.h).
#include "rank_sum.h"

#include <string.h>

// A block at a time, so that the running sums stay in registers or L1 while the parts stream by.
enum { BLOCK = 1024 };

#define ANGEL_RANK_SUM(name, type)                                                                            \
  void name(type *target, const type *parts, int64_t count, int32_t ranks, int32_t goes_on) {                  \
    type sums[BLOCK];                                                                                          \
    for (int64_t at = 0; at < count; at += BLOCK) {                                                            \
      const int64_t size = count - at < BLOCK ? count - at : BLOCK;                                            \
      memcpy(sums, goes_on ? target + at : parts + at, (size_t)size * sizeof(type));                           \
      for (int32_t rank = goes_on ? 0 : 1; rank < ranks; rank++) {                                             \
        const type *part = parts + rank * count + at;                                                          \
        for (int64_t i = 0; i < size; i++) sums[i] += part[i];                                                 \
      }                                                                                                        \
      memcpy(target + at, sums, (size_t)size * sizeof(type));                                                  \
    }                                                                                                          \
  }

ANGEL_RANK_SUM(angel_rank_sum_f32, float)
ANGEL_RANK_SUM(angel_rank_sum_f64, double)

static float widened(uint16_t value) {
  const uint32_t bits = (uint32_t)value << 16;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

// To nearest, ties to even; a NaN stays one.
static uint16_t rounded(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

void angel_rank_sum_bf16(uint16_t *target, const uint16_t *parts, int64_t count, int32_t ranks, int32_t goes_on) {
  for (int64_t i = 0; i < count; i++) {
    float sum = goes_on ? widened(target[i]) : widened(parts[i]);
    for (int32_t rank = goes_on ? 0 : 1; rank < ranks; rank++) sum += widened(parts[rank * count + i]);
    target[i] = rounded(sum);
  }
}
