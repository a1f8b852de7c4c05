// SPDX-License-Identifier: Apache-2.0
/*
 * Programs of somebody else beside the gate's, on the running kernel: at the cgroup where the gate
 * is and at one below, attached before and after it. Knows nothing of what they are for; each is a
 * few instructions.
 */
#include "tests/unit/bpf_lab.h"
#include <linux/bpf.h>
#include <netinet/ip.h>

enum { GENERATION = 3, QUIET_MS = 250, THEIRS = 445, ELSEWHERE = 4444 };

#define INSN(op, d, s, o, i) \
	((struct bpf_insn){.code = (op), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define SET(reg, value)       INSN(BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, (int)(value))
#define READ(reg, field)      INSN(BPF_LDX | BPF_MEM | BPF_W, reg, BPF_REG_1, field, 0)
#define WRITE(field, reg)     INSN(BPF_STX | BPF_MEM | BPF_W, BPF_REG_1, reg, field, 0)
#define UNLESS(reg, value, n) INSN(BPF_JMP | BPF_JNE | BPF_K, reg, 0, n, value)
#define EXIT                  INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define FIELD(name)           offsetof(struct bpf_sock_addr, name)

struct lab {
	struct intercept *i;
	int listener;
	char below[600];
};

struct theirs {
	int cgroup, prog;
	enum bpf_attach_type type;
};

static const struct place {
	bool below, after;
} places[] = {{false, false}, {false, true}, {true, false}, {true, true}};

enum { PLACES = sizeof(places) / sizeof(places[0]) };

/* -EPERM where the kernel refuses it to be there. */
static int attach(struct theirs *t, const char *cgroup, enum bpf_attach_type type,
                  const struct bpf_insn *code, size_t n, uint32_t flags)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type);
	enum bpf_prog_type kind = type == BPF_CGROUP_INET_EGRESS ? BPF_PROG_TYPE_CGROUP_SKB
	                                                         : BPF_PROG_TYPE_CGROUP_SOCK_ADDR;

	t->type = type;
	t->cgroup = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(t->cgroup >= 0);
	t->prog = bpf_prog_load(kind, "foreign", "GPL", code, n, &opts);
	assert_true(t->prog >= 0);
	return bpf_prog_attach(t->prog, t->cgroup, type, flags);
}

static void detach(struct theirs *t)
{
	assert_int_equal(bpf_prog_detach2(t->prog, t->cgroup, t->type), 0);
	close(t->prog);
	close(t->cgroup);
}

/* Connections to one port are refused. */
static int attach_refusing(struct theirs *t, const char *cgroup, enum bpf_attach_type type,
                           uint32_t flags)
{
	const struct bpf_insn code[] = {READ(BPF_REG_2, FIELD(user_port)), SET(BPF_REG_0, 1),
	                                UNLESS(BPF_REG_2, htons(THEIRS), 1), SET(BPF_REG_0, 0),
	                                EXIT};

	return attach(t, cgroup, type, code, sizeof(code) / sizeof(code[0]), flags);
}

/* A connection to one port goes to what is gated instead, as load balancers have it. */
static void attach_rewriting(struct theirs *t, const char *cgroup)
{
	const struct bpf_insn code[] = {READ(BPF_REG_2, FIELD(user_port)),
	                                UNLESS(BPF_REG_2, htons(ELSEWHERE), 4),
	                                SET(BPF_REG_2, inet_addr(GATED4)),
	                                WRITE(FIELD(user_ip4), BPF_REG_2),
	                                SET(BPF_REG_2, htons(443)),
	                                WRITE(FIELD(user_port), BPF_REG_2),
	                                SET(BPF_REG_0, 1),
	                                EXIT};

	assert_int_equal(attach(t, cgroup, BPF_CGROUP_INET4_CONNECT, code,
	                        sizeof(code) / sizeof(code[0]), BPF_F_ALLOW_MULTI),
	                 0);
}

static int open_gate(struct lab *l)
{
	const char *step = "";
	bool watch;

	return intercept_open_at(&l->i, LAB_PINS, lab_cgroup, &watch, &step);
}

/* 443 is gated, 444 denied at GATED4 and GATED6; all else is open. */
static void gate(struct lab *l)
{
	struct policy_lpm p[2] = {{.prefix = prefix(GATED4, 32)}, {.prefix = prefix(GATED6, 128)}};

	for (size_t k = 0; k < 2; k++) {
		p[k].ports = 2;
		p[k].port[0] =
		        (struct policy_lpm_port){.lo = 443, .hi = 443, .action = POLICY_GATE};
		p[k].port[1] = (struct policy_lpm_port){.lo = 444,
		                                        .hi = 444,
		                                        .action = POLICY_DENY,
		                                        .err = EHOSTUNREACH,
		                                        .destination = 1};
	}
	assert_int_equal(open_gate(l), 0);
	l->listener = server("127.0.0.1", 0);
	assert_int_equal(intercept_mark(l->i, l->listener, GATE_OWN_LISTENER, 0, NULL, 0), 0);
	assert_int_equal(intercept_policy(l->i, p, 2, GENERATION, port_of(l->listener), 1), 0);
	assert_int_equal(intercept_arm(l->i, true), 0);
}

static void ungate(struct lab *l)
{
	intercept_close(l->i);
	l->i = NULL;
	assert_int_equal(intercept_remove_at(LAB_PINS), 0);
	close(l->listener);
}

static int setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	snprintf(l->below, sizeof(l->below), "%s/below", lab_cgroup);
	assert_int_equal(mkdir(l->below, 0755), 0);
	lab_live_in(l->below);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	lab_live_in(lab_cgroup);
	rmdir(l->below);
	intercept_close(l->i);
	intercept_remove_at(LAB_PINS);
	free(l);
	return 0;
}

static const char *dir_of(struct lab *l, const struct place *at)
{
	return at->below ? l->below : lab_cgroup;
}

/* True if a connection there ends at the gate's listener, meant for what is gated. */
static bool is_gated(struct lab *l, const char *ip, uint16_t port)
{
	struct policy_prefix want = prefix(GATED4, 32);
	int app = new_socket(ip, SOCK_STREAM, 0), conn = -1;
	struct sockaddr_storage peer;
	struct gate_intent in = {0};

	if (!try_connect(app, ip, port, QUIET_MS))
		conn = accepted(l->listener, &peer, QUIET_MS);
	close(app);
	if (conn < 0)
		return false;
	close(conn);
	assert_int_equal(intercept_take(l->i, lab_netns, &peer, &in), 0);
	assert_memory_equal(in.dst, want.addr, sizeof(want.addr));
	assert_int_equal(in.dst_port, 443);
	return true;
}

/* What either refuses is refused, and theirs stays when the gate's are gone. */
static void test_both_verdicts_count(void **state)
{
	int open = server(OPEN4, THEIRS), srv = server(GATED4, 443), open6 = server(OPEN6, THEIRS);
	struct lab *l = *state;

	for (size_t k = 0; k < PLACES; k++) {
		struct theirs t4, t6;

		if (places[k].after)
			gate(l);
		assert_int_equal(attach_refusing(&t4, dir_of(l, &places[k]),
		                                 BPF_CGROUP_INET4_CONNECT, BPF_F_ALLOW_MULTI),
		                 0);
		assert_int_equal(attach_refusing(&t6, dir_of(l, &places[k]),
		                                 BPF_CGROUP_INET6_CONNECT, BPF_F_ALLOW_MULTI),
		                 0);
		if (!places[k].after)
			gate(l);
		assert_int_equal(connect_errno(OPEN4, THEIRS), EPERM);
		assert_int_equal(connect_errno(OPEN6, THEIRS), EPERM);
		assert_true(is_gated(l, GATED4, 443));
		assert_int_equal(connect_errno(GATED4, 444), EHOSTUNREACH);
		assert_int_equal(connect_errno(GATED6, 444), EHOSTUNREACH);
		ungate(l);
		assert_int_equal(connect_errno(OPEN4, THEIRS), EPERM);
		assert_int_equal(connect_errno(OPEN6, THEIRS), EPERM);
		assert_int_equal(connect_errno(GATED4, 443), 0);
		detach(&t4);
		detach(&t6);
		assert_int_equal(connect_errno(OPEN4, THEIRS), 0);
		assert_int_equal(connect_errno(OPEN6, THEIRS), 0);
	}
	close(open);
	close(open6);
	close(srv);
}

/* The gate's connect program sees what theirs made of it, or, where it ran before, its egress
 * program does. */
static void test_rewritten_to_what_is_gated(void **state)
{
	int srv = server(GATED4, 443);
	struct sockaddr_storage peer;
	struct lab *l = *state;

	for (size_t k = 0; k < PLACES; k++) {
		bool last = places[k].after && !places[k].below;
		struct theirs t;
		int conn;

		if (places[k].after)
			gate(l);
		attach_rewriting(&t, dir_of(l, &places[k]));
		if (!places[k].after)
			gate(l);
		assert_int_equal(is_gated(l, OPEN4, ELSEWHERE), !last);
		assert_int_equal(accepted(srv, &peer, 0), -1);
		/* Disarmed, it gets there. */
		assert_int_equal(intercept_arm(l->i, false), 0);
		assert_int_equal(connect_errno(OPEN4, ELSEWHERE), 0);
		conn = accepted(srv, &peer, 1000);
		assert_true(conn >= 0);
		close(conn);
		ungate(l);
		detach(&t);
	}
	close(srv);
}

/* As systemd's IPAddressDeny= at a unit: nothing leaves that cgroup, and others are served. */
static void test_theirs_drops(void **state)
{
	const struct bpf_insn code[] = {SET(BPF_REG_0, 0), EXIT};
	struct lab *l = *state;
	struct theirs t;

	lab_live_in(lab_cgroup); /* the listener is not theirs */
	gate(l);
	lab_live_in(l->below);
	assert_int_equal(attach(&t, l->below, BPF_CGROUP_INET_EGRESS, code, 2, BPF_F_ALLOW_MULTI),
	                 0);
	assert_false(is_gated(l, GATED4, 443));
	lab_live_in(lab_cgroup);
	assert_true(is_gated(l, GATED4, 443));
	lab_live_in(l->below);
	detach(&t);
	assert_true(is_gated(l, GATED4, 443));
	ungate(l);
}

/* A program attached without BPF_F_ALLOW_MULTI suffers no other: the gate fails to open, and says
 * so. */
static void test_one_that_suffers_no_other(void **state)
{
	struct lab *l = *state;
	struct theirs t;

	assert_int_equal(attach_refusing(&t, lab_cgroup, BPF_CGROUP_INET4_CONNECT, 0), 0);
	assert_int_equal(open_gate(l), -EPERM);
	assert_null(l->i);
	detach(&t);
	assert_int_equal(intercept_remove_at(LAB_PINS), 0);
	gate(l);
	assert_true(is_gated(l, GATED4, 443));
	/* Nor can one come later and put itself in the gate's place. */
	assert_int_equal(attach_refusing(&t, lab_cgroup, BPF_CGROUP_INET4_CONNECT, 0), -EPERM);
	close(t.prog);
	close(t.cgroup);
	ungate(l);
}

int main(void)
{
	const struct CMUnitTest all[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	        T(test_both_verdicts_count),
	        T(test_rewritten_to_what_is_gated),
	        T(test_theirs_drops),
	        T(test_one_that_suffers_no_other),
#undef T
	};

	return lab_run(all, sizeof(all) / sizeof(all[0]), "test_bpf_coexist", NULL);
}
