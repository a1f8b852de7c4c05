/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases between both ends: granted with the evidence, taken up without any, and everything that
 * has to make a handshake with evidence, or none, of it instead.
 */
#include "ends_lab.h"

#include "attest/binding.h"
#include "attest/lease.h"
#include "attester/answer.h"
#include "core/secret.h"

enum { SECONDS = 600 };

static struct {
	SSL_CTX *tls; /* the server's: one key for all its connections */
	struct lease_table *table;
	struct attest_lease *lease; /* granted anew for each test */
} world;

/* One more connection of the same server; of another, if it has a context already. */
static void serve(struct server *s, struct lease_table *table)
{
	if (!s->tls) {
		SSL_CTX_up_ref(world.tls);
		s->tls = world.tls;
	}
	s->config.leases = table;
	s->config.lease_s = SECONDS;
	server_start(s, 1u << TRANSPORT_KEYGATE);
}

/* Attested, with a lease that is taken; the seconds that were granted. */
static uint32_t granted(struct lease_table *table, struct attest_lease *take)
{
	struct server s = {0};
	struct client c;
	struct judged j;

	serve(&s, table);
	client_start(&c, TRANSPORT_KEYGATE, &s.at);
	c.take = take;
	client_connect(&c, NULL);
	expect_judged(&c, NULL);
	judge(&c, &j);
	assert_false(c.e.resumed);
	client_end(&c);
	server_end(&s);
	return j.lease_s;
}

static bool none(const struct attest_lease *lease)
{
	return bytes_all_zero((const uint8_t *)lease, sizeof(*lease));
}

static void *connect_thread(void *client)
{
	client_connect(client, NULL);
	return NULL;
}

static int start_test(void **state)
{
	(void)state;
	world.table = lease_table_new();
	assert_non_null(world.table);
	assert_int_equal(granted(world.table, world.lease), SECONDS);
	return 0;
}

static int stop_test(void **state)
{
	(void)state;
	lease_table_free(world.table);
	return 0;
}

/* What became of the offer. */
enum outcome { RESUMED, ATTESTED, REFUSED };

static void expect_outcome(const struct client *c, enum outcome want, const char *code)
{
	if (want == REFUSED) {
		assert_true(c->rc < 0);
		assert_string_equal(c->why.code, code);
		assert_false(c->e.resumed);
		return;
	}
	if (c->rc)
		fail_msg("%s: %s", c->why.code, c->why.detail);
	assert_int_equal(c->e.resumed, want == RESUMED);
	if (want == ATTESTED)
		expect_judged(c, NULL);
	else
		assert_int_equal(c->e.bytes.n + c->e.request_len + c->e.message_len, 0);
}

/* A client of this server, with an offer and what else the caller said. */
struct visit {
	SSL_CTX *server_tls; /* NULL: the server that granted; else taken */
	const char *name;    /* NULL: that of the lease */
	const char *suites;  /* NULL: the client's own */
	unsigned transports; /* that are answered; 0: keygate */
};

static void visit(const struct attest_lease *lease, const struct visit *v, enum outcome want,
                  const char *code)
{
	struct server s = {.tls = v->server_tls};
	struct client c;

	serve(&s, world.table);
	client_start(&c, TRANSPORT_KEYGATE, &s.at);
	if (v->name)
		snprintf(c.to.server_name, sizeof(c.to.server_name), "%s", v->name);
	if (v->suites)
		assert_int_equal(SSL_CTX_set_ciphersuites(c.tls, v->suites), 1);
	c.offer = lease;
	client_connect(&c, NULL);
	expect_outcome(&c, want, code);
	client_end(&c);
	server_end(&s);
}

static const struct visit plain;

static void taken_up(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		visit(world.lease, &plain, RESUMED, NULL);
	assert_int_equal(lease_table_count(world.table, lease_now()), 1);
}

/* In whatever order their messages arrive, each has the handshake that it asked for. */
static void taken_up_at_the_same_time(void **state)
{
	enum { AT_ONCE = 4 };
	struct server s[AT_ONCE] = {0};
	struct client c[AT_ONCE];
	pthread_t thread[AT_ONCE];

	(void)state;
	for (int i = 0; i < AT_ONCE; i++) {
		serve(&s[i], world.table);
		client_start(&c[i], TRANSPORT_KEYGATE, &s[i].at);
		c[i].offer = world.lease;
	}
	for (int i = 0; i < AT_ONCE; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, connect_thread, &c[i]), 0);
	for (int i = 0; i < AT_ONCE; i++) {
		pthread_join(thread[i], NULL);
		expect_outcome(&c[i], RESUMED, NULL);
		client_end(&c[i]);
		server_end(&s[i]);
	}
}

/* What makes it another lease, or none, is answered by evidence. */
static void ignored_and_attested(void **state)
{
	static const char *const names[] = {"", "other.test", "service.tes", "Service.test",
	                                    "service.test.test"};
	struct attest_lease *other = secret_alloc(sizeof(*other));

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		visit(world.lease, &(struct visit){.name = names[i]}, ATTESTED, NULL);
	for (size_t i = 0; i < ATTEST_LEASE_IDENTITY_LEN; i += 31) {
		*other = *world.lease;
		other->identity[i] ^= 1;
		visit(other, &plain, ATTESTED, NULL);
	}
	visit(world.lease, &plain, RESUMED, NULL);
	secret_free(other, sizeof(*other));
}

/* One who knows the identity and not the PSK gets nothing, evidence neither. */
static void a_wrong_psk_ends_the_handshake(void **state)
{
	struct attest_lease *wrong = secret_alloc(sizeof(*wrong));

	(void)state;
	for (size_t i = 0; i < world.lease->psk_len; i += world.lease->psk_len - 1U) {
		*wrong = *world.lease;
		wrong->psk[i] ^= 1;
		visit(wrong, &plain, REFUSED, "tls.alert");
	}
	visit(world.lease, &plain, RESUMED, NULL);
	secret_free(wrong, sizeof(*wrong));
}

static void it_ends(void **state)
{
	struct server s = {0};
	struct client c;
	const struct timespec second = {1, 100 * 1000 * 1000};

	(void)state;
	serve(&s, world.table);
	s.config.lease_s = 1;
	client_start(&c, TRANSPORT_KEYGATE, &s.at);
	c.take = world.lease;
	client_connect(&c, NULL);
	expect_judged(&c, NULL);
	client_end(&c);
	server_end(&s);
	nanosleep(&second, NULL);
	visit(world.lease, &plain, ATTESTED, NULL);
}

/* The process that granted it has ended, or was told to forget. */
static void forgotten(void **state)
{
	(void)state;
	lease_table_wipe(world.table);
	assert_int_equal(lease_table_count(world.table, lease_now()), 0);
	visit(world.lease, &plain, ATTESTED, NULL);
	assert_int_equal(granted(world.table, world.lease), SECONDS);
	lease_table_free(world.table);
	world.table = lease_table_new();
	visit(world.lease, &plain, ATTESTED, NULL);
}

/* ----------------------------------------------------------------------- asking */

static void not_granted(void **state)
{
	(void)state;
	assert_int_equal(granted(NULL, world.lease), 0);
	assert_false(none(world.lease)); /* only the verdict knows */
	visit(world.lease, &plain, ATTESTED, NULL);
}

/* Who does not ask gets none, and nothing of one. */
static void not_asked_for(void **state)
{
	struct server s = {0};
	struct client c;
	struct judged j;

	(void)state;
	lease_table_wipe(world.table);
	serve(&s, world.table);
	client_start(&c, TRANSPORT_KEYGATE, &s.at);
	client_connect(&c, NULL);
	expect_judged(&c, NULL);
	judge(&c, &j);
	assert_int_equal(j.lease_s, 0);
	assert_int_equal(lease_table_count(world.table, lease_now()), 0);
	/* Nor could the relay make verify believe that it was asked for, or was not. */
	c.take = world.lease;
	expect_judged(&c, "verify.request");
	client_end(&c);
	server_end(&s);
}

/* The next one is taken together with the evidence when the offer is not known, and is none when it
 * is. */
static void offered_and_asked_for(void **state)
{
	for (int known = 0; known <= 1; known++) {
		struct attest_lease *next = secret_alloc(sizeof(*next));
		struct server s = {0};
		struct client c;

		(void)state;
		if (!known)
			lease_table_wipe(world.table);
		serve(&s, world.table);
		client_start(&c, TRANSPORT_KEYGATE, &s.at);
		c.offer = world.lease;
		c.take = next;
		memset(next, 0xff, sizeof(*next));
		client_connect(&c, NULL);
		expect_outcome(&c, known ? RESUMED : ATTESTED, NULL);
		assert_int_equal(none(next), known);
		client_end(&c);
		server_end(&s);
		if (!known)
			*world.lease = *next;
		secret_free(next, sizeof(*next));
	}
}

/* The evidence does not come: nothing is left in the caller's memory. */
static void taken_only_with_the_evidence(void **state)
{
	struct server s = {.config.name = {"other.test"}, .config.names = 1};
	struct client c;

	(void)state;
	lease_table_wipe(world.table);
	serve(&s, world.table);
	client_start(&c, TRANSPORT_KEYGATE, &s.at);
	c.take = world.lease;
	client_connect(&c, NULL);
	expect_judged(&c, "auth.declined");
	assert_int_equal(lease_table_count(world.table, lease_now()), 0);
	client_end(&c);
	server_end(&s);
	memset(&s, 0, sizeof(s));
	serve(&s, world.table);
	s.config.transports = 1u << TRANSPORT_FLASHBOTS;
	client_start(&c, TRANSPORT_KEYGATE, &s.at);
	c.take = world.lease;
	assert_true(client_connect(&c, NULL) < 0);
	assert_true(none(world.lease));
	client_end(&c);
	server_end(&s);
}

static void other_transports_have_none(void **state)
{
	for (int take = 0; take <= 1; take++) {
		struct server s = {0};
		struct client c;

		(void)state;
		serve(&s, world.table);
		client_start(&c, TRANSPORT_FLASHBOTS, &s.at);
		c.take = take ? world.lease : NULL;
		c.offer = take ? NULL : world.lease;
		assert_int_equal(client_connect(&c, NULL), -EINVAL);
		assert_string_equal(c.why.code, "session.resources");
		client_end(&c);
		server_end(&s);
	}
}

/* -------------------------------------------------------------------- the suite */

#define AES256 "TLS_AES_256_GCM_SHA384"
#define AES128 "TLS_AES_128_GCM_SHA256"
#define CHACHA "TLS_CHACHA20_POLY1305_SHA256"

/* A lease of a connection with this suite. */
static void granted_with(const char *suite, struct attest_lease *take)
{
	struct server s = {0};
	struct client c;

	serve(&s, world.table);
	client_start(&c, TRANSPORT_KEYGATE, &s.at);
	assert_int_equal(SSL_CTX_set_ciphersuites(c.tls, suite), 1);
	c.take = take;
	client_connect(&c, NULL);
	expect_judged(&c, NULL);
	client_end(&c);
	server_end(&s);
}

/* One of the same hash is another one too. */
static void for_its_own_suite(void **state)
{
	static const char *const suites[] = {AES256, AES128, CHACHA};
	static const uint8_t len[] = {48, 32, 32};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		granted_with(suites[i], world.lease);
		assert_int_equal(world.lease->psk_len, len[i]);
		for (size_t k = 0; k < 3; k++)
			visit(world.lease, &(struct visit){.suites = suites[k]},
			      k == i ? RESUMED : ATTESTED, NULL);
	}
}

/* A server's context of which the test has changed something. */
static SSL_CTX *server_with(const char *suites, const char *groups)
{
	char copy[32];
	SSL_CTX *tls = serve_tls_context("service.test");

	assert_non_null(tls);
	if (suites)
		assert_int_equal(SSL_CTX_set_ciphersuites(tls, suites), 1);
	if (groups) {
		snprintf(copy, sizeof(copy), "%s", groups); /* a macro takes const away */
		assert_int_equal(SSL_CTX_set1_groups_list(tls, copy), 1);
	}
	return tls;
}

/* A second ClientHello: with the lease, or, for a suite of another hash, without it. */
static void after_a_retry(void **state)
{
	static const struct visit once = {0};
	struct visit v = once;

	(void)state;
	v.server_tls = server_with(NULL, "P-256");
	visit(world.lease, &v, RESUMED, NULL);
	v.server_tls = server_with(AES128, "P-256");
	visit(world.lease, &v, ATTESTED, NULL);
	v.server_tls = server_with(AES128, NULL);
	visit(world.lease, &v, ATTESTED, NULL);
}

/* -------------------------------------------- servers that hold leases otherwise */

/* Whoever comes has this one. */
static int find_always(SSL *ssl, const unsigned char *identity, size_t n, SSL_SESSION **out)
{
	(void)identity, (void)n;
	*out = attest_lease_session(ssl, world.lease);
	return 1;
}

static int any_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                    const unsigned char *in, unsigned in_n, void *arg)
{
	(void)ssl, (void)in_n, (void)arg;
	*out = in + 1;
	*out_n = in[0];
	return SSL_TLSEXT_ERR_OK;
}

static void serve_hostile(struct server *s)
{
	if (!s->tls)
		s->tls = server_with(NULL, NULL);
	SSL_CTX_set_client_hello_cb(s->tls, NULL, NULL);
	SSL_CTX_set_alpn_select_cb(s->tls, any_alpn, NULL);
	SSL_CTX_set_psk_find_session_callback(s->tls, find_always);
	server_start(s, 1u << TRANSPORT_KEYGATE);
}

static int accept_alone(struct server *s, SSL *ssl)
{
	(void)s;
	return SSL_accept(ssl) == 1 ? 0 : -EPROTO;
}

static void taken_with_another_suite(void **state)
{
	struct server s = {.hostile = accept_alone, .tls = server_with(CHACHA, NULL)};
	struct client c;

	(void)state;
	granted_with(AES128, world.lease);
	serve_hostile(&s);
	client_start(&c, TRANSPORT_KEYGATE, &s.at);
	c.offer = world.lease;
	client_connect(&c, NULL);
	expect_outcome(&c, REFUSED, "tls.lease");
	client_end(&c);
	server_end(&s);
}

/* Of a client that would go without an ephemeral exchange: transport/ still would not. */
static void taken_without_ephemeral_keys(void **state)
{
	for (int allowed = 0; allowed <= 1; allowed++) {
		struct server s = {.hostile = accept_alone, .tls = server_with(NULL, "P-384")};
		struct client c;

		(void)state;
		SSL_CTX_set_options(s.tls, SSL_OP_ALLOW_NO_DHE_KEX);
		serve_hostile(&s);
		client_start(&c, TRANSPORT_KEYGATE, &s.at);
		if (allowed)
			SSL_CTX_set_options(c.tls, SSL_OP_ALLOW_NO_DHE_KEX);
		c.offer = world.lease;
		client_connect(&c, NULL);
		expect_outcome(&c, REFUSED, allowed ? "tls.lease" : "tls.alert");
		client_end(&c);
		server_end(&s);
	}
}

/* The end of the connection that the client knows is no end of its lease. */
static void tickets_behind_it_are_left_alone(void **state)
{
	struct server s = {.hostile = accept_alone};
	struct client c;

	(void)state;
	s.tls = server_with(NULL, NULL);
	SSL_CTX_clear_options(s.tls, SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(s.tls, 2);
	serve_hostile(&s);
	client_start(&c, TRANSPORT_KEYGATE, &s.at);
	c.offer = world.lease;
	client_connect(&c, NULL);
	expect_outcome(&c, RESUMED, NULL);
	client_end(&c);
	server_end(&s);
}

/* A server that grants what nobody asked for. */
static int unasked(struct server *s, SSL *ssl)
{
	struct answering a = {.config = &s->config, .ssl = ssl, .early = NULL};
	struct buf cmw = buf_make(AUTHENTICATOR_CMW_MAX), msg = buf_make(AUTHENTICATOR_MAX);
	struct authenticator_request rq;
	struct authenticator_keys keys;
	uint8_t in[AUTHENTICATOR_REQUEST_MAX], report_data[64], *spki = NULL, *der = NULL;
	size_t n = 0;
	int got = SSL_accept(ssl) == 1 ? SSL_read(ssl, in, sizeof(in)) : 0;
	struct bytes request = {in, got > 0 ? (size_t)got : 0}, chain;

	assert_int_equal(authenticator_request_parse(request, &rq), 0);
	assert_int_equal(authenticator_keys_of(ssl, rq.context, &keys), 0);
	assert_int_equal(answering_key(&a, &spki, &n), 0);
	assert_int_equal(attest_binding(BINDING_SERVER, (struct bytes){spki, n}, keys.attestation,
	                                rq.context, bytes_str(rq.name), report_data),
	                 0);
	assert_int_equal(answer_cmw(&s->config, report_data, SECONDS, &cmw), 0);
	n = (size_t)i2d_X509(SSL_get_certificate(ssl), &der);
	chain = (struct bytes){der, n};
	assert_int_equal(authenticator_build(&keys, request, &chain, 1, SSL_get_privatekey(ssl),
	                                     buf_view(&cmw), &msg),
	                 0);
	assert_int_equal(SSL_write(ssl, msg.p, (int)msg.n), msg.n);
	OPENSSL_free(spki);
	OPENSSL_free(der);
	buf_free(&cmw);
	buf_free(&msg);
	return 0;
}

static void granted_unasked(void **state)
{
	(void)state;
	for (int asked = 0; asked <= 1; asked++) {
		struct server s = {.hostile = unasked, .config.source = &lab.first.source};
		struct client c;

		serve_hostile(&s);
		client_start(&c, TRANSPORT_KEYGATE, &s.at);
		c.take = asked ? world.lease : NULL;
		client_connect(&c, NULL);
		expect_judged(&c, asked ? NULL : "cmw.format");
		client_end(&c);
		server_end(&s);
	}
}

/* --------------------------------------------- clients that want it otherwise */

static uint32_t early_max;

static int use_lease(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *n,
                     SSL_SESSION **out)
{
	(void)md;
	*id = world.lease->identity;
	*n = sizeof(world.lease->identity);
	*out = attest_lease_session(ssl, world.lease);
	assert_int_equal(SSL_SESSION_set_max_early_data(*out, early_max), 1);
	assert_int_equal(SSL_SESSION_set1_alpn_selected(*out, (const uint8_t *)AUTHENTICATOR_ALPN,
	                                                strlen(AUTHENTICATOR_ALPN)),
	                 1);
	return 1;
}

/* Any TLS client that has the lease. */
static SSL *client_of_its_own(struct client *c, const struct server *s, const char *alpn)
{
	struct buf list = buf_make(256);
	char name[] = "service.test"; /* a macro takes const away */
	SSL *ssl;

	client_start(c, TRANSPORT_KEYGATE, &s->at);
	SSL_CTX_set_keylog_callback(c->tls, NULL);
	ssl = SSL_new(c->tls);
	buf_u8(&list, (uint8_t)strlen(alpn));
	buf_str(&list, alpn);
	assert_int_equal(SSL_set_alpn_protos(ssl, list.p, (unsigned)list.n), 0);
	assert_int_equal(SSL_set_tlsext_host_name(ssl, name), 1);
	SSL_set_psk_use_session_callback(ssl, use_lease);
	close(c->fd);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
	        connect(c->fd, (const struct sockaddr *)&s->at, sizeof(struct sockaddr_in)), 0);
	assert_int_equal(SSL_set_fd(ssl, c->fd), 1);
	buf_free(&list);
	return ssl;
}

/* The lease is taken up, what came early is thrown away. */
static void early_data_is_refused(void **state)
{
	struct server s = {0};
	struct client c;
	size_t n;
	SSL *ssl;

	(void)state;
	serve(&s, world.table);
	early_max = 100;
	ssl = client_of_its_own(&c, &s, AUTHENTICATOR_ALPN);
	assert_int_equal(SSL_write_early_data(ssl, "early", 5, &n), 1);
	assert_int_equal(SSL_connect(ssl), 1);
	assert_int_equal(SSL_get_early_data_status(ssl), SSL_EARLY_DATA_REJECTED);
	assert_int_equal(SSL_session_reused(ssl), 1);
	assert_int_equal(SSL_write(ssl, "late", 4), 4);
	early_max = 0;
	SSL_free(ssl);
	client_end(&c);
	server_join(&s);
	assert_int_equal(s.rc, 0);
	assert_string_equal(s.heard, "late");
	server_end(&s);
}

/* Evidence of another transport is not what a lease stands for. */
static void another_transport_is_not_spared(void **state)
{
	struct server s = {0};
	struct client c;
	SSL *ssl;

	(void)state;
	SSL_CTX_up_ref(world.tls);
	s.tls = world.tls;
	s.config.leases = world.table;
	s.config.lease_s = SECONDS;
	server_start(&s, 1u << TRANSPORT_KEYGATE | 1u << TRANSPORT_FLASHBOTS);
	ssl = client_of_its_own(&c, &s, FLASHBOTS_ALPN);
	assert_int_equal(SSL_connect(ssl), 1);
	assert_int_equal(SSL_session_reused(ssl), 0);
	SSL_free(ssl);
	client_end(&c);
	server_end(&s);
}

/* Does the ServerHello in this record have the extension? */
static bool hello_has(const uint8_t *record, size_t n, uint16_t extension)
{
	struct reader r = reader_of((struct bytes){record, n});
	struct reader all;

	rd_take(&r, 5 + 4 + 2 + 32); /* record, message, version, random */
	rd_vec8(&r);
	rd_take(&r, 3); /* suite, compression */
	all = reader_of(rd_vec16(&r));
	while (all.left && !all.bad) {
		uint16_t type = rd_be16(&all);

		rd_vec16(&all);
		if (type == extension)
			return true;
	}
	return false;
}

/*
 * psk_ke alone, which OpenSSL's client never says: its ClientHello, changed on the wire. A server
 * that would take up the lease looks at the binder, which does not hold now, and sends an alert;
 * one that will not never looks, and sends its ServerHello.
 */
static void never_without_ephemeral_keys(void **state)
{
	enum { EXT_MODES = 45, EXT_PSK = 41, EXT_KEY_SHARE = 51 };
	static const uint8_t modes[] = {0, EXT_MODES, 0, 2, 1, 1};
	BIO *wire = BIO_new(BIO_s_mem());
	struct server s = {0};
	struct client c;
	uint8_t hello[2048], answer[2048], *at;
	SSL *ssl;
	int n;

	(void)state;
	serve(&s, world.table);
	ssl = client_of_its_own(&c, &s, AUTHENTICATOR_ALPN);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), wire);
	assert_int_equal(SSL_connect(ssl), -1);
	n = BIO_read(wire, hello, sizeof(hello));
	at = n > 0 ? memmem(hello, (size_t)n, modes, sizeof(modes)) : NULL;
	assert_non_null(at);
	at[5] = 0;
	assert_int_equal(write(c.fd, hello, (size_t)n), n);
	n = (int)read(c.fd, answer, sizeof(answer));
	assert_in_range(n, 64, sizeof(answer));
	assert_int_equal(answer[0], SSL3_RT_HANDSHAKE);
	assert_false(hello_has(answer, (size_t)n, EXT_PSK));
	assert_true(hello_has(answer, (size_t)n, EXT_KEY_SHARE));
	SSL_free(ssl);
	client_end(&c);
	server_end(&s);
}

/* ----------------------------------------------------------------------- by key */

/* One more connection of a server that knows nothing of leases. */
static void visit_document(SSL_CTX *server, const struct attest_lease *lease,
                           struct attest_lease *take, enum outcome want)
{
	struct server s = {.tls = server};
	struct client c;

	SSL_CTX_up_ref(server);
	server_start(&s, 1u << TRANSPORT_WELL_KNOWN);
	client_start(&c, TRANSPORT_WELL_KNOWN, &s.at);
	c.offer = lease;
	c.take = take;
	client_connect(&c, NULL);
	expect_outcome(&c, want, NULL);
	client_end(&c);
	server_end(&s);
}

static void the_same_key_or_evidence(void **state)
{
	struct attest_lease *key = secret_alloc(sizeof(*key)), *other = secret_alloc(sizeof(*key));
	SSL_CTX *another = server_with(NULL, NULL);
	uint8_t spki[32];

	(void)state;
	visit_document(world.tls, NULL, key, ATTESTED);
	assert_int_equal(pki_spki_sha256(SSL_CTX_get0_certificate(world.tls), spki), 0);
	assert_int_equal(key->suite, 0);
	assert_int_equal(key->psk_len, 32);
	assert_memory_equal(key->psk, spki, 32);
	assert_memory_equal(key->identity, spki, 32);
	visit_document(world.tls, key, NULL, RESUMED);
	visit_document(another, key, other, ATTESTED);
	assert_memory_not_equal(other->psk, spki, 32);
	*other = *key;
	visit_document(world.tls, key, other, RESUMED);
	assert_true(none(other));
	/* A PSK is not one by key, whatever it is. */
	*other = *key;
	other->suite = 0x1301;
	visit_document(world.tls, other, NULL, ATTESTED);
	other->suite = 0;
	other->psk_len = 31;
	visit_document(world.tls, other, NULL, ATTESTED);
	SSL_CTX_free(another);
	secret_free(key, sizeof(*key));
	secret_free(other, sizeof(*other));
}

static int start(void **state)
{
	world.tls = serve_tls_context("service.test");
	world.lease = secret_alloc(sizeof(*world.lease));
	assert_non_null(world.lease);
	return lab_start(state);
}

static int stop(void **state)
{
	SSL_CTX_free(world.tls);
	secret_free(world.lease, sizeof(*world.lease));
	return lab_stop(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_test, stop_test)
	const struct CMUnitTest tests[] = {
	        TEST(taken_up),
	        TEST(taken_up_at_the_same_time),
	        TEST(ignored_and_attested),
	        TEST(a_wrong_psk_ends_the_handshake),
	        TEST(it_ends),
	        TEST(forgotten),
	        TEST(not_granted),
	        TEST(not_asked_for),
	        TEST(offered_and_asked_for),
	        TEST(taken_only_with_the_evidence),
	        TEST(other_transports_have_none),
	        TEST(for_its_own_suite),
	        TEST(after_a_retry),
	        TEST(taken_with_another_suite),
	        TEST(taken_without_ephemeral_keys),
	        TEST(tickets_behind_it_are_left_alone),
	        TEST(granted_unasked),
	        TEST(the_same_key_or_evidence),
	        TEST(early_data_is_refused),
	        TEST(another_transport_is_not_spared),
	        TEST(never_without_ephemeral_keys),
	};
#undef TEST

	return cmocka_run_group_tests(tests, start, stop);
}
