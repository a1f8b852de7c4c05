/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http-parser is a machine that is pushed byte by byte and keeps nothing: what is kept of a message
 * and how much of it there may be is decided in its callbacks. A callback that returns non-zero
 * stops it.
 */
#include "attest/http.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define TOO_LONG "more than it may have"

static int refuse(struct http_message *h, const char *why, bool too_long)
{
	if (!h->wrong) {
		h->wrong = why;
		h->too_long = too_long;
	}
	return -1; /* 1 would mean something else to the library, after the head */
}

/* Appends; false when there is no room. */
static bool keep(char *to, size_t *n, size_t max, const char *p, size_t len)
{
	if (len > max - *n)
		return false;
	memcpy(to + *n, p, len);
	*n += len;
	to[*n] = '\0';
	return true;
}

/* ------------------------------------------------------------------- callbacks */

static int on_url(http_parser *p, const char *at, size_t n)
{
	struct http_message *h = p->data;

	return keep(h->target, &h->target_n, HTTP_TARGET_MAX, at, n)
	               ? 0
	               : refuse(h, "a long request target", true);
}

/* What comes behind the body is a trailer, of which nothing is kept. */
static int on_field(http_parser *p, const char *at, size_t n)
{
	struct http_message *h = p->data;

	if (h->in_value)
		h->name_n = 0;
	h->in_value = false;
	/* A name that does not fit is none of those that count. */
	if (!keep(h->name, &h->name_n, sizeof(h->name) - 1, at, n))
		h->name_n = sizeof(h->name) - 1;
	return 0;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
	struct http_message *h = p->data;
	bool begins = !h->in_value;

	h->in_value = true;
	if (h->head_done || h->name_n != strlen("content-type") ||
	    strncasecmp(h->name, "content-type", h->name_n) != 0)
		return 0;
	if (begins && h->has_type)
		return refuse(h, "two types of content", false);
	h->has_type = true;
	return keep(h->type, &h->type_n, HTTP_TYPE_MAX, at, n)
	               ? 0
	               : refuse(h, "a long type of content", true);
}

static int on_head(http_parser *p)
{
	struct http_message *h = p->data;

	h->head_done = true;
	h->status = p->status_code;
	h->get = p->method == HTTP_GET;
	h->stays = http_should_keep_alive(p) != 0;
	h->type[strcspn(h->type, "; \t")] = '\0';
	if (p->http_major != 1)
		return refuse(h, "not HTTP/1", false);
	/* All ones: no length was given. */
	if (p->content_length != UINT64_MAX && p->content_length > h->max)
		return refuse(h, TOO_LONG, true);
	if (p->type == HTTP_RESPONSE && !h->stays)
		return refuse(h, "the connection ends with it", false);
	return 0;
}

static int on_body(http_parser *p, const char *at, size_t n)
{
	struct http_message *h = p->data;

	h->has_body = true;
	if (h->body)
		buf_put(h->body, at, n);
	return h->body && h->body->bad ? -1 : 0;
}

static int on_done(http_parser *p)
{
	struct http_message *h = p->data;

	h->done = true;
	http_parser_pause(p, 1);
	return 0;
}

static const http_parser_settings settings = {.on_url = on_url,
                                              .on_header_field = on_field,
                                              .on_header_value = on_value,
                                              .on_headers_complete = on_head,
                                              .on_body = on_body,
                                              .on_message_complete = on_done};

/* ----------------------------------------------------------------------- whole */

void http_begin(struct http_message *h, enum http_parser_type type, size_t max, struct buf *body)
{
	*h = (struct http_message){.max = max, .body = body};
	http_parser_init(&h->parser, type);
}

/* How much may still come of what is being read: the head, or all of it. */
static size_t room(const struct http_message *h)
{
	size_t max = !h->head_done && h->max > HTTP_HEAD_MAX ? HTTP_HEAD_MAX : h->max;

	return max - h->taken;
}

int http_take(struct http_message *h, struct bytes v)
{
	while (v.n && !h->done && !h->wrong) {
		size_t n = room(h) < v.n ? room(h) : v.n, took;

		if (!n) {
			refuse(h, h->head_done ? TOO_LONG : "a long head", true);
			break;
		}
		h->parser.data = h; /* the caller may have moved it */
		took = http_parser_execute(&h->parser, &settings, (const char *)v.p, n);
		h->taken += took;
		if (h->body && h->body->bad)
			return -ENOMEM;
		if (!h->done && (took != n || h->parser.http_errno != HPE_OK))
			refuse(h, http_errno_description(h->parser.http_errno), false);
		v.p += took;
		v.n -= took;
	}
	return h->wrong ? -EPROTO : 0;
}
