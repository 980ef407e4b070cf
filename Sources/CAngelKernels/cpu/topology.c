// How many physical cores this process may run on.
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "angel_pool.h"

// Whether `cpu` is the lowest allowed thread of its core, given the kernel's list of siblings such as "0,64" or "0-1".
static int is_first_sibling(int cpu, const char *list, const cpu_set_t *allowed) {
  while (*list >= '0' && *list <= '9') {
    char *end;
    const long first = strtol(list, &end, 10);
    const long last = *end == '-' ? strtol(end + 1, &end, 10) : first;
    for (long sibling = first; sibling <= last && sibling < cpu; sibling++) {
      if (sibling < CPU_SETSIZE && CPU_ISSET(sibling, allowed)) return 0;
    }
    if (*end != ',') break;
    list = end + 1;
  }
  return 1;
}

static int owns_core(int cpu, const cpu_set_t *allowed) {
  char path[96], list[256];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
  FILE *file = fopen(path, "re");
  if (file == NULL) return 1;  // unknown topology: every thread counts as a core
  const int known = fgets(list, sizeof list, file) != NULL;
  fclose(file);
  return known ? is_first_sibling(cpu, list, allowed) : 1;
}

int32_t angel_physical_cores(void) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  int32_t cores = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &allowed)) cores += owns_core(cpu, &allowed);
  }
  return cores > 0 ? cores : 1;
}
