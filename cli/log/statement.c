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

struct statement_args {
	const char *measurement;
	const char *subject;
	const char *digest;
	const char *version;
	uint64_t not_after;
};

enum { MEASUREMENT_LEN = 48, OPT_VERSION = 1000, OPT_NOT_AFTER, OPT_DIGEST, OPT_SUBJECT, OPT_SNP };

static error_t statement_option(int key, char *arg, struct argp_state *state)
{
	struct statement_args *a = state->input;

	switch (key) {
	case OPT_SNP:
		a->measurement = arg;
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
		if (!a->measurement || !a->subject || !a->version)
			argp_error(state, "--snp-measurement, --subject and --version are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Where no image is named, the subject is the measurement: its SHA-256. */
static int subject_digest(const struct statement_args *a, char out[static 2 * HASH_LEN + 1])
{
	uint8_t measurement[MEASUREMENT_LEN];
	uint8_t digest[HASH_LEN];

	if (hex_decode(bytes_str(a->measurement), measurement, sizeof(measurement)))
		return log_error(LOG_ERROR, "--snp-measurement: wanted 96 hex digits");
	if (a->digest) {
		if (hex_decode(bytes_str(a->digest), digest, sizeof(digest)))
			return log_error(LOG_ERROR, "--subject-sha256: wanted 64 hex digits");
	} else if (!EVP_Digest(measurement, sizeof(measurement), digest, NULL, EVP_sha256(),
	                       NULL)) {
		return log_error(LOG_ERROR, "out of memory");
	}
	hex_encode(BYTES_OF(digest), out);
	return LOG_OK;
}

static json_t *statement_json(const struct statement_args *a, const char *digest)
{
	uint8_t measurement[MEASUREMENT_LEN];
	char hex[2 * MEASUREMENT_LEN + 1];
	json_t *predicate;

	/* Lower case, however it was given. */
	if (hex_decode(bytes_str(a->measurement), measurement, sizeof(measurement)))
		return NULL;
	hex_encode(BYTES_OF(measurement), hex);
	predicate = json_pack("{s:s, s:s}", "snp_measurement", hex, "version", a->version);
	if (predicate && a->not_after &&
	    json_object_set_new(predicate, "not_after", json_integer((json_int_t)a->not_after))) {
		json_decref(predicate);
		return NULL;
	}
	return json_pack("{s:s, s:o, s:s, s:[{s:{s:s}, s:s}]}", "_type", STATEMENT_TYPE,
	                 "predicate", predicate, "predicateType", STATEMENT_PREDICATE, "subject",
	                 "digest", "sha256", digest, "name", a->subject);
}

int log_statement(int argc, char **argv)
{
	static const struct argp_option options[] = {
	        {"snp-measurement", OPT_SNP, "HEX", 0, "the launch measurement: 96 hex digits", 0},
	        {"subject", OPT_SUBJECT, "NAME", 0, "what was measured", 0},
	        {"subject-sha256", OPT_DIGEST, "HEX", 0,
	         "its digest (that of the measurement's bytes)", 0},
	        {"version", OPT_VERSION, "V", 0, "its version", 0},
	        {"not-after", OPT_NOT_AFTER, "UNIX", 0,
	         "from this second on the statement no longer holds (no end)", 0},
	        {0},
	};
	static const struct argp argp = {
	        options,
	        statement_option,
	        NULL,
	        "Print a leaf: the statement that this measurement is one of "
	        "ours. The bytes are the leaf; nothing may be added to them.",
	        NULL,
	        NULL,
	        NULL};
	char digest[2 * HASH_LEN + 1];
	struct statement_args a = {0};
	struct checks checks = {0};
	struct statement parsed;
	json_t *j;
	char *text;
	int status;

	log_parse(&argp, argc, argv, &a);
	status = subject_digest(&a, digest);
	if (status)
		return status;
	j = statement_json(&a, digest);
	text = j ? json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII) : NULL;
	json_decref(j);
	if (!text)
		return log_error(LOG_ERROR, "a value is not UTF-8, or out of memory");
	if (ledger_statement_parse(bytes_str(text), 0, &parsed, &checks))
		status = log_refuse("the statement", &checks);
	else
		fwrite(text, 1, strlen(text), stdout);
	free(text);
	return status;
}
