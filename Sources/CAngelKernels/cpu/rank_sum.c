// rank_sum (rank_sum.h).
#include "rank_sum.h"

#include <string.h>

// A block at a time, so that the running sums stay in registers or L1 while the parts stream by.
enum { BLOCK = 1024 };

void angel_rank_sum(float *target, const float *parts, int64_t count, int32_t ranks, int32_t goes_on) {
  float sums[BLOCK];
  for (int64_t at = 0; at < count; at += BLOCK) {
    const int64_t size = count - at < BLOCK ? count - at : BLOCK;
    memcpy(sums, goes_on ? target + at : parts + at, (size_t)size * sizeof(float));
    for (int32_t rank = goes_on ? 0 : 1; rank < ranks; rank++) {
      const float *part = parts + rank * count + at;
      for (int64_t i = 0; i < size; i++) sums[i] += part[i];
    }
    memcpy(target + at, sums, (size_t)size * sizeof(float));
  }
}
