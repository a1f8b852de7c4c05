/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: clients, lines and objects. What the verbs mean is verbs.c's. Every buffer
 * is bounded, nothing blocks, and a client of another user than root is turned away unheard.
 */
#include "daemon/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct client {
	int fd; /* -1: free */
	uint64_t id;
	bool waiting; /* for a late answer */
	bool watching;
	bool closing; /* once out is sent */
	int pass;     /* a descriptor that goes out with the next bytes, owned; -1: none */
	size_t in_n;
	size_t out_n;
	char *out; /* owned */
	char in[CONTROL_REQUEST_MAX];
};

struct control {
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	uint64_t last;
	control_answer_fn fn;
	void *ctx;
	struct client client[CONTROL_CLIENTS_MAX];
};

json_t *control_error(enum control_kind kind, const char *fmt, ...)
{
	static const char *const kinds[] = {"usage", "no", "unavailable"};
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *s = text; *s; s++) {
		if (*s < 0x20 || *s > 0x7e)
			*s = '?';
	}
	return json_pack("{s:b, s:s, s:s}", "ok", 0, "kind", kinds[kind], "error", text);
}

/* --------------------------------------------------------------------- open */

static int listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;

	mode_t old = umask(0177); /* born 0600 */
	int ret = unlink(path) && errno != ENOENT ? -errno : 0;

	if (!ret && (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 8)))
		ret = -errno;
	umask(old);
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

int control_open(const char *path, control_answer_fn fn, void *ctx, struct control **out)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->fd = listen_at(path);
	if (c->fd < 0) {
		int ret = c->fd;

		free(c);
		return ret;
	}
	snprintf(c->path, sizeof(c->path), "%s", path);
	c->fn = fn;
	c->ctx = ctx;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		c->client[i].fd = c->client[i].pass = -1;
	*out = c;
	return 0;
}

static void client_close(struct client *k)
{
	if (k->fd >= 0)
		close(k->fd);
	if (k->pass >= 0)
		close(k->pass);
	free(k->out);
	memset(k, 0, sizeof(*k));
	k->fd = k->pass = -1;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		client_close(&c->client[i]);
	unlink(c->path);
	close(c->fd);
	free(c);
}

/* --------------------------------------------------------------------- send */

/* As send(); what is to be passed on goes with the first byte, and then is not ours any more. */
static ssize_t send_some(struct client *k)
{
	struct iovec iov = {k->out, k->out_n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} ctl = {.space = {0}};
	struct cmsghdr *h;
	ssize_t put;

	if (k->pass >= 0) {
		m.msg_control = &ctl;
		m.msg_controllen = sizeof(ctl);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &k->pass, sizeof(k->pass));
	}
	put = sendmsg(k->fd, &m, MSG_NOSIGNAL);
	if (put > 0 && k->pass >= 0) {
		close(k->pass);
		k->pass = -1;
	}
	return put;
}

static void client_flush(struct client *k)
{
	while (k->fd >= 0 && k->out_n) {
		ssize_t put = send_some(k);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && errno != EAGAIN) {
			client_close(k);
			return;
		}
		if (put < 0)
			return;
		k->out_n -= (size_t)put;
		memmove(k->out, k->out + put, k->out_n);
	}
	if (k->closing && !k->out_n)
		client_close(k);
}

static void client_send(struct client *k, const char *data, size_t n)
{
	char *more = realloc(k->out, k->out_n + n);

	if (!more) {
		client_close(k);
		return;
	}
	memcpy(more + k->out_n, data, n);
	k->out = more;
	k->out_n += n;
	client_flush(k);
}

static void client_answer(struct client *k, json_t *answer)
{
	static const char broken[] =
	        "{\"ok\":false,\"kind\":\"unavailable\",\"error\":\"keygated is out of memory\"}\n";
	char *text = answer ? json_dumps(answer, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

	json_decref(answer);
	k->waiting = false;
	if (text && strlen(text) < CONTROL_RESPONSE_MAX) {
		size_t n = strlen(text);

		text[n] = '\n'; /* in place of the NUL */
		client_send(k, text, n + 1);
	} else {
		client_send(k, broken, sizeof(broken) - 1);
	}
	free(text);
}

static struct client *find(struct control *c, uint64_t id)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (c->client[i].fd >= 0 && c->client[i].id == id)
			return &c->client[i];
	}
	return NULL;
}

void control_reply(struct control *c, uint64_t client, json_t *answer)
{
	struct client *k = find(c, client);

	if (k)
		client_answer(k, answer);
	else
		json_decref(answer);
}

void control_pass(struct control *c, uint64_t client, int fd)
{
	struct client *k = find(c, client);

	if (k && k->pass < 0)
		k->pass = fd;
	else
		close(fd);
}

void control_watch(struct control *c, uint64_t client)
{
	struct client *k = find(c, client);

	if (k)
		k->watching = true;
}

void control_broadcast(struct control *c, const char *line, size_t n)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *k = &c->client[i];

		if (k->fd < 0 || !k->watching)
			continue;
		if (k->out_n + n > CONTROL_WATCH_BACKLOG)
			client_close(k);
		else
			client_send(k, line, n);
	}
}

/* ------------------------------------------------------------------ receive */

static void take_line(struct control *c, struct client *k, const char *line, size_t n)
{
	json_error_t e;
	json_t *request = json_loadb(line, n, JSON_REJECT_DUPLICATES, &e);
	uint64_t id = k->id;
	json_t *answer;

	if (!json_is_object(request)) {
		client_answer(k, control_error(CONTROL_USAGE, "not a JSON object: %s",
		                               request ? "another type" : e.text));
		json_decref(request);
		return;
	}
	k->waiting = true;
	answer = c->fn(c->ctx, id, request);
	json_decref(request);
	/* fn may have ended this client by a broadcast. */
	if (answer)
		control_reply(c, id, answer);
}

/* One line at a time: the next when its answer is on the way. */
static void take_lines(struct control *c, struct client *k)
{
	uint64_t id = k->id;

	while (k->fd >= 0 && k->id == id && !k->waiting && !k->watching && !k->closing) {
		char *end = memchr(k->in, '\n', k->in_n);
		char line[CONTROL_REQUEST_MAX];

		if (!end && k->in_n == sizeof(k->in)) {
			k->closing = true;
			client_answer(k, control_error(CONTROL_USAGE, "the line is too long"));
			return;
		}
		if (!end)
			return;

		size_t n = (size_t)(end - k->in);

		memcpy(line, k->in, n);
		k->in_n -= n + 1;
		memmove(k->in, end + 1, k->in_n);
		take_line(c, k, line, n);
	}
}

static void client_read(struct control *c, struct client *k)
{
	ssize_t got;

	/* No room: a line is waiting for the answer to the one before. */
	if (k->in_n == sizeof(k->in))
		return;
	got = recv(k->fd, k->in + k->in_n, sizeof(k->in) - k->in_n, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		client_close(k);
		return;
	}
	k->in_n += (size_t)got;
	take_lines(c, k);
}

static bool peer_is_root(int fd)
{
	struct ucred u;
	socklen_t n = sizeof(u);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &n) && n == sizeof(u) && u.uid == 0;
}

static void accept_client(struct control *c)
{
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX && peer_is_root(fd); i++) {
		if (c->client[i].fd < 0) {
			c->client[i].fd = fd;
			c->client[i].id = ++c->last;
			return;
		}
	}
	close(fd);
}

size_t control_poll(struct control *c, struct pollfd p[static CONTROL_POLL_MAX])
{
	size_t n = 0;

	p[n++] = (struct pollfd){.fd = c->fd, .events = POLLIN};
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		const struct client *k = &c->client[i];
		short events = 0;

		if (k->fd < 0)
			continue;
		if (k->in_n < sizeof(k->in))
			events |= POLLIN;
		if (k->out_n)
			events |= POLLOUT;
		p[n++] = (struct pollfd){.fd = k->fd, .events = events};
	}
	return n;
}

void control_handle(struct control *c, const struct pollfd *p, size_t n)
{
	for (size_t at = 0; at < n; at++) {
		if (!p[at].revents)
			continue;
		for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
			struct client *k = &c->client[i];

			if (k->fd < 0 || k->fd != p[at].fd)
				continue;
			if (p[at].revents & POLLOUT)
				client_flush(k);
			if (k->fd >= 0 && (p[at].revents & (POLLIN | POLLHUP | POLLERR)))
				client_read(c, k);
		}
	}
	/* What waited behind a late answer. */
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (c->client[i].fd >= 0 && c->client[i].in_n)
			take_lines(c, &c->client[i]);
	}
	/* Last: a new client may get the number of a descriptor that was just closed. */
	if (n && p[0].fd == c->fd && (p[0].revents & POLLIN))
		accept_client(c);
}
