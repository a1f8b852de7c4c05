/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated TDX platform, and what its vendor publishes on a bad day: incident DIR makes DIR what
 * keygate-attester init-sim --tee tdx would make it, and beside that, signed by the same
 * authorities, which nobody has afterwards:
 *
 *   revoked.der       a newer list that revokes the machine's certificate
 *   out-of-date.json  a newer TCB info, by which the machine's firmware is out of date
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "attester/sim.h"
#include "attester/sim_intel.h"

static int write_platform(const struct sim_intel *p, const char *dir)
{
	const struct {
		const char *name;
		const struct buf *content;
	} file[] = {{"anchor.pem", &p->root_pem},
	            {"pck-chain.pem", &p->pck_chain},
	            {"tcb-signing-chain.pem", &p->tcb_chain},
	            {"tcb-info.json", &p->tcb_info_text},
	            {"qe-identity.json", &p->qe_identity_text},
	            {"pck-crl.der", &p->pck_crl.der},
	            {"root-crl.der", &p->root_crl.der}};
	json_t *j = json_pack("{s:s, s:i, s:I}", "format", sim_platform_tdx.format, "quote_version",
	                      INTEL_V4, "attributes", (json_int_t)TDX_ATTR_SEPT_VE_DISABLE);
	int ret = sim_write_json(dir, "platform.json", j);

	json_decref(j);
	if (!ret)
		ret = sim_write_key(dir, "pck.key", p->cert[SIM_INTEL_PCK].key);
	for (size_t i = 0; !ret && i < sizeof(file) / sizeof(file[0]); i++)
		ret = sim_write(dir, file[i].name, buf_view(file[i].content));
	return ret;
}

/* Both are a minute old, and so newer than what write_platform wrote. */
static int write_news(struct sim_intel *p, const char *dir, int64_t now)
{
	json_t *levels = json_object_get(p->tcb_info, "tcbLevels");
	char date[21];
	int ret;

	p->pck_crl.from = now - 60;
	p->pck_crl.revoked[0] = p->cert[SIM_INTEL_PCK].serial;
	p->pck_crl.revoked_n = 1;
	sim_intel_date(now - 60, date);
	if (json_object_set_new(p->tcb_info, "issueDate", json_string(date)) ||
	    json_object_set_new(json_array_get(levels, 0), "tcbStatus", json_string("OutOfDate")))
		return -ENOMEM;
	ret = sim_intel_certify(p);
	if (!ret)
		ret = sim_intel_publish(p);
	if (!ret)
		ret = sim_write(dir, "revoked.der", buf_view(&p->pck_crl.der));
	return ret ? ret : sim_write(dir, "out-of-date.json", buf_view(&p->tcb_info_text));
}

int main(int argc, char **argv)
{
	struct sim_intel p;
	int64_t now = time(NULL);
	int ret;

	if (argc != 2) {
		fprintf(stderr, "usage: incident DIR\n");
		return 1;
	}
	ret = mkdir(argv[1], 0755) ? -errno
	                           : sim_intel_begin(&p, TEE_TDX, INTEL_V4, INTEL_BODY_TD15, now);
	if (!ret)
		ret = sim_intel_certify(&p);
	if (!ret)
		ret = sim_intel_publish(&p);
	if (!ret)
		ret = write_platform(&p, argv[1]);
	if (!ret)
		ret = write_news(&p, argv[1], now);
	if (ret)
		fprintf(stderr, "incident: %s\n", strerror(-ret));
	return ret ? 1 : 0;
}
