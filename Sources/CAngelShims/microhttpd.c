#include "microhttpd_shim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

// The part of libmicrohttpd's interface that is used. Numbers and calls are those of its ABI 12 (since 0.9.60).
struct MHD_Response;
enum {
  FLAG_TLS = 2, FLAG_INTERNAL_THREADS = 8, FLAG_EPOLL = 512, FLAG_WAKE = 1024, FLAG_SUSPEND = 8192 | FLAG_WAKE,
};
enum {
  OPTION_END = 0, OPTION_MEMORY_LIMIT = 1, OPTION_CONNECTION_LIMIT = 2, OPTION_TIMEOUT = 3, OPTION_NOTIFY_COMPLETED = 4,
  OPTION_TLS_KEY = 8, OPTION_TLS_CERTIFICATE = 9, OPTION_LISTEN_SOCKET = 12, OPTION_THREADS = 14, OPTION_ARRAY = 15,
  OPTION_STACK = 19, OPTION_NOTIFY_CONNECTION = 27, OPTION_STRICT = 29,
};
enum { KIND_HEADER = 1 };
enum { MEMORY_MUST_COPY = 2, FEATURE_TLS = 2, NO = 0, YES = 1, NOTIFY_CLOSED = 1, TERMINATED_OK = 0 };
enum { INFO_SOCKET = 6, INFO_SLOT = 7 };

struct option {
  int option;
  intptr_t value;
  void *pointer;
};
typedef int access_handler(
  void *, struct MHD_Connection *, const char *url, const char *method, const char *version, const char *upload,
  size_t *upload_size, void **exchange);

static struct {
  struct MHD_Daemon *(*start)(
    unsigned flags, uint16_t port, void *accept, void *accept_context, access_handler *, void *context, ...);
  void (*stop)(struct MHD_Daemon *);
  const char *(*lookup)(struct MHD_Connection *, int kind, const char *key);
  const void *(*info)(struct MHD_Connection *, int type, ...);
  void (*suspend)(struct MHD_Connection *);
  void (*resume)(struct MHD_Connection *);
  struct MHD_Response *(*from_buffer)(size_t, void *, int mode);
  struct MHD_Response *(*from_callback)(
    uint64_t size, size_t block, ssize_t (*read)(void *, uint64_t, char *, size_t), void *, void (*release)(void *));
  int (*add_header)(struct MHD_Response *, const char *, const char *);
  int (*queue)(struct MHD_Connection *, unsigned status, struct MHD_Response *);
  void (*destroy)(struct MHD_Response *);
  int (*feature)(int);
  const char *(*version)(void);
  int available;
} mhd;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_library(void) {
  void *library = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  // POSIX lets data pointers from dlsym be called; the copy through memory keeps ISO C content.
#define RESOLVE(field, symbol)                        \
  do {                                                \
    void *address = dlsym(library, symbol);           \
    if (!address) return;                             \
    memcpy(&mhd.field, &address, sizeof address);     \
  } while (0)
  RESOLVE(start, "MHD_start_daemon");
  RESOLVE(stop, "MHD_stop_daemon");
  RESOLVE(lookup, "MHD_lookup_connection_value");
  RESOLVE(info, "MHD_get_connection_info");
  RESOLVE(suspend, "MHD_suspend_connection");
  RESOLVE(resume, "MHD_resume_connection");
  RESOLVE(from_buffer, "MHD_create_response_from_buffer");
  RESOLVE(from_callback, "MHD_create_response_from_callback");
  RESOLVE(add_header, "MHD_add_response_header");
  RESOLVE(queue, "MHD_queue_response");
  RESOLVE(destroy, "MHD_destroy_response");
  RESOLVE(feature, "MHD_is_feature_supported");
  RESOLVE(version, "MHD_get_version");
#undef RESOLVE
  mhd.available = 1;
}

int angel_http_available(void) {
  pthread_once(&once, open_library);
  return mhd.available;
}

int angel_http_has_tls(void) { return angel_http_available() && mhd.feature(FEATURE_TLS) == YES; }

const char *angel_http_version(void) { return angel_http_available() ? mhd.version() : ""; }

// The callbacks find the options here: the daemon has one pointer for each, and they must outlive it.
static int on_access(
  void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
  const char *upload, size_t *upload_size, void **exchange) {
  (void)version;
  const angel_http_options *options = context;
  if (!*exchange) {
    // Nothing is answered in the first call: an answer here would close the connection after it.
    *exchange = options->begin(options->context, connection, url, method);
    return *exchange ? YES : NO;
  }
  if (*upload_size) {
    const angel_http_verdict verdict = options->body(*exchange, upload, *upload_size);
    *upload_size = 0;
    return verdict == ANGEL_HTTP_GO_ON ? YES : NO;
  }
  return options->proceed(*exchange, connection) == ANGEL_HTTP_GO_ON ? YES : NO;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **exchange, int code) {
  (void)connection;
  const angel_http_options *options = context;
  if (*exchange) options->end(*exchange, code == TERMINATED_OK);
  *exchange = NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **slot, int code) {
  const angel_http_options *options = context;
  options->connection(options->context, connection, slot, code == NOTIFY_CLOSED);
}

angel_http_daemon *angel_http_start(const angel_http_options *options) {
  void *context = (void *)options;
  struct option table[] = {
    {OPTION_LISTEN_SOCKET, options->listener, NULL},
    {OPTION_THREADS, options->threads, NULL},
    {OPTION_STACK, (intptr_t)options->stack_bytes, NULL},
    {OPTION_CONNECTION_LIMIT, options->connections, NULL},
    {OPTION_TIMEOUT, options->idle_seconds, NULL},
    {OPTION_MEMORY_LIMIT, (intptr_t)options->head_bytes, NULL},
    {OPTION_STRICT, 1, NULL},
    {OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, context},
    {OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, context},
    {OPTION_END, 0, NULL},
    {OPTION_END, 0, NULL},
    {OPTION_END, 0, NULL},
  };
  unsigned flags = FLAG_EPOLL | FLAG_INTERNAL_THREADS | FLAG_SUSPEND;
  if (options->certificate) {
    const size_t end = sizeof table / sizeof *table - 3;
    table[end] = (struct option){OPTION_TLS_KEY, 0, (void *)options->key};
    table[end + 1] = (struct option){OPTION_TLS_CERTIFICATE, 0, (void *)options->certificate};
    flags |= FLAG_TLS;
  }
  return mhd.start(flags, 0, NULL, NULL, on_access, context, OPTION_ARRAY, table, OPTION_END);
}

void angel_http_stop(angel_http_daemon *daemon) { mhd.stop(daemon); }

int angel_http_socket(angel_http_connection *connection) {
  const int *socket = mhd.info(connection, INFO_SOCKET);
  return socket ? *socket : -1;
}

void *angel_http_slot(angel_http_connection *connection) {
  void *const *slot = mhd.info(connection, INFO_SLOT);
  return slot ? *slot : NULL;
}

const char *angel_http_header(angel_http_connection *connection, const char *name) {
  return mhd.lookup(connection, KIND_HEADER, name);
}

void angel_http_suspend(angel_http_connection *connection) { mhd.suspend(connection); }
void angel_http_resume(angel_http_connection *connection) { mhd.resume(connection); }

static int finish(angel_http_connection *connection, const angel_http_head *head, struct MHD_Response *response) {
  if (!response) return 0;
  int result = YES;
  for (size_t i = 0; i + 1 < head->header_count && result == YES; i += 2)
    result = mhd.add_header(response, head->headers[i], head->headers[i + 1]);
  if (result == YES) result = mhd.queue(connection, head->status, response);
  mhd.destroy(response);
  return result == YES;
}

int angel_http_respond(angel_http_connection *connection, const angel_http_head *head, const void *bytes, size_t count) {
  return finish(connection, head, mhd.from_buffer(count, (void *)bytes, MEMORY_MUST_COPY));
}

int angel_http_respond_streaming(
  angel_http_connection *connection, const angel_http_head *head, void *context,
  ssize_t (*read)(void *context, uint64_t position, char *buffer, size_t room), void (*release)(void *context)) {
  enum { BLOCK = 1 << 14 };
  struct MHD_Response *response = mhd.from_callback(UINT64_MAX, BLOCK, read, context, release);
  if (!response) release(context);
  return finish(connection, head, response);
}
