/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate probe against keygate-attester's half on a simulated platform: what it finds, what it
 * says when there is nothing to be found, that the policy it prints admits that peer, and that the
 * service behind never hears a byte.
 */
#include "cli_run.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include "attester/serve.h"
#include "attester/sim_snp.h"
#include "cli/probe.h"
#include "ledger/ledger.h"
#include "policy/policy.h"
#include "transport/transport.h"

#define LOG_NAME "log.example/probe"

static char base[64], anchor[128], collateral[128];
static uint8_t *chain;
static size_t chain_n;
static struct evidence_source source;

static const char *in_base(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", base, name);
	return p;
}

static int open_all(void **state)
{
	const char *step;

	if (cli_open(state))
		return -1;
	signal(SIGPIPE, SIG_IGN);
	strcpy(base, "/tmp/keygate-test.XXXXXX");
	assert_non_null(mkdtemp(base));
	assert_int_equal(evidence_sim_init(in_base("tee"), TEE_SNP, time(NULL), &step), 0);
	assert_int_equal(file_write_atomic(in_base("code"), bytes_str("the code"), 0600), 0);
	snprintf(anchor, sizeof(anchor), "%s", in_base("tee/" SIM_ARK_CERT));
	assert_int_equal(file_read(in_base("tee/chain.pem"), 65536, &chain, &chain_n), 0);
	snprintf(collateral, sizeof(collateral), "%s", in_base("collateral"));
	assert_int_equal(mkdir(collateral, 0700), 0);
	assert_int_equal(file_write_atomic(in_base("collateral/chain.pem"),
	                                   (struct bytes){chain, chain_n}, 0600),
	                 0);
	return evidence_sim_open(in_base("tee"), in_base("code"), &source, &step);
}

static int close_all(void **state)
{
	char cmd[128];

	evidence_sim_close(&source);
	free(chain);
	snprintf(cmd, sizeof(cmd), "rm -r %s", base);
	return system(cmd) | cli_close(state);
}

/* -------------------------------------------------------------------- a server */

struct server {
	struct serve_config config;
	struct sockaddr_in at;
	SSL_CTX *tls;
	int listener;
	pthread_t thread;
	char heard[64]; /* what the service hears, until the client has ended */
};

static int listen_at(struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*at = (struct sockaddr_in){.sin_family = AF_INET,
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)at, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
	return fd;
}

/* Its one connection. */
static void *serve(void *arg)
{
	struct server *s = arg;
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC), n = 0;
	SSL *ssl = SSL_new(s->tls);
	struct buf early = buf_make(SERVE_EARLY_MAX);
	const char *step;

	SSL_set_fd(ssl, fd);
	if (serve_attest(&s->config, ssl, &early, &step) == 0)
		n = SSL_read(ssl, s->heard, sizeof(s->heard) - 1);
	s->heard[n > 0 ? n : 0] = '\0';
	buf_free(&early);
	SSL_free(ssl);
	close(fd);
	return NULL;
}

static void server_start(struct server *s)
{
	if (!s->config.source)
		s->config.source = &source;
	if (!s->config.transports)
		s->config.transports = 1u << TRANSPORT_KEYGATE;
	s->tls = serve_tls_context("service.test");
	assert_non_null(s->tls);
	s->listener = listen_at(&s->at);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_end(struct server *s)
{
	pthread_join(s->thread, NULL);
	close(s->listener);
	SSL_CTX_free(s->tls);
}

/* -------------------------------------------------------------------- a probe */

static const char *where(const struct server *s)
{
	static char text[64];

	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(s->at.sin_port));
	return text;
}

/* In this process, which still has tests to make as root. */
static int probe(int argc, char **argv)
{
	return probe_main(argc, argv, NULL);
}

/* One probe of one server. */
#define PROBE(s, ...) (server_start(s), probe_of(s, RUN(probe, "--socket", sock, __VA_ARGS__)))

static int probe_of(struct server *s, int status)
{
	server_end(s);
	return status;
}

static json_t *answer(void)
{
	json_t *j = json_loads((char *)out, JSON_REJECT_DUPLICATES, NULL);

	assert_true(json_is_object(j));
	return j;
}

static void member_is(const json_t *j, const char *name, const char *want)
{
	const char *is = json_string_value(json_object_get(j, name));

	if (!is || strcmp(is, want))
		fail_msg("%s is %s, not %s in:\n%s", name, is ? is : "none", want, (char *)out);
}

/* The status and detail of a check. */
static const char *check_of(const json_t *j, const char *id)
{
	const json_t *c;
	size_t i;

	json_array_foreach(json_object_get(j, "checks"), i, c)
	{
		if (!strcmp(json_string_value(json_object_get(c, "id")), id))
			return json_string_value(json_object_get(c, "status"));
	}
	return "none";
}

/* ------------------------------------------------------------------ its stanza */

static int load(void *ctx, const char *path, uint8_t **to, size_t *n)
{
	(void)ctx;
	return file_read(path, POLICY_FILE_MAX, to, n);
}

/* What another connection to the same peer brings. */
static void present(struct server *s, enum attest_transport t, const char *server_name,
                    struct transport_evidence *e, struct attest_opened *o,
                    struct policy_presented *shown)
{
	struct transport_target to = {.transport = t};
	struct transport_call call = {.tls = transport_tls_context(NULL),
	                              .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
	                              .to = &to,
	                              .deadline_ms = transport_now_ms() + 8000};
	struct attest_wire wire = {.transport = t, .keys = &e->keys, .at = time(NULL)};
	struct checks checks = {0};
	struct failure why;

	memcpy(&to.address, &s->at, sizeof(s->at));
	strcpy(to.server_name, server_name);
	RAND_bytes(to.context, sizeof(to.context));
	assert_int_equal(transport_attest(&call, e, &why), 0);
	wire.request = (struct bytes){e->bytes.p, e->request_len};
	wire.message = (struct bytes){wire.request.p + e->request_len, e->message_len};
	wire.leaf = (struct bytes){wire.message.p + e->message_len, e->leaf_len};
	wire.server_name = to.server_name;
	memcpy(wire.exporter, e->exporter, sizeof(wire.exporter));
	memcpy(wire.context, to.context, sizeof(wire.context));
	assert_int_equal(attest_open(&wire, o, &checks), 0);
	assert_int_equal(checks_overall(&checks), CHECK_PASS);
	shown->cmw = o->cmw;
	memcpy(shown->report_data, o->report_data, sizeof(shown->report_data));
	memcpy(shown->spki_sha256, o->spki_sha256, sizeof(shown->spki_sha256));
	shown->binder = policy_binder_from_name(o->binder);
	shown->check_report_data = true;
	close(call.fd);
	SSL_CTX_free(call.tls);
}

/* policy/ takes it, and admits this peer, and not one that runs another program. */
static void admits(const char *stanza, struct server *s, enum attest_transport t)
{
	struct policy_issues issues = {0};
	struct policy_presented shown = {.binder = BINDER_NONE};
	struct transport_evidence e = {.request_len = 0};
	struct attest_opened o;
	struct policy_head_update head;
	struct policy *p = NULL;
	struct verdict v;
	char text[16384];

	snprintf(text, sizeof(text), "default-action = deny\n%s", stanza);
	if (policy_parse(&(struct policy_file){"/x.conf", bytes_str(text)}, 1, load, NULL,
	                 time(NULL), &p, &issues) ||
	    issues.n)
		fail_msg("line %u: %s in:\n%s", issues.v[0].where.line, issues.v[0].text, text);
	server_start(s);
	present(s, t, p->destination[0].server_name, &e, &o, &shown);
	assert_int_equal(p->destination[0].transport, t);
	/* What this transport does not bring comes from the policy's collateral. */
	if (!shown.cmw.endorsements_n)
		shown.cmw.endorsements[shown.cmw.endorsements_n++] = (struct bytes){chain, chain_n};
	for (int other = 0; other < 2; other++) {
		const struct check *bad;

		p->destination[0].measurement[0].m.value[0] ^= (uint8_t)other;
		verdict_init(&v, p->destination[0].name, time(NULL));
		assert_int_equal(policy_appraise(p, 0, &shown, time(NULL), NULL, NULL, &v, &head),
		                 0);
		bad = checks_first(&v.checks, CHECK_FAIL);
		if (v.overall != (other ? CHECK_FAIL : CHECK_PASS))
			fail_msg("%s: %s under:\n%s", bad ? bad->id : "?", bad ? bad->detail : "",
			         text);
		if (other)
			assert_string_equal(bad->id, "policy.measurement");
	}
	attest_opened_free(&o);
	transport_evidence_free(&e);
	server_end(s);
	policy_free(p);
}

/* ----------------------------------------------------------------- what it finds */

static void test_evidence_that_holds(void **state)
{
	struct server s = {0};
	const char *stanza;
	json_t *j;

	(void)state;
	assert_int_equal(PROBE(&s, "--json", "--anchor", anchor, where(&s)), CMD_YES);
	assert_string_equal(s.heard, "");
	j = answer();
	member_is(j, "verdict", "pass");
	member_is(j, "peer", where(&s));
	member_is(j, "transport", "keygate");
	member_is(j, "binder", "connection");
	member_is(j, "tls", "TLS_AES_256_GCM_SHA384");
	member_is(j, "tee", "snp");
	assert_int_equal(strlen(json_string_value(json_object_get(j, "server_key"))), 64);
	assert_true(json_is_true(json_object_get(j, "extra_anchor")));
	assert_string_equal(check_of(j, "snp.report-data"), "pass");
	assert_string_equal(check_of(j, "policy.ledger"), "skip");
	stanza = json_string_value(json_object_get(j, "stanza"));
	s = (struct server){0};
	admits(stanza, &s, TRANSPORT_KEYGATE);
	json_decref(j);
}

static void test_a_page_for_people(void **state)
{
	struct server s = {0};

	(void)state;
	assert_int_equal(PROBE(&s, "--explain", "--anchor", anchor, where(&s)), CMD_YES);
	says("transport        keygate, binder connection\n");
	says("server_key       sha256:");
	says("evidence         snp Milan\n");
	says("measurement      code     ");
	says("0x090  MEASUREMENT");
	says("  SEV-VCEK, by SEV-Milan, ");
	says("verdict: pass\n");
	says("destination \"127.0.0.1-");
	assert_null(strstr((char *)out, "missing"));
}

static void test_every_transport(void **state)
{
	(void)state;
	for (int t = TRANSPORT_NONE + 1; t < TRANSPORT_MAX; t++) {
		const char *name = attest_transport_name((enum attest_transport)t);
		struct server s = {.config.transports = 1u << t};
		json_t *j;

		assert_int_equal(PROBE(&s, "--json", "--transport", name, "--anchor", anchor,
		                       "--collateral", collateral, where(&s)),
		                 CMD_YES);
		assert_string_equal(s.heard, "");
		j = answer();
		member_is(j, "transport", name);
		member_is(j, "binder", attest_transport_binder_most((enum attest_transport)t));
		s = (struct server){.config.transports = 1u << t};
		admits(json_string_value(json_object_get(j, "stanza")), &s,
		       (enum attest_transport)t);
		json_decref(j);
	}
}

static void test_not_the_transport_that_it_answers(void **state)
{
	struct server s = {.config.transports = 1u << TRANSPORT_FLASHBOTS};

	(void)state;
	assert_int_equal(PROBE(&s, "--anchor", anchor, where(&s)), CMD_UNKNOWN);
	says("unavailable  tls.");
}

static void test_nobody_vouches_for_it(void **state)
{
	struct server s = {0};
	json_t *j;

	(void)state;
	assert_int_equal(PROBE(&s, "--json", where(&s)), CMD_UNKNOWN);
	j = answer();
	member_is(j, "verdict", "unavailable");
	assert_string_equal(check_of(j, "snp.chain"), "unavailable");
	assert_true(json_is_null(json_object_get(j, "stanza")));
	assert_true(json_is_null(json_object_get(j, "measurement")));
	json_decref(j);
}

/* Evidence of another connection. */
static int replay(void *ctx, const uint8_t report_data[static 64], struct evidence *to)
{
	uint8_t other[64];

	(void)ctx;
	memcpy(other, report_data, sizeof(other));
	other[0] ^= 1;
	return source.evidence(source.ctx, other, to);
}

static int nothing(void *ctx, const uint8_t report_data[static 64], struct evidence *to)
{
	(void)ctx, (void)report_data, (void)to;
	return -ENODATA;
}

static void test_refused(void **state)
{
	const struct evidence_source liar = {.evidence = replay}, none = {.evidence = nothing};
	struct server s = {.config.source = &liar};
	json_t *j;

	(void)state;
	assert_int_equal(PROBE(&s, "--json", "--anchor", anchor, where(&s)), CMD_NO);
	j = answer();
	member_is(j, "verdict", "fail");
	assert_string_equal(check_of(j, "snp.report-data"), "fail");
	assert_true(json_is_null(json_object_get(j, "stanza")));
	json_decref(j);
	s = (struct server){.config.source = &none};
	assert_int_equal(PROBE(&s, "--json", "--anchor", anchor, where(&s)), CMD_NO);
	j = answer();
	assert_string_equal(check_of(j, "auth.declined"), "fail");
	assert_true(json_is_null(json_object_get(j, "tee")));
	json_decref(j);
}

/* -------------------------------------------------------------- nothing to find */

static void test_unreachable(void **state)
{
	struct server s = {.listener = -1};
	int listener = listen_at(&s.at);
	json_t *j;

	(void)state;
	/* It listens, and never answers. */
	assert_int_equal(RUN(probe, "--socket", sock, "--json", "--timeout", "1", where(&s)),
	                 CMD_UNKNOWN);
	j = answer();
	member_is(j, "verdict", "unavailable");
	assert_string_equal(check_of(j, "auth.timeout"), "unavailable");
	json_decref(j);
	close(listener);
	assert_int_equal(RUN(probe, "--socket", sock, where(&s)), CMD_UNKNOWN);
	says("unavailable  connect.refused");
	assert_int_equal(RUN(probe, "--socket", sock, "nowhere.invalid:443"), CMD_UNKNOWN);
	says("peer             none\n");
	says("the host has no address");
}

/* Something that answers, but not to keygate. */
static void *hang_up(void *arg)
{
	int fd = accept4(*(int *)arg, NULL, NULL, SOCK_CLOEXEC);

	(void)!write(fd, "HTTP/1.0 400 Bad Request\r\n\r\n", 28);
	close(fd);
	return NULL;
}

static void test_another_protocol(void **state)
{
	struct server s;
	int listener = listen_at(&s.at);
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, hang_up, &listener), 0);
	assert_int_equal(RUN(probe, "--socket", sock, where(&s)), CMD_UNKNOWN);
	says("unavailable  tls.handshake");
	pthread_join(t, NULL);
	close(listener);
}

/* ------------------------------------------------------------------------ ledger */

static void put(const char *name, const struct buf *b)
{
	assert_false(b->bad);
	assert_int_equal(file_write_atomic(in_base(name), buf_view(b), 0600), 0);
}

/* A log of one leaf, which says that this is the measurement of SNP. */
static void make_log(const char *measurement)
{
	struct buf leaf = buf_make(LEAF_MAX), note = buf_make(NOTE_MAX),
	           proof = buf_make(TLOG_PROOF_MAX), policy = buf_make(TLOG_POLICY_MAX);
	struct checkpoint cp = {.origin = LOG_NAME, .size = 1};
	struct tlog_proof p = {.index = 0};
	uint8_t raw[32] = {3};
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
	struct vkey v;

	buf_printf(&leaf,
	           "{\"_type\":\"%s\",\"subject\":[{\"name\":\"service\",\"digest\":{\"sha256\":"
	           "\"%064d\"}}],\"predicateType\":\"%s\",\"predicate\":{\"snp_measurement\":"
	           "\"%s\",\"version\":\"7\"}}",
	           STATEMENT_TYPE, 1, STATEMENT_PREDICATE, measurement);
	ledger_leaf_hash(buf_view(&leaf), &cp.root);
	assert_int_equal(ledger_checkpoint_format(&cp, &note), 0);
	assert_int_equal(ledger_note_sign(&note, LOG_NAME, key), 0);
	p.checkpoint = buf_view(&note);
	assert_int_equal(ledger_proof_format(&p, &proof), 0);
	assert_int_equal(ledger_vkey_of(key, LOG_NAME, NOTE_ED25519, &v), 0);
	buf_str(&policy, "log ");
	assert_int_equal(ledger_vkey_format(&v, &policy), 0);
	buf_str(&policy, "\nquorum none\n");
	put("leaf", &leaf);
	put("proof", &proof);
	put("log.policy", &policy);
	buf_free(&leaf);
	buf_free(&note);
	buf_free(&proof);
	buf_free(&policy);
	EVP_PKEY_free(key);
}

static void test_a_ledger_proof(void **state)
{
	char leaf[256], proof[256], policy[256], hex[2 * MEASUREMENT_MAX + 1];
	struct server s = {.config = {.leaf = leaf, .proof = proof}};
	struct measurements m;
	json_t *j;

	(void)state;
	snprintf(leaf, sizeof(leaf), "%s", in_base("leaf"));
	snprintf(proof, sizeof(proof), "%s", in_base("proof"));
	snprintf(policy, sizeof(policy), "%s", in_base("log.policy"));
	assert_int_equal(evidence_sim_measure(TEE_SNP, in_base("code"), &m), 0);
	hex_encode((struct bytes){m.v[0].value, m.v[0].len}, hex);
	make_log(hex);
	/* Shown, and not believed. */
	assert_int_equal(PROBE(&s, "--anchor", anchor, where(&s)), CMD_YES);
	says("statement        service 7 (not shown to be logged)\n");
	says("log              " LOG_NAME ": leaf 0 of 1 (not shown to be logged)\n");
	says("skip  policy.ledger");
	says("# It sent a ledger proof");
	/* Checked. */
	s = (struct server){.config = {.leaf = leaf, .proof = proof}};
	assert_int_equal(
	        PROBE(&s, "--json", "--anchor", anchor, "--ledger-policy", policy, where(&s)),
	        CMD_YES);
	j = answer();
	assert_true(json_is_true(json_object_get(j, "logged")));
	member_is(json_object_get(j, "statement"), "version", "7");
	member_is(json_object_get(j, "log"), "origin", LOG_NAME);
	assert_string_equal(check_of(j, "ledger.inclusion"), "pass");
	assert_string_equal(check_of(j, "policy.measurement"), "pass");
	s = (struct server){.config = {.leaf = leaf, .proof = proof}};
	admits(json_string_value(json_object_get(j, "stanza")), &s, TRANSPORT_KEYGATE);
	json_decref(j);
	/* Without a proof where one was asked for, nobody can tell. */
	s = (struct server){0};
	assert_int_equal(
	        PROBE(&s, "--json", "--anchor", anchor, "--ledger-policy", policy, where(&s)),
	        CMD_UNKNOWN);
	/* Of another program. */
	hex[0] = hex[0] == '0' ? '1' : '0';
	make_log(hex);
	s = (struct server){.config = {.leaf = leaf, .proof = proof}};
	assert_int_equal(
	        PROBE(&s, "--json", "--anchor", anchor, "--ledger-policy", policy, where(&s)),
	        CMD_NO);
	j = answer();
	assert_string_equal(check_of(j, "policy.measurement"), "fail");
	json_decref(j);
}

/* --------------------------------------------------------------- a gated host */

struct daemon {
	int listener;
	const char *answer;
	int pass; /* a socket, or -1 */
	char heard[256];
	pthread_t thread;
};

static void *answer_once(void *arg)
{
	struct daemon *d = arg;
	int fd = accept4(d->listener, NULL, NULL, SOCK_CLOEXEC);
	struct iovec iov = {(void *)(uintptr_t)d->answer, strlen(d->answer)};
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = read(fd, d->heard, sizeof(d->heard) - 1);

	d->heard[n > 0 ? n : 0] = '\0';
	if (d->pass >= 0) {
		m.msg_control = &ctl;
		m.msg_controllen = sizeof(ctl);
		ctl.head = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
		                            .cmsg_type = SCM_RIGHTS,
		                            .cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(&ctl.head), &d->pass, sizeof(int));
	}
	if (iov.iov_len)
		sendmsg(fd, &m, MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static void daemon_start(struct daemon *d, const char *says_what, int pass)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	*d = (struct daemon){.answer = says_what, .pass = pass};
	unlink(sock);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", sock);
	d->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(d->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(d->listener, 1), 0);
	assert_int_equal(pthread_create(&d->thread, NULL, answer_once, d), 0);
}

static void daemon_end(struct daemon *d)
{
	pthread_join(d->thread, NULL);
	close(d->listener);
	unlink(sock);
	if (d->pass >= 0)
		close(d->pass);
}

static void test_keygated_makes_the_socket(void **state)
{
	struct server s = {0};
	struct daemon d;
	struct sockaddr_in from = {.sin_family = AF_INET,
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), mine = dup(fd), status;
	socklen_t n = sizeof(from);
	char want[128];

	(void)state;
	/* To be known again: it comes from another address of the loopback. */
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	daemon_start(&d, "{\"ok\":true,\"gated\":true,\"destination\":\"d\",\"seconds\":30}\n", fd);
	server_start(&s);
	status = RUN(probe, "--socket", sock, "--anchor", anchor, where(&s));
	daemon_end(&d);
	assert_int_equal(getsockname(mine, (struct sockaddr *)&from, &n), 0);
	assert_int_equal(ntohl(from.sin_addr.s_addr), INADDR_LOOPBACK + 1);
	assert_int_equal(getpeername(mine, (struct sockaddr *)&from, &n), 0);
	close(mine);
	server_end(&s);
	assert_int_equal(status, CMD_YES);
	snprintf(want, sizeof(want), "{\"verb\":\"probe\",\"address\":\"127.0.0.1\",\"port\":%u}\n",
	         ntohs(from.sin_port));
	assert_string_equal(d.heard, want);
	assert_string_equal(s.heard, "");
	says("verdict: pass\n");
}

static void test_keygated_says_otherwise(void **state)
{
	static const struct {
		const char *answer;
		int status;
	} all[] = {
	        {"{\"ok\":false,\"kind\":\"no\",\"error\":\"destination \\\"x\\\" denies it\"}\n",
	         CMD_NO},
	        {"{\"ok\":false,\"kind\":\"unavailable\",\"error\":\"16 probes\"}\n", CMD_UNKNOWN},
	        /* Gated, and no socket: none of our own may be tried. */
	        {"{\"ok\":true,\"gated\":true}\n", CMD_UNKNOWN},
	        {"nonsense\n", CMD_UNKNOWN},
	        {"", CMD_UNKNOWN},
	};
	struct server s = {.listener = -1};
	int listener = listen_at(&s.at);
	struct pollfd p = {.fd = listener, .events = POLLIN};
	struct daemon d;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		daemon_start(&d, all[i].answer, -1);
		assert_int_equal(RUN(probe, "--socket", sock, where(&s)), all[i].status);
		daemon_end(&d);
		assert_int_equal(poll(&p, 1, 0), 0);
	}
	close(listener);
}

static void test_what_is_not_gated(void **state)
{
	struct server s = {0};
	struct daemon d;

	(void)state;
	daemon_start(&d, "{\"ok\":true,\"gated\":false,\"destination\":null}\n", -1);
	assert_int_equal(PROBE(&s, "--anchor", anchor, where(&s)), CMD_YES);
	daemon_end(&d);
}

/* ------------------------------------------------------------------------ rights */

static int can_not(void)
{
	return -EPERM;
}

static int probe_unconfined(int argc, char **argv)
{
	return probe_main(argc, argv, can_not);
}

/* The real thing, in a process that can do without root afterwards. */
static int gives_up_root(void)
{
	struct server s = {.listener = -1};
	const char *words[] = {"keygate probe", "--socket", sock, "--anchor", anchor, NULL, NULL};
	int status;

	/* Nothing of it on the test's own output. */
	if (!freopen("/dev/null", "w", stdout))
		return 1;
	server_start(&s);
	words[5] = where(&s);
	optind = 0;
	status = cmd_probe(6, (char **)(uintptr_t)words);
	server_end(&s);
	return status != CMD_YES                        ? 2
	       : getuid() != 65534 || getgid() != 65534 ? 3
	       : setuid(0) == 0                         ? 4
	       : access(anchor, R_OK) == 0              ? 5
	                                                : 0;
}

static void test_root_is_given_up(void **state)
{
	struct server s = {.listener = -1};
	int status;
	pid_t pid;

	(void)state;
	server_start(&s);
	assert_int_equal(
	        run(probe_unconfined, (const char *const[]){"--socket", sock, where(&s), NULL}),
	        CMD_UNKNOWN);
	server_end(&s);
	says("root's rights can't be given up");
	if (geteuid() != 0) {
		printf("SKIPPED: giving up root needs root\n");
		return;
	}
	/* No other thread is there now. */
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(gives_up_root());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ------------------------------------------------------------------------- usage */

static void test_usage(void **state)
{
	static const char *const wrong[][3] = {
	        {"127.0.0.1"},
	        {"--transport=none", "127.0.0.1:1"},
	        {"--transport=telepathy", "127.0.0.1:1"},
	        {"--timeout=0", "127.0.0.1:1"},
	        {"--timeout=31", "127.0.0.1:1"},
	        {"--server-name=", "127.0.0.1:1"},
	        {"--anchor=/nowhere", "127.0.0.1:1"},
	        {"--ledger-policy=/nowhere", "127.0.0.1:1"},
	        {"--at=now", "127.0.0.1:1"},
	        {"--json", "--explain", "127.0.0.1:1"},
	        {"--frob", "127.0.0.1:1"},
	        {"127.0.0.1:1", "127.0.0.1:2"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *words[4] = {wrong[i][0], wrong[i][1], wrong[i][2], NULL};

		assert_int_equal(run(probe, words), CMD_USAGE);
		assert_string_equal((char *)out, "");
	}
	assert_int_equal(run(probe, (const char *const[]){NULL}), CMD_USAGE);
	assert_int_equal(RUN(probe, "--help"), CMD_YES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_evidence_that_holds),
	        cmocka_unit_test(test_a_page_for_people),
	        cmocka_unit_test(test_every_transport),
	        cmocka_unit_test(test_not_the_transport_that_it_answers),
	        cmocka_unit_test(test_nobody_vouches_for_it),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_unreachable),
	        cmocka_unit_test(test_another_protocol),
	        cmocka_unit_test(test_a_ledger_proof),
	        cmocka_unit_test(test_keygated_makes_the_socket),
	        cmocka_unit_test(test_keygated_says_otherwise),
	        cmocka_unit_test(test_what_is_not_gated),
	        cmocka_unit_test(test_root_is_given_up),
	        cmocka_unit_test(test_usage),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
