/* SPDX-License-Identifier: Apache-2.0 */
/* A confined role: no privilege left, none to be had; verify can't reach anything. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "daemon/role.h"

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

static void test_refusals(void **state)
{
	(void)state;
	assert_int_equal(role_confine("nobody", NOBODY, NOBODY), -EINVAL);
	assert_int_equal(role_confine("verify", 0, NOBODY), -EINVAL);
	assert_int_equal(role_confine("verify", NOBODY, 0), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ids),
	        cmocka_unit_test(test_descriptors),
	        cmocka_unit_test(test_verify_reaches_nothing),
	        cmocka_unit_test(test_refusals),
	};

	if (need_root(NULL))
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
