// low_rank in sixteen lanes: up to sixteen rows of one adapter read its matrices once, as they are packed (low_rank.h).
#include "low_rank.h"
#include "lanes.h"
#include "variants.h"

// Inner values that are held at a time; a larger rank is added up in pieces of so many, in the same order.
enum { rank_piece = 64, row_limit = 16 };

ANGEL_INLINE int64_t sixteens(int64_t count) { return (count + 15) / 16; }

// Adds sixteen products of each of `rows` rows with each of `count` lines, both small constants; x has `left` of them.
ANGEL_INLINE void multiply_sixteen(
  f32x16 *sums, const float *x, int64_t stride, int64_t left, const char *lines, int rows, int count, angel_dtype dtype,
  int64_t element, angel_isa isa) {
  f32x16 line[4];
  for (int j = 0; j < count; j++) line[j] = f32x16_from(lines + 16 * j * element, dtype, isa);
  for (int row = 0; row < rows; row++) {
    const f32x16 values = f32x16_load_first_or_all(x + row * stride, left);
    for (int j = 0; j < count; j++) sums[row * count + j] = f32x16_fma(values, line[j], sums[row * count + j]);
  }
}

// Asks for `count` bytes that are needed soon: adapters lie apart, and with one row each there is little else to do.
ANGEL_INLINE void fetch(const char *bytes, int64_t count) {
  for (int64_t i = 0; i < count; i += 64) __builtin_prefetch(bytes + i, 0, 3);
}

// inner[row][j] of `rows` rows and `count` lines of a group of four, from `lines` on; both are small constants.
ANGEL_INLINE void multiply_tile(
  const float *input, int64_t inputs, const char *lines, float scale, int rows, int count, float (*inner)[rank_piece],
  const char *next, angel_dtype dtype, int64_t element, angel_isa isa) {
  f32x16 sums[6];
  for (int i = 0; i < rows * count; i++) sums[i] = f32x16_splat(0);
  int64_t k = 0;
  for (; k + 16 <= inputs; k += 16, lines += 64 * element) {
    multiply_sixteen(sums, input + k, inputs, 16, lines, rows, count, dtype, element, isa);
    if (rows == 1) fetch(next + 4 * k * element, 64 * element);
  }
  if (k < inputs) multiply_sixteen(sums, input + k, inputs, inputs - k, lines, rows, count, dtype, element, isa);
  for (int row = 0; row < rows; row++) {
    for (int j = 0; j < count; j++) inner[row][j] = scale * f32x16_sum(sums[row * count + j]);
  }
}

// inner[row][0 ..< count] of `rows` rows, in threes, then one or two: three rows and two lines fill AVX2's registers.
// The last group's padding is written too.
ANGEL_INLINE void multiply_down(
  const float *input, int64_t inputs, int64_t rows, const char *down, float scale, int64_t count,
  float (*inner)[rank_piece], const char *next, angel_dtype dtype, int64_t element, angel_isa isa) {
  const int64_t group_bytes = sixteens(inputs) * 64 * element;
  for (int64_t j = 0; j < count; j += 4, down += group_bytes, next += group_bytes) {
    for (int64_t row = 0; row < rows;) {
      const float *x = input + row * inputs;
      float (*target)[rank_piece] = (float (*)[rank_piece])(inner[row] + j);
      float (*second)[rank_piece] = (float (*)[rank_piece])(inner[row] + j + 2);
      if (row + 3 <= rows) {
        multiply_tile(x, inputs, down, scale, 3, 2, target, next, dtype, element, isa);
        multiply_tile(x, inputs, down + 32 * element, scale, 3, 2, second, next, dtype, element, isa);
        row += 3;
      } else if (row + 2 == rows) {
        multiply_tile(x, inputs, down, scale, 2, 2, target, next, dtype, element, isa);
        multiply_tile(x, inputs, down + 32 * element, scale, 2, 2, second, next, dtype, element, isa);
        row += 2;
      } else {
        multiply_tile(x, inputs, down, scale, 1, 4, target, next, dtype, element, isa);
        row++;
      }
    }
  }
}

// Adds the first `rank` inner values of `rows` rows times `strips` strips' lines, to `left` outputs of a row at most.
ANGEL_INLINE void add_tile(
  float *output, const float *start, int64_t outputs, int64_t left, const char *up, int64_t strip_bytes,
  float (*inner)[rank_piece], int64_t rank, int rows, int strips, const char *next,
  angel_dtype dtype, int64_t element, angel_isa isa) {
  f32x16 y[4];
  for (int i = 0; i < rows * strips; i++) {
    y[i] = f32x16_load_first_or_all(start + i / strips * outputs + i % strips * 16, left);
  }
  for (int64_t j = 0; j < rank; j++) {
    f32x16 line[4];
    if (rows == 1) fetch(next + 16 * j * strips * element, 16 * strips * element);
    for (int i = 0; i < strips; i++) line[i] = f32x16_from(up + i * strip_bytes + 16 * j * element, dtype, isa);
    for (int i = 0; i < rows * strips; i++) {
      y[i] = f32x16_fma(f32x16_splat(inner[i / strips][j]), line[i % strips], y[i]);
    }
  }
  for (int i = 0; i < rows * strips; i++) {
    f32x16_write(output, i / strips * outputs + i % strips * 16, y[i], left, ANGEL_F32);
  }
}

// Adds `count` inner values of each row times their lines of `up`: four rows at a time, then four strips of a row.
ANGEL_INLINE void add_up(
  float *output, const float *start, int64_t outputs, int64_t rows, const char *up, int64_t strip_bytes,
  float (*inner)[rank_piece], int64_t count, const char *next, angel_dtype dtype, int64_t element, angel_isa isa) {
  const int64_t fours = rows / 4 * 4;
  for (int64_t n = 0; n < outputs && fours > 0; n += 16) {
    const char *strip = up + n / 16 * strip_bytes;
    for (int64_t row = 0; row < fours; row += 4) {
      const int64_t at = row * outputs + n;
      add_tile(
        output + at, start + at, outputs, outputs - n, strip, strip_bytes, inner + row, count, 4, 1, next, dtype,
        element, isa);
    }
  }
  for (int64_t row = fours; row < rows; row++) {
    float *y = output + row * outputs;
    const float *from = start + row * outputs;
    int64_t n = 0;
    for (; n + 64 <= outputs; n += 64) {
      const int64_t at = n / 16 * strip_bytes;
      add_tile(
        y + n, from + n, outputs, 16, up + at, strip_bytes, inner + row, count, 1, 4, next + at, dtype, element, isa);
    }
    for (; n < outputs; n += 16) {
      const int64_t at = n / 16 * strip_bytes;
      add_tile(
        y + n, from + n, outputs, outputs - n, up + at, strip_bytes, inner + row, count, 1, 1, next + at, dtype,
        element, isa);
    }
  }
}

// `rows` rows from `row` on, at most `row_limit`, of one adapter; `next` is what is read after it.
ANGEL_INLINE void adapt_rows(
  const struct angel_low_rank_arguments *a, const struct angel_low_rank_adapter *adapter, int64_t row, int64_t rows,
  const char *next, angel_dtype dtype, angel_isa isa) {
  const int64_t element = dtype == ANGEL_F32 ? 4 : 2;
  const int64_t line_bytes = sixteens(a->inputs) * 16 * element, strip_bytes = adapter->rank * 16 * element;
  float inner[row_limit][rank_piece];
  for (int64_t first = 0; first < adapter->rank; first += rank_piece) {
    const int64_t count = adapter->rank - first < rank_piece ? adapter->rank - first : rank_piece;
    const char *down = (const char *)adapter->down + first * line_bytes;
    const char *up = (const char *)adapter->up + first * 16 * element;
    multiply_down(
      a->input + row * a->inputs, a->inputs, rows, down, adapter->scale, count, inner, up, dtype, element, isa);
    float *output = a->output + row * a->outputs;
    const float *start = first == 0 ? a->product + row * a->outputs : output;
    add_up(output, start, a->outputs, rows, up, strip_bytes, inner, count, next, dtype, element, isa);
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
    while (rows < row_limit && row + rows < own.end && a->row_adapters[row + rows] == number) rows++;
    const int32_t after = row + rows < own.end ? a->row_adapters[row + rows] : -1;
    const char *next = after < 0 || a->adapters[after].rank == 0 ? adapter->down : a->adapters[after].down;
    switch ((angel_dtype)adapter->dtype) {
      case ANGEL_BF16: adapt_rows(a, adapter, row, rows, next, ANGEL_BF16, isa); break;
      case ANGEL_F16: adapt_rows(a, adapter, row, rows, next, ANGEL_F16, isa); break;
      default: adapt_rows(a, adapter, row, rows, next, ANGEL_F32, isa);
    }
    for (int64_t i = row; i < row + rows; i++) finish_row(a, i, a->output + i * a->outputs, adapter->scales);
    row += rows;
  }
}
ANGEL_VARIANTS(low_rank, low_rank_rows)

angel_kernel angel_low_rank_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? low_rank_variant(isa) : NULL;
}
