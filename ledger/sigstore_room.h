/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that verify a Sigstore bundle share: the bundle as it was parsed, the trusted
 * root, and one step each. Private to ledger/.
 */
#ifndef KEYGATE_LEDGER_SIGSTORE_ROOM_H
#define KEYGATE_LEDGER_SIGSTORE_ROOM_H

#include <jansson.h>
#include <openssl/x509.h>
#include "ledger/room.h"
#include "ledger/sigstore.h"

/* ------------------------------------------------------------ trusted_root.c */

enum {
	ROOT_LOGS_MAX = 16,
	ROOT_AUTHORITIES_MAX = 16,
	ROOT_CHAIN_MAX = 4,
	ROOT_CHAIN_LEVEL = 2, /* OpenSSL's, 112 bits: no SHA-1, no RSA below 2048 bits */
	LOG_ID_MAX = 32,
};

struct span {
	int64_t start, end; /* both inside; VERDICT_FOREVER: no end */
};

bool span_has(const struct span *s, int64_t t);

struct trusted_log {
	uint8_t id[LOG_ID_MAX]; /* as bundles and certificates name it; chooses a key, no more */
	uint8_t id_len;
	EVP_PKEY *key;    /* NULL: of a kind that is not supported, so nothing of it verifies */
	struct vkey vkey; /* of its checkpoints; alg 0: it can't sign notes */
	char host[NOTE_NAME_MAX + 1];
	struct span span;
};

/* chain[0] is issued by chain[1] and so on; the last one is the anchor. */
struct trusted_authority {
	X509 *chain[ROOT_CHAIN_MAX];
	uint32_t n;
	struct span span;
};

struct sigstore_root {
	struct trusted_log log[ROOT_LOGS_MAX];
	uint32_t logs;
	struct trusted_log ct[ROOT_LOGS_MAX];
	uint32_t cts;
	struct trusted_authority ca[ROOT_AUTHORITIES_MAX];
	uint32_t cas;
	struct trusted_authority tsa[ROOT_AUTHORITIES_MAX];
	uint32_t tsas;
};

/* ----------------------------------------------------------- bundle_parse.c */

struct bundle_entry {
	uint64_t log_index;
	uint8_t log_id[LOG_ID_MAX];
	uint8_t log_id_len;
	char kind[24];
	char version[16];
	uint64_t integrated;  /* worth nothing without the promise's signature */
	struct bytes promise; /* signed entry timestamp; n == 0: none */
	bool has_proof_index;
	uint64_t proof_index;
	bool has_root;
	struct hash root;   /* copies of what the checkpoint says */
	uint64_t tree_size; /* 0: not given */
	struct hash path[PATH_MAX_HASHES];
	uint32_t path_n;
	struct bytes checkpoint; /* view */
	struct bytes body;       /* owned */
	struct bytes body_text;  /* its base64, a view */
};

struct bundle {
	bool legacy;  /* a version before 0.3 */
	json_t *json; /* what the views point into */
	X509 *cert;   /* NULL: signed with a key that the verifier has to know */
	struct bytes cert_der;
	struct bundle_entry entry[SIGSTORE_ENTRIES_MAX];
	uint32_t entries;
	struct bytes stamp[SIGSTORE_STAMPS_MAX];
	uint32_t stamps;
	struct bytes signature;
	bool dsse;
	struct bytes payload;      /* of the envelope */
	char payload_type[128];    /* of the envelope */
	char digest_algorithm[16]; /* of a message, "SHA2_256" */
	struct bytes digest;
};

/* 0, -EINVAL with *why, -ENOMEM. sigstore_bundle_free in any case. */
int sigstore_bundle_parse(struct bytes json, struct bundle *out, const char **why);
void sigstore_bundle_free(struct bundle *b);

/* ------------------------------------------------------------------ steps */

enum {
	TIMES_MAX = SIGSTORE_ENTRIES_MAX + SIGSTORE_STAMPS_MAX,
	SIGSTORE_SIGNED_MAX = 2 << 20, /* what a signature is over: a payload and a little more */
};

/* A bundle under judgement. */
struct sigstore_job {
	const struct bundle *bundle;
	const struct sigstore_root *root;
	const struct sigstore_identity *identity;
	const struct sigstore_artifact *artifact;
	int64_t at;
	struct sigstore_result *out;
	struct checks *checks;
	EVP_PKEY *key;           /* owned; that must have signed */
	struct bytes key_der;    /* owned; its SubjectPublicKeyInfo */
	int64_t time[TIMES_MAX]; /* each vouched for by a log or an authority */
	uint32_t times;
	struct bytes pae; /* owned; what a DSSE signature is over */
};

/* Each appends its checks; false: what follows would be meaningless. */
bool timestamps_verify(struct sigstore_job *j);
bool rekor_promises_verify(struct sigstore_job *j);
bool rekor_entries_verify(struct sigstore_job *j);
bool fulcio_verify(struct sigstore_job *j);
int statement_verify(struct sigstore_job *j); /* 0 or -ENOMEM */
bool signature_verify(struct sigstore_job *j);

/* DSSE's pre-authentication encoding. */
void dsse_pae(const char *type, struct bytes payload, struct buf *out);

/* The digest of what was signed: SHA-256, SHA-384, SHA-512. False: only another one is known. */
bool sigstore_signed_digest(const struct sigstore_job *j, const EVP_MD *md,
                            uint8_t out[static EVP_MAX_MD_SIZE]);
/* Whether an entry's body says what the bundle holds; NULL, or what differs. */
const char *rekor_body_differs(const struct sigstore_job *j, const struct bundle_entry *e);

/* A signature over a message: ECDSA and RSA (PKCS #1 v1.5) with SHA-256, or Ed25519. */
enum sig_state sigstore_key_signed(EVP_PKEY *key, struct bytes signature, struct bytes message);
/* The log with this id, that is trusted at time t if `timed`; NULL. */
const struct trusted_log *trusted_log_find(const struct trusted_log *logs, uint32_t n,
                                           const uint8_t *id, size_t id_len);
/* SubjectPublicKeyInfo or, if `pkcs1`, RSAPublicKey, that is exactly der and of a bounded size. */
EVP_PKEY *sigstore_public_key(struct bytes der, bool pkcs1);
/* One DER certificate and nothing behind it. */
X509 *sigstore_certificate(struct bytes der);
/*
 * leaf <- chain of the authority by X.509's rules at time t. issuer, if not NULL, is set to who
 * issued the leaf (borrowed from the authority).
 */
bool authority_issued(const struct trusted_authority *a, X509 *leaf, int64_t t, X509 **issuer);

/* ------------------------------------------------------------------ release.c */

/*
 * The measurements that a statement names whose predicate is of a type that
 * release_predicate_known. Appends sigstore.predicate and, for keygate's own, ledger.expired. 0
 * also when it was refused, -ENOMEM.
 */
int release_predicate_parse(const char *predicate_type, struct bytes payload,
                            const json_t *statement, int64_t at, struct statement *out,
                            struct checks *checks);

#endif
