/* SPDX-License-Identifier: MIT */
/* Traffic selectors as sets.  In the tables a list is text: selectors as ike_ts_format writes
 * them, protocols as numbers, one space between. */
#include "ike_payload.h"

static struct ike_ts ts_of(const char *text)
{
	char range[128], *bracket, *dash;
	struct ike_ts ts;
	struct prefix p;
	unsigned protocol, from, to;

	snprintf(range, sizeof(range), "%s", text);
	bracket = strchr(range, '[');
	if (bracket)
		*bracket++ = '\0';
	dash = strchr(range, '-');
	if (dash) {
		*dash++ = '\0';
		ts = (struct ike_ts){.port_to = 65535};
		assert_int_equal(addr_parse(range, &ts.from), 0);
		assert_int_equal(addr_parse(dash, &ts.to), 0);
	} else {
		assert_int_equal(prefix_parse(range, &p), 0);
		ts = ike_ts_of_prefix(&p);
	}
	if (!bracket)
		return ts;
	int n = sscanf(bracket, "%u/%u-%u]", &protocol, &from, &to);
	assert_true(n >= 1);
	ts.protocol = (uint8_t)protocol;
	if (n >= 2) {
		ts.port_from = (uint16_t)from;
		ts.port_to = (uint16_t)(n == 3 ? to : from);
	}
	return ts;
}

static struct ike_ts_list list_of(const char *text)
{
	struct ike_ts_list list = {0};
	char copy[1024], *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", text);
	while ((word = strsep(&rest, " "))) {
		if (*word)
			list.at[list.count++] = ts_of(word);
	}
	return list;
}

static void assert_list(const char *story, const struct ike_ts_list *list, const char *text)
{
	struct ike_ts_list want = list_of(text);
	char buf[IKE_TS_TEXT_MAX];

	if (list->count != want.count)
		fail_msg("%s: %u selectors", story, list->count);
	for (size_t i = 0; i < want.count; i++) {
		if (!ike_ts_equal(&list->at[i], &want.at[i]))
			fail_msg("%s: %s", story, ike_ts_format(&list->at[i], buf));
	}
}

static void narrow(void **state)
{
	(void)state;
	static const struct {
		const char *story, *offered, *policy, *out;
	} table[] = {
	    {"the same", "10.9.0.0/16", "10.9.0.0/16", "10.9.0.0/16"},
	    {"everything to an address", "0.0.0.0/0", "10.9.0.2/32", "10.9.0.2/32"},
	    {"a part is taken whole", "10.9.0.0/24", "10.0.0.0/8", "10.9.0.0/24"},
	    {"nothing in common", "10.9.0.0/24", "192.0.2.0/24", ""},
	    {"neighbours", "10.0.0.0/25", "10.0.0.128/25", ""},
	    {"one address in common", "10.0.0.0-10.0.0.9", "10.0.0.9-10.0.0.20", "10.0.0.9/32"},
	    {"ranges that overlap", "10.0.0.1-10.0.1.7", "10.0.0.200-10.2.0.0",
	     "10.0.0.200-10.0.1.7"},
	    {"other family", "0.0.0.0/0", "::/0", ""},
	    {"both families", "0.0.0.0/0 ::/0", "10.9.0.2/32 fd00:9::2/128",
	     "10.9.0.2/32 fd00:9::2/128"},
	    {"only one of two is allowed", "0.0.0.0/0 ::/0", "fd00:9::/64", "fd00:9::/64"},
	    /* RFC 7296 2.9: the packet that asked for the SA, then the subnet around it */
	    {"packet and subnet", "192.0.1.43/32[17/1000] 192.0.1.0/24", "192.0.1.0/24",
	     "192.0.1.43/32[17/1000] 192.0.1.0/24"},
	    {"packet and subnet, part of it allowed", "198.51.100.43/32[17/53] 198.51.0.0/16",
	     "198.51.100.0/24", "198.51.100.43/32[17/53] 198.51.100.0/24"},
	    {"packet and subnet, allowed in two parts", "192.0.2.43/32[17/53] 192.0.0.0/16",
	     "192.0.1.0/24 192.0.2.0/24", "192.0.2.43/32[17/53] 192.0.1.0/24 192.0.2.0/24"},
	    {"the packet is not allowed", "192.0.3.43/32[17/53] 192.0.0.0/16", "192.0.2.0/24",
	     "192.0.2.0/24"},
	    {"in the offer's order", "10.2.0.0/16 10.1.0.0/16", "10.1.0.0/16 10.2.0.0/16",
	     "10.2.0.0/16 10.1.0.0/16"},
	    {"no repeats", "10.0.0.0/8 0.0.0.0/0 10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/16"},
	    {"a protocol", "10.0.0.0/8", "0.0.0.0/0[6]", "10.0.0.0/8[6]"},
	    {"another protocol", "10.0.0.0/8[17]", "0.0.0.0/0[6]", ""},
	    {"ports", "10.0.0.0/8[17/1000-2000]", "10.0.0.0/8[17/1500-3000]",
	     "10.0.0.0/8[17/1500-2000]"},
	    {"one port in common", "10.0.0.0/8[17/1-5]", "10.0.0.0/8[17/5-9]", "10.0.0.0/8[17/5]"},
	    {"no port in common", "10.0.0.0/8[17/1-5]", "10.0.0.0/8[17/6-9]", ""},
	    {"ports of any protocol", "10.0.0.0/8[0/80]", "10.0.0.0/8[6]", "10.0.0.0/8[6/80]"},
	    {"ICMP echo", "10.0.0.0/8[1]", "10.0.0.0/8[1/2048-2303]", "10.0.0.0/8[1/2048-2303]"},
	    {"OPAQUE in ANY", "10.0.0.0/8[17/65535-0]", "10.0.0.0/8", "10.0.0.0/8[17/65535-0]"},
	    {"ANY to OPAQUE", "10.0.0.0/8", "10.0.0.0/8[17/65535-0]", "10.0.0.0/8[17/65535-0]"},
	    {"OPAQUE in itself", "10.0.0.0/8[17/65535-0]", "10.0.0.0/8[17/65535-0]",
	     "10.0.0.0/8[17/65535-0]"},
	    {"OPAQUE is in no range", "10.0.0.0/8[17/65535-0]", "10.0.0.0/8[17/0-65534]", ""},
	    {"an offer of nothing", "", "0.0.0.0/0", ""},
	    {"a policy of nothing", "0.0.0.0/0", "", ""},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct ike_ts_list offered = list_of(table[i].offered);
		struct ike_ts_list policy = list_of(table[i].policy), out;
		ike_ts_narrow(&offered, &policy, &out);
		assert_list(table[i].story, &out, table[i].out);
		ike_ts_narrow(&offered, &policy, &offered); /* in place */
		assert_list(table[i].story, &offered, table[i].out);
	}
}

static void narrow_to_more_than_fits(void **state)
{
	(void)state;
	struct ike_ts_list offered = {.count = IKE_TS_MAX}, policy = offered, out;

	for (size_t i = 0; i < IKE_TS_MAX; i++) {
		struct ike_ts ts = ts_of("10.0.0.0/8[17/0-999]");
		ts.port_from = (uint16_t)i;
		offered.at[i] = ts;
		ts.port_from = 0;
		ts.port_to = (uint16_t)(500 + i);
		policy.at[i] = ts;
	}
	ike_ts_narrow(&offered, &policy, &out);
	assert_int_equal(out.count, IKE_TS_MAX);
	for (size_t i = 0; i < IKE_TS_MAX; i++) {
		assert_int_equal(out.at[i].port_from, 0);
		assert_int_equal(out.at[i].port_to, 500 + i);
	}
}

static void formats(void **state)
{
	(void)state;
	static const struct {
		const char *ts, *text;
	} table[] = {
	    {"10.0.0.0/24", "10.0.0.0/24"},
	    {"0.0.0.0/0", "0.0.0.0/0"},
	    {"0.0.0.0-255.255.255.255", "0.0.0.0/0"},
	    {"10.0.0.0-10.0.0.255", "10.0.0.0/24"},
	    {"10.0.0.1-10.0.0.1", "10.0.0.1/32"},
	    {"10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"},
	    {"10.0.0.1-10.0.0.255", "10.0.0.1-10.0.0.255"},
	    {"10.0.0.128-10.0.1.127", "10.0.0.128-10.0.1.127"},
	    {"::/0", "::/0"},
	    {"fd00:9::/64", "fd00:9::/64"},
	    {"fd00:9::2-fd00:9::2", "fd00:9::2/128"},
	    {"fd00:9::1-fd00:9::ffff", "fd00:9::1-fd00:9::ffff"},
	    {"10.0.0.0/24[6]", "10.0.0.0/24[tcp]"},
	    {"10.0.0.0/24[17/434]", "10.0.0.0/24[udp/434]"},
	    {"10.0.0.0/24[17/1-9]", "10.0.0.0/24[udp/1-9]"},
	    {"10.0.0.0/24[0/80]", "10.0.0.0/24[any/80]"},
	    {"10.0.0.0/24[1/2048-2303]", "10.0.0.0/24[icmp/2048-2303]"},
	    {"fd00::/8[58]", "fd00::/8[ipv6-icmp]"},
	    {"10.0.0.0/24[255/65535-0]", "10.0.0.0/24[255/opaque]"},
	    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"
	     "[132/10000-65534]",
	     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"
	     "[132/10000-65534]"},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct ike_ts ts = ts_of(table[i].ts);
		char buf[IKE_TS_TEXT_MAX];
		assert_string_equal(ike_ts_format(&ts, buf), table[i].text);
	}
}

static void prefixes(void **state)
{
	(void)state;
	static const struct {
		const char *prefix, *from, *to;
	} table[] = {
	    {"0.0.0.0/0", "0.0.0.0", "255.255.255.255"},
	    {"10.9.0.2/32", "10.9.0.2", "10.9.0.2"},
	    {"10.9.0.128/25", "10.9.0.128", "10.9.0.255"},
	    {"10.8.0.0/13", "10.8.0.0", "10.15.255.255"},
	    {"fd00:9::/63", "fd00:9::", "fd00:9:0:1:ffff:ffff:ffff:ffff"},
	    {"::1/128", "::1", "::1"},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct prefix p;
		struct addr from, to;
		assert_int_equal(prefix_parse(table[i].prefix, &p), 0);
		assert_int_equal(addr_parse(table[i].from, &from), 0);
		assert_int_equal(addr_parse(table[i].to, &to), 0);
		struct ike_ts ts = ike_ts_of_prefix(&p);
		assert_true(addr_equal(&ts.from, &from));
		assert_true(addr_equal(&ts.to, &to));
		assert_int_equal(ts.protocol, 0);
		assert_int_equal(ts.port_from, 0);
		assert_int_equal(ts.port_to, 65535);
	}
}

static void read_selectors(void **state)
{
	(void)state;
	static const struct {
		const char *story, *hex;
		bool ok;
		const char *out;
	} table[] = {
	    {"one", "01 000000 07 11 0010 01b2 01b3 0a090000 0a0900ff", true,
	     "10.9.0.0/24[17/434-435]"},
	    {"one address", "01 000000 07 00 0010 0000 ffff 0a090002 0a090002", true,
	     "10.9.0.2/32"},
	    {"both families",
	     "02 000000 07 00 0010 0000 ffff 00000000 ffffffff"
	     "08 00 0028 0000 ffff 00000000000000000000000000000000"
	     "ffffffffffffffffffffffffffffffff",
	     true, "0.0.0.0/0 ::/0"},
	    {"OPAQUE", "01 000000 07 11 0010 ffff 0000 0a090000 0a0900ff", true,
	     "10.9.0.0/24[17/65535-0]"},
	    {"ports fall", "01 000000 07 11 0010 0002 0001 0a090000 0a0900ff", false, ""},
	    {"addresses fall", "01 000000 07 00 0010 0000 ffff 0a090001 0a090000", false, ""},
	    {"unknown type, then one",
	     "02 000000 09 00 000a abcd abcd 0102"
	     "07 00 0010 0000 ffff 0a090002 0a090002",
	     true, "10.9.0.2/32"},
	    {"unknown types only", "01 000000 06 00 0008 abcd abcd", true, ""},
	    {"IPv6 in the length of IPv4", "01 000000 08 00 0010 0000 ffff 0a090002 0a090002",
	     false, ""},
	    {"count too large", "02 000000 07 00 0010 0000 ffff 0a090002 0a090002", false, ""},
	    {"count of nothing", "00 000000 07 00 0010 0000 ffff 0a090002 0a090002", false, ""},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct vector v = vector_of(table[i].hex);
		struct ike_payload p = payload_of(IKE_PAYLOAD_TSI, v.b, v.len);
		struct ike_ts_list list;
		if (ike_read_ts(&p, &list) != table[i].ok)
			fail_msg("%s", table[i].story);
		if (table[i].ok)
			assert_list(table[i].story, &list, table[i].out);
		payload_free(&p);
	}
}

static void read_more_than_fits(void **state)
{
	(void)state;
	struct vector one = vector_of("07 00 0010 0000 ffff 0a090002 0a090002");
	uint8_t body[4 + 255 * 16] = {255};
	struct ike_ts_list list;

	for (size_t i = 0; i < 255; i++)
		memcpy(body + 4 + i * 16, one.b, 16);
	struct ike_payload p = payload_of(IKE_PAYLOAD_TSI, body, sizeof(body));
	assert_true(ike_read_ts(&p, &list));
	assert_int_equal(list.count, IKE_TS_MAX);
	payload_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(narrow),	      cmocka_unit_test(narrow_to_more_than_fits),
	    cmocka_unit_test(formats),	      cmocka_unit_test(prefixes),
	    cmocka_unit_test(read_selectors), cmocka_unit_test(read_more_than_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
