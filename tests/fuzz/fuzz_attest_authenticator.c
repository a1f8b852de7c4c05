/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An authenticator from a hostile server, on the connection of the example in docs/wire.md. What
 * is read as one must be as long as its headers say, and every view must lie within it.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "attest/authenticator.h"

static struct authenticator_keys keys = {.digest = "SHA256", .hash_len = 32};
static struct buf request;

static void start(void)
{
	uint8_t context[32];

	for (unsigned i = 0; i < 32; i++) {
		context[i] = (uint8_t)(0x20 + i);
		keys.handshake_context[i] = (uint8_t)(0x60 + i);
		keys.finished_key[i] = (uint8_t)(0x80 + i);
	}
	request = buf_make(AUTHENTICATOR_REQUEST_MAX);
	MUST(authenticator_request_build(context, "service.example.com", false, &request) == 0);
}

static void must_lie_within(struct bytes v, struct bytes all)
{
	MUST(v.p >= all.p && v.n <= all.n && (size_t)(v.p - all.p) <= all.n - v.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes msg = {data, size};
	struct authenticator out;
	struct checks checks = {0};

	if (!request.n)
		start();
	MUST(authenticator_verify(&keys, buf_view(&request), msg, &out, &checks) == 0);
	MUST(checks.n == 6 && !checks.overflow);
	if (checks.v[0].status == CHECK_PASS)
		MUST(authenticator_length(msg) == (int64_t)size);
	if (checks_overall(&checks) == CHECK_PASS) {
		must_lie_within(out.leaf, msg);
		must_lie_within(out.cmw, msg);
		must_lie_within(out.spki, out.leaf);
	}
	/* What is too short stays so until the lengths are there, and never changes its mind. */
	for (size_t n = 0; n < size && n < 64; n++) {
		int64_t early = authenticator_length((struct bytes){data, n});

		MUST(early <= 0 || early == authenticator_length(msg));
	}
	return 0;
}
