/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy that a probe prints: policy/ takes each stanza without an error or a warning, it
 * matches the destination, and it demands what the peer showed.
 */
#include "policy_files.h"

#include <openssl/x509.h>
#include "cli/stanza.h"

static const uint8_t key[32] = {0xab, 1, 2, 3};
static const uint8_t four[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 7};

static void put_register(struct claims *c, const char *name, uint8_t role, uint8_t len,
                         uint8_t fill)
{
	struct measurement *m = &c->measurements.v[c->measurements.n++];

	snprintf(m->name, sizeof(m->name), "%s", name);
	m->role = role;
	m->len = len;
	memset(m->value, fill, len);
}

static struct claims claims_of(enum tee tee, const char *launch, uint8_t len)
{
	struct claims c = {.tee = tee, .chip_id_len = 16, .chip_id = {9}};

	put_register(&c, launch, REGISTER_CODE, len, 0x11);
	if (tee == TEE_SNP)
		c.tcb[c.tcb_n++] = (struct tcb_component){"snp", 23};
	return c;
}

static struct stanza stanza_of(const struct claims *c)
{
	return (struct stanza){.host = "192.0.2.7",
	                       .port = 443,
	                       .server_name = "",
	                       .transport = "keygate",
	                       .binder = "connection",
	                       .spki_sha256 = key,
	                       .claims = c};
}

/* As the only file of a policy; the caller frees. */
static struct policy *parsed(const struct stanza *s, const struct files *f, char text[static 16384])
{
	struct buf out = buf_make(16384);
	struct policy_issues issues = {0};
	struct policy *p = NULL;

	buf_str(&out, "default-action = deny\n");
	stanza_print(s, &out);
	buf_u8(&out, 0);
	assert_false(out.bad);
	memcpy(text, out.p, out.n);
	buf_free(&out);
	if (policy_parse(&(struct policy_file){FILE_A, bytes_str(text)}, 1, files_load,
	                 (void *)(uintptr_t)f, TEST_NOW, &p, &issues))
		fail_msg("line %u: %s in:\n%s", issues.v[0].where.line, issues.v[0].text, text);
	for (uint32_t i = 0; i < issues.n; i++)
		fail_msg("line %u: %s in:\n%s", issues.v[i].where.line, issues.v[i].text, text);
	assert_int_equal(p->destinations, 1);
	assert_int_equal(p->destination[0].action, POLICY_GATE);
	assert_int_equal(p->destination[0].tees, 1u << s->claims->tee);
	return p;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void hasnt(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" is in:\n%s", part, text);
}

static void test_snp(void **state)
{
	struct claims c = claims_of(TEE_SNP, "measurement", 48);
	struct stanza s = stanza_of(&c);
	struct files none = {.n = 0};
	const struct policy_destination *d;
	char text[16384];
	struct policy *p;

	(void)state;
	c.tcb_n = 2;
	c.tcb[0] = (struct tcb_component){"snp", 23};
	c.tcb[1] = (struct tcb_component){"microcode", 84};
	c.chip_id_len = 64;
	memset(c.host_data, 7, sizeof(c.host_data));
	c.vmpl = 1;
	p = parsed(&s, &none, text);
	d = &p->destination[0];
	assert_int_equal(policy_match(p, NULL, 0, four, 443, NULL), 0);
	assert_int_equal(policy_match(p, NULL, 0, four, 444, NULL), -1);
	assert_string_equal(d->name, "192.0.2.7-443");
	assert_int_equal(d->ledger, -1);
	assert_int_equal(d->measurements, 1);
	assert_int_equal(d->measurement[0].tee, TEE_SNP);
	assert_memory_equal(d->measurement[0].m.value, c.measurements.v[0].value, 48);
	assert_memory_equal(d->host_data, c.host_data, sizeof(c.host_data));
	assert_int_equal(d->vmpl, 1);
	assert_int_equal(d->tcb_floors, 2);
	assert_int_equal(d->tcb_floor[1].svn, 84);
	assert_int_equal(d->vlek, VLEK_DENY);
	/* A matter of taste: offered, not demanded. */
	assert_int_equal(d->server_keys, 0);
	assert_int_equal(d->chip_ids, 0);
	has(text, "\t# server-key = {\"sha256:ab010203");
	has(text, "\t# chip-id = {\"09");
	hasnt(text, "ledger proof");
	policy_free(p);
	s.has_proof = true;
	p = parsed(&s, &none, text);
	has(text, "# It sent a ledger proof");
	policy_free(p);
	snprintf(c.csp, sizeof(c.csp), "CN=cc-test.example.com");
	p = parsed(&s, &none, text);
	assert_int_equal(p->destination[0].vlek, VLEK_LISTED);
	assert_string_equal(p->destination[0].vlek_csp[0], c.csp);
	policy_free(p);
}

static void test_registers_by_their_role(void **state)
{
	struct claims c = claims_of(TEE_TDX, "mrtd", 48);
	struct stanza s = stanza_of(&c);
	struct files none = {.n = 0};
	char text[16384];
	struct policy *p;

	(void)state;
	put_register(&c, "rtmr0", REGISTER_CODE, 48, 1);
	put_register(&c, "rtmr1", REGISTER_CODE, 48, 0);
	put_register(&c, "mrconfigid", REGISTER_CONFIG, 48, 2);
	put_register(&c, "mrseam", REGISTER_IDENTITY, 48, 3);
	put_register(&c, "rtmr3", REGISTER_COVERED, 48, 4);
	strcpy(c.tcb_status, "SWHardeningNeeded");
	c.advisories = 2;
	strcpy(c.advisory[0], "INTEL-SA-00615");
	strcpy(c.advisory[1], "INTEL-SA-00657");
	p = parsed(&s, &none, text);
	assert_int_equal(p->destination[0].pins, 2);
	assert_string_equal(p->destination[0].pin[0].m.name, "rtmr0");
	assert_string_equal(p->destination[0].pin[1].m.name, "mrconfigid");
	has(text, "# or also: register = {\"tdx.mrseam=0303");
	has(text, "accept-tcb  = {SWHardeningNeeded}");
	assert_int_equal(p->destination[0].accept_advisories, 2);
	policy_free(p);
	/* What needs no loosening gets none. */
	strcpy(c.tcb_status, "UpToDate");
	p = parsed(&s, &none, text);
	hasnt(text, "accept-");
	policy_free(p);
}

static void test_every_platform(void **state)
{
	static const struct {
		enum tee tee;
		const char *launch;
		uint8_t len;
	} all[] = {{TEE_SNP, "measurement", 48}, {TEE_TDX, "mrtd", 48}, {TEE_SGX, "mrenclave", 32},
	           {TEE_CCA, "rim", 32},         {TEE_CCA, "rim", 64},  {TEE_NITRO, "pcr0", 48}};
	struct files none = {.n = 0};
	char text[16384];

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct claims c = claims_of(all[i].tee, all[i].launch, all[i].len);
		struct stanza s = stanza_of(&c);

		policy_free(parsed(&s, &none, text));
	}
}

static void test_names(void **state)
{
	struct claims c = claims_of(TEE_SNP, "measurement", 48);
	struct stanza s = stanza_of(&c);
	struct files none = {.n = 0};
	struct policy_resolved at = {.destination = 0};
	char text[16384], longest[254];
	struct policy *p;

	(void)state;
	memcpy(at.addr, four, sizeof(four));
	s.host = s.server_name = "api.example.com";
	s.is_name = true;
	p = parsed(&s, &none, text);
	assert_string_equal(p->destination[0].name, "api.example.com-443");
	assert_string_equal(p->destination[0].host[0], "api.example.com");
	assert_string_equal(p->destination[0].server_name, "api.example.com");
	assert_int_equal(policy_match(p, &at, 1, four, 443, NULL), 0);
	policy_free(p);
	s.server_name = "other.example.com";
	p = parsed(&s, &none, text);
	assert_string_equal(p->destination[0].server_name, "other.example.com");
	policy_free(p);
	s = stanza_of(&c);
	s.host = "2001:db8::7";
	p = parsed(&s, &none, text);
	assert_string_equal(p->destination[0].name, "2001-db8--7-443");
	policy_free(p);
	/* A block's name has 63 characters. */
	for (size_t i = 0; i < sizeof(longest) - 1; i++)
		longest[i] = i % 8 == 7 ? '.' : 'a';
	longest[sizeof(longest) - 1] = '\0';
	longest[sizeof(longest) - 2] = 'a';
	s.host = s.server_name = longest;
	s.is_name = true;
	p = parsed(&s, &none, text);
	assert_int_equal(strlen(p->destination[0].name), 63);
	policy_free(p);
}

static void test_ledger_and_anchors(void **state)
{
	struct claims c = claims_of(TEE_SNP, "measurement", 48);
	struct stanza s = stanza_of(&c);
	struct files f = {.n = 0};
	char text[16384];
	struct policy *p;

	EVP_PKEY *anchor = key_of(5);
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(anchor, &der);

	(void)state;
	files_make(&f);
	files_add(&f, DIR "policy.d/lab.der", (struct bytes){der, (size_t)n});
	s.ledger = DIR "policy.d/acme.policy";
	s.has_proof = true;
	s.anchors = 1;
	s.anchor[0] = DIR "policy.d/lab.der";
	p = parsed(&s, &f, text);
	assert_int_equal(p->ledgers, 1);
	assert_int_equal(p->destination[0].ledger, 0);
	assert_int_equal(p->anchors, 1);
	assert_int_equal(p->anchor[0].tee, TEE_SNP);
	assert_int_equal(p->destination[0].anchors, 1);
	policy_free(p);
	/* One that no witness guards has to be taken with open eyes. */
	s.ledger = DIR "policy.d/none.policy";
	s.no_quorum = true;
	p = parsed(&s, &f, text);
	assert_true(p->ledger[0].allow_no_quorum);
	policy_free(p);
	files_free(&f);
	OPENSSL_free(der);
	EVP_PKEY_free(anchor);
}

/* What can't be written between quotes is not. */
static void test_a_files_name_can_not_break_out(void **state)
{
	static const char *const bad[] = {"/a\"b", "/a$b", "/a\\b", "/a|b", "/a\nb", "/a\xff"};
	struct claims c = claims_of(TEE_SNP, "measurement", 48);
	struct stanza s = stanza_of(&c);

	(void)state;
	s.anchors = 1;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf out = buf_make(16384);

		s.anchor[0] = bad[i];
		stanza_print(&s, &out);
		buf_u8(&out, 0);
		hasnt((char *)out.p, bad[i]);
		has((char *)out.p, "\"FILE\" # its name can't stand in a policy file");
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_snp),
	        cmocka_unit_test(test_registers_by_their_role),
	        cmocka_unit_test(test_every_platform),
	        cmocka_unit_test(test_names),
	        cmocka_unit_test(test_ledger_and_anchors),
	        cmocka_unit_test(test_a_files_name_can_not_break_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
