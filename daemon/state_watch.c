/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a log's entries were read, and what was alerted of them, on disk. Knows files; what an
 * entry is worth was judged elsewhere.
 */
#include "daemon/state.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/file.h"
#include "daemon/audit.h"

enum { WATCH_FILE_MAX = 1 << 20, VERSION = 1 };

void state_watch_add(struct state_watch *w, const struct policy_alert *a, int64_t at)
{
	if (w->n == STATE_ALERTS_MAX) {
		memmove(&w->v[0], &w->v[1], (STATE_ALERTS_MAX - 1) * sizeof(w->v[0]));
		w->n--;
		w->dropped++;
	}
	w->v[w->n++] = (struct state_alert){.at = at, .alert = *a};
}

void state_watch_remove(struct state_watch *w, uint32_t i)
{
	memmove(&w->v[i], &w->v[i + 1], (w->n - i - 1) * sizeof(w->v[0]));
	w->n--;
}

/* -------------------------------------------------------------------- write */

static json_t *launch_json(const struct policy_launch *l)
{
	char hex[2 * MEASUREMENT_MAX + 1];

	hex_encode((struct bytes){l->value, l->len}, hex);
	return json_pack("{s:s, s:s, s:b}", "tee", attest_tee_name(l->tee), "value", hex, "alone",
	                 l->alone);
}

json_t *state_alert_json(const struct state_alert *x)
{
	const struct policy_alert *a = &x->alert;
	json_t *launches = json_array();
	char leaf[2 * HASH_LEN + 1];

	for (uint32_t i = 0; i < a->launches; i++)
		(void)json_array_append_new(launches, launch_json(&a->launch[i]));
	hex_encode(BYTES_OF(a->leaf.v), leaf);
	return json_pack("{s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:o}", "index", (json_int_t)a->index,
	                 "at", (json_int_t)x->at, "leaf", leaf, "code",
	                 audit_text(a->code, sizeof(a->code)), "subject",
	                 audit_text(a->subject, sizeof(a->subject)), "version",
	                 audit_text(a->version, sizeof(a->version)), "detail",
	                 audit_text(a->detail, sizeof(a->detail)), "launch", launches);
}

int state_watch_write(const struct state *s, const char *origin, const struct state_watch *w)
{
	json_t *alerts = json_array(), *o;
	char path[PATH_MAX], names[2 * sizeof(w->names) + 1];
	int ret = state_file_of(s, origin, "watch.json", path);

	for (uint32_t i = 0; i < w->n; i++)
		(void)json_array_append_new(alerts, state_alert_json(&w->v[i]));
	hex_encode(BYTES_OF(w->names), names);
	o = json_pack("{s:i, s:s, s:I, s:s, s:I, s:o}", "version", VERSION, "origin", origin,
	              "size", (json_int_t)w->size, "names", names, "dropped",
	              (json_int_t)w->dropped, "alerts", alerts);
	/* What there was no memory for must not be written as if it had never been there. */
	if (!ret && json_array_size(json_object_get(o, "alerts")) != w->n)
		ret = -ENOMEM;
	if (!ret)
		ret = state_write_json(path, o);
	json_decref(o);
	return ret;
}

/* --------------------------------------------------------------------- read */

static int launch_parse(json_t *o, struct policy_launch *out)
{
	const char *tee = NULL, *value = NULL;
	int alone = 0;

	if (json_unpack(o, "{s:s, s:s, s:b !}", "tee", &tee, "value", &value, "alone", &alone) ||
	    strlen(value) > 2 * (size_t)MEASUREMENT_MAX)
		return -EBADMSG;
	out->tee = attest_tee_from_name(tee);
	out->len = (uint8_t)(strlen(value) / 2);
	out->alone = alone;
	return out->tee == TEE_NONE || hex_decode(bytes_str(value), out->value, out->len) ? -EBADMSG
	                                                                                  : 0;
}

static bool take_text(const char *text, char *out, size_t cap)
{
	size_t n = strlen(text);

	if (n >= cap)
		return false;
	memcpy(out, text, n + 1);
	return true;
}

static int alert_parse(json_t *o, struct state_alert *out)
{
	const char *leaf = NULL, *code = NULL, *subject = NULL, *version = NULL, *detail = NULL;
	struct policy_alert *a = &out->alert;
	json_int_t index = -1, at = -1;
	json_t *list = NULL, *launch;
	size_t i;

	if (json_unpack(o, "{s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:o !}", "index", &index, "at", &at,
	                "leaf", &leaf, "code", &code, "subject", &subject, "version", &version,
	                "detail", &detail, "launch", &list) ||
	    index < 0 || at < 0 || hex_decode(bytes_str(leaf), a->leaf.v, HASH_LEN) ||
	    !take_text(code, a->code, sizeof(a->code)) ||
	    !take_text(subject, a->subject, sizeof(a->subject)) ||
	    !take_text(version, a->version, sizeof(a->version)) ||
	    !take_text(detail, a->detail, sizeof(a->detail)) || !json_is_array(list) ||
	    json_array_size(list) > STATEMENT_TEES_MAX)
		return -EBADMSG;
	a->index = (uint64_t)index;
	out->at = at;
	json_array_foreach(list, i, launch)
	{
		if (launch_parse(launch, &a->launch[a->launches++]))
			return -EBADMSG;
	}
	return 0;
}

static int watch_parse(json_t *o, const char *origin, struct state_watch *out)
{
	json_int_t version = 0, size = -1, dropped = -1;
	const char *whose = NULL, *names = NULL;
	json_t *list = NULL, *alert;
	size_t i;

	if (json_unpack(o, "{s:I, s:s, s:I, s:s, s:I, s:o !}", "version", &version, "origin",
	                &whose, "size", &size, "names", &names, "dropped", &dropped, "alerts",
	                &list) ||
	    version != VERSION || strcmp(whose, origin) || size < 0 || dropped < 0 ||
	    hex_decode(bytes_str(names), out->names, sizeof(out->names)) || !json_is_array(list) ||
	    json_array_size(list) > STATE_ALERTS_MAX)
		return -EBADMSG;
	out->size = (uint64_t)size;
	out->dropped = (uint64_t)dropped;
	json_array_foreach(list, i, alert)
	{
		if (alert_parse(alert, &out->v[out->n++]))
			return -EBADMSG;
	}
	return 0;
}

int state_watch_read(const struct state *s, const char *origin, struct state_watch *out)
{
	char path[PATH_MAX];
	uint8_t *text = NULL;
	json_t *o = NULL;
	size_t n = 0;
	int ret = state_file_of(s, origin, "watch.json", path);

	memset(out, 0, sizeof(*out));
	if (!ret)
		ret = file_read(path, WATCH_FILE_MAX, &text, &n);
	if (ret)
		return ret;
	o = json_loadb((const char *)text, n, JSON_REJECT_DUPLICATES, NULL);
	ret = watch_parse(o, origin, out);
	if (ret)
		memset(out, 0, sizeof(*out));
	json_decref(o);
	free(text);
	return ret;
}
