/* SPDX-License-Identifier: MIT */
/* What the inbound path tells control: registrations, probes, moves, hellos. */
#include "fwd_rig.h"

static uint8_t p[FWD_BUFFER_LEN];

/* --- to control */

static void test_registration(void **state)
{
	(void)state;
	static const struct {
		const char *src, *dst;
		uint16_t sport, dport;
		bool control;
	} rows[] = {
	    {"10.9.0.5", "10.1.0.2", 5000, 434, true}, {"10.9.0.5", "10.1.0.2", 434, 5000, true},
	    {"10.9.0.5", "10.1.0.2", 433, 435, false}, {"10.9.0.5", "10.1.0.3", 434, 434, false},
	    {"fd09::5", "fd01::2", 1, 434, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig_config c = {0};
		struct rig *r = rig_new(&c);
		size_t len =
		    rig_make_udp(p, rows[i].src, rows[i].sport, rows[i].dst, rows[i].dport);
		rig_receive_raw(r, p[0] >> 4 == 4 ? 4 : 41, p, len, 77);
		assert_int_equal(r->node[1].written.count, !rows[i].control);
		if (rows[i].control) {
			const struct fwd_event *e = rig_next_event(r, FWD_EV_CONTROL);
			struct endpoint src = rig_outer(r, 0, 0);
			assert_int_equal(e->spi, r->node[1].in[0]->spi);
			assert_ptr_equal(e->sa, r->node[1].in[0]);
			assert_int_equal(e->number, 77);
			assert_int_equal(e->sock, RIG_SOCK);
			assert_false(e->hello);
			assert_false(e->outbound);
			assert_true(endpoint_equal(&e->src, &src));
			assert_int_equal(e->at_us, r->now);
			assert_int_equal(e->len, len);
			assert_memory_equal(e->data, p, len);
			assert_int_equal(r->node[1].events, 1);
			assert_int_equal(atomic_load(&r->node[1].in[0]->first_us), 0);
			fwd_event_done(r->node[1].f);
		}
		rig_no_event(r);
		rig_free(r);
	}
	/* Mobility Header; and one too large for control */
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	struct addr src = rig_addr("fd09::5"), dst = rig_addr("fd01::2");
	size_t head = ip_write_header(p, 2000, &src, &dst, IP_PROTO_MH, 0, 64, 16);
	memset(p + head, 0, 1000);
	rig_receive_raw(r, IP_PROTO_IPV6, p, head + 16, 1);
	rig_next_event(r, FWD_EV_CONTROL);
	fwd_event_done(r->node[1].f);
	head = ip_write_header(p, 2000, &src, &dst, IP_PROTO_MH, 0, 64, 900);
	rig_receive_raw(r, IP_PROTO_IPV6, p, head + 900, 2);
	assert_int_equal(rig_drops(r, 1, DROP_CONTROL_BUSY), 1);
	assert_int_equal(r->node[1].written.count, 0);
	rig_free(r);
}

static void test_probe(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	struct esp_probe probe = {.kind = ESP_PROBE_REQUEST, .id = 0x1122334455667788}, got;
	uint8_t bytes[ESP_PROBE_LEN];
	size_t len = esp_write_probe(bytes, sizeof(bytes), &probe);
	assert_true(fwd_inject(r->node[0].f, r->node[0].out[0], IP_PROTO_NONE, bytes, len, 0));
	fwd_run_commands(fwd_worker(r->node[0].f, 0), r->now);
	rig_deliver(r, 0);
	const struct fwd_event *e = rig_next_event(r, FWD_EV_PROBE);
	assert_true(esp_read_probe(e->data, e->len, &got));
	assert_int_equal(got.id, probe.id);
	assert_int_equal(e->number, 1);
	fwd_event_done(r->node[1].f);
	/* other dummies are discarded */
	rig_receive_raw(r, IP_PROTO_NONE, "what is this supposed to be", 27, 2);
	rig_receive_raw(r, IP_PROTO_NONE, "", 0, 3);
	assert_int_equal(rig_drops(r, 1, DROP_DUMMY), 2);
	rig_no_event(r);
	rig_free(r);
}

/* Control that is slow loses messages, counted, but not the news of lifetimes and moves. */
static void test_control_busy(void **state)
{
	(void)state;
	struct rig_config c = {.soft_packets = 400};
	struct rig *r = rig_new(&c);
	size_t len = rig_make_udp(p, "10.9.0.5", 5000, "10.1.0.2", 434);
	for (uint64_t n = 1; n <= 400; n++)
		rig_receive_raw(r, IP_PROTO_IPIP, p, len, n);
	uint64_t lost = rig_drops(r, 1, DROP_CONTROL_BUSY), got = 0;
	bool told = false;
	for (const struct fwd_event *e; (e = fwd_event_next(r->node[1].f)) != NULL;) {
		got += e->kind == FWD_EV_CONTROL;
		told |= e->kind == FWD_EV_SOFT_LIFETIME;
		fwd_event_done(r->node[1].f);
	}
	assert_true(lost > 0);
	assert_int_equal(lost + got, 400);
	assert_true(told);
	/* and then there is room again */
	rig_receive_raw(r, IP_PROTO_IPIP, p, len, 401);
	rig_next_event(r, FWD_EV_CONTROL);
	rig_free(r);
}

/* --- where packets come from */

static void test_moved(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	struct sa *sa = r->node[1].in[0];
	struct endpoint other = rig_outer(r, 0, 0);
	other.port = 40000;

	struct rig_packet old = *rig_seal_udp(r, 4, 20);
	rig_seal_udp(r, 4, 20);
	r->node[0].sent.taken = 1;
	rig_deliver(r, 0);
	rig_no_event(r);
	/* an old packet from elsewhere says nothing */
	old.src = other;
	rig_put(r, 1, &old);
	rig_receive(r, 1);
	assert_int_equal(r->node[1].written.count, 2);
	rig_no_event(r);
	/* a replayed or forged one neither */
	old = *rig_seal_udp(r, 4, 20);
	r->node[0].sent.taken++;
	old.src = other;
	old.data[old.len - 1] ^= 1;
	rig_put(r, 1, &old);
	rig_receive(r, 1);
	rig_no_event(r);
	/* the newest does, once */
	for (int i = 0; i < 5; i++)
		rig_seal_udp(r, 4, 20)->src = other;
	rig_deliver(r, 0);
	const struct fwd_event *e = rig_next_event(r, FWD_EV_MOVED);
	assert_true(endpoint_equal(&e->src, &other));
	assert_int_equal(e->number, 4);
	assert_int_equal(e->sock, RIG_SOCK);
	assert_int_equal(e->spi, sa->spi);
	fwd_event_done(r->node[1].f);
	rig_no_event(r);
	/* again after a while, when control did nothing */
	r->now += USEC_PER_SEC;
	rig_seal_udp(r, 4, 20)->src = other;
	rig_deliver(r, 0);
	rig_next_event(r, FWD_EV_MOVED);
	fwd_event_done(r->node[1].f);
	/* not when control follows */
	struct path *path = rig_path(r, 1, 0);
	path->remote = other;
	sa_set_path(sa, path);
	rig_seal_udp(r, 4, 20)->src = other;
	rig_deliver(r, 0);
	rig_no_event(r);
	/* back: at once */
	rig_seal_udp(r, 4, 20);
	rig_deliver(r, 0);
	rig_next_event(r, FWD_EV_MOVED);
	fwd_event_done(r->node[1].f);
	/* no path at all: told as well */
	sa_set_path(sa, NULL);
	rig_seal_udp(r, 4, 20);
	rig_deliver(r, 0);
	rig_next_event(r, FWD_EV_MOVED);
	fwd_event_done(r->node[1].f);
	rig_no_event(r);
	rig_free(r);
}

/* The slower path of two: all its packets are copies of what has come. */
static struct rig_packet *seal_copies(struct rig *r)
{
	size_t len = rig_udp(p, 4, true, 20, 1);
	rig_frame(&r->node[0], p, len);
	rig_run_tun(r, 0);
	struct rig_list *sent = &r->node[0].sent;
	rig_put(r, 1, &sent->at[sent->count - 2]);
	rig_receive(r, 1);
	sent->taken = sent->count;
	return &sent->at[sent->count - 1];
}

static void receive(struct rig *r, struct rig_packet *q, uint16_t port)
{
	uint16_t own = q->src.port;
	q->src.port = port;
	rig_put(r, 1, q);
	q->src.port = own;
	rig_receive(r, 1);
}

static void test_copies_heard(void **state)
{
	(void)state;
	struct rig_config c = {.sas = 2};
	struct rig *r = rig_new(&c);
	struct sa *slow = r->node[1].in[1];
	usec_t heard = r->now;
	receive(r, seal_copies(r), 4500);
	assert_int_equal(atomic_load(&slow->last_us), heard);
	/* not again at once, nor by a forgery or a replay, but after a while */
	struct rig_packet *old = seal_copies(r);
	r->now += 50000;
	receive(r, old, 4500);
	assert_int_equal(atomic_load(&slow->last_us), heard);
	assert_int_equal(atomic_load(&slow->newest), 1);
	r->now += 50000;
	struct rig_packet *q = seal_copies(r);
	q->data[q->len - 1] ^= 1;
	receive(r, q, 4500);
	assert_int_equal(atomic_load(&slow->last_us), heard);
	q->data[q->len - 1] ^= 1;
	receive(r, q, 4500);
	assert_int_equal(atomic_load(&slow->last_us), r->now);
	heard = r->now;
	r->now += USEC_PER_SEC;
	receive(r, q, 4500);
	receive(r, old, 4500);
	assert_int_equal(atomic_load(&slow->last_us), heard);
	/* the same in one batch with the first */
	size_t len = rig_udp(p, 4, true, 20, 1);
	rig_frame(&r->node[0], p, len);
	rig_run_tun(r, 0);
	rig_deliver(r, 0);
	assert_int_equal(atomic_load(&slow->last_us), r->now);
	assert_int_equal(atomic_load(&slow->packets), 0);
	assert_int_equal(r->node[1].written.count, 4);
	rig_no_event(r);
	rig_free(r);
}

static void test_copies_moved(void **state)
{
	(void)state;
	struct rig_config c = {.sas = 2};
	struct rig *r = rig_new(&c);
	struct sa *slow = r->node[1].in[1];
	struct rig_packet *read = seal_copies(r);
	receive(r, read, 4500);
	struct rig_packet *unread = seal_copies(r);
	receive(r, unread, 4500);
	assert_int_equal(atomic_load(&slow->newest), 1);
	/* neither what was read nor what was not says anything when it is played back */
	receive(r, read, 7);
	receive(r, unread, 7);
	r->now += USEC_PER_SEC;
	receive(r, unread, 7);
	rig_no_event(r);
	/* nor a forgery */
	struct rig_packet *q = seal_copies(r);
	q->data[q->len - 1] ^= 1;
	receive(r, q, 7);
	rig_no_event(r);
	q->data[q->len - 1] ^= 1;
	receive(r, q, 7);
	const struct fwd_event *e = rig_next_event(r, FWD_EV_MOVED);
	assert_ptr_equal(e->sa, slow);
	assert_int_equal(e->src.port, 7);
	assert_int_equal(e->number, 3);
	fwd_event_done(r->node[1].f);
	/* a new epoch has lower numbers */
	assert_true(fwd_reset_window(r->node[1].f, &r->node[1].peer.space, 0));
	fwd_run_commands(fwd_worker(r->node[1].f, 0), r->now);
	atomic_store(&r->node[0].peer.space.next, 1);
	receive(r, seal_copies(r), 8);
	assert_int_equal(rig_next_event(r, FWD_EV_MOVED)->number, 1);
	fwd_event_done(r->node[1].f);
	rig_no_event(r);
	rig_free(r);
}

/* --- hello */

#define EPOCH 0x7a6b5c4du

static void hello(struct rig *r, uint32_t epoch)
{
	size_t len = rig_make_udp(p, "10.9.0.5", 5000, "10.1.0.2", 434);
	assert_true(fwd_inject(r->node[0].f, r->node[0].out[0], IP_PROTO_IPIP, p, len, epoch));
	fwd_run_commands(fwd_worker(r->node[0].f, 0), r->now);
}

static void test_hello(void **state)
{
	(void)state;
	/* before: nothing heard (0), numbers of another epoch (1), of a later one (2) */
	for (int before = 0; before < 3; before++) {
		struct rig_config c = {0};
		struct rig *r = rig_new(&c);
		struct rig_node *s = &r->node[1];
		replay_clear(&s->peer.space.window);
		replay_init(&s->peer.space.window, 1024);
		if (before) {
			uint64_t top = before == 1 ? 0x0000000100000777u : 0xf000000000000777u;
			replay_reset(&s->peer.space.window, top, true);
		}
		/* data before the hello is not believed */
		atomic_store(&r->node[0].peer.space.next, space_hello_number(EPOCH - 1));
		rig_seal_udp(r, 4, 20);
		rig_deliver(r, 0);
		assert_int_equal(rig_all_drops(r, 1), 1);
		assert_int_equal(rig_drops(r, 1, DROP_HELLO_DATA), 1);

		hello(r, EPOCH);
		assert_int_equal(atomic_load(&r->node[0].peer.space.next),
				 space_hello_number(EPOCH) + 1);
		rig_deliver(r, 0);
		const struct fwd_event *e = rig_next_event(r, FWD_EV_CONTROL);
		assert_true(e->hello);
		assert_int_equal(e->number, space_hello_number(EPOCH));
		fwd_event_done(s->f);
		rig_no_event(r);
		assert_int_equal(atomic_load(&s->in[0]->packets), 0);
		assert_int_equal(atomic_load(&s->in[0]->newest), 0);
		/* control has not answered yet: data of the new epoch is not believed */
		rig_seal_udp(r, 4, 20);
		rig_deliver(r, 0);
		assert_int_equal(s->written.count, 0);
		/* it has */
		assert_true(fwd_reset_window(s->f, &s->peer.space, space_hello_number(EPOCH)));
		fwd_run_commands(fwd_worker(s->f, 0), r->now);
		rig_seal_udp(r, 4, 20);
		rig_deliver(r, 0);
		assert_int_equal(s->written.count, 1);
		assert_int_equal(atomic_load(&s->in[0]->newest), space_hello_number(EPOCH) + 2);
		/* the hello again is a replay now */
		for (unsigned i = 0; i < r->node[0].sent.count; i++)
			rig_put(r, 1, &r->node[0].sent.at[i]);
		rig_receive(r, 1);
		rig_no_event(r);
		assert_int_equal(s->written.count, 2); /* the one that was early */
		rig_free(r);
	}
}

/* A hello said aside reaches control, and the sender's numbers go on as if it had not been. */
static void test_hello_aside(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	struct rig_node *t = &r->node[0], *s = &r->node[1];
	struct path *via = rig_path(r, 0, 0);
	via->remote.port = 777;
	rig_seal_udp(r, 4, 20);
	rig_deliver(r, 0);
	for (int i = 0; i < 2; i++) {
		size_t len = rig_make_udp(p, "10.9.0.5", 5000, "10.1.0.2", 434);
		assert_true(fwd_inject_aside(t->f, t->out[0], IP_PROTO_IPIP, p, len, EPOCH,
					     i ? via : NULL));
		fwd_run_commands(fwd_worker(t->f, 0), r->now);
		assert_int_equal(t->sent.at[t->sent.count - 1].dst.port, i ? 777 : 4500);
		assert_int_equal(atomic_load(&t->peer.space.next), 2 + i);
		rig_deliver(r, 0);
		const struct fwd_event *e = rig_next_event(r, FWD_EV_CONTROL);
		assert_true(e->hello);
		assert_int_equal(e->number, space_hello_number(EPOCH));
		fwd_event_done(s->f);
		rig_no_event(r);
		/* neither side has left its numbers; nor does the next command say it aside */
		assert_true(fwd_inject(t->f, t->out[0], IP_PROTO_IPIP, p, len, 0));
		fwd_run_commands(fwd_worker(t->f, 0), r->now);
		rig_deliver(r, 0);
		e = rig_next_event(r, FWD_EV_CONTROL);
		assert_false(e->hello);
		assert_int_equal(e->number, 2 + i);
		fwd_event_done(s->f);
	}
	rig_seal_udp(r, 4, 20);
	rig_deliver(r, 0);
	assert_int_equal(s->written.count, 2);
	assert_int_equal(rig_all_drops(r, 1), 0);
	assert_false(fwd_inject_aside(t->f, t->out[0], IP_PROTO_IPIP, p, 20, 0, NULL));
	assert_false(fwd_inject_aside(t->f, t->out[0], IP_PROTO_IPIP, p, 20, UINT32_MAX, NULL));
	t->out[0]->configured_keys = false;
	assert_false(fwd_inject_aside(t->f, t->out[0], IP_PROTO_IPIP, p, 20, EPOCH, NULL));
	path_free(via);
	rig_free(r);
}

/* The newest packet is counted anew in a new epoch, whose numbers may be lower. */
static void test_moved_after_hello(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	struct rig_node *s = &r->node[1];
	hello(r, 0xf0000000);
	rig_deliver(r, 0);
	fwd_event_done(s->f);
	assert_true(fwd_reset_window(s->f, &s->peer.space, space_hello_number(0xf0000000)));
	fwd_run_commands(fwd_worker(s->f, 0), r->now);
	rig_seal_udp(r, 4, 20);
	rig_deliver(r, 0);
	assert_int_equal(s->written.count, 1);
	hello(r, 5);
	rig_deliver(r, 0);
	assert_true(rig_next_event(r, FWD_EV_CONTROL)->hello);
	fwd_event_done(s->f);
	assert_true(fwd_reset_window(s->f, &s->peer.space, space_hello_number(5)));
	fwd_run_commands(fwd_worker(s->f, 0), r->now);
	rig_seal_udp(r, 4, 20)->src.port = 7;
	rig_deliver(r, 0);
	assert_int_equal(s->written.count, 2);
	rig_next_event(r, FWD_EV_MOVED);
	rig_free(r);
}

/* Not for keys that are fresh, not without ESN, and only registration messages. */
static void test_hello_refused(void **state)
{
	(void)state;
	for (int esn = 0; esn < 2; esn++) {
		struct rig_config c = {.fresh = esn, .no_esn = !esn};
		struct rig *r = rig_new(&c);
		replay_reset(&r->node[1].in[0]->space->window, 0x777, true);
		if (esn) {
			hello(r, 0x70);
		} else {
			atomic_store(&r->node[0].out[0]->space->next, 0x70);
			rig_seal_udp(r, 4, 20);
		}
		rig_deliver(r, 0);
		rig_no_event(r);
		assert_int_equal(rig_all_drops(r, 1), 1);
		assert_int_equal(rig_drops(r, 1, DROP_HELLO_DATA), 0);
		rig_free(r);
	}
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	/* a probe or data under the hello number goes nowhere */
	uint8_t bytes[ESP_PROBE_LEN];
	struct esp_probe probe = {.kind = ESP_PROBE_REQUEST, .id = 1};
	size_t len = esp_write_probe(bytes, sizeof(bytes), &probe);
	rig_receive_raw(r, IP_PROTO_NONE, bytes, len, space_hello_number(EPOCH + 9));
	assert_int_equal(rig_drops(r, 1, DROP_HELLO_DATA), 1);
	rig_no_event(r);
	rig_free(r);
}

static void put_rubbish(struct rig *r, struct rig_packet *q, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		rig_put(r, 1, q);
	rig_receive(r, 1);
	rig_list_clear(&r->node[1].inbox);
}

/* Second tries end, and begin again with the next second; first tries never do. */
static void test_hello_tries(void **state)
{
	(void)state;
	for (int primed = 0; primed < 2; primed++) {
		struct rig_config c = {0};
		struct rig *r = rig_new(&c);
		replay_clear(&r->node[1].peer.space.window);
		replay_init(&r->node[1].peer.space.window, 1024);
		if (primed)
			replay_reset(&r->node[1].peer.space.window, 0x100000777, true);
		struct rig_packet bad = {0};
		rig_seal_raw(r, 0, 0, IP_PROTO_IPIP, p, 40, 0x100000900, false, &bad);
		bad.data[bad.len - 1] ^= 1;
		for (int i = 0; i < 21; i++)
			put_rubbish(r, &bad, 1000);
		assert_int_equal(rig_drops(r, 1, DROP_NOT_AUTHENTIC), 21000);
		hello(r, EPOCH);
		rig_deliver(r, 0);
		if (primed) {
			rig_no_event(r);
			r->now += USEC_PER_SEC;
			hello(r, EPOCH);
			rig_deliver(r, 0);
		}
		assert_true(rig_next_event(r, FWD_EV_CONTROL)->hello);
		fwd_event_done(r->node[1].f);
		rig_no_event(r);
		rig_free(r);
	}
}

/* A terminal that sends on, after one of the nodes lost its numbers, is heard all the same: each
 * hello reaches control while 10000 packets of data a second do not. */
static void test_hello_in_own_data(void **state)
{
	(void)state;
	for (int primed = 0; primed < 2; primed++) {
		struct rig_config c = {0};
		struct rig *r = rig_new(&c);
		struct rig_node *t = &r->node[0], *s = &r->node[1];
		replay_clear(&s->peer.space.window);
		replay_init(&s->peer.space.window, 1024);
		if (primed) /* it is the terminal that began anew */
			replay_reset(&s->peer.space.window, 0x777, true);
		atomic_store(&t->peer.space.next, space_hello_number(EPOCH) + 99);
		for (int ms = 0, hellos = 0; ms < 2200; ms++, r->now += 1000) {
			if (ms % 700 == 699)
				hello(r, EPOCH + (uint32_t)++hellos);
			uint8_t data[64];
			size_t len = rig_make_udp(data, "10.9.0.5", 5000, "10.1.0.1", 53);
			for (int i = 0; i < 10; i++)
				rig_frame(t, data, len);
			rig_run_tun(r, 0);
			rig_deliver(r, 0);
			if (ms % 700 == 699) {
				const struct fwd_event *e = rig_next_event(r, FWD_EV_CONTROL);
				assert_int_equal(e->number,
						 space_hello_number(EPOCH + (uint32_t)hellos));
				fwd_event_done(s->f);
			}
			rig_no_event(r);
			rig_clear(r);
		}
		assert_int_equal(rig_drops(r, 1, DROP_NOT_AUTHENTIC), 22000);
		assert_int_equal(rig_all_drops(r, 1), 22000);
		rig_free(r);
	}
}

/* A hello played back as often as one likes takes up no more than its share of control, and
 * nothing of the other connections'. */
static void test_hello_played_back(void **state)
{
	(void)state;
	struct rig_config c = {.sas = 2};
	struct rig *r = rig_new(&c);
	replay_reset(&r->node[1].peer.space.window, 0x777, true);
	hello(r, EPOCH);
	unsigned got = 0;
	for (int i = 0; i < 600; i++) {
		rig_put(r, 1, &r->node[0].sent.at[0]);
		rig_receive(r, 1);
		if (!fwd_event_next(r->node[1].f))
			continue;
		fwd_event_done(r->node[1].f);
		got++;
	}
	assert_int_equal(got, 500);
	assert_int_equal(rig_drops(r, 1, DROP_CONTROL_BUSY), 100);
	size_t len = rig_make_udp(p, "10.9.0.5", 5000, "10.1.0.2", 434);
	r->node[0].sent.taken = 1;
	assert_true(fwd_inject(r->node[0].f, r->node[0].out[1], IP_PROTO_IPIP, p, len, EPOCH + 1));
	fwd_run_commands(fwd_worker(r->node[0].f, 0), r->now);
	rig_deliver(r, 0);
	assert_int_equal(rig_next_event(r, FWD_EV_CONTROL)->number, space_hello_number(EPOCH + 1));
	rig_free(r);
}

/* A flood under one SPI, or the copies of n-casting, leave the other connections' tries alone. */
static void test_hello_in_flood(void **state)
{
	(void)state;
	for (int copies = 0; copies < 2; copies++) {
		struct rig_config c = {.sas = 2};
		struct rig *r = rig_new(&c);
		size_t len = rig_udp(p, 4, true, 20, 1);
		for (int i = 0; i < 300; i++)
			rig_frame(&r->node[0], p, len);
		rig_run_tun(r, 0);
		struct rig_list *sent = &r->node[0].sent;
		assert_int_equal(sent->count, 600);
		for (unsigned i = 0; i < sent->count; i += 2)
			sent->at[i].data[sent->at[i].len - 1] ^= !copies;
		for (unsigned i = 0; i < 1200; i++)
			if ((i & 1) == i / 600) /* one connection after the other */
				rig_put(r, 1, &sent->at[i % 600]);
		sent->taken = sent->count;
		rig_receive(r, 1);
		assert_int_equal(rig_all_drops(r, 1), 300);
		assert_int_equal(rig_counters(r, 1).duplicates, copies ? 300 : 0);
		len = rig_make_udp(p, "10.9.0.5", 5000, "10.1.0.2", 434);
		assert_true(
		    fwd_inject(r->node[0].f, r->node[0].out[1], IP_PROTO_IPIP, p, len, EPOCH));
		fwd_run_commands(fwd_worker(r->node[0].f, 0), r->now);
		rig_deliver(r, 0);
		assert_true(rig_next_event(r, FWD_EV_CONTROL)->hello);
		rig_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_registration),
	    cmocka_unit_test(test_probe),
	    cmocka_unit_test(test_control_busy),
	    cmocka_unit_test(test_moved),
	    cmocka_unit_test(test_copies_heard),
	    cmocka_unit_test(test_copies_moved),
	    cmocka_unit_test(test_hello),
	    cmocka_unit_test(test_hello_aside),
	    cmocka_unit_test(test_moved_after_hello),
	    cmocka_unit_test(test_hello_refused),
	    cmocka_unit_test(test_hello_tries),
	    cmocka_unit_test(test_hello_in_own_data),
	    cmocka_unit_test(test_hello_played_back),
	    cmocka_unit_test(test_hello_in_flood),
	};
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
