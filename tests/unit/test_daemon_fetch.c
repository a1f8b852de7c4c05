/* SPDX-License-Identifier: Apache-2.0 */
/* The fetch role behind its socket: tiles from files, proofs that hold, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/file.h"
#include "daemon/msg.h"
#include "daemon/role.h"
#include "ledger/ledger.h"

enum { LEAVES = 700 };

static struct {
	int sock, role_end;
	pthread_t thread;
	int status;
	char dir[64];
	struct hash leaf[LEAVES];
} w;

static int node(void *ctx, unsigned level, uint64_t index, struct hash *out)
{
	struct hash a, b;

	(void)ctx;
	if (!level) {
		*out = w.leaf[index];
		return 0;
	}
	node(NULL, level - 1, 2 * index, &a);
	node(NULL, level - 1, 2 * index + 1, &b);
	ledger_node_hash(&a, &b, out);
	return 0;
}

static void make_parents(const char *path)
{
	char part[256];

	for (const char *s = strchr(path + 1, '/'); s; s = strchr(s + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(s - path), path);
		(void)mkdir(part, 0700);
	}
}

/* The tile as it stands for a tree of this size. */
static void put_tile(unsigned level, uint64_t n, unsigned width)
{
	struct hash h[TILE_WIDTH];
	char path[256];
	char name[TILE_PATH_MAX];

	for (unsigned i = 0; i < width; i++)
		node(NULL, level * 8, n * TILE_WIDTH + i, &h[i]);
	assert_int_equal(ledger_tile_path(level, n, width, name, sizeof(name)), 0);
	snprintf(path, sizeof(path), "%s/%s", w.dir, name);
	make_parents(path);
	assert_int_equal(file_write_atomic(path, (struct bytes){h[0].v, width * HASH_LEN}, 0600),
	                 0);
}

static void put_tree(uint64_t size)
{
	for (unsigned level = 0; size >> (8 * level); level++) {
		uint64_t have = size >> (8 * level);

		for (uint64_t n = 0; n * TILE_WIDTH < have; n++) {
			uint64_t width = have - n * TILE_WIDTH;

			put_tile(level, n, width > TILE_WIDTH ? TILE_WIDTH : (unsigned)width);
		}
	}
}

static void *run_role(void *arg)
{
	(void)arg;
	w.status = role_fetch(w.role_end);
	close(w.role_end);
	return NULL;
}

static int setup(void **state)
{
	int sv[2];

	(void)state;
	strcpy(w.dir, "/tmp/keygate-fetch.XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	for (size_t i = 0; i < LEAVES; i++)
		ledger_leaf_hash((struct bytes){(const uint8_t *)&i, sizeof(i)}, &w.leaf[i]);
	put_tree(LEAVES);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	w.sock = sv[0];
	w.role_end = sv[1];
	assert_int_equal(pthread_create(&w.thread, NULL, run_role, NULL), 0);
	return 0;
}

static int rm_one(const char *path, const struct stat *sb, int type, struct FTW *f)
{
	(void)sb, (void)type, (void)f;
	return remove(path);
}

static void join(int status)
{
	pthread_join(w.thread, NULL);
	w.thread = 0;
	assert_int_equal(w.status, status);
}

static int teardown(void **state)
{
	(void)state;
	close(w.sock);
	if (w.thread)
		join(0);
	return nftw(w.dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void *receive(enum msg_type type, uint64_t request)
{
	static union msg_any in;
	struct msg_head head;
	int fd = -1;

	assert_int_equal(msg_recv(w.sock, &head, &in, sizeof(in), &fd), 0);
	assert_int_equal(head.type, type);
	assert_int_equal(head.session, request);
	assert_int_equal(fd, -1);
	return &in;
}

static const struct msg_consistent *prove(const char *url, uint64_t from, uint64_t to, bool lie)
{
	static uint64_t request;
	struct msg_consistency m = {.from = from, .to = to};

	snprintf(m.url, sizeof(m.url), "%s", url);
	assert_int_equal(ledger_root(node, NULL, to, &m.to_root), 0);
	if (lie)
		m.to_root.v[5] ^= 1;
	assert_int_equal(msg_send(w.sock, MSG_CONSISTENCY, ++request, &m, -1), 0);
	return receive(MSG_CONSISTENT, request);
}

static void expect_proof(const char *url, uint64_t from, uint64_t to)
{
	const struct msg_consistent *c = prove(url, from, to, false);
	struct hash a, b;

	assert_int_equal(c->err, 0);
	assert_int_equal(ledger_root(node, NULL, from, &a), 0);
	assert_int_equal(ledger_root(node, NULL, to, &b), 0);
	assert_int_equal(ledger_consistency(from, &a, to, &b, c->proof, c->n), 0);
}

static const char *url_of(const char *tail)
{
	static char url[256];

	snprintf(url, sizeof(url), "file://%s%s", w.dir, tail);
	return url;
}

static void test_proofs_hold(void **state)
{
	(void)state;
	expect_proof(url_of(""), 1, LEAVES);
	expect_proof(url_of("/"), 255, LEAVES);
	expect_proof(url_of(""), 256, LEAVES);
	expect_proof(url_of(""), 513, LEAVES);
	expect_proof(url_of(""), LEAVES - 1, LEAVES);
}

/* The partial tile of an older tree is gone, the full one is there. */
static void test_partial_tile_is_gone(void **state)
{
	(void)state;
	put_tile(1, 0, 1);
	expect_proof(url_of(""), 100, 300);
}

static void test_tiles_of_another_tree(void **state)
{
	(void)state;
	assert_int_equal(prove(url_of(""), 5, LEAVES, true)->err, -EBADMSG);
}

static void test_tile_of_wrong_size(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/tile/0/000", w.dir);
	assert_int_equal(truncate(path, TILE_BYTES - 1), 0);
	assert_int_equal(prove(url_of(""), 5, LEAVES, false)->err, -ENODATA);
	assert_int_equal(truncate(path, TILE_BYTES + 1), 0);
	assert_int_equal(prove(url_of(""), 5, LEAVES, false)->err, -EFBIG);
}

/* One that the root does not rest on: what it would prove is looked at before it is believed. */
static void test_a_wrong_tile_below(void **state)
{
	uint8_t *tile = NULL;
	char path[256];
	size_t n = 0;

	(void)state;
	snprintf(path, sizeof(path), "%s/tile/0/000", w.dir);
	assert_int_equal(file_read(path, TILE_BYTES, &tile, &n), 0);
	tile[0] ^= 1;
	assert_int_equal(file_write_atomic(path, (struct bytes){tile, n}, 0600), 0);
	free(tile);
	assert_int_equal(prove(url_of(""), 5, LEAVES, false)->err, -EBADMSG);
	expect_proof(url_of(""), 300, LEAVES);
}

static void test_no_tiles(void **state)
{
	(void)state;
	assert_int_equal(prove("file:///nonexistent", 5, LEAVES, false)->err, -ENOENT);
	assert_true(prove("gopher://127.0.0.1/", 5, LEAVES, false)->err < 0);
	assert_true(prove("ftp://127.0.0.1:1/", 5, LEAVES, false)->err < 0);
	assert_true(prove("", 5, LEAVES, false)->err < 0);
	assert_int_equal(prove("http://127.0.0.1:1/", 5, LEAVES, false)->err, -EHOSTUNREACH);
}

static const struct msg_proved *locate(uint64_t leaf, uint64_t size, bool have, uint64_t index)
{
	static uint64_t request = 1000;
	struct msg_prove m = {.size = size, .leaf = w.leaf[leaf], .have = have, .index = index};

	snprintf(m.url, sizeof(m.url), "%s", url_of(""));
	assert_int_equal(ledger_root(node, NULL, size, &m.root), 0);
	assert_int_equal(msg_send(w.sock, MSG_PROVE, ++request, &m, -1), 0);
	return receive(MSG_PROVED, request);
}

static void expect_place(uint64_t leaf, bool have, uint64_t index)
{
	const struct msg_proved *p = locate(leaf, LEAVES, have, index);
	struct hash root;

	assert_int_equal(p->err, 0);
	assert_int_equal(p->index, leaf);
	assert_int_equal(ledger_root(node, NULL, LEAVES, &root), 0);
	assert_int_equal(ledger_inclusion(leaf, LEAVES, &w.leaf[leaf], p->path, p->n, &root), 0);
}

/* Where a leaf is, the newest of several; and what proves it. */
static void test_leaves_are_found(void **state)
{
	static const uint64_t at[] = {0, 255, 256, 511, 512, LEAVES - 1};

	(void)state;
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		expect_place(at[i], false, 0);
	expect_place(300, true, 300); /* nothing newer */
	expect_place(300, true, 20);
	w.leaf[40] = w.leaf[650];
	put_tree(LEAVES);
	expect_place(650, false, 0);
	expect_place(650, true, 40);
	/* Not there, or not where it was. */
	assert_int_equal(locate(5, LEAVES, true, 9)->err, -EBADMSG);
	assert_int_equal(locate(5, LEAVES, true, LEAVES)->err, -ESRCH);
	w.leaf[5].v[0] ^= 1;
	assert_int_equal(locate(5, LEAVES, false, 0)->err, -ESRCH);
}

/* The bundle as it stands for a tree that has so many entries of it. */
static void put_entries(uint64_t n, unsigned width)
{
	struct buf b = buf_make(1 << 16);
	char path[256], name[TILE_PATH_MAX];

	for (size_t i = n * TILE_WIDTH; i < n * TILE_WIDTH + width; i++) {
		buf_be16(&b, sizeof(i));
		buf_put(&b, &i, sizeof(i));
	}
	assert_int_equal(ledger_entries_path(n, width, name, sizeof(name)), 0);
	snprintf(path, sizeof(path), "%s/%s", w.dir, name);
	make_parents(path);
	assert_int_equal(file_write_atomic(path, buf_view(&b), 0600), 0);
	buf_free(&b);
}

/* What came of it: 0 when it is the log's bundle, by its proof. */
static int32_t tail_of(uint64_t n, uint64_t size, bool lie)
{
	static uint64_t request = 2000;
	static union msg_any in;
	struct msg_tail m = {.n = n, .size = size};
	struct bytes entry[TILE_WIDTH];
	struct msg_head head;
	uint8_t *p = NULL;
	size_t got = 0;
	int fd = -1;

	snprintf(m.url, sizeof(m.url), "%s", url_of(""));
	assert_int_equal(ledger_root(node, NULL, size, &m.root), 0);
	m.root.v[3] ^= lie;
	assert_int_equal(msg_send(w.sock, MSG_TAIL, ++request, &m, -1), 0);
	assert_int_equal(msg_recv(w.sock, &head, &in, sizeof(in), &fd), 0);
	assert_int_equal(head.type, MSG_TAILED);
	assert_int_equal(head.session, request);
	assert_int_equal(fd >= 0, !in.tailed.err);
	if (fd < 0)
		return in.tailed.err;
	assert_int_equal(file_read_fd(fd, 1 << 20, &p, &got), 0);
	close(fd);
	assert_int_equal(ledger_entries_verify((struct bytes){p, got}, n, size, &m.root,
	                                       in.tailed.proof, in.tailed.proof_n, entry),
	                 0);
	free(p);
	return 0;
}

static void test_entries_with_their_proof(void **state)
{
	char path[256];

	(void)state;
	put_entries(0, TILE_WIDTH);
	put_entries(1, TILE_WIDTH);
	put_entries(2, LEAVES - 2 * TILE_WIDTH);
	assert_int_equal(tail_of(0, LEAVES, false), 0);
	assert_int_equal(tail_of(1, LEAVES, false), 0);
	assert_int_equal(tail_of(2, LEAVES, false), 0);
	/* The partial bundle of an older tree is gone, the full one is there. */
	put_tile(1, 0, 1);
	assert_int_equal(tail_of(1, 300, false), 0);
	/* Tiles that are not of this tree prove nothing. */
	assert_int_equal(tail_of(1, LEAVES, true), -EBADMSG);
	/* None at all, neither partial nor full. */
	snprintf(path, sizeof(path), "%s/tile/entries/002.p/188", w.dir);
	assert_int_equal(remove(path), 0);
	assert_int_equal(tail_of(2, LEAVES, false), -ENOENT);
}

static void test_entries_of_wrong_size(void **state)
{
	char path[256];

	(void)state;
	put_entries(0, 1);
	snprintf(path, sizeof(path), "%s/tile/entries/000.p/1", w.dir);
	assert_int_equal(tail_of(0, 1, false), 0);
	assert_int_equal(truncate(path, 2 + ENTRY_MAX + 1), 0);
	assert_int_equal(tail_of(0, 1, false), -EFBIG);
	/* A full bundle that is none has no first entries. */
	assert_int_equal(remove(path), 0);
	put_entries(0, TILE_WIDTH);
	snprintf(path, sizeof(path), "%s/tile/entries/000", w.dir);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(tail_of(0, 1, false), -ENODATA);
}

static void tail_ends_it(const struct msg_tail *m)
{
	assert_int_equal(msg_send(w.sock, MSG_TAIL, 1, m, -1), 0);
	join(1);
}

static void test_entries_behind_the_tree_end_it(void **state)
{
	(void)state;
	tail_ends_it(&(struct msg_tail){.n = 1, .size = TILE_WIDTH});
}

static void test_entries_of_an_endless_url_end_it(void **state)
{
	struct msg_tail m = {.size = 1};

	(void)state;
	memset(m.url, 'x', sizeof(m.url));
	tail_ends_it(&m);
}

static const struct msg_resolved *resolve(const char *host)
{
	struct msg_resolve m = {.host = ""};

	snprintf(m.host, sizeof(m.host), "%s", host);
	assert_int_equal(msg_send(w.sock, MSG_RESOLVE, 9, &m, -1), 0);
	return receive(MSG_RESOLVED, 9);
}

static void test_resolve(void **state)
{
	static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
	const struct msg_resolved *r = resolve("127.0.0.1");

	(void)state;
	assert_int_equal(r->err, 0);
	assert_int_equal(r->n, 1); /* one, though TCP and others were there to choose from */
	assert_memory_equal(r->addr[0], mapped, 16);
	r = resolve("::1");
	assert_int_equal(r->n, 1);
	assert_int_equal(r->addr[0][15], 1);
	r = resolve("");
	assert_int_not_equal(r->err, 0);
	assert_int_equal(r->n, 0);
}

static void test_it_says_that_it_is_alive(void **state)
{
	(void)state;
	assert_int_equal(msg_send(w.sock, MSG_PING, 0, NULL, -1), 0);
	receive(MSG_PONG, 0);
}

static void test_strange_messages_end_it(void **state)
{
	const struct msg_live live = {.until = 1};

	(void)state;
	assert_int_equal(msg_send(w.sock, MSG_LIVE, 1, &live, -1), 0);
	join(1);
}

/* ------------------------------------------------------------------ collateral */

/* An HTTP server for one request, on loopback: says what it is told to say. */
static struct {
	int fd;
	SSL_CTX *tls; /* NULL: none */
	uint16_t port;
	pthread_t thread;
	const char *reply;
	size_t filler; /* bytes behind the reply */
	char request[4096];
} http;

static void *serve_once(void *arg)
{
	static const char x[4096];
	int c = accept(http.fd, NULL, NULL);
	ssize_t n = c < 0 ? -1 : recv(c, http.request, sizeof(http.request) - 1, 0);

	(void)arg;
	http.request[n > 0 ? n : 0] = '\0';
	if (n > 0)
		(void)!send(c, http.reply, strlen(http.reply), MSG_NOSIGNAL);
	for (size_t left = http.filler; n > 0 && left;) {
		ssize_t put = send(c, x, left < sizeof(x) ? left : sizeof(x), MSG_NOSIGNAL);

		if (put <= 0)
			break;
		left -= (size_t)put;
	}
	if (c >= 0)
		close(c);
	return NULL;
}

static void *serve_tls_once(void *arg)
{
	int c = accept(http.fd, NULL, NULL);
	SSL *tls = SSL_new(http.tls);
	int n = -1;

	(void)arg;
	if (c >= 0 && SSL_set_fd(tls, c) && SSL_accept(tls) == 1)
		n = SSL_read(tls, http.request, sizeof(http.request) - 1);
	http.request[n > 0 ? n : 0] = '\0';
	if (n > 0) {
		(void)SSL_write(tls, http.reply, (int)strlen(http.reply));
		(void)SSL_shutdown(tls);
	}
	SSL_free(tls);
	if (c >= 0)
		close(c);
	return NULL;
}

static void http_start(const char *reply, size_t filler)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	http.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(http.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(http.fd, 1), 0);
	assert_int_equal(getsockname(http.fd, (struct sockaddr *)&a, &len), 0);
	http.port = ntohs(a.sin_port);
	http.reply = reply;
	http.filler = filler;
	assert_int_equal(
	        pthread_create(&http.thread, NULL, http.tls ? serve_tls_once : serve_once, NULL),
	        0);
}

static char piece[70000];
static size_t piece_n;

static const struct msg_fetched *fetch_from(const char *url, const char *tag, const char *ca)
{
	static union msg_any in;
	static uint64_t request = 1000;
	struct msg_fetch m = {.url = ""};
	struct msg_head head;
	int fd = -1;

	snprintf(m.url, sizeof(m.url), "%s", url);
	snprintf(m.tag, sizeof(m.tag), "%s", tag);
	snprintf(m.ca, sizeof(m.ca), "%s", ca);
	assert_int_equal(msg_send(w.sock, MSG_FETCH, ++request, &m, -1), 0);
	assert_int_equal(msg_recv(w.sock, &head, &in, sizeof(in), &fd), 0);
	assert_int_equal(head.type, MSG_FETCHED);
	assert_int_equal(head.session, request);
	assert_int_equal(fd >= 0, in.fetched.result == FETCH_OK);
	piece_n = 0;
	if (fd >= 0) {
		uint8_t *p;

		assert_int_equal(file_read_fd(fd, sizeof(piece) - 1, &p, &piece_n), 0);
		memcpy(piece, p, piece_n);
		piece[piece_n] = '\0';
		free(p);
		close(fd);
		assert_int_equal(piece_n, in.fetched.piece_n + in.fetched.chain_n);
	}
	return &in.fetched;
}

static const struct msg_fetched *fetch_url(const char *url, const char *tag)
{
	return fetch_from(url, tag, "");
}

static const struct msg_fetched *fetch_http(const char *reply, size_t filler, const char *tag)
{
	const struct msg_fetched *m;
	char url[80];

	http_start(reply, filler);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/a/b?c=d&e=f", http.port);
	m = fetch_url(url, tag);
	pthread_join(http.thread, NULL);
	close(http.fd);
	return m;
}

static void test_pieces_with_their_tag_and_chain(void **state)
{
	const struct msg_fetched *m =
	        fetch_http("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"one\"\r\n"
	                   "TCB-Info-Issuer-Chain: -----BEGIN%20X-----%0Ay\r\n\r\nhello",
	                   0, "");

	(void)state;
	assert_int_equal(m->result, FETCH_OK);
	assert_string_equal(m->tag, "\"one\"");
	assert_int_equal(m->piece_n, 5);
	assert_string_equal(piece, "hello-----BEGIN X-----\ny");
	assert_non_null(strstr(http.request, "GET /a/b?c=d&e=f HTTP/1.1\r\n"));
	assert_null(strstr(http.request, "If-None-Match"));
}

static void test_what_is_there_is_not_brought_again(void **state)
{
	static const char same[] = "HTTP/1.1 304 Not Modified\r\nETag: \"one\"\r\n\r\n";
	const struct msg_fetched *m = fetch_http(same, 0, "\"one\"");

	(void)state;
	assert_int_equal(m->result, FETCH_SAME);
	assert_non_null(strstr(http.request, "If-None-Match: \"one\"\r\n"));
	/* A service without tags says when it changed. */
	m = fetch_http("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
	               "Last-Modified: Tue, 15 Nov 1994 12:45:26 GMT\r\n\r\nx",
	               0, "");
	assert_string_equal(m->tag, "Tue, 15 Nov 1994 12:45:26 GMT");
	m = fetch_http(same, 0, "Tue, 15 Nov 1994 12:45:26 GMT");
	assert_int_equal(m->result, FETCH_SAME);
	assert_non_null(
	        strstr(http.request, "If-Modified-Since: Tue, 15 Nov 1994 12:45:26 GMT\r\n"));
	assert_null(strstr(http.request, "If-None-Match"));
	/* Nobody asked whether it is the same. */
	assert_int_equal(fetch_http(same, 0, "")->result, FETCH_NONE);
}

static void test_refusals_are_told_apart(void **state)
{
	const struct msg_fetched *m;

	(void)state;
	assert_int_equal(
	        fetch_http("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0, "")->result,
	        FETCH_GONE);
	m = fetch_http("HTTP/1.1 429 Slow\r\nRetry-After: 77\r\nContent-Length: 0\r\n\r\n", 0, "");
	assert_int_equal(m->result, FETCH_BUSY);
	assert_int_equal(m->retry_after, 77);
	assert_non_null(strstr(m->error, "429"));
	assert_int_equal(fetch_http("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 0, "")->result,
	                 FETCH_BUSY);
	m = fetch_http("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", 0, "");
	assert_int_equal(m->result, FETCH_NONE);
	assert_non_null(strstr(m->error, "500"));
}

static void test_answers_out_of_bounds(void **state)
{
	(void)state;
	/* Cut short, empty, larger than any piece, no HTTP at all. */
	assert_int_equal(
	        fetch_http("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", 0, "")->result,
	        FETCH_SHORT);
	assert_int_equal(fetch_http("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, "")->result,
	                 FETCH_SHORT);
	assert_int_equal(fetch_http("HTTP/1.1 200 OK\r\n\r\n", 2 << 20, "")->result, FETCH_LARGE);
	assert_int_equal(fetch_http("hello\r\n\r\n", 0, "")->result, FETCH_NONE);
	/* Another scheme than it was sent to. */
	assert_int_equal(fetch_http("HTTP/1.1 302 There\r\nLocation: file:///etc/passwd\r\n"
	                            "Content-Length: 0\r\n\r\n",
	                            0, "")
	                         ->result,
	                 FETCH_NONE);
}

/* A certificate for 127.0.0.1 that vouches for itself; its PEM is put into ca. */
static SSL_CTX *tls_server(const char *ca)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
	FILE *f = fopen(ca, "w");

	assert_true(key && cert && tls && san && f);
	assert_true(X509_set_version(cert, X509_VERSION_3) && X509_set_pubkey(cert, key) &&
	            X509_gmtime_adj(X509_getm_notBefore(cert), -60) &&
	            X509_gmtime_adj(X509_getm_notAfter(cert), 3600) &&
	            X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
	                                       (const uint8_t *)"mirror", -1, -1, 0) &&
	            X509_set_issuer_name(cert, X509_get_subject_name(cert)) &&
	            X509_add_ext(cert, san, -1) && X509_sign(cert, key, EVP_sha256()));
	assert_true(PEM_write_X509(f, cert) && !fclose(f));
	assert_true(SSL_CTX_use_certificate(tls, cert) && SSL_CTX_use_PrivateKey(tls, key));
	X509_EXTENSION_free(san);
	X509_free(cert);
	EVP_PKEY_free(key);
	return tls;
}

/* A redirect never leads from TLS back to the clear, where anybody could go on answering. */
static void test_tls_is_not_left(void **state)
{
	static const char *const replies[] = {
	        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
	        "HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:1/\r\n"
	        "Content-Length: 0\r\n\r\n",
	};
	const struct msg_fetched *m;
	char url[80], ca[128];

	(void)state;
	snprintf(ca, sizeof(ca), "%s/ca.pem", w.dir);
	http.tls = tls_server(ca);
	for (size_t i = 0; i < 2; i++) {
		http_start(replies[i], 0);
		snprintf(url, sizeof(url), "https://127.0.0.1:%u/", http.port);
		m = fetch_from(url, "", ca);
		pthread_join(http.thread, NULL);
		close(http.fd);
		/* Had it gone there, nobody would have been there: FETCH_AWAY. */
		assert_int_equal(m->result, i ? FETCH_NONE : FETCH_OK);
	}
	SSL_CTX_free(http.tls);
	http.tls = NULL;
}

static void test_pieces_of_a_directory(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/crl,ca=platform", w.dir);
	assert_int_equal(file_write_atomic(path, bytes_str("list"), 0600), 0);
	assert_int_equal(fetch_url(url_of("/crl,ca=platform"), "")->result, FETCH_OK);
	assert_string_equal(piece, "list");
	assert_int_equal(fetch_url(url_of("/nothing"), "")->result, FETCH_GONE);
}

static void test_who_is_not_there(void **state)
{
	const struct msg_fetched *m = fetch_url("http://127.0.0.1:1/", "");
	char url[80];

	(void)state;
	assert_int_equal(m->result, FETCH_AWAY);
	assert_int_equal(strncmp(m->error, "can't be reached: ", 18), 0);
	assert_int_equal(fetch_url("http://name.invalid/", "")->result, FETCH_AWAY);
	/* Nor is it there without TLS. */
	http_start("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 0);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", http.port);
	m = fetch_url(url, "");
	pthread_join(http.thread, NULL);
	close(http.fd);
	assert_int_equal(m->result, FETCH_AWAY);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(test_proofs_hold),
	        T(test_it_says_that_it_is_alive),
	        T(test_partial_tile_is_gone),
	        T(test_tiles_of_another_tree),
	        T(test_tile_of_wrong_size),
	        T(test_a_wrong_tile_below),
	        T(test_leaves_are_found),
	        T(test_no_tiles),
	        T(test_entries_with_their_proof),
	        T(test_entries_of_wrong_size),
	        T(test_entries_behind_the_tree_end_it),
	        T(test_entries_of_an_endless_url_end_it),
	        T(test_resolve),
	        T(test_strange_messages_end_it),
	        cmocka_unit_test_setup_teardown(test_pieces_with_their_tag_and_chain, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_what_is_there_is_not_brought_again, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_refusals_are_told_apart, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_answers_out_of_bounds, setup, teardown),
	        T(test_who_is_not_there),
	        T(test_tls_is_not_left),
	        cmocka_unit_test_setup_teardown(test_pieces_of_a_directory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
