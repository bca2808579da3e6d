/* SPDX-License-Identifier: MIT */
/* IKE messages on the encapsulation port: to control whole, two classes, bounded, among ESP. */
#include "fwd_rig.h"
#include "wire/ike.h"

#define MARKER IKE_NON_ESP_LEN

static uint8_t p[FWD_BUFFER_LEN];

/* A datagram of the marker and `len` octets of message; `tag` is in its first octet. */
static struct rig_packet message(uint8_t exchange, uint8_t tag, uint32_t len)
{
	memset(p, 0, MARKER);
	for (uint32_t i = 0; i < len; i++)
		p[MARKER + i] = (uint8_t)(tag + i);
	if (len > 18)
		p[MARKER + 18] = exchange;
	return (struct rig_packet){.data = p, .len = MARKER + len};
}

static void arrive(struct rig *r, uint8_t exchange, uint8_t tag, uint32_t len)
{
	struct rig_packet q = message(exchange, tag, len);
	q.src = rig_outer(r, 0, 0);
	rig_put(r, 1, &q);
}

static void assert_message(struct rig *r, uint8_t exchange, uint8_t tag, uint32_t len)
{
	struct fwd_ike *e = fwd_ike_next(r->node[1].f);
	assert_non_null(e);
	assert_int_equal(e->len, len);
	struct rig_packet want = message(exchange, tag, len);
	assert_memory_equal(e->msg, want.data + MARKER, len);
	struct endpoint src = rig_outer(r, 0, 0);
	assert_true(endpoint_equal(&e->src, &src));
	assert_int_equal(e->sock, RIG_SOCK);
	assert_int_equal(e->at_us, r->now);
	memset(e->msg, 0xee, e->len); /* it is ours to change */
	fwd_ike_done(r->node[1].f);
}

static void test_whole(void **state)
{
	(void)state;
	struct rig_config c = {.ike = true};
	struct rig *r = rig_new(&c);
	static const uint32_t lens[] = {28, 29, 100, 1280, 9000, 65535 - 20 - 8 - MARKER};
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		arrive(r, IKE_AUTH, (uint8_t)i, lens[i]);
		arrive(r, IKE_SA_INIT, (uint8_t)(i + 50), lens[i]);
		rig_receive(r, 1);
		assert_message(r, IKE_AUTH, (uint8_t)i, lens[i]);
		assert_message(r, IKE_SA_INIT, (uint8_t)(i + 50), lens[i]);
		assert_null(fwd_ike_next(r->node[1].f));
	}
	assert_int_equal(r->node[1].events, ARRAY_LEN(lens)); /* one wake-up for each batch */
	assert_int_equal(rig_counters(r, 1).ike_messages, 2 * ARRAY_LEN(lens));
	assert_int_equal(rig_all_drops(r, 1), 0);
	fwd_ike_done(r->node[1].f); /* nothing to give back */
	rig_free(r);
}

/* Shorter than a header; and nobody there. */
static void test_refused(void **state)
{
	(void)state;
	struct rig_config c = {.ike = true};
	struct rig *r = rig_new(&c);
	for (uint32_t len = 0; len < IKE_HEADER_LEN; len++)
		arrive(r, IKE_AUTH, 0, len);
	rig_receive(r, 1);
	assert_int_equal(rig_drops(r, 1, DROP_RUNT), IKE_HEADER_LEN);
	assert_null(fwd_ike_next(r->node[1].f));
	assert_int_equal(r->node[1].events, 0);
	rig_free(r);

	c.ike = false;
	r = rig_new(&c);
	arrive(r, IKE_AUTH, 0, 100);
	arrive(r, IKE_SA_INIT, 0, 100);
	rig_receive(r, 1);
	assert_int_equal(rig_drops(r, 1, DROP_IKE_CLOSED), 2);
	assert_null(fwd_ike_next(r->node[1].f));
	fwd_ike_done(r->node[1].f);
	rig_free(r);
}

/* Without end IKE_SA_INITs: a bounded number waits, and what belongs to an IKE SA comes first. */
static void test_flood(void **state)
{
	(void)state;
	struct rig_config c = {.ike = true};
	struct rig *r = rig_new(&c);
	enum { FLOOD = 3000, LEN = 400, KNOWN = 600 };
	for (int i = 0; i < FLOOD; i++) {
		arrive(r, IKE_SA_INIT, (uint8_t)i, LEN);
		if (i % 5 == 0)
			arrive(r, IKE_INFORMATIONAL, (uint8_t)(i / 5), 80);
		if (i % 500 == 499) {
			rig_receive(r, 1);
			rig_clear(r);
		}
	}
	uint64_t refused = rig_drops(r, 1, DROP_IKE_INIT_BUSY);
	assert_true(refused > FLOOD * 3 / 4 && refused < FLOOD);
	assert_int_equal(rig_all_drops(r, 1), refused);
	for (int i = 0; i < KNOWN; i++)
		assert_message(r, IKE_INFORMATIONAL, (uint8_t)i, 80);
	for (uint64_t i = 0; i < FLOOD - refused; i++)
		assert_message(r, IKE_SA_INIT, (uint8_t)i, LEN);
	assert_null(fwd_ike_next(r->node[1].f));
	/* And as if nothing had been. */
	arrive(r, IKE_SA_INIT, 9, LEN);
	rig_receive(r, 1);
	assert_message(r, IKE_SA_INIT, 9, LEN);
	rig_free(r);
}

static void test_known_bounded(void **state)
{
	(void)state;
	struct rig_config c = {.ike = true};
	struct rig *r = rig_new(&c);
	for (int i = 0; i < 100; i++)
		arrive(r, IKE_AUTH, (uint8_t)i, 60000);
	arrive(r, IKE_SA_INIT, 0, 300);
	rig_receive(r, 1);
	uint64_t refused = rig_drops(r, 1, DROP_IKE_BUSY);
	assert_true(refused > 80 && refused < 90);
	assert_int_equal(rig_all_drops(r, 1), refused);
	for (uint64_t i = 0; i < 100 - refused; i++)
		assert_message(r, IKE_AUTH, (uint8_t)i, 60000);
	assert_message(r, IKE_SA_INIT, 0, 300);
	rig_free(r);
}

/* UDP_GRO joins what one peer sends: ESP and IKE of one length in one read. */
static void test_among_esp(void **state)
{
	(void)state;
	struct rig_config c = {.ike = true};
	struct rig *r = rig_new(&c);
	static uint8_t joined[8 * 2000];
	uint32_t len = rig_seal_udp(r, 4, 500)->len;
	for (int i = 0; i < 3; i++)
		rig_seal_udp(r, 4, 500);
	struct rig_packet q = {.gso_size = len, .src = rig_outer(r, 0, 0), .data = joined};
	for (unsigned i = 0; i < 8; i++) {
		if (i % 2)
			memcpy(joined + i * len, r->node[0].sent.at[i / 2].data, len);
		else
			memcpy(joined + i * len, message(IKE_AUTH, (uint8_t)i, len - MARKER).data,
			       len);
	}
	q.len = 8 * len;
	rig_put(r, 1, &q);
	rig_receive(r, 1);
	assert_int_equal(r->node[1].written.count, 4);
	for (unsigned i = 0; i < 8; i += 2)
		assert_message(r, IKE_AUTH, (uint8_t)i, len - MARKER);
	assert_null(fwd_ike_next(r->node[1].f));
	assert_int_equal(rig_all_drops(r, 1), 0);
	rig_free(r);
}

/* What the socket says of the address it came to is passed on. */
static void test_destination(void **state)
{
	(void)state;
	struct rig_config c = {.ike = true};
	struct rig *r = rig_new(&c);
	for (int outer = 0; outer < 2; outer++) {
		arrive(r, IKE_AUTH, 0, 50);
		struct rig_packet *q = &r->node[1].inbox.at[r->node[1].inbox.count - 1];
		if (outer)
			q->dst.addr = rig_addr("2001:db8::9");
		struct addr want = q->dst.addr;
		rig_receive(r, 1);
		struct fwd_ike *e = fwd_ike_next(r->node[1].f);
		assert_non_null(e);
		assert_true(addr_equal(&e->dst, &want));
		fwd_ike_done(r->node[1].f);
	}
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole),     cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_flood),     cmocka_unit_test(test_known_bounded),
	    cmocka_unit_test(test_among_esp), cmocka_unit_test(test_destination),
	};
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
