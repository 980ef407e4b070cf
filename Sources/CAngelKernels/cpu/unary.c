// negate, exp, log, sqrt, sin, cos, tanh and erf, float32 and float64 (primitives.h).
#include <math.h>

#include "primitives.h"
#include "variants.h"
#include "vector_math.h"

#define UNARY(name, type, function)                                                                          \
  static void name(const void *arguments, int32_t part, int32_t parts) {                                     \
    const struct angel_unary_arguments *a = arguments;                                                       \
    const struct angel_range range = angel_part_range(a->count, part, parts);                                \
    for (int64_t i = range.begin; i < range.end; i++) ((type *)a->output)[i] = function(((const type *)a->input)[i]); \
  }

#define UNARY_FAMILY(family, function_f32, function_f64)                                              \
  UNARY(family##_f32, float, function_f32)                                                            \
  UNARY(family##_f64, double, function_f64)                                                           \
  angel_kernel angel_##family##_kernel(                                                               \
    [[maybe_unused]] angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {       \
    if (angel_only(ANGEL_F64, first, second, third)) return family##_f64;                             \
    return angel_only(ANGEL_F32, first, second, third) ? family##_f32 : NULL;                         \
  }
UNARY_FAMILY(negate, -, -)
UNARY_FAMILY(log, logf, log)
UNARY_FAMILY(sqrt, sqrtf, sqrt)
UNARY_FAMILY(sin, sinf, sin)
UNARY_FAMILY(cos, cosf, cos)
UNARY_FAMILY(tanh, tanhf, tanh)
UNARY_FAMILY(erf, erff, erf)

// exp in float32 is the one softmax, swiglu and attention use.
ANGEL_INLINE void exp_elements(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_unary_arguments *a = arguments;
  const struct angel_range range = angel_part_range(a->count, part, parts);
  const float *input = a->input;
  float *output = a->output;
  for (int64_t i = range.begin; i < range.end; i += 16) {
    const int64_t left = range.end - i;
    if (left >= 16) {
      f32x16_store(output + i, f32x16_exp(f32x16_load(input + i)));
    } else {
      f32x16_store_first(output + i, f32x16_exp(f32x16_load_first(input + i, left)), left);
    }
  }
}
ANGEL_VARIANTS(exp_f32, exp_elements)
UNARY(exp_f64, double, exp)

angel_kernel angel_exp_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (angel_only(ANGEL_F64, first, second, third)) return exp_f64;
  return angel_only(ANGEL_F32, first, second, third) ? exp_f32_variant(isa) : NULL;
}
