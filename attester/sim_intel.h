/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated Intel platform, in memory: Intel-shaped certificates and CRLs (sim_intel_pki.c),
 * TCB info and QE identity (sim_intel_json.c), SGX and TDX quotes (sim_intel_quote.c). The bytes
 * have the real formats; the root is nobody's.
 *
 * It is made in steps, and everything that a step made may be changed before the next one: what
 * the unit tests of attest/ bend, one thing at a time, stands here in the open. The simulated
 * platform on disk (sim_intel.c) changes nothing.
 */
#ifndef KEYGATE_ATTESTER_SIM_INTEL_H
#define KEYGATE_ATTESTER_SIM_INTEL_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>
#include <openssl/x509.h>
#include "attest/attest.h"
#include "attest/intel.h"
#include "core/bytes.h"

enum sim_intel_who {
	SIM_INTEL_ROOT = 0,
	SIM_INTEL_CA,  /* Platform CA or Processor CA */
	SIM_INTEL_PCK, /* the machine's certificate */
	SIM_INTEL_TCB, /* signs TCB info and QE identity */
	SIM_INTEL_CERTS,
};

enum { SIM_INTEL_REVOKED_MAX = 2, SIM_INTEL_JSON_MAX = 65536, SIM_INTEL_QUOTE_MAX = 16384 };

struct sim_intel_cert {
	const char *cn;
	long serial;
	int64_t from, to;
	const char *constraints, *usage; /* as OpenSSL words them; NULL: without */
	enum sim_intel_who issuer;
	EVP_PKEY *key;
	EVP_PKEY *signer; /* borrowed; NULL: the issuer's key */
	X509 *x;          /* made by sim_intel_certify */
};

struct sim_intel_crl {
	enum sim_intel_who issuer;
	int64_t from, to;
	long revoked[SIM_INTEL_REVOKED_MAX];
	size_t revoked_n;
	EVP_PKEY *signer; /* borrowed; NULL: the issuer's key */
	struct buf der;   /* made by sim_intel_certify */
};

/* What the PCK certificate's SGX extension says. */
struct sim_intel_machine {
	uint8_t ppid[16], component[16], cpusvn[16], pceid[2], fmspc[6], instance[16];
	uint16_t pcesvn;
	uint8_t sgx_type;
};

struct sim_intel {
	enum tee tee;
	/* ------------------------------------------------------- for sim_intel_certify */
	bool processor_ca; /* the PCK's extension then names no platform instance */
	struct sim_intel_machine machine;
	struct buf extension; /* replaces what machine says, unless empty */
	struct sim_intel_cert cert[SIM_INTEL_CERTS];
	struct sim_intel_crl root_crl, pck_crl;
	/* ------------------------------------------------------- for sim_intel_publish */
	json_t *tcb_info, *qe_identity; /* the inner objects, unsigned */
	EVP_PKEY *json_signer;          /* borrowed; NULL: the TCB signer's key */
	/* --------------------------------------------------------- for sim_intel_quote */
	uint8_t header[INTEL_HEADER_LEN];
	uint8_t body[INTEL_TD15_BODY_LEN];
	uint16_t body_type; /* of version 5 */
	size_t body_n;
	size_t report_data_at; /* in body */
	uint8_t qe_report[INTEL_SGX_BODY_LEN];
	bool qe_report_data_kept; /* else it becomes the hash that ties the attestation key */
	uint8_t qe_auth[32];
	uint16_t qe_auth_n;
	EVP_PKEY *attestation_key;
	EVP_PKEY *quote_signer; /* borrowed; NULL: the attestation key */
	EVP_PKEY *qe_signer;    /* borrowed; NULL: the PCK's key */
	uint16_t cert_type;     /* of the certification data */
	/* -------------------------------------------------------------- what was made */
	struct buf pck_chain; /* PEM, leaf first: the certification data */
	struct buf tcb_chain; /* PEM */
	struct buf root_pem;
	struct buf tcb_info_text, qe_identity_text; /* as the vendor's service answers */
};

/*
 * A machine that is in order, its keys, and collateral of now for 30 days. version is the quote's:
 * 3 for SGX; 4, or 5 with a body type, for TDX. 0, -EINVAL or -ENOMEM; freed by the caller in
 * either case.
 */
int sim_intel_begin(struct sim_intel *p, enum tee tee, uint16_t version, uint16_t body_type,
                    int64_t now);
void sim_intel_free(struct sim_intel *p);
/* Certificates, CRLs and chains. May be called again. 0 or -EIO. */
int sim_intel_certify(struct sim_intel *p);
/* Signs TCB info and QE identity. May be called again. 0 or -EIO. */
int sim_intel_publish(struct sim_intel *p);
/*
 * Appends a quote over report_data (NULL: what stands in body). p is not changed, so that threads
 * may share it. 0 or -EIO.
 */
int sim_intel_quote(const struct sim_intel *p, const uint8_t *report_data, struct buf *out);

/* ------------------------------------------------------------------ parts of it */

/* The SGX extension's content, as machine says. */
void sim_intel_extension(const struct sim_intel *p, struct buf *out);
/* {"member":value,"signature":...}, signed over the bytes of value as written. 0 or -EIO. */
int sim_intel_sign_json(const char *member, const json_t *value, EVP_PKEY *key, struct buf *out);
/* "2026-11-26T18:00:00Z". */
void sim_intel_date(int64_t t, char out[static 21]);
/* The unsigned collateral of a machine that is in order; sim_intel_begin calls it. */
int sim_intel_collateral(struct sim_intel *p, int64_t now);
/* Fills header, body and QE report; sim_intel_begin calls it. */
int sim_intel_layout(struct sim_intel *p, uint16_t version, uint16_t body_type);

#endif
