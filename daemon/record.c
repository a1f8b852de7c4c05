/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a session, as one JSON object that the audit file, `explain`, `verdicts` and
 * `watch` all show: control.h's RECORD.
 */
#include "daemon/gate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include "core/codes.h"

json_t *record_app(const struct gate_intent *app)
{
	return json_pack("{s:I, s:I, s:o, s:I}", "pid", (json_int_t)app->pid, "uid",
	                 (json_int_t)app->uid, "comm", audit_text(app->comm, sizeof(app->comm)),
	                 "cgroup", (json_int_t)app->cgroup);
}

void record_peer(const struct sockaddr_storage *a, char out[static 64])
{
	char text[INET6_ADDRSTRLEN] = "";
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (a->ss_family == AF_INET) {
		memcpy(&in, a, sizeof(in));
		inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
		snprintf(out, 64, "%s:%u", text, ntohs(in.sin_port));
	} else if (a->ss_family == AF_INET6) {
		memcpy(&in6, a, sizeof(in6));
		inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof(text));
		snprintf(out, 64, "[%s]:%u", text, ntohs(in6.sin6_port));
	} else {
		out[0] = '\0';
	}
}

static const char *outcome(const struct session *s, const char *code)
{
	return s->monitored ? "monitored" : *code ? "refused" : "released";
}

static json_t *make(const struct session *s, const char *code, const char *detail,
                    const struct verdict *v)
{
	const struct code *c = code_find(code);
	char peer[64];
	json_t *o;

	record_peer(&s->dst, peer);
	o = json_pack("{s:I, s:I, s:o, s:s, s:o, s:s, s:s, s:o, s:s, s:s, s:o, s:o}", "at",
	              (json_int_t)gate_now(), "session", (json_int_t)s->id, "destination",
	              audit_text(s->name, sizeof(s->name)), "peer", peer, "app",
	              record_app(&s->app), "mode", s->monitored ? "monitor" : "gate", "outcome",
	              outcome(s, code), "code", audit_text(code, CHECK_ID_MAX), "title",
	              c ? c->title : "", "advice", c ? c->advice : "", "detail",
	              audit_text(detail, CHECK_DETAIL_MAX), "verdict",
	              v ? verdict_to_json(v) : json_null());
	/* Of those that are released only the kernel says that they are protected. */
	if (o && s->monitored)
		(void)json_object_set_new(o, "protected", json_false());
	return o;
}

static void keep(struct gate *g, const struct session *s, json_t *record)
{
	json_t **slot = &g->record[g->records++ % CONTROL_RECORDS_MAX];

	json_decref(*slot);
	*slot = json_incref(record);
	if (s->name[0])
		(void)json_object_set(g->last, s->name, record);
}

void record_session(struct gate *g, const struct session *s, const char *code, const char *detail,
                    const struct verdict *v, json_t *more)
{
	json_t *record = make(s, code, detail, v);
	json_t *line = record ? json_copy(record) : NULL;
	char event[32];

	snprintf(event, sizeof(event), "session-%s", outcome(s, code));
	if (s->monitored)
		g->count.monitored++;
	else if (*code)
		g->count.refused++;
	else
		g->count.released++;
	if (record)
		keep(g, s, record);
	if (line && more)
		(void)json_object_update_missing(line, more);
	/* Whoever may connect at all can have these without end: without evidence, or by that of
	 * another session, for which it waited without a socket. */
	if (*code && (!v || !s->cookie) && flow_over_limit(g))
		json_decref(line);
	else
		audit_emit(g->audit, event, line);
	json_decref(record);
	json_decref(more);
}

json_t *record_issues(const struct policy_issues *issues, bool errors)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < issues->n && i < POLICY_ISSUES_MAX; i++) {
		const struct policy_issue *is = &issues->v[i];

		if (is->error && !errors)
			continue;
		if (json_array_append_new(
		            a, json_pack("{s:b, s:o, s:I, s:o}", "error", is->error, "file",
		                         audit_text(is->where.file, sizeof(is->where.file)), "line",
		                         (json_int_t)is->where.line, "text",
		                         audit_text(is->text, sizeof(is->text))))) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}
