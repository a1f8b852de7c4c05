/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile name server answers: however it reads, a time that is none or not negative. */
#include "tests/fuzz/fuzz.h"

#include "daemon/resolve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	MUST(resolve_ttl(data, size) >= -1);
	return 0;
}
