/* SPDX-License-Identifier: MIT */
/*
 * The name servers that a home server assigned, as a file like resolv.conf(5) beside the control
 * socket: for who wants them, and for nobody else.
 */
#ifndef DAEMON_NET_RESOLV_H
#define DAEMON_NET_RESOLV_H

#include "daemon/config.h"

/* Replaces the file as a whole (count 0: removes it).  0 or -errno. */
int net_resolv_write(const struct config *cfg, const struct addr *servers, size_t count)
    __attribute__((warn_unused_result));

#endif
