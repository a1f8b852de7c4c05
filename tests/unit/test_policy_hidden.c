/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destinations that others hide: what is said of them, and for many small policies whether it is
 * what a look at every address, port and application gives.
 */
#include "policy_files.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define ALLOW(name, at) "destination " name " { action = allow " at " }\n"
#define DENY(name, at)  "destination " name " { action = deny " at " }\n"
#define GATED(name, at) "destination " name " { action = gate tee = snp ledger = acme " at " }\n"
#define NET(x)          "address = \"" x "\""

/* What is wrong with the policy, "KIND TEXT" a line. */
static void issues_of(const char *text, struct buf *out)
{
	static struct policy_issues issues;
	struct policy *p = NULL;
	struct buf whole = buf_make(1 << 20);
	int rc;

	buf_printf(&whole, GATE_HEAD "%s", text);
	buf_u8(&whole, 0);
	rc = parse_two((const char *)whole.p, NULL, &p, &issues);
	buf_reset(out);
	for (uint32_t i = 0; i < issues.n; i++)
		if (!strncmp(issues.v[i].text, "destination \"", 13) && !is_no_floor(&issues.v[i]))
			buf_printf(out, "%s %s\n", issues.v[i].error ? "error" : "warning",
			           issues.v[i].text);
	buf_u8(out, 0);
	assert_int_equal(rc, issues.errors ? -EINVAL : 0);
	policy_free(p);
	buf_free(&whole);
}

#define REACHED(name) "error destination \"" name "\" is never reached: "
#define ONE           " comes first and matches all of it; move this one before it or remove it\n"
#define MORE          " come first and match all of it; move this one before them or remove it\n"
#define GATES(where)  "warning destination \"z\" does not gate all of " where ": "
#define PASSES(where) \
	" comes first and lets " where \
	" pass unprotected; unless that is meant, remove it there or move this one before it\n"
#define A_ "\"a\" at " FILE_A ":3"

static void what_is_said(void **state)
{
	static const char *const rows[][2] = {
	        /* By two between them. */
	        {ALLOW("a", NET("10.0.0.0/25")) ALLOW("b", NET("10.0.0.128/25"))
	                 GATED("z", NET("10.0.0.0/24") " port = 443"),
	         REACHED("z") A_ " and \"b\"" MORE},
	        {ALLOW("a", NET("10.0.0.0/25")) ALLOW("b", NET("10.0.0.128/26"))
	                 DENY("c", NET("10.0.0.192/26")) DENY("z", NET("10.0.0.0/24")),
	         REACHED("z") A_ ", \"b\" and more" MORE},
	        {DENY("a", NET("10.0.0.0/24") " port = 1-100")
	                 DENY("b", NET("10.0.0.0/25") " port = 101-65535")
	                         DENY("c", NET("10.0.0.128/25") " port = {101-65535}")
	                                 DENY("z", NET("10.0.0.0/24") " port = 7-443"),
	         REACHED("z") A_ ", \"b\" and more" MORE},
	        /* All but an address, a port, an application. */
	        {DENY("a", NET("10.0.0.0/25")) DENY("b", NET("10.0.0.128/25") " port = 2-65535")
	                 DENY("z", NET("10.0.0.0/24")),
	         ""},
	        {DENY("a", NET("10.0.0.0/25")) DENY("b", NET("10.0.0.128/26"))
	                 DENY("z", NET("10.0.0.0/24")),
	         ""},
	        {DENY("a", NET("10.0.0.0/25")) DENY("b", NET("10.0.0.128/25") " user = 1")
	                 DENY("z", NET("10.0.0.0/24") " user = {1, 2}"),
	         ""},
	        {DENY("a", NET("10.0.0.0/25")) DENY("b", NET("10.0.0.128/25") " user = {1, 2}")
	                 DENY("z", NET("10.0.0.0/24") " user = 1"),
	         REACHED("z") A_ " and \"b\"" MORE},
	        /* The whole of both families, and with it whatever a name may be. */
	        {DENY("a", NET("::/1")) DENY("b", NET("8000::/1")) DENY("z", NET("::/0")),
	         REACHED("z") A_ " and \"b\"" MORE},
	        {DENY("a", NET("::/0")) DENY("z", NET("0.0.0.0/0")), ""},
	        {DENY("a", "address = {\"::/0\", 0.0.0.0/0}")
	                 GATED("z", "name = x.example port = 443"),
	         REACHED("z") A_ ONE},
	        {DENY("a", "address = {\"::/0\", 0.0.0.0/1}") DENY("z", "name = x.example"), ""},
	        {DENY("a", "name = x.example port = 1-10")
	                 DENY("b", NET("0.0.0.0/0") " port = 11-20")
	                         DENY("c", NET("::/0") " port = 11-30")
	                                 DENY("z", "name = x.example port = 5-15"),
	         REACHED("z") A_ ", \"c\" and more" MORE},
	        /* A part, which passes though it was to be gated. */
	        {ALLOW("a", NET("10.0.0.0/25")) GATED("z", NET("10.0.0.0/24") " port = 443"),
	         GATES("10.0.0.0/24 port 443") A_ PASSES("10.0.0.0/25 port 443")},
	        {ALLOW("a", NET("10.0.0.0/8") " port = 400-450")
	                 GATED("z", NET("10.0.0.0/24") " port = 443-500"),
	         GATES("10.0.0.0/24 ports 443-500") A_ PASSES("10.0.0.0/24 ports 443-450")},
	        {ALLOW("a", "name = x.example port = 400-450")
	                 GATED("z", "name = x.example port = 443-500 " NET("10.9.0.0/16")),
	         GATES("x.example ports 443-500") A_ PASSES("x.example ports 443-450")},
	        /* To deny or to gate a part otherwise is a usual exception, as is one application.
	         */
	        {DENY("a", NET("10.0.0.0/25")) GATED("z", NET("10.0.0.0/24") " port = 443"), ""},
	        {GATED("a", NET("10.0.0.0/25") " port = 443")
	                 GATED("z", NET("10.0.0.0/24") " port = 443 vmpl = 1"),
	         ""},
	        {ALLOW("a", NET("10.0.0.0/25")) DENY("z", NET("10.0.0.0/24")), ""},
	        {ALLOW("a", NET("10.0.0.0/25") " user = 1")
	                 GATED("z", NET("10.0.0.0/24") " port = 443"),
	         ""},
	        {ALLOW("a", NET("10.0.0.0/25") " port = 442")
	                 GATED("z", NET("10.0.0.0/24") " port = 443"),
	         ""},
	        /* What passes there was gated before. */
	        {GATED("a", NET("10.0.0.0/24") " port = 443")
	                 ALLOW("b", NET("10.0.0.0/24") " port = "
	                                               "1-1000")
	                         GATED("z", NET("10.0.0.0/8") " port = 443"),
	         ""},
	};
	struct buf said = buf_make(1 << 16);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		issues_of(rows[i][0], &said);
		if (strcmp((const char *)said.p, rows[i][1]) != 0)
			fail_msg("of:\n%swas said:\n%snot:\n%s", rows[i][0], (const char *)said.p,
			         rows[i][1]);
	}
	buf_free(&said);
}

/* ---------------------------------------------------------------------- by brute force */

/* 16 addresses of either family, 8 ports, and users 1 and 2 of all others. */
enum { ADDRESSES = 32, PORTS = 8, BLOCKS = 6, CELLS = 2, POLICIES = 3000 };

struct block {
	enum { ALLOWS, DENIES, GATES_ } action;
	uint32_t cells;
	uint32_t address[CELLS], size[CELLS];
	uint32_t lo[CELLS], hi[CELLS]; /* ranges of its ports, which all of its addresses have */
	uint32_t ranges;
	uint32_t users; /* bits; 0: every application */
};

static uint32_t seed = 1;

static uint32_t below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 16) % n;
}

static void draw(struct block *b)
{
	*b = (struct block){.action = below(3), .cells = 1 + below(CELLS)};
	b->users = below(3) ? 0 : 1 + below(3);
	for (uint32_t i = 0; i < b->cells; i++) {
		b->size[i] = 1U << below(5);
		b->address[i] = below(ADDRESSES) & ~(b->size[i] - 1);
	}
	b->ranges = 1 + below(CELLS);
	for (uint32_t i = 0; i < b->ranges; i++) {
		b->lo[i] = 1 + below(PORTS);
		b->hi[i] = b->lo[i] + below(PORTS + 1 - b->lo[i]);
	}
}

static void put_drawn(struct buf *out, const struct block *b, uint32_t n)
{
	static const char *const action[] = {"allow", "deny",
	                                     "gate tee = snp ledger = acme vmpl = 1"};
	static const char *const users[] = {"", "user = 1", "user = 2", "user = {1, 2}"};

	buf_printf(out, "destination d%u { action = %s %s address = {", n, action[b->action],
	           users[b->users]);
	for (uint32_t i = 0; i < b->cells; i++) {
		uint32_t bits = (uint32_t)__builtin_ctz(b->size[i]);

		if (b->address[i] < 16)
			buf_printf(out, "%s10.0.0.%u/%u", i ? ", " : "", b->address[i], 32 - bits);
		else
			buf_printf(out, "%s\"2001:db8::%x/%u\"", i ? ", " : "", b->address[i] - 16,
			           128 - bits);
	}
	buf_printf(out, "} port = {");
	for (uint32_t i = 0; i < b->ranges; i++)
		buf_printf(out, "%s%u-%u", i ? ", " : "", b->lo[i], b->hi[i]);
	buf_printf(out, "} }\n");
}

static bool has(const struct block *b, uint32_t address, uint32_t port)
{
	bool at = false, on = false;

	for (uint32_t i = 0; i < b->cells; i++)
		at |= address >= b->address[i] && address < b->address[i] + b->size[i];
	for (uint32_t i = 0; i < b->ranges; i++)
		on |= port >= b->lo[i] && port <= b->hi[i];
	return at && on;
}

/* The first before d that takes this of all its applications; d: none. */
static uint32_t taker(const struct block *v, uint32_t d, uint32_t address, uint32_t port)
{
	uint32_t e = 0;

	while (e < d && !(has(&v[e], address, port) &&
	                  (!v[e].users || (v[d].users && !(v[d].users & ~v[e].users)))))
		e++;
	return e;
}

enum said { NOTHING, OPEN, PARTLY, NEVER };

static enum said truth(const struct block *v, uint32_t d)
{
	uint32_t whole = 0;
	bool open = false;

	for (uint32_t c = 0; c < v[d].cells; c++) {
		for (uint32_t r = 0; r < v[d].ranges; r++) {
			bool all = true;

			for (uint32_t a = 0; a < v[d].size[c]; a++) {
				for (uint32_t port = v[d].lo[r]; port <= v[d].hi[r]; port++) {
					uint32_t e = taker(v, d, v[d].address[c] + a, port);

					all &= e < d;
					open |= e < d && v[e].action == ALLOWS;
				}
			}
			whole += all;
		}
	}
	if (whole)
		return whole == v[d].cells * v[d].ranges ? NEVER : PARTLY;
	return open && v[d].action == GATES_ ? OPEN : NOTHING;
}

static enum said said_of(const char *said, uint32_t d)
{
	static const char *const words[] = {[OPEN] = "does not gate all",
	                                    [PARTLY] = "never sees",
	                                    [NEVER] = "is never reached"};
	char text[64];

	for (enum said s = OPEN; s <= NEVER; s++) {
		snprintf(text, sizeof(text), "destination \"d%u\" %s", d, words[s]);
		if (strstr(said, text))
			return s;
	}
	return NOTHING;
}

static void as_by_brute_force(void **state)
{
	struct buf text = buf_make(1 << 16), said = buf_make(1 << 16);
	uint32_t seen[NEVER + 1] = {0};

	(void)state;
	for (uint32_t n = 0; n < POLICIES; n++) {
		struct block v[BLOCKS];

		buf_reset(&text);
		for (uint32_t d = 0; d < BLOCKS; d++) {
			draw(&v[d]);
			put_drawn(&text, &v[d], d);
		}
		buf_u8(&text, 0);
		issues_of((const char *)text.p, &said);
		for (uint32_t d = 0; d < BLOCKS; d++) {
			enum said is = truth(v, d);

			seen[is]++;
			if (is != said_of((const char *)said.p, d))
				fail_msg("policy %u, destination d%u is %d, in:\n%swas said:\n%s",
				         n, d, is, (const char *)text.p, (const char *)said.p);
		}
	}
	for (enum said s = NOTHING; s <= NEVER; s++)
		assert_true(seen[s] > POLICIES / 20);
	buf_free(&text);
	buf_free(&said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_said),
	        cmocka_unit_test(as_by_brute_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
