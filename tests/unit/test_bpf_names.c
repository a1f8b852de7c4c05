// SPDX-License-Identifier: Apache-2.0
/*
 * Names that the policy gates, and the addresses that the kernel learns for them from the answers
 * that applications get, before these read them.
 */
#include "tests/unit/bpf_lab.h"

enum { GENERATION = 7, RULE = 3 };

#define NAME "gated.example"

struct lab {
	struct intercept *i;
	int server, client; /* of DNS; in IPv4 */
	int there;          /* what listens where a name leads */
	size_t events[GATE_EVENT_KINDS];
};

/* An answer, as it is written. */
struct answer {
	uint8_t b[1400];
	size_t n;
};

static void put(struct answer *a, const void *p, size_t n)
{
	assert_true(a->n + n <= sizeof(a->b));
	memcpy(a->b + a->n, p, n);
	a->n += n;
}

static void put16(struct answer *a, uint16_t v)
{
	put(a, &(uint16_t){htons(v)}, 2);
}

static void put_name(struct answer *a, const char *host)
{
	while (*host) {
		uint8_t n = (uint8_t)strcspn(host, ".");

		put(a, &n, 1);
		put(a, host, n);
		host += host[n] ? n + 1 : n;
	}
	put(a, "", 1);
}

static struct answer about(const char *host, uint16_t records)
{
	struct answer a = {.n = 0};

	put16(&a, 0x1234);
	put16(&a, 0x8180);
	put16(&a, 1);
	put16(&a, records);
	put16(&a, 0);
	put16(&a, 0);
	put_name(&a, host);
	put16(&a, 1);
	put16(&a, 1);
	return a;
}

static void put_record(struct answer *a, const char *owner, uint16_t type, const void *data,
                       uint16_t n)
{
	if (owner)
		put_name(a, owner);
	else
		put16(a, 0xc00c); /* the question's */
	put16(a, type);
	put16(a, 1);
	put16(a, 0);
	put16(a, 60);
	put16(a, n);
	put(a, data, n);
}

static void put_address(struct answer *a, const char *owner, const char *ip)
{
	uint8_t addr[16];
	bool six = strchr(ip, ':') != NULL;

	assert_int_equal(inet_pton(six ? AF_INET6 : AF_INET, ip, addr), 1);
	put_record(a, owner, six ? 28 : 1, addr, six ? 16 : 4);
}

/* Sent from the server; whether the application gets it. */
static bool arrives_from(int server, int client, const struct answer *a)
{
	struct sockaddr_storage to;
	socklen_t n = sizeof(to);
	uint8_t got[sizeof(a->b)];

	assert_int_equal(getsockname(client, (struct sockaddr *)&to, &n), 0);
	assert_int_equal(sendto(server, a->b, a->n, 0, (struct sockaddr *)&to, n), (ssize_t)a->n);
	if (!ready(client, POLLIN, 250))
		return false;
	assert_int_equal(recv(client, got, sizeof(got), 0), (ssize_t)a->n);
	return true;
}

static bool arrives(struct lab *l, const struct answer *a)
{
	return arrives_from(l->server, l->client, a);
}

struct known {
	const char *host;
	uint8_t addr[16];
	bool forget;
	int n, hits;
};

static bool on_learned(void *ctx, const char *host, const uint8_t addr[static 16])
{
	struct known *k = ctx;

	k->n++;
	k->hits += !strcmp(host, k->host) && !memcmp(addr, k->addr, 16);
	return k->forget;
}

/* How many addresses wait to be taken up; each is this one of this host, unless NULL. */
static int learned(struct lab *l, const char *host, const char *ip, bool forget)
{
	struct known k = {.host = host ? host : "", .forget = forget};
	struct sockaddr_storage s = at(ip ? ip : OPEN4, 0);
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;
	int found;

	if (s.ss_family == AF_INET) {
		memcpy(&v4, &s, sizeof(v4));
		k.addr[10] = k.addr[11] = 0xff;
		memcpy(k.addr + 12, &v4.sin_addr, 4);
	} else {
		memcpy(&v6, &s, sizeof(v6));
		memcpy(k.addr, &v6.sin6_addr, 16);
	}
	found = intercept_learned(l->i, on_learned, &k);
	assert_int_equal(found, k.n);
	if (host)
		assert_int_equal(k.hits, k.n);
	return k.n;
}

static int connect_to(const char *ip, uint16_t port)
{
	int fd = new_socket(ip, SOCK_STREAM, 0);
	int err = try_connect(fd, ip, port, 2000);

	close(fd);
	return err;
}

static struct policy_name_rules rules_of(const char *host, enum policy_action action, uint32_t rule)
{
	struct policy_name_rules r = {.ports = 1};

	snprintf(r.host, sizeof(r.host), "%s", host);
	r.port[0] = (struct policy_lpm_port){
	        .lo = 443, .hi = 443, .action = action, .err = EACCES, .destination = rule};
	return r;
}

static void on_event(void *ctx, const struct gate_event *e)
{
	struct lab *l = ctx;

	if (e->kind < GATE_EVENT_KINDS)
		l->events[e->kind]++;
}

static int setup(void **state)
{
	const struct policy_name_rules names[] = {rules_of(NAME, POLICY_DENY, RULE),
	                                          rules_of("other.example", POLICY_DENY, RULE)};
	struct lab *l = calloc(1, sizeof(*l));
	const char *step = "";
	bool watch;

	assert_non_null(l);
	if (intercept_open_at(&l->i, LAB_PINS, lab_cgroup, &watch, &step))
		fail_msg("intercept_open_at: %s", step);
	assert_int_equal(intercept_names(l->i, names, 2, GENERATION), 0);
	assert_int_equal(intercept_policy(l->i, NULL, 0, GENERATION, 0, 0), 0);
	assert_int_equal(intercept_arm(l->i, true), 0);
	l->server = bound(OPEN4, 53, SOCK_DGRAM);
	l->client = bound(OPEN4, 0, SOCK_DGRAM);
	l->there = server(GATED4, 443);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	close(l->server);
	close(l->client);
	close(l->there);
	intercept_close(l->i);
	assert_int_equal(intercept_remove_at(LAB_PINS), 0);
	free(l);
	return 0;
}

/* ------------------------------------------------------------------------ tests */

static void test_an_answer_gates(void **state)
{
	struct lab *l = *state;
	struct answer a = about(NAME, 1);

	put_address(&a, NULL, GATED4);
	assert_int_equal(connect_to(GATED4, 443), 0);
	assert_true(arrives(l, &a));
	assert_int_equal(connect_to(GATED4, 443), EACCES);
	assert_int_equal(connect_to("::ffff:" GATED4, 443), EACCES);
	assert_int_equal(connect_to(GATED4, 444), ECONNREFUSED);
	assert_true(intercept_events(l->i, on_event, l) >= 1);
	assert_int_equal(l->events[GATE_EVENT_LEARNED], 1);
	assert_int_equal(learned(l, NAME, GATED4, false), 1);
	/* Said again: known. */
	assert_true(arrives(l, &a));
	assert_int_equal(learned(l, NAME, GATED4, true), 1);
	assert_int_equal(learned(l, NAME, GATED4, true), 0);
	/* User space took it up, and has no rule for it here. */
	assert_int_equal(connect_to(GATED4, 443), 0);
}

static void test_every_form_of_answer(void **state)
{
	struct lab *l = *state;
	struct answer a = about("GaTeD.eXample", 4);
	int srv = server(GATED6, 443);

	/* An alias, something else, and both kinds of address, whoever they are said to be of. */
	put_record(&a, NULL, 5, "\5alias\xc0\x0c", 8);
	put_record(&a, "alias." NAME, 16, "\4text", 5);
	put_address(&a, "a-name.that-is.long.and-has.many.labels.of-its-own", GATED4);
	put_address(&a, NULL, GATED6);
	assert_int_equal(connect_to(GATED6, 443), 0);
	assert_true(arrives(l, &a));
	assert_int_equal(connect_to(GATED4, 443), EACCES);
	assert_int_equal(connect_to(GATED6, 443), EACCES);
	assert_int_equal(learned(l, NULL, NULL, true), 2);
	close(srv);
}

static void test_an_answer_over_ipv6(void **state)
{
	struct lab *l = *state;
	struct answer a = about(NAME, 1);
	int srv = bound(OPEN6, 53, SOCK_DGRAM), client = bound(OPEN6, 0, SOCK_DGRAM);

	put_address(&a, NULL, GATED4);
	assert_true(arrives_from(srv, client, &a));
	assert_int_equal(connect_to(GATED4, 443), EACCES);
	assert_int_equal(learned(l, NAME, GATED4, true), 1);
	close(srv);
	close(client);
}

/* Other names, questions, answers without records, other services: nobody's business. */
static void test_what_is_not_ours_passes(void **state)
{
	struct answer a[6] = {about("example", 1), about("not-" NAME, 1), about("x." NAME, 1),
	                      about(NAME, 1),      about(NAME, 0),        about(NAME, 1)};
	struct lab *l = *state;
	int other = bound(OPEN4, 5300, SOCK_DGRAM);

	for (size_t k = 0; k < 6; k++)
		put_address(&a[k], NULL, GATED4);
	a[3].b[2] = 0x01; /* a question */
	a[5].b[5] = 2;    /* two questions: no resolver asks so */
	for (size_t k = 0; k < 6; k++)
		assert_true(arrives(l, &a[k]));
	a[0] = about(NAME, 1);
	put_address(&a[0], NULL, GATED4);
	assert_true(arrives_from(other, l->client, &a[0]));
	assert_true(arrives(l, &(struct answer){.b = "short", .n = 5}));
	assert_int_equal(learned(l, NULL, NULL, false), 0);
	assert_int_equal(connect_to(GATED4, 443), 0);
	close(other);
}

/* Cut off anywhere, or lying about its lengths: the application doesn't get it. */
static void test_what_cannot_be_read_is_dropped(void **state)
{
	struct lab *l = *state;
	struct answer whole = about(NAME, 2);
	size_t question = whole.n, all;
	uint64_t stats[GATE_STAT_MAX];

	put_address(&whole, NULL, GATED4);
	put_address(&whole, "second." NAME, GATED6);
	all = whole.n;
	for (size_t n = question; n < all; n++) {
		whole.n = n;
		assert_false(arrives(l, &whole));
		whole.n = all;
	}
	assert_int_equal(intercept_stats(l->i, stats), 0);
	assert_int_equal(stats[GATE_STAT_ANSWER], whole.n - question);
	(void)intercept_events(l->i, on_event, l);
	assert_true(l->events[GATE_EVENT_ANSWER] > 0);
	whole.b[7] = 3; /* one more than there are */
	assert_false(arrives(l, &whole));
	whole.b[7] = 2;
	whole.b[question] = 0x40; /* neither a label nor a pointer */
	assert_false(arrives(l, &whole));
	/* Disarmed, it does. */
	assert_int_equal(intercept_arm(l->i, false), 0);
	assert_true(arrives(l, &whole));
}

/* Until user space has taken up what one name has, another's answer waits. */
static void test_two_names_of_one_address(void **state)
{
	struct lab *l = *state;
	struct answer a = about(NAME, 1), b = about("other.example", 1);

	put_address(&a, NULL, GATED4);
	put_address(&b, NULL, GATED4);
	assert_true(arrives(l, &a));
	assert_false(arrives(l, &b));
	assert_int_equal(learned(l, NAME, GATED4, true), 1);
	assert_true(arrives(l, &b));
	assert_int_equal(learned(l, "other.example", GATED4, true), 1);
}

/* No room: the answer is dropped, so that nothing is open for want of it. */
static void test_full(void **state)
{
	struct lab *l = *state;
	struct answer a;
	char ip[INET6_ADDRSTRLEN];

	for (uint32_t k = 0; k < GATE_LEARNED_MAX; k += 16) {
		a = about(NAME, 16);
		for (uint32_t i = 0; i < 16; i++) {
			snprintf(ip, sizeof(ip), "10.%u.%u.%u", 1 + (k >> 16), (k >> 8) & 255,
			         (k & 255) + i);
			put_address(&a, NULL, ip);
		}
		assert_true(arrives(l, &a));
	}
	a = about(NAME, 1);
	put_address(&a, NULL, GATED4);
	assert_false(arrives(l, &a));
	assert_int_equal(learned(l, NULL, NULL, true), GATE_LEARNED_MAX);
	assert_true(arrives(l, &a));
	assert_int_equal(connect_to(GATED4, 443), EACCES);
}

/* The order of the policy's files decides between an address and a name. */
static void test_the_earlier_rule_decides(void **state)
{
	static const struct {
		uint32_t table, name, generation;
		enum policy_action action;
		int want;
	} t[] = {
	        {RULE - 1, RULE, GENERATION, POLICY_DENY, EPERM},
	        {RULE + 1, RULE, GENERATION, POLICY_DENY, EACCES},
	        {RULE - 1, RULE, GENERATION + 1, POLICY_DENY, EACCES},
	        {RULE + 1, RULE, GENERATION, POLICY_ALLOW, 0},
	        {RULE - 1, RULE, GENERATION + 1, POLICY_ALLOW, EPERM},
	        {UINT32_MAX, RULE, GENERATION, POLICY_ALLOW, 0},
	};
	struct lab *l = *state;
	struct answer a = about(NAME, 1);

	put_address(&a, NULL, GATED4);
	for (size_t k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
		struct policy_name_rules names = rules_of(NAME, t[k].action, t[k].name);
		struct policy_lpm p = {.prefix = prefix(GATED4, 32),
		                       .ports = 1,
		                       .port = {{.lo = 443,
		                                 .hi = 443,
		                                 .action = POLICY_DENY,
		                                 .err = EPERM,
		                                 .destination = t[k].table}}};

		assert_int_equal(intercept_names(l->i, &names, 1, GENERATION), 0);
		assert_int_equal(intercept_policy(l->i, &p, 1, t[k].generation, 0, 0), 0);
		assert_true(arrives(l, &a));
		assert_int_equal(connect_to(GATED4, 443), t[k].want);
		assert_int_equal(learned(l, NAME, GATED4, true), 1);
	}
}

/* A name that no question can hold does not keep the others out. */
static void test_names_that_are_none(void **state)
{
	struct policy_name_rules v[] = {
	        rules_of(
	                "a-label-that-is-longer-than-sixty-three-characters-which-no-name-has.example",
	                POLICY_DENY, RULE),
	        rules_of("two..dots", POLICY_DENY, RULE),
	        rules_of("Dotted.Example.", POLICY_DENY, RULE)};
	struct lab *l = *state;
	struct answer a = about("dotted.example", 1);

	put_address(&a, NULL, GATED4);
	assert_int_equal(intercept_names(l->i, v, 3, GENERATION), 0);
	assert_true(arrives(l, &a));
	assert_int_equal(learned(l, "dotted.example", GATED4, true), 1);
}

/* keygated is gone and comes back: what was learned meanwhile is still there. */
static void test_learned_outlives_keygated(void **state)
{
	struct lab *l = *state;
	struct answer a = about(NAME, 1);
	const char *step = "";
	bool watch;

	put_address(&a, NULL, GATED4);
	intercept_close(l->i);
	assert_true(arrives(l, &a));
	assert_int_equal(connect_to(GATED4, 443), EACCES);
	assert_int_equal(intercept_open_at(&l->i, LAB_PINS, lab_cgroup, &watch, &step), 0);
	assert_int_equal(connect_to(GATED4, 443), EACCES);
	assert_int_equal(learned(l, NAME, GATED4, true), 1);
}

int main(void)
{
	const struct CMUnitTest all[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	        T(test_an_answer_gates),
	        T(test_every_form_of_answer),
	        T(test_an_answer_over_ipv6),
	        T(test_what_is_not_ours_passes),
	        T(test_what_cannot_be_read_is_dropped),
	        T(test_two_names_of_one_address),
	        T(test_full),
	        T(test_the_earlier_rule_decides),
	        T(test_names_that_are_none),
	        T(test_learned_outlives_keygated),
#undef T
	};

	return lab_run(all, sizeof(all) / sizeof(all[0]), "test_bpf_names", NULL);
}
