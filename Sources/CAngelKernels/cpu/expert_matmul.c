// expert_matmul: the matmul kernel, once for every expert that has rows (expert_matmul.h).
//
// Measured on one thread of a shared 2-core Zen 4 VM, CPU time, 8 of 128 experts, 2048 -> 768, q4_0 and int8 rows, Gop/s:
//   rows 1 220, 8 65, 64 157, 512 265; one product of as many rows with a single matrix: 239, 291, 327, 333.
#include "expert_matmul.h"
#include "matmul.h"
#include "quantize_rows.h"
#include "variants.h"

static int64_t row_bytes_of(angel_dtype input, int64_t depth) {
  switch (input) {
    case ANGEL_INT8_ROWS: return angel_int8_row_bytes(depth);
    case ANGEL_BF16_ROWS: return angel_bf16_row_bytes(depth);
    default: return depth * (int64_t)sizeof(float);
  }
}

ANGEL_INLINE void multiply_groups(const void *arguments, int32_t part, int32_t parts, angel_isa isa) {
  const struct angel_expert_matmul_arguments *a = arguments;
  const angel_kernel multiply = angel_matmul_kernel(isa, a->input_dtype, a->weight_dtype, ANGEL_NO_DTYPE);
  const int64_t row_bytes = row_bytes_of(a->input_dtype, a->depth);
  for (int64_t e = 0; e < a->choices; e++) {
    const int64_t place = a->offsets[e], rows = a->offsets[e + 1] - place;
    if (rows == 0) continue;
    const struct angel_matmul_arguments group = {
      .input = (const uint8_t *)a->input + place * row_bytes, .weight = a->weights[e],
      .output = a->output + place * a->columns, .rows = rows, .depth = a->depth, .columns = a->columns};
    multiply(&group, part, parts);
  }
}

// The kernels of matmul carry their target attributes themselves; here the instruction set only chooses among them.
#define KERNEL(isa, value)                                                                            \
  static void multiply_groups_##isa(const void *arguments, int32_t part, int32_t parts) {             \
    multiply_groups(arguments, part, parts, value);                                                   \
  }
KERNEL(scalar, ANGEL_ISA_SCALAR)
KERNEL(avx2, ANGEL_ISA_AVX2)
KERNEL(avx512, ANGEL_ISA_AVX512)
KERNEL(avx512_bf16, ANGEL_ISA_AVX512_BF16)
KERNEL(neon, ANGEL_ISA_NEON)

angel_kernel angel_expert_matmul_kernel(angel_isa isa, angel_dtype input, angel_dtype weight, angel_dtype third) {
  static const angel_kernel kernels[] = {
    [ANGEL_ISA_SCALAR] = multiply_groups_scalar, [ANGEL_ISA_AVX2] = multiply_groups_avx2,
    [ANGEL_ISA_AVX512] = multiply_groups_avx512, [ANGEL_ISA_AVX512_BF16] = multiply_groups_avx512_bf16,
    [ANGEL_ISA_NEON] = multiply_groups_neon};
  return angel_matmul_kernel(isa, input, weight, third) == NULL ? NULL : kernels[isa];
}
