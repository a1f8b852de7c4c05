/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs of the control socket do: control.h's protocol, object by object.
 */
#include "daemon/gate.h"

#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "core/version.h"

static json_t *no_memory(json_t *answer)
{
	return answer ? answer : control_error(CONTROL_UNAVAILABLE, "keygated is out of memory");
}

/* ------------------------------------------------------------------- status */

static json_t *selftests(const struct gate *g)
{
	json_t *a = json_array();

	for (size_t i = 0; a && i < SELFTESTS; i++)
		(void)json_array_append_new(a, json_pack("{s:s, s:b, s:s}", "id", g->selftest[i].id,
		                                         "ok", g->selftest[i].ok, "detail",
		                                         g->selftest[i].detail));
	return a;
}

static json_t *policy_status(const struct gate *g)
{
	const struct policy_set *s = &g->now;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:o, s:O}", "generation",
	                 (json_int_t)s->generation, "loaded_at", (json_int_t)s->loaded_at, "files",
	                 (json_int_t)s->bundle.n, "destinations",
	                 (json_int_t)s->policy->destinations, "ledgers",
	                 (json_int_t)s->policy->ledgers, "prefixes", (json_int_t)s->prefixes,
	                 "default", policy_action_name(s->policy->default_action), "warnings",
	                 record_issues(s->issues, false), "last_error",
	                 g->last_error ? g->last_error : json_null());
}

/* What applications were told of a host. */
static json_t *learned_status(const struct gate *g, const char *host)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < g->learned.n; i++) {
		char text[64];

		if (strcasecmp(g->learned.v[i].host, host) != 0)
			continue;
		names_address_text(g->learned.v[i].addr, text);
		(void)json_array_append_new(a, json_string(text));
	}
	return a;
}

static json_t *name_status(const struct gate *g, const struct policy_destination *d,
                           const struct name *name)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < name->n; i++) {
		char text[64];

		names_address_text(name->addr[i], text);
		(void)json_array_append_new(a, json_string(text));
	}
	return json_pack("{s:s, s:s, s:o, s:o, s:I, s:o}", "destination", d->name, "host",
	                 name->host, "addresses", a, "learned", learned_status(g, name->host),
	                 "resolved_at", (json_int_t)name->resolved_at, "error",
	                 name->err ? json_string(gai_strerror(name->err)) : json_null());
}

static json_t *names_status(const struct gate *g)
{
	const struct policy *p = g->now.policy;
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < p->destinations; i++) {
		const struct policy_destination *d = &p->destination[i];

		for (uint32_t k = 0; k < d->hosts; k++) {
			const struct name *name = names_find(&g->now.names, d->host[k]);

			if (name)
				(void)json_array_append_new(a, name_status(g, d, name));
		}
	}
	return a;
}

static json_t *ledgers_status(const struct gate *g)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < g->now.policy->ledgers; i++)
		(void)json_array_append_new(a, json_pack("{s:s, s:s}", "name",
		                                         g->now.policy->ledger[i].name, "url",
		                                         g->now.policy->ledger[i].url));
	return a;
}

static json_t *heads_status(const struct gate *g)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < g->state.n; i++) {
		const struct state_head *h = &g->state.head[i];
		char root[2 * HASH_LEN + 1];

		hex_encode(BYTES_OF(h->last.cp.root.v), root);
		(void)json_array_append_new(
		        a, json_pack("{s:o, s:I, s:s, s:I}", "origin",
		                     audit_text(h->last.cp.origin, sizeof(h->last.cp.origin)),
		                     "size", (json_int_t)h->last.cp.size, "root", root, "saved_at",
		                     (json_int_t)h->saved_at));
	}
	return a;
}

static json_t *roles_status(const struct gate *g)
{
	json_t *a = json_pack("[{s:s, s:I}]", "name", "gate", "pid", (json_int_t)getpid());

	for (size_t i = 0; a && i < ROLES; i++)
		(void)json_array_append_new(a, json_pack("{s:s, s:I}", "name", g->role[i].name,
		                                         "pid", (json_int_t)g->role[i].pid));
	return a;
}

static json_t *counters(struct gate *g)
{
	static const char *const names[GATE_STAT_MAX] = {
	        [GATE_STAT_GATED] = "gated",
	        [GATE_STAT_DENIED] = "denied",
	        [GATE_STAT_NO_LISTENER] = "no_listener",
	        [GATE_STAT_DATAGRAM] = "datagram",
	        [GATE_STAT_BACKSTOP] = "backstop",
	        [GATE_STAT_CUT] = "cut",
	        [GATE_STAT_REVOKED] = "revoked",
	        [GATE_STAT_MAP_FULL] = "map_full",
	        [GATE_STAT_EVENT_LOST] = "event_lost",
	        [GATE_STAT_ANSWER] = "answer",
	        [GATE_STAT_MONITORED] = "monitored",
	        [GATE_STAT_MONITOR_LOST] = "monitor_lost",
	};
	const struct gate_counters *c = &g->count;
	uint64_t stat[GATE_STAT_MAX] = {0};
	json_t *o =
	        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "accepted",
	                  (json_int_t)c->accepted, "appraised", (json_int_t)c->appraised, "resumed",
	                  (json_int_t)c->resumed, "released", (json_int_t)c->released, "refused",
	                  (json_int_t)c->refused, "closed", (json_int_t)c->closed,
	                  "revoked_sessions", (json_int_t)c->revoked, "lease_over",
	                  (json_int_t)c->lease_over, "monitor_looks", (json_int_t)c->monitored);

	(void)intercept_stats(g->ic, stat);
	for (size_t i = 0; o && i < GATE_STAT_MAX; i++)
		(void)json_object_set_new(o, names[i], json_integer((json_int_t)stat[i]));
	return o;
}

static json_t *sessions_status(const struct gate *g)
{
	json_int_t live = 0;

	for (uint32_t i = 0; i < g->sessions.n; i++)
		live += g->sessions.slot[i]->state == SESSION_LIVE;
	return json_pack("{s:I, s:I, s:I}", "capacity", (json_int_t)SESSIONS_MAX, "opening",
	                 (json_int_t)g->sessions.open - live, "live", live);
}

static json_t *guard_status(const struct gate *g)
{
	const char *off = intercept_guard_off(g->ic);

	return json_pack("{s:b, s:s?}", "on", !off, "off", off);
}

static json_t *verb_status(struct gate *g, uint64_t client, json_t *request)
{
	struct utsname u = {.release = ""};
	uint32_t forks = 0;

	(void)client, (void)request;
	(void)uname(&u);
	for (uint32_t i = 0; i < g->state.n; i++)
		forks += g->state.head[i].forks;
	return json_pack(
	        "{s:b, s:s, s:s, s:I, s:I, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:I, s:o, "
	        "s:o, s:o, s:o, s:o, s:s, s:o, s:o}",
	        "ok", 1, "version", KEYGATE_VERSION, "kernel", u.release, "pid",
	        (json_int_t)getpid(), "started_at", (json_int_t)g->started_at, "armed",
	        intercept_armed(g->ic), "keyring_watch", g->watch, "tunnels_refused",
	        intercept_tunnels_refused(g->ic), "self_test", selftests(g), "policy",
	        policy_status(g), "names", names_status(g), "ledgers", ledgers_status(g), "heads",
	        heads_status(g), "forks", (json_int_t)forks, "roles", roles_status(g), "sessions",
	        sessions_status(g), "counters", counters(g), "collateral", collateral_status(g),
	        "namespaces", spaces_status(g), "handshake_upcall", upcall_status(g), "monitor",
	        monitor_status(g), "guard", guard_status(g));
}

static json_t *verb_verdicts(struct gate *g, uint64_t client, json_t *request)
{
	json_t *limit = json_object_get(request, "limit");
	json_int_t n = limit ? json_integer_value(limit) : CONTROL_RECORDS_MAX;
	json_t *a = json_array();

	(void)client;
	if (n < 1 || n > CONTROL_RECORDS_MAX) {
		json_decref(a);
		return control_error(CONTROL_USAGE, "limit is a number from 1 to %d",
		                     CONTROL_RECORDS_MAX);
	}
	for (uint64_t i = g->records; a && i > 0 && n > 0; i--, n--) {
		json_t *record = g->record[(i - 1) % CONTROL_RECORDS_MAX];

		if (!record || g->records - i >= CONTROL_RECORDS_MAX)
			break;
		(void)json_array_append(a, record);
	}
	return json_pack("{s:b, s:o}", "ok", 1, "verdicts", a);
}

/* ------------------------------------------------------------------ explain */

struct addresses {
	uint32_t n;
	uint8_t v[2 * NAMES_ADDRS_MAX][16];
};

static void add_address(struct addresses *a, const uint8_t addr[static 16])
{
	for (uint32_t i = 0; i < a->n; i++) {
		if (!memcmp(a->v[i], addr, sizeof(a->v[i])))
			return;
	}
	if (a->n < sizeof(a->v) / sizeof(a->v[0]))
		memcpy(a->v[a->n++], addr, sizeof(a->v[0]));
}

/* What the host is known by: itself, what keygated resolved, what the client resolved. */
static bool addresses_of(const struct gate *g, const char *host, json_t *given,
                         struct addresses *out)
{
	const struct name *name = names_find(&g->now.names, host);
	uint8_t addr[16];
	json_t *text;
	size_t i;

	if (names_address_parse(host, addr))
		add_address(out, addr);
	for (uint32_t k = 0; name && k < name->n; k++)
		add_address(out, name->addr[k]);
	for (uint32_t k = 0; k < g->learned.n; k++)
		if (!strcasecmp(g->learned.v[k].host, host))
			add_address(out, g->learned.v[k].addr);
	json_array_foreach(given, i, text)
	{
		if (!json_is_string(text) || !names_address_parse(json_string_value(text), addr))
			return false;
		add_address(out, addr);
	}
	return true;
}

static json_t *matches_of(const struct gate *g, const struct addresses *a, uint16_t port,
                          const struct policy_who *who)
{
	const struct policy *p = g->now.policy;
	struct policy_resolved *names = NULL;
	size_t n = 0;
	json_t *out = names_resolved(&g->now.names, &g->learned, p, NULL, &names, &n)
	                      ? NULL
	                      : json_array();

	for (uint32_t i = 0; out && i < a->n; i++) {
		if (json_array_append_new(out,
		                          policy_match_json(p, names, n, a->v[i], port, who))) {
			json_decref(out);
			out = NULL;
		}
	}
	free(names);
	return out;
}

/* The record of the first destination that matches one of the addresses; NULL: none. */
static json_t *last_of(const struct gate *g, const json_t *matches)
{
	const json_t *m;
	size_t i;

	json_array_foreach(matches, i, m)
	{
		const char *name = json_string_value(json_object_get(m, "destination"));

		if (name)
			return json_object_get(g->last, name);
	}
	return NULL;
}

/* As far as the request tells. False: it is no application. */
static bool who_of(json_t *request, struct policy_who *out)
{
	json_t *user = json_object_get(request, "user");
	json_t *unit = json_object_get(request, "unit");
	json_t *cgroup = json_object_get(request, "cgroup");
	json_t *exe = json_object_get(request, "executable");
	json_int_t uid = json_integer_value(user);

	*out = (struct policy_who){.has_uid = user != NULL,
	                           .uid = (uint32_t)uid,
	                           .unit = json_string_value(unit),
	                           .cgroup = json_string_value(cgroup),
	                           .executable = json_string_value(exe)};
	return (!user || (json_is_integer(user) && uid >= 0 && uid < UINT32_MAX)) &&
	       (!unit || out->unit) && (!cgroup || out->cgroup) && (!exe || out->executable);
}

static json_t *verb_explain(struct gate *g, uint64_t client, json_t *request)
{
	const char *host = json_string_value(json_object_get(request, "host"));
	json_t *port = json_object_get(request, "port");
	json_t *given = json_object_get(request, "addresses");
	struct addresses a = {0};
	struct policy_who who;
	json_t *matches;
	json_t *last;

	(void)client;
	if (!host || !json_is_integer(port) || json_integer_value(port) < 1 ||
	    json_integer_value(port) > UINT16_MAX || (given && !json_is_array(given)) ||
	    !addresses_of(g, host, given, &a) || !who_of(request, &who))
		return control_error(CONTROL_USAGE,
		                     "explain needs a host, a port from 1 to 65535 and, if any, "
		                     "addresses and a user in numbers, and unit, cgroup and "
		                     "executable as text");
	matches = matches_of(g, &a, (uint16_t)json_integer_value(port), &who);
	last = last_of(g, matches);
	return json_pack("{s:b, s:O, s:O, s:b, s:o, s:O}", "ok", 1, "host",
	                 json_object_get(request, "host"), "port", port, "armed",
	                 intercept_armed(g->ic), "matches", matches, "last",
	                 last ? last : json_null());
}

static json_t *verb_probe(struct gate *g, uint64_t client, json_t *request)
{
	const char *address = json_string_value(json_object_get(request, "address"));
	json_t *port = json_object_get(request, "port");
	uint8_t addr[16];

	if (!address || !names_address_parse(address, addr) || !json_is_integer(port) ||
	    json_integer_value(port) < 1 || json_integer_value(port) > UINT16_MAX)
		return control_error(
		        CONTROL_USAGE,
		        "probe needs an address in numbers and a port from 1 to 65535");
	return probe_open(g, client, addr, (uint16_t)json_integer_value(port));
}

/* ------------------------------------------------------------------- change */

static void revoke_one(struct gate *g, struct session *s)
{
	g->count.revoked++;
	flow_cut(g, s, "session.revoked", "by keygate revoke");
}

static json_t *revoke_session(struct gate *g, json_int_t id)
{
	struct session *s = id > 0 ? session_find(&g->sessions, (uint64_t)id) : NULL;

	if (s && s->state != SESSION_CLOSING)
		revoke_one(g, s);
	else if (id <= 0 || !flow_revoke_tails(g, (uint64_t)id, ""))
		return control_error(CONTROL_NO, "no open session %" JSON_INTEGER_FORMAT, id);
	return json_pack("{s:b, s:I, s:I}", "ok", 1, "revoked", (json_int_t)1, "leases",
	                 (json_int_t)0);
}

/* First those that wait: the end of the one that they wait for would let the next one go on. */
static json_int_t revoke_sessions(struct gate *g, const char *name)
{
	json_int_t n = 0;

	for (int waiting = 1; waiting >= 0; waiting--) {
		for (uint32_t i = 0; i < g->sessions.n; i++) {
			struct session *s = g->sessions.slot[i];

			if (strcmp(s->name, name) || s->state == SESSION_CLOSING ||
			    (waiting && s->state != SESSION_WAITING))
				continue;
			revoke_one(g, s);
			n++;
		}
	}
	return n;
}

static json_t *revoke_destination(struct gate *g, const char *name)
{
	const struct policy *p = g->now.policy;
	json_int_t leases, n;
	bool known = false;

	for (uint32_t i = 0; i < p->destinations; i++)
		known |= !strcmp(p->destination[i].name, name);
	if (!known)
		return control_error(CONTROL_NO, "no destination \"%s\" in the policy", name);
	n = revoke_sessions(g, name);
	leases = leases_revoke(g, 0, name);
	n += flow_revoke_tails(g, 0, name);
	return json_pack("{s:b, s:I, s:I}", "ok", 1, "revoked", n, "leases", leases);
}

static json_t *revoke_lease(struct gate *g, json_int_t id)
{
	uint32_t n = id > 0 ? leases_revoke(g, (uint64_t)id, "") : 0;

	if (!n)
		return control_error(CONTROL_NO, "no lease of session %" JSON_INTEGER_FORMAT, id);
	return json_pack("{s:b, s:I, s:I}", "ok", 1, "revoked", (json_int_t)0, "leases",
	                 (json_int_t)n);
}

static json_t *verb_revoke(struct gate *g, uint64_t client, json_t *request)
{
	json_t *id = json_object_get(request, "session");
	json_t *lease = json_object_get(request, "lease");
	json_t *name = json_object_get(request, "destination");

	(void)client;
	if (json_is_integer(id) && !name && !lease)
		return revoke_session(g, json_integer_value(id));
	if (json_is_integer(lease) && !name && !id)
		return revoke_lease(g, json_integer_value(lease));
	if (json_is_string(name) && !id && !lease)
		return revoke_destination(g, json_string_value(name));
	return control_error(CONTROL_USAGE,
	                     "revoke needs a session's number, a destination, or the number of the "
	                     "session that a lease is from");
}

static json_t *verb_leases(struct gate *g, uint64_t client, json_t *request)
{
	(void)client, (void)request;
	return leases_status(g);
}

static json_t *verb_reload(struct gate *g, uint64_t client, json_t *request)
{
	json_t *error = NULL;

	(void)request;
	if (reload_begin(g, client, &error))
		return no_memory(error);
	return NULL; /* answered when it is in force, or not */
}

static json_t *set_armed(struct gate *g, bool armed)
{
	int ret = intercept_arm(g->ic, armed);

	if (ret)
		return control_error(CONTROL_UNAVAILABLE, "the kernel half can't be told: %s",
		                     strerror(-ret));
	audit_emit(g->audit, armed ? "armed" : "disarmed", NULL);
	if (armed)
		reload_sweep(g);
	return json_pack("{s:b, s:b}", "ok", 1, "armed", armed);
}

static json_t *verb_arm(struct gate *g, uint64_t client, json_t *request)
{
	(void)client, (void)request;
	return set_armed(g, true);
}

static json_t *verb_disarm(struct gate *g, uint64_t client, json_t *request)
{
	(void)client, (void)request;
	return set_armed(g, false);
}

static json_t *verb_watch(struct gate *g, uint64_t client, json_t *request)
{
	(void)request;
	control_watch(g->control, client);
	return json_pack("{s:b, s:b}", "ok", 1, "watching", 1);
}

/* -------------------------------------------------------------------- verbs */

static const struct verb {
	const char *name;
	json_t *(*fn)(struct gate *g, uint64_t client, json_t *request);
	const char *members[8]; /* that a request may have beside "verb" */
} verbs[] = {
        {"status", verb_status, {NULL}},
        {"sessions", view_sessions, {NULL}},
        {"leases", verb_leases, {NULL}},
        {"explain",
         verb_explain,
         {"host", "port", "addresses", "user", "unit", "cgroup", "executable", NULL}},
        {"probe", verb_probe, {"address", "port", NULL}},
        {"verdicts", verb_verdicts, {"limit", NULL}},
        {"ledger", verb_ledger, {NULL}},
        {"ledger-evidence", verb_ledger_evidence, {"origin", "at", NULL}},
        {"ledger-forget", verb_ledger_forget, {"origin", NULL}},
        {"ledger-watch", verb_ledger_watch, {NULL}},
        {"revoke", verb_revoke, {"session", "destination", "lease", NULL}},
        {"reload", verb_reload, {NULL}},
        {"arm", verb_arm, {NULL}},
        {"disarm", verb_disarm, {NULL}},
        {"watch", verb_watch, {NULL}},
};

/* The first member that the verb doesn't have, or NULL. */
static const char *unknown_member(const struct verb *v, json_t *request)
{
	const char *key;
	json_t *value;

	json_object_foreach(request, key, value)
	{
		size_t i = 0;

		if (!strcmp(key, "verb"))
			continue;
		while (v->members[i] && strcmp(v->members[i], key))
			i++;
		if (!v->members[i])
			return key;
	}
	return NULL;
}

json_t *verbs_answer(void *ctx, uint64_t client, json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "verb"));

	if (!name)
		return no_memory(control_error(CONTROL_USAGE, "the request has no verb"));
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		const char *stray;
		json_t *answer;

		if (strcmp(verbs[i].name, name))
			continue;
		stray = unknown_member(&verbs[i], request);
		if (stray)
			return no_memory(control_error(CONTROL_USAGE, "%s has no member \"%s\"",
			                               name, stray));
		answer = verbs[i].fn(ctx, client, request);
		return answer || verbs[i].fn == verb_reload || verbs[i].fn == view_sessions
		               ? answer
		               : no_memory(NULL);
	}
	return no_memory(control_error(CONTROL_USAGE, "no verb \"%s\"", name));
}
