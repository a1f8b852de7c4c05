/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy's files from disk into a bundle. The files are the administrator's: bounded, but not
 * hostile. Only gate does this.
 */
#include "daemon/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "core/file.h"
#include "core/user.h"

__attribute__((format(printf, 3, 4))) static void issue(struct policy_issues *issues,
                                                        const char *file, const char *fmt, ...)
{
	va_list ap;

	issues->errors++;
	if (issues->n == POLICY_ISSUES_MAX)
		return;

	struct policy_issue *i = &issues->v[issues->n++];

	memset(i, 0, sizeof(*i));
	i->error = true;
	snprintf(i->where.file, sizeof(i->where.file), "%s", file);
	va_start(ap, fmt);
	(void)vsnprintf(i->text, sizeof(i->text), fmt, ap);
	va_end(ap);
}

/* 0, or -errno of the read; other failures are said as an issue as well. */
static int add_file(struct bundle *b, enum bundle_kind kind, const char *path,
                    struct policy_issues *issues)
{
	uint8_t *text = NULL;
	size_t n = 0;
	int ret = file_read(path, BUNDLE_FILE_MAX, &text, &n);

	if (!ret)
		ret = bundle_add(b, kind, path, (struct bytes){text, n});
	free(text);
	if (ret == -EFBIG || ret == -E2BIG)
		issue(issues, path, "too large: at most %d bytes a file, %d in all",
		      BUNDLE_FILE_MAX, BUNDLE_MAX);
	else if (ret)
		issue(issues, path, "can't be read: %s", strerror(-ret));
	return ret;
}

static int wanted_conf(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > 5 && !strcmp(e->d_name + n - 5, ".conf");
}

static int wanted_any(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* A directory that is not there is empty. */
static int add_dir(struct bundle *b, enum bundle_kind kind, const char *dir,
                   struct policy_issues *issues)
{
	struct dirent **e = NULL;
	int n = scandir(dir, &e, kind == BUNDLE_CONF ? wanted_conf : wanted_any, by_bytes);
	int ret = 0;

	if (n < 0) {
		if (errno == ENOENT)
			return 0;
		ret = -errno;
		issue(issues, dir, "can't be read: %s", strerror(errno));
		return ret;
	}
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		struct stat st;

		if (!ret &&
		    snprintf(path, sizeof(path), "%s/%s", dir, e[i]->d_name) >= (int)sizeof(path))
			ret = -ENAMETOOLONG;
		if (!ret && !(kind == BUNDLE_COLLATERAL && !stat(path, &st) && S_ISDIR(st.st_mode)))
			ret = add_file(b, kind, path, issues);
		free(e[i]);
	}
	free(e);
	return ret;
}

static int add_conf(const struct bundle_paths *paths, struct bundle *b,
                    struct policy_issues *issues)
{
	struct policy_issues none = {0};
	int ret = add_file(b, BUNDLE_CONF, paths->config, paths->config_must ? issues : &none);

	if (ret == -ENOENT && !paths->config_must)
		ret = 0;
	else if (ret && !paths->config_must)
		*issues = none;
	if (!ret)
		ret = add_dir(b, BUNDLE_CONF, paths->policy_dir, issues);
	if (!ret && !b->n) {
		issue(issues, paths->policy_dir,
		      "holds no *.conf, and there is no %s: write a destination block first",
		      paths->config);
		ret = -EINVAL;
	}
	return ret;
}

/*
 * Reads for the parser and remembers what it read, so that a file that is asked for twice is the
 * same both times, as it will be for verify.
 */
static int load_and_keep(void *ctx, const char *path, uint8_t **out, size_t *n)
{
	struct bundle *b = ctx;
	const struct bundle_entry *e = bundle_find(b, BUNDLE_REF, path);
	uint8_t *text = NULL;
	size_t len = 0;
	int ret = 0;

	if (!e) {
		ret = file_read(path, BUNDLE_FILE_MAX, &text, &len);
		if (!ret)
			ret = bundle_add(b, BUNDLE_REF, path, (struct bytes){text, len});
		free(text);
		e = &b->v[b->n - 1];
	}
	if (ret)
		return ret;
	text = malloc(e->content.n + 1);
	if (!text)
		return -ENOMEM;
	memcpy(text, e->content.p, e->content.n + 1);
	*out = text;
	*n = e->content.n;
	return 0;
}

/* The files that the policy is made of, and what they say. */
static int collect(const struct bundle_paths *paths, int64_t now, struct bundle *b,
                   struct policy **policy, struct policy_issues *issues)
{
	struct policy_file *files;
	int ret = add_conf(paths, b, issues);

	if (ret)
		return ret;
	files = calloc(b->n, sizeof(*files));
	if (!files)
		return -ENOMEM;

	size_t n = b->n;

	/* The entries' own memory stays where it is while the bundle grows. */
	for (size_t i = 0; i < n; i++)
		files[i] = (struct policy_file){b->v[i].path, b->v[i].content};
	ret = policy_parse(files, n, load_and_keep, b, now, policy, issues);
	free(files);
	for (size_t i = 0; i < 2 && !ret; i++)
		if (paths->collateral[i])
			ret = add_dir(b, BUNDLE_COLLATERAL, paths->collateral[i], issues);
	return ret;
}

int bundle_load(const struct bundle_paths *paths, int64_t now, struct bundle *out,
                struct policy **policy, struct policy_issues *issues)
{
	struct bundle b = {0};
	struct policy *p = NULL;
	int ret;

	memset(issues, 0, sizeof(*issues));
	ret = collect(paths, now, &b, &p, issues);
	if (!ret)
		ret = bundle_collateral(&b, p, issues);
	if (!ret)
		policy_users(p, user_lookup, NULL, issues);
	if (!ret && issues->errors)
		ret = -EINVAL;
	if (ret == -ENOSPC)
		issue(issues, paths->collateral[0],
		      "holds more than %d MiB, or more than %d certificates that no vendor serves "
		      "under a name",
		      POLICY_COLLATERAL_BYTES >> 20, POLICY_ENDORSEMENTS_MAX);
	if (ret) {
		policy_free(p);
		bundle_free(&b);
		return ret == -ENOMEM ? ret : -EINVAL;
	}
	*out = b;
	*policy = p;
	return 0;
}
