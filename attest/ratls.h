/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RA-TLS: evidence that a server carries in its own X.509 certificate, and what ties that evidence
 * to the certificate's key. Given a leaf certificate: which scheme it follows, the evidence, and
 * the report data that the evidence must bear for this very key. Pure. Does not appraise the
 * evidence and knows no connection: who shows that the peer holds the key is the caller.
 *
 * Schemes, each one entry of attest/ratls_scheme.c:
 *
 *   dice          TCG DICE tagged evidence, 2.23.133.5.4.9: CBOR tag 60000 [quote, claims]
 *                 (CCC interoperable RA-TLS). Report data: SHA-256(claims), then zeros; the claims
 *                 hold the hash of the key, and a nonce if the server was given one
 *   cmw           the collection of attest/cmw.h, in 2.23.133.5.4.9 or (RFC 9999) in
 *                 1.3.6.1.5.5.7.1.35. Report data: ratls_cmw_binding
 *   gramine       Gramine before it wrote `dice`: raw quote. SHA-256(SPKI), then zeros
 *   sgx-sdk       1.2.840.113741.1.13.1: raw quote. SHA-256(PEM of the SPKI with its NUL), zeros
 *   open-enclave  1.3.6.1.4.1.311.105.1, 1.2.840.113556.10.1.1: 16-byte header, quote. As sgx-sdk
 *   open-enclave-evidence  1.3.6.1.4.1.311.105.2, 1.2.840.113556.10.1.2: 32-byte header, quote,
 *                 claims. SHA-256(claims), then zeros; the claims are the PEM of the SPKI, NUL
 *   dstack        1.3.6.1.4.1.62397.1.1: OCTET STRING of a quote; 1.3.6.1.4.1.62397.1.8: of what
 *                 holds a quote or a report. SHA-512("ratls-cert:" || SPKI)
 *   flashbots     1.3.6.1.4.1.62397.1.1: OCTET STRING of JSON.
 *                 SHA-512(SPKI || notBefore || notAfter || CN)
 *   contrast      1.3.9901.2.1 (SNP), 1.3.9901.2.2 (TDX): protobuf. SHA-512(SPKI || nonce)
 *
 * SPKI is the DER SubjectPublicKeyInfo. docs/binders.md says what each does not prove.
 *
 * The checks, always in this order: ratls.format (one certificate, one evidence in it, well
 * formed), ratls.signature (a self-signed certificate is whole), ratls.cert-time, ratls.key-binding
 * and, if the caller gave a nonce, ratls.nonce.
 */
#ifndef KEYGATE_ATTEST_RATLS_H
#define KEYGATE_ATTEST_RATLS_H

#include <stdint.h>
#include <openssl/x509.h>
#include "attest/attest.h"
#include "attest/cmw.h"
#include "core/bytes.h"
#include "core/verdict.h"

enum { RATLS_CERT_MAX = 65536, RATLS_EVIDENCE_MAX = 32768, RATLS_NONCE_MAX = 64 };

struct ratls_input {
	struct bytes cert;  /* the leaf: DER, or PEM of which the first certificate counts */
	struct bytes nonce; /* what the verifier gave the server; none: empty */
	int64_t at;         /* POSIX seconds */
};

struct ratls {
	const char *scheme; /* a name from the table above */
	const char *binder; /* "certificate", or "nonce" when the evidence covers the nonce given */
	enum tee tee;
	/* Views that stay good until ratls_free. leaf and proof: the ledger's, bundle
	 * and statement: the release's; empty if absent. */
	struct bytes evidence;
	struct bytes endorsements[CMW_ENDORSEMENTS_MAX];
	uint32_t endorsements_n;
	struct bytes leaf, proof, bundle, statement;
	/* What the evidence must bear; whoever appraises it compares. */
	uint8_t report_data[64];
	uint8_t spki_sha256[32];
	int64_t valid_until; /* the certificate's end */
	X509 *cert;          /* what the views point into */
	struct buf decoded;  /* or this, when the carrier changes the bytes */
};

/*
 * Appends the checks. 0 when out holds evidence to appraise (whatever the checks say of its
 * carrier: the verdict is over all of them), -EINVAL when there is none. ratls_free in any case.
 */
int ratls_open(const struct ratls_input *in, struct ratls *out, struct checks *checks);
void ratls_free(struct ratls *r);

/*
 * The report data of scheme cmw:
 *
 *   SHA-512( tag[32] || kind[1] || SHA-256(SPKI)[32] || SHA-256(nonce)[32] )
 *
 * tag is "keygate certificate binding v1" padded with zeros; kind is 0x01 without a nonce (whose
 * hash is then of nothing) and 0x02 with one. 0, or -ENOMEM when OpenSSL fails.
 */
int ratls_cmw_binding(struct bytes spki, struct bytes nonce, uint8_t out[static 64]);

/*
 * The content of a `dice` extension in its two steps, for who makes certificates: the claims over
 * which the evidence is to be made (SHA-256(claims), then zeros), and both together. Appended;
 * what fails sets out->bad.
 */
void ratls_dice_claims(struct bytes spki, struct bytes nonce, struct buf *out);
void ratls_dice_content(struct bytes quote, struct bytes claims, struct buf *out);

#define RATLS_OID_DICE "2.23.133.5.4.9"
#define RATLS_OID_CMW  "1.3.6.1.5.5.7.1.35"

#endif
