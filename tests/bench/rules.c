/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What very many rules cost: loading them, and every connect and datagram that none of them is
 * about. Each size has a gate of its own, in a cgroup of its own, beside a cgroup without any, and
 * an nftables set of the same size in a network namespace of its own; one process goes from one to
 * the next, round after round, so that whatever else the machine does falls on all alike.
 */
#include <dirent.h>
#include <sched.h>
#include "core/file.h"
#include "daemon/bundle.h"
#include "daemon/gate.h"
#include "tests/unit/bpf_lab.h"

enum {
	A_FILE = 5000, /* blocks */
	ROUNDS = 15,
	CONNECTS = 400,
	DATAGRAMS = 4000,
	PORT = 7001,
	SIZES = 3,
};

/* The rules are about its neighbours, so that a lookup goes as deep as it can. */
#define MINE "198.18.37.77"

static const uint32_t sizes[SIZES] = {0, 1000, 100000};
static char dir[64];

/* A machine that does other things as well tells more by this than by the clock. */
static double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* ----------------------------------------------------------------------- policy */

static void put_block(struct buf *b, uint32_t i)
{
	uint32_t a = i;

	/* All of 198.18.0.0/15 but one. */
	if (a >= 37 * 256 + 77)
		a++;
	buf_printf(b, "destination \"service-%06u\" {\n", i);
	if (i % 50 == 49)
		buf_printf(b, "\taddress = \"2001:db8:%x:%x::/64\"\n", i >> 16, i & 0xffff);
	else
		buf_printf(b, "\taddress = \"198.%u.%u.%u\"\n", 18 + (a >> 16), a >> 8 & 255,
		           a & 255);
	buf_printf(b, "\tport = %u\n", 1024 + i % 50000);
	if (i % 5 == 0)
		buf_printf(b,
		           "\taction = gate\n\ttee = snp\n\tledger = none\n"
		           "\tmeasurement = {\"%096x\"}\n",
		           i + 1);
	else
		buf_printf(b, "\taction = %s\n", i % 5 < 4 ? "allow" : "deny");
	buf_str(b, "}\n");
}

static bool put_policy(uint32_t n, char path[static 128])
{
	bool ok;

	snprintf(path, 128, "%s/%u", dir, n);
	ok = !mkdir(path, 0700);
	for (uint32_t at = 0; ok && (at < n || !at); at += A_FILE) {
		struct buf b = buf_make(4 << 20);
		char name[192];

		snprintf(name, sizeof(name), "%s/%06u.conf", path, at);
		if (!at)
			buf_str(&b, "default-action = allow\n");
		for (uint32_t i = at; i < n && i < at + A_FILE; i++)
			put_block(&b, i);
		ok = !b.bad && !file_write_atomic(name, buf_view(&b), 0600);
		buf_free(&b);
	}
	return ok;
}

/* One gate and its cgroup; n < 0: none. */
struct place {
	char cgroup[600], pins[64];
	struct intercept *ic;
};

static struct place open_place, gated[SIZES];
static int netns_here, netns_nft[SIZES];

/* What gate and verify do with a policy, step by step. */
static bool load(uint32_t n, struct intercept *ic)
{
	static struct policy_issues issues;
	char path[128], none[160];
	struct bundle_paths paths = {.config = none, .policy_dir = path};
	struct policy_set set = {0};
	struct policy *again = NULL;
	struct policy_lpm *lpm = NULL;
	size_t entries = 0;
	double t[6];
	bool ok;

	ok = put_policy(n, path);
	snprintf(none, sizeof(none), "%s/none", path);
	t[0] = cpu_us();
	ok = ok && !bundle_load(&paths, time(NULL), &set.bundle, &set.policy, &issues);
	t[1] = cpu_us();
	ok = ok && !policy_set_index(&set);
	t[2] = cpu_us();
	ok = ok && !bundle_parse(&set.bundle, time(NULL), &again, &issues);
	t[3] = cpu_us();
	ok = ok && !policy_compile(set.policy, NULL, 0, &lpm, &entries);
	t[4] = cpu_us();
	ok = ok && !intercept_policy(ic, lpm, entries, 1, 1, 1) && !intercept_arm(ic, true);
	t[5] = cpu_us();
	if (ok && n)
		printf("rules  load of %6u rules, CPU %5.0f ms: files %.0f, digests %.0f, once more by "
		       "verify %.0f, compile %.0f, kernel table %.0f\n",
		       n, (t[5] - t[0]) / 1e3, (t[1] - t[0]) / 1e3, (t[2] - t[1]) / 1e3,
		       (t[3] - t[2]) / 1e3, (t[4] - t[3]) / 1e3, (t[5] - t[4]) / 1e3);
	free(lpm);
	policy_free(again);
	policy_set_free(&set);
	return ok;
}

/* ------------------------------------------------------------------------ places */

static bool make_place(struct place *p, const char *name)
{
	snprintf(p->cgroup, sizeof(p->cgroup), "%s/%s", lab_cgroup_outside, name);
	return !mkdir(p->cgroup, 0755) || errno == EEXIST;
}

static bool make_gate(struct place *p, uint32_t n)
{
	const char *step = NULL;
	char name[64];
	bool watch;

	snprintf(name, sizeof(name), "keygate-bench-%d-%u", (int)getppid(), n);
	snprintf(p->pins, sizeof(p->pins), "/sys/fs/bpf/bench-%u", n);
	return make_place(p, name) &&
	       !intercept_open_at(&p->ic, p->pins, p->cgroup, &watch, &step) && load(n, p->ic);
}

/* A namespace with a set of n addresses and ports that are dropped, and a server. */
static bool make_nft(uint32_t n, int *out)
{
	char path[128], command[192];
	struct buf b = buf_make(16 << 20);
	bool ok;

	lab_network();
	add_address(MINE);
	*out = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	buf_str(&b, "table ip t {\nset s {\ntype ipv4_addr . inet_service\n");
	for (uint32_t i = 0; i < n; i++) {
		uint32_t a = i >= 37 * 256 + 77 ? i + 1 : i;

		buf_printf(&b, "%s198.%u.%u.%u . %u", i ? ",\n" : "elements = {\n", 18 + (a >> 16),
		           a >> 8 & 255, a & 255, 1024 + i % 50000);
	}
	buf_printf(&b,
	           "%s}\nchain o {\ntype filter hook output priority 0;\n"
	           "ip daddr . tcp dport @s drop\nip daddr . udp dport @s drop\n}\n}\n",
	           n ? "\n}\n" : "");
	snprintf(path, sizeof(path), "%s/%u.nft", dir, n);
	snprintf(command, sizeof(command), "nft -f %s", path);
	ok = !b.bad && !file_write_atomic(path, buf_view(&b), 0600) && !system(command);
	buf_free(&b);
	return ok && *out >= 0;
}

/* ------------------------------------------------------------------------ timing */

static int listener, sink;

static bool serve(void)
{
	listener = server(MINE, PORT);
	sink = bound(MINE, PORT, SOCK_DGRAM);
	return listener >= 0 && sink >= 0;
}

/* ns a connection: socket, handshake of both ends, accept, and its end by a reset. */
static double tcp_connects(void)
{
	struct sockaddr_storage s = at(MINE, PORT);
	struct linger off = {.l_onoff = 1};
	double t0 = cpu_us();

	for (int i = 0; i < CONNECTS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;

		if (connect(fd, (struct sockaddr *)&s, at_len(&s)))
			return -1;
		peer = accept(listener, NULL, NULL);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
		close(fd);
		close(peer);
	}
	return (cpu_us() - t0) * 1e3 / CONNECTS;
}

/* ns a connect of UDP: the hook and little else. */
static double udp_connects(void)
{
	struct sockaddr_storage s = at(MINE, PORT);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	double t0 = cpu_us();
	bool ok = true;

	for (int i = 0; i < 10 * CONNECTS; i++)
		ok &= !connect(fd, (struct sockaddr *)&s, at_len(&s));
	close(fd);
	return ok ? (cpu_us() - t0) * 1e3 / (10 * CONNECTS) : -1;
}

/* ns a datagram that is sent and received. */
static double datagrams(void)
{
	struct sockaddr_storage s = at(MINE, PORT);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = !connect(fd, (struct sockaddr *)&s, at_len(&s));
	double t0 = cpu_us();
	char c = 0;

	for (int i = 0; ok && i < DATAGRAMS; i++)
		ok = send(fd, &c, 1, 0) == 1 && recv(sink, &c, 1, 0) == 1;
	close(fd);
	return ok ? (cpu_us() - t0) * 1e3 / DATAGRAMS : -1;
}

enum { OPEN = 0, GATED, NFT = GATED + SIZES, PLACES = NFT + SIZES };

static const struct {
	const char *name;
	double (*fn)(void);
} what[] = {{"TCP connection, both ends", tcp_connects},
            {"UDP connect", udp_connects},
            {"UDP packet, sent and received", datagrams}};

enum { WHAT = sizeof(what) / sizeof(what[0]) };

static bool visit(int place, double out[static WHAT])
{
	bool nft = place >= NFT, ok = true;

	if (setns(nft ? netns_nft[place - NFT] : netns_here, CLONE_NEWNET))
		return false;
	lab_live_in(place == OPEN || nft ? open_place.cgroup : gated[place - GATED].cgroup);
	ok = serve();
	for (int k = 0; ok && k < WHAT; k++) {
		out[k] = what[k].fn();
		ok = out[k] >= 0;
	}
	close(listener);
	close(sink);
	return ok;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), by_size);
	return v[ROUNDS / 2];
}

static double took[ROUNDS][PLACES][WHAT];

static void print_one(int k)
{
	double open[ROUNDS], more[ROUNDS], ratio[ROUNDS];

	for (int r = 0; r < ROUNDS; r++)
		open[r] = took[r][OPEN][k];
	printf("rules  %s: %.0f ns with nothing attached\n", what[k].name, median(open));
	for (int p = GATED; p < PLACES; p++) {
		for (int r = 0; r < ROUNDS; r++) {
			more[r] = took[r][p][k] - took[r][OPEN][k];
			ratio[r] = took[r][p][k] / took[r][OPEN][k];
		}
		printf("rules    %-9s %6u rules %+6.0f ns, ratio %.2f\n",
		       p < NFT ? "keygate" : "nftables", sizes[(p - GATED) % SIZES], median(more),
		       median(ratio));
	}
}

static bool measure(void)
{
	double warm[WHAT];
	bool ok = true;

	for (int r = -1; ok && r < ROUNDS; r++)
		for (int p = 0; ok && p < PLACES; p++)
			ok = visit(p, r < 0 ? warm : took[r][p]);
	for (int k = 0; ok && k < WHAT; k++)
		print_one(k);
	return ok;
}

/* ------------------------------------------------------------------ by the kernel */

static bool program_info(const char *pins, const char *name, struct bpf_prog_info *out)
{
	struct bpf_link_info link = {0};
	uint32_t n = sizeof(link), m = sizeof(*out);
	char path[128];
	int fd, prog = -1;
	bool ok;

	snprintf(path, sizeof(path), "%s/link_%s", pins, name);
	fd = bpf_obj_get(path);
	ok = fd >= 0 && !bpf_obj_get_info_by_fd(fd, &link, &n);
	if (ok)
		prog = bpf_prog_get_fd_by_id(link.prog_id);
	memset(out, 0, sizeof(*out));
	ok = prog >= 0 && !bpf_obj_get_info_by_fd(prog, out, &m);
	if (fd >= 0)
		close(fd);
	if (prog >= 0)
		close(prog);
	return ok;
}

/* The programs' own time, as the kernel counts it, with what counting takes. */
static bool by_kernel(void)
{
	static const char *const names[] = {"kg_connect4", "kg_egress", "kg_ingress"};
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	double none[WHAT];
	bool ok = stats >= 0;

	for (int i = 0; ok && i < SIZES; i++) {
		struct bpf_prog_info before[3], after[3];

		for (int k = 0; ok && k < 3; k++)
			ok = program_info(gated[i].pins, names[k], &before[k]);
		ok = ok && visit(GATED + i, none);
		for (int k = 0; ok && k < 3; k++)
			ok = program_info(gated[i].pins, names[k], &after[k]);
		printf("rules  by the kernel's count, %6u rules:", sizes[i]);
		for (int k = 0; ok && k < 3; k++)
			printf("%s %s %.0f ns", k ? "," : "", names[k] + 3,
			       (double)(after[k].run_time_ns - before[k].run_time_ns) /
			               (double)(after[k].run_cnt - before[k].run_cnt));
		printf("\n");
	}
	close(stats);
	return ok;
}

static void in_lab(void **state)
{
	bool ok;

	(void)state;
	setvbuf(stdout, NULL, _IOLBF, 0);
	add_address(MINE);
	netns_here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	ok = make_place(&open_place, strrchr(lab_cgroup, '/') + 1);
	for (int i = 0; ok && i < SIZES; i++)
		ok = make_gate(&gated[i], sizes[i]);
	for (int i = 0; ok && i < SIZES; i++)
		ok = make_nft(sizes[i], &netns_nft[i]);
	ok = ok && measure() && by_kernel();
	lab_live_in(lab_cgroup_outside);
	for (int i = 0; i < SIZES; i++) {
		intercept_close(gated[i].ic);
		(void)intercept_remove_at(gated[i].pins);
		rmdir(gated[i].cgroup);
	}
	assert_true(ok);
}

int main(void)
{
	static const struct CMUnitTest bench[] = {{"rules", in_lab, NULL, NULL, NULL}};
	char command[96];
	int rc;

	snprintf(dir, sizeof(dir), "/tmp/keygate-bench.XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	rc = lab_run(bench, 1, "rules", NULL);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) || rc;
}
