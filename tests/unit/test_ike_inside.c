/* SPDX-License-Identifier: MIT */
/* The insides of IKEv2 payloads. */
#include "ike_payload.h"

/* A length or count inside a payload: every value but the right one is refused. */
static void read_wrong_inside_length(void **state)
{
	(void)state;
	static const struct {
		const char *story, *hex;
		uint8_t type;
		size_t at, width;
	} table[] = {
	    {"proposal", "00 00 0014 01 03 04 01 c0010203 00 00 0008 03 00 000c", IKE_PAYLOAD_SA, 2,
	     2},
	    {"first of two proposals",
	     "02 00 0014 01 03 04 01 c0010203 00 00 0008 03 00 000c"
	     "00 00 0014 02 03 04 01 c0010204 00 00 0008 03 00 000d",
	     IKE_PAYLOAD_SA, 2, 2},
	    {"more proposals", "00 00 0014 01 03 04 01 c0010203 00 00 0008 03 00 000c",
	     IKE_PAYLOAD_SA, 0, 1},
	    {"count of transforms", "00 00 0014 01 03 04 01 c0010203 00 00 0008 03 00 000c",
	     IKE_PAYLOAD_SA, 7, 1},
	    {"SPI size", "00 00 0014 01 03 04 01 c0010203 00 00 0008 03 00 000c", IKE_PAYLOAD_SA, 6,
	     1},
	    {"more transforms",
	     "00 00 001c 01 03 04 02 c0010203 03 00 0008 03 00 000c 00 00 0008 05 00 0001",
	     IKE_PAYLOAD_SA, 12, 1},
	    {"transform",
	     "00 00 0020 01 03 04 02 c0010203 03 00 000c 01 00 0014 800e 0080 00 00 0008 05 00 "
	     "0001",
	     IKE_PAYLOAD_SA, 14, 2},
	    {"last transform",
	     "00 00 0020 01 03 04 02 c0010203 03 00 000c 01 00 0014 800e 0080 00 00 0008 05 00 "
	     "0001",
	     IKE_PAYLOAD_SA, 26, 2},
	    {"attribute", "00 00 001a 01 03 04 01 c0010203 00 00 000e 01 00 0014 0001 0002 abcd",
	     IKE_PAYLOAD_SA, 22, 2},
	    {"count of selectors", "01 000000 07 00 0010 0000 ffff 0a000000 0a0000ff",
	     IKE_PAYLOAD_TSI, 0, 1},
	    {"selector", "01 000000 07 00 0010 0000 ffff 0a000000 0a0000ff", IKE_PAYLOAD_TSR, 6, 2},
	    {"IPv6 selector",
	     "01 000000 08 00 0028 0000 ffff fd000000000000000000000000000000"
	     "fd0000000000000000000000000000ff",
	     IKE_PAYLOAD_TSR, 6, 2},
	    {"selector of unknown type", "01 000000 09 00 0010 0000 ffff 0a000000 0a0000ff",
	     IKE_PAYLOAD_TSI, 6, 2},
	    {"configuration attribute", "01 000000 0001 0004 0a090002", IKE_PAYLOAD_CP, 6, 2},
	    {"SPI size of a delete", "03 04 0002 c0010203 c0010204", IKE_PAYLOAD_DELETE, 1, 1},
	    {"count of a delete", "03 04 0002 c0010203 c0010204", IKE_PAYLOAD_DELETE, 2, 2},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct vector v = vector_of(table[i].hex);
		struct ike_payload p = payload_of(table[i].type, v.b, v.len);
		uint8_t *at = (uint8_t *)(uintptr_t)p.body + table[i].at;
		unsigned accepted = 0;
		for (unsigned value = 0; value < 1u << 8 * table[i].width; value++) {
			struct writer w = writer_of(at, table[i].width);
			writer_uint(&w, value, table[i].width);
			if (read_inside(&p)) {
				accepted++;
				assert_memory_equal(at, v.b + table[i].at, table[i].width);
			}
		}
		if (accepted != 1)
			fail_msg("%s: %u values accepted", table[i].story, accepted);
		payload_free(&p);
	}
}

static void read_notifies(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		bool ok;
		uint8_t protocol, spi_len;
		uint16_t type;
		size_t len;
	} table[] = {
	    {"00 00 0007", true, 0, 0, IKE_N_INVALID_SYNTAX, 0},
	    {"00 00 4006 aabb", true, 0, 0, IKE_N_COOKIE, 2},
	    {"03 04 4009 01020304", true, 3, 4, IKE_N_REKEY_SA, 0},
	    {"01 08 4009 0102030405060708 aa", true, 1, 8, IKE_N_REKEY_SA, 1},
	    {"03 04 4009 010203", false, 0, 0, 0, 0},
	    {"03 05 4009 0102030405", false, 0, 0, 0, 0},
	    {"03 ff 4009 01020304", false, 0, 0, 0, 0},
	    {"03 00 40", false, 0, 0, 0, 0},
	    {"", false, 0, 0, 0, 0},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct vector v = vector_of(table[i].hex);
		struct ike_payload p = payload_of(IKE_PAYLOAD_NOTIFY, v.b, v.len);
		struct ike_notify n;
		assert_int_equal(ike_read_notify(&p, &n), table[i].ok);
		if (table[i].ok) {
			assert_int_equal(n.protocol, table[i].protocol);
			assert_int_equal(n.spi_len, table[i].spi_len);
			assert_int_equal(n.type, table[i].type);
			assert_int_equal(n.len, table[i].len);
		}
		payload_free(&p);
	}
}

static void find_passes_malformed_notify(void **state)
{
	(void)state;
	struct vector v = vector_of("29 00 0008 00 09 4006 29 00 000a 00 00 4006 0102"
				    "00 00 000a 00 00 4006 0304");
	struct ike_payloads p;
	struct ike_notify n;

	assert_int_equal(ike_read_payloads(IKE_PAYLOAD_NOTIFY, v.b, v.len, &p), IKE_OK);
	assert_true(ike_find_notify(&p, IKE_N_COOKIE, &n));
	assert_memory_equal(n.data, "\1\2", 2);
	assert_ptr_equal(ike_find_payload(&p, IKE_PAYLOAD_NOTIFY), &p.at[0]);
	assert_null(ike_find_payload(&p, IKE_PAYLOAD_SA));
}

static void read_insides(void **state)
{
	(void)state;
	static const struct {
		const char *story;
		uint8_t type;
		const char *hex;
		bool ok;
	} table[] = {
	    {"KE without a value", IKE_PAYLOAD_KE, "001f 0000", false},
	    {"KE", IKE_PAYLOAD_KE, "001f ffff aa", true},
	    {"AUTH without data", IKE_PAYLOAD_AUTH, "02 000000", false},
	    {"CERT without data", IKE_PAYLOAD_CERT, "04", false},
	    {"CERTREQ for anyone", IKE_PAYLOAD_CERTREQ, "04", true},
	    {"ID_NULL", IKE_PAYLOAD_IDI, "0d 000000", true},
	    {"delete of the IKE SA", IKE_PAYLOAD_DELETE, "01 00 0000", true},
	    {"... with a number", IKE_PAYLOAD_DELETE, "01 00 0001", true},
	    {"... with SPIs", IKE_PAYLOAD_DELETE, "01 08 0001 0102030405060708", false},
	    {"delete of nothing", IKE_PAYLOAD_DELETE, "03 04 0000", true},
	    {"delete with SPIs of no size", IKE_PAYLOAD_DELETE, "03 00 ffff", false},
	    {"delete with long SPIs", IKE_PAYLOAD_DELETE, "03 08 0001 0102030405060708", false},
	    {"delete of no protocol", IKE_PAYLOAD_DELETE, "00 04 0001 01020304", false},
	    {"delete of AH", IKE_PAYLOAD_DELETE, "02 04 0001 01020304", true},
	    {"delete with octets behind", IKE_PAYLOAD_DELETE, "02 04 0001 01020304 00", false},
	    {"fragment", IKE_PAYLOAD_SKF, "0001 0001", true},
	    {"last fragment", IKE_PAYLOAD_SKF, "ffff ffff", true},
	    {"fragment 0", IKE_PAYLOAD_SKF, "0000 0001", false},
	    {"fragment of none", IKE_PAYLOAD_SKF, "0001 0000", false},
	    {"fragment past the last", IKE_PAYLOAD_SKF, "0003 0002", false},
	    {"fragment without total", IKE_PAYLOAD_SKF, "0001 00", false},
	    {"SA of nothing", IKE_PAYLOAD_SA, "", false},
	    {"proposal without transforms", IKE_PAYLOAD_SA, "00 00 0008 01 01 00 00", true},
	    {"TS of nothing", IKE_PAYLOAD_TSI, "00 000000", false},
	    {"CP of nothing", IKE_PAYLOAD_CP, "01 000000", true},
	    {"CP without kind", IKE_PAYLOAD_CP, "", false},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct vector v = vector_of(table[i].hex);
		struct ike_payload p = payload_of(table[i].type, v.b, v.len);
		if (read_inside(&p) != table[i].ok)
			fail_msg("%s: not %d", table[i].story, table[i].ok);
		payload_free(&p);
	}

	struct vector v = vector_of("01 00 0001");
	struct ike_payload p = payload_of(IKE_PAYLOAD_DELETE, v.b, v.len);
	struct ike_delete d;
	assert_true(ike_read_delete(&p, &d));
	assert_int_equal(d.count, 0); /* nobody walks SPIs that are not there */
	payload_free(&p);
}

/* --- SA */

static void read_proposals(void **state)
{
	(void)state;
	static const struct {
		const char *story, *hex;
		uint8_t count; /* of proposals kept; of the first: */
		uint8_t transforms;
		uint16_t key_bits;
		bool unknown_attribute;
	} table[] = {
	    {"no attribute", "00 00 0010 01 01 00 01 00 00 0008 01 00 001c", 1, 1, 0, false},
	    {"key length", "00 00 0014 01 01 00 01 00 00 000c 01 00 000c 800e 0100", 1, 1, 256,
	     false},
	    {"key length of 0", "00 00 0014 01 01 00 01 00 00 000c 01 00 000c 800e 0000", 1, 1, 0,
	     true},
	    {"key length twice", "00 00 0018 01 01 00 01 00 00 0010 01 00 000c 800e 0100 800e 0080",
	     1, 1, 256, true},
	    {"key length in the long form",
	     "00 00 0016 01 01 00 01 00 00 000e 01 00 000c 000e 0002 0100", 1, 1, 0, true},
	    {"unknown attribute", "00 00 0014 01 01 00 01 00 00 000c 01 00 000c 8001 0100", 1, 1, 0,
	     true},
	    {"unknown attribute and key length",
	     "00 00 001a 01 01 00 01 00 00 0012 01 00 000c 0011 0002 abcd 800e 0080", 1, 1, 128,
	     true},
	    {"unknown transform type", "00 00 0010 01 01 00 01 00 00 0008 f0 00 0001", 1, 1, 0,
	     false},
	    {"unknown protocol", "00 00 0014 01 04 04 01 c0010203 00 00 0008 03 00 000c", 0, 0, 0,
	     false},
	    {"unknown protocol, then ours",
	     "02 00 0014 01 fc 04 01 c0010203 00 00 0008 03 00 000c"
	     "00 00 0014 02 02 04 01 c0010203 00 00 0008 03 00 000c",
	     1, 1, 0, false},
	    {"ESP without SPI", "00 00 0010 01 03 00 01 00 00 0008 01 00 0014", 0, 0, 0, false},
	    {"SPI of 12 octets",
	     "00 00 001c 01 01 0c 01 000102030405060708090a0b 00 00 0008 01 00 0014", 0, 0, 0,
	     false},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct vector v = vector_of(table[i].hex);
		struct ike_payload p = payload_of(IKE_PAYLOAD_SA, v.b, v.len);
		struct ike_proposals sa;
		if (!ike_read_sa(&p, &sa) || sa.count != table[i].count)
			fail_msg("%s", table[i].story);
		if (sa.count) {
			const struct ike_transform *t = &sa.at[0].at[0];
			assert_int_equal(sa.at[0].count, table[i].transforms);
			assert_int_equal(t->key_bits, table[i].key_bits);
			assert_int_equal(t->unknown_attribute, table[i].unknown_attribute);
		}
		payload_free(&p);
	}
}

/* `count` proposals, each of `transforms` of the type ENCR, then one of `last_type`. */
static bool read_big_sa(unsigned count, unsigned transforms, uint8_t last_type,
			struct ike_proposals *out)
{
	static uint8_t body[65535];
	struct writer w = writer_of(body, sizeof(body));

	for (unsigned i = 0; i < count; i++) {
		writer_u16(&w, i + 1 < count ? 0x0200 : 0);
		writer_u16(&w, (uint16_t)(8 + 8 * (transforms + 1)));
		writer_u8(&w, (uint8_t)(i + 1));
		writer_u8(&w, IKE_PROTO_IKE);
		writer_u8(&w, 0);
		writer_u8(&w, (uint8_t)(transforms + 1));
		for (unsigned t = 0; t <= transforms; t++) {
			writer_u16(&w, t < transforms ? 0x0300 : 0);
			writer_u16(&w, 8);
			writer_u16(&w, (uint16_t)((t < transforms ? 1 : last_type) << 8));
			writer_u16(&w, (uint16_t)t);
		}
	}
	assert_false(w.failed);
	struct ike_payload p = payload_of(IKE_PAYLOAD_SA, body, writer_len(&w));
	bool ok = ike_read_sa(&p, out);
	payload_free(&p);
	return ok;
}

static void read_big_proposals(void **state)
{
	(void)state;
	static const struct {
		const char *story;
		unsigned count, transforms;
		uint8_t last_type, kept, kept_transforms;
	} table[] = {
	    {"what fits", IKE_PROPOSALS_MAX, IKE_TRANSFORMS_MAX - 1, IKE_TRANSFORM_PRF,
	     IKE_PROPOSALS_MAX, IKE_TRANSFORMS_MAX},
	    {"a proposal more", IKE_PROPOSALS_MAX + 1, 1, IKE_TRANSFORM_PRF, IKE_PROPOSALS_MAX, 2},
	    {"300 proposals", 300, 1, IKE_TRANSFORM_PRF, IKE_PROPOSALS_MAX, 2},
	    {"a cipher more", 1, IKE_TRANSFORMS_MAX, IKE_TRANSFORM_ENCR, 1, IKE_TRANSFORMS_MAX},
	    {"255 ciphers", 1, 254, IKE_TRANSFORM_ENCR, 1, IKE_TRANSFORMS_MAX},
	    /* A choice without the PRF that was offered would be wrong. */
	    {"a type more", 2, IKE_TRANSFORMS_MAX, IKE_TRANSFORM_PRF, 0, 0},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct ike_proposals sa;
		assert_true(
		    read_big_sa(table[i].count, table[i].transforms, table[i].last_type, &sa));
		if (sa.count != table[i].kept)
			fail_msg("%s: %u", table[i].story, sa.count);
		for (size_t n = 0; n < sa.count; n++) {
			assert_int_equal(sa.at[n].number, n + 1);
			assert_int_equal(sa.at[n].count, table[i].kept_transforms);
		}
	}
}

/* --- CP */

static void read_configurations(void **state)
{
	(void)state;
	static const struct {
		const char *story, *hex;
		uint8_t count;
		uint16_t attr;
		uint8_t len;
	} table[] = {
	    {"wish", "01 000000 0001 0000", 1, IKE_CP_IP4_ADDRESS, 0},
	    {"address", "02 000000 0001 0004 0a090002", 1, IKE_CP_IP4_ADDRESS, 4},
	    {"reserved bit", "02 ffffff 8001 0004 0a090002", 1, IKE_CP_IP4_ADDRESS, 4},
	    {"short address", "02 000000 0001 0003 0a0900", 0, 0, 0},
	    {"long address", "02 000000 0001 0005 0a09000201", 0, 0, 0},
	    {"IPv6 address", "02 000000 0008 0011 fd000000000000000000000000000002 40", 1,
	     IKE_CP_IP6_ADDRESS, 17},
	    {"IPv6 address without prefix length",
	     "02 000000 0008 0010 fd000000000000000000000000000002", 0, 0, 0},
	    {"subnet", "02 000000 000d 0008 0a090000 ffff0000", 1, IKE_CP_IP4_SUBNET, 8},
	    {"too long a text, then DNS",
	     "02 000000 0007 0012 000102030405060708090a0b0c0d0e0f1011 0003 0004 0a090001", 1,
	     IKE_CP_IP4_DNS, 4},
	    {"unknown, then DNS", "02 000000 4001 0002 abcd 0003 0004 0a090001", 2, 0x4001, 2},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct vector v = vector_of(table[i].hex);
		struct ike_payload p = payload_of(IKE_PAYLOAD_CP, v.b, v.len);
		struct ike_cp cp;
		if (!ike_read_cp(&p, &cp) || cp.count != table[i].count)
			fail_msg("%s", table[i].story);
		assert_int_equal(cp.kind, v.b[0]);
		if (cp.count) {
			assert_int_equal(cp.at[0].attr, table[i].attr);
			assert_int_equal(cp.at[0].len, table[i].len);
		}
		payload_free(&p);
	}
}

static void read_big_configuration(void **state)
{
	(void)state;
	uint8_t body[4 + 4 * (IKE_CP_MAX + 300)] = {IKE_CP_REQUEST};
	struct ike_cp cp;

	for (size_t i = 4; i < sizeof(body); i += 4)
		body[i + 1] = IKE_CP_IP4_DNS;
	struct ike_payload p = payload_of(IKE_PAYLOAD_CP, body, sizeof(body));
	assert_true(ike_read_cp(&p, &cp));
	assert_int_equal(cp.count, IKE_CP_MAX);
	payload_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(read_notifies),
	    cmocka_unit_test(find_passes_malformed_notify),
	    cmocka_unit_test(read_insides),
	    cmocka_unit_test(read_proposals),
	    cmocka_unit_test(read_big_proposals),
	    cmocka_unit_test(read_configurations),
	    cmocka_unit_test(read_big_configuration),
	    cmocka_unit_test(read_wrong_inside_length),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
