/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builders for the tests of attest/: an SNP platform with its own root, its certificates, reports
 * signed by it, certificate tables, CRLs; and vectors from disk. AMD's rules are followed but for
 * the size of the RSA keys, which is no rule and costs time.
 */
#ifndef KEYGATE_TESTS_ATTEST_BUILD_H
#define KEYGATE_TESTS_ATTEST_BUILD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include "attest/snp.h"

#define MAYBE_UNUSED __attribute__((unused))

enum { SIM_AT = 1750000000, SIM_BEGIN = 1700000000, SIM_END = 1900000000 };

/* What an ID block brings into a report. */
enum { ID_BLOCK_FIELDS = 4 };
static MAYBE_UNUSED const struct {
	const char *name;
	uint16_t off, len;
} id_block_field[ID_BLOCK_FIELDS] = {
        {"family-id", SNP_OFF_FAMILY_ID, 16},
        {"image-id", SNP_OFF_IMAGE_ID, 16},
        {"id-key-digest", SNP_OFF_ID_KEY_DIGEST, 48},
        {"author-key-digest", SNP_OFF_AUTHOR_KEY_DIGEST, 48},
};

/* --------------------------------------------------------------- certificates */

struct cert_spec {
	const char *cn;
	const char *issuer;
	EVP_PKEY *key;
	EVP_PKEY *signer;
	int64_t begin, end;
	bool ca;
	long serial;
	const EVP_MD *md;
	bool pkcs1; /* RSASSA-PKCS1-v1_5 instead of PSS */
};

static MAYBE_UNUSED void add_ext(X509 *cert, const char *oid, const void *p, size_t n)
{
	ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *ext;

	ASN1_OCTET_STRING_set(value, p, (int)n);
	ext = X509_EXTENSION_create_by_OBJ(NULL, obj, 0, value);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(obj);
}

static MAYBE_UNUSED void add_ext_int(X509 *cert, const char *oid, unsigned v)
{
	uint8_t der[4] = {0x02, 1, (uint8_t)v};

	if (v < 0x80) {
		add_ext(cert, oid, der, 3);
	} else {
		uint8_t wide[4] = {0x02, 2, 0, (uint8_t)v};

		add_ext(cert, oid, wide, 4);
	}
}

static MAYBE_UNUSED void add_ext_text(X509 *cert, const char *oid, const char *s)
{
	uint8_t der[80] = {0x16, (uint8_t)strlen(s)};

	memcpy(der + 2, s, strlen(s));
	add_ext(cert, oid, der, 2 + strlen(s));
}

static MAYBE_UNUSED void add_ext_v3(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(ext);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

static MAYBE_UNUSED X509_NAME *name_of(const char *cn)
{
	X509_NAME *n = X509_NAME_new();

	X509_NAME_add_entry_by_txt(n, "O", MBSTRING_ASC, (const uint8_t *)"Test", -1, -1, 0);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0);
	return n;
}

/* Everything but the extensions and the signature. */
static MAYBE_UNUSED X509 *cert_begin(const struct cert_spec *s)
{
	X509 *cert = X509_new();
	X509_NAME *subject = name_of(s->cn), *issuer = name_of(s->issuer);

	assert_int_equal(X509_set_version(cert, 2), 1);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), s->serial);
	X509_set_subject_name(cert, subject);
	X509_set_issuer_name(cert, issuer);
	ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)s->begin);
	ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)s->end);
	assert_int_equal(X509_set_pubkey(cert, s->key), 1);
	if (s->ca) {
		add_ext_v3(cert, NID_basic_constraints, "critical,CA:TRUE");
		add_ext_v3(cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	}
	X509_NAME_free(subject);
	X509_NAME_free(issuer);
	return cert;
}

static MAYBE_UNUSED EVP_MD_CTX *amd_signer(EVP_PKEY *key, const EVP_MD *md, bool pkcs1)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;

	assert_int_equal(EVP_DigestSignInit(ctx, &pctx, md, NULL, key), 1);
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && !pkcs1) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(pctx, md), 1);
	}
	return ctx;
}

static MAYBE_UNUSED void cert_finish(X509 *cert, const struct cert_spec *s)
{
	EVP_MD_CTX *ctx = amd_signer(s->signer, s->md ? s->md : EVP_sha384(), s->pkcs1);

	assert_true(X509_sign_ctx(cert, ctx) > 0);
	EVP_MD_CTX_free(ctx);
}

struct der {
	uint8_t p[4096];
	size_t n;
};

static MAYBE_UNUSED struct bytes der_view(const struct der *d)
{
	return (struct bytes){d->p, d->n};
}

static MAYBE_UNUSED void cert_der(X509 *cert, struct der *out)
{
	uint8_t *p = out->p;
	int n = i2d_X509(cert, NULL);

	assert_true(n > 0 && (size_t)n <= sizeof(out->p));
	out->n = (size_t)i2d_X509(cert, &p);
}

/* A whole PEM file of one block, NUL-terminated. */
static MAYBE_UNUSED size_t pem_of(const char *label, struct bytes der, char *out, size_t cap)
{
	size_t body = base64_encoded_len(der.n);
	char *text = malloc(body + 1);
	int n;
	size_t at;

	base64_encode(der, text);
	at = (size_t)snprintf(out, cap, "-----BEGIN %s-----\n", label);
	for (size_t i = 0; i < body; i += 64) {
		n = (int)(body - i < 64 ? body - i : 64);
		at += (size_t)snprintf(out + at, cap - at, "%.*s\n", n, text + i);
	}
	at += (size_t)snprintf(out + at, cap - at, "-----END %s-----\n", label);
	free(text);
	assert_true(at < cap);
	return at;
}

/* -------------------------------------------------------------------- platform */

/* One set of keys a test program: making them is what takes the time. */
struct sim_keys {
	EVP_PKEY *ark, *ask, *asvk, *vek, *other;
};

static MAYBE_UNUSED const struct sim_keys *sim_keys(void)
{
	static struct sim_keys k;

	if (!k.ark) {
		k.ark = EVP_RSA_gen(2048);
		k.ask = EVP_RSA_gen(2048);
		k.asvk = EVP_RSA_gen(2048);
		k.vek = EVP_EC_gen(SN_secp384r1);
		k.other = EVP_EC_gen(SN_secp384r1);
		assert_true(k.ark && k.ask && k.asvk && k.vek && k.other);
	}
	return &k;
}

static MAYBE_UNUSED void sim_keys_free(void)
{
	struct sim_keys k = *sim_keys();

	EVP_PKEY_free(k.ark);
	EVP_PKEY_free(k.ask);
	EVP_PKEY_free(k.asvk);
	EVP_PKEY_free(k.vek);
	EVP_PKEY_free(k.other);
}

struct sim {
	const char *product;     /* of the CA names */
	const char *ext_product; /* of the VEK's extension; NULL: none */
	bool vlek;
	uint8_t tcb[SNP_TCB_LEN]; /* as REPORTED_TCB */
	uint8_t chip_id[64];
	bool hwid_wrapped; /* as an OCTET STRING */
	/* What a test bends before the certificates are made. */
	int64_t vek_end, ask_end, ark_end;
	const char *vek_issuer;
	const char *ask_cn, *ark_cn;
	EVP_PKEY *vek_key, *vek_signer, *ask_signer;
	bool pkcs1;
	bool not_ca;
	const EVP_MD *md;
	void (*extra)(X509 *vek);
	const char *skip_ext;  /* an OID that is left out */
	unsigned reserved_spl; /* value of .3.5 */

	struct der ark, ask, vek;
};

static MAYBE_UNUSED void sim_start(struct sim *s, const char *product)
{
	static const uint8_t milan[SNP_TCB_LEN] = {4, 0, 0, 0, 0, 0, 24, 219};
	static const uint8_t turin[SNP_TCB_LEN] = {1, 2, 3, 4, 0, 0, 0, 71};

	*s = (struct sim){.product = product,
	                  .ext_product = product,
	                  .vek_end = SIM_END,
	                  .ask_end = SIM_END + 1000,
	                  .ark_end = SIM_END + 2000};
	memcpy(s->tcb, strcmp(product, "Turin") ? milan : turin, SNP_TCB_LEN);
	for (size_t i = 0; i < (strcmp(product, "Turin") ? 64u : 8u); i++)
		s->chip_id[i] = (uint8_t)(0xa0 + i);
}

static MAYBE_UNUSED void sim_vek_ext(const struct sim *s, X509 *cert, const char *oid, unsigned v)
{
	if (!s->skip_ext || strcmp(s->skip_ext, oid))
		add_ext_int(cert, oid, v);
}

static MAYBE_UNUSED void sim_vek(struct sim *s)
{
	const struct sim_keys *k = sim_keys();
	bool turin = !strcmp(s->product, "Turin");
	char issuer[64];
	struct cert_spec spec = {
	        .cn = s->vlek ? SNP_CN_VLEK : SNP_CN_VCEK,
	        .issuer = s->vek_issuer ? s->vek_issuer : issuer,
	        .key = s->vek_key ? s->vek_key : k->vek,
	        .signer = s->vek_signer ? s->vek_signer
	                  : s->vlek     ? k->asvk
	                                : k->ask,
	        .begin = SIM_BEGIN,
	        .end = s->vek_end,
	        .md = s->md,
	        .pkcs1 = s->pkcs1,
	};
	size_t id_len = turin ? 8 : 64;
	uint8_t wrapped[66] = {0x04, (uint8_t)id_len};
	X509 *cert;

	snprintf(issuer, sizeof(issuer), "%s%s", s->vlek ? SNP_CN_ASVK : SNP_CN_ASK, s->product);
	if (s->ask_cn)
		snprintf(issuer, sizeof(issuer), "%s", s->ask_cn);
	cert = cert_begin(&spec);
	if (s->ext_product)
		add_ext_text(cert, SNP_OID_PRODUCT, s->ext_product);
	sim_vek_ext(s, cert, SNP_OID_SPL_BOOTLOADER, s->tcb[turin ? 1 : 0]);
	sim_vek_ext(s, cert, SNP_OID_SPL_TEE, s->tcb[turin ? 2 : 1]);
	sim_vek_ext(s, cert, SNP_OID_SPL_SNP, s->tcb[turin ? 3 : 6]);
	sim_vek_ext(s, cert, SNP_OID_SPL_MICROCODE, s->tcb[7]);
	if (turin)
		sim_vek_ext(s, cert, SNP_OID_SPL_FMC, s->tcb[0]);
	sim_vek_ext(s, cert, SNP_OID_SPL ".5", s->reserved_spl);
	memcpy(wrapped + 2, s->chip_id, id_len);
	if (s->vlek)
		add_ext_text(cert, SNP_OID_CSP, "CN=cc-test.example.com");
	else if (!s->skip_ext || strcmp(s->skip_ext, SNP_OID_HWID))
		add_ext(cert, SNP_OID_HWID, s->hwid_wrapped ? wrapped : s->chip_id,
		        s->hwid_wrapped ? id_len + 2 : id_len);
	if (s->extra)
		s->extra(cert);
	cert_finish(cert, &spec);
	cert_der(cert, &s->vek);
	X509_free(cert);
}

/* Makes the three certificates. */
static MAYBE_UNUSED void sim_certs(struct sim *s)
{
	const struct sim_keys *k = sim_keys();
	char ark[64], ask[64];
	struct cert_spec spec = {.cn = ark,
	                         .issuer = ark,
	                         .key = k->ark,
	                         .signer = k->ark,
	                         .begin = SIM_BEGIN,
	                         .end = s->ark_end,
	                         .ca = true,
	                         .serial = 1};
	X509 *cert;

	snprintf(ark, sizeof(ark), "%s%s", SNP_CN_ARK, s->product);
	if (s->ark_cn)
		snprintf(ark, sizeof(ark), "%s", s->ark_cn);
	snprintf(ask, sizeof(ask), "%s%s", s->vlek ? SNP_CN_ASVK : SNP_CN_ASK, s->product);
	if (s->ask_cn)
		snprintf(ask, sizeof(ask), "%s", s->ask_cn);
	cert = cert_begin(&spec);
	cert_finish(cert, &spec);
	cert_der(cert, &s->ark);
	X509_free(cert);
	spec.cn = ask;
	spec.key = s->vlek ? k->asvk : k->ask;
	spec.signer = s->ask_signer ? s->ask_signer : k->ark;
	spec.end = s->ask_end;
	spec.serial = 2;
	spec.ca = !s->not_ca;
	cert = cert_begin(&spec);
	cert_finish(cert, &spec);
	cert_der(cert, &s->ask);
	X509_free(cert);
	sim_vek(s);
}

/* ---------------------------------------------------------------------- report */

static MAYBE_UNUSED void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static MAYBE_UNUSED void put64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* Everything but the signature. */
static MAYBE_UNUSED void sim_report(const struct sim *s, uint32_t version,
                                    uint8_t out[static SNP_REPORT_LEN])
{
	static const struct {
		const char *product;
		uint8_t family, model;
	} cpus[] = {{"Milan", 0x19, 0x01}, {"Genoa", 0x19, 0x11}, {"Turin", 0x1a, 0x02}};

	memset(out, 0, SNP_REPORT_LEN);
	put32(out + SNP_OFF_VERSION, version);
	put32(out + SNP_OFF_GUEST_SVN, 7);
	put64(out + SNP_OFF_POLICY, 0x30000);
	put32(out + SNP_OFF_SIGNATURE_ALGO, SNP_SIG_ECDSA_P384_SHA384);
	put64(out + SNP_OFF_PLATFORM_INFO, 0x25);
	put32(out + SNP_OFF_KEY_INFO, s->vlek ? SNP_VLEK << 2 : 0);
	memset(out + SNP_OFF_REPORT_DATA, 0x5a, 64);
	memset(out + SNP_OFF_MEASUREMENT, 0x11, 48);
	memset(out + SNP_OFF_HOST_DATA, 0x22, 32);
	memset(out + SNP_OFF_REPORT_ID, 0x33, 32);
	memset(out + SNP_OFF_REPORT_ID_MA, 0xff, 32);
	memcpy(out + SNP_OFF_CURRENT_TCB, s->tcb, SNP_TCB_LEN);
	memcpy(out + SNP_OFF_REPORTED_TCB, s->tcb, SNP_TCB_LEN);
	memcpy(out + SNP_OFF_COMMITTED_TCB, s->tcb, SNP_TCB_LEN);
	memcpy(out + SNP_OFF_LAUNCH_TCB, s->tcb, SNP_TCB_LEN);
	for (size_t i = 0; version >= 3 && i < sizeof(cpus) / sizeof(cpus[0]); i++)
		if (!strcmp(cpus[i].product, s->product)) {
			out[SNP_OFF_CPUID] = cpus[i].family;
			out[SNP_OFF_CPUID + 1] = cpus[i].model;
			out[SNP_OFF_CPUID + 2] = 1;
		}
	if (!s->vlek)
		memcpy(out + SNP_OFF_CHIP_ID, s->chip_id, 64);
	out[SNP_OFF_CURRENT_VERSION] = out[SNP_OFF_COMMITTED_VERSION] = 29;
	out[SNP_OFF_CURRENT_VERSION + 1] = out[SNP_OFF_COMMITTED_VERSION + 1] = 55;
	out[SNP_OFF_CURRENT_VERSION + 2] = out[SNP_OFF_COMMITTED_VERSION + 2] = 1;
}

static MAYBE_UNUSED void sim_sign(uint8_t report[static SNP_REPORT_LEN], EVP_PKEY *key)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[256];
	const uint8_t *p = der;
	size_t n = sizeof(der);
	ECDSA_SIG *sig;

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, der, &n, report, SNP_SIGNED_LEN), 1);
	sig = d2i_ECDSA_SIG(NULL, &p, (long)n);
	assert_non_null(sig);
	memset(report + SNP_OFF_SIG_R, 0, 2 * SNP_SIG_FIELD_LEN);
	BN_bn2lebinpad(ECDSA_SIG_get0_r(sig), report + SNP_OFF_SIG_R, SNP_SIG_VALUE_LEN);
	BN_bn2lebinpad(ECDSA_SIG_get0_s(sig), report + SNP_OFF_SIG_S, SNP_SIG_VALUE_LEN);
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
}

/* The input that makes a platform's report pass: its chain as endorsements, its root as anchor. */
static MAYBE_UNUSED struct attest_input sim_input(const struct sim *s, const uint8_t *report)
{
	return (struct attest_input){
	        .type = TEE_SNP,
	        .evidence = {report, SNP_REPORT_LEN},
	        .endorsements = {der_view(&s->vek), der_view(&s->ask)},
	        .endorsements_n = 2,
	        .anchors = {der_view(&s->ark)},
	        .anchors_n = 1,
	        .at = SIM_AT,
	};
}

/* A certificate table of these parts. */
static MAYBE_UNUSED size_t sim_table(const char *const *names, const struct bytes *content,
                                     size_t n, uint8_t *out, size_t cap)
{
	size_t at = (n + 1) * SNP_TABLE_ENTRY_LEN;

	memset(out, 0, cap);
	for (size_t i = 0; i < n; i++) {
		for (size_t g = 0; g < attest_snp_guids_count; g++)
			if (!strcmp(attest_snp_guids[g].name, names[i]))
				memcpy(out + i * SNP_TABLE_ENTRY_LEN, attest_snp_guids[g].v,
				       SNP_GUID_LEN);
		put32(out + i * SNP_TABLE_ENTRY_LEN + 16, (uint32_t)at);
		put32(out + i * SNP_TABLE_ENTRY_LEN + 20, (uint32_t)content[i].n);
		assert_true(at + content[i].n <= cap);
		memcpy(out + at, content[i].p, content[i].n);
		at += content[i].n;
	}
	return at;
}

/* ------------------------------------------------------------------------ CRLs */

static MAYBE_UNUSED void sim_crl(const char *issuer_cn, EVP_PKEY *signer, int64_t begin,
                                 int64_t end, long revoked, struct der *out)
{
	X509_CRL *crl = X509_CRL_new();
	X509_NAME *issuer = name_of(issuer_cn);
	ASN1_TIME *t = ASN1_TIME_set(NULL, (time_t)begin);
	EVP_MD_CTX *ctx = amd_signer(signer, EVP_sha384(), false);
	uint8_t *p = out->p;

	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, issuer);
	X509_CRL_set1_lastUpdate(crl, t);
	if (end) {
		ASN1_TIME *next = ASN1_TIME_set(NULL, (time_t)end);

		X509_CRL_set1_nextUpdate(crl, next);
		ASN1_TIME_free(next);
	}
	if (revoked) {
		X509_REVOKED *r = X509_REVOKED_new();
		ASN1_INTEGER *serial = ASN1_INTEGER_new();

		ASN1_INTEGER_set(serial, revoked);
		X509_REVOKED_set_serialNumber(r, serial);
		X509_REVOKED_set_revocationDate(r, t);
		X509_CRL_add0_revoked(crl, r);
		ASN1_INTEGER_free(serial);
	}
	assert_true(X509_CRL_sign_ctx(crl, ctx) > 0);
	out->n = (size_t)i2d_X509_CRL(crl, &p);
	assert_true(out->n <= sizeof(out->p));
	X509_CRL_free(crl);
	X509_NAME_free(issuer);
	ASN1_TIME_free(t);
	EVP_MD_CTX_free(ctx);
}

/* ---------------------------------------------------------------------- checks */

static MAYBE_UNUSED void print_checks(const struct checks *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		print_message("  %-12s %-20s %s\n", check_status_name(c->v[i].status), c->v[i].id,
		              c->v[i].detail);
}

/* That this check has this status, and that no other one fails or is unavailable. */
static MAYBE_UNUSED void expect_only(const struct checks *c, const char *id, enum check_status want)
{
	bool ok = !c->overflow && checks_find(c, id) && checks_find(c, id)->status == want &&
	          (enum check_status)checks_overall(c) == want;

	for (uint32_t i = 0; i < c->n; i++)
		if (strcmp(c->v[i].id, id) && c->v[i].status != CHECK_PASS &&
		    c->v[i].status != CHECK_SKIP)
			ok = false;
	if (!ok) {
		print_message("expected only %s: %s\n", id, check_status_name(want));
		print_checks(c);
		fail();
	}
}

static MAYBE_UNUSED void expect_pass(const struct checks *c)
{
	if (c->overflow || checks_overall(c) != CHECK_PASS) {
		print_checks(c);
		fail();
	}
}

#endif
