// What the products of bfloat16 on AVX2 have in common, dense and 2:4, over the file's own few_rows, widen_row and
// widen_panel.
#pragma once

// Rows and panels as float32: 99 KiB in the second cache, and a panel of 12 KiB in the first.
TARGET static void many_rows(const struct angel_bf16_tile *t) {
  alignas(64) float rows[ANGEL_BF16_ROW_BLOCK * 2 * ANGEL_BF16_PAIRS];
  alignas(64) float panel[2 * ANGEL_BF16_PAIRS * ANGEL_PANEL];
  for (int32_t r = 0; r < t->rows; r++) {
    widen_row(t->input + r * t->row_bytes, t->pairs, rows + r * 2 * ANGEL_BF16_PAIRS);
  }
  for (int32_t p = 0; p < t->panels; p++) {
    widen_panel(t->weight + p * t->panel_bytes, t->pairs, panel);
    angel_avx2_dense(ANGEL_F32, &(struct angel_dense_tile){
      .input = rows, .input_stride = 2 * ANGEL_BF16_PAIRS, .weight = (const uint8_t *)panel, .depth = 2 * t->pairs,
      .sums = t->sums + p * ANGEL_PANEL, .sums_stride = t->sums_stride, .rows = t->rows, .panels = 1,
      .is_first = t->is_first});
  }
}

TARGET_INLINE void all_rows(const struct angel_bf16_tile *t) {
  if (t->rows > ANGEL_BF16_TILE_ROWS) return many_rows(t);
  for (int32_t panel = 0; panel < t->panels; panel++) {
    switch (t->rows) {
      case 1: few_rows(t, panel, 1); break;
      case 2: few_rows(t, panel, 2); break;
      case 3: few_rows(t, panel, 3); break;
      case 4: few_rows(t, panel, 4); break;
      case 5: few_rows(t, panel, 5); break;
      default: few_rows(t, panel, 6); break;
    }
  }
}
