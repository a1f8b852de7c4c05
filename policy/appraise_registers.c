/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zero or pinned: a ledger's word on some registers is worth nothing if another one, of which
 * nobody speaks, changes what the code does.
 */
#include "policy/appraise.h"
#include <stdio.h>
#include <string.h>
#include "policy/names.h"

static bool is_of(const struct policy_measurement *m, enum tee tee, const char *name)
{
	return m->tee == tee && !strcmp(m->m.name, name);
}

bool policy_register_is(const struct claims *c, const struct measurement *want)
{
	const struct measurement *is = measurement_find(&c->measurements, want->name);

	if (!is)
		return bytes_all_zero(want->value, want->len);
	return is->len == want->len && !memcmp(is->value, want->value, is->len);
}

bool policy_register_listed(const struct policy_measurement *list, uint32_t n,
                            const struct claims *c, const char *name)
{
	for (uint32_t i = 0; i < n; i++)
		if (is_of(&list[i], c->tee, name) && policy_register_is(c, &list[i].m))
			return true;
	return false;
}

/* Every register that the policy pins for this platform, zero or not. */
static bool check_pins(const struct policy_destination *d, const struct claims *c,
                       struct verdict *v)
{
	for (uint32_t i = 0; i < d->pins; i++) {
		const char *name = d->pin[i].m.name;
		const struct measurement *is = measurement_find(&c->measurements, name);
		char hex[2 * MEASUREMENT_MAX + 1] = "zero, or not there";

		if (d->pin[i].tee != c->tee || policy_register_listed(d->pin, d->pins, c, name))
			continue;
		if (is)
			hex_encode((struct bytes){is->value, is->len}, hex);
		check_add(&v->checks, "policy.registers", CHECK_FAIL,
		          "%s is not what the policy pins: %s", name, hex);
		return false;
	}
	return true;
}

static bool is_pinned(const struct policy_destination *d, enum tee tee, const char *name)
{
	for (uint32_t i = 0; i < d->pins; i++)
		if (is_of(&d->pin[i], tee, name))
			return true;
	return false;
}

static bool is_waived(const struct policy_destination *d, enum tee tee, const char *name)
{
	for (uint32_t i = 0; i < d->unpinneds; i++)
		if (d->unpinned[i].tee == tee && !strcmp(d->unpinned[i].name, name))
			return true;
	return false;
}

static bool is_answered(const struct policy_destination *d, const struct claims *c,
                        const struct measurements *logged, const char *name)
{
	return (logged && measurement_find(logged, name)) || is_pinned(d, c->tee, name);
}

/* Whether somebody answers for the value: nobody has to for zero, or where it can carry nothing. */
static bool is_settled(const struct policy_destination *d, const struct claims *c,
                       const struct measurements *logged, const struct measurement *m)
{
	const char *signer = policy_register_signer(c->tee, m->name);
	struct register_name launch;

	if (bytes_all_zero(m->value, m->len))
		return true;
	switch ((enum register_role)m->role) {
	case REGISTER_COVERED:
	case REGISTER_IDENTITY:
		return true;
	case REGISTER_CODE:
	case REGISTER_CONFIG:
		break;
	}
	/*
	 * policy.measurement refuses a launch measurement that the list does not know, and any when
	 * no statement is of this platform. A release may name other registers only.
	 */
	if (policy_launch_register(c->tee, &launch) && !strcmp(launch.name, m->name) &&
	    (d->measurements || !logged))
		return true;
	return is_answered(d, c, logged, m->name) || (signer && is_answered(d, c, logged, signer));
}

void policy_check_registers(const struct policy_destination *d, const struct claims *c,
                            const struct measurements *logged, bool without_ledger,
                            struct verdict *v)
{
	char waived[CHECK_DETAIL_MAX] = "", hex[2 * MEASUREMENT_MAX + 1];
	size_t n = 0;

	if (!check_pins(d, c, v))
		return;
	if (without_ledger) {
		check_add(&v->checks, "policy.registers", CHECK_SKIP,
		          "there is no statement of the ledger that holds");
		return;
	}
	for (uint32_t i = 0; i < c->measurements.n && i < MEASUREMENTS_MAX; i++) {
		const struct measurement *m = &c->measurements.v[i];

		if (is_settled(d, c, logged, m))
			continue;
		if (is_waived(d, c->tee, m->name) && n < sizeof(waived)) {
			n += (size_t)snprintf(waived + n, sizeof(waived) - n, "%s%s", n ? ", " : "",
			                      m->name);
			continue;
		}
		hex_encode((struct bytes){m->value, m->len}, hex);
		check_add(&v->checks, "policy.registers", CHECK_FAIL,
		          "not zero and not pinned; log it, or: register = \"%s=%s\"", m->name,
		          hex);
		return;
	}
	check_add(&v->checks, "policy.registers", CHECK_PASS, "%s%s",
	          n ? "zero, pinned or waived: " : "zero or pinned", waived);
	if (n)
		verdict_loosened(v, "unpinned-register: neither pinned nor zero: %s", waived);
}
