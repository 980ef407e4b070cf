// An HTTP/1.1 server through libmicrohttpd, opened at run time. Its own threads (epoll) receive requests and send answers; an
// exchange that has nothing to say yet is suspended and resumed from any thread. Tested with version 0.9.75.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct MHD_Daemon angel_http_daemon;
typedef struct MHD_Connection angel_http_connection;

// What a callback that decides about a connection says.
typedef enum {
  ANGEL_HTTP_CLOSE = 0,  // give the connection up at once
  ANGEL_HTTP_GO_ON = 1,
} angel_http_verdict;

// What a reader returns besides a number of bytes; 0 only after angel_http_suspend.
enum { ANGEL_HTTP_END = -1, ANGEL_HTTP_BREAK = -2 };

typedef struct {
  // A listening socket; the daemon does not close it.
  int listener;
  unsigned threads;
  size_t stack_bytes;
  unsigned connections;
  // A connection on which nothing moves for so long is closed; a suspended one is not.
  unsigned idle_seconds;
  // Room for a request's head, and for the pieces in which bodies come.
  size_t head_bytes;
  // PEM texts; both NULL without TLS.
  const char *certificate;
  const char *key;
  void *context;
  // A connection has come (closed = 0) or gone. What *slot is set to, `connection_slot` returns.
  void (*connection)(void *context, angel_http_connection *connection, void **slot, int closed);
  // A request's head has come: the object that stands for it, NULL to close. Called before its body is there.
  void *(*begin)(
    void *context, angel_http_connection *connection, const char *path, const char *method);
  // A piece of its body.
  angel_http_verdict (*body)(void *exchange, const char *bytes, size_t count);
  // The request is whole, or the connection was resumed: answer with angel_http_respond…, or suspend.
  angel_http_verdict (*proceed)(void *exchange, angel_http_connection *connection);
  // The exchange is over, whatever came of it; whole is 0 when the answer was not delivered.
  void (*end)(void *exchange, int whole);
} angel_http_options;

// Whether libmicrohttpd could be opened, and whether it can do TLS. Safe to call from any thread.
int angel_http_available(void);
int angel_http_has_tls(void);
// The library's own version; "" without it.
const char *angel_http_version(void);

// Starts the threads; NULL when the library refuses. Only when angel_http_available().
angel_http_daemon *angel_http_start(const angel_http_options *options);
// Ends the threads; no exchange may be suspended.
void angel_http_stop(angel_http_daemon *daemon);

// The connection's socket, and the slot its `connection` callback filled. Valid until the connection has gone.
int angel_http_socket(angel_http_connection *connection);
void *angel_http_slot(angel_http_connection *connection);

// A header of the request, NULL without it. Valid during the exchange, on the daemon's thread.
const char *angel_http_header(angel_http_connection *connection, const char *name);

// Suspends from inside `proceed` or a reader; resumes from anywhere, once for each time it was suspended.
void angel_http_suspend(angel_http_connection *connection);
void angel_http_resume(angel_http_connection *connection);

// An answer's head: a status and header lines, names and values in turn.
typedef struct {
  unsigned status;
  const char *const *headers;
  size_t header_count;
} angel_http_head;

// Answers with a whole body, which is copied. 0 when the library refuses.
int angel_http_respond(angel_http_connection *connection, const angel_http_head *head, const void *bytes, size_t count);

// Answers with what `read` puts into the buffer, piece by piece; `release` is called once, also when 0 is returned.
int angel_http_respond_streaming(
  angel_http_connection *connection, const angel_http_head *head, void *context,
  ssize_t (*read)(void *context, uint64_t position, char *buffer, size_t room), void (*release)(void *context));
