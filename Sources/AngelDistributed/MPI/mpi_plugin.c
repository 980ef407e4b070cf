// The part of MPI that angel uses, with plain C types: handles differ between implementations, so this file is compiled
// with the installed mpicc and opened at run time. One thread at a time calls it; nothing here waits but join, divide and
// finalize.
//
// Bounds are byte offsets, one more than members. Functions that start something return a request's number, others 0;
// below zero: MPI's error, whose text angel_mpi_error gives.
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_GROUPS = 256, MOST_REQUESTS = 4096 };

static MPI_Comm groups[MOST_GROUPS];
static int group_count;
static MPI_Request requests[MOST_REQUESTS];
static int *counts[MOST_REQUESTS];  // what a request's call was given; MPI reads it until the request ends
static char used[MOST_REQUESTS];
static char message[MPI_MAX_ERROR_STRING + 64];

static int failed(int code) {
  int length = 0;
  if (MPI_Error_string(code, message, &length) != MPI_SUCCESS) strcpy(message, "an error without a text");
  return -1;
}

static int failed_with(const char *text) {
  strncpy(message, text, sizeof message - 1);
  return -1;
}

const char *angel_mpi_error(void) { return message; }

const char *angel_mpi_library(void) {
  static char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  return text;
}

static int add_group(MPI_Comm comm) {
  if (group_count == MOST_GROUPS) return failed_with("more groups than the plug-in keeps");
  // A failure is told by the call's result, not by ending the process.
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  groups[group_count] = comm;
  return group_count++;
}

// Group 0 is everyone.
int angel_mpi_join(int *rank, int *size) {
  int level = 0, is_running = 0;
  MPI_Initialized(&is_running);
  if (!is_running) {
    const int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level);
    if (code != MPI_SUCCESS) return failed(code);
    if (level < MPI_THREAD_SERIALIZED) return failed_with("this MPI was built without support for threads");
  }
  MPI_Comm world;
  const int code = MPI_Comm_dup(MPI_COMM_WORLD, &world);
  if (code != MPI_SUCCESS) return failed(code);
  MPI_Comm_rank(world, rank);
  MPI_Comm_size(world, size);
  return add_group(world);
}

int angel_mpi_finalize(void) {
  const int code = MPI_Finalize();
  return code == MPI_SUCCESS ? 0 : failed(code);
}

// Waits for all members of the group, which should be there.
int angel_mpi_divide(int group, int color, int key, int *rank, int *size) {
  MPI_Comm comm;
  const int code = MPI_Comm_split(groups[group], color, key, &comm);
  if (code != MPI_SUCCESS) return failed(code);
  MPI_Comm_rank(comm, rank);
  MPI_Comm_size(comm, size);
  return add_group(comm);
}

static int new_request(int numbers) {
  for (int i = 0; i < MOST_REQUESTS; i++) {
    if (used[i]) continue;
    counts[i] = numbers ? malloc((size_t)numbers * sizeof(int)) : NULL;
    if (numbers && !counts[i]) return failed_with("no memory");
    used[i] = 1;
    return i;
  }
  return failed_with("more requests than the plug-in keeps");
}

static void end_request(int request) {
  free(counts[request]);
  counts[request] = NULL;
  used[request] = 0;
}

static int started(int request, int code) {
  if (code == MPI_SUCCESS) return request;
  end_request(request);
  return failed(code);
}

// Offsets of MPI are ints: words of four bytes reach four times as far.
static long long unit_of(const long long *offsets, int count) {
  for (int i = 0; i < count; i++)
    if (offsets[i] % 4) return 1;
  return 4;
}

static int fits(long long bytes, long long unit) { return bytes / unit <= 0x7FFFFFFF; }

// Of `shares` two numbers a member: where it begins and ends.
int angel_mpi_exchange(int group, const void *source, const long long *shares, void *target) {
  int rank, size;
  MPI_Comm_rank(groups[group], &rank);
  MPI_Comm_size(groups[group], &size);
  const long long unit = unit_of(shares, 2 * size), share = shares[2 * rank + 1] - shares[2 * rank];
  long long end = share * size;
  for (int i = 0; i < size; i++)
    if (shares[2 * i + 1] > end) end = shares[2 * i + 1];
  if (!fits(end, unit)) return failed_with("a buffer of more than 8 GiB");
  const int request = new_request(4 * size);
  if (request < 0) return request;
  int *sends = counts[request], *from = sends + size, *receives = from + size, *to = receives + size;
  for (int i = 0; i < size; i++) {
    sends[i] = (int)((shares[2 * i + 1] - shares[2 * i]) / unit);
    from[i] = (int)(shares[2 * i] / unit);
    receives[i] = (int)(share / unit);
    to[i] = (int)(share / unit * i);
  }
  MPI_Datatype type = unit == 4 ? MPI_INT32_T : MPI_BYTE;
  return started(
    request,
    MPI_Ialltoallv(source, sends, from, type, target, receives, to, type, groups[group], &requests[request]));
}

int angel_mpi_gather(int group, void *buffer, const long long *bounds) {
  int size;
  MPI_Comm_size(groups[group], &size);
  const long long unit = unit_of(bounds, size + 1);
  if (!fits(bounds[size], unit)) return failed_with("a buffer of more than 8 GiB");
  const int request = new_request(2 * size);
  if (request < 0) return request;
  int *receives = counts[request], *to = receives + size;
  for (int i = 0; i < size; i++) {
    receives[i] = (int)((bounds[i + 1] - bounds[i]) / unit);
    to[i] = (int)(bounds[i] / unit);
  }
  MPI_Datatype type = unit == 4 ? MPI_INT32_T : MPI_BYTE;
  return started(
    request,
    MPI_Iallgatherv(
      MPI_IN_PLACE, 0, type, buffer, receives, to, type, groups[group], &requests[request]));
}

int angel_mpi_broadcast(int group, void *buffer, long long bytes, int root) {
  if (bytes > 0x7FFFFFFF) return failed_with("a buffer of more than 2 GiB");
  const int request = new_request(0);
  if (request < 0) return request;
  return started(request, MPI_Ibcast(buffer, (int)bytes, MPI_BYTE, root, groups[group], &requests[request]));
}

int angel_mpi_barrier(int group) {
  const int request = new_request(0);
  if (request < 0) return request;
  return started(request, MPI_Ibarrier(groups[group], &requests[request]));
}

int angel_mpi_send(int group, const void *buffer, long long bytes, int member, int tag) {
  if (bytes > 0x7FFFFFFF) return failed_with("a buffer of more than 2 GiB");
  const int request = new_request(0);
  if (request < 0) return request;
  return started(
    request, MPI_Isend(buffer, (int)bytes, MPI_BYTE, member, tag, groups[group], &requests[request]));
}

int angel_mpi_receive(int group, void *buffer, long long bytes, int member, int tag) {
  if (bytes > 0x7FFFFFFF) return failed_with("a buffer of more than 2 GiB");
  const int request = new_request(0);
  if (request < 0) return request;
  return started(
    request, MPI_Irecv(buffer, (int)bytes, MPI_BYTE, member, tag, groups[group], &requests[request]));
}

// The library's own sum of float32 numbers, to be compared with: its order is the library's.
int angel_mpi_sum(int group, void *buffer, long long numbers) {
  if (numbers > 0x7FFFFFFF) return failed_with("a buffer of more than 8 GiB");
  const int request = new_request(0);
  if (request < 0) return request;
  return started(
    request,
    MPI_Iallreduce(MPI_IN_PLACE, buffer, (int)numbers, MPI_FLOAT, MPI_SUM, groups[group], &requests[request]));
}

// 1: done, and the number is free again; 0: not yet.
int angel_mpi_test(int request) {
  int done = 0;
  const int code = MPI_Test(&requests[request], &done, MPI_STATUS_IGNORE);
  if (code != MPI_SUCCESS) {
    end_request(request);
    return failed(code);
  }
  if (done) end_request(request);
  return done;
}

// Gives up a receive that nothing will answer.
int angel_mpi_cancel(int request) {
  MPI_Cancel(&requests[request]);
  MPI_Wait(&requests[request], MPI_STATUS_IGNORE);
  end_request(request);
  return 0;
}
