// scatter_add: rows summed into a table by index, float32 and float64 (primitives.h).
#include <string.h>

#include "primitives.h"
#include "variants.h"

// Parts own rows of the table: each looks at all indices in order, so sums never depend on the parts.
#define SCATTER_ADD(name, type)                                                                 \
  static void name(const void *arguments, int32_t part, int32_t parts) {                        \
    const struct angel_scatter_add_arguments *a = arguments;                                    \
    const struct angel_range owned = angel_part_range(a->count, part, parts);                   \
    type *output = a->output;                                                                   \
    if (!a->accumulates) {                                                                      \
      const int64_t count = (owned.end - owned.begin) * a->width;                               \
      memset(output + owned.begin * a->width, 0, sizeof(type) * (size_t)count);                 \
    }                                                                                           \
    for (int64_t r = 0; r < a->row_count; r++) {                                                \
      const int64_t index = a->indices[r];                                                      \
      if (index < owned.begin || index >= owned.end) continue;                                  \
      const type *row = (const type *)a->rows + r * a->width;                                   \
      type *target = output + index * a->width;                                                 \
      for (int64_t i = 0; i < a->width; i++) target[i] += row[i];                               \
    }                                                                                           \
  }
SCATTER_ADD(scatter_add_f32, float)
SCATTER_ADD(scatter_add_f64, double)

angel_kernel angel_scatter_add_kernel(
  [[maybe_unused]] angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (angel_only(ANGEL_F64, first, second, third)) return scatter_add_f64;
  return angel_only(ANGEL_F32, first, second, third) ? scatter_add_f32 : NULL;
}
