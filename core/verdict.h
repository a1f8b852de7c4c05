/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A verdict: the ordered list of checks that were made on one connection (or one file), what
 * came of each, the overall result and the time at which it stops being true.
 *
 * attest/ and ledger/ append checks; policy/ appends its own and seals the verdict; keyring/
 * releases a key for a sealed, passed verdict and nothing less; everything else only prints it.
 * Plain data of fixed size, so that it can cross a process boundary in one message.
 */
#ifndef KEYGATE_CORE_VERDICT_H
#define KEYGATE_CORE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero refuses. FAIL: it was looked at and is wrong. UNAVAILABLE: it could not be looked at. */
enum check_status {
	CHECK_FAIL = 0,
	CHECK_UNAVAILABLE,
	CHECK_SKIP, /* not asked for by the caller or the policy; detail says by whom */
	CHECK_PASS,
};

enum {
	CHECKS_MAX = 64,
	CHECK_ID_MAX = 32,
	CHECK_DETAIL_MAX = 200,
};

struct check {
	char id[CHECK_ID_MAX]; /* one of core/codes.def, e.g. "snp.signature" */
	uint8_t status;        /* enum check_status */
	char detail[CHECK_DETAIL_MAX];
};

struct checks {
	uint32_t n;
	bool overflow; /* more than CHECKS_MAX were appended: the verdict can't pass */
	struct check v[CHECKS_MAX];
};

/*
 * Appends a check. The detail is printf-formatted and cut at CHECK_DETAIL_MAX; bytes outside
 * printable ASCII are replaced by '?', since details may quote hostile input.
 * An id that is not in core/codes.def is a programming error and sets overflow.
 */
__attribute__((format(printf, 4, 5))) void
check_add(struct checks *c, const char *id, enum check_status status, const char *fmt, ...);
/*
 * FAIL if any failed or on overflow or n == 0; else UNAVAILABLE if any was; else PASS if at least
 * one passed; else FAIL: a list of skips shows nothing.
 */
enum check_status checks_overall(const struct checks *c);
/* The first check with that status, or NULL. */
const struct check *checks_first(const struct checks *c, enum check_status status);
const struct check *checks_find(const struct checks *c, const char *id);
const char *check_status_name(enum check_status status); /* "fail" "unavailable" "skip" "pass" */

/* No expiry is represented by INT64_MAX. Times are POSIX seconds, UTC. */
#define VERDICT_FOREVER INT64_MAX

enum { MEASUREMENTS_MAX = 32, MEASUREMENT_MAX = 64, LOOSENINGS_MAX = 12 };

/*
 * What a register can carry. A ledger match is worth nothing if an input that is neither measured
 * nor pinned changes what the code does: registers of code and configuration are zero, or pinned.
 */
enum register_role {
	REGISTER_CODE = 0, /* which program runs */
	REGISTER_CONFIG,   /* what was handed to it, e.g. "host_data", "mrconfigid" */
	REGISTER_COVERED,  /* says nothing that another register of code does not, e.g. "pcr1" */
	REGISTER_IDENTITY, /* whose it is or where it runs, e.g. "mrsigner", "pcr4" */
};

/* One named register of the evidence, e.g. "measurement" for SNP, "mrtd" for TDX. */
struct measurement {
	char name[24];
	uint8_t role; /* enum register_role */
	uint8_t len;
	uint8_t value[MEASUREMENT_MAX];
};

struct measurements {
	uint32_t n;
	struct measurement v[MEASUREMENTS_MAX];
};

const struct measurement *measurement_find(const struct measurements *m, const char *name);

struct verdict {
	uint32_t sealed; /* VERDICT_SEALED once verdict_seal ran */
	uint8_t overall; /* enum check_status, set by verdict_seal */
	int64_t made_at;
	int64_t valid_until;  /* earliest end of anything it rests on */
	char requirement[64]; /* name of the policy's destination block */
	char tee[8];
	char binder[16];     /* "connection", ... */
	char server_key[65]; /* hex SHA-256 of the peer's SubjectPublicKeyInfo */
	struct measurements measurements;
	uint32_t loosenings; /* keys of the policy that weakened this verdict */
	char loosening[LOOSENINGS_MAX][CHECK_DETAIL_MAX];
	struct checks checks;
};

#define VERDICT_SEALED 0x4b475631u

void verdict_init(struct verdict *v, const char *requirement, int64_t now);
/* Lowers valid_until to t if t is earlier. */
void verdict_limit(struct verdict *v, int64_t t);
/* More than LOOSENINGS_MAX set checks.overflow: a loosening that can't be named can't pass. */
__attribute__((format(printf, 2, 3))) void verdict_loosened(struct verdict *v, const char *fmt,
                                                            ...);
/*
 * Computes overall. What the verdict itself refuses gets a check of its own first:
 * `verdict.expired` when valid_until is not after made_at, `verdict.empty` when nothing passed and
 * nothing else refused, `verdict.overflow` (in place of the last check when there is no room).
 */
void verdict_seal(struct verdict *v);
/* True only for a sealed verdict, overall pass, with now in [made_at, valid_until). */
bool verdict_passed(const struct verdict *v, int64_t now);

/*
 * The one JSON form and the one text form of a verdict and of a list of checks.
 * Returned json is owned by the caller (jansson reference); NULL when out of memory.
 */
struct json_t;
struct json_t *checks_to_json(const struct checks *c);
struct json_t *measurements_to_json(const struct measurements *m);
struct json_t *verdict_to_json(const struct verdict *v);
/* A line a check: "pass  snp.signature  detail"; refusals are followed by their advice. */
struct buf;
void checks_to_text(const struct checks *c, struct buf *out);
void verdict_to_text(const struct verdict *v, struct buf *out);

#endif
