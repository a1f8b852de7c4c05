/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings and keys in the running kernel: what the process that holds custody can do, what root in
 * another process can and can't do, and that everything ends with the process.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <keyutils.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "core/secret.h"
#include "keyring/internal.h"

enum { NOW = 1000000 };

/* Sockets are not the matter here; the keys are real. */
static int no_setsockopt(int fd, int level, int name, const void *val, unsigned len)
{
	(void)fd, (void)level, (void)name, (void)val, (void)len;
	return 0;
}

static struct keyring_syscalls calls;
static struct keyring keyring;

static int arm(void *ctx, uint64_t session, const struct keyring_released *r)
{
	(void)ctx, (void)session, (void)r;
	return 0;
}

static struct keyring_released release(const char *destination, uint64_t session)
{
	struct keyring_secrets *s = secret_alloc(sizeof(*s));
	struct keyring_released r;
	static struct verdict v;
	const char *step;

	s->suite = SUITE_CHACHA20_POLY1305_SHA256;
	s->len = 32;
	s->have_client = s->have_server = true;
	memset(s->client, 'c', 32);
	memset(s->server, 's', 32);
	verdict_init(&v, destination, NOW);
	check_add(&v.checks, "auth.finished", CHECK_PASS, "for the test");
	verdict_seal(&v);

	struct keyring_request rq = {.session = session,
	                             .destination = destination,
	                             .peer = "[2001:db8::1]:443",
	                             .now = NOW,
	                             .lease = 100,
	                             .secrets = s,
	                             .arm = arm};

	if (keyring_release(&keyring, &v, &rq, &r, &step))
		abort();
	secret_free(s, sizeof(*s));
	return r;
}

static int setup(void **state)
{
	(void)state;
	calls = *keyring_sys;
	calls.setsockopt = no_setsockopt;
	keyring_set_syscalls(&calls);
	return keyring_open(&keyring);
}

static int teardown(void **state)
{
	(void)state;
	keyctl_unlink(keyring.root, KEY_SPEC_PROCESS_KEYRING);
	keyring_set_syscalls(NULL);
	return 0;
}

static void tenth(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
}

/* Runs fn in another process of the same user; its answer is an errno. */
static int elsewhere(int (*fn)(int32_t), int32_t serial)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(fn(serial));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int outcome(long ret)
{
	return ret < 0 ? errno : 0;
}

static int do_read(int32_t serial)
{
	char buf[256];

	return outcome(keyctl_read(serial, buf, sizeof(buf)));
}

static int do_update(int32_t serial)
{
	return outcome(keyctl_update(serial, "x", 1));
}

static int do_link(int32_t serial)
{
	return outcome(keyctl_link(serial, KEY_SPEC_PROCESS_KEYRING));
}

static int do_describe(int32_t serial)
{
	char buf[256];

	return outcome(keyctl_describe(serial, buf, sizeof(buf)));
}

static int do_revoke(int32_t serial)
{
	return outcome(keyctl_revoke(serial));
}

static int do_timeout(int32_t serial)
{
	return outcome(keyctl_set_timeout(serial, 1));
}

static int do_add(int32_t ring)
{
	return outcome(add_key("user", "intruder", "x", 1, ring));
}

static int do_search(int32_t ring)
{
	return outcome(keyctl_search(ring, "user", "keygate:db:[2001:db8::1]:443:7", 0));
}

static int do_invalidate(int32_t ring)
{
	return outcome(keyctl_invalidate(ring));
}

/* What keyctl(1) asks before it shows a ring to somebody: can it be searched? */
static int do_search_nothing(int32_t ring)
{
	return outcome(keyctl_search(ring, "user", "keygate:db:nobody", 0));
}

static int as_stranger(int32_t serial)
{
	if (setgid(65534) || setuid(65534))
		return 255;
	if (do_describe(serial) != EACCES || do_revoke(serial) != EACCES ||
	    do_read(serial) != EACCES || do_timeout(serial) != EACCES)
		return 254;
	return 0;
}

static void custodian(void **state)
{
	(void)state;
	struct keyring_released a = release("db", 7), b = release("db", 8), c = release("web", 9);
	char buf[256];
	int32_t serials[4];

	assert_int_equal(a.ring, b.ring);
	assert_int_not_equal(a.ring, c.ring);
	assert_true(keyctl_describe(a.serial, buf, sizeof(buf)) > 0);
	assert_non_null(strstr(buf, ";keygate:db:[2001:db8::1]:443:7"));
	assert_true(keyctl_describe(c.ring, buf, sizeof(buf)) > 0);
	assert_non_null(strstr(buf, ";keygate:web"));
	assert_int_equal(keyctl_read(a.serial, buf, sizeof(buf)), 64);
	assert_memory_equal(buf,
	                    "cccccccccccccccccccccccccccccccc"
	                    "ssssssssssssssssssssssssssssssss",
	                    64);
	assert_int_equal(keyctl_read(a.ring, (char *)serials, sizeof(serials)), 8);

	assert_int_equal(keyring_state(a.serial), KEYRING_VALID);
	assert_int_equal(keyring_revoke(a.serial), 0);
	assert_int_equal(keyring_state(a.serial), KEYRING_REVOKED);
	assert_int_equal(keyring_state(b.serial), KEYRING_VALID);
	keyring_forget(a.ring, a.serial);
	assert_int_equal(keyctl_read(a.ring, (char *)serials, sizeof(serials)), 4);
	assert_int_equal(serials[0], b.serial);
	assert_int_equal(keyring_state(0x7ffffff0), KEYRING_GONE);
	assert_true(keyring_revoke(0x7ffffff0) < 0);
}

static void root_elsewhere(void **state)
{
	(void)state;
	struct keyring_released r = release("db", 7);
	int32_t serials[4];

	assert_int_equal(elsewhere(do_describe, r.serial), 0);
	assert_int_equal(elsewhere(do_describe, r.ring), 0);
	assert_int_equal(elsewhere(do_read, r.ring), 0); /* lists; shows no payload */
	assert_int_equal(elsewhere(do_read, keyring.root), 0);
	assert_int_equal(elsewhere(do_read, r.serial), EACCES);
	assert_int_equal(elsewhere(do_update, r.serial), EACCES);
	assert_int_equal(elsewhere(do_link, r.serial), EACCES);
	assert_int_equal(elsewhere(do_link, r.ring), EACCES);
	assert_int_equal(elsewhere(do_link, keyring.root), EACCES);
	assert_int_equal(elsewhere(do_add, r.ring), EACCES);
	assert_int_equal(elsewhere(do_search, r.ring), 0); /* its number, which it has anyway */
	assert_int_equal(keyctl_read(r.ring, (char *)serials, sizeof(serials)), 4);
	assert_int_equal(keyring_state(r.serial), KEYRING_VALID);

	assert_int_equal(elsewhere(do_revoke, r.serial), 0);
	assert_int_equal(keyring_state(r.serial), KEYRING_REVOKED);
}

/* Allowed by the permission that shows a ring; it ends what is in the ring, and opens nothing. */
static void root_ends_a_ring(void **state)
{
	(void)state;
	struct keyring_released r = release("db", 7), other = release("web", 8);

	assert_int_equal(elsewhere(do_search_nothing, r.ring), ENOKEY);
	assert_int_equal(elsewhere(do_invalidate, r.ring), 0);
	for (int i = 0; i < 50 && keyring_state(r.serial) == KEYRING_VALID; i++)
		tenth();
	assert_int_equal(keyring_state(r.serial), KEYRING_GONE);
	assert_int_equal(keyring_state(other.serial), KEYRING_VALID);
	/* The destination goes on with a ring of its own. */
	assert_int_equal(keyring_state(release("db", 9).serial), KEYRING_VALID);
}

/* The other ways to end a ring; what was in it is over with it, at once or for keyring_state. */
static void root_revokes_a_ring(void **state)
{
	(void)state;
	struct keyring_released r = release("db", 7), next;

	assert_int_equal(elsewhere(do_revoke, r.ring), 0);
	assert_int_equal(keyring_state(r.ring), KEYRING_REVOKED);
	for (int i = 0; i < 50 && keyring_state(r.serial) == KEYRING_VALID; i++)
		tenth();
	assert_int_equal(keyring_state(r.serial), KEYRING_GONE);
	next = release("db", 8);
	assert_int_equal(keyring_state(next.serial), KEYRING_VALID);
	assert_int_not_equal(next.ring, r.ring);

	assert_int_equal(elsewhere(do_timeout, next.ring), 0);
	for (int i = 0; i < 50 && keyring_state(next.ring) == KEYRING_VALID; i++)
		tenth();
	assert_int_equal(keyring_state(next.ring), KEYRING_EXPIRED);
	assert_int_equal(keyring_state(release("db", 9).serial), KEYRING_VALID);
}

static void root_invalidates_a_key(void **state)
{
	(void)state;
	struct keyring_released r = release("db", 7), other = release("db", 8);

	assert_int_equal(elsewhere(do_invalidate, r.serial), 0);
	for (int i = 0; i < 50 && keyring_state(r.serial) == KEYRING_VALID; i++)
		tenth();
	assert_int_equal(keyring_state(r.serial), KEYRING_GONE);
	assert_int_equal(keyring_state(other.serial), KEYRING_VALID);
}

/* Exit status of a shell command; what it printed is in out. */
static int shell(char *out, size_t cap, const char *fmt, int32_t serial)
{
	char command[128];
	size_t n = 0;

	snprintf(command, sizeof(command), "LC_ALL=C keyctl %s %d 2>&1", fmt, serial);

	FILE *f = popen(command, "re"); // NOLINT(cert-env33-c): what an administrator does

	assert_non_null(f);
	n = fread(out, 1, cap - 1, f);
	out[n] = '\0';
	return WEXITSTATUS(pclose(f));
}

static void root_at_a_shell(void **state)
{
	(void)state;
	struct keyring_released r = release("db", 7);
	char out[2048];

	if (shell(out, sizeof(out), "describe", r.serial) == 127) {
		puts("SKIPPED: test_keyring_ring: keyctl(1) is not installed");
		skip();
	}
	assert_int_equal(shell(out, sizeof(out), "show", r.ring), 0);
	assert_non_null(strstr(out, "keyring: keygate:db"));
	assert_non_null(strstr(out, "user: keygate:db:[2001:db8::1]:443:7"));
	assert_int_equal(shell(out, sizeof(out), "show", keyring.root), 0);
	assert_non_null(strstr(out, "user: keygate:db:[2001:db8::1]:443:7"));
	assert_int_not_equal(shell(out, sizeof(out), "print", r.serial), 0);
	assert_int_not_equal(shell(out, sizeof(out), "pipe", r.serial), 0);
	assert_null(strstr(out, "cccc"));
	assert_int_equal(shell(out, sizeof(out), "revoke", r.serial), 0);
	assert_int_equal(keyring_state(r.serial), KEYRING_REVOKED);
}

static void timeout(void **state)
{
	(void)state;
	struct keyring_released r = release("db", 7);

	assert_int_equal(elsewhere(do_timeout, r.serial), 0);
	for (int i = 0; i < 30 && keyring_state(r.serial) == KEYRING_VALID; i++)
		tenth();
	assert_int_equal(keyring_state(r.serial), KEYRING_EXPIRED);
}

static void nobody_else(void **state)
{
	(void)state;
	struct keyring_released r = release("db", 7);

	if (getuid() != 0) {
		puts("SKIPPED: test_keyring_ring: what strangers may do; needs root");
		skip();
	}
	assert_int_equal(elsewhere(as_stranger, r.serial), 0);
}

static void ends_with_the_process(void **state)
{
	(void)state;
	int32_t serial;
	int out[2];

	assert_int_equal(pipe(out), 0);

	pid_t pid = fork();

	if (pid == 0) {
		keyring_open(&keyring);
		serial = release("db", 7).serial;
		_exit(write(out[1], &serial, sizeof(serial)) == sizeof(serial) ? 0 : 1);
	}
	assert_int_equal(read(out[0], &serial, sizeof(serial)), sizeof(serial));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(out[0]);
	close(out[1]);
	for (int i = 0; i < 50 && keyring_state(serial) != KEYRING_GONE; i++)
		tenth();
	assert_int_equal(keyring_state(serial), KEYRING_GONE);
}

/* Opening again starts from nothing. */
static void opened_twice(void **state)
{
	(void)state;
	struct keyring again;
	struct keyring_released r = release("db", 7);
	int32_t serials[4];

	assert_int_equal(keyring_open(&again), 0);
	assert_int_not_equal(again.root, keyring.root);
	assert_int_equal(keyctl_read(again.root, (char *)serials, sizeof(serials)), 0);
	for (int i = 0; i < 50 && keyring_state(r.serial) != KEYRING_GONE; i++)
		tenth();
	assert_int_equal(keyring_state(r.serial), KEYRING_GONE);
	keyring = again;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(custodian), T(root_elsewhere), T(root_ends_a_ring),       T(root_at_a_shell),
	        T(custodian), T(root_elsewhere), T(root_revokes_a_ring),    T(root_at_a_shell),
	        T(custodian), T(root_elsewhere), T(root_invalidates_a_key), T(root_at_a_shell),
	        T(timeout),   T(nobody_else),    T(ends_with_the_process),  T(opened_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
