/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA devices: real evidence of the vector set, and a device made here whose every part can be
 * bent, so that each check has an input that trips it alone.
 */
#include "tests/unit/attest_build.h"

#include <openssl/ecdsa.h>
#include "core/file.h"

enum { MAX = 1 << 16, CERTS = 5 };

/* ------------------------------------------------------------------- the device */

struct device {
	/* What a test bends before the certificates are made. */
	const char *name;
	const char *ext; /* OID of the firmware hash; NULL: none */
	bool list;       /* in Blackwell's form */
	bool not_ca;     /* the second certificate */
	bool usage;      /* the leaf may sign */
	int64_t leaf_end;
	int bad_link;      /* certificate that another key signed; 0: none */
	const char *curve; /* of the leaf; NULL: P-384 */

	EVP_PKEY *key[CERTS];
	struct der cert[CERTS]; /* leaf first, root last */
};

static const uint8_t firmware[48] = {0xf1, 0xf2};
static const uint8_t asked[32] = {0xa1, 0xa2};

static void put_fwid(struct buf *b, const uint8_t v[static 48])
{
	static const uint8_t head[] = {0x30, 0x3d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
	                               0x65, 0x03, 0x04, 0x02, 0x02, 0x04, 0x30};

	buf_put(b, head, sizeof(head));
	buf_put(b, v, 48);
}

static void add_firmware(X509 *leaf, const struct device *d)
{
	static const uint8_t zero[48];
	struct buf b = buf_make(256), all = buf_make(256);

	if (d->list) {
		buf_str(&b, "\x80\x06NVIDIA\xa6\x7e");
		put_fwid(&b, firmware);
		put_fwid(&b, zero);
	} else {
		buf_str(&b, "\x02\x01\x01");
		put_fwid(&b, firmware);
	}
	buf_u8(&all, 0x30);
	if (b.n >= 0x80)
		buf_u8(&all, 0x81);
	buf_u8(&all, (uint8_t)b.n);
	buf_bytes(&all, buf_view(&b));
	if (d->ext)
		add_ext(leaf, d->ext, all.p, all.n);
	buf_free(&b);
	buf_free(&all);
}

static struct device usual(void)
{
	return (struct device){.name = "GH100 A01 GSP FMC LF",
	                       .ext = "2.23.133.5.4.1",
	                       .usage = true,
	                       .leaf_end = SIM_END};
}

static void make(struct device *d)
{
	static EVP_PKEY *keys[CERTS], *other, *p256;
	static const char *const names[CERTS] = {"", "BROM", "Provisioner", "Identity", "Root"};

	for (int i = 0; i < CERTS; i++) {
		keys[i] = keys[i] ? keys[i] : EVP_EC_gen(SN_secp384r1);
		d->key[i] = keys[i];
	}
	other = other ? other : EVP_EC_gen(SN_secp384r1);
	p256 = p256 ? p256 : EVP_EC_gen(SN_X9_62_prime256v1);
	if (d->curve)
		d->key[0] = p256;
	for (int i = 0; i < CERTS; i++) {
		int up = i + 1 < CERTS ? i + 1 : i;
		struct cert_spec spec = {
		        .cn = i ? names[i] : d->name,
		        .issuer = names[up],
		        .key = d->key[i],
		        .signer = d->bad_link && d->bad_link == i ? other : d->key[up],
		        .begin = SIM_BEGIN,
		        .end = i ? SIM_END + 1000 : d->leaf_end,
		        .ca = i && !(d->not_ca && i == 1),
		        .serial = i + 1,
		        .md = EVP_sha384(),
		};
		X509 *cert = cert_begin(&spec);

		if (!i) {
			add_firmware(cert, d);
			add_ext_v3(cert, NID_key_usage,
			           d->usage ? "critical,digitalSignature"
			                    : "critical,keyAgreement");
		}
		cert_finish(cert, &spec);
		cert_der(cert, &d->cert[i]);
		X509_free(cert);
	}
}

/* ----------------------------------------------------------------- the evidence */

struct answer {
	unsigned blocks;
	unsigned first_index;
	uint16_t value_len;
	bool fwid, fwid_twice, other_fwid;
	const char *behind; /* after the signature */
};

static struct answer good_answer(void)
{
	return (struct answer){.blocks = 64, .first_index = 1, .value_len = 48, .fwid = true};
}

static void put_opaque(struct buf *b, uint16_t type, struct bytes v)
{
	buf_le16(b, type);
	buf_le16(b, (uint16_t)v.n);
	buf_bytes(b, v);
}

static void sign(struct buf *b, EVP_PKEY *key)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[256], raw[96];
	const uint8_t *p = der;
	size_t n = sizeof(der);
	ECDSA_SIG *sig;

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, der, &n, b->p, b->n), 1);
	sig = d2i_ECDSA_SIG(NULL, &p, (long)n);
	assert_non_null(sig);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 48), 48);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 48, 48), 48);
	buf_put(b, raw, sizeof(raw));
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
}

static struct buf answer(const struct device *d, const struct answer *a)
{
	struct buf b = buf_make(MAX), record = buf_make(MAX), opaque = buf_make(MAX);
	uint8_t value[64], fwid[48], nonce[32] = {0xd0};

	memcpy(fwid, firmware, sizeof(fwid));
	fwid[47] ^= a->other_fwid;
	for (unsigned i = 0; i < a->blocks; i++) {
		memset(value, (int)(i * 3), sizeof(value));
		buf_u8(&record, (uint8_t)(a->first_index + i));
		buf_u8(&record, 1);
		buf_le16(&record, (uint16_t)(a->value_len + 3));
		buf_u8(&record, 0x33);
		buf_le16(&record, a->value_len);
		buf_put(&record, value, a->value_len);
	}
	put_opaque(&opaque, 3, bytes_str("590.12"));
	put_opaque(&opaque, 6, BYTES_OF("\1\2\3"));
	put_opaque(&opaque, 200, bytes_str("of a kind that nobody knows"));
	if (a->fwid)
		put_opaque(&opaque, 20, BYTES_OF(fwid));
	if (a->fwid_twice)
		put_opaque(&opaque, 20, BYTES_OF(fwid));
	buf_put(&b, "\x11\xe0\x01\xff", 4);
	buf_put(&b, asked, 32);
	buf_u8(&b, 0);
	buf_put(&b, "\x11\x60\0\0", 4);
	buf_u8(&b, (uint8_t)a->blocks);
	buf_le16(&b, (uint16_t)record.n);
	buf_u8(&b, 0);
	buf_bytes(&b, buf_view(&record));
	buf_put(&b, nonce, 32);
	buf_le16(&b, (uint16_t)opaque.n);
	buf_bytes(&b, buf_view(&opaque));
	sign(&b, d->key[0]);
	if (a->behind)
		buf_str(&b, a->behind);
	assert_false(b.bad || record.bad || opaque.bad);
	buf_free(&record);
	buf_free(&opaque);
	return b;
}

static struct attest_input input(const struct device *d, const struct buf *b)
{
	struct attest_input in = {.type = TEE_NVIDIA,
	                          .evidence = buf_view(b),
	                          .endorsements_n = CERTS,
	                          .anchors = {der_view(&d->cert[CERTS - 1])},
	                          .anchors_n = 1,
	                          .at = SIM_AT,
	                          .check_report_data = true};

	for (int i = 0; i < CERTS; i++)
		in.endorsements[i] = der_view(&d->cert[(i * 3) % CERTS]); /* in any order */
	memcpy(in.report_data, asked, sizeof(asked));
	return in;
}

struct result {
	struct claims claims;
	struct checks checks;
};

static void judge(struct result *r, const struct attest_input *in)
{
	uint8_t *exact = malloc(in->evidence.n ? in->evidence.n : 1);
	struct attest_input copy = *in;

	memcpy(exact, in->evidence.n ? in->evidence.p : exact, in->evidence.n);
	copy.evidence.p = exact;
	memset(r, 0, sizeof(*r));
	assert_int_equal(attest_appraise(&copy, &r->claims, &r->checks), 0);
	free(exact);
}

static void expect_of(struct device *d, const struct answer *a, const char *id,
                      enum check_status status)
{
	struct attest_input in;
	struct result r;
	struct buf b;

	make(d);
	b = answer(d, a);
	in = input(d, &b);
	judge(&r, &in);
	if (id)
		expect_only(&r.checks, id, status);
	else
		expect_pass(&r.checks);
	buf_free(&b);
}

/* ------------------------------------------------------------------------ tests */

static void a_device_passes(void **state)
{
	struct answer a = good_answer();
	struct device d = usual();
	struct attest_input in;
	struct result r;
	struct buf b;
	(void)state;

	make(&d);
	b = answer(&d, &a);
	in = input(&d, &b);
	in.type = TEE_NONE;
	judge(&r, &in);
	expect_pass(&r.checks);
	assert_int_equal(r.claims.tee, TEE_NVIDIA);
	assert_string_equal(r.claims.product, "GH100");
	assert_true(r.claims.extra_anchor);
	assert_int_equal(r.claims.valid_until, SIM_END);
	assert_non_null(measurement_find(&r.claims.measurements, "measurements"));
	assert_memory_equal(measurement_find(&r.claims.measurements, "fwid")->value, firmware, 48);
	assert_memory_equal(r.claims.report_data, asked, 32);
	assert_int_equal(checks_find(&r.checks, "nvidia.revocation")->status, CHECK_SKIP);
	/* Nothing but NVIDIA's root counts without an anchor. */
	in.anchors_n = 0;
	judge(&r, &in);
	expect_only(&r.checks, "nvidia.chain", CHECK_FAIL);
	buf_free(&b);
}

static void both_forms_of_the_firmware_hash(void **state)
{
	struct answer a = good_answer();
	struct device d = usual();
	(void)state;

	d.list = true;
	d.ext = "2.23.133.5.4.1.1";
	d.name = "GB100 A01 GSP FMC LF";
	expect_of(&d, &a, NULL, CHECK_PASS);
	d.ext = NULL;
	expect_of(&d, &a, "nvidia.fwid", CHECK_FAIL);
	d = usual();
	a.other_fwid = true;
	expect_of(&d, &a, "nvidia.fwid", CHECK_FAIL);
	/* Only a switch may leave it out. */
	a = good_answer();
	a.fwid = false;
	expect_of(&d, &a, "nvidia.fwid", CHECK_FAIL);
	d.name = "LS_10 A01 FSP FMC LF";
	expect_of(&d, &a, NULL, CHECK_PASS);
}

static void structure(void **state)
{
	struct device d = usual();
	(void)state;

	for (int wrong = 0; wrong < 7; wrong++) {
		struct answer a = good_answer();

		if (wrong == 0)
			a.blocks = 65;
		if (wrong == 1)
			a.blocks = 0;
		if (wrong == 2)
			a.first_index = 2;
		if (wrong == 3)
			a.value_len = 32;
		if (wrong == 4)
			a.fwid_twice = true;
		if (wrong == 5)
			a.behind = "x";
		if (wrong == 6)
			a.value_len = 49;
		expect_of(&d, &a, "nvidia.format", CHECK_FAIL);
	}
}

static void chain(void **state)
{
	struct answer a = good_answer();
	struct device d;
	struct attest_input in;
	struct result r;
	struct buf b;
	(void)state;

	for (int link = 1; link < CERTS; link++) {
		d = usual();
		d.bad_link = link;
		expect_of(&d, &a, "nvidia.chain", CHECK_FAIL);
	}
	d = usual();
	d.curve = SN_X9_62_prime256v1;
	make(&d);
	d.key[0] = d.key[1]; /* 96 octets of signature; the chain is what refuses */
	b = answer(&d, &a);
	in = input(&d, &b);
	judge(&r, &in);
	expect_only(&r.checks, "nvidia.chain", CHECK_FAIL);
	buf_free(&b);
	d = usual();
	d.usage = false;
	expect_of(&d, &a, "nvidia.chain", CHECK_FAIL);

	d = usual();
	make(&d);
	b = answer(&d, &a);
	for (uint32_t i = 0; i < CERTS; i++) {
		in = input(&d, &b);
		in.anchors_n = 0; /* an anchor's certificate would fill the gap */
		in.endorsements[i] = in.endorsements[(i + 1) % CERTS];
		judge(&r, &in);
		expect_only(&r.checks, "nvidia.chain", CHECK_UNAVAILABLE);
	}
	in = input(&d, &b);
	in.endorsements[0] = bytes_str("\x30\x03\x02\x01\x01");
	judge(&r, &in);
	expect_only(&r.checks, "nvidia.chain", CHECK_FAIL);
	buf_free(&b);
}

static void times_nonce_revocation_signature(void **state)
{
	struct answer a = good_answer();
	struct device d = usual();
	struct attest_input in;
	struct result r;
	struct buf b;
	(void)state;

	d.leaf_end = SIM_AT - 1;
	expect_of(&d, &a, "nvidia.cert-time", CHECK_FAIL);
	d = usual();
	make(&d);
	b = answer(&d, &a);
	in = input(&d, &b);
	in.report_data[31] ^= 1;
	judge(&r, &in);
	expect_only(&r.checks, "nvidia.report-data", CHECK_FAIL);
	in = input(&d, &b);
	in.require_crl = true;
	judge(&r, &in);
	expect_only(&r.checks, "nvidia.revocation", CHECK_UNAVAILABLE);
	in = input(&d, &b);
	b.p[b.n - 1] ^= 1;
	judge(&r, &in);
	expect_only(&r.checks, "nvidia.signature", CHECK_FAIL);
	buf_free(&b);
}

/* ------------------------------------------------------------------ real devices */

static struct bytes vector(const char *name)
{
	const char *root = getenv("KEYGATE_VECTORS");
	char path[600];
	uint8_t *p;
	size_t n;

	snprintf(path, sizeof(path), "%s/attestation/nvidia/%s", root ? root : "../shared/vectors",
	         name);
	if (file_read(path, MAX, &p, &n)) {
		printf("SKIPPED: no vector %s\n", path);
		return BYTES_NONE;
	}
	return (struct bytes){p, n};
}

static void drop(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

static void real_devices(void **state)
{
	static const struct {
		const char *evidence, *chain, *product, *nonce, *fails;
		int64_t at;
	} rows[] = {
	        {"hopper-h100.spdm.bin", "hopper-h100.chain.pem", "GH100",
	         "e97b23a1718095a0e9e35edca810768c70a6a5a389b705e753b197912bc11576", NULL,
	         1646179200},
	        {"blackwell-gb100.spdm.bin", "blackwell-gb100.chain.pem", "GB100",
	         "cb86922a772181d54971ccc584bbc96b717c32b7087fff9aaf52832dd3f697a1", NULL,
	         1687305600},
	        {"nvswitch-ls10.spdm.bin", "nvswitch-ls10.chain.pem", "LS_10",
	         "931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb", NULL,
	         1646179200},
	        {"neg-hopper-nonceflip.spdm.bin", "hopper-h100.chain.pem", "GH100", NULL,
	         "nvidia.signature", 1700000000},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct attest_input in = {.at = rows[i].at, .endorsements_n = 1};
		struct buf page = buf_make(MAX);
		struct result r;

		in.evidence = vector(rows[i].evidence);
		in.endorsements[0] = vector(rows[i].chain);
		if (!in.evidence.n || !in.endorsements[0].n)
			skip();
		if (rows[i].nonce) {
			in.check_report_data = true;
			assert_int_equal(hex_decode(bytes_str(rows[i].nonce), in.report_data, 32),
			                 0);
		}
		judge(&r, &in);
		if (rows[i].fails)
			expect_only(&r.checks, rows[i].fails, CHECK_FAIL);
		else
			expect_pass(&r.checks);
		assert_string_equal(r.claims.product, rows[i].product);
		assert_false(r.claims.extra_anchor);
		assert_int_equal(attest_explain(TEE_NONE, in.evidence, &page), 0);
		assert_true(page.n > 1000);
		/* The chain withheld: nothing can be said. */
		in.endorsements_n = 0;
		judge(&r, &in);
		expect_only(&r.checks, "nvidia.chain", CHECK_UNAVAILABLE);
		drop(in.evidence);
		drop(in.endorsements[0]);
		buf_free(&page);
	}
}

static void no_bit_and_no_cut_of_a_real_one_passes(void **state)
{
	struct attest_input in = {.at = 1646179200, .endorsements_n = 1};
	struct bytes whole = vector("nvswitch-ls10.spdm.bin");
	uint8_t *p = (uint8_t *)(uintptr_t)whole.p;
	struct result r;
	(void)state;

	in.endorsements[0] = vector("nvswitch-ls10.chain.pem");
	if (!whole.n || !in.endorsements[0].n)
		skip();
	in.type = TEE_NVIDIA;
	in.evidence = whole;
	for (size_t at = 0; at < whole.n; at += at < 512 ? 1 : 7) {
		p[at] ^= (uint8_t)(0x80u >> (at % 8));
		judge(&r, &in);
		if (checks_overall(&r.checks) == CHECK_PASS)
			fail_msg("a flip at %zu passed", at);
		p[at] ^= (uint8_t)(0x80u >> (at % 8));
	}
	for (size_t n = 1; n < whole.n; n++) {
		in.evidence.n = n;
		judge(&r, &in);
		expect_only(&r.checks, "nvidia.format", CHECK_FAIL);
	}
	drop(whole);
	drop(in.endorsements[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_device_passes),
	        cmocka_unit_test(both_forms_of_the_firmware_hash),
	        cmocka_unit_test(structure),
	        cmocka_unit_test(chain),
	        cmocka_unit_test(times_nonce_revocation_signature),
	        cmocka_unit_test(real_devices),
	        cmocka_unit_test(no_bit_and_no_cut_of_a_real_one_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
