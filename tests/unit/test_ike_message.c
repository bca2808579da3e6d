/* SPDX-License-Identifier: MIT */
/* Messages between two engines: what is cut, changed, lost, doubled, late, too many, or not what
 * the table wants. */
#include <errno.h>
#include "ike_rig.h"

/* --- every exchange once, with a hook on the wire */

#define LONG (200 * (usec_t)SEC) /* for what is lost again and again */

static void run_setup(struct rig *g)
{
	rig_start(g);
	rig_initiate(g);
	rig_run(g, LONG);
	assert_int_equal(g->a.ups, 1);
	assert_int_equal(g->b.ups, 1);
	rig_check(g);
}

/* A second child, both rekeys, liveness from both sides, a delete, the end. */
static void run_rest(struct rig *g)
{
	assert_int_equal(ike_child_create(g->a.e, g->a.sa, NULL, NULL, g->now_us), 0);
	rig_run(g, LONG);
	rig_check(g);
	assert_int_equal(rig_up_count(&g->a), 2);
	ike_child_rekey(g->b.e, rig_last(&g->b)->child, g->now_us);
	rig_run(g, LONG);
	rig_check(g);
	assert_int_equal(rig_up_count(&g->a), 2);
	ike_sa_rekey(g->a.e, g->a.sa, g->now_us);
	rig_run(g, LONG);
	rig_check(g);
	assert_int_equal(g->a.rekeys, 1);
	assert_int_equal(g->b.rekeys, 1);
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	ike_sa_probe(g->b.e, g->b.sa, g->now_us);
	rig_run(g, LONG);
	ike_child_delete(g->a.e, rig_last(&g->a)->child, "enough", g->now_us);
	rig_run(g, LONG);
	rig_check(g);
	assert_int_equal(rig_up_count(&g->a), 1);
	assert_int_equal(g->a.downs + g->b.downs, 0);
	ike_sa_close(g->b.e, g->b.sa, "over", false, g->now_us);
	rig_run(g, LONG);
	assert_int_equal(g->a.e->sa_count + g->b.e->sa_count, 0);
	assert_int_equal(rig_up_count(&g->a) + rig_up_count(&g->b), 0);
	assert_int_equal(g->a.downs, 1);
	assert_int_equal(g->b.downs, 1);
}

static struct rig *rig_with(const char *ike)
{
	struct rig *g = rig_new();
	rig_suites(SUITE_IKE, ike, &g->a.peer.ike);
	rig_suites(SUITE_IKE, ike, &g->b.peer.ike);
	return g;
}

#define AEAD "aes128gcm16-prfsha256-x25519"
#define CBC  "aes128-sha256-x25519"

/* --- cut and changed */

struct spoiler {
	bool flip;
	bool busy;
	unsigned messages;
};

static void spoil_one(struct rig *g, const struct rig_datagram *d, uint8_t *msg, size_t len)
{
	struct rig_node *to = d->from_a ? &g->b : &g->a;
	struct ike_path path = {.local = d->dst, .remote = d->src, .natt = d->dst.port == 4500};
	uint64_t sent = ike_counters(to->e)->sent;
	unsigned seen = to->ups + to->downs + to->child_count + to->child_downs + to->moves;
	uint8_t *exact = mem_zalloc(len);
	memcpy(exact, msg, len);
	ike_datagram(to->e, &path, exact, len, g->now_us);
	free(exact);
	/* No answer, no event. */
	assert_int_equal(ike_counters(to->e)->sent, sent);
	assert_int_equal(to->ups + to->downs + to->child_count + to->child_downs + to->moves, seen);
}

/* Before each message arrives, it arrives in every spoilt form. */
static bool spoil(struct rig *g, struct rig_datagram *d)
{
	struct spoiler *s = g->hook_ctx;
	uint8_t msg[2048];
	if (s->busy)
		return true;
	s->busy = true;
	s->messages++;
	assert_true(d->len <= sizeof(msg));
	memcpy(msg, d->bytes, d->len);
	if (!s->flip) {
		for (size_t len = 0; len < d->len; len++) {
			spoil_one(g, d, msg, len);
			if (len < IKE_HEADER_LEN)
				continue;
			memcpy(msg + 24, (uint8_t[]){0, 0, (uint8_t)(len >> 8), (uint8_t)len}, 4);
			spoil_one(g, d, msg, len);
			memcpy(msg + 24, d->bytes + 24, 4);
		}
	} else if (d->bytes[18] != IKE_SA_INIT) {
		for (size_t i = 0; i < d->len; i++) {
			msg[i] ^= (uint8_t)(1u << (i % 8));
			spoil_one(g, d, msg, d->len);
			msg[i] = d->bytes[i];
		}
	}
	s->busy = false;
	return true;
}

static void test_spoilt(void **state)
{
	(void)state;
	static const char *const suites[] = {AEAD, CBC};
	for (unsigned i = 0; i < 4; i++) {
		struct rig *g = rig_with(suites[i / 2]);
		struct spoiler s = {.flip = i % 2};
		g->hook = spoil;
		g->hook_ctx = &s;
		run_setup(g);
		run_rest(g);
		assert_true(s.messages >= 20);
		assert_int_equal(ike_counters(g->a.e)->retransmitted, 0);
		assert_int_equal(ike_counters(g->b.e)->retransmitted, 0);
		if (s.flip)
			assert_true(ike_counters(g->b.e)->unauthentic > 100);
		rig_free(g);
	}
}

/* An idle IKE SA and bytes of someone who knows its SPIs. */
static void test_junk(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	uint64_t sent = ike_counters(g->b.e)->sent;
	struct ike_sa before = *g->b.sa;
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t msg[300];
		size_t len = 28 + rig_random(g) % (sizeof(msg) - 28);
		for (size_t k = 0; k < len; k++)
			msg[k] = (uint8_t)rig_random(g);
		memcpy(msg, g->a.sa->spi_i, 8);
		memcpy(msg + 8, g->a.sa->spi_r, 8);
		msg[17] = IKE_VERSION;
		msg[18] = (uint8_t)(34 + i % 4);
		msg[19] = IKE_FLAG_INITIATOR;
		if (i % 3) {
			msg[16] = i % 2 ? IKE_PAYLOAD_SK : IKE_PAYLOAD_SKF;
			memcpy(msg + 20, (uint8_t[]){0, 0, 0, 2}, 4);
			memcpy(msg + 24, (uint8_t[]){0, 0, (uint8_t)(len >> 8), (uint8_t)len}, 4);
			memcpy(msg + 28,
			       (uint8_t[]){41, 0, (uint8_t)((len - 28) >> 8), (uint8_t)(len - 28)},
			       4);
			memcpy(msg + 32, (uint8_t[]){0, 1, 0, 2}, 4);
		}
		rig_inject(g, g->a.sa, msg, len);
	}
	assert_int_equal(ike_counters(g->b.e)->sent, sent);
	assert_true(ike_counters(g->b.e)->unauthentic > 5000);
	assert_memory_equal(&before, g->b.sa, sizeof(before));
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	rig_settle(g);
	rig_ladder_is(g, "a:INFO b:INFO'");
	rig_free(g);
}

/* --- lost, doubled, late */

struct loser {
	unsigned count, which, times;
};

static bool lose_one(struct rig *g, struct rig_datagram *d)
{
	struct loser *l = g->hook_ctx;
	(void)d;
	l->count++;
	return l->count < l->which || l->count >= l->which + l->times;
}

static void test_each_message_lost(void **state)
{
	(void)state;
	unsigned messages = 1000;
	for (unsigned times = 0; times <= 3; times++) {
		for (unsigned i = 1; i <= messages; i++) {
			struct rig *g = rig_new();
			struct loser l = {.which = i, .times = times};
			g->hook = lose_one;
			g->hook_ctx = &l;
			run_setup(g);
			run_rest(g);
			uint64_t again = ike_counters(g->a.e)->retransmitted +
					 ike_counters(g->b.e)->retransmitted;
			rig_free(g);
			if (!times) { /* how many there are to lose */
				messages = l.count;
				break;
			}
			assert_true(again > 0);
		}
	}
	assert_in_range(messages, 20, 30);
}

static void test_everything_doubled(void **state)
{
	(void)state;
	struct rig *g = rig_new();
	g->double_percent = 100;
	run_setup(g);
	run_rest(g);
	assert_true(ike_counters(g->b.e)->answered_again > 3);
	assert_true(ike_counters(g->a.e)->out_of_window > 3);
	rig_free(g);
}

static void test_a_bad_wire(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 300; seed++) {
		struct rig *g = rig_new();
		g->rng += 977 * (uint64_t)seed;
		g->loss_percent = 20;
		g->double_percent = 20;
		g->jitter_us = 700 * MS;
		g->a.cfg.retransmits = g->b.cfg.retransmits = 30;
		g->a.cfg.half_open_us = g->b.cfg.half_open_us = 60 * SEC;
		run_setup(g);
		run_rest(g);
		rig_free(g);
	}
}

static void test_backoff(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	usec_t due = g->now_us, wait = 0;
	g->lose_a = 1000;
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	for (unsigned i = 0; i < 8; i++) {
		usec_t nominal = i < 4 ? (500 * MS) << i : 8 * (usec_t)SEC;
		due = ike_tick(g->a.e, g->now_us);
		wait = due - g->now_us;
		assert_true(wait <= nominal && wait >= nominal - nominal / 10);
		assert_int_equal(ike_counters(g->a.e)->retransmitted, i);
		assert_int_equal(g->a.downs, 0);
		g->now_us = due;
	}
	ike_tick(g->a.e, g->now_us);
	assert_int_equal(g->a.downs, 1);
	assert_string_equal(g->a.down_why, "no answer");
	assert_int_equal(g->a.child_downs, 1);
	assert_int_equal(ike_counters(g->a.e)->dead_peers, 1);
	rig_free(g);
}

/* --- the window */

static void test_window(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	struct ike_sa *a = g->a.sa;
	uint32_t id = g->b.sa->expected_id;
	const struct ike_counters *n = ike_counters(g->b.e);
	struct rig_hand m = {.exchange = IKE_INFORMATIONAL};
	for (unsigned i = 0; i < 3; i++) {
		uint32_t wrong[] = {id + 1, id - 2, id + 0x80000000u};
		m.id = wrong[i];
		rig_say(g, a, &m);
		assert_int_equal(n->out_of_window, i + 1);
		assert_null(g->wire);
	}
	m.id = id;
	rig_say(g, a, &m);
	assert_int_equal(g->b.sa->expected_id, id + 1);
	struct rig_datagram *first = g->wire;
	assert_non_null(first);
	/* Again, and from elsewhere: the same bytes, to where it came from; nothing moves. */
	uint8_t msg[256];
	size_t len = rig_seal(a, &m, msg, sizeof(msg));
	struct ike_path path = {.local = a->path.remote, .remote = a->path.local};
	path.remote.addr = ip("192.0.2.200");
	ike_datagram(g->b.e, &path, msg, len, g->now_us);
	assert_non_null(first->next);
	assert_int_equal(first->next->len, first->len);
	assert_memory_equal(first->next->bytes, first->bytes, first->len);
	assert_true(addr_equal(&first->next->dst.addr, &path.remote.addr));
	assert_false(addr_equal(&ike_sa_path(g->b.sa)->remote.addr, &path.remote.addr));
	assert_int_equal(n->answered_again, 1);
	rig_clear_wire(g);
	/* After its time the answer is forgotten. */
	rig_run(g, 61 * SEC);
	rig_say(g, a, &m);
	assert_null(g->wire);
	assert_int_equal(g->b.sa->expected_id, id + 1);
	rig_free(g);
}

static void test_responses_nobody_asked_for(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	uint8_t gone[64];
	struct ike_builder b = ike_builder_of(gone, sizeof(gone), NULL);
	ike_put_notify(&b, IKE_N_INVALID_SYNTAX, NULL, 0);
	size_t len = ike_builder_finish(&b);
	struct rig_hand m = {.exchange = IKE_INFORMATIONAL,
			     .response = true,
			     .first = IKE_PAYLOAD_NOTIFY,
			     .inner = gone,
			     .len = len};
	for (m.id = 0; m.id < 5; m.id++)
		rig_say(g, g->b.sa, &m);
	assert_int_equal(g->a.downs, 0);
	assert_int_equal(ike_counters(g->a.e)->out_of_window, 5);
	/* Nor one of another exchange, or with the flag of the wrong side. */
	g->lose_a = 1;
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	m.id = g->a.sa->next_id - 1;
	m.exchange = IKE_CREATE_CHILD_SA;
	rig_say(g, g->b.sa, &m);
	m.exchange = IKE_INFORMATIONAL;
	uint8_t msg[256];
	len = rig_seal(g->b.sa, &m, msg, sizeof(msg));
	msg[19] ^= IKE_FLAG_INITIATOR;
	rig_inject(g, g->b.sa, msg, len);
	assert_int_equal(g->a.downs, 0);
	rig_say(g, g->b.sa, &m);
	assert_int_equal(g->a.downs, 1);
	assert_int_equal(g->a.down_notify, IKE_N_INVALID_SYNTAX);
	rig_free(g);
}

/* --- payloads */

static uint16_t notify_on_wire(struct rig *g, struct ike_sa *to, uint8_t *data)
{
	uint8_t buf[2048];
	struct ike_header h;
	struct ike_payloads p;
	struct ike_notify n;
	assert_non_null(g->wire);
	rig_read(to, g->wire, buf, sizeof(buf), &h, &p);
	if (!p.count)
		return 0;
	assert_true(ike_read_notify(&p.at[0], &n));
	*data = n.len ? n.data[0] : 0;
	return n.type;
}

static void test_critical(void **state)
{
	(void)state;
	static const enum ike_exchange exchanges[] = {IKE_INFORMATIONAL, IKE_CREATE_CHILD_SA};
	static const uint8_t unknown[] = {0, 0x80, 0, 5, 7};
	uint8_t data;
	for (unsigned i = 0; i < ARRAY_LEN(exchanges); i++) {
		struct rig *g = rig_up(rig_new());
		struct rig_hand m = {.exchange = exchanges[i],
				     .id = g->b.sa->expected_id,
				     .first = 199,
				     .inner = unknown,
				     .len = sizeof(unknown)};
		rig_say(g, g->a.sa, &m);
		assert_int_equal(notify_on_wire(g, g->a.sa, &data),
				 IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD);
		assert_int_equal(data, 199);
		rig_clear_wire(g);
		/* It was answered, and the IKE SA goes on. */
		assert_int_equal(g->b.sa->expected_id, m.id + 1);
		g->a.sa->next_id++;
		ike_sa_probe(g->a.e, g->a.sa, g->now_us);
		rig_settle(g);
		assert_int_equal(ike_counters(g->a.e)->retransmitted, 0);
		rig_check(g);
		rig_free(g);
	}
}

static void test_not_critical(void **state)
{
	(void)state;
	static const uint8_t unknown[] = {0, 0x00, 0, 5, 7};
	uint8_t data;
	struct rig *g = rig_up(rig_new());
	struct rig_hand m = {.exchange = IKE_INFORMATIONAL,
			     .id = g->b.sa->expected_id,
			     .first = 199,
			     .inner = unknown,
			     .len = sizeof(unknown)};
	rig_say(g, g->a.sa, &m);
	assert_int_equal(notify_on_wire(g, g->a.sa, &data), 0);
	rig_clear_wire(g);
	rig_free(g);
}

static void test_critical_in_response(void **state)
{
	(void)state;
	static const uint8_t unknown[] = {0, 0x80, 0, 5, 7};
	struct rig *g = rig_up(rig_new());
	g->lose_a = 1;
	ike_sa_probe(g->a.e, g->a.sa, g->now_us);
	struct rig_hand m = {.exchange = IKE_INFORMATIONAL,
			     .response = true,
			     .id = g->a.sa->next_id - 1,
			     .first = 199,
			     .inner = unknown,
			     .len = sizeof(unknown)};
	rig_say(g, g->b.sa, &m);
	assert_int_equal(g->a.downs, 1);
	assert_int_equal(g->a.down_notify, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD);
	rig_free(g);
}

/* Fatal on both sides (RFC 7296 2.21.3), and the answer is there again for who lost it. */
static void test_malformed_requests(void **state)
{
	(void)state;
	static const uint8_t cut[] = {0, 0, 0, 9, 7}, nothing[1],
			     delete[] = {0, 0, 0, 8, 3, 4, 0, 1};
	static const struct {
		enum ike_exchange exchange;
		uint8_t first;
		const uint8_t *inner;
		size_t len;
	} rows[] = {
	    {IKE_INFORMATIONAL, IKE_PAYLOAD_NOTIFY, cut, sizeof(cut)},
	    {IKE_CREATE_CHILD_SA, 0, nothing, 0}, /* without what it needs */
	    {IKE_AUTH, 0, nothing, 0},		  /* out of place */
	    {(enum ike_exchange)99, 0, nothing, 0},
	    {IKE_INFORMATIONAL, IKE_PAYLOAD_DELETE, delete, sizeof(delete)},
	};
	uint8_t data;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig *g = rig_up(rig_new());
		struct rig_hand m = {.exchange = rows[i].exchange,
				     .id = g->b.sa->expected_id,
				     .first = rows[i].first,
				     .inner = rows[i].inner,
				     .len = rows[i].len};
		rig_say(g, g->a.sa, &m);
		assert_int_equal(notify_on_wire(g, g->a.sa, &data), IKE_N_INVALID_SYNTAX);
		assert_int_equal(g->b.downs, 1);
		assert_int_equal(g->b.child_downs, 1);
		assert_int_equal(g->b.down_notify, IKE_N_INVALID_SYNTAX);
		assert_null(ike_sa_first(g->b.e));
		rig_clear_wire(g);
		rig_say(g, g->a.sa, &m);
		assert_int_equal(notify_on_wire(g, g->a.sa, &data), IKE_N_INVALID_SYNTAX);
		rig_clear_wire(g);
		rig_run(g, 15 * SEC);
		assert_int_equal(g->b.e->sa_count, 0);
		assert_int_equal(g->b.downs, 1);
		rig_free(g);
	}
}

static void test_too_many_payloads(void **state)
{
	(void)state;
	uint8_t inner[8 * 200], data;
	struct ike_builder b = ike_builder_of(inner, sizeof(inner), NULL);
	for (unsigned i = 0; i < 200; i++)
		ike_put_notify(&b, IKE_N_COOKIE2, NULL, 0);
	struct rig *g = rig_up(rig_new());
	struct rig_hand m = {.exchange = IKE_INFORMATIONAL,
			     .id = g->b.sa->expected_id,
			     .first = IKE_PAYLOAD_NOTIFY,
			     .inner = inner,
			     .len = ike_builder_finish(&b)};
	rig_say(g, g->a.sa, &m);
	assert_int_equal(notify_on_wire(g, g->a.sa, &data), IKE_N_INVALID_SYNTAX);
	rig_free(g);
}

/* A payload in the clear before the protected ones, or no protected ones at all. */
static void test_clear_payloads(void **state)
{
	(void)state;
	struct rig *g = rig_up(rig_new());
	uint8_t msg[128];
	struct ike_header h = {.version = IKE_VERSION,
			       .exchange = IKE_INFORMATIONAL,
			       .flags = IKE_FLAG_INITIATOR,
			       .message_id = g->b.sa->expected_id};
	memcpy(h.spi_i, g->b.sa->spi_i, 8);
	memcpy(h.spi_r, g->b.sa->spi_r, 8);
	struct ike_builder b = ike_builder_of(msg, sizeof(msg), &h);
	ike_put_delete(&b, IKE_PROTO_IKE, NULL, 0);
	size_t len = ike_builder_finish(&b);
	rig_inject(g, g->a.sa, msg, len);
	assert_int_equal(g->b.downs, 0);
	assert_null(g->wire);
	rig_free(g);
}

/* --- callbacks that ask for more */

static struct rig *greedy;

static uint16_t child_up_wants(void *ctx, struct ike_child_up *up)
{
	struct rig_node *n = ctx;
	uint16_t error = rig_on_child_up(ctx, up);
	if (n->child_count < 4) {
		assert_int_equal(ike_child_create(n->e, up->sa, NULL, NULL, greedy->now_us), 0);
		ike_sa_probe(n->e, up->sa, greedy->now_us);
	}
	return error;
}

static uint16_t child_up_closes(void *ctx, struct ike_child_up *up)
{
	struct rig_node *n = ctx;
	uint16_t error = rig_on_child_up(ctx, up);
	ike_sa_close(n->e, up->sa, "changed my mind", true, greedy->now_us);
	return error;
}

static void sa_down_again(void *ctx, struct ike_sa *sa, uint16_t notify, const char *why)
{
	struct rig_node *n = ctx;
	assert_int_equal(ike_child_create(n->e, sa, NULL, NULL, greedy->now_us), -ENOTCONN);
	ike_sa_close(n->e, sa, "twice", true, greedy->now_us);
	rig_on_sa_down(ctx, sa, notify, why);
	if (n->downs < 3)
		rig_initiate(greedy);
}

static void test_wishes_from_callbacks(void **state)
{
	(void)state;
	struct rig *g = greedy = rig_new();
	g->a.ops.child_up = g->b.ops.child_up = child_up_wants;
	rig_start(g);
	rig_initiate(g);
	rig_run(g, 30 * SEC);
	rig_check(g);
	assert_true(rig_up_count(&g->a) >= 4);
	assert_int_equal(g->a.downs + g->b.downs, 0);
	rig_free(g);

	g = greedy = rig_new();
	g->b.ops.child_up = child_up_closes;
	g->a.ops.sa_down = sa_down_again;
	rig_start(g);
	rig_initiate(g);
	rig_run(g, 30 * SEC);
	assert_int_equal(g->a.downs, 3);
	assert_int_equal(g->b.downs, 3);
	assert_int_equal(g->a.e->sa_count + g->b.e->sa_count, 0);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_spoilt),
	    cmocka_unit_test(test_junk),
	    cmocka_unit_test(test_each_message_lost),
	    cmocka_unit_test(test_everything_doubled),
	    cmocka_unit_test(test_a_bad_wire),
	    cmocka_unit_test(test_backoff),
	    cmocka_unit_test(test_window),
	    cmocka_unit_test(test_responses_nobody_asked_for),
	    cmocka_unit_test(test_critical),
	    cmocka_unit_test(test_not_critical),
	    cmocka_unit_test(test_critical_in_response),
	    cmocka_unit_test(test_malformed_requests),
	    cmocka_unit_test(test_too_many_payloads),
	    cmocka_unit_test(test_clear_payloads),
	    cmocka_unit_test(test_wishes_from_callbacks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
