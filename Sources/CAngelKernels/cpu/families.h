// What every family file exports to the look-up: its kernel for an instruction set and dtypes, or NULL.
#pragma once
#include "angel_types.h"

#define ANGEL_FAMILY(name) \
  angel_kernel angel_##name##_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third);
#include "families.def"
#undef ANGEL_FAMILY

#if defined(__x86_64__)
#define ANGEL_X86 1
#define ANGEL_TARGET_AVX2 __attribute__((target("avx2,fma,f16c")))
#define ANGEL_TARGET_AVX512 __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define ANGEL_TARGET_AVX512_BF16 \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16")))
#define ANGEL_TARGET_AMX                                                                                       \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,amx-tile,amx-int8,amx-bf16")))
#endif
#define ANGEL_INLINE static inline __attribute__((always_inline))

// The half-open range of `count` items that part `part` of `parts` owns.
struct angel_range {
  int64_t begin, end;
};
static inline struct angel_range angel_part_range(int64_t count, int32_t part, int32_t parts) {
  return (struct angel_range){count * part / parts, count * (part + 1) / parts};
}
