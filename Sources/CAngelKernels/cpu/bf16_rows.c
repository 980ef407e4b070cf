// quantize_rows to bfloat16: float32 rows rounded half to even (quantize_rows.h).
#include "bf16_rows.h"

#include "lanes.h"
#include "quantize_rows.h"
#include "variants.h"

ANGEL_INLINE void bf16_rows(const void *arguments, int32_t part, int32_t parts, angel_isa isa) {
  const struct angel_quantize_rows_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  const int64_t depth = a->depth, row_bytes = angel_bf16_row_bytes(depth);
  for (int64_t row = rows.begin; row < rows.end; row++) {
    const float *x = a->input + row * depth;
    uint8_t *output = (uint8_t *)a->output + row * row_bytes;
    for (int64_t k = 0; k < row_bytes / 2; k += 16) {
      const int64_t left = depth - k < 0 ? 0 : depth - k;
      const f32x16 values = left >= 16 ? f32x16_load(x + k) : f32x16_load_first(x + k, left);
      const u16x16 rounded = u16x16_from(values, ANGEL_BF16, isa);
      __builtin_memcpy(output + 2 * k, &rounded, sizeof rounded);
    }
  }
}
ANGEL_VARIANTS(bf16_rows, bf16_rows)

angel_kernel angel_bf16_rows_kernel(angel_isa isa) { return bf16_rows_variant(isa); }
