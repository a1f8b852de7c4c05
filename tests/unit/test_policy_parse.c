/* SPDX-License-Identifier: Apache-2.0 */
/* Policy files: what they say reaches the model, and what is wrong is said with file and line. */
#include "policy_files.h"
#include <arpa/inet.h>
#include "policy/names.h"

#define HEX16  "000102030405060708090a0b0c0d0e0f"
#define ZERO32 "0000000000000000000000000000000000000000000000000000000000000000"
#define ZERO48 ZERO32 "00000000000000000000000000000000"
#define HEX32  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEX48  HEX32 "202122232425262728292a2b2c2d2e2f"
#define HEX64  HEX32 HEX32

static void everything(void **state)
{
	static const char text[] =
	        "# comment with ${HOME}, 'quotes and a { brace\n"
	        "default-action = deny   # at the end of a line\n"
	        "ledger \"acme\" {\n"
	        "\tpolicy = \"../elsewhere.policy\"\n"
	        "\tmax-age = \"2d\"\n"
	        "\turl = \"https://log.example/acme\"\n"
	        "\trefresh = 1h\n"
	        "\tca = \"/etc/log.pem\"\n"
	        "\tfirst-use = refuse\n"
	        "}\n"
	        "ledger lax { policy = none.policy  allow-no-quorum = true }\n"
	        "destination \"payments\" {\n"
	        "\taddress = {\"10.1.2.0/24\", \"2001:db8::1\",\n"
	        "\t           \"192.0.2.7\"}\n"
	        "\tname = {\"Api.Example.com\", b.example}\n"
	        "\tport = {\"443\", \"8000-8010\"}\n"
	        "\taction = gate\n"
	        "\trefuse-with = EACCES\n"
	        "\ttee = {snp, tdx}\n"
	        "\tbinder = nonce\n"
	        "\ttransport = atls\n"
	        "\tledger = \"acme\"\n"
	        "\tmeasurement = {\"snp:" HEX48 "\", \"tdx:" HEX48 "\"}\n"
	        "\tregister = {\"mrconfigid=" HEX48 "\", \"tdx.rtmr3=" HEX48 "\"}\n"
	        "\tunpinned-register = {rtmr0, tdx.mrowner}\n"
	        "\tserver-name = \"sni.example\"\n"
	        "\tserver-key = {\"sha256:" HEX32 "\"}\n"
	        "\tchip-id = {\"" HEX64 "\", \"0001020304050607\", \"" HEX16 "\"}\n"
	        "\thost-data = \"" HEX32 "\"\n"
	        "\tmin-tcb = {\"bootloader=3\", \"microcode=300\", \"tdx.pcesvn=13\", \"tdx00=5\",\n"
	        "\t           \"snp.guest-svn=2\"}\n"
	        "\taccept-tcb = {SWHardeningNeeded, OutOfDate}\n"
	        "\taccept-advisory = {\"INTEL-SA-00615\"}\n"
	        "\ttcb-grace = 30d\n"
	        "\tmin-tcb-date = 2024-02-29\n"
	        "\tmin-tcb-evaluation = 17\n"
	        "\tvmpl = 2\n"
	        "\trequire-platform = {alias-check, smt-disabled}\n"
	        "\trequire-guest-policy = {no-smt, single-socket}\n"
	        "\trequire-attribute = {tdx.pks, tdx.lass}\n"
	        "\tforbid-attribute = tdx.kl\n"
	        "\tallow-debug = true\n"
	        "\trequire-crl = false\n"
	        "\tlease = \"90m\"\n"
	        "\tkernel-tls = nvme\n"
	        "}\n"
	        "destination lax { address = \"198.51.100.0/24\" port = 1 action = gate tee = snp\n"
	        "  ledger = lax }\n"
	        "destination open { address = {\"10.0.0.0/8\"} action = allow }\n"
	        "destination shut { name = evil.example action = deny refuse-with = EPERM }\n";
	static const uint8_t net[16] = {[10] = 0xff, 0xff, 10, 1, 2};
	struct policy *p;
	const struct policy_destination *d;
	const struct policy_ledger *l;

	(void)state;
	p = parse_good(text);
	assert_int_equal(p->default_action, POLICY_DENY);
	assert_int_equal(p->ledgers, 2);
	l = &p->ledger[0];
	assert_string_equal(l->name, "acme");
	assert_string_equal(l->where.file, FILE_A);
	assert_int_equal(l->where.line, 3);
	assert_int_equal(l->max_age, 2 * 86400);
	assert_string_equal(l->url, "https://log.example/acme/");
	assert_true(l->require_known);
	assert_false(l->allow_no_quorum);
	assert_int_equal(l->tlog->witnesses, 3);
	assert_int_equal(p->ledger[1].max_age, 86400);
	assert_int_equal(l->refresh, 3600);
	assert_string_equal(l->ca, "/etc/log.pem");
	assert_int_equal(p->ledger[1].refresh, 300);
	assert_string_equal(p->ledger[1].ca, "");
	assert_true(p->ledger[1].allow_no_quorum);
	assert_false(p->ledger[1].require_known);

	assert_int_equal(p->destinations, 4);
	d = &p->destination[0];
	assert_string_equal(d->name, "payments");
	assert_int_equal(d->where.line, 12);
	assert_int_equal(d->action, POLICY_GATE);
	assert_int_equal(d->refuse_errno, EACCES);
	assert_int_equal(d->prefixes, 3);
	assert_memory_equal(d->prefix[0].addr, net, 16);
	assert_int_equal(d->prefix[0].plen, 120);
	assert_int_equal(d->prefix[1].plen, 128);
	assert_int_equal(d->prefix[1].addr[0], 0x20);
	assert_int_equal(d->prefix[2].plen, 128);
	assert_int_equal(d->hosts, 2);
	assert_string_equal(d->host[0], "api.example.com");
	assert_string_equal(d->host[1], "b.example");
	assert_int_equal(d->ports, 2);
	assert_int_equal(d->port[0].lo, 443);
	assert_int_equal(d->port[0].hi, 443);
	assert_int_equal(d->port[1].lo, 8000);
	assert_int_equal(d->port[1].hi, 8010);
	assert_int_equal(d->tees, 1u << TEE_SNP | 1u << TEE_TDX);
	assert_int_equal(d->binder, BINDER_NONCE);
	assert_int_equal(d->transport, TRANSPORT_ATLS);
	assert_int_equal(d->kernel_tls, KERNEL_TLS_NVME);
	assert_int_equal(p->destination[1].kernel_tls, KERNEL_TLS_NONE);
	assert_int_equal(d->ledger, 0);
	assert_int_equal(d->measurements, 2);
	assert_int_equal(d->measurement[0].tee, TEE_SNP);
	assert_string_equal(d->measurement[0].m.name, "measurement");
	assert_int_equal(d->measurement[1].tee, TEE_TDX);
	assert_string_equal(d->measurement[1].m.name, "mrtd");
	assert_int_equal(d->measurement[1].m.len, 48);
	assert_int_equal(d->pins, 2);
	assert_int_equal(d->pin[0].tee, TEE_TDX);
	assert_string_equal(d->pin[0].m.name, "mrconfigid");
	assert_string_equal(d->pin[1].m.name, "rtmr3");
	assert_int_equal(d->pin[1].m.len, 48);
	assert_int_equal(d->pin[1].m.value[47], 0x2f);
	assert_int_equal(d->unpinneds, 2);
	assert_int_equal(d->unpinned[0].tee, TEE_TDX);
	assert_string_equal(d->unpinned[0].name, "rtmr0");
	assert_string_equal(d->unpinned[1].name, "mrowner");
	assert_int_equal(d->measurement[0].m.len, 48);
	assert_int_equal(d->measurement[0].m.value[47], 0x2f);
	assert_string_equal(d->server_name, "sni.example");
	assert_int_equal(d->server_keys, 1);
	assert_int_equal(d->server_key[0][31], 0x1f);
	assert_int_equal(d->chip_ids, 3);
	assert_int_equal(d->chip_id_len[0], 64);
	assert_int_equal(d->chip_id_len[1], 8);
	assert_int_equal(d->chip_id_len[2], 16);
	assert_int_equal(d->chip_id[0][63], 0x1f);
	assert_int_equal(d->chip_id[1][7], 7);
	assert_true(bytes_all_zero(d->chip_id[1] + 8, 56));
	assert_true(d->has_host_data);
	assert_int_equal(d->host_data[1], 1);
	assert_int_equal(d->tcb_floors, 5);
	assert_int_equal(d->tcb_floor[1].tees, 1u << TEE_SNP);
	assert_string_equal(d->tcb_floor[2].name, "pcesvn");
	assert_int_equal(d->tcb_floor[2].tees, 1u << TEE_TDX);
	assert_string_equal(d->tcb_floor[3].name, "tdx00");
	assert_string_equal(d->tcb_floor[4].name, "guest-svn");
	assert_int_equal(d->tcb_floor[4].svn, 2);
	assert_int_equal(d->accept_tcb, 1u << TCB_SW_HARDENING | 1u << TCB_OUT_OF_DATE);
	assert_int_equal(d->accept_advisories, 1);
	assert_string_equal(d->accept_advisory[0], "INTEL-SA-00615");
	assert_int_equal(d->tcb_grace, 30 * 86400);
	assert_int_equal(d->min_tcb_date, 1709164800);
	assert_int_equal(d->min_tcb_evaluation, 17);
	assert_int_equal(d->attributes_required[TEE_TDX], 1 << 30 | 1 << 27);
	assert_true(d->attributes_forbidden[TEE_TDX] == UINT64_C(1) << 31);
	assert_int_equal(d->attributes_required[TEE_SGX], 0);
	assert_string_equal(d->tcb_floor[1].name, "microcode");
	assert_int_equal(d->tcb_floor[1].svn, 300);
	assert_int_equal(d->vmpl, 2);
	assert_int_equal(d->platform_required, 1 << 5);
	assert_int_equal(d->platform_forbidden, 1 << 0);
	assert_int_equal(d->guest_policy_required, 1 << 20);
	assert_int_equal(d->guest_policy_forbid, 1 << 16);
	assert_true(d->allow_debug);
	assert_false(d->require_crl);
	assert_int_equal(d->lease, 5400);

	assert_int_equal(p->destination[1].ledger, 1);
	assert_int_equal(p->destination[2].action, POLICY_ALLOW);
	assert_int_equal(p->destination[2].ports, 0);
	assert_int_equal(p->destination[3].action, POLICY_DENY);
	assert_int_equal(p->destination[3].refuse_errno, EPERM);
	assert_int_equal(p->destination[3].ledger, -1);
	policy_free(p);
}

/* What is not written is the strict thing. */
static void defaults(void **state)
{
	struct policy *p;
	const struct policy_destination *d;

	(void)state;
	p = parse_good(GATE(""));
	d = &p->destination[0];
	assert_int_equal(d->refuse_errno, ECONNREFUSED);
	assert_int_equal(d->binder, BINDER_CONNECTION);
	assert_int_equal(d->transport, TRANSPORT_KEYGATE);
	assert_int_equal(d->vmpl, 0);
	assert_false(d->allow_debug);
	assert_true(d->require_crl);
	assert_false(d->has_host_data);
	assert_int_equal(d->pins, 0);
	assert_int_equal(d->unpinneds, 0);
	assert_int_equal(d->accept_tcb, 0);
	assert_int_equal(d->tcb_grace, 0);
	assert_int_equal(d->min_tcb_date, 0);
	assert_int_equal(d->min_tcb_evaluation, 0);
	assert_int_equal(d->anchors, 0);
	assert_int_equal(d->lease, 3600);
	assert_string_equal(d->server_name, "");
	assert_int_equal(p->ledger[0].max_age, 86400);
	assert_false(p->ledger[0].allow_no_quorum);
	policy_free(p);
}

/* Each transport with what it is always bound by, with the most that it can be, and with more. */
static void every_transport(void **state)
{
	(void)state;
	for (int t = TRANSPORT_NONE + 1; t < TRANSPORT_MAX; t++) {
		enum attest_transport is = (enum attest_transport)t;
		enum policy_binder least = policy_binder_from_name(attest_transport_binder(is));
		enum policy_binder most = policy_binder_from_name(attest_transport_binder_most(is));

		for (int b = BINDER_CERTIFICATE; b <= BINDER_CONNECTION; b++) {
			struct policy_issues issues;
			struct policy *p = NULL;
			char text[512];
			int rc;

			snprintf(text, sizeof(text), GATE("transport = %s\nbinder = %s\n"),
			         attest_transport_name(is),
			         policy_binder_name((enum policy_binder)b));
			rc = parse_two(text, NULL, &p, &issues);
			if (!rc != (b <= (int)most))
				fail_msg("%s", text);
			if (!rc) {
				assert_int_equal(p->destination[0].transport, is);
				assert_int_equal(p->destination[0].binder, b);
			}
			policy_free(p);
		}
		assert_true(least <= most);
	}
}

/* The only name of a destination is what its server is asked for. */
static void server_name_of_name(void **state)
{
	struct policy *p;

	(void)state;
	p = parse_good(GATE("name = a.example\n"));
	assert_string_equal(p->destination[0].server_name, "a.example");
	policy_free(p);
	p = parse_good(GATE("name = {a.example, b.example}\n"));
	assert_string_equal(p->destination[0].server_name, "");
	policy_free(p);
}

static void two_files(void **state)
{
	struct policy_issues issues;
	struct policy *p = NULL;

	(void)state;
	assert_int_equal(parse_two("default-action = allow\n"
	                           "destination a { address = 192.0.2.1 action = deny }\n",
	                           "destination b { address = 192.0.2.2 action = gate port = 443\n"
	                           "tee = snp min-tcb = \"snp=1\" ledger = acme }\n"
	                           "ledger acme { policy = acme.policy }",
	                           &p, &issues),
	                 0);
	assert_int_equal(issues.n, 0);
	assert_int_equal(p->destinations, 2);
	assert_string_equal(p->destination[0].name, "a");
	assert_string_equal(p->destination[1].name, "b");
	assert_string_equal(p->destination[1].where.file, FILE_B);
	assert_int_equal(p->destination[1].ledger, 0);
	policy_free(p);
}

/* ------------------------------------------------------------------ what is wrong */

struct wrong {
	const char *text;
	const char *issues; /* a line each; empty: none */
};

static void put_issues(struct buf *out, const struct policy_issues *issues)
{
	for (uint32_t i = 0; i < issues->n; i++) {
		const struct policy_issue *is = &issues->v[i];

		if (is_no_floor(is))
			continue;
		buf_printf(out, "%s:%u: %s: %s\n", strrchr(is->where.file, '/') + 1, is->where.line,
		           is->error ? "error" : "warning", is->text);
	}
	buf_u8(out, 0);
}

/* These issues and no other (but what is_no_floor), in this order. */
static void check_wrong(const struct wrong *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool errors = strstr(t[i].issues, ": error: ");
		struct policy_issues issues;
		struct policy *p = NULL;
		struct buf is = buf_make(1 << 16);
		int rc = parse_two(t[i].text, NULL, &p, &issues);

		put_issues(&is, &issues);
		if (strcmp((char *)is.p, t[i].issues) || rc != (errors ? -EINVAL : 0) ||
		    !p != errors || !issues.errors == errors)
			fail_msg("in:\n%s\nwanted:\n%s\nrc %d, is:\n%s", t[i].text, t[i].issues, rc,
			         (char *)is.p);
		buf_free(&is);
		policy_free(p);
	}
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HEAD     "default-action = allow\n"
/* The ledger is watched; more is on line 3. */
#define WATCH(more) \
	HEAD "ledger a { policy = acme.policy url = \"https://x/\" watch = {\"*\"}\n" more " }\n"

static void wrong_grammar(void **state)
{
	static const struct wrong t[] = {
	        {"", "a.conf:1: error: nothing says what happens to all other connections; "
	             "add before the first block: default-action = allow (or deny)\n"},
	        {"default-action allow\n",
	         "a.conf:1: error: expected \"=\" after \"default-action\"\n"},
	        {HEAD "default-action = deny\n",
	         "a.conf:2: error: \"default-action\" is given again; it stands already "
	         "on line 1\n"},
	        {HEAD "destination\n",
	         "a.conf:3: error: the text ends in the middle of a statement\n"},
	        {HEAD "destination a\naction = gate\n",
	         "a.conf:3: error: expected \"{\" after the name of the destination\n"},
	        {HEAD "destination a {\n\n",
	         "a.conf:2: error: this brace is never closed; add a \"}\"\n"},
	        {HEAD "}\n", "a.conf:2: error: \"}\" closes nothing\n"},
	        {HEAD "destination a { address = \"10.0.0.1\n }",
	         "a.conf:2: error: the string is not closed on its line; add a \"\n"},
	        {"default-action = \"al\\low\"\n",
	         "a.conf:1: error: \"\\\" can't stand in a string\n"},
	        {"default-action = \"${X}\"\n", "a.conf:1: error: \"$\" can't stand in a string\n"},
	        {"default-action = 'allow'\n",
	         "a.conf:1: error: \"'\" outside of a string; put the text in double "
	         "quotes\n"},
	        {HEAD "\n// no\n",
	         "a.conf:3: error: \"//\" outside of a string; comments start with "
	         "#\n"},
	        {HEAD "/* no */",
	         "a.conf:2: error: \"/*\" outside of a string; comments start with "
	         "#\n"},
	        {HEAD "destination (x) {}",
	         "a.conf:2: error: \"(\" outside of a string; put the text in double "
	         "quotes\n"},
	        {"default-action = allow\r\n",
	         "a.conf:1: error: byte 0x0d outside of a string; save the file with "
	         "Unix line ends\n"},
	        {"default-action = \"al\x01low\"\n",
	         "a.conf:1: error: byte 0x01 in a string; only printable ASCII can "
	         "stand there\n"},
	        {"x\x80", "a.conf:1: error: byte 0x80 outside of a string\n"},
	        {HEAD "destinatoin a { }\n",
	         "a.conf:2: error: unknown key \"destinatoin\"; did you mean \"destination\"?\n"},
	        {HEAD "server-key = x\n",
	         "a.conf:2: error: unknown key \"server-key\"; keygate-policy(5) "
	         "lists the keys\n"},
	        {GATE("adress = x\n"),
	         "a.conf:9: error: destination \"d\": unknown key \"adress\"; did "
	         "you mean \"address\"?\n"},
	        {GATE("zzzzzz = x\n"),
	         "a.conf:9: error: destination \"d\": unknown key \"zzzzzz\"; keygate-policy(5) "
	         "lists the keys\n"},
	        {GATE("tee = tdx\n"),
	         "a.conf:9: error: \"tee\" is given again; it stands already on line "
	         "7, write one list: {\"a\", \"b\"}\n"},
	        {GATE("binder = {nonce}\n"), "a.conf:9: error: \"{\" is not expected here\n"},
	        {GATE("name = {}\n"),
	         "a.conf:9: error: the list is empty; put something in or remove "
	         "the line\n"},
	        {GATE("name = {a b}\n"), "a.conf:9: error: \"b\" is not expected here\n"},
	        {GATE("name = {{a}}\n"), "a.conf:9: error: \"{\" is not expected here\n"},
	        {GATE("name =\n"),
	         "a.conf:10: error: the block ends in the middle of a statement\n"},
	        {GATE("\"|x\" = 1\n"), "a.conf:9: error: \"|\" can't stand in a string\n"},
	        {GATE("\"ledger=acme|url\" = 1\n"),
	         "a.conf:9: error: \"|\" can't stand in a string\n"},
	        {GATE("name\n"), "a.conf:10: error: the block ends in the middle of a statement\n"},
	        {"default-action = allow\n= x\n", "a.conf:2: error: \"=\" is not expected here\n"},
	        {"default-action =",
	         "a.conf:1: error: the text ends in the middle of a statement\n"},
	        {"default-action = {allow}\n", "a.conf:1: error: \"{\" is not expected here\n"},
	        {HEAD "ledger a { policy = acme.policy }\nledger a {\npolicy = acme.policy "
	              "}\n",
	         "a.conf:3: error: there is a ledger \"a\" already at /etc/keygate/policy.d/a.conf:2; "
	         "give this one another name\n"},
	        {HEAD "destination \"a b\" { address = 10.0.0.1 action = deny }\n",
	         "a.conf:2: error: the name of a destination has 1 to 63 characters "
	         "out of a-z A-Z 0-9 _ . -\n"},
	        {HEAD "destination \"\" { address = 10.0.0.1 action = deny }\n",
	         "a.conf:2: error: an empty string\n"},
	        {GATE("server-name = \"" HEX32 HEX32 HEX32 HEX32 HEX32 HEX32 HEX32 HEX32 HEX32 HEX32
	                      HEX32 HEX32 HEX32 HEX32 HEX32 HEX32 "00"
	              "\"\n"),
	         "a.conf:9: error: the value of \"server-name\" is longer than 1024 "
	         "characters\n"},
	        {HEAD "a {{{{{{{{{\n", "a.conf:2: error: too many braces inside each other\n"},
	        {GATE("prot = x\n"),
	         "a.conf:9: error: destination \"d\": unknown key \"prot\"; did you mean \"port\"?\n"},
	};

	(void)state;
	check_wrong(t, COUNT(t));
}

/* A mistake hides none behind it, in its block or in another. */
static void several_mistakes(void **state)
{
	static const struct wrong t[] = {
	        {HEAD "destination a { adress = 10.0.0.1 action = deny }\n"
	              "destination b {\n acton = deny\n prot = {1, 2}\n address = 10.0.0.2\n"
	              " action = gate\n action = deny\n}\n"
	              "destination c { address = \"10.0.0.300\" action = dney }\n",
	         "a.conf:2: error: destination \"a\": unknown key \"adress\"; did you mean "
	         "\"address\"?\n"
	         "a.conf:4: error: destination \"b\": unknown key \"acton\"; did you mean "
	         "\"action\"?\n"
	         "a.conf:5: error: destination \"b\": unknown key \"prot\"; did you mean "
	         "\"port\"?\n"
	         "a.conf:8: error: \"action\" is given again; it stands already on line 7\n"
	         "a.conf:10: error: address: \"10.0.0.300\" is not an address or prefix, like "
	         "192.0.2.7, 10.1.0.0/16 or 2001:db8::/32; host names go into name =\n"
	         "a.conf:10: error: action: \"dney\" is not gate, monitor, allow or deny\n"},
	        /* What the scan finds, too; and a block that is not to be read does not count. */
	        {HEAD "destination a { address = \"10.0.0.1\n action = deny }\n"
	              "destination b { address = 10.0.0.2 action = 'deny' port = '1' }\n"
	              "}\n"
	              "destination a { address = 10.0.0.1 prot = 1 action = deny }\n",
	         "a.conf:2: error: the string is not closed on its line; add a \"\n"
	         "a.conf:4: error: \"'\" outside of a string; put the text in double quotes\n"
	         "a.conf:5: error: \"}\" closes nothing\n"
	         "a.conf:6: error: destination \"a\": unknown key \"prot\"; did you mean "
	         "\"port\"?\n"},
	        /* Lines of a list are no statements: what follows may come of the mistake. */
	        {HEAD "destination a {\n adress = {10.0.0.1,\n 10.0.0.2}\n acton = deny }\n"
	              "ledger l { }\n",
	         "a.conf:3: error: destination \"a\": unknown key \"adress\"; did you mean "
	         "\"address\"?\n"
	         "a.conf:6: error: ledger \"l\" has no policy; add: policy = "
	         "\"acme.policy\"\n"},
	        {HEAD "destination a { address = 10.0.0.1 action = deny }\nledger a "
	              "{ policy = acme.policy }\nledger a { policy = acme.policy }\n"
	              "destination a { address = 10.0.0.2 action = deny }\n",
	         "a.conf:4: error: there is a ledger \"a\" already at "
	         "/etc/keygate/policy.d/a.conf:3; give this one another name\n"
	         "a.conf:5: error: there is a destination \"a\" already at "
	         "/etc/keygate/policy.d/a.conf:2; give this one another name\n"},
	};

	(void)state;
	check_wrong(t, COUNT(t));
}

static void wrong_top_and_ledger(void **state)
{
	static const struct wrong t[] = {
	        {"default-action = gate\n",
	         "a.conf:1: error: default-action: \"gate\" is not allow or deny; "
	         "gating needs a destination block\n"},
	        {"default-action = Allow\n",
	         "a.conf:1: error: default-action: \"Allow\" is not allow or deny; "
	         "gating needs a destination block\n"},
	        {GATE_HEAD "ledger none { policy = acme.policy }\n",
	         "a.conf:3: error: a ledger can't be called \"none\"; that means "
	         "no ledger\n"},
	        {HEAD "ledger a { }\n",
	         "a.conf:2: error: ledger \"a\" has no policy; add: policy = \"acme.policy\"\n"},
	        {HEAD "ledger a {\npolicy = missing.policy }\n",
	         "a.conf:3: error: policy: can't read " DIR
	         "policy.d/missing.policy: No such file or directory\n"},
	        {HEAD "ledger a { policy =\nbad.policy }\n",
	         "bad.policy:2: error: the quorum is not a witness or group of an "
	         "earlier line (tlog-policy of ledger \"a\", " FILE_A ":3)\n"},
	        {HEAD "ledger a {\npolicy = none.policy }\n",
	         "a.conf:2: error: the tlog-policy of ledger \"a\" says \"quorum "
	         "none\": no witness would vouch for the log; give it a quorum, or "
	         "write allow-no-quorum = true here\n"},
	        {HEAD "ledger a {\npolicy = nolog.policy }\n",
	         "a.conf:2: error: the tlog-policy of ledger \"a\" names no log; "
	         "add a line to it: log <vkey>\n"},
	        {HEAD "ledger a { policy = acme.policy allow-no-quorum = true }\ndestination "
	              "d {\n" GATE_MUST "}",
	         "a.conf:2: warning: ledger \"a\" has a quorum; remove allow-no-quorum\n"
	         "a.conf:8: error: there is no ledger \"acme\"; add: ledger \"acme\" "
	         "{ ... }, or write ledger = none\n"
	         "a.conf:2: warning: no destination names ledger \"a\"; remove it, "
	         "or write ledger = \"a\" where it is meant\n"},
	        {HEAD "ledger a { policy = acme.policy\nmax-age = 24 }\n",
	         "a.conf:3: error: max-age: \"24\" is not a duration; write a number "
	         "with a unit: 90s, 30m, 24h, 7d\n"},
	        {HEAD "ledger a { policy = acme.policy\nmax-age = 8d }\n",
	         "a.conf:3: error: max-age: \"8d\" is out of range; it goes from "
	         "60s to 7d\n"},
	        {HEAD "ledger a { policy = acme.policy\nmax-age = 1s }\n",
	         "a.conf:3: error: max-age: \"1s\" is out of range; it goes from "
	         "60s to 7d\n"},
	        {GATE("leaf = {bad.list}\n"),
	         "a.conf:9: error: leaf: " DIR "policy.d/bad.list is no statement as a ledger "
	         "holds them\n"},
	        {GATE("measurement = {\"snp:" ONES "00000000000000000000000000000000\", \"snp:" ONES
	              "11111111111111111111111111111111\"}\ndeny-file = withdrawn.list\n"),
	         "a.conf:9: warning: measurement: number 2 of the list is denied by this "
	         "destination as well, so that it never passes; remove it here\n"},
	        {GATE("leaf = {ended.json}\n"),
	         "a.conf:9: warning: leaf: the statement in " DIR "policy.d/ended.json held until "
	         "2025-06-15, what it names is refused; put in one that holds, or remove it\n"},
	        {HEAD "destination a { address-file = odd.list action = deny }\n",
	         "a.conf:2: error: address-file: " DIR "policy.d/odd.list:1: \"10.0.0.1/8\" has "
	         "bits set behind the prefix\n"
	         "a.conf:2: error: address-file: " DIR "policy.d/odd.list:3: \"h.example\" is no "
	         "address and no prefix\n"
	         "a.conf:2: error: address-file: " DIR
	         "policy.d/odd.list:4: \"::ffff:10.0.0.1\" is "
	         "IPv4; write it as 192.0.2.1\n"},
	        {HEAD "destination a { address-file = empty.list action = deny }\n",
	         "a.conf:2: error: address-file: there is no address in it; put one in, or remove "
	         "the destination\n"},
	        {GATE("deny = {\"leaf:11\"}\n"),
	         "a.conf:9: error: deny: \"leaf:11\" is not what can be denied: "
	         "\"snp:<launch measurement>\" and so on, \"leaf:<64 digits>\" or "
	         "\"subject:<64 digits>\", in hexadecimal\n"},
	        {GATE("deny = {\"" ONES "11111111111111111111111111111111\"}\n"),
	         "a.conf:9: error: deny: \"" ONES "\" is not what can be denied: "
	         "\"snp:<launch measurement>\" and so on, \"leaf:<64 digits>\" or "
	         "\"subject:<64 digits>\", in hexadecimal\n"},
	        {GATE("deny-file = {bad.list}\n"),
	         "a.conf:9: error: deny-file: " DIR "policy.d/bad.list:2: \"leaf:1\" can't be "
	         "denied\n"},
	        {GATE("deny-file = {binary.list}\n"),
	         "a.conf:9: error: deny-file: " DIR "policy.d/binary.list is not text\n"},
	        {HEAD "ledger a { policy = acme.policy\nexpected = {\"leaf:" ONES "\"} }\n",
	         "a.conf:3: error: ledger \"a\" expects statements and watches for none; add: watch "
	         "= {\"*\"}\n"},
	        {HEAD "ledger a { policy = acme.policy\nexpected-file = {withdrawn.list} }\n",
	         "a.conf:3: error: expected-file: " DIR
	         "policy.d/withdrawn.list:3: \"subject:1111111111"
	         "111111\" is neither leaf:<64 hexadecimal digits> nor a platform's launch "
	         "measurement\n"
	         "a.conf:3: error: ledger \"a\" expects statements and watches for none; add: watch "
	         "= {\"*\"}\n"},
	        {HEAD "ledger a { policy = acme.policy\nwatch = {\"*\"} }\n",
	         "a.conf:3: error: nobody said where the entries of " LOG_NAME
	         " are, so they can't be "
	         "watched; add: url = \"https://...\"\n"},
	        {WATCH("expected-file = {bad.list}"), "a.conf:3: error: expected-file: " DIR
	                                              "policy.d/bad.list:2: \"leaf:1\" is no leaf "
	                                              "hash: 64 hexadecimal digits\n"},
	        {WATCH("expected = {\"leaf:11\"}"),
	         "a.conf:3: error: expected: \"leaf:11\" is no leaf hash: 64 hexadecimal digits\n"},
	        {WATCH("expected = {\"subject:" ONES "\"}"),
	         "a.conf:3: error: expected: \"subject:11111111111111111111111111111111111111111111111111"
	         "111111\" is neither leaf:<64 hexadecimal digits> nor a platform's launch "
	         "measurement\n"},
	        {WATCH("expected = {\"" ONES "11111111111111111111111111111111\"}"),
	         "a.conf:3: error: expected: \"" ONES
	         "\" is neither leaf:<64 hexadecimal digits> nor a "
	         "platform's launch measurement\n"},
	        {WATCH("expected = {\"tdx:" ONES "11111111111111111111111111111111\"}"),
	         "a.conf:3: error: expected: \"tdx:111111111111111111111111111111111111111111111111111111"
	         "111111\" does not suffice: such statements name more registers; give "
	         "leaf:<digits>\n"},
	        {GATE("min-version = 1.4-rc1\n"),
	         "a.conf:9: error: min-version: \"1.4-rc1\" is not a version: numbers with dots "
	         "between them, like \"1.4.0\"\n"},
	        {GATE("min-version = 1..4\n"),
	         "a.conf:9: error: min-version: \"1..4\" is not a version: numbers with dots "
	         "between them, like \"1.4.0\"\n"},
	        {GATE("renewed-within = 59m\n"),
	         "a.conf:9: error: renewed-within: \"59m\" is out of range; it goes from 3600s to "
	         "365d\n"},
	        {HEAD "ledger a { policy = acme.policy\nrefresh = 4s }\n",
	         "a.conf:3: error: refresh: \"4s\" is out of range; it goes from "
	         "5s to 1d\n"},
	        {HEAD "ledger a { policy = acme.policy\nca = log.pem }\n",
	         "a.conf:3: error: ca: \"log.pem\" is not an absolute file name\n"},
	        {HEAD "ledger a { policy = acme.policy\nmax-age = h }\n",
	         "a.conf:3: error: max-age: \"h\" is not a duration; write a number "
	         "with a unit: 90s, 30m, 24h, 7d\n"},
	        {HEAD "ledger a { policy = acme.policy\nmax-age = \"\" }\n",
	         "a.conf:3: error: an empty string\n"},
	        {HEAD "ledger a { policy = acme.policy\nmax-age = \"-1h\" }\n",
	         "a.conf:3: error: max-age: \"-1h\" is not a duration; write a number "
	         "with a unit: 90s, 30m, 24h, 7d\n"},
	        {HEAD "collateral nvidia { url = \"https://x/\" }\n",
	         "a.conf:2: error: collateral \"nvidia\": no such vendor; write collateral \"amd\" or "
	         "collateral \"intel\"\n"},
	        {HEAD "collateral amd { url = \"https://x/\" }\ncollateral amd { url = "
	              "\"https://y/\" }\n",
	         "a.conf:3: error: there is a collateral \"amd\" already at /etc/keygate/policy.d/a.conf:2; one of them is enough\n"},
	        {HEAD "collateral amd { url = \"https://x/\"\nca = \"roots.pem\" }\n",
	         "a.conf:3: error: ca: \"roots.pem\" is not an absolute file name\n"},
	        {HEAD "ledger a { policy = acme.policy\nurl = \"ftp://x/\" }\n",
	         "a.conf:3: error: url: \"ftp://x/\" is not a prefix that starts "
	         "with https://, http:// or file:///\n"},
	        {HEAD "ledger a { policy = acme.policy\nurl = \"https://x/?a\" }\n",
	         "a.conf:3: error: url: \"https://x/?a\" is not a prefix; blanks, "
	         "? and # can't stand in it\n"},
	        {HEAD "ledger a { policy = acme.policy\nfirst-use = maybe }\n",
	         "a.conf:3: error: first-use: \"maybe\" is not allow or refuse\n"},
	        {HEAD "ledger a { policy = acme.policy\nallow-no-quorum = yes }\n",
	         "a.conf:3: error: allow-no-quorum: \"yes\" is not true or false\n"},
	        {HEAD "ledger a { policy = acme.policy }\n",
	         "a.conf:2: warning: no destination names ledger \"a\"; remove it, "
	         "or write ledger = \"a\" where it is meant\n"},
	};

	(void)state;
	check_wrong(t, COUNT(t));
}

static void wrong_anchor(void **state)
{
	static const struct wrong t[] = {
	        {HEAD "anchor a { }\n",
	         "a.conf:2: error: anchor \"a\" has no tee; add: tee = snp\n"
	         "a.conf:2: error: anchor \"a\" has no file; add: file = \"anchors/lab.pem\"\n"},
	        {HEAD "anchor a { tee = sev file = acme.policy }\n",
	         "a.conf:2: error: tee: \"sev\" is not a platform; one of snp, tdx, "
	         "sgx, cca, nitro\n"
	         "a.conf:2: error: file: " DIR
	         "policy.d/acme.policy is not made of certificates or public keys "
	         "(PEM or DER)\n"},
	        {HEAD "anchor a { tee = nvidia file = acme.policy }\n",
	         "a.conf:2: error: tee: \"nvidia\" is not a platform; one of snp, tdx, "
	         "sgx, cca, nitro\n"
	         "a.conf:2: error: file: " DIR
	         "policy.d/acme.policy is not made of certificates or public keys "
	         "(PEM or DER)\n"},
	        {HEAD "anchor a { tee = snp\nfile = acme.policy }\n",
	         "a.conf:3: error: file: " DIR
	         "policy.d/acme.policy is not made of certificates or public keys "
	         "(PEM or DER)\n"},
	        {HEAD "anchor a { tee = snp\nfile = missing.pem }\n",
	         "a.conf:3: error: file: can't read " DIR
	         "policy.d/missing.pem: No such file or directory\n"},
	};

	(void)state;
	check_wrong(t, COUNT(t));
}

#define MONITOR(more) \
	GATE_HEAD "destination d {\naddress = \"192.0.2.0/24\"\nport = 443\naction = " \
	          "monitor\ntee = snp\nledger = acme\n" more "}\n"
#define ONLY \
	"destination \"d\" is only monitored: its connections are NOT protected, whatever the " \
	"verdict; write action = gate to protect them\n"
#define MONITORED "a.conf:6: warning: " ONLY

static void wrong_destination(void **state)
{
	static const struct wrong t[] = {
	        {HEAD "destination a { }\n",
	         "a.conf:2: error: destination \"a\" has no action; add: action = "
	         "gate\n"
	         "a.conf:2: error: destination \"a\" is nowhere; add: address = {\"192.0.2.0/24\"} "
	         "or name = {\"api.example.com\"}\n"},
	        {HEAD "destination a { action = gate }\n",
	         "a.conf:2: error: destination \"a\" is nowhere; add: address = {\"192.0.2.0/24\"} "
	         "or name = {\"api.example.com\"}\n"
	         "a.conf:2: error: destination \"a\" has no port but action = gate; "
	         "add: port = {\"443\"}\n"
	         "a.conf:2: error: destination \"a\" has no tee but action = gate; "
	         "add: tee = {snp}\n"
	         "a.conf:2: error: destination \"a\" has no ledger but action = gate; "
	         "add: ledger = \"acme\"\n"},
	        {HEAD "destination a { action = allow }\n",
	         "a.conf:2: error: destination \"a\" is nowhere; add: address = {\"192.0.2.0/24\"} "
	         "or name = {\"api.example.com\"}\n"},
	        {HEAD "destination a { address = 10.0.0.1 }\n",
	         "a.conf:2: error: destination \"a\" has no action; add: action = "
	         "gate\n"},
	        {HEAD "destination a { address = 10.0.0.1 action = pass }\n",
	         "a.conf:2: error: action: \"pass\" is not gate, monitor, allow or deny\n"},
	        {HEAD "destination a {\naddress = 10.0.0.1 action = deny\n tee = snp }\n",
	         "a.conf:4: error: \"tee\" means nothing with action = deny; remove "
	         "it or write action = gate\n"},
	        {HEAD "destination a {\naddress = 10.0.0.1 action = allow\n refuse-with "
	              "= EPERM }\n",
	         "a.conf:4: error: \"refuse-with\" means nothing with action = allow; "
	         "remove it\n"},
	        {HEAD "destination a {\naddress = 10.0.0.1 action = allow\n lease = 1m }\n",
	         "a.conf:4: error: \"lease\" means nothing with action = allow; remove it or "
	         "write action = gate\n"},
	        {MONITOR(""), MONITORED},
	        {MONITOR("kernel-tls = nfs\nlease = 1m\nrefuse-with = EPERM\n"),
	         "a.conf:10: error: \"lease\" means nothing with action = monitor; remove it or "
	         "write action = gate\n"
	         "a.conf:9: error: \"kernel-tls\" means nothing with action = monitor; remove it "
	         "or write action = gate\n"
	         "a.conf:11: error: \"refuse-with\" means nothing with action = monitor; remove "
	         "it\n" MONITORED},
	        {MONITOR("transport = ra-tls\n"),
	         "a.conf:9: error: transport = ra-tls can't satisfy binder = connection; write "
	         "binder = certificate, a loosening that every verdict names, or take a stronger "
	         "transport\n" MONITORED},
	        {HEAD "destination d { address = 10.0.0.1\naction = monitor }\n",
	         "a.conf:2: error: destination \"d\" has no port but action = monitor; add: port "
	         "= {\"443\"}\n"
	         "a.conf:2: error: destination \"d\" has no tee but action = monitor; add: tee = "
	         "{snp}\n"
	         "a.conf:2: error: destination \"d\" has no ledger but action = monitor; add: "
	         "ledger = \"acme\"\n"
	         "a.conf:3: warning: " ONLY},
	        {GATE_HEAD "destination d {\nname = d.example\nport = 443\naction = monitor\ntee = "
	                   "snp\nledger = acme }\n",
	         MONITORED
	         "a.conf:3: warning: names are only as good as DNS: an address of destination "
	         "\"d\" that no plain DNS answer on this host gave is not monitored; add address "
	         "prefixes or default-action = deny\n"},
	        {HEAD "destination a { address = 10.0.0.1 action = gate port = 443 tee "
	              "= snp ledger = none }\n",
	         "a.conf:2: error: destination \"a\" asks no ledger and lists no "
	         "measurement, so that any program would do; add: measurement = {\"snp:<96 "
	         "hexadecimal digits>\"}\n"},
	        {HEAD "destination a { address = 10.0.0.1 action = gate port = 443 tee "
	              "= snp ledger = acme }\n",
	         "a.conf:2: error: there is no ledger \"acme\"; add: ledger \"acme\" "
	         "{ ... }, or write ledger = none\n"},
	        {GATE_HEAD "destination a { address = 10.0.0.1 action = gate port = 443 tee "
	                   "= snp ledger = acne }\n",
	         "a.conf:3: error: there is no ledger \"acne\"; did you mean \"acme\"?\n"
	         "a.conf:2: warning: no destination names ledger \"acme\"; remove "
	         "it, or write ledger = \"acme\" where it is meant\n"},
	        {GATE("address = 10.0.0.1\n"),
	         "a.conf:9: error: \"address\" is given again; it stands already "
	         "on line 4, write one list: {\"a\", \"b\"}\n"},
	        {HEAD "destination a { action = deny\naddress = a.example }\n",
	         "a.conf:3: error: address: \"a.example\" is not an address or prefix, "
	         "like 192.0.2.7, 10.1.0.0/16 or 2001:db8::/32; host names go into "
	         "name =\n"},
	        {HEAD "destination a { action = deny\naddress = \"10.0.0.1/8\" }\n",
	         "a.conf:3: error: address: \"10.0.0.1/8\" has bits set behind the "
	         "prefix; write 10.0.0.0/8\n"},
	        {HEAD "destination a { action = deny\naddress = \"::ffff:10.0.0.1\" }\n",
	         "a.conf:3: error: address: \"::ffff:10.0.0.1\" is not written as "
	         "IPv4; 192.0.2.1 matches every kind of socket\n"},
	        {HEAD "destination a { action = deny\naddress = \"10.0.0.0/33\" }\n",
	         "a.conf:3: error: address: \"10.0.0.0/33\" is not an address or "
	         "prefix, like 192.0.2.7, 10.1.0.0/16 or 2001:db8::/32; host names "
	         "go into name =\n"},
	        {HEAD "destination a { action = deny\naddress = \"2001:db8::1/32\" }\n",
	         "a.conf:3: error: address: \"2001:db8::1/32\" has bits set behind "
	         "the prefix; write 2001:db8::/32\n"},
	        {HEAD "destination a { action = deny\naddress = \"10.0.0.0/\" }\n",
	         "a.conf:3: error: address: \"10.0.0.0/\" is not an address or prefix, "
	         "like 192.0.2.7, 10.1.0.0/16 or 2001:db8::/32; host names go into "
	         "name =\n"},
	        {HEAD "destination a { action = deny\nname = 10.0.0.1 }\n",
	         "a.conf:3: error: name: \"10.0.0.1\" is not a host name; addresses "
	         "go into address =\n"},
	        {HEAD "destination a { action = deny\nname = \"a..b\" }\n",
	         "a.conf:3: error: name: \"a..b\" is not a host name; addresses go "
	         "into address =\n"},
	        {HEAD "destination a { action = deny\nname = \"-a.b\" }\n",
	         "a.conf:3: error: name: \"-a.b\" is not a host name; addresses go "
	         "into address =\n"},
	        {HEAD "destination a { action = deny\nname = \"a.example.\" }\n",
	         "a.conf:3: error: name: \"a.example.\" is not a host name; addresses "
	         "go into address =\n"},
	        {HEAD "destination a { action = deny address = 10.0.0.1\nport = 0 }\n",
	         "a.conf:3: error: port: \"0\" is not a port (1 to 65535) or a range "
	         "like 8000-8010\n"},
	        {HEAD "destination a { action = deny address = 10.0.0.1\nport = 65536 "
	              "}\n",
	         "a.conf:3: error: port: \"65536\" is not a port (1 to 65535) or "
	         "a range like 8000-8010\n"},
	        {HEAD "destination a { action = deny address = 10.0.0.1\nport = {2-1} "
	              "}\n",
	         "a.conf:3: error: port: \"2-1\" is not a port (1 to 65535) or a "
	         "range like 8000-8010\n"},
	        {HEAD "destination a { action = deny address = 10.0.0.1\nport = {\"1,2\"} "
	              "}\n",
	         "a.conf:3: error: port: \"1,2\" is not a port (1 to 65535) or a "
	         "range like 8000-8010\n"},
	        {HEAD
	         "destination a { action = deny address = 10.0.0.1\nport = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,\n17} "
	         "}\n",
	         "a.conf:4: error: port: more than 16 entries; write ranges, or make "
	         "a second destination\n"},
	        {HEAD "destination a { action = deny address = 10.0.0.1\nrefuse-with = "
	              "ENOENT }\n",
	         "a.conf:3: error: refuse-with: \"ENOENT\" is not one of ECONNREFUSED, "
	         "EACCES, EPERM, ENETUNREACH, EHOSTUNREACH, ETIMEDOUT\n"},
	        {GATE("kernel-tls = smb\n"),
	         "a.conf:9: error: kernel-tls: \"smb\" is not nfs or nvme\n"},
	        {GATE("transport = http\n"),
	         "a.conf:9: error: transport: \"http\" is not keygate, flashbots, atls, "
	         "ra-tls or well-known\n"},
	        {GATE("transport = well-known\n"),
	         "a.conf:9: error: transport = well-known can't satisfy binder = connection; write "
	         "binder = certificate, a loosening that every verdict names, or take a stronger "
	         "transport\n"},
	        {GATE("transport = ra-tls\n"),
	         "a.conf:9: error: transport = ra-tls can't satisfy binder = connection; write "
	         "binder = certificate, a loosening that every verdict names, or take a stronger "
	         "transport\n"},
	        {GATE("transport = ra-tls\nbinder = nonce\n"),
	         "a.conf:9: error: transport = ra-tls can't satisfy binder = nonce; write binder = "
	         "certificate, a loosening that every verdict names, or take a stronger transport\n"},
	        {GATE("transport = atls\n"),
	         "a.conf:9: error: transport = atls can't satisfy binder = connection; write "
	         "binder = nonce, a loosening that every verdict names, or take a stronger "
	         "transport\n"},
	        {GATE("binder = none\n"),
	         "a.conf:9: error: binder: \"none\" is not connection, lease, nonce, "
	         "lease-key or certificate\n"},
	        {GATE("server-name = \"a b\"\n"),
	         "a.conf:9: error: server-name: \"a b\" is not a host name\n"},
	        {GATE("server-key = " HEX32 "\n"),
	         "a.conf:9: error: server-key: \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\" "
	         "is not sha256: followed by 64 hexadecimal digits\n"},
	        {GATE("server-key = \"sha256:" HEX48 "\"\n"),
	         "a.conf:9: error: server-key: \"sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1\" "
	         "is not sha256: followed by 64 hexadecimal digits\n"},
	        {GATE("host-data = 00\n"),
	         "a.conf:9: error: host-data: \"00\" is not 64 hexadecimal digits\n"},
	        {GATE("vmpl = 4\n"),
	         "a.conf:9: error: vmpl: \"4\" is not a privilege level, 0 to 3\n"},
	        {GATE("require-platform = smt\n"),
	         "a.conf:9: error: require-platform: \"smt\" is not one of smt-disabled, "
	         "tsme, ecc, rapl-disabled, ciphertext-hiding, alias-check, tio\n"},
	        {GATE("require-guest-policy = smt\n"),
	         "a.conf:9: error: require-guest-policy: \"smt\" is not one of no-smt, "
	         "single-socket, no-cxl, aes-256-xts, rapl-disabled, ciphertext-hiding, "
	         "page-swap-disabled\n"},
	        {GATE("built-in-anchors = false\n"),
	         "a.conf:3: error: destination \"d\" trusts no root at all; add: anchor = "
	         "{\"lab\"}, or remove built-in-anchors\n"},
	        {GATE("allow-debug = 1\n"),
	         "a.conf:9: error: allow-debug: \"1\" is not true or false\n"},
	        {GATE("require-crl = no\n"),
	         "a.conf:9: error: require-crl: \"no\" is not true or false\n"},
	        {GATE("lease = 0s\n"),
	         "a.conf:9: error: lease: \"0s\" is out of range; it goes from 1s "
	         "to 30d\n"},
	        {GATE("lease = 31d\n"),
	         "a.conf:9: error: lease: \"31d\" is out of range; it goes from 1s "
	         "to 30d\n"},
	        {GATE("lease = 1w\n"),
	         "a.conf:9: error: lease: \"1w\" is not a duration; write a number "
	         "with a unit: 90s, 30m, 24h, 7d\n"},
	        {GATE("anchor = lab\n"),
	         "a.conf:9: error: there is no anchor \"lab\"; add: anchor \"lab\" "
	         "{ ... }\n"},
	        {GATE("ledger = none\n"),
	         "a.conf:9: error: \"ledger\" is given again; it stands already on "
	         "line 8\n"},
	        {HEAD "destination a {\n action = deny address = 10.0.0.0/8 }\ndestination "
	              "a {\n action = deny address = 11.0.0.0/8 }\n",
	         "a.conf:4: error: there is a destination \"a\" already at /etc/keygate/policy.d/a.conf:2; "
	         "give this one another name\n"},
	        {HEAD "destination a { action = deny\naddress = \"" HEX48 "\" }\n",
	         "a.conf:3: error: address: \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\" "
	         "is not an address or prefix, like 192.0.2.7, 10.1.0.0/16 or 2001:db8::/32; host "
	         "names go into name =\n"},
	        {HEAD "destination a { action = gate address = 10.0.0.1 port = 443 tee = snp\n"
	              "ledger = " HEX32 " }\n",
	         "a.conf:3: error: ledger: \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\" "
	         "is not the name of a block\n"},
	        {HEAD "destination a { action = gate address = 10.0.0.1 port = 443 tee = snp\n"
	              "ledger = none measurement = " HEX48
	              " anchor = {a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,\na} }\n",
	         "a.conf:4: error: anchor: more than 16 in one destination\n"},
	};

	(void)state;
	check_wrong(t, COUNT(t));
}

#define NO_LAUNCH \
	"is not a launch measurement: the platform and hexadecimal digits, like \"snp:<96 of " \
	"them>\"\n"
#define NO_COMPONENT \
	"is not component=version: bootloader, tee, snp, microcode, fmc, guest-svn; pcesvn, sgx01 " \
	"to sgx16, tdx00 to tdx15, isvsvn\n"
#define NO_CHIP \
	"is not a machine's id in hexadecimal digits: 128 or 16 (snp), 32 (tdx, sgx), 66 (cca), " \
	"96 (nitro)\n"
/* Line 6 is the first of more. */
#define ON(tees, more) \
	GATE_HEAD "destination d { tee = " tees "\n" \
	          "address = 192.0.2.1 port = 443 action = gate ledger = acme\n\n" more "}\n"

static void wrong_measurement(void **state)
{
	static const struct wrong t[] = {
	        {ON("snp", "measurement = ledger\n"),
	         "a.conf:6: error: measurement: \"ledger\" " NO_LAUNCH},
	        {ON("snp", "measurement = \"snp:00\"\n"),
	         "a.conf:6: error: measurement: \"snp:00\" " NO_LAUNCH},
	        {ON("snp", "measurement = \"sev:00\"\n"),
	         "a.conf:6: error: measurement: \"sev:00\" " NO_LAUNCH},
	        {ON("snp", "measurement = \"none:00\"\n"),
	         "a.conf:6: error: measurement: \"none:00\" " NO_LAUNCH},
	        {ON("snp", "measurement = \":00\"\n"),
	         "a.conf:6: error: measurement: \":00\" " NO_LAUNCH},
	        {ON("snp", "measurement = 0" HEX48 "\n"),
	         "a.conf:6: error: measurement: \"0000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1\" " NO_LAUNCH},
	        {ON("snp", "measurement = \"" ZERO48 "\"\n"),
	         "a.conf:6: error: measurement: \"" ZERO32 "\" is not a launch measurement: zero "
	         "is what was never measured\n"},
	        /* A length that no platform of the block has. */
	        {ON("snp", "measurement = " HEX32 "\n"),
	         "a.conf:6: error: measurement: \"00010203040506070809...\" is of sgx or cca, which "
	         "the tee of destination \"d\" does not name; add it there or remove this\n"},
	        {ON("snp", "measurement = \"tdx:" HEX48 "\"\n"),
	         "a.conf:6: error: measurement: \"tdx:0001020304050607...\" is of tdx, which "
	         "the tee of destination \"d\" does not name; add it there or remove this\n"},
	        /* A length that several have. */
	        {ON("{snp, tdx}", "measurement = {\"snp:" HEX48 "\",\n" HEX48 "}\n"),
	         "a.conf:7: error: measurement: \"00010203040506070809...\" can be of snp or tdx; "
	         "write which: \"snp:00010203040506070809...\"\n"},
	        {ON("{snp, tdx}", "measurement = \"snp:" HEX48 "\"\n"),
	         "a.conf:6: warning: measurement: none is of tdx, whose evidence is then always "
	         "refused; add one, or remove tdx from tee\n"},
	        {GATE_HEAD
	         "destination d { address = 192.0.2.1 port = 443 action = gate tee = sgx\n"
	         "ledger = none }\ndestination e { address = 192.0.2.2 port = 443 action = "
	         "gate tee = snp ledger = acme }",
	         "a.conf:3: error: destination \"d\" asks no ledger and lists no measurement, so that "
	         "any program would do; add: measurement = {\"sgx:<64 hexadecimal digits>\"}\n"},
	        /* No second issue where tee itself is wrong. */
	        {ON("tdxx", "measurement = " HEX48 "\n"),
	         "a.conf:3: error: tee: \"tdxx\" is not a platform; one of snp, tdx, sgx, cca, "
	         "nitro\n"},
	};

	(void)state;
	check_wrong(t, COUNT(t));
}

/* Bare digits are of the only platform of the block that has so many. */
static void bare_measurement(void **state)
{
	static const struct {
		const char *text;
		enum tee tee;
		const char *name;
		uint8_t len;
	} t[] = {
	        {ON("snp", "measurement = " HEX48), TEE_SNP, "measurement", 48},
	        {ON("tdx", "measurement = " HEX48), TEE_TDX, "mrtd", 48},
	        {ON("nitro", "measurement = " HEX48), TEE_NITRO, "pcr0", 48},
	        {ON("sgx", "measurement = " HEX32), TEE_SGX, "mrenclave", 32},
	        {ON("cca", "measurement = " HEX32), TEE_CCA, "rim", 32},
	        {ON("cca", "measurement = \"cca:" HEX64 "\""), TEE_CCA, "rim", 64},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct policy *p = parse_good(t[i].text);
		const struct policy_measurement *m = p->destination[0].measurement;

		assert_int_equal(m->tee, t[i].tee);
		assert_string_equal(m->m.name, t[i].name);
		assert_int_equal(m->m.len, t[i].len);
		assert_int_equal(m->m.value[t[i].len - 1],
		                 (t[i].len - 1) % 32 + (t[i].len == 48 ? 32 : 0));
		policy_free(p);
	}
}

static void wrong_register(void **state)
{
	static const struct wrong t[] = {
	        {ON("tdx", "register = rtmr0\n"),
	         "a.conf:6: error: register: \"rtmr0\" is not name=value, like mrconfigid=<96 "
	         "hexadecimal digits>\n"},
	        {ON("tdx", "register = \"rtmr9=00\"\n"),
	         "a.conf:6: error: register: there is no register \"rtmr9\"; did you mean "
	         "\"rtmr1\"?\n"},
	        {ON("tdx", "register = \"tdx.mrconfid=00\"\n"),
	         "a.conf:6: error: register: there is no register \"tdx.mrconfid\"; did you mean "
	         "\"mrconfigid\"?\n"},
	        {ON("tdx", "register = \"sgx.rtmr0=00\"\n"),
	         "a.conf:6: error: register: there is no register \"sgx.rtmr0\"; did you mean "
	         "\"rtmr0\"?\n"},
	        {ON("tdx", "register = \"zzzzzzzzzzzz=00\"\n"),
	         "a.conf:6: error: register: there is no register \"zzzzzzzzzzzz\"; `keygate verify "
	         "evidence` prints them\n"},
	        {ON("tdx", "register = \"rtmr0=00\"\n"),
	         "a.conf:6: error: register: the value of rtmr0 has 96 hexadecimal digits\n"},
	        {ON("tdx", "register = \"rtmr0=\"\n"),
	         "a.conf:6: error: register: the value of rtmr0 has 96 hexadecimal digits\n"},
	        {ON("cca", "register = \"rem1=" HEX16 "\"\n"),
	         "a.conf:6: error: register: the value of rem1 has 64, 96 or 128 hexadecimal digits\n"},
	        {ON("snp", "register = \"rtmr0=" HEX48 "\"\n"),
	         "a.conf:6: error: register: \"rtmr0=00010203040506...\" is of tdx, which the tee of "
	         "destination \"d\" does not name; add it there or remove this\n"},
	        {ON("tdx", "unpinned-register = rtmr4\n"),
	         "a.conf:6: error: unpinned-register: there is no register \"rtmr4\"; did you mean "
	         "\"rtmr1\"?\n"},
	        {ON("tdx",
	            "unpinned-register = {rtmr0,rtmr0,rtmr0,rtmr0,rtmr0,rtmr0,rtmr0,rtmr0,rtmr0,"
	            "rtmr0,rtmr0,rtmr0,rtmr0,rtmr0,rtmr0,rtmr0,\nrtmr0}\n"),
	         "a.conf:7: error: unpinned-register: more than 16 in one destination\n"},
	        {ON("tdx", "unpinned-register = mrservicetd\n"),
	         "a.conf:6: error: unpinned-register: mrservicetd says which other TD may reach into "
	         "this one; pin it with register, or let the ledger name it\n"},
	        {ON("tdx", "unpinned-register = mrtd\n"),
	         "a.conf:6: error: unpinned-register: mrtd is the launch measurement, which a ledger "
	         "or a measurement list has to name\n"},
	        {ON("tdx", "unpinned-register = pcr3\n"),
	         "a.conf:6: error: unpinned-register: \"pcr3\" is of nitro, which the tee of "
	         "destination \"d\" does not name; add it there or remove this\n"},
	};

	(void)state;
	check_wrong(t, COUNT(t));
}

#define NO_PROVIDER \
	"is not any, deny, or a provider as its certificate has it, like " \
	"\"CN=cc-us-east-2.amazonaws.com\"\n"

static void wrong_tcb(void **state)
{
	static const struct wrong t[] = {
	        {ON("snp", "vlek = denied\n"), "a.conf:6: error: vlek: \"denied\" " NO_PROVIDER},
	        {ON("snp", "vlek = {deny,\n\"CN=a.example\"}\n"),
	         "a.conf:7: error: vlek: any and deny stand alone; remove them, or what is "
	         "beside\n"},
	        {ON("snp", "vlek = {\"CN=a.example\", any}\n"),
	         "a.conf:6: error: vlek: any and deny stand alone; remove them, or what is "
	         "beside\n"},
	        {ON("tdx", "vlek = deny\n"),
	         "a.conf:6: error: vlek: \"deny\" is of snp, which the tee of destination \"d\" "
	         "does not name; add it there or remove this\n"},
	        {ON("snp", "min-tcb = snp\n"), "a.conf:6: error: min-tcb: \"snp\" " NO_COMPONENT},
	        {ON("snp", "min-tcb = \"ucode=1\"\n"),
	         "a.conf:6: error: min-tcb: \"ucode=1\" " NO_COMPONENT},
	        {ON("snp", "min-tcb = \"snp=-1\"\n"),
	         "a.conf:6: error: min-tcb: \"snp=-1\" " NO_COMPONENT},
	        {ON("snp", "min-tcb = \"snp=65536\"\n"),
	         "a.conf:6: error: min-tcb: \"snp=65536\" " NO_COMPONENT},
	        {ON("snp", "min-tcb = \"guest-svn=4294967296\"\n"),
	         "a.conf:6: error: min-tcb: \"guest-svn=4294967296\" " NO_COMPONENT},
	        {ON("sgx", "min-tcb = \"isvsvn=65536\"\n"),
	         "a.conf:6: error: min-tcb: \"isvsvn=65536\" " NO_COMPONENT},
	        {ON("tdx", "min-tcb = \"sgx00=1\"\n"),
	         "a.conf:6: error: min-tcb: \"sgx00=1\" " NO_COMPONENT},
	        {ON("tdx", "min-tcb = \"sgx17=1\"\n"),
	         "a.conf:6: error: min-tcb: \"sgx17=1\" " NO_COMPONENT},
	        {ON("tdx", "min-tcb = \"tdx.isvsvn=1\"\n"),
	         "a.conf:6: error: min-tcb: \"tdx.isvsvn=1\" " NO_COMPONENT},
	        {ON("tdx", "min-tcb = \"intelish.pcesvn=1\"\n"),
	         "a.conf:6: error: min-tcb: \"intelish.pcesvn=1\" " NO_COMPONENT},
	        {ON("snp", "min-tcb = {\"snp=1\",\n\"snp=2\"}\n"),
	         "a.conf:7: error: min-tcb: \"snp\" is given twice\n"},
	        {ON("tdx", "min-tcb = {\"pcesvn=1\", \"tdx.pcesvn=2\"}\n"),
	         "a.conf:6: error: min-tcb: \"pcesvn\" is given twice\n"},
	        {ON("snp", "min-tcb = \"pcesvn=1\"\n"),
	         "a.conf:6: error: min-tcb: \"pcesvn=1\" is of tdx or sgx, which the tee of "
	         "destination \"d\" does not name; add it there or remove this\n"},
	        {ON("tdx", "accept-tcb = OutofDate\n"),
	         "a.conf:6: error: accept-tcb: \"OutofDate\" is not a TCB status; did you mean "
	         "\"OutOfDate\"?\n"},
	        {ON("tdx", "accept-tcb = anything\n"),
	         "a.conf:6: error: accept-tcb: \"anything\" is not a TCB status, like "
	         "SWHardeningNeeded or OutOfDate\n"},
	        {ON("tdx", "accept-tcb = Revoked\n"),
	         "a.conf:6: error: accept-tcb: a revoked platform can't be accepted; remove "
	         "Revoked\n"},
	        {ON("tdx", "accept-tcb = {OutOfDate, UpToDate}\n"),
	         "a.conf:6: error: accept-tcb: UpToDate is always accepted; remove it, and name what "
	         "else is\n"},
	        {ON("snp", "accept-tcb = OutOfDate\n"),
	         "a.conf:6: error: accept-tcb: \"OutOfDate\" is of tdx or sgx, which the tee of "
	         "destination \"d\" does not name; add it there or remove this\n"},
	        {ON("tdx", "accept-tcb = OutOfDate accept-advisory = \"INTEL SA\"\n"),
	         "a.conf:6: error: accept-advisory: \"INTEL SA\" is not the id of an advisory, like "
	         "INTEL-SA-00615\n"},
	        {ON("tdx", "accept-advisory = INTEL-SA-00615\n"),
	         "a.conf:6: error: accept-advisory accepts nothing by itself; add accept-tcb or "
	         "tcb-grace, or remove it\n"},
	        {ON("tdx", "tcb-grace = 59m\n"),
	         "a.conf:6: error: tcb-grace: \"59m\" is out of range; it goes from 3600s to 1095d\n"},
	        {ON("tdx", "tcb-grace = 1096d\n"),
	         "a.conf:6: error: tcb-grace: \"1096d\" is out of range; it goes from 3600s to "
	         "1095d\n"},
	        {ON("tdx", "min-tcb-date = 2025-02-29\n"),
	         "a.conf:6: error: min-tcb-date: \"2025-02-29\" is not a day; write it like "
	         "2025-05-01\n"},
	        {ON("tdx", "min-tcb-date = 2025-5-1\n"),
	         "a.conf:6: error: min-tcb-date: \"2025-5-1\" is not a day; write it like "
	         "2025-05-01\n"},
	        {ON("tdx", "min-tcb-date = 1969-12-31\n"),
	         "a.conf:6: error: min-tcb-date: \"1969-12-31\" is not a day; write it like "
	         "2025-05-01\n"},
	        {ON("tdx", "min-tcb-date = 2025-13-01\n"),
	         "a.conf:6: error: min-tcb-date: \"2025-13-01\" is not a day; write it like "
	         "2025-05-01\n"},
	        {ON("tdx", "min-tcb-evaluation = 0\n"),
	         "a.conf:6: error: min-tcb-evaluation: \"0\" is not an evaluation number, 1 to 65535\n"},
	        {ON("tdx", "min-tcb-evaluation = 65536\n"),
	         "a.conf:6: error: min-tcb-evaluation: \"65536\" is not an evaluation number, 1 to "
	         "65535\n"},
	        {ON("snp", "min-tcb-evaluation = 17\n"),
	         "a.conf:6: error: min-tcb-evaluation: \"17\" is of tdx or sgx, which the tee of "
	         "destination \"d\" does not name; add it there or remove this\n"},
	        /* TEST_NOW is 2025-06-15. */
	        {ON("tdx", "min-tcb-date = 2025-06-16\n"),
	         "a.conf:6: error: min-tcb-date: 2025-06-16 is not yet; no platform can have a TCB "
	         "of that day\n"},
	};

	(void)state;
	check_wrong(t, COUNT(t));
}

/* There is room for each component of each platform, and for no more. */
static void many_floors(void **state)
{
	static const char *const prefix[] = {"sgx.sgx", "tdx.sgx", "tdx"};

	(void)state;
	for (int more = 0; more <= 1; more++) {
		struct buf text = buf_make(1 << 16);
		struct policy_issues issues;
		struct policy *p = NULL;

		buf_str(&text,
		        GATE_HEAD "destination d { tee = {tdx, sgx} address = 192.0.2.1 port = "
		                  "443 action = gate ledger = acme min-tcb = {");
		for (size_t i = 0; i < COUNT(prefix); i++)
			for (int k = 0; k < 16; k++)
				buf_printf(&text, "%s\"%s%02d=%d\"", i || k ? ", " : "", prefix[i],
				           i < 2 ? k + 1 : k, k);
		buf_str(&text, more ? ", \"pcesvn=1\"} }" : "} }");
		buf_u8(&text, 0);
		assert_int_equal(parse_two((char *)text.p, NULL, &p, &issues), more ? -EINVAL : 0);
		if (more)
			assert_string_equal(issues.v[0].text,
			                    "min-tcb: more than 48 in one destination");
		else
			assert_int_equal(p->destination[0].tcb_floors, POLICY_FLOORS_MAX);
		policy_free(p);
		buf_free(&text);
	}
}

static void wrong_machine(void **state)
{
	static const struct wrong t[] = {
	        {ON("snp", "chip-id = " HEX32 "\n"),
	         "a.conf:6: error: chip-id: \"" HEX32 "\" " NO_CHIP},
	        {ON("snp", "chip-id = 0000000000000000\n"),
	         "a.conf:6: error: chip-id: \"0000000000000000\" is not a machine's id: zero is what "
	         "a masked one looks like\n"},
	        {ON("snp", "chip-id = " HEX16 "\n"),
	         "a.conf:6: error: chip-id: \"00010203040506070809...\" is of tdx or sgx, which the "
	         "tee of destination \"d\" does not name; add it there or remove this\n"},
	        {ON("nitro", "chip-id = {" HEX48 ",\n01" HEX32 "}\n"),
	         "a.conf:7: error: chip-id: \"01000102030405060708...\" is of cca, which the "
	         "tee of destination \"d\" does not name; add it there or remove this\n"},
	        {ON("tdx", "vmpl = 0\n"),
	         "a.conf:6: error: vmpl: \"0\" is of snp, which the tee of destination \"d\" does not "
	         "name; add it there or remove this\n"},
	        {ON("tdx", "host-data = " HEX32 "\n"),
	         "a.conf:6: error: host-data: \"00010203040506070809...\" is of snp, which the tee of "
	         "destination \"d\" does not name; add it there or remove this\n"},
	        {ON("tdx", "require-platform = ecc\n"),
	         "a.conf:6: error: require-platform: \"ecc\" is of snp, which the tee of destination "
	         "\"d\" does not name; add it there or remove this\n"},
	        {ON("tdx", "require-guest-policy = no-smt\n"),
	         "a.conf:6: error: require-guest-policy: \"no-smt\" is of snp, which the tee of "
	         "destination \"d\" does not name; add it there or remove this\n"},
	        {ON("tdx", "require-attribute = pks\n"),
	         "a.conf:6: error: require-attribute: \"pks\" is not one of tdx.lass, "
	         "tdx.sept-ve-disable, tdx.pks, tdx.kl, sgx.mode64, sgx.cet, sgx.kss, "
	         "sgx.aex-notify\n"},
	        {ON("tdx", "forbid-attribute = sgx.kss\n"),
	         "a.conf:6: error: forbid-attribute: \"sgx.kss\" is of sgx, which the tee of "
	         "destination \"d\" does not name; add it there or remove this\n"},
	};

	(void)state;
	check_wrong(t, COUNT(t));
}

static void hidden(void **state)
{
	static const struct wrong t[] = {
	        {HEAD "destination a { address = 10.0.0.0/8 action = deny }\ndestination "
	              "b {\n address = 10.1.0.0/16 action = allow port = 443 }\n",
	         "a.conf:3: error: destination \"b\" is never reached: \"a\" at " FILE_A
	         ":2 comes first and matches all of it; move this one before it or "
	         "remove it\n"},
	        {HEAD "destination a { address = 10.0.0.0/8 action = deny port = {1-400,401-500} "
	              "}\ndestination b {\n address = 10.1.0.0/16 action = allow port "
	              "= 443 }\n",
	         "a.conf:3: error: destination \"b\" is never reached: \"a\" at " FILE_A
	         ":2 comes first and matches all of it; move this one before it or "
	         "remove it\n"},
	        {HEAD "destination a { address = 10.0.0.0/8 action = deny port = {1-400,402-500} "
	              "}\ndestination b {\n address = 10.1.0.0/16 action = allow port "
	              "= {300-500, 443} }\n",
	         "a.conf:3: warning: destination \"b\" never sees 10.1.0.0/16 port "
	         "443: \"a\" at " FILE_A
	         ":2 comes first; remove it here, or move this one before it\n"},
	        {HEAD "destination a { address = 10.0.0.0/8 action = deny }\ndestination "
	              "b {\n address = {10.1.0.0/16, \"::/0\"} action = allow }\n",
	         "a.conf:3: warning: destination \"b\" never sees 10.1.0.0/16: \"a\" "
	         "at " FILE_A ":2 comes first; remove it here, or move this one before it\n"},
	        {HEAD "destination a { name = {x.example, y.example} action = deny }\ndestination "
	              "b {\n name = X.example action = allow port = 443 }\n",
	         "a.conf:3: error: destination \"b\" is never reached: \"a\" at " FILE_A
	         ":2 comes first and matches all of it; move this one before it or "
	         "remove it\n"},
	        {HEAD "destination a { address = 10.1.0.0/16 action = deny }\ndestination "
	              "b {\n address = 10.0.0.0/8 action = allow port = 443 }\n",
	         ""},
	        {HEAD "destination a { address = 0.0.0.0/0 action = deny }\ndestination "
	              "b {\n address = \"::/0\" action = allow port = 443 }\n",
	         ""},
	        {HEAD
	         "destination a { address = 10.0.0.0/8 action = deny port = {1,3,5,7,9,11,13,15,17,19} "
	         "}\ndestination b {\n address = 10.1.0.0/16 action = allow port "
	         "= {2,4,6,8,10,12,14} }\n",
	         "a.conf:3: error: more than 16 port ranges of all destinations meet "
	         "at 10.1.0.0/16; write fewer, wider ranges\n"},
	        {HEAD
	         "destination a { name = x.example action = deny port = {1,3,5,7,9,11,13,15,17,19} "
	         "}\ndestination b {\n name = {y.example, x.example} action = allow port "
	         "= {2,4,6,8,10,12,14} }\n",
	         "a.conf:3: error: more than 16 port ranges of all destinations meet "
	         "at x.example; write fewer, wider ranges\n"},
	        {HEAD "destination a { address = 10.0.0.0/8 action = deny port = {1-442, 443} }\n"
	              "destination b { address = 10.0.0.0/8 action = allow port = 443 }\n",
	         "a.conf:3: error: destination \"b\" is never reached: \"a\" at " FILE_A
	         ":2 comes first and matches all of it; move this one before it or remove it\n"},
	        {HEAD "destination a { name = x.example action = deny }\n"
	              "destination b { name = {y.example, x.example} action = allow port = 443 }\n",
	         "a.conf:3: warning: destination \"b\" never sees x.example port 443: \"a\" at " FILE_A
	         ":2 comes first; remove it here, or move this one before it\n"},
	        /* Only what is for all of its applications hides a destination. */
	        {HEAD "destination a { address = 10.0.0.0/8 action = deny user = {1, 2} }\n"
	              "destination b { address = 10.0.0.0/8 action = allow }\n",
	         ""},
	        {HEAD "destination a { address = 10.0.0.0/8 action = deny }\n"
	              "destination b { address = 10.0.0.0/8 action = allow user = 1 }\n",
	         "a.conf:3: error: destination \"b\" is never reached: \"a\" at " FILE_A
	         ":2 comes first and matches all of it; move this one before it or remove it\n"},
	        {HEAD "destination a { address = 10.0.0.0/8 action = deny user = {1, 2, root} "
	              "cgroup = {\"/x\", \"/y\"} unit = {a.service, b.service} }\n"
	              "destination b { address = 10.0.0.0/8 action = allow user = {2, root} "
	              "cgroup = \"/x/z\" unit = b.service executable = \"/bin/x\" }\n",
	         "a.conf:3: error: destination \"b\" is never reached: \"a\" at " FILE_A
	         ":2 comes first and matches all of it; move this one before it or remove it\n"},
	        {HEAD
	         "destination a { address = 10.0.0.0/8 action = deny user = 1 cgroup = \"/x\" }\n"
	         "destination b { address = 10.0.0.0/8 action = allow user = 1 cgroup = \"/xy\" }\n"
	         "destination c { address = 10.0.0.0/8 action = allow user = 1 }\n"
	         "destination d { address = 10.0.0.0/8 action = allow user = {1, 2} "
	         "cgroup = \"/x\" }\n"
	         "destination e { address = 10.0.0.0/8 action = allow executable = \"/bin/x\" }\n",
	         ""},
	        {HEAD
	         "destination a { address = 10.0.0.0/8 action = deny executable = \"/bin/x\" }\n"
	         "destination b { address = 10.0.0.0/8 action = deny unit = a.service }\n"
	         "destination c { address = 10.0.0.0/8 action = allow unit = b.service "
	         "executable = \"/bin/y\" }\n",
	         ""},
	};

	(void)state;
	check_wrong(t, COUNT(t));
}

/* --------------------------------------------------------------- applications */

#define APP(value) HEAD "destination a { address = 10.0.0.0/8 action = deny\n" value " }\n"
#define PLAIN      "a plain path, without //, /. or /.., and with no / at its end"
#define ABSOLUTE   "a path that begins with /, and more than that"

static void wrong_applications(void **state)
{
	static const struct wrong t[] = {
	        {APP("unit = system.slice"),
	         "a.conf:3: error: unit: \"system.slice\" is a slice, which holds units; write "
	         "cgroup = {\"/system.slice\"}\n"},
	        {APP("unit = nginx"), "a.conf:3: error: unit: \"nginx\" is not the full name of a "
	                              "unit, like nginx.service\n"},
	        {APP("unit = \".service\""),
	         "a.conf:3: error: unit: \".service\" is not the full name of a unit, like "
	         "nginx.service\n"},
	        {APP("unit = \"a/b.service\""),
	         "a.conf:3: error: unit: \"a/b.service\" is not the full name of a unit, like "
	         "nginx.service\n"},
	        {APP("cgroup = \"/\""), "a.conf:3: error: cgroup: \"/\" is not " ABSOLUTE "\n"},
	        {APP("cgroup = a"), "a.conf:3: error: cgroup: \"a\" is not " ABSOLUTE "\n"},
	        {APP("cgroup = \"/a/\""), "a.conf:3: error: cgroup: \"/a/\" is not " PLAIN "\n"},
	        {APP("cgroup = \"/a//b\""),
	         "a.conf:3: error: cgroup: \"/a//b\" is not " PLAIN "\n"},
	        {APP("cgroup = \"/a/../b\""),
	         "a.conf:3: error: cgroup: \"/a/../b\" is not " PLAIN "\n"},
	        {APP("cgroup = \"/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g\""), ""},
	        {APP("cgroup = \"/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h\""),
	         "a.conf:3: error: cgroup: deeper than 16 components, or 1024 characters or more\n"},
	        {APP("executable = curl"),
	         "a.conf:3: error: executable: \"curl\" is not " ABSOLUTE "\n"},
	        {APP("executable = \"/usr/./bin\""),
	         "a.conf:3: error: executable: \"/usr/./bin\" is not " PLAIN "\n"},
	        {APP("user = 4294967295"),
	         "a.conf:3: error: user: \"4294967295\" is not the name or number of a user\n"},
	        {APP("user = 4294967294"), ""},
	        {GATE("kernel-tls = nfs\nuser = 7\n"),
	         "a.conf:9: error: kernel-tls: the kernel's own connections are of no application; "
	         "remove unit, cgroup, user and executable from destination \"d\"\n"},
	        {APP("user = \"a:b\""),
	         "a.conf:3: error: user: \"a:b\" is not the name or number of a user\n"},
	};

	(void)state;
	check_wrong(t, COUNT(t));
}

/* Values in another order, and twice, are the same selection. */
static void same_application(void **state)
{
	static const char text[] = HEAD
	        "destination a { address = 10.0.0.1 action = deny user = {b, 7, b} "
	        "unit = {y.service, x.service} }\n"
	        "destination b { address = 10.0.0.2 action = deny unit = {x.service, y.service} "
	        "user = {7, b} }\n"
	        "destination c { address = 10.0.0.3 action = deny user = {7, b, c} "
	        "unit = {x.service, y.service} }\n"
	        "destination d { address = 10.0.0.4 action = deny }\n";
	struct policy *p = parse_good(text);

	(void)state;
	assert_int_equal(p->apps, 2);
	assert_int_equal(p->destination[0].app, 1);
	assert_int_equal(p->destination[1].app, 1);
	assert_int_equal(p->destination[2].app, 2);
	assert_int_equal(p->destination[3].app, 0);
	assert_int_equal(p->app[0].users, 2);
	policy_free(p);
}

static void too_many_applications(void **state)
{
	struct buf b = buf_make(1 << 16);
	struct policy_issues issues;
	struct policy *p = NULL;

	(void)state;
	buf_str(&b, HEAD);
	for (int i = 0; i <= POLICY_APPS_MAX; i++) {
		buf_printf(
		        &b,
		        "destination d%d { address = 10.0.0.1 port = %d action = deny user = %d }\n",
		        i, 1, i);
		if (i != POLICY_APPS_MAX - 1)
			continue;
		/* As many as that may be there, though not at one address. */
		buf_u8(&b, 0);
		assert_int_equal(parse_two((char *)b.p, NULL, &p, &issues), -EINVAL);
		assert_non_null(strstr(issues.v[0].text, "more than 16 port ranges"));
		b.n--;
	}
	buf_u8(&b, 0);
	assert_int_equal(parse_two((char *)b.p, NULL, &p, &issues), -EINVAL);
	assert_int_equal(issues.n, 1);
	assert_non_null(strstr(issues.v[0].text, "more than 63 different selections"));
	buf_free(&b);
}

static int user_of(void *ctx, const char *name, uint32_t *uid)
{
	(void)ctx;
	if (!strcmp(name, "slow"))
		return -EAGAIN;
	if (strcmp(name, "www-data"))
		return -ENOENT;
	*uid = 33;
	return 0;
}

static void users_by_name(void **state)
{
	static const char text[] = HEAD "destination a { address = 10.0.0.1 action = deny\n"
	                                " user = {www-data, 1000,\n nobody-such, slow} }\n";
	struct policy_issues issues = {0};
	struct policy *p = parse_good(text);

	(void)state;
	policy_users(p, user_of, NULL, &issues);
	assert_int_equal(issues.errors, 2);
	assert_string_equal(issues.v[0].where.file, FILE_A);
	assert_int_equal(issues.v[0].where.line, 4);
	assert_string_equal(issues.v[0].text,
	                    "user: there is no user \"nobody-such\" on this host; "
	                    "make it, or write its number");
	assert_non_null(strstr(issues.v[1].text, "who \"slow\" is can't be told now"));
	for (uint32_t i = 0; i < p->app[0].users; i++) {
		const struct policy_user *u = &p->app[0].user[i];

		assert_int_equal(u->known, u->uid != 0);
		if (!strcmp(u->name, "www-data"))
			assert_int_equal(u->uid, 33);
	}
	policy_free(p);
}

/* What is wrong between two files names both. */
static void wrong_across_files(void **state)
{
	static const char wanted[] =
	        "b.conf:1: error: default-action stands already at " FILE_A ":1; remove one\n"
	        "b.conf:2: error: there is a ledger \"acme\" already at " FILE_A
	        ":2; give this one another name\n"
	        "b.conf:3: error: there is a destination \"d\" already at " FILE_A
	        ":3; give this one another name\n";
	struct policy_issues issues;
	struct policy *p = NULL;
	struct buf is = buf_make(1 << 16);

	(void)state;
	assert_int_equal(parse_two(GATE(""),
	                           "default-action = deny\n"
	                           "ledger acme { policy = acme.policy }\n"
	                           "destination d { address = 10.0.0.1 action = deny }",
	                           &p, &issues),
	                 -EINVAL);
	put_issues(&is, &issues);
	assert_string_equal((char *)is.p, wanted);
	assert_null(p);
	buf_free(&is);
}

/* One file's bad grammar does not hide another's issues, and adds none that are not there. */
static void one_bad_file(void **state)
{
	struct policy_issues issues;
	struct policy *p = NULL;

	(void)state;
	assert_int_equal(parse_two("default-action = allow\n}", GATE_HEAD "x = y\n", &p, &issues),
	                 -EINVAL);
	assert_int_equal(issues.n, 2);
	assert_string_equal(issues.v[0].text, "\"}\" closes nothing");
	assert_int_equal(issues.v[1].where.line, 3);
	assert_int_equal(parse_two("}", NULL, &p, &issues), -EINVAL);
	assert_int_equal(issues.n, 1);
}

/* More issues than there is room for still refuse. */
static void many_issues(void **state)
{
	struct buf text = buf_make(1 << 16);
	struct policy_issues issues;
	struct policy *p = NULL;

	(void)state;
	buf_str(&text, HEAD "destination d { action = deny address = {10.0.0.1");
	for (int i = 0; i < 100; i++)
		buf_str(&text, ",\nx");
	buf_str(&text, "} }");
	buf_u8(&text, 0);
	assert_int_equal(parse_two((char *)text.p, NULL, &p, &issues), -EINVAL);
	assert_int_equal(issues.n, POLICY_ISSUES_MAX);
	assert_int_equal(issues.errors, 100);
	assert_int_equal(issues.v[63].where.line, 66);
	buf_free(&text);
}

/* A block for snp that says nothing of its firmware, and where and with what that is mended. */
static void no_floor(void **state)
{
#define NO_FLOOR \
	"destination \"d\" takes snp firmware of any age, and AMD rates none; add what keygate " \
	"probe prints of a good machine, like: min-tcb = {\"snp=24\", \"microcode=219\"}"
	static const struct {
		const char *text;
		uint32_t line; /* of the warning; 0: none */
	} rows[] = {
	        {GATE(""), 7},
	        {GATE("min-tcb = \"snp=1\"\n"), 0},
	        {GATE("min-tcb = {\"fmc=0\", \"microcode=209\"}\n"), 0},
	        {GATE("\nmin-tcb = \"guest-svn=2\"\n"), 10},
	        {GATE("min-tcb = \"snp=0\"\n"), 9},
	        {ON("{snp, tdx}", "min-tcb = \"pcesvn=13\"\n"), 6},
	        {ON("{snp, tdx}", "min-tcb = {\"pcesvn=13\", \"snp=24\"}\n"), 0},
	        {ON("tdx", ""), 0},
	};
	struct policy_issues issues;
	struct policy *p;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		p = NULL;
		assert_int_equal(parse_two(rows[i].text, NULL, &p, &issues), 0);
		policy_free(p);
		if (issues.n != (rows[i].line != 0))
			fail_msg("in:\n%s\n%u issues", rows[i].text, issues.n);
		if (!rows[i].line)
			continue;
		assert_string_equal(issues.v[0].text, NO_FLOOR);
		assert_int_equal(issues.v[0].where.line, rows[i].line);
		assert_false(issues.v[0].error);
	}
	p = NULL;
	assert_int_equal(parse_two(MONITOR(""), NULL, &p, &issues), 0);
	policy_free(p);
	assert_int_equal(issues.n, 2);
	assert_string_equal(issues.v[0].text, NO_FLOOR);
}

/* What has to be mended is said, however many warnings come before. */
static void errors_before_warnings(void **state)
{
	struct buf text = buf_make(1 << 16);
	struct policy_issues issues;
	struct policy *p = NULL;

	(void)state;
	buf_str(&text, HEAD "ledger acme { policy = acme.policy }\n");
	for (int i = 0; i < 100; i++)
		buf_printf(
		        &text,
		        "destination d%d { address = 10.0.0.%d port = 443 action = gate tee = snp "
		        "ledger = acme }\n",
		        i, i);
	buf_str(&text, "destination x { action = deny address = {x, y} }\n");
	buf_u8(&text, 0);
	assert_int_equal(parse_two((char *)text.p, NULL, &p, &issues), -EINVAL);
	assert_int_equal(issues.n, POLICY_ISSUES_MAX);
	assert_int_equal(issues.errors, 2);
	for (uint32_t i = 0; i < POLICY_ISSUES_MAX; i++)
		assert_int_equal(issues.v[i].error, i >= POLICY_ISSUES_MAX - 2);
	assert_non_null(strstr(issues.v[62].text, "\"x\""));
	assert_non_null(strstr(issues.v[63].text, "\"y\""));
	buf_free(&text);
}

static void put_list(struct buf *text, const char *key, const char *fmt, int n)
{
	buf_printf(text, "%s = {", key);
	for (int i = 0; i < n; i++) {
		buf_str(text, i ? ", \"" : "\"");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		buf_printf(text, fmt, i / 256, i % 256);
#pragma GCC diagnostic pop
		buf_str(text, "\"");
	}
	buf_str(text, "}\n");
}

/* The bounds of each list: as many fit, one more does not. */
static void list_bounds(void **state)
{
	static const struct {
		const char *key, *fmt;
		int max;
		const char *more; /* what the block needs as well */
	} lists[] = {
	        {"address", "10.0.%d.%d", POLICY_ADDRS_MAX, "tee = snp\n"},
	        {"name", "h%d-%d.example", POLICY_NAMES_MAX, "tee = snp\n"},
	        {"server-key",
	         "sha256:%04d%04d00000000000000000000000000000000000000000000000000000000",
	         POLICY_LIST_MAX, "tee = snp\n"},
	        {"chip-id", "11%06d%08d", POLICY_LIST_MAX, "tee = snp\n"},
	        {"vlek", "CN=%d-%d.example", POLICY_LIST_MAX, "tee = snp\n"},
	        {"measurement", HEX32 "1111111111111111%08d%08d", POLICY_LIST_MAX, "tee = snp\n"},
	        {"register", "rtmr0=" HEX32 "1111111111111111%08d%08d", POLICY_LIST_MAX,
	         "tee = tdx\n"},
	        {"accept-advisory", "INTEL-SA-%05d%05d", POLICY_LIST_MAX,
	         "tee = tdx accept-tcb = OutOfDate\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lists); i++) {
		for (int more = 0; more <= 1; more++) {
			struct buf text = buf_make(1 << 20);
			struct policy_issues issues;
			struct policy *p = NULL;

			buf_str(&text, GATE_HEAD "destination d { port = 443 action = gate "
			                         "ledger = acme\n");
			buf_str(&text, lists[i].more);
			if (i > 1)
				buf_str(&text, "address = 10.0.0.1\n");
			put_list(&text, lists[i].key, lists[i].fmt, lists[i].max + more);
			buf_str(&text, "}");
			buf_u8(&text, 0);
			assert_int_equal(parse_two((char *)text.p, NULL, &p, &issues),
			                 more ? -EINVAL : 0);
			assert_int_equal(issues.errors, more);
			if (more)
				assert_non_null(strstr(issues.v[0].text, "more than"));
			policy_free(p);
			buf_free(&text);
		}
	}
}

/* The first and the last value of a range are in it. */
static void durations(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} leases[] = {{"1s", 1},
	              {"59m", 3540},
	              {"24h", 86400},
	              {"30d", 30 * 86400},
	              {"2592000s", 2592000}};
	struct policy *p;

	(void)state;
	for (size_t i = 0; i < COUNT(leases); i++) {
		char text[512];

		snprintf(text, sizeof(text), GATE("lease = %s\n"), leases[i].text);
		p = parse_good(text);
		assert_int_equal(p->destination[0].lease, leases[i].seconds);
		policy_free(p);
	}
	p = parse_good(HEAD "ledger a { policy = acme.policy max-age = 60s }\n"
	                    "ledger b { policy = acme.policy max-age = 7d }\n"
	                    "destination a { address = 10.0.0.1 port = 443 action = gate tee = snp "
	                    "ledger = a }\n"
	                    "destination b { address = 10.0.0.2 port = 443 action = gate tee = snp "
	                    "ledger = b }\n");
	assert_int_equal(p->ledger[0].max_age, 60);
	assert_int_equal(p->ledger[1].max_age, 7 * 86400);
	policy_free(p);
}

/* Larger than any file of people, and refused before it is read. */
static void large_file(void **state)
{
	size_t n = POLICY_FILE_MAX + 1;
	char *text = malloc(n);
	struct policy_file f = {FILE_A, {(const uint8_t *)text, n}};
	struct policy_issues issues;
	struct policy *p = NULL;

	(void)state;
	assert_non_null(text);
	memset(text, '\n', n);
	assert_int_equal(policy_parse(&f, 1, NULL, NULL, TEST_NOW, &p, &issues), -EINVAL);
	assert_int_equal(issues.n, 1);
	assert_string_equal(issues.v[0].text, "the file is larger than 4194304 bytes");
	free(text);
}

/* A zero byte does not end a file early. */
static void zero_byte(void **state)
{
	static const char text[] = "default-action = allow\n\0}";
	struct policy_file f = {FILE_A, {(const uint8_t *)text, sizeof(text) - 1}};
	struct policy_issues issues;
	struct policy *p = NULL;

	(void)state;
	assert_int_equal(policy_parse(&f, 1, NULL, NULL, TEST_NOW, &p, &issues), -EINVAL);
	assert_int_equal(issues.v[0].where.line, 2);
	assert_string_equal(issues.v[0].text, "byte 0x00 outside of a string");
}

static void collateral_is_told_by_content(void **state)
{
	struct policy *p = parse_good(GATE(""));
	uint8_t *piece;
	size_t n;

	(void)state;
	for (uint32_t i = 0; i < POLICY_ENDORSEMENTS_MAX; i++) {
		piece = some_cert(i, &n);
		assert_int_equal(policy_add_collateral(p, piece, n), 0);
	}
	piece = some_cert(99, &n);
	assert_int_equal(policy_add_collateral(p, piece, n), -ENOSPC);
	free(piece);
	for (int i = 0; i < 2; i++) {
		piece = (uint8_t *)strdup(SOME_TCB_INFO);
		assert_int_equal(policy_add_collateral(p, piece, strlen(SOME_TCB_INFO)), 0);
	}
	assert_int_equal(collateral_store_pieces(p->collateral), 1);
	piece = (uint8_t *)strdup("nothing of the kind");
	assert_int_equal(policy_add_collateral(p, piece, 7), -EINVAL);
	free(piece);
	policy_free(p);
}

static void collateral_sources(void **state)
{
	struct policy *p =
	        parse_good(GATE("") "collateral amd { url = \"https://mirror.example/kds\" }\n"
	                            "collateral intel { url = \"file:///srv/pcs/\" refresh = 6h\n"
	                            "ca = \"/etc/keygate/pccs.pem\" }\n");

	(void)state;
	assert_string_equal(p->source[VENDOR_AMD].url, "https://mirror.example/kds/");
	assert_int_equal(p->source[VENDOR_AMD].refresh, 86400);
	assert_string_equal(p->source[VENDOR_AMD].ca, "");
	assert_string_equal(p->source[VENDOR_INTEL].url, "file:///srv/pcs/");
	assert_int_equal(p->source[VENDOR_INTEL].refresh, 6 * 3600);
	assert_string_equal(p->source[VENDOR_INTEL].ca, "/etc/keygate/pccs.pem");
	policy_free(p);
	p = parse_good(GATE(""));
	assert_string_equal(p->source[VENDOR_AMD].url, "");
	policy_free(p);
}

static void withdrawn(void **state)
{
	struct policy *p =
	        parse_good(GATE("deny = {\"leaf:" ONES "\"}\ndeny-file = withdrawn.list\n"
	                        "min-version = 1.4\nrenewed-within = 7d\n"));
	const struct policy_destination *d = &p->destination[0];

	(void)state;
	assert_int_equal(d->denieds, 4);
	assert_int_equal(d->denied[0].kind, DENIED_LEAF);
	assert_int_equal(d->denied[1].kind, DENIED_SUBJECT);
	assert_int_equal(d->denied[1].hash[31], 0x11);
	assert_int_equal(d->denied[2].kind, DENIED_LEAF);
	assert_int_equal(d->denied[3].kind, DENIED_MEASUREMENT);
	assert_int_equal(d->denied[3].measurement.tee, TEE_SNP);
	assert_int_equal(d->denied[3].measurement.m.len, 48);
	assert_string_equal(d->min_version, "1.4");
	assert_int_equal(d->renewed_within, 7 * 86400);
	policy_free(p);
}

static void addresses_of_files(void **state)
{
	struct policy *p = parse_good(
	        HEAD
	        "destination a { address = 10.0.0.1 address-file = partners.list action = deny }\n");
	const struct policy_destination *d = &p->destination[0];
	const uint8_t last[16] = {[10] = 0xff, 0xff, 198, 51, 100, 7};

	(void)state;
	assert_int_equal(d->prefixes, 4);
	assert_int_equal(d->prefix[0].addr[12], 10);
	assert_int_equal(d->prefix[1].plen, 124);
	assert_int_equal(d->prefix[2].plen, 32);
	assert_memory_equal(d->prefix[3].addr, last, 16);
	assert_int_equal(policy_match(p, NULL, 0, last, 443, NULL), 0);
	policy_free(p);
}

/* As many as a destination may have, and one more. */
static void many_addresses_of_a_file(void **state)
{
	struct policy_file file = {FILE_A, bytes_str(HEAD "destination a { address-file = "
	                                                  "many.list action = deny }\n")};

	(void)state;
	for (uint32_t more = 0; more <= 1; more++) {
		struct buf text = buf_make(4 << 20);
		struct policy_issues issues;
		struct files f = {0};
		struct policy *p = NULL;

		for (uint32_t i = 0; i < POLICY_ADDRS_FILE_MAX + more; i++)
			buf_printf(&text, "10.%u.%u.%u\n", i >> 16, i >> 8 & 255, i & 255);
		f.n = 1;
		snprintf(f.v[0].path, sizeof(f.v[0].path), "%s", DIR "policy.d/many.list");
		f.v[0].content = text;
		assert_int_equal(policy_parse(&file, 1, files_load, &f, TEST_NOW, &p, &issues),
		                 more ? -EINVAL : 0);
		assert_int_equal(issues.errors, more);
		if (more)
			assert_non_null(strstr(issues.v[0].text, "one too many"));
		policy_free(p);
		buf_free(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(withdrawn),
	        cmocka_unit_test(everything),
	        cmocka_unit_test(defaults),
	        cmocka_unit_test(every_transport),
	        cmocka_unit_test(server_name_of_name),
	        cmocka_unit_test(two_files),
	        cmocka_unit_test(wrong_grammar),
	        cmocka_unit_test(several_mistakes),
	        cmocka_unit_test(addresses_of_files),
	        cmocka_unit_test(many_addresses_of_a_file),
	        cmocka_unit_test(wrong_top_and_ledger),
	        cmocka_unit_test(wrong_anchor),
	        cmocka_unit_test(wrong_destination),
	        cmocka_unit_test(wrong_measurement),
	        cmocka_unit_test(bare_measurement),
	        cmocka_unit_test(wrong_register),
	        cmocka_unit_test(wrong_tcb),
	        cmocka_unit_test(many_floors),
	        cmocka_unit_test(wrong_machine),
	        cmocka_unit_test(hidden),
	        cmocka_unit_test(wrong_applications),
	        cmocka_unit_test(same_application),
	        cmocka_unit_test(too_many_applications),
	        cmocka_unit_test(users_by_name),
	        cmocka_unit_test(wrong_across_files),
	        cmocka_unit_test(one_bad_file),
	        cmocka_unit_test(many_issues),
	        cmocka_unit_test(list_bounds),
	        cmocka_unit_test(zero_byte),
	        cmocka_unit_test(durations),
	        cmocka_unit_test(no_floor),
	        cmocka_unit_test(errors_before_warnings),
	        cmocka_unit_test(large_file),
	        cmocka_unit_test(collateral_is_told_by_content),
	        cmocka_unit_test(collateral_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
