/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between attest/ratls.c, which knows certificates, and the schemes by which evidence is
 * put into them. For attest/ alone.
 */
#ifndef KEYGATE_ATTEST_RATLS_SCHEME_H
#define KEYGATE_ATTEST_RATLS_SCHEME_H

#include <stdbool.h>
#include <stdint.h>
#include "attest/ratls.h"

/* What a scheme works on, and with. */
struct ratls_work {
	const struct ratls_input *in;
	struct bytes content; /* of the extension, inside the extnValue's OCTET STRING */
	struct bytes spki;    /* DER */
	struct ratls *out;    /* tee, evidence, endorsements, leaf, proof, report_data are filled */
	/* Why the evidence is not of this certificate's key, though it is well formed; NULL: it is,
	 * or will be once the report data were compared. */
	const char *not_this_key;
	/* The evidence covers in->nonce (once the report data were compared). Set only when a nonce
	 * was given. */
	bool covers_nonce;
	/* Without the nonce it can't be said what the evidence is to bear. */
	bool needs_nonce;
};

enum { RATLS_OID_OCTETS_MAX = 12 };

struct ratls_scheme {
	const char *name;
	uint8_t oid[RATLS_OID_OCTETS_MAX]; /* content octets, exactly these */
	uint8_t oid_n;
	/* Passed over when the certificate also has evidence of another scheme. */
	bool legacy;
	/* By its first octets: is this content evidence of this scheme? */
	bool (*is)(struct bytes content);
	/* NULL, or what is malformed. */
	const char *(*read)(struct ratls_work *w);
};

/* The scheme of an extension, or NULL. */
const struct ratls_scheme *ratls_scheme_of(struct bytes oid, struct bytes content);

/* The readers of attest/ratls_contrast.c. */
const char *ratls_contrast_snp(struct ratls_work *w);
const char *ratls_contrast_tdx(struct ratls_work *w);

/*
 * attest/ratls_dstack.c: what dstack's attestation holds, as out->tee, evidence and endorsements.
 * That it is a quote is not looked at. NULL, or what is malformed or not read.
 */
const char *ratls_dstack_attestation(struct bytes data, struct ratls *out);

/* SHA-512(a || b) as report data. */
bool ratls_sha512(struct ratls_work *w, struct bytes a, struct bytes b);

#endif
