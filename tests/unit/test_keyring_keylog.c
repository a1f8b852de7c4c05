/* SPDX-License-Identifier: Apache-2.0 */
/* The key log: which lines are taken, which are ignored, and what makes one malformed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "keyring/keyring.h"

#define RANDOM "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define S32    "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define S48    S32 "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
#define CLIENT "CLIENT_TRAFFIC_SECRET_0 "
#define SERVER "SERVER_TRAFFIC_SECRET_0 "

static void takes_both(void **state)
{
	(void)state;
	static const char *const secret[] = {S32, S48};

	for (size_t i = 0; i < 2; i++) {
		struct keyring_secrets s = {0};
		char line[256];

		snprintf(line, sizeof(line), SERVER RANDOM " %s", secret[i]);
		assert_int_equal(keyring_keylog(&s, line), 0);
		assert_true(s.have_server && !s.have_client);
		snprintf(line, sizeof(line), CLIENT RANDOM " %s", secret[i]);
		assert_int_equal(keyring_keylog(&s, line), 0);
		assert_true(s.have_server && s.have_client);
		assert_int_equal(s.len, strlen(secret[i]) / 2);
		for (uint8_t k = 0; k < s.len; k++) {
			assert_int_equal(s.client[k], 0xa0 + k);
			assert_int_equal(s.server[k], 0xa0 + k);
		}
	}
}

static void ignores_others(void **state)
{
	(void)state;
	static const char *const lines[] = {
	        "",
	        " ",
	        "CLIENT_HANDSHAKE_TRAFFIC_SECRET " RANDOM " " S32,
	        "SERVER_HANDSHAKE_TRAFFIC_SECRET " RANDOM " " S32,
	        "EXPORTER_SECRET " RANDOM " " S32,
	        "CLIENT_RANDOM " RANDOM " " S48,
	        "CLIENT_TRAFFIC_SECRET_1 " RANDOM " " S32,
	        "CLIENT_TRAFFIC_SECRET_00 " RANDOM " " S32,
	        "client_traffic_secret_0 " RANDOM " " S32,
	        "# comment",
	};
	struct keyring_secrets s = {0}, none = {0};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(keyring_keylog(&s, lines[i]), 0);
	assert_memory_equal(&s, &none, sizeof(s));
}

static void malformed(void **state)
{
	(void)state;
	static const char *const lines[] = {
	        "CLIENT_TRAFFIC_SECRET_0",
	        CLIENT,
	        CLIENT RANDOM,
	        CLIENT RANDOM " ",
	        CLIENT S32,
	        CLIENT RANDOM "  " S32,
	        CLIENT " " RANDOM " " S32,
	        CLIENT RANDOM " " S32 " ",
	        CLIENT RANDOM " " S32 "\n",
	        CLIENT RANDOM " " S32 "0",
	        CLIENT RANDOM " " S32 "00",
	        CLIENT RANDOM " " S48 "00",
	        CLIENT RANDOM "00 " S32,
	        CLIENT "0" RANDOM " " S32,
	        CLIENT "zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f " S32,
	        CLIENT RANDOM " g0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf",
	        SERVER RANDOM " 00",
	        SERVER RANDOM,
	};
	struct keyring_secrets s = {0}, none = {0};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (keyring_keylog(&s, lines[i]) != -EINVAL)
			fail_msg("taken: %s", lines[i]);
	}
	assert_memory_equal(&s, &none, sizeof(s));
}

static void repeated(void **state)
{
	(void)state;
	struct keyring_secrets s = {0};

	assert_int_equal(keyring_keylog(&s, CLIENT RANDOM " " S32), 0);
	assert_int_equal(keyring_keylog(&s, CLIENT RANDOM " " S32), -EINVAL);
	assert_int_equal(keyring_keylog(&s, SERVER RANDOM " " S32), 0);
	assert_int_equal(keyring_keylog(&s, SERVER RANDOM " " S32), -EINVAL);
}

/* The two of one connection come from one hash. */
static void lengths_that_differ(void **state)
{
	(void)state;
	struct keyring_secrets s = {0};

	assert_int_equal(keyring_keylog(&s, SERVER RANDOM " " S48), 0);
	assert_int_equal(keyring_keylog(&s, CLIENT RANDOM " " S32), -EINVAL);
	assert_false(s.have_client);
	assert_int_equal(s.len, 48);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(takes_both),          cmocka_unit_test(ignores_others),
	        cmocka_unit_test(malformed),           cmocka_unit_test(repeated),
	        cmocka_unit_test(lengths_that_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
