/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel's signed JSON: TCB info, and the identity of the quoting enclave. Finds the bytes that were
 * signed, who signed them, and which of several documents counts at a given time; reads the
 * chosen one. Hostile until its signature was checked, and bounded after that too. What it means
 * for a quote is attest/intel_tcb.c's to say.
 */
#include "attest/intel_appraise.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/evp.h>
#include "core/ecdsa.h"

/* ------------------------------------------------------------- small readers */

/* "2025-06-19T10:32:27Z" and nothing else. */
static int read_time(const char *text, int64_t *out)
{
	static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
	struct tm tm = {0}, back;
	char again[sizeof(form)];
	time_t t;

	if (!text || strlen(text) != sizeof(form) - 1)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(form) - 1; i++)
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return -EINVAL;
	if (!strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm))
		return -EINVAL;
	t = timegm(&tm);
	/* A day that its month does not have comes back as another one. */
	if (!gmtime_r(&t, &back) ||
	    strftime(again, sizeof(again), "%Y-%m-%dT%H:%M:%SZ", &back) != sizeof(form) - 1 ||
	    strcmp(text, again) != 0)
		return -EINVAL;
	*out = t;
	return 0;
}

static bool get_time(const json_t *object, const char *name, int64_t *out)
{
	return !read_time(json_string_value(json_object_get(object, name)), out);
}

static bool get_number(const json_t *object, const char *name, uint32_t max, uint32_t *out)
{
	const json_t *v = json_object_get(object, name);

	if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
		return false;
	*out = (uint32_t)json_integer_value(v);
	return true;
}

static bool get_u16(const json_t *object, const char *name, uint16_t *out)
{
	uint32_t v;

	if (!get_number(object, name, UINT16_MAX, &v))
		return false;
	*out = (uint16_t)v;
	return true;
}

static bool get_hex(const json_t *object, const char *name, uint8_t *out, size_t n)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text && !hex_decode(bytes_str(text), out, n);
}

/* Four bytes in hex; as the report has them, little endian. */
static bool get_miscselect(const json_t *object, const char *name, uint32_t *out)
{
	uint8_t v[4];

	if (!get_hex(object, name, v, sizeof(v)))
		return false;
	*out = attest_intel_u32(v, 0);
	return true;
}

static bool is_text(const json_t *object, const char *name, const char *want)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text && !strcmp(text, want);
}

/* -------------------------------------------------------------- the document */

enum { DOCUMENT_MAX = 1 << 18, DEPTH_MAX = 8 };

/* Brackets that are open at once; those within strings count too, which no document minds. */
static bool shallow(struct bytes data)
{
	unsigned depth = 0;

	for (size_t i = 0; i < data.n; i++) {
		if ((data.p[i] == '{' || data.p[i] == '[') && ++depth > DEPTH_MAX)
			return false;
		if ((data.p[i] == '}' || data.p[i] == ']') && depth)
			depth--;
	}
	return true;
}

/* What has to stand behind the object: ,"signature":"128 hex digits"} and at most white space. */
static bool take_signature(struct bytes rest, uint8_t out[static INTEL_SIG_LEN])
{
	static const char before[] = ",\"signature\":\"", after[] = "\"}";
	struct reader r = reader_of(rest);
	struct bytes head = rd_take(&r, sizeof(before) - 1);
	struct bytes hex = rd_take(&r, (size_t)2 * INTEL_SIG_LEN);
	struct bytes tail = rd_take(&r, sizeof(after) - 1);

	if (r.bad || !bytes_equal(head, bytes_str(before)) || !bytes_equal(tail, bytes_str(after)))
		return false;
	while (r.left && (r.p[0] == '\n' || r.p[0] == '\r' || r.p[0] == ' '))
		rd_u8(&r);
	return rd_done(&r) && !hex_decode(hex, out, INTEL_SIG_LEN);
}

/* What the cache keeps: a body, and how many bytes of text it was. */
struct parsed {
	json_t *body;
	size_t n;
};

static void parsed_drop(void *what)
{
	struct parsed *p = what;

	json_decref(p->body);
	free(p);
}

/* The object at the beginning of rest; NULL when there is none. */
static json_t *parse_object(struct bytes rest, size_t *n)
{
	json_error_t error;
	/* With what follows left alone, the parser tells where the object ends. */
	json_t *body = json_loadb((const char *)rest.p, rest.n,
	                          JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &error);

	if (body && (error.position <= 0 || (size_t)error.position > rest.n)) {
		json_decref(body);
		return NULL;
	}
	if (body)
		*n = (size_t)error.position;
	return body;
}

/* With its body from the cache, if it is there. */
static const char *read_body(const struct parsed *known, struct bytes data, size_t from,
                             struct intel_document *d)
{
	struct bytes rest = {data.p + from, data.n - from};
	size_t n = 0;

	if (known) {
		d->body = json_incref(known->body);
		n = known->n;
	} else if (!shallow(data)) {
		return "nested too deeply";
	} else {
		d->body = parse_object(rest, &n);
	}
	if (!d->body)
		return "no well-formed JSON";
	d->text = (struct bytes){rest.p, n};
	return take_signature((struct bytes){rest.p + n, rest.n - n}, d->signature)
	               ? NULL
	               : "no signature where it should be";
}

static const char *read_document(const struct parsed *known, struct bytes data, const char *prefix,
                                 struct intel_document *out)
{
	struct intel_document d = {0};
	size_t from = strlen(prefix);
	const char *why;

	if (data.n > DOCUMENT_MAX)
		return "larger than any";
	if (data.n <= from || memcmp(data.p, prefix, from) != 0 || data.p[from] != '{')
		return "not of this kind";
	why = read_body(known, data, from, &d);
	if (!why && (!get_time(d.body, "issueDate", &d.issued) ||
	             !get_time(d.body, "nextUpdate", &d.ends) || d.ends < d.issued))
		why = "it does not say from when to when it holds";
	if (!why && !get_number(d.body, "tcbEvaluationDataNumber", INT32_MAX, &d.evaluation))
		why = "it has no evaluation number";
	if (why)
		attest_intel_document_free(&d);
	*out = d;
	return why;
}

const char *attest_intel_document(struct bytes data, const char *prefix, struct intel_document *out)
{
	return read_document(NULL, data, prefix, out);
}

/* Only what the vendor signed: nobody else shall choose what is kept in memory. */
static void keep(struct pki_cache *cache, const uint8_t sha256[static 32],
                 const struct intel_document *d)
{
	struct parsed *p = malloc(sizeof(*p));

	if (!p)
		return;
	*p = (struct parsed){json_incref(d->body), d->text.n};
	pki_cache_put(cache, sha256, p, parsed_drop);
}

void attest_intel_document_free(struct intel_document *d)
{
	json_decref(d->body);
	*d = (struct intel_document){0};
}

/* --------------------------------------------------------------- its content */

static const char *const status_names[INTEL_STATUSES] = {
        [INTEL_TCB_NONE] = "none",
        [INTEL_UP_TO_DATE] = "UpToDate",
        [INTEL_SW_HARDENING] = "SWHardeningNeeded",
        [INTEL_CONFIGURATION] = "ConfigurationNeeded",
        [INTEL_CONFIGURATION_AND_SW] = "ConfigurationAndSWHardeningNeeded",
        [INTEL_RELAUNCH] = "TDRelaunchAdvised",
        [INTEL_RELAUNCH_CONFIGURATION] = "TDRelaunchAdvisedConfigurationNeeded",
        [INTEL_OUT_OF_DATE] = "OutOfDate",
        [INTEL_OUT_OF_DATE_CONFIGURATION] = "OutOfDateConfigurationNeeded",
        [INTEL_REVOKED] = "Revoked",
};

const char *attest_intel_status_name(enum intel_status s)
{
	return (unsigned)s < INTEL_STATUSES ? status_names[s] : status_names[INTEL_TCB_NONE];
}

static bool read_advisories(const json_t *list)
{
	size_t i;
	json_t *v;

	if (!json_is_array(list) || json_array_size(list) > ADVISORIES_MAX)
		return false;
	json_array_foreach((json_t *)(uintptr_t)list, i, v)
	{
		const char *text = json_string_value(v);

		if (!text || !*text || json_string_length(v) >= ADVISORY_MAX)
			return false;
		for (; *text; text++)
			if (*text <= ' ' || *text > '~')
				return false;
	}
	return true;
}

static bool read_rating(const json_t *level, struct intel_rating *out)
{
	static const enum intel_status known[] = {
	        INTEL_UP_TO_DATE,    INTEL_SW_HARDENING,
	        INTEL_CONFIGURATION, INTEL_CONFIGURATION_AND_SW,
	        INTEL_OUT_OF_DATE,   INTEL_OUT_OF_DATE_CONFIGURATION,
	        INTEL_REVOKED,
	};

	out->status = INTEL_TCB_NONE;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (is_text(level, "tcbStatus", status_names[known[i]]))
			out->status = known[i];
	out->advisories = json_object_get(level, "advisoryIDs");
	return out->status != INTEL_TCB_NONE && get_time(level, "tcbDate", &out->date) &&
	       (!out->advisories || read_advisories(out->advisories));
}

/* Of two levels that are equally high, the worse comes first. */
static int by_severity(const struct intel_rating *a, const struct intel_rating *b)
{
	return (int)b->status - (int)a->status;
}

static int by_isvsvn(const void *a, const void *b)
{
	const struct intel_isv_level *x = a, *y = b;

	return x->isvsvn == y->isvsvn ? by_severity(&x->rating, &y->rating)
	                              : (int)y->isvsvn - (int)x->isvsvn;
}

static bool read_isv_levels(const json_t *list, struct intel_identity *out)
{
	size_t i, n = json_array_size(list);

	if (!json_is_array(list) || !n || n > INTEL_ISV_LEVELS_MAX)
		return false;
	for (i = 0; i < n; i++) {
		const json_t *level = json_array_get(list, i);

		if (!get_u16(json_object_get(level, "tcb"), "isvsvn", &out->level[i].isvsvn) ||
		    !read_rating(level, &out->level[i].rating))
			return false;
	}
	out->levels = (uint32_t)n;
	qsort(out->level, n, sizeof(out->level[0]), by_isvsvn);
	return true;
}

const char *attest_intel_qe_identity(const struct intel_document *d, struct intel_identity *out)
{
	const json_t *b = d->body;
	uint32_t version;

	*out = (struct intel_identity){0};
	if (!get_number(b, "version", UINT16_MAX, &version) || version != 2)
		return "an identity of an unknown version";
	if (!get_miscselect(b, "miscselect", &out->miscselect) ||
	    !get_miscselect(b, "miscselectMask", &out->miscselect_mask) ||
	    !get_hex(b, "attributes", out->attributes, 16) ||
	    !get_hex(b, "attributesMask", out->attributes_mask, 16) ||
	    !get_hex(b, "mrsigner", out->signer, 32) || !get_u16(b, "isvprodid", &out->isvprodid) ||
	    !read_isv_levels(json_object_get(b, "tcbLevels"), out))
		return "a malformed identity";
	return NULL;
}

static bool read_module(const json_t *module, struct intel_identity *out)
{
	return get_hex(module, "mrsigner", out->signer, TDX_HASH_LEN) &&
	       get_hex(module, "attributes", out->attributes, 8) &&
	       get_hex(module, "attributesMask", out->attributes_mask, 8);
}

static bool read_modules(const json_t *body, struct intel_tcb_info *out)
{
	const json_t *list = json_object_get(body, "tdxModuleIdentities");
	size_t i, n = json_array_size(list);

	if (!read_module(json_object_get(body, "tdxModule"), &out->module))
		return false;
	/* Platforms from before there were several modules have none. */
	if (list && (!json_is_array(list) || n > INTEL_MODULES_MAX))
		return false;
	for (i = 0; i < n; i++) {
		const json_t *module = json_array_get(list, i);
		const char *id = json_string_value(json_object_get(module, "id"));
		struct intel_identity *to = &out->identity[i];

		if (!id || strlen(id) >= sizeof(to->id) || !read_module(module, to) ||
		    !read_isv_levels(json_object_get(module, "tcbLevels"), to))
			return false;
		snprintf(to->id, sizeof(to->id), "%s", id);
	}
	out->modules = (uint32_t)n;
	return true;
}

static bool read_components(const json_t *list, uint16_t out[static INTEL_SVNS])
{
	if (!json_is_array(list) || json_array_size(list) != INTEL_SVNS)
		return false;
	for (size_t i = 0; i < INTEL_SVNS; i++)
		if (!get_u16(json_array_get(list, i), "svn", &out[i]))
			return false;
	return true;
}

/* Version 2, which knows SGX only, has a name a component. */
static bool read_components_v2(const json_t *tcb, uint16_t out[static INTEL_SVNS])
{
	char name[24];

	for (unsigned i = 0; i < INTEL_SVNS; i++) {
		snprintf(name, sizeof(name), "sgxtcbcomp%02usvn", i + 1);
		if (!get_u16(tcb, name, &out[i]))
			return false;
	}
	return true;
}

static int by_svns(const uint16_t a[static INTEL_SVNS], const uint16_t b[static INTEL_SVNS])
{
	for (size_t i = 0; i < INTEL_SVNS; i++)
		if (a[i] != b[i])
			return (int)b[i] - (int)a[i];
	return 0;
}

static int by_level(const void *a, const void *b)
{
	const struct intel_level *x = a, *y = b;
	int order = by_svns(x->sgx, y->sgx);

	if (!order)
		order = (int)y->pcesvn - (int)x->pcesvn;
	if (!order)
		order = by_svns(x->tdx, y->tdx);
	return order ? order : by_severity(&x->rating, &y->rating);
}

static bool read_level(const json_t *level, uint32_t version, bool tdx, struct intel_level *out)
{
	const json_t *tcb = json_object_get(level, "tcb");

	if (version == 2 ? !read_components_v2(tcb, out->sgx)
	                 : !read_components(json_object_get(tcb, "sgxtcbcomponents"), out->sgx))
		return false;
	if (tdx && !read_components(json_object_get(tcb, "tdxtcbcomponents"), out->tdx))
		return false;
	return get_u16(tcb, "pcesvn", &out->pcesvn) && read_rating(level, &out->rating);
}

const char *attest_intel_tcb_info(const struct intel_document *d, bool tdx,
                                  struct intel_tcb_info *out)
{
	const json_t *list = json_object_get(d->body, "tcbLevels");
	size_t i, n = json_array_size(list);
	uint32_t version, type;

	*out = (struct intel_tcb_info){0};
	if (!get_number(d->body, "version", UINT16_MAX, &version) ||
	    (version != 3 && (version != 2 || tdx)))
		return "TCB info of an unknown version";
	if (!get_number(d->body, "tcbType", UINT16_MAX, &type) || type != 0)
		return "TCB info whose components mean something else";
	if (!json_is_array(list) || !n || n > INTEL_LEVELS_MAX)
		return "TCB info without levels, or with too many";
	for (i = 0; i < n; i++)
		if (!read_level(json_array_get(list, i), version, tdx, &out->level[i]))
			return "TCB info with a malformed level";
	out->levels = (uint32_t)n;
	qsort(out->level, n, sizeof(out->level[0]), by_level);
	if (tdx && !read_modules(d->body, out))
		return "TCB info with a malformed module";
	return NULL;
}

/* ----------------------------------------------------------------- selection */

/* Is this document for us? Those of other platforms and TEEs lie beside ours. */
static bool is_wanted(const struct intel_wanted *w, const struct intel_document *d)
{
	uint8_t fmspc[INTEL_FMSPC_LEN], pceid[INTEL_PCEID_LEN];

	/* Version 2 of a TCB info names no TEE: it knows one. */
	if (!is_text(d->body, "id", w->id) &&
	    (json_object_get(d->body, "id") || !w->pck || strcmp(w->id, INTEL_ID_SGX) != 0))
		return false;
	if (!w->pck)
		return true;
	return get_hex(d->body, "fmspc", fmspc, sizeof(fmspc)) &&
	       get_hex(d->body, "pceId", pceid, sizeof(pceid)) &&
	       !memcmp(fmspc, w->pck->fmspc, sizeof(fmspc)) &&
	       !memcmp(pceid, w->pck->pceid, sizeof(pceid));
}

struct search {
	const struct attest_input *in;
	struct intel_chain *chain;
	const struct intel_wanted *wanted;
	struct intel_document best;
	const X509 *best_signer;
	/* What spoke against the others. */
	const char *wrong;
	int64_t ended;     /* the latest end of one that is signed and past it; INT64_MIN: none */
	bool early;        /* one is not valid yet */
	bool signer_ended; /* of one, all certificates of its signer are past their time */
	/* The highest evaluation number of those that are signed and may not be used any more. */
	uint32_t seen;
};

void attest_intel_signers(struct intel_chain *chain, int64_t at)
{
	char cn[64];

	chain->signers = 0;
	for (int valid = 1; valid >= 0; valid--) {
		for (uint32_t i = 0; i < chain->bag.certs; i++) {
			X509 *cert = chain->bag.cert[i];

			if (chain->signers == INTEL_SIGNERS_MAX ||
			    pki_common_name(cert, cn, sizeof(cn)) ||
			    strcmp(cn, INTEL_CN_TCB_SIGNING) != 0 ||
			    pki_valid_at(cert, at) != valid)
				continue;
			chain->signer[chain->signers++] =
			        (struct intel_signer){.cert = cert, .valid = valid};
		}
	}
}

/* Only what the chain's root issued may sign; the root's list has these certificates too. */
static bool may_sign(const struct intel_chain *chain, struct intel_signer *signer)
{
	X509_REVOKED *entry;

	if (signer->looked_at)
		return signer->good;
	signer->looked_at = true;
	signer->good =
	        attest_intel_signed_well(signer->cert) && pki_leaf_of(signer->cert, chain->root) &&
	        !(chain->root_crl && X509_CRL_get0_by_cert(chain->root_crl, &entry, signer->cert));
	return signer->good;
}

/*
 * Who signed the document; one that is valid at the time before others, since a renewed
 * certificate is for the same key. NULL: nobody.
 */
static const struct intel_signer *signer_of(const struct search *s, const struct intel_document *d)
{
	const size_t half = INTEL_SIG_LEN / 2;

	for (uint32_t i = 0; i < s->chain->signers; i++) {
		struct intel_signer *signer = &s->chain->signer[i];

		if (may_sign(s->chain, signer) &&
		    ecdsa_raw_verify(X509_get0_pubkey(signer->cert), EVP_sha256(), d->signature,
		                     d->signature + half, half, false, d->text))
			return signer;
	}
	return NULL;
}

static bool is_newer(const struct intel_document *a, const struct intel_document *b)
{
	return a->evaluation != b->evaluation ? a->evaluation > b->evaluation
	                                      : a->issued > b->issued;
}

/* Why a signed document can't be used at this time; false: it can. */
static bool untimely(struct search *s, const struct intel_document *d,
                     const struct intel_signer *signer)
{
	if (s->in->at < d->issued) {
		s->early = true;
		return true;
	}
	if (s->in->at <= d->ends && signer->valid)
		return false;
	if (s->in->at > d->ends)
		s->ended = d->ends > s->ended ? d->ends : s->ended;
	else
		s->signer_ended = true;
	s->seen = d->evaluation > s->seen ? d->evaluation : s->seen;
	return true;
}

static void look_at(struct search *s, struct bytes data)
{
	size_t n = strlen(s->wanted->prefix);
	const struct intel_signer *signer;
	const struct parsed *known = NULL;
	struct intel_document d;
	uint8_t sha256[32];
	const char *wrong;
	bool cache;

	if (data.n < n || memcmp(data.p, s->wanted->prefix, n) != 0)
		return;
	cache = s->in->cache && EVP_Digest(data.p, data.n, sha256, NULL, EVP_sha256(), NULL);
	if (cache)
		known = pki_cache_find(s->in->cache, sha256);
	wrong = read_document(known, data, s->wanted->prefix, &d);
	if (wrong) {
		s->wrong = wrong;
		return;
	}
	if (!is_wanted(s->wanted, &d) || (s->best.body && !is_newer(&d, &s->best)))
		goto out;
	signer = signer_of(s, &d);
	if (signer && cache && !known)
		keep(s->in->cache, sha256, &d);
	if (!signer) {
		s->wrong = "no TCB signer under this root, or only a revoked one, signed it";
	} else if (!untimely(s, &d, signer)) {
		attest_intel_document_free(&s->best);
		s->best = d;
		s->best_signer = signer->cert;
		return;
	}
out:
	attest_intel_document_free(&d);
}

static enum check_status nothing(const struct search *s, bool any,
                                 char why[static CHECK_DETAIL_MAX])
{
	const char *what = s->wanted->what;
	char ended[32];

	if (any && !s->chain->signers) {
		snprintf(why, CHECK_DETAIL_MAX, "%s: no certificate of its signer was given", what);
		return CHECK_UNAVAILABLE;
	}
	if (s->wrong) {
		snprintf(why, CHECK_DETAIL_MAX, "%s: %s", what, s->wrong);
		return CHECK_FAIL;
	}
	attest_date(s->ended, ended);
	if (s->ended != INT64_MIN)
		snprintf(why, CHECK_DETAIL_MAX,
		         "no %s that is valid at this time; the newest ended %s", what, ended);
	else if (s->early || s->signer_ended)
		snprintf(why, CHECK_DETAIL_MAX, "no %s that is valid at this time%s", what,
		         s->early ? "; one is newer" : "; its signer's certificate is not");
	else
		snprintf(why, CHECK_DETAIL_MAX, "no %s of this platform was given", what);
	return CHECK_UNAVAILABLE;
}

enum check_status attest_intel_collateral(const struct attest_input *in, struct intel_chain *chain,
                                          const struct intel_wanted *wanted,
                                          const struct bytes *stored, size_t stored_n,
                                          struct intel_document *out, int64_t *limit,
                                          char why[static CHECK_DETAIL_MAX])
{
	struct search s = {.in = in, .chain = chain, .wanted = wanted, .ended = INT64_MIN};
	size_t n = strlen(wanted->prefix);
	bool any = stored_n > 0;
	int64_t end;

	for (uint32_t i = 0; i < chain->bag.others; i++) {
		struct bytes data = chain->bag.other[i];

		any |= data.n > n && !memcmp(data.p, wanted->prefix, n);
		look_at(&s, data);
	}
	for (size_t i = 0; i < stored_n; i++)
		look_at(&s, stored[i]);
	if (!s.best.body)
		return nothing(&s, any, why);
	/* Who knows of a later evaluation is not to be satisfied with an earlier one. */
	if (s.best.evaluation < s.seen) {
		snprintf(
		        why, CHECK_DETAIL_MAX,
		        "%s of evaluation number %u is behind: one of %u, which has ended, is known",
		        wanted->what, s.best.evaluation, s.seen);
		attest_intel_document_free(&s.best);
		return CHECK_UNAVAILABLE;
	}
	*limit = s.best.ends < *limit ? s.best.ends : *limit;
	if (!pki_time(X509_get0_notAfter(s.best_signer), &end) && end < *limit)
		*limit = end;
	*out = s.best;
	return CHECK_PASS;
}
