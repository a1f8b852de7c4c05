/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two forms of claims that the tool prints. Knows nothing of where the evidence came from or
 * what a policy makes of it.
 */
#include "cli/claims.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "attest/collateral.h"
#include "cli/cmd.h"

const char *claims_role(uint8_t role)
{
	switch ((enum register_role)role) {
	case REGISTER_CODE:
		return "code";
	case REGISTER_CONFIG:
		return "config";
	case REGISTER_COVERED:
		return "covered";
	case REGISTER_IDENTITY:
		return "identity";
	}
	return "code";
}

void claims_put_member(json_t **object, const char *name, json_t *value)
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
		claims_put_member(&j, c->tcb[i].name, json_integer(c->tcb[i].svn));
	return j;
}

static json_t *roles_json(const struct measurements *m)
{
	json_t *j = json_object();

	for (uint32_t i = 0; i < m->n; i++)
		claims_put_member(&j, m->v[i].name, json_string(claims_role(m->v[i].role)));
	return j;
}

static json_t *advisories_json(const struct claims *c)
{
	json_t *j = json_array();

	for (uint32_t i = 0; i < c->advisories; i++) {
		if (j && json_array_append_new(j, json_string(c->advisory[i]))) {
			json_decref(j);
			j = NULL;
		}
	}
	return j;
}

static void put_held(json_t **j, const struct claims *c)
{
	claims_put_member(j, "product", text_json(c->product));
	claims_put_member(j, "measurement", measurements_to_json(&c->measurements));
	claims_put_member(j, "roles", roles_json(&c->measurements));
	claims_put_member(j, "report_data", hex_json(c->report_data, sizeof(c->report_data)));
	claims_put_member(j, "host_data", hex_json(c->host_data, sizeof(c->host_data)));
	claims_put_member(j, "chip_id",
	                  c->chip_id_len ? hex_json(c->chip_id, c->chip_id_len) : json_null());
	claims_put_member(j, "csp", text_json(c->csp));
	claims_put_member(j, "signer", text_json(c->signer));
	claims_put_member(j, "debug", json_boolean(c->debug));
	/* Genuine firmware sets low bits only. */
	claims_put_member(j, "policy", json_integer((json_int_t)c->policy));
	claims_put_member(j, "platform_info", json_integer((json_int_t)c->platform_info));
	claims_put_member(j, "vmpl", json_integer(c->vmpl));
	claims_put_member(j, "guest_svn", json_integer(c->guest_svn));
	claims_put_member(j, "tcb", tcb_json(c));
	claims_put_member(j, "tcb_status", text_json(c->tcb_status));
	claims_put_member(j, "tcb_date",
	                  c->tcb_date ? json_integer((json_int_t)c->tcb_date) : json_null());
	claims_put_member(j, "tcb_evaluation",
	                  c->tcb_evaluation ? json_integer(c->tcb_evaluation) : json_null());
	claims_put_member(j, "advisories", advisories_json(c));
	claims_put_member(j, "extra_anchor", json_boolean(c->extra_anchor));
	claims_put_member(j, "valid_until", json_integer((json_int_t)c->valid_until));
}

void claims_put(json_t **object, const struct claims *c, bool hold)
{
	static const char *const unsaid[] = {
	        "product",        "measurement", "roles",         "report_data",
	        "host_data",      "chip_id",     "csp",           "signer",
	        "debug",          "policy",      "platform_info", "vmpl",
	        "guest_svn",      "tcb",         "tcb_status",    "tcb_date",
	        "tcb_evaluation", "advisories",  "extra_anchor",  "valid_until",
	};

	claims_put_member(object, "tee",
	                  c->tee == TEE_NONE ? json_null() : json_string(attest_tee_name(c->tee)));
	if (hold) {
		put_held(object, c);
		return;
	}
	for (size_t i = 0; i < sizeof(unsaid) / sizeof(unsaid[0]); i++)
		claims_put_member(object, unsaid[i], json_null());
}

static void row(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "%-16s %s\n", name, value);
}

static void hex_row(struct buf *out, const char *name, const uint8_t *p, size_t n)
{
	char hex[2 * MEASUREMENT_MAX + 1];

	hex_encode((struct bytes){p, n < MEASUREMENT_MAX ? n : MEASUREMENT_MAX}, hex);
	row(out, name, hex);
}

enum { TCB_IN_LINE = 8 };

static void print_tcb(const struct claims *c, struct buf *out)
{
	char when[32];

	for (uint32_t i = 0; i < c->tcb_n; i++) {
		if (i % TCB_IN_LINE == 0)
			buf_printf(out, "%s%-16s", i ? "\n" : "", i ? "" : "tcb");
		buf_printf(out, " %s=%u", c->tcb[i].name, c->tcb[i].svn);
	}
	buf_str(out, c->tcb_n ? "\n" : "");
	if (!c->tcb_status[0])
		return;
	buf_printf(out, "%-16s %s", "tcb_status", c->tcb_status);
	if (c->tcb_date) {
		cmd_time_text(c->tcb_date, when);
		buf_printf(out, ", a level of %.10s", when);
	}
	if (c->tcb_evaluation)
		buf_printf(out, ", by evaluation %" PRIu32, c->tcb_evaluation);
	for (uint32_t i = 0; i < c->advisories; i++)
		buf_printf(out, "%s%s", i ? ", " : "; open to ", c->advisory[i]);
	buf_str(out, "\n");
}

void claims_print(const struct claims *c, struct buf *out)
{
	char when[32];

	for (uint32_t i = 0; i < c->measurements.n; i++) {
		const struct measurement *m = &c->measurements.v[i];
		char hex[2 * MEASUREMENT_MAX + 1];

		hex_encode((struct bytes){m->value, m->len}, hex);
		buf_printf(out, "%-16s %-8s %s\n", m->name, claims_role(m->role), hex);
	}
	hex_row(out, "report_data", c->report_data, sizeof(c->report_data));
	if (!bytes_all_zero(c->host_data, sizeof(c->host_data)))
		hex_row(out, "host_data", c->host_data, sizeof(c->host_data));
	if (c->chip_id_len)
		hex_row(out, "chip_id", c->chip_id, c->chip_id_len);
	if (c->csp[0])
		row(out, "csp", c->csp);
	if (c->signer[0])
		row(out, "signer", c->signer);
	print_tcb(c, out);
	if (c->valid_until == VERDICT_FOREVER)
		snprintf(when, sizeof(when), "no end");
	else
		cmd_time_text(c->valid_until, when);
	row(out, "valid_until", when);
}

void claims_check_tcb(const struct claims *c, const char *const *accepted, uint32_t n,
                      struct checks *checks)
{
	bool ok = !strcmp(c->tcb_status, "UpToDate");

	if (!c->tcb_status[0])
		return;
	for (uint32_t i = 0; i < n; i++)
		ok |= !strcmp(c->tcb_status, accepted[i]);
	check_add(checks, "evidence.tcb-status", ok ? CHECK_PASS : CHECK_FAIL, "%s", c->tcb_status);
}

void claims_put_missing(json_t **object, const struct claims *c, bool hold)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < c->wants && !hold; i++) {
		const struct collateral_name *w = &c->want[i];
		char url[COLLATERAL_URL_MAX];

		if (!c->want_needed[i])
			continue;
		attest_collateral_url(w, url);
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "vendor",
		                                      attest_vendor_name(w->vendor), "path",
		                                      w->path, "url", url));
	}
	claims_put_member(object, "missing", list);
}

void claims_print_missing(const struct claims *c, struct buf *out)
{
	char url[COLLATERAL_URL_MAX];
	bool first = true;

	for (uint32_t i = 0; i < c->wants; i++) {
		if (!c->want_needed[i])
			continue;
		attest_collateral_url(&c->want[i], url);
		buf_printf(out, "%s %s\n", first ? "missing:" : "        ", url);
		first = false;
	}
}

void claims_explain(enum tee tee, struct bytes evidence, const struct bytes *endorsements,
                    uint32_t n, struct buf *out)
{
	size_t before = out->n;

	/* Of what is malformed it shows as much as can be read. */
	(void)attest_explain(tee, evidence, out);
	if (n)
		buf_str(out, "endorsements, as they were given:\n");
	for (uint32_t i = 0; i < n; i++)
		attest_explain_endorsement(endorsements[i], out);
	buf_str(out, out->n > before ? "\n" : "");
}
