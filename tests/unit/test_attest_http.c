/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an HTTP message ends, however it is cut on its way, and that its bounds hold.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "attest/http.h"

enum { MAX = 1 << 16 };

/* Whole, and then in two, cut at every place; the message ends `rest` bytes before the end. */
static void reads(enum http_parser_type type, const char *text, size_t rest,
                  void (*as_it_should)(const struct http_message *h, struct bytes body))
{
	size_t n = strlen(text);

	for (size_t cut = 0; cut < n; cut++) {
		struct buf body = buf_make(MAX);
		struct http_message h;

		http_begin(&h, type, MAX, &body);
		assert_int_equal(http_take(&h, (struct bytes){(const uint8_t *)text, cut}), 0);
		assert_int_equal(h.done, cut >= n - rest);
		assert_int_equal(
		        http_take(&h, (struct bytes){(const uint8_t *)text + h.taken, n - h.taken}),
		        0);
		assert_true(h.done && h.head_done && !h.wrong);
		assert_int_equal(h.taken, n - rest);
		as_it_should(&h, buf_view(&body));
		buf_free(&body);
	}
}

static void an_answer(const struct http_message *h, struct bytes body)
{
	assert_int_equal(h->status, 200);
	assert_string_equal(h->type, "application/json");
	assert_true(h->stays);
	assert_true(bytes_equal(body, bytes_str("{\"a\":1}")));
}

static void an_empty_answer(const struct http_message *h, struct bytes body)
{
	assert_int_equal(h->status, 503);
	assert_string_equal(h->type, "");
	assert_int_equal(body.n, 0);
}

static void a_request(const struct http_message *h, struct bytes body)
{
	assert_true(h->get);
	assert_string_equal(h->target, "/x?y=z");
	assert_int_equal(body.n, 0);
}

static void ends_where_it_does(void **state)
{
	(void)state;
	reads(HTTP_RESPONSE,
	      "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nX: y\r\n"
	      "Content-Length: 7\r\n\r\n{\"a\":1}HTTP",
	      4, an_answer);
	/* A type in the trailer is none of the answer's. */
	reads(HTTP_RESPONSE,
	      "HTTP/1.1 200 OK\r\ncontent-TYPE:application/json\r\nTransfer-Encoding: chunked\r\n"
	      "\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\nContent-Type: text/html\r\n\r\nrest",
	      4, an_answer);
	reads(HTTP_RESPONSE,
	      "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Type: application/json \r\n"
	      "Content-Length: 7\r\n\r\n{\"a\":1}",
	      0, an_answer);
	reads(HTTP_RESPONSE, "HTTP/1.1 503 No\r\nContent-Type: \r\nContent-Length: 0\r\n\r\nx", 1,
	      an_empty_answer);
	reads(HTTP_REQUEST, "GET /x?y=z HTTP/1.1\r\nHost: a\r\n\r\nGET", 3, a_request);
}

static void refused(const char *text, const char *wrong, bool too_long)
{
	struct http_message h;

	http_begin(&h, HTTP_RESPONSE, MAX, NULL);
	assert_int_equal(http_take(&h, bytes_str(text)), -EPROTO);
	if (wrong)
		assert_string_equal(h.wrong, wrong);
	assert_int_equal(h.too_long, too_long);
	assert_int_equal(http_take(&h, bytes_str("x")), -EPROTO);
}

static void what_is_no_answer(void **state)
{
	static const char ends[] = "the connection ends with it";

	(void)state;
	refused("SSH-2.0-OpenSSH", NULL, false);
	refused("HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\n", "not HTTP/1", false);
	refused("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", NULL, false);
	refused("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", NULL,
	        false);
	refused("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", NULL, false);
	refused("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n", NULL, false);
	refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", NULL, false);
	refused("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n"
	        "Content-Length: 1\r\n\r\n",
	        "two types of content", false);
	refused("HTTP/1.1 200 OK\r\n\r\n", ends, false);
	refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", ends, false);
	refused("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", ends, false);
	refused("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n", ends, false);
}

static void too_long(void **state)
{
	char *text = malloc(2 * MAX);
	size_t n;

	(void)state;
	snprintf(text, 2 * MAX, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", MAX + 1);
	refused(text, "more than it may have", true);
	snprintf(text, 2 * MAX,
	         "HTTP/1.1 200 OK\r\nContent-Type: %065d\r\nContent-Length: 1\r\n\r\n", 0);
	refused(text, "a long type of content", true);
	/* A head that has no end, and chunks that have none. */
	n = (size_t)snprintf(text, 2 * MAX, "HTTP/1.1 200 OK\r\nX: ");
	memset(text + n, 'a', MAX);
	text[n + MAX] = '\0';
	refused(text, "a long head", true);
	n = (size_t)snprintf(text, 2 * MAX,
	                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (; n < MAX; n += 6)
		memcpy(text + n, "1\r\na\r\n", 7);
	refused(text, "more than it may have", true);
	free(text);
}

/* To the octet. */
static void a_head_as_long_as_may_be(void **state)
{
	char text[HTTP_HEAD_MAX + 8];
	size_t n = HTTP_HEAD_MAX - strlen("\r\nContent-Length: 1\r\n\r\n");
	struct http_message h;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "HTTP/1.1 200 OK\r\nX: ", strlen("HTTP/1.1 200 OK\r\nX: "));
	memcpy(text + n, "\r\nContent-Length: 1\r\n\r\nx",
	       strlen("\r\nContent-Length: 1\r\n\r\nx"));
	http_begin(&h, HTTP_RESPONSE, MAX, NULL);
	assert_int_equal(http_take(&h, (struct bytes){(uint8_t *)text, HTTP_HEAD_MAX + 1}), 0);
	assert_true(h.done);
	memmove(text + n + 1, text + n, HTTP_HEAD_MAX + 1 - n);
	text[n] = 'a';
	http_begin(&h, HTTP_RESPONSE, MAX, NULL);
	assert_int_equal(http_take(&h, (struct bytes){(uint8_t *)text, HTTP_HEAD_MAX + 2}),
	                 -EPROTO);
	assert_true(h.too_long);
}

static void a_long_target(void **state)
{
	char text[HTTP_TARGET_MAX + 64] = "GET /";
	struct http_message h;

	(void)state;
	memset(text + 5, 'a', HTTP_TARGET_MAX);
	strcpy(text + 5 + HTTP_TARGET_MAX, " HTTP/1.1\r\n\r\n");
	http_begin(&h, HTTP_REQUEST, MAX, NULL);
	assert_int_equal(http_take(&h, bytes_str(text)), -EPROTO);
	assert_string_equal(h.wrong, "a long request target");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ends_where_it_does), cmocka_unit_test(what_is_no_answer),
	        cmocka_unit_test(too_long),           cmocka_unit_test(a_head_as_long_as_may_be),
	        cmocka_unit_test(a_long_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
