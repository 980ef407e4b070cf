#define _GNU_SOURCE
#include "pages_shim.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4 // Linux 5.7; absent from older headers
#endif

int angel_move_pages(void *from, void *to, size_t size) {
  const int flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
  if (mremap(from, size, size, flags, to) != MAP_FAILED) return 0;
  // It may have failed after it took away what was at `to`: there must be pages again, of zeros.
  const int error = errno;
  const int fresh = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  if (mmap(to, size, PROT_READ | PROT_WRITE, fresh, -1, 0) != MAP_FAILED) madvise(to, size, MADV_HUGEPAGE);
  return error;
}
