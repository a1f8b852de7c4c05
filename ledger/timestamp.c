/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 3161 time stamps of a bundle: that an authority of the trusted root saw the signature (not
 * the artifact: the imprint is over the signature's bytes) at a time. ASN.1, CMS and the chain are
 * OpenSSL's work.
 */
#include "ledger/sigstore_room.h"

#include <stdlib.h>
#include <time.h>
#include <openssl/err.h>
#include <openssl/ts.h>

static bool general_time(const ASN1_GENERALIZEDTIME *t, int64_t *out)
{
	struct tm tm;

	if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*out = timegm(&tm);
	return true;
}

/* The SHA-2 family; what OpenSSL would hash with beside it is too weak to say anything. */
static bool imprint_ok(TS_TST_INFO *info)
{
	const ASN1_OBJECT *alg = NULL;
	int nid;

	X509_ALGOR_get0(&alg, NULL, NULL,
	                TS_MSG_IMPRINT_get_algo(TS_TST_INFO_get_msg_imprint(info)));
	nid = OBJ_obj2nid(alg);
	return nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512;
}

/* The anchor of the authority, and time t as the time of every certificate. */
static X509_STORE *store_of(const struct trusted_authority *a, int64_t t)
{
	X509_STORE *store = X509_STORE_new();

	if (store && X509_STORE_add_cert(store, a->chain[a->n - 1]) == 1) {
		X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t)t);
		X509_VERIFY_PARAM_set_depth(X509_STORE_get0_param(store), ROOT_CHAIN_MAX);
		X509_VERIFY_PARAM_set_auth_level(X509_STORE_get0_param(store), ROOT_CHAIN_LEVEL);
		return store;
	}
	X509_STORE_free(store);
	return NULL;
}

/* Copies for a context that frees what it is given. */
static STACK_OF(X509) * rest_of(const struct trusted_authority *a)
{
	STACK_OF(X509) *list = sk_X509_new_null();

	for (uint32_t i = 0; list && i + 1 < a->n; i++)
		if (!X509_up_ref(a->chain[i]) || !sk_X509_push(list, a->chain[i]))
			break;
	return list;
}

static bool signed_by(const struct trusted_authority *a, TS_RESP *resp, struct bytes signature,
                      int64_t t)
{
	TS_VERIFY_CTX *ctx = TS_VERIFY_CTX_new();
	bool ok = false;

	if (!ctx)
		return false;
	/* The context owns what it is given, also if that is NULL; then nothing verifies. */
	TS_VERIFY_CTX_set_flags(ctx, TS_VFY_VERSION | TS_VFY_SIGNATURE | TS_VFY_DATA);
	(void)TS_VERIFY_CTX_set_store(ctx, store_of(a, t));
	(void)TS_VERIFY_CTX_set_certs(ctx, rest_of(a));
	if (TS_VERIFY_CTX_set_data(ctx, BIO_new_mem_buf(signature.p, (int)signature.n)))
		ok = TS_RESP_verify_response(ctx, resp) == 1;
	TS_VERIFY_CTX_free(ctx);
	return ok;
}

/* NULL with *t, or what is wrong with it. */
static const char *judge(const struct sigstore_job *j, struct bytes stamp, int64_t *t)
{
	const uint8_t *p = stamp.p;
	TS_RESP *resp = d2i_TS_RESP(NULL, &p, (long)stamp.n);
	TS_TST_INFO *info = resp ? TS_RESP_get_tst_info(resp) : NULL;
	const char *why = "no authority of the trusted root signed it for this signature at its "
	                  "time";

	if (!resp || p != stamp.p + stamp.n || !info)
		why = "not a granted time stamp response";
	else if (!imprint_ok(info))
		why = "its imprint is not of the SHA-2 family";
	else if (!general_time(TS_TST_INFO_get_time(info), t))
		why = "its time can't be read";
	else
		for (uint32_t i = 0; i < j->root->tsas; i++)
			if (span_has(&j->root->tsa[i].span, *t) &&
			    signed_by(&j->root->tsa[i], resp, j->bundle->signature, *t)) {
				why = NULL;
				break;
			}
	TS_RESP_free(resp);
	return why;
}

bool timestamps_verify(struct sigstore_job *j)
{
	const char *why = NULL;

	if (!j->bundle->stamps)
		return true;
	ERR_set_mark();
	for (uint32_t i = 0; i < j->bundle->stamps && !why; i++) {
		why = judge(j, j->bundle->stamp[i], &j->time[j->times]);
		j->times += !why;
	}
	ERR_pop_to_mark();
	check_add(j->checks, "sigstore.timestamp", why ? CHECK_FAIL : CHECK_PASS, "%s",
	          why ? why : "an authority of the trusted root saw the signature");
	return !why;
}
