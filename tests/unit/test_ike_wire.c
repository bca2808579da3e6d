/* SPDX-License-Identifier: MIT */
#include "vectors.h"
#include "wire/ike.h"

/* RFC 7296 1.2: HDR, SAi1, KEi, Ni, N(NAT_DETECTION_SOURCE_IP), N(FRAGMENTATION_SUPPORTED); the
 * lengths are counted by hand from the layouts of 3.1 to 3.10. */
#define INIT_HEADER "0001020304050607 0000000000000000 21 20 22 08 00000000 000000bc"
#define INIT_SA                                                                                    \
	"22 00 0030"                                                                               \
	"00 00 002c 01 01 00 04"                                                                   \
	"03 00 000c 01 00 0014 800e 0080"                                                          \
	"03 00 0008 02 00 0005"                                                                    \
	"03 00 0008 04 00 001f"                                                                    \
	"00 00 0008 04 00 0013"
#define INIT_KE                                                                                    \
	"28 00 0028 001f 0000"                                                                     \
	"a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define INIT_NONCE "29 00 0024 c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
#define INIT_NOTIFIES                                                                              \
	"29 00 001c 00 00 4004 e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3"                           \
	"00 00 0008 00 00 402e"
#define INIT INIT_HEADER INIT_SA INIT_KE INIT_NONCE INIT_NOTIFIES

static void init_request_both_ways(void **state)
{
	(void)state;
	struct vector v = vector_of(INIT);
	struct ike_header h;
	struct ike_payloads p;
	struct ike_proposals sa;
	struct ike_ke ke;
	struct ike_notify nat;

	assert_true(ike_read_header(v.b, v.len, &h));
	assert_memory_equal(h.spi_i, "\0\1\2\3\4\5\6\7", 8);
	assert_int_equal(h.exchange, IKE_SA_INIT);
	assert_int_equal(h.flags, IKE_FLAG_INITIATOR);
	assert_int_equal(
	    ike_read_payloads(h.next, v.b + IKE_HEADER_LEN, v.len - IKE_HEADER_LEN, &p), IKE_OK);
	assert_int_equal(p.count, 5);
	assert_true(ike_read_sa(&p.at[0], &sa));
	assert_int_equal(sa.count, 1);
	assert_int_equal(sa.at[0].count, 4);
	assert_int_equal(sa.at[0].at[0].id, 20);
	assert_int_equal(sa.at[0].at[0].key_bits, 128);
	assert_int_equal(sa.at[0].at[2].id, 31);
	assert_true(ike_read_ke(&p.at[1], &ke));
	assert_int_equal(ke.group, 31);
	assert_int_equal(ke.len, 32);
	assert_true(ike_find_notify(&p, IKE_N_NAT_DETECTION_SOURCE_IP, &nat));
	assert_int_equal(nat.len, 20);

	uint8_t out[512];
	struct ike_builder b = ike_builder_of(out, sizeof(out), &h);
	ike_put_sa(&b, &sa);
	ike_put_ke(&b, ke.group, ke.data, ke.len);
	ike_put_bytes(&b, IKE_PAYLOAD_NONCE, p.at[2].body, p.at[2].len);
	ike_put_notify(&b, nat.type, nat.data, nat.len);
	ike_put_notify(&b, IKE_N_FRAGMENTATION_SUPPORTED, NULL, 0);
	assert_int_equal(ike_builder_finish(&b), v.len);
	assert_memory_equal(out, v.b, v.len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(init_request_both_ways),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
