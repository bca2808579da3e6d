/* SPDX-License-Identifier: MIT */
/* What the node may ask of the privileged process: each request against the configuration. */
#ifndef DAEMON_NET_CHECK_H
#define DAEMON_NET_CHECK_H

#include "daemon/config.h"
#include "platform/netreq.h"

/* NULL: allowed.  Else why not, for the log and the reply; a constant text. */
const char *net_check(const struct config *cfg, const struct netreq *req)
    __attribute__((warn_unused_result));

#endif
