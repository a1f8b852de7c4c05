/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated Nitro enclave, in memory: AWS-shaped certificates (sim_nitro_doc.c) and attestation
 * documents. The bytes have the real formats; the root is nobody's.
 *
 * It is made in steps, and everything may be changed before the next one: what the unit tests of
 * attest/ bend, one thing at a time, stands here in the open. The simulated platform on disk
 * (sim_nitro.c) changes nothing but the life of the signing certificate, which has to outlast the
 * three hours of a real one.
 */
#ifndef KEYGATE_ATTESTER_SIM_NITRO_H
#define KEYGATE_ATTESTER_SIM_NITRO_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/x509.h>
#include "attest/nitro.h"
#include "attester/sim_cose.h"
#include "core/bytes.h"

enum sim_nitro_who {
	SIM_NITRO_ROOT = 0,
	SIM_NITRO_REGION,
	SIM_NITRO_ZONE,
	SIM_NITRO_INSTANCE,
	SIM_NITRO_ENCLAVE, /* signs documents */
	SIM_NITRO_CERTS,
};

struct sim_nitro_cert {
	const char *cn;
	int64_t from, to;
	const char *constraints, *usage; /* as OpenSSL words them; NULL: without */
	const EVP_MD *md;
	EVP_PKEY *key;
	EVP_PKEY *signer; /* borrowed; NULL: the issuer's key */
	X509 *x;          /* made by sim_nitro_certify */
};

struct sim_nitro {
	/* ------------------------------------------------------ for sim_nitro_certify */
	struct sim_nitro_cert cert[SIM_NITRO_CERTS];
	/* ----------------------------------------------------- for sim_nitro_document */
	char module_id[NITRO_MODULE_ID_MAX];
	uint64_t timestamp_ms; /* 0: what the caller of sim_nitro_document says */
	const char *digest;
	uint8_t pcr[NITRO_PCRS][NITRO_PCR_LEN];
	uint32_t pcrs; /* a bit for each that is in the document */
	struct bytes public_key, user_data, nonce;
	bool swapped;        /* two intermediates of cabundle have changed places */
	bool open_map;       /* the payload's map has an indefinite length */
	const char *without; /* a field that is left out */
	struct bytes extra;  /* an encoded pair that is added */
	struct sim_cose cose;
	EVP_PKEY *signer; /* borrowed; NULL: the enclave's key */
};

/*
 * An enclave that is in order, on an instance of its own, with its keys: the root for 30 years, the
 * others from an hour ago for `life` seconds. 0 or -ENOMEM; freed by the caller in either case.
 */
int sim_nitro_begin(struct sim_nitro *p, int64_t now, int64_t life);
void sim_nitro_free(struct sim_nitro *p);
/* Makes the certificates. May be called again. 0 or -EIO. */
int sim_nitro_certify(struct sim_nitro *p);
/* Fills PCR3 or PCR4 as the platform does: the hash of 48 zero bytes and a name. 0 or -EIO. */
int sim_nitro_name_pcr(struct sim_nitro *p, enum nitro_pcr pcr, struct bytes name);
/*
 * Appends a document with this user data (NULL: what stands in p) and time. p is not changed, so
 * that threads may share it. 0 or -EIO.
 */
int sim_nitro_document(const struct sim_nitro *p, const uint8_t *user_data, uint64_t now_ms,
                       struct buf *out);

#endif
