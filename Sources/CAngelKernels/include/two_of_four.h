// two_of_four: flags[n] = 1 where of every four consecutive elements of row n at least two are zero, else 0.
// dtypes: (weight, none, none): q8_0, q4_0 or bf16.
// An element is zero by its bits: quant 0 of q8_0, 8 of q4_0, either zero of bf16. Rows are as a file stores them, at any
// alignment; parts split rows.
#pragma once
#include "angel_types.h"

struct angel_two_of_four_arguments {
  const void *source;  // [rows, depth]
  uint8_t *flags;      // [rows]
  int64_t rows, depth; // depth a multiple of 32
};
