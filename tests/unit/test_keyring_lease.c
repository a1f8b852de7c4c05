/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of leases in the running kernel: which verdict opens one, how long it lasts, and that
 * nothing is read back from one that was ended, in whatever way.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <keyutils.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "core/bytes.h"
#include "core/secret.h"
#include "keyring/internal.h"
#include "keyring/ring.h"

enum { NOW = 1000000, LEN = 48 };

static struct keyring keyring;
static struct verdict verdict;
static struct keyring_lease_request request;
static struct keyring_leased lease;
static uint8_t *psk, *back;

static int setup(void **state)
{
	(void)state;
	psk = secret_alloc(LEN);
	back = secret_alloc(LEN);
	if (!psk || !back)
		return -1;
	memset(psk, 'p', LEN);
	verdict_init(&verdict, "db", NOW);
	check_add(&verdict.checks, "auth.finished", CHECK_PASS, "for the test");
	memcpy(verdict.binder, "connection", sizeof("connection"));
	verdict_limit(&verdict, NOW + 500);
	verdict_seal(&verdict);
	request = (struct keyring_lease_request){.session = 0xabc,
	                                         .destination = "db",
	                                         .peer = "192.0.2.1:443",
	                                         .now = NOW,
	                                         .lease = 300,
	                                         .psk = psk,
	                                         .psk_len = LEN};
	memset(&lease, 0, sizeof(lease));
	return keyring_open(&keyring);
}

static int teardown(void **state)
{
	(void)state;
	keyctl_unlink(keyring.root, KEY_SPEC_PROCESS_KEYRING);
	keyring_set_syscalls(NULL);
	secret_free(psk, LEN);
	secret_free(back, LEN);
	return 0;
}

static int make(void)
{
	return keyring_lease(&keyring, &verdict, &request, &lease);
}

/* Nothing of the key is left where it would have been put. */
static void assert_unread(int err)
{
	memset(back, 'x', LEN);
	assert_int_equal(keyring_lease_read(&lease, back, LEN), err);
	assert_true(bytes_all_zero(back, LEN));
}

static void wait_until_not_valid(int32_t serial)
{
	for (int i = 0; i < 50 && keyring_state(serial) == KEYRING_VALID; i++)
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	assert_int_not_equal(keyring_state(serial), KEYRING_VALID);
}

/* Another process of the same user, which is what an administrator has; its errno. */
static int elsewhere(long (*fn)(int32_t), int32_t serial)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(fn(serial) < 0 ? errno : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static long do_revoke(int32_t serial)
{
	return keyctl_revoke(serial);
}

static long do_timeout(int32_t serial)
{
	return keyctl_set_timeout(serial, 1);
}

static long do_invalidate(int32_t serial)
{
	return keyctl_invalidate(serial);
}

static long do_read(int32_t serial)
{
	char buf[LEN];

	return keyctl_read(serial, buf, sizeof(buf));
}

/* The administrator may change permissions, and then everything else. */
static long do_unlink(int32_t serial)
{
	key_perm_t all = KEY_POS_ALL | KEY_USR_ALL;

	return keyctl_setperm(lease.ring, all) < 0 ? -1 : keyctl_unlink(serial, lease.ring);
}

static long do_clear(int32_t ring)
{
	key_perm_t all = KEY_POS_ALL | KEY_USR_ALL;

	return keyctl_setperm(ring, all) < 0 ? -1 : keyctl_clear(ring);
}

static void kept_and_read(void **state)
{
	char desc[KEYRING_DESC_MAX + 64];

	(void)state;
	assert_int_equal(make(), 0);
	assert_int_equal(lease.until, NOW + 300);
	assert_true(keyctl_describe(lease.serial, desc, sizeof(desc)) > 0);
	assert_non_null(strstr(desc, ";keygate:db:192.0.2.1:443:lease:abc"));
	/* No WRITE: nobody updates it, not even the one that made it. */
	assert_non_null(strstr(desc, ";2b290000;"));
	/* As /proc/keys tells it, in minutes. */
	assert_in_range(keyring_sys->key_left(lease.serial), 299, 359);
	assert_int_equal(keyring_lease_read(&lease, back, LEN), 0);
	assert_memory_equal(back, psk, LEN);
	assert_int_equal(elsewhere(do_read, lease.serial), EACCES);

	request.psk_len = 32;
	request.session = 0xabd;
	assert_int_equal(make(), 0);
	assert_int_equal(keyring_lease_read(&lease, back, 32), 0);
	assert_memory_equal(back, psk, 32);
}

/* Neither a second lease of that session nor a session replaces what is there. */
static void names_are_its_own(void **state)
{
	const struct bytes other = {(const uint8_t *)"other", 5};
	struct keyring_leased first;
	int32_t serial = 0;

	(void)state;
	assert_int_equal(make(), 0);
	first = lease;
	assert_int_equal(keyring_add(lease.ring, "keygate:db:192.0.2.1:443:abc", &other, 100,
	                             KEYRING_RENEW, &serial),
	                 0);
	assert_int_not_equal(serial, first.serial);
	memset(psk, 'q', LEN);
	assert_true(make() < 0);
	memset(psk, 'p', LEN);
	assert_int_equal(keyring_lease_read(&first, back, LEN), 0);
	assert_memory_equal(back, psk, LEN);
}

static void verdict_ends_first(void **state)
{
	(void)state;
	request.lease = 3600;
	assert_int_equal(make(), 0);
	assert_int_equal(lease.until, NOW + 500);
	assert_in_range(keyring_sys->key_left(lease.serial), 479, 539);
}

static void only_an_attested_connection(void **state)
{
	for (int i = 0; i < 8; i++) {
		teardown(state);
		setup(state);
		switch (i) {
		case 0: /* a lease of a lease */
			memcpy(verdict.binder, "lease", sizeof("lease"));
			break;
		case 1:
			memcpy(verdict.binder, "nonce", sizeof("nonce"));
			break;
		case 2:
			memset(verdict.binder, 0, sizeof(verdict.binder));
			break;
		case 3:
			request.destination = "db2";
			break;
		case 4:
			verdict.sealed = 0;
			break;
		case 5:
			check_add(&verdict.checks, "auth.finished", CHECK_FAIL, "late");
			break;
		case 6:
			request.now = NOW + 500;
			break;
		default:
			request.lease = 0;
		}
		assert_int_equal(make(), -EACCES);
		assert_int_equal(lease.serial, 0);
	}
}

/* The key that was attested for a nonce, and no other. */
static void by_key(void **state)
{
	(void)state;
	request.by_key = true;
	request.psk_len = 32;
	hex_encode((struct bytes){psk, 32}, verdict.server_key);
	assert_int_equal(make(), -EACCES); /* "connection" is for a PSK */
	memset(verdict.binder, 0, sizeof(verdict.binder));
	memcpy(verdict.binder, "nonce", sizeof("nonce"));
	psk[31] ^= 1;
	assert_int_equal(make(), -EACCES);
	psk[31] ^= 1;
	request.psk_len = 48;
	assert_int_equal(make(), -EACCES);
	verdict.server_key[0] = '\0';
	assert_int_equal(make(), -EACCES);
	request.psk_len = 32;
	assert_int_equal(make(), -EACCES);
	hex_encode((struct bytes){psk, 32}, verdict.server_key);
	memcpy(verdict.binder, "lease-key", sizeof("lease-key"));
	assert_int_equal(make(), -EACCES);
	assert_int_equal(lease.serial, 0);
	memset(verdict.binder, 0, sizeof(verdict.binder));
	memcpy(verdict.binder, "nonce", sizeof("nonce"));
	assert_int_equal(make(), 0);
	assert_int_equal(keyring_lease_read(&lease, back, 32), 0);
	assert_memory_equal(back, psk, 32);
}

static void no_psk(void **state)
{
	(void)state;
	request.psk_len = 47;
	assert_int_equal(make(), -EKEYREJECTED);
	request.psk_len = 0;
	assert_int_equal(make(), -EKEYREJECTED);
	request.psk_len = 32;
	memset(psk, 0, 32);
	assert_int_equal(make(), -EKEYREJECTED);
	assert_int_equal(lease.serial, 0);
}

static void ended_key_is_not_read(void **state)
{
	static const struct {
		long (*end)(int32_t);
		int err;
	} ways[] = {{do_revoke, -EKEYREVOKED},
	            {do_timeout, -EKEYEXPIRED},
	            {do_invalidate, -ENOKEY},
	            {do_unlink, -ENOKEY}};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		teardown(state);
		setup(state);
		assert_int_equal(make(), 0);
		assert_int_equal(elsewhere(ways[i].end, lease.serial), 0);
		/* Taking it out of its ring leaves it valid until the kernel collects it. */
		if (ways[i].end != do_unlink)
			wait_until_not_valid(lease.serial);
		assert_unread(ways[i].err);
	}
}

static void ended_ring_is_not_read(void **state)
{
	static const struct {
		long (*end)(int32_t);
		int err;
	} ways[] = {{do_revoke, -EKEYREVOKED},
	            {do_timeout, -EKEYEXPIRED},
	            {do_invalidate, -ENOKEY},
	            {do_clear, -ENOKEY}};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		teardown(state);
		setup(state);
		assert_int_equal(make(), 0);
		assert_int_equal(elsewhere(ways[i].end, lease.ring), 0);
		if (ways[i].end != do_clear)
			wait_until_not_valid(lease.ring);
		assert_unread(ways[i].err);
		/* The destination goes on with a new one. */
		request.session++;
		assert_int_equal(make(), 0);
		assert_int_equal(keyring_lease_read(&lease, back, LEN), 0);
	}
}

static void of_another_length(void **state)
{
	(void)state;
	assert_int_equal(make(), 0);
	assert_int_equal(keyring_lease_read(&lease, back, 32), -EBADMSG);
	assert_true(bytes_all_zero(back, 32));
}

/* Half made is not made. */
static struct keyring_syscalls calls;

static long no_timeout(int cmd, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	if (cmd == KEYCTL_SET_TIMEOUT) {
		errno = EIO;
		return -1;
	}
	return keyctl(cmd, a, b, c, d);
}

static void without_timeout_there_is_none(void **state)
{
	int32_t serials[4];
	int32_t in = 0;

	(void)state;
	calls = *keyring_sys;
	calls.keyctl = no_timeout;
	keyring_set_syscalls(&calls);
	assert_int_equal(make(), -EIO);
	assert_int_equal(lease.serial, 0);
	assert_int_equal(keyring_ring(&keyring, "db", &in), 0);
	assert_int_equal(keyctl_read(in, (char *)serials, sizeof(serials)), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(kept_and_read),
	        T(names_are_its_own),
	        T(verdict_ends_first),
	        T(only_an_attested_connection),
	        T(no_psk),
	        T(by_key),
	        T(ended_key_is_not_read),
	        T(ended_ring_is_not_read),
	        T(of_another_length),
	        T(without_timeout_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
