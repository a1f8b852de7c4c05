// SPDX-License-Identifier: Apache-2.0
/*
 * Who gets a PPPOX socket on the running kernel. Skipped, with a line that says so, where the
 * kernel does not let itself be asked. Whether it has the protocol makes no difference: who is
 * refused gets EPERM before it looks.
 */
#include "tests/unit/bpf_lab.h"
#include <linux/capability.h>
#include <sys/syscall.h>

#define FAMILY_PPPOX 24

static struct intercept *gate;

static int setup(void **state)
{
	const char *step = "";
	bool watch;

	(void)state;
	assert_int_equal(intercept_open_at(&gate, LAB_PINS, lab_cgroup, &watch, &step), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	intercept_close(gate);
	return intercept_remove_at(LAB_PINS);
}

static const char *usable(void)
{
	bool refused;

	setup(NULL);
	refused = intercept_tunnels_refused(gate);
	teardown(NULL);
	return refused ? NULL : "this kernel has no such hook";
}

/* 0: it is made, or would be if the kernel had any such protocol. */
static int try_socket(int family)
{
	int fd = socket(family, SOCK_DGRAM, family == FAMILY_PPPOX ? 1 : 0);

	if (fd < 0)
		return errno == EPERM ? EPERM : 0;
	close(fd);
	return 0;
}

static int with_capabilities(uint32_t which)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {{.effective = which, .permitted = which}};

	return syscall(SYS_capset, &h, d) ? errno : 0;
}

enum who { ROOT, ADMIN, POWERLESS, OTHER_USER, OWN_NAMESPACE };

static int become(enum who who)
{
	if (who == ADMIN)
		return with_capabilities(1u << CAP_NET_ADMIN);
	if (who == POWERLESS)
		return with_capabilities(~(1u << CAP_NET_ADMIN));
	if (who == OTHER_USER)
		return setresuid(65534, 65534, 65534) ? errno : 0;
	if (who == OWN_NAMESPACE)
		return unshare(CLONE_NEWUSER) ? errno : 0;
	return 0;
}

static int socket_by(enum who who, int family)
{
	int status, err;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		err = become(who);
		_exit(err ? 255 : try_socket(family));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), 255);
	return WEXITSTATUS(status);
}

static void test_disarmed(void **state)
{
	(void)state;
	assert_int_equal(intercept_arm(gate, false), 0);
	assert_int_equal(socket_by(POWERLESS, FAMILY_PPPOX), 0);
}

static void test_armed(void **state)
{
	(void)state;
	assert_int_equal(intercept_policy(gate, NULL, 0, 1, 1, 1), 0);
	assert_int_equal(intercept_arm(gate, true), 0);
	assert_int_equal(socket_by(ROOT, FAMILY_PPPOX), 0);
	assert_int_equal(socket_by(ADMIN, FAMILY_PPPOX), 0);
	assert_int_equal(socket_by(POWERLESS, FAMILY_PPPOX), EPERM);
	assert_int_equal(socket_by(OTHER_USER, FAMILY_PPPOX), EPERM);
	assert_int_equal(socket_by(OWN_NAMESPACE, FAMILY_PPPOX), EPERM);
	assert_int_equal(socket_by(POWERLESS, AF_INET), 0);
	assert_int_equal(socket_by(OTHER_USER, AF_UNIX), 0);
}

/* The next keygated takes it over, and it outlives both. */
static void test_pinned(void **state)
{
	(void)state;
	assert_int_equal(intercept_policy(gate, NULL, 0, 1, 1, 1), 0);
	assert_int_equal(intercept_arm(gate, true), 0);
	intercept_close(gate);
	assert_int_equal(socket_by(POWERLESS, FAMILY_PPPOX), EPERM);
	setup(state);
	assert_int_equal(socket_by(POWERLESS, FAMILY_PPPOX), EPERM);
	assert_int_equal(intercept_remove_at(LAB_PINS), 0);
	intercept_close(gate);
	assert_int_equal(socket_by(POWERLESS, FAMILY_PPPOX), 0);
	setup(state);
}

int main(void)
{
	const struct CMUnitTest all[] = {
	        cmocka_unit_test_setup_teardown(test_disarmed, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_armed, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_pinned, setup, teardown),
	};

	return lab_run(all, sizeof(all) / sizeof(all[0]), "test_bpf_tunnel", usable);
}
