/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs for destinations that staple none: the policy has the logged statement itself (`leaf`),
 * and once the head of its log is known, where it stands in the log is looked for in the
 * background. With each newer head, and each newer note of the same, verify is given the proof
 * anew, so that it never gets stale while the log can be reached. No connection waits for it. What
 * fetch brings is believed by nobody: verify judges the proof like one that a peer sent.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/file.h"

enum { PROOFS_MAX = 64, RETRY_FIRST_S = 30, RETRY_MAX_S = 3600 };

struct proof {
	uint32_t ledger;
	char origin[NOTE_NAME_MAX + 1];
	struct hash leaf;
	bool have;
	uint64_t size; /* of the tree that the path is of */
	uint64_t index;
	struct hash path[PATH_MAX_HASHES];
	uint32_t path_n;
	int64_t told_at; /* ledger_last's at, when verify was given it; 0: never */
	uint64_t next_ns;
	uint32_t failures;
};

struct proofs {
	uint32_t generation, n, at;
	bool asking;
	uint64_t request;
	uint64_t size; /* of the tree that is asked about */
	struct proof v[PROOFS_MAX];
};

int proofs_open(struct gate *g)
{
	g->proofs = calloc(1, sizeof(*g->proofs));
	return g->proofs ? 0 : -ENOMEM;
}

void proofs_close(struct gate *g)
{
	free(g->proofs);
	g->proofs = NULL;
}

static struct proof *find(struct proofs *p, const char *origin, const struct hash *leaf)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (!memcmp(&p->v[i].leaf, leaf, sizeof(*leaf)) && !strcmp(p->v[i].origin, origin))
			return &p->v[i];
	return NULL;
}

static void add(struct proofs *p, const struct proofs *old, uint32_t ledger, const char *origin,
                struct bytes leaf)
{
	struct proof one = {.ledger = ledger};
	const struct proof *was;

	ledger_leaf_hash(leaf, &one.leaf);
	memcpy(one.origin, origin, strlen(origin) + 1);
	if (p->n == PROOFS_MAX || find(p, origin, &one.leaf))
		return;
	was = find((struct proofs *)(uintptr_t)old, origin, &one.leaf);
	if (was) {
		one = *was;
		one.ledger = ledger;
		one.next_ns = 0;
		one.failures = 0;
	}
	p->v[p->n++] = one;
}

static void of_policy(struct gate *g)
{
	const struct policy *policy = g->now.policy;
	struct proofs *p = g->proofs, *old = malloc(sizeof(*old));

	if (!old)
		return;
	*old = *p;
	p->n = 0;
	p->generation = g->now.generation;
	for (uint32_t i = 0; i < policy->destinations; i++) {
		const struct policy_destination *d = &policy->destination[i];
		const struct tlog_policy *t;

		if (d->ledger < 0)
			continue;
		t = policy->ledger[d->ledger].tlog;
		for (uint32_t k = 0; k < d->leaves; k++)
			for (uint32_t l = 0; l < t->logs; l++)
				add(p, old, (uint32_t)d->ledger, t->log[l].name, d->leaf[k]);
	}
	free(old);
}

/* The path with the newest note of the head that it leads to. */
static void tell(struct gate *g, struct proof *p, int64_t at)
{
	struct tlog_proof proof = {.index = p->index, .path_n = p->path_n};
	struct msg_proof m = {.leaf = p->leaf};
	struct buf text = buf_make(TLOG_PROOF_MAX);
	uint8_t *note = NULL;
	size_t n = 0;
	int fd = -1;

	memcpy(proof.path, p->path, sizeof(proof.path));
	memcpy(m.origin, p->origin, sizeof(m.origin));
	if (!state_note(&g->state, p->origin, &note, &n)) {
		proof.checkpoint = (struct bytes){note, n};
		if (!ledger_proof_format(&proof, &text))
			fd = file_memfd("proof", buf_view(&text));
	}
	if (fd >= 0) {
		p->told_at = at;
		(void)gate_send(g, ROLE_VERIFY, MSG_PROOF, 0, &m, fd);
		close(fd);
	}
	buf_free(&text);
	free(note);
}

static void ask(struct gate *g, struct proof *p, const struct checkpoint *cp)
{
	const struct policy_ledger *l = &g->now.policy->ledger[p->ledger];
	const char *url = heads_url(l, p->origin);
	struct msg_prove m = {.size = cp->size,
	                      .root = cp->root,
	                      .leaf = p->leaf,
	                      .have = p->have,
	                      .index = p->index};

	if (!url[0])
		return;
	memcpy(m.url, url, strnlen(url, sizeof(m.url) - 1));
	memcpy(m.ca, l->ca, sizeof(m.ca));
	g->proofs->size = cp->size;
	g->proofs->at = (uint32_t)(p - g->proofs->v);
	g->proofs->asking = true;
	g->proofs->request = ++g->requests;
	(void)gate_send(g, ROLE_FETCH, MSG_PROVE, g->proofs->request, &m, -1);
}

void proofs_tick(struct gate *g)
{
	struct proofs *p = g->proofs;
	uint64_t now = gate_boot_ns();

	if (!p || p->asking || !g->now.policy)
		return;
	if (p->generation != g->now.generation)
		of_policy(g);
	for (uint32_t i = 0; i < p->n && !p->asking; i++) {
		struct proof *x = &p->v[i];
		struct ledger_last last;

		state_last(&g->state, x->origin, &last);
		if (!last.known)
			continue;
		if (x->have && x->size == last.cp.size) {
			if (!x->told_at || x->told_at != last.at)
				tell(g, x, last.at);
		} else if (x->next_ns <= now) {
			ask(g, x, &last.cp);
		}
	}
}

static void tell_failed(struct gate *g, struct proof *p, int32_t err)
{
	int64_t wait = RETRY_FIRST_S;
	json_int_t next;

	for (uint32_t i = 0; i < p->failures && wait < RETRY_MAX_S; i++)
		wait *= 2;
	if (wait > RETRY_MAX_S)
		wait = RETRY_MAX_S;
	next = gate_now() + wait;
	p->failures++;
	p->next_ns = gate_boot_ns() + (uint64_t)wait * 1000000000u;
	audit_emit(g->audit, "ledger-proof",
	           json_pack("{s:o, s:s, s:I}", "origin", audit_text(p->origin, sizeof(p->origin)),
	                     "error",
	                     err == -ESRCH ? "the statement is not in the log"
	                                   : strerror(err < 0 ? -err : err),
	                     "next_try", next));
}

void proofs_proved(struct gate *g, uint64_t request, const struct msg_proved *m)
{
	struct proofs *p = g->proofs;
	struct ledger_last last;
	struct proof *x;

	if (!p || !p->asking || request != p->request || m->n > PATH_MAX_HASHES) {
		gate_fatal(g, "fetch answered what it was not asked");
		return;
	}
	p->asking = false;
	/* The policy changed in between: it is asked again. */
	if (p->generation != g->now.generation)
		return;
	x = &p->v[p->at];
	if (m->err) {
		tell_failed(g, x, m->err);
		return;
	}
	x->have = true;
	x->failures = 0;
	x->size = p->size;
	x->index = m->index;
	x->path_n = m->n;
	memcpy(x->path, m->path, sizeof(x->path));
	state_last(&g->state, x->origin, &last);
	if (last.known && last.cp.size == x->size)
		tell(g, x, last.at);
}
