/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two forms of claims that the tool prints. Knows nothing of where the evidence came from or
 * what a policy makes of it.
 */
#include "cli/claims.h"

#include <inttypes.h>

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
	claims_put_member(j, "advisories", advisories_json(c));
	claims_put_member(j, "extra_anchor", json_boolean(c->extra_anchor));
	claims_put_member(j, "valid_until", json_integer((json_int_t)c->valid_until));
}

void claims_put(json_t **object, const struct claims *c, bool hold)
{
	static const char *const unsaid[] = {
	        "product",       "measurement",  "report_data", "host_data", "chip_id",
	        "csp",           "signer",       "debug",       "policy",    "vmpl",
	        "tcb",           "guest_svn",    "tcb_status",  "tcb_date",  "advisories",
	        "platform_info", "extra_anchor", "valid_until",
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

void claims_print(const struct claims *c, struct buf *out)
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
	if (c->signer[0])
		buf_printf(out, "%-16s %s\n", "signer", c->signer);
	buf_printf(out, "%-16s", "tcb");
	for (uint32_t i = 0; i < c->tcb_n; i++)
		buf_printf(out, " %s=%u", c->tcb[i].name, c->tcb[i].svn);
	buf_printf(out, "%s%s\n", c->tcb_status[0] ? " " : "", c->tcb_status);
	if (c->advisories)
		buf_printf(out, "%-16s", "advisories");
	for (uint32_t i = 0; i < c->advisories; i++)
		buf_printf(out, " %s%s", c->advisory[i], i + 1 == c->advisories ? "\n" : "");
	buf_printf(out, "%-16s %" PRId64 "\n", "valid_until", c->valid_until);
}
