// adafactor: a gradient divided by the root of its factored second moment (arXiv:1804.04235, algorithm 4). dtypes: (f32, none, none).
//   direction[i][j] = gradient[i][j] * gradient_scale / sqrt(max(row[i] * column[j] * scale, floor))
// in float32, every operation rounded, in this order; `scale` is 1 / mean(row).
#pragma once
#include "angel_types.h"

struct angel_adafactor_arguments {
  const float *gradient;  // [rows, columns]
  const float *row;       // [rows]
  const float *column;    // [columns]
  float *direction;       // [rows, columns]
  int64_t rows, columns;
  float gradient_scale, scale, floor;
};
