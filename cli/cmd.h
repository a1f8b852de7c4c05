/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The administrator's tool: what its commands share. A command is a function of its own argument
 * vector (argv[0] is the full command, e.g. "keygate verify proof", for getopt's messages) that
 * prints and returns the exit status. main.c holds the table; a command lives in one file.
 */
#ifndef KEYGATE_CLI_CMD_H
#define KEYGATE_CLI_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/verdict.h"

/* The contract that scripts rely on. */
enum {
	CMD_YES = 0,
	CMD_USAGE = 1,   /* usage or configuration error */
	CMD_NO = 2,      /* refused, failed verification, policy not satisfied */
	CMD_UNKNOWN = 3, /* evidence, collateral, ledger or daemon unavailable */
};

int cmd_verify_evidence(int argc, char **argv);
int cmd_verify_checkpoint(int argc, char **argv);
int cmd_verify_inclusion(int argc, char **argv);
int cmd_verify_consistency(int argc, char **argv);
int cmd_verify_subtree(int argc, char **argv);
int cmd_verify_proof(int argc, char **argv);
int cmd_verify_bundle(int argc, char **argv);
int cmd_verify_receipt(int argc, char **argv);
int cmd_policy_check(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_sessions(int argc, char **argv);
int cmd_leases(int argc, char **argv);
int cmd_ledger_status(int argc, char **argv);
int cmd_ledger_heads(int argc, char **argv);
int cmd_ledger_evidence(int argc, char **argv);
int cmd_ledger_forget(int argc, char **argv);
int cmd_ledger_watch(int argc, char **argv);
int cmd_revoke(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_arm(int argc, char **argv);
int cmd_disarm(int argc, char **argv);
int cmd_watch(int argc, char **argv);
int cmd_anchors(int argc, char **argv);
int cmd_probe(int argc, char **argv);

/* ------------------------------------------------------------------- out.c */

/* "keygate: message" on standard error; returns status, so that a command can `return` it. */
__attribute__((format(printf, 2, 3))) int cmd_error(int status, const char *fmt, ...);
/* A line on standard error with the usage of argv[0] and where to read more; CMD_USAGE. */
int cmd_usage(const char *command, const char *synopsis);
/* Prints j in one line with keys in their order and drops the reference. 0, or CMD_UNKNOWN. */
struct json_t;
int cmd_print_json(struct json_t *j);
/* Prints what a buffer holds and frees it. */
struct buf;
void cmd_print_buf(struct buf *b);
/* pass 0, fail 2, unavailable 3. */
int cmd_status_of(enum check_status overall);
/* "2026-11-23 23:59:01Z"; "never" for 0. */
void cmd_time_text(int64_t t, char out[static 32]);

/* Rows of texts, printed in columns that are as wide as their widest text. */
enum { TABLE_COLUMNS = 12 };
struct table {
	size_t columns;
	size_t rows;
	char **cell; /* rows * columns, owned */
	bool bad;    /* out of memory */
};
/* Appends a row of `columns` strings (copied). */
void table_row(struct table *t, const char *const *cell);
/* Prints each row behind indent, and frees the table. */
void table_print(struct table *t, const char *indent);

#endif
