/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases on gate's side, with the kernel half, the keyring, relay and verify played here: that one
 * is attested and the others wait, what opens a connection without evidence, and all that ends the
 * right to it.
 */
#include "daemon_gate.h"

enum { LEASE = 900, GRANTED = 600 };

static const char with_leases[] = GATE("binder = lease\nlease = 10m\n");
static const char by_key[] = GATE("transport = well-known\nbinder = lease-key\n");

/* ------------------------------------------------------------- keys that are told apart */

enum { KEYS_MAX = 64 };

static struct {
	int32_t next;
	struct {
		int32_t serial;
		char desc[KEYRING_DESC_MAX];
		uint8_t payload[96];
		size_t n;
		uint32_t timeout;
		int error; /* of everything that is asked of it */
		bool revoked, unlinked;
	} v[KEYS_MAX];
	size_t n;
	int ring_error;
	int no_room; /* errno of add_key for leases */
} keys;

static int find_key(unsigned long serial)
{
	for (size_t i = 0; i < keys.n; i++) {
		if ((unsigned long)keys.v[i].serial == serial)
			return (int)i;
	}
	return -1;
}

static int32_t add(const char *type, const char *desc, const void *p, size_t n, int32_t r)
{
	if (!strcmp(type, "keyring"))
		return RING;
	assert_int_equal(r, RING);
	if (keys.no_room && strstr(desc, ":lease:")) {
		errno = keys.no_room;
		return -1;
	}
	assert_true(keys.n < KEYS_MAX && n <= sizeof(keys.v[0].payload));
	for (size_t i = 0; i < keys.n; i++)
		assert_string_not_equal(keys.v[i].desc, desc);
	keys.v[keys.n].serial = LEASE + keys.next++;
	keys.v[keys.n].n = n;
	strcpy(keys.v[keys.n].desc, desc);
	memcpy(keys.v[keys.n].payload, p, n);
	return keys.v[keys.n++].serial;
}

static long ctl(int cmd, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	int at = find_key(a);

	(void)d;
	if (cmd == KEYCTL_SEARCH)
		return RING;
	if (a == RING) {
		errno = keys.ring_error;
		return keys.ring_error ? -1 : 0;
	}
	if (at < 0)
		return 0;
	switch (cmd) {
	case KEYCTL_SET_TIMEOUT:
		keys.v[at].timeout = (uint32_t)b;
		return 0;
	case KEYCTL_REVOKE:
		keys.v[at].revoked = true;
		keys.v[at].error = EKEYREVOKED;
		return 0;
	case KEYCTL_UNLINK:
		keys.v[at].unlinked = true;
		return 0;
	case KEYCTL_READ:
		assert_true(c >= keys.v[at].n);
		memcpy((void *)b, keys.v[at].payload, keys.v[at].n); // NOLINT
		errno = keys.v[at].error;
		return keys.v[at].error ? -1 : (long)keys.v[at].n;
	default:
		errno = keys.v[at].error;
		return keys.v[at].error ? -1 : 0;
	}
}

static int64_t left(int32_t serial)
{
	(void)serial;
	return 600;
}

static const struct keyring_syscalls told_apart = {fake_setsockopt, fake_getsockopt, add, ctl,
                                                   left};

static int leases_setup(void **state)
{
	int ret = setup(state);

	memset(&keys, 0, sizeof(keys));
	keyring_set_syscalls(&told_apart);
	policy_set_free(&g->now);
	put_policy(&g->now, with_leases, 1);
	return ret;
}

/* ---------------------------------------------------------------------- messages */

static void expect_silence(int sock)
{
	char b[64];

	assert_int_equal(recv(sock, b, sizeof(b), MSG_DONTWAIT | MSG_PEEK), -1);
}

static void from_relay(enum msg_type type, uint64_t id, int fd)
{
	const struct msg_head head = {.type = type, .session = id};

	flow_from_relay(g, &head, fd);
}

static void accepted(uint64_t id)
{
	memset(g->in, 0, sizeof(*g->in));
	from_relay(MSG_ACCEPTED, id, -1);
}

static const struct msg_connect *connected(void)
{
	const struct msg_connect *m = sent(relay, MSG_CONNECT);

	/* No secret stays where it was made. */
	assert_true(bytes_all_zero((const uint8_t *)g->connect, sizeof(*g->connect)));
	return m;
}

static struct session *session_of(uint64_t id)
{
	struct session *s = session_find(&g->sessions, id);

	assert_non_null(s);
	return s;
}

static void expect_state(uint64_t id, enum session_state state)
{
	assert_int_equal(session_of(id)->state, state);
}

/* A session that is attested, and what it asked for. */
static void leads(uint64_t id)
{
	accepted(id);
	assert_true(connected()->lease_asked);
}

static void appraise(uint64_t id)
{
	int fd = file_memfd("x", bytes_str("x"));
	const struct msg_appraise *m;

	memset(g->in, 0, sizeof(*g->in));
	from_relay(MSG_APPRAISE, id, fd);
	close(fd);
	m = sent(verify, MSG_APPRAISE);
	assert_int_equal(m->lease_asked, session_of(id)->lease_asked);
}

static void seal(struct verdict *v, const char *binder, const char *id, bool pass)
{
	check_add(&v->checks, id, pass ? CHECK_PASS : CHECK_FAIL, "as told");
	memcpy(v->binder, binder, strlen(binder) + 1);
	verdict_limit(v, gate_now() + 1000);
	verdict_seal(v);
}

static struct msg_verdict verdict_of(uint64_t id, bool pass, uint32_t lease_s)
{
	struct msg_verdict m = {.head = {.step = g->state.n ? HEAD_SAME : HEAD_FIRST},
	                        .lease_s = lease_s};

	verdict_init(&m.verdict, "d", session_of(id)->at);
	seal(&m.verdict, "connection", "snp.signature", pass);
	if (lease_s) {
		verdict_init(&m.lease, "d", session_of(id)->at);
		seal(&m.lease, "lease", "lease.attested", true);
	}
	strcpy(m.head.cp.origin, LOG_NAME);
	m.head.cp.size = 5;
	return m;
}

static void judge(uint64_t id, const struct msg_verdict *m)
{
	int fd = file_memfd("note", bytes_str("a note"));

	flow_verdict(g, id, m, fd);
	close(fd);
}

static void release(uint64_t id, uint8_t psk)
{
	struct msg_release *m = &g->in->release;

	memset(g->in, 0, sizeof(*g->in));
	m->secrets.suite = SUITE_AES_128_GCM_SHA256;
	m->secrets.len = 32;
	m->secrets.have_client = m->secrets.have_server = true;
	memset(m->secrets.client, 0xc1, 32);
	memset(m->secrets.server, 0x5e, 32);
	if (psk) {
		m->lease.suite = SUITE_AES_128_GCM_SHA256;
		m->lease.psk_len = 32;
		memset(m->lease.psk, psk, 32);
		memset(m->lease.identity, 255 - psk, sizeof(m->lease.identity));
	}
	from_relay(MSG_RELEASE, id, up_fd);
}

/* From APPRAISE to LIVE; granted 0: the peer grants no lease. */
static void goes_live(uint64_t id, uint32_t granted, uint8_t psk)
{
	struct msg_verdict m;

	appraise(id);
	m = verdict_of(id, true, granted);
	judge(id, &m);
	sent(relay, MSG_HANDOVER);
	release(id, psk);
	sent(relay, MSG_LIVE);
	expect_state(id, SESSION_LIVE);
}

static const struct lease *the_lease(void)
{
	return lease_next(&g->leases, NULL);
}

static bool offers(const struct msg_connect *m, uint8_t psk)
{
	uint8_t want[32];

	memset(want, psk, sizeof(want));
	return m->lease_asked && m->offer.psk_len == 32 && !memcmp(m->offer.psk, want, 32) &&
	       m->offer.suite == SUITE_AES_128_GCM_SHA256 && m->offer.identity[0] == 255 - psk;
}

static void resumed(uint64_t id)
{
	memset(g->in, 0, sizeof(*g->in));
	from_relay(MSG_RESUMED, id, -1);
}

static void on_lease(uint64_t id, uint8_t psk)
{
	accepted(id);
	assert_true(offers(connected(), psk));
	resumed(id);
	sent(relay, MSG_HANDOVER);
	release(id, 0);
	sent(relay, MSG_LIVE);
	expect_state(id, SESSION_LIVE);
}

static void closed(uint64_t id, const char *code)
{
	memset(g->in, 0, sizeof(*g->in));
	strcpy(g->in->closed.code, code);
	from_relay(MSG_CLOSED, id, -1);
}

static void expect_refuse(uint64_t id, const char *code)
{
	const struct msg_refuse *m = sent(relay, MSG_REFUSE);

	assert_string_equal(m->code, code);
	expect_state(id, SESSION_CLOSING);
}

static void expect_cut(uint64_t id, const char *code)
{
	const struct msg_cut *m = sent(relay, MSG_CUT);

	assert_string_equal(m->code, code);
	expect_state(id, SESSION_CLOSING);
}

static void change_policy(const char *text)
{
	struct policy_set old = g->now;

	put_policy(&g->now, text, old.generation + 1);
	(void)flow_policy_changed(g, &old, NULL);
	policy_set_free(&old);
}

/* The last event of the audit that ends a lease says why. */
static void expect_why(const char *why)
{
	char path[PATH_MAX], line[8192], last[8192] = "", want[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/audit.jsonl", dir);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, "\"lease-ended\""))
			strcpy(last, line);
	}
	(void)fclose(f);
	snprintf(want, sizeof(want), "\"why\":\"%s\"", why);
	if (!strstr(last, want))
		fail_msg("%s, not %s", last, want);
}

/* ------------------------------------------------------------------------- tests */

static void one_attestation_for_all(void **state)
{
	(void)state;
	leads(1);
	for (uint64_t id = 2; id < 6; id++) {
		accepted(id);
		expect_state(id, SESSION_WAITING);
	}
	expect_silence(relay);
	goes_live(1, GRANTED, 0x11);
	for (uint64_t id = 2; id < 6; id++) {
		assert_true(offers(connected(), 0x11));
		expect_state(id, SESSION_CONNECTING);
	}
	expect_silence(relay);
	expect_silence(verify);
	on_lease(6, 0x11);
	assert_int_equal(g->count.appraised, 1);
	assert_int_equal(g->count.resumed, 1);
	assert_int_equal(the_lease()->held.uses, 1);
	assert_false(g->failed);
}

enum { FIRST = 2, ABREAST = LEASE_ABREAST, LAST = FIRST + ABREAST + 3 };

/* One that is attested; all others that came meanwhile, of which as many go as may. The socket of
 * the first one that goes. */
static int a_herd(void)
{
	int fd = -1;

	leads(1);
	for (uint64_t id = FIRST; id <= LAST; id++)
		accepted(id);
	goes_live(1, GRANTED, 0x11);
	for (uint64_t id = FIRST; id < FIRST + ABREAST; id++) {
		assert_true(offers(connected(), 0x11));
		expect_state(id, SESSION_CONNECTING);
		if (id == FIRST)
			fd = dup(up_fd);
	}
	expect_silence(relay);
	expect_state(FIRST + ABREAST, SESSION_WAITING);
	assert_int_equal(g->sessions.waiting, 4);
	return fd;
}

/* Not more than so many at once; whatever becomes of one, it is the next one's turn. */
static void a_herd_goes_in_turn(void **state)
{
	uint64_t next = FIRST + ABREAST;
	int fd = a_herd();

	(void)state;
	session_of(LAST)->deadline_ns = gate_boot_ns() + 1000000000u;
	resumed(FIRST);
	sent(relay, MSG_HANDOVER);
	expect_silence(relay);
	close(up_fd);
	up_fd = fd;
	release(FIRST, 0);
	sent(relay, MSG_LIVE);
	assert_true(offers(connected(), 0x11));
	expect_state(next++, SESSION_CONNECTING);
	/* The queue moves: nobody in it is too late. */
	assert_true(session_of(LAST)->deadline_ns > gate_boot_ns() + 2000000000u);
	closed(FIRST + 1, "connect.refused");
	assert_true(offers(connected(), 0x11));
	expect_state(next++, SESSION_CONNECTING);
	flow_cut(g, session_of(FIRST + 2), "session.revoked", "");
	expect_cut(FIRST + 2, "session.revoked");
	assert_true(offers(connected(), 0x11));
	expect_state(next++, SESSION_CONNECTING);
	expect_silence(relay);
	/* Who comes now is the last. */
	accepted(LAST + 1);
	expect_state(LAST + 1, SESSION_WAITING);
	expect_state(LAST, SESSION_WAITING);
	assert_int_equal(g->count.appraised, 1);
	assert_false(g->failed);
}

/* Of those who wait when the lease ends, one is attested. */
static void a_lease_that_ends_before_their_turn(void **state)
{
	(void)state;
	close(a_herd());
	leases_end(g, lease_next(&g->leases, NULL), "collateral");
	closed(FIRST, "connect.refused");
	assert_int_equal(connected()->offer.psk_len, 0);
	expect_state(FIRST + ABREAST, SESSION_CONNECTING);
	expect_silence(relay);
	assert_int_equal(g->sessions.waiting, 3);
	/* It fails, and they fail with it. */
	closed(FIRST + ABREAST, "connect.refused");
	for (uint64_t id = FIRST + ABREAST + 1; id <= LAST; id++)
		expect_refuse(id, "connect.refused");
	expect_silence(relay);
	assert_int_equal(g->sessions.waiting, 0);
	assert_false(g->letting_go_on);
}

/* Sockets that can't be made: each is refused, none within another. */
static void a_herd_that_fails_at_once(void **state)
{
	(void)state;
	close(a_herd());
	kernel.mark = -ENOMEM;
	closed(FIRST, "connect.refused");
	for (uint64_t id = FIRST + ABREAST; id <= LAST; id++)
		expect_refuse(id, "gate.socket");
	expect_silence(relay);
	assert_int_equal(g->sessions.waiting, 0);
	kernel.mark = 0;
	closed(FIRST + 1, "connect.refused");
	on_lease(LAST + 1, 0x11);
}

/* The key of the attested handshake in the PSK's place. */
static void by_the_server_key(void **state)
{
	struct msg_verdict m;
	uint8_t key[32];

	(void)state;
	change_policy(by_key);
	leads(1);
	appraise(1);
	m = verdict_of(1, true, GRANTED);
	memset(m.verdict.binder, 0, sizeof(m.verdict.binder));
	memcpy(m.verdict.binder, "nonce", sizeof("nonce"));
	memset(m.lease.binder, 0, sizeof(m.lease.binder));
	memcpy(m.lease.binder, "lease-key", sizeof("lease-key"));
	memset(key, 0x22, sizeof(key));
	hex_encode(BYTES_OF(key), m.verdict.server_key);
	judge(1, &m);
	sent(relay, MSG_HANDOVER);
	release(1, 0x11); /* what relay says is not the key that was attested */
	sent(relay, MSG_LIVE);
	assert_null(the_lease());
	closed(1, "");
	g->leases.place[0].quiet_until_ns = 0;
	leads(2);
	appraise(2);
	judge(2, &m);
	sent(relay, MSG_HANDOVER);
	release(2, 0x22);
	sent(relay, MSG_LIVE);
	assert_non_null(the_lease());
	on_lease(3, 0x22);
	assert_string_equal(session_of(3)->verdict->binder, "lease-key");
	assert_false(g->failed);
}

static void verdict_is_the_one_that_verify_made(void **state)
{
	const struct session *s;
	json_t *r;

	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	assert_string_equal(session_of(1)->verdict->binder, "connection");
	on_lease(2, 0x11);
	s = session_of(2);
	assert_string_equal(s->verdict->binder, "lease");
	assert_non_null(checks_find(&s->verdict->checks, "lease.attested"));
	assert_int_equal(s->verdict->made_at, session_of(1)->verdict->made_at);
	assert_int_equal(s->attested, 1);
	assert_int_equal(s->head.size, 5);
	/* It ends with what it rests on, and no later. */
	assert_true(s->until <= s->verdict->valid_until);
	r = g->record[(g->records - 1) % CONTROL_RECORDS_MAX];
	assert_string_equal(
	        json_string_value(json_object_get(json_object_get(r, "verdict"), "binder")),
	        "lease");
	assert_string_equal(keys.v[0].desc, "keygate:d:192.0.2.7:443:1");
	assert_string_equal(keys.v[1].desc, "keygate:d:192.0.2.7:443:lease:1");
	assert_string_equal(keys.v[2].desc, "keygate:d:192.0.2.7:443:2");
}

/* The shortest of: what the peer grants, the policy's lease, the verdict's end. */
static void the_shortest_end(void **state)
{
	(void)state;
	leads(1);
	goes_live(1, 77, 0x11);
	assert_int_equal(keys.v[1].timeout, 77);
	leases_end_all(g, "collateral");
	leads(2);
	goes_live(2, 86400, 0x12);
	assert_in_range(keys.v[3].timeout, 590, 600);
}

static void none_granted(void **state)
{
	(void)state;
	leads(1);
	accepted(2);
	accepted(3);
	goes_live(1, 0, 0x11);
	assert_null(the_lease());
	for (int i = 0; i < 2; i++) {
		const struct msg_connect *m = connected();

		assert_false(m->lease_asked);
		assert_int_equal(m->offer.psk_len, 0);
	}
	accepted(4);
	assert_false(connected()->lease_asked);
	expect_state(4, SESSION_CONNECTING);
}

static void no_secret_no_lease(void **state)
{
	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0);
	assert_null(the_lease());
	expect_state(1, SESSION_LIVE);
}

static void no_room_in_the_keyring(void **state)
{
	(void)state;
	keys.no_room = EDQUOT;
	leads(1);
	accepted(2);
	goes_live(1, GRANTED, 0x11);
	assert_null(the_lease());
	assert_false(connected()->lease_asked);
	assert_false(g->failed);
}

/* Destinations that demand evidence on each connection, and transports without leases. */
static void where_there_are_none(void **state)
{
	static const char *const texts[] = {
	        GATE("lease = 10m\n"),
	        GATE("binder = lease\ntransport = flashbots\nlease = 10m\n")};

	for (size_t i = 0; i < 2; i++) {
		teardown(state);
		leases_setup(state);
		policy_set_free(&g->now);
		put_policy(&g->now, texts[i], 1);
		accepted(1);
		assert_false(connected()->lease_asked);
		accepted(2);
		assert_false(connected()->lease_asked);
	}
}

/* ---------------------------------------------------------------------- the leader */

static void all_fail_with_the_leader(void **state)
{
	struct msg_verdict m;
	const json_t *r;

	(void)state;
	leads(1);
	accepted(2);
	accepted(3);
	appraise(1);
	m = verdict_of(1, false, 0);
	judge(1, &m);
	expect_cut(1, "snp.signature");
	expect_refuse(2, "snp.signature");
	expect_refuse(3, "snp.signature");
	expect_silence(relay);
	/* Whoever asks what became of the last one sees the checks. */
	r = json_object_get(g->last, "d");
	assert_int_equal(json_integer_value(json_object_get(r, "session")), 3);
	assert_non_null(strstr(json_string_value(json_object_get(r, "detail")),
	                       "session 1 was attested for it"));
	assert_true(json_is_object(json_object_get(r, "verdict")));
	/* Not for ever. */
	leads(4);
}

static void fails_before_the_evidence(void **state)
{
	(void)state;
	leads(1);
	accepted(2);
	closed(1, "connect.refused");
	expect_refuse(2, "connect.refused");
}

/* What is of the leader alone makes another one lead. */
static void the_next_one_leads(void **state)
{
	static const char *const own[] = {"session.app-gone", "session.resources"};

	for (size_t i = 0; i < 2; i++) {
		teardown(state);
		leases_setup(state);
		leads(1);
		accepted(2);
		accepted(3);
		closed(1, own[i]);
		assert_true(connected()->lease_asked);
		expect_state(2, SESSION_CONNECTING);
		expect_state(3, SESSION_WAITING);
		expect_silence(relay);
	}
	flow_cut(g, session_of(2), "session.revoked", "");
	expect_cut(2, "session.revoked");
	assert_true(connected()->lease_asked);
	expect_state(3, SESSION_CONNECTING);
}

static void one_that_waits_leaves(void **state)
{
	(void)state;
	leads(1);
	accepted(2);
	closed(2, "session.app-gone");
	assert_null(session_find(&g->sessions, 2));
	accepted(3);
	session_of(3)->deadline_ns = 1;
	flow_tick(g);
	expect_refuse(3, "gate.timeout");
	goes_live(1, GRANTED, 0x11);
	expect_silence(relay);
	assert_false(g->failed);
}

static void a_waiting_one_says_nothing_else(void **state)
{
	static const enum msg_type types[] = {MSG_APPRAISE, MSG_RESUMED, MSG_RELEASE};

	for (size_t i = 0; i < 3; i++) {
		teardown(state);
		leases_setup(state);
		leads(1);
		accepted(2);
		from_relay(types[i], 2, up_fd);
		assert_true(g->failed);
	}
}

/* ------------------------------------------------------------------ what relay says */

static void resumed_without_an_offer(void **state)
{
	(void)state;
	leads(1);
	resumed(1);
	assert_true(g->failed);
}

static void resumed_twice(void **state)
{
	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	accepted(2);
	connected();
	resumed(2);
	sent(relay, MSG_HANDOVER);
	assert_false(g->failed);
	resumed(2);
	assert_true(g->failed);
}

static void resumed_after_the_evidence(void **state)
{
	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	accepted(2);
	connected();
	appraise(2);
	resumed(2);
	assert_true(g->failed);
}

static void a_lease_that_nobody_asked_for(void **state)
{
	struct msg_verdict m;

	(void)state;
	leads(1);
	goes_live(1, 0, 0);
	accepted(2);
	assert_false(connected()->lease_asked);
	appraise(2);
	m = verdict_of(2, true, GRANTED);
	judge(2, &m);
	assert_true(g->failed);
}

static void a_lease_of_another_destination(void **state)
{
	struct msg_verdict m;

	(void)state;
	leads(1);
	appraise(1);
	m = verdict_of(1, true, GRANTED);
	m.lease.requirement[0] = 'x';
	judge(1, &m);
	assert_true(g->failed);
}

/* The peer has forgotten it: evidence in the same connection, and a lease of its own. */
static void the_peer_does_not_know_it(void **state)
{
	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	accepted(2);
	assert_true(offers(connected(), 0x11));
	appraise(2);
	assert_null(the_lease());
	expect_why("unknown");
	assert_true(keys.v[1].revoked && keys.v[1].unlinked);
	accepted(3);
	expect_state(3, SESSION_WAITING);
	struct msg_verdict m = verdict_of(2, true, GRANTED);

	judge(2, &m);
	sent(relay, MSG_HANDOVER);
	release(2, 0x22);
	sent(relay, MSG_LIVE);
	assert_int_equal(session_of(2)->on_lease, false);
	assert_string_equal(session_of(2)->verdict->binder, "connection");
	assert_true(offers(connected(), 0x22));
	assert_int_equal(the_lease()->held.session, 2);
}

/* --------------------------------------------------------------------------- ends */

static void ended_key_is_not_offered(void **state)
{
	static const struct {
		int error, ring_error;
		const char *why;
	} all[] = {{EKEYREVOKED, 0, "revoked"},
	           {EKEYEXPIRED, 0, "over"},
	           {ENOKEY, 0, "revoked"},
	           {0, EKEYREVOKED, "revoked"},
	           {0, EKEYEXPIRED, "over"}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		teardown(state);
		leases_setup(state);
		leads(1);
		goes_live(1, GRANTED, 0x11);
		keys.v[1].error = all[i].error;
		keys.ring_error = all[i].ring_error;
		/* Nobody has looked since; this one leads, by evidence. */
		accepted(2);
		assert_int_equal(connected()->offer.psk_len, 0);
		assert_true(session_of(2)->lease_asked);
		assert_null(the_lease());
		expect_why(all[i].why);
	}
}

static void seen_by_the_tick(void **state)
{
	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	keys.v[1].error = EKEYREVOKED;
	flow_tick(g);
	assert_null(the_lease());
	expect_why("revoked");
	/* The session has a key of its own. */
	expect_state(1, SESSION_LIVE);
}

/* Between the offer and the release: no key is released on a lease that was revoked. */
static void revoked_while_it_is_taken_up(void **state)
{
	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	accepted(2);
	connected();
	keys.v[1].error = EKEYREVOKED;
	resumed(2);
	expect_cut(2, "session.revoked");

	keys.v[1].error = 0;
	accepted(3);
	connected();
	resumed(3);
	sent(relay, MSG_HANDOVER);
	keys.v[1].error = EKEYEXPIRED;
	release(3, 0);
	expect_cut(3, "session.lease-over");

	keys.v[1].error = 0;
	accepted(4);
	connected();
	accepted(5);
	connected();
	resumed(5);
	sent(relay, MSG_HANDOVER);
	assert_int_equal(leases_revoke(g, 1, ""), 1);
	expect_cut(4, "session.revoked");
	expect_cut(5, "session.revoked");
	expect_state(1, SESSION_LIVE);
	assert_int_equal(leases_revoke(g, 1, ""), 0);
}

static void revoked_by_destination(void **state)
{
	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	assert_int_equal(leases_revoke(g, 0, "x"), 0);
	assert_int_equal(leases_revoke(g, 0, "d"), 1);
	assert_null(the_lease());
}

static void renewed(void **state)
{
	int second, fourth;
	struct lease *l;

	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	l = lease_next(&g->leases, NULL);
	l->held.renew_at = gate_now();
	accepted(2);
	assert_int_equal(connected()->offer.psk_len, 0);
	second = dup(up_fd);
	/* The others go on with what there is; one of them is not done when it is replaced. */
	on_lease(3, 0x11);
	accepted(4);
	assert_true(offers(connected(), 0x11));
	fourth = up_fd;
	up_fd = second;
	goes_live(2, GRANTED, 0x22);
	close(up_fd);
	up_fd = fourth;
	expect_why("replaced");
	assert_true(keys.v[1].unlinked);
	resumed(4);
	sent(relay, MSG_HANDOVER);
	release(4, 0);
	sent(relay, MSG_LIVE);
	assert_int_equal(session_of(4)->attested, 1);
	on_lease(5, 0x22);
	assert_int_equal(session_of(5)->attested, 2);
}

static void a_renewal_that_is_refused_ends_it(void **state)
{
	struct msg_verdict m;

	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	lease_next(&g->leases, NULL)->held.renew_at = gate_now();
	accepted(2);
	connected();
	appraise(2);
	m = verdict_of(2, false, 0);
	judge(2, &m);
	expect_cut(2, "snp.signature");
	assert_null(the_lease());
	expect_why("refused");
}

/* Nobody there to renew it with: what is left of it is used. */
static void a_renewal_that_is_not_to_be_had(void **state)
{
	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	lease_next(&g->leases, NULL)->held.renew_at = gate_now();
	accepted(2);
	connected();
	closed(2, "auth.timeout");
	on_lease(3, 0x11);
}

/* Those who wait for their turn don't fail with it. */
static void a_renewal_that_fails_beside_a_herd(void **state)
{
	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	lease_next(&g->leases, NULL)->held.renew_at = gate_now();
	accepted(2);
	connected();
	for (uint64_t id = 3; id < 3 + ABREAST; id++) {
		accepted(id);
		assert_true(offers(connected(), 0x11));
	}
	accepted(3 + ABREAST);
	expect_state(3 + ABREAST, SESSION_WAITING);
	closed(2, "auth.timeout");
	expect_state(3 + ABREAST, SESSION_WAITING);
	closed(3, "session.app-gone");
	assert_true(offers(connected(), 0x11));
	expect_state(3 + ABREAST, SESSION_CONNECTING);
}

/* ------------------------------------------------------------------------- policy */

static void policy_that_changes_ends_it(void **state)
{
	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	change_policy(with_leases);
	assert_non_null(the_lease());
	expect_state(1, SESSION_LIVE);
	on_lease(2, 0x11);
	change_policy(GATE("binder = lease\nlease = 10m\nvmpl = 1\n"));
	assert_null(the_lease());
	expect_why("policy");
	expect_cut(1, "policy.withdrawn");
	expect_cut(2, "policy.withdrawn");
	leads(3);
}

static void those_who_wait_under_a_new_policy(void **state)
{
	(void)state;
	leads(1);
	accepted(2);
	accepted(3);
	appraise(1);
	/* The same for them; what verify has is by the old one. */
	change_policy(with_leases);
	expect_cut(1, "policy.changed");
	assert_true(connected()->lease_asked);
	expect_state(2, SESSION_CONNECTING);
	expect_state(3, SESSION_WAITING);
	assert_int_equal(session_of(2)->generation, 2);
	assert_int_equal(session_of(3)->generation, 2);
	/* Another: nobody goes on. */
	change_policy(GATE("binder = lease\nlease = 10m\nvmpl = 1\n"));
	expect_refuse(3, "policy.changed");
	expect_cut(2, "policy.changed");
	expect_silence(relay);
}

static void newer_collateral_ends_it(void **state)
{
	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	leases_end_all(g, "collateral");
	assert_null(the_lease());
	expect_why("collateral");
	expect_state(1, SESSION_LIVE);
	leads(2);
}

/* -------------------------------------------------------------------------- heads */

static void fork_ends_it(void **state)
{
	struct msg_verdict m;

	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	/* It was never proved that the head it rests on belongs to the tree. */
	lease_next(&g->leases, NULL)->held.ahead = true;
	closed(1, "session.end");
	g->linger_n = 0;
	m = (struct msg_verdict){.head = {.cp = {.size = 5, .root = {{1}}}}};
	strcpy(m.head.cp.origin, LOG_NAME);
	verdict_init(&m.verdict, "d", gate_now());
	check_add(&m.verdict.checks, "ledger.fork", CHECK_FAIL, "as told");
	verdict_seal(&m.verdict);
	accepted(2);
	connected();
	heads_refused(g, session_of(2), &m, -1);
	assert_null(the_lease());
	expect_why("fork");
	expect_cut(2, "ledger.fork");
}

static void forgotten_head_ends_it(void **state)
{
	char path[PATH_MAX];

	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	assert_int_equal(heads_forget(g, LOG_NAME, path), 0);
	assert_null(the_lease());
	expect_why("head-forgotten");
}

/* --------------------------------------------------------------------------- verbs */

static json_t *ask(json_t *request)
{
	json_t *a = verbs_answer(g, 1, request);

	json_decref(request);
	assert_non_null(a);
	return a;
}

static void verbs(void **state)
{
	json_t *a, *l;

	(void)state;
	leads(1);
	goes_live(1, GRANTED, 0x11);
	on_lease(2, 0x11);
	a = ask(json_pack("{s:s}", "verb", "leases"));
	assert_int_equal(json_array_size(json_object_get(a, "leases")), 1);
	l = json_array_get(json_object_get(a, "leases"), 0);
	assert_int_equal(json_integer_value(json_object_get(l, "session")), 1);
	assert_int_equal(json_integer_value(json_object_get(l, "uses")), 1);
	assert_string_equal(json_string_value(json_object_get(l, "key_state")), "valid");
	assert_string_equal(json_string_value(json_object_get(l, "peer")), "192.0.2.7:443");
	json_decref(a);
	a = ask(json_pack("{s:s, s:i}", "verb", "revoke", "lease", 7));
	assert_string_equal(json_string_value(json_object_get(a, "kind")), "no");
	json_decref(a);
	a = ask(json_pack("{s:s, s:i, s:i}", "verb", "revoke", "lease", 1, "session", 1));
	assert_string_equal(json_string_value(json_object_get(a, "kind")), "usage");
	json_decref(a);
	a = ask(json_pack("{s:s, s:i}", "verb", "revoke", "lease", 1));
	assert_int_equal(json_integer_value(json_object_get(a, "leases")), 1);
	json_decref(a);
	assert_null(the_lease());
	leads(3);
	accepted(4);
	a = ask(json_pack("{s:s, s:s}", "verb", "revoke", "destination", "d"));
	assert_int_equal(json_integer_value(json_object_get(a, "revoked")), 4);
	json_decref(a);
	/* Who waited was not let go on by the end of the one that led. */
	expect_refuse(4, "session.revoked");
	for (int i = 0; i < 3; i++)
		sent(relay, MSG_CUT);
	expect_silence(relay);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, leases_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(one_attestation_for_all),
	        T(a_herd_goes_in_turn),
	        T(a_lease_that_ends_before_their_turn),
	        T(a_herd_that_fails_at_once),
	        T(by_the_server_key),
	        T(verdict_is_the_one_that_verify_made),
	        T(the_shortest_end),
	        T(none_granted),
	        T(no_secret_no_lease),
	        T(no_room_in_the_keyring),
	        T(where_there_are_none),
	        T(all_fail_with_the_leader),
	        T(fails_before_the_evidence),
	        T(the_next_one_leads),
	        T(one_that_waits_leaves),
	        T(a_waiting_one_says_nothing_else),
	        T(resumed_without_an_offer),
	        T(resumed_twice),
	        T(resumed_after_the_evidence),
	        T(a_lease_that_nobody_asked_for),
	        T(a_lease_of_another_destination),
	        T(the_peer_does_not_know_it),
	        T(ended_key_is_not_offered),
	        T(seen_by_the_tick),
	        T(revoked_while_it_is_taken_up),
	        T(revoked_by_destination),
	        T(renewed),
	        T(a_renewal_that_is_refused_ends_it),
	        T(a_renewal_that_is_not_to_be_had),
	        T(a_renewal_that_fails_beside_a_herd),
	        T(policy_that_changes_ends_it),
	        T(those_who_wait_under_a_new_policy),
	        T(newer_collateral_ends_it),
	        T(fork_ends_it),
	        T(forgotten_head_ends_it),
	        T(verbs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
