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

int policy_next(const struct policy *p, const struct policy_resolved *names, size_t names_n,
                const uint8_t addr[static 16], uint16_t port, const struct policy_who *who,
                int after, enum policy_fit *fit)
{
	struct first first = {
	        .p = p, .who = who, .port = port, .after = after, .d = p->destinations};
	struct policy_prefix x = prefix_of(addr);

	if (p->index)
		cover_each(p->index, &x, keep_first, &first);
	for (uint32_t d = 0; !p->index && d < first.d; d++)
		if (match_addr(&p->destination[d], &x))
			keep_first(&first, d);
	for (size_t i = 0; i < names_n; i++)
		if (!memcmp(names[i].addr, addr, 16))
			keep_first(&first, names[i].destination);
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
