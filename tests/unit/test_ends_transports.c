/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every transport between keygate-attester's half and transport/'s: the evidence holds on the
 * connection that it came over and on no other, and the stream is left exactly between two
 * records, so that whoever has the secrets and the counts can go on.
 */
#include "ends_lab.h"

#include <errno.h>
#include <poll.h>
#include <openssl/evp.h>
#include "core/secret.h"
#include "keyring/internal.h"

/* ------------------------------------------------------- going on from the counts */

static struct keyring_secrets secrets;

static void keylog(void *ctx, const char *line)
{
	(void)ctx;
	assert_int_equal(keyring_keylog(&secrets, line), 0);
}

static void record(void *ctx, bool sent)
{
	(void)ctx;
	if (sent)
		secrets.tx_records += secrets.have_client;
	else
		secrets.rx_records += secrets.have_server;
}

static int handshaken(void *ctx, uint16_t suite, struct failure *why)
{
	(void)ctx, (void)why;
	secrets.suite = suite;
	return 0;
}

static const struct transport_hooks hooks = {
        .keylog = keylog, .record = record, .handshaken = handshaken};

/* AES-GCM alone: the default of OpenSSL is AES-256. */
static EVP_CIPHER_CTX *cipher_of(const uint8_t *secret, uint64_t seq, int enc)
{
	const struct keyring_cipher *c = keyring_cipher_of(secrets.suite);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	union keyring_info info;
	uint8_t iv[12];

	assert_int_equal(c->type, TLS_CIPHER_AES_GCM_256);
	assert_int_equal(keyring_derive(c, secret, seq, &info), 0);
	memcpy(iv, info.aes256.salt, 4);
	memcpy(iv + 4, info.aes256.iv, 8);
	for (int i = 0; i < 8; i++)
		iv[4 + i] ^= (uint8_t)(seq >> (56 - 8 * i));
	assert_int_equal(EVP_CipherInit_ex2(ctx, EVP_aes_256_gcm(), info.aes256.key, iv, enc, NULL),
	                 1);
	return ctx;
}

static void read_exactly(int fd, uint8_t *out, size_t n)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (n) {
		ssize_t got;

		assert_int_equal(poll(&p, 1, 5000), 1);
		got = read(fd, out, n);
		assert_true(got > 0);
		out += got;
		n -= (size_t)got;
	}
}

/* The next record on the wire, by the server's key and our count: the service's greeting. */
static void expect_greeting(int fd, const char *greeting)
{
	uint8_t head[5], body[256], plain[256];
	EVP_CIPHER_CTX *ctx = cipher_of(secrets.server, secrets.rx_records, 0);
	size_t len;
	int n, m;

	read_exactly(fd, head, sizeof(head));
	assert_int_equal(head[0], 23);
	len = (size_t)head[3] << 8 | head[4];
	assert_in_range(len, 17, sizeof(body));
	read_exactly(fd, body, len);
	assert_int_equal(EVP_CipherUpdate(ctx, NULL, &n, head, sizeof(head)), 1);
	assert_int_equal(EVP_CipherUpdate(ctx, plain, &n, body, (int)len - 16), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, body + len - 16), 1);
	assert_int_equal(EVP_CipherFinal_ex(ctx, plain + n, &m), 1);
	assert_int_equal(n, strlen(greeting) + 1);
	assert_memory_equal(plain, greeting, (size_t)n - 1);
	assert_int_equal(plain[n - 1], 23);
	EVP_CIPHER_CTX_free(ctx);
}

static void send_word(int fd, const char *word)
{
	uint8_t out[5 + 64 + 17] = {23, 3, 3}, plain[64];
	EVP_CIPHER_CTX *ctx = cipher_of(secrets.client, secrets.tx_records, 1);
	size_t len = strlen(word);
	int n, m;

	memcpy(plain, word, len);
	plain[len++] = 23;
	out[4] = (uint8_t)(len + 16);
	assert_int_equal(EVP_CipherUpdate(ctx, NULL, &n, out, 5), 1);
	assert_int_equal(EVP_CipherUpdate(ctx, out + 5, &n, plain, (int)len), 1);
	assert_int_equal(EVP_CipherFinal_ex(ctx, out + 5 + n, &m), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, out + 5 + len), 1);
	assert_int_equal(write(fd, out, 5 + len + 16), (ssize_t)(5 + len + 16));
	EVP_CIPHER_CTX_free(ctx);
}

/* --------------------------------------------------------------------- the tests */

static const enum attest_transport all[] = {TRANSPORT_KEYGATE, TRANSPORT_FLASHBOTS, TRANSPORT_ATLS,
                                            TRANSPORT_RA_TLS, TRANSPORT_WELL_KNOWN};

enum { TRANSPORTS = sizeof(all) / sizeof(all[0]) };

static void holds_and_goes_on(void **state)
{
	for (size_t i = 0; i < TRANSPORTS; i++) {
		struct server s = {.greeting = "220 ready"};
		struct client c;
		struct judged j;

		(void)state;
		memset(&secrets, 0, sizeof(secrets));
		server_start(&s, 1u << all[i]);
		client_start(&c, all[i], &s.at);
		client_connect(&c, &hooks);
		expect_judged(&c, NULL);
		judge(&c, &j);
		assert_string_equal(j.binder, attest_transport_binder_most(all[i]));
		expect_greeting(c.fd, "220 ready");
		send_word(c.fd, "HELO");
		shutdown(c.fd, SHUT_WR);
		server_join(&s);
		assert_int_equal(s.rc, 0);
		assert_string_equal(s.heard, "HELO");
		client_end(&c);
		server_end(&s);
	}
}

/* The second connection is the application's at once, from the first record behind its handshake.
 */
static void goes_on_by_a_lease(void **state)
{
	struct attest_lease *lease = secret_alloc(sizeof(*lease));
	struct lease_table *table = lease_table_new();

	(void)state;
	for (int second = 0; second <= 1; second++) {
		struct server s = {.greeting = "220 ready"};
		struct client c;

		memset(&secrets, 0, sizeof(secrets));
		s.config.leases = table;
		s.config.lease_s = 60;
		server_start(&s, 1u << TRANSPORT_KEYGATE);
		client_start(&c, TRANSPORT_KEYGATE, &s.at);
		c.offer = second ? lease : NULL;
		c.take = second ? NULL : lease;
		assert_int_equal(client_connect(&c, &hooks), 0);
		assert_int_equal(c.e.resumed, second);
		if (second)
			assert_int_equal(secrets.tx_records + secrets.rx_records, 0);
		expect_greeting(c.fd, "220 ready");
		send_word(c.fd, "HELO");
		shutdown(c.fd, SHUT_WR);
		server_join(&s);
		assert_int_equal(s.rc, 0);
		assert_string_equal(s.heard, "HELO");
		client_end(&c);
		server_end(&s);
	}
	lease_table_free(table);
	secret_free(lease, sizeof(*lease));
}

/* One server answers several; the client's ALPN chooses. */
static void client_chooses(void **state)
{
	(void)state;
	for (size_t i = 0; i < TRANSPORTS; i++) {
		struct server s = {0};
		struct client c;

		server_start(&s, 1u << TRANSPORT_KEYGATE | 1u << TRANSPORT_FLASHBOTS |
		                         1u << TRANSPORT_ATLS | 1u << TRANSPORT_RA_TLS |
		                         1u << TRANSPORT_WELL_KNOWN);
		client_start(&c, all[i], &s.at);
		client_connect(&c, NULL);
		expect_judged(&c, NULL);
		client_end(&c);
		server_end(&s);
	}
}

static void a_transport_that_is_not_answered(void **state)
{
	struct server s = {0};
	struct client c;

	(void)state;
	server_start(&s, 1u << TRANSPORT_KEYGATE);
	client_start(&c, TRANSPORT_FLASHBOTS, &s.at);
	assert_true(client_connect(&c, NULL) < 0);
	assert_string_equal(c.why.code, "tls.alpn");
	client_end(&c);
	server_end(&s);
}

static int no_evidence(void *ctx, const uint8_t report_data[static 64], struct evidence *out)
{
	(void)ctx, (void)report_data, (void)out;
	return -ENODATA;
}

/* The platform gives none: the peer says so, and it is refused for that. */
static void none(void **state)
{
	/* In the handshake the server can only end it. */
	static const char *const refusing[TRANSPORTS] = {
	        "auth.declined", "flashbots.type", "tls.alert", "tls.alert", "wellknown.status"};
	const struct evidence_source source = {.evidence = no_evidence};

	(void)state;
	for (size_t i = 0; i < TRANSPORTS; i++) {
		struct server s = {.config.source = &source};
		struct client c;

		server_start(&s, 1u << all[i]);
		client_start(&c, all[i], &s.at);
		client_connect(&c, NULL);
		if (c.rc)
			assert_string_equal(c.why.code, refusing[i]);
		else
			expect_judged(&c, refusing[i]);
		client_end(&c);
		server_end(&s);
	}
}

/* ------------------------------------------------------ flashbots' message, spoilt */

/* This check refuses, and no other comes after it. */
static void refuses(const struct attest_wire *w, const char *id)
{
	struct checks checks = {0};
	struct attest_opened o;

	assert_int_equal(attest_open(w, &o, &checks), 0);
	assert_string_equal(checks_first(&checks, CHECK_FAIL)->id, id);
	assert_string_equal(checks.v[checks.n - 1].id, id);
}

static void flashbots_checks(void **state)
{
	struct server s = {0};
	struct client c;
	struct attest_wire w;
	struct buf m = buf_make(FLASHBOTS_MAX);
	const uint8_t *p;

	(void)state;
	server_start(&s, 1u << TRANSPORT_FLASHBOTS);
	client_start(&c, TRANSPORT_FLASHBOTS, &s.at);
	client_connect(&c, NULL);
	expect_judged(&c, NULL);
	p = c.e.bytes.p;
	w = (struct attest_wire){.transport = TRANSPORT_FLASHBOTS,
	                         .message = {p, c.e.message_len},
	                         .leaf = {p + c.e.message_len, c.e.leaf_len},
	                         .server_name = ""};
	w.message.n--;
	refuses(&w, "flashbots.format");
	w.message.n++;
	assert_int_equal(flashbots_build("azure-tdx", bytes_str("evidence"), &m), 0);
	w.message = buf_view(&m);
	refuses(&w, "flashbots.type");
	buf_reset(&m);
	assert_int_equal(flashbots_build("dcap-tdx", BYTES_NONE, &m), 0);
	w.message = buf_view(&m);
	refuses(&w, "flashbots.type");
	w.message = (struct bytes){p, c.e.message_len};
	w.leaf.n--;
	refuses(&w, "flashbots.key");
	w.leaf.n = 0;
	refuses(&w, "flashbots.key");
	w.transport = TRANSPORT_NONE;
	refuses(&w, "verify.request");
	/* Another connection's exporter; another key. */
	c.e.exporter[0] ^= 1;
	expect_judged(&c, "snp.report-data");
	c.e.exporter[0] ^= 1;
	expect_judged(&c, NULL);
	buf_free(&m);
	client_end(&c);
	server_end(&s);
}

/* --------------------------------------------------------------------- the nonce */

static void the_nonce_counts(void **state)
{
	struct server s = {0};
	struct client c;

	(void)state;
	server_start(&s, 1u << TRANSPORT_ATLS);
	client_start(&c, TRANSPORT_ATLS, &s.at);
	client_connect(&c, NULL);
	expect_judged(&c, NULL);
	c.to.context[31] ^= 1;
	expect_judged(&c, "snp.report-data");
	/* What was made for a nonce is no evidence for a certificate alone, and the other way. */
	c.to.context[31] ^= 1;
	c.to.transport = TRANSPORT_RA_TLS;
	expect_judged(&c, "snp.report-data");
	client_end(&c);
	server_end(&s);
}

static void protocol_names(void **state)
{
	static const char good[] = ATLS_ALPN_PREFIX "000102030405060708090a0b0c0d0e0f"
	                                            "101112131415161718191a1b1c1d1e1f";
	uint8_t nonce[32], got[32];
	char name[ATLS_ALPN_LEN + 1];

	(void)state;
	for (int i = 0; i < 32; i++)
		nonce[i] = (uint8_t)i;
	atls_protocol(nonce, name);
	assert_string_equal(name, good);
	assert_int_equal(atls_nonce(bytes_str(good), got), 0);
	assert_memory_equal(got, nonce, 32);
	for (size_t n = 0; n < sizeof(good) - 1; n++)
		assert_int_equal(atls_nonce((struct bytes){(const uint8_t *)good, n}, got),
		                 -EINVAL);
	assert_int_equal(atls_nonce(bytes_str("atls:v2:nonce:00"), got), -EINVAL);
	assert_int_equal(atls_nonce(BYTES_OF(good), got), -EINVAL);
}

/* A server that writes behind its message, without waiting for the client's. */
static void *eager(void *arg)
{
	struct server *s = arg;
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	struct answer_to {
		uint8_t head[4];
		char type[6];
		char tail[1];
	} m = {{0, 0, 0, 6}, "\x10none", "x"};
	SSL *ssl = SSL_new(s->tls);

	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		SSL_write(ssl, &m, sizeof(m));
		SSL_read(ssl, s->heard, sizeof(s->heard));
	}
	SSL_free(ssl);
	close(fd);
	return NULL;
}

static int any_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                    const unsigned char *in, unsigned in_n, void *arg)
{
	(void)ssl, (void)in_n, (void)arg;
	*out = in + 1;
	*out_n = in[0];
	return SSL_TLSEXT_ERR_OK;
}

static void residue(void **state)
{
	struct server s = {.tls = serve_tls_context("service.test")};
	struct client c;

	(void)state;
	SSL_CTX_set_client_hello_cb(s.tls, NULL, NULL);
	SSL_CTX_set_alpn_select_cb(s.tls, any_alpn, NULL);
	s.listener = lab_listen(&s.at);
	assert_int_equal(pthread_create(&s.thread, NULL, eager, &s), 0);
	client_start(&c, TRANSPORT_FLASHBOTS, &s.at);
	assert_true(client_connect(&c, NULL) < 0);
	assert_string_equal(c.why.code, "handover.residue");
	client_end(&c);
	server_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(holds_and_goes_on),
	        cmocka_unit_test(goes_on_by_a_lease),
	        cmocka_unit_test(client_chooses),
	        cmocka_unit_test(a_transport_that_is_not_answered),
	        cmocka_unit_test(none),
	        cmocka_unit_test(flashbots_checks),
	        cmocka_unit_test(the_nonce_counts),
	        cmocka_unit_test(protocol_names),
	        cmocka_unit_test(residue),
	};

	return cmocka_run_group_tests(tests, lab_start, lab_stop);
}
