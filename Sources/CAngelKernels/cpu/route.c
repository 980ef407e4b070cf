// route: a short insertion sort per row (route.h); comparisons only, so every instruction set agrees.
#include "route.h"

#include <math.h>
#include <string.h>

#include "families.h"
#include "variants.h"

static void choose(const float *probabilities, int64_t choices, int64_t count, int32_t *experts, float *weights) {
  for (int64_t e = 0; e < choices; e++) {
    const float probability = probabilities[e];
    // The first `count` are taken whatever they are; after that only what beats the last.
    int64_t place = e < count ? e : count - 1;
    if (e >= count && !(probability > weights[place])) continue;
    for (; place > 0 && probability > weights[place - 1]; place--) {
      weights[place] = weights[place - 1];
      experts[place] = experts[place - 1];
    }
    weights[place] = probability;
    experts[place] = (int32_t)e;
  }
}

static void route_rows(const void *arguments, int32_t part, int32_t parts) {
  const struct angel_route_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) {
    float *weights = a->weights + r * a->count;
    choose(a->probabilities + r * a->choices, a->choices, a->count, a->experts + r * a->count, weights);
    if (a->normalizes == 0) continue;
    float sum = 0;
    for (int64_t k = 0; k < a->count; k++) sum += weights[k];
    for (int64_t k = 0; k < a->count; k++) weights[k] /= sum;
  }
}

angel_kernel angel_route_kernel(
  [[maybe_unused]] angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? route_rows : NULL;
}

static void route_backward_rows(const void *arguments, int32_t part, int32_t parts) {
  const struct angel_route_backward_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t r = rows.begin; r < rows.end; r++) {
    const float *probabilities = a->probabilities + r * a->choices;
    const float *weights = a->weights + r * a->count, *gradients = a->weight_gradient + r * a->count;
    const int32_t *experts = a->experts + r * a->count;
    float *output = a->gradient + r * a->choices;
    float sum = 1, pull = 0;
    if (a->normalizes != 0) {
      sum = 0;
      for (int64_t k = 0; k < a->count; k++) {
        sum += probabilities[experts[k]];
        pull = fmaf(gradients[k], weights[k], pull);
      }
    }
    memset(output, 0, (size_t)a->choices * sizeof(float));
    for (int64_t k = 0; k < a->count; k++) output[experts[k]] = (gradients[k] - pull) / sum;
  }
}

angel_kernel angel_route_backward_kernel(
  [[maybe_unused]] angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? route_backward_rows : NULL;
}
