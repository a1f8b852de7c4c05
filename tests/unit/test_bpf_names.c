// SPDX-License-Identifier: Apache-2.0
/*
 * Names that the policy gates, and the addresses that the kernel learns for them from the answers
 * that applications get, before these read them.
 */
#include "tests/unit/bpf_lab.h"

enum { GENERATION = 7, OTHER_RULE = 2, RULE };

#define NAME "gated.example"

struct lab {
	struct intercept *i;
	int server, client; /* of DNS; in IPv4 */
	int there;          /* what listens where a name leads */
	size_t events[GATE_EVENT_KINDS];
	uint32_t rule; /* of the last connect that was refused */
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

/* What is asked does not matter to the kernel half, but that and by whom. */
static void asks(int server, int client)
{
	struct sockaddr_storage to;
	socklen_t n = sizeof(to);
	char got[16];

	assert_int_equal(getsockname(server, (struct sockaddr *)&to, &n), 0);
	assert_int_equal(sendto(client, "?", 1, 0, (struct sockaddr *)&to, n), 1);
	assert_true(ready(server, POLLIN, 1000));
	assert_int_equal(recv(server, got, sizeof(got), 0), 1);
}

/* Sent from the server; whether the application gets it. */
static bool reaches(int server, int client, const struct answer *a)
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

static bool arrives_from(int server, int client, const struct answer *a)
{
	asks(server, client);
	return reaches(server, client, a);
}

static bool arrives(struct lab *l, const struct answer *a)
{
	return arrives_from(l->server, l->client, a);
}

struct known {
	struct lab *l;
	const char *host;
	uint8_t addr[16];
	bool forget;
	int n, hits;
};

static void address_of(const char *ip, uint8_t out[static 16])
{
	struct sockaddr_storage s = at(ip, 0);
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	if (s.ss_family == AF_INET) {
		memcpy(&v4, &s, sizeof(v4));
		memset(out, 0, 10);
		out[10] = out[11] = 0xff;
		memcpy(out + 12, &v4.sin_addr, 4);
	} else {
		memcpy(&v6, &s, sizeof(v6));
		memcpy(out, &v6.sin6_addr, 16);
	}
}

static void on_learned(void *ctx, const struct intercept_told *told)
{
	struct known *k = ctx;

	k->n++;
	k->hits += !strcmp(told->host, k->host) && !memcmp(told->addr, k->addr, 16);
	if (k->forget)
		intercept_unlearn(k->l->i, told->addr, told->uid);
}

/* How many addresses the kernel has learned; each is this one of this host, unless NULL. */
static int learned(struct lab *l, const char *host, const char *ip, bool forget)
{
	struct known k = {.l = l, .host = host ? host : "", .forget = forget};
	int found;

	address_of(ip ? ip : OPEN4, k.addr);
	found = intercept_learned(l->i, on_learned, &k);
	assert_int_equal(found, k.n);
	if (host)
		assert_int_equal(k.hits, k.n);
	return k.n;
}

/* How much was told, which is this. */
static int told(struct lab *l, const char *host, const char *ip)
{
	struct known k = {.l = l, .host = host};
	int found;

	address_of(ip, k.addr);
	found = intercept_told(l->i, on_learned, &k);
	assert_int_equal(found, k.n);
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
	if (e->kind == GATE_EVENT_DENY)
		l->rule = e->rule;
}

static int setup(void **state)
{
	const struct policy_name_rules names[] = {
	        rules_of(NAME, POLICY_DENY, RULE),
	        rules_of("other.example", POLICY_DENY, OTHER_RULE)};
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
	assert_int_equal(told(l, NAME, GATED4), 1);
	assert_int_equal(learned(l, NAME, GATED4, false), 1);
	/* Said again: known. */
	assert_true(arrives(l, &a));
	assert_int_equal(told(l, NAME, GATED4), 0);
	assert_int_equal(learned(l, NAME, GATED4, true), 1);
	assert_int_equal(learned(l, NAME, GATED4, true), 0);
	/* User space took it out, and has no rule for it here. */
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

/* Until user space has put together what two names say, the other's answer waits. */
static void test_two_names_of_one_address(void **state)
{
	struct policy_name_rules both = rules_of(NAME, POLICY_DENY, RULE);
	struct intercept_told t = {.host = NAME};
	struct lab *l = *state;
	struct answer a = about(NAME, 1), b = about("other.example", 1);

	put_address(&a, NULL, GATED4);
	put_address(&b, NULL, GATED4);
	assert_true(arrives(l, &a));
	assert_int_equal(told(l, NAME, GATED4), 1);
	assert_false(arrives(l, &b));
	assert_int_equal(told(l, "other.example", GATED4), 1);
	assert_int_equal(learned(l, NAME, GATED4, false), 1);
	both.port[both.ports] = both.port[0];
	both.port[both.ports++].destination = OTHER_RULE;
	address_of(GATED4, t.addr);
	assert_int_equal(intercept_learn(l->i, &t, &both, GENERATION), 0);
	assert_true(arrives(l, &a));
	assert_true(arrives(l, &b));
	assert_int_equal(told(l, NAME, GATED4), 0);
	/* An earlier rule for more ports leaves nothing to the other. */
	both = rules_of(NAME, POLICY_DENY, RULE);
	both.port[0].destination = OTHER_RULE - 1;
	both.port[0].lo = 0;
	both.port[0].hi = UINT16_MAX;
	assert_int_equal(intercept_learn(l->i, &t, &both, GENERATION), 0);
	assert_true(arrives(l, &b));
	/* But not one that is for some applications, or of another policy. */
	both.port[0].app = 1;
	assert_int_equal(intercept_learn(l->i, &t, &both, GENERATION), 0);
	assert_false(arrives(l, &b));
	both.port[0].app = 0;
	assert_int_equal(intercept_learn(l->i, &t, &both, GENERATION + 1), 0);
	assert_false(arrives(l, &b));
}

static void put_many(struct answer *a, uint32_t from, uint32_t n)
{
	char ip[INET6_ADDRSTRLEN];

	for (uint32_t i = from; i < from + n; i++) {
		snprintf(ip, sizeof(ip), "10.%u.%u.%u", 1 + (i >> 16), (i >> 8) & 255, i & 255);
		put_address(a, NULL, ip);
	}
}

enum { AT_ONCE = 16 };

/* Answers to one user with as many addresses as can be, forged or not. */
static void flood(struct lab *l, uid_t user)
{
	struct answer a;

	/* Who asks is the real user; the rest of root's powers stays. */
	assert_int_equal(setreuid(user, (uid_t)-1), 0);
	for (uint32_t k = 0; k < GATE_LEARNED_USER_MAX; k += AT_ONCE) {
		a = about(NAME, AT_ONCE);
		put_many(&a, user * GATE_LEARNED_USER_MAX + k, AT_ONCE);
		assert_true(arrives(l, &a));
	}
	a = about(NAME, 1);
	put_many(&a, 0xf0000 + user, 1);
	assert_false(arrives(l, &a));
	assert_int_equal(setreuid(0, (uid_t)-1), 0);
}

/* One user can't take the others' room. */
static void test_a_flood_is_of_one_user(void **state)
{
	struct lab *l = *state;
	struct answer a = about(NAME, 1), again = about(NAME, 1);

	flood(l, 1);
	put_address(&a, NULL, GATED4);
	assert_true(arrives(l, &a));
	assert_int_equal(connect_to(GATED4, 443), EACCES);
	/* What is known already is no new one. */
	put_many(&again, GATE_LEARNED_USER_MAX, 1);
	assert_int_equal(setreuid(1, (uid_t)-1), 0);
	assert_true(arrives(l, &again));
	assert_int_equal(setreuid(0, (uid_t)-1), 0);
	/* What user space takes back makes room. */
	assert_int_equal(learned(l, NULL, NULL, true), GATE_LEARNED_USER_MAX + 1);
	while (intercept_told(l->i, on_learned, &(struct known){.l = l, .host = ""}) > 0)
		;
	flood(l, 1);
}

/* What the table may say of the address. */
static struct policy_lpm denied(void)
{
	return (struct policy_lpm){
	        .prefix = prefix(GATED4, 32),
	        .ports = 1,
	        .port = {{.lo = 443, .hi = 443, .action = POLICY_DENY, .destination = RULE}}};
}

/*
 * No room for anybody: the answer is dropped, so that nothing is open for want of it. What keygated
 * resolves, and what is in force, passes.
 */
static void test_full(void **state)
{
	struct policy_lpm in_force = denied();
	struct lab *l = *state;
	struct answer a = about(NAME, 1);

	put_address(&a, NULL, GATED4);
	for (uid_t user = 1; user <= GATE_LEARNED_MAX / GATE_LEARNED_USER_MAX; user++)
		flood(l, user);
	assert_false(arrives(l, &a));
	assert_int_equal(intercept_resolver(l->i, 77), 0);
	assert_false(arrives(l, &a));
	assert_int_equal(setreuid(77, (uid_t)-1), 0);
	assert_true(arrives(l, &a));
	assert_int_equal(setreuid(0, (uid_t)-1), 0);
	assert_int_equal(connect_to(GATED4, 443), 0);
	assert_int_equal(intercept_policy(l->i, &in_force, 1, GENERATION, 0, 0), 0);
	assert_true(arrives(l, &a));
	assert_int_equal(intercept_policy(l->i, NULL, 0, GENERATION, 0, 0), 0);
	assert_int_equal(learned(l, NULL, NULL, true), GATE_LEARNED_MAX);
	assert_true(arrives(l, &a));
	assert_int_equal(connect_to(GATED4, 443), EACCES);
}

/* Whoever asked nobody is told nothing, and a namespace that root did not make tells nobody. */
static void test_answers_that_are_not_believed(void **state)
{
	struct policy_lpm in_force = denied();
	struct lab *l = *state;
	struct answer a = about(NAME, 1);

	put_address(&a, NULL, GATED4);
	assert_false(reaches(l->server, l->client, &a));
	assert_int_equal(intercept_netns(l->i, lab_netns, false, false), 0);
	assert_false(arrives(l, &a));
	intercept_netns_forget(l->i, lab_netns);
	assert_false(arrives(l, &a));
	assert_int_equal(learned(l, NULL, NULL, false), 0);
	assert_int_equal(connect_to(GATED4, 443), 0);
	/* What is in force there anyway may be said. */
	assert_int_equal(intercept_policy(l->i, &in_force, 1, GENERATION, 0, 0), 0);
	assert_true(arrives(l, &a));
	assert_int_equal(intercept_policy(l->i, NULL, 0, GENERATION, 0, 0), 0);
	assert_int_equal(intercept_netns(l->i, lab_netns, false, true), 0);
	assert_true(arrives(l, &a));
	assert_int_equal(connect_to(GATED4, 443), EACCES);
}

/*
 * What answers say only closes: whoever forges one opens nothing, and puts no gate in the place of
 * another. Of what closes, and of what is open by a rule, the earlier in the policy's files counts.
 */
static void test_learned_only_closes(void **state)
{
	static const struct {
		enum policy_action action; /* of the table: with this rule */
		uint32_t rule, generation;
		enum policy_action name; /* with RULE */
		int want;
		uint32_t decides;
	} t[] = {
	        {POLICY_DENY, UINT32_MAX, GENERATION, POLICY_ALLOW, EPERM, UINT32_MAX},
	        {POLICY_DENY, UINT32_MAX, GENERATION, POLICY_MONITOR, EPERM, UINT32_MAX},
	        {POLICY_DENY, UINT32_MAX, GENERATION, POLICY_GATE, EPERM, UINT32_MAX},
	        {POLICY_DENY, RULE + 1, GENERATION, POLICY_ALLOW, EPERM, RULE + 1},
	        {POLICY_DENY, RULE + 1, GENERATION, POLICY_MONITOR, EPERM, RULE + 1},
	        {POLICY_DENY, RULE + 1, GENERATION, POLICY_GATE, EPERM, RULE + 1},
	        {POLICY_DENY, RULE + 1, GENERATION + 1, POLICY_GATE, EPERM, RULE + 1},
	        {POLICY_GATE, RULE + 1, GENERATION, POLICY_ALLOW, ECONNREFUSED, RULE + 1},
	        {POLICY_GATE, RULE + 1, GENERATION, POLICY_MONITOR, ECONNREFUSED, RULE + 1},
	        {POLICY_GATE, RULE + 1, GENERATION, POLICY_GATE, ECONNREFUSED, RULE + 1},
	        {POLICY_GATE, RULE + 1, GENERATION + 1, POLICY_GATE, ECONNREFUSED, RULE + 1},
	        {POLICY_GATE, RULE + 1, GENERATION, POLICY_DENY, EACCES, RULE},
	        {POLICY_GATE, RULE - 1, GENERATION, POLICY_DENY, ECONNREFUSED, RULE - 1},
	        {POLICY_GATE, RULE - 1, GENERATION + 1, POLICY_DENY, EACCES, RULE},
	        {POLICY_ALLOW, RULE + 1, GENERATION, POLICY_DENY, EACCES, RULE},
	        {POLICY_ALLOW, RULE + 1, GENERATION, POLICY_GATE, ECONNREFUSED, RULE},
	        {POLICY_MONITOR, RULE + 1, GENERATION, POLICY_GATE, ECONNREFUSED, RULE},
	        {POLICY_ALLOW, RULE - 1, GENERATION, POLICY_GATE, 0, 0},
	        {POLICY_MONITOR, RULE - 1, GENERATION, POLICY_DENY, 0, 0},
	        {POLICY_MONITOR, RULE + 1, GENERATION, POLICY_ALLOW, 0, 0},
	        {POLICY_ALLOW, RULE - 1, GENERATION + 1, POLICY_DENY, EACCES, RULE},
	};
	struct lab *l = *state;
	struct answer a = about(NAME, 1);

	put_address(&a, NULL, GATED4);
	for (size_t k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
		struct policy_name_rules names = rules_of(NAME, t[k].name, RULE);
		struct policy_lpm p = {.prefix = prefix(GATED4, 32),
		                       .ports = 1,
		                       .port = {{.lo = 443,
		                                 .hi = 443,
		                                 .action = t[k].action,
		                                 .err = EPERM,
		                                 .destination = t[k].rule}}};

		/* Something to be learned, whatever is said of the port. */
		names.port[names.ports] = names.port[0];
		names.port[names.ports].lo = names.port[names.ports].hi = 444;
		names.port[names.ports++].action = POLICY_DENY;
		assert_int_equal(intercept_names(l->i, &names, 1, GENERATION), 0);
		assert_int_equal(intercept_policy(l->i, &p, 1, t[k].generation, 0, 0), 0);
		assert_true(arrives(l, &a));
		l->rule = 0;
		l->events[GATE_EVENT_MONITOR] = 0;
		assert_int_equal(connect_to(GATED4, 443), t[k].want);
		(void)intercept_events(l->i, on_event, l);
		assert_int_equal(l->rule, t[k].decides);
		assert_int_equal(l->events[GATE_EVENT_MONITOR],
		                 !t[k].want && t[k].action == POLICY_MONITOR);
		assert_int_equal(learned(l, NAME, GATED4, true), 1);
	}
}

/* The forged answer of somebody who wants to get out: the policy denies all but one name. */
static void test_a_forged_answer_opens_nothing(void **state)
{
	static const enum policy_action open[] = {POLICY_ALLOW, POLICY_MONITOR};
	struct policy_lpm all = {.prefix = prefix("0.0.0.0", 0),
	                         .ports = 1,
	                         .port = {{.hi = UINT16_MAX,
	                                   .action = POLICY_DENY,
	                                   .err = EACCES,
	                                   .destination = UINT32_MAX}}};
	struct policy_lpm here = all;
	struct lab *l = *state;

	/* The name server's, so that the packets arrive. */
	here.prefix = prefix(OPEN4, 32);
	here.port[0].action = POLICY_ALLOW;
	here.port[0].destination = 1;
	for (size_t k = 0; k < 2; k++) {
		struct policy_name_rules names = rules_of("deb.example", open[k], 0);
		struct answer a = about("deb.example", 1);

		put_address(&a, NULL, GATED4);
		assert_int_equal(intercept_names(l->i, &names, 1, GENERATION), 0);
		assert_int_equal(intercept_policy(l->i, (struct policy_lpm[]){all, here}, 2,
		                                  GENERATION, 0, 0),
		                 0);
		assert_true(arrives(l, &a));
		assert_int_equal(connect_to(GATED4, 443), EACCES);
		assert_int_equal(learned(l, NULL, NULL, false), 0);
	}
}

/* Names of a policy that does not come into force. */
static void test_names_are_put_back(void **state)
{
	struct policy_name_rules next = rules_of("next.example", POLICY_DENY, RULE);
	struct lab *l = *state;
	struct answer a = about(NAME, 1);

	put_address(&a, NULL, GATED4);
	assert_int_equal(intercept_names(l->i, &next, 1, GENERATION + 1), 0);
	assert_true(arrives(l, &a));
	assert_int_equal(connect_to(GATED4, 443), 0);
	intercept_undo(l->i);
	assert_true(arrives(l, &a));
	assert_int_equal(connect_to(GATED4, 443), EACCES);
	/* Nothing was put that could be taken back. */
	assert_int_equal(learned(l, NAME, GATED4, true), 1);
	intercept_undo(l->i);
	assert_int_equal(intercept_names(l->i, &next, 1, GENERATION + 1), 0);
	assert_int_equal(intercept_policy(l->i, NULL, 0, GENERATION + 1, 0, 0), 0);
	intercept_undo(l->i);
	assert_true(arrives(l, &a));
	assert_int_equal(connect_to(GATED4, 443), 0);
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
	        T(test_a_flood_is_of_one_user),
	        T(test_full),
	        T(test_answers_that_are_not_believed),
	        T(test_learned_only_closes),
	        T(test_a_forged_answer_opens_nothing),
	        T(test_names_are_put_back),
	        T(test_names_that_are_none),
	        T(test_learned_outlives_keygated),
#undef T
	};

	return lab_run(all, sizeof(all) / sizeof(all[0]), "test_bpf_names", NULL);
}
