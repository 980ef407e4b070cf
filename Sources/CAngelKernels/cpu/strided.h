// Walking a strided array of ANGEL_RANK axes in output order, as runs along its last axis.
#pragma once
#include "families.h"
#include "primitives.h"

enum { strided_inputs = 2 };

// Axes of size 1 dropped and axes that lie one after another in every input joined, so that runs are long.
struct strided {
  int axes, inputs;
  int64_t sizes[ANGEL_RANK], strides[strided_inputs][ANGEL_RANK];
};

static inline struct strided strided_joined(const int64_t *sizes, const int64_t *const *strides, int inputs) {
  struct strided s = {.axes = 0, .inputs = inputs};
  for (int axis = 0; axis < ANGEL_RANK; axis++) {
    if (sizes[axis] == 1) continue;
    int joins = s.axes > 0;
    for (int i = 0; i < inputs && joins; i++) joins = s.strides[i][s.axes - 1] == strides[i][axis] * sizes[axis];
    const int target = joins ? s.axes - 1 : s.axes++;
    s.sizes[target] = joins ? s.sizes[target] * sizes[axis] : sizes[axis];
    for (int i = 0; i < inputs; i++) s.strides[i][target] = strides[i][axis];
  }
  if (s.axes == 0) {
    s.axes = 1, s.sizes[0] = 1;
    for (int i = 0; i < inputs; i++) s.strides[i][0] = 0;
  }
  return s;
}

static inline int64_t strided_count(const struct strided *s) {
  int64_t count = 1;
  for (int axis = 0; axis < s->axes; axis++) count *= s->sizes[axis];
  return count;
}

// The run that starts at output element `index` and ends at `end` or with its axis: input offsets; returns its length.
static inline int64_t strided_run(const struct strided *s, int64_t index, int64_t end, int64_t *offsets) {
  const int last = s->axes - 1;
  for (int i = 0; i < s->inputs; i++) offsets[i] = 0;
  int64_t rest = index;
  for (int axis = last; axis >= 0; axis--) {
    const int64_t place = rest % s->sizes[axis];
    rest /= s->sizes[axis];
    for (int i = 0; i < s->inputs; i++) offsets[i] += place * s->strides[i][axis];
  }
  const int64_t left = s->sizes[last] - index % s->sizes[last];
  return left < end - index ? left : end - index;
}
