/* SPDX-License-Identifier: Apache-2.0 */
/* The names in Tinfoil's documents, and what both who reads and who writes one computes. Private to
 * attest/. */
#ifndef KEYGATE_ATTEST_WELLKNOWN_FORM_H
#define KEYGATE_ATTEST_WELLKNOWN_FORM_H

#include <stdbool.h>
#include <stdint.h>
#include "attest/attest.h"

#define WELLKNOWN_V3         "https://tinfoil.sh/predicate/attestation/v3"
#define WELLKNOWN_ALGORITHM  "https://tinfoil.sh/report-data/v1"
#define WELLKNOWN_MATERIAL   "https://tinfoil.sh/crypto-material/v1"
#define WELLKNOWN_DEVICES    "https://tinfoil.sh/device-evidence/v1"
#define WELLKNOWN_KEY        "https://tinfoil.sh/key/spki-fp-sha256/v1"
#define WELLKNOWN_AMD_VCEK   "https://tinfoil.sh/collateral/amd-vcek/v1"
#define WELLKNOWN_AMD_CRL    "https://tinfoil.sh/collateral/amd-crl/v1"
#define WELLKNOWN_NONCE_NAME "?nonce="

enum { WELLKNOWN_HASH_LEN = 32, WELLKNOWN_PLATFORMS = 2 };

struct wellknown_platform {
	enum tee tee;
	const char *v2, *v3; /* "format" of a document, and of the evidence in one */
};

extern const struct wellknown_platform wellknown_platform[WELLKNOWN_PLATFORMS];

/* Of the third version, from the hashes of its two sections. */
bool wellknown_v3_report_data(const uint8_t nonce[static WELLKNOWN_HASH_LEN],
                              const uint8_t material[static WELLKNOWN_HASH_LEN],
                              const uint8_t devices[static WELLKNOWN_HASH_LEN],
                              uint8_t out[static 64]);

#endif
