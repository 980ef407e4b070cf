// expert_order: slots grouped by expert, a counting sort. dtypes: (i32, none, none). A primitive.
// Slot r * count + k is the k-th expert of row r. Places are ordered by expert, then by slot; so the rows of expert e lie
// at places offsets[e] ..< offsets[e + 1], and how many they are is known on the device only.
#pragma once
#include "angel_types.h"

struct angel_expert_order_arguments {
  const int32_t *experts;  // [slots], each in 0..<choices
  int32_t *offsets;        // [choices + 1]
  int32_t *rows;           // [slots] the row of each place
  int32_t *sorted;         // [slots] the expert of each place, ascending
  int32_t *places;         // [slots] the place of each slot
  int64_t slots, count, choices;
};
