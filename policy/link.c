/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds between blocks, once all files are read: names that refer to blocks, blocks that
 * nobody refers to, and prefixes at which too many ports meet. What hides what is in hidden.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "policy/prefix.h"
#include "policy/read.h"

/* ---------------------------------------------------------------- nearest name */

enum { TYPED_MAX = 64 };

/* Edits (insert, delete, replace) that make b of a. */
static size_t distance(const char *a, size_t an, const char *b, size_t bn)
{
	size_t row[TYPED_MAX + 1];

	for (size_t j = 0; j <= bn; j++)
		row[j] = j;
	for (size_t i = 1; i <= an; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= bn; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[bn];
}

const char *policy_nearest(const char *typed, const char *const *names, size_t n)
{
	size_t len = strlen(typed);
	/* A third of the word wrong is a slip; more is another word. */
	size_t best = len / 3 + 1;
	const char *found = NULL;

	if (len > TYPED_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t name_len = strlen(names[i]);
		size_t d;

		if (name_len > TYPED_MAX)
			continue;
		d = distance(typed, len, names[i], name_len);
		if (d <= best && (!found || d < best)) {
			best = d;
			found = names[i];
		}
	}
	return found;
}

/* ------------------------------------------------------------------ references */

static const char *block_name(const struct policy *p, enum policy_section_id kind, uint32_t i)
{
	switch (kind) {
	case SECTION_LEDGER:
		return p->ledger[i].name;
	case SECTION_RELEASE:
		return p->release[i].name;
	case SECTION_ANCHOR:
		return p->anchor[i].name;
	default:
		return p->destination[i].name;
	}
}

static uint32_t blocks(const struct policy *p, enum policy_section_id kind)
{
	return kind == SECTION_LEDGER    ? p->ledgers
	       : kind == SECTION_RELEASE ? p->releases
	       : kind == SECTION_ANCHOR  ? p->anchors
	                                 : p->destinations;
}

static const struct policy_where *block_where(const struct policy *p, enum policy_section_id kind,
                                              uint32_t i)
{
	return kind == SECTION_LEDGER    ? &p->ledger[i].where
	       : kind == SECTION_RELEASE ? &p->release[i].where
	       : kind == SECTION_ANCHOR  ? &p->anchor[i].where
	                                 : &p->destination[i].where;
}

struct named {
	const char *name;
	uint32_t i;
};

static int by_name(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : (x->i > y->i) - (x->i < y->i);
}

static void check_twice(struct policy_reader *r, enum policy_section_id kind)
{
	const struct policy *p = r->p;
	uint32_t n = blocks(p, kind), first = 0;
	struct named *v = calloc((size_t)n + 1, sizeof(*v));

	if (!v) {
		r->no_memory = true;
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		v[i] = (struct named){block_name(p, kind, i), i};
	qsort(v, n, sizeof(*v), by_name);
	for (uint32_t i = 1; i < n; i++) {
		const struct policy_where *other = block_where(p, kind, v[first].i);

		if (strcmp(v[i].name, v[first].name))
			first = i;
		else if (v[i].name[0])
			policy_issue(r->issues, true, block_where(p, kind, v[i].i),
			             "there is a %s \"%s\" already at %s:%" PRIu32
			             "; give this one another name",
			             policy_sections[kind].name, v[i].name, other->file,
			             other->line);
	}
	free(v);
}

void policy_check_names(struct policy_reader *r)
{
	check_twice(r, SECTION_LEDGER);
	check_twice(r, SECTION_RELEASE);
	check_twice(r, SECTION_ANCHOR);
	check_twice(r, SECTION_DESTINATION);
}

static void unknown_name(struct policy_reader *r, enum policy_section_id kind,
                         const struct policy_destination *d, const struct policy_ref *ref)
{
	struct policy_where where = policy_where_of(d->where.file, ref->line);
	const struct policy *p = r->p;
	uint32_t n = blocks(p, kind);
	const char **names = calloc(n + 1, sizeof(*names));
	const char *word = policy_sections[kind].name, *name = ref->name, *near;

	if (!names) {
		r->no_memory = true;
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		names[i] = block_name(p, kind, i);
	near = policy_nearest(name, names, n);
	free(names);
	if (near)
		policy_issue(r->issues, true, &where, "there is no %s \"%s\"; did you mean \"%s\"?",
		             word, name, near);
	else
		policy_issue(r->issues, true, &where,
		             "there is no %s \"%s\"; add: %s \"%s\" { ... }%s", word, name, word,
		             name, kind == SECTION_LEDGER ? ", or write ledger = none" : "");
}

static int64_t find_block(const struct policy *p, enum policy_section_id kind, const char *name)
{
	uint32_t n = blocks(p, kind);

	for (uint32_t i = 0; i < n; i++)
		if (!strcmp(block_name(p, kind, i), name))
			return i;
	return -1;
}

static void link_ledger(struct policy_reader *r, struct policy_destination *d,
                        const struct policy_ref *ref, bool *used)
{
	int64_t at;

	if (!ref->name[0] || !strcmp(ref->name, "none"))
		return;
	at = find_block(r->p, SECTION_LEDGER, ref->name);
	if (at < 0) {
		unknown_name(r, SECTION_LEDGER, d, ref);
		return;
	}
	d->ledger = (int32_t)at;
	used[at] = true;
}

static void link_release(struct policy_reader *r, struct policy_destination *d,
                         const struct policy_ref *ref, bool *used)
{
	int64_t at;

	if (!ref->name[0])
		return;
	at = find_block(r->p, SECTION_RELEASE, ref->name);
	if (at < 0) {
		unknown_name(r, SECTION_RELEASE, d, ref);
		return;
	}
	d->release = (int32_t)at;
	used[at] = true;
}

static void link_anchor(struct policy_reader *r, struct policy_destination *d,
                        const struct policy_ref *ref, bool *used)
{
	struct policy_where where = policy_where_of(d->where.file, ref->line);
	int64_t at = find_block(r->p, SECTION_ANCHOR, ref->name);
	const struct policy_anchor *a;

	if (at < 0) {
		unknown_name(r, SECTION_ANCHOR, d, ref);
		return;
	}
	a = &r->p->anchor[at];
	used[at] = true;
	if (d->tees & 1u << a->tee)
		d->anchor[d->anchors++] = (uint32_t)at;
	else
		policy_issue(
		        r->issues, true, &where,
		        "anchor \"%s\" is for %s, which the tee of destination \"%s\" does not "
		        "name; add it there or remove the anchor here",
		        a->name, attest_tee_name(a->tee), d->name);
}

/* Nothing at all is expected: that is rarely what is meant. */
static void check_watched(struct policy_reader *r)
{
	const struct policy *p = r->p;

	for (uint32_t i = 0; i < p->ledgers; i++) {
		const struct policy_ledger *l = &p->ledger[i];
		bool some = !l->watches || l->expecteds;

		for (uint32_t k = 0; k < p->destinations && !some; k++)
			some = p->destination[k].ledger == (int32_t)i &&
			       (p->destination[k].leaves || p->destination[k].measurements);
		if (!some)
			policy_issue(r->issues, false, &l->where,
			             "ledger \"%s\" is watched and expects nothing, so that every "
			             "entry is alerted; name your releases: expected-file = "
			             "{\"releases.list\"}",
			             l->name);
	}
}

static void link_names(struct policy_reader *r)
{
	struct policy *p = r->p;
	/* One more each, so that none is an allocation of nothing. */
	bool *ledger = calloc((size_t)p->ledgers + 1, sizeof(*ledger));
	bool *release = calloc((size_t)p->releases + 1, sizeof(*release));
	bool *anchor = calloc((size_t)p->anchors + 1, sizeof(*anchor));

	if (!ledger || !release || !anchor) {
		r->no_memory = true;
		goto out;
	}
	for (uint32_t i = 0; i < p->destinations; i++) {
		link_ledger(r, &p->destination[i], &r->refs[i].ledger, ledger);
		link_release(r, &p->destination[i], &r->refs[i].release, release);
		for (uint32_t a = 0; a < r->refs[i].anchors; a++)
			link_anchor(r, &p->destination[i], &r->refs[i].anchor[a], anchor);
	}
	for (uint32_t i = 0; i < p->ledgers; i++)
		if (!ledger[i])
			policy_issue(
			        r->issues, false, &p->ledger[i].where,
			        "no destination names ledger \"%s\"; remove it, or write ledger = "
			        "\"%s\" where it is meant",
			        p->ledger[i].name, p->ledger[i].name);
	for (uint32_t i = 0; i < p->releases; i++)
		if (!release[i])
			policy_issue(
			        r->issues, false, &p->release[i].where,
			        "no destination names release \"%s\"; remove it, or write release = "
			        "\"%s\" where it is meant",
			        p->release[i].name, p->release[i].name);
	for (uint32_t i = 0; i < p->anchors; i++)
		if (!anchor[i])
			policy_issue(
			        r->issues, false, &p->anchor[i].where,
			        "no destination names anchor \"%s\", so nobody trusts it; remove it, "
			        "or write anchor = {\"%s\"} where it is meant",
			        p->anchor[i].name, p->anchor[i].name);
out:
	free(ledger);
	free(release);
	free(anchor);
}

/* --------------------------------------------------------------------- compile */

/* rc: of compiling what meets at a prefix or name. */
static void report_compile(struct policy_reader *r, int rc, const struct compile_trouble *trouble,
                           const char *where)
{
	if (rc == -ENOMEM)
		r->no_memory = true;
	if (rc == -E2BIG)
		policy_issue(r->issues, true, &r->p->destination[trouble->destination].where,
		             "more than %d port ranges of all destinations meet at %s; write "
		             "fewer, wider ranges",
		             POLICY_PORTS_MAX, where);
}

/* False: they don't, or there is no memory to tell. */
static bool check_compiles(struct policy_reader *r)
{
	struct compile_trouble trouble = {.host = ""};
	struct policy_name_rules *names = NULL;
	struct policy_lpm *lpm = NULL;
	char text[80];
	size_t n;
	int rc = policy_compile_with(r->p, NULL, 0, &lpm, &n, &trouble), names_rc;

	free(lpm);
	policy_prefix_text(&trouble.prefix, text);
	report_compile(r, rc, &trouble, text);
	names_rc = policy_compile_names_with(r->p, &names, &n, &trouble);
	free(names);
	report_compile(r, names_rc, &trouble, trouble.host);
	return !rc && !names_rc;
}

/* Under a default of deny, an address that is not known yet is refused; else it is open. */
static void check_names_suffice(struct policy_reader *r)
{
	const struct policy *p = r->p;

	for (uint32_t i = 0; p->default_action == POLICY_ALLOW && i < p->destinations; i++) {
		const struct policy_destination *d = &p->destination[i];

		if (policy_judges(d->action) && d->hosts && !d->prefixes)
			policy_issue(r->issues, false, &d->where,
			             "names are only as good as DNS: an address of destination "
			             "\"%s\" that no plain DNS answer on this host gave is not "
			             "%s; add address prefixes or default-action = deny",
			             d->name, d->action == POLICY_GATE ? "gated" : "monitored");
	}
}

void policy_link(struct policy_reader *r)
{
	if (policy_index(r->p)) {
		r->no_memory = true;
		return;
	}
	link_names(r);
	check_watched(r);
	/* What is hidden can be told in good time where not too much meets. */
	if (check_compiles(r))
		policy_check_hidden(r);
	check_names_suffice(r);
}
