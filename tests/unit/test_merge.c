/* SPDX-License-Identifier: MIT */
/* Merging of TCP segments and UDP datagrams: what joins, what does not, and that nothing changes or
 * overtakes. */
#include "fwd_rig.h"
#include "forward/merge.h"

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10, URG = 0x20, ECE = 0x40 };

#define PACKETS 40
#define SLOT	2048

static struct merge merge;
static uint8_t packets[PACKETS][SLOT], originals[PACKETS][SLOT];
static size_t lens[PACKETS];
static const uint8_t options[12] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};

static struct rig_tcp segment_at(int version, int i)
{
	return (struct rig_tcp){
	    .version = version,
	    .sport = 2000,
	    .seq = 0xfffffc00u + (uint32_t)i * 100,
	    .ack = 77,
	    .flags = ACK,
	    .window = 500,
	    .id = (uint16_t)(0xfffe + i),
	    .options = options,
	    .options_len = sizeof(options),
	    .payload_len = 100,
	    .seed = (uint32_t)i,
	};
}

static void put(int i, const struct rig_tcp *t)
{
	lens[i] = rig_tcp(packets[i], t);
	memcpy(originals[i], packets[i], lens[i]);
}

static int run(int n, bool enabled)
{
	merge_begin(&merge, enabled, enabled);
	for (int i = 0; i < n; i++) {
		struct ip_info info;
		assert_true(ip_parse(packets[i], lens[i], &info));
		merge_add(&merge, packets[i], &info);
	}
	return merge_finish(&merge);
}

static size_t gather(int w, uint8_t *out)
{
	size_t len = 0;
	for (int v = 0; v < merge.writes[w].iov_count; v++) {
		memcpy(out + len, merge.writes[w].iov[v].iov_base, merge.writes[w].iov[v].iov_len);
		len += merge.writes[w].iov[v].iov_len;
	}
	return len;
}

static void test_bulk(void **state)
{
	static uint8_t whole[FWD_BUFFER_LEN], out[FWD_BUFFER_LEN];
	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		for (int i = 0; i < 10; i++) {
			struct rig_tcp t = segment_at(version, i);
			if (i == 9) {
				t.payload_len = 60;
				t.flags |= PSH;
			}
			put(i, &t);
		}
		assert_int_equal(run(10, true), 1);
		const struct virtio_net_hdr *vh = &merge.writes[0].vh;
		size_t head = lens[0] - 100;
		assert_int_equal(vh->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(vh->gso_type, version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4
							    : VIRTIO_NET_HDR_GSO_TCPV6);
		assert_int_equal(vh->gso_size, 100);
		assert_int_equal(vh->hdr_len, head);
		assert_int_equal(vh->csum_start, head - 32);
		assert_int_equal(vh->csum_offset, 16);
		size_t len = gather(0, whole);
		assert_int_equal(len, head + 960);
		/* the kernel's cutting gives back what came */
		struct ip_info info;
		struct segment_plan plan;
		assert_true(ip_parse(whole, len, &info));
		assert_int_equal(info.total_len, len);
		assert_true(segment_plan_make(&plan, whole, &info, vh, 65535));
		assert_int_equal(plan.count, 10);
		for (uint32_t i = 0; i < 10; i++) {
			segment_write(&plan, i, out);
			assert_int_equal(segment_len(&plan, i), lens[i]);
			assert_memory_equal(out, originals[i], lens[i]);
		}
		/* completing the checksum gives a sound packet */
		assert_true(segment_complete_checksum(whole, len, vh));
		assert_true(rig_sound(whole, len));
	}
}

static void test_disabled(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct rig_tcp t = segment_at(4, i);
		put(i, &t);
	}
	assert_int_equal(run(3, false), 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(merge.writes[i].vh.flags, 0);
		assert_int_equal(merge.writes[i].vh.gso_type, 0);
		assert_int_equal(merge.writes[i].iov_count, 1);
		assert_memory_equal(merge.writes[i].iov[0].iov_base, originals[i], lens[i]);
	}
}

/* Three segments; the middle one differs.  What is written: groups of how many. */
struct row {
	const char *what;
	int versions; /* bits: 1 IPv4, 2 IPv6 */
	void (*change)(struct rig_tcp *t);
	void (*spoil)(uint8_t *p, size_t len, size_t l4);
	int want[4];
};

static void set_psh(struct rig_tcp *t)
{
	t->flags |= PSH;
}
static void set_fin(struct rig_tcp *t)
{
	t->flags |= FIN;
}
static void set_rst(struct rig_tcp *t)
{
	t->flags |= RST;
}
static void set_syn(struct rig_tcp *t)
{
	t->flags |= SYN;
}
static void set_urg(struct rig_tcp *t)
{
	t->flags |= URG;
}
static void set_ece(struct rig_tcp *t)
{
	t->flags |= ECE;
}
static void no_ack(struct rig_tcp *t)
{
	t->flags = 0;
}
static void other_ack(struct rig_tcp *t)
{
	t->ack++;
}
static void other_window(struct rig_tcp *t)
{
	t->window++;
}
static void set_cwr(struct rig_tcp *t)
{
	t->flags |= 0x80;
}
static void shorter(struct rig_tcp *t)
{
	t->payload_len = 99;
}
static void twice(struct rig_tcp *t)
{
	t->seq -= 100;
}
static void other_tos(struct rig_tcp *t)
{
	t->tos = 3;
}
static void other_id(struct rig_tcp *t)
{
	t->id = 1234;
}
static void other_options(struct rig_tcp *t)
{
	static const uint8_t o[12] = {1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 2};
	t->options = o;
}
static void no_options(struct rig_tcp *t)
{
	t->options_len = 0;
}
static void no_payload(struct rig_tcp *t)
{
	t->payload_len = 0;
}
static void longer(struct rig_tcp *t)
{
	t->payload_len = 101;
}
static void gap(struct rig_tcp *t)
{
	t->seq++;
}
static void other_flow(struct rig_tcp *t)
{
	t->sport++;
	t->seq -= 100;
}
static void nothing(struct rig_tcp *t)
{
	(void)t;
}
static void bad_tcp_checksum(uint8_t *p, size_t len, size_t l4)
{
	(void)len;
	p[l4 + 16] ^= 1;
}
static void bad_payload(uint8_t *p, size_t len, size_t l4)
{
	(void)l4;
	p[len - 1] ^= 1;
}
static void bad_ip_checksum(uint8_t *p, size_t len, size_t l4)
{
	(void)len, (void)l4;
	p[10] ^= 1;
}
/* Makes the checksums right again after a change. */
static void mend(uint8_t *p, size_t len, size_t l4)
{
	struct ip_info info;
	if (l4 == 20)
		ip4_set_checksum(p);
	assert_true(ip_parse(p, len, &info));
	uint32_t l4_len = (uint32_t)(len - l4);
	uint32_t sum = ip_pseudo_sum(&info.src, &info.dst, IP_PROTO_TCP, l4_len);
	rig_put16(p + l4 + 16, 0);
	rig_put16(p + l4 + 16, ip_fold(ip_sum(p + l4, l4_len, sum)));
}
static void zero_checksum(uint8_t *p, size_t len, size_t l4)
{
	rig_put16(p + len - 2, 0);
	mend(p, len, l4);
	memcpy(p + len - 2, p + l4 + 16, 2);
	mend(p, len, l4);
	assert_memory_equal(p + l4 + 16, "\0", 2);
}
static void minus_zero_checksum(uint8_t *p, size_t len, size_t l4)
{
	zero_checksum(p, len, l4);
	rig_put16(p + l4 + 16, 0xffff);
}
static void ae_flag(uint8_t *p, size_t len, size_t l4)
{
	p[l4 + 12] ^= 1;
	mend(p, len, l4);
}
static void urgent_pointer(uint8_t *p, size_t len, size_t l4)
{
	p[l4 + 19] ^= 1;
	mend(p, len, l4);
}
static void other_df(uint8_t *p, size_t len, size_t l4)
{
	p[6] ^= 0x40;
	mend(p, len, l4);
}
static void reserved_bit(uint8_t *p, size_t len, size_t l4)
{
	p[6] ^= 0x80;
	mend(p, len, l4);
}
static void fragment(uint8_t *p, size_t len, size_t l4)
{
	(void)len, (void)l4;
	p[7] = 1; /* an offset */
	ip4_set_checksum(p);
}
static void short_offset(uint8_t *p, size_t len, size_t l4)
{
	p[l4 + 12] = 0x40;
	mend(p, len, l4);
}
static void other_ttl(uint8_t *p, size_t len, size_t l4)
{
	(void)len;
	if (l4 == 20) {
		p[8]--;
		ip4_set_checksum(p);
	} else {
		p[7]--;
	}
}
static void other_flow_label(uint8_t *p, size_t len, size_t l4)
{
	(void)len, (void)l4;
	p[3] ^= 1;
}

static void test_differences(void **state)
{
	static const struct row rows[] = {
	    {"same", 3, nothing, NULL, {3}},
	    {"PSH ends a run", 3, set_psh, NULL, {2, 1}},
	    {"FIN", 3, set_fin, NULL, {1, 1, 1}},
	    {"RST", 3, set_rst, NULL, {1, 1, 1}},
	    {"SYN", 3, set_syn, NULL, {1, 1, 1}},
	    {"URG", 3, set_urg, NULL, {1, 1, 1}},
	    {"ECE", 3, set_ece, NULL, {1, 1, 1}},
	    {"CWR", 3, set_cwr, NULL, {1, 1, 1}},
	    {"AE", 3, nothing, ae_flag, {1, 1, 1}},
	    {"urgent pointer without URG", 3, nothing, urgent_pointer, {1, 1, 1}},
	    {"no ACK", 3, no_ack, NULL, {1, 1, 1}},
	    {"acknowledgement", 3, other_ack, NULL, {1, 1, 1}},
	    {"window", 3, other_window, NULL, {1, 1, 1}},
	    {"DSCP or ECN", 3, other_tos, NULL, {1, 1, 1}},
	    {"identification", 1, other_id, NULL, {1, 1, 1}},
	    {"options", 3, other_options, NULL, {1, 1, 1}},
	    {"no options", 3, no_options, NULL, {1, 1, 1}},
	    {"pure ACK", 3, no_payload, NULL, {1, 1, 1}},
	    {"longer than the first", 3, longer, NULL, {1, 1, 1}},
	    {"shorter, and a gap behind it", 3, shorter, NULL, {2, 1}},
	    {"gap", 3, gap, NULL, {1, 1, 1}},
	    {"the same again", 3, twice, NULL, {1, 1, 1}},
	    {"TCP checksum", 3, nothing, bad_tcp_checksum, {1, 1, 1}},
	    {"payload", 3, nothing, bad_payload, {1, 1, 1}},
	    {"TCP checksum of 0", 3, nothing, zero_checksum, {1, 1, 1}},
	    {"TCP checksum of 0xffff", 3, nothing, minus_zero_checksum, {1, 1, 1}},
	    {"data offset", 3, nothing, short_offset, {1, 1, 1}},
	    {"IP checksum", 1, nothing, bad_ip_checksum, {1, 1, 1}},
	    {"TTL", 3, nothing, other_ttl, {1, 1, 1}},
	    {"DF", 1, nothing, other_df, {1, 1, 1}},
	    {"reserved bit", 1, nothing, reserved_bit, {1, 1, 1}},
	    {"fragment", 1, nothing, fragment, {1, 1, 1}},
	    {"flow label", 2, nothing, other_flow_label, {1, 1, 1}},
	};
	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		for (int version = 4; version <= 6; version += 2) {
			if (!(rows[r].versions & (version == 4 ? 1 : 2)))
				continue;
			for (int i = 0; i < 3; i++) {
				struct rig_tcp t = segment_at(version, i);
				if (i == 1)
					rows[r].change(&t);
				put(i, &t);
				if (i == 1 && rows[r].spoil) {
					rows[r].spoil(packets[1], lens[1], version == 4 ? 20 : 40);
					memcpy(originals[1], packets[1], lens[1]);
				}
			}
			int writes = run(3, true), p = 0;
			for (int w = 0; w < writes; w++) {
				if (merge.writes[w].iov_count != rows[r].want[w])
					fail_msg("%s: IPv%d: write %d has %d", rows[r].what,
						 version, w, merge.writes[w].iov_count);
				if (merge.writes[w].iov_count == 1) {
					assert_int_equal(merge.writes[w].vh.flags, 0);
					assert_int_equal(merge.writes[w].iov[0].iov_len, lens[p]);
					assert_memory_equal(merge.writes[w].iov[0].iov_base,
							    originals[p], lens[p]);
				}
				p += merge.writes[w].iov_count;
			}
			assert_int_equal(p, 3);
		}
	}
}

/* Two flows interleaved: two writes; more flows than are followed: still right. */
static void test_flows(void **state)
{
	(void)state;
	for (int flows = 2; flows <= 20; flows += 6) {
		for (int i = 0; i < 2 * flows; i++) {
			struct rig_tcp t = segment_at(4, i / flows);
			t.sport = (uint16_t)(3000 + i % flows);
			put(i, &t);
		}
		assert_int_equal(run(2 * flows, true), flows <= MERGE_OPEN_MAX ? flows : 2 * flows);
	}
	/* another flow in between does not disturb */
	for (int i = 0; i < 3; i++) {
		struct rig_tcp t = segment_at(4, i == 2 ? 1 : i);
		if (i == 1)
			other_flow(&t);
		put(i, &t);
	}
	assert_int_equal(run(3, true), 2);
	assert_int_equal(merge.writes[0].iov_count, 2);
}

/* A fragment of the flow's packets must not be overtaken. */
static void test_fragment_between(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct rig_tcp t = segment_at(4, i == 2 ? 1 : i);
		put(i, &t);
	}
	packets[1][6] = 0x20;
	ip4_set_checksum(packets[1]);
	assert_int_equal(run(3, true), 3);
}

/* Identifications that do not count up are meaningless with DF, and a reason not to without. */
static void test_constant_id(void **state)
{
	(void)state;
	for (int df = 0; df < 2; df++) {
		for (int i = 0; i < 2; i++) {
			struct rig_tcp t = segment_at(4, i);
			t.id = 0;
			put(i, &t);
			packets[i][6] = df ? 0x40 : 0;
			ip4_set_checksum(packets[i]);
		}
		assert_int_equal(run(2, true), df ? 1 : 2);
	}
}

/* A write never exceeds what an IP packet can be, nor MERGE_RUN_MAX packets. */
static void test_limits(void **state)
{
	static uint8_t many[MERGE_PACKETS_MAX][SLOT];
	(void)state;
	static const size_t sizes[] = {1, 1400};
	for (size_t s = 0; s < 2; s++) {
		merge_begin(&merge, true, true);
		assert_false(merge_full(&merge));
		size_t all = 0;
		for (int i = 0; i < MERGE_PACKETS_MAX; i++) {
			struct rig_tcp t = segment_at(6, 0);
			struct ip_info info;
			t.payload_len = sizes[s];
			t.seq = (uint32_t)((size_t)i * sizes[s]);
			size_t len = rig_tcp(many[i], &t);
			all += sizes[s];
			assert_true(ip_parse(many[i], len, &info));
			merge_add(&merge, many[i], &info);
		}
		assert_true(merge_full(&merge));
		int n = merge_finish(&merge);
		assert_int_equal(n, s == 0 ? MERGE_PACKETS_MAX / MERGE_RUN_MAX : 6);
		size_t got = 0;
		for (int w = 0; w < n; w++) {
			size_t len = 0;
			for (int v = 0; v < merge.writes[w].iov_count; v++)
				len += merge.writes[w].iov[v].iov_len;
			assert_true(len <= 65535);
			assert_true(merge.writes[w].iov_count <= MERGE_RUN_MAX);
			got += len - 72;
		}
		assert_int_equal(got, all);
	}
}

/* --- UDP */

static void put_udp(int i, int version, size_t payload_len)
{
	lens[i] = rig_udp(packets[i], version, false, payload_len, (uint32_t)i);
	if (version == 4) {
		rig_put16(packets[i] + 4, (uint32_t)(0xfffc + i));
		ip4_set_checksum(packets[i]);
	}
	memcpy(originals[i], packets[i], lens[i]);
}

static void test_udp_bulk(void **state)
{
	static uint8_t whole[FWD_BUFFER_LEN], out[FWD_BUFFER_LEN];
	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		for (int i = 0; i < 10; i++)
			put_udp(i, version, i == 9 ? 61 : 300);
		assert_int_equal(run(10, true), 1);
		const struct virtio_net_hdr *vh = &merge.writes[0].vh;
		uint32_t ip_len = version == 4 ? 20 : 40;
		assert_int_equal(vh->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(vh->gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
		assert_int_equal(vh->gso_size, 300);
		assert_int_equal(vh->hdr_len, ip_len + 8);
		assert_int_equal(vh->csum_start, ip_len);
		assert_int_equal(vh->csum_offset, 6);
		size_t len = gather(0, whole);
		assert_int_equal(len, ip_len + 8 + 9 * 300 + 61);
		struct ip_info info;
		struct segment_plan plan;
		assert_true(ip_parse(whole, len, &info));
		assert_true(segment_plan_make(&plan, whole, &info, vh, 65535));
		assert_int_equal(plan.count, 10);
		for (uint32_t i = 0; i < 10; i++) {
			segment_write(&plan, i, out);
			assert_int_equal(segment_len(&plan, i), lens[i]);
			assert_memory_equal(out, originals[i], lens[i]);
		}
		assert_true(segment_complete_checksum(whole, len, vh));
		assert_true(rig_sound(whole, len));
	}
	for (int i = 0; i < 10; i++)
		put_udp(i, 6, 300);
	assert_int_equal(run(10, false), 10);
	merge_begin(&merge, true, false);
	struct ip_info info;
	for (int i = 0; i < 10; i++) {
		assert_true(ip_parse(packets[i], lens[i], &info));
		merge_add(&merge, packets[i], &info);
	}
	assert_int_equal(merge_finish(&merge), 10); /* a kernel that cannot cut them */
}

/* Changes of the second of three datagrams, with all checksums right but where said. */
static void test_udp_neighbours(void **state)
{
	(void)state;
	enum change {
		PORT,
		TTL,
		TOS,
		NO_CHECKSUM,
		BAD_CHECKSUM,
		LENGTH,
		ID,
		LONGER,
		SHORTER,
		NONE
	};
	static const struct {
		const char *name;
		enum change change;
		int version; /* 0: both */
		int writes;
		int runs[3];
	} rows[] = {
	    {"no change", NONE, 0, 1, {3}},
	    {"another port: between two of the flow", PORT, 6, 2, {2, 1}},
	    {"another TTL", TTL, 0, 3, {1, 1, 1}},
	    {"another class", TOS, 0, 3, {1, 1, 1}},
	    {"no checksum", NO_CHECKSUM, 4, 3, {1, 1, 1}},
	    {"a wrong checksum", BAD_CHECKSUM, 0, 3, {1, 1, 1}},
	    {"a length that is not the packet's", LENGTH, 0, 3, {1, 1, 1}},
	    {"an identification that does not count", ID, 4, 3, {1, 1, 1}},
	    {"longer than the first: starts anew", LONGER, 0, 2, {1, 2}},
	    {"shorter than the first: ends the run", SHORTER, 0, 2, {2, 1}},
	};
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		for (int version = 4; version <= 6; version += 2) {
			if (rows[r].version && rows[r].version != version)
				continue;
			size_t l4 = version == 4 ? 20 : 40;
			for (int i = 0; i < 3; i++) {
				enum change c = i == 1 ? rows[r].change : NONE;
				put_udp(i, version, c == LONGER ? 110 : c == SHORTER ? 90 : 100);
				uint8_t *p = packets[i];
				if (version == 4)
					p[6] = 0; /* without DF identifications matter */
				if (c == PORT)
					p[l4 + 1] ^= 1;
				if (c == TTL)
					p[version == 4 ? 8 : 7]--;
				if (c == TOS)
					p[1] ^= version == 4 ? 4 : 0x40;
				if (c == ID)
					p[5] ^= 0x10;
				if (c == LENGTH)
					p[l4 + 5]--;
				rig_udp_mend(p, lens[i]);
				if (c == NO_CHECKSUM)
					rig_put16(p + l4 + 6, 0);
				if (c == BAD_CHECKSUM)
					p[l4 + 9] ^= 1;
			}
			int writes = run(3, true);
			if (writes != rows[r].writes)
				fail_msg("%s, IPv%d: %d writes", rows[r].name, version, writes);
			for (int i = 0; i < writes; i++)
				assert_int_equal(merge.runs[i].count, rows[r].runs[i]);
		}
	}
}

/* Not more than the kernel cuts. */
static void test_udp_limit(void **state)
{
	static uint8_t many[MERGE_UDP_MAX + 3][200];
	struct ip_info info;
	(void)state;
	merge_begin(&merge, true, true);
	for (uint32_t i = 0; i < ARRAY_LEN(many); i++) {
		size_t len = rig_udp(many[i], 6, true, 100, i);
		assert_true(ip_parse(many[i], len, &info));
		merge_add(&merge, many[i], &info);
	}
	assert_int_equal(merge_finish(&merge), 2);
	assert_int_equal(merge.runs[0].count, MERGE_UDP_MAX);
	assert_int_equal(merge.runs[1].count, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_udp_bulk),
	    cmocka_unit_test(test_udp_neighbours),
	    cmocka_unit_test(test_udp_limit),
	    cmocka_unit_test(test_bulk),
	    cmocka_unit_test(test_disabled),
	    cmocka_unit_test(test_differences),
	    cmocka_unit_test(test_flows),
	    cmocka_unit_test(test_constant_id),
	    cmocka_unit_test(test_fragment_between),
	    cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
