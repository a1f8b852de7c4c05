/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of everything that a policy file may say: sections and their keys with type,
 * default, example and help. The parser's grammar is built from it, every "add this" of an error
 * is its example, and the reference in docs/policy.md is printed from it. Private to policy/ and
 * the test that compares the reference.
 */
#ifndef KEYGATE_POLICY_KEYS_H
#define KEYGATE_POLICY_KEYS_H

#include <stdbool.h>
#include <stdint.h>
#include "policy/policy.h"

struct policy_reader;

/* A value as it was written, with the line that it stands on. */
struct policy_value {
	uint32_t line;
	char text[];
};

enum policy_key_flags {
	KEY_LIST = 1,       /* one value or {several, values} */
	KEY_MUST = 2,       /* every block of the section has it */
	KEY_MUST_JUDGE = 4, /* every destination with action = gate or monitor has it */
	KEY_JUDGE = 8,      /* only destinations with action = gate or monitor may have it */
	/* Of the two forms of a release, only the one may have it; with KEY_MUST, it has it. */
	KEY_SIGSTORE = 16,
	KEY_RECEIPT = 32,
	KEY_GATE = 64, /* only destinations with action = gate may have it */
};

struct policy_key {
	const char *name;
	unsigned flags; /* enum policy_key_flags */
	const char *type;
	const char *def;     /* in words; NULL when there is none */
	const char *example; /* the right-hand side, as one would write it */
	const char *help;    /* one paragraph */
	/* Takes one value into the block that is being read; wrong values become issues. */
	void (*set)(struct policy_reader *r, const struct policy_value *v);
};

enum policy_section_id {
	SECTION_TOP = 0,
	SECTION_LEDGER,
	SECTION_RELEASE,
	SECTION_ANCHOR,
	SECTION_COLLATERAL,
	SECTION_DESTINATION,
	SECTION_MAX
};

struct policy_section {
	const char *name; /* "" at the top */
	const char *help;
	const struct policy_key *keys;
	uint32_t n;
};

enum { POLICY_KEYS_MAX = 64 };

extern const struct policy_section policy_sections[SECTION_MAX];

/* The name among n candidates (a stride apart) that is nearest to what was typed, or NULL. */
const char *policy_nearest(const char *typed, const char *const *names, size_t n);

/* The reference part of docs/policy.md, in Markdown. */
void policy_reference(struct buf *out);

#endif
