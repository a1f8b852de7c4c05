/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A man in the middle against every transport. He holds the server's TLS key, which leaked, and a
 * genuine TEE of his own with the same code. Judged by a whole policy. Three attacks:
 *
 *   replay     evidence that the server gave before
 *   relay      evidence that the server gives now, to him, for the victim's nonce
 *   diversion  true evidence of his own machine, over his own key
 *
 * What stops which stands in a table, attacks that go through among them: a test that only knows
 * refusals would not notice an attack that it makes wrongly.
 */
#include "ends_lab.h"

#include <errno.h>
#include "attester/answer.h"
#include "policy/policy.h"

static struct {
	SSL_CTX *tls;                  /* the genuine server's */
	uint8_t spki_sha256[32];       /* and its key */
	uint8_t chip_id[64];           /* of its machine */
	char measurement[97];          /* of the code, on both machines */
	struct evidence_source second; /* the attacker's machine */
	uint8_t *anchor, *chain;       /* and its vendor's, trusted like the first's */
	size_t anchor_n, chain_n;
} world;

/* -------------------------------------------------------------------- the policy */

static int load(void *ctx, const char *path, uint8_t **out, size_t *n)
{
	bool second = strstr(path, "second") != NULL;
	const uint8_t *from = second ? world.anchor : lab.anchor;

	(void)ctx;
	*n = second ? world.anchor_n : lab.anchor_n;
	*out = malloc(*n);
	memcpy(*out, from, *n);
	return 0;
}

static struct policy *policy_of(enum attest_transport t, const char *more)
{
	struct policy_issues issues = {0};
	struct buf text = buf_make(1 << 16);
	struct policy_file file = {.path = "/etc/keygate/a.conf"};
	struct policy *p = NULL;

	buf_printf(&text,
	           "default-action = allow\n"
	           "anchor first { tee = snp file = first.pem }\n"
	           "anchor second { tee = snp file = second.pem }\n"
	           "destination d { address = 192.0.2.1 port = 443 action = gate tee = snp\n"
	           "anchor = {first, second} ledger = none measurement = \"snp:%s\"\n"
	           "server-name = service.test\ntransport = %s\n%s%s\n%s }\n",
	           world.measurement, attest_transport_name(t),
	           strstr(more, "binder") ? "" : "binder = ",
	           strstr(more, "binder") ? "" : attest_transport_binder(t), more);
	file.text = buf_view(&text);
	if (policy_parse(&file, 1, load, NULL, time(NULL), &p, &issues))
		fail_msg("%s", issues.v[0].text);
	buf_free(&text);
	return p;
}

static void nothing_seen(void *ctx, const char *origin, struct ledger_last *out)
{
	(void)ctx, (void)origin;
	memset(out, 0, sizeof(*out));
}

/* The verdict on what this client got. */
static void verdict_of(const struct client *c, const char *more, struct verdict *v)
{
	struct policy *p = policy_of(c->to.transport, more);
	struct policy_head_update head;
	struct policy_presented shown = {.check_report_data = true};
	struct attest_opened o;
	struct attest_wire wire;

	wire_of(c, &wire);
	verdict_init(v, "d", time(NULL));
	assert_int_equal(attest_open(&wire, &o, &v->checks), 0);
	shown.binder = policy_binder_from_name(o.binder);
	shown.cmw = o.cmw;
	memcpy(shown.spki_sha256, o.spki_sha256, sizeof(shown.spki_sha256));
	memcpy(shown.report_data, o.report_data, sizeof(shown.report_data));
	/* As the host's own store would: not every transport has room for them. */
	shown.cmw.endorsements[shown.cmw.endorsements_n++] = (struct bytes){lab.chain, lab.chain_n};
	shown.cmw.endorsements[shown.cmw.endorsements_n++] =
	        (struct bytes){world.chain, world.chain_n};
	if (checks_overall(&v->checks) == CHECK_PASS)
		assert_int_equal(
		        policy_appraise(p, 0, &shown, time(NULL), nothing_seen, NULL, v, &head), 0);
	else
		verdict_seal(v);
	attest_opened_free(&o);
	policy_free(p);
}

/* refusing NULL: the attack goes through. */
static void expect_verdict(const struct client *c, const char *more, const char *refusing)
{
	struct verdict v;
	const struct check *bad;

	if (c->rc)
		fail_msg("%s: %s", c->why.code, c->why.detail);
	verdict_of(c, more, &v);
	bad = checks_first(&v.checks, CHECK_FAIL);
	if (!bad)
		bad = checks_first(&v.checks, CHECK_UNAVAILABLE);
	if (!bad != !refusing || (bad && strcmp(bad->id, refusing)) ||
	    verdict_passed(&v, time(NULL)) != !refusing)
		fail_msg("%s: %s: %s, not %s", attest_transport_name(c->to.transport),
		         bad ? bad->id : "pass", bad ? bad->detail : "",
		         refusing ? refusing : "pass");
	/* What is less than bound to the connection is named, in the verdict that rests on it. */
	if (!bad && strcmp(attest_transport_binder(c->to.transport), "connection") != 0) {
		bool named = false;

		for (uint32_t i = 0; i < v.loosenings; i++)
			named |= !strncmp(v.loosening[i], "binder = ", 9);
		assert_true(named);
	}
}

/* ------------------------------------------------------------------ the attacker */

struct attacker {
	enum attest_transport transport;
	bool old_document; /* that of the second version, which nothing keeps him from showing */
	const struct client *victim; /* whose nonce he sees on the wire; NULL: not yet */
	struct buf recorded;         /* of the genuine server's evidence */
};

/* The genuine server, asked by whoever likes. */
static void ask_genuine(const struct attacker *a, const uint8_t context[static 32], struct buf *out)
{
	enum attest_transport t = a->transport;
	struct server s = {.tls = world.tls, .old_document = a->old_document};
	struct client c;
	struct attest_wire wire;
	struct attest_opened o;
	struct checks checks = {0};

	SSL_CTX_up_ref(world.tls);
	server_start(&s, 1u << t);
	client_start(&c, t, &s.at);
	memcpy(c.to.context, context, sizeof(c.to.context));
	assert_int_equal(client_connect(&c, NULL), 0);
	wire_of(&c, &wire);
	assert_int_equal(attest_open(&wire, &o, &checks), 0);
	assert_int_equal(checks_overall(&checks), CHECK_PASS);
	buf_reset(out);
	buf_bytes(out, o.cmw.evidence);
	attest_opened_free(&o);
	client_end(&c);
	server_end(&s);
}

static int replay(void *ctx, const uint8_t report_data[static 64], struct evidence *out)
{
	const struct attacker *a = ctx;

	(void)report_data;
	out->tee = TEE_SNP;
	buf_bytes(&out->report, buf_view(&a->recorded));
	return 0;
}

static int relay(void *ctx, const uint8_t report_data[static 64], struct evidence *out)
{
	struct attacker *a = ctx;

	ask_genuine(a, a->victim->to.context, &a->recorded);
	return replay(ctx, report_data, out);
}

/* A server of his own that has the leaked key. */
static SSL_CTX *with_leaked_key(void)
{
	SSL_CTX *tls = serve_tls_context("attacker");
	EVP_PKEY *leaked = SSL_CTX_get0_privatekey(world.tls);
	X509 *cert = answer_certificate(leaked, "service.test", NULL, BYTES_NONE);

	assert_int_equal(SSL_CTX_use_certificate(tls, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(tls, leaked), 1);
	X509_free(cert);
	return tls;
}

/* The victim connects to the attacker. */
static void attack(struct client *c,
                   int (*evidence)(void *, const uint8_t[static 64], struct evidence *),
                   struct attacker *a)
{
	const struct evidence_source source = {.evidence = evidence, .ctx = a};
	struct server s = {.tls = with_leaked_key(),
	                   .old_document = a->old_document,
	                   .config.source = &source};

	server_start(&s, 1u << a->transport);
	client_start(c, a->transport, &s.at);
	a->victim = c;
	client_connect(c, NULL);
	shutdown(c->fd, SHUT_RDWR);
	server_end(&s);
}

/* --------------------------------------------------------------------- the tests */

static const struct {
	enum attest_transport transport;
	const char *replay, *relay; /* what stops it; NULL: nothing */
	bool old_document;
} table[] = {
        {TRANSPORT_KEYGATE, "snp.report-data", "snp.report-data", false},
        {TRANSPORT_FLASHBOTS, "snp.report-data", "snp.report-data", false},
        {TRANSPORT_ATLS, "snp.report-data", NULL, false},
        {TRANSPORT_RA_TLS, NULL, NULL, false},
        {TRANSPORT_WELL_KNOWN, "snp.report-data", NULL, false},
        {TRANSPORT_WELL_KNOWN, NULL, NULL, true},
};

enum { ROWS = sizeof(table) / sizeof(table[0]) };

static void every_transport_is_in_the_table(void **state)
{
	(void)state;
	assert_int_equal(table[ROWS - 1].transport, TRANSPORT_MAX - 1);
	for (size_t i = 0; i < ROWS; i++) {
		const char *binder = table[i].old_document
		                             ? attest_transport_binder(table[i].transport)
		                             : attest_transport_binder_most(table[i].transport);

		assert_int_equal(table[i].transport, i + 1 - table[i].old_document);
		assert_int_equal(!table[i].replay, !strcmp(binder, "certificate"));
		assert_int_equal(!table[i].relay, strcmp(binder, "connection") != 0);
	}
}

/* Without an attack everything passes, the pins as well. */
static void honest(void **state)
{
	char pins[512], key[65], chip[129];

	(void)state;
	hex_encode(BYTES_OF(world.spki_sha256), key);
	hex_encode(BYTES_OF(world.chip_id), chip);
	snprintf(pins, sizeof(pins), "server-key = \"sha256:%s\" chip-id = \"%s\"", key, chip);
	for (size_t i = 0; i < ROWS; i++) {
		struct server s = {.tls = world.tls, .old_document = table[i].old_document};
		struct client c;

		SSL_CTX_up_ref(world.tls);
		server_start(&s, 1u << table[i].transport);
		client_start(&c, table[i].transport, &s.at);
		client_connect(&c, NULL);
		expect_verdict(&c, "", NULL);
		expect_verdict(&c, pins, NULL);
		client_end(&c);
		server_end(&s);
	}
}

static void replayed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		struct attacker a = {.transport = table[i].transport,
		                     .old_document = table[i].old_document,
		                     .recorded = buf_make(EVIDENCE_REPORT_MAX)};
		uint8_t context[32];
		struct client c;

		RAND_bytes(context, sizeof(context));
		ask_genuine(&a, context, &a.recorded);
		attack(&c, replay, &a);
		expect_verdict(&c, "", table[i].replay);
		/* What the administrator can do about it. */
		if (a.old_document)
			expect_verdict(&c, "binder = nonce", "policy.binder");
		client_end(&c);
		buf_free(&a.recorded);
	}
}

static void relayed(void **state)
{
	char pins[512], key[65], chip[129];

	(void)state;
	hex_encode(BYTES_OF(world.spki_sha256), key);
	hex_encode(BYTES_OF(world.chip_id), chip);
	snprintf(pins, sizeof(pins), "server-key = \"sha256:%s\" chip-id = \"%s\"", key, chip);
	for (size_t i = 0; i < ROWS; i++) {
		struct attacker a = {.transport = table[i].transport,
		                     .old_document = table[i].old_document,
		                     .recorded = buf_make(EVIDENCE_REPORT_MAX)};
		struct client c;

		attack(&c, relay, &a);
		expect_verdict(&c, "", table[i].relay);
		/* Key and machine are the genuine ones: pins are no help against this. */
		expect_verdict(&c, pins, table[i].relay);
		client_end(&c);
		buf_free(&a.recorded);
	}
}

/* The evidence is true and bound as well as can be: only who it must be stops this. */
static void diverted(void **state)
{
	char server_key[192], chip_id[256], hex[129];

	(void)state;
	hex_encode(BYTES_OF(world.spki_sha256), hex);
	snprintf(server_key, sizeof(server_key), "server-key = \"sha256:%s\"", hex);
	hex_encode(BYTES_OF(world.chip_id), hex);
	snprintf(chip_id, sizeof(chip_id), "chip-id = \"%s\"", hex);
	for (size_t i = 0; i < ROWS; i++) {
		struct server s = {.config.source = &world.second,
		                   .old_document = table[i].old_document};
		struct client c;

		server_start(&s, 1u << table[i].transport);
		client_start(&c, table[i].transport, &s.at);
		client_connect(&c, NULL);
		expect_verdict(&c, "", NULL);
		expect_verdict(&c, server_key, "policy.server-key");
		expect_verdict(&c, chip_id, "policy.chip");
		client_end(&c);
		server_end(&s);
	}
}

/* -------------------------------------------------------------------------- setup */

static void learn(void)
{
	struct server s = {.tls = world.tls};
	struct client c;
	struct judged j;

	SSL_CTX_up_ref(world.tls);
	server_start(&s, 1u << TRANSPORT_KEYGATE);
	client_start(&c, TRANSPORT_KEYGATE, &s.at);
	client_connect(&c, NULL);
	assert_int_equal(judge(&c, &j), CHECK_PASS);
	memcpy(world.spki_sha256, j.spki_sha256, sizeof(world.spki_sha256));
	memcpy(world.chip_id, j.claims.chip_id, sizeof(world.chip_id));
	hex_encode((struct bytes){j.claims.measurements.v[0].value, j.claims.measurements.v[0].len},
	           world.measurement);
	client_end(&c);
	server_end(&s);
}

static int start(void **state)
{
	const char *step;
	int rc = lab_start(state);

	if (rc)
		return rc;
	world.tls = serve_tls_context("service.test");
	assert_int_equal(evidence_sim_init(lab_path("tee2"), TEE_SNP, time(NULL), &step), 0);
	assert_int_equal(
	        evidence_sim_open(lab_path("tee2"), lab_path("code"), &world.second, &step), 0);
	assert_int_equal(
	        file_read(lab_path("tee2/" SIM_ARK_CERT), 65536, &world.anchor, &world.anchor_n),
	        0);
	assert_int_equal(
	        file_read(lab_path("tee2/" SIM_CHAIN), 65536, &world.chain, &world.chain_n), 0);
	learn();
	return 0;
}

static int stop(void **state)
{
	evidence_sim_close(&world.second);
	SSL_CTX_free(world.tls);
	free(world.anchor);
	free(world.chain);
	return lab_stop(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_transport_is_in_the_table),
	        cmocka_unit_test(honest),
	        cmocka_unit_test(replayed),
	        cmocka_unit_test(relayed),
	        cmocka_unit_test(diverted),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
