// expert_matmul: the matmul kernel, once for every expert that has rows (expert_matmul.h).
//
// Measured on one thread of a shared 2-core Zen 4 VM, CPU time, 8 of 128 experts, 2048 -> 768, q4_0 and int8 rows, Gop/s:
//   rows 1 220, 8 65, 64 157, 512 265; one product of as many rows with a single matrix: 239, 291, 327, 333.
#include "expert_matmul.h"

#include "expert_arrange.h"
#include "expert_outer.h"
#include "arrange.h"
#include "matmul.h"
#include "panels.h"
#include "quantize_rows.h"
#include "variants.h"

static int64_t row_bytes_of(angel_dtype input, int64_t depth) {
  switch (input) {
    case ANGEL_INT8_ROWS: return angel_int8_row_bytes(depth);
    case ANGEL_BF16_ROWS: return angel_bf16_row_bytes(depth);
    default: return depth * (int64_t)sizeof(float);
  }
}

static int64_t lines_of_panels(int64_t columns) { return (columns + ANGEL_PANEL - 1) / ANGEL_PANEL; }

ANGEL_INLINE void multiply_groups(
  const void *arguments, int32_t part, int32_t parts, angel_isa isa, angel_dtype output_dtype) {
  const struct angel_expert_matmul_arguments *a = arguments;
  const angel_kernel multiply = angel_matmul_kernel(isa, a->input_dtype, a->weight_dtype, output_dtype);
  const int64_t row_bytes = row_bytes_of(a->input_dtype, a->depth);
  const int64_t element = output_dtype == ANGEL_BF16 ? 2 : 4;
  for (int64_t e = 0; e < a->choices; e++) {
    const int64_t place = a->offsets[e], rows = a->offsets[e + 1] - place;
    if (rows == 0) continue;
    const struct angel_matmul_arguments group = {
      .input = (const uint8_t *)a->input + place * row_bytes, .weight = a->weights[e],
      .output = (float *)(void *)((uint8_t *)a->output + place * a->columns * element), .rows = rows,
      .depth = a->depth, .columns = a->columns};
    multiply(&group, part, parts);
  }
}

// The transpose of every group, one after the other.
ANGEL_INLINE void arrange_groups(const void *arguments, int32_t part, int32_t parts, angel_isa isa, int is_panels) {
  const struct angel_expert_arrange_arguments *a = arguments;
  const angel_kernel arrange = (is_panels ? angel_arrange_panels_kernel : angel_arrange_rows_kernel)(
    isa, a->source_dtype, a->target_dtype, ANGEL_NO_DTYPE);
  const int64_t element = a->source_dtype == ANGEL_F32 ? 4 : 2;
  uint8_t *target = a->target;
  for (int64_t e = 0; e < a->choices; e++) {
    const int64_t place = a->offsets[e], rows = a->offsets[e + 1] - place;
    if (rows == 0) continue;
    const struct angel_arrange_arguments group = {
      .source = (const uint8_t *)a->source + place * a->width * element, .target = target, .lines = a->width,
      .depth = rows, .line_stride = 1, .depth_stride = a->width};
    arrange(&group, part, parts);
    target += is_panels ? lines_of_panels(a->width) * angel_panel_bytes(a->target_dtype, rows)
                        : a->width * row_bytes_of(a->target_dtype, rows);
  }
}

ANGEL_INLINE void outer_groups(const void *arguments, int32_t part, int32_t parts, angel_isa isa) {
  const struct angel_expert_outer_arguments *a = arguments;
  const angel_kernel multiply = angel_matmul_kernel(isa, a->rows_dtype, a->panels_dtype, ANGEL_NO_DTYPE);
  const uint8_t *rows = a->rows, *panels = a->panels;
  const int64_t count = a->lines * a->columns;
  for (int64_t e = 0; e < a->choices; e++) {
    const int64_t depth = a->offsets[e + 1] - a->offsets[e];
    float *output = a->output + e * count;
    if (depth == 0) {
      const struct angel_range own = angel_part_range(count, part, parts);
      memset(output + own.begin, 0, (size_t)(own.end - own.begin) * sizeof(float));
      continue;
    }
    const struct angel_matmul_arguments group = {
      .input = rows, .weight = panels, .output = output, .rows = a->lines, .depth = depth, .columns = a->columns};
    multiply(&group, part, parts);
    rows += a->lines * row_bytes_of(a->rows_dtype, depth);
    panels += lines_of_panels(a->columns) * angel_panel_bytes(a->panels_dtype, depth);
  }
}

// Rounding adds at most 31 elements to each row, or one to each line of a panel, of every group that is not empty.
static int64_t groups_of(int64_t places, int64_t choices) { return places < choices ? places : choices; }

int64_t angel_expert_rows_bytes(angel_dtype target, int64_t places, int64_t choices, int64_t width) {
  return target == ANGEL_F32 ? 4 * places * width : width * (2 * places + 62 * groups_of(places, choices));
}

int64_t angel_expert_panels_bytes(angel_dtype target, int64_t places, int64_t choices, int64_t width) {
  const int64_t line = ANGEL_PANEL * lines_of_panels(width);
  return target == ANGEL_F32 ? 4 * places * line : line * 2 * (places + groups_of(places, choices));
}

// The kernels inside carry their target attributes themselves; here the instruction set only chooses among them.
#define KERNEL(isa, value)                                                                                      \
  static void multiply_groups_##isa(const void *arguments, int32_t part, int32_t parts) {                       \
    multiply_groups(arguments, part, parts, value, ANGEL_NO_DTYPE);                                             \
  }                                                                                                             \
  static void multiply_narrow_##isa(const void *arguments, int32_t part, int32_t parts) {                       \
    multiply_groups(arguments, part, parts, value, ANGEL_BF16);                                                 \
  }                                                                                                             \
  static void outer_groups_##isa(const void *arguments, int32_t part, int32_t parts) {                          \
    outer_groups(arguments, part, parts, value);                                                                \
  }                                                                                                             \
  static void arrange_rows_##isa(const void *arguments, int32_t part, int32_t parts) {                          \
    arrange_groups(arguments, part, parts, value, 0);                                                           \
  }                                                                                                             \
  static void arrange_panels_##isa(const void *arguments, int32_t part, int32_t parts) {                        \
    arrange_groups(arguments, part, parts, value, 1);                                                           \
  }
KERNEL(scalar, ANGEL_ISA_SCALAR)
KERNEL(avx2, ANGEL_ISA_AVX2)
KERNEL(avx512, ANGEL_ISA_AVX512)
KERNEL(avx512_bf16, ANGEL_ISA_AVX512_BF16)
KERNEL(amx, ANGEL_ISA_AMX)
KERNEL(neon, ANGEL_ISA_NEON)

#define KERNELS(name)                                                                                           \
  {[ANGEL_ISA_SCALAR] = name##_scalar, [ANGEL_ISA_AVX2] = name##_avx2, [ANGEL_ISA_AVX512] = name##_avx512,     \
   [ANGEL_ISA_AVX512_BF16] = name##_avx512_bf16, [ANGEL_ISA_AMX] = name##_amx, [ANGEL_ISA_NEON] = name##_neon}

angel_kernel angel_expert_matmul_kernel(angel_isa isa, angel_dtype input, angel_dtype weight, angel_dtype third) {
  static const angel_kernel wide[] = KERNELS(multiply_groups), narrow[] = KERNELS(multiply_narrow);
  if (angel_matmul_kernel(isa, input, weight, third) == NULL) return NULL;
  return third == ANGEL_BF16 ? narrow[isa] : wide[isa];
}

angel_kernel angel_expert_outer_kernel(angel_isa isa, angel_dtype rows, angel_dtype panels, angel_dtype third) {
  static const angel_kernel kernels[] = KERNELS(outer_groups);
  const int is_known = (rows == ANGEL_F32 && panels == ANGEL_F32) || (rows == ANGEL_BF16_ROWS && panels == ANGEL_BF16);
  return is_known && third == ANGEL_NO_DTYPE ? kernels[isa] : NULL;
}

angel_kernel angel_expert_arrange_rows_kernel(
  angel_isa isa, angel_dtype source, angel_dtype target, angel_dtype third) {
  static const angel_kernel kernels[] = KERNELS(arrange_rows);
  return angel_arrange_rows_kernel(isa, source, target, third) == NULL ? NULL : kernels[isa];
}

angel_kernel angel_expert_arrange_panels_kernel(
  angel_isa isa, angel_dtype source, angel_dtype target, angel_dtype third) {
  static const angel_kernel kernels[] = KERNELS(arrange_panels);
  return angel_arrange_panels_kernel(isa, source, target, third) == NULL ? NULL : kernels[isa];
}
