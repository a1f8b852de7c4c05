/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tlog-policies (C2SP tlog-policy): which logs, which witnesses, which of them make a quorum.
 * Knows nothing of the administrator's policy, which decides whether what a file says (a "quorum
 * none", say) is acceptable.
 */
#include "ledger/room.h"

#include <errno.h>
#include <string.h>

/* Members are numbered: a witness by its index, a group by its index plus TLOG_KEYS_MAX. */
enum { NOT_A_MEMBER = -1 };

/* One line's fields; more than a group can have are an error of that line. */
enum { FIELDS_MAX = 3 + TLOG_KEYS_MAX };

struct fields {
	struct bytes v[FIELDS_MAX];
	size_t n;
};

/* What is parsed so far, and what the result does not hold. */
struct parse {
	struct tlog_policy *p;
	bool is_member[TLOG_KEYS_MAX + TLOG_GROUPS_MAX];
	bool has_quorum;
	bool sigsum; /* keys are hex digits */
};

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static const char *split(struct bytes line, struct fields *out)
{
	out->n = 0;
	while (line.n) {
		size_t n = 0;

		while (n < line.n && !is_blank(line.p[n]))
			n++;
		if (n) {
			if (out->n == FIELDS_MAX)
				return "a line can't have that many fields";
			out->v[out->n++] = (struct bytes){line.p, n};
		}
		while (n < line.n && is_blank(line.p[n]))
			n++;
		line.p += n;
		line.n -= n;
	}
	return NULL;
}

static bool octets_ok(struct bytes line)
{
	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] == 0x7f || (line.p[i] < 0x20 && line.p[i] != '\t'))
			return false;
	}
	return true;
}

static bool field_is(struct bytes f, const char *text)
{
	return bytes_equal(f, bytes_str(text));
}

static void copy_text(struct bytes v, char *out)
{
	memcpy(out, v.p, v.n);
	out[v.n] = '\0';
}

/* -------------------------------------------------------------------- names */

static int find_member(const struct tlog_policy *p, struct bytes name)
{
	for (uint32_t i = 0; i < p->witnesses; i++) {
		if (field_is(name, p->witness_name[i]))
			return (int)i;
	}
	for (uint32_t i = 0; i < p->groups; i++) {
		if (field_is(name, p->group[i].name))
			return (int)i + TLOG_KEYS_MAX;
	}
	return NOT_A_MEMBER;
}

static const char *new_name(const struct tlog_policy *p, struct bytes name)
{
	if (name.n > NOTE_NAME_MAX)
		return "a name has at most 255 octets";
	if (field_is(name, "none"))
		return "the name \"none\" is reserved";
	if (find_member(p, name) != NOT_A_MEMBER)
		return "this name is already taken";
	return NULL;
}

/* --------------------------------------------------------------------- keys */

static bool same_key(const struct vkey *a, const struct vkey *b)
{
	return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

static bool signs_for_log(const struct vkey *k)
{
	switch ((enum note_alg)k->alg) {
	case NOTE_ED25519:
	case NOTE_ECDSA:
	case NOTE_RFC6962:
	case NOTE_MLDSA44:
		return true;
	case NOTE_COSIGNATURE:
		return false;
	}
	return false;
}

static bool signs_for_witness(const struct vkey *k)
{
	switch ((enum note_alg)k->alg) {
	case NOTE_COSIGNATURE:
	case NOTE_MLDSA44:
		return true;
	case NOTE_ED25519:
	case NOTE_ECDSA:
	case NOTE_RFC6962:
		return false;
	}
	return false;
}

static const char *add_log(struct tlog_policy *p, const struct vkey *k)
{
	if (!signs_for_log(k))
		return "this is a witness's key, not a log's";
	for (uint32_t i = 0; i < p->logs; i++) {
		if (same_key(&p->log[i], k))
			return "another log has the same public key";
	}
	if (p->logs == TLOG_KEYS_MAX)
		return "at most 64 logs";
	p->log[p->logs++] = *k;
	return NULL;
}

static const char *add_witness(struct tlog_policy *p, const struct vkey *k)
{
	if (!signs_for_witness(k))
		return "this key does not make cosignatures; a witness's is of type 4 or 6";
	for (uint32_t i = 0; i < p->witnesses; i++) {
		if (same_key(&p->witness[i], k))
			return "another witness has the same public key";
	}
	if (p->witnesses == TLOG_KEYS_MAX)
		return "at most 64 witnesses";
	p->witness[p->witnesses++] = *k;
	return NULL;
}

/* -------------------------------------------------------------------- lines */

static const char vkey_wanted[] = "a verifier key is wanted: NAME+HASH+BASE64, of a known type, "
                                  "with the hash of that name and key";

static const char hex_wanted[] = "an Ed25519 key in 64 hex digits is wanted, canonical and not of "
                                 "low order";

/* A log's key is named by its origin, a witness's by its hash. */
static int hex_key(struct bytes text, enum note_alg alg, struct vkey *out)
{
	struct vkey k = {.alg = (uint8_t)alg, .key_len = SIGSUM_KEY};
	struct hash h;

	if (hex_decode(text, k.key, SIGSUM_KEY) || !ledger_ed25519_ok(k.key))
		return -EINVAL;
	if (alg == NOTE_ED25519) {
		ledger_sigsum_origin(k.key, k.name);
	} else {
		ledger_sha256((struct bytes){k.key, SIGSUM_KEY}, &h);
		hex_encode(BYTES_OF(h.v), k.name);
	}
	if (ledger_key_id(k.name, alg, (struct bytes){k.key, SIGSUM_KEY}, k.id))
		return -EINVAL;
	*out = k;
	return 0;
}

/* What is wrong with a key, or NULL. */
static const char *take_key(const struct parse *s, struct bytes text, enum note_alg hex_alg,
                            struct vkey *out)
{
	if (s->sigsum)
		return hex_key(text, hex_alg, out) ? hex_wanted : NULL;
	return ledger_vkey_parse(text, out) ? vkey_wanted : NULL;
}

/* log <key> [<url>] */
static const char *log_line(struct parse *s, const struct fields *f)
{
	struct tlog_policy *p = s->p;
	const char *why;
	struct vkey k;

	if (f->n < 2 || f->n > 3)
		return "log is followed by a verifier key and at most a URL";
	why = take_key(s, f->v[1], NOTE_ED25519, &k);
	if (why)
		return why;
	if (f->n == 3 && f->v[2].n >= sizeof(p->log_url[0]))
		return "a URL has at most 255 octets";
	why = add_log(p, &k);
	if (!why && f->n == 3)
		copy_text(f->v[2], p->log_url[p->logs - 1]);
	return why;
}

/* witness <name> <key> [<url>] */
static const char *witness_line(struct parse *s, const struct fields *f)
{
	struct tlog_policy *p = s->p;
	struct vkey k;
	const char *why;

	if (f->n < 3 || f->n > 4)
		return "witness is followed by a name, a verifier key and at most a URL";
	why = new_name(p, f->v[1]);
	if (why)
		return why;
	why = take_key(s, f->v[2], NOTE_COSIGNATURE, &k);
	if (why)
		return why;
	if (f->n == 4 && f->v[3].n >= sizeof(p->witness_url[0]))
		return "a URL has at most 255 octets";
	why = add_witness(p, &k);
	if (why)
		return why;
	copy_text(f->v[1], p->witness_name[p->witnesses - 1]);
	if (f->n == 4)
		copy_text(f->v[3], p->witness_url[p->witnesses - 1]);
	return NULL;
}

static const char *threshold(struct bytes text, uint32_t members, uint32_t *out)
{
	uint64_t k;

	if (field_is(text, "any"))
		*out = 1;
	else if (field_is(text, "all"))
		*out = members;
	else if (decimal_u64(text, members, &k) || k == 0)
		return "the threshold is any, all, or a number from 1 to that of the members";
	else
		*out = (uint32_t)k;
	return NULL;
}

/* group <name> all|any|<k> <name>... */
static const char *group_line(struct parse *s, const struct fields *f)
{
	struct tlog_policy *p = s->p;
	struct tlog_group g = {0};
	const char *why;

	if (f->n < 4)
		return "group is followed by a name, a threshold and its members";
	why = new_name(p, f->v[1]);
	if (why)
		return why;
	if (p->groups == TLOG_GROUPS_MAX)
		return "at most 64 groups";
	for (size_t i = 3; i < f->n; i++) {
		int m = find_member(p, f->v[i]);

		if (m == NOT_A_MEMBER)
			return "a member is not a witness or group of an earlier line";
		if (s->is_member[m])
			return "a name can be a member only once in the whole file";
		s->is_member[m] = true;
		g.member[g.members++] = (uint16_t)m;
	}
	why = threshold(f->v[2], g.members, &g.k);
	if (why)
		return why;
	copy_text(f->v[1], g.name);
	p->group[p->groups++] = g;
	return NULL;
}

/* quorum <name>|none */
static const char *quorum_line(struct parse *s, const struct fields *f)
{
	if (s->has_quorum)
		return "there can be one quorum line only";
	if (f->n != 2)
		return "quorum is followed by one name";
	s->has_quorum = true;
	if (field_is(f->v[1], "none")) {
		s->p->quorum = -1;
		return NULL;
	}

	int m = find_member(s->p, f->v[1]);

	if (m == NOT_A_MEMBER)
		return "the quorum is not a witness or group of an earlier line";
	s->p->quorum = m;
	return NULL;
}

static const char *policy_line(struct parse *s, struct bytes line)
{
	static const struct {
		const char *word;
		const char *(*fn)(struct parse *s, const struct fields *f);
	} kinds[] = {
	        {"log", log_line},
	        {"witness", witness_line},
	        {"group", group_line},
	        {"quorum", quorum_line},
	};
	struct fields f;
	const char *why;

	if (!octets_ok(line))
		return "only tabs and printable octets are allowed (no carriage return)";
	if (line.n > VKEY_TEXT_MAX)
		return "a line has at most 4096 octets";
	while (line.n && is_blank(line.p[0])) {
		line.p++;
		line.n--;
	}
	if (line.n == 0 || line.p[0] == '#')
		return NULL;
	why = split(line, &f);
	if (why)
		return why;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (field_is(f.v[0], kinds[i].word))
			return kinds[i].fn(s, &f);
	}
	return "a line begins with log, witness, group, quorum or #";
}

static int parse_policy(struct bytes text, bool sigsum, struct tlog_policy *out, uint32_t *line,
                        const char **why)
{
	struct parse s = {.p = out, .sigsum = sigsum};
	struct bytes l;

	*line = 0;
	*why = NULL;
	memset(out, 0, sizeof(*out));
	if (text.n > TLOG_POLICY_MAX) {
		*why = "a policy has at most 65536 octets";
		return -EINVAL;
	}
	while (!*why && ledger_line(&text, &l)) {
		(*line)++;
		*why = policy_line(&s, l);
	}
	if (!*why && text.n) {
		(*line)++;
		*why = "the last line must end with a newline";
	} else if (!*why && !s.has_quorum) {
		*why = "there is no quorum line";
	}
	if (*why) {
		memset(out, 0, sizeof(*out));
		return -EINVAL;
	}
	return 0;
}

int ledger_policy_parse(struct bytes text, struct tlog_policy *out, uint32_t *line,
                        const char **why)
{
	return parse_policy(text, false, out, line, why);
}

int ledger_sigsum_policy_parse(struct bytes text, struct tlog_policy *out, uint32_t *line,
                               const char **why)
{
	return parse_policy(text, true, out, line, why);
}

int ledger_policy_flat(struct tlog_policy *out, const struct vkey *log, uint32_t logs,
                       const struct vkey *witness, uint32_t witnesses, uint32_t k)
{
	struct tlog_group *g = &out->group[0];

	memset(out, 0, sizeof(*out));
	if (logs > TLOG_KEYS_MAX || witnesses > TLOG_KEYS_MAX || k > witnesses ||
	    (witnesses && k == 0))
		goto bad;
	for (uint32_t i = 0; i < logs; i++) {
		if (add_log(out, &log[i]))
			goto bad;
	}
	for (uint32_t i = 0; i < witnesses; i++) {
		if (add_witness(out, &witness[i]))
			goto bad;
		memcpy(out->witness_name[i], witness[i].name, sizeof(witness[i].name));
		g->member[i] = (uint16_t)i;
	}
	if (witnesses == 0) {
		out->quorum = -1;
		return 0;
	}
	copy_text(bytes_str("quorum"), g->name);
	g->k = k;
	g->members = witnesses;
	out->groups = 1;
	out->quorum = TLOG_KEYS_MAX;
	return 0;
bad:
	memset(out, 0, sizeof(*out));
	return -EINVAL;
}

bool ledger_quorum(const struct tlog_policy *p, const bool seen[static TLOG_KEYS_MAX])
{
	bool holds[TLOG_KEYS_MAX + TLOG_GROUPS_MAX] = {false};

	if (p->quorum == -1)
		return true;
	for (uint32_t i = 0; i < p->witnesses && i < TLOG_KEYS_MAX; i++)
		holds[i] = seen[i];
	/* Members stand before the groups they are in. */
	for (uint32_t i = 0; i < p->groups && i < TLOG_GROUPS_MAX; i++) {
		const struct tlog_group *g = &p->group[i];
		uint32_t n = 0;

		for (uint32_t j = 0; j < g->members && j < TLOG_KEYS_MAX; j++)
			n += g->member[j] < TLOG_KEYS_MAX + i && holds[g->member[j]];
		holds[TLOG_KEYS_MAX + i] = g->k > 0 && n >= g->k;
	}
	return p->quorum >= 0 && p->quorum < TLOG_KEYS_MAX + TLOG_GROUPS_MAX && holds[p->quorum];
}
