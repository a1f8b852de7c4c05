/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate-log statement: a leaf in the strict form that ledger/ reads, and read by it before it is
 * printed.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/log/log.h"

enum { REGISTERS_MAX = STATEMENT_TEES_MAX * MEASUREMENTS_MAX };

struct statement_args {
	const char *registers[REGISTERS_MAX]; /* "tdx.mrtd=HEX" */
	bool is_snp[REGISTERS_MAX];           /* "HEX" alone, of snp.measurement */
	size_t registers_n;
	const char *subject;
	const char *digest;
	const char *version;
	uint64_t not_after;
};

enum {
	OPT_VERSION = 1000,
	OPT_NOT_AFTER,
	OPT_DIGEST,
	OPT_SUBJECT,
	OPT_SNP,
	OPT_REGISTER,
};

static error_t statement_option(int key, char *arg, struct argp_state *state)
{
	struct statement_args *a = state->input;

	switch (key) {
	case OPT_SNP:
	case OPT_REGISTER:
		if (a->registers_n == REGISTERS_MAX)
			argp_error(state, "at most %d registers", REGISTERS_MAX);
		a->is_snp[a->registers_n] = key == OPT_SNP;
		a->registers[a->registers_n++] = arg;
		return 0;
	case OPT_SUBJECT:
		a->subject = arg;
		return 0;
	case OPT_DIGEST:
		a->digest = arg;
		return 0;
	case OPT_VERSION:
		a->version = arg;
		return 0;
	case OPT_NOT_AFTER:
		a->not_after = log_number(state, "not-after", arg, INT64_MAX - 1);
		return 0;
	case ARGP_KEY_END:
		if (!a->registers_n || !a->subject || !a->version)
			argp_error(state, "--snp-measurement or --register, --subject and "
			                  "--version are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* A register as it was given: which one it is, and its bytes. */
struct given {
	const struct statement_register *is;
	uint8_t value[MEASUREMENT_MAX];
	size_t len;
};

static const struct statement_register *find_register(const char *name, size_t n)
{
	char tee[8];
	size_t dot = strcspn(name, ".");
	char rest[24];

	if (dot >= n || dot >= sizeof(tee) || n - dot - 1 >= sizeof(rest))
		return NULL;
	memcpy(tee, name, dot);
	tee[dot] = '\0';
	memcpy(rest, name + dot + 1, n - dot - 1);
	rest[n - dot - 1] = '\0';
	return statement_register_find(tee, rest);
}

static int read_register(const struct statement_args *a, size_t i, struct given *out)
{
	const char *text = a->registers[i];
	char digits[16];
	size_t n = a->is_snp[i] ? 0 : strcspn(text, "=");
	const char *hex = a->is_snp[i] ? text : text + n + (text[n] != '\0');

	out->is = a->is_snp[i] ? statement_register_find("snp", "measurement")
	                       : find_register(text, n);
	if (!out->is)
		return log_error(LOG_ERROR,
		                 "--register: wanted PLATFORM.REGISTER=HEX, like tdx.mrtd=...; "
		                 "no statement can name \"%.*s\"",
		                 (int)(n < 40 ? n : 40), text);
	out->len = strlen(hex) / 2;
	snprintf(digits, sizeof(digits), "%d", 2 * out->is->len);
	if (!statement_register_takes(out->is->len, out->len) ||
	    hex_decode(bytes_str(hex), out->value, out->len))
		return log_error(LOG_ERROR, "%s.%s: wanted %s hex digits", out->is->tee,
		                 out->is->name, out->is->len ? digits : "64, 96 or 128");
	return LOG_OK;
}

/* Where no image is named, the subject is the measurement: the SHA-256 of the first one given. */
static int subject_digest(const struct statement_args *a, char out[static 2 * HASH_LEN + 1])
{
	uint8_t digest[HASH_LEN];
	struct given first = {0};
	int status = LOG_OK;

	if (a->digest) {
		if (hex_decode(bytes_str(a->digest), digest, sizeof(digest)))
			return log_error(LOG_ERROR, "--subject-sha256: wanted 64 hex digits");
	} else {
		status = read_register(a, 0, &first);
		if (!status &&
		    !EVP_Digest(first.value, first.len, digest, NULL, EVP_sha256(), NULL))
			status = log_error(LOG_ERROR, "out of memory");
	}
	if (!status)
		hex_encode(BYTES_OF(digest), out);
	return status;
}

/* In lower case, however it was given. */
static int put_register(json_t *predicate, const struct given *g)
{
	/* The one that has no platform around it. */
	bool is_bare = g->is == statement_register_find("snp", "measurement");
	const char *name = is_bare ? "snp_measurement" : g->is->name;
	json_t *into = is_bare ? predicate : json_object_get(predicate, g->is->tee);
	char hex[2 * MEASUREMENT_MAX + 1];

	hex_encode((struct bytes){g->value, g->len}, hex);
	if (!into) {
		into = json_object();
		if (json_object_set_new(predicate, g->is->tee, into))
			return log_error(LOG_ERROR, "out of memory");
	}
	if (json_object_get(into, name))
		return log_error(LOG_ERROR, "%s.%s is given twice", g->is->tee, g->is->name);
	if (json_object_set_new(into, name, json_string(hex)))
		return log_error(LOG_ERROR, "out of memory");
	return LOG_OK;
}

static int put_predicate(const struct statement_args *a, json_t *predicate)
{
	int status = LOG_OK;

	for (size_t i = 0; i < a->registers_n && !status; i++) {
		struct given g = {0};

		status = read_register(a, i, &g);
		if (!status)
			status = put_register(predicate, &g);
	}
	if (!status &&
	    (json_object_set_new(predicate, "version", json_string(a->version)) ||
	     (a->not_after &&
	      json_object_set_new(predicate, "not_after", json_integer((json_int_t)a->not_after)))))
		status = log_error(LOG_ERROR, "a value is not UTF-8, or out of memory");
	return status;
}

/* The leaf's text, for free(); NULL when a value is not UTF-8. */
static char *statement_text(const struct statement_args *a, json_t *predicate, const char *digest)
{
	json_t *j = json_pack("{s:s, s:O, s:s, s:[{s:{s:s}, s:s}]}", "_type", STATEMENT_TYPE,
	                      "predicate", predicate, "predicateType", STATEMENT_PREDICATE,
	                      "subject", "digest", "sha256", digest, "name", a->subject);
	char *text = j ? json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII) : NULL;

	json_decref(j);
	return text;
}

static int print_statement(const struct statement_args *a)
{
	char digest[2 * HASH_LEN + 1];
	json_t *predicate = json_object();
	struct checks checks = {0};
	struct statement parsed;
	char *text = NULL;
	int status = subject_digest(a, digest);

	if (!status)
		status = put_predicate(a, predicate);
	if (status)
		goto out;
	text = statement_text(a, predicate, digest);
	if (!text)
		status = log_error(LOG_ERROR, "a value is not UTF-8, or out of memory");
	else if (ledger_statement_parse(bytes_str(text), 0, &parsed, &checks))
		status = log_refuse("the statement", &checks);
	else
		fwrite(text, 1, strlen(text), stdout);
out:
	free(text);
	json_decref(predicate);
	return status;
}

int log_statement(int argc, char **argv)
{
	static const struct argp_option options[] = {
	        {"snp-measurement", OPT_SNP, "HEX", 0,
	         "the launch measurement of SEV-SNP: 96 hex digits", 0},
	        {"register", OPT_REGISTER, "PLATFORM.REGISTER=HEX", 0,
	         "a register of a platform, like tdx.mrtd, sgx.mrenclave, cca.rim or nitro.pcr0; "
	         "again for each one",
	         0},
	        {"subject", OPT_SUBJECT, "NAME", 0, "what was measured", 0},
	        {"subject-sha256", OPT_DIGEST, "HEX", 0,
	         "its digest (that of the first register's bytes)", 0},
	        {"version", OPT_VERSION, "V", 0, "its version", 0},
	        {"not-after", OPT_NOT_AFTER, "UNIX", 0,
	         "from this second on the statement no longer holds (no end)", 0},
	        {0},
	};
	static const struct argp argp = {
	        options,
	        statement_option,
	        NULL,
	        "Print a leaf: the statement that these measurements are ours. "
	        "The bytes are the leaf; nothing may be added to them.",
	        NULL,
	        NULL,
	        NULL};
	struct statement_args a = {0};

	log_parse(&argp, argc, argv, &a);
	return print_statement(&a);
}
