// upsample, downsample: images with channels last, by a whole factor. dtypes: (f32, none, none) or (bf16, none, none); sums
// are float32.
// upsample: large[n][y][x] = small[n][y / factor][x / factor] * scale: nearest neighbour with scale 1.
// downsample: small[n][y][x] = scale * sum of large[n][y factor + i][x factor + j], one chain over i, then j: an average with
//   scale 1 / factor^2. Each is the other's gradient with the same scale.
// Parts own rows of the output.
#pragma once
#include "angel_types.h"

struct angel_resample_arguments {
  const void *input;
  void *output;
  int64_t batch, height, width, channels;  // of the small image
  int64_t factor;
  float scale;
};
