// HTTP downloads through libcurl, opened at run time. One call does one transfer and blocks until it ends.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct {
  const char *url;
  // Ask for the bytes from here on; 0 asks for all.
  int64_t resume_from;
  // Header lines to send besides, e.g. "If-Range: ..."; NULL for none.
  const char *extra_header;
  const char *user_agent;
  // Give up when fewer than low_speed_bytes a second arrive for low_speed_seconds.
  int64_t low_speed_bytes;
  int64_t low_speed_seconds;
  int64_t connect_seconds;
  // Each receives `context`; a result other than 0 stops the transfer.
  int (*header)(void *context, const char *line, size_t count);
  int (*body)(void *context, const char *bytes, size_t count);
  int (*poll)(void *context);
  void *context;
} angel_curl_transfer;

typedef enum {
  ANGEL_CURL_OK = 0,
  ANGEL_CURL_STOPPED = 1,      // a callback asked for it
  ANGEL_CURL_INTERRUPTED = 2,  // the connection failed after it had been made; trying again may help
  ANGEL_CURL_FAILED = 3,       // anything else
} angel_curl_outcome;

typedef struct {
  int64_t status;  // of the last response; 0 when there was none
  char message[256];
} angel_curl_result;

// Whether libcurl could be opened. Safe to call from any thread.
int angel_curl_available(void);

// Runs a GET request over http or https, redirects followed. Only when angel_curl_available() is not 0.
angel_curl_outcome angel_curl_get(const angel_curl_transfer *transfer, angel_curl_result *result);
