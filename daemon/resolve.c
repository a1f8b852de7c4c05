/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, by glibc's two ways. getaddrinfo asks whatever nsswitch.conf names, as applications do,
 * and does not say for how long an answer is good; the stub resolver asks name servers alone, and
 * says it. What both say is taken: where a name server gives some addresses of many, in turn, they
 * may differ.
 */
#include "daemon/resolve.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdbool.h>
#include <string.h>

enum {
	ANSWER_MAX = 16384, /* what is longer tells no time */
	/* Where getaddrinfo knows a name by other means, name servers may be out of reach. */
	TTL_WAIT_S = 1,
	TTL_TRIES = 1,
};

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool have(const struct msg_resolved *r, const uint8_t addr[static 16])
{
	for (uint32_t i = 0; i < r->n; i++) {
		if (!memcmp(r->addr[i], addr, sizeof(r->addr[i])))
			return true;
	}
	return false;
}

static void add(struct msg_resolved *r, const uint8_t addr[static 16])
{
	if (have(r, addr))
		return;
	if (r->n < sizeof(r->addr) / sizeof(r->addr[0]))
		memcpy(r->addr[r->n++], addr, sizeof(r->addr[0]));
	else
		r->more++;
}

static bool address_of(int family, const void *p, uint8_t out[static 16])
{
	if (family == AF_INET) {
		memcpy(out, mapped, sizeof(mapped));
		memcpy(out + sizeof(mapped), p, 4);
		return true;
	}
	if (family == AF_INET6)
		memcpy(out, p, 16);
	return family == AF_INET6;
}

static const void *place_of(const struct addrinfo *a)
{
	const void *sa = a->ai_addr;

	return a->ai_family == AF_INET6
	               ? (const void *)&((const struct sockaddr_in6 *)sa)->sin6_addr
	               : &((const struct sockaddr_in *)sa)->sin_addr;
}

/* ------------------------------------------------------------------ name servers */

struct told {
	int32_t ttl; /* -1: none yet */
	uint32_t n;
	uint8_t addr[64][16];
};

static void take_record(const ns_rr *rr, struct told *t)
{
	uint32_t ttl = ns_rr_ttl(*rr);
	int family = ns_rr_type(*rr) == ns_t_a && ns_rr_rdlen(*rr) == 4       ? AF_INET
	             : ns_rr_type(*rr) == ns_t_aaaa && ns_rr_rdlen(*rr) == 16 ? AF_INET6
	                                                                      : AF_UNSPEC;

	/* Negative ones count as zero: RFC 2181, section 8. */
	if (ttl > INT32_MAX)
		ttl = 0;
	if (t->ttl < 0 || ttl < (uint32_t)t->ttl)
		t->ttl = (int32_t)ttl;
	if (t->n < sizeof(t->addr) / sizeof(t->addr[0]) &&
	    address_of(family, ns_rr_rdata(*rr), t->addr[t->n]))
		t->n++;
}

void resolve_take(const uint8_t *answer, size_t n, struct msg_resolved *out)
{
	struct told t = {.ttl = -1};
	ns_msg msg;
	ns_rr rr;

	if (n > ANSWER_MAX || ns_initparse(answer, (int)n, &msg))
		return;
	for (int i = 0; i < ns_msg_count(msg, ns_s_an); i++) {
		if (ns_parserr(&msg, ns_s_an, i, &rr))
			return;
		if (ns_rr_class(rr) == ns_c_in)
			take_record(&rr, &t);
	}
	if (!t.n)
		return;
	if (out->ttl < 0 || t.ttl < out->ttl)
		out->ttl = t.ttl;
	for (uint32_t i = 0; i < t.n; i++)
		add(out, t.addr[i]);
}

static void ask_servers(const char *host, ns_type type, struct msg_resolved *out)
{
	struct __res_state state = {.retrans = 0};
	uint8_t answer[ANSWER_MAX];
	int n;

	if (res_ninit(&state))
		return;
	state.retrans = TTL_WAIT_S;
	state.retry = TTL_TRIES;
	n = res_nsearch(&state, host, ns_c_in, type, answer, sizeof(answer));
	if (n > 0 && (size_t)n <= sizeof(answer))
		resolve_take(answer, (size_t)n, out);
	res_nclose(&state);
}

void resolve_name(const char *host, struct msg_resolved *out)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	bool v4 = false, v6 = false;

	*out = (struct msg_resolved){.ttl = -1};
	out->err = getaddrinfo(host, NULL, &hints, &list);
	for (const struct addrinfo *a = out->err ? NULL : list; a; a = a->ai_next) {
		uint8_t addr[16];

		if (!address_of(a->ai_family, place_of(a), addr))
			continue;
		add(out, addr);
		v4 |= a->ai_family == AF_INET;
		v6 |= a->ai_family == AF_INET6;
	}
	if (list)
		freeaddrinfo(list);
	if (v4)
		ask_servers(host, ns_t_a, out);
	if (v6)
		ask_servers(host, ns_t_aaaa, out);
}
