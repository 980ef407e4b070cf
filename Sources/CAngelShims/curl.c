#include "curl_shim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

// The part of libcurl's interface that is used; its numbers are a stable ABI since version 7.32.
typedef void CURL;
struct curl_slist;
enum {
  OPT_WRITEDATA = 10001, OPT_URL = 10002, OPT_RANGE = 10007, OPT_ERRORBUFFER = 10010, OPT_USERAGENT = 10018, OPT_HTTPHEADER = 10023,
  OPT_HEADERDATA = 10029, OPT_XFERINFODATA = 10057,
  OPT_LOW_SPEED_LIMIT = 19, OPT_LOW_SPEED_TIME = 20, OPT_NOPROGRESS = 43, OPT_FOLLOWLOCATION = 52, OPT_MAXREDIRS = 68,
  OPT_CONNECTTIMEOUT = 78, OPT_NOSIGNAL = 99, OPT_PROTOCOLS = 181, OPT_REDIR_PROTOCOLS = 182,
  OPT_WRITEFUNCTION = 20011, OPT_HEADERFUNCTION = 20079, OPT_XFERINFOFUNCTION = 20219,
};
enum { INFO_RESPONSE_CODE = 0x200002 };
enum { PROTOCOL_HTTP = 1, PROTOCOL_HTTPS = 2, GLOBAL_DEFAULT = 3 };
enum { E_OK = 0, E_PARTIAL = 18, E_WRITE = 23, E_TIMEOUT = 28, E_ABORTED = 42, E_GOT_NOTHING = 52, E_SEND = 55, E_RECV = 56,
  E_HTTP2 = 92 };

static struct {
  int (*global_init)(long);
  CURL *(*easy_init)(void);
  void (*easy_cleanup)(CURL *);
  int (*setopt)(CURL *, int, ...);
  int (*getinfo)(CURL *, int, ...);
  int (*perform)(CURL *);
  const char *(*message)(int);
  struct curl_slist *(*append)(struct curl_slist *, const char *);
  void (*free_all)(struct curl_slist *);
  int available;
} curl;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_library(void) {
  static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl-nss.so.4", "libcurl.so"};
  void *library = NULL;
  for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  // POSIX lets data pointers from dlsym be called; the copy through memory keeps ISO C content.
#define RESOLVE(field, symbol)                        \
  do {                                                \
    void *address = dlsym(library, symbol);           \
    if (!address) return;                             \
    memcpy(&curl.field, &address, sizeof address);    \
  } while (0)
  RESOLVE(global_init, "curl_global_init");
  RESOLVE(easy_init, "curl_easy_init");
  RESOLVE(easy_cleanup, "curl_easy_cleanup");
  RESOLVE(setopt, "curl_easy_setopt");
  RESOLVE(getinfo, "curl_easy_getinfo");
  RESOLVE(perform, "curl_easy_perform");
  RESOLVE(message, "curl_easy_strerror");
  RESOLVE(append, "curl_slist_append");
  RESOLVE(free_all, "curl_slist_free_all");
#undef RESOLVE
  curl.available = curl.global_init(GLOBAL_DEFAULT) == 0;
}

int angel_curl_available(void) {
  pthread_once(&once, open_library);
  return curl.available;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
  const angel_curl_transfer *transfer = context;
  return transfer->body(transfer->context, bytes, size * count) == 0 ? size * count : 0;
}

static size_t on_header(char *line, size_t size, size_t count, void *context) {
  const angel_curl_transfer *transfer = context;
  return transfer->header(transfer->context, line, size * count) == 0 ? size * count : 0;
}

static int on_progress(void *context, int64_t a, int64_t b, int64_t c, int64_t d) {
  (void)a, (void)b, (void)c, (void)d;
  const angel_curl_transfer *transfer = context;
  return transfer->poll(transfer->context);
}

static angel_curl_outcome outcome_of(int code) {
  switch (code) {
    case E_OK: return ANGEL_CURL_OK;
    case E_WRITE:
    case E_ABORTED: return ANGEL_CURL_STOPPED;
    case E_PARTIAL:
    case E_TIMEOUT:
    case E_GOT_NOTHING:
    case E_SEND:
    case E_RECV:
    case E_HTTP2: return ANGEL_CURL_INTERRUPTED;
    default: return ANGEL_CURL_FAILED;
  }
}

angel_curl_outcome angel_curl_get(const angel_curl_transfer *transfer, angel_curl_result *result) {
  char error[256] = "";  // CURL_ERROR_SIZE
  memset(result, 0, sizeof *result);
  CURL *handle = curl.easy_init();
  if (!handle) {
    snprintf(result->message, sizeof result->message, "libcurl could not start");
    return ANGEL_CURL_FAILED;
  }
  struct curl_slist *headers = transfer->extra_header ? curl.append(NULL, transfer->extra_header) : NULL;
  curl.setopt(handle, OPT_URL, transfer->url);
  curl.setopt(handle, OPT_ERRORBUFFER, error);
  curl.setopt(handle, OPT_USERAGENT, transfer->user_agent);
  curl.setopt(handle, OPT_HTTPHEADER, headers);
  curl.setopt(handle, OPT_NOSIGNAL, 1L);
  curl.setopt(handle, OPT_FOLLOWLOCATION, 1L);
  curl.setopt(handle, OPT_MAXREDIRS, 10L);
  // A redirect must not reach local files or other services.
  curl.setopt(handle, OPT_PROTOCOLS, (long)(PROTOCOL_HTTP | PROTOCOL_HTTPS));
  curl.setopt(handle, OPT_REDIR_PROTOCOLS, (long)(PROTOCOL_HTTP | PROTOCOL_HTTPS));
  curl.setopt(handle, OPT_CONNECTTIMEOUT, (long)transfer->connect_seconds);
  curl.setopt(handle, OPT_LOW_SPEED_LIMIT, (long)transfer->low_speed_bytes);
  curl.setopt(handle, OPT_LOW_SPEED_TIME, (long)transfer->low_speed_seconds);
  // A plain range, not curl's own resuming: that fails when the server answers with the whole file.
  char range[32];
  snprintf(range, sizeof range, "%lld-", (long long)transfer->resume_from);
  if (transfer->resume_from > 0) curl.setopt(handle, OPT_RANGE, range);
  curl.setopt(handle, OPT_WRITEFUNCTION, on_body);
  curl.setopt(handle, OPT_WRITEDATA, transfer);
  curl.setopt(handle, OPT_HEADERFUNCTION, on_header);
  curl.setopt(handle, OPT_HEADERDATA, transfer);
  curl.setopt(handle, OPT_XFERINFOFUNCTION, on_progress);
  curl.setopt(handle, OPT_XFERINFODATA, transfer);
  curl.setopt(handle, OPT_NOPROGRESS, 0L);
  const int code = curl.perform(handle);
  long status = 0;
  curl.getinfo(handle, INFO_RESPONSE_CODE, &status);
  result->status = status;
  snprintf(result->message, sizeof result->message, "%s", error[0] ? error : curl.message(code));
  curl.free_all(headers);
  curl.easy_cleanup(handle);
  return outcome_of(code);
}
