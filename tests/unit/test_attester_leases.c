/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attester's table of leases by itself: what has a place, who loses it, and when. The
 * identities are those of one real connection, for contexts that are tried until they fall into one
 * set.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "attester/lease.h"
#include "attester/serve.h"
#include "core/secret.h"

enum { NOW = 1000, CONTEXT = 32 };

static struct {
	SSL_CTX *server_tls, *client_tls;
	SSL *client, *server; /* both ends of a connection in memory */
	struct attest_lease *lease;
	struct lease_table *table;
} lab;

static int start(void **state)
{
	BIO *a, *b;

	(void)state;
	lab.server_tls = serve_tls_context("service.test");
	lab.client_tls = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_client_hello_cb(lab.server_tls, NULL, NULL);
	SSL_CTX_set_alpn_select_cb(lab.server_tls, NULL, NULL);
	lab.lease = secret_alloc(sizeof(*lab.lease));
	lab.table = lease_table_new();
	assert_non_null(lab.lease);
	assert_non_null(lab.table);
	lab.client = SSL_new(lab.client_tls);
	lab.server = SSL_new(lab.server_tls);
	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(lab.client, a, a);
	SSL_set_bio(lab.server, b, b);
	SSL_set_connect_state(lab.client);
	SSL_set_accept_state(lab.server);
	for (int i = 0; i < 4; i++) {
		SSL_do_handshake(lab.client);
		SSL_do_handshake(lab.server);
	}
	assert_true(SSL_is_init_finished(lab.server));
	assert_non_null(SSL_get_pending_cipher(lab.server));
	return 0;
}

static int stop(void **state)
{
	(void)state;
	SSL_free(lab.client);
	SSL_free(lab.server);
	SSL_CTX_free(lab.client_tls);
	SSL_CTX_free(lab.server_tls);
	secret_free(lab.lease, sizeof(*lab.lease));
	lease_table_free(lab.table);
	return 0;
}

static int emptied(void **state)
{
	(void)state;
	lease_table_wipe(lab.table);
	return 0;
}

/* Another context, whose lease has its place in this set. */
static void next_context(uint8_t set, uint8_t out[static CONTEXT])
{
	static uint32_t tried;

	memset(out, 0, CONTEXT);
	do {
		tried++;
		memcpy(out, &tried, sizeof(tried));
		assert_int_equal(attest_lease_export(lab.client, out, lab.lease), 0);
	} while (lab.lease->identity[0] != set);
}

static void grant(const uint8_t context[static CONTEXT], int64_t end, int64_t now)
{
	assert_int_equal(lease_grant(lab.table, lab.server, context, bytes_str("a.test"), end, now),
	                 0);
}

static bool found(struct bytes identity, const char *name, int64_t now)
{
	SSL_SESSION *s = lease_find(lab.table, lab.server, identity, bytes_str(name), now);

	SSL_SESSION_free(s);
	return s != NULL;
}

/* By what the client's end exports. */
static bool known(const uint8_t context[static CONTEXT], int64_t now)
{
	assert_int_equal(attest_lease_export(lab.client, context, lab.lease), 0);
	return found(BYTES_OF(lab.lease->identity), "a.test", now);
}

/* --------------------------------------------------------------------- the tests */

/* The secrets are the same at both ends, of their labels' and lengths' own. */
static void both_ends_export_alike(void **state)
{
	struct attest_lease *other = secret_alloc(sizeof(*other));
	uint8_t context[CONTEXT], psk[48];
	SSL_SESSION *s;

	(void)state;
	next_context(0, context);
	assert_int_equal(attest_lease_export(lab.server, context, other), 0);
	assert_memory_equal(other, lab.lease, sizeof(*other));
	assert_int_equal(lab.lease->suite, 0x1302);
	assert_int_equal(lab.lease->psk_len, 48);
	assert_memory_not_equal(lab.lease->psk, lab.lease->identity, 32);
	s = attest_lease_session(lab.client, lab.lease);
	assert_int_equal(SSL_SESSION_get_master_key(s, psk, sizeof(psk)), 48);
	assert_memory_equal(psk, lab.lease->psk, 48);
	assert_int_equal(SSL_SESSION_get_protocol_version(s), TLS1_3_VERSION);
	assert_int_equal(SSL_SESSION_get_max_early_data(s), 0);
	SSL_SESSION_free(s);
	/* Of another hash's length, of no suite, of none at all. */
	other->psk_len = 32;
	assert_null(attest_lease_session(lab.client, other));
	other->psk_len = 48;
	other->suite = 0x1301;
	assert_null(attest_lease_session(lab.client, other));
	secret_wipe(other, sizeof(*other));
	assert_null(attest_lease_session(lab.client, other));
	secret_free(other, sizeof(*other));
}

/* Nothing but an established connection has a lease to give. */
static void of_a_connection_alone(void **state)
{
	SSL *early = SSL_new(lab.client_tls);
	uint8_t context[CONTEXT] = {1};

	(void)state;
	memset(lab.lease, 0xff, sizeof(*lab.lease));
	assert_int_equal(attest_lease_export(early, context, lab.lease), -EPROTO);
	assert_true(bytes_all_zero((uint8_t *)lab.lease, sizeof(*lab.lease)));
	assert_int_equal(lease_grant(lab.table, early, context, BYTES_NONE, NOW + 1, NOW), -EPROTO);
	assert_int_equal(lease_grant(lab.table, lab.server, context, BYTES_NONE, NOW, NOW),
	                 -EINVAL);
	assert_int_equal(lease_table_count(lab.table, NOW), 0);
	SSL_free(early);
}

static void found_by_identity_and_name(void **state)
{
	uint8_t context[CONTEXT], id[33];

	(void)state;
	next_context(7, context);
	grant(context, NOW + 10, NOW);
	memcpy(id, lab.lease->identity, 32);
	assert_true(found((struct bytes){id, 32}, "a.test", NOW));
	assert_false(found((struct bytes){id, 32}, "b.test", NOW));
	assert_false(found((struct bytes){id, 32}, "", NOW));
	assert_false(found((struct bytes){id, 33}, "a.test", NOW));
	assert_false(found((struct bytes){id, 31}, "a.test", NOW));
	assert_false(found(BYTES_NONE, "a.test", NOW));
	for (int i = 0; i < 32; i++) {
		id[i] ^= 0x80;
		assert_false(found((struct bytes){id, 32}, "a.test", NOW));
		id[i] ^= 0x80;
	}
	/* What is free is none of anybody's. */
	memset(id, 0, sizeof(id));
	assert_false(found((struct bytes){id, 32}, "a.test", NOW));
	assert_false(found((struct bytes){id, 32}, "a.test", -1));
}

static void until_its_end(void **state)
{
	uint8_t context[CONTEXT];

	(void)state;
	next_context(7, context);
	grant(context, NOW + 10, NOW);
	assert_true(known(context, NOW + 9));
	assert_int_equal(lease_table_count(lab.table, NOW + 9), 1);
	assert_int_equal(lease_table_count(lab.table, NOW + 10), 0);
	assert_false(known(context, NOW + 10));
	/* It was wiped then: a clock that is set back does not bring it back. */
	assert_false(known(context, NOW));
}

/* In a full set the one that ends first goes, wherever it is and whenever it came. */
static void the_first_to_end_makes_place(void **state)
{
	uint8_t context[LEASE_WAYS][CONTEXT], more[CONTEXT], elsewhere[CONTEXT];

	(void)state;
	next_context(8, elsewhere);
	grant(elsewhere, NOW + 1, NOW);
	for (int i = 0; i < LEASE_WAYS; i++) {
		next_context(9, context[i]);
		grant(context[i], NOW + 100 + (i + 5) % LEASE_WAYS, NOW);
	}
	assert_int_equal(lease_table_count(lab.table, NOW), LEASE_WAYS + 1);
	next_context(9, more);
	grant(more, NOW + 50, NOW);
	assert_int_equal(lease_table_count(lab.table, NOW), LEASE_WAYS + 1);
	for (int i = 0; i < LEASE_WAYS; i++)
		assert_int_equal(known(context[i], NOW), (i + 5) % LEASE_WAYS != 0);
	assert_true(known(more, NOW));
	/* Now that one is the first, and next those that have ended, all of them. */
	next_context(9, context[11]);
	grant(context[11], NOW + 200, NOW);
	assert_false(known(more, NOW));
	assert_true(known(context[11], NOW));
	assert_true(known(elsewhere, NOW));
	grant(more, NOW + 300, NOW + 110);
	assert_true(known(more, NOW + 110));
	assert_int_equal(lease_table_count(lab.table, NOW), 1 + 5 + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(both_ends_export_alike, emptied),
	        cmocka_unit_test_setup(of_a_connection_alone, emptied),
	        cmocka_unit_test_setup(found_by_identity_and_name, emptied),
	        cmocka_unit_test_setup(until_its_end, emptied),
	        cmocka_unit_test_setup(the_first_to_end_makes_place, emptied),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
