/* SPDX-License-Identifier: MIT */
/* Makes packet sockets: UDP-encapsulated ESP (RFC 3948) and native ESP (RFC 4303). */
#ifndef PLATFORM_SOCK_H
#define PLATFORM_SOCK_H

#include "base/err.h"
#include "forward/fwd.h"
#include "platform/netreq.h"

/* A non-blocking socket as NETREQ_SOCK asks (udp, local, interface), carrying mark, or -errno
 * with err.  Needs CAP_NET_ADMIN and CAP_NET_RAW. */
int packet_socket_open(const struct netreq *req, uint32_t mark, enum fwd_df df, struct err *err)
    __attribute__((warn_unused_result));

#endif
