// What segment_attention and segment_attention_backward share: which positions a row sees, and rounding of what they store.
#pragma once
#include <string.h>

#include "segment_attention.h"
#include "vector_math.h"

// The positions that position `row` of a sequence of `length` sees. Both ends ascend with `row`.
static inline struct angel_range segment_visible(
  const struct angel_segment_attention_shape *s, int64_t row, int64_t length) {
  struct angel_range seen = {0, s->causal ? row + 1 : length};
  if (s->window > 0 && row - s->window + 1 > 0) seen.begin = row - s->window + 1;
  if (s->window > 0 && row + s->window < seen.end) seen.end = row + s->window;
  return seen;
}

static inline int64_t segment_length(const struct angel_segment_attention_shape *s, int64_t segment) {
  return s->bounds[segment + 1] - s->bounds[segment];
}

// Stores `count` float32 numbers times `factor` as elements of a dtype, f32 or bf16.
ANGEL_INLINE void store_run(
  const float *source, int64_t count, float factor, char *target, angel_dtype dtype, angel_isa isa) {
  int64_t i = 0;
  for (; dtype == ANGEL_F32 && i + 16 <= count; i += 16) {
    f32x16_store((float *)target + i, f32x16_load(source + i) * factor);
  }
  for (; dtype == ANGEL_BF16 && i + 16 <= count; i += 16) {
    const u16x16 rounded = u16x16_from(f32x16_load(source + i) * factor, ANGEL_BF16, isa);
    memcpy(target + i * 2, &rounded, sizeof rounded);
  }
  if (i == count) return;
  const f32x16 last = f32x16_load_first(source + i, count - i) * factor;
  if (dtype == ANGEL_F32) {
    memcpy(target + i * 4, &last, (size_t)(count - i) * 4);
  } else {
    const u16x16 rounded = u16x16_from(last, ANGEL_BF16, isa);
    memcpy(target + i * 2, &rounded, (size_t)(count - i) * 2);
  }
}
