// muon: the momentum of Muon (arXiv:2502.16982, equation 1, with Nesterov's step), as PyTorch states it. dtypes: (f32, none, none).
//   g = gradient * gradient_scale;  m = m + (g - m) * (1 - momentum)
//   direction = g + (m - g) * momentum
// in float32, every operation rounded. What follows (Newton and Schulz's iteration) are products of matrices.
#pragma once
#include "angel_types.h"

struct angel_muon_arguments {
  const float *gradient;  // [count]
  float *velocity;        // [count] m
  float *direction;       // [count]
  int64_t count;
  float gradient_scale, momentum;
};
