/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SEV-SNP against the real reports, certificates and lists of the vector set, each at its own date
 * and with its own verdict. Skipped, loudly, where the set is not there.
 */
#include "tests/unit/attest_build.h"

#include <errno.h>
#include "core/file.h"

enum {
	COL_FILE,
	COL_KIND,
	COL_FORMAT,
	COL_PRODUCT,
	COL_VERDICT,
	COL_AT,
	COL_WINDOW,
	COL_NEEDS,
	COLS
};
enum { ROWS_MAX = 64 };

struct row {
	char *col[COLS];
};

static struct {
	char dir[512];
	uint8_t *text;
	struct row row[ROWS_MAX];
	size_t n;
} index_;

struct blob {
	uint8_t *p;
	size_t n;
};

static struct bytes blob_view(const struct blob *b)
{
	return (struct bytes){b->p, b->n};
}

static struct blob load(const char *name)
{
	struct blob b;
	char path[768];

	snprintf(path, sizeof(path), "%s/%s", index_.dir, name);
	assert_int_equal(file_read(path, 1 << 20, &b.p, &b.n), 0);
	return b;
}

static int set_up(void **state)
{
	const char *root = getenv("KEYGATE_VECTORS");
	char path[600], *line, *rest;
	size_t n;
	(void)state;

	snprintf(index_.dir, sizeof(index_.dir), "%s/attestation",
	         root ? root : "../shared/vectors");
	snprintf(path, sizeof(path), "%s/INDEX.tsv", index_.dir);
	if (file_read(path, 1 << 20, &index_.text, &n)) {
		printf("SKIPPED: no attestation vectors at %s\n", index_.dir);
		return 0;
	}
	rest = (char *)index_.text;
	while ((line = strsep(&rest, "\n"))) {
		struct row *r = &index_.row[index_.n];

		if (strncmp(line, "snp/", 4))
			continue;
		assert_true(index_.n < ROWS_MAX);
		for (int c = 0; c < COLS; c++) {
			r->col[c] = strsep(&line, "\t");
			assert_non_null(r->col[c]);
		}
		index_.n++;
	}
	assert_true(index_.n > 30);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(index_.text);
	return 0;
}

#define NEED_VECTORS() \
	do { \
		if (!index_.n) \
			skip(); \
	} while (0)

static const struct row *find_row(const char *file)
{
	for (size_t i = 0; i < index_.n; i++)
		if (!strcmp(index_.row[i].col[COL_FILE], file))
			return &index_.row[i];
	return NULL;
}

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* The row that says what evidence needs: itself, or the one that it wraps. */
static const struct row *needs_row(const struct row *r)
{
	const struct row *wrapped = find_row(r->col[COL_NEEDS]);

	return wrapped && !strcmp(wrapped->col[COL_KIND], "evidence") ? wrapped : r;
}

struct set {
	struct blob evidence, part[8];
	char needs[512];
	struct attest_input in;
	struct claims claims;
	struct checks checks;
};

/* Evidence, what it needs, and its date; without a date any will do. */
static void set_load(struct set *s, const struct row *r)
{
	const struct row *with = needs_row(r);
	char *rest = s->needs, *name;

	memset(s, 0, sizeof(*s));
	s->evidence = load(r->col[COL_FILE]);
	s->in.type = TEE_SNP;
	s->in.evidence = blob_view(&s->evidence);
	s->in.at = strcmp(with->col[COL_AT], "-") ? atoll(with->col[COL_AT]) : SIM_AT;
	snprintf(s->needs, sizeof(s->needs), "%s", with->col[COL_NEEDS]);
	while (strcmp(with->col[COL_NEEDS], "-") && (name = strsep(&rest, ","))) {
		s->part[s->in.endorsements_n] = load(name);
		s->in.endorsements[s->in.endorsements_n] =
		        blob_view(&s->part[s->in.endorsements_n]);
		s->in.endorsements_n++;
	}
}

static void set_free(struct set *s)
{
	free(s->evidence.p);
	for (size_t i = 0; i < sizeof(s->part) / sizeof(s->part[0]); i++)
		free(s->part[i].p);
}

static void set_judge(struct set *s)
{
	memset(&s->checks, 0, sizeof(s->checks));
	assert_int_equal(attest_appraise(&s->in, &s->claims, &s->checks), 0);
}

static void every_report_has_its_verdict(void **state)
{
	static const struct {
		const char *verdict, *id;
		enum check_status status;
	} kinds[] = {
	        {"REJECT:debug", "snp.debug", CHECK_FAIL},
	        {"REJECT:bad-signature", "snp.signature", CHECK_FAIL},
	        {"REJECT:format", "snp.format", CHECK_FAIL},
	        {"PARSE-ONLY", "snp.chain", CHECK_UNAVAILABLE},
	};
	size_t seen = 0;
	(void)state;
	NEED_VECTORS();

	for (size_t i = 0; i < index_.n; i++) {
		const struct row *r = &index_.row[i];
		bool known = false;
		struct set s;

		if (strcmp(r->col[COL_KIND], "evidence"))
			continue;
		seen++;
		set_load(&s, r);
		set_judge(&s);
		if (starts(r->col[COL_VERDICT], "OK")) {
			known = true;
			expect_pass(&s.checks);
			assert_false(s.claims.extra_anchor);
		}
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			if (!starts(r->col[COL_VERDICT], kinds[k].verdict))
				continue;
			known = true;
			expect_only(&s.checks, kinds[k].id, kinds[k].status);
		}
		assert_true(known);
		set_free(&s);
	}
	assert_true(seen >= 14);
}

/* The last one bent: what passed must not pass without any of its parts, or cut short. */
static void every_part_is_needed(void **state)
{
	(void)state;
	NEED_VECTORS();

	for (size_t i = 0; i < index_.n; i++) {
		const struct row *r = &index_.row[i];
		struct set s;

		if (strcmp(r->col[COL_KIND], "evidence") || strcmp(r->col[COL_VERDICT], "OK"))
			continue;
		set_load(&s, r);
		for (uint32_t part = 0; part < s.in.endorsements_n; part++) {
			struct bytes kept = s.in.endorsements[part];

			s.in.endorsements[part] = s.in.endorsements[(part + 1) % 3];
			set_judge(&s);
			expect_only(&s.checks, "snp.chain", CHECK_UNAVAILABLE);
			s.in.endorsements[part] = kept;
		}
		s.in.evidence.n--;
		set_judge(&s);
		expect_only(&s.checks, "snp.format", CHECK_FAIL);
		s.in.evidence.n++;
		s.in.at = 2000000000; /* 2033: the VEKs are over */
		set_judge(&s);
		expect_only(&s.checks, "snp.cert-time", CHECK_FAIL);
		set_free(&s);
	}
}

static void every_flip_in_a_real_report_is_refused(void **state)
{
	struct set s;
	(void)state;
	NEED_VECTORS();

	set_load(&s, find_row("snp/genoa-v5.report.bin"));
	s.in.cache = pki_cache_new();
	assert_non_null(s.in.cache);
	for (size_t bit = 0; bit < 8 * (size_t)SNP_REPORT_LEN; bit++) {
		/* Of what is not signed, the signature, one of every byte. */
		if (bit >= 8 * (size_t)SNP_SIGNED_LEN && bit % 8 != bit / 8 % 8)
			continue;
		s.evidence.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		set_judge(&s);
		if (checks_overall(&s.checks) == CHECK_PASS)
			fail_msg("a flip of bit %zu passed", bit);
		s.evidence.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	set_judge(&s);
	expect_pass(&s.checks);
	pki_cache_free(s.in.cache);
	set_free(&s);
}

static X509 *cert_of(const struct blob *b)
{
	const uint8_t *p = b->p;
	X509 *cert = d2i_X509(NULL, &p, (long)b->n);

	assert_non_null(cert);
	return cert;
}

static void roots_are_the_built_in_pins(void **state)
{
	size_t seen = 0;
	(void)state;
	NEED_VECTORS();

	for (size_t i = 0; i < index_.n; i++) {
		const struct row *r = &index_.row[i];
		struct blob b;
		X509 *cert;
		char cn[32];
		uint8_t hash[32];
		bool found = false;

		if (!starts(r->col[COL_VERDICT], "TRUST-ANCHOR"))
			continue;
		b = load(r->col[COL_FILE]);
		cert = cert_of(&b);
		assert_int_equal(pki_common_name(cert, cn, sizeof(cn)), 0);
		assert_int_equal(pki_spki_sha256(cert, hash), 0);
		assert_true(pki_issued(cert, cert));
		for (size_t p = 0; p < attest_pins_count; p++)
			found |= attest_pins[p].tee == TEE_SNP &&
			         !strcmp(attest_pins[p].name, cn) &&
			         !memcmp(attest_pins[p].spki_sha256, hash, 32);
		assert_true(found);
		seen++;
		X509_free(cert);
		free(b.p);
	}
	assert_int_equal(seen, 3);
}

/* Rows of certificates: intermediates against their root, VEKs through the chain function. */
static void every_certificate_has_its_verdict(void **state)
{
	size_t intermediates = 0, veks = 0;
	(void)state;
	NEED_VECTORS();

	for (size_t i = 0; i < index_.n; i++) {
		const struct row *r = &index_.row[i];
		struct set s;

		if (strcmp(r->col[COL_KIND], "cert") || !strstr(r->col[COL_FORMAT], "X.509") ||
		    starts(r->col[COL_VERDICT], "TRUST-ANCHOR"))
			continue;
		set_load(&s, r);
		if (starts(r->col[COL_FILE], "snp/as")) {
			X509 *cert = cert_of(&s.evidence), *root = cert_of(&s.part[0]);

			assert_true(pki_issued(cert, root));
			assert_int_equal(pki_path(cert, NULL, root), 0);
			assert_false(pki_issued(root, cert));
			X509_free(cert);
			X509_free(root);
			intermediates++;
		} else {
			bool good = starts(r->col[COL_VERDICT], "OK");
			struct claims claims = {0};
			struct snp_chain chain;
			char why[CHECK_DETAIL_MAX];

			s.in.endorsements[s.in.endorsements_n++] = s.in.evidence;
			assert_int_equal(attest_snp_chain(&s.in, NULL, &claims, &chain, why),
			                 good ? CHECK_PASS : CHECK_FAIL);
			assert_int_equal(strstr(why, "was not signed by the issuer") != NULL,
			                 !good);
			attest_snp_chain_free(&chain);
			veks++;
		}
		set_free(&s);
	}
	assert_int_equal(intermediates, 6);
	assert_true(veks >= 10);
}

static void tables_have_their_verdict(void **state)
{
	struct blob good, bad;
	struct snp_table t;
	struct set s;
	(void)state;
	NEED_VECTORS();

	good = load("snp/genoa-v3-tsm.auxblob.certtable.bin");
	bad = load("snp/neg-certtable-oob.bin");
	assert_int_equal(attest_snp_table(blob_view(&good), &t), 0);
	assert_int_equal(t.n, 3);
	assert_string_equal(t.v[0].guid->name, "ARK");
	assert_string_equal(t.v[1].guid->name, "ASK");
	assert_string_equal(t.v[2].guid->name, "VCEK");
	assert_int_equal(attest_snp_table(blob_view(&bad), &t), -EINVAL);

	/* The table is all that its report needs. */
	set_load(&s, find_row("snp/genoa-v3-tsm.report.bin"));
	s.in.endorsements[0] = blob_view(&good);
	s.in.endorsements_n = 1;
	set_judge(&s);
	expect_pass(&s.checks);
	s.in.endorsements[0] = blob_view(&bad);
	set_judge(&s);
	expect_only(&s.checks, "snp.chain", CHECK_FAIL);
	set_free(&s);
	free(good.p);
	free(bad.p);
}

static void crl_of_a_product(const char *report, const char *list, int64_t at, int64_t next,
                             const char *ends)
{
	struct blob crl = load(list);
	struct set s;

	set_load(&s, find_row(report));
	s.in.require_crl = true;
	s.in.at = at;
	set_judge(&s);
	expect_only(&s.checks, "snp.revocation", CHECK_UNAVAILABLE);
	s.in.endorsements[s.in.endorsements_n++] = blob_view(&crl);
	set_judge(&s);
	expect_pass(&s.checks);
	assert_int_equal(s.claims.valid_until, next);
	s.in.at = next + 1;
	set_judge(&s);
	/* A list that ended is missing; a certificate that ended is wrong. */
	expect_only(&s.checks, ends,
	            strcmp(ends, "snp.revocation") ? CHECK_FAIL : CHECK_UNAVAILABLE);
	set_free(&s);
	free(crl.p);
}

static void real_revocation_lists(void **state)
{
	(void)state;
	NEED_VECTORS();

	crl_of_a_product("snp/genoa-v3-tsm.report.bin", "snp/crl-genoa.der", 1747765896, 1762131600,
	                 "snp.revocation");
	crl_of_a_product("snp/milan-v3.report.bin", "snp/crl-milan.der", 1746621546, 1778544000,
	                 "snp.revocation");
	crl_of_a_product("snp/milan-v3-vlek-aws.report.bin", "snp/crl-milan.der", 1746621546,
	                 1765404861, "snp.cert-time" /* the VLEK ends first */);
}

/* The administrator's anchors in place of the built-in roots, also when they are the same. */
static void built_in_roots_can_be_replaced(void **state)
{
	struct blob ark, other;
	struct set s;
	(void)state;
	NEED_VECTORS();

	ark = load("snp/ark-genoa.der");
	other = load("snp/ark-milan.der");
	set_load(&s, find_row("snp/genoa-v3-tsm.report.bin"));
	s.in.only_anchors = true;
	set_judge(&s);
	expect_only(&s.checks, "snp.chain", CHECK_FAIL);
	s.in.anchors[s.in.anchors_n++] = blob_view(&other);
	set_judge(&s);
	expect_only(&s.checks, "snp.chain", CHECK_FAIL);
	s.in.anchors[s.in.anchors_n++] = blob_view(&ark);
	set_judge(&s);
	expect_pass(&s.checks);
	/* It is the vendor's root all the same. */
	assert_false(s.claims.extra_anchor);
	set_free(&s);
	free(ark.p);
	free(other.p);
}

static void every_report_can_be_explained(void **state)
{
	(void)state;
	NEED_VECTORS();

	for (size_t i = 0; i < index_.n; i++) {
		struct buf page = buf_make(1 << 16);
		struct set s;

		if (strcmp(index_.row[i].col[COL_KIND], "evidence"))
			continue;
		set_load(&s, &index_.row[i]);
		if (attest_explain(TEE_NONE, s.in.evidence, &page) == 0)
			assert_true(page.n > 2000);
		else
			assert_true(starts(index_.row[i].col[COL_VERDICT], "REJECT:format"));
		buf_free(&page);
		set_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_report_has_its_verdict),
	        cmocka_unit_test(every_part_is_needed),
	        cmocka_unit_test(every_flip_in_a_real_report_is_refused),
	        cmocka_unit_test(roots_are_the_built_in_pins),
	        cmocka_unit_test(every_certificate_has_its_verdict),
	        cmocka_unit_test(tables_have_their_verdict),
	        cmocka_unit_test(real_revocation_lists),
	        cmocka_unit_test(built_in_roots_can_be_replaced),
	        cmocka_unit_test(every_report_can_be_explained),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
