/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefixes over 16-byte addresses, and an index that tells which destinations a prefix lies in.
 * IPv4 (::ffff:0:0/96) and IPv6 are apart: no IPv6 prefix covers an IPv4 one, however short.
 * Private to policy/.
 */
#ifndef KEYGATE_POLICY_PREFIX_H
#define KEYGATE_POLICY_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "policy/policy.h"

bool prefix_is_four(const struct policy_prefix *x);
/* Clears the bits behind the prefix. */
void prefix_mask(struct policy_prefix *x);
/* True if every address of inner is one of outer. */
bool prefix_covers(const struct policy_prefix *outer, const struct policy_prefix *inner);
/* Orders by length, then by address: a longer prefix comes later. */
int prefix_compare(const struct policy_prefix *a, const struct policy_prefix *b);
struct policy_prefix prefix_of(const uint8_t addr[static 16]);

struct cover_entry {
	struct policy_prefix x;
	uint32_t destination;
};

struct cover {
	struct cover_entry *v; /* sorted: prefix_compare, then destination */
	size_t n;
	uint8_t plen[129]; /* the lengths that occur, ascending */
	uint32_t plens;
	uint32_t *hit; /* room for every destination */
	uint32_t hits;
	uint8_t *mark; /* one a destination */
};

/* All prefixes of all destinations, and resolved names as prefixes of one address, but for what is
 * learned. 0 or -ENOMEM. */
int cover_init(struct cover *c, const struct policy *p, const struct policy_resolved *names,
               size_t names_n);
void cover_free(struct cover *c);
/* Calls fn with the destination of each prefix that covers x; of one with several, several times.
 */
typedef void (*cover_fn)(void *ctx, uint32_t destination);
void cover_each(const struct cover *c, const struct policy_prefix *x, cover_fn fn, void *ctx);
/* Fills c->hit with the destinations that hold a prefix that covers x, ascending, each once. */
void cover_find(struct cover *c, const struct policy_prefix *x);

/* Who names a host, sorted by host, then destination. */
struct host_entry {
	const char *host; /* the policy's */
	uint32_t destination;
};

struct hosts {
	struct host_entry *v; /* owned */
	size_t n;
};

/* 0 or -ENOMEM; free v. */
int hosts_of(const struct policy *p, struct hosts *out);
/* The first entry of a host; h->n when there is none. */
size_t hosts_find(const struct hosts *h, const char *host);

/* The port ranges of a destination; every port when it names none. */
struct port_ranges {
	struct policy_port v[POLICY_PORTS_MAX];
	uint32_t n;
};
void port_ranges_of(const struct policy_destination *d, struct port_ranges *out);

/* What kept a policy from being compiled. */
struct compile_trouble {
	struct policy_prefix prefix;
	const char *host;     /* of names, instead of the prefix */
	uint32_t destination; /* the one whose ports did not fit any more */
};
int policy_compile_with(const struct policy *p, const struct policy_resolved *names, size_t names_n,
                        struct policy_lpm **out, size_t *n, struct compile_trouble *trouble);
int policy_compile_names_with(const struct policy *p, struct policy_name_rules **out, size_t *n,
                              struct compile_trouble *trouble);

#endif
