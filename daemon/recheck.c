/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verdicts under collateral that is newer than they are. When a revocation list or a vendor's word
 * on firmware was fetched anew, or a policy came into force and with it what lies in the collateral
 * directories, each live session's evidence goes to verify once more; what it refuses now is cut.
 * What it can't judge stands until the verdict's own end. One session at a time, so that new
 * connections never wait behind all of them.
 *
 * Knows nothing of what is in the evidence.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/codes.h"
#include "core/file.h"

void recheck_shown(struct gate *g, uint64_t id, const struct msg_shown *m, int fd)
{
	struct session *s = session_find(&g->sessions, id);
	uint8_t *cmw = NULL;
	size_t n;

	if (!s || !s->with_verify || s->shown) {
		gate_fatal(g, "verify showed what it was not asked for");
		return;
	}
	/* Without it newer collateral will end the session. */
	if (s->state == SESSION_APPRAISING && !file_read_fd(fd, SHOWN_MAX, &cmw, &n))
		s->shown = shown_new(m, cmw, n);
}

/* Who publishes what evidence of this kind is judged by. */
static enum collateral_vendor vendor_of(const char *tee)
{
	if (!strcmp(tee, attest_tee_name(TEE_SNP)))
		return VENDOR_AMD;
	if (!strcmp(tee, attest_tee_name(TEE_TDX)) || !strcmp(tee, attest_tee_name(TEE_SGX)))
		return VENDOR_INTEL;
	return VENDOR_NONE;
}

/* One that takes up a lease rests on what was shown for that before its peer has said a word. */
static bool can_be_judged(const struct session *s)
{
	return s->state == SESSION_HANDOVER || s->state == SESSION_LIVE ||
	       (s->state == SESSION_CONNECTING && s->offer.serial);
}

static const struct verdict *rests_on(const struct session *s)
{
	return s->verdict ? s->verdict : s->lease;
}

/* Verdicts that verify made before it had the news have come before the word that it has them. */
void recheck_news(struct gate *g, enum collateral_vendor vendor)
{
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		struct session *s = g->sessions.slot[i];

		if (can_be_judged(s) && rests_on(s) &&
		    (vendor == VENDOR_NONE || vendor_of(rests_on(s)->tee) == vendor))
			s->stale = true;
	}
	recheck_tick(g);
}

/* False: it was not sent. */
static bool ask(struct gate *g, const struct session *s)
{
	struct msg_recheck m = {.destination = s->destination,
	                        .generation = s->generation,
	                        .at = gate_now(),
	                        .shown = s->shown->by};
	int fd = file_memfd("shown", (struct bytes){s->shown->cmw, s->shown->n});

	if (fd < 0)
		return false;
	g->rechecking = shown_hold(s->shown);
	(void)gate_send(g, ROLE_VERIFY, MSG_RECHECK, s->id, &m, fd);
	close(fd);
	/* Those that rest on a lease share what the one that brought it has shown. */
	for (uint32_t i = 0; i < g->sessions.n; i++)
		if (g->sessions.slot[i]->shown == s->shown)
			g->sessions.slot[i]->stale = false;
	return true;
}

/* Whoever else would rest on it: a lease may have come of it after the news. */
static void end_leases(struct gate *g, uint64_t session, const struct shown *shown)
{
	for (struct lease *l = NULL; (l = lease_next(&g->leases, l));)
		if (l->held.session == session || (shown && l->held.shown == shown))
			leases_end(g, l, "collateral");
}

static void cut(struct gate *g, struct session *s, const char *code, const char *detail)
{
	end_leases(g, s->id, s->shown);
	flow_cut(g, s, code, detail);
}

void recheck_tick(struct gate *g)
{
	for (uint32_t i = 0; i < g->sessions.n && !g->rechecking; i++) {
		struct session *s = g->sessions.slot[i];

		if (!s->stale)
			continue;
		s->stale = false;
		if (can_be_judged(s) && (!s->shown || !ask(g, s)))
			cut(g, s, "session.collateral", "it can't be judged again");
	}
}

static void rechecked(struct gate *g, struct session *s, const struct msg_rechecked *m)
{
	const struct code *code = memchr(m->code, 0, sizeof(m->code)) ? code_find(m->code) : NULL;

	if (m->result == CHECK_FAIL)
		cut(g, s, code ? code->id : "session.collateral", m->detail);
	else if (m->result != CHECK_PASS)
		audit_emit(g->audit, "session-not-rechecked",
		           json_pack("{s:I, s:s, s:o}", "session", (json_int_t)s->id, "code",
		                     code ? code->id : "", "detail",
		                     audit_text(m->detail, sizeof(m->detail))));
}

void recheck_done(struct gate *g, const struct msg_rechecked *m)
{
	if (!g->rechecking || !memchr(m->detail, 0, sizeof(m->detail)) || m->result > CHECK_PASS) {
		gate_fatal(g, "verify answered what it was not asked");
		return;
	}
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		struct session *s = g->sessions.slot[i];

		if (s->shown == g->rechecking && can_be_judged(s))
			rechecked(g, s, m);
	}
	if (m->result == CHECK_FAIL)
		end_leases(g, 0, g->rechecking);
	shown_drop(g->rechecking);
	g->rechecking = NULL;
	recheck_tick(g);
}
