/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader's state while policy files become a model, and the functions that take one value of
 * one key each (named in keys.c). Private to policy/.
 */
#ifndef KEYGATE_POLICY_READ_H
#define KEYGATE_POLICY_READ_H

#include <stdbool.h>
#include <stdint.h>
#include "policy/keys.h"
#include "policy/policy.h"

enum { HOUR = 3600, DAY = 24 * HOUR };

/* A name that a destination refers to; resolved when all files are read. */
struct policy_ref {
	char name[POLICY_NAME_MAX];
	uint32_t line;
};

/* What of a destination can't be in the model yet; parallel to policy.destination. */
struct policy_refs {
	struct policy_ref ledger;
	struct policy_ref release;
	struct policy_ref *anchor; /* owned */
	uint32_t anchors;
};

/* A value that is only for some platforms; whether the block admits one is seen at its end. */
struct policy_late {
	uint32_t key;
	uint32_t line;
	uint32_t tees; /* bits */
	int32_t bare;  /* the destination's measurement whose platform is still to be told, or -1 */
	char text[24]; /* the value, cut */
};

struct policy_reader {
	struct policy *p;
	struct policy_issues *issues;
	const char *path; /* of the file being read */
	policy_load_fn load;
	void *ctx;
	int64_t now;
	bool no_memory;

	bool has_default;
	struct policy_where default_where;

	/* The block being read; where is its first line. */
	enum policy_section_id section;
	struct policy_where where;
	uint64_t given; /* bit n: keys[n] of the section */
	uint32_t given_line[POLICY_KEYS_MAX];
	uint32_t key; /* index of the key being read */
	uint32_t prefixes_cap;
	uint32_t measurements_cap;
	uint32_t pins_cap;
	uint32_t denieds_cap;
	uint32_t watches_cap;
	uint32_t expecteds_cap;
	struct policy_ledger *l;
	struct policy_release *rel;
	struct policy_anchor *a;
	struct policy_source *s;
	struct policy_destination *d;
	struct policy_refs *ref; /* of d */
	struct policy_app *app;  /* of d, owned until the block ends; NULL: it names none yet */

	struct policy_late *late; /* owned */
	uint32_t lates, lates_cap;
	struct policy_refs *refs; /* owned */
	uint32_t destinations_cap;
	uint32_t ledgers_cap;
	uint32_t releases_cap;
	uint32_t anchors_cap;
	uint32_t apps_cap;
};

/* Both name the reader's current file. */
__attribute__((format(printf, 3, 4))) void policy_error(struct policy_reader *r, uint32_t line,
                                                        const char *fmt, ...);
__attribute__((format(printf, 3, 4))) void policy_warning(struct policy_reader *r, uint32_t line,
                                                          const char *fmt, ...);
void policy_issue(struct policy_issues *issues, bool error, const struct policy_where *where,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
struct policy_where policy_where_of(const char *path, uint32_t line);

/*
 * The grammar (syntax.c): text to blocks of values. Every block of the file is opened, its values
 * set in the order of the table, and closed; the top comes first. False after an error, which is
 * then an issue.
 */
struct policy_events {
	void (*open)(struct policy_reader *r, enum policy_section_id section, const char *title,
	             uint32_t line);
	void (*value)(struct policy_reader *r, uint32_t key, const struct policy_value *v);
	void (*close)(struct policy_reader *r);
};
bool policy_syntax(struct policy_reader *r, struct bytes text, const struct policy_events *on);

/* That no two blocks of a kind share a name, once all files are read, whatever else is wrong. */
void policy_check_names(struct policy_reader *r);
/* References and coverage between blocks, once all files are read (link.c). */
void policy_link(struct policy_reader *r);
/* Destinations that those before them hide (hidden.c). */
void policy_check_hidden(struct policy_reader *r);

/* Makes room for element n, and zeroes it. False when out of memory (noted in the reader). */
bool policy_grow(struct policy_reader *r, void *array, uint32_t n, uint32_t *cap, size_t size);
/* The same for an array that only ever grew by this function: its room follows from n. */
bool policy_append(struct policy_reader *r, void *array, uint32_t n, size_t size);

/* "10.0.0.1", "10.0.0.0/8", "2001:db8::/32"; 80 bytes are enough. */
void policy_prefix_text(const struct policy_prefix *x, char out[static 80]);

/* The name of the key that is being read. */
const char *policy_key_name(const struct policy_reader *r);
/* Notes that the value of the key that is being read is for these platforms alone. */
void policy_of_tees(struct policy_reader *r, const struct policy_value *v, uint32_t tees);
/* At the end of a destination: issues for the values that are for none of its platforms. */
void policy_settle(struct policy_reader *r);

/* An issue "KEY: "TEXT" is not EXPECTED" at the value's line. */
void policy_unexpected(struct policy_reader *r, const struct policy_value *v, const char *expected);
/* "true" and "false", else an issue. */
void policy_take_bool(struct policy_reader *r, const struct policy_value *v, bool *out);
/* A number and one of s, m, h, d; in [min, max] seconds, else an issue. */
void policy_take_duration(struct policy_reader *r, const struct policy_value *v, int64_t min,
                          int64_t max, int64_t *out);
/* A TEE's name, else an issue and TEE_NONE. */
enum tee policy_take_tee(struct policy_reader *r, const struct policy_value *v);

void read_default_action(struct policy_reader *r, const struct policy_value *v);

void read_ledger_policy(struct policy_reader *r, const struct policy_value *v);
void read_ledger_max_age(struct policy_reader *r, const struct policy_value *v);
void read_ledger_url(struct policy_reader *r, const struct policy_value *v);
void read_ledger_refresh(struct policy_reader *r, const struct policy_value *v);
void read_ledger_ca(struct policy_reader *r, const struct policy_value *v);
void read_ledger_first_use(struct policy_reader *r, const struct policy_value *v);
void read_ledger_allow_no_quorum(struct policy_reader *r, const struct policy_value *v);
void read_ledger_watch(struct policy_reader *r, const struct policy_value *v);
void read_ledger_expected(struct policy_reader *r, const struct policy_value *v);
void read_ledger_expected_file(struct policy_reader *r, const struct policy_value *v);

void read_release_trusted_root(struct policy_reader *r, const struct policy_value *v);
void read_release_issuer(struct policy_reader *r, const struct policy_value *v);
void read_release_san(struct policy_reader *r, const struct policy_value *v);
void read_release_repository(struct policy_reader *r, const struct policy_value *v);
void read_release_ref(struct policy_reader *r, const struct policy_value *v);
void read_release_predicate_type(struct policy_reader *r, const struct policy_value *v);
void read_release_key(struct policy_reader *r, const struct policy_value *v);
void read_release_bundle(struct policy_reader *r, const struct policy_value *v);
void read_release_trust_store(struct policy_reader *r, const struct policy_value *v);
void read_release_subject(struct policy_reader *r, const struct policy_value *v);
void read_release_min_svn(struct policy_reader *r, const struct policy_value *v);
void read_release_statement(struct policy_reader *r, const struct policy_value *v);

void read_anchor_tee(struct policy_reader *r, const struct policy_value *v);
void read_anchor_file(struct policy_reader *r, const struct policy_value *v);

void read_source_url(struct policy_reader *r, const struct policy_value *v);
void read_source_refresh(struct policy_reader *r, const struct policy_value *v);
void read_source_ca(struct policy_reader *r, const struct policy_value *v);
/*
 * A file that the value names, relative to the one that is being read. True with *path and *content
 * (both freed by the caller); else an issue.
 */
bool policy_load(struct policy_reader *r, const struct policy_value *v, size_t max, char **path,
                 uint8_t **content, size_t *n);
/*
 * The same, of text with an entry a line; blanks around it and what follows a # don't count. fn
 * takes each that is not empty; what it returns says why it is none ("can't be ..."), or NULL.
 */
typedef const char *(*policy_line_fn)(struct policy_reader *r, const struct policy_value *v,
                                      const char *line);
void policy_load_lines(struct policy_reader *r, const struct policy_value *v, size_t max,
                       policy_line_fn fn);
/*
 * "tdx:HEX", or HEX alone: a launch measurement, whose tee is then TEE_NONE. The platforms that it
 * can be of, as bits; 0: it is none.
 */
uint32_t policy_take_launch(const char *text, struct policy_measurement *out);

void read_leaf(struct policy_reader *r, const struct policy_value *v);
void read_deny(struct policy_reader *r, const struct policy_value *v);
void read_deny_file(struct policy_reader *r, const struct policy_value *v);
void read_min_version(struct policy_reader *r, const struct policy_value *v);
void read_renewed_within(struct policy_reader *r, const struct policy_value *v);

/* A prefix that paths are appended to, with its slash, into out; else an issue. */
void policy_take_prefix(struct policy_reader *r, const struct policy_value *v, char *out,
                        size_t cap);

void read_address(struct policy_reader *r, const struct policy_value *v);
void read_address_file(struct policy_reader *r, const struct policy_value *v);
void read_name(struct policy_reader *r, const struct policy_value *v);
void read_port(struct policy_reader *r, const struct policy_value *v);
void read_unit(struct policy_reader *r, const struct policy_value *v);
void read_cgroup(struct policy_reader *r, const struct policy_value *v);
void read_user(struct policy_reader *r, const struct policy_value *v);
void read_executable(struct policy_reader *r, const struct policy_value *v);
/* At the end of the block: what it said of applications becomes the destination's. */
void policy_settle_app(struct policy_reader *r);
void read_action(struct policy_reader *r, const struct policy_value *v);
void read_refuse_with(struct policy_reader *r, const struct policy_value *v);
void read_tee(struct policy_reader *r, const struct policy_value *v);
void read_binder(struct policy_reader *r, const struct policy_value *v);
void read_transport(struct policy_reader *r, const struct policy_value *v);
void read_ledger(struct policy_reader *r, const struct policy_value *v);
void read_release(struct policy_reader *r, const struct policy_value *v);
void read_measurement(struct policy_reader *r, const struct policy_value *v);
void read_register(struct policy_reader *r, const struct policy_value *v);
void read_unpinned_register(struct policy_reader *r, const struct policy_value *v);
void read_server_name(struct policy_reader *r, const struct policy_value *v);
void read_server_key(struct policy_reader *r, const struct policy_value *v);
void read_chip_id(struct policy_reader *r, const struct policy_value *v);
void read_vlek(struct policy_reader *r, const struct policy_value *v);
void read_host_data(struct policy_reader *r, const struct policy_value *v);
void read_min_tcb(struct policy_reader *r, const struct policy_value *v);
void read_accept_tcb(struct policy_reader *r, const struct policy_value *v);
void read_accept_advisory(struct policy_reader *r, const struct policy_value *v);
void read_tcb_grace(struct policy_reader *r, const struct policy_value *v);
void read_min_tcb_date(struct policy_reader *r, const struct policy_value *v);
void read_min_tcb_evaluation(struct policy_reader *r, const struct policy_value *v);
void read_vmpl(struct policy_reader *r, const struct policy_value *v);
void read_require_platform(struct policy_reader *r, const struct policy_value *v);
void read_require_guest_policy(struct policy_reader *r, const struct policy_value *v);
void read_require_attribute(struct policy_reader *r, const struct policy_value *v);
void read_forbid_attribute(struct policy_reader *r, const struct policy_value *v);
void read_anchor(struct policy_reader *r, const struct policy_value *v);
void read_built_in_anchors(struct policy_reader *r, const struct policy_value *v);
void read_allow_debug(struct policy_reader *r, const struct policy_value *v);
void read_require_crl(struct policy_reader *r, const struct policy_value *v);
void read_kernel_tls(struct policy_reader *r, const struct policy_value *v);
void read_lease(struct policy_reader *r, const struct policy_value *v);

#endif
