/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is logged, and accepted no longer: measurements and statements that are denied by name,
 * versions below a floor, statements that were not renewed of late. A log takes nothing back, so
 * this is where the administrator does. Reads the policy's values of it, and makes its checks.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "policy/appraise.h"
#include "policy/names.h"
#include "policy/read.h"

/* ----------------------------------------------------------------------- values */

static bool take_denied(const char *text, struct policy_denied *out)
{
	struct policy_measurement m = {.tee = TEE_NONE};
	const char *colon = strchr(text, ':');

	memset(out, 0, sizeof(*out));
	if (!colon)
		return false;
	if (!strncmp(text, "leaf:", 5) || !strncmp(text, "subject:", 8)) {
		out->kind = text[0] == 'l' ? DENIED_LEAF : DENIED_SUBJECT;
		return !hex_decode(bytes_str(colon + 1), out->hash, sizeof(out->hash));
	}
	out->kind = DENIED_MEASUREMENT;
	if (!policy_take_launch(text, &m) || m.tee == TEE_NONE)
		return false;
	out->measurement = m;
	return true;
}

static void add_denied(struct policy_reader *r, uint32_t line, const struct policy_denied *x)
{
	struct policy_destination *d = r->d;

	if (d->denieds == POLICY_DENIED_MAX)
		policy_error(r, line, "%s: more than %d in one destination", policy_key_name(r),
		             POLICY_DENIED_MAX);
	else if (policy_grow(r, &d->denied, d->denieds, &r->denieds_cap, sizeof(*d->denied)))
		d->denied[d->denieds++] = *x;
}

void read_deny(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_denied x;

	if (take_denied(v->text, &x))
		add_denied(r, v->line, &x);
	else
		policy_unexpected(
		        r, v,
		        "what can be denied: \"snp:<launch measurement>\" and so on, "
		        "\"leaf:<64 digits>\" or \"subject:<64 digits>\", in hexadecimal");
}

/* A policy_line_fn. */
static const char *take_denied_line(struct policy_reader *r, const struct policy_value *v,
                                    const char *line)
{
	struct policy_denied x;

	if (!take_denied(line, &x))
		return "can't be denied";
	add_denied(r, v->line, &x);
	return NULL;
}

void read_deny_file(struct policy_reader *r, const struct policy_value *v)
{
	policy_load_lines(r, v, POLICY_DENY_FILE_MAX, take_denied_line);
}

void read_renewed_within(struct policy_reader *r, const struct policy_value *v)
{
	policy_take_duration(r, v, HOUR, 365 * (int64_t)DAY, &r->d->renewed_within);
}

/* ---------------------------------------------------------------------- versions */

/* The number at the front of *s, which then stands behind it and its dot. False: there is none. */
static bool next_number(const char **s, uint64_t *out)
{
	size_t n = strspn(*s, "0123456789");

	if (!n || decimal_u64((struct bytes){(const uint8_t *)*s, n}, UINT64_MAX, out))
		return false;
	*s += n;
	if (**s == '.') {
		(*s)++;
		return **s != '\0';
	}
	return **s == '\0' || **s == '-' || **s == '+';
}

bool policy_version_compare(const char *a, const char *b, int *out)
{
	*out = 0;
	do {
		uint64_t x = 0, y = 0;

		/* What is missing is 0: 1.4 is 1.4.0. */
		if ((*a && !strchr("-+", *a) && !next_number(&a, &x)) ||
		    (*b && !strchr("-+", *b) && !next_number(&b, &y)))
			return false;
		if (!*out && x != y)
			*out = x < y ? -1 : 1;
	} while ((*a && !strchr("-+", *a)) || (*b && !strchr("-+", *b)));
	/* 1.4.0-rc1 comes before 1.4.0; what is behind a + means nothing. */
	if (!*out && (*a == '-') != (*b == '-'))
		*out = *a == '-' ? -1 : 1;
	return true;
}

void read_min_version(struct policy_reader *r, const struct policy_value *v)
{
	int cmp;

	if (!v->text[0] || strlen(v->text) >= sizeof(r->d->min_version) ||
	    strspn(v->text, "0123456789.") != strlen(v->text) ||
	    !policy_version_compare(v->text, "0", &cmp))
		policy_unexpected(r, v,
		                  "a version: numbers with dots between them, like \"1.4.0\"");
	else
		snprintf(r->d->min_version, sizeof(r->d->min_version), "%s", v->text);
}

/* ------------------------------------------------------------------------ checks */

static const char *denied_as(const struct policy_denied *x, const struct claims *c,
                             const struct statement *s, const struct hash *leaf)
{
	switch (x->kind) {
	case DENIED_MEASUREMENT:
		return c && x->measurement.tee == c->tee && policy_register_is(c, &x->measurement.m)
		               ? "the measurement"
		               : NULL;
	case DENIED_LEAF:
		return s && !memcmp(leaf->v, x->hash, sizeof(x->hash)) ? "the logged statement"
		                                                       : NULL;
	case DENIED_SUBJECT:
		return s && !memcmp(s->subject_sha256, x->hash, sizeof(x->hash))
		               ? "the statement's subject"
		               : NULL;
	case DENIED_NOTHING:
		break;
	}
	return NULL;
}

void policy_check_denied(const struct policy_destination *d, const struct claims *c,
                         const struct statement *s, const struct hash *leaf, struct verdict *v)
{
	const char *what = NULL;

	if (!d->denieds)
		return;
	for (uint32_t i = 0; !what && i < d->denieds; i++)
		what = denied_as(&d->denied[i], c, s, leaf);
	check_add(&v->checks, "policy.denied", what ? CHECK_FAIL : CHECK_PASS, "%s%s",
	          what ? what : "nothing of it", what ? " is denied by the policy" : " is denied");
}

void policy_check_version(const struct policy_destination *d, const struct statement *s,
                          struct verdict *v)
{
	int cmp = 0;

	if (!d->min_version[0])
		return;
	if (!s)
		check_add(&v->checks, "policy.version", CHECK_SKIP,
		          "there is no statement of the ledger that holds");
	else if (!policy_version_compare(s->version, d->min_version, &cmp))
		check_add(&v->checks, "policy.version", CHECK_FAIL,
		          "\"%s\" can't be compared with %s", s->version, d->min_version);
	else
		check_add(&v->checks, "policy.version", cmp < 0 ? CHECK_FAIL : CHECK_PASS,
		          "%s, at least %s is demanded", s->version, d->min_version);
}

void policy_check_renewed(const struct policy_destination *d, const struct ledger_last *last,
                          uint64_t index, int64_t at, struct verdict *v)
{
	int64_t after = 0, before = 0;
	int64_t oldest = at - d->renewed_within;

	if (!d->renewed_within)
		return;
	ledger_published_between(last, index, &after, &before);
	if (after && after >= oldest) {
		check_add(&v->checks, "policy.renewed", CHECK_PASS,
		          "published after %" PRId64 " by the log's own heads", after);
		verdict_limit(v, after + d->renewed_within);
	} else if (before && before < oldest) {
		check_add(&v->checks, "policy.renewed", CHECK_FAIL,
		          "published before %" PRId64 " and not renewed since", before);
	} else {
		check_add(&v->checks, "policy.renewed", CHECK_UNAVAILABLE,
		          "this host knows no head of the last %" PRId64
		          " s from before it was published",
		          d->renewed_within);
	}
}
