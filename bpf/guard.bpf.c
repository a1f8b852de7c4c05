// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The guard: keeps other processes, root's too, from keygate's maps, programs, links and pins, from
 * the memory of its processes and from what its keys hold. LSM programs, an object of its own,
 * since not every kernel runs them; nothing of what is gated depends on it. Knows no sessions and
 * no policy. No program of it is asked for each part of a path, or for each system call: what that
 * would keep out besides is not worth what the whole host would pay.
 *
 * Essay: who is keygate. A process is while it runs what it executed itself and that was keygated's
 * file: the one that attached the guard, or whatever root has put in its place since, which is how
 * packages are upgraded. That is marked when the kernel has executed it, on the task, and on what
 * it forks, so it can't be had by renaming a process or by prctl(PR_SET_MM). Who is traced at that
 * moment is not marked, and the loader is told to take no libraries from the environment
 * (AT_SECURE). A place is told by the names on the file system itself, whatever is mounted over it
 * in whatever namespace: numbers of inodes are no identity on an overlay. So keygated may be
 * killed, restarted, replaced and asked to disarm, with the guard in force all the time, and no
 * version of it has to be asked by the next.
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "bpf/gate.h"
#include "bpf/kernel.bpf.h"

/* Not in the headers that a BPF object may include. */
#define PTRACE_MODE_ATTACH 2
#define WRITE_FOR_OTHERS   022
#define BPRM_SECUREEXEC    1 /* BPF_F_BPRM_SECUREEXEC */
#define KEY_NEED_READ      2 /* these as the kernel's enum has them since 5.8 */
#define KEY_NEED_WRITE     3
#define KEY_NEED_LINK      5
#define KEY_REF_POSSESSED  1ul
#define CLONE_THREAD       0x10000ul

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} kg_guard_tasks SEC(".maps"); /* on the leader of keygate's processes */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GATE_GUARDED_MAX);
	__type(key, struct gate_guarded_key);
	__type(value, __u32);
} kg_guard_ids SEC(".maps");

struct gate_place kg_exe;
struct gate_inode kg_pins;

/* ------------------------------------------------------------------------ files */

static __always_inline bool is_pins(const struct inode *i)
{
	return i && kg_pins.number && BPF_CORE_READ(i, i_ino) == kg_pins.number &&
	       BPF_CORE_READ(i, i_sb, s_dev) == kg_pins.device;
}

static __always_inline bool read_name(const struct dentry *d, char *out)
{
	long n = bpf_probe_read_kernel_str(out, GATE_PLACE_NAME, BPF_CORE_READ(d, d_name.name));

	return n > 1 && n < GATE_PLACE_NAME;
}

static __always_inline bool same_name(const char *a, const char *b)
{
	const __u64 *x = (const void *)a, *y = (const void *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
}

static __always_inline bool is_place(const struct dentry *d, const struct gate_place *s)
{
	const struct dentry *parent;

	if (!s->known)
		return false;
#pragma unroll
	for (int k = 0; k < GATE_PLACE_DEPTH; k++) {
		__u64 name[GATE_PLACE_NAME / sizeof(__u64)] = {0};

		parent = BPF_CORE_READ(d, d_parent);
		if (parent == d)
			return k > 0 && !s->name[k][0];
		if (!read_name(d, (char *)name) || !same_name((const char *)name, s->name[k]))
			return false;
		d = parent;
	}
	return BPF_CORE_READ(d, d_parent) == d;
}

/* Keygated's, as it was or as root has replaced it. */
static __always_inline bool is_exe(const struct file *file)
{
	const struct inode *i = file->f_inode;

	return i->i_sb->s_dev == kg_exe.device && i->i_uid.val == 0 &&
	       !(i->i_mode & WRITE_FOR_OTHERS) && is_place(file->f_path.dentry, &kg_exe);
}

static __always_inline bool see_place(const struct file *file, struct gate_place *out)
{
	const struct dentry *d = BPF_CORE_READ(file, f_path.dentry), *parent;

	out->device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
#pragma unroll
	for (int k = 0; k < GATE_PLACE_DEPTH; k++) {
		parent = BPF_CORE_READ(d, d_parent);
		if (parent == d)
			return k > 0;
		if (!read_name(d, out->name[k]))
			return false;
		d = parent;
	}
	return BPF_CORE_READ(d, d_parent) == d;
}

static __always_inline struct file *file_of(__u32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **list = BPF_CORE_READ(table, fd), *file = NULL;

	if (fd >= BPF_CORE_READ(table, max_fds) ||
	    bpf_probe_read_kernel(&file, sizeof(void *), list + fd))
		return NULL;
	return file;
}

SEC("syscall")
int kg_guard_look(struct gate_look *l)
{
	const struct file *exe = file_of(l->exe), *pins = file_of(l->pins);

	l->known = 0;
	if (!exe || !pins)
		return 0;
	kg_pins.number = BPF_CORE_READ(pins, f_inode, i_ino);
	kg_pins.device = BPF_CORE_READ(pins, f_inode, i_sb, s_dev);
	l->known = kg_exe.known = see_place(exe, &kg_exe);
	return 0;
}

/* --------------------------------------------------------------------- processes */

static __always_inline bool marked(const struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	return leader && bpf_task_storage_get(&kg_guard_tasks, leader, NULL, 0);
}

static __always_inline void mark(struct task_struct *task)
{
	(void)bpf_task_storage_get(&kg_guard_tasks, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline bool is_keygate(void)
{
	return marked(bpf_get_current_task_btf());
}

SEC("lsm/bprm_creds_for_exec")
int kg_guard_exec(__u64 *args)
{
	struct linux_binprm *bprm = (void *)args[0];

	if (is_exe(bprm->file))
		(void)bpf_bprm_opts_set(bprm, BPRM_SECUREEXEC);
	return 0;
}

SEC("lsm/bprm_committed_creds")
int kg_guard_executed(__u64 *args)
{
	struct linux_binprm *bprm = (void *)args[0];
	struct task_struct *task = bpf_get_current_task_btf();

	/* The other threads are gone by now, so it is the leader. */
	if (is_exe(bprm->file) && !task->ptrace)
		mark(task);
	else
		(void)bpf_task_storage_delete(&kg_guard_tasks, task);
	return 0;
}

SEC("lsm/task_alloc")
int kg_guard_fork(__u64 *args)
{
	struct task_struct *task = (void *)args[0];

	if (!(args[1] & CLONE_THREAD) && is_keygate())
		mark(task);
	return 0;
}

/* The memory, and the descriptors; looking at what else /proc has of it asks for less. */
SEC("lsm/ptrace_access_check")
int kg_guard_ptrace(__u64 *args)
{
	struct task_struct *child = (void *)args[0];

	if (!(args[1] & PTRACE_MODE_ATTACH))
		return 0;
	return !marked(child) || is_keygate() ? 0 : -EPERM;
}

/* ------------------------------------------------------------- maps, programs, pins */

static __always_inline bool is_guarded(__u32 kind, __u32 id)
{
	struct gate_guarded_key key = {.kind = kind, .id = id};

	return bpf_map_lookup_elem(&kg_guard_ids, &key);
}

/* What keygate opens is keygate's from then on, before it has it. */
static __always_inline int opens(__u32 kind, __u32 id)
{
	struct gate_guarded_key key = {.kind = kind, .id = id};
	__u32 one = 1;

	if (is_keygate())
		return bpf_map_update_elem(&kg_guard_ids, &key, &one, BPF_ANY) ? -EPERM : 0;
	return is_guarded(kind, id) ? -EPERM : 0;
}

SEC("lsm/bpf_map")
int kg_guard_map(__u64 *args)
{
	const struct bpf_map *map = (void *)args[0];

	return opens(GATE_GUARDED_MAP, map->id);
}

SEC("lsm/bpf_prog")
int kg_guard_prog(__u64 *args)
{
	const struct bpf_prog *prog = (void *)args[0];

	return opens(GATE_GUARDED_PROG, prog->aux->id);
}

/*
 * A link can be opened by the path of its pin, which nobody is asked about. It is of no use to who
 * can neither detach it nor give it another program. (A thread that puts another descriptor in this
 * one's place right now could.)
 */
static __always_inline int changes_link(__u32 fd)
{
	const struct file *file = file_of(fd);
	const struct bpf_link *link = file ? BPF_CORE_READ(file, private_data) : NULL;

	/* Of another kind of file this is no number of a link; then the kernel refuses it anyway.
	 */
	return link && is_guarded(GATE_GUARDED_LINK, BPF_CORE_READ(link, id)) && !is_keygate()
	               ? -EPERM
	               : 0;
}

/*
 * By number they are not found, rather than refused: what lists all that there is has to be ready
 * for one that is gone by now, and goes on.
 */
static __always_inline int opens_number(__u32 kind, __u32 id)
{
	return is_guarded(kind, id) && !is_keygate() ? -ENOENT : 0;
}

SEC("lsm/bpf")
int kg_guard_bpf(__u64 *args)
{
	__u32 first = 0;

	/* It is what matters of the attributes in all of these, and a copy that nobody can change.
	 */
	if (bpf_probe_read_kernel(&first, sizeof(first), (const void *)args[1]))
		return -EPERM;
	switch ((__u32)args[0]) {
	case BPF_MAP_GET_FD_BY_ID:
		return opens_number(GATE_GUARDED_MAP, first);
	case BPF_PROG_GET_FD_BY_ID:
		return opens_number(GATE_GUARDED_PROG, first);
	case BPF_LINK_GET_FD_BY_ID:
		return opens_number(GATE_GUARDED_LINK, first);
	case BPF_LINK_UPDATE:
	case BPF_LINK_DETACH:
		return changes_link(first);
	default:
		return 0;
	}
}

/* ------------------------------------------------------------------------- pins */

static __always_inline int changes(const struct inode *dir)
{
	return is_pins(dir) && !is_keygate() ? -EPERM : 0;
}

SEC("lsm/inode_unlink")
int kg_guard_unlink(__u64 *args)
{
	return changes((void *)args[0]);
}

SEC("lsm/inode_create")
int kg_guard_create(__u64 *args)
{
	return changes((void *)args[0]);
}

SEC("lsm/inode_symlink")
int kg_guard_symlink(__u64 *args)
{
	return changes((void *)args[0]);
}

SEC("lsm/inode_mkdir")
int kg_guard_mkdir(__u64 *args)
{
	return changes((void *)args[0]);
}

/* Out of the directory as well as into it. */
SEC("lsm/inode_link")
int kg_guard_hardlink(__u64 *args)
{
	const struct dentry *old = (void *)args[0];
	int r = changes((void *)args[1]);

	return r ? r : changes(BPF_CORE_READ(old, d_parent, d_inode));
}

SEC("lsm/inode_rename")
int kg_guard_rename(__u64 *args)
{
	const struct dentry *old = (void *)args[1];
	int r = changes((void *)args[0]);

	if (!r)
		r = changes((void *)args[2]);
	return r ? r : changes(BPF_CORE_READ(old, d_inode));
}

/* A map's pin shows its content to who reads it as a file. */
SEC("lsm/file_open")
int kg_guard_open(__u64 *args)
{
	const struct file *file = (void *)args[0];

	if (file->f_inode->i_sb->s_dev != kg_pins.device)
		return 0;
	return changes(BPF_CORE_READ(file, f_path.dentry, d_parent, d_inode));
}

/* -------------------------------------------------------------------------- keys */

/* By its name: "keygate" or "keygate:...". Who else names a key of root's so may not read it. */
static __always_inline bool is_named(const struct key *key)
{
	char name[8] = {0};

	if (bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(key, description)) < 0 ||
	    name[0] != 'k' || name[1] != 'e' || name[2] != 'y' || name[3] != 'g' ||
	    name[4] != 'a' || name[5] != 't' || name[6] != 'e')
		return false;
	(void)bpf_probe_read_kernel(name, 1, BPF_CORE_READ(key, description) + 7);
	return !name[0] || name[0] == ':';
}

/*
 * What a key holds, and to have it among one's own. To look at it, to end it, and to change its
 * permissions for that remains root's; so do all ways of ending what is in a ring.
 */
SEC("lsm/key_permission")
int kg_guard_key(__u64 *args)
{
	__u32 need = (__u32)args[2];
	const struct key *key = NULL;
	char type[8] = {0};

	if (need != KEY_NEED_READ && need != KEY_NEED_WRITE && need != KEY_NEED_LINK)
		return 0;
	/* The verifier does not let a type pass that the kernel never defines. */
	if (bpf_probe_read_kernel(&key, sizeof(void *), &args[0]))
		return -EPERM;
	key = (const void *)((unsigned long)key & ~KEY_REF_POSSESSED);
	if (BPF_CORE_READ(key, uid.val) != 0 || !is_named(key) || is_keygate())
		return 0;
	(void)bpf_probe_read_kernel_str(type, sizeof(type), BPF_CORE_READ(key, type, name));
	if (type[0] == 'k' && need != KEY_NEED_LINK)
		return 0;
	/* Revoking asks for this first, and takes EACCES for "by other means, then"; reading takes
	 * it for that too, which is why it gets another answer. */
	return need == KEY_NEED_WRITE ? -EACCES : -EPERM;
}

/* Later kernels than 6.1 show their structures only to programs whose licence they call compatible.
 */
char LICENSE[] SEC("license") = "GPL";
