// The thread pool of angel_pool.h.
//
// A run is published as a 64-bit ticket {generation, next part}. A part is claimed by a compare-and-swap on the whole
// ticket, so a worker that wakes late, with the job of a finished run in hand, cannot claim anything: the generation has
// moved on and the swap fails before the stale kernel or arguments are used.
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "angel_pool.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

// About three microseconds: longer than the gap between two kernels of a step, far shorter than a scheduler slice.
enum { SPINS = 64 };
// A ticket with this next part offers nothing, whatever the number of parts.
#define CLOSED UINT32_MAX

struct angel_pool {
  // Written by claims.
  alignas(64) _Atomic uint64_t ticket;
  _Atomic uint32_t finished;  // parts of the current run that are done; the caller waits on it
  _Atomic uint32_t caller_blocked;
  // Written once per run.
  alignas(64) _Atomic uint32_t generation;  // workers wait on it
  _Atomic uint32_t sleepers;
  _Atomic uint32_t stopping;
  _Atomic(angel_kernel) kernel;
  _Atomic(const void *) arguments;
  _Atomic uint32_t parts;
  int32_t threads;
  pthread_t workers[];
};

static void futex_wait(_Atomic uint32_t *word, uint32_t seen) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

// Claims and runs parts of the current run until none is left.
static void work(angel_pool *pool) {
  for (;;) {
    uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    const angel_kernel kernel = atomic_load_explicit(&pool->kernel, memory_order_relaxed);
    const void *arguments = atomic_load_explicit(&pool->arguments, memory_order_relaxed);
    const uint32_t parts = atomic_load_explicit(&pool->parts, memory_order_relaxed);
    const uint32_t part = (uint32_t)ticket;
    if (part == CLOSED || part >= parts) return;
    // Pairs with the fence in angel_pool_run: had any of the three been of a later run, the swap would fail.
    atomic_thread_fence(memory_order_acquire);
    if (!atomic_compare_exchange_weak_explicit(
          &pool->ticket, &ticket, ticket + 1, memory_order_acquire, memory_order_relaxed)) {
      continue;
    }
    kernel(arguments, (int32_t)part, (int32_t)parts);
    if (atomic_fetch_add_explicit(&pool->finished, 1, memory_order_seq_cst) + 1 == parts &&
        atomic_load_explicit(&pool->caller_blocked, memory_order_seq_cst)) {
      futex_wake(&pool->finished, 1);
    }
  }
}

// Returns when the generation is no longer `seen`: first by spinning, then asleep.
static void await_generation(angel_pool *pool, uint32_t seen) {
  for (int spin = 0; spin < SPINS; spin++) {
    if (atomic_load_explicit(&pool->generation, memory_order_acquire) != seen) return;
    relax();
  }
  atomic_fetch_add_explicit(&pool->sleepers, 1, memory_order_seq_cst);
  while (atomic_load_explicit(&pool->generation, memory_order_seq_cst) == seen) futex_wait(&pool->generation, seen);
  atomic_fetch_sub_explicit(&pool->sleepers, 1, memory_order_relaxed);
}

static void *worker_main(void *context) {
  angel_pool *pool = context;
  for (;;) {
    // Read before looking for work, so that a run published in between is not slept through.
    const uint32_t seen = atomic_load_explicit(&pool->generation, memory_order_acquire);
    if (atomic_load_explicit(&pool->stopping, memory_order_acquire)) return NULL;
    work(pool);
    await_generation(pool, seen);
  }
}

static void bump_generation(angel_pool *pool, int wake) {
  atomic_fetch_add_explicit(&pool->generation, 1, memory_order_seq_cst);
  if (atomic_load_explicit(&pool->sleepers, memory_order_seq_cst)) futex_wake(&pool->generation, wake);
}

angel_pool *angel_pool_create(int32_t threads) {
  if (threads < 1 || threads > 4096) return NULL;
  const size_t bytes = sizeof(angel_pool) + (size_t)threads * sizeof(pthread_t);
  angel_pool *pool = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (pool == NULL) return NULL;
  atomic_init(&pool->ticket, CLOSED);
  atomic_init(&pool->finished, 0);
  atomic_init(&pool->caller_blocked, 0);
  atomic_init(&pool->generation, 0);
  atomic_init(&pool->sleepers, 0);
  atomic_init(&pool->stopping, 0);
  atomic_init(&pool->kernel, NULL);
  atomic_init(&pool->arguments, NULL);
  atomic_init(&pool->parts, 0);
  for (pool->threads = 1; pool->threads < threads; pool->threads++) {
    if (pthread_create(&pool->workers[pool->threads - 1], NULL, worker_main, pool) != 0) {
      angel_pool_destroy(pool);
      return NULL;
    }
  }
  return pool;
}

void angel_pool_destroy(angel_pool *pool) {
  if (pool == NULL) return;
  atomic_store_explicit(&pool->stopping, 1, memory_order_release);
  bump_generation(pool, INT_MAX);
  for (int32_t i = 0; i < pool->threads - 1; i++) pthread_join(pool->workers[i], NULL);
  free(pool);
}

int32_t angel_pool_threads(const angel_pool *pool) { return pool->threads; }

// Blocks until all parts are done, first by spinning, then asleep.
static void await_parts(angel_pool *pool, uint32_t parts) {
  for (int spin = 0; spin < SPINS; spin++) {
    if (atomic_load_explicit(&pool->finished, memory_order_acquire) == parts) return;
    relax();
  }
  atomic_store_explicit(&pool->caller_blocked, 1, memory_order_seq_cst);
  for (;;) {
    const uint32_t finished = atomic_load_explicit(&pool->finished, memory_order_seq_cst);
    if (finished == parts) break;
    futex_wait(&pool->finished, finished);
  }
  atomic_store_explicit(&pool->caller_blocked, 0, memory_order_relaxed);
}

void angel_pool_run(angel_pool *pool, angel_kernel kernel, const void *arguments, int32_t parts) {
  if (parts <= 0) return;
  if (parts == 1 || pool->threads == 1) {
    for (int32_t part = 0; part < parts; part++) kernel(arguments, part, parts);
    return;
  }
  const uint64_t generation = (atomic_load_explicit(&pool->ticket, memory_order_relaxed) >> 32) + 1;
  atomic_store_explicit(&pool->ticket, generation << 32 | CLOSED, memory_order_relaxed);
  atomic_thread_fence(memory_order_release);
  atomic_store_explicit(&pool->kernel, kernel, memory_order_relaxed);
  atomic_store_explicit(&pool->arguments, arguments, memory_order_relaxed);
  atomic_store_explicit(&pool->parts, (uint32_t)parts, memory_order_relaxed);
  atomic_store_explicit(&pool->finished, 0, memory_order_relaxed);
  atomic_store_explicit(&pool->ticket, generation << 32, memory_order_release);
  bump_generation(pool, parts - 1);
  work(pool);
  await_parts(pool, (uint32_t)parts);
}
