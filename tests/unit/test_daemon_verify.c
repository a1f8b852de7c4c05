/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verify role behind its socket, with a peer whose evidence, authenticator and ledger are made
 * here: what passes, what each lie of relay or peer is refused by, and how heads move.
 */
#include "attest_build.h"
#include "policy_files.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include "attest/authenticator.h"
#include "attest/binding.h"
#include "core/file.h"
#include "daemon/bundle.h"
#include "daemon/msg.h"
#include "daemon/role.h"

enum { LEAVES = 4, INDEX = 1, SERIAL_ASK = 2 };

#define NAME "service.example.com"
/* The leaf hash of "known". */
#define KNOWN "5420eaf60fc5182f476c1ca0631d9cfd1b80a1ff693afaf843aea78dc8ce5b22"

static const char conf[] =
        "default-action = allow\n"
        "ledger acme { policy = acme.policy max-age = 1h url = \"https://log.example/\"\n"
        "watch = {\"*\"} expected = {\"leaf:" KNOWN "\"} }\n"
        "anchor lab { tee = snp file = lab.pem }\n"
        "destination d { address = 192.0.2.1 port = 443 action = gate tee = snp\n"
        "anchor = lab ledger = acme server-name = " NAME " }\n"
        "destination e { address = 192.0.2.2 port = 443 action = deny }\n"
        "destination l { address = 192.0.2.3 port = 443 action = gate tee = snp binder = lease\n"
        "anchor = lab ledger = acme server-name = " NAME " }\n"
        "destination p { address = 192.0.2.4 port = 443 action = gate tee = snp\n"
        "anchor = lab ledger = acme server-name = " NAME " leaf = {service.leaf} }\n"
        "destination k { address = 192.0.2.5 port = 443 action = gate tee = snp\n"
        "transport = well-known binder = lease-key lease = 20m anchor = lab ledger = none\n"
        "measurement = \"snp:111111111111111111111111111111111111111111111111"
        "111111111111111111111111111111111111111111111111\" server-name = " NAME " }\n";

enum { DESTINATION_LEASE = 2, DESTINATION_LEAF, DESTINATION_KEY, DESTINATIONS };

static struct {
	int sock;
	pthread_t thread;
	int status;
	struct sim sim;
	struct der crl, leaf_cert;
	EVP_PKEY *key;
	struct hash leaves[LEAVES + 1];
} w;

/* What one session sends; a test bends it before it goes out. */
struct session {
	struct msg_appraise m;
	struct buf request, message, leaf, proof, note;
	uint8_t report[SNP_REPORT_LEN];
	struct cmw cmw;
	bool asks; /* for a lease, on the wire */
};

static struct session s;
static struct msg_verdict v;
static int note_fd = -1;
/* What came before the last verdict; n is 0: nothing. */
static struct {
	struct msg_shown m;
	uint8_t *wrapper;
	size_t n;
} shown;

/* --------------------------------------------------------------------- the role */

static void *run_role(void *arg)
{
	w.status = role_verify(*(int *)arg);
	close(*(int *)arg);
	return NULL;
}

static void forget_shown(void)
{
	free(shown.wrapper);
	memset(&shown, 0, sizeof(shown));
}

static void *receive(enum msg_type type, uint64_t session)
{
	static union msg_any in;
	struct msg_head head;

	if (note_fd >= 0)
		close(note_fd);
	note_fd = -1;
	assert_int_equal(msg_recv(w.sock, &head, &in, sizeof(in), &note_fd), 0);
	if (type == MSG_VERDICT)
		forget_shown();
	if (type == MSG_VERDICT && head.type == MSG_SHOWN) {
		assert_int_equal(head.session, session);
		shown.m = in.shown;
		assert_int_equal(file_read_fd(note_fd, SHOWN_MAX, &shown.wrapper, &shown.n), 0);
		close(note_fd);
		note_fd = -1;
		assert_int_equal(msg_recv(w.sock, &head, &in, sizeof(in), &note_fd), 0);
	}
	assert_int_equal(head.type, type);
	assert_int_equal(head.session, session);
	return &in;
}

static int give_bundle(struct bytes bytes, uint32_t generation)
{
	const struct msg_policy m = {.generation = generation, .now = SIM_AT};
	int fd = file_memfd("policy", bytes);
	const struct msg_policy_done *done;

	assert_true(fd >= 0);
	assert_int_equal(msg_send(w.sock, MSG_POLICY, 0, &m, fd), 0);
	close(fd);
	done = receive(MSG_POLICY_DONE, 0);
	assert_int_equal(done->generation, generation);
	return done->err;
}

static void give_policy(uint32_t generation)
{
	struct buf text = buf_make(8192), bytes = buf_make(BUNDLE_MAX);
	struct bundle b = {0};
	char pem[8192];
	size_t n = pem_of("CERTIFICATE", der_view(&w.sim.ark), pem, sizeof(pem));

	put_tlog_policy(&text, "two");
	assert_int_equal(bundle_add(&b, BUNDLE_CONF, FILE_A, bytes_str(conf)), 0);
	assert_int_equal(bundle_add(&b, BUNDLE_REF, DIR "policy.d/acme.policy", buf_view(&text)),
	                 0);
	assert_int_equal(bundle_add(&b, BUNDLE_REF, DIR "policy.d/lab.pem",
	                            (struct bytes){(const uint8_t *)pem, n}),
	                 0);
	assert_int_equal(bundle_add(&b, BUNDLE_REF, DIR "policy.d/service.leaf", buf_view(&s.leaf)),
	                 0);
	assert_int_equal(
	        bundle_add(&b, BUNDLE_COLLATERAL, DIR "collateral/ark.crl", der_view(&w.crl)), 0);
	assert_int_equal(bundle_write(&b, &bytes), 0);
	assert_int_equal(give_bundle(buf_view(&bytes), generation), 0);
	bundle_free(&b);
	buf_free(&bytes);
	buf_free(&text);
}

/* ------------------------------------------------------------------- the ledger */

static int tree_node(void *ctx, unsigned level, uint64_t index, struct hash *out)
{
	struct hash a, b;

	if (!level) {
		*out = w.leaves[index];
		return 0;
	}
	tree_node(ctx, level - 1, 2 * index, &a);
	tree_node(ctx, level - 1, 2 * index + 1, &b);
	ledger_node_hash(&a, &b, out);
	return 0;
}

static struct checkpoint head_of(uint64_t size)
{
	struct checkpoint cp = {.origin = LOG_NAME, .size = size};

	assert_int_equal(ledger_root(tree_node, NULL, size, &cp.root), 0);
	return cp;
}

static void put_note(struct buf *out, uint64_t size)
{
	struct checkpoint cp = head_of(size);

	buf_reset(out);
	assert_int_equal(ledger_checkpoint_format(&cp, out), 0);
	for (uint8_t i = 0; i < 3; i++) {
		EVP_PKEY *key = key_of(i ? (uint8_t)(9 + i) : 1);
		char name[32];

		snprintf(name, sizeof(name), "w%d.example", i - 1);
		if (i)
			assert_int_equal(ledger_note_cosign(out, name, key, SIM_AT - 60), 0);
		else
			assert_int_equal(ledger_note_sign(out, LOG_NAME, key), 0);
		EVP_PKEY_free(key);
	}
}

static void make_ledger(void)
{
	struct tlog_proof proof = {.index = INDEX};
	char hex[97];
	size_t n;

	hex_encode((struct bytes){s.report + SNP_OFF_MEASUREMENT, 48}, hex);
	buf_printf(&s.leaf,
	           "{\"_type\":\"%s\",\"subject\":[{\"name\":\"service\",\"digest\":{\"sha256\":"
	           "\"%064d\"}}],\"predicateType\":\"%s\",\"predicate\":{\"snp_measurement\":"
	           "\"%s\",\"version\":\"1\"}}",
	           STATEMENT_TYPE, 1, STATEMENT_PREDICATE, hex);
	for (uint64_t i = 0; i <= LEAVES; i++)
		ledger_leaf_hash(bytes_str(i % 2 ? "odd" : "even"), &w.leaves[i]);
	ledger_leaf_hash(buf_view(&s.leaf), &w.leaves[INDEX]);
	put_note(&s.note, LEAVES);
	assert_int_equal(ledger_prove_inclusion(tree_node, NULL, INDEX, LEAVES, proof.path, &n), 0);
	proof.path_n = (uint32_t)n;
	proof.checkpoint = buf_view(&s.note);
	assert_int_equal(ledger_proof_format(&proof, &s.proof), 0);
}

/* ------------------------------------------------------------------ the session */

static void make_keys(struct authenticator_keys *k, uint8_t seed)
{
	snprintf(k->digest, sizeof(k->digest), "SHA256");
	k->hash_len = 32;
	memset(k->handshake_context, seed, 32);
	memset(k->finished_key, seed + 1, 32);
	memset(k->attestation, seed + 2, 32);
}

/* The report over this connection, and the collection around it. */
static void make_evidence(void)
{
	EVP_PKEY *key = w.key;
	uint8_t *spki = NULL;
	int n = i2d_PUBKEY(key, &spki);

	assert_true(n > 0);
	sim_report(&w.sim, 3, s.report);
	memset(s.report + SNP_OFF_HOST_DATA, 0, 32);
	assert_int_equal(attest_binding(BINDING_SERVER, (struct bytes){spki, (size_t)n},
	                                s.m.keys.attestation, s.m.context, bytes_str(NAME),
	                                s.report + SNP_OFF_REPORT_DATA),
	                 0);
	OPENSSL_free(spki);
	sim_sign(s.report, sim_keys()->vek);
	make_ledger();
	snprintf(s.cmw.evidence_type, sizeof(s.cmw.evidence_type), "%s",
	         attest_media_type(TEE_SNP));
	s.cmw.evidence = (struct bytes){s.report, sizeof(s.report)};
	s.cmw.endorsements[0] = der_view(&w.sim.vek);
	s.cmw.endorsements[1] = der_view(&w.sim.ask);
	s.cmw.endorsements_n = 2;
	s.cmw.leaf = buf_view(&s.leaf);
	s.cmw.proof = buf_view(&s.proof);
}

static void make_message(struct bytes cmw)
{
	const struct bytes chain = der_view(&w.leaf_cert);

	s.m.request_len = s.m.message_len = 0; /* as long as they are */
	buf_reset(&s.request);
	buf_reset(&s.message);
	assert_int_equal(authenticator_request_build(s.m.context, NAME, s.asks, &s.request), 0);
	assert_int_equal(authenticator_build(&s.m.keys, buf_view(&s.request), &chain, 1, w.key, cmw,
	                                     &s.message),
	                 0);
}

static void make_session(void)
{
	struct buf cmw = buf_make(1 << 16);

	memset(&s, 0, sizeof(s));
	s.request = buf_make(AUTHENTICATOR_REQUEST_MAX);
	s.message = buf_make(AUTHENTICATOR_MAX);
	s.leaf = buf_make(LEAF_MAX);
	s.proof = buf_make(TLOG_PROOF_MAX);
	s.note = buf_make(NOTE_MAX);
	s.m.generation = 1;
	s.m.transport = TRANSPORT_KEYGATE;
	s.m.at = SIM_AT;
	snprintf(s.m.server_name, sizeof(s.m.server_name), "%s", NAME);
	memset(s.m.context, 0xc0, sizeof(s.m.context));
	make_keys(&s.m.keys, 0x70);
	make_evidence();
	assert_int_equal(cmw_build(&s.cmw, &cmw), 0);
	make_message(buf_view(&cmw));
	buf_free(&cmw);
}

static void free_session(void)
{
	buf_free(&s.request);
	buf_free(&s.message);
	buf_free(&s.leaf);
	buf_free(&s.proof);
	buf_free(&s.note);
}

static void appraise(void)
{
	static uint64_t id;
	struct buf all = buf_make(1 << 20);
	int fd;

	buf_bytes(&all, buf_view(&s.request));
	buf_bytes(&all, buf_view(&s.message));
	if (!s.m.request_len)
		s.m.request_len = (uint32_t)s.request.n;
	if (!s.m.message_len)
		s.m.message_len = (uint32_t)s.message.n;
	fd = file_memfd("appraise", buf_view(&all));
	assert_true(fd >= 0);
	assert_int_equal(msg_send(w.sock, MSG_APPRAISE, ++id, &s.m, fd), 0);
	close(fd);
	buf_free(&all);
	memcpy(&v, receive(MSG_VERDICT, id), sizeof(v));
	assert_int_equal(v.verdict.sealed, VERDICT_SEALED);
	assert_int_equal(v.verdict.made_at, SIM_AT);
}

static void dump(void)
{
	struct buf b = buf_make(1 << 16);

	verdict_to_text(&v.verdict, &b);
	print_message("%.*s", (int)b.n, (const char *)b.p);
	buf_free(&b);
}

static void passes(enum head_step step)
{
	appraise();
	if (!verdict_passed(&v.verdict, SIM_AT))
		dump();
	assert_true(verdict_passed(&v.verdict, SIM_AT));
	assert_string_equal(v.verdict.requirement, "d");
	assert_int_equal(v.head.step, step);
}

/* Exactly this check refuses. */
static void expect_refusal(const char *id)
{
	appraise();
	assert_false(verdict_passed(&v.verdict, SIM_AT));
	for (uint32_t i = 0; i < v.verdict.checks.n; i++) {
		const struct check *c = &v.verdict.checks.v[i];
		bool refuses = c->status == CHECK_FAIL || c->status == CHECK_UNAVAILABLE;

		if (refuses != !strcmp(c->id, id)) {
			dump();
			fail_msg("%s is %s", c->id, check_status_name(c->status));
		}
	}
	assert_non_null(checks_find(&v.verdict.checks, id));
}

static void expect_note(struct bytes want)
{
	uint8_t *got = NULL;
	size_t n = 0;

	assert_true(note_fd >= 0);
	assert_int_equal(file_read_fd(note_fd, NOTE_MAX, &got, &n), 0);
	assert_true(bytes_equal((struct bytes){got, n}, want));
	free(got);
}

static void give_head(const struct checkpoint *cp, bool known)
{
	struct msg_head_known m = {.last = {.known = known}};

	snprintf(m.origin, sizeof(m.origin), "%s", LOG_NAME);
	if (known)
		m.last.cp = *cp;
	assert_int_equal(msg_send(w.sock, MSG_HEAD, 0, &m, -1), 0);
}

/* ------------------------------------------------------------------------ set up */

static int setup(void **state)
{
	static int role_end;
	int sv[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	w.sock = sv[0];
	role_end = sv[1];
	w.status = -1;
	assert_int_equal(pthread_create(&w.thread, NULL, run_role, &role_end), 0);
	make_session();
	give_policy(1);
	return 0;
}

static void join(int status)
{
	pthread_join(w.thread, NULL);
	w.thread = 0;
	assert_int_equal(w.status, status);
}

static int teardown(void **state)
{
	(void)state;
	close(w.sock);
	if (w.thread)
		join(0);
	if (note_fd >= 0)
		close(note_fd);
	note_fd = -1;
	forget_shown();
	free_session();
	return 0;
}

static int group_setup(void **state)
{
	struct cert_spec spec = {
	        .cn = NAME, .issuer = NAME, .begin = SIM_BEGIN, .end = SIM_END, .serial = 5};
	X509 *cert;

	(void)state;
	sim_start(&w.sim, "Milan");
	sim_certs(&w.sim);
	sim_crl("ARK-Milan", sim_keys()->ark, SIM_BEGIN, SIM_END, 0, &w.crl);
	w.key = EVP_EC_gen(SN_X9_62_prime256v1);
	spec.key = spec.signer = w.key;
	cert = cert_begin(&spec);
	assert_true(X509_sign(cert, w.key, EVP_sha256()));
	cert_der(cert, &w.leaf_cert);
	X509_free(cert);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(w.key);
	sim_keys_free();
	return 0;
}

/* ------------------------------------------------------------------------- tests */

static void test_passes_and_remembers(void **state)
{
	char hex[65];

	(void)state;
	passes(HEAD_FIRST);
	expect_note(buf_view(&s.note));
	assert_int_equal(v.head.cp.size, LEAVES);
	assert_string_equal(v.verdict.binder, "connection");
	assert_string_equal(v.verdict.tee, "snp");
	memset(hex, '0', sizeof(hex));
	assert_int_equal(strlen(v.verdict.server_key), 64);
	passes(HEAD_SAME);
	assert_int_equal(note_fd, -1);
	/* gate could not save it. */
	give_head(NULL, false);
	passes(HEAD_FIRST);
}

static void test_only_the_policy_in_force(void **state)
{
	(void)state;
	s.m.generation = 2;
	expect_refusal("policy.changed");
	s.m.generation = 0;
	expect_refusal("policy.changed");
	s.m.generation = 1;
	s.m.transport = TRANSPORT_KEYGATE;
	s.m.destination = 1; /* does not gate */
	expect_refusal("policy.changed");
	s.m.destination = DESTINATIONS;
	expect_refusal("policy.changed");
	give_policy(7);
	s.m.destination = 0;
	expect_refusal("policy.changed");
	s.m.generation = 7;
	passes(HEAD_FIRST);
}

static void test_a_bad_bundle_changes_nothing(void **state)
{
	(void)state;
	assert_true(give_bundle(bytes_str("no bundle"), 2) < 0);
	passes(HEAD_FIRST);
}

static void test_relay_lies_about_the_request(void **state)
{
	uint8_t context[32];

	(void)state;
	/* Another nonce than gate's. */
	s.m.context[0] ^= 1;
	expect_refusal("verify.request");
	s.m.context[0] ^= 1;
	/* Another name than gate's. */
	s.m.server_name[0] = 'x';
	expect_refusal("verify.request");
	snprintf(s.m.server_name, sizeof(s.m.server_name), "%s", NAME);
	/* No request at all. */
	memset(context, 1, sizeof(context));
	buf_reset(&s.request);
	buf_bytes(&s.request, BYTES_OF(context));
	s.m.request_len = sizeof(context);
	expect_refusal("verify.request");
}

/* Evidence that holds, by a transport that gate did not ask for: another one opens it, or none. */
static void test_the_transport_is_gates(void **state)
{
	static const char *const refusing[TRANSPORT_MAX] = {
	        [TRANSPORT_NONE] = "verify.request",
	        [TRANSPORT_FLASHBOTS] = "flashbots.format",
	        [TRANSPORT_ATLS] = "ratls.format",
	        [TRANSPORT_RA_TLS] = "ratls.format",
	        [TRANSPORT_WELL_KNOWN] =
	                "wellknown.key-binding", /* no certificate of the handshake came */
	};

	(void)state;
	for (uint32_t t = 0; t < TRANSPORT_MAX; t++) {
		s.m.transport = t;
		if (t == TRANSPORT_KEYGATE)
			continue;
		appraise();
		assert_false(verdict_passed(&v.verdict, SIM_AT));
		assert_string_equal(checks_first(&v.verdict.checks, CHECK_FAIL)->id, refusing[t]);
		/* Nothing of the evidence was looked at. */
		assert_null(checks_find(&v.verdict.checks, "snp.signature"));
	}
	s.m.transport = TRANSPORT_MAX;
	expect_refusal("verify.request");
	s.m.transport = UINT32_MAX;
	expect_refusal("verify.request");
	s.m.transport = TRANSPORT_KEYGATE;
	passes(HEAD_FIRST);
}

static void test_relay_lies_about_lengths(void **state)
{
	uint32_t request = (uint32_t)s.request.n;

	(void)state;
	s.m.request_len = request + 1;
	expect_refusal("verify.request");
	s.m.request_len = AUTHENTICATOR_REQUEST_MAX + 1;
	expect_refusal("verify.request");
	s.m.request_len = UINT32_MAX;
	s.m.message_len = (uint32_t)s.message.n + request + 1;
	expect_refusal("verify.request");
	s.m.request_len = request;
	s.m.message_len = UINT32_MAX;
	expect_refusal("verify.request");
	s.m.message_len = (uint32_t)s.message.n;
	s.m.keys.hash_len = 49;
	expect_refusal("verify.request");
	s.m.keys.hash_len = 32;
	memset(s.m.keys.digest, 'A', sizeof(s.m.keys.digest));
	expect_refusal("verify.request");
}

static void test_peer_tampers(void **state)
{
	(void)state;
	s.message.p[s.message.n - 1] ^= 1;
	expect_refusal("auth.finished");
	s.message.p[s.message.n - 1] ^= 1;
	s.message.p[0] ^= 1;
	expect_refusal("auth.format");
}

static void test_no_wrapper(void **state)
{
	(void)state;
	make_message(bytes_str("no collection"));
	expect_refusal("cmw.format");
}

/* Right authenticator, but the evidence was made for another connection. */
static void test_evidence_of_another_connection(void **state)
{
	struct buf cmw = buf_make(1 << 16);

	(void)state;
	assert_int_equal(cmw_build(&s.cmw, &cmw), 0);
	make_keys(&s.m.keys, 0x80);
	make_message(buf_view(&cmw));
	expect_refusal("snp.report-data");
	/* The same connection, another nonce: what a replay would be. */
	make_keys(&s.m.keys, 0x70);
	memset(s.m.context, 0xc1, sizeof(s.m.context));
	make_message(buf_view(&cmw));
	expect_refusal("snp.report-data");
	/* Its proof was good, but a refused peer moves no head. */
	assert_int_equal(v.head.step, HEAD_FIRST);
	memset(s.m.context, 0xc0, sizeof(s.m.context));
	make_message(buf_view(&cmw));
	passes(HEAD_FIRST);
	buf_free(&cmw);
}

static void test_fork_brings_the_note(void **state)
{
	struct checkpoint other = head_of(LEAVES);

	(void)state;
	other.root.v[0] ^= 1;
	give_head(&other, true);
	expect_refusal("ledger.fork");
	assert_int_equal(v.head.step, HEAD_REFUSE);
	assert_string_equal(v.head.cp.origin, LOG_NAME);
	expect_note(buf_view(&s.note));
}

static void test_rollback(void **state)
{
	struct checkpoint newer = head_of(LEAVES);

	(void)state;
	newer.size++;
	give_head(&newer, true);
	expect_refusal("ledger.rollback");
	expect_note(buf_view(&s.note)); /* so that it can be proved */
}

static void test_a_refused_peer_moves_no_head(void **state)
{
	(void)state;
	s.message.p[s.message.n - 1] ^= 1;
	expect_refusal("auth.finished");
	s.message.p[s.message.n - 1] ^= 1;
	passes(HEAD_FIRST);
}

/* ---------------------------------------------------------------------- advancing */

static void advance(struct msg_advance *m, struct bytes note)
{
	int fd = file_memfd("note", note);

	assert_true(fd >= 0);
	m->generation = 1;
	m->at = SIM_AT;
	assert_int_equal(msg_send(w.sock, MSG_ADVANCE, 0, m, fd), 0);
	close(fd);
	memcpy(&v, receive(MSG_VERDICT, 0), sizeof(v));
	assert_int_equal(v.verdict.sealed, VERDICT_SEALED);
}

static void test_ahead_then_proved(void **state)
{
	struct checkpoint old = head_of(2);
	struct msg_advance m = {.proof_n = 0};
	size_t n;

	(void)state;
	give_head(&old, true);
	passes(HEAD_AHEAD);
	expect_note(buf_view(&s.note));
	passes(HEAD_AHEAD); /* nothing moved by itself */
	assert_int_equal(ledger_prove_consistency(tree_node, NULL, 2, LEAVES, m.proof, &n), 0);
	m.proof_n = (uint32_t)n;
	m.from_root = old.root;
	advance(&m, buf_view(&s.note));
	assert_true(verdict_passed(&v.verdict, SIM_AT));
	assert_int_equal(v.head.step, HEAD_ADVANCE);
	assert_int_equal(v.head.cp.size, LEAVES);
	expect_note(buf_view(&s.note));
	passes(HEAD_SAME);
}

static void test_advance_refused(void **state)
{
	struct checkpoint old = head_of(2), forked;
	struct msg_advance m = {.proof_n = 0};
	size_t n;

	(void)state;
	give_head(&old, true);
	assert_int_equal(ledger_prove_consistency(tree_node, NULL, 2, LEAVES, m.proof, &n), 0);
	m.proof_n = (uint32_t)n;
	m.from_root = old.root;
	/* What leads nowhere is no proof of anything ... */
	m.proof[0].v[0] ^= 1;
	advance(&m, buf_view(&s.note));
	assert_int_equal(checks_find(&v.verdict.checks, "ledger.consistency")->status,
	                 CHECK_UNAVAILABLE);
	assert_null(checks_find(&v.verdict.checks, "ledger.fork"));
	m.proof[0].v[0] ^= 1;
	/* ... but a signed tree that has another beginning than the one that was seen is a fork. */
	forked = old;
	forked.root.v[0] ^= 1;
	give_head(&forked, true);
	advance(&m, buf_view(&s.note));
	assert_int_equal(checks_find(&v.verdict.checks, "ledger.fork")->status, CHECK_FAIL);
	expect_note(buf_view(&s.note));
	give_head(&old, true);
	/* Another ledger, another note. */
	m.ledger = 1;
	advance(&m, buf_view(&s.note));
	assert_int_equal(checks_first(&v.verdict.checks, CHECK_FAIL)->id[0], 'p');
	m.ledger = 0;
	advance(&m, bytes_str("no note"));
	assert_string_equal(checks_first(&v.verdict.checks, CHECK_FAIL)->id, "ledger.format");
	/* None of it moved the head. */
	passes(HEAD_AHEAD);
}

/* A smaller head is refused until it is proved, and then passes for good. */
static void test_behind_then_proved(void **state)
{
	struct checkpoint newer = head_of(LEAVES + 1);
	struct msg_advance m = {.from_root = head_of(LEAVES).root};
	size_t n;

	(void)state;
	give_head(&newer, true);
	expect_refusal("ledger.rollback");
	assert_int_equal(ledger_prove_consistency(tree_node, NULL, LEAVES, LEAVES + 1, m.proof, &n),
	                 0);
	m.proof_n = (uint32_t)n;
	advance(&m, buf_view(&s.note));
	assert_true(verdict_passed(&v.verdict, SIM_AT));
	assert_int_equal(v.head.step, HEAD_BEHIND);
	passes(HEAD_BEHIND);
	/* gate says what is on disk: then this is what holds. */
	give_head(&newer, true);
	expect_refusal("ledger.rollback");
}

/* What is fetched is looked at first: which head it is, under the same rules as a peer's. */
static void test_look(void **state)
{
	struct checkpoint old = head_of(2), newer = head_of(LEAVES + 1), other = head_of(LEAVES);
	struct msg_advance m = {.look = 1};

	(void)state;
	other.root.v[0] ^= 1;
	give_head(&old, true);
	advance(&m, buf_view(&s.note));
	assert_int_equal(v.head.step, HEAD_AHEAD);
	assert_int_equal(v.head.cp.size, LEAVES);
	give_head(&newer, true);
	advance(&m, buf_view(&s.note));
	assert_int_equal(checks_find(&v.verdict.checks, "ledger.rollback")->status, CHECK_FAIL);
	give_head(&other, true);
	advance(&m, buf_view(&s.note));
	assert_int_equal(checks_find(&v.verdict.checks, "ledger.fork")->status, CHECK_FAIL);
	give_head(&old, false);
	advance(&m, buf_view(&s.note));
	assert_int_equal(v.head.step, HEAD_FIRST);
	passes(HEAD_SAME);
}

/* A witness's head needs no quorum, and moves nothing. */
static void test_compare(void **state)
{
	struct checkpoint old = head_of(2);
	struct msg_advance m = {.look = 1};
	struct bytes all = buf_view(&s.note), alone = all;

	(void)state;
	/* Without its last lines: the log's signature only. */
	alone.n = (size_t)((uint8_t *)memmem(all.p, all.n, "\n\n", 2) - all.p) + 2;
	alone.n += (size_t)((uint8_t *)memchr(all.p + alone.n, '\n', all.n - alone.n) -
	                    (all.p + alone.n)) +
	           1;
	advance(&m, alone);
	assert_string_equal(checks_first(&v.verdict.checks, CHECK_FAIL)->id, "ledger.quorum");
	m.compare = 1;
	advance(&m, alone);
	assert_true(verdict_passed(&v.verdict, SIM_AT));
	assert_int_equal(v.head.step, HEAD_FIRST);
	passes(HEAD_FIRST); /* nothing is known by it */
	give_head(&old, true);
	advance(&m, alone);
	assert_int_equal(v.head.step, HEAD_AHEAD);
	old = head_of(LEAVES);
	old.root.v[0] ^= 1;
	give_head(&old, true);
	advance(&m, alone);
	assert_int_equal(checks_find(&v.verdict.checks, "ledger.fork")->status, CHECK_FAIL);
	advance(&m, bytes_str("no note"));
	assert_string_equal(checks_first(&v.verdict.checks, CHECK_FAIL)->id, "ledger.format");
}

/* ------------------------------------------------------------- proofs that gate has */

/* The peer staples nothing. */
static void staples_nothing(void)
{
	struct buf cmw = buf_make(1 << 16);

	s.m.destination = DESTINATION_LEAF;
	s.cmw.leaf = s.cmw.proof = BYTES_NONE;
	assert_int_equal(cmw_build(&s.cmw, &cmw), 0);
	make_message(buf_view(&cmw));
	buf_free(&cmw);
}

static void give_proof(const char *origin, const struct hash *leaf, struct bytes proof)
{
	struct msg_proof m = {.leaf = *leaf};
	int fd = file_memfd("proof", proof);

	snprintf(m.origin, sizeof(m.origin), "%s", origin);
	assert_int_equal(msg_send(w.sock, MSG_PROOF, 0, &m, fd), 0);
	close(fd);
}

static void test_proof_for_who_staples_none(void **state)
{
	const struct hash *leaf = &w.leaves[INDEX];

	(void)state;
	staples_nothing();
	expect_refusal("policy.ledger");
	assert_int_equal(v.verdict.overall, CHECK_UNAVAILABLE);
	give_proof(LOG_NAME, leaf, buf_view(&s.proof));
	appraise();
	assert_true(verdict_passed(&v.verdict, SIM_AT));
	assert_int_equal(v.head.step, HEAD_FIRST);
}

static void test_proof_of_another_leaf(void **state)
{
	(void)state;
	staples_nothing();
	give_proof(LOG_NAME, &w.leaves[0], buf_view(&s.proof));
	expect_refusal("policy.ledger");
}

static void test_proof_of_another_log(void **state)
{
	(void)state;
	staples_nothing();
	give_proof(LOG_NAME "/other", &w.leaves[INDEX], buf_view(&s.proof));
	expect_refusal("policy.ledger");
}

/* It is judged like one that a peer sent, and a newer one takes its place. */
static void test_proof_in_place_of_another(void **state)
{
	const struct hash *leaf = &w.leaves[INDEX];
	struct buf large = buf_make(TLOG_PROOF_MAX + 1);

	(void)state;
	staples_nothing();
	give_proof(LOG_NAME, leaf, bytes_str("no proof"));
	expect_refusal("ledger.proof-format");
	give_proof(LOG_NAME, leaf, buf_view(&s.proof));
	appraise();
	assert_true(verdict_passed(&v.verdict, SIM_AT));
	/* One that is too large is as if it had not come. */
	while (large.n <= TLOG_PROOF_MAX)
		buf_u8(&large, 'x');
	give_proof(LOG_NAME, leaf, buf_view(&large));
	appraise();
	assert_true(verdict_passed(&v.verdict, SIM_AT));
	buf_free(&large);
}

static void test_proof_without_an_origin_ends_it(void **state)
{
	struct msg_proof m = {.leaf = w.leaves[INDEX]};
	int fd = file_memfd("proof", buf_view(&s.proof));

	(void)state;
	memset(m.origin, 'x', sizeof(m.origin));
	assert_int_equal(msg_send(w.sock, MSG_PROOF, 0, &m, fd), 0);
	close(fd);
	join(1);
}

/* ------------------------------------------------------------------------- watch */

/* The second bundle of a log whose entries are "0", "1" and so on; one of them is "known". */
static struct {
	struct buf bundle;
	struct hash leaf[TILE_WIDTH + 20];
	struct msg_watch m;
} tail;

static int tail_node(void *ctx, unsigned level, uint64_t index, struct hash *out)
{
	struct hash a, b;

	if (!level) {
		*out = tail.leaf[index];
		return 0;
	}
	tail_node(ctx, level - 1, 2 * index, &a);
	tail_node(ctx, level - 1, 2 * index + 1, &b);
	ledger_node_hash(&a, &b, out);
	return 0;
}

static void make_tail(uint64_t size, uint64_t known)
{
	size_t n;

	tail.bundle = buf_make(1 << 16);
	tail.m = (struct msg_watch){.generation = 1, .n = 1, .size = size, .from = TILE_WIDTH};
	for (uint64_t i = 0; i < size; i++) {
		char text[16] = "known";

		if (i != known)
			snprintf(text, sizeof(text), "%u", (unsigned)i);
		ledger_leaf_hash(bytes_str(text), &tail.leaf[i]);
		if (i < TILE_WIDTH)
			continue;
		buf_be16(&tail.bundle, (uint16_t)strlen(text));
		buf_str(&tail.bundle, text);
	}
	assert_int_equal(ledger_root(tail_node, NULL, size, &tail.m.root), 0);
	assert_int_equal(
	        ledger_prove_subtree(tail_node, NULL, TILE_WIDTH, size, size, tail.m.proof, &n), 0);
	tail.m.proof_n = (uint32_t)n;
}

static const struct msg_watched *watched(void)
{
	static uint64_t request = 8000;
	int fd = file_memfd("entries", buf_view(&tail.bundle));

	assert_int_equal(msg_send(w.sock, MSG_WATCH, ++request, &tail.m, fd), 0);
	close(fd);
	return receive(MSG_WATCHED, request);
}

static void test_watched_entries(void **state)
{
	const struct msg_watched *got;

	(void)state;
	make_tail(TILE_WIDTH + 4, TILE_WIDTH + 1);
	got = watched();
	assert_int_equal(got->err, 0);
	assert_int_equal(got->n, 3);
	assert_int_equal(got->upto, TILE_WIDTH + 4);
	assert_int_equal(got->alert[0].index, TILE_WIDTH);
	assert_int_equal(got->alert[1].index, TILE_WIDTH + 2);
	assert_string_equal(got->alert[0].code, "ledger.unreadable");
	assert_memory_equal(&got->alert[0].leaf, &tail.leaf[TILE_WIDTH], HASH_LEN);
	/* From where it is asked to. */
	tail.m.from = TILE_WIDTH + 3;
	assert_int_equal(watched()->n, 1);
	buf_free(&tail.bundle);
}

static void test_more_alerts_than_room(void **state)
{
	const struct msg_watched *got;

	(void)state;
	make_tail(TILE_WIDTH + 20, TILE_WIDTH);
	got = watched();
	assert_int_equal(got->n, WATCHED_MAX);
	assert_int_equal(got->upto, TILE_WIDTH + 1 + WATCHED_MAX);
	buf_free(&tail.bundle);
}

static void test_entries_of_another_tree(void **state)
{
	(void)state;
	make_tail(TILE_WIDTH + 4, 0);
	tail.bundle.p[2] ^= 1;
	assert_int_equal(watched()->err, -EBADMSG);
	tail.bundle.p[2] ^= 1;
	tail.m.root.v[0] ^= 1;
	assert_int_equal(watched()->err, -EBADMSG);
	tail.m.root.v[0] ^= 1;
	tail.bundle.n--;
	assert_int_equal(watched()->err, -EBADMSG);
	tail.bundle.n++;
	assert_int_equal(watched()->err, 0);
	/* Another policy, or none of its ledgers. */
	tail.m.generation = 2;
	assert_int_equal(watched()->err, -ESTALE);
	tail.m.generation = 1;
	tail.m.ledger = 1;
	assert_int_equal(watched()->err, -ESTALE);
	buf_free(&tail.bundle);
}

static void watch_ends_it(const struct msg_watch *m)
{
	int fd = file_memfd("entries", bytes_str("x"));

	assert_int_equal(msg_send(w.sock, MSG_WATCH, 1, m, fd), 0);
	close(fd);
	join(1);
}

static void test_a_watch_with_too_long_a_proof_ends_it(void **state)
{
	(void)state;
	watch_ends_it(&(struct msg_watch){.size = 5, .proof_n = PATH_MAX_HASHES + 1});
}

static void test_a_watch_of_no_bundle_ends_it(void **state)
{
	(void)state;
	watch_ends_it(&(struct msg_watch){.size = 5, .n = 1, .from = 256});
}

static void test_a_watch_before_the_bundle_ends_it(void **state)
{
	(void)state;
	watch_ends_it(&(struct msg_watch){.size = 600, .n = 1, .from = 255});
}

static void test_a_watch_behind_the_tree_ends_it(void **state)
{
	(void)state;
	watch_ends_it(&(struct msg_watch){.size = 5, .from = 5});
}

/* ----------------------------------------------------------------------- protocol */

/* A session that asks for a lease and is granted one, by what it says on the wire and to gate. */
static void ask_lease(uint32_t destination, bool asks, bool asked, uint32_t granted)
{
	struct buf cmw = buf_make(1 << 16);

	s.m.destination = destination;
	s.m.lease_asked = asked;
	s.asks = asks;
	s.cmw.lease_s = granted;
	assert_int_equal(cmw_build(&s.cmw, &cmw), 0);
	make_message(buf_view(&cmw));
	buf_free(&cmw);
}

static void test_lease_has_a_verdict_of_its_own(void **state)
{
	static const struct verdict none;

	(void)state;
	ask_lease(DESTINATION_LEASE, true, true, 900);
	appraise();
	if (!verdict_passed(&v.verdict, SIM_AT))
		dump();
	assert_true(verdict_passed(&v.verdict, SIM_AT));
	assert_string_equal(v.verdict.binder, "connection");
	assert_null(checks_find(&v.verdict.checks, "lease.attested"));
	assert_int_equal(v.lease_s, 900);
	assert_true(verdict_passed(&v.lease, SIM_AT));
	assert_string_equal(v.lease.binder, "lease");
	assert_string_equal(v.lease.requirement, "l");
	assert_non_null(checks_find(&v.lease.checks, "lease.attested"));
	assert_int_equal(v.lease.loosenings, v.verdict.loosenings + 1);
	assert_int_equal(v.lease.valid_until, v.verdict.valid_until);

	/* Not granted. */
	ask_lease(DESTINATION_LEASE, true, true, 0);
	appraise();
	assert_true(verdict_passed(&v.verdict, SIM_AT));
	assert_int_equal(v.lease_s, 0);
	assert_memory_equal(&v.lease, &none, sizeof(none));

	/* A destination that takes none. */
	ask_lease(0, true, true, 900);
	appraise();
	assert_true(verdict_passed(&v.verdict, SIM_AT));
	assert_int_equal(v.lease_s, 0);
	assert_memory_equal(&v.lease, &none, sizeof(none));
}

static void test_lease_of_a_refused_peer(void **state)
{
	(void)state;
	ask_lease(DESTINATION_LEASE, true, true, 900);
	s.message.p[s.message.n - 1] ^= 1;
	expect_refusal("auth.finished");
	assert_int_equal(v.lease_s, 0);
}

/* Who asked for one is gate's to say. */
static void test_lease_that_gate_did_not_ask_for(void **state)
{
	(void)state;
	ask_lease(DESTINATION_LEASE, true, false, 900);
	appraise();
	assert_false(verdict_passed(&v.verdict, SIM_AT));
	assert_int_equal(v.lease_s, 0);
	ask_lease(DESTINATION_LEASE, false, true, 0);
	appraise();
	assert_false(verdict_passed(&v.verdict, SIM_AT));
	ask_lease(DESTINATION_LEASE, false, false, 900);
	expect_refusal("cmw.format");
	assert_int_equal(v.lease_s, 0);
}

/* A document over this key and the nonce (none: of the second version), as a server sends it. */
static void make_document(bool nonce)
{
	const struct bytes endorsements[] = {der_view(&w.sim.vek), der_view(&w.sim.ask)};
	const struct bytes n = {s.m.context, nonce ? sizeof(s.m.context) : 0};
	struct buf document = buf_make(1 << 18);
	struct bytes leaf = der_view(&w.leaf_cert);
	uint8_t *spki = NULL, key[32];
	int len = i2d_PUBKEY(w.key, &spki);

	assert_true(len > 0);
	EVP_Digest(spki, (size_t)len, key, NULL, EVP_sha256(), NULL);
	OPENSSL_free(spki);
	assert_int_equal(wellknown_binding(key, n, s.report + SNP_OFF_REPORT_DATA), 0);
	sim_sign(s.report, sim_keys()->vek);
	assert_int_equal(
	        wellknown_build(key, n, TEE_SNP, BYTES_OF(s.report), endorsements, 2, &document),
	        0);
	buf_free(&s.message);
	s.message = buf_make(1 << 18);
	buf_printf(&s.message,
	           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	           "Content-Length: %zu\r\n\r\n",
	           document.n);
	buf_bytes(&s.message, buf_view(&document));
	buf_free(&document);
	buf_reset(&s.request);
	s.m.request_len = 0;
	s.m.message_len = (uint32_t)s.message.n;
	s.m.leaf_len = (uint32_t)leaf.n;
	buf_bytes(&s.message, leaf);
	s.m.transport = TRANSPORT_WELL_KNOWN;
	s.m.destination = DESTINATION_KEY;
}

/* By key the peer grants nothing: it is as long as the policy says, if gate asked. */
static void test_lease_by_key(void **state)
{
	(void)state;
	make_document(true);
	s.m.lease_asked = true;
	appraise();
	if (!verdict_passed(&v.verdict, SIM_AT))
		dump();
	assert_true(verdict_passed(&v.verdict, SIM_AT));
	assert_string_equal(v.verdict.binder, "nonce");
	assert_int_equal(v.lease_s, 1200);
	assert_true(verdict_passed(&v.lease, SIM_AT));
	assert_string_equal(v.lease.binder, "lease-key");
	s.m.lease_asked = false;
	appraise();
	assert_true(verdict_passed(&v.verdict, SIM_AT));
	assert_int_equal(v.lease_s, 0);
	make_document(false);
	s.m.lease_asked = true;
	appraise();
	assert_string_equal(checks_first(&v.verdict.checks, CHECK_FAIL)->id, "policy.binder");
	assert_int_equal(v.lease_s, 0);
}

static void test_it_says_that_it_is_alive(void **state)
{
	(void)state;
	assert_int_equal(msg_send(w.sock, MSG_PING, 0, NULL, -1), 0);
	receive(MSG_PONG, 0);
}

static void test_strange_messages_end_it(void **state)
{
	const struct msg_live live = {.until = 1};

	(void)state;
	assert_int_equal(msg_send(w.sock, MSG_LIVE, 1, &live, -1), 0);
	join(1);
}

static void test_too_long_a_proof_ends_it(void **state)
{
	struct msg_advance m = {.proof_n = PATH_MAX_HASHES + 1};
	int fd = file_memfd("note", bytes_str("x"));

	(void)state;
	assert_int_equal(msg_send(w.sock, MSG_ADVANCE, 0, &m, fd), 0);
	close(fd);
	join(1);
}

static void test_gate_gone_ends_it(void **state)
{
	(void)state;
	shutdown(w.sock, SHUT_RDWR);
	join(0);
}

/* ------------------------------------------------------------------ collateral */

static uint32_t known;

static int32_t show(enum collateral_vendor vendor, const char *path, struct bytes piece)
{
	static uint64_t request = 5000;
	struct msg_collateral m = {.name = {.vendor = vendor}};
	const struct msg_collateral_done *done;
	int fd = file_memfd("piece", piece);

	snprintf(m.name.path, sizeof(m.name.path), "%s", path);
	assert_int_equal(msg_send(w.sock, MSG_COLLATERAL, ++request, &m, fd), 0);
	close(fd);
	done = receive(MSG_COLLATERAL_DONE, request);
	known = done->known;
	return done->err;
}

/* What the peer did not send is asked for by name; once it was shown, the peer passes. */
static void test_fetched_collateral_counts(void **state)
{
	struct bytes ask = BYTES_NONE;
	struct buf cmw = buf_make(1 << 16);

	(void)state;
	/* The last endorsement is the intermediate. */
	ask = s.cmw.endorsements[--s.cmw.endorsements_n];
	assert_int_equal(cmw_build(&s.cmw, &cmw), 0);
	make_message(buf_view(&cmw));
	appraise();
	assert_int_equal(v.verdict.overall, CHECK_UNAVAILABLE);
	assert_int_equal(v.wants.n, 1);
	assert_int_equal(v.wants.v[0].vendor, VENDOR_AMD);
	assert_string_equal(v.wants.v[0].path, "vcek/v1/Milan/cert_chain");
	/* Not what it was fetched as, or nothing at all. */
	assert_int_equal(show(VENDOR_AMD, "vcek/v1/Genoa/cert_chain", ask), -EINVAL);
	assert_int_equal(show(VENDOR_INTEL, "vcek/v1/Milan/cert_chain", ask), -EINVAL);
	assert_int_equal(show(VENDOR_AMD, "vcek/v1/Milan/cert_chain", bytes_str("nothing")),
	                 -EINVAL);
	appraise();
	assert_int_equal(v.verdict.overall, CHECK_UNAVAILABLE);
	assert_int_equal(show(VENDOR_AMD, "vcek/v1/Milan/cert_chain", ask), 0);
	assert_false(known);
	assert_int_equal(show(VENDOR_AMD, "vcek/v1/Milan/cert_chain", ask), 0);
	assert_true(known); /* twice does no harm, and is no news */
	appraise();
	assert_true(verdict_passed(&v.verdict, SIM_AT));
	assert_int_equal(v.wants.n, 0);
	buf_free(&cmw);
}

/* -------------------------------------------------------------------- rechecks */

static struct msg_rechecked recheck(struct msg_recheck *m, struct bytes wrapper)
{
	static uint64_t id = 9000;
	int fd = file_memfd("shown", wrapper);

	m->at = SIM_AT;
	m->shown = shown.m;
	assert_int_equal(msg_send(w.sock, MSG_RECHECK, ++id, m, fd), 0);
	close(fd);
	return *(const struct msg_rechecked *)receive(MSG_RECHECKED, id);
}

/* What passed once is refused when a newer list revokes one of its certificates. */
static void test_judged_again(void **state)
{
	struct msg_recheck m = {.generation = 1};
	struct msg_rechecked r;
	struct bytes wrapper;
	struct der newer;
	struct cmw cmw;

	(void)state;
	passes(HEAD_FIRST);
	assert_true(shown.n > SNP_REPORT_LEN);
	wrapper = (struct bytes){shown.wrapper, shown.n};
	/* The ledger has nothing to do with it. */
	assert_int_equal(cmw_parse(wrapper, false, &cmw), 0);
	assert_int_equal(cmw.leaf.n + cmw.proof.n, 0);
	r = recheck(&m, wrapper);
	assert_int_equal(r.result, CHECK_PASS);
	assert_string_equal(r.code, "");
	/* Not the policy that verify has; no wrapper: not judged. */
	m.generation = 2;
	assert_int_equal(recheck(&m, wrapper).result, CHECK_UNAVAILABLE);
	m.generation = 1;
	r = recheck(&m, bytes_str("no wrapper"));
	assert_int_equal(r.result, CHECK_UNAVAILABLE);
	assert_string_equal(r.code, "verify.internal");
	/* The evidence of another connection would not do. */
	shown.m.report_data[5] ^= 1;
	assert_string_equal(recheck(&m, wrapper).code, "snp.report-data");
	shown.m.report_data[5] ^= 1;
	sim_crl("ARK-Milan", sim_keys()->ark, SIM_BEGIN + 60, SIM_END, SERIAL_ASK, &newer);
	assert_int_equal(show(VENDOR_AMD, "vcek/v1/Milan/crl", der_view(&newer)), 0);
	r = recheck(&m, wrapper);
	assert_int_equal(r.result, CHECK_FAIL);
	assert_string_equal(r.code, "snp.revocation");
}

/* Of what did not pass nothing is kept. */
static void test_only_a_pass_is_shown(void **state)
{
	(void)state;
	s.m.context[0] ^= 1;
	appraise();
	assert_false(verdict_passed(&v.verdict, SIM_AT));
	assert_int_equal(shown.n, 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(test_passes_and_remembers),
	        T(test_it_says_that_it_is_alive),
	        T(test_only_the_policy_in_force),
	        T(test_a_bad_bundle_changes_nothing),
	        T(test_relay_lies_about_the_request),
	        T(test_the_transport_is_gates),
	        T(test_relay_lies_about_lengths),
	        T(test_peer_tampers),
	        T(test_no_wrapper),
	        T(test_evidence_of_another_connection),
	        T(test_fork_brings_the_note),
	        T(test_rollback),
	        T(test_a_refused_peer_moves_no_head),
	        T(test_ahead_then_proved),
	        T(test_advance_refused),
	        T(test_behind_then_proved),
	        T(test_look),
	        T(test_compare),
	        T(test_fetched_collateral_counts),
	        T(test_lease_has_a_verdict_of_its_own),
	        T(test_lease_of_a_refused_peer),
	        T(test_lease_that_gate_did_not_ask_for),
	        T(test_lease_by_key),
	        T(test_proof_for_who_staples_none),
	        T(test_proof_of_another_leaf),
	        T(test_proof_of_another_log),
	        T(test_proof_in_place_of_another),
	        T(test_proof_without_an_origin_ends_it),
	        T(test_watched_entries),
	        T(test_more_alerts_than_room),
	        T(test_entries_of_another_tree),
	        T(test_a_watch_with_too_long_a_proof_ends_it),
	        T(test_a_watch_of_no_bundle_ends_it),
	        T(test_a_watch_before_the_bundle_ends_it),
	        T(test_a_watch_behind_the_tree_ends_it),
	        T(test_judged_again),
	        T(test_only_a_pass_is_shown),
	        T(test_strange_messages_end_it),
	        T(test_too_long_a_proof_ends_it),
	        T(test_gate_gone_ends_it),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
