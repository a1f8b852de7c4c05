/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attestation document of an AWS Nitro enclave, as the hypervisor's security module signs it: a
 * COSE_Sign1 (ES384) over a CBOR map that carries its own certificate chain. Shared by
 * attest/nitro*.c and nobody else.
 *
 * Source: AWS, "Verifying the root of trust" in the Nitro Enclaves user guide, and
 * attestation_process.md of aws-nitro-enclaves-nsm-api.
 */
#ifndef KEYGATE_ATTEST_NITRO_H
#define KEYGATE_ATTEST_NITRO_H

#include <stdbool.h>
#include <stdint.h>
#include "core/cose.h"
#include "core/bytes.h"

enum {
	NITRO_DOCUMENT_MAX = 16384,
	NITRO_PCRS = 32,
	NITRO_PCR_LEN = 48, /* the one digest is SHA384 */
	NITRO_CERT_MAX = 1024,
	NITRO_CABUNDLE_MAX = 8,
	NITRO_MODULE_ID_MAX = 64,
	NITRO_PUBLIC_KEY_MAX = 1024,
	NITRO_USER_DATA_MAX = 512,
	NITRO_NONCE_MAX = 512,
};

/* PCRs with a meaning of their own; 16 and up are the application's to extend. */
enum nitro_pcr {
	NITRO_PCR_IMAGE = 0,
	NITRO_PCR_KERNEL = 1,
	NITRO_PCR_APPLICATION = 2,
	NITRO_PCR_ROLE = 3,     /* SHA384(48 zero bytes || ARN of the parent's IAM role) */
	NITRO_PCR_INSTANCE = 4, /* SHA384(48 zero bytes || id of the parent instance) */
	NITRO_PCR_SIGNER = 8,   /* of the certificate that signed the image */
};

/* What stands between the parent instance's id and the enclave's own in a module id. */
#define NITRO_ENCLAVE_MARK "-enc"

/* All views point into the document; n == 0: absent or null. */
struct nitro_document {
	struct bytes raw; /* n == 0: not even a COSE_Sign1 */
	struct cose_sign1 sign1;
	struct bytes module_id;   /* printable ASCII */
	struct bytes instance_id; /* the part of module_id before NITRO_ENCLAVE_MARK */
	uint64_t timestamp_ms;    /* POSIX time */
	struct bytes pcr[NITRO_PCRS];
	struct bytes certificate; /* DER, of the key that signed */
	struct bytes cabundle[NITRO_CABUNDLE_MAX];
	uint32_t cabundle_n; /* [0] is the root, the last one issued certificate */
	struct bytes public_key, user_data, nonce;
};

/* Every field by its rules, and nothing that is not one. 0 or -EINVAL with *why, static text. */
int attest_nitro_parse(struct bytes evidence, struct nitro_document *out, const char **why);
/* The host can read a debug enclave; its image is not measured, and any of PCR0 to PCR2 is zero. */
bool attest_nitro_is_debug(const struct nitro_document *d);
int attest_nitro_explain(struct bytes evidence, struct buf *out);

#endif
