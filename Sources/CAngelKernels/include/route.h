// route: the experts of each row, out of the router's probabilities. dtypes: (f32, none, none). A primitive.
// experts[r] are the `count` largest of probabilities[r], largest first and of equals the lower index first; weights[r]
// are their probabilities, divided by their sum (added in that order) where normalizes is not 0 (arXiv:2401.04088, §2.1).
// NaNs compare as they do in C: the experts stay in range and differ from each other, the weights carry the NaN on.
#pragma once
#include "angel_types.h"

struct angel_route_arguments {
  const float *probabilities;  // [rows, choices]
  int32_t *experts;            // [rows, count], count at most choices
  float *weights;              // [rows, count]
  int64_t rows, choices, count;
  int32_t normalizes;
};
