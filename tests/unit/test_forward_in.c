/* SPDX-License-Identifier: MIT */
/* The inbound path's rules: hostile datagrams, inner packets, policy, batches, retirement. */
#include <pthread.h>
#include <sched.h>
#include "fwd_rig.h"

static uint8_t p[FWD_BUFFER_LEN];

/* --- hostile datagrams */

enum spoil {
	FLIP_ICV,
	FLIP_PAYLOAD,
	FLIP_IV,
	FLIP_SEQ,
	FLIP_SPI,
	TRUNCATE,
	EXTEND,
	SPOILS,
};

static enum drop_reason spoil(struct rig_packet *q, enum spoil how)
{
	switch (how) {
	case FLIP_ICV:
		q->data[q->len - 1] ^= 1;
		return DROP_NOT_AUTHENTIC;
	case FLIP_PAYLOAD:
		q->data[q->len / 2] ^= 0x80;
		return DROP_NOT_AUTHENTIC;
	case FLIP_IV:
		q->data[8] ^= 1;
		return DROP_NOT_AUTHENTIC;
	case FLIP_SEQ:
		q->data[7] ^= 0x20;
		return DROP_NOT_AUTHENTIC;
	case FLIP_SPI:
		q->data[0] ^= 0x40;
		return DROP_UNKNOWN_SPI;
	case TRUNCATE:
		q->len -= 16;
		return DROP_NOT_AUTHENTIC;
	case EXTEND:
		q->data = realloc(q->data, q->len + 16);
		memset(q->data + q->len, 7, 16);
		q->len += 16;
		return DROP_NOT_AUTHENTIC;
	case SPOILS:
		break;
	}
	return DROP_COUNT;
}

static void test_hostile(void **state)
{
	(void)state;
	static const char *const suites[][2] = {
	    {"aes128-cbc", "hmac-sha-256-128"}, {"null", "hmac-sha-1-96"}, {"aes128-gcm", NULL}};
	for (size_t s = 0; s < ARRAY_LEN(suites); s++) {
		struct rig_config c = {
		    .encr = suites[s][0], .integ = suites[s][1], .fresh = !suites[s][1]};
		for (enum spoil how = 0; how < SPOILS; how++) {
			struct rig *r = rig_new(&c);
			if (!c.fresh && how == FLIP_IV && s == 1) {
				rig_free(r);
				continue; /* NULL has none */
			}
			struct rig_packet *q = rig_seal_udp(r, 4, 100);
			enum drop_reason want = spoil(q, how);
			rig_deliver(r, 0);
			assert_int_equal(rig_drops(r, 1, want), 1);
			assert_int_equal(rig_all_drops(r, 1), 1);
			assert_int_equal(r->node[1].written.count, 0);
			assert_int_equal(atomic_load(&r->node[1].in[0]->packets), 0);
			rig_no_event(r);
			/* and goes on */
			rig_seal_udp(r, 6, 100);
			rig_deliver(r, 0);
			assert_int_equal(r->node[1].written.count, 1);
			rig_free(r);
		}
	}
}

static void test_every_truncation(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	struct rig_packet *q = rig_seal_udp(r, 4, 20);
	uint32_t len = q->len;
	for (uint32_t n = 0; n < len; n++) {
		q->len = n;
		rig_put(r, 1, q);
	}
	rig_receive(r, 1);
	assert_int_equal(rig_all_drops(r, 1), len);
	assert_true(rig_drops(r, 1, DROP_RUNT) > 0);
	assert_true(rig_drops(r, 1, DROP_NOT_AUTHENTIC) > 0);
	q->len = len;
	rig_put(r, 1, q);
	rig_receive(r, 1);
	assert_int_equal(r->node[1].written.count, 1);
	rig_free(r);
}

static void test_replayed(void **state)
{
	(void)state;
	for (int bits = 0; bits < 4; bits++) {
		struct rig_config c = {.no_esn = bits & 1, .fresh = bits & 2, .replay = 64};
		struct rig *r = rig_new(&c);
		struct rig_packet *q = rig_seal_udp(r, 4, 20);
		/* twice in one batch, then again */
		rig_put(r, 1, q);
		rig_put(r, 1, q);
		rig_receive(r, 1);
		rig_put(r, 1, q);
		rig_receive(r, 1);
		assert_int_equal(r->node[1].written.count, 1);
		assert_int_equal(rig_drops(r, 1, DROP_REPLAYED), 2);
		assert_int_equal(rig_counters(r, 1).duplicates, c.no_esn ? 0 : 2);
		for (int i = 0; i < 300; i++)
			rig_seal_udp(r, 4, 20);
		q = &r->node[0].sent.at[0];
		r->node[0].sent.taken = 1;
		rig_deliver(r, 0);
		assert_int_equal(r->node[1].written.count, 301);
		rig_put(r, 1, q);
		rig_receive(r, 1);
		/* far behind: with ESN its number is taken for one of the next round */
		assert_int_equal(
		    rig_drops(r, 1, DROP_TOO_OLD) + rig_drops(r, 1, DROP_NOT_AUTHENTIC), 1);
		assert_int_equal(r->node[1].written.count, 301);
		rig_free(r);
	}
}

static void test_wrong_form(void **state)
{
	(void)state;
	for (int native = 0; native < 2; native++) {
		struct rig_config c = {.native = native};
		struct rig *r = rig_new(&c);
		rig_put(r, 1, rig_seal_udp(r, 4, 20));
		assert_int_equal(
		    fwd_run_sock(fwd_worker(r->node[1].f, 0), RIG_SOCK, native, r->now), 1);
		assert_int_equal(rig_drops(r, 1, DROP_WRONG_FORM), 1);
		assert_int_equal(rig_all_drops(r, 1), 1);
		rig_free(r);
	}
}

static void test_datagram_kinds(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	static const struct {
		const char *bytes;
		uint32_t len;
		enum drop_reason want;
	} rows[] = {
	    {"\xff", 1, DROP_COUNT},
	    {"\0\0\0\0IKE message of some length......", 36, DROP_IKE_CLOSED},
	    {"", 0, DROP_RUNT},
	    {"\x01", 1, DROP_RUNT},
	    {"\x01\x02\x03\x04\x05\x06\x07", 7, DROP_RUNT},
	    {"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x10\x11\x12", 12, DROP_UNKNOWN_SPI},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t before = rows[i].want < DROP_COUNT ? rig_drops(r, 1, rows[i].want)
							    : rig_counters(r, 1).keepalives;
		struct rig_packet q = {.data = (uint8_t *)(uintptr_t)rows[i].bytes,
				       .len = rows[i].len};
		rig_put(r, 1, &q);
		rig_receive(r, 1);
		uint64_t after = rows[i].want < DROP_COUNT ? rig_drops(r, 1, rows[i].want)
							   : rig_counters(r, 1).keepalives;
		assert_int_equal(after, before + 1);
	}
	assert_int_equal(rig_all_drops(r, 1), 5);
	rig_free(r);
}

/* --- what is inside */

static void test_inner(void **state)
{
	(void)state;
	static const struct {
		int to;
		const char *src, *dst;
		uint8_t next_header;
		enum drop_reason want; /* DROP_COUNT: accepted */
	} rows[] = {
	    {1, "10.9.0.7", "10.1.0.1", 4, DROP_COUNT},
	    {1, "fd09::7", "fd01::1", 41, DROP_COUNT},
	    {1, "10.9.1.7", "10.1.0.1", 4, DROP_INNER_SOURCE},
	    {1, "10.1.0.1", "10.9.0.5", 4, DROP_INNER_SOURCE},
	    {1, "fd0a::7", "fd01::1", 41, DROP_INNER_SOURCE},
	    {1, "10.9.0.7", "10.1.0.1", 41, DROP_BAD_INNER},
	    {1, "fd09::7", "fd01::1", 4, DROP_BAD_INNER},
	    {1, "10.9.0.7", "10.1.0.1", 17, DROP_BAD_INNER},
	    {1, "10.9.0.7", "10.1.0.1", 59, DROP_DUMMY},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig_config c = {0};
		struct rig *r = rig_new(&c);
		size_t len = rig_make_udp(p, rows[i].src, 1, rows[i].dst, 2);
		rig_receive_raw(r, rows[i].next_header, p, len, 1);
		if (rows[i].want == DROP_COUNT) {
			assert_int_equal(r->node[1].written.count, 1);
			assert_int_equal(rig_all_drops(r, 1), 0);
		} else {
			assert_int_equal(rig_drops(r, 1, rows[i].want), 1);
			assert_int_equal(rig_all_drops(r, 1), 1);
			assert_int_equal(r->node[1].written.count, 0);
			/* authentic all the same: heard, and its number is spent */
			assert_int_equal(atomic_load(&r->node[1].in[0]->newest), 1);
			assert_int_equal(atomic_load(&r->node[1].in[0]->last_us), r->now);
			assert_int_equal(atomic_load(&r->node[1].in[0]->first_us), 0);
		}
		rig_no_event(r);
		rig_free(r);
	}
}

/* A terminal takes from its home server what is for it, whoever it is from. */
static void test_inner_destination(void **state)
{
	(void)state;
	static const struct {
		const char *src, *dst;
		bool ok;
	} rows[] = {
	    {"8.8.8.8", "10.9.0.5", true},  {"2001:db8::9", "fd09::77", true},
	    {"8.8.8.8", "10.8.0.5", false}, {"10.1.0.1", "224.0.0.1", false},
	    {"fd01::1", "ff02::1", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig_config c = {0};
		struct rig *r = rig_new(&c);
		size_t len = rig_make_udp(p, rows[i].src, 1, rows[i].dst, 2);
		struct rig_packet raw;
		rig_seal_raw(r, 1, 0, p[0] >> 4 == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6, p, len, 1,
			     false, &raw);
		rig_put(r, 0, &raw);
		rig_receive(r, 0);
		assert_int_equal(r->node[0].written.count, rows[i].ok);
		assert_int_equal(rig_drops(r, 0, DROP_INNER_DESTINATION), !rows[i].ok);
		rig_free(r);
	}
}

static void test_malformed_inside(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	struct rig_packet raw;
	uint64_t number = 1;
	size_t len = rig_make_udp(p, "10.9.0.7", 1, "10.1.0.1", 2);
	for (size_t n = 0; n < len; n++)
		rig_receive_raw(r, IP_PROTO_IPIP, p, n, number++);
	assert_int_equal(rig_drops(r, 1, DROP_BAD_INNER), len);
	rig_seal_raw(r, 0, 0, IP_PROTO_IPIP, p, len, number++, true, &raw);
	rig_put(r, 1, &raw);
	rig_receive(r, 1);
	assert_int_equal(rig_drops(r, 1, DROP_BAD_TRAILER), 1);
	assert_int_equal(r->node[1].written.count, 0);
	/* bytes behind the packet are traffic flow confidentiality (RFC 4303 2.7) */
	rig_receive_raw(r, IP_PROTO_IPIP, p, len + 40, number++);
	assert_int_equal(r->node[1].written.count, 1);
	assert_int_equal(r->node[1].written.at[0].len, len);
	rig_free(r);
}

static void test_strict(void **state)
{
	(void)state;
	for (int strict = 0; strict < 2; strict++) {
		struct rig_config c = {.strict = strict};
		struct rig *r = rig_new(&c);
		atomic_store(&r->node[1].in[0]->active, false);
		rig_seal_udp(r, 4, 20);
		rig_deliver(r, 0);
		assert_int_equal(rig_drops(r, 1, DROP_NOT_ACTIVE), strict);
		assert_int_equal(r->node[1].written.count, !strict);
		rig_next_event(r, FWD_EV_DATA); /* control counts it */
		fwd_event_done(r->node[1].f);
		/* a registration passes */
		size_t len = rig_make_udp(p, "10.9.0.5", 5000, "10.1.0.2", 434);
		rig_receive_raw(r, IP_PROTO_IPIP, p, len, 9);
		rig_next_event(r, FWD_EV_CONTROL);
		fwd_event_done(r->node[1].f);
		r->now += USEC_PER_SEC;
		rig_receive_raw(r, IP_PROTO_IPIP, p, rig_make_udp(p, "10.9.0.5", 1, "10.1.0.2", 2),
				11);
		assert_int_equal(rig_drops(r, 1, DROP_NOT_ACTIVE), strict * 2);
		assert_int_equal(r->node[1].written.count, strict ? 0 : 2);
		atomic_store(&r->node[1].in[0]->active, true);
		rig_receive_raw(r, IP_PROTO_IPIP, p, rig_make_udp(p, "10.9.0.5", 1, "10.1.0.2", 2),
				10);
		assert_int_equal(r->node[1].written.count, strict ? 1 : 3);
		rig_free(r);
	}
}

/* Data right behind a registration does not wait for control, but for no longer than it takes;
 * and the rest of its checks stay. */
static void test_strict_asked(void **state)
{
	(void)state;
	static const struct {
		const char *src; /* of the data */
		usec_t after_us;
		uint16_t asked; /* port of the request */
		bool hello, ok;
	} rows[] = {
	    {"10.9.0.5", 0, 434, false, true},	    {"10.9.0.5", 50000, 434, false, true},
	    {"10.9.0.5", 50001, 434, false, false}, {"10.9.1.5", 0, 434, false, false},
	    {"10.9.0.5", 0, 435, false, false},	    {"10.9.0.5", 0, 434, true, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig_config c = {.strict = true, .sas = 2};
		struct rig *r = rig_new(&c);
		struct rig_list *out = &r->node[1].written;
		struct rig_packet raw;
		atomic_store(&r->node[1].in[0]->active, false);
		atomic_store(&r->node[1].in[1]->active, false);
		size_t len = rig_make_udp(p, "10.9.0.5", 5000, "10.1.0.2", rows[i].asked);
		uint64_t number = rows[i].hello ? space_hello_number(7) : 7;
		rig_seal_raw(r, 0, 0, IP_PROTO_IPIP, p, len, number, false, &raw);
		rig_put(r, 1, &raw);
		if (rows[i].after_us)
			rig_receive(r, 1);
		r->now += rows[i].after_us;
		for (unsigned sa = 0; sa < 2; sa++) {
			len = rig_make_udp(p, rows[i].src, 1, "10.1.0.1", 2);
			rig_seal_raw(r, 0, sa, IP_PROTO_IPIP, p, len, 8 + sa, false, &raw);
			rig_put(r, 1, &raw);
		}
		rig_receive(r, 1);
		assert_int_equal(out->count, rows[i].ok);
		if (!strcmp(rows[i].src, "10.9.0.5"))
			assert_int_equal(rig_drops(r, 1, DROP_NOT_ACTIVE),
					 1 + !rows[i].ok + (rows[i].asked == 435));
		/* it stays over once it is */
		r->now += USEC_PER_SEC;
		rig_receive_raw(r, IP_PROTO_IPIP, p, len, 20);
		assert_int_equal(out->count, rows[i].ok);
		/* What is not the terminal's does not come so far. */
		if (!strcmp(rows[i].src, "10.9.0.5"))
			assert_int_equal(r->node[1].in[0]->asked_us, 0);
		rig_free(r);
	}
}

/* N-casting: what was refused is not received.  The copy on the active connection is. */
static void test_strict_copies(void **state)
{
	(void)state;
	for (int asked = 0; asked < 2; asked++) {
		struct rig_config c = {.strict = true, .sas = 2};
		struct rig *r = rig_new(&c);
		struct rig_packet raw;
		struct sa *passive = r->node[1].in[0];
		atomic_store(&passive->active, false);
		size_t len = rig_make_udp(p, "10.9.0.5", 1, "10.1.0.1", asked ? 434 : 2);
		for (int again = 0; again < 2; again++) {
			rig_seal_raw(r, 0, 0, IP_PROTO_IPIP, p, len, 5, false, &raw);
			rig_put(r, 1, &raw);
			rig_receive(r, 1);
		}
		assert_int_equal(rig_drops(r, 1, DROP_NOT_ACTIVE), 2);
		/* heard once: the second is a replay */
		assert_int_equal(atomic_load(&passive->packets), 1);
		rig_seal_raw(r, 0, 1, IP_PROTO_IPIP, p, len, 5, false, &raw);
		rig_put(r, 1, &raw);
		rig_receive(r, 1);
		assert_int_equal(r->node[1].written.count, 1);
		/* and now it is received, on whichever */
		atomic_store(&passive->active, true);
		rig_seal_raw(r, 0, 0, IP_PROTO_IPIP, p, len, 5, false, &raw);
		rig_put(r, 1, &raw);
		rig_receive(r, 1);
		assert_int_equal(r->node[1].written.count, 1);
		assert_int_equal(rig_drops(r, 1, DROP_REPLAYED), 1);
		rig_free(r);
	}
}

static void test_ecn(void **state)
{
	(void)state;
	static const struct {
		uint8_t inner, outer;
		int want; /* negative: dropped */
	} rows[] = {{0, 0, 0}, {2, 2, 2}, {2, 3, 3}, {1, 3, 3}, {3, 0, 3}, {0, 3, -1}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig_config c = {0};
		struct rig *r = rig_new(&c);
		size_t len = rig_udp(p, 4, true, 20, 1);
		p[1] = rows[i].inner;
		ip4_set_checksum(p);
		rig_frame(&r->node[0], p, len);
		rig_run_tun(r, 0);
		assert_int_equal(r->node[0].sent.at[0].tos, rows[i].inner);
		r->node[0].sent.at[0].tos = rows[i].outer;
		rig_deliver(r, 0);
		assert_int_equal(rig_drops(r, 1, DROP_ECN), rows[i].want < 0);
		if (rows[i].want >= 0) {
			assert_int_equal(r->node[1].written.at[0].data[1], rows[i].want);
			assert_true(rig_sound(r->node[1].written.at[0].data, len));
		}
		rig_free(r);
	}
}

/* --- batches */

/* UDP_GRO: one datagram of many packets, the last shorter; bad ones between good ones. */
static void test_gro(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	for (int i = 0; i < 40; i++) {
		size_t len = rig_udp(p, 4, true, i == 39 ? 20 : 100, (uint32_t)i);
		rig_frame(&r->node[0], p, len);
	}
	/* two batches of the TUN: two sends */
	rig_run_tun(r, 0);
	assert_int_equal(r->node[0].sent.count, 2);
	struct rig_packet *q = &r->node[0].sent.at[1];
	q->data[2 * q->gso_size + 30] ^= 1;
	q->data[4 * q->gso_size] ^= 1;
	rig_deliver(r, 0);
	assert_int_equal(r->node[1].written.count, 38);
	assert_int_equal(rig_drops(r, 1, DROP_NOT_AUTHENTIC), 1);
	assert_int_equal(rig_drops(r, 1, DROP_UNKNOWN_SPI), 1);
	assert_int_equal(rig_counters(r, 1).in_recvs, 2);
	/* tiny pieces: more packets than one burst holds */
	struct rig_packet tiny = {.data = p, .len = 60000, .gso_size = 12};
	memset(p, 9, 60000);
	rig_put(r, 1, &tiny);
	rig_receive(r, 1);
	assert_int_equal(rig_drops(r, 1, DROP_UNKNOWN_SPI), 5001);
	rig_free(r);
}

static void test_tun_full(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	for (int i = 0; i < 10; i++)
		rig_seal_udp(r, 4, 20);
	r->node[1].write_room = 7;
	rig_deliver(r, 0);
	assert_int_equal(r->node[1].written.count, 7);
	assert_int_equal(rig_drops(r, 1, DROP_TUN_FAILED), 3);
	assert_int_equal(rig_counters(r, 1).tun_writes, 7);
	rig_free(r);
}

/* --- retirement while packets flow */

struct runner {
	struct rig *r;
	_Atomic bool stop;
	_Atomic unsigned long rounds;
};

static void *run_packets(void *arg)
{
	struct runner *c = arg;
	static uint8_t packet[FWD_BUFFER_LEN];
	rcu_register_thread();
	while (!atomic_load(&c->stop)) {
		size_t len = rig_udp(packet, 4, true, 50, 1);
		for (int i = 0; i < 8; i++)
			rig_frame(&c->r->node[0], packet, len);
		rig_run_tun(c->r, 0);
		rig_deliver(c->r, 0);
		fwd_run_commands(fwd_worker(c->r->node[0].f, 0), c->r->now);
		fwd_run_commands(fwd_worker(c->r->node[1].f, 0), c->r->now);
		rig_clear(c->r);
		rcu_quiescent_state();
		atomic_fetch_add(&c->rounds, 1);
	}
	rcu_unregister_thread();
	return NULL;
}

static void test_retire(void **state)
{
	(void)state;
	struct rig_config c = {.sas = 2};
	struct rig *r = rig_new(&c);
	struct runner run = {.r = r};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, run_packets, &run), 0);
	rcu_thread_offline();
	for (int i = 0; i < 60; i++) {
		unsigned long at = atomic_load(&run.rounds);
		while (atomic_load(&run.rounds) < at + 2)
			sched_yield();
		/* the second connection goes and another comes under the same SPIs */
		struct rig_node *t = &r->node[0], *s = &r->node[1];
		struct sa *out = t->out[1], *in = s->in[1];
		rig_route(t, "0.0.0.0/0", 1);
		rig_route(t, "::/0", 1);
		size_t len = rig_udp(p, 4, true, 20, 1);
		(void)fwd_inject(t->f, out, IP_PROTO_IPIP, p, len, 0);
		fwd_retire(t->f, out);
		sadb_remove(s->db, in);
		fwd_retire(s->f, in);
		t->out[1] = rig_sa(r, 0, 0, 1);
		sa_set_path(t->out[1], rig_path(r, 0, 1));
		s->in[1] = rig_sa(r, 1, 0, 1);
		assert_int_equal(sadb_add(s->db, s->in[1]), 0);
		rig_route(t, "0.0.0.0/0", 2);
		rig_route(t, "::/0", 2);
	}
	atomic_store(&run.stop, true);
	pthread_join(thread, NULL);
	rcu_thread_online();
	struct fwd_counters s = rig_counters(r, 1);
	assert_int_equal(rig_all_drops(r, 0), 0);
	assert_int_equal(s.in_packets, rig_counters(r, 0).out_packets);
	assert_int_equal(s.drops[DROP_NOT_AUTHENTIC], 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hostile),
	    cmocka_unit_test(test_every_truncation),
	    cmocka_unit_test(test_replayed),
	    cmocka_unit_test(test_wrong_form),
	    cmocka_unit_test(test_datagram_kinds),
	    cmocka_unit_test(test_inner),
	    cmocka_unit_test(test_inner_destination),
	    cmocka_unit_test(test_malformed_inside),
	    cmocka_unit_test(test_strict),
	    cmocka_unit_test(test_strict_asked),
	    cmocka_unit_test(test_strict_copies),
	    cmocka_unit_test(test_ecn),
	    cmocka_unit_test(test_gro),
	    cmocka_unit_test(test_tun_full),
	    cmocka_unit_test(test_retire),
	};
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
