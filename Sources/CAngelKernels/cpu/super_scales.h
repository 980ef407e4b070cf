// The scales of a super block that lose least, errors weighed by c (fit_rows.h): of each group a real scale and minimum, then
// two float16 for all that bring these near to integers, then whichever integers are best with the quants they lead to, and the
// float16 anew for these.
#pragma once
#include "super_blocks.h"

// What is no number becomes the least: as an integer it could be anything.
ANGEL_INLINE float clamped(float x, float least, float most) { return x > least ? (x < most ? x : most) : least; }

ANGEL_INLINE float group_error(const float *x, const float *c, float scale, float minimum, struct angel_quant_grid grid) {
  const float inverse = angel_inverse_scale(scale);
  float error = 0;
  for (int e = 0; e < grid.group; e++) {
    const float miss = x[e] - (scale * (angel_nearest_quant(x[e], minimum, inverse, grid) - (float)grid.offset) + minimum);
    error += c[e] * miss * miss;
  }
  return error;
}

// Scale and minimum as real numbers: steps around the range, each refitted to its quants by least squares.
ANGEL_INLINE void real_scales(const float *x, const float *c, struct angel_quant_grid grid, float *scale, float *minimum) {
  float low = x[0], high = x[0], extreme = x[0], weight = 0, sum = 0;
  for (int e = 0; e < grid.group; e++) {
    low = x[e] < low ? x[e] : low;
    high = x[e] > high ? x[e] : high;
    extreme = fabsf(x[e]) > fabsf(extreme) ? x[e] : extreme;
    weight += c[e];
    sum += c[e] * x[e];
  }
  // Minima are subtracted: none is above 0.
  low = grid.has_minimum && low < 0 ? low : 0;
  *minimum = low;
  *scale = grid.has_minimum ? (high - low) / (float)grid.most : extreme / -(float)grid.offset;
  if (*scale == 0) return;
  const float first = *scale;
  float least = group_error(x, c, *scale, *minimum, grid);
  for (int step = -9; step <= 9; step++) {
    const float span = (float)(grid.has_minimum ? grid.most : grid.offset);
    const float inverse = (span + 0.1f * (float)step) / span / first;
    float quants = 0, squares = 0, products = 0;
    for (int e = 0; e < grid.group; e++) {
      const float q = angel_nearest_quant(x[e], low, inverse, grid) - (float)grid.offset;
      quants += c[e] * q;
      squares += c[e] * q * q;
      products += c[e] * q * x[e];
    }
    if (!(squares > 0)) continue;
    float fit = products / squares, from = 0;
    const float spread = weight * squares - quants * quants;
    if (grid.has_minimum && spread > 0) {
      const float line = (weight * products - quants * sum) / spread, offset = (sum - line * quants) / weight;
      if (offset < 0) {
        fit = line;
        from = offset;
      }
    }
    const float error = group_error(x, c, fit, from, grid);
    if (error < least) {
      least = error;
      *scale = fit;
      *minimum = from;
    }
  }
}

// The best integers near `s` and `m` for one group.
ANGEL_INLINE void best_integers(
  const float *x, const float *c, struct angel_quant_grid grid, float d, float dmin, int *s, int *m) {
  const int lowest = grid.has_minimum ? 0 : -128, highest = grid.has_minimum ? 63 : 127;
  const int s0 = *s, m0 = *m;
  float least = INFINITY;
  for (int ds = -1; ds <= 1; ds++) {
    for (int dm = grid.has_minimum ? -1 : 0; dm <= grid.has_minimum; dm++) {
      const int a = s0 + ds, b = m0 + dm;
      if (a < lowest || a > highest || b < 0 || b > 63) continue;
      const float error = group_error(x, c, d * (float)a, -dmin * (float)b, grid);
      if (error < least) {
        least = error;
        *s = a;
        *m = b;
      }
    }
  }
}

// d and dmin anew, by least squares, for the quants that the integers lead to.
ANGEL_INLINE void refit(const float *x, const float *c, struct angel_quant_grid grid, struct angel_super_scales *scales) {
  double ss = 0, sm = 0, mm = 0, sx = 0, mx = 0;
  for (int g = 0; g < ANGEL_SUPER_BLOCK / grid.group; g++) {
    const float scale = scales->d * (float)scales->s[g], minimum = -scales->dmin * (float)scales->m[g];
    const float inverse = angel_inverse_scale(scale);
    for (int e = g * grid.group; e < (g + 1) * grid.group; e++) {
      const float q = (angel_nearest_quant(x[e], minimum, inverse, grid) - (float)grid.offset) * (float)scales->s[g];
      const float m = -(float)scales->m[g];
      ss += (double)(c[e] * q * q);
      sm += (double)(c[e] * q * m);
      mm += (double)(c[e] * m * m);
      sx += (double)(c[e] * q * x[e]);
      mx += (double)(c[e] * m * x[e]);
    }
  }
  const double spread = ss * mm - sm * sm;
  if (mm > 0 && spread > 1e-9 * ss * mm) {
    const float d = (float)((sx * mm - mx * sm) / spread), dmin = (float)((mx * ss - sx * sm) / spread);
    if (dmin > 0) {
      scales->d = d;
      scales->dmin = dmin;
    }
  } else if (ss > 0) {
    scales->d = (float)(sx / ss);
  }
}

ANGEL_INLINE float stored_half(float x) { return angel_f32_from_f16(angel_f16_from_f32(x)); }

ANGEL_INLINE float block_error(const float *x, const float *c, struct angel_quant_grid grid, const struct angel_super_scales *scales) {
  float error = 0;
  for (int g = 0; g < ANGEL_SUPER_BLOCK / grid.group; g++) {
    const int first = g * grid.group;
    error += group_error(x + first, c + first, scales->d * (float)scales->s[g], -scales->dmin * (float)scales->m[g], grid);
  }
  return error;
}

ANGEL_INLINE struct angel_super_scales angel_best_super_scales(const float *x, const float *c, struct angel_quant_grid grid) {
  const int groups = ANGEL_SUPER_BLOCK / grid.group;
  float scale[ANGEL_MOST_GROUPS], minimum[ANGEL_MOST_GROUPS], most = 0, least = 0;
  for (int g = 0; g < groups; g++) {
    real_scales(x + g * grid.group, c + g * grid.group, grid, scale + g, minimum + g);
    most = fabsf(scale[g]) > fabsf(most) ? scale[g] : most;
    least = minimum[g] < least ? minimum[g] : least;
  }
  struct angel_super_scales now = {.d = stored_half(grid.has_minimum ? most / 63 : most / -128), .dmin = stored_half(-least / 63)};
  const float inverse = angel_inverse_scale(now.d), inverse_min = angel_inverse_scale(now.dmin);
  const float lowest = grid.has_minimum ? 0 : -128, highest = grid.has_minimum ? 63 : 127;
  for (int g = 0; g < groups; g++) {
    now.s[g] = (int)clamped(floorf(scale[g] * inverse + 0.5f), lowest, highest);
    now.m[g] = (int)clamped(floorf(-minimum[g] * inverse_min + 0.5f), 0, 63);
  }
  struct angel_super_scales best = now;
  float error = block_error(x, c, grid, &best);
  for (int round = 0; round < 2; round++) {
    for (int g = 0; g < groups; g++) {
      best_integers(x + g * grid.group, c + g * grid.group, grid, now.d, now.dmin, now.s + g, now.m + g);
    }
    const struct angel_super_scales before = now;
    refit(x, c, grid, &now);
    now.d = stored_half(now.d);
    now.dmin = stored_half(now.dmin);
    const float earlier = block_error(x, c, grid, &before), later = block_error(x, c, grid, &now);
    if (earlier < error) {
      error = earlier;
      best = before;
    }
    if (later < error) {
      error = later;
      best = now;
    }
  }
  return best;
}
