/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of destination blocks that name registers, and what can be said of a block's values only
 * when it closes: that the block admits the platforms that they speak of. Knows nothing of other
 * blocks.
 */
#include <stdio.h>
#include <string.h>
#include "policy/names.h"
#include "policy/read.h"

/* ------------------------------------------------------------------- platforms */

static struct policy_late *add_late(struct policy_reader *r, const struct policy_value *v,
                                    uint32_t tees)
{
	struct policy_late *l;

	if (!policy_grow(r, &r->late, r->lates, &r->lates_cap, sizeof(*r->late)))
		return NULL;
	l = &r->late[r->lates++];
	*l = (struct policy_late){.key = r->key, .line = v->line, .tees = tees, .bare = -1};
	snprintf(l->text, sizeof(l->text), "%.20s%s", v->text,
	         v->text[0] && strlen(v->text) > 20 ? "..." : "");
	return l;
}

void policy_of_tees(struct policy_reader *r, const struct policy_value *v, uint32_t tees)
{
	add_late(r, v, tees);
}

enum { TEES_TEXT_MAX = 48 };

/* "tdx", "tdx or sgx". */
static void tees_text(uint32_t tees, char out[static TEES_TEXT_MAX])
{
	size_t n = 0;

	out[0] = '\0';
	for (enum tee t = TEE_NONE + 1; t < TEE_MAX; t++)
		if (tees & TEE_BIT(t))
			n += (size_t)snprintf(out + n, TEES_TEXT_MAX - n, "%s%s", n ? " or " : "",
			                      attest_tee_name(t));
}

static enum tee first_tee(uint32_t tees)
{
	for (enum tee t = TEE_NONE + 1; t < TEE_MAX; t++)
		if (tees & TEE_BIT(t))
			return t;
	return TEE_NONE;
}

/* A launch measurement without its platform is of the only one of the block that it can be of. */
static void settle_bare(struct policy_reader *r, const struct policy_late *l, uint32_t tees)
{
	struct policy_measurement *m = &r->d->measurement[l->bare];
	enum tee t = first_tee(tees);
	struct register_name launch;
	char text[TEES_TEXT_MAX];

	if (tees != TEE_BIT(t) || !policy_launch_register(t, &launch)) {
		tees_text(tees, text);
		policy_error(r, l->line, "measurement: \"%s\" can be of %s; write which: \"%s:%s\"",
		             l->text, text, attest_tee_name(t), l->text);
		return;
	}
	m->tee = t;
	snprintf(m->m.name, sizeof(m->m.name), "%s", launch.name);
}

void policy_settle(struct policy_reader *r)
{
	uint32_t tees = r->d->tees;
	char text[TEES_TEXT_MAX];

	/* Without a platform there is an issue already. */
	for (uint32_t i = 0; tees && i < r->lates; i++) {
		const struct policy_late *l = &r->late[i];

		tees_text(l->tees, text);
		if (!(l->tees & tees))
			policy_error(r, l->line,
			             "%s: \"%s\" is of %s, which the tee of destination \"%s\" "
			             "does not name; add it there or remove this",
			             policy_sections[SECTION_DESTINATION].keys[l->key].name,
			             l->text, text, r->d->name);
		else if (l->bare >= 0)
			settle_bare(r, l, l->tees & tees);
	}
	r->lates = 0;
}

/* ------------------------------------------------------------------- registers */

/* Hex of a length that the register may have. */
static bool take_value(const struct register_name *is, const char *hex, struct measurement *out)
{
	size_t len = strlen(hex) / 2;

	if (!statement_register_takes(is->len, len) || hex_decode(bytes_str(hex), out->value, len))
		return false;
	snprintf(out->name, sizeof(out->name), "%s", is->name);
	out->len = (uint8_t)len;
	return true;
}

/* The platforms whose launch measurement has so many bytes. */
static uint32_t tees_of_launch(size_t len)
{
	struct register_name launch;
	uint32_t tees = 0;

	for (enum tee t = TEE_NONE + 1; len && t < TEE_MAX; t++)
		if (policy_launch_register(t, &launch) && statement_register_takes(launch.len, len))
			tees |= TEE_BIT(t);
	return tees;
}

/* Of HEX alone the block's end will tell the platform. */
uint32_t policy_take_launch(const char *text, struct policy_measurement *out)
{
	const char *colon = strchr(text, ':');
	struct register_name launch = {.tee = TEE_NONE};
	size_t len = strlen(text) / 2;
	char tee[8] = "";

	if (!colon) {
		out->m.len = (uint8_t)len;
		return len <= MEASUREMENT_MAX && !hex_decode(bytes_str(text), out->m.value, len)
		               ? tees_of_launch(len)
		               : 0;
	}
	if ((size_t)(colon - text) >= sizeof(tee))
		return 0;
	memcpy(tee, text, (size_t)(colon - text));
	out->tee = attest_tee_from_name(tee);
	return policy_launch_register(out->tee, &launch) && take_value(&launch, colon + 1, &out->m)
	               ? TEE_BIT(out->tee)
	               : 0;
}

void read_measurement(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_destination *d = r->d;
	struct policy_measurement m = {.tee = TEE_NONE};
	uint32_t tees = policy_take_launch(v->text, &m);
	struct policy_late *l;

	if (!tees) {
		policy_unexpected(r, v,
		                  "a launch measurement: the platform and hexadecimal digits, like "
		                  "\"snp:<96 of them>\"");
		return;
	}
	if (bytes_all_zero(m.m.value, m.m.len)) {
		policy_unexpected(r, v, "a launch measurement: zero is what was never measured");
		return;
	}
	if (d->measurements == POLICY_LIST_MAX) {
		policy_error(r, v->line,
		             "measurement: more than %d in one destination; log them in a "
		             "ledger",
		             POLICY_LIST_MAX);
		return;
	}
	l = add_late(r, v, tees);
	if (!l || !policy_grow(r, &d->measurement, d->measurements, &r->measurements_cap,
	                       sizeof(*d->measurement)))
		return;
	if (m.tee == TEE_NONE)
		l->bare = (int32_t)d->measurements;
	d->measurement[d->measurements++] = m;
}

static bool take_name(struct policy_reader *r, const struct policy_value *v, size_t n,
                      struct register_name *out)
{
	char name[32];
	const char *near;

	if (policy_register(v->text, n, out))
		return true;
	snprintf(name, sizeof(name), "%.*s", (int)(n < sizeof(name) ? n : sizeof(name)), v->text);
	near = policy_register_nearest(name);
	if (near)
		policy_error(r, v->line, "%s: there is no register \"%s\"; did you mean \"%s\"?",
		             policy_key_name(r), name, near);
	else
		policy_error(
		        r, v->line,
		        "%s: there is no register \"%s\"; `keygate verify evidence` prints them",
		        policy_key_name(r), name);
	return false;
}

void read_register(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_destination *d = r->d;
	size_t n = strcspn(v->text, "=");
	struct policy_measurement m = {.tee = TEE_NONE};
	struct register_name is;
	char digits[16];

	if (!v->text[n]) {
		policy_unexpected(r, v, "name=value, like mrconfigid=<96 hexadecimal digits>");
		return;
	}
	if (!take_name(r, v, n, &is))
		return;
	m.tee = is.tee;
	if (!take_value(&is, v->text + n + 1, &m.m)) {
		policy_register_digits(&is, digits);
		policy_error(r, v->line, "register: the value of %s has %s hexadecimal digits",
		             is.name, digits);
		return;
	}
	if (d->pins == POLICY_LIST_MAX) {
		policy_error(r, v->line, "register: more than %d in one destination",
		             POLICY_LIST_MAX);
		return;
	}
	policy_of_tees(r, v, TEE_BIT(is.tee));
	if (policy_grow(r, &d->pin, d->pins, &r->pins_cap, sizeof(*d->pin)))
		d->pin[d->pins++] = m;
}

void read_unpinned_register(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_destination *d = r->d;
	struct policy_register_name *out;
	struct register_name is, launch;

	if (d->unpinneds == POLICY_UNPINNED_MAX) {
		policy_error(r, v->line, "unpinned-register: more than %d in one destination",
		             POLICY_UNPINNED_MAX);
		return;
	}
	if (!take_name(r, v, strlen(v->text), &is))
		return;
	if (policy_launch_register(is.tee, &launch) && !strcmp(launch.name, is.name)) {
		policy_error(r, v->line,
		             "unpinned-register: %s is the launch measurement, which a ledger or "
		             "a measurement list has to name",
		             is.name);
		return;
	}
	if (!strcmp(is.name, "mrservicetd")) {
		policy_error(
		        r, v->line,
		        "unpinned-register: mrservicetd says which other TD may reach into this "
		        "one; pin it with register, or let the ledger name it");
		return;
	}
	if (!policy_append(r, &d->unpinned, d->unpinneds, sizeof(*d->unpinned)))
		return;
	out = &d->unpinned[d->unpinneds];
	out->tee = is.tee;
	snprintf(out->name, sizeof(out->name), "%s", is.name);
	d->unpinneds++;
	policy_of_tees(r, v, TEE_BIT(is.tee));
}
