/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open Enclave's certificates all the way: a quote that was made for the key, its certificate, and
 * the verdict of its platform over both.
 */
#include "tests/unit/intel_world.h"

#include "attest/ratls.h"

/* The two forms, and what the quote in them is over: the same. */
static const struct form {
	const char *oid, *scheme;
	uint8_t head[24];
	size_t head_n;
	bool claims;
} forms[] = {
        {"1.3.6.1.4.1.311.105.1", "open-enclave", {1, 0, 0, 0, 2, 0, 0, 0}, 8, false},
        {"1.3.6.1.4.1.311.105.2",
         "open-enclave-evidence",
         {3,    0,    0,    0,    0xa3, 0xa2, 0x1e, 0x87, 0x1b, 0x4d, 0x40, 0x14,
          0xb7, 0x0a, 0xa1, 0x25, 0xd2, 0xfb, 0xcd, 0x8c, 0,    0,    0,    0},
         24,
         true},
};

static struct bytes key_text(EVP_PKEY *key, char out[static 1024])
{
	uint8_t spki[512], *p = spki;
	int n = i2d_PUBKEY(key, &p);

	assert_in_range(n, 1, sizeof(spki));
	return (struct bytes){(const uint8_t *)out,
	                      pem_of("PUBLIC KEY", (struct bytes){spki, (size_t)n}, out, 1024) + 1};
}

static struct bytes certificate(const struct form *f, struct bytes quote, EVP_PKEY *key,
                                struct bytes claims, struct buf *out)
{
	struct cert_spec spec = {.cn = "server.example",
	                         .issuer = "server.example",
	                         .key = key,
	                         .signer = key,
	                         .begin = SIM_BEGIN,
	                         .end = SIM_END,
	                         .serial = 7,
	                         .md = EVP_sha256()};
	X509 *cert = cert_begin(&spec);
	struct buf content = buf_make(SIM_INTEL_QUOTE_MAX);
	uint8_t *der = NULL;
	int n;

	buf_put(&content, f->head, f->head_n);
	buf_le64(&content, quote.n + (f->claims ? claims.n : 0));
	buf_bytes(&content, quote);
	if (f->claims)
		buf_bytes(&content, claims);
	assert_false(content.bad);
	add_ext(cert, f->oid, content.p, content.n);
	cert_finish(cert, &spec);
	n = i2d_X509(cert, &der);
	assert_true(n > 0);
	buf_reset(out);
	buf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	buf_free(&content);
	X509_free(cert);
	return buf_view(out);
}

/* The checks of the certificate and of what is in it, in one verdict. */
static void judge(struct world *w, const struct form *f, struct bytes cert)
{
	struct ratls_input in = {.cert = cert, .at = SIM_AT};
	struct ratls r;

	memset(&w->checks, 0, sizeof(w->checks));
	assert_int_equal(ratls_open(&in, &r, &w->checks), 0);
	assert_string_equal(r.scheme, f->scheme);
	assert_true(bytes_equal(r.evidence, buf_view(&w->quote)));
	w->in.evidence = r.evidence;
	w->in.check_report_data = true;
	memcpy(w->in.report_data, r.report_data, sizeof(w->in.report_data));
	assert_int_equal(attest_appraise(&w->in, &w->claims, &w->checks), 0);
	ratls_free(&r);
}

static void open_enclave_is_appraised(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct buf der = buf_make(RATLS_CERT_MAX);
	uint8_t report_data[64] = {0};
	char text[1024], other[1024];
	struct bytes claims = key_text(key, text);
	struct world w;
	(void)state;

	world_good(&w, &sgx_v3);
	assert_int_equal(EVP_Digest(claims.p, claims.n, report_data, NULL, EVP_sha256(), NULL), 1);
	buf_reset(&w.quote);
	assert_int_equal(sim_intel_quote(&w.p, report_data, &w.quote), 0);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *f = &forms[i];

		judge(&w, f, certificate(f, buf_view(&w.quote), key, claims, &der));
		expect_pass(&w.checks);
		/* Put into the certificate of another key, which its claims even name. */
		judge(&w, f,
		      certificate(f, buf_view(&w.quote), w.other, key_text(w.other, other), &der));
		expect_only(&w.checks, "sgx.report-data", CHECK_FAIL);
	}
	/* With the claims that the quote is over. */
	judge(&w, &forms[1], certificate(&forms[1], buf_view(&w.quote), w.other, claims, &der));
	assert_int_equal(checks_find(&w.checks, "ratls.key-binding")->status, CHECK_FAIL);
	world_end(&w);
	buf_free(&der);
	EVP_PKEY_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(open_enclave_is_appraised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
