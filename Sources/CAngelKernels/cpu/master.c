// master (master.h).
#include "master.h"

#include "master_lanes.h"
#include "variants.h"

ANGEL_INLINE void move(const void *arguments, int32_t part, int32_t parts, const int splits) {
  const struct angel_master_arguments *a = arguments;
  const struct angel_master master = {a->high, a->low};
  const struct angel_range own = angel_part_range((a->count + 15) / 16, part, parts);
  for (int64_t at = own.begin * 16; at < own.end * 16; at += 16) {
    const int64_t left = a->count - at;
    if (left >= 16) {
      if (splits) master_store(master, at, f32x16_load(a->values + at));
      else f32x16_store(a->values + at, master_load(master, at));
      continue;
    }
    struct angel_last_master last;
    const struct angel_master copy = master_last(&last, master, at, left);
    if (splits) {
      master_store(copy, 0, f32x16_load_first(a->values + at, left));
      master_put_back(&last, master, at, left);
    } else {
      f32x16_store_first(a->values + at, master_load(copy, 0), left);
    }
  }
}
ANGEL_INLINE void split(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  move(arguments, part, parts, 1);
}
ANGEL_INLINE void join(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  move(arguments, part, parts, 0);
}
ANGEL_VARIANTS(split, split)
ANGEL_VARIANTS(join, join)

angel_kernel angel_master_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (third != ANGEL_NO_DTYPE) return NULL;
  if (first == ANGEL_F32 && second == ANGEL_BF16) return split_variant(isa);
  return first == ANGEL_BF16 && second == ANGEL_F32 ? join_variant(isa) : NULL;
}
