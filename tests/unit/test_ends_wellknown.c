/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The document by HTTP, over real TLS. First what a server's answer may be: each refusal is tripped
 * by one. Then what keygate-attester leaves to the service: everything but the one request.
 */
#include "ends_lab.h"

#include <poll.h>
#include "attest/http.h"
#include "attest/wellknown.h"

/* ------------------------------------------------------------- a scripted server */

enum document { V3, V2, V3_OTHER_NONCE, V2_OTHER_KEY, V3_OTHER_KEY, NO_JSON };

struct script {
	const char *head; /* '#' stands for the document's length; NULL: 200, and as it should */
	enum document document; /* behind the head */
	bool chunked;           /* an octet each, which is a record too */
	const char *tail;       /* in the record of the end */
	const char *next;       /* in a record of its own */
	uint32_t zeros;         /* instead of the document */
	bool half;              /* only the first half is sent, */
	bool waits;             /* and then nothing more comes */
	bool ends;              /* without a word */
};

struct scripted {
	struct server s;
	const struct script *script;
	bool unnamed; /* the client asks for no name */
	char request[2048];
};

static void put_document(const struct scripted *s, SSL *ssl, const char *request, struct buf *out)
{
	enum document d = s->script->document;
	uint8_t key[32], nonce[32];
	const char *at = strstr(request, "?nonce=");

	assert_non_null(at);
	assert_int_equal(hex_decode((struct bytes){(const uint8_t *)at + 7, 64}, nonce, 32), 0);
	assert_int_equal(pki_spki_sha256(SSL_get_certificate(ssl), key), 0);
	nonce[0] ^= d == V3_OTHER_NONCE;
	key[0] ^= d == V2_OTHER_KEY || d == V3_OTHER_KEY;
	if (d == NO_JSON)
		buf_str(out, "<html>");
	else
		lab_document(&lab.first.source, key,
		             d == V2 || d == V2_OTHER_KEY ? BYTES_NONE : BYTES_OF(nonce), out);
	for (uint32_t i = 0; i < s->script->zeros; i++)
		buf_u8(out, '0');
	assert_false(out->bad);
}

static void put_head(const struct script *s, size_t n, struct buf *out)
{
	const char *head = s->head ? s->head
	                           : "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	                             "Content-Length: #\r\n\r\n";

	for (const char *p = head; *p; p++) {
		if (*p == '#')
			buf_printf(out, "%zu", n);
		else
			buf_u8(out, (uint8_t)*p);
	}
}

static void send_all(SSL *ssl, struct bytes v)
{
	/* The client may have refused before the end. */
	for (int n; v.n; v.p += n, v.n -= (size_t)n) {
		n = SSL_write(ssl, v.p, v.n < 16384 ? (int)v.n : 16384);
		if (n <= 0)
			return;
	}
}

static void send_answer(const struct script *s, SSL *ssl, struct bytes document)
{
	struct buf out = buf_make(4 << 20);

	put_head(s, document.n, &out);
	if (s->chunked) {
		send_all(ssl, buf_view(&out));
		for (size_t i = 0; i < document.n; i++) {
			buf_reset(&out);
			buf_printf(&out, "1\r\n%c\r\n", document.p[i]);
			send_all(ssl, buf_view(&out));
		}
		buf_reset(&out);
		buf_str(&out, "0\r\n\r\n");
	} else {
		buf_bytes(&out, document);
	}
	if (s->tail)
		buf_str(&out, s->tail);
	if (s->half)
		out.n /= 2;
	send_all(ssl, buf_view(&out));
	if (s->next)
		send_all(ssl, bytes_str(s->next));
	buf_free(&out);
}

static void *follow(void *arg)
{
	struct scripted *s = arg;
	struct buf document = buf_make(4 << 20);
	int fd = accept4(s->s.listener, NULL, NULL, SOCK_CLOEXEC);
	SSL *ssl = lab_plain_tls(s->s.tls, fd);
	char c;

	if (SSL_accept(ssl) == 1 && lab_read_request(ssl, s->request, sizeof(s->request)) == 0) {
		if (!s->script->ends) {
			put_document(s, ssl, s->request, &document);
			send_answer(s->script, ssl, buf_view(&document));
		}
		if (!s->script->ends && (!s->script->half || s->script->waits))
			SSL_read(ssl, &c, 1);
	}
	buf_free(&document);
	SSL_free(ssl);
	close(fd);
	return NULL;
}

static void converse(struct client *c, struct scripted *s, const struct script *script,
                     uint64_t within_ms)
{
	struct transport_call call;

	s->script = script;
	memset(&s->s, 0, sizeof(s->s));
	s->s.tls = serve_tls_context("service.test");
	s->s.listener = lab_listen(&s->s.at);
	assert_int_equal(pthread_create(&s->s.thread, NULL, follow, s), 0);
	client_start(c, TRANSPORT_WELL_KNOWN, &s->s.at);
	if (s->unnamed)
		c->to.server_name[0] = '\0';
	call = (struct transport_call){.tls = c->tls,
	                               .fd = c->fd,
	                               .to = &c->to,
	                               .deadline_ms = transport_now_ms() + within_ms};
	c->rc = transport_attest(&call, &c->e, &c->why);
}

static void over(struct client *c, struct scripted *s)
{
	shutdown(c->fd, SHUT_RDWR);
	server_end(&s->s);
	client_end(c);
}

/* Refused while it comes in (early), or when it is judged. */
static void refused(const struct script *script, const char *early, const char *judged)
{
	struct scripted s = {0};
	struct client c;

	converse(&c, &s, script, 8000);
	if (early) {
		assert_true(c.rc < 0);
		if (strcmp(c.why.code, early) != 0)
			fail_msg("%s: %s, not %s", c.why.code, c.why.detail, early);
	} else {
		expect_judged(&c, judged);
	}
	over(&c, &s);
}

#define HEAD(status, more) "HTTP/1.1 " status "\r\n" more "\r\n"
#define JSON               "Content-Type: application/json\r\n"
#define LENGTH             "Content-Length: #\r\n"

/* --------------------------------------------------------------------- the tests */

static void holds(const struct script *script, const char *binder)
{
	struct scripted s = {0};
	struct client c;
	struct judged j;

	converse(&c, &s, script, 8000);
	expect_judged(&c, NULL);
	judge(&c, &j);
	assert_string_equal(j.binder, binder);
	assert_int_equal(checks_find(&j.checks, "wellknown.nonce")->status,
	                 !strcmp(binder, "nonce") ? CHECK_PASS : CHECK_SKIP);
	over(&c, &s);
}

static void what_holds(void **state)
{
	(void)state;
	holds(&(struct script){.document = V3}, "nonce");
	holds(&(struct script){.document = V2}, "certificate");
	holds(&(struct script){.document = V3,
	                       .head = HEAD("200 OK", JSON "Transfer-Encoding: chunked\r\n"),
	                       .chunked = true},
	      "nonce");
	holds(&(struct script){.head = HEAD("200 OK",
	                                    LENGTH "content-type: text/plain; charset=utf-8\r\n")},
	      "nonce");
	holds(&(struct script){.head = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" JSON LENGTH
	                               "\r\n"},
	      "nonce");
}

/* What comes behind the answer in a record of its own stays in the socket, whole. */
static void what_follows_is_not_touched(void **state)
{
	const struct script script = {.next = "220 ready"};
	struct scripted s = {0};
	struct client c;
	uint8_t record[64];
	struct pollfd p;

	(void)state;
	converse(&c, &s, &script, 8000);
	expect_judged(&c, NULL);
	p = (struct pollfd){.fd = c.fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 5000), 1);
	/* Five octets of head, the text, its type, and the tag. */
	assert_int_equal(recv(c.fd, record, sizeof(record), 0), 5 + 9 + 1 + 16);
	assert_int_equal(record[0], 23);
	over(&c, &s);
}

/* An answer that is no document is not read as one. */
static void ends_with(const struct script *script, const char *id)
{
	struct scripted s = {0};
	struct client c;
	struct judged j;

	converse(&c, &s, script, 8000);
	judge(&c, &j);
	assert_string_equal(j.checks.v[j.checks.n - 1].id, id);
	assert_int_equal(j.checks.v[j.checks.n - 1].status, CHECK_FAIL);
	over(&c, &s);
}

static void not_the_document(void **state)
{
	(void)state;
	ends_with(&(struct script){.head = HEAD("404 Not Found", JSON LENGTH)}, "wellknown.status");
	ends_with(&(struct script){.head = HEAD("200 OK", "Content-Type: text/html\r\n" LENGTH)},
	          "wellknown.type");
	refused(&(struct script){.head = HEAD("404 Not Found", JSON LENGTH)}, NULL,
	        "wellknown.status");
	refused(&(struct script){.head = HEAD("302 Found", "Location: /other\r\n" JSON LENGTH)},
	        NULL, "wellknown.status");
	refused(&(struct script){.head = HEAD("206 Partial Content", JSON LENGTH)}, NULL,
	        "wellknown.status");
	/* An answer that is none of its own ends there; what follows is no part of it. */
	refused(&(struct script){.head = HEAD("100 Continue", ""), .document = NO_JSON},
	        "handover.residue", NULL);
	refused(&(struct script){.head = HEAD("404 Not Found", "Connection: close\r\n" LENGTH)},
	        "wellknown.status", NULL);
	refused(&(struct script){.head = HEAD("200 OK", "Content-Type: text/html\r\n" LENGTH)},
	        NULL, "wellknown.type");
	refused(&(struct script){.head = HEAD("200 OK", LENGTH)}, NULL, "wellknown.type");
	refused(&(struct script){.document = NO_JSON}, NULL, "wellknown.format");
}

static void can_not_be_handed_over(void **state)
{
	(void)state;
	refused(&(struct script){.head = HEAD("200 OK", "Connection: close\r\n" JSON LENGTH)},
	        "handover.close", NULL);
	refused(&(struct script){.head = "HTTP/1.0 200 OK\r\n" JSON LENGTH "\r\n"},
	        "handover.close", NULL);
	refused(&(struct script){.head = HEAD("200 OK", JSON)}, "handover.close", NULL);
	refused(&(struct script){.tail = "x"}, "handover.residue", NULL);
	refused(&(struct script){.head = HEAD("200 OK", JSON "Transfer-Encoding: chunked\r\n"),
	                         .chunked = true,
	                         .tail = "x"},
	        "handover.residue", NULL);
}

static void too_much(void **state)
{
	static char head[HTTP_HEAD_MAX + 64];

	(void)state;
	refused(&(struct script){.head = HEAD("200 OK", JSON "Content-Length: 2000000\r\n")},
	        "auth.too-large", NULL);
	refused(&(struct script){.head = HEAD("200 OK",
	                                      JSON "Transfer-Encoding: chunked\r\n") "200000\r\n",
	                         .zeros = 2 << 20},
	        "auth.too-large", NULL);
	memset(head, 'a', sizeof(head) - 1);
	memcpy(head, "HTTP/1.1 200 OK\r\nX: ", strlen("HTTP/1.1 200 OK\r\nX: "));
	refused(&(struct script){.head = head}, "auth.too-large", NULL);
	/* As large as may be: what it is not is judged. */
	refused(&(struct script){.document = NO_JSON, .zeros = WELLKNOWN_BODY_MAX - 6}, NULL,
	        "wellknown.format");
}

static void not_http(void **state)
{
	(void)state;
	refused(&(struct script){.head = "SSH-2.0-OpenSSH_9.2\r\n"}, "auth.format", NULL);
	refused(&(struct script){.head = HEAD("200 OK", JSON LENGTH LENGTH)}, "auth.format", NULL);
	refused(&(struct script){.head = HEAD("200 OK",
	                                      JSON LENGTH "Transfer-Encoding: chunked\r\n")},
	        "auth.format", NULL);
	refused(&(struct script){.head = HEAD("200 OK", JSON JSON LENGTH)}, "auth.format", NULL);
}

static void not_to_the_end(void **state)
{
	const struct script slow = {.half = true, .waits = true};
	struct scripted s = {0};
	struct client c;

	(void)state;
	refused(&(struct script){.ends = true}, "auth.closed", NULL);
	refused(&(struct script){.half = true}, "auth.closed", NULL);
	converse(&c, &s, &slow, 700);
	assert_int_equal(c.rc, -ETIMEDOUT);
	assert_string_equal(c.why.code, "auth.timeout");
	over(&c, &s);
}

/* A document of another server, or of another time. */
static void not_of_this_connection(void **state)
{
	(void)state;
	refused(&(struct script){.document = V2_OTHER_KEY}, NULL, "wellknown.key-binding");
	refused(&(struct script){.document = V3_OTHER_KEY}, NULL, "wellknown.key-binding");
	refused(&(struct script){.document = V3_OTHER_NONCE}, NULL, "wellknown.nonce");
}

/* What relay could hand to verify without having it from a peer. */
static void no_answer_at_all(void **state)
{
	struct scripted s = {0};
	struct client c;
	struct attest_wire w;
	struct attest_opened o;

	(void)state;
	converse(&c, &s, &(struct script){.document = V3}, 8000);
	expect_judged(&c, NULL);
	wire_of(&c, &w);
	for (int i = 0; i < 3; i++) {
		struct checks checks = {0};
		struct attest_wire bad = w;

		bad.message.n -= i == 0;
		bad.message = i == 1 ? BYTES_NONE : bad.message;
		bad.leaf.n -= i == 2;
		assert_int_equal(attest_open(&bad, &o, &checks), 0);
		assert_int_equal(checks.n, 1);
		assert_string_equal(checks_first(&checks, CHECK_FAIL)->id,
		                    i == 2 ? "wellknown.key-binding" : "wellknown.format");
		attest_opened_free(&o);
	}
	over(&c, &s);
}

static void the_request(void **state)
{
	static const uint8_t nonce[32] = {0xab};
	uint8_t got[32];
	struct buf out = buf_make(1024);
	struct http_message h;

	(void)state;
	assert_int_equal(wellknown_request("[2001:db8::1]:8443", nonce, &out), 0);
	http_begin(&h, HTTP_REQUEST, HTTP_HEAD_MAX, NULL);
	assert_int_equal(http_take(&h, buf_view(&out)), 0);
	assert_true(h.done && h.get && h.stays && h.taken == out.n);
	assert_int_equal(wellknown_target(h.target, got), WELLKNOWN_NONCE);
	assert_memory_equal(got, nonce, 32);
	buf_u8(&out, 0);
	assert_non_null(strstr((char *)out.p, "\r\nHost: [2001:db8::1]:8443\r\n"));
	assert_int_equal(wellknown_request("a\r\nX: y", nonce, &out), -EINVAL);
	assert_int_equal(wellknown_request("a b", nonce, &out), -EINVAL);
	buf_free(&out);
}

/* On the wire: the name that is asked for, else the address, and the port. */
static void who_is_asked(void **state)
{
	const struct script script = {.document = V3};

	(void)state;
	for (int unnamed = 0; unnamed < 2; unnamed++) {
		struct scripted s = {.unnamed = unnamed};
		struct client c;
		struct sockaddr_in in;
		char host[64];

		converse(&c, &s, &script, 8000);
		expect_judged(&c, NULL);
		memcpy(&in, &s.s.at, sizeof(in));
		snprintf(host, sizeof(host), "\r\nHost: %s:%u\r\n",
		         unnamed ? "127.0.0.1" : "service.test", ntohs(in.sin_port));
		assert_non_null(strstr(s.request, host));
		over(&c, &s);
	}
}

/* ------------------------------------------------------ keygate-attester's half */

struct attested {
	int fd, rc;
	SSL_CTX *tls;
	struct buf early;
};

static void *attest_one(void *arg)
{
	struct attested *a = arg;
	struct serve_config config = {.source = &lab.first.source,
	                              .transports = 1u << TRANSPORT_WELL_KNOWN};
	SSL *ssl = SSL_new(a->tls);
	const char *step;

	SSL_set_fd(ssl, a->fd);
	a->rc = serve_attest(&config, ssl, &a->early, &step);
	SSL_free(ssl);
	close(a->fd);
	return NULL;
}

/* Says this, a record a string, ends its side, and reads to the end. */
static size_t talk(struct attested *a, const char *alpn, const char *const says[], char *heard,
                   size_t cap)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	size_t at = 0;
	pthread_t t;
	int pair[2], n;

	*a = (struct attested){.tls = serve_tls_context("test"),
	                       .early = buf_make(SERVE_EARLY_MAX)};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	a->fd = pair[0];
	assert_int_equal(pthread_create(&t, NULL, attest_one, a), 0);
	if (alpn)
		assert_int_equal(
		        SSL_set_alpn_protos(ssl, (const uint8_t *)alpn, (unsigned)strlen(alpn)), 0);
	SSL_set_fd(ssl, pair[1]);
	assert_int_equal(SSL_connect(ssl), 1);
	/* One that knows by the first record that it is not asked may be gone at the second. */
	while (*says && SSL_write(ssl, *says, (int)strlen(*says)) > 0)
		says++;
	SSL_shutdown(ssl);
	while (at < cap - 1 && (n = SSL_read(ssl, heard + at, (int)(cap - 1 - at))) > 0)
		at += (size_t)n;
	heard[at] = '\0';
	pthread_join(t, NULL);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	SSL_CTX_free(a->tls);
	close(pair[1]);
	return at;
}

static char heard[1 << 18];

#define ALPN_BOTH "\x02h2\x08http/1.1"
#define PATH      WELLKNOWN_TINFOIL_PATH

/* Nothing is said, and all that came is there for the service. */
static void untouched(const char *says, const char *then)
{
	const char *const records[] = {says, then, NULL};
	struct attested a;
	struct buf all = buf_make(1 << 16);

	talk(&a, ALPN_BOTH, records, heard, sizeof(heard));
	assert_int_equal(a.rc, 0);
	assert_string_equal(heard, "");
	buf_str(&all, says ? says : "");
	buf_str(&all, then ? then : "");
	/* What was not read is still on the connection. */
	assert_true(then ? a.early.n <= all.n : a.early.n == all.n);
	assert_true(!a.early.n || !memcmp(a.early.p, all.p, a.early.n));
	buf_free(&all);
	buf_free(&a.early);
}

static void other_requests_are_the_services(void **state)
{
	static char longer[SERVE_EARLY_MAX + 512];
	int n;

	(void)state;
	untouched(NULL, NULL);
	untouched("G", NULL);
	untouched("GET / HTTP/1.1\r\nHost: a\r\n\r\n", NULL);
	untouched("GET " PATH, NULL);
	untouched("GET " PATH, "x HTTP/1.1\r\n\r\n");
	untouched("GET " PATH "x HTTP/1.1\r\n\r\n", NULL);
	untouched("GET " PATH "/ HTTP/1.1\r\n\r\n", NULL);
	untouched("GET " PATH "?x=1 HTTP/1.1\r\n\r\n", NULL);
	untouched("GET " PATH "?nonce=00 HTTP/1.1\r\n\r\n", NULL);
	untouched("GET " PATH "?nonce=AB000000000000000000000000000000"
	          "00000000000000000000000000000000 HTTP/1.1\r\n\r\n",
	          NULL);
	untouched("HEAD " PATH " HTTP/1.1\r\n\r\n", NULL);
	untouched("POST " PATH " HTTP/1.1\r\nContent-Length: 0\r\n\r\n", NULL);
	untouched("GET " PATH " HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", NULL);
	untouched("GET " PATH " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", NULL);
	untouched("GET " PATH " HTTP/1.1\r\n: broken\r\n\r\n", NULL);
	untouched("GET " PATH "\r\n\r\n", NULL);
	untouched("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NULL);
	untouched("\x01\x02\x03 not HTTP", NULL);
	/* A head that has no end here. */
	n = snprintf(longer, sizeof(longer), "GET " PATH " HTTP/1.1\r\nX: ");
	memset(longer + n, 'a', sizeof(longer) - 1 - (size_t)n);
	untouched(longer, "\r\n\r\n");
}

/* The document, for this key; what came behind the request is the service's. */
static void answers(const char *alpn, const char *const says[], const char *scheme,
                    const char *left)
{
	static const char in_between[] = "\r\n\r\n";
	struct attested a;
	struct checks checks = {0};
	struct wellknown w;
	struct wellknown_input in = {0};
	size_t n = talk(&a, alpn, says, heard, sizeof(heard));

	assert_int_equal(a.rc, 0);
	assert_non_null(strstr(heard, in_between));
	in.body = (struct bytes){(uint8_t *)heard, n};
	assert_int_equal(wellknown_open_reply(&in, &w, &checks), 0);
	assert_string_equal(w.scheme, scheme);
	assert_true(bytes_equal(buf_view(&a.early), bytes_str(left)));
	wellknown_free(&w);
	buf_free(&a.early);
}

static void the_document_is_answered(void **state)
{
	static const char nonce[] = "?nonce=00112233445566778899aabbccddeeff"
	                            "00112233445566778899aabbccddeeff";
	char with[256];

	(void)state;
	snprintf(with, sizeof(with), "GET " PATH "%s HTTP/1.1\r\nHost: a\r\n\r\n", nonce);
	answers(ALPN_BOTH, (const char *const[]){with, NULL}, "tinfoil-v3", "");
	answers(ALPN_BOTH,
	        (const char *const[]){"GET " PATH " HTTP/1.1\r\n", "Host: a\r\n", "\r\n", NULL},
	        "tinfoil-v2", "");
	answers(NULL, (const char *const[]){"G", "ET " PATH " HTTP/1.0\r\n\r\n", NULL},
	        "tinfoil-v2", "");
	answers("\x02h2",
	        (const char *const[]){"GET " PATH " HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n", NULL},
	        "tinfoil-v2", "GET / HTTP/1.1\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_holds),
	        cmocka_unit_test(what_follows_is_not_touched),
	        cmocka_unit_test(not_the_document),
	        cmocka_unit_test(can_not_be_handed_over),
	        cmocka_unit_test(too_much),
	        cmocka_unit_test(not_http),
	        cmocka_unit_test(not_to_the_end),
	        cmocka_unit_test(not_of_this_connection),
	        cmocka_unit_test(no_answer_at_all),
	        cmocka_unit_test(the_request),
	        cmocka_unit_test(who_is_asked),
	        cmocka_unit_test(other_requests_are_the_services),
	        cmocka_unit_test(the_document_is_answered),
	};

	return cmocka_run_group_tests(tests, lab_start, lab_stop);
}
