// matmul: output[r][n] = bias[n] + sum_k input[r][k] * weight[n][k]. dtypes: (input, weight, none).
//   input f32 with every weight dtype: float32 arithmetic on dequantised weights.
//   input int8_rows (see quantize_rows.h) with quantised weights: int32 sums inside a block, float32 across blocks.
//   input bf16_rows (see quantize_rows.h) with bf16 weights: products of bfloat16, summed in float32. The third dtype may be
//   bf16: then the sum, bias included, is rounded to bfloat16 (half to even) once.
// Kernel contract: output[r][n] depends on row r and weight row n alone. Per lane the sum runs over k (or blocks)
// ascending in one chain of fused multiply-adds; every instruction set and every tile shape keeps that order, so results
// are equal bit for bit for any number of rows, parts and threads (AMX has another order for bf16_rows, and keeps that):
//   f32         acc = fma(w_k, x_k, acc), k ascending, starting from 0; bias is added last
//   bf16_rows   acc = fma(w_k+1, x_k+1, acc); acc = fma(w_k, x_k, acc) for pairs k = 0, 2, ...: the odd element first.
//               Subnormal weights, activations and sums count as zero of their sign (a sum when it is subnormal after
//               rounding with unbounded exponents). This is what `vdpbf16ps` does, by its description and by test.
//               AMX: for 16 pairs at a time e = fma(w_k, x_k, e) and o = fma(w_k+1, x_k+1, o), both from 0, then
//               acc = acc + (e + o), under the same flushing; the last pairs are filled up with zeros. This is what
//               `tdpbf16ps` does, by its description and by test.
//   q4_0        acc = fma((float)(dot - 8*sum), d*s, acc) per 32-block;      dot = sum q*x (int32), s = activation scale
//   q4_1        acc = fma((float)dot, d*s, acc); acc = fma(m, s*(float)sum, acc)
//   q5_0, q8_0  as q4_0 with 16 and with the stored offset 128;  q5_1 as q4_1
//   q4_K, q5_K  acc = fma((float)dot, (d*scale)*s, acc); acc = fma(-(dmin*min), s*(float)sum, acc) per 32-sub-block
//   q6_K        i = scale[2b]*(dot16[0]-32*sum16[0]) + scale[2b+1]*(dot16[1]-32*sum16[1]); acc = fma((float)i, d*s, acc)
//   q3_K        as q6_K with 4
//   q2_K        i = scale[2b]*dot16[0] + scale[2b+1]*dot16[1], m = min[2b]*sum16[0] + min[2b+1]*sum16[1] (int32);
//               acc = fma((float)i, d*s, acc); acc = fma(-dmin, s*(float)m, acc)
//   iq4_nl      as q8_0, quants from the table of pack.h;  iq4_xs alike with d*scale for d;  tq1_0, tq2_0 as q4_0 with 1
// (d*s rounds first; the integers are converted to float32 exactly or with one rounding.) Parts split output panels
// (columns), never depth. Depth is at least 1 and whole blocks of the weight dtype.
#pragma once
#include "angel_types.h"

struct angel_matmul_arguments {
  const void *input;    // [rows, depth]
  const void *weight;   // packed panels of [columns, depth] (pack.h)
  const float *bias;    // [columns] or NULL
  float *output;        // [rows, columns]; bf16 where the third dtype says so
  int64_t rows, depth, columns;
  int32_t accumulates;  // not 0: sums begin from what the output holds, not from 0. Float32 outputs of dense weights only
};
