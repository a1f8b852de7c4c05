/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The platform's TCB against what a destination demands: component by component, as its vendor
 * rates it, and by its date. The rating itself is attest/'s.
 */
#include "policy/appraise.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "policy/names.h"

/* ----------------------------------------------------------------------- floor */

static bool is_of_guest(const char *component)
{
	return !strcmp(component, "guest-svn") || !strcmp(component, "isvsvn");
}

/* The version of a component, or -1. Those of the guest are no part of what is certified. */
static int64_t version_of(const struct claims *c, const char *name)
{
	if (is_of_guest(name))
		return c->guest_svn;
	for (uint32_t i = 0; i < c->tcb_n && i < TCB_COMPONENTS_MAX; i++)
		if (!strcmp(c->tcb[i].name, name))
			return c->tcb[i].svn;
	return -1;
}

bool policy_floors_firmware(const struct policy_destination *d, enum tee tee)
{
	for (uint32_t i = 0; i < d->tcb_floors; i++) {
		const struct policy_tcb_floor *f = &d->tcb_floor[i];

		if (f->tees & TEE_BIT(tee) && f->svn && !is_of_guest(f->name))
			return true;
	}
	return false;
}

void policy_check_tcb_floor(const struct policy_destination *d, const struct claims *c,
                            struct verdict *v)
{
	uint32_t asked = 0;

	if (c->tee == TEE_SNP && !policy_floors_firmware(d, TEE_SNP))
		verdict_loosened(v, "no min-tcb: the firmware may be of any age, and AMD does not "
		                    "rate it");
	for (uint32_t i = 0; i < d->tcb_floors; i++) {
		const struct policy_tcb_floor *f = &d->tcb_floor[i];
		int64_t is = version_of(c, f->name);

		if (!(f->tees & TEE_BIT(c->tee)))
			continue;
		asked++;
		if (is >= f->svn)
			continue;
		if (is >= 0)
			check_add(&v->checks, "policy.tcb-floor", CHECK_FAIL,
			          "%s is %" PRId64 ", at least %" PRIu32 " is demanded", f->name,
			          is, f->svn);
		else
			check_add(&v->checks, "policy.tcb-floor", CHECK_FAIL,
			          "the platform has no %s, at least %" PRIu32 " is demanded",
			          f->name, f->svn);
		return;
	}
	if (asked)
		check_add(&v->checks, "policy.tcb-floor", CHECK_PASS, "every component");
	else
		check_add(&v->checks, "policy.tcb-floor", CHECK_SKIP, "the policy sets no floor");
}

/* ---------------------------------------------------------------------- status */

/* ": INTEL-SA-00615, INTEL-SA-00657", as many as fit; a line of a verdict has an end. */
static void advisories_text(const struct claims *c, char out[static 80])
{
	size_t n = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < c->advisories && i < ADVISORIES_MAX; i++) {
		const char *id = c->advisory[i];

		/* Room for what stands for the rest. */
		if (n + strlen(id) + sizeof(", and 48 more") > 80) {
			snprintf(out + n, 80 - n, " and %" PRIu32 " more", c->advisories - i);
			return;
		}
		n += (size_t)snprintf(out + n, 80 - n, "%s%s", i ? ", " : ": ", id);
	}
}

/* The first of the claims' advisories that the policy's list does not have, or NULL. */
static const char *unaccepted(const struct policy_destination *d, const struct claims *c)
{
	for (uint32_t i = 0; d->accept_advisories && i < c->advisories && i < ADVISORIES_MAX; i++) {
		bool listed = false;

		for (uint32_t k = 0; k < d->accept_advisories; k++)
			listed |= !strcmp(d->accept_advisory[k], c->advisory[i]);
		if (!listed)
			return c->advisory[i];
	}
	return NULL;
}

/* When the grace for what is out of date ends; 0 when there is none. */
static int64_t grace_end(const struct policy_destination *d, const struct claims *c,
                         enum policy_tcb_status s)
{
	int64_t end;

	if (s != TCB_OUT_OF_DATE && s != TCB_OUT_OF_DATE_CONFIGURATION)
		return 0;
	if (!d->tcb_grace || c->tcb_date <= 0 ||
	    __builtin_add_overflow(c->tcb_date, d->tcb_grace, &end))
		return 0;
	return end;
}

static void refuse_status(const struct policy_destination *d, const struct claims *c,
                          enum policy_tcb_status s, struct verdict *v)
{
	char day[32], advisories[80];

	advisories_text(c, advisories);
	if (grace_end(d, c, s)) {
		policy_date_text(grace_end(d, c, s), day);
		check_add(&v->checks, "policy.tcb-status", CHECK_FAIL,
		          "%s, and the grace ended on %s%s", c->tcb_status, day, advisories);
		return;
	}
	check_add(&v->checks, "policy.tcb-status", CHECK_FAIL, "%s%s%s", c->tcb_status,
	          s == TCB_REVOKED   ? ", which nothing makes acceptable"
	          : s == TCB_UNKNOWN ? ", which this version does not know"
	                             : ", which the policy does not accept",
	          advisories);
}

/* The status is accepted, if its advisories are. */
static void accept_status(const struct policy_destination *d, const struct claims *c, int64_t end,
                          struct verdict *v)
{
	const char *advisory = unaccepted(d, c);
	char day[32], advisories[80];

	if (advisory) {
		check_add(&v->checks, "policy.tcb-status", CHECK_FAIL,
		          "%s, and accept-advisory does not list %s", c->tcb_status, advisory);
		return;
	}
	advisories_text(c, advisories);
	if (!end) {
		check_add(&v->checks, "policy.tcb-status", CHECK_PASS, "%s, which is accepted%s",
		          c->tcb_status, advisories);
		verdict_loosened(v, "accept-tcb: the vendor rates the platform %s%s", c->tcb_status,
		                 advisories);
		return;
	}
	policy_date_text(end, day);
	check_add(&v->checks, "policy.tcb-status", CHECK_PASS, "%s, in grace until %s%s",
	          c->tcb_status, day, advisories);
	verdict_loosened(v, "tcb-grace: the vendor rates the platform %s; accepted until %s%s",
	                 c->tcb_status, day, advisories);
	verdict_limit(v, end);
}

void policy_check_tcb_status(const struct policy_destination *d, const struct claims *c, int64_t at,
                             struct verdict *v)
{
	enum policy_tcb_status s = policy_tcb_status(c->tcb_status);
	bool acceptable = s != TCB_UNKNOWN && s != TCB_REVOKED;
	int64_t end = grace_end(d, c, s);

	if (!c->tcb_status[0])
		check_add(&v->checks, "policy.tcb-status", CHECK_SKIP,
		          "the platform's vendor rates no TCB");
	else if (s == TCB_UP_TO_DATE)
		check_add(&v->checks, "policy.tcb-status", CHECK_PASS, "%s", c->tcb_status);
	else if (acceptable && d->accept_tcb & 1u << s)
		accept_status(d, c, 0, v);
	else if (acceptable && at < end)
		accept_status(d, c, end, v);
	else
		refuse_status(d, c, s, v);
}

/* ------------------------------------------------------------------------ date */

void policy_check_tcb_date(const struct policy_destination *d, const struct claims *c,
                           struct verdict *v)
{
	char is[32], must[32];

	if (!d->min_tcb_date) {
		check_add(&v->checks, "policy.tcb-date", CHECK_SKIP, "the policy demands no date");
		return;
	}
	if (!c->tcb_status[0] && !c->tcb_date) {
		check_add(&v->checks, "policy.tcb-date", CHECK_SKIP,
		          "the platform's vendor dates no TCB");
		return;
	}
	policy_date_text(d->min_tcb_date, must);
	policy_date_text(c->tcb_date, is);
	if (!c->tcb_date)
		check_add(&v->checks, "policy.tcb-date", CHECK_FAIL,
		          "the TCB has no date, %s is demanded", must);
	else
		check_add(&v->checks, "policy.tcb-date",
		          c->tcb_date >= d->min_tcb_date ? CHECK_PASS : CHECK_FAIL,
		          "%s, at least %s is demanded", is, must);
}

/* ------------------------------------------------------------------ evaluation */

void policy_check_tcb_evaluation(const struct policy_destination *d, const struct claims *c,
                                 struct verdict *v)
{
	if (!d->min_tcb_evaluation)
		check_add(&v->checks, "policy.tcb-evaluation", CHECK_SKIP,
		          "the policy demands no evaluation number");
	else if (!c->tcb_status[0])
		check_add(&v->checks, "policy.tcb-evaluation", CHECK_SKIP,
		          "the platform's vendor rates no TCB");
	else
		check_add(&v->checks, "policy.tcb-evaluation",
		          c->tcb_evaluation >= d->min_tcb_evaluation ? CHECK_PASS : CHECK_FAIL,
		          "rated by evaluation number %" PRIu32 ", at least %" PRIu32
		          " is demanded",
		          c->tcb_evaluation, d->min_tcb_evaluation);
}
