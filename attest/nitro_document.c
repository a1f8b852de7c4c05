/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Nitro document's bytes: where each field lies and what it may hold. Judges the form and
 * nothing else; certificates are views of DER that somebody else parses.
 */
#include "attest/nitro.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "core/cbor.h"
#include "attest/explain.h"
#include "attest/platform.h"

#define DIGEST_SHA384 "SHA384"

/* ------------------------------------------------------------------- parsing */

static bool take_text(struct reader *r, size_t max, struct bytes *out)
{
	if (!item_text(r, out) || !out->n || out->n > max)
		return false;
	for (size_t i = 0; i < out->n; i++)
		if (out->p[i] <= 0x20 || out->p[i] > 0x7e)
			return false;
	return true;
}

static bool take_module_id(struct reader *r, struct nitro_document *d)
{
	const uint8_t *mark;

	if (!take_text(r, NITRO_MODULE_ID_MAX, &d->module_id))
		return false;
	mark = memmem(d->module_id.p, d->module_id.n, NITRO_ENCLAVE_MARK,
	              strlen(NITRO_ENCLAVE_MARK));
	if (mark)
		d->instance_id = (struct bytes){d->module_id.p, (size_t)(mark - d->module_id.p)};
	return true;
}

static bool take_pcrs(struct reader *r, struct nitro_document *d)
{
	struct item_map m;
	struct item key;

	if (!item_map(r, &m))
		return false;
	while (m.left) {
		if (!item_key(r, &m, &key) || key.kind != ITEM_UINT || key.n >= NITRO_PCRS)
			return false;
		if (!item_bytes(r, &d->pcr[key.n]) || d->pcr[key.n].n != NITRO_PCR_LEN)
			return false;
	}
	return d->pcr[NITRO_PCR_IMAGE].n && d->pcr[NITRO_PCR_KERNEL].n &&
	       d->pcr[NITRO_PCR_APPLICATION].n && d->pcr[NITRO_PCR_INSTANCE].n;
}

static bool take_cert(struct reader *r, struct bytes *out)
{
	return item_bytes(r, out) && out->n && out->n <= NITRO_CERT_MAX;
}

static bool take_cabundle(struct reader *r, struct nitro_document *d)
{
	uint64_t n;

	if (!item_array(r, &n) || !n || n > NITRO_CABUNDLE_MAX)
		return false;
	for (uint64_t i = 0; i < n; i++)
		if (!take_cert(r, &d->cabundle[i]))
			return false;
	d->cabundle_n = (uint32_t)n;
	return true;
}

static bool take_free(struct reader *r, size_t max, struct bytes *out)
{
	return item_bytes_or_null(r, out) && out->n <= max;
}

/* The fields that must be there, a bit each. */
enum {
	HAVE_MODULE_ID = 1,
	HAVE_DIGEST = 2,
	HAVE_TIMESTAMP = 4,
	HAVE_PCRS = 8,
	HAVE_CERTIFICATE = 16,
	HAVE_CABUNDLE = 32,
	HAVE_ALL = 63,
};

static const char *take_field(struct reader *r, const struct item *key, struct nitro_document *d,
                              unsigned *have)
{
	struct bytes digest;

	if (item_is_text(key, "module_id")) {
		*have |= HAVE_MODULE_ID;
		return take_module_id(r, d) ? NULL : "module_id is no short printable text";
	}
	if (item_is_text(key, "digest")) {
		*have |= HAVE_DIGEST;
		return item_text(r, &digest) && bytes_equal(digest, bytes_str(DIGEST_SHA384))
		               ? NULL
		               : "digest is not SHA384";
	}
	if (item_is_text(key, "timestamp")) {
		*have |= HAVE_TIMESTAMP;
		return item_uint(r, &d->timestamp_ms) && d->timestamp_ms
		               ? NULL
		               : "timestamp is no positive number";
	}
	if (item_is_text(key, "pcrs")) {
		*have |= HAVE_PCRS;
		return take_pcrs(r, d) ? NULL : "pcrs is not a map of PCRs with 0, 1, 2 and 4";
	}
	if (item_is_text(key, "certificate")) {
		*have |= HAVE_CERTIFICATE;
		return take_cert(r, &d->certificate) ? NULL : "certificate has no possible length";
	}
	if (item_is_text(key, "cabundle")) {
		*have |= HAVE_CABUNDLE;
		return take_cabundle(r, d) ? NULL : "cabundle is no short list of certificates";
	}
	if (item_is_text(key, "public_key"))
		return take_free(r, NITRO_PUBLIC_KEY_MAX, &d->public_key)
		               ? NULL
		               : "public_key is too long";
	if (item_is_text(key, "user_data"))
		return take_free(r, NITRO_USER_DATA_MAX, &d->user_data) ? NULL
		                                                        : "user_data is too long";
	if (item_is_text(key, "nonce"))
		return take_free(r, NITRO_NONCE_MAX, &d->nonce) ? NULL : "nonce is too long";
	return "the payload has a field that no enclave's document has";
}

/* Newer enclaves write this one map with an indefinite length. */
static const char *take_payload(struct nitro_document *d)
{
	struct reader r = reader_of(d->sign1.payload);
	struct item_map m;
	struct item key;
	unsigned have = 0;

	if (!item_map_open(&r, &m))
		return "the payload is no map";
	while (item_more(&r, &m)) {
		const char *why;

		if (!item_key(&r, &m, &key))
			return "the payload has a malformed key, or one twice";
		why = take_field(&r, &key, d, &have);
		if (why)
			return why;
	}
	if (!rd_done(&r))
		return "the payload has bytes behind its end";
	return have == HAVE_ALL ? NULL : "the payload lacks a field";
}

int attest_nitro_parse(struct bytes evidence, struct nitro_document *out, const char **why)
{
	struct reader r = reader_of(evidence);

	*out = (struct nitro_document){0};
	if (evidence.n > NITRO_DOCUMENT_MAX) {
		*why = "longer than any document";
		return -EINVAL;
	}
	if (cose_sign1_read(&r, NULL, &out->sign1, why))
		return -EINVAL;
	if (!rd_done(&r)) {
		*why = "bytes behind the end";
		return -EINVAL;
	}
	out->raw = evidence;
	if (out->sign1.alg != COSE_ES384)
		*why = "the algorithm is not ES384";
	else if (out->sign1.has_unprotected)
		*why = "the unprotected header is not empty";
	else
		*why = take_payload(out);
	return *why ? -EINVAL : 0;
}

bool attest_nitro_is_debug(const struct nitro_document *d)
{
	for (int i = NITRO_PCR_IMAGE; i <= NITRO_PCR_APPLICATION; i++)
		if (d->pcr[i].n && bytes_all_zero(d->pcr[i].p, d->pcr[i].n))
			return true;
	return false;
}

/* ------------------------------------------------------------------ explaining */

static size_t offset(const struct nitro_document *d, struct bytes v)
{
	return (size_t)(v.p - d->raw.p);
}

/* What is absent is left out. */
static void line_bytes(struct buf *out, const struct nitro_document *d, const char *name,
                       struct bytes v, const char *meaning)
{
	if (v.n)
		explain_hex(out, offset(d, v), name, v, meaning);
}

static void explain_cert(struct buf *out, const struct nitro_document *d, const char *name,
                         struct bytes der, const char *meaning)
{
	char length[32];

	if (!der.n)
		return;
	snprintf(length, sizeof(length), "%zu bytes", der.n);
	explain_line(out, offset(d, der), name, length, meaning);
	explain_certs(out, der);
}

static void explain_pcrs(struct buf *out, const struct nitro_document *d)
{
	static const char *const meaning[NITRO_PCRS] = {
	        [NITRO_PCR_IMAGE] = "the whole image",
	        [NITRO_PCR_KERNEL] = "kernel and boot ramfs",
	        [NITRO_PCR_APPLICATION] = "application",
	        [NITRO_PCR_ROLE] = "IAM role of the parent instance",
	        [NITRO_PCR_INSTANCE] = "parent instance",
	        [NITRO_PCR_SIGNER] = "certificate that signed the image",
	};
	char name[16];

	for (unsigned i = 0; i < NITRO_PCRS; i++) {
		snprintf(name, sizeof(name), "PCR%u", i);
		line_bytes(out, d, name, d->pcr[i],
		           meaning[i] ? meaning[i] : "extended by what runs inside");
	}
	if (attest_nitro_is_debug(d))
		buf_str(out, "      A DEBUG ENCLAVE: nothing of its code was measured\n");
}

static void explain_head(struct buf *out, const struct nitro_document *d)
{
	char text[NITRO_MODULE_ID_MAX + 1], when[32];

	explain_line(out, 0, "COSE_Sign1", cose_alg_name(d->sign1.alg),
	             d->sign1.tagged ? "tagged" : "not tagged");
	if (d->module_id.n) {
		snprintf(text, sizeof(text), "%.*s", (int)d->module_id.n,
		         (const char *)d->module_id.p);
		explain_line(out, offset(d, d->module_id), "module_id", text,
		             "parent instance and enclave");
	}
	attest_date((int64_t)(d->timestamp_ms / 1000), when);
	snprintf(text, sizeof(text), "%" PRIu64, d->timestamp_ms);
	explain_line(out, offset(d, d->sign1.payload), "timestamp", text, when);
}

int attest_nitro_explain(struct bytes evidence, struct buf *out)
{
	struct nitro_document d;
	const char *why;
	int rc = attest_nitro_parse(evidence, &d, &why);
	char name[24];

	if (!d.raw.n) {
		buf_printf(out, "not a Nitro attestation document: %s\n", why);
		return out->bad ? -ENOMEM : -EINVAL;
	}
	buf_printf(out, "AWS Nitro enclave attestation document%s%s\n", rc ? ", MALFORMED: " : "",
	           rc ? why : "");
	explain_head(out, &d);
	explain_pcrs(out, &d);
	for (uint32_t i = 0; i < d.cabundle_n; i++) {
		snprintf(name, sizeof(name), "cabundle[%u]", i);
		explain_cert(out, &d, name, d.cabundle[i], i ? "an intermediate" : "the root");
	}
	explain_cert(out, &d, "certificate", d.certificate, "of the key that signed");
	line_bytes(out, &d, "public_key", d.public_key, "chosen by the enclave");
	line_bytes(out, &d, "user_data", d.user_data,
	           "chosen by the enclave; report data if it has 64 bytes");
	line_bytes(out, &d, "nonce", d.nonce, "chosen by the enclave");
	line_bytes(out, &d, "signature", d.sign1.signature, "r, s");
	return out->bad ? -ENOMEM : rc;
}
