/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated platforms, of whatever kind: finds the kind by its name or by what the directory says,
 * and hands over. Knows the names of the platforms and nothing of their evidence.
 */
#include "attester/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <jansson.h>
#include <openssl/pem.h>
#include "core/file.h"
#include "core/secret.h"

enum { SIM_FILE_MAX = 65536, SIM_MEASURED_MAX = 256 * 1024 * 1024 };

static const struct sim_platform *const platforms[] = {
        &sim_platform_snp, &sim_platform_tdx,   &sim_platform_sgx,
        &sim_platform_cca, &sim_platform_nitro,
};

static const struct sim_platform *by_tee(enum tee tee)
{
	for (size_t i = 0; i < sizeof(platforms) / sizeof(platforms[0]); i++)
		if (platforms[i]->tee == tee)
			return platforms[i];
	return NULL;
}

static const struct sim_platform *by_format(const char *format)
{
	for (size_t i = 0; i < sizeof(platforms) / sizeof(platforms[0]); i++)
		if (strcmp(platforms[i]->format, format) == 0)
			return platforms[i];
	return NULL;
}

/* ------------------------------------------------------------------- directory */

static int path_of(const char *dir, const char *name, char *out, size_t cap)
{
	return (size_t)snprintf(out, cap, "%s/%s", dir, name) < cap ? 0 : -ENAMETOOLONG;
}

int sim_read(const char *dir, const char *name, uint8_t **out, size_t *n)
{
	char path[512];
	int rc = path_of(dir, name, path, sizeof(path));

	return rc ? rc : file_read(path, SIM_FILE_MAX, out, n);
}

static int write_mode(const char *dir, const char *name, struct bytes content, mode_t mode)
{
	char path[512];
	int rc = path_of(dir, name, path, sizeof(path));

	return rc ? rc : file_write_atomic(path, content, mode);
}

int sim_write(const char *dir, const char *name, struct bytes content)
{
	return write_mode(dir, name, content, 0644);
}

int sim_write_json(const char *dir, const char *name, const struct json_t *j)
{
	char *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
	int rc = text ? sim_write(dir, name, bytes_str(text)) : -ENOMEM;

	free(text);
	return rc;
}

static int write_bio(const char *dir, const char *name, BIO *bio, mode_t mode)
{
	char *data = NULL;
	long n = bio ? BIO_get_mem_data(bio, &data) : 0;
	int rc = n > 0 ? write_mode(dir, name, (struct bytes){(uint8_t *)data, (size_t)n}, mode)
	               : -ENOMEM;

	BIO_free(bio);
	return rc;
}

int sim_write_bio(const char *dir, const char *name, BIO *bio)
{
	return write_bio(dir, name, bio, 0644);
}

int sim_write_key(const char *dir, const char *name, const EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_secmem());

	if (bio && !PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) {
		BIO_free(bio);
		bio = NULL;
	}
	return write_bio(dir, name, bio, 0600);
}

int sim_read_key(const char *dir, const char *name, EVP_PKEY **out)
{
	uint8_t *pem = NULL;
	size_t n = 0;
	EVP_PKEY *key;
	BIO *bio;
	int rc = sim_read(dir, name, &pem, &n);

	if (rc)
		return rc;
	bio = BIO_new_mem_buf(pem, (int)n);
	key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	if (key && EVP_PKEY_is_a(key, "EC"))
		*out = key;
	else
		rc = -EINVAL;
	if (rc)
		EVP_PKEY_free(key);
	BIO_free(bio);
	secret_wipe(pem, n);
	free(pem);
	return rc;
}

void sim_register(struct measurements *m, const char *name, enum register_role role,
                  struct bytes value)
{
	struct measurement *r = &m->v[m->n];

	if (m->n == MEASUREMENTS_MAX || value.n > sizeof(r->value) ||
	    strlen(name) >= sizeof(r->name))
		return;
	*r = (struct measurement){.role = (uint8_t)role, .len = (uint8_t)value.n};
	memcpy(r->name, name, strlen(name));
	memcpy(r->value, value.p, value.n);
	m->n++;
}

int sim_register_hash(struct measurements *m, const char *name, enum register_role role,
                      const EVP_MD *md, struct bytes of)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_Digest(of.p, of.n, digest, &n, md, NULL) != 1)
		return -ENOMEM;
	sim_register(m, name, role, (struct bytes){digest, n});
	return 0;
}

/* ---------------------------------------------------------------------- source */

struct sim {
	const struct sim_platform *platform;
	void *state;
};

static int sim_evidence(void *ctx, const uint8_t report_data[static 64], struct evidence *out)
{
	const struct sim *s = ctx;

	out->tee = s->platform->tee;
	return s->platform->evidence(s->state, report_data, out);
}

/* Which kind the directory says it is; NULL with *rc set. The caller gives *out back. */
static const struct sim_platform *describe(const char *dir, json_t **out, int *rc)
{
	const struct sim_platform *p = NULL;
	uint8_t *text = NULL;
	const char *format;
	size_t n = 0;

	*rc = sim_read(dir, SIM_PLATFORM, &text, &n);
	if (*rc)
		return NULL;
	*out = json_loadb((const char *)text, n, JSON_REJECT_DUPLICATES, NULL);
	format = json_string_value(json_object_get(*out, "format"));
	p = format ? by_format(format) : NULL;
	if (!p)
		*rc = -EINVAL;
	free(text);
	return p;
}

static int measure(const struct sim_platform *p, const char *measured, struct measurements *out)
{
	uint8_t *content = NULL;
	size_t n = 0;
	int rc = file_read(measured, SIM_MEASURED_MAX, &content, &n);

	*out = (struct measurements){0};
	if (rc == 0)
		rc = p->measure((struct bytes){content, n}, out);
	free(content);
	return rc;
}

int evidence_sim_init(const char *dir, enum tee tee, int64_t now, const char **step)
{
	const struct sim_platform *p = by_tee(tee);

	*step = "kind of platform";
	if (!p)
		return -EINVAL;
	*step = "directory";
	/* A new directory only: an existing platform's keys are never written over. */
	if (mkdir(dir, 0755) == -1)
		return -errno;
	return p->init(dir, now, step);
}

int evidence_sim_tee(const char *dir, enum tee *out)
{
	json_t *j = NULL;
	int rc;
	const struct sim_platform *p = describe(dir, &j, &rc);

	if (p)
		*out = p->tee;
	json_decref(j);
	return rc;
}

int evidence_sim_measure(enum tee tee, const char *measured, struct measurements *out)
{
	const struct sim_platform *p = by_tee(tee);

	return p ? measure(p, measured, out) : -EINVAL;
}

int evidence_sim_open(const char *dir, const char *measured, struct evidence_source *out,
                      const char **step)
{
	struct sim *s = calloc(1, sizeof(*s));
	struct measurements m;
	json_t *j = NULL;
	int rc = -ENOMEM;

	*step = "memory";
	if (!s)
		return rc;
	*step = SIM_PLATFORM;
	s->platform = describe(dir, &j, &rc);
	if (rc == 0) {
		*step = "measured file";
		rc = measure(s->platform, measured, &m);
	}
	if (rc == 0)
		rc = s->platform->open(dir, j, &m, &s->state, step);
	json_decref(j);
	if (rc)
		free(s);
	else
		*out = (struct evidence_source){.evidence = sim_evidence, .ctx = s};
	return rc;
}

void evidence_sim_close(struct evidence_source *source)
{
	struct sim *s = source->ctx;

	if (s)
		s->platform->close(s->state);
	free(s);
	source->ctx = NULL;
}
