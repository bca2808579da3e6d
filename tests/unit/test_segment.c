/* SPDX-License-Identifier: MIT */
/* Cutting of frames: each packet checked field by field, not against the code that cuts. */
#include "fwd_rig.h"

enum { FIN = 0x01, SYN = 0x02, PSH = 0x08, ACK = 0x10, CWR = 0x80 };

static uint32_t get(const uint8_t *p, int n)
{
	uint32_t v = 0;
	while (n-- > 0)
		v = v << 8 | *p++;
	return v;
}

struct row {
	int version;
	bool udp;
	size_t payload_len, options_len;
	uint16_t gso_size;
	uint32_t mtu;
	uint8_t flags;
	uint32_t seq;
	uint16_t id;
	uint32_t want_count, want_size;
};

static size_t make_frame(const struct row *t, uint8_t *p)
{
	static const uint8_t options[40] = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 1, 1};
	if (t->udp)
		return rig_udp(p, t->version, true, t->payload_len, 7);
	struct rig_tcp tcp = {
	    .version = t->version,
	    .from_terminal = true,
	    .sport = 1000,
	    .seq = t->seq,
	    .ack = 99,
	    .flags = t->flags,
	    .window = 500,
	    .id = t->id,
	    .options = options,
	    .options_len = t->options_len,
	    .payload_len = t->payload_len,
	    .seed = 3,
	    .tos = 0xb9,
	};
	return rig_tcp(p, &tcp);
}

static void check_packet(const struct row *t, const uint8_t *frame, const uint8_t *p, size_t len,
			 uint32_t i, size_t off, size_t head)
{
	size_t l4 = t->version == 4 ? IP4_HEADER_LEN : IP6_HEADER_LEN;
	assert_true(rig_sound(p, len));
	assert_memory_equal(p + head, frame + head + off, len - head);
	if (t->version == 4)
		assert_int_equal(get(p + 4, 2), (uint16_t)(get(frame + 4, 2) + i));
	if (t->udp) {
		assert_int_equal(get(p + l4 + 4, 2), len - l4);
		return;
	}
	bool last = i + 1 == t->want_count;
	uint8_t want = t->flags;
	if (i > 0)
		want &= (uint8_t)~CWR;
	if (!last)
		want &= (uint8_t) ~(FIN | PSH);
	assert_int_equal(p[l4 + 13], want);
	assert_int_equal(get(p + l4 + 4, 4), (uint32_t)(t->seq + off));
	assert_int_equal(get(p + l4 + 8, 4), 99);
	assert_memory_equal(p + l4 + 20, frame + l4 + 20, head - l4 - 20);
}

static void test_cut(void **state)
{
	static const struct row rows[] = {
	    {4, false, 14000, 0, 1400, 1440, ACK, 1, 7, 10, 1400},
	    {4, false, 14001, 12, 1400, 1500, ACK | PSH, 1, 0xfffc, 11, 1400},
	    {4, false, 1400, 12, 1400, 1500, ACK | FIN | PSH, 1, 7, 1, 1400},
	    {4, false, 0, 12, 1400, 1500, ACK | FIN, 1, 7, 1, 1400},
	    {4, false, 65000, 0, 1448, 1500, ACK | CWR, 0xffffff00, 7, 45, 1448},
	    {6, false, 65000, 12, 1428, 1500, ACK | FIN | CWR, 5, 0, 46, 1428},
	    /* cut finer than asked for */
	    {4, false, 5000, 12, 1448, 1300, ACK | PSH, 1, 7, 5, 1248},
	    {6, false, 5000, 0, 1440, 1280, ACK | PSH, 1, 7, 5, 1220},
	    {4, false, 100, 0, 50, 41, ACK, 1, 7, 100, 1},
	    /* messages are never cut finer */
	    {4, true, 10000, 0, 1200, 1500, 0, 0, 0, 9, 1200},
	    {6, true, 10000, 0, 1200, 1000, 0, 0, 0, 9, 1200},
	    {6, true, 1200, 0, 1200, 1500, 0, 0, 0, 1, 1200},
	};
	(void)state;
	static uint8_t frame[FWD_BUFFER_LEN], out[FWD_BUFFER_LEN];
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		const struct row *t = &rows[r];
		size_t len = make_frame(t, frame);
		struct virtio_net_hdr vh = rig_gso(frame, len, t->gso_size);
		if (t->flags & CWR)
			vh.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
		struct ip_info info;
		struct segment_plan plan;
		assert_true(ip_parse(frame, len, &info));
		assert_true(segment_plan_make(&plan, frame, &info, &vh, t->mtu));
		assert_int_equal(plan.count, t->want_count);
		assert_int_equal(plan.size, t->want_size);
		size_t head = len - t->payload_len, off = 0;
		for (uint32_t i = 0; i < plan.count; i++) {
			uint32_t n = segment_len(&plan, i);
			if (!t->udp)
				assert_true(n <= t->mtu);
			memset(out, 0xee, sizeof(out));
			segment_write(&plan, i, out);
			assert_int_equal(out[n], 0xee);
			check_packet(t, frame, out, n, i, off, head);
			off += n - head;
		}
		assert_int_equal(off, t->payload_len);
	}
}

static void test_refused(void **state)
{
	static uint8_t p[FWD_BUFFER_LEN];
	struct row t = {.version = 4, .payload_len = 3000, .flags = ACK};
	struct segment_plan plan;
	struct ip_info info;
	(void)state;
	size_t len = make_frame(&t, p);
	struct virtio_net_hdr good = rig_gso(p, len, 1000), vh;
	assert_true(ip_parse(p, len, &info));
	assert_true(segment_plan_make(&plan, p, &info, &good, 1500));

	vh = good;
	vh.gso_size = 0;
	assert_false(segment_plan_make(&plan, p, &info, &vh, 1500));
	const uint8_t types[] = {VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_GSO_UDP,
				 VIRTIO_NET_HDR_GSO_UDP_L4, 77};
	for (size_t i = 0; i < sizeof(types); i++) {
		vh = good;
		vh.gso_type = types[i];
		assert_false(segment_plan_make(&plan, p, &info, &vh, 1500));
	}
	for (int doff = 0; doff < 5; doff++) {
		p[20 + 12] = (uint8_t)(doff << 4);
		assert_false(segment_plan_make(&plan, p, &info, &good, 1500));
	}
	p[20 + 12] = 0x50;
	p[6] = 0x20; /* more fragments */
	assert_true(ip_parse(p, len, &info));
	assert_false(segment_plan_make(&plan, p, &info, &good, 1500));
	p[6] = 0;
	/* a data offset past the end */
	t.payload_len = 4;
	len = make_frame(&t, p);
	p[20 + 12] = 0xf0;
	assert_true(ip_parse(p, len, &info));
	assert_false(segment_plan_make(&plan, p, &info, &good, 1500));
}

static void test_complete_checksum(void **state)
{
	static uint8_t p[FWD_BUFFER_LEN], whole[FWD_BUFFER_LEN];
	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		for (size_t n = 0; n < 300; n++) {
			size_t len = rig_udp(p, version, true, n, (uint32_t)n);
			memcpy(whole, p, len);
			struct virtio_net_hdr vh = rig_gso(p, len, 0);
			assert_true(segment_complete_checksum(p, len, &vh));
			assert_memory_equal(p, whole, len);
			vh.flags = 0;
			assert_true(segment_complete_checksum(p, len, &vh));
			assert_memory_equal(p, whole, len);
		}
	}
	size_t len = rig_udp(p, 4, true, 100, 1);
	struct virtio_net_hdr vh = rig_gso(p, len, 0);
	vh.csum_start = (uint16_t)(len - 1);
	vh.csum_offset = 0;
	assert_false(segment_complete_checksum(p, len, &vh));
	vh.csum_start = 20;
	vh.csum_offset = 0xffff;
	assert_false(segment_complete_checksum(p, len, &vh));
}

/* A UDP checksum that comes out as 0 is sent as 0xffff: 0 would say "none". */
static void test_zero_checksum(void **state)
{
	static uint8_t p[FWD_BUFFER_LEN], out[FWD_BUFFER_LEN];
	struct ip_info info;
	struct segment_plan plan;
	(void)state;
	unsigned found = 0;
	for (uint32_t word = 0; word < 0x10000; word++) {
		size_t len = rig_udp(p, 6, true, 2, 1);
		rig_put16(p + 48, word);
		struct virtio_net_hdr vh = rig_gso(p, len, 2);
		assert_true(ip_parse(p, len, &info));
		assert_true(segment_plan_make(&plan, p, &info, &vh, 1500));
		segment_write(&plan, 0, out);
		assert_int_not_equal(get(out + 46, 2), 0);
		found += get(out + 46, 2) == 0xffff;
		assert_true(segment_complete_checksum(p, len, &vh));
		assert_memory_equal(p, out, len);
	}
	assert_true(found > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_complete_checksum),
	    cmocka_unit_test(test_zero_checksum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
