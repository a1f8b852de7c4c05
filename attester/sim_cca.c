/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated CCA platform: a directory with the platform's key, whose public half is the anchor,
 * and a token over whatever the attester asks for. The measured file's hash stands for the realm's
 * initial measurement; the firmware is made up and always the same.
 */
#include "attester/sim_cca.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <openssl/pem.h>
#include "attester/sim.h"

#define CCA_FORMAT "keygate-sim-cca/1"
#define CCA_KEY    "cpak.key"

struct cca {
	struct sim_cca platform; /* shared by threads, not changed once it is open */
};

/* ------------------------------------------------------------------------ init */

static int write_anchor(const struct sim_cca *p, const char *dir)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (bio && !PEM_write_bio_PUBKEY(bio, p->cpak)) {
		BIO_free(bio);
		bio = NULL;
	}
	return sim_write_bio(dir, SIM_ANCHOR, bio);
}

static int write_files(const struct sim_cca *p, const char *dir)
{
	char implementation[2 * CCA_IMPLEMENTATION_ID_LEN + 1];
	char instance[2 * CCA_INSTANCE_ID_LEN + 1];
	json_t *j;
	int rc;

	hex_encode(BYTES_OF(p->implementation_id), implementation);
	hex_encode(BYTES_OF(p->instance_id), instance);
	j = json_pack("{s:s, s:s, s:s}", "format", CCA_FORMAT, "implementation_id", implementation,
	              "instance_id", instance);
	rc = sim_write_key(dir, CCA_KEY, p->cpak);
	if (rc == 0)
		rc = write_anchor(p, dir);
	if (rc == 0)
		rc = sim_write_json(dir, SIM_PLATFORM, j);
	json_decref(j);
	return rc;
}

static int cca_init(const char *dir, int64_t now, const char **step)
{
	struct sim_cca p;
	int rc;
	(void)now; /* a token has no time and its key no end */

	*step = "keys";
	rc = sim_cca_begin(&p);
	if (rc == 0) {
		*step = "files";
		rc = write_files(&p, dir);
	}
	sim_cca_free(&p);
	return rc;
}

/* --------------------------------------------------------------------- measure */

static int cca_measure(struct bytes measured, struct measurements *out)
{
	struct buf components = buf_make(CCA_TOKEN_MAX);
	struct sim_cca p;
	int rc = sim_cca_begin(&p);

	if (rc == 0)
		rc = sim_register_hash(out, "rim", REGISTER_CODE, EVP_sha256(), measured);
	if (rc == 0) {
		sim_cca_components(&p, &components);
		rc = sim_register_hash(out, "platform-sw", REGISTER_CODE, EVP_sha256(),
		                       buf_view(&components));
	}
	buf_free(&components);
	sim_cca_free(&p);
	return rc;
}

/* ------------------------------------------------------------------------ open */

static int read_description(struct sim_cca *p, json_t *j)
{
	const char *format, *implementation, *instance;

	if (json_unpack(j, "{s:s, s:s, s:s !}", "format", &format, "implementation_id",
	                &implementation, "instance_id", &instance) ||
	    hex_decode(bytes_str(implementation), p->implementation_id,
	               sizeof(p->implementation_id)) ||
	    hex_decode(bytes_str(instance), p->instance_id, sizeof(p->instance_id)))
		return -EINVAL;
	return 0;
}

static void cca_close(void *state)
{
	struct cca *s = state;

	sim_cca_free(&s->platform);
	free(s);
}

static int cca_open(const char *dir, json_t *description, const struct measurements *m,
                    void **state, const char **step)
{
	struct cca *s = calloc(1, sizeof(*s));
	EVP_PKEY *key = NULL;
	int rc;

	if (!s)
		return -ENOMEM;
	*step = SIM_PLATFORM;
	/* The realm's key is new each time, as after each start of a real realm. */
	rc = sim_cca_begin(&s->platform);
	if (rc == 0)
		rc = read_description(&s->platform, description);
	if (rc == 0) {
		*step = CCA_KEY;
		rc = sim_read_key(dir, CCA_KEY, &key);
	}
	if (rc) {
		cca_close(s);
		return rc;
	}
	EVP_PKEY_free(s->platform.cpak);
	s->platform.cpak = key;
	memcpy(s->platform.rim, m->v[0].value, m->v[0].len);
	*state = s;
	return 0;
}

static int cca_evidence(void *state, const uint8_t report_data[static 64], struct evidence *out)
{
	const struct cca *s = state;

	return sim_cca_token(&s->platform, report_data, &out->report);
}

const struct sim_platform sim_platform_cca = {
        .tee = TEE_CCA,
        .format = CCA_FORMAT,
        .init = cca_init,
        .measure = cca_measure,
        .open = cca_open,
        .evidence = cca_evidence,
        .close = cca_close,
};
