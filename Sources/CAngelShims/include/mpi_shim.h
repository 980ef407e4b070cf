// The plug-in that is compiled against the installed MPI (mpi_plugin.c), opened at run time. One thread at a time.
#pragma once

// Opens the plug-in at `path`; NULL, or why it cannot be opened.
const char *angel_mpi_open(const char *path);

// As mpi_plugin.c describes them; only after angel_mpi_open.
typedef struct {
  const char *(*error)(void);
  const char *(*library)(void);
  int (*join)(int *rank, int *size);
  int (*finalize)(void);
  int (*divide)(int group, int color, int key, int *rank, int *size);
  int (*exchange)(int group, const void *source, const long long *bounds, void *target);
  int (*gather)(int group, void *buffer, const long long *bounds);
  int (*broadcast)(int group, void *buffer, long long bytes, int root);
  int (*barrier)(int group);
  int (*send)(int group, const void *buffer, long long bytes, int member, int tag);
  int (*receive)(int group, void *buffer, long long bytes, int member, int tag);
  int (*sum)(int group, void *buffer, long long numbers);
  int (*test)(int request);
  int (*cancel)(int request);
} angel_mpi_functions;

const angel_mpi_functions *angel_mpi(void);
