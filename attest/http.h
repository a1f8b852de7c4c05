/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/1.x message at the head of a stream (RFC 9112): where it ends, and the little of it that
 * an attestation document needs. http-parser reads the protocol; here are the bounds. Pure, and
 * without any knowledge of documents.
 *
 * The library is built to be lenient in what separates lines and names. That is no harm here: on
 * the connection there is nobody between the two ends who could read the same bytes otherwise.
 */
#ifndef KEYGATE_ATTEST_HTTP_H
#define KEYGATE_ATTEST_HTTP_H

#include <http_parser.h>
#include "core/bytes.h"

enum { HTTP_HEAD_MAX = 16384, HTTP_TYPE_MAX = 64, HTTP_TARGET_MAX = 256 };

struct http_message {
	/* Of the bytes that were taken, so many are the message's. */
	size_t taken;
	bool head_done, done;
	/* Known with the head: the connection can be used again behind the message. */
	bool stays;
	unsigned status;                  /* of an answer */
	bool get;                         /* of a request: its method is GET */
	bool has_body;                    /* at least an octet of one came */
	char target[HTTP_TARGET_MAX + 1]; /* of a request */
	char type[HTTP_TYPE_MAX + 1]; /* media type without its parameters; empty: none was named */
	const char *wrong;            /* why it is refused: static text; NULL: it is not */
	bool too_long;                /* refused for its length */

	/* http.c's own. */
	http_parser parser;
	struct buf *body;
	size_t max;
	char name[16];
	size_t name_n, target_n, type_n;
	bool in_value, has_type;
};

/*
 * type: HTTP_REQUEST or HTTP_RESPONSE. max: octets of the whole message, of which a head has at
 * most HTTP_HEAD_MAX. body: where what is in it goes, without its framing; NULL: it is not kept.
 */
void http_begin(struct http_message *h, enum http_parser_type type, size_t max, struct buf *body);
/*
 * Takes the next bytes of the stream, up to the end of the message at most: compare taken. An
 * answer behind which the connection ends is refused with its head (stays is false). 0, or -EPROTO
 * with wrong set; -ENOMEM.
 */
int http_take(struct http_message *h, struct bytes v);

#endif
