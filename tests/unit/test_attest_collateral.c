/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collateral by what it is: the names of real pieces, and the store that is looked up by them.
 */
#include "tests/unit/attest_build.h"

#include <errno.h>
#include "attest/collateral.h"
#include "core/file.h"

/* ------------------------------------------------------------------ real pieces */

static struct bytes vector(const char *name)
{
	const char *root = getenv("KEYGATE_VECTORS");
	char path[1024];
	uint8_t *p = NULL;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/attestation/%s", root ? root : "../shared/vectors", name);
	return file_read(path, 1 << 20, &p, &n) ? BYTES_NONE : (struct bytes){p, n};
}

static void release(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

#define HWID \
	"7b1584c94c7a426164b2db1198903db0685b7f5fdabdf42d4da981b0de521d1d5d5d8a91932bbbc1b13f5d5c" \
	"ae45a7304657d9a9d01c50c435670f0562a5970b"

static const struct {
	const char *file, *first, *second;
} known[] = {
        {"snp/genoa-v3-tsm.vcek.der",
         "vcek/v1/Genoa/" HWID "?blSPL=10&teeSPL=0&snpSPL=23&ucodeSPL=84", NULL},
        {"snp/ask-milan.der", "vcek/v1/Milan/cert_chain", NULL},
        {"snp/asvk-turin.der", "vlek/v1/Turin/cert_chain", NULL},
        {"snp/ark-genoa.der", "vcek/v1/Genoa/cert_chain", "vlek/v1/Genoa/cert_chain"},
        {"snp/crl-milan.der", "vcek/v1/Milan/crl", "vlek/v1/Milan/crl"},
        {"tdx/collateral/pckcrl-platform-20260630.der",
         "sgx/certification/v4/pckcrl?ca=platform&encoding=der", NULL},
        {"sgx/collateral/pckcrl-processor-20250619.der",
         "sgx/certification/v4/pckcrl?ca=processor&encoding=der", NULL},
        {"tdx/collateral/rootcrl-20260226.der", "sgx/certification/v4/rootcacrl", NULL},
        {"tdx/collateral/tcbinfo-tdx-00806f050000-20260630-e19.json",
         "tdx/certification/v4/tcb?fmspc=00806f050000", NULL},
        {"sgx/collateral/tcbinfo-sgx-90806f000000-20250808-e19.json",
         "sgx/certification/v4/tcb?fmspc=90806f000000", NULL},
        {"tdx/collateral/qeid-td_qe-20260630-e19.json", "tdx/certification/v4/qe/identity", NULL},
        {"sgx/collateral/qeid-qe-20250815-e17.json", "sgx/certification/v4/qe/identity", NULL},
        {"tdx/collateral/tcb-signing-chain.pem", "sgx/certification/v4/tcb-signing-chain", NULL},
};

static void real_pieces_have_their_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct bytes piece = vector(known[i].file);
		struct collateral_info is;

		if (!piece.n) {
			print_message("SKIPPED: no attestation vectors\n");
			skip();
		}
		assert_int_equal(attest_collateral_read(piece, &is), 0);
		assert_string_equal(is.name[0].path, known[i].first);
		assert_int_equal(is.names, known[i].second ? 2 : 1);
		if (known[i].second)
			assert_string_equal(is.name[1].path, known[i].second);
		assert_true(is.from < is.until);
		release(piece);
	}
}

/* AMD's eight-byte chip ids have another form of the name. */
static void turin_names_fmc_first(void **state)
{
	struct bytes piece = vector("snp/turin-v5.vcek.der");
	struct collateral_info is;
	const char *q;

	(void)state;
	if (!piece.n)
		skip();
	assert_int_equal(attest_collateral_read(piece, &is), 0);
	q = strchr(is.name[0].path, '?');
	assert_non_null(q);
	assert_int_equal(q - is.name[0].path, strlen("vcek/v1/Turin/") + 16);
	assert_int_equal(strncmp(q, "?fmcSPL=", 8), 0);
	release(piece);
}

static void lists_in_hex_are_read(void **state)
{
	struct bytes der = vector("tdx/collateral/rootcrl-20260226.der");
	struct collateral_info is;
	char *hex;

	(void)state;
	if (!der.n)
		skip();
	hex = malloc(2 * der.n + 2);
	hex_encode(der, hex);
	strcat(hex, "\n");
	assert_int_equal(attest_collateral_read(bytes_str(hex), &is), 0);
	assert_string_equal(is.name[0].path, "sgx/certification/v4/rootcacrl");
	free(hex);
	release(der);
}

static void what_no_vendor_serves_is_refused(void **state)
{
	static const char *const texts[] = {
	        "",
	        "hello",
	        "{}",
	        "{\"tcbInfo\":{}}",
	        "30",
	        "3003020101",
	        "-----BEGIN X-----\n",
	        "{\"tcbInfo\":{\"id\":\"TDX\",\"version\":3,\"issueDate\":\"2025-01-01T00:00:00Z\"}}",
	};
	struct bytes vlek = vector("snp/milan-v3-vlek-aws.vlek.der");
	struct collateral_info is;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(attest_collateral_read(bytes_str(texts[i]), &is), -EINVAL);
	/* A provider hands its VLEK out itself. */
	if (vlek.n)
		assert_int_equal(attest_collateral_read(vlek, &is), -EINVAL);
	release(vlek);
}

/* ------------------------------------------------------------------------ store */

/* A document of this day in January 2025, as Intel forms it; nobody signed it. */
/* Issued n minutes into the year. */
static struct bytes numbered(const char *fmspc, int n, int evaluation, char out[static 600])
{
	int len = snprintf(out, 600,
	                   "{\"tcbInfo\":{\"id\":\"TDX\",\"version\":3,"
	                   "\"issueDate\":\"2025-01-01T%02d:%02d:00Z\","
	                   "\"nextUpdate\":\"2025-03-01T00:00:00Z\",\"fmspc\":\"%s\","
	                   "\"pceId\":\"0000\",\"tcbType\":0,\"tcbEvaluationDataNumber\":%d,"
	                   "\"tcbLevels\":[]},\"signature\":\"%0128d\"}",
	                   n / 60, n % 60, fmspc, evaluation, 0);

	return (struct bytes){(const uint8_t *)out, (size_t)len};
}

static struct bytes document(const char *fmspc, int n, char out[static 600])
{
	return numbered(fmspc, n, 17, out);
}

enum { YEAR = 1735689600, LATER = YEAR + 86400 }; /* 2025 */

static const struct collateral_name of_one = {VENDOR_INTEL,
                                              "tdx/certification/v4/tcb?fmspc=00806f050000"};

static void the_newest_comes_first(void **state)
{
	static const int issued[] = {3, 5, 1, 4, 2, 6};
	struct collateral_store *s = collateral_store_new(1 << 20);
	struct bytes found[COLLATERAL_SAME_MAX];
	char text[600], want[600];

	(void)state;
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(
		        collateral_store_add(s, document("00806F050000", issued[i], text), NULL),
		        0);
	assert_int_equal(collateral_store_find(s, &of_one, LATER, found, COLLATERAL_SAME_MAX), 4);
	for (int i = 0; i < 4; i++)
		assert_true(bytes_equal(found[i], document("00806F050000", 6 - i, want)));
	assert_int_equal(collateral_store_add(s, document("00806F050000", 6, text), NULL), -EEXIST);
	assert_int_equal(collateral_store_pieces(s), 6);
	assert_int_equal(collateral_store_find(s, &of_one, LATER, found, 1), 1);
	/* As of a former time, what began later does not crowd out what was the newest then. */
	assert_int_equal(
	        collateral_store_find(s, &of_one, YEAR + 2 * 60, found, COLLATERAL_SAME_MAX), 2);
	assert_true(bytes_equal(found[0], document("00806F050000", 2, want)));
	assert_int_equal(collateral_store_find(s, &of_one, YEAR, found, COLLATERAL_SAME_MAX), 0);
	collateral_store_free(s);
}

/* So that whoever serves lower numbers from now on does not make a higher one forgotten. */
static void the_highest_number_is_always_there(void **state)
{
	struct collateral_store *s = collateral_store_new(1 << 20);
	struct bytes found[COLLATERAL_SAME_MAX];
	struct collateral_info is;
	char text[600], want[600];

	(void)state;
	assert_int_equal(collateral_store_add(s, numbered("00806F050000", 2, 18, text), &is), 0);
	assert_int_equal(is.evaluation, 18);
	for (int i = 1; i <= 9; i++)
		assert_int_equal(collateral_store_add(
		                         s, numbered("00806F050000", 2 * i + 1, 17, text), NULL),
		                 0);
	/* Of the same number the newer one. */
	assert_int_equal(collateral_store_add(s, numbered("00806F050000", 4, 18, text), NULL), 0);
	assert_int_equal(collateral_store_find(s, &of_one, LATER, found, COLLATERAL_SAME_MAX), 4);
	for (int i = 0; i < 3; i++)
		assert_true(bytes_equal(found[i], document("00806F050000", 19 - 2 * i, want)));
	assert_true(bytes_equal(found[3], numbered("00806F050000", 4, 18, want)));
	/* One alone is the newest, and what is among the newest is there once. */
	assert_int_equal(collateral_store_find(s, &of_one, LATER, found, 1), 1);
	assert_true(bytes_equal(found[0], document("00806F050000", 19, want)));
	assert_int_equal(collateral_store_find(s, &of_one, YEAR + 5 * 60, found, 2), 2);
	assert_true(bytes_equal(found[0], document("00806F050000", 5, want)));
	assert_true(bytes_equal(found[1], numbered("00806F050000", 4, 18, want)));
	collateral_store_free(s);
}

static void the_oldest_falls_off(void **state)
{
	struct collateral_store *s = collateral_store_new(1 << 20);
	struct bytes found[COLLATERAL_SAME_MAX];
	char text[600];

	(void)state;
	for (int i = 0; i <= COLLATERAL_KEPT_MAX; i++)
		assert_int_equal(
		        collateral_store_add(s, document("00806F050000", 100 + i, text), NULL), 0);
	assert_int_equal(collateral_store_pieces(s), COLLATERAL_KEPT_MAX);
	assert_int_equal(collateral_store_add(s, document("00806F050000", 100, text), NULL),
	                 -ENOSPC);
	assert_int_equal(collateral_store_pieces(s), COLLATERAL_KEPT_MAX);
	assert_int_equal(collateral_store_find(s, &of_one, YEAR + 100 * 60, found, 1), 0);
	assert_int_equal(collateral_store_find(s, &of_one, YEAR + 101 * 60, found, 1), 1);
	collateral_store_free(s);
}

static void it_is_bounded_and_tells_vendors_apart(void **state)
{
	struct collateral_name other = of_one;
	struct collateral_store *s;
	struct bytes found[1], one;
	char text[600];

	(void)state;
	one = document("00806f050000", 1, text);
	s = collateral_store_new(one.n);
	assert_int_equal(collateral_store_add(s, one, NULL), 0);
	assert_int_equal(collateral_store_bytes(s), one.n);
	assert_int_equal(collateral_store_add(s, document("00806f050001", 1, text), NULL), -ENOSPC);
	assert_int_equal(collateral_store_find(s, &of_one, LATER, found, 1), 1);
	other.vendor = VENDOR_AMD;
	assert_int_equal(collateral_store_find(s, &other, LATER, found, 1), 0);
	collateral_store_free(s);
}

static void many_names_are_found(void **state)
{
	struct collateral_store *s = collateral_store_new(1 << 24);
	char text[600], fmspc[13];

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(fmspc, sizeof(fmspc), "%012x", i * 2654435761u);
		assert_int_equal(collateral_store_add(s, document(fmspc, 1, text), NULL), 0);
	}
	for (unsigned i = 0; i < 2000; i++) {
		struct collateral_name name = {.vendor = VENDOR_INTEL};
		struct bytes found[1];

		snprintf(name.path, sizeof(name.path), "tdx/certification/v4/tcb?fmspc=%012x",
		         i * 2654435761u);
		assert_int_equal(collateral_store_find(s, &name, LATER, found, 1), 1);
	}
	collateral_store_free(s);
}

/* --------------------------------------------------------------------- appraisal */

static enum check_status appraise(const char *report, int64_t at, struct collateral_store *s,
                                  struct claims *claims)
{
	struct bytes evidence = vector(report);
	struct attest_input in = {.evidence = evidence,
	                          .at = at,
	                          .require_crl = true,
	                          .collateral = s ? collateral_store_find : NULL,
	                          .collateral_ctx = s};
	struct checks checks = {0};

	assert_int_equal(attest_appraise(&in, claims, &checks), 0);
	release(evidence);
	return checks_overall(&checks);
}

static void add(struct collateral_store *s, const char *file)
{
	struct bytes piece = vector(file);

	assert_int_equal(collateral_store_add(s, piece, NULL), 0);
	release(piece);
}

/* A report alone, and a store that is filled piece by piece with what it asked for. */
static void a_report_and_a_store_are_enough(void **state)
{
	struct collateral_store *s = collateral_store_new(1 << 20);
	const char *report = "snp/genoa-v3-tsm.report.bin";
	struct bytes probe = vector(report);
	struct claims c;

	(void)state;
	if (!probe.n) {
		collateral_store_free(s);
		skip();
	}
	release(probe);
	assert_int_equal(appraise(report, 1747765896, NULL, &c), CHECK_UNAVAILABLE);
	/* All that is going to be missing, at once. */
	assert_int_equal(c.wants, 3);
	assert_string_equal(c.want[1].path, "vcek/v1/Genoa/cert_chain");
	assert_string_equal(c.want[2].path, "vcek/v1/Genoa/crl");
	assert_true(c.want_needed[0] && c.want_needed[1] && c.want_needed[2]);
	assert_string_equal(c.want[0].path,
	                    "vcek/v1/Genoa/" HWID "?blSPL=10&teeSPL=0&snpSPL=23&ucodeSPL=84");
	add(s, "snp/genoa-v3-tsm.vcek.der");
	assert_int_equal(appraise(report, 1747765896, s, &c), CHECK_UNAVAILABLE);
	assert_string_equal(c.want[0].path, "vcek/v1/Genoa/cert_chain");
	add(s, "snp/ask-genoa.der");
	add(s, "snp/ark-genoa.der");
	assert_int_equal(appraise(report, 1747765896, s, &c), CHECK_UNAVAILABLE);
	assert_int_equal(c.wants, 1);
	assert_string_equal(c.want[0].path, "vcek/v1/Genoa/crl");
	add(s, "snp/crl-genoa.der");
	assert_int_equal(appraise(report, 1747765896, s, &c), CHECK_PASS);
	assert_int_equal(c.wants, 0);
	/* Once the list has ended it is missing again, not wrong. */
	assert_int_equal(appraise(report, 1800000000, s, &c), CHECK_UNAVAILABLE);
	assert_int_equal(c.wants, 1);
	assert_true(c.want_needed[0]);
	assert_string_equal(c.want[0].path, "vcek/v1/Genoa/crl");
	collateral_store_free(s);
}

/* A list that only the evidence brought is as new as its sender likes: worth a look elsewhere. */
static void lists_of_the_evidence_are_asked_for_anew(void **state)
{
	static const char *const files[] = {"snp/genoa-v3-tsm.vcek.der", "snp/ask-genoa.der",
	                                    "snp/ark-genoa.der", "snp/crl-genoa.der"};
	struct attest_input in = {.type = TEE_SNP, .at = 1747765896, .require_crl = true};
	struct checks checks = {0};
	struct claims c;

	(void)state;
	in.evidence = vector("snp/genoa-v3-tsm.report.bin");
	if (!in.evidence.n)
		skip();
	for (; in.endorsements_n < 4; in.endorsements_n++)
		in.endorsements[in.endorsements_n] = vector(files[in.endorsements_n]);
	assert_int_equal(attest_appraise(&in, &c, &checks), 0);
	assert_int_equal(checks_overall(&checks), CHECK_PASS);
	assert_int_equal(c.wants, 1);
	assert_false(c.want_needed[0]);
	assert_string_equal(c.want[0].path, "vcek/v1/Genoa/crl");
	release(in.evidence);
	while (in.endorsements_n)
		release(in.endorsements[--in.endorsements_n]);
}

/* Hosts go on handing out the certificate of the firmware that was there before an update. */
static void the_certificate_of_yesterdays_firmware_does_not_do(void **state)
{
	struct attest_input in = {.type = TEE_SNP, .at = 1747765896};
	struct checks checks = {0};
	struct claims c;

	(void)state;
	in.evidence = vector("snp/genoa-v3-tsm.report.bin");
	if (!in.evidence.n)
		skip();
	((uint8_t *)(uintptr_t)in.evidence.p)[0x180]++; /* the boot loader's part of REPORTED_TCB */
	in.endorsements[in.endorsements_n++] = vector("snp/genoa-v3-tsm.vcek.der");
	assert_int_equal(attest_appraise(&in, &c, &checks), 0);
	assert_true(c.wants > 0 && c.want_needed[0]);
	assert_string_equal(c.want[0].path,
	                    "vcek/v1/Genoa/" HWID "?blSPL=11&teeSPL=0&snpSPL=23&ucodeSPL=84");
	release(in.evidence);
	release(in.endorsements[0]);
}

/* Version 2 names no CPU, so that its chip is asked for as of both products. */
static void version_two_asks_for_both_products(void **state)
{
	struct bytes probe = vector("snp/milan-v2.report.bin");
	struct collateral_store *s;
	struct claims c;

	(void)state;
	if (!probe.n)
		skip();
	release(probe);
	assert_int_equal(appraise("snp/milan-v2.report.bin", 1683141823, NULL, &c),
	                 CHECK_UNAVAILABLE);
	assert_int_equal(c.wants, 2);
	assert_int_equal(strncmp(c.want[0].path, "vcek/v1/Milan/", 14), 0);
	assert_int_equal(strncmp(c.want[1].path, "vcek/v1/Genoa/", 14), 0);
	/* One answer is enough. */
	s = collateral_store_new(1 << 20);
	add(s, "snp/milan-v2.vcek.der");
	assert_int_equal(appraise("snp/milan-v2.report.bin", 1683141823, s, &c), CHECK_UNAVAILABLE);
	assert_int_equal(c.wants, 2);
	assert_string_equal(c.want[0].path, "vcek/v1/Milan/cert_chain");
	collateral_store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(real_pieces_have_their_names),
	        cmocka_unit_test(turin_names_fmc_first),
	        cmocka_unit_test(lists_in_hex_are_read),
	        cmocka_unit_test(what_no_vendor_serves_is_refused),
	        cmocka_unit_test(the_newest_comes_first),
	        cmocka_unit_test(the_highest_number_is_always_there),
	        cmocka_unit_test(the_oldest_falls_off),
	        cmocka_unit_test(it_is_bounded_and_tells_vendors_apart),
	        cmocka_unit_test(many_names_are_found),
	        cmocka_unit_test(a_report_and_a_store_are_enough),
	        cmocka_unit_test(lists_of_the_evidence_are_asked_for_anew),
	        cmocka_unit_test(the_certificate_of_yesterdays_firmware_does_not_do),
	        cmocka_unit_test(version_two_asks_for_both_products),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
