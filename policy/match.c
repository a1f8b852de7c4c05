/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which destination an address and port belong to, decided in the order of the files: the plain
 * reading of the policy that the compiled table has to agree with.
 */
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

static bool match_name(uint32_t destination, const struct policy_resolved *names, size_t names_n,
                       const uint8_t addr[static 16])
{
	for (size_t i = 0; i < names_n; i++)
		if (names[i].destination == destination && !memcmp(names[i].addr, addr, 16))
			return true;
	return false;
}

int policy_match(const struct policy *p, const struct policy_resolved *names, size_t names_n,
                 const uint8_t addr[static 16], uint16_t port)
{
	struct policy_prefix x = prefix_of(addr);

	for (uint32_t d = 0; d < p->destinations; d++)
		if (match_port(&p->destination[d], port) &&
		    (match_addr(&p->destination[d], &x) || match_name(d, names, names_n, addr)))
			return (int)d;
	return -1;
}

enum policy_action policy_default(const struct policy *p, const uint8_t addr[static 16])
{
	static const uint8_t one[16] = {[15] = 1};
	static const uint8_t four[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};

	if (!memcmp(addr, one, sizeof(one)) || !memcmp(addr, four, sizeof(four)))
		return POLICY_ALLOW;
	return p->default_action;
}
