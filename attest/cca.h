/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Arm CCA attestation token: two COSE_Sign1 in one envelope. The platform's is signed by the
 * platform's key (CPAK), which no certificate vouches for; its challenge is the hash of the
 * realm's key (RAK), which signs the realm's. Shared by attest/cca*.c and nobody else.
 *
 * Source: Realm Management Monitor specification (DEN0137) section A7, draft-ffm-rats-cca-token.
 */
#ifndef KEYGATE_ATTEST_CCA_H
#define KEYGATE_ATTEST_CCA_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "core/cose.h"
#include "core/bytes.h"

enum {
	CCA_TOKEN_MAX = 16384,
	CCA_TAG_LEGACY = 399,
	CCA_TAG_CMW = 907,     /* a collection: each token is [content format, bytes] */
	CCA_CONTENT_EAT = 263, /* application/eat+cwt */
	CCA_TOKEN_PLATFORM = 44234,
	CCA_TOKEN_REALM = 44241,
	CCA_IMPLEMENTATION_ID_LEN = 32,
	CCA_INSTANCE_ID_LEN = 33,
	CCA_INSTANCE_ID_RAND = 1, /* the first byte: a UEID of the random kind */
	CCA_CHALLENGE_LEN = 64,
	CCA_RPV_LEN = 64,
	CCA_REMS = 4,
	CCA_COMPONENTS_MAX = 32,
	CCA_RAW_RAK_LEN = 97, /* a point of P-384 */
};

enum cca_claim {
	CCA_CHALLENGE = 10,
	CCA_INSTANCE_ID = 256,
	CCA_PROFILE = 265,
	CCA_LIFECYCLE = 2395,
	CCA_IMPLEMENTATION_ID = 2396,
	CCA_COMPONENTS = 2399,
	CCA_SERVICE = 2400,
	CCA_CONFIG = 2401,
	CCA_HASH = 2402,
	CCA_RPV = 44235,
	CCA_REALM_HASH = 44236,
	CCA_RAK = 44237,
	CCA_RIM = 44238,
	CCA_REM = 44239,
	CCA_RAK_HASH = 44240,
	CCA_MEC_POLICY = 44243,
};

/* Each state has 256 values. */
enum cca_lifecycle {
	CCA_LIFECYCLE_UNKNOWN = 0x00,
	CCA_LIFECYCLE_TEST = 0x10,
	CCA_LIFECYCLE_PROVISIONING = 0x20,
	CCA_LIFECYCLE_SECURED = 0x30,
	CCA_LIFECYCLE_NON_CCA_DEBUG = 0x40,
	CCA_LIFECYCLE_RECOVERABLE_DEBUG = 0x50,
	CCA_LIFECYCLE_DECOMMISSIONED = 0x60,
};

/* A piece of the platform's firmware. Empty: not said. */
struct cca_component {
	struct bytes type, version, hash; /* printable text */
	struct bytes measurement, signer_id;
};

/* All views point into the token. */
struct cca_token {
	struct bytes raw;
	uint64_t tag;
	struct cose_sign1 platform, realm;

	struct bytes platform_profile, platform_challenge, implementation_id, instance_id;
	struct bytes config, hash, service;
	uint64_t lifecycle;
	struct bytes components; /* claim 2399 as encoded */
	struct cca_component component[CCA_COMPONENTS_MAX];
	uint32_t components_n;

	struct bytes realm_profile; /* n == 0: the token has none */
	struct bytes challenge, rpv, realm_hash, rak, rak_hash, rim, rem[CCA_REMS];
	struct bytes realm_instance_id; /* n == 0: not said */
	bool has_mec_policy;
	uint64_t mec_policy; /* 0: realms share a memory encryption context, 1: each its own */
};

/* Every claim by its rules, and nothing that is not one. 0 or -EINVAL with *why, static text. */
int attest_cca_parse(struct bytes evidence, struct cca_token *out, const char **why);
int attest_cca_explain(struct bytes evidence, struct buf *out);

/* "secured" ...; "unknown". */
const char *attest_cca_lifecycle(uint64_t lifecycle);
/* NULL for a name that is not one of the three. */
const EVP_MD *attest_cca_hash(struct bytes name);

#endif
