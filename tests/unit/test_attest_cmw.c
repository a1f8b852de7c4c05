/* SPDX-License-Identifier: Apache-2.0 */
/* The CMW collection: what is built is read back, and every other encoding is refused. */
#include "tests/unit/attest_build.h"

#include <errno.h>
#include "attest/cmw.h"

/* CBOR by hand, for what the builder would never write. */
static void put_head(struct buf *b, unsigned major, uint64_t n)
{
	if (n < 24) {
		buf_u8(b, (uint8_t)(major << 5 | n));
	} else if (n < 256) {
		buf_u8(b, (uint8_t)(major << 5 | 24));
		buf_u8(b, (uint8_t)n);
	} else {
		buf_u8(b, (uint8_t)(major << 5 | 25));
		buf_be16(b, (uint16_t)n);
	}
}

static void put_text(struct buf *b, const char *s)
{
	put_head(b, 3, strlen(s));
	buf_str(b, s);
}

static void put_member(struct buf *b, const char *label, const char *type, const char *value,
                       int indicator)
{
	put_text(b, label);
	put_head(b, 4, indicator < 0 ? 2 : 3);
	put_text(b, type);
	put_head(b, 2, strlen(value));
	buf_str(b, value);
	if (indicator >= 0)
		put_head(b, 0, (uint64_t)indicator);
}

static void put_type(struct buf *b)
{
	put_text(b, "__cmwc_t");
	put_text(b, CMW_TYPE_COLLECTION);
}

static void put_evidence(struct buf *b)
{
	put_member(b, "evidence", "application/vnd.keygate.snp-report", "E", 4);
}

static struct buf collection(unsigned members)
{
	struct buf b = buf_make(1 << 16);

	put_head(&b, 5, members);
	return b;
}

static void expect_parse(struct buf *b, int want)
{
	struct cmw c;
	/* On the heap at its exact size, so that a read behind the end is seen. */
	uint8_t *exact = malloc(b->n ? b->n : 1);

	memcpy(exact, b->p, b->n);
	assert_int_equal(cmw_parse((struct bytes){exact, b->n}, false, &c), want);
	free(exact);
	buf_free(b);
}

static struct cmw full(void)
{
	struct cmw c = {
	        .evidence_type = "application/vnd.keygate.snp-report",
	        .evidence = bytes_str("the evidence"),
	        .leaf = bytes_str("{\"leaf\":1}"),
	        .proof = bytes_str("c2sp.org/tlog-proof@v1\n"),
	        .bundle = bytes_str("{\"bundle\":1}"),
	        .statement = bytes_str("statement"),
	        .endorsements_n = CMW_ENDORSEMENTS_MAX,
	};
	static char text[CMW_ENDORSEMENTS_MAX][16];

	for (unsigned i = 0; i < CMW_ENDORSEMENTS_MAX; i++) {
		snprintf(text[i], sizeof(text[i]), "endorse %u", i);
		c.endorsements[i] = bytes_str(text[i]);
	}
	return c;
}

static void round_trip(void **state)
{
	(void)state;

	for (uint32_t n = 0; n <= CMW_ENDORSEMENTS_MAX; n++) {
		struct cmw c = full(), d;
		struct buf b = buf_make(1 << 16), again = buf_make(1 << 16);

		c.endorsements_n = n;
		c.lease_s = n % 4 ? UINT32_C(0xfffffffc) + n % 4 : 0;
		if (n % 3 == 0)
			c.leaf = BYTES_NONE;
		if (n % 3 == 1)
			c.proof = BYTES_NONE;
		if (n % 3 == 2)
			c.bundle = c.statement = BYTES_NONE;
		assert_int_equal(cmw_build(&c, &b), 0);
		assert_int_equal(cmw_parse(buf_view(&b), c.lease_s != 0, &d), 0);
		assert_int_equal(d.lease_s, c.lease_s);
		assert_string_equal(d.evidence_type, c.evidence_type);
		assert_true(bytes_equal(d.evidence, c.evidence));
		assert_true(bytes_equal(d.leaf, c.leaf));
		assert_true(bytes_equal(d.proof, c.proof));
		assert_true(bytes_equal(d.bundle, c.bundle));
		assert_true(bytes_equal(d.statement, c.statement));
		assert_int_equal(d.endorsements_n, n);
		for (uint32_t i = 0; i < n; i++)
			assert_true(bytes_equal(d.endorsements[i], c.endorsements[i]));
		assert_int_equal(cmw_build(&d, &again), 0);
		assert_true(bytes_equal(buf_view(&b), buf_view(&again)));
		buf_free(&b);
		buf_free(&again);
	}
}

static void what_can_not_be_built(void **state)
{
	struct buf b = buf_make(1 << 16);
	struct cmw c = full();
	(void)state;

	c.evidence = BYTES_NONE;
	assert_int_equal(cmw_build(&c, &b), -EINVAL);
	c = full();
	c.evidence_type[0] = 0;
	assert_int_equal(cmw_build(&c, &b), -EINVAL);
	c = full();
	c.endorsements[3] = BYTES_NONE;
	assert_int_equal(cmw_build(&c, &b), -EINVAL);
	c = full();
	c.endorsements_n++;
	assert_int_equal(cmw_build(&c, &b), -EINVAL);
	assert_int_equal(b.n, 0);
	buf_free(&b);
	b = buf_make(40);
	c = full();
	assert_int_equal(cmw_build(&c, &b), -ENOMEM);
	buf_free(&b);
}

static void order_and_indicator_are_free(void **state)
{
	struct buf b = collection(3);
	(void)state;

	put_member(&b, "evidence", "application/x", "E", -1);
	put_member(&b, "endorsement.0", CMW_TYPE_ENDORSEMENT, "C", -1);
	put_type(&b);
	expect_parse(&b, 0);
}

static void members_are_exactly_the_known_ones(void **state)
{
	struct buf b;
	(void)state;

	b = collection(2); /* the one that passes */
	put_type(&b);
	put_evidence(&b);
	expect_parse(&b, 0);

	b = collection(1); /* no type */
	put_evidence(&b);
	expect_parse(&b, -EINVAL);

	b = collection(1); /* no evidence */
	put_type(&b);
	expect_parse(&b, -EINVAL);

	b = collection(2); /* another collection */
	put_text(&b, "__cmwc_t");
	put_text(&b, "tag:example.com,2026:x");
	put_evidence(&b);
	expect_parse(&b, -EINVAL);

	b = collection(3);
	put_type(&b);
	put_evidence(&b);
	put_member(&b, "extra", CMW_TYPE_LEAF, "X", 1);
	expect_parse(&b, -EINVAL);

	b = collection(3); /* each twice */
	put_type(&b);
	put_evidence(&b);
	put_evidence(&b);
	expect_parse(&b, -EINVAL);
	b = collection(3);
	put_type(&b);
	put_type(&b);
	put_evidence(&b);
	expect_parse(&b, -EINVAL);
	b = collection(4);
	put_type(&b);
	put_evidence(&b);
	put_member(&b, "leaf", CMW_TYPE_LEAF, "L", 1);
	put_member(&b, "leaf", CMW_TYPE_LEAF, "L", 1);
	expect_parse(&b, -EINVAL);
	b = collection(4);
	put_type(&b);
	put_evidence(&b);
	put_member(&b, "endorsement.0", CMW_TYPE_ENDORSEMENT, "C", 2);
	put_member(&b, "endorsement.0", CMW_TYPE_ENDORSEMENT, "D", 2);
	expect_parse(&b, -EINVAL);
}

static void endorsements_are_numbered(void **state)
{
	static const char *const labels[] = {"endorsement.1",  "endorsement.", "endorsement.00",
	                                     "endorsement.16", "endorsement",  "endorsement.-1",
	                                     "endorsement.0 ", "Endorsement.0"};
	struct buf b;
	(void)state;

	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		b = collection(3);
		put_type(&b);
		put_evidence(&b);
		put_member(&b, labels[i], CMW_TYPE_ENDORSEMENT, "C", 2);
		expect_parse(&b, -EINVAL);
	}
}

static void records_have_their_type_and_indicator(void **state)
{
	static const struct {
		const char *label, *type, *value;
		int indicator;
	} bad[] = {
	        {"leaf", CMW_TYPE_PROOF, "x", 1},
	        {"leaf", CMW_TYPE_LEAF, "x", 4},
	        {"leaf", CMW_TYPE_LEAF, "", 1},
	        {"proof", CMW_TYPE_LEAF, "x", 1},
	        {"proof", CMW_TYPE_PROOF, "x", 2},
	        {"proof", CMW_TYPE_PROOF, "", -1},
	        {"bundle", CMW_TYPE_PROOF, "x", 1},
	        {"bundle", CMW_TYPE_BUNDLE, "x", 2},
	        {"bundle", CMW_TYPE_BUNDLE, "", -1},
	        {"statement", CMW_TYPE_BUNDLE, "x", 1},
	        {"statement", CMW_TYPE_STATEMENT, "x", 4},
	        {"statement", CMW_TYPE_STATEMENT, "", -1},
	        {"endorsement.0", "application/vnd.keygate.snp-report", "x", 2},
	        {"endorsement.0", CMW_TYPE_ENDORSEMENT, "x", 4},
	        {"endorsement.0", CMW_TYPE_ENDORSEMENT, "", 2},
	};
	static const struct {
		const char *type, *value;
		int indicator;
	} evidence[] = {
	        {"application/x", "", 4},  {"", "E", 4},
	        {"a b", "E", 4},           {"a\x7f", "E", 4},
	        {"a\n", "E", 4},           {"\xc3\xa4", "E", 4},
	        {"application/x", "E", 2}, {"application/x", "E", 20},
	};
	char longest[CMW_TYPE_MAX + 1];
	struct buf b;
	(void)state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		b = collection(3);
		put_type(&b);
		put_evidence(&b);
		put_member(&b, bad[i].label, bad[i].type, bad[i].value, bad[i].indicator);
		expect_parse(&b, -EINVAL);
	}
	for (size_t i = 0; i < sizeof(evidence) / sizeof(evidence[0]); i++) {
		b = collection(2);
		put_type(&b);
		put_member(&b, "evidence", evidence[i].type, evidence[i].value,
		           evidence[i].indicator);
		expect_parse(&b, -EINVAL);
	}
	memset(longest, 'x', sizeof(longest));
	for (size_t n = CMW_TYPE_MAX - 1; n <= CMW_TYPE_MAX; n++) {
		longest[n] = 0;
		b = collection(2);
		put_type(&b);
		put_member(&b, "evidence", longest, "E", 4);
		expect_parse(&b, n < CMW_TYPE_MAX ? 0 : -EINVAL);
		longest[n] = 'x';
	}
}

/* A good collection with one item replaced by other bytes of the same or another meaning. */
static void only_one_encoding_is_read(void **state)
{
	static const struct {
		const char *what;
		uint8_t head[16];
		size_t n;
	} maps[] = {
	        {"indefinite map", {0xbf}, 1},
	        {"two in two bytes", {0xb8, 2}, 2},
	        {"two in nine bytes", {0xbb, 0, 0, 0, 0, 0, 0, 0, 2}, 9},
	        {"a tag before", {0xc1, 0xa2}, 2},
	        {"a large tag", {0xda, 0x63, 0x74, 0x01, 0x01, 0xa2}, 6},
	        {"array", {0x82}, 1},
	        {"too few", {0xa1}, 1},
	        {"too many", {0xa3}, 1},
	        {"all there can be", {0xbb, 255, 255, 255, 255, 255, 255, 255, 255}, 9},
	        {"empty", {0xa0}, 1},
	        {"break", {0xff}, 1},
	        {"reserved", {0xbc}, 1},
	};
	struct buf b;
	(void)state;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		b = buf_make(1 << 16);
		buf_put(&b, maps[i].head, maps[i].n);
		put_type(&b);
		put_evidence(&b);
		if (maps[i].head[0] == 0xbf)
			buf_u8(&b, 0xff);
		expect_parse(&b, -EINVAL);
	}
	b = collection(2); /* behind the end */
	put_type(&b);
	put_evidence(&b);
	buf_u8(&b, 0);
	expect_parse(&b, -EINVAL);
	b = collection(2); /* an integer as label */
	put_type(&b);
	put_head(&b, 0, 1);
	put_head(&b, 4, 2);
	put_text(&b, "t");
	put_head(&b, 2, 0);
	expect_parse(&b, -EINVAL);
}

static void only_one_encoding_of_a_record(void **state)
{
	static const struct {
		const char *what;
		uint8_t v[24];
		size_t n;
	} records[] = {
	        {"passes", {0x83, 0x61, 't', 0x41, 'E', 4}, 6},
	        {"indefinite array", {0x9f, 0x61, 't', 0x41, 'E', 0xff}, 6},
	        {"one element", {0x81, 0x61, 't'}, 3},
	        {"four elements", {0x84, 0x61, 't', 0x41, 'E', 4, 4}, 7},
	        {"long array", {0x98, 3, 0x61, 't', 0x41, 'E', 4}, 7},
	        {"long text", {0x83, 0x78, 1, 't', 0x41, 'E', 4}, 7},
	        {"long bytes", {0x83, 0x61, 't', 0x58, 1, 'E', 4}, 7},
	        {"long integer", {0x83, 0x61, 't', 0x41, 'E', 0x18, 4}, 7},
	        {"indefinite text", {0x83, 0x7f, 0x61, 't', 0xff, 0x41, 'E', 4}, 8},
	        {"indefinite bytes", {0x83, 0x61, 't', 0x5f, 0x41, 'E', 0xff, 4}, 8},
	        {"content format", {0x83, 0x05, 0x41, 'E', 4}, 5},
	        {"text for bytes", {0x83, 0x61, 't', 0x61, 'E', 4}, 6},
	        {"negative indicator", {0x83, 0x61, 't', 0x41, 'E', 0x24}, 6},
	        {"null indicator", {0x83, 0x61, 't', 0x41, 'E', 0xf6}, 6},
	        {"nested map", {0x83, 0x61, 't', 0xa0, 4}, 5},
	        {"nested record", {0x83, 0x61, 't', 0x82, 0x61, 't', 0x41, 'E', 4}, 9},
	        {"more than there is",
	         {0x83, 0x61, 't', 0x5b, 0x7f, 255, 255, 255, 255, 255, 255, 255},
	         12},
	        {"all there can be",
	         {0x83, 0x61, 't', 0x5b, 255, 255, 255, 255, 255, 255, 255, 255},
	         12},
	        {"text longer than all", {0x83, 0x7b, 255, 255, 255, 255, 255, 255, 255, 255}, 10},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		struct buf b = collection(2);

		put_type(&b);
		put_text(&b, "evidence");
		buf_put(&b, records[i].v, records[i].n);
		if (i)
			print_message("%s\n", records[i].what);
		expect_parse(&b, i ? -EINVAL : 0);
	}
}

static void cut_anywhere(void **state)
{
	struct cmw c = full(), d;
	struct buf b = buf_make(1 << 16);
	(void)state;

	assert_int_equal(cmw_build(&c, &b), 0);
	for (size_t n = 0; n < b.n; n++) {
		uint8_t *exact = malloc(n ? n : 1);

		memcpy(exact, b.p, n);
		assert_int_equal(cmw_parse((struct bytes){exact, n}, false, &d), -EINVAL);
		free(exact);
	}
	buf_free(&b);
}

static void a_lease_has_one_form_and_was_asked_for(void **state)
{
	static const struct {
		const char *what;
		uint8_t v[48];
		size_t n;
		bool asked;
	} records[] = {
#define TYPE \
	0x78, 29, 'a', 'p', 'p', 'l', 'i', 'c', 'a', 't', 'i', 'o', 'n', '/', 'v', 'n', 'd', '.', \
	        'k', 'e', 'y', 'g', 'a', 't', 'e', '.', 'l', 'e', 'a', 's', 'e'
	        {"passes", {0x82, TYPE, 0x44, 0, 0, 2, 1}, 37, true},
	        {"was not asked for", {0x82, TYPE, 0x44, 0, 0, 2, 1}, 37, false},
	        {"no time", {0x82, TYPE, 0x44, 0, 0, 0, 0}, 37, true},
	        {"three octets", {0x82, TYPE, 0x43, 0, 2, 1}, 36, true},
	        {"five octets", {0x82, TYPE, 0x45, 0, 0, 0, 2, 1}, 38, true},
	        {"none", {0x82, TYPE, 0x40}, 33, true},
	        {"an indicator", {0x83, TYPE, 0x44, 0, 0, 2, 1, 1}, 38, true},
	        {"a number", {0x82, TYPE, 0x19, 2, 1}, 35, true},
	        {"text", {0x82, TYPE, 0x64, 'a', 'b', 'c', 'd'}, 37, true},
	        {"another type", {0x82, 0x61, 't', 0x44, 0, 0, 2, 1}, 8, true},
	        {"no record", {0x44, 0, 0, 2, 1}, 5, true},
	};
	(void)state;

	for (int twice = 0; twice <= 1; twice++)
		for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
			struct buf b = collection(3 + (unsigned)twice);
			struct cmw c;
			int rc;

			put_type(&b);
			put_evidence(&b);
			for (int k = 0; k <= twice; k++) {
				put_text(&b, "lease");
				buf_put(&b, records[i].v, records[i].n);
			}
			rc = cmw_parse(buf_view(&b), records[i].asked, &c);
			if (rc != (i || twice ? -EINVAL : 0) || (!rc && c.lease_s != 513))
				fail_msg("%s", records[i].what);
			buf_free(&b);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(round_trip),
	        cmocka_unit_test(what_can_not_be_built),
	        cmocka_unit_test(order_and_indicator_are_free),
	        cmocka_unit_test(members_are_exactly_the_known_ones),
	        cmocka_unit_test(endorsements_are_numbered),
	        cmocka_unit_test(records_have_their_type_and_indicator),
	        cmocka_unit_test(only_one_encoding_is_read),
	        cmocka_unit_test(only_one_encoding_of_a_record),
	        cmocka_unit_test(cut_anywhere),
	        cmocka_unit_test(a_lease_has_one_form_and_was_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
