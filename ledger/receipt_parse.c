/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receipts and the statements that they are of, as bytes: each parameter has one type and stands
 * where it is signed, and one that is not known there is refused. Judges nothing.
 */
#include "ledger/receipt_room.h"

#include <errno.h>
#include <string.h>

/* RFC 9597, RFC 9360, RFC 9942, RFC 9995. */
enum {
	LABEL_CWT = 15,
	LABEL_X5CHAIN = 33,
	LABEL_X5T = 34,
	LABEL_HASH_ALG = 258,
	LABEL_PREIMAGE_TYPE = 259,
	LABEL_LOCATION = 260,
	LABEL_RECEIPTS = 394,
	LABEL_VDS = 395,
	LABEL_VDP = 396,
};
enum { CWT_ISS = 1, CWT_SUB = 2, CWT_IAT = 6, TAG_TIME = 1 };
enum { VDP_INCLUSION = -1, VDP_CONSISTENCY = -2 };
enum { CCF_LEAF = 1, CCF_PATH = 2, CCF_LEAF_ITEMS = 3, RFC9162_ITEMS = 3, EVIDENCE_MAX = 1024 };
enum { CERT_MAX = 16384, CERT_HASH_ITEMS = 2 };

/* What a SCITT ledger on CCF signs its trees for; its key signs other things too. */
#define CCF_SUBJECT "scitt.ccf.signature.v1"

#define MALFORMED "a header parameter is malformed"

/* -------------------------------------------------------------------- values */

/* Printable ASCII, 1 to cap - 1 bytes. */
static bool take_text(struct reader *r, char *out, size_t cap)
{
	struct bytes v;

	if (!item_text(r, &v) || v.n == 0 || v.n >= cap)
		return false;
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] < 0x20 || v.p[i] > 0x7e)
			return false;
	memcpy(out, v.p, v.n);
	out[v.n] = '\0';
	return true;
}

static bool take_hash(struct reader *r, struct hash *out)
{
	struct bytes v;

	if (!item_bytes(r, &v) || v.n != HASH_LEN)
		return false;
	memcpy(out->v, v.p, HASH_LEN);
	return true;
}

/* A COSE algorithm of hashing; negative, as all that are known are. */
static bool take_hash_alg(struct reader *r, int64_t *out)
{
	struct item it;

	if (!item_any(r, &it) || it.kind != ITEM_NEGINT || it.n > INT32_MAX)
		return false;
	*out = -1 - (int64_t)it.n;
	return cose_hash(*out) != NULL;
}

/* Seconds since 1970, with or without the tag that says so. */
static bool take_time(struct reader *r, int64_t *out)
{
	struct item it;

	if (!item_any(r, &it) || (it.kind == ITEM_TAG && (it.n != TAG_TIME || !item_any(r, &it))))
		return false;
	if (it.kind != ITEM_UINT || it.n == 0 || it.n > INT64_MAX - 1)
		return false;
	*out = (int64_t)it.n;
	return true;
}

/* A claim by number that is not read could be one that ends what the others say. */
static bool take_claim(struct reader *r, const struct item *label, struct cwt_claims *c)
{
	if (item_is_int(label, CWT_ISS))
		return take_text(r, c->issuer, sizeof(c->issuer));
	if (item_is_int(label, CWT_SUB))
		return take_text(r, c->subject, sizeof(c->subject));
	if (item_is_int(label, CWT_IAT))
		return take_time(r, &c->issued_at);
	if (item_is_text(label, "svn"))
		return c->has_svn = item_uint(r, &c->svn) && c->svn <= INT64_MAX;
	return label->kind == ITEM_TEXT && item_skip(r, NULL);
}

static bool take_claims(struct reader *r, struct cwt_claims *c)
{
	struct item_map m;
	struct item label;

	if (!item_map(r, &m))
		return false;
	while (m.left)
		if (!item_key(r, &m, &label) || !take_claim(r, &label, c))
			return false;
	return true;
}

/* ------------------------------------------------------------------ statement */

static bool take_cert(struct reader *r, struct cose_statement *s)
{
	struct bytes v;

	if (s->certs == X5CHAIN_MAX || !item_bytes(r, &v) || !v.n || v.n > CERT_MAX)
		return false;
	s->cert[s->certs++] = v;
	return true;
}

/* One certificate alone, or an array of two and more. */
static bool take_x5chain(struct reader *r, struct cose_statement *s)
{
	struct reader ahead = *r;
	uint64_t n;

	if (!item_array(&ahead, &n))
		return take_cert(r, s);
	*r = ahead;
	if (n < 2)
		return false;
	for (; n; n--)
		if (!take_cert(r, s))
			return false;
	return true;
}

static bool take_x5t(struct reader *r, struct cose_statement *s)
{
	uint64_t n;

	return item_array(r, &n) && n == CERT_HASH_ITEMS && take_hash_alg(r, &s->thumbprint_alg) &&
	       item_bytes(r, &s->thumbprint);
}

static bool take_preimage_type(struct reader *r)
{
	struct item it;

	return item_any(r, &it) && (it.kind == ITEM_TEXT || it.kind == ITEM_UINT);
}

static const char *statement_protected(void *ctx, const struct item *label, struct reader *r)
{
	struct cose_statement *s = ctx;
	struct bytes location;
	bool ok;

	if (item_is_int(label, LABEL_CWT)) {
		ok = take_claims(r, &s->claims);
	} else if (item_is_int(label, LABEL_X5CHAIN)) {
		ok = take_x5chain(r, s);
	} else if (item_is_int(label, LABEL_X5T)) {
		ok = take_x5t(r, s);
	} else if (item_is_int(label, LABEL_HASH_ALG)) {
		ok = take_hash_alg(r, &s->payload_hash_alg);
	} else if (item_is_int(label, LABEL_PREIMAGE_TYPE)) {
		s->has_preimage = true;
		ok = take_preimage_type(r);
	} else if (item_is_int(label, LABEL_LOCATION)) {
		s->has_preimage = true;
		ok = item_text(r, &location);
	} else {
		return "the protected header has a parameter that is not understood";
	}
	return ok ? NULL : MALFORMED;
}

static bool take_receipts(struct reader *r, struct cose_statement *s)
{
	uint64_t n;

	if (!item_array(r, &n) || n == 0 || n > RECEIPTS_MAX)
		return false;
	for (; s->receipts < n; s->receipts++)
		if (!item_bytes(r, &s->receipt[s->receipts]))
			return false;
	return true;
}

/* Who changes what is not signed may add what he likes, and nothing of it is used but receipts. */
static const char *statement_unprotected(void *ctx, const struct item *label, struct reader *r)
{
	struct cose_statement *s = ctx;

	if (item_is_int(label, LABEL_RECEIPTS))
		return take_receipts(r, s) ? NULL : MALFORMED;
	if (item_is_int(label, LABEL_HASH_ALG) || item_is_int(label, LABEL_PREIMAGE_TYPE) ||
	    item_is_int(label, LABEL_LOCATION))
		return "a parameter of a hash envelope is not signed";
	s->open_content_type |= item_is_int(label, COSE_HEADER_CONTENT_TYPE);
	return item_skip(r, NULL) ? NULL : MALFORMED;
}

/* RFC 9995: the payload is a hash, of the length of its algorithm, and no content of some type. */
static const char *envelope_fault(const struct cose_statement *s)
{
	if (!s->payload_hash_alg)
		return s->has_preimage ? "what only a hash envelope has, and no hash algorithm"
		                       : NULL;
	if (s->sign1.has_content_type || s->open_content_type)
		return "a hash envelope with a content type";
	if (s->sign1.payload.n != (size_t)EVP_MD_get_size(cose_hash(s->payload_hash_alg)))
		return "the payload is not as long as its hash algorithm's hashes";
	return NULL;
}

static const char *read_message(struct bytes data, size_t max, const struct cose_form *form,
                                struct cose_sign1 *out)
{
	struct reader r = reader_of(data);
	const char *why;

	if (data.n > max)
		return "longer than any";
	if (cose_sign1_read(&r, form, out, &why))
		return why;
	if (!rd_done(&r))
		return "bytes behind the end";
	return out->tagged ? NULL : "a COSE_Sign1 without its tag";
}

int cose_statement_parse(struct bytes data, struct cose_statement *out, const char **why)
{
	struct cose_statement s = {0};
	const struct cose_form form = {false, statement_protected, statement_unprotected, &s};

	*why = read_message(data, STATEMENT_COSE_MAX, &form, &s.sign1);
	if (!*why)
		*why = envelope_fault(&s);
	if (*why)
		return -EINVAL;
	*out = s;
	return 0;
}

int cose_statement_entry(const struct cose_statement *s, struct hash *out)
{
	enum { HEADS = 64 };
	struct buf b = buf_make(s->sign1.protected_header.n + s->sign1.payload.n +
	                        s->sign1.signature.n + HEADS);
	int ret;

	item_put_tag(&b, COSE_TAG_SIGN1);
	item_put_array(&b, 4);
	item_put_bytes(&b, s->sign1.protected_header);
	item_put_map(&b, 0);
	item_put_bytes(&b, s->sign1.payload);
	item_put_bytes(&b, s->sign1.signature);
	ret = b.bad ? -ENOMEM : 0;
	if (!ret)
		ledger_sha256(buf_view(&b), out);
	buf_free(&b);
	return ret;
}

/* -------------------------------------------------------------------- receipt */

/* {"txid": "458.12441"} */
static bool take_ccf(struct reader *r, char txid[static RECEIPT_TXID_MAX])
{
	struct item_map m;
	struct item label;

	if (!item_map(r, &m))
		return false;
	while (m.left) {
		if (!item_key(r, &m, &label) || label.kind != ITEM_TEXT)
			return false;
		if (item_is_text(&label, "txid") ? !take_text(r, txid, RECEIPT_TXID_MAX)
		                                 : !item_skip(r, NULL))
			return false;
	}
	return true;
}

static const char *receipt_protected(void *ctx, const struct item *label, struct reader *r)
{
	struct cose_receipt *c = ctx;
	bool ok;

	if (item_is_int(label, LABEL_VDS))
		ok = item_uint(r, &c->vds);
	else if (item_is_int(label, LABEL_CWT))
		ok = take_claims(r, &c->claims);
	else if (item_is_text(label, "ccf.v1"))
		ok = take_ccf(r, c->txid);
	else
		return "the protected header has a parameter that is not understood";
	return ok ? NULL : MALFORMED;
}

/* {-1: [inclusion]} or {-2: [consistency]}: one proof, and one kind. */
static bool take_vdp(struct reader *r, struct cose_receipt *c)
{
	struct item_map m;
	struct item label;
	uint64_t n;

	if (!item_map(r, &m) || m.left != 1 || !item_key(r, &m, &label))
		return false;
	c->consistency = item_is_int(&label, VDP_CONSISTENCY);
	if (!c->consistency && !item_is_int(&label, VDP_INCLUSION))
		return false;
	return item_array(r, &n) && n == 1 && item_bytes(r, &c->proof) && c->proof.n;
}

static const char *receipt_unprotected(void *ctx, const struct item *label, struct reader *r)
{
	if (!item_is_int(label, LABEL_VDP))
		return "the unprotected header holds more than a proof";
	return take_vdp(r, ctx) ? NULL : "there is not one proof of one kind";
}

/* [size, index, [hash, ...]], and of consistency [earlier size, size, [hash, ...]]. */
static bool take_rfc9162(struct bytes proof, bool consistency, struct rfc9162_proof *out)
{
	struct reader r = reader_of(proof);
	uint64_t items, n, first, second;

	if (!item_array(&r, &items) || items != RFC9162_ITEMS || !item_uint(&r, &first) ||
	    !item_uint(&r, &second) || !item_array(&r, &n) || n > PATH_MAX_HASHES)
		return false;
	out->size = consistency ? second : first;
	out->index = consistency ? first : second;
	for (; out->path_n < n; out->path_n++)
		if (!take_hash(&r, &out->path[out->path_n]))
			return false;
	return rd_done(&r);
}

static bool take_ccf_leaf(struct reader *r, struct ccf_proof *out)
{
	uint64_t n;

	return item_array(r, &n) && n == CCF_LEAF_ITEMS && take_hash(r, &out->transaction) &&
	       item_text(r, &out->evidence) && out->evidence.n && out->evidence.n <= EVIDENCE_MAX &&
	       take_hash(r, &out->data);
}

static bool take_ccf_path(struct reader *r, struct ccf_proof *out)
{
	struct item left;
	uint64_t n, pair;

	if (!item_array(r, &n) || n > PATH_MAX_HASHES)
		return false;
	for (; out->path_n < n; out->path_n++) {
		if (!item_array(r, &pair) || pair != 2 || !item_any(r, &left) ||
		    left.kind != ITEM_BOOL || !take_hash(r, &out->path[out->path_n]))
			return false;
		out->left[out->path_n] = left.n != 0;
	}
	return true;
}

/* {1: leaf, 2: path} */
static bool take_ccf_proof(struct bytes proof, struct ccf_proof *out)
{
	struct reader r = reader_of(proof);
	struct item_map m;
	struct item label;

	if (!item_map(&r, &m) || m.left != 2)
		return false;
	while (m.left)
		if (!item_key(&r, &m, &label) ||
		    !(item_is_int(&label, CCF_LEAF)   ? take_ccf_leaf(&r, out)
		      : item_is_int(&label, CCF_PATH) ? take_ccf_path(&r, out)
		                                      : false))
			return false;
	return rd_done(&r);
}

static const char *take_proof(struct cose_receipt *c)
{
	if (!c->proof.n)
		return "there is no proof";
	if (c->vds == VDS_RFC9162)
		return take_rfc9162(c->proof, c->consistency, &c->rfc9162)
		               ? NULL
		               : "the proof is malformed";
	if (c->vds != VDS_CCF)
		return "a tree of an unknown algorithm";
	if (c->consistency)
		return "trees of CCF have no proofs of consistency";
	if (strcmp(c->claims.subject, CCF_SUBJECT) != 0)
		return "not signed as a receipt of a SCITT ledger (" CCF_SUBJECT ")";
	return take_ccf_proof(c->proof, &c->ccf) ? NULL : "the proof is malformed";
}

int cose_receipt_parse(struct bytes data, struct cose_receipt *out, const char **why)
{
	const struct cose_form form = {true, receipt_protected, receipt_unprotected, out};

	memset(out, 0, sizeof(*out));
	*why = read_message(data, RECEIPT_MAX, &form, &out->sign1);
	if (!*why)
		*why = take_proof(out);
	return *why ? -EINVAL : 0;
}

/* --------------------------------------------------------------------- hashes */

/* RFC 9054 table 1. */
static const struct {
	int64_t alg;
	const char *name;
	const EVP_MD *(*md)(void);
} hashes[] = {
        {-16, "SHA-256", EVP_sha256},
        {-43, "SHA-384", EVP_sha384},
        {-44, "SHA-512", EVP_sha512},
};

const EVP_MD *cose_hash(int64_t alg)
{
	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
		if (hashes[i].alg == alg)
			return hashes[i].md();
	return NULL;
}

const char *cose_hash_name(int64_t alg)
{
	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
		if (hashes[i].alg == alg)
			return hashes[i].name;
	return NULL;
}
