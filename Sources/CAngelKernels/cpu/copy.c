// copy: strided source -> contiguous target with conversion among all plain dtypes (primitives.h).
#include <math.h>
#include <string.h>

#include "half.h"
#include "lanes.h"
#include "strided.h"
#include "variants.h"

// Every element is widened without loss, floats to float64 and integers to int64, then rounded once to its target.
static inline double wide_f64(double x) { return x; }
static inline double wide_f32(float x) { return x; }
static inline double wide_f16(uint16_t x) { return angel_f32_from_f16(x); }
static inline double wide_bf16(uint16_t x) { return angel_f32_from_bf16(x); }
static inline int64_t wide_i64(int64_t x) { return x; }
static inline int64_t wide_i32(int32_t x) { return x; }
static inline int64_t wide_u8(uint8_t x) { return x; }

static inline int64_t saturated(double x, double least, double most, int64_t low, int64_t high) {
  if (x != x) return 0;
  return x <= least ? low : x >= most ? high : (int64_t)x;
}
static inline int64_t clamped(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

static inline double f64_of_double(double x) { return x; }
static inline float f32_of_double(double x) { return (float)x; }
static inline uint16_t f16_of_double(double x) { return angel_f16_from_f32(angel_f32_round_to_odd(x)); }
static inline uint16_t bf16_of_double(double x) { return angel_bf16_from_f32(angel_f32_round_to_odd(x)); }
static inline int64_t i64_of_double(double x) { return saturated(x, -0x1p63, 0x1p63, INT64_MIN, INT64_MAX); }
static inline int32_t i32_of_double(double x) {
  return (int32_t)saturated(x, INT32_MIN, INT32_MAX, INT32_MIN, INT32_MAX);
}
static inline uint8_t u8_of_double(double x) { return (uint8_t)saturated(x, 0, 255, 0, 255); }

static inline double f64_of_int(int64_t x) { return (double)x; }
static inline float f32_of_int(int64_t x) { return (float)x; }
static inline uint16_t f16_of_int(int64_t x) { return f16_of_double((double)clamped(x, -65536, 65536)); }
static inline uint16_t bf16_of_int(int64_t x) {
  const int64_t large = (int64_t)1 << 48;
  if (x > -large && x < large) return bf16_of_double((double)x);
  // The low 16 bits only say on which side of a tie the rest lies; one bit in their place makes float64 exact.
  return bf16_of_double((double)((x & ~(int64_t)0xffff) | ((x & 0xffff) != 0 ? 0x8000 : 0)));
}
static inline int64_t i64_of_int(int64_t x) { return x; }
static inline int32_t i32_of_int(int64_t x) { return (int32_t)clamped(x, INT32_MIN, INT32_MAX); }
static inline uint8_t u8_of_int(int64_t x) { return (uint8_t)clamped(x, 0, 255); }

// A kernel whose runs of `length` elements are converted by `run(source, stride, target, length, isa)`.
#define COPY(name, source_type, target_type, run)                                                                    \
  ANGEL_INLINE void name##_runs(                                                                                     \
    const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {                            \
    const struct angel_copy_arguments *a = arguments;                                                                \
    const struct strided s = strided_joined(a->sizes, (const int64_t *const[]){a->strides}, 1);                      \
    const struct angel_range range = angel_part_range(strided_count(&s), part, parts);                               \
    for (int64_t index = range.begin, length; index < range.end; index += length) {                                  \
      int64_t offset;                                                                                                \
      length = strided_run(&s, index, range.end, &offset);                                                           \
      run((const source_type *)a->source + offset, s.strides[0][s.axes - 1], (target_type *)a->target + index,       \
          length, isa);                                                                                              \
    }                                                                                                                \
  }

// Elements of one size, moved as they are.
#define MOVE_RUN(type)                                                                                        \
  ANGEL_INLINE void move_run_##type(                                                                          \
    const type *source, int64_t stride, type *target, int64_t length, [[maybe_unused]] angel_isa isa) {       \
    if (stride == 1) {                                                                                        \
      memcpy(target, source, (size_t)length * sizeof(type));                                                  \
    } else {                                                                                                  \
      for (int64_t i = 0; i < length; i++) target[i] = source[i * stride];                                    \
    }                                                                                                         \
  }                                                                                                           \
  COPY(move_##type, type, type, move_run_##type)                                                              \
  ANGEL_VARIANT(copy_##type, move_##type##_runs, ANGEL_ISA_PLAIN)
MOVE_RUN(uint64_t)
MOVE_RUN(uint32_t)
MOVE_RUN(uint16_t)
MOVE_RUN(uint8_t)

#define CONVERT(source, source_type, target, target_type, through)                                              \
  ANGEL_INLINE void source##_##target##_run(                                                                    \
    const source_type *input, int64_t stride, target_type *output, int64_t length,                              \
    [[maybe_unused]] angel_isa isa) {                                                                           \
    for (int64_t i = 0; i < length; i++) output[i] = target##_of_##through(wide_##source(input[i * stride]));   \
  }                                                                                                             \
  COPY(source##_##target, source_type, target_type, source##_##target##_run)                                    \
  ANGEL_VARIANT(copy_##source##_##target, source##_##target##_runs, ANGEL_ISA_PLAIN)
#define CONVERT_FROM(source, source_type, through)           \
  CONVERT(source, source_type, f64, double, through)         \
  CONVERT(source, source_type, f32, float, through)          \
  CONVERT(source, source_type, f16, uint16_t, through)       \
  CONVERT(source, source_type, bf16, uint16_t, through)      \
  CONVERT(source, source_type, i64, int64_t, through)        \
  CONVERT(source, source_type, i32, int32_t, through)        \
  CONVERT(source, source_type, u8, uint8_t, through)
CONVERT_FROM(f64, double, double)
CONVERT_FROM(f32, float, double)
CONVERT_FROM(f16, uint16_t, double)
CONVERT_FROM(bf16, uint16_t, double)
CONVERT_FROM(i64, int64_t, int)
CONVERT_FROM(i32, int32_t, int)
CONVERT_FROM(u8, uint8_t, int)

// Dense runs between float32 and the 16-bit floats take sixteen lanes at a time: whole checkpoints pass here.
#define WIDEN(source, dtype)                                                                                \
  ANGEL_INLINE void widen_##source##_run(                                                                   \
    const uint16_t *input, int64_t stride, float *output, int64_t length, angel_isa isa) {                  \
    int64_t i = 0;                                                                                          \
    for (; stride == 1 && i + 16 <= length; i += 16) f32x16_store(output + i, f32x16_from(input + i, dtype, isa)); \
    for (; i < length; i++) output[i] = angel_f32_from_##source(input[i * stride]);                         \
  }                                                                                                         \
  COPY(widen_##source, uint16_t, float, widen_##source##_run)                                               \
  ANGEL_VARIANTS(widen_##source, widen_##source##_runs)
#define NARROW(target, dtype)                                                                               \
  ANGEL_INLINE void narrow_##target##_run(                                                                  \
    const float *input, int64_t stride, uint16_t *output, int64_t length, angel_isa isa) {                  \
    int64_t i = 0;                                                                                          \
    for (; stride == 1 && i + 16 <= length; i += 16) {                                                      \
      const u16x16 lanes = u16x16_from(f32x16_load(input + i), dtype, isa);                                 \
      memcpy(output + i, &lanes, sizeof lanes);                                                             \
    }                                                                                                       \
    for (; i < length; i++) output[i] = angel_##target##_from_f32(input[i * stride]);                       \
  }                                                                                                         \
  COPY(narrow_##target, float, uint16_t, narrow_##target##_run)                                             \
  ANGEL_VARIANTS(narrow_##target, narrow_##target##_runs)
WIDEN(f16, ANGEL_F16)
WIDEN(bf16, ANGEL_BF16)
NARROW(f16, ANGEL_F16)
NARROW(bf16, ANGEL_BF16)

enum { plain_dtypes = ANGEL_U8 + 1 };

angel_kernel angel_copy_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
#define ROW(source) \
  {copy_##source##_f64, copy_##source##_f32, copy_##source##_f16, copy_##source##_bf16, copy_##source##_i64, \
   copy_##source##_i32, copy_##source##_u8}
  static const angel_kernel conversions[plain_dtypes][plain_dtypes] = {
    ROW(f64), ROW(f32), ROW(f16), ROW(bf16), ROW(i64), ROW(i32), ROW(u8)};
  static const angel_kernel moves[plain_dtypes] = {
    copy_uint64_t, copy_uint32_t, copy_uint16_t, copy_uint16_t, copy_uint64_t, copy_uint32_t, copy_uint8_t};
  if (first >= plain_dtypes || second >= plain_dtypes || third != ANGEL_NO_DTYPE) return NULL;
  if (first == second) return moves[first];
  if (first == ANGEL_F16 && second == ANGEL_F32) return widen_f16_variant(isa);
  if (first == ANGEL_BF16 && second == ANGEL_F32) return widen_bf16_variant(isa);
  if (first == ANGEL_F32 && second == ANGEL_F16) return narrow_f16_variant(isa);
  if (first == ANGEL_F32 && second == ANGEL_BF16) return narrow_bf16_variant(isa);
  return conversions[first][second];
}
