/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of release blocks: who must have signed, and the files that say what to trust. Knows
 * nothing of destinations.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/read.h"

/* The content of a file that the value names, the caller's; else an issue. */
static bool take_file(struct policy_reader *r, const struct policy_value *v, size_t max,
                      struct bytes *out)
{
	uint8_t *content;
	char *path;
	size_t n;

	if (!policy_load(r, v, max, &path, &content, &n))
		return false;
	free(path);
	*out = (struct bytes){content, n};
	if (n)
		return true;
	free(content);
	*out = BYTES_NONE;
	policy_unexpected(r, v, "a file with something in it");
	return false;
}

/* Of an identity or of a signer: both have room for as much. */
_Static_assert((int)RECEIPT_TEXT_MAX == (int)SIGSTORE_TEXT_MAX, "one kind of text");

static void take_text(struct policy_reader *r, const struct policy_value *v,
                      char out[static SIGSTORE_TEXT_MAX])
{
	if (strlen(v->text) < SIGSTORE_TEXT_MAX)
		snprintf(out, SIGSTORE_TEXT_MAX, "%s", v->text);
	else
		policy_unexpected(r, v, "a text of at most 511 characters");
}

void read_release_trusted_root(struct policy_reader *r, const struct policy_value *v)
{
	struct checks checks = {0};
	struct bytes text;
	int rc;

	if (!take_file(r, v, SIGSTORE_ROOT_MAX, &text))
		return;
	ledger_leaf_hash(text, &r->rel->trusted);
	rc = sigstore_root_parse(text, &r->rel->root, &checks);
	if (rc == -ENOMEM)
		r->no_memory = true;
	else if (rc)
		policy_error(r, v->line, "trusted-root: %.80s is none: %s", v->text,
		             checks.v[0].detail);
	free((void *)(uintptr_t)text.p);
}

/* Of either form; which one it is, is known at the end of the block. */
void read_release_issuer(struct policy_reader *r, const struct policy_value *v)
{
	take_text(r, v, r->rel->identity.issuer);
}

void read_release_san(struct policy_reader *r, const struct policy_value *v)
{
	take_text(r, v, r->rel->identity.san);
}

void read_release_repository(struct policy_reader *r, const struct policy_value *v)
{
	take_text(r, v, r->rel->identity.repository);
}

void read_release_ref(struct policy_reader *r, const struct policy_value *v)
{
	take_text(r, v, r->rel->identity.ref);
}

void read_release_predicate_type(struct policy_reader *r, const struct policy_value *v)
{
	if (release_predicate_known(v->text))
		take_text(r, v, r->rel->identity.predicate_type);
	else
		policy_unexpected(
		        r, v,
		        "a type whose measurements are read; one is " RELEASE_TINFOIL_MULTI
		        ", others end in " STATEMENT_PREDICATE_V);
}

void read_release_key(struct policy_reader *r, const struct policy_value *v)
{
	(void)take_file(r, v, SIGSTORE_KEY_MAX, &r->rel->identity.key);
	if (r->rel->identity.key.n && !sigstore_key_ok(r->rel->identity.key))
		policy_unexpected(r, v, "a public key (RSA, ECDSA or Ed25519), PEM or DER");
}

void read_release_bundle(struct policy_reader *r, const struct policy_value *v)
{
	(void)take_file(r, v, SIGSTORE_BUNDLE_MAX, &r->rel->bundle);
}

void read_release_trust_store(struct policy_reader *r, const struct policy_value *v)
{
	struct checks checks = {0};
	struct bytes text;
	int rc;

	if (!take_file(r, v, RECEIPT_STORE_MAX, &text))
		return;
	ledger_leaf_hash(text, &r->rel->trusted);
	rc = receipt_store_parse(text, &r->rel->keys, &checks);
	if (rc == -ENOMEM)
		r->no_memory = true;
	else if (rc)
		policy_error(r, v->line, "trust-store: %.80s is none: %s", v->text,
		             checks.v[0].detail);
	free((void *)(uintptr_t)text.p);
}

void read_release_subject(struct policy_reader *r, const struct policy_value *v)
{
	take_text(r, v, r->rel->signer.subject);
}

void read_release_min_svn(struct policy_reader *r, const struct policy_value *v)
{
	r->rel->signer.has_min_svn = true;
	if (decimal_u64(bytes_str(v->text), INT64_MAX, &r->rel->signer.min_svn))
		policy_unexpected(r, v, "a number");
}

void read_release_statement(struct policy_reader *r, const struct policy_value *v)
{
	(void)take_file(r, v, STATEMENT_COSE_MAX, &r->rel->statement);
}
