/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The release against a scripted kernel: what is asked of it, in which order, with which bytes;
 * and for every step a failure that must leave nothing live, nothing in memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <keyutils.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "core/bytes.h"
#include "core/secret.h"
#include "keyring/internal.h"
#include "keyring/ring.h"

enum { NOW = 1000000, ROOT = 11, RING = 22, KEY = 33, FD = 44 };

/* RFC 8448 section 3. */
static const char *const client_hex =
        "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
static const char *const server_hex =
        "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";

/* ------------------------------------------------------- the scripted kernel */

static char trace[1024];
static int calls, fail_at, fail_errno; /* the call that fails, counted from 1; 0: none */
static bool ring_there;
static char key_desc[KEYRING_DESC_MAX];
static uint8_t payload[96], rx[64], tx[64];
static size_t payload_n;
static unsigned rx_n, tx_n;
static uint64_t armed_deadline;

__attribute__((format(printf, 1, 2))) static bool step(const char *fmt, ...)
{
	size_t at = strlen(trace);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(trace + at, sizeof(trace) - at, fmt, ap);
	va_end(ap);
	if (++calls != fail_at)
		return true;
	errno = fail_errno;
	return false;
}

static int fake_setsockopt(int fd, int level, int name, const void *val, unsigned len)
{
	assert_int_equal(fd, FD);
	if (level == IPPROTO_TCP) {
		assert_int_equal(name, TCP_ULP);
		assert_string_equal(val, "tls");
		return step("ulp ") ? 0 : -1;
	}
	assert_int_equal(level, 282);
	if (!step(name == TLS_RX ? "rx " : "tx "))
		return -1;
	memcpy(name == TLS_RX ? rx : tx, val, len);
	*(name == TLS_RX ? &rx_n : &tx_n) = len;
	return 0;
}

static uint16_t reported_version, reported_cipher;
static int reported_directions;

static unsigned long read_n; /* what the key holds of payload */
static int64_t key_left;

static int64_t fake_key_left(int32_t serial)
{
	assert_int_equal(serial, KEY);
	return key_left;
}

static int fake_getsockopt(int fd, int level, int name, void *val, unsigned *len)
{
	struct tls_crypto_info info = {reported_version, reported_cipher};

	assert_int_equal(fd, FD);
	assert_int_equal(level, 282);
	/* The long form would give the key. */
	assert_int_equal(*len, sizeof(info));
	if (!(reported_directions & 1 << name)) {
		errno = EBUSY;
		return -1;
	}
	memcpy(val, &info, sizeof(info));
	return 0;
}

static int32_t fake_add_key(const char *type, const char *desc, const void *p, size_t n,
                            int32_t ring)
{
	if (strcmp(type, "keyring") == 0) {
		assert_int_equal(n, 0);
		if (ring == KEY_SPEC_PROCESS_KEYRING) {
			assert_string_equal(desc, "keygate");
			return step("root ") ? ROOT : -1;
		}
		assert_string_equal(desc, "keygate:db");
		assert_int_equal(ring, ROOT);
		return step("mkring ") ? RING : -1;
	}
	assert_string_equal(type, "user");
	assert_int_equal(ring, RING);
	if (!step("add "))
		return -1;
	snprintf(key_desc, sizeof(key_desc), "%s", desc);
	memcpy(payload, p, n);
	payload_n = n;
	return KEY;
}

static long fake_keyctl(int cmd, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	(void)d;
	switch (cmd) {
	case KEYCTL_SEARCH:
		assert_int_equal(a, ROOT);
		assert_string_equal((const char *)b, "keyring");
		assert_string_equal((const char *)c, "keygate:db");
		if (!step("search "))
			return -1;
		errno = ENOKEY;
		return ring_there ? RING : -1;
	case KEYCTL_SET_TIMEOUT:
		assert_int_equal(a, KEY);
		return step("timeout(%lu) ", b) ? 0 : -1;
	case KEYCTL_SETPERM:
		return step("perm(%lu,%08lx) ", a, b) ? 0 : -1;
	case KEYCTL_READ:
		assert_int_equal(a, KEY);
		assert_int_equal(c, sizeof(payload));
		memcpy((void *)b, payload, read_n); // NOLINT(performance-no-int-to-ptr)
		return step("read ") ? (long)read_n : -1;
	case KEYCTL_UPDATE:
		assert_int_equal(a, KEY);
		assert_int_equal(c, payload_n);
		if (!step("update "))
			return -1;
		memcpy(payload, (const void *)b, c); // NOLINT(performance-no-int-to-ptr)
		return 0;
	case KEYCTL_REVOKE:
		return step("revoke(%lu) ", a) ? 0 : -1;
	case KEYCTL_UNLINK:
		return step("unlink(%lu,%lu) ", a, b) ? 0 : -1;
	default:
		fail_msg("keyctl %d", cmd);
		return -1;
	}
}

static const struct keyring_syscalls fake = {
        .setsockopt = fake_setsockopt,
        .getsockopt = fake_getsockopt,
        .add_key = fake_add_key,
        .keyctl = fake_keyctl,
        .key_left = fake_key_left,
};

static int fake_arm(void *ctx, uint64_t session, const struct keyring_released *r)
{
	assert_ptr_equal(ctx, trace);
	assert_int_equal(session, 0xabcdef);
	assert_int_equal(r->serial, KEY);
	assert_int_equal(r->ring, RING);
	armed_deadline = r->deadline_boot_ns;
	return step("arm ") ? 0 : -fail_errno;
}

/* --------------------------------------------------------------- one release */

static struct keyring_secrets *secrets;
static struct verdict verdict;
static struct keyring keyring = {ROOT};
static struct keyring_request request;
static struct keyring_released released;
static const char *failed;

static int setup(void **state)
{
	(void)state;
	trace[0] = '\0';
	calls = fail_at = 0;
	fail_errno = EIO;
	ring_there = true;
	rx_n = tx_n = 0;
	payload_n = 0;
	secrets = secret_alloc(sizeof(*secrets));
	secrets->suite = SUITE_AES_128_GCM_SHA256;
	secrets->len = 32;
	secrets->have_client = secrets->have_server = true;
	hex_decode(bytes_str(client_hex), secrets->client, 32);
	hex_decode(bytes_str(server_hex), secrets->server, 32);
	secrets->tx_records = 1;
	secrets->rx_records = 0x10203;
	verdict_init(&verdict, "db", NOW);
	check_add(&verdict.checks, "auth.finished", CHECK_PASS, "for the test");
	verdict_limit(&verdict, NOW + 500);
	verdict_seal(&verdict);
	request = (struct keyring_request){.fd = FD,
	                                   .session = 0xabcdef,
	                                   .destination = "db",
	                                   .peer = "192.0.2.1:443",
	                                   .now = NOW,
	                                   .lease = 300,
	                                   .secrets = secrets,
	                                   .arm = fake_arm,
	                                   .arm_ctx = trace};
	memset(&released, 0, sizeof(released));
	keyring_set_syscalls(&fake);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	secret_free(secrets, sizeof(*secrets));
	keyring_set_syscalls(NULL);
	return 0;
}

static int release(void)
{
	int ret = keyring_release(&keyring, &verdict, &request, &released, &failed);

	/* Whatever came of it. */
	assert_true(bytes_all_zero((const uint8_t *)secrets, sizeof(*secrets)));
	if (ret)
		assert_true(bytes_all_zero((const uint8_t *)&released, sizeof(released)));
	return ret;
}

static void assert_refused(int err, const char *code)
{
	assert_int_equal(release(), err);
	assert_string_equal(failed, code);
	assert_string_equal(trace, "");
	assert_int_equal(calls, 0);
}

#define KEY_STEPS "search add timeout(300) perm(33,2f290000) "

static void order_and_bytes(void **state)
{
	(void)state;
	struct tls12_crypto_info_aes_gcm_128 want = {
	        .info = {TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128}};
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	assert_int_equal(release(), 0);
	assert_string_equal(trace, KEY_STEPS "arm rx tx ");
	assert_string_equal(key_desc, "keygate:db:192.0.2.1:443:abcdef");
	assert_int_equal(payload_n, 64);

	uint8_t both[64];

	hex_decode(bytes_str(client_hex), both, 32);
	hex_decode(bytes_str(server_hex), both + 32, 32);
	assert_memory_equal(payload, both, 64);

	/* What is received is under the server's key. */
	hex_decode(bytes_str("9f02283b6c9c07efc26bb9f2ac92e356"), want.key, 16);
	hex_decode(bytes_str("cf782b88"), want.salt, 4);
	hex_decode(bytes_str("dd83549aadf1e984"), want.iv, 8);
	memcpy(want.rec_seq, "\0\0\0\0\0\1\2\3", 8);
	assert_int_equal(rx_n, sizeof(want));
	assert_memory_equal(rx, &want, sizeof(want));
	hex_decode(bytes_str("17422dda596ed5d9acd890e3c63f5051"), want.key, 16);
	hex_decode(bytes_str("5b78923d"), want.salt, 4);
	hex_decode(bytes_str("ee08579033e523d9"), want.iv, 8);
	memcpy(want.rec_seq, "\0\0\0\0\0\0\0\1", 8);
	assert_int_equal(tx_n, sizeof(want));
	assert_memory_equal(tx, &want, sizeof(want));

	assert_int_equal(released.serial, KEY);
	assert_int_equal(released.ring, RING);
	assert_int_equal(released.until, NOW + 300);
	assert_true(released.deadline_boot_ns == armed_deadline);

	uint64_t from = ((uint64_t)t.tv_sec + 300) * 1000000000u + (uint64_t)t.tv_nsec;

	assert_in_range(armed_deadline, from, from + 5000000000u);
}

static void first_session_of_a_destination(void **state)
{
	(void)state;
	ring_there = false;
	assert_int_equal(release(), 0);
	assert_string_equal(trace, "search mkring perm(22,0f2b0000) add timeout(300) "
	                           "perm(33,2f290000) arm rx tx ");
}

static void verdict_ends_before_the_lease(void **state)
{
	(void)state;
	request.lease = 3600;
	assert_int_equal(release(), 0);
	assert_string_equal(trace, "search add timeout(500) perm(33,2f290000) arm rx tx ");
	assert_int_equal(released.until, NOW + 500);
}

static void lease_without_end(void **state)
{
	(void)state;
	request.lease = INT64_MAX;
	verdict_init(&verdict, "db", 0);
	check_add(&verdict.checks, "auth.finished", CHECK_PASS, "for the test");
	verdict_seal(&verdict);
	assert_int_equal(release(), 0);
	assert_string_equal(trace, "search add timeout(4294967295) perm(33,2f290000) arm rx tx ");
}

/* Every step of the longest release fails once. */
static void failures(void **state)
{
	static const struct {
		const char *code, *trace;
	} want[] = {
	        {"release.keyring", "search "},
	        {"release.keyring", "search mkring "},
	        {"release.keyring", "search mkring perm(22,0f2b0000) unlink(22,11) "},
	        {"release.keyring", "search mkring perm(22,0f2b0000) add "},
	        {"release.keyring", "search mkring perm(22,0f2b0000) add timeout(300) revoke(33) "
	                            "unlink(33,22) "},
	        {"release.keyring", "search mkring perm(22,0f2b0000) add timeout(300) "
	                            "perm(33,2f290000) revoke(33) unlink(33,22) "},
	        {"release.arm", "search mkring perm(22,0f2b0000) add timeout(300) "
	                        "perm(33,2f290000) arm revoke(33) unlink(33,22) "},
	        {"release.ktls", "search mkring perm(22,0f2b0000) add timeout(300) "
	                         "perm(33,2f290000) arm rx revoke(33) unlink(33,22) "},
	        {"release.ktls", "search mkring perm(22,0f2b0000) add timeout(300) "
	                         "perm(33,2f290000) arm rx tx revoke(33) unlink(33,22) "},
	};

	for (int i = 0; i < 9; i++) {
		teardown(state);
		setup(state);
		ring_there = false;
		fail_at = i + 1;
		fail_errno = i == 3 ? EDQUOT : EIO;
		assert_int_equal(release(), -fail_errno);
		assert_string_equal(failed, want[i].code);
		assert_string_equal(trace, want[i].trace);
		assert_int_equal(tx_n, 0);
		assert_int_equal(rx_n != 0, i == 8);
	}
}

static void nothing_to_arm(void **state)
{
	(void)state;
	request.arm = NULL;
	assert_int_equal(release(), -EINVAL);
	assert_string_equal(failed, "release.arm");
	assert_string_equal(trace, KEY_STEPS "revoke(33) unlink(33,22) ");
}

static void no_verdict_no_call(void **state)
{
	for (int i = 0; i < 11; i++) {
		teardown(state);
		setup(state);
		switch (i) {
		case 0: /* not sealed */
			verdict.sealed = 0;
			break;
		case 1: /* says pass, was not sealed as such */
			verdict_init(&verdict, "db", NOW);
			verdict.overall = CHECK_PASS;
			break;
		case 2:
			verdict.overall = CHECK_FAIL;
			break;
		case 3:
			verdict.overall = CHECK_UNAVAILABLE;
			break;
		case 4: /* changed after sealing */
			check_add(&verdict.checks, "auth.finished", CHECK_FAIL, "late");
			break;
		case 5: /* over */
			request.now = NOW + 500;
			break;
		case 6: /* not yet */
			request.now = NOW - 1;
			break;
		case 7:
			request.lease = 0;
			break;
		case 8:
			request.lease = -1;
			break;
		case 9: /* another destination's */
			request.destination = "db2";
			break;
		default:
			request.now = -1;
			verdict.made_at = -5;
		}
		assert_refused(-EACCES, "release.verdict");
	}
}

static void incomplete_secrets(void **state)
{
	for (int i = 0; i < 8; i++) {
		teardown(state);
		setup(state);
		switch (i) {
		case 0:
			secrets->suite = SUITE_NONE;
			break;
		case 1:
			secrets->suite = 0x1304;
			break;
		case 2:
			secrets->suite = SUITE_AES_256_GCM_SHA384; /* with a SHA-256 secret */
			break;
		case 3:
			secrets->have_client = false;
			break;
		case 4:
			secrets->have_server = false;
			break;
		case 5:
			secrets->len = 0;
			break;
		case 6:
			secrets->tx_records = KEYRING_RECORDS_MAX;
			break;
		default:
			secrets->rx_records = KEYRING_RECORDS_MAX;
		}
		assert_refused(-EKEYREJECTED, "release.secrets");
	}
}

static void description_too_long(void **state)
{
	(void)state;
	char peer[KEYRING_DESC_MAX];

	memset(peer, 'p', sizeof(peer) - 1);
	peer[sizeof(peer) - 1] = '\0';
	request.peer = peer;
	assert_refused(-ENAMETOOLONG, "release.keyring");
}

static void attach(void **state)
{
	(void)state;
	assert_int_equal(keyring_attach(FD), 0);
	fail_at = 2;
	fail_errno = ENOENT;
	assert_int_equal(keyring_attach(FD), -ENOENT);
	assert_string_equal(trace, "ulp ulp ");
}

static void is_ktls(void **state)
{
	(void)state;
	reported_version = TLS_1_3_VERSION;
	reported_cipher = TLS_CIPHER_AES_GCM_256;
	for (reported_directions = 0; reported_directions < 8; reported_directions += 2)
		assert_int_equal(keyring_is_ktls(FD, SUITE_AES_256_GCM_SHA384),
		                 reported_directions == 6);
	reported_directions = 6;
	assert_false(keyring_is_ktls(FD, SUITE_AES_128_GCM_SHA256));
	assert_false(keyring_is_ktls(FD, SUITE_NONE));
	reported_version = TLS_1_2_VERSION;
	assert_false(keyring_is_ktls(FD, SUITE_AES_256_GCM_SHA384));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* ---------------------------------------------------------------------- rekeys */

static const struct keyring_rekey to_rx = {.fd = FD,
                                           .serial = KEY,
                                           .suite = SUITE_AES_128_GCM_SHA256,
                                           .direction = KEYRING_RX,
                                           .left = 200};

static void released_key(void)
{
	memcpy(payload, secrets->client, 32);
	memcpy(payload + 32, secrets->server, 32);
	payload_n = read_n = 64;
	key_left = 200;
}

/* The server's secret moves on and nothing else; its key starts at record 0. */
static void rekeys_one_direction(void **state)
{
	const struct keyring_cipher *c = keyring_cipher_of(SUITE_AES_128_GCM_SHA256);
	struct keyring_rekey to_tx = to_rx;
	uint8_t client[32], server[32];
	union keyring_info want;

	(void)state;
	released_key();
	memcpy(client, secrets->client, 32);
	memcpy(server, secrets->server, 32);
	assert_int_equal(keyring_rekey(&to_rx), 0);
	assert_string_equal(trace, "read update timeout(200) rx ");
	assert_int_equal(keyring_next_secret(c, server), 0);
	assert_memory_equal(payload, client, 32);
	assert_memory_equal(payload + 32, server, 32);
	assert_int_equal(keyring_derive(c, server, 0, &want), 0);
	assert_memory_equal(rx, want.bytes, c->info_size);

	to_tx.direction = KEYRING_TX;
	key_left = 70; /* somebody has shortened it meanwhile */
	assert_int_equal(keyring_rekey(&to_tx), 0);
	assert_string_equal(trace, "read update timeout(200) rx read update timeout(70) tx ");
	assert_int_equal(keyring_next_secret(c, client), 0);
	assert_memory_equal(payload, client, 32);
	assert_memory_equal(payload + 32, server, 32);
	assert_int_equal(keyring_derive(c, client, 0, &want), 0);
	assert_memory_equal(tx, want.bytes, c->info_size);
}

/* Whatever fails: nothing later is done, and the key is revoked. */
static void rekey_fails(void **state)
{
	static const char *const traces[] = {"read revoke(33) ", "read update revoke(33) ",
	                                     "read update timeout(200) revoke(33) revoke(33) ",
	                                     "read update timeout(200) rx revoke(33) "};

	(void)state;
	for (int i = 0; i < 4; i++) {
		released_key();
		trace[0] = '\0';
		calls = 0;
		fail_at = i + 1;
		fail_errno = EKEYREVOKED;
		assert_int_equal(keyring_rekey(&to_rx), -EKEYREVOKED);
		assert_string_equal(trace, traces[i]);
	}
}

static void rekey_of_what_is_over_or_strange(void **state)
{
	static const struct {
		int64_t left;
		unsigned long n;
		int err;
	} all[] = {
	        {0, 64, -EKEYEXPIRED}, {-1, 64, -ENOKEY}, {200, 63, -EBADMSG}, {200, 96, -EBADMSG}};
	struct keyring_rekey rq = to_rx;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		released_key();
		trace[0] = '\0';
		key_left = all[i].left;
		read_n = all[i].n;
		assert_int_equal(keyring_rekey(&to_rx), all[i].err);
		assert_string_equal(trace, "read revoke(33) ");
	}
	trace[0] = '\0';
	rq.left = 0;
	assert_int_equal(keyring_rekey(&rq), -EINVAL);
	rq = to_rx;
	rq.suite = 0x1304;
	assert_int_equal(keyring_rekey(&rq), -EINVAL);
	assert_string_equal(trace, "revoke(33) revoke(33) ");
}

static void lines_of_proc_keys(void **state)
{
	static const struct {
		const char *line;
		int64_t left;
	} all[] = {
	        {"00000021 I--Q---     1  59s 2f210000     0     0 user      keygate:db: 64", 59},
	        {"00000021 I--Q---     1   9m 2f210000     0     0 user      keygate:db: 64", 599},
	        {"00000021 I--Q---     1   2h 2f210000     0     0 user      keygate:db: 64",
	         10799},
	        {"00000021 I--Q---     1   3d 2f210000     0     0 user      keygate:db: 64",
	         345599},
	        {"00000021 I--Q---     1   1w 2f210000     0     0 user      keygate:db: 64",
	         1209599},
	        {"00000021 I--Q---     1 perm 2f210000     0     0 user      keygate:db: 64",
	         UINT32_MAX},
	        {"00000021 IR-Q---     1 expd 2f210000     0     0 user      keygate:db: 64", 0},
	        {"00000022 I--Q---     1  59s 2f210000     0     0 user      keygate:db: 64", -1},
	        {"00000021 I--Q---     1  59y 2f210000     0     0 user      keygate:db: 64", -1},
	        {"00000021 I--Q---     1    s 2f210000     0     0 user      keygate:db: 64", -1},
	        {"00000021 I--Q---     1 59sx 2f210000     0     0 user      keygate:db: 64", -1},
	        {"00000021", -1},
	        {"", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		assert_int_equal(keyring_line_left(all[i].line, KEY), all[i].left);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(order_and_bytes),
	        T(first_session_of_a_destination),
	        T(verdict_ends_before_the_lease),
	        T(lease_without_end),
	        T(failures),
	        T(nothing_to_arm),
	        T(no_verdict_no_call),
	        T(incomplete_secrets),
	        T(description_too_long),
	        T(attach),
	        T(is_ktls),
	        T(rekeys_one_direction),
	        T(rekey_fails),
	        T(rekey_of_what_is_over_or_strange),
	        T(lines_of_proc_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
