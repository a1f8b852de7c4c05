/* SPDX-License-Identifier: Apache-2.0 */
/* Secret memory: what the kernel says of its pages, what a child sees of it, refusal. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/bytes.h"
#include "core/secret.h"

/* The VmFlags line of the mapping that holds p; empty when there is none. */
static void vm_flags(const void *p, char *out, size_t cap)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	int inside = 0;

	out[0] = '\0';
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long lo;
		unsigned long hi;

		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2)
			inside = (uintptr_t)p >= lo && (uintptr_t)p < hi;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(out, cap, "%s", line + 8);
	}
	fclose(f);
}

static void flags(void **state)
{
	(void)state;
	char text[512];
	uint8_t *p = secret_alloc(5000);

	assert_non_null(p);
	assert_true(bytes_all_zero(p, 5000));
	for (size_t at = 0; at < 5000; at += 4999) {
		vm_flags(p + at, text, sizeof(text));
		assert_non_null(strstr(text, " lo"));
		assert_non_null(strstr(text, " dd"));
		assert_non_null(strstr(text, " wf"));
	}
	p[4999] = 1;
	secret_free(p, 5000);
	vm_flags(p, text, sizeof(text));
	assert_null(strstr(text, " wf"));
}

static void a_child_sees_zeros(void **state)
{
	(void)state;
	uint8_t *p = secret_alloc(32);
	int status = -1;

	assert_non_null(p);
	memset(p, 0xa5, 32);

	pid_t pid = fork();

	if (pid == 0)
		_exit(bytes_all_zero(p, 32) ? 0 : 1);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(p[31], 0xa5);
	secret_free(p, 32);
}

static void refuses(void **state)
{
	(void)state;
	errno = 0;
	assert_null(secret_alloc(0));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_null(secret_alloc(SIZE_MAX));
	assert_int_equal(errno, EINVAL);
	secret_free(NULL, 0);
	secret_free(NULL, 100);
}

/* Over the limit on locked memory there is no secret, rather than one that can be swapped out. */
static void no_lock_no_secret(void **state)
{
	(void)state;
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit none = {0, 0};

		if (setrlimit(RLIMIT_MEMLOCK, &none) || setgid(65534) || setuid(65534))
			_exit(2);
		_exit(secret_alloc(32) == NULL && errno ? 0 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		skip(); /* not root: can't shed the capability that lifts the limit */
	assert_int_equal(status, 0);
}

static void wipe(void **state)
{
	(void)state;
	uint8_t p[4] = {1, 2, 3, 4};

	secret_wipe(p, 3);
	assert_true(bytes_all_zero(p, 3));
	assert_int_equal(p[3], 4);
	secret_wipe(NULL, 0);
}

static void harden(void **state)
{
	(void)state;
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit core = {1, 1};
		int ok = secret_harden_process() == 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 &&
		         getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 &&
		         core.rlim_max == 0;

		_exit(ok ? 0 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(flags),   cmocka_unit_test(a_child_sees_zeros),
	        cmocka_unit_test(refuses), cmocka_unit_test(no_lock_no_secret),
	        cmocka_unit_test(wipe),    cmocka_unit_test(harden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
