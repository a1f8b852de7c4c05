/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appraisal of SGX and TDX quotes: the order of work that both share, from the structure over the
 * PCK chain, the quoting enclave and the quote's signature to the TCB. What only one of them has is
 * in attest/tdx.c and attest/sgx.c.
 */
#include "attest/intel_appraise.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include "core/ecdsa.h"

struct appraisal {
	const struct intel_platform *p;
	const struct attest_input *in;
	struct claims *claims;
	struct checks *checks;
	struct intel_quote quote;
	struct intel_chain chain;
	struct intel_document qe_document, info_document; /* own what the next keep views of */
	struct intel_identity qe;
	struct intel_tcb_info info;
	/* NULL until their check passed. */
	const struct intel_rating *qe_rating;
	bool info_good, module_good;
};

/* Says nothing of a check that this platform has not. */
__attribute__((format(printf, 4, 5))) static void
say(struct appraisal *a, enum intel_check check, enum check_status status, const char *fmt, ...)
{
	char text[CHECK_DETAIL_MAX];
	va_list ap;

	if (!a->p->id[check])
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	check_add(a->checks, a->p->id[check], status, "%s", text);
}

static void skip(struct appraisal *a, enum intel_check check, const char *why)
{
	say(a, check, CHECK_SKIP, "%s", why);
}

/* This check and all that come after it. */
static void skip_from(struct appraisal *a, enum intel_check check, const char *why)
{
	for (; check < INTEL_CHECKS; check++)
		if (check != INTEL_CHECK_REPORT_DATA || a->in->check_report_data)
			skip(a, check, why);
}

static void limit(struct appraisal *a, int64_t t)
{
	if (t < a->claims->valid_until)
		a->claims->valid_until = t;
}

/* -------------------------------------------------------- the endorsing chain */

static void claim_tcb(struct claims *c, const char *name, uint16_t svn)
{
	struct tcb_component *t;

	if (c->tcb_n == TCB_COMPONENTS_MAX)
		return;
	t = &c->tcb[c->tcb_n++];
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->svn = svn;
}

static void claim_chain(struct appraisal *a)
{
	const struct intel_pck *pck = &a->chain.of;
	struct claims *c = a->claims;
	char name[16];

	hex_encode(BYTES_OF(pck->fmspc), c->product);
	snprintf(c->signer, sizeof(c->signer), "PCK (%s CA)",
	         a->chain.platform_ca ? "platform" : "processor");
	c->chip_id_len = INTEL_PPID_LEN;
	memcpy(c->chip_id, pck->has_instance ? pck->instance : pck->ppid, INTEL_PPID_LEN);
	for (unsigned i = 0; i < INTEL_SVNS; i++) {
		snprintf(name, sizeof(name), "sgx%02u", i + 1);
		claim_tcb(c, name, pck->svn[i]);
	}
	claim_tcb(c, "pcesvn", pck->pcesvn);
	for (unsigned i = 0; a->p->tee == TEE_TDX && i < INTEL_SVNS; i++) {
		snprintf(name, sizeof(name), "tdx%02u", i);
		claim_tcb(c, name, a->quote.body.p[TDX_OFF_TEE_TCB_SVN + i]);
	}
}

static bool check_chain(struct appraisal *a)
{
	char why[CHECK_DETAIL_MAX] = "";
	enum check_status status = attest_intel_chain(a->in, &a->quote, &a->chain, why);

	say(a, INTEL_CHECK_CHAIN, status, "%s", why);
	if (status != CHECK_PASS)
		return false;
	a->claims->extra_anchor = a->chain.extra_anchor;
	claim_chain(a);
	return true;
}

static bool check_cert_time(struct appraisal *a)
{
	const struct {
		const char *name;
		const X509 *cert;
	} certs[] = {
	        {"PCK", a->chain.pck},
	        {a->chain.platform_ca ? "Platform CA's" : "Processor CA's", a->chain.ca},
	        {"root's", a->chain.root},
	};
	char text[32], until[32];
	int64_t end = INT64_MAX, t;

	attest_date(a->in->at, text);
	for (size_t i = 0; i < sizeof(certs) / sizeof(certs[0]); i++) {
		if (!pki_valid_at(certs[i].cert, a->in->at) ||
		    pki_time(X509_get0_notAfter(certs[i].cert), &t)) {
			say(a, INTEL_CHECK_CERT_TIME, CHECK_FAIL,
			    "the %s certificate is not valid at %s", certs[i].name, text);
			return false;
		}
		if (t < end)
			end = t;
	}
	a->claims->valid_until = end;
	attest_date(end, until);
	say(a, INTEL_CHECK_CERT_TIME, CHECK_PASS, "all three valid at %s, until %s", text, until);
	return true;
}

/*
 * What the caller keeps is looked at even if there are lists in the evidence: those may be old and
 * still in time. False when there is no room for it, so that nobody can crowd it out.
 */
static bool add_lists(struct appraisal *a, const struct bytes *stored, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (attest_intel_endorsement(&a->chain.bag, stored[i]) == -ENOSPC)
			return false;
	return true;
}

static size_t ask(struct appraisal *a, const struct collateral_name *name,
                  struct bytes out[static COLLATERAL_SAME_MAX])
{
	size_t n = attest_collateral(a->in, name, out, COLLATERAL_SAME_MAX);

	if (!n)
		attest_collateral_want(a->claims, name, false);
	return n;
}

static bool add_stored_lists(struct appraisal *a, const struct collateral_name *name)
{
	struct bytes stored[COLLATERAL_SAME_MAX];
	size_t n = ask(a, name, stored);

	return add_lists(a, stored, n);
}

static void check_revocation(struct appraisal *a)
{
	const struct {
		const char *name;
		X509 *cert, *issuer;
		struct collateral_name stored;
	} links[] = {
	        {"PCK revocation list", a->chain.pck, a->chain.ca,
	         attest_collateral_name(VENDOR_INTEL, INTEL_PATH_PCK_CRL,
	                                a->chain.platform_ca ? "platform" : "processor")},
	        {"root's revocation list", a->chain.ca, a->chain.root,
	         attest_collateral_name(VENDOR_INTEL, "%s", INTEL_PATH_ROOT_CRL)},
	};
	const char *missing = NULL, *untimely = NULL;
	int64_t next;

	if (!add_stored_lists(a, &links[0].stored) || !add_stored_lists(a, &links[1].stored)) {
		say(a, INTEL_CHECK_REVOCATION, CHECK_FAIL, "too many revocation lists were given");
		return;
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		X509_CRL *crl = pki_crl_of(&a->chain.bag, links[i].issuer, a->in->at);
		int rc;

		if (!crl) {
			missing = missing ? "revocation list" : links[i].name;
			attest_collateral_want(a->claims, &links[i].stored, true);
			continue;
		}
		rc = pki_revocation(links[i].cert, links[i].issuer, crl, a->in->at);
		/* A genuine list of another time says nothing about now. */
		if (rc == X509_V_ERR_CRL_HAS_EXPIRED || rc == X509_V_ERR_CRL_NOT_YET_VALID) {
			untimely = links[i].name;
			attest_collateral_want(a->claims, &links[i].stored, true);
			continue;
		}
		if (rc || pki_time(X509_CRL_get0_nextUpdate(crl), &next)) {
			say(a, INTEL_CHECK_REVOCATION, CHECK_FAIL, "%s: %s", links[i].name,
			    X509_verify_cert_error_string(rc));
			return;
		}
		limit(a, next);
		if (links[i].issuer == a->chain.root)
			a->chain.root_crl = crl;
	}
	if (untimely)
		say(a, INTEL_CHECK_REVOCATION, CHECK_UNAVAILABLE,
		    "%s: the newest is of another time", untimely);
	else if (!missing)
		say(a, INTEL_CHECK_REVOCATION, CHECK_PASS,
		    "neither the PCK certificate nor its CA is on a revocation list");
	else if (a->in->require_crl)
		say(a, INTEL_CHECK_REVOCATION, CHECK_UNAVAILABLE, "no %s was given", missing);
	else
		say(a, INTEL_CHECK_REVOCATION, CHECK_SKIP, "no %s was given, and none was demanded",
		    missing);
}

/* ------------------------------------------- quoting enclave, the two signatures */

static bool p256(EVP_PKEY *key, const uint8_t *signature, struct bytes msg)
{
	const size_t half = INTEL_SIG_LEN / 2;

	return ecdsa_raw_verify(key, EVP_sha256(), signature, signature + half, half, false, msg);
}

static bool check_qe_signature(struct appraisal *a)
{
	bool ok = p256(X509_get0_pubkey(a->chain.pck), a->quote.qe_signature,
	               (struct bytes){a->quote.qe_report, INTEL_SGX_BODY_LEN});

	say(a, INTEL_CHECK_QE_SIGNATURE, ok ? CHECK_PASS : CHECK_FAIL, "%s",
	    ok ? "the PCK's key signed the report of the quoting enclave"
	       : "the PCK's key did not sign the report of the quoting enclave");
	return ok;
}

/* The enclave's report data is the hash of the key and what lies beside it, then zeros. */
static bool binds(const struct intel_quote *q)
{
	const uint8_t *data = q->qe_report + SGX_OFF_REPORT_DATA;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t hash[32];
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	          EVP_DigestUpdate(ctx, q->attest_key, INTEL_KEY_LEN) == 1 &&
	          EVP_DigestUpdate(ctx, q->qe_auth.p, q->qe_auth.n) == 1 &&
	          EVP_DigestFinal_ex(ctx, hash, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	return ok && !memcmp(data, hash, sizeof(hash)) && bytes_all_zero(data + 32, 32);
}

static bool check_qe_binding(struct appraisal *a)
{
	bool ok = binds(&a->quote);

	say(a, INTEL_CHECK_QE_BINDING, ok ? CHECK_PASS : CHECK_FAIL, "%s",
	    ok ? "the quoting enclave's report names the attestation key"
	       : "the quoting enclave's report names another attestation key");
	return ok;
}

static bool check_signature(struct appraisal *a)
{
	EVP_PKEY *key = pki_ec_key(X509_get0_pubkey(a->chain.pck),
	                           (struct bytes){a->quote.attest_key, INTEL_KEY_LEN});
	bool ok = key && p256(key, a->quote.signature, a->quote.signed_part);

	say(a, INTEL_CHECK_SIGNATURE, ok ? CHECK_PASS : CHECK_FAIL, "%s",
	    ok    ? "ECDSA P-256 with SHA-256 by the attestation key"
	    : key ? "the attestation key did not sign this quote"
	          : "the attestation key is no point on the curve");
	EVP_PKEY_free(key);
	return ok;
}

/* ----------------------------------------------------------------- collateral */

/* The certificates of whoever signs collateral, if none that is valid came with the evidence. */
static void add_signers(struct appraisal *a)
{
	const struct collateral_name name =
	        attest_collateral_name(VENDOR_INTEL, "%s", INTEL_PATH_TCB_SIGNERS);
	struct pki_bag *bag = &a->chain.bag;
	struct bytes stored[COLLATERAL_SAME_MAX];
	size_t n;

	attest_intel_signers(&a->chain, a->in->at);
	if (a->chain.signers && a->chain.signer[0].valid)
		return;
	n = ask(a, &name, stored);
	/* One that can't be read is as good as none. */
	for (size_t i = 0; i < n; i++)
		(void)pki_bag_add(bag, stored[i]);
	attest_intel_signers(&a->chain, a->in->at);
	if (!a->chain.signers || !a->chain.signer[0].valid)
		attest_collateral_want(a->claims, &name, true);
}

static void check_qe_identity(struct appraisal *a)
{
	const struct intel_wanted wanted = {INTEL_JSON_IDENTITY, "QE identity", a->p->qe_id, NULL};
	const uint8_t *report = a->quote.qe_report;
	uint16_t isvsvn = attest_intel_u16(report, SGX_OFF_ISVSVN);
	struct bytes stored[COLLATERAL_SAME_MAX];
	const struct intel_isv_level *level;
	char why[CHECK_DETAIL_MAX] = "";
	enum check_status status;
	const char *wrong;
	const struct collateral_name name = attest_collateral_name(
	        VENDOR_INTEL, INTEL_PATH_QE_IDENTITY, attest_tee_name(a->p->tee));
	size_t n = ask(a, &name, stored);

	status = attest_intel_collateral(a->in, &a->chain, &wanted, stored, n, &a->qe_document,
	                                 &a->claims->valid_until, why);
	if (status != CHECK_PASS) {
		attest_collateral_want(a->claims, &name, true);
		say(a, INTEL_CHECK_QE_IDENTITY, status, "%s", why);
		return;
	}
	wrong = attest_intel_qe_identity(&a->qe_document, &a->qe);
	if (!wrong)
		wrong = attest_intel_qe_wrong(&a->qe, report);
	level = wrong ? NULL : attest_intel_isv_level(&a->qe, isvsvn);
	if (!wrong && !level)
		wrong = "the quoting enclave is older than any that is listed";
	if (!wrong && level->rating.status == INTEL_REVOKED)
		wrong = "this version of the quoting enclave is revoked";
	if (wrong) {
		say(a, INTEL_CHECK_QE_IDENTITY, CHECK_FAIL, "%s (version %u)", wrong, isvsvn);
		return;
	}
	a->qe_rating = &level->rating;
	say(a, INTEL_CHECK_QE_IDENTITY, CHECK_PASS, "Intel's %s, version %u: %s", a->p->qe_id,
	    isvsvn, attest_intel_status_name(level->rating.status));
}

static void check_tcb_info(struct appraisal *a)
{
	const struct intel_wanted wanted = {INTEL_JSON_TCB_INFO, "TCB info", a->p->tcb_id,
	                                    &a->chain.of};
	struct bytes stored[COLLATERAL_SAME_MAX];
	char why[CHECK_DETAIL_MAX] = "", until[32];
	enum check_status status;
	const char *wrong;
	const struct collateral_name name = attest_collateral_name(
	        VENDOR_INTEL, INTEL_PATH_TCB_INFO, attest_tee_name(a->p->tee), a->claims->product);
	size_t n = ask(a, &name, stored);

	status = attest_intel_collateral(a->in, &a->chain, &wanted, stored, n, &a->info_document,
	                                 &a->claims->valid_until, why);
	if (status != CHECK_PASS) {
		attest_collateral_want(a->claims, &name, true);
		say(a, INTEL_CHECK_TCB_INFO, status, "%s", why);
		return;
	}
	wrong = attest_intel_tcb_info(&a->info_document, a->p->tee == TEE_TDX, &a->info);
	a->info_good = !wrong;
	attest_date(a->info_document.ends, until);
	if (wrong)
		say(a, INTEL_CHECK_TCB_INFO, CHECK_FAIL, "%s", wrong);
	else
		say(a, INTEL_CHECK_TCB_INFO, CHECK_PASS,
		    "of FMSPC %s, evaluation number %u, until %s", a->claims->product,
		    a->info_document.evaluation, until);
}

/* ------------------------------------------------------------------------ TCB */

/* What the TCB info says of the platform with this TDX module. */
struct rated {
	enum intel_status status; /* INTEL_TCB_NONE: nothing */
	const struct intel_level *level;
	const struct intel_rating *module; /* NULL: has no rating of its own */
};

static struct rated rate(const struct appraisal *a, const uint8_t *svn)
{
	struct rated r = {.level = attest_intel_level(&a->info, &a->chain.of, svn)};

	if (!r.level || (svn && attest_intel_module(&a->info, a->quote.body.p, svn, &r.module)))
		return r;
	r.status = r.level->rating.status;
	if (r.module)
		r.status = attest_intel_converge(r.status, r.module->status);
	r.status = attest_intel_converge(r.status, a->qe_rating->status);
	return r;
}

/*
 * A TD 1.5 names the module that launched it and the one that runs now. Where only the launch was
 * out of date, launching again is all it takes; else the worse of both counts.
 */
static enum intel_status of_both(enum intel_status launch, enum intel_status now)
{
	bool old = launch == INTEL_OUT_OF_DATE || launch == INTEL_OUT_OF_DATE_CONFIGURATION;

	if (launch == INTEL_TCB_NONE || now == INTEL_TCB_NONE)
		return INTEL_TCB_NONE;
	if (old && now == INTEL_UP_TO_DATE)
		return INTEL_RELAUNCH;
	if (old && now == INTEL_CONFIGURATION)
		return INTEL_RELAUNCH_CONFIGURATION;
	return launch > now ? launch : now;
}

/* False when they are more than can be named. */
static bool claim_advisories(struct claims *c, const struct intel_rating *rating)
{
	size_t i;
	json_t *v;

	if (!rating || !rating->advisories)
		return true;
	json_array_foreach((json_t *)(uintptr_t)rating->advisories, i, v)
	{
		uint32_t at = 0;

		while (at < c->advisories && strcmp(c->advisory[at], json_string_value(v)) != 0)
			at++;
		if (at < c->advisories)
			continue;
		if (at == ADVISORIES_MAX)
			return false;
		snprintf(c->advisory[at], sizeof(c->advisory[at]), "%s", json_string_value(v));
		c->advisories++;
	}
	return true;
}

static bool claim_rated(struct appraisal *a, const struct rated *r)
{
	return claim_advisories(a->claims, &r->level->rating) &&
	       claim_advisories(a->claims, r->module);
}

/*
 * The status is that of all parts together, and so is its date: the oldest of those that a part's
 * level has. A part that is up to date has the date of the vendor's newest level.
 */
static int64_t oldest(const struct rated *launch, const struct rated *now,
                      const struct intel_rating *qe)
{
	const struct intel_rating *const parts[] = {&launch->level->rating, launch->module,
	                                            &now->level->rating, now->module};
	int64_t date = qe->date;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i] && parts[i]->date < date)
			date = parts[i]->date;
	return date;
}

static void say_tcb(struct appraisal *a, enum intel_status status)
{
	const struct claims *c = a->claims;
	char text[CHECK_DETAIL_MAX], when[32];
	size_t at;

	attest_date(c->tcb_date, when);
	at = (size_t)snprintf(text, sizeof(text), "%s, TCB of %.10s%s",
	                      attest_intel_status_name(status), when, c->advisories ? ":" : "");
	for (uint32_t i = 0; i < c->advisories && at < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, " %s", c->advisory[i]);
	say(a, INTEL_CHECK_TCB, status == INTEL_REVOKED ? CHECK_FAIL : CHECK_PASS, "%s", text);
}

static void check_tcb(struct appraisal *a)
{
	const uint8_t *svn = a->p->tee == TEE_TDX ? a->quote.body.p + TDX_OFF_TEE_TCB_SVN : NULL;
	struct rated launch, now;
	enum intel_status status;
	bool named;

	if (!a->info_good || !a->module_good || !a->qe_rating) {
		skip(a, INTEL_CHECK_TCB,
		     !a->info_good     ? "there is no TCB info to go by"
		     : !a->module_good ? "the TDX module is not one that the TCB info knows"
		                       : "the quoting enclave was not shown to be Intel's");
		return;
	}
	launch = now = rate(a, svn);
	if (a->quote.kind == INTEL_BODY_TD15)
		now = rate(a, a->quote.body.p + TDX_OFF_TEE_TCB_SVN_2);
	status = of_both(launch.status, now.status);
	if (status == INTEL_TCB_NONE) {
		say(a, INTEL_CHECK_TCB, CHECK_FAIL,
		    launch.status == INTEL_TCB_NONE
		            ? "no level of the TCB info matches"
		            : "no level of the TCB info matches the module that runs now");
		return;
	}
	named = claim_advisories(a->claims, a->qe_rating) && claim_rated(a, &launch) &&
	        (now.status <= launch.status || claim_rated(a, &now));
	if (!named) {
		say(a, INTEL_CHECK_TCB, CHECK_FAIL, "more advisories than can be named");
		return;
	}
	snprintf(a->claims->tcb_status, sizeof(a->claims->tcb_status), "%s",
	         attest_intel_status_name(status));
	a->claims->tcb_date = oldest(&launch, &now, a->qe_rating);
	a->claims->tcb_evaluation = a->info_document.evaluation < a->qe_document.evaluation
	                                    ? a->info_document.evaluation
	                                    : a->qe_document.evaluation;
	say_tcb(a, status);
}

static void check_module(struct appraisal *a)
{
	const uint8_t *svn = a->quote.body.p + TDX_OFF_TEE_TCB_SVN;
	const struct intel_rating *rating;
	const char *wrong;

	if (a->p->tee != TEE_TDX) {
		a->module_good = true;
		return;
	}
	if (!a->info_good) {
		skip(a, INTEL_CHECK_MODULE, "there is no TCB info to go by");
		return;
	}
	wrong = attest_intel_module(&a->info, a->quote.body.p, svn, &rating);
	a->module_good = !wrong;
	say(a, INTEL_CHECK_MODULE, wrong ? CHECK_FAIL : CHECK_PASS, "%s (module %u.%u): %s",
	    wrong ? "not Intel's" : "Intel's", svn[1], svn[0],
	    wrong    ? wrong
	    : rating ? attest_intel_status_name(rating->status)
	             : "rated with the platform");
}

/* ----------------------------------------------------------------- the guest */

static void check_guest(struct appraisal *a)
{
	const char *wrong = a->p->attributes(&a->quote, a->in->judges_registers);

	if (!a->p->debug(&a->quote))
		say(a, INTEL_CHECK_DEBUG, CHECK_PASS, "the host may not debug the %s", a->p->guest);
	else if (a->in->allow_debug)
		say(a, INTEL_CHECK_DEBUG, CHECK_PASS, "a debug %s, which the caller allows",
		    a->p->guest);
	else
		say(a, INTEL_CHECK_DEBUG, CHECK_FAIL, "the host may debug the %s", a->p->guest);
	say(a, INTEL_CHECK_ATTRIBUTES, wrong ? CHECK_FAIL : CHECK_PASS, "%s (0x%llx)",
	    wrong ? wrong : "nothing that weakens it, nothing unknown",
	    (unsigned long long)a->claims->policy);
	if (a->in->check_report_data) {
		bool same =
		        !CRYPTO_memcmp(a->in->report_data, a->quote.body.p + a->p->report_data, 64);

		say(a, INTEL_CHECK_REPORT_DATA, same ? CHECK_PASS : CHECK_FAIL, "%s",
		    same ? "as expected"
		         : "other report data than expected: made for another purpose");
	}
}

/* ------------------------------------------------------------------- the whole */

static void check_all(struct appraisal *a)
{
	if (!check_chain(a)) {
		skip_from(a, INTEL_CHECK_CERT_TIME,
		          "nothing is known of the key without its chain");
		return;
	}
	if (check_cert_time(a))
		check_revocation(a);
	else
		skip(a, INTEL_CHECK_REVOCATION, "the certificates are not valid at this time");
	if (!check_qe_signature(a)) {
		skip_from(a, INTEL_CHECK_QE_BINDING,
		          "the report of the quoting enclave was not shown to be genuine");
		return;
	}
	if (!check_qe_binding(a)) {
		skip_from(a, INTEL_CHECK_SIGNATURE,
		          "no quoting enclave vouches for the attestation key");
		return;
	}
	if (!check_signature(a)) {
		skip_from(a, INTEL_CHECK_QE_IDENTITY,
		          "what the quote says was not shown to be signed");
		return;
	}
	add_signers(a);
	check_qe_identity(a);
	check_tcb_info(a);
	check_module(a);
	check_tcb(a);
	check_guest(a);
}

void attest_intel_appraise(const struct intel_platform *p, const struct attest_input *in,
                           struct claims *claims, struct checks *checks)
{
	static const char *const bodies[] = {
	        [INTEL_BODY_NONE] = "",
	        [INTEL_BODY_SGX] = "an enclave's report",
	        [INTEL_BODY_TD10] = "TD 1.0 report",
	        [INTEL_BODY_TD15] = "TD 1.5 report",
	};
	struct appraisal a = {.p = p, .in = in, .claims = claims, .checks = checks};
	const char *why;
	int rc = attest_intel_parse(in->evidence, p->tee, &a.quote, &why);

	if (a.quote.body.n)
		p->claim(&a.quote, claims);
	if (rc) {
		say(&a, INTEL_CHECK_FORMAT, CHECK_FAIL, "%s (%zu bytes, version %u)", why,
		    in->evidence.n, a.quote.version);
		skip_from(&a, INTEL_CHECK_CHAIN, "the quote is malformed");
		return;
	}
	say(&a, INTEL_CHECK_FORMAT, CHECK_PASS, "version %u, %s", a.quote.version,
	    bodies[a.quote.kind]);
	check_all(&a);
	attest_intel_document_free(&a.qe_document);
	attest_intel_document_free(&a.info_document);
	attest_intel_chain_free(&a.chain);
}
