/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measurements that a signed statement names: keygate's own predicate, which statement.c reads,
 * Tinfoil's for SNP and TDX, and the hash of Microsoft's utility VM for SNP. Knows nothing of
 * signatures.
 */
#include "ledger/sigstore_room.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ledger/json.h"
#include "ledger/receipt.h"

static bool is_own(const char *type)
{
	static const char last[] = STATEMENT_PREDICATE_V;
	size_t n = strlen(type), m = strlen(last);

	return n > m && strcmp(type + n - m, last) == 0;
}

bool release_predicate_known(const char *predicate_type)
{
	return is_own(predicate_type) || !strcmp(predicate_type, RELEASE_TINFOIL_MULTI);
}

/* 96 hex digits in lower case, not all zero: what was measured is never that. */
static bool take_register(const json_t *object, const char *member, const char *name,
                          struct measurements *out)
{
	struct measurement *m = &out->v[out->n];
	struct bytes text = json_view(json_member(object, member));

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] >= 'A' && text.p[i] <= 'F')
			return false;
	if (hex_decode(text, m->value, 48) || bytes_all_zero(m->value, 48))
		return false;
	snprintf(m->name, sizeof(m->name), "%s", name);
	m->len = 48;
	out->n++;
	return true;
}

/*
 * Each platform's registers that the build decides. What the machine decides (MRTD, RTMR0) is left
 * to the policy's pins, and RTMR3, which nobody extends, is named as zero.
 */
static const char *take_tinfoil(const json_t *predicate, struct statement *s)
{
	const json_t *tdx = json_member(predicate, "tdx_measurement");
	struct measurements *r;

	snprintf(s->tee[0].tee, sizeof(s->tee[0].tee), "snp");
	snprintf(s->tee[1].tee, sizeof(s->tee[1].tee), "tdx");
	s->tees = 2;
	if (!take_register(predicate, "snp_measurement", "measurement", &s->tee[0].registers))
		return "snp_measurement is not 96 lower-case hex digits, or zero";
	r = &s->tee[1].registers;
	if (!take_register(tdx, "rtmr1", "rtmr1", r) || !take_register(tdx, "rtmr2", "rtmr2", r))
		return "tdx_measurement's rtmr1 and rtmr2 are not 96 lower-case hex digits, or zero";
	snprintf(r->v[r->n].name, sizeof(r->v[r->n].name), "rtmr3");
	r->v[r->n++].len = 48;
	s->not_after = VERDICT_FOREVER;
	return NULL;
}

/* The one subject, as in keygate's own statements: it can be denied by its digest. */
static const char *take_subject(const json_t *statement, struct statement *s)
{
	const json_t *list = json_member(statement, "subject");
	const json_t *subject = json_array_get(list, 0);

	if (json_array_size(list) != 1 ||
	    !json_text(subject, "name", s->subject, sizeof(s->subject)) ||
	    hex_decode(json_view(json_member(json_member(subject, "digest"), "sha256")),
	               s->subject_sha256, sizeof(s->subject_sha256)))
		return "a statement with measurements has one subject with a name and a sha256";
	return NULL;
}

/* statement.c's two checks: the form is the predicate's here, the end keeps its name. */
static int take_own(struct bytes payload, int64_t at, struct statement *out, struct checks *checks)
{
	struct checks made = {0};
	int ret = ledger_statement_parse(payload, at == VERDICT_FOREVER ? 0 : at, out, &made);

	if (ret == -ENOMEM)
		return ret;
	check_add(checks, "sigstore.predicate", ret ? CHECK_FAIL : CHECK_PASS, "%s",
	          made.v[0].detail);
	if (!ret)
		check_add(checks, "ledger.expired", made.v[1].status, "%s", made.v[1].detail);
	return 0;
}

int release_predicate_parse(const char *predicate_type, struct bytes payload,
                            const json_t *statement, int64_t at, struct statement *out,
                            struct checks *checks)
{
	struct statement s = {0};
	const char *why;

	if (is_own(predicate_type))
		return take_own(payload, at, out, checks);
	why = take_subject(statement, &s);
	why = why ? why : take_tinfoil(json_member(statement, "predicate"), &s);
	snprintf(s.predicate_type, sizeof(s.predicate_type), "%s", predicate_type);
	check_add(checks, "sigstore.predicate", why ? CHECK_FAIL : CHECK_PASS, "%s",
	          why ? why : "measurements for snp and tdx");
	if (!why)
		*out = s;
	return 0;
}

/* SNP measures with SHA-384, page by page: what hashes to the measurement is the launch itself. */
bool release_measurement(const struct receipt_result *r, struct statement *out)
{
	struct statement s = {.tees = 1, .not_after = VERDICT_FOREVER};
	struct measurement *m = &s.tee[0].registers.v[0];

	if (!r->payload_hash || strcmp(r->payload_hash, "SHA-384") != 0 || r->payload.n != 48 ||
	    bytes_all_zero(r->payload.p, r->payload.n))
		return false;
	snprintf(s.subject, sizeof(s.subject), "%.*s", (int)sizeof(s.subject) - 1, r->subject);
	memcpy(s.subject_sha256, r->entry.v, sizeof(s.subject_sha256));
	if (r->has_svn)
		snprintf(s.version, sizeof(s.version), "%" PRIu64, r->svn);
	snprintf(s.tee[0].tee, sizeof(s.tee[0].tee), "snp");
	snprintf(m->name, sizeof(m->name), "measurement");
	memcpy(m->value, r->payload.p, r->payload.n);
	m->len = (uint8_t)r->payload.n;
	s.tee[0].registers.n = 1;
	*out = s;
	return true;
}
