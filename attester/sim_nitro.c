/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated Nitro platform: a directory with the enclave's key and its certificate chain, and a
 * document over whatever the attester asks for. The measured file's hash stands for the image; the
 * parts of it that PCR1 and PCR2 measure are fixed values.
 */
#include "attester/sim_nitro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <jansson.h>
#include <openssl/pem.h>
#include "attester/sim.h"
#include "attester/sim_pki.h"

#define NITRO_FORMAT "keygate-sim-nitro/1"
#define NITRO_KEY    "enclave.key"
#define NITRO_CHAIN  "chain.pem" /* the root first, the signing certificate last */

enum { LIFE_DAYS = 365 };

struct nitro {
	struct sim_nitro enclave; /* shared by threads, not changed once it is open */
};

/* ------------------------------------------------------------------------ init */

static BIO *pem_of(const struct sim_nitro *p, int certs)
{
	BIO *bio = BIO_new(BIO_s_mem());

	for (int i = 0; bio && i < certs; i++) {
		if (!PEM_write_bio_X509(bio, p->cert[i].x)) {
			BIO_free(bio);
			bio = NULL;
		}
	}
	return bio;
}

static int write_files(const struct sim_nitro *p, const char *dir)
{
	json_t *j = json_pack("{s:s, s:s}", "format", NITRO_FORMAT, "module_id", p->module_id);
	int rc = sim_write_bio(dir, NITRO_CHAIN, pem_of(p, SIM_NITRO_CERTS));

	if (rc == 0)
		rc = sim_write_bio(dir, SIM_ANCHOR, pem_of(p, 1));
	if (rc == 0)
		rc = sim_write_key(dir, NITRO_KEY, p->cert[SIM_NITRO_ENCLAVE].key);
	if (rc == 0)
		rc = sim_write_json(dir, SIM_PLATFORM, j);
	json_decref(j);
	return rc;
}

static int nitro_init(const char *dir, int64_t now, const char **step)
{
	struct sim_nitro p;
	int rc;

	*step = "keys and certificates";
	rc = sim_nitro_begin(&p, now, (int64_t)LIFE_DAYS * SIM_DAY);
	if (rc == 0)
		rc = sim_nitro_certify(&p);
	if (rc == 0) {
		*step = "files";
		rc = write_files(&p, dir);
	}
	sim_nitro_free(&p);
	return rc;
}

/* --------------------------------------------------------------------- measure */

static int nitro_measure(struct bytes measured, struct measurements *out)
{
	const EVP_MD *md = EVP_sha384();
	int rc = sim_register_hash(out, "pcr0", REGISTER_CODE, md, measured);

	if (rc == 0)
		rc = sim_register_hash(out, "pcr1", REGISTER_COVERED, md, bytes_str("pcr1"));
	if (rc == 0)
		rc = sim_register_hash(out, "pcr2", REGISTER_COVERED, md, bytes_str("pcr2"));
	return rc;
}

/* ------------------------------------------------------------------------ open */

static int read_description(struct sim_nitro *p, json_t *j)
{
	const char *format, *module_id;
	const char *mark;

	if (json_unpack(j, "{s:s, s:s !}", "format", &format, "module_id", &module_id) ||
	    strlen(module_id) >= sizeof(p->module_id))
		return -EINVAL;
	mark = strstr(module_id, NITRO_ENCLAVE_MARK);
	if (!mark)
		return -EINVAL;
	memcpy(p->module_id, module_id, strlen(module_id) + 1);
	return sim_nitro_name_pcr(
	        p, NITRO_PCR_INSTANCE,
	        (struct bytes){(const uint8_t *)p->module_id, (size_t)(mark - module_id)});
}

static int read_chain(struct sim_nitro *p, const char *dir)
{
	uint8_t *pem = NULL;
	size_t n = 0;
	int rc = sim_read(dir, NITRO_CHAIN, &pem, &n);
	BIO *bio = rc ? NULL : BIO_new_mem_buf(pem, (int)n);

	for (int i = 0; rc == 0 && i < SIM_NITRO_CERTS; i++) {
		p->cert[i].x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
		if (!p->cert[i].x)
			rc = -EINVAL;
	}
	BIO_free(bio);
	free(pem);
	return rc;
}

static int read_key(struct sim_nitro *p, const char *dir)
{
	EVP_PKEY **key = &p->cert[SIM_NITRO_ENCLAVE].key, *own = NULL;
	int rc = sim_read_key(dir, NITRO_KEY, &own);

	if (rc)
		return rc;
	EVP_PKEY_free(*key);
	*key = own;
	return 0;
}

static void nitro_close(void *state)
{
	struct nitro *s = state;

	sim_nitro_free(&s->enclave);
	free(s);
}

static int nitro_open(const char *dir, json_t *description, const struct measurements *m,
                      void **state, const char **step)
{
	struct nitro *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	*step = SIM_PLATFORM;
	rc = sim_nitro_begin(&s->enclave, 0, 0);
	if (rc == 0)
		rc = read_description(&s->enclave, description);
	if (rc == 0) {
		*step = NITRO_KEY;
		rc = read_key(&s->enclave, dir);
	}
	if (rc == 0) {
		*step = NITRO_CHAIN;
		rc = read_chain(&s->enclave, dir);
	}
	for (uint32_t i = 0; rc == 0 && i < m->n && i <= NITRO_PCR_APPLICATION; i++)
		memcpy(s->enclave.pcr[i], m->v[i].value, NITRO_PCR_LEN);
	if (rc)
		nitro_close(s);
	else
		*state = s;
	return rc;
}

static int nitro_evidence(void *state, const uint8_t report_data[static 64], struct evidence *out)
{
	const struct nitro *s = state;
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) == -1)
		return -errno;
	return sim_nitro_document(&s->enclave, report_data,
	                          (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
	                          &out->report);
}

const struct sim_platform sim_platform_nitro = {
        .tee = TEE_NITRO,
        .format = NITRO_FORMAT,
        .init = nitro_init,
        .measure = nitro_measure,
        .open = nitro_open,
        .evidence = nitro_evidence,
        .close = nitro_close,
};
