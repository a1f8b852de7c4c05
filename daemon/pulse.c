/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is everything alive? Each role is asked by PING and answers by PONG, in its turn: relay from a
 * worker, so that its loop and its pool are both known to go on. A role that is silent for longer
 * than it may ever take ends keygated, as one that died does; the kernel half then refuses. What
 * the service manager is told is told here: WATCHDOG=1 comes from gate's loop and only while no
 * role is overdue, so that a gate that hangs is noticed from outside.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "daemon/log.h"
#include "daemon/notify.h"

enum { EVERY_MS = 5000, STATUS_MAX = 256 };

/* Of silence with a question before it: anything that it says counts. */
static const uint32_t silent_ms[ROLES] = {
        [ROLE_RELAY] = 30000,
        [ROLE_VERIFY] = VERIFY_HUNG_MS,
        /* Names and transfers have limits of their own; servers of names that don't answer may
         * hold it for minutes. */
        [ROLE_FETCH] = 300000,
};

struct pulse {
	int manager; /* notify.h's socket; -1: there is none */
	uint64_t every_ns, next_ns;
	uint64_t since_ns[ROLES]; /* its last word, or the question */
	bool asked[ROLES];        /* and it has not answered */
	char status[STATUS_MAX];  /* as last told */
};

/* Time that the host sleeps through is nobody's silence. */
uint64_t pulse_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int pulse_open(struct gate *g)
{
	uint64_t watchdog_ns = notify_watchdog_us();

	watchdog_ns = watchdog_ns > UINT64_MAX / 1000 ? 0 : watchdog_ns * 1000;
	g->pulse = calloc(1, sizeof(*g->pulse));
	if (!g->pulse)
		return -ENOMEM;
	g->pulse->every_ns = (uint64_t)EVERY_MS * 1000000u;
	if (watchdog_ns && watchdog_ns / 4 < g->pulse->every_ns)
		g->pulse->every_ns = watchdog_ns / 4;
	g->pulse->manager = notify_open();
	if (g->pulse->manager < 0 && g->pulse->manager != -ENODATA)
		log_event("no-notify", "reason: $NOTIFY_SOCKET is no use, error: %s",
		          strerror(-g->pulse->manager));
	return 0;
}

void pulse_close(struct gate *g)
{
	if (g->pulse && g->pulse->manager >= 0)
		close(g->pulse->manager);
	free(g->pulse);
	g->pulse = NULL;
}

/* ------------------------------------------------------------ the manager */

/* What "systemctl status" shows. */
static void status(struct gate *g, char out[static STATUS_MAX])
{
	uint32_t gated = 0, monitored = 0;
	char only[64] = "";

	for (uint32_t i = 0; i < g->now.policy->destinations; i++) {
		gated += g->now.policy->destination[i].action == POLICY_GATE;
		monitored += g->now.policy->destination[i].action == POLICY_MONITOR;
	}
	if (monitored)
		snprintf(only, sizeof(only), ", %u ONLY MONITORED, NOT PROTECTED", monitored);
	snprintf(out, STATUS_MAX, "%s; policy %u, %u destination%s gated%s; %u session%s%s",
	         intercept_armed(g->ic) ? "Armed" : "DISARMED, nothing is gated", g->now.generation,
	         gated, gated == 1 ? "" : "s", only, g->sessions.n, g->sessions.n == 1 ? "" : "s",
	         g->last_error ? "; the last reload was refused" : "");
}

static void tell_status(struct gate *g, const char *before)
{
	struct pulse *p = g->pulse;
	char text[STATUS_MAX];

	if (!g->now.policy)
		return;
	status(g, text);
	if (!before[0] && !strcmp(text, p->status))
		return;
	memcpy(p->status, text, sizeof(text));
	notify_send(p->manager, "%sSTATUS=%s", before, text);
}

void pulse_ready(struct gate *g)
{
	if (g->pulse)
		tell_status(g, "READY=1\n");
}

void pulse_reloading(struct gate *g)
{
	if (g->pulse)
		notify_send(g->pulse->manager, "RELOADING=1\nMONOTONIC_USEC=%llu",
		            (unsigned long long)(pulse_now() / 1000));
}

void pulse_stopping(struct gate *g)
{
	if (g->pulse)
		notify_send(g->pulse->manager,
		            "STOPPING=1\nSTATUS=Stopping; what is gated is refused");
}

/* ---------------------------------------------------------------- the roles */

void pulse_heard(struct gate *g, enum gate_role role, bool pong)
{
	struct pulse *p = g->pulse;

	if (!p)
		return;
	if (pong && !p->asked[role]) {
		gate_fatal(g, "%s answered what it was not asked", g->role[role].name);
		return;
	}
	p->since_ns[role] = pulse_now();
	if (pong)
		p->asked[role] = false;
}

static bool overdue(const struct gate *g, size_t role, uint64_t now)
{
	const struct pulse *p = g->pulse;
	struct pollfd in = {.fd = g->role[role].sock, .events = POLLIN};

	/* A word that is there counts, should it be gate that was held up. */
	return p->asked[role] && now > p->since_ns[role] &&
	       now - p->since_ns[role] >= (uint64_t)silent_ms[role] * 1000000u &&
	       poll(&in, 1, 0) != 1;
}

void pulse_tick(struct gate *g, uint64_t now)
{
	struct pulse *p = g->pulse;

	if (!p || now < p->next_ns)
		return;
	p->next_ns = now + p->every_ns;
	for (size_t i = 0; i < ROLES; i++) {
		if (!overdue(g, i, now))
			continue;
		gate_fatal(g, "%s hangs: no answer for %u s", g->role[i].name, silent_ms[i] / 1000);
		return;
	}
	for (size_t i = 0; i < ROLES && !g->stop; i++) {
		if (p->asked[i])
			continue;
		p->asked[i] = true;
		p->since_ns[i] = now;
		(void)gate_send(g, (enum gate_role)i, MSG_PING, 0, NULL, -1);
	}
	if (g->stop)
		return;
	notify_send(p->manager, "WATCHDOG=1");
	tell_status(g, "");
}
