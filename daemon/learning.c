/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel half learned from answers that applications got. It is in force before keygated
 * hears of it, beside the policy table; here it is remembered, put together where several names
 * have one address, carried over policies and restarts, and forgotten. See learned.h for why it can
 * only close.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	LEARNING_EVERY_S = 60,
	LONG_AGO_NS = 1, /* for the kernel: an answer last said so before this boot */
};

/* ---------------------------------------------------------------------- in force */

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The destinations that are learned for an address, ascending, each once. 0 or -errno. */
static int destinations_of(const struct learning *x, const uint8_t addr[static 16], uint32_t **out,
                           size_t *n)
{
	struct policy_resolved *pairs = NULL;
	size_t count = 0, kept = 0;
	uint32_t *v = NULL;
	int ret = names_resolved(x->names, x->learned, x->policy, addr, &pairs, &count);

	if (!ret && !(v = calloc(count + 1, sizeof(*v))))
		ret = -ENOMEM;
	for (size_t i = 0; v && i < count; i++)
		if (pairs[i].learned)
			v[kept++] = pairs[i].destination;
	free(pairs);
	if (ret)
		return ret;
	qsort(v, kept, sizeof(*v), by_number);
	*n = 0;
	for (size_t i = 0; i < kept; i++)
		if (!i || v[i] != v[i - 1])
			v[(*n)++] = v[i];
	*out = v;
	return 0;
}

/* The one that stands for an address; NULL: the policy knows none of its names. */
static const struct learned_address *known_at(const struct learning *x,
                                              const uint8_t addr[static 16])
{
	const struct learned *l = x->learned;

	for (uint32_t i = learned_first(l, addr); i < l->n; i++) {
		if (memcmp(l->v[i].addr, addr, sizeof(l->v->addr)) != 0)
			return NULL;
		if (names_find(x->names, l->v[i].host))
			return &l->v[i];
	}
	return NULL;
}

int learning_put(const struct learning *x, const uint8_t addr[static 16])
{
	const struct learned_address *a = known_at(x, addr);
	struct intercept_told told = {.uid = 0};
	struct policy_name_rules rules;
	uint64_t age_ns, now_ns = gate_boot_ns();
	uint32_t *v = NULL;
	size_t n = 0;
	int ret;

	if (!a)
		return -ENOENT;
	ret = destinations_of(x, addr, &v, &n);
	if (ret)
		return ret;
	memcpy(told.host, a->host, sizeof(a->host));
	memcpy(told.addr, addr, sizeof(told.addr));
	told.uid = a->uid;
	age_ns = a->seen < gate_now() ? (uint64_t)(gate_now() - a->seen) * 1000000000u : 0;
	told.seen_ns = age_ns < now_ns ? now_ns - age_ns : LONG_AGO_NS;
	policy_compile_learned(x->policy, v, n, &rules);
	ret = intercept_learn(x->ic, &told, &rules, x->generation);
	free(v);
	return ret;
}

int learning_put_all(const struct learning *x)
{
	const struct learned *l = x->learned;
	int ret = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		int one = i && !memcmp(l->v[i].addr, l->v[i - 1].addr, sizeof(l->v->addr))
		                  ? 0
		                  : learning_put(x, l->v[i].addr);

		if (one && one != -ENOENT)
			ret = one;
	}
	return ret;
}

static struct learning of_gate(const struct gate *g)
{
	return (struct learning){.ic = g->ic,
	                         .names = &g->now.names,
	                         .learned = &g->learned,
	                         .policy = g->now.policy,
	                         .generation = g->now.generation};
}

/*
 * What the kernel has of an address becomes what is remembered of it. given_back as in
 * intercept_unlearn. If it can't be put, what is there stays.
 */
static void renew(struct gate *g, const uint8_t addr[static 16], uint32_t given_back)
{
	const struct learning x = of_gate(g);

	if (learning_put(&x, addr) == -ENOENT)
		intercept_unlearn(g->ic, addr, given_back);
}

/* ------------------------------------------------------------------------ forget */

static void forget(struct gate *g, uint32_t at, bool give_back)
{
	const struct learned_address gone = g->learned.v[at];

	learned_drop(&g->learned, at);
	renew(g, gone.addr, give_back ? gone.uid : UINT32_MAX);
}

/* keygated itself has resolved it, and it is in the policy table. */
static bool is_resolved(const struct gate *g, const char *host, const uint8_t addr[static 16])
{
	const struct name *name = names_find(&g->now.names, host);

	return name && names_has(name, addr) && !g->now.names_err;
}

static void trim(struct gate *g, const char *host)
{
	int64_t at;

	while ((at = learned_victim(&g->learned, host, gate_now())) >= 0)
		forget(g, (uint32_t)at, false);
}

void learning_resolved(struct gate *g)
{
	for (uint32_t i = g->learned.n; i-- > 0;)
		if (is_resolved(g, g->learned.v[i].host, g->learned.v[i].addr))
			forget(g, i, true);
}

/* ------------------------------------------------------------------------- learn */

static int64_t when(const struct intercept_told *told)
{
	uint64_t now = gate_boot_ns();

	if (!told->seen_ns || told->seen_ns > now)
		return gate_now();
	return gate_now() - (int64_t)((now - told->seen_ns) / 1000000000u);
}

/* 1: it was not known; 0, -errno: there is no room. */
static int remember(struct gate *g, const struct intercept_told *told)
{
	struct learned_address a = {.uid = told->uid, .seen = when(told)};
	char text[64];
	int ret;

	if (strlen(told->host) >= sizeof(a.host))
		return -EINVAL;
	memcpy(a.addr, told->addr, sizeof(a.addr));
	memcpy(a.host, told->host, strlen(told->host));
	ret = learned_note(&g->learned, &a);
	if (ret != 1)
		return ret;
	names_address_text(a.addr, text);
	audit_emit(g->audit, "name-learned",
	           json_pack("{s:s, s:s, s:I}", "host", a.host, "address", text, "user",
	                     (json_int_t)a.uid));
	return ret;
}

struct taking {
	struct gate *g;
	bool changed;
};

static void take(void *ctx, const struct intercept_told *told)
{
	struct taking *t = ctx;
	int ret;

	if (!names_find(&t->g->now.names, told->host) ||
	    is_resolved(t->g, told->host, told->addr)) {
		renew(t->g, told->addr, told->uid);
		return;
	}
	ret = remember(t->g, told);
	/* The kernel keeps what there is no room for here. */
	if (ret < 0)
		return;
	renew(t->g, told->addr, UINT32_MAX);
	if (!ret)
		return;
	t->changed = true;
	trim(t->g, told->host);
	trim(t->g, NULL);
}

void learning_take(struct gate *g)
{
	struct taking t = {.g = g};

	if (!g->now.policy)
		return;
	(void)intercept_told(g->ic, take, &t);
	if (!t.changed)
		return;
	(void)names_save(&g->now.names, &g->learned, g->names_path);
	reload_sweep(g);
}

/* Of a look at all: what is known is only seen again, under every name that it has. */
static void look(void *ctx, const struct intercept_told *told)
{
	struct taking *t = ctx;
	struct learned *l = &t->g->learned;

	if (!learned_has(l, told->addr, told->host)) {
		take(t, told);
		return;
	}
	if (told->seen_ns <= LONG_AGO_NS)
		return;
	for (uint32_t i = learned_first(l, told->addr);
	     i < l->n && !memcmp(l->v[i].addr, told->addr, sizeof(l->v->addr)); i++)
		l->v[i].seen = when(told);
}

void learning_tick(struct gate *g)
{
	struct taking t = {.g = g};
	uint64_t now = gate_boot_ns();

	/* An event may have been lost. */
	learning_take(g);
	if (!g->now.policy || now < g->learning_next_ns)
		return;
	g->learning_next_ns = now + (uint64_t)LEARNING_EVERY_S * 1000000000u;
	(void)intercept_learned(g->ic, look, &t);
	for (uint32_t i = g->learned.n; i-- > 0;)
		if (g->learned.v[i].seen < gate_now() - LEARNED_KEEP_S)
			forget(g, i, false);
	learning_resolved(g);
	trim(g, NULL);
}

static void recall(void *ctx, const struct intercept_told *told)
{
	struct gate *g = ctx;

	if (names_find(&g->now.names, told->host))
		(void)remember(g, told);
	else
		renew(g, told->addr, UINT32_MAX);
}

void learning_policy(struct gate *g)
{
	const struct learning x = of_gate(g);
	int ret;

	(void)intercept_learned(g->ic, recall, g);
	for (uint32_t i = g->learned.n; i-- > 0;)
		if (!names_find(&g->now.names, g->learned.v[i].host))
			forget(g, i, false);
	ret = learning_put_all(&x);
	/* What is not of this policy's generation closes all the same. */
	if (ret)
		audit_emit(g->audit, "names-changed",
		           json_pack("{s:s, s:[], s:s}", "host", "", "addresses", "error",
		                     strerror(-ret)));
	learning_resolved(g);
}
