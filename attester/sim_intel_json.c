/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated Intel platform's collateral: TCB info (version 3) and QE identity (version 2) as
 * Intel's provisioning service gives them, signed over the exact bytes. Knows the documents and
 * nothing of quotes.
 */
#include "attester/sim_intel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "attester/sim_pki.h"

enum { COLLATERAL_DAYS = 30, EVALUATION = 17 };

#define ZERO_SIGNER \
	"000000000000000000000000000000000000000000000000" \
	"000000000000000000000000000000000000000000000000"

void sim_intel_date(int64_t t, char out[static 21])
{
	time_t when = (time_t)t;
	struct tm tm;

	out[0] = '\0';
	if (gmtime_r(&when, &tm))
		strftime(out, 21, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Capital letters, as Intel writes them. */
static json_t *hex_json(struct bytes v)
{
	static const char digit[] = "0123456789ABCDEF";
	char text[2 * 64 + 1] = "";

	for (size_t i = 0; i < v.n && i < 64; i++) {
		text[2 * i] = digit[v.p[i] >> 4];
		text[2 * i + 1] = digit[v.p[i] & 15];
		text[2 * i + 2] = '\0';
	}
	return json_string(text);
}

static json_t *components(const uint8_t *svn, uint8_t less)
{
	json_t *a = json_array();

	for (size_t i = 0; i < 16; i++)
		json_array_append_new(a,
		                      json_pack("{s:i}", "svn", svn[i] > less ? svn[i] - less : 0));
	return a;
}

/* A level that lies `less` below the machine in every part. */
static json_t *platform_level(const struct sim_intel *p, uint8_t less, const char *date,
                              const char *status)
{
	static const uint8_t tdx[16] = {5, 0, 6};
	json_t *tcb =
	        json_pack("{s:o, s:i}", "sgxtcbcomponents", components(p->machine.component, less),
	                  "pcesvn", p->machine.pcesvn - less);

	if (p->tee == TEE_TDX)
		json_object_set_new(tcb, "tdxtcbcomponents", components(tdx, less));
	return json_pack("{s:o, s:s, s:s}", "tcb", tcb, "tcbDate", date, "tcbStatus", status);
}

static json_t *svn_level(int svn, const char *date, const char *status)
{
	return json_pack("{s:{s:i}, s:s, s:s}", "tcb", "isvsvn", svn, "tcbDate", date, "tcbStatus",
	                 status);
}

static json_t *module(const char *id, const char *date, const char *old, int svn)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:[o, o]}", "id", id, "mrsigner", ZERO_SIGNER,
	                 "attributes", "0000000000000000", "attributesMask", "FFFFFFFFFFFFFFFF",
	                 "tcbLevels", svn_level(svn, date, "UpToDate"),
	                 svn_level(2, old, "OutOfDate"));
}

struct dates {
	char from[21], to[21], level[21], old[21];
};

static json_t *tcb_info(const struct sim_intel *p, const struct dates *d)
{
	json_t *late = platform_level(p, 1, d->old, "OutOfDate");
	json_t *j = json_pack("{s:s, s:i, s:s, s:s, s:o, s:o, s:i, s:i}", "id",
	                      p->tee == TEE_TDX ? "TDX" : "SGX", "version", 3, "issueDate", d->from,
	                      "nextUpdate", d->to, "fmspc", hex_json(BYTES_OF(p->machine.fmspc)),
	                      "pceId", hex_json(BYTES_OF(p->machine.pceid)), "tcbType", 0,
	                      "tcbEvaluationDataNumber", EVALUATION);

	if (p->tee == TEE_TDX) {
		json_object_set_new(j, "tdxModule",
		                    json_pack("{s:s, s:s, s:s}", "mrsigner", ZERO_SIGNER,
		                              "attributes", "0000000000000000", "attributesMask",
		                              "FFFFFFFFFFFFFFFF"));
		json_object_set_new(j, "tdxModuleIdentities",
		                    json_pack("[o, o]", module("TDX_03", d->level, d->old, 3),
		                              module("TDX_01", d->level, d->old, 5)));
	}
	json_object_set_new(late, "advisoryIDs",
	                    json_pack("[s, s]", "INTEL-SA-00960", "INTEL-SA-00982"));
	json_object_set_new(j, "tcbLevels",
	                    json_pack("[o, o]", platform_level(p, 0, d->level, "UpToDate"), late));
	return j;
}

static json_t *qe_identity(const struct sim_intel *p, const struct dates *d)
{
	const uint8_t *r = p->qe_report;

	return json_pack("{s:s, s:i, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:o, s:i, s:[o, o]}", "id",
	                 p->tee == TEE_TDX ? "TD_QE" : "QE", "version", 2, "issueDate", d->from,
	                 "nextUpdate", d->to, "tcbEvaluationDataNumber", EVALUATION, "miscselect",
	                 "00000000", "miscselectMask", "FFFFFFFF", "attributes",
	                 "11000000000000000000000000000000", "attributesMask",
	                 "FBFFFFFFFFFFFFFF0000000000000000", "mrsigner",
	                 hex_json((struct bytes){r + SGX_OFF_MRSIGNER, 32}), "isvprodid",
	                 r[SGX_OFF_ISVPRODID] | r[SGX_OFF_ISVPRODID + 1] << 8, "tcbLevels",
	                 svn_level(4, d->level, "UpToDate"), svn_level(2, d->old, "OutOfDate"));
}

int sim_intel_collateral(struct sim_intel *p, int64_t now)
{
	struct dates d;

	sim_intel_date(now - SIM_DAY, d.from);
	sim_intel_date(now + (COLLATERAL_DAYS - 1) * (int64_t)SIM_DAY, d.to);
	sim_intel_date(now - 90 * (int64_t)SIM_DAY, d.level);
	sim_intel_date(now - 400 * (int64_t)SIM_DAY, d.old);
	p->tcb_info = tcb_info(p, &d);
	p->qe_identity = qe_identity(p, &d);
	return p->tcb_info && p->qe_identity ? 0 : -ENOMEM;
}

int sim_intel_sign_json(const char *member, const json_t *value, EVP_PKEY *key, struct buf *out)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_PRESERVE_ORDER);
	uint8_t raw[64];
	char hex[129];
	int rc = text ? sim_sign_raw(key, EVP_sha256(), bytes_str(text), false, 32, raw) : -EIO;

	buf_reset(out);
	if (rc == 0) {
		hex_encode(BYTES_OF(raw), hex);
		buf_printf(out, "{\"%s\":", member);
		buf_str(out, text);
		buf_printf(out, ",\"signature\":\"%s\"}", hex);
		rc = out->bad ? -EIO : 0;
	}
	free(text);
	return rc;
}

int sim_intel_publish(struct sim_intel *p)
{
	EVP_PKEY *key = p->json_signer ? p->json_signer : p->cert[SIM_INTEL_TCB].key;
	int rc = sim_intel_sign_json("tcbInfo", p->tcb_info, key, &p->tcb_info_text);

	return rc ? rc
	          : sim_intel_sign_json("enclaveIdentity", p->qe_identity, key,
	                                &p->qe_identity_text);
}
