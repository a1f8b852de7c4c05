/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TDX and SGX against real quotes and real collateral, bent one byte at a time, cut short, and with
 * collateral from the caller's store. The verdict of every row of the vector set is
 * tests/vectors/evidence's to compare. Skipped, loudly, where the set is not there.
 */
#include "tests/unit/attest_build.h"

#include <errno.h>
#include "attest/intel_appraise.h"
#include "core/file.h"

static char dir[512];
static bool have;

static int set_up(void **state)
{
	const char *root = getenv("KEYGATE_VECTORS");
	char path[600];
	uint8_t *p;
	size_t n;
	(void)state;

	snprintf(dir, sizeof(dir), "%s/attestation", root ? root : "../shared/vectors");
	snprintf(path, sizeof(path), "%s/INDEX.tsv", dir);
	have = !file_read(path, 1 << 20, &p, &n);
	if (have)
		free(p);
	else
		printf("SKIPPED: no attestation vectors at %s\n", dir);
	return 0;
}

#define NEED_VECTORS() \
	do { \
		if (!have) \
			skip(); \
	} while (0)

static struct bytes load(const char *name)
{
	char path[768];
	uint8_t *p;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(file_read(path, 1 << 20, &p, &n), 0);
	return (struct bytes){p, n};
}

static void unload(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

/* ------------------------------------------------------------------ a good set */

enum { PARTS_MAX = 5 };

struct sample {
	enum tee tee;
	int64_t at;
	bool outdated; /* its one flaw, which attest/ leaves to the policy */
	const char *quote, *part[PARTS_MAX];
};

enum { PART_INFO, PART_QE, PART_PCK_CRL, PART_ROOT_CRL, PART_SIGNERS };

static const struct sample samples[] = {
        {TEE_TDX,
         1751600000,
         false,
         "tdx/v4-b0c0-uptodate.quote.bin",
         {"tdx/collateral/tcbinfo-tdx-b0c06f000000-20250619-e17.json",
          "tdx/collateral/qeid-td_qe-20250619-e17.json",
          "tdx/collateral/pckcrl-platform-20250619.der", "tdx/collateral/rootcrl-20250320.der",
          "tdx/collateral/tcb-signing-chain.pem"}},
        {TEE_TDX,
         1770681600,
         false,
         "tdx/v5-td15-gcp-uptodate.quote.bin",
         {"tdx/collateral/tcbinfo-tdx-90c06f000000-20260201-e18.json",
          "tdx/collateral/qeid-td_qe-20260127-e18.json",
          "tdx/collateral/pckcrl-platform-20260127.der", "tdx/collateral/rootcrl-20250320.der",
          "tdx/collateral/tcb-signing-chain.pem"}},
        {TEE_SGX,
         1756125000,
         true,
         "sgx/v3-platform-spr.quote.bin",
         {"sgx/collateral/tcbinfo-sgx-90806f000000-20250808-e19.json",
          "sgx/collateral/qeid-qe-20250815-e17.json", "sgx/collateral/pckcrl-platform-20250815.der",
          "sgx/collateral/rootcrl-20250320.der", "sgx/collateral/tcb-signing-chain.pem"}},
};

enum { SAMPLES = sizeof(samples) / sizeof(samples[0]) };

struct set {
	struct bytes evidence, part[PARTS_MAX];
	struct attest_input in;
	struct claims claims;
	struct checks checks;
};

static void set_load(struct set *s, const struct sample *of)
{
	memset(s, 0, sizeof(*s));
	s->evidence = load(of->quote);
	s->in = (struct attest_input){
	        .type = of->tee,
	        .evidence = s->evidence,
	        .endorsements_n = PARTS_MAX,
	        .at = of->at,
	        .require_crl = true,
	        .cache = pki_cache_new(),
	};
	for (size_t i = 0; i < PARTS_MAX; i++)
		s->in.endorsements[i] = s->part[i] = load(of->part[i]);
}

static void set_free(struct set *s)
{
	unload(s->evidence);
	for (size_t i = 0; i < PARTS_MAX; i++)
		unload(s->part[i]);
	pki_cache_free(s->in.cache);
}

static void set_judge(struct set *s)
{
	memset(&s->checks, 0, sizeof(s->checks));
	assert_int_equal(attest_appraise(&s->in, &s->claims, &s->checks), 0);
}

static void good_quotes_pass_and_say_what_they_are(void **state)
{
	(void)state;
	NEED_VECTORS();

	for (size_t i = 0; i < SAMPLES; i++) {
		const struct claims *c;
		struct set s;

		set_load(&s, &samples[i]);
		s.in.type = TEE_NONE;
		set_judge(&s);
		expect_pass(&s.checks);
		c = &s.claims;
		assert_int_equal(c->tee, samples[i].tee);
		assert_false(c->extra_anchor);
		assert_string_equal(c->signer, "PCK (platform CA)");
		assert_string_equal(c->tcb_status, samples[i].outdated ? "OutOfDate" : "UpToDate");
		assert_int_equal(c->advisories, samples[i].outdated ? 6 : 0);
		assert_int_equal(c->chip_id_len, 16);
		assert_true(c->tcb_date > 1500000000 && c->tcb_date < c->valid_until);
		assert_int_equal(c->tcb_n, samples[i].tee == TEE_TDX ? 33 : 17);
		/* A month at most: it rests on collateral. */
		assert_true(c->valid_until > s.in.at && c->valid_until < s.in.at + 31 * 86400);
		assert_string_equal(c->measurements.v[0].name,
		                    samples[i].tee == TEE_TDX ? "mrtd" : "mrenclave");
		assert_int_equal(measurement_find(&c->measurements, "mrservicetd") != NULL, i == 1);
		assert_int_equal(s.claims.wants, 4); /* all but the signers are asked for anew */
		set_free(&s);
	}
}

/* ------------------------------------------------------------- bent and cut */

static void every_cut_quote_is_refused(void **state)
{
	const char *format[] = {"tdx.format", "tdx.format", "sgx.format"};
	(void)state;
	NEED_VECTORS();

	for (size_t i = 0; i < SAMPLES; i++) {
		struct intel_quote q;
		const char *why;
		struct set s;

		set_load(&s, &samples[i]);
		assert_int_equal(attest_intel_parse(s.evidence, samples[i].tee, &q, &why), 0);
		for (size_t n = 1; n < q.raw.n; n++) {
			/* Of just this size, for the sanitizer. */
			uint8_t *cut = malloc(n);
			struct buf page = buf_make(1 << 16);

			memcpy(cut, s.evidence.p, n);
			s.in.evidence = (struct bytes){cut, n};
			set_judge(&s);
			expect_only(&s.checks, format[i], CHECK_FAIL);
			assert_int_equal(attest_explain(samples[i].tee, s.in.evidence, &page),
			                 -EINVAL);
			buf_free(&page);
			free(cut);
		}
		/* What follows the quote is padding. */
		s.in.evidence = q.raw;
		set_judge(&s);
		expect_pass(&s.checks);
		set_free(&s);
	}
}

static void flip_one(struct set *s, size_t bit)
{
	uint8_t *p = (uint8_t *)(uintptr_t)s->evidence.p + bit / 8;
	uint8_t mask = (uint8_t)(1u << (bit % 8));

	*p ^= mask;
	set_judge(s);
	if (checks_overall(&s->checks) != CHECK_FAIL)
		fail_msg("a flip of bit %zu passed", bit);
	*p ^= mask;
}

/* All that one of the signatures covers, and the signatures themselves. */
static void every_flip_in_a_quote_is_refused(void **state)
{
	(void)state;
	NEED_VECTORS();

	for (size_t i = 0; i < SAMPLES; i++) {
		struct intel_quote q;
		const char *why;
		struct set s;
		size_t all;

		set_load(&s, &samples[i]);
		/* What collateral adds is seen elsewhere, and costs time. */
		s.in.endorsements_n = 0;
		assert_int_equal(attest_intel_parse(s.evidence, samples[i].tee, &q, &why), 0);
		/* Each bit that the quote's own signature covers, of one quote of each TEE; else
		 * one of every byte. */
		all = i ? q.signed_part.n : 0;
		for (size_t bit = 0; bit < 8 * all; bit++)
			flip_one(&s, bit);
		for (size_t at = all; at < (size_t)(q.qe_auth.p + q.qe_auth.n - q.raw.p); at++)
			flip_one(&s, 8 * at + 7 - at % 8);
		set_judge(&s);
		assert_int_equal(checks_overall(&s.checks), CHECK_UNAVAILABLE);
		set_free(&s);
	}
}

/* Every byte of the chain in the quote, with a cheaper question: does the chain still hold? */
static void a_flip_in_the_chain_never_breaks_us(void **state)
{
	struct intel_quote q;
	const char *why;
	struct set s;
	size_t held = 0;
	(void)state;
	NEED_VECTORS();

	set_load(&s, &samples[0]);
	pki_cache_free(s.in.cache);
	s.in.cache = NULL;
	assert_int_equal(attest_intel_parse(s.evidence, TEE_TDX, &q, &why), 0);
	for (size_t at = 0; at < q.cert_data.n; at += 3) {
		uint8_t *p = (uint8_t *)(uintptr_t)q.cert_data.p + at;
		char words[CHECK_DETAIL_MAX];
		struct intel_chain chain;

		*p ^= (uint8_t)(1u << (at % 8));
		held += attest_intel_chain(&s.in, &q, &chain, words) == CHECK_PASS;
		attest_intel_chain_free(&chain);
		*p ^= (uint8_t)(1u << (at % 8));
	}
	/* The root is in the signers' chain too; and a line's end can be written in several ways.
	 */
	assert_true(held < q.cert_data.n / 3 / 2);
	set_free(&s);
}

static enum check_status pick(const struct set *s, struct intel_chain *chain,
                              const struct intel_wanted *wanted, struct bytes stored)
{
	char why[CHECK_DETAIL_MAX];
	int64_t limit = INT64_MAX;
	struct intel_document d;
	enum check_status status =
	        attest_intel_collateral(&s->in, chain, wanted, &stored, 1, &d, &limit, why);

	if (status == CHECK_PASS)
		attest_intel_document_free(&d);
	return status;
}

static void every_flip_and_cut_in_collateral_is_refused(void **state)
{
	struct intel_wanted wanted[2] = {{.prefix = INTEL_JSON_TCB_INFO, .what = "TCB info"},
	                                 {.prefix = INTEL_JSON_IDENTITY, .what = "QE identity"}};
	(void)state;
	NEED_VECTORS();

	for (size_t i = 0; i < SAMPLES; i++) {
		struct intel_chain chain;
		char why[CHECK_DETAIL_MAX];
		struct intel_quote q;
		const char *wrong;
		struct set s;

		set_load(&s, &samples[i]);
		assert_int_equal(attest_intel_parse(s.evidence, samples[i].tee, &q, &wrong), 0);
		/* The signers alone: what is to be picked is handed in. */
		s.in.endorsements[0] = s.part[PART_SIGNERS];
		s.in.endorsements_n = 1;
		assert_int_equal(attest_intel_chain(&s.in, &q, &chain, why), CHECK_PASS);
		attest_intel_signers(&chain, s.in.at);
		wanted[0].id = samples[i].tee == TEE_TDX ? INTEL_ID_TDX : INTEL_ID_SGX;
		wanted[0].pck = &chain.of;
		wanted[1].id = samples[i].tee == TEE_TDX ? INTEL_ID_TD_QE : INTEL_ID_QE;
		for (size_t w = 0; w < 2; w++) {
			struct bytes good = s.part[w];
			uint8_t *p = (uint8_t *)(uintptr_t)good.p;
			size_t end = good.n;

			while (p[end - 1] != '}')
				end--;
			assert_int_equal(pick(&s, &chain, &wanted[w], good), CHECK_PASS);
			/* All of one platform's, and of the others what time allows. */
			for (size_t at = 0; at < end; at += i ? 11 : 1) {
				uint8_t kept = p[at];

				p[at] ^= (uint8_t)(1u << (at % 7));
				/* The case of the signature's digits. */
				if ((kept | 0x20) != (p[at] | 0x20) || at < end - 130)
					assert_int_not_equal(pick(&s, &chain, &wanted[w], good),
					                     CHECK_PASS);
				p[at] = kept;
			}
			for (size_t n = 0; n < end; n++) {
				uint8_t *cut = malloc(n + !n);
				struct intel_document d;

				memcpy(cut, p, n);
				assert_non_null(attest_intel_document((struct bytes){cut, n},
				                                      wanted[w].prefix, &d));
				free(cut);
			}
		}
		attest_intel_chain_free(&chain);
		set_free(&s);
	}
}

/* ------------------------------------------------- which collateral is taken */

static void missing_and_foreign_collateral_is_unavailable(void **state)
{
	static const char *const ids[] = {"tdx.tcb-info", "tdx.qe-identity", "tdx.revocation",
	                                  "tdx.revocation"};
	struct set s, other;
	(void)state;
	NEED_VECTORS();

	set_load(&s, &samples[0]);
	set_load(&other, &samples[2]);
	for (size_t i = 0; i < PART_SIGNERS; i++) {
		/* Another TEE's, another family's. */
		s.in.endorsements[i] = i == PART_ROOT_CRL ? s.part[0] : other.part[i];
		if (i == PART_PCK_CRL)
			s.in.endorsements[i] = s.part[PART_ROOT_CRL];
		set_judge(&s);
		expect_only(&s.checks, ids[i], CHECK_UNAVAILABLE);
		s.in.endorsements[i] = s.part[i];
	}
	s.in.endorsements_n = PART_SIGNERS;
	set_judge(&s);
	assert_int_equal(checks_overall(&s.checks), CHECK_UNAVAILABLE);
	assert_int_equal(checks_find(&s.checks, "tdx.tcb-info")->status, CHECK_UNAVAILABLE);
	assert_int_equal(checks_find(&s.checks, "tdx.tcb")->status, CHECK_SKIP);
	assert_int_equal(s.claims.wants, 5);
	assert_string_equal(s.claims.want[2].path, "sgx/certification/v4/tcb-signing-chain");
	set_free(&s);
	set_free(&other);
}

static void past_collateral_is_unavailable(void **state)
{
	struct set s;
	(void)state;
	NEED_VECTORS();

	set_load(&s, &samples[0]);
	s.in.require_crl = false;
	s.in.endorsements[PART_PCK_CRL] = s.in.endorsements[PART_ROOT_CRL] = s.part[PART_SIGNERS];
	s.in.at = 1752921000; /* before the end of the QE identity, past that of the TCB info */
	set_judge(&s);
	expect_only(&s.checks, "tdx.tcb-info", CHECK_UNAVAILABLE);
	assert_non_null(strstr(checks_find(&s.checks, "tdx.tcb-info")->detail,
	                       "the newest ended 2025-07-19T10:16:03Z"));
	s.in.at = 1750328500; /* after the beginning of the TCB info, before the QE identity's */
	set_judge(&s);
	expect_only(&s.checks, "tdx.qe-identity", CHECK_UNAVAILABLE);
	set_free(&s);
}

/* A store as keygated keeps one: pieces by name. */
struct store {
	struct {
		const char *path;
		struct bytes content;
	} v[8];
	size_t n, asked;
};

static size_t store_find(void *ctx, const struct collateral_name *name, int64_t at,
                         struct bytes *out, size_t cap)
{
	struct store *s = ctx;
	size_t found = 0;

	(void)at;
	assert_int_equal(name->vendor, VENDOR_INTEL);
	s->asked++;
	for (size_t i = 0; i < s->n && found < cap; i++)
		if (!strcmp(s->v[i].path, name->path))
			out[found++] = s->v[i].content;
	return found;
}

static void the_store_serves_what_is_missing(void **state)
{
	struct store store = {.n = 0};
	struct set s;
	(void)state;
	NEED_VECTORS();

	set_load(&s, &samples[0]);
	s.in.endorsements_n = 0;
	s.in.collateral = store_find;
	s.in.collateral_ctx = &store;
	set_judge(&s);
	assert_int_equal(checks_overall(&s.checks), CHECK_UNAVAILABLE);
	assert_int_equal(store.asked, 5);
	store = (struct store){
	        .v = {{"tdx/certification/v4/tcb?fmspc=b0c06f000000", s.part[PART_INFO]},
	              {"tdx/certification/v4/qe/identity", s.part[PART_QE]},
	              {"sgx/certification/v4/pckcrl?ca=platform&encoding=der",
	               s.part[PART_PCK_CRL]},
	              {"sgx/certification/v4/rootcacrl", s.part[PART_ROOT_CRL]},
	              {"sgx/certification/v4/tcb-signing-chain", s.part[PART_SIGNERS]}},
	        .n = 5,
	};
	set_judge(&s);
	expect_pass(&s.checks);
	assert_int_equal(s.claims.wants, 0);
	set_free(&s);
}

/* Two TCB infos of a family that are both valid: the newer counts, wherever it comes from. */
static void the_newest_of_several_counts(void **state)
{
	struct bytes old, newer, forged;
	struct store store = {.n = 1};
	int64_t old_ends, new_ends;
	struct set s;
	(void)state;
	NEED_VECTORS();

	set_load(&s, &samples[1]);
	old = s.part[PART_INFO];
	newer = load("tdx/collateral/tcbinfo-tdx-90c06f000000-20260218-e18.json");
	s.in.endorsements[PART_QE] = load("tdx/collateral/qeid-td_qe-20260218-e18.json");
	s.in.endorsements[PART_PCK_CRL] = load("tdx/collateral/pckcrl-platform-20260218.der");
	s.in.at = 1771800000;
	set_judge(&s);
	expect_pass(&s.checks);
	old_ends = s.claims.valid_until;
	s.in.endorsements[PART_INFO] = newer;
	set_judge(&s);
	expect_pass(&s.checks);
	new_ends = s.claims.valid_until;
	assert_true(new_ends > old_ends);

	s.in.endorsements[s.in.endorsements_n++] = old;
	set_judge(&s);
	assert_int_equal(s.claims.valid_until, new_ends);
	s.in.endorsements[PART_INFO] = old;
	s.in.endorsements[s.in.endorsements_n - 1] = newer;
	set_judge(&s);
	assert_int_equal(s.claims.valid_until, new_ends);

	/* An old one with the evidence hides nothing that the store knows. */
	s.in.endorsements_n--;
	store.v[0].path = "tdx/certification/v4/tcb?fmspc=90c06f000000";
	store.v[0].content = newer;
	s.in.collateral = store_find;
	s.in.collateral_ctx = &store;
	set_judge(&s);
	assert_int_equal(s.claims.valid_until, new_ends);
	store.n = 0;

	/* A forged one spoils nothing while there is a good one, and is refused alone. */
	forged = load("tdx/collateral/neg-tcbinfo-edited.json");
	unload(s.in.endorsements[PART_QE]);
	unload(s.in.endorsements[PART_PCK_CRL]);
	set_free(&s);
	set_load(&s, &samples[0]);
	s.in.endorsements[s.in.endorsements_n++] = forged;
	set_judge(&s);
	expect_pass(&s.checks);
	s.in.endorsements[PART_INFO] = s.part[PART_ROOT_CRL];
	set_judge(&s);
	expect_only(&s.checks, "tdx.tcb-info", CHECK_FAIL);
	set_free(&s);
	unload(newer);
	unload(forged);
}

/* The same bytes again, with what was parsed of them kept: nothing is believed for that. */
static void a_cache_changes_no_verdict(void **state)
{
	struct claims first;
	struct set s;
	(void)state;
	NEED_VECTORS();

	set_load(&s, &samples[2]);
	set_judge(&s);
	expect_pass(&s.checks);
	first = s.claims;
	set_judge(&s);
	expect_pass(&s.checks);
	assert_memory_equal(&s.claims, &first, sizeof(first));
	s.in.at = 1757300000; /* past the TCB info */
	set_judge(&s);
	assert_int_equal(checks_find(&s.checks, "sgx.tcb-info")->status, CHECK_UNAVAILABLE);
	s.in.at = samples[2].at;
	s.in.endorsements[PART_SIGNERS] = s.part[PART_ROOT_CRL];
	set_judge(&s);
	assert_int_equal(checks_find(&s.checks, "sgx.tcb-info")->status, CHECK_UNAVAILABLE);
	assert_int_equal(checks_find(&s.checks, "sgx.qe-identity")->status, CHECK_UNAVAILABLE);
	set_free(&s);
}

static void lists_come_in_hex_too(void **state)
{
	char *hex;
	struct set s;
	(void)state;
	NEED_VECTORS();

	set_load(&s, &samples[2]);
	hex = malloc(2 * s.part[PART_ROOT_CRL].n + 2);
	hex_encode(s.part[PART_ROOT_CRL], hex);
	strcat(hex, "\n");
	s.in.endorsements[PART_ROOT_CRL] = bytes_str(hex);
	set_judge(&s);
	expect_pass(&s.checks);
	/* A digit that is none: no endorsement at all. */
	hex[40] = 'g';
	set_judge(&s);
	expect_only(&s.checks, "sgx.pck-chain", CHECK_FAIL);
	free(hex);
	set_free(&s);
}

/* So many lists with the evidence that there is no room for what the store has. */
static void lists_can_not_be_crowded_out(void **state)
{
	struct store store = {.n = 1};
	struct set s;
	(void)state;
	NEED_VECTORS();

	set_load(&s, &samples[0]);
	s.in.endorsements_n = 0;
	while (s.in.endorsements_n < ATTEST_ENDORSEMENTS_MAX)
		s.in.endorsements[s.in.endorsements_n++] = s.part[PART_PCK_CRL];
	store.v[0].path = "sgx/certification/v4/rootcacrl";
	store.v[0].content = s.part[PART_ROOT_CRL];
	s.in.collateral = store_find;
	s.in.collateral_ctx = &store;
	set_judge(&s);
	assert_int_equal(checks_find(&s.checks, "tdx.revocation")->status, CHECK_FAIL);
	set_free(&s);
}

/* ------------------------------------------------------------------ the rest */

static void quotes_of_one_tee_are_not_the_others(void **state)
{
	struct set s;
	(void)state;
	NEED_VECTORS();

	set_load(&s, &samples[2]);
	s.in.type = TEE_TDX;
	set_judge(&s);
	expect_only(&s.checks, "tdx.format", CHECK_FAIL);
	set_free(&s);
	set_load(&s, &samples[0]);
	s.in.type = TEE_SGX;
	set_judge(&s);
	expect_only(&s.checks, "sgx.format", CHECK_FAIL);
	set_free(&s);
}

static void report_data_is_compared_when_asked_for(void **state)
{
	struct set s;
	(void)state;
	NEED_VECTORS();

	for (size_t i = 0; i < SAMPLES; i++) {
		const char *id = samples[i].tee == TEE_TDX ? "tdx.report-data" : "sgx.report-data";

		set_load(&s, &samples[i]);
		set_judge(&s);
		assert_null(checks_find(&s.checks, id));
		s.in.check_report_data = true;
		memcpy(s.in.report_data, s.claims.report_data, 64);
		set_judge(&s);
		expect_pass(&s.checks);
		assert_non_null(checks_find(&s.checks, id));
		s.in.report_data[63] ^= 1;
		set_judge(&s);
		expect_only(&s.checks, id, CHECK_FAIL);
		set_free(&s);
	}
}

static void a_person_can_read_a_quote(void **state)
{
	static const char *const words[SAMPLES][4] = {
	        {"Intel TDX quote\n", "no #VE by the host", "RTMR2", "PADDING"},
	        {"Intel TDX quote\n", "module 1.11", "TEE_TCB_SVN_2", "MRSERVICETD"},
	        {"Intel SGX quote\n", "MRENCLAVE", "the quoting enclave's report",
	         "PCK certificate"},
	};
	(void)state;
	NEED_VECTORS();

	for (size_t i = 0; i < SAMPLES; i++) {
		struct bytes quote = load(samples[i].quote);
		struct buf page = buf_make(1 << 16);

		assert_int_equal(attest_explain(TEE_NONE, quote, &page), 0);
		buf_u8(&page, 0);
		for (size_t w = 0; w < 4; w++)
			if (!strstr((const char *)page.p, words[i][w]))
				fail_msg("\"%s\" is not in:\n%s", words[i][w], (char *)page.p);
		buf_free(&page);
		unload(quote);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(good_quotes_pass_and_say_what_they_are),
	        cmocka_unit_test(every_cut_quote_is_refused),
	        cmocka_unit_test(every_flip_in_a_quote_is_refused),
	        cmocka_unit_test(a_flip_in_the_chain_never_breaks_us),
	        cmocka_unit_test(every_flip_and_cut_in_collateral_is_refused),
	        cmocka_unit_test(missing_and_foreign_collateral_is_unavailable),
	        cmocka_unit_test(past_collateral_is_unavailable),
	        cmocka_unit_test(the_store_serves_what_is_missing),
	        cmocka_unit_test(the_newest_of_several_counts),
	        cmocka_unit_test(a_cache_changes_no_verdict),
	        cmocka_unit_test(lists_come_in_hex_too),
	        cmocka_unit_test(lists_can_not_be_crowded_out),
	        cmocka_unit_test(quotes_of_one_tee_are_not_the_others),
	        cmocka_unit_test(report_data_is_compared_when_asked_for),
	        cmocka_unit_test(a_person_can_read_a_quote),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
