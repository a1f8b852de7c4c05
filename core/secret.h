/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that secrets cross: locked into RAM, left out of core dumps and of forked children,
 * wiped when released. Knows nothing of what the secrets are for.
 */
#ifndef KEYGATE_CORE_SECRET_H
#define KEYGATE_CORE_SECRET_H

#include <stddef.h>

/*
 * A zeroed allocation on pages of its own: mlock, MADV_DONTDUMP, MADV_WIPEONFORK. NULL with
 * errno set when any of these is refused: a secret never falls back to plain memory.
 */
void *secret_alloc(size_t n);
/* Wipes, unlocks, unmaps. p may be NULL; n as given to secret_alloc. */
void secret_free(void *p, size_t n);
/* A wipe that the compiler may not remove. */
void secret_wipe(void *p, size_t n);
/*
 * For every role, first thing after exec: no core dumps, not dumpable, no ptrace by peers of
 * the same user (PR_SET_DUMPABLE 0, RLIMIT_CORE 0). 0 or -errno.
 */
int secret_harden_process(void);

#endif
