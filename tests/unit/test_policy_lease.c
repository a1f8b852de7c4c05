/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict of connections that rest on a lease: which verdicts it is made of, what it says. */
#include "policy_files.h"

enum { SESSION = 4711 };

static struct policy *p;
static struct verdict from, out;

static void policy_of(const char *more)
{
	static struct policy_issues issues;
	char text[1024];

	snprintf(text, sizeof(text), GATE("%s"), more);
	policy_free(p);
	p = NULL;
	if (parse_two(text, NULL, &p, &issues)) {
		print_issues(&issues);
		fail();
	}
}

static int setup(void **state)
{
	(void)state;
	policy_of("binder = lease\n");
	verdict_init(&from, p->destination[0].name, TEST_NOW);
	memcpy(from.binder, "connection", sizeof("connection"));
	memcpy(from.tee, "snp", sizeof("snp"));
	check_add(&from.checks, "auth.finished", CHECK_PASS, "over the exporter");
	check_add(&from.checks, "policy.binder", CHECK_PASS, "connection");
	check_add(&from.checks, "policy.chip", CHECK_SKIP, "the policy names no machine");
	verdict_loosened(&from, "ledger = none");
	verdict_limit(&from, TEST_NOW + 600);
	verdict_seal(&from);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	policy_free(p);
	p = NULL;
	return 0;
}

static int make(void)
{
	memset(&out, 0, sizeof(out));
	return policy_lease_verdict(p, 0, &from, SESSION, &out);
}

static void says_what_it_rests_on(void **state)
{
	(void)state;
	assert_int_equal(make(), 0);
	assert_true(verdict_passed(&out, TEST_NOW));
	assert_true(verdict_passed(&out, TEST_NOW + 599));
	assert_false(verdict_passed(&out, TEST_NOW + 600));
	assert_int_equal(out.made_at, TEST_NOW);
	assert_string_equal(out.binder, "lease");
	assert_string_equal(out.requirement, from.requirement);
	assert_string_equal(out.tee, "snp");
	assert_int_equal(out.checks.n, from.checks.n + 1);
	assert_string_equal(out.checks.v[0].id, "lease.attested");
	assert_string_equal(out.checks.v[0].detail,
	                    "session 4711 at 2025-06-15T15:06:40Z: what follows was seen then");
	assert_string_equal(out.checks.v[1].detail, "over the exporter");
	assert_string_equal(checks_find(&out.checks, "policy.binder")->detail,
	                    policy_binder_words(BINDER_LEASE, false));
	assert_int_equal(checks_find(&out.checks, "policy.chip")->status, CHECK_SKIP);
	assert_int_equal(out.loosenings, 2);
	assert_string_equal(out.loosening[0], "ledger = none");
	assert_string_equal(out.loosening[1],
	                    "binder = lease: no evidence on this connection, but a lease from "
	                    "session 4711 of 2025-06-15T15:06:40Z");
}

static void a_weaker_binder_admits_it(void **state)
{
	(void)state;
	policy_of("binder = nonce\n");
	assert_int_equal(make(), 0);
	assert_non_null(strstr(out.loosening[1], "binder = nonce: no evidence"));
}

static void destinations_without(void **state)
{
	(void)state;
	policy_of("");
	assert_int_equal(make(), -EACCES);
	policy_of("binder = lease transport = flashbots\n");
	assert_int_equal(make(), -EACCES);
	policy_of("binder = lease\n");
	assert_int_equal(policy_lease_verdict(p, 1, &from, SESSION, &out), -EACCES);
	p->destination[0].action = POLICY_ALLOW;
	assert_int_equal(make(), -EACCES);
}

/* By key: where the policy says just that, with the transport for it, from evidence for a nonce. */
static void by_the_key_alone(void **state)
{
	(void)state;
	policy_of("transport = well-known\nbinder = lease-key\n");
	assert_int_equal(policy_lease_binder(&p->destination[0]), BINDER_LEASE_KEY);
	assert_int_equal(make(), -EACCES); /* bound to its connection: that is another kind's */
	memcpy(from.binder, "nonce", sizeof("nonce"));
	assert_int_equal(make(), 0);
	assert_string_equal(out.binder, "lease-key");
	assert_string_equal(out.checks.v[0].id, "lease.attested");
	assert_string_equal(checks_find(&out.checks, "policy.binder")->detail,
	                    policy_binder_words(BINDER_LEASE_KEY, false));
	assert_string_equal(
	        out.loosening[1],
	        "binder = lease-key: no evidence on this connection, but the server key "
	        "of session 4711 of 2025-06-15T15:06:40Z");
	memset(from.binder, 0, sizeof(from.binder));
	memcpy(from.binder, "certificate", sizeof("certificate"));
	assert_int_equal(make(), -EACCES);
	memcpy(from.binder, "lease-key", sizeof("lease-key"));
	assert_int_equal(make(), -EACCES);
}

static void which_kind(void **state)
{
	static const struct {
		const char *text;
		enum policy_binder by;
	} rows[] = {
	        {"", BINDER_NONE},
	        {"binder = lease\n", BINDER_LEASE},
	        {"binder = lease-key\n", BINDER_LEASE},
	        {"binder = certificate\n", BINDER_LEASE},
	        {"transport = flashbots\nbinder = lease-key\n", BINDER_NONE},
	        {"transport = atls\nbinder = lease-key\n", BINDER_NONE},
	        {"transport = ra-tls\nbinder = certificate\n", BINDER_NONE},
	        {"transport = well-known\nbinder = nonce\n", BINDER_NONE},
	        {"transport = well-known\nbinder = certificate\n", BINDER_NONE},
	        {"transport = well-known\nbinder = lease-key\n", BINDER_LEASE_KEY},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		policy_of(rows[i].text);
		assert_int_equal(policy_lease_binder(&p->destination[0]), rows[i].by);
	}
	p->destination[0].action = POLICY_ALLOW;
	assert_int_equal(policy_lease_binder(&p->destination[0]), BINDER_NONE);
}

static void only_of_an_attested_connection(void **state)
{
	for (int i = 0; i < 6; i++) {
		teardown(state);
		setup(state);
		switch (i) {
		case 0:
			assert_int_equal(make(), 0);
			from = out; /* a lease of a lease */
			break;
		case 1:
			memcpy(from.binder, "nonce", sizeof("nonce"));
			break;
		case 2:
			from.sealed = 0;
			break;
		case 3:
			check_add(&from.checks, "auth.finished", CHECK_FAIL, "late");
			break;
		case 4:
			from.requirement[0] ^= 1;
			break;
		default:
			from.valid_until = from.made_at;
		}
		assert_int_equal(make(), -EACCES);
		assert_false(verdict_passed(&out, TEST_NOW));
	}
}

/* What it must say has to be said, or there is none. */
static void no_room_no_lease(void **state)
{
	(void)state;
	while (from.checks.n < CHECKS_MAX)
		check_add(&from.checks, "auth.finished", CHECK_PASS, "one more");
	assert_true(verdict_passed(&from, TEST_NOW));
	assert_int_equal(make(), -EACCES);
	assert_false(verdict_passed(&out, TEST_NOW));
	setup(state);
	while (from.loosenings < LOOSENINGS_MAX)
		verdict_loosened(&from, "one more");
	assert_true(verdict_passed(&from, TEST_NOW));
	assert_int_equal(make(), -EACCES);
	assert_false(verdict_passed(&out, TEST_NOW));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(says_what_it_rests_on),
	        T(a_weaker_binder_admits_it),
	        T(destinations_without),
	        T(only_of_an_attested_connection),
	        T(no_room_no_lease),
	        T(by_the_key_alone),
	        T(which_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
