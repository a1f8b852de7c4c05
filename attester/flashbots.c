/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flashbots-ratls/1: evidence over the exporter and the TLS key as soon as the handshake is done,
 * then the client's own message, which is read and not judged: whoever connects may.
 */
#include <errno.h>
#include <string.h>
#include "attest/flashbots.h"
#include "attester/answer.h"
#include "core/secret.h"

static int report_data_of(const struct answering *a, uint8_t out[static 64])
{
	static const char label[] = FLASHBOTS_EXPORTER_LABEL;
	uint8_t exporter[FLASHBOTS_EXPORTER_LEN], *spki = NULL;
	size_t n = 0;
	int rc = answering_key(a, &spki, &n);

	if (rc == 0 && SSL_export_keying_material(a->ssl, exporter, sizeof(exporter), label,
	                                          sizeof(label) - 1, NULL, 0, 0) != 1)
		rc = -EIO;
	if (rc == 0)
		rc = flashbots_binding((struct bytes){spki, n}, exporter, out);
	secret_wipe(exporter, sizeof(exporter));
	OPENSSL_free(spki);
	return rc;
}

/* Without evidence it says so: type none. */
static int send_evidence(struct answering *a)
{
	struct buf message = buf_make(FLASHBOTS_MAX);
	uint8_t report_data[64];
	struct evidence e;
	int rc = report_data_of(a, report_data), sent;

	evidence_init(&e);
	a->step = "evidence";
	if (rc == 0)
		rc = a->config->source->evidence(a->config->source->ctx, report_data, &e);
	if (rc == 0)
		rc = flashbots_build(flashbots_type(e.tee), buf_view(&e.report), &message);
	if (rc)
		(void)flashbots_build(FLASHBOTS_TYPE_NONE, BYTES_NONE, &message);
	sent = message.n ? answering_write(a, buf_view(&message)) : -ENOMEM;
	evidence_free(&e);
	buf_free(&message);
	return rc ? rc : sent;
}

static int read_message(struct answering *a)
{
	struct buf in = buf_make(FLASHBOTS_MAX);
	struct flashbots_message m;
	int rc = 0;

	a->step = "request";
	while (rc == 0) {
		int64_t need = flashbots_length(buf_view(&in));

		if (need < 0)
			rc = (int)need;
		else if (need && (size_t)need == in.n)
			break;
		else
			rc = answering_read(a, (need ? (size_t)need : 4) - in.n, &in);
	}
	if (rc == 0)
		rc = flashbots_parse(buf_view(&in), &m);
	buf_free(&in);
	return rc;
}

static int exchange(struct answering *a)
{
	int rc = send_evidence(a);

	return rc ? rc : read_message(a);
}

static bool wants(struct bytes protocols, struct bytes *selected)
{
	return protocol_offered(protocols, FLASHBOTS_ALPN, selected);
}

const struct answer answer_flashbots = {.wants = wants, .exchange = exchange};
