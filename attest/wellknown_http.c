/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document's way over HTTP: the one request that is made for it, and the answer that holds it.
 * The request is a fixed text with two values in it, both of a narrow alphabet.
 */
#include "attest/wellknown.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include "attest/wellknown_form.h"

/* What a name, an address or a port is made of. */
#define HOST_ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:[]"

int wellknown_request(const char *host, const uint8_t nonce[static WELLKNOWN_NONCE_LEN],
                      struct buf *out)
{
	char hex[2 * WELLKNOWN_NONCE_LEN + 1];

	if (host[strspn(host, HOST_ALPHABET)])
		return -EINVAL;
	hex_encode((struct bytes){nonce, WELLKNOWN_NONCE_LEN}, hex);
	buf_printf(out,
	           "GET " WELLKNOWN_TINFOIL_PATH WELLKNOWN_NONCE_NAME "%s HTTP/1.1\r\n"
	           "Host: %s\r\n"
	           "Accept: application/json\r\n"
	           "User-Agent: keygate\r\n"
	           "\r\n",
	           hex, host);
	return out->bad ? -ENOMEM : 0;
}

enum wellknown_asked wellknown_target(const char *target, uint8_t nonce[static WELLKNOWN_NONCE_LEN])
{
	size_t path = strlen(WELLKNOWN_TINFOIL_PATH), name = strlen(WELLKNOWN_NONCE_NAME);
	const char *query = target + path;

	if (strncmp(target, WELLKNOWN_TINFOIL_PATH, path) != 0)
		return WELLKNOWN_OTHER;
	if (!*query)
		return WELLKNOWN_PLAIN;
	if (strncmp(query, WELLKNOWN_NONCE_NAME, name) != 0 || query[strcspn(query, "ABCDEF")] ||
	    hex_decode(bytes_str(query + name), nonce, WELLKNOWN_NONCE_LEN))
		return WELLKNOWN_OTHER;
	return WELLKNOWN_NONCE;
}

/* ----------------------------------------------------------------------- answer */

/* Tinfoil's own server names no type, and what its library then guesses is text/plain. */
static bool type_ok(const char *type)
{
	return !strcasecmp(type, "application/json") || !strcasecmp(type, "text/plain");
}

static int open_body(const struct http_message *h, const struct wellknown_input *document,
                     struct wellknown *out, struct checks *checks)
{
	char type[HTTP_TYPE_MAX + 1];

	check_add(checks, "wellknown.status", h->status == 200 ? CHECK_PASS : CHECK_FAIL, "%u",
	          h->status);
	if (h->status != 200)
		return -EINVAL;
	for (size_t i = 0; i <= HTTP_TYPE_MAX; i++)
		type[i] = h->type[i] > ' ' && h->type[i] <= '~' ? h->type[i] : '\0';
	check_add(checks, "wellknown.type", type_ok(type) ? CHECK_PASS : CHECK_FAIL, "%s",
	          *type ? type : "none");
	if (!type_ok(type))
		return -EINVAL;
	return wellknown_open(document, out, checks);
}

int wellknown_open_reply(const struct wellknown_input *in, struct wellknown *out,
                         struct checks *checks)
{
	struct wellknown_input document = *in;
	struct buf body = buf_make(WELLKNOWN_REPLY_MAX);
	struct http_message h;
	int ret;

	*out = (struct wellknown){.scheme = ""};
	http_begin(&h, HTTP_RESPONSE, WELLKNOWN_REPLY_MAX, &body);
	ret = http_take(&h, in->body);
	document.body = buf_view(&body);
	if (!ret && h.done && h.taken == in->body.n) {
		ret = open_body(&h, &document, out, checks);
	} else if (ret != -ENOMEM) {
		check_add(checks, "wellknown.format", CHECK_FAIL, "not one whole HTTP answer%s%s",
		          h.wrong ? ": " : "", h.wrong ? h.wrong : "");
		ret = -EINVAL;
	}
	buf_free(&body);
	return ret;
}
