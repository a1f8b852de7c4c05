/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request from a hostile client. What is accepted has the length that its header says and a name
 * that a request can be made of again.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "attest/authenticator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes msg = {data, size};
	struct authenticator_request r, again;
	struct buf b = buf_make(AUTHENTICATOR_REQUEST_MAX);

	if (authenticator_request_parse(msg, &r) == 0) {
		MUST(authenticator_request_length(msg) == (int64_t)size);
		MUST(authenticator_request_build(r.context, r.name, r.wants_lease, &b) == 0);
		MUST(authenticator_request_parse(buf_view(&b), &again) == 0);
		MUST(!strcmp(r.name, again.name));
		MUST(r.wants_lease == again.wants_lease);
		MUST(!memcmp(r.context, again.context, sizeof(r.context)));
	}
	buf_free(&b);
	return 0;
}
