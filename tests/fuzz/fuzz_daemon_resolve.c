/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hostile name server answers: however it reads, no more addresses than there is room for,
 * and a time only with an address.
 */
#include "tests/fuzz/fuzz.h"

#include "daemon/resolve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct msg_resolved r = {.ttl = -1};

	resolve_take(data, size, &r);
	MUST(r.n <= sizeof(r.addr) / sizeof(r.addr[0]) && !r.more && !r.err);
	MUST(r.n ? r.ttl >= 0 : r.ttl == -1);
	return 0;
}
