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
	TEE_NVIDIA, /* a GPU or switch: never a peer, so nothing is released for it alone */
	TEE_MAX,
};

const char *attest_tee_name(enum tee t); /* "snp" ...; "none" */
/* TEE_NONE when unknown. */
enum tee attest_tee_from_name(const char *name);
/* A platform that runs what answers a connection: not a device behind one. */
bool attest_is_peer(enum tee t);
/* The media type that evidence of this platform bears in a collection; NULL for TEE_NONE. */
const char *attest_media_type(enum tee t);
enum tee attest_tee_from_media_type(const char *type);

enum { ATTEST_EVIDENCE_MAX = 65536, ATTEST_ENDORSEMENTS_MAX = 32, ATTEST_ANCHORS_MAX = 16 };

enum { COLLATERAL_PATH_MAX = 320, COLLATERAL_WANTS_MAX = 8, COLLATERAL_SAME_MAX = 4 };

enum collateral_vendor { VENDOR_NONE = 0, VENDOR_AMD, VENDOR_INTEL, VENDORS };

/*
 * A piece of collateral by the name that its vendor gave it: the path below the vendor's (or a
 * mirror's) base address, without a leading slash and with its parameters in the vendor's order,
 * e.g. "vcek/v1/Milan/crl" or "tdx/certification/v4/tcb?fmspc=00806f050000". Hex is in lower case.
 */
struct collateral_name {
	enum collateral_vendor vendor;
	char path[COLLATERAL_PATH_MAX];
};

/*
 * Looks a piece up among what the caller keeps, without waiting for anything: fills at most cap
 * views, which stay good until the appraisal returns, newest first, none that begins after `at`.
 * How many; 0 for none.
 */
typedef size_t (*attest_collateral_fn)(void *ctx, const struct collateral_name *name, int64_t at,
                                       struct bytes *out, size_t cap);

struct pki_cache;

struct attest_input {
	enum tee type; /* TEE_NONE: told from the content */
	struct bytes evidence;
	/* Certificates, certificate tables, CRLs, collateral: DER or PEM or as the vendor ships
	 * them, in any order, told apart by content. Hostile: they only count through the anchors.
	 */
	struct bytes endorsements[ATTEST_ENDORSEMENTS_MAX];
	uint32_t endorsements_n;
	attest_collateral_fn collateral; /* for what is not among them; may be NULL */
	void *collateral_ctx;
	struct pki_cache *cache; /* attest/pki.h; may be NULL */
	/* Certificates or public keys (DER or PEM) trusted beside the built-in pins. */
	struct bytes anchors[ATTEST_ANCHORS_MAX];
	uint32_t anchors_n;
	bool only_anchors; /* in place of the built-in pins, not beside them */
	int64_t at;        /* POSIX seconds at which everything is judged */
	bool check_report_data;
	uint8_t report_data[64]; /* compared only if check_report_data */
	bool allow_debug;        /* debug guests pass, with a loosening named by the caller */
	bool require_crl;        /* absent CRL is then UNAVAILABLE instead of SKIP */
	/* The caller judges every register. Else one that weakens the platform must be zero. */
	bool judges_registers;
};

/* One comparable TCB component, e.g. {"microcode", 219}. */
struct tcb_component {
	char name[16];
	uint16_t svn;
};

enum { ADVISORIES_MAX = 48, ADVISORY_MAX = 24, TCB_COMPONENTS_MAX = 40 };

struct claims {
	enum tee tee;
	char product[24]; /* "Milan", "Genoa", "Turin" ...; the FMSPC for Intel; empty if unknown */
	/* Every register that the evidence has, the launch measurement first. One that is left out
	 * holds nothing: zero. */
	struct measurements measurements;
	uint8_t report_data[64];
	uint8_t host_data[32];
	/* The machine: SNP chip id, Intel platform instance id or PPID, CCA instance id, Nitro
	 * PCR4. Zero when masked or not tied to a machine. */
	uint8_t chip_id[64];
	uint8_t chip_id_len; /* 0 when there is none */
	char csp[64];        /* VLEK: the cloud provider's id from the certificate */
	char signer[64];     /* whose key vouches for the evidence, e.g. "VCEK", "PCK (platform CA)"
	                      */
	bool debug;
	uint64_t policy;        /* SNP guest policy, TD attributes, SGX attribute flags */
	uint64_t platform_info; /* SNP platform info bits */
	uint32_t vmpl;
	uint32_t guest_svn;  /* SNP guest SVN, SGX ISV SVN */
	char tcb_status[40]; /* "UpToDate" ... where the platform has such a notion; else empty */
	/* Of the oldest level that a part of the TCB has, POSIX seconds; 0 if there is none. */
	int64_t tcb_date;
	/* tcbEvaluationDataNumber of what rated it, the lowest of several; 0 as tcb_date. */
	uint32_t tcb_evaluation;
	/* The vendor's advisories that the matched level is open to, e.g. "INTEL-SA-00615". */
	char advisory[ADVISORIES_MAX][ADVISORY_MAX];
	uint32_t advisories;
	struct tcb_component tcb[TCB_COMPONENTS_MAX]; /* as certified, not by the report's own word
	                                               */
	uint32_t tcb_n;
	bool extra_anchor; /* the chain ended at a caller's anchor, not at a built-in pin */
	int64_t valid_until;
	/* Worth fetching, whatever the verdict: what was looked for and not found (needed), and
	 * what only the evidence brought, which may be old and still in time. */
	struct collateral_name want[COLLATERAL_WANTS_MAX];
	bool want_needed[COLLATERAL_WANTS_MAX];
	uint32_t wants;
};

/*
 * Appends this platform's checks and, when all that it parsed holds together, fills claims.
 * Returns 0 when checks were made (whatever their outcome), -EINVAL when the type can't be told or
 * is not one this build appraises (one failed check says so). claims are meaningful only if
 * checks_overall() is PASS; on a refusal they are what was parsed, for display only.
 */
int attest_appraise(const struct attest_input *in, struct claims *claims, struct checks *checks);

/* A page of the evidence for people, field by field: offset, name, value, meaning. */
int attest_explain(enum tee type, struct bytes evidence, struct buf *out);

/* A line for each certificate and revocation list of an endorsement, for people. */
void attest_explain_endorsement(struct bytes endorsement, struct buf *out);

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
