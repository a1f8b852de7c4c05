/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How SGX and TDX quotes are appraised: the parts that both share, and what each platform has to
 * add. For attest/ alone; the formats themselves are in attest/intel.h.
 */
#ifndef KEYGATE_ATTEST_INTEL_APPRAISE_H
#define KEYGATE_ATTEST_INTEL_APPRAISE_H

#include <jansson.h>
#include "attest/intel.h"
#include "attest/platform.h"

/* ---------------------------------------------------------- chain (intel_pck.c) */

enum { INTEL_SIGNERS_MAX = 4 };

/* A certificate that is called TCB signing's, and what was found out about it so far. */
struct intel_signer {
	X509 *cert;
	bool valid;           /* at the time */
	bool looked_at, good; /* is it under the chain's root, and not revoked? */
};

struct intel_chain {
	struct pki_bag bag; /* owns the certificates and lists */
	struct pki_pins pins;
	X509 *pck, *ca, *root;
	struct intel_pck of;
	bool platform_ca; /* else the Processor CA */
	bool extra_anchor;
	X509_CRL *root_crl; /* the caller's to set, once it was shown to hold */
	uint32_t signers;   /* those that are valid come first */
	struct intel_signer signer[INTEL_SIGNERS_MAX];
};

/*
 * Finds the PCK certificate, its CA and its root in the quote, the endorsements and the anchors,
 * and verifies all that does not depend on the time. Returns the status of the check, with the
 * words for it in why. The caller frees with attest_intel_chain_free in any case.
 */
enum check_status attest_intel_chain(const struct attest_input *in, const struct intel_quote *q,
                                     struct intel_chain *out, char why[static CHECK_DETAIL_MAX]);
void attest_intel_chain_free(struct intel_chain *c);
/* Adds an endorsement: as pki_bag_add, and lists in hex too. */
int attest_intel_endorsement(struct pki_bag *bag, struct bytes data);
/* ECDSA P-256 with SHA-256, which is all that Intel signs certificates with. */
bool attest_intel_signed_well(X509 *cert);
/* Is this root's key a built-in one of the TEE (*extra false) or the caller's (*extra true)? */
bool attest_intel_trusted(const struct attest_input *in, const struct pki_pins *pins,
                          const X509 *root, enum tee tee, bool *extra);

/* ----------------------------------------------- collateral (intel_collateral.c) */

/* In the order of severity. */
enum intel_status {
	INTEL_TCB_NONE = 0, /* no level matches */
	INTEL_UP_TO_DATE,
	INTEL_SW_HARDENING,
	INTEL_CONFIGURATION,
	INTEL_CONFIGURATION_AND_SW,
	INTEL_RELAUNCH, /* never in collateral */
	INTEL_RELAUNCH_CONFIGURATION,
	INTEL_OUT_OF_DATE,
	INTEL_OUT_OF_DATE_CONFIGURATION,
	INTEL_REVOKED,
	INTEL_STATUSES,
};

const char *attest_intel_status_name(enum intel_status s); /* "UpToDate" ... */

/* A document whose shape and signed bytes are known; nothing in it is believed yet. */
struct intel_document {
	json_t *body;      /* owned */
	struct bytes text; /* what is signed */
	uint8_t signature[INTEL_SIG_LEN];
	int64_t issued, ends;
	uint32_t evaluation; /* tcbEvaluationDataNumber */
};

/* prefix is one of INTEL_JSON_. NULL, or what is wrong; then out owns nothing. */
const char *attest_intel_document(struct bytes data, const char *prefix,
                                  struct intel_document *out);
void attest_intel_document_free(struct intel_document *d);

enum {
	INTEL_LEVELS_MAX = 64,
	INTEL_ISV_LEVELS_MAX = 32,
	INTEL_MODULES_MAX = 16,
	INTEL_HASH_MAX = 48,
	INTEL_ATTRIBUTES_MAX = 16,
};

/* What a level says of those that reach it. */
struct intel_rating {
	enum intel_status status;
	int64_t date;
	const json_t *advisories; /* array of short strings, in the document's body; or NULL */
};

struct intel_level {
	uint16_t sgx[INTEL_SVNS], pcesvn, tdx[INTEL_SVNS];
	struct intel_rating rating;
};

struct intel_isv_level {
	uint16_t isvsvn;
	struct intel_rating rating;
};

/* A TDX module or a quoting enclave. Levels are sorted, the highest first. */
struct intel_identity {
	char id[16];
	uint8_t signer[INTEL_HASH_MAX];
	uint8_t attributes[INTEL_ATTRIBUTES_MAX], attributes_mask[INTEL_ATTRIBUTES_MAX];
	uint32_t miscselect, miscselect_mask; /* as these and the next: of enclaves only */
	uint16_t isvprodid;
	uint32_t levels;
	struct intel_isv_level level[INTEL_ISV_LEVELS_MAX];
};

struct intel_tcb_info {
	uint32_t levels; /* sorted, the highest first */
	struct intel_level level[INTEL_LEVELS_MAX];
	struct intel_identity module; /* TDX: tdxModule, no levels */
	uint32_t modules;
	struct intel_identity identity[INTEL_MODULES_MAX]; /* tdxModuleIdentities */
};

/* Both read a document's body. NULL, or what is wrong. They keep views of it. */
const char *attest_intel_tcb_info(const struct intel_document *d, bool tdx,
                                  struct intel_tcb_info *out);
const char *attest_intel_qe_identity(const struct intel_document *d, struct intel_identity *out);

/* What collateral is for, to tell it from what is not wanted. */
struct intel_wanted {
	const char *prefix;          /* INTEL_JSON_ */
	const char *what;            /* for people: "TCB info" */
	const char *id;              /* INTEL_ID_ */
	const struct intel_pck *pck; /* TCB info: of this FMSPC and PCEID; else NULL */
};

/* Notes the certificates in the bag that may be those of signers. */
void attest_intel_signers(struct intel_chain *chain, int64_t at);
/*
 * Picks the newest wanted document that is signed by a TCB signer of the chain's root and valid at
 * in->at, out of the chain's bag and of stored. Beside one of a higher evaluation number that is no
 * more valid, none is. Status and words as attest_intel_chain. *limit is lowered to the end of
 * document and signer. On PASS the caller frees *out.
 */
enum check_status attest_intel_collateral(const struct attest_input *in, struct intel_chain *chain,
                                          const struct intel_wanted *wanted,
                                          const struct bytes *stored, size_t stored_n,
                                          struct intel_document *out, int64_t *limit,
                                          char why[static CHECK_DETAIL_MAX]);

/* ------------------------------------------------------ matching (intel_tcb.c) */

/* The first level that isvsvn reaches; NULL: none. */
const struct intel_isv_level *attest_intel_isv_level(const struct intel_identity *id,
                                                     uint16_t isvsvn);
/* NULL if the enclave that made this report is the one described, but for its version. */
const char *attest_intel_qe_wrong(const struct intel_identity *id, const uint8_t *report);

/*
 * The module that a TD names by its TEE_TCB_SVN: *rating is NULL when its version says that it is
 * rated by the platform's levels alone. NULL, or what is wrong.
 */
const char *attest_intel_module(const struct intel_tcb_info *info, const uint8_t *body,
                                const uint8_t svn[static INTEL_SVNS],
                                const struct intel_rating **rating);
/* The first level that the platform reaches; svn is the TD's TEE_TCB_SVN, NULL for SGX. */
const struct intel_level *attest_intel_level(const struct intel_tcb_info *info,
                                             const struct intel_pck *pck, const uint8_t *svn);
/* The status of the whole when a part of it (module, quoting enclave) has its own. */
enum intel_status attest_intel_converge(enum intel_status whole, enum intel_status part);

/* --------------------------------------------------- the whole (intel_appraise.c) */

enum intel_check {
	INTEL_CHECK_FORMAT,
	INTEL_CHECK_CHAIN,
	INTEL_CHECK_CERT_TIME,
	INTEL_CHECK_REVOCATION,
	INTEL_CHECK_QE_SIGNATURE,
	INTEL_CHECK_QE_BINDING,
	INTEL_CHECK_SIGNATURE,
	INTEL_CHECK_QE_IDENTITY,
	INTEL_CHECK_TCB_INFO,
	INTEL_CHECK_MODULE,
	INTEL_CHECK_TCB,
	INTEL_CHECK_DEBUG,
	INTEL_CHECK_ATTRIBUTES,
	INTEL_CHECK_REPORT_DATA,
	INTEL_CHECKS,
};

struct intel_platform {
	enum tee tee;
	const char *id[INTEL_CHECKS]; /* of each check; NULL: this platform has no such check */
	const char *tcb_id, *qe_id;   /* INTEL_ID_ */
	const char *guest;            /* for people: "trust domain" */
	/* What the body says; the signature is not looked at. */
	void (*claim)(const struct intel_quote *q, struct claims *claims);
	size_t report_data; /* offset in the body */
	bool (*debug)(const struct intel_quote *q);
	/* What is wrong, or NULL; debug aside, and registers if the caller judges them. */
	const char *(*attributes)(const struct intel_quote *q, bool judges_registers);
};

void attest_intel_appraise(const struct intel_platform *p, const struct attest_input *in,
                           struct claims *claims, struct checks *checks);

/* intel_explain.c: as attest_explain. */
int attest_intel_explain(enum tee tee, struct bytes evidence, struct buf *out);

#endif
