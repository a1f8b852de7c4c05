/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CMW collection. CBOR is read one item at a time by libcbor's stream decoder, which allocates
 * nothing, and the items are expected in a fixed grammar of depth two; so neither nesting nor a
 * claimed count can cost more than the bytes that are there. Knows no member's content.
 */
#include "attest/cmw.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <cbor.h>

/* A type, bytes, an indicator. */
enum { RECORD_MIN = 2, RECORD_MAX = 3, HEAD_MAX = 9 };
enum { LABEL_MAX = 24 };

#define LABEL_TYPE        "__cmwc_t"
#define LABEL_EVIDENCE    "evidence"
#define LABEL_ENDORSEMENT "endorsement."
#define LABEL_LEAF        "leaf"
#define LABEL_PROOF       "proof"

/* ----------------------------------------------------------------- one item */

enum item_kind { ITEM_OTHER = 0, ITEM_UINT, ITEM_BYTES, ITEM_TEXT, ITEM_ARRAY, ITEM_MAP };

struct item {
	enum item_kind kind;
	uint64_t n; /* value, length or count */
	struct bytes content;
};

static void on_uint8(void *ctx, uint8_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_UINT, .n = v};
}

static void on_uint16(void *ctx, uint16_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_UINT, .n = v};
}

static void on_uint32(void *ctx, uint32_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_UINT, .n = v};
}

static void on_uint64(void *ctx, uint64_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_UINT, .n = v};
}

static void on_bytes(void *ctx, cbor_data p, size_t n)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_BYTES, .n = n, .content = {p, n}};
}

static void on_text(void *ctx, cbor_data p, size_t n)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_TEXT, .n = n, .content = {p, n}};
}

static void on_array(void *ctx, size_t n)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_ARRAY, .n = n};
}

static void on_map(void *ctx, size_t n)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_MAP, .n = n};
}

/* The shortest head for an item; 0 for one that has no place here. */
static size_t head(const struct item *it, uint8_t out[static HEAD_MAX])
{
	switch (it->kind) {
	case ITEM_UINT:
		return cbor_encode_uint(it->n, out, HEAD_MAX);
	case ITEM_BYTES:
		return cbor_encode_bytestring_start(it->n, out, HEAD_MAX);
	case ITEM_TEXT:
		return cbor_encode_string_start(it->n, out, HEAD_MAX);
	case ITEM_ARRAY:
		return cbor_encode_array_start(it->n, out, HEAD_MAX);
	case ITEM_MAP:
		return cbor_encode_map_start(it->n, out, HEAD_MAX);
	case ITEM_OTHER:
		break;
	}
	return 0;
}

/* Takes the next item, which must be of this kind and in its shortest form. */
static bool next(struct reader *r, enum item_kind kind, struct item *it)
{
	struct cbor_callbacks on = cbor_empty_callbacks;
	struct cbor_decoder_result got;
	uint8_t shortest[HEAD_MAX];

	on.uint8 = on_uint8;
	on.uint16 = on_uint16;
	on.uint32 = on_uint32;
	on.uint64 = on_uint64;
	on.byte_string = on_bytes;
	on.string = on_text;
	on.array_start = on_array;
	on.map_start = on_map;
	*it = (struct item){0};
	if (r->bad || !r->left)
		return false;
	got = cbor_stream_decode(r->p, r->left, &on, it);
	if (got.status != CBOR_DECODER_FINISHED || it->kind != kind)
		return false;
	/* A head says the same in each of its lengths: the shortest is the only one. */
	if (head(it, shortest) + it->content.n != got.read)
		return false;
	return rd_take(r, got.read).p != NULL;
}

/* ------------------------------------------------------------------- parsing */

struct parse {
	struct cmw *out;
	uint32_t endorsements; /* a bit each */
	bool have_type;
};

/* A media type: printable ASCII without blanks that fits. */
static bool media_type(struct bytes v, char *out, size_t cap)
{
	if (!v.n || v.n >= cap)
		return false;
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] <= 0x20 || v.p[i] > 0x7e)
			return false;
	memcpy(out, v.p, v.n);
	out[v.n] = 0;
	return true;
}

/* type: exactly this one, or NULL and type_out takes what is there. */
static bool record(struct reader *r, const char *type, unsigned indicator, char *type_out,
                   struct bytes *value)
{
	struct item it;
	uint64_t n;

	if (value->n || !next(r, ITEM_ARRAY, &it) || it.n < RECORD_MIN || it.n > RECORD_MAX)
		return false;
	n = it.n;
	if (!next(r, ITEM_TEXT, &it))
		return false;
	if (type ? !bytes_equal(it.content, bytes_str(type))
	         : !media_type(it.content, type_out, CMW_TYPE_MAX))
		return false;
	if (!next(r, ITEM_BYTES, &it) || !it.n)
		return false;
	*value = it.content;
	return n == RECORD_MIN || (next(r, ITEM_UINT, &it) && it.n == indicator);
}

static bool endorsement(struct parse *p, struct reader *r, struct bytes number)
{
	uint64_t n;

	if (decimal_u64(number, CMW_ENDORSEMENTS_MAX - 1, &n))
		return false;
	p->endorsements |= UINT32_C(1) << n;
	return record(r, CMW_TYPE_ENDORSEMENT, CMW_IND_ENDORSEMENT, NULL, &p->out->endorsements[n]);
}

static bool member(struct parse *p, struct reader *r)
{
	const struct bytes prefix = bytes_str(LABEL_ENDORSEMENT);
	struct item label, it;

	if (!next(r, ITEM_TEXT, &label))
		return false;
	if (bytes_equal(label.content, bytes_str(LABEL_TYPE))) {
		if (p->have_type)
			return false;
		p->have_type = true;
		return next(r, ITEM_TEXT, &it) &&
		       bytes_equal(it.content, bytes_str(CMW_TYPE_COLLECTION));
	}
	if (bytes_equal(label.content, bytes_str(LABEL_EVIDENCE)))
		return record(r, NULL, CMW_IND_EVIDENCE, p->out->evidence_type, &p->out->evidence);
	if (bytes_equal(label.content, bytes_str(LABEL_LEAF)))
		return record(r, CMW_TYPE_LEAF, CMW_IND_REFERENCE, NULL, &p->out->leaf);
	if (bytes_equal(label.content, bytes_str(LABEL_PROOF)))
		return record(r, CMW_TYPE_PROOF, CMW_IND_REFERENCE, NULL, &p->out->proof);
	if (label.n > prefix.n && bytes_equal((struct bytes){label.content.p, prefix.n}, prefix))
		return endorsement(p, r,
		                   (struct bytes){label.content.p + prefix.n, label.n - prefix.n});
	return false;
}

int cmw_parse(struct bytes data, struct cmw *out)
{
	struct cmw c = {0};
	struct parse p = {.out = &c};
	struct reader r = reader_of(data);
	struct item map;

	if (!next(&r, ITEM_MAP, &map))
		return -EINVAL;
	for (uint64_t i = 0; i < map.n; i++)
		if (!member(&p, &r))
			return -EINVAL;
	if (!rd_done(&r) || !p.have_type || !c.evidence.n)
		return -EINVAL;
	while (p.endorsements & 1) {
		c.endorsements_n++;
		p.endorsements >>= 1;
	}
	if (p.endorsements)
		return -EINVAL;
	*out = c;
	return 0;
}

/* ------------------------------------------------------------------ building */

static void put(struct buf *out, enum item_kind kind, uint64_t n, struct bytes content)
{
	struct item it = {kind, n, content};
	uint8_t b[HEAD_MAX];

	buf_put(out, b, head(&it, b));
	buf_bytes(out, content);
}

static void put_text(struct buf *out, const char *s)
{
	put(out, ITEM_TEXT, strlen(s), bytes_str(s));
}

static void put_record(struct buf *out, const char *label, const char *type, struct bytes value,
                       unsigned indicator)
{
	put_text(out, label);
	put(out, ITEM_ARRAY, RECORD_MAX, BYTES_NONE);
	put_text(out, type);
	put(out, ITEM_BYTES, value.n, value);
	put(out, ITEM_UINT, indicator, BYTES_NONE);
}

int cmw_build(const struct cmw *c, struct buf *out)
{
	char type[CMW_TYPE_MAX], label[LABEL_MAX];
	uint64_t members = 2 + (uint64_t)c->endorsements_n + !!c->leaf.n + !!c->proof.n;

	if (c->endorsements_n > CMW_ENDORSEMENTS_MAX || !c->evidence.n ||
	    !media_type(bytes_str(c->evidence_type), type, sizeof(type)))
		return -EINVAL;
	for (uint32_t i = 0; i < c->endorsements_n; i++)
		if (!c->endorsements[i].n)
			return -EINVAL;
	/* Keys in the order of their encodings: shorter ones first. */
	put(out, ITEM_MAP, members, BYTES_NONE);
	if (c->leaf.n)
		put_record(out, LABEL_LEAF, CMW_TYPE_LEAF, c->leaf, CMW_IND_REFERENCE);
	if (c->proof.n)
		put_record(out, LABEL_PROOF, CMW_TYPE_PROOF, c->proof, CMW_IND_REFERENCE);
	put_text(out, LABEL_TYPE);
	put_text(out, CMW_TYPE_COLLECTION);
	put_record(out, LABEL_EVIDENCE, type, c->evidence, CMW_IND_EVIDENCE);
	for (uint32_t i = 0; i < c->endorsements_n; i++) {
		snprintf(label, sizeof(label), LABEL_ENDORSEMENT "%u", i);
		put_record(out, label, CMW_TYPE_ENDORSEMENT, c->endorsements[i],
		           CMW_IND_ENDORSEMENT);
	}
	return out->bad ? -ENOMEM : 0;
}
