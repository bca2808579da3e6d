/* SPDX-License-Identifier: MIT */
/*
 * Packet sockets as the packet thread uses them.
 *
 *  - SO_MARK keeps our own packets off the tunnel (the routing rules look at it) and
 *    SO_BINDTODEVICE makes them leave by the interface whose address they carry.
 *  - IP_RECVERR queues what the path said about our packets: where EMSGSIZE's MTU is found.
 *  - UDP_GRO joins datagrams of one flow; TOS comes with each for the ECN rules of RFC 6040.
 *  - IP_FREEBIND: an address may still be tentative, or be coming back.
 */
#include "platform/sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "wire/ip.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

#define SOCK_BUFFER_LEN (4 << 20)
/* A socket being closed by the packet thread holds its port until a grace period ended. */
#define SOCK_BIND_TRIES	  10
#define SOCK_BIND_WAIT_NS 2000000

static int sock_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int sock_set_family_options(int fd, bool udp, bool ipv6, enum fwd_df df)
{
	int discover = df == FWD_DF_CLEAR ? IP_PMTUDISC_DONT : IP_PMTUDISC_DO;
	int r;
	if (ipv6) {
		/* A raw socket has one family anyway. */
		if ((udp && (r = sock_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) < 0) ||
		    (r = sock_set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1)) < 0 ||
		    (r = sock_set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1)) < 0 ||
		    (r = sock_set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, discover)) < 0)
			return r;
		(void)sock_set(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1); /* since Linux 4.15 */
		return 0;
	}
	if ((r = sock_set(fd, IPPROTO_IP, IP_RECVERR, 1)) < 0 ||
	    (r = sock_set(fd, IPPROTO_IP, IP_RECVTOS, 1)) < 0 ||
	    (r = sock_set(fd, IPPROTO_IP, IP_FREEBIND, 1)) < 0)
		return r;
	return sock_set(fd, IPPROTO_IP, IP_MTU_DISCOVER, discover);
}

/* Its outer headers are wanted whole: IPv4's in both directions, IPv6's extension headers. */
static int sock_set_ah_options(int fd, bool ipv6)
{
	int r;
	if (!ipv6)
		return sock_set(fd, IPPROTO_IP, IP_HDRINCL, 1);
	if ((r = sock_set(fd, IPPROTO_IPV6, IPV6_RECVHOPOPTS, 1)) < 0 ||
	    (r = sock_set(fd, IPPROTO_IPV6, IPV6_RECVDSTOPTS, 1)) < 0)
		return r;
	return sock_set(fd, IPPROTO_IPV6, IPV6_RECVRTHDR, 1);
}

bool sock_is_ah(int fd)
{
	int protocol = 0;
	socklen_t len = sizeof(protocol);
	return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 &&
	       protocol == IP_PROTO_AH;
}

static int sock_bind(int fd, const struct endpoint *local)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(local, &ss);
	for (int i = 0;; i++) {
		if (bind(fd, (struct sockaddr *)&ss, len) == 0)
			return 0;
		if (errno != EADDRINUSE || i == SOCK_BIND_TRIES)
			return -errno;
		struct timespec wait = {.tv_nsec = SOCK_BIND_WAIT_NS};
		nanosleep(&wait, NULL);
	}
}

void sock_tell_destination(int fd, bool ipv6)
{
	(void)sock_set(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_RECVPKTINFO : IP_PKTINFO,
		       1);
}

bool sock_read_destination(struct cmsghdr *c, struct addr *out)
{
	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO &&
	    c->cmsg_len >= CMSG_LEN(sizeof(struct in_pktinfo))) {
		struct in_pktinfo info;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		*out = addr_from_bytes(4, (const uint8_t *)&info.ipi_addr);
		return true;
	}
	if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
	    c->cmsg_len >= CMSG_LEN(sizeof(struct in6_pktinfo))) {
		struct in6_pktinfo info;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		*out = addr_from_bytes(6, info.ipi6_addr.s6_addr);
		return true;
	}
	return false;
}

size_t sock_put_source(uint8_t *control, size_t room, const struct addr *source)
{
	bool ipv6 = source->family == 6;
	size_t len = ipv6 ? sizeof(struct in6_pktinfo) : sizeof(struct in_pktinfo);
	struct cmsghdr *c = (struct cmsghdr *)(void *)control;
	if (room < CMSG_SPACE(len))
		return 0;
	memset(control, 0, CMSG_SPACE(len));
	c->cmsg_level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
	c->cmsg_type = ipv6 ? IPV6_PKTINFO : IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(len);
	if (ipv6) {
		struct in6_pktinfo info = {0};
		memcpy(&info.ipi6_addr, source->b, 16);
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	} else {
		struct in_pktinfo info = {0};
		memcpy(&info.ipi_spec_dst, source->b, 4);
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	}
	return CMSG_SPACE(len);
}

static const char *sock_advice(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "another program has this port: stop it or set another `port`";
	case EADDRNOTAVAIL:
		return "the address is not this node's";
	case ENODEV:
		return "there is no such interface";
	case EPERM:
		return "start as root";
	default:
		return "see the system's log";
	}
}

int packet_socket_open(const struct netreq *req, uint32_t mark, enum fwd_df df, bool shared,
		       struct err *err)
{
	bool ipv6 = req->local.addr.family == 6;
	size_t name_len = strnlen(req->interface, sizeof(req->interface));
	char text[ENDPOINT_TEXT_MAX];
	const char *step = "socket";
	int fd = socket(ipv6 ? AF_INET6 : AF_INET,
			(req->udp ? SOCK_DGRAM : SOCK_RAW) | SOCK_NONBLOCK | SOCK_CLOEXEC,
			req->udp  ? IPPROTO_UDP
			: req->ah ? IP_PROTO_AH
				  : IP_PROTO_ESP);
	int r = fd < 0 ? -errno : 0;

	if (r == 0 && (step = "mark", r = sock_set(fd, SOL_SOCKET, SO_MARK, (int)mark)) == 0) {
		/* The FORCE forms go beyond rmem_max; without them the limit is taken. */
		if (sock_set(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCK_BUFFER_LEN) < 0)
			(void)sock_set(fd, SOL_SOCKET, SO_RCVBUF, SOCK_BUFFER_LEN);
		if (sock_set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCK_BUFFER_LEN) < 0)
			(void)sock_set(fd, SOL_SOCKET, SO_SNDBUF, SOCK_BUFFER_LEN);
		if (req->udp) /* since Linux 5.0; without it datagrams come one by one */
			(void)sock_set(fd, IPPROTO_UDP, UDP_GRO, 1);
	}
	if (r == 0 && shared)
		step = "sharing", r = sock_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && name_len > 0) {
		step = "interface";
		if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, req->interface,
			       (socklen_t)name_len) < 0)
			r = -errno;
	}
	if (r == 0)
		step = "options", r = sock_set_family_options(fd, req->udp, ipv6, df);
	if (r == 0 && req->ah)
		step = "headers", r = sock_set_ah_options(fd, ipv6);
	if (r == 0)
		step = "bind", r = sock_bind(fd, &req->local);
	if (r == 0)
		return fd;

	err_set(err, "packet socket %s %s%s%s: %s: %s; %s",
		req->udp  ? "UDP"
		: req->ah ? "AH"
			  : "ESP",
		endpoint_format(&req->local, text), name_len ? " on " : "",
		name_len ? req->interface : "", step, strerror(-r), sock_advice(-r));
	if (fd >= 0)
		close(fd);
	return r;
}
