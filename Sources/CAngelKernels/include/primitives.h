// The primitives that composed forms are written in; plain loops, float32 and float64.
//   add subtract multiply divide maximum minimum   binary, broadcasting by strides   dtypes: (T, none, none)
//   at_least   1 where left >= right, else 0       binary, as above
//   negate exp log sqrt sin cos tanh erf           unary                              dtypes: (T, none, none)
//                 exp in float32 within 1 ulp, the same bits on every instruction set; the others are the C library's
//   sum max                                        reduction of a middle axis         dtypes: (T, none, none)
//   copy       strided copy with conversion, the way to permute, broadcast and cast   dtypes: (source, target, none)
//              among f64, f32, f16, bf16, i64, i32, u8; every conversion rounds once, to nearest even; floats to
//              integers truncate toward zero and saturate, NaN gives 0; integers to integers saturate
//   gather     rows by index, any plain dtype      dtypes: (T, none, none)
//   scatter_add  rows summed by index: of one index in ascending order, from 0; f32 and f64   dtypes: (T, none, none)
//   contract   batched matrix product              dtypes: (T, none, none)
// maximum, minimum and max give NaN where an input is NaN. The output of a unary may be its input, that of a binary an input
// that has its shape; other outputs overlap no input.
#pragma once
#include "angel_types.h"
#define ANGEL_RANK 8

struct angel_binary_arguments {
  const void *left, *right;
  void *output;  // contiguous
  int64_t sizes[ANGEL_RANK], left_strides[ANGEL_RANK], right_strides[ANGEL_RANK];  // in elements; unused axes: size 1
};
struct angel_unary_arguments {
  const void *input;
  void *output;
  int64_t count;
};
struct angel_reduce_arguments {
  const void *input;  // [outer, size, inner]
  void *output;       // [outer, inner]; over `size` ascending, float32 summed in float64 and rounded once
  int64_t outer, size, inner;
};
struct angel_copy_arguments {
  const void *source;
  void *target;  // contiguous
  int64_t sizes[ANGEL_RANK], strides[ANGEL_RANK];  // of the source, in elements
};
struct angel_gather_arguments {
  const void *table;       // [count, width]
  const int32_t *indices;  // [rows], each in 0..<count
  void *output;            // [rows, width]
  int64_t rows, count, width;
};
struct angel_scatter_add_arguments {
  const void *rows;        // [row_count, width]
  const int32_t *indices;  // [row_count], each in 0..<count
  void *output;            // [count, width]
  int64_t row_count, count, width;
  int32_t accumulates;     // not 0: sums begin from what the output holds, not from 0
};
struct angel_contract_arguments {
  const void *left;   // [batch, m, k] by strides, in elements
  const void *right;  // [batch, k, n] by strides
  void *output;       // [batch, m, n] contiguous; one chain of fused multiply-adds over k ascending from 0
  int64_t batch, m, n, k;
  int64_t left_batch, left_m, left_k, right_batch, right_k, right_n;  // strides
};
