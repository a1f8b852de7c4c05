/* SPDX-License-Identifier: Apache-2.0 */
/* Policy bundles: what gate reads from disk is, byte for byte, what verify parses. */
#include "policy_files.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/file.h"
#include "daemon/bundle.h"
#include "daemon/gate.h"

static char dir[64];
static char config[128], policy_dir[128], collateral[128];
static struct bundle_paths paths;
static struct policy_issues issues;

static const char one[] = "default-action = allow\n"
                          "ledger acme { policy = acme.policy }\n"
                          "destination d {\n"
                          "\taddress = 192.0.2.1\n\tport = 443\n\taction = gate\n"
                          "\ttee = snp\n\tmin-tcb = \"snp=1\"\n\tledger = acme\n}\n";

static int rm_one(const char *path, const struct stat *sb, int type, struct FTW *f)
{
	(void)sb, (void)type, (void)f;
	return remove(path);
}

static void put(const char *name, struct bytes content)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(file_write_atomic(path, content, 0600), 0);
}

static int setup(void **state)
{
	struct buf text = buf_make(8192);

	(void)state;
	strcpy(dir, "/tmp/keygate-bundle.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(config, sizeof(config), "%s/keygate.conf", dir);
	snprintf(policy_dir, sizeof(policy_dir), "%s/policy.d", dir);
	snprintf(collateral, sizeof(collateral), "%s/collateral", dir);
	assert_int_equal(mkdir(policy_dir, 0700), 0);
	paths = (struct bundle_paths){config, policy_dir, {collateral, NULL}, false};
	put_tlog_policy(&text, "two");
	put("policy.d/acme.policy", buf_view(&text));
	put("policy.d/10-one.conf", bytes_str(one));
	buf_free(&text);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void load(struct bundle *b, struct policy **p)
{
	int ret = bundle_load(&paths, TEST_NOW, b, p, &issues);

	if (ret)
		print_issues(&issues);
	assert_int_equal(ret, 0);
}

static void expect_issue(const char *file, const char *text)
{
	struct bundle b = {0};
	struct policy *p = NULL;

	assert_int_equal(bundle_load(&paths, TEST_NOW, &b, &p, &issues), -EINVAL);
	assert_null(p);
	assert_true(issues.errors > 0);
	assert_non_null(strstr(issues.v[0].where.file, file));
	if (!strstr(issues.v[0].text, text))
		fail_msg("\"%s\" says nothing of \"%s\"", issues.v[0].text, text);
}

static void test_the_same_bytes_the_same_policy(void **state)
{
	struct buf bytes = buf_make(BUNDLE_MAX);
	struct bundle b = {0}, again = {0};
	struct policy *p = NULL, *q = NULL;
	uint8_t x[32], y[32];

	(void)state;
	load(&b, &p);
	assert_int_equal(b.n, 2); /* the file, and what it refers to */
	assert_int_equal(bundle_write(&b, &bytes), 0);
	assert_int_equal(bytes.n, b.size);
	assert_int_equal(bundle_read(buf_view(&bytes), &again), 0);
	assert_int_equal(bundle_parse(&again, TEST_NOW, &q, &issues), 0);
	assert_int_equal(q->destinations, 1);
	assert_int_equal(policy_set_digest(p, 0, x), 0);
	assert_int_equal(policy_set_digest(q, 0, y), 0);
	assert_memory_equal(x, y, sizeof(x));
	policy_free(p);
	policy_free(q);
	bundle_free(&b);
	bundle_free(&again);
	buf_free(&bytes);
}

static void test_order_and_names(void **state)
{
	struct bundle b = {0};
	struct policy *p = NULL;

	(void)state;
	put("policy.d/20-two.conf", bytes_str("destination e { address = 192.0.2.2 action = deny "
	                                      "port = 1-65535 }\n"));
	put("policy.d/05-none.txt", bytes_str("not ours {"));
	put("policy.d/.hidden.conf", bytes_str("not ours {"));
	put("keygate.conf", bytes_str("# first\n"));
	load(&b, &p);
	assert_int_equal(p->destinations, 2);
	assert_string_equal(p->destination[0].name, "d");
	assert_string_equal(p->destination[1].name, "e");
	assert_string_equal(b.v[0].path, config);
	policy_free(p);
	bundle_free(&b);
}

static void test_collateral(void **state)
{
	struct bundle b = {0};
	struct policy *p = NULL;
	char path[256];
	uint8_t *cert;
	size_t n;

	(void)state;
	assert_int_equal(mkdir(collateral, 0700), 0);
	cert = some_cert(1, &n);
	put("collateral/lab.der", (struct bytes){cert, n});
	put("collateral/tcb.json", bytes_str(SOME_TCB_INFO));
	put("collateral/README", bytes_str("what lies here"));
	load(&b, &p);
	assert_int_equal(p->endorsements, 1);
	assert_true(bytes_equal(p->endorsement[0], (struct bytes){cert, n}));
	assert_int_equal(collateral_store_pieces(p->collateral), 1);
	/* What can't be used is said and takes nothing down. */
	assert_int_equal(issues.n, 1);
	assert_false(issues.v[0].error);
	assert_non_null(strstr(issues.v[0].where.file, "collateral/README"));
	policy_free(p);
	bundle_free(&b);
	snprintf(path, sizeof(path), "%s/README", collateral);
	assert_int_equal(unlink(path), 0);
	/* A second directory, and one within it that is none of our business. */
	snprintf(path, sizeof(path), "%s/more", collateral);
	assert_int_equal(mkdir(path, 0700), 0);
	put("collateral/more/lab.der", (struct bytes){cert, n});
	put("collateral/more/README", bytes_str("what lies here"));
	load(&b, &p);
	assert_int_equal(issues.n, 0);
	assert_int_equal(p->endorsements, 1);
	policy_free(p);
	bundle_free(&b);
	paths.collateral[1] = path;
	load(&b, &p);
	assert_int_equal(issues.n, 1);
	policy_free(p);
	bundle_free(&b);
	free(cert);
	for (int i = 0; i < POLICY_ENDORSEMENTS_MAX; i++) {
		char name[64];

		snprintf(name, sizeof(name), "collateral/x%d", i);
		cert = some_cert(2 + i, &n);
		put(name, (struct bytes){cert, n});
		free(cert);
	}
	expect_issue("collateral", "more than");
}

static void test_what_is_missing(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/policy.d/acme.policy", dir);
	assert_int_equal(unlink(path), 0);
	expect_issue("10-one.conf", "acme.policy");
	snprintf(path, sizeof(path), "%s/policy.d/10-one.conf", dir);
	assert_int_equal(unlink(path), 0);
	expect_issue("policy.d", "no *.conf");
	paths.config_must = true;
	expect_issue("keygate.conf", "can't be read");
}

static void test_errors_carry_file_and_line(void **state)
{
	(void)state;
	put("policy.d/20-bad.conf", bytes_str("\n\ndestination {\n"));
	expect_issue("20-bad.conf", "");
	assert_true(issues.v[0].where.line >= 3);
}

static void test_a_bundle_without_its_reference(void **state)
{
	struct bundle b = {0};
	struct policy *p = NULL;

	(void)state;
	assert_int_equal(bundle_add(&b, BUNDLE_CONF, "a.conf", bytes_str(one)), 0);
	assert_int_equal(bundle_parse(&b, TEST_NOW, &p, &issues), -EINVAL);
	assert_null(p);
	bundle_free(&b);
}

/* ------------------------------------------------------------------ hostile bytes */

static void put_entry(struct buf *b, uint8_t kind, const char *path, size_t path_n,
                      struct bytes content)
{
	buf_u8(b, kind);
	buf_be16(b, (uint16_t)path_n);
	buf_put(b, path, path_n);
	buf_be32(b, (uint32_t)content.n);
	buf_bytes(b, content);
}

static void refuses(const struct buf *b)
{
	struct bundle out = {0};

	assert_int_equal(bundle_read(buf_view(b), &out), -EINVAL);
	assert_int_equal(out.n, 0);
	assert_null(out.v);
}

static void start(struct buf *b, uint32_t n)
{
	buf_reset(b);
	buf_str(b, "KGB1");
	buf_be32(b, n);
}

static void test_malformed(void **state)
{
	struct buf b = buf_make(1 << 20);
	struct bundle out = {0};

	(void)state;
	start(&b, 1);
	put_entry(&b, BUNDLE_CONF, "a.conf", 7, bytes_str("x"));
	assert_int_equal(bundle_read(buf_view(&b), &out), 0);
	bundle_free(&out);
	/* Every cut of a good one. */
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(bundle_read((struct bytes){b.p, n}, &out), -EINVAL);
	buf_u8(&b, 0); /* something behind */
	refuses(&b);
	b.p[0] = 'X';
	refuses(&b);
	start(&b, 2); /* one is missing */
	put_entry(&b, BUNDLE_CONF, "a.conf", 7, bytes_str("x"));
	refuses(&b);
	start(&b, BUNDLE_ENTRIES_MAX + 1);
	refuses(&b);
	start(&b, 1);
	put_entry(&b, 0, "a.conf", 7, bytes_str("x"));
	refuses(&b);
	start(&b, 1);
	put_entry(&b, BUNDLE_COLLATERAL + 1, "a.conf", 7, bytes_str("x"));
	refuses(&b);
	start(&b, 1);
	put_entry(&b, BUNDLE_CONF, "a.conf", 6, bytes_str("x")); /* no NUL */
	refuses(&b);
	start(&b, 1);
	put_entry(&b, BUNDLE_CONF, "a\0conf", 7, bytes_str("x")); /* two */
	refuses(&b);
	start(&b, 1);
	put_entry(&b, BUNDLE_CONF, "", 1, bytes_str("x"));
	refuses(&b);
	buf_free(&b);
}

static void test_limits(void **state)
{
	struct bundle b = {0};
	uint8_t *big = calloc(1, BUNDLE_FILE_MAX + 1);
	char name[BUNDLE_PATH_MAX + 2];

	(void)state;
	assert_int_equal(
	        bundle_add(&b, BUNDLE_REF, "big", (struct bytes){big, BUNDLE_FILE_MAX + 1}),
	        -E2BIG);
	memset(name, 'x', sizeof(name));
	name[BUNDLE_PATH_MAX] = '\0';
	assert_int_equal(bundle_add(&b, BUNDLE_REF, name, BYTES_NONE), -E2BIG);
	assert_int_equal(bundle_add(&b, BUNDLE_NONE, "x", BYTES_NONE), -EINVAL);
	assert_int_equal(bundle_add(&b, BUNDLE_REF, "", BYTES_NONE), -EINVAL);
	for (int i = 0; i < BUNDLE_MAX / BUNDLE_FILE_MAX - 1; i++)
		assert_int_equal(
		        bundle_add(&b, BUNDLE_REF, "big", (struct bytes){big, BUNDLE_FILE_MAX}), 0);
	assert_int_equal(bundle_add(&b, BUNDLE_REF, "big", (struct bytes){big, BUNDLE_FILE_MAX}),
	                 -E2BIG);
	bundle_free(&b);
	free(big);
}

/* ----------------------------------------------------------------------- changes */

static void digest_of(const char *more, uint8_t out[static 32])
{
	struct policy *p = parse_good(more);

	assert_int_equal(policy_set_digest(p, 0, out), 0);
	policy_free(p);
}

static void test_a_change_shows(void **state)
{
	static const char *const different[] = {
	        GATE("lease = 10m\n"),
	        GATE("server-name = a.example\n"),
	        GATE("server-key = "
	             "sha256:1111111111111111111111111111111111111111111111111111111111111111\n"),
	        GATE("chip-id = "
	             "1111111111111111111111111111111111111111111111111111111111111111"
	             "1111111111111111111111111111111111111111111111111111111111111111\n"),
	        GATE("host-data = "
	             "1111111111111111111111111111111111111111111111111111111111111111\n"),
	        GATE("measurement = 111111111111111111111111111111111111111111111111"
	             "111111111111111111111111111111111111111111111111\n"),
	        GATE("min-tcb = {\"microcode=9\"}\n"),
	        GATE("vmpl = 1\n"),
	        GATE_HEAD "destination d { address = 192.0.2.9 port = 443 action = gate tee = snp "
	                  "ledger = acme }\n",
	        GATE_HEAD
	        "destination d { address = 192.0.2.0/24 port = 444 action = gate tee = snp "
	        "ledger = acme }\n",
	        GATE_HEAD
	        "destination d { address = 192.0.2.0/24 port = 443 action = gate tee = tdx "
	        "ledger = acme }\n",
	        "default-action = allow\nledger acme { policy = acme.policy max-age = 2h }\n"
	        "destination d {\n" GATE_MUST "}\n",
	        "default-action = allow\nledger acme { policy = single.policy }\n"
	        "destination d {\n" GATE_MUST "}\n",
	        "default-action = allow\nledger acme { policy = acme.policy first-use = refuse }\n"
	        "destination d {\n" GATE_MUST "}\n",
	};
	uint8_t base[32], same[32], other[32];

	(void)state;
	digest_of(GATE(""), base);
	digest_of("# moved by a line\n" GATE(""), same);
	assert_memory_equal(base, same, sizeof(base));
	for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++) {
		struct policy *p = NULL;
		int ret = parse_two(different[i], NULL, &p, &issues);

		if (ret)
			print_issues(&issues);
		assert_int_equal(ret, 0);
		assert_int_equal(policy_set_digest(p, 0, other), 0);
		if (!memcmp(base, other, sizeof(base)))
			fail_msg("not seen: %s", different[i]);
		policy_free(p);
	}
}

/* Who must have signed the release, and by what that is told. */
static void test_a_change_of_release_shows(void **state)
{
	struct policy *p = parse_good(GATE(""));
	uint8_t seen[16][32], now[32];
	uint8_t key[] = {1}, bundle[] = {1};
	struct policy_release *r = calloc(1, sizeof(*r));
	char *const fields[] = {r->name,
	                        r->identity.issuer,
	                        r->identity.san,
	                        r->identity.repository,
	                        r->identity.ref,
	                        r->identity.predicate_type,
	                        (char *)r->trusted.v};
	size_t n = 0;

	(void)state;
	assert_int_equal(policy_set_digest(p, 0, seen[n++]), 0);
	p->release = r;
	p->releases = 1;
	p->destination[0].release = 0;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) + 3; i++) {
		if (i > 2)
			fields[i - 3][0] = 'x';
		else if (i == 1)
			r->identity.key = (struct bytes){key, 1};
		else if (i == 2)
			r->bundle = (struct bytes){bundle, 1};
		assert_int_equal(policy_set_digest(p, 0, now), 0);
		for (size_t k = 0; k < n; k++)
			assert_memory_not_equal(now, seen[k], sizeof(now));
		memcpy(seen[n++], now, sizeof(now));
	}
	r->identity.key = r->bundle = BYTES_NONE;
	policy_free(p);
}

/* Keys of platforms that have registers and ratings: no two of these policies are alike. */
static void test_a_change_of_platform_keys_shows(void **state)
{
#define X48 \
	"111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111" \
	"111111"
#define TDX(more) \
	GATE_HEAD \
	"destination d { address = 192.0.2.1 port = 443 action = gate tee = {tdx, sgx}\n" \
	"ledger = acme " more "}\n"
	static const char *const apart[] = {
	        TDX(""),
	        TDX("register = \"rtmr0=" X48 "\""),
	        TDX("register = \"rtmr3=" X48 "\""),
	        TDX("register = {\"rtmr0=" X48 "\", \"rtmr3=" X48 "\"}"),
	        TDX("unpinned-register = rtmr0"),
	        TDX("unpinned-register = rtmr3"),
	        TDX("min-tcb = \"pcesvn=1\""),
	        TDX("min-tcb = \"tdx.pcesvn=1\""),
	        TDX("min-tcb = \"sgx.pcesvn=1\""),
	        TDX("accept-tcb = OutOfDate"),
	        TDX("accept-tcb = SWHardeningNeeded"),
	        TDX("accept-tcb = OutOfDate accept-advisory = INTEL-SA-00615"),
	        TDX("accept-tcb = OutOfDate accept-advisory = INTEL-SA-00616"),
	        TDX("accept-tcb = OutOfDate tcb-grace = 30d"),
	        TDX("tcb-grace = 30d"),
	        TDX("min-tcb-date = 2024-03-13"),
	        TDX("min-tcb-evaluation = 17"),
	        TDX("min-tcb-evaluation = 18"),
	        TDX("require-attribute = tdx.pks"),
	        TDX("forbid-attribute = tdx.pks"),
	        TDX("require-attribute = sgx.kss"),
	        TDX("chip-id = 11111111111111111111111111111111"),
	};
	enum { N = sizeof(apart) / sizeof(apart[0]) };
	uint8_t digest[N][32];

	(void)state;
	for (size_t i = 0; i < N; i++) {
		digest_of(apart[i], digest[i]);
		for (size_t k = 0; k < i; k++)
			if (!memcmp(digest[i], digest[k], 32))
				fail_msg("alike: %s and %s", apart[i], apart[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_the_same_bytes_the_same_policy, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_order_and_names, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_collateral, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_what_is_missing, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_errors_carry_file_and_line, setup, teardown),
	        cmocka_unit_test(test_a_bundle_without_its_reference),
	        cmocka_unit_test(test_malformed),
	        cmocka_unit_test(test_limits),
	        cmocka_unit_test(test_a_change_shows),
	        cmocka_unit_test(test_a_change_of_platform_keys_shows),
	        cmocka_unit_test(test_a_change_of_release_shows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
