// SPDX-License-Identifier: Apache-2.0
/*
 * What keygated tells the kernel half and hears from it, each a map operation: the policy table,
 * marks of own sockets, intents, sessions and their keys, events, counters. Knows the layout of
 * bpf/gate.h; loading and pinning are intercept_pin.c's.
 */
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "daemon/intercept_priv.h"

enum { NAME_LABEL_MAX = 63, NAME_WIRE_MAX = 255 };

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
	case POLICY_MONITOR:
		return GATE_MONITOR;
	}
	return GATE_DENY;
}

static enum gate_kernel kernel_of(const struct intercept *i, enum policy_kernel_tls k)
{
	switch (i->kernel_tls ? k : KERNEL_TLS_NONE) {
	case KERNEL_TLS_NONE:
		return GATE_KERNEL_STEERED;
	case KERNEL_TLS_NFS:
		return GATE_KERNEL_RPC;
	case KERNEL_TLS_NVME:
		return GATE_KERNEL_TLS;
	}
	return GATE_KERNEL_STEERED;
}

void intercept_kernel_tls(struct intercept *i, bool on)
{
	i->kernel_tls = on;
}

static int rules_of(const struct intercept *i, const struct policy_lpm_port *port, uint32_t ports,
                    uint32_t generation, struct gate_rules *out)
{
	*out = (struct gate_rules){.n = ports, .generation = generation};
	if (ports > GATE_RULES_MAX || ports > POLICY_PORTS_MAX)
		return -E2BIG;
	for (uint32_t k = 0; k < ports; k++) {
		const struct policy_lpm_port *p = &port[k];

		if (p->lo > p->hi || p->app > GATE_APPS_MAX)
			return -EINVAL;
		out->port[k] = (struct gate_port){
		        .lo = p->lo,
		        .hi = p->hi,
		        .action = (uint8_t)action_of(p->action),
		        .kernel = (uint8_t)kernel_of(i, p->kernel_tls),
		        .app = (uint8_t)p->app,
		        /* What is none becomes EPERM. */
		        .err = p->err > UINT8_MAX ? 0 : (uint8_t)p->err,
		        .rule = p->destination,
		};
	}
	return 0;
}

/* Entries that go into a table by one system call. */
enum { BATCH = 1024, HOST_PLEN = 128 };

struct batch {
	struct gate_lpm_key net[BATCH];
	uint8_t host[BATCH][16];
	struct gate_rules rules[BATCH];
	uint32_t n;
};

static int flush(int fd, struct batch *b, bool hosts)
{
	const void *keys = hosts ? (const void *)b->host : (const void *)b->net;
	uint32_t n = b->n;

	b->n = 0;
	return n ? bpf_map_update_batch(fd, keys, b->rules, &n, NULL) : 0;
}

/* The entries that are of one address, or those that are not. */
static int fill_table(const struct intercept *i, int fd, const struct policy_lpm *lpm, size_t n,
                      uint32_t generation, bool hosts)
{
	struct batch *b = calloc(1, sizeof(*b));
	int r = b ? 0 : -ENOMEM;

	for (size_t k = 0; k < n && !r; k++) {
		const struct policy_prefix *x = &lpm[k].prefix;

		if ((x->plen == HOST_PLEN) != hosts)
			continue;
		if (hosts)
			memcpy(b->host[b->n], x->addr, sizeof(b->host[0]));
		b->net[b->n].prefixlen = x->plen;
		memcpy(b->net[b->n].addr, x->addr, sizeof(b->net[0].addr));
		r = x->plen > HOST_PLEN
		            ? -EINVAL
		            : rules_of(i, lpm[k].port, lpm[k].ports, generation, &b->rules[b->n]);
		if (!r && ++b->n == BATCH)
			r = flush(fd, b, hosts);
	}
	if (!r)
		r = flush(fd, b, hosts);
	free(b);
	return r;
}

static int put_hosts(const struct intercept *i, const struct policy_lpm *lpm, size_t n,
                     uint32_t count, uint32_t generation, uint32_t slot)
{
	int r, fd = bpf_map_create(BPF_MAP_TYPE_HASH, "kg_host_table", 16,
	                           sizeof(struct gate_rules), count, NULL);

	if (fd < 0)
		return fd;
	r = fill_table(i, fd, lpm, n, generation, true);
	if (!r)
		r = bpf_map_update_elem(i->map.hosts, &slot, &fd, BPF_ANY);
	close(fd); /* the slot holds it */
	return r;
}

/* A descriptor of the table, which is the caller's. */
static int put_nets(const struct intercept *i, const struct policy_lpm *lpm, size_t n,
                    uint32_t count, uint32_t generation, uint32_t slot)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	int r, fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "kg_table", sizeof(struct gate_lpm_key),
	                           sizeof(struct gate_rules), count ? count : 1, &opts);

	if (fd < 0)
		return fd;
	r = fill_table(i, fd, lpm, n, generation, false);
	if (!r)
		r = bpf_map_update_elem(i->map.policy, &slot, &fd, BPF_ANY);
	if (!r)
		return fd;
	close(fd);
	return r;
}

/*
 * Lets go of the tables before, once nobody reads them any more. The kernel answers to a table that
 * is put when all programs that ran are done; so the one in force is put again.
 */
static void drop_tables(const struct intercept *i, uint32_t slot, int in_force)
{
	uint32_t old = slot ^ GATE_TABLES_SLOT;

	if (bpf_map_update_elem(i->map.policy, &slot, &in_force, BPF_ANY))
		return;
	(void)bpf_map_delete_elem(i->map.policy, &old);
	(void)bpf_map_delete_elem(i->map.hosts, &old);
}

/* The table before the last one is needed no more. */
static void forget_names(struct intercept *i)
{
	if (i->names >= 0)
		close(i->names);
	i->names = -1;
	i->names_early = false;
}

int intercept_policy(struct intercept *i, const struct policy_lpm *lpm, size_t n,
                     uint32_t generation, uint16_t port4, uint16_t port6)
{
	uint32_t slot, hosts = 0;
	struct gate_config cfg;
	int nets, r;

	if (n > UINT32_MAX - 1)
		return -E2BIG;
	r = config_get(i, &cfg);
	if (r)
		return r;
	slot = ~cfg.tables & GATE_TABLES_SLOT;
	for (size_t k = 0; k < n; k++)
		hosts += lpm[k].prefix.plen == HOST_PLEN;
	if (hosts)
		r = put_hosts(i, lpm, n, hosts, generation, slot);
	nets = r ? r : put_nets(i, lpm, n, (uint32_t)n - hosts, generation, slot);
	if (nets < 0)
		return nets;
	/* The tables first: what else is of the next policy means nothing to the one before. */
	cfg.tables = slot | (hosts ? GATE_TABLES_HOSTS : 0);
	r = config_set(i, &cfg);
	cfg.generation = generation;
	cfg.kernel_tls = i->kernel_tls;
	cfg.apps = i->apps;
	cfg.port4 = port4;
	cfg.port6 = port6;
	if (!r)
		r = config_set(i, &cfg);
	if (!r) {
		drop_tables(i, slot, nets);
		forget_names(i);
	}
	close(nets); /* the slot holds it */
	guard_renew(i);
	return r;
}

/* ---------------------------------------------------------------- applications */

static bool asks_for_more(const struct gate_app_entry *v, size_t n)
{
	for (size_t k = 0; k < n; k++)
		if (v[k].key.kind == GATE_APP_REST && v[k].key.a != GATE_APP_USER &&
		    v[k].value.fits.sure != UINT64_MAX)
			return true;
	return false;
}

static int fill_apps(int fd, const struct gate_app_entry *v, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		int r = bpf_map_update_elem(fd, &v[k].key, &v[k].value, BPF_ANY);

		if (r)
			return r;
	}
	return 0;
}

/* Another number than before, and not 0: what a socket has kept of an older table does not count.
 */
static int count_apps(struct intercept *i)
{
	struct gate_config cfg;
	int r = config_get(i, &cfg);

	if (r)
		return r;
	cfg.apps = cfg.apps > i->apps ? cfg.apps : i->apps;
	cfg.apps += cfg.apps == UINT32_MAX ? 2 : 1;
	i->apps = cfg.apps;
	return config_set(i, &cfg);
}

int intercept_apps(struct intercept *i, const struct gate_app_entry *v, size_t n,
                   uint32_t generation)
{
	uint32_t slot = generation & 1;
	int table, r;

	if (n > UINT32_MAX - 1)
		return -E2BIG;
	if (!i->reads && asks_for_more(v, n))
		return -EOPNOTSUPP;
	if (!n) {
		/* With the policy, not before it: the one in force may ask. */
		i->apps = 0;
		return 0;
	}
	table = bpf_map_create(BPF_MAP_TYPE_HASH, "kg_app_table", sizeof(struct gate_app_key),
	                       sizeof(struct gate_app), (uint32_t)n, NULL);
	if (table < 0)
		return table;
	r = fill_apps(table, v, n);
	if (!r)
		r = bpf_map_update_elem(i->map.apps, &slot, &table, BPF_ANY);
	close(table); /* the slot holds it */
	return r ? r : count_apps(i);
}

int intercept_file(struct intercept *i, int fd, struct gate_file *out)
{
	struct gate_file f = {.fd = (uint32_t)fd};
	/* What goes in comes back in the same place. */
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &f, .ctx_size_in = sizeof(f));
	int r = i->reads ? bpf_prog_test_run_opts(i->file_prog, &opts) : -EOPNOTSUPP;

	if (r)
		return r;
	if (!f.known)
		return -EBADF;
	*out = f;
	out->fd = 0;
	return 0;
}

uint32_t intercept_generation(struct intercept *i)
{
	struct gate_config cfg;

	return config_get(i, &cfg) ? 0 : cfg.generation;
}

/* ----------------------------------------------------------------------- names */

/* As it stands in a question. False for what can't. */
static bool to_wire(const char *host, struct gate_name *out)
{
	size_t at = 0, n;

	memset(out, 0, sizeof(*out));
	for (; *host; host += host[n] ? n + 1 : n) {
		n = strcspn(host, ".");
		/* Label, its length, and the root's. */
		if (n == 0 || n > NAME_LABEL_MAX || at + n + 2 > NAME_WIRE_MAX)
			return false;
		out->wire[at++] = (uint8_t)n;
		for (size_t k = 0; k < n; k++)
			out->wire[at++] = (uint8_t)tolower((unsigned char)host[k]);
	}
	return at > 0;
}

/* Of a name that to_wire made. */
static void from_wire(const struct gate_name *name, char out[static NAME_WIRE_MAX + 1])
{
	size_t at = 0, n;

	while (at < NAME_WIRE_MAX - 1 && (n = name->wire[at]) && at + n < NAME_WIRE_MAX) {
		memcpy(out + at, name->wire + at + 1, n);
		at += n + 1;
		out[at - 1] = '.';
	}
	out[at ? at - 1 : 0] = '\0';
}

/* What is only let pass is not learned: answers open nothing. */
static bool closes(const struct policy_name_rules *r)
{
	for (uint32_t k = 0; k < r->ports; k++)
		if (!policy_passes(r->port[k].action))
			return true;
	return false;
}

static int fill_names(const struct intercept *i, int fd, const struct policy_name_rules *v,
                      size_t n, uint32_t generation)
{
	struct gate_rules rules;
	struct gate_name name;

	for (size_t k = 0; k < n; k++) {
		int r = rules_of(i, v[k].port, v[k].ports, generation, &rules);

		if (!r && closes(&v[k]) && to_wire(v[k].host, &name))
			r = bpf_map_update_elem(fd, &name, &rules, BPF_ANY);
		if (r)
			return r;
	}
	return 0;
}

/* For intercept_undo. */
static void keep_names(struct intercept *i)
{
	uint32_t id;

	if (i->names_early)
		return;
	forget_names(i);
	i->names = bpf_map_lookup_elem(i->map.names, &zero, &id) ? -1 : bpf_map_get_fd_by_id(id);
}

int intercept_names(struct intercept *i, const struct policy_name_rules *v, size_t n,
                    uint32_t generation)
{
	int table, r;

	if (n > UINT32_MAX - 1)
		return -E2BIG;
	table = bpf_map_create(BPF_MAP_TYPE_HASH, "kg_name_table", sizeof(struct gate_name),
	                       sizeof(struct gate_rules), n ? (uint32_t)n : 1, NULL);
	if (table < 0)
		return table;
	keep_names(i);
	r = fill_names(i, table, v, n, generation);
	if (!r)
		r = bpf_map_update_elem(i->map.names, &zero, &table, BPF_ANY);
	i->names_early |= !r;
	if (!r)
		r = others_learned(i, table);
	close(table); /* the slot holds it */
	return r;
}

void intercept_undo(struct intercept *i)
{
	struct gate_config cfg;

	if (!config_get(i, &cfg))
		i->apps = cfg.apps;
	if (!i->names_early)
		return;
	if (i->names >= 0)
		(void)bpf_map_update_elem(i->map.names, &zero, &i->names, BPF_ANY);
	else
		(void)bpf_map_delete_elem(i->map.names, &zero);
	forget_names(i);
}

int intercept_told(struct intercept *i, intercept_told_fn fn, void *ctx)
{
	struct gate_told told;
	int n = 0, r = 0;

	while (n < GATE_TOLD_MAX &&
	       !(r = bpf_map_lookup_and_delete_elem(i->map.told, NULL, &told))) {
		struct intercept_told out = {.uid = told.uid};

		from_wire(&told.name, out.host);
		memcpy(out.addr, told.addr, sizeof(out.addr));
		n++;
		fn(ctx, &out);
	}
	return r == 0 || r == -ENOENT ? n : r;
}

int intercept_learned(struct intercept *i, intercept_told_fn fn, void *ctx)
{
	struct gate_learned learned;
	uint8_t key[16], next[16];
	int found = 0;
	int r = bpf_map_get_next_key(i->map.learned, NULL, next);

	/* What comes while this goes on is met, or the next time. */
	for (uint32_t steps = 0; !r && steps < 2 * GATE_LEARNED_MAX; steps++) {
		struct intercept_told out = {.uid = 0};

		memcpy(key, next, sizeof(key));
		r = bpf_map_get_next_key(i->map.learned, key, next);
		if (bpf_map_lookup_elem(i->map.learned, key, &learned))
			continue;
		from_wire(&learned.name, out.host);
		memcpy(out.addr, key, sizeof(out.addr));
		out.uid = learned.uid;
		out.seen_ns = learned.seen_ns;
		found++;
		fn(ctx, &out);
	}
	return r == 0 || r == -ENOENT ? found : r;
}

uint64_t intercept_boot_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_BOOTTIME, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int intercept_learn(struct intercept *i, const struct intercept_told *told,
                    const struct policy_name_rules *rules, uint32_t generation)
{
	struct gate_learned v = {.uid = told->uid, .seen_ns = told->seen_ns};
	int r = rules_of(i, rules->port, rules->ports, generation, &v.rules);

	if (!v.seen_ns)
		v.seen_ns = intercept_boot_ns();
	if (!r && !to_wire(told->host, &v.name))
		r = -EINVAL;
	return r ? r : bpf_map_update_elem(i->map.learned, told->addr, &v, BPF_ANY);
}

void intercept_unlearn(struct intercept *i, const uint8_t addr[static 16], uint32_t given_back)
{
	struct gate_teller t;

	if (bpf_map_delete_elem(i->map.learned, addr) || given_back == UINT32_MAX)
		return;
	if (bpf_map_lookup_elem(i->map.tellers, &given_back, &t) || !t.n)
		return;
	t.n--;
	(void)bpf_map_update_elem(i->map.tellers, &given_back, &t, BPF_EXIST);
}

int intercept_resolver(struct intercept *i, uint32_t uid)
{
	struct gate_config cfg;
	int r = config_get(i, &cfg);

	cfg.resolver = uid + 1;
	return r ? r : config_set(i, &cfg);
}

int intercept_arm(struct intercept *i, bool armed)
{
	struct gate_config cfg;
	uint32_t slot, table;
	int r = config_get(i, &cfg);

	if (r)
		return r;
	slot = cfg.tables & GATE_TABLES_SLOT;
	if (armed && bpf_map_lookup_elem(i->map.policy, &slot, &table))
		return -ENODATA;
	cfg.armed = armed;
	r = config_set(i, &cfg);
	/* From now on it is this one that counts. */
	return r ? r : others_remove(i->dir);
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

int intercept_sweep(struct intercept *i, uint64_t max_age_ns)
{
	struct gate_conn_key key, next;
	struct gate_intent in;
	uint64_t now = intercept_boot_ns();
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

/* A cut is final, and the end of a live session never moves away. */
static int put_session(struct intercept *i, uint64_t session, struct gate_session *s)
{
	struct gate_session old;

	if (s->state != GATE_SESSION_CUT && !bpf_map_lookup_elem(i->map.sessions, &session, &old)) {
		if (old.state == GATE_SESSION_CUT)
			return -ECANCELED;
		if (old.state == GATE_SESSION_LIVE && old.deadline_ns < s->deadline_ns)
			s->deadline_ns = old.deadline_ns;
	}
	return bpf_map_update_elem(i->map.sessions, &session, s, BPF_ANY);
}

int intercept_session(struct intercept *i, uint64_t session, enum gate_session_state state,
                      uint64_t deadline_boot_ns)
{
	struct gate_session s = {.state = state, .deadline_ns = deadline_boot_ns};

	if (!session)
		return -EINVAL;
	return put_session(i, session, &s);
}

/*
 * The watch cuts what it finds live, from the moment it knows the key: so the state comes first.
 */
int intercept_session_live(struct intercept *i, uint64_t session, int32_t serial, int32_t ring,
                           uint64_t deadline_boot_ns)
{
	struct gate_session s = {
	        .state = GATE_SESSION_LIVE, .ring = ring, .deadline_ns = deadline_boot_ns};
	const uint64_t is_ring = GATE_KEY_RING;
	int r = session ? put_session(i, session, &s) : -EINVAL;

	/* It is the watch, too, that forgets a serial when its key is destroyed. */
	if (r || !i->watch)
		return r;
	r = bpf_map_update_elem(i->map.keys, &ring, &is_ring, BPF_ANY);
	return r ? r : bpf_map_update_elem(i->map.keys, &serial, &session, BPF_ANY);
}

void intercept_session_end(struct intercept *i, uint64_t session, int32_t serial)
{
	if (serial)
		(void)bpf_map_delete_elem(i->map.keys, &serial);
	(void)bpf_map_delete_elem(i->map.sessions, &session);
}

/* ------------------------------------------------------------------ namespaces */

int intercept_netns(struct intercept *i, uint64_t cookie, bool watched, bool believed)
{
	const struct gate_net n = {.watched = watched, .believed = believed};

	return bpf_map_update_elem(i->map.nets, &cookie, &n, BPF_ANY);
}

void intercept_netns_forget(struct intercept *i, uint64_t cookie)
{
	(void)bpf_map_delete_elem(i->map.nets, &cookie);
}

bool intercept_netns_watch(const struct intercept *i)
{
	return i->netns != NULL;
}

bool intercept_tunnels_refused(const struct intercept *i)
{
	return i->tunnel != NULL;
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
