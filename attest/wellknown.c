/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tinfoil's attestation documents, read strictly: every member known and there once, base64 and hex
 * in their one form, compressed bytes that end where they say and grow to no more than evidence may
 * be. Knows no platform beyond where its evidence has the report data.
 */
#include "attest/wellknown.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <zlib.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include "attest/intel.h"
#include "attest/snp.h"
#include "attest/wellknown_form.h"

enum { HASH_LEN = WELLKNOWN_HASH_LEN, GZIP = 16, MATERIAL_MAX = 64 };

struct work {
	const struct wellknown_input *in;
	struct wellknown *out;
	/* Of the key that the document speaks of. */
	uint8_t key[HASH_LEN];
	bool has_nonce; /* its form does */
	bool covers_nonce;
};

const struct wellknown_platform wellknown_platform[WELLKNOWN_PLATFORMS] = {
        {TEE_SNP, "https://tinfoil.sh/predicate/sev-snp-guest/v2",
         "https://tinfoil.sh/format/sev-snp-report/v1"},
        {TEE_TDX, "https://tinfoil.sh/predicate/tdx-guest/v2",
         "https://tinfoil.sh/format/tdx-quote/v1"},
};

/* ---------------------------------------------------------------------- members */

/* A text member without a NUL in it; NULL if there is none. */
static const char *text(const json_t *object, const char *name)
{
	const json_t *v = json_object_get(object, name);
	const char *s = json_string_value(v);

	return s && strlen(s) == json_string_length(v) ? s : NULL;
}

/* The objects of these formats have exactly so many members. */
static bool has(const json_t *object, size_t members)
{
	return json_is_object(object) && json_object_size(object) == members;
}

static bool hex_member(const json_t *object, const char *name, uint8_t *out, size_t n)
{
	const char *s = text(object, name);

	return s && !s[strcspn(s, "ABCDEF")] && !hex_decode(bytes_str(s), out, n);
}

/* Into an empty buffer. */
static bool base64_text(const char *s, struct buf *out)
{
	size_t n = s ? strlen(s) : 0;
	uint8_t *p;
	int len;

	if (!n || n / 4 * 3 > out->max + 3)
		return false;
	p = OPENSSL_malloc(n / 4 * 3 + 3);
	if (!p)
		return false;
	len = base64_decode(bytes_str(s), p, n / 4 * 3 + 3);
	if (len > 0)
		buf_put(out, p, (size_t)len);
	OPENSSL_free(p);
	return len > 0 && !out->bad;
}

/* One gzip stream and nothing behind it, to at most WELLKNOWN_EVIDENCE_MAX octets. */
static bool gunzip(struct bytes in, struct buf *out)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
	uint8_t *p = OPENSSL_malloc(WELLKNOWN_EVIDENCE_MAX);
	bool ok = false;

	if (p && inflateInit2(&z, MAX_WBITS + GZIP) == Z_OK) {
		z.next_out = p;
		z.avail_out = WELLKNOWN_EVIDENCE_MAX;
		ok = inflate(&z, Z_FINISH) == Z_STREAM_END && !z.avail_in;
		buf_put(out, p, WELLKNOWN_EVIDENCE_MAX - z.avail_out);
		(void)inflateEnd(&z);
	}
	OPENSSL_free(p);
	return ok && out->n && !out->bad;
}

/* --------------------------------------------------------------------- evidence */

/* Where unverified evidence has its report data, to know what the rest of them is. */
static const uint8_t *report_data_of(enum tee tee, struct bytes evidence)
{
	size_t at = SNP_OFF_REPORT_DATA;

	if (tee == TEE_TDX) {
		struct reader r = reader_of(evidence);

		at = INTEL_HEADER_LEN + TDX_OFF_REPORT_DATA;
		if (rd_le16(&r) == INTEL_V5)
			at += INTEL_BODY_HEADER_LEN;
	}
	return evidence.n >= at + 64 ? evidence.p + at : NULL;
}

static const char *of_v2(struct work *w, const json_t *doc)
{
	struct wellknown *out = w->out;
	const char *format = text(doc, "format");
	const uint8_t *bears;

	for (size_t i = 0; i < WELLKNOWN_PLATFORMS; i++)
		if (!strcmp(format, wellknown_platform[i].v2))
			out->tee = wellknown_platform[i].tee;
	if (out->tee == TEE_NONE)
		return "a format that this build does not read";
	out->scheme = "tinfoil-v2";
	if (!has(doc, 2) || !base64_text(text(doc, "body"), &out->part[1]) ||
	    !gunzip(buf_view(&out->part[1]), &out->part[0]))
		return "a body that is not gzip in base64, of at most 32 KiB";
	out->evidence = buf_view(&out->part[0]);
	bears = report_data_of(out->tee, out->evidence);
	if (!bears)
		return "evidence that is cut short";
	memcpy(w->key, bears, HASH_LEN);
	/* The second half is the enclave's other key, which the evidence alone names. */
	memcpy(out->report_data, bears, sizeof(out->report_data));
	if (w->in->spki_sha256)
		memcpy(out->report_data, w->in->spki_sha256, HASH_LEN);
	return NULL;
}

/* ------------------------------------------------------------ the third version */

static bool section_hash(const json_t *doc, const char *name, const json_t *endorsed,
                         const char *hash_name, struct buf *out, uint8_t hash[static HASH_LEN])
{
	uint8_t said[HASH_LEN];

	return base64_text(text(doc, name), out) &&
	       EVP_Digest(out->p, out->n, hash, NULL, EVP_sha256(), NULL) &&
	       hex_member(endorsed, hash_name, said, sizeof(said)) && !memcmp(said, hash, HASH_LEN);
}

/* The one item that is the TLS key's fingerprint. */
static bool material_key(struct bytes section, uint8_t key[static HASH_LEN])
{
	json_t *doc = json_loadb((const char *)section.p, section.n, JSON_REJECT_DUPLICATES, NULL);
	const char *format = text(doc, "format"), *id, *kind;
	const json_t *items = json_object_get(doc, "items");
	unsigned found = 0;
	bool ok = has(doc, 2) && format && !strcmp(format, WELLKNOWN_MATERIAL) &&
	          json_is_array(items) && json_array_size(items) <= MATERIAL_MAX;

	for (size_t i = 0; ok && i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);

		id = text(item, "id");
		kind = text(item, "format");
		ok = has(item, 3) && id && kind && text(item, "data");
		if (!ok || strcmp(id, "tls"))
			continue;
		found++;
		ok = !strcmp(kind, WELLKNOWN_KEY) && hex_member(item, "data", key, HASH_LEN);
	}
	json_decref(doc);
	return ok && found == 1;
}

/* AMD's certificates and list, where the server sends them along; the rest is passed over. */
static bool take_collateral(struct wellknown *out, const json_t *entries)
{
	static const struct {
		const char *format, *member;
		bool pem;
	} known[] = {
	        {WELLKNOWN_AMD_VCEK, "vcek_der_base64", false},
	        {WELLKNOWN_AMD_VCEK, "cert_chain_pem", true},
	        {WELLKNOWN_AMD_CRL, "crl_der_base64", false},
	};

	if (!json_is_array(entries))
		return false;
	for (size_t i = 0; i < json_array_size(entries); i++) {
		const json_t *entry = json_array_get(entries, i);
		const char *format = text(entry, "format");

		if (!format)
			return false;
		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
			const char *s = text(json_object_get(entry, "data"), known[k].member);
			struct buf *to = &out->part[1 + out->endorsements_n];

			if (strcmp(format, known[k].format) || !s)
				continue;
			if (out->endorsements_n == WELLKNOWN_PARTS_MAX)
				return false;
			if (known[k].pem)
				buf_str(to, s);
			else if (!base64_text(s, to))
				return false;
			if (to->bad)
				return false;
			out->endorsements[out->endorsements_n++] = buf_view(to);
		}
	}
	return true;
}

bool wellknown_v3_report_data(const uint8_t nonce[static HASH_LEN],
                              const uint8_t material[static HASH_LEN],
                              const uint8_t devices[static HASH_LEN], uint8_t out[static 64])
{
	uint8_t all[sizeof(WELLKNOWN_ALGORITHM) - 1 + 3 * (size_t)HASH_LEN], *p = all;

	memcpy(p, WELLKNOWN_ALGORITHM, sizeof(WELLKNOWN_ALGORITHM) - 1);
	p += sizeof(WELLKNOWN_ALGORITHM) - 1;
	memcpy(p, nonce, HASH_LEN);
	memcpy(p + HASH_LEN, material, HASH_LEN);
	memcpy(p + 2 * (size_t)HASH_LEN, devices, HASH_LEN);
	memset(out, 0, 64);
	return EVP_Digest(all, sizeof(all), out, NULL, EVP_sha256(), NULL);
}

static const char *of_v3(struct work *w, const json_t *doc)
{
	const json_t *challenge = json_object_get(doc, "challenge");
	const json_t *cpu = json_object_get(doc, "cpu_evidence");
	const json_t *endorsed = json_object_get(cpu, "endorsed");
	const char *algorithm = text(challenge, "report_data_algorithm");
	const char *format = text(cpu, "format");
	uint8_t nonce[HASH_LEN], material[HASH_LEN], devices[HASH_LEN], said[64];
	struct buf cm = buf_make(WELLKNOWN_BODY_MAX), de = buf_make(WELLKNOWN_BODY_MAX);
	struct wellknown *out = w->out;
	const char *wrong = NULL;

	out->scheme = "tinfoil-v3";
	w->has_nonce = true;
	for (size_t i = 0; format && i < WELLKNOWN_PLATFORMS; i++)
		if (!strcmp(format, wellknown_platform[i].v3))
			out->tee = wellknown_platform[i].tee;
	if (!has(doc, 6) || !has(challenge, 3) || !has(cpu, 3) || !has(endorsed, 2) ||
	    out->tee == TEE_NONE)
		wrong = "members that are missing or not known, or another platform";
	else if (!algorithm || strcmp(algorithm, WELLKNOWN_ALGORITHM) ||
	         !hex_member(challenge, "nonce", nonce, sizeof(nonce)) ||
	         !hex_member(challenge, "report_data", said, sizeof(said)))
		wrong = "a malformed challenge";
	else if (!section_hash(doc, "crypto_material", endorsed, "crypto_material_hash", &cm,
	                       material) ||
	         !section_hash(doc, "device_evidence", endorsed, "device_evidence_hash", &de,
	                       devices))
		wrong = "a section that is not base64, or not of its hash";
	else if (!material_key(buf_view(&cm), w->key))
		wrong = "the material names no TLS key, or several";
	else if (!wellknown_v3_report_data(nonce, material, devices, out->report_data) ||
	         memcmp(out->report_data, said, sizeof(said)))
		wrong = "the report data are not those of its parts";
	else if (!base64_text(text(cpu, "report_base64"), &out->part[0]) ||
	         !report_data_of(out->tee, buf_view(&out->part[0])))
		wrong = "evidence that is not base64, or cut short";
	else if (!take_collateral(out, json_object_get(doc, "collateral")))
		wrong = "malformed collateral";
	out->evidence = buf_view(&out->part[0]);
	w->covers_nonce = !wrong && w->in->nonce.n == sizeof(nonce) &&
	                  !memcmp(nonce, w->in->nonce.p, sizeof(nonce));
	buf_free(&cm);
	buf_free(&de);
	return wrong;
}

/* ------------------------------------------------------------------------ whole */

static const char *read_document(struct work *w)
{
	struct bytes body = w->in->body;
	const char *format, *wrong;
	json_t *doc;

	if (!body.n || body.n > WELLKNOWN_BODY_MAX)
		return "no document, or one of more than 1 MiB";
	doc = json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	format = text(doc, "format");
	if (!format)
		wrong = "not a JSON object that names its format";
	else if (!strcmp(format, WELLKNOWN_V3))
		wrong = of_v3(w, doc);
	else
		wrong = of_v2(w, doc);
	json_decref(doc);
	return wrong;
}

static void check_binding(const struct work *w, struct checks *checks)
{
	if (!w->in->spki_sha256)
		check_add(checks, "wellknown.key-binding", CHECK_UNAVAILABLE,
		          "the server's TLS key was not named");
	else if (memcmp(w->key, w->in->spki_sha256, HASH_LEN))
		check_add(checks, "wellknown.key-binding", CHECK_FAIL,
		          "the evidence is of another key than the server's");
	else
		check_add(checks, "wellknown.key-binding", CHECK_PASS,
		          "the document names the server's key (%s)", w->out->scheme);
	if (!w->in->nonce.n)
		return;
	if (!w->has_nonce && w->in->nonce_may_lack) {
		check_add(checks, "wellknown.nonce", CHECK_SKIP,
		          "%s has none: the evidence may be old", w->out->scheme);
		return;
	}
	check_add(checks, "wellknown.nonce", w->covers_nonce ? CHECK_PASS : CHECK_FAIL, "%s",
	          w->covers_nonce ? "the report data cover this nonce"
	                          : "nothing in the document covers the nonce: it may be old");
}

int wellknown_open(const struct wellknown_input *in, struct wellknown *out, struct checks *checks)
{
	struct work w = {.in = in, .out = out};
	const char *wrong;

	*out = (struct wellknown){.scheme = ""};
	out->part[0] = buf_make(WELLKNOWN_EVIDENCE_MAX);
	for (size_t i = 1; i <= WELLKNOWN_PARTS_MAX; i++)
		out->part[i] = buf_make(WELLKNOWN_EVIDENCE_MAX);
	wrong = read_document(&w);
	if (wrong) {
		check_add(checks, "wellknown.format", CHECK_FAIL, "%s%s%s", out->scheme,
		          *out->scheme ? ": " : "", wrong);
		check_add(checks, "wellknown.key-binding", CHECK_SKIP,
		          "there is no evidence in the document");
		return -EINVAL;
	}
	out->binder = w.covers_nonce ? "nonce" : "certificate";
	check_add(checks, "wellknown.format", CHECK_PASS, "%s, %zu bytes for %s", out->scheme,
	          out->evidence.n, attest_tee_name(out->tee));
	check_binding(&w, checks);
	return 0;
}

void wellknown_free(struct wellknown *w)
{
	for (size_t i = 0; i <= WELLKNOWN_PARTS_MAX; i++)
		buf_free(&w->part[i]);
	*w = (struct wellknown){0};
}
