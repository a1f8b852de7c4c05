/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents as the other side makes them, in the forms that wellknown.c reads: the TLS key is the
 * one thing that they vouch for, and no device stands behind it.
 */
#include "attest/wellknown.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include "attest/pki.h"
#include "attest/snp.h"
#include "attest/wellknown_form.h"

enum { HASH_LEN = WELLKNOWN_HASH_LEN, GZIP = 16, MEMORY_LEVEL = 8 };

static const struct wellknown_platform *platform_of(enum tee tee)
{
	for (size_t i = 0; i < WELLKNOWN_PLATFORMS; i++)
		if (wellknown_platform[i].tee == tee)
			return &wellknown_platform[i];
	return NULL;
}

/* --------------------------------------------------------------------- pieces */

static json_t *hex_string(struct bytes v)
{
	char text[2 * 64 + 1];

	hex_encode((struct bytes){v.p, v.n < 64 ? v.n : 64}, text);
	return json_string(text);
}

/* NULL: out of memory. */
static json_t *base64_string(struct bytes v)
{
	char *text = malloc(base64_encoded_len(v.n) + 1);
	json_t *s = NULL;

	if (text) {
		base64_encode(v, text);
		s = json_string(text);
	}
	free(text);
	return s;
}

/* Takes doc, which may be NULL. 0 or -ENOMEM. */
static int put_json(json_t *doc, struct buf *out)
{
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	bool ok = text;

	if (ok)
		buf_str(out, text);
	free(text);
	json_decref(doc);
	return ok && !out->bad ? 0 : -ENOMEM;
}

static int gzip(struct bytes in, struct buf *out)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
	uint8_t *p = NULL;
	bool ok = false;
	uLong room;

	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + GZIP, MEMORY_LEVEL,
	                 Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	room = deflateBound(&z, in.n);
	p = malloc(room);
	if (p) {
		z.next_out = p;
		z.avail_out = (uInt)room;
		ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
		buf_put(out, p, room - z.avail_out);
	}
	(void)deflateEnd(&z);
	free(p);
	return ok && !out->bad ? 0 : -ENOMEM;
}

/* ------------------------------------------------------------------- sections */

/* What the third version's report data cover beside the nonce. */
struct sections {
	struct buf material, devices;
	uint8_t material_hash[HASH_LEN], devices_hash[HASH_LEN];
};

static void sections_free(struct sections *s)
{
	buf_free(&s->material);
	buf_free(&s->devices);
}

/* sections_free in any case. */
static int sections_make(const uint8_t spki_sha256[static HASH_LEN], struct sections *s)
{
	const struct bytes key = {spki_sha256, HASH_LEN};
	int ret;

	*s = (struct sections){.material = buf_make(1024), .devices = buf_make(1024)};
	ret = put_json(json_pack("{s:s, s:[{s:s, s:s, s:o}]}", "format", WELLKNOWN_MATERIAL,
	                         "items", "id", "tls", "format", WELLKNOWN_KEY, "data",
	                         hex_string(key)),
	               &s->material);
	if (!ret)
		ret = put_json(json_pack("{s:s, s:[]}", "format", WELLKNOWN_DEVICES, "items"),
		               &s->devices);
	if (!ret &&
	    (!EVP_Digest(s->material.p, s->material.n, s->material_hash, NULL, EVP_sha256(),
	                 NULL) ||
	     !EVP_Digest(s->devices.p, s->devices.n, s->devices_hash, NULL, EVP_sha256(), NULL)))
		ret = -ENOMEM;
	return ret;
}

int wellknown_binding(const uint8_t spki_sha256[static 32], struct bytes nonce,
                      uint8_t out[static 64])
{
	struct sections s;
	int ret = 0;

	if (nonce.n && nonce.n != WELLKNOWN_NONCE_LEN)
		return -EINVAL;
	if (!nonce.n) {
		memset(out, 0, 64);
		memcpy(out, spki_sha256, HASH_LEN);
		return 0;
	}
	ret = sections_make(spki_sha256, &s);
	if (!ret && !wellknown_v3_report_data(nonce.p, s.material_hash, s.devices_hash, out))
		ret = -ENOMEM;
	sections_free(&s);
	return ret;
}

/* ----------------------------------------------------------------- collateral */

static json_t *pem_string(const struct pki_bag *bag, const X509 *but)
{
	BIO *mem = BIO_new(BIO_s_mem());
	json_t *s = NULL;
	char *text;
	long n;

	for (uint32_t i = 0; mem && i < bag->certs; i++)
		if (bag->cert[i] != but && PEM_write_bio_X509(mem, bag->cert[i]) != 1) {
			BIO_free(mem);
			mem = NULL;
		}
	n = mem ? BIO_get_mem_data(mem, &text) : 0;
	if (n > 0)
		s = json_stringn(text, (size_t)n);
	BIO_free(mem);
	return s;
}

static json_t *der_string(uint8_t *der, int n)
{
	json_t *s = n > 0 ? base64_string((struct bytes){der, (size_t)n}) : NULL;

	OPENSSL_free(der);
	return s;
}

static bool is_vek(const X509 *cert)
{
	char cn[32];

	return !pki_common_name(cert, cn, sizeof(cn)) &&
	       (!strcmp(cn, SNP_CN_VCEK) || !strcmp(cn, SNP_CN_VLEK));
}

/* Takes data. */
static int add_entry(json_t *entries, const char *id, const char *format, json_t *data)
{
	return json_array_append_new(entries, json_pack("{s:s, s:s, s:s, s:[s], s:o}", "id", id,
	                                                "role", "endorsement", "format", format,
	                                                "subjects", "cpu", "data", data))
	               ? -ENOMEM
	               : 0;
}

/* Of AMD's certificates: the chip's in DER, those above it as one PEM text; a list in DER. */
static int add_amd(const struct pki_bag *bag, json_t *entries)
{
	const X509 *vek = NULL;
	uint8_t *der = NULL;
	json_t *data;
	int ret = 0, n;

	for (uint32_t i = 0; i < bag->certs && !vek; i++)
		if (is_vek(bag->cert[i]))
			vek = bag->cert[i];
	if (vek) {
		n = i2d_X509(vek, &der);
		data = json_pack("{s:o*, s:o*}", "vcek_der_base64", der_string(der, n),
		                 "cert_chain_pem", pem_string(bag, vek));
		ret = add_entry(entries, "amd-vcek", WELLKNOWN_AMD_VCEK, data);
	}
	if (!ret && bag->crls) {
		der = NULL;
		n = i2d_X509_CRL(bag->crl[0], &der);
		data = json_pack("{s:o}", "crl_der_base64", der_string(der, n));
		ret = add_entry(entries, "amd-crl", WELLKNOWN_AMD_CRL, data);
	}
	return ret;
}

/* What can't be read is left out: it is only help. */
static void bag_piece(struct pki_bag *bag, struct bytes piece)
{
	struct snp_table table;

	if (!attest_snp_is_table(piece)) {
		(void)pki_bag_add(bag, piece);
		return;
	}
	if (attest_snp_table(piece, &table))
		return;
	for (uint32_t i = 0; i < table.n; i++)
		(void)pki_bag_add(bag, table.v[i].content);
}

/* NULL: out of memory. */
static json_t *collateral_of(enum tee tee, const struct bytes *endorsements, uint32_t n)
{
	json_t *entries = json_array();
	struct pki_bag bag = {0};

	ERR_set_mark();
	for (uint32_t i = 0; i < n && tee == TEE_SNP; i++)
		bag_piece(&bag, endorsements[i]);
	if (entries && add_amd(&bag, entries)) {
		json_decref(entries);
		entries = NULL;
	}
	ERR_pop_to_mark();
	pki_bag_free(&bag);
	return entries;
}

/* ------------------------------------------------------------------------ whole */

static int build_v2(const struct wellknown_platform *is, struct bytes evidence, struct buf *out)
{
	struct buf gz = buf_make((size_t)2 * WELLKNOWN_EVIDENCE_MAX);
	int ret = gzip(evidence, &gz);

	if (!ret)
		ret = put_json(json_pack("{s:s, s:o}", "format", is->v2, "body",
		                         base64_string(buf_view(&gz))),
		               out);
	buf_free(&gz);
	return ret;
}

static int build_v3(const struct wellknown_platform *is, const uint8_t spki_sha256[static 32],
                    struct bytes nonce, struct bytes evidence, json_t *collateral, struct buf *out)
{
	struct sections s;
	uint8_t report_data[64];
	json_t *doc = NULL;
	int ret = sections_make(spki_sha256, &s);

	if (!ret)
		ret = wellknown_binding(spki_sha256, nonce, report_data);
	if (ret) {
		json_decref(collateral);
		sections_free(&s);
		return ret;
	}
	doc = json_pack("{s:s, s:{s:o, s:o, s:s}, s:{s:s, s:o, s:{s:o, s:o}}, s:o, s:o, s:o}",
	                "format", WELLKNOWN_V3, "challenge", "nonce", hex_string(nonce),
	                "report_data", hex_string(BYTES_OF(report_data)), "report_data_algorithm",
	                WELLKNOWN_ALGORITHM, "cpu_evidence", "format", is->v3, "report_base64",
	                base64_string(evidence), "endorsed", "crypto_material_hash",
	                hex_string(BYTES_OF(s.material_hash)), "device_evidence_hash",
	                hex_string(BYTES_OF(s.devices_hash)), "crypto_material",
	                base64_string(buf_view(&s.material)), "device_evidence",
	                base64_string(buf_view(&s.devices)), "collateral", collateral);
	sections_free(&s);
	return put_json(doc, out);
}

int wellknown_build(const uint8_t spki_sha256[static 32], struct bytes nonce, enum tee tee,
                    struct bytes evidence, const struct bytes *endorsements, uint32_t n,
                    struct buf *out)
{
	const struct wellknown_platform *is = platform_of(tee);

	if (!is)
		return -ENOTSUP;
	if (!evidence.n || evidence.n > WELLKNOWN_EVIDENCE_MAX)
		return -EINVAL;
	return nonce.n ? build_v3(is, spki_sha256, nonce, evidence,
	                          collateral_of(tee, endorsements, n), out)
	               : build_v2(is, evidence, out);
}
