/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collateral on gate's side: what verify looked for in vain is fetched in the background, kept on
 * disk, shown to verify again after a restart, and asked for anew before it ends. Who needs a piece
 * that is missing may wait for it as long as a verdict may take. No piece is parsed here: verify
 * says what it is before it is kept.
 *
 * STATE/collateral-cache/index.json names the pieces, one file each beside it. Losing them costs a
 * few requests to the vendors and nothing else, so what can't be read is forgotten.
 */
#include "daemon/gate.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "attest/intel.h"
#include "core/file.h"

enum {
	ITEMS_MAX = 2048,
	INDEX_MAX = 4 << 20,
	/* AMD's service turns those away who ask often. Hostile evidence must not make us do so. */
	ASK_PER_HOUR = 60,
	ASK_NEW_PER_HOUR = 45, /* of these for what is not there: the rest keeps current what is */
	BACKOFF_FIRST_S = 30,
	BACKOFF_MAX_S = 3600,
	AWAY_MAX_S = 900,
	REFRESH_MIN_S = 600, /* between two questions for one piece that is there */
	WAITING_MAX = 32,    /* in the status */
	BUSY_S = 300,        /* when the server does not say how long */
	BUSY_MAX_S = 6 * 3600,
	GONE_S = 6 * 3600, /* what is not there is not asked for again before */
	GIVE_UP_S = 86400, /* what is missing and nobody looked for any more */
};

#define SECOND_NS UINT64_C(1000000000)

struct item {
	struct collateral_name name;
	char tag[FETCH_TAG_MAX];
	char error[CHECK_DETAIL_MAX]; /* of the last attempt; empty */
	bool have;                    /* the file is there and verify took it */
	int64_t fetched_at, until, wanted_at;
	uint64_t next_ns;  /* CLOCK_BOOTTIME; 0: not to be asked for */
	uint32_t failures; /* in a row */
};

struct vendor {
	uint64_t not_before_ns;
	uint64_t hour_ns; /* since when asked counts */
	uint32_t asked;
	uint32_t away; /* times in a row that it could not be reached */
	char error[CHECK_DETAIL_MAX];
	int64_t error_at;
	char trouble[POLICY_TROUBLE_MAX]; /* of the last attempt; empty */
};

enum doing { DOING_NOTHING = 0, DOING_FETCH, DOING_CHECK, DOING_TELL };

struct collateral {
	char dir[PATH_MAX];
	struct item item[ITEMS_MAX];
	uint32_t n;
	struct vendor vendor[VENDORS];

	enum doing doing;
	uint64_t request;
	uint32_t at;               /* the item it is about */
	uint32_t told;             /* items that verify was shown after start */
	uint32_t generation;       /* of the policy that the waiting was planned for */
	struct bytes piece, chain; /* owned; what is being checked */
	char tag[FETCH_TAG_MAX];   /* that came with it */
	bool carried;              /* the signers' chain is asked for by what it comes along with */
};

/* ----------------------------------------------------------------------- files */

static void file_of(const struct collateral *c, const struct collateral_name *name,
                    char out[static PATH_MAX + 80])
{
	char text[COLLATERAL_PATH_MAX + 16], hex[65];
	uint8_t sha[32] = {0};

	snprintf(text, sizeof(text), "%s/%s", attest_vendor_name(name->vendor), name->path);
	(void)EVP_Digest(text, strlen(text), sha, NULL, EVP_sha256(), NULL);
	hex_encode(BYTES_OF(sha), hex);
	snprintf(out, PATH_MAX + 80, "%s/%s", c->dir, hex);
}

static void drop_file(const struct collateral *c, const struct collateral_name *name)
{
	char path[PATH_MAX + 80];

	file_of(c, name, path);
	(void)unlink(path);
}

static json_t *item_to_json(const struct item *it)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "vendor",
	                 attest_vendor_name(it->name.vendor), "path", it->name.path, "tag", it->tag,
	                 "fetched_at", (json_int_t)it->fetched_at, "until", (json_int_t)it->until,
	                 "wanted_at", (json_int_t)it->wanted_at);
}

static void save_index(struct gate *g)
{
	struct collateral *c = g->collateral;
	json_t *list = json_array();
	char path[PATH_MAX + 16];
	char *text;
	int ret = -ENOMEM;

	for (uint32_t i = 0; i < c->n; i++)
		if (c->item[i].have)
			(void)json_array_append_new(list, item_to_json(&c->item[i]));
	text = json_dumps(list, JSON_INDENT(1));
	snprintf(path, sizeof(path), "%s/index.json", c->dir);
	if (text)
		ret = file_write_atomic(path, bytes_str(text), 0600);
	if (ret)
		audit_emit(g->audit, "collateral-not-saved",
		           json_pack("{s:s}", "error", strerror(-ret)));
	free(text);
	json_decref(list);
}

/* A name goes into a URL and a log: printable, no blank, no way out of the prefix. */
static bool name_ok(const struct collateral_name *name)
{
	if ((name->vendor != VENDOR_AMD && name->vendor != VENDOR_INTEL) ||
	    !memchr(name->path, 0, sizeof(name->path)) || !name->path[0] || name->path[0] == '/' ||
	    strstr(name->path, ".."))
		return false;
	for (const char *p = name->path; *p; p++)
		if (!isgraph((unsigned char)*p) || strchr("#%\\\"", *p))
			return false;
	return true;
}

static enum collateral_vendor vendor_of(const char *name)
{
	for (enum collateral_vendor v = VENDOR_NONE + 1; v < VENDORS; v++)
		if (!strcmp(name, attest_vendor_name(v)))
			return v;
	return VENDOR_NONE;
}

static bool item_from_json(const json_t *j, struct item *it)
{
	const char *vendor, *path, *tag;
	json_int_t fetched, until, wanted;

	memset(it, 0, sizeof(*it));
	if (json_unpack((json_t *)(uintptr_t)j, "{s:s, s:s, s:s, s:I, s:I, s:I !}", "vendor",
	                &vendor, "path", &path, "tag", &tag, "fetched_at", &fetched, "until",
	                &until, "wanted_at", &wanted) ||
	    strlen(path) >= sizeof(it->name.path) || strlen(tag) >= sizeof(it->tag))
		return false;
	it->name.vendor = vendor_of(vendor);
	memcpy(it->name.path, path, strlen(path));
	memcpy(it->tag, tag, strlen(tag));
	it->fetched_at = fetched;
	it->until = until;
	it->wanted_at = wanted;
	return name_ok(&it->name);
}

static void load_index(struct collateral *c)
{
	char path[PATH_MAX + 16];
	uint8_t *text = NULL;
	json_t *list = NULL;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/index.json", c->dir);
	if (!file_read(path, INDEX_MAX, &text, &n))
		list = json_loadb((const char *)text, n, JSON_REJECT_DUPLICATES, NULL);
	for (size_t i = 0; i < json_array_size(list) && c->n < ITEMS_MAX; i++)
		if (item_from_json(json_array_get(list, i), &c->item[c->n]))
			c->n++;
	json_decref(list);
	free(text);
}

int collateral_open(struct gate *g)
{
	struct collateral *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	snprintf(c->dir, sizeof(c->dir), "%s/collateral-cache", g->opt->state_dir);
	if (mkdir(c->dir, 0700) && errno != EEXIST) {
		int ret = -errno;

		free(c);
		return ret;
	}
	load_index(c);
	g->collateral = c;
	return 0;
}

static void drop_piece(struct collateral *c)
{
	free((void *)(uintptr_t)c->piece.p);
	free((void *)(uintptr_t)c->chain.p);
	c->piece = c->chain = BYTES_NONE;
}

void collateral_close(struct gate *g)
{
	if (g->collateral)
		drop_piece(g->collateral);
	free(g->collateral);
	g->collateral = NULL;
}

/* ----------------------------------------------------------------------- times */

static uint64_t ns_in(int64_t seconds)
{
	return gate_boot_ns() + (seconds > 0 ? (uint64_t)seconds * SECOND_NS : 0);
}

/* A quarter more or less, so that hosts that began together do not ask together. */
static int64_t about(int64_t seconds)
{
	uint16_t chance = 0;

	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != sizeof(chance))
		return seconds;
	return seconds - seconds / 4 + seconds / 2 * chance / UINT16_MAX;
}

/* The certificate of a chip is for ever that of this chip with this firmware. */
static bool never_changes(const struct collateral_name *name)
{
	return name->vendor == VENDOR_AMD && strchr(name->path, '?');
}

/* Our name for what Intel's service sends along with what the signers signed. */
static bool is_signers(const struct collateral_name *name)
{
	return name->vendor == VENDOR_INTEL && !strcmp(name->path, INTEL_PATH_TCB_SIGNERS);
}

/* When a piece that is there is asked for again: now and then, at the latest at half its life. */
static void plan_refresh(struct gate *g, struct item *it)
{
	int64_t every = g->now.policy ? g->now.policy->source[it->name.vendor].refresh : 0;
	int64_t half = (it->until - it->fetched_at) / 2;
	int64_t left;

	it->next_ns = 0;
	if (never_changes(&it->name) || is_signers(&it->name) || every <= 0)
		return;
	if (half > 0 && half < every)
		every = half > REFRESH_MIN_S ? half : REFRESH_MIN_S;
	left = it->fetched_at + about(every) - gate_now();
	it->next_ns = ns_in(left > 1 ? left : 1);
}

static void plan_retry(struct item *it)
{
	int64_t wait = BACKOFF_FIRST_S;

	for (uint32_t i = 1; i < it->failures && wait < BACKOFF_MAX_S; i++)
		wait *= 2;
	it->next_ns = ns_in(about(wait < BACKOFF_MAX_S ? wait : BACKOFF_MAX_S));
}

/* ----------------------------------------------------------------------- items */

static struct item *find(struct collateral *c, const struct collateral_name *name)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->item[i].name.vendor == name->vendor &&
		    !strcmp(c->item[i].name.path, name->path))
			return &c->item[i];
	return NULL;
}

/* Room is made of what was never there, then of what was looked for longest ago. */
static struct item *make_item(struct collateral *c, const struct collateral_name *name)
{
	struct item *it;

	if (c->n < ITEMS_MAX) {
		it = &c->item[c->n++];
	} else {
		/* Not the one that is just being asked for. */
		it = &c->item[c->at == 0];
		for (uint32_t i = 0; i < c->n; i++) {
			struct item *x = &c->item[i];

			if (i == c->at)
				continue;
			if (x->have < it->have ||
			    (x->have == it->have && x->wanted_at < it->wanted_at))
				it = x;
		}
		if (it->have)
			drop_file(c, &it->name);
	}
	memset(it, 0, sizeof(*it));
	it->name = *name;
	return it;
}

void collateral_wanted(struct gate *g, const struct policy_wants *w)
{
	struct collateral *c = g->collateral;

	for (uint32_t i = 0; c && i < w->n && i < COLLATERAL_WANTS_MAX; i++) {
		struct item *it;

		if (!name_ok(&w->v[i]))
			continue;
		it = find(c, &w->v[i]);
		if (!it)
			it = make_item(c, &w->v[i]);
		it->wanted_at = gate_now();
		/* One that is there was not good enough: it ended. Who serves no other is not
		 * asked by every connection. */
		if (it->have && it->fetched_at > it->wanted_at - REFRESH_MIN_S &&
		    it->fetched_at <= it->wanted_at)
			continue;
		if (!it->failures && (!it->next_ns || it->next_ns > ns_in(1)))
			it->next_ns = ns_in(0);
	}
}

/* ---------------------------------------------------------------------- asking */

static const char *base_of(const struct gate *g, enum collateral_vendor v)
{
	return g->now.policy ? g->now.policy->source[v].url : "";
}

static bool intels_own(const char *base)
{
	return !strcmp(base, "https://api.trustedservices.intel.com/");
}

static bool is_file(const char *base)
{
	return !strncmp(base, "file:", 5);
}

/*
 * A service sends the signers' chain along with each document; a mirror may have it as a piece. So
 * another's service is asked for the one, then for the other.
 */
static bool comes_along(const struct item *it, const char *base)
{
	return is_signers(&it->name) && !is_file(base) && (intels_own(base) || it->failures % 2);
}

/* False without a source. */
static bool url_of(const char *base, const struct item *it, char out[static FETCH_URL_MAX])
{
	const struct collateral_name *name = &it->name;
	char path[COLLATERAL_PATH_MAX];
	int n;

	if (!base[0])
		return false;
	if (name->vendor == VENDOR_INTEL && intels_own(base) &&
	    !strcmp(name->path, INTEL_PATH_ROOT_CRL)) {
		attest_collateral_url(name, out);
		return true;
	}
	snprintf(path, sizeof(path), "%s", name->path);
	if (comes_along(it, base))
		snprintf(path, sizeof(path), INTEL_PATH_QE_IDENTITY, "sgx");
	n = snprintf(out, FETCH_URL_MAX, "%s%s", base, path);
	if (n < 0 || n >= FETCH_URL_MAX)
		return false;
	if (is_file(out))
		for (char *p = out; (p = strpbrk(p, "?&"));)
			*p = ',';
	return true;
}

/* May it be asked, for a piece that is there or for a new one? */
static bool vendor_ready(struct vendor *v, bool have)
{
	uint64_t now = gate_boot_ns();

	if (now < v->not_before_ns)
		return false;
	if (!v->hour_ns || now - v->hour_ns >= 3600 * SECOND_NS) {
		v->hour_ns = now;
		v->asked = 0;
	}
	return v->asked < (have ? ASK_PER_HOUR : ASK_NEW_PER_HOUR);
}

bool collateral_has_source(const struct gate *g)
{
	bool any = false;

	for (enum collateral_vendor v = VENDOR_NONE + 1; g->collateral && v < VENDORS; v++)
		any |= base_of(g, v)[0] != '\0';
	return any;
}

bool collateral_coming(struct gate *g, const struct policy_wants *w)
{
	struct collateral *c = g->collateral;

	for (uint32_t i = 0; c && i < w->n && i < COLLATERAL_WANTS_MAX; i++) {
		const struct item *it = find(c, &w->v[i]);

		if (!it)
			continue;
		if ((c->doing == DOING_FETCH || c->doing == DOING_CHECK) && it == &c->item[c->at])
			return true;
		if (it->next_ns && it->next_ns <= gate_boot_ns() &&
		    base_of(g, it->name.vendor)[0] &&
		    vendor_ready(&c->vendor[it->name.vendor], it->have))
			return true;
	}
	return false;
}

static void ask(struct gate *g, uint32_t at, const char *url)
{
	struct collateral *c = g->collateral;
	struct item *it = &c->item[at];
	const struct policy *p = g->now.policy;
	struct msg_fetch m = {.url = ""};

	if (!p)
		return;
	snprintf(m.url, sizeof(m.url), "%s", url);
	memcpy(m.ca, p->source[it->name.vendor].ca, sizeof(m.ca));
	if (it->have)
		memcpy(m.tag, it->tag, sizeof(m.tag));
	c->doing = DOING_FETCH;
	c->at = at;
	c->carried = comes_along(it, base_of(g, it->name.vendor));
	c->request = ++g->requests;
	c->vendor[it->name.vendor].asked++;
	(void)gate_send(g, ROLE_FETCH, MSG_FETCH, c->request, &m, -1);
}

/* What is missing first; the signers' chain late, it may come along; then what is only due. */
static unsigned rank(const struct item *it)
{
	return it->have ? 2 : is_signers(&it->name) ? 1 : 0;
}

/* One at a time. */
static void ask_next(struct gate *g)
{
	struct collateral *c = g->collateral;
	uint64_t now = gate_boot_ns();
	int64_t since = gate_now() - GIVE_UP_S;
	char url[FETCH_URL_MAX], best_url[FETCH_URL_MAX];
	uint32_t best = ITEMS_MAX;

	for (uint32_t i = 0; i < c->n; i++) {
		struct item *it = &c->item[i];

		if (!it->next_ns || it->next_ns > now || (!it->have && it->wanted_at < since) ||
		    (best != ITEMS_MAX && rank(it) >= rank(&c->item[best])) ||
		    !vendor_ready(&c->vendor[it->name.vendor], it->have))
			continue;
		if (!url_of(base_of(g, it->name.vendor), it, url)) {
			/* Until somebody looks for it again, or the policy names a source again. */
			it->next_ns = it->have ? ns_in(REFRESH_MIN_S) : 0;
			continue;
		}
		best = i;
		memcpy(best_url, url, sizeof(best_url));
	}
	if (best != ITEMS_MAX)
		ask(g, best, best_url);
}

/* ------------------------------------------------------------------- to verify */

static void show(struct gate *g, enum doing doing, const struct collateral_name *name,
                 struct bytes piece)
{
	struct collateral *c = g->collateral;
	struct msg_collateral m = {.name = *name};
	int fd = file_memfd("collateral", piece);

	c->doing = DOING_NOTHING;
	if (fd < 0)
		return;
	c->doing = doing;
	c->request = ++g->requests;
	(void)gate_send(g, ROLE_VERIFY, MSG_COLLATERAL, c->request, &m, fd);
	close(fd);
}

/* After a start, a piece a turn: verify must be able to answer. False when all were shown. */
static bool tell_next(struct gate *g)
{
	struct collateral *c = g->collateral;

	while (c->told < c->n) {
		struct item *it = &c->item[c->told];
		char path[PATH_MAX + 80];
		uint8_t *piece = NULL;
		size_t n = 0;

		c->at = c->told++;
		file_of(c, &it->name, path);
		if (it->have || file_read(path, COLLATERAL_PIECE_MAX, &piece, &n))
			continue;
		show(g, DOING_TELL, &it->name, (struct bytes){piece, n});
		free(piece);
		if (c->doing == DOING_TELL)
			return true;
	}
	return false;
}

/* After a reload what failed is tried anew: perhaps that is what was mended. A service that said
 * how long it wants to be left alone still is. */
static void look_again(struct gate *g)
{
	struct collateral *c = g->collateral;

	c->generation = g->now.generation;
	for (enum collateral_vendor v = VENDOR_NONE + 1; v < VENDORS; v++) {
		if (c->vendor[v].away)
			c->vendor[v].not_before_ns = 0;
		c->vendor[v].away = 0;
	}
	for (uint32_t i = 0; i < c->n; i++) {
		struct item *it = &c->item[i];

		if (it->have && !it->failures)
			plan_refresh(g, it);
		else
			it->next_ns = ns_in(0);
		it->failures = 0;
	}
}

void collateral_tick(struct gate *g)
{
	struct collateral *c = g->collateral;

	/* Before the first policy there is nobody to ask, and verify has other things to do. */
	if (!c || c->doing != DOING_NOTHING || !g->now.policy)
		return;
	if (c->generation != g->now.generation)
		look_again(g);
	if (!tell_next(g))
		ask_next(g);
}

/* --------------------------------------------------------------------- answers */

static json_t *of_item(const struct item *it)
{
	return json_pack("{s:s, s:s}", "vendor", attest_vendor_name(it->name.vendor), "path",
	                 it->name.path);
}

/* How an administrator knows the service that was asked. */
static const char *service(const struct gate *g, enum collateral_vendor v)
{
	const char *base = base_of(g, v);

	if (v == VENDOR_AMD && !strcmp(base, "https://kdsintf.amd.com/"))
		return "AMD's key distribution service";
	if (v == VENDOR_INTEL && intels_own(base))
		return "Intel's provisioning certification service";
	return base;
}

/* Until when neither the piece nor the vendor is asked for; gate_now()'s seconds. 0: not planned.
 */
static int64_t next_try(const struct item *it, const struct vendor *v)
{
	uint64_t at = it->next_ns > v->not_before_ns ? it->next_ns : v->not_before_ns;
	uint64_t now = gate_boot_ns();

	if (!it->next_ns)
		return 0;
	return gate_now() + (at > now ? (int64_t)((at - now + SECOND_NS - 1) / SECOND_NS) : 0);
}

/* did: what the service did. When it is tried again was planned before. */
static void failed(struct gate *g, const char *did)
{
	struct collateral *c = g->collateral;
	struct item *it = &c->item[c->at];
	struct vendor *v = &c->vendor[it->name.vendor];
	json_t *o = of_item(it);
	int64_t wait = next_try(it, v) - gate_now();

	snprintf(it->error, sizeof(it->error), "%.80s %.80s; next try in %lld s",
	         service(g, it->name.vendor), did, (long long)wait);
	snprintf(v->trouble, sizeof(v->trouble), "%.60s %.50s", service(g, it->name.vendor), did);
	memcpy(v->error, it->error, sizeof(v->error));
	v->error_at = gate_now();
	if (o)
		(void)json_object_set_new(o, "error", audit_text(it->error, sizeof(it->error)));
	audit_emit(g->audit, "collateral-failed", o);
	c->doing = DOING_NOTHING;
	drop_piece(c);
}

static void try_again(struct gate *g, const char *did)
{
	struct item *it = &g->collateral->item[g->collateral->at];

	if (it->failures < 16)
		it->failures++;
	plan_retry(it);
	failed(g, did);
}

/* The whole vendor rests: whoever goes on asking is turned away for longer. */
static void turned_away(struct gate *g, const struct msg_fetched *m)
{
	struct collateral *c = g->collateral;
	int64_t wait = m->retry_after ? m->retry_after : BUSY_S;

	if (wait > BUSY_MAX_S)
		wait = BUSY_MAX_S;
	c->vendor[c->item[c->at].name.vendor].not_before_ns = ns_in(wait);
	try_again(g, m->error);
}

/* Nor is a service that can't be reached tried for each piece: each try holds up others. */
static void away(struct gate *g, const struct msg_fetched *m)
{
	struct collateral *c = g->collateral;
	struct vendor *v = &c->vendor[c->item[c->at].name.vendor];
	int64_t wait = BACKOFF_FIRST_S;

	for (uint32_t i = 0; i < v->away && wait < AWAY_MAX_S; i++)
		wait *= 2;
	v->away++;
	v->not_before_ns = ns_in(about(wait < AWAY_MAX_S ? wait : AWAY_MAX_S));
	try_again(g, m->error);
}

/* What is there is good for another while. */
static void still_good(struct gate *g)
{
	struct collateral *c = g->collateral;
	struct item *it = &c->item[c->at];

	it->fetched_at = gate_now();
	it->failures = 0;
	it->error[0] = '\0';
	c->vendor[it->name.vendor].trouble[0] = '\0';
	plan_refresh(g, it);
	c->doing = DOING_NOTHING;
	save_index(g);
}

static struct bytes copy_of(const uint8_t *p, size_t n)
{
	uint8_t *copy = n ? malloc(n) : NULL;

	if (copy)
		memcpy(copy, p, n);
	return copy ? (struct bytes){copy, n} : BYTES_NONE;
}

static void arrived(struct gate *g, const struct msg_fetched *m, int fd)
{
	struct collateral *c = g->collateral;
	uint8_t *all = NULL;
	size_t n = 0;
	int ret = file_read_fd(fd, COLLATERAL_PIECE_MAX + 65536, &all, &n);

	if (!ret && (m->piece_n > n || m->chain_n != n - m->piece_n))
		ret = -EPROTO;
	if (!ret && c->carried) {
		c->piece = copy_of(all + m->piece_n, m->chain_n);
		c->tag[0] = '\0'; /* is of what it came along with */
		ret = c->piece.p ? 0 : -ENODATA;
	} else if (!ret) {
		c->piece = copy_of(all, m->piece_n);
		c->chain = copy_of(all + m->piece_n, m->chain_n);
		memcpy(c->tag, m->tag, sizeof(c->tag));
		ret = c->piece.p ? 0 : -ENOMEM;
	}
	free(all);
	if (!ret)
		show(g, DOING_CHECK, &c->item[c->at].name, c->piece);
	if (ret == -ENODATA)
		try_again(g, "sent no certificates of its signers along");
	else if (ret || c->doing != DOING_CHECK)
		try_again(g, "answered, but this host has no memory for it");
}

static void gone(struct gate *g, const struct msg_fetched *m)
{
	struct item *it = &g->collateral->item[g->collateral->at];

	if (is_signers(&it->name)) { /* there is another way to it */
		try_again(g, m->error);
		return;
	}
	it->next_ns = ns_in(GONE_S);
	it->failures = 1;
	failed(g, m->error);
}

void collateral_fetched(struct gate *g, uint64_t request, const struct msg_fetched *m, int fd)
{
	struct collateral *c = g->collateral;

	if (!c || c->doing != DOING_FETCH || request != c->request ||
	    !memchr(m->tag, 0, sizeof(m->tag)) || !memchr(m->error, 0, sizeof(m->error)) ||
	    (fd >= 0) != (m->result == FETCH_OK)) {
		gate_fatal(g, "fetch answered what it was not asked");
		return;
	}
	if (m->result != FETCH_AWAY && m->result != FETCH_SLOW)
		c->vendor[c->item[c->at].name.vendor].away = 0;
	switch ((enum fetch_result)m->result) {
	case FETCH_OK:
		arrived(g, m, fd);
		return;
	case FETCH_SAME:
		still_good(g);
		return;
	case FETCH_GONE:
		gone(g, m);
		return;
	case FETCH_BUSY:
		turned_away(g, m);
		return;
	case FETCH_AWAY:
	case FETCH_SLOW:
		away(g, m);
		return;
	case FETCH_LARGE:
	case FETCH_SHORT:
	case FETCH_NONE:
		break;
	}
	try_again(g, m->error);
}

/* The signers' chain that came along is a piece of its own; it is shown next. */
static void take_chain(struct gate *g)
{
	static const struct collateral_name name = {VENDOR_INTEL, INTEL_PATH_TCB_SIGNERS};
	struct collateral *c = g->collateral;
	struct item *it;

	c->piece = c->chain;
	c->chain = BYTES_NONE;
	it = find(c, &name);
	if (!it)
		it = make_item(c, &name);
	it->wanted_at = gate_now();
	c->at = (uint32_t)(it - c->item);
	c->tag[0] = '\0';
	show(g, DOING_CHECK, &name, c->piece);
	if (c->doing != DOING_CHECK)
		drop_piece(c);
}

static void kept(struct gate *g, const struct msg_collateral_done *m)
{
	struct collateral *c = g->collateral;
	struct item *it = &c->item[c->at];
	char path[PATH_MAX + 80];
	json_t *o = of_item(it);
	int ret;

	file_of(c, &it->name, path);
	ret = file_write_atomic(path, c->piece, 0600);
	it->have = !ret;
	it->fetched_at = gate_now();
	it->until = m->until;
	it->failures = 0;
	it->error[0] = '\0';
	c->vendor[it->name.vendor].trouble[0] = '\0';
	memcpy(it->tag, c->tag, sizeof(it->tag));
	plan_refresh(g, it);
	if (o)
		(void)json_object_set_new(
		        o, "until", m->until == INT64_MAX ? json_null() : json_integer(m->until));
	if (o && ret)
		(void)json_object_set_new(o, "error", json_string(strerror(-ret)));
	audit_emit(g->audit, "collateral-fetched", o);
	/* It may revoke what was good by the one before. */
	if (!m->known && !never_changes(&it->name)) {
		leases_end_all(g, "collateral");
		recheck_news(g, it->name.vendor);
	}
	free((void *)(uintptr_t)c->piece.p);
	c->piece = BYTES_NONE;
	c->doing = DOING_NOTHING;
	save_index(g);
	if (c->chain.n)
		take_chain(g);
}

void collateral_checked(struct gate *g, uint64_t request, const struct msg_collateral_done *m)
{
	struct collateral *c = g->collateral;

	if (!c || (c->doing != DOING_CHECK && c->doing != DOING_TELL) || request != c->request) {
		gate_fatal(g, "verify answered what it was not asked");
		return;
	}
	if (c->doing == DOING_TELL) {
		c->doing = DOING_NOTHING;
		c->item[c->at].have = !m->err;
		if (!m->err)
			plan_refresh(g, &c->item[c->at]);
		else
			drop_file(c, &c->item[c->at].name);
		return;
	}
	if (m->err == -ENOSPC)
		try_again(g, "answered, but what is kept is newer or leaves no room");
	else if (m->err)
		try_again(g, "answered with something else than what was asked for");
	else
		kept(g, m);
}

void collateral_trouble(const struct gate *g, policy_trouble out)
{
	for (enum collateral_vendor v = VENDOR_NONE; v < VENDORS; v++)
		snprintf(out[v], sizeof(out[v]), "%s",
		         g->collateral ? g->collateral->vendor[v].trouble : "");
}

/* ---------------------------------------------------------------------- status */

/* What a connection was refused for, and when it is tried again. */
static json_t *waiting_status(const struct collateral *c, enum collateral_vendor v)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < c->n && json_array_size(list) < WAITING_MAX; i++) {
		const struct item *it = &c->item[i];
		int64_t at = next_try(it, &c->vendor[v]);

		if (it->name.vendor == v && !it->have)
			(void)json_array_append_new(
			        list,
			        json_pack("{s:s, s:o, s:o}", "path", it->name.path, "next_try",
			                  at ? json_integer(at) : json_null(), "error",
			                  it->error[0] ? audit_text(it->error, sizeof(it->error))
			                               : json_null()));
	}
	return list;
}

static json_t *vendor_status(const struct gate *g, enum collateral_vendor v)
{
	const struct collateral *c = g->collateral;
	const struct vendor *s = &c->vendor[v];
	uint32_t have = 0, missing = 0;
	int64_t refresh = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		const struct item *it = &c->item[i];
		int64_t at = next_try(it, s);

		if (it->name.vendor != v)
			continue;
		have += it->have;
		missing += !it->have;
		if (it->have && at && (!refresh || at < refresh))
			refresh = at;
	}
	return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "vendor", attest_vendor_name(v),
	                 "url", base_of(g, v), "pieces", (json_int_t)have, "missing",
	                 (json_int_t)missing, "next_refresh",
	                 refresh ? json_integer(refresh) : json_null(), "waiting",
	                 waiting_status(c, v), "last_error",
	                 s->error_at ? json_pack("{s:I, s:o}", "at", (json_int_t)s->error_at,
	                                         "error", audit_text(s->error, sizeof(s->error)))
	                             : json_null());
}

json_t *collateral_status(const struct gate *g)
{
	json_t *list = json_array();

	for (enum collateral_vendor v = VENDOR_NONE + 1; g->collateral && v < VENDORS; v++)
		(void)json_array_append_new(list, vendor_status(g, v));
	return list;
}
