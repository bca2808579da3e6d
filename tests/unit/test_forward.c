/* SPDX-License-Identifier: MIT */
/* The packet path end to end in memory: every algorithm and family, batches, limits. */
#include "fwd_rig.h"

static void check_datagram(struct rig *r, int from, int version, size_t payload_len)
{
	uint8_t p[FWD_BUFFER_LEN];
	struct rig_list *written = &r->node[!from].written;
	unsigned before = written->count;
	size_t len = rig_udp(p, version, from == RIG_TERMINAL, payload_len, (uint32_t)payload_len);
	rig_frame(&r->node[from], p, len);
	rig_run_tun(r, from);
	rig_deliver(r, from);
	assert_int_equal(written->count, before + 1);
	assert_int_equal(written->at[before].len, len);
	assert_memory_equal(written->at[before].data, p, len);
	assert_int_equal(written->at[before].vh.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_int_equal(written->at[before].vh.flags, 0);
}

static void test_algorithms(void **state)
{
	static const struct {
		const char *encr, *integ;
		bool fresh;
	} rows[] = {
	    {"aes128-cbc", "hmac-sha-256-128", false},
	    {"aes256-cbc", "hmac-sha-384-192", false},
	    {"aes128-cbc", "hmac-sha-512-256", false},
	    {"aes256-cbc", "hmac-sha-1-96", false},
	    {"null", "hmac-sha-256-128", false},
	    {"aes128-gcm", NULL, true},
	    {"aes256-gcm", NULL, true},
	    {"chacha20-poly1305", NULL, true},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int bits = 0; bits < 16; bits++) {
			struct rig_config c = {
			    .encr = rows[i].encr,
			    .integ = rows[i].integ,
			    .fresh = rows[i].fresh,
			    .outer = bits & 1 ? 6 : 4,
			    .native = bits & 2,
			    .no_esn = bits & 4,
			};
			int version = bits & 8 ? 6 : 4;
			struct rig *r = rig_new(&c);
			for (size_t len = 0; len < 40; len++)
				check_datagram(r, (int)(len & 1), version, len);
			check_datagram(r, RIG_TERMINAL, version, 1200);
			assert_int_equal(rig_all_drops(r, 0) + rig_all_drops(r, 1), 0);
			assert_int_equal(rig_counters(r, 0).out_packets, 21);
			assert_int_equal(rig_counters(r, 1).in_packets, 21);
			rig_free(r);
		}
	}
}

/* --- large frames */

static size_t bulk(uint8_t *p, int version, bool from_terminal, uint32_t seq, size_t payload_len)
{
	struct rig_tcp t = {
	    .version = version,
	    .from_terminal = from_terminal,
	    .sport = 1234,
	    .seq = seq,
	    .ack = 5,
	    .flags = 0x18,
	    .window = 1000,
	    .id = 0xfff0,
	    .payload_len = payload_len,
	    .seed = seq,
	};
	return rig_tcp(p, &t);
}

/* 59 KB in by one read, one send, one receive, one write: and the same bytes. */
static void test_large_frame(void **state)
{
	static uint8_t p[FWD_BUFFER_LEN];
	(void)state;
	for (int bits = 0; bits < 8; bits++) {
		struct rig_config c = {.outer = bits & 1 ? 6 : 4, .native = bits & 4};
		int version = bits & 2 ? 6 : 4;
		struct rig *r = rig_new(&c);
		size_t len = bulk(p, version, false, 1000, 59000);
		struct virtio_net_hdr vh = rig_gso(p, len, 1320);
		rig_frame(&r->node[RIG_SERVER], p, len)->vh = vh;
		rig_run_tun(r, RIG_SERVER);
		const struct rig_list *sent = &r->node[RIG_SERVER].sent;
		assert_int_equal(sent->count, c.native ? 45 : 1);
		assert_int_equal(rig_counters(r, RIG_SERVER).out_packets, 45);
		rig_deliver(r, RIG_SERVER);
		const struct rig_list *written = &r->node[RIG_TERMINAL].written;
		/* datagrams of native ESP come in two batches */
		assert_int_equal(written->count, c.native ? 2 : 1);
		if (!c.native) {
			assert_int_equal(written->at[0].vh.gso_type, vh.gso_type);
			assert_int_equal(written->at[0].vh.gso_size, 1320);
			assert_int_equal(written->at[0].len, len);
			assert_memory_equal(written->at[0].data, p, len);
		}
		assert_int_equal(rig_counters(r, RIG_TERMINAL).in_packets, 45);
		assert_int_equal(rig_counters(r, RIG_TERMINAL).in_bytes,
				 rig_counters(r, RIG_SERVER).out_bytes);
		assert_int_equal(rig_all_drops(r, 0) + rig_all_drops(r, 1), 0);
		rig_free(r);
	}
}

/* More than the arena and one burst of cryptography hold. */
static void test_many_large_frames(void **state)
{
	static uint8_t p[FWD_BUFFER_LEN];
	(void)state;
	struct rig_config c = {.replay = 4096};
	struct rig *r = rig_new(&c);
	uint32_t seq = 0;
	for (int i = 0; i < 32; i++, seq += 64000) {
		size_t len = bulk(p, 4, true, seq, 64000);
		p[20 + 13] = 0x10; /* no PSH */
		rig_frame(&r->node[0], p, len)->vh = rig_gso(p, len, 1000);
	}
	assert_int_equal(fwd_run_tun(fwd_worker(r->node[0].f, 0), r->now), 32);
	rig_deliver(r, 0);
	assert_int_equal(rig_counters(r, 1).in_packets, 32 * 64);
	uint64_t payload = 0;
	const struct rig_list *written = &r->node[1].written;
	for (unsigned i = 0; i < written->count; i++)
		payload += written->at[i].len - 40;
	assert_int_equal(payload, 32 * 64000);
	assert_int_equal(rig_all_drops(r, 0) + rig_all_drops(r, 1), 0);
	rig_free(r);
}

/* TCP larger than the path is cut finer, never dropped; UDP is told or cut into fragments. */
static void test_cut_to_path(void **state)
{
	static uint8_t p[FWD_BUFFER_LEN];
	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		struct rig_config c = {.mtu = 1300};
		struct rig *r = rig_new(&c);
		uint32_t mtu = sa_inner_mtu(r->node[0].out[0], 1300 - 28);
		size_t len = bulk(p, version, true, 1, 30000);
		rig_frame(&r->node[0], p, len)->vh = rig_gso(p, len, 1448);
		rig_run_tun(r, 0);
		const struct rig_list *sent = &r->node[0].sent;
		assert_int_equal(sent->count, 1);
		assert_true(sent->at[0].gso_size + 28 <= 1300);
		rig_deliver(r, 0);
		const struct rig_list *written = &r->node[1].written;
		assert_int_equal(written->count, 1);
		assert_int_equal(written->at[0].len, len);
		assert_int_equal(written->at[0].vh.gso_size, mtu - (version == 4 ? 40 : 60));

		rig_clear(r);
		len = rig_udp(p, version, true, 5000, 1);
		rig_frame(&r->node[0], p, len)->vh = rig_gso(p, len, 1400);
		rig_run_tun(r, 0);
		/* 3 of 1400 bytes do not fit and 1 of 800 does */
		assert_int_equal(rig_drops(r, 0, DROP_TOO_BIG), 3);
		assert_int_equal(sent->count, 1);
		assert_int_equal(r->node[0].written.count, 3);
		rig_free(r);
	}
}

/* --- the differential test */

struct expanded {
	uint8_t *at[8192];
	uint32_t len[8192];
	unsigned count;
};

static void expand(const struct rig_list *l, struct expanded *out)
{
	out->count = 0;
	for (unsigned i = 0; i < l->count; i++) {
		const struct rig_packet *p = &l->at[i];
		struct ip_info info;
		struct segment_plan plan;
		assert_true(ip_parse(p->data, p->len, &info));
		bool gso = p->vh.gso_type != VIRTIO_NET_HDR_GSO_NONE;
		if (gso)
			assert_true(segment_plan_make(&plan, p->data, &info, &p->vh, 65535));
		for (uint32_t s = 0; s < (gso ? plan.count : 1); s++) {
			uint32_t len = gso ? segment_len(&plan, s) : p->len;
			uint8_t *copy = malloc(len);
			assert_true(out->count < 8192);
			if (gso)
				segment_write(&plan, s, copy);
			else
				memcpy(copy, p->data, len);
			out->at[out->count] = copy;
			out->len[out->count++] = len;
		}
	}
}

/* The packets of each source port, in their order, are the same in both. */
static void same_per_flow(const struct expanded *a, const struct expanded *b)
{
	assert_int_equal(a->count, b->count);
	for (uint8_t flow = 0; flow < 8; flow++) {
		unsigned j = 0;
		for (unsigned i = 0; i < a->count; i++) {
			size_t l4 = a->at[i][0] >> 4 == 4 ? 20 : 40;
			if (a->at[i][l4 + 1] != flow)
				continue;
			while (j < b->count &&
			       b->at[j][(b->at[j][0] >> 4 == 4 ? 20 : 40) + 1] != flow)
				j++;
			assert_true(j < b->count);
			assert_int_equal(a->len[i], b->len[j]);
			assert_memory_equal(a->at[i], b->at[j], a->len[i]);
			j++;
		}
	}
}

static uint32_t next_random(uint32_t *x)
{
	*x = *x * 1664525u + 1013904223u;
	return *x >> 8;
}

static void random_datagram(uint32_t *x, uint8_t flow, uint16_t id[8], uint8_t *p, size_t *len)
{
	size_t payload_len = next_random(x) % 4 ? 700 : 1 + next_random(x) % 900;
	size_t l4 = flow & 1 ? 40 : 20;
	*len = rig_udp(p, flow & 1 ? 6 : 4, true, payload_len, *x);
	rig_put16(p + l4, flow);
	if (l4 == 20) {
		rig_put16(p + 4, id[flow]++);
		p[6] = 0; /* no DF: identifications matter */
	}
	rig_udp_mend(p, *len);
	if (l4 == 20 && next_random(x) % 16 == 0)
		rig_put16(p + l4 + 6, 0);
	else if (next_random(x) % 16 == 0)
		p[*len - 1] ^= 1;
}

static void random_packet(uint32_t *x, uint32_t seq[8], uint16_t id[8], uint8_t *p, size_t *len,
			  struct virtio_net_hdr *vh)
{
	uint8_t flow = (uint8_t)(next_random(x) % 8);
	memset(vh, 0, sizeof(*vh));
	if (flow >= 5) {
		random_datagram(x, flow, id, p, len);
		return;
	}
	struct rig_tcp t = {
	    .version = flow & 1 ? 6 : 4,
	    .from_terminal = true,
	    .sport = flow,
	    .seq = seq[flow],
	    .ack = next_random(x) % 8 == 0 ? 2 : 1,
	    .flags = next_random(x) % 6 == 0 ? 0x18 : 0x10,
	    .window = 100,
	    .id = id[flow],
	    .payload_len = next_random(x) % 4 ? 900 : next_random(x) % 1200,
	    .seed = *x,
	};
	bool gso = next_random(x) % 5 == 0;
	if (gso)
		t.payload_len = next_random(x) % 20000;
	*len = rig_tcp(p, &t);
	if (gso)
		*vh = rig_gso(p, *len, 900);
	else if (next_random(x) % 16 == 0)
		p[*len - 1 - next_random(x) % 20] ^= 1; /* spoiled, and to be passed on so */
	if (next_random(x) % 10)
		seq[flow] += (uint32_t)t.payload_len;
	id[flow] = (uint16_t)(id[flow] + (gso ? (t.payload_len + 899) / 900 : 1));
}

static void test_offload_differential(void **state)
{
	static uint8_t p[FWD_BUFFER_LEN];
	static struct expanded with, without;
	(void)state;
	uint64_t merged = 0;
	for (uint32_t seed = 1; seed <= 8; seed++) {
		struct rig_config on = {.udp_offload = true, .replay = 8192};
		struct rig_config off = {.no_offload = true, .replay = 8192};
		struct rig *a = rig_new(&on), *b = rig_new(&off);
		uint32_t x = seed, seq[8] = {0};
		uint16_t id[8] = {0};
		for (int i = 0; i < 200; i++) {
			size_t len;
			struct virtio_net_hdr vh;
			random_packet(&x, seq, id, p, &len, &vh);
			rig_frame(&a->node[0], p, len)->vh = vh;
			rig_frame(&b->node[0], p, len)->vh = vh;
		}
		rig_run_tun(a, 0);
		rig_run_tun(b, 0);
		rig_deliver(a, 0);
		rig_deliver(b, 0);
		expand(&a->node[1].written, &with);
		expand(&b->node[1].written, &without);
		same_per_flow(&with, &without);
		merged += with.count - a->node[1].written.count;
		assert_int_equal(without.count, b->node[1].written.count);
		for (unsigned i = 0; i < with.count; i++) {
			free(with.at[i]);
			free(without.at[i]);
		}
		rig_free(a);
		rig_free(b);
	}
	assert_true(merged > 100);
}

/* --- batches */

static void test_grouping(void **state)
{
	static uint8_t p[FWD_BUFFER_LEN];
	static const struct {
		size_t payload[6];
		int packets;
		unsigned tos_of; /* this one has another */
		unsigned want;	 /* sends */
	} rows[] = {
	    {{100, 100, 100, 100}, 4, 9, 1},
	    {{100, 100, 100, 20}, 4, 9, 1},
	    {{100, 20, 100, 100}, 4, 9, 2},
	    {{100, 101, 102, 100}, 4, 9, 1}, /* one length after padding */
	    {{100, 400, 400, 400}, 4, 9, 2},
	    {{100, 100, 100, 100}, 4, 2, 3},
	    {{400, 100, 100, 400}, 4, 9, 3},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig_config c = {0};
		struct rig *r = rig_new(&c);
		for (unsigned n = 0; n < (unsigned)rows[i].packets; n++) {
			size_t len = rig_udp(p, 4, true, rows[i].payload[n], n);
			if (n == rows[i].tos_of)
				p[1] = 0x20;
			ip4_set_checksum(p);
			rig_frame(&r->node[0], p, len);
		}
		rig_run_tun(r, 0);
		assert_int_equal(r->node[0].sent.count, rows[i].want);
		rig_deliver(r, 0);
		assert_int_equal(r->node[1].written.count, rows[i].packets);
		rig_free(r);
	}
}

static void test_group_limits(void **state)
{
	static uint8_t p[FWD_BUFFER_LEN];
	(void)state;
	struct rig_config c = {0};
	struct rig *r = rig_new(&c);
	size_t len = bulk(p, 4, true, 1, 6500);
	rig_frame(&r->node[0], p, len)->vh = rig_gso(p, len, 100);
	len = bulk(p, 4, true, 6501, 65000);
	rig_frame(&r->node[0], p, len)->vh = rig_gso(p, len, 1388);
	rig_run_tun(r, 0);
	/* 65 small ones: 64 and 1; then 47 of 1,480 bytes: 43 and the rest */
	const struct rig_list *sent = &r->node[0].sent;
	assert_int_equal(sent->count, 4);
	for (unsigned i = 0; i < sent->count; i++)
		assert_true(sent->at[i].len <= 65000);
	assert_int_equal(sent->at[0].len, 64 * sent->at[0].gso_size);
	assert_int_equal(sent->at[1].gso_size, 0);
	rig_free(r);
}

/* --- several connections at once */

static void test_ncast(void **state)
{
	static uint8_t p[FWD_BUFFER_LEN];
	(void)state;
	for (int lost = 0; lost < 3; lost++) { /* nothing, the first, the second connection */
		struct rig_config c = {.sas = 2};
		struct rig *r = rig_new(&c);
		unsigned which = (unsigned)lost & 1;
		struct path *narrow = rig_path(r, 0, which);
		narrow->mtu = 1000;
		sa_set_path(r->node[0].out[which], narrow);
		size_t len = bulk(p, 4, true, 1, 20000);
		rig_frame(&r->node[0], p, len)->vh = rig_gso(p, len, 1400);
		len = rig_udp(p, 4, true, 50, 3);
		rig_frame(&r->node[0], p, len);
		rig_run_tun(r, 0);
		struct rig_list *sent = &r->node[0].sent;
		assert_int_equal(sent->count, 4);
		/* the same packets under the same numbers, cut for the narrower path */
		assert_int_equal(sent->at[0].len, sent->at[1].len);
		assert_int_equal(sent->at[0].gso_size, sent->at[1].gso_size);
		assert_true(sent->at[0].gso_size <= 1000 - 28);
		uint32_t size = sent->at[0].gso_size;
		for (uint32_t off = 0; off < sent->at[0].len; off += size)
			assert_memory_equal(sent->at[0].data + off + 4, sent->at[1].data + off + 4,
					    4);
		assert_memory_not_equal(sent->at[0].data, sent->at[1].data, 4);
		unsigned packets = (unsigned)rig_counters(r, 0).out_packets;
		for (unsigned i = 0; i < 4; i++)
			if (!lost || (int)(i & 1) != lost - 1)
				rig_put(r, 1, &sent->at[i]);
		rig_receive(r, 1);
		assert_int_equal(rig_counters(r, 1).in_packets, packets);
		assert_int_equal(rig_counters(r, 1).duplicates, lost ? 0 : packets);
		assert_int_equal(rig_drops(r, 1, DROP_REPLAYED), lost ? 0 : packets);
		assert_int_equal(atomic_load(&r->node[0].peer.space.next), packets + 1);
		rig_free(r);
	}
}

static void test_ncast_without_esn(void **state)
{
	static uint8_t p[FWD_BUFFER_LEN];
	(void)state;
	struct rig_config c = {.sas = 2, .no_esn = true};
	struct rig *r = rig_new(&c);
	atomic_store(&r->node[0].out[1]->own_space.next, 700);
	size_t len = rig_udp(p, 4, true, 50, 3);
	rig_frame(&r->node[0], p, len);
	rig_run_tun(r, 0);
	assert_int_equal(r->node[0].sent.count, 2);
	assert_int_equal(r->node[0].sent.at[0].data[7], 1);
	assert_int_equal(r->node[0].sent.at[1].data[7], 700 & 255);
	/* one dies: the other goes on, and nothing is a drop */
	atomic_store(&r->node[0].out[0]->dead, true);
	rig_frame(&r->node[0], p, len);
	rig_run_tun(r, 0);
	assert_int_equal(r->node[0].sent.count, 3);
	assert_int_equal(rig_all_drops(r, 0), 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_algorithms),		 cmocka_unit_test(test_large_frame),
	    cmocka_unit_test(test_many_large_frames),	 cmocka_unit_test(test_cut_to_path),
	    cmocka_unit_test(test_offload_differential), cmocka_unit_test(test_grouping),
	    cmocka_unit_test(test_group_limits),	 cmocka_unit_test(test_ncast),
	    cmocka_unit_test(test_ncast_without_esn),
	};
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
