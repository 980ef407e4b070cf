// low_rank in sixteen lanes: up to four rows of one adapter at a time (low_rank.h).
#include "low_rank.h"
#include "lanes.h"
#include "variants.h"

// Inner values that are held at a time; a larger rank is added up in pieces of so many, in the same order.
enum { rank_piece = 64, row_tile = 4 };

ANGEL_INLINE int64_t padded(int64_t count) { return (count + 15) / 16 * 16; }

// inner[i][j] for `rows` rows and `count` lines of `down`, both small constants.
ANGEL_INLINE void multiply_down(
  const float *input, int64_t inputs, const char *down, int64_t line_bytes, float scale, int rows, int count,
  float (*inner)[rank_piece], angel_dtype dtype, int64_t element, angel_isa isa) {
  f32x16 sums[4];
  for (int i = 0; i < rows * count; i++) sums[i] = f32x16_splat(0);
  for (int64_t k = 0; k < inputs; k += 16) {
    f32x16 x[4];
    for (int row = 0; row < rows; row++) x[row] = f32x16_load_first_or_all(input + row * inputs + k, inputs - k);
    for (int j = 0; j < count; j++) {
      const f32x16 line = f32x16_from(down + j * line_bytes + k * element, dtype, isa);
      for (int row = 0; row < rows; row++) sums[row * count + j] = f32x16_fma(x[row], line, sums[row * count + j]);
    }
  }
  for (int row = 0; row < rows; row++) {
    for (int j = 0; j < count; j++) inner[row][j] = scale * f32x16_sum(sums[row * count + j]);
  }
}

// Adds `rank` inner values times their lines of `up` to four times sixteen outputs of a row, or to fewer.
ANGEL_INLINE void add_up(
  float *output, const float *start, int64_t outputs, const char *up, int64_t line_bytes, const float *inner,
  int64_t rank, angel_dtype dtype, int64_t element, angel_isa isa) {
  int64_t n = 0;
  for (; n + 64 <= outputs; n += 64) {
    f32x16 y[4];
    for (int i = 0; i < 4; i++) y[i] = f32x16_load(start + n + 16 * i);
    for (int64_t j = 0; j < rank; j++) {
      const f32x16 weight = f32x16_splat(inner[j]);
      const char *line = up + j * line_bytes + n * element;
      for (int i = 0; i < 4; i++) y[i] = f32x16_fma(weight, f32x16_from(line + 16 * i * element, dtype, isa), y[i]);
    }
    for (int i = 0; i < 4; i++) f32x16_store(output + n + 16 * i, y[i]);
  }
  for (; n < outputs; n += 16) {
    f32x16 y = f32x16_load_first_or_all(start + n, outputs - n);
    for (int64_t j = 0; j < rank; j++) {
      y = f32x16_fma(f32x16_splat(inner[j]), f32x16_from(up + j * line_bytes + n * element, dtype, isa), y);
    }
    f32x16_write(output, n, y, outputs - n, ANGEL_F32);
  }
}

// Rows [row, row + rows), at most four, of one adapter.
ANGEL_INLINE void adapt_rows(
  const struct angel_low_rank_arguments *a, const struct angel_low_rank_adapter *adapter, int64_t row, int64_t rows,
  angel_dtype dtype, angel_isa isa) {
  const int64_t element = dtype == ANGEL_F32 ? 4 : 2;
  const int64_t down_bytes = padded(a->inputs) * element, up_bytes = padded(a->outputs) * element;
  const float *input = a->input + row * a->inputs;
  float inner[row_tile][rank_piece];
  for (int64_t first = 0; first < adapter->rank; first += rank_piece) {
    const int64_t count = adapter->rank - first < rank_piece ? adapter->rank - first : rank_piece;
    for (int64_t j = 0; j < count;) {
      const char *down = (const char *)adapter->down + (first + j) * down_bytes;
      float (*target)[rank_piece] = (float (*)[rank_piece])(inner[0] + j);
      if (rows == row_tile) {
        multiply_down(input, a->inputs, down, down_bytes, adapter->scale, 4, 1, target, dtype, element, isa), j++;
      } else if (j + 4 <= count) {
        for (int64_t i = 0; i < rows; i++) {
          multiply_down(
            input + i * a->inputs, a->inputs, down, down_bytes, adapter->scale, 1, 4, target + i, dtype, element, isa);
        }
        j += 4;
      } else {
        for (int64_t i = 0; i < rows; i++) {
          multiply_down(
            input + i * a->inputs, a->inputs, down, down_bytes, adapter->scale, 1, 1, target + i, dtype, element, isa);
        }
        j++;
      }
    }
    const char *up = (const char *)adapter->up + first * up_bytes;
    for (int64_t i = 0; i < rows; i++) {
      float *output = a->output + (row + i) * a->outputs;
      const float *start = first == 0 ? a->product + (row + i) * a->outputs : output;
      add_up(output, start, a->outputs, up, up_bytes, inner[i], count, dtype, element, isa);
    }
  }
}

// output[row] = from * scales + bias, either of which may be absent; `from` may be the output.
ANGEL_INLINE void finish_row(const struct angel_low_rank_arguments *a, int64_t row, const float *from, const float *scales) {
  float *output = a->output + row * a->outputs;
  if (from == output && scales == NULL && a->bias == NULL) return;
  for (int64_t n = 0; n < a->outputs; n += 16) {
    const int64_t left = a->outputs - n;
    f32x16 y = f32x16_load_first_or_all(from + n, left);
    if (scales != NULL) y *= f32x16_load_first_or_all(scales + n, left);
    if (a->bias != NULL) y += f32x16_load_first_or_all(a->bias + n, left);
    f32x16_write(output, n, y, left, ANGEL_F32);
  }
}

ANGEL_INLINE void low_rank_rows(const void *arguments, int32_t part, int32_t parts, angel_isa isa) {
  const struct angel_low_rank_arguments *a = arguments;
  const struct angel_range own = angel_part_range(a->rows, part, parts);
  for (int64_t row = own.begin; row < own.end;) {
    const int32_t number = a->row_adapters[row];
    const struct angel_low_rank_adapter *adapter = number < 0 ? NULL : a->adapters + number;
    if (adapter == NULL || adapter->rank == 0) {
      finish_row(a, row, a->product + row * a->outputs, NULL);
      row++;
      continue;
    }
    int64_t rows = 1;
    while (rows < row_tile && row + rows < own.end && a->row_adapters[row + rows] == number) rows++;
    switch ((angel_dtype)adapter->dtype) {
      case ANGEL_BF16: adapt_rows(a, adapter, row, rows, ANGEL_BF16, isa); break;
      case ANGEL_F16: adapt_rows(a, adapter, row, rows, ANGEL_F16, isa); break;
      default: adapt_rows(a, adapter, row, rows, ANGEL_F32, isa);
    }
    for (int64_t i = row; i < row + rows; i++) finish_row(a, i, a->output + i * a->outputs, adapter->scales);
    row += rows;
  }
}
ANGEL_VARIANTS(low_rank, low_rank_rows)

angel_kernel angel_low_rank_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? low_rank_variant(isa) : NULL;
}
