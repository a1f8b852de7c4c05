/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate verify evidence: attest/'s verdict over files, against the vendor's roots. No network,
 * no state and no policy: what a destination needs beyond that is the policy's to demand.
 *
 *   keygate verify evidence [--type auto|snp|tdx|sgx|cca|nitro|nvidia] [--endorsement FILE]...
 *           [--collateral DIR]... [--anchor FILE]... [--report-data HEX | --nonce HEX]
 *           [--server-key HEX] [--at UNIX] [--accept-tcb STATUS]... [--allow-debug]
 *           [--require-crl] [--json | --explain] FILE
 *
 * FILE may be "-". It is evidence, or what carries it: a server's certificate (DER, PEM) or an
 * attestation document of /.well-known/ (JSON). Then the report data follow from the carrier;
 * --nonce is what the server was given, --server-key the SHA-256 of the key that it used, which a
 * document does not show by itself. Endorsements are certificates, certificate tables, CRLs and
 * collateral, told apart by content; --collateral takes all regular files of a directory, whatever
 * their names. An anchor is a certificate or public key trusted beside the built-in roots.
 * --accept-tcb admits a status other than UpToDate, for platforms whose vendor gives one. --explain
 * shows the evidence field by field before the verdict.
 *
 * JSON: {"verdict": "pass"|"fail"|"unavailable", "tee", "product", "measurement": {name: hex},
 * "report_data": hex, "host_data": hex, "chip_id": hex, "csp", "signer", "debug": bool,
 * "policy": int, "platform_info": int, "vmpl": int, "guest_svn": int, "tcb": {name: int},
 * "tcb_status", "tcb_date": unix, "tcb_evaluation": number, "advisories": [text], "extra_anchor":
 * bool, "valid_until": unix, "missing": [{"vendor","path","url"}], "carrier":
 * {"scheme","binder","server_key"}|null, "checks": [{"id","status","detail"}]}. Anything but
 * verdict, tee, missing, carrier and checks is null unless the verdict is pass.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "attest/attest.h"
#include "cli/carrier.h"
#include "cli/claims.h"
#include "cli/cmd.h"
#include "cli/input.h"
#include "core/bytes.h"

#define SYNOPSIS \
	"[--type TEE] [--endorsement FILE]... [--collateral DIR]... [--anchor FILE]... " \
	"[--report-data HEX | --nonce HEX] [--server-key HEX] [--at UNIX] " \
	"[--accept-tcb STATUS]... [--allow-debug] [--require-crl] [--json | --explain] FILE"

enum { NO_OPTION = -1, ACCEPTED_MAX = 8, PAGE_MAX = 1 << 20 };

struct request {
	struct attest_input in;
	struct carrier_asked asked;
	const char *accepted[ACCEPTED_MAX];
	uint32_t accepted_n;
	const char *file;
	bool json;
	bool explain;
};

/* ------------------------------------------------------------------ options */

enum option_id {
	OPT_TYPE = 1,
	OPT_ENDORSEMENT,
	OPT_COLLATERAL,
	OPT_ANCHOR,
	OPT_REPORT_DATA,
	OPT_NONCE,
	OPT_SERVER_KEY,
	OPT_AT,
	OPT_ACCEPT_TCB,
	OPT_ALLOW_DEBUG,
	OPT_REQUIRE_CRL,
	OPT_JSON,
	OPT_EXPLAIN,
	OPT_HELP,
};

static const struct option options[] = {
        {"type", required_argument, NULL, OPT_TYPE},
        {"endorsement", required_argument, NULL, OPT_ENDORSEMENT},
        {"collateral", required_argument, NULL, OPT_COLLATERAL},
        {"anchor", required_argument, NULL, OPT_ANCHOR},
        {"report-data", required_argument, NULL, OPT_REPORT_DATA},
        {"nonce", required_argument, NULL, OPT_NONCE},
        {"server-key", required_argument, NULL, OPT_SERVER_KEY},
        {"at", required_argument, NULL, OPT_AT},
        {"accept-tcb", required_argument, NULL, OPT_ACCEPT_TCB},
        {"allow-debug", no_argument, NULL, OPT_ALLOW_DEBUG},
        {"require-crl", no_argument, NULL, OPT_REQUIRE_CRL},
        {"json", no_argument, NULL, OPT_JSON},
        {"explain", no_argument, NULL, OPT_EXPLAIN},
        {"help", no_argument, NULL, OPT_HELP},
        {0},
};

static int take_type(struct request *r, const char *name)
{
	r->in.type = attest_tee_from_name(name);
	if (r->in.type == TEE_NONE && strcmp(name, "auto") != 0)
		return cmd_error(CMD_USAGE,
		                 "type \"%s\": wanted auto, snp, tdx, sgx, cca, nitro or nvidia",
		                 name);
	return 0;
}

static int take_report_data(struct request *r, const char *hex)
{
	if (hex_decode(bytes_str(hex), r->in.report_data, sizeof(r->in.report_data)))
		return cmd_error(CMD_USAGE, "report-data: wanted %zu hex digits",
		                 2 * sizeof(r->in.report_data));
	r->in.check_report_data = true;
	return 0;
}

static int take_nonce(struct request *r, const char *hex)
{
	size_t n = strlen(hex) / 2;

	if (!n || n > sizeof(r->asked.nonce) || hex_decode(bytes_str(hex), r->asked.nonce, n))
		return cmd_error(CMD_USAGE, "nonce: wanted 2 to %zu hex digits, two an octet",
		                 2 * sizeof(r->asked.nonce));
	r->asked.nonce_n = n;
	return 0;
}

static int take_server_key(struct request *r, const char *hex)
{
	if (hex_decode(bytes_str(hex), r->asked.server_key, sizeof(r->asked.server_key)))
		return cmd_error(CMD_USAGE, "server-key: wanted the 64 hex digits of a SHA-256");
	r->asked.has_server_key = true;
	return 0;
}

static int take_option(enum option_id id, const char *arg, struct request *r)
{
	switch (id) {
	case OPT_TYPE:
		return take_type(r, arg);
	case OPT_ENDORSEMENT:
		return input_endorsement(&r->in, arg);
	case OPT_COLLATERAL:
		return input_collateral(&r->in, arg);
	case OPT_ANCHOR:
		return input_anchor(&r->in, arg);
	case OPT_REPORT_DATA:
		return take_report_data(r, arg);
	case OPT_NONCE:
		return take_nonce(r, arg);
	case OPT_SERVER_KEY:
		return take_server_key(r, arg);
	case OPT_AT:
		return input_time(&r->in, arg);
	case OPT_ACCEPT_TCB:
		if (r->accepted_n == ACCEPTED_MAX)
			return cmd_error(CMD_USAGE, "accept-tcb: at most %d", ACCEPTED_MAX);
		r->accepted[r->accepted_n++] = arg;
		return 0;
	case OPT_ALLOW_DEBUG:
		r->in.allow_debug = true;
		return 0;
	case OPT_REQUIRE_CRL:
		r->in.require_crl = true;
		return 0;
	case OPT_JSON:
		r->json = true;
		return 0;
	case OPT_EXPLAIN:
		r->explain = true;
		return 0;
	case OPT_HELP:
		break;
	}
	return CMD_USAGE;
}

/* Fills r; NO_OPTION when the command may go on, else the status to end with. */
static int take_options(int argc, char **argv, struct request *r)
{
	int id, ret;

	while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (id == '?')
			return cmd_usage(argv[0], SYNOPSIS);
		if (id == OPT_HELP) {
			printf("usage: %s %s\n", argv[0], SYNOPSIS);
			return CMD_YES;
		}
		ret = take_option((enum option_id)id, optarg, r);
		if (ret)
			return ret;
	}
	if (argc - optind != 1 || (r->json && r->explain))
		return cmd_usage(argv[0], SYNOPSIS);
	r->file = argv[optind];
	return NO_OPTION;
}

/* ------------------------------------------------------------------- output */

static int print_json(const struct claims *c, const struct carrier *carrier,
                      const struct checks *checks)
{
	json_t *j = json_object();

	claims_put_member(&j, "verdict", json_string(check_status_name(checks_overall(checks))));
	claims_put(&j, c, checks_overall(checks) == CHECK_PASS);
	claims_put_missing(&j, c, checks_overall(checks) == CHECK_PASS);
	claims_put_member(&j, "carrier", carrier_json(carrier));
	claims_put_member(&j, "checks", checks_to_json(checks));
	return cmd_print_json(j);
}

static int print_text(const struct request *r, const struct attest_input *in,
                      const struct claims *c, const struct carrier *carrier,
                      const struct checks *checks)
{
	enum check_status overall = checks_overall(checks);
	struct buf out = buf_make(PAGE_MAX);

	if (r->explain)
		claims_explain(c->tee, in->evidence, in->endorsements, in->endorsements_n, &out);
	buf_printf(&out, "%s: %s %s\n", check_status_name(overall), attest_tee_name(c->tee),
	           overall == CHECK_PASS ? c->product : "");
	carrier_print(carrier, &out);
	if (overall == CHECK_PASS)
		claims_print(c, &out);
	checks_to_text(checks, &out);
	if (overall != CHECK_PASS)
		claims_print_missing(c, &out);
	if (out.bad) {
		buf_free(&out);
		return cmd_error(CMD_UNKNOWN, "out of memory");
	}
	cmd_print_buf(&out);
	return 0;
}

/* ------------------------------------------------------------------ command */

/* The carrier's opening first, if it is one; then what the evidence is worth. */
static int appraise(const struct request *r)
{
	struct attest_input in = r->in;
	struct carrier carrier = {0};
	struct checks checks = {0};
	struct claims claims = {0};
	bool open = true;
	int ret;

	if (carrier_is(in.evidence))
		open = carrier_open(r->in.evidence, &r->asked, &in, &carrier, &checks);
	if (open) {
		/* What it can't tell or does not appraise it says in a check. */
		(void)attest_appraise(&in, &claims, &checks);
		claims_check_tcb(&claims, r->accepted, r->accepted_n, &checks);
	}
	if (carrier.scheme && carrier.valid_until < claims.valid_until)
		claims.valid_until = carrier.valid_until;
	ret = r->json ? print_json(&claims, &carrier, &checks)
	              : print_text(r, &in, &claims, &carrier, &checks);
	carrier_free(&carrier);
	return ret ? ret : cmd_status_of(checks_overall(&checks));
}

int cmd_verify_evidence(int argc, char **argv)
{
	struct request r = {.in = {.at = time(NULL)}};
	int ret = take_options(argc, argv, &r);

	if (ret == NO_OPTION)
		ret = input_file(r.file, &r.in.evidence);
	else
		goto out;
	if (ret)
		goto out;
	if (carrier_is(r.in.evidence) && r.in.check_report_data)
		ret = cmd_error(CMD_USAGE, "report-data: %s itself says what they must be", r.file);
	else if (!carrier_is(r.in.evidence) && (r.asked.nonce_n || r.asked.has_server_key))
		ret = cmd_error(CMD_USAGE,
		                "nonce, server-key: %s is neither a certificate nor a document",
		                r.file);
	else
		ret = appraise(&r);
out:
	input_free(&r.in);
	return ret;
}
