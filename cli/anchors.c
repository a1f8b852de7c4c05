/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trust anchors by the SHA-256 of their public keys (SubjectPublicKeyInfo), so that an
 * administrator can compare them with what the vendor publishes.
 *
 *   keygate anchors [--json] [--policy DIR]   the vendors' roots that are built in; and the anchor
 *                                             blocks of a policy, with the destinations that use
 *                                             them
 *   keygate anchors [--json] FILE...          the keys of certificates and key files
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attest/attest.h"
#include "attest/pki.h"
#include "cli/claims.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/input.h"
#include "cli/load.h"

enum { PIN_TEXT = 65, USERS_TEXT = 512 };

static void pin_text(const uint8_t pin[static 32], char out[static PIN_TEXT])
{
	hex_encode((struct bytes){pin, 32}, out);
}

static json_t *pins_json(const struct pki_pins *pins)
{
	json_t *a = json_array();
	char hex[PIN_TEXT];

	for (uint32_t i = 0; i < pins->n; i++) {
		pin_text(pins->v[i], hex);
		json_array_append_new(a, json_string(hex));
	}
	return a;
}

/* --------------------------------------------------------------------- built in */

static json_t *built_in_json(void)
{
	json_t *a = json_array();

	for (size_t i = 0; i < attest_pins_count; i++) {
		char hex[PIN_TEXT];

		pin_text(attest_pins[i].spki_sha256, hex);
		json_array_append_new(a, json_pack("{s:s, s:s, s:s}", "tee",
		                                   attest_tee_name(attest_pins[i].tee), "name",
		                                   attest_pins[i].name, "spki_sha256", hex));
	}
	return a;
}

static void built_in_text(void)
{
	struct table t = {.columns = 3};

	for (size_t i = 0; i < attest_pins_count; i++) {
		char hex[PIN_TEXT];

		pin_text(attest_pins[i].spki_sha256, hex);
		table_row(&t, (const char *const[]){attest_tee_name(attest_pins[i].tee),
		                                    attest_pins[i].name, hex});
	}
	table_print(&t, "");
}

/* ------------------------------------------------------------------- of a policy */

static bool uses(const struct policy_destination *d, uint32_t anchor)
{
	for (uint32_t i = 0; i < d->anchors; i++)
		if (d->anchor[i] == anchor)
			return true;
	return false;
}

static json_t *policy_json(const struct policy *p)
{
	json_t *a = json_array();

	for (uint32_t i = 0; i < p->anchors; i++) {
		const struct policy_anchor *is = &p->anchor[i];
		struct pki_pins pins = {0};
		json_t *users = json_array();

		for (uint32_t d = 0; d < p->destinations; d++)
			if (uses(&p->destination[d], i))
				json_array_append_new(users, json_string(p->destination[d].name));
		/* The parser took it. */
		(void)pki_pins_add(&pins, NULL, is->content);
		json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:i, s:o, s:o}", "name",
		                                   is->name, "tee", attest_tee_name(is->tee),
		                                   "file", is->where.file, "line",
		                                   (int)is->where.line, "spki_sha256",
		                                   pins_json(&pins), "destinations", users));
	}
	return a;
}

/* "for api, pay", cut where it gets long. */
static void users_text(const json_t *users, char out[static USERS_TEXT])
{
	const json_t *name;
	size_t i, n = 0;

	snprintf(out, USERS_TEXT, "used by no destination");
	json_array_foreach(users, i, name)
	{
		n += (size_t)snprintf(out + n, USERS_TEXT - n, "%s%s", i ? ", " : "for ",
		                      json_string_value(name));
		if (n + POLICY_NAME_MAX + 8 > USERS_TEXT) {
			snprintf(out + n, USERS_TEXT - n, " ...");
			return;
		}
	}
}

static void policy_text(const json_t *anchors)
{
	struct table t = {.columns = 4};
	const json_t *is, *pin;
	char users[USERS_TEXT];
	size_t i, k;

	json_array_foreach(anchors, i, is)
	{
		users_text(json_object_get(is, "destinations"), users);
		json_array_foreach(json_object_get(is, "spki_sha256"), k, pin)
		{
			table_row(&t, (const char *const[]){client_text(is, "tee"),
			                                    client_text(is, "name"),
			                                    json_string_value(pin), users});
		}
	}
	table_print(&t, "");
}

static int by_policy(const char *dir, bool json)
{
	struct policy_issues issues;
	struct policy *p = NULL;
	size_t files;
	json_t *a;

	if (load_policy(dir, &p, &issues, &files)) {
		a = load_issues_json(&issues);
		if (json) {
			cmd_print_json(json_pack("{s:b, s:s, s:s, s:o}", "ok", 0, "kind", "usage",
			                         "error", "the policy files are wrong", "issues",
			                         a));
			return CMD_USAGE;
		}
		client_print_issues(a);
		json_decref(a);
		return CMD_USAGE;
	}
	a = policy_json(p);
	policy_free(p);
	if (json)
		return cmd_print_json(
		        json_pack("{s:o, s:o}", "anchors", built_in_json(), "policy", a));
	built_in_text();
	policy_text(a);
	json_decref(a);
	return CMD_YES;
}

/* ---------------------------------------------------------------------- of files */

static int add_file(const char *path, json_t *files)
{
	struct pki_pins pins = {0};
	struct bytes content;
	int ret = input_file(path, &content);

	if (ret)
		return CMD_USAGE;
	if (pki_pins_add(&pins, NULL, content))
		ret = cmd_error(CMD_USAGE, "%s: neither a certificate nor a public key", path);
	else
		json_array_append_new(files, json_pack("{s:s%, s:o}", "file", path, strlen(path),
		                                       "spki_sha256", pins_json(&pins)));
	free((void *)(uintptr_t)content.p);
	return ret;
}

static int by_files(char **path, bool json)
{
	json_t *files = json_array(), *is, *pin;
	struct table t = {.columns = 2};
	size_t i, k;
	int ret = CMD_YES;

	while (*path && !ret)
		ret = add_file(*path++, files);
	if (ret || json) {
		json_t *o = json_pack("{s:o}", "files", files);

		if (!ret)
			return cmd_print_json(o);
		json_decref(o);
		return ret;
	}
	json_array_foreach(files, i, is)
	{
		json_array_foreach(json_object_get(is, "spki_sha256"), k, pin)
		{
			table_row(&t, (const char *const[]){json_string_value(pin),
			                                    client_text(is, "file")});
		}
	}
	json_decref(files);
	table_print(&t, "");
	return CMD_YES;
}

/* ----------------------------------------------------------------------- command */

int cmd_anchors(int argc, char **argv)
{
	static const char synopsis[] = "[--json] [--policy DIR | FILE...]";
	static const struct option options[] = {
	        {"help", no_argument, NULL, 'h'},
	        {"json", no_argument, NULL, 'j'},
	        {"policy", required_argument, NULL, 'p'},
	        {NULL, 0, NULL, 0},
	};
	const char *dir = NULL;
	bool json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'h') {
			printf("usage: %s %s\n", argv[0], synopsis);
			return CMD_YES;
		}
		if (opt == 'p')
			dir = optarg;
		else if (opt == 'j')
			json = true;
		else
			return cmd_usage(argv[0], synopsis);
	}
	if (dir && optind != argc)
		return cmd_usage(argv[0], synopsis);
	if (dir)
		return by_policy(dir, json);
	if (optind != argc)
		return by_files(argv + optind, json);
	if (json)
		return cmd_print_json(json_pack("{s:o}", "anchors", built_in_json()));
	built_in_text();
	return CMD_YES;
}
