/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: who may talk, in what portions, and what an answer looks like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "daemon/control.h"

static char path[64];
static struct control *c;
static uint64_t late; /* the client that waits */
static unsigned requests;

static json_t *answer(void *ctx, uint64_t client, json_t *request)
{
	const char *verb = json_string_value(json_object_get(request, "verb"));

	assert_ptr_equal(ctx, &late);
	requests++;
	if (verb && !strcmp(verb, "late")) {
		late = client;
		return NULL;
	}
	if (verb && !strcmp(verb, "watch"))
		control_watch(c, client);
	return json_pack("{s:b, s:s}", "ok", 1, "verb", verb ? verb : "");
}

static int setup(void **state)
{
	(void)state;
	strcpy(path, "/tmp/keygate-control.XXXXXX");
	assert_true(mkstemp(path) >= 0); /* stale: is replaced */
	requests = 0;
	assert_int_equal(control_open(path, answer, &late, &c), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	control_close(c);
	assert_int_equal(access(path, F_OK), -1);
	return 0;
}

static void turn(void)
{
	struct pollfd p[CONTROL_POLL_MAX];
	size_t n = control_poll(c, p);

	assert_true(poll(p, n, 0) >= 0);
	control_handle(c, p, n);
}

static int dial(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(a.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	turn();
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	turn();
}

static void expect(int fd, const char *want)
{
	char got[4096] = "";
	ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

	assert_true(n >= 0);
	assert_string_equal(got, want);
}

static void expect_nothing(int fd)
{
	char b;

	assert_int_equal(recv(fd, &b, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static void expect_end(int fd)
{
	char b;

	assert_int_equal(recv(fd, &b, 1, 0), 0);
}

static void test_request_and_answer(void **state)
{
	int fd = dial();

	(void)state;
	say(fd, "{\"verb\":\"status\"}\n");
	expect(fd, "{\"ok\":true,\"verb\":\"status\"}\n");
	/* In pieces, and two at once. */
	say(fd, "{\"verb\":");
	expect_nothing(fd);
	say(fd, "\"a\"}\n{\"verb\":\"b\"}\n");
	expect(fd, "{\"ok\":true,\"verb\":\"a\"}\n{\"ok\":true,\"verb\":\"b\"}\n");
	close(fd);
	turn();
}

static void test_socket_is_private(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(S_ISSOCK(st.st_mode));
}

static void test_other_users_are_unheard(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		printf("SKIPPED: other users need root\n");
		return;
	}
	assert_int_equal(chmod(path, 0666), 0);
	pid = fork();
	if (pid == 0) {
		struct sockaddr_un a = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		char b;

		strcpy(a.sun_path, path);
		if (setresuid(65534, 65534, 65534) || connect(fd, (struct sockaddr *)&a, sizeof(a)))
			_exit(2);
		(void)!send(fd, "{\"verb\":\"status\"}\n", 18, MSG_NOSIGNAL);
		_exit(recv(fd, &b, 1, 0) <= 0 ? 0 : 1);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		turn();
		usleep(1000);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(requests, 0);
}

static void refuses(const char *line)
{
	char got[1024] = "";
	int fd = dial();

	say(fd, line);
	assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
	assert_non_null(strstr(got, "\"ok\":false"));
	assert_non_null(strstr(got, "\"kind\":\"usage\""));
	assert_int_equal(requests, 0);
	close(fd);
	turn();
}

static void test_malformed(void **state)
{
	(void)state;
	refuses("\n");
	refuses("status\n");
	refuses("[]\n");
	refuses("\"verb\"\n");
	refuses("{\"verb\":\"a\",\"verb\":\"b\"}\n");
	refuses("{\"verb\":\"a\"} {\n");
}

static void test_line_too_long(void **state)
{
	char *line = calloc(1, CONTROL_REQUEST_MAX + 1);
	char got[1024] = "";
	int fd = dial();

	(void)state;
	memset(line, ' ', CONTROL_REQUEST_MAX);
	say(fd, line);
	turn();
	assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
	assert_non_null(strstr(got, "too long"));
	expect_end(fd);
	close(fd);
	free(line);
}

static void test_late_answer_keeps_order(void **state)
{
	int fd = dial();

	(void)state;
	say(fd, "{\"verb\":\"late\"}\n{\"verb\":\"next\"}\n");
	expect_nothing(fd);
	assert_int_equal(requests, 1);
	control_reply(c, late, json_pack("{s:b}", "ok", 1));
	turn();
	expect(fd, "{\"ok\":true}\n{\"ok\":true,\"verb\":\"next\"}\n");
	close(fd);
	turn();
}

static void test_late_answer_to_nobody(void **state)
{
	int fd = dial();

	(void)state;
	say(fd, "{\"verb\":\"late\"}\n");
	close(fd);
	turn();
	fd = dial();
	control_reply(c, late, json_pack("{s:b}", "ok", 1));
	expect_nothing(fd);
	close(fd);
	turn();
}

static void test_watch(void **state)
{
	char big[4096];
	int fd = dial();
	int other = dial();

	(void)state;
	say(fd, "{\"verb\":\"watch\"}\n");
	expect(fd, "{\"ok\":true,\"verb\":\"watch\"}\n");
	control_broadcast(c, "{}\n", 3);
	expect(fd, "{}\n");
	expect_nothing(other);
	/* One that does not read is not waited for. */
	memset(big, 'x', sizeof(big));
	for (int i = 0; i < 2 * CONTROL_WATCH_BACKLOG / (int)sizeof(big); i++)
		control_broadcast(c, big, sizeof(big));
	turn();
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	close(fd);
	close(other);
	turn();
}

static void test_clients_are_bounded(void **state)
{
	int fd[CONTROL_CLIENTS_MAX + 1];

	(void)state;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX + 1; i++)
		fd[i] = dial();
	expect_end(fd[CONTROL_CLIENTS_MAX]);
	say(fd[0], "{\"verb\":\"a\"}\n");
	expect(fd[0], "{\"ok\":true,\"verb\":\"a\"}\n");
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX + 1; i++)
		close(fd[i]);
	turn();
	fd[0] = dial();
	say(fd[0], "{\"verb\":\"a\"}\n");
	expect(fd[0], "{\"ok\":true,\"verb\":\"a\"}\n");
	close(fd[0]);
	turn();
}

static void test_error_is_clean(void **state)
{
	json_t *e = control_error(CONTROL_NO, "no \"%s\"", "a\n\xff");

	(void)state;
	assert_string_equal(json_string_value(json_object_get(e, "kind")), "no");
	assert_string_equal(json_string_value(json_object_get(e, "error")), "no \"a\?\?\"");
	assert_true(json_is_false(json_object_get(e, "ok")));
	json_decref(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_request_and_answer, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_socket_is_private, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_other_users_are_unheard, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_line_too_long, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_late_answer_keeps_order, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_late_answer_to_nobody, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_clients_are_bounded, setup, teardown),
	        cmocka_unit_test(test_error_is_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
