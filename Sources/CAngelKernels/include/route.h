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
// route_backward: the gradient of the weights by all probabilities; choosing has none. dtypes: (f32, none, none).
//   Not normalised: gradient[r][e_k] = dw[r][k], zero for experts that were not chosen.
//   Normalised, with S the sum of the chosen probabilities in their order and w the weights: (dw_k - sum_j dw_j w_j) / S,
//   where the inner sum is one chain of fused multiply-adds over j from 0.
struct angel_route_backward_arguments {
  const float *probabilities;    // [rows, choices]
  const int32_t *experts;        // [rows, count]
  const float *weights;          // [rows, count], as route gave them
  const float *weight_gradient;  // [rows, count]
  float *gradient;               // [rows, choices]
  int64_t rows, choices, count;
  int32_t normalizes;
};
