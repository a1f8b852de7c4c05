/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sigstore bundles: who signed an artifact or a statement, when, and in which public log that
 * stands. Bytes, a trusted root and a time go in; checks come out. Knows nothing of evidence, of
 * files or of the network: what the bundle does not hold is not there.
 *
 * Sources: Sigstore's bundle and trusted root formats (protobuf-specs, JSON form), DSSE v1,
 * in-toto Statement v1, RFC 6962 (certificate time stamps), RFC 3161, Rekor v1 and v2 entries.
 */
#ifndef KEYGATE_LEDGER_SIGSTORE_H
#define KEYGATE_LEDGER_SIGSTORE_H

#include "ledger/ledger.h"

enum {
	SIGSTORE_BUNDLE_MAX = 1 << 20,
	SIGSTORE_ROOT_MAX = 1 << 20,
	SIGSTORE_KEY_MAX = 65536,
	SIGSTORE_DEPTH_MAX = 32,
	SIGSTORE_TEXT_MAX = 512,   /* an issuer, a SAN, a pattern, a type; with the NUL */
	SIGSTORE_ENTRIES_MAX = 4,  /* log entries of one bundle */
	SIGSTORE_STAMPS_MAX = 4,   /* RFC 3161 time stamps of one bundle */
	SIGSTORE_SUBJECTS_MAX = 64 /* of a statement */
};

/*
 * A trusted_root.json: the logs, certificate authorities and time stamp authorities, each with the
 * time for which it is trusted (both ends are part of it).
 */
struct sigstore_root;

/*
 * Appends sigstore.trusted-root. 0 with *out (sigstore_root_free), -EINVAL (and the check says
 * why) or -ENOMEM.
 */
int sigstore_root_parse(struct bytes json, struct sigstore_root **out, struct checks *checks);
void sigstore_root_free(struct sigstore_root *root);

/*
 * A text with '*' for any number of characters, none included; no other character is special.
 * Bounded: as many steps as the two lengths multiplied.
 */
bool sigstore_pattern_matches(const char *pattern, const char *text);

/* Who must have signed. Either a key, or issuer and san; the rest may be empty: not asked for. */
struct sigstore_identity {
	struct bytes key;                       /* public key, PEM or DER; n == 0: a certificate */
	char issuer[SIGSTORE_TEXT_MAX];         /* exactly */
	char san[SIGSTORE_TEXT_MAX];            /* pattern; the certificate's one URI or e-mail */
	char repository[SIGSTORE_TEXT_MAX];     /* "owner/name" (or an https URI), exactly */
	char ref[SIGSTORE_TEXT_MAX];            /* pattern, e.g. "refs/tags/v*" */
	char predicate_type[SIGSTORE_TEXT_MAX]; /* exactly; empty: any, or no statement at all */
};

/* Whether it is one public key of a kind that signatures are verified with. */
bool sigstore_key_ok(struct bytes key);

/* What must have been signed. Both empty: whatever the statement is about. */
struct sigstore_artifact {
	struct bytes content; /* the artifact itself; p == NULL: not at hand */
	bool has_sha256;      /* its digest, when the content is not at hand */
	uint8_t sha256[HASH_LEN];
};

/* What a verified bundle showed; strings are empty and times 0 where it holds no such thing. */
struct sigstore_result {
	char issuer[SIGSTORE_TEXT_MAX];
	char san[SIGSTORE_TEXT_MAX];
	char repository[SIGSTORE_TEXT_MAX];
	char ref[SIGSTORE_TEXT_MAX];
	char predicate_type[SIGSTORE_TEXT_MAX];
	char log[NOTE_NAME_MAX + 1]; /* of the first entry */
	uint64_t log_index;
	int64_t signed_at; /* the earliest time that a log or an authority vouches for */
	/* The measurements that the statement names; tees == 0 when it is not of such a type. */
	struct statement statement;
};

/*
 * Appends, in this order, the checks sigstore.format, .timestamp, .set, .time, .certificate, .sct,
 * .issuer, .san, .repository, .ref (or .key in place of the six), .log, .checkpoint, .inclusion,
 * .body, .signature, .artifact, .statement, .predicate-type, .predicate; those that a bundle of its
 * kind has no use for are left out or skipped. What needs an algorithm that the linked OpenSSL
 * lacks is UNAVAILABLE. Nothing behind a check that makes it meaningless is looked at. at is the
 * time of the judgement (VERDICT_FOREVER: unknown, so nothing is from the future, and no statement
 * has ended). 0 or -ENOMEM; the checks are the verdict, and *out is worth nothing unless they pass.
 */
int sigstore_verify(struct bytes bundle, const struct sigstore_root *root,
                    const struct sigstore_identity *identity,
                    const struct sigstore_artifact *artifact, int64_t at,
                    struct sigstore_result *out, struct checks *checks);

/* ---------------------------------------------------------------- release.c */

/* The predicate that names measurements, beside keygate's own (STATEMENT_PREDICATE_V). */
#define RELEASE_TINFOIL_MULTI "https://tinfoil.sh/predicate/snp-tdx-multiplatform/v1"

/* Whether statements with this predicate type name measurements. */
bool release_predicate_known(const char *predicate_type);

#endif
