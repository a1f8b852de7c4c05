/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destinations that those before them hide, as a whole or in part. The first that matches decides,
 * so a cell (a prefix or host of a destination, and one of its port ranges) never comes to its turn
 * when earlier ones, each for all of its applications, take every address and port of it between
 * them.
 *
 * Prefixes are nested or apart: they make a forest, which stands here in the order in which it is
 * walked, so that all that lies in a prefix is one piece behind it. Where a prefix is split among
 * ones in it without a gap, each of these has to be taken; else what is around it decides. The work
 * grows with the cells and how deep they are nested; that of a policy which is made to have more is
 * cut off, and what was not looked at then counts as not hidden.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "policy/app.h"
#include "policy/prefix.h"
#include "policy/read.h"

enum {
	LEFT_MAX = 64,   /* pieces of a port range; of more, some that are taken count as left */
	DEPTH_MAX = 130, /* as many prefixes can be around one, and itself */
	STEPS_MAX = 1 << 24,
};

#define NOBODY UINT32_MAX

struct cell {
	uint32_t d;
	struct policy_port port;
};

struct node {
	struct policy_prefix x;
	const char *host; /* NULL: a prefix */
	uint32_t up;      /* the next prefix around it; NOBODY: none */
	uint32_t end;     /* behind the last one that lies in it */
	uint32_t cell;    /* the first of its own, which are in the order of the files ... */
	uint32_t cells;   /* ... but for those that can't take anything */
	uint32_t passes;  /* the first destination in it that lets pass; NOBODY: none */
	enum { UNKNOWN = 0, SPLIT, GAP } in; /* do those in it leave out nothing of it? */
};

/* What of a port range nobody has taken yet. */
struct left {
	uint32_t n;
	struct policy_port v[LEFT_MAX];
};

struct spot {
	uint32_t node;
	struct policy_port port;
};

struct takers {
	uint32_t by[2]; /* NOBODY: no more */
	bool more;      /* and others */
};

/* Of a destination. */
struct hidden {
	uint32_t cells;
	uint32_t taken; /* how many of them never come to their turn; the first, and who took it: */
	struct spot at;
	struct takers takers;
	uint32_t open;       /* who lets pass what this one gates; NOBODY: nobody does. There: */
	struct spot gated;   /* a cell of this one's ... */
	struct spot passing; /* ... and what of it passes */
};

struct forest {
	const struct policy *p;
	struct node *node;
	uint32_t nodes;
	uint32_t root[2]; /* all of IPv6, and all of IPv4 */
	struct cell *v;
	uint32_t cells;
	struct hidden *hidden; /* of each destination */
	uint32_t steps;
	struct takers now; /* of the cell that is looked at */
	struct left left[DEPTH_MAX];
	uint32_t end[DEPTH_MAX];
};

/* ----------------------------------------------------------------------- build */

static const struct policy_prefix every[2] = {{.plen = 0},
                                              {.addr = {[10] = 0xff, [11] = 0xff}, .plen = 96}};

static int by_walk(const void *a, const void *b)
{
	const struct cover_entry *x = a, *y = b;
	int four = prefix_is_four(&x->x) - prefix_is_four(&y->x);
	int c = four ? four : memcmp(x->x.addr, y->x.addr, sizeof(x->x.addr));

	if (!c)
		c = x->x.plen - y->x.plen;
	return c ? c : (x->destination > y->destination) - (x->destination < y->destination);
}

static void add_cells(struct forest *f, struct node *n, uint32_t d)
{
	struct port_ranges ranges;

	if (d == NOBODY)
		return;
	port_ranges_of(&f->p->destination[d], &ranges);
	for (uint32_t i = 0; i < ranges.n; i++)
		f->v[f->cells++] = (struct cell){d, ranges.v[i]};
	n->cells += ranges.n;
}

static struct node *add_node(struct forest *f)
{
	struct node *n = &f->node[f->nodes++];

	n->up = NOBODY;
	n->end = f->nodes;
	n->cell = f->cells;
	n->passes = NOBODY;
	return n;
}

/* Where the next prefix goes: the last one around it is still open. */
static void add_prefix(struct forest *f, const struct policy_prefix *x, uint32_t *open)
{
	while (*open != NOBODY && !prefix_covers(&f->node[*open].x, x)) {
		f->node[*open].end = f->nodes;
		*open = f->node[*open].up;
	}
	add_node(f)->x = *x;
	f->node[f->nodes - 1].up = *open;
	*open = f->nodes - 1;
	for (int i = 0; i < 2; i++)
		if (!prefix_compare(x, &every[i]))
			f->root[i] = *open;
}

static void add_prefixes(struct forest *f, const struct cover_entry *v, size_t n)
{
	uint32_t open = NOBODY;

	for (size_t i = 0; i < n; i++) {
		if (!i || prefix_compare(&v[i].x, &v[i - 1].x))
			add_prefix(f, &v[i].x, &open);
		add_cells(f, &f->node[f->nodes - 1], v[i].destination);
	}
	for (; open != NOBODY; open = f->node[open].up)
		f->node[open].end = f->nodes;
}

static void add_hosts(struct forest *f, const struct hosts *h)
{
	for (size_t i = 0; i < h->n; i++) {
		if (!i || strcasecmp(h->v[i].host, h->v[i - 1].host))
			add_node(f)->host = h->v[i].host;
		add_cells(f, &f->node[f->nodes - 1], h->v[i].destination);
	}
}

static void forest_free(struct forest *f)
{
	if (f) {
		free(f->node);
		free(f->v);
		free(f->hidden);
	}
	free(f);
}

static struct forest *forest_new(const struct policy *p, size_t nodes)
{
	struct forest *f = calloc(1, sizeof(*f));
	size_t cells = 1;

	for (uint32_t d = 0; d < p->destinations; d++) {
		const struct policy_destination *x = &p->destination[d];

		cells += (size_t)(x->prefixes + x->hosts) * (x->ports ? x->ports : 1);
	}
	if (!f)
		return NULL;
	f->p = p;
	f->steps = STEPS_MAX;
	f->node = calloc(nodes, sizeof(*f->node));
	f->v = calloc(cells, sizeof(*f->v));
	f->hidden = calloc((size_t)p->destinations + 1, sizeof(*f->hidden));
	if (f->node && f->v && f->hidden)
		return f;
	forest_free(f);
	return NULL;
}

/* NULL: out of memory. */
static struct forest *forest_of(const struct policy *p)
{
	const struct cover *c = p->index;
	struct cover_entry *v = calloc(c->n + 2, sizeof(*v));
	struct hosts hosts = {0};
	struct forest *f = NULL;

	if (!v || hosts_of(p, &hosts))
		goto out;
	f = forest_new(p, c->n + 2 + hosts.n);
	if (!f)
		goto out;
	memcpy(v, c->v, c->n * sizeof(*v));
	for (int i = 0; i < 2; i++)
		v[c->n + (size_t)i] = (struct cover_entry){every[i], NOBODY};
	qsort(v, c->n + 2, sizeof(*v), by_walk);
	add_prefixes(f, v, c->n + 2);
	add_hosts(f, &hosts);
out:
	free(hosts.v);
	free(v);
	return f;
}

/* ----------------------------------------------------------------------- taken */

/* True if every application that d is for is one of the other's. */
static bool app_taken(const struct policy *p, uint32_t other, uint32_t d)
{
	uint32_t outer = p->destination[other].app, inner = p->destination[d].app;

	return !outer || (inner && app_covers(&p->app[outer - 1], &p->app[inner - 1]));
}

/* Takes these ports from what is left; false: none of them was. */
static bool take(struct left *l, struct policy_port by)
{
	struct left was = *l;
	bool some = false;

	l->n = 0;
	for (uint32_t i = 0; i < was.n; i++) {
		struct policy_port x = was.v[i];
		bool below = by.lo > x.lo;
		bool above = by.hi < x.hi;

		/* The second piece of a split needs room that the others don't take. */
		if (x.hi < by.lo || x.lo > by.hi || (below && above && was.n == LEFT_MAX)) {
			l->v[l->n++] = x;
			continue;
		}
		some = true;
		if (below)
			l->v[l->n++] = (struct policy_port){x.lo, (uint16_t)(by.lo - 1)};
		if (above)
			l->v[l->n++] = (struct policy_port){(uint16_t)(by.hi + 1), x.hi};
	}
	return some;
}

static void note_taker(struct takers *t, uint32_t d)
{
	if (t->by[0] == NOBODY)
		t->by[0] = d;
	else if (t->by[0] != d && t->by[1] == NOBODY)
		t->by[1] = d;
	else if (t->by[0] != d && t->by[1] != d)
		t->more = true;
}

/* What is asked for: which of these ports, for applications of d, come to the turn of `before`. */
struct turn {
	struct policy_port port;
	uint32_t before;
	uint32_t d;
};

/* What the node's own cells take. */
static void take_own(struct forest *f, uint32_t at, const struct turn *t, struct left *l)
{
	const struct cell *c = &f->v[f->node[at].cell];

	for (uint32_t i = 0; l->n && i < f->node[at].cells && c[i].d < t->before; i++)
		if (app_taken(f->p, c[i].d, t->d) && take(l, c[i].port))
			note_taker(&f->now, c[i].d);
}

/* The first address behind a prefix; zero behind the last. */
static void address_after(const struct policy_prefix *x, uint8_t out[static 16])
{
	unsigned carry = x->plen ? 1u << (7 - (x->plen - 1) % 8) : 0;

	memcpy(out, x->addr, 16);
	for (int i = (x->plen - 1) / 8; carry && i >= 0; i--) {
		carry += out[i];
		out[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

/* Do the prefixes in it leave out no address? */
static bool is_split(struct forest *f, uint32_t at)
{
	struct node *n = &f->node[at];
	uint8_t next[16], end[16];
	uint32_t i = at + 1;

	if (n->in != UNKNOWN)
		return n->in == SPLIT;
	memcpy(next, n->x.addr, sizeof(next));
	address_after(&n->x, end);
	for (; i < n->end && !memcmp(f->node[i].x.addr, next, sizeof(next)); i = f->node[i].end)
		address_after(&f->node[i].x, next);
	n->in = n->end > at + 1 && i == n->end && !memcmp(next, end, sizeof(end)) ? SPLIT : GAP;
	return n->in == SPLIT;
}

/* Do the cells of the prefixes in it, and those in these, take all that is left? */
static bool taken_within(struct forest *f, uint32_t at, const struct turn *t, const struct left *l)
{
	uint32_t level = 0;

	if (!is_split(f, at))
		return false;
	f->left[0] = *l;
	f->end[0] = f->node[at].end;
	for (uint32_t i = at + 1; i < f->node[at].end;) {
		struct left *here;

		if (!f->steps)
			return false;
		f->steps--;
		while (i >= f->end[level])
			level--;
		here = &f->left[level + 1];
		*here = f->left[level];
		take_own(f, i, t, here);
		if (!here->n) {
			i = f->node[i].end;
			continue;
		}
		if (!is_split(f, i))
			return false;
		f->end[++level] = f->node[i].end;
		i++;
	}
	return true;
}

/* A host's addresses can be any. */
static bool taken_everywhere(struct forest *f, const struct turn *t, const struct left *l)
{
	for (int i = 0; i < 2; i++) {
		struct left rest = *l;

		take_own(f, f->root[i], t, &rest);
		if (rest.n && !taken_within(f, f->root[i], t, &rest))
			return false;
	}
	return true;
}

/* At a node, whole. *alone: by its own cells and those around it. */
static bool is_taken(struct forest *f, uint32_t at, const struct turn *t, bool *alone)
{
	struct left l = {.n = 1, .v = {t->port}};

	f->now = (struct takers){.by = {NOBODY, NOBODY}};
	for (uint32_t i = at; l.n && i != NOBODY; i = f->node[i].up)
		take_own(f, i, t, &l);
	*alone = !l.n;
	if (!l.n)
		return true;
	return f->node[at].host ? taken_everywhere(f, t, &l) : taken_within(f, at, t, &l);
}

static void note_taken(struct forest *f, uint32_t at, const struct cell *c, bool taken)
{
	struct hidden *h = &f->hidden[c->d];

	h->cells++;
	if (!taken || h->taken++)
		return;
	h->at = (struct spot){at, c->port};
	h->takers = f->now;
}

/* From the top down, so that what is around a cell has only those left that can take something. */
static void find_taken(struct forest *f)
{
	for (uint32_t at = 0; at < f->nodes; at++) {
		struct node *n = &f->node[at];
		uint32_t cells = n->cells;

		n->cells = 0;
		for (uint32_t i = 0; i < cells; i++) {
			const struct cell c = f->v[n->cell + i];
			const struct turn t = {c.port, c.d, c.d};
			bool alone;

			note_taken(f, at, &c, is_taken(f, at, &t, &alone));
			if (!alone)
				f->v[n->cell + n->cells++] = c;
		}
	}
}

/* ------------------------------------------------------------------------ open */

static void find_passing(struct forest *f)
{
	for (uint32_t at = f->nodes; at-- > 0;) {
		struct node *n = &f->node[at];
		const struct cell *c = &f->v[n->cell];

		for (uint32_t i = 0; i < n->cells && c[i].d < n->passes; i++)
			if (policy_passes(f->p->destination[c[i].d].action))
				n->passes = c[i].d;
		if (n->up != NOBODY && n->passes < f->node[n->up].passes)
			f->node[n->up].passes = n->passes;
	}
}

static struct policy_port both(struct policy_port a, struct policy_port b)
{
	return (struct policy_port){a.lo > b.lo ? a.lo : b.lo, a.hi < b.hi ? a.hi : b.hi};
}

/* Does a cell of the node let pass, as the first, what the cell c of another one gates? */
static bool opens(struct forest *f, uint32_t at, const struct cell *c, uint32_t gated)
{
	const struct cell *v = &f->v[f->node[at].cell];
	/* The narrower one of the two is what passes. */
	uint32_t narrow = at > gated ? at : gated;
	struct hidden *h = &f->hidden[c->d];

	for (uint32_t i = 0; i < f->node[at].cells && v[i].d < c->d; i++) {
		const struct turn t = {both(v[i].port, c->port), v[i].d, c->d};
		bool alone;

		if (t.port.lo > t.port.hi || !policy_passes(f->p->destination[v[i].d].action) ||
		    !app_taken(f->p, v[i].d, c->d) || is_taken(f, narrow, &t, &alone))
			continue;
		h->open = v[i].d;
		h->gated = (struct spot){gated, c->port};
		h->passing = (struct spot){narrow, t.port};
		return true;
	}
	return false;
}

/* Around it, or in it. */
static void find_open_at(struct forest *f, uint32_t at, const struct cell *c)
{
	for (uint32_t i = at; i != NOBODY; i = f->node[i].up)
		if (opens(f, i, c, at))
			return;
	for (uint32_t i = at + 1; i < f->node[at].end && f->steps; f->steps--) {
		if (f->node[i].passes > c->d)
			i = f->node[i].end;
		else if (opens(f, i++, c, at))
			return;
	}
}

static void find_open(struct forest *f)
{
	for (uint32_t at = 0; at < f->nodes; at++)
		for (uint32_t i = 0; i < f->node[at].cells; i++) {
			const struct cell *c = &f->v[f->node[at].cell + i];

			if (f->p->destination[c->d].action == POLICY_GATE &&
			    f->hidden[c->d].open == NOBODY)
				find_open_at(f, at, c);
		}
}

/* ---------------------------------------------------------------------- report */

enum { SPOT_MAX = 128 };

static void spot_text(const struct forest *f, const struct spot *s, char out[static SPOT_MAX])
{
	char where[80], port[32] = "";

	if (s->port.lo == s->port.hi)
		snprintf(port, sizeof(port), " port %u", s->port.lo);
	else if (s->port.lo)
		snprintf(port, sizeof(port), " ports %u-%u", s->port.lo, s->port.hi);
	if (!f->node[s->node].host)
		policy_prefix_text(&f->node[s->node].x, where);
	snprintf(out, SPOT_MAX, "%.64s%s", f->node[s->node].host ? f->node[s->node].host : where,
	         port);
}

/* "a" at FILE:LINE, and others. */
static void takers_text(const struct policy *p, const struct takers *t, char out[static 256])
{
	const struct policy_destination *d = &p->destination[t->by[0]];
	int n = snprintf(out, 256, "\"%s\" at %.100s:%" PRIu32, d->name, d->where.file,
	                 d->where.line);

	if (t->by[1] != NOBODY)
		snprintf(out + n, 256 - (size_t)n, "%s \"%s\"%s", t->more ? "," : " and",
		         p->destination[t->by[1]].name, t->more ? " and more" : "");
}

static void report_taken(struct policy_reader *r, const struct forest *f, uint32_t d)
{
	const struct policy_destination *mine = &r->p->destination[d];
	const struct hidden *h = &f->hidden[d];
	bool one = h->takers.by[1] == NOBODY;
	char spot[SPOT_MAX], who[256];

	takers_text(r->p, &h->takers, who);
	spot_text(f, &h->at, spot);
	if (h->taken == h->cells)
		policy_issue(r->issues, true, &mine->where,
		             "destination \"%s\" is never reached: %s %s first and %s all of it; "
		             "move this one before %s or remove it",
		             mine->name, who, one ? "comes" : "come", one ? "matches" : "match",
		             one ? "it" : "them");
	else
		policy_issue(r->issues, false, &mine->where,
		             "destination \"%s\" never sees %s: %s %s first; remove it here, or "
		             "move this one before %s",
		             mine->name, spot, who, one ? "comes" : "come", one ? "it" : "them");
}

static void report_open(struct policy_reader *r, const struct forest *f, uint32_t d)
{
	const struct policy_destination *mine = &r->p->destination[d];
	const struct hidden *h = &f->hidden[d];
	const struct policy_destination *other = &r->p->destination[h->open];
	char gated[SPOT_MAX], passing[SPOT_MAX];

	spot_text(f, &h->gated, gated);
	spot_text(f, &h->passing, passing);
	policy_issue(r->issues, false, &mine->where,
	             "destination \"%s\" does not gate all of %s: \"%s\" at %.64s:%" PRIu32
	             " comes first and lets %s pass unprotected; unless that is meant, "
	             "remove it there or move this one before it",
	             mine->name, gated, other->name, other->where.file, other->where.line, passing);
}

void policy_check_hidden(struct policy_reader *r)
{
	struct forest *f = forest_of(r->p);

	if (!f) {
		r->no_memory = true;
		return;
	}
	for (uint32_t d = 0; d < r->p->destinations; d++)
		f->hidden[d].open = NOBODY;
	find_taken(f);
	find_passing(f);
	find_open(f);
	for (uint32_t d = 0; d < r->p->destinations; d++) {
		if (f->hidden[d].taken)
			report_taken(r, f, d);
		else if (f->hidden[d].open != NOBODY)
			report_open(r, f, d);
	}
	forest_free(f);
}
