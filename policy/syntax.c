/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of policy files: text in, blocks of values out, by libconfuse under the table in
 * keys.c. Knows no key's meaning.
 *
 * The library reads more than policy files are meant to say: it puts environment variables into
 * strings, drops characters that it does not know, takes a file that ends inside a block, reads
 * "a|b" as a path into another block, lets a second value replace the first, and fails without a
 * word on an empty name. So the text goes through a strict scan first, which also blanks the
 * comments (the library loses count of lines in some); and every option is of pointer type, so that
 * a value comes with its line and a repetition is seen.
 *
 * The scan cuts the file into pieces, and the library gets one at a time: the inside of a block, or
 * what stands between blocks. So a mistake in one hides none in the others, and the library, which
 * compares each block with all before and copies its whole table for it, never sees a block at all;
 * but for those that do not begin as one, of which it has something to say.
 *
 * The library gives its callbacks no context. What they find out stays on the tree itself: a
 * value's line in the value, the line of an option's first value in def.number, the first error
 * in the comment of the block that it happened in. Lines are the file's: the line that a piece
 * starts on stands in def.number of a hidden key, and in a block that the library sees, which is
 * none, the scan puts that key, with the line as value.
 */
#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/read.h"

/* The hidden key that holds a line's number; no file can spell it, the scan refuses \001. */
#define LINE_KEY "\001"

enum { DEPTH_MAX = 8, VALUE_MAX = 1024, MISTAKES_MAX = 8 };

/* What of a file is read at one time. */
struct piece {
	struct policy_reader *r;
	const struct policy_events *on;
	enum policy_section_id section; /* what the text is the inside of */
	uint32_t line;                  /* that it starts on */
	char title[VALUE_MAX];
	cfg_t *tree[SECTION_MAX]; /* each made when it is needed */
};

static bool read_piece(struct piece *p, char *text);

/* ---------------------------------------------------------------------- scan */

struct scan {
	struct policy_reader *r;
	struct piece *piece;
	struct reader in;
	struct buf out; /* the piece so far, cleaned */
	uint32_t line;
	uint32_t depth;
	uint32_t opened[DEPTH_MAX]; /* line of each open brace */
	bool after_equal;           /* the last thing was "=": a brace opens a list, not a block */
	bool after_list;            /* the last thing was such a brace */
	struct bytes_at {
		size_t at, n;
	} word[2]; /* outside of blocks: the last words, nothing between or behind */
	uint32_t words;
	uint32_t tokens; /* in the piece */
	bool bad;        /* the piece: what follows in it may come of its first mistake */
	bool failed;     /* some piece */
	bool stop;       /* the rest of the file is not worth reading */
};

__attribute__((format(printf, 2, 3))) static void scan_error(struct scan *s, const char *fmt, ...)
{
	char text[192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!s->bad)
		policy_error(s->r, s->line, "%s", text);
	s->bad = true;
}

static void scan_comment(struct scan *s)
{
	while (s->in.left && *s->in.p != '\n')
		rd_u8(&s->in);
}

/* Bytes that stand for themselves in a string, and such of a word. */
static const bool plain[256] = {[0x20 ... '"' - 1] = true,
                                ['"' + 1 ... '$' - 1] = true,
                                ['$' + 1 ... '\\' - 1] = true,
                                ['\\' + 1 ... '|' - 1] = true,
                                ['|' + 1 ... 0x7e] = true};
static const bool in_word[256] = {
        ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['_'] = true,
        ['.'] = true,         [':'] = true,         ['/'] = true,         ['-'] = true};

/* What follows and is of the set goes out as it is, all at once: a file is made of such runs. */
static void scan_run(struct scan *s, const bool set[static 256])
{
	size_t n = 0;

	while (n < s->in.left && set[s->in.p[n]])
		n++;
	buf_bytes(&s->out, rd_take(&s->in, n));
}

/* at: where the word begins in out. */
static void note_word(struct scan *s, size_t at)
{
	s->tokens++;
	if (s->depth)
		return;
	if (s->words == 2)
		s->word[0] = s->word[1];
	else
		s->words++;
	s->word[s->words - 1] = (struct bytes_at){at, s->out.n - at};
}

static void scan_string(struct scan *s)
{
	size_t start = s->out.n;

	buf_u8(&s->out, '"');
	scan_run(s, plain);
	while (s->in.left && *s->in.p != '\n') {
		uint8_t c = rd_u8(&s->in);

		if (c == '\\' || c == '|' || c == '$')
			scan_error(s, "\"%c\" can't stand in a string", c);
		else if (c < 0x20 || c > 0x7e)
			scan_error(s,
			           "byte 0x%02x in a string; only printable ASCII can stand there",
			           c);
		buf_u8(&s->out, c);
		if (c != '"') {
			scan_run(s, plain);
			continue;
		}
		/* The library has no words for a key without a name. */
		if (s->out.n == start + 2)
			scan_error(s, "an empty string");
		note_word(s, start);
		return;
	}
	scan_error(s, "the string is not closed on its line; add a \"");
}

static void start_piece(struct scan *s, enum policy_section_id section)
{
	s->piece->section = section;
	s->piece->line = s->line;
	s->out.n = 0;
	s->bad = false;
	s->words = 0;
	s->tokens = 0;
}

static void end_piece(struct scan *s)
{
	buf_u8(&s->out, 0);
	if (s->out.bad)
		s->r->no_memory = true;
	else if (s->bad || (s->tokens && !read_piece(s->piece, (char *)s->out.p)))
		s->failed = true;
}

/* A word without its quotes, cut. */
static void word_text(const struct scan *s, const struct bytes_at *word, char *out, size_t cap)
{
	const char *p = (const char *)s->out.p + word->at;
	size_t quoted = *p == '"', n = word->n - 2 * quoted;

	n = n < cap ? n : cap - 1;
	memcpy(out, p + quoted, n);
	out[n] = '\0';
}

/* The section that the last two words open, with its name; SECTION_TOP: none. */
static enum policy_section_id header(const struct scan *s, char title[static VALUE_MAX])
{
	char kind[32];

	if (s->words != 2 || s->bad || s->out.bad)
		return SECTION_TOP;
	word_text(s, &s->word[0], kind, sizeof(kind));
	word_text(s, &s->word[1], title, VALUE_MAX);
	for (enum policy_section_id i = SECTION_TOP + 1; i < SECTION_MAX; i++)
		if (!strcmp(policy_sections[i].name, kind))
			return i;
	return SECTION_TOP;
}

/* True: a block has begun, and what stood before it is read. */
static bool scan_header(struct scan *s)
{
	char title[VALUE_MAX];
	enum policy_section_id section = s->after_equal ? SECTION_TOP : header(s, title);

	if (section == SECTION_TOP)
		return false;
	s->out.n = s->word[0].at;
	s->tokens -= s->words;
	end_piece(s);
	start_piece(s, section);
	s->tokens = 1; /* it is read though it be empty */
	memcpy(s->piece->title, title, sizeof(title));
	return true;
}

static void scan_open(struct scan *s)
{
	if (!s->depth && scan_header(s)) {
		s->opened[s->depth++] = s->line;
		return;
	}
	s->tokens++;
	if (s->depth >= DEPTH_MAX)
		scan_error(s, "too many braces inside each other");
	else
		s->opened[s->depth] = s->line;
	s->depth++;
	if (s->after_equal)
		buf_str(&s->out, "{");
	else
		buf_printf(&s->out, "{ %s=%u ", LINE_KEY, s->line);
}

static void scan_close(struct scan *s)
{
	if (s->after_list)
		scan_error(s, "the list is empty; put something in or remove the line");
	if (s->depth)
		s->depth--;
	else
		scan_error(s, "\"}\" closes nothing");
	if (s->depth || s->piece->section == SECTION_TOP)
		buf_u8(&s->out, '}');
	if (s->depth)
		return;
	end_piece(s);
	start_piece(s, SECTION_TOP);
}

static void scan_word(struct scan *s, uint8_t c)
{
	size_t at = s->out.n;

	if (c == '/' && s->in.left && (*s->in.p == '/' || *s->in.p == '*'))
		scan_error(s, "\"/%c\" outside of a string; comments start with #", *s->in.p);
	buf_u8(&s->out, c);
	scan_run(s, in_word);
	note_word(s, at);
}

static void scan_other(struct scan *s, uint8_t c)
{
	if (in_word[c]) {
		scan_word(s, c);
	} else if (c > 0x20 && c < 0x7f) {
		scan_error(s, "\"%c\" outside of a string; put the text in double quotes", c);
	} else {
		scan_error(s, "byte 0x%02x outside of a string%s", c,
		           c == '\r' ? "; save the file with Unix line ends" : "");
		s->stop = true;
	}
}

static void scan_one(struct scan *s)
{
	uint8_t c = rd_u8(&s->in);

	switch (c) {
	case '\n':
		s->line++;
		buf_u8(&s->out, c);
		return;
	case ' ':
	case '\t':
		buf_u8(&s->out, c);
		return;
	case '#':
		scan_comment(s);
		return;
	case '{':
		scan_open(s);
		break;
	case '}':
		scan_close(s);
		break;
	case '"':
		scan_string(s);
		break;
	case '=':
	case ',':
		buf_u8(&s->out, c);
		s->words = 0;
		s->tokens++;
		break;
	default:
		scan_other(s, c);
	}
	s->after_list = c == '{' && s->after_equal;
	s->after_equal = c == '=';
}

/* False after an issue. */
static bool scan(struct piece *p, struct bytes text)
{
	/* A brace grows by its line number and the hidden key; nothing else grows. */
	struct scan s = {.r = p->r,
	                 .piece = p,
	                 .in = reader_of(text),
	                 .out = buf_make(text.n * 16 + 64),
	                 .line = 1};

	start_piece(&s, SECTION_TOP);
	while (s.in.left && !s.stop && !s.r->no_memory)
		scan_one(&s);
	if (s.depth && !s.stop) {
		s.line = s.opened[s.depth < DEPTH_MAX ? s.depth - 1 : DEPTH_MAX - 1];
		scan_error(&s, "this brace is never closed; add a \"}\"");
	}
	end_piece(&s);
	buf_free(&s.out);
	return !s.failed;
}

/* ------------------------------------------------------------------- libconfuse */

/* From the library's line, counted in the piece, to the file's. */
static long line_of(const cfg_t *cfg)
{
	const cfg_opt_t *key = &cfg->opts[0];
	const struct policy_value *first = key->nvalues ? key->values[0]->ptr : NULL;

	if (first)
		return cfg->line + strtol(first->text, NULL, 10) - (long)first->line;
	return cfg->line + (key->def.number ? key->def.number - 1 : 0);
}

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
	v->line = (uint32_t)line_of(cfg);
	memcpy(v->text, text, n + 1);
	opt->def.number = v->line;
	*(void **)result = v;
	return 0;
}

static cfg_opt_t option_of(const struct policy_key *k)
{
	cfg_opt_t one = CFG_PTR_CB(k->name, NULL, CFGF_NODEFAULT, take_value, free);
	cfg_opt_t list = CFG_PTR_LIST_CB(k->name, NULL, CFGF_NODEFAULT, take_value, free);

	return k->flags & KEY_LIST ? list : one;
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
	const char *names[POLICY_KEYS_MAX + SECTION_MAX + 2];
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
		snprintf(out, cap, "the %s ends in the middle of a statement",
		         cfg->title ? "block" : "text");
	else
		vsnprintf(out, cap, fmt, ap);
}

/*
 * Keeps the first error: what follows it may come of it; unless it is in one statement, after which
 * the next begins: then ':' follows the line.
 */
__attribute__((format(printf, 2, 0))) static void keep_error(cfg_t *cfg, const char *fmt,
                                                             va_list ap)
{
	bool statement = !strcmp(fmt, "no such option '%s'") || strchr(fmt, '"');
	char text[256];

	if (cfg->comment)
		return;
	error_text(cfg, fmt, ap, text, sizeof(text));
	if (asprintf(&cfg->comment, "%ld%c%s", line_of(cfg), statement ? ':' : ';', text) < 0)
		cfg->comment = NULL;
}

/* The hidden key is the first. */
static size_t add_keys(enum policy_section_id section, cfg_opt_t *out)
{
	const cfg_opt_t line = CFG_PTR_CB(LINE_KEY, NULL, CFGF_NODEFAULT, take_value, free);
	const struct policy_section *sec = &policy_sections[section];
	size_t n = 0;

	out[n++] = line;
	for (size_t i = 0; i < sec->n; i++)
		out[n++] = option_of(&sec->keys[i]);
	return n;
}

/* What may stand in a section. At the top that is blocks too, so that what is no block's beginning
 * can be told from what is no key. */
static cfg_t *grammar_init(enum policy_section_id section)
{
	static const cfg_opt_t end = CFG_END();
	cfg_opt_t none[] = {CFG_END()};
	cfg_opt_t opts[POLICY_KEYS_MAX + SECTION_MAX + 2];
	size_t n = add_keys(section, opts);
	cfg_t *cfg;

	for (size_t s = SECTION_TOP + 1; section == SECTION_TOP && s < SECTION_MAX; s++) {
		cfg_opt_t opt = CFG_SEC(policy_sections[s].name, none, CFGF_MULTI | CFGF_TITLE);

		opts[n++] = opt;
	}
	opts[n] = end;
	cfg = cfg_init(opts, CFGF_NONE); /* copies the array */
	if (!cfg)
		return NULL;
	free(cfg->name);
	cfg->name = strdup(policy_sections[section].name);
	cfg_set_error_function(cfg, keep_error);
	return cfg;
}

/* -------------------------------------------------------------------- the tree */

struct mistake {
	uint32_t line;
	bool statement; /* in one statement: the text goes on behind it */
};

/* The mistake that was left on the tree, as an issue. False: there is none. */
static bool take_error(struct policy_reader *r, const cfg_t *cfg, struct mistake *out)
{
	char *text;

	/* A callback that failed without words was out of memory. */
	if (!cfg->comment) {
		r->no_memory = true;
		return false;
	}
	out->line = (uint32_t)strtoul(cfg->comment, &text, 10);
	out->statement = *text == ':';
	policy_error(r, out->line, "%s", text + 1);
	return true;
}

static void emit(const struct piece *p, cfg_t *cfg)
{
	const struct policy_section *sec = &policy_sections[p->section];

	p->on->open(p->r, p->section, p->title, p->line);
	/* After the hidden key they stand as in the table. */
	for (uint32_t k = 0; k < sec->n; k++) {
		cfg_opt_t *opt = &cfg->opts[k + 1];
		unsigned n = cfg_opt_size(opt);

		for (unsigned i = 0; i < n; i++)
			p->on->value(p->r, k, cfg_opt_getnptr(opt, i));
	}
	p->on->close(p->r);
}

/* As if nothing had been read. */
static void clear(cfg_t *cfg)
{
	for (cfg_opt_t *o = cfg->opts; o->name; o++) {
		if (o->values)
			cfg_free_value(o);
		o->def.number = 0;
	}
}

/* ---------------------------------------------------------------------- pieces */

/*
 * Blanks the line of a mistake, so that the ones behind it in the block are found too: only a line
 * that is one whole statement, so that none is made by it.
 */
static bool blank(const struct piece *p, char *text, uint32_t line)
{
	uint32_t at = p->line;
	char *start = text, *end;
	int open = 0;

	for (; start && at < line; at++) {
		start = strchr(start, '\n');
		start = start ? start + 1 : NULL;
	}
	if (!start || at != line)
		return false;
	end = start + strcspn(start, "\n");
	if (!memchr(start, '=', (size_t)(end - start)) ||
	    memmem(start, (size_t)(end - start), LINE_KEY, strlen(LINE_KEY)))
		return false;
	for (const char *c = start; c < end && open >= 0; c++)
		open += *c == '{' ? 1 : *c == '}' ? -1 : 0;
	if (open || end[-1] == '=')
		return false;
	memset(start, ' ', (size_t)(end - start));
	return true;
}

/* False after an error, which stands on the tree; or without memory, and then there is no tree. */
static bool parse(struct piece *p, const char *text)
{
	cfg_t **cfg = &p->tree[p->section];

	if (!*cfg)
		*cfg = grammar_init(p->section);
	if (*cfg && p->section != SECTION_TOP) {
		free((*cfg)->title);
		(*cfg)->title = strdup(p->title);
	}
	if (!*cfg) {
		p->r->no_memory = true;
		return false;
	}
	(*cfg)->opts[0].def.number = p->line;
	return cfg_parse_buf(*cfg, text) == CFG_SUCCESS;
}

static bool read_piece(struct piece *p, char *text)
{
	cfg_t **cfg = &p->tree[p->section];
	uint32_t mistakes = 0;
	struct mistake m = {0};
	bool more = true;

	while (more && !parse(p, text)) {
		mistakes++;
		more = *cfg && take_error(p->r, *cfg, &m) && m.statement &&
		       mistakes < MISTAKES_MAX && blank(p, text, m.line);
		cfg_free(*cfg);
		*cfg = NULL;
	}
	if (!mistakes)
		emit(p, *cfg);
	if (*cfg)
		clear(*cfg);
	return !mistakes;
}

bool policy_syntax(struct policy_reader *r, struct bytes text, const struct policy_events *on)
{
	struct piece p = {.r = r, .on = on};
	bool ok;

	if (text.n > POLICY_FILE_MAX) {
		policy_error(r, 1, "the file is larger than %d bytes", POLICY_FILE_MAX);
		return false;
	}
	ok = scan(&p, text);
	for (size_t s = 0; s < SECTION_MAX; s++)
		cfg_free(p.tree[s]);
	return ok;
}
