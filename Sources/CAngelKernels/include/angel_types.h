// Types shared by every kernel family: dtypes, the kernel signature, the family list and the look-up.
#pragma once
#include <stdint.h>

// Raw values equal AngelCore's DType (a Swift test holds the two together).
typedef enum : uint8_t {
  ANGEL_F64 = 0, ANGEL_F32 = 1, ANGEL_F16 = 2, ANGEL_BF16 = 3, ANGEL_I64 = 4, ANGEL_I32 = 5, ANGEL_U8 = 6,
  ANGEL_INT8_ROWS = 7, ANGEL_BF16_ROWS = 8,
  ANGEL_BF16_2OF4 = 9,
  ANGEL_Q4_0 = 16, ANGEL_Q4_1 = 17, ANGEL_Q5_0 = 18, ANGEL_Q5_1 = 19, ANGEL_Q8_0 = 20,
  ANGEL_Q4_K = 21, ANGEL_Q5_K = 22, ANGEL_Q6_K = 23, ANGEL_Q2_K = 24, ANGEL_Q3_K = 25,
  ANGEL_IQ4_NL = 26, ANGEL_IQ4_XS = 27, ANGEL_TQ1_0 = 28, ANGEL_TQ2_0 = 29,
  ANGEL_Q4_0_2OF4 = 30, ANGEL_Q8_0_2OF4 = 31,
  ANGEL_DTYPE_LIMIT = 32,  // above every number but the next
  ANGEL_NO_DTYPE = 255,
} angel_dtype;

// A kernel computes part `part` of `parts` of the work its arguments describe. Parts are disjoint in what they write, so
// they may run in any order on any threads; how many there are never changes a bit of the result.
typedef void (*angel_kernel)(const void *arguments, int32_t part, int32_t parts);

typedef enum : uint8_t {
#define ANGEL_FAMILY(name) ANGEL_FAMILY_##name,
#include "families.def"
#undef ANGEL_FAMILY
  ANGEL_FAMILY_COUNT
} angel_family;

// Instruction sets, in ascending order of preference. The best supported one is chosen at the first look-up.
typedef enum : uint8_t { ANGEL_ISA_SCALAR = 0, ANGEL_ISA_AVX2 = 1, ANGEL_ISA_AVX512 = 2, ANGEL_ISA_AVX512_BF16 = 3,
                         ANGEL_ISA_AMX = 4, ANGEL_ISA_NEON = 5 } angel_isa;

// The instruction set in use; ANGEL_ISA_AVX512 implies F, BW, VL, DQ and VNNI, ANGEL_ISA_AMX also AVX-512 BF16 and
// tiles of int8 and bfloat16.
angel_isa angel_isa_current(void);
// Forces a lower instruction set (for tests and the ANGEL_ISA variable); returns 0, or -1 when the CPU lacks it.
int angel_isa_force(angel_isa isa);
const char *angel_isa_name(angel_isa isa);

// The kernel of `family` for the dtypes of its first inputs and output, or NULL when there is none (the caller then
// falls back on the composed form). Each family's header says what the three dtypes mean; unused ones are ANGEL_NO_DTYPE.
angel_kernel angel_kernel_lookup(angel_family family, angel_dtype first, angel_dtype second, angel_dtype third);

// The family's name as written in families.def.
const char *angel_family_name(angel_family family);
// The same for a named instruction set, and NULL when the CPU lacks it; tests compare them without forcing anything.
angel_kernel angel_kernel_lookup_for(
  angel_isa isa, angel_family family, angel_dtype first, angel_dtype second, angel_dtype third);
