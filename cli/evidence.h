/* SPDX-License-Identifier: Apache-2.0 */
/* The file that shows that a log forked (docs/json.md), as it is read. Private to cli/. */
#ifndef KEYGATE_CLI_EVIDENCE_H
#define KEYGATE_CLI_EVIDENCE_H

#include <jansson.h>
#include "ledger/ledger.h"

enum { EVIDENCE_FILE_MAX = 512 << 10 };

/* The file's object, which the notes in *out are views into (the caller's); NULL: it is none. */
json_t *evidence_parse(struct bytes text, struct ledger_fork *out);

#endif
