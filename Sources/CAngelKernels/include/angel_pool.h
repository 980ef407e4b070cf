// A pool of threads that run lists of launches in order. Workers spin briefly, then block on a futex; the calling thread
// takes parts too, so a pool of one is a plain loop and a descheduled worker never holds the others up for long: parts are
// claimed one by one from an atomic counter, and whichever thread finishes the last part of a launch opens the next one.
// Between two launches of a list there is one barrier and no system call, unless a thread has nothing to do for long.
#pragma once
#include "angel_types.h"

typedef struct angel_pool angel_pool;
// `threads` counts the caller; at least 1. NULL when a thread or memory cannot be had.
angel_pool *angel_pool_create(int32_t threads);
void angel_pool_destroy(angel_pool *pool);
int32_t angel_pool_threads(const angel_pool *pool);
// One kernel run: parts 0..<parts of what the arguments describe.
struct angel_launch {
  angel_kernel kernel;
  const void *arguments;
  int32_t parts;
};
// Runs launches one after the other, each only when all parts of the one before are done, and returns when all are done.
// One caller at a time. The list must not change meanwhile.
void angel_pool_replay(angel_pool *pool, const struct angel_launch *launches, int64_t count);
// Runs the kernel for parts 0..<parts and returns when all are done. One caller at a time.
void angel_pool_run(angel_pool *pool, angel_kernel kernel, const void *arguments, int32_t parts);
// Physical cores this process may use (affinity mask, siblings counted once), at least 1.
int32_t angel_physical_cores(void);
