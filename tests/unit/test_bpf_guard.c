// SPDX-License-Identifier: Apache-2.0
/*
 * The guard on the running kernel: each thing that it refuses, tried by a process of root's that is
 * not keygate's, and then with the guard taken away, where it has to succeed. Skipped, with a line
 * that says so, where the kernel has no BPF LSM.
 */
#include "tests/unit/bpf_lab.h"
#include <bpf/libbpf.h>
#include <dirent.h>
#include <keyutils.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define PIN_MAP  LAB_MAP("kg_config")
#define PIN_LINK LAB_LINK("kg_connect4")

static struct intercept *gate;
static char self[256]; /* this program's file */

static void open_gate(struct intercept **out)
{
	const char *step = "";
	bool watch = false;
	int r = intercept_open_at(out, LAB_PINS, lab_cgroup, &watch, &step);

	if (r)
		print_error("intercept_open_at: %s: %s\n", step, strerror(-r));
	assert_int_equal(r, 0);
}

/* ------------------------------------------------------------------- by others */

typedef int (*act_fn)(void); /* 0 or an errno */

/* What acts are told. */
struct told {
	uint32_t id;
	pid_t keygate; /* this process */
	pid_t forked;  /* a child of it */
	char copied[sizeof(self) + 8];
};

static struct told *told;

/* A process that was there before the guard and is none of keygate's; it forks one for each act. */
static struct {
	pid_t pid;
	int ask, answer;
} other = {.pid = -1};

static int act_in_a_fork(act_fn act)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(act());
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static void be_other(int ask, int answer)
{
	act_fn act;
	int r;

	while (read(ask, &act, sizeof(void *)) == sizeof(void *)) {
		r = act_in_a_fork(act);
		if (write(answer, &r, sizeof(r)) != sizeof(r))
			break;
	}
	_exit(0);
}

static void begin_other(void)
{
	int ask[2], answer[2];

	assert_int_equal(pipe2(ask, O_CLOEXEC), 0);
	assert_int_equal(pipe2(answer, O_CLOEXEC), 0);
	told->keygate = getpid();
	other.pid = fork();
	assert_true(other.pid >= 0);
	if (other.pid == 0) {
		close(ask[1]);
		close(answer[0]);
		be_other(ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	other.ask = ask[1];
	other.answer = answer[0];
}

static void end_other(void)
{
	close(other.ask);
	close(other.answer);
	assert_int_equal(waitpid(other.pid, NULL, 0), other.pid);
}

static int by_other(act_fn act)
{
	int r = -1;

	assert_int_equal(write(other.ask, &act, sizeof(void *)), sizeof(void *));
	assert_int_equal(read(other.answer, &r, sizeof(r)), sizeof(r));
	assert_true(r >= 0);
	return r;
}

static int setup(void **state)
{
	(void)state;
	begin_other();
	open_gate(&gate);
	assert_null(intercept_guard_off(gate));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	intercept_close(gate);
	end_other();
	return intercept_remove_at(LAB_PINS);
}

/* NULL, or why nothing can be shown here. */
static const char *usable(void)
{
	static char why[128];
	struct intercept *i = NULL;

	open_gate(&i);
	if (intercept_guard_off(i))
		snprintf(why, sizeof(why), "no guard: %s", intercept_guard_off(i));
	intercept_close(i);
	(void)intercept_remove_at(LAB_PINS);
	return why[0] ? why : NULL;
}

/* ----------------------------------------------------------------- what is refused */

/* The kernel lets go of programs some time after their pins. */
static void drop_guard(void)
{
	static const char prefix[] = GATE_PIN_LINK "kg_guard_";
	char path[PATH_MAX];
	struct dirent *e;
	int dropped = 0;
	DIR *d = opendir(LAB_PINS);

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, prefix, strlen(prefix)))
			continue;
		snprintf(path, sizeof(path), LAB_PINS "/%s", e->d_name);
		assert_int_equal(unlink(path), 0);
		dropped++;
	}
	closedir(d);
	assert_true(dropped > 0);
}

/* Refused while the guard is there; without it the answer is this one. */
static void guarded(act_fn act, int refusal, int without)
{
	int got;

	assert_int_equal(by_other(act), refusal);
	/* And nothing of it happened. */
	assert_int_equal(by_other(act), refusal);
	drop_guard();
	got = by_other(act);
	for (int k = 0; got != without && k < 500; k++) {
		poll(NULL, 0, 10);
		got = by_other(act);
	}
	assert_int_equal(got, without);
}

static int opened(int fd)
{
	if (fd < 0)
		return -fd;
	close(fd);
	return 0;
}

/* ---------------------------------------------------------- maps, programs, links */

static int open_map_pin(void)
{
	return opened(bpf_obj_get(PIN_MAP));
}

static void test_map_by_pin(void **state)
{
	(void)state;
	assert_int_equal(open_map_pin(), 0);
	guarded(open_map_pin, EPERM, 0);
}

static uint32_t map_id(const char *pin)
{
	struct bpf_map_info info = {0};
	uint32_t n = sizeof(info);
	int fd = bpf_obj_get(pin);

	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &n), 0);
	close(fd);
	return info.id;
}

static struct bpf_link_info link_info(const char *pin)
{
	struct bpf_link_info info = {0};
	uint32_t n = sizeof(info);
	int fd = bpf_obj_get(pin);

	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &n), 0);
	close(fd);
	return info;
}

static int open_map_id(void)
{
	return opened(bpf_map_get_fd_by_id(told->id));
}

static int open_prog_id(void)
{
	return opened(bpf_prog_get_fd_by_id(told->id));
}

static int open_link_id(void)
{
	return opened(bpf_link_get_fd_by_id(told->id));
}

static void test_map_by_id(void **state)
{
	(void)state;
	told->id = map_id(PIN_MAP);
	assert_int_equal(open_map_id(), 0);
	guarded(open_map_id, ENOENT, 0);
}

static void test_prog_by_id(void **state)
{
	(void)state;
	told->id = link_info(PIN_LINK).prog_id;
	assert_int_equal(open_prog_id(), 0);
	guarded(open_prog_id, ENOENT, 0);
}

static void test_link_by_id(void **state)
{
	(void)state;
	told->id = link_info(PIN_LINK).id;
	assert_int_equal(open_link_id(), 0);
	guarded(open_link_id, ENOENT, 0);
}

static int by_link_pin(int (*change)(int link))
{
	int r, link = bpf_obj_get(PIN_LINK);

	if (link < 0)
		return -link;
	r = change(link);
	close(link);
	return -r;
}

static int detach_link(void)
{
	return by_link_pin(bpf_link_detach);
}

static void test_detach_link(void **state)
{
	(void)state;
	guarded(detach_link, EPERM, 0);
}

static int to_nothing(int link)
{
	static const struct bpf_insn allow[] = {
	        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
	        {.code = BPF_JMP | BPF_EXIT}};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_CGROUP_INET4_CONNECT);
	int r, prog = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "nothing", "GPL", allow, 2,
	                            &opts);

	if (prog < 0)
		return prog;
	r = bpf_link_update(link, prog, NULL);
	close(prog);
	return r;
}

static int update_link(void)
{
	return by_link_pin(to_nothing);
}

static void test_update_link(void **state)
{
	(void)state;
	guarded(update_link, EPERM, 0);
}

static void test_guard_by_id(void **state)
{
	(void)state;
	told->id = link_info(LAB_LINK("kg_guard_unlink")).id;
	assert_int_equal(open_link_id(), 0);
	assert_int_equal(by_other(open_link_id), ENOENT);
}

static void put_policy(uint32_t generation)
{
	struct policy_lpm_port port = {.lo = 0, .hi = 65535, .action = POLICY_DENY};
	struct policy_lpm *lpm = calloc(1, sizeof(*lpm));

	assert_non_null(lpm);
	lpm->prefix = prefix(GATED4, 32);
	lpm->port[0] = port;
	lpm->ports = 1;
	assert_int_equal(intercept_policy(gate, lpm, 1, generation, 1, 1), 0);
	free(lpm);
}

/* The table that is in force. */
static uint32_t inner_id(void)
{
	int fd = bpf_obj_get(LAB_MAP("kg_hosts"));
	uint32_t id = 0;

	for (uint32_t slot = 0; slot < 2 && !id; slot++)
		(void)bpf_map_lookup_elem(fd, &slot, &id);
	close(fd);
	assert_true(id > 0);
	return id;
}

static void test_table(void **state)
{
	struct intercept *before = gate;

	(void)state;
	put_policy(1);
	told->id = inner_id();
	assert_int_equal(by_other(open_map_id), ENOENT);
	put_policy(2);
	assert_int_not_equal(inner_id(), told->id);
	told->id = inner_id();
	assert_int_equal(by_other(open_map_id), ENOENT);
	/* A predecessor's, by a guard that never saw it made. */
	open_gate(&gate);
	intercept_close(before);
	assert_int_equal(inner_id(), told->id);
	guarded(open_map_id, ENOENT, 0);
}

static int open_others(void)
{
	struct bpf_map_info info = {0};
	uint32_t n = sizeof(info);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kg_config", 4, 4, 1, NULL), r;

	if (fd < 0)
		return -fd;
	r = bpf_obj_get_info_by_fd(fd, &info, &n);
	return r ? -r : opened(bpf_map_get_fd_by_id(info.id));
}

static void test_others_are_let_be(void **state)
{
	(void)state;
	assert_int_equal(by_other(open_others), 0);
}

/* ------------------------------------------------------------------------- pins */

static int unlink_pin(void)
{
	return unlink(PIN_MAP) ? errno : 0;
}

static void test_unlink(void **state)
{
	(void)state;
	guarded(unlink_pin, EPERM, 0);
}

static int rename_pin(void)
{
	return rename(PIN_MAP, LAB_PINS "/map_other") ? errno : 0;
}

static void test_rename(void **state)
{
	(void)state;
	guarded(rename_pin, EPERM, 0);
	assert_int_equal(rename(LAB_PINS "/map_other", PIN_MAP), 0);
}

static int rename_pins(void)
{
	if (rename(LAB_PINS, LAB_PINS "-other"))
		return errno;
	return rename(LAB_PINS "-other", LAB_PINS) ? errno : 0;
}

static void test_rename_directory(void **state)
{
	(void)state;
	guarded(rename_pins, EPERM, 0);
}

static int add_pin(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "other", 4, 4, 1, NULL);
	int r = fd < 0 ? fd : bpf_obj_pin(fd, LAB_PINS "/map_more");

	return -r;
}

static void test_add_pin(void **state)
{
	(void)state;
	guarded(add_pin, EPERM, 0);
	assert_int_equal(unlink(LAB_PINS "/map_more"), 0);
}

static int symlink_pin(void)
{
	return symlink("/nowhere", LAB_PINS "/link_more") ? errno : 0;
}

static void test_symlink(void **state)
{
	(void)state;
	guarded(symlink_pin, EPERM, 0);
	assert_int_equal(unlink(LAB_PINS "/link_more"), 0);
}

static int make_directory(void)
{
	return mkdir(LAB_PINS "/more", 0700) ? errno : 0;
}

static void test_make_directory(void **state)
{
	(void)state;
	guarded(make_directory, EPERM, 0);
	assert_int_equal(rmdir(LAB_PINS "/more"), 0);
}

static int hardlink_out(void)
{
	if (link(PIN_MAP, LAB_PINS "-other"))
		return errno;
	return unlink(LAB_PINS "-other") ? errno : 0;
}

static void test_hardlink_out(void **state)
{
	(void)state;
	guarded(hardlink_out, EPERM, 0);
}

static int hardlink_into(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "other", 4, 4, 1, NULL);
	int r = fd < 0 ? fd : bpf_obj_pin(fd, LAB_PINS "-other");

	if (r)
		return -r;
	r = link(LAB_PINS "-other", LAB_PINS "/map_more") ? errno : 0;
	return unlink(LAB_PINS "-other") ? EIO : r;
}

static void test_hardlink_into(void **state)
{
	(void)state;
	guarded(hardlink_into, EPERM, 0);
	assert_int_equal(unlink(LAB_PINS "/map_more"), 0);
}

static int rename_out(void)
{
	return rename(PIN_MAP, LAB_PINS "-other") ? errno : 0;
}

static void test_rename_out(void **state)
{
	(void)state;
	guarded(rename_out, EPERM, 0);
	assert_int_equal(rename(LAB_PINS "-other", PIN_MAP), 0);
}

static int rename_into(void)
{
	if (mkdir(LAB_PINS "-other", 0700))
		return errno;
	if (!rename(LAB_PINS "-other", LAB_PINS "/more"))
		return rmdir(LAB_PINS "/more") ? errno : 0;
	return rmdir(LAB_PINS "-other") ? EIO : EPERM;
}

static void test_rename_into(void **state)
{
	(void)state;
	guarded(rename_into, EPERM, 0);
}

static int read_pin(void)
{
	int fd = open(PIN_MAP, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : opened(fd);
}

static void test_read_pin(void **state)
{
	(void)state;
	guarded(read_pin, EPERM, 0);
}

static int list_pins(void)
{
	int n = 0;
	DIR *d = opendir(LAB_PINS);

	if (!d)
		return errno;
	while (readdir(d))
		n++;
	closedir(d);
	return n > 10 ? 0 : ENOENT;
}

static void test_pins_may_be_listed(void **state)
{
	(void)state;
	assert_int_equal(by_other(list_pins), 0);
}

/* -------------------------------------------------------------------- processes */

static int attach(void)
{
	if (ptrace(PTRACE_SEIZE, told->keygate, NULL, NULL))
		return errno;
	return 0;
}

static void test_ptrace(void **state)
{
	(void)state;
	guarded(attach, EPERM, 0);
}

static int open_memory(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)told->keygate);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? errno : opened(fd);
}

static void test_memory(void **state)
{
	(void)state;
	guarded(open_memory, EACCES, 0);
}

static int read_memory(void)
{
	char byte;
	struct iovec to = {.iov_base = &byte, .iov_len = 1},
	             from = {.iov_base = self, .iov_len = 1};

	return process_vm_readv(told->keygate, &to, 1, &from, 1, 0) == 1 ? 0 : errno;
}

static void test_read_memory(void **state)
{
	(void)state;
	guarded(read_memory, EPERM, 0);
}

static int take_descriptor(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, told->keygate, 0);
	int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, 1, 0);

	return fd < 0 ? errno : 0;
}

static void test_descriptor(void **state)
{
	(void)state;
	guarded(take_descriptor, EPERM, 0);
}

static int look_at_descriptors(void)
{
	char path[64], to[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/1", (int)told->keygate);
	return readlink(path, to, sizeof(to)) < 0 ? errno : 0;
}

static void test_may_be_looked_at(void **state)
{
	(void)state;
	assert_int_equal(by_other(look_at_descriptors), 0);
}

/* A child of keygate's that has executed nothing yet. */
static int attach_forked(void)
{
	return ptrace(PTRACE_SEIZE, told->forked, NULL, NULL) ? errno : 0;
}

static void test_ptrace_of_a_fork(void **state)
{
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		pause();
		_exit(0);
	}
	told->forked = child;
	guarded(attach_forked, EPERM, 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* --------------------------------------------------------------- who is keygate */

/* What this program answers when it is executed anew; see main. */
static int executed(const char *path, const char *what)
{
	execl(path, "keygated", what, NULL);
	return 255;
}

static int run_self(void)
{
	return executed(self, "--open");
}

static int run_self_by_link(void)
{
	return executed("/proc/self/exe", "--open");
}

static int run_copy(void)
{
	return executed(told->copied, "--open");
}

static void copy_self(void)
{
	char cmd[1024];

	snprintf(told->copied, sizeof(told->copied), "%s.copy", self);
	snprintf(cmd, sizeof(cmd), "cp '%s' '%s'", self, told->copied);
	assert_int_equal(system(cmd), 0);
}

static void test_its_own_file(void **state)
{
	(void)state;
	assert_int_equal(by_other(run_self), 0);
	assert_int_equal(by_other(run_self_by_link), 0);
}

static void test_a_copy(void **state)
{
	(void)state;
	copy_self();
	guarded(run_copy, EPERM, 0);
	unlink(told->copied);
}

/* As a package manager does it. */
static void test_replaced(void **state)
{
	(void)state;
	copy_self();
	assert_int_equal(by_other(run_copy), EPERM);
	assert_int_equal(rename(told->copied, self), 0);
	assert_int_equal(by_other(run_self), 0);
	/* What runs here is not in its place any more. */
	assert_int_equal(act_in_a_fork(run_self_by_link), 0);
	/* Not what others may write. */
	assert_int_equal(chmod(self, 0777), 0);
	assert_int_equal(by_other(run_self), EPERM);
	assert_int_equal(chmod(self, 0755), 0);
	assert_int_equal(by_other(run_self), 0);
}

/* Executed under the eyes of another. */
static int run_traced(void)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(254);
		_exit(run_self());
	}
	while (waitpid(child, &status, 0) == child && WIFSTOPPED(status))
		(void)ptrace(PTRACE_CONT, child, NULL, NULL);
	return WEXITSTATUS(status);
}

static void test_traced(void **state)
{
	(void)state;
	guarded(run_traced, EPERM, 0);
}

static int run_secure(void)
{
	return executed(self, "--secure");
}

static void test_environment(void **state)
{
	(void)state;
	/* 1: its loader heeds no LD_PRELOAD. */
	guarded(run_secure, 1, 0);
}

static int run_other(void)
{
	return executed(self, "--other");
}

/* What keygate's process executes afterwards is not keygate's. */
static void test_executes_another(void **state)
{
	(void)state;
	copy_self();
	guarded(run_other, EPERM, 0);
	unlink(told->copied);
}

static void *open_in_thread(void *r)
{
	*(int *)r = open_map_pin();
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t t;
	int r = -1;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, open_in_thread, &r), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(r, 0);
}

/* The next keygated takes over, and its guard is the one that counts. */
static void test_successor(void **state)
{
	struct intercept *next = NULL;

	(void)state;
	open_gate(&next);
	assert_null(intercept_guard_off(next));
	intercept_close(gate);
	gate = next;
	assert_int_equal(open_map_pin(), 0);
	assert_int_equal(by_other(run_self), 0);
	guarded(open_map_pin, EPERM, 0);
}

static int unlink_others_pin(void)
{
	return unlink(LAB_PINS "/map7_kg_config") ? errno : 0;
}

/* The same of another ABI: two guards, and never none. */
static void test_successor_of_another_abi(void **state)
{
	struct intercept *before = gate;

	(void)state;
	lab_rename_pins(GATE_PIN_MAP, "map7_");
	lab_rename_pins(GATE_PIN_LINK, "link7_");
	assert_int_equal(by_other(unlink_others_pin), EPERM);
	open_gate(&gate);
	assert_null(intercept_guard_off(gate));
	intercept_close(before);
	assert_int_equal(by_other(unlink_others_pin), EPERM);
	assert_int_equal(by_other(unlink_pin), EPERM);
	assert_int_equal(by_other(run_self), 0);
	put_policy(1);
	assert_int_equal(intercept_arm(gate, true), 0);
	assert_int_equal(by_other(unlink_others_pin), ENOENT);
	assert_int_equal(by_other(run_self), 0);
	guarded(unlink_pin, EPERM, 0);
}

/* ------------------------------------------------------------------------- keys */

enum { ALL = 0x3f3f0000 };

static key_serial_t ring, key;

/* In a ring that the forked process can reach, with all that permissions can give. */
static void make_keys(void)
{
	ring = add_key("keyring", "keygate:guard", NULL, 0, KEY_SPEC_SESSION_KEYRING);
	assert_true(ring > 0);
	key = add_key("user", "keygate:guard:1", "secret", 6, ring);
	assert_true(key > 0);
	assert_int_equal(keyctl_setperm(key, ALL), 0);
	assert_int_equal(keyctl_setperm(ring, ALL), 0);
}

static int key_setup(void **state)
{
	assert_true(keyctl_join_session_keyring(NULL) > 0);
	make_keys();
	return setup(state);
}

static int read_key(void)
{
	char b[16];

	return keyctl_read(key, b, sizeof(b)) < 0 ? errno : 0;
}

static void test_read_key(void **state)
{
	(void)state;
	assert_int_equal(read_key(), 0);
	guarded(read_key, EPERM, 0);
}

static int update_key(void)
{
	return keyctl_update(key, "other", 5) < 0 ? errno : 0;
}

static void test_update_key(void **state)
{
	(void)state;
	guarded(update_key, EACCES, 0);
}

static int link_key(void)
{
	return keyctl_link(key, KEY_SPEC_PROCESS_KEYRING) < 0 ? errno : 0;
}

static void test_link_key(void **state)
{
	(void)state;
	guarded(link_key, EPERM, 0);
}

static int link_ring(void)
{
	return keyctl_link(ring, KEY_SPEC_PROCESS_KEYRING) < 0 ? errno : 0;
}

static void test_link_ring(void **state)
{
	(void)state;
	guarded(link_ring, EPERM, 0);
}

/* All that root may do: list, look, set permissions, unlink, revoke. */
static int end_key(void)
{
	char text[256];
	key_serial_t in[4];

	if (keyctl_describe(key, text, sizeof(text)) < 0 || keyctl_setperm(key, ALL) < 0 ||
	    keyctl_read(ring, (char *)in, sizeof(in)) != sizeof(in[0]) || in[0] != key)
		return errno ? errno : EIO;
	if (keyctl_set_timeout(key, 60) < 0 || keyctl_revoke(key) < 0 ||
	    keyctl_unlink(key, ring) < 0 || keyctl_clear(ring) < 0 || keyctl_invalidate(ring) < 0)
		return errno;
	return 0;
}

static void test_ways_to_end_a_key(void **state)
{
	(void)state;
	assert_int_equal(by_other(end_key), 0);
}

static int read_another(void)
{
	char b[16];
	key_serial_t k = add_key("user", "keygate-of-others", "x", 1, KEY_SPEC_PROCESS_KEYRING);

	return k < 0 || keyctl_read(k, b, sizeof(b)) < 0 ? errno : 0;
}

static void test_keys_of_others(void **state)
{
	(void)state;
	assert_int_equal(by_other(read_another), 0);
}

#define GUARD_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define KEY_TEST(fn)   cmocka_unit_test_setup_teardown(fn, key_setup, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
	        GUARD_TEST(test_map_by_pin),
	        GUARD_TEST(test_detach_link),
	        GUARD_TEST(test_update_link),
	        GUARD_TEST(test_map_by_id),
	        GUARD_TEST(test_prog_by_id),
	        GUARD_TEST(test_link_by_id),
	        GUARD_TEST(test_guard_by_id),
	        GUARD_TEST(test_table),
	        GUARD_TEST(test_others_are_let_be),
	        GUARD_TEST(test_unlink),
	        GUARD_TEST(test_rename),
	        GUARD_TEST(test_rename_directory),
	        GUARD_TEST(test_add_pin),
	        GUARD_TEST(test_symlink),
	        GUARD_TEST(test_make_directory),
	        GUARD_TEST(test_hardlink_out),
	        GUARD_TEST(test_hardlink_into),
	        GUARD_TEST(test_rename_out),
	        GUARD_TEST(test_rename_into),
	        GUARD_TEST(test_read_pin),
	        GUARD_TEST(test_pins_may_be_listed),
	        GUARD_TEST(test_ptrace),
	        GUARD_TEST(test_memory),
	        GUARD_TEST(test_read_memory),
	        GUARD_TEST(test_descriptor),
	        GUARD_TEST(test_may_be_looked_at),
	        GUARD_TEST(test_ptrace_of_a_fork),
	        GUARD_TEST(test_its_own_file),
	        GUARD_TEST(test_a_copy),
	        GUARD_TEST(test_replaced),
	        GUARD_TEST(test_traced),
	        GUARD_TEST(test_environment),
	        GUARD_TEST(test_executes_another),
	        GUARD_TEST(test_threads),
	        GUARD_TEST(test_successor),
	        GUARD_TEST(test_successor_of_another_abi),
	        KEY_TEST(test_read_key),
	        KEY_TEST(test_update_key),
	        KEY_TEST(test_link_key),
	        KEY_TEST(test_link_ring),
	        KEY_TEST(test_ways_to_end_a_key),
	        KEY_TEST(test_keys_of_others),
	};
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (n < 0 || told == MAP_FAILED)
		return 1;
	if (argc == 2 && !strcmp(argv[1], "--open"))
		return open_map_pin();
	if (argc == 2 && !strcmp(argv[1], "--secure"))
		return (int)getauxval(AT_SECURE);
	if (argc == 2 && !strcmp(argv[1], "--other")) {
		snprintf(told->copied, sizeof(told->copied), "%s.copy", self);
		return run_copy();
	}
	return lab_run(tests, sizeof(tests) / sizeof(tests[0]), "bpf_guard", usable);
}
