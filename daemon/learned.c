/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses that applications were told. A sorted array: it is asked for each connection that comes
 * in, and changes rarely.
 */
#include "daemon/learned.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "daemon/names.h"

void learned_free(struct learned *l)
{
	free(l->v);
	memset(l, 0, sizeof(*l));
}

static int compare(const struct learned_address *a, const uint8_t addr[static 16], const char *host)
{
	int c = memcmp(a->addr, addr, sizeof(a->addr));

	return c ? c : strcasecmp(a->host, host);
}

/* The first that is not before. */
static uint32_t place_of(const struct learned *l, const uint8_t addr[static 16], const char *host)
{
	uint32_t lo = 0, hi = l->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (compare(&l->v[mid], addr, host) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t learned_first(const struct learned *l, const uint8_t addr[static 16])
{
	return place_of(l, addr, "");
}

bool learned_has(const struct learned *l, const uint8_t addr[static 16], const char *host)
{
	uint32_t at = place_of(l, addr, host);

	return at < l->n && !compare(&l->v[at], addr, host);
}

static int make_room(struct learned *l)
{
	uint32_t room = l->room ? 2 * l->room : 64;
	struct learned_address *v;

	if (l->n < l->room)
		return 0;
	if (l->n >= LEARNED_ROOM)
		return -ENOSPC;
	v = reallocarray(l->v, room, sizeof(*v));
	if (!v)
		return -ENOMEM;
	l->v = v;
	l->room = room;
	return 0;
}

int learned_note(struct learned *l, const struct learned_address *a)
{
	uint32_t at = place_of(l, a->addr, a->host);
	int ret;

	if (at < l->n && !compare(&l->v[at], a->addr, a->host)) {
		if (l->v[at].seen < a->seen)
			l->v[at].seen = a->seen;
		return 0;
	}
	ret = make_room(l);
	if (ret)
		return ret;
	memmove(&l->v[at + 1], &l->v[at], (l->n++ - at) * sizeof(*l->v));
	l->v[at] = *a;
	return 1;
}

void learned_drop(struct learned *l, uint32_t at)
{
	l->n--;
	memmove(&l->v[at], &l->v[at + 1], (l->n - at) * sizeof(*l->v));
}

/* ------------------------------------------------------------------- too many */

/* Users are told apart well enough by these bits: who shares them shares a place. */
enum { USERS = 1024 };

static bool is_of(const struct learned_address *a, const char *host)
{
	return !host || !strcasecmp(a->host, host);
}

static uint32_t count(const struct learned *l, const char *host, uint32_t by[static USERS])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		if (!is_of(&l->v[i], host))
			continue;
		by[l->v[i].uid % USERS]++;
		n++;
	}
	return n;
}

int64_t learned_victim(const struct learned *l, const char *host, int64_t now)
{
	uint32_t by[USERS] = {0}, most = 0;
	int64_t oldest = -1;

	if (count(l, host, by) <= (host ? LEARNED_NAME_MAX : LEARNED_MAX))
		return -1;
	for (uint32_t i = 0; i < USERS; i++)
		most = by[i] > by[most] ? i : most;
	for (uint32_t i = 0; i < l->n; i++) {
		const struct learned_address *a = &l->v[i];

		if (is_of(a, host) && a->uid % USERS == most && a->seen < now - LEARNED_YOUNG_S &&
		    (oldest < 0 || a->seen < l->v[oldest].seen))
			oldest = i;
	}
	return oldest;
}

/* ----------------------------------------------------------------------- file */

json_t *learned_to_json(const struct learned *l)
{
	json_t *o = json_object();

	for (uint32_t i = 0; o && i < l->n; i++) {
		const struct learned_address *a = &l->v[i];
		json_t *host = json_object_get(o, a->host);
		char text[64];

		names_address_text(a->addr, text);
		if (!host && !json_object_set_new(o, a->host, json_object()))
			host = json_object_get(o, a->host);
		if (!host || json_object_set_new(host, text,
		                                 json_pack("[I, I]", (json_int_t)a->seen,
		                                           (json_int_t)a->uid))) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

static int host_from_json(const char *host, json_t *o, struct learned *l)
{
	struct learned_address a = {.uid = 0};
	const char *text;
	json_t *v;
	int ret;

	if (strlen(host) >= sizeof(a.host) || !json_is_object(o))
		return -EBADMSG;
	snprintf(a.host, sizeof(a.host), "%s", host);
	json_object_foreach(o, text, v)
	{
		json_t *seen = json_array_get(v, 0), *uid = json_array_get(v, 1);

		if (!json_is_integer(seen) || !json_is_integer(uid) ||
		    !names_address_parse(text, a.addr))
			return -EBADMSG;
		a.seen = json_integer_value(seen);
		a.uid = (uint32_t)json_integer_value(uid);
		ret = learned_note(l, &a);
		if (ret < 0)
			return ret == -ENOSPC ? -EBADMSG : ret;
	}
	return 0;
}

int learned_from_json(json_t *o, struct learned *l)
{
	const char *host;
	json_t *v;
	int ret = json_is_object(o) ? 0 : -EBADMSG;

	json_object_foreach(o, host, v)
	{
		if (!ret)
			ret = host_from_json(host, v, l);
	}
	return ret;
}
