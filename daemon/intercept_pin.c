// SPDX-License-Identifier: Apache-2.0
/*
 * Loading the kernel half, and its life beyond the process: pins, and their adoption by the next
 * keygated. Knows programs and maps by name only, not what they decide.
 *
 * Essay: why an upgrade leaves no gap. Maps of the same ABI are taken over, so the new programs see
 * the old table, sessions and marks from their first packet on. A cgroup link is updated in place:
 * each hook has either the old program or the new one, both over the same maps. Tracing links can't
 * be updated; the new one is attached first and then renamed over the old one's pin. A failure in
 * the middle leaves a mixture of old and new programs, which is still a whole gate. What is there
 * of another ABI is left alone by all of this: intercept_others.c.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "daemon/intercept_priv.h"
/* Generated, and not const-correct. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "gate.skel.h"
#include "netns.skel.h"
#include "tunnel.skel.h"
#include "watch.skel.h"
#pragma GCC diagnostic pop

_Static_assert(sizeof(struct gate_lpm_key) == 20, "map layout");
_Static_assert(sizeof(struct gate_port) == 12, "map layout");
_Static_assert(sizeof(struct gate_rules) == 8 + 12 * GATE_RULES_MAX, "map layout");
_Static_assert(sizeof(struct gate_name) == 256, "map layout");
_Static_assert(sizeof(struct gate_learned) == 272 + 8 + 12 * GATE_RULES_MAX, "map layout");
_Static_assert(sizeof(struct gate_told) == 280, "map layout");
_Static_assert(sizeof(struct gate_teller) == 16, "map layout");
_Static_assert(sizeof(struct gate_config) == 24, "map layout");
_Static_assert(sizeof(struct gate_own) == 32, "map layout");
_Static_assert(sizeof(struct gate_app_key) == 56, "map layout");
_Static_assert(sizeof(struct gate_app) == 24, "map layout");
_Static_assert(sizeof(struct gate_actor) == 56, "map layout");
_Static_assert(sizeof(struct gate_file) == 24, "map layout");
_Static_assert(sizeof(struct gate_intent) == 104, "map layout");
_Static_assert(sizeof(struct gate_conn_key) == 32, "map layout");
_Static_assert(sizeof(struct gate_session) == 16, "map layout");
_Static_assert(sizeof(struct gate_net) == 16, "map layout");
_Static_assert(sizeof(struct gate_event) == 80, "map layout");

static int no_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

static int pin_path(char out[static PATH_MAX], const char *dir, const char *prefix,
                    const char *name, const char *suffix)
{
	int n = snprintf(out, PATH_MAX, "%s/%s%s%s", dir, prefix, name, suffix);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* ---------------------------------------------------------------- where to pin */

static bool parent_is_bpffs(const char *dir)
{
	char parent[PATH_MAX];
	struct statfs fs;
	char *slash;
	int n = snprintf(parent, sizeof(parent), "%s", dir);

	if (n < 0 || n >= (int)sizeof(parent))
		return false;
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return false;
	*slash = '\0';
	return statfs(parent, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

/* Whoever may write in the directory may replace a pin by something that lets everything pass. */
static int own_dir(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	if (lstat(dir, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 077))
		return -EPERM;
	return 0;
}

/*
 * The real root of cgroup 2, which has no cgroup.type; the root of a cgroup namespace has one, and
 * a gate there would leave the rest of the host open.
 */
static int cgroup_dir(const char *path)
{
	struct statfs fs;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) || fs.f_type != CGROUP2_SUPER_MAGIC) {
		close(fd);
		return -ENOENT;
	}
	return fd;
}

int intercept_cgroups(void)
{
	struct mntent ent;
	char buf[4096];
	int fd = -ENOENT;
	FILE *f = setmntent("/proc/self/mounts", "re");

	if (!f)
		return -errno;
	while (getmntent_r(f, &ent, buf, sizeof(buf))) {
		if (strcmp(ent.mnt_type, "cgroup2"))
			continue;
		fd = cgroup_dir(ent.mnt_dir);
		if (fd < 0)
			continue;
		if (faccessat(fd, "cgroup.type", F_OK, 0) && errno == ENOENT)
			break;
		close(fd);
		fd = -ENOENT;
	}
	endmntent(f);
	return fd;
}

/* ------------------------------------------------------------------------ maps */

static bool same_layout(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = {0};
	uint32_t n = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &n) && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) &&
	       info.map_flags == bpf_map__map_flags(map);
}

/* Sockets that are marked as programs' are never made again: the mark is all there is to tell. */
static int share_marks(struct bpf_map *map, const char *dir)
{
	int r, fd;

	if (strcmp(bpf_map__name(map), "kg_raw"))
		return 0;
	fd = others_map(dir, "kg_raw");
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = same_layout(map, fd) ? bpf_map__reuse_fd(map, fd) : 0;
	close(fd);
	return r;
}

static int adopt_map(struct bpf_map *map, const char *dir)
{
	char path[PATH_MAX];
	int fd, r = pin_path(path, dir, GATE_PIN_MAP, bpf_map__name(map), "");

	/* The compiler's: constants, which come with the programs. */
	if (r || bpf_map__is_internal(map))
		return r;
	fd = bpf_obj_get(path);
	if (fd == -ENOENT)
		return share_marks(map, dir);
	if (fd < 0)
		return fd;
	r = same_layout(map, fd) ? bpf_map__reuse_fd(map, fd) : -EPROTO;
	close(fd);
	return r;
}

static int adopt_maps(struct gate_bpf *gate, const char *dir, const char **step)
{
	struct bpf_map *map;
	int r;

	*step = "adopt the pinned maps (are they of a build with the same GATE_ABI and other maps?)";
	bpf_object__for_each_map(map, gate->obj)
	{
		r = adopt_map(map, dir);
		if (r)
			return r;
	}
	return 0;
}

static int pin_map(struct bpf_map *map, const char *dir)
{
	char path[PATH_MAX];
	int r = pin_path(path, dir, GATE_PIN_MAP, bpf_map__name(map), "");

	if (r || bpf_map__is_internal(map))
		return r;
	r = bpf_obj_pin(bpf_map__fd(map), path);
	return r == -EEXIST ? 0 : r;
}

static int pin_maps(struct intercept *i, const char *dir, const char **step)
{
	struct bpf_map *map;
	int r;

	*step = "pin the maps";
	bpf_object__for_each_map(map, i->gate->obj)
	{
		r = pin_map(map, dir);
		if (r)
			return r;
	}
	return 0;
}

/* ----------------------------------------------------------------------- links */

static int update_link(int link, int prog, enum bpf_attach_type type, uint64_t cgroup)
{
	struct bpf_link_info info = {0};
	uint32_t n = sizeof(info);
	int r = bpf_obj_get_info_by_fd(link, &info, &n);

	if (r)
		return r;
	if (info.type != BPF_LINK_TYPE_CGROUP || info.cgroup.attach_type != type ||
	    info.cgroup.cgroup_id != cgroup)
		return -EPROTO;
	return bpf_link_update(link, prog, NULL);
}

static int attach_cgroup(const struct bpf_program *prog, const char *dir, int cgroup_fd,
                         uint64_t cgroup)
{
	enum bpf_attach_type type = bpf_program__expected_attach_type(prog);
	int link, r, prog_fd = bpf_program__fd(prog);
	char path[PATH_MAX];

	r = pin_path(path, dir, GATE_PIN_LINK, bpf_program__name(prog), "");
	if (r)
		return r;
	link = bpf_obj_get(path);
	if (link >= 0) {
		r = update_link(link, prog_fd, type, cgroup);
	} else if (link == -ENOENT) {
		link = bpf_link_create(prog_fd, cgroup_fd, type, NULL);
		if (link < 0)
			return link;
		r = bpf_obj_pin(link, path);
	} else {
		return link;
	}
	close(link);
	return r;
}

static int attach_gate(struct gate_bpf *gate, const char *dir, int cgroup_fd, const char **step)
{
	struct bpf_program *prog;
	struct stat st;
	int r;

	*step = "attach the gate to the cgroup 2 root";
	if (fstat(cgroup_fd, &st))
		return -errno;
	bpf_object__for_each_program(prog, gate->obj)
	{
		/* Is called, not attached. */
		if (bpf_program__type(prog) == BPF_PROG_TYPE_SYSCALL)
			continue;
		r = attach_cgroup(prog, dir, cgroup_fd, st.st_ino);
		if (r)
			return r;
	}
	return 0;
}

static int attach_trace(const struct bpf_program *prog, const char *dir)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	int link, r;

	r = pin_path(path, dir, GATE_PIN_LINK, bpf_program__name(prog), "");
	if (!r)
		r = pin_path(fresh, dir, GATE_PIN_LINK, bpf_program__name(prog), "_new");
	if (r)
		return r;
	link = bpf_link_create(bpf_program__fd(prog), 0, bpf_program__expected_attach_type(prog),
	                       NULL);
	if (link < 0)
		return link;
	(void)unlink(fresh);
	r = bpf_obj_pin(link, fresh);
	if (!r && rename(fresh, path))
		r = -errno;
	close(link);
	return r;
}

/* Each map is the one that the gate has under that name. */
static int share_maps(const struct bpf_object *obj, const struct gate_bpf *gate)
{
	struct bpf_map *map;
	int r = 0;

	bpf_object__for_each_map(map, obj)
	{
		const struct bpf_map *its =
		        bpf_object__find_map_by_name(gate->obj, bpf_map__name(map));

		if (!r && !bpf_map__is_internal(map))
			r = its ? bpf_map__reuse_fd(map, bpf_map__fd(its)) : -ENOENT;
	}
	return r;
}

int intercept_attach_traces(const struct bpf_object *obj, const char *dir)
{
	struct bpf_program *prog;
	int r = 0;

	bpf_object__for_each_program(prog, obj)
	{
		/* Those that are called are not attached. */
		if (!r && bpf_program__autoload(prog) &&
		    bpf_program__type(prog) != BPF_PROG_TYPE_SYSCALL)
			r = attach_trace(prog, dir);
	}
	return r;
}

/* NULL when this kernel has no such thing; then nothing new is pinned. */
static struct watch_bpf *open_watch(const struct gate_bpf *gate, const char *dir)
{
	struct watch_bpf *w = watch_bpf__open();

	if (w && !share_maps(w->obj, gate) && !watch_bpf__load(w) &&
	    !intercept_attach_traces(w->obj, dir))
		return w;
	watch_bpf__destroy(w);
	return NULL;
}

/* Kernels differ in these functions, and each program is of use without the others. */
static int leave_out_missing(const struct bpf_object *obj)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	struct bpf_program *prog;

	if (!kernel)
		return -ENOENT;
	bpf_object__for_each_program(prog, obj)
	{
		const char *name = strchr(bpf_program__section_name(prog), '/');

		if (bpf_program__expected_attach_type(prog) != BPF_TRACE_RAW_TP && name &&
		    btf__find_by_name_kind(kernel, name + 1, BTF_KIND_FUNC) < 0)
			(void)bpf_program__set_autoload(prog, false);
	}
	btf__free(kernel);
	return 0;
}

/* The same. */
static struct netns_bpf *open_netns(const struct gate_bpf *gate, const char *dir)
{
	struct netns_bpf *w = netns_bpf__open();

	if (w && !share_maps(w->obj, gate) && !leave_out_missing(w->obj) && !netns_bpf__load(w) &&
	    !intercept_attach_traces(w->obj, dir))
		return w;
	netns_bpf__destroy(w);
	return NULL;
}

/* The same. */
static struct tunnel_bpf *open_tunnel(const struct gate_bpf *gate, const char *dir)
{
	struct tunnel_bpf *t = tunnel_bpf__open();

	if (t && !share_maps(t->obj, gate) && !tunnel_bpf__load(t) &&
	    !intercept_attach_traces(t->obj, dir))
		return t;
	tunnel_bpf__destroy(t);
	return NULL;
}

/* ------------------------------------------------------------------------ open */

static void find_maps(struct intercept *i)
{
	i->map.config = bpf_map__fd(i->gate->maps.kg_config);
	i->map.policy = bpf_map__fd(i->gate->maps.kg_policy);
	i->map.hosts = bpf_map__fd(i->gate->maps.kg_hosts);
	i->map.names = bpf_map__fd(i->gate->maps.kg_names);
	i->map.learned = bpf_map__fd(i->gate->maps.kg_learned);
	i->map.told = bpf_map__fd(i->gate->maps.kg_told);
	i->map.tellers = bpf_map__fd(i->gate->maps.kg_tellers);
	i->map.apps = bpf_map__fd(i->gate->maps.kg_apps);
	i->file_prog = bpf_program__fd(i->gate->progs.kg_file);
	i->map.own = bpf_map__fd(i->gate->maps.kg_own);
	i->map.conn = bpf_map__fd(i->gate->maps.kg_conn);
	i->map.sessions = bpf_map__fd(i->gate->maps.kg_sessions);
	i->map.keys = bpf_map__fd(i->gate->maps.kg_keys);
	i->map.nets = bpf_map__fd(i->gate->maps.kg_nets);
	i->map.events = bpf_map__fd(i->gate->maps.kg_events);
	i->map.stats = bpf_map__fd(i->gate->maps.kg_stats);
}

/* Deletes until nothing is left; bounded, since a program may add meanwhile. */
static int empty_map(int fd, uint32_t max_entries)
{
	char key[sizeof(struct gate_conn_key)];
	int r = 0;

	for (uint64_t k = 0; !r && k < 2 * (uint64_t)max_entries; k++) {
		r = bpf_map_get_next_key(fd, NULL, key);
		if (!r)
			r = bpf_map_delete_elem(fd, key);
	}
	return r == -ENOENT ? 0 : r;
}

/* The namespace that this process is in needs no events: nothing is to be made in it. */
static int know_home(const struct intercept_maps *map, const char **step)
{
	const struct gate_net n = {.believed = 1};
	uint64_t cookie;
	socklen_t len = sizeof(cookie);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = fd < 0 ? -errno : 0;

	*step = "ask for the network namespace's cookie";
	if (!r && getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len))
		r = -errno;
	if (fd >= 0)
		close(fd);
	return r ? r : bpf_map_update_elem(map->nets, &cookie, &n, BPF_ANY);
}

/* No socket of a predecessor is served any more, and no id or port may be mistaken for its. */
static int forget_predecessor(const struct intercept_maps *map, const char **step)
{
	int r;

	*step = "empty the maps of an earlier keygated";
	r = empty_map(map->keys, GATE_SESSIONS_MAX);
	if (!r)
		r = empty_map(map->sessions, GATE_SESSIONS_MAX);
	if (!r)
		r = empty_map(map->nets, GATE_NETS_MAX);
	return r ? r : empty_map(map->conn, GATE_CONNS_MAX);
}

/* reads: with what reads the kernel's structures, which a locked down kernel refuses. */
static int load_programs(struct intercept *i, const char *dir, bool reads, const char **step)
{
	int r;

	*step = "open the built-in programs";
	gate_bpf__destroy(i->gate);
	i->gate = gate_bpf__open();
	if (!i->gate)
		return errno ? -errno : -ENOMEM;
	i->reads = reads;
	i->gate->rodata->kg_reads = reads;
	r = adopt_maps(i->gate, dir, step);
	if (r)
		return r;
	*step = "load the gate programs (is this kernel 6.1 or later, with CONFIG_CGROUP_BPF?)";
	return gate_bpf__load(i->gate);
}

static int load_gate(struct intercept *i, const char *dir, int cgroup_fd, const char **step)
{
	int r = load_programs(i, dir, true, step);

	if (r && r != -EPROTO)
		r = load_programs(i, dir, false, step);
	if (r)
		return r;
	find_maps(i);
	r = pin_maps(i, dir, step);
	if (r)
		return r;
	*step = "open the event ring";
	i->ring = ring_buffer__new(i->map.events, intercept_on_event, i, NULL);
	if (!i->ring)
		return errno ? -errno : -ENOMEM;
	r = attach_gate(i->gate, dir, cgroup_fd, step);
	if (!r)
		r = forget_predecessor(&i->map, step);
	return r ? r : know_home(&i->map, step);
}

int intercept_open_at(struct intercept **out, const char *pin_dir, const char *cgroup, bool *watch,
                      const char **step)
{
	struct intercept *i;
	int cgroup_fd, r;

	libbpf_set_print(no_print);
	*step = "mount bpffs at /sys/fs/bpf";
	if (!parent_is_bpffs(pin_dir))
		return -ENOENT;
	*step = "make the pin directory (it must be root's, mode 0700)";
	r = own_dir(pin_dir);
	if (r)
		return r;
	*step = "find the root of cgroup 2 (is it mounted, and not behind a cgroup namespace?)";
	cgroup_fd = cgroup ? cgroup_dir(cgroup) : intercept_cgroups();
	if (cgroup_fd < 0)
		return cgroup_fd;
	*step = "allocate";
	i = calloc(1, sizeof(*i));
	if (i) {
		snprintf(i->dir, sizeof(i->dir), "%s", pin_dir);
		i->names = -1;
		guard_open(i, pin_dir);
	}
	r = i ? load_gate(i, pin_dir, cgroup_fd, step) : -ENOMEM;
	close(cgroup_fd);
	if (r) {
		intercept_close(i);
		return r;
	}
	i->watch = open_watch(i->gate, pin_dir);
	i->netns = open_netns(i->gate, pin_dir);
	i->tunnel = open_tunnel(i->gate, pin_dir);
	guard_links(i, pin_dir);
	guard_renew(i);
	*watch = i->watch != NULL;
	*step = NULL;
	*out = i;
	return 0;
}

int intercept_open(struct intercept **out, bool *watch, const char **step)
{
	return intercept_open_at(out, GATE_PIN_DIR, NULL, watch, step);
}

void intercept_close(struct intercept *i)
{
	if (!i)
		return;
	ring_buffer__free(i->ring);
	watch_bpf__destroy(i->watch);
	netns_bpf__destroy(i->netns);
	tunnel_bpf__destroy(i->tunnel);
	gate_bpf__destroy(i->gate);
	guard_close(i);
	if (i->names >= 0)
		close(i->names);
	free(i);
}
