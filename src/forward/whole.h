/* SPDX-License-Identifier: MIT */
/*
 * Fragments that the local stack made for the TUN device, put together again.
 *
 * Transport and BEET mode cannot carry them, and Linux makes none: it seals a large datagram whole
 * and fragments outside.  So do we.  The pieces of a datagram come from the device one after the
 * other, so that a few places are enough, and what is out of order is not waited for.
 *
 * A packet thread's own.
 */
#ifndef FORWARD_WHOLE_H
#define FORWARD_WHOLE_H

#include "base/clock.h"
#include "wire/ip.h"

#define WHOLE_PLACES 4
#define WHOLE_LEN    65535

struct whole_place {
	uint32_t id, len; /* len 0: free */
	uint8_t proto;
	uint16_t head_len;
	struct addr src, dst;
	usec_t at_us;
	uint8_t data[WHOLE_LEN];
};

struct whole {
	struct whole_place places[WHOLE_PLACES];
};

enum whole_result { WHOLE_WAITS, WHOLE_READY, WHOLE_REFUSED };

/* Takes a fragment parsed to info.  READY: *out is the datagram, valid until the next call, and
 * *out_info what it says.  REFUSED: not the next piece of anything here. */
enum whole_result whole_add(struct whole *w, const uint8_t *packet, const struct ip_info *info,
			    usec_t now_us, const uint8_t **out, struct ip_info *out_info);

#endif
