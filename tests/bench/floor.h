/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signatures that make up a piece of evidence, parsed beforehand and ready to be verified by
 * OpenSSL: certificates by their issuers, lists by theirs, and plain ECDSA signatures.
 */
#ifndef KEYGATE_TESTS_BENCH_FLOOR_H
#define KEYGATE_TESTS_BENCH_FLOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include "attest/attest.h"
#include "attest/pki.h"

enum { FLOOR_MAX = 24 };

struct floor_item {
	X509 *cert; /* one of these three */
	X509_CRL *crl;
	struct bytes message;
	EVP_PKEY *key; /* the issuer's */
	const EVP_MD *md;
	uint8_t sig[160]; /* DER, of the message */
	size_t sig_n;
};

struct floor {
	struct pki_bag bag; /* owns what the items point to */
	EVP_PKEY *own[4];   /* keys that are in no certificate */
	uint32_t owned;
	struct buf text[2]; /* what was signed and stands nowhere as it is */
	uint32_t texts;
	uint32_t n;
	struct floor_item v[FLOOR_MAX];
};

/* False: the evidence is not what the bench thinks it is. The caller frees in any case. */
bool floor_of(const struct attest_input *in, struct floor *out);
bool floor_verify(const struct floor *f);
void floor_free(struct floor *f);

#endif
