/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files make a policy, and reading them. Says what can't be read in the same form as what
 * is wrong in them.
 */
#include "cli/load.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "core/file.h"
#include "core/user.h"

struct files {
	struct policy_file *v; /* path and text owned */
	size_t n;
};

static void unreadable(struct policy_issues *issues, const char *path, const char *why)
{
	struct policy_issue *i = &issues->v[issues->n++];

	i->error = true;
	issues->errors++;
	snprintf(i->where.file, sizeof(i->where.file), "%s", path);
	snprintf(i->text, sizeof(i->text), "can't be read: %s", why);
}

static int add_file(struct files *f, const char *path, struct policy_issues *issues)
{
	struct policy_file *bigger = reallocarray(f->v, f->n + 1, sizeof(*bigger));
	uint8_t *text;
	size_t n;
	char *copy;
	int rc;

	if (!bigger)
		return -ENOMEM;
	f->v = bigger;
	rc = file_read(path, POLICY_FILE_MAX, &text, &n);
	if (rc) {
		unreadable(issues, path, strerror(-rc));
		return -EINVAL;
	}
	copy = strdup(path);
	if (!copy) {
		free(text);
		return -ENOMEM;
	}
	f->v[f->n++] = (struct policy_file){copy, {text, n}};
	return 0;
}

static int is_conf(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > 5 && !strcmp(e->d_name + n - 5, ".conf");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_dir(struct files *f, const char *dir, struct policy_issues *issues)
{
	struct dirent **e = NULL;
	int n = scandir(dir, &e, is_conf, by_bytes);
	int rc = 0;

	if (n < 0) {
		unreadable(issues, dir, strerror(errno));
		return -EINVAL;
	}
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];

		if (!rc &&
		    snprintf(path, sizeof(path), "%s/%s", dir, e[i]->d_name) >= (int)sizeof(path))
			rc = -ENAMETOOLONG;
		if (!rc)
			rc = add_file(f, path, issues);
		free(e[i]);
	}
	free(e);
	return rc;
}

static int add_path(struct files *f, const char *path, struct policy_issues *issues)
{
	char conf[PATH_MAX], dir[PATH_MAX];
	bool has_conf, has_dir;
	struct stat st;
	int rc = 0;

	if (snprintf(conf, sizeof(conf), "%s/keygate.conf", path) >= (int)sizeof(conf) ||
	    snprintf(dir, sizeof(dir), "%s/policy.d", path) >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	if (stat(path, &st)) {
		unreadable(issues, path, strerror(errno));
		return -EINVAL;
	}
	if (!S_ISDIR(st.st_mode))
		return add_file(f, path, issues);
	has_conf = !stat(conf, &st);
	has_dir = !stat(dir, &st);
	if (!has_conf && !has_dir)
		return add_dir(f, path, issues);
	if (has_conf)
		rc = add_file(f, conf, issues);
	return !rc && has_dir ? add_dir(f, dir, issues) : rc;
}

static int load_referred(void *ctx, const char *path, uint8_t **out, size_t *n)
{
	(void)ctx;
	return file_read(path, POLICY_FILE_MAX, out, n);
}

int load_policy(const char *path, struct policy **out, struct policy_issues *issues, size_t *files)
{
	struct files f = {0};
	int rc;

	memset(issues, 0, sizeof(*issues));
	rc = add_path(&f, path, issues);
	*files = f.n;
	if (!rc && !f.n) {
		unreadable(issues, path, "there is no *.conf in it");
		rc = -EINVAL;
	}
	if (!rc)
		rc = policy_parse(f.v, f.n, load_referred, NULL, time(NULL), out, issues);
	if (!rc)
		policy_users(*out, user_lookup, NULL, issues);
	if (!rc && issues->errors) {
		policy_free(*out);
		*out = NULL;
		rc = -EINVAL;
	}
	for (size_t i = 0; i < f.n; i++) {
		free((void *)(uintptr_t)f.v[i].path);
		free((void *)(uintptr_t)f.v[i].text.p);
	}
	free(f.v);
	return rc;
}

json_t *load_issues_json(const struct policy_issues *issues)
{
	json_t *a = json_array();

	for (uint32_t i = 0; i < issues->n; i++) {
		const struct policy_issue *is = &issues->v[i];

		json_array_append_new(a, json_pack("{s:b, s:s, s:i, s:s}", "error", is->error,
		                                   "file", is->where.file, "line",
		                                   (int)is->where.line, "text", is->text));
	}
	return a;
}
