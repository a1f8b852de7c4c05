/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attestation document of a hostile server. Input: a byte of options, then the document.
 * Whatever comes in: evidence that is handed on lies in memory of its own, and no nonce is said to
 * be covered that was not given.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "attest/wellknown.h"

enum { OPT_KEY = 1, OPT_NONCE = 2, OPT_MAY_LACK = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[32] = {0x11}, nonce[WELLKNOWN_NONCE_LEN] = {0x99};
	struct wellknown_input in = {0};
	struct checks checks = {0};
	struct wellknown w;

	if (!size)
		return 0;
	in.body = (struct bytes){data + 1, size - 1};
	in.spki_sha256 = data[0] & OPT_KEY ? key : NULL;
	in.nonce_may_lack = data[0] & OPT_MAY_LACK;
	in.nonce = data[0] & OPT_NONCE ? BYTES_OF(nonce) : BYTES_NONE;
	if (wellknown_open(&in, &w, &checks) == 0) {
		MUST(w.tee == TEE_SNP || w.tee == TEE_TDX);
		MUST(w.evidence.n && w.evidence.n <= WELLKNOWN_EVIDENCE_MAX);
		MUST(w.endorsements_n <= WELLKNOWN_PARTS_MAX);
		MUST(strcmp(w.binder, "nonce") || in.nonce.n);
	} else {
		MUST(checks_overall(&checks) == CHECK_FAIL);
	}
	MUST(!checks.overflow && !strcmp(checks.v[1].id, "wellknown.key-binding"));
	wellknown_free(&w);
	return 0;
}
