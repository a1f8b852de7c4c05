/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated CCA platform with one realm, in memory. The bytes have the real formats; the
 * platform's key is nobody's.
 *
 * Everything may be changed before a step: what the unit tests of attest/ bend, one thing at a
 * time, stands here in the open. The simulated platform on disk (sim_cca.c) changes nothing.
 */
#ifndef KEYGATE_ATTESTER_SIM_CCA_H
#define KEYGATE_ATTESTER_SIM_CCA_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "attest/cca.h"
#include "attester/sim_cose.h"
#include "core/bytes.h"

enum { SIM_CCA_CHALLENGE_MAX = 64, SIM_CCA_KEY_MAX = 160 };

struct sim_cca {
	EVP_PKEY *cpak;                           /* the platform's */
	EVP_PKEY *rak;                            /* the realm's */
	EVP_PKEY *platform_signer, *realm_signer; /* borrowed; NULL: the two above */
	uint64_t tag;
	uint64_t content_format; /* in a collection */
	struct sim_cose platform_cose, realm_cose;
	/* --------------------------------------------------------- the platform's claims */
	const char *platform_profile;
	uint8_t implementation_id[CCA_IMPLEMENTATION_ID_LEN], instance_id[CCA_INSTANCE_ID_LEN];
	struct bytes config;
	uint64_t lifecycle;
	uint32_t components;
	const char *hash;
	struct bytes platform_challenge; /* n == 0: the hash of the realm's key */
	/* ------------------------------------------------------------ the realm's claims */
	const char *realm_profile; /* NULL: none, and the realm's key is a bare point */
	bool raw_rak;              /* the key's form, for a profile that does not have it */
	const char *realm_hash, *rak_hash;
	uint8_t challenge[CCA_CHALLENGE_LEN], rpv[CCA_RPV_LEN], rim[64], rem[CCA_REMS][64];
	size_t digest_n; /* of RIM and REM: 32 or 64 */
	/* ------------------------------------------- a claim left out, a pair that is added */
	uint64_t platform_without, realm_without;
	struct bytes platform_extra, realm_extra;
};

/* A platform that is in order, with its keys. 0 or -ENOMEM; freed by the caller in either case. */
int sim_cca_begin(struct sim_cca *p);
void sim_cca_free(struct sim_cca *p);
/*
 * Appends a token with this challenge of the realm (NULL: what stands in p). p is not changed, so
 * that threads may share it. 0 or -EIO.
 */
int sim_cca_token(const struct sim_cca *p, const uint8_t *challenge, struct buf *out);
/* Appends the CBOR of claim 2399. */
void sim_cca_components(const struct sim_cca *p, struct buf *out);

#endif
