/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict of connections that show no evidence, since an earlier one to the same destination
 * did and left a lease. It is made when that one is judged, out of its verdict alone, and it says
 * whose it is. What comes later (is the lease still good, does the peer hold its key?) is for those
 * who keep the lease; nothing of it can make this verdict better.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "policy/policy.h"

static void time_text(int64_t t, char out[static 32])
{
	time_t at = (time_t)t;
	struct tm tm;

	if (!gmtime_r(&at, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(out, 32, "%" PRId64, t);
}

/*
 * By key only with the transport that need not show its evidence, and only where the policy names
 * it: `certificate`, which would admit it, has each connection show what there is.
 */
enum policy_binder policy_lease_binder(const struct policy_destination *d)
{
	if (d->action != POLICY_GATE || d->binder == BINDER_NONE)
		return BINDER_NONE;
	if (d->transport == TRANSPORT_KEYGATE && d->binder <= BINDER_LEASE)
		return BINDER_LEASE;
	if (d->transport == TRANSPORT_WELL_KNOWN && d->binder == BINDER_LEASE_KEY)
		return BINDER_LEASE_KEY;
	return BINDER_NONE;
}

/* May connections rest, by this, on the one that this is the verdict of? Evidence that is bound to
 * a key alone may be of any age: it is nothing to start from. */
static bool may(const struct policy_destination *d, enum policy_binder by, const struct verdict *v)
{
	enum policy_binder from = by == BINDER_LEASE ? BINDER_CONNECTION : BINDER_NONCE;

	return by != BINDER_NONE && verdict_passed(v, v->made_at) &&
	       !strncmp(v->requirement, d->name, sizeof(v->requirement)) &&
	       !strncmp(v->binder, policy_binder_name(from), sizeof(v->binder));
}

int policy_lease_verdict(const struct policy *p, uint32_t destination,
                         const struct verdict *attested, uint64_t session, struct verdict *out)
{
	const struct policy_destination *d =
	        destination < p->destinations ? &p->destination[destination] : NULL;
	enum policy_binder by = d ? policy_lease_binder(d) : BINDER_NONE;
	const struct checks *seen = &attested->checks;
	char at[32];

	if (!d || !may(d, by, attested))
		return -EACCES;
	*out = *attested;
	out->sealed = 0;
	memset(&out->checks, 0, sizeof(out->checks));
	time_text(attested->made_at, at);
	memset(out->binder, 0, sizeof(out->binder));
	snprintf(out->binder, sizeof(out->binder), "%s", policy_binder_name(by));
	check_add(&out->checks, "lease.attested", CHECK_PASS,
	          "session %" PRIu64 " at %s: what follows was seen then", session, at);
	for (uint32_t i = 0; i < seen->n; i++) {
		bool binder = !strcmp(seen->v[i].id, "policy.binder");

		check_add(&out->checks, seen->v[i].id, (enum check_status)seen->v[i].status, "%s",
		          binder ? policy_binder_words(by, policy_names_machine(d))
		                 : seen->v[i].detail);
	}
	verdict_loosened(out,
	                 "binder = %s: no evidence on this connection, but %s session "
	                 "%" PRIu64 " of %s",
	                 policy_binder_name(d->binder),
	                 by == BINDER_LEASE ? "a lease from" : "the server key of", session, at);
	verdict_seal(out);
	return verdict_passed(out, out->made_at) ? 0 : -EACCES;
}
