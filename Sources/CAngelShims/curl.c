#include "curl_shim.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

// The part of libcurl's interface that is used; its numbers are a stable ABI since version 7.32.
typedef void CURL;
struct curl_slist;
struct curl_sockaddr {
  int family, socktype, protocol;
  unsigned int addrlen;
  struct sockaddr addr;
};
enum {
  OPT_WRITEDATA = 10001, OPT_URL = 10002, OPT_RANGE = 10007, OPT_ERRORBUFFER = 10010, OPT_USERAGENT = 10018, OPT_HTTPHEADER = 10023,
  OPT_HEADERDATA = 10029, OPT_XFERINFODATA = 10057, OPT_OPENSOCKETDATA = 10164,
  OPT_LOW_SPEED_LIMIT = 19, OPT_LOW_SPEED_TIME = 20, OPT_NOPROGRESS = 43, OPT_NOBODY = 44, OPT_FOLLOWLOCATION = 52,
  OPT_CONNECTTIMEOUT = 78, OPT_NOSIGNAL = 99, OPT_PROTOCOLS = 181,
  OPT_WRITEFUNCTION = 20011, OPT_HEADERFUNCTION = 20079, OPT_OPENSOCKETFUNCTION = 20163, OPT_XFERINFOFUNCTION = 20219,
};
enum { INFO_RESPONSE_CODE = 0x200002, INFO_REDIRECT_URL = 0x10001F, INFO_PRIMARY_IP = 0x100020 };
enum { PROTOCOL_HTTP = 1, PROTOCOL_HTTPS = 2, GLOBAL_DEFAULT = 3 };
enum { E_OK = 0, E_PROXY = 5, E_HOST = 6, E_CONNECT = 7, E_PARTIAL = 18, E_WRITE = 23, E_TIMEOUT = 28, E_ABORTED = 42,
  E_GOT_NOTHING = 52, E_SEND = 55, E_RECV = 56, E_HTTP2 = 92, E_HTTP2_STREAM = 16 };

static struct {
  int (*global_init)(long);
  CURL *(*easy_init)(void);
  void (*easy_cleanup)(CURL *);
  void (*reset)(CURL *);
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
  RESOLVE(reset, "curl_easy_reset");
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

// The session is libcurl's own handle, which keeps its connections when it is reset.
angel_curl_session *angel_curl_open(void) { return (angel_curl_session *)curl.easy_init(); }

void angel_curl_close(angel_curl_session *session) {
  if (session) curl.easy_cleanup((CURL *)session);
}

// Registered by IANA as not for the public (RFC 6890), besides multicast and what is reserved.
static int is_private_v4(uint32_t a) {
  static const struct { uint32_t network; int bits; } blocks[] = {
    {0x00000000, 8}, {0x0A000000, 8}, {0x64400000, 10}, {0x7F000000, 8}, {0xA9FE0000, 16}, {0xAC100000, 12},
    {0xC0000000, 24}, {0xC0A80000, 16}, {0xC6120000, 15}, {0xE0000000, 3},
  };
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
    if ((a ^ blocks[i].network) >> (32 - blocks[i].bits) == 0) return 1;
  return 0;
}

static int is_private_v6(const uint8_t a[16]) {
  static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  static const uint8_t translated[12] = {0, 0x64, 0xFF, 0x9B};
  static const uint8_t zero[12];
  const uint32_t last = (uint32_t)a[12] << 24 | (uint32_t)a[13] << 16 | (uint32_t)a[14] << 8 | a[15];
  // :: and ::1 are among the addresses that hold an old one (::a.b.c.d), which nobody should use.
  if (memcmp(a, zero, 12) == 0) return 1;
  if (memcmp(a, mapped, 12) == 0 || memcmp(a, translated, 12) == 0) return is_private_v4(last);
  return (a[0] & 0xFE) == 0xFC || (a[0] == 0xFE && a[1] >= 0x80) || a[0] == 0xFF;
}

static int is_private_socket(const struct sockaddr *address) {
  if (address->sa_family == AF_INET) {
    struct sockaddr_in v4;
    memcpy(&v4, address, sizeof v4);
    return is_private_v4(ntohl(v4.sin_addr.s_addr));
  }
  if (address->sa_family != AF_INET6) return 1;
  struct sockaddr_in6 v6;
  memcpy(&v6, address, sizeof v6);
  return is_private_v6(v6.sin6_addr.s6_addr);
}

int angel_curl_is_private(const char *text) {
  struct in_addr v4;
  struct in6_addr v6;
  if (inet_pton(AF_INET, text, &v4) == 1) return is_private_v4(ntohl(v4.s_addr));
  return inet_pton(AF_INET6, text, &v6) != 1 || is_private_v6(v6.s6_addr);
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

// The address that was looked up is the one that is connected to: no second look-up can say otherwise.
static int on_socket(void *refused, int purpose, struct curl_sockaddr *address) {
  (void)purpose;
  if (is_private_socket(&address->addr)) {
    *(int *)refused = 1;
    return -1;  // CURL_SOCKET_BAD
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
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
    case E_HTTP2:
    case E_HTTP2_STREAM: return ANGEL_CURL_INTERRUPTED;
    case E_PROXY:
    case E_HOST:
    case E_CONNECT: return ANGEL_CURL_UNREACHABLE;
    default: return ANGEL_CURL_FAILED;
  }
}

static void set_options(CURL *handle, const angel_curl_transfer *transfer, struct curl_slist *headers) {
  curl.setopt(handle, OPT_URL, transfer->url);
  curl.setopt(handle, OPT_USERAGENT, transfer->user_agent);
  curl.setopt(handle, OPT_HTTPHEADER, headers);
  curl.setopt(handle, OPT_NOSIGNAL, 1L);
  curl.setopt(handle, OPT_FOLLOWLOCATION, 0L);
  curl.setopt(handle, OPT_PROTOCOLS, (long)(PROTOCOL_HTTP | PROTOCOL_HTTPS));
  curl.setopt(handle, OPT_CONNECTTIMEOUT, (long)transfer->connect_seconds);
  curl.setopt(handle, OPT_LOW_SPEED_LIMIT, (long)transfer->low_speed_bytes);
  curl.setopt(handle, OPT_LOW_SPEED_TIME, (long)transfer->low_speed_seconds);
  if (transfer->head_only) curl.setopt(handle, OPT_NOBODY, 1L);
  // A plain range, not curl's own resuming: that fails when the server answers with the whole file.
  if (transfer->range) curl.setopt(handle, OPT_RANGE, transfer->range);
  curl.setopt(handle, OPT_WRITEFUNCTION, on_body);
  curl.setopt(handle, OPT_WRITEDATA, transfer);
  curl.setopt(handle, OPT_HEADERFUNCTION, on_header);
  curl.setopt(handle, OPT_HEADERDATA, transfer);
  curl.setopt(handle, OPT_XFERINFOFUNCTION, on_progress);
  curl.setopt(handle, OPT_XFERINFODATA, transfer);
  curl.setopt(handle, OPT_NOPROGRESS, 0L);
}

angel_curl_outcome angel_curl_perform(
  angel_curl_session *session, const angel_curl_transfer *transfer, angel_curl_result *result) {
  char error[256] = "";  // CURL_ERROR_SIZE
  int refused = 0;
  CURL *handle = (CURL *)session;
  memset(result, 0, sizeof *result);
  struct curl_slist *headers = NULL;
  for (size_t i = 0; i < transfer->header_count; i++) {
    struct curl_slist *longer = curl.append(headers, transfer->headers[i]);
    if (!longer) {
      // A request without one of its headers would be another request.
      curl.free_all(headers);
      snprintf(result->message, sizeof result->message, "out of memory");
      return ANGEL_CURL_FAILED;
    }
    headers = longer;
  }
  curl.reset(handle);
  set_options(handle, transfer, headers);
  curl.setopt(handle, OPT_ERRORBUFFER, error);
  if (transfer->public_only) {
    curl.setopt(handle, OPT_OPENSOCKETFUNCTION, on_socket);
    curl.setopt(handle, OPT_OPENSOCKETDATA, &refused);
  }
  const int code = curl.perform(handle);
  long status = 0;
  const char *text = NULL;
  curl.getinfo(handle, INFO_RESPONSE_CODE, &status);
  result->status = status;
  curl.getinfo(handle, INFO_PRIMARY_IP, &text);
  result->is_private = text && text[0] && angel_curl_is_private(text);
  text = NULL;
  curl.getinfo(handle, INFO_REDIRECT_URL, &text);
  if (text) transfer->redirect(transfer->context, text);
  snprintf(result->message, sizeof result->message, "%s", error[0] ? error : curl.message(code));
  // What the handle keeps must not point into this call.
  curl.reset(handle);
  curl.free_all(headers);
  return refused && code == E_CONNECT ? ANGEL_CURL_PRIVATE : outcome_of(code);
}
