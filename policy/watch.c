/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What appears in a watched log, and whether somebody expected it. Reads the policy's values of it,
 * and judges entries that were shown to be in the log. Refuses nothing: a logged measurement is
 * accepted until the policy denies it, so the administrator has to hear of it.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "policy/names.h"
#include "policy/read.h"

/* ----------------------------------------------------------------------- values */

void read_ledger_watch(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_ledger *l = r->l;

	if (strlen(v->text) >= WATCH_NAME_MAX)
		policy_unexpected(r, v, "a pattern of at most 255 characters");
	else if (l->watches == POLICY_LIST_MAX)
		policy_error(r, v->line, "watch: more than %d in one ledger", POLICY_LIST_MAX);
	else if (policy_grow(r, &l->watch, l->watches, &r->watches_cap, sizeof(*l->watch)))
		snprintf(l->watch[l->watches++], WATCH_NAME_MAX, "%s", v->text);
}

/* Whether a statement on this platform can name its launch measurement and nothing else. */
static bool is_enough(enum tee t)
{
	size_t required = 0;

	for (size_t i = 0; i < statement_registers; i++)
		required += statement_register[i].required &&
		            !strcmp(statement_register[i].tee, attest_tee_name(t));
	return required == 1;
}

/* NULL, or why it is none. */
static const char *take_expected(const char *text, struct policy_expected *out)
{
	struct policy_measurement m = {.tee = TEE_NONE};

	memset(out, 0, sizeof(*out));
	if (!strncmp(text, "leaf:", 5)) {
		out->len = HASH_LEN;
		return hex_decode(bytes_str(text + 5), out->value, HASH_LEN)
		               ? "is no leaf hash: 64 hexadecimal digits"
		               : NULL;
	}
	if (!strchr(text, ':') || !policy_take_launch(text, &m) || m.tee == TEE_NONE)
		return "is neither leaf:<64 hexadecimal digits> nor a platform's launch measurement";
	if (!is_enough(m.tee))
		return "does not suffice: such statements name more registers; give leaf:<digits>";
	out->tee = m.tee;
	out->len = m.m.len;
	memcpy(out->value, m.m.value, m.m.len);
	return NULL;
}

static const char *add_expected(struct policy_reader *r, const struct policy_value *v,
                                const char *text)
{
	struct policy_ledger *l = r->l;
	struct policy_expected x;
	const char *why = take_expected(text, &x);

	if (why)
		return why;
	if (l->expecteds == POLICY_EXPECTED_MAX)
		policy_error(r, v->line, "%s: more than %d in one ledger", policy_key_name(r),
		             POLICY_EXPECTED_MAX);
	else if (policy_grow(r, &l->expected, l->expecteds, &r->expecteds_cap,
	                     sizeof(*l->expected)))
		l->expected[l->expecteds++] = x;
	return NULL;
}

void read_ledger_expected(struct policy_reader *r, const struct policy_value *v)
{
	const char *why = add_expected(r, v, v->text);

	if (why)
		policy_error(r, v->line, "expected: \"%.64s\" %s", v->text, why);
}

void read_ledger_expected_file(struct policy_reader *r, const struct policy_value *v)
{
	policy_load_lines(r, v, POLICY_EXPECTED_FILE_MAX, add_expected);
}

/* --------------------------------------------------------------------- expected */

static bool is_listed(const struct policy_ledger *l, enum tee tee, const uint8_t *value, size_t n)
{
	for (uint32_t i = 0; i < l->expecteds; i++)
		if (l->expected[i].tee == tee && l->expected[i].len == n &&
		    !memcmp(l->expected[i].value, value, n))
			return true;
	return false;
}

static bool names_leaf(const struct policy_destination *d, const struct hash *leaf)
{
	struct hash h;

	for (uint32_t i = 0; i < d->leaves; i++) {
		ledger_leaf_hash(d->leaf[i], &h);
		if (!memcmp(&h, leaf, sizeof(h)))
			return true;
	}
	return false;
}

static bool names_launch(const struct policy_destination *d, const struct policy_launch *a)
{
	for (uint32_t i = 0; i < d->measurements; i++)
		if (d->measurement[i].tee == a->tee && d->measurement[i].m.len == a->len &&
		    !memcmp(d->measurement[i].m.value, a->value, a->len))
			return true;
	return false;
}

static bool denies_launch(const struct policy_destination *d, const struct policy_launch *a)
{
	for (uint32_t i = 0; i < d->denieds; i++) {
		const struct policy_measurement *m = &d->denied[i].measurement;

		if (d->denied[i].kind == DENIED_MEASUREMENT && m->tee == a->tee &&
		    m->m.len == a->len && !memcmp(m->m.value, a->value, a->len))
			return true;
	}
	return false;
}

/* What is denied anywhere is not expected to appear again. */
static bool expects_launch(const struct policy *p, uint32_t ledger, const struct policy_launch *a)
{
	bool found = is_listed(&p->ledger[ledger], a->tee, a->value, a->len);

	for (uint32_t i = 0; i < p->destinations; i++) {
		const struct policy_destination *d = &p->destination[i];

		if (d->ledger != (int32_t)ledger)
			continue;
		if (denies_launch(d, a))
			return false;
		found = found || names_launch(d, a);
	}
	return found && a->alone;
}

bool policy_alert_expected(const struct policy *p, uint32_t ledger, const struct policy_alert *a)
{
	if (is_listed(&p->ledger[ledger], TEE_NONE, a->leaf.v, HASH_LEN))
		return true;
	for (uint32_t i = 0; i < p->destinations; i++)
		if (p->destination[i].ledger == (int32_t)ledger &&
		    names_leaf(&p->destination[i], &a->leaf))
			return true;
	for (uint32_t k = 0; k < a->launches; k++)
		if (!expects_launch(p, ledger, &a->launch[k]))
			return false;
	return a->launches > 0;
}

/* ----------------------------------------------------------------------- whose */

static bool is_watched(const struct policy_ledger *l, const char *name)
{
	for (uint32_t i = 0; i < l->watches; i++)
		if (sigstore_pattern_matches(l->watch[i], name))
			return true;
	return false;
}

/* The longest run of a pattern that has no '*'. */
static struct bytes literal(const char *pattern)
{
	struct bytes best = BYTES_NONE;

	for (const char *p = pattern;; p++) {
		size_t n = strcspn(p, "*");

		if (n > best.n)
			best = (struct bytes){(const uint8_t *)p, n};
		p += n;
		if (!*p)
			return best;
	}
}

/* A name that a reader who is less strict would find. Bounded: so many are nobody's release. */
static bool names_watched(const struct policy_ledger *l, const json_t *root)
{
	const json_t *list = json_object_get(root, "subject"), *subject;
	size_t i;

	if (json_array_size(list) > SIGSTORE_SUBJECTS_MAX)
		return true;
	json_array_foreach(list, i, subject)
	{
		const json_t *name = json_object_get(subject, "name");

		if (json_is_string(name) && json_string_length(name) < WATCH_NAME_MAX &&
		    is_watched(l, json_string_value(name)))
			return true;
	}
	return false;
}

/* Of what is no statement nobody can say whose it is: any trace of a name counts. */
static bool may_be_watched(const struct policy_ledger *l, struct bytes entry)
{
	json_t *root = json_loadb((const char *)entry.p, entry.n, JSON_ALLOW_NUL, NULL);
	bool found = names_watched(l, root);

	json_decref(root);
	for (uint32_t i = 0; i < l->watches && !found; i++) {
		struct bytes part = literal(l->watch[i]);

		found = !part.n || (entry.n && memmem(entry.p, entry.n, part.p, part.n));
	}
	return found;
}

/* ----------------------------------------------------------------------- judge */

static void take_launches(const struct statement *s, struct policy_alert *out)
{
	for (uint32_t i = 0; i < s->tees; i++) {
		const struct measurements *m = &s->tee[i].registers;
		struct policy_launch *x = &out->launch[out->launches++];

		/* The launch measurement comes first. */
		*x = (struct policy_launch){.tee = attest_tee_from_name(s->tee[i].tee),
		                            .alone = m->n == 1,
		                            .len = m->v[0].len};
		memcpy(x->value, m->v[0].value, m->v[0].len);
	}
}

static void say_unexpected(const struct statement *s, struct policy_alert *out)
{
	char hex[2 * MEASUREMENT_MAX + 1];

	hex_encode((struct bytes){out->launch[0].value, out->launch[0].len}, hex);
	snprintf(out->code, sizeof(out->code), "ledger.unexpected");
	snprintf(out->subject, sizeof(out->subject), "%s", s->subject);
	snprintf(out->version, sizeof(out->version), "%s", s->version);
	snprintf(out->detail, sizeof(out->detail), "%s:%s%s", s->tee[0].tee, hex,
	         s->tees > 1 || s->tee[0].registers.n > 1 ? " and more" : "");
}

int policy_watch(const struct policy *p, uint32_t ledger, uint64_t index, struct bytes entry,
                 struct policy_alert *out)
{
	const struct policy_ledger *l = &p->ledger[ledger];
	struct checks made = {0};
	struct statement s = {0};
	int ret = ledger_statement_parse(entry, 0, &s, &made);

	if (ret == -ENOMEM)
		return ret;
	memset(out, 0, sizeof(*out));
	out->index = index;
	ledger_leaf_hash(entry, &out->leaf);
	if (ret ? !may_be_watched(l, entry) : !is_watched(l, s.subject))
		return 0;
	take_launches(&s, out);
	if (policy_alert_expected(p, ledger, out))
		return 0;
	if (ret) {
		snprintf(out->code, sizeof(out->code), "ledger.unreadable");
		snprintf(out->detail, sizeof(out->detail), "%s", made.v[0].detail);
	} else {
		say_unexpected(&s, out);
	}
	return 1;
}
