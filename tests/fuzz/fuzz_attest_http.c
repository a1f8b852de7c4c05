/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hostile server answers, or a hostile client asks. Input: a byte of options, one that says
 * where it is cut, then the bytes. However they come, the message is the same and within its
 * bounds; and the document in an answer is looked at only if the answer is one and whole.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "attest/http.h"
#include "attest/wellknown.h"

enum { OPT_REQUEST = 1, MAX = 1 << 16 };

static void same(const struct http_message *a, const struct http_message *b)
{
	MUST(a->done == b->done && a->head_done == b->head_done && !a->wrong == !b->wrong);
	if (!a->head_done)
		return;
	MUST(a->status == b->status && a->get == b->get && a->stays == b->stays);
	MUST(!strcmp(a->type, b->type) && !strcmp(a->target, b->target));
}

static void open_reply(struct bytes v, const struct http_message *h)
{
	static const uint8_t key[32] = {0x11}, nonce[WELLKNOWN_NONCE_LEN] = {0x99};
	const struct wellknown_input in = {
	        .body = v, .spki_sha256 = key, .nonce = BYTES_OF(nonce), .nonce_may_lack = true};
	struct checks checks = {0};
	struct wellknown w;

	if (wellknown_open_reply(&in, &w, &checks) == 0)
		MUST(h->done && h->taken == v.n && h->status == 200 && h->stays);
	else
		MUST(checks_overall(&checks) == CHECK_FAIL);
	MUST(!checks.overflow);
	wellknown_free(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_message whole, cut;
	struct buf body = buf_make(MAX), again = buf_make(MAX);
	uint8_t nonce[WELLKNOWN_NONCE_LEN];
	enum http_parser_type type;
	struct bytes v;
	size_t at;

	if (size < 2)
		return 0;
	v = (struct bytes){data + 2, size - 2};
	at = v.n * data[1] / 256;
	type = data[0] & OPT_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE;
	http_begin(&whole, type, MAX, &body);
	(void)http_take(&whole, v);
	http_begin(&cut, type, MAX, &again);
	if (http_take(&cut, (struct bytes){v.p, at}) == 0)
		(void)http_take(&cut, (struct bytes){v.p + cut.taken, v.n - cut.taken});
	same(&whole, &cut);
	MUST(whole.taken <= v.n && whole.taken <= MAX);
	if (!whole.wrong)
		MUST(whole.taken == cut.taken && bytes_equal(buf_view(&body), buf_view(&again)));
	if (type == HTTP_RESPONSE)
		open_reply(v, &whole);
	else if (whole.done)
		(void)wellknown_target(whole.target, nonce);
	buf_free(&body);
	buf_free(&again);
	return 0;
}
