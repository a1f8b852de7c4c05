/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict over a transparent statement: which question is asked after which. First what the
 * services vouch for (that it is logged, and when), then who the issuer is at that time, and last
 * what the statement says.
 */
#include "ledger/receipt_room.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>

struct job {
	const struct receipt_ask *ask;
	const struct receipt_keys *keys;
	int64_t at;
	struct receipt_result *out;
	struct checks *checks;
	struct cose_statement *statement; /* NULL: it is no statement that is asked for */
	struct hash entry;                /* SHA-256 of what must have been logged */
	struct cose_receipt *receipt;     /* the one under judgement */
	struct hash root;                 /* that it must have signed */
	EVP_PKEY *issuer;                 /* owned */
};

static bool fail(struct job *j, const char *id, const char *why)
{
	check_add(j->checks, id, CHECK_FAIL, "%s", why);
	return false;
}

/* ------------------------------------------------------------------ one receipt */

static bool check_format(struct job *j, struct bytes data)
{
	const char *why;

	if (cose_receipt_parse(data, j->receipt, &why))
		return fail(j, "receipt.format", why);
	check_add(j->checks, "receipt.format", CHECK_PASS, "a receipt of %s, %s",
	          j->receipt->consistency ? "consistency" : "inclusion",
	          j->receipt->vds == VDS_CCF ? "CCF" : "RFC 9162");
	return true;
}

/*
 * False: it is by no key that is known. Among those that the statement carries that is no fault,
 * since others' services may have logged it too: *skip.
 */
static bool check_key(struct job *j, EVP_PKEY **key, bool *skip)
{
	const char *why;

	*key = NULL;
	*skip = false;
	if (!j->keys) {
		check_add(j->checks, "receipt.key", CHECK_UNAVAILABLE, "no keys are given");
		return true;
	}
	*key = receipt_key_of(j->keys, j->receipt, skip, &why);
	*skip = *skip && !j->ask->receipt.n;
	if (*key)
		check_add(j->checks, "receipt.key", CHECK_PASS, "a key that is known");
	else
		check_add(j->checks, "receipt.key", *skip ? CHECK_SKIP : CHECK_FAIL, "%s", why);
	return *key != NULL;
}

/* Whether it is a receipt of what is asked for, as far as it says so itself. */
static bool check_entry(struct job *j)
{
	const struct cose_receipt *r = j->receipt;

	if (r->consistency != (j->ask->of == RECEIPT_OF_TREE))
		return fail(j, "receipt.entry",
		            r->consistency ? "it is of two trees, not of an entry"
		                           : "it is of an entry, not of an earlier tree");
	if (r->vds != VDS_CCF)
		return true;
	if (j->ask->of == RECEIPT_OF_LEAF)
		return fail(j, "receipt.entry", "a CCF ledger has no leaf hashes of RFC 9162");
	if (memcmp(r->ccf.data.v, j->entry.v, HASH_LEN) != 0)
		return fail(j, "receipt.entry", "it is of another entry");
	check_add(j->checks, "receipt.entry", CHECK_PASS, "of this entry");
	return true;
}

/* The leaf is 96 bytes and a node 64, and nothing else tells them apart: both sizes are fixed. */
static void ccf_root(const struct ccf_proof *p, struct hash *out)
{
	uint8_t leaf[3 * HASH_LEN], node[2 * HASH_LEN];
	struct hash evidence;

	ledger_sha256(p->evidence, &evidence);
	memcpy(leaf, p->transaction.v, HASH_LEN);
	memcpy(leaf + HASH_LEN, evidence.v, HASH_LEN);
	memcpy(leaf + 2 * (size_t)HASH_LEN, p->data.v, HASH_LEN);
	ledger_sha256(BYTES_OF(leaf), out);
	for (uint32_t i = 0; i < p->path_n; i++) {
		memcpy(node + (p->left[i] ? HASH_LEN : 0), out->v, HASH_LEN);
		memcpy(node + (p->left[i] ? 0 : HASH_LEN), p->path[i].v, HASH_LEN);
		ledger_sha256(BYTES_OF(node), out);
	}
}

static int rfc9162_root(const struct job *j, struct hash *out)
{
	const struct rfc9162_proof *p = &j->receipt->rfc9162;
	struct hash leaf = j->ask->hash;

	if (j->ask->of == RECEIPT_OF_TREE)
		return ledger_consistency_root(p->index, &leaf, p->size, p->path, p->path_n, out);
	if (j->ask->of == RECEIPT_OF_STATEMENT)
		ledger_leaf_hash(BYTES_OF(j->entry.v), &leaf);
	else if (j->ask->of == RECEIPT_OF_ENTRY)
		ledger_leaf_hash(j->ask->content, &leaf);
	return ledger_inclusion_root(p->index, p->size, &leaf, p->path, p->path_n, out);
}

/* The root that must have been signed: the path's end, since nothing else says it. */
static bool check_path(struct job *j)
{
	const struct rfc9162_proof *p = &j->receipt->rfc9162;
	const char *id = j->receipt->consistency ? "receipt.consistency" : "receipt.inclusion";
	char root[2 * HASH_LEN + 1];
	int ret = 0;

	if (j->receipt->vds == VDS_CCF)
		ccf_root(&j->receipt->ccf, &j->root);
	else
		ret = rfc9162_root(j, &j->root);
	if (ret == -EINVAL)
		return fail(j, id, "no path of this length is between them");
	if (ret)
		return fail(j, id, "the path does not start at the earlier tree");
	hex_encode(BYTES_OF(j->root.v), root);
	if (j->receipt->vds == VDS_CCF)
		check_add(j->checks, id, CHECK_PASS, "%" PRIu32 " steps to the root %s",
		          j->receipt->ccf.path_n, root);
	else
		check_add(j->checks, id, CHECK_PASS, "%s %" PRIu64 " of %" PRIu64 ", root %s",
		          j->receipt->consistency ? "the first" : "index", p->index, p->size, root);
	return true;
}

static bool check_signature(struct job *j, EVP_PKEY *key)
{
	struct cose_sign1 *s = &j->receipt->sign1;

	s->payload = BYTES_OF(j->root.v);
	if (!key) {
		check_add(j->checks, "receipt.signature", CHECK_UNAVAILABLE,
		          "there is no key to check it with");
		return false;
	}
	if (!cose_sign1_verify(s, key))
		return fail(j, "receipt.signature",
		            "the key did not sign this root: the path, the entry or the signature "
		            "is another one");
	check_add(j->checks, "receipt.signature", CHECK_PASS, "%s over the root",
	          cose_alg_name(s->alg));
	return true;
}

static bool check_time(struct job *j)
{
	int64_t latest =
	        j->at > VERDICT_FOREVER - LEDGER_SKEW ? VERDICT_FOREVER : j->at + LEDGER_SKEW;
	int64_t is = j->receipt->claims.issued_at;

	if (is > latest) {
		check_add(j->checks, "receipt.time", CHECK_FAIL,
		          "registered at %" PRId64 ", which is yet to come", is);
		return false;
	}
	check_add(j->checks, "receipt.time", is ? CHECK_PASS : CHECK_SKIP,
	          is ? "registered at %" PRId64 : "the service does not say when", is);
	return true;
}

static void take_receipt(struct job *j)
{
	const struct cose_receipt *r = j->receipt;
	struct receipt_result *o = j->out;

	if (r->claims.issued_at && (!o->registered_at || r->claims.issued_at < o->registered_at))
		o->registered_at = r->claims.issued_at;
	if (o->receipts++)
		return;
	o->vds = (enum receipt_vds)r->vds;
	memcpy(o->ledger, r->claims.issuer, sizeof(o->ledger));
	memcpy(o->txid, r->txid, sizeof(o->txid));
	o->root = j->root;
}

/* False when the verdict is no longer open; a receipt of somebody else's key leaves it so. */
static bool check_receipt(struct job *j, struct bytes data)
{
	EVP_PKEY *key;
	bool skip;

	if (!check_format(j, data))
		return false;
	if (!check_key(j, &key, &skip))
		return skip;
	if (!check_entry(j) || !check_path(j) || !check_signature(j, key) || !check_time(j))
		return false;
	take_receipt(j);
	return true;
}

static bool check_receipts(struct job *j)
{
	bool given = j->ask->receipt.n > 0;

	if (!given && (!j->statement || !j->statement->receipts))
		return fail(j, "receipt.present", "none is given, and the statement carries none");
	check_add(j->checks, "receipt.present", CHECK_PASS, "%" PRIu32 " %s",
	          given ? 1 : j->statement->receipts, given ? "given" : "in the statement");
	if (given)
		return check_receipt(j, j->ask->receipt);
	for (uint32_t i = 0; i < j->statement->receipts; i++)
		if (!check_receipt(j, j->statement->receipt[i]))
			return false;
	return j->out->receipts > 0 ||
	       fail(j, "receipt.key", "no receipt is signed with a key that is known");
}

/* -------------------------------------------------------------- the statement */

static bool check_issuer_key(struct job *j)
{
	j->issuer = ledger_public_key(j->ask->signer.key);
	if (!j->issuer)
		return fail(j, "statement.key", "what is given is no public key of a known kind");
	if (!cose_key_fits(j->issuer, j->statement->sign1.alg))
		return fail(j, "statement.key", "the algorithm does not fit the key");
	check_add(j->checks, "statement.key", CHECK_PASS, "a key that is known");
	return true;
}

/* A service's time says when the statement was there, and so when the certificate had to hold. */
static bool check_certificate(struct job *j)
{
	int64_t t = j->out->registered_at ? j->out->registered_at : j->at;
	const char *why;

	j->issuer = did_x509_key(j->ask->signer.issuer, j->statement, t, &why);
	if (!j->issuer)
		return fail(j, "statement.certificate", why);
	check_add(j->checks, "statement.certificate", CHECK_PASS,
	          "issued by the authority that the did:x509 names, valid at %" PRId64, t);
	return true;
}

static bool check_issuer(struct job *j)
{
	const char *wanted = j->ask->signer.issuer;

	if (wanted[0] && strcmp(wanted, j->statement->claims.issuer) != 0)
		return fail(j, "statement.issuer", "it is by another issuer, or names none");
	check_add(j->checks, "statement.issuer", wanted[0] ? CHECK_PASS : CHECK_SKIP, "%s",
	          wanted[0] ? wanted : "not asked for");
	return true;
}

static bool check_statement_signature(struct job *j)
{
	const struct cose_sign1 *s = &j->statement->sign1;

	if (!cose_sign1_verify(s, j->issuer))
		return fail(j, "statement.signature", "the issuer's key did not sign it");
	check_add(j->checks, "statement.signature", CHECK_PASS, "%s", cose_alg_name(s->alg));
	return true;
}

static bool check_subject(struct job *j)
{
	const char *wanted = j->ask->signer.subject;

	if (wanted[0] && strcmp(wanted, j->statement->claims.subject) != 0)
		return fail(j, "statement.subject", "it is about something else");
	check_add(j->checks, "statement.subject", wanted[0] ? CHECK_PASS : CHECK_SKIP, "%s",
	          wanted[0] ? wanted : "not asked for");
	return true;
}

static bool check_svn(struct job *j)
{
	const struct cwt_claims *c = &j->statement->claims;
	const struct receipt_signer *s = &j->ask->signer;

	if (!s->has_min_svn)
		return true;
	if (!c->has_svn)
		return fail(j, "statement.svn", "it states no svn");
	check_add(j->checks, "statement.svn", c->svn < s->min_svn ? CHECK_FAIL : CHECK_PASS,
	          "%" PRIu64 ", wanted at least %" PRIu64, c->svn, s->min_svn);
	return c->svn >= s->min_svn;
}

static bool check_payload(struct job *j)
{
	struct bytes is = j->statement->sign1.payload, content = j->ask->payload;
	int64_t alg = j->statement->payload_hash_alg;
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (!content.p) {
		check_add(j->checks, "statement.payload", CHECK_SKIP,
		          "what it is about is not given");
		return true;
	}
	if (alg && EVP_Digest(content.p, content.n, digest, &n, cose_hash(alg), NULL) == 1)
		content = (struct bytes){digest, n};
	if (!bytes_equal(is, content))
		return fail(j, "statement.payload",
		            "it is about something else than what is given");
	check_add(j->checks, "statement.payload", CHECK_PASS, "%s",
	          alg ? cose_hash_name(alg) : "the content itself");
	return true;
}

static void take_statement(struct job *j)
{
	const struct cose_statement *s = j->statement;
	struct receipt_result *o = j->out;

	memcpy(o->issuer, s->claims.issuer, sizeof(o->issuer));
	memcpy(o->subject, s->claims.subject, sizeof(o->subject));
	o->has_svn = s->claims.has_svn;
	o->svn = s->claims.svn;
	o->entry = j->entry;
	o->payload = s->sign1.payload;
	o->payload_hash = s->payload_hash_alg ? cose_hash_name(s->payload_hash_alg) : NULL;
}

static bool check_statement(struct job *j)
{
	bool key = j->ask->signer.key.n > 0;

	if (!(key ? check_issuer_key(j) : check_certificate(j)) || !check_issuer(j) ||
	    !check_statement_signature(j) || !check_subject(j) || !check_svn(j) ||
	    !check_payload(j))
		return false;
	take_statement(j);
	return true;
}

/* ----------------------------------------------------------------------- whole */

/* 0 to go on, 1 when it was refused, -ENOMEM. */
static int take_entry(struct job *j, struct cose_statement *s)
{
	const char *why;

	if (j->ask->of == RECEIPT_OF_ENTRY)
		ledger_sha256(j->ask->content, &j->entry);
	if (j->ask->of != RECEIPT_OF_STATEMENT)
		return 0;
	if (cose_statement_parse(j->ask->content, s, &why)) {
		check_add(j->checks, "statement.format", CHECK_FAIL, "%s", why);
		return 1;
	}
	check_add(j->checks, "statement.format", CHECK_PASS, "a statement, %s",
	          cose_alg_name(s->sign1.alg));
	j->statement = s;
	return cose_statement_entry(s, &j->entry);
}

int receipt_verify(const struct receipt_ask *ask, const struct receipt_keys *keys, int64_t at,
                   struct receipt_result *out, struct checks *checks)
{
	struct cose_statement *statement = calloc(1, sizeof(*statement));
	struct cose_receipt *receipt = calloc(1, sizeof(*receipt));
	struct job j = {.ask = ask,
	                .keys = keys,
	                .at = at,
	                .out = out,
	                .checks = checks,
	                .receipt = receipt};
	int ret = -ENOMEM;

	memset(out, 0, sizeof(*out));
	if (statement && receipt)
		ret = take_entry(&j, statement);
	if (!ret && check_receipts(&j) && j.statement)
		(void)check_statement(&j);
	EVP_PKEY_free(j.issuer);
	free(statement);
	free(receipt);
	return ret < 0 ? ret : 0;
}
