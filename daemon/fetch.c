/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fetch role: names, tiles, entries and collateral. Has the network and no secret; what it
 * brings is believed by nobody: addresses only widen what is gated, tiles must add up to a root
 * that was signed, and entries to their tiles, collateral is verified like the evidence that it
 * endorses.
 * One request at a time; every size and every time is bounded.
 */
#include "daemon/role.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "core/file.h"
#include "core/version.h"
#include "daemon/log.h"
#include "daemon/msg.h"
#include "daemon/resolve.h"

enum {
	FETCH_MS = 10000, /* a tile */
	FETCH_CONNECT_MS = 5000,
	FETCH_PROOF_S = 20,    /* a proof, all its tiles together */
	FETCH_SLOW_BYTES = 64, /* a second: what is slower for ... */
	FETCH_SLOW_S = 5,      /* ... so long is given up */
	FETCH_REDIRECTS = 3,
	TILES_KEPT = 64,  /* more than a proof between two heads touches at once */
	TILES_MAX = 1024, /* for one proof */
	PIECE_MAX = COLLATERAL_PIECE_MAX,
	CHAIN_MAX = 65536,
};

struct kept_tile {
	bool have;
	unsigned level;
	uint64_t n;
	struct hash hash[TILE_WIDTH];
};

struct source {
	CURL *curl;
	const char *url, *ca;
	time_t until;
	uint32_t fetched;
	uint32_t next; /* to be replaced */
	struct kept_tile kept[TILES_KEPT];
};

/* -------------------------------------------------------------------- tiles */

struct body {
	uint8_t p[TILE_BYTES];
	size_t n;
};

static size_t take_body(char *data, size_t one, size_t n, void *ctx)
{
	struct body *b = ctx;

	(void)one; /* always 1 */
	if (n > sizeof(b->p) - b->n)
		return 0; /* too large: curl fails the transfer */
	memcpy(b->p + b->n, data, n);
	b->n += n;
	return n;
}

static time_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static bool set_up(CURL *c, const char *url, struct body *body)
{
	/* Never back from TLS to the clear. */
	const char *onward = !strncmp(url, "https:", 6) ? "https" : "https,http";

	curl_easy_reset(c);
	return !curl_easy_setopt(c, CURLOPT_URL, url) &&
	       !curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https,http,file") &&
	       !curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, onward) &&
	       !curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L) &&
	       !curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)FETCH_REDIRECTS) &&
	       !curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L) &&
	       !curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) &&
	       !curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)FETCH_MS) &&
	       !curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)FETCH_CONNECT_MS) &&
	       !curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L) &&
	       !curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L) &&
	       !curl_easy_setopt(c, CURLOPT_USERAGENT, "keygate/" KEYGATE_VERSION) &&
	       !curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body) &&
	       !curl_easy_setopt(c, CURLOPT_WRITEDATA, body);
}

/* Was there anybody to be slow? */
static bool connected(CURL *c)
{
	curl_off_t t = 0;

	return !curl_easy_getinfo(c, CURLINFO_PRETRANSFER_TIME_T, &t) && t > 0;
}

/* A file of the log, below its prefix. */
static int set_up_part(struct source *s, const char *path, struct body *body)
{
	char url[sizeof(((struct msg_consistency *)0)->url) + TILE_PATH_MAX + 1];
	size_t len = strlen(s->url);

	if (s->fetched++ >= TILES_MAX || now_s() >= s->until)
		return -ETIMEDOUT;
	snprintf(url, sizeof(url), "%s%s%s", s->url, len && s->url[len - 1] == '/' ? "" : "/",
	         path);
	if (!set_up(s->curl, url, body) ||
	    (s->ca[0] && curl_easy_setopt(s->curl, CURLOPT_CAINFO, s->ca)) ||
	    curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_LIMIT, (long)FETCH_SLOW_BYTES) ||
	    curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_TIME, (long)FETCH_SLOW_S))
		return -ENOMEM;
	return 0;
}

/* As struct msg_consistent says. */
static int tile_error(CURL *c, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_HTTP_RETURNED_ERROR:
	case CURLE_FILE_COULDNT_READ_FILE:
		return -ENOENT;
	case CURLE_WRITE_ERROR:
		return -EFBIG;
	case CURLE_PARTIAL_FILE:
		return -ENODATA;
	case CURLE_OPERATION_TIMEDOUT:
		return connected(c) ? -ETIMEDOUT : -EHOSTUNREACH;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_GOT_NOTHING:
		return -EHOSTUNREACH;
	default:
		return -EIO;
	}
}

static int get_tile(struct source *s, unsigned level, uint64_t n, unsigned width, struct body *body)
{
	char path[TILE_PATH_MAX];
	int ret = ledger_tile_path(level, n, width, path, sizeof(path));

	body->n = 0;
	if (!ret)
		ret = set_up_part(s, path, body);
	return ret ? ret : tile_error(s->curl, curl_easy_perform(s->curl));
}

/* A ledger_tile_fn. A partial tile may be gone once the full one is there. */
static int tile_of(void *ctx, unsigned level, uint64_t n, unsigned width,
                   struct hash tile[static TILE_WIDTH])
{
	struct source *s = ctx;
	struct body body;

	for (size_t i = 0; i < TILES_KEPT; i++) {
		const struct kept_tile *k = &s->kept[i];

		if (k->have && k->level == level && k->n == n) {
			memcpy(tile, k->hash, sizeof(k->hash));
			return 0;
		}
	}

	unsigned got = width;
	int ret = get_tile(s, level, n, width, &body);

	if (ret == -ENOENT && width < TILE_WIDTH) {
		got = TILE_WIDTH;
		ret = get_tile(s, level, n, TILE_WIDTH, &body);
	}
	if (ret)
		return ret;
	if (body.n != (size_t)got * HASH_LEN)
		return body.n < (size_t)got * HASH_LEN ? -ENODATA : -EFBIG;
	memset(tile, 0, TILE_WIDTH * sizeof(*tile));
	memcpy(tile, body.p, (size_t)width * HASH_LEN);

	struct kept_tile *k = &s->kept[s->next++ % TILES_KEPT];

	*k = (struct kept_tile){.have = true, .level = level, .n = n};
	memcpy(k->hash, tile, sizeof(k->hash));
	return 0;
}

static int prove(struct source *s, const struct msg_consistency *m, struct msg_consistent *out)
{
	struct ledger_tiles tiles = {.fetch = tile_of, .ctx = s, .size = m->to};
	struct hash root;
	size_t n = 0;
	int ret = ledger_root(ledger_tiles_node, &tiles, m->to, &root);

	if (ret)
		return ret;
	if (memcmp(&root, &m->to_root, sizeof(root)))
		return -EBADMSG;
	ret = ledger_prove_consistency(ledger_tiles_node, &tiles, m->from, m->to, out->proof, &n);
	if (!ret)
		ret = ledger_root(ledger_tiles_node, &tiles, m->from, &out->from_root);
	if (ret)
		return ret;
	out->n = (uint32_t)n;
	/* Tiles below those that make the root may still be wrong; then nothing is shown by them.
	 */
	return ledger_consistency(m->from, &out->from_root, m->to, &root, out->proof, n) ? -EBADMSG
	                                                                                 : 0;
}

static int on_consistency(int gate, CURL *curl, uint64_t request, const struct msg_consistency *m)
{
	struct msg_consistent out = {.n = 0};
	struct source *s = calloc(1, sizeof(*s));

	if (!memchr(m->url, 0, sizeof(m->url)) || !memchr(m->ca, 0, sizeof(m->ca))) {
		free(s);
		return -EPROTO;
	}
	if (s) {
		s->curl = curl;
		s->url = m->url;
		s->ca = m->ca;
		s->until = now_s() + FETCH_PROOF_S;
		out.err = prove(s, m, &out);
	} else {
		out.err = -ENOMEM;
	}
	free(s);
	return msg_send(gate, MSG_CONSISTENT, request, &out, -1);
}

/* The newest place of the leaf; the tiles of leaves are read from the end. -ESRCH, -errno. */
static int look_for(struct source *s, const struct msg_prove *m, uint64_t *index)
{
	uint64_t first = m->have ? m->index + 1 : 0, end = m->size;
	struct hash tile[TILE_WIDTH];

	while (end > first) {
		uint64_t n = (end - 1) / TILE_WIDTH, begin = n * TILE_WIDTH;
		uint64_t width = m->size - begin < TILE_WIDTH ? m->size - begin : TILE_WIDTH;
		int ret = tile_of(s, 0, n, (unsigned)width, tile);

		if (ret)
			return ret;
		for (; end > begin && end > first; end--) {
			if (memcmp(&tile[end - 1 - begin], &m->leaf, sizeof(m->leaf)) != 0)
				continue;
			*index = end - 1;
			return 0;
		}
	}
	*index = m->index;
	return m->have ? 0 : -ESRCH;
}

static int find_and_prove(struct source *s, const struct msg_prove *m, struct msg_proved *out)
{
	struct ledger_tiles tiles = {.fetch = tile_of, .ctx = s, .size = m->size};
	size_t n = 0;
	int ret = look_for(s, m, &out->index);

	if (!ret)
		ret = ledger_prove_inclusion(ledger_tiles_node, &tiles, out->index, m->size,
		                             out->path, &n);
	if (ret)
		return ret;
	out->n = (uint32_t)n;
	return ledger_inclusion(out->index, m->size, &m->leaf, out->path, n, &m->root) ? -EBADMSG
	                                                                               : 0;
}

static int on_prove(int gate, CURL *curl, uint64_t request, const struct msg_prove *m)
{
	struct msg_proved out = {.n = 0};
	struct source *s = calloc(1, sizeof(*s));

	if (!memchr(m->url, 0, sizeof(m->url)) || !memchr(m->ca, 0, sizeof(m->ca))) {
		free(s);
		return -EPROTO;
	}
	out.err = -ENOMEM;
	if (s) {
		s->curl = curl;
		s->url = m->url;
		s->ca = m->ca;
		s->until = now_s() + FETCH_PROOF_S;
		out.err = m->have && m->index >= m->size ? -ESRCH : find_and_prove(s, m, &out);
	}
	free(s);
	return msg_send(gate, MSG_PROVED, request, &out, -1);
}

/* ------------------------------------------------------------------ entries */

static size_t take_piece(char *data, size_t one, size_t n, void *ctx)
{
	struct buf *b = ctx;

	(void)one; /* always 1 */
	buf_put(b, data, n);
	return b->bad ? 0 : n;
}

/* The log may have them compressed; what is counted is what comes out. */
static int get_entries(struct source *s, uint64_t n, unsigned width, struct buf *out)
{
	char path[TILE_PATH_MAX];
	int ret = ledger_entries_path(n, width, path, sizeof(path));

	buf_reset(out);
	out->max = (size_t)width * (2 + ENTRY_MAX);
	if (!ret)
		ret = set_up_part(s, path, NULL);
	if (!ret && (curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, take_piece) ||
	             curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, out) ||
	             curl_easy_setopt(s->curl, CURLOPT_ACCEPT_ENCODING, "gzip")))
		ret = -ENOMEM;
	return ret ? ret : tile_error(s->curl, curl_easy_perform(s->curl));
}

/* A partial bundle may be gone once the full one is there: that one begins with it. */
static int entries_of(struct source *s, const struct msg_tail *m, unsigned width, struct buf *out,
                      struct bytes *bundle)
{
	int ret = get_entries(s, m->n, width, out);

	*bundle = buf_view(out);
	if (ret != -ENOENT || width == TILE_WIDTH)
		return ret;
	ret = get_entries(s, m->n, TILE_WIDTH, out);
	if (!ret && ledger_entries_cut(buf_view(out), width, bundle))
		ret = -ENODATA;
	return ret;
}

static int prove_entries(struct source *s, const struct msg_tail *m, unsigned width,
                         struct msg_tailed *out)
{
	struct ledger_tiles tiles = {.fetch = tile_of, .ctx = s, .size = m->size};
	struct subtree sub = {.start = m->n * TILE_WIDTH, .end = m->n * TILE_WIDTH + width};
	size_t n = 0;
	int ret = ledger_subtree_root(ledger_tiles_node, &tiles, sub.start, sub.end, &sub.root);

	if (!ret)
		ret = ledger_prove_subtree(ledger_tiles_node, &tiles, sub.start, sub.end, m->size,
		                           out->proof, &n);
	if (ret)
		return ret;
	out->proof_n = (uint32_t)n;
	return ledger_subtree_consistency(&sub, m->size, &m->root, out->proof, n) ? -EBADMSG : 0;
}

static int on_tail(int gate, CURL *curl, uint64_t request, const struct msg_tail *m)
{
	unsigned width = ledger_entries_width(m->n, m->size);
	struct msg_tailed out = {.err = -ENOMEM};
	struct buf got = buf_make(0);
	struct bytes bundle = BYTES_NONE;
	struct source *s;
	int ret, fd = -1;

	if (!memchr(m->url, 0, sizeof(m->url)) || !memchr(m->ca, 0, sizeof(m->ca)) || !width)
		return -EPROTO;
	s = calloc(1, sizeof(*s));
	if (s) {
		s->curl = curl;
		s->url = m->url;
		s->ca = m->ca;
		s->until = now_s() + FETCH_PROOF_S;
		out.err = prove_entries(s, m, width, &out);
		if (!out.err)
			out.err = entries_of(s, m, width, &got, &bundle);
		/* The handle must not keep what goes out of scope. */
		curl_easy_reset(curl);
	}
	if (!out.err) {
		fd = file_memfd("entries", bundle);
		out.err = fd < 0 ? fd : 0;
	}
	ret = msg_send(gate, MSG_TAILED, request, &out, fd);
	if (fd >= 0)
		close(fd);
	buf_free(&got);
	free(s);
	return ret;
}

/* --------------------------------------------------------------- collateral */

static void copy_header(CURL *c, const char *name, char *out, size_t cap)
{
	struct curl_header *h;

	/* One that does not fit is as good as none. */
	if (curl_easy_header(c, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK &&
	    strlen(h->value) < cap)
		snprintf(out, cap, "%s", h->value);
}

/* Intel ships the chain of what it signed in a header, URL-encoded PEM. */
static void take_chain(CURL *c, struct buf *out)
{
	static const char *const names[] = {"TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain",
	                                    "SGX-Enclave-Identity-Issuer-Chain"};
	struct curl_header *h;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !out->n; i++) {
		char *pem = NULL;
		int n = 0;

		if (curl_easy_header(c, names[i], 0, CURLH_HEADER, -1, &h) != CURLHE_OK ||
		    strlen(h->value) > CHAIN_MAX)
			continue;
		pem = curl_easy_unescape(c, h->value, 0, &n);
		if (pem && n > 0)
			buf_put(out, pem, (size_t)n);
		curl_free(pem);
	}
}

static enum fetch_result result_of(long status)
{
	switch (status) {
	case 0: /* a file */
	case 200:
		return FETCH_OK;
	case 304:
		return FETCH_SAME;
	case 404:
	case 410:
		return FETCH_GONE;
	case 429:
	case 503:
		return FETCH_BUSY;
	default:
		return FETCH_NONE;
	}
}

/* What the server said, once the transfer itself went well. */
static void take_answer(CURL *c, const struct msg_fetch *m, struct msg_fetched *out)
{
	curl_off_t wait = 0;
	long status = 0;

	(void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &wait);
	out->result = result_of(status);
	if (wait > 0)
		out->retry_after = wait < UINT32_MAX ? (uint32_t)wait : UINT32_MAX;
	if (out->result == FETCH_SAME && !m->tag[0])
		out->result = FETCH_NONE;
	if (out->result != FETCH_OK && out->result != FETCH_SAME)
		snprintf(out->error, sizeof(out->error), "answered %ld", status);
	copy_header(c, "ETag", out->tag, sizeof(out->tag));
	if (!out->tag[0])
		copy_header(c, "Last-Modified", out->tag, sizeof(out->tag));
}

/* RFC 9110, 8.8.3: in quotes, perhaps weak; a date has none. */
static bool is_etag(const char *tag)
{
	return tag[0] == '"' || !strncmp(tag, "W/\"", 3);
}

static bool set_up_piece(CURL *c, const struct msg_fetch *m, struct buf *piece,
                         struct curl_slist **headers)
{
	char line[FETCH_TAG_MAX + 24];

	if (!set_up(c, m->url, NULL) || curl_easy_setopt(c, CURLOPT_FAILONERROR, 0L) ||
	    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_piece) ||
	    curl_easy_setopt(c, CURLOPT_WRITEDATA, piece) ||
	    (m->ca[0] && curl_easy_setopt(c, CURLOPT_CAINFO, m->ca)))
		return false;
	if (!m->tag[0])
		return true;
	snprintf(line, sizeof(line), "%s: %s",
	         is_etag(m->tag) ? "If-None-Match" : "If-Modified-Since", m->tag);
	*headers = curl_slist_append(NULL, line);
	return *headers && !curl_easy_setopt(c, CURLOPT_HTTPHEADER, *headers);
}

static int answer_piece(int gate, uint64_t request, struct msg_fetched *out, struct buf *piece,
                        const struct buf *chain)
{
	int fd = -1, ret;

	if (out->result == FETCH_OK) {
		out->piece_n = (uint32_t)piece->n;
		out->chain_n = (uint32_t)chain->n;
		buf_bytes(piece, buf_view(chain));
		fd = piece->bad ? -ENOMEM : file_memfd("piece", buf_view(piece));
	}
	if (out->result == FETCH_OK && fd < 0) {
		out->result = FETCH_NONE;
		snprintf(out->error, sizeof(out->error), "%s", strerror(-fd));
	}
	ret = msg_send(gate, MSG_FETCHED, request, out, fd);
	if (fd >= 0)
		close(fd);
	return ret;
}

/* What came of a transfer that did not go well. */
static void take_failure(CURL *c, CURLcode code, struct msg_fetched *out)
{
	static const char *const did[] = {[FETCH_NONE] = "did not answer as it should",
	                                  [FETCH_AWAY] = "can't be reached",
	                                  [FETCH_SLOW] = "is too slow",
	                                  [FETCH_LARGE] = "answered too much",
	                                  [FETCH_SHORT] = "broke off"};

	switch (code) {
	case CURLE_FILE_COULDNT_READ_FILE:
		out->result = FETCH_GONE;
		snprintf(out->error, sizeof(out->error), "has no such file");
		return;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_GOT_NOTHING:
		out->result = FETCH_AWAY;
		break;
	case CURLE_OPERATION_TIMEDOUT:
		out->result = connected(c) ? FETCH_SLOW : FETCH_AWAY;
		break;
	case CURLE_WRITE_ERROR:
		out->result = FETCH_LARGE;
		break;
	case CURLE_PARTIAL_FILE:
		out->result = FETCH_SHORT;
		break;
	default:
		out->result = FETCH_NONE;
		break;
	}
	snprintf(out->error, sizeof(out->error), "%s: %s", did[out->result],
	         curl_easy_strerror(code));
}

static bool texts_end(const struct msg_fetch *m)
{
	return memchr(m->url, 0, sizeof(m->url)) && memchr(m->ca, 0, sizeof(m->ca)) &&
	       memchr(m->tag, 0, sizeof(m->tag));
}

static int on_fetch(int gate, CURL *c, uint64_t request, const struct msg_fetch *m)
{
	const size_t max = m->max && m->max < PIECE_MAX ? m->max : PIECE_MAX;
	struct buf piece = buf_make(max + CHAIN_MAX), chain = buf_make(CHAIN_MAX);
	struct msg_fetched out = {.result = FETCH_NONE};
	struct curl_slist *headers = NULL;
	CURLcode code = CURLE_OUT_OF_MEMORY;
	int ret = texts_end(m) ? 0 : -EPROTO;

	if (!ret && set_up_piece(c, m, &piece, &headers))
		code = curl_easy_perform(c);
	if (!ret && code == CURLE_OK)
		take_answer(c, m, &out);
	else if (!ret)
		take_failure(c, code, &out);
	if (!ret && out.result == FETCH_OK && (!piece.n || piece.n > max)) {
		out.result = piece.n ? FETCH_LARGE : FETCH_SHORT;
		snprintf(out.error, sizeof(out.error), "answered %zu bytes", piece.n);
	}
	if (!ret && out.result == FETCH_OK)
		take_chain(c, &chain);
	if (!ret)
		ret = answer_piece(gate, request, &out, &piece, &chain);
	/* The handle must not keep what goes out of scope. */
	curl_easy_reset(c);
	curl_slist_free_all(headers);
	buf_free(&piece);
	buf_free(&chain);
	return ret;
}

/* -------------------------------------------------------------------- names */

static int on_resolve(int gate, uint64_t request, const struct msg_resolve *m)
{
	struct msg_resolved out = {.n = 0};

	if (!memchr(m->host, 0, sizeof(m->host)))
		return -EPROTO;
	resolve_name(m->host, &out);
	return msg_send(gate, MSG_RESOLVED, request, &out, -1);
}

/* --------------------------------------------------------------------- loop */

int role_fetch(int gate)
{
	union msg_any in;
	CURL *curl = NULL;
	int ret = curl_global_init(CURL_GLOBAL_DEFAULT) ? -ENOMEM : 0;

	if (!ret && !(curl = curl_easy_init()))
		ret = -ENOMEM;
	while (!ret) {
		struct msg_head head;
		int fd = -1;

		ret = msg_recv(gate, &head, &in, sizeof(in), &fd);
		if (ret)
			break;
		if (head.type == MSG_RESOLVE)
			ret = on_resolve(gate, head.session, &in.resolve);
		else if (head.type == MSG_FETCH)
			ret = on_fetch(gate, curl, head.session, &in.fetch);
		else if (head.type == MSG_PROVE)
			ret = on_prove(gate, curl, head.session, &in.prove);
		else if (head.type == MSG_CONSISTENCY)
			ret = on_consistency(gate, curl, head.session, &in.consistency);
		else if (head.type == MSG_PING)
			ret = msg_send(gate, MSG_PONG, 0, NULL, -1);
		else if (head.type == MSG_TAIL)
			ret = on_tail(gate, curl, head.session, &in.tail);
		else
			ret = -EPROTO;
		if (fd >= 0)
			close(fd);
	}
	if (ret != -EPIPE)
		log_event("role-failed", "role: fetch, error: %s", strerror(-ret));
	curl_easy_cleanup(curl);
	curl_global_cleanup();
	return ret == -EPIPE ? 0 : 1;
}
