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
 * apart by content; --collateral takes all regular files of a directory as such. An anchor is a
 * certificate or public key trusted beside the built-in roots. --accept-tcb admits a status other
 * than UpToDate, for platforms whose vendor gives one. --explain shows the evidence field by field
 * before the verdict.
 *
 * JSON: {"verdict": "pass"|"fail"|"unavailable", "tee", "product", "measurement": {name: hex},
 * "report_data": hex, "host_data": hex, "chip_id": hex, "csp", "debug": bool, "policy": int,
 * "platform_info": int, "vmpl": int, "guest_svn": int, "tcb": {name: int}, "tcb_status",
 * "extra_anchor": bool, "valid_until": unix, "checks": [{"id","status","detail"}]}. Anything but
 * verdict, tee and checks is null unless the verdict is pass.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "attest/attest.h"
#include "attest/pki.h"
#include "cli/cmd.h"
#include "core/bytes.h"
#include "core/file.h"

#define SYNOPSIS \
	"[--type TEE] [--endorsement FILE]... [--collateral DIR]... [--anchor FILE]... " \
	"[--report-data HEX] [--at UNIX] [--accept-tcb STATUS]... [--allow-debug] " \
	"[--require-crl] [--json | --explain] FILE"

#define TCB_UP_TO_DATE "UpToDate"

enum { NO_OPTION = -1, ACCEPTED_MAX = 8, PAGE_MAX = 1 << 20 };

struct request {
	struct attest_input in;
	const char *accepted[ACCEPTED_MAX];
	uint32_t accepted_n;
	const char *file;
	bool json;
	bool explain;
};

/* -------------------------------------------------------------------- input */

static int read_input(const char *path, struct bytes *out)
{
	uint8_t *p;
	size_t n;
	int ret = file_read(path, PKI_INPUT_MAX, &p, &n);

	if (ret == -EFBIG)
		return cmd_error(CMD_NO, "%s: larger than anything of this kind may be", path);
	if (ret)
		return cmd_error(CMD_USAGE, "%s: %s", path, strerror(-ret));
	*out = (struct bytes){p, n};
	return 0;
}

static void free_input(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

static void request_free(struct request *r)
{
	free_input(r->in.evidence);
	for (uint32_t i = 0; i < r->in.endorsements_n; i++)
		free_input(r->in.endorsements[i]);
	for (uint32_t i = 0; i < r->in.anchors_n; i++)
		free_input(r->in.anchors[i]);
}

static int take_endorsement(struct request *r, const char *path)
{
	int ret;

	if (r->in.endorsements_n == ATTEST_ENDORSEMENTS_MAX)
		return cmd_error(CMD_USAGE, "%s: at most %d endorsements", path,
		                 ATTEST_ENDORSEMENTS_MAX);
	ret = read_input(path, &r->in.endorsements[r->in.endorsements_n]);
	if (!ret)
		r->in.endorsements_n++;
	return ret;
}

/* In the order of their names, so that a directory always reads the same. */
static int take_collateral(struct request *r, const char *dir)
{
	struct dirent **entry;
	int n = scandir(dir, &entry, NULL, alphasort), ret = 0;

	if (n < 0)
		return cmd_error(CMD_USAGE, "%s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		char *path = NULL;
		struct stat st;

		if (!ret && asprintf(&path, "%s/%s", dir, entry[i]->d_name) < 0)
			ret = cmd_error(CMD_UNKNOWN, "out of memory");
		else if (!ret && !stat(path, &st) && S_ISREG(st.st_mode))
			ret = take_endorsement(r, path);
		free(path);
		free(entry[i]);
	}
	free(entry);
	return ret;
}

/* An anchor is configuration: one that is none is the caller's mistake. */
static int take_anchor(struct request *r, const char *path)
{
	struct pki_pins pins = {0};
	int ret;

	if (r->in.anchors_n == ATTEST_ANCHORS_MAX)
		return cmd_error(CMD_USAGE, "%s: at most %d anchors", path, ATTEST_ANCHORS_MAX);
	ret = read_input(path, &r->in.anchors[r->in.anchors_n]);
	if (ret)
		return CMD_USAGE;
	r->in.anchors_n++;
	if (pki_pins_add(&pins, NULL, r->in.anchors[r->in.anchors_n - 1]))
		return cmd_error(CMD_USAGE, "%s: neither a certificate nor a public key", path);
	return 0;
}

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

static int take_time(struct request *r, const char *text)
{
	uint64_t at;

	if (decimal_u64(bytes_str(text), INT64_MAX - 1, &at))
		return cmd_error(CMD_USAGE, "at \"%s\": wanted seconds since 1970", text);
	r->in.at = (int64_t)at;
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
		return take_endorsement(r, arg);
	case OPT_COLLATERAL:
		return take_collateral(r, arg);
	case OPT_ANCHOR:
		return take_anchor(r, arg);
	case OPT_REPORT_DATA:
		return take_report_data(r, arg);
	case OPT_AT:
		return take_time(r, arg);
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

/* Adds name: value to the object, taking value over; drops all once anything failed. */
static void put(json_t **object, const char *name, json_t *value)
{
	if (*object && json_object_set_new(*object, name, value)) {
		json_decref(*object);
		*object = NULL;
	} else if (!*object) {
		json_decref(value);
	}
}

static json_t *hex_json(const uint8_t *p, size_t n)
{
	char hex[2 * MEASUREMENT_MAX + 1];

	hex_encode((struct bytes){p, n < MEASUREMENT_MAX ? n : MEASUREMENT_MAX}, hex);
	return json_string(hex);
}

static json_t *text_json(const char *s)
{
	return *s ? json_string(s) : json_null();
}

static json_t *tcb_json(const struct claims *c)
{
	json_t *j = json_object();

	for (uint32_t i = 0; i < c->tcb_n; i++)
		put(&j, c->tcb[i].name, json_integer(c->tcb[i].svn));
	return j;
}

static void put_claims(json_t **j, const struct claims *c)
{
	put(j, "product", text_json(c->product));
	put(j, "measurement", measurements_to_json(&c->measurements));
	put(j, "report_data", hex_json(c->report_data, sizeof(c->report_data)));
	put(j, "host_data", hex_json(c->host_data, sizeof(c->host_data)));
	put(j, "chip_id", c->chip_id_len ? hex_json(c->chip_id, c->chip_id_len) : json_null());
	put(j, "csp", text_json(c->csp));
	put(j, "debug", json_boolean(c->debug));
	/* Genuine firmware sets low bits only. */
	put(j, "policy", json_integer((json_int_t)c->policy));
	put(j, "platform_info", json_integer((json_int_t)c->platform_info));
	put(j, "vmpl", json_integer(c->vmpl));
	put(j, "guest_svn", json_integer(c->guest_svn));
	put(j, "tcb", tcb_json(c));
	put(j, "tcb_status", text_json(c->tcb_status));
	put(j, "extra_anchor", json_boolean(c->extra_anchor));
	put(j, "valid_until", json_integer((json_int_t)c->valid_until));
}

static int print_json(const struct claims *c, const struct checks *checks)
{
	static const char *const unsaid[] = {
	        "product", "measurement", "report_data", "host_data",    "chip_id",
	        "csp",     "debug",       "policy",      "vmpl",         "platform_info",
	        "tcb",     "guest_svn",   "tcb_status",  "extra_anchor", "valid_until",
	};
	json_t *j = json_object();

	put(&j, "verdict", json_string(check_status_name(checks_overall(checks))));
	put(&j, "tee", c->tee == TEE_NONE ? json_null() : json_string(attest_tee_name(c->tee)));
	if (checks_overall(checks) == CHECK_PASS) {
		put_claims(&j, c);
	} else {
		for (size_t i = 0; i < sizeof(unsaid) / sizeof(unsaid[0]); i++)
			put(&j, unsaid[i], json_null());
	}
	put(&j, "checks", checks_to_json(checks));
	return cmd_print_json(j);
}

static void print_claims(const struct claims *c, struct buf *out)
{
	char hex[2 * MEASUREMENT_MAX + 1];

	for (uint32_t i = 0; i < c->measurements.n; i++) {
		const struct measurement *m = &c->measurements.v[i];

		hex_encode((struct bytes){m->value, m->len}, hex);
		buf_printf(out, "%-16s %s\n", m->name, hex);
	}
	hex_encode(BYTES_OF(c->report_data), hex);
	buf_printf(out, "%-16s %s\n", "report_data", hex);
	if (c->chip_id_len) {
		hex_encode((struct bytes){c->chip_id, c->chip_id_len}, hex);
		buf_printf(out, "%-16s %s\n", "chip_id", hex);
	}
	if (c->csp[0])
		buf_printf(out, "%-16s %s\n", "csp", c->csp);
	buf_printf(out, "%-16s", "tcb");
	for (uint32_t i = 0; i < c->tcb_n; i++)
		buf_printf(out, " %s=%u", c->tcb[i].name, c->tcb[i].svn);
	buf_printf(out, "%s%s\n%-16s %" PRId64 "\n", c->tcb_status[0] ? " " : "", c->tcb_status,
	           "valid_until", c->valid_until);
}

static int print_text(const struct request *r, const struct claims *c, const struct checks *checks)
{
	enum check_status overall = checks_overall(checks);
	struct buf out = buf_make(PAGE_MAX);

	if (r->explain) {
		/* Of what is malformed it shows as much as can be read. */
		(void)attest_explain(c->tee, r->in.evidence, &out);
		buf_str(&out, out.n ? "\n" : "");
	}
	buf_printf(&out, "%s: %s %s\n", check_status_name(overall), attest_tee_name(c->tee),
	           overall == CHECK_PASS ? c->product : "");
	if (overall == CHECK_PASS)
		print_claims(c, &out);
	checks_to_text(checks, &out);
	if (out.bad) {
		buf_free(&out);
		return cmd_error(CMD_UNKNOWN, "out of memory");
	}
	cmd_print_buf(&out);
	return 0;
}

/* ------------------------------------------------------------------ command */

/* Some vendors rate the TCB; then it must be up to date, or of a status that was accepted. */
static void check_tcb_status(const struct request *r, const struct claims *c, struct checks *checks)
{
	bool ok = !strcmp(c->tcb_status, TCB_UP_TO_DATE);

	if (!c->tcb_status[0])
		return;
	for (uint32_t i = 0; i < r->accepted_n; i++)
		ok |= !strcmp(c->tcb_status, r->accepted[i]);
	check_add(checks, "evidence.tcb-status", ok ? CHECK_PASS : CHECK_FAIL, "%s", c->tcb_status);
}

int cmd_verify_evidence(int argc, char **argv)
{
	struct request r = {.in = {.at = time(NULL)}};
	struct checks checks = {0};
	struct claims claims;
	int ret = take_options(argc, argv, &r);

	if (ret == NO_OPTION)
		ret = read_input(r.file, &r.in.evidence);
	else
		goto out;
	if (ret)
		goto out;
	/* What it can't tell or does not appraise it says in a check. */
	(void)attest_appraise(&r.in, &claims, &checks);
	check_tcb_status(&r, &claims, &checks);
	ret = r.json ? print_json(&claims, &checks) : print_text(&r, &claims, &checks);
	if (!ret)
		ret = cmd_status_of(checks_overall(&checks));
out:
	request_free(&r);
	return ret;
}
