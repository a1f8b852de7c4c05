/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transparency services and an issuer of our own: statements and receipts that are right but for
 * what a test bends.
 */
#ifndef KEYGATE_TESTS_RECEIPT_OWN_H
#define KEYGATE_TESTS_RECEIPT_OWN_H

#include "tests/unit/cose_build.h"

#include <stdbool.h>
#include <stdio.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include "ledger/receipt.h"

enum { OWN_BEGIN = 1700000000, OWN_AT = 1750000000, OWN_END = 1760000000, OWN_NOW = 1790000000 };
enum { OWN_SVN = 7, OWN_PAYLOAD = 48 };

#define OWN_SUBJECT "Own-UVM"
#define OWN_EKU     "1.3.6.1.4.1.55555.1"

/* ------------------------------------------------------------------ certificates */

struct own_cert {
	EVP_PKEY *key;
	X509 *cert;
	uint8_t *der;
	int der_n;
};

static MAYBE_UNUSED void own_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

struct own_how {
	const char *name;
	bool ca;
	const char *eku;
	int64_t begin, end;
	const EVP_MD *md; /* of the signature on it; NULL: SHA-256 */
};

/* by == NULL: by itself. */
static MAYBE_UNUSED void own_certify(struct own_cert *c, const struct own_how *how,
                                     const struct own_cert *by)
{
	static long serial = 1;

	c->cert = X509_new();
	assert_int_equal(X509_set_version(c->cert, X509_VERSION_3), 1);
	ASN1_INTEGER_set(X509_get_serialNumber(c->cert), serial++);
	ASN1_TIME_set(X509_getm_notBefore(c->cert), how->begin ? how->begin : OWN_BEGIN);
	ASN1_TIME_set(X509_getm_notAfter(c->cert), how->end ? how->end : OWN_END);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(c->cert), "CN", MBSTRING_ASC,
	                           (const uint8_t *)how->name, -1, -1, 0);
	X509_set_issuer_name(c->cert, X509_get_subject_name(by ? by->cert : c->cert));
	X509_set_pubkey(c->cert, c->key);
	own_extension(c->cert, NID_basic_constraints, how->ca ? "critical,CA:TRUE" : "CA:FALSE");
	own_extension(c->cert, NID_key_usage,
	              how->ca ? "critical,keyCertSign" : "critical,digitalSignature");
	if (how->eku)
		own_extension(c->cert, NID_ext_key_usage, how->eku);
	assert_true(X509_sign(c->cert, by ? by->key : c->key, how->md ? how->md : EVP_sha256()) >
	            0);
	c->der_n = i2d_X509(c->cert, &c->der);
	assert_true(c->der_n > 0);
}

static MAYBE_UNUSED struct bytes own_der(const struct own_cert *c)
{
	return (struct bytes){c->der, (size_t)c->der_n};
}

static MAYBE_UNUSED void own_uncertify(struct own_cert *c)
{
	X509_free(c->cert);
	OPENSSL_free(c->der);
	EVP_PKEY_free(c->key);
	memset(c, 0, sizeof(*c));
}

/* ---------------------------------------------------------------------- everybody */

struct own {
	struct own_cert root, mid, leaf; /* of the issuer */
	char did[RECEIPT_TEXT_MAX];      /* of the root */
	EVP_PKEY *service, *other;       /* P-256 */
	struct own_cert service_cert;    /* of the same key as service */
};

/* "did:x509:0:sha256:FINGERPRINT::eku:OID" */
static MAYBE_UNUSED void own_did(const struct own_cert *ca, const char *eku,
                                 char out[static RECEIPT_TEXT_MAX])
{
	uint8_t digest[HASH_LEN];
	char b64[64];

	EVP_Digest(ca->der, (size_t)ca->der_n, digest, NULL, EVP_sha256(), NULL);
	base64_encode(BYTES_OF(digest), b64);
	b64[43] = '\0';
	for (char *p = b64; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	snprintf(out, RECEIPT_TEXT_MAX, "did:x509:0:sha256:%s::eku:%s", b64, eku);
}

static MAYBE_UNUSED void own_make(struct own *o)
{
	memset(o, 0, sizeof(*o));
	o->root.key = EVP_EC_gen("P-256");
	o->mid.key = EVP_EC_gen("P-256");
	o->leaf.key = EVP_EC_gen("P-256");
	o->service = EVP_EC_gen("P-256");
	o->other = EVP_EC_gen("P-256");
	EVP_PKEY_up_ref(o->service);
	o->service_cert.key = o->service;
	own_certify(&o->root, &(struct own_how){"root", true, NULL, 0, 0, NULL}, NULL);
	own_certify(&o->mid, &(struct own_how){"mid", true, NULL, 0, 0, NULL}, &o->root);
	own_certify(&o->leaf, &(struct own_how){"leaf", false, OWN_EKU, 0, 0, NULL}, &o->mid);
	own_certify(&o->service_cert,
	            &(struct own_how){"service", false, NULL, 0, 1700000001, NULL}, &o->root);
	own_did(&o->root, OWN_EKU, o->did);
}

static MAYBE_UNUSED void own_free(struct own *o)
{
	own_uncertify(&o->root);
	own_uncertify(&o->mid);
	own_uncertify(&o->leaf);
	own_uncertify(&o->service_cert);
	EVP_PKEY_free(o->service);
	EVP_PKEY_free(o->other);
}

/* SHA-256 of the key in words, as CCF names it. */
static MAYBE_UNUSED void own_kid(EVP_PKEY *key, char out[static 65])
{
	uint8_t digest[HASH_LEN], *der = NULL;
	int n = i2d_PUBKEY(key, &der);

	assert_true(n > 0);
	EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL);
	hex_encode(BYTES_OF(digest), out);
	OPENSSL_free(der);
}

/* {"parameters": [...]} with one service; extra goes into its object. */
static MAYBE_UNUSED void own_store(const struct own *o, const char *extra, struct buf *out)
{
	struct bytes der = own_der(&o->service_cert);
	char *b64 = malloc(base64_encoded_len(der.n) + 1);

	base64_encode(der, b64);
	buf_printf(out, "{\"parameters\":[{\"serviceCertificate\":\"%s\",%s}]}", b64,
	           extra ? extra : "\"treeAlgorithm\":\"CCF\"");
	free(b64);
}

/* ------------------------------------------------------------------- statements */

/* Parameters of a header, one by one; the count goes before them. */
struct own_map {
	struct buf pairs;
	uint64_t n;
};

static MAYBE_UNUSED struct buf *own_label(struct own_map *m, int64_t label)
{
	m->n++;
	item_put_int(&m->pairs, label);
	return &m->pairs;
}

static MAYBE_UNUSED struct bytes own_map_done(struct own_map *m, struct buf *out)
{
	item_put_map(out, m->n);
	buf_bytes(out, buf_view(&m->pairs));
	buf_free(&m->pairs);
	assert_false(out->bad);
	return buf_view(out);
}

/* Zero is right; what is set is bent. */
struct own_statement {
	const char *issuer, *subject;
	bool no_issuer, no_svn;
	uint64_t svn;
	int64_t hash_alg;     /* 1: none at all */
	struct bytes payload; /* n == 0: OWN_PAYLOAD bytes */
	const struct own_cert *chain[5];
	uint32_t chain_n;
	bool no_chain;
	const struct own_cert *thumbprint_of;
	EVP_PKEY *key;
	enum cose_alg alg;
	const char *claim; /* one more, hex of label and value */
	const char *more;  /* parameters, hex of labels and values; how many: */
	uint64_t more_n;
	const char *open; /* the same, not signed */
	uint64_t open_n;
	bool untagged;
};

static MAYBE_UNUSED void own_hex(struct buf *out, const char *hex)
{
	uint8_t b[512];
	size_t n = strlen(hex) / 2;

	assert_true(n <= sizeof(b));
	assert_int_equal(hex_decode(bytes_str(hex), b, n), 0);
	buf_put(out, b, n);
}

static MAYBE_UNUSED void own_claims(const struct own *o, const struct own_statement *s,
                                    struct buf *b)
{
	item_put_map(b, (s->no_issuer ? 2U : 3U) + (s->no_svn ? 0U : 1U) + (s->claim ? 1U : 0U));
	if (!s->no_issuer) {
		item_put_int(b, 1);
		item_put_text(b, s->issuer ? s->issuer : o->did);
	}
	item_put_int(b, 2);
	item_put_text(b, s->subject ? s->subject : OWN_SUBJECT);
	item_put_int(b, 6);
	item_put_tag(b, 1);
	item_put_uint(b, OWN_AT - 1);
	if (!s->no_svn) {
		item_put_text(b, "svn");
		item_put_uint(b, s->svn ? s->svn : OWN_SVN);
	}
	if (s->claim)
		own_hex(b, s->claim);
}

static MAYBE_UNUSED void own_chain(const struct own *o, const struct own_statement *s,
                                   struct own_map *m)
{
	const struct own_cert *right[] = {&o->leaf, &o->mid, &o->root};
	const struct own_cert *const *c = s->chain_n ? s->chain : right;
	uint32_t n = s->chain_n ? s->chain_n : 3;
	const struct own_cert *of = s->thumbprint_of ? s->thumbprint_of : c[0];
	uint8_t digest[HASH_LEN];
	struct buf *b;

	if (s->no_chain)
		return;
	b = own_label(m, 33);
	item_put_array(b, n);
	for (uint32_t i = 0; i < n; i++)
		item_put_bytes(b, own_der(c[i]));
	EVP_Digest(of->der, (size_t)of->der_n, digest, NULL, EVP_sha256(), NULL);
	b = own_label(m, 34);
	item_put_array(b, 2);
	item_put_int(b, -16);
	item_put_bytes(b, BYTES_OF(digest));
}

static const uint8_t own_payload[OWN_PAYLOAD] = {0x49, 0x04, 0x16, 0x7a, 0xa9};

/* Appends the statement, with what is not signed as encoded (n == 0: {}). */
static MAYBE_UNUSED void own_statement(const struct own *o, const struct own_statement *s,
                                       struct bytes unprotected, struct buf *out)
{
	struct own_map m = {.pairs = buf_make(65536)};
	struct buf header = buf_make(65536);
	struct made_cose c = {.alg = s->alg ? s->alg : COSE_ES256,
	                      .key = s->key ? s->key : o->leaf.key,
	                      .unprotected = unprotected,
	                      .payload = s->payload.n ? s->payload : BYTES_OF(own_payload),
	                      .untagged = s->untagged};

	item_put_int(own_label(&m, 1), c.alg);
	own_claims(o, s, own_label(&m, 15));
	own_chain(o, s, &m);
	if (s->hash_alg <= 0)
		item_put_int(own_label(&m, 258), s->hash_alg ? s->hash_alg : -43);
	if (s->more)
		own_hex(&m.pairs, s->more);
	m.n += s->more_n;
	c.protected_header = own_map_done(&m, &header);
	make_cose(&c, out);
	buf_free(&header);
}

/* -------------------------------------------------------------------- receipts */

struct own_receipt {
	uint64_t vds; /* 0: 2 */
	const char *subject;
	uint64_t issued_at; /* 0: OWN_AT; 1: not said */
	EVP_PKEY *key;      /* that signs */
	EVP_PKEY *kid;      /* that is named */
	enum cose_alg alg;
	uint32_t steps;          /* of the path in the proof, beside what is right */
	uint64_t size, index;    /* of vds 1, where they are not 8 and 5 */
	const struct hash *data; /* of another entry */
	bool consistency, attached;
	const char *more; /* signed parameters, hex; how many: */
	uint64_t more_n;
	const char *open; /* not signed ones */
	uint64_t open_n;
	const char *vdp; /* the value of 396 in place of the right one, hex */
};

static MAYBE_UNUSED void own_sha256(struct bytes v, struct hash *out)
{
	EVP_Digest(v.p, v.n, out->v, NULL, EVP_sha256(), NULL);
}

/* SHA-256 of the statement whose unprotected header is empty. */
static MAYBE_UNUSED void own_entry(struct bytes statement, struct hash *out)
{
	struct reader r = reader_of(statement);
	struct buf b = buf_make(65536);
	struct item_map m;
	struct item it;
	struct bytes v = {0};
	uint64_t n;

	assert_true(item_tag(&r, &n) && item_array(&r, &n) && item_bytes(&r, &v));
	item_put_tag(&b, 18);
	item_put_array(&b, 4);
	item_put_bytes(&b, v);
	item_put_map(&b, 0);
	assert_true(item_map(&r, &m));
	while (m.left)
		assert_true(item_key(&r, &m, &it) && item_skip(&r, NULL));
	for (int i = 0; i < 2; i++) {
		assert_true(item_bytes(&r, &v));
		item_put_bytes(&b, v);
	}
	own_sha256(buf_view(&b), out);
	buf_free(&b);
}

static const struct hash own_node[3] = {{{1}}, {{2}}, {{3}}};

/* Three steps of a CCF tree: right, left, left. */
static MAYBE_UNUSED void own_ccf(const struct own_receipt *r, const struct hash *entry,
                                 struct buf *proof, struct hash *root)
{
	static const char evidence[] = "ce:2.18:2bed6874";
	static const bool left[3] = {false, true, true};
	struct hash x = {{9}}, ev;
	struct buf b = buf_make(256);

	own_sha256(bytes_str(evidence), &ev);
	buf_bytes(&b, BYTES_OF(x.v));
	buf_bytes(&b, BYTES_OF(ev.v));
	buf_bytes(&b, BYTES_OF(entry->v));
	item_put_map(proof, 2);
	item_put_uint(proof, 1);
	item_put_array(proof, 3);
	item_put_bytes(proof, BYTES_OF(x.v));
	item_put_text(proof, evidence);
	item_put_bytes(proof, r->data ? BYTES_OF(r->data->v) : BYTES_OF(entry->v));
	item_put_uint(proof, 2);
	item_put_array(proof, 3 + r->steps);
	own_sha256(buf_view(&b), root);
	for (uint32_t i = 0; i < 3 + r->steps; i++) {
		item_put_array(proof, 2);
		buf_u8(proof, left[i % 3] ? 0xf5 : 0xf4);
		item_put_bytes(proof, BYTES_OF(own_node[i % 3].v));
		if (i > 2)
			continue;
		buf_reset(&b);
		buf_bytes(&b, left[i] ? BYTES_OF(own_node[i].v) : BYTES_OF(root->v));
		buf_bytes(&b, left[i] ? BYTES_OF(root->v) : BYTES_OF(own_node[i].v));
		own_sha256(buf_view(&b), root);
	}
	buf_free(&b);
}

/* Leaf 5 of 8: left, right, left. Of consistency: 4 to 8, where entry is the root of 4. */
static MAYBE_UNUSED void own_rfc9162(const struct own_receipt *r, const struct hash *entry,
                                     struct buf *proof, struct hash *root)
{
	uint32_t n = r->consistency ? 1 : 3;

	item_put_array(proof, 3);
	item_put_uint(proof, r->size ? r->size : r->consistency ? 4 : 8);
	item_put_uint(proof, r->index ? r->index : r->consistency ? 8 : 5);
	item_put_array(proof, n + r->steps);
	for (uint32_t i = 0; i < n + r->steps; i++)
		item_put_bytes(proof, BYTES_OF(own_node[i % 3].v));
	if (r->consistency) {
		ledger_node_hash(entry, &own_node[0], root);
		return;
	}
	ledger_leaf_hash(BYTES_OF(entry->v), root);
	ledger_node_hash(&own_node[0], root, root);
	ledger_node_hash(root, &own_node[1], root);
	ledger_node_hash(&own_node[2], root, root);
}

static MAYBE_UNUSED void own_receipt_header(const struct own *o, const struct own_receipt *r,
                                            struct own_map *m)
{
	uint64_t vds = r->vds ? r->vds : VDS_CCF;
	char kid[65];
	struct buf *b;

	own_kid(r->kid ? r->kid : o->service, kid);
	item_put_bytes(own_label(m, 4), bytes_str(kid));
	item_put_uint(own_label(m, 395), vds);
	b = own_label(m, 15);
	item_put_map(b, r->issued_at == 1 ? 2 : 3);
	item_put_int(b, 1);
	item_put_text(b, "ledger.example");
	item_put_int(b, 2);
	item_put_text(b, r->subject ? r->subject : "scitt.ccf.signature.v1");
	if (r->issued_at != 1) {
		item_put_int(b, 6);
		item_put_uint(b, r->issued_at ? r->issued_at : OWN_AT);
	}
	if (vds == VDS_CCF) {
		m->n++;
		item_put_text(&m->pairs, "ccf.v1");
		item_put_map(&m->pairs, 1);
		item_put_text(&m->pairs, "txid");
		item_put_text(&m->pairs, "2.19");
	}
	if (r->more)
		own_hex(&m->pairs, r->more);
	m->n += r->more_n;
}

static MAYBE_UNUSED void own_proof(const struct own_receipt *r, struct bytes proof,
                                   struct own_map *m)
{
	struct buf *b = own_label(m, 396);

	if (r->vdp) {
		own_hex(b, r->vdp);
	} else {
		item_put_map(b, 1);
		item_put_int(b, r->consistency ? -2 : -1);
		item_put_array(b, 1);
		item_put_bytes(b, proof);
	}
	if (r->open)
		own_hex(&m->pairs, r->open);
	m->n += r->open_n;
}

/* Appends the receipt of an entry, or of the tree with this root. */
static MAYBE_UNUSED void own_receipt(const struct own *o, const struct own_receipt *r,
                                     const struct hash *entry, struct buf *out)
{
	struct own_map in = {.pairs = buf_make(65536)}, open = {.pairs = buf_make(65536)};
	struct buf header = buf_make(65536), unprotected = buf_make(65536), proof = buf_make(65536);
	struct made_cose c = {.alg = r->alg ? r->alg : COSE_ES256,
	                      .key = r->key ? r->key : o->service,
	                      .detached = !r->attached};
	struct hash root;

	item_put_int(own_label(&in, 1), c.alg);
	own_receipt_header(o, r, &in);
	if (r->vds == VDS_RFC9162)
		own_rfc9162(r, entry, &proof, &root);
	else
		own_ccf(r, entry, &proof, &root);
	own_proof(r, buf_view(&proof), &open);
	c.protected_header = own_map_done(&in, &header);
	c.unprotected = own_map_done(&open, &unprotected);
	c.payload = BYTES_OF(root.v);
	make_cose(&c, out);
	buf_free(&header);
	buf_free(&unprotected);
	buf_free(&proof);
}

/* Appends a statement with receipts of it inside. */
static MAYBE_UNUSED void own_transparent(const struct own *o, const struct own_statement *s,
                                         const struct own_receipt *const *receipts, uint32_t n,
                                         struct buf *out)
{
	struct buf bare = buf_make(65536), one = buf_make(65536);
	struct own_map m = {.pairs = buf_make(1 << 20)};
	struct buf open = buf_make(1 << 20);
	struct hash entry;

	/* ECDSA signs each time anew: what is logged is taken apart from what is sent. */
	own_statement(o, s, BYTES_NONE, &bare);
	if (!s->untagged)
		own_entry(buf_view(&bare), &entry);
	if (n) {
		item_put_array(own_label(&m, 394), n);
		for (uint32_t i = 0; i < n; i++) {
			buf_reset(&one);
			own_receipt(o, receipts[i], &entry, &one);
			item_put_bytes(&m.pairs, buf_view(&one));
		}
	}
	if (s->open)
		own_hex(&m.pairs, s->open);
	m.n += s->open_n;
	(void)own_map_done(&m, &open);
	/* The empty map of the bare one is the byte behind its protected header. */
	{
		struct reader r = reader_of(buf_view(&bare));
		uint64_t k;
		struct bytes v;

		if (!s->untagged)
			assert_true(item_tag(&r, &k));
		assert_true(item_array(&r, &k) && item_bytes(&r, &v) && *r.p == 0xa0);
		buf_put(out, bare.p, (size_t)(r.p - bare.p));
		buf_bytes(out, buf_view(&open));
		buf_put(out, r.p + 1, r.left - 1);
	}
	assert_false(out->bad || bare.bad || one.bad);
	buf_free(&bare);
	buf_free(&one);
	buf_free(&open);
}

#endif
