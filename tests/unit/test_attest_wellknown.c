/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attestation documents under /.well-known/, made here by their description, around reports of the
 * simulated platform; each check has an input that trips it alone.
 */
#include "tests/unit/attest_build.h"

#include <errno.h>
#include <zlib.h>
#include "attest/wellknown.h"

enum { MAX = 1 << 17 };

#define SEV_V2 "https://tinfoil.sh/predicate/sev-snp-guest/v2"

static const uint8_t key[32] = {0x11, 0x22, 0x33};
static const uint8_t other_key[32] = {0x44};
static const uint8_t nonce[32] = {0x99, 0x88};

static void sha256(struct bytes v, uint8_t out[static 32])
{
	assert_int_equal(EVP_Digest(v.p, v.n, out, NULL, EVP_sha256(), NULL), 1);
}

static void put_base64(struct buf *out, struct bytes v)
{
	char *text = malloc(base64_encoded_len(v.n) + 1);

	base64_encode(v, text);
	buf_str(out, text);
	free(text);
}

static void put_hex(struct buf *out, struct bytes v)
{
	char text[129];

	assert_true(v.n <= 64);
	hex_encode(v, text);
	buf_str(out, text);
}

/* n octets of a gzip stream. */
static size_t gzip(struct bytes in, uint8_t *out, size_t cap)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in.p,
	              .avail_in = (uInt)in.n,
	              .next_out = out,
	              .avail_out = (uInt)cap};

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return cap - z.avail_out;
}

struct opened {
	struct wellknown w;
	struct checks checks;
	int rc;
};

static void open_doc(struct opened *o, struct bytes body, const uint8_t *spki, struct bytes asked)
{
	uint8_t *exact = malloc(body.n ? body.n : 1);
	struct wellknown_input in = {.body = {exact, body.n}, .spki_sha256 = spki, .nonce = asked};

	if (body.n)
		memcpy(exact, body.p, body.n);
	memset(o, 0, sizeof(*o));
	o->rc = wellknown_open(&in, &o->w, &o->checks);
	free(exact);
}

static void expect_refusal(struct bytes body)
{
	struct opened o;

	open_doc(&o, body, key, BYTES_NONE);
	expect_only(&o.checks, "wellknown.format", CHECK_FAIL);
	assert_int_equal(o.rc, -22);
	wellknown_free(&o.w);
}

/* A signed report with these report data; the platform is made once. */
static const struct sim *platform(void)
{
	static struct sim s;

	if (!s.product) {
		sim_start(&s, "Genoa");
		sim_certs(&s);
	}
	return &s;
}

static void make_report(uint8_t report[static SNP_REPORT_LEN], const uint8_t data[static 64])
{
	sim_report(platform(), 3, report);
	memcpy(report + SNP_OFF_REPORT_DATA, data, 64);
	sim_sign(report, sim_keys()->vek);
}

static void appraise(struct opened *o)
{
	struct attest_input in = sim_input(platform(), o->w.evidence.p);
	struct claims claims;

	if (o->w.endorsements_n) {
		memcpy(in.endorsements, o->w.endorsements, sizeof(o->w.endorsements));
		in.endorsements_n = o->w.endorsements_n;
	}
	in.check_report_data = true;
	memcpy(in.report_data, o->w.report_data, 64);
	assert_int_equal(attest_appraise(&in, &claims, &o->checks), 0);
}

/* ---------------------------------------------------------------- second version */

static struct bytes v2(struct buf *out, const char *format, struct bytes evidence)
{
	static uint8_t gz[MAX];
	size_t n = gzip(evidence, gz, sizeof(gz));

	out->n = 0;
	buf_printf(out, "{\"format\":\"%s\",\"body\":\"", format);
	put_base64(out, (struct bytes){gz, n});
	buf_str(out, "\"}\n");
	assert_false(out->bad);
	return buf_view(out);
}

static void second_version(void **state)
{
	struct buf b = buf_make(MAX);
	uint8_t report[SNP_REPORT_LEN], data[64];
	struct opened o;
	(void)state;

	memcpy(data, key, 32);
	memset(data + 32, 0x77, 32); /* the HPKE key, of which nothing is demanded */
	make_report(report, data);
	open_doc(&o, v2(&b, SEV_V2, BYTES_OF(report)), key, BYTES_NONE);
	expect_pass(&o.checks);
	assert_string_equal(o.w.scheme, "tinfoil-v2");
	assert_string_equal(o.w.binder, "certificate");
	assert_int_equal(o.w.tee, TEE_SNP);
	assert_true(bytes_equal(o.w.evidence, BYTES_OF(report)));
	assert_memory_equal(o.w.report_data, data, 64);
	appraise(&o);
	expect_pass(&o.checks);
	wellknown_free(&o.w);

	/* Another server shows the document as its own: refused twice. */
	open_doc(&o, buf_view(&b), other_key, BYTES_NONE);
	expect_only(&o.checks, "wellknown.key-binding", CHECK_FAIL);
	appraise(&o);
	assert_int_equal(checks_find(&o.checks, "snp.report-data")->status, CHECK_FAIL);
	wellknown_free(&o.w);

	open_doc(&o, buf_view(&b), NULL, BYTES_NONE);
	expect_only(&o.checks, "wellknown.key-binding", CHECK_UNAVAILABLE);
	wellknown_free(&o.w);
	open_doc(&o, buf_view(&b), key, BYTES_OF(nonce));
	expect_only(&o.checks, "wellknown.nonce", CHECK_FAIL);
	wellknown_free(&o.w);
	buf_free(&b);
}

static void second_version_of_a_quote(void **state)
{
	uint8_t quote[1200] = {4, 0, 2, 0, 0x81};
	struct buf b = buf_make(MAX);
	struct opened o;
	(void)state;

	memcpy(quote + 568, key, 32);
	open_doc(&o, v2(&b, "https://tinfoil.sh/predicate/tdx-guest/v2", BYTES_OF(quote)), key,
	         BYTES_NONE);
	expect_pass(&o.checks);
	assert_int_equal(o.w.tee, TEE_TDX);
	wellknown_free(&o.w);
	memmove(quote + 574, key, 32); /* version 5 has a longer head */
	quote[0] = 5;
	open_doc(&o, v2(&b, "https://tinfoil.sh/predicate/tdx-guest/v2", BYTES_OF(quote)), key,
	         BYTES_NONE);
	expect_pass(&o.checks);
	wellknown_free(&o.w);
	expect_refusal(
	        v2(&b, "https://tinfoil.sh/predicate/tdx-guest/v2", (struct bytes){quote, 637}));
	buf_free(&b);
}

static void second_version_is_strict(void **state)
{
	static const char *const wrong[] = {
	        "",
	        "x",
	        "[]",
	        "{\"format\":1,\"body\":\"\"}",
	        "{\"format\":\"" SEV_V2 "\"}",
	        "{\"format\":\"" SEV_V2 "\",\"body\":\"\"}",
	        "{\"format\":\"" SEV_V2 "\",\"body\":\"AAAA\"}",
	        "{\"format\":\"" SEV_V2 "\",\"body\":\"====\"}",
	        "{\"format\":\"" SEV_V2 "\",\"format\":\"" SEV_V2 "\",\"body\":\"AAAA\"}",
	        "{\"format\":\"https://tinfoil.sh/predicate/sev-snp-guest/v1\",\"body\":\"AAAA\"}",
	};
	uint8_t report[SNP_REPORT_LEN], data[64] = {0};
	static uint8_t zeros[WELLKNOWN_EVIDENCE_MAX + 1], gz[MAX];
	struct buf b = buf_make(MAX);
	size_t n;
	(void)state;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		expect_refusal(bytes_str(wrong[i]));
	memcpy(data, key, 32);
	make_report(report, data);
	(void)v2(&b, SEV_V2, BYTES_OF(report));
	for (size_t cut = 0; cut < b.n - 1; cut++)
		expect_refusal((struct bytes){b.p, cut});
	/* A member that nobody knows; a stream with something behind it; one that grows too much.
	 */
	b.n -= 2;
	buf_str(&b, ",\"x\":1}");
	expect_refusal(buf_view(&b));
	n = gzip(BYTES_OF(report), gz, sizeof(gz));
	gz[n] = 0;
	b.n = 0;
	buf_str(&b, "{\"format\":\"" SEV_V2 "\",\"body\":\"");
	put_base64(&b, (struct bytes){gz, n + 1});
	buf_str(&b, "\"}");
	expect_refusal(buf_view(&b));
	expect_refusal(v2(&b, SEV_V2, BYTES_OF(zeros)));
	buf_free(&b);
}

/* ----------------------------------------------------------------- third version */

struct v3 {
	const char *material, *devices, *algorithm, *collateral;
	const char *more; /* members, each with a comma before it */
	uint8_t said_xor; /* into the report data that it says */
};

static struct v3 v3_good(void)
{
	return (struct v3){.material =
	                           "{\"format\":\"https://tinfoil.sh/crypto-material/v1\","
	                           "\"items\":[{\"id\":\"hpke\",\"format\":"
	                           "\"https://tinfoil.sh/key/x25519-hpke/v1\",\"data\":\"00\"},"
	                           "{\"id\":\"tls\",\"format\":"
	                           "\"https://tinfoil.sh/key/spki-fp-sha256/v1\",\"data\":\"@\"}]}",
	                   .devices = "{\"format\":\"https://tinfoil.sh/device-evidence/v1\","
	                              "\"items\":[]}",
	                   .algorithm = "https://tinfoil.sh/report-data/v1",
	                   .more = ""};
}

static void v3_collateral(struct buf *b)
{
	struct buf pem = buf_make(MAX);
	char text[1 << 13];

	buf_str(b, ",\"collateral\":[{\"id\":\"vcek\",\"role\":\"endorsement\",\"format\":"
	           "\"https://tinfoil.sh/collateral/amd-vcek/v1\",\"subjects\":[\"cpu\"],\"data\":"
	           "{\"vcek_der_base64\":\"");
	put_base64(b, der_view(&platform()->vek));
	buf_str(b, "\",\"cert_chain_pem\":\"");
	(void)pem_of("CERTIFICATE", der_view(&platform()->ask), text, sizeof(text));
	for (const char *p = text; *p; p++)
		buf_printf(b, *p == '\n' ? "\\n" : "%c", *p);
	buf_str(b,
	        "\"}},{\"id\":\"code\",\"role\":\"reference-values\",\"format\":"
	        "\"https://tinfoil.sh/collateral/sigstore-code/v1\",\"data\":{\"tag\":\"v1\"}}]");
	buf_free(&pem);
}

/* The text with the key in each place for it. */
static void with_key(const char *text, const char *hex, char *out, size_t cap)
{
	struct buf b = buf_make(cap - 1);

	for (const char *p = text; *p; p++) {
		if (*p == '@')
			buf_str(&b, hex);
		else
			buf_u8(&b, (uint8_t)*p);
	}
	assert_false(b.bad);
	memcpy(out, b.p, b.n);
	out[b.n] = 0;
	buf_free(&b);
}

static struct bytes v3(struct buf *b, const struct v3 *d)
{
	struct buf in = buf_make(MAX);
	uint8_t report[SNP_REPORT_LEN], cm[32], de[32], data[64] = {0};
	char material[1024], hex[65];

	hex_encode(BYTES_OF(key), hex);
	with_key(d->material, hex, material, sizeof(material));
	sha256(bytes_str(material), cm);
	sha256(bytes_str(d->devices), de);
	buf_str(&in, "https://tinfoil.sh/report-data/v1");
	buf_put(&in, nonce, 32);
	buf_put(&in, cm, 32);
	buf_put(&in, de, 32);
	sha256(buf_view(&in), data);
	make_report(report, data);
	buf_free(&in);

	b->n = 0;
	buf_str(b, "{\"format\":\"https://tinfoil.sh/predicate/attestation/v3\",\"challenge\":"
	           "{\"nonce\":\"");
	put_hex(b, BYTES_OF(nonce));
	buf_str(b, "\",\"report_data\":\"");
	data[0] ^= d->said_xor;
	put_hex(b, BYTES_OF(data));
	buf_printf(b,
	           "\",\"report_data_algorithm\":\"%s\"},\"cpu_evidence\":{\"format\":"
	           "\"https://tinfoil.sh/format/sev-snp-report/v1\",\"report_base64\":\"",
	           d->algorithm);
	put_base64(b, BYTES_OF(report));
	buf_str(b, "\",\"endorsed\":{\"crypto_material_hash\":\"");
	put_hex(b, BYTES_OF(cm));
	buf_str(b, "\",\"device_evidence_hash\":\"");
	put_hex(b, BYTES_OF(de));
	buf_str(b, "\"}},\"crypto_material\":\"");
	put_base64(b, bytes_str(material));
	buf_str(b, "\",\"device_evidence\":\"");
	put_base64(b, bytes_str(d->devices));
	buf_str(b, "\"");
	if (d->collateral)
		buf_printf(b, ",\"collateral\":%s", d->collateral);
	else
		v3_collateral(b);
	buf_printf(b, "%s}", d->more);
	assert_false(b->bad);
	return buf_view(b);
}

static void third_version(void **state)
{
	struct buf b = buf_make(MAX);
	struct v3 d = v3_good();
	struct opened o;
	(void)state;

	open_doc(&o, v3(&b, &d), key, BYTES_OF(nonce));
	expect_pass(&o.checks);
	assert_string_equal(o.w.scheme, "tinfoil-v3");
	assert_string_equal(o.w.binder, "nonce");
	assert_int_equal(o.w.endorsements_n, 2);
	appraise(&o);
	expect_pass(&o.checks);
	wellknown_free(&o.w);

	open_doc(&o, buf_view(&b), key, BYTES_NONE);
	expect_pass(&o.checks);
	assert_string_equal(o.w.binder, "certificate");
	wellknown_free(&o.w);
	open_doc(&o, buf_view(&b), key, BYTES_OF(other_key));
	expect_only(&o.checks, "wellknown.nonce", CHECK_FAIL);
	wellknown_free(&o.w);
	open_doc(&o, buf_view(&b), other_key, BYTES_OF(nonce));
	expect_only(&o.checks, "wellknown.key-binding", CHECK_FAIL);
	wellknown_free(&o.w);
	buf_free(&b);
}

static void third_version_is_strict(void **state)
{
	static const char no_tls[] =
	        "{\"format\":\"https://tinfoil.sh/crypto-material/v1\","
	        "\"items\":[{\"id\":\"hpke\",\"format\":\"x\",\"data\":\"@\"}]}";
	static const char two_tls[] =
	        "{\"format\":\"https://tinfoil.sh/crypto-material/v1\",\"items\":["
	        "{\"id\":\"tls\",\"format\":\"https://tinfoil.sh/key/spki-fp-sha256/v1\","
	        "\"data\":\"@\"},"
	        "{\"id\":\"tls\",\"format\":\"https://tinfoil.sh/key/spki-fp-sha256/v1\","
	        "\"data\":\"@\"}]}";
	static const char other_format[] =
	        "{\"format\":\"https://tinfoil.sh/crypto-material/v1\",\"items\":["
	        "{\"id\":\"tls\",\"format\":\"https://tinfoil.sh/key/spki/v1\",\"data\":\"@\"}]}";
	struct buf b = buf_make(MAX);
	(void)state;

	for (int wrong = 0; wrong < 8; wrong++) {
		struct v3 d = v3_good();

		if (wrong == 0)
			d.material = no_tls;
		if (wrong == 1)
			d.material = two_tls;
		if (wrong == 2)
			d.material = other_format;
		if (wrong == 3)
			d.algorithm = "https://tinfoil.sh/report-data/v2";
		if (wrong == 4)
			d.said_xor = 1;
		if (wrong == 5)
			d.more = ",\"x\":1";
		if (wrong == 6)
			d.collateral = "{}";
		if (wrong == 7)
			d.collateral = "[{\"id\":\"x\"}]";
		expect_refusal(v3(&b, &d));
	}
	buf_free(&b);
}

static void every_octet_counts(void **state)
{
	struct v3 d = v3_good();
	struct buf b = buf_make(MAX);
	(void)state;

	d.collateral = "[]";
	(void)v3(&b, &d);
	for (size_t at = 0; at < b.n; at++) {
		struct opened o;

		b.p[at] ^= 1;
		open_doc(&o, buf_view(&b), key, BYTES_OF(nonce));
		if (!o.rc)
			appraise(&o);
		if (checks_overall(&o.checks) == CHECK_PASS)
			fail_msg("a flip at %zu passed", at);
		wellknown_free(&o.w);
		b.p[at] ^= 1;
	}
	for (size_t cut = 0; cut < b.n; cut += 7)
		expect_refusal((struct bytes){b.p, cut});
	buf_free(&b);
}

/* ------------------------------------------------------------------- made here */

/* A report for this key and nonce, and the document around it, with these endorsements. */
static void make(struct buf *out, struct bytes asked, const struct bytes *endorsements, uint32_t n)
{
	uint8_t report[SNP_REPORT_LEN], data[64];

	assert_int_equal(wellknown_binding(key, asked, data), 0);
	make_report(report, data);
	buf_reset(out);
	assert_int_equal(
	        wellknown_build(key, asked, TEE_SNP, BYTES_OF(report), endorsements, n, out), 0);
}

/* What is made is what is read; certificates and list come along however the platform has them. */
static void made_and_read(void **state)
{
	static const char *const names[] = {"VCEK", "ASK", "ARK"};
	const struct sim *p = platform();
	struct bytes piece[3] = {der_view(&p->vek), der_view(&p->ask), der_view(&p->ark)};
	struct buf b = buf_make(MAX);
	uint8_t table[16384];
	struct bytes as_table = {table, sim_table(names, piece, 3, table, sizeof(table))};
	struct opened o;

	(void)state;
	for (int tabled = 0; tabled < 2; tabled++) {
		make(&b, BYTES_OF(nonce), tabled ? &as_table : piece, tabled ? 1 : 3);
		open_doc(&o, buf_view(&b), key, BYTES_OF(nonce));
		expect_pass(&o.checks);
		assert_string_equal(o.w.scheme, "tinfoil-v3");
		assert_int_equal(o.w.endorsements_n, 2);
		assert_true(bytes_equal(o.w.endorsements[0], piece[0]));
		appraise(&o);
		expect_pass(&o.checks);
		wellknown_free(&o.w);
	}
	make(&b, BYTES_OF(nonce), &(struct bytes){(const uint8_t *)"no certificate", 14}, 1);
	open_doc(&o, buf_view(&b), key, BYTES_OF(nonce));
	expect_pass(&o.checks);
	assert_int_equal(o.w.endorsements_n, 0);
	wellknown_free(&o.w);
	make(&b, BYTES_NONE, piece, 3);
	open_doc(&o, buf_view(&b), key, BYTES_NONE);
	expect_pass(&o.checks);
	assert_string_equal(o.w.scheme, "tinfoil-v2");
	appraise(&o);
	expect_pass(&o.checks);
	wellknown_free(&o.w);
	buf_free(&b);
}

static void not_made(void **state)
{
	uint8_t big[WELLKNOWN_EVIDENCE_MAX + 1] = {0}, data[64];
	struct buf b = buf_make(MAX);

	(void)state;
	assert_int_equal(wellknown_build(key, BYTES_NONE, TEE_SGX, BYTES_OF(data), NULL, 0, &b),
	                 -ENOTSUP);
	assert_int_equal(wellknown_build(key, BYTES_NONE, TEE_TDX, BYTES_NONE, NULL, 0, &b),
	                 -EINVAL);
	assert_int_equal(wellknown_build(key, BYTES_NONE, TEE_TDX, BYTES_OF(big), NULL, 0, &b),
	                 -EINVAL);
	assert_int_equal(wellknown_binding(key, (struct bytes){nonce, 31}, data), -EINVAL);
	assert_int_equal(b.n, 0);
	buf_free(&b);
}

/* Only a form that has no nonce is excused, and only where the caller says so. */
static void a_nonce_may_lack(void **state)
{
	struct wellknown_input in = {
	        .spki_sha256 = key, .nonce = BYTES_OF(other_key), .nonce_may_lack = true};
	struct buf b = buf_make(MAX);
	struct checks checks = {0};
	struct wellknown w;

	(void)state;
	make(&b, BYTES_NONE, NULL, 0);
	in.body = buf_view(&b);
	assert_int_equal(wellknown_open(&in, &w, &checks), 0);
	assert_int_equal(checks_find(&checks, "wellknown.nonce")->status, CHECK_SKIP);
	assert_int_equal(checks_overall(&checks), CHECK_PASS);
	assert_string_equal(w.binder, "certificate");
	wellknown_free(&w);
	make(&b, BYTES_OF(nonce), NULL, 0);
	in.body = buf_view(&b);
	memset(&checks, 0, sizeof(checks));
	assert_int_equal(wellknown_open(&in, &w, &checks), 0);
	expect_only(&checks, "wellknown.nonce", CHECK_FAIL);
	wellknown_free(&w);
	buf_free(&b);
}

static int tear_down(void **state)
{
	(void)state;
	sim_keys_free();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(second_version),
	        cmocka_unit_test(second_version_of_a_quote),
	        cmocka_unit_test(second_version_is_strict),
	        cmocka_unit_test(third_version),
	        cmocka_unit_test(third_version_is_strict),
	        cmocka_unit_test(every_octet_counts),
	        cmocka_unit_test(made_and_read),
	        cmocka_unit_test(not_made),
	        cmocka_unit_test(a_nonce_may_lack),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
