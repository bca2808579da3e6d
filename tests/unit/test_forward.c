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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_algorithms),
	};
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
