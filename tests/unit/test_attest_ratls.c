/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence in certificates: real ones of the vector set, and one of each scheme made here; what
 * the evidence must bear is worked out a second time. Each check has an input that trips it alone.
 */
#include "tests/unit/attest_build.h"

#include <errno.h>
#include "core/cbor.h"
#include "attest/ratls.h"
#include "core/file.h"
#include <openssl/pem.h>

enum { MAX = 1 << 16 };

static const char nonce_text[] = "0123456789abcdef0123456789abcdef";

/* ------------------------------------------------------------------- certificates */

struct made {
	uint8_t p[MAX];
	size_t n;
	uint8_t spki[512];
	size_t spki_n;
};

struct ext {
	const char *oid;
	struct bytes content;
};

static EVP_PKEY *server_key(void)
{
	static EVP_PKEY *k;

	if (!k)
		k = EVP_EC_gen(SN_X9_62_prime256v1);
	return k;
}

static struct bytes key_spki(EVP_PKEY *key, uint8_t out[static 512])
{
	int n = i2d_PUBKEY(key, NULL);

	assert_in_range(n, 1, 512);
	assert_int_equal(i2d_PUBKEY(key, &out), n);
	return (struct bytes){out - n, (size_t)n};
}

static struct bytes server_spki(void)
{
	static uint8_t spki[512];

	return key_spki(server_key(), spki);
}

static struct cert_spec server(void)
{
	return (struct cert_spec){.cn = "server.example",
	                          .issuer = "server.example",
	                          .key = server_key(),
	                          .signer = server_key(),
	                          .begin = SIM_BEGIN,
	                          .end = SIM_END,
	                          .serial = 7,
	                          .md = EVP_sha256()};
}

static struct bytes make(struct made *m, const struct cert_spec *spec, const struct ext *ext,
                         size_t n)
{
	X509 *cert = cert_begin(spec);
	uint8_t *p = m->p;

	for (size_t i = 0; i < n; i++)
		add_ext(cert, ext[i].oid, ext[i].content.p, ext[i].content.n);
	cert_finish(cert, spec);
	assert_in_range(i2d_X509(cert, NULL), 1, MAX);
	m->n = (size_t)i2d_X509(cert, &p);
	X509_free(cert);
	return (struct bytes){m->p, m->n};
}

/* One extension, the usual server. */
static struct bytes make_one(struct made *m, const char *oid, struct bytes content)
{
	struct cert_spec spec = server();
	struct ext ext = {oid, content};

	return make(m, &spec, &ext, 1);
}

/* What an extension's reader takes for a quote: a head, and something behind it. */
static struct bytes quote(enum tee tee)
{
	static uint8_t tdx[700] = {4, 0, 2, 0, 0x81, 0, 0, 0, 0xaa};
	static uint8_t sgx[600] = {3, 0, 2, 0, 0, 0, 0, 0, 0xbb};

	return tee == TEE_TDX ? BYTES_OF(tdx) : BYTES_OF(sgx);
}

static void der_octets(struct buf *out, struct bytes v)
{
	buf_u8(out, 0x04);
	if (v.n >= 0x100) {
		buf_u8(out, 0x82);
		buf_be16(out, (uint16_t)v.n);
	} else if (v.n >= 0x80) {
		buf_u8(out, 0x81);
		buf_u8(out, (uint8_t)v.n);
	} else {
		buf_u8(out, (uint8_t)v.n);
	}
	buf_bytes(out, v);
}

/* --------------------------------------------------------------------- expectation */

struct opened {
	struct ratls r;
	struct checks checks;
	int rc;
};

/* From an exact copy, so that a read behind the end is seen. */
static void open_at(struct opened *o, struct bytes cert, struct bytes nonce, int64_t at)
{
	uint8_t *exact = malloc(cert.n ? cert.n : 1);
	struct ratls_input in = {.cert = {exact, cert.n}, .nonce = nonce, .at = at};

	memcpy(exact, cert.n ? cert.p : exact, cert.n);
	memset(o, 0, sizeof(*o));
	o->rc = ratls_open(&in, &o->r, &o->checks);
	free(exact);
}

static void open_cert(struct opened *o, struct bytes cert)
{
	open_at(o, cert, BYTES_NONE, SIM_AT);
}

static void hash512(struct bytes a, struct bytes b, uint8_t out[static 64])
{
	struct buf all = buf_make(MAX);

	buf_bytes(&all, a);
	buf_bytes(&all, b);
	assert_false(all.bad);
	assert_int_equal(EVP_Digest(all.p, all.n, out, NULL, EVP_sha512(), NULL), 1);
	buf_free(&all);
}

static void hash256(struct bytes a, uint8_t out[static 64])
{
	memset(out, 0, 64);
	assert_int_equal(EVP_Digest(a.p, a.n, out, NULL, EVP_sha256(), NULL), 1);
}

static void expect_scheme(const struct opened *o, const char *scheme, enum tee tee,
                          struct bytes evidence, const uint8_t report_data[static 64])
{
	assert_int_equal(o->rc, 0);
	expect_pass(&o->checks);
	assert_string_equal(o->r.scheme, scheme);
	assert_int_equal(o->r.tee, tee);
	assert_true(bytes_equal(o->r.evidence, evidence));
	assert_memory_equal(o->r.report_data, report_data, 64);
	assert_int_equal(o->r.valid_until, SIM_END);
}

/* ------------------------------------------------------------------ every scheme once */

static struct bytes dice_of(struct buf *out, struct bytes spki, struct bytes nonce,
                            uint8_t report_data[static 64])
{
	struct buf claims = buf_make(MAX);

	ratls_dice_claims(spki, nonce, &claims);
	ratls_dice_content(quote(TEE_SGX), buf_view(&claims), out);
	assert_false(claims.bad || out->bad);
	hash256(buf_view(&claims), report_data);
	buf_free(&claims);
	return buf_view(out);
}

static void tagged_evidence(void **state)
{
	struct buf b = buf_make(MAX);
	struct made m;
	struct opened o;
	uint8_t want[64];
	(void)state;

	make_one(&m, RATLS_OID_DICE, dice_of(&b, server_spki(), BYTES_NONE, want));
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_scheme(&o, "dice", TEE_SGX, quote(TEE_SGX), want);
	assert_string_equal(o.r.binder, "certificate");
	ratls_free(&o.r);

	/* A nonce in the claims counts only for who gave it. */
	b.n = 0;
	make_one(&m, RATLS_OID_DICE, dice_of(&b, server_spki(), bytes_str(nonce_text), want));
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_scheme(&o, "dice", TEE_SGX, quote(TEE_SGX), want);
	assert_string_equal(o.r.binder, "certificate");
	ratls_free(&o.r);
	open_at(&o, (struct bytes){m.p, m.n}, bytes_str(nonce_text), SIM_AT);
	expect_scheme(&o, "dice", TEE_SGX, quote(TEE_SGX), want);
	assert_string_equal(o.r.binder, "nonce");
	ratls_free(&o.r);
	buf_free(&b);
}

static void endorsements_beside_tagged_evidence(void **state)
{
	static const char pem[] = "-----BEGIN CERTIFICATE-----\n...........";
	struct buf b = buf_make(MAX), e = buf_make(MAX);
	struct cert_spec spec = server();
	struct ext ext[2];
	struct made m;
	struct opened o;
	uint8_t want[64];
	(void)state;

	item_put_tag(&e, 60000);
	item_put_array(&e, 4);
	item_put_uint(&e, 3);                     /* a version */
	item_put_bytes(&e, BYTES_OF(pem));        /* with its NUL */
	item_put_bytes(&e, bytes_str("no idea")); /* what nobody knows */
	item_put_bytes(&e, bytes_str("{\"tcbInfo\":{\"version\":3,\"id\":\"TDX\"}}"));
	ext[0] = (struct ext){RATLS_OID_DICE, dice_of(&b, server_spki(), BYTES_NONE, want)};
	ext[1] = (struct ext){"2.23.133.5.4.2", buf_view(&e)};
	make(&m, &spec, ext, 2);
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_scheme(&o, "dice", TEE_SGX, quote(TEE_SGX), want);
	assert_int_equal(o.r.endorsements_n, 2);
	assert_true(bytes_equal(o.r.endorsements[0], bytes_str(pem)));
	ratls_free(&o.r);

	ext[1].content.n--;
	make(&m, &spec, ext, 2);
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	ratls_free(&o.r);
	buf_free(&b);
	buf_free(&e);
}

static void raw_quotes(void **state)
{
	static const uint8_t oe_head[] = {1, 0, 0, 0, 2, 0, 0, 0};
	static const char *const oids[] = {"1.3.6.1.4.1.311.105.1", "1.2.840.113556.10.1.1"};
	struct buf b = buf_make(MAX);
	struct made m;
	struct opened o;
	uint8_t want[64];
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;
	(void)state;

	hash256(server_spki(), want);
	make_one(&m, "0.6.9.42.840.113741.1337.6", quote(TEE_SGX));
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_scheme(&o, "gramine", TEE_SGX, quote(TEE_SGX), want);
	ratls_free(&o.r);

	assert_int_equal(PEM_write_bio_PUBKEY(bio, server_key()), 1);
	assert_int_equal(BIO_write(bio, "", 1), 1);
	n = BIO_get_mem_data(bio, &text);
	hash256((struct bytes){(const uint8_t *)text, (size_t)n}, want);
	BIO_free(bio);
	make_one(&m, "1.2.840.113741.1.13.1", quote(TEE_SGX));
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_scheme(&o, "sgx-sdk", TEE_SGX, quote(TEE_SGX), want);
	ratls_free(&o.r);

	buf_put(&b, oe_head, sizeof(oe_head));
	buf_le64(&b, quote(TEE_SGX).n);
	buf_bytes(&b, quote(TEE_SGX));
	for (size_t i = 0; i < sizeof(oids) / sizeof(oids[0]); i++) {
		make_one(&m, oids[i], buf_view(&b));
		open_cert(&o, (struct bytes){m.p, m.n});
		expect_scheme(&o, "open-enclave", TEE_SGX, quote(TEE_SGX), want);
		ratls_free(&o.r);
	}
	buf_u8(&b, 0);
	make_one(&m, "1.3.6.1.4.1.311.105.1", buf_view(&b));
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	ratls_free(&o.r);
	buf_free(&b);
}

static void dstack_and_flashbots_share_an_oid(void **state)
{
	struct buf b = buf_make(MAX), json = buf_make(MAX), rest = buf_make(MAX);
	struct made m;
	struct opened o;
	uint8_t want[64];
	(void)state;

	der_octets(&b, quote(TEE_TDX));
	make_one(&m, "1.3.6.1.4.1.62397.1.1", buf_view(&b));
	hash512(bytes_str("ratls-cert:"), server_spki(), want);
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_scheme(&o, "dstack", TEE_TDX, quote(TEE_TDX), want);
	ratls_free(&o.r);

	buf_str(&json, "{\"attestation_type\":\"dcap-tdx\",\"attestation\":[");
	for (size_t i = 0; i < quote(TEE_TDX).n; i++)
		buf_printf(&json, "%s%u", i ? "," : "", quote(TEE_TDX).p[i]);
	buf_str(&json, "]}");
	b.n = 0;
	der_octets(&b, buf_view(&json));
	make_one(&m, "1.3.6.1.4.1.62397.1.1", buf_view(&b));
	buf_be64(&rest, SIM_BEGIN);
	buf_be64(&rest, SIM_END);
	buf_str(&rest, "server.example");
	hash512(server_spki(), buf_view(&rest), want);
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_scheme(&o, "flashbots", TEE_TDX, quote(TEE_TDX), want);
	ratls_free(&o.r);
	buf_free(&b);
	buf_free(&json);
	buf_free(&rest);
}

/* dstack's own certificates: the event log, the application, the use, more of the application. */
static void what_dstack_says_beside_is_passed_over(void **state)
{
	struct buf b = buf_make(MAX), beside = buf_make(MAX);
	struct cert_spec spec = server();
	struct made m;
	struct opened o;
	uint8_t want[64];
	struct ext ext[] = {{"1.3.6.1.4.1.62397.1.2", BYTES_NONE},
	                    {"1.3.6.1.4.1.62397.1.3", BYTES_NONE},
	                    {"1.3.6.1.4.1.62397.1.1", BYTES_NONE},
	                    {"1.3.6.1.4.1.62397.1.4", BYTES_NONE},
	                    {"1.3.6.1.4.1.62397.1.9", BYTES_NONE}};
	(void)state;

	der_octets(&b, quote(TEE_TDX));
	der_octets(&beside, bytes_str("[{\"imr\":3}]"));
	for (size_t i = 0; i < sizeof(ext) / sizeof(ext[0]); i++)
		ext[i].content = buf_view(i == 2 ? &b : &beside);
	make(&m, &spec, ext, sizeof(ext) / sizeof(ext[0]));
	hash512(bytes_str("ratls-cert:"), server_spki(), want);
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_scheme(&o, "dstack", TEE_TDX, quote(TEE_TDX), want);
	assert_int_equal(o.r.endorsements_n, 0);
	ratls_free(&o.r);
	buf_free(&b);
	buf_free(&beside);
}

/* dstack's attestation of version 0, without any events, in its OCTET STRING. */
static void dstack_v0(struct buf *out, uint8_t mode, struct bytes evidence, const struct sim *s)
{
	const struct bytes certs[] = {s ? der_view(&s->vek) : BYTES_NONE,
	                              s ? der_view(&s->ask) : BYTES_NONE};
	struct buf b = buf_make(MAX);
	uint8_t end[66] = {0};

	buf_u8(&b, 0);
	buf_u8(&b, mode);
	buf_le16(&b, (uint16_t)(evidence.n << 2 | 1));
	buf_bytes(&b, evidence);
	buf_u8(&b, s ? 2 << 2 : 0);
	for (size_t i = 0; s && i < 2; i++) {
		buf_le16(&b, (uint16_t)(certs[i].n << 2 | 1));
		buf_bytes(&b, certs[i]);
	}
	if (s)
		buf_u8(&b, 0);
	buf_put(&b, end, sizeof(end));
	out->n = 0;
	der_octets(out, buf_view(&b));
	assert_false(b.bad || out->bad);
	buf_free(&b);
}

/* And of version 1, of a quote alone. */
static void dstack_v1(struct buf *out, struct bytes evidence)
{
	struct buf b = buf_make(MAX);

	buf_str(&b, "\x83\xa7version\x01\xa8platform\x82\xa4kind\xa3tdx\xa4"
	            "data\x82\xa5quote\xdc");
	buf_be16(&b, (uint16_t)evidence.n);
	for (size_t i = 0; i < evidence.n; i++) {
		if (evidence.p[i] >= 0x80)
			buf_u8(&b, 0xcc);
		buf_u8(&b, evidence.p[i]);
	}
	buf_str(&b, "\xa9"
	            "event_log\x90\xa5stack\xc0");
	out->n = 0;
	der_octets(out, buf_view(&b));
	assert_false(b.bad || out->bad);
	buf_free(&b);
}

#define DSTACK_QUOTE       "1.3.6.1.4.1.62397.1.1"
#define DSTACK_ATTESTATION "1.3.6.1.4.1.62397.1.8"

static void dstack_attestations(void **state)
{
	struct buf b = buf_make(MAX);
	struct made m;
	struct opened o;
	uint8_t want[64];
	(void)state;

	hash512(bytes_str("ratls-cert:"), server_spki(), want);
	for (int version = 0; version < 2; version++) {
		if (version)
			dstack_v1(&b, quote(TEE_TDX));
		else
			dstack_v0(&b, 0, quote(TEE_TDX), NULL);
		make_one(&m, DSTACK_ATTESTATION, buf_view(&b));
		open_cert(&o, (struct bytes){m.p, m.n});
		expect_scheme(&o, "dstack", TEE_TDX, quote(TEE_TDX), want);
		assert_string_equal(o.r.binder, "certificate");
		ratls_free(&o.r);
	}
	buf_free(&b);
}

static void dstack_carriers_are_strict(void **state)
{
	struct buf b = buf_make(MAX), other = buf_make(MAX);
	struct cert_spec spec = server();
	struct ext ext[2];
	struct made m;
	struct opened o;
	(void)state;

	for (int wrong = 0; wrong < 4; wrong++) {
		dstack_v0(&b, wrong == 3, quote(wrong == 0 ? TEE_SGX : TEE_TDX), NULL);
		if (wrong == 1)
			buf_u8(&b, 0);
		if (wrong == 2)
			b.p[0] = 0x05;
		make_one(&m, DSTACK_ATTESTATION, buf_view(&b));
		open_cert(&o, (struct bytes){m.p, m.n});
		expect_only(&o.checks, "ratls.format", CHECK_FAIL);
		assert_non_null(strstr(checks_find(&o.checks, "ratls.format")->detail,
		                       wrong == 0   ? "dstack: what it holds is no TDX quote"
		                       : wrong == 1 ? "dstack: not one OCTET STRING"
		                       : wrong == 2 ? "no extension with evidence"
		                                    : "dstack: its mode is gcp-tdx"));
		ratls_free(&o.r);
	}

	/* The old extension beside the new one: which of them is it? */
	dstack_v0(&b, 0, quote(TEE_TDX), NULL);
	der_octets(&other, quote(TEE_TDX));
	ext[0] = (struct ext){DSTACK_QUOTE, buf_view(&other)};
	ext[1] = (struct ext){DSTACK_ATTESTATION, buf_view(&b)};
	make(&m, &spec, ext, 2);
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	ratls_free(&o.r);
	buf_free(&b);
	buf_free(&other);
}

/* All the way; and the same report in the certificate of another key. */
static void dstack_snp_is_appraised(void **state)
{
	EVP_PKEY *other = EVP_EC_gen(SN_X9_62_prime256v1);
	uint8_t report[SNP_REPORT_LEN], want[64];
	struct cert_spec spec = server();
	struct buf b = buf_make(MAX);
	struct ext ext;
	struct made m;
	struct sim s;
	(void)state;

	sim_start(&s, "Milan");
	sim_certs(&s);
	hash512(bytes_str("ratls-cert:"), server_spki(), want);
	sim_report(&s, 3, report);
	memcpy(report + SNP_OFF_REPORT_DATA, want, 64);
	sim_sign(report, sim_keys()->vek);
	dstack_v0(&b, 3, BYTES_OF(report), &s);
	ext = (struct ext){DSTACK_ATTESTATION, buf_view(&b)};
	for (int stolen = 0; stolen < 2; stolen++) {
		struct attest_input in;
		struct claims claims;
		struct opened o;

		if (stolen)
			spec.key = spec.signer = other;
		make(&m, &spec, &ext, 1);
		open_cert(&o, (struct bytes){m.p, m.n});
		if (!stolen)
			expect_scheme(&o, "dstack", TEE_SNP, BYTES_OF(report), want);
		assert_int_equal(o.r.endorsements_n, 2);
		in = sim_input(&s, o.r.evidence.p);
		memcpy(in.endorsements, o.r.endorsements, sizeof(o.r.endorsements));
		in.endorsements_n = o.r.endorsements_n;
		in.endorsements[in.endorsements_n++] = der_view(&s.ark);
		in.check_report_data = true;
		memcpy(in.report_data, o.r.report_data, 64);
		assert_int_equal(attest_appraise(&in, &claims, &o.checks), 0);
		if (stolen)
			expect_only(&o.checks, "snp.report-data", CHECK_FAIL);
		else
			expect_pass(&o.checks);
		ratls_free(&o.r);
	}
	buf_free(&b);
	EVP_PKEY_free(other);
}

static void json_is_strict(void **state)
{
	static const char *const wrong[] = {
	        "{\"attestation_type\":\"dcap-tdx\"}",
	        "{\"attestation_type\":\"azure-tdx\",\"attestation\":[4,0,2,0,129,0,0,0,1]}",
	        "{\"attestation_type\":\"dcap-tdx\",\"attestation\":[4,0,2,0,129,0,0,0,256]}",
	        "{\"attestation_type\":\"dcap-tdx\",\"attestation\":[4,0,2,0,129,0,0,0,-1]}",
	        "{\"attestation_type\":\"dcap-tdx\",\"attestation\":[4,0,2,0,129,0,0,0,1.0]}",
	        "{\"attestation_type\":\"dcap-tdx\",\"attestation\":[]}",
	        "{\"attestation_type\":\"dcap-tdx\",\"attestation\":\"BAACAIEAAAAB\"}",
	        "{\"attestation_type\":\"dcap-tdx\",\"attestation\":[4,0,2,0,129,0,0,0],\"x\":1}",
	        "{\"attestation_type\":\"dcap-tdx\",\"attestation\":[],\"attestation\":[4,0,2,0,129,0,0,0,1]}",
	        "{\"attestation_type\":\"dcap-tdx\",\"attestation\":[4,0,2,0,129,0,0,0]} x",
	        "{",
	};
	(void)state;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct buf b = buf_make(MAX);
		struct made m;
		struct opened o;

		der_octets(&b, bytes_str(wrong[i]));
		make_one(&m, "1.3.6.1.4.1.62397.1.1", buf_view(&b));
		open_cert(&o, (struct bytes){m.p, m.n});
		expect_only(&o.checks, "ratls.format", CHECK_FAIL);
		assert_int_equal(o.rc, -EINVAL);
		ratls_free(&o.r);
		buf_free(&b);
	}
}

/* ------------------------------------------------------------------- Open Enclave */

static const char *const oe_oid[] = {"1.3.6.1.4.1.311.105.2", "1.2.840.113556.10.1.2"};

/* Where things are in Open Enclave evidence, and in the quote behind its header. */
enum {
	OE_FORMAT = 4,
	OE_PADDING = 20,
	OE_LENGTH = 24,
	OE_QUOTE = 32,
	OE_TEE_TYPE = OE_QUOTE + 4,
	OE_SIG_LEN = OE_QUOTE + 432,
	OE_SIG = OE_QUOTE + 436,
	OE_SIG_N = 64,
	OE_CLAIMS = OE_SIG + OE_SIG_N,
};

/* As much of a quote as is looked at here: a head, and a signature as long as it says. */
static struct bytes oe_quote(void)
{
	static uint8_t q[OE_CLAIMS - OE_QUOTE] = {3, 0, 2, 0, 0, 0, 0, 0, 0xbb};

	q[OE_SIG_LEN - OE_QUOTE] = OE_SIG_N;
	return BYTES_OF(q);
}

static void oe_evidence(struct buf *out, struct bytes claims)
{
	static const uint8_t head[] = {3,    0,    0,    0,    0xa3, 0xa2, 0x1e, 0x87,
	                               0x1b, 0x4d, 0x40, 0x14, 0xb7, 0x0a, 0xa1, 0x25,
	                               0xd2, 0xfb, 0xcd, 0x8c, 0xee, 0xee, 0xee, 0xee};

	out->n = 0;
	buf_put(out, head, sizeof(head));
	buf_le64(out, oe_quote().n + claims.n);
	buf_bytes(out, oe_quote());
	buf_bytes(out, claims);
	assert_false(out->bad);
}

/* The key's text with its NUL; not by OpenSSL's writer, which the reader uses. */
static struct bytes key_text(EVP_PKEY *key, char out[static 1024])
{
	uint8_t spki[512];
	size_t n = pem_of("PUBLIC KEY", key_spki(key, spki), out, 1024);

	return (struct bytes){(const uint8_t *)out, n + 1};
}

static void open_enclave_evidence(void **state)
{
	EVP_PKEY *keys[] = {server_key(), EVP_RSA_gen(2048)};
	struct buf b = buf_make(MAX);
	(void)state;

	for (size_t i = 0; i < 4; i++) {
		struct cert_spec spec = server();
		struct ext ext = {.oid = oe_oid[i / 2]};
		char text[1024];
		struct made m;
		struct opened o;
		uint8_t want[64];

		spec.key = spec.signer = keys[i % 2];
		spec.pkcs1 = true;
		oe_evidence(&b, key_text(spec.key, text));
		ext.content = buf_view(&b);
		hash256(key_text(spec.key, text), want);
		open_cert(&o, make(&m, &spec, &ext, 1));
		expect_scheme(&o, "open-enclave-evidence", TEE_SGX, oe_quote(), want);
		assert_string_equal(o.r.binder, "certificate");
		assert_int_equal(o.r.endorsements_n, 0);
		ratls_free(&o.r);
	}
	buf_free(&b);
	EVP_PKEY_free(keys[1]);
}

static void open_oe(struct opened *o, struct bytes content)
{
	struct made m;

	open_cert(o, make_one(&m, oe_oid[0], content));
}

/* NULL: nothing is wrong. */
static void expect_oe(struct bytes content, const char *wrong)
{
	struct opened o;

	open_oe(&o, content);
	if (wrong) {
		expect_only(&o.checks, "ratls.format", CHECK_FAIL);
		assert_int_equal(o.rc, -EINVAL);
		assert_non_null(strstr(o.checks.v[0].detail, wrong));
	} else {
		expect_pass(&o.checks);
	}
	ratls_free(&o.r);
}

static void open_enclave_evidence_is_strict(void **state)
{
	static const struct {
		unsigned at;
		uint8_t flip;
		const char *wrong;
	} rows[] = {
	        {0, 1, "header of another version"}, /* 2 */
	        {1, 1, "header of another version"}, /* 259 */
	        {3, 0x80, "header of another version"},
	        {OE_FORMAT, 1, "another format"},
	        {OE_FORMAT + 15, 0x80, "another format"},
	        {OE_PADDING, 0xff, NULL},
	        {OE_PADDING + 3, 0xff, NULL},
	        {OE_LENGTH, 1, "length is not that"},
	        {OE_LENGTH + 4, 1, "length is not that"},
	        {OE_LENGTH + 7, 0x80, "length is not that"},
	        {OE_QUOTE, 3 ^ 4, "quote of another version"}, /* 4 */
	        {OE_QUOTE + 1, 1, "quote of another version"},
	        {OE_TEE_TYPE, 0x81, "no quote"},
	        {OE_SIG_LEN + 1, 1, "quote that is cut short"}, /* longer than all that is left */
	        {OE_SIG_LEN + 3, 0x80, "quote that is cut short"},
	};
	struct buf b = buf_make(MAX);
	char text[1024];
	(void)state;

	oe_evidence(&b, key_text(server_key(), text));
	expect_oe(buf_view(&b), NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		b.p[rows[i].at] ^= rows[i].flip;
		expect_oe(buf_view(&b), rows[i].wrong);
		b.p[rows[i].at] ^= rows[i].flip;
	}
	/* Cut anywhere, and with something behind it. */
	expect_oe(BYTES_NONE, "no extension with evidence");
	for (size_t n = 1; n < b.n; n++)
		expect_oe((struct bytes){b.p, n},
		          n < OE_QUOTE ? "header that is cut short" : "length is not that");
	buf_u8(&b, 0);
	expect_oe(buf_view(&b), "length is not that");
	/* Cut within the quote, and the header knows. */
	for (size_t n = OE_QUOTE; n < OE_CLAIMS; n++) {
		b.n = OE_LENGTH;
		buf_le64(&b, n - OE_QUOTE);
		b.n = n;
		expect_oe(buf_view(&b), "quote that is cut short");
	}
	buf_free(&b);
}

static void claims_of_open_enclave_are_the_key(void **state)
{
	EVP_PKEY *other = EVP_EC_gen(SN_X9_62_prime256v1);
	struct buf b = buf_make(MAX);
	char text[1024];
	(void)state;

	for (int wrong = 0; wrong <= 7; wrong++) {
		struct bytes claims = key_text(wrong == 1 ? other : server_key(), text);
		struct opened o;

		claims.n += (wrong == 2) - (wrong == 3); /* a NUL more, a NUL less */
		if (wrong == 2)
			text[claims.n - 1] = 0;
		if (wrong == 4)
			claims.n = 0;
		oe_evidence(&b, claims);
		if (wrong == 5)
			b.p[OE_CLAIMS + 40] ^= 1;
		if (wrong == 6 || wrong == 7) /* the quote ends an octet later, earlier */
			b.p[OE_SIG_LEN] = (uint8_t)(wrong == 6 ? OE_SIG_N + 1 : OE_SIG_N - 1);
		open_oe(&o, buf_view(&b));
		assert_int_equal(o.rc, 0);
		if (wrong)
			expect_only(&o.checks, "ratls.key-binding", CHECK_FAIL);
		else
			expect_pass(&o.checks);
		ratls_free(&o.r);
	}
	buf_free(&b);
	EVP_PKEY_free(other);
}

/* --------------------------------------------------------------- our own collection */

/* The formula a second time, as the header has it. */
static void cmw_expectation(struct bytes nonce, uint8_t out[static 64])
{
	uint8_t in[97] = "keygate certificate binding v1";
	uint8_t hash[64];

	in[32] = nonce.n ? 2 : 1;
	hash256(server_spki(), hash);
	memcpy(in + 33, hash, 32);
	hash256(nonce.n ? nonce : bytes_str(""), hash);
	memcpy(in + 65, hash, 32);
	hash512(BYTES_OF(in), BYTES_NONE, out);
}

/* docs/binders.md has these two. */
static void worked_values(void **state)
{
	static const char *const want[2][2] = {
	        {"f873087a3b3c64503412769f69f7fe747e8874f1e78f30367470a6cdcbf5ffb0",
	         "931e074d8121f1f8f0e21c8bcc4f4c4d5f6eed84601156ea1a49b1217aa5acd1"},
	        {"90e42ce0202c6af9baa434b4f531309fdf4c4f5c14bc92941e2ffae9b83bb80c",
	         "53b0e147204280180a5e3a68c1579ef9785b5e448fbfabd34fbb1cd60270fa6d"},
	};
	uint8_t spki[44], nonce[32], out[64];
	char hex[129];
	(void)state;

	assert_int_equal(hex_decode(bytes_str("302a300506032b657003210003a107bff3ce10be1d70dd18e74b"
	                                      "c09967e4d6309ba50d5f1ddc8664125531b8"),
	                            spki, sizeof(spki)),
	                 0);
	for (size_t i = 0; i < sizeof(nonce); i++)
		nonce[i] = (uint8_t)(0x40 + i);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		        ratls_cmw_binding(BYTES_OF(spki), i ? BYTES_OF(nonce) : BYTES_NONE, out),
		        0);
		hex_encode(BYTES_OF(out), hex);
		assert_memory_equal(hex, want[i][0], 64);
		assert_string_equal(hex + 64, want[i][1]);
	}
}

static struct cmw collection_of(struct bytes evidence)
{
	return (struct cmw){.evidence_type = "application/vnd.keygate.snp-report",
	                    .evidence = evidence,
	                    .leaf = bytes_str("{\"leaf\":1}"),
	                    .proof = bytes_str("c2sp.org/tlog-proof@v1\n"),
	                    .bundle = bytes_str("{\"bundle\":1}"),
	                    .statement = bytes_str("statement")};
}

/* All the way: a report of the simulated platform, made for this key and this nonce. */
static void a_collection_is_appraised(void **state)
{
	const struct bytes nonces[] = {BYTES_NONE, bytes_str(nonce_text)};
	struct sim s;
	(void)state;

	sim_start(&s, "Milan");
	sim_certs(&s);
	for (size_t i = 0; i < 2 * sizeof(nonces) / sizeof(nonces[0]); i++) {
		struct bytes nonce = nonces[i / 2];
		uint8_t report[SNP_REPORT_LEN], want[64];
		struct buf b = buf_make(MAX), wrapped = buf_make(MAX);
		struct attest_input in;
		struct claims claims;
		struct opened o;
		struct made m;
		struct cmw c;

		cmw_expectation(nonce, want);
		sim_report(&s, 3, report);
		memcpy(report + SNP_OFF_REPORT_DATA, want, 64);
		sim_sign(report, sim_keys()->vek);
		c = collection_of(BYTES_OF(report));
		c.endorsements[0] = der_view(&s.vek);
		c.endorsements[1] = der_view(&s.ask);
		c.endorsements_n = 2;
		assert_int_equal(cmw_build(&c, &b), 0);
		der_octets(&wrapped, buf_view(&b));
		make_one(&m, i % 2 ? RATLS_OID_CMW : RATLS_OID_DICE,
		         i % 2 ? buf_view(&wrapped) : buf_view(&b));
		open_at(&o, (struct bytes){m.p, m.n}, nonce, SIM_AT);
		expect_scheme(&o, "cmw", TEE_SNP, BYTES_OF(report), want);
		assert_string_equal(o.r.binder, nonce.n ? "nonce" : "certificate");
		assert_true(bytes_equal(o.r.leaf, c.leaf));
		assert_true(bytes_equal(o.r.proof, c.proof));
		assert_true(bytes_equal(o.r.bundle, c.bundle));
		assert_true(bytes_equal(o.r.statement, c.statement));

		in = sim_input(&s, o.r.evidence.p);
		memcpy(in.endorsements, o.r.endorsements, sizeof(o.r.endorsements));
		in.endorsements_n = o.r.endorsements_n;
		in.check_report_data = true;
		memcpy(in.report_data, o.r.report_data, 64);
		assert_int_equal(attest_appraise(&in, &claims, &o.checks), 0);
		expect_pass(&o.checks);
		ratls_free(&o.r);

		/* With another nonce, or none, other report data are demanded. */
		open_at(&o, (struct bytes){m.p, m.n}, nonce.n ? BYTES_NONE : bytes_str(nonce_text),
		        SIM_AT);
		assert_memory_not_equal(o.r.report_data, want, 64);
		ratls_free(&o.r);
		buf_free(&b);
		buf_free(&wrapped);
	}
}

static void collections_of_other_forms(void **state)
{
	struct buf b = buf_make(MAX), wrapped = buf_make(MAX);
	struct cmw c = collection_of(bytes_str("evidence"));
	struct made m;
	struct opened o;
	(void)state;

	snprintf(c.evidence_type, sizeof(c.evidence_type), "application/eat+cwt");
	assert_int_equal(cmw_build(&c, &b), 0);
	make_one(&m, RATLS_OID_DICE, buf_view(&b));
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	ratls_free(&o.r);

	/* GPU evidence is nobody's key. */
	b.n = 0;
	snprintf(c.evidence_type, sizeof(c.evidence_type), "%s", attest_media_type(TEE_NVIDIA));
	assert_int_equal(cmw_build(&c, &b), 0);
	make_one(&m, RATLS_OID_DICE, buf_view(&b));
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	ratls_free(&o.r);

	buf_str(&wrapped, "\x0c\x02[]");
	make_one(&m, RATLS_OID_CMW, buf_view(&wrapped));
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	ratls_free(&o.r);

	/* One octet behind the OCTET STRING; and its length in a longer form than it needs. */
	wrapped.n = 0;
	der_octets(&wrapped, buf_view(&b));
	buf_u8(&wrapped, 0);
	make_one(&m, RATLS_OID_CMW, buf_view(&wrapped));
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	ratls_free(&o.r);
	wrapped.n = 0;
	buf_str(&wrapped, "\x04\x81\x01x");
	make_one(&m, RATLS_OID_CMW, buf_view(&wrapped));
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	ratls_free(&o.r);
	buf_free(&b);
	buf_free(&wrapped);
}

/* ------------------------------------------------------------------------ Contrast */

static void pb_varint(struct buf *b, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		buf_u8(b, (uint8_t)(v | 0x80));
	buf_u8(b, (uint8_t)v);
}

static void pb_int(struct buf *b, unsigned number, uint64_t v)
{
	if (!v)
		return;
	pb_varint(b, (uint64_t)number << 3);
	pb_varint(b, v);
}

static void pb_bytes(struct buf *b, unsigned number, struct bytes v)
{
	pb_varint(b, (uint64_t)number << 3 | 2);
	pb_varint(b, v.n);
	buf_bytes(b, v);
}

static void pb_sub(struct buf *b, unsigned number, struct buf *sub)
{
	assert_false(sub->bad);
	pb_bytes(b, number, buf_view(sub));
	buf_free(sub);
	*sub = buf_make(MAX);
}

static uint64_t le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

/* A report taken apart as go-sev-guest does it. */
static void pb_report(struct buf *b, const uint8_t r[static SNP_REPORT_LEN])
{
	static const struct {
		unsigned number, at, n; /* n of at most 8 without `octets`: an integer */
		bool octets;
	} field[] = {
	        {1, 0x00, 4, 0},    {2, 0x04, 4, 0},   {3, 0x08, 8, 0},    {4, 0x10, 16, 1},
	        {5, 0x20, 16, 1},   {6, 0x30, 4, 0},   {7, 0x34, 4, 0},    {8, 0x38, 8, 0},
	        {9, 0x40, 8, 0},    {10, 0x48, 4, 0},  {11, 0x50, 64, 1},  {12, 0x90, 48, 1},
	        {13, 0xc0, 32, 1},  {14, 0xe0, 48, 1}, {15, 0x110, 48, 1}, {16, 0x140, 32, 1},
	        {17, 0x160, 32, 1}, {18, 0x180, 8, 0}, {19, 0x1a0, 64, 1}, {20, 0x1e0, 8, 0},
	        {21, 0x1e8, 1, 0},  {22, 0x1e9, 1, 0}, {23, 0x1ea, 1, 0},  {24, 0x1ec, 1, 0},
	        {25, 0x1ed, 1, 0},  {26, 0x1ee, 1, 0}, {27, 0x1f0, 8, 0},  {28, 0x2a0, 512, 1},
	        {30, 0x1f8, 8, 0},  {31, 0x200, 8, 0},
	};
	unsigned family = r[0x188], model = r[0x189];

	for (size_t i = 0; i < sizeof(field) / sizeof(field[0]); i++) {
		if (field[i].octets)
			pb_bytes(b, field[i].number, (struct bytes){r + field[i].at, field[i].n});
		else
			pb_int(b, field[i].number, le(r + field[i].at, field[i].n));
	}
	if (family)
		pb_int(b, 29,
		       (uint64_t)(family - 15) << 20 | 15 << 8 | (model & 0xf) << 4 |
		               (uint64_t)(model >> 4) << 16 | r[0x18a]);
}

static void pb_attestation(struct buf *out, const struct sim *s,
                           const uint8_t report[static SNP_REPORT_LEN])
{
	struct buf sub = buf_make(MAX);

	pb_report(&sub, report);
	pb_sub(out, 1, &sub);
	pb_bytes(&sub, 1, der_view(&s->vek));
	pb_bytes(&sub, 2, der_view(&s->ask));
	pb_bytes(&sub, 3, der_view(&s->ark));
	pb_sub(out, 2, &sub);
	pb_int(&sub, 1, 1); /* the product, which nothing rests on */
	pb_sub(out, 3, &sub);
	buf_free(&sub);
}

static void contrast_snp_is_appraised(void **state)
{
	static const char *const products[] = {"Milan", "Genoa", "Turin"};
	struct bytes nonce = bytes_str(nonce_text);
	(void)state;

	for (size_t i = 0; i < sizeof(products) / sizeof(products[0]); i++) {
		uint8_t report[SNP_REPORT_LEN], want[64];
		struct buf b = buf_make(MAX);
		struct attest_input in;
		struct claims claims;
		struct opened o;
		struct made m;
		struct sim s;

		sim_start(&s, products[i]);
		sim_certs(&s);
		hash512(server_spki(), nonce, want);
		sim_report(&s, i ? 5 : 3, report);
		memcpy(report + SNP_OFF_REPORT_DATA, want, 64);
		sim_sign(report, sim_keys()->vek);
		pb_attestation(&b, &s, report);
		make_one(&m, "1.3.9901.2.1", buf_view(&b));
		open_at(&o, (struct bytes){m.p, m.n}, nonce, SIM_AT);
		expect_scheme(&o, "contrast", TEE_SNP, BYTES_OF(report), want);
		assert_string_equal(o.r.binder, "nonce");
		assert_int_equal(o.r.endorsements_n, 3);
		in = sim_input(&s, o.r.evidence.p);
		memcpy(in.endorsements, o.r.endorsements, sizeof(o.r.endorsements));
		in.endorsements_n = o.r.endorsements_n;
		in.check_report_data = true;
		memcpy(in.report_data, o.r.report_data, 64);
		assert_int_equal(attest_appraise(&in, &claims, &o.checks), 0);
		expect_pass(&o.checks);
		ratls_free(&o.r);

		/* Without the nonce nobody can say what the evidence must bear. */
		open_cert(&o, (struct bytes){m.p, m.n});
		expect_only(&o.checks, "ratls.key-binding", CHECK_UNAVAILABLE);
		ratls_free(&o.r);
		buf_free(&b);
	}
}

static void contrast_messages_are_strict(void **state)
{
	struct buf b = buf_make(MAX), sub = buf_make(MAX);
	struct made m;
	struct opened o;
	(void)state;

	for (int wrong = 0; wrong < 6; wrong++) {
		b.n = sub.n = 0;
		pb_int(&sub, 1, 3);
		if (wrong == 0)
			pb_int(&sub, 1, 3); /* twice */
		if (wrong == 1)
			pb_bytes(&sub, 11, bytes_str("short"));
		if (wrong == 2)
			pb_bytes(&sub, 2, bytes_str("not a number"));
		if (wrong == 3)
			pb_int(&sub, 21, 256); /* more than fits */
		if (wrong == 4)
			buf_u8(&sub, 5 << 3 | 3); /* a group */
		pb_bytes(&b, 1, buf_view(&sub));
		if (wrong == 5)
			buf_str(&b, "\x12\x05x"); /* longer than there is */
		make_one(&m, "1.3.9901.2.1", buf_view(&b));
		open_at(&o, (struct bytes){m.p, m.n}, bytes_str(nonce_text), SIM_AT);
		expect_only(&o.checks, "ratls.format", CHECK_FAIL);
		ratls_free(&o.r);
	}
	buf_free(&b);
	buf_free(&sub);
}

/* ------------------------------------------------------------------ each check alone */

static void what_is_no_certificate_with_evidence(void **state)
{
	struct cert_spec spec = server();
	struct made m;
	struct opened o;
	(void)state;

	open_cert(&o, BYTES_NONE);
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	ratls_free(&o.r);
	open_cert(&o, bytes_str("{\"no\":\"certificate\"}"));
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	ratls_free(&o.r);
	make(&m, &spec, NULL, 0);
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	ratls_free(&o.r);
	/* An OID that goes on, one that ends early, and the PCK's own extension. */
	make_one(&m, "0.6.9.42.840.113741.1337.6.1", quote(TEE_SGX));
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	ratls_free(&o.r);
	make_one(&m, "1.3.6.1.4.1.62397.1", quote(TEE_SGX));
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	ratls_free(&o.r);
	make_one(&m, "1.2.840.113741.1.13.1", bytes_str("\x30\x07\x06\x05\x2a\x86\x48\x86\xf8"));
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.format", CHECK_FAIL);
	assert_int_equal(o.rc, -EINVAL);
	ratls_free(&o.r);
}

static void one_evidence_only(void **state)
{
	struct buf b = buf_make(MAX);
	struct cert_spec spec = server();
	struct made m;
	struct opened o;
	uint8_t want[64];
	struct ext gramine = {"0.6.9.42.840.113741.1337.6", quote(TEE_TDX)};
	struct ext sdk = {"1.2.840.113741.1.13.1", quote(TEE_SGX)};
	struct ext dice = {RATLS_OID_DICE, dice_of(&b, server_spki(), BYTES_NONE, want)};
	struct ext both[2];
	(void)state;

	/* Gramine writes its old form beside the new one, wherever it stands: the new one counts.
	 */
	for (int i = 0; i < 2; i++) {
		both[i] = gramine;
		both[!i] = dice;
		make(&m, &spec, both, 2);
		open_cert(&o, (struct bytes){m.p, m.n});
		expect_scheme(&o, "dice", TEE_SGX, quote(TEE_SGX), want);
		ratls_free(&o.r);
	}
	both[0] = dice;
	for (int i = 0; i < 3; i++) {
		both[1] = i == 0 ? dice : i == 1 ? sdk : gramine;
		both[0] = i == 2 ? gramine : dice;
		make(&m, &spec, both, 2);
		open_cert(&o, (struct bytes){m.p, m.n});
		expect_only(&o.checks, "ratls.format", CHECK_FAIL);
		ratls_free(&o.r);
	}
	buf_free(&b);
}

static void each_check_trips_alone(void **state)
{
	struct buf b = buf_make(MAX);
	struct cert_spec spec = server();
	EVP_PKEY *other = EVP_EC_gen(SN_X9_62_prime256v1);
	uint8_t want[64], spki[512];
	struct ext ext;
	struct made m;
	struct opened o;
	(void)state;

	ext = (struct ext){RATLS_OID_DICE, dice_of(&b, server_spki(), BYTES_NONE, want)};
	make(&m, &spec, &ext, 1);
	open_at(&o, (struct bytes){m.p, m.n}, BYTES_NONE, SIM_BEGIN - 1);
	expect_only(&o.checks, "ratls.cert-time", CHECK_FAIL);
	ratls_free(&o.r);
	open_at(&o, (struct bytes){m.p, m.n}, BYTES_NONE, SIM_END + 1);
	expect_only(&o.checks, "ratls.cert-time", CHECK_FAIL);
	ratls_free(&o.r);
	open_at(&o, (struct bytes){m.p, m.n}, bytes_str(nonce_text), SIM_AT);
	expect_only(&o.checks, "ratls.nonce", CHECK_FAIL);
	assert_string_equal(o.r.binder, "certificate");
	ratls_free(&o.r);

	/* The name of the issuer is its own, the signature another's. */
	spec.signer = other;
	make(&m, &spec, &ext, 1);
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.signature", CHECK_FAIL);
	assert_int_equal(o.rc, 0);
	ratls_free(&o.r);
	/* A CA's word is neither asked for nor refused. */
	spec.issuer = "some CA";
	make(&m, &spec, &ext, 1);
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_scheme(&o, "dice", TEE_SGX, quote(TEE_SGX), want);
	assert_int_equal(checks_find(&o.checks, "ratls.signature")->status, CHECK_SKIP);
	ratls_free(&o.r);

	/* Stolen: evidence of another key. */
	spec = server();
	b.n = 0;
	ext.content = dice_of(&b, key_spki(other, spki), BYTES_NONE, want);
	make(&m, &spec, &ext, 1);
	open_cert(&o, (struct bytes){m.p, m.n});
	expect_only(&o.checks, "ratls.key-binding", CHECK_FAIL);
	assert_int_equal(o.rc, 0);
	ratls_free(&o.r);
	EVP_PKEY_free(other);
	buf_free(&b);
}

/* Claims that say the key's hash badly. */
static void claims_are_strict(void **state)
{
	uint8_t hash[64];
	(void)state;

	hash256(server_spki(), hash);
	for (int wrong = 0; wrong <= 8; wrong++) {
		struct buf pair = buf_make(MAX), claims = buf_make(MAX), b = buf_make(MAX);
		struct made m;
		struct opened o;

		item_put_array(&pair, wrong == 1 ? 3 : 2);
		item_put_uint(&pair, wrong == 2 ? 2 : wrong == 3 ? 7 : 1);
		item_put_bytes(&pair, (struct bytes){hash, wrong == 4 ? 31 : 32});
		if (wrong == 1)
			item_put_uint(&pair, 0);
		item_put_map(&claims, wrong == 5 ? 2 : 1);
		for (int i = 0; i < (wrong == 5 ? 2 : 1); i++) {
			if (wrong == 6)
				item_put_uint(&claims, 1);
			else
				item_put_text(&claims, wrong == 7 ? "pubkey" : "pubkey-hash");
			item_put_bytes(&claims, buf_view(&pair));
		}
		if (wrong == 8)
			buf_u8(&claims, 0);
		ratls_dice_content(quote(TEE_SGX), buf_view(&claims), &b);
		make_one(&m, RATLS_OID_DICE, buf_view(&b));
		open_cert(&o, (struct bytes){m.p, m.n});
		if (wrong)
			expect_only(&o.checks, "ratls.format", CHECK_FAIL);
		else
			expect_pass(&o.checks);
		ratls_free(&o.r);
		buf_free(&pair);
		buf_free(&claims);
		buf_free(&b);
	}
}

static void nothing_but_the_certificate_itself_passes(void **state)
{
	struct buf b = buf_make(MAX);
	struct made m;
	struct opened o;
	uint8_t want[64];
	(void)state;

	make_one(&m, RATLS_OID_DICE, dice_of(&b, server_spki(), BYTES_NONE, want));
	for (size_t n = 0; n < m.n; n++) {
		open_cert(&o, (struct bytes){m.p, n});
		expect_only(&o.checks, "ratls.format", CHECK_FAIL);
		ratls_free(&o.r);
	}
	for (size_t at = 0; at < m.n; at++) {
		uint8_t bit = (uint8_t)(0x80u >> (at % 8));

		m.p[at] ^= bit;
		open_cert(&o, (struct bytes){m.p, m.n});
		if (checks_overall(&o.checks) == CHECK_PASS &&
		    checks_find(&o.checks, "ratls.signature")->status == CHECK_PASS)
			fail_msg("a flip at %zu passed", at);
		ratls_free(&o.r);
		m.p[at] ^= bit;
	}
	buf_free(&b);
}

/* -------------------------------------------------------------------- real ones */

static struct bytes vector(const char *name)
{
	const char *root = getenv("KEYGATE_VECTORS");
	char path[600];
	uint8_t *p;
	size_t n;

	snprintf(path, sizeof(path), "%s/attestation/sgx/%s", root ? root : "../shared/vectors",
	         name);
	if (file_read(path, MAX, &p, &n)) {
		printf("SKIPPED: no vector %s\n", path);
		return BYTES_NONE;
	}
	return (struct bytes){p, n};
}

/* The quote is genuine, of a debug enclave, and bears what the certificate's key demands; no
 * collateral of its TCB is to be had. */
static void quote_of_a_real_one(const struct opened *o, int64_t at)
{
	struct bytes root = vector("collateral/intel-sgx-root-ca-2049.der");
	struct attest_input in = {.type = o->r.tee,
	                          .evidence = o->r.evidence,
	                          .endorsements = {root},
	                          .endorsements_n = 1,
	                          .at = at,
	                          .check_report_data = true};
	struct checks checks = {0};
	struct claims claims;

	memcpy(in.report_data, o->r.report_data, sizeof(in.report_data));
	assert_int_equal(attest_appraise(&in, &claims, &checks), 0);
	assert_int_equal(checks_find(&checks, "sgx.signature")->status, CHECK_PASS);
	assert_int_equal(checks_find(&checks, "sgx.report-data")->status, CHECK_PASS);
	assert_int_equal(checks_find(&checks, "sgx.debug")->status, CHECK_FAIL);
	in.allow_debug = true;
	checks = (struct checks){0};
	assert_int_equal(attest_appraise(&in, &claims, &checks), 0);
	assert_int_equal(checks_overall(&checks), CHECK_UNAVAILABLE);
	in.report_data[0] ^= 1;
	checks = (struct checks){0};
	assert_int_equal(attest_appraise(&in, &claims, &checks), 0);
	assert_string_equal(checks_first(&checks, CHECK_FAIL)->id, "sgx.report-data");
	free((void *)(uintptr_t)root.p);
}

static void real_certificates(void **state)
{
	static const struct {
		const char *file;
		int64_t at;
		const char *fails, *report_data, *spki;
	} rows[] = {
	        {"ratls-gramine.der", 978393600, NULL,
	         "d8673446fe0f6842d4af0d182c8751d7e967039116deff5f85a43b2ca90c2831",
	         "5a5a5b2d177433048e9d62409d1acc4ec526c06e294d09e69a36cff9369e4851"},
	        {"ratls-rats-tls.der", 1677100000, NULL,
	         "3ef61b935603341747b96c602397da1c4761afe4eeed2cdc08cbf5f4ff61c533",
	         "72c0b70c2092741a4cfda0c2465487faf132998617b0aad53118aa5d6e180006"},
	        {"neg-ratls-stolen-evidence.der", 1700000000, "ratls.key-binding",
	         "d8673446fe0f6842d4af0d182c8751d7e967039116deff5f85a43b2ca90c2831",
	         "43e663ed14cf59ecde733c1e3b85bf95a77eae6dc9b48571b16f1c7312ac0225"},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes cert = vector(rows[i].file);
		uint8_t want[64] = {0}, spki[32];
		struct opened o;

		if (!cert.n)
			skip();
		open_at(&o, cert, BYTES_NONE, rows[i].at);
		if (rows[i].fails)
			expect_only(&o.checks, rows[i].fails, CHECK_FAIL);
		else
			expect_pass(&o.checks);
		assert_int_equal(o.rc, 0);
		assert_int_equal(hex_decode(bytes_str(rows[i].report_data), want, 32), 0);
		assert_int_equal(hex_decode(bytes_str(rows[i].spki), spki, 32), 0);
		assert_memory_equal(o.r.report_data, want, 64);
		assert_memory_equal(o.r.spki_sha256, spki, 32);
		assert_string_equal(o.r.scheme, "dice");
		assert_int_equal(o.r.tee, TEE_SGX);
		/* What the quote inside bears is what is demanded of it. */
		assert_true(o.r.evidence.n > 432);
		assert_memory_equal(o.r.evidence.p + 368, want, 64);
		quote_of_a_real_one(&o, rows[i].at > 1600000000 ? rows[i].at : 1700000000);
		ratls_free(&o.r);
		free((void *)(uintptr_t)cert.p);
	}
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(server_key());
	sim_keys_free();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(tagged_evidence),
	        cmocka_unit_test(endorsements_beside_tagged_evidence),
	        cmocka_unit_test(raw_quotes),
	        cmocka_unit_test(dstack_and_flashbots_share_an_oid),
	        cmocka_unit_test(what_dstack_says_beside_is_passed_over),
	        cmocka_unit_test(dstack_attestations),
	        cmocka_unit_test(dstack_carriers_are_strict),
	        cmocka_unit_test(dstack_snp_is_appraised),
	        cmocka_unit_test(json_is_strict),
	        cmocka_unit_test(open_enclave_evidence),
	        cmocka_unit_test(open_enclave_evidence_is_strict),
	        cmocka_unit_test(claims_of_open_enclave_are_the_key),
	        cmocka_unit_test(worked_values),
	        cmocka_unit_test(a_collection_is_appraised),
	        cmocka_unit_test(collections_of_other_forms),
	        cmocka_unit_test(contrast_snp_is_appraised),
	        cmocka_unit_test(contrast_messages_are_strict),
	        cmocka_unit_test(what_is_no_certificate_with_evidence),
	        cmocka_unit_test(one_evidence_only),
	        cmocka_unit_test(each_check_trips_alone),
	        cmocka_unit_test(claims_are_strict),
	        cmocka_unit_test(nothing_but_the_certificate_itself_passes),
	        cmocka_unit_test(real_certificates),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
