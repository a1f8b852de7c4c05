/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One opener a transport. Each ends with evidence and the report data that it must bear; nothing
 * here looks into the evidence.
 */
#include "attest/transport.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include "attest/binding.h"
#include "attest/pki.h"

/* --------------------------------------------------------------------- keygate */

/* Is the request on the wire the one that was asked for? */
static bool request_ok(const struct attest_wire *w)
{
	struct authenticator_request rq;

	return !authenticator_request_parse(w->request, &rq) && rq.wants_evidence &&
	       rq.wants_lease == w->lease_asked &&
	       !CRYPTO_memcmp(rq.context, w->context, sizeof(rq.context)) &&
	       !strcmp(rq.name, w->server_name);
}

static int open_keygate(const struct attest_wire *w, struct attest_opened *out, struct checks *c)
{
	struct authenticator auth;

	if (!request_ok(w)) {
		check_add(c, "verify.request", CHECK_FAIL,
		          "the request on the wire is not the one that was asked for");
		return 0;
	}
	if (authenticator_verify(w->keys, w->request, w->message, &auth, c))
		return -ENOMEM;
	if (checks_overall(c) != CHECK_PASS)
		return 0;
	memcpy(out->spki_sha256, auth.spki_sha256, sizeof(out->spki_sha256));
	if (cmw_parse(auth.cmw, w->lease_asked, &out->cmw)) {
		check_add(c, "cmw.format", CHECK_FAIL, "%zu bytes", auth.cmw.n);
		return 0;
	}
	check_add(c, "cmw.format", CHECK_PASS, "%s", out->cmw.evidence_type);
	return attest_binding(BINDING_SERVER, auth.spki, w->keys->attestation, w->context,
	                      bytes_str(w->server_name), out->report_data);
}

/* ------------------------------------------------------------------- flashbots */

/* The leaf's key as it stands in the certificate; *spki is OpenSSL's to free. */
static int key_of(struct bytes leaf, uint8_t **spki, size_t *n, uint8_t sha256[static 32])
{
	struct pki_bag bag = {0};
	int len = 0;

	ERR_set_mark();
	if (!pki_bag_add(&bag, leaf) && bag.certs == 1 && !bag.crls && !bag.others &&
	    !pki_spki_sha256(bag.cert[0], sha256))
		len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(bag.cert[0]), spki);
	ERR_pop_to_mark();
	pki_bag_free(&bag);
	*n = len > 0 ? (size_t)len : 0;
	return len > 0 ? 0 : -EINVAL;
}

static bool flashbots_message_ok(const struct attest_wire *w, struct attest_opened *out,
                                 struct checks *c)
{
	struct flashbots_message m;
	enum tee tee;

	if (flashbots_parse(w->message, &m)) {
		check_add(c, "flashbots.format", CHECK_FAIL, "%zu bytes", w->message.n);
		return false;
	}
	check_add(c, "flashbots.format", CHECK_PASS, "%zu bytes of evidence", m.evidence.n);
	tee = flashbots_tee(m.type);
	if (tee == TEE_NONE || !m.evidence.n) {
		check_add(c, "flashbots.type", CHECK_FAIL, "%s, %zu bytes", m.type, m.evidence.n);
		return false;
	}
	check_add(c, "flashbots.type", CHECK_PASS, "%s", m.type);
	snprintf(out->cmw.evidence_type, sizeof(out->cmw.evidence_type), "%s",
	         attest_media_type(tee));
	out->cmw.evidence = m.evidence;
	return true;
}

static int open_flashbots(const struct attest_wire *w, struct attest_opened *out, struct checks *c)
{
	uint8_t *spki = NULL;
	size_t n;
	int ret = 0;

	if (!flashbots_message_ok(w, out, c))
		return 0;
	if (key_of(w->leaf, &spki, &n, out->spki_sha256)) {
		check_add(c, "flashbots.key", CHECK_FAIL, "the certificate can't be read");
		return 0;
	}
	check_add(c, "flashbots.key", CHECK_PASS, "the key of the TLS handshake");
	ret = flashbots_binding((struct bytes){spki, n}, w->exporter, out->report_data);
	OPENSSL_free(spki);
	return ret;
}

/* ---------------------------------------------------------------- certificates */

void atls_protocol(const uint8_t nonce[static AUTHENTICATOR_CONTEXT_LEN], char *out)
{
	memcpy(out, ATLS_ALPN_PREFIX, sizeof(ATLS_ALPN_PREFIX) - 1);
	hex_encode((struct bytes){nonce, AUTHENTICATOR_CONTEXT_LEN},
	           out + sizeof(ATLS_ALPN_PREFIX) - 1);
}

int atls_nonce(struct bytes protocol, uint8_t out[static AUTHENTICATOR_CONTEXT_LEN])
{
	struct reader r = reader_of(protocol);
	struct bytes prefix = rd_take(&r, sizeof(ATLS_ALPN_PREFIX) - 1);

	if (r.bad || !bytes_equal(prefix, bytes_str(ATLS_ALPN_PREFIX)))
		return -EINVAL;
	return hex_decode(rd_take(&r, r.left), out, AUTHENTICATOR_CONTEXT_LEN);
}

static int open_certificate(const struct attest_wire *w, struct bytes nonce,
                            struct attest_opened *out, struct checks *c)
{
	const struct ratls_input in = {.cert = w->message, .nonce = nonce, .at = w->at};
	struct ratls *r = &out->ratls;

	if (ratls_open(&in, r, c))
		return 0;
	out->binder = r->binder;
	out->valid_until = r->valid_until;
	memcpy(out->spki_sha256, r->spki_sha256, sizeof(out->spki_sha256));
	memcpy(out->report_data, r->report_data, sizeof(out->report_data));
	snprintf(out->cmw.evidence_type, sizeof(out->cmw.evidence_type), "%s",
	         attest_media_type(r->tee));
	out->cmw.evidence = r->evidence;
	memcpy(out->cmw.endorsements, r->endorsements, sizeof(r->endorsements));
	out->cmw.endorsements_n = r->endorsements_n;
	out->cmw.leaf = r->leaf;
	out->cmw.proof = r->proof;
	out->cmw.bundle = r->bundle;
	out->cmw.statement = r->statement;
	return 0;
}

static int open_atls(const struct attest_wire *w, struct attest_opened *out, struct checks *c)
{
	return open_certificate(w, BYTES_OF(w->context), out, c);
}

static int open_ra_tls(const struct attest_wire *w, struct attest_opened *out, struct checks *c)
{
	return open_certificate(w, BYTES_NONE, out, c);
}

/* -------------------------------------------------------------------- documents */

/* Nothing of the request counts here: a document says itself which nonce it is for. */
static int open_well_known(const struct attest_wire *w, struct attest_opened *out, struct checks *c)
{
	struct wellknown *d = &out->document;
	const struct wellknown_input in = {.body = w->message,
	                                   .spki_sha256 = out->spki_sha256,
	                                   .nonce = BYTES_OF(w->context),
	                                   .nonce_may_lack = true};
	uint8_t *spki = NULL;
	size_t n;
	int ret;

	if (key_of(w->leaf, &spki, &n, out->spki_sha256)) {
		check_add(c, "wellknown.key-binding", CHECK_FAIL, "the certificate can't be read");
		return 0;
	}
	OPENSSL_free(spki);
	ret = wellknown_open_reply(&in, d, c);
	if (ret)
		return ret == -ENOMEM ? ret : 0;
	out->binder = d->binder;
	memcpy(out->report_data, d->report_data, sizeof(out->report_data));
	snprintf(out->cmw.evidence_type, sizeof(out->cmw.evidence_type), "%s",
	         attest_media_type(d->tee));
	out->cmw.evidence = d->evidence;
	memcpy(out->cmw.endorsements, d->endorsements, sizeof(d->endorsements));
	out->cmw.endorsements_n = d->endorsements_n;
	return 0;
}

/* ----------------------------------------------------------------------- table */

static const struct {
	const char *name, *binder, *most;
	int (*open)(const struct attest_wire *w, struct attest_opened *out, struct checks *c);
} transports[TRANSPORT_MAX] = {
        [TRANSPORT_NONE] = {"none", "none", "none", NULL},
        [TRANSPORT_KEYGATE] = {"keygate", "connection", "connection", open_keygate},
        [TRANSPORT_FLASHBOTS] = {"flashbots", "connection", "connection", open_flashbots},
        [TRANSPORT_ATLS] = {"atls", "nonce", "nonce", open_atls},
        [TRANSPORT_RA_TLS] = {"ra-tls", "certificate", "certificate", open_ra_tls},
        [TRANSPORT_WELL_KNOWN] = {"well-known", "certificate", "nonce", open_well_known},
};

const char *attest_transport_name(enum attest_transport t)
{
	return transports[(unsigned)t < TRANSPORT_MAX ? t : TRANSPORT_NONE].name;
}

const char *attest_transport_binder(enum attest_transport t)
{
	return transports[(unsigned)t < TRANSPORT_MAX ? t : TRANSPORT_NONE].binder;
}

const char *attest_transport_binder_most(enum attest_transport t)
{
	return transports[(unsigned)t < TRANSPORT_MAX ? t : TRANSPORT_NONE].most;
}

enum attest_transport attest_transport_from_name(const char *name)
{
	for (int t = TRANSPORT_NONE + 1; t < TRANSPORT_MAX; t++)
		if (!strcmp(name, transports[t].name))
			return (enum attest_transport)t;
	return TRANSPORT_NONE;
}

int attest_open(const struct attest_wire *wire, struct attest_opened *out, struct checks *checks)
{
	*out = (struct attest_opened){.binder = attest_transport_binder(wire->transport),
	                              .valid_until = INT64_MAX};
	if (wire->transport == TRANSPORT_NONE || (unsigned)wire->transport >= TRANSPORT_MAX) {
		check_add(checks, "verify.request", CHECK_FAIL, "no transport was asked for");
		return 0;
	}
	return transports[wire->transport].open(wire, out, checks);
}

void attest_opened_free(struct attest_opened *o)
{
	ratls_free(&o->ratls);
	wellknown_free(&o->document);
}
