/* SPDX-License-Identifier: Apache-2.0 */
/* Policy files from disk, as keygated reads them, for the commands that look at files. */
#ifndef KEYGATE_CLI_LOAD_H
#define KEYGATE_CLI_LOAD_H

#include <jansson.h>
#include "policy/policy.h"

/*
 * path is one file, or a directory: with keygate.conf or policy.d in it these two (as in
 * /etc/keygate), else its *.conf. Files in lexical order. As policy_parse; what can't be read is an
 * issue. *files says how many configuration files there were.
 */
int load_policy(const char *path, struct policy **out, struct policy_issues *issues, size_t *files);
/* [{"error", "file", "line", "text"}] */
json_t *load_issues_json(const struct policy_issues *issues);

#endif
