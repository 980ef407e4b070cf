// Preloaded into a rival, this makes its own timers count the CPU time of its process instead of the time of day, so that
// a speed it reports per second is one per CPU-second. Sleeps of a length are not affected; a wait until a moment
// reckoned from these clocks is over at once, since the kernel keeps the real ones, so no rival may rely on one. Both clocks that programs time with: C++'s high_resolution_clock, which llama-bench
// uses, is the time of day in libstdc++.
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
  const int is_counted = clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME;
  return (int)syscall(SYS_clock_gettime, is_counted ? CLOCK_PROCESS_CPUTIME_ID : clock, time);
}
