/* SPDX-License-Identifier: MIT */
/* rtnetlink requests in a namespace of its own, looked at with the system's `ip`; and TUN,
 * announcements and the ledger that takes changes back. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <cmocka.h>
#include "netns.h"
#include "platform/announce.h"
#include "platform/rtnl.h"
#include "platform/tun.h"

static struct rtnl *rtnl;
static unsigned left_index, right_index;

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

static int set_up(void **state)
{
	struct err err;
	(void)state;
	if (!netns_do("ip link add left type veth peer name right && ip link set lo up && "
		      "ip link set right up"))
		return -1;
	rtnl = rtnl_new(&err);
	left_index = if_nametoindex("left");
	right_index = if_nametoindex("right");
	return rtnl && left_index && right_index ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	rtnl_free(rtnl);
	return 0;
}

static void test_link(void **state)
{
	(void)state;
	assert_int_equal(rtnl_link_set(rtnl, left_index, true, 1400), 0);
	assert_true(netns_do("ip link show left | grep -q 'UP.*mtu 1400'"));
	assert_int_equal(rtnl_link_set(rtnl, left_index, true, 0), 0);
	assert_true(netns_do("ip link show left | grep -q 'mtu 1400'"));
	assert_int_equal(rtnl_link_set(rtnl, 9999, true, 0), -ENODEV);
}

static void test_addr(void **state)
{
	(void)state;
	struct addr a4 = addr("10.1.0.5"), a6 = addr("fd00:1::5");
	assert_int_equal(rtnl_addr(rtnl, true, left_index, &a4, 24, true), 0);
	assert_int_equal(rtnl_addr(rtnl, true, left_index, &a4, 24, true), -EEXIST);
	assert_true(netns_do("ip -4 route show dev left | grep -q '^10.1.0.0/24'"));
	assert_int_equal(rtnl_addr(rtnl, true, left_index, &a6, 64, false), 0);
	assert_true(
	    netns_do("ip -6 addr show dev left | grep -q 'fd00:1::5/64.*nodad.*noprefixroute'"));
	assert_false(netns_do("ip -6 route show dev left | grep -q '^fd00:1::/64'"));
	assert_int_equal(rtnl_addr(rtnl, false, left_index, &a6, 64, false), 0);
	assert_int_equal(rtnl_addr(rtnl, false, left_index, &a6, 64, false), -EADDRNOTAVAIL);
	assert_true(netns_do("ip -4 addr show dev left | grep -q 10.1.0.5/24"));
}

static void test_route(void **state)
{
	(void)state;
	struct rtnl_route r = {.dst = prefix("0.0.0.0/0"),
			       .source = addr("10.1.0.5"),
			       .ifindex = left_index,
			       .table = 434};
	assert_int_equal(rtnl_route(rtnl, true, &r), 0);
	assert_true(netns_do("ip route show table 434 | grep -q 'default dev left.*src 10.1.0.5'"));
	r.gateway = addr("10.1.0.1"); /* replaces */
	assert_int_equal(rtnl_route(rtnl, true, &r), 0);
	assert_true(netns_do("test \"$(ip route show table 434 | wc -l)\" = 1"));
	assert_true(netns_do("ip route show table 434 | grep -q 'via 10.1.0.1'"));
	assert_int_equal(rtnl_route(rtnl, false, &r), 0);
	assert_int_equal(rtnl_route(rtnl, false, &r), -ESRCH);

	struct rtnl_route r6 = {.dst = prefix("fd00:2::/48"), .ifindex = left_index, .table = 434};
	assert_int_equal(rtnl_route(rtnl, true, &r6), 0);
	assert_true(netns_do("ip -6 route show table 434 | grep -q '^fd00:2::/48 dev left'"));
	assert_int_equal(rtnl_route(rtnl, false, &r6), 0);
	assert_false(netns_do("ip -6 route show table 434 | grep -q fd00:2"));
}

static void test_rule(void **state)
{
	(void)state;
	for (uint8_t family = 4; family <= 6; family += 2) {
		char command[128];
		struct rtnl_rule r = {.family = family,
				      .priority = 4340,
				      .table = 434,
				      .mark = 0x534a,
				      .invert = true,
				      .suppress_prefixlen = 0};
		assert_int_equal(rtnl_rule(rtnl, true, &r), 0);
		assert_int_equal(rtnl_rule(rtnl, true, &r), -EEXIST);
		snprintf(
		    command, sizeof(command),
		    "ip -%d rule | grep '^4340:' | grep 'not from all fwmark 0x534a lookup 434 "
		    "suppress_prefixlength 0' >/dev/null",
		    family);
		assert_true(netns_do(command));
		assert_int_equal(rtnl_rule(rtnl, false, &r), 0);
		assert_false(netns_do(command));
		assert_int_equal(rtnl_rule(rtnl, false, &r), -ENOENT);
	}
}

static void test_proxy(void **state)
{
	static const char *const texts[] = {"10.1.0.77", "fd00:1::77"};
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct addr a = addr(texts[i]);
		char command[128];
		snprintf(command, sizeof(command),
			 "ip -%d neigh show proxy | grep -q '^%s dev left'", a.family, texts[i]);
		assert_int_equal(rtnl_proxy(rtnl, true, left_index, &a), 0);
		assert_int_equal(rtnl_proxy(rtnl, true, left_index, &a), 0);
		assert_true(netns_do(command));
		assert_int_equal(rtnl_proxy(rtnl, false, left_index, &a), 0);
		assert_false(netns_do(command));
	}
}

static void test_resolve(void **state)
{
	(void)state;
	struct addr a = addr("10.1.0.99");
	assert_int_equal(rtnl_resolve(rtnl, left_index, &a), 0);
	assert_true(
	    netns_do("ip neigh show dev left | grep -q '^10.1.0.99.*\\(INCOMPLETE\\|FAILED\\)'"));
}

/* What arrives on the other side, as hexadecimal of the frame's end. */
static size_t hear(int fd, uint8_t *frame, size_t room)
{
	struct timeval wait = {.tv_sec = 2};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	ssize_t n = recv(fd, frame, room, 0);
	return n > 0 ? (size_t)n : 0;
}

static void test_announce4(void **state)
{
	(void)state;
	uint8_t frame[256];
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ARP));
	struct sockaddr_ll ll = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ARP),
				 .sll_ifindex = (int)right_index};
	assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
	struct addr a = addr("10.1.0.88");
	assert_int_equal(announce_address(left_index, &a), 0);
	for (int operation = 1, seen = 0; seen < 2;) {
		size_t n = hear(fd, frame, sizeof(frame));
		assert_true(n >= 42);
		if (memcmp(frame + 28, a.b, 4) != 0)
			continue; /* the kernel's own question of before */
		assert_memory_equal(frame, "\xff\xff\xff\xff\xff\xff", 6);
		assert_memory_equal(frame + 14, "\0\1\x08\0\6\4\0", 7);
		assert_int_equal(frame[21], operation);
		assert_memory_equal(frame + 22, frame + 6, 6);
		assert_memory_equal(frame + 38, a.b, 4);
		operation++;
		seen++;
	}
	close(fd);
	assert_int_equal(announce_address(9999, &a), -ENXIO);
}

static void test_announce6(void **state)
{
	(void)state;
	uint8_t frame[512];
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IPV6));
	struct sockaddr_ll ll = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_IPV6),
				 .sll_ifindex = (int)right_index};
	assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
	/* A source address is needed: left's link-local one, once it is no longer tentative. */
	struct addr a = addr("fd00:1::88");
	assert_true(netns_do("ip -6 addr add fd00:1::1/64 dev left nodad"));
	assert_int_equal(announce_address(left_index, &a), 0);
	for (;;) {
		size_t n = hear(fd, frame, sizeof(frame));
		assert_true(n > 0);
		if (n < 86 || frame[20] != 58 || frame[54] != 136)
			continue;
		assert_int_equal(frame[21], 255);
		assert_memory_equal(frame + 38, "\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
		assert_int_equal(frame[58], 0x20);
		assert_memory_equal(frame + 62, a.b, 16);
		assert_memory_equal(frame + 78, "\2\1", 2);
		assert_memory_equal(frame + 80, frame + 6, 6);
		break;
	}
	close(fd);
}

static void test_tun(void **state)
{
	(void)state;
	struct err err = {""};
	struct tun tun, other;
	for (int offload = 0; offload < 2; offload++) {
		for (unsigned queues = 1; queues <= TUN_QUEUES_MAX; queues += 5) {
			assert_int_equal(tun_open("sj-test0", offload, queues, &tun, &err), 0);
			assert_int_equal(tun.count, queues);
			/* A second owner is refused in words that help. */
			assert_int_equal(tun_open("sj-test0", offload, queues, &other, &err), -1);
			assert_int_equal(other.count, 0);
			assert_non_null(strstr(err.text, "sj-test0"));
			unsigned index = if_nametoindex("sj-test0");
			assert_int_equal(rtnl_link_set(rtnl, index, true, 1300), 0);
			assert_int_equal(rtnl_link_tune(rtnl, index, 2048, 60000), 0);
			tun_close(&tun);
			assert_int_equal(tun.count, 0);
			assert_int_equal(if_nametoindex("sj-test0"), 0);
		}
	}
	assert_int_equal(tun_open("sj-test0", true, 0, &tun, &err), -1);
	assert_int_equal(tun_open("a-name-that-is-too-long", true, 1, &tun, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_link),      cmocka_unit_test(test_addr),
	    cmocka_unit_test(test_route),     cmocka_unit_test(test_rule),
	    cmocka_unit_test(test_proxy),     cmocka_unit_test(test_resolve),
	    cmocka_unit_test(test_announce4), cmocka_unit_test(test_announce6),
	    cmocka_unit_test(test_tun),
	};
	netns_enter();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
