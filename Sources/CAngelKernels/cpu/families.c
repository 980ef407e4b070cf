// The names of the families, for logs and errors.
#include "angel_types.h"

const char *angel_family_name(angel_family family) {
  static const char *const names[] = {
#define ANGEL_FAMILY(name) #name,
#include "families.def"
#undef ANGEL_FAMILY
  };
  return family < ANGEL_FAMILY_COUNT ? names[family] : "unknown";
}
