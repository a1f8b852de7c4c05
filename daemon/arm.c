/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygated --arm. It asks nobody: addresses of names are those that keygated knew last, and no
 * role runs. keygated takes the pins over when it starts, and puts its own table in place of this.
 */
#include "daemon/arm.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/file.h"
#include "core/user.h"
#include "daemon/gate.h"

struct arming {
	const struct gate_options *opt;
	struct audit *audit; /* NULL: only standard error */
	struct policy *policy;
	struct names names; /* of the policy */
	struct learned learned;
	const char *from; /* where it is from */
	struct apps *apps;
	uint32_t generation;
	size_t prefixes;
};

int arm_keep(const struct bundle *b, const char *path)
{
	struct bundle kept = {.v = b->v};
	struct buf bytes = buf_make(BUNDLE_MAX);
	int ret;

	/* Collateral comes last in a bundle, and decides nothing of what is gated. */
	while (kept.n < b->n && b->v[kept.n].kind != BUNDLE_COLLATERAL)
		kept.n++;
	ret = bundle_write(&kept, &bytes);
	if (!ret)
		ret = file_write_atomic(path, buf_view(&bytes), 0600);
	buf_free(&bytes);
	return ret;
}

/* ------------------------------------------------------------------- policy */

static void state_path(const struct arming *a, const char *name, char out[static PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s", a->opt->state_dir, name);
}

static int of_files(struct arming *a, struct policy_issues *issues)
{
	struct bundle_paths paths = a->opt->paths;
	struct bundle b = {0};
	int ret;

	paths.collateral[0] = paths.collateral[1] = NULL;
	ret = bundle_load(&paths, gate_now(), &b, &a->policy, issues);
	bundle_free(&b);
	a->from = "its files";
	if (ret) {
		audit_emit(a->audit, "policy-refused",
		           json_pack("{s:I, s:s, s:o}", "errors", (json_int_t)issues->errors,
		                     "error", ret == -EINVAL ? "" : strerror(-ret), "issues",
		                     record_issues(issues, true)));
		gate_print_issues(issues, false);
	}
	return ret;
}

static int of_state(struct arming *a, struct policy_issues *issues)
{
	char path[PATH_MAX];
	struct bundle b = {0};
	uint8_t *bytes = NULL;
	size_t n = 0;
	int ret;

	state_path(a, ARM_KEPT, path);
	ret = file_read(path, BUNDLE_MAX, &bytes, &n);
	if (!ret)
		ret = bundle_read((struct bytes){bytes, n}, &b);
	memset(issues, 0, sizeof(*issues));
	if (!ret)
		ret = bundle_parse(&b, gate_now(), &a->policy, issues);
	bundle_free(&b);
	free(bytes);
	/* Of users who can't be told now, rules that allow are for none, and the others for all. */
	if (!ret)
		policy_users(a->policy, user_lookup, NULL, issues);
	a->from = "what was in force last";
	return ret;
}

static int find_policy(struct arming *a)
{
	struct policy_issues *issues = calloc(1, sizeof(*issues));
	int ret = issues ? of_files(a, issues) : -ENOMEM;

	if (ret && issues)
		ret = of_state(a, issues);
	free(issues);
	return ret;
}

/* ------------------------------------------------------------------- kernel */

static int compile(struct arming *a, struct policy_lpm **lpm)
{
	struct policy_resolved *resolved = NULL;
	struct names known = {0};
	char path[PATH_MAX];
	size_t n = 0;
	int ret;

	state_path(a, "names.json", path);
	ret = names_load(path, &known, &a->learned);
	if (ret && ret != -ENOENT)
		audit_emit(a->audit, "names-forgotten",
		           json_pack("{s:s}", "error", strerror(-ret)));
	ret = names_of_policy(a->policy, &known, &a->names);
	if (!ret)
		ret = names_resolved(&a->names, &a->learned, a->policy, NULL, &resolved, &n);
	if (!ret)
		ret = policy_compile(a->policy, resolved, n, lpm, &a->prefixes);
	free(resolved);
	names_free(&known);
	return ret;
}

static int put_names(const struct arming *a, struct intercept *ic)
{
	struct policy_name_rules *names = NULL;
	size_t n = 0;
	int ret = policy_compile_names(a->policy, &names, &n);

	if (!ret)
		ret = intercept_names(ic, names, n, a->generation);
	free(names);
	return ret;
}

/* What is missing of it is learned again: no reason to leave the host open. */
static void put_learned(const struct arming *a, struct intercept *ic)
{
	const struct learning x = {.ic = ic,
	                           .names = &a->names,
	                           .learned = &a->learned,
	                           .policy = a->policy,
	                           .generation = a->generation};

	(void)learning_put_all(&x);
}

static int put_apps(struct arming *a, struct intercept *ic)
{
	int ret = apps_open(&a->apps);

	if (!ret && a->policy->apps)
		ret = apps_look(a->apps, ic, a->policy, NULL);
	return ret < 0 ? ret : apps_install(a->apps, ic, a->policy, a->generation);
}

/* No port: nobody serves this table. */
static int put(struct arming *a, const struct policy_lpm *lpm, const char **step)
{
	struct intercept *ic = NULL;
	bool watch;
	int ret = intercept_open(&ic, &watch, step);

	if (ret)
		return ret;
	*step = "put the table in force";
	a->generation = intercept_generation(ic) + 1;
	ret = put_apps(a, ic);
	if (!ret)
		ret = put_names(a, ic);
	if (!ret)
		ret = intercept_policy(ic, lpm, a->prefixes, a->generation, 0, 0);
	if (!ret) {
		put_learned(a, ic);
		ret = intercept_arm(ic, true);
	}
	intercept_close(ic);
	return ret;
}

static int arm(struct arming *a, const char **step)
{
	struct policy_lpm *lpm = NULL;
	int ret;

	*step = "find a policy";
	ret = find_policy(a);
	if (!ret) {
		*step = "make the kernel's table";
		ret = compile(a, &lpm);
	}
	if (!ret)
		ret = put(a, lpm, step);
	free(lpm);
	return ret;
}

int arm_without_keygated(const struct gate_options *opt)
{
	struct arming a = {.opt = opt};
	const char *step = "";
	char path[PATH_MAX];
	int lock = -1;
	int ret;

	state_path(&a, "audit.jsonl", path);
	(void)audit_open(path, &a.audit);
	ret = gate_lock(opt->run_dir, &lock);
	if (ret)
		step = ret == -EWOULDBLOCK ? "keygated runs, and arms by itself"
		                           : "take the lock in the run directory";
	else
		ret = arm(&a, &step);
	if (ret)
		audit_emit(a.audit, "fatal",
		           json_pack("{s:s, s:s, s:s}", "reason", "can't arm", "step", step,
		                     "error", strerror(-ret)));
	else
		audit_emit(a.audit, "armed",
		           json_pack("{s:s, s:s, s:I, s:I}", "by", "keygated --arm", "policy",
		                     a.from, "destinations", (json_int_t)a.policy->destinations,
		                     "prefixes", (json_int_t)a.prefixes));
	policy_free(a.policy);
	names_free(&a.names);
	learned_free(&a.learned);
	apps_close(a.apps);
	if (lock >= 0)
		close(lock);
	audit_close(a.audit);
	return ret ? 1 : 0;
}
