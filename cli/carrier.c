/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes evidence out of what carries it, for a command that judges files. Which carrier it is the
 * content says; what it is worth, the checks. Knows no option.
 */
#include "cli/carrier.h"

#include <string.h>
#include "cli/claims.h"

bool carrier_is(struct bytes file)
{
	static const char pem[] = "-----BEGIN ";

	return file.n > sizeof(pem) &&
	       (file.p[0] == 0x30 || file.p[0] == '{' || !memcmp(file.p, pem, sizeof(pem) - 1));
}

/* More than fit are no loss that could make a verdict better: they only endorse. */
static void add_endorsements(struct attest_input *in, const struct bytes *v, uint32_t n)
{
	for (uint32_t i = 0; i < n && in->endorsements_n < ATTEST_ENDORSEMENTS_MAX; i++)
		in->endorsements[in->endorsements_n++] = v[i];
}

static void judge(struct attest_input *in, enum tee tee, struct bytes evidence,
                  const uint8_t report_data[static 64])
{
	if (in->type == TEE_NONE)
		in->type = tee;
	in->evidence = evidence;
	in->check_report_data = true;
	memcpy(in->report_data, report_data, sizeof(in->report_data));
}

static bool open_certificate(struct bytes file, struct bytes nonce, struct attest_input *in,
                             struct carrier *out, struct checks *checks)
{
	struct ratls_input from = {.cert = file, .nonce = nonce, .at = in->at};

	if (ratls_open(&from, &out->ratls, checks))
		return false;
	out->scheme = out->ratls.scheme;
	out->binder = out->ratls.binder;
	out->valid_until = out->ratls.valid_until;
	hex_encode(BYTES_OF(out->ratls.spki_sha256), out->server_key);
	judge(in, out->ratls.tee, out->ratls.evidence, out->ratls.report_data);
	add_endorsements(in, out->ratls.endorsements, out->ratls.endorsements_n);
	return true;
}

static bool open_document(struct bytes file, const struct carrier_asked *asked, struct bytes nonce,
                          struct attest_input *in, struct carrier *out, struct checks *checks)
{
	struct wellknown_input from = {
	        .body = file,
	        .spki_sha256 = asked->has_server_key ? asked->server_key : NULL,
	        .nonce = nonce,
	};

	if (wellknown_open(&from, &out->wellknown, checks))
		return false;
	out->scheme = out->wellknown.scheme;
	out->binder = out->wellknown.binder;
	out->valid_until = INT64_MAX;
	if (asked->has_server_key)
		hex_encode(BYTES_OF(asked->server_key), out->server_key);
	judge(in, out->wellknown.tee, out->wellknown.evidence, out->wellknown.report_data);
	add_endorsements(in, out->wellknown.endorsements, out->wellknown.endorsements_n);
	return true;
}

bool carrier_open(struct bytes file, const struct carrier_asked *asked, struct attest_input *in,
                  struct carrier *out, struct checks *checks)
{
	struct bytes nonce = {asked->nonce, asked->nonce_n};

	*out = (struct carrier){0};
	return file.n && file.p[0] == '{' ? open_document(file, asked, nonce, in, out, checks)
	                                  : open_certificate(file, nonce, in, out, checks);
}

void carrier_free(struct carrier *c)
{
	ratls_free(&c->ratls);
	wellknown_free(&c->wellknown);
	*c = (struct carrier){0};
}

json_t *carrier_json(const struct carrier *c)
{
	json_t *j;

	if (!c->scheme)
		return json_null();
	j = json_object();
	claims_put_member(&j, "scheme", json_string(c->scheme));
	claims_put_member(&j, "binder", json_string(c->binder));
	claims_put_member(&j, "server_key",
	                  c->server_key[0] ? json_string(c->server_key) : json_null());
	return j;
}

void carrier_print(const struct carrier *c, struct buf *out)
{
	if (!c->scheme)
		return;
	buf_printf(out, "%-16s %s\n%-16s %s\n", "scheme", c->scheme, "binder", c->binder);
	if (c->server_key[0])
		buf_printf(out, "%-16s %s\n", "server_key", c->server_key);
}
