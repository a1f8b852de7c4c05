/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flashbots-ratls/1's message: a length, and two fields in SCALE. What the evidence is worth is its
 * platform's to say.
 */
#include "attest/flashbots.h"

#include <errno.h>
#include <string.h>
#include <openssl/evp.h>

/* ----------------------------------------------------------------------- SCALE */

/* A compact integer: the two low bits say how long it is. Only the shortest form counts. */
static uint32_t rd_compact(struct reader *r)
{
	uint8_t first = rd_u8(r);
	uint32_t v = first >> 2;

	switch (first & 3) {
	case 0:
		return v;
	case 1:
		v |= (uint32_t)rd_u8(r) << 6;
		r->bad |= v < 1u << 6;
		return v;
	case 2:
		v |= (uint32_t)rd_u8(r) << 6;
		v |= (uint32_t)rd_le16(r) << 14;
		r->bad |= v < 1u << 14;
		return v;
	default: /* beyond what a message may hold */
		r->bad = true;
		return 0;
	}
}

static void put_compact(struct buf *out, uint32_t v)
{
	if (v < 1u << 6)
		buf_u8(out, (uint8_t)(v << 2));
	else if (v < 1u << 14)
		buf_le16(out, (uint16_t)(v << 2 | 1));
	else
		buf_le32(out, v << 2 | 2);
}

/* -------------------------------------------------------------------- messages */

int64_t flashbots_length(struct bytes msg)
{
	struct reader r = reader_of(msg);
	uint32_t n = rd_be32(&r);

	if (r.bad)
		return 0;
	return n == 0 || n > FLASHBOTS_MAX - 4 ? -EINVAL : (int64_t)n + 4;
}

static bool printable(struct bytes v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] <= ' ' || v.p[i] > '~')
			return false;
	return v.n > 0;
}

int flashbots_parse(struct bytes msg, struct flashbots_message *out)
{
	struct reader r = reader_of(msg);
	struct bytes type, evidence;

	if (flashbots_length(msg) != (int64_t)msg.n)
		return -EINVAL;
	(void)rd_be32(&r);
	type = rd_take(&r, rd_compact(&r));
	evidence = rd_take(&r, rd_compact(&r));
	if (!rd_done(&r) || type.n > FLASHBOTS_TYPE_MAX || !printable(type))
		return -EINVAL;
	*out = (struct flashbots_message){.evidence = evidence};
	memcpy(out->type, type.p, type.n);
	return 0;
}

int flashbots_build(const char *type, struct bytes evidence, struct buf *out)
{
	struct buf body = buf_make(FLASHBOTS_MAX - 4);
	size_t n = strlen(type);

	if (n == 0 || n > FLASHBOTS_TYPE_MAX || evidence.n > FLASHBOTS_MAX - 4)
		return -EINVAL;
	put_compact(&body, (uint32_t)n);
	buf_str(&body, type);
	put_compact(&body, (uint32_t)evidence.n);
	buf_bytes(&body, evidence);
	if (!body.bad) {
		buf_be32(out, (uint32_t)body.n);
		buf_bytes(out, buf_view(&body));
	}
	n = body.bad || out->bad;
	buf_free(&body);
	return n ? -ENOMEM : 0;
}

/* ------------------------------------------------------------- types, binding */

enum tee flashbots_tee(const char *type)
{
	enum tee t = attest_tee_from_name(type);

	if (!strcmp(type, "dcap-tdx") || !strcmp(type, "gcp-tdx") || !strcmp(type, "qemu-tdx"))
		return TEE_TDX;
	/* One name a platform, and none for what is no peer by itself. */
	return t != TEE_TDX && attest_is_peer(t) ? t : TEE_NONE;
}

const char *flashbots_type(enum tee t)
{
	return t == TEE_TDX ? "dcap-tdx" : attest_tee_name(t);
}

int flashbots_binding(struct bytes spki, const uint8_t exporter[static FLASHBOTS_EXPORTER_LEN],
                      uint8_t out[static 64])
{
	if (!EVP_Digest(spki.p, spki.n, out, NULL, EVP_sha256(), NULL))
		return -ENOMEM;
	memcpy(out + 32, exporter, FLASHBOTS_EXPORTER_LEN);
	return 0;
}
