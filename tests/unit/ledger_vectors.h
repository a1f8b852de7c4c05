/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ledger tests share: reading vectors (KEYGATE_VECTORS, else ../shared/vectors), and a
 * log and witnesses of their own for everything that must be shown without vectors.
 */
#ifndef KEYGATE_TESTS_LEDGER_VECTORS_H
#define KEYGATE_TESTS_LEDGER_VECTORS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/evp.h>
#include "core/bytes.h"
#include "core/file.h"
#include "ledger/ledger.h"

#define MAYBE_UNUSED __attribute__((unused))

/* ------------------------------------------------------------------ vectors */

static MAYBE_UNUSED const char *vector_path(const char *name)
{
	static char path[512];
	const char *dir = getenv("KEYGATE_VECTORS");

	snprintf(path, sizeof(path), "%s/ledger/%s", dir ? dir : "../shared/vectors", name);
	return path;
}

/* Skips the test, loudly, when the vectors are not there. */
static MAYBE_UNUSED void need_vectors(const char *name)
{
	if (access(vector_path(name), R_OK) == 0)
		return;
	printf("SKIPPED: no vectors at %s (KEYGATE_VECTORS)\n", vector_path(name));
	skip();
}

/* The caller frees p. */
static MAYBE_UNUSED struct bytes vector_read(const char *name)
{
	uint8_t *p = NULL;
	size_t n = 0;
	int ret = file_read(vector_path(name), 1u << 24, &p, &n);

	if (ret)
		fail_msg("%s: %s", vector_path(name), strerror(-ret));
	return (struct bytes){p, n};
}

static MAYBE_UNUSED void bytes_done(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

enum { ROW_FIELDS = 12 };

struct row {
	char *f[ROW_FIELDS];
	size_t n;
};

/* Calls fn for each row that is not a comment; returns how many there were. */
static MAYBE_UNUSED size_t each_row(const char *name, void (*fn)(const struct row *, void *),
                                    void *ctx)
{
	struct bytes file = vector_read(name);
	char *all = (char *)(uintptr_t)file.p;
	size_t count = 0;

	for (char *l = all, *next; l && *l; l = next) {
		struct row r = {0};
		char *lf = strchr(l, '\n');

		next = lf ? lf + 1 : NULL;
		if (lf)
			*lf = '\0';
		if (*l == '#' || !*l)
			continue;
		for (char *f = l; f && r.n < ROW_FIELDS; r.n++) {
			char *tab = strchr(f, '\t');

			if (tab)
				*tab = '\0';
			r.f[r.n] = f;
			f = tab ? tab + 1 : NULL;
		}
		for (size_t i = r.n; i < ROW_FIELDS; i++)
			r.f[i] = all + file.n; /* the empty string */
		fn(&r, ctx);
		count++;
	}
	bytes_done(file);
	return count;
}

/* "now=123;" in the key fields of the index; missing: otherwise. */
static MAYBE_UNUSED int64_t field_number(const char *fields, const char *name, int64_t otherwise)
{
	const char *at = strstr(fields, name);

	return at ? strtoll(at + strlen(name), NULL, 10) : otherwise;
}

/* 64 hex digits; false for what is no hash. */
static MAYBE_UNUSED bool hash_of(const char *hex, struct hash *out)
{
	return hex_decode(bytes_str(hex), out->v, HASH_LEN) == 0;
}

/* "hex,hex,..." or "-"; -1 when one is no hash. */
static MAYBE_UNUSED int hashes_of(const char *list, struct hash *out, size_t cap)
{
	char *copy = strdup(list);
	char *save = NULL;
	int n = 0;

	assert_non_null(copy);
	if (strcmp(copy, "-") != 0) {
		/* An empty element is malformed too, which strtok would hide. */
		if (!*copy || strstr(copy, ",,") || copy[0] == ',' || copy[strlen(copy) - 1] == ',')
			n = -1;
		for (char *t = strtok_r(copy, ",", &save); t && n >= 0;
		     t = strtok_r(NULL, ",", &save)) {
			if ((size_t)n == cap || !hash_of(t, &out[n]))
				n = -1;
			else
				n++;
		}
	}
	free(copy);
	return n;
}

/* ---------------------------------------------------------------- assertions */

static MAYBE_UNUSED void assert_overall(const char *what, const struct checks *c,
                                        enum check_status want)
{
	enum check_status got = checks_overall(c);

	if (got == want)
		return;
	for (uint32_t i = 0; i < c->n; i++)
		print_error("  %s %s %s\n", check_status_name(c->v[i].status), c->v[i].id,
		            c->v[i].detail);
	fail_msg("%s: %s, wanted %s", what, check_status_name(got), check_status_name(want));
}

/* Exactly the check `id` has `status`; all others pass or were skipped. */
static MAYBE_UNUSED void assert_only(const struct checks *c, const char *id,
                                     enum check_status status)
{
	const struct check *k = checks_find(c, id);

	assert_false(c->overflow);
	if (!k || k->status != status)
		assert_overall(id, c, -1);
	for (uint32_t i = 0; i < c->n; i++) {
		if (&c->v[i] != k && c->v[i].status != CHECK_PASS && c->v[i].status != CHECK_SKIP)
			fail_msg("%s is not alone: %s %s", id, c->v[i].id, c->v[i].detail);
	}
}

/* ----------------------------------------------------------- our own log */

#define LOG_NAME  "log.example/tests"
#define TEST_TIME INT64_C(1800000000)
#define TEST_LEAF "the second leaf"

/* A key that is the same in every run. */
static MAYBE_UNUSED EVP_PKEY *test_key(uint8_t seed)
{
	uint8_t raw[32];

	memset(raw, seed, sizeof(raw));
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
}

enum { WITNESSES = 3 };

/* A log of four leaves, three witnesses, and a policy that wants two of them. */
struct world {
	EVP_PKEY *log;
	EVP_PKEY *witness[WITNESSES];
	struct tlog_policy *policy;
	struct hash leaf[4];
	struct checkpoint cp;
};

static MAYBE_UNUSED const char *witness_name(int i)
{
	static const char *const names[WITNESSES] = {"w0.example", "w1.example", "w2.example"};

	return names[i];
}

static MAYBE_UNUSED int four_leaves(void *ctx, unsigned level, uint64_t index, struct hash *out)
{
	const struct hash *leaf = ctx;
	struct hash a;
	struct hash b;

	if (level == 0) {
		*out = leaf[index];
		return 0;
	}
	four_leaves(ctx, level - 1, 2 * index, &a);
	four_leaves(ctx, level - 1, 2 * index + 1, &b);
	ledger_node_hash(&a, &b, out);
	return 0;
}

static MAYBE_UNUSED void world_make(struct world *w)
{
	static const char *const leaves[4] = {"one", TEST_LEAF, "three", "four"};
	struct vkey log;
	struct vkey witness[WITNESSES];

	memset(w, 0, sizeof(*w));
	w->log = test_key(1);
	assert_int_equal(ledger_vkey_of(w->log, LOG_NAME, NOTE_ED25519, &log), 0);
	for (int i = 0; i < WITNESSES; i++) {
		w->witness[i] = test_key((uint8_t)(10 + i));
		assert_int_equal(ledger_vkey_of(w->witness[i], witness_name(i), NOTE_COSIGNATURE,
		                                &witness[i]),
		                 0);
	}
	w->policy = malloc(sizeof(*w->policy));
	assert_non_null(w->policy);
	assert_int_equal(ledger_policy_flat(w->policy, &log, 1, witness, WITNESSES, 2), 0);
	for (int i = 0; i < 4; i++)
		ledger_leaf_hash(bytes_str(leaves[i]), &w->leaf[i]);
	strcpy(w->cp.origin, LOG_NAME);
	w->cp.size = 4;
	assert_int_equal(ledger_root(four_leaves, w->leaf, 4, &w->cp.root), 0);
}

static MAYBE_UNUSED void world_free(struct world *w)
{
	EVP_PKEY_free(w->log);
	for (int i = 0; i < WITNESSES; i++)
		EVP_PKEY_free(w->witness[i]);
	free(w->policy);
}

/* The checkpoint, signed by the log under `name`, and cosigned by the first n witnesses at ts. */
static MAYBE_UNUSED struct buf world_note(const struct world *w, const char *name, int n,
                                          int64_t ts)
{
	struct buf b = buf_make(NOTE_MAX);

	assert_int_equal(ledger_checkpoint_format(&w->cp, &b), 0);
	if (name)
		assert_int_equal(ledger_note_sign(&b, name, w->log), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(ledger_note_cosign(&b, witness_name(i), w->witness[i], ts), 0);
	return b;
}

static MAYBE_UNUSED struct buf world_proof(const struct world *w, struct bytes note)
{
	struct tlog_proof p = {.index = 1, .checkpoint = note};
	struct buf b = buf_make(TLOG_PROOF_MAX);
	size_t n = 0;

	assert_int_equal(
	        ledger_prove_inclusion(four_leaves, (void *)(uintptr_t)w->leaf, 1, 4, p.path, &n),
	        0);
	p.path_n = (uint32_t)n;
	assert_int_equal(ledger_proof_format(&p, &b), 0);
	return b;
}

#endif
