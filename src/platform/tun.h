/* SPDX-License-Identifier: MIT */
/* Makes the TUN device: IP packets behind virtio headers, so that one read may be 64 KiB. */
#ifndef PLATFORM_TUN_H
#define PLATFORM_TUN_H

#include <stdbool.h>
#include "base/err.h"

#define TUN_QUEUES_MAX 16

struct tun {
	int fds[TUN_QUEUES_MAX]; /* one for each queue: non-blocking, close-on-exec */
	unsigned count;
	bool udp; /* takes merged UDP datagrams as it takes merged TCP segments (Linux 6.2) */
};

/* 0, or -1 with err and count 0.  The device is gone when its last fd is closed.  The kernel
 * spreads flows over the queues.  Without offload no frame is larger than the MTU and checksums are
 * whole.  Needs CAP_NET_ADMIN. */
int tun_open(const char *name, bool offload, unsigned queues, struct tun *out, struct err *err)
    __attribute__((warn_unused_result));
void tun_close(struct tun *t); /* all of them */

#endif
