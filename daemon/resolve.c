/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, by glibc's two ways. getaddrinfo asks whatever nsswitch.conf names, as applications do,
 * and does not say for how long an answer is good; the stub resolver asks name servers alone, and
 * says it. Addresses are taken of the first only: what /etc/hosts says of a name, no name server
 * is to add to.
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

static bool is_address(const ns_rr *rr)
{
	return (ns_rr_type(*rr) == ns_t_a && ns_rr_rdlen(*rr) == 4) ||
	       (ns_rr_type(*rr) == ns_t_aaaa && ns_rr_rdlen(*rr) == 16);
}

static int32_t shorter(int32_t a, int32_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

int32_t resolve_ttl(const uint8_t *answer, size_t n)
{
	bool address = false;
	int32_t ttl = -1;
	ns_msg msg;
	ns_rr rr;

	if (n > ANSWER_MAX || ns_initparse(answer, (int)n, &msg))
		return -1;
	for (int i = 0; i < ns_msg_count(msg, ns_s_an); i++) {
		if (ns_parserr(&msg, ns_s_an, i, &rr))
			return -1;
		if (ns_rr_class(rr) != ns_c_in)
			continue;
		/* Negative ones count as zero: RFC 2181, section 8. */
		ttl = shorter(ttl, ns_rr_ttl(rr) > INT32_MAX ? 0 : (int32_t)ns_rr_ttl(rr));
		address |= is_address(&rr);
	}
	return address ? ttl : -1;
}

static int32_t ask_servers(const char *host, ns_type type)
{
	struct __res_state state = {.retrans = 0};
	uint8_t answer[ANSWER_MAX];
	int n;

	if (res_ninit(&state))
		return -1;
	state.retrans = TTL_WAIT_S;
	state.retry = TTL_TRIES;
	n = res_nsearch(&state, host, ns_c_in, type, answer, sizeof(answer));
	res_nclose(&state);
	return n > 0 && (size_t)n <= sizeof(answer) ? resolve_ttl(answer, (size_t)n) : -1;
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
		out->ttl = ask_servers(host, ns_t_a);
	if (v6)
		out->ttl = shorter(out->ttl, ask_servers(host, ns_t_aaaa));
}
