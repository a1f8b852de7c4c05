/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate verify evidence: attest/'s verdict over files, against the vendor's roots. No network,
 * no state and no policy: what a destination needs beyond that is the policy's to demand.
 *
 *   keygate verify evidence [--type auto|snp|tdx|sgx|cca|nitro] [--endorsement FILE]...
 *           [--collateral DIR]... [--anchor FILE]... [--report-data HEX] [--at UNIX]
 *           [--accept-tcb STATUS]... [--allow-debug] [--require-crl] [--json | --explain] FILE
 *
 * FILE may be "-". Endorsements are certificates, certificate tables, CRLs and collateral, told
 * apart by content; --collateral takes all regular files of a directory, whatever their names. An
 * anchor is a certificate or public key trusted beside the built-in roots. --accept-tcb admits a
 * status other than UpToDate, for platforms whose vendor gives one. --explain shows the evidence
 * field by field before the verdict.
 *
 * JSON: {"verdict": "pass"|"fail"|"unavailable", "tee", "product", "measurement": {name: hex},
 * "report_data": hex, "host_data": hex, "chip_id": hex, "csp", "signer", "debug": bool,
 * "policy": int, "platform_info": int, "vmpl": int, "guest_svn": int, "tcb": {name: int},
 * "tcb_status", "tcb_date": unix, "advisories": [text], "extra_anchor": bool,
 * "valid_until": unix, "missing": [{"vendor","path","url"}], "checks": [{"id","status","detail"}]}.
 * Anything but verdict, tee, missing and checks is null unless the verdict is pass.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "attest/attest.h"
#include "cli/claims.h"
#include "cli/cmd.h"
#include "cli/input.h"
#include "core/bytes.h"

#define SYNOPSIS \
	"[--type TEE] [--endorsement FILE]... [--collateral DIR]... [--anchor FILE]... " \
	"[--report-data HEX] [--at UNIX] [--accept-tcb STATUS]... [--allow-debug] " \
	"[--require-crl] [--json | --explain] FILE"

enum { NO_OPTION = -1, ACCEPTED_MAX = 8, PAGE_MAX = 1 << 20 };

struct request {
	struct attest_input in;
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
		return cmd_error(CMD_USAGE, "type \"%s\": wanted auto, snp, tdx, sgx, cca or nitro",
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

static int print_json(const struct claims *c, const struct checks *checks)
{
	json_t *j = json_object();

	claims_put_member(&j, "verdict", json_string(check_status_name(checks_overall(checks))));
	claims_put(&j, c, checks_overall(checks) == CHECK_PASS);
	claims_put_missing(&j, c, checks_overall(checks) == CHECK_PASS);
	claims_put_member(&j, "checks", checks_to_json(checks));
	return cmd_print_json(j);
}

static int print_text(const struct request *r, const struct claims *c, const struct checks *checks)
{
	enum check_status overall = checks_overall(checks);
	struct buf out = buf_make(PAGE_MAX);

	if (r->explain)
		claims_explain(c->tee, r->in.evidence, r->in.endorsements, r->in.endorsements_n,
		               &out);
	buf_printf(&out, "%s: %s %s\n", check_status_name(overall), attest_tee_name(c->tee),
	           overall == CHECK_PASS ? c->product : "");
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

int cmd_verify_evidence(int argc, char **argv)
{
	struct request r = {.in = {.at = time(NULL)}};
	struct checks checks = {0};
	struct claims claims;
	int ret = take_options(argc, argv, &r);

	if (ret == NO_OPTION)
		ret = input_file(r.file, &r.in.evidence);
	else
		goto out;
	if (ret)
		goto out;
	/* What it can't tell or does not appraise it says in a check. */
	(void)attest_appraise(&r.in, &claims, &checks);
	claims_check_tcb(&claims, r.accepted, r.accepted_n, &checks);
	ret = r.json ? print_json(&claims, &checks) : print_text(&r, &claims, &checks);
	if (!ret)
		ret = cmd_status_of(checks_overall(&checks));
out:
	input_free(&r.in);
	return ret;
}
