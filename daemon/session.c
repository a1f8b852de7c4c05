/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of sessions and the rules of who may say what when.
 */
#include "daemon/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/secret.h"

const char *session_state_name(enum session_state s)
{
	switch (s) {
	case SESSION_FREE:
		return "free";
	case SESSION_WAITING:
		return "waiting";
	case SESSION_CONNECTING:
		return "connecting";
	case SESSION_APPRAISING:
		return "appraising";
	case SESSION_HANDOVER:
		return "handover";
	case SESSION_LIVE:
		return "live";
	case SESSION_CLOSING:
		return "closing";
	}
	return "free";
}

static bool is_open(enum session_state s)
{
	return s != SESSION_FREE && s != SESSION_CLOSING;
}

int session_new(struct session_table *t, uint64_t id, struct session **out)
{
	if (id == 0 || id <= t->last)
		return -EPROTO;
	if (t->n == SESSIONS_SLOTS)
		return -EUSERS;

	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->id = id;
	s->state = SESSION_CLOSING;
	t->last = id;
	t->slot[t->n++] = s;
	*out = s;
	return 0;
}

struct session *session_find(struct session_table *t, uint64_t id)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (t->slot[i]->id == id)
			return t->slot[i];
	}
	return NULL;
}

bool session_room(const struct session_table *t)
{
	return t->open < SESSIONS_MAX;
}

bool session_room_for(const struct session_table *t, const struct gate_intent *app, uint64_t home)
{
	uint32_t users = 0, there = 0;

	for (uint32_t i = 0; i < t->n; i++) {
		if (!is_open(t->slot[i]->state))
			continue;
		users += t->slot[i]->app.uid == app->uid;
		there += t->slot[i]->app.netns == app->netns;
	}
	return (app->uid == 0 || users < SESSIONS_UID) &&
	       (app->netns == home || there < SESSIONS_NETNS);
}

bool session_verify_room(const struct session_table *t, const char *name)
{
	uint32_t all = 0;
	uint32_t one = 0;

	for (uint32_t i = 0; i < t->n; i++) {
		if (!t->slot[i]->with_verify)
			continue;
		all++;
		one += !strcmp(t->slot[i]->name, name);
	}
	return all < SESSIONS_VERIFY && one < SESSIONS_VERIFY_ONE;
}

void session_enter(struct session_table *t, struct session *s, enum session_state state)
{
	t->open += (uint32_t)is_open(state) - (uint32_t)is_open(s->state);
	t->waiting +=
	        (uint32_t)(state == SESSION_WAITING) - (uint32_t)(s->state == SESSION_WAITING);
	s->state = state;
}

void session_question_end(struct session *s)
{
	if (!s->question)
		return;
	close(s->question->fd);
	secret_free(s->question, sizeof(*s->question));
	s->question = NULL;
}

void session_drop(struct session_table *t, struct session *s)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (t->slot[i] != s)
			continue;
		session_enter(t, s, SESSION_FREE);
		t->slot[i] = t->slot[--t->n];
		session_question_end(s);
		if (s->upcall)
			close(s->upcall->fd);
		free(s->upcall);
		free(s->verdict);
		free(s->lease);
		shown_drop(s->shown);
		secret_wipe(s, sizeof(*s));
		free(s);
		return;
	}
}

void session_free_all(struct session_table *t)
{
	while (t->n)
		session_drop(t, t->slot[0]);
}

static enum session_move only_in(const struct session *s, enum session_state state)
{
	if (s->state == SESSION_CLOSING)
		return MOVE_IGNORE;
	return s->state == state ? MOVE_DO : MOVE_FATAL;
}

enum session_move session_from_relay(const struct session *s, enum msg_type type)
{
	if (!s || s->closed)
		return MOVE_FATAL;
	switch (type) {
	case MSG_APPRAISE:
		return only_in(s, SESSION_CONNECTING);
	case MSG_RESUMED:
		return s->offer.serial ? only_in(s, SESSION_CONNECTING) : MOVE_FATAL;
	case MSG_RELEASE:
		return only_in(s, SESSION_HANDOVER);
	case MSG_REKEY:
	case MSG_LOOKED:
		return only_in(s, SESSION_LIVE);
	case MSG_CLOSED:
		return MOVE_DO;
	default:
		return MOVE_FATAL;
	}
}

enum session_move session_from_verify(const struct session *s)
{
	if (!s || !s->with_verify)
		return MOVE_FATAL;
	return s->state == SESSION_APPRAISING ? MOVE_DO : MOVE_IGNORE;
}
