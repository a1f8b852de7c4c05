/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attestation documents that a server hands out under /.well-known/, and what ties them to its TLS
 * key. From the body of the answer: the evidence, and the report data that it must bear for the
 * key that the caller saw in the handshake. Pure. Does not appraise the evidence and fetches
 * nothing; that the document came over a connection with this key is the caller's to show.
 *
 * Schemes, both Tinfoil's, at /.well-known/tinfoil-attestation:
 *
 *   tinfoil-v2  {"format", "body"}: the report or quote, gzip, base64. Report data: SHA-256(SPKI),
 *               then the HPKE key of the enclave, of which nothing is demanded
 *   tinfoil-v3  with ?nonce=HEX: challenge, evidence, crypto_material and device_evidence in
 *               base64, collateral. Report data: SHA-256 over the name of the algorithm, the nonce
 *               and the SHA-256 of both sections, then zeros; the material holds SHA-256(SPKI)
 *
 * The checks, always in this order: wellknown.format, wellknown.key-binding and, if the caller gave
 * a nonce, wellknown.nonce.
 *
 * Sources: tinfoil-go document/, verifier/attestation; for what is around a document, tfshim.
 */
#ifndef KEYGATE_ATTEST_WELLKNOWN_H
#define KEYGATE_ATTEST_WELLKNOWN_H

#include <stdint.h>
#include "attest/attest.h"
#include "attest/http.h"
#include "core/bytes.h"
#include "core/verdict.h"

#define WELLKNOWN_TINFOIL_PATH "/.well-known/tinfoil-attestation"

enum {
	WELLKNOWN_BODY_MAX = 1 << 20,
	WELLKNOWN_EVIDENCE_MAX = 32768,
	WELLKNOWN_NONCE_LEN = 32,
	WELLKNOWN_PARTS_MAX = 4,
};

struct wellknown_input {
	struct bytes body;
	/* SHA-256 of the SubjectPublicKeyInfo of the server's TLS key; NULL: not known. */
	const uint8_t *spki_sha256;
	struct bytes nonce; /* WELLKNOWN_NONCE_LEN octets that the server was given; none: empty */
	/* A document whose form has no nonce passes with its weaker binder, though one was given.
	 */
	bool nonce_may_lack;
};

struct wellknown {
	const char *scheme;
	const char *binder; /* "certificate", or "nonce" when the evidence covers the nonce given */
	enum tee tee;
	/* Good until wellknown_free. */
	struct bytes evidence;
	struct bytes endorsements[WELLKNOWN_PARTS_MAX];
	uint32_t endorsements_n;
	/* What the evidence must bear; whoever appraises it compares. */
	uint8_t report_data[64];
	struct buf part[WELLKNOWN_PARTS_MAX + 1]; /* what the views point into */
};

/* As ratls_open: 0 when out holds evidence to appraise, -EINVAL when there is none. */
int wellknown_open(const struct wellknown_input *in, struct wellknown *out, struct checks *checks);
void wellknown_free(struct wellknown *w);

/* ----------------------------------------------------------------- over HTTP */

/* An answer, head and framing included. */
enum { WELLKNOWN_REPLY_MAX = WELLKNOWN_BODY_MAX + HTTP_HEAD_MAX };

/*
 * The request for a document, appended to out: with the nonce, and the server's name or address as
 * it stands in a URL, which may be empty. 0, -EINVAL (a host that is no such thing) or -ENOMEM.
 */
int wellknown_request(const char *host, const uint8_t nonce[static WELLKNOWN_NONCE_LEN],
                      struct buf *out);

/*
 * Opens a whole answer to it, in->body being all that came. Checks: wellknown.status,
 * wellknown.type, then those of wellknown_open; wellknown.format alone when it is no HTTP.
 */
int wellknown_open_reply(const struct wellknown_input *in, struct wellknown *out,
                         struct checks *checks);

/* ------------------------------------------------------------- the other side */

/*
 * What a request line asks for. WELLKNOWN_OTHER: no document, nobody here looks further. Another
 * query than one nonce in lower-case hex is that too.
 */
enum wellknown_asked { WELLKNOWN_OTHER = 0, WELLKNOWN_PLAIN, WELLKNOWN_NONCE };
enum wellknown_asked wellknown_target(const char *target,
                                      uint8_t nonce[static WELLKNOWN_NONCE_LEN]);

/* What evidence for this key bears. nonce empty: second version, else third. 0 or -ENOMEM. */
int wellknown_binding(const uint8_t spki_sha256[static 32], struct bytes nonce,
                      uint8_t out[static 64]);
/*
 * A document, appended to out: evidence with that report data, and in the third version those of
 * the endorsements that are AMD's certificates and lists. 0, -ENOTSUP (a platform that the formats
 * have no name for), -EINVAL or -ENOMEM.
 */
int wellknown_build(const uint8_t spki_sha256[static 32], struct bytes nonce, enum tee tee,
                    struct bytes evidence, const struct bytes *endorsements, uint32_t n,
                    struct buf *out);

#endif
