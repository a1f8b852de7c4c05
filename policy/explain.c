/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy in words, for administrators: names as the files write them, and what a destination
 * demands.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "policy/appraise.h"
#include "policy/names.h"

const char *policy_action_name(enum policy_action a)
{
	switch (a) {
	case POLICY_DENY:
		return "deny";
	case POLICY_GATE:
		return "gate";
	case POLICY_ALLOW:
		return "allow";
	case POLICY_MONITOR:
		return "monitor";
	}
	return "deny";
}

bool policy_passes(enum policy_action a)
{
	return a == POLICY_ALLOW || a == POLICY_MONITOR;
}

bool policy_judges(enum policy_action a)
{
	return a == POLICY_GATE || a == POLICY_MONITOR;
}

const char *policy_binder_name(enum policy_binder b)
{
	switch (b) {
	case BINDER_NONE:
		return "none";
	case BINDER_CERTIFICATE:
		return "certificate";
	case BINDER_LEASE_KEY:
		return "lease-key";
	case BINDER_NONCE:
		return "nonce";
	case BINDER_LEASE:
		return "lease";
	case BINDER_CONNECTION:
		return "connection";
	}
	return "none";
}

const char *policy_binder_words(enum policy_binder b, bool machine)
{
	switch (b) {
	case BINDER_NONE:
		return "none: it is not said whose the evidence is";
	case BINDER_CERTIFICATE:
		return "certificate: the evidence may be old, and who has the server's key may show it";
	case BINDER_LEASE_KEY:
		return "lease-key: who has the server's key that was attested passes, and nothing "
		       "is known since then";
	case BINDER_NONCE:
		return "nonce: who has the server's key may relay the evidence of the machine";
	case BINDER_LEASE:
		return machine ? "lease: the same two ends go on, and nothing is known of the "
		                 "machine since then"
		               : "lease: the same two ends go on, nothing is known of the machine "
		                 "since then, nor which of those with this code it is";
	case BINDER_CONNECTION:
		return machine ? "connection"
		               : "connection: which of the machines with this code it is, is not "
		                 "known";
	}
	return "none";
}

enum policy_binder policy_binder_from_name(const char *name)
{
	for (enum policy_binder b = BINDER_CERTIFICATE; b <= BINDER_CONNECTION; b++)
		if (!strcmp(name, policy_binder_name(b)))
			return b;
	return BINDER_NONE;
}

bool policy_names_machine(const struct policy_destination *d)
{
	return d->server_keys || d->chip_ids;
}

const char *policy_kernel_tls_name(enum policy_kernel_tls k)
{
	switch (k) {
	case KERNEL_TLS_NONE:
		return "none";
	case KERNEL_TLS_NFS:
		return "nfs";
	case KERNEL_TLS_NVME:
		return "nvme";
	}
	return "none";
}

enum policy_kernel_tls policy_kernel_tls_from_name(const char *name)
{
	for (enum policy_kernel_tls k = KERNEL_TLS_NFS; k <= KERNEL_TLS_NVME; k++)
		if (!strcmp(name, policy_kernel_tls_name(k)))
			return k;
	return KERNEL_TLS_NONE;
}

/* In the largest unit that leaves no rest. */
static void put_duration(struct buf *out, int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *one, *many;
	} units[] = {{86400, "day", "days"},
	             {3600, "hour", "hours"},
	             {60, "minute", "minutes"},
	             {1, "second", "seconds"}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		int64_t n = seconds / units[i].seconds;

		if (seconds % units[i].seconds)
			continue;
		buf_printf(out, "%" PRId64 " %s", n, n == 1 ? units[i].one : units[i].many);
		return;
	}
}

static void put_hex(struct buf *out, struct bytes v)
{
	char text[2 * 64 + 1];

	hex_encode(v, text);
	buf_str(out, text);
}

static void explain_ledger(const struct policy *p, const struct policy_destination *d,
                           struct buf *out)
{
	const struct policy_ledger *l;

	if (d->ledger < 0) {
		buf_str(out, "ledger: none (loosening)\n");
		return;
	}
	l = &p->ledger[d->ledger];
	buf_printf(out, "ledger: the measurement is in a statement logged in \"%s\", ", l->name);
	if (l->tlog->quorum < 0)
		buf_str(out, "vouched for by no witness (loosening), ");
	else
		buf_printf(out, "under a quorum of its %u witnesses, ", l->tlog->witnesses);
	buf_str(out, "seen within ");
	put_duration(out, l->max_age);
	buf_str(out, l->require_known ? ", continuing a head already known\n" : "\n");
}

static void explain_release(const struct policy *p, const struct policy_destination *d,
                            struct buf *out)
{
	const struct policy_release *rel;

	if (d->release < 0)
		return;
	rel = &p->release[d->release];
	if (rel->keys) {
		buf_printf(
		        out,
		        "release \"%s\": the measurement is in a statement about %s, signed by %s",
		        rel->name, rel->signer.subject, rel->signer.issuer);
		if (rel->signer.has_min_svn)
			buf_printf(out, ", svn at least %" PRIu64, rel->signer.min_svn);
		buf_str(out, ", with a receipt by a service of the trust store\n");
		return;
	}
	buf_printf(out, "release \"%s\": the measurement is in a statement of the type %s, ",
	           rel->name, rel->identity.predicate_type);
	if (rel->identity.key.n)
		buf_str(out, "signed with the policy's key\n");
	else
		buf_printf(out, "signed by %s, vouched for by %s%s%s%s%s\n", rel->identity.san,
		           rel->identity.issuer, rel->identity.repository[0] ? ", built from " : "",
		           rel->identity.repository, rel->identity.ref[0] ? " at " : "",
		           rel->identity.ref);
}

static void explain_withdrawn(const struct policy_destination *d, struct buf *out)
{
	if (d->denieds)
		buf_printf(out, "denied: %u measurements, statements or subjects\n", d->denieds);
	if (d->min_version[0])
		buf_printf(out, "version of the statement: at least %s\n", d->min_version);
	if (!d->renewed_within)
		return;
	buf_str(out, "statement: published within ");
	put_duration(out, d->renewed_within);
	buf_str(out, ", by heads that were seen\n");
}

static void explain_registers(const struct policy_destination *d, struct buf *out)
{
	for (uint32_t i = 0; i < d->pins; i++) {
		const struct policy_measurement *m = &d->pin[i];

		buf_printf(out, "register: %s.%s = ", attest_tee_name(m->tee), m->m.name);
		put_hex(out, (struct bytes){m->m.value, m->m.len});
		buf_str(out, "\n");
	}
	for (uint32_t i = 0; i < d->unpinneds; i++)
		buf_printf(out, "register: %s.%s may have any value (loosening)\n",
		           attest_tee_name(d->unpinned[i].tee), d->unpinned[i].name);
	buf_printf(out, "other registers of code and configuration: zero%s\n",
	           d->ledger < 0 && d->release < 0 ? "" : ", or what the statement says");
}

static void explain_identity(const struct policy_destination *d, struct buf *out)
{
	for (uint32_t i = 0; i < d->measurements; i++) {
		const struct policy_measurement *m = &d->measurement[i];

		buf_printf(out, "%s%s:", i ? "  or " : "measurement: ", attest_tee_name(m->tee));
		put_hex(out, (struct bytes){m->m.value, m->m.len});
		buf_str(out, "\n");
	}
	explain_registers(d, out);
	for (uint32_t i = 0; i < d->server_keys; i++) {
		buf_str(out, i ? "  or sha256:" : "server key: sha256:");
		put_hex(out, BYTES_OF(d->server_key[i]));
		buf_str(out, "\n");
	}
	for (uint32_t i = 0; i < d->chip_ids; i++) {
		buf_str(out, i ? "  or " : "chip: ");
		put_hex(out, (struct bytes){d->chip_id[i], d->chip_id_len[i]});
		buf_str(out, "\n");
	}
	if (!(d->tees & TEE_BIT(TEE_SNP)))
		return;
	if (d->has_host_data) {
		buf_str(out, "host data: ");
		put_hex(out, BYTES_OF(d->host_data));
		buf_str(out, "\n");
	} else {
		buf_str(out, "host data: zero\n");
	}
}

/* Of the platforms whose vendor rates and dates their TCB. */
static void explain_rating(const struct policy_destination *d, struct buf *out)
{
	char day[32];

	if (!(d->tees & (TEE_BIT(TEE_TDX) | TEE_BIT(TEE_SGX))))
		return;
	buf_str(out, "rating by the platform's vendor: UpToDate");
	for (enum policy_tcb_status s = TCB_UP_TO_DATE + 1; s < TCB_STATUS_MAX; s++)
		if (d->accept_tcb & 1u << s)
			buf_printf(out, " or %s (loosening)", policy_tcb_status_name(s));
	if (d->tcb_grace) {
		buf_str(out, " or out of date for at most ");
		put_duration(out, d->tcb_grace);
		buf_str(out, " (loosening)");
	}
	for (uint32_t i = 0; i < d->accept_advisories; i++)
		buf_printf(out, "%s%s", i ? ", " : ", if open to no more than ",
		           d->accept_advisory[i]);
	buf_str(out, "\n");
	if (d->min_tcb_date) {
		policy_date_text(d->min_tcb_date, day);
		buf_printf(out, "date of that rating's level: %s or later\n", day);
	}
	if (d->min_tcb_evaluation)
		buf_printf(out, "evaluation number of that rating: %" PRIu32 " or higher\n",
		           d->min_tcb_evaluation);
}

static void explain_snp(const struct policy_destination *d, struct buf *out)
{
	if (!(d->tees & TEE_BIT(TEE_SNP)))
		return;
	buf_printf(out, "report signed by: the chip's own key%s",
	           d->vlek == VLEK_DENY || d->vlek == VLEK_LISTED
	                   ? ""
	                   : ", or any provider's (loosening)");
	for (uint32_t i = 0; i < d->vlek_csps; i++)
		buf_printf(out, " or that of %s", d->vlek_csp[i]);
	buf_str(out, "\n");
	buf_printf(out, "privilege level: %u%s\n", d->vmpl, d->vmpl ? " (loosening)" : "");
	if (d->platform_required || d->platform_forbidden)
		buf_printf(out, "machine: platform bits 0x%" PRIx64 " set, 0x%" PRIx64 " clear\n",
		           d->platform_required, d->platform_forbidden);
	if (d->guest_policy_required || d->guest_policy_forbid)
		buf_printf(out,
		           "machine: guest policy bits 0x%" PRIx64 " set, 0x%" PRIx64 " clear\n",
		           d->guest_policy_required, d->guest_policy_forbid);
}

static void explain_attributes(const struct policy_destination *d, struct buf *out)
{
	for (size_t i = 0; i < policy_attributes_n; i++) {
		const struct attribute_name *a = &policy_attributes[i];

		if (d->attributes_required[a->tee] & a->bit)
			buf_printf(out, "attribute: %s set\n", a->name);
		if (d->attributes_forbidden[a->tee] & a->bit)
			buf_printf(out, "attribute: %s clear\n", a->name);
	}
}

static void explain_platform(const struct policy *p, const struct policy_destination *d,
                             struct buf *out)
{
	for (uint32_t i = 0; i < d->tcb_floors; i++)
		buf_printf(out, "%s%s at least %" PRIu32 "%s",
		           i ? ", " : "firmware: ", d->tcb_floor[i].name, d->tcb_floor[i].svn,
		           i + 1 == d->tcb_floors ? "\n" : "");
	if (d->tees & TEE_BIT(TEE_SNP) && !policy_floors_firmware(d, TEE_SNP))
		buf_str(out, "firmware of snp: of any age (loosening)\n");
	explain_rating(d, out);
	explain_snp(d, out);
	explain_attributes(d, out);
	if (d->no_built_in)
		buf_str(out, "roots: those of this policy only, no built-in ones\n");
	buf_str(out, d->allow_debug ? "debug guests: accepted (loosening)\n"
	                            : "debug guests: refused\n");
	buf_str(out, d->require_crl ? "revocation list: must be at hand\n"
	                            : "revocation list: used when at hand (loosening)\n");
	for (uint32_t i = 0; i < d->anchors; i++)
		buf_printf(out, "trusts anchor \"%s\" beside the vendor's roots (loosening)\n",
		           p->anchor[d->anchor[i]].name);
}

void policy_explain(const struct policy *p, uint32_t destination, struct buf *out)
{
	const struct policy_destination *d;
	const char *comma = "";

	if (destination >= p->destinations)
		return;
	d = &p->destination[destination];
	if (d->app) {
		buf_str(out, "only for ");
		policy_app_words(p, d, out);
		buf_str(out, "\n");
	}
	if (d->action == POLICY_MONITOR)
		buf_str(out, "NOT PROTECTED: connections pass untouched; what follows is only "
		             "looked at, on a connection of keygated's own, and logged\n");
	if (!policy_judges(d->action)) {
		buf_printf(out, "%s\n",
		           d->action == POLICY_ALLOW ? "connections pass untouched"
		                                     : "connections are refused");
		return;
	}
	buf_str(out, "platform: ");
	for (enum tee t = TEE_NONE + 1; t < TEE_MAX; t++) {
		if (!(d->tees & 1u << t))
			continue;
		buf_printf(out, "%s%s", comma, attest_tee_name(t));
		comma = " or ";
	}
	buf_printf(out, "\nevidence bound to: %s%s\n", policy_binder_name(d->binder),
	           d->binder < BINDER_CONNECTION ? " or stronger (loosening)" : "");
	buf_printf(out, "transport: %s\n", attest_transport_name(d->transport));
	if (d->kernel_tls != KERNEL_TLS_NONE)
		buf_printf(out, "the kernel's own connections ask for their handshake: %s\n",
		           policy_kernel_tls_name(d->kernel_tls));
	if (policy_lease_binder(d) != BINDER_NONE)
		buf_printf(out, "a connection may rest on the attestation of an earlier one%s\n",
		           policy_lease_binder(d) == BINDER_LEASE
		                   ? ""
		                   : ", if it shows the same server key");
	if (d->server_name[0])
		buf_printf(out, "server name: %s\n", d->server_name);
	explain_ledger(p, d, out);
	explain_release(p, d, out);
	explain_withdrawn(d, out);
	explain_identity(d, out);
	explain_platform(p, d, out);
	if (d->action == POLICY_MONITOR)
		return;
	buf_str(out, "session: at most ");
	put_duration(out, d->lease);
	buf_str(out, "\n");
}
