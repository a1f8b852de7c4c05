/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of policy files: text in, blocks of values out, by libconfuse under the table in
 * keys.c. Knows no key's meaning.
 *
 * The library reads more than policy files are meant to say: it puts environment variables into
 * strings, drops characters that it does not know, takes a file that ends inside a block, reads
 * "a|b" as a path into another block, lets a second value replace the first, and fails without a
 * word on an empty name. So the text goes through a strict scan first, which also blanks the
 * comments (the library loses count of lines in some) and tells each block its first line; and
 * every option is of pointer type, so that a value comes with its line and a repetition is seen.
 *
 * The library gives its callbacks no context. What they find out stays on the tree itself: a
 * value's line in the value, the line of an option's first value in def.number, the first error
 * in the comment of the block that it happened in.
 */
#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/read.h"

/* The hidden key that holds a block's first line; no file can spell it, the scan refuses \001. */
#define LINE_KEY "\001"

enum { DEPTH_MAX = 8, VALUE_MAX = 1024 };

/* ---------------------------------------------------------------------- scan */

struct scan {
	struct policy_reader *r;
	struct reader in;
	struct buf *out;
	uint32_t line;
	uint32_t depth;
	uint32_t opened[DEPTH_MAX]; /* line of each open brace */
	bool after_equal;           /* the last thing was "=": a brace opens a list, not a block */
	bool after_list;            /* the last thing was such a brace */
	bool bad;
};

__attribute__((format(printf, 2, 3))) static void scan_error(struct scan *s, const char *fmt, ...)
{
	char text[192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	policy_error(s->r, s->line, "%s", text);
	s->bad = true;
}

static void scan_comment(struct scan *s)
{
	while (s->in.left && *s->in.p != '\n')
		rd_u8(&s->in);
}

static void scan_string(struct scan *s)
{
	/* The library has no words for a key without a name. */
	if (s->in.left && *s->in.p == '"')
		return scan_error(s, "an empty string");
	buf_u8(s->out, '"');
	while (s->in.left && *s->in.p != '\n') {
		uint8_t c = rd_u8(&s->in);

		if (c == '\\' || c == '|' || c == '$')
			return scan_error(s, "\"%c\" can't stand in a string", c);
		if (c < 0x20 || c > 0x7e)
			return scan_error(s,
			                  "byte 0x%02x in a string; only printable ASCII can "
			                  "stand there",
			                  c);
		buf_u8(s->out, c);
		if (c == '"')
			return;
	}
	scan_error(s, "the string is not closed on its line; add a \"");
}

static void scan_open(struct scan *s)
{
	if (s->depth == DEPTH_MAX)
		return scan_error(s, "too many braces inside each other");
	s->opened[s->depth++] = s->line;
	if (s->after_equal)
		buf_str(s->out, "{");
	else
		buf_printf(s->out, "{ %s=%u ", LINE_KEY, s->line);
}

static bool is_word(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       strchr("_.:/-", c);
}

static void scan_word(struct scan *s, uint8_t c)
{
	if (c == '/' && s->in.left && (*s->in.p == '/' || *s->in.p == '*'))
		return scan_error(s, "\"/%c\" outside of a string; comments start with #",
		                  *s->in.p);
	buf_u8(s->out, c);
	while (s->in.left && *s->in.p && is_word(*s->in.p))
		buf_u8(s->out, rd_u8(&s->in));
}

static void scan_one(struct scan *s)
{
	uint8_t c = rd_u8(&s->in);

	switch (c) {
	case '\n':
		s->line++;
		buf_u8(s->out, c);
		return;
	case ' ':
	case '\t':
		buf_u8(s->out, c);
		return;
	case '#':
		scan_comment(s);
		return;
	case '{':
		scan_open(s);
		break;
	case '}':
		if (!s->depth)
			return scan_error(s, "\"}\" closes nothing");
		if (s->after_list)
			return scan_error(s,
			                  "the list is empty; put something in or remove the line");
		s->depth--;
		buf_u8(s->out, c);
		break;
	case '"':
		scan_string(s);
		break;
	case '=':
	case ',':
		buf_u8(s->out, c);
		break;
	default:
		if (c && is_word(c))
			scan_word(s, c);
		else if (c > 0x20 && c < 0x7f)
			scan_error(s, "\"%c\" outside of a string; put the text in double quotes",
			           c);
		else
			scan_error(s, "byte 0x%02x outside of a string%s", c,
			           c == '\r' ? "; save the file with Unix line ends" : "");
	}
	s->after_list = c == '{' && s->after_equal;
	s->after_equal = c == '=';
}

/* False after an issue. out holds the cleaned text, NUL-terminated. */
static bool scan(struct policy_reader *r, struct bytes text, struct buf *out)
{
	struct scan s = {.r = r, .in = reader_of(text), .out = out, .line = 1};

	while (s.in.left && !s.bad)
		scan_one(&s);
	if (!s.bad && s.depth) {
		s.line = s.opened[s.depth - 1];
		scan_error(&s, "this brace is never closed; add a \"}\"");
	}
	buf_u8(out, 0);
	if (out->bad)
		r->no_memory = true;
	return !s.bad && !out->bad;
}

/* ------------------------------------------------------------------- libconfuse */

static int take_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct policy_value *v;
	size_t n = strlen(text);

	/* The library has made room for this value already: 1 means the first of an assignment. */
	if (opt->def.number && opt->nvalues == 1) {
		cfg_error(cfg, "\"%s\" is given again; it stands already on line %ld%s", opt->name,
		          opt->def.number,
		          opt->flags & CFGF_LIST ? ", write one list: {\"a\", \"b\"}" : "");
		return -1;
	}
	if (n > VALUE_MAX) {
		cfg_error(cfg, "the value of \"%s\" is longer than %d characters", opt->name,
		          VALUE_MAX);
		return -1;
	}
	v = malloc(sizeof(*v) + n + 1);
	if (!v)
		return -1;
	v->line = (uint32_t)cfg->line;
	memcpy(v->text, text, n + 1);
	opt->def.number = cfg->line;
	*(void **)result = v;
	return 0;
}

static cfg_opt_t option_of(const struct policy_key *k)
{
	cfg_opt_t one = CFG_PTR_CB(k->name, NULL, CFGF_NODEFAULT, take_value, free);
	cfg_opt_t list = CFG_PTR_LIST_CB(k->name, NULL, CFGF_NODEFAULT, take_value, free);

	return k->flags & KEY_LIST ? list : one;
}

struct grammar {
	cfg_opt_t sub[SECTION_MAX][POLICY_KEYS_MAX + 2];
	cfg_opt_t top[POLICY_KEYS_MAX + SECTION_MAX + 1];
};

static cfg_t *grammar_init(void)
{
	static const cfg_opt_t end = CFG_END();
	struct grammar *g = calloc(1, sizeof(*g));
	cfg_t *root;
	size_t n = 0;

	if (!g)
		return NULL;
	for (size_t i = 0; i < policy_sections[SECTION_TOP].n; i++)
		g->top[n++] = option_of(&policy_sections[SECTION_TOP].keys[i]);
	for (size_t s = SECTION_TOP + 1; s < SECTION_MAX; s++) {
		const struct policy_section *sec = &policy_sections[s];
		cfg_opt_t line = CFG_PTR_CB(LINE_KEY, NULL, CFGF_NODEFAULT, take_value, free);
		cfg_opt_t opt = CFG_SEC(sec->name, g->sub[s],
		                        CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);

		for (size_t i = 0; i < sec->n; i++)
			g->sub[s][i] = option_of(&sec->keys[i]);
		g->sub[s][sec->n] = line;
		g->sub[s][sec->n + 1] = end;
		g->top[n++] = opt;
	}
	g->top[n] = end;
	root = cfg_init(g->top, CFGF_NONE); /* copies the arrays */
	free(g);
	return root;
}

/* "block "name"" as messages name it; empty at the top. */
static void block_text(const cfg_t *cfg, char *out, size_t cap)
{
	if (cfg->title)
		snprintf(out, cap, "%s \"%.64s\": ", cfg->name, cfg->title);
	else
		out[0] = '\0';
}

static void unknown_text(const cfg_t *cfg, const char *typed, char *out, size_t cap)
{
	const char *names[POLICY_KEYS_MAX + SECTION_MAX + 1];
	char block[96];
	const char *near;
	size_t n = 0;

	for (const cfg_opt_t *o = cfg->opts; o->name; o++)
		if (strcmp(o->name, LINE_KEY))
			names[n++] = o->name;
	near = policy_nearest(typed, names, n);
	block_text(cfg, block, sizeof(block));
	if (near)
		snprintf(out, cap, "%sunknown key \"%.64s\"; did you mean \"%s\"?", block, typed,
		         near);
	else
		snprintf(out, cap, "%sunknown key \"%.64s\"; keygate-policy(5) lists the keys",
		         block, typed);
}

/* The library's words, each with one string argument or none, and ours around that argument. */
static const struct {
	const char *theirs, *before, *after;
} words[] = {
        {"found duplicate title '%s'", "two blocks of this kind have the name \"", "\""},
        {"missing equal sign after option '%s'", "expected \"=\" after \"", "\""},
        {"missing title for section '%s'", "expected a name after \"", "\", then \"{\""},
        {"missing opening brace for section '%s'", "expected \"{\" after the name of the ", ""},
        {"unexpected token '%s'", "\"", "\" is not expected here"},
};

__attribute__((format(printf, 2, 0))) static void error_text(cfg_t *cfg, const char *fmt,
                                                             va_list ap, char *out, size_t cap)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(fmt, words[i].theirs)) {
			const char *arg = va_arg(ap, const char *);

			snprintf(out, cap, "%s%.64s%s", words[i].before, arg ? arg : "",
			         words[i].after);
			return;
		}
	}
	if (!strcmp(fmt, "no such option '%s'"))
		unknown_text(cfg, va_arg(ap, const char *), out, cap);
	else if (!strcmp(fmt, "premature end of file"))
		snprintf(out, cap, "the file ends in the middle of a statement");
	else
		vsnprintf(out, cap, fmt, ap);
}

/* Keeps the first error: what follows it may come of it. */
__attribute__((format(printf, 2, 0))) static void keep_error(cfg_t *cfg, const char *fmt,
                                                             va_list ap)
{
	char text[256];

	if (cfg->comment)
		return;
	error_text(cfg, fmt, ap, text, sizeof(text));
	if (asprintf(&cfg->comment, "%d:%s", cfg->line, text) < 0)
		cfg->comment = NULL;
}

/* -------------------------------------------------------------------- the tree */

/* True if an error was left on this block. */
static bool take_error(struct policy_reader *r, const cfg_t *cfg)
{
	const char *colon = cfg->comment ? strchr(cfg->comment, ':') : NULL;

	if (!colon)
		return false;
	policy_error(r, (uint32_t)strtoul(cfg->comment, NULL, 10), "%s", colon + 1);
	return true;
}

static void take_errors(struct policy_reader *r, cfg_t *root)
{
	bool found = take_error(r, root);

	for (size_t s = SECTION_TOP + 1; s < SECTION_MAX; s++) {
		cfg_opt_t *opt = cfg_getopt(root, policy_sections[s].name);

		for (unsigned i = 0; i < cfg_opt_size(opt); i++)
			found |= take_error(r, cfg_opt_getnsec(opt, i));
	}
	/* A callback that failed without words was out of memory. */
	if (!found)
		r->no_memory = true;
}

static void emit_block(struct policy_reader *r, cfg_t *cfg, enum policy_section_id section,
                       const struct policy_events *on)
{
	const struct policy_section *sec = &policy_sections[section];
	const struct policy_value *first = NULL;
	uint32_t line = 1;

	if (section != SECTION_TOP)
		first = cfg_opt_getnptr(cfg_getopt(cfg, LINE_KEY), 0);
	if (first)
		line = (uint32_t)strtoul(first->text, NULL, 10);
	on->open(r, section, cfg->title ? cfg->title : "", line);
	for (uint32_t k = 0; k < sec->n; k++) {
		cfg_opt_t *opt = cfg_getopt(cfg, sec->keys[k].name);
		unsigned n = cfg_opt_size(opt);

		for (unsigned i = 0; i < n; i++)
			on->value(r, k, cfg_opt_getnptr(opt, i));
	}
	on->close(r);
}

static void emit(struct policy_reader *r, cfg_t *root, const struct policy_events *on)
{
	emit_block(r, root, SECTION_TOP, on);
	for (enum policy_section_id s = SECTION_TOP + 1; s < SECTION_MAX; s++) {
		cfg_opt_t *opt = cfg_getopt(root, policy_sections[s].name);

		for (unsigned i = 0; i < cfg_opt_size(opt); i++)
			emit_block(r, cfg_opt_getnsec(opt, i), s, on);
	}
}

bool policy_syntax(struct policy_reader *r, struct bytes text, const struct policy_events *on)
{
	/* A block's brace grows by its line number and the hidden key; nothing else grows. */
	struct buf clean = buf_make(text.n * 16 + 64);
	cfg_t *root = NULL;
	bool ok = false;

	if (text.n > POLICY_FILE_MAX) {
		policy_error(r, 1, "the file is larger than %d bytes", POLICY_FILE_MAX);
		goto out;
	}
	if (!scan(r, text, &clean))
		goto out;
	root = grammar_init();
	if (!root) {
		r->no_memory = true;
		goto out;
	}
	cfg_set_error_function(root, keep_error);
	if (cfg_parse_buf(root, (const char *)clean.p) != CFG_SUCCESS) {
		take_errors(r, root);
		goto out;
	}
	emit(r, root, on);
	ok = true;
out:
	if (root)
		cfg_free(root);
	buf_free(&clean);
	return ok;
}
