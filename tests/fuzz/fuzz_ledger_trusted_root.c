/* SPDX-License-Identifier: Apache-2.0 */
/* Trusted roots of Sigstore: read, or refused with a reason. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include "ledger/sigstore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sigstore_root *root = NULL;
	struct checks checks = {0};
	int ret = sigstore_root_parse((struct bytes){data, size}, &root, &checks);

	MUST(checks.n == 1 && !checks.overflow);
	MUST(ret == 0 || ret == -EINVAL);
	MUST((root != NULL) == (ret == 0));
	MUST((checks_overall(&checks) == CHECK_PASS) == (ret == 0));
	sigstore_root_free(root);
	return 0;
}
