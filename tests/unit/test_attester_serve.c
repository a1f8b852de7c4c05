/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The destination's half: a simulated platform's evidence holds under the real appraisal, and the
 * listener answers a real TLS client with an authenticator that verifies on that connection only.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <cmocka.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include "attest/attest.h"
#include "attest/authenticator.h"
#include "attest/binding.h"
#include "attest/cmw.h"
#include "attester/places.h"
#include "attester/pump.h"
#include "attester/serve.h"
#include "attester/sim_snp.h"
#include "core/file.h"

static char base[64];
static struct evidence_source source;
static uint8_t *anchor;
static size_t anchor_n;

static char *in_base(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", base, name);
	return p;
}

static int setup(void **state)
{
	const char *step;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	strcpy(base, "/tmp/keygate-test.XXXXXX");
	assert_non_null(mkdtemp(base));
	assert_int_equal(evidence_sim_init(in_base("tee"), TEE_SNP, time(NULL), &step), 0);
	assert_int_equal(file_write_atomic(in_base("code"), bytes_str("the code"), 0600), 0);
	assert_int_equal(evidence_sim_open(in_base("tee"), in_base("code"), &source, &step), 0);
	return file_read(in_base("tee/" SIM_ARK_CERT), 65536, &anchor, &anchor_n);
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	evidence_sim_close(&source);
	free(anchor);
	snprintf(cmd, sizeof(cmd), "rm -r %s", base);
	return system(cmd);
}

/* ------------------------------------------------------------------ evidence */

static enum check_status appraise(struct bytes report, struct bytes chain,
                                  const uint8_t report_data[static 64], bool trusted,
                                  struct claims *claims, struct checks *checks)
{
	struct attest_input in = {.evidence = report,
	                          .endorsements = {chain},
	                          .endorsements_n = 1,
	                          .anchors = {{anchor, anchor_n}},
	                          .anchors_n = trusted,
	                          .at = time(NULL),
	                          .check_report_data = true,
	                          .require_crl = true};

	memcpy(in.report_data, report_data, 64);
	memset(checks, 0, sizeof(*checks));
	assert_int_equal(attest_appraise(&in, claims, checks), 0);
	return checks_overall(checks);
}

static void test_simulated_evidence_holds_under_its_anchor_only(void **state)
{
	struct evidence e;
	uint8_t data[64] = "what this report is about";
	struct measurements m;
	struct bytes report, chain;
	struct claims claims;
	struct checks checks;

	(void)state;
	evidence_init(&e);
	assert_int_equal(source.evidence(source.ctx, data, &e), 0);
	report = buf_view(&e.report);
	chain = buf_view(&e.endorsement[0]);
	assert_int_equal(appraise(report, chain, data, true, &claims, &checks), CHECK_PASS);
	assert_true(claims.extra_anchor);
	assert_int_equal(evidence_sim_measure(TEE_SNP, in_base("code"), &m), 0);
	assert_memory_equal(claims.measurements.v[0].value, m.v[0].value, 48);
	assert_int_not_equal(appraise(report, chain, data, false, &claims, &checks), CHECK_PASS);
	assert_int_not_equal(checks_find(&checks, "snp.chain")->status, CHECK_PASS);
	data[0] ^= 1;
	assert_int_equal(appraise(report, chain, data, true, &claims, &checks), CHECK_FAIL);
	assert_string_equal(checks_first(&checks, CHECK_FAIL)->id, "snp.report-data");
	evidence_free(&e);
}

static void test_an_existing_platform_is_not_written_over(void **state)
{
	const char *step;

	(void)state;
	assert_int_equal(evidence_sim_init(in_base("tee"), TEE_SNP, time(NULL), &step), -EEXIST);
}

static void test_no_configfs_is_no_device(void **state)
{
	struct evidence_source s;

	(void)state;
	assert_int_equal(evidence_tsm_open(in_base("absent"), &s), -ENODEV);
}

/* ---------------------------------------------------------------- connections */

struct server {
	SSL_CTX *ctx;
	int fd, rc;
	struct serve_config config;
	const char *step;
	bool then_write; /* the service speaks first */
	struct buf early;
};

static void *serve(void *arg)
{
	struct server *s = arg;
	SSL *ssl = SSL_new(s->ctx);

	SSL_set_fd(ssl, s->fd);
	s->early = buf_make(SERVE_EARLY_MAX);
	s->rc = serve_attest(&s->config, ssl, &s->early, &s->step);
	if (s->rc == 0 && s->then_write)
		SSL_write(ssl, "first", 5);
	SSL_free(ssl);
	close(s->fd);
	return NULL;
}

struct client {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	uint8_t context[32];
	struct authenticator_keys keys;
	struct buf request, answer;
};

static SSL *client_tls(struct client *c, const char *alpn)
{
	uint8_t proto[64];
	size_t n = strlen(alpn);

	c->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_min_proto_version(c->ctx, TLS1_3_VERSION);
	c->ssl = SSL_new(c->ctx);
	proto[0] = (uint8_t)n;
	memcpy(proto + 1, alpn, n);
	assert_int_equal(SSL_set_alpn_protos(c->ssl, proto, (unsigned)n + 1), 0);
	SSL_set_fd(c->ssl, c->fd);
	return c->ssl;
}

/* Asks for evidence and reads one authenticator, message by message. */
static void ask(struct client *c, const char *name)
{
	uint8_t chunk[4096];
	int64_t need = 0;

	c->request = buf_make(AUTHENTICATOR_REQUEST_MAX);
	c->answer = buf_make(AUTHENTICATOR_MAX);
	RAND_bytes(c->context, sizeof(c->context));
	assert_int_equal(SSL_connect(c->ssl), 1);
	assert_int_equal(authenticator_keys_of(c->ssl, c->context, &c->keys), 0);
	assert_int_equal(authenticator_request_build(c->context, name, false, &c->request), 0);
	assert_int_equal(SSL_write(c->ssl, c->request.p, (int)c->request.n), (int)c->request.n);
	while ((need = authenticator_length(buf_view(&c->answer))) == 0 ||
	       (size_t)need > c->answer.n) {
		size_t want = need ? (size_t)need - c->answer.n : 4;
		int n;

		assert_true(need >= 0);
		n = SSL_read(c->ssl, chunk, (int)(want < sizeof(chunk) ? want : sizeof(chunk)));
		assert_true(n > 0);
		buf_put(&c->answer, chunk, (size_t)n);
	}
}

static void begin(struct server *s, struct client *c, pthread_t *t)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	memset(c, 0, sizeof(*c));
	s->fd = pair[0];
	c->fd = pair[1];
	s->config.source = s->config.source ? s->config.source : &source;
	if (!s->config.transports)
		s->config.transports = 1u << TRANSPORT_KEYGATE;
	s->ctx = serve_tls_context("test");
	assert_non_null(s->ctx);
	assert_int_equal(pthread_create(t, NULL, serve, s), 0);
}

static void end(struct server *s, struct client *c, pthread_t t)
{
	close(c->fd);
	pthread_join(t, NULL);
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	SSL_CTX_free(s->ctx);
	buf_free(&c->request);
	buf_free(&c->answer);
	buf_free(&s->early);
}

static void test_answers_with_evidence_bound_to_the_connection(void **state)
{
	struct server s = {.then_write = true};
	struct client c;
	struct authenticator a;
	struct checks checks = {0};
	struct claims claims;
	struct cmw cmw;
	uint8_t data[64];
	char first[8] = {0}, bundle[20000];
	pthread_t t;

	(void)state;
	/* As large as real bundles are. */
	memset(bundle, '{', sizeof(bundle));
	assert_int_equal(file_write_atomic(in_base("bundle"), BYTES_OF(bundle), 0600), 0);
	s.config.bundle = in_base("bundle");
	s.config.statement = in_base("bundle");
	begin(&s, &c, &t);
	client_tls(&c, AUTHENTICATOR_ALPN);
	ask(&c, "service.test");
	assert_int_equal(authenticator_verify(&c.keys, buf_view(&c.request), buf_view(&c.answer),
	                                      &a, &checks),
	                 0);
	assert_int_equal(checks_overall(&checks), CHECK_PASS);
	assert_int_equal(cmw_parse(a.cmw, false, &cmw), 0);
	assert_string_equal(cmw.evidence_type, attest_media_type(TEE_SNP));
	assert_true(bytes_equal(cmw.bundle, BYTES_OF(bundle)));
	assert_true(bytes_equal(cmw.statement, BYTES_OF(bundle)));
	assert_int_equal(attest_binding(BINDING_SERVER, a.spki, c.keys.attestation, c.context,
	                                bytes_str("service.test"), data),
	                 0);
	assert_int_equal(appraise(cmw.evidence, cmw.endorsements[0], data, true, &claims, &checks),
	                 CHECK_PASS);
	/* What the service says first comes in a record of its own. */
	assert_int_equal(SSL_pending(c.ssl), 0);
	assert_int_equal(SSL_read(c.ssl, first, 5), 5);
	assert_string_equal(first, "first");
	end(&s, &c, t);
	assert_int_equal(s.rc, 0);
}

/* The client's appraisal of a quote and what came with it. */
static enum check_status appraise_tdx(const struct cmw *cmw, const uint8_t data[static 64],
                                      struct bytes root, struct claims *claims,
                                      struct checks *checks)
{
	struct attest_input in = {.type = attest_tee_from_media_type(cmw->evidence_type),
	                          .evidence = cmw->evidence,
	                          .endorsements_n = cmw->endorsements_n,
	                          .anchors = {root},
	                          .anchors_n = root.n ? 1 : 0,
	                          .at = time(NULL),
	                          .check_report_data = true,
	                          .require_crl = true};

	memcpy(in.endorsements, cmw->endorsements, sizeof(cmw->endorsements));
	memcpy(in.report_data, data, sizeof(in.report_data));
	memset(checks, 0, sizeof(*checks));
	assert_int_equal(attest_appraise(&in, claims, checks), 0);
	return checks_overall(checks);
}

/* A quote with its collateral holds at the client, for this connection and under its anchor only.
 */
static void judge_tdx(const struct client *c, struct bytes root)
{
	struct authenticator a;
	struct checks checks = {0};
	struct claims claims;
	struct measurements m;
	struct cmw cmw;
	uint8_t data[64];

	assert_int_equal(authenticator_verify(&c->keys, buf_view(&c->request), buf_view(&c->answer),
	                                      &a, &checks),
	                 0);
	assert_int_equal(checks_overall(&checks), CHECK_PASS);
	assert_int_equal(cmw_parse(a.cmw, false, &cmw), 0);
	assert_string_equal(cmw.evidence_type, attest_media_type(TEE_TDX));
	assert_int_equal(attest_binding(BINDING_SERVER, a.spki, c->keys.attestation, c->context,
	                                bytes_str("service.test"), data),
	                 0);
	assert_int_equal(appraise_tdx(&cmw, data, root, &claims, &checks), CHECK_PASS);
	assert_string_equal(claims.tcb_status, "UpToDate");
	assert_int_equal(evidence_sim_measure(TEE_TDX, in_base("code"), &m), 0);
	for (uint32_t i = 0; i < m.n; i++) {
		const struct measurement *is = measurement_find(&claims.measurements, m.v[i].name);

		assert_non_null(is);
		assert_memory_equal(is->value, m.v[i].value, m.v[i].len);
	}
	assert_int_not_equal(appraise_tdx(&cmw, data, BYTES_NONE, &claims, &checks), CHECK_PASS);
	assert_int_not_equal(checks_find(&checks, "tdx.pck-chain")->status, CHECK_PASS);
	data[0] ^= 1;
	assert_int_equal(appraise_tdx(&cmw, data, root, &claims, &checks), CHECK_FAIL);
	assert_string_equal(checks_first(&checks, CHECK_FAIL)->id, "tdx.report-data");
}

static void test_answers_with_a_quote(void **state)
{
	struct evidence_source tdx;
	struct server s = {.config.source = &tdx};
	struct client c;
	const char *step;
	uint8_t *root = NULL;
	size_t n;
	pthread_t t;

	(void)state;
	assert_int_equal(evidence_sim_init(in_base("tdx"), TEE_TDX, time(NULL), &step), 0);
	assert_int_equal(evidence_sim_open(in_base("tdx"), in_base("code"), &tdx, &step), 0);
	assert_int_equal(file_read(in_base("tdx/anchor.pem"), 65536, &root, &n), 0);
	begin(&s, &c, &t);
	client_tls(&c, AUTHENTICATOR_ALPN);
	ask(&c, "service.test");
	judge_tdx(&c, (struct bytes){root, n});
	end(&s, &c, t);
	assert_int_equal(s.rc, 0);
	evidence_sim_close(&tdx);
	free(root);
}

static int refuse(void *ctx, const uint8_t report_data[static 64], struct evidence *out)
{
	(void)ctx;
	(void)report_data;
	(void)out;
	return -ENODATA;
}

static void expect_declined(struct server *s, const char *name)
{
	struct client c;
	struct authenticator a;
	struct checks checks = {0};
	pthread_t t;

	begin(s, &c, &t);
	client_tls(&c, AUTHENTICATOR_ALPN);
	ask(&c, name);
	assert_int_equal(authenticator_verify(&c.keys, buf_view(&c.request), buf_view(&c.answer),
	                                      &a, &checks),
	                 0);
	assert_string_equal(checks_first(&checks, CHECK_FAIL)->id, "auth.declined");
	end(s, &c, t);
	assert_int_not_equal(s->rc, 0);
}

static void test_declines_without_evidence(void **state)
{
	struct evidence_source none = {.evidence = refuse};
	struct server s = {.config.source = &none};

	(void)state;
	expect_declined(&s, "");
}

static void test_declines_a_name_that_is_not_its_own(void **state)
{
	struct server s = {.config = {.name = {"service.test"}, .names = 1}};

	(void)state;
	expect_declined(&s, "other.test");
}

static void test_refuses_another_protocol(void **state)
{
	struct server s = {0};
	struct client c;
	pthread_t t;

	(void)state;
	begin(&s, &c, &t);
	client_tls(&c, "http/1.1");
	assert_int_not_equal(SSL_connect(c.ssl), 1);
	end(&s, &c, t);
	assert_int_not_equal(s.rc, 0);
	assert_string_equal(s.step, "tls");
}

static void test_refuses_what_is_no_request(void **state)
{
	struct server s = {0};
	struct client c;
	pthread_t t;
	char answer[16];

	(void)state;
	begin(&s, &c, &t);
	client_tls(&c, AUTHENTICATOR_ALPN);
	assert_int_equal(SSL_connect(c.ssl), 1);
	assert_int_equal(SSL_write(c.ssl, "GET / HTTP/1.0\r\n\r\n", 18), 18);
	assert_true(SSL_read(c.ssl, answer, sizeof(answer)) <= 0);
	end(&s, &c, t);
	assert_string_equal(s.step, "request");
}

static void *idle_pump(void *arg)
{
	struct server *s = arg;
	SSL *ssl = SSL_new(s->ctx);
	int service[2];

	SSL_set_fd(ssl, s->fd);
	s->early = buf_make(SERVE_EARLY_MAX);
	s->rc = serve_attest(&s->config, ssl, &s->early, &s->step);
	if (s->rc == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, service) == 0) {
		fcntl(s->fd, F_SETFL, O_NONBLOCK);
		s->rc = pump_run(ssl, service[0], BYTES_NONE, 1);
		close(service[0]);
		close(service[1]);
	}
	SSL_free(ssl);
	close(s->fd);
	return NULL;
}

static void test_an_idle_connection_is_given_up(void **state)
{
	struct server s = {.config = {.source = &source, .transports = 1u << TRANSPORT_KEYGATE}};
	struct client c = {0};
	pthread_t t;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	s.fd = pair[0];
	c.fd = pair[1];
	s.ctx = serve_tls_context("test");
	assert_int_equal(pthread_create(&t, NULL, idle_pump, &s), 0);
	client_tls(&c, AUTHENTICATOR_ALPN);
	ask(&c, "");
	pthread_join(t, NULL);
	assert_int_equal(s.rc, -ETIMEDOUT);
	close(c.fd);
	SSL_free(c.ssl);
	SSL_CTX_free(c.ctx);
	SSL_CTX_free(s.ctx);
	buf_free(&c.request);
	buf_free(&c.answer);
}

struct pumping {
	SSL_CTX *tls;
	int fd, service, rc;
};

static void *pump_early(void *arg)
{
	struct pumping *p = arg;
	SSL *ssl = SSL_new(p->tls);
	const char *step;
	struct serve_config config = {.source = &source, .transports = 1u << TRANSPORT_WELL_KNOWN};
	struct buf early = buf_make(SERVE_EARLY_MAX);

	SSL_set_fd(ssl, p->fd);
	fcntl(p->fd, F_SETFL, O_NONBLOCK);
	p->rc = serve_attest(&config, ssl, &early, &step);
	if (p->rc == 0)
		p->rc = pump_run(ssl, p->service, buf_view(&early), 5);
	buf_free(&early);
	SSL_free(ssl);
	close(p->fd);
	return NULL;
}

/* What was read to see whose it is reaches the service first, and whole. */
static void test_the_service_gets_what_came_early(void **state)
{
	static const char says[] = "POST /upload HTTP/1.1\r\n\r\n";
	struct pumping p;
	struct client c = {0};
	char got[64] = "";
	pthread_t t;
	int pair[2], service[2];
	size_t n = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, service), 0);
	fcntl(service[0], F_SETFL, O_NONBLOCK);
	p = (struct pumping){serve_tls_context("test"), pair[0], service[0], 0};
	c.fd = pair[1];
	assert_int_equal(pthread_create(&t, NULL, pump_early, &p), 0);
	client_tls(&c, "http/1.1");
	assert_int_equal(SSL_connect(c.ssl), 1);
	assert_int_equal(SSL_write(c.ssl, says, 10), 10);
	assert_int_equal(SSL_write(c.ssl, says + 10, (int)strlen(says) - 10), strlen(says) - 10);
	while (n < strlen(says)) {
		ssize_t now = read(service[1], got + n, sizeof(got) - 1 - n);

		assert_true(now > 0);
		n += (size_t)now;
	}
	assert_string_equal(got, says);
	assert_int_equal(write(service[1], "stored", 6), 6);
	assert_int_equal(SSL_read(c.ssl, got, 6), 6);
	SSL_shutdown(c.ssl);
	close(service[1]);
	pthread_join(t, NULL);
	assert_int_equal(p.rc, 0);
	close(service[0]);
	close(c.fd);
	SSL_free(c.ssl);
	SSL_CTX_free(c.ctx);
	SSL_CTX_free(p.tls);
}

/* --------------------------------------------------------------------- places */

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
		memcpy(&a, &in, sizeof(in));
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
		memcpy(&a, &in6, sizeof(in6));
	}
	return a;
}

static enum places_answer takes(struct places *p, unsigned max, const char *from,
                                struct place *place)
{
	const struct sockaddr_storage a = address(from);

	return places_take(p, max, &a, place);
}

/* Of 16 places the last two are not for who has eight. */
static void test_the_last_places_are_for_others(void **state)
{
	static const char *const same[][3] = {
	        /* one client, also; another */
	        {"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"},
	        {"::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2"},
	        {"2001:db8::1", "2001:db8::ffff:0:0:1", "2001:db8:0:1::1"},
	};

	(void)state;
	for (size_t k = 0; k < sizeof(same) / sizeof(same[0]); k++) {
		struct places p = {.lock = PTHREAD_MUTEX_INITIALIZER};
		struct place place[17];

		for (int i = 0; i < 14; i++)
			assert_int_equal(takes(&p, 16, same[k][i % 2], &place[i]), PLACES_TAKEN);
		assert_int_equal(takes(&p, 16, same[k][0], &place[14]), PLACES_HALF_TAKEN);
		assert_int_equal(takes(&p, 16, same[k][1], &place[14]), PLACES_HALF_TAKEN);
		assert_int_equal(takes(&p, 16, same[k][2], &place[14]), PLACES_TAKEN);
		assert_int_equal(takes(&p, 16, same[k][2], &place[15]), PLACES_TAKEN);
		assert_int_equal(takes(&p, 16, same[k][2], &place[16]), PLACES_FULL);
		/* First, last and in between. */
		places_leave(&p, &place[15]);
		places_leave(&p, &place[0]);
		assert_int_equal(takes(&p, 16, same[k][0], &place[0]), PLACES_HALF_TAKEN);
		places_leave(&p, &place[7]);
		assert_int_equal(p.n, 13);
		assert_int_equal(takes(&p, 16, same[k][0], &place[0]), PLACES_TAKEN);
		assert_int_equal(p.n, 14);
	}
}

static void test_who_has_less_than_half_may_have_the_last(void **state)
{
	struct places p = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct place place[17];
	char from[16];

	(void)state;
	for (int i = 0; i < 16; i++) {
		snprintf(from, sizeof(from), "192.0.2.%d", i < 9 ? 1 : i < 15 ? 2 : 3);
		assert_int_equal(takes(&p, 16, from, &place[i]), PLACES_TAKEN);
	}
	assert_int_equal(takes(&p, 16, "192.0.2.4", &place[16]), PLACES_FULL);
	/* Of few, none is kept back. */
	p = (struct places){.lock = PTHREAD_MUTEX_INITIALIZER};
	for (int i = 0; i < 7; i++)
		assert_int_equal(takes(&p, 7, "192.0.2.1", &place[i]), PLACES_TAKEN);
	assert_int_equal(takes(&p, 7, "192.0.2.2", &place[7]), PLACES_FULL);
}

static struct serve_config crowded = {.max_connections = 16, .transports = 1u << TRANSPORT_KEYGATE};
static volatile int stop_crowded;

struct crowd {
	SSL_CTX *tls;
	int listener, rc;
};

static void *run_crowded(void *arg)
{
	struct crowd *c = arg;

	c->rc = serve_run(&crowded, c->tls, c->listener, &stop_crowded);
	return NULL;
}

static int come_from(const char *from)
{
	const struct sockaddr_storage a = address(from);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(struct sockaddr_in)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&crowded.listen, crowded.listen_len),
	                 0);
	return fd;
}

static void expect_reset(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;

	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
}

static void test_one_address_does_not_shut_out_another(void **state)
{
	struct crowd crowd = {.tls = serve_tls_context("test")};
	struct client c = {0};
	pthread_t t;
	int fd[14];

	(void)state;
	crowded.source = &source;
	crowded.listen = address("127.0.0.1");
	crowded.listen_len = sizeof(struct sockaddr_in);
	crowd.listener = serve_listen(&crowded);
	assert_true(crowd.listener >= 0);
	assert_int_equal(getsockname(crowd.listener, (struct sockaddr *)&crowded.listen,
	                             &crowded.listen_len),
	                 0);
	assert_int_equal(pthread_create(&t, NULL, run_crowded, &crowd), 0);
	for (int i = 0; i < 14; i++)
		fd[i] = come_from("127.0.0.1");
	expect_reset(come_from("127.0.0.1"));
	c.fd = come_from("127.0.0.2");
	client_tls(&c, AUTHENTICATOR_ALPN);
	assert_int_equal(SSL_connect(c.ssl), 1);
	for (int i = 0; i < 14; i++)
		close(fd[i]);
	close(c.fd);
	stop_crowded = 1;
	pthread_join(t, NULL);
	assert_int_equal(crowd.rc, 0);
	close(crowd.listener);
	SSL_free(c.ssl);
	SSL_CTX_free(c.ctx);
	SSL_CTX_free(crowd.tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_simulated_evidence_holds_under_its_anchor_only),
	        cmocka_unit_test(test_an_existing_platform_is_not_written_over),
	        cmocka_unit_test(test_no_configfs_is_no_device),
	        cmocka_unit_test(test_answers_with_evidence_bound_to_the_connection),
	        cmocka_unit_test(test_answers_with_a_quote),
	        cmocka_unit_test(test_declines_without_evidence),
	        cmocka_unit_test(test_declines_a_name_that_is_not_its_own),
	        cmocka_unit_test(test_refuses_another_protocol),
	        cmocka_unit_test(test_refuses_what_is_no_request),
	        cmocka_unit_test(test_an_idle_connection_is_given_up),
	        cmocka_unit_test(test_the_service_gets_what_came_early),
	        cmocka_unit_test(test_the_last_places_are_for_others),
	        cmocka_unit_test(test_who_has_less_than_half_may_have_the_last),
	        cmocka_unit_test(test_one_address_does_not_shut_out_another),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
