/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what a peer showed to the policy that demands just this: every register that counts, the
 * firmware that it has as the floor, the loosenings that it needs by name. What is a matter of
 * taste (the machine, the key) stands in comments. Knows the words of the policy language, not its
 * meaning: a test puts each stanza through policy/.
 */
#include "cli/stanza.h"

#include <stdio.h>
#include <string.h>

#define WORD "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

enum { BLOCK_NAME_MAX = 63 };

static void hex_put(struct buf *out, const uint8_t *p, size_t n)
{
	char hex[2 * MEASUREMENT_MAX + 1];

	hex_encode((struct bytes){p, n < MEASUREMENT_MAX ? n : MEASUREMENT_MAX}, hex);
	buf_str(out, hex);
}

static bool is_word(const char *s)
{
	return *s && s[strspn(s, WORD)] == '\0';
}

/* Between double quotes of a policy file. */
static bool can_be_quoted(const char *path)
{
	for (const char *s = path; *s; s++)
		if (*s < 0x20 || *s > 0x7e || strchr("\"\\|$", *s))
			return false;
	return true;
}

/* "api.example.com-443"; what a block's name can't have becomes a dash. */
static void name_of(const struct stanza *s, char out[static BLOCK_NAME_MAX + 1])
{
	char port[8];
	size_t n = 0, room;

	snprintf(port, sizeof(port), "-%u", s->port);
	room = BLOCK_NAME_MAX - strlen(port);
	for (const char *h = s->host; *h && n < room; h++)
		out[n++] = strchr(WORD, *h) ? *h : '-';
	memcpy(out + n, port, strlen(port) + 1);
}

/* ---------------------------------------------------------------------- blocks */

static void put_file(struct buf *out, const char *path)
{
	if (can_be_quoted(path))
		buf_printf(out, "\"%s\"", path);
	else
		buf_str(out, "\"FILE\" # its name can't stand in a policy file; give it another");
	buf_str(out, "\n");
}

static void put_anchors(const struct stanza *s, struct buf *out)
{
	for (uint32_t i = 0; i < s->anchors; i++) {
		buf_printf(out, "anchor \"probe-%u\" {\n\ttee  = %s\n\tfile = ", i + 1,
		           attest_tee_name(s->claims->tee));
		put_file(out, s->anchor[i]);
		buf_str(out, "}\n\n");
	}
}

static void put_ledger(const struct stanza *s, const char *name, struct buf *out)
{
	if (!s->ledger)
		return;
	buf_printf(out, "ledger \"%s\" {\n\tpolicy = ", name);
	put_file(out, s->ledger);
	if (s->no_quorum)
		buf_str(out, "\tallow-no-quorum = true\n");
	buf_str(out, "}\n\n");
}

/* ------------------------------------------------------------------ destination */

static void put_where(const struct stanza *s, struct buf *out)
{
	buf_printf(out, "\t%-11s = {\"%s\"}\n", s->is_name ? "name" : "address", s->host);
	buf_printf(out, "\t%-11s = {\"%u\"}\n", "port", s->port);
	buf_printf(out, "\t%-11s = gate\n", "action");
	buf_printf(out, "\t%-11s = {%s}\n", "tee", attest_tee_name(s->claims->tee));
	/* The policy's own default is the name that the destination goes by. */
	if (s->server_name[0] && !(s->is_name && !strcmp(s->server_name, s->host)))
		buf_printf(out, "\t%-11s = \"%s\"\n", "server-name", s->server_name);
	if (strcmp(s->transport, "keygate") != 0)
		buf_printf(out, "\t%-11s = %s\n", "transport", s->transport);
	if (strcmp(s->binder, "connection") != 0)
		buf_printf(out, "\t%-11s = %s # weaker than connection\n", "binder", s->binder);
}

static void put_ledger_key(const struct stanza *s, const char *name, struct buf *out)
{
	if (s->ledger) {
		buf_printf(out, "\t%-11s = \"%s\"\n", "ledger", name);
		return;
	}
	if (s->has_proof)
		buf_str(out, "\t# It sent a ledger proof: with that ledger's tlog-policy, a ledger "
		             "block can stand here.\n");
	buf_printf(out, "\t%-11s = none\n", "ledger");
}

/* The launch measurement is the first of the registers. */
static void put_measurement(const struct stanza *s, struct buf *out)
{
	const struct measurement *launch = &s->claims->measurements.v[0];

	if (s->ledger)
		buf_str(out, "\t# Without this line, whatever the ledger names is admitted.\n");
	buf_printf(out, "\t%-11s = {\"%s:", "measurement", attest_tee_name(s->claims->tee));
	hex_put(out, launch->value, launch->len);
	buf_str(out, "\"}\n");
}

/* What can carry code or configuration, or in a comment what says whose it is. */
static bool is_pin(const struct measurement *m, bool identity)
{
	if (bytes_all_zero(m->value, m->len))
		return false;
	switch ((enum register_role)m->role) {
	case REGISTER_CODE:
	case REGISTER_CONFIG:
		return !identity;
	case REGISTER_IDENTITY:
		return identity;
	case REGISTER_COVERED:
		break;
	}
	return false;
}

static void put_registers(const struct stanza *s, bool identity, struct buf *out)
{
	const struct claims *c = s->claims;
	const char *before = identity ? "\t# or also: register = {" : "\tregister    = {";
	bool any = false;

	for (uint32_t i = 1; i < c->measurements.n; i++) {
		const struct measurement *m = &c->measurements.v[i];

		if (!is_pin(m, identity))
			continue;
		buf_printf(out,
		           "%s\"%s.%s=", any ? identity ? ", " : ",\n\t               " : before,
		           attest_tee_name(c->tee), m->name);
		hex_put(out, m->value, m->len);
		buf_str(out, "\"");
		any = true;
	}
	buf_str(out, any ? "}\n" : "");
}

static void put_snp(const struct stanza *s, struct buf *out)
{
	const struct claims *c = s->claims;

	if (c->tee != TEE_SNP)
		return;
	if (!c->csp[0])
		buf_printf(out, "\t%-11s = deny\n", "vlek");
	else if (can_be_quoted(c->csp))
		buf_printf(out, "\t%-11s = {\"%s\"}\n", "vlek", c->csp);
	if (!bytes_all_zero(c->host_data, sizeof(c->host_data))) {
		buf_printf(out, "\t%-11s = \"", "host-data");
		hex_put(out, c->host_data, sizeof(c->host_data));
		buf_str(out, "\"\n");
	}
	if (c->vmpl)
		buf_printf(out, "\t%-11s = %u\n", "vmpl", c->vmpl);
}

static void put_tcb(const struct stanza *s, struct buf *out)
{
	const struct claims *c = s->claims;

	/* No vendor rates SNP's: the firmware that it has is the least that is accepted. */
	if (c->tee == TEE_SNP && c->tcb_n) {
		buf_printf(out, "\t%-11s = {", "min-tcb");
		for (uint32_t i = 0; i < c->tcb_n; i++)
			buf_printf(out, "%s\"%s=%u\"", i ? ", " : "", c->tcb[i].name,
			           c->tcb[i].svn);
		buf_str(out, "}\n");
	}
	if (!is_word(c->tcb_status) || !strcmp(c->tcb_status, "UpToDate"))
		return;
	buf_printf(out, "\t%-11s = {%s} # a platform that its vendor wants updated\n", "accept-tcb",
	           c->tcb_status);
	if (!c->advisories)
		return;
	buf_str(out, "\taccept-advisory = {");
	for (uint32_t i = 0; i < c->advisories; i++)
		if (is_word(c->advisory[i]))
			buf_printf(out, "%s\"%s\"", i ? ", " : "", c->advisory[i]);
	buf_str(out, "}\n");
}

static void put_identity(const struct stanza *s, struct buf *out)
{
	const struct claims *c = s->claims;

	buf_str(out, "\t# To pin whose it is, and on which machine:\n\t# server-key = "
	             "{\"sha256:");
	hex_put(out, s->spki_sha256, 32);
	buf_str(out, "\"}\n");
	if (c->chip_id_len) {
		buf_str(out, "\t# chip-id = {\"");
		hex_put(out, c->chip_id, c->chip_id_len);
		buf_str(out, "\"}\n");
	}
	put_registers(s, true, out);
}

void stanza_print(const struct stanza *s, struct buf *out)
{
	char name[BLOCK_NAME_MAX + 1];

	name_of(s, name);
	put_anchors(s, out);
	put_ledger(s, name, out);
	buf_printf(out, "destination \"%s\" {\n", name);
	put_where(s, out);
	put_ledger_key(s, name, out);
	put_measurement(s, out);
	put_registers(s, false, out);
	put_snp(s, out);
	put_tcb(s, out);
	if (s->anchors) {
		buf_printf(out, "\t%-11s = {", "anchor");
		for (uint32_t i = 0; i < s->anchors; i++)
			buf_printf(out, "%s\"probe-%u\"", i ? ", " : "", i + 1);
		buf_str(out, "}\n");
	}
	put_identity(s, out);
	buf_str(out, "}\n");
}
