/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of leases and the rules of who gets, uses, or waits for one.
 */
#include "daemon/lease.h"

#include <stdlib.h>
#include <string.h>

/* The last part of a lease's time, in which it is renewed. */
enum { RENEW_IN_THE_LAST = 5 };

bool lease_same(const struct lease_key *a, const struct lease_key *b)
{
	return a->netns == b->netns && a->dst_port == b->dst_port &&
	       !memcmp(a->dst, b->dst, sizeof(a->dst)) &&
	       !memcmp(a->digest, b->digest, sizeof(a->digest)) &&
	       !strncmp(a->name, b->name, sizeof(a->name));
}

static bool has_lease(const struct lease *l)
{
	return l->held.key.serial != 0;
}

struct lease *lease_of(struct lease_table *t, const struct lease_key *key)
{
	for (uint32_t i = 0; i < LEASES_MAX; i++) {
		if (t->place[i].taken && lease_same(&t->place[i].key, key))
			return &t->place[i];
	}
	return NULL;
}

static bool is_free(const struct lease *l, uint64_t now_ns)
{
	return !l->taken || (!has_lease(l) && !l->leader && now_ns >= l->quiet_until_ns);
}

struct lease *lease_place(struct lease_table *t, const struct lease_key *key, uint64_t now_ns)
{
	struct lease *l = lease_of(t, key);

	if (l)
		return l;
	for (uint32_t i = 0; i < LEASES_MAX; i++) {
		if (!is_free(&t->place[i], now_ns))
			continue;
		t->place[i] = (struct lease){.taken = true, .key = *key};
		return &t->place[i];
	}
	return NULL;
}

bool lease_good(const struct lease *l, int64_t now)
{
	return has_lease(l) && now < l->held.key.until && verdict_passed(l->held.verdict, now);
}

enum lease_way lease_way(const struct lease *l, int64_t now, uint64_t now_ns)
{
	bool quiet;

	if (!l)
		return LEASE_ALONE;
	quiet = now_ns < l->quiet_until_ns;
	if (lease_good(l, now))
		return now >= l->held.renew_at && !l->leader && !quiet ? LEASE_LEAD : LEASE_USE;
	if (l->leader)
		return LEASE_WAIT;
	return quiet ? LEASE_ALONE : LEASE_LEAD;
}

void lease_lead(struct lease *l, uint64_t session)
{
	l->leader = session;
}

bool lease_led(struct lease *l, uint64_t session)
{
	if (!session || l->leader != session)
		return false;
	l->leader = 0;
	return true;
}

void lease_quiet(struct lease *l, uint64_t now_ns)
{
	l->quiet_until_ns = now_ns + (uint64_t)LEASE_QUIET_MS * 1000000u;
}

void lease_drop(struct lease *l, struct lease_held *out)
{
	*out = l->held;
	free(out->verdict);
	shown_drop(out->shown);
	out->verdict = NULL;
	out->shown = NULL;
	memset(&l->held, 0, sizeof(l->held));
}

void lease_put(struct lease *l, const struct lease_held *held, int64_t now, struct lease_held *old)
{
	int64_t left = held->key.until - now;

	lease_drop(l, old);
	l->held = *held;
	l->held.made_at = now;
	l->held.renew_at = held->key.until - left / RENEW_IN_THE_LAST;
	l->quiet_until_ns = 0;
}

struct lease *lease_next(struct lease_table *t, const struct lease *after)
{
	struct lease *l = after ? t->place + (after - t->place) + 1 : t->place;

	while (l < t->place + LEASES_MAX && !has_lease(l))
		l++;
	return l < t->place + LEASES_MAX ? l : NULL;
}

void lease_free_all(struct lease_table *t)
{
	for (uint32_t i = 0; i < LEASES_MAX; i++) {
		free(t->place[i].held.verdict);
		shown_drop(t->place[i].held.shown);
	}
	memset(t, 0, sizeof(*t));
}
