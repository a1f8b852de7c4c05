/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of a watched log: whose they are, who expects them, and what the policy can say of it. */
#include "policy_files.h"

#define SNP   "11111111111111111111111111111111" ONES
#define OTHER "22222222222222222222222222222222" ONES

#define LEDGER(more) \
	"default-action = allow\n" \
	"ledger acme { policy = acme.policy\nurl = \"https://log.example/\"\n" more "}\n" \
	"destination d { address = \"192.0.2.0/24\"\nport = 443\naction = gate\n" \
	"tee = {snp, tdx, sgx, nitro}\nmin-tcb = \"snp=1\"\nledger = acme\n}\n"
#define PREDICATE(members) \
	",\"predicateType\":\"" STATEMENT_PREDICATE "\",\"predicate\":{" members "}}"
#define STATEMENT(name, members) \
	"{\"_type\":\"" STATEMENT_TYPE "\",\"subject\":[{\"name\":\"" name \
	"\",\"digest\":{\"sha256\":\"" ONES "\"}}]" PREDICATE(members)

static const char service[] =
        STATEMENT("service", "\"version\":\"1.2\",\"snp_measurement\":\"" SNP "\"");

static struct policy_alert alert;

/* A warning may say that nothing is expected. */
static struct policy *parse(const char *text)
{
	struct policy_issues issues;
	struct policy *p = NULL;

	if (parse_two(text, NULL, &p, &issues))
		print_issues(&issues);
	assert_non_null(p);
	return p;
}

/* What the ledger that has these lines says of the entry; keeps the alert. */
static int judged(const char *text, const char *entry)
{
	struct policy *p = parse(text);
	int ret = policy_watch(p, 0, 7, bytes_str(entry), &alert);

	policy_free(p);
	return ret;
}

static void unexpected(void **state)
{
	struct hash leaf;

	(void)state;
	assert_int_equal(judged(LEDGER("watch = {\"*\"}\n"), service), 1);
	ledger_leaf_hash(bytes_str(service), &leaf);
	assert_int_equal(alert.index, 7);
	assert_memory_equal(alert.leaf.v, leaf.v, HASH_LEN);
	assert_string_equal(alert.code, "ledger.unexpected");
	assert_string_equal(alert.subject, "service");
	assert_string_equal(alert.version, "1.2");
	assert_string_equal(alert.detail, "snp:" SNP);
	assert_int_equal(alert.launches, 1);
	assert_int_equal(alert.launch[0].tee, TEE_SNP);
	assert_int_equal(alert.launch[0].len, 48);
	assert_true(alert.launch[0].alone);
}

static void whose(void **state)
{
	(void)state;
	assert_int_equal(judged(LEDGER("watch = {\"service\"}\n"), service), 1);
	assert_int_equal(judged(LEDGER("watch = {\"other\", \"ser*\"}\n"), service), 1);
	assert_int_equal(judged(LEDGER("watch = {\"servic\"}\n"), service), 0);
	assert_int_equal(judged(LEDGER("watch = {\"*services\"}\n"), service), 0);
}

static void expected_by_measurement(void **state)
{
	(void)state;
	assert_int_equal(judged(LEDGER("watch = {\"*\"}\nexpected = {\"snp:" SNP "\"}\n"), service),
	                 0);
	assert_int_equal(
	        judged(LEDGER("watch = {\"*\"}\nexpected = {\"snp:" OTHER "\"}\n"), service), 1);
	/* The same digits of another platform are another measurement. */
	assert_int_equal(
	        judged(LEDGER("watch = {\"*\"}\nexpected = {\"nitro:" SNP "\"}\n"), service), 1);
	assert_int_equal(
	        judged(LEDGER("watch = {\"*\"}\nexpected-file = releases.list\n"), service), 0);
}

static void expected_by_leaf(void **state)
{
	char text[1024], hex[65];
	struct hash leaf;

	(void)state;
	ledger_leaf_hash(bytes_str(service), &leaf);
	hex_encode(BYTES_OF(leaf.v), hex);
	snprintf(text, sizeof(text), LEDGER("watch = {\"*\"}\nexpected = {\"leaf:%s\"}\n"), hex);
	assert_int_equal(judged(text, service), 0);
	hex[0] = hex[0] == '0' ? '1' : '0';
	snprintf(text, sizeof(text), LEDGER("watch = {\"*\"}\nexpected = {\"leaf:%s\"}\n"), hex);
	assert_int_equal(judged(text, service), 1);
}

/* One platform that nobody expects, or one register more than what is expected, is enough. */
static void expected_as_a_whole(void **state)
{
	static const char two[] =
	        STATEMENT("service", "\"version\":\"1\",\"snp_measurement\":\"" SNP
	                             "\",\"nitro\":{\"pcr0\":\"" OTHER "\"}");
	static const char more[] =
	        STATEMENT("service", "\"version\":\"1\",\"nitro\":{\"pcr0\":\"" SNP
	                             "\",\"pcr2\":\"" OTHER "\"}");

	(void)state;
	assert_int_equal(judged(LEDGER("watch = {\"*\"}\nexpected = {\"snp:" SNP "\"}\n"), two), 1);
	assert_string_equal(alert.detail, "snp:" SNP " and more");
	assert_int_equal(judged(LEDGER("watch = {\"*\"}\nexpected = {\"nitro:" OTHER "\"}\n"), two),
	                 1);
	assert_int_equal(judged(LEDGER("watch = {\"*\"}\nexpected = {\"snp:" SNP
	                               "\", \"nitro:" OTHER "\"}\n"),
	                        two),
	                 0);
	assert_int_equal(judged(LEDGER("watch = {\"*\"}\nexpected = {\"nitro:" SNP "\"}\n"), more),
	                 1);
	assert_false(alert.launch[0].alone);
}

/* What destinations of the ledger name needs no second list; those of another one don't count. */
static void expected_by_destinations(void **state)
{
	struct policy *p = parse(LEDGER("watch = {\"*\"}\n"));
	struct policy_destination *d = &p->destination[0];
	struct policy_measurement m = {.tee = TEE_SNP, .m = {.len = 48}};

	(void)state;
	memset(m.m.value, 0x11, 48);
	d->measurement = calloc(1, sizeof(m));
	*d->measurement = m;
	d->measurements = 1;
	assert_int_equal(policy_watch(p, 0, 0, bytes_str(service), &alert), 0);
	d->ledger = -1;
	assert_int_equal(policy_watch(p, 0, 0, bytes_str(service), &alert), 1);
	d->measurements = 0;
	d->leaf[0] = (struct bytes){(uint8_t *)strdup(service), strlen(service)};
	d->leaves = 1;
	assert_int_equal(policy_watch(p, 0, 0, bytes_str(service), &alert), 1);
	assert_false(policy_alert_expected(p, 0, &alert));
	d->ledger = 0;
	assert_int_equal(policy_watch(p, 0, 0, bytes_str(service), &alert), 0);
	assert_true(policy_alert_expected(p, 0, &alert));
	policy_free(p);
}

/* A list says so, and a destination denies it; the very statement may be known all the same. */
static void expected_and_denied(void **state)
{
	struct policy *p = parse_good(LEDGER("watch = {\"*\"}\nexpected = {\"snp:" SNP "\"}\n"));
	struct policy_destination *d = &p->destination[0];
	struct policy_expected leaf = {.len = HASH_LEN};
	struct hash h;

	(void)state;
	d->denied = calloc(1, sizeof(*d->denied));
	d->denied[0].kind = DENIED_MEASUREMENT;
	d->denied[0].measurement = (struct policy_measurement){.tee = TEE_SNP, .m = {.len = 48}};
	memset(d->denied[0].measurement.m.value, 0x11, 48);
	d->denieds = 1;
	assert_int_equal(policy_watch(p, 0, 0, bytes_str(service), &alert), 1);
	d->ledger = -1;
	assert_int_equal(policy_watch(p, 0, 0, bytes_str(service), &alert), 0);
	d->ledger = 0;
	ledger_leaf_hash(bytes_str(service), &h);
	memcpy(leaf.value, h.v, HASH_LEN);
	p->ledger[0].expected[0] = leaf;
	assert_int_equal(policy_watch(p, 0, 0, bytes_str(service), &alert), 0);
	policy_free(p);
}

static void nothing_is_expected(void **state)
{
	struct policy_issues issues;
	struct policy *p = NULL;

	(void)state;
	assert_int_equal(parse_two(LEDGER("watch = {\"*\"}\n"), NULL, &p, &issues), 0);
	assert_int_equal(issues.n, 1);
	assert_false(issues.v[0].error);
	assert_non_null(strstr(issues.v[0].text, "expects nothing"));
	policy_free(p);
}

static void unreadable(void **state)
{
	static const struct {
		const char *watch, *entry;
		int want;
	} cases[] = {
	        {"*", "", 1},
	        {"*", "not JSON", 1},
	        {"service", "not JSON", 0},
	        {"service", "not JSON of the service", 1},
	        {"acme-service*", "of acme-service-x", 1},
	        {"acme-service*x", "of acme", 0},
	        /* Another type of statement, and a name that only a reader of JSON finds. */
	        {"service", "{\"subject\":[{\"name\":\"\\u0073ervice\"}]}", 1},
	        {"service", "{\"subject\":[{\"name\":\"\\u0074ervice\"}]}", 0},
	        {"service", "{\"subject\":[{\"name\":7}]}", 0},
	        {"service", "{\"subject\":7}", 0},
	};
	struct buf many = buf_make(65536);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[1024];

		snprintf(text, sizeof(text), LEDGER("watch = {\"%s\"}\n"), cases[i].watch);
		assert_int_equal(judged(text, cases[i].entry), cases[i].want);
		if (!cases[i].want)
			continue;
		assert_string_equal(alert.code, "ledger.unreadable");
		assert_true(alert.detail[0] && !alert.subject[0] && !alert.launches);
	}
	/* So many names are not looked through. */
	buf_str(&many, "{\"subject\":[0");
	for (int i = 0; i < SIGSTORE_SUBJECTS_MAX - 1; i++)
		buf_str(&many, ",0");
	buf_str(&many, "]}");
	buf_u8(&many, 0);
	assert_int_equal(judged(LEDGER("watch = {\"service\"}\n"), (char *)many.p), 0);
	many.n -= 3;
	buf_str(&many, ",0]}");
	buf_u8(&many, 0);
	assert_int_equal(judged(LEDGER("watch = {\"service\"}\n"), (char *)many.p), 1);
	buf_free(&many);
}

/* One that is unreadable can be expected by its leaf. */
static void unreadable_and_known(void **state)
{
	char text[1024], hex[65];
	struct hash leaf;

	(void)state;
	ledger_leaf_hash(bytes_str("not JSON"), &leaf);
	hex_encode(BYTES_OF(leaf.v), hex);
	snprintf(text, sizeof(text), LEDGER("watch = {\"*\"}\nexpected = {\"leaf:%s\"}\n"), hex);
	assert_int_equal(judged(text, "not JSON"), 0);
}

static void lists(void **state)
{
	struct policy *p = parse_good(LEDGER("watch = {\"a\", \"b*\"}\nexpected = {\"leaf:" ONES
	                                     "\"}\nexpected-file = releases.list\n"));
	const struct policy_ledger *l = &p->ledger[0];

	(void)state;
	assert_int_equal(l->watches, 2);
	assert_string_equal(l->watch[1], "b*");
	assert_int_equal(l->expecteds, 3);
	assert_int_equal(l->expected[0].tee, TEE_NONE);
	assert_int_equal(l->expected[0].len, 32);
	assert_int_equal(l->expected[2].tee, TEE_SNP);
	assert_int_equal(l->expected[2].len, 48);
	policy_free(p);
	p = parse_good(LEDGER(""));
	assert_int_equal(p->ledger[0].watches, 0);
	policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(unexpected),
	        cmocka_unit_test(whose),
	        cmocka_unit_test(expected_by_measurement),
	        cmocka_unit_test(expected_by_leaf),
	        cmocka_unit_test(expected_as_a_whole),
	        cmocka_unit_test(expected_by_destinations),
	        cmocka_unit_test(expected_and_denied),
	        cmocka_unit_test(nothing_is_expected),
	        cmocka_unit_test(unreadable),
	        cmocka_unit_test(unreadable_and_known),
	        cmocka_unit_test(lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
