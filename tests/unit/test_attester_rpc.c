/* SPDX-License-Identifier: Apache-2.0 */
/* What an RPC client asks before TLS: answered when it is exactly that, by a pair of sockets. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "attester/rpc.h"

/* As Linux sends it, to NFS 4. */
static const uint8_t question[RPC_QUESTION_LEN] = {
        0x80, 0, 0, 40, 0xd4, 0xc3, 0xb2, 0xa1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0x86, 0xa3, 0, 0,
        0,    4, 0, 0,  0,    0,    0,    0,    0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,    0, 0};
static const uint8_t answer[RPC_ANSWER_LEN] = {
        0x80, 0, 0, 32, 0xd4, 0xc3, 0xb2, 0xa1, 0,   0,   0,   1,   0,   0,   0, 0, 0, 0,
        0,    0, 0, 0,  0,    8,    'S',  'T',  'A', 'R', 'T', 'T', 'L', 'S', 0, 0, 0, 0};

static void the_question(void **state)
{
	uint8_t got[RPC_ANSWER_LEN], other[RPC_QUESTION_LEN + 1] = {0};

	(void)state;
	assert_true(rpc_answer(BYTES_OF(question), got));
	assert_memory_equal(got, answer, sizeof(answer));
	for (size_t n = 0; n < sizeof(question); n++)
		assert_false(rpc_answer((struct bytes){question, n}, got));
	memcpy(other, question, sizeof(question));
	assert_false(rpc_answer(BYTES_OF(other), got));
	for (size_t at = 0; at < sizeof(question); at++) {
		/* The call's number, the program and its version may be any. */
		bool any = (at >= 4 && at < 8) || (at >= 16 && at < 24);

		memcpy(other, question, sizeof(question));
		other[at] ^= 1;
		assert_int_equal(rpc_answer((struct bytes){other, sizeof(question)}, got), any);
	}
}

static int pair[2];

static int open_pair(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
}

static int close_pair(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static void is_answered_and_no_more_is_read(void **state)
{
	uint8_t got[RPC_ANSWER_LEN + 1];

	(void)state;
	assert_int_equal(send(pair[0], question, sizeof(question), 0), sizeof(question));
	assert_int_equal(send(pair[0], "\x16rest", 5, 0), 5);
	assert_int_equal(rpc_start_tls(pair[1], 1000), 0);
	assert_int_equal(recv(pair[0], got, sizeof(got), 0), sizeof(answer));
	assert_memory_equal(got, answer, sizeof(answer));
	assert_int_equal(recv(pair[1], got, sizeof(got), 0), 5);
}

static void tls_is_left_alone(void **state)
{
	uint8_t got[8];

	(void)state;
	assert_int_equal(send(pair[0], "\x16", 1, 0), 1);
	assert_int_equal(rpc_start_tls(pair[1], 1000), 0);
	assert_int_equal(recv(pair[1], got, sizeof(got), 0), 1);
	assert_int_equal(recv(pair[0], got, sizeof(got), 0), -1);
}

static void others_are_not_answered(void **state)
{
	uint8_t other[RPC_QUESTION_LEN];

	(void)state;
	memcpy(other, question, sizeof(question));
	other[31] = 1; /* AUTH_SYS */
	assert_int_equal(send(pair[0], other, sizeof(other), 0), sizeof(other));
	assert_int_equal(rpc_start_tls(pair[1], 1000), -EPROTO);
	assert_int_equal(recv(pair[0], other, 1, 0), -1);
}

static void slow_and_gone(void **state)
{
	(void)state;
	assert_int_equal(rpc_start_tls(pair[1], 50), -ETIMEDOUT);
	assert_int_equal(send(pair[0], question, sizeof(question) - 1, 0), sizeof(question) - 1);
	assert_int_equal(rpc_start_tls(pair[1], 50), -ETIMEDOUT);
	shutdown(pair[0], SHUT_WR);
	assert_int_equal(rpc_start_tls(pair[1], 1000), -EPIPE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_question),
	        T(is_answered_and_no_more_is_read),
	        T(tls_is_left_alone),
	        T(others_are_not_answered),
	        T(slow_and_gone),
	};

	return cmocka_run_group_tests_name("attester_rpc", tests, NULL, NULL);
}
