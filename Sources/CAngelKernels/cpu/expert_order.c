// expert_order: a counting sort whose parts own a range of experts each (expert_order.h).
#include "expert_order.h"
#include "families.h"
#include "variants.h"

// Makes ends[e] the first place of expert e, and counts on from there while slots are placed: what is left are the ends.
static void place_slots(const struct angel_expert_order_arguments *a, struct angel_range own, int32_t before) {
  int32_t *ends = a->offsets + 1;
  for (int64_t e = own.begin; e < own.end; e++) {
    const int32_t count = ends[e];
    ends[e] = before;
    before += count;
  }
  for (int64_t s = 0; s < a->slots; s++) {
    const int32_t expert = a->experts[s];
    if (expert < own.begin || expert >= own.end) continue;
    const int32_t place = ends[expert]++;
    a->rows[place] = (int32_t)(s / a->count);
    a->sorted[place] = expert;
    a->places[s] = place;
  }
}

static void order_slots(const void *arguments, int32_t part, int32_t parts) {
  const struct angel_expert_order_arguments *a = arguments;
  const struct angel_range own = angel_part_range(a->choices, part, parts);
  int32_t before = 0, *counts = a->offsets + 1;
  if (part == 0) a->offsets[0] = 0;
  for (int64_t e = own.begin; e < own.end; e++) counts[e] = 0;
  for (int64_t s = 0; s < a->slots; s++) {
    const int32_t expert = a->experts[s];
    if (expert < own.begin) {
      before++;
    } else if (expert < own.end) {
      counts[expert]++;
    }
  }
  place_slots(a, own, before);
}

angel_kernel angel_expert_order_kernel(
  [[maybe_unused]] angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_I32, first, second, third) ? order_slots : NULL;
}
