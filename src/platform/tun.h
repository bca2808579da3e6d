/* SPDX-License-Identifier: MIT */
/* Makes the TUN device: IP packets behind virtio headers, so that one read may be 64 KiB. */
#ifndef PLATFORM_TUN_H
#define PLATFORM_TUN_H

#include <stdbool.h>
#include "base/err.h"

/* The device's fd (non-blocking, close-on-exec), or -1 with err.  The device is gone when its
 * last fd is closed.  Without offload no frame is larger than the MTU and checksums are whole.
 * Needs CAP_NET_ADMIN. */
int tun_open(const char *name, bool offload, struct err *err) __attribute__((warn_unused_result));

#endif
