/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between attester/sim.c and the simulated platforms: what a platform's file has to
 * provide, and what it may use of the directory. A new platform is one such file and one line in
 * the table of sim.c. Private to the attester.
 */
#ifndef KEYGATE_ATTESTER_SIM_H
#define KEYGATE_ATTESTER_SIM_H

#include <stdint.h>
#include <openssl/evp.h>
#include "attest/attest.h"
#include "attester/evidence.h"
#include "core/bytes.h"
#include "core/verdict.h"

struct json_t;

#define SIM_PLATFORM "platform.json" /* its "format" says which kind of platform it is */
#define SIM_ANCHOR   "anchor.pem"    /* what a policy has to name; SNP's is ark.pem */

struct sim_platform {
	enum tee tee;
	const char *format; /* "keygate-sim-snp/1" */
	/* Fills the new, empty directory, platform.json too. now: POSIX seconds. */
	int (*init)(const char *dir, int64_t now, const char **step);
	/* The registers of a guest that runs these bytes, the launch measurement first. */
	int (*measure)(struct bytes measured, struct measurements *out);
	/*
	 * Reads the directory. description is platform.json, its format looked at already; m is
	 * what measure() said. *state goes to evidence(), from several threads, and to close().
	 */
	int (*open)(const char *dir, struct json_t *description, const struct measurements *m,
	            void **state, const char **step);
	int (*evidence)(void *state, const uint8_t report_data[static 64], struct evidence *out);
	void (*close)(void *state);
};

extern const struct sim_platform sim_platform_snp;
extern const struct sim_platform sim_platform_tdx, sim_platform_sgx;
extern const struct sim_platform sim_platform_cca, sim_platform_nitro;

/* Files of a platform's directory. 0 or -errno. The caller frees *out. */
int sim_read(const char *dir, const char *name, uint8_t **out, size_t *n);
int sim_write(const char *dir, const char *name, struct bytes content);
int sim_write_json(const char *dir, const char *name, const struct json_t *j);
/* Takes and frees bio; a NULL one is -ENOMEM, so that a chain of writes needs no check between. */
int sim_write_bio(const char *dir, const char *name, BIO *bio);
/* Private keys, PEM, for the owner's eyes; EC only. */
int sim_read_key(const char *dir, const char *name, EVP_PKEY **out);
int sim_write_key(const char *dir, const char *name, const EVP_PKEY *key);

/* Appends a register. */
void sim_register(struct measurements *m, const char *name, enum register_role role,
                  struct bytes value);
/* Appends one that is the hash of something. 0 or -ENOMEM. */
int sim_register_hash(struct measurements *m, const char *name, enum register_role role,
                      const EVP_MD *md, struct bytes of);

#endif
