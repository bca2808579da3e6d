/* SPDX-License-Identifier: MIT */
/*
 * Gratuitous ARP and unsolicited neighbour advertisements.
 *
 * Some neighbours update their ARP cache by requests and some by replies, so both go out
 * (RFC 5944 4.6 allows either).  The neighbour advertisement goes by a raw ICMPv6 socket: the
 * kernel chooses the source address and computes the checksum.
 */
#include "platform/announce.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/cursor.h"

#define LINK_ADDR_LEN 6
#define ARP_LEN	      28

enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

static int announce_link_addr(int fd, unsigned ifindex, uint8_t link[LINK_ADDR_LEN])
{
	struct ifreq ifr = {0};
	if (!if_indextoname(ifindex, ifr.ifr_name) || ioctl(fd, SIOCGIFHWADDR, &ifr) < 0)
		return -errno;
	memcpy(link, ifr.ifr_hwaddr.sa_data, LINK_ADDR_LEN);
	return 0;
}

static int announce_arp(int fd, unsigned ifindex, const struct addr *addr,
			const uint8_t link[LINK_ADDR_LEN], uint16_t operation)
{
	uint8_t frame[ARP_LEN];
	struct writer w = writer_of(frame, sizeof(frame));
	writer_u16(&w, 1); /* Ethernet */
	writer_u16(&w, ETH_P_IP);
	writer_u8(&w, LINK_ADDR_LEN);
	writer_u8(&w, 4);
	writer_u16(&w, operation);
	writer_bytes(&w, link, LINK_ADDR_LEN);
	writer_bytes(&w, addr->b, 4);
	/* RFC 5944 4.6: in a reply the target's link address is ours too. */
	if (operation == ARP_REPLY)
		writer_bytes(&w, link, LINK_ADDR_LEN);
	else
		writer_zero(&w, LINK_ADDR_LEN);
	writer_bytes(&w, addr->b, 4);

	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ARP),
				 .sll_ifindex = (int)ifindex,
				 .sll_halen = LINK_ADDR_LEN};
	memset(to.sll_addr, 0xff, LINK_ADDR_LEN);
	return sendto(fd, frame, writer_len(&w), 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno
											    : 0;
}

static int announce_ip4(unsigned ifindex, const struct addr *addr)
{
	uint8_t link[LINK_ADDR_LEN];
	/* Protocol 0: this socket receives nothing. */
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int r = announce_link_addr(fd, ifindex, link);
	if (r == 0)
		r = announce_arp(fd, ifindex, addr, link, ARP_REQUEST);
	if (r == 0)
		r = announce_arp(fd, ifindex, addr, link, ARP_REPLY);
	close(fd);
	return r;
}

static int announce_ip6(unsigned ifindex, const struct addr *addr)
{
	enum { ADVERTISEMENT = 136, OVERRIDE = 0x20, TARGET_LINK_ADDR = 2, HOPS = 255 };
	uint8_t link[LINK_ADDR_LEN], message[32];
	int hops = HOPS;
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
	if (fd < 0)
		return -errno;
	int r = announce_link_addr(fd, ifindex, link);
	if (r < 0)
		goto out;
	struct writer w = writer_of(message, sizeof(message));
	writer_u8(&w, ADVERTISEMENT);
	writer_zero(&w, 3); /* code; checksum: the kernel's */
	writer_u8(&w, OVERRIDE);
	writer_zero(&w, 3);
	writer_bytes(&w, addr->b, 16);
	writer_u8(&w, TARGET_LINK_ADDR);
	writer_u8(&w, 1);
	writer_bytes(&w, link, LINK_ADDR_LEN);

	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_scope_id = ifindex};
	to.sin6_addr.s6_addr[0] = 0xff; /* ff02::1, all nodes */
	to.sin6_addr.s6_addr[1] = 0x02;
	to.sin6_addr.s6_addr[15] = 0x01;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &ifindex, sizeof(ifindex)) < 0 ||
	    sendto(fd, message, writer_len(&w), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		r = -errno;
out:
	close(fd);
	return r;
}

int announce_address(unsigned ifindex, const struct addr *addr)
{
	return addr->family == 4 ? announce_ip4(ifindex, addr) : announce_ip6(ifindex, addr);
}
