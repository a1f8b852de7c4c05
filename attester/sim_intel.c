/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated TDX and SGX platforms: a directory with the machine's key, its certificates and
 * Intel-shaped collateral, and quotes over whatever the attester asks for. The measured file's hash
 * stands for what was launched; the other registers of a TD are fixed values.
 */
#include "attester/sim_intel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include "attester/sim.h"

#define INTEL_PCK_KEY     "pck.key"
#define INTEL_PCK_CHAIN   "pck-chain.pem"
#define INTEL_TCB_CHAIN   "tcb-signing-chain.pem"
#define INTEL_TCB_INFO    "tcb-info.json"
#define INTEL_QE_IDENTITY "qe-identity.json"
#define INTEL_PCK_CRL     "pck-crl.der"
#define INTEL_ROOT_CRL    "root-crl.der"

static const char *const pieces[] = {INTEL_TCB_INFO, INTEL_QE_IDENTITY, INTEL_TCB_CHAIN,
                                     INTEL_PCK_CRL, INTEL_ROOT_CRL};

enum { PIECES = sizeof(pieces) / sizeof(pieces[0]) };

struct intel {
	struct sim_intel machine; /* shared by threads, not changed once it is open */
	struct buf piece[PIECES];
};

/* ------------------------------------------------------------------------ init */

static int write_files(const struct sim_intel *p, const char *dir)
{
	const struct {
		const char *name;
		const struct buf *content;
	} file[] = {{SIM_ANCHOR, &p->root_pem},
	            {INTEL_PCK_CHAIN, &p->pck_chain},
	            {INTEL_TCB_CHAIN, &p->tcb_chain},
	            {INTEL_TCB_INFO, &p->tcb_info_text},
	            {INTEL_PCK_CRL, &p->pck_crl.der},
	            {INTEL_ROOT_CRL, &p->root_crl.der},
	            {INTEL_QE_IDENTITY, &p->qe_identity_text}};
	int rc = sim_write_key(dir, INTEL_PCK_KEY, p->cert[SIM_INTEL_PCK].key);

	for (size_t i = 0; rc == 0 && i < sizeof(file) / sizeof(file[0]); i++)
		rc = sim_write(dir, file[i].name, buf_view(file[i].content));
	return rc;
}

static int intel_init(enum tee tee, const char *dir, int64_t now, const char **step)
{
	bool tdx = tee == TEE_TDX;
	struct sim_intel p;
	json_t *j = NULL;
	int rc;

	*step = "keys and certificates";
	rc = sim_intel_begin(&p, tee, tdx ? INTEL_V4 : INTEL_V3, INTEL_BODY_TD15, now);
	if (rc == 0 && (RAND_bytes(p.machine.ppid, sizeof(p.machine.ppid)) != 1 ||
	                RAND_bytes(p.machine.instance, sizeof(p.machine.instance)) != 1))
		rc = -EIO;
	if (rc == 0)
		rc = sim_intel_certify(&p);
	if (rc == 0)
		rc = sim_intel_publish(&p);
	if (rc == 0) {
		*step = "files";
		rc = write_files(&p, dir);
	}
	if (rc == 0) {
		j = json_pack("{s:s, s:i, s:I}", "format",
		              tdx ? sim_platform_tdx.format : sim_platform_sgx.format,
		              "quote_version", p.header[INTEL_OFF_VERSION], "attributes",
		              (json_int_t)(tdx ? TDX_ATTR_SEPT_VE_DISABLE
		                               : SGX_FLAG_INIT | SGX_FLAG_MODE64));
		rc = sim_write_json(dir, SIM_PLATFORM, j);
		json_decref(j);
	}
	sim_intel_free(&p);
	return rc;
}

static int tdx_init(const char *dir, int64_t now, const char **step)
{
	return intel_init(TEE_TDX, dir, now, step);
}

static int sgx_init(const char *dir, int64_t now, const char **step)
{
	return intel_init(TEE_SGX, dir, now, step);
}

/* --------------------------------------------------------------------- measure */

/* Firmware, kernel and command line are the same for whatever is measured; nothing was extended
 * at run time. */
static int tdx_measure(struct bytes measured, struct measurements *out)
{
	static const uint8_t zero[TDX_HASH_LEN];
	int rc = sim_register_hash(out, "mrtd", REGISTER_CODE, EVP_sha384(), measured);
	char name[16];

	for (int i = 0; rc == 0 && i < TDX_RTMRS - 1; i++) {
		snprintf(name, sizeof(name), "rtmr%d", i);
		rc = sim_register_hash(out, name, REGISTER_CODE, EVP_sha384(), bytes_str(name));
	}
	sim_register(out, "rtmr3", REGISTER_CODE, BYTES_OF(zero));
	return rc;
}

static int sgx_measure(struct bytes measured, struct measurements *out)
{
	int rc = sim_register_hash(out, "mrenclave", REGISTER_CODE, EVP_sha256(), measured);

	return rc ? rc
	          : sim_register_hash(out, "mrsigner", REGISTER_IDENTITY, EVP_sha256(),
	                              bytes_str("mrsigner"));
}

/* ------------------------------------------------------------------------ open */

static void put_registers(struct sim_intel *p, const struct measurements *m)
{
	static const struct {
		const char *name;
		size_t at;
	} place[] = {{"mrtd", TDX_OFF_MRTD},
	             {"rtmr0", TDX_OFF_RTMR0},
	             {"rtmr1", TDX_OFF_RTMR0 + TDX_HASH_LEN},
	             {"rtmr2", TDX_OFF_RTMR0 + 2 * TDX_HASH_LEN},
	             {"rtmr3", TDX_OFF_RTMR0 + 3 * TDX_HASH_LEN},
	             {"mrenclave", SGX_OFF_MRENCLAVE},
	             {"mrsigner", SGX_OFF_MRSIGNER}};

	for (size_t i = 0; i < sizeof(place) / sizeof(place[0]); i++) {
		const struct measurement *r = measurement_find(m, place[i].name);

		if (r)
			memcpy(p->body + place[i].at, r->value, r->len);
	}
}

static int read_description(struct intel *s, enum tee tee, json_t *j)
{
	json_int_t version, attributes;
	const char *format;
	size_t at = tee == TEE_TDX ? TDX_OFF_TDATTRIBUTES : SGX_OFF_FLAGS;
	int rc;

	if (json_unpack(j, "{s:s, s:I, s:I !}", "format", &format, "quote_version", &version,
	                "attributes", &attributes) ||
	    attributes < 0)
		return -EINVAL;
	if (tee == TEE_TDX ? version != INTEL_V4 && version != INTEL_V5 : version != INTEL_V3)
		return -EINVAL;
	rc = sim_intel_begin(&s->machine, tee, (uint16_t)version, INTEL_BODY_TD15, 0);
	for (int i = 0; i < 8; i++)
		s->machine.body[at + (size_t)i] = (uint8_t)((uint64_t)attributes >> (8 * i));
	return rc;
}

static int read_buf(const char *dir, const char *name, struct buf *out)
{
	uint8_t *p = NULL;
	size_t n = 0;
	int rc = sim_read(dir, name, &p, &n);

	if (rc == 0) {
		buf_put(out, p, n);
		rc = out->bad ? -ENOMEM : 0;
	}
	free(p);
	return rc;
}

static int read_files(struct intel *s, const char *dir, const char **step)
{
	EVP_PKEY **key = &s->machine.cert[SIM_INTEL_PCK].key, *own = NULL;
	int rc;

	*step = INTEL_PCK_KEY;
	rc = sim_read_key(dir, INTEL_PCK_KEY, &own);
	if (rc)
		return rc;
	EVP_PKEY_free(*key);
	*key = own;
	*step = INTEL_PCK_CHAIN;
	rc = read_buf(dir, INTEL_PCK_CHAIN, &s->machine.pck_chain);
	for (size_t i = 0; rc == 0 && i < PIECES; i++) {
		*step = pieces[i];
		rc = read_buf(dir, pieces[i], &s->piece[i]);
	}
	return rc;
}

static void intel_close(void *state)
{
	struct intel *s = state;

	sim_intel_free(&s->machine);
	for (size_t i = 0; i < PIECES; i++)
		buf_free(&s->piece[i]);
	free(s);
}

static int intel_open(enum tee tee, const char *dir, json_t *description,
                      const struct measurements *m, void **state, const char **step)
{
	struct intel *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < PIECES; i++)
		s->piece[i] = buf_make(EVIDENCE_ENDORSEMENTS_MAX);
	*step = SIM_PLATFORM;
	rc = read_description(s, tee, description);
	if (rc == 0)
		rc = read_files(s, dir, step);
	if (rc) {
		intel_close(s);
		return rc;
	}
	put_registers(&s->machine, m);
	*state = s;
	return 0;
}

static int tdx_open(const char *dir, json_t *description, const struct measurements *m,
                    void **state, const char **step)
{
	return intel_open(TEE_TDX, dir, description, m, state, step);
}

static int sgx_open(const char *dir, json_t *description, const struct measurements *m,
                    void **state, const char **step)
{
	return intel_open(TEE_SGX, dir, description, m, state, step);
}

static int intel_evidence(void *state, const uint8_t report_data[static 64], struct evidence *out)
{
	const struct intel *s = state;
	int rc = sim_intel_quote(&s->machine, report_data, &out->report);

	for (size_t i = 0; rc == 0 && i < PIECES; i++)
		rc = evidence_endorse(out, buf_view(&s->piece[i]));
	return rc;
}

const struct sim_platform sim_platform_tdx = {
        .tee = TEE_TDX,
        .format = "keygate-sim-tdx/1",
        .init = tdx_init,
        .measure = tdx_measure,
        .open = tdx_open,
        .evidence = intel_evidence,
        .close = intel_close,
};

const struct sim_platform sim_platform_sgx = {
        .tee = TEE_SGX,
        .format = "keygate-sim-sgx/1",
        .init = sgx_init,
        .measure = sgx_measure,
        .open = sgx_open,
        .evidence = intel_evidence,
        .close = intel_close,
};
