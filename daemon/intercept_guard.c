// SPDX-License-Identifier: Apache-2.0
/*
 * The guard's user half: puts bpf/guard.bpf.c in place, tells it which files, maps, programs and
 * links are keygate's, and finds out whether the kernel asks it. Knows names of maps and pins, not
 * what they decide.
 *
 * Every keygated brings a guard of its own, with maps of its own, and takes the pins of the one
 * before over, or, where that is of another ABI, away when it is armed: while both are there, both
 * are asked. It comes before the gate, so that what the
 * gate opens is guarded from its first moment; this process is marked before the first program is
 * asked.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "daemon/intercept_priv.h"
/* Generated, and not const-correct. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "gate.skel.h"
#include "guard.skel.h"
#include "netns.skel.h"
#include "tunnel.skel.h"
#include "watch.skel.h"
#pragma GCC diagnostic pop

_Static_assert(sizeof(struct gate_place) == 8 + GATE_PLACE_DEPTH * GATE_PLACE_NAME, "map layout");
_Static_assert(sizeof(struct gate_inode) == 16, "map layout");
_Static_assert(sizeof(struct gate_guarded_key) == 8, "map layout");
_Static_assert(sizeof(struct gate_look) == 12, "map layout");

static const uint32_t present = 1;

/* ------------------------------------------------------------------- whose it is */

static int look(const struct guard_bpf *g, const char *dir)
{
	int r, exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
	       pins = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct gate_look l = {.exe = (uint32_t)exe, .pins = (uint32_t)pins};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &l, .ctx_size_in = sizeof(l));

	r = bpf_prog_test_run_opts(bpf_program__fd(g->progs.kg_guard_look), &opts);
	if (exe >= 0)
		close(exe);
	if (pins >= 0)
		close(pins);
	return r || l.known ? r : -ENOENT;
}

static int mark_self(const struct guard_bpf *g)
{
	int r, fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0)
		return -errno;
	r = bpf_map_update_elem(bpf_map__fd(g->maps.kg_guard_tasks), &fd, &present, BPF_ANY);
	close(fd);
	return r;
}

static int guard_id(const struct guard_bpf *g, uint32_t kind, uint32_t id)
{
	const struct gate_guarded_key key = {.kind = kind, .id = id};

	return bpf_map_update_elem(bpf_map__fd(g->maps.kg_guard_ids), &key, &present, BPF_ANY);
}

static uint32_t id_of_map(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t n = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &n) ? 0 : info.id;
}

static uint32_t id_of_prog(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t n = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &n) ? 0 : info.id;
}

/* What there is: objects, and the tables that stand in maps. */
enum { OURS_MAX = 256 };

struct ours {
	struct gate_guarded_key v[OURS_MAX];
	size_t n;
};

static void add(struct ours *o, uint32_t kind, uint32_t id)
{
	if (id && o->n < OURS_MAX)
		o->v[o->n++] = (struct gate_guarded_key){.kind = kind, .id = id};
}

static void add_object(struct ours *o, const struct bpf_object *obj)
{
	struct bpf_program *prog;
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		add(o, GATE_GUARDED_MAP, id_of_map(bpf_map__fd(map)));
	}
	bpf_object__for_each_program(prog, obj)
	{
		if (bpf_program__fd(prog) >= 0)
			add(o, GATE_GUARDED_PROG, id_of_prog(bpf_program__fd(prog)));
	}
}

static void add_inner(struct ours *o, int outer, uint32_t slots)
{
	uint32_t id;

	for (uint32_t slot = 0; slot < slots; slot++) {
		if (!bpf_map_lookup_elem(outer, &slot, &id))
			add(o, GATE_GUARDED_MAP, id);
	}
}

static void find_ours(const struct intercept *i, struct ours *o)
{
	add_object(o, i->guard->obj);
	add_object(o, i->gate->obj);
	if (i->watch)
		add_object(o, i->watch->obj);
	if (i->netns)
		add_object(o, i->netns->obj);
	if (i->tunnel)
		add_object(o, i->tunnel->obj);
	add_inner(o, i->map.policy, 2);
	add_inner(o, i->map.hosts, 2);
	add_inner(o, i->map.apps, 2);
	add_inner(o, i->map.names, 1);
	if (i->names >= 0)
		add(o, GATE_GUARDED_MAP, id_of_map(i->names));
}

static bool is_ours(const struct ours *o, const struct gate_guarded_key *key)
{
	for (size_t k = 0; k < o->n; k++) {
		if (!memcmp(&o->v[k], key, sizeof(*key)))
			return true;
	}
	return false;
}

/* Numbers come around, so those of what is gone are let go. */
static void forget_gone(int ids, const struct ours *o)
{
	struct gate_guarded_key gone[OURS_MAX], key, next;
	size_t n = 0;
	int r = bpf_map_get_next_key(ids, NULL, &next);

	while (!r && n < OURS_MAX) {
		key = next;
		r = bpf_map_get_next_key(ids, &key, &next);
		if (key.kind != GATE_GUARDED_LINK && !is_ours(o, &key))
			gone[n++] = key;
	}
	while (n > 0)
		(void)bpf_map_delete_elem(ids, &gone[--n]);
}

void guard_renew(const struct intercept *i)
{
	struct ours *o = i->guard ? calloc(1, sizeof(*o)) : NULL;

	if (!o)
		return;
	find_ours(i, o);
	for (size_t k = 0; k < o->n; k++)
		(void)guard_id(i->guard, o->v[k].kind, o->v[k].id);
	/* With no room for all, what is not among them may be one of them. */
	if (o->n < OURS_MAX)
		forget_gone(bpf_map__fd(i->guard->maps.kg_guard_ids), o);
	free(o);
}

/* -------------------------------------------------------------------------- pins */

static int guard_link(const struct guard_bpf *g, const char *path)
{
	struct bpf_link_info info = {0};
	uint32_t n = sizeof(info);
	int r, fd = bpf_obj_get(path);

	if (fd < 0)
		return fd;
	r = bpf_obj_get_info_by_fd(fd, &info, &n);
	close(fd);
	return r ? r : guard_id(g, GATE_GUARDED_LINK, info.id);
}

typedef int (*pin_fn)(const struct guard_bpf *g, const char *path);

static int each_link(const struct guard_bpf *g, const char *dir, const char *prefix, pin_fn fn)
{
	char path[PATH_MAX];
	struct dirent *e;
	int r = 0, n;
	DIR *d = opendir(dir);

	if (!d)
		return -errno;
	while (!r && (e = readdir(d))) {
		if (strncmp(e->d_name, prefix, strlen(prefix)))
			continue;
		n = snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		r = n < 0 || n >= (int)sizeof(path) ? -ENAMETOOLONG : fn(g, path);
	}
	closedir(d);
	return r;
}

static int unpin(const struct guard_bpf *g, const char *path)
{
	(void)g;
	(void)unlink(path);
	return 0;
}

void guard_links(const struct intercept *i, const char *dir)
{
	if (i->guard)
		(void)each_link(i->guard, dir, "link", guard_link); /* those of others, too */
}

/* -------------------------------------------------------------------------- open */

/*
 * Programs can be attached and yet never be asked. A map that is opened while they are is in the
 * table when they were.
 */
static bool is_asked(const struct guard_bpf *g)
{
	struct gate_guarded_key key = {.kind = GATE_GUARDED_MAP};
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kg_guard_probe", 4, 4, 1, NULL);
	uint32_t value;
	bool asked;

	if (fd < 0)
		return false;
	key.id = id_of_map(fd);
	close(fd);
	asked = key.id && !bpf_map_lookup_elem(bpf_map__fd(g->maps.kg_guard_ids), &key, &value);
	if (asked)
		(void)bpf_map_delete_elem(bpf_map__fd(g->maps.kg_guard_ids), &key);
	return asked;
}

/* NULL, or why not. */
static const char *put_in_place(struct guard_bpf *g, const char *dir)
{
	int r;

	if (guard_bpf__load(g))
		return "this kernel refuses its programs";
	r = look(g, dir);
	if (r == -ENOENT)
		return "keygated's path has more than 16 parts, or one of more than 31 characters";
	if (r)
		return "this kernel refuses its programs";
	if (mark_self(g))
		return "this process can't be marked";
	if (intercept_attach_traces(g->obj, dir))
		return "its programs can't be attached";
	return is_asked(g) ? NULL : "bpf is not among this kernel's security modules (lsm=)";
}

void guard_open(struct intercept *i, const char *dir)
{
	struct guard_bpf *g = guard_bpf__open();

	i->guard_off = g ? put_in_place(g, dir) : "out of memory";
	if (!i->guard_off) {
		i->guard = g;
		return;
	}
	/* Half a guard would be called one; so would that of a predecessor. */
	(void)each_link(g, dir, GATE_PIN_LINK "kg_guard_", unpin);
	guard_bpf__destroy(g);
}

void guard_close(struct intercept *i)
{
	guard_bpf__destroy(i->guard);
}

const char *intercept_guard_off(const struct intercept *i)
{
	return i->guard_off;
}
