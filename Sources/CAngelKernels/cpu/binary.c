// add, subtract, multiply, divide, maximum, minimum and at_least with broadcasting, float32 and float64 (primitives.h).
#include <math.h>

#include "strided.h"
#include "variants.h"

#define ADD(x, y) ((x) + (y))
#define SUBTRACT(x, y) ((x) - (y))
#define MULTIPLY(x, y) ((x) * (y))
#define DIVIDE(x, y) ((x) / (y))
// NaN if either is: a training run must not lose one.
#define MAXIMUM(x, y) ((x) > (y) || (x) != (x) ? (x) : (y))
#define MINIMUM(x, y) ((x) < (y) || (x) != (x) ? (x) : (y))
#define AT_LEAST(x, y) ((x) >= (y) ? 1 : 0)

// Runs with the strides that matter (both dense, one side a scalar) are loops a compiler can vectorise.
#define BINARY(name, type, operation)                                                                     \
  static void name(const void *arguments, int32_t part, int32_t parts) {                                  \
    const struct angel_binary_arguments *a = arguments;                                                   \
    const struct strided s =                                                                              \
      strided_joined(a->sizes, (const int64_t *const[]){a->left_strides, a->right_strides}, 2);           \
    const int64_t left_stride = s.strides[0][s.axes - 1], right_stride = s.strides[1][s.axes - 1];        \
    const struct angel_range range = angel_part_range(strided_count(&s), part, parts);                    \
    for (int64_t index = range.begin, length; index < range.end; index += length) {                       \
      int64_t offsets[strided_inputs];                                                                    \
      length = strided_run(&s, index, range.end, offsets);                                                \
      const type *left = (const type *)a->left + offsets[0], *right = (const type *)a->right + offsets[1]; \
      type *output = (type *)a->output + index;                                                           \
      if (left_stride == 1 && right_stride == 1) {                                                        \
        for (int64_t i = 0; i < length; i++) output[i] = operation(left[i], right[i]);                    \
      } else if (left_stride == 1 && right_stride == 0) {                                                 \
        const type y = *right;                                                                            \
        for (int64_t i = 0; i < length; i++) output[i] = operation(left[i], y);                           \
      } else {                                                                                            \
        for (int64_t i = 0; i < length; i++) {                                                            \
          output[i] = operation(left[i * left_stride], right[i * right_stride]);                          \
        }                                                                                                 \
      }                                                                                                   \
    }                                                                                                     \
  }

#define BINARY_FAMILY(family, operation)                                                              \
  BINARY(family##_f32, float, operation)                                                              \
  BINARY(family##_f64, double, operation)                                                             \
  angel_kernel angel_##family##_kernel(                                                               \
    [[maybe_unused]] angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {       \
    if (angel_only(ANGEL_F64, first, second, third)) return family##_f64;                             \
    return angel_only(ANGEL_F32, first, second, third) ? family##_f32 : NULL;                         \
  }
BINARY_FAMILY(add, ADD)
BINARY_FAMILY(subtract, SUBTRACT)
BINARY_FAMILY(multiply, MULTIPLY)
BINARY_FAMILY(divide, DIVIDE)
BINARY_FAMILY(maximum, MAXIMUM)
BINARY_FAMILY(minimum, MINIMUM)
BINARY_FAMILY(at_least, AT_LEAST)
