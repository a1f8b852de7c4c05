/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy files to a model: opens and closes blocks, says what a block lacks, and collects every
 * issue with its file and line. Knows no grammar (syntax.c), no value (read_*.c) and nothing that
 * holds between blocks (link.c).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attest/pki.h"
#include "policy/app.h"
#include "policy/appraise.h"
#include "policy/names.h"
#include "policy/read.h"

/* -------------------------------------------------------------------- issues */

struct policy_where policy_where_of(const char *path, uint32_t line)
{
	struct policy_where w;
	size_t n = strnlen(path, sizeof(w.file) - 1);

	/* Of every block: neither printed nor cleared twice. */
	memcpy(w.file, path, n);
	memset(w.file + n, 0, sizeof(w.file) - n);
	w.line = line;
	return w;
}

/* Many warnings must not hide an error: the last of them makes room, if there is one. */
static bool drop_warning(struct policy_issues *issues)
{
	for (uint32_t i = issues->n; i-- > 0;) {
		if (issues->v[i].error)
			continue;
		memmove(&issues->v[i], &issues->v[i + 1],
		        (issues->n - i - 1) * sizeof(issues->v[0]));
		issues->n--;
		return true;
	}
	return false;
}

__attribute__((format(printf, 4, 0))) static void issue_v(struct policy_issues *issues, bool error,
                                                          const struct policy_where *where,
                                                          const char *fmt, va_list ap)
{
	struct policy_issue *i;

	if (error)
		issues->errors++;
	if (issues->n == POLICY_ISSUES_MAX && !(error && drop_warning(issues)))
		return;
	i = &issues->v[issues->n++];
	i->error = error;
	i->where = *where;
	vsnprintf(i->text, sizeof(i->text), fmt, ap);
}

void policy_issue(struct policy_issues *issues, bool error, const struct policy_where *where,
                  const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	issue_v(issues, error, where, fmt, ap);
	va_end(ap);
}

void policy_error(struct policy_reader *r, uint32_t line, const char *fmt, ...)
{
	struct policy_where w = policy_where_of(r->path, line);
	va_list ap;

	va_start(ap, fmt);
	issue_v(r->issues, true, &w, fmt, ap);
	va_end(ap);
}

void policy_warning(struct policy_reader *r, uint32_t line, const char *fmt, ...)
{
	struct policy_where w = policy_where_of(r->path, line);
	va_list ap;

	va_start(ap, fmt);
	issue_v(r->issues, false, &w, fmt, ap);
	va_end(ap);
}

/* -------------------------------------------------------------------- growth */

bool policy_grow(struct policy_reader *r, void *array, uint32_t n, uint32_t *cap, size_t size)
{
	void **p = array;
	uint32_t want = *cap ? *cap * 2 : 4;
	void *bigger;

	if (n < *cap) {
		memset((char *)*p + (size_t)n * size, 0, size);
		return true;
	}
	bigger = want > *cap && want < UINT32_MAX / 2 ? reallocarray(*p, want, size) : NULL;
	if (!bigger) {
		r->no_memory = true;
		return false;
	}
	/* One by one: what is never used is never touched. */
	memset((char *)bigger + (size_t)n * size, 0, size);
	*p = bigger;
	*cap = want;
	return true;
}

bool policy_append(struct policy_reader *r, void *array, uint32_t n, size_t size)
{
	uint32_t cap = n ? 4 : 0;

	while (cap < n)
		cap *= 2;
	return policy_grow(r, array, n, &cap, size);
}

/* -------------------------------------------------------------------- blocks */

static void open_ledger(struct policy_reader *r)
{
	if (!policy_grow(r, &r->p->ledger, r->p->ledgers, &r->ledgers_cap, sizeof(*r->p->ledger)))
		return;
	r->l = &r->p->ledger[r->p->ledgers++];
	r->l->where = r->where;
	r->l->max_age = DAY;
	r->l->refresh = 300;
	r->watches_cap = 0;
	r->expecteds_cap = 0;
}

static void open_release(struct policy_reader *r)
{
	if (!policy_grow(r, &r->p->release, r->p->releases, &r->releases_cap,
	                 sizeof(*r->p->release)))
		return;
	r->rel = &r->p->release[r->p->releases++];
	r->rel->where = r->where;
}

static void open_anchor(struct policy_reader *r)
{
	if (!policy_grow(r, &r->p->anchor, r->p->anchors, &r->anchors_cap, sizeof(*r->p->anchor)))
		return;
	r->a = &r->p->anchor[r->p->anchors++];
	r->a->where = r->where;
}

/* One block a vendor; the reader keeps one place for a block of a vendor that there is not. */
static void open_source(struct policy_reader *r, const char *title)
{
	enum collateral_vendor v = VENDOR_NONE;

	for (enum collateral_vendor i = VENDOR_NONE + 1; i < VENDORS; i++)
		if (!strcmp(title, attest_vendor_name(i)))
			v = i;
	r->s = &r->p->source[v];
	if (v == VENDOR_NONE)
		policy_error(r, r->where.line,
		             "collateral \"%.64s\": no such vendor; write collateral \"amd\" or "
		             "collateral \"intel\"",
		             title);
	else if (r->s->where.line)
		policy_error(r, r->where.line,
		             "there is a collateral \"%s\" already at %s:%" PRIu32
		             "; one of them is enough",
		             title, r->s->where.file, r->s->where.line);
	r->s->where = r->where;
	r->s->refresh = DAY;
}

static void open_destination(struct policy_reader *r)
{
	struct policy *p = r->p;
	uint32_t refs_cap = r->destinations_cap;

	if (!policy_grow(r, &r->refs, p->destinations, &refs_cap, sizeof(*r->refs)) ||
	    !policy_grow(r, &p->destination, p->destinations, &r->destinations_cap,
	                 sizeof(*p->destination)))
		return;
	r->ref = &r->refs[p->destinations];
	r->d = &p->destination[p->destinations++];
	r->d->where = r->where;
	r->d->action = POLICY_DENY;
	r->d->refuse_errno = ECONNREFUSED;
	r->d->binder = BINDER_CONNECTION;
	r->d->transport = TRANSPORT_KEYGATE;
	r->d->ledger = -1;
	r->d->release = -1;
	r->denieds_cap = 0;
	r->d->require_crl = true;
	r->d->lease = HOUR;
	r->prefixes_cap = 0;
	r->measurements_cap = 0;
	r->pins_cap = 0;
	r->lates = 0;
}

/* A name goes into kernel key descriptions and on command lines. */
static bool name_ok(const char *name)
{
	size_t n = strlen(name);

	if (!n || n >= POLICY_NAME_MAX)
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
	       n;
}

static void name_block(struct policy_reader *r, const char *name, char out[static POLICY_NAME_MAX])
{
	const char *kind = policy_sections[r->section].name;

	if (!name_ok(name)) {
		policy_error(r, r->where.line,
		             "the name of a %s has 1 to %d characters out of a-z A-Z 0-9 _ . -",
		             kind, POLICY_NAME_MAX - 1);
		return;
	}
	if (r->section == SECTION_LEDGER && !strcmp(name, "none")) {
		policy_error(r, r->where.line,
		             "a ledger can't be called \"none\"; that means no ledger");
		return;
	}
	memcpy(out, name, strlen(name) + 1);
}

static void on_open(struct policy_reader *r, enum policy_section_id section, const char *title,
                    uint32_t line)
{
	r->section = section;
	r->where.line = line;
	r->given = 0;
	r->l = NULL;
	r->rel = NULL;
	r->a = NULL;
	r->s = NULL;
	r->d = NULL;
	r->ref = NULL;
	switch (section) {
	case SECTION_TOP:
	case SECTION_MAX:
		return;
	case SECTION_LEDGER:
		open_ledger(r);
		if (r->l)
			name_block(r, title, r->l->name);
		return;
	case SECTION_RELEASE:
		open_release(r);
		if (r->rel)
			name_block(r, title, r->rel->name);
		return;
	case SECTION_ANCHOR:
		open_anchor(r);
		if (r->a)
			name_block(r, title, r->a->name);
		return;
	case SECTION_COLLATERAL:
		open_source(r, title);
		return;
	case SECTION_DESTINATION:
		open_destination(r);
		if (r->d)
			name_block(r, title, r->d->name);
		return;
	}
}

static void on_value(struct policy_reader *r, uint32_t key, const struct policy_value *v)
{
	if (r->no_memory)
		return;
	if (!(r->given & UINT64_C(1) << key))
		r->given_line[key] = v->line;
	r->given |= UINT64_C(1) << key;
	r->key = key;
	policy_sections[r->section].keys[key].set(r, v);
}

/* The line of a key of this block; 0 when it is not given. */
static uint32_t given(const struct policy_reader *r, const char *name)
{
	const struct policy_section *sec = &policy_sections[r->section];

	for (uint32_t k = 0; k < sec->n; k++)
		if (r->given & UINT64_C(1) << k && !strcmp(sec->keys[k].name, name))
			return r->given_line[k];
	return 0;
}

/* ------------------------------------------------------- what a block may lack */

static void check_must(struct policy_reader *r, const char *title, unsigned flag, const char *when)
{
	const struct policy_section *sec = &policy_sections[r->section];

	for (uint32_t k = 0; k < sec->n; k++) {
		const struct policy_key *key = &sec->keys[k];

		if (!(key->flags & flag) || r->given & UINT64_C(1) << k)
			continue;
		policy_error(r, r->where.line, "%s \"%s\" has no %s%s; add: %s = %s", sec->name,
		             title, key->name, when, key->name, key->example);
	}
}

static void check_idle(struct policy_reader *r)
{
	const struct policy_section *sec = &policy_sections[r->section];
	const char *action = policy_action_name(r->d->action);
	unsigned idle = (r->d->action == POLICY_GATE ? 0u : KEY_GATE) |
	                (policy_judges(r->d->action) ? 0u : KEY_JUDGE);

	for (uint32_t k = 0; k < sec->n; k++)
		if (sec->keys[k].flags & idle && r->given & UINT64_C(1) << k)
			policy_error(
			        r, r->given_line[k],
			        "\"%s\" means nothing with action = %s; remove it or write action "
			        "= gate",
			        sec->keys[k].name, action);
	if (policy_passes(r->d->action) && given(r, "refuse-with"))
		policy_error(r, given(r, "refuse-with"),
		             "\"refuse-with\" means nothing with action = %s; remove it", action);
}

/* Where no ledger speaks a list has to, and a list that there is holds for every platform. */
static void check_measurements(struct policy_reader *r)
{
	const struct policy_destination *d = r->d;
	bool none = !d->measurements && !given(r, "measurement");
	struct register_name launch;
	char digits[16];

	for (enum tee t = TEE_NONE + 1; t < TEE_MAX; t++) {
		bool listed = false;

		if (!(d->tees & TEE_BIT(t)) || !policy_launch_register(t, &launch))
			continue;
		for (uint32_t i = 0; i < d->measurements; i++)
			listed |= d->measurement[i].tee == t;
		if (none && !strcmp(r->ref->ledger.name, "none") && !r->ref->release.name[0]) {
			policy_register_digits(&launch, digits);
			policy_error(
			        r, r->where.line,
			        "destination \"%s\" asks no ledger and lists no measurement, so "
			        "that any program would do; add: measurement = {\"%s:<%s "
			        "hexadecimal digits>\"}",
			        d->name, attest_tee_name(t), digits);
			return;
		}
		if (d->measurements && !listed && !r->issues->errors)
			policy_warning(r, given(r, "measurement"),
			               "measurement: none is of %s, whose evidence is then always "
			               "refused; add one, or remove %s from tee",
			               attest_tee_name(t), attest_tee_name(t));
	}
}

static bool is_denied(const struct policy_destination *d, const struct policy_measurement *m)
{
	for (uint32_t i = 0; i < d->denieds; i++) {
		const struct policy_denied *x = &d->denied[i];

		if (x->kind == DENIED_MEASUREMENT && x->measurement.tee == m->tee &&
		    x->measurement.m.len == m->m.len &&
		    !memcmp(x->measurement.m.value, m->m.value, m->m.len))
			return true;
	}
	return false;
}

/* Whoever lists it may think that it passes. */
static void check_denied(struct policy_reader *r)
{
	const struct policy_destination *d = r->d;

	for (uint32_t i = 0; i < d->measurements; i++)
		if (is_denied(d, &d->measurement[i]))
			policy_warning(
			        r, given(r, "measurement"),
			        "measurement: number %" PRIu32
			        " of the list is denied by this destination as well, so that it "
			        "never passes; remove it here",
			        i + 1);
}

/* What a transport can't give must not be demanded of it: every connection would be refused. */
static void check_transport(struct policy_reader *r)
{
	const char *most = attest_transport_binder_most(r->d->transport);
	uint32_t line = given(r, "transport");

	if (policy_binder_from_name(most) < r->d->binder)
		policy_error(
		        r, line ? line : r->where.line,
		        "transport = %s can't satisfy binder = %s; write binder = %s, a loosening "
		        "that every verdict names, or take a stronger transport",
		        attest_transport_name(r->d->transport), policy_binder_name(r->d->binder),
		        attest_transport_binder(r->d->transport));
}

/* AMD rates no firmware, so that nothing else is in the way of an old one with known holes. */
static void check_floor(struct policy_reader *r)
{
	const struct policy_destination *d = r->d;

	if (d->tees & TEE_BIT(TEE_SNP) && !policy_floors_firmware(d, TEE_SNP) && !r->issues->errors)
		policy_warning(
		        r, given(r, given(r, "min-tcb") ? "min-tcb" : "tee"),
		        "destination \"%s\" takes snp firmware of any age, and AMD rates none; "
		        "add what keygate probe prints of a good machine, like: min-tcb = "
		        "{\"snp=24\", \"microcode=219\"}",
		        d->name);
}

/* What a gated block and a monitored one demand. */
static void check_demands(struct policy_reader *r)
{
	struct policy_destination *d = r->d;
	bool gate = d->action == POLICY_GATE;

	check_must(r, d->name, KEY_MUST_JUDGE,
	           gate ? " but action = gate" : " but action = monitor");
	if (d->kernel_tls != KERNEL_TLS_NONE && d->app)
		policy_error(r, given(r, "kernel-tls"),
		             "kernel-tls: the kernel's own connections are of no application; "
		             "remove unit, cgroup, user and executable from destination \"%s\"",
		             d->name);
	check_transport(r);
	policy_settle(r);
	check_measurements(r);
	check_denied(r);
	check_floor(r);
	if (d->accept_advisories && !d->accept_tcb && !d->tcb_grace)
		policy_error(r, given(r, "accept-advisory"),
		             "accept-advisory accepts nothing by itself; add accept-tcb or "
		             "tcb-grace, or remove it");
	if (!d->server_name[0] && d->hosts == 1 && !given(r, "server-name"))
		memcpy(d->server_name, d->host[0], sizeof(d->server_name));
}

static void check_anchors(struct policy_reader *r)
{
	if (r->d->no_built_in && !r->ref->anchors)
		policy_error(
		        r, r->where.line,
		        "destination \"%s\" trusts no root at all; add: anchor = {\"lab\"}, or "
		        "remove built-in-anchors",
		        r->d->name);
}

static void check_destination(struct policy_reader *r)
{
	const char *name = r->d->name;

	policy_settle_app(r);
	check_must(r, name, KEY_MUST, "");
	if (given(r, "address-file") && !r->d->prefixes && !r->d->hosts && !r->issues->errors)
		policy_error(r, given(r, "address-file"),
		             "address-file: there is no address in it; put one in, or remove the "
		             "destination");
	if (!given(r, "address") && !given(r, "address-file") && !given(r, "name"))
		policy_error(
		        r, r->where.line,
		        "destination \"%s\" is nowhere; add: address = {\"192.0.2.0/24\"} or name "
		        "= {\"api.example.com\"}",
		        name);
	if (!given(r, "action"))
		return;
	check_anchors(r);
	check_idle(r);
	if (policy_judges(r->d->action))
		check_demands(r);
	if (r->d->action == POLICY_MONITOR)
		policy_warning(
		        r, given(r, "action"),
		        "destination \"%s\" is only monitored: its connections are NOT "
		        "protected, whatever the verdict; write action = gate to protect them",
		        name);
}

/* Somebody who counts on being alerted must not wait in vain. */
static void check_watch(struct policy_reader *r)
{
	const struct policy_ledger *l = r->l;
	uint32_t line = given(r, "expected") ? given(r, "expected") : given(r, "expected-file");

	if (line && !given(r, "watch"))
		policy_error(r, line,
		             "ledger \"%s\" expects statements and watches for none; add: watch = "
		             "{\"*\"}",
		             l->name);
	for (uint32_t i = 0; given(r, "watch") && !l->url[0] && i < l->tlog->logs; i++)
		if (!l->tlog->log_url[i][0])
			policy_error(
			        r, given(r, "watch"),
			        "nobody said where the entries of %.120s are, so they can't be "
			        "watched; add: url = \"https://...\"",
			        l->tlog->log[i].name);
}

static void check_ledger(struct policy_reader *r)
{
	const struct policy_ledger *l = r->l;

	check_must(r, l->name, KEY_MUST, "");
	if (!l->tlog)
		return;
	check_watch(r);
	if (!l->tlog->logs)
		policy_error(r, r->where.line,
		             "the tlog-policy of ledger \"%s\" names no log; add a line to it: log "
		             "<vkey>",
		             l->name);
	else if (l->tlog->quorum < 0 && !l->allow_no_quorum)
		policy_error(
		        r, r->where.line,
		        "the tlog-policy of ledger \"%s\" says \"quorum none\": no witness would "
		        "vouch for the log; give it a quorum, or write allow-no-quorum = true here",
		        l->name);
	else if (l->tlog->quorum >= 0 && l->allow_no_quorum)
		policy_warning(r, r->where.line,
		               "ledger \"%s\" has a quorum; remove allow-no-quorum", l->name);
}

/* The keys of one form of a release: none of the other's, and all that this one must have. */
static void check_form(struct policy_reader *r, unsigned ours, const char *form)
{
	const struct policy_section *sec = &policy_sections[r->section];
	unsigned both = KEY_SIGSTORE | KEY_RECEIPT;

	for (uint32_t k = 0; k < sec->n; k++) {
		const struct policy_key *key = &sec->keys[k];
		bool is = r->given & UINT64_C(1) << k;

		if (is && key->flags & both && !(key->flags & ours))
			policy_error(
			        r, r->given_line[k],
			        "\"%s\" means nothing in release \"%s\", which is %s; remove it",
			        key->name, r->rel->name, form);
		else if (!is && key->flags & KEY_MUST && key->flags & ours)
			policy_error(r, r->where.line, "release \"%s\" has no %s; add: %s = %s",
			             r->rel->name, key->name, key->name, key->example);
	}
}

/* A statement is believed for its issuer's signature, which rests on an authority. */
static void check_receipt_release(struct policy_reader *r)
{
	struct policy_release *rel = r->rel;
	const char *why = receipt_issuer_fault(rel->identity.issuer);

	check_form(r, KEY_RECEIPT, "of a statement with receipts");
	memcpy(rel->signer.issuer, rel->identity.issuer, sizeof(rel->signer.issuer));
	if (!given(r, "issuer"))
		policy_error(r, r->where.line,
		             "release \"%s\" does not say who must have signed; add issuer",
		             rel->name);
	else if (why)
		policy_error(r, given(r, "issuer"), "issuer: %s", why);
}

/* Nobody's signature is no signature: there is no way to leave the signer open. */
static void check_sigstore_release(struct policy_reader *r)
{
	const struct policy_release *rel = r->rel;
	const struct sigstore_identity *i = &rel->identity;
	bool key = given(r, "key"), issuer = given(r, "issuer"), san = given(r, "san");

	check_form(r, KEY_SIGSTORE, "of a Sigstore bundle");
	if (key && (issuer || san || given(r, "repository") || given(r, "ref")))
		policy_error(
		        r, given(r, "key"),
		        "release \"%s\" names a key, and what only a certificate says (issuer, "
		        "san, repository, ref); remove one of them",
		        rel->name);
	else if (!key && !(issuer && san))
		policy_error(
		        r, r->where.line,
		        "release \"%s\" does not say who must have signed; add issuer and san, "
		        "or key",
		        rel->name);
	if (i->san[0] && strspn(i->san, "*") == strlen(i->san))
		policy_error(
		        r, given(r, "san"),
		        "san: \"%s\" admits anybody; name the workflow or person that may sign",
		        i->san);
}

static void check_release(struct policy_reader *r)
{
	if (given(r, "trust-store"))
		check_receipt_release(r);
	else
		check_sigstore_release(r);
}

static void on_close(struct policy_reader *r)
{
	if (r->no_memory)
		return;
	switch (r->section) {
	case SECTION_TOP:
	case SECTION_MAX:
		return;
	case SECTION_LEDGER:
		check_ledger(r);
		return;
	case SECTION_RELEASE:
		check_release(r);
		return;
	case SECTION_ANCHOR:
		check_must(r, r->a->name, KEY_MUST, "");
		return;
	case SECTION_COLLATERAL:
		check_must(r, "", KEY_MUST, "");
		return;
	case SECTION_DESTINATION:
		check_destination(r);
		return;
	}
}

/* --------------------------------------------------------------------- whole */

static const struct policy_events events = {on_open, on_value, on_close};

int policy_parse(const struct policy_file *files, size_t n, policy_load_fn load, void *ctx,
                 int64_t now, struct policy **out, struct policy_issues *issues)
{
	struct policy_reader r = {.issues = issues, .load = load, .ctx = ctx, .now = now};
	bool whole = true;
	int rc = -EINVAL;

	memset(issues, 0, sizeof(*issues));
	r.p = calloc(1, sizeof(*r.p));
	if (!r.p)
		return -ENOMEM;
	for (size_t i = 0; i < n && !r.no_memory; i++) {
		r.path = files[i].path;
		r.where = policy_where_of(r.path, 1);
		whole &= policy_syntax(&r, files[i].text, &events);
	}
	r.path = n ? files[0].path : "";
	if (whole && !r.has_default && !r.no_memory)
		policy_error(&r, 1,
		             "nothing says what happens to all other connections; add before "
		             "the first block: default-action = allow (or deny)");
	if (!r.no_memory)
		policy_check_names(&r);
	if (!issues->errors && !r.no_memory)
		policy_link(&r);
	if (r.no_memory)
		rc = -ENOMEM;
	else if (!issues->errors)
		rc = 0;
	for (uint32_t i = 0; r.refs && i < r.p->destinations; i++)
		free(r.refs[i].anchor);
	free(r.refs);
	free(r.late);
	app_free(r.app);
	free(r.app);
	if (rc) {
		policy_free(r.p);
		return rc;
	}
	*out = r.p;
	return 0;
}

/* Whether it is a certificate or a list, though none that a vendor serves under a name. */
static bool is_endorsement(struct bytes piece)
{
	struct pki_bag bag = {0};
	bool is = !pki_bag_add(&bag, piece) && !bag.others;

	pki_bag_free(&bag);
	return is;
}

static int add_endorsement(struct policy *p, uint8_t *content, size_t n)
{
	struct bytes *bigger;

	if (!is_endorsement((struct bytes){content, n}))
		return -EINVAL;
	if (p->endorsements == POLICY_ENDORSEMENTS_MAX)
		return -ENOSPC;
	bigger = reallocarray(p->endorsement, p->endorsements + 1, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	p->endorsement = bigger;
	p->endorsement[p->endorsements++] = (struct bytes){content, n};
	return 0;
}

int policy_add_collateral(struct policy *p, uint8_t *content, size_t n)
{
	int rc;

	if (!p->collateral)
		p->collateral = collateral_store_new(POLICY_COLLATERAL_BYTES);
	if (!p->collateral)
		return -ENOMEM;
	rc = collateral_store_add(p->collateral, (struct bytes){content, n}, NULL);
	if (rc == -EINVAL)
		return add_endorsement(p, content, n);
	/* Twice the same file, or one older than all that is kept of its name: no harm. */
	if (rc == -EEXIST ||
	    (rc == -ENOSPC && collateral_store_bytes(p->collateral) + n <= POLICY_COLLATERAL_BYTES))
		rc = 0;
	if (!rc)
		free(content);
	return rc;
}

static void bytes_free(struct bytes *b)
{
	/* The view is const for readers; the model owns what it points to. */
	free((void *)(uintptr_t)b->p);
}

static void destination_free(struct policy_destination *d)
{
	free(d->prefix);
	free(d->host);
	free(d->measurement);
	free(d->pin);
	free(d->denied);
	free(d->server_key);
	free(d->chip_id);
	free(d->vlek_csp);
	free(d->chip_id_len);
	free(d->tcb_floor);
	free(d->unpinned);
	free(d->accept_advisory);
	for (uint32_t k = 0; k < d->leaves; k++)
		bytes_free(&d->leaf[k]);
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->destinations; i++)
		destination_free(&p->destination[i]);
	for (uint32_t i = 0; i < p->ledgers; i++) {
		free(p->ledger[i].tlog);
		free(p->ledger[i].watch);
		free(p->ledger[i].expected);
	}
	for (uint32_t i = 0; i < p->releases; i++) {
		sigstore_root_free(p->release[i].root);
		bytes_free(&p->release[i].identity.key);
		bytes_free(&p->release[i].bundle);
		receipt_keys_free(p->release[i].keys);
		bytes_free(&p->release[i].statement);
	}
	for (uint32_t i = 0; i < p->anchors; i++)
		bytes_free(&p->anchor[i].content);
	for (uint32_t i = 0; i < p->endorsements; i++)
		bytes_free(&p->endorsement[i]);
	for (uint32_t i = 0; i < p->apps; i++)
		app_free(&p->app[i]);
	free(p->app);
	collateral_store_free(p->collateral);
	policy_index_free(p);
	free(p->destination);
	free(p->ledger);
	free(p->release);
	free(p->anchor);
	free(p->endorsement);
	free(p);
}
