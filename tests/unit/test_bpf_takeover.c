// SPDX-License-Identifier: Apache-2.0
/*
 * A keygated that finds what another version left in the kernel. The other version is this one,
 * whose pins were given that one's names: to whoever looks for his own they are strange. A server
 * stands at the gated destination all the while; whatever reaches it has come through.
 */
#include "tests/unit/bpf_lab.h"
#include <bpf/libbpf.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

enum { RULE = 0, GENERATION = 7, KILLS = 8 };

struct lab {
	struct intercept *i;
	int listener, server;
	uint16_t port;
};

/* Not by assertions: processes that must not run the tests' end call it too. */
static int open_gate(struct intercept **out)
{
	const char *step = "";
	bool watch;
	int r = intercept_open_at(out, LAB_PINS, lab_cgroup, &watch, &step);

	if (r)
		print_error("intercept_open_at: %s: %s\n", step, strerror(-r));
	return r;
}

static int put_policy(struct intercept *i, uint16_t port)
{
	const struct policy_lpm gated = {
	        .prefix = prefix(GATED4, 32),
	        .ports = 1,
	        .port = {{.lo = 443, .hi = 443, .action = POLICY_GATE}},
	};

	return intercept_policy(i, &gated, 1, GENERATION, port, 0);
}

static void listen_for_apps(struct lab *l)
{
	l->listener = server("127.0.0.1", 0);
	l->port = port_of(l->listener);
	assert_int_equal(intercept_mark(l->i, l->listener, GATE_OWN_LISTENER, 0, NULL, 0), 0);
}

static void serve(struct lab *l)
{
	assert_int_equal(open_gate(&l->i), 0);
	listen_for_apps(l);
	assert_int_equal(put_policy(l->i, l->port), 0);
}

static void end(struct lab *l)
{
	intercept_close(l->i);
	l->i = NULL;
	if (l->listener >= 0)
		close(l->listener);
	l->listener = -1;
}

/* ------------------------------------------------------------------------ pins */

/* What was the other version is this one, and the other way round. */
static void swap_pins(void)
{
	lab_rename_pins(GATE_PIN_MAP, "was_map");
	lab_rename_pins(GATE_PIN_LINK, "was_link");
	lab_rename_pins("map7_", GATE_PIN_MAP);
	lab_rename_pins("link7_", GATE_PIN_LINK);
	lab_rename_pins("was_map", "map7_");
	lab_rename_pins("was_link", "link7_");
}

static size_t pins_like(const char *prefix_of)
{
	DIR *d = opendir(LAB_PINS);
	struct dirent *e;
	size_t n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += !strncmp(e->d_name, prefix_of, strlen(prefix_of));
	closedir(d);
	return n;
}

/* This version's, all of them, and no others. */
static void only_own(void)
{
	size_t own = pins_like(GATE_PIN_MAP) + pins_like(GATE_PIN_LINK);

	assert_true(pins_like(GATE_PIN_MAP) >= 10 && pins_like(GATE_PIN_LINK) >= 10);
	assert_int_equal(pins_like("map") + pins_like("link"), own);
}

/* --------------------------------------------------------------- what comes through */

/* Refused, or at the listener; how the connect ended is answered. */
static int closed(const struct lab *l)
{
	struct sockaddr_storage peer;
	int r = connect_errno(GATED4, 443), conn;

	assert_false(ready(l->server, POLLIN, 0));
	if (r)
		assert_int_equal(r, ECONNREFUSED);
	else
		assert_true((conn = accepted(l->listener, &peer, 2000)) >= 0 && !close(conn));
	return r;
}

static void open_to_all(const struct lab *l)
{
	struct sockaddr_storage peer;
	int conn;

	assert_int_equal(connect_errno(GATED4, 443), 0);
	conn = accepted(l->server, &peer, 2000);
	assert_true(conn >= 0);
	close(conn);
}

/* ------------------------------------------------------------------------ tests */

/* What another version left: armed, its keygated dead. */
static int setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	l->listener = -1;
	l->server = server(GATED4, 443);
	open_to_all(l);
	serve(l);
	assert_int_equal(intercept_arm(l->i, true), 0);
	assert_int_equal(closed(l), 0);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	end(l);
	assert_int_equal(intercept_remove_at(LAB_PINS), 0);
	open_to_all(l);
	close(l->server);
	free(l);
	return 0;
}

static void leave_as(struct lab *l, const char *map, const char *link)
{
	end(l);
	lab_rename_pins(GATE_PIN_MAP, map);
	lab_rename_pins(GATE_PIN_LINK, link);
	assert_int_equal(closed(l), ECONNREFUSED);
}

static void takes_over(struct lab *l, const char *map, const char *link)
{
	leave_as(l, map, link);
	assert_int_equal(open_gate(&l->i), 0);
	assert_false(intercept_armed(l->i));
	assert_int_equal(closed(l), ECONNREFUSED);
	listen_for_apps(l);
	assert_int_equal(closed(l), ECONNREFUSED);
	assert_int_equal(put_policy(l->i, l->port), 0);
	assert_int_equal(closed(l), ECONNREFUSED);
	assert_true(pins_like(map) >= 10 && pins_like(link) >= 10);
	assert_int_equal(intercept_arm(l->i, true), 0);
	only_own();
	assert_int_equal(closed(l), 0);
}

static void test_older(void **state)
{
	takes_over(*state, "map7_", "link7_");
}

/* And one whose number begins as this one's. */
static void test_newer(void **state)
{
	takes_over(*state, "map" GATE_TEXT(GATE_ABI) "1_", "link" GATE_TEXT(GATE_ABI) "1_");
}

/* Before there were numbers. */
static void test_without_a_number(void **state)
{
	takes_over(*state, "map_", "link_");
}

/* Two at once: an upgrade that came to nothing, followed by another. */
static void test_two_others(void **state)
{
	struct lab *l = *state;

	leave_as(l, "map7_", "link7_");
	assert_int_equal(open_gate(&l->i), 0);
	leave_as(l, "map5_", "link5_");
	serve(l);
	assert_int_equal(closed(l), ECONNREFUSED);
	assert_int_equal(intercept_arm(l->i, true), 0);
	only_own();
	assert_int_equal(closed(l), 0);
}

static void arm_own(bool armed)
{
	int fd = bpf_obj_get(LAB_MAP("kg_config"));
	struct gate_config cfg;
	uint32_t zero = 0;

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &cfg), 0);
	cfg.armed = armed;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &cfg, BPF_ANY), 0);
	close(fd);
}

/* Both armed: the old one is asked first, and refuses. */
static void test_both_armed(void **state)
{
	struct lab *l = *state;

	leave_as(l, "map7_", "link7_");
	serve(l);
	arm_own(true);
	assert_int_equal(closed(l), ECONNREFUSED);
	/* Another one ended just here; the next one goes on. */
	end(l);
	assert_int_equal(closed(l), ECONNREFUSED);
	serve(l);
	assert_true(intercept_armed(l->i));
	assert_int_equal(closed(l), ECONNREFUSED);
	assert_int_equal(intercept_arm(l->i, true), 0);
	only_own();
	assert_int_equal(closed(l), 0);
}

/* And back, after that: this version's are asked first, and point at its listener. */
static void test_both_armed_and_back(void **state)
{
	struct lab *l = *state;

	leave_as(l, "map7_", "link7_");
	serve(l);
	arm_own(true);
	end(l);
	swap_pins();
	assert_int_equal(closed(l), ECONNREFUSED);
	serve(l);
	assert_int_equal(closed(l), 0);
	assert_int_equal(intercept_arm(l->i, true), 0);
	only_own();
	assert_int_equal(closed(l), 0);
}

/* The administrator's word opens whatever there is. */
static void test_disarm(void **state)
{
	struct lab *l = *state;

	leave_as(l, "map7_", "link7_");
	serve(l);
	arm_own(true);
	assert_int_equal(intercept_arm(l->i, false), 0);
	only_own();
	open_to_all(l);
}

static void test_remove_all(void **state)
{
	struct lab *l = *state;
	struct stat st;

	leave_as(l, "map7_", "link7_");
	serve(l);
	assert_int_equal(intercept_remove_at(LAB_PINS), 0);
	assert_int_equal(stat(LAB_PINS, &st), -1);
	open_to_all(l);
}

/* Under this version's own name, and yet not what this version makes. */
static void test_same_number_and_other_maps(void **state)
{
	struct intercept *second = NULL;
	const char *step = NULL;
	struct lab *l = *state;
	bool watch;
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "kg_conn", sizeof(struct gate_conn_key), 8,
	                        GATE_CONNS_MAX, NULL);

	assert_true(fd >= 0);
	assert_int_equal(unlink(LAB_MAP("kg_conn")), 0);
	assert_int_equal(bpf_obj_pin(fd, LAB_MAP("kg_conn")), 0);
	close(fd);
	assert_int_equal(intercept_open_at(&second, LAB_PINS, lab_cgroup, &watch, &step), -EPROTO);
	assert_null(second);
	assert_non_null(strstr(step, "GATE_ABI"));
	assert_int_equal(closed(l), 0);
}

/* --------------------------------------------------------------------- what is kept */

/* Raw sockets that are not marked as programs' are taken for the kernel's own. */
static void test_marks_are_kept(void **state)
{
	struct lab *l = *state;
	int raw = new_socket(GATED4, SOCK_RAW, IPPROTO_ICMP), fd;
	uint32_t mark;

	leave_as(l, "map7_", "link7_");
	serve(l);
	assert_int_equal(intercept_arm(l->i, true), 0);
	fd = bpf_obj_get(LAB_MAP("kg_raw"));
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &raw, &mark), 0);
	close(fd);
	close(raw);
}

static void put_learned(const char *ip, const struct gate_name *name)
{
	struct gate_learned learned = {.name = *name};
	struct policy_prefix addr = prefix(ip, 32);
	int fd = bpf_obj_get(LAB_MAP("kg_learned"));

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, addr.addr, &learned, BPF_ANY), 0);
	close(fd);
}

static void on_learned(void *ctx, const struct intercept_told *told)
{
	struct policy_prefix open4 = prefix(OPEN4, 32);

	(void)ctx;
	assert_string_equal(told->host, "a.test");
	assert_memory_equal(told->addr, open4.addr, sizeof(open4.addr));
	assert_true(told->seen_ns);
}

/* Addresses that keygated had not heard of yet. */
static void test_learned_is_kept(void **state)
{
	static const struct gate_name name = {.wire = "\001a\004test"}, gone = {.wire = "\001b"};
	const struct policy_name_rules rules = {
	        .host = "a.test",
	        .ports = 1,
	        .port = {{.lo = 443, .hi = 443, .action = POLICY_GATE}},
	};
	struct lab *l = *state;

	put_learned(OPEN4, &name);
	put_learned("198.51.100.10", &gone);
	leave_as(l, "map7_", "link7_");
	serve(l);
	assert_int_equal(intercept_names(l->i, &rules, 1, GENERATION), 0);
	assert_int_equal(intercept_arm(l->i, true), 0);
	only_own();
	assert_int_equal(intercept_learned(l->i, on_learned, NULL), 1);
	end(l);
	assert_int_equal(connect_errno(OPEN4, 443), ECONNREFUSED);
}

/* What can't be read may say that an address is gated. */
static void test_learned_of_another_kind(void **state)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "kg_learned", 16, sizeof(struct gate_name) - 1,
	                        16, NULL);
	struct lab *l = *state;

	assert_true(fd >= 0);
	leave_as(l, "map7_", "link7_");
	assert_int_equal(unlink(LAB_PINS "/map7_kg_learned"), 0);
	assert_int_equal(bpf_obj_pin(fd, LAB_PINS "/map7_kg_learned"), 0);
	close(fd);
	serve(l);
	assert_int_equal(intercept_names(l->i, NULL, 0, GENERATION), -EPROTO);
	assert_int_equal(closed(l), ECONNREFUSED);
}

/* ------------------------------------------------------------- ended at any point */

/* What keygated --arm does. Nobody listens, so it is refused to the end. */
static int take_over(void)
{
	struct intercept *i = NULL;
	int r = open_gate(&i);

	if (!r)
		r = intercept_names(i, NULL, 0, GENERATION);
	if (!r)
		r = put_policy(i, 0);
	if (!r)
		r = intercept_arm(i, true);
	intercept_close(i);
	return r;
}

/* Whether this system call, which is about to begin, changes what there is in the kernel. */
static bool changes(const struct __ptrace_syscall_info *s)
{
	if (s->op != PTRACE_SYSCALL_INFO_ENTRY)
		return false;
	if (s->entry.nr == SYS_unlink || s->entry.nr == SYS_rename)
		return true;
	if (s->entry.nr != SYS_bpf)
		return false;
	switch (s->entry.args[0]) {
	case BPF_OBJ_PIN:
	case BPF_MAP_UPDATE_ELEM:
	case BPF_LINK_CREATE:
	case BPF_LINK_UPDATE:
	case BPF_LINK_DETACH:
		return true;
	default:
		return false;
	}
}

static pid_t begin_traced(void)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))
			_exit(2);
		_exit(take_over() ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(
	        ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL),
	        0);
	return child;
}

/* To the next stop; false when it has ended, as it should. */
static bool goes_on(pid_t child)
{
	int status;

	assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSTOPPED(status))
		return true;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

/*
 * Takes over in a process of its own, which is killed before the change of this number. At each it
 * is tried whether something comes through. How many changes were about to be.
 */
static unsigned int traced(const struct lab *l, unsigned int last)
{
	struct __ptrace_syscall_info s;
	pid_t child = begin_traced();
	unsigned int n = 0;

	while (goes_on(child)) {
		if (ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof(s), &s) <= 0 ||
		    !changes(&s))
			continue;
		assert_int_equal(closed(l), ECONNREFUSED);
		if (++n < last)
			continue;
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		break;
	}
	assert_int_equal(closed(l), ECONNREFUSED);
	return n;
}

static void test_every_step(void **state)
{
	struct lab *l = *state;
	unsigned int n;

	if (!intercept_guard_off(l->i))
		skip(); /* of other processes' pins this one could see nothing */
	leave_as(l, "map7_", "link7_");
	n = traced(l, UINT_MAX);
	only_own();
	/* Each pin was made and each of the old ones removed. */
	assert_true(n > 2 * (pins_like("map") + pins_like("link")));
	/* Killed later each time; the next goes on with what it finds, and one of them is the old
	 * version again. */
	leave_as(l, "map7_", "link7_");
	for (unsigned int k = 1; k <= KILLS; k++) {
		if (k == KILLS / 2)
			swap_pins();
		(void)traced(l, n * k / (KILLS + 1));
	}
	serve(l);
	assert_int_equal(intercept_arm(l->i, true), 0);
	only_own();
	assert_int_equal(closed(l), 0);
}

int main(void)
{
	const struct CMUnitTest all[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	        T(test_older),          T(test_newer),           T(test_without_a_number),
	        T(test_two_others),     T(test_both_armed),      T(test_both_armed_and_back),
	        T(test_disarm),         T(test_remove_all),      T(test_same_number_and_other_maps),
	        T(test_marks_are_kept), T(test_learned_is_kept), T(test_learned_of_another_kind),
	        T(test_every_step),
	};

	return lab_run(all, sizeof(all) / sizeof(all[0]), "test_bpf_takeover", NULL);
}
