// contract: batched matrix product by strides, float32 and float64 (primitives.h).
//
// A unit is a tile of 64 rows by 32 columns of one matrix. Its part of `right` is copied, some depth at a time, into a
// dense panel on the stack, so that any strides cost only that copy; sums wait in the output between depths.
#include "primitives.h"
#include "variants.h"

enum { contract_rows = 64, contract_columns = 32, contract_depth = 128, contract_strip = 4 };

#define CONTRACT(name, type, vector, lanes)                                                                     \
  typedef type vector __attribute__((ext_vector_type(lanes)));                                                  \
  /* `count` rows of the output from `row`, `columns` wide: sums += left * panel, k ascending. */               \
  ANGEL_INLINE void name##_strip(                                                                               \
    const struct angel_contract_arguments *a, const type *left, const type *panel, int64_t depth, type *output, \
    int64_t columns, int first, const int count) {                                                              \
    enum { vectors = contract_columns / lanes };                                                                \
    vector sums[contract_strip][vectors];                                                                       \
    for (int i = 0; i < count; i++) {                                                                           \
      type row[contract_columns] = {0};                                                                         \
      for (int64_t n = 0; n < columns && !first; n++) row[n] = output[i * a->n + n];                            \
      __builtin_memcpy(sums[i], row, sizeof row);                                                               \
    }                                                                                                           \
    for (int64_t k = 0; k < depth; k++) {                                                                       \
      vector right[vectors];                                                                                    \
      __builtin_memcpy(right, panel + k * contract_columns, sizeof right);                                      \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < count; i++) {                                      \
        const vector x = (vector)left[i * a->left_m + k * a->left_k];                                           \
        _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                                  \
          sums[i][v] = __builtin_elementwise_fma(x, right[v], sums[i][v]);                                      \
        }                                                                                                       \
      }                                                                                                         \
    }                                                                                                           \
    for (int i = 0; i < count; i++) {                                                                           \
      type row[contract_columns];                                                                               \
      __builtin_memcpy(row, sums[i], sizeof row);                                                               \
      for (int64_t n = 0; n < columns; n++) output[i * a->n + n] = row[n];                                      \
    }                                                                                                           \
  }                                                                                                             \
                                                                                                                \
  ANGEL_INLINE void name##_tile(                                                                                \
    const struct angel_contract_arguments *a, int64_t batch, int64_t m, int64_t rows, int64_t n) {              \
    const int64_t columns = a->n - n < contract_columns ? a->n - n : contract_columns;                          \
    _Alignas(64) type panel[contract_depth * contract_columns] = {0};                                           \
    for (int64_t k = 0; k == 0 || k < a->k; k += contract_depth) {                                              \
      const int64_t depth = a->k - k < contract_depth ? a->k - k : contract_depth;                              \
      const type *right = (const type *)a->right + batch * a->right_batch + k * a->right_k + n * a->right_n;    \
      for (int64_t j = 0; j < depth; j++) {                                                                     \
        for (int64_t i = 0; i < columns; i++) {                                                                 \
          panel[j * contract_columns + i] = right[j * a->right_k + i * a->right_n];                             \
        }                                                                                                       \
      }                                                                                                         \
      for (int64_t i = 0; i < rows;) {                                                                          \
        const type *left = (const type *)a->left + batch * a->left_batch + (m + i) * a->left_m + k * a->left_k; \
        type *output = (type *)a->output + (batch * a->m + m + i) * a->n + n;                                   \
        if (i + contract_strip <= rows) {                                                                       \
          name##_strip(a, left, panel, depth, output, columns, k == 0, contract_strip);                         \
          i += contract_strip;                                                                                  \
        } else {                                                                                                \
          name##_strip(a, left, panel, depth, output, columns, k == 0, 1);                                      \
          i += 1;                                                                                               \
        }                                                                                                       \
      }                                                                                                         \
    }                                                                                                           \
  }                                                                                                             \
                                                                                                                \
  ANGEL_INLINE void name##_tiles(                                                                               \
    const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {                       \
    const struct angel_contract_arguments *a = arguments;                                                       \
    const int64_t down = (a->m + contract_rows - 1) / contract_rows;                                            \
    const int64_t across = (a->n + contract_columns - 1) / contract_columns;                                    \
    const struct angel_range units = angel_part_range(a->batch * down * across, part, parts);                   \
    for (int64_t unit = units.begin; unit < units.end; unit++) {                                                \
      const int64_t m = unit % down * contract_rows, rest = unit / down;                                        \
      const int64_t rows = a->m - m < contract_rows ? a->m - m : contract_rows;                                 \
      name##_tile(a, rest / across, m, rows, rest % across * contract_columns);                                 \
    }                                                                                                           \
  }                                                                                                             \
  ANGEL_VARIANTS(name, name##_tiles)

CONTRACT(contract_f32, float, contract_lanes_f32, 16)
CONTRACT(contract_f64, double, contract_lanes_f64, 8)

angel_kernel angel_contract_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (angel_only(ANGEL_F64, first, second, third)) return contract_f64_variant(isa);
  return angel_only(ANGEL_F32, first, second, third) ? contract_f32_variant(isa) : NULL;
}
