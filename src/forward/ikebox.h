/* SPDX-License-Identifier: MIT */
/*
 * IKE messages on their way from the packet thread to control.
 *
 * Two bounded boxes.  Anybody can send IKE_SA_INIT (RFC 7296 1.2) from any address, as fast as the
 * link takes it: these have a small box of their own, so that however many come they take little
 * memory, and never the room of messages that belong to an IKE SA.  Those are taken first.
 */
#ifndef FORWARD_IKEBOX_H
#define FORWARD_IKEBOX_H

#include "base/bytering.h"
#include "forward/fwd.h"

struct ikebox {
	struct bytering *known, *init; /* init: IKE_SA_INIT */
	struct bytering *taken;	       /* control's: what fwd_ike_done gives back; NULL: nothing */
};

void ikebox_init(struct ikebox *b);
void ikebox_clear(struct ikebox *b);
/* One message, without the marker: copied, or why not. */
enum drop_reason ikebox_put(struct ikebox *b, const struct fwd_dgram *d, uint16_t sock,
			    const uint8_t *msg, uint32_t len, usec_t now_us);
/* The oldest of an IKE SA, or the oldest IKE_SA_INIT. */
struct fwd_ike *ikebox_next(struct ikebox *b, bool init);
void ikebox_done(struct ikebox *b);

#endif
