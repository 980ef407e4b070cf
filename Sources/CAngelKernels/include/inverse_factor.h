// inverse_factor: of each symmetric H [depth, depth] the upper triangular U with (H + λ I)⁻¹ = Uᵀ U, λ = damping times the mean
// of H's diagonal (1 where that is 0): what GPTQ spreads rounding errors by (arXiv:2210.17323, §3.3). dtypes: (f32, none, none).
// H + λ I = R Rᵀ with R upper triangular, and U = R⁻¹; all in float64, rounded once. Only the upper triangle of H is read;
// below its diagonal U is zero. A part works on whole matrices.
#pragma once
#include "angel_types.h"

struct angel_inverse_factor_arguments {
  const float *moments;  // [count, depth, depth]
  float *factors;        // [count, depth, depth]
  double *scratch;       // [count, depth, depth]
  int64_t count, depth;
  double damping;  // above 0
};
