/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collateral and sessions on gate's side: connections that wait for what is being fetched, and live
 * sessions that are judged again under newer collateral. The kernel half and all roles are played
 * here.
 */
#include "daemon_gate.h"

#define CRL    "vcek/v1/Milan/crl"
#define SOURCE "collateral amd { url = \"https://kds.example/\" }\n"

static void silent(int sock)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 0), 0);
}

static void from_relay(enum msg_type type, uint64_t id, int fd)
{
	const struct msg_head head = {.type = type, .session = id};

	flow_from_relay(g, &head, fd);
}

static int begin(void **state)
{
	static struct gate_options opt;
	int ret = setup(state);

	opt.state_dir = dir;
	g->opt = &opt;
	policy_set_free(&g->now);
	put_policy(&g->now, GATE("lease = 10m\n") SOURCE, 1);
	assert_int_equal(collateral_open(g), 0);
	return ret;
}

static int end(void **state)
{
	shown_drop(g->rechecking);
	collateral_close(g);
	return teardown(state);
}

static struct session *session(uint64_t id)
{
	return session_find(&g->sessions, id);
}

static void appraising(uint64_t id)
{
	int fd = file_memfd("x", bytes_str("the evidence"));

	memset(g->in, 0, sizeof(*g->in));
	from_relay(MSG_ACCEPTED, id, -1);
	(void)sent(relay, MSG_CONNECT);
	from_relay(MSG_APPRAISE, id, fd);
	close(fd);
	(void)sent(verify, MSG_APPRAISE);
}

static void judge_as(uint64_t id, enum check_status status, const char *wants, uint32_t lease_s)
{
	static struct msg_verdict m;

	memset(&m, 0, sizeof(m));
	verdict_init(&m.verdict, "d", session(id)->at);
	check_add(&m.verdict.checks, "snp.revocation", status, "as told");
	verdict_limit(&m.verdict, gate_now() + 1000);
	verdict_seal(&m.verdict);
	strcpy(m.verdict.tee, "snp");
	strcpy(m.head.cp.origin, LOG_NAME);
	m.head.cp.size = 5;
	m.head.step = g->state.n ? HEAD_SAME : HEAD_FIRST;
	if (wants) {
		m.wants.n = 1;
		m.wants.v[0].vendor = VENDOR_AMD;
		strcpy(m.wants.v[0].path, wants);
	}

	int fd = file_memfd("note", bytes_str("a note"));

	m.lease_s = lease_s;
	m.lease = m.verdict;
	strcpy(m.verdict.binder, "connection");
	flow_verdict(g, id, &m, fd);
	close(fd);
}

static void judge(uint64_t id, enum check_status status, const char *wants)
{
	judge_as(id, status, wants, 0);
}

static void cut_by(uint64_t id, const char *code)
{
	const struct msg_cut *m = sent(relay, MSG_CUT);

	assert_string_equal(m->code, code);
	assert_int_equal(session(id)->state, SESSION_CLOSING);
}

/* Fetched, and found to be what it is; known: the very piece was there. */
static void arrives(uint32_t known)
{
	const struct msg_fetched m = {.result = FETCH_OK, .piece_n = 5};
	const struct msg_collateral_done done = {.until = gate_now() + 86400, .known = known};
	int fd = file_memfd("piece", bytes_str("a crl"));

	collateral_tick(g);
	(void)sent(fetch, MSG_FETCH);
	collateral_fetched(g, g->requests, &m, fd);
	close(fd);
	(void)sent(verify, MSG_COLLATERAL);
	flow_tick(g); /* not before verify has it */
	silent(verify);
	collateral_checked(g, g->requests, &done);
}

/* ---------------------------------------------------------------------- waiting */

static void a_connection_waits_for_what_is_fetched(void **state)
{
	const struct msg_appraise *again;
	uint8_t context[32], *text = NULL;
	size_t n;

	(void)state;
	appraising(1);
	memcpy(context, session(1)->context, sizeof(context));
	judge(1, CHECK_UNAVAILABLE, CRL);
	flow_tick(g);
	silent(relay);
	silent(verify);
	arrives(0);
	flow_tick(g);
	/* The same question, now. */
	again = sent(verify, MSG_APPRAISE);
	assert_memory_equal(again->context, context, sizeof(context));
	assert_int_equal(again->at, session(1)->at);
	assert_int_equal(again->generation, 1);
	assert_int_equal(file_read_fd(got_fd, 100, &text, &n), 0);
	assert_true(bytes_equal((struct bytes){text, n}, bytes_str("the evidence")));
	free(text);
	assert_true(session(1)->with_verify);
	judge(1, CHECK_PASS, NULL);
	(void)sent(relay, MSG_HANDOVER);
	assert_null(session(1)->question);
}

static void who_waits_in_vain_is_refused(void **state)
{
	const struct msg_fetched gone = {.result = FETCH_GONE};

	(void)state;
	appraising(1);
	judge(1, CHECK_UNAVAILABLE, CRL);
	collateral_tick(g);
	(void)sent(fetch, MSG_FETCH);
	collateral_fetched(g, g->requests, &gone, -1);
	flow_tick(g);
	(void)sent(verify, MSG_APPRAISE); /* perhaps something else came */
	judge(1, CHECK_UNAVAILABLE, CRL);
	cut_by(1, "snp.revocation");
	/* And the next one at once. */
	appraising(2);
	judge(2, CHECK_UNAVAILABLE, CRL);
	cut_by(2, "snp.revocation");
}

static void nobody_waits_for_longer_than_a_verdict_may_take(void **state)
{
	(void)state;
	appraising(1);
	judge(1, CHECK_UNAVAILABLE, CRL);
	session(1)->deadline_ns = 1;
	flow_tick(g);
	cut_by(1, "snp.revocation");
	assert_null(session(1)->question);
	silent(verify);
}

static void what_fails_does_not_wait(void **state)
{
	(void)state;
	appraising(1);
	judge(1, CHECK_FAIL, CRL);
	cut_by(1, "snp.revocation");
	appraising(2);
	judge(2, CHECK_UNAVAILABLE, NULL);
	cut_by(2, "snp.revocation");
}

static void without_a_source_nobody_waits(void **state)
{
	(void)state;
	policy_set_free(&g->now);
	put_policy(&g->now, GATE("lease = 10m\n"), 1);
	appraising(1);
	assert_null(session(1)->question);
	judge(1, CHECK_UNAVAILABLE, CRL);
	cut_by(1, "snp.revocation");
}

static void an_application_that_goes_away_waits_no_more(void **state)
{
	(void)state;
	appraising(1);
	judge(1, CHECK_UNAVAILABLE, CRL);
	memset(g->in, 0, sizeof(*g->in));
	strcpy(g->in->closed.code, "session.app-gone");
	from_relay(MSG_CLOSED, 1, -1);
	assert_null(session(1));
	arrives(0);
	flow_tick(g);
	silent(verify);
}

static void a_policy_that_changes_ends_the_waiting(void **state)
{
	struct policy_set old = g->now;

	(void)state;
	appraising(1);
	judge(1, CHECK_UNAVAILABLE, CRL);
	put_policy(&g->now, GATE("lease = 10m\n") SOURCE, 2);
	(void)flow_policy_changed(g, &old, NULL);
	policy_set_free(&old);
	cut_by(1, "policy.changed");
	flow_tick(g);
	silent(verify);
}

static void so_many_wait_and_no_more(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= SESSIONS_HELD + 1; id++)
		appraising(id);
	assert_non_null(session(SESSIONS_HELD)->question);
	assert_null(session(SESSIONS_HELD + 1)->question);
	judge(SESSIONS_HELD + 1, CHECK_UNAVAILABLE, CRL);
	cut_by(SESSIONS_HELD + 1, "snp.revocation");
	judge(1, CHECK_FAIL, NULL);
	cut_by(1, "snp.revocation");
	appraising(SESSIONS_HELD + 2);
	assert_non_null(session(SESSIONS_HELD + 2)->question);
}

/* --------------------------------------------------------------------- rechecks */

static void show(uint64_t id)
{
	const struct msg_shown m = {.binder = BINDER_CONNECTION, .spki_sha256 = {1, 2}};
	int fd = file_memfd("shown", bytes_str("a wrapper"));

	recheck_shown(g, id, &m, fd);
	close(fd);
}

static void live(uint64_t id, bool shown)
{
	struct keyring_secrets *k = &g->in->release.secrets;

	appraising(id);
	if (shown)
		show(id);
	judge(id, CHECK_PASS, NULL);
	(void)sent(relay, MSG_HANDOVER);
	memset(k, 0, sizeof(*k));
	k->suite = SUITE_AES_128_GCM_SHA256;
	k->len = 32;
	k->have_client = k->have_server = true;
	from_relay(MSG_RELEASE, id, up_fd);
	(void)sent(relay, MSG_LIVE);
}

static void rechecked(enum check_status status)
{
	struct msg_rechecked m = {.result = status};

	if (status != CHECK_PASS)
		strcpy(m.code, "snp.revocation");
	recheck_done(g, &m);
}

static void newer_collateral_cuts_what_it_refuses(void **state)
{
	const struct msg_recheck *m;
	uint8_t *text = NULL;
	size_t n;

	(void)state;
	live(1, true);
	recheck_news(g, VENDOR_INTEL); /* which says nothing of this platform */
	silent(verify);
	recheck_news(g, VENDOR_AMD);
	m = sent(verify, MSG_RECHECK);
	assert_int_equal(m->generation, 1);
	assert_int_equal(m->shown.binder, BINDER_CONNECTION);
	assert_int_equal(m->shown.spki_sha256[1], 2);
	assert_int_equal(file_read_fd(got_fd, 100, &text, &n), 0);
	assert_true(bytes_equal((struct bytes){text, n}, bytes_str("a wrapper")));
	free(text);
	rechecked(CHECK_PASS);
	assert_int_equal(session(1)->state, SESSION_LIVE);
	silent(verify);
	/* What can't be judged now stands for as long as its verdict. */
	recheck_news(g, VENDOR_NONE);
	(void)sent(verify, MSG_RECHECK);
	rechecked(CHECK_UNAVAILABLE);
	assert_int_equal(session(1)->state, SESSION_LIVE);
	silent(relay);
	recheck_news(g, VENDOR_AMD);
	(void)sent(verify, MSG_RECHECK);
	rechecked(CHECK_FAIL);
	cut_by(1, "snp.revocation");
	assert_true(ring.revoked);
}

static void what_was_not_kept_is_cut(void **state)
{
	(void)state;
	live(1, false);
	recheck_news(g, VENDOR_AMD);
	cut_by(1, "session.collateral");
	silent(verify);
}

/* New connections shall not wait behind all the old ones. */
static void one_at_a_time(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= 3; id++)
		live(id, true);
	recheck_news(g, VENDOR_AMD);
	(void)sent(verify, MSG_RECHECK);
	recheck_news(g, VENDOR_AMD); /* more of it, in the middle */
	silent(verify);
	rechecked(CHECK_PASS);
	(void)sent(verify, MSG_RECHECK);
	rechecked(CHECK_FAIL); /* the first again: it was asked before the later news */
	cut_by(1, "snp.revocation");
	(void)sent(verify, MSG_RECHECK);
	rechecked(CHECK_PASS);
	(void)sent(verify, MSG_RECHECK);
	rechecked(CHECK_PASS);
	silent(verify);
}

/* Between verdict and release, too; and who has gone has gone. */
static void sessions_come_and_go_meanwhile(void **state)
{
	(void)state;
	appraising(1);
	show(1);
	judge(1, CHECK_PASS, NULL);
	(void)sent(relay, MSG_HANDOVER);
	recheck_news(g, VENDOR_AMD);
	(void)sent(verify, MSG_RECHECK);
	rechecked(CHECK_FAIL);
	cut_by(1, "snp.revocation");
	live(2, true);
	recheck_news(g, VENDOR_AMD);
	(void)sent(verify, MSG_RECHECK);
	memset(g->in, 0, sizeof(*g->in));
	strcpy(g->in->closed.code, "session.end");
	from_relay(MSG_CLOSED, 2, -1);
	rechecked(CHECK_FAIL);
	silent(relay);
	assert_false(g->failed);
}

/* What a lease brought is judged once, and with it ends what would go on by it. */
static void a_lease_shares_what_was_shown(void **state)
{
	const struct lease_key key = {.name = "d"};
	struct lease *l;

	(void)state;
	live(1, true);
	live(2, false);
	session(2)->shown = shown_hold(session(1)->shown);
	recheck_news(g, VENDOR_AMD);
	(void)sent(verify, MSG_RECHECK);
	/* Made of a verdict that was on its way when the news came. */
	l = lease_place(&g->leases, &key, 1);
	l->held = (struct lease_held){.key = {.serial = KEY, .ring = RING},
	                              .session = 1,
	                              .shown = shown_hold(session(1)->shown)};
	rechecked(CHECK_FAIL);
	cut_by(1, "snp.revocation");
	cut_by(2, "snp.revocation");
	assert_null(lease_next(&g->leases, NULL));
	silent(verify);
	/* One whose evidence was not kept ends with the session that brought it. */
	live(3, false);
	l = lease_place(&g->leases, &key, 1);
	l->held = (struct lease_held){.key = {.serial = KEY, .ring = RING}, .session = 3};
	recheck_news(g, VENDOR_AMD);
	cut_by(3, "session.collateral");
	assert_null(lease_next(&g->leases, NULL));
}

/* As leases_begin leaves one that is to take up the lease of session 1. */
static void offered(uint64_t id, bool shown)
{
	struct session *s;

	memset(g->in, 0, sizeof(*g->in));
	from_relay(MSG_ACCEPTED, id, -1);
	(void)sent(relay, MSG_CONNECT);
	s = session(id);
	s->offer = (struct keyring_leased){.serial = KEY, .ring = RING};
	s->lease = malloc(sizeof(*s->lease));
	assert_non_null(s->lease);
	*s->lease = *session(1)->verdict;
	s->shown = shown ? shown_hold(session(1)->shown) : NULL;
}

/* What it rests on was judged before the news, though it does not say yet that it does. */
static void one_that_takes_up_a_lease_is_judged_again(void **state)
{
	(void)state;
	live(1, true);
	offered(2, true);
	recheck_news(g, VENDOR_INTEL);
	silent(verify);
	recheck_news(g, VENDOR_AMD);
	(void)sent(verify, MSG_RECHECK);
	rechecked(CHECK_FAIL);
	cut_by(1, "snp.revocation");
	cut_by(2, "snp.revocation");
	silent(verify);
	/* It may be all that is left of that lease. */
	live(3, true);
	offered(4, true);
	shown_drop(session(4)->shown);
	session(4)->shown = shown_hold(session(3)->shown);
	memset(g->in, 0, sizeof(*g->in));
	strcpy(g->in->closed.code, "session.end");
	from_relay(MSG_CLOSED, 3, -1);
	recheck_news(g, VENDOR_AMD);
	(void)sent(verify, MSG_RECHECK);
	rechecked(CHECK_FAIL);
	cut_by(4, "snp.revocation");
	offered(5, false);
	recheck_news(g, VENDOR_AMD);
	cut_by(5, "session.collateral");
	silent(verify);
}

/* One that the peer does not know is no more: what it shows instead is judged after the news. */
static void one_whose_lease_is_unknown_is_judged_once(void **state)
{
	int fd = file_memfd("x", bytes_str("the evidence"));

	(void)state;
	live(1, true);
	offered(2, true);
	shown_drop(session(2)->shown);
	session(2)->shown = shown_new(&session(1)->shown->by, NULL, 0);
	recheck_news(g, VENDOR_AMD);
	(void)sent(verify, MSG_RECHECK); /* the other's turn comes later */
	memset(g->in, 0, sizeof(*g->in));
	from_relay(MSG_APPRAISE, 2, fd);
	close(fd);
	(void)sent(verify, MSG_APPRAISE);
	judge(2, CHECK_PASS, NULL);
	(void)sent(relay, MSG_HANDOVER);
	rechecked(CHECK_PASS);
	silent(verify);
	silent(relay);
}

/* The session that brings a lease may be gone before its turn to be judged again. */
static void no_lease_comes_of_what_is_to_be_judged_again(void **state)
{
	struct keyring_secrets *k = &g->in->release.secrets;
	struct lease *l;

	(void)state;
	live(1, true);
	policy_set_free(&g->now);
	put_policy(&g->now, GATE("binder = lease\nlease = 10m\n") SOURCE, 1);
	appraising(2);
	show(2);
	assert_true(session(2)->lease_asked);
	judge_as(2, CHECK_PASS, NULL, 600);
	(void)sent(relay, MSG_HANDOVER);
	recheck_news(g, VENDOR_AMD);
	(void)sent(verify, MSG_RECHECK); /* session 1 */
	memset(g->in, 0, sizeof(*g->in));
	k->suite = g->in->release.lease.suite = SUITE_AES_128_GCM_SHA256;
	k->len = g->in->release.lease.psk_len = 32;
	k->have_client = k->have_server = true;
	memset(g->in->release.lease.psk, 7, 32);
	from_relay(MSG_RELEASE, 2, up_fd);
	(void)sent(relay, MSG_LIVE);
	assert_null(lease_next(&g->leases, NULL));
	/* Nor does it keep others from getting one. */
	l = g->leases.place;
	assert_int_equal(lease_way(l, gate_now(), gate_boot_ns()), LEASE_LEAD);
}

static void only_what_is_new_is_news(void **state)
{
	const struct policy_wants w = {.n = 1, .v = {{.vendor = VENDOR_AMD, .path = CRL}}};

	(void)state;
	live(1, true);
	collateral_wanted(g, &w);
	arrives(1);
	silent(verify);
	collateral_close(g);
	assert_int_equal(nftw(dir, rm_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(collateral_open(g), 0);
	collateral_wanted(g, &w);
	arrives(0);
	(void)sent(verify, MSG_RECHECK);
}

static void what_was_not_asked_is_fatal(void **state)
{
	(void)state;
	live(1, true);
	rechecked(CHECK_FAIL);
	assert_true(g->failed);
	assert_int_equal(session(1)->state, SESSION_LIVE);
}

static void what_nobody_asked_to_see_is_fatal(void **state)
{
	(void)state;
	live(1, true);
	show(1);
	assert_true(g->failed);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
	const struct CMUnitTest tests[] = {
	        T(a_connection_waits_for_what_is_fetched),
	        T(who_waits_in_vain_is_refused),
	        T(nobody_waits_for_longer_than_a_verdict_may_take),
	        T(what_fails_does_not_wait),
	        T(without_a_source_nobody_waits),
	        T(an_application_that_goes_away_waits_no_more),
	        T(a_policy_that_changes_ends_the_waiting),
	        T(so_many_wait_and_no_more),
	        T(newer_collateral_cuts_what_it_refuses),
	        T(what_was_not_kept_is_cut),
	        T(one_at_a_time),
	        T(sessions_come_and_go_meanwhile),
	        T(a_lease_shares_what_was_shown),
	        T(one_that_takes_up_a_lease_is_judged_again),
	        T(one_whose_lease_is_unknown_is_judged_once),
	        T(no_lease_comes_of_what_is_to_be_judged_again),
	        T(only_what_is_new_is_news),
	        T(what_was_not_asked_is_fatal),
	        T(what_nobody_asked_to_see_is_fatal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
