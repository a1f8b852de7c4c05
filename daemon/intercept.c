// SPDX-License-Identifier: Apache-2.0
/*
 * What keygated tells the kernel half and hears from it, each a map operation: the policy table,
 * marks of own sockets, intents, sessions and their keys, events, counters. Knows the layout of
 * bpf/gate.h; loading and pinning are intercept_pin.c's.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "daemon/intercept_priv.h"

static const uint32_t zero;

static int config_get(struct intercept *i, struct gate_config *cfg)
{
	return bpf_map_lookup_elem(i->map.config, &zero, cfg);
}

static int config_set(struct intercept *i, const struct gate_config *cfg)
{
	return bpf_map_update_elem(i->map.config, &zero, cfg, BPF_ANY);
}

/* ---------------------------------------------------------------------- policy */

static enum gate_action action_of(enum policy_action action)
{
	switch (action) {
	case POLICY_DENY:
		return GATE_DENY;
	case POLICY_GATE:
		return GATE_GATE;
	case POLICY_ALLOW:
		return GATE_ALLOW;
	}
	return GATE_DENY;
}

static int rules_of(const struct policy_lpm *lpm, uint32_t generation, struct gate_rules *out)
{
	*out = (struct gate_rules){.n = lpm->ports, .generation = generation};
	if (lpm->prefix.plen > 128)
		return -EINVAL;
	if (lpm->ports > GATE_RULES_MAX || lpm->ports > POLICY_PORTS_MAX)
		return -E2BIG;
	for (uint32_t k = 0; k < lpm->ports; k++) {
		const struct policy_lpm_port *p = &lpm->port[k];

		if (p->lo > p->hi)
			return -EINVAL;
		out->port[k] = (struct gate_port){
		        .lo = p->lo,
		        .hi = p->hi,
		        .action = (uint8_t)action_of(p->action),
		        .err = p->err,
		        .rule = p->destination,
		};
	}
	return 0;
}

static int fill_table(int fd, const struct policy_lpm *lpm, size_t n, uint32_t generation)
{
	struct gate_lpm_key key;
	struct gate_rules rules;
	int r;

	for (size_t k = 0; k < n; k++) {
		r = rules_of(&lpm[k], generation, &rules);
		if (r)
			return r;
		key.prefixlen = lpm[k].prefix.plen;
		memcpy(key.addr, lpm[k].prefix.addr, sizeof(key.addr));
		r = bpf_map_update_elem(fd, &key, &rules, BPF_ANY);
		if (r)
			return r;
	}
	return 0;
}

int intercept_policy(struct intercept *i, const struct policy_lpm *lpm, size_t n,
                     uint32_t generation, uint16_t port4, uint16_t port6)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	struct gate_config cfg;
	int table, r;

	if (n > UINT32_MAX - 1)
		return -E2BIG;
	r = config_get(i, &cfg);
	if (r)
		return r;
	table = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "kg_table", sizeof(struct gate_lpm_key),
	                       sizeof(struct gate_rules), n ? (uint32_t)n : 1, &opts);
	if (table < 0)
		return table;
	r = fill_table(table, lpm, n, generation);
	if (!r)
		r = bpf_map_update_elem(i->map.policy, &zero, &table, BPF_ANY);
	close(table); /* the slot holds it */
	if (r)
		return r;
	cfg.generation = generation;
	cfg.port4 = port4;
	cfg.port6 = port6;
	return config_set(i, &cfg);
}

int intercept_arm(struct intercept *i, bool armed)
{
	struct gate_config cfg;
	uint32_t table;
	int r;

	if (armed && bpf_map_lookup_elem(i->map.policy, &zero, &table))
		return -ENODATA;
	r = config_get(i, &cfg);
	if (r)
		return r;
	cfg.armed = armed;
	return config_set(i, &cfg);
}

bool intercept_armed(struct intercept *i)
{
	struct gate_config cfg;

	return config_get(i, &cfg) == 0 && cfg.armed;
}

/* --------------------------------------------------------------- own and others' */

int intercept_mark(struct intercept *i, int fd, enum gate_own_kind kind, uint64_t session,
                   const uint8_t *dst, uint16_t port)
{
	struct gate_own own = {.kind = kind, .dst_port = port, .session = session};
	int r;

	if (kind == GATE_OWN_UPSTREAM && !dst)
		return -EINVAL;
	if (dst)
		memcpy(own.dst, dst, sizeof(own.dst));
	if (kind != GATE_OWN_NONE)
		return bpf_map_update_elem(i->map.own, &fd, &own, BPF_ANY);
	r = bpf_map_delete_elem(i->map.own, &fd);
	return r == -ENOENT ? 0 : r;
}

static int conn_key(uint64_t netns, const struct sockaddr_storage *peer, struct gate_conn_key *key)
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	*key = (struct gate_conn_key){.netns = netns};
	switch (peer->ss_family) {
	case AF_INET:
		memcpy(&v4, peer, sizeof(v4));
		key->src[10] = key->src[11] = 0xff;
		memcpy(key->src + 12, &v4.sin_addr, 4);
		key->src_port = ntohs(v4.sin_port);
		return 0;
	case AF_INET6:
		memcpy(&v6, peer, sizeof(v6));
		memcpy(key->src, &v6.sin6_addr, 16);
		key->src_port = ntohs(v6.sin6_port);
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

int intercept_take(struct intercept *i, uint64_t netns, const struct sockaddr_storage *peer,
                   struct gate_intent *out)
{
	struct gate_intent found;
	struct gate_conn_key key;
	int r = conn_key(netns, peer, &key);

	if (!r)
		r = bpf_map_lookup_and_delete_elem(i->map.conn, &key, &found);
	if (!r)
		*out = found;
	return r;
}

static uint64_t boot_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_BOOTTIME, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int intercept_sweep(struct intercept *i, uint64_t max_age_ns)
{
	struct gate_conn_key key, next;
	struct gate_intent in;
	uint64_t now = boot_ns();
	int swept = 0, r;

	r = bpf_map_get_next_key(i->map.conn, NULL, &next);
	/* Keys that come and go can start the walk anew; twice the map's size is enough. */
	for (uint32_t steps = 0; !r && steps < 2 * GATE_CONNS_MAX; steps++) {
		key = next;
		r = bpf_map_get_next_key(i->map.conn, &key, &next);
		if (bpf_map_lookup_elem(i->map.conn, &key, &in))
			continue;
		if (now > in.at_ns && now - in.at_ns > max_age_ns &&
		    !bpf_map_delete_elem(i->map.conn, &key))
			swept++;
	}
	return r == 0 || r == -ENOENT ? swept : r;
}

/* -------------------------------------------------------------------- sessions */

int intercept_session(struct intercept *i, uint64_t session, enum gate_session_state state,
                      uint64_t deadline_boot_ns)
{
	struct gate_session s = {.state = state, .deadline_ns = deadline_boot_ns}, old;

	if (!session)
		return -EINVAL;
	if (state != GATE_SESSION_CUT && !bpf_map_lookup_elem(i->map.sessions, &session, &old) &&
	    old.state == GATE_SESSION_CUT)
		return -ECANCELED;
	return bpf_map_update_elem(i->map.sessions, &session, &s, BPF_ANY);
}

int intercept_session_key(struct intercept *i, uint64_t session, int32_t serial)
{
	return bpf_map_update_elem(i->map.keys, &serial, &session, BPF_ANY);
}

void intercept_session_end(struct intercept *i, uint64_t session, int32_t serial)
{
	if (serial)
		(void)bpf_map_delete_elem(i->map.keys, &serial);
	(void)bpf_map_delete_elem(i->map.sessions, &session);
}

/* ------------------------------------------------------------ events and counters */

int intercept_on_event(void *ctx, void *data, size_t n)
{
	struct intercept *i = ctx;
	struct gate_event e;

	if (n < sizeof(e))
		return 0;
	memcpy(&e, data, sizeof(e));
	i->event_fn(i->event_ctx, &e);
	return 0;
}

int intercept_event_fd(struct intercept *i)
{
	return ring_buffer__epoll_fd(i->ring);
}

int intercept_events(struct intercept *i, intercept_event_fn fn, void *ctx)
{
	i->event_fn = fn;
	i->event_ctx = ctx;
	return ring_buffer__consume(i->ring);
}

int intercept_stats(struct intercept *i, uint64_t out[static GATE_STAT_MAX])
{
	int cpus = libbpf_num_possible_cpus(), r = 0;
	uint64_t *each, sum[GATE_STAT_MAX] = {0};

	if (cpus < 0)
		return cpus;
	each = calloc((size_t)cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	for (uint32_t k = 0; k < GATE_STAT_MAX && !r; k++) {
		r = bpf_map_lookup_elem(i->map.stats, &k, each);
		for (int c = 0; c < cpus && !r; c++)
			sum[k] += each[c];
	}
	free(each);
	if (!r)
		memcpy(out, sum, sizeof(sum));
	return r;
}
