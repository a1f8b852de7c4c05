/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a probe found, as a page for people or as one JSON object. A peer's texts are shown with
 * everything but printable ASCII replaced: the page is read on a terminal.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "cli/claims.h"
#include "cli/cmd.h"
#include "cli/probe.h"
#include "cli/stanza.h"

enum { PAGE_MAX = 4 << 20, TEXT_MAX = 256, STANZA_MAX = 65536 };

/* A peer's text, cut and cleaned. */
static const char *clean(const char *s, char out[static TEXT_MAX])
{
	size_t n = 0;

	for (; n < TEXT_MAX - 1 && s[n]; n++)
		out[n] = s[n] < 0x20 || s[n] > 0x7e ? '?' : s[n];
	out[n] = '\0';
	return out;
}

static const char *suite_name(uint16_t suite)
{
	switch (suite) {
	case 0x1301:
		return "TLS_AES_128_GCM_SHA256";
	case 0x1302:
		return "TLS_AES_256_GCM_SHA384";
	case 0x1303:
		return "TLS_CHACHA20_POLY1305_SHA256";
	default:
		return NULL;
	}
}

/* What ties this very evidence, or else what the transport promises. */
static const char *binder_of(const struct probe *p)
{
	return p->opened ? p->shown.binder : attest_transport_binder(p->transport);
}

/* Evidence that attest/ refuses no policy admits; a TCB's status one can. */
static bool make_stanza(const struct probe *p, struct buf *out)
{
	struct stanza s = {
	        .host = p->target.host,
	        .is_name = target_is_name(&p->target),
	        .port = p->target.port,
	        .server_name = p->server_name,
	        .transport = attest_transport_name(p->transport),
	        .binder = binder_of(p),
	        .spki_sha256 = p->shown.spki_sha256,
	        .claims = &p->claims,
	        .ledger = p->logged ? p->ledger_path : NULL,
	        .no_quorum = p->tlog && p->tlog->quorum < 0,
	        .has_proof = p->has_head,
	};

	if (!p->holds || !p->claims.measurements.n)
		return false;
	for (uint32_t i = 0; p->claims.extra_anchor && i < p->in.anchors_n; i++)
		s.anchor[s.anchors++] = p->anchor[i];
	stanza_print(&s, out);
	return true;
}

/* ------------------------------------------------------------------------ text */

static void print_connection(const struct probe *p, struct buf *out)
{
	const char *suite = suite_name(p->suite);
	char hex[65];

	buf_printf(out, "%-16s %s\n", "peer", p->peer[0] ? p->peer : "none");
	if (suite)
		buf_printf(out, "%-16s 1.3, %s\n", "tls", suite);
	buf_printf(out, "%-16s %s, binder %s\n", "transport", attest_transport_name(p->transport),
	           binder_of(p));
	if (!p->opened)
		return;
	hex_encode(BYTES_OF(p->shown.spki_sha256), hex);
	buf_printf(out, "%-16s sha256:%s\n", "server_key", hex);
}

static void print_evidence(const struct probe *p, struct buf *out)
{
	char text[TEXT_MAX];

	if (!p->judged)
		return;
	buf_printf(out, "%-16s %s %s\n", "evidence", attest_tee_name(p->claims.tee),
	           p->holds ? clean(p->claims.product, text) : "");
	if (p->holds)
		claims_print(&p->claims, out);
}

static void print_ledger(const struct probe *p, struct buf *out)
{
	const char *worth = p->logged ? "" : " (not shown to be logged)";
	char text[TEXT_MAX], when[32];

	if (p->has_statement) {
		buf_printf(out, "%-16s %s", "statement", clean(p->statement.subject, text));
		buf_printf(out, " %s%s\n", clean(p->statement.version, text), worth);
		cmd_time_text(p->statement.not_after, when);
		if (p->statement.not_after != VERDICT_FOREVER)
			buf_printf(out, "%-16s until %s\n", "", when);
	}
	if (p->has_head)
		buf_printf(out, "%-16s %s: leaf %" PRIu64 " of %" PRIu64 "%s\n", "log",
		           clean(p->head.origin, text), p->index, p->head.size, worth);
}

int probe_print_text(const struct probe *p)
{
	enum check_status overall = checks_overall(&p->checks);
	struct buf out = buf_make(PAGE_MAX), stanza = buf_make(STANZA_MAX);
	int ret = 0;

	print_connection(p, &out);
	if (p->explain && p->judged) {
		buf_str(&out, "\n");
		claims_explain(p->claims.tee, p->shown.cmw.evidence, p->shown.cmw.endorsements,
		               p->shown.cmw.endorsements_n, &out);
	}
	print_evidence(p, &out);
	print_ledger(p, &out);
	buf_printf(&out, "\nverdict: %s\n", check_status_name(overall));
	checks_to_text(&p->checks, &out);
	if (!p->holds)
		claims_print_missing(&p->claims, &out);
	if (make_stanza(p, &stanza)) {
		buf_str(&out, "\n# What would admit this peer, and no other program:\n\n");
		buf_bytes(&out, buf_view(&stanza));
	}
	if (out.bad || stanza.bad)
		ret = cmd_error(CMD_UNKNOWN, "out of memory");
	else
		cmd_print_buf(&out);
	buf_free(&out);
	buf_free(&stanza);
	return ret;
}

/* ------------------------------------------------------------------------ JSON */

static json_t *text_json(const char *s)
{
	char text[TEXT_MAX];

	return s && *s ? json_string(clean(s, text)) : json_null();
}

static json_t *statement_json(const struct probe *p)
{
	const struct statement *s = &p->statement;

	if (!p->has_statement)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "subject", text_json(s->subject), "version",
	                 text_json(s->version), "not_after",
	                 s->not_after == VERDICT_FOREVER ? json_null()
	                                                 : json_integer(s->not_after));
}

static json_t *log_json(const struct probe *p)
{
	if (!p->has_head)
		return json_null();
	return json_pack("{s:o, s:I, s:I}", "origin", text_json(p->head.origin), "size",
	                 (json_int_t)p->head.size, "index", (json_int_t)p->index);
}

static json_t *key_json(const struct probe *p)
{
	char hex[65];

	if (!p->opened)
		return json_null();
	hex_encode(BYTES_OF(p->shown.spki_sha256), hex);
	return json_string(hex);
}

static json_t *stanza_json(const struct probe *p)
{
	struct buf text = buf_make(STANZA_MAX);
	json_t *j = json_null();

	if (make_stanza(p, &text))
		j = text.bad ? NULL : json_stringn((const char *)text.p, text.n);
	buf_free(&text);
	return j;
}

int probe_print_json(const struct probe *p)
{
	json_t *j = json_object();

	claims_put_member(&j, "verdict",
	                  json_string(check_status_name(checks_overall(&p->checks))));
	claims_put_member(&j, "peer", text_json(p->peer));
	claims_put_member(&j, "tls", text_json(suite_name(p->suite)));
	claims_put_member(&j, "transport", json_string(attest_transport_name(p->transport)));
	claims_put_member(&j, "binder", json_string(binder_of(p)));
	claims_put_member(&j, "server_key", key_json(p));
	claims_put(&j, &p->claims, p->holds);
	claims_put_missing(&j, &p->claims, p->holds);
	claims_put_member(&j, "statement", statement_json(p));
	claims_put_member(&j, "log", log_json(p));
	claims_put_member(&j, "logged", json_boolean(p->logged));
	claims_put_member(&j, "checks", checks_to_json(&p->checks));
	claims_put_member(&j, "stanza", stanza_json(p));
	return cmd_print_json(j);
}
