/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conceptual message wrapper (RFC 9999, CBOR form) in which evidence, its endorsements and the
 * ledger proof travel: a collection (CBOR map) of records [media type, bytes, indicator]. Pure.
 * Knows the envelope, not what is in it.
 *
 * Members, text keys: "__cmwc_t" (the collection's type), "evidence" (exactly one),
 * "endorsement.N" (N from 0), "leaf", "proof", "bundle", "statement", "lease".
 */
#ifndef KEYGATE_ATTEST_CMW_H
#define KEYGATE_ATTEST_CMW_H

#include <stdbool.h>
#include <stdint.h>
#include "core/bytes.h"

enum { CMW_ENDORSEMENTS_MAX = 16, CMW_TYPE_MAX = 96, CMW_LEASE_LEN = 4 };

#define CMW_TYPE_COLLECTION "tag:keygate,2026:attested-release"
#define CMW_TYPE_LEAF       "application/vnd.in-toto+json"
#define CMW_TYPE_PROOF      "text/vnd.c2sp.tlog-proof"
#define CMW_TYPE_BUNDLE     "application/vnd.dev.sigstore.bundle.v0.3+json"
#define CMW_TYPE_STATEMENT  "application/scitt-statement+cose"
#define CMW_TYPE_LEASE      "application/vnd.keygate.lease"

struct cmw {
	char evidence_type[CMW_TYPE_MAX];
	struct bytes evidence;
	struct bytes endorsements[CMW_ENDORSEMENTS_MAX];
	uint32_t endorsements_n;
	struct bytes leaf;      /* n == 0: absent */
	struct bytes proof;     /* n == 0: absent */
	struct bytes bundle;    /* Sigstore bundle; n == 0: absent */
	struct bytes statement; /* transparent statement; n == 0: absent */
	uint32_t lease_s; /* seconds that a lease is granted for; 0: absent (docs/leases.md) */
};

/* An endorsement is told apart by its content: a certificate, a table of them, a CRL, collateral.
 */
#define CMW_TYPE_ENDORSEMENT "application/vnd.keygate.endorsement"

/* RFC 9999's indicator bits, as far as they are used here; each member has its one value. */
enum { CMW_IND_REFERENCE = 1, CMW_IND_ENDORSEMENT = 2, CMW_IND_EVIDENCE = 4 };

/* Deterministic CBOR (RFC 8949 section 4.2.1) of the collection, appended to out. 0 or -errno. */
int cmw_build(const struct cmw *c, struct buf *out);
/*
 * Strict: definite lengths in their shortest form, no tags, no duplicate, unknown or empty member,
 * each with its own type and indicator (which may be left out, and which a lease has none of),
 * endorsements numbered from 0 without a gap, nothing behind the end. A lease is four bytes, big
 * endian and not zero, and an unknown member to who did not ask for one. All views point into
 * data. 0 or -EINVAL.
 */
int cmw_parse(struct bytes data, bool lease_asked, struct cmw *out);

#endif
