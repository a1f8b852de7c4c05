/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands that judge evidence take from their options: files, anchors, collateral and
 * the time. Each returns 0, or says what is wrong and returns the status to end with. Private to
 * cli/.
 */
#ifndef KEYGATE_CLI_INPUT_H
#define KEYGATE_CLI_INPUT_H

#include "attest/attest.h"

/* The whole of a file ("-": standard input), the caller's. */
int input_file(const char *path, struct bytes *out);
int input_endorsement(struct attest_input *in, const char *path);
/*
 * All regular files of a directory, looked up by what they are; those that answer no vendor's name
 * are endorsements. What can't be read as either is named on standard error and left out.
 */
int input_collateral(struct attest_input *in, const char *dir);
int input_anchor(struct attest_input *in, const char *path);
int input_time(struct attest_input *in, const char *text);
/* Frees the evidence and what the above read. */
void input_free(struct attest_input *in);

#endif
