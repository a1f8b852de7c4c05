/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A confined role: no privilege left, none to be had, no terminal; verify can't reach anything.
 * Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "daemon/role.h"
#include "daemon/spawn.h"

enum { NOBODY = 65534 };

static int need_root(void **state)
{
	(void)state;
	if (geteuid() == 0)
		return 0;
	printf("SKIPPED: confinement needs root\n");
	return 1;
}

/* Runs fn confined in a child; its wait status. fn's return value is the exit status. */
static int confined(const char *role, int (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		/* Raw exits: the sanitizer's own at-exit work is not what is confined. */
		int ret = role_confine(role, NOBODY, NOBODY);

		if (ret)
			syscall(SYS_exit_group, 100);
		syscall(SYS_exit_group, fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void expect_exit(const char *role, int (*fn)(void), int want)
{
	int status = confined(role, fn);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), want);
}

static void expect_killed(const char *role, int (*fn)(void))
{
	int status = confined(role, fn);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static int ids_are_gone(void)
{
	if (getuid() != NOBODY || getgid() != NOBODY || setuid(0) != -1 || setgid(0) != -1)
		return 1;
	if (prctl(PR_GET_DUMPABLE) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 2;
	if (prctl(PR_CAPBSET_READ, 0 /* CAP_CHOWN */, 0, 0, 0) != 0)
		return 3;
	return 0;
}

static int shadow_is_closed(void)
{
	int fd = open("/etc/shadow", O_RDONLY);

	return fd >= 0 ? 1 : 0;
}

static int descriptors_are_gone(void)
{
	for (int fd = ROLE_FD + 1; fd < 64; fd++) {
		if (fcntl(fd, F_GETFD) != -1)
			return 1;
	}
	return 0;
}

static void test_ids(void **state)
{
	(void)state;
	expect_exit("relay", ids_are_gone, 0);
	expect_exit("fetch", ids_are_gone, 0);
	expect_exit("relay", shadow_is_closed, 0);
}

static void test_descriptors(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(dup2(fds[0], 40), 40);
	expect_exit("relay", descriptors_are_gone, 0);
	close(40);
	close(fds[0]);
	close(fds[1]);
}

static int opens(void)
{
	return (int)syscall(SYS_openat, AT_FDCWD, "/etc/hostname", O_RDONLY) == -1 &&
	                       errno == EACCES
	               ? 0
	               : 1;
}

static int sockets(void)
{
	return (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0) >= 0 ? 1 : 2;
}

static int connects(void)
{
	return (int)syscall(SYS_connect, ROLE_FD, NULL, 0);
}

static int executes(void)
{
	return (int)syscall(SYS_execve, "/bin/true", NULL, NULL);
}

static int clones(void)
{
	return (int)syscall(SYS_fork);
}

static int works(void)
{
	char c = 'x';
	int fd = (int)syscall(SYS_memfd_create, "x", 0);

	return fd >= 0 && write(fd, &c, 1) == 1 && pread(fd, &c, 1, 0) == 1 && !close(fd) ? 0 : 1;
}

static void test_verify_reaches_nothing(void **state)
{
	(void)state;
	expect_exit("verify", works, 0);
	expect_exit("verify", opens, 0);
	expect_killed("verify", sockets);
	expect_killed("verify", connects);
	expect_killed("verify", executes);
	expect_killed("verify", clones);
}

static int becomes_another(void)
{
	char name[] = "true", *argv[] = {name, NULL};

	execve("/bin/true", argv, NULL);
	return errno == EPERM ? 0 : 1;
}

/* Each with arguments that get another answer where it is not refused, but do nothing. */
static int has_no_use(void)
{
	static const long calls[] = {
	        SYS_execveat,
	        SYS_ptrace,
	        SYS_kcmp,
	        SYS_process_vm_readv,
	        SYS_bpf,
	        SYS_process_vm_writev,
	        SYS_pidfd_getfd,
	        SYS_io_uring_setup,
	        SYS_keyctl,
	        SYS_io_uring_register,
	        SYS_add_key,
	        SYS_io_uring_enter,
	        SYS_request_key,
	        SYS_name_to_handle_at,
	        SYS_perf_event_open,
	        SYS_userfaultfd,
	        SYS_unshare,
	        SYS_setns,
	        SYS_mount,
	        SYS_personality,
	        SYS_open_by_handle_at,
	        SYS_modify_ldt,
	        SYS_vmsplice,
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (syscall(calls[i], -1, 0, 0, 0, 0, 0) != -1 || errno != EPERM)
			return 1 + (int)i;
	}
	return 0;
}

/* Of a file that is no terminal, where it would be ENOTTY. */
static int has_no_terminal(void)
{
	static const unsigned long calls[] = {TIOCSCTTY, TIOCSTI, TIOCLINUX, TIOCSTI | 1ul << 32};
	int fd = (int)syscall(SYS_memfd_create, "x", 0);

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (ioctl(fd, calls[i], 0) != -1 || errno != EPERM)
			return 1 + (int)i;
	}
	return ioctl(fd, TCGETS, 0) == -1 && errno == ENOTTY ? 0 : 100;
}

static void test_refused(void **state)
{
	static const char *const roles[] = {"relay", "fetch"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		expect_exit(roles[i], becomes_another, 0);
		expect_exit(roles[i], has_no_use, 0);
		expect_exit(roles[i], has_no_terminal, 0);
		expect_exit(roles[i], works, 0);
	}
}

/* ------------------------------------------------------------- the terminal */

struct terminal_seen {
	pid_t session;
	int opened; /* errno of opening the controlling terminal; 0: there is one */
	int typed;  /* the same of typing into the one that is standard error */
};

/* What spawn_role starts here: this test again, confined as a role is. */
static int as_role(void)
{
	struct terminal_seen seen = {.session = getsid(0)};
	char c = 'x';

	if (role_confine("relay", NOBODY, NOBODY))
		return 1;
	if (open("/dev/tty", O_RDWR | O_NOCTTY) < 0)
		seen.opened = errno;
	if (ioctl(STDERR_FILENO, TIOCSTI, &c))
		seen.typed = errno;
	return write(ROLE_FD, &seen, sizeof(seen)) == sizeof(seen) ? 0 : 1;
}

/* A terminal of our own as the controlling one and as standard error, as in a shell of root's. */
static bool on_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave = -1;

	if (master >= 0 && !grantpt(master) && !unlockpt(master) && setsid() >= 0)
		slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	return slave >= 0 && !ioctl(slave, TIOCSCTTY, 0) && dup2(slave, STDERR_FILENO) >= 0 &&
	       open("/dev/tty", O_RDWR | O_CLOEXEC) >= 0;
}

/* In a child, which loses its own terminal. What it returns says which part failed. */
static int spawns_without_terminal(void)
{
	struct role_process role;
	struct terminal_seen seen = {0};
	int status;

	if (!on_terminal())
		return 1;
	if (spawn_role("relay", NOBODY, NOBODY, &role))
		return 2;
	if (read(role.sock, &seen, sizeof(seen)) != sizeof(seen) ||
	    waitpid(role.pid, &status, 0) != role.pid || status)
		return 3;
	if (seen.session != role.pid || seen.session == getsid(0))
		return 4;
	if (seen.opened != ENXIO)
		return 5;
	/* Since Linux 6.2 nobody may, if the host says so: EIO. */
	return seen.typed == EPERM || seen.typed == EIO ? 0 : 6;
}

static void test_no_terminal(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(spawns_without_terminal());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_refusals(void **state)
{
	(void)state;
	assert_int_equal(role_confine("nobody", NOBODY, NOBODY), -EINVAL);
	assert_int_equal(role_confine("verify", 0, NOBODY), -EINVAL);
	assert_int_equal(role_confine("verify", NOBODY, 0), -EINVAL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ids),
	        cmocka_unit_test(test_descriptors),
	        cmocka_unit_test(test_verify_reaches_nothing),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_no_terminal),
	        cmocka_unit_test(test_refusals),
	};

	if (argc > 1 && !strcmp(argv[1], "--role=relay"))
		syscall(SYS_exit_group, as_role());
	if (need_root(NULL))
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
