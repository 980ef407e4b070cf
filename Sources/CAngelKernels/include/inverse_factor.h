// inverse_factor: of a symmetric H [depth, depth] the upper triangular U with (H + Λ)⁻¹ = Uᵀ U, what GPTQ spreads rounding
// errors by (arXiv:2210.17323, §3.3). dtypes: (f32, none, none). Λ is diagonal: `damping` times H's own diagonal, plus 1e-9 of
// its mean (1 where that is 0). GPTQ damps all inputs by a share of the mean, which a single input that is a thousand times the
// others, as language models have them, makes more than all of these.
// H + Λ, its rows and columns in a given order, is R Rᵀ with R upper triangular, and U = R⁻¹; all in float64, rounded once.
// Below its diagonal U is zero. The first part does it all: each column of R needs those after it.
#pragma once
#include "angel_types.h"

struct angel_inverse_factor_arguments {
  const float *moments;  // [depth, depth]
  const int32_t *order;  // [depth]: rows and columns of U are inputs in this order
  float *factor;         // [depth, depth]
  double *scratch;       // [depth, depth]
  int64_t depth;
  double damping;  // above 0
};
