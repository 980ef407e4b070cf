#include "mpi_shim.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

static angel_mpi_functions functions;

const angel_mpi_functions *angel_mpi(void) { return &functions; }

const char *angel_mpi_open(const char *path) {
  // Open MPI loads components that expect to find its symbols, so they must be visible to all.
  void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (!library) return dlerror();
  // POSIX lets data pointers from dlsym be called; the copy through memory keeps ISO C content.
#define RESOLVE(field)                                        \
  do {                                                        \
    void *address = dlsym(library, "angel_mpi_" #field);      \
    if (!address) return "it has no function angel_mpi_" #field; \
    memcpy(&functions.field, &address, sizeof address);       \
  } while (0)
  RESOLVE(error);
  RESOLVE(library);
  RESOLVE(join);
  RESOLVE(finalize);
  RESOLVE(divide);
  RESOLVE(exchange);
  RESOLVE(gather);
  RESOLVE(broadcast);
  RESOLVE(barrier);
  RESOLVE(send);
  RESOLVE(receive);
  RESOLVE(sum);
  RESOLVE(test);
  RESOLVE(cancel);
#undef RESOLVE
  return NULL;
}
