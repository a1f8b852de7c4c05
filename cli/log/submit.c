/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate-log submit: asks the witnesses of a policy to cosign the published checkpoint (C2SP
 * tlog-witness), and puts what they answered and what verifies into it. A witness's server is
 * believed nothing: its cosignature speaks for itself, whatever carried it, so clear text is as
 * good as TLS here. No lock is held while somebody else is waited for.
 */
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "cli/log/log.h"
#include "core/version.h"

enum {
	ASK_MS = 20000, /* one request */
	CONNECT_MS = 10000,
	URL_MAX = 512,
	RECENT_S = 3600, /* a cosignature that was just made states no older time */
};

struct submit_args {
	const char *dir;
	const char *policy;
};

/* What a witness said. */
struct answer {
	long status;
	char type[32];
	struct buf body;
};

struct submission {
	const char *dir;
	CURL *curl;
	struct ledger_time now;
	struct tlog_policy policy;
	const struct vkey *log; /* of the policy */
	struct log_note note;   /* as it was published when we began */
	struct buf lines[TLOG_KEYS_MAX];
	bool refused; /* somebody said no, or said it wrongly */
};

/* --------------------------------------------------------------------- HTTP */

static size_t take_body(char *data, size_t one, size_t n, void *ctx)
{
	struct buf *b = ctx;

	(void)one; /* always 1 */
	buf_put(b, data, n);
	return b->bad ? 0 : n;
}

/* Only what was asked is answered: no redirect is followed, and nothing else than HTTP spoken. */
static bool set_up(CURL *c, const char *url, const struct curl_slist *headers, struct bytes body,
                   struct answer *out)
{
	curl_easy_reset(c);
	return !curl_easy_setopt(c, CURLOPT_URL, url) &&
	       !curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https,http") &&
	       !curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n) &&
	       !curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.p) &&
	       !curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers) &&
	       !curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) &&
	       !curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)ASK_MS) &&
	       !curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) &&
	       !curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L) &&
	       !curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L) &&
	       !curl_easy_setopt(c, CURLOPT_USERAGENT, "keygate-log/" KEYGATE_VERSION) &&
	       !curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body) &&
	       !curl_easy_setopt(c, CURLOPT_WRITEDATA, &out->body);
}

/* NULL, or what went wrong. */
static const char *post(CURL *c, const char *url, struct bytes body, struct answer *out)
{
	/* A server that does not know of "Expect" would make us wait. */
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: text/plain");
	struct curl_slist *more = headers ? curl_slist_append(headers, "Expect:") : NULL;
	CURLcode code = CURLE_OUT_OF_MEMORY;
	char *type = NULL;

	buf_reset(&out->body);
	out->status = 0;
	out->type[0] = '\0';
	if (more && set_up(c, url, more, body, out))
		code = curl_easy_perform(c);
	if (!code)
		code = curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &out->status);
	if (!code && !curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &type) && type)
		snprintf(out->type, sizeof(out->type), "%s", type);
	/* The handle must not keep what goes out of scope. */
	curl_easy_reset(c);
	curl_slist_free_all(headers);
	if (code == CURLE_WRITE_ERROR)
		return "answers too much";
	return code ? curl_easy_strerror(code) : NULL;
}

/* ---------------------------------------------------------------- a witness */

/* The request that says `old`; the tiles prove what was added since. 0 or -errno. */
static int make_request(const struct submission *s, uint64_t old, struct buf *out)
{
	struct ledger_tiles tiles = {.fetch = log_store_tile, .size = s->note.cp.size};
	struct hash proof[PATH_MAX_HASHES];
	struct log_store store;
	size_t n = 0;
	int ret = 0;

	if (old && old < s->note.cp.size) {
		ret = log_store_open(s->dir, false, &store);
		if (ret)
			return ret;
		tiles.ctx = &store;
		ret = ledger_prove_consistency(ledger_tiles_node, &tiles, old, s->note.cp.size,
		                               proof, &n);
		log_store_close(&store);
	}
	return ret ? ret : ledger_witness_request(old, proof, n, s->note.data, out);
}

static const char *meaning(long status)
{
	switch (status) {
	case 400:
		return "it can't read the request";
	case 403:
		return "it does not take the log's signature";
	case 404:
		return "it does not serve this log";
	case 409:
		return "it remembers another head";
	case 422:
		return "it does not see that this head extends the one that it remembers";
	default:
		return "it does not say why in the words of the protocol";
	}
}

static int complain(struct submission *s, uint32_t i, bool refused, const char *why)
{
	s->refused = s->refused || refused;
	return log_error(0, "%s: %s", s->policy.witness_name[i], why);
}

static void take_answer(struct submission *s, uint32_t i, const struct answer *a)
{
	struct checks checks = {0};
	char why[128];

	if (a->status != 200) {
		snprintf(why, sizeof(why), "answered %ld: %s", a->status, meaning(a->status));
		complain(s, i, a->status >= 400 && a->status < 500, why);
		return;
	}
	if (ledger_witness_reply(buf_view(&a->body), s->note.data, &s->policy.witness[i], &s->now,
	                         &s->lines[i], &checks)) {
		complain(s, i, false, strerror(ENOMEM));
	} else if (checks_overall(&checks) != CHECK_PASS) {
		complain(s, i, true, "its answer is no cosignature of this head");
		log_refuse("the answer", &checks);
	}
}

/* What the size in a 409 makes of the next request; NULL, or why there is none. */
static const char *next_old(const struct submission *s, const struct answer *a, uint64_t *old)
{
	uint64_t size;

	if (strcmp(a->type, WITNESS_SIZE_TYPE) != 0 ||
	    ledger_witness_size_parse(buf_view(&a->body), &size) || size == *old)
		return "answered 409 without a size that helps";
	if (size > s->note.cp.size)
		return "remembers a larger head of this log: was it restored from a backup?";
	*old = size;
	return NULL;
}

static bool has_line_of(const struct submission *s, const struct vkey *k)
{
	struct buf others = buf_make(NOTE_MAX);
	bool has = !log_note_filter(s->note.data, k, false, &others) && others.n < s->note.data.n;

	buf_free(&others);
	return has;
}

static void ask(struct submission *s, uint32_t i)
{
	const char *prefix = s->policy.witness_url[i];
	size_t n = strlen(prefix);
	struct buf request = buf_make(WITNESS_REQUEST_MAX);
	struct answer a = {.body = buf_make(WITNESS_ANSWER_MAX)};
	/* Who cosigned this very head remembers it; of others it is asked. */
	uint64_t old = has_line_of(s, &s->policy.witness[i]) ? s->note.cp.size : 0;
	char url[URL_MAX];
	const char *why = NULL;
	int ret = 0;

	snprintf(url, sizeof(url), "%s%sadd-checkpoint", prefix, prefix[n - 1] == '/' ? "" : "/");
	for (int try = 0; try < 2; try++) {
		buf_reset(&request);
		ret = make_request(s, old, &request);
		if (!ret)
			why = post(s->curl, url, buf_view(&request), &a);
		if (ret || why || a.status != 409 || try)
			break;
		why = next_old(s, &a, &old);
		if (why) {
			s->refused = true;
			break;
		}
	}
	if (ret || why)
		complain(s, i, false, ret ? strerror(-ret) : why);
	else
		take_answer(s, i, &a);
	buf_free(&request);
	buf_free(&a.body);
}

static bool is_url(const char *url)
{
	return strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
}

static int ask_all(struct submission *s)
{
	uint32_t asked = 0;

	for (uint32_t i = 0; i < s->policy.witnesses; i++) {
		if (!s->policy.witness_url[i][0])
			continue;
		if (!is_url(s->policy.witness_url[i]))
			return log_error(LOG_ERROR, "%s: a URL begins with https:// or http://",
			                 s->policy.witness_name[i]);
	}
	for (uint32_t i = 0; i < s->policy.witnesses; i++) {
		if (!s->policy.witness_url[i][0])
			continue;
		ask(s, i);
		asked++;
	}
	return asked ? LOG_OK : log_error(LOG_ERROR, "no witness of the policy has a URL");
}

/* --------------------------------------------------------------- checkpoint */

/* Puts lines in place of those of a witness. 0 or -errno. */
static int replace(struct buf *note, const struct vkey *witness, struct bytes lines)
{
	struct buf next = buf_make(NOTE_MAX);
	int ret = log_note_filter(buf_view(note), witness, false, &next);

	buf_bytes(&next, lines);
	if (!ret && next.bad)
		ret = -EFBIG;
	buf_free(note);
	*note = next;
	return ret;
}

/* The note with what was gathered in place of what these witnesses said before. 0 or -errno. */
static int merge(const struct submission *s, struct bytes note, struct buf *out)
{
	int ret = 0;

	buf_bytes(out, note);
	for (uint32_t i = 0; !ret && i < s->policy.witnesses; i++) {
		if (s->lines[i].n)
			ret = replace(out, &s->policy.witness[i], buf_view(&s->lines[i]));
	}
	return !ret && out->bad ? -EFBIG : ret;
}

/* Without what those said before whom we asked in vain now. 0 or -errno. */
static int only_answers(const struct submission *s, struct bytes note, struct buf *out)
{
	int ret = 0;

	buf_bytes(out, note);
	for (uint32_t i = 0; !ret && i < s->policy.witnesses; i++) {
		if (s->policy.witness_url[i][0] && !s->lines[i].n)
			ret = replace(out, &s->policy.witness[i], BYTES_NONE);
	}
	return ret;
}

/* Does a quorum vouch for what is published now? What it lacks is said. LOG_*. */
static int judge_quorum(const struct submission *s, struct bytes note)
{
	struct buf counted = buf_make(NOTE_MAX);
	struct checks checks = {0};
	struct ledger_head head;
	int ret = only_answers(s, note, &counted);

	if (!ret)
		ret = ledger_verify_checkpoint(buf_view(&counted), &s->policy, &s->now, &head,
		                               &checks);
	buf_free(&counted);
	if (ret)
		return log_error(LOG_ERROR, "%s", strerror(-ret));
	if (checks_overall(&checks) == CHECK_PASS)
		return LOG_OK;
	log_refuse("the checkpoint without a quorum", &checks);
	for (uint32_t i = 0; i < s->policy.witnesses; i++) {
		if (!s->lines[i].n)
			log_error(0, "missing: %s%s", s->policy.witness_name[i],
			          s->policy.witness_url[i][0] ? "" : ", which has no URL");
	}
	return s->refused ? LOG_REFUSED : LOG_ERROR;
}

static bool same_head(const struct checkpoint *a, const struct checkpoint *b)
{
	return a->size == b->size && memcmp(&a->root, &b->root, sizeof(a->root)) == 0;
}

static int publish(const struct submission *s)
{
	struct buf merged = buf_make(NOTE_MAX);
	struct log_note present = {0};
	struct log_store store;
	int ret = log_store_open(s->dir, true, &store);
	int status;

	if (ret)
		return log_error(LOG_ERROR, "%s: %s", s->dir, strerror(-ret));
	/* Somebody may have cosigned by file, or published, meanwhile. */
	status = log_note_verified(&store, LOG_CHECKPOINT, s->log, &present);
	if (!status && !same_head(&present.cp, &s->note.cp))
		status = log_error(LOG_ERROR, "another head was published meanwhile: submit again");
	if (!status)
		ret = merge(s, present.data, &merged);
	if (!status && !ret)
		ret = log_store_write(&store, LOG_CHECKPOINT, buf_view(&merged));
	if (ret)
		status = log_error(LOG_ERROR, "%s: %s", s->dir, strerror(-ret));
	log_store_close(&store);
	for (uint32_t i = 0; !status && i < s->policy.witnesses; i++) {
		if (s->lines[i].n)
			fwrite(s->lines[i].p, 1, s->lines[i].n, stdout);
	}
	if (!status)
		status = judge_quorum(s, buf_view(&merged));
	log_note_free(&present);
	buf_free(&merged);
	return status;
}

/* The published checkpoint, and the log of the policy that signed it. LOG_*. */
static int read_published(struct submission *s)
{
	struct log_store store;
	int ret = log_store_open(s->dir, false, &store);
	int status;

	if (ret)
		return log_error(LOG_ERROR, "%s: %s", s->dir, strerror(-ret));
	status = log_note_read(&store, LOG_CHECKPOINT, &s->note);
	for (uint32_t i = 0; !status && i < s->policy.logs; i++) {
		if (strcmp(s->policy.log[i].name, s->note.cp.origin) == 0)
			s->log = &s->policy.log[i];
	}
	if (!status && !s->log)
		status = log_error(LOG_ERROR, "%s is no log of the policy", s->note.cp.origin);
	log_note_free(&s->note);
	if (!status)
		status = log_note_verified(&store, LOG_CHECKPOINT, s->log, &s->note);
	log_store_close(&store);
	return status;
}

static int run(const struct submit_args *a, struct submission *s)
{
	int status = log_policy_read(a->policy, &s->policy);

	s->dir = a->dir;
	for (uint32_t i = 0; i < TLOG_KEYS_MAX; i++)
		s->lines[i] = buf_make(WITNESS_ANSWER_MAX);
	if (!status)
		status = read_published(s);
	if (!status) {
		s->now = (struct ledger_time){time(NULL), RECENT_S};
		status = ask_all(s);
	}
	if (!status)
		status = publish(s);
	log_note_free(&s->note);
	for (uint32_t i = 0; i < TLOG_KEYS_MAX; i++)
		buf_free(&s->lines[i]);
	return status;
}

/* ------------------------------------------------------------------ command */

static error_t submit_option(int key, char *arg, struct argp_state *state)
{
	struct submit_args *a = state->input;

	switch (key) {
	case 'p':
		a->policy = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->dir)
			argp_usage(state);
		a->dir = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->dir || !a->policy)
			argp_error(state, "a directory and --policy are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int log_submit(int argc, char **argv)
{
	static const struct argp_option options[] = {
	        {"policy", 'p', "TLOG-POLICY", 0,
	         "the log, its witnesses with their URLs, and the quorum that is wanted", 0},
	        {0},
	};
	static const struct argp argp = {
	        options,
	        submit_option,
	        "DIR",
	        "Have the published checkpoint cosigned by the witnesses of a policy (C2SP "
	        "tlog-witness), and put their cosignatures into DIR/checkpoint.",
	        NULL,
	        NULL,
	        NULL};
	struct submit_args a = {0};
	struct submission *s;
	int status;

	log_parse(&argp, argc, argv, &a);
	s = calloc(1, sizeof(*s));
	if (!s || curl_global_init(CURL_GLOBAL_DEFAULT))
		status = log_error(LOG_ERROR, "can't start");
	else if (!(s->curl = curl_easy_init()))
		status = log_error(LOG_ERROR, "out of memory");
	else
		status = run(&a, s);
	if (s)
		curl_easy_cleanup(s->curl);
	curl_global_cleanup();
	free(s);
	return status;
}
