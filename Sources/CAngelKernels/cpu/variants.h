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
