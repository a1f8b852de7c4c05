/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where evidence comes from: configfs-tsm as a directory of plain files, the messages of the Nitro
 * security module, and every simulated platform under the real appraisal.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "core/cbor.h"
#include "attester/nsm.h"
#include "attester/tsm.h"
#include "core/file.h"

static char base[] = "/tmp/keygate-sources-XXXXXX";

static const char *in_base(const char *name)
{
	static char path[2][256];
	static int at;

	at = !at;
	snprintf(path[at], sizeof(path[at]), "%s/%s", base, name);
	return path[at];
}

static void put(const char *name, const char *text)
{
	assert_int_equal(file_write_atomic(in_base(name), bytes_str(text), 0600), 0);
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(base) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[300];
	(void)state;

	snprintf(command, sizeof(command), "rm -rf %s", base);
	return system(command); /* NOLINT(cert-env33-c): our own directory */
}

/* ----------------------------------------------------------------- configfs-tsm */

static uint8_t data[64];

/* An entry as the kernel shows it after one write. */
static void entry(const char *provider, const char *aux)
{
	put("inblob", "");
	put("provider", provider);
	put("outblob", "the report");
	put("generation", "1\n");
	if (aux)
		put("auxblob", aux);
	else
		unlink(in_base("auxblob"));
}

static int report(struct evidence *e)
{
	int dir = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	assert_int_not_equal(dir, -1);
	evidence_init(e);
	rc = tsm_report(dir, data, e);
	close(dir);
	return rc;
}

static void each_provider(void **state)
{
	static const struct {
		const char *provider, *aux;
		enum tee tee;
		uint32_t pieces;
	} rows[] = {
	        {"sev_guest\n", "a table", TEE_SNP, 1}, {"sev_guest\n", "", TEE_SNP, 0},
	        {"sev_guest", "a table", TEE_SNP, 1},   {"tdx_guest\n", NULL, TEE_TDX, 0},
	        {"arm_cca_guest\n", NULL, TEE_CCA, 0},
	};
	uint8_t *written;
	size_t n;
	(void)state;

	memset(data, 0x5a, sizeof(data));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct evidence e;

		entry(rows[i].provider, rows[i].aux);
		assert_int_equal(report(&e), 0);
		assert_int_equal(e.tee, rows[i].tee);
		assert_true(bytes_equal(buf_view(&e.report), bytes_str("the report")));
		assert_int_equal(e.endorsements, rows[i].pieces);
		evidence_free(&e);
		assert_int_equal(file_read(in_base("inblob"), 4096, &written, &n), 0);
		assert_int_equal(n, sizeof(data));
		assert_memory_equal(written, data, n);
		free(written);
	}
}

static void what_is_no_report(void **state)
{
	static const char *const unknown[] = {
	        "", "\n", "sev", "sev_guest2\n", "tdx_guest_x", "xtdx_guest\n"};
	struct evidence e;
	(void)state;

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		entry(unknown[i], NULL);
		assert_int_equal(report(&e), -ENODEV);
		assert_int_equal(e.tee, TEE_NONE);
		evidence_free(&e);
	}
	entry("sev_guest\n", NULL); /* SNP has the file, if only an empty one */
	assert_int_equal(report(&e), -ENOENT);
	evidence_free(&e);
	entry("tdx_guest\n", NULL); /* somebody else wrote to the entry as well */
	put("generation", "2\n");
	assert_int_equal(report(&e), -EBUSY);
	assert_int_equal(e.tee, TEE_NONE);
	evidence_free(&e);
	entry("tdx_guest\n", NULL);
	put("outblob", "");
	assert_int_equal(report(&e), -EIO);
	evidence_free(&e);
	entry("tdx_guest\n", NULL);
	unlink(in_base("inblob"));
	assert_int_equal(report(&e), -ENOENT);
	evidence_free(&e);
}

static void no_device(void **state)
{
	struct evidence_source s;
	(void)state;

	assert_int_equal(evidence_tsm_open(in_base("absent"), &s), -ENODEV);
	assert_int_equal(evidence_nsm_open(in_base("absent"), &s), -ENODEV);
	/* There, and no security module. */
	put("nsm", "");
	assert_int_equal(evidence_nsm_open(in_base("nsm"), &s), 0);
	{
		struct evidence e;

		evidence_init(&e);
		assert_int_equal(s.evidence(s.ctx, data, &e), -ENOTTY);
		assert_int_equal(e.report.n, 0);
		evidence_free(&e);
	}
	evidence_nsm_close(&s);
	evidence_nsm_close(&s);
}

/* -------------------------------------------------------------- security module */

/* Byte for byte as serde writes Request::Attestation of AWS's library. */
static void the_request(void **state)
{
	static const char head[] = "\xa1\x6b"
	                           "Attestation\xa3\x69user_data\x58\x40";
	static const char tail[] = "\x65nonce\xf6\x6apublic_key\xf6";
	struct buf b = buf_make(NSM_REQUEST_MAX);
	(void)state;

	nsm_put_request(&b, data);
	assert_int_equal(b.n, sizeof(head) - 1 + 64 + sizeof(tail) - 1);
	assert_memory_equal(b.p, head, sizeof(head) - 1);
	assert_memory_equal(b.p + sizeof(head) - 1, data, 64);
	assert_memory_equal(b.p + sizeof(head) - 1 + 64, tail, sizeof(tail) - 1);
	buf_free(&b);
}

#define DOCUMENT \
	"\x68" \
	"document"
#define ANSWER \
	"\xa1\x6b" \
	"Attestation\xa1" DOCUMENT

static void responses(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		int rc;
	} rows[] = {
#define ROW(text, rc) {text, sizeof(text) - 1, rc}
	        ROW(ANSWER "\x43"
	                   "doc",
	            0),
	        ROW("\xbf\x6b"
	            "Attestation\xbf" DOCUMENT "\x43"
	            "doc\xff\xff",
	            0),
	        ROW("\xa1\x65"
	            "Error\x6f"
	            "InvalidArgument",
	            -EIO),
	        ROW(ANSWER "\x40", -EPROTO), /* an empty document */
	        ROW(ANSWER "\x63"
	                   "doc",
	            -EPROTO), /* text */
	        ROW(ANSWER "\x43"
	                   "doc\x00",
	            -EPROTO), /* more behind it */
	        ROW(ANSWER "\x58\x03"
	                   "doc",
	            -EPROTO), /* a long head */
	        ROW("\xa1\x6b"
	            "Attestation\xa2" DOCUMENT "\x43"
	            "doc\x61x\x00",
	            -EPROTO),
	        ROW("\xa2\x6b"
	            "Attestation\xa1" DOCUMENT "\x43"
	            "doc\x61x\x00",
	            -EPROTO),
	        ROW("\xa1\x66"
	            "Random\xa1\x66"
	            "random\x43"
	            "doc",
	            -EPROTO),
	        ROW("\xa1\x6b"
	            "Attestation\x43"
	            "doc",
	            -EPROTO),
	        ROW("\xa1\x65"
	            "Error\xa0",
	            -EPROTO),
	        ROW("\xa0", -EPROTO),
	        ROW("\xbf\xff", -EPROTO),
	        ROW("\x65"
	            "Error",
	            -EPROTO),
	        ROW("", -EPROTO),
#undef ROW
	};
	struct bytes document;
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		document = BYTES_NONE;
		assert_int_equal(
		        nsm_take_response((struct bytes){(const uint8_t *)rows[i].bytes, rows[i].n},
		                          &document),
		        rows[i].rc);
		if (rows[i].rc == 0)
			assert_true(bytes_equal(document, bytes_str("doc")));
		else
			assert_null(document.p);
	}
	for (size_t n = 0; n < rows[0].n; n++) {
		uint8_t *exact = malloc(n ? n : 1);

		memcpy(exact, rows[0].bytes, n);
		assert_int_equal(nsm_take_response((struct bytes){exact, n}, &document), -EPROTO);
		free(exact);
	}
}

/* ------------------------------------------------------------ simulated platforms */

static void load_anchor(const char *dir, uint8_t **p, size_t *n)
{
	char name[64];

	snprintf(name, sizeof(name), "%s/anchor.pem", dir);
	assert_int_equal(file_read(in_base(name), 65536, p, n), 0);
}

static void judge(const struct evidence *e, struct bytes anchor, const uint8_t want[static 64],
                  struct claims *claims, struct checks *checks)
{
	struct attest_input in = {.evidence = buf_view(&e->report),
	                          .anchors = {anchor},
	                          .anchors_n = 1,
	                          .at = time(NULL),
	                          .check_report_data = true};

	memcpy(in.report_data, want, 64);
	*checks = (struct checks){0};
	assert_int_equal(attest_appraise(&in, claims, checks), 0);
}

static void simulated(void **state)
{
	static const struct {
		enum tee tee;
		const char *launch, *report_data;
	} rows[] = {{TEE_CCA, "rim", "cca.report-data"}, {TEE_NITRO, "pcr0", "nitro.report-data"}};
	(void)state;

	put("code", "what is measured");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *dir = attest_tee_name(rows[i].tee), *step = "";
		struct evidence_source s;
		struct measurements m;
		struct claims claims;
		struct checks checks;
		struct evidence e;
		uint8_t *anchor = NULL, want[64];
		enum tee tee = TEE_NONE;
		size_t n = 0;

		assert_int_equal(evidence_sim_init(in_base(dir), rows[i].tee, time(NULL), &step),
		                 0);
		assert_int_equal(evidence_sim_init(in_base(dir), rows[i].tee, time(NULL), &step),
		                 -EEXIST);
		assert_int_equal(evidence_sim_tee(in_base(dir), &tee), 0);
		assert_int_equal(tee, rows[i].tee);
		assert_int_equal(evidence_sim_open(in_base(dir), in_base("code"), &s, &step), 0);
		evidence_init(&e);
		memset(want, 0x17, sizeof(want));
		assert_int_equal(s.evidence(s.ctx, want, &e), 0);
		assert_int_equal(e.tee, rows[i].tee);
		load_anchor(dir, &anchor, &n);
		judge(&e, (struct bytes){anchor, n}, want, &claims, &checks);
		assert_int_equal(checks_overall(&checks), CHECK_PASS);
		assert_true(claims.extra_anchor);
		/* What measure prints is what the evidence says. */
		assert_int_equal(evidence_sim_measure(rows[i].tee, in_base("code"), &m), 0);
		assert_string_equal(m.v[0].name, rows[i].launch);
		for (uint32_t k = 0; k < m.n; k++) {
			const struct measurement *is =
			        measurement_find(&claims.measurements, m.v[k].name);

			assert_non_null(is);
			assert_int_equal(is->role, m.v[k].role);
			assert_int_equal(is->len, m.v[k].len);
			assert_memory_equal(is->value, m.v[k].value, is->len);
		}
		want[0] ^= 1;
		judge(&e, (struct bytes){anchor, n}, want, &claims, &checks);
		assert_int_equal(checks_overall(&checks), CHECK_FAIL);
		assert_string_equal(checks_first(&checks, CHECK_FAIL)->id, rows[i].report_data);
		free(anchor);
		evidence_free(&e);
		evidence_sim_close(&s);
	}
}

/* What is missing or damaged is named. */
static void damaged_platforms(void **state)
{
	static const struct {
		const char *file, *text;
	} rows[] = {
	        {"cca/cpak.key", "no key"},
	        {"cca/platform.json", "{\"format\": \"keygate-sim-cca/1\"}"},
	        {"cca/platform.json", "{\"format\": \"keygate-sim-cca/2\"}"},
	        {"nitro/chain.pem", "no chain"},
	        {"nitro/enclave.key", ""},
	        {"nitro/platform.json",
	         "{\"format\": \"keygate-sim-nitro/1\", \"module_id\": \"i-1\"}"},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char dir[16] = "";
		const char *step = "";
		struct evidence_source s;
		uint8_t *was = NULL;
		size_t n = 0;

		memcpy(dir, rows[i].file, strcspn(rows[i].file, "/"));
		assert_int_equal(file_read(in_base(rows[i].file), 65536, &was, &n), 0);
		put(rows[i].file, rows[i].text);
		assert_int_equal(evidence_sim_open(in_base(dir), in_base("code"), &s, &step),
		                 -EINVAL);
		assert_string_equal(step, rows[i].file + strlen(dir) + 1);
		assert_int_equal(
		        file_write_atomic(in_base(rows[i].file), (struct bytes){was, n}, 0600), 0);
		free(was);
		assert_int_equal(evidence_sim_open(in_base(dir), in_base("code"), &s, &step), 0);
		evidence_sim_close(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_provider),     cmocka_unit_test(what_is_no_report),
	        cmocka_unit_test(no_device),         cmocka_unit_test(the_request),
	        cmocka_unit_test(responses),         cmocka_unit_test(simulated),
	        cmocka_unit_test(damaged_platforms),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
