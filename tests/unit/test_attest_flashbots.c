/* SPDX-License-Identifier: Apache-2.0 */
/* flashbots-ratls/1's message: its two fields, the one form that SCALE has for them, its ends. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include "attest/flashbots.h"

static void none_is_what_the_protocol_says(void **state)
{
	/* Length 6; compact 4, "none"; compact 0. */
	static const uint8_t want[] = "\0\0\0\x06\x10none\0";
	struct buf b = buf_make(64);
	struct flashbots_message m;

	(void)state;
	assert_int_equal(flashbots_build(FLASHBOTS_TYPE_NONE, BYTES_NONE, &b), 0);
	assert_int_equal(b.n, sizeof(want) - 1);
	assert_memory_equal(b.p, want, b.n);
	assert_int_equal(flashbots_parse(buf_view(&b), &m), 0);
	assert_string_equal(m.type, "none");
	assert_int_equal(m.evidence.n, 0);
	buf_free(&b);
}

/* Every width of a compact integer, and what is one short of the next. */
static void written_is_read(void **state)
{
	static const size_t sizes[] = {0, 1, 63, 64, 16383, 16384, 60000};
	static uint8_t evidence[60000];
	struct flashbots_message m;

	(void)state;
	memset(evidence, 0xe5, sizeof(evidence));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buf b = buf_make(FLASHBOTS_MAX);

		assert_int_equal(
		        flashbots_build("dcap-tdx", (struct bytes){evidence, sizes[i]}, &b), 0);
		assert_int_equal(flashbots_length(buf_view(&b)), b.n);
		assert_int_equal(flashbots_parse(buf_view(&b), &m), 0);
		assert_string_equal(m.type, "dcap-tdx");
		assert_true(bytes_equal(m.evidence, (struct bytes){evidence, sizes[i]}));
		buf_free(&b);
	}
}

static void cut_anywhere_is_refused(void **state)
{
	struct buf b = buf_make(FLASHBOTS_MAX);
	struct flashbots_message m;

	(void)state;
	assert_int_equal(flashbots_build("dcap-tdx", bytes_str("the evidence"), &b), 0);
	for (size_t n = 0; n < b.n; n++) {
		assert_int_equal(flashbots_parse((struct bytes){b.p, n}, &m), -EINVAL);
		assert_int_equal(flashbots_length((struct bytes){b.p, n}), n < 4 ? 0 : (int)b.n);
	}
	buf_u8(&b, 0);
	assert_int_equal(flashbots_parse(buf_view(&b), &m), -EINVAL);
	buf_free(&b);
}

#define REFUSED(text) \
	assert_int_equal( \
	        flashbots_parse((struct bytes){(const uint8_t *)(text), sizeof(text) - 1}, &m), \
	        -EINVAL)

static void other_forms_are_refused(void **state)
{
	struct flashbots_message m;

	(void)state;
	/* A length in two bytes, in four, and in SCALE's big form where one byte would do. */
	REFUSED("\0\0\0\x07\x11\0none\0");
	REFUSED("\0\0\0\x09\x12\0\0\0none\0");
	REFUSED("\0\0\0\x0a\x13\x04\0\0\0none\0");
	/* More than there is. */
	REFUSED("\0\0\0\x06\x14none\0");
	REFUSED("\0\0\0\x06\x10none\x04");
	REFUSED("\0\0\0\x09\x10none\xfe\xff\xff\xff");
	/* A tail inside, and a length that leaves one outside. */
	REFUSED("\0\0\0\x07\x10none\0x");
	REFUSED("\0\0\0\x05\x10none\0");
	/* No type, and one that is no word. */
	REFUSED("\0\0\0\x02\0\0");
	REFUSED("\0\0\0\x06\x10no e\0");
	REFUSED("\0\0\0\x06\x10non\0\0");
	REFUSED("\0\0\0\x06\x10non\xff\0");
	/* Longer than any type. */
	REFUSED("\0\0\0\x23\x84"
	        "123456789012345678901234567890123"
	        "\0");
}

static void lengths_are_bounded(void **state)
{
	static const uint8_t most[] = {0, 0, 0xff, 0xfc}, over[] = {0, 0, 0xff, 0xfd},
	                     huge[] = {0xff, 0xff, 0xff, 0xff}, nothing[] = {0, 0, 0, 0};
	static uint8_t evidence[FLASHBOTS_MAX];
	struct buf b = buf_make(1 << 20);

	(void)state;
	assert_int_equal(flashbots_length(BYTES_OF(most)), FLASHBOTS_MAX);
	assert_int_equal(flashbots_length(BYTES_OF(over)), -EINVAL);
	assert_int_equal(flashbots_length(BYTES_OF(huge)), -EINVAL);
	assert_int_equal(flashbots_length(BYTES_OF(nothing)), -EINVAL);
	assert_int_equal(flashbots_build("none", BYTES_OF(evidence), &b), -EINVAL);
	assert_int_equal(flashbots_build("", BYTES_NONE, &b), -EINVAL);
	assert_int_equal(flashbots_build("123456789012345678901234567890123", BYTES_NONE, &b),
	                 -EINVAL);
	assert_int_equal(b.n, 0);
	buf_free(&b);
}

static void types(void **state)
{
	(void)state;
	assert_int_equal(flashbots_tee("dcap-tdx"), TEE_TDX);
	assert_int_equal(flashbots_tee("gcp-tdx"), TEE_TDX);
	assert_int_equal(flashbots_tee("qemu-tdx"), TEE_TDX);
	assert_int_equal(flashbots_tee("azure-tdx"), TEE_NONE);
	assert_int_equal(flashbots_tee("none"), TEE_NONE);
	assert_int_equal(flashbots_tee("tdx"), TEE_NONE);
	assert_int_equal(flashbots_tee("nvidia"), TEE_NONE); /* a part of another's evidence */
	assert_int_equal(flashbots_tee(""), TEE_NONE);
	for (enum tee t = TEE_NONE + 1; t < TEE_MAX; t++)
		assert_int_equal(flashbots_tee(flashbots_type(t)),
		                 attest_is_peer(t) ? t : TEE_NONE);
}

static void binding(void **state)
{
	static const uint8_t spki[] = "a key", exporter[32] = "an exporter value";
	uint8_t out[64], hash[32];

	(void)state;
	EVP_Digest(spki, sizeof(spki), hash, NULL, EVP_sha256(), NULL);
	assert_int_equal(flashbots_binding(BYTES_OF(spki), exporter, out), 0);
	assert_memory_equal(out, hash, 32);
	assert_memory_equal(out + 32, exporter, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(none_is_what_the_protocol_says),
	        cmocka_unit_test(written_is_read),
	        cmocka_unit_test(cut_anywhere_is_refused),
	        cmocka_unit_test(other_forms_are_refused),
	        cmocka_unit_test(lengths_are_bounded),
	        cmocka_unit_test(types),
	        cmocka_unit_test(binding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
