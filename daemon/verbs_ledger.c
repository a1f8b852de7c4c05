/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket's verbs about ledgers: how they are followed, what was seen of them, what
 * shows that one forked, which entries nobody expected. control.h has the protocol.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <string.h>

static json_t *hash_text(const struct hash *h)
{
	char hex[2 * HASH_LEN + 1];

	hex_encode(BYTES_OF(h->v), hex);
	return json_string(hex);
}

static json_t *earlier_of(const struct ledger_last *l)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < l->earlier_n; i++)
		(void)json_array_append_new(a, json_pack("{s:I, s:o, s:I}", "size",
		                                         (json_int_t)l->earlier[i].size, "root",
		                                         hash_text(&l->earlier[i].root), "at",
		                                         (json_int_t)l->earlier[i].at));
	return a;
}

static json_t *heads_of(const struct gate *g)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < g->state.n; i++) {
		const struct state_head *h = &g->state.head[i];
		const struct checkpoint *cp = &h->last.cp;

		(void)json_array_append_new(
		        a, json_pack("{s:o, s:I, s:o, s:I, s:I, s:b, s:I, s:o}", "origin",
		                     audit_text(cp->origin, sizeof(cp->origin)), "size",
		                     (json_int_t)cp->size, "root", hash_text(&cp->root), "at",
		                     (json_int_t)h->last.at, "saved_at", (json_int_t)h->saved_at,
		                     "forked", h->forked, "forks", (json_int_t)h->forks, "earlier",
		                     earlier_of(&h->last)));
	}
	return a;
}

json_t *verb_ledger(struct gate *g, uint64_t client, json_t *request)
{
	const struct policy *p = g->now.policy;
	json_t *a = json_array();

	(void)client, (void)request;
	for (uint32_t i = 0; a && i < p->ledgers; i++)
		(void)json_array_append_new(a,
		                            json_pack("{s:s, s:I, s:o}", "name", p->ledger[i].name,
		                                      "max_age", (json_int_t)p->ledger[i].max_age,
		                                      "sources", follow_status(g, i)));
	return json_pack("{s:b, s:o, s:o}", "ok", 1, "ledgers", a, "heads", heads_of(g));
}

/* Without its notes and hashes. */
static json_t *in_short(json_t *o)
{
	const json_t *c = json_object_get(o, "consistency");

	return json_pack("{s:O, s:O, s:O, s:I, s:I}", "origin", json_object_get(o, "origin"), "at",
	                 json_object_get(o, "at"), "peer", json_object_get(o, "peer"), "from",
	                 json_integer_value(json_object_get(c, "from")), "to",
	                 json_integer_value(json_object_get(c, "to")));
}

static json_t *all_evidence(const struct gate *g)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < g->state.n; i++) {
		json_t *list = state_evidence_list(&g->state, g->state.head[i].last.cp.origin);
		json_t *o;
		size_t k;

		json_array_foreach(list, k, o)
		{
			json_t *s = in_short(o);

			if (s)
				(void)json_array_append_new(a, s);
		}
		json_decref(list);
	}
	return a;
}

json_t *verb_ledger_evidence(struct gate *g, uint64_t client, json_t *request)
{
	const char *origin = json_string_value(json_object_get(request, "origin"));
	json_t *at = json_object_get(request, "at");
	json_t *list, *o, *found = NULL;
	size_t i;

	(void)client;
	if (!origin && !at)
		return json_pack("{s:b, s:o}", "ok", 1, "evidence", all_evidence(g));
	if (!origin || !json_is_integer(at))
		return control_error(CONTROL_USAGE,
		                     "ledger-evidence needs an origin and a time, or neither");
	list = state_evidence_list(&g->state, origin);
	json_array_foreach(list, i, o)
	{
		if (json_equal(json_object_get(o, "at"), at))
			found = json_incref(o);
	}
	json_decref(list);
	if (!found)
		return control_error(CONTROL_NO, "no evidence of that time about \"%s\"", origin);
	return json_pack("{s:b, s:o}", "ok", 1, "evidence", found);
}

json_t *verb_ledger_forget(struct gate *g, uint64_t client, json_t *request)
{
	const char *origin = json_string_value(json_object_get(request, "origin"));
	char path[PATH_MAX] = "";
	int ret;

	(void)client;
	if (!origin)
		return control_error(CONTROL_USAGE, "ledger-forget needs an origin");
	ret = heads_forget(g, origin, path);
	if (ret == -ENOENT)
		return control_error(CONTROL_NO, "no head of \"%s\" was seen", origin);
	if (ret)
		return control_error(CONTROL_UNAVAILABLE, "%s", strerror(-ret));
	return json_pack("{s:b, s:s}", "ok", 1, "moved_to", path);
}

json_t *verb_ledger_watch(struct gate *g, uint64_t client, json_t *request)
{
	json_t *logs = watch_status(g);

	(void)client, (void)request;
	if (json_array_size(logs))
		return json_pack("{s:b, s:o}", "ok", 1, "logs", logs);
	json_decref(logs);
	return control_error(CONTROL_USAGE, "no ledger of the policy has a watch");
}
