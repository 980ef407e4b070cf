// sum and max over a middle axis, float32 and float64 (primitives.h).
#include <math.h>

#include "primitives.h"
#include "variants.h"

#define ADD(total, x) ((total) + (x))
#define MAXIMUM(total, x) ((x) > (total) || (x) != (x) ? (x) : (total))  // a NaN stays

// Outputs are taken in strips along the inner axis, so that memory is read in order; each sums its own chain.
enum { reduce_strip = 64 };

#define REDUCE(name, type, wide, start, operation)                                                       \
  static void name(const void *arguments, int32_t part, int32_t parts) {                                 \
    const struct angel_reduce_arguments *a = arguments;                                                  \
    const struct angel_range range = angel_part_range(a->outer * a->inner, part, parts);                 \
    for (int64_t index = range.begin, length; index < range.end; index += length) {                      \
      const int64_t outer = index / a->inner, column = index % a->inner;                                 \
      length = a->inner - column < reduce_strip ? a->inner - column : reduce_strip;                      \
      if (length > range.end - index) length = range.end - index;                                        \
      const type *input = (const type *)a->input + outer * a->size * a->inner + column;                  \
      wide totals[reduce_strip];                                                                         \
      for (int64_t i = 0; i < length; i++) totals[i] = start;                                            \
      for (int64_t k = 0; k < a->size; k++, input += a->inner) {                                         \
        for (int64_t i = 0; i < length; i++) totals[i] = operation(totals[i], (wide)input[i]);           \
      }                                                                                                  \
      for (int64_t i = 0; i < length; i++) ((type *)a->output)[index + i] = (type)totals[i];             \
    }                                                                                                    \
  }

#define REDUCE_FAMILY(family, start, operation)                                                       \
  REDUCE(family##_f32, float, double, start, operation)                                               \
  REDUCE(family##_f64, double, double, start, operation)                                              \
  angel_kernel angel_##family##_kernel(                                                               \
    [[maybe_unused]] angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {       \
    if (angel_only(ANGEL_F64, first, second, third)) return family##_f64;                             \
    return angel_only(ANGEL_F32, first, second, third) ? family##_f32 : NULL;                         \
  }
REDUCE_FAMILY(sum, 0, ADD)
REDUCE_FAMILY(max, -INFINITY, MAXIMUM)
