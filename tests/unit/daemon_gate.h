/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gate without a kernel: the kernel half, the keyring and the ends of the roles' sockets are
 * played by the test. Included by one C file of a test program, since it defines what
 * daemon/intercept.h and sockdiag declare.
 */
#ifndef KEYGATE_TESTS_DAEMON_GATE_H
#define KEYGATE_TESTS_DAEMON_GATE_H

#include "policy_files.h"

#include <ftw.h>
#include <keyutils.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/file.h"
#include "core/secret.h"
#include "daemon/gate.h"

static struct gate *g;

/* ----------------------------------------------------------------- the kernel half */

enum { KERNEL_MAX = 128 };

static struct {
	uint64_t id[KERNEL_MAX];
	enum gate_session_state state[KERNEL_MAX];
	size_t n;
	uint64_t ended;
	uint64_t keyed; /* session of the last key */
	int32_t key;
	int take, mark, session; /* what these calls return */
	uint8_t marked[16];      /* the destination that the last socket may go to */
	uint16_t marked_port;
	int peer;    /* errno of getpeername */
	bool astray; /* the peer is not where the socket was meant to go */
	struct gate_intent intent;
	unsigned swept, destroyed;
	struct sockdiag_socket other; /* one that there is, if it has a protocol */
	bool other_goes;              /* as the last sweep had it */
	unsigned listeners;           /* marked */
	uint64_t known; /* the last namespace that it was told of, and the last that it was to */
	uint64_t forgotten; /* forget */
	int policy;
	size_t prefixes, names, apps;
	uint32_t apps_generation;
	char cgroups[256];     /* a directory like cgroup 2; empty: there is none */
	const char *told_host; /* one address, until it is taken up; NULL: none */
	uint8_t told[16];
	uint32_t told_uid;
	struct { /* what it has learned */
		struct intercept_told told;
		struct policy_name_rules rules;
		uint32_t generation;
	} learned[8];
	size_t learned_n;
	uint32_t names_generation, names_before; /* of the names in force */
	uint32_t given_back;                     /* to whom, last */
	uint32_t generation;
	bool armed;
	bool kernel_tls;
	int open; /* what intercept_open returns */
	uint16_t port4, port6;
} kernel;

static MAYBE_UNUSED enum gate_session_state kernel_state(uint64_t id)
{
	for (size_t i = 0; i < kernel.n; i++) {
		if (kernel.id[i] == id)
			return kernel.state[i];
	}
	return GATE_SESSION_CUT;
}

int intercept_session(struct intercept *i, uint64_t session, enum gate_session_state state,
                      uint64_t deadline)
{
	(void)i;
	assert_true(state == GATE_SESSION_CUT || deadline > gate_boot_ns());
	if (kernel.session && state != GATE_SESSION_CUT)
		return kernel.session;
	for (size_t k = 0; k < kernel.n; k++) {
		if (kernel.id[k] != session)
			continue;
		if (kernel.state[k] == GATE_SESSION_CUT && state != GATE_SESSION_CUT)
			return -ECANCELED;
		kernel.state[k] = state;
		return 0;
	}
	assert_true(kernel.n < KERNEL_MAX);
	kernel.id[kernel.n] = session;
	kernel.state[kernel.n++] = state;
	return 0;
}

int intercept_session_live(struct intercept *i, uint64_t session, int32_t serial, int32_t ring,
                           uint64_t deadline)
{
	int ret = intercept_session(i, session, GATE_SESSION_LIVE, deadline);

	if (ret)
		return ret;
	assert_true(serial && ring && serial != ring);
	kernel.keyed = session;
	kernel.key = serial;
	return 0;
}

void intercept_session_end(struct intercept *i, uint64_t session, int32_t serial)
{
	(void)i;
	if (serial && serial == kernel.key)
		kernel.key = 0;
	for (size_t k = 0; k < kernel.n; k++) {
		if (kernel.id[k] == session) {
			kernel.ended = session;
			kernel.id[k] = kernel.id[--kernel.n];
			kernel.state[k] = kernel.state[kernel.n];
			return;
		}
	}
}

int intercept_take(struct intercept *i, uint64_t netns, const struct sockaddr_storage *peer,
                   struct gate_intent *out)
{
	(void)i, (void)netns, (void)peer;
	*out = kernel.intent;
	return kernel.take;
}

int intercept_mark(struct intercept *i, int fd, enum gate_own_kind kind, uint64_t session,
                   const uint8_t *dst, uint16_t port)
{
	(void)i, (void)fd;
	if (kind == GATE_OWN_LISTENER) {
		kernel.listeners++;
		return kernel.mark;
	}
	memcpy(kernel.marked, dst, sizeof(kernel.marked));
	kernel.marked_port = port;
	assert_int_equal(kind, GATE_OWN_UPSTREAM);
	/* Known before it is marked, and never under relay's bare number. */
	assert_true(kernel_state(session) == GATE_SESSION_HANDSHAKE || kernel.mark);
	assert_true(session >> 40);
	return kernel.mark;
}

/* The C library's: what relay is given is never connected here. */
int getpeername(int fd, __SOCKADDR_ARG addr, socklen_t *restrict n)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(kernel.intent.dst_port)};

	(void)fd;
	if (kernel.peer) {
		errno = kernel.peer;
		return -1;
	}
	memcpy(&in.sin_addr, kernel.intent.dst + 12, 4);
	if (kernel.astray)
		in.sin_port = htons(kernel.intent.dst_port ^ 1);
	memcpy(addr.__sockaddr__, &in, sizeof(in));
	*n = sizeof(in);
	return 0;
}

int intercept_sweep(struct intercept *i, uint64_t max_age_ns)
{
	(void)i, (void)max_age_ns;
	return 0;
}

int intercept_names(struct intercept *i, const struct policy_name_rules *v, size_t n,
                    uint32_t generation)
{
	(void)i, (void)v;
	kernel.names = n;
	kernel.names_before = kernel.names_generation;
	kernel.names_generation = generation;
	return 0;
}

void intercept_undo(struct intercept *i)
{
	(void)i;
	kernel.names_generation = kernel.names_before;
}

int intercept_apps(struct intercept *i, const struct gate_app_entry *v, size_t n,
                   uint32_t generation)
{
	(void)i, (void)v;
	kernel.apps = n;
	kernel.apps_generation = generation;
	return 0;
}

int intercept_file(struct intercept *i, int fd, struct gate_file *out)
{
	struct stat st;

	(void)i;
	assert_int_equal(fstat(fd, &st), 0);
	*out = (struct gate_file){.inode = st.st_ino, .device = (uint32_t)st.st_dev, .known = 1};
	return 0;
}

uint32_t intercept_generation(struct intercept *i)
{
	(void)i;
	return kernel.generation;
}

int intercept_cgroups(void)
{
	return -ENOENT;
}

int intercept_told(struct intercept *i, intercept_told_fn fn, void *ctx)
{
	struct intercept_told told = {.uid = kernel.told_uid};

	(void)i;
	if (!kernel.told_host)
		return 0;
	snprintf(told.host, sizeof(told.host), "%s", kernel.told_host);
	memcpy(told.addr, kernel.told, sizeof(told.addr));
	kernel.told_host = NULL;
	fn(ctx, &told);
	return 1;
}

int intercept_learned(struct intercept *i, intercept_told_fn fn, void *ctx)
{
	(void)i;
	for (size_t k = kernel.learned_n; k-- > 0;) {
		const struct intercept_told told = kernel.learned[k].told;

		fn(ctx, &told);
	}
	return (int)kernel.learned_n;
}

static size_t learned_at(const uint8_t addr[static 16])
{
	size_t k = 0;

	while (k < kernel.learned_n && memcmp(kernel.learned[k].told.addr, addr, 16) != 0)
		k++;
	return k;
}

int intercept_learn(struct intercept *i, const struct intercept_told *told,
                    const struct policy_name_rules *rules, uint32_t generation)
{
	size_t k = learned_at(told->addr);

	(void)i;
	assert_true(k < 8 && told->seen_ns);
	kernel.learned_n += k == kernel.learned_n;
	kernel.learned[k].told = *told;
	kernel.learned[k].rules = *rules;
	kernel.learned[k].generation = generation;
	return 0;
}

void intercept_unlearn(struct intercept *i, const uint8_t addr[static 16], uint32_t given_back)
{
	size_t k = learned_at(addr);

	(void)i;
	if (k < kernel.learned_n)
		kernel.learned[k] = kernel.learned[--kernel.learned_n];
	if (given_back != UINT32_MAX)
		kernel.given_back = given_back;
}

int intercept_resolver(struct intercept *i, uint32_t uid)
{
	(void)i, (void)uid;
	return 0;
}

int intercept_policy(struct intercept *i, const struct policy_lpm *lpm, size_t n,
                     uint32_t generation, uint16_t port4, uint16_t port6)
{
	(void)i, (void)lpm;
	if (kernel.policy)
		return kernel.policy;
	kernel.prefixes = n;
	kernel.generation = generation;
	kernel.port4 = port4;
	kernel.port6 = port6;
	return 0;
}

void intercept_kernel_tls(struct intercept *i, bool on)
{
	(void)i;
	kernel.kernel_tls = on;
}

int intercept_arm(struct intercept *i, bool armed)
{
	(void)i;
	kernel.armed = armed;
	return 0;
}

bool intercept_armed(struct intercept *i)
{
	(void)i;
	return kernel.armed;
}

int intercept_stats(struct intercept *i, uint64_t out[static GATE_STAT_MAX])
{
	(void)i;
	memset(out, 0, GATE_STAT_MAX * sizeof(*out));
	return 0;
}

/* gate.c's start and loop are not what is tested here. */
int intercept_open(struct intercept **out, bool *watch, const char **step_name)
{
	(void)out, (void)watch, (void)step_name;
	return kernel.open;
}

void intercept_close(struct intercept *i)
{
	(void)i;
}

int intercept_event_fd(struct intercept *i)
{
	(void)i;
	return -1;
}

int intercept_events(struct intercept *i, intercept_event_fn fn, void *ctx)
{
	(void)i, (void)fn, (void)ctx;
	return 0;
}

int intercept_netns(struct intercept *i, uint64_t cookie, bool watched, bool believed)
{
	(void)i, (void)watched, (void)believed;
	kernel.known = cookie;
	return 0;
}

void intercept_netns_forget(struct intercept *i, uint64_t cookie)
{
	(void)i;
	kernel.forgotten = cookie;
}

bool intercept_netns_watch(const struct intercept *i)
{
	(void)i;
	return false;
}

bool intercept_tunnels_refused(const struct intercept *i)
{
	(void)i;
	return false;
}

const char *intercept_guard_off(const struct intercept *i)
{
	(void)i;
	return "no kernel";
}

static struct sockdiag_tls diag_tls; /* what the kernel reports of any socket */
static int diag_error;

int sockdiag_tls(int fd, struct sockdiag_tls *out)
{
	(void)fd;
	*out = diag_tls;
	return diag_error;
}

int sockdiag_sweep(const struct sockdiag_match *m)
{
	struct sockdiag_socket s = {.cookie = 1};

	assert_false(m->fn(m->ctx, &s));
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		s.cookie = g->sessions.slot[i]->cookie;
		kernel.destroyed += m->fn(m->ctx, &s);
	}
	if (kernel.other.proto == IPPROTO_TCP || (kernel.other.proto && m->udp))
		kernel.other_goes = m->fn(m->ctx, &kernel.other);
	kernel.swept++;
	return 0;
}

/* --------------------------------------------------------------------- the keyring */

enum { ROOT = 11, RING = 22, KEY = 33 };

static struct {
	int error; /* of KEYCTL_DESCRIBE; 0: the key is fine */
	int ktls;  /* errno of setsockopt */
	bool revoked, unlinked;
	uint64_t armed; /* state of the session in the kernel when TLS_TX came */
} ring;

static MAYBE_UNUSED int fake_setsockopt(int fd, int level, int name, const void *val, unsigned len)
{
	(void)fd, (void)level, (void)name, (void)val, (void)len;
	ring.armed = kernel_state(kernel.keyed);
	errno = ring.ktls;
	return ring.ktls ? -1 : 0;
}

static MAYBE_UNUSED int fake_getsockopt(int fd, int level, int name, void *val, unsigned *len)
{
	(void)fd, (void)level, (void)name;
	memset(val, 0, *len);
	return 0;
}

static MAYBE_UNUSED int32_t fake_add_key(const char *type, const char *desc, const void *p,
                                         size_t n, int32_t r)
{
	(void)desc, (void)p, (void)n, (void)r;
	return strcmp(type, "keyring") ? KEY : RING;
}

static MAYBE_UNUSED long fake_keyctl(int cmd, unsigned long a, unsigned long b, unsigned long c,
                                     unsigned long d)
{
	(void)a, (void)b, (void)c, (void)d;
	switch (cmd) {
	case KEYCTL_SEARCH:
		return RING;
	case KEYCTL_DESCRIBE:
		errno = ring.error;
		return ring.error ? -1 : 0;
	case KEYCTL_REVOKE:
		ring.revoked = true;
		return 0;
	case KEYCTL_UNLINK:
		ring.unlinked = true;
		return 0;
	case KEYCTL_READ:
		errno = ring.error;
		memset((void *)b, 0x5e, 64); /* fill_secrets' length */
		return ring.error ? -1 : 64;
	default:
		return 0;
	}
}

static MAYBE_UNUSED int64_t fake_key_left(int32_t serial)
{
	return serial == KEY ? 600 : -1;
}

static const struct keyring_syscalls fake = {fake_setsockopt, fake_getsockopt, fake_add_key,
                                             fake_keyctl, fake_key_left};

/* ------------------------------------------------------------------------ the gate */

static int relay, verify, fetch;
static char dir[64];
static struct policy_issues issues;
static int up_fd = -1;  /* the last socket that relay was given */
static int got_fd = -1; /* the last other descriptor that gate handed out */

static const char policy_text[] = GATE("lease = 10m\n");

static MAYBE_UNUSED void put_policy(struct policy_set *set, const char *text, uint32_t generation)
{
	memset(set, 0, sizeof(*set));
	assert_int_equal(parse_two(text, NULL, &set->policy, &issues), 0);
	set->generation = generation;
	assert_int_equal(policy_set_index(set), 0);
}

static MAYBE_UNUSED int role(enum gate_role which, const char *name)
{
	int sv[2], room = 1 << 20; /* nobody reads meanwhile */

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)), 0);
	g->role[which] = (struct role_process){.name = name, .sock = sv[0]};
	return sv[1];
}

static MAYBE_UNUSED int rm_one(const char *path, const struct stat *sb, int type, struct FTW *f)
{
	(void)sb, (void)type, (void)f;
	return remove(path);
}

static MAYBE_UNUSED int setup(void **state)
{
	char bad[PATH_MAX];

	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	memset(&ring, 0, sizeof(ring));
	kernel.intent = (struct gate_intent){
	        .dst = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 7},
	        .dst_port = 443,
	        .family = 4,
	        .pid = 99,
	        .comm = "app"};
	keyring_set_syscalls(&fake);
	g = calloc(1, sizeof(*g));
	g->in = secret_alloc(sizeof(*g->in));
	g->connect = secret_alloc(sizeof(*g->connect));
	g->last = json_object();
	g->epoch = 5;
	g->keyring.root = ROOT;
	strcpy(dir, "/tmp/keygate-flow.XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(state_open(dir, &g->state, bad), 0);
	snprintf(bad, sizeof(bad), "%s/audit.jsonl", dir);
	assert_int_equal(audit_open(bad, &g->audit), 0);
	relay = role(ROLE_RELAY, "relay");
	verify = role(ROLE_VERIFY, "verify");
	fetch = role(ROLE_FETCH, "fetch");
	put_policy(&g->now, policy_text, 1);
	return 0;
}

static MAYBE_UNUSED int teardown(void **state)
{
	(void)state;
	flow_stop(g);
	for (size_t i = 0; i < ROLES; i++)
		close(g->role[i].sock);
	close(relay);
	close(verify);
	close(fetch);
	if (up_fd >= 0)
		close(up_fd);
	if (got_fd >= 0)
		close(got_fd);
	up_fd = got_fd = -1;
	policy_set_free(&g->now);
	learned_free(&g->learned);
	for (size_t i = 0; i < CONTROL_RECORDS_MAX; i++)
		json_decref(g->record[i]);
	json_decref(g->last);
	audit_close(g->audit);
	free(g->head.note);
	secret_free(g->in, sizeof(*g->in));
	secret_free(g->connect, sizeof(*g->connect));
	free(g);
	keyring_set_syscalls(NULL);
	return nftw(dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* -------------------------------------------------------------------- messages */

/* What gate sent to this role: it is there already, since gate runs in this very thread. */
static MAYBE_UNUSED void *sent(int sock, enum msg_type want)
{
	static union msg_any in;
	struct msg_head head;
	struct pollfd p = {.fd = sock, .events = POLLIN};
	int fd = -1;

	if (poll(&p, 1, 0) != 1)
		fail_msg("nothing was sent");
	assert_int_equal(msg_recv(sock, &head, &in, sizeof(in), &fd), 0);
	assert_int_equal(head.type, want);
	if (fd >= 0) {
		int *at = want == MSG_CONNECT ? &up_fd : &got_fd;

		if (*at >= 0)
			close(*at);
		*at = fd;
	}
	return &in;
}

#endif
