/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COSE receipts: that a statement, which its issuer signed, is in the log of a transparency
 * service. Bytes, keys and a time go in; checks come out. Knows nothing of evidence, of files or of
 * the network: what the receipt does not hold is not there.
 *
 * Sources: RFC 9942 (receipts; tree algorithms 1, RFC 9162 with SHA-256, and 2, CCF), RFC 9052,
 * RFC 9360 (x5chain, x5t), RFC 9597 (CWT claims in headers), RFC 9995 (hash envelopes), SCITT's
 * transparent statements, did:x509 version 0.
 */
#ifndef KEYGATE_LEDGER_RECEIPT_H
#define KEYGATE_LEDGER_RECEIPT_H

#include "ledger/ledger.h"

enum {
	RECEIPT_MAX = 65536,          /* bytes of a receipt */
	STATEMENT_COSE_MAX = 1 << 20, /* of a statement with all that it carries */
	RECEIPT_STORE_MAX = 1 << 20,
	RECEIPT_KEY_MAX = 65536,
	RECEIPTS_MAX = 8,       /* of one statement */
	RECEIPT_TEXT_MAX = 512, /* an issuer, a subject; with the NUL */
	RECEIPT_TXID_MAX = 48,
};

/* The tree algorithms, header parameter 395. */
enum receipt_vds { VDS_NONE = 0, VDS_RFC9162 = 1, VDS_CCF = 2 };

/* Whose receipts count. */
struct receipt_keys;

/*
 * A trust store as Azure's ledgers publish theirs: {"parameters": [{"serviceCertificate": DER in
 * base64, "treeAlgorithm": "CCF"}]}. A certificate carries a key and nothing more: its own times
 * are not looked at. Receipts name the key by the SHA-256 of its SubjectPublicKeyInfo.
 *
 * Appends receipt.trust-store. 0 with *out (receipt_keys_free), -EINVAL (and the check says why)
 * or -ENOMEM.
 */
int receipt_store_parse(struct bytes json, struct receipt_keys **out, struct checks *checks);
/* One public key, PEM or DER; of receipts with either tree. Returns and appends the same. */
int receipt_key_parse(struct bytes text, struct receipt_keys **out, struct checks *checks);
void receipt_keys_free(struct receipt_keys *keys);

/* Who must have signed the statement, and what it must say. Either key or a did:x509 as issuer. */
struct receipt_signer {
	struct bytes key; /* public key, PEM or DER; n == 0: the certificates in the statement */
	char issuer[RECEIPT_TEXT_MAX];  /* exactly; empty, with a key only: not asked for */
	char subject[RECEIPT_TEXT_MAX]; /* exactly; empty: not asked for */
	bool has_min_svn;
	uint64_t min_svn;
};

/*
 * NULL, or why statements of this issuer can't be checked by their certificates: what is asked for
 * is "did:x509:0:ALG:FINGERPRINT::eku:OID", with more than one rule at will.
 */
const char *receipt_issuer_fault(const char *issuer);

/* What must be in the log; one of the four. */
enum receipt_of {
	RECEIPT_OF_STATEMENT = 1,
	RECEIPT_OF_ENTRY, /* content that was logged, whatever it means */
	RECEIPT_OF_LEAF,  /* a leaf hash of RFC 9162 */
	RECEIPT_OF_TREE,  /* an earlier tree (a consistency receipt), by its root */
};

struct receipt_ask {
	enum receipt_of of;
	struct bytes content; /* of a statement or an entry */
	struct hash hash;     /* of a leaf or a tree */
	struct bytes receipt; /* n == 0: those that the statement carries (parameter 394) */
	struct receipt_signer signer;
	struct bytes payload; /* what the statement is about; p == NULL: not at hand */
};

/*
 * What was shown; strings are empty and times 0 where nothing says so. Index and size of an RFC
 * 9162 tree are not in it: a receipt's signature is over the root alone.
 */
struct receipt_result {
	uint32_t receipts;     /* that hold */
	int64_t registered_at; /* the earliest time that their services state */
	/* Of the first of them: */
	enum receipt_vds vds;
	char ledger[RECEIPT_TEXT_MAX]; /* as the service calls itself */
	char txid[RECEIPT_TXID_MAX];
	struct hash root;

	char issuer[RECEIPT_TEXT_MAX];
	char subject[RECEIPT_TEXT_MAX];
	bool has_svn;
	uint64_t svn;
	struct hash entry;        /* SHA-256 of the signed statement */
	struct bytes payload;     /* a view into the statement */
	const char *payload_hash; /* "SHA-384": the payload is that hash of what it is about */
};

/*
 * Appends, in this order, statement.format; receipt.present, then for each receipt .format, .key,
 * .entry, .inclusion (or .consistency), .signature and .time; then statement.key (or .certificate),
 * .issuer, .signature, .subject, .svn and .payload. Those that nothing asks for are left out or
 * skipped, and nothing behind a check that makes it meaningless is looked at. Of several receipts
 * those by keys that are not known are skipped; one at least must hold, and none by a known key may
 * fail. keys == NULL: nobody's are known, so the signature is UNAVAILABLE and the detail says what
 * root it would be of.
 *
 * at is the time of the judgement (VERDICT_FOREVER: not known, so nothing is from the future). The
 * issuer's certificates must have been valid when a service says that it registered the statement,
 * or at `at` where no service says so. 0 or -ENOMEM; the checks are the verdict, and *out is worth
 * nothing unless they pass.
 */
int receipt_verify(const struct receipt_ask *ask, const struct receipt_keys *keys, int64_t at,
                   struct receipt_result *out, struct checks *checks);

/* ---------------------------------------------------------------- release.c */

/*
 * The launch measurement of an SNP guest that a verified statement names: its payload, a hash
 * envelope of SHA-384 that is not zero. The statement's subject is the claim of that name with the
 * SHA-256 of the signed statement, its version the svn. False: it names none.
 */
bool release_measurement(const struct receipt_result *r, struct statement *out);

#endif
