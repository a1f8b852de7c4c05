/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the verification of a tlog-proof takes, beside the bare signature checks that it can't
 * do without: of the log and of three witnesses, under keys that were parsed before, by OpenSSL
 * alone. The tree has 10^9 leaves; of it only the path to one leaf is there, with siblings that are
 * nobody's, up to the root that is signed.
 *
 * Both are timed in turn in one run, and the least of each is compared: what another process of
 * the machine takes away can only make them longer.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/rand.h>
#include "ledger/ledger.h"
#include "tests/bench/clock.h"

enum { WITNESSES = 3, SIGNERS = 1 + WITNESSES, ROUNDS = 500, ED25519_SIG = 64, LEAF_LEN = 400 };

#define SIZE  UINT64_C(1000000000)
#define INDEX UINT64_C(123456789) /* on the left of the root: a sibling at each level */
#define AT    1800000000

struct signer {
	EVP_PKEY *key;
	struct vkey vkey;
	uint8_t sig[ED25519_SIG];
	struct buf message;
};

struct world {
	struct signer signer[SIGNERS]; /* the log first */
	struct tlog_policy policy;
	uint8_t leaf[LEAF_LEN];
	struct buf note;
	struct buf proof;
};

static bool make_keys(struct world *w)
{
	struct vkey witness[WITNESSES];
	char name[64] = "log.example/bench";

	for (int i = 0; i < SIGNERS; i++) {
		struct signer *s = &w->signer[i];

		if (i)
			snprintf(name, sizeof(name), "witness%d.example", i);
		s->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		if (!s->key ||
		    ledger_vkey_of(s->key, name, i ? NOTE_COSIGNATURE : NOTE_ED25519, &s->vkey))
			return false;
		if (i)
			witness[i - 1] = s->vkey;
	}
	return !ledger_policy_flat(&w->policy, &w->signer[0].vkey, 1, witness, WITNESSES,
	                           WITNESSES);
}

/* A path of random siblings, and the root that it leads to. */
static bool make_path(const struct world *w, struct tlog_proof *p, struct hash *root)
{
	p->index = INDEX;
	ledger_leaf_hash(BYTES_OF(w->leaf), root);
	for (; (SIZE - 1) >> p->path_n; p->path_n++) {
		struct hash *sibling = &p->path[p->path_n];

		if (RAND_bytes(sibling->v, HASH_LEN) != 1)
			return false;
		if (INDEX >> p->path_n & 1)
			ledger_node_hash(sibling, root, root);
		else
			ledger_node_hash(root, sibling, root);
	}
	return true;
}

/* What each signed, and the signature, as they come out of the note. */
static bool take_signatures(struct world *w)
{
	struct note *n = malloc(sizeof(*n));
	bool ok = n && !ledger_note_parse(buf_view(&w->note), n) && n->sigs == SIGNERS;

	for (uint32_t i = 0; ok && i < SIGNERS; i++) {
		struct signer *s = &w->signer[i];
		const struct note_sig *line = &n->sig[i];

		s->message = buf_make(NOTE_MAX);
		if (i)
			buf_printf(&s->message, "cosignature/v1\ntime %d\n", AT);
		buf_bytes(&s->message, n->text);
		ok = !s->message.bad && line->sig_len == ED25519_SIG + (i ? 8 : 0);
		if (ok)
			memcpy(s->sig, line->sig + (i ? 8 : 0), ED25519_SIG);
	}
	free(n);
	return ok;
}

static bool make_proof(struct world *w)
{
	struct checkpoint cp = {.size = SIZE};
	struct tlog_proof p = {0};
	bool ok = RAND_bytes(w->leaf, sizeof(w->leaf)) == 1 && make_path(w, &p, &cp.root);

	memcpy(cp.origin, w->signer[0].vkey.name, sizeof(cp.origin));
	w->note = buf_make(NOTE_MAX);
	w->proof = buf_make(TLOG_PROOF_MAX);
	ok = ok && !ledger_checkpoint_format(&cp, &w->note) &&
	     !ledger_note_sign(&w->note, cp.origin, w->signer[0].key);
	for (int i = 1; ok && i < SIGNERS; i++)
		ok = !ledger_note_cosign(&w->note, w->signer[i].vkey.name, w->signer[i].key, AT);
	p.checkpoint = buf_view(&w->note);
	return ok && take_signatures(w) && !ledger_proof_format(&p, &w->proof);
}

static bool whole(const struct world *w)
{
	static struct checks checks;
	const struct ledger_time t = {AT + 60, 3600};
	struct ledger_head head;

	memset(&checks, 0, sizeof(checks));
	return !ledger_verify_proof(buf_view(&w->proof), BYTES_OF(w->leaf), &w->policy, &t, &head,
	                            &checks) &&
	       checks_overall(&checks) == CHECK_PASS && head.cp.size == SIZE &&
	       head.witnesses == WITNESSES;
}

static bool bare(const struct world *w)
{
	bool ok = true;

	for (int i = 0; ok && i < SIGNERS; i++) {
		const struct signer *s = &w->signer[i];
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();

		ok = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, s->key) == 1 &&
		     EVP_DigestVerify(ctx, s->sig, sizeof(s->sig), s->message.p, s->message.n) == 1;
		EVP_MD_CTX_free(ctx);
	}
	return ok;
}

static bool measure(const struct world *w)
{
	double least_whole = 1e12, least_bare = 1e12;

	for (int i = 0; i < ROUNDS; i++) {
		double t0 = now_us(), t1, t2;
		bool ok = whole(w);

		t1 = now_us();
		ok = bare(w) && ok;
		t2 = now_us();
		if (!ok)
			return false;
		least_whole = t1 - t0 < least_whole ? t1 - t0 : least_whole;
		least_bare = t2 - t1 < least_bare ? t2 - t1 : least_bare;
	}
	printf("tlog-proof, %" PRIu64 " leaves, 1 log and %d witnesses: verified in %.0f us   "
	       "bare signatures (%d) %.0f us   ratio %.2f (least of %d)\n",
	       SIZE, WITNESSES, least_whole, SIGNERS, least_bare, least_whole / least_bare, ROUNDS);
	return true;
}

int main(void)
{
	struct world *w = calloc(1, sizeof(*w));
	bool ok = w && make_keys(w) && make_proof(w) && measure(w);

	if (!ok)
		fprintf(stderr, "tlog-proof: it does not hold\n");
	for (int i = 0; w && i < SIGNERS; i++) {
		EVP_PKEY_free(w->signer[i].key);
		buf_free(&w->signer[i].message);
	}
	if (w) {
		buf_free(&w->note);
		buf_free(&w->proof);
	}
	free(w);
	return ok ? 0 : 1;
}
