/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy bundle: every file that a policy is made of, with its path, in one piece of bytes. gate
 * collects it from disk; verify, which can open no file, parses the very same bytes. Knows files,
 * not their language.
 *
 *   "KGB1", count (32), then count entries: kind (8), path (16-bit length, ends in a NUL that is
 *   counted, no other NUL), content (32-bit length); big endian; nothing behind the last entry.
 */
#ifndef KEYGATE_DAEMON_BUNDLE_H
#define KEYGATE_DAEMON_BUNDLE_H

#include <stdint.h>
#include "core/bytes.h"
#include "policy/policy.h"

enum {
	BUNDLE_ENTRIES_MAX = 32768,
	BUNDLE_PATH_MAX = 4096,
	BUNDLE_FILE_MAX = 4 << 20,
	BUNDLE_MAX = 64 << 20,
};

enum bundle_kind {
	BUNDLE_NONE = 0,
	BUNDLE_CONF,       /* a configuration file, in the order in which they apply */
	BUNDLE_REF,        /* a file that one of them refers to, by the path it is asked for */
	BUNDLE_COLLATERAL, /* a file of the collateral directory */
};

struct bundle_entry {
	enum bundle_kind kind;
	char *path;           /* owned */
	struct bytes content; /* owned */
};

struct bundle {
	uint32_t n;
	struct bundle_entry *v; /* owned */
	size_t size;            /* as written */
};

void bundle_free(struct bundle *b);
/* Copies path and content. -EINVAL, -E2BIG beyond the limits above, -ENOMEM. */
int bundle_add(struct bundle *b, enum bundle_kind kind, const char *path, struct bytes content);
const struct bundle_entry *bundle_find(const struct bundle *b, enum bundle_kind kind,
                                       const char *path);

/* Appends the bytes to out (make it with BUNDLE_MAX). 0 or -ENOMEM. */
int bundle_write(const struct bundle *b, struct buf *out);
/* Strict. *out owns copies. 0, -EINVAL, -ENOMEM. */
int bundle_read(struct bytes data, struct bundle *out);

/*
 * Parses the policy in a bundle, collateral included. As policy_parse; a file that the bundle does
 * not hold is -ENOENT to it.
 */
int bundle_parse(const struct bundle *b, int64_t now, struct policy **out,
                 struct policy_issues *issues);

/* The last step of bundle_parse: the collateral of the bundle into p. 0 or as
 * policy_add_collateral. */
int bundle_collateral(const struct bundle *b, struct policy *p, struct policy_issues *issues);

/* Where gate finds the files. */
struct bundle_paths {
	const char *config;        /* keygate.conf: optional unless config_must */
	const char *policy_dir;    /* its *.conf in lexical order */
	const char *collateral[2]; /* directories; optional */
	bool config_must;
};

/*
 * Reads everything from disk into *out and parses it. As bundle_parse; besides, a file that can't
 * be read is an issue that names it (-EINVAL), and so is there being no configuration file at all.
 */
int bundle_load(const struct bundle_paths *paths, int64_t now, struct bundle *out,
                struct policy **policy, struct policy_issues *issues);

#endif
