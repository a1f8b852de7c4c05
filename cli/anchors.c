/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate anchors [--json]: the vendors' roots that are built in, by the SHA-256 of their public
 * keys, so that an administrator can compare them with what the vendor publishes.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include "attest/attest.h"
#include "cli/cmd.h"

static void print_json(void)
{
	json_t *a = json_array();

	for (size_t i = 0; i < attest_pins_count; i++) {
		char hex[65];

		hex_encode(BYTES_OF(attest_pins[i].spki_sha256), hex);
		json_array_append_new(a, json_pack("{s:s, s:s, s:s}", "tee",
		                                   attest_tee_name(attest_pins[i].tee), "name",
		                                   attest_pins[i].name, "spki_sha256", hex));
	}
	cmd_print_json(json_pack("{s:o}", "anchors", a));
}

static void print_text(void)
{
	struct table t = {.columns = 3};

	for (size_t i = 0; i < attest_pins_count; i++) {
		char hex[65];

		hex_encode(BYTES_OF(attest_pins[i].spki_sha256), hex);
		table_row(&t, (const char *const[]){attest_tee_name(attest_pins[i].tee),
		                                    attest_pins[i].name, hex});
	}
	table_print(&t, "");
}

int cmd_anchors(int argc, char **argv)
{
	static const char synopsis[] = "[--json]";
	static const struct option options[] = {
	        {"help", no_argument, NULL, 'h'},
	        {"json", no_argument, NULL, 'j'},
	        {NULL, 0, NULL, 0},
	};
	bool json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'h') {
			printf("usage: %s %s\n", argv[0], synopsis);
			return CMD_YES;
		}
		if (opt != 'j')
			return cmd_usage(argv[0], synopsis);
		json = true;
	}
	if (optind != argc)
		return cmd_usage(argv[0], synopsis);
	if (json)
		print_json();
	else
		print_text();
	return CMD_YES;
}
