/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate role: start, the loop, stop. The order at start is the safety argument: everything that
 * can be refused (files, kernel, user) is looked at before the kernel's programs are touched;
 * programs are loaded or taken over before a listener exists; the table is swapped only when
 * verify has the same policy. Until then the kernel does what an earlier keygated left, which is to
 * refuse, since no listener bears a mark.
 */
#include "daemon/gate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "core/secret.h"
#include "core/version.h"
#include "daemon/arm.h"
#include "daemon/log.h"
#include "daemon/netns.h"
#include "daemon/role.h"

uint64_t gate_boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int64_t gate_now(void)
{
	return time(NULL);
}

void gate_fatal(struct gate *g, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* The first reason is the reason. */
	if (!g->failed)
		audit_emit(g->audit, "fatal",
		           json_pack("{s:o}", "reason", audit_text(text, sizeof(text))));
	g->stop = g->failed = true;
}

static bool is_question(enum gate_role role, enum msg_type type)
{
	return role == ROLE_VERIFY &&
	       (type == MSG_APPRAISE || type == MSG_POLICY || type == MSG_ADVANCE ||
	        type == MSG_COLLATERAL || type == MSG_WATCH || type == MSG_RECHECK);
}

int gate_send(struct gate *g, enum gate_role role, enum msg_type type, uint64_t session,
              const void *payload, int fd)
{
	struct pollfd p = {.fd = g->role[role].sock, .events = POLLOUT};
	int ret = poll(&p, 1, ROLE_WAIT_MS) == 1 ? 0 : -ETIMEDOUT;

	if (!ret)
		ret = msg_send(g->role[role].sock, type, session, payload, fd);
	if (ret)
		gate_fatal(g, "%s does not take messages: %s", g->role[role].name, strerror(-ret));
	else if (is_question(role, type) && !g->asked++)
		g->asked_ns = gate_boot_ns();
	return ret;
}

/* -------------------------------------------------------------------- start */

void gate_print_issues(const struct policy_issues *issues, bool warnings)
{
	for (uint32_t i = 0; i < issues->n; i++) {
		const struct policy_issue *is = &issues->v[i];

		if (is->error || warnings)
			fprintf(stderr, "%s:%u: %s: %s\n", is->where.file, is->where.line,
			        is->error ? "error" : "warning", is->text);
	}
}

static int check_to(const struct bundle_paths *paths, bool quiet)
{
	struct policy_issues *issues = calloc(1, sizeof(*issues));
	struct policy *p = NULL;
	struct bundle b = {0};
	int ret = issues ? bundle_load(paths, gate_now(), &b, &p, issues) : -ENOMEM;

	if (issues && (ret || !quiet))
		gate_print_issues(issues, true);
	if (ret && ret != -EINVAL)
		fprintf(stderr, "keygated: %s\n", strerror(-ret));
	policy_free(p);
	bundle_free(&b);
	free(issues);
	return ret ? 1 : 0;
}

int gate_check(const struct bundle_paths *paths)
{
	return check_to(paths, false);
}

static int make_dir(const char *path, mode_t mode)
{
	return mkdir(path, mode) && errno != EEXIST ? -errno : 0;
}

int gate_lock(const char *run_dir, int *lock)
{
	char path[PATH_MAX];
	int ret = make_dir(run_dir, 0755);

	if (ret)
		return ret;
	snprintf(path, sizeof(path), "%s/keygated.lock", run_dir);
	*lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*lock < 0)
		return -errno;
	return flock(*lock, LOCK_EX | LOCK_NB) ? -errno : 0;
}

static int open_state(struct gate *g)
{
	char path[PATH_MAX];
	int ret = state_open(g->opt->state_dir, &g->state, path);

	if (ret) {
		gate_fatal(g, "%s: %s", path,
		           ret == -EBADMSG
		                   ? "is damaged; a last-seen head is never guessed, so put "
		                     "it back from a copy, or remove it and accept that a "
		                     "rollback of this log goes unnoticed once"
		                   : strerror(-ret));
		return ret;
	}
	snprintf(path, sizeof(path), "%s/audit.jsonl", g->opt->state_dir);
	ret = audit_open(path, &g->audit);
	if (ret)
		gate_fatal(g, "%s: %s", path, strerror(-ret));
	snprintf(g->names_path, sizeof(g->names_path), "%s/names.json", g->opt->state_dir);
	snprintf(g->kept_path, sizeof(g->kept_path), "%s/" ARM_KEPT, g->opt->state_dir);
	snprintf(g->control_path, sizeof(g->control_path), "%s/control.sock", g->opt->run_dir);
	return ret;
}

/* No kTLS, no keygated: nothing is ever gated "softly". */
static int test_kernel(struct gate *g)
{
	bool ok = selftest_run(g->selftest);

	for (size_t i = 0; i < SELFTESTS; i++)
		audit_emit(g->audit, "self-test",
		           json_pack("{s:s, s:b, s:s}", "id", g->selftest[i].id, "ok",
		                     g->selftest[i].ok, "detail", g->selftest[i].detail));
	if (!ok)
		gate_fatal(g, "this kernel can't do kTLS: load its module with \"modprobe tls\", "
		              "or use a kernel that has CONFIG_TLS");
	return ok ? 0 : -ENOTSUP;
}

static int open_kernel(struct gate *g)
{
	const char *step = "";
	uint32_t epoch;
	int ret = keyring_open(&g->keyring);

	if (ret) {
		gate_fatal(g, "the keyring can't be made: %s", strerror(-ret));
		return ret;
	}
	/* Positive in JSON: 23 bits above the 40 of relay's ids. */
	if (getrandom(&epoch, sizeof(epoch), 0) != sizeof(epoch))
		return -errno;
	g->epoch = (epoch & 0x7fffff) | 1;
	ret = intercept_open(&g->ic, &g->watch, &step);
	if (ret) {
		gate_fatal(g, "the kernel programs can't be put in place: %s: %s", step,
		           strerror(-ret));
		return ret;
	}
	if (intercept_guard_off(g->ic))
		audit_emit(g->audit, "guard-off",
		           json_pack("{s:s}", "reason", intercept_guard_off(g->ic)));
	/* What sockets have kept under a predecessor's policy must not be taken for ours. */
	g->now.generation = intercept_generation(g->ic);
	ret = intercept_resolver(g->ic, g->opt->uid);
	if (ret) {
		gate_fatal(g, "the kernel programs can't be told of the resolver: %s",
		           strerror(-ret));
		return ret;
	}
	ret = apps_open(&g->apps);
	if (ret)
		gate_fatal(g, "files can't be watched: %s", strerror(-ret));
	return ret;
}

/* ---------------------------------------------------------------- listeners */

static int port_of(int fd, uint16_t *port)
{
	struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	socklen_t n = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &n))
		return -errno;
	memcpy(&in, &a, sizeof(in));
	memcpy(&in6, &a, sizeof(in6));
	*port = ntohs(a.ss_family == AF_INET ? in.sin_port : in6.sin6_port);
	return 0;
}

/* Marked before it can accept: nobody else's listener is ever redirected to. */
static int open_listener(struct gate *g, int at, int family)
{
	int fd = netns_bound(family, 0, false);
	int ret = fd < 0 ? fd : port_of(fd, &g->port[at]);

	if (!ret)
		ret = intercept_mark(g->ic, fd, GATE_OWN_LISTENER, 0, NULL, 0);
	if (!ret && listen(fd, SOMAXCONN))
		ret = -errno;
	g->listener[at] = fd < 0 ? -1 : fd;
	if (ret)
		g->port[at] = 0;
	return ret;
}

static int open_listeners(struct gate *g)
{
	int ret = open_listener(g, 0, AF_INET);

	if (ret) {
		gate_fatal(g, "no listener on 127.0.0.1: %s", strerror(-ret));
		return ret;
	}
	/* A host without IPv6 loopback: gated connects over IPv6 are refused by the kernel half. */
	ret = open_listener(g, 1, AF_INET6);
	if (ret)
		log_event("no-ipv6", "reason: no listener on ::1, error: %s", strerror(-ret));
	return 0;
}

/* -------------------------------------------------------------------- roles */

static int start_roles(struct gate *g)
{
	static const char *const names[ROLES] = {"relay", "verify", "fetch"};

	for (size_t i = 0; i < ROLES; i++) {
		int ret = spawn_role(names[i], g->opt->uid, g->opt->gid, &g->role[i]);

		if (ret) {
			gate_fatal(g, "the role %s can't be started: %s", names[i], strerror(-ret));
			return ret;
		}
		audit_emit(g->audit, "role-started",
		           json_pack("{s:s, s:I}", "role", names[i], "pid",
		                     (json_int_t)g->role[i].pid));
	}
	return 0;
}

static int brief_roles(struct gate *g)
{
	int ret = heads_tell_verify(g);

	for (int i = 0; !ret && i < 2; i++) {
		if (g->port[i])
			ret = gate_send(g, ROLE_RELAY, MSG_LISTEN, 0, NULL, g->listener[i]);
	}
	return ret;
}

/* -------------------------------------------------------------------- loop */

static void from_relay(struct gate *g, const struct msg_head *head, int fd)
{
	flow_from_relay(g, head, fd);
}

/* verify answers in order: with each answer its time for the next question begins. */
void gate_from_verify(struct gate *g, const struct msg_head *head, int fd)
{
	if (!g->asked) {
		gate_fatal(g, "verify answered what it was not asked");
		return;
	}
	if (head->type == MSG_SHOWN) { /* its answer comes next */
		recheck_shown(g, head->session, &g->in->shown, fd);
		return;
	}
	g->asked--;
	g->asked_ns = gate_boot_ns();
	if (head->type == MSG_VERDICT && head->session)
		flow_verdict(g, head->session, &g->in->verdict, fd);
	else if (head->type == MSG_VERDICT)
		heads_advanced(g, &g->in->verdict, fd);
	else if (head->type == MSG_POLICY_DONE)
		reload_policy_done(g, &g->in->policy_done);
	else if (head->type == MSG_COLLATERAL_DONE)
		collateral_checked(g, head->session, &g->in->collateral_done);
	else if (head->type == MSG_WATCHED)
		watch_judged(g, head->session, &g->in->watched);
	else if (head->type == MSG_RECHECKED)
		recheck_done(g, &g->in->rechecked);
	else
		gate_fatal(g, "verify sent message %u", head->type);
}

void gate_watch_verify(struct gate *g)
{
	struct pollfd p = {.fd = g->role[ROLE_VERIFY].sock, .events = POLLIN};

	/* An answer that is there counts, should it be gate that was held up. */
	if (g->asked && gate_boot_ns() - g->asked_ns >= (uint64_t)VERIFY_HUNG_MS * 1000000u &&
	    poll(&p, 1, 0) != 1)
		gate_fatal(g, "verify hangs: no answer for %d s", VERIFY_HUNG_MS / 1000);
}

static void from_fetch(struct gate *g, const struct msg_head *head, int fd)
{
	if (head->type == MSG_RESOLVED)
		reload_resolved(g, head->session, &g->in->resolved);
	else if (head->type == MSG_CONSISTENT)
		heads_consistent(g, head->session, &g->in->consistent);
	else if (head->type == MSG_PROVED)
		proofs_proved(g, head->session, &g->in->proved);
	else if (head->type == MSG_TAILED)
		watch_tailed(g, head->session, &g->in->tailed, fd);
	else if (head->type == MSG_FETCHED && follow_asked(g, head->session))
		follow_fetched(g, &g->in->fetched, fd);
	else if (head->type == MSG_FETCHED)
		collateral_fetched(g, head->session, &g->in->fetched, fd);
	else
		gate_fatal(g, "fetch sent message %u", head->type);
}

static void take_message(struct gate *g, enum gate_role role)
{
	static void (*const from[ROLES])(struct gate *, const struct msg_head *,
	                                 int) = {[ROLE_RELAY] = from_relay,
	                                         [ROLE_VERIFY] = gate_from_verify,
	                                         [ROLE_FETCH] = from_fetch};
	struct msg_head head;
	int fd = -1;
	int ret = msg_recv(g->role[role].sock, &head, g->in, sizeof(*g->in), &fd);

	if (!ret) {
		pulse_heard(g, role, head.type == MSG_PONG);
		if (head.type != MSG_PONG)
			from[role](g, &head, fd);
	} else if (ret != -EAGAIN) {
		gate_fatal(g, "%s is gone: %s", g->role[role].name, strerror(-ret));
	}
	if (fd >= 0)
		close(fd);
	secret_wipe(g->in, sizeof(*g->in));
}

static void role_died(struct gate *g, pid_t pid, int status)
{
	for (size_t i = 0; i < ROLES; i++) {
		if (g->role[i].pid != pid)
			continue;
		g->role[i].pid = 0;
		if (WIFSIGNALED(status))
			gate_fatal(g, "%s died of signal %d", g->role[i].name, WTERMSIG(status));
		else
			gate_fatal(g, "%s ended with status %d", g->role[i].name,
			           WEXITSTATUS(status));
	}
}

static void on_hangup(struct gate *g)
{
	json_t *error = NULL;

	if (audit_reopen(g->audit))
		log_event("audit-error", "reason: not reopened");
	if (reload_begin(g, 0, &error))
		json_decref(error); /* already in the audit */
}

static void take_signal(struct gate *g)
{
	struct signalfd_siginfo si;
	int status;
	pid_t pid;

	if (read(g->signals, &si, sizeof(si)) != sizeof(si))
		return;
	switch (si.ssi_signo) {
	case SIGHUP:
		on_hangup(g);
		break;
	case SIGCHLD:
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			role_died(g, pid, status);
		break;
	default:
		audit_emit(g->audit, "stopping",
		           json_pack("{s:s}", "reason",
		                     si.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM"));
		g->stop = true;
	}
}

static void tick(struct gate *g)
{
	uint64_t now = gate_boot_ns();

	if (now < g->tick_ns)
		return;
	g->tick_ns = now + (uint64_t)TICK_MS * 1000000u;
	flow_tick(g);
	reload_tick(g);
	collateral_tick(g);
	follow_tick(g);
	proofs_tick(g);
	watch_tick(g);
	pulse_tick(g, pulse_now());
	recheck_tick(g);
	spaces_tick(g);
}

static void loop(struct gate *g)
{
	enum { SIGNALS = ROLES, EVENTS, MOUNTS, UPCALLS, APPS, FIXED };
	struct pollfd p[FIXED + CONTROL_POLL_MAX];

	while (!g->stop) {
		size_t n = g->control ? control_poll(g->control, p + FIXED) : 0;

		for (size_t i = 0; i < ROLES; i++)
			p[i] = (struct pollfd){.fd = g->role[i].sock, .events = POLLIN};
		p[SIGNALS] = (struct pollfd){.fd = g->signals, .events = POLLIN};
		p[EVENTS] = (struct pollfd){.fd = intercept_event_fd(g->ic), .events = POLLIN};
		p[MOUNTS] = (struct pollfd){.fd = spaces_fd(g), .events = POLLPRI};
		p[UPCALLS] = (struct pollfd){.fd = upcall_fd(g), .events = POLLIN};
		p[APPS] = (struct pollfd){.fd = apps_fd(g->apps), .events = POLLIN};
		if (poll(p, FIXED + n, TICK_MS) < 0 && errno != EINTR) {
			gate_fatal(g, "poll: %s", strerror(errno));
			return;
		}
		/* First what ends sessions, then what makes them go on. */
		if (p[SIGNALS].revents)
			take_signal(g);
		if (p[APPS].revents)
			reload_apps(g);
		if (p[EVENTS].revents) {
			(void)intercept_events(g->ic, flow_event, g);
			spaces_events_end(g);
		}
		if (p[MOUNTS].revents)
			spaces_mounts(g);
		for (size_t i = 0; i < ROLES && !g->stop; i++) {
			if (p[i].revents)
				take_message(g, (enum gate_role)i);
		}
		if (p[UPCALLS].revents && !g->stop)
			upcall_handle(g);
		/* n is 0 when the socket was made in this very turn. */
		if (n && !g->stop)
			control_handle(g->control, p + FIXED, n);
		if (!g->stop)
			tick(g);
		flow_destroy(g);
	}
}

/* ------------------------------------------------------------- up and down */

static void to_watchers(void *ctx, const char *line, size_t n)
{
	struct gate *g = ctx;

	if (g->control)
		control_broadcast(g->control, line, n);
}

int gate_ready(struct gate *g)
{
	struct utsname u = {.release = ""};
	int ret = control_open(g->control_path, verbs_answer, g, &g->control);

	if (ret)
		return ret;
	(void)uname(&u);
	audit_watch(g->audit, to_watchers, g);
	audit_emit(g->audit, "started",
	           json_pack("{s:s, s:s, s:I, s:s}", "version", KEYGATE_VERSION, "kernel",
	                     u.release, "policy", (json_int_t)g->now.generation, "user",
	                     g->opt->user));
	return 0;
}

static int open_signals(struct gate *g)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGTERM);
	sigaddset(&s, SIGINT);
	sigaddset(&s, SIGHUP);
	sigaddset(&s, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &s, NULL))
		return -errno;
	g->signals = signalfd(-1, &s, SFD_CLOEXEC | SFD_NONBLOCK);
	return g->signals < 0 ? -errno : 0;
}

static void recall_names(struct gate *g)
{
	int ret = names_load(g->names_path, &g->now.names, &g->learned);

	if (ret && ret != -ENOENT)
		audit_emit(g->audit, "names-forgotten",
		           json_pack("{s:s}", "error", strerror(-ret)));
}

static int start(struct gate *g)
{
	json_t *error = NULL;
	int ret = secret_harden_process();

	if (!ret)
		ret = open_signals(g);
	if (!ret && (ret = gate_lock(g->opt->run_dir, &g->lock)))
		gate_fatal(g, "%s: %s", g->opt->run_dir,
		           ret == -EWOULDBLOCK ? "another keygated runs" : strerror(-ret));
	if (!ret)
		ret = open_state(g);
	if (!ret)
		ret = collateral_open(g);
	if (!ret)
		ret = follow_open(g);
	if (!ret)
		ret = proofs_open(g);
	if (!ret)
		ret = watch_open(g);
	if (!ret)
		ret = pulse_open(g);
	if (!ret)
		ret = test_kernel(g);
	if (!ret)
		ret = open_kernel(g);
	if (!ret)
		ret = upcall_open(g);
	if (!ret)
		ret = monitor_open(g);
	if (!ret)
		ret = open_listeners(g);
	if (!ret)
		ret = start_roles(g);
	if (!ret)
		ret = brief_roles(g);
	if (!ret)
		ret = spaces_open(g);
	if (!ret) {
		recall_names(g);
		ret = reload_begin(g, 0, &error);
		json_decref(error);
	}
	return ret;
}

static void end_roles(struct gate *g)
{
	for (size_t i = 0; i < ROLES; i++) {
		if (g->role[i].pid > 0)
			close(g->role[i].sock); /* which tells it to end */
	}
	for (int wait_ms = 0; wait_ms < 3000; wait_ms += 20) {
		bool left = false;

		for (size_t i = 0; i < ROLES; i++) {
			if (g->role[i].pid > 0 && waitpid(g->role[i].pid, NULL, WNOHANG) != 0)
				g->role[i].pid = 0;
			left |= g->role[i].pid > 0;
		}
		if (!left)
			return;
		(void)poll(NULL, 0, 20);
	}
	for (size_t i = 0; i < ROLES; i++) {
		if (g->role[i].pid > 0) {
			kill(g->role[i].pid, SIGKILL);
			(void)waitpid(g->role[i].pid, NULL, 0);
		}
	}
}

/* Pins stay: what was gated is refused from now on. */
static void stop(struct gate *g)
{
	pulse_stopping(g);
	control_close(g->control);
	g->control = NULL;
	if (g->ic)
		flow_stop(g);
	upcall_close(g);
	monitor_close(g);
	end_roles(g);
	policy_set_free(&g->now);
	policy_set_free(&g->coming.set);
	learned_free(&g->learned);
	for (size_t i = 0; i < CONTROL_RECORDS_MAX; i++)
		json_decref(g->record[i]);
	json_decref(g->last);
	json_decref(g->last_error);
	free(g->resolving);
	free(g->head.note);
	shown_drop(g->rechecking);
	collateral_close(g);
	follow_close(g);
	proofs_close(g);
	watch_close(g);
	pulse_close(g);
	spaces_close(g);
	apps_close(g->apps);
	for (int i = 0; i < 2; i++) {
		if (g->listener[i] >= 0)
			close(g->listener[i]);
	}
	intercept_close(g->ic);
	audit_close(g->audit);
	if (g->signals >= 0)
		close(g->signals);
	if (g->lock >= 0)
		close(g->lock);
}

int gate_run(const struct gate_options *opt)
{
	struct gate *g = calloc(1, sizeof(*g));
	int failed;
	int ret;

	if (!g || check_to(&opt->paths, true)) {
		free(g);
		return 1;
	}
	g->opt = opt;
	g->lock = g->signals = g->listener[0] = g->listener[1] = -1;
	g->started_at = gate_now();
	g->last = json_object();
	g->in = secret_alloc(sizeof(*g->in));
	g->connect = secret_alloc(sizeof(*g->connect));
	ret = g->last && g->in && g->connect ? start(g) : -ENOMEM;
	if (!ret)
		loop(g);
	else if (!g->failed)
		gate_fatal(g, "start: %s", strerror(-ret));
	failed = g->failed;
	stop(g);
	secret_free(g->in, sizeof(*g->in));
	secret_free(g->connect, sizeof(*g->connect));
	free(g);
	return failed;
}
