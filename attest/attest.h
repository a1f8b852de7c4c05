/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence in, claims out. The one entry to appraise a platform's evidence against the vendor's
 * roots, whatever the TEE. Pure: bytes, trust anchors, collateral and the time are arguments; no
 * I/O, no clock, no globals. Knows nothing of ledgers, policies or connections.
 *
 * The order of work is the same for every platform: structure, chain to a pinned key, signature,
 * inner bindings, debug and mode bits, TCB. What the claims mean to an administrator (which
 * measurement, which machine) is policy/'s to say.
 */
#ifndef KEYGATE_ATTEST_ATTEST_H
#define KEYGATE_ATTEST_ATTEST_H

#include <stdbool.h>
#include <stdint.h>
#include "core/bytes.h"
#include "core/verdict.h"

enum tee {
	TEE_NONE = 0,
	TEE_SNP,
	TEE_TDX,
	TEE_SGX,
	TEE_CCA,
	TEE_NITRO,
	TEE_MAX,
};

const char *attest_tee_name(enum tee t); /* "snp" ...; "none" */
/* TEE_NONE when unknown. */
enum tee attest_tee_from_name(const char *name);

enum { ATTEST_EVIDENCE_MAX = 65536, ATTEST_ENDORSEMENTS_MAX = 32, ATTEST_ANCHORS_MAX = 16 };

struct attest_input {
	enum tee type; /* TEE_NONE: told from the content */
	struct bytes evidence;
	/* Certificates, certificate tables, CRLs, collateral: DER or PEM or as the vendor ships
	 * them, in any order, told apart by content. Hostile: they only count through the anchors.
	 */
	struct bytes endorsements[ATTEST_ENDORSEMENTS_MAX];
	uint32_t endorsements_n;
	/* Certificates or public keys (DER or PEM) trusted beside the built-in pins. */
	struct bytes anchors[ATTEST_ANCHORS_MAX];
	uint32_t anchors_n;
	int64_t at; /* POSIX seconds at which everything is judged */
	bool check_report_data;
	uint8_t report_data[64]; /* compared only if check_report_data */
	bool allow_debug;        /* debug guests pass, with a loosening named by the caller */
	bool require_crl;        /* absent CRL is then UNAVAILABLE instead of SKIP */
};

/* One comparable TCB component, e.g. {"microcode", 219}. */
struct tcb_component {
	char name[16];
	uint16_t svn;
};

struct claims {
	enum tee tee;
	char product[24];                 /* "Milan", "Genoa", "Turin" ...; empty if unknown */
	struct measurements measurements; /* launch measurement and other code registers */
	uint8_t report_data[64];
	uint8_t host_data[32];
	uint8_t chip_id[64]; /* zero when masked or not tied to a machine */
	uint8_t chip_id_len; /* 0 when there is none */
	char csp[64];        /* VLEK: the cloud provider's id from the certificate */
	bool debug;
	uint64_t policy;        /* SNP guest policy bits */
	uint64_t platform_info; /* SNP platform info bits */
	uint32_t vmpl;
	uint32_t guest_svn;
	char tcb_status[32]; /* "UpToDate" ... where the platform has such a notion; else empty */
	struct tcb_component tcb[16]; /* from the certificate, not from the report's own word */
	uint32_t tcb_n;
	bool extra_anchor; /* the chain ended at a caller's anchor, not at a built-in pin */
	int64_t valid_until;
};

/*
 * Appends this platform's checks and, when all that it parsed holds together, fills claims.
 * Returns 0 when checks were made (whatever their outcome), -EINVAL when the type can't be told or
 * is not one this build appraises (one failed check says so). claims are meaningful only if
 * checks_overall() is PASS; on a refusal they are what was parsed, for display only.
 */
int attest_appraise(const struct attest_input *in, struct claims *claims, struct checks *checks);

/* One line a field of the evidence, for people: name, offset, value, meaning. */
int attest_explain(enum tee type, struct bytes evidence, struct buf *out);

/*
 * The built-in trust anchors: SHA-256 of the SubjectPublicKeyInfo of each vendor root.
 * One table, in attest/anchors.c.
 */
struct anchor_pin {
	enum tee tee;
	const char *name; /* "ARK-Milan" */
	uint8_t spki_sha256[32];
};

extern const struct anchor_pin attest_pins[];
extern const size_t attest_pins_count;

#endif
