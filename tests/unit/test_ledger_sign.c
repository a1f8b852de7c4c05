/* SPDX-License-Identifier: Apache-2.0 */
/* Signing: what a log and a witness write is what others wrote before, and verifies. */
#include "tests/unit/ledger_vectors.h"

#include <errno.h>

/*
 * A cosigned checkpoint that another implementation made from the same key (RFC 8032 7.1, test 1)
 * and text: byte for byte the same, since Ed25519 has no chance in it.
 */
static void known_note(void **state)
{
	static const char secret[] =
	        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
	static const char want[] =
	        "log.example/x\n"
	        "1\n"
	        "DSfif3gnzNdFGZ6Os6avNo4QZK9Crp+DdA6YEh4rwCU=\n"
	        "\n"
	        "\xe2\x80\x94 log.example/x "
	        "6zGBSqXtHHyhkOHhuunn3UKTdhxkz2f8B82CoMXByzKQvn2OCbava5gBK0pnfy6MdH+Xe1pxff8p8KyNPRDQqR5dswk=\n"
	        "\xe2\x80\x94 w.example "
	        "SpjrwwAAAABrSdIA1W1NhaJyP8veryMrUyZm8lz9abU5VxhISJKfPV8yh0lh/+Yx5Y0ePzxewkGOR2RD4E3Lphs42zf1A0+Nzj1oDQ==\n";
	struct checkpoint cp = {.origin = "log.example/x", .size = 1};
	struct buf note = buf_make(NOTE_MAX);
	struct buf vkey = buf_make(VKEY_TEXT_MAX);
	struct vkey k;
	uint8_t raw[32];
	EVP_PKEY *key;

	(void)state;
	assert_int_equal(hex_decode(bytes_str(secret), raw, 32), 0);
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, 32);
	assert_int_equal(ledger_vkey_of(key, "log.example/x", NOTE_ED25519, &k), 0);
	assert_int_equal(ledger_vkey_format(&k, &vkey), 0);
	assert_true(bytes_equal(
	        buf_view(&vkey),
	        bytes_str("log.example/x+eb31814a+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea")));
	ledger_leaf_hash(bytes_str("leaf"), &cp.root);
	assert_int_equal(ledger_checkpoint_format(&cp, &note), 0);
	assert_int_equal(ledger_note_sign(&note, "log.example/x", key), 0);
	assert_int_equal(ledger_note_cosign(&note, "w.example", key, TEST_TIME), 0);
	assert_true(bytes_equal(buf_view(&note), bytes_str(want)));
	EVP_PKEY_free(key);
	buf_free(&vkey);
	buf_free(&note);
}

static void vkeys(void **state)
{
	static const enum note_alg algs[] = {NOTE_ED25519, NOTE_COSIGNATURE};
	EVP_PKEY *key = test_key(9);
	EVP_PKEY *ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	struct vkey again;
	struct vkey k;
	char name[300];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct buf b = buf_make(VKEY_TEXT_MAX);

		assert_int_equal(ledger_vkey_of(key, "a.example/\xc3\xa9", algs[i], &k), 0);
		assert_int_equal(ledger_vkey_format(&k, &b), 0);
		assert_int_equal(ledger_vkey_parse(buf_view(&b), &again), 0);
		assert_memory_equal(&k, &again, sizeof(k));
		buf_free(&b);
	}
	assert_int_equal(ledger_vkey_of(key, "", NOTE_ED25519, &k), -EINVAL);
	assert_int_equal(ledger_vkey_of(key, "a b", NOTE_ED25519, &k), -EINVAL);
	assert_int_equal(ledger_vkey_of(key, "a+b", NOTE_ED25519, &k), -EINVAL);
	assert_int_equal(ledger_vkey_of(key, "a", NOTE_ECDSA, &k), -EINVAL);
	assert_int_equal(ledger_vkey_of(ec, "a", NOTE_ED25519, &k), -EINVAL);
	memset(name, 'a', sizeof(name));
	name[256] = '\0';
	assert_int_equal(ledger_vkey_of(key, name, NOTE_ED25519, &k), -EINVAL);
	name[255] = '\0';
	assert_int_equal(ledger_vkey_of(key, name, NOTE_ED25519, &k), 0);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(key);
}

static void round_trip(void **state)
{
	struct ledger_time t = {TEST_TIME, 60};
	struct ledger_head head;
	struct checks c = {0};
	struct world w;
	struct note *n = malloc(sizeof(*n));

	(void)state;
	assert_non_null(n);
	world_make(&w);

	struct buf note = world_note(&w, LOG_NAME, 3, TEST_TIME);

	assert_int_equal(ledger_note_parse(buf_view(&note), n), 0);
	assert_int_equal(n->sigs, 4);
	assert_int_equal(n->sig[0].sig_len, 64);
	assert_int_equal(n->sig[1].sig_len, 72);
	assert_int_equal(ledger_verify_checkpoint(buf_view(&note), w.policy, &t, &head, &c), 0);
	assert_overall("round trip", &c, CHECK_PASS);
	assert_memory_equal(&head.cp, &w.cp, sizeof(w.cp));
	buf_free(&note);
	world_free(&w);
	free(n);
}

static void refused(void **state)
{
	struct buf b = buf_make(NOTE_MAX);
	EVP_PKEY *key = test_key(9);

	(void)state;
	assert_int_equal(ledger_note_sign(&b, "a.example", key), -EINVAL);
	buf_str(&b, "no newline");
	assert_int_equal(ledger_note_sign(&b, "a.example", key), -EINVAL);
	buf_str(&b, "\ttab\n");
	assert_int_equal(ledger_note_sign(&b, "a.example", key), -EINVAL);
	buf_reset(&b);
	buf_str(&b, "text\n");
	assert_int_equal(ledger_note_cosign(&b, "a.example", key, 0), -EINVAL);
	assert_int_equal(ledger_note_cosign(&b, "a.example", key, -1), -EINVAL);
	assert_int_equal(ledger_note_cosign(&b, "a b", key, 1), -EINVAL);
	assert_true(bytes_equal(buf_view(&b), bytes_str("text\n")));
	buf_free(&b);
	EVP_PKEY_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(known_note),
	        cmocka_unit_test(vkeys),
	        cmocka_unit_test(round_trip),
	        cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
