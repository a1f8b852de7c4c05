/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How evidence lies in a certificate's extension, a scheme at a time: a table, one entry each, and
 * the reader that the entry names. An extension is told by its whole OID and the first octets of
 * its content, never by a prefix of the OID: some OIDs stand for several things. Knows no
 * certificate beyond the key, the names and the dates that a scheme hashes.
 *
 * Sources: CCC "Interoperable RA-TLS" (draft 3); TCG DICE Attestation Architecture 1.1; RFC 9999
 * section 7; Gramine ra_tls.h; Intel SGX SDK sgx_ttls; Open Enclave SDK (files named below); dstack
 * ra-tls; flashbots attested-tls.
 */
#include "attest/ratls_scheme.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include "core/cbor.h"
#include "attest/pki.h"

enum { HASH_LEN = 32, TAG_TEE_QUOTE = 60000, QUOTE_HEAD = 8 };

/* ------------------------------------------------------------------ the evidence */

/* An Intel quote by its head: u16 version, u16 key type, u32 TEE type. */
static enum tee quote_tee(struct bytes quote)
{
	struct reader r = reader_of(quote);
	uint16_t version = rd_le16(&r);
	uint32_t type;

	(void)rd_le16(&r);
	type = rd_le32(&r);
	if (r.bad)
		return TEE_NONE;
	if (type == 0x81 && (version == 4 || version == 5))
		return TEE_TDX;
	return type == 0 && version >= 3 && version <= 5 ? TEE_SGX : TEE_NONE;
}

static const char *take_quote(struct ratls_work *w, struct bytes quote)
{
	w->out->tee = quote_tee(quote);
	w->out->evidence = quote;
	return w->out->tee == TEE_NONE ? "what it holds is no quote" : NULL;
}

/* A DER OCTET STRING with nothing behind it. */
static bool octet_string(struct bytes der, struct bytes *out)
{
	uint8_t tag;

	return pki_tlv(&der, &tag, out) && tag == V_ASN1_OCTET_STRING && !der.n;
}

/* ------------------------------------------------------------------- report data */

/* md(a || b), zeros behind it. */
static bool report_data(struct ratls_work *w, const EVP_MD *md, struct bytes a, struct bytes b)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t *out = w->out->report_data;
	bool ok;

	memset(out, 0, sizeof(w->out->report_data));
	ok = ctx && EVP_DigestInit_ex(ctx, md, NULL) == 1 &&
	     EVP_DigestUpdate(ctx, a.n ? a.p : out, a.n) == 1 &&
	     EVP_DigestUpdate(ctx, b.n ? b.p : out, b.n) == 1 &&
	     EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

bool ratls_sha512(struct ratls_work *w, struct bytes a, struct bytes b)
{
	return report_data(w, EVP_sha512(), a, b);
}

static const char no_memory[] = "out of memory";

static const char *bind_spki_sha256(struct ratls_work *w)
{
	return report_data(w, EVP_sha256(), w->spki, BYTES_NONE) ? NULL : no_memory;
}

/* SHA-256 over the key as PEM text and the NUL that ends it, as mbed TLS and OpenSSL write it. */
static const char *bind_pem(struct ratls_work *w)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const char *wrong = no_memory;
	char *text;
	long n;

	if (bio && PEM_write_bio_PUBKEY(bio, X509_get0_pubkey(w->out->cert)) == 1 &&
	    BIO_write(bio, "", 1) == 1 && (n = BIO_get_mem_data(bio, &text)) > 0 &&
	    report_data(w, EVP_sha256(), (struct bytes){(const uint8_t *)text, (size_t)n},
	                BYTES_NONE))
		wrong = NULL;
	BIO_free(bio);
	return wrong;
}

/* ----------------------------------------------------------------- tagged evidence */

/* The claims that the report data are the hash of. */
struct dice_claims {
	struct bytes key_hash; /* encoded */
	struct bytes nonce;
	bool has_nonce;
};

static bool dice_claims(struct bytes data, struct dice_claims *c)
{
	struct reader r = reader_of(data);
	struct item_map m;
	struct item key;

	if (!item_map(&r, &m))
		return false;
	while (m.left) {
		if (!item_key(&r, &m, &key))
			return false;
		if (item_is_text(&key, "pubkey-hash")) {
			if (!item_bytes(&r, &c->key_hash))
				return false;
		} else if (item_is_text(&key, "nonce")) {
			if (!item_bytes(&r, &c->nonce))
				return false;
			c->has_nonce = true;
		} else if (key.kind != ITEM_TEXT || !item_skip(&r, NULL)) {
			return false;
		}
	}
	return rd_done(&r) && c->key_hash.n;
}

/* [algorithm, hash]: numbers of the IANA registry of named information hashes. */
static const char *key_hash(struct bytes data, struct bytes spki, bool *same)
{
	static const struct {
		uint64_t number;
		const char *name;
	} algorithms[] = {{1, "SHA256"}, {7, "SHA384"}, {8, "SHA512"}};
	struct reader r = reader_of(data);
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	struct bytes v;
	uint64_t count, number;

	if (!item_array(&r, &count) || count != 2 || !item_uint(&r, &number) ||
	    !item_bytes(&r, &v) || !rd_done(&r))
		return "the claim of the key's hash is malformed";
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		if (algorithms[i].number != number)
			continue;
		if (!EVP_Digest(spki.p, spki.n, hash, &n, EVP_get_digestbyname(algorithms[i].name),
		                NULL))
			return no_memory;
		if (v.n != n)
			return "the claim of the key's hash has another length than its algorithm";
		*same = !memcmp(v.p, hash, n);
		return NULL;
	}
	return "the claim of the key's hash is by an algorithm that is not accepted";
}

/*
 * The endorsements that may lie beside, under an OID of their own, in an array of byte strings
 * (and a version): what looks like a certificate, a list or collateral is handed on, and counts as
 * little as any endorsement until it is shown to be signed.
 */
static const char *dice_endorsements(struct ratls_work *w)
{
	struct ratls *out = w->out;
	struct bytes data, v;
	struct reader r;
	struct item it;
	uint64_t count, tag;
	int rc = pki_extension(out->cert, "2.23.133.5.4.2", &data);

	if (rc == -ENOENT)
		return NULL;
	r = reader_of(rc ? BYTES_NONE : data);
	if (rc || !item_tag(&r, &tag) || tag != TAG_TEE_QUOTE || !item_array(&r, &count))
		return "its endorsements are malformed";
	for (uint64_t i = 0; i < count; i++) {
		if (!item_any(&r, &it) || (it.kind != ITEM_BYTES && it.kind != ITEM_UINT))
			return "its endorsements are malformed";
		v = it.content;
		if (v.n && !v.p[v.n - 1]) /* C wrote text with its NUL */
			v.n--;
		if (v.n < 32 || (v.p[0] != 0x30 && v.p[0] != '-' && v.p[0] != '{'))
			continue;
		if (out->endorsements_n == CMW_ENDORSEMENTS_MAX)
			return "too many endorsements";
		out->endorsements[out->endorsements_n++] = v;
	}
	return rd_done(&r) ? NULL : "its endorsements are malformed";
}

static bool is_dice(struct bytes content)
{
	static const uint8_t head[] = {0xd9, 0xea, 0x60};

	return content.n > sizeof(head) && !memcmp(content.p, head, sizeof(head));
}

static const char *read_dice(struct ratls_work *w)
{
	struct reader r = reader_of(w->content);
	struct dice_claims c = {0};
	struct bytes quote, claims;
	const char *wrong;
	uint64_t tag, count;
	bool same = false;

	if (!item_tag(&r, &tag) || tag != TAG_TEE_QUOTE || !item_array(&r, &count) || count != 2 ||
	    !item_bytes(&r, &quote) || !item_bytes(&r, &claims) || !rd_done(&r))
		return "not a tagged pair of quote and claims";
	if (!dice_claims(claims, &c))
		return "malformed claims, or none of the key";
	wrong = key_hash(c.key_hash, w->spki, &same);
	if (!wrong)
		wrong = take_quote(w, quote);
	if (!wrong && !report_data(w, EVP_sha256(), claims, BYTES_NONE))
		wrong = no_memory;
	if (!wrong)
		wrong = dice_endorsements(w);
	if (!same)
		w->not_this_key = "the claims are of another key than this certificate's";
	w->covers_nonce = w->in->nonce.n && c.has_nonce && bytes_equal(c.nonce, w->in->nonce);
	return wrong;
}

void ratls_dice_claims(struct bytes spki, struct bytes nonce, struct buf *out)
{
	struct buf pair = buf_make(64);
	uint8_t hash[HASH_LEN];

	if (!EVP_Digest(spki.p, spki.n, hash, NULL, EVP_sha256(), NULL))
		out->bad = true;
	item_put_array(&pair, 2);
	item_put_uint(&pair, 1);
	item_put_bytes(&pair, BYTES_OF(hash));
	item_put_map(out, nonce.n ? 2 : 1);
	if (nonce.n) {
		item_put_text(out, "nonce");
		item_put_bytes(out, nonce);
	}
	item_put_text(out, "pubkey-hash");
	item_put_bytes(out, buf_view(&pair));
	out->bad |= pair.bad;
	buf_free(&pair);
}

void ratls_dice_content(struct bytes quote, struct bytes claims, struct buf *out)
{
	item_put_tag(out, TAG_TEE_QUOTE);
	item_put_array(out, 2);
	item_put_bytes(out, quote);
	item_put_bytes(out, claims);
}

/* ------------------------------------------------------------- our own collection */

int ratls_cmw_binding(struct bytes spki, struct bytes nonce, uint8_t out[static 64])
{
	static const char tag[] = "keygate certificate binding v1";
	struct {
		char tag[32];
		uint8_t kind;
		uint8_t spki[HASH_LEN];
		uint8_t nonce[HASH_LEN];
	} in = {.kind = nonce.n ? 2 : 1};

	_Static_assert(sizeof(in) == 97, "bytes only: no padding may be hashed");
	_Static_assert(sizeof(tag) <= sizeof(in.tag), "the tag has its NULs");
	memcpy(in.tag, tag, sizeof(tag));
	if (!EVP_Digest(spki.p, spki.n, in.spki, NULL, EVP_sha256(), NULL) ||
	    !EVP_Digest(nonce.n ? nonce.p : in.spki, nonce.n, in.nonce, NULL, EVP_sha256(), NULL) ||
	    !EVP_Digest(&in, sizeof(in), out, NULL, EVP_sha512(), NULL))
		return -ENOMEM;
	return 0;
}

static const char *take_collection(struct ratls_work *w, struct bytes data)
{
	struct ratls *out = w->out;
	struct cmw c;

	if (cmw_parse(data, false, &c))
		return "not a collection of this one form";
	out->tee = attest_tee_from_media_type(c.evidence_type);
	if (!attest_is_peer(out->tee))
		return "evidence of a media type that no server's key is tied to";
	out->evidence = c.evidence;
	out->endorsements_n = c.endorsements_n;
	memcpy(out->endorsements, c.endorsements, sizeof(out->endorsements));
	out->leaf = c.leaf;
	out->proof = c.proof;
	out->bundle = c.bundle;
	out->statement = c.statement;
	w->covers_nonce = w->in->nonce.n > 0;
	return ratls_cmw_binding(w->spki, w->in->nonce, out->report_data) ? no_memory : NULL;
}

/* A CBOR map. */
static bool is_bare_collection(struct bytes content)
{
	return content.n && content.p[0] >> 5 == 5;
}

static const char *read_bare_collection(struct ratls_work *w)
{
	return take_collection(w, w->content);
}

/* RFC 9999: a CHOICE of UTF8String (JSON) and OCTET STRING (CBOR). */
static bool is_cmw(struct bytes content)
{
	return content.n &&
	       (content.p[0] == V_ASN1_OCTET_STRING || content.p[0] == V_ASN1_UTF8STRING);
}

static const char *read_cmw(struct ratls_work *w)
{
	struct bytes data;

	if (w->content.p[0] == V_ASN1_UTF8STRING)
		return "a wrapper in JSON; only the CBOR form is read";
	return octet_string(w->content, &data) ? take_collection(w, data)
	                                       : "not one OCTET STRING in DER";
}

/* ---------------------------------------------------------------------- raw quotes */

static bool is_quote(struct bytes content)
{
	return content.n > QUOTE_HEAD && quote_tee(content) != TEE_NONE;
}

static const char *read_gramine(struct ratls_work *w)
{
	const char *wrong = take_quote(w, w->content);

	return wrong ? wrong : bind_spki_sha256(w);
}

static const char *read_sgx_sdk(struct ratls_work *w)
{
	const char *wrong = take_quote(w, w->content);

	return wrong ? wrong : bind_pem(w);
}

/* -------------------------------------------------------------------- Open Enclave */

/*
 * include/openenclave/internal/report.h, common/sgx/tlsverifier.c: a report is u32 version 1, u32
 * type 2 (remote), u64 length, quote; its report data are the hash of the key's text.
 *
 * common/attest_plugin.h, enclave/tls_cert.c, include/openenclave/attestation/sgx/evidence.h:
 * evidence is u32 version 3, 16 octets that name the format, u64 length, quote, claims; the report
 * data are the hash of the claims, and those are the key's text. The header is a struct of C in
 * which the length is aligned, so that it has 32 octets. No endorsements follow. All is in little
 * endian.
 */
static bool is_open_enclave(struct bytes content)
{
	static const uint8_t head[] = {1, 0, 0, 0, 2, 0, 0, 0};

	return content.n > sizeof(head) && !memcmp(content.p, head, sizeof(head));
}

static const char *read_open_enclave(struct ratls_work *w)
{
	struct reader r = reader_of(w->content);
	const char *wrong;
	uint64_t n;

	(void)rd_le64(&r);
	n = rd_le64(&r);
	if (r.bad || n != r.left)
		return "a header whose length is not that of what follows";
	wrong = take_quote(w, rd_take(&r, r.left));
	return wrong ? wrong : bind_pem(w);
}

enum {
	OE_EVIDENCE_VERSION = 3, /* 2 had a report in it, and Open Enclave reads it no longer */
	OE_QUOTE_VERSION = 3,
	OE_QUOTE_SIGNED = 432, /* of a quote of this version: the length of its signature follows */
};

/* Nothing else is known under these OIDs: whatever is there, its reader says what is wrong. */
static bool is_oe_evidence(struct bytes content)
{
	return content.n > 0;
}

/* What is behind the header: a quote, as long as it says, and the claims. */
static const char *oe_split(struct bytes data, struct bytes *quote, struct bytes *claims)
{
	struct reader r = reader_of(data);
	struct reader head = reader_of(rd_take(&r, OE_QUOTE_SIGNED));

	(void)rd_take(&r, rd_le32(&r));
	if (r.bad)
		return "a quote that is cut short";
	if (rd_le16(&head) != OE_QUOTE_VERSION)
		return "a quote of another version than 3";
	*quote = (struct bytes){data.p, data.n - r.left};
	*claims = rd_take(&r, r.left);
	return NULL;
}

static const char *take_oe_evidence(struct ratls_work *w, struct bytes data)
{
	struct bytes quote, claims;
	uint8_t hash[HASH_LEN];
	const char *wrong = oe_split(data, &quote, &claims);

	if (!wrong)
		wrong = take_quote(w, quote);
	if (!wrong)
		wrong = bind_pem(w);
	if (!wrong && !EVP_Digest(claims.p, claims.n, hash, NULL, EVP_sha256(), NULL))
		wrong = no_memory;
	if (!wrong && memcmp(hash, w->out->report_data, sizeof(hash)))
		w->not_this_key = "the claims are not this certificate's key";
	return wrong;
}

static const char *read_oe_evidence(struct ratls_work *w)
{
	static const uint8_t sgx_ecdsa[] = {0xa3, 0xa2, 0x1e, 0x87, 0x1b, 0x4d, 0x40, 0x14,
	                                    0xb7, 0x0a, 0xa1, 0x25, 0xd2, 0xfb, 0xcd, 0x8c};
	struct reader r = reader_of(w->content);
	uint32_t version = rd_le32(&r);
	struct bytes format = rd_take(&r, sizeof(sgx_ecdsa));
	uint64_t n;

	(void)rd_le32(&r); /* what C left for alignment: anything */
	n = rd_le64(&r);
	if (r.bad)
		return "a header that is cut short";
	if (version != OE_EVIDENCE_VERSION)
		return "a header of another version than 3";
	if (!bytes_equal(format, BYTES_OF(sgx_ecdsa)))
		return "evidence of another format than SGX ECDSA, the only one that is read";
	if (n != r.left)
		return "a header whose length is not that of what follows";
	return take_oe_evidence(w, rd_take(&r, r.left));
}

/* --------------------------------------------------------------- dstack, flashbots */

static bool octet_string_of(struct bytes content, bool json)
{
	struct bytes v;

	return octet_string(content, &v) && v.n && (v.p[0] == '{') == json;
}

static bool is_dstack(struct bytes content)
{
	return octet_string_of(content, false);
}

static const char *bind_dstack(struct ratls_work *w)
{
	return ratls_sha512(w, bytes_str("ratls-cert:"), w->spki) ? NULL : no_memory;
}

static const char *read_dstack(struct ratls_work *w)
{
	const char *wrong;
	struct bytes quote;

	if (!octet_string(w->content, &quote))
		return "not one OCTET STRING in DER";
	wrong = take_quote(w, quote);
	return wrong ? wrong : bind_dstack(w);
}

static bool is_octets(struct bytes content)
{
	return content.n && content.p[0] == V_ASN1_OCTET_STRING;
}

static const char *read_dstack_attestation(struct ratls_work *w)
{
	const char *wrong;
	struct bytes data;

	if (!octet_string(w->content, &data))
		return "not one OCTET STRING in DER";
	wrong = ratls_dstack_attestation(data, w->out);
	if (!wrong && w->out->tee == TEE_TDX && quote_tee(w->out->evidence) != TEE_TDX)
		wrong = "what it holds is no TDX quote";
	return wrong ? wrong : bind_dstack(w);
}

static bool is_flashbots(struct bytes content)
{
	return octet_string_of(content, true);
}

/* The quote as an array of numbers, a byte each. */
static bool json_octets(const json_t *array, struct buf *out)
{
	size_t n = json_array_size(array);

	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_array_get(array, i);
		json_int_t byte = json_integer_value(v);

		if (!json_is_integer(v) || byte < 0 || byte > 255)
			return false;
		buf_u8(out, (uint8_t)byte);
	}
	return n && !out->bad;
}

/* SHA-512(SPKI || notBefore || notAfter || common name), times as u64 in big endian. */
static bool bind_flashbots(struct ratls_work *w)
{
	struct buf rest = buf_make(256);
	int64_t from, to;
	char name[64];
	bool ok = false;

	if (!pki_time(X509_get0_notBefore(w->out->cert), &from) && from >= 0 &&
	    !pki_time(X509_get0_notAfter(w->out->cert), &to) && to >= 0 &&
	    !pki_common_name(w->out->cert, name, sizeof(name))) {
		buf_be64(&rest, (uint64_t)from);
		buf_be64(&rest, (uint64_t)to);
		buf_str(&rest, name);
		ok = !rest.bad && ratls_sha512(w, w->spki, buf_view(&rest));
	}
	buf_free(&rest);
	return ok;
}

static const char *read_flashbots(struct ratls_work *w)
{
	/* The ones whose evidence is the quote alone. */
	static const char *const types[] = {"dcap-tdx", "gcp-tdx", "qemu-tdx"};
	const char *type, *wrong = "a type of evidence that this build does not read";
	struct bytes text;
	json_t *doc;

	if (!octet_string(w->content, &text))
		return "not one OCTET STRING in DER";
	doc = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	type = json_string_value(json_object_get(doc, "attestation_type"));
	if (!doc || !type || json_object_size(doc) != 2) {
		json_decref(doc);
		return "not a JSON object of type and evidence";
	}
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(type, types[i]))
			wrong = NULL;
	if (!wrong && !json_octets(json_object_get(doc, "attestation"), &w->out->decoded))
		wrong = "the evidence is not an array of bytes";
	json_decref(doc);
	if (!wrong)
		wrong = take_quote(w, buf_view(&w->out->decoded));
	if (!wrong && !bind_flashbots(w))
		wrong = "its name or dates can't be hashed";
	return wrong;
}

/* ------------------------------------------------------------------------- the table */

/* A field with a length: the first of a protobuf message. */
static bool is_message(struct bytes content)
{
	return content.n > 2 && content.p[0] == 0x0a;
}

#define OID(...) .oid = {__VA_ARGS__}, .oid_n = sizeof((uint8_t[]){__VA_ARGS__})

static const struct ratls_scheme schemes[] = {
        {"dice", OID(0x67, 0x81, 0x05, 0x05, 0x04, 0x09), .is = is_dice, .read = read_dice},
        {"cmw", OID(0x67, 0x81, 0x05, 0x05, 0x04, 0x09), .is = is_bare_collection,
         .read = read_bare_collection},
        {"cmw", OID(0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x23), .is = is_cmw,
         .read = read_cmw},
        /* 1.2.840.113741.1337.6 with tag and length of its own, as Gramine has it. */
        {"gramine", OID(0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x8a, 0x39, 0x06),
         .legacy = true, .is = is_quote, .read = read_gramine},
        /* Also that of the SGX extension of PCK certificates, which begins like a SEQUENCE. */
        {"sgx-sdk", OID(0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01), .is = is_quote,
         .read = read_sgx_sdk},
        {"open-enclave", OID(0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x69, 0x01),
         .is = is_open_enclave, .read = read_open_enclave},
        {"open-enclave", OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x14, 0x0a, 0x01, 0x01),
         .is = is_open_enclave, .read = read_open_enclave},
        {"open-enclave-evidence", OID(0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x69, 0x02),
         .is = is_oe_evidence, .read = read_oe_evidence},
        {"open-enclave-evidence", OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x14, 0x0a, 0x01, 0x02),
         .is = is_oe_evidence, .read = read_oe_evidence},
        {"dstack", OID(0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xe7, 0x3d, 0x01, 0x01), .is = is_dstack,
         .read = read_dstack},
        {"dstack", OID(0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xe7, 0x3d, 0x01, 0x08), .is = is_octets,
         .read = read_dstack_attestation},
        {"flashbots", OID(0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xe7, 0x3d, 0x01, 0x01),
         .is = is_flashbots, .read = read_flashbots},
        {"contrast", OID(0x2b, 0xcd, 0x2d, 0x02, 0x01), .is = is_message,
         .read = ratls_contrast_snp},
        {"contrast", OID(0x2b, 0xcd, 0x2d, 0x02, 0x02), .is = is_message,
         .read = ratls_contrast_tdx},
};

const struct ratls_scheme *ratls_scheme_of(struct bytes oid, struct bytes content)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (bytes_equal(oid, (struct bytes){schemes[i].oid, schemes[i].oid_n}) &&
		    schemes[i].is(content))
			return &schemes[i];
	return NULL;
}
