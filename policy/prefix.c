/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefixes and the index of who covers them; the same for host names. A query walks the lengths
 * that occur, shortest first, and looks each up by bisection, so that it costs the same in a small
 * table and a large.
 */
#include "policy/prefix.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "policy/read.h"

static const uint8_t four_prefix[12] = {[10] = 0xff, [11] = 0xff};

bool prefix_is_four(const struct policy_prefix *x)
{
	return x->plen >= 96 && !memcmp(x->addr, four_prefix, sizeof(four_prefix));
}

void prefix_mask(struct policy_prefix *x)
{
	for (unsigned i = 0; i < 16; i++) {
		if (i * 8 >= x->plen)
			x->addr[i] = 0;
		else if (x->plen - i * 8 < 8)
			x->addr[i] &= (uint8_t)(0xff << (8 - (x->plen - i * 8)));
	}
}

bool prefix_covers(const struct policy_prefix *outer, const struct policy_prefix *inner)
{
	struct policy_prefix cut = *inner;

	if (outer->plen > inner->plen || prefix_is_four(outer) != prefix_is_four(inner))
		return false;
	cut.plen = outer->plen;
	prefix_mask(&cut);
	return !memcmp(cut.addr, outer->addr, sizeof(cut.addr));
}

int prefix_compare(const struct policy_prefix *a, const struct policy_prefix *b)
{
	if (a->plen != b->plen)
		return a->plen < b->plen ? -1 : 1;
	return memcmp(a->addr, b->addr, sizeof(a->addr));
}

struct policy_prefix prefix_of(const uint8_t addr[static 16])
{
	struct policy_prefix x = {.plen = 128};

	memcpy(x.addr, addr, sizeof(x.addr));
	return x;
}

void policy_prefix_text(const struct policy_prefix *x, char out[static 80])
{
	char addr[INET6_ADDRSTRLEN] = "?";
	bool four = prefix_is_four(x);
	unsigned plen = four ? x->plen - 96u : x->plen;

	inet_ntop(four ? AF_INET : AF_INET6, x->addr + (four ? 12 : 0), addr, sizeof(addr));
	if (x->plen == 128)
		snprintf(out, 80, "%s", addr);
	else
		snprintf(out, 80, "%s/%u", addr, plen);
}

/* --------------------------------------------------------------------- cover */

static int by_prefix(const void *a, const void *b)
{
	const struct cover_entry *x = a, *y = b;
	int c = prefix_compare(&x->x, &y->x);

	return c ? c : (x->destination > y->destination) - (x->destination < y->destination);
}

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void cover_fill(struct cover *c, const struct policy *p, const struct policy_resolved *names,
                       size_t names_n)
{
	for (uint32_t d = 0; d < p->destinations; d++)
		for (uint32_t i = 0; i < p->destination[d].prefixes; i++)
			c->v[c->n++] = (struct cover_entry){p->destination[d].prefix[i], d};
	for (size_t i = 0; i < names_n; i++)
		if (!names[i].learned && names[i].destination < p->destinations)
			c->v[c->n++] = (struct cover_entry){prefix_of(names[i].addr),
			                                    names[i].destination};
	qsort(c->v, c->n, sizeof(*c->v), by_prefix);
	for (size_t i = 0; i < c->n; i++)
		if (!c->plens || c->plen[c->plens - 1] != c->v[i].x.plen)
			c->plen[c->plens++] = c->v[i].x.plen;
}

int cover_init(struct cover *c, const struct policy *p, const struct policy_resolved *names,
               size_t names_n)
{
	size_t n = names_n;

	memset(c, 0, sizeof(*c));
	for (uint32_t d = 0; d < p->destinations; d++)
		n += p->destination[d].prefixes;
	/* One more each, so that none is an allocation of nothing. */
	c->v = calloc(n + 1, sizeof(*c->v));
	c->hit = calloc((size_t)p->destinations + 1, sizeof(*c->hit));
	c->mark = calloc((size_t)p->destinations + 1, 1);
	if (!c->v || !c->hit || !c->mark) {
		cover_free(c);
		return -ENOMEM;
	}
	cover_fill(c, p, names, names_n);
	return 0;
}

void cover_free(struct cover *c)
{
	free(c->v);
	free(c->hit);
	free(c->mark);
	memset(c, 0, sizeof(*c));
}

/* The first entry that is not before key. */
static size_t cover_lower(const struct cover *c, const struct policy_prefix *key)
{
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (prefix_compare(&c->v[mid].x, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void cover_each(const struct cover *c, const struct policy_prefix *x, cover_fn fn, void *ctx)
{
	bool four = prefix_is_four(x);

	for (uint32_t i = 0; i < c->plens && c->plen[i] <= x->plen; i++) {
		struct policy_prefix key = *x;

		if (four && c->plen[i] < 96)
			continue;
		key.plen = c->plen[i];
		prefix_mask(&key);
		for (size_t at = cover_lower(c, &key);
		     at < c->n && !prefix_compare(&c->v[at].x, &key); at++)
			fn(ctx, c->v[at].destination);
	}
}

static void note_hit(void *ctx, uint32_t d)
{
	struct cover *c = ctx;

	if (!c->mark[d])
		c->hit[c->hits++] = d;
	c->mark[d] = 1;
}

void cover_find(struct cover *c, const struct policy_prefix *x)
{
	c->hits = 0;
	cover_each(c, x, note_hit, c);
	for (uint32_t i = 0; i < c->hits; i++)
		c->mark[c->hit[i]] = 0;
	qsort(c->hit, c->hits, sizeof(*c->hit), by_number);
}

/* --------------------------------------------------------------------- hosts */

static int by_host(const void *a, const void *b)
{
	const struct host_entry *x = a, *y = b;
	int c = strcasecmp(x->host, y->host);

	return c ? c : (x->destination > y->destination) - (x->destination < y->destination);
}

int hosts_of(const struct policy *p, struct hosts *out)
{
	size_t most = 0;

	for (uint32_t d = 0; d < p->destinations; d++)
		most += p->destination[d].hosts;
	*out = (struct hosts){.v = calloc(most + 1, sizeof(*out->v))};
	if (!out->v)
		return -ENOMEM;
	for (uint32_t d = 0; d < p->destinations; d++)
		for (uint32_t i = 0; i < p->destination[d].hosts; i++)
			out->v[out->n++] = (struct host_entry){p->destination[d].host[i], d};
	qsort(out->v, out->n, sizeof(*out->v), by_host);
	return 0;
}

size_t hosts_find(const struct hosts *h, const char *host)
{
	size_t lo = 0, hi = h->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcasecmp(h->v[mid].host, host) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < h->n && !strcasecmp(h->v[lo].host, host) ? lo : h->n;
}

void port_ranges_of(const struct policy_destination *d, struct port_ranges *out)
{
	out->n = d->ports;
	memcpy(out->v, d->port, sizeof(out->v));
	if (!d->ports) {
		out->v[0] = (struct policy_port){0, UINT16_MAX};
		out->n = 1;
	}
}
