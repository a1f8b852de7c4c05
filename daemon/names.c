/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names and the addresses they are known to have.
 */
#include "daemon/names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "core/file.h"

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

void names_address_text(const uint8_t addr[static 16], char *out)
{
	bool v4 = !memcmp(addr, mapped, sizeof(mapped));

	if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? addr + 12 : addr, out, INET6_ADDRSTRLEN))
		out[0] = '\0';
}

bool names_address_parse(const char *text, uint8_t out[static 16])
{
	uint8_t v4[4];

	if (inet_pton(AF_INET, text, v4) == 1) {
		memcpy(out, mapped, sizeof(mapped));
		memcpy(out + sizeof(mapped), v4, sizeof(v4));
		return true;
	}
	return inet_pton(AF_INET6, text, out) == 1;
}

void names_free(struct names *t)
{
	free(t->v);
	free(t->use);
	free(t->at);
	memset(t, 0, sizeof(*t));
}

static int by_host(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return strcasecmp(x->host, y->host);
}

static int host_of_name(const void *host, const void *name)
{
	return strcasecmp(host, ((const struct name *)name)->host);
}

struct name *names_find(const struct names *t, const char *host)
{
	return t->n ? bsearch(host, t->v, t->n, sizeof(*t->v), host_of_name) : NULL;
}

/* Sorted, each host once. */
static void sort(struct names *t)
{
	uint32_t kept = 0;

	if (t->n)
		qsort(t->v, t->n, sizeof(*t->v), by_host);
	for (uint32_t i = 0; i < t->n; i++)
		if (!kept || by_host(&t->v[kept - 1], &t->v[i]))
			t->v[kept++] = t->v[i];
	t->n = kept;
}

/* Which destinations each name is of: counted first, then filled in. */
static void find_uses(struct names *t, const struct policy *p)
{
	uint32_t at = 0;

	for (int fill = 0; fill < 2; fill++) {
		for (uint32_t i = 0; i < t->n; i++) {
			if (fill) {
				t->v[i].use = at;
				at += t->v[i].uses;
			}
			t->v[i].uses = 0;
		}
		for (uint32_t i = 0; i < p->destinations; i++) {
			for (uint32_t k = 0; k < p->destination[i].hosts; k++) {
				struct name *name = names_find(t, p->destination[i].host[k]);

				if (fill)
					t->use[name->use + name->uses] = i;
				name->uses++;
			}
		}
	}
}

static int by_address(const void *a, const void *b)
{
	const struct name_at *x = a, *y = b;
	int c = memcmp(x->addr, y->addr, sizeof(x->addr));

	return c ? c : (x->name > y->name) - (x->name < y->name);
}

static void index_addresses(struct names *t)
{
	size_t n = 0;

	for (uint32_t i = 0; i < t->n; i++)
		n += t->v[i].n;
	free(t->at);
	t->at_n = 0;
	t->at = calloc(n + 1, sizeof(*t->at));
	for (uint32_t i = 0; t->at && i < t->n; i++) {
		for (uint32_t a = 0; a < t->v[i].n; a++) {
			memcpy(t->at[t->at_n].addr, t->v[i].addr[a], sizeof(t->at->addr));
			t->at[t->at_n++].name = i;
		}
	}
	if (t->at)
		qsort(t->at, t->at_n, sizeof(*t->at), by_address);
}

/* The first of an address, or the place where it would be. */
static size_t first_at(const struct names *t, const uint8_t addr[static 16])
{
	size_t lo = 0, hi = t->at_n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (memcmp(t->at[mid].addr, addr, sizeof(t->at->addr)) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int names_of_policy(const struct policy *p, const struct names *old, struct names *out)
{
	struct names t = {0};
	size_t most = 0;

	for (uint32_t i = 0; i < p->destinations; i++)
		most += p->destination[i].hosts;
	t.v = calloc(most + 1, sizeof(*t.v));
	t.use = calloc(most + 1, sizeof(*t.use));
	if (!t.v || !t.use) {
		names_free(&t);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < p->destinations; i++) {
		const struct policy_destination *d = &p->destination[i];

		for (uint32_t k = 0; k < d->hosts; k++)
			snprintf(t.v[t.n++].host, sizeof(t.v->host), "%s", d->host[k]);
	}
	sort(&t);
	for (uint32_t i = 0; i < t.n; i++) {
		const struct name *known = names_find(old, t.v[i].host);

		if (known)
			t.v[i] = *known;
	}
	find_uses(&t, p);
	index_addresses(&t);
	*out = t;
	return 0;
}

/* -------------------------------------------------------------------- learn */

static int64_t index_of(const struct name *name, const uint8_t addr[static 16])
{
	for (uint32_t i = 0; i < name->n; i++) {
		if (!memcmp(name->addr[i], addr, sizeof(name->addr[i])))
			return i;
	}
	return -1;
}

bool names_has(const struct name *name, const uint8_t addr[static 16])
{
	return index_of(name, addr) >= 0;
}

static void drop(struct name *name, uint32_t at)
{
	name->n--;
	memmove(&name->addr[at], &name->addr[at + 1], (name->n - at) * sizeof(name->addr[0]));
	memmove(&name->seen[at], &name->seen[at + 1], (name->n - at) * sizeof(name->seen[0]));
}

/* Of an answer: what is known already is fresh again. */
static void refresh(struct name *name, const struct msg_resolved *answer, int64_t now)
{
	for (uint32_t i = 0; i < answer->n; i++) {
		int64_t at = index_of(name, answer->addr[i]);

		if (at >= 0)
			name->seen[at] = now;
	}
}

static bool forget_old(struct name *name, int64_t now)
{
	bool changed = false;

	for (uint32_t i = name->n; i-- > 0;) {
		if (name->seen[i] < now - NAMES_KEEP_S) {
			drop(name, i);
			changed = true;
		}
	}
	return changed;
}

static bool note(struct name *name, const uint8_t addr[static 16], int64_t now)
{
	int64_t at = index_of(name, addr);

	if (at >= 0) {
		name->seen[at] = now;
		return false;
	}
	if (name->n == NAMES_ADDRS_MAX) {
		name->surplus++;
		return false;
	}
	memcpy(name->addr[name->n], addr, sizeof(name->addr[0]));
	name->seen[name->n++] = now;
	return true;
}

/* Seconds. */
static uint64_t good_for(const struct msg_resolved *answer)
{
	if (answer->err)
		return NAMES_RETRY_S;
	if (answer->ttl < 0)
		return NAMES_TTL_UNKNOWN_S;
	if (answer->ttl < NAMES_TTL_MIN_S)
		return NAMES_TTL_MIN_S;
	return answer->ttl < NAMES_TTL_MAX_S ? (uint64_t)answer->ttl : NAMES_TTL_MAX_S;
}

bool names_learn(struct names *t, struct name *name, const struct msg_resolved *answer, int64_t now,
                 uint64_t up_s)
{
	bool changed;

	name->due_s = up_s + good_for(answer);
	name->err = answer->err;
	if (answer->err || answer->n > sizeof(answer->addr) / sizeof(answer->addr[0]))
		return false;
	name->resolved_at = now;
	name->surplus = answer->more;
	refresh(name, answer, now);
	changed = forget_old(name, now);
	for (uint32_t i = 0; i < answer->n; i++)
		changed |= note(name, answer->addr[i], now);
	if (changed)
		index_addresses(t);
	return changed;
}

const struct name *names_next(const struct names *t, uint64_t up_s)
{
	for (uint32_t i = 0; i < t->n; i++) {
		const struct name *name = &t->v[(t->turn + i) % t->n];

		if (name->due_s <= up_s)
			return name;
	}
	return NULL;
}

/* Filled twice: to count, and for good. */
struct pairs {
	const struct names *t;
	struct policy_resolved *v; /* NULL: only count */
	size_t n;
};

static void add_pairs(struct pairs *to, const struct name *name, const uint8_t addr[static 16],
                      const struct policy *closing)
{
	for (uint32_t u = 0; u < name->uses; u++) {
		uint32_t destination = to->t->use[name->use + u];

		if (closing && policy_passes(closing->destination[destination].action))
			continue;
		if (to->v) {
			to->v[to->n].destination = destination;
			memcpy(to->v[to->n].addr, addr, sizeof(to->v->addr));
		}
		to->n++;
	}
}

static void add_resolved_at(struct pairs *to, const uint8_t addr[static 16])
{
	const struct names *t = to->t;

	for (size_t i = first_at(t, addr);
	     i < t->at_n && !memcmp(t->at[i].addr, addr, sizeof(t->at->addr)); i++)
		add_pairs(to, &t->v[t->at[i].name], addr, NULL);
}

static void add_resolved(struct pairs *to, const uint8_t *addr)
{
	if (addr && to->t->at) {
		add_resolved_at(to, addr);
		return;
	}
	for (uint32_t i = 0; i < to->t->n; i++) {
		const struct name *name = &to->t->v[i];

		for (uint32_t a = 0; a < name->n; a++)
			if (!addr || !memcmp(name->addr[a], addr, sizeof(name->addr[a])))
				add_pairs(to, name, name->addr[a], NULL);
	}
}

/* How many behind this one are of the same address. */
static uint32_t group(const struct learned *l, uint32_t at)
{
	uint32_t n = 1;

	while (at + n < l->n && !memcmp(l->v[at].addr, l->v[at + n].addr, sizeof(l->v->addr)))
		n++;
	return n;
}

/*
 * What lets pass by one name says nothing against what another closes: of an address that several
 * names are said to have only that counts which closes.
 */
static void add_learned(struct pairs *to, const struct learned *l, const struct policy *p,
                        uint32_t at, uint32_t n)
{
	size_t before = to->n;
	uint32_t known = 0;

	for (uint32_t i = at; i < at + n; i++)
		known += names_find(to->t, l->v[i].host) != NULL;
	for (uint32_t i = at; i < at + n; i++) {
		const struct name *name = names_find(to->t, l->v[i].host);

		if (name)
			add_pairs(to, name, l->v[i].addr, known > 1 ? p : NULL);
	}
	for (size_t i = before; to->v && i < to->n; i++)
		to->v[i].learned = true;
}

static void add_all(struct pairs *to, const struct learned *l, const struct policy *p,
                    const uint8_t *addr)
{
	uint32_t at = addr ? learned_first(l, addr) : 0;

	add_resolved(to, addr);
	for (uint32_t n; at < l->n; at += n) {
		n = group(l, at);
		if (addr && memcmp(l->v[at].addr, addr, sizeof(l->v->addr)) != 0)
			return;
		add_learned(to, l, p, at, n);
	}
}

int names_resolved(const struct names *t, const struct learned *l, const struct policy *p,
                   const uint8_t *addr, struct policy_resolved **out, size_t *n)
{
	struct pairs pairs = {.t = t};

	add_all(&pairs, l, p, addr);
	pairs.v = calloc(pairs.n + 1, sizeof(*pairs.v));
	if (!pairs.v)
		return -ENOMEM;
	pairs.n = 0;
	add_all(&pairs, l, p, addr);
	*out = pairs.v;
	*n = pairs.n;
	return 0;
}

/* --------------------------------------------------------------------- file */

enum { FILE_VERSION = 2 };

static json_t *name_to_json(const struct name *name)
{
	json_t *o = json_object();

	for (uint32_t i = 0; o && i < name->n; i++) {
		char text[INET6_ADDRSTRLEN];

		names_address_text(name->addr[i], text);
		if (json_object_set_new(o, text, json_integer(name->seen[i]))) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

static json_t *resolved_to_json(const struct names *t)
{
	json_t *o = json_object();

	for (uint32_t i = 0; o && i < t->n; i++) {
		if (json_object_set_new(o, t->v[i].host, name_to_json(&t->v[i]))) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

int names_save(const struct names *t, const struct learned *l, const char *path)
{
	json_t *o = json_pack("{s:i, s:o, s:o}", "version", FILE_VERSION, "resolved",
	                      resolved_to_json(t), "learned", learned_to_json(l));
	char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
	int ret = text ? file_write_atomic(path, bytes_str(text), 0600) : -ENOMEM;

	free(text);
	json_decref(o);
	return ret;
}

static int name_from_json(const char *host, json_t *o, struct name *out)
{
	const char *text;
	json_t *seen;

	if (strlen(host) >= sizeof(out->host) || !json_is_object(o) ||
	    json_object_size(o) > NAMES_ADDRS_MAX)
		return -EBADMSG;
	snprintf(out->host, sizeof(out->host), "%s", host);
	json_object_foreach(o, text, seen)
	{
		if (!json_is_integer(seen) || !names_address_parse(text, out->addr[out->n]))
			return -EBADMSG;
		out->seen[out->n++] = json_integer_value(seen);
	}
	return 0;
}

static int names_from_json(json_t *o, struct names *out)
{
	const char *host;
	json_t *v;

	if (!json_is_object(o))
		return -EBADMSG;
	out->v = calloc(json_object_size(o) + 1, sizeof(*out->v));
	if (!out->v)
		return -ENOMEM;
	json_object_foreach(o, host, v)
	{
		int ret = name_from_json(host, v, &out->v[out->n++]);

		if (ret)
			return ret;
	}
	return 0;
}

/* Of a file that has addresses of both kinds in one. */
static int old_from_json(json_t *o, struct learned *out)
{
	struct names t = {0};
	int ret = names_from_json(o, &t);

	for (uint32_t i = 0; !ret && i < t.n; i++) {
		struct learned_address a = {.uid = 0};

		memcpy(a.host, t.v[i].host, sizeof(a.host));
		for (uint32_t k = 0; !ret && k < t.v[i].n; k++) {
			memcpy(a.addr, t.v[i].addr[k], sizeof(a.addr));
			a.seen = t.v[i].seen[k];
			ret = learned_note(out, &a) == -ENOMEM ? -ENOMEM : 0;
		}
	}
	names_free(&t);
	return ret;
}

static int from_json(json_t *o, struct names *t, struct learned *l)
{
	json_t *version = json_object_get(o, "version");
	int ret;

	if (!version || json_is_object(version))
		return old_from_json(o, l);
	if (json_integer_value(version) != FILE_VERSION)
		return -EBADMSG;
	ret = names_from_json(json_object_get(o, "resolved"), t);
	if (!ret)
		ret = learned_from_json(json_object_get(o, "learned"), l);
	return ret;
}

int names_load(const char *path, struct names *out, struct learned *learned)
{
	struct names t = {0};
	struct learned l = {0};
	uint8_t *text = NULL;
	size_t n = 0;
	json_t *o;
	int ret = file_read(path, NAMES_FILE_MAX, &text, &n);

	if (ret)
		return ret;
	o = json_loadb((const char *)text, n, JSON_REJECT_DUPLICATES, NULL);
	ret = from_json(o, &t, &l);
	if (!ret) {
		sort(&t);
		*out = t;
		*learned = l;
	} else {
		names_free(&t);
		learned_free(&l);
	}
	json_decref(o);
	free(text);
	return ret;
}
