/* SPDX-License-Identifier: Apache-2.0 */
/* The tool's table of commands against its man page and its completion; and what the pages name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attest/transport.h"
#include "core/file.h"

static char *text_of(const char *path)
{
	uint8_t *text;
	size_t n;

	assert_int_equal(file_read(path, 1 << 20, &text, &n), 0);
	return (char *)text;
}

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	return n;
}

/* Calls fn for each row of main.c's table: {"group" or NULL, "name", cmd_... */
static size_t each_command(void (*fn)(const char *group, const char *name))
{
	char *source = text_of("cli/main.c"), *at = strstr(source, "commands[] = {\n");
	size_t n = 0;

	assert_non_null(at);
	for (at = strchr(at, '\n'); at; at = strchr(at + 1, '\n')) {
		char group[32] = "", name[32];

		if (sscanf(at, " {\"%31[a-z]\", \"%31[a-z]\", cmd_", group, name) == 2 ||
		    (group[0] = '\0', sscanf(at, " {NULL, \"%31[a-z]\", cmd_", name) == 1)) {
			fn(group, name);
			n++;
		}
	}
	free(source);
	return n;
}

static void in_man_page(const char *group, const char *name)
{
	char *page = text_of("docs/man/keygate.8");
	char item[80];

	snprintf(item, sizeof(item), "\n.It Cm %s%s%s", group, *group ? " " : "", name);
	if (count(page, item) != 1)
		fail_msg("keygate(8) does not have \"%s %s\" once", group, name);
	free(page);
}

static void in_completion(const char *group, const char *name)
{
	char *file = text_of("packaging/keygate.bash-completion");

	if (!count(file, name) || (*group && !count(file, group)))
		fail_msg("the completion does not have \"%s %s\"", group, name);
	free(file);
}

static void man_page(void **state)
{
	char *page = text_of("docs/man/keygate.8");
	size_t n = each_command(in_man_page);

	(void)state;
	assert_true(n >= 15);
	assert_int_equal(count(page, "\n.It Cm "), n);
	free(page);
}

static void completion(void **state)
{
	(void)state;
	assert_true(each_command(in_completion) >= 15);
}

/* What follows `from` in the file, up to `to`, names every transport as `form` has it. */
static void names_transports(const char *path, const char *from, const char *to, const char *form)
{
	char *text = text_of(path), *at = strstr(text, from),
	     *end = at ? strstr(at + strlen(from), to) : NULL;

	assert_non_null(end);
	*end = '\0';
	for (int t = TRANSPORT_NONE + 1; t < TRANSPORT_MAX; t++) {
		const char *name = attest_transport_name((enum attest_transport)t);
		const char *where = strstr(form, "@");
		char item[64];

		snprintf(item, sizeof(item), "%.*s%s%s", (int)(where - form), form, name,
		         where + 1);
		if (!strstr(at, item))
			fail_msg("%s does not have \"%s\" after \"%s\"", path, item, from);
	}
	free(text);
}

static void transports(void **state)
{
	(void)state;
	names_transports("docs/policy.md", "\n#### `transport`", "\n#### ", "`@`: ");
	names_transports("docs/man/keygate-policy.5", "\n.It Cm transport", "\n.It ", "\n.Ar @");
	names_transports("docs/man/keygate-attester.8", "\n.It Fl t , Fl -transport", "\n.It Fl n",
	                 "\n.Cm @");
	names_transports("docs/man/keygate.8", "\n.Fl -transport Ar name", "\n.Fl -anchor",
	                 "\n.Cm @");
	names_transports("packaging/keygate.bash-completion", "--transport) words=", "\n", "@");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(man_page),
	        cmocka_unit_test(completion),
	        cmocka_unit_test(transports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
