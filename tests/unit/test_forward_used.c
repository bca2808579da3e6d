/* SPDX-License-Identifier: MIT */
/* What the packet path tells of connections that are used and not active (implied registration),
 * and what it takes from them. */
#include "fwd_rig.h"

static uint8_t p[FWD_BUFFER_LEN];

enum what { DATA, EMPTY, DUMMY, PROBE, USE, REQUEST };

/* Gives the server a packet of the terminal's on SA `sa` under this number. */
static void give(struct rig *r, unsigned sa, enum what what, uint64_t number)
{
	struct rig_packet raw;
	uint8_t next = IP_PROTO_NONE;
	size_t len = 0;
	struct esp_probe probe = {.kind = what == USE ? ESP_PROBE_USE : ESP_PROBE_REQUEST, .id = 9};
	switch (what) {
	case DATA:
	case REQUEST:
		next = IP_PROTO_IPIP;
		len = rig_make_udp(p, "10.9.0.5", 1, what == DATA ? "10.1.0.1" : "10.1.0.2",
				   what == DATA ? 2 : 434);
		break;
	case PROBE:
	case USE:
		len = esp_write_probe(p, sizeof(p), &probe);
		break;
	case DUMMY:
		memset(p, 7, 20);
		len = 20;
		break;
	case EMPTY:
		break;
	}
	rig_seal_raw(r, 0, sa, next, p, len, number, false, &raw);
	rig_put(r, 1, &raw);
	rig_receive(r, 1);
}

static struct rig *two(bool implied, bool strict)
{
	struct rig_config c = {.sas = 2, .strict = strict};
	struct rig *r = rig_new(&c);
	r->node[1].peer.implied = implied;
	atomic_store(&r->node[1].in[1]->active, false);
	return r;
}

/* Takes what waits: was there one that says `used`, and of which number? */
static uint64_t used(struct rig *r)
{
	const struct fwd_event *e;
	uint64_t number = 0;
	while ((e = fwd_event_next(r->node[1].f))) {
		if (e->kind == FWD_EV_DATA) {
			assert_true(e->newest);
			assert_int_equal(e->spi, r->node[1].in[1]->spi);
			number = e->number;
		}
		fwd_event_done(r->node[1].f);
	}
	return number;
}

static void only_use_says_used(void **state)
{
	(void)state;
	static const struct {
		enum what what;
		bool used;
	} rows[] = {{DATA, true},   {EMPTY, true}, {DUMMY, false},
		    {PROBE, false}, {USE, false},  {REQUEST, false}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig *r = two(true, false);
		give(r, 0, DATA, 1);
		assert_int_equal(used(r), 0);
		give(r, 1, rows[i].what, 2);
		assert_int_equal(used(r), rows[i].used ? 2 : 0);
		rig_free(r);
	}
}

static void a_probe_tells_whether_it_is_the_newest(void **state)
{
	(void)state;
	struct rig *r = two(true, false);
	for (uint64_t number = 10; number >= 9; number--) {
		give(r, 1, USE, number);
		const struct fwd_event *e = fwd_event_next(r->node[1].f);
		assert_non_null(e);
		assert_int_equal(e->kind, FWD_EV_PROBE);
		assert_int_equal(e->newest, number == 10);
		fwd_event_done(r->node[1].f);
	}
	rig_free(r);
}

/* Replayed, reordered, or older than what came by another connection: nothing is said. */
static void an_older_packet_says_nothing(void **state)
{
	(void)state;
	struct rig *r = two(true, false);
	give(r, 1, DATA, 5);
	assert_int_equal(used(r), 5);
	r->now += USEC_PER_SEC;
	give(r, 1, DATA, 5);
	assert_int_equal(used(r), 0);
	give(r, 1, DATA, 4);
	assert_int_equal(used(r), 0);
	give(r, 0, DATA, 7);
	give(r, 1, DATA, 6); /* newer on this one, not of all */
	assert_int_equal(used(r), 0);
	assert_int_equal(r->node[1].written.count, 4);
	give(r, 1, DATA, 8);
	assert_int_equal(used(r), 8);
	rig_free(r);
}

static void it_is_told_again_but_not_with_each_packet(void **state)
{
	(void)state;
	for (int implied = 0; implied < 2; implied++) {
		usec_t again_us = implied ? 20 * USEC_PER_MS : USEC_PER_SEC;
		struct rig *r = two(implied, false);
		give(r, 1, DATA, 1);
		assert_int_equal(used(r), 1);
		r->now += again_us - USEC_PER_MS;
		give(r, 1, DATA, 2);
		assert_int_equal(used(r), 0);
		r->now += USEC_PER_MS;
		give(r, 1, DATA, 3);
		assert_int_equal(used(r), 3);
		rig_free(r);
	}
}

static void numbers_of_their_own_say_nothing(void **state)
{
	(void)state;
	struct rig_config c = {.sas = 2, .own_space = true, .fresh = true};
	struct rig *r = rig_new(&c);
	r->node[1].peer.implied = true;
	atomic_store(&r->node[1].in[1]->active, false);
	give(r, 1, DATA, 1);
	assert_int_equal(used(r), 0);
	assert_int_equal(r->node[1].written.count, 1);
	rig_free(r);
}

static void behind_a_request_control_decides_by_that(void **state)
{
	(void)state;
	struct rig *r = two(true, true);
	give(r, 1, REQUEST, 1);
	give(r, 1, DATA, 2);
	assert_int_equal(used(r), 0);
	assert_int_equal(r->node[1].written.count, 1);
	r->now += 51 * USEC_PER_MS; /* it did not */
	give(r, 1, DATA, 3);
	assert_int_equal(used(r), 3);
	rig_free(r);
}

/* accept = active-only */
static void active_only_takes_what_makes_it_active(void **state)
{
	(void)state;
	static const struct {
		bool implied;
		unsigned taken; /* of three: two in order, and one that is late */
	} rows[] = {{false, 0}, {true, 2}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig *r = two(rows[i].implied, true);
		give(r, 1, DATA, 2);
		give(r, 1, DATA, 3);
		give(r, 1, DATA, 1);
		assert_int_equal(r->node[1].written.count, rows[i].taken);
		assert_int_equal(rig_drops(r, 1, DROP_NOT_ACTIVE), 3 - rows[i].taken);
		assert_int_equal(used(r), 2);
		rig_free(r);
	}
}

static void what_was_left_drains(void **state)
{
	(void)state;
	struct rig *r = two(false, true);
	atomic_store(&r->node[1].in[1]->drain, SA_DRAIN(r->now + 2 * USEC_PER_SEC));
	r->now += 1900 * USEC_PER_MS;
	give(r, 1, DATA, 1);
	assert_int_equal(r->node[1].written.count, 1);
	r->now += 200 * USEC_PER_MS;
	give(r, 1, DATA, 2);
	assert_int_equal(r->node[1].written.count, 1);
	assert_int_equal(rig_drops(r, 1, DROP_NOT_ACTIVE), 1);
	rig_free(r);
}

/* An inside that is not the terminal's to send says nothing, whatever the policy. */
static void test_foreign_source(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 4; bits++) {
		struct rig *r = two(bits & 1, bits & 2);
		struct rig_packet raw;
		size_t len = rig_make_udp(p, "10.9.1.5", 1, "10.1.0.1", 2);
		rig_seal_raw(r, 0, 1, IP_PROTO_IPIP, p, len, 7, false, &raw);
		rig_put(r, 1, &raw);
		rig_receive(r, 1);
		assert_int_equal(used(r), 0);
		assert_int_equal(rig_drops(r, 1, DROP_INNER_SOURCE), 1);
		give(r, 1, DATA, 8);
		assert_int_equal(used(r), 8);
		rig_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_foreign_source),
	    cmocka_unit_test(only_use_says_used),
	    cmocka_unit_test(a_probe_tells_whether_it_is_the_newest),
	    cmocka_unit_test(an_older_packet_says_nothing),
	    cmocka_unit_test(it_is_told_again_but_not_with_each_packet),
	    cmocka_unit_test(numbers_of_their_own_say_nothing),
	    cmocka_unit_test(behind_a_request_control_decides_by_that),
	    cmocka_unit_test(active_only_takes_what_makes_it_active),
	    cmocka_unit_test(what_was_left_drains),
	};
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
