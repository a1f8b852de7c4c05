/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints in a log's directory: read, judged under one key, and their lines picked; and the
 * files that say whose keys count.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "cli/log/log.h"
#include "core/file.h"

void log_note_free(struct log_note *n)
{
	log_bytes_free(n->data);
	n->data = BYTES_NONE;
}

int log_note_read(const struct log_store *s, const char *name, struct log_note *out)
{
	struct note *note = malloc(sizeof(*note));
	int status = LOG_OK;
	int ret;

	*out = (struct log_note){0};
	if (!note)
		return log_error(LOG_ERROR, "out of memory");
	ret = log_store_read(s, name, NOTE_MAX, &out->data);
	if (ret)
		status = log_error(LOG_ERROR, "%s/%s: %s", s->dir, name, strerror(-ret));
	else if (ledger_note_parse(out->data, note) ||
	         ledger_checkpoint_parse(note->text, &out->cp))
		status = log_error(LOG_REFUSED, "%s/%s is not a signed checkpoint", s->dir, name);
	if (status)
		log_note_free(out);
	free(note);
	return status;
}

int log_note_verified(const struct log_store *s, const char *name, const struct vkey *log,
                      struct log_note *out)
{
	struct tlog_policy *policy = malloc(sizeof(*policy));
	struct ledger_time t = {VERDICT_FOREVER, -1};
	struct checks checks = {0};
	struct ledger_head head;
	int status;

	*out = (struct log_note){0};
	if (!policy)
		return log_error(LOG_ERROR, "out of memory");
	status = log_note_read(s, name, out);
	if (!status && (ledger_policy_flat(policy, log, 1, NULL, 0, 0) ||
	                ledger_verify_checkpoint(out->data, policy, &t, &head, &checks)))
		status = log_error(LOG_ERROR, "%s can't verify a log", log->name);
	if (!status && checks_overall(&checks) != CHECK_PASS)
		status = log_refuse("the checkpoint", &checks);
	if (status)
		log_note_free(out);
	free(policy);
	return status;
}

int log_note_own(const struct log_store *s, EVP_PKEY *key, struct log_note *out)
{
	struct vkey k;
	int status = log_note_read(s, LOG_CHECKPOINT, out);

	if (status)
		return status;
	status = ledger_vkey_of(key, out->cp.origin, NOTE_ED25519, &k)
	                 ? log_error(LOG_REFUSED, "\"%s\" can't name a key", out->cp.origin)
	                 : LOG_OK;
	log_note_free(out);
	return status ? status : log_note_verified(s, LOG_CHECKPOINT, &k, out);
}

int log_note_filter(struct bytes note, const struct vkey *key, bool only, struct buf *out)
{
	struct note *n = malloc(sizeof(*n));
	const uint8_t *line;
	int ret = n ? ledger_note_parse(note, n) : -ENOMEM;

	if (ret)
		goto out;
	buf_bytes(out, n->text);
	buf_u8(out, '\n');
	line = n->text.p + n->text.n + 1;
	for (uint32_t i = 0; i < n->sigs; i++) {
		const struct note_sig *sig = &n->sig[i];
		/* A note ends with a line feed. */
		const uint8_t *next =
		        (const uint8_t *)memchr(line, '\n', note.n - (size_t)(line - note.p)) + 1;
		bool of_key = memcmp(sig->id, key->id, sizeof(sig->id)) == 0 &&
		              bytes_equal(sig->name, bytes_str(key->name));

		if (of_key == only)
			buf_put(out, line, (size_t)(next - line));
		line = next;
	}
	ret = out->bad ? -ENOMEM : 0;
out:
	free(n);
	return ret;
}

int log_policy_read(const char *path, struct tlog_policy *out)
{
	const char *why = "";
	uint8_t *text = NULL;
	uint32_t line = 0;
	size_t n = 0;
	int ret = file_read(path, TLOG_POLICY_MAX, &text, &n);

	if (ret)
		ret = log_error(LOG_ERROR, "%s: %s", path, strerror(-ret));
	else if (ledger_policy_parse((struct bytes){text, n}, out, &line, &why))
		ret = log_error(LOG_ERROR, "%s:%" PRIu32 ": %s", path, line, why);
	free(text);
	return ret;
}
