/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of destination blocks that say for which applications they are. Knows the block that is
 * being read; whether a user or a file is there is for others to find out.
 */
#include <stdlib.h>
#include <string.h>
#include "policy/app.h"
#include "policy/read.h"

enum { UNIT_MAX = 255, COMPONENT_MAX = 255, EXECUTABLE_MAX = 4095 };

/* Of the block; NULL when out of memory (noted in the reader). */
static struct policy_app *app_of(struct policy_reader *r)
{
	if (!r->app)
		r->app = calloc(1, sizeof(*r->app));
	r->no_memory |= !r->app;
	return r->app;
}

static bool has_room(struct policy_reader *r, const struct policy_value *v, uint32_t n)
{
	if (n == POLICY_LIST_MAX)
		policy_error(r, v->line, "%s: more than %d in one destination; make a second one",
		             policy_sections[r->section].keys[r->key].name, POLICY_LIST_MAX);
	return n < POLICY_LIST_MAX;
}

static void take(struct policy_reader *r, const struct policy_value *v, char **list, uint32_t *n)
{
	char *copy;

	if (!has_room(r, v, *n))
		return;
	copy = strdup(v->text);
	if (copy)
		list[(*n)++] = copy;
	else
		r->no_memory = true;
}

/* ----------------------------------------------------------------------- units */

static const char unit_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 ":-_.\\@";

/* Units that have processes of their own. */
static bool is_unit(const char *name)
{
	static const char *const ends[] = {".service", ".scope", ".socket", ".mount", ".swap"};
	size_t n = strlen(name);

	if (n > UNIT_MAX || strspn(name, unit_chars) != n)
		return false;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t e = strlen(ends[i]);

		if (n > e && !strcmp(name + n - e, ends[i]))
			return true;
	}
	return false;
}

void read_unit(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_app *a = app_of(r);
	size_t n = strlen(v->text);

	if (!a)
		return;
	if (n > 6 && !strcmp(v->text + n - 6, ".slice"))
		policy_error(r, v->line,
		             "unit: \"%.64s\" is a slice, which holds units; write cgroup = "
		             "{\"/%.64s\"}",
		             v->text, v->text);
	else if (!is_unit(v->text))
		policy_unexpected(r, v, "the full name of a unit, like nginx.service");
	else
		take(r, v, a->unit, &a->units);
}

/* ----------------------------------------------------------------------- paths */

const char *policy_path_fault(const char *path)
{
	const char *p = path;

	if (*p != '/' || !p[1])
		return "a path that begins with /, and more than that";
	while (*p) {
		size_t n = strcspn(++p, "/");

		if (!n || n > COMPONENT_MAX || !strncmp(p, ".", n) ||
		    (n == 2 && !memcmp(p, "..", 2)))
			return "a plain path, without //, /. or /.., and with no / at its end";
		p += n;
	}
	return strlen(path) > EXECUTABLE_MAX ? "shorter than 4096 characters" : NULL;
}

static uint32_t components(const char *path)
{
	uint32_t n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

void read_cgroup(struct policy_reader *r, const struct policy_value *v)
{
	const char *fault = policy_path_fault(v->text);
	struct policy_app *a = app_of(r);

	if (!a)
		return;
	if (fault)
		policy_unexpected(r, v, fault);
	else if (strlen(v->text) >= POLICY_CGROUP_MAX || components(v->text) > POLICY_CGROUP_DEPTH)
		policy_error(r, v->line,
		             "cgroup: deeper than %d components, or %d characters or more",
		             POLICY_CGROUP_DEPTH, POLICY_CGROUP_MAX);
	else
		take(r, v, a->cgroup, &a->cgroups);
}

void read_executable(struct policy_reader *r, const struct policy_value *v)
{
	const char *fault = policy_path_fault(v->text);
	struct policy_app *a = app_of(r);

	if (!a)
		return;
	if (fault)
		policy_unexpected(r, v, fault);
	else
		take(r, v, a->executable, &a->executables);
}

/* ----------------------------------------------------------------------- users */

/* The kernel's "no user" is none. */
static bool is_number(const char *text, uint32_t *out)
{
	uint64_t n;

	if (decimal_u64(bytes_str(text), UINT32_MAX - 1, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}

static bool is_user_name(const char *text)
{
	return *text && strlen(text) < sizeof(((struct policy_user *)0)->name) &&
	       !strpbrk(text, ":/, \t\n") && strspn(text, "0123456789") != strlen(text);
}

void read_user(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_user u = {.line = v->line};
	struct policy_app *a = app_of(r);

	if (!a)
		return;
	u.known = is_number(v->text, &u.uid);
	if (!u.known && !is_user_name(v->text)) {
		policy_unexpected(r, v, "the name or number of a user");
		return;
	}
	if (!has_room(r, v, a->users))
		return;
	memcpy(u.name, v->text, strlen(v->text));
	a->user[a->users++] = u;
}

/* ----------------------------------------------------------------- of the block */

void policy_settle_app(struct policy_reader *r)
{
	struct policy *p = r->p;
	uint32_t at = 0;

	if (!r->app)
		return;
	app_settle(r->app);
	r->app->where = r->where;
	while (at < p->apps && !app_equal(&p->app[at], r->app))
		at++;
	if (at < p->apps)
		app_free(r->app);
	else if (at == POLICY_APPS_MAX)
		policy_error(r, r->where.line,
		             "more than %d different selections of applications (unit, cgroup, "
		             "user, executable) in all destinations; give several destinations the "
		             "same one",
		             POLICY_APPS_MAX);
	else if (policy_grow(r, &p->app, p->apps, &r->apps_cap, sizeof(*p->app)))
		p->app[p->apps++] = *r->app;
	if (at < p->apps)
		r->d->app = at + 1;
	else
		app_free(r->app);
	free(r->app);
	r->app = NULL;
}
