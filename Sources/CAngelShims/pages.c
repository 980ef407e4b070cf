#define _GNU_SOURCE
#include "pages_shim.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4 // Linux 5.7; absent from older headers
#endif

int angel_move_pages(void *from, void *to, size_t size) {
  const int flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
  return mremap(from, size, size, flags, to) == MAP_FAILED ? errno : 0;
}
