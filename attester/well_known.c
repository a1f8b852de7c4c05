/* SPDX-License-Identifier: Apache-2.0 */
/*
 * well-known: if the first thing that the client asks for is the attestation document, it is
 * answered here. Whatever else it says, and all that comes behind, is the service's and goes there
 * as it came.
 */
#include <errno.h>
#include <string.h>
#include <openssl/evp.h>
#include "attest/http.h"
#include "attest/wellknown.h"
#include "attester/answer.h"

#define BEGINNING "GET " WELLKNOWN_TINFOIL_PATH

#define UNAVAILABLE \
	"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

enum { DOCUMENT_MAX = 1 << 18, ANSWER_HEAD_MAX = 256 };

/* So that a client which asks for something else does not wait here for its end. */
static bool may_be_ours(struct bytes v)
{
	size_t n = v.n < strlen(BEGINNING) ? v.n : strlen(BEGINNING);

	return !memcmp(v.p, BEGINNING, n);
}

/* The request line's target, and how much of what was read is the request; *n is 0 if it is not for
 * here, which every client may do. */
static int read_request(struct answering *a, struct http_message *h, size_t *n)
{
	struct buf *in = a->early;

	*n = 0;
	http_begin(h, HTTP_REQUEST, HTTP_HEAD_MAX, NULL);
	while (!h->done && in->n < HTTP_HEAD_MAX) {
		int rc = answering_read(a, HTTP_HEAD_MAX - in->n, in);

		/* A client that ends without a word ends at the service. */
		if (rc)
			return rc == -EPIPE ? 0 : rc;
		/* A head that is done without the end of the message has a body. */
		if (in->n && (!may_be_ours(buf_view(in)) ||
		              http_take(h, (struct bytes){in->p + h->taken, in->n - h->taken}) ||
		              (h->head_done && !h->done)))
			return 0;
	}
	if (h->done && h->get && !h->has_body)
		*n = h->taken;
	return 0;
}

/* ---------------------------------------------------------------------- answer */

static int make_document(struct answering *a, struct bytes nonce, struct buf *out)
{
	struct bytes piece[EVIDENCE_PIECES_MAX];
	uint8_t report_data[64], key[32], *spki = NULL;
	struct evidence e;
	size_t n = 0;
	int rc = answering_key(a, &spki, &n);

	evidence_init(&e);
	if (rc == 0 && !EVP_Digest(spki, n, key, NULL, EVP_sha256(), NULL))
		rc = -ENOMEM;
	if (rc == 0)
		rc = wellknown_binding(key, nonce, report_data);
	if (rc == 0)
		rc = a->config->source->evidence(a->config->source->ctx, report_data, &e);
	for (uint32_t i = 0; rc == 0 && i < e.endorsements; i++)
		piece[i] = buf_view(&e.endorsement[i]);
	if (rc == 0)
		rc = wellknown_build(key, nonce, e.tee, buf_view(&e.report), piece, e.endorsements,
		                     out);
	evidence_free(&e);
	OPENSSL_free(spki);
	return rc;
}

/* Without evidence it says so. */
static int send_document(struct answering *a, struct bytes nonce)
{
	struct buf document = buf_make(DOCUMENT_MAX);
	struct buf answer = buf_make(DOCUMENT_MAX + ANSWER_HEAD_MAX);
	int rc, sent;

	a->step = "evidence";
	rc = make_document(a, nonce, &document);
	if (rc == 0) {
		buf_printf(&answer,
		           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
		           "Content-Length: %zu\r\nCache-Control: no-store\r\n\r\n",
		           document.n);
		buf_bytes(&answer, buf_view(&document));
	} else {
		buf_str(&answer, UNAVAILABLE);
	}
	sent = answer.bad ? -ENOMEM : answering_write(a, buf_view(&answer));
	buf_free(&document);
	buf_free(&answer);
	return rc ? rc : sent;
}

static int exchange(struct answering *a)
{
	uint8_t nonce[WELLKNOWN_NONCE_LEN];
	enum wellknown_asked asked = WELLKNOWN_OTHER;
	struct http_message h;
	size_t n;
	int rc;

	a->step = "request";
	rc = read_request(a, &h, &n);
	if (rc == 0 && n)
		asked = wellknown_target(h.target, nonce);
	if (rc || asked == WELLKNOWN_OTHER)
		return rc;
	a->early->n -= n;
	memmove(a->early->p, a->early->p + n, a->early->n);
	return send_document(a, asked == WELLKNOWN_NONCE ? BYTES_OF(nonce) : BYTES_NONE);
}

/* ----------------------------------------------------------------- ClientHello */

static bool wants(struct bytes protocols, struct bytes *selected)
{
	return protocol_offered(protocols, "http/1.1", selected);
}

const struct answer answer_well_known = {.wants = wants, .anyone = true, .exchange = exchange};
