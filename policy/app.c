/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selections of applications: which application fits one, how two of them compare, and their words.
 * Knows paths and numbers, no kernel, no file system, no user data base.
 */
#include "policy/app.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "policy/read.h"

/* ---------------------------------------------------------------------- values */

static void texts_free(char **v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free(v[i]);
}

void app_free(struct policy_app *a)
{
	if (!a)
		return;
	texts_free(a->unit, a->units);
	texts_free(a->cgroup, a->cgroups);
	texts_free(a->executable, a->executables);
	a->units = a->cgroups = a->executables = 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_name(const void *a, const void *b)
{
	const struct policy_user *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void texts_settle(char **v, uint32_t *n)
{
	uint32_t kept = 0;

	qsort(v, *n, sizeof(*v), by_text);
	for (uint32_t i = 0; i < *n; i++) {
		if (kept && !strcmp(v[kept - 1], v[i]))
			free(v[i]);
		else
			v[kept++] = v[i];
	}
	*n = kept;
}

void app_settle(struct policy_app *a)
{
	uint32_t kept = 0;

	texts_settle(a->unit, &a->units);
	texts_settle(a->cgroup, &a->cgroups);
	texts_settle(a->executable, &a->executables);
	qsort(a->user, a->users, sizeof(a->user[0]), by_name);
	for (uint32_t i = 0; i < a->users; i++)
		if (!kept || strcmp(a->user[kept - 1].name, a->user[i].name))
			a->user[kept++] = a->user[i];
	a->users = kept;
}

/* --------------------------------------------------------------------- compare */

static bool texts_equal(char *const *a, uint32_t an, char *const *b, uint32_t bn)
{
	if (an != bn)
		return false;
	for (uint32_t i = 0; i < an; i++)
		if (strcmp(a[i], b[i]))
			return false;
	return true;
}

bool app_equal(const struct policy_app *a, const struct policy_app *b)
{
	if (a->users != b->users)
		return false;
	for (uint32_t i = 0; i < a->users; i++)
		if (strcmp(a->user[i].name, b->user[i].name))
			return false;
	return texts_equal(a->unit, a->units, b->unit, b->units) &&
	       texts_equal(a->cgroup, a->cgroups, b->cgroup, b->cgroups) &&
	       texts_equal(a->executable, a->executables, b->executable, b->executables);
}

/* path is dir or below it. */
static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '\0' || path[n] == '/');
}

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a, b);
}

static bool one_of(const char *text, char *const *v, uint32_t n,
                   bool (*same)(const char *, const char *))
{
	for (uint32_t i = 0; i < n; i++)
		if (same(text, v[i]))
			return true;
	return false;
}

static bool texts_cover(char *const *outer, uint32_t on, char *const *inner, uint32_t in,
                        bool (*same)(const char *, const char *))
{
	if (!on)
		return true;
	for (uint32_t i = 0; i < in; i++)
		if (!one_of(inner[i], outer, on, same))
			return false;
	return in > 0;
}

/* By name: a name and a number of one user are told apart, which hides less. */
static bool users_cover(const struct policy_app *outer, const struct policy_app *inner)
{
	if (!outer->users)
		return true;
	for (uint32_t i = 0; i < inner->users; i++) {
		bool found = false;

		for (uint32_t k = 0; k < outer->users; k++)
			found |= !strcmp(inner->user[i].name, outer->user[k].name);
		if (!found)
			return false;
	}
	return inner->users > 0;
}

bool app_covers(const struct policy_app *outer, const struct policy_app *inner)
{
	return users_cover(outer, inner) &&
	       texts_cover(outer->unit, outer->units, inner->unit, inner->units, same_text) &&
	       texts_cover(outer->cgroup, outer->cgroups, inner->cgroup, inner->cgroups,
	                   is_below) &&
	       texts_cover(outer->executable, outer->executables, inner->executable,
	                   inner->executables, same_text);
}

/* ------------------------------------------------------------------------ fits */

static bool is_slice(const char *name, size_t n)
{
	static const char end[] = ".slice";

	return n > sizeof(end) - 1 && !strncmp(name + n - (sizeof(end) - 1), end, sizeof(end) - 1);
}

struct bytes policy_unit_of(const char *cgroup)
{
	size_t n;

	for (; *cgroup; cgroup += n) {
		cgroup += strspn(cgroup, "/");
		n = strcspn(cgroup, "/");
		if (!n || is_slice(cgroup, n))
			continue;
		/* How systemd writes a unit whose name would be taken for a file of the kernel's.
		 */
		if (cgroup[0] == '_')
			return (struct bytes){(const uint8_t *)cgroup + 1, n - 1};
		return (struct bytes){(const uint8_t *)cgroup, n};
	}
	return (struct bytes){NULL, 0};
}

static enum policy_fit fits_user(const struct policy_app *a, const struct policy_who *who)
{
	enum policy_fit fit = FIT_NO;

	if (!a->users)
		return FIT_YES;
	if (!who->has_uid)
		return FIT_MAYBE;
	for (uint32_t i = 0; i < a->users; i++) {
		if (!a->user[i].known)
			fit = FIT_MAYBE;
		else if (a->user[i].uid == who->uid)
			return FIT_YES;
	}
	return fit;
}

static enum policy_fit fits_unit(const struct policy_app *a, const struct policy_who *who)
{
	struct bytes unit = who->cgroup ? policy_unit_of(who->cgroup)
	                    : who->unit ? bytes_str(who->unit)
	                                : (struct bytes){NULL, 0};

	if (!a->units)
		return FIT_YES;
	if (!who->cgroup && !who->unit)
		return FIT_MAYBE;
	for (uint32_t i = 0; i < a->units; i++)
		if (bytes_equal(unit, bytes_str(a->unit[i])))
			return FIT_YES;
	return FIT_NO;
}

static enum policy_fit fits_text(const char *text, char *const *v, uint32_t n,
                                 bool (*same)(const char *, const char *))
{
	if (!n)
		return FIT_YES;
	if (!text)
		return FIT_MAYBE;
	return one_of(text, v, n, same) ? FIT_YES : FIT_NO;
}

enum policy_fit policy_fits_cgroup(const struct policy_app *a, const struct policy_who *who)
{
	enum policy_fit unit = fits_unit(a, who);
	enum policy_fit path = fits_text(who->cgroup, a->cgroup, a->cgroups, is_below);

	return unit < path ? unit : path;
}

enum policy_fit policy_fits(const struct policy *p, const struct policy_destination *d,
                            const struct policy_who *who)
{
	static const struct policy_who nobody = {0};
	const struct policy_app *a = d->app ? &p->app[d->app - 1] : NULL;
	enum policy_fit fit, least = FIT_YES;

	if (!a)
		return FIT_YES;
	if (!who)
		who = &nobody;
	fit = fits_user(a, who);
	least = fit < least ? fit : least;
	fit = policy_fits_cgroup(a, who);
	least = fit < least ? fit : least;
	fit = fits_text(who->executable, a->executable, a->executables, same_text);
	return fit < least ? fit : least;
}

/* ----------------------------------------------------------------------- users */

void policy_users(struct policy *p, policy_user_fn fn, void *ctx, struct policy_issues *issues)
{
	for (uint32_t i = 0; i < p->apps; i++) {
		struct policy_app *a = &p->app[i];

		for (uint32_t k = 0; k < a->users; k++) {
			struct policy_user *u = &a->user[k];
			struct policy_where where = policy_where_of(a->where.file, u->line);
			int rc = u->known ? 0 : fn(ctx, u->name, &u->uid);

			u->known = rc == 0;
			if (rc == -ENOENT)
				policy_issue(issues, true, &where,
				             "user: there is no user \"%s\" on this host; make it, "
				             "or write its number",
				             u->name);
			else if (rc)
				policy_issue(issues, true, &where,
				             "user: who \"%s\" is can't be told now (%s); write "
				             "the user's number",
				             u->name, strerror(-rc));
		}
	}
}

/* ----------------------------------------------------------------------- words */

static void put_texts(struct buf *out, const char **comma, const char *kind, char *const *v,
                      uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		buf_printf(out, "%s%s%s", i ? " or " : *comma, i ? "" : kind, v[i]);
	if (n)
		*comma = ", ";
}

void policy_app_words(const struct policy *p, const struct policy_destination *d, struct buf *out)
{
	const struct policy_app *a = d->app ? &p->app[d->app - 1] : NULL;
	const char *comma = "";

	if (!a)
		return;
	put_texts(out, &comma, "unit ", a->unit, a->units);
	put_texts(out, &comma, "cgroup ", a->cgroup, a->cgroups);
	for (uint32_t i = 0; i < a->users; i++)
		buf_printf(out, "%s%s%s", i ? " or " : comma, i ? "" : "user ", a->user[i].name);
	if (a->users)
		comma = ", ";
	put_texts(out, &comma, "executable ", a->executable, a->executables);
}
