/* SPDX-License-Identifier: Apache-2.0 */
/* Names and their addresses: kept while unresolved, kept a while after, carried over a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/file.h"
#include "daemon/names.h"

static struct msg_resolved answer(const char *a, const char *b)
{
	struct msg_resolved r = {.n = 0};

	if (a)
		assert_true(names_address_parse(a, r.addr[r.n++]));
	if (b)
		assert_true(names_address_parse(b, r.addr[r.n++]));
	return r;
}

/* Of a table with this name alone. */
static bool learn_name(struct name *name, const struct msg_resolved *answer, int64_t now,
                       uint64_t up_s)
{
	struct names t = {.v = name, .n = 1};
	bool changed = names_learn(&t, name, answer, now, up_s);

	free(t.at);
	return changed;
}

static void expect(const struct name *name, uint32_t at, const char *want)
{
	char got[64];

	assert_true(at < name->n);
	names_address_text(name->addr[at], got);
	assert_string_equal(got, want);
}

static void test_addresses_as_text(void **state)
{
	uint8_t a[16];
	char text[64];

	(void)state;
	assert_true(names_address_parse("192.0.2.7", a));
	assert_int_equal(a[10], 0xff);
	assert_int_equal(a[15], 7);
	names_address_text(a, text);
	assert_string_equal(text, "192.0.2.7");
	assert_true(names_address_parse("2001:db8::7", a));
	names_address_text(a, text);
	assert_string_equal(text, "2001:db8::7");
	assert_false(names_address_parse("192.0.2", a));
	assert_false(names_address_parse("2001:db8::7%lo", a));
	assert_false(names_address_parse("", a));
}

static void test_unresolved_changes_nothing(void **state)
{
	struct name name = {.host = "a.example"};
	struct msg_resolved r = answer("192.0.2.1", NULL);

	(void)state;
	assert_true(learn_name(&name, &r, 1000, 0));
	r = (struct msg_resolved){.err = -2};
	assert_false(learn_name(&name, &r, 1000 + 10 * NAMES_KEEP_S, 0));
	assert_int_equal(name.n, 1);
	assert_int_equal(name.err, -2);
	assert_int_equal(name.resolved_at, 1000);
}

static void test_old_answers_stay_a_day(void **state)
{
	struct name name = {.host = "a.example"};
	struct msg_resolved one = answer("192.0.2.1", NULL);
	struct msg_resolved two = answer("192.0.2.2", NULL);

	(void)state;
	assert_true(learn_name(&name, &one, 1000, 0));
	assert_false(learn_name(&name, &one, 1060, 0));
	assert_true(learn_name(&name, &two, 1120, 0));
	assert_int_equal(name.n, 2);
	assert_false(learn_name(&name, &two, 1060 + NAMES_KEEP_S, 0));
	assert_true(learn_name(&name, &two, 1061 + NAMES_KEEP_S, 0));
	assert_int_equal(name.n, 1);
	expect(&name, 0, "192.0.2.2");
}

/* A forged answer, or a large one, must not un-gate an address that is in force. */
static void test_bounded_and_none_is_pushed_out(void **state)
{
	struct name name = {.host = "a.example"};

	(void)state;
	for (int i = 0; i < NAMES_ADDRS_MAX + 1; i++) {
		struct msg_resolved r = {.n = 1};

		r.addr[0][15] = (uint8_t)i;
		assert_int_equal(learn_name(&name, &r, 1000 + i, 0), i < NAMES_ADDRS_MAX);
		assert_int_equal(name.surplus, i < NAMES_ADDRS_MAX ? 0 : 1);
	}
	assert_int_equal(name.n, NAMES_ADDRS_MAX);
	for (uint32_t i = 0; i < name.n; i++)
		assert_int_equal(name.addr[i][15], i);
}

/* On a clock that goes on while the time of day stands still. */
static void due_after(struct msg_resolved r, uint64_t seconds)
{
	struct name v[2] = {{.host = "a.example"}, {.host = "b.example", .due_s = UINT64_MAX}};
	struct names t = {.v = v, .n = 2};

	assert_ptr_equal(names_next(&t, 0), &v[0]);
	(void)names_learn(&t, &v[0], &r, 1000, 70);
	free(t.at);
	assert_null(names_next(&t, 70 + seconds - 1));
	assert_ptr_equal(names_next(&t, 70 + seconds), &v[0]);
}

static void test_due_when_the_answer_is_old(void **state)
{
	struct msg_resolved r = answer("192.0.2.1", NULL);

	(void)state;
	for (int32_t ttl = 0; ttl <= NAMES_TTL_MIN_S; ttl++) {
		r.ttl = ttl;
		due_after(r, NAMES_TTL_MIN_S);
	}
	r.ttl = 30;
	due_after(r, 30);
	r.ttl = NAMES_TTL_MAX_S;
	due_after(r, NAMES_TTL_MAX_S);
	r.ttl = INT32_MAX;
	due_after(r, NAMES_TTL_MAX_S);
	r.ttl = -1;
	due_after(r, NAMES_TTL_UNKNOWN_S);
	r.ttl = INT32_MIN;
	due_after(r, NAMES_TTL_UNKNOWN_S);
	due_after((struct msg_resolved){.err = -2, .ttl = 300}, NAMES_RETRY_S);
}

static void test_each_has_its_turn(void **state)
{
	struct name v[3] = {
	        {.host = "a.example"}, {.host = "b.example", .due_s = 9}, {.host = "c"}};
	struct names t = {.v = v, .n = 3, .turn = 1};

	(void)state;
	assert_ptr_equal(names_next(&t, 8), &v[2]);
	t.turn = 3;
	assert_ptr_equal(names_next(&t, 8), &v[0]);
	t.turn = 1;
	assert_ptr_equal(names_next(&t, 9), &v[1]);
}

static void test_hostile_count(void **state)
{
	struct name name = {.host = "a.example"};
	struct msg_resolved r = {.n = 65};

	(void)state;
	assert_false(learn_name(&name, &r, 1, 0));
	assert_int_equal(name.n, 0);
}

static void test_of_policy_keeps_what_is_known(void **state)
{
	char host[2][254] = {"a.example", "b.example"};
	struct policy_destination d[2] = {{.host = host, .hosts = 2},
	                                  {.host = &host[1], .hosts = 1}};
	struct policy p = {.destination = d, .destinations = 2};
	struct name known = {.host = "B.example", .n = 1};
	struct names old = {.n = 1, .v = &known};
	struct learned none = {0};
	struct names t = {0};
	struct policy_resolved *r = NULL;
	size_t n = 0;

	(void)state;
	assert_true(names_address_parse("192.0.2.9", known.addr[0]));
	assert_int_equal(names_of_policy(&p, &old, &t), 0);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.v[0].n, 0);
	assert_int_equal(t.v[1].n, 1);
	/* Both destinations get the address of the name that they share. */
	assert_int_equal(names_resolved(&t, &none, &p, NULL, &r, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(r[0].destination, 0);
	assert_int_equal(r[1].destination, 1);
	assert_memory_equal(r[0].addr, known.addr[0], 16);
	assert_false(r[0].learned || r[1].learned);
	free(r);
	names_free(&t);
}

/* By the index and by looking at each, the same. */
static void same_at(const struct names *t, const struct policy *p, const uint8_t addr[static 16])
{
	struct names plain = *t;
	struct learned none = {0};
	struct policy_resolved *fast = NULL, *slow = NULL;
	size_t fast_n = 0, slow_n = 0;

	assert_non_null(t->at);
	plain.at = NULL;
	assert_int_equal(names_resolved(t, &none, p, addr, &fast, &fast_n), 0);
	assert_int_equal(names_resolved(&plain, &none, p, addr, &slow, &slow_n), 0);
	assert_int_equal(fast_n, slow_n);
	assert_memory_equal(fast, slow, fast_n * sizeof(*fast));
	free(fast);
	free(slow);
}

/* Many names, and addresses that several of them have, that come and that go. */
static void test_index_of_addresses(void **state)
{
	enum { NAMES = 40, ADDRESSES = 16 };
	static char host[NAMES][254];
	struct policy_destination d[NAMES];
	struct policy p = {.destination = d, .destinations = NAMES};
	struct names none = {0}, t = {0};

	(void)state;
	memset(d, 0, sizeof(d));
	for (uint32_t i = 0; i < NAMES; i++) {
		snprintf(host[i], sizeof(host[i]), "%c%u.example", i % 2 ? 'z' : 'a', i);
		d[i].host = &host[i];
		d[i].hosts = 1;
	}
	assert_int_equal(names_of_policy(&p, &none, &t), 0);
	for (uint32_t turn = 0; turn < 4 * NAMES; turn++) {
		struct msg_resolved r = {.n = 2};

		r.addr[0][15] = (uint8_t)(turn * 7 % ADDRESSES);
		r.addr[1][0] = (uint8_t)(turn * 5 % ADDRESSES);
		(void)names_learn(&t, &t.v[turn % NAMES], &r, (int64_t)turn * NAMES_KEEP_S / 30, 0);
		for (int i = 0; i < ADDRESSES; i++) {
			same_at(&t, &p, (const uint8_t[16]){[15] = (uint8_t)i});
			same_at(&t, &p, (const uint8_t[16]){(uint8_t)i});
		}
	}
	names_free(&t);
}

/* ---------------------------------------------------------------------- learned */

static struct learned_address said(const char *host, const char *addr, uint32_t uid, int64_t seen)
{
	struct learned_address a = {.uid = uid, .seen = seen};

	snprintf(a.host, sizeof(a.host), "%s", host);
	assert_true(names_address_parse(addr, a.addr));
	return a;
}

static void learn(struct learned *l, const char *host, const char *addr, uint32_t uid, int64_t seen)
{
	const struct learned_address a = said(host, addr, uid, seen);

	assert_int_equal(learned_note(l, &a), 1);
}

static void test_learned_apart(void **state)
{
	char host[2][254] = {"a.example", "b.example"};
	struct policy_destination d[3] = {{.host = host, .hosts = 1, .action = POLICY_ALLOW},
	                                  {.host = &host[1], .hosts = 1, .action = POLICY_ALLOW},
	                                  {.host = host, .hosts = 2, .action = POLICY_DENY}};
	struct policy p = {.destination = d, .destinations = 3};
	struct msg_resolved answered = answer("192.0.2.1", NULL);
	struct names none = {0}, t = {0};
	struct policy_resolved *r = NULL;
	struct learned l = {0};
	uint8_t addr[16];
	size_t n = 0;

	(void)state;
	assert_int_equal(names_of_policy(&p, &none, &t), 0);
	assert_true(names_learn(&t, &t.v[0], &answered, 1, 0));
	learn(&l, "A.example", "192.0.2.2", 0, 1);
	learn(&l, "gone.example", "192.0.2.2", 0, 1);
	learn(&l, "gone.example", "192.0.2.3", 0, 1);
	assert_true(names_address_parse("192.0.2.2", addr));
	/* Of one name all that is said of it, of another address nothing. */
	assert_int_equal(names_resolved(&t, &l, &p, addr, &r, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(r[0].destination, 0);
	assert_int_equal(r[1].destination, 2);
	assert_true(r[0].learned && r[1].learned);
	free(r);
	/* Of two names that only which closes. */
	learn(&l, "b.example", "192.0.2.2", 0, 1);
	assert_int_equal(names_resolved(&t, &l, &p, addr, &r, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(r[0].destination, 2);
	assert_int_equal(r[1].destination, 2);
	free(r);
	/* And all at once; what was resolved says what it did. */
	assert_int_equal(names_resolved(&t, &l, &p, NULL, &r, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(r[0].destination, 0);
	assert_false(r[0].learned || r[1].learned);
	assert_true(r[2].learned && r[3].learned);
	free(r);
	names_free(&t);
	learned_free(&l);
}

static void test_learned_once(void **state)
{
	struct learned_address a = said("a.example", "192.0.2.1", 5, 100);
	struct learned l = {0};

	(void)state;
	assert_int_equal(learned_note(&l, &a), 1);
	snprintf(a.host, sizeof(a.host), "A.EXAMPLE");
	a.seen = 200;
	assert_int_equal(learned_note(&l, &a), 0);
	a.seen = 150;
	assert_int_equal(learned_note(&l, &a), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.v[0].seen, 200);
	assert_true(learned_has(&l, a.addr, "a.example"));
	assert_false(learned_has(&l, a.addr, "b.example"));
	learn(&l, "b.example", "192.0.2.1", 0, 1);
	learn(&l, "a.example", "192.0.2.0", 0, 1);
	assert_int_equal(learned_first(&l, a.addr), 1);
	learned_drop(&l, 1);
	assert_false(learned_has(&l, a.addr, "a.example"));
	assert_true(learned_has(&l, a.addr, "b.example"));
	learned_free(&l);
}

static void learn_many(struct learned *l, const char *host, uint32_t uid, int n, int64_t seen)
{
	char ip[32];

	for (int i = 0; i < n; i++) {
		snprintf(ip, sizeof(ip), "10.%u.%d.%d", uid, i >> 8, i & 255);
		learn(l, host, ip, uid, seen + i);
	}
}

/* Who fills the place makes room for others, with the oldest that nobody is about to use. */
static void test_learned_victims(void **state)
{
	const int64_t late = 1000 + 2 * LEARNED_YOUNG_S;
	struct learned l = {0};
	int64_t at;

	(void)state;
	learn(&l, "a.example", "192.0.2.1", 1, 1);
	learn_many(&l, "a.example", 2, LEARNED_NAME_MAX - 1, 1000);
	assert_int_equal(learned_victim(&l, "a.example", late), -1);
	learn(&l, "a.example", "192.0.2.2", 3, 900);
	at = learned_victim(&l, "A.example", late);
	assert_true(at >= 0);
	assert_int_equal(l.v[at].uid, 2);
	assert_int_equal(l.v[at].seen, 1000);
	assert_int_equal(learned_victim(&l, "a.example", 1000 + LEARNED_YOUNG_S), -1);
	assert_int_equal(learned_victim(&l, "b.example", late), -1);
	assert_int_equal(learned_victim(&l, NULL, late), -1);
	learn_many(&l, "b.example", 4, LEARNED_MAX, 2000);
	at = learned_victim(&l, NULL, 5 * late);
	assert_int_equal(l.v[at].uid, 4);
	assert_int_equal(l.v[at].seen, 2000);
	learned_free(&l);
}

static void test_learned_has_an_end(void **state)
{
	struct learned_address a = said("c.example", "192.0.2.1", 5, 100);
	struct learned l = {0};

	(void)state;
	learn_many(&l, "a.example", 1, LEARNED_ROOM, 1);
	assert_int_equal(learned_note(&l, &a), -ENOSPC);
	assert_int_equal(l.n, LEARNED_ROOM);
	learned_free(&l);
}

static void test_file(void **state)
{
	char path[] = "/tmp/keygate-names.XXXXXX";
	struct name v[2] = {{.host = "a.example"}, {.host = "b.example"}};
	struct names t = {.n = 2, .v = v};
	struct msg_resolved r = answer("192.0.2.1", "2001:db8::1");
	struct names got = {0};
	struct learned l = {0}, back = {0};

	(void)state;
	assert_true(mkstemp(path) >= 0);
	(void)learn_name(&v[0], &r, 1234, 0);
	learn(&l, "b.example", "192.0.2.2", 1000, 77);
	learn(&l, "b.example", "192.0.2.3", 0, 78);
	learn(&l, "a.example", "192.0.2.2", 0, 79);
	assert_int_equal(names_save(&t, &l, path), 0);
	assert_int_equal(names_load(path, &got, &back), 0);
	assert_int_equal(back.n, 3);
	assert_memory_equal(back.v, l.v, 3 * sizeof(*l.v));
	learned_free(&back);
	learned_free(&l);
	assert_int_equal(got.n, 2);
	expect(names_find(&got, "a.example"), 1, "2001:db8::1");
	assert_int_equal(names_find(&got, "a.example")->seen[0], 1234);
	assert_int_equal(names_find(&got, "b.example")->n, 0);
	names_free(&got);

	/* Of a file in which both kinds are one, none is as good as resolved. */
	assert_int_equal(
	        file_write_atomic(path, bytes_str("{\"version\":{\"192.0.2.1\":5}}"), 0600), 0);
	assert_int_equal(names_load(path, &got, &back), 0);
	assert_int_equal(got.n, 0);
	assert_int_equal(back.n, 1);
	assert_string_equal(back.v[0].host, "version");
	assert_int_equal(back.v[0].seen, 5);
	names_free(&got);
	learned_free(&back);

#define V2(resolved, learned) "{\"version\":2,\"resolved\":" resolved ",\"learned\":" learned "}"
	static const char *const bad[] = {"",
	                                  "[]",
	                                  "{\"a\":1}",
	                                  "{\"a\":{\"1.2.3\":1}}",
	                                  "{\"a\":{\"192.0.2.1\":\"1\"}}",
	                                  "{\"a\":{},\"a\":{}}",
	                                  "{\"version\":3,\"resolved\":{},\"learned\":{}}",
	                                  "{\"version\":2,\"resolved\":{}}",
	                                  "{\"version\":2,\"learned\":{}}",
	                                  V2("{\"a\":{\"192.0.2.1\":\"1\"}}", "{}"),
	                                  V2("{}", "{\"a\":1}"),
	                                  V2("{}", "{\"a\":{\"192.0.2.1\":1}}"),
	                                  V2("{}", "{\"a\":{\"192.0.2.1\":[1]}}"),
	                                  V2("{}", "{\"a\":{\"192.0.2.1\":[\"1\",0]}}"),
	                                  V2("{}", "{\"a\":{\"192.0.2.256\":[1,0]}}")};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(file_write_atomic(path, bytes_str(bad[i]), 0600), 0);
		assert_int_equal(names_load(path, &got, &back), -EBADMSG);
	}
	unlink(path);
	assert_int_equal(names_load(path, &got, &back), -ENOENT);
}

/* The addresses of a large table are there after a restart. */
static void test_large_file(void **state)
{
	enum { NAMES = 2500 };
	char path[] = "/tmp/keygate-names.XXXXXX";
	struct names t = {.n = NAMES, .v = calloc(NAMES, sizeof(*t.v))}, got = {0};
	struct learned none = {0}, back = {0};

	(void)state;
	assert_non_null(t.v);
	assert_true(mkstemp(path) >= 0);
	for (uint32_t i = 0; i < NAMES; i++) {
		snprintf(t.v[i].host, sizeof(t.v->host), "h%04u.example", i);
		for (t.v[i].n = 0; t.v[i].n < NAMES_ADDRS_MAX; t.v[i].n++)
			memset(t.v[i].addr[t.v[i].n], (int)t.v[i].n + 1, sizeof(t.v->addr[0]));
	}
	assert_int_equal(names_save(&t, &none, path), 0);
	assert_int_equal(names_load(path, &got, &back), 0);
	assert_int_equal(got.n, NAMES);
	assert_int_equal(got.v[NAMES - 1].n, NAMES_ADDRS_MAX);
	names_free(&got);
	names_free(&t);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_addresses_as_text),
	        cmocka_unit_test(test_unresolved_changes_nothing),
	        cmocka_unit_test(test_old_answers_stay_a_day),
	        cmocka_unit_test(test_bounded_and_none_is_pushed_out),
	        cmocka_unit_test(test_due_when_the_answer_is_old),
	        cmocka_unit_test(test_each_has_its_turn),
	        cmocka_unit_test(test_hostile_count),
	        cmocka_unit_test(test_of_policy_keeps_what_is_known),
	        cmocka_unit_test(test_learned_apart),
	        cmocka_unit_test(test_learned_once),
	        cmocka_unit_test(test_learned_victims),
	        cmocka_unit_test(test_learned_has_an_end),
	        cmocka_unit_test(test_file),
	        cmocka_unit_test(test_large_file),
	        cmocka_unit_test(test_index_of_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
