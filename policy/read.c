/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of the top, of ledger blocks and of anchor blocks, and what all values share. Loads the
 * files that blocks refer to through the caller's function. Knows nothing of destinations.
 */
#include "policy/read.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attest/pki.h"

const char *policy_key_name(const struct policy_reader *r)
{
	return policy_sections[r->section].keys[r->key].name;
}

void policy_unexpected(struct policy_reader *r, const struct policy_value *v, const char *expected)
{
	policy_error(r, v->line, "%s: \"%.64s\" is not %s", policy_key_name(r), v->text, expected);
}

void policy_take_bool(struct policy_reader *r, const struct policy_value *v, bool *out)
{
	if (!strcmp(v->text, "true"))
		*out = true;
	else if (!strcmp(v->text, "false"))
		*out = false;
	else
		policy_unexpected(r, v, "true or false");
}

void policy_take_duration(struct policy_reader *r, const struct policy_value *v, int64_t min,
                          int64_t max, int64_t *out)
{
	static const struct {
		char unit;
		uint32_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', HOUR}, {'d', DAY}};
	size_t n = strlen(v->text);
	uint64_t count;

	for (size_t i = 0; n && i < sizeof(units) / sizeof(units[0]); i++) {
		struct bytes number = {(const uint8_t *)v->text, n - 1};
		int64_t seconds;

		if (v->text[n - 1] != units[i].unit || decimal_u64(number, UINT32_MAX, &count))
			continue;
		seconds = (int64_t)count * units[i].seconds;
		if (seconds >= min && seconds <= max) {
			*out = seconds;
			return;
		}
		policy_error(r, v->line,
		             "%s: \"%.64s\" is out of range; it goes from %" PRId64 "s to %" PRId64
		             "d",
		             policy_key_name(r), v->text, min, max / DAY);
		return;
	}
	policy_unexpected(r, v, "a duration; write a number with a unit: 90s, 30m, 24h, 7d");
}

enum tee policy_take_tee(struct policy_reader *r, const struct policy_value *v)
{
	enum tee t = attest_tee_from_name(v->text);

	if (attest_is_peer(t))
		return t;
	policy_unexpected(r, v, "a platform; one of snp, tdx, sgx, cca, nitro");
	return TEE_NONE;
}

void read_default_action(struct policy_reader *r, const struct policy_value *v)
{
	if (r->has_default) {
		policy_error(r, v->line,
		             "default-action stands already at %s:%" PRIu32 "; remove one",
		             r->default_where.file, r->default_where.line);
		return;
	}
	r->has_default = true;
	r->default_where = policy_where_of(r->path, v->line);
	if (!strcmp(v->text, "allow"))
		r->p->default_action = POLICY_ALLOW;
	else if (!strcmp(v->text, "deny"))
		r->p->default_action = POLICY_DENY;
	else
		policy_unexpected(r, v, "allow or deny; gating needs a destination block");
}

/* --------------------------------------------------------------- referred files */

/* The file's own path, or relative to the file that names it. */
static char *resolve(const struct policy_reader *r, const char *name)
{
	const char *slash = strrchr(r->path, '/');
	char *path;

	if (name[0] == '/' || !slash)
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)(slash - r->path), r->path, name) < 0)
		return NULL;
	return path;
}

bool policy_load(struct policy_reader *r, const struct policy_value *v, size_t max, char **path,
                 uint8_t **content, size_t *n)
{
	int rc;

	*path = resolve(r, v->text);
	if (!*path) {
		r->no_memory = true;
		return false;
	}
	rc = r->load(r->ctx, *path, content, n);
	if (!rc && *n > max) {
		free(*content);
		rc = -EFBIG;
	}
	if (!rc)
		return true;
	if (rc == -ENOMEM)
		r->no_memory = true;
	else
		policy_error(r, v->line, "%s: can't read %.160s: %s", policy_key_name(r), *path,
		             strerror(-rc));
	free(*path);
	return false;
}

/* Without the blanks around it and what follows a #. */
static char *bare(char *line)
{
	char *end = line + strcspn(line, "#");

	while (end > line && strchr(" \t\r", end[-1]))
		end--;
	*end = '\0';
	return line + strspn(line, " \t");
}

void policy_load_lines(struct policy_reader *r, const struct policy_value *v, size_t max,
                       policy_line_fn fn)
{
	char *path = NULL, *all, *next, *line;
	uint8_t *content = NULL;
	uint32_t number = 0;
	size_t n = 0;

	if (!policy_load(r, v, max, &path, &content, &n))
		return;
	all = next = strndup((const char *)content, n);
	if (!all)
		r->no_memory = true;
	else if (strlen(all) != n)
		policy_error(r, v->line, "%s: %.160s is not text", policy_key_name(r), path);
	else
		while ((line = strsep(&next, "\n"))) {
			const char *text = bare(line), *why = *text ? fn(r, v, text) : NULL;

			number++;
			if (why)
				policy_error(r, v->line, "%s: %.120s:%" PRIu32 ": \"%.24s\" %s",
				             policy_key_name(r), path, number, text, why);
		}
	free(all);
	free(content);
	free(path);
}

/* --------------------------------------------------------------------- ledger */

void read_ledger_policy(struct policy_reader *r, const struct policy_value *v)
{
	struct tlog_policy *tlog = calloc(1, sizeof(*tlog));
	uint8_t *content;
	char *path;
	size_t n;
	uint32_t line = 0;
	const char *why = "";
	int rc;

	if (!tlog) {
		r->no_memory = true;
		return;
	}
	if (!policy_load(r, v, TLOG_POLICY_MAX, &path, &content, &n)) {
		free(tlog);
		return;
	}
	rc = ledger_policy_parse((struct bytes){content, n}, tlog, &line, &why);
	if (!rc) {
		r->l->tlog = tlog;
	} else {
		/* The mistake is in the other file: that is where the issue points. */
		struct policy_where w = policy_where_of(path, line);

		policy_issue(r->issues, true, &w,
		             "%s (tlog-policy of ledger \"%s\", %.80s:%" PRIu32 ")", why,
		             r->l->name, r->path, v->line);
		free(tlog);
	}
	free(content);
	free(path);
}

void read_ledger_max_age(struct policy_reader *r, const struct policy_value *v)
{
	policy_take_duration(r, v, 60, 7 * (int64_t)DAY, &r->l->max_age);
}

void policy_take_prefix(struct policy_reader *r, const struct policy_value *v, char *out,
                        size_t cap)
{
	size_t n = strlen(v->text);
	bool slash = n && v->text[n - 1] == '/';

	if (strncmp(v->text, "https://", 8) && strncmp(v->text, "http://", 7) &&
	    strncmp(v->text, "file:///", 8)) {
		policy_unexpected(r, v, "a prefix that starts with https://, http:// or file:///");
		return;
	}
	if (strpbrk(v->text, " ?#") || n + 2 > cap) {
		policy_unexpected(r, v, "a prefix; blanks, ? and # can't stand in it");
		return;
	}
	snprintf(out, cap, "%s%s", v->text, slash ? "" : "/");
}

void read_ledger_url(struct policy_reader *r, const struct policy_value *v)
{
	policy_take_prefix(r, v, r->l->url, sizeof(r->l->url));
}

void read_source_url(struct policy_reader *r, const struct policy_value *v)
{
	policy_take_prefix(r, v, r->s->url, sizeof(r->s->url));
}

void read_source_refresh(struct policy_reader *r, const struct policy_value *v)
{
	policy_take_duration(r, v, HOUR, 30 * (int64_t)DAY, &r->s->refresh);
}

static void take_ca(struct policy_reader *r, const struct policy_value *v, char out[static 256])
{
	if (v->text[0] != '/' || strlen(v->text) >= 256)
		policy_unexpected(r, v, "an absolute file name");
	else
		snprintf(out, 256, "%s", v->text);
}

void read_source_ca(struct policy_reader *r, const struct policy_value *v)
{
	take_ca(r, v, r->s->ca);
}

void read_ledger_refresh(struct policy_reader *r, const struct policy_value *v)
{
	policy_take_duration(r, v, 5, DAY, &r->l->refresh);
}

void read_ledger_ca(struct policy_reader *r, const struct policy_value *v)
{
	take_ca(r, v, r->l->ca);
}

void read_ledger_first_use(struct policy_reader *r, const struct policy_value *v)
{
	if (!strcmp(v->text, "refuse"))
		r->l->require_known = true;
	else if (strcmp(v->text, "allow"))
		policy_unexpected(r, v, "allow or refuse");
}

void read_ledger_allow_no_quorum(struct policy_reader *r, const struct policy_value *v)
{
	policy_take_bool(r, v, &r->l->allow_no_quorum);
}

/* --------------------------------------------------------------------- anchor */

void read_anchor_tee(struct policy_reader *r, const struct policy_value *v)
{
	r->a->tee = policy_take_tee(r, v);
}

/* An anchor that attest/ could not use, or can use no longer, is better said now. */
static void check_anchor(struct policy_reader *r, const struct policy_value *v, const char *path,
                         struct bytes content)
{
	struct pki_pins pins = {0};
	struct pki_bag bag = {0};
	int rc = pki_pins_add(&pins, &bag, content);

	if (rc == -ENOMEM)
		r->no_memory = true;
	else if (rc || !pins.n)
		policy_error(r, v->line,
		             "file: %.160s is not made of certificates or public keys (PEM or DER)",
		             path);
	for (uint32_t i = 0; i < bag.certs; i++)
		if (!pki_valid_at(bag.cert[i], r->now))
			policy_warning(r, v->line,
			               "file: a certificate in %.160s is not valid today; evidence "
			               "that ends there is refused",
			               path);
	pki_bag_free(&bag);
}

void read_anchor_file(struct policy_reader *r, const struct policy_value *v)
{
	uint8_t *content;
	char *path;
	size_t n;

	if (!policy_load(r, v, POLICY_ANCHOR_FILE_MAX, &path, &content, &n))
		return;
	r->a->content = (struct bytes){content, n};
	check_anchor(r, v, path, r->a->content);
	free(path);
}
