// pack: weight rows as a file stores them -> panels of 16 rows, the one resident layout of every linear weight.
// dtypes: (weight, none, none).
//
// A panel holds ANGEL_PANEL consecutive output rows; the last panel is padded with zero rows. Within a panel, depth (K)
// runs slowest, so decode streams memory in order and a vector lane is an output row. `lane` is the row in the panel.
//   f32         float  [K][16]
//   f16, bf16   uint16 [K/2][16][2]          K padded to even with zero
//   q4_0 q4_1   per 32-block: f16 d[16] (q4_1: then f16 m[16]); u8 q[4][64]
//               q[j][4*lane+i]: low nibble = element 4*j+i, high nibble = element 16+4*j+i
//   q5_0 q5_1   as q4 with, before q: u64 high[8]; bit 4*lane+i of high[g] = fifth bit of element 4*g+i
//   q8_0        per 32-block: f16 d[16]; u8 q[8][64]; q[g][4*lane+i] = element 4*g+i, stored + 128
//   q4_K q5_K   per 256-block: f16 d[16], f16 dmin[16], u8 scale[8][16], u8 min[8][16];
//               then per 32-sub-block: (q5_K: u64 high[8]); u8 q[4][64] as in q4
//   q6_K        per 256-block: f16 d[16], i8 scale[16][16];
//               then per 32-sub-block: u8 low[4][64] as in q4; u8 top[2][64], bits 2*(g&3).. of top[g>>2][4*lane+i]
//               = top two bits of element 4*g+i
//   q2_K        per 256-block: f16 d[16], f16 dmin[16], u8 scales[16][16] (scale low nibble, minimum high nibble);
//               then per 32-sub-block: u8 two[2][64], bits 2*(g&3).. of two[g>>2][4*lane+i] = element 4*g+i
//   q3_K        per 256-block: f16 d[16], i8 scale[16][16]; then per 32-sub-block: u64 high[8] as in q5 but the third
//               bit, u8 two[2][64] as in q2_K
//   iq4_nl      as q4_0; iq4_xs per 256-block: f16 d[16], i8 scale[8][16]; then per 32-sub-block: u8 q[4][64] as in q4
//   tq1_0 tq2_0 per 256-block: f16 d[16]; then per 32-sub-block: u8 two[2][64] as in q2_K
// Weights of which at least two of every four consecutive elements (a quad) are zero, for `two_of_four.h` to say: rows
// of the dense format in, two elements of every quad kept, and zeros among them where more are zero.
//   q8_0_2of4   per 32-block: f16 d[16]; i8 q[4][64]: q[g][4*lane+i] = kept element i&1 of quad 2*g+(i>>1);
//               then u8 place[64]: bits 2*g.. of place[4*lane+i] = its place in the quad
//   q4_0_2of4   the same with u8 q[2][64]: q[j][4*lane+i] = of g = j in the low nibble, of g = j+2 in the high
//   bf16_2of4   per 32-block: uint16 kept[8][16][2], of quad t, in the order 1 0 3 2 of their places, which is that of
//               products (matmul.h); then u32 place[16]: bits 4*t.. of place[lane] the first's, 4*t+2.. the second's
// A panel takes the file's bytes (of 2:4 rows 22 of 34, 14 of 18 and 36 of 64), but for 8 bits a scale instead of 6 (q4_K q5_K +2.8 %, +2.3 %; q3_K +3.6 %; iq4_xs
// +1.5 %) and 2 bits a ternary digit instead of 1.6 (tq1_0 +22 %).
// Dequantised values are exactly those of the GGUF formats: q4_0 d*(q-8), q4_1 d*q+m (two roundings), q5 alike with
// 16, q8_0 d*q, q4_K/q5_K (d*scale)*q - (dmin*min), q6_K (d*scale)*(q-32), q3_K with 4,
// q2_K (d*scale)*q - (dmin*min), iq4_nl d*t[q], iq4_xs (d*scale)*t[q], tq1_0 and tq2_0 d*(q-1), all in float32, with
// t = -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113.
#pragma once
#include "angel_types.h"
#define ANGEL_PANEL 16

struct angel_pack_arguments {
  const void *source;        // [columns, depth] rows in file layout, any alignment
  void *target;              // angel_packed_bytes(...) bytes, 64-byte aligned
  const int32_t *row_order;  // [columns] source row of each output row, or NULL for the identity
  int64_t columns, depth;
};

// Bytes of the packed weight, or -1 when depth is not a whole number of blocks or the dtype has no packed form.
int64_t angel_packed_bytes(angel_dtype dtype, int64_t columns, int64_t depth);
