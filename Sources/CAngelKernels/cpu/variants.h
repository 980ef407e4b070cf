// One body, compiled once for each instruction set. The body is an always-inlined function
//   void body(const void *arguments, int32_t part, int32_t parts, angel_isa isa)
// and ANGEL_VARIANTS(name, body) makes kernels name_scalar, name_avx2 and name_avx512 of it, and
//   angel_kernel name_variant(angel_isa isa)
// which picks the best one at or below `isa`. NEON is part of every arm64: the plain build is its variant.
#pragma once
#include <stddef.h>

#include "families.h"

#if defined(__aarch64__)
#define ANGEL_ISA_PLAIN ANGEL_ISA_NEON
#else
#define ANGEL_ISA_PLAIN ANGEL_ISA_SCALAR
#endif

#define ANGEL_VARIANT(name, body, isa) \
  static void name(const void *arguments, int32_t part, int32_t parts) { body(arguments, part, parts, isa); }

#if defined(ANGEL_X86)
#define ANGEL_VARIANTS(name, body)                                           \
  ANGEL_VARIANT(name##_scalar, body, ANGEL_ISA_PLAIN)                        \
  ANGEL_TARGET_AVX2 ANGEL_VARIANT(name##_avx2, body, ANGEL_ISA_AVX2)         \
  ANGEL_TARGET_AVX512 ANGEL_VARIANT(name##_avx512, body, ANGEL_ISA_AVX512)   \
  static angel_kernel name##_variant(angel_isa isa) {                        \
    if (isa >= ANGEL_ISA_AVX512) return name##_avx512;                       \
    return isa == ANGEL_ISA_AVX2 ? name##_avx2 : name##_scalar;              \
  }
#else
#define ANGEL_VARIANTS(name, body)                    \
  ANGEL_VARIANT(name##_scalar, body, ANGEL_ISA_PLAIN) \
  static angel_kernel name##_variant([[maybe_unused]] angel_isa isa) { return name##_scalar; }
#endif

// True when a family is asked for one dtype alone.
static inline int angel_only(angel_dtype wanted, angel_dtype first, angel_dtype second, angel_dtype third) {
  return first == wanted && second == ANGEL_NO_DTYPE && third == ANGEL_NO_DTYPE;
}

// One body for f32 and bf16 arrays, void body(const void *arguments, int32_t part, int32_t parts, angel_dtype dtype), made
// into name_f32_variant and name_bf16_variant; the arithmetic is float32 for both.
#define ANGEL_FLOAT_VARIANTS(name, body)                                                                       \
  ANGEL_INLINE void name##_f32_body(                                                                           \
    const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {                      \
    body(arguments, part, parts, ANGEL_F32);                                                                   \
  }                                                                                                            \
  ANGEL_INLINE void name##_bf16_body(                                                                          \
    const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {                      \
    body(arguments, part, parts, ANGEL_BF16);                                                                  \
  }                                                                                                            \
  ANGEL_VARIANTS(name##_f32, name##_f32_body)                                                                  \
  ANGEL_VARIANTS(name##_bf16, name##_bf16_body)
// The look-up of such a family by its one dtype.
#define ANGEL_FLOAT_KERNEL(name)                                                                               \
  angel_kernel angel_##name##_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) { \
    if (angel_only(ANGEL_BF16, first, second, third)) return name##_bf16_variant(isa);                         \
    return angel_only(ANGEL_F32, first, second, third) ? name##_f32_variant(isa) : NULL;                       \
  }

// One body for every type that keys and values are cached in, void body(const void *arguments, int32_t part, int32_t parts,
// angel_dtype cache, angel_isa isa), looked up by (f32, cache).
#define ANGEL_CACHE_BODY(name, body, suffix, cache)                                                            \
  ANGEL_INLINE void name##_##suffix##_body(const void *arguments, int32_t part, int32_t parts, angel_isa isa) { \
    body(arguments, part, parts, cache, isa);                                                                  \
  }                                                                                                            \
  ANGEL_VARIANTS(name##_##suffix, name##_##suffix##_body)
#define ANGEL_CACHE_KERNEL(name, body)                                                                         \
  ANGEL_CACHE_BODY(name, body, f32, ANGEL_F32)                                                                 \
  ANGEL_CACHE_BODY(name, body, f16, ANGEL_F16)                                                                 \
  ANGEL_CACHE_BODY(name, body, bf16, ANGEL_BF16)                                                               \
  ANGEL_CACHE_BODY(name, body, q8_0, ANGEL_Q8_0)                                                               \
  ANGEL_CACHE_BODY(name, body, q4_0, ANGEL_Q4_0)                                                               \
  angel_kernel angel_##name##_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) { \
    if (first != ANGEL_F32 || third != ANGEL_NO_DTYPE) return NULL;                                            \
    if (second == ANGEL_F32) return name##_f32_variant(isa);                                                   \
    if (second == ANGEL_F16) return name##_f16_variant(isa);                                                   \
    if (second == ANGEL_Q8_0) return name##_q8_0_variant(isa);                                                 \
    if (second == ANGEL_Q4_0) return name##_q4_0_variant(isa);                                                 \
    return second == ANGEL_BF16 ? name##_bf16_variant(isa) : NULL;                                             \
  }

// One body for rows of f32 or bf16 whose input and result differ in dtype: void body(..., angel_dtype input, angel_dtype
// output), looked up by (input, output), where (f32, none) is (f32, f32) and (bf16, none) is (bf16, bf16).
#define ANGEL_MIXED_BODY(name, body, suffix, input, output)                                                    \
  ANGEL_INLINE void name##_##suffix##_body(                                                                    \
    const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {                      \
    body(arguments, part, parts, input, output);                                                               \
  }                                                                                                            \
  ANGEL_VARIANTS(name##_##suffix, name##_##suffix##_body)
#define ANGEL_MIXED_KERNEL(name, body)                                                                         \
  ANGEL_MIXED_BODY(name, body, f32, ANGEL_F32, ANGEL_F32)                                                      \
  ANGEL_MIXED_BODY(name, body, mixed, ANGEL_F32, ANGEL_BF16)                                                   \
  ANGEL_MIXED_BODY(name, body, bf16, ANGEL_BF16, ANGEL_BF16)                                                   \
  angel_kernel angel_##name##_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) { \
    if (third != ANGEL_NO_DTYPE) return NULL;                                                                  \
    if (first == ANGEL_F32 && second == ANGEL_BF16) return name##_mixed_variant(isa);                          \
    if (second != ANGEL_NO_DTYPE && second != first) return NULL;                                              \
    if (first == ANGEL_BF16) return name##_bf16_variant(isa);                                                  \
    return first == ANGEL_F32 ? name##_f32_variant(isa) : NULL;                                                \
  }
