/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which destination an application, address and port belong to, decided in the order of the files:
 * the plain reading of the policy that the compiled table has to agree with.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "policy/policy.h"
#include "policy/prefix.h"

static bool match_port(const struct policy_destination *d, uint16_t port)
{
	for (uint32_t i = 0; i < d->ports; i++)
		if (port >= d->port[i].lo && port <= d->port[i].hi)
			return true;
	return !d->ports;
}

static bool match_addr(const struct policy_destination *d, const struct policy_prefix *addr)
{
	for (uint32_t i = 0; i < d->prefixes; i++)
		if (prefix_covers(&d->prefix[i], addr))
			return true;
	return false;
}

struct first {
	const struct policy *p;
	const struct policy_who *who;
	uint16_t port;
	int64_t after;
	uint32_t d; /* p->destinations: none yet */
	enum policy_fit fit;
};

static void keep_first(void *ctx, uint32_t d)
{
	struct first *f = ctx;
	enum policy_fit fit;

	if (d <= f->after || d >= f->d || !match_port(&f->p->destination[d], f->port))
		return;
	fit = policy_fits(f->p, &f->p->destination[d], f->who);
	if (fit == FIT_NO)
		return;
	f->d = d;
	f->fit = fit;
}

int policy_index(struct policy *p)
{
	p->index = calloc(1, sizeof(*p->index));
	return p->index ? cover_init(p->index, p, NULL, 0) : -ENOMEM;
}

void policy_index_free(struct policy *p)
{
	if (p->index)
		cover_free(p->index);
	free(p->index);
	p->index = NULL;
}

/* Of what is sure: prefixes, and what was resolved. */
static void first_sure(struct first *f, const struct policy_resolved *names, size_t names_n,
                       const struct policy_prefix *x)
{
	if (f->p->index)
		cover_each(f->p->index, x, keep_first, f);
	for (uint32_t d = 0; !f->p->index && d < f->d; d++)
		if (match_addr(&f->p->destination[d], x))
			keep_first(f, d);
	for (size_t i = 0; i < names_n; i++)
		if (!names[i].learned && !memcmp(names[i].addr, x->addr, 16))
			keep_first(f, names[i].destination);
}

/* Of what is learned; those that let pass only say that what comes behind them is not meant. */
static void first_learned(struct first *f, const struct policy_resolved *names, size_t names_n,
                          const struct policy_prefix *x)
{
	for (size_t i = 0; i < names_n; i++)
		if (names[i].learned && !memcmp(names[i].addr, x->addr, 16))
			keep_first(f, names[i].destination);
}

/* May this learned one decide before what is sure does? */
static bool closes(const struct first *f, uint32_t learned, const struct policy_resolved *names,
                   size_t names_n, const struct policy_prefix *x)
{
	const struct policy *p = f->p;
	struct first sure = *f;

	sure.after = -1;
	do {
		sure.d = p->destinations;
		first_sure(&sure, names, names_n, x);
		sure.after = sure.d;
	} while (sure.d < p->destinations && sure.fit == FIT_MAYBE &&
	         policy_passes(p->destination[sure.d].action));
	if (sure.d == p->destinations)
		return policy_passes(policy_default(p, x->addr));
	if (learned > sure.d)
		return false;
	return policy_passes(p->destination[sure.d].action) ||
	       (p->destination[sure.d].action == POLICY_GATE &&
	        p->destination[learned].action == POLICY_DENY);
}

/* The next learned one that closes something; p->destinations: none. */
static struct first next_learned(struct first f, const struct policy_resolved *names,
                                 size_t names_n, const struct policy_prefix *x)
{
	const struct policy *p = f.p;
	int64_t after = f.after;

	f.after = -1;
	for (;;) {
		bool passes;

		f.d = p->destinations;
		first_learned(&f, names, names_n, x);
		if (f.d == p->destinations)
			return f;
		passes = policy_passes(p->destination[f.d].action);
		if (f.d > after && !passes && closes(&f, f.d, names, names_n, x))
			return f;
		f.after = f.d;
		if (passes && f.fit == FIT_YES)
			f.after = p->destinations;
	}
}

int policy_next(const struct policy *p, const struct policy_resolved *names, size_t names_n,
                const uint8_t addr[static 16], uint16_t port, const struct policy_who *who,
                int after, enum policy_fit *fit)
{
	struct first first = {
	        .p = p, .who = who, .port = port, .after = after, .d = p->destinations};
	struct policy_prefix x = prefix_of(addr);
	struct first learned = next_learned(first, names, names_n, &x);

	first_sure(&first, names, names_n, &x);
	if (learned.d < first.d)
		first = learned;
	*fit = first.fit;
	return first.d < p->destinations ? (int)first.d : -1;
}

int policy_match(const struct policy *p, const struct policy_resolved *names, size_t names_n,
                 const uint8_t addr[static 16], uint16_t port, const struct policy_who *who)
{
	enum policy_fit fit = FIT_NO;
	int at = -1;

	do
		at = policy_next(p, names, names_n, addr, port, who, at, &fit);
	while (at >= 0 && fit == FIT_MAYBE && policy_passes(p->destination[at].action));
	return at;
}

enum policy_action policy_default(const struct policy *p, const uint8_t addr[static 16])
{
	static const uint8_t one[16] = {[15] = 1};
	static const uint8_t four[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};

	if (!memcmp(addr, one, sizeof(one)) || !memcmp(addr, four, sizeof(four)))
		return POLICY_ALLOW;
	return p->default_action;
}
