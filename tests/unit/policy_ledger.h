/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of verdicts share: a small log with one statement in it, cosigned by the witnesses
 * of policy_files.h, and the proof of that statement.
 */
#ifndef KEYGATE_TESTS_POLICY_LEDGER_H
#define KEYGATE_TESTS_POLICY_LEDGER_H

#include "policy_files.h"

enum { TREE = 4, INDEX = 1 };

#define SUBJECT "service"

struct logbook {
	struct buf leaf;
	struct buf proof;
	struct hash leaves[TREE];
	uint64_t size; /* of the checkpoint */
	int cosigners;
	int64_t cosigned_at;
};

static MAYBE_UNUSED void logbook_start(struct logbook *l, int64_t at)
{
	*l = (struct logbook){.leaf = buf_make(LEAF_MAX),
	                      .proof = buf_make(TLOG_PROOF_MAX),
	                      .size = TREE,
	                      .cosigners = 2,
	                      .cosigned_at = at - 60};
}

static MAYBE_UNUSED void logbook_free(struct logbook *l)
{
	buf_free(&l->leaf);
	buf_free(&l->proof);
}

/* The statement, of a predicate's members but for the version. */
static MAYBE_UNUSED void make_statement(struct logbook *l, const char *predicate)
{
	buf_reset(&l->leaf);
	buf_printf(&l->leaf,
	           "{\"_type\":\"%s\",\"subject\":[{\"name\":\"%s\",\"digest\":{\"sha256\":"
	           "\"%064d\"}}],\"predicateType\":\"%s\",\"predicate\":{%s,\"version\":\"1\"}}",
	           STATEMENT_TYPE, SUBJECT, 1, STATEMENT_PREDICATE, predicate);
}

static MAYBE_UNUSED int tree_node(void *ctx, unsigned level, uint64_t index, struct hash *out)
{
	const struct hash *leaves = ctx;
	struct hash a, b;

	if (!level) {
		*out = leaves[index];
		return 0;
	}
	tree_node(ctx, level - 1, 2 * index, &a);
	tree_node(ctx, level - 1, 2 * index + 1, &b);
	ledger_node_hash(&a, &b, out);
	return 0;
}

static MAYBE_UNUSED void make_checkpoint(struct logbook *l, struct checkpoint *cp)
{
	strcpy(cp->origin, LOG_NAME);
	cp->size = l->size;
	assert_int_equal(ledger_root(tree_node, l->leaves, l->size, &cp->root), 0);
}

static MAYBE_UNUSED void make_proof(struct logbook *l)
{
	struct tlog_proof proof = {.index = INDEX};
	struct buf note = buf_make(NOTE_MAX);
	EVP_PKEY *log = key_of(1);
	struct checkpoint cp;
	size_t n;

	for (uint64_t i = 0; i < TREE; i++)
		ledger_leaf_hash(bytes_str(i % 2 ? "odd" : "even"), &l->leaves[i]);
	ledger_leaf_hash(buf_view(&l->leaf), &l->leaves[INDEX]);
	make_checkpoint(l, &cp);
	assert_int_equal(ledger_checkpoint_format(&cp, &note), 0);
	assert_int_equal(ledger_note_sign(&note, LOG_NAME, log), 0);
	for (int i = 0; i < l->cosigners; i++) {
		EVP_PKEY *key = key_of((uint8_t)(10 + i));
		char name[32];

		snprintf(name, sizeof(name), "w%d.example", i);
		assert_int_equal(ledger_note_cosign(&note, name, key, l->cosigned_at), 0);
		EVP_PKEY_free(key);
	}
	assert_int_equal(
	        ledger_prove_inclusion(tree_node, l->leaves, INDEX, l->size, proof.path, &n), 0);
	proof.path_n = (uint32_t)n;
	proof.checkpoint = buf_view(&note);
	buf_reset(&l->proof);
	assert_int_equal(ledger_proof_format(&proof, &l->proof), 0);
	buf_free(&note);
	EVP_PKEY_free(log);
}

#endif
