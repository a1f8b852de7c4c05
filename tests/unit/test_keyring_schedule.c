/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key schedule: the values of RFC 8448 section 3, and for every suite a record that OpenSSL
 * encrypted, opened with exactly what the kernel would be given.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include "core/bytes.h"
#include "keyring/internal.h"

static void unhex(const char *text, uint8_t *out, size_t n)
{
	assert_int_equal(hex_decode(bytes_str(text), out, n), 0);
}

static void rfc8448(const char *secret, const char *key, const char *iv)
{
	const struct keyring_cipher *c = keyring_cipher_of(SUITE_AES_128_GCM_SHA256);
	union keyring_info info;
	uint8_t s[32], k[16], v[12];

	unhex(secret, s, sizeof(s));
	unhex(key, k, sizeof(k));
	unhex(iv, v, sizeof(v));
	assert_int_equal(keyring_derive(c, s, 0x0102030405060708, &info), 0);
	assert_int_equal(info.head.version, TLS_1_3_VERSION);
	assert_int_equal(info.head.cipher_type, TLS_CIPHER_AES_GCM_128);
	assert_memory_equal(info.aes128.key, k, 16);
	assert_memory_equal(info.aes128.salt, v, 4);
	assert_memory_equal(info.aes128.iv, v + 4, 8);
	assert_memory_equal(info.aes128.rec_seq, "\1\2\3\4\5\6\7\10", 8);
}

static void known_answers(void **state)
{
	(void)state;
	rfc8448("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
	        "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9");
	rfc8448("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
	        "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984");
}

static void suites(void **state)
{
	(void)state;
	assert_null(keyring_cipher_of(SUITE_NONE));
	assert_null(keyring_cipher_of(0x1304)); /* AES_128_CCM_SHA256: not offered */
	assert_null(keyring_cipher_of(0xc02f));
	assert_int_equal(keyring_cipher_of(0x1301)->info_size, 40);
	assert_int_equal(keyring_cipher_of(0x1302)->info_size, 56);
	assert_int_equal(keyring_cipher_of(0x1303)->info_size, 56);
	assert_int_equal(keyring_cipher_of(0x1302)->secret_len, 48);
}

/* ------------------------------------------------------- a connection in memory */

static EVP_PKEY *key;
static X509 *cert;

static int make_cert(void **state)
{
	(void)state;
	key = EVP_EC_gen("P-256");
	cert = X509_new();
	X509_set_version(cert, 2);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	return X509_sign(cert, key, EVP_sha256()) > 0 ? 0 : -1;
}

static int drop_cert(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	X509_free(cert);
	return 0;
}

static struct keyring_secrets logged;

static void keylog(const SSL *ssl, const char *line)
{
	(void)ssl;
	assert_int_equal(keyring_keylog(&logged, line), 0);
}

struct link {
	SSL_CTX *cctx, *sctx;
	SSL *client, *server;
};

static void link_up(struct link *l, const char *suite)
{
	l->cctx = SSL_CTX_new(TLS_client_method());
	l->sctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_min_proto_version(l->cctx, TLS1_3_VERSION);
	assert_int_equal(SSL_CTX_set_ciphersuites(l->cctx, suite), 1);
	SSL_CTX_set_keylog_callback(l->cctx, keylog);
	SSL_CTX_use_certificate(l->sctx, cert);
	SSL_CTX_use_PrivateKey(l->sctx, key);
	SSL_CTX_set_num_tickets(l->sctx, 0);
	l->client = SSL_new(l->cctx);
	l->server = SSL_new(l->sctx);

	BIO *up = BIO_new(BIO_s_mem()), *down = BIO_new(BIO_s_mem());

	BIO_up_ref(up);
	BIO_up_ref(down);
	SSL_set_bio(l->client, down, up);
	SSL_set_bio(l->server, up, down);
	SSL_set_connect_state(l->client);
	SSL_set_accept_state(l->server);
	for (int i = 0; i < 4; i++) {
		SSL_do_handshake(l->client);
		SSL_do_handshake(l->server);
	}
	assert_true(SSL_is_init_finished(l->client) && SSL_is_init_finished(l->server));
}

static void link_down(struct link *l)
{
	SSL_free(l->client);
	SSL_free(l->server);
	SSL_CTX_free(l->cctx);
	SSL_CTX_free(l->sctx);
}

/* RFC 8446 section 5.2, with the fields where the kernel looks for them. */
static void open_record(const struct keyring_cipher *c, const union keyring_info *info,
                        const uint8_t *record, size_t n, const char *plain)
{
	const size_t body = n - 5 - 16;
	const uint8_t *iv_part = info->bytes + 4, *k = iv_part + 12 - c->salt_len;
	const uint8_t *salt = k + c->key_len, *seq = salt + c->salt_len;
	const EVP_CIPHER *alg = c->type == TLS_CIPHER_AES_GCM_128   ? EVP_aes_128_gcm()
	                        : c->type == TLS_CIPHER_AES_GCM_256 ? EVP_aes_256_gcm()
	                                                            : EVP_chacha20_poly1305();
	EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
	uint8_t nonce[12], out[256];
	int len;

	memcpy(nonce, salt, c->salt_len);
	memcpy(nonce + c->salt_len, iv_part, 12 - c->salt_len);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] ^= seq[i];
	assert_int_equal(EVP_DecryptInit_ex(x, alg, NULL, k, nonce), 1);
	assert_int_equal(EVP_DecryptUpdate(x, NULL, &len, record, 5), 1);
	assert_int_equal(EVP_DecryptUpdate(x, out, &len, record + 5, (int)body), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_AEAD_SET_TAG, 16,
	                                     (void *)(uintptr_t)(record + 5 + body)),
	                 1);
	assert_int_equal(EVP_DecryptFinal_ex(x, out + len, &len), 1);
	assert_int_equal(body, strlen(plain) + 1);
	assert_memory_equal(out, plain, body - 1);
	assert_int_equal(out[body - 1], 23);
	EVP_CIPHER_CTX_free(x);
}

/* The second record of one direction, so that the record number counts. */
static void opens(SSL *from, SSL *to, const struct keyring_cipher *c, const uint8_t *secret)
{
	union keyring_info info;
	uint8_t record[512];
	char in[64];

	assert_int_equal(SSL_write(from, "first", 5), 5);
	assert_int_equal(SSL_read(to, in, sizeof(in)), 5);
	assert_int_equal(SSL_write(from, "second", 6), 6);

	int n = BIO_read(SSL_get_wbio(from), record, sizeof(record));

	assert_int_equal(n, 5 + 7 + 16);
	assert_int_equal(keyring_derive(c, secret, 1, &info), 0);
	open_record(c, &info, record, (size_t)n, "second");
}

static void openssl_agrees(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint16_t suite;
	} all[] = {
	        {"TLS_AES_128_GCM_SHA256", SUITE_AES_128_GCM_SHA256},
	        {"TLS_AES_256_GCM_SHA384", SUITE_AES_256_GCM_SHA384},
	        {"TLS_CHACHA20_POLY1305_SHA256", SUITE_CHACHA20_POLY1305_SHA256},
	};

	for (size_t i = 0; i < 3; i++) {
		const struct keyring_cipher *c = keyring_cipher_of(all[i].suite);
		struct link l;

		memset(&logged, 0, sizeof(logged));
		link_up(&l, all[i].name);
		assert_int_equal(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(l.client)),
		                 all[i].suite);
		assert_true(logged.have_client && logged.have_server);
		assert_int_equal(logged.len, c->secret_len);
		opens(l.client, l.server, c, logged.client);
		opens(l.server, l.client, c, logged.server);
		link_down(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(known_answers),
	        cmocka_unit_test(suites),
	        cmocka_unit_test(openssl_agrees),
	};

	return cmocka_run_group_tests(tests, make_cert, drop_cert);
}
