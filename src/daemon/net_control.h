/* SPDX-License-Identifier: MIT */
/* Makes and removes the control socket's file. */
#ifndef DAEMON_NET_CONTROL_H
#define DAEMON_NET_CONTROL_H

#include "daemon/config.h"

/* A listening socket (non-blocking) at cfg->control with its mode and group, or -1 with err.
 * A socket file nobody answers on is replaced. */
int net_control_open(const struct config *cfg, struct err *err) __attribute__((warn_unused_result));
void net_control_remove(const char *path);

#endif
