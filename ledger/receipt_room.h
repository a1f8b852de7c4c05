/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that verify receipts share: the two messages as they were parsed. Private to
 * ledger/. */
#ifndef KEYGATE_LEDGER_RECEIPT_ROOM_H
#define KEYGATE_LEDGER_RECEIPT_ROOM_H

#include "core/cose.h"
#include "ledger/receipt.h"
#include "ledger/room.h"

enum { X5CHAIN_MAX = 4 };

/* CWT claims (header parameter 15) of either message. */
struct cwt_claims {
	char issuer[RECEIPT_TEXT_MAX];
	char subject[RECEIPT_TEXT_MAX];
	int64_t issued_at; /* 0: not said */
	bool has_svn;
	uint64_t svn;
};

/* A path in an RFC 9162 tree. */
struct rfc9162_proof {
	uint64_t size, index; /* index: of consistency the size of the earlier tree */
	struct hash path[PATH_MAX_HASHES];
	uint32_t path_n;
};

/* A leaf of CCF and the way up from it. */
struct ccf_proof {
	struct hash transaction;
	struct bytes evidence;
	struct hash data;
	struct hash path[PATH_MAX_HASHES];
	bool left[PATH_MAX_HASHES];
	uint32_t path_n;
};

struct cose_receipt {
	struct cose_sign1 sign1;
	uint64_t vds;
	struct cwt_claims claims;
	char txid[RECEIPT_TXID_MAX];
	bool consistency;
	struct bytes proof; /* as it stands in the header; what it says comes next */
	union {
		struct rfc9162_proof rfc9162;
		struct ccf_proof ccf;
	};
};

struct cose_statement {
	struct cose_sign1 sign1;
	struct cwt_claims claims;
	struct bytes cert[X5CHAIN_MAX]; /* the leaf first */
	uint32_t certs;
	int64_t thumbprint_alg; /* of the leaf; 0: not said */
	struct bytes thumbprint;
	int64_t payload_hash_alg; /* 0: the payload is the thing itself */
	bool has_preimage;        /* says more of what was hashed */
	struct bytes receipt[RECEIPTS_MAX];
	uint32_t receipts;
	bool open_content_type; /* a content type that is not signed */
};

/* 0 or -EINVAL with *why. All views point into data. */
int cose_receipt_parse(struct bytes data, struct cose_receipt *out, const char **why);
int cose_statement_parse(struct bytes data, struct cose_statement *out, const char **why);
/*
 * SHA-256 of what the issuer signed: the statement without what is not signed (its unprotected
 * header empty), which is what services log. 0 or -ENOMEM.
 */
int cose_statement_entry(const struct cose_statement *s, struct hash *out);

/* A hash algorithm by its COSE number (RFC 9054): -16, -43, -44; NULL. */
const EVP_MD *cose_hash(int64_t alg);
/* "SHA-256" ... */
const char *cose_hash_name(int64_t alg);

/* The public key in a PEM block or as DER, of a kind and a size that signatures are verified with;
 * NULL. */
EVP_PKEY *receipt_public_key(struct bytes text);
/*
 * The key that a receipt must be by. NULL with *why; *other: it is some other service's, which is
 * no fault of the receipt. Borrowed.
 */
EVP_PKEY *receipt_key_of(const struct receipt_keys *keys, const struct cose_receipt *r, bool *other,
                         const char **why);

/*
 * The key of the certificate in the statement that stands for the issuer, valid at time t; NULL
 * with *why. The caller frees it.
 */
EVP_PKEY *did_x509_key(const char *issuer, const struct cose_statement *s, int64_t t,
                       const char **why);

#endif
