/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket that root's probe is given: over the control socket, for a gated destination only,
 * known to the kernel half before it can send, and gone after its time. The kernel half is played
 * here.
 */
#include "daemon_gate.h"

#include <sys/un.h>

static char sock[96];

static int fresh(void **state)
{
	int ret = setup(state);

	kernel.armed = true;
	snprintf(sock, sizeof(sock), "%s/control.sock", dir);
	assert_int_equal(control_open(sock, verbs_answer, g, &g->control), 0);
	return ret;
}

static int over(void **state)
{
	control_close(g->control);
	return teardown(state);
}

static void turn(void)
{
	struct pollfd p[CONTROL_POLL_MAX];
	size_t n = control_poll(g->control, p);

	assert_true(poll(p, n, 0) >= 0);
	control_handle(g->control, p, n);
}

static int dial(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(a.sun_path, sock);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	turn();
	return fd;
}

/* Says a line and reads the answer; the descriptor that came with it, or -1. */
static int ask_on(int fd, const char *request, char got[static 1024])
{
	struct iovec iov = {got, 1023};
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} ctl;
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = &ctl,
	                   .msg_controllen = sizeof(ctl)};
	struct cmsghdr *h;
	int with = -1;
	ssize_t n;

	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	turn();
	turn();
	n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	assert_true(n > 0);
	got[n] = '\0';
	h = CMSG_FIRSTHDR(&m);
	if (h) {
		assert_int_equal(h->cmsg_type, SCM_RIGHTS);
		assert_int_equal(h->cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(&with, CMSG_DATA(h), sizeof(with));
	}
	return with;
}

static int ask(const char *request, char got[static 1024])
{
	int fd = dial();
	int with = ask_on(fd, request, got);

	close(fd);
	turn();
	return with;
}

#define PROBE(address) "{\"verb\":\"probe\",\"address\":\"" address "\",\"port\":443}\n"
#define GATED          "192.0.2.7"

static uint64_t probe_id(uint64_t number)
{
	return g->epoch << GATE_ID_BITS | GATE_PROBE_ID | number;
}

static void test_a_gated_destination(void **state)
{
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);
	char got[1024];
	int fd = ask(PROBE(GATED), got);

	(void)state;
	assert_string_equal(got,
	                    "{\"ok\":true,\"gated\":true,\"destination\":\"d\",\"seconds\":30}\n");
	assert_true(fd >= 0);
	assert_int_equal(kernel_state(probe_id(1)), GATE_SESSION_HANDSHAKE);
	assert_memory_equal(kernel.marked, kernel.intent.dst, 16);
	assert_int_equal(kernel.marked_port, 443);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n), 0);
	/* A reload that destroys older sockets to gated destinations leaves it alone. */
	assert_true(flow_owns(g, cookie));
	assert_int_equal(g->sessions.n, 0);
	close(fd);
	/* Its time is over. */
	g->probe[0].end_ns = gate_boot_ns();
	flow_tick(g);
	assert_int_equal(kernel.ended, probe_id(1));
	assert_false(flow_owns(g, cookie));
	assert_int_equal(g->probes, 0);
}

static void test_it_is_audited(void **state)
{
	char got[1024], path[96];
	uint8_t *text;
	size_t n;

	(void)state;
	close(ask(PROBE(GATED), got));
	snprintf(path, sizeof(path), "%s/audit.jsonl", dir);
	assert_int_equal(file_read(path, 65536, &text, &n), 0);
	assert_non_null(strstr((char *)text, "\"event\":\"probe\""));
	assert_non_null(strstr((char *)text, "\"peer\":\"192.0.2.7:443\",\"destination\":\"d\""));
	free(text);
}

static void test_what_is_not_gated(void **state)
{
	char got[1024];

	(void)state;
	assert_int_equal(ask(PROBE("198.51.100.1"), got), -1);
	assert_string_equal(got, "{\"ok\":true,\"gated\":false,\"destination\":null}\n");
	kernel.armed = false;
	assert_int_equal(ask(PROBE(GATED), got), -1);
	assert_string_equal(got, "{\"ok\":true,\"gated\":false,\"destination\":\"d\"}\n");
	assert_int_equal(g->probes, 0);
}

static void test_what_is_denied(void **state)
{
	char got[1024];
	int fd;

	(void)state;
	policy_set_free(&g->now);
	put_policy(&g->now,
	           "default-action = deny\n"
	           "destination x { address = 198.51.100.1 action = deny }\n",
	           2);
	assert_int_equal(ask(PROBE("198.51.100.1"), got), -1);
	assert_non_null(strstr(got, "\"kind\":\"no\""));
	/* What no block speaks of is what probes are for. */
	fd = ask(PROBE("203.0.113.9"), got);
	assert_string_equal(got,
	                    "{\"ok\":true,\"gated\":true,\"destination\":null,\"seconds\":30}\n");
	assert_true(fd >= 0);
	close(fd);
}

static void test_the_kernel_half_refuses(void **state)
{
	char got[1024];

	(void)state;
	kernel.mark = -ENOMEM;
	assert_int_equal(ask(PROBE(GATED), got), -1);
	assert_non_null(strstr(got, "\"kind\":\"unavailable\""));
	assert_int_equal(kernel_state(probe_id(1)), GATE_SESSION_CUT);
	assert_int_equal(g->probes, 0);
}

static void test_they_are_bounded_and_numbered(void **state)
{
	char got[1024];
	int fd = dial();

	(void)state;
	for (int i = 0; i < PROBES_MAX; i++)
		close(ask_on(fd, PROBE(GATED), got));
	assert_int_equal(ask_on(fd, PROBE(GATED), got), -1);
	assert_non_null(strstr(got, "\"kind\":\"unavailable\""));
	assert_int_equal(kernel_state(probe_id(PROBES_MAX)), GATE_SESSION_HANDSHAKE);
	g->probe[0].end_ns = g->probe[1].end_ns = gate_boot_ns();
	flow_tick(g);
	assert_int_equal(g->probes, PROBES_MAX - 2);
	assert_int_equal(g->probe[0].kernel_id, probe_id(3));
	close(ask_on(fd, PROBE(GATED), got));
	close(fd);
	turn();
	/* Not one outlives keygated. */
	flow_stop(g);
	for (uint64_t i = 1; i <= PROBES_MAX + 1; i++)
		assert_int_equal(kernel_state(probe_id(i)), GATE_SESSION_CUT);
}

static void test_relay_can_not_take_a_probes_number(void **state)
{
	const struct msg_head head = {.type = MSG_ACCEPTED, .session = GATE_PROBE_ID | 1};

	(void)state;
	flow_from_relay(g, &head, -1);
	assert_true(g->failed);
}

static void test_wrong_requests(void **state)
{
	static const char *const wrong[] = {
	        "{\"verb\":\"probe\"}\n",
	        "{\"verb\":\"probe\",\"address\":\"192.0.2.7\"}\n",
	        "{\"verb\":\"probe\",\"address\":\"a.example\",\"port\":443}\n",
	        "{\"verb\":\"probe\",\"address\":\"192.0.2.7\",\"port\":0}\n",
	        "{\"verb\":\"probe\",\"address\":\"192.0.2.7\",\"port\":65536}\n",
	        "{\"verb\":\"probe\",\"address\":\"192.0.2.7\",\"port\":\"443\"}\n",
	        "{\"verb\":\"probe\",\"address\":\"192.0.2.7\",\"port\":443,\"x\":1}\n",
	};
	char got[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(ask(wrong[i], got), -1);
		assert_non_null(strstr(got, "\"kind\":\"usage\""));
	}
	assert_int_equal(g->probes, 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fresh, over)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(test_a_gated_destination),
	        T(test_it_is_audited),
	        T(test_what_is_not_gated),
	        T(test_what_is_denied),
	        T(test_the_kernel_half_refuses),
	        T(test_they_are_bounded_and_numbered),
	        T(test_relay_can_not_take_a_probes_number),
	        T(test_wrong_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
