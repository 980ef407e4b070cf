// matmul in portable C: the reference the vector instruction sets must equal bit for bit.
#include <math.h>

#include "matmul_engine.h"

// Weight `k` of `lane` in a dense panel.
ANGEL_INLINE float weight_at(angel_dtype dtype, const uint8_t *panel, int64_t k, int lane) {
  if (dtype == ANGEL_F32) {
    float value;
    memcpy(&value, panel + (k * ANGEL_PANEL + lane) * 4, 4);
    return value;
  }
  uint16_t half;
  memcpy(&half, panel + (k / 2 * ANGEL_PANEL + lane) * 4 + k % 2 * 2, 2);
  return dtype == ANGEL_F16 ? angel_float_of_half(half) : angel_float_of_bfloat(half);
}

static void dense(angel_dtype dtype, const struct angel_dense_tile *t) {
  for (int32_t p = 0; p < t->panels; p++) {
    const uint8_t *panel = t->weight + p * t->panel_bytes;
    for (int32_t r = 0; r < t->rows; r++) {
      const float *x = t->input + r * t->input_stride;
      float *sums = t->sums + r * t->sums_stride + p * ANGEL_PANEL;
      if (t->is_first) memset(sums, 0, ANGEL_PANEL * sizeof(float));
      for (int64_t k = 0; k < t->depth; k++) {
        for (int lane = 0; lane < ANGEL_PANEL; lane++) {
          sums[lane] = fmaf(weight_at(dtype, panel, k, lane), x[k], sums[lane]);
        }
      }
    }
  }
}

// Sums of quant times activation over the two halves of block `b`.
static void dot_block(const struct angel_block *block, const int8_t *x, int lane, int32_t dot[2]) {
  dot[0] = dot[1] = 0;
  for (int e = 0; e < ANGEL_BLOCK; e++) dot[e / 16] += block->q[e / 4][4 * lane + e % 4] * x[e];
}

static float extended(
  float sum, const struct angel_block *block, int lane, struct angel_geometry geometry, struct angel_int8_row row,
  int64_t b) {
  int32_t dot[2];
  dot_block(block, row.q + b * ANGEL_BLOCK, lane, dot);
  const int32_t *x = row.sum + 2 * b;
  const float scale = block->d[lane] * row.scale[b];
  switch (geometry.kind) {
    case ANGEL_OFFSET_BLOCK: return fmaf((float)(dot[0] + dot[1] - geometry.offset * (x[0] + x[1])), scale, sum);
    case ANGEL_MINIMUM_BLOCK:
      sum = fmaf((float)(dot[0] + dot[1]), scale, sum);
      return fmaf(block->minimum[lane], row.scale[b] * (float)(x[0] + x[1]), sum);
    case ANGEL_HALVES_BLOCK: {
      const int32_t first = block->scale[0][lane] * (dot[0] - geometry.offset * x[0]);
      const int32_t second = block->scale[1][lane] * (dot[1] - geometry.offset * x[1]);
      return fmaf((float)(first + second), scale, sum);
    }
    case ANGEL_MINIMA_BLOCK: {
      const int32_t first = (int32_t)(block->scales_and_mins[lane] & 255);
      const int32_t second = (int32_t)(block->scales_and_mins[lane] >> 16);
      sum = fmaf((float)((first & 15) * dot[0] + (second & 15) * dot[1]), scale, sum);
      return fmaf(block->negative_dmin[lane], row.scale[b] * (float)((first >> 4) * x[0] + (second >> 4) * x[1]), sum);
    }
  }
  return sum;
}

static void int8(const struct angel_int8_tile *t) {
  for (int32_t r = 0; r < t->rows; r++) {
    const struct angel_int8_row row = angel_int8_row_at(t->input + r * t->row_bytes, t->depth);
    for (int32_t p = 0; p < t->panels; p++) {
      float *sums = t->sums + r * t->sums_stride + p * ANGEL_PANEL;
      if (t->is_first) memset(sums, 0, ANGEL_PANEL * sizeof(float));
      const struct angel_block *blocks = t->weight + p * t->weight_stride;
      for (int64_t b = 0; b < t->blocks; b++) {
        for (int lane = 0; lane < ANGEL_PANEL; lane++) {
          sums[lane] = extended(sums[lane], &blocks[b], lane, t->geometry, row, t->first_block + b);
        }
      }
    }
  }
}

static void dequantize(angel_dtype dtype, struct angel_stretch stretch, float *values) {
  angel_dequantize_stretch(dtype, stretch, values);
}
static void widen(angel_dtype dtype, struct angel_stretch stretch, float *values) {
  angel_widen_stretch(dtype, stretch, values);
}
static void unpack(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks) {
  angel_unpack_stretch(dtype, stretch, blocks);
}

const struct angel_matmul_engine angel_matmul_scalar = {
  .dense = dense, .int8 = int8, .dequantize = dequantize, .widen = widen, .unpack = unpack};
