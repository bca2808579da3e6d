/* SPDX-License-Identifier: MIT */
#include "vectors.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include "base/addr.h"
#include "base/mem.h"

static struct addr addr(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct prefix prefix(const char *text)
{
	struct prefix p;
	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static void addr_text(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out; /* out NULL: refused */
		uint8_t family;
	} table[] = {
	    {"192.0.2.1", "192.0.2.1", 4},
	    {"0.0.0.0", "0.0.0.0", 4},
	    {"255.255.255.255", "255.255.255.255", 4},
	    {"2001:db8::1", "2001:db8::1", 6},
	    {"2001:0DB8:0:0::0001", "2001:db8::1", 6},
	    {"::", "::", 6},
	    {"fe80::1", "fe80::1", 6},
	    {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
	     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 6},
	    {"", NULL, 0},
	    {"host.example", NULL, 0},
	    {"192.0.2", NULL, 0},
	    {"192.0.2.256", NULL, 0},
	    {"192.0.2.1 ", NULL, 0},
	    {"192.0.2.1/32", NULL, 0},
	    {"1::2::3", NULL, 0},
	    {"2001:db8::12345", NULL, 0},
	    {"fe80::1%eth0", NULL, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct addr a;
		char buf[ADDR_TEXT_MAX];
		int rc = addr_parse(table[i].in, &a);
		if (!table[i].out) {
			assert_int_equal(rc, -EINVAL);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(a.family, table[i].family);
		assert_string_equal(addr_format(&a, buf), table[i].out);
	}
	struct addr none = {0};
	char buf[ADDR_TEXT_MAX];
	assert_string_equal(addr_format(&none, buf), "none");
}

static void addr_kinds(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool any, link_local, multicast;
	} table[] = {
	    {"0.0.0.0", true, false, false},	     {"::", true, false, false},
	    {"169.254.3.4", false, true, false},     {"169.253.3.4", false, false, false},
	    {"fe80::1", false, true, false},	     {"febf::1", false, true, false},
	    {"fec0::1", false, false, false},	     {"224.0.0.1", false, false, true},
	    {"239.1.2.3", false, false, true},	     {"240.0.0.1", false, false, false},
	    {"ff02::1", false, false, true},	     {"192.0.2.1", false, false, false},
	    {"::ffff:0.0.0.0", false, false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct addr a = addr(table[i].text);
		assert_int_equal(addr_is_any(&a), table[i].any);
		assert_int_equal(addr_is_link_local(&a), table[i].link_local);
		assert_int_equal(addr_is_multicast(&a), table[i].multicast);
	}
}

static void addr_compare(void **state)
{
	(void)state;
	struct addr v4 = addr("0.0.0.0"), v6 = addr("::");
	struct addr a = addr("192.0.2.1"), b = addr("192.0.2.1"), c = addr("192.0.2.2");

	assert_true(addr_equal(&a, &b));
	assert_false(addr_equal(&a, &c));
	assert_false(addr_equal(&v4, &v6));
	assert_int_equal(addr_hash(&a), addr_hash(&b));
	assert_true(addr_hash(&a) != addr_hash(&c));
	assert_true(addr_hash(&v4) != addr_hash(&v6));
	/* A table of a power of two looks at low bits: neighbours must spread over them. */
	unsigned used[64] = {0}, filled = 0;
	for (unsigned i = 0; i < 256; i++) {
		b.b[3] = (uint8_t)i;
		filled += !used[addr_hash(&b) % 64]++;
	}
	assert_true(filled > 48);
}

static void prefix_text(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out; /* out NULL: refused */
	} table[] = {
	    {"10.0.0.0/8", "10.0.0.0/8"},
	    {"10.1.2.3", "10.1.2.3/32"},
	    {"0.0.0.0/0", "0.0.0.0/0"},
	    {"::/0", "::/0"},
	    {"fd00::/64", "fd00::/64"},
	    {"fd00::1", "fd00::1/128"},
	    {"10.1.2.3/32", "10.1.2.3/32"},
	    {"10.128.0.0/9", "10.128.0.0/9"},
	    {"10.64.0.0/9", NULL}, /* a bit past the length */
	    {"fd00::1/127", NULL},
	    {"10.0.0.0/33", NULL},
	    {"fd00::/129", NULL},
	    {"10.0.0.0/", NULL},
	    {"10.0.0.0/-1", NULL},
	    {"10.0.0.0/8x", NULL},
	    {"10.0.0.0/ 8", NULL},
	    {"10.0.0.0/256", NULL},
	    {"10.0.0.0/0008", NULL},
	    {"/8", NULL},
	    {"", NULL},
	    {"fd00:fd00:fd00:fd00:fd00:fd00:fd00:fd00:fd00:fd00:fd00::/8", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct prefix p;
		char buf[PREFIX_TEXT_MAX];
		int rc = prefix_parse(table[i].in, &p);
		if (!table[i].out) {
			assert_int_equal(rc, -EINVAL);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_string_equal(prefix_format(&p, buf), table[i].out);
	}
	struct prefix none = {0};
	char buf[PREFIX_TEXT_MAX];
	assert_string_equal(prefix_format(&none, buf), "none");
}

static void prefix_members(void **state)
{
	(void)state;
	static const struct {
		const char *prefix, *addr;
		bool in;
	} table[] = {
	    {"10.0.0.0/8", "10.255.255.255", true},
	    {"10.0.0.0/8", "11.0.0.0", false},
	    {"10.128.0.0/9", "10.128.0.0", true},
	    {"10.128.0.0/9", "10.127.255.255", false},
	    {"0.0.0.0/0", "255.1.2.3", true},
	    {"0.0.0.0/0", "::", false},
	    {"::/0", "0.0.0.0", false},
	    {"::/0", "ffff::", true},
	    {"192.0.2.1/32", "192.0.2.1", true},
	    {"192.0.2.1/32", "192.0.2.0", false},
	    {"fc00::/7", "fe00::1", false},
	    {"fc00::/7", "fdff::1", true},
	    {"2001:db8::/65", "2001:db8::7fff:0:0:0", true},
	    {"2001:db8::/65", "2001:db8::8000:0:0:0", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct prefix p = prefix(table[i].prefix);
		struct addr a = addr(table[i].addr);
		assert_int_equal(prefix_contains(&p, &a), table[i].in);
	}
	struct addr a = addr("10.1.2.3");
	struct prefix of = prefix_of(&a, 8), same = prefix("10.0.0.0/8"),
		      other = prefix("10.0.0.0/9");
	assert_true(prefix_equal(&of, &same));
	assert_false(prefix_equal(&same, &other));
	of = prefix_of(&a, 200);
	struct prefix host = prefix_host(&a);
	assert_true(prefix_equal(&of, &host));
	assert_int_equal(host.len, 32);
	struct addr none = {0};
	struct prefix nothing = {0};
	assert_false(prefix_contains(&nothing, &none));
}

static void addr_hosts(void **state)
{
	(void)state;
	static const struct {
		const char *addr;
		bool is;
	} table[] = {
	    {"10.0.0.1", true},	    {"203.0.113.7", true}, {"239.255.255.255", false},
	    {"224.0.0.1", false},   {"240.0.0.1", false},  {"255.255.255.255", false},
	    {"127.1.2.3", false},   {"0.1.2.3", false},	   {"0.0.0.0", false},
	    {"169.254.1.1", false}, {"fd00::1", true},	   {"2001:db8::1", true},
	    {"::", false},	    {"::1", false},	   {"::2", true},
	    {"fe80::1", false},	    {"ff02::1", false},	   {"::ffff:10.0.0.1", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct addr a = addr(table[i].addr);
		if (addr_is_host(&a) != table[i].is)
			fail_msg("%s", table[i].addr);
	}
	struct addr none = {0};
	assert_false(addr_is_host(&none));
}

/* Ranges as the fewest prefixes, and back: they follow each other without a gap. */
static void prefix_covers(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to, *prefixes;
	} table[] = {
	    {"10.0.0.0", "10.0.0.255", "10.0.0.0/24 "},
	    {"10.0.0.5", "10.0.0.5", "10.0.0.5/32 "},
	    {"10.0.0.1", "10.0.0.6", "10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32 "},
	    {"10.0.0.10", "10.0.1.1",
	     "10.0.0.10/31 10.0.0.12/30 10.0.0.16/28 10.0.0.32/27 "
	     "10.0.0.64/26 10.0.0.128/25 10.0.1.0/31 "},
	    {"0.0.0.0", "255.255.255.255", "0.0.0.0/0 "},
	    {"255.255.255.254", "255.255.255.255", "255.255.255.254/31 "},
	    {"fd00::", "fd00::ffff", "fd00::/112 "},
	    {"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0 "},
	    {"10.0.0.6", "10.0.0.5", ""},
	    {"10.0.0.6", "fd00::1", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct addr from = addr(table[i].from), to = addr(table[i].to);
		struct prefix list[16];
		char text[512] = "", one[PREFIX_TEXT_MAX];
		size_t n = prefix_cover(&from, &to, list, 16);
		for (size_t k = 0; k < n; k++) {
			strcat(text, prefix_format(&list[k], one));
			strcat(text, " ");
		}
		assert_string_equal(text, table[i].prefixes);
		if (n > 0) {
			struct addr last = prefix_last(&list[n - 1]);
			assert_true(addr_equal(&list[0].addr, &from) && addr_equal(&last, &to));
		}
	}
	/* The worst there is; of which only what there is room for is written. */
	struct addr from = addr("::1"), to = addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
	struct prefix list[254], few[3];
	assert_int_equal(prefix_cover(&from, &to, list, 254), 254);
	assert_int_equal(prefix_cover(&from, &to, few, 3), 254);
	assert_memory_equal(few, list, sizeof(few));
}

static void endpoint_kernel_form(void **state)
{
	(void)state;
	static const struct {
		const char *addr, *text;
		uint16_t port;
	} table[] = {
	    {"192.0.2.1", "192.0.2.1:4500", 4500},
	    {"2001:db8::1", "[2001:db8::1]:65535", 65535},
	    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1", 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct endpoint e = {.addr = addr(table[i].addr), .port = table[i].port}, back;
		struct sockaddr_storage ss;
		char buf[ENDPOINT_TEXT_MAX];
		assert_string_equal(endpoint_format(&e, buf), table[i].text);
		socklen_t len = endpoint_to_sockaddr(&e, &ss);
		assert_int_equal(len, e.addr.family == 4 ? sizeof(struct sockaddr_in)
							 : sizeof(struct sockaddr_in6));
		assert_true(endpoint_from_sockaddr(&ss, &back));
		assert_true(endpoint_equal(&e, &back));
		back.port++;
		assert_false(endpoint_equal(&e, &back));
	}

	struct endpoint e = {.addr = addr("::ffff:192.0.2.1"), .port = 500}, v4;
	struct addr plain = addr("192.0.2.1");
	struct sockaddr_storage ss;
	endpoint_to_sockaddr(&e, &ss);
	assert_true(endpoint_from_sockaddr(&ss, &v4));
	assert_true(addr_equal(&v4.addr, &plain));
	assert_int_equal(v4.port, 500);

	struct endpoint none = {0};
	assert_int_equal(endpoint_to_sockaddr(&none, &ss), 0);
	assert_false(endpoint_from_sockaddr(&ss, &e));
	assert_true(addr_is_any(&e.addr));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addr_text),      cmocka_unit_test(addr_kinds),
	    cmocka_unit_test(addr_compare),   cmocka_unit_test(prefix_text),
	    cmocka_unit_test(addr_hosts),     cmocka_unit_test(prefix_covers),
	    cmocka_unit_test(prefix_members), cmocka_unit_test(endpoint_kernel_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
