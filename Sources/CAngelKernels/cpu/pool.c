// The thread pool of angel_pool.h.
//
// Each launch is published as a 64-bit ticket {generation, next part}. A part is claimed by a compare-and-swap on the whole
// ticket, so a worker that wakes late, holding the job of a finished launch, cannot claim anything: the generation has
// moved on and the swap fails before the stale kernel or arguments are used. The thread that finishes a launch's last part
// publishes the next launch of the list, or marks the list as done; nobody waits for threads that hold no part.
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

// A pause takes 40 to 140 cycles: about three microseconds between lists, far shorter than a scheduler slice, and some
// fifty inside a list, where the next launch is never further away than the slowest part of this one.
enum { SPINS = 64, SPINS_IN_LIST = 1024 };
// A ticket with this next part offers nothing, whatever the number of parts.
#define CLOSED UINT32_MAX

struct angel_pool {
  // Written by claims.
  alignas(64) _Atomic uint64_t ticket;
  _Atomic uint32_t finished;  // parts of the current launch that are done
  // Written once per launch.
  alignas(64) _Atomic uint32_t generation;  // counts launches and finished lists; workers and the caller wait on it
  _Atomic uint32_t sleepers;  // the caller included
  _Atomic uint32_t stopping;
  _Atomic uint32_t running;  // whether a list is not done yet
  _Atomic uint32_t caller_sleeps;
  _Atomic(angel_kernel) kernel;
  _Atomic(const void *) arguments;
  _Atomic uint32_t parts;
  // The list; touched only by the thread that opens a launch, which the ticket orders after the one before.
  const struct angel_launch *next, *end;
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

// Moves the generation on and wakes up to `wake` sleeping threads.
static void bump_generation(angel_pool *pool, int wake) {
  atomic_fetch_add_explicit(&pool->generation, 1, memory_order_seq_cst);
  if (wake > 0 && atomic_load_explicit(&pool->sleepers, memory_order_seq_cst)) futex_wake(&pool->generation, wake);
}

// Opens the next launch of the list, or ends the list. Called by one thread at a time: the caller at the start, then
// whichever thread finished the last part.
static void advance(angel_pool *pool) {
  const struct angel_launch *launch = pool->next;
  while (launch < pool->end && launch->parts <= 0) launch++;
  if (launch == pool->end) {
    atomic_store_explicit(&pool->running, 0, memory_order_seq_cst);
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_seq_cst);
    // All sleep on one word, so waking the caller for sure means waking all; only when it sleeps, though.
    if (atomic_load_explicit(&pool->caller_sleeps, memory_order_seq_cst)) futex_wake(&pool->generation, INT_MAX);
    return;
  }
  pool->next = launch + 1;
  const uint64_t generation = (atomic_load_explicit(&pool->ticket, memory_order_relaxed) >> 32) + 1;
  atomic_store_explicit(&pool->ticket, generation << 32 | CLOSED, memory_order_relaxed);
  atomic_thread_fence(memory_order_release);
  atomic_store_explicit(&pool->kernel, launch->kernel, memory_order_relaxed);
  atomic_store_explicit(&pool->arguments, launch->arguments, memory_order_relaxed);
  atomic_store_explicit(&pool->parts, (uint32_t)launch->parts, memory_order_relaxed);
  atomic_store_explicit(&pool->finished, 0, memory_order_relaxed);
  atomic_store_explicit(&pool->ticket, generation << 32, memory_order_release);
  // A launch of one part is for the thread that opens it: waking another would cost more than it saves.
  bump_generation(pool, launch->parts - 1);
}

// Claims and runs parts, opening further launches where it finishes one, until there is nothing to claim.
static void work(angel_pool *pool) {
  for (;;) {
    uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    const angel_kernel kernel = atomic_load_explicit(&pool->kernel, memory_order_relaxed);
    const void *arguments = atomic_load_explicit(&pool->arguments, memory_order_relaxed);
    const uint32_t parts = atomic_load_explicit(&pool->parts, memory_order_relaxed);
    const uint32_t part = (uint32_t)ticket;
    if (part == CLOSED || part >= parts) return;
    // Pairs with the fence in advance: had any of the three been of a later launch, the swap would fail.
    atomic_thread_fence(memory_order_acquire);
    if (!atomic_compare_exchange_weak_explicit(
          &pool->ticket, &ticket, ticket + 1, memory_order_acquire, memory_order_relaxed)) {
      continue;
    }
    kernel(arguments, (int32_t)part, (int32_t)parts);
    if (atomic_fetch_add_explicit(&pool->finished, 1, memory_order_acq_rel) + 1 == parts) advance(pool);
  }
}

// Returns when the generation is no longer `seen`: first by spinning, then asleep.
static void await_generation(angel_pool *pool, uint32_t seen, int is_caller) {
  const int spins = atomic_load_explicit(&pool->running, memory_order_relaxed) ? SPINS_IN_LIST : SPINS;
  for (int spin = 0; spin < spins; spin++) {
    if (atomic_load_explicit(&pool->generation, memory_order_acquire) != seen) return;
    relax();
  }
  if (is_caller) atomic_store_explicit(&pool->caller_sleeps, 1, memory_order_seq_cst);
  atomic_fetch_add_explicit(&pool->sleepers, 1, memory_order_seq_cst);
  while (atomic_load_explicit(&pool->generation, memory_order_seq_cst) == seen) futex_wait(&pool->generation, seen);
  atomic_fetch_sub_explicit(&pool->sleepers, 1, memory_order_relaxed);
  if (is_caller) atomic_store_explicit(&pool->caller_sleeps, 0, memory_order_relaxed);
}

static void *worker_main(void *context) {
  angel_pool *pool = context;
  for (;;) {
    // Read before looking for work, so that a run published in between is not slept through.
    const uint32_t seen = atomic_load_explicit(&pool->generation, memory_order_acquire);
    if (atomic_load_explicit(&pool->stopping, memory_order_acquire)) return NULL;
    work(pool);
    await_generation(pool, seen, 0);
  }
}

angel_pool *angel_pool_create(int32_t threads) {
  if (threads < 1 || threads > 4096) return NULL;
  const size_t bytes = sizeof(angel_pool) + (size_t)threads * sizeof(pthread_t);
  angel_pool *pool = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (pool == NULL) return NULL;
  atomic_init(&pool->ticket, CLOSED);
  atomic_init(&pool->finished, 0);
  atomic_init(&pool->generation, 0);
  atomic_init(&pool->sleepers, 0);
  atomic_init(&pool->stopping, 0);
  atomic_init(&pool->running, 0);
  atomic_init(&pool->caller_sleeps, 0);
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

void angel_pool_replay(angel_pool *pool, const struct angel_launch *launches, int64_t count) {
  if (count <= 0) return;
  if (pool->threads == 1) {
    for (int64_t i = 0; i < count; i++) {
      for (int32_t part = 0; part < launches[i].parts; part++) {
        launches[i].kernel(launches[i].arguments, part, launches[i].parts);
      }
    }
    return;
  }
  pool->next = launches;
  pool->end = launches + count;
  atomic_store_explicit(&pool->running, 1, memory_order_seq_cst);
  advance(pool);
  for (;;) {
    // Read before looking for work, so that a launch opened in between is not slept through.
    const uint32_t seen = atomic_load_explicit(&pool->generation, memory_order_acquire);
    work(pool);
    if (!atomic_load_explicit(&pool->running, memory_order_acquire)) return;
    await_generation(pool, seen, 1);
  }
}

void angel_pool_run(angel_pool *pool, angel_kernel kernel, const void *arguments, int32_t parts) {
  const struct angel_launch launch = {kernel, arguments, parts};
  if (parts == 1) {
    kernel(arguments, 0, 1);
  } else {
    angel_pool_replay(pool, &launch, 1);
  }
}
