// adamw (adamw.h): 28 bytes move for each parameter, and nothing else takes time.
#include "adamw.h"

#include "master_lanes.h"
#include "variants.h"

struct step {
  f32x16 parameter, first, second;
};

ANGEL_INLINE struct step advance(const struct angel_adamw_arguments *a, struct step s, f32x16 gradient) {
  const f32x16 g = gradient * a->gradient_scale;
  s.parameter = s.parameter * (1 - a->learning_rate * a->weight_decay);
  s.first = s.first + (g - s.first) * (1 - a->beta1);
  s.second = s.second * a->beta2 + g * g * (1 - a->beta2);
  const f32x16 denominator =
    __builtin_elementwise_sqrt(s.second) / __builtin_sqrtf(a->correction2) + a->epsilon;
  s.parameter = s.parameter - a->learning_rate / a->correction1 * s.first / denominator;
  return s;
}

ANGEL_INLINE void adamw(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_adamw_arguments *a = arguments;
  const struct angel_master master = {a->parameter, a->low};
  const struct angel_range own = angel_part_range((a->count + 15) / 16, part, parts);
  for (int64_t at = own.begin * 16; at < own.end * 16; at += 16) {
    if (at + 16 <= a->count) {
      const struct step before = {master_load(master, at), f32x16_load(a->first + at), f32x16_load(a->second + at)};
      const struct step after = advance(a, before, f32x16_load(a->gradient + at));
      master_store(master, at, after.parameter);
      f32x16_store(a->first + at, after.first);
      f32x16_store(a->second + at, after.second);
      continue;
    }
    const int64_t left = a->count - at;
    struct angel_last_master last;
    const struct angel_master copy = master_last(&last, master, at, left);
    const struct step before = {
      master_load(copy, 0), f32x16_load_first(a->first + at, left), f32x16_load_first(a->second + at, left)};
    const struct step after = advance(a, before, f32x16_load_first(a->gradient + at, left));
    master_store(copy, 0, after.parameter);
    master_put_back(&last, master, at, left);
    f32x16_store_first(a->first + at, after.first, left);
    f32x16_store_first(a->second + at, after.second, left);
  }
}
ANGEL_VARIANTS(adamw, adamw)

angel_kernel angel_adamw_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  const int is_known = angel_only(ANGEL_F32, first, second, third) || angel_only(ANGEL_BF16, first, second, third);
  return is_known ? adamw_variant(isa) : NULL;
}
