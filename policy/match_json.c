/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the policy does with an address and port, in JSON: the same whether keygated answers for the
 * policy in force or the tool reads the files. Knows nothing of what became of connections.
 */
#include <jansson.h>
#include <string.h>
#include "policy/policy.h"
#include "policy/prefix.h"
#include "policy/read.h"

enum { WORDS_MAX = 65536 };

static json_t *requirement(const struct policy *p, int at)
{
	struct buf b = buf_make(WORDS_MAX);
	json_t *a = json_array();
	char *line, *next;

	if (at >= 0)
		policy_explain(p, (uint32_t)at, &b);
	buf_u8(&b, 0);
	next = b.bad ? NULL : (char *)b.p;
	while ((line = strsep(&next, "\n"))) {
		if (*line)
			(void)json_array_append_new(a, json_string(line));
	}
	buf_free(&b);
	return a;
}

static json_t *application(const struct policy *p, const struct policy_destination *d)
{
	struct buf b = buf_make(WORDS_MAX);
	json_t *text;

	policy_app_words(p, d, &b);
	text = json_stringn(b.p ? (const char *)b.p : "", b.bad ? 0 : b.n);
	buf_free(&b);
	return text;
}

static json_t *dependent(const struct policy *p, const struct policy_destination *d)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:o}", "destination", d->name, "action",
	                 policy_action_name(d->action), "file", d->where.file, "line",
	                 (json_int_t)d->where.line, "application", application(p, d));
}

/* The destination that surely matches, or -1; in depends those before it that may. */
static int find(const struct policy *p, const struct policy_resolved *names, size_t names_n,
                const uint8_t addr[static 16], uint16_t port, const struct policy_who *who,
                json_t *depends)
{
	enum policy_fit fit = FIT_NO;
	int at = -1;

	while ((at = policy_next(p, names, names_n, addr, port, who, at, &fit)) >= 0 &&
	       fit != FIT_YES)
		(void)json_array_append_new(depends, dependent(p, &p->destination[at]));
	return at;
}

json_t *policy_match_json(const struct policy *p, const struct policy_resolved *names,
                          size_t names_n, const uint8_t addr[static 16], uint16_t port,
                          const struct policy_who *who)
{
	const struct policy_prefix one = prefix_of(addr);
	json_t *depends = json_array();
	int at = find(p, names, names_n, addr, port, who, depends);
	const struct policy_destination *d = at < 0 ? NULL : &p->destination[at];
	enum policy_action action = d ? d->action : policy_default(p, addr);
	char text[80];

	policy_prefix_text(&one, text);
	return json_pack(
	        "{s:s, s:s, s:o, s:o, s:I, s:o, s:o, s:o}", "address", text, "action",
	        policy_action_name(action), "destination", d ? json_string(d->name) : json_null(),
	        "file", d ? json_string(d->where.file) : json_null(), "line",
	        (json_int_t)(d ? d->where.line : 0), "requirement", requirement(p, at),
	        "application", d ? application(p, d) : json_string(""), "depends", depends);
}
