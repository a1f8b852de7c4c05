/* SPDX-License-Identifier: Apache-2.0 */
/* COSE_Sign1 for the simulated platforms whose evidence is one. Private to the attester. */
#ifndef KEYGATE_ATTESTER_SIM_COSE_H
#define KEYGATE_ATTESTER_SIM_COSE_H

#include <stdbool.h>
#include "core/cose.h"
#include "core/bytes.h"

/* How it is written; what tests bend beside the algorithm replaces a header as encoded. */
struct sim_cose {
	enum cose_alg alg;
	bool tagged;
	struct bytes protected_header; /* n == 0: {1: alg} */
	struct bytes unprotected;      /* n == 0: {} */
};

/* Signs payload and appends the message. 0 or -EIO. */
int sim_cose_sign1(const struct sim_cose *c, EVP_PKEY *key, struct bytes payload, struct buf *out);

/* The public key as a COSE_Key with x and y, or as an uncompressed point. Appended. 0 or -EIO. */
int sim_cose_key(const EVP_PKEY *key, struct buf *out);
int sim_cose_point(const EVP_PKEY *key, struct buf *out);

#endif
