// inverse_factor (inverse_factor.h).
#include "inverse_factor.h"

#include <math.h>

#include "lanes.h"
#include "variants.h"

typedef double f64x8 __attribute__((ext_vector_type(8)));

ANGEL_INLINE f64x8 load(const double *source) {
  f64x8 value;
  __builtin_memcpy(&value, source, sizeof value);
  return value;
}

// In eight lanes, added up pairwise at the end.
ANGEL_INLINE double dot(const double *a, const double *b, int64_t count) {
  f64x8 sums = 0;
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) sums += load(a + i) * load(b + i);
  double lanes[8];
  __builtin_memcpy(lanes, &sums, sizeof lanes);
  for (int e = 0; i < count; i++, e++) lanes[e] += a[i] * b[i];
  for (int half = 4; half > 0; half /= 2) {
    for (int e = 0; e < half; e++) lanes[e] += lanes[e + half];
  }
  return lanes[0];
}

// y -= factor x
ANGEL_INLINE void subtract(double *y, const double *x, double factor, int64_t count) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const f64x8 value = load(y + i) - factor * load(x + i);
    __builtin_memcpy(y + i, &value, sizeof value);
  }
  for (; i < count; i++) y[i] -= factor * x[i];
}

ANGEL_INLINE void factorize(
  const float *moments, const int32_t *order, float *factor, double *r, int64_t depth, double damping) {
  double trace = 0;
  for (int64_t i = 0; i < depth; i++) trace += (double)moments[i * depth + i];
  // What is never given anything still needs a pivot.
  const double least = trace > 0 ? 1e-9 * trace / (double)depth : 1;
  // Columns from the last to the first: row i of R holds, right of column j, what is already known.
  for (int64_t j = depth - 1; j >= 0; j--) {
    const double *tail = r + j * depth + j + 1;
    const int64_t known = depth - j - 1;
    const float *row = moments + (int64_t)order[j] * depth;
    const double moment = (double)row[order[j]], shift = damping * moment + least;
    const double square = moment + shift - dot(tail, tail, known);
    // At least the shift in exact arithmetic.
    const double pivot = sqrt(square > shift ? square : shift);
    r[j * depth + j] = pivot;
    for (int64_t i = 0; i < j; i++) {
      r[i * depth + j] = ((double)row[order[i]] - dot(r + i * depth + j + 1, tail, known)) / pivot;
    }
  }
  // U R = I, row by row, each in the last row of R, which has a single value.
  double *row = r + (depth - 1) * depth;
  const double last = row[depth - 1];
  for (int64_t i = 0; i < depth; i++) {
    for (int64_t k = 0; k < depth; k++) row[k] = k == i;
    for (int64_t k = i; k < depth; k++) {
      const double value = row[k] / (k == depth - 1 ? last : r[k * depth + k]);
      row[k] = value;
      if (k < depth - 1) subtract(row + k + 1, r + k * depth + k + 1, value, depth - k - 1);
    }
    for (int64_t k = 0; k < depth; k++) factor[i * depth + k] = (float)row[k];
  }
}

ANGEL_INLINE void inverse_factor(
  const void *arguments, int32_t part, [[maybe_unused]] int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_inverse_factor_arguments *a = arguments;
  if (part == 0) factorize(a->moments, a->order, a->factor, a->scratch, a->depth, a->damping);
}
ANGEL_VARIANTS(inverse_factor, inverse_factor)

angel_kernel angel_inverse_factor_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? inverse_factor_variant(isa) : NULL;
}
