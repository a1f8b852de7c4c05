/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applications as the kernel can tell them: which files the executables of a policy are now, which
 * cgroups there are, and the table by which the kernel half knows what fits a selection. Only gate
 * has it.
 */
#ifndef KEYGATE_DAEMON_APPS_H
#define KEYGATE_DAEMON_APPS_H

#include <stdbool.h>
#include <stdint.h>
#include "daemon/intercept.h"
#include "policy/policy.h"

struct apps;

/* 0 or -errno. */
int apps_open(struct apps **out);
void apps_close(struct apps *a);
/* Readable when an executable may have been replaced; apps_look then finds out. */
int apps_fd(const struct apps *a);

/*
 * Finds the files that p names, keeping what they were before for processes that still run that.
 * 1 when some are others now, 0, or -errno. Files that are missing are warnings in issues (NULL:
 * nobody is told).
 */
int apps_look(struct apps *a, struct intercept *ic, const struct policy *p,
              struct policy_issues *issues);
/*
 * Puts the table for p in place under this generation, with the cgroups that are there now. Before
 * the policy's own table; and again after it, for the cgroups that were made meanwhile. 0 or
 * -errno.
 */
int apps_install(struct apps *a, struct intercept *ic, const struct policy *p, uint32_t generation);
/*
 * As far as the policy can name it: its cgroup if it was there at the last apps_install, its
 * executable if it is one of the policy's. The paths are a's, until the next call of another
 * function.
 */
void apps_who(const struct apps *a, const struct gate_intent *in, struct policy_who *out);
/* The path of a cgroup by its number, as above; NULL. */
const char *apps_cgroup(const struct apps *a, uint64_t id);

#endif
