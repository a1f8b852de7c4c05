/* SPDX-License-Identifier: Apache-2.0 */
/* The places of connections. Clients are counted only when few places are left. */
#include "attester/places.h"

#include <netinet/in.h>
#include <string.h>

static void client_of(const struct sockaddr_storage *from, uint8_t out[static 16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	memset(out, 0, 16);
	if (from->ss_family == AF_INET) {
		memcpy(&in, from, sizeof(in));
		memcpy(out, mapped, sizeof(mapped));
		memcpy(out + sizeof(mapped), &in.sin_addr, sizeof(in.sin_addr));
	} else {
		memcpy(&in6, from, sizeof(in6));
		memcpy(out, &in6.sin6_addr,
		       memcmp(&in6.sin6_addr, mapped, sizeof(mapped)) ? 8 : 16);
	}
}

static unsigned count(const struct places *p, const uint8_t client[static 16])
{
	unsigned n = 0;

	for (const struct place *i = p->first; i; i = i->next)
		n += !memcmp(i->client, client, sizeof(i->client));
	return n;
}

enum places_answer places_take(struct places *p, unsigned max, const struct sockaddr_storage *from,
                               struct place *out)
{
	enum places_answer answer = PLACES_TAKEN;

	client_of(from, out->client);
	pthread_mutex_lock(&p->lock);
	if (p->n >= max)
		answer = PLACES_FULL;
	else if (p->n >= max - max / 8 && count(p, out->client) >= max / 2)
		answer = PLACES_HALF_TAKEN;
	if (answer == PLACES_TAKEN) {
		out->next = p->first;
		out->at = &p->first;
		if (out->next)
			out->next->at = &out->next;
		p->first = out;
		p->n++;
	}
	pthread_mutex_unlock(&p->lock);
	return answer;
}

void places_leave(struct places *p, struct place *place)
{
	pthread_mutex_lock(&p->lock);
	*place->at = place->next;
	if (place->next)
		place->next->at = place->at;
	p->n--;
	pthread_mutex_unlock(&p->lock);
}
