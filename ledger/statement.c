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

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const struct statement_register statement_register[] = {
        {"snp", "measurement", 48, true},
        {"snp", "family-id", 16, false},
        {"snp", "image-id", 16, false},
        {"snp", "id-key-digest", 48, false},
        {"snp", "author-key-digest", 48, false},
        {"tdx", "mrtd", 48, true},
        {"tdx", "rtmr1", 48, true},
        {"tdx", "rtmr2", 48, true},
        {"tdx", "rtmr0", 48, false},
        {"tdx", "rtmr3", 48, false},
        {"tdx", "mrconfigid", 48, false},
        {"tdx", "mrowner", 48, false},
        {"tdx", "mrownerconfig", 48, false},
        {"tdx", "mrservicetd", 48, false},
        {"sgx", "mrenclave", 32, true},
        {"sgx", "mrsigner", 32, false},
        {"sgx", "configid", 64, false},
        {"cca", "rim", 0, true},
        {"cca", "rem0", 0, false},
        {"cca", "rem1", 0, false},
        {"cca", "rem2", 0, false},
        {"cca", "rem3", 0, false},
        {"cca", "rpv", 64, false},
        {"nitro", "pcr0", 48, true},
        {"nitro", "pcr1", 48, false},
        {"nitro", "pcr2", 48, false},
        {"nitro", "pcr3", 48, false},
        {"nitro", "pcr4", 48, false},
        {"nitro", "pcr5", 48, false},
        {"nitro", "pcr6", 48, false},
        {"nitro", "pcr7", 48, false},
        {"nitro", "pcr8", 48, false},
        {"nitro", "pcr9", 48, false},
        {"nitro", "pcr10", 48, false},
        {"nitro", "pcr11", 48, false},
        {"nitro", "pcr12", 48, false},
        {"nitro", "pcr13", 48, false},
        {"nitro", "pcr14", 48, false},
        {"nitro", "pcr15", 48, false},
        {"nitro", "pcr16", 48, false},
        {"nitro", "pcr17", 48, false},
        {"nitro", "pcr18", 48, false},
        {"nitro", "pcr19", 48, false},
        {"nitro", "pcr20", 48, false},
        {"nitro", "pcr21", 48, false},
        {"nitro", "pcr22", 48, false},
        {"nitro", "pcr23", 48, false},
        {"nitro", "pcr24", 48, false},
        {"nitro", "pcr25", 48, false},
        {"nitro", "pcr26", 48, false},
        {"nitro", "pcr27", 48, false},
        {"nitro", "pcr28", 48, false},
        {"nitro", "pcr29", 48, false},
        {"nitro", "pcr30", 48, false},
        {"nitro", "pcr31", 48, false},
};

const size_t statement_registers = COUNT(statement_register);

bool statement_register_takes(uint8_t len, size_t n)
{
	return len ? n == len : n == 32 || n == 48 || n == 64;
}

const struct statement_register *statement_register_find(const char *tee, const char *name)
{
	for (size_t i = 0; i < COUNT(statement_register); i++)
		if (!strcmp(statement_register[i].tee, tee) &&
		    !strcmp(statement_register[i].name, name))
			return &statement_register[i];
	return NULL;
}

const struct measurements *statement_find(const struct statement *s, const char *tee)
{
	for (uint32_t i = 0; i < s->tees && i < STATEMENT_TEES_MAX; i++)
		if (!strcmp(s->tee[i].tee, tee))
			return &s->tee[i].registers;
	return NULL;
}

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

/* A statement being read, and room to say what is wrong with it. */
struct reading {
	struct statement *out;
	char why[96];
};

static const char *take_register(struct reading *r, const struct statement_register *is,
                                 const json_t *v, struct measurements *out)
{
	struct measurement *m = &out->v[out->n];
	size_t len = json_string_length(v) / 2;
	char digits[16];

	snprintf(m->name, sizeof(m->name), "%s", is->name);
	m->len = (uint8_t)len;
	if (!json_is_string(v) || !statement_register_takes(is->len, len) ||
	    !take_hex(v, m->value, len)) {
		snprintf(digits, sizeof(digits), "%d", 2 * is->len);
		snprintf(r->why, sizeof(r->why), "%s.%s is not %s lower-case hex digits", is->tee,
		         is->name, is->len ? digits : "64, 96 or 128");
		return r->why;
	}
	out->n++;
	return NULL;
}

/* A launch measurement that is zero was never made. */
static bool is_measured(const struct measurements *m)
{
	return m->n && !bytes_all_zero(m->v[0].value, m->v[0].len);
}

/* Starts what the statement says of one more platform. */
static struct measurements *add_tee(struct reading *r, const char *tee)
{
	struct statement_tee *t = &r->out->tee[r->out->tees++];

	snprintf(t->tee, sizeof(t->tee), "%s", tee);
	return &t->registers;
}

/* The platform's registers, but for those that out has already. */
static const char *take_registers(struct reading *r, const char *tee, json_t *object,
                                  struct measurements *out)
{
	uint32_t before = out->n;
	const char *why;

	for (size_t i = 0; i < COUNT(statement_register); i++) {
		const struct statement_register *is = &statement_register[i];
		json_t *v;

		if (strcmp(is->tee, tee) != 0 || measurement_find(out, is->name))
			continue;
		v = json_object_get(object, is->name);
		if (!v && is->required) {
			snprintf(r->why, sizeof(r->why), "%s has no %s", tee, is->name);
			return r->why;
		}
		why = v ? take_register(r, is, v, out) : NULL;
		if (why)
			return why;
	}
	if (out->n - before == json_object_size(object))
		return NULL;
	snprintf(r->why, sizeof(r->why), "%s names what is no register", tee);
	return r->why;
}

static const char *take_tee(struct reading *r, const char *tee, json_t *object)
{
	struct measurements *out = add_tee(r, tee);
	const char *why = take_registers(r, tee, object, out);

	if (!why && !is_measured(out)) {
		snprintf(r->why, sizeof(r->why), "%s.%s is zero", tee, out->v[0].name);
		why = r->why;
	}
	return why;
}

/* The launch measurement has a member of its own; more: the other registers, or NULL. */
static const char *take_snp(struct reading *r, const json_t *launch, json_t *more)
{
	struct measurements *out;

	if (!launch)
		return more ? "snp is there without snp_measurement" : NULL;
	out = add_tee(r, "snp");
	if (take_register(r, statement_register_find("snp", "measurement"), launch, out) ||
	    !is_measured(out))
		return "snp_measurement is 96 lower-case hex digits and not zero";
	return more ? take_registers(r, "snp", more, out) : NULL;
}

static const char *take_predicate(json_t *object, struct reading *r)
{
	struct member m[] = {
	        {"version", JSON_STRING, true, NULL},
	        {"not_after", JSON_INTEGER, false, NULL},
	        {"tdx", JSON_OBJECT, false, NULL},
	        {"sgx", JSON_OBJECT, false, NULL},
	        {"cca", JSON_OBJECT, false, NULL},
	        {"nitro", JSON_OBJECT, false, NULL},
	        {"snp_measurement", JSON_STRING, false, NULL},
	        {"snp", JSON_OBJECT, false, NULL},
	};
	enum { VERSION, NOT_AFTER, FIRST_TEE, SNP_LAUNCH = COUNT(m) - 2, SNP };
	struct statement *out = r->out;
	const char *why;

	if (!take_members(object, m, COUNT(m)))
		return "the predicate holds version, not_after, snp_measurement, snp, tdx, sgx, cca, "
		       "nitro; no other";
	if (!take_text(m[VERSION].value, out->version, sizeof(out->version)))
		return "version is 1 to 63 printable characters";
	out->not_after =
	        m[NOT_AFTER].value ? json_integer_value(m[NOT_AFTER].value) : VERDICT_FOREVER;
	if (out->not_after <= 0)
		return "not_after is in seconds since 1970";
	why = take_snp(r, m[SNP_LAUNCH].value, m[SNP].value);
	for (size_t i = FIRST_TEE; i < SNP_LAUNCH && !why; i++)
		if (m[i].value)
			why = take_tee(r, m[i].name, m[i].value);
	if (!why && !out->tees)
		why = "the predicate names no measurement";
	return why;
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

static const char *take_statement(json_t *object, struct reading *r)
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
	if (!take_predicate_type(m[2].value, r->out->predicate_type))
		return "predicateType is not an https URI ending in " STATEMENT_PREDICATE_V;
	why = take_subject(m[1].value, r->out);
	return why ? why : take_predicate(m[3].value, r);
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
	struct reading r = {.out = &s};
	json_error_t error;
	json_t *root = NULL;
	const char *why = "not JSON, or a name is there twice";

	if (leaf.n > LEAF_MAX)
		why = "longer than 16384 bytes";
	else
		root = json_loadb((const char *)leaf.p, leaf.n, JSON_REJECT_DUPLICATES, &error);
	if (root)
		why = take_statement(root, &r);
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
