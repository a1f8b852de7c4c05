/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leaf of a measurement log: an in-toto Statement v1 with a tee-measurement predicate
 * (docs/ledger.md). The form is strict, so that nobody reads in a leaf what another one does not:
 * each member is known, is there once and has one type. Knows nothing of evidence or of logs.
 */
#include "ledger/ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { REGISTER_LEN = 48 };

/* A member that may be there, at most once (the JSON parser refuses repeated names). */
struct member {
	const char *name;
	json_type type;
	bool required;
	json_t *value; /* borrowed; NULL when absent */
};

/* No member but these, each of its type, all required ones there. */
static bool take_members(json_t *object, struct member *m, size_t n)
{
	size_t found = 0;

	if (!json_is_object(object))
		return false;
	for (size_t i = 0; i < n; i++) {
		m[i].value = json_object_get(object, m[i].name);
		if (!m[i].value && m[i].required)
			return false;
		if (m[i].value && json_typeof(m[i].value) != m[i].type)
			return false;
		found += m[i].value != NULL;
	}
	return found == json_object_size(object);
}

/* Printable ASCII, 1 to cap - 1 bytes. */
static bool take_text(const json_t *v, char *out, size_t cap)
{
	const char *s = json_string_value(v);
	size_t n = json_string_length(v);

	if (n == 0 || n >= cap)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < 0x20 || s[i] > 0x7e)
			return false;
	}
	memcpy(out, s, n + 1);
	return true;
}

/* Lower-case hex of n bytes. */
static bool take_hex(const json_t *v, uint8_t *out, size_t n)
{
	const char *s = json_string_value(v);
	size_t len = json_string_length(v);

	for (size_t i = 0; i < len; i++) {
		if (s[i] >= 'A' && s[i] <= 'F')
			return false;
	}
	return hex_decode((struct bytes){(const uint8_t *)s, len}, out, n) == 0;
}

static bool take_register(const json_t *v, const char *name, struct measurements *out)
{
	struct measurement *m = &out->v[out->n];

	snprintf(m->name, sizeof(m->name), "%s", name);
	m->len = REGISTER_LEN;
	if (!take_hex(v, m->value, REGISTER_LEN))
		return false;
	out->n++;
	return true;
}

/* A launch measurement that is zero was never made. */
static bool is_measured(const struct measurements *m, const char *name)
{
	const struct measurement *r = measurement_find(m, name);

	return r && !bytes_all_zero(r->value, r->len);
}

static const char *take_tdx(json_t *object, struct measurements *out)
{
	struct member m[] = {
	        {"mrtd", JSON_STRING, true, NULL},   {"rtmr0", JSON_STRING, false, NULL},
	        {"rtmr1", JSON_STRING, true, NULL},  {"rtmr2", JSON_STRING, true, NULL},
	        {"rtmr3", JSON_STRING, false, NULL},
	};

	if (!take_members(object, m, sizeof(m) / sizeof(m[0])))
		return "tdx holds mrtd, rtmr1, rtmr2 and at most rtmr0 and rtmr3";
	for (size_t i = 0; i < sizeof(m) / sizeof(m[0]); i++) {
		if (m[i].value && !take_register(m[i].value, m[i].name, out))
			return "a TDX register is 96 lower-case hex digits";
	}
	return is_measured(out, "mrtd") ? NULL : "mrtd is zero";
}

static const char *take_predicate(json_t *object, struct statement *out)
{
	struct member m[] = {
	        {"snp_measurement", JSON_STRING, false, NULL},
	        {"tdx", JSON_OBJECT, false, NULL},
	        {"version", JSON_STRING, true, NULL},
	        {"not_after", JSON_INTEGER, false, NULL},
	};
	json_t *snp;
	json_t *tdx;

	if (!take_members(object, m, sizeof(m) / sizeof(m[0])))
		return "the predicate holds snp_measurement, tdx, version, not_after; no other";
	snp = m[0].value;
	tdx = m[1].value;
	if (!snp && !tdx)
		return "the predicate names no measurement";
	if (snp && (!take_register(snp, "measurement", &out->snp) ||
	            !is_measured(&out->snp, "measurement")))
		return "snp_measurement is 96 lower-case hex digits and not zero";
	if (!take_text(m[2].value, out->version, sizeof(out->version)))
		return "version is 1 to 63 printable characters";
	out->not_after = m[3].value ? json_integer_value(m[3].value) : VERDICT_FOREVER;
	if (out->not_after <= 0)
		return "not_after is in seconds since 1970";
	return tdx ? take_tdx(tdx, &out->tdx) : NULL;
}

static const char *take_subject(json_t *subjects, struct statement *out)
{
	struct member m[] = {
	        {"name", JSON_STRING, true, NULL},
	        {"digest", JSON_OBJECT, true, NULL},
	};
	struct member sha = {"sha256", JSON_STRING, true, NULL};

	if (json_array_size(subjects) != 1)
		return "there is exactly one subject";
	if (!take_members(json_array_get(subjects, 0), m, 2) || !take_members(m[1].value, &sha, 1))
		return "the subject holds name and digest, the digest sha256";
	if (!take_text(m[0].value, out->subject, sizeof(out->subject)))
		return "the subject's name is 1 to 255 printable characters";
	if (!take_hex(sha.value, out->subject_sha256, sizeof(out->subject_sha256)))
		return "the subject's sha256 is 64 lower-case hex digits";
	return NULL;
}

static bool take_predicate_type(const json_t *v, char out[static STATEMENT_PREDICATE_MAX])
{
	static const char scheme[] = "https://";
	static const char last[] = STATEMENT_PREDICATE_V;
	size_t n;

	if (!take_text(v, out, STATEMENT_PREDICATE_MAX))
		return false;
	n = strlen(out);
	return n > strlen(scheme) + strlen(last) && !strchr(out, ' ') &&
	       strncmp(out, scheme, strlen(scheme)) == 0 &&
	       strcmp(out + n - strlen(last), last) == 0;
}

static const char *take_statement(json_t *object, struct statement *out)
{
	struct member m[] = {
	        {"_type", JSON_STRING, true, NULL},
	        {"subject", JSON_ARRAY, true, NULL},
	        {"predicateType", JSON_STRING, true, NULL},
	        {"predicate", JSON_OBJECT, true, NULL},
	};
	const char *why;

	if (!take_members(object, m, sizeof(m) / sizeof(m[0])))
		return "a statement holds _type, subject, predicateType and predicate";
	if (strcmp(json_string_value(m[0].value), STATEMENT_TYPE) != 0)
		return "_type is not " STATEMENT_TYPE;
	if (!take_predicate_type(m[2].value, out->predicate_type))
		return "predicateType is not an https URI ending in " STATEMENT_PREDICATE_V;
	why = take_subject(m[1].value, out);
	return why ? why : take_predicate(m[3].value, out);
}

static void check_expiry(const struct statement *s, int64_t at, struct checks *checks)
{
	if (s->not_after == VERDICT_FOREVER)
		check_add(checks, "ledger.expired", CHECK_PASS, "the statement has no end");
	else
		check_add(checks, "ledger.expired", at < s->not_after ? CHECK_PASS : CHECK_FAIL,
		          "not after %" PRId64, s->not_after);
}

int ledger_statement_parse(struct bytes leaf, int64_t at, struct statement *out,
                           struct checks *checks)
{
	struct statement s = {0};
	json_error_t error;
	json_t *root = NULL;
	const char *why = "not JSON, or a name is there twice";

	if (leaf.n > LEAF_MAX)
		why = "longer than 16384 bytes";
	else
		root = json_loadb((const char *)leaf.p, leaf.n, JSON_REJECT_DUPLICATES, &error);
	if (root)
		why = take_statement(root, &s);
	else if (leaf.n <= LEAF_MAX && json_error_code(&error) == json_error_out_of_memory)
		return -ENOMEM;
	json_decref(root);
	if (why) {
		check_add(checks, "ledger.statement", CHECK_FAIL, "%s", why);
		return -EINVAL;
	}
	check_add(checks, "ledger.statement", CHECK_PASS, "%s %s", s.subject, s.version);
	check_expiry(&s, at, checks);
	*out = s;
	return 0;
}
