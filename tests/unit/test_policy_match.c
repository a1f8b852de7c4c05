/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matching: a table of cases, and the compiled form looked up as the kernel does it against the
 * plain reading of the policy, on random policies over a small world where everything collides.
 */
#include "policy_files.h"
#include <arpa/inet.h>
#include <jansson.h>

static void addr_of(const char *text, uint8_t out[static 16])
{
	static const uint8_t four[12] = {[10] = 0xff, [11] = 0xff};

	memcpy(out, four, sizeof(four));
	if (inet_pton(AF_INET, text, out + 12) != 1)
		assert_int_equal(inet_pton(AF_INET6, text, out), 1);
}

static void first_match(void **state)
{
	static const char text[] =
	        "default-action = deny\n"
	        "destination ssh { address = \"10.0.0.0/8\" port = 22 action = allow }\n"
	        "destination net { address = {\"10.1.0.0/16\", \"2001:db8::/32\"} port = {443, 8000-8010}\n"
	        "  action = deny }\n"
	        "destination host { address = \"10.1.2.3\" action = allow }\n"
	        "destination six { address = \"::/0\" port = 53 action = allow }\n"
	        "destination four { address = \"0.0.0.0/0\" port = 53 action = allow }\n"
	        "destination named { name = a.example port = 443 action = deny }\n";
	static const struct {
		const char *addr;
		uint16_t port;
		int want;
	} cases[] = {
	        {"10.1.2.3", 22, 0},      {"10.255.255.255", 22, 0}, {"11.0.0.0", 22, -1},
	        {"10.1.2.3", 443, 1},     {"10.1.2.3", 442, 2},      {"10.1.2.4", 8010, 1},
	        {"10.1.2.4", 8011, -1},   {"10.1.2.4", 8000, 1},     {"10.1.2.4", 7999, -1},
	        {"2001:db8::1", 443, 1},  {"2001:db9::1", 443, -1},  {"2001:db9::1", 53, 3},
	        {"192.0.2.1", 53, 4},     {"192.0.2.1", 443, 5},     {"192.0.2.1", 444, -1},
	        {"192.0.2.2", 443, -1},   {"10.1.2.3", 53, 2},       {"127.0.0.1", 80, -1},
	        {"2001:db8::77", 443, 1}, {"2001:db9::77", 443, 5},
	};
	struct policy_resolved names[2] = {{.destination = 5}, {.destination = 5}};
	struct policy *p = parse_good(text);
	uint8_t addr[16];

	(void)state;
	addr_of("192.0.2.1", names[0].addr);
	addr_of("2001:db9::77", names[1].addr);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		addr_of(cases[i].addr, addr);
		if (policy_match(p, names, 2, addr, cases[i].port, NULL) != cases[i].want)
			fail_msg("%s port %u: %d, not %d", cases[i].addr, cases[i].port,
			         policy_match(p, names, 2, addr, cases[i].port, NULL),
			         cases[i].want);
	}
	addr_of("127.255.0.1", addr);
	assert_int_equal(policy_default(p, addr), POLICY_ALLOW);
	addr_of("::1", addr);
	assert_int_equal(policy_default(p, addr), POLICY_ALLOW);
	addr_of("128.0.0.1", addr);
	assert_int_equal(policy_default(p, addr), POLICY_DENY);
	addr_of("::2", addr);
	assert_int_equal(policy_default(p, addr), POLICY_DENY);
	policy_free(p);
}

/* -------------------------------------------------------- the kernel's reading */

struct decision {
	enum policy_action action;
	uint16_t err;
	uint32_t destination;
};

static bool in_prefix(const struct policy_prefix *x, const uint8_t addr[static 16])
{
	for (unsigned bit = 0; bit < x->plen; bit++)
		if ((x->addr[bit / 8] ^ addr[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

/* What can't be told counts where it does not let pass. */
static bool is_for(const struct policy *p, const struct policy_lpm_port *e,
                   const struct policy_who *who)
{
	const struct policy_destination d = {.app = e->app};
	enum policy_fit fit = policy_fits(p, &d, who);

	return fit == FIT_YES || (fit == FIT_MAYBE && !policy_passes(e->action));
}

/* Longest prefix, first port, else open: bpf/gate.h. Knows no families. */
static struct decision kernel_lookup(const struct policy *p, const struct policy_lpm *t, size_t n,
                                     const uint8_t addr[static 16], uint16_t port,
                                     const struct policy_who *who)
{
	const struct policy_lpm *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (in_prefix(&t[i].prefix, addr) &&
		    (!best || t[i].prefix.plen > best->prefix.plen))
			best = &t[i];
	for (uint32_t i = 0; best && i < best->ports; i++)
		if (port >= best->port[i].lo && port <= best->port[i].hi &&
		    is_for(p, &best->port[i], who))
			return (struct decision){best->port[i].action, best->port[i].err,
			                         best->port[i].destination};
	return (struct decision){POLICY_ALLOW, 0, UINT32_MAX};
}

static struct decision plain_lookup(const struct policy *p, const struct policy_resolved *names,
                                    size_t names_n, const uint8_t addr[static 16], uint16_t port,
                                    const struct policy_who *who)
{
	int d = policy_match(p, names, names_n, addr, port, who);

	if (d >= 0)
		return (struct decision){p->destination[d].action, p->destination[d].refuse_errno,
		                         (uint32_t)d};
	if (policy_default(p, addr) == POLICY_DENY)
		return (struct decision){POLICY_DENY, ECONNREFUSED, UINT32_MAX};
	return (struct decision){POLICY_ALLOW, 0, UINT32_MAX};
}

/* ----------------------------------------------------------------- random worlds */

static uint64_t seed;

static uint32_t chance(uint32_t n)
{
	/* Any generator does; the same in every run. */
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % n;
}

/* Addresses differ in a few bits only, IPv4 and IPv6, loopback, and the bits around the border. */
static void random_addr(uint8_t out[static 16])
{
	static const char *const bases[] = {"10.0.0.0",   "127.0.0.1", "::",         "::1",
	                                    "2001:db8::", "126.0.0.0", "::fffe:0:0", "0.0.0.0"};

	addr_of(bases[chance(sizeof(bases) / sizeof(bases[0]))], out);
	if (chance(2))
		out[15] ^= (uint8_t)chance(4);
	if (chance(3) == 0)
		out[13] ^= (uint8_t)(1u << chance(8));
}

static void random_prefix(struct policy_prefix *x)
{
	bool four;

	random_addr(x->addr);
	four = !memcmp(x->addr, (const uint8_t[12]){[10] = 0xff, [11] = 0xff}, 12);
	x->plen = (uint8_t)(four ? 96 + chance(33) : chance(129));
	if (chance(4) == 0)
		x->plen = 128;
	for (unsigned bit = x->plen; bit < 128; bit++)
		x->addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

static uint16_t random_port(void)
{
	static const uint16_t ports[] = {0, 1, 2, 3, 4, 5, 6, 65534, 65535};

	return ports[chance(sizeof(ports) / sizeof(ports[0]))];
}

/* Of applications too few differ for all rules to be apart. */
static char *const some_units[] = {(char[]){"a.service"}, (char[]){"b.scope"}};
static char *const some_cgroups[] = {(char[]){"/a.service"}, (char[]){"/x.slice/a.service"},
                                     (char[]){"/x.slice"}};
static char *const some_executables[] = {(char[]){"/bin/a"}, (char[]){"/bin/b"}};

static void random_app(struct policy_app *a)
{
	memset(a, 0, sizeof(*a));
	a->users = chance(3);
	for (uint32_t i = 0; i < a->users; i++)
		a->user[i] = (struct policy_user){.uid = chance(3), .known = chance(4) != 0};
	a->units = chance(2);
	a->unit[0] = some_units[chance(2)];
	a->cgroups = chance(3);
	for (uint32_t i = 0; i < a->cgroups; i++)
		a->cgroup[i] = some_cgroups[chance(3)];
	a->executables = chance(2);
	a->executable[0] = some_executables[chance(2)];
}

static void random_who(struct policy_who *w)
{
	static const char *const cgroups[] = {
	        "/",      "/a.service",         "/a.service/b.scope", "/x.slice/a.service/sub",
	        "/x.sli", "/x.slice/b.scope/z", "/x.slice/_a.service"};

	*w = (struct policy_who){.has_uid = chance(4) != 0, .uid = chance(3)};
	if (chance(4))
		w->cgroup = cgroups[chance(sizeof(cgroups) / sizeof(cgroups[0]))];
	else if (chance(2))
		w->unit = some_units[chance(2)];
	if (chance(4))
		w->executable = chance(3) ? some_executables[chance(2)] : "";
}

enum { WORLD_DESTINATIONS = 6, WORLD_PREFIXES = 4, WORLD_NAMES = 5, WORLD_APPS = 3 };

struct world {
	struct policy p;
	struct policy_destination destination[WORLD_DESTINATIONS];
	struct policy_prefix prefix[WORLD_DESTINATIONS][WORLD_PREFIXES];
	struct policy_resolved names[WORLD_NAMES];
	size_t names_n;
	struct policy_app app[WORLD_APPS];
};

static void world_make(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->p.default_action = chance(2) ? POLICY_DENY : POLICY_ALLOW;
	w->p.destination = w->destination;
	w->p.destinations = chance(WORLD_DESTINATIONS + 1);
	w->p.app = w->app;
	w->p.apps = WORLD_APPS;
	for (uint32_t i = 0; i < WORLD_APPS; i++)
		random_app(&w->app[i]);
	for (uint32_t d = 0; d < w->p.destinations; d++) {
		struct policy_destination *x = &w->destination[d];

		x->action = (enum policy_action)chance(POLICY_MONITOR + 1);
		x->app = chance(2) ? chance(WORLD_APPS + 1) : 0;
		x->refuse_errno = (uint16_t)(1 + chance(5));
		x->prefix = w->prefix[d];
		x->prefixes = chance(WORLD_PREFIXES + 1);
		for (uint32_t i = 0; i < x->prefixes; i++)
			random_prefix(&x->prefix[i]);
		x->ports = chance(4);
		for (uint32_t i = 0; i < x->ports; i++) {
			uint16_t a = random_port(), b = random_port();

			x->port[i] = (struct policy_port){a < b ? a : b, a < b ? b : a};
		}
	}
	w->names_n = chance(WORLD_NAMES + 1);
	for (size_t i = 0; i < w->names_n; i++) {
		w->names[i].destination = chance(WORLD_DESTINATIONS);
		w->names[i].learned = w->p.destinations && chance(2);
		if (w->names[i].learned)
			w->names[i].destination = chance(w->p.destinations);
		random_addr(w->names[i].addr);
	}
}

/* What answers closed, beside the table: bpf/gate.h. */
static struct decision with_learned(const struct world *w, struct decision table,
                                    const uint8_t addr[static 16], uint16_t port,
                                    const struct policy_who *who)
{
	struct policy_name_rules r;
	uint32_t at[WORLD_NAMES];
	const struct policy_lpm_port *e = NULL;
	size_t n = 0;

	for (uint32_t d = 0; d < w->p.destinations; d++) {
		bool is = false;

		for (size_t i = 0; i < w->names_n; i++)
			is |= w->names[i].learned && w->names[i].destination == d &&
			      !memcmp(w->names[i].addr, addr, 16);
		if (is)
			at[n++] = d;
	}
	policy_compile_learned(&w->p, at, n, &r);
	for (uint32_t i = 0; i < r.ports && !e; i++)
		if (port >= r.port[i].lo && port <= r.port[i].hi && is_for(&w->p, &r.port[i], who))
			e = &r.port[i];
	if (!e || policy_passes(e->action) || e->destination > table.destination)
		return table;
	if (!policy_passes(table.action) &&
	    (table.action != POLICY_GATE || e->action != POLICY_DENY))
		return table;
	return (struct decision){e->action, e->err, e->destination};
}

static void same(const struct world *w, const struct policy_lpm *lpm, size_t n)
{
	for (int i = 0; i < 300; i++) {
		struct decision plain, kernel;
		struct policy_who who;
		uint8_t addr[16];
		uint16_t port = random_port();

		random_addr(addr);
		random_who(&who);
		plain = plain_lookup(&w->p, w->names, w->names_n, addr, port, &who);
		kernel = kernel_lookup(&w->p, lpm, n, addr, port, &who);
		kernel = with_learned(w, kernel, addr, port, &who);
		/* Nobody asks why something is open. */
		if (plain.action == POLICY_ALLOW)
			plain = (struct decision){POLICY_ALLOW, 0, 0};
		if (kernel.action == POLICY_ALLOW)
			kernel = (struct decision){POLICY_ALLOW, 0, 0};
		assert_int_equal(plain.action, kernel.action);
		assert_int_equal(plain.err, kernel.err);
		assert_int_equal(plain.destination, kernel.destination);
	}
}

static void compiled_is_plain(void **state)
{
	int denied = 0;

	(void)state;
	seed = 1;
	for (int round = 0; round < 3000; round++) {
		struct policy_lpm *lpm = NULL;
		struct world w;
		size_t n = 0;

		world_make(&w);
		assert_int_equal(policy_compile(&w.p, w.names, w.names_n, &lpm, &n), 0);
		for (size_t i = 1; i < n; i++)
			assert_false(lpm[i - 1].prefix.plen == lpm[i].prefix.plen &&
			             !memcmp(lpm[i - 1].prefix.addr, lpm[i].prefix.addr, 16));
		same(&w, lpm, n);
		/* And so is what policy_match finds by its index. */
		assert_int_equal(policy_index(&w.p), 0);
		same(&w, lpm, n);
		policy_index_free(&w.p);
		denied += w.p.default_action == POLICY_DENY;
		free(lpm);
	}
	assert_in_range(denied, 1000, 2000);
}

/* An empty policy that denies is four entries, and one that allows is none. */
static void empty_policies(void **state)
{
	struct policy p = {.default_action = POLICY_DENY};
	struct policy_lpm *lpm = NULL;
	uint8_t addr[16];
	size_t n = 0;

	(void)state;
	assert_int_equal(policy_compile(&p, NULL, 0, &lpm, &n), 0);
	assert_int_equal(n, 4);
	addr_of("127.3.4.5", addr);
	assert_int_equal(kernel_lookup(&p, lpm, n, addr, 80, NULL).action, POLICY_ALLOW);
	addr_of("::1", addr);
	assert_int_equal(kernel_lookup(&p, lpm, n, addr, 80, NULL).action, POLICY_ALLOW);
	addr_of("::2", addr);
	assert_int_equal(kernel_lookup(&p, lpm, n, addr, 80, NULL).action, POLICY_DENY);
	addr_of("8.8.8.8", addr);
	assert_int_equal(kernel_lookup(&p, lpm, n, addr, 0, NULL).action, POLICY_DENY);
	assert_int_equal(kernel_lookup(&p, lpm, n, addr, 65535, NULL).action, POLICY_DENY);
	free(lpm);
	p.default_action = POLICY_ALLOW;
	assert_int_equal(policy_compile(&p, NULL, 0, &lpm, &n), 0);
	assert_int_equal(n, 0);
	free(lpm);
}

/* Too many ranges at one address: found at run time too, when a name resolves to it. */
static void too_many_ports(void **state)
{
	static const char text[] =
	        "default-action = deny\n"
	        "destination a { address = 10.0.0.0/8 port = {1,3,5,7,9,11,13,15} action = allow }\n"
	        "destination b { name = b.example port = {2,4,6,8,10,12,14,16} action = allow }\n";
	struct policy *p = parse_good(text);
	struct policy_resolved name = {.destination = 1};
	struct policy_lpm *lpm = NULL;
	size_t n = 0;

	(void)state;
	addr_of("11.0.0.1", name.addr);
	assert_int_equal(policy_compile(p, &name, 1, &lpm, &n), 0);
	free(lpm);
	lpm = NULL;
	addr_of("10.0.0.1", name.addr);
	assert_int_equal(policy_compile(p, &name, 1, &lpm, &n), -E2BIG);
	assert_null(lpm);
	policy_free(p);
}

/* Each name once, with what all its destinations say, in the order of the files. */
static void rules_of_names(void **state)
{
	static const char text[] =
	        "default-action = allow\n"
	        "destination a { name = {b.example, A.example} port = {1-5} action = deny }\n"
	        "destination b { address = 10.0.0.0/8 action = deny }\n"
	        "destination c { name = a.example port = {9} action = allow }\n";
	struct policy *p = parse_good(text);
	struct policy_name_rules *v = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(policy_compile_names(p, &v, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(v[0].host, "a.example");
	assert_string_equal(v[1].host, "b.example");
	assert_int_equal(v[1].ports, 1);
	assert_int_equal(v[0].ports, 2);
	assert_int_equal(v[0].port[0].hi, 5);
	assert_int_equal(v[0].port[0].destination, 0);
	assert_int_equal(v[0].port[1].lo, 9);
	assert_int_equal(v[0].port[1].action, POLICY_ALLOW);
	assert_int_equal(v[0].port[1].destination, 2);
	free(v);
	policy_free(p);
}

/* Of more than there is room for nothing is left out. */
static void rules_of_learned(void **state)
{
	static const char text[] =
	        "default-action = allow\n"
	        "destination a { name = a.example port = {1-5,6-9} action = deny }\n"
	        "destination b { name = b.example port = {4-8} action = deny }\n"
	        "destination c { name = b.example action = deny\n"
	        "  port = {11,13,15,17,19,21,23,25,27,29,31,33,35,37} }\n"
	        "destination d { name = c.example port = {40} action = deny }\n";
	static const uint32_t at[] = {0, 1, 2, 3};
	struct policy *p = parse_good(text);
	struct policy_name_rules r;

	(void)state;
	policy_compile_learned(p, at, 0, &r);
	assert_int_equal(r.ports, 0);
	/* Those are kept that others hide. */
	policy_compile_learned(p, at, 2, &r);
	assert_int_equal(r.ports, 3);
	assert_int_equal(r.port[2].destination, 1);
	policy_compile_learned(p, at, 3, &r);
	assert_int_equal(r.ports, 16);
	assert_int_equal(r.port[2].lo, 11);
	policy_compile_learned(p, at, 4, &r);
	assert_int_equal(r.ports, 1);
	assert_int_equal(r.port[0].lo, 0);
	assert_int_equal(r.port[0].hi, 65535);
	assert_int_equal(r.port[0].action, POLICY_DENY);
	policy_free(p);
}

/* Answers that anybody may have made. */
static void learned_only_closes(void **state)
{
	static const char text[] =
	        "default-action = %s\n"
	        "destination a { name = a.example port = 1-5 action = allow }\n"
	        "destination b { name = b.example port = {1-2,4} action = deny }\n"
	        "destination c { address = 192.0.2.1 port = {2-3} action = allow }\n"
	        "destination d { address = 192.0.2.1 port = 4 action = allow }\n"
	        "destination e { name = c.example port = {2-3,5-6} action = deny }\n";
	static const struct {
		uint32_t learned;
		uint16_t port;
		int allow, deny; /* what decides, by what the default is */
	} t[] = {
	        {0, 1, -1, -1}, {0, 2, 2, 2},   {1, 1, 1, -1}, {1, 2, 1, 1},  {1, 3, 2, 2},
	        {1, 4, 1, 1},   {1, 5, -1, -1}, {4, 2, 2, 2},  {4, 5, 4, -1}, {4, 6, 4, -1},
	};

	(void)state;
	for (int deny = 0; deny < 2; deny++) {
		struct buf b = buf_make(4096);
		struct policy *p;

		buf_printf(&b, text, deny ? "deny" : "allow");
		buf_u8(&b, 0);
		p = parse_good((const char *)b.p);
		for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
			struct policy_resolved r = {.destination = t[i].learned, .learned = true};

			addr_of("192.0.2.1", r.addr);
			if (policy_match(p, &r, 1, r.addr, t[i].port, NULL) !=
			    (deny ? t[i].deny : t[i].allow))
				fail_msg("%d %zu: %d", deny, i,
				         policy_match(p, &r, 1, r.addr, t[i].port, NULL));
		}
		policy_free(p);
		buf_free(&b);
	}
}

/* What can never be looked up takes none of the few places. */
static void hidden_ports_take_no_place(void **state)
{
	struct policy_prefix net = {.addr = {[10] = 0xff, 0xff, 10}, .plen = 104};
	struct policy_destination d[2] = {
	        {.action = POLICY_ALLOW,
	         .prefix = &net,
	         .prefixes = 1,
	         .ports = 2,
	         .port = {{1, 100}, {101, 200}}},
	        {.action = POLICY_GATE, .prefix = &net, .prefixes = 1, .ports = POLICY_PORTS_MAX},
	};
	struct policy p = {.default_action = POLICY_ALLOW, .destination = d, .destinations = 2};
	struct policy_lpm *lpm = NULL;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < POLICY_PORTS_MAX; i++)
		d[1].port[i] = (struct policy_port){(uint16_t)(90 + i), (uint16_t)(91 + i)};
	d[1].port[3] = (struct policy_port){200, 201};
	assert_int_equal(policy_compile(&p, NULL, 0, &lpm, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(lpm[0].ports, 3);
	assert_int_equal(lpm[0].port[2].hi, 201);
	free(lpm);
}

/* ------------------------------------------------------------------ applications */

static int match_for(const struct policy *p, const struct policy_who *who)
{
	uint8_t addr[16];

	addr_of("10.0.0.1", addr);
	return policy_match(p, NULL, 0, addr, 443, who);
}

#define HERE "address = 10.0.0.1 port = 443 "

/* All of a block's selections, one of each list; each case differs from the first in one thing. */
static void applications(void **state)
{
	static const char text[] =
	        "default-action = deny\n"
	        "destination a { " HERE "action = allow\n"
	        "  unit = {nginx.service, \"web@1.service\"} user = {33, 1000}\n"
	        "  cgroup = {\"/system.slice\"} executable = {\"/usr/sbin/nginx\", \"/bin/x\"} }\n"
	        "destination b { " HERE "action = deny user = 33 }\n"
	        "destination c { " HERE "action = allow }\n";
#define NGINX "/system.slice/nginx.service/workers", NULL, "/usr/sbin/nginx"
	static const struct {
		struct policy_who who;
		int want;
	} cases[] = {
	        {{true, 33, NGINX}, 0},
	        {{true, 1000, NGINX}, 0},
	        {{true, 34, NGINX}, 2},
	        {{true, 33, "/system.slice/web@1.service", NULL, "/bin/x"}, 0},
	        {{true, 33, "/system.slice/nginx.servic", NULL, "/bin/x"}, 1},
	        {{true, 33, "/nginx.service", NULL, "/bin/x"}, 1},
	        {{true, 33, "/system.slice/nginx.service", NULL, "/bin/y"}, 1},
	        {{true, 33, "/system.slice/nginx.service", NULL, ""}, 1},
	        /* A user's own cgroups, named like a unit of the system's. */
	        {{true, 33, "/user.slice/user@1.service/system.slice/nginx.service", NULL,
	          "/bin/x"},
	         1},
	        {{true, 33, "/system.slice/user@1.service/nginx.service", NULL, "/bin/x"}, 1},
	        /* What can't be told does not allow, and does deny. */
	        {{true, 33, NULL, NULL, "/bin/x"}, 1},
	        {{true, 33, NULL, "nginx.service", "/bin/x"}, 1},
	        {{true, 33, "/system.slice/nginx.service", NULL, NULL}, 1},
	        {{false, 0, NGINX}, 1},
	        {{true, 34, NULL, NULL, NULL}, 2},
	};
	struct policy *p = parse_good(text);
	enum policy_fit fit;
	uint8_t addr[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (match_for(p, &cases[i].who) != cases[i].want)
			fail_msg("case %zu: %d", i, match_for(p, &cases[i].who));
	assert_int_equal(match_for(p, NULL), 1);
	addr_of("10.0.0.1", addr);
	assert_int_equal(policy_next(p, NULL, 0, addr, 443, NULL, -1, &fit), 0);
	assert_int_equal(fit, FIT_MAYBE);
	assert_int_equal(policy_next(p, NULL, 0, addr, 443, NULL, 0, &fit), 1);
	assert_int_equal(policy_next(p, NULL, 0, addr, 443, NULL, 1, &fit), 2);
	assert_int_equal(fit, FIT_YES);
	assert_int_equal(policy_next(p, NULL, 0, addr, 443, NULL, 2, &fit), -1);
	policy_free(p);
}

/* As systemd's own sd_pid_get_unit has it. */
static void units_of_cgroups(void **state)
{
	static const char *const cases[][2] = {
	        {"/", ""},
	        {"/init.scope", "init.scope"},
	        {"/system.slice/ssh.service", "ssh.service"},
	        {"/a.slice/a-b.slice/x.service/y.service", "x.service"},
	        {"/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service",
	         "user@1000.service"},
	        {"/system.slice", ""},
	        {"/.slice/x.service", ".slice"},
	        {"/system.slice/_cpu.service", "cpu.service"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_true(bytes_equal(policy_unit_of(cases[i][0]), bytes_str(cases[i][1])));
}

/* Large tables stay quick: this would take minutes if each prefix looked at each other one. */
static void large_table(void **state)
{
	enum { DESTINATIONS = 25 };
	struct policy_prefix *all = calloc(DESTINATIONS * POLICY_ADDRS_MAX, sizeof(*all));
	struct policy_destination *d = calloc(DESTINATIONS, sizeof(*d));
	struct policy p = {
	        .default_action = POLICY_DENY, .destination = d, .destinations = DESTINATIONS};
	struct policy_lpm *lpm = NULL;
	size_t n = 0;

	(void)state;
	assert_true(all && d);
	seed = 2;
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		d[i].action = POLICY_GATE;
		d[i].prefix = all + i * POLICY_ADDRS_MAX;
		d[i].prefixes = POLICY_ADDRS_MAX;
		for (uint32_t k = 0; k < POLICY_ADDRS_MAX; k++) {
			struct policy_prefix *x = &d[i].prefix[k];

			x->plen = 128;
			x->addr[0] = 0x20;
			for (int b = 12; b < 16; b++)
				x->addr[b] = (uint8_t)chance(256);
		}
	}
	assert_int_equal(policy_compile(&p, NULL, 0, &lpm, &n), 0);
	assert_true(n > 100000);
	free(lpm);
	free(d);
	free(all);
}

/* ---------------------------------------------------------------------- in JSON */

static void says(const struct policy *p, const char *addr, uint16_t port,
                 const struct policy_who *who, const char *want)
{
	struct policy_resolved name = {.destination = 3};
	uint8_t a[16];
	json_t *o;
	char *text;

	addr_of("203.0.113.9", name.addr);
	addr_of(addr, a);
	o = policy_match_json(p, &name, 1, a, port, who);
	assert_non_null(o);
	text = json_dumps(o, JSON_COMPACT);
	assert_string_equal(text, want);
	free(text);
	json_decref(o);
}

#define AT(line) "\"file\":\"" FILE_A "\",\"line\":" line
#define NOTHING(action) \
	"\"action\":\"" action "\",\"destination\":null,\"file\":null,\"line\":0," \
	"\"requirement\":[],\"application\":\"\",\"depends\":[]}"

static void in_json(void **state)
{
	struct policy *p = parse_good(
	        "default-action = deny\n"
	        "destination web { address = \"192.0.2.0/24\" port = 443 user = 7 action = deny }\n"
	        "destination tool { address = \"192.0.2.0/24\" port = 443 unit = a.service\n"
	        "  action = allow }\n"
	        "destination rest { address = {\"192.0.2.0/24\", \"2001:db8::/32\"} action = allow }\n"
	        "destination named { name = a.example port = 443 action = deny }\n");
	const struct policy_who seven = {.has_uid = true, .uid = 7};

	(void)state;
	says(p, "192.0.2.1", 443, NULL,
	     "{\"address\":\"192.0.2.1\",\"action\":\"allow\",\"destination\":\"rest\"," AT(
	             "5") ",\"requirement\":[\"connections pass untouched\"],\"application\":\"\",\"depends\":["
	                  "{\"destination\":\"web\",\"action\":\"deny\"," AT(
	                          "2") ",\"application\":\"user 7\"},"
	                               "{\"destination\":\"tool\",\"action\":\"allow\"," AT(
	                                       "3") ",\"application\":\"unit a.service\"}]}");
	says(p, "192.0.2.1", 443, &seven,
	     "{\"address\":\"192.0.2.1\",\"action\":\"deny\",\"destination\":\"web\"," AT(
	             "2") ",\"requirement\":[\"only for user 7\",\"connections are refused\"],"
	                  "\"application\":\"user 7\",\"depends\":[]}");
	says(p, "203.0.113.9", 443, NULL,
	     "{\"address\":\"203.0.113.9\",\"action\":\"deny\",\"destination\":\"named\"," AT(
	             "6") ",\"requirement\":[\"connections are refused\"],\"application\":\"\",\"depends\":[]}");
	says(p, "2001:db9::1", 80, NULL, "{\"address\":\"2001:db9::1\"," NOTHING("deny"));
	says(p, "127.0.0.1", 80, NULL, "{\"address\":\"127.0.0.1\"," NOTHING("allow"));
	says(p, "::1", 80, NULL, "{\"address\":\"::1\"," NOTHING("allow"));
	policy_free(p);
}

/* However many values there are. */
static void in_json_whole(void **state)
{
	struct buf text = buf_make(65536), words = buf_make(65536);
	struct policy *p;
	json_t *o, *application;
	uint8_t addr[16];

	(void)state;
	buf_str(&text,
	        "default-action = allow\ndestination d { address = 192.0.2.1 executable = {");
	buf_str(&words, "executable ");
	for (int i = 10; i < 70; i++) {
		buf_printf(&text, "%s\"/usr/lib/a/rather/long/path/%d\"", i > 10 ? ", " : "", i);
		buf_printf(&words, "%s/usr/lib/a/rather/long/path/%d", i > 10 ? " or " : "", i);
	}
	buf_str(&text, "} action = deny }\n");
	buf_u8(&text, 0);
	buf_u8(&words, 0);
	p = parse_good((const char *)text.p);
	addr_of("192.0.2.1", addr);
	o = policy_match_json(p, NULL, 0, addr, 443,
	                      &(struct policy_who){.executable = "/usr/lib/a/rather/long/path/17"});
	application = json_object_get(o, "application");
	assert_string_equal(json_string_value(application), (const char *)words.p);
	json_decref(o);
	policy_free(p);
	buf_free(&text);
	buf_free(&words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(first_match),
	        cmocka_unit_test(compiled_is_plain),
	        cmocka_unit_test(empty_policies),
	        cmocka_unit_test(too_many_ports),
	        cmocka_unit_test(rules_of_names),
	        cmocka_unit_test(rules_of_learned),
	        cmocka_unit_test(learned_only_closes),
	        cmocka_unit_test(applications),
	        cmocka_unit_test(units_of_cgroups),
	        cmocka_unit_test(large_table),
	        cmocka_unit_test(hidden_ports_take_no_place),
	        cmocka_unit_test(in_json),
	        cmocka_unit_test(in_json_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
