/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CMW collection: CBOR items in a fixed grammar of depth two, so that neither nesting nor a
 * claimed count can cost more than the bytes that are there. Knows no member's content.
 */
#include "attest/cmw.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "core/cbor.h"

/* A type, bytes, an indicator. */
enum { RECORD_MIN = 2, RECORD_MAX = 3 };
enum { LABEL_MAX = 24 };

#define LABEL_TYPE        "__cmwc_t"
#define LABEL_EVIDENCE    "evidence"
#define LABEL_ENDORSEMENT "endorsement."
#define LABEL_LEAF        "leaf"
#define LABEL_PROOF       "proof"
#define LABEL_BUNDLE      "bundle"
#define LABEL_STATEMENT   "statement"
#define LABEL_LEASE       "lease"

/* ------------------------------------------------------------------- parsing */

struct parse {
	struct cmw *out;
	uint32_t endorsements; /* a bit each */
	bool have_type, lease_asked;
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
	struct bytes is;
	uint64_t n, ind;

	if (value->n || !item_array(r, &n) || n < RECORD_MIN || n > RECORD_MAX)
		return false;
	if (!item_text(r, &is))
		return false;
	if (type ? !bytes_equal(is, bytes_str(type)) : !media_type(is, type_out, CMW_TYPE_MAX))
		return false;
	if (!item_bytes(r, value) || !value->n)
		return false;
	return n == RECORD_MIN || (item_uint(r, &ind) && ind == indicator);
}

static bool endorsement(struct parse *p, struct reader *r, struct bytes number)
{
	uint64_t n;

	if (decimal_u64(number, CMW_ENDORSEMENTS_MAX - 1, &n))
		return false;
	p->endorsements |= UINT32_C(1) << n;
	return record(r, CMW_TYPE_ENDORSEMENT, CMW_IND_ENDORSEMENT, NULL, &p->out->endorsements[n]);
}

/* Not a conceptual message of RATS, so there is no indicator for it. */
static bool lease(struct parse *p, struct reader *r)
{
	struct bytes type, value;
	struct reader seconds;
	uint64_t n;

	if (!p->lease_asked || !item_array(r, &n) || n != RECORD_MIN || !item_text(r, &type) ||
	    !bytes_equal(type, bytes_str(CMW_TYPE_LEASE)) || !item_bytes(r, &value))
		return false;
	seconds = reader_of(value);
	p->out->lease_s = rd_be32(&seconds);
	return rd_done(&seconds) && p->out->lease_s;
}

static bool member(struct parse *p, struct reader *r, const struct item *label)
{
	const struct bytes prefix = bytes_str(LABEL_ENDORSEMENT), name = label->content;
	struct bytes type;

	if (label->kind != ITEM_TEXT)
		return false;
	if (item_is_text(label, LABEL_TYPE)) {
		p->have_type = true;
		return item_text(r, &type) && bytes_equal(type, bytes_str(CMW_TYPE_COLLECTION));
	}
	if (item_is_text(label, LABEL_EVIDENCE))
		return record(r, NULL, CMW_IND_EVIDENCE, p->out->evidence_type, &p->out->evidence);
	if (item_is_text(label, LABEL_LEAF))
		return record(r, CMW_TYPE_LEAF, CMW_IND_REFERENCE, NULL, &p->out->leaf);
	if (item_is_text(label, LABEL_PROOF))
		return record(r, CMW_TYPE_PROOF, CMW_IND_REFERENCE, NULL, &p->out->proof);
	if (item_is_text(label, LABEL_BUNDLE))
		return record(r, CMW_TYPE_BUNDLE, CMW_IND_REFERENCE, NULL, &p->out->bundle);
	if (item_is_text(label, LABEL_STATEMENT))
		return record(r, CMW_TYPE_STATEMENT, CMW_IND_REFERENCE, NULL, &p->out->statement);
	if (item_is_text(label, LABEL_LEASE))
		return lease(p, r);
	if (name.n > prefix.n && bytes_equal((struct bytes){name.p, prefix.n}, prefix))
		return endorsement(p, r, (struct bytes){name.p + prefix.n, name.n - prefix.n});
	return false;
}

int cmw_parse(struct bytes data, bool lease_asked, struct cmw *out)
{
	struct cmw c = {0};
	struct parse p = {.out = &c, .lease_asked = lease_asked};
	struct reader r = reader_of(data);
	struct item_map m;
	struct item label;

	if (!item_map(&r, &m))
		return -EINVAL;
	while (m.left)
		if (!item_key(&r, &m, &label) || !member(&p, &r, &label))
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

static void put_record(struct buf *out, const char *label, const char *type, struct bytes value,
                       unsigned indicator)
{
	item_put_text(out, label);
	item_put_array(out, RECORD_MAX);
	item_put_text(out, type);
	item_put_bytes(out, value);
	item_put_uint(out, indicator);
}

static void put_lease(struct buf *out, uint32_t seconds)
{
	struct buf value = buf_make(CMW_LEASE_LEN);

	buf_be32(&value, seconds);
	item_put_text(out, LABEL_LEASE);
	item_put_array(out, RECORD_MIN);
	item_put_text(out, CMW_TYPE_LEASE);
	item_put_bytes(out, buf_view(&value));
	out->bad |= value.bad;
	buf_free(&value);
}

int cmw_build(const struct cmw *c, struct buf *out)
{
	char type[CMW_TYPE_MAX], label[LABEL_MAX];
	uint64_t members = 2 + (uint64_t)c->endorsements_n + !!c->leaf.n + !!c->proof.n +
	                   !!c->bundle.n + !!c->statement.n + !!c->lease_s;

	if (c->endorsements_n > CMW_ENDORSEMENTS_MAX || !c->evidence.n ||
	    !media_type(bytes_str(c->evidence_type), type, sizeof(type)))
		return -EINVAL;
	for (uint32_t i = 0; i < c->endorsements_n; i++)
		if (!c->endorsements[i].n)
			return -EINVAL;
	/* Keys in the order of their encodings: shorter ones first. */
	item_put_map(out, members);
	if (c->leaf.n)
		put_record(out, LABEL_LEAF, CMW_TYPE_LEAF, c->leaf, CMW_IND_REFERENCE);
	if (c->lease_s)
		put_lease(out, c->lease_s);
	if (c->proof.n)
		put_record(out, LABEL_PROOF, CMW_TYPE_PROOF, c->proof, CMW_IND_REFERENCE);
	if (c->bundle.n)
		put_record(out, LABEL_BUNDLE, CMW_TYPE_BUNDLE, c->bundle, CMW_IND_REFERENCE);
	item_put_text(out, LABEL_TYPE);
	item_put_text(out, CMW_TYPE_COLLECTION);
	put_record(out, LABEL_EVIDENCE, type, c->evidence, CMW_IND_EVIDENCE);
	if (c->statement.n)
		put_record(out, LABEL_STATEMENT, CMW_TYPE_STATEMENT, c->statement,
		           CMW_IND_REFERENCE);
	for (uint32_t i = 0; i < c->endorsements_n; i++) {
		snprintf(label, sizeof(label), LABEL_ENDORSEMENT "%u", i);
		put_record(out, label, CMW_TYPE_ENDORSEMENT, c->endorsements[i],
		           CMW_IND_ENDORSEMENT);
	}
	return out->bad ? -ENOMEM : 0;
}
