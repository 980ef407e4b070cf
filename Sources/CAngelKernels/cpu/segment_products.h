// Products of small matrices for segment_attention_backward, in strips of rows whose sums stay in registers. Every sum is
// one fma chain in ascending order, so strips never change a bit.
#pragma once
#include "attention_strips.h"

// sums[i][c] (from 0, or resumed) += sum over t in from ..< to of left[i * row + t * step] * right[t][c].
struct product {
  const float *left;
  int64_t row, step;
  const float *right;
  int64_t right_stride;
  float *sums;
  int64_t sums_stride;
};

ANGEL_INLINE void product_vectors(
  const struct product *p, int64_t i, int64_t vector, int64_t from, int64_t to, int resume, const int count,
  const int vectors) {
  f32x16 sums[strip_queries * strip_vectors_limit];
  const int64_t row = p->row, step = p->step, stride = p->right_stride;
  float *target = p->sums + i * p->sums_stride + vector * 16;
#pragma clang loop unroll(full)
  for (int s = 0; s < count * vectors; s++) {
    sums[s] = resume ? f32x16_load(target + s / vectors * p->sums_stride + s % vectors * 16) : f32x16_splat(0);
  }
  const float *left = p->left + i * row + from * step, *right = p->right + from * stride + vector * 16;
  for (int64_t t = from; t < to; t++, left += step, right += stride) {
    f32x16 lanes[strip_vectors_limit];
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) lanes[v] = f32x16_load(right + v * 16);
#pragma clang loop unroll(full)
    for (int r = 0; r < count; r++) {
      const f32x16 factor = f32x16_splat(left[r * row]);
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) sums[r * vectors + v] = f32x16_fma(factor, lanes[v], sums[r * vectors + v]);
    }
  }
#pragma clang loop unroll(full)
  for (int s = 0; s < count * vectors; s++) {
    f32x16_store(target + s / vectors * p->sums_stride + s % vectors * 16, sums[s]);
  }
}

// Rows i ..< i + count, vectors first ..< last.
ANGEL_INLINE void product_strip(
  const struct product *p, int64_t i, int64_t first, int64_t last, int64_t from, int64_t to, int resume,
  const int count, angel_isa isa) {
  const int wide = strip_vectors(count, isa);
  for (; first + wide <= last; first += wide) product_vectors(p, i, first, from, to, resume, count, wide);
  if (wide == 4 && last - first == 3) {
    product_vectors(p, i, first, from, to, resume, count, 3);
  } else if (wide == 4 && last - first == 2) {
    product_vectors(p, i, first, from, to, resume, count, 2);
  } else {
    for (; wide > 1 && first < last; first++) product_vectors(p, i, first, from, to, resume, count, 1);
  }
}

// The same for a count that is not known: 1 ... strip_queries.
ANGEL_INLINE void product_rows(
  const struct product *p, int64_t i, int64_t count, int64_t first, int64_t last, int64_t from, int64_t to, int resume,
  angel_isa isa) {
#define ROWS(n) product_strip(p, i, first, last, from, to, resume, n, isa)
  STRIP_COUNTED(count, ROWS)
#undef ROWS
}
