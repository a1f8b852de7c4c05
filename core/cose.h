/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COSE_Sign1 (RFC 9052 section 4.2) with ECDSA, EdDSA (RFC 9053 section 2) and RSASSA-PSS (RFC
 * 8230), and the EC2 keys of RFC 9053 section 7.1, as far as evidence and receipts use them. Knows
 * neither whose key it is nor what was signed.
 *
 * The algorithm is the one that the protected header names, and it fixes the kind of the key, its
 * curve and the length of the signature: nothing that is not signed has a say in how a signature
 * is checked. A parameter that nobody here understands is refused where it is signed, so no message
 * can list critical ones.
 */
#ifndef KEYGATE_CORE_COSE_H
#define KEYGATE_CORE_COSE_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "core/bytes.h"
#include "core/cbor.h"

enum { COSE_TAG_SIGN1 = 18 };

/* Header parameters: RFC 9052 table 3. */
enum { COSE_HEADER_ALG = 1, COSE_HEADER_CONTENT_TYPE = 3, COSE_HEADER_KID = 4 };

/* RFC 9053 tables 1 and 2, RFC 8230 table 1. */
enum cose_alg {
	COSE_ALG_NONE = 0,
	COSE_ES256 = -7,  /* P-256, SHA-256, 64 bytes of signature */
	COSE_EDDSA = -8,  /* Ed25519 alone, 64 */
	COSE_ES384 = -35, /* P-384, SHA-384, 96 */
	COSE_ES512 = -36, /* P-521, SHA-512, 132 */
	COSE_PS256 = -37, /* RSA of 2048 to 4096 bits, MGF1 and salt of the same hash */
	COSE_PS384 = -38,
	COSE_PS512 = -39,
};

const char *cose_alg_name(enum cose_alg alg); /* "ES256" ...; "none" */

/* All views point into what was parsed. */
struct cose_sign1 {
	enum cose_alg alg;
	bool tagged;           /* tag 18 stands before it */
	bool has_unprotected;  /* the unprotected header is not empty */
	bool has_content_type; /* a signed one */
	struct bytes protected_header;
	struct bytes kid;       /* as signed; n == 0: none is */
	struct bytes payload;   /* of a detached one: empty, until the caller puts it here */
	struct bytes signature; /* r || s of ECDSA */
};

/*
 * Takes the value behind a label that only the format knows. NULL, or why it refuses: also when the
 * label is none of its own.
 */
typedef const char *(*cose_param_fn)(void *ctx, const struct item *label, struct reader *r);

/* What the messages of a format are beside what all are. */
struct cose_form {
	bool detached; /* null in the place of the payload, which travels elsewhere */
	cose_param_fn protected_param;
	cose_param_fn unprotected_param;
	void *ctx;
};

/*
 * The next item of r as a COSE_Sign1. The protected header names a known algorithm and may name a
 * content type and a key id; no label stands in both headers, and none twice. 0 or -EINVAL with
 * *why, static text.
 *
 * form == NULL is evidence: ECDSA, the payload inside, no other parameter protected, and what is
 * not protected is passed over.
 */
int cose_sign1_read(struct reader *r, const struct cose_form *form, struct cose_sign1 *out,
                    const char **why);

/* What is signed is not the message but this, made of its parts (RFC 9052 section 4.4). Appended.
 */
void cose_sig_structure(const struct cose_sign1 *s, struct buf *out);
/* True if key, which must fit the algorithm, signed it; no external data. */
bool cose_sign1_verify(const struct cose_sign1 *s, EVP_PKEY *key);

/* True if the key is of the kind, curve and size that the algorithm asks for. */
bool cose_key_fits(const EVP_PKEY *key, enum cose_alg alg);

/*
 * A public key from a COSE_Key: a map of kty EC2, the curve, x and y as byte strings, and nothing
 * else. Nothing may stand behind it. Or NULL. The caller frees it.
 */
EVP_PKEY *cose_key_ec2(struct bytes encoded);
/* From an uncompressed point (SEC 1 section 2.3.3: 04 || x || y) of the curve of this algorithm. */
EVP_PKEY *cose_key_point(enum cose_alg alg, struct bytes point);

#endif
