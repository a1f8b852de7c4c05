/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP for who serves it, by libmicrohttpd: one thread, one request after the other, and a bound on
 * everything that a client can make us hold: connections, bytes of a request, the time that a
 * request takes and the time between two. Knows nothing of witnesses.
 */
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "cli/log/log.h"

enum {
	CONNECTIONS = 128,
	HEADER_MAX = 16384, /* of a connection: request line and headers, both ways */
	IDLE_S = 10,        /* without a byte */
	REQUEST_S = 20,     /* from the connection, or the answer before, to the last byte */
	STOP_S = 5,         /* for what was begun when we are told to stop */
	TICK_MS = 500,
};

struct connection {
	bool used;
	bool busy; /* within a request */
	int fd;
	time_t due;
};

struct server {
	size_t body_max;
	log_http_fn answer;
	void *ctx;
	struct connection connection[CONNECTIONS];
};

/* A request on its way in. */
struct incoming {
	struct buf body;
};

static time_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* -------------------------------------------------------------- connections */

static struct connection *connection_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void on_connection(void *ctx, struct MHD_Connection *c, void **mine,
                          enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct server *s = ctx;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		struct connection *k = *mine;

		if (k)
			*k = (struct connection){0};
		return;
	}
	for (size_t i = 0; info && i < CONNECTIONS; i++) {
		struct connection *k = &s->connection[i];

		if (k->used)
			continue;
		*k = (struct connection){true, false, info->connect_fd, now_s() + REQUEST_S};
		*mine = k;
		return;
	}
}

/* libmicrohttpd ends what is idle; what sends a byte now and then is ended here. */
static void end_overdue(struct server *s)
{
	time_t now = now_s();

	for (size_t i = 0; i < CONNECTIONS; i++) {
		struct connection *k = &s->connection[i];

		if (k->used && now >= k->due)
			shutdown(k->fd, SHUT_RDWR);
	}
}

static bool any_busy(const struct server *s)
{
	for (size_t i = 0; i < CONNECTIONS; i++) {
		if (s->connection[i].busy)
			return true;
	}
	return false;
}

/* ----------------------------------------------------------------- requests */

static void peer_text(struct MHD_Connection *c, char out[static NI_MAXHOST])
{
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *a = info ? info->client_addr : NULL;
	socklen_t n = a && a->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
	                                            : sizeof(struct sockaddr_in);

	if (!a || getnameinfo(a, n, out, NI_MAXHOST, NULL, 0, NI_NUMERICHOST))
		snprintf(out, NI_MAXHOST, "unknown");
}

static enum MHD_Result reply(struct MHD_Connection *c, const struct log_http_reply *r)
{
	struct MHD_Response *response =
	        MHD_create_response_from_buffer(r->body.n, r->body.p, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result ok = response ? MHD_YES : MHD_NO;

	if (ok && r->type)
		ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r->type);
	if (ok && r->allow)
		ok = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, r->allow);
	if (ok)
		ok = MHD_queue_response(c, r->status, response);
	if (response)
		MHD_destroy_response(response);
	return ok;
}

static enum MHD_Result begin(const struct server *s, struct MHD_Connection *c, void **mine)
{
	const char *length =
	        MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
	struct log_http_reply large = {.status = MHD_HTTP_CONTENT_TOO_LARGE};
	struct connection *k = connection_of(c);
	struct incoming *in;
	uint64_t n;

	if (!k)
		return MHD_NO;
	k->busy = true;
	if (length && decimal_u64(bytes_str(length), s->body_max, &n))
		return reply(c, &large);
	in = malloc(sizeof(*in));
	if (!in)
		return MHD_NO;
	in->body = buf_make(s->body_max);
	*mine = in;
	return MHD_YES;
}

/* An MHD_AccessHandlerCallback: for the headers, for each piece of the body, and at its end. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **mine)
{
	const struct server *s = ctx;
	struct log_http_reply out = {.body = buf_make(NOTE_MAX)};
	struct log_http_request q = {.method = method, .path = path};
	struct incoming *in = *mine;
	char peer[NI_MAXHOST];
	enum MHD_Result ok;

	(void)version;
	if (!in)
		return begin(s, c, mine);
	if (*n) {
		buf_put(&in->body, data, *n);
		*n = 0;
		/* In the middle of a body there can be no answer: the connection ends. */
		return in->body.bad ? MHD_NO : MHD_YES;
	}
	peer_text(c, peer);
	q.peer = peer;
	q.body = buf_view(&in->body);
	s->answer(s->ctx, &q, &out);
	ok = out.body.bad ? MHD_NO : reply(c, &out);
	buf_free(&out.body);
	return ok;
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **mine,
                         enum MHD_RequestTerminationCode why)
{
	struct connection *k = connection_of(c);
	struct incoming *in = *mine;

	(void)ctx;
	(void)why;
	if (k) {
		k->busy = false;
		k->due = now_s() + REQUEST_S;
	}
	if (in)
		buf_free(&in->body);
	free(in);
	*mine = NULL;
}

/* Paths are compared as they come: nothing is written in two ways. */
static size_t keep_escapes(void *ctx, struct MHD_Connection *c, char *text)
{
	(void)ctx;
	(void)c;
	return strlen(text);
}

/* ------------------------------------------------------------------- socket */

int log_http_listen(const char *address)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	                               .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	const char *colon = strrchr(address, ':');
	struct addrinfo *ai = NULL;
	char host[NI_MAXHOST];
	const int yes = 1;
	uint64_t port;
	int fd;
	int ret = 0;

	/* getaddrinfo takes 65537 for 1. */
	if (!colon || colon == address || decimal_u64(bytes_str(colon + 1), UINT16_MAX, &port))
		return -EINVAL;
	if (address[0] == '[' && colon[-1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int)(colon - address) - 2, address + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
	if (getaddrinfo(host, colon + 1, &hints, &ai))
		return -EINVAL;
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, CONNECTIONS))
		ret = -errno;
	freeaddrinfo(ai);
	if (ret && fd >= 0)
		close(fd);
	return ret ? ret : fd;
}

/* --------------------------------------------------------------------- loop */

static struct MHD_Daemon *start(struct server *s, int listener)
{
	return MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, s,
	                        MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
	                        (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	                        (size_t)HEADER_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
	                        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK,
	                        keep_escapes, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
	                        MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_END);
}

static int wait_for(struct MHD_Daemon *d, struct pollfd fds[static 2])
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD);
	MHD_UNSIGNED_LONG_LONG ms = TICK_MS;

	if (!info)
		return -EIO;
	fds[0] = (struct pollfd){info->epoll_fd, POLLIN, 0};
	if (MHD_get_timeout(d, &ms) != MHD_YES || ms > TICK_MS)
		ms = TICK_MS;
	if (poll(fds, 2, (int)ms) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

static int loop(struct server *s, struct MHD_Daemon *d, int signals)
{
	struct pollfd fds[2] = {{-1, POLLIN, 0}, {signals, POLLIN, 0}};
	time_t until = 0;
	int ret = 0;

	while (!ret && (!until || (any_busy(s) && now_s() < until))) {
		ret = wait_for(d, fds);
		if (!ret && !until && (fds[1].revents & POLLIN)) {
			int listener = MHD_quiesce_daemon(d);

			if (listener >= 0)
				close(listener);
			until = now_s() + STOP_S;
			fds[1].fd = -1;
		}
		if (!ret && MHD_run(d) != MHD_YES)
			ret = -EIO;
		end_overdue(s);
	}
	return ret;
}

int log_http_serve(int listener, size_t body_max, log_http_fn answer, void *ctx)
{
	struct server *s = calloc(1, sizeof(*s));
	struct MHD_Daemon *d = NULL;
	sigset_t stop;
	int signals = -1;
	int ret = s ? 0 : -ENOMEM;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	if (!ret && (sigprocmask(SIG_BLOCK, &stop, NULL) ||
	             (signals = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK)) < 0))
		ret = -errno;
	if (!ret) {
		*s = (struct server){.body_max = body_max, .answer = answer, .ctx = ctx};
		d = start(s, listener);
		ret = d ? loop(s, d, signals) : -EIO;
	}
	/* Stopping closes the listening socket, unless it was taken back before. */
	if (d)
		MHD_stop_daemon(d);
	else
		close(listener);
	if (signals >= 0)
		close(signals);
	free(s);
	return ret;
}
