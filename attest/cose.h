/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COSE_Sign1 (RFC 9052 section 4.2) with ECDSA (RFC 9053 section 2.1), and the EC2 keys of RFC 9053
 * section 7.1, as far as evidence uses them. Knows neither whose key it is nor what was signed.
 *
 * The algorithm is the one that the protected header names, and it fixes the curve of the key and
 * the length of the signature: nothing that is not signed has a say in how a signature is checked.
 */
#ifndef KEYGATE_ATTEST_COSE_H
#define KEYGATE_ATTEST_COSE_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "core/bytes.h"

enum { COSE_TAG_SIGN1 = 18 };

/* RFC 9053 table 1. */
enum cose_alg {
	COSE_ALG_NONE = 0,
	COSE_ES256 = -7,  /* P-256, SHA-256, 64 bytes of signature */
	COSE_ES384 = -35, /* P-384, SHA-384, 96 */
	COSE_ES512 = -36, /* P-521, SHA-512, 132 */
};

const char *cose_alg_name(enum cose_alg alg); /* "ES256" ...; "none" */

/* All views point into what was parsed. */
struct cose_sign1 {
	enum cose_alg alg;
	bool tagged;          /* tag 18 stands before it */
	bool has_unprotected; /* the unprotected header is not empty; nothing in it is read */
	struct bytes protected_header;
	struct bytes payload;
	struct bytes signature; /* r || s, of the algorithm's length */
};

/*
 * The next item of r as a COSE_Sign1 with its payload inside. The protected header names a known
 * algorithm and beside it at most a content type and a key id; one that the unprotected header
 * names too is refused. 0 or -EINVAL with *why, static text.
 */
int cose_sign1_read(struct reader *r, struct cose_sign1 *out, const char **why);

/* What is signed is not the message but this, made of its parts (RFC 9052 section 4.4). Appended.
 */
void cose_sig_structure(const struct cose_sign1 *s, struct buf *out);
/* True if key, which must be of the algorithm's curve, signed it; no external data. */
bool cose_sign1_verify(const struct cose_sign1 *s, EVP_PKEY *key);

/* True if the key is of the curve that the algorithm asks for. */
bool cose_key_fits(const EVP_PKEY *key, enum cose_alg alg);

/*
 * A public key from a COSE_Key: a map of kty EC2, the curve, x and y as byte strings, and nothing
 * else. Nothing may stand behind it. Or NULL. The caller frees it.
 */
EVP_PKEY *cose_key_ec2(struct bytes encoded);
/* From an uncompressed point (SEC 1 section 2.3.3: 04 || x || y) of the curve of this algorithm. */
EVP_PKEY *cose_key_point(enum cose_alg alg, struct bytes point);

#endif
