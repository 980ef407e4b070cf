// HTTP through libcurl, opened at run time. One call makes one request and blocks until it ends; redirects are reported,
// not followed, so that the caller decides what may be sent where.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Keeps connections open between requests; used by one thread at a time.
typedef struct angel_curl_session angel_curl_session;

typedef struct {
  const char *url;
  // Ask for the head alone.
  int head_only;
  // The bytes to ask for, as in a Range header without its unit ("100-" or "100-199"); NULL asks for all.
  const char *range;
  // Header lines to send besides, e.g. "If-Range: ...".
  const char *const *headers;
  size_t header_count;
  const char *user_agent;
  // Give up when fewer than low_speed_bytes a second arrive for low_speed_seconds.
  int64_t low_speed_bytes;
  int64_t low_speed_seconds;
  int64_t connect_seconds;
  // Refuse to connect to an address that angel_curl_is_private says is private.
  int public_only;
  // Each receives `context`; a result other than 0 stops the transfer.
  int (*header)(void *context, const char *line, size_t count);
  int (*body)(void *context, const char *bytes, size_t count);
  int (*poll)(void *context);
  // Called at the end of an answer that points elsewhere, with the absolute address.
  void (*redirect)(void *context, const char *url);
  void *context;
} angel_curl_transfer;

typedef enum {
  ANGEL_CURL_OK = 0,
  ANGEL_CURL_STOPPED = 1,      // a callback asked for it
  ANGEL_CURL_INTERRUPTED = 2,  // the connection failed after it had been made; trying again may help
  ANGEL_CURL_UNREACHABLE = 3,  // the host has no known address, or does not answer
  ANGEL_CURL_PRIVATE = 4,      // the address is private and public_only was asked for
  ANGEL_CURL_FAILED = 5,       // anything else
} angel_curl_outcome;

typedef struct {
  int64_t status;  // of the response; 0 when there was none
  int is_private;  // whether the other end (the proxy, where there is one) has a private address
  char message[256];
} angel_curl_result;

// Whether libcurl could be opened. Safe to call from any thread.
int angel_curl_available(void);

// A new session, NULL when there is no memory. Only when angel_curl_available() is not 0.
angel_curl_session *angel_curl_open(void);
void angel_curl_close(angel_curl_session *session);

// Makes one request over http or https.
angel_curl_outcome angel_curl_perform(
  angel_curl_session *session, const angel_curl_transfer *transfer, angel_curl_result *result);

// Whether a numeric IPv4 or IPv6 address is not for the public: loopback, link-local, private, shared, multicast, reserved,
// or no address at all.
int angel_curl_is_private(const char *address);
