// gemm: dense products of training, float32 and bfloat16 operands (gemm.h).
//
// A unit is a tile of 256 rows by 32 columns. The columns' part of `right` is copied, some depth at a time, into a dense
// float32 panel on the stack, so that strides and bfloat16 cost only that copy; sums wait in the output between depths.
#include <string.h>

#include "gemm.h"
#include "variants.h"
#include "lanes.h"

enum { gemm_rows = 256, gemm_columns = 32, gemm_depth = 128, gemm_strip = 8 };

ANGEL_INLINE float gemm_at(const void *source, int64_t index, angel_dtype dtype) {
  return dtype == ANGEL_BF16 ? angel_f32_from_bf16(((const uint16_t *)source)[index]) : ((const float *)source)[index];
}

// What a kernel is compiled for.
struct gemm_types {
  angel_dtype left, right, output;
};

// Sums of `count` rows and up to 32 columns; rounded to bfloat16 only when the last depth is done.
ANGEL_INLINE void gemm_strip_rows(
  const struct angel_gemm_arguments *a, int64_t left, const float *panel, int64_t depth, float *room, int64_t stride,
  const int starts, const int count, const struct gemm_types types) {
  f32x16 sums[gemm_strip][2];
#pragma clang loop unroll(full)
  for (int i = 0; i < count; i++) {
    sums[i][0] = starts ? f32x16_splat(0) : f32x16_load(room + i * stride);
    sums[i][1] = starts ? f32x16_splat(0) : f32x16_load(room + i * stride + 16);
  }
  for (int64_t k = 0; k < depth; k++) {
    const f32x16 first = f32x16_load(panel + k * gemm_columns), second = f32x16_load(panel + k * gemm_columns + 16);
#pragma clang loop unroll(full)
    for (int i = 0; i < count; i++) {
      const f32x16 x = f32x16_splat(gemm_at(a->left, left + i * a->left_m + k * a->left_k, types.left));
      sums[i][0] = f32x16_fma(x, first, sums[i][0]);
      sums[i][1] = f32x16_fma(x, second, sums[i][1]);
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < count; i++) {
    f32x16_store(room + i * stride, sums[i][0]);
    f32x16_store(room + i * stride + 16, sums[i][1]);
  }
}

ANGEL_INLINE void gemm_pack(
  const struct angel_gemm_arguments *a, int64_t k, int64_t depth, int64_t n, int64_t columns, float *panel,
  const struct gemm_types types) {
  const int64_t start = k * a->right_k + n * a->right_n;
  for (int64_t j = 0; j < depth; j++) {
    for (int64_t i = 0; i < columns; i++) {
      panel[j * gemm_columns + i] = gemm_at(a->right, start + j * a->right_k + i * a->right_n, types.right);
    }
  }
}

// Sums -> output, with the bias; the first depth of an accumulating product reads the output the same way back.
ANGEL_INLINE void gemm_finish(
  const struct angel_gemm_arguments *a, const float *sums, int64_t m, int64_t n, int64_t columns,
  const struct gemm_types types) {
  for (int64_t i = 0; i < columns; i++) {
    const float value = a->bias != NULL ? sums[i] + gemm_at(a->bias, n + i, types.output) : sums[i];
    if (types.output == ANGEL_BF16) ((uint16_t *)a->output)[m * a->n + n + i] = angel_bf16_from_f32(value);
    else ((float *)a->output)[m * a->n + n + i] = value;
  }
}

ANGEL_INLINE void gemm_tile(
  const struct angel_gemm_arguments *a, int64_t m, int64_t rows, int64_t n, float *sums, const struct gemm_types types,
  angel_isa isa) {
  const int64_t columns = a->n - n < gemm_columns ? a->n - n : gemm_columns;
  _Alignas(64) float panel[gemm_depth * gemm_columns] = {0};
  if (a->accumulates) {
    for (int64_t i = 0; i < rows; i++) {
      for (int64_t j = 0; j < columns; j++) {
        sums[i * gemm_columns + j] = gemm_at(a->output, (m + i) * a->n + n + j, types.output);
      }
    }
  }
  for (int64_t k = 0; k == 0 || k < a->k; k += gemm_depth) {
    const int64_t depth = a->k - k < gemm_depth ? a->k - k : gemm_depth;
    const int starts = k == 0 && !a->accumulates;
    gemm_pack(a, k, depth, n, columns, panel, types);
    int64_t i = 0;
    if (isa >= ANGEL_ISA_AVX512) {
      for (; i + gemm_strip <= rows; i += gemm_strip) {
        gemm_strip_rows(
          a, (m + i) * a->left_m + k * a->left_k, panel, depth, sums + i * gemm_columns, gemm_columns, starts,
          gemm_strip, types);
      }
    }
    for (; i + 2 <= rows; i += 2) {
      gemm_strip_rows(
        a, (m + i) * a->left_m + k * a->left_k, panel, depth, sums + i * gemm_columns, gemm_columns, starts, 2, types);
    }
    for (; i < rows; i++) {
      gemm_strip_rows(
        a, (m + i) * a->left_m + k * a->left_k, panel, depth, sums + i * gemm_columns, gemm_columns, starts, 1, types);
    }
  }
  for (int64_t i = 0; i < rows; i++) gemm_finish(a, sums + i * gemm_columns, m + i, n, columns, types);
}

ANGEL_INLINE void gemm_units(
  const void *arguments, int32_t part, int32_t parts, angel_isa isa, const struct gemm_types types) {
  const struct angel_gemm_arguments *a = arguments;
  const int64_t tiles = (a->m + gemm_rows - 1) / gemm_rows, panels = (a->n + gemm_columns - 1) / gemm_columns;
  const struct angel_range units = angel_part_range(tiles * panels, part, parts);
  _Alignas(64) float sums[gemm_rows * gemm_columns];
  memset(sums, 0, sizeof sums);
  for (int64_t unit = units.begin; unit < units.end; unit++) {
    const int64_t m = unit / panels * gemm_rows, left = a->m - m;
    gemm_tile(a, m, left < gemm_rows ? left : gemm_rows, unit % panels * gemm_columns, sums, types, isa);
  }
}

#define GEMM(name, first, second, third)                                                                     \
  ANGEL_INLINE void name##_body(const void *arguments, int32_t part, int32_t parts, angel_isa isa) {         \
    gemm_units(arguments, part, parts, isa, (struct gemm_types){first, second, third});                      \
  }                                                                                                          \
  ANGEL_VARIANTS(name, name##_body)
GEMM(gemm_f32, ANGEL_F32, ANGEL_F32, ANGEL_F32)
GEMM(gemm_bf16, ANGEL_BF16, ANGEL_BF16, ANGEL_BF16)
GEMM(gemm_bf16_f32, ANGEL_BF16, ANGEL_BF16, ANGEL_F32)

angel_kernel angel_gemm_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (first != second) return NULL;
  if (first == ANGEL_F32) return third == ANGEL_F32 ? gemm_f32_variant(isa) : NULL;
  if (first != ANGEL_BF16) return NULL;
  if (third == ANGEL_BF16) return gemm_bf16_variant(isa);
  return third == ANGEL_F32 ? gemm_bf16_f32_variant(isa) : NULL;
}
