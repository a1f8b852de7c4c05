/* SPDX-License-Identifier: Apache-2.0 */
/* The leaf: what a statement must be, member by member, and its end. */
#include "tests/unit/ledger_vectors.h"

#include <errno.h>

#define H96 \
	"83cc264ee152bc5576937cd2a9bb079d2defc670e4b618663a9c5b1adcacef84716cdd24d524ef5c50d38e63" \
	"798746f1"
#define Z96 \
	"0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" \
	"00000000"
#define H64     "a29b805e6144e47800ff28d5d61b6d8a7df7aa2ba26b1ecb401a511e1adae93e"
#define TYPE    "\"_type\":\"https://in-toto.io/Statement/v1\""
#define SUBJECT "\"subject\":[{\"digest\":{\"sha256\":\"" H64 "\"},\"name\":\"image\"}]"
#define PTYPE   "\"predicateType\":\"https://ledger.example/predicate/tee-measurement/v1\""
#define SNP     "\"snp_measurement\":\"" H96 "\""
#define SNP_ID  "\"id-key-digest\":\"" H96 "\",\"family-id\":\"0102030405060708090a0b0c0d0e0f10\""
#define VERSION "\"version\":\"1.2.3\""
#define TDX     "\"mrtd\":\"" H96 "\",\"rtmr1\":\"" H96 "\",\"rtmr2\":\"" Z96 "\""

#define SGX   "\"mrenclave\":\"" H64 "\",\"mrsigner\":\"" H64 "\""
#define NITRO "\"pcr0\":\"" H96 "\",\"pcr8\":\"" H96 "\""

#define WITH(type, subject, ptype, predicate) \
	"{" type "," subject "," ptype ",\"predicate\":{" predicate "}}"
#define PREDICATE(p) WITH(TYPE, SUBJECT, PTYPE, p)
#define GOOD         PREDICATE(SNP "," VERSION)

static int parse(const char *text, struct statement *out, struct checks *c)
{
	*c = (struct checks){0};
	return ledger_statement_parse(bytes_str(text), TEST_TIME, out, c);
}

/* ------------------------------------------------------------------ vectors */

static void entry_row(const struct row *r, void *ctx)
{
	struct statement s;
	struct checks c = {0};
	struct bytes leaf;
	size_t n = strlen(r->f[0]);

	if (strncmp(r->f[0], "proof/tlog/syn-", 15) != 0 || strcmp(r->f[0] + n - 6, ".entry") != 0)
		return;
	leaf = vector_read(r->f[0]);
	if (strstr(r->f[0], "split-view")) { /* four bytes that say nothing */
		assert_int_equal(ledger_statement_parse(leaf, TEST_TIME, &s, &c), -EINVAL);
		assert_only(&c, "ledger.statement", CHECK_FAIL);
	} else {
		assert_int_equal(ledger_statement_parse(leaf, TEST_TIME, &s, &c), 0);
		assert_overall(r->f[0], &c, CHECK_PASS);
		assert_int_equal(s.tees, 2);
		assert_int_equal(statement_find(&s, "snp")->n, 1);
		assert_int_equal(statement_find(&s, "tdx")->n, 3);
		assert_string_equal(s.predicate_type, STATEMENT_PREDICATE);
		assert_int_equal(strncmp(s.subject, "cvm-image-", 10), 0);
		assert_true(s.not_after == VERDICT_FOREVER);
		(*(size_t *)ctx)++;
	}
	bytes_done(leaf);
}

static void entry_vectors(void **state)
{
	size_t n = 0;

	(void)state;
	need_vectors("INDEX.tsv");
	each_row("INDEX.tsv", entry_row, &n);
	assert_int_equal(n, 10);
}

/* ------------------------------------------------------------------ members */

static void content(void **state)
{
	uint8_t want[48];
	uint8_t digest[32];
	struct statement s;
	struct checks c;
	const struct measurement *m;

	(void)state;
	assert_int_equal(hex_decode(bytes_str(H96), want, 48), 0);
	assert_int_equal(hex_decode(bytes_str(H64), digest, 32), 0);
	assert_int_equal(parse(PREDICATE(SNP "," VERSION ",\"tdx\":{" TDX ",\"rtmr0\":\"" H96
	                                     "\",\"rtmr3\":\"" Z96 "\"},\"not_after\":1800000001"),
	                       &s, &c),
	                 0);
	assert_overall("all members", &c, CHECK_PASS);
	assert_string_equal(s.subject, "image");
	assert_memory_equal(s.subject_sha256, digest, 32);
	assert_string_equal(s.version, "1.2.3");
	assert_int_equal(s.not_after, 1800000001);
	m = measurement_find(statement_find(&s, "snp"), "measurement");
	assert_non_null(m);
	assert_int_equal(m->len, 48);
	assert_memory_equal(m->value, want, 48);
	assert_int_equal(statement_find(&s, "tdx")->n, 5);
	m = measurement_find(statement_find(&s, "tdx"), "mrtd");
	assert_non_null(m);
	assert_memory_equal(m->value, want, 48);
	m = measurement_find(statement_find(&s, "tdx"), "rtmr3");
	assert_non_null(m);
	assert_true(bytes_all_zero(m->value, m->len));

	assert_int_equal(parse(PREDICATE("\"tdx\":{" TDX "}," VERSION), &s, &c), 0);
	assert_null(statement_find(&s, "snp"));
	assert_int_equal(statement_find(&s, "tdx")->n, 3);
}

/* The table: platforms apart, each with its launch measurement first, lengths that fit. */
static void table(void **state)
{
	size_t tees = 0, of_tee = 0;

	(void)state;
	for (size_t i = 0; i < statement_registers; i++) {
		const struct statement_register *r = &statement_register[i];
		bool first = !i || strcmp(r[-1].tee, r->tee) != 0;

		assert_ptr_equal(statement_register_find(r->tee, r->name), r);
		assert_true(r->len <= MEASUREMENT_MAX);
		assert_false(statement_register_takes(r->len, 0));
		assert_false(statement_register_takes(r->len, MEASUREMENT_MAX + 1));
		assert_in_range(strlen(r->name), 1, sizeof(((struct measurement *)0)->name) - 1);
		assert_in_range(strlen(r->tee), 1, sizeof(((struct statement_tee *)0)->tee) - 1);
		if (first)
			assert_true(r->required);
		tees += first;
		of_tee = first ? 1 : of_tee + 1;
		assert_true(of_tee <= MEASUREMENTS_MAX);
	}
	assert_int_equal(tees, STATEMENT_TEES_MAX);
	assert_null(statement_register_find("snp", "mrtd"));
	assert_null(statement_register_find("tdx", "mrt"));
}

/* Every register of every platform, in one statement. */
static void every_register(void **state)
{
	struct buf b = buf_make(LEAF_MAX);
	const char *tee = "";
	struct statement s;
	struct checks c;
	uint32_t n = 0;

	(void)state;
	buf_str(&b, "{" TYPE "," SUBJECT "," PTYPE ",\"predicate\":{" VERSION "," SNP ",");
	for (size_t i = 0; i < statement_registers; i++) {
		const struct statement_register *r = &statement_register[i];

		/* It stands outside. */
		if (r == statement_register_find("snp", "measurement"))
			continue;
		if (strcmp(tee, r->tee) != 0)
			buf_printf(&b, "%s\"%s\":{", *tee ? "}," : "", r->tee);
		buf_printf(&b, "%s\"%s\":\"%0*d\"", strcmp(tee, r->tee) ? "" : ",", r->name,
		           r->len ? 2 * r->len : 64, 1);
		tee = r->tee;
	}
	buf_str(&b, "}}}");
	buf_u8(&b, 0);
	assert_int_equal(parse((char *)b.p, &s, &c), 0);
	assert_int_equal(s.tees, STATEMENT_TEES_MAX);
	for (uint32_t t = 0; t < s.tees; t++)
		n += s.tee[t].registers.n;
	assert_int_equal(n, statement_registers);
	for (size_t i = 0; i < statement_registers; i++) {
		const struct statement_register *r = &statement_register[i];

		assert_int_equal(measurement_find(statement_find(&s, r->tee), r->name)->len,
		                 r->len ? r->len : 32);
	}
	buf_free(&b);
}

static void other_platforms(void **state)
{
	struct statement s;
	struct checks c;

	(void)state;
	assert_int_equal(parse(PREDICATE("\"sgx\":{" SGX "}," VERSION), &s, &c), 0);
	assert_int_equal(s.tees, 1);
	assert_int_equal(measurement_find(statement_find(&s, "sgx"), "mrenclave")->len, 32);
	assert_int_equal(parse(PREDICATE("\"nitro\":{" NITRO "}," VERSION), &s, &c), 0);
	assert_int_equal(measurement_find(statement_find(&s, "nitro"), "pcr0")->len, 48);
	/* The lengths of digests, and no other. */
	assert_int_equal(parse(PREDICATE("\"cca\":{\"rim\":\"" H64 "\"}," VERSION), &s, &c), 0);
	assert_int_equal(measurement_find(statement_find(&s, "cca"), "rim")->len, 32);
	assert_int_equal(parse(PREDICATE("\"cca\":{\"rim\":\"" H64 H64 "\"}," VERSION), &s, &c), 0);
	assert_int_equal(measurement_find(statement_find(&s, "cca"), "rim")->len, 64);
	assert_int_equal(parse(PREDICATE("\"cca\":{\"rim\":\"" H96 H64 "\"}," VERSION), &s, &c),
	                 -EINVAL);
	assert_string_equal(checks_find(&c, "ledger.statement")->detail,
	                    "cca.rim is not 64, 96 or 128 lower-case hex digits");
	assert_int_equal(parse(PREDICATE("\"sgx\":{\"mrsigner\":\"" H64 "\"}," VERSION), &s, &c),
	                 -EINVAL);
	assert_string_equal(checks_find(&c, "ledger.statement")->detail, "sgx has no mrenclave");
	assert_int_equal(
	        parse(PREDICATE("\"nitro\":{" NITRO ",\"pcr32\":\"" H96 "\"}," VERSION), &s, &c),
	        -EINVAL);
	assert_string_equal(checks_find(&c, "ledger.statement")->detail,
	                    "nitro names what is no register");
	assert_int_equal(parse(PREDICATE("\"nitro\":{\"pcr0\":\"" Z96 "\"}," VERSION), &s, &c),
	                 -EINVAL);
	assert_string_equal(checks_find(&c, "ledger.statement")->detail, "nitro.pcr0 is zero");
}

/* Beside the measurement of SNP, which has a member of its own. */
static void snp_id_block(void **state)
{
	const struct measurements *m;
	struct statement s;
	struct checks c;

	(void)state;
	assert_int_equal(parse(PREDICATE(SNP ",\"snp\":{" SNP_ID "}," VERSION), &s, &c), 0);
	assert_overall("with an ID block", &c, CHECK_PASS);
	m = statement_find(&s, "snp");
	assert_int_equal(s.tees, 1);
	assert_int_equal(m->n, 3);
	assert_string_equal(m->v[0].name, "measurement");
	assert_int_equal(measurement_find(m, "family-id")->len, 16);
	assert_int_equal(measurement_find(m, "id-key-digest")->len, 48);
	assert_int_equal(parse(PREDICATE("\"snp\":{" SNP_ID "}," VERSION), &s, &c), -EINVAL);
	assert_string_equal(checks_find(&c, "ledger.statement")->detail,
	                    "snp is there without snp_measurement");
	assert_int_equal(
	        parse(PREDICATE(SNP ",\"snp\":{\"measurement\":\"" H96 "\"}," VERSION), &s, &c),
	        -EINVAL);
	assert_string_equal(checks_find(&c, "ledger.statement")->detail,
	                    "snp names what is no register");
}

static void expiry(void **state)
{
	struct statement s;
	struct checks c;

	(void)state;
	assert_int_equal(parse(PREDICATE(SNP "," VERSION ",\"not_after\":1800000001"), &s, &c), 0);
	assert_overall("one second left", &c, CHECK_PASS);
	assert_int_equal(parse(PREDICATE(SNP "," VERSION ",\"not_after\":1800000000"), &s, &c), 0);
	assert_only(&c, "ledger.expired", CHECK_FAIL);
	assert_int_equal(s.not_after, 1800000000);
	assert_int_equal(
	        parse(PREDICATE(SNP "," VERSION ",\"not_after\":9223372036854775807"), &s, &c), 0);
	assert_overall("the end of time", &c, CHECK_PASS);
}

static void refused(void **state)
{
	static const char *const bad[] = {
	        "",
	        "null",
	        "\"text\"",
	        "[]",
	        "{}",
	        "EVIL",
	        GOOD "x",
	        GOOD GOOD,
	        "\xef\xbb\xbf" GOOD,
	        /* the statement's own members */
	        "{" SUBJECT "," PTYPE ",\"predicate\":{" SNP "," VERSION "}}",
	        "{" TYPE "," PTYPE ",\"predicate\":{" SNP "," VERSION "}}",
	        "{" TYPE "," SUBJECT ",\"predicate\":{" SNP "," VERSION "}}",
	        "{" TYPE "," SUBJECT "," PTYPE "}",
	        "{" TYPE "," SUBJECT "," PTYPE ",\"predicate\":[]}",
	        "{" TYPE "," SUBJECT "," PTYPE ",\"more\":1,\"predicate\":{" SNP "," VERSION "}}",
	        "{" TYPE "," TYPE "," SUBJECT "," PTYPE ",\"predicate\":{" SNP "," VERSION "}}",
	        WITH("\"_type\":\"https://in-toto.io/Statement/v0.1\"", SUBJECT, PTYPE,
	             SNP "," VERSION),
	        WITH("\"_type\":1", SUBJECT, PTYPE, SNP "," VERSION),
	        WITH("\"_type\":\"https://in-toto.io/Statement/v1\\u0000\"", SUBJECT, PTYPE,
	             SNP "," VERSION),
	        WITH(TYPE, SUBJECT, "\"predicateType\":\"https://x/tee-measurement/v2\"",
	             SNP "," VERSION),
	        WITH(TYPE, SUBJECT, "\"predicateType\":\"http://x/tee-measurement/v1\"",
	             SNP "," VERSION),
	        WITH(TYPE, SUBJECT, "\"predicateType\":\"https://tee-measurement/v1\"",
	             SNP "," VERSION),
	        WITH(TYPE, SUBJECT, "\"predicateType\":\"https://a b/tee-measurement/v1\"",
	             SNP "," VERSION),
	        /* the subject */
	        WITH(TYPE, "\"subject\":[]", PTYPE, SNP "," VERSION),
	        WITH(TYPE, "\"subject\":{}", PTYPE, SNP "," VERSION),
	        WITH(TYPE,
	             "\"subject\":[{\"digest\":{\"sha256\":\"" H64 "\"},\"name\":\"a\"},"
	             "{\"digest\":{\"sha256\":\"" H64 "\"},\"name\":\"b\"}]",
	             PTYPE, SNP "," VERSION),
	        WITH(TYPE, "\"subject\":[1]", PTYPE, SNP "," VERSION),
	        WITH(TYPE, "\"subject\":[{\"name\":\"a\"}]", PTYPE, SNP "," VERSION),
	        WITH(TYPE, "\"subject\":[{\"digest\":{\"sha256\":\"" H64 "\"}}]", PTYPE,
	             SNP "," VERSION),
	        WITH(TYPE, "\"subject\":[{\"digest\":{},\"name\":\"a\"}]", PTYPE, SNP "," VERSION),
	        WITH(TYPE, "\"subject\":[{\"digest\":{\"sha256\":\"" H64 "\"},\"name\":\"\"}]",
	             PTYPE, SNP "," VERSION),
	        WITH(TYPE, "\"subject\":[{\"digest\":{\"sha256\":\"A" H64 "\"},\"name\":\"a\"}]",
	             PTYPE, SNP "," VERSION),
	        WITH(TYPE,
	             "\"subject\":[{\"digest\":{\"sha256\":\"" H64
	             "\"},\"name\":\"a\",\"uri\":\"b\"}]",
	             PTYPE, SNP "," VERSION),
	        WITH(TYPE,
	             "\"subject\":[{\"digest\":{\"sha256\":\"" H64
	             "\",\"sha512\":\"00\"},\"name\":\"a\"}]",
	             PTYPE, SNP "," VERSION),
	        /* the predicate */
	        PREDICATE(VERSION),
	        PREDICATE(SNP),
	        PREDICATE(SNP "," VERSION ",\"more\":1"),
	        PREDICATE(SNP ",\"version\":1"),
	        PREDICATE(SNP ",\"version\":\"\""),
	        PREDICATE(SNP ",\"version\":\"a\\nb\""),
	        PREDICATE(SNP ",\"version\":\"" H64 "\""),
	        PREDICATE("\"snp_measurement\":\"" H64 "\"," VERSION),
	        PREDICATE("\"snp_measurement\":\"" Z96 "\"," VERSION),
	        PREDICATE("\"snp_measurement\":\"" H96 "00\"," VERSION),
	        PREDICATE("\"snp_measurement\":null," VERSION),
	        PREDICATE("\"snp_measurement\":\"8A" Z96 "\"," VERSION),
	        PREDICATE(SNP "," VERSION ",\"not_after\":0"),
	        PREDICATE(SNP "," VERSION ",\"not_after\":-1"),
	        PREDICATE(SNP "," VERSION ",\"not_after\":1.5"),
	        PREDICATE(SNP "," VERSION ",\"not_after\":\"1900000000\""),
	        PREDICATE(SNP "," VERSION ",\"not_after\":9223372036854775808"),
	        PREDICATE(SNP "," VERSION ",\"not_after\":null"),
	        PREDICATE("\"tdx\":{}," VERSION),
	        PREDICATE("\"tdx\":{\"mrtd\":\"" H96 "\"}," VERSION),
	        PREDICATE("\"tdx\":{" TDX ",\"rtmr4\":\"" H96 "\"}," VERSION),
	        PREDICATE("\"tdx\":{\"mrtd\":\"" Z96 "\",\"rtmr1\":\"" H96 "\",\"rtmr2\":\"" H96
	                  "\"}," VERSION),
	        PREDICATE("\"tdx\":[]," VERSION),
	        PREDICATE("\"snp\":{}," VERSION),
	        PREDICATE("\"snp\":{" SNP_ID "}," VERSION),
	        PREDICATE("\"snp\":{\"measurement\":\"" H96 "\"}," VERSION),
	        PREDICATE(SNP ",\"snp\":{\"measurement\":\"" H96 "\"}," VERSION),
	        PREDICATE(SNP ",\"snp\":{\"host-data\":\"" H64 "\"}," VERSION),
	        PREDICATE(SNP ",\"snp\":{\"family-id\":\"" H64 "\"}," VERSION),
	        PREDICATE(SNP ",\"snp\":[]," VERSION),
	        PREDICATE("\"sgx\":{}," VERSION),
	        PREDICATE("\"sgx\":{\"mrenclave\":\"" H96 "\"}," VERSION),
	        PREDICATE("\"sgx\":{\"mrenclave\":1}," VERSION),
	        PREDICATE("\"sgx\":{" SGX ",\"configid\":\"" H64 "\"}," VERSION),
	        PREDICATE("\"cca\":{\"rem0\":\"" H64 "\"}," VERSION),
	        PREDICATE("\"cca\":{\"rim\":\"\"}," VERSION),
	        PREDICATE("\"cca\":{\"rim\":\"" H64 "\",\"rpv\":\"" H64 "\"}," VERSION),
	        PREDICATE("\"nitro\":{\"pcr1\":\"" H96 "\"}," VERSION),
	        PREDICATE("\"nitro\":{" NITRO "}"),
	        PREDICATE("\"tdx\":{" TDX ",\"mrtd\":\"" H96 "\"}," VERSION),
	};
	struct statement s;
	struct checks c;

	(void)state;
	assert_int_equal(parse(GOOD, &s, &c), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (parse(bad[i], &s, &c) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
		assert_only(&c, "ledger.statement", CHECK_FAIL);
	}
}

/* Upper case is another spelling of the same bytes: two leaves for one statement. */
static void upper_case(void **state)
{
	struct statement s;
	struct checks c;
	char text[] = GOOD;
	char *hex = strstr(text, "83cc264e");

	(void)state;
	assert_non_null(hex);
	hex[2] = 'C';
	assert_int_equal(parse(text, &s, &c), -EINVAL);
	hex[2] = 'c';
	assert_int_equal(parse(text, &s, &c), 0);
}

static void limits(void **state)
{
	struct buf b = buf_make(2 * LEAF_MAX);
	struct statement s;
	struct checks c = {0};

	(void)state;
	buf_str(&b, GOOD);
	while (b.n < LEAF_MAX)
		buf_u8(&b, ' ');
	assert_int_equal(ledger_statement_parse(buf_view(&b), TEST_TIME, &s, &c), 0);
	buf_u8(&b, ' ');
	c = (struct checks){0};
	assert_int_equal(ledger_statement_parse(buf_view(&b), TEST_TIME, &s, &c), -EINVAL);
	assert_only(&c, "ledger.statement", CHECK_FAIL);
	/* Deep nesting ends in an error. */
	buf_reset(&b);
	while (b.n < LEAF_MAX)
		buf_u8(&b, '[');
	c = (struct checks){0};
	assert_int_equal(ledger_statement_parse(buf_view(&b), TEST_TIME, &s, &c), -EINVAL);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(entry_vectors),   cmocka_unit_test(content),
	        cmocka_unit_test(expiry),          cmocka_unit_test(refused),
	        cmocka_unit_test(upper_case),      cmocka_unit_test(limits),
	        cmocka_unit_test(table),           cmocka_unit_test(every_register),
	        cmocka_unit_test(other_platforms), cmocka_unit_test(snp_id_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
