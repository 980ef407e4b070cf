// gather: rows of a table by index, any plain dtype (primitives.h).
#include <string.h>

#include "primitives.h"
#include "variants.h"

ANGEL_INLINE void gather_rows(const void *arguments, int32_t part, int32_t parts, int64_t element) {
  const struct angel_gather_arguments *a = arguments;
  const struct angel_range rows = angel_part_range(a->rows, part, parts);
  const int64_t bytes = a->width * element;
  for (int64_t r = rows.begin; r < rows.end; r++) {
    memcpy((char *)a->output + r * bytes, (const char *)a->table + a->indices[r] * bytes, (size_t)bytes);
  }
}

static void gather_8(const void *arguments, int32_t part, int32_t parts) { gather_rows(arguments, part, parts, 1); }
static void gather_16(const void *arguments, int32_t part, int32_t parts) { gather_rows(arguments, part, parts, 2); }
static void gather_32(const void *arguments, int32_t part, int32_t parts) { gather_rows(arguments, part, parts, 4); }
static void gather_64(const void *arguments, int32_t part, int32_t parts) { gather_rows(arguments, part, parts, 8); }

angel_kernel angel_gather_kernel(
  [[maybe_unused]] angel_isa isa, angel_dtype first, angel_dtype second, angel_dtype third) {
  if (second != ANGEL_NO_DTYPE || third != ANGEL_NO_DTYPE) return NULL;
  switch (first) {
    case ANGEL_F64: case ANGEL_I64: return gather_64;
    case ANGEL_F32: case ANGEL_I32: return gather_32;
    case ANGEL_F16: case ANGEL_BF16: return gather_16;
    case ANGEL_U8: return gather_8;
    default: return NULL;
  }
}
