/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed notes (C2SP signed-note), syntax only: the text, the separator, the signature lines.
 * Nothing that comes out of here is true before a signature verified.
 */
#include "ledger/room.h"

#include <errno.h>
#include <string.h>

/* U+2014 and a space, in UTF-8. */
#define SIG_LINE_START "\xe2\x80\x94 "

bool ledger_line(struct bytes *rest, struct bytes *line)
{
	const uint8_t *lf = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;

	if (!lf)
		return false;
	*line = (struct bytes){rest->p, (size_t)(lf - rest->p)};
	rest->n -= line->n + 1;
	rest->p = lf + 1;
	return true;
}

bool ledger_prefix(struct bytes *v, const char *text)
{
	size_t n = strlen(text);

	if (v->n < n || memcmp(v->p, text, n) != 0)
		return false;
	v->p += n;
	v->n -= n;
	return true;
}

/* ---------------------------------------------------------------------- text */

/* Takes one code point off *v; false for what RFC 3629 does not allow. */
static bool utf8_next(struct bytes *v, uint32_t *out)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint8_t first = v->p[0];
	size_t len = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	uint32_t c = len == 1 ? first : first & (0x7fu >> len);

	if (len == 0 || first > 0xf4 || len > v->n)
		return false;
	for (size_t i = 1; i < len; i++) {
		if ((v->p[i] & 0xc0) != 0x80)
			return false;
		c = c << 6 | (v->p[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return false;
	v->p += len;
	v->n -= len;
	*out = c;
	return true;
}

/* The code points with the property White_Space that are not below U+0021. */
static bool unicode_space(uint32_t c)
{
	return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
	       c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool ledger_note_text_ok(struct bytes v)
{
	uint32_t c;

	while (v.n) {
		if (!utf8_next(&v, &c) || (c < 0x20 && c != '\n'))
			return false;
	}
	return true;
}

bool ledger_name_ok(struct bytes name)
{
	uint32_t c;

	if (name.n == 0 || name.n > NOTE_NAME_MAX)
		return false;
	while (name.n) {
		if (!utf8_next(&name, &c) || c <= 0x20 || c == '+' || unicode_space(c))
			return false;
	}
	return true;
}

int ledger_base64_any(struct bytes text, uint8_t *out, size_t cap)
{
	uint8_t part[3072];
	size_t total = 0;

	if (text.n > NOTE_MAX)
		return -EINVAL;
	while (text.n) {
		size_t take = text.n < sizeof(part) / 3 * 4 ? text.n : sizeof(part) / 3 * 4;
		int got = base64_decode((struct bytes){text.p, take}, part, sizeof(part));

		text.p += take;
		text.n -= take;
		/* Padding may stand at the very end only. */
		if (got < 0 || (text.n && (size_t)got != sizeof(part)))
			return -EINVAL;
		if (total < cap)
			memcpy(out + total, part,
			       (size_t)got < cap - total ? (size_t)got : cap - total);
		total += (size_t)got;
	}
	return (int)total;
}

int ledger_hash_parse(struct bytes text, struct hash *out)
{
	struct hash h;

	if (base64_decode(text, h.v, HASH_LEN) != HASH_LEN)
		return -EINVAL;
	*out = h;
	return 0;
}

/* ---------------------------------------------------------------------- note */

/* "— name base64(id || signature)", the base64 of at least five bytes. */
static int sig_line_parse(struct bytes line, struct note_sig *out)
{
	uint8_t payload[sizeof(out->id) + sizeof(out->sig)];

	if (!ledger_prefix(&line, SIG_LINE_START))
		return -EINVAL;

	const uint8_t *space = line.n ? memchr(line.p, ' ', line.n) : NULL;

	if (!space)
		return -EINVAL;

	struct bytes name = {line.p, (size_t)(space - line.p)};
	struct bytes text = {space + 1, line.n - name.n - 1};
	int n = ledger_base64_any(text, payload, sizeof(payload));

	if (!ledger_name_ok(name) || n < (int)sizeof(out->id) + 1)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	out->name = name;
	memcpy(out->id, payload, sizeof(out->id));
	if ((size_t)n <= sizeof(payload)) {
		out->sig_len = (uint16_t)((size_t)n - sizeof(out->id));
		memcpy(out->sig, payload + sizeof(out->id), out->sig_len);
	}
	return 0;
}

int ledger_sig_lines_parse(struct bytes lines, struct note *out)
{
	struct bytes line;

	out->sigs = 0;
	if (lines.n == 0 || lines.n > NOTE_MAX || lines.p[lines.n - 1] != '\n')
		return -EINVAL;
	while (ledger_line(&lines, &line)) {
		if (out->sigs == NOTE_SIGS_MAX || sig_line_parse(line, &out->sig[out->sigs]))
			return -EINVAL;
		out->sigs++;
	}
	return 0;
}

int ledger_note_parse(struct bytes data, struct note *out)
{
	if (data.n < 2 || data.n > NOTE_MAX || !ledger_note_text_ok(data))
		return -EINVAL;

	/* The last blank line separates; the text may hold others. */
	size_t at = data.n - 1;

	while (at > 0 && !(data.p[at] == '\n' && data.p[at - 1] == '\n'))
		at--;
	if (at == 0)
		return -EINVAL;

	struct bytes rest = {data.p + at + 1, data.n - at - 1};

	out->text = (struct bytes){data.p, at};
	return ledger_sig_lines_parse(rest, out);
}
