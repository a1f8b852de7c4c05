/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between attest/attest.c and the platforms: what a platform's file has to provide. A new
 * platform is one such file and one line in the table of attest.c. For attest/ alone.
 */
#ifndef KEYGATE_ATTEST_PLATFORM_H
#define KEYGATE_ATTEST_PLATFORM_H

#include "attest/attest.h"
#include "attest/pki.h"

struct attest_platform {
	enum tee tee;
	/* True if the evidence looks like this platform's; must be cheap and exclude the others'.
	 */
	bool (*recognise)(struct bytes evidence);
	/* Appends the platform's checks, always the same ones in the same order; fills claims,
	 * which come zeroed but for tee and valid_until. */
	void (*appraise)(const struct attest_input *in, struct claims *claims,
	                 struct checks *checks);
	/* As attest_explain. */
	int (*explain)(struct bytes evidence, struct buf *out);
};

/* The path is that of struct collateral_name, formatted; one that is too long is no name. */
__attribute__((format(printf, 2, 3))) struct collateral_name
attest_collateral_name(enum collateral_vendor vendor, const char *path, ...);
/* Asks the caller's store, as attest_collateral_fn; 0 without one. */
size_t attest_collateral(const struct attest_input *in, const struct collateral_name *name,
                         struct bytes *out, size_t cap);
/*
 * Notes in claims that a piece of this name is worth fetching. needed: there is none that holds at
 * this time; else the evidence brought one, which is as new as its sender likes.
 */
void attest_collateral_want(struct claims *claims, const struct collateral_name *name, bool needed);

/* Adds a register to claims. One that is longer than any can be, or beyond their number, is none.
 */
void attest_register(struct claims *claims, const char *name, enum register_role role,
                     struct bytes value);

/* A time for people: "2025-06-19T10:32:27Z". */
void attest_date(int64_t t, char out[static 32]);

/*
 * May a chain of this platform end at this key? *extra: by the caller's word alone. *pin is the
 * built-in pin of the key, or NULL.
 */
bool attest_trusted(const struct attest_input *in, enum tee tee, const struct pki_pins *pins,
                    const uint8_t spki_sha256[static 32], bool *extra,
                    const struct anchor_pin **pin);

extern const struct attest_platform attest_platform_snp;
extern const struct attest_platform attest_platform_tdx;
extern const struct attest_platform attest_platform_sgx;
extern const struct attest_platform attest_platform_nvidia;
extern const struct attest_platform attest_platform_cca;
extern const struct attest_platform attest_platform_nitro;

int attest_snp_explain(struct bytes evidence, struct buf *out); /* attest/snp_report.c */

#endif
