/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applications: from the policy's words to the kernel's bits. Names of cgroups become steps
 * (bpf/gate.h), users numbers, executables inodes; the rest of a kind is an entry of its own.
 *
 * Essay: why cgroups are known by name and by number. A connect is judged by walking the names of
 * its cgroup's path, so a unit that was started a moment ago is told at once, without anybody
 * having to hear of it. A packet has no task to walk from: what its socket's owner fits was found
 * when he connected, under the policy of that time. When a policy comes into force, the sockets of
 * before have the number of a cgroup; the numbers of all that are there stand in the table.
 */
#include "daemon/apps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	IDS_MAX = 16, /* files that were at one path, newest first */
	CGROUPS_MAX = 65536,
	ENTRIES_MAX = 1 << 20,
};

struct executable {
	char *path;
	struct gate_file id[IDS_MAX];
	uint32_t ids;
	bool missing;
};

struct cgroup {
	uint64_t id;
	char *path;
};

struct apps {
	int inotify;
	struct executable *exe;
	uint32_t exes;
	struct cgroup *cgroup; /* in the order in which they were found: parents first */
	uint32_t cgroups, cgroups_cap;
};

/* --------------------------------------------------------------------- cgroups */

static void forget_cgroups(struct apps *a)
{
	for (uint32_t i = 0; i < a->cgroups; i++)
		free(a->cgroup[i].path);
	a->cgroups = 0;
}

static int add_cgroup(struct apps *a, const char *parent, const char *name, uint64_t id)
{
	uint32_t cap = a->cgroups_cap ? 2 * a->cgroups_cap : 256;
	struct cgroup *bigger;
	char *path;

	if (a->cgroups == CGROUPS_MAX)
		return -E2BIG;
	if (a->cgroups == a->cgroups_cap) {
		bigger = reallocarray(a->cgroup, cap, sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		a->cgroup = bigger;
		a->cgroups_cap = cap;
	}
	if (asprintf(&path, "%s/%s", parent[1] ? parent : "", name) < 0)
		return -ENOMEM;
	a->cgroup[a->cgroups++] = (struct cgroup){id, path};
	return 0;
}

/* Those right below one. What is gone meanwhile is nobody's any more. */
static int read_cgroup_dir(struct apps *a, int root, const char *path)
{
	int fd = openat(root, path[1] ? path + 1 : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int ret = 0;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (!ret && (e = readdir(d))) {
		struct stat st;

		if (e->d_type != DT_DIR || !strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (!fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			ret = add_cgroup(a, path, e->d_name, st.st_ino);
	}
	closedir(d);
	return ret;
}

/* The list grows while it is gone through, so that all of the tree is. */
static int find_cgroups(struct apps *a)
{
	struct stat st;
	int root = intercept_cgroups();
	int ret = root < 0 ? root : 0;

	forget_cgroups(a);
	if (!ret && fstat(root, &st))
		ret = -errno;
	if (!ret)
		ret = add_cgroup(a, "/", "", st.st_ino);
	for (uint32_t i = 0; !ret && i < a->cgroups; i++)
		ret = read_cgroup_dir(a, root, a->cgroup[i].path);
	if (root >= 0)
		close(root);
	/* Of more than that nothing is known, which is a reason for no one to be let through. */
	return ret == -E2BIG ? 0 : ret;
}

const char *apps_cgroup(const struct apps *a, uint64_t id)
{
	for (uint32_t i = 0; a && i < a->cgroups; i++)
		if (a->cgroup[i].id == id)
			return a->cgroup[i].path;
	return NULL;
}

/* ----------------------------------------------------------------- executables */

static struct executable *executable_of(struct apps *a, const char *path)
{
	struct executable *bigger;
	char *copy;

	for (uint32_t i = 0; i < a->exes; i++)
		if (!strcmp(a->exe[i].path, path))
			return &a->exe[i];
	bigger = reallocarray(a->exe, a->exes + 1u, sizeof(*bigger));
	if (!bigger)
		return NULL;
	a->exe = bigger;
	copy = strdup(path);
	if (!copy)
		return NULL;
	a->exe[a->exes] = (struct executable){.path = copy};
	return &a->exe[a->exes++];
}

/* What may put another file there: its directory, and that of what it is a link to. */
static void watch(const struct apps *a, const char *path)
{
	char dir[PATH_MAX];
	char *slash;

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return;
	slash = strrchr(dir, '/');
	if (!slash)
		return;
	slash[slash == dir] = '\0';
	/* Where there is no such directory, the next look finds it. */
	(void)inotify_add_watch(a->inotify, dir,
	                        IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR | IN_EXCL_UNLINK);
}

static bool same_file(const struct gate_file *a, const struct gate_file *b)
{
	return a->inode == b->inode && a->device == b->device &&
	       a->inode_generation == b->inode_generation;
}

/* True when the file is another than at the last look. */
static bool note_file(struct executable *e, const struct gate_file *now)
{
	uint32_t at = 0;

	while (at < e->ids && !same_file(&e->id[at], now))
		at++;
	if (at == 0 && e->ids)
		return false;
	if (at == e->ids) {
		at = e->ids < IDS_MAX ? e->ids++ : IDS_MAX - 1;
		memmove(&e->id[1], &e->id[0], at * sizeof(e->id[0]));
	} else {
		memmove(&e->id[1], &e->id[0], at * sizeof(e->id[0]));
	}
	e->id[0] = *now;
	return true;
}

/* 1 when it is another file now, 0, or why it can't be told. */
static int look_at(struct apps *a, struct intercept *ic, struct executable *e)
{
	struct gate_file now = {0};
	char target[PATH_MAX];
	struct stat st;
	int fd, ret;

	watch(a, e->path);
	if (realpath(e->path, target) && strcmp(target, e->path))
		watch(a, target);
	fd = open(e->path, O_PATH | O_CLOEXEC);
	e->missing = fd < 0;
	if (fd < 0)
		return -errno;
	ret = fstat(fd, &st) ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
	if (!ret)
		ret = intercept_file(ic, fd, &now);
	close(fd);
	e->missing = ret != 0;
	return ret ? ret : note_file(e, &now);
}

__attribute__((format(printf, 3, 4))) static void
warn(struct policy_issues *issues, const struct policy_where *where, const char *fmt, ...)
{
	struct policy_issue *i;
	va_list ap;

	if (!issues || issues->n == POLICY_ISSUES_MAX)
		return;
	i = &issues->v[issues->n++];
	*i = (struct policy_issue){.where = *where};
	va_start(ap, fmt);
	(void)vsnprintf(i->text, sizeof(i->text), fmt, ap);
	va_end(ap);
}

int apps_look(struct apps *a, struct intercept *ic, const struct policy *p,
              struct policy_issues *issues)
{
	char gone[4096];
	int changed = 0;

	while (read(a->inotify, gone, sizeof(gone)) > 0)
		;
	for (uint32_t i = 0; i < p->apps; i++) {
		for (uint32_t k = 0; k < p->app[i].executables; k++) {
			const char *path = p->app[i].executable[k];
			struct executable *e = executable_of(a, path);
			int ret = e ? look_at(a, ic, e) : -ENOMEM;

			if (ret == -ENOMEM || ret == -EOPNOTSUPP)
				return ret;
			changed |= ret == 1;
			if (ret < 0)
				warn(issues, &p->app[i].where,
				     "executable: \"%.120s\" is no file that can be run (%s); it "
				     "counts from when it is one",
				     path, strerror(-ret));
		}
	}
	return changed;
}

/* ----------------------------------------------------------------------- table */

struct table {
	struct gate_app_entry *v;
	uint32_t n, cap;
	void *tree; /* of struct at, by key */
	uint32_t nodes;
};

/* A node of the tree: what tsearch keeps must stay where it is, and v does not. */
struct at {
	struct gate_app_key key;
	uint32_t i;
};

static int by_key(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct gate_app_key));
}

static void table_free(struct table *t)
{
	tdestroy(t->tree, free);
	free(t->v);
}

static bool make_room(struct table *t)
{
	uint32_t cap = t->cap ? 2 * t->cap : 64;
	struct gate_app_entry *bigger;

	if (t->n < t->cap)
		return true;
	bigger = cap <= ENTRIES_MAX ? reallocarray(t->v, cap, sizeof(*bigger)) : NULL;
	if (!bigger)
		return false;
	t->v = bigger;
	t->cap = cap;
	return true;
}

/* The entry under this key, made if there is none; NULL when out of memory. */
static struct gate_app *entry(struct table *t, const struct gate_app_key *key)
{
	struct at *node, **found;

	if (!make_room(t))
		return NULL;
	node = malloc(sizeof(*node));
	if (!node)
		return NULL;
	*node = (struct at){*key, t->n};
	found = tsearch(node, &t->tree, by_key);
	if (!found || *found != node)
		free(node);
	if (!found)
		return NULL;
	if ((*found)->i == t->n)
		t->v[t->n++] = (struct gate_app_entry){.key = *key};
	return &t->v[(*found)->i].value;
}

/* A bit at the value's entry. 0 or -ENOMEM. */
static int fit(struct table *t, const struct gate_app_key *key, uint64_t bit)
{
	struct gate_app *v = entry(t, key);

	if (!v)
		return -ENOMEM;
	v->fits.sure |= bit;
	v->fits.maybe |= bit;
	return 0;
}

/* One component of a path, n bytes, from *node on, which moves; with the bit where it ends. */
static int step(struct table *t, struct gate_app_key key, const char *name, size_t n,
                uint32_t *node, uint64_t bit)
{
	bool last;

	do {
		size_t len = n < GATE_CHUNK ? n : GATE_CHUNK;
		struct gate_app *v;

		last = n < GATE_CHUNK;
		memset(key.name, 0, sizeof(key.name));
		memcpy(key.name, name, len);
		key.a = *node;
		v = entry(t, &key);
		if (!v)
			return -ENOMEM;
		if (!v->node)
			v->node = ++t->nodes;
		*node = v->node;
		if (last) {
			v->fits.sure |= bit;
			v->fits.maybe |= bit;
		}
		name += len;
		n -= len;
	} while (!last);
	return 0;
}

static int add_path(struct table *t, uint32_t generation, const char *path, uint64_t bit)
{
	const struct gate_app_key key = {.generation = generation, .kind = GATE_APP_CGROUP};
	uint32_t node = 1;
	int ret = 0;

	while (!ret && *path) {
		size_t n = strcspn(++path, "/");

		ret = step(t, key, path, n, &node, path[n] ? 0 : bit);
		path += n;
	}
	return ret;
}

/* Also as systemd writes a name that would be taken for a file of the kernel's. */
static int add_unit(struct table *t, uint32_t generation, const char *name, uint64_t bit)
{
	const struct gate_app_key key = {.generation = generation, .kind = GATE_APP_UNIT};
	char escaped[NAME_MAX + 2];
	uint32_t node = 1;
	int ret = step(t, key, name, strlen(name), &node, bit);

	node = 1;
	(void)snprintf(escaped, sizeof(escaped), "_%s", name);
	return ret ? ret : step(t, key, escaped, strlen(escaped), &node, bit);
}

static int add_files(const struct apps *a, struct table *t, uint32_t generation, const char *path,
                     uint64_t bit)
{
	int ret = 0;

	for (uint32_t i = 0; i < a->exes; i++) {
		const struct executable *e = &a->exe[i];

		for (uint32_t k = 0; !ret && k < e->ids && !strcmp(e->path, path); k++)
			ret = fit(t,
			          &(struct gate_app_key){.generation = generation,
			                                 .kind = GATE_APP_FILE,
			                                 .a = e->id[k].device,
			                                 .b = e->id[k].inode_generation,
			                                 .number = e->id[k].inode},
			          bit);
	}
	return ret;
}

static int add_app(const struct apps *a, struct table *t, uint32_t generation,
                   const struct policy_app *app, uint64_t bit)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < app->users; i++)
		if (app->user[i].known)
			ret = fit(t,
			          &(struct gate_app_key){.generation = generation,
			                                 .kind = GATE_APP_USER,
			                                 .a = app->user[i].uid},
			          bit);
	for (uint32_t i = 0; !ret && i < app->units; i++)
		ret = add_unit(t, generation, app->unit[i], bit);
	for (uint32_t i = 0; !ret && i < app->cgroups; i++)
		ret = add_path(t, generation, app->cgroup[i], bit);
	for (uint32_t i = 0; !ret && i < app->executables; i++)
		ret = add_files(a, t, generation, app->executable[i], bit);
	return ret;
}

/* What is not listed does not fit a selection that lists some. */
static void lack(struct gate_fits *fits, uint32_t listed, uint64_t bit)
{
	if (!listed)
		return;
	fits->sure &= ~bit;
	fits->maybe &= ~bit;
}

/* What holds of all that a kind does not list, by kind. */
static void rest_of(const struct policy *p, struct gate_fits rest[static GATE_APP_KINDS])
{
	for (uint32_t k = 0; k < GATE_APP_KINDS; k++)
		rest[k] = (struct gate_fits){UINT64_MAX, UINT64_MAX};
	for (uint32_t i = 0; i < p->apps; i++) {
		const struct policy_app *app = &p->app[i];
		uint64_t bit = UINT64_C(1) << (i + 1);
		bool known = true;

		for (uint32_t k = 0; k < app->users; k++)
			known &= app->user[k].known;
		lack(&rest[GATE_APP_USER], app->users, bit);
		/* Of users who are not known, anybody may be the one. */
		if (!known)
			rest[GATE_APP_USER].maybe |= bit;
		lack(&rest[GATE_APP_FILE], app->executables, bit);
		lack(&rest[GATE_APP_CGROUP], app->cgroups, bit);
		lack(&rest[GATE_APP_UNIT], app->units, bit);
	}
}

static int add_rest(struct table *t, uint32_t generation,
                    const struct gate_fits rest[static GATE_APP_KINDS])
{
	/* The kernel ORs them to the steps itself: a path is many entries. */
	static const enum gate_app_kind listed[] = {GATE_APP_USER, GATE_APP_FILE};
	static const enum gate_app_kind kinds[] = {GATE_APP_USER, GATE_APP_FILE, GATE_APP_CGROUP,
	                                           GATE_APP_UNIT};

	for (uint32_t i = 0; i < t->n; i++) {
		for (size_t k = 0; k < sizeof(listed) / sizeof(listed[0]); k++) {
			if (t->v[i].key.kind != listed[k])
				continue;
			t->v[i].value.fits.sure |= rest[listed[k]].sure;
			t->v[i].value.fits.maybe |= rest[listed[k]].maybe;
		}
	}
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct gate_app *v = entry(t, &(struct gate_app_key){.generation = generation,
		                                                     .kind = GATE_APP_REST,
		                                                     .a = kinds[k]});

		if (!v)
			return -ENOMEM;
		v->fits = rest[kinds[k]];
	}
	return 0;
}

/* Of each cgroup that there is, what its path and its unit fit, by the plain reading. */
static int add_ids(const struct apps *a, struct table *t, const struct policy *p,
                   uint32_t generation)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < a->cgroups; i++) {
		const struct policy_who who = {.cgroup = a->cgroup[i].path};
		struct gate_app *v = entry(t, &(struct gate_app_key){.generation = generation,
		                                                     .kind = GATE_APP_ID,
		                                                     .number = a->cgroup[i].id});

		if (!v)
			return -ENOMEM;
		v->fits = (struct gate_fits){UINT64_MAX, UINT64_MAX};
		for (uint32_t k = 0; k < p->apps; k++) {
			if (policy_fits_cgroup(&p->app[k], &who) == FIT_YES)
				continue;
			v->fits.sure &= ~(UINT64_C(1) << (k + 1));
			v->fits.maybe = v->fits.sure;
		}
	}
	return ret;
}

static int fill(const struct apps *a, struct table *t, const struct policy *p, uint32_t generation)
{
	struct gate_fits rest[GATE_APP_KINDS];
	int ret = 0;

	t->nodes = 1; /* where every name begins */
	for (uint32_t i = 0; !ret && i < p->apps; i++)
		ret = add_app(a, t, generation, &p->app[i], UINT64_C(1) << (i + 1));
	rest_of(p, rest);
	if (!ret)
		ret = add_rest(t, generation, rest);
	return ret ? ret : add_ids(a, t, p, generation);
}

static bool asks_for_cgroups(const struct policy *p)
{
	bool asks = false;

	for (uint32_t i = 0; i < p->apps; i++)
		asks |= p->app[i].cgroups || p->app[i].units;
	return asks;
}

int apps_install(struct apps *a, struct intercept *ic, const struct policy *p, uint32_t generation)
{
	struct table t = {.v = NULL};
	int ret = 0;

	if (!p->apps)
		return intercept_apps(ic, NULL, 0, generation);
	forget_cgroups(a);
	if (asks_for_cgroups(p))
		ret = find_cgroups(a);
	if (!ret)
		ret = fill(a, &t, p, generation);
	if (!ret)
		ret = intercept_apps(ic, t.v, t.n, generation);
	table_free(&t);
	return ret;
}

/* ----------------------------------------------------------------- applications */

void apps_who(const struct apps *a, const struct gate_intent *in, struct policy_who *out)
{
	uint32_t paths = 0;

	*out = (struct policy_who){.has_uid = in->known & GATE_KNOWS_USER, .uid = in->uid};
	if (!a)
		return;
	if (in->known & GATE_KNOWS_CGROUP)
		out->cgroup = apps_cgroup(a, in->cgroup);
	if (!(in->known & GATE_KNOWS_FILE))
		return;
	out->executable = "";
	for (uint32_t i = 0; i < a->exes; i++) {
		const struct executable *e = &a->exe[i];

		for (uint32_t k = 0; k < e->ids; k++) {
			if (e->id[k].inode != in->inode || e->id[k].device != in->device ||
			    e->id[k].inode_generation != in->inode_generation)
				continue;
			out->executable = e->path;
			paths++;
			break;
		}
	}
	/* One file at two paths: by a path alone it can't be told which rule is meant. */
	if (paths > 1)
		out->executable = NULL;
}

/* ------------------------------------------------------------------ open, close */

int apps_open(struct apps **out)
{
	struct apps *a = calloc(1, sizeof(*a));
	int ret;

	if (!a)
		return -ENOMEM;
	a->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (a->inotify < 0) {
		ret = -errno;
		free(a);
		return ret;
	}
	*out = a;
	return 0;
}

void apps_close(struct apps *a)
{
	if (!a)
		return;
	close(a->inotify);
	for (uint32_t i = 0; i < a->exes; i++)
		free(a->exe[i].path);
	free(a->exe);
	forget_cgroups(a);
	free(a->cgroup);
	free(a);
}

int apps_fd(const struct apps *a)
{
	return a ? a->inotify : -1;
}
