/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies coming into force, at start and at reload alike:
 *
 *   files -> parsed by gate -> names that are new are resolved (bounded) -> verify parses the same
 *   bytes -> the kernel's table is swapped -> sessions that lost their ground are cut -> sockets
 *   from before are destroyed
 *
 * Until the swap the policy before stays in force, and if any step fails it stays for good. At
 * start there is none before; what an earlier keygated left in the kernel then goes on refusing.
 */
#include "daemon/gate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/file.h"
#include "daemon/arm.h"

void policy_set_free(struct policy_set *s)
{
	bundle_free(&s->bundle);
	policy_free(s->policy);
	names_free(&s->names);
	free(s->issues);
	free(s->digest);
	free(s->by_name);
	memset(s, 0, sizeof(*s));
}

/* -------------------------------------------------------------------- files */

static int digests(struct policy_set *s)
{
	const struct policy *p = s->policy;
	int ret = 0;

	s->digest = calloc(p->destinations + 1u, sizeof(*s->digest));
	if (!s->digest)
		return -ENOMEM;
	for (uint32_t i = 0; !ret && i < p->destinations; i++)
		ret = policy_set_digest(p, i, s->digest[i]);
	return ret;
}

static int by_name(const void *a, const void *b, void *ctx)
{
	const struct policy_destination *d = ctx;
	const uint32_t *x = a, *y = b;

	return strcmp(d[*x].name, d[*y].name);
}

static int sort_names(struct policy_set *s)
{
	uint32_t n = s->policy->destinations;

	s->by_name = calloc(n + 1u, sizeof(*s->by_name));
	if (!s->by_name)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		s->by_name[i] = i;
	qsort_r(s->by_name, n, sizeof(*s->by_name), by_name, s->policy->destination);
	return 0;
}

int policy_set_index(struct policy_set *s)
{
	int ret = digests(s);

	return ret ? ret : sort_names(s);
}

/*
 * One that no policy had before, whether it came into force or not: what the kernel learned by its
 * names must not be taken for another's. The kernel has place for the applications of two
 * generations that differ in the lowest bit.
 */
static uint32_t next_generation(struct gate *g)
{
	uint32_t now = g->now.generation;
	uint32_t next = (g->last_generation > now ? g->last_generation : now) + 1;

	if (!((next ^ now) & 1))
		next++;
	g->last_generation = next;
	return next;
}

static int load(struct gate *g, struct policy_set *s)
{
	int ret;

	s->issues = calloc(1, sizeof(*s->issues));
	if (!s->issues)
		return -ENOMEM;
	ret = bundle_load(&g->opt->paths, gate_now(), &s->bundle, &s->policy, s->issues);
	if (!ret)
		ret = names_of_policy(s->policy, &g->now.names, &s->names);
	if (!ret)
		s->generation = next_generation(g);
	if (!ret && s->policy->apps)
		ret = apps_look(g->apps, g->ic, s->policy, s->issues);
	return ret < 0 ? ret : 0;
}

static json_t *wrong_files(struct gate *g, const struct policy_issues *issues)
{
	json_t *answer = control_error(CONTROL_USAGE, "the policy has %u error%s", issues->errors,
	                               issues->errors == 1 ? "" : "s");

	json_decref(g->last_error);
	g->last_error = json_pack("{s:I, s:o}", "at", (json_int_t)gate_now(), "issues",
	                          record_issues(issues, true));
	audit_emit(g->audit, "policy-refused",
	           json_pack("{s:I, s:o}", "errors", (json_int_t)issues->errors, "issues",
	                     record_issues(issues, true)));
	if (answer)
		(void)json_object_set_new(answer, "issues", record_issues(issues, true));
	return answer;
}

/* Ends what was coming; at start that ends keygated. */
static void give_up(struct gate *g, json_t *answer)
{
	const char *why = json_string_value(json_object_get(answer, "error"));

	if (!g->now.policy)
		gate_fatal(g, "no policy came into force: %s", why ? why : "out of memory");
	if (g->coming.client)
		control_reply(g->control, g->coming.client, answer);
	else
		json_decref(answer);
	policy_set_free(&g->coming.set);
	g->coming = (struct coming_policy){.stage = COMING_NONE};
	pulse_ready(g);
}

int reload_begin(struct gate *g, uint64_t client, json_t **error)
{
	int ret;

	if (g->coming.stage != COMING_NONE) {
		*error = control_error(CONTROL_UNAVAILABLE, "a reload is running already");
		return -EBUSY;
	}
	if (g->now.policy)
		pulse_reloading(g);
	ret = load(g, &g->coming.set);
	if (ret == -EINVAL) {
		*error = wrong_files(g, g->coming.set.issues);
	} else if (ret) {
		*error = control_error(CONTROL_UNAVAILABLE, "the policy can't be loaded: %s",
		                       strerror(-ret));
	}
	if (ret) {
		policy_set_free(&g->coming.set);
		pulse_ready(g);
		return ret;
	}
	g->coming.stage = COMING_NAMES;
	g->coming.client = client;
	g->coming.began_s = gate_boot_ns() / 1000000000u;
	g->coming.deadline_ns = gate_boot_ns() + (uint64_t)NAMES_WAIT_S * 1000000000u;
	reload_tick(g);
	return 0;
}

/* ------------------------------------------------------------------- kernel */

static int install_names(struct gate *g, const struct policy_set *s)
{
	struct policy_name_rules *names = NULL;
	size_t n = 0;
	int ret = policy_compile_names(s->policy, &names, &n);

	if (!ret)
		ret = intercept_names(g->ic, names, n, s->generation);
	free(names);
	return ret;
}

/* The tables for s, with the addresses that its names have now; apps: that of applications, too. */
static int install(struct gate *g, struct policy_set *s, bool apps)
{
	struct policy_resolved *names = NULL;
	struct policy_lpm *lpm = NULL;
	size_t names_n = 0;
	size_t n = 0;
	int ret = names_resolved(&s->names, &g->learned, s->policy, NULL, &names, &names_n);

	if (!ret)
		ret = policy_compile(s->policy, names, names_n, &lpm, &n);
	intercept_kernel_tls(g->ic, upcall_wanted(g, s->policy));
	if (!ret && apps)
		ret = apps_install(g->apps, g->ic, s->policy, s->generation);
	if (!ret)
		ret = install_names(g, s);
	if (!ret)
		ret = intercept_policy(g->ic, lpm, n, s->generation, g->port[0], g->port[1]);
	if (ret)
		intercept_undo(g->ic);
	else
		s->prefixes = (uint32_t)n;
	free(lpm);
	free(names);
	return ret;
}

struct sweep {
	const struct gate *g;
	struct policy_resolved *names;
	size_t n;
};

/*
 * Sockets that must not be: to a gated or denied destination, and not a session's. Of whose they
 * are, only who made them is known here; where that leaves it open, the packet hook decides, which
 * lets none pass that it can't tell either.
 */
static bool is_stray(void *ctx, const struct sockdiag_socket *sock)
{
	const struct sweep *s = ctx;
	const struct policy *p = s->g->now.policy;
	const struct policy_who who = {
	        .has_uid = true, .uid = sock->uid, .cgroup = apps_cgroup(s->g->apps, sock->cgroup)};
	enum policy_fit fit = FIT_NO;
	int at = policy_next(p, s->names, s->n, sock->dst, sock->port, &who, -1, &fit);

	/* Of TCP, it may be a local server's: those may answer where only the default speaks. */
	if (at < 0)
		return sock->proto == IPPROTO_UDP && !policy_passes(policy_default(p, sock->dst));
	return fit == FIT_YES && !policy_passes(p->destination[at].action) &&
	       !flow_owns(s->g, sock->cookie);
}

void reload_sweep(struct gate *g)
{
	struct sweep s = {.g = g};
	const struct sockdiag_match m = {.fn = is_stray, .ctx = &s, .udp = true};
	int ret = names_resolved(&g->now.names, &g->learned, g->now.policy, NULL, &s.names, &s.n);

	if (!ret)
		ret = spaces_sweep_all(g, &m);
	/* What is left can't send by itself: the packet hook drops it. */
	if (ret)
		audit_emit(g->audit, "swept",
		           ret > 0 ? json_pack("{s:I}", "sockets", (json_int_t)ret)
		                   : json_pack("{s:s}", "error", strerror(-ret)));
	free(s.names);
}

/* ----------------------------------------------------------------- in force */

/* Do both have the same collateral? */
static bool same_collateral(const struct bundle *a, const struct bundle *b)
{
	uint32_t i = 0, k = 0;

	for (;; i++, k++) {
		while (i < a->n && a->v[i].kind != BUNDLE_COLLATERAL)
			i++;
		while (k < b->n && b->v[k].kind != BUNDLE_COLLATERAL)
			k++;
		if (i == a->n || k == b->n)
			return i == a->n && k == b->n;
		if (!bytes_equal(a->v[i].content, b->v[k].content))
			return false;
	}
}

static void forget_old_records(struct gate *g)
{
	const char *name;
	json_t *record;
	void *next;
	uint32_t at;

	json_object_foreach_safe(g->last, next, name, record)
	{
		if (!policy_set_named(&g->now, name, &at))
			(void)json_object_del(g->last, name);
	}
}

/* For a boot at which the files are wrong. */
static void keep(struct gate *g)
{
	int ret = arm_keep(&g->now.bundle, g->kept_path);

	if (ret)
		audit_emit(g->audit, "policy-not-kept",
		           json_pack("{s:s}", "error", strerror(-ret)));
}

/* To who asked for the reload. Takes ended. */
static json_t *what_changed(const struct gate *g, const struct policy_set *old, uint32_t cut,
                            json_t *ended)
{
	json_t *changes = policy_set_changes(old, &g->now);
	json_t *answer =
	        json_pack("{s:b, s:I, s:I, s:o, s:o}", "ok", 1, "generation",
	                  (json_int_t)g->now.generation, "sessions_cut", (json_int_t)cut,
	                  "sessions", ended, "warnings", record_issues(g->now.issues, false));

	if (answer && (!changes || json_object_update(answer, changes))) {
		json_decref(answer);
		answer = NULL;
	}
	json_decref(changes);
	return answer;
}

static void in_force(struct gate *g)
{
	struct policy_set old = g->now;
	uint64_t client = g->coming.client;
	json_t *ended = json_array();
	uint32_t cut = 0;
	int ret;

	g->now = g->coming.set;
	g->now.loaded_at = gate_now();
	g->coming = (struct coming_policy){.stage = COMING_NONE};
	json_decref(g->last_error);
	g->last_error = NULL;
	learning_policy(g);
	if (old.policy)
		cut = flow_policy_changed(g, &old, ended);
	if (!same_collateral(&old.bundle, &g->now.bundle)) {
		leases_end_all(g, "collateral");
		recheck_news(g, VENDOR_NONE);
	}
	upcall_policy(g);
	/* For cgroups that were made after the table was filled and before it was in force. Their
	 * packets are dropped where it is not known whose they are: no harm if this fails. */
	if (g->now.policy->apps)
		(void)apps_install(g->apps, g->ic, g->now.policy, g->now.generation);
	reload_sweep(g);
	forget_old_records(g);
	(void)names_save(&g->now.names, &g->learned, g->names_path);
	keep(g);
	audit_emit(g->audit, "policy-loaded",
	           json_pack("{s:I, s:I, s:I}", "generation", (json_int_t)g->now.generation,
	                     "destinations", (json_int_t)g->now.policy->destinations, "prefixes",
	                     (json_int_t)g->now.prefixes));
	if (client && old.policy)
		control_reply(g->control, client, what_changed(g, &old, cut, ended));
	else
		json_decref(ended);
	if (!old.policy && (ret = gate_ready(g)))
		gate_fatal(g, "the control socket can't be made: %s", strerror(-ret));
	else
		pulse_ready(g);
	policy_set_free(&old);
}

static int tell_verify(struct gate *g, const struct policy_set *s)
{
	const struct msg_policy m = {.generation = s->generation, .now = gate_now()};
	struct buf b = buf_make(BUNDLE_MAX);
	int ret = bundle_write(&s->bundle, &b);
	int fd = ret ? ret : file_memfd("policy", buf_view(&b));

	buf_free(&b);
	if (fd < 0)
		return fd;
	ret = gate_send(g, ROLE_VERIFY, MSG_POLICY, 0, &m, fd);
	close(fd);
	return ret;
}

static void names_are_known(struct gate *g)
{
	int ret = tell_verify(g, &g->coming.set);

	if (ret) {
		give_up(g, control_error(CONTROL_UNAVAILABLE, "the policy can't be handed on: %s",
		                         strerror(-ret)));
		return;
	}
	g->coming.stage = COMING_VERIFY;
	/* While verify reads it. What is missing is seen when it answers. */
	(void)policy_set_index(&g->coming.set);
}

void reload_policy_done(struct gate *g, const struct msg_policy_done *m)
{
	int ret;

	/* The answer to a policy that was put back. */
	if (g->now.policy && m->generation == g->now.generation && !m->err)
		return;
	if (g->coming.stage != COMING_VERIFY || m->generation != g->coming.set.generation) {
		gate_fatal(g, "verify has another policy than it was given");
		return;
	}
	if (m->err) {
		give_up(g, control_error(CONTROL_UNAVAILABLE, "verify can't use the policy: %s",
		                         strerror(m->err < 0 ? -m->err : m->err)));
		return;
	}
	ret = g->coming.set.by_name ? install(g, &g->coming.set, true) : -ENOMEM;
	/* At start always: whoever disarmed an earlier keygated has to say so again. */
	if (!ret && !g->now.policy)
		ret = intercept_arm(g->ic, true);
	if (!ret) {
		in_force(g);
		return;
	}
	/* For what was learned by the names of the other meanwhile. */
	if (g->now.policy)
		learning_policy(g);
	/* verify must not judge by what the kernel doesn't enforce. */
	if (g->now.policy && tell_verify(g, &g->now))
		gate_fatal(g, "the policy can't be put back");
	give_up(g, control_error(CONTROL_UNAVAILABLE, "the kernel's table can't be made: %s%s",
	                         strerror(-ret),
	                         ret == -E2BIG ? "; too many port ranges for one address" : ""));
}

/* -------------------------------------------------------------------- names */

/* name is of t. */
static void ask(struct gate *g, struct names *t, const struct name *name)
{
	struct msg_resolve m = {.host = ""};

	/* Names that never answer must not keep the ones behind them from being asked for. */
	t->turn = (uint32_t)(name - t->v) + 1;
	g->resolving = malloc(sizeof(*g->resolving));
	if (!g->resolving)
		return;
	*g->resolving = *name;
	memcpy(m.host, name->host, strlen(name->host));
	(void)gate_send(g, ROLE_FETCH, MSG_RESOLVE, ++g->requests, &m, -1);
	g->resolve_request = g->requests;
}

static json_t *addresses(const struct name *name)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < name->n; i++) {
		char text[INET6_ADDRSTRLEN];

		names_address_text(name->addr[i], text);
		(void)json_array_append_new(a, json_string(text));
	}
	return a;
}

/* changed: else the kernel's table is behind, and this is another attempt. */
static void name_changed(struct gate *g, const struct name *name, bool changed)
{
	int before = g->now.names_err;
	int ret = install(g, &g->now, false);
	char why[160] = "";

	g->now.names_err = ret;
	if (ret)
		snprintf(why, sizeof(why),
		         "%s; the table before stays, new addresses are not in it",
		         ret == -E2BIG ? "too many port ranges for one address" : strerror(-ret));
	if (changed || ret != before)
		audit_emit(g->audit, "names-changed",
		           json_pack("{s:s, s:o, s:s}", "host", name->host, "addresses",
		                     addresses(name), "error", why));
	if (ret)
		return;
	learning_resolved(g);
	(void)names_save(&g->now.names, &g->learned, g->names_path);
	reload_sweep(g);
}

/* Which addresses of the answer there was no room for; others each time, so it is always said. */
static void say_surplus(struct gate *g, const struct name *name, const struct msg_resolved *m)
{
	struct name left = {.n = 0};

	if (m->err || !name->surplus)
		return;
	for (uint32_t i = 0; i < m->n && left.n < NAMES_ADDRS_MAX; i++) {
		if (!names_has(name, m->addr[i]))
			memcpy(left.addr[left.n++], m->addr[i], sizeof(m->addr[i]));
	}
	audit_emit(g->audit, "names-surplus",
	           json_pack("{s:s, s:I, s:o}", "host", name->host, "count",
	                     (json_int_t)name->surplus, "addresses", addresses(&left)));
}

void reload_resolved(struct gate *g, uint64_t request, const struct msg_resolved *m)
{
	const uint64_t up_s = gate_boot_ns() / 1000000000u;
	struct name *asked = g->resolving;
	struct name *now;
	struct name *coming;
	bool changed = false;

	if (!asked || request != g->resolve_request) {
		gate_fatal(g, "fetch answered what it was not asked");
		return;
	}
	g->resolving = NULL;
	now = names_find(&g->now.names, asked->host);
	coming = names_find(&g->coming.set.names, asked->host);
	/* Said once, not every minute. */
	if (m->err && asked->err != m->err)
		audit_emit(g->audit, "name-unresolved",
		           json_pack("{s:s, s:s}", "host", asked->host, "error",
		                     gai_strerror(m->err)));
	if (coming)
		(void)names_learn(&g->coming.set.names, coming, m, gate_now(), up_s);
	if (now)
		changed = names_learn(&g->now.names, now, m, gate_now(), up_s);
	if (now || coming)
		say_surplus(g, now ? now : coming, m);
	if (now && g->now.policy && (changed || (g->now.names_err && !m->err)))
		name_changed(g, now, changed);
	free(asked);
	reload_tick(g);
}

void reload_apps(struct gate *g)
{
	const struct policy *p = g->now.policy;
	int ret;

	g->apps_next_ns = gate_boot_ns() + (uint64_t)APPS_EVERY_S * 1000000000u;
	if (!p || apps_look(g->apps, g->ic, p, NULL) != 1)
		return;
	ret = apps_install(g->apps, g->ic, p, g->now.generation);
	audit_emit(g->audit, "executables-changed",
	           json_pack("{s:s}", "error", ret ? strerror(-ret) : ""));
}

void reload_tick(struct gate *g)
{
	uint64_t now = gate_boot_ns();
	const struct name *next;

	if (g->coming.stage == COMING_NAMES) {
		/* Each once: what was asked for since is due later. */
		next = names_next(&g->coming.set.names, g->coming.began_s);
		if (!next || now >= g->coming.deadline_ns)
			names_are_known(g);
		else if (!g->resolving)
			ask(g, &g->coming.set.names, next);
		return;
	}
	learning_tick(g);
	if (g->now.policy && g->now.policy->apps && now >= g->apps_next_ns)
		reload_apps(g);
	if (g->resolving || !g->now.policy)
		return;
	next = names_next(&g->now.names, now / 1000000000u);
	if (next)
		ask(g, &g->now.names, next);
}
