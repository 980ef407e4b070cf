// Sums over rows in a fixed tree (column_sum.h, norm_backward.h).
#pragma once
#include "lanes.h"

enum { tree_levels = 48 };

// Sums of chains, pairwise: `levels[l]` waits for its neighbour of 2^l chains, as the bits of a counter do.
struct column_tree {
  f32x16 levels[tree_levels];
  int64_t chains;
};

ANGEL_INLINE void tree_push(struct column_tree *tree, f32x16 sum) {
  int level = 0;
  for (int64_t n = tree->chains; n & 1; n >>= 1, level++) sum = tree->levels[level] + sum;
  tree->levels[level] = sum;
  tree->chains++;
}

// What is left at the end, smallest first.
ANGEL_INLINE f32x16 tree_sum(const struct column_tree *tree) {
  f32x16 sum = f32x16_splat(0);
  int level = 0, begun = 0;
  for (int64_t n = tree->chains; n > 0; n >>= 1, level++) {
    if (!(n & 1)) continue;
    sum = begun ? tree->levels[level] + sum : tree->levels[level];
    begun = 1;
  }
  return sum;
}
