// add, subtract, multiply, divide, maximum, minimum and at_least with broadcasting, float32 and float64 (primitives.h).
#include <math.h>

#include "lanes.h"
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
// Sums with bfloat16, of equal shapes: the residual stream meets what a layer gives it.
ANGEL_INLINE void add_halves(
  const void *arguments, int32_t part, int32_t parts, angel_dtype left, angel_dtype right, angel_dtype output) {
  const struct angel_binary_arguments *a = arguments;
  int64_t count = 1;
  for (int axis = 0; axis < ANGEL_RANK; axis++) count *= a->sizes[axis];
  const struct angel_range lines = angel_part_range((count + 15) / 16, part, parts);
  for (int64_t i = lines.begin * 16; i < lines.end * 16; i += 16) {
    const f32x16 sum = f32x16_read(a->left, i, count - i, left) + f32x16_read(a->right, i, count - i, right);
    f32x16_write(a->output, i, sum, count - i, output);
  }
}
#define ADD_HALVES(name, left, right, output)                                                                 \
  ANGEL_INLINE void name##_body(                                                                              \
    const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {                     \
    add_halves(arguments, part, parts, left, right, output);                                                  \
  }                                                                                                           \
  ANGEL_VARIANTS(name, name##_body)
ADD_HALVES(add_wide_half, ANGEL_F32, ANGEL_BF16, ANGEL_F32)
ADD_HALVES(add_half_wide, ANGEL_BF16, ANGEL_F32, ANGEL_F32)
ADD_HALVES(add_half_half, ANGEL_BF16, ANGEL_BF16, ANGEL_BF16)
BINARY(add_f32, float, ADD)
BINARY(add_f64, double, ADD)
angel_kernel angel_add_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (angel_only(ANGEL_F64, first, second, third)) return add_f64;
  if (angel_only(ANGEL_F32, first, second, third)) return add_f32;
  if (third != ANGEL_NO_DTYPE) return NULL;
  if (first == ANGEL_F32 && second == ANGEL_BF16) return add_wide_half_variant(isa);
  if (first == ANGEL_BF16 && second == ANGEL_F32) return add_half_wide_variant(isa);
  return first == ANGEL_BF16 && second == ANGEL_BF16 ? add_half_half_variant(isa) : NULL;
}
BINARY_FAMILY(subtract, SUBTRACT)
BINARY_FAMILY(multiply, MULTIPLY)
BINARY_FAMILY(divide, DIVIDE)
BINARY_FAMILY(maximum, MAXIMUM)
BINARY_FAMILY(minimum, MINIMUM)
BINARY_FAMILY(at_least, AT_LEAST)
