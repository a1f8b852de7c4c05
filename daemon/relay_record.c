/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the records of a live session mean (RFC 8446 sections 4.6, 5 and 6), and how many one key
 * may still protect. Pure: the kernel has opened the record, the caller acts.
 */
#include "daemon/relay.h"

enum {
	RECORD_ALERT = 21,
	RECORD_HANDSHAKE = 22,
	RECORD_DATA = 23,
	RECORD_PLAIN_MAX = 16384,
	ALERT_CLOSE_NOTIFY = 0,
	MSG_NEW_SESSION_TICKET = 4,
	MSG_KEY_UPDATE = 24,
	UPDATE_REQUESTED = 1,
	/* Its fields at their longest: lifetime, age, nonce, ticket, extensions. */
	TICKET_MAX = 4 + 4 + 1 + 255 + 2 + 65535 + 2 + 65534,
};

static enum relay_take bad(struct failure *f, const char *what)
{
	failure_set(f, "relay.record", "%s", what);
	return TAKE_BAD;
}

static enum relay_take no_update(struct failure *f)
{
	failure_set(f, "relay.key-update",
	            "the peer updated its key, and this kernel can't replace keys");
	return TAKE_BAD;
}

/* A message header is complete. */
static enum relay_take take_message(struct relay_control *c, struct failure *f)
{
	uint32_t len = (uint32_t)c->head[1] << 16 | (uint32_t)c->head[2] << 8 | c->head[3];

	switch (c->head[0]) {
	case MSG_NEW_SESSION_TICKET: /* resumption is off: nobody would use it */
		if (len > TICKET_MAX)
			return bad(f, "a session ticket longer than one can be");
		c->head_n = 0;
		c->skip = len;
		return TAKE_NOTHING;
	case MSG_KEY_UPDATE:
		if (c->can_update)
			return bad(f, "a KeyUpdate that is not a record of its own");
		return no_update(f);
	default:
		failure_set(f, "relay.record", "handshake message %u on a live session",
		            c->head[0]);
		return TAKE_BAD;
	}
}

/*
 * The kernel holds back what follows a KeyUpdate only when a record begins with one. So it must be
 * a record of its own, whole: as all senders make it, and the next key's data can't slip in
 * between.
 */
static enum relay_take take_update(const struct relay_control *c, struct bytes r, struct failure *f)
{
	if (!c->can_update)
		return no_update(f);
	if (r.n != 5 || r.p[1] || r.p[2] || r.p[3] != 1 || r.p[4] > UPDATE_REQUESTED)
		return bad(f, "a malformed KeyUpdate, or not a record of its own");
	return r.p[4] == UPDATE_REQUESTED ? TAKE_UPDATE_BOTH : TAKE_UPDATE;
}

/* All of the record: the kernel looks at its first byte only, and a KeyUpdate may follow. */
static enum relay_take take_handshake(struct relay_control *c, struct bytes r, struct failure *f)
{
	if (!r.n)
		return bad(f, "an empty handshake record");
	if (!c->skip && !c->head_n && r.p[0] == MSG_KEY_UPDATE)
		return take_update(c, r, f);
	for (size_t at = 0; at < r.n;) {
		if (c->skip) {
			size_t n = r.n - at < c->skip ? r.n - at : c->skip;

			c->skip -= (uint32_t)n;
			at += n;
			continue;
		}
		c->head[c->head_n++] = r.p[at++];
		if (c->head_n == sizeof(c->head) && take_message(c, f) == TAKE_BAD)
			return TAKE_BAD;
	}
	return TAKE_NOTHING;
}

static enum relay_take take_alert(struct bytes r, struct failure *f)
{
	if (r.n != 2)
		return bad(f, "an alert that is not two bytes");
	if (r.p[1] == ALERT_CLOSE_NOTIFY)
		return TAKE_CLOSED;
	failure_set(f, "relay.alert", "the peer sent alert %u", r.p[1]);
	return TAKE_BAD;
}

enum relay_take relay_record_take(struct relay_control *c, uint8_t type, struct bytes record,
                                  struct failure *f)
{
	if (type != RECORD_HANDSHAKE && (c->skip || c->head_n))
		return bad(f, "a handshake message was interrupted by another record");
	switch (type) {
	case RECORD_DATA:
		return record.n ? TAKE_DATA : TAKE_NOTHING;
	case RECORD_HANDSHAKE:
		return take_handshake(c, record, f);
	case RECORD_ALERT:
		return take_alert(record, f);
	default:
		failure_set(f, "relay.record", "a record of type %u", type);
		return TAKE_BAD;
	}
}

bool relay_update_admit(struct relay_control *c, uint64_t records, uint64_t now_ms)
{
	uint64_t earned = records / RELAY_UPDATE_RECORDS;

	if (c->earned_ms && now_ms > c->earned_ms)
		earned += (now_ms - c->earned_ms) / RELAY_UPDATE_MS;
	if (earned || !c->earned_ms)
		c->earned_ms = now_ms;
	c->updates -= earned < c->updates ? (uint8_t)earned : c->updates;
	if (c->updates == RELAY_UPDATES)
		return false;
	c->updates++;
	return true;
}

/*
 * Sending is exact: the kernel cuts a copied send into full records and a rest. Receiving may join
 * short records in one call; that counts fewer records than there were, but the limit is one of
 * full records, and the short ones weigh less. One is kept for the close_notify.
 */
bool relay_record_count(uint64_t *records, size_t n)
{
	uint64_t more = n / RECORD_PLAIN_MAX + (n % RECORD_PLAIN_MAX != 0 || n == 0);

	if (*records + more >= KEYRING_RECORDS_MAX)
		return false;
	*records += more;
	return true;
}
