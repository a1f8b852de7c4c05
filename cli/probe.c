/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate probe: what evidence does this destination show, does it hold, and what policy would
 * admit it. One connection that carries no byte of an application: a TLS handshake, the request for
 * evidence, and the end.
 *
 *   keygate probe [--transport NAME] [--server-name NAME] [--anchor FILE]... [--collateral DIR]...
 *           [--ledger-policy FILE] [--at UNIX] [--timeout SECONDS] [--socket PATH]
 *           [--explain | --json] HOST:PORT
 *
 * Judged as a policy without loosenings would, but for what only a policy can say. On a host that
 * keygate gates, keygated makes the socket, since the kernel half would steer any other; that takes
 * root, who is given up as soon as the connection stands: what the peer sends is hostile.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include "cli/claims.h"
#include "cli/cmd.h"
#include "cli/input.h"
#include "cli/probe.h"
#include "core/file.h"

#define SYNOPSIS \
	"[--transport NAME] [--server-name NAME] [--anchor FILE]... [--collateral DIR]... " \
	"[--ledger-policy FILE] [--at UNIX] [--timeout SECONDS] [--socket PATH] " \
	"[--explain | --json] HOST:PORT"

/* TIMEOUT_MAX: what keygated lets its socket live. LEDGER_MAX_AGE: a policy's default. */
enum { NO_OPTION = -1, TIMEOUT = 15, TIMEOUT_MAX = 30, LEDGER_MAX_AGE = 86400 };

/* The user of this number owns nothing. */
enum { NOBODY = 65534 };

/* ------------------------------------------------------------------ options */

enum option_id {
	OPT_TRANSPORT = 1,
	OPT_SERVER_NAME,
	OPT_ANCHOR,
	OPT_COLLATERAL,
	OPT_LEDGER_POLICY,
	OPT_AT,
	OPT_TIMEOUT,
	OPT_SOCKET,
	OPT_JSON,
	OPT_EXPLAIN,
	OPT_HELP,
};

static const struct option options[] = {
        {"transport", required_argument, NULL, OPT_TRANSPORT},
        {"server-name", required_argument, NULL, OPT_SERVER_NAME},
        {"anchor", required_argument, NULL, OPT_ANCHOR},
        {"collateral", required_argument, NULL, OPT_COLLATERAL},
        {"ledger-policy", required_argument, NULL, OPT_LEDGER_POLICY},
        {"at", required_argument, NULL, OPT_AT},
        {"timeout", required_argument, NULL, OPT_TIMEOUT},
        {"socket", required_argument, NULL, OPT_SOCKET},
        {"json", no_argument, NULL, OPT_JSON},
        {"explain", no_argument, NULL, OPT_EXPLAIN},
        {"help", no_argument, NULL, OPT_HELP},
        {0},
};

static int take_transport(struct probe *p, const char *name)
{
	p->transport = attest_transport_from_name(name);
	if (p->transport != TRANSPORT_NONE)
		return 0;
	cmd_error(CMD_USAGE, "no transport \"%s\"; there are:", name);
	for (int t = TRANSPORT_NONE + 1; t < TRANSPORT_MAX; t++)
		fprintf(stderr, "  %s\n", attest_transport_name((enum attest_transport)t));
	return CMD_USAGE;
}

static int take_anchor(struct probe *p, const char *path)
{
	uint32_t n = p->in.anchors_n;
	int ret = input_anchor(&p->in, path);

	if (!ret && !realpath(path, p->anchor[n]))
		ret = cmd_error(CMD_USAGE, "%s: %s", path, strerror(errno));
	return ret;
}

static int take_ledger_policy(struct probe *p, const char *path)
{
	const char *why = "out of memory";
	struct bytes text = BYTES_NONE;
	uint32_t line = 0;
	int ret = input_file(path, &text);

	if (ret)
		return CMD_USAGE;
	free(p->tlog);
	p->tlog = calloc(1, sizeof(*p->tlog));
	if (!p->tlog)
		ret = cmd_error(CMD_UNKNOWN, "out of memory");
	else if (ledger_policy_parse(text, p->tlog, &line, &why))
		ret = cmd_error(CMD_USAGE, "%s:%u: %s", path, line, why);
	else if (!realpath(path, p->ledger_path))
		ret = cmd_error(CMD_USAGE, "%s: %s", path, strerror(errno));
	free((void *)(uintptr_t)text.p);
	return ret;
}

static int take_timeout(struct probe *p, const char *text)
{
	uint64_t n;

	if (decimal_u64(bytes_str(text), TIMEOUT_MAX, &n) || !n)
		return cmd_error(CMD_USAGE, "timeout \"%s\": wanted 1 to %d seconds", text,
		                 TIMEOUT_MAX);
	p->timeout = (uint32_t)n;
	return 0;
}

static int take_server_name(struct probe *p, const char *name)
{
	if (!*name || strlen(name) >= sizeof(p->server_name))
		return cmd_error(CMD_USAGE, "server-name: wanted 1 to %zu characters",
		                 sizeof(p->server_name) - 1);
	snprintf(p->server_name, sizeof(p->server_name), "%s", name);
	return 0;
}

static int take_option(enum option_id id, const char *arg, struct probe *p)
{
	switch (id) {
	case OPT_TRANSPORT:
		return take_transport(p, arg);
	case OPT_SERVER_NAME:
		return take_server_name(p, arg);
	case OPT_ANCHOR:
		return take_anchor(p, arg);
	case OPT_COLLATERAL:
		return input_collateral(&p->in, arg);
	case OPT_LEDGER_POLICY:
		return take_ledger_policy(p, arg);
	case OPT_AT:
		return input_time(&p->in, arg);
	case OPT_TIMEOUT:
		return take_timeout(p, arg);
	case OPT_SOCKET:
		p->client.socket = arg;
		return 0;
	case OPT_JSON:
		p->client.json = true;
		return 0;
	case OPT_EXPLAIN:
		p->explain = true;
		return 0;
	case OPT_HELP:
		break;
	}
	return CMD_USAGE;
}

/* Fills p; NO_OPTION when the command may go on, else the status to end with. */
static int take_options(int argc, char **argv, struct probe *p)
{
	int id, ret;

	while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (id == '?')
			return cmd_usage(argv[0], SYNOPSIS);
		if (id == OPT_HELP) {
			printf("usage: %s %s\n", argv[0], SYNOPSIS);
			return CMD_YES;
		}
		ret = take_option((enum option_id)id, optarg, p);
		if (ret)
			return ret;
	}
	if (argc - optind != 1 || (p->client.json && p->explain))
		return cmd_usage(argv[0], SYNOPSIS);
	if (!target_parse(argv[optind], &p->target))
		return cmd_error(CMD_USAGE, TARGET_WRONG, argv[optind]);
	/* As a policy that gives the destination by its name. */
	if (!p->server_name[0] && target_is_name(&p->target))
		return take_server_name(p, p->target.host) ? CMD_USAGE : NO_OPTION;
	return NO_OPTION;
}

/* --------------------------------------------------------------- connection */

/* The socket in *fd: keygated's where it gates the address, else a plain one. 0, or a status. */
static int make_socket(const struct probe *p, const uint8_t addr[static 16], int *fd)
{
	char text[TARGET_ADDRESS_TEXT];
	struct sockaddr_storage to;
	json_t *answer;
	bool gated;
	int ret;

	target_address_text(addr, text);
	ret = client_ask_socket(&p->client,
	                        json_pack("{s:s, s:s, s:i}", "verb", "probe", "address", text,
	                                  "port", (int)p->target.port),
	                        &answer, fd);
	if (ret != CMD_YES && ret != CLIENT_GO_ON)
		return ret;
	gated = json_is_true(json_object_get(answer, "gated"));
	json_decref(answer);
	if (gated && *fd < 0)
		return client_unreachable(&p->client);
	if (*fd < 0) {
		target_sockaddr(addr, p->target.port, &to);
		*fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	if (*fd < 0 || fcntl(*fd, F_SETFL, O_NONBLOCK))
		return cmd_error(CMD_UNKNOWN, "no socket to %s: %s", text, strerror(errno));
	return 0;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (a->ss_family == AF_INET) {
		memcpy(&in, a, sizeof(in));
		return ntohl(in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	memcpy(&in6, a, sizeof(in6));
	return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

/*
 * A keygated that this command could not find steers the connection
 * to its own listener, on loopback: what is said there would reach the destination as an
 * application's bytes.
 */
static int not_steered(int fd, struct failure *why)
{
	struct sockaddr_storage from = {0}, to = {0};
	socklen_t from_n = sizeof(from), to_n = sizeof(to);

	if (getsockname(fd, (struct sockaddr *)&from, &from_n) ||
	    getpeername(fd, (struct sockaddr *)&to, &to_n)) {
		failure_set(why, "connect.unreachable", "%s", strerror(errno));
		return -ENOTCONN;
	}
	if (!is_loopback(&from) || is_loopback(&to))
		return 0;
	failure_set(why, "connect.unreachable",
	            "keygated gates this destination; run the probe as root, with its --socket");
	return -EPERM;
}

/* Here the last thing was done that needs a right, and nothing of the peer was read yet. */
static int connected(void *ctx, int fd, struct failure *why)
{
	const struct probe *p = ctx;
	int ret = not_steered(fd, why);

	if (ret || !p->confine)
		return ret;
	ret = p->confine();
	if (ret)
		failure_set(why, "session.resources", "root's rights can't be given up: %s",
		            strerror(-ret));
	return ret;
}

static int note_suite(void *ctx, uint16_t suite, struct failure *why)
{
	struct probe *p = ctx;

	(void)why;
	p->suite = suite;
	return 0;
}

/* Things that went wrong before there was anything to judge; the rest was looked at. */
static bool says_nothing(const char *code)
{
	return !strncmp(code, "connect.", 8) || !strncmp(code, "tls.", 4) ||
	       !strncmp(code, "session.", 8) || !strcmp(code, "auth.closed") ||
	       !strcmp(code, "auth.timeout");
}

/* One address. 0 with evidence in p, CLIENT_GO_ON with *f, or a status that was explained. */
static int try_address(struct probe *p, SSL_CTX *tls, const uint8_t addr[static 16],
                       struct transport_target *to, uint64_t deadline_ms, struct failure *f)
{
	const struct transport_hooks hooks = {
	        .connected = connected, .handshaken = note_suite, .ctx = p};
	struct transport_call call = {
	        .tls = tls, .fd = -1, .to = to, .deadline_ms = deadline_ms, .hooks = &hooks};
	int ret = make_socket(p, addr, &call.fd);

	target_peer_text(addr, p->target.port, p->peer);
	target_sockaddr(addr, p->target.port, &to->address);
	if (!ret) {
		transport_evidence_free(&p->evidence);
		p->evidence = (struct transport_evidence){0};
		ret = transport_attest(&call, &p->evidence, f) ? CLIENT_GO_ON : 0;
	}
	if (call.fd >= 0)
		close(call.fd);
	return ret;
}

/* 0 with evidence, or with the check that says why there is none; or a status. */
static int fetch_evidence(struct probe *p, struct transport_target *to, bool *there)
{
	uint64_t deadline_ms = transport_now_ms() + p->timeout * UINT64_C(1000);
	SSL_CTX *tls = transport_tls_context(NULL);
	struct failure f = {.code = "connect.unreachable", .detail = "the host has no address"};
	int ret = CLIENT_GO_ON;

	if (!tls || RAND_bytes(to->context, sizeof(to->context)) != 1) {
		SSL_CTX_free(tls);
		return cmd_error(CMD_UNKNOWN, "the TLS library refused");
	}
	/* The next address only if nothing was reached at this one. */
	for (uint32_t i = 0; i < p->target.addrs && ret == CLIENT_GO_ON; i++) {
		ret = try_address(p, tls, p->target.addr[i], to, deadline_ms, &f);
		if (ret == CLIENT_GO_ON && strncmp(f.code, "connect.", 8) != 0)
			break;
	}
	SSL_CTX_free(tls);
	*there = !ret;
	if (ret == CLIENT_GO_ON)
		check_add(&p->checks, f.code, says_nothing(f.code) ? CHECK_UNAVAILABLE : CHECK_FAIL,
		          "%s", f.detail);
	return ret == CLIENT_GO_ON ? 0 : ret;
}

/* ----------------------------------------------------------------- judgement */

static int open_evidence(struct probe *p, const struct transport_target *to)
{
	const struct transport_evidence *e = &p->evidence;
	const uint8_t *at = e->bytes.p;
	struct attest_wire wire = {
	        .transport = p->transport,
	        .request = {at, e->request_len},
	        .message = {at + e->request_len, e->message_len},
	        .leaf = {at + e->request_len + e->message_len, e->leaf_len},
	        .keys = &e->keys,
	        .server_name = to->server_name,
	        .at = p->in.at,
	};

	memcpy(wire.exporter, e->exporter, sizeof(wire.exporter));
	memcpy(wire.context, to->context, sizeof(wire.context));
	if (attest_open(&wire, &p->shown, &p->checks))
		return cmd_error(CMD_UNKNOWN, "out of memory");
	p->opened = checks_overall(&p->checks) == CHECK_PASS;
	return 0;
}

static void take_checks(struct probe *p, const struct checks *made)
{
	for (uint32_t i = 0; i < made->n; i++)
		check_add(&p->checks, made->v[i].id, (enum check_status)made->v[i].status, "%s",
		          made->v[i].detail);
	p->checks.overflow |= made->overflow;
}

static void judge_evidence(struct probe *p)
{
	const struct cmw *cmw = &p->shown.cmw;
	struct attest_input in = p->in; /* the peer's pieces are views into the message */
	struct checks made = {0};

	in.type = attest_tee_from_media_type(cmw->evidence_type);
	in.evidence = cmw->evidence;
	in.require_crl = true;
	in.check_report_data = true;
	memcpy(in.report_data, p->shown.report_data, sizeof(in.report_data));
	for (uint32_t i = 0; i < cmw->endorsements_n; i++)
		if (in.endorsements_n < ATTEST_ENDORSEMENTS_MAX)
			in.endorsements[in.endorsements_n++] = cmw->endorsements[i];
	attest_appraise(&in, &p->claims, &made);
	p->judged = true;
	p->holds = checks_overall(&made) == CHECK_PASS;
	take_checks(p, &made);
	if (p->claims.valid_until > p->shown.valid_until)
		p->claims.valid_until = p->shown.valid_until;
	if (p->holds)
		claims_check_tcb(&p->claims, NULL, 0, &p->checks);
}

/* What was sent, for display: nothing of it is believed yet. */
static void read_proof(struct probe *p)
{
	struct tlog_proof *proof = calloc(1, sizeof(*proof));
	struct note *note = calloc(1, sizeof(*note));
	struct checks unused = {0};

	p->has_statement =
	        !ledger_statement_parse(p->shown.cmw.leaf, p->in.at, &p->statement, &unused);
	p->has_head = proof && note && !ledger_proof_parse(p->shown.cmw.proof, proof) &&
	              !ledger_note_parse(proof->checkpoint, note) &&
	              !ledger_checkpoint_parse(note->text, &p->head);
	if (p->has_head)
		p->index = proof->index;
	free(note);
	free(proof);
}

/* Every register that the statement names of this platform, and at least one. */
static bool is_named(const struct probe *p)
{
	const struct measurements *must =
	        statement_find(&p->statement, attest_tee_name(p->claims.tee));

	for (uint32_t i = 0; must && i < must->n; i++) {
		const struct measurement *m = &must->v[i];
		const struct measurement *is = measurement_find(&p->claims.measurements, m->name);

		if (!is || is->len != m->len || memcmp(is->value, m->value, m->len) != 0)
			return false;
	}
	return must && must->n;
}

static int check_proof(struct probe *p)
{
	/* Without witnesses nobody says how old a head is. */
	const struct ledger_time t = {.at = p->in.at,
	                              .max_age = p->tlog->quorum >= 0 ? LEDGER_MAX_AGE : -1};
	struct ledger_head head;
	struct checks made = {0};
	bool ok;

	if (ledger_verify_proof(p->shown.cmw.proof, p->shown.cmw.leaf, p->tlog, &t, &head, &made))
		return cmd_error(CMD_UNKNOWN, "out of memory");
	if (checks_overall(&made) == CHECK_PASS)
		ledger_statement_parse(p->shown.cmw.leaf, p->in.at, &p->statement, &made);
	ok = checks_overall(&made) == CHECK_PASS;
	take_checks(p, &made);
	if (!ok || !p->holds)
		return 0;
	p->logged = is_named(p);
	check_add(&p->checks, "policy.measurement", p->logged ? CHECK_PASS : CHECK_FAIL, "%s",
	          p->logged ? "what the statement names"
	                    : "the statement does not name these registers");
	return 0;
}

static int judge_ledger(struct probe *p)
{
	const struct cmw *cmw = &p->shown.cmw;

	if (cmw->leaf.n && cmw->proof.n)
		read_proof(p);
	if (!p->tlog)
		check_add(&p->checks, "policy.ledger", CHECK_SKIP, "%s",
		          cmw->proof.n ? "a proof came; --ledger-policy checks it"
		                       : "no proof came, and no --ledger-policy was given");
	else if (!cmw->leaf.n || !cmw->proof.n)
		check_add(&p->checks, "policy.ledger", CHECK_UNAVAILABLE,
		          "the peer sent no statement with a proof");
	else
		return check_proof(p);
	return 0;
}

static int run(struct probe *p)
{
	struct transport_target to = {.transport = p->transport};
	bool there = false;
	int ret;

	snprintf(to.server_name, sizeof(to.server_name), "%s", p->server_name);
	target_resolve(&p->target);
	ret = fetch_evidence(p, &to, &there);
	if (!ret && there)
		ret = open_evidence(p, &to);
	if (!ret && p->opened) {
		judge_evidence(p);
		ret = judge_ledger(p);
	}
	if (!ret)
		ret = p->client.json ? probe_print_json(p) : probe_print_text(p);
	return ret ? ret : cmd_status_of(checks_overall(&p->checks));
}

int probe_main(int argc, char **argv, int (*confine)(void))
{
	struct probe *p = calloc(1, sizeof(*p));
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
	int ret;

	if (!p)
		return cmd_error(CMD_UNKNOWN, "out of memory");
	p->client =
	        (struct client){.command = argv[0], .synopsis = SYNOPSIS, .socket = CLIENT_SOCKET};
	p->transport = TRANSPORT_KEYGATE;
	p->timeout = TIMEOUT;
	p->confine = confine;
	p->in.at = time(NULL);
	ret = take_options(argc, argv, p);
	if (ret == NO_OPTION) {
		/* The peer may end the connection while OpenSSL writes to it. */
		sigaction(SIGPIPE, &ignore, &old);
		ret = run(p);
		sigaction(SIGPIPE, &old, NULL);
	}
	attest_opened_free(&p->shown);
	transport_evidence_free(&p->evidence);
	input_free(&p->in);
	free(p->tlog);
	free(p);
	return ret;
}

/* For good: what a peer sends is not read with root's rights. Nothing to do for other users. */
static int give_up_root(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	return geteuid() == NOBODY ? 0 : -EPERM;
}

int cmd_probe(int argc, char **argv)
{
	return probe_main(argc, argv, give_up_root);
}
