// matmul of bfloat16 rows in portable C: what the vector instruction sets must equal bit for bit.
#include <math.h>

#include "matmul_engine.h"

static float flushed(float value) { return fabsf(value) < 0x1p-126f ? copysignf(0, value) : value; }

// fma(w, x, sum) with subnormal operands and results taken as zero.
static float extended(float sum, float w, float x) {
  const float result = fmaf(w, x, sum);
  // A result just below 2^-126 has already been rounded up to it, as subnormals have fewer bits; far from the end of the
  // range it keeps them all and shows on which side it lies. Operands so large that this overflows are not near it.
  if (fabsf(result) == 0x1p-126f && fabsf(fmaf(w * 0x1p32f, x * 0x1p32f, sum * 0x1p64f)) < 0x1p-62f) {
    return copysignf(0, result);
  }
  return flushed(result);
}

// Elements that are not kept are zeros, which leave sums as they are.
void angel_scalar_bf16_2of4(const struct angel_bf16_tile *t) {
  for (int32_t r = 0; r < t->rows; r++) {
    for (int32_t p = 0; p < t->panels; p++) {
      float *sums = t->sums + r * t->sums_stride + p * ANGEL_PANEL;
      if (t->is_first) memset(sums, 0, ANGEL_PANEL * sizeof(float));
      for (int64_t quad = 0; quad < t->pairs / 2; quad++) {
        const uint8_t *block = t->weight + p * t->panel_bytes + quad / 8 * 576;
        uint16_t x[4], w[ANGEL_PANEL][2];
        uint32_t places[ANGEL_PANEL];
        memcpy(x, t->input + r * t->row_bytes + quad * 8, sizeof x);
        memcpy(w, block + quad % 8 * 64, sizeof w);
        memcpy(places, block + 512, sizeof places);
        for (int lane = 0; lane < ANGEL_PANEL; lane++) {
          for (int i = 0; i < 2; i++) {
            const uint32_t place = places[lane] >> (4 * (quad % 8) + 2 * i) & 3;
            sums[lane] = extended(
              sums[lane], flushed(angel_float_of_bfloat(w[lane][i])), flushed(angel_float_of_bfloat(x[place])));
          }
        }
      }
    }
  }
}

void angel_scalar_bf16(const struct angel_bf16_tile *t) {
  for (int32_t r = 0; r < t->rows; r++) {
    for (int32_t p = 0; p < t->panels; p++) {
      float *sums = t->sums + r * t->sums_stride + p * ANGEL_PANEL;
      if (t->is_first) memset(sums, 0, ANGEL_PANEL * sizeof(float));
      for (int64_t pair = 0; pair < t->pairs; pair++) {
        uint16_t x[2], w[ANGEL_PANEL][2];
        memcpy(x, t->input + r * t->row_bytes + pair * 4, sizeof x);
        memcpy(w, t->weight + p * t->panel_bytes + pair * ANGEL_PANEL * 4, sizeof w);
        const float even = flushed(angel_float_of_bfloat(x[0])), odd = flushed(angel_float_of_bfloat(x[1]));
        for (int lane = 0; lane < ANGEL_PANEL; lane++) {
          const float sum = extended(sums[lane], flushed(angel_float_of_bfloat(w[lane][1])), odd);
          sums[lane] = extended(sum, flushed(angel_float_of_bfloat(w[lane][0])), even);
        }
      }
    }
  }
}
