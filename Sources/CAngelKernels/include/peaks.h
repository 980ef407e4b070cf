// peaks: what the cores can do at most, measured: the roofs that `angel bench kernels` holds every other family against.
// dtypes: (what, none, none). Nothing but the named instruction runs in the loop, on registers alone:
//   f32        fused multiply-adds                                   2 operations a lane
//   bf16       pairwise products of bfloat16 summed in float32       4 operations a lane  (AVX-512 BF16)
//   int8_rows  products of unsigned and signed bytes, summed         8 operations a lane  (AVX-512 VNNI in int32; AVX2 in
//              int16)
//              With AMX both are products of tiles: 16 x 16 sums of 32 elements, or of 64 bytes
//   u8         reads every byte of a buffer once, as fast as the memory gives them to one or to four streams at once.
//              Which is faster depends on the processor's own prefetching: 29 GB/s against 19 on a core of a Zen 4, and
//              the other way round on an Emerald Rapids
// No kernel where the CPU lacks the instruction.
#pragma once
#include "angel_types.h"

struct angel_peaks_arguments {
  // Register loops: rounds of angel_peaks_round_operations() operations, shared out among the parts.
  int64_t rounds;
  const void *bytes;  // u8: the buffer, 64-byte aligned
  int64_t count;      // u8: its bytes, a multiple of 4096
  int32_t streams;    // u8: 1 or 4
  uint32_t *sinks;    // [parts] take a value each, so that no loop can be left out
};
// Operations of one round for the instruction set in use.
int64_t angel_peaks_round_operations(angel_dtype what);
