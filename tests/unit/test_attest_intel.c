/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of Intel's appraisal one by one: the PCK certificate's extension, signed JSON and what
 * it may hold, the matching of levels. Whole quotes are test_attest_intel_vectors.c's and those of
 * the simulated platforms'.
 */
#include "tests/unit/attest_build.h"

#include <errno.h>
#include "attest/intel_appraise.h"

/* ------------------------------------------------------------- the extension */

/* DER, written from the inside: a list of fields, each a TLV. */
struct tlv {
	uint8_t p[1400];
	size_t n;
};

static void tlv_put(struct tlv *t, const void *p, size_t n)
{
	assert_true(t->n + n <= sizeof(t->p));
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

static void tlv_wrap(struct tlv *out, uint8_t tag, const void *p, size_t n)
{
	uint8_t head[4] = {tag, (uint8_t)n};
	size_t len = 2;

	if (n >= 0x100) {
		memcpy(head + 1, (uint8_t[]){0x82, (uint8_t)(n >> 8), (uint8_t)n}, 3);
		len = 4;
	} else if (n >= 0x80) {
		memcpy(head + 1, (uint8_t[]){0x81, (uint8_t)n}, 2);
		len = 3;
	}
	tlv_put(out, head, len);
	tlv_put(out, p, n);
}

/* SEQUENCE { OID arc.suffix, value } */
static void tlv_pair(struct tlv *out, const uint8_t *suffix, size_t suffix_n,
                     const struct tlv *value)
{
	uint8_t oid[16] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
	struct tlv pair = {.n = 0};

	memcpy(oid + 9, suffix, suffix_n);
	tlv_wrap(&pair, 0x06, oid, 9 + suffix_n);
	tlv_put(&pair, value->p, value->n);
	tlv_wrap(out, 0x30, pair.p, pair.n);
}

static struct tlv octets(size_t n, uint8_t fill)
{
	struct tlv v = {.n = 0};
	uint8_t p[64];

	memset(p, fill, sizeof(p));
	tlv_wrap(&v, 0x04, p, n);
	return v;
}

static struct tlv number(uint8_t tag, const void *p, size_t n)
{
	struct tlv v = {.n = 0};

	tlv_wrap(&v, tag, p, n);
	return v;
}

/* The TCB list; with one field in another form, left out (empty) or repeated. */
struct bent {
	unsigned field; /* 0: none */
	struct tlv value;
	bool twice;
};

static struct tlv tcb_list(const struct bent *b)
{
	struct tlv list = {.n = 0}, out = {.n = 0};

	for (uint8_t f = 1; f <= 18; f++) {
		uint8_t pcesvn[] = {0x29, 0x61};
		struct tlv v = f == 18   ? octets(16, 0x77)
		               : f == 17 ? number(0x02, pcesvn, 2)
		                         : number(0x02, &f, 1);

		if (b && b->field == f && !b->twice && !b->value.n)
			continue;
		if (b && b->field == f && b->value.n)
			v = b->value;
		tlv_pair(&list, (uint8_t[]){2, f}, 2, &v);
		if (b && b->field == f && b->twice)
			tlv_pair(&list, (uint8_t[]){2, f}, 2, &v);
	}
	tlv_wrap(&out, 0x30, list.p, list.n);
	return out;
}

static struct tlv extension(const struct bent *top, const struct bent *tcb)
{
	struct tlv list = {.n = 0}, out = {.n = 0};

	for (uint8_t f = 1; f <= 7; f++) {
		uint8_t zero = 0;
		struct tlv v = f == 1   ? octets(16, 0x11)
		               : f == 2 ? tcb_list(tcb)
		               : f == 3 ? octets(2, 0x33)
		               : f == 4 ? octets(6, 0x44)
		               : f == 5 ? number(0x0a, &zero, 1)
		               : f == 6 ? octets(16, 0x66)
		                        : number(0x30, &zero, 0);

		if (top && top->field == f && !top->twice && !top->value.n)
			continue;
		if (top && top->field == f && top->value.n)
			v = top->value;
		tlv_pair(&list, &f, 1, &v);
		if (top && top->field == f && top->twice)
			tlv_pair(&list, &f, 1, &v);
	}
	tlv_wrap(&out, 0x30, list.p, list.n);
	return out;
}

static const char *read_pck(const uint8_t *p, size_t n, struct intel_pck *out)
{
	X509 *cert = X509_new();
	const char *wrong;

	add_ext(cert, INTEL_OID_SGX, p, n);
	wrong = attest_intel_pck(cert, out);
	X509_free(cert);
	return wrong;
}

static void an_extension_is_read(void **state)
{
	struct tlv ext = extension(NULL, NULL);
	struct intel_pck pck;
	uint8_t fmspc[6];
	X509 *bare = X509_new();
	(void)state;

	assert_null(read_pck(ext.p, ext.n, &pck));
	for (unsigned i = 0; i < INTEL_SVNS; i++)
		assert_int_equal(pck.svn[i], i + 1);
	assert_int_equal(pck.pcesvn, 0x2961);
	assert_int_equal(pck.ppid[15], 0x11);
	assert_int_equal(pck.cpusvn[0], 0x77);
	assert_int_equal(pck.pceid[1], 0x33);
	memset(fmspc, 0x44, sizeof(fmspc));
	assert_memory_equal(pck.fmspc, fmspc, sizeof(fmspc));
	assert_true(pck.has_instance);
	assert_int_equal(pck.instance[3], 0x66);

	assert_non_null(attest_intel_pck(bare, &pck));
	add_ext(bare, INTEL_OID_SGX, ext.p, ext.n);
	add_ext(bare, INTEL_OID_SGX, ext.p, ext.n);
	assert_non_null(attest_intel_pck(bare, &pck));
	X509_free(bare);
}

static void what_a_processor_ca_leaves_out(void **state)
{
	struct bent none = {.field = 6};
	struct tlv ext = extension(&none, NULL);
	struct intel_pck pck;
	(void)state;

	assert_null(read_pck(ext.p, ext.n, &pck));
	assert_false(pck.has_instance);
	none.field = 7;
	ext = extension(&none, NULL);
	assert_null(read_pck(ext.p, ext.n, &pck));
	for (unsigned f = 1; f <= 5; f++) {
		none.field = f;
		ext = extension(&none, NULL);
		assert_non_null(read_pck(ext.p, ext.n, &pck));
	}
	for (unsigned f = 1; f <= 18; f++) {
		none.field = f;
		ext = extension(NULL, &none);
		assert_non_null(read_pck(ext.p, ext.n, &pck));
	}
}

static void bent_fields_are_refused(void **state)
{
	const uint8_t wide[] = {0x00, 0xc1}, huge[] = {0x01, 0x00, 0x00}, loose[] = {0x00, 0x41},
	              negative[] = {0xc1}, top[] = {0x00, 0xff, 0xff};
	struct intel_pck pck;
	struct bent b = {0};
	struct tlv ext;
	(void)state;

	for (unsigned f = 1; f <= 7; f++) {
		b = (struct bent){.field = f, .twice = true};
		ext = extension(&b, NULL);
		assert_non_null(read_pck(ext.p, ext.n, &pck));
		b = (struct bent){.field = f, .value = octets(5, 1)};
		ext = extension(&b, NULL);
		/* Of the configuration nothing is read. */
		assert_int_equal(read_pck(ext.p, ext.n, &pck) == NULL, f == 7);
	}
	for (unsigned f = 1; f <= 18; f++) {
		b = (struct bent){.field = f, .twice = true};
		ext = extension(NULL, &b);
		assert_non_null(read_pck(ext.p, ext.n, &pck));
		b = (struct bent){.field = f, .value = octets(5, 1)};
		ext = extension(NULL, &b);
		assert_non_null(read_pck(ext.p, ext.n, &pck));
	}
	b = (struct bent){.field = 2, .value = number(0x02, wide, sizeof(wide))};
	ext = extension(NULL, &b);
	assert_null(read_pck(ext.p, ext.n, &pck));
	assert_int_equal(pck.svn[1], 0xc1);
	b.value = number(0x02, top, sizeof(top));
	ext = extension(NULL, &b);
	assert_null(read_pck(ext.p, ext.n, &pck));
	assert_int_equal(pck.svn[1], 0xffff);
	b.value = number(0x02, huge, sizeof(huge));
	ext = extension(NULL, &b);
	assert_non_null(read_pck(ext.p, ext.n, &pck));
	b.value = number(0x02, loose, sizeof(loose));
	ext = extension(NULL, &b);
	assert_non_null(read_pck(ext.p, ext.n, &pck));
	b.value = number(0x02, negative, sizeof(negative));
	ext = extension(NULL, &b);
	assert_non_null(read_pck(ext.p, ext.n, &pck));
	b.value = number(0x02, negative, 0);
	ext = extension(NULL, &b);
	assert_non_null(read_pck(ext.p, ext.n, &pck));
}

static void a_cut_or_long_extension_is_refused(void **state)
{
	struct tlv ext = extension(NULL, NULL);
	struct intel_pck pck;
	uint8_t *p;
	(void)state;

	for (size_t n = 0; n < ext.n; n++) {
		/* Of just this size, for the sanitizer. */
		p = malloc(n + !n);
		memcpy(p, ext.p, n);
		assert_non_null(read_pck(p, n, &pck));
		free(p);
	}
	ext.p[ext.n++] = 0;
	assert_non_null(read_pck(ext.p, ext.n, &pck));
}

/* --------------------------------------------------------------------- JSON */

#define SIGNATURE \
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" \
	"202122232425262728292a2b2c2d2e2f303132333435363738393A3B3C3D3E3F"
#define DATES \
	"\"issueDate\":\"2025-06-19T10:32:27Z\",\"nextUpdate\":\"2025-07-19T10:32:27Z\"," \
	"\"tcbEvaluationDataNumber\":17"
#define TCB_INFO(inside)  "{\"tcbInfo\":{" inside "},\"signature\":\"" SIGNATURE "\"}"
#define HEX8              "0011223344556677"
#define HEX16             HEX8 HEX8
#define HEX32             HEX16 HEX16
#define HEX48             HEX32 HEX16
#define SVN4              "{\"svn\":1},{\"svn\":2},{\"svn\":3},{\"svn\":4}"
#define SVN16             "[" SVN4 "," SVN4 "," SVN4 "," SVN4 "]"
#define RATING(status)    "\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"" status "\""
#define ISV_LEVEL(svn, s) "{\"tcb\":{\"isvsvn\":" svn "}," RATING(s) "}"
#define LEVEL(pcesvn, s) \
	"{\"tcb\":{\"sgxtcbcomponents\":" SVN16 ",\"pcesvn\":" pcesvn "," \
	"\"tdxtcbcomponents\":" SVN16 "}," RATING(s) "}"
#define MODULE \
	"\"mrsigner\":\"" HEX48 "\",\"attributes\":\"" HEX8 "\",\"attributesMask\":\"" HEX8 "\""

static const char *document(const char *text, struct intel_document *d)
{
	return attest_intel_document(bytes_str(text), INTEL_JSON_TCB_INFO, d);
}

static void a_document_is_found_to_the_byte(void **state)
{
	static const char text[] = TCB_INFO(" " DATES " ,\"s\":\"}\\\"\\u0041\\u00e4\xc3\xa4\"");
	struct intel_document d;
	(void)state;

	assert_null(document(text, &d));
	assert_int_equal(d.text.n, strlen(text) - strlen(INTEL_JSON_TCB_INFO) -
	                                   strlen(",\"signature\":\"") - 128 - strlen("\"}"));
	assert_ptr_equal(d.text.p, (const uint8_t *)text + strlen(INTEL_JSON_TCB_INFO));
	assert_int_equal(d.signature[63], 0x3f);
	assert_int_equal(d.issued, 1750329147);
	assert_int_equal(d.ends, 1752921147);
	assert_int_equal(d.evaluation, 17);
	attest_intel_document_free(&d);
	assert_null(document(TCB_INFO(DATES) "\r\n", &d));
	attest_intel_document_free(&d);
}

static void what_is_no_document(void **state)
{
	static const char *const wrong[] = {
	        "",
	        "{",
	        INTEL_JSON_TCB_INFO,
	        INTEL_JSON_TCB_INFO "[]" SIGNATURE,
	        " " TCB_INFO(DATES),
	        "{\"tcbInfo\": {" DATES "},\"signature\":\"" SIGNATURE "\"}",
	        "{\"tcbInfo\":{" DATES "} ,\"signature\":\"" SIGNATURE "\"}",
	        "{\"tcbInfo\":{" DATES "},\"signature\":\"" SIGNATURE "00\"}",
	        "{\"tcbInfo\":{" DATES "},\"signature\":\"" SIGNATURE "\",\"x\":1}",
	        "{\"tcbInfo\":{" DATES "},\"tcbInfo\":{" DATES "},\"signature\":\"" SIGNATURE "\"}",
	        "{\"signature\":\"" SIGNATURE "\",\"tcbInfo\":{" DATES "}}",
	        TCB_INFO(DATES) "x",
	        TCB_INFO(DATES) "{}",
	        TCB_INFO(DATES ",\"a\":1,\"a\":1"),
	        TCB_INFO(DATES ",\"a\":{\"b\":1,\"b\":2}"),
	        TCB_INFO(DATES ",\"a\":\"\xff\""),
	        TCB_INFO(DATES ",\"a\":\"\\u0000\""),
	        TCB_INFO(DATES ",\"a\":[[[[[[[[1]]]]]]]]"),
	        TCB_INFO(DATES ",\"a\":}"),
	        TCB_INFO("\"issueDate\":\"2025-06-19T10:32:27Z\""),
	        TCB_INFO("\"tcbEvaluationDataNumber\":17"),
	        TCB_INFO("\"issueDate\":\"2025-07-19T10:32:28Z\","
	                 "\"nextUpdate\":\"2025-07-19T10:32:27Z\",\"tcbEvaluationDataNumber\":1"),
	        TCB_INFO("\"issueDate\":\"2025-02-29T10:32:28Z\","
	                 "\"nextUpdate\":\"2025-07-19T10:32:27Z\",\"tcbEvaluationDataNumber\":1"),
	        TCB_INFO("\"issueDate\":\"2025-06-19T10:32:28\","
	                 "\"nextUpdate\":\"2025-07-19T10:32:27Z\",\"tcbEvaluationDataNumber\":1"),
	        TCB_INFO("\"issueDate\":\"2025-06-19T10:32:28+1\","
	                 "\"nextUpdate\":\"2025-07-19T10:32:27Z\",\"tcbEvaluationDataNumber\":1"),
	        TCB_INFO("\"issueDate\":\"2025-06-19T24:00:00Z\","
	                 "\"nextUpdate\":\"2025-07-19T10:32:27Z\",\"tcbEvaluationDataNumber\":1"),
	        TCB_INFO("\"issueDate\":1750329147,"
	                 "\"nextUpdate\":\"2025-07-19T10:32:27Z\",\"tcbEvaluationDataNumber\":1"),
	        TCB_INFO("\"issueDate\":\"2025-06-19T10:32:27Z\","
	                 "\"nextUpdate\":\"2025-07-19T10:32:27Z\",\"tcbEvaluationDataNumber\":-1"),
	        TCB_INFO("\"issueDate\":\"2025-06-19T10:32:27Z\","
	                 "\"nextUpdate\":\"2025-07-19T10:32:27Z\",\"tcbEvaluationDataNumber\":1.0"),
	};
	struct intel_document d;
	struct buf large = buf_make(1 << 20);
	(void)state;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (!document(wrong[i], &d))
			fail_msg("passed: %s", wrong[i]);
		assert_null(d.body);
	}
	buf_str(&large, INTEL_JSON_TCB_INFO "{" DATES ",\"a\":\"");
	while (large.n < 1 << 18)
		buf_u8(&large, 'a');
	buf_str(&large, "\"},\"signature\":\"" SIGNATURE "\"}");
	assert_non_null(attest_intel_document(buf_view(&large), INTEL_JSON_TCB_INFO, &d));
	buf_free(&large);
}

static const char *tcb_info(const char *text, bool tdx, struct intel_tcb_info *out)
{
	struct intel_document d;
	const char *wrong;

	assert_null(document(text, &d));
	wrong = attest_intel_tcb_info(&d, tdx, out);
	attest_intel_document_free(&d);
	return wrong;
}

#define V3              DATES ",\"version\":3,\"tcbType\":0"
#define MODULES         ",\"tdxModule\":{" MODULE "}"
#define TCB_INFO_BEFORE "{\"tcbInfo\":{" V3 MODULES ","

static void levels_are_read_and_sorted(void **state)
{
	struct intel_tcb_info info;
	(void)state;

	assert_null(
	        tcb_info(TCB_INFO(V3 MODULES ",\"tcbLevels\":[" LEVEL("5", "OutOfDate") "," LEVEL(
	                         "11", "UpToDate") "," LEVEL("5", "Revoked") "]"),
	                 true, &info));
	assert_int_equal(info.levels, 3);
	assert_int_equal(info.level[0].pcesvn, 11);
	assert_int_equal(info.level[0].rating.status, INTEL_UP_TO_DATE);
	assert_int_equal(info.level[0].rating.date, 1710288000);
	/* Of two that are alike, the worse. */
	assert_int_equal(info.level[1].rating.status, INTEL_REVOKED);
	assert_int_equal(info.level[2].tdx[15], 4);
	assert_int_equal(info.modules, 0);
	assert_null(tcb_info(
	        TCB_INFO(V3 MODULES
	                 ",\"tdxModuleIdentities\":[{\"id\":\"TDX_01\"," MODULE
	                 ",\"tcbLevels\":[" ISV_LEVEL("2", "OutOfDate") "," ISV_LEVEL(
	                         "6", "UpToDate") "]}],\"tcbLevels\":[" LEVEL("5", "UpToDate") "]"),
	        true, &info));
	assert_int_equal(info.modules, 1);
	assert_string_equal(info.identity[0].id, "TDX_01");
	assert_int_equal(info.identity[0].level[0].isvsvn, 6);
	assert_int_equal(attest_intel_isv_level(&info.identity[0], 7)->isvsvn, 6);
	assert_int_equal(attest_intel_isv_level(&info.identity[0], 6)->isvsvn, 6);
	assert_int_equal(attest_intel_isv_level(&info.identity[0], 5)->isvsvn, 2);
	assert_null(attest_intel_isv_level(&info.identity[0], 1));
}

static void malformed_tcb_info_is_refused(void **state)
{
	static const struct {
		const char *text;
		bool sgx_too;
	} wrong[] = {
	        {TCB_INFO(DATES ",\"version\":4,\"tcbType\":0" MODULES
	                        ",\"tcbLevels\":[" LEVEL("5", "UpToDate") "]"),
	         true},
	        {TCB_INFO(DATES ",\"version\":3,\"tcbType\":1" MODULES
	                        ",\"tcbLevels\":[" LEVEL("5", "UpToDate") "]"),
	         true},
	        {TCB_INFO(DATES ",\"version\":2,\"tcbType\":0" MODULES
	                        ",\"tcbLevels\":[" LEVEL("5", "UpToDate") "]"),
	         true},
	        {TCB_INFO(V3 MODULES), true},
	        {TCB_INFO(V3 MODULES ",\"tcbLevels\":[]"), true},
	        {TCB_INFO(V3 MODULES ",\"tcbLevels\":{}"), true},
	        {TCB_INFO(V3 MODULES ",\"tcbLevels\":[1]"), true},
	        {TCB_INFO(V3 MODULES ",\"tcbLevels\":[" LEVEL("5", "Uptodate") "]"), true},
	        {TCB_INFO(V3 MODULES ",\"tcbLevels\":[" LEVEL("5", "TDRelaunchAdvised") "]"), true},
	        {TCB_INFO(V3 MODULES ",\"tcbLevels\":[" LEVEL("65536", "UpToDate") "]"), true},
	        {TCB_INFO(V3 MODULES ",\"tcbLevels\":[" LEVEL("-1", "UpToDate") "]"), true},
	        {TCB_INFO(V3 MODULES ",\"tcbLevels\":[" LEVEL("\"5\"", "UpToDate") "]"), true},
	        {TCB_INFO(V3 MODULES ",\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":[" SVN4
	                             "],\"pcesvn\":5,\"tdxtcbcomponents\":" SVN16
	                             "}," RATING("UpToDate") "}]"),
	         true},
	        {TCB_INFO(V3 MODULES ",\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":" SVN16
	                             ",\"pcesvn\":5}," RATING("UpToDate") "}]"),
	         false},
	        {TCB_INFO(V3 ",\"tcbLevels\":[" LEVEL("5", "UpToDate") "]"), false},
	        {TCB_INFO(V3 MODULES ",\"tdxModuleIdentities\":{}"
	                             ",\"tcbLevels\":[" LEVEL("5", "UpToDate") "]"),
	         false},
	        {TCB_INFO(V3 MODULES
	                  ",\"tdxModuleIdentities\":[{\"id\":\"TDX_01\"," MODULE
	                  ",\"tcbLevels\":[]}],\"tcbLevels\":[" LEVEL("5", "UpToDate") "]"),
	         false},
	        {TCB_INFO(V3 MODULES
	                  ",\"tdxModuleIdentities\":[{\"id\":\"TDX_0000000000000001\"," MODULE
	                  ",\"tcbLevels\":[" ISV_LEVEL("1", "UpToDate") "]}],\"tcbLevels\":[" LEVEL(
	                          "5", "UpToDate") "]"),
	         false},
	};
	struct intel_tcb_info info;
	(void)state;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (!tcb_info(wrong[i].text, true, &info))
			fail_msg("passed: %s", wrong[i].text);
		assert_int_equal(tcb_info(wrong[i].text, false, &info) != NULL, wrong[i].sgx_too);
	}
}

/* More of a kind than there is room for. */
static void too_many_of_a_kind(void **state)
{
	static const struct {
		const char *before, *each, *after;
		size_t most;
	} kinds[] = {
	        {TCB_INFO_BEFORE "\"tcbLevels\":[", LEVEL("5", "UpToDate"), "]", INTEL_LEVELS_MAX},
	        {TCB_INFO_BEFORE
	         "\"tcbLevels\":[" LEVEL("5", "UpToDate") "],"
	                                                  "\"tdxModuleIdentities\":[",
	         "{\"id\":\"TDX_01\"," MODULE ",\"tcbLevels\":[" ISV_LEVEL("1", "UpToDate") "]}",
	         "]", INTEL_MODULES_MAX},
	        {TCB_INFO_BEFORE "\"tcbLevels\":[" LEVEL(
	                 "5", "UpToDate") "],"
	                                  "\"tdxModuleIdentities\":[{\"id\":\"TDX_01\"," MODULE
	                                  ",\"tcbLevels\":[",
	         ISV_LEVEL("1", "UpToDate"), "]}]", INTEL_ISV_LEVELS_MAX},
	        {TCB_INFO_BEFORE "\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":" SVN16
	                         ",\"pcesvn\":5,\"tdxtcbcomponents\":" SVN16
	                         "}," RATING("UpToDate") ","
	                                                 "\"advisoryIDs\":[",
	         "\"INTEL-SA-00615\"", "]}]", ADVISORIES_MAX},
	};
	struct intel_tcb_info info;
	(void)state;

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (size_t n = kinds[k].most; n <= kinds[k].most + 1; n++) {
			struct buf text = buf_make(1 << 18);

			buf_str(&text, kinds[k].before);
			for (size_t i = 0; i < n; i++)
				buf_printf(&text, "%s%s", i ? "," : "", kinds[k].each);
			buf_str(&text, kinds[k].after);
			buf_str(&text, "},\"signature\":\"" SIGNATURE "\"}");
			buf_u8(&text, 0);
			assert_int_equal(tcb_info((const char *)text.p, true, &info) != NULL,
			                 n > kinds[k].most);
			buf_free(&text);
		}
	}
}

static void advisories_are_short_words(void **state)
{
	static const struct {
		const char *list;
		bool good;
	} lists[] = {
	        {"[]", true},
	        {"[\"INTEL-SA-00615\",\"INTEL-SA-00657\"]", true},
	        {"{}", false},
	        {"[1]", false},
	        {"[\"\"]", false},
	        {"[\"INTEL SA\"]", false},
	        {"[\"INTEL-SA-00615\\n\"]", false},
	        {"[\"INTEL-SA-\\u00e4\"]", false},
	        {"[\"INTEL-SA-00615-00615-006\"]", false},
	};
	struct intel_tcb_info info;
	(void)state;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		char text[4096];

		snprintf(text, sizeof(text),
		         TCB_INFO_BEFORE
		         "\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":" SVN16
		         ",\"pcesvn\":5,\"tdxtcbcomponents\":" SVN16
		         "}," RATING("UpToDate") ",\"advisoryIDs\":%s}]},\"signature\":\"" SIGNATURE
		                                 "\"}",
		         lists[i].list);
		if ((tcb_info(text, true, &info) == NULL) != lists[i].good)
			fail_msg("%s", lists[i].list);
	}
}

#define QE(version, misc, prod, levels) \
	"{\"enclaveIdentity\":{" DATES ",\"id\":\"QE\",\"version\":" version \
	",\"miscselect\":\"" misc "\",\"miscselectMask\":\"FFFFFFFF\",\"attributes\":\"" HEX16 \
	"\",\"attributesMask\":\"" HEX16 "\",\"mrsigner\":\"" HEX32 "\",\"isvprodid\":" prod \
	",\"tcbLevels\":[" levels "]},\"signature\":\"" SIGNATURE "\"}"

static void an_identity_is_read(void **state)
{
	static const char *const wrong[] = {
	        QE("1", "01020304", "2", ISV_LEVEL("4", "UpToDate")),
	        QE("2", "0102030", "2", ISV_LEVEL("4", "UpToDate")),
	        QE("2", "010203zz", "2", ISV_LEVEL("4", "UpToDate")),
	        QE("2", "01020304", "65536", ISV_LEVEL("4", "UpToDate")),
	        QE("2", "01020304", "2", ""),
	        QE("2", "01020304", "2", ISV_LEVEL("4", "Fine")),
	};
	struct intel_identity id;
	struct intel_document d;
	(void)state;

	assert_null(attest_intel_document(
	        bytes_str(QE("2", "01020304", "2", ISV_LEVEL("4", "UpToDate"))),
	        INTEL_JSON_IDENTITY, &d));
	assert_null(attest_intel_qe_identity(&d, &id));
	assert_int_equal(id.miscselect, 0x04030201);
	assert_int_equal(id.isvprodid, 2);
	assert_int_equal(id.levels, 1);
	attest_intel_document_free(&d);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_null(attest_intel_document(bytes_str(wrong[i]), INTEL_JSON_IDENTITY, &d));
		assert_non_null(attest_intel_qe_identity(&d, &id));
		attest_intel_document_free(&d);
	}
}

/* ----------------------------------------------------------------- matching */

static void an_enclave_is_the_one_described(void **state)
{
	struct intel_identity id = {
	        .signer = {1, 2, 3},
	        .isvprodid = 2,
	        .miscselect_mask = 0xffff0000,
	        .attributes = {0x11},
	        .attributes_mask = {0xfb, 0xff},
	};
	uint8_t report[INTEL_SGX_BODY_LEN] = {0};
	static const struct {
		size_t at;
		uint8_t flip;
	} wrong[] =
	        {
	                {SGX_OFF_MRSIGNER + 31, 1}, {SGX_OFF_MRSIGNER, 1},
	                {SGX_OFF_ISVPRODID, 1},     {SGX_OFF_ISVPRODID + 1, 1},
	                {SGX_OFF_FLAGS, 0x02},      {SGX_OFF_FLAGS, 0x01},
	                {SGX_OFF_FLAGS + 1, 0x80},  {SGX_OFF_MISCSELECT + 3, 1},
	        },
	  fine[] = {
	          {SGX_OFF_FLAGS, 0x04},  {SGX_OFF_XFRM, 0xff}, {SGX_OFF_MISCSELECT, 1},
	          {SGX_OFF_MRENCLAVE, 1}, {SGX_OFF_ISVSVN, 1},
	  };
	(void)state;

	memcpy(report + SGX_OFF_MRSIGNER, id.signer, 32);
	report[SGX_OFF_ISVPRODID] = 2;
	report[SGX_OFF_FLAGS] = 0x11;
	assert_null(attest_intel_qe_wrong(&id, report));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		report[wrong[i].at] ^= wrong[i].flip;
		assert_non_null(attest_intel_qe_wrong(&id, report));
		report[wrong[i].at] ^= wrong[i].flip;
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		report[fine[i].at] ^= fine[i].flip;
		assert_null(attest_intel_qe_wrong(&id, report));
		report[fine[i].at] ^= fine[i].flip;
	}
}

static void every_component_counts(void **state)
{
	struct intel_tcb_info info = {.levels = 1};
	struct intel_pck pck = {.pcesvn = 5};
	uint8_t svn[INTEL_SVNS];
	(void)state;

	info.level[0].pcesvn = 5;
	for (unsigned i = 0; i < INTEL_SVNS; i++) {
		info.level[0].sgx[i] = info.level[0].tdx[i] = (uint16_t)(i + 2);
		pck.svn[i] = (uint16_t)(i + 2);
		svn[i] = (uint8_t)(i + 2);
	}
	svn[1] = 0;
	info.level[0].tdx[1] = 0;
	assert_ptr_equal(attest_intel_level(&info, &pck, NULL), &info.level[0]);
	assert_ptr_equal(attest_intel_level(&info, &pck, svn), &info.level[0]);
	for (unsigned i = 0; i < INTEL_SVNS; i++) {
		pck.svn[i]--;
		assert_null(attest_intel_level(&info, &pck, NULL));
		assert_null(attest_intel_level(&info, &pck, svn));
		pck.svn[i]++;
		if (i == 1)
			continue;
		svn[i]--;
		assert_null(attest_intel_level(&info, &pck, svn));
		assert_non_null(attest_intel_level(&info, &pck, NULL));
		svn[i]++;
	}
	pck.pcesvn--;
	assert_null(attest_intel_level(&info, &pck, NULL));
	pck.pcesvn = UINT16_MAX;
	assert_non_null(attest_intel_level(&info, &pck, NULL));
	/* With a module of a major version the first two are not compared. */
	svn[0] = 0;
	assert_null(attest_intel_level(&info, &pck, svn));
	svn[1] = 1;
	info.level[0].tdx[1] = 9;
	assert_non_null(attest_intel_level(&info, &pck, svn));
	svn[2]--;
	assert_null(attest_intel_level(&info, &pck, svn));
	/* A level that no byte can reach. */
	svn[2]++;
	info.level[0].tdx[2] = 0x100;
	assert_null(attest_intel_level(&info, &pck, svn));
	info.levels = 0;
	assert_null(attest_intel_level(&info, &pck, NULL));
}

static void a_module_is_found_by_its_major_version(void **state)
{
	struct intel_tcb_info info = {.modules = 2};
	const struct intel_rating *rating;
	uint8_t body[INTEL_TD10_BODY_LEN] = {0};
	uint8_t svn[INTEL_SVNS] = {5, 0x1a};
	(void)state;

	memset(info.module.attributes_mask, 0xff, 8);
	memset(info.identity[0].attributes_mask, 0xff, 8);
	memset(info.identity[1].attributes_mask, 0xff, 8);
	snprintf(info.identity[0].id, sizeof(info.identity[0].id), "TDX_01");
	snprintf(info.identity[1].id, sizeof(info.identity[1].id), "TDX_1A");
	info.identity[1].levels = 1;
	info.identity[1].level[0].isvsvn = 5;

	assert_null(attest_intel_module(&info, body, svn, &rating));
	assert_ptr_equal(rating, &info.identity[1].level[0].rating);
	svn[0] = 4;
	assert_non_null(attest_intel_module(&info, body, svn, &rating));
	assert_null(rating);
	svn[0] = 6;
	body[TDX_OFF_SEAMATTRIBUTES + 7] = 1;
	assert_non_null(attest_intel_module(&info, body, svn, &rating));
	info.identity[1].attributes_mask[7] = 0xfe;
	assert_null(attest_intel_module(&info, body, svn, &rating));
	body[TDX_OFF_MRSIGNERSEAM + 47] = 1;
	assert_non_null(attest_intel_module(&info, body, svn, &rating));
	body[TDX_OFF_MRSIGNERSEAM + 47] = 0;
	svn[1] = 2;
	assert_non_null(attest_intel_module(&info, body, svn, &rating));
	/* Without one: the module of the TCB info itself, and no rating. */
	svn[1] = 0;
	assert_non_null(attest_intel_module(&info, body, svn, &rating));
	body[TDX_OFF_SEAMATTRIBUTES + 7] = 0;
	assert_null(attest_intel_module(&info, body, svn, &rating));
	assert_null(rating);
}

static void the_worse_status_counts(void **state)
{
	enum {
		UTD = INTEL_UP_TO_DATE,
		SWH = INTEL_SW_HARDENING,
		CN = INTEL_CONFIGURATION,
		CSW = INTEL_CONFIGURATION_AND_SW,
		OOD = INTEL_OUT_OF_DATE,
		OODC = INTEL_OUT_OF_DATE_CONFIGURATION,
		REV = INTEL_REVOKED
	};
	static const struct {
		int whole, part, want;
	} rows[] = {
	        {UTD, UTD, UTD}, {SWH, UTD, SWH},   {CN, UTD, CN},     {CSW, UTD, CSW},
	        {OOD, UTD, OOD}, {OODC, UTD, OODC}, {REV, UTD, REV},   {UTD, OOD, OOD},
	        {SWH, OOD, OOD}, {CN, OOD, OODC},   {CSW, OOD, OODC},  {OOD, OOD, OOD},
	        {REV, OOD, REV}, {OODC, OOD, OODC}, {UTD, REV, REV},   {OODC, REV, REV},
	        {UTD, CN, CN},   {OOD, CN, OOD},    {UTD, OODC, OODC},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(attest_intel_converge((enum intel_status)rows[i].whole,
		                                       (enum intel_status)rows[i].part),
		                 rows[i].want);
	assert_string_equal(attest_intel_status_name(INTEL_RELAUNCH), "TDRelaunchAdvised");
	assert_string_equal(attest_intel_status_name((enum intel_status)99), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_extension_is_read),
	        cmocka_unit_test(what_a_processor_ca_leaves_out),
	        cmocka_unit_test(bent_fields_are_refused),
	        cmocka_unit_test(a_cut_or_long_extension_is_refused),
	        cmocka_unit_test(a_document_is_found_to_the_byte),
	        cmocka_unit_test(what_is_no_document),
	        cmocka_unit_test(levels_are_read_and_sorted),
	        cmocka_unit_test(malformed_tcb_info_is_refused),
	        cmocka_unit_test(too_many_of_a_kind),
	        cmocka_unit_test(advisories_are_short_words),
	        cmocka_unit_test(an_identity_is_read),
	        cmocka_unit_test(an_enclave_is_the_one_described),
	        cmocka_unit_test(every_component_counts),
	        cmocka_unit_test(a_module_is_found_by_its_major_version),
	        cmocka_unit_test(the_worse_status_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
