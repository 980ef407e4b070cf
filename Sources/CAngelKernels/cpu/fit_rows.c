// fit_rows (fit_rows.h).
#include "fit_rows.h"

#include "encode_blocks.h"
#include "lanes.h"
#include "super_scales.h"
#include "variants.h"

enum { ROW_GROUP = 4 };  // rows that read the factor together

// Scale and minimum as a file can hold them.
struct scale {
  float d, minimum;
};

ANGEL_INLINE struct scale stored(float d, float minimum) {
  return (struct scale){
    angel_f32_from_f16(angel_f16_from_f32(d)), angel_f32_from_f16(angel_f16_from_f32(minimum))};
}

// Quants around the middle: scales near m / -offset, m being the value of largest magnitude.
ANGEL_INLINE struct scale best_centred(const float *x, const float *c, struct angel_quant_grid grid) {
  const float extreme = angel_extreme(x);
  if (extreme == 0) return (struct scale){0};
  const float half = (float)grid.offset;
  if (grid.most == 255) return stored(fabsf(extreme) / 127, 0);
  float best = extreme / -half, least = INFINITY;
  for (int step = -8; step <= 8; step++) {
    const float inverse = -(half + 0.1f * (float)step) / extreme;
    float products = 0, squares = 0, error = 0, q[ANGEL_BLOCK];
    for (int e = 0; e < ANGEL_BLOCK; e++) {
      q[e] = angel_nearest_quant(x[e], 0, inverse, grid) - half;
      products += c[e] * x[e] * q[e];
      squares += c[e] * q[e] * q[e];
    }
    if (!(squares > 0)) continue;
    const float d = products / squares;
    for (int e = 0; e < ANGEL_BLOCK; e++) error += c[e] * (x[e] - d * q[e]) * (x[e] - d * q[e]);
    if (error < least) {
      least = error;
      best = d;
    }
  }
  return stored(best, 0);
}

// Quants from a minimum on: ends moved inwards by shares of the range.
ANGEL_INLINE struct scale best_from_minimum(const float *x, const float *c, struct angel_quant_grid grid) {
  static const float shares[] = {0, 0.02f, 0.05f, 0.1f, 0.16f};
  enum { SHARES = sizeof shares / sizeof *shares };
  float low = x[0], high = x[0], weight = 0, sum = 0;
  for (int e = 0; e < ANGEL_BLOCK; e++) {
    low = x[e] < low ? x[e] : low;
    high = x[e] > high ? x[e] : high;
    weight += c[e];
    sum += c[e] * x[e];
  }
  struct scale best = {(high - low) / (float)grid.most, low};
  if (!(high > low) || !(weight > 0)) return stored(best.d, best.minimum);
  const float mean = sum / weight;
  float least = INFINITY;
  for (int choice = 0; choice < SHARES * SHARES; choice++) {
    const float from = low + shares[choice / SHARES] * (high - low), to = high - shares[choice % SHARES] * (high - low);
    const float inverse = (float)grid.most / (to - from);
    float quants = 0, error = 0, q[ANGEL_BLOCK];
    for (int e = 0; e < ANGEL_BLOCK; e++) {
      q[e] = angel_nearest_quant(x[e], from, inverse, grid);
      quants += c[e] * q[e];
    }
    // The line through the quants that misses the values least.
    const float centre = quants / weight;
    float products = 0, squares = 0;
    for (int e = 0; e < ANGEL_BLOCK; e++) {
      products += c[e] * (q[e] - centre) * (x[e] - mean);
      squares += c[e] * (q[e] - centre) * (q[e] - centre);
    }
    if (!(squares > 0)) continue;
    const struct scale fit = {products / squares, mean - products / squares * centre};
    for (int e = 0; e < ANGEL_BLOCK; e++) {
      const float miss = x[e] - (fit.d * q[e] + fit.minimum);
      error += c[e] * miss * miss;
    }
    if (error < least) {
      least = error;
      best = fit;
    }
  }
  return stored(best.d, best.minimum);
}

ANGEL_INLINE struct scale best_scale(const float *x, const float *c, struct angel_quant_grid grid) {
  return grid.has_minimum ? best_from_minimum(x, c, grid) : best_centred(x, c, grid);
}

// A row on its way: what is left of its values in the order columns are rounded in, and the scale of each group of its quants.
struct row {
  const float *input;
  float *values;
  struct scale *scales;
  uint8_t *quants;  // in the order of the file
};

// Rounds 32 columns of one row, and says what each leaves to those that follow.
ANGEL_INLINE void round_columns(
  const struct angel_fit_rows_arguments *a, struct angel_quant_grid grid, int64_t first, struct row row, float *errors) {
  float *x = row.values + first;
  for (int e = 0; e < ANGEL_BLOCK; e++) {
    const int64_t column = a->order[first + e];
    const struct scale scale = row.scales[column / grid.group];
    const float *factor = a->factor + (first + e) * a->depth + first;
    const float quant = a->whole != NULL && row.input[column] == 0
      ? (float)grid.offset : angel_nearest_quant(x[e], scale.minimum, angel_inverse_scale(scale.d), grid);
    row.quants[column] = (uint8_t)quant;
    errors[e] = (x[e] - (scale.d * (quant - (float)grid.offset) + scale.minimum)) / factor[e];
    for (int k = e + 1; k < ANGEL_BLOCK; k++) x[k] -= errors[e] * factor[k];
  }
}

// What the errors of 32 columns take from the columns after them, of a few rows at once.
ANGEL_INLINE void spread(
  const struct angel_fit_rows_arguments *a, int64_t first, const struct row *rows, int count,
  float errors[][ANGEL_BLOCK]) {
  for (int64_t k = first + ANGEL_BLOCK; k < a->depth; k += 16) {
    f32x16 values[ROW_GROUP];
    for (int r = 0; r < count; r++) values[r] = f32x16_load(rows[r].values + k);
    for (int e = 0; e < ANGEL_BLOCK; e++) {
      const f32x16 factor = f32x16_load(a->factor + (first + e) * a->depth + k);
      for (int r = 0; r < count; r++) values[r] -= errors[r][e] * factor;
    }
    for (int r = 0; r < count; r++) f32x16_store(rows[r].values + k, values[r]);
  }
}

ANGEL_INLINE void round_rows(
  const struct angel_fit_rows_arguments *a, struct angel_quant_grid grid, const struct row *rows, int count) {
  for (int64_t first = 0; first < a->depth; first += ANGEL_BLOCK) {
    float errors[ROW_GROUP][ANGEL_BLOCK];
    for (int r = 0; r < count; r++) round_columns(a, grid, first, rows[r], errors[r]);
    if (count == ROW_GROUP) {
      spread(a, first, rows, ROW_GROUP, errors);
    } else {
      for (int r = 0; r < count; r++) spread(a, first, rows + r, 1, errors + r);
    }
  }
}

// The scales of a block's groups; those of super blocks, of which more is stored than comes out here, go to the file at once.
ANGEL_INLINE void find_scales(
  const float *x, const float *c, angel_dtype format, struct angel_quant_grid grid, struct scale *scales, uint8_t *block) {
  if (grid.block == ANGEL_BLOCK) {
    scales[0] = best_scale(x, c, grid);
    return;
  }
  const struct angel_super_scales found = angel_best_super_scales(x, c, grid);
  for (int g = 0; g < grid.block / grid.group; g++) {
    scales[g] = (struct scale){found.d * (float)found.s[g], -found.dmin * (float)found.m[g]};
  }
  angel_store_super_scales(format, &found, block);
}

ANGEL_INLINE void fit_rows(const void *arguments, int32_t part, int32_t parts, angel_dtype format) {
  const struct angel_fit_rows_arguments *a = arguments;
  const struct angel_quant_grid grid = angel_quant_grid_of(format);
  const int64_t blocks = a->depth / grid.block, groups = grid.block / grid.group;
  const struct angel_range own = angel_part_range((a->rows + ROW_GROUP - 1) / ROW_GROUP, part, parts);
  for (int64_t group = own.begin; group < own.end; group++) {
    const int64_t first = group * ROW_GROUP;
    const int count = a->rows - first < ROW_GROUP ? (int)(a->rows - first) : ROW_GROUP;
    struct row rows[ROW_GROUP];
    for (int r = 0; r < count; r++) {
      const float *input = a->input + (first + r) * a->depth;
      float *scratch = a->scratch + (first + r) * (a->depth + a->depth / 8);
      uint8_t *output = (uint8_t *)a->output + (first + r) * blocks * grid.block_bytes;
      const float *whole = a->whole != NULL ? a->whole + (first + r) * a->depth : input;
      rows[r] = (struct row){input, scratch, (struct scale *)(scratch + a->depth), a->quants + (first + r) * a->depth};
      for (int64_t b = 0; b < blocks; b++) {
        float c[ANGEL_SUPER_BLOCK];
        for (int e = 0; e < grid.block; e++) c[e] = a->importance != NULL ? a->importance[b * grid.block + e] : 1;
        find_scales(
          input + b * grid.block, c, format, grid, rows[r].scales + b * groups, output + b * grid.block_bytes);
      }
      for (int64_t k = 0; k < a->depth && a->factor == NULL; k++) {
        const struct scale scale = rows[r].scales[k / grid.group];
        rows[r].quants[k] = (uint8_t)angel_nearest_quant(input[k], scale.minimum, angel_inverse_scale(scale.d), grid);
      }
      for (int64_t k = 0; k < a->depth && a->factor != NULL; k++) rows[r].values[k] = whole[a->order[k]];
    }
    if (a->factor != NULL) round_rows(a, grid, rows, count);
    for (int r = 0; r < count; r++) {
      uint8_t *output = (uint8_t *)a->output + (first + r) * blocks * grid.block_bytes;
      for (int64_t b = 0; b < blocks; b++) {
        const uint8_t *quants = rows[r].quants + b * grid.block;
        const struct scale scale = rows[r].scales[b];
        if (grid.block == ANGEL_BLOCK) {
          angel_store_block(format, quants, scale.d, scale.minimum, output + b * grid.block_bytes);
        } else {
          angel_store_super_quants(format, quants, output + b * grid.block_bytes);
        }
      }
    }
  }
}

#define FIT(name, format)                                                                       \
  ANGEL_INLINE void name##_body(                                                                \
    const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {       \
    fit_rows(arguments, part, parts, format);                                                   \
  }                                                                                             \
  ANGEL_VARIANTS(name, name##_body)
FIT(fit_q4_0, ANGEL_Q4_0)
FIT(fit_q4_1, ANGEL_Q4_1)
FIT(fit_q5_0, ANGEL_Q5_0)
FIT(fit_q5_1, ANGEL_Q5_1)
FIT(fit_q8_0, ANGEL_Q8_0)
FIT(fit_q4_K, ANGEL_Q4_K)
FIT(fit_q5_K, ANGEL_Q5_K)
FIT(fit_q6_K, ANGEL_Q6_K)

angel_kernel angel_fit_rows_kernel(angel_isa isa, angel_dtype input, angel_dtype target, angel_dtype third) {
  if (input != ANGEL_F32 || third != ANGEL_NO_DTYPE) return NULL;
  switch (target) {
    case ANGEL_Q4_0: return fit_q4_0_variant(isa);
    case ANGEL_Q4_1: return fit_q4_1_variant(isa);
    case ANGEL_Q5_0: return fit_q5_0_variant(isa);
    case ANGEL_Q5_1: return fit_q5_1_variant(isa);
    case ANGEL_Q8_0: return fit_q8_0_variant(isa);
    case ANGEL_Q4_K: return fit_q4_K_variant(isa);
    case ANGEL_Q5_K: return fit_q5_K_variant(isa);
    case ANGEL_Q6_K: return fit_q6_K_variant(isa);
    default: return NULL;
  }
}
