/* SPDX-License-Identifier: MIT */
/* Makes packet sockets: UDP-encapsulated ESP (RFC 3948), native ESP (RFC 4303) and AH (RFC 4302).
 */
#ifndef PLATFORM_SOCK_H
#define PLATFORM_SOCK_H

#include "base/err.h"
#include "forward/fwd.h"
#include "platform/netreq.h"

/* A non-blocking socket as NETREQ_SOCK asks (udp, ah, local, interface), carrying mark, or -errno
 * with err.  shared: more than one may be bound to its address, and the kernel spreads flows over
 * them.  Needs CAP_NET_ADMIN and CAP_NET_RAW. */
int packet_socket_open(const struct netreq *req, uint32_t mark, enum fwd_df df, bool shared,
		       struct err *err) __attribute__((warn_unused_result));

/* Is it one of AH? */
bool sock_is_ah(int fd);

/* Datagrams come with the address they were sent to, as a control message... */
void sock_tell_destination(int fd, bool ipv6);
/* ...which is this one: true when it is. */
struct cmsghdr;
bool sock_read_destination(struct cmsghdr *c, struct addr *out);
/* Writes the control message that makes `source` the address a datagram is sent from (room for a
 * struct in6_pktinfo); returns its length. */
size_t sock_put_source(uint8_t *control, size_t room, const struct addr *source);

#endif
