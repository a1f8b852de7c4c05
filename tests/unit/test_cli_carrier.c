/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tool makes of files that carry evidence: which they are, what is then to be judged, and
 * what is said of the carrier.
 */
#include "tests/unit/attest_build.h"

#include "cli/carrier.h"

static void told_by_the_first_octets(void **state)
{
	static const struct {
		const char *text;
		bool carrier;
	} rows[] = {
	        {"-----BEGIN CERTIFICATE-----\n", true},
	        {"{\"format\":\"x\"}", true},
	        {"\x30\x82\x01\x01 and so on", true},
	        {"", false},
	        {"{", false},
	        {"\x03\x02\x02 a quote, perhaps", false},
	        {"\xd2\x84\x44 a COSE message", false},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(carrier_is(bytes_str(rows[i].text)), rows[i].carrier);
}

/* A certificate of the usual key with a quote's head in Gramine's old extension. */
static struct bytes certificate(struct der *out)
{
	static const uint8_t quote[600] = {3, 0, 2};
	EVP_PKEY *key = EVP_EC_gen(SN_X9_62_prime256v1);
	struct cert_spec spec = {.cn = "a",
	                         .issuer = "a",
	                         .key = key,
	                         .signer = key,
	                         .begin = SIM_BEGIN,
	                         .end = SIM_END,
	                         .serial = 1,
	                         .md = EVP_sha256()};
	X509 *cert = cert_begin(&spec);

	add_ext(cert, "0.6.9.42.840.113741.1337.6", quote, sizeof(quote));
	cert_finish(cert, &spec);
	cert_der(cert, out);
	X509_free(cert);
	EVP_PKEY_free(key);
	return der_view(out);
}

static void a_certificate_says_what_is_judged(void **state)
{
	struct attest_input in = {.at = SIM_AT};
	struct carrier_asked asked = {0};
	struct checks checks = {0};
	struct carrier c;
	struct der der;
	json_t *j;
	(void)state;

	assert_true(carrier_open(certificate(&der), &asked, &in, &c, &checks));
	expect_pass(&checks);
	assert_int_equal(in.type, TEE_SGX);
	assert_int_equal(in.evidence.n, 600);
	assert_true(in.check_report_data);
	assert_int_equal(c.valid_until, SIM_END);
	j = carrier_json(&c);
	assert_string_equal(json_string_value(json_object_get(j, "scheme")), "gramine");
	assert_string_equal(json_string_value(json_object_get(j, "binder")), "certificate");
	assert_int_equal(json_string_length(json_object_get(j, "server_key")), 64);
	json_decref(j);
	carrier_free(&c);

	/* A type that was named stays: the evidence has to be of it. */
	in = (struct attest_input){.at = SIM_AT, .type = TEE_TDX};
	assert_true(carrier_open(der_view(&der), &asked, &in, &c, &checks));
	assert_int_equal(in.type, TEE_TDX);
	carrier_free(&c);
}

static void without_evidence_nothing_is_judged(void **state)
{
	struct attest_input in = {.at = SIM_AT};
	struct carrier_asked asked = {.nonce = {1}, .nonce_n = 1, .has_server_key = true};
	struct checks checks = {0};
	struct carrier c;
	json_t *j;
	(void)state;

	assert_false(carrier_open(bytes_str("{\"format\":\"x\",\"body\":\"AAAA\"}"), &asked, &in,
	                          &c, &checks));
	expect_only(&checks, "wellknown.format", CHECK_FAIL);
	assert_false(in.check_report_data);
	j = carrier_json(&c);
	assert_true(json_is_null(j));
	json_decref(j);
	carrier_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(told_by_the_first_octets),
	        cmocka_unit_test(a_certificate_says_what_is_judged),
	        cmocka_unit_test(without_evidence_nothing_is_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
