// prune (prune.h).
#include "prune.h"

#include <math.h>

#include "variants.h"

ANGEL_INLINE void prune_rows(
  const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_prune_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  for (int64_t row = rows.begin; row < rows.end; row++) {
    for (int64_t k = 0; k < a->width; k += 4) {
      const float *w = a->input + row * a->width + k;
      float score[4], kept[4];
      for (int i = 0; i < 4; i++) {
        score[i] = fabsf(w[i]) * (a->importance != NULL ? sqrtf(a->importance[k + i]) : 1);
      }
      for (int i = 0; i < 4; i++) {
        int ahead = 0;
        for (int j = 0; j < 4; j++) ahead += j < i ? score[j] >= score[i] : score[j] > score[i];
        kept[i] = ahead < 2 ? w[i] : 0;
      }
      for (int i = 0; i < 4; i++) a->output[row * a->width + k + i] = kept[i];
    }
  }
}
ANGEL_VARIANTS(prune, prune_rows)

angel_kernel angel_prune_kernel(angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  return angel_only(ANGEL_F32, first, second, third) ? prune_variant(isa) : NULL;
}
