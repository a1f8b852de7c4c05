/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The destination's listener. A thread a connection: TLS handshake and evidence under one
 * deadline (attest.c of this room), then the pump (pump.c). Threads share only the configuration,
 * which nobody writes, and the places of connections.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <openssl/err.h>
#include "attester/answer.h"
#include "attester/places.h"
#include "attester/pump.h"
#include "attester/rpc.h"
#include "attester/serve.h"

struct connection {
	const struct serve_config *config;
	SSL_CTX *tls;
	int fd;
	struct place place;
};

static struct places places = {.lock = PTHREAD_MUTEX_INITIALIZER};

SSL_CTX *serve_tls_context(const char *common_name)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key ? answer_certificate(key, common_name, NULL, BYTES_NONE) : NULL;
	bool ok = ctx && cert && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) &&
	          SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) &&
	          SSL_CTX_set_ciphersuites(ctx, SERVE_SUITES) && SSL_CTX_set_num_tickets(ctx, 0) &&
	          SSL_CTX_set_max_early_data(ctx, 0) && SSL_CTX_use_certificate(ctx, cert) &&
	          SSL_CTX_use_PrivateKey(ctx, key);

	if (ok) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_read_ahead(ctx, 0);
		SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
		                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
		serve_answers(ctx);
	} else {
		SSL_CTX_free(ctx);
		ctx = NULL;
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

int serve_listen(const struct serve_config *c)
{
	int one = 1, rc;
	int fd = socket(c->listen.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	    bind(fd, (const struct sockaddr *)&c->listen, c->listen_len) == 0 &&
	    listen(fd, 1024) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static int connect_service(const struct serve_config *c)
{
	struct pollfd p;
	socklen_t len = sizeof(int);
	int err = 0,
	    fd = socket(c->forward.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&c->forward, c->forward_len) == -1 &&
	    errno != EINPROGRESS) {
		err = errno;
	} else {
		p = (struct pollfd){.fd = fd, .events = POLLOUT};
		if (poll(&p, 1, SERVE_HANDSHAKE_MS) != 1)
			err = ETIMEDOUT;
		else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1)
			err = errno;
	}
	if (err) {
		close(fd);
		return -err;
	}
	return fd;
}

static void reset_on_close(int fd)
{
	struct linger l = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static void serve_one(struct connection *c)
{
	const char *step = "tls";
	struct buf early = buf_make(SERVE_EARLY_MAX);
	SSL *ssl = SSL_new(c->tls);
	int service = -1, one = 1, rc = -ENOMEM;

	if (!ssl || !SSL_set_fd(ssl, c->fd))
		goto out;
	if (fcntl(c->fd, F_SETFL, O_NONBLOCK) == -1) {
		rc = -errno;
		goto out;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	step = "rpc";
	rc = c->config->rpc_tls ? rpc_start_tls(c->fd, SERVE_HANDSHAKE_MS) : 0;
	if (rc)
		goto out;
	rc = serve_attest(c->config, ssl, &early, &step);
	if (rc)
		goto out;
	step = "service";
	service = connect_service(c->config);
	if (service < 0) {
		rc = service;
		goto out;
	}
	setsockopt(service, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	step = "relay";
	rc = pump_run(ssl, service, buf_view(&early), c->config->idle_s);
out:
	buf_free(&early);
	if (rc) {
		fprintf(stderr, "event: connection-failed, step: %s, error: %s\n", step,
		        strerror(-rc));
		reset_on_close(c->fd);
		if (service >= 0)
			reset_on_close(service);
	}
	if (service >= 0)
		close(service);
	SSL_free(ssl);
	ERR_clear_error();
	close(c->fd);
}

static void *serve_thread(void *arg)
{
	struct connection *c = arg;

	serve_one(c);
	places_leave(&places, &c->place);
	free(c);
	return NULL;
}

/* Takes fd. NULL, or why the connection is refused. */
static const char *serve_start(const struct serve_config *config, SSL_CTX *tls, int fd,
                               const struct sockaddr_storage *from, const pthread_attr_t *attr)
{
	static const char *const no_place[] = {[PLACES_FULL] = "no place is left",
	                                       [PLACES_HALF_TAKEN] =
	                                               "its address has half of the places"};
	struct connection *c = malloc(sizeof(*c));
	const char *why = "no memory";
	enum places_answer answer;
	pthread_t thread;

	if (!c)
		goto refuse;
	*c = (struct connection){.config = config, .tls = tls, .fd = fd};
	answer = places_take(&places, config->max_connections, from, &c->place);
	if (answer != PLACES_TAKEN) {
		why = no_place[answer];
		goto refuse;
	}
	if (!pthread_create(&thread, attr, serve_thread, c))
		return NULL;
	places_leave(&places, &c->place);
	why = "no thread";
refuse:
	free(c);
	reset_on_close(fd);
	close(fd);
	return why;
}

/* Once a minute, for who is refused tries again. */
static void say_refused(const char *why)
{
	static time_t next;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec < next)
		return;
	next = now.tv_sec + 60;
	fprintf(stderr, "event: connection-refused, reason: %s\n", why);
}

int serve_run(const struct serve_config *c, SSL_CTX *tls, int listener, const volatile int *stop)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	pthread_attr_t attr;
	int rc = 0;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, (size_t)256 * 1024);
	while (!*stop && rc == 0) {
		struct sockaddr_storage from = {0};
		socklen_t len = sizeof(from);
		const char *why;
		int fd;

		if (poll(&p, 1, 1000) != 1)
			continue;
		fd = accept4(listener, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);
		if (fd == -1) {
			/* Out of descriptors or memory: wait for some to come back. */
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			    errno == ENOBUFS)
				poll(NULL, 0, 100);
			else if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK)
				rc = -errno;
			continue;
		}
		why = serve_start(c, tls, fd, &from, &attr);
		if (why)
			say_refused(why);
	}
	pthread_attr_destroy(&attr);
	return rc;
}
