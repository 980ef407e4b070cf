// Which instruction set is in use, and the look-up from family and dtypes to a kernel.
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "families.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

// Tiles need the kernel's leave, once for the process and before any thread uses them: their registers are 8 KiB that
// threads without them should not pay for at every switch (Linux, Documentation/arch/x86/xstate.rst).
static int tiles_are_permitted(void) {
  enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18, UNKNOWN = 2 };
  static _Atomic int answer = UNKNOWN;  // asking twice changes nothing
  int known = atomic_load_explicit(&answer, memory_order_relaxed);
  if (known == UNKNOWN) {
    known = syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
    atomic_store_explicit(&answer, known, memory_order_relaxed);
  }
  return known;
}
#else
static int tiles_are_permitted(void) { return 0; }
#endif

// A family without a file yet has no kernels: callers fall back on the composed form.
#define ANGEL_FAMILY(name)                                                                                        \
  __attribute__((weak)) angel_kernel angel_##name##_kernel(                                                       \
    [[maybe_unused]] angel_isa isa, [[maybe_unused]] angel_dtype first, [[maybe_unused]] angel_dtype second,      \
    [[maybe_unused]] angel_dtype third) {                                                                         \
    return NULL;                                                                                                  \
  }
#include "families.def"
#undef ANGEL_FAMILY

static const char *const isa_names[] = {"scalar", "avx2", "avx512", "avx512_bf16", "amx", "neon"};

static int isa_is_supported(angel_isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const int avx2 =
    __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                     __builtin_cpu_supports("avx512vnni");
  switch (isa) {
    case ANGEL_ISA_SCALAR: return 1;
    case ANGEL_ISA_AVX2: return avx2;
    case ANGEL_ISA_AVX512: return avx512;
    case ANGEL_ISA_AVX512_BF16: return avx512 && __builtin_cpu_supports("avx512bf16");
    case ANGEL_ISA_AMX:
      return avx512 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("amx-tile") &&
             __builtin_cpu_supports("amx-int8") && __builtin_cpu_supports("amx-bf16") && tiles_are_permitted();
    case ANGEL_ISA_NEON: return 0;
  }
  return 0;
#elif defined(__aarch64__)
  return isa == ANGEL_ISA_SCALAR || isa == ANGEL_ISA_NEON;
#else
  return isa == ANGEL_ISA_SCALAR;
#endif
}

static angel_isa best_isa(void) {
  const char *wanted = getenv("ANGEL_ISA");
  for (int isa = ANGEL_ISA_NEON; wanted != NULL && isa >= 0; isa--) {
    if (strcmp(wanted, isa_names[isa]) == 0 && isa_is_supported((angel_isa)isa)) return (angel_isa)isa;
  }
  for (int isa = ANGEL_ISA_NEON; isa > ANGEL_ISA_SCALAR; isa--) {
    if (isa_is_supported((angel_isa)isa)) return (angel_isa)isa;
  }
  return ANGEL_ISA_SCALAR;
}

// The resolved set plus one; 0 until the first question. Resolving twice gives the same answer, so relaxed is enough.
static _Atomic int resolved_isa;

angel_isa angel_isa_current(void) {
  int resolved = atomic_load_explicit(&resolved_isa, memory_order_relaxed);
  if (resolved == 0) {
    // A concurrent angel_isa_force wins over the default.
    const int best = (int)best_isa() + 1;
    if (atomic_compare_exchange_strong_explicit(
          &resolved_isa, &resolved, best, memory_order_relaxed, memory_order_relaxed)) {
      resolved = best;
    }
  }
  return (angel_isa)(resolved - 1);
}

int angel_isa_force(angel_isa isa) {
  if (!isa_is_supported(isa)) return -1;
  atomic_store_explicit(&resolved_isa, (int)isa + 1, memory_order_relaxed);
  return 0;
}

const char *angel_isa_name(angel_isa isa) {
  return isa < sizeof(isa_names) / sizeof(isa_names[0]) ? isa_names[isa] : "unknown";
}

angel_kernel angel_kernel_lookup_for(
  angel_isa isa, angel_family family, angel_dtype first, angel_dtype second, angel_dtype third) {
  typedef angel_kernel (*provider)(angel_isa, angel_dtype, angel_dtype, angel_dtype);
  static const provider providers[ANGEL_FAMILY_COUNT] = {
#define ANGEL_FAMILY(name) [ANGEL_FAMILY_##name] = angel_##name##_kernel,
#include "families.def"
#undef ANGEL_FAMILY
  };
  if (family >= ANGEL_FAMILY_COUNT || !isa_is_supported(isa)) return NULL;
  return providers[family](isa, first, second, third);
}

angel_kernel angel_kernel_lookup(angel_family family, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_kernel_lookup_for(angel_isa_current(), family, first, second, third);
}
