/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worked example of docs/wire.md, made again from its inputs and compared with the page.
 * Everything in it is deterministic: Ed25519, a fixed certificate, fixed exporter values.
 */
#include "tests/unit/attest_build.h"

#include "attest/authenticator.h"
#include "attest/binding.h"
#include "attest/cmw.h"
#include "core/file.h"

#define NAME "service.example.com"
#define PAGE "docs/wire.md"

/* The page without its white space: hex there is broken into lines. */
static char *page;

static int set_up(void **state)
{
	uint8_t *text;
	size_t n, at = 0;
	(void)state;

	if (file_read(PAGE, 1 << 20, &text, &n))
		return -1;
	page = (char *)text;
	for (size_t i = 0; i < n; i++)
		if (text[i] != ' ' && text[i] != '\n' && text[i] != '\t')
			page[at++] = (char)text[i];
	page[at] = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(page);
	return 0;
}

/* On failure the value is printed as it should stand in the page. */
static void expect_in_page(const char *name, struct bytes v)
{
	char *hex = malloc(2 * v.n + 1);
	bool there;

	hex_encode(v, hex);
	there = strstr(page, hex) != NULL;
	if (!there) {
		print_message("%s is not in " PAGE ", %zu bytes:\n", name, v.n);
		for (size_t i = 0; i < 2 * v.n; i += 96)
			print_message("%.96s\n", hex + i);
	}
	free(hex);
	assert_true(there);
}

static void count_from(uint8_t *out, size_t n, uint8_t first)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(first + i);
}

struct example {
	uint8_t seed[32], context[32];
	struct authenticator_keys keys;
	EVP_PKEY *key;
	struct der leaf;
	uint8_t *spki;
	size_t spki_n;
	uint8_t report_data[64];
	struct buf request, cmw, msg;
};

static void make_leaf(struct example *e)
{
	struct cert_spec spec = {.cn = NAME,
	                         .issuer = NAME,
	                         .key = e->key,
	                         .signer = e->key,
	                         .begin = SIM_BEGIN,
	                         .end = SIM_END,
	                         .serial = 1};
	X509 *cert = cert_begin(&spec);
	int n;

	assert_true(X509_sign(cert, e->key, NULL));
	cert_der(cert, &e->leaf);
	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &e->spki);
	assert_true(n > 0);
	e->spki_n = (size_t)n;
	X509_free(cert);
}

static void example_make(struct example *e)
{
	struct cmw cmw = {.evidence_type = "application/vnd.keygate.snp-report",
	                  .evidence = bytes_str("(report)"),
	                  .endorsements = {bytes_str("(table)")},
	                  .endorsements_n = 1,
	                  .leaf = bytes_str("(leaf)"),
	                  .proof = bytes_str("(proof)")};
	struct bytes chain;

	memset(e, 0, sizeof(*e));
	count_from(e->seed, 32, 0x00);
	count_from(e->context, 32, 0x20);
	count_from(e->keys.attestation, 32, 0x40);
	count_from(e->keys.handshake_context, 32, 0x60);
	count_from(e->keys.finished_key, 32, 0x80);
	memcpy(e->keys.digest, "SHA256", 6);
	e->keys.hash_len = 32;
	e->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, e->seed, 32);
	make_leaf(e);
	e->request = buf_make(AUTHENTICATOR_REQUEST_MAX);
	e->cmw = buf_make(AUTHENTICATOR_CMW_MAX);
	e->msg = buf_make(AUTHENTICATOR_MAX);
	assert_int_equal(attest_binding(BINDING_SERVER, (struct bytes){e->spki, e->spki_n},
	                                e->keys.attestation, e->context, bytes_str(NAME),
	                                e->report_data),
	                 0);
	assert_int_equal(authenticator_request_build(e->context, NAME, false, &e->request), 0);
	assert_int_equal(cmw_build(&cmw, &e->cmw), 0);
	chain = der_view(&e->leaf);
	assert_int_equal(authenticator_build(&e->keys, buf_view(&e->request), &chain, 1, e->key,
	                                     buf_view(&e->cmw), &e->msg),
	                 0);
}

static void example_free(struct example *e)
{
	EVP_PKEY_free(e->key);
	OPENSSL_free(e->spki);
	buf_free(&e->request);
	buf_free(&e->cmw);
	buf_free(&e->msg);
}

static void sha256_in_page(const char *name, struct bytes v)
{
	uint8_t hash[32];

	EVP_Digest(v.p, v.n, hash, NULL, EVP_sha256(), NULL);
	expect_in_page(name, BYTES_OF(hash));
}

static void the_page_holds_the_example(void **state)
{
	struct example e;
	(void)state;

	example_make(&e);
	expect_in_page("seed", BYTES_OF(e.seed));
	expect_in_page("context", BYTES_OF(e.context));
	expect_in_page("exporter", BYTES_OF(e.keys.attestation));
	expect_in_page("handshake context", (struct bytes){e.keys.handshake_context, 32});
	expect_in_page("finished key", (struct bytes){e.keys.finished_key, 32});
	expect_in_page("leaf", der_view(&e.leaf));
	expect_in_page("SubjectPublicKeyInfo", (struct bytes){e.spki, e.spki_n});
	sha256_in_page("SHA-256 of it", (struct bytes){e.spki, e.spki_n});
	sha256_in_page("SHA-256 of the name", bytes_str(NAME));
	expect_in_page("report data", BYTES_OF(e.report_data));
	expect_in_page("request", buf_view(&e.request));
	expect_in_page("collection", buf_view(&e.cmw));
	expect_in_page("authenticator", buf_view(&e.msg));
	example_free(&e);
}

/* The formula by its text, field by field, not by the code that implements it. */
static void the_formula_is_the_one_of_the_page(void **state)
{
	static const char tag[32] = "keygate connection binding v1";
	struct example e;
	struct buf in = buf_make(256);
	uint8_t hash[64];
	(void)state;

	example_make(&e);
	for (int role = 1; role <= 2; role++) {
		buf_reset(&in);
		buf_put(&in, tag, 32);
		buf_u8(&in, (uint8_t)role);
		EVP_Digest(e.spki, e.spki_n, hash, NULL, EVP_sha256(), NULL);
		buf_put(&in, hash, 32);
		buf_put(&in, e.keys.attestation, 32);
		buf_put(&in, e.context, 32);
		EVP_Digest(NAME, strlen(NAME), hash, NULL, EVP_sha256(), NULL);
		buf_put(&in, hash, 32);
		assert_int_equal(in.n, 161);
		EVP_Digest(in.p, in.n, hash, NULL, EVP_sha512(), NULL);
		assert_int_equal(attest_binding(role == 1 ? BINDING_SERVER : BINDING_CLIENT,
		                                (struct bytes){e.spki, e.spki_n},
		                                e.keys.attestation, e.context, bytes_str(NAME),
		                                e.report_data),
		                 0);
		assert_memory_equal(hash, e.report_data, 64);
	}
	buf_free(&in);
	example_free(&e);
}

/* No field of the formula is left out. */
static void every_input_changes_the_binding(void **state)
{
	struct example e;
	uint8_t seen[6][64];
	struct bytes spki;
	(void)state;

	example_make(&e);
	spki = (struct bytes){e.spki, e.spki_n};
#define BIND(role, name, out) \
	assert_int_equal( \
	        attest_binding(role, spki, e.keys.attestation, e.context, bytes_str(name), out), \
	        0)
	BIND(BINDING_SERVER, NAME, seen[0]);
	BIND(BINDING_CLIENT, NAME, seen[1]);
	BIND(BINDING_SERVER, "", seen[2]);
	e.context[31] ^= 1;
	BIND(BINDING_SERVER, NAME, seen[3]);
	e.context[31] ^= 1;
	e.keys.attestation[31] ^= 1;
	BIND(BINDING_SERVER, NAME, seen[4]);
	e.keys.attestation[31] ^= 1;
	spki.n--;
	BIND(BINDING_SERVER, NAME, seen[5]);
#undef BIND
	for (int i = 0; i < 6; i++)
		for (int k = i + 1; k < 6; k++)
			assert_memory_not_equal(seen[i], seen[k], 64);
	example_free(&e);
}

static void the_example_verifies(void **state)
{
	struct example e;
	struct authenticator out;
	struct checks checks = {0};
	struct cmw cmw;
	(void)state;

	example_make(&e);
	assert_int_equal(authenticator_verify(&e.keys, buf_view(&e.request), buf_view(&e.msg), &out,
	                                      &checks),
	                 0);
	expect_pass(&checks);
	assert_true(bytes_equal(out.cmw, buf_view(&e.cmw)));
	assert_int_equal(cmw_parse(out.cmw, false, &cmw), 0);
	assert_true(bytes_equal(cmw.leaf, bytes_str("(leaf)")));
	example_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_page_holds_the_example),
	        cmocka_unit_test(the_formula_is_the_one_of_the_page),
	        cmocka_unit_test(every_input_changes_the_binding),
	        cmocka_unit_test(the_example_verifies),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
