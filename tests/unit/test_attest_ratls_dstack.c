/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dstack's attestation in both versions, made here piece by piece: what is taken out of it, and
 * that nothing that is malformed anywhere in it is taken. What is made of it in a certificate is
 * tests/unit/test_attest_ratls.c's.
 */
#include "tests/unit/attest_build.h"

#include <time.h>
#include "attest/ratls_scheme.h"

enum { MAX = 1 << 17, QUOTE_LEN = 300 };

/* With every octet in it, so that each is written in both of its forms. */
static struct bytes quote(void)
{
	static uint8_t v[QUOTE_LEN];

	for (size_t i = 0; i < sizeof(v); i++)
		v[i] = (uint8_t)i;
	return BYTES_OF(v);
}

static struct bytes report(void)
{
	static uint8_t v[SNP_REPORT_LEN];

	memset(v, 0xc3, sizeof(v));
	return BYTES_OF(v);
}

/* --------------------------------------------------------------------- taking it out */

struct taken {
	struct ratls out;
	const char *wrong;
	uint8_t *exact;
};

/* From an exact copy, so that a read behind the end is seen. */
static void take(struct taken *t, struct bytes data)
{
	*t = (struct taken){.out.decoded = buf_make(RATLS_EVIDENCE_MAX)};
	t->exact = malloc(data.n ? data.n : 1);
	memcpy(t->exact, data.n ? data.p : t->exact, data.n);
	t->wrong = ratls_dstack_attestation((struct bytes){t->exact, data.n}, &t->out);
}

static void drop(struct taken *t)
{
	ratls_free(&t->out);
	free(t->exact);
}

static void expect_wrong(struct bytes data, const char *why)
{
	struct taken t;

	take(&t, data);
	assert_non_null(t.wrong);
	if (!strstr(t.wrong, why))
		fail_msg("\"%s\" does not say \"%s\"", t.wrong, why);
	drop(&t);
}

static void expect_quote(struct bytes data)
{
	struct taken t;

	take(&t, data);
	assert_null(t.wrong);
	assert_int_equal(t.out.tee, TEE_TDX);
	assert_true(bytes_equal(t.out.evidence, quote()));
	assert_int_equal(t.out.endorsements_n, 0);
	drop(&t);
}

/* Two certificates, the second one empty. */
static void expect_report(struct bytes data)
{
	struct taken t;

	take(&t, data);
	assert_null(t.wrong);
	assert_int_equal(t.out.tee, TEE_SNP);
	assert_true(bytes_equal(t.out.evidence, report()));
	assert_int_equal(t.out.endorsements_n, 2);
	assert_true(bytes_equal(t.out.endorsements[0], bytes_str("certificate")));
	assert_int_equal(t.out.endorsements[1].n, 0);
	drop(&t);
}

static void every_length_but_its_own(struct buf *b, void (*expect)(struct bytes data))
{
	assert_false(b->bad);
	expect(buf_view(b));
	for (size_t n = 0; n < b->n; n++) {
		struct taken t;

		take(&t, (struct bytes){b->p, n});
		assert_non_null(t.wrong);
		drop(&t);
	}
	buf_u8(b, 0);
	{
		struct taken t;

		take(&t, buf_view(b));
		assert_non_null(t.wrong);
		drop(&t);
	}
}

/* -------------------------------------------------------------------------------- V0 */

static void compact(struct buf *b, uint32_t n)
{
	if (n < 1U << 6)
		buf_u8(b, (uint8_t)(n << 2));
	else if (n < 1U << 14)
		buf_le16(b, (uint16_t)(n << 2 | 1));
	else
		buf_le32(b, n << 2 | 2);
}

static void octets(struct buf *b, struct bytes v)
{
	compact(b, (uint32_t)v.n);
	buf_bytes(b, v);
}

/* What both modes end with: one event, the report data, the host's configuration. */
static void v0_end(struct buf *b)
{
	uint8_t report_data[64] = {9};

	compact(b, 1);
	octets(b, bytes_str("app-id"));
	octets(b, bytes_str("\x01\x02"));
	buf_put(b, report_data, sizeof(report_data));
	octets(b, bytes_str("{\"os_image_hash\":\"\"}"));
}

static void v0_tdx(struct buf *b, struct bytes v)
{
	b->n = 0;
	buf_put(b, "\0\0", 2);
	octets(b, v);
	compact(b, 2);
	for (int i = 0; i < 2; i++) {
		buf_le32(b, 3);
		buf_le32(b, 0x08000001);
		octets(b, BYTES_NONE);
		octets(b, bytes_str("compose-hash"));
		octets(b, bytes_str("payload"));
	}
	v0_end(b);
}

static void v0_snp_head(struct buf *b, struct bytes v)
{
	b->n = 0;
	buf_put(b, "\0\x03", 2);
	octets(b, v);
}

static void v0_snp(struct buf *b, struct bytes v)
{
	v0_snp_head(b, v);
	compact(b, 2);
	octets(b, bytes_str("certificate"));
	octets(b, BYTES_NONE);
	octets(b, bytes_str("{\"app_id\":\"\"}"));
	v0_end(b);
}

static void version_0(void **state)
{
	struct buf b = buf_make(MAX);
	(void)state;

	v0_tdx(&b, quote());
	every_length_but_its_own(&b, expect_quote);
	v0_snp(&b, report());
	every_length_but_its_own(&b, expect_report);
	buf_free(&b);
}

/* What dstack's own tests pin of its encoding: a quote of one octet, and nothing else. */
static void as_dstack_writes_it(void **state)
{
	uint8_t pinned[71] = {0, 0, 4, 9};
	struct taken t;
	(void)state;

	take(&t, BYTES_OF(pinned));
	assert_null(t.wrong);
	assert_true(bytes_equal(t.out.evidence, bytes_str("\x09")));
	drop(&t);
}

/* Each form of a length, at its edges; and a smaller number in it. */
static void lengths_have_one_form(void **state)
{
	static const uint32_t n[] = {63, 64, 16383, 16384, 40000};
	static uint8_t big[40000];
	struct buf b = buf_make(MAX);
	struct taken t;
	(void)state;

	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
		v0_tdx(&b, (struct bytes){big, n[i]});
		take(&t, buf_view(&b));
		assert_null(t.wrong);
		assert_int_equal(t.out.evidence.n, n[i]);
		drop(&t);
	}
	for (int wrong = 0; wrong < 4; wrong++) {
		b.n = 0;
		buf_put(&b, "\0\0", 2);
		if (wrong == 0)
			buf_le16(&b, 63 << 2 | 1);
		if (wrong == 1)
			buf_le32(&b, 63 << 2 | 2);
		if (wrong == 2)
			buf_le32(&b, 16383 << 2 | 2);
		if (wrong == 3)
			buf_put(&b, "\x03\x3f\0\0\0", 5);
		buf_put(&b, big, wrong == 2 ? 16383 : 63);
		compact(&b, 0);
		v0_end(&b);
		expect_wrong(buf_view(&b), "to its last octet");
	}
	buf_free(&b);
}

static void strict_version_0(void **state)
{
	static const char *const modes[] = {"mode is gcp-tdx", "mode is nitro-enclave", NULL,
	                                    "mode is aws-nitro-tpm", "does not know"};
	struct bytes is_short = {report().p, SNP_REPORT_LEN - 1};
	struct buf b = buf_make(MAX);
	clock_t begin;
	(void)state;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		v0_tdx(&b, quote());
		b.p[1] = (uint8_t)(i + 1);
		if (modes[i])
			expect_wrong(buf_view(&b), modes[i]);
	}
	v0_snp(&b, is_short);
	expect_wrong(buf_view(&b), "no SNP report");

	/* As many certificates as are taken, and one more. */
	for (uint32_t n = CMW_ENDORSEMENTS_MAX; n <= CMW_ENDORSEMENTS_MAX + 1; n++) {
		struct taken t;

		v0_snp_head(&b, report());
		compact(&b, n);
		for (uint32_t i = 0; i < n; i++)
			octets(&b, bytes_str("c"));
		octets(&b, BYTES_NONE);
		v0_end(&b);
		take(&t, buf_view(&b));
		assert_int_equal(!t.wrong, n == CMW_ENDORSEMENTS_MAX);
		if (!t.wrong)
			assert_int_equal(t.out.endorsements_n, n);
		drop(&t);
	}

	/* More events than there could be, of which each is looked for no longer than there are
	 * octets. */
	b.n = 0;
	buf_put(&b, "\0\0", 2);
	octets(&b, quote());
	compact(&b, (1U << 30) - 1);
	v0_end(&b);
	begin = clock();
	expect_wrong(buf_view(&b), "to its last octet");
	assert_true(clock() - begin < CLOCKS_PER_SEC);
	buf_free(&b);
}

/* A form that was never written for this mode: mode, then quotes that may be missing. */
static void the_first_form_of_version_0(void **state)
{
	struct buf b = buf_make(MAX);
	(void)state;

	buf_put(&b, "\0\0\x01", 3);
	octets(&b, quote());
	compact(&b, 0);
	buf_u8(&b, 0);
	v0_end(&b);
	expect_wrong(buf_view(&b), "to its last octet");
	buf_free(&b);
}

/* -------------------------------------------------------------------------------- V1 */

static void text(struct buf *b, const char *s)
{
	size_t n = strlen(s);

	if (n >= 0x20)
		buf_u8(b, 0xd9);
	buf_u8(b, (uint8_t)(n < 0x20 ? 0xa0 + n : n));
	buf_str(b, s);
}

/* As an array of integers, to which `more` are added behind. */
static void numbers_and(struct buf *b, struct bytes v, size_t more)
{
	if (v.n + more < 0x10) {
		buf_u8(b, (uint8_t)(0x90 + v.n + more));
	} else {
		buf_u8(b, 0xdc);
		buf_be16(b, (uint16_t)(v.n + more));
	}
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] >= 0x80)
			buf_u8(b, 0xcc);
		buf_u8(b, v.p[i]);
	}
}

static void numbers(struct buf *b, struct bytes v)
{
	numbers_and(b, v, 0);
}

/* What is wrong with it; the number of each is in the order in which it is written. */
enum wrong {
	NOTHING,
	OTHER_ORDER,
	UNKNOWN_KEY,
	NO_VERSION,
	VERSION_2,
	VERSION_TEXT,
	NO_STACK,
	NO_KIND,
	KIND_NUMBER,
	NO_DATA,
	NO_EVIDENCE,
	EVIDENCE_BYTES,
	EVIDENCE_256,
	EVIDENCE_TWICE,
	EVIDENCE_LARGE,
	NO_CHAIN,
	CHAIN_BYTES,
	CHAIN_OF_TEXT,
	CHAIN_LONG,
	CHAIN_LARGE,
};

static void v1_stack(struct buf *b)
{
	text(b, "stack");
	buf_u8(b, 0x82);
	text(b, "kind");
	text(b, "dstack");
	text(b, "data");
	buf_u8(b, 0x83);
	text(b, "report_data");
	numbers(b, bytes_str("\x09\x09"));
	text(b, "runtime_events");
	buf_u8(b, 0x91);
	buf_u8(b, 0x83);
	text(b, "event");
	text(b, "app-id");
	text(b, "payload");
	text(b, "AQI=");
	text(b, "version");
	buf_u8(b, 2);
	text(b, "config");
	text(b, "{\"os_image_hash\":\"0000000000000000\"}");
}

static void v1_events(struct buf *b)
{
	text(b, "event_log");
	buf_u8(b, 0x91);
	buf_u8(b, 0x85);
	text(b, "imr");
	buf_u8(b, 3);
	text(b, "event_type");
	buf_u8(b, 0xce);
	buf_be32(b, 0x08000001);
	text(b, "digest");
	buf_put(b, "\xc4\0", 2);
	text(b, "event");
	text(b, "compose-hash");
	text(b, "event_payload");
	buf_put(b, "\xc4\x02\x01\x02", 4);
}

static void v1_chain(struct buf *b, enum wrong wrong)
{
	static uint8_t large[RATLS_EVIDENCE_MAX - SNP_REPORT_LEN];

	text(b, wrong == NO_CHAIN ? "chain" : "cert_chain");
	if (wrong == CHAIN_BYTES) {
		buf_put(b, "\xc4\x01x", 3);
	} else if (wrong == CHAIN_OF_TEXT) {
		buf_u8(b, 0x91);
		text(b, "certificate");
	} else if (wrong == CHAIN_LONG) {
		buf_u8(b, 0xdc);
		buf_be16(b, CMW_ENDORSEMENTS_MAX + 1);
		for (int i = 0; i <= CMW_ENDORSEMENTS_MAX; i++)
			numbers(b, BYTES_NONE);
	} else {
		buf_u8(b, 0x92);
		numbers(b, wrong == CHAIN_LARGE ? BYTES_OF(large) : bytes_str("certificate"));
		numbers(b, wrong == CHAIN_LARGE ? bytes_str("x") : BYTES_NONE);
	}
}

static void v1_evidence(struct buf *b, const char *key, struct bytes v, enum wrong wrong)
{
	static uint8_t large[RATLS_EVIDENCE_MAX + 1];

	text(b, wrong == NO_EVIDENCE ? "evidence" : key);
	if (wrong == EVIDENCE_BYTES)
		buf_put(b, "\xc4\x01x", 3);
	else
		numbers_and(b, wrong == EVIDENCE_LARGE ? BYTES_OF(large) : v,
		            wrong == EVIDENCE_256);
	if (wrong == EVIDENCE_256)
		buf_put(b, "\xcd\x01\0", 3);
}

static void v1_data(struct buf *b, bool snp, struct bytes v, enum wrong wrong)
{
	const char *key = snp ? "report" : "quote";

	text(b, wrong == NO_DATA ? "content" : "data");
	buf_u8(b, (uint8_t)(0x82 + snp + (wrong == EVIDENCE_TWICE)));
	if (wrong != OTHER_ORDER)
		v1_evidence(b, key, v, wrong);
	if (wrong == EVIDENCE_TWICE)
		v1_evidence(b, key, v, wrong);
	if (snp) {
		v1_chain(b, wrong);
		text(b, "mr_config");
		text(b, "{}");
	} else {
		v1_events(b);
	}
	if (wrong == OTHER_ORDER)
		v1_evidence(b, key, v, wrong);
}

static void v1_kind(struct buf *b, const char *kind, enum wrong wrong)
{
	text(b, wrong == NO_KIND ? "mode" : "kind");
	if (wrong == KIND_NUMBER)
		buf_u8(b, 0);
	else
		text(b, kind);
}

static void v1_version(struct buf *b, enum wrong wrong)
{
	text(b, wrong == NO_VERSION ? "edition" : "version");
	if (wrong == VERSION_TEXT)
		text(b, "1");
	else
		buf_u8(b, wrong == VERSION_2 ? 2 : 1);
}

static struct bytes v1(struct buf *b, const char *kind, struct bytes v, enum wrong wrong)
{
	bool snp = !strcmp(kind, "sev-snp");

	b->n = 0;
	buf_u8(b, (uint8_t)(0x83 - (wrong == NO_STACK) + (wrong == UNKNOWN_KEY)));
	if (wrong == OTHER_ORDER)
		v1_stack(b);
	else
		v1_version(b, wrong);
	if (wrong == UNKNOWN_KEY) {
		text(b, "quote");
		numbers(b, bytes_str("another"));
	}
	text(b, "platform");
	buf_u8(b, 0x82);
	if (wrong != OTHER_ORDER)
		v1_kind(b, kind, wrong);
	v1_data(b, snp, v, wrong);
	if (wrong == OTHER_ORDER)
		v1_kind(b, kind, wrong);
	if (wrong == OTHER_ORDER)
		v1_version(b, wrong);
	else if (wrong != NO_STACK)
		v1_stack(b);
	assert_false(b->bad);
	return buf_view(b);
}

static void version_1(void **state)
{
	struct buf b = buf_make(MAX);
	(void)state;

	v1(&b, "tdx", quote(), NOTHING);
	every_length_but_its_own(&b, expect_quote);
	v1(&b, "sev-snp", report(), NOTHING);
	every_length_but_its_own(&b, expect_report);
	for (enum wrong i = OTHER_ORDER; i <= UNKNOWN_KEY; i++) {
		expect_quote(v1(&b, "tdx", quote(), i));
		expect_report(v1(&b, "sev-snp", report(), i));
	}
	buf_free(&b);
}

static void strict_version_1(void **state)
{
	static const struct {
		enum wrong wrong;
		bool snp;
		const char *why;
	} rows[] = {
	        {NO_VERSION, false, "not a map"},
	        {VERSION_2, false, "a version"},
	        {VERSION_TEXT, false, "a version"},
	        {NO_STACK, false, "not a map"},
	        {NO_KIND, false, "its platform"},
	        {KIND_NUMBER, false, "no text"},
	        {NO_DATA, false, "its platform"},
	        {NO_EVIDENCE, false, "no quote"},
	        {EVIDENCE_BYTES, false, "its quote"},
	        {EVIDENCE_256, false, "its quote"},
	        {EVIDENCE_TWICE, false, "no quote"},
	        {EVIDENCE_LARGE, false, "its quote"},
	        {NO_EVIDENCE, true, "no report or no chain"},
	        {EVIDENCE_BYTES, true, "no SNP report"},
	        {EVIDENCE_256, true, "no SNP report"},
	        {EVIDENCE_TWICE, true, "no report or no chain"},
	        {EVIDENCE_LARGE, true, "no SNP report"},
	        {NO_CHAIN, true, "no report or no chain"},
	        {CHAIN_BYTES, true, "no array"},
	        {CHAIN_OF_TEXT, true, "its chain is not octets"},
	        {CHAIN_LONG, true, "too many"},
	        {CHAIN_LARGE, true, "its chain is not octets"},
	};
	struct bytes is_short = {report().p, SNP_REPORT_LEN - 1};
	struct buf b = buf_make(MAX);
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_wrong(v1(&b, rows[i].snp ? "sev-snp" : "tdx",
		                rows[i].snp ? report() : quote(), rows[i].wrong),
		             rows[i].why);
	expect_wrong(v1(&b, "gcp-tdx", quote(), NOTHING), "mode is gcp-tdx");
	expect_wrong(v1(&b, "nitro-enclave", quote(), NOTHING), "mode is nitro-enclave");
	expect_wrong(v1(&b, "aws-nitro-tpm", quote(), NOTHING), "mode is aws-nitro-tpm");
	expect_wrong(v1(&b, "TDX", quote(), NOTHING), "does not know");
	expect_wrong(v1(&b, "sev-snp", is_short, NOTHING), "no SNP report");
	expect_wrong(BYTES_NONE, "to its last octet");
	expect_wrong(bytes_str("\x93\x01\x02\x03"), "not a map");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(version_0),
	        cmocka_unit_test(as_dstack_writes_it),
	        cmocka_unit_test(lengths_have_one_form),
	        cmocka_unit_test(strict_version_0),
	        cmocka_unit_test(the_first_form_of_version_0),
	        cmocka_unit_test(version_1),
	        cmocka_unit_test(strict_version_1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
