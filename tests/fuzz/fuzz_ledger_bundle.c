/* SPDX-License-Identifier: Apache-2.0 */
/* Sigstore bundles, against a root that trusts nobody: nothing may pass. */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "ledger/sigstore.h"

#define ROOT "{\"mediaType\":\"application/vnd.dev.sigstore.trustedroot+json;version=0.1\"}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sigstore_identity identity = {.issuer = "https://issuer.example", .san = "*"};
	struct sigstore_artifact artifact = {.has_sha256 = true};
	struct sigstore_root *root = NULL;
	struct sigstore_result result;
	struct checks checks = {0};

	MUST(sigstore_root_parse(bytes_str(ROOT), &root, &checks) == 0);
	MUST(sigstore_verify((struct bytes){data, size}, root, &identity, &artifact, 1800000000,
	                     &result, &checks) == 0);
	MUST(checks.n > 1 && !checks.overflow && checks_overall(&checks) == CHECK_FAIL);
	sigstore_root_free(root);
	return 0;
}
