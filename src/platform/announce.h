/* SPDX-License-Identifier: MIT */
/* Tells a link that an address is now found at our link address. */
#ifndef PLATFORM_ANNOUNCE_H
#define PLATFORM_ANNOUNCE_H

#include "base/addr.h"

/* How often and how far apart a caller should repeat it: links lose frames. */
#define ANNOUNCE_COPIES	     3
#define ANNOUNCE_INTERVAL_MS 200

/* One announcement of addr on the interface: IPv4 a gratuitous ARP request and reply (RFC 5944
 * 4.6, RFC 5227), IPv6 an unsolicited neighbour advertisement with the override flag (RFC 4861
 * 7.2.6, RFC 6275 10.4.1).  0 or -errno.  Needs CAP_NET_RAW. */
int announce_address(unsigned ifindex, const struct addr *addr) __attribute__((warn_unused_result));

#endif
