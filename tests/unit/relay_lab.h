/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the relay role share: a destination of their own, loopback sockets, a clock. */
#ifndef KEYGATE_TESTS_RELAY_LAB_H
#define KEYGATE_TESTS_RELAY_LAB_H

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <openssl/ec.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include "attest/authenticator.h"

static EVP_PKEY *lab_key;
static X509 *lab_cert;
static uint8_t *lab_der;
static int lab_der_n;

static inline void lab_make_cert(void)
{
	lab_key = EVP_EC_gen("P-256");
	lab_cert = X509_new();
	X509_set_version(lab_cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(lab_cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(lab_cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(lab_cert), 3600);
	X509_set_pubkey(lab_cert, lab_key);
	if (X509_sign(lab_cert, lab_key, EVP_sha256()) <= 0)
		abort();
	lab_der_n = i2d_X509(lab_cert, &lab_der);
}

static inline void lab_drop_cert(void)
{
	OPENSSL_free(lab_der);
	X509_free(lab_cert);
	EVP_PKEY_free(lab_key);
}

static inline int lab_select(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                             const unsigned char *in, unsigned in_n, void *wanted)
{
	const char *want = wanted;

	(void)ssl;
	for (unsigned at = 0; at < in_n; at += 1u + in[at]) {
		if (in[at] == strlen(want) && !memcmp(in + at + 1, want, in[at])) {
			*out = in + at + 1;
			*out_n = in[at];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A destination's TLS; alpn NULL: it knows of none. */
static inline SSL_CTX *lab_server(const char *suite, const char *alpn, unsigned tickets)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	SSL_CTX_use_certificate(ctx, lab_cert);
	SSL_CTX_use_PrivateKey(ctx, lab_key);
	if (suite)
		SSL_CTX_set_ciphersuites(ctx, suite);
	SSL_CTX_set_num_tickets(ctx, tickets);
	if (alpn)
		SSL_CTX_set_alpn_select_cb(ctx, lab_select, (void *)(uintptr_t)alpn);
	return ctx;
}

/* Reads the request for evidence and makes the answer to it. False if there was none. */
static inline bool lab_answer(SSL *ssl, struct buf *out)
{
	uint8_t request[AUTHENTICATOR_REQUEST_MAX];
	struct authenticator_request parsed;
	struct authenticator_keys keys;
	struct bytes chain = {lab_der, (size_t)lab_der_n};
	int n = SSL_read(ssl, request, sizeof(request));

	*out = buf_make(AUTHENTICATOR_MAX);
	return n > 0 && !authenticator_request_parse((struct bytes){request, (size_t)n}, &parsed) &&
	       !authenticator_keys_of(ssl, parsed.context, &keys) &&
	       !authenticator_build(&keys, (struct bytes){request, (size_t)n}, &chain, 1, lab_key,
	                            bytes_str("evidence"), out);
}

static inline int lab_listen(struct sockaddr_storage *at, int backlog)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)at;
	socklen_t len = sizeof(*sin);
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(at, 0, sizeof(*at));
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (sock < 0 || bind(sock, (struct sockaddr *)at, len) || listen(sock, backlog) ||
	    getsockname(sock, (struct sockaddr *)at, &len))
		abort();
	return sock;
}

static inline void lab_sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

#endif
