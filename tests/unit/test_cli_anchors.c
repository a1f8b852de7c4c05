/* SPDX-License-Identifier: Apache-2.0 */
/* keygate anchors: the built-in ones, those of a policy with their users, and pins of files. */
#include "cli_run.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include "attest/attest.h"

static char lab[96], conf[96];
static char pin[65]; /* of the key in lab */

static void put(const char *path, const char *text)
{
	assert_int_equal(file_write_atomic(path, bytes_str(text), 0600), 0);
}

static int open_lab(void **state)
{
	uint8_t raw[32] = {1}, *der = NULL, hash[32];
	EVP_PKEY *key;
	FILE *f;
	int n;

	if (cli_open(state))
		return -1;
	snprintf(lab, sizeof(lab), "%s/lab.pem", dir);
	snprintf(conf, sizeof(conf), "%s/a.conf", dir);
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
	n = i2d_PUBKEY(key, &der);
	EVP_Digest(der, (size_t)n, hash, NULL, EVP_sha256(), NULL);
	hex_encode(BYTES_OF(hash), pin);
	OPENSSL_free(der);
	f = fopen(lab, "w");
	PEM_write_PUBKEY(f, key);
	fclose(f);
	EVP_PKEY_free(key);
	return 0;
}

static int close_lab(void **state)
{
	unlink(lab);
	unlink(conf);
	return cli_close(state);
}

static void built_in(void **state)
{
	char hex[65];

	(void)state;
	for (int json = 0; json < 2; json++) {
		assert_int_equal(json ? RUN(cmd_anchors, "--json")
		                      : run(cmd_anchors, (const char *const[]){NULL}),
		                 CMD_YES);
		for (size_t i = 0; i < attest_pins_count; i++) {
			hex_encode(BYTES_OF(attest_pins[i].spki_sha256), hex);
			says(hex);
			says(attest_pins[i].name);
		}
	}
}

static void of_a_policy(void **state)
{
	char want[512];

	(void)state;
	put(conf, "default-action = deny\n"
	          "anchor lab { tee = snp file = \"lab.pem\" }\n"
	          "anchor idle { tee = tdx file = \"lab.pem\" }\n"
	          "destination api { address = 192.0.2.1 port = 443 action = gate tee = snp "
	          "ledger = none anchor = lab measurement = "
	          "\"snp:111111111111111111111111111111111111111111111111"
	          "111111111111111111111111111111111111111111111111\" }\n");
	assert_int_equal(RUN(cmd_anchors, "--policy", conf), CMD_YES);
	says("ARK-Milan");
	snprintf(want, sizeof(want), "snp  lab   %s  for api\n", pin);
	says(want);
	snprintf(want, sizeof(want), "tdx  idle  %s  used by no destination\n", pin);
	says(want);
	assert_int_equal(RUN(cmd_anchors, "--json", "--policy", conf), CMD_YES);
	snprintf(want, sizeof(want),
	         "\"line\":2,\"spki_sha256\":[\"%s\"],\"destinations\":[\"api\"]", pin);
	says(want);
}

static void of_files(void **state)
{
	char want[512];

	(void)state;
	assert_int_equal(RUN(cmd_anchors, lab, lab), CMD_YES);
	snprintf(want, sizeof(want), "%s  %s\n%s  %s\n", pin, lab, pin, lab);
	assert_string_equal((char *)out, want);
	assert_int_equal(RUN(cmd_anchors, "--json", lab), CMD_YES);
	snprintf(want, sizeof(want), "{\"files\":[{\"file\":\"%s\",\"spki_sha256\":[\"%s\"]}]}\n",
	         lab, pin);
	assert_string_equal((char *)out, want);
}

static void wrong(void **state)
{
	char missing[128];

	(void)state;
	put(conf, "nonsense\n");
	assert_int_equal(RUN(cmd_anchors, "--policy", conf), CMD_USAGE);
	says("a.conf:1: error: ");
	assert_int_equal(RUN(cmd_anchors, "--json", "--policy", conf), CMD_USAGE);
	says("\"ok\":false,\"kind\":\"usage\"");
	assert_int_equal(RUN(cmd_anchors, lab, conf), CMD_USAGE);
	complains("neither a certificate nor a public key");
	assert_string_equal((char *)out, "");
	snprintf(missing, sizeof(missing), "%s/none", dir);
	assert_int_equal(RUN(cmd_anchors, missing), CMD_USAGE);
	assert_int_equal(RUN(cmd_anchors, "--policy", conf, lab), CMD_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(built_in),
	        cmocka_unit_test(of_a_policy),
	        cmocka_unit_test(of_files),
	        cmocka_unit_test(wrong),
	};

	return cmocka_run_group_tests(tests, open_lab, close_lab);
}
