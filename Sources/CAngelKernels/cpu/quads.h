// Quads, four consecutive elements of a row as a file stores it: which are not zero, and which two of them are kept.
#pragma once
#include <string.h>

#include "families.h"

// Bit i is set where element i of quad `quad` of the 32 elements at `block` (q8_0, q4_0, bf16) is not zero.
ANGEL_INLINE uint32_t angel_nonzero_of_quad(angel_dtype dtype, const uint8_t *block, int quad) {
  if (dtype == ANGEL_BF16) {
    uint64_t words;
    memcpy(&words, block + 8 * quad, 8);
    // Both zeros are zero. The top bit of every word without its sign that is not: carries stay inside the word.
    const uint64_t magnitude = words & 0x7fff7fff7fff7fff;
    const uint64_t found = (magnitude + 0x7fff7fff7fff7fff) >> 15 & 0x0001000100010001;
    return (uint32_t)(found * 0x0001000200040008 >> 48 & 15);
  }
  uint32_t bytes;
  memcpy(&bytes, block + 2 + 4 * (dtype == ANGEL_Q8_0 ? quad : quad % 4), 4);
  // A quant of q4_0 has an offset of 8.
  if (dtype == ANGEL_Q4_0) bytes = (bytes >> 4 * (quad / 4) & 0x0f0f0f0f) ^ 0x08080808;
  const uint32_t found = (((bytes & 0x7f7f7f7f) + 0x7f7f7f7f) | bytes) >> 7 & 0x01010101;
  return found * 0x10204080 >> 28;
}

// The places of the two elements kept for every set of nonzero ones, in ascending order: the first two of more, and
// zeros beside one or none.
static const uint8_t angel_kept_places[16][2] = {
  {0, 1}, {0, 1}, {0, 1}, {0, 1}, {0, 2}, {0, 2}, {1, 2}, {0, 1},
  {0, 3}, {0, 3}, {1, 3}, {0, 1}, {2, 3}, {0, 2}, {1, 2}, {0, 1}};
