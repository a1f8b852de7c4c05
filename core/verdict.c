/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict: appending checks, sealing, and the one JSON and one text form. A verdict crosses
 * process boundaries as plain bytes, so every count, status and string in it is bounded again
 * wherever it is read. Knows nothing of what the checks look at.
 */
#include "core/verdict.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "core/bytes.h"
#include "core/codes.h"

/* Terminates s in its array of cap bytes and replaces what is not printable ASCII. */
static void printable(char *s, size_t cap)
{
	s[cap - 1] = '\0';
	for (; *s; s++) {
		if (*s < 0x20 || *s > 0x7e)
			*s = '?';
	}
}

__attribute__((format(printf, 3, 0))) static void detail_of(char *out, size_t cap, const char *fmt,
                                                            va_list ap)
{
	if (vsnprintf(out, cap, fmt, ap) < 0)
		out[0] = '\0';
	printable(out, cap);
}

static void text_copy(char *out, size_t cap, const char *s)
{
	size_t n = strnlen(s, cap - 1);

	memcpy(out, s, n);
	memset(out + n, 0, cap - n);
	printable(out, cap);
}

static uint32_t checks_n(const struct checks *c)
{
	return c->n < CHECKS_MAX ? c->n : CHECKS_MAX;
}

/* A status that is none of ours refuses. */
static enum check_status status_of(const struct check *c)
{
	return c->status <= CHECK_PASS ? (enum check_status)c->status : CHECK_FAIL;
}

static bool status_refuses(enum check_status s)
{
	return s == CHECK_FAIL || s == CHECK_UNAVAILABLE;
}

/* ------------------------------------------------------------------- checks */

void check_add(struct checks *c, const char *id, enum check_status status, const char *fmt, ...)
{
	va_list ap;

	if (c->n >= CHECKS_MAX || !code_find(id) || strlen(id) >= CHECK_ID_MAX) {
		c->overflow = true;
		return;
	}

	struct check *k = &c->v[c->n];

	memset(k, 0, sizeof(*k));
	text_copy(k->id, sizeof(k->id), id);
	k->status = (uint8_t)status;
	va_start(ap, fmt);
	detail_of(k->detail, sizeof(k->detail), fmt, ap);
	va_end(ap);
	c->n++;
}

enum check_status checks_overall(const struct checks *c)
{
	uint32_t count[CHECK_PASS + 1] = {0};

	for (uint32_t i = 0; i < checks_n(c); i++)
		count[status_of(&c->v[i])]++;
	if (c->overflow || c->n == 0 || c->n > CHECKS_MAX || count[CHECK_FAIL])
		return CHECK_FAIL;
	if (count[CHECK_UNAVAILABLE])
		return CHECK_UNAVAILABLE;
	return count[CHECK_PASS] ? CHECK_PASS : CHECK_FAIL;
}

const struct check *checks_first(const struct checks *c, enum check_status status)
{
	for (uint32_t i = 0; i < checks_n(c); i++) {
		if (status_of(&c->v[i]) == status)
			return &c->v[i];
	}
	return NULL;
}

const struct check *checks_find(const struct checks *c, const char *id)
{
	for (uint32_t i = 0; i < checks_n(c); i++) {
		if (strncmp(c->v[i].id, id, CHECK_ID_MAX) == 0)
			return &c->v[i];
	}
	return NULL;
}

const char *check_status_name(enum check_status status)
{
	switch (status) {
	case CHECK_FAIL:
		return "fail";
	case CHECK_UNAVAILABLE:
		return "unavailable";
	case CHECK_SKIP:
		return "skip";
	case CHECK_PASS:
		return "pass";
	}
	return "fail";
}

static uint32_t measurements_n(const struct measurements *m)
{
	return m->n < MEASUREMENTS_MAX ? m->n : MEASUREMENTS_MAX;
}

static size_t measurement_len(const struct measurement *m)
{
	return m->len < MEASUREMENT_MAX ? m->len : MEASUREMENT_MAX;
}

const struct measurement *measurement_find(const struct measurements *m, const char *name)
{
	for (uint32_t i = 0; i < measurements_n(m); i++) {
		if (strncmp(m->v[i].name, name, sizeof(m->v[i].name)) == 0)
			return &m->v[i];
	}
	return NULL;
}

/* ------------------------------------------------------------------ verdict */

void verdict_init(struct verdict *v, const char *requirement, int64_t now)
{
	memset(v, 0, sizeof(*v));
	v->made_at = now;
	v->valid_until = VERDICT_FOREVER;
	text_copy(v->requirement, sizeof(v->requirement), requirement);
}

void verdict_limit(struct verdict *v, int64_t t)
{
	if (t < v->valid_until)
		v->valid_until = t;
}

void verdict_loosened(struct verdict *v, const char *fmt, ...)
{
	va_list ap;

	/* A loosening that could not be named must not count. */
	if (v->loosenings >= LOOSENINGS_MAX) {
		v->checks.overflow = true;
		return;
	}
	va_start(ap, fmt);
	detail_of(v->loosening[v->loosenings], sizeof(v->loosening[0]), fmt, ap);
	va_end(ap);
	v->loosenings++;
}

/* Gives the ways of refusing that are the verdict's own a line that names them. */
static void verdict_own_checks(struct verdict *v)
{
	struct checks *c = &v->checks;

	if (v->valid_until <= v->made_at)
		check_add(c, "verdict.expired", CHECK_FAIL,
		          "valid until %" PRId64 ", made at %" PRId64, v->valid_until, v->made_at);
	if (!checks_first(c, CHECK_FAIL) && !checks_first(c, CHECK_UNAVAILABLE) &&
	    !checks_first(c, CHECK_PASS))
		check_add(c, "verdict.empty", CHECK_FAIL, "%" PRIu32 " checks, none passed",
		          checks_n(c));
	if (c->overflow) {
		if (c->n >= CHECKS_MAX)
			c->n = CHECKS_MAX - 1;
		check_add(c, "verdict.overflow", CHECK_FAIL,
		          "at most %d checks and %d loosenings, each with a known code", CHECKS_MAX,
		          LOOSENINGS_MAX);
	}
}

void verdict_seal(struct verdict *v)
{
	verdict_own_checks(v);
	v->overall = (uint8_t)checks_overall(&v->checks);
	v->sealed = VERDICT_SEALED;
}

bool verdict_passed(const struct verdict *v, int64_t now)
{
	/* What was appended after sealing counts too, hence both. */
	return v->sealed == VERDICT_SEALED && v->overall == CHECK_PASS &&
	       checks_overall(&v->checks) == CHECK_PASS && v->loosenings <= LOOSENINGS_MAX &&
	       now >= v->made_at && now < v->valid_until;
}

/* The word at the top: what a reader may rely on, so an unsealed verdict is a refusal. */
static enum check_status verdict_word(const struct verdict *v)
{
	enum check_status s = checks_overall(&v->checks);

	if (v->sealed != VERDICT_SEALED || v->overall != s)
		return CHECK_FAIL;
	return s;
}

static uint32_t loosenings_n(const struct verdict *v)
{
	return v->loosenings < LOOSENINGS_MAX ? v->loosenings : LOOSENINGS_MAX;
}

/* --------------------------------------------------------------------- json */

static json_t *json_text(const char *s, size_t cap)
{
	char t[CHECK_DETAIL_MAX + 1];

	text_copy(t, cap < sizeof(t) ? cap + 1 : sizeof(t), s);
	return json_string(t);
}

static json_t *check_to_json(const struct check *c)
{
	enum check_status s = status_of(c);
	json_t *o =
	        json_pack("{s:o, s:s, s:o}", "id", json_text(c->id, sizeof(c->id)), "status",
	                  check_status_name(s), "detail", json_text(c->detail, sizeof(c->detail)));

	if (!o || !status_refuses(s))
		return o;

	const struct code *code = code_find(json_string_value(json_object_get(o, "id")));

	if (code && json_object_set_new(o, "advice", json_string(code->advice))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

struct json_t *checks_to_json(const struct checks *c)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < checks_n(c); i++) {
		if (json_array_append_new(a, check_to_json(&c->v[i]))) {
			json_decref(a);
			a = NULL;
		}
	}
	return a;
}

static void measurement_hex(const struct measurement *m, char out[static 2 * MEASUREMENT_MAX + 1])
{
	hex_encode((struct bytes){m->value, measurement_len(m)}, out);
}

struct json_t *measurements_to_json(const struct measurements *m)
{
	json_t *o = json_object();

	for (uint32_t i = 0; o && i < measurements_n(m); i++) {
		char name[sizeof(m->v[i].name) + 1];
		char hex[2 * MEASUREMENT_MAX + 1];

		text_copy(name, sizeof(name), m->v[i].name);
		measurement_hex(&m->v[i], hex);
		if (json_object_set_new(o, name, json_string(hex))) {
			json_decref(o);
			o = NULL;
		}
	}
	return o;
}

static json_t *loosenings_to_json(const struct verdict *v)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < loosenings_n(v); i++) {
		if (json_array_append_new(a, json_text(v->loosening[i], sizeof(v->loosening[i])))) {
			json_decref(a);
			a = NULL;
		}
	}
	return a;
}

struct json_t *verdict_to_json(const struct verdict *v)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "verdict",
	                 check_status_name(verdict_word(v)), "requirement",
	                 json_text(v->requirement, sizeof(v->requirement)), "tee",
	                 json_text(v->tee, sizeof(v->tee)), "binder",
	                 json_text(v->binder, sizeof(v->binder)), "server_key",
	                 json_text(v->server_key, sizeof(v->server_key)), "measurement",
	                 measurements_to_json(&v->measurements), "made_at", (json_int_t)v->made_at,
	                 "valid_until",
	                 v->valid_until == VERDICT_FOREVER ? json_null()
	                                                   : json_integer(v->valid_until),
	                 "loosened", loosenings_to_json(v), "checks", checks_to_json(&v->checks));
}

/* --------------------------------------------------------------------- text */

static int wider(int width, size_t n)
{
	return (int)n > width ? (int)n : width;
}

void checks_to_text(const struct checks *c, struct buf *out)
{
	int ids = 0;
	int words = 0;

	for (uint32_t i = 0; i < checks_n(c); i++) {
		ids = wider(ids, strnlen(c->v[i].id, CHECK_ID_MAX));
		words = wider(words, strlen(check_status_name(status_of(&c->v[i]))));
	}
	for (uint32_t i = 0; i < checks_n(c); i++) {
		enum check_status s = status_of(&c->v[i]);
		char id[CHECK_ID_MAX + 1];
		char detail[CHECK_DETAIL_MAX + 1];

		text_copy(id, sizeof(id), c->v[i].id);
		text_copy(detail, sizeof(detail), c->v[i].detail);
		if (detail[0])
			buf_printf(out, "%-*s  %-*s  %s\n", words, check_status_name(s), ids, id,
			           detail);
		else
			buf_printf(out, "%-*s  %s\n", words, check_status_name(s), id);

		const struct code *code = code_find(id);

		if (status_refuses(s) && code)
			buf_printf(out, "%*s%s\n", words + 4, "", code->advice);
	}
}

static void text_line(struct buf *out, const char *name, const char *value, size_t cap)
{
	char t[CHECK_DETAIL_MAX + 1];

	text_copy(t, cap < sizeof(t) ? cap + 1 : sizeof(t), value);
	if (t[0])
		buf_printf(out, "%-12s  %s\n", name, t);
}

static void text_time(struct buf *out, const char *name, int64_t t)
{
	time_t at = (time_t)t;
	struct tm tm;
	char s[64];

	if (t == VERDICT_FOREVER)
		buf_printf(out, "%-12s  no end\n", name);
	else if (gmtime_r(&at, &tm) && strftime(s, sizeof(s), "%Y-%m-%dT%H:%M:%SZ", &tm))
		buf_printf(out, "%-12s  %s\n", name, s);
	else
		buf_printf(out, "%-12s  %" PRId64 "\n", name, t);
}

void verdict_to_text(const struct verdict *v, struct buf *out)
{
	buf_printf(out, "%-12s  %s\n", "verdict", check_status_name(verdict_word(v)));
	text_line(out, "requirement", v->requirement, sizeof(v->requirement));
	text_line(out, "tee", v->tee, sizeof(v->tee));
	text_line(out, "binder", v->binder, sizeof(v->binder));
	text_line(out, "server key", v->server_key, sizeof(v->server_key));
	for (uint32_t i = 0; i < measurements_n(&v->measurements); i++) {
		const struct measurement *m = &v->measurements.v[i];
		char name[sizeof(m->name) + 1];
		char hex[2 * MEASUREMENT_MAX + 1];

		text_copy(name, sizeof(name), m->name);
		measurement_hex(m, hex);
		buf_printf(out, "%-12s  %s\n", name, hex);
	}
	text_time(out, "made at", v->made_at);
	text_time(out, "valid until", v->valid_until);
	for (uint32_t i = 0; i < loosenings_n(v); i++)
		text_line(out, "loosened", v->loosening[i], sizeof(v->loosening[i]));
	buf_str(out, "\n");
	checks_to_text(&v->checks, out);
}
