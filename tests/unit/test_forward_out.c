/* SPDX-License-Identifier: MIT */
/* The outbound path's rules: sizes, outer header, numbers, lifetimes, errors, commands. */
#include "fwd_rig.h"

static uint8_t p[FWD_BUFFER_LEN];

static void send_udp(struct rig *r, int version, size_t payload_len)
{
	size_t len = rig_udp(p, version, true, payload_len, 1);
	rig_frame(&r->node[0], p, len);
	rig_run_tun(r, 0);
}

static const struct fwd_event *next_event(struct rig *r, int node, enum fwd_event_kind kind)
{
	const struct fwd_event *e = fwd_event_next(r->node[node].f);
	assert_non_null(e);
	assert_int_equal(e->kind, kind);
	return e;
}

/* --- sizes */

static void test_too_big(void **state)
{
	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		struct rig_config c = {0};
		struct rig *r = rig_new(&c);
		uint32_t mtu = sa_inner_mtu(r->node[0].out[0], 1500 - 28);
		size_t head = version == 4 ? 28 : 48;
		send_udp(r, version, mtu - head);
		assert_int_equal(r->node[0].sent.count, 1);
		assert_true(r->node[0].sent.at[0].len + 28 <= 1500);
		send_udp(r, version, mtu - head + 1);
		assert_int_equal(r->node[0].sent.count, 1);
		assert_int_equal(rig_drops(r, 0, DROP_TOO_BIG), 1);
		assert_int_equal(r->node[0].written.count, 1);
		const struct rig_packet *w = &r->node[0].written.at[0];
		struct ip_info info;
		assert_true(ip_parse(w->data, w->len, &info));
		assert_int_equal(w->vh.flags, 0);
		struct addr src = rig_addr(version == 4 ? "10.1.0.254" : "fd01::fe");
		struct addr dst = rig_addr(rig_inside(version, true));
		assert_true(addr_equal(&info.src, &src));
		assert_true(addr_equal(&info.dst, &dst));
		const uint8_t *icmp = w->data + info.l4_off;
		assert_int_equal(icmp[0], version == 4 ? 3 : 2);
		assert_int_equal(icmp[1], version == 4 ? 4 : 0);
		assert_int_equal(icmp[6] << 8 | icmp[7], mtu);
		rig_free(r);
	}
}

/* The messages are limited; the drops are all counted. */
static void test_too_big_limit(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	for (int i = 0; i < 1200; i++)
		send_udp(r, 4, 2000);
	assert_int_equal(rig_drops(r, 0, DROP_TOO_BIG), 1200);
	assert_int_equal(r->node[0].written.count, 1000);
	r->now += USEC_PER_SEC;
	send_udp(r, 4, 2000);
	assert_int_equal(r->node[0].written.count, 1001);
	rig_free(r);
}

static void test_fragments(void **state)
{
	(void)state;
	static uint8_t payload[8000];
	static const size_t sizes[] = {1500, 3000, 7000};
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct rig_config c = {.sas = 2};
		struct rig *r = rig_new(&c);
		size_t len = rig_udp(p, 4, true, sizes[i], 9);
		p[6] = 0; /* no DF */
		ip4_set_checksum(p);
		rig_frame(&r->node[0], p, len);
		rig_run_tun(r, 0);
		rig_deliver(r, 0);
		assert_int_equal(rig_drops(r, 0, DROP_TOO_BIG), 0);
		const struct rig_list *w = &r->node[1].written;
		assert_true(w->count > 1);
		assert_int_equal(rig_counters(r, 1).duplicates, w->count);
		size_t got = 0;
		for (unsigned n = 0; n < w->count; n++) {
			const uint8_t *d = w->at[n].data;
			size_t off = (size_t)((d[6] & 0x1f) << 8 | d[7]) * 8;
			assert_true(ip4_checksum_ok(d, w->at[n].len));
			assert_true(off + w->at[n].len - 20 <= sizeof(payload));
			memcpy(payload + off, d + 20, w->at[n].len - 20);
			got += w->at[n].len - 20;
		}
		assert_int_equal(got, len - 20);
		assert_memory_equal(payload, p + 20, got);
		rig_free(r);
	}
}

/* IPv6 cannot be told less than 1280: the outside is cut instead. */
static void test_narrow_ipv6(void **state)
{
	(void)state;
	struct rig_config c = {.mtu = 1280};
	struct rig *r = rig_new(&c);
	size_t len = rig_udp(p, 6, true, 1280 - 48, 1);
	rig_frame(&r->node[0], p, len);
	rig_frame(&r->node[0], p, len);
	rig_run_tun(r, 0);
	send_udp(r, 6, 1281 - 48);
	send_udp(r, 6, 100);
	const struct rig_list *sent = &r->node[0].sent;
	assert_int_equal(sent->count, 3);
	assert_false(sent->at[0].df);
	assert_int_equal(sent->at[0].gso_size, 0);
	assert_true(sent->at[2].df);
	assert_int_equal(rig_drops(r, 0, DROP_TOO_BIG), 1);
	const struct rig_packet *w = &r->node[0].written.at[0];
	assert_int_equal(w->data[40 + 6] << 8 | w->data[40 + 7], 1280);
	rig_deliver(r, 0);
	assert_int_equal(r->node[1].written.count, 3);
	rig_free(r);
}

static void test_mss_clamp(void **state)
{
	static const uint8_t mss[4] = {2, 4, 0x05, 0xb4}; /* 1460 */
	(void)state;
	for (int bits = 0; bits < 8; bits++) {
		struct rig_config c = {0};
		struct rig *r = rig_new(&c);
		int version = bits & 1 ? 6 : 4;
		bool partial = bits & 2, inbound = bits & 4;
		struct rig_tcp t = {
		    .version = version,
		    .from_terminal = true,
		    .flags = 2,
		    .options = mss,
		    .options_len = 4,
		};
		uint32_t want = sa_inner_mtu(r->node[0].out[0], 1472);
		if (inbound) {
			want = 1111;
			atomic_store(&r->node[1].peer.clamp_mtu, (uint16_t)want);
		}
		size_t len = rig_tcp(p, &t);
		struct rig_packet *frame = rig_frame(&r->node[0], p, len);
		if (partial)
			frame->vh = rig_gso(frame->data, len, 0);
		rig_run_tun(r, 0);
		rig_deliver(r, 0);
		assert_int_equal(r->node[1].written.count, 1);
		const struct rig_packet *w = &r->node[1].written.at[0];
		size_t head = version == 4 ? 20 : 40;
		assert_true(rig_sound(w->data, w->len));
		assert_int_equal(w->data[head + 22] << 8 | w->data[head + 23], want - head - 20);
		rig_free(r);
	}
}

/* Only whole headers of SYNs have a size to be lowered; the rest passes byte for byte. */
static void test_mss_left_alone(void **state)
{
	static const uint8_t mss[4] = {2, 4, 0x05, 0xb4};
	static const struct {
		uint8_t flags;
		uint16_t fragment; /* flags and offset */
		uint16_t tcp_len;
		bool lowered;
	} rows[] = {
	    {0x02, 0, 24, true},      {0x12, 0, 24, true},  {0x10, 0, 24, false},
	    {0x02, 0x2000, 24, true}, {0x02, 3, 24, false}, {0x02, 0x2003, 24, false},
	    {0x02, 0, 14, false},     {0x02, 0, 13, false}, {0x02, 0, 0, false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig_config c = {0};
		struct rig *r = rig_new(&c);
		struct rig_tcp t = {.version = 4,
				    .from_terminal = true,
				    .flags = rows[i].flags,
				    .options = mss,
				    .options_len = 4};
		rig_tcp(p, &t);
		rig_put16(p + 2, 20u + rows[i].tcp_len);
		rig_put16(p + 6, rows[i].fragment);
		ip4_set_checksum(p);
		rig_frame(&r->node[0], p, 20u + rows[i].tcp_len);
		atomic_store(&r->node[1].peer.clamp_mtu, 1111);
		rig_run_tun(r, 0);
		rig_deliver(r, 0);
		assert_int_equal(r->node[1].written.count, 1);
		const struct rig_packet *w = &r->node[1].written.at[0];
		assert_int_equal(w->len, 20u + rows[i].tcp_len);
		if (rows[i].lowered)
			assert_int_equal(w->data[42] << 8 | w->data[43], 1111 - 40);
		else
			assert_memory_equal(w->data, p, w->len);
		rig_free(r);
	}
}

/* --- the outer header */

static void test_df(void **state)
{
	static const struct {
		enum fwd_df df;
		int version;
		bool inner_df, want;
	} rows[] = {
	    {FWD_DF_COPY, 4, true, true},   {FWD_DF_COPY, 4, false, false},
	    {FWD_DF_COPY, 6, true, true},   {FWD_DF_SET, 4, false, true},
	    {FWD_DF_CLEAR, 4, true, false}, {FWD_DF_CLEAR, 6, true, false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig_config c = {.df = rows[i].df};
		struct rig *r = rig_new(&c);
		size_t len = rig_udp(p, rows[i].version, true, 10, 1);
		if (rows[i].version == 4) {
			p[6] = rows[i].inner_df ? 0x40 : 0;
			ip4_set_checksum(p);
		}
		rig_frame(&r->node[0], p, len);
		rig_run_tun(r, 0);
		assert_int_equal(r->node[0].sent.at[0].df, rows[i].want);
		rig_free(r);
	}
}

static void test_tos(void **state)
{
	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		struct rig_config c = {0};
		struct rig *r = rig_new(&c);
		for (unsigned tos = 0; tos < 256; tos++) {
			size_t len = rig_udp(p, version, true, 10, 1);
			if (version == 4) {
				p[1] = (uint8_t)tos;
				ip4_set_checksum(p);
			} else {
				p[0] = (uint8_t)(0x60 | tos >> 4);
				p[1] = (uint8_t)(tos << 4);
			}
			rig_frame(&r->node[0], p, len);
		}
		rig_run_tun(r, 0);
		assert_int_equal(r->node[0].sent.count, 256);
		for (unsigned tos = 0; tos < 256; tos++)
			assert_int_equal(r->node[0].sent.at[tos].tos, tos);
		rig_free(r);
	}
}

/* --- what cannot be sent */

static void test_drops(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	struct rig_node *t = &r->node[0];

	rig_frame(t, "\x99rubbish", 8);
	rig_frame(t, "", 0);
	rig_run_tun(r, 0);
	assert_int_equal(rig_drops(r, 0, DROP_BAD_FRAME), 2);
	size_t len = rig_udp(p, 4, true, 100, 1);
	rig_frame(t, p, len)->vh = (struct virtio_net_hdr){.gso_type = 77, .gso_size = 10};
	rig_frame(t, p, len)->vh = (struct virtio_net_hdr){.flags = 1, .csum_start = 60000};
	rig_run_tun(r, 0);
	assert_int_equal(rig_drops(r, 0, DROP_BAD_FRAME), 4);

	sa_set_path(t->out[0], NULL);
	send_udp(r, 4, 10);
	assert_int_equal(rig_drops(r, 0, DROP_NO_PATH), 1);
	sa_set_path(t->out[0], rig_path(r, 0, 0));
	atomic_store(&t->out[0]->dead, true);
	send_udp(r, 4, 10);
	assert_int_equal(rig_drops(r, 0, DROP_SA_DEAD), 1);
	atomic_store(&t->out[0]->dead, false);
	rig_route(t, "0.0.0.0/0", 0);
	send_udp(r, 4, 10);
	assert_int_equal(rig_drops(r, 0, DROP_NO_BINDING), 1);
	struct prefix any = rig_prefix("0.0.0.0/0");
	assert_int_equal(fwd_route_set(t->f, &any, active_new(0)), 0);
	send_udp(r, 4, 10);
	assert_int_equal(rig_drops(r, 0, DROP_NO_BINDING), 2);
	assert_int_equal(t->sent.count, 0);
	send_udp(r, 6, 10);
	assert_int_equal(t->sent.count, 1);
	/* what is for the link alone, in spite of a default route */
	static const char *const local[] = {"ff02::1", "fe80::1", "ff0e::1"};
	for (size_t i = 0; i < ARRAY_LEN(local); i++) {
		struct endpoint src = {rig_addr("fd09::5"), 1}, dst = {rig_addr(local[i]), 2};
		rig_frame(t, p, ip_write_udp(p, sizeof(p), &src, &dst, "x", 1));
	}
	rig_run_tun(r, 0);
	assert_int_equal(rig_drops(r, 0, DROP_NO_BINDING), 5);
	assert_int_equal(t->sent.count, 1);
	rig_free(r);
}

static void test_send_errors(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	struct rig_node *t = &r->node[0];

	t->send_error = ENETUNREACH;
	send_udp(r, 4, 10);
	assert_int_equal(rig_drops(r, 0, DROP_SEND_FAILED), 1);
	assert_null(fwd_event_next(t->f));

	t->send_error = EMSGSIZE;
	t->send_mtu = 1400;
	for (int i = 0; i < 10; i++)
		send_udp(r, 4, 1000);
	const struct fwd_event *e = next_event(r, 0, FWD_EV_PATH_MTU);
	assert_int_equal(e->mtu, 1400);
	assert_int_equal(e->spi, t->out[0]->spi);
	assert_true(e->outbound);
	assert_int_equal(t->events, 1);
	fwd_event_done(t->f);
	assert_null(fwd_event_next(t->f));
	t->send_mtu = 1300; /* another: told at once */
	send_udp(r, 4, 1000);
	assert_int_equal(next_event(r, 0, FWD_EV_PATH_MTU)->mtu, 1300);
	fwd_event_done(t->f);
	r->now += USEC_PER_SEC; /* the same: told again after a while */
	send_udp(r, 4, 1000);
	assert_int_equal(next_event(r, 0, FWD_EV_PATH_MTU)->mtu, 1300);
	fwd_event_done(t->f);
	assert_int_equal(rig_drops(r, 0, DROP_SEND_FAILED), 13);

	/* no room for some of the batch */
	t->send_error = 0;
	t->send_room = 2;
	for (int i = 0; i < 5; i++) {
		size_t len = rig_udp(p, 4, true, (size_t)(100 + 100 * i), 1);
		rig_frame(t, p, len);
	}
	rig_run_tun(r, 0);
	assert_int_equal(t->sent.count, 2);
	assert_int_equal(rig_drops(r, 0, DROP_SEND_FAILED), 16);
	rig_free(r);
}

/* --- numbers and lifetimes */

static void test_numbers_spent(void **state)
{
	(void)state;
	for (int esn = 0; esn < 2; esn++) {
		struct rig_config c = {.no_esn = !esn};
		struct rig *r = rig_new(&c);
		struct rig_node *t = &r->node[0];
		uint64_t last = esn ? UINT64_MAX - 1 : UINT32_MAX;
		atomic_store(&t->out[0]->space->next, last - 1);
		for (int i = 0; i < 4; i++)
			send_udp(r, 4, 10);
		assert_int_equal(t->sent.count, 2);
		assert_int_equal(rig_drops(r, 0, DROP_NUMBERS_SPENT), 1);
		assert_int_equal(rig_drops(r, 0, DROP_SA_DEAD), 1);
		assert_true(atomic_load(&t->out[0]->dead));
		assert_true(next_event(r, 0, FWD_EV_HARD_LIFETIME)->outbound);
		fwd_event_done(t->f);
		assert_null(fwd_event_next(t->f));
		rig_free(r);
	}
}

static void test_lifetimes(void **state)
{
	(void)state;
	for (int by_bytes = 0; by_bytes < 2; by_bytes++) {
		struct rig_config c = {0};
		if (by_bytes) {
			c.soft_bytes = 5 * 128;
			c.hard_bytes = 8 * 128;
		} else {
			c.soft_packets = 5;
			c.hard_packets = 8;
		}
		struct rig *r = rig_new(&c);
		/* the receiver has the same limits on what comes in */
		for (int i = 0; i < 12; i++) {
			send_udp(r, 4, 100);
			rig_deliver(r, 0);
			r->now++;
		}
		assert_int_equal(r->node[0].sent.count, 8);
		assert_int_equal(r->node[1].written.count, 8);
		assert_int_equal(rig_drops(r, 0, DROP_SA_DEAD), 4);
		for (int n = 0; n < 2; n++) {
			struct sa *sa = n ? r->node[1].in[0] : r->node[0].out[0];
			const struct fwd_event *e = next_event(r, n, FWD_EV_SOFT_LIFETIME);
			assert_int_equal(e->spi, sa->spi);
			assert_int_equal(e->outbound, n == 0);
			assert_int_equal(e->at_us, r->now - 12 + 4);
			fwd_event_done(r->node[n].f);
			e = next_event(r, n, FWD_EV_HARD_LIFETIME);
			assert_int_equal(e->at_us, r->now - 12 + 7);
			fwd_event_done(r->node[n].f);
			assert_null(fwd_event_next(r->node[n].f));
			assert_int_equal(atomic_load(&sa->packets), 8);
			assert_int_equal(atomic_load(&sa->bytes), 8 * 128);
			assert_int_equal(atomic_load(&sa->first_us), 10 * USEC_PER_SEC);
			assert_int_equal(atomic_load(&sa->last_us), r->now - 12 + 7);
		}
		/* and refuses what comes after */
		rig_put(r, 1, &r->node[0].sent.at[0]);
		rig_receive(r, 1);
		assert_int_equal(rig_drops(r, 1, DROP_SA_DEAD), 1);
		rig_free(r);
	}
}

/* The hard limit is kept within a large frame, and by the receiver within a batch. */
static void test_lifetime_in_frame(void **state)
{
	(void)state;
	struct rig_config c = {.hard_packets = 8};
	struct rig *r = rig_new(&c);
	struct rig_tcp t = {
	    .version = 4, .from_terminal = true, .flags = 0x10, .payload_len = 2000};
	size_t len = rig_tcp(p, &t);
	rig_frame(&r->node[0], p, len)->vh = rig_gso(p, len, 100);
	r->node[1].in[0]->hard_packets = 5;
	rig_run_tun(r, 0);
	assert_int_equal(atomic_load(&r->node[0].out[0]->packets), 8);
	assert_int_equal(rig_drops(r, 0, DROP_SA_DEAD), 12);
	rig_deliver(r, 0);
	assert_int_equal(rig_counters(r, 1).in_packets, 5);
	assert_int_equal(rig_drops(r, 1, DROP_SA_DEAD), 3);
	rig_free(r);
}

/* A frame that needs more numbers than are left is not sent at all. */
static void test_spent_in_frame(void **state)
{
	(void)state;
	struct rig_config c = {.no_esn = true};
	struct rig *r = rig_new(&c);
	struct rig_tcp t = {
	    .version = 4, .from_terminal = true, .flags = 0x10, .payload_len = 2000};
	size_t len = rig_tcp(p, &t);
	atomic_store(&r->node[0].out[0]->space->next, UINT32_MAX - 10);
	rig_frame(&r->node[0], p, len)->vh = rig_gso(p, len, 100);
	rig_run_tun(r, 0);
	assert_int_equal(rig_drops(r, 0, DROP_NUMBERS_SPENT), 20);
	assert_int_equal(r->node[0].sent.count, 0);
	assert_true(next_event(r, 0, FWD_EV_HARD_LIFETIME)->outbound);
	rig_free(r);
}

/* --- commands */

static void test_keepalive(void **state)
{
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	assert_true(fwd_keepalive(r->node[0].f, r->node[0].out[0]->path));
	assert_int_equal(r->node[0].commands, 1);
	fwd_run_commands(fwd_worker(r->node[0].f, 0), r->now);
	assert_int_equal(r->node[0].sent.count, 1);
	assert_int_equal(r->node[0].sent.at[0].len, 1);
	assert_int_equal(r->node[0].sent.at[0].data[0], 0xff);
	rig_deliver(r, 0);
	assert_int_equal(rig_counters(r, 1).keepalives, 1);
	assert_int_equal(rig_all_drops(r, 1), 0);
	rig_free(r);
}

/* Only packets of the named classes go out on all connections; others on the first that can. */
static void test_classes(void **state)
{
	(void)state;
	static const struct {
		uint8_t tos;
		unsigned copies;
	} rows[] = {{46 << 2, 2}, {46 << 2 | 1, 2}, {0, 1},
		    {63 << 2, 2}, {45 << 2, 1},	    {47 << 2, 1}};
	struct rig_config c = {.sas = 2};
	struct rig *r = rig_new(&c);
	struct rig_node *t = &r->node[0];
	struct prefix any = rig_prefix("0.0.0.0/0");
	struct active *a = active_new_by_class(2, 1ull << 46 | 1ull << 63);
	a->sa[0] = t->out[0];
	a->sa[1] = t->out[1];
	assert_int_equal(fwd_route_set(t->f, &any, a), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = rig_udp(p, 4, true, 77, 1);
		p[1] = rows[i].tos;
		ip4_set_checksum(p);
		rig_frame(t, p, len);
		rig_run_tun(r, 0);
		assert_int_equal(t->sent.count, rows[i].copies);
		rig_deliver(r, 0);
		assert_int_equal(r->node[1].written.count, 1);
		rig_clear(r);
	}
	/* The first has nowhere to send to. */
	sa_set_path(t->out[0], NULL);
	send_udp(r, 4, 10);
	assert_int_equal(t->sent.count, 1);
	assert_int_equal(rig_drops(r, 0, DROP_NO_PATH), 0);
	rig_free(r);
}

static void test_inject(void **state)
{
	(void)state;
	struct rig_config c = {.sas = 2};
	struct rig *r = rig_new(&c);
	struct rig_node *t = &r->node[0];
	size_t len = rig_udp(p, 4, true, 77, 1);
	struct path via = *t->out[1]->path;
	via.remote.port = 999;
	sa_set_path(t->out[1], NULL);
	assert_true(fwd_inject(t->f, t->out[0], IP_PROTO_IPIP, p, len, 0));
	assert_true(fwd_inject_via(t->f, t->out[1], IP_PROTO_IPIP, p, len, 0, &via));
	assert_true(fwd_inject(t->f, t->out[1], IP_PROTO_IPIP, p, len, 0)); /* no path */
	assert_true(fwd_inject(t->f, t->out[0], IP_PROTO_IPIP, "junk", 4, 0));
	fwd_run_commands(fwd_worker(t->f, 0), r->now);
	assert_int_equal(rig_drops(r, 0, DROP_NO_PATH), 1);
	assert_int_equal(rig_drops(r, 0, DROP_BAD_FRAME), 1);
	assert_int_equal(t->sent.count, 2);
	assert_int_equal(t->sent.at[0].dst.port + t->sent.at[1].dst.port, 4500 + 999);
	rig_deliver(r, 0);
	assert_int_equal(r->node[1].written.count, 2);
	assert_memory_equal(r->node[1].written.at[0].data, p, len);
	/* not data: the time of the first is not set */
	assert_int_equal(atomic_load(&t->out[0]->first_us), 0);
	assert_int_equal(atomic_load(&t->out[0]->packets), 1);
	assert_int_equal(rig_counters(r, 0).out_packets, 0);
	assert_false(fwd_inject(t->f, t->out[0], IP_PROTO_IPIP, p, 5000, 0));
	rig_free(r);
}

static void count_call(void *arg)
{
	(*(unsigned *)arg)++;
}

/* A full ring refuses, except what must not be lost; and nothing is freed too early. */
static void test_full_ring(void **state)
{
	(void)state;
	struct rig_config c = {.sas = 2};
	struct rig *r = rig_new(&c);
	struct rig_node *t = &r->node[0];
	unsigned calls = 0, injected = 0;
	size_t len = rig_udp(p, 4, true, 77, 1);
	while (fwd_inject(t->f, t->out[1], IP_PROTO_IPIP, p, len, 0))
		injected++;
	assert_true(injected >= 200);
	assert_false(fwd_keepalive(t->f, t->out[1]->path));
	assert_false(fwd_reset_window(t->f, &t->peer.space, 1));
	rig_route(t, "0.0.0.0/0", 1);
	rig_route(t, "::/0", 1);
	fwd_retire(t->f, t->out[1]);
	t->out[1] = NULL;
	fwd_after(t->f, count_call, &calls);
	fwd_after(t->f, count_call, &calls);
	fwd_run_commands(fwd_worker(t->f, 0), r->now);
	rcu_quiescent_state();
	assert_int_equal(rig_counters(r, 0).out_sends, (injected + 63) / 64);
	assert_int_equal(calls, 0);
	fwd_after(t->f, count_call, &calls);
	fwd_run_commands(fwd_worker(t->f, 0), r->now);
	assert_int_equal(calls, 3);
	/* what still waits at the end is done by fwd_free */
	while (fwd_keepalive(t->f, t->out[0]->path))
		;
	fwd_after(t->f, count_call, &calls);
	fwd_retire(t->f, t->out[0]);
	t->out[0] = NULL;
	fwd_after(r->node[1].f, count_call, &calls); /* has room */
	assert_int_equal(calls, 3);
	rig_free(r);
	assert_int_equal(calls, 5);
}

/* Every drop reason has a name and a text of its own. */
static void test_names(void **state)
{
	(void)state;
	for (enum drop_reason a = 0; a < DROP_COUNT; a++) {
		assert_true(strlen(drop_name(a)) > 2);
		assert_true(strlen(drop_text(a)) > 10);
		for (enum drop_reason b = 0; b < a; b++)
			assert_string_not_equal(drop_name(a), drop_name(b));
	}
	assert_string_equal(drop_name(DROP_UNKNOWN_SPI), "unknown-spi");
}

static uint32_t low_number(const struct rig_packet *q)
{
	return (uint32_t)q->data[4] << 24 | (uint32_t)q->data[5] << 16 | (uint32_t)q->data[6] << 8 |
	       q->data[7];
}

/* Peers of another make: each SA counts for itself; fresh keys know no hello. */
static void test_own_space(void **state)
{
	(void)state;
	struct rig_config c = {.sas = 2, .own_space = true, .fresh = true, .encr = "aes128-gcm"};
	struct rig *r = rig_new(&c);
	rig_route(&r->node[0], "0.0.0.0/0", 1);
	for (uint32_t i = 1; i <= 3; i++) {
		send_udp(r, 4, 100);
		assert_int_equal(low_number(&r->node[0].sent.at[i - 1]), i);
	}
	static const uint8_t probe[16] = "SJPR\1\0\0\0";
	assert_true(fwd_inject(r->node[0].f, r->node[0].out[1], IP_PROTO_NONE, probe, 16, 0x777));
	assert_false(
	    fwd_inject_aside(r->node[0].f, r->node[0].out[1], IP_PROTO_NONE, probe, 16, 7, NULL));
	fwd_run_commands(fwd_worker(r->node[0].f, 0), r->now);
	assert_int_equal(low_number(&r->node[0].sent.at[3]), 1);
	rig_route(&r->node[0], "0.0.0.0/0", 2); /* both */
	send_udp(r, 4, 100);
	assert_int_equal(low_number(&r->node[0].sent.at[4]), 4);
	assert_int_equal(low_number(&r->node[0].sent.at[5]), 2);
	rig_deliver(r, 0);
	assert_int_equal(r->node[1].written.count, 5);
	assert_int_equal(rig_all_drops(r, 1), 0);
	assert_int_equal(atomic_load(&r->node[1].peer.space.next), 1);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_too_big),
	    cmocka_unit_test(test_too_big_limit),
	    cmocka_unit_test(test_fragments),
	    cmocka_unit_test(test_narrow_ipv6),
	    cmocka_unit_test(test_mss_clamp),
	    cmocka_unit_test(test_mss_left_alone),
	    cmocka_unit_test(test_df),
	    cmocka_unit_test(test_tos),
	    cmocka_unit_test(test_drops),
	    cmocka_unit_test(test_send_errors),
	    cmocka_unit_test(test_numbers_spent),
	    cmocka_unit_test(test_lifetimes),
	    cmocka_unit_test(test_lifetime_in_frame),
	    cmocka_unit_test(test_spent_in_frame),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_keepalive),
	    cmocka_unit_test(test_classes),
	    cmocka_unit_test(test_inject),
	    cmocka_unit_test(test_own_space),
	    cmocka_unit_test(test_full_ring),
	};
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
