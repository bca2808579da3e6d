/* SPDX-License-Identifier: MIT */
/*
 * Transport and BEET mode: the step between a whole inner packet and what ESP carries of it, before
 * sealing and after opening.
 *
 * On both sides the local stack talks between the SA's fixed pair of addresses, and sees nothing of
 * where the peer is.  In BEET mode the upper layer's checksum is that of the fixed pair.  In
 * transport mode it is that of the outer addresses, as any other peer expects it (RFC 3948 3.1.2):
 * it is changed on the way out, and made anew on the way in, where a NAT may have changed what it
 * was made for.  The packet is authentic by then.
 */
#ifndef FORWARD_BARE_H
#define FORWARD_BARE_H

#include "forward/drops.h"
#include "sadb/sa.h"
#include "wire/bare.h"

/* May this packet, of no offload any more or still to be cut, go out on the SA?  DROP_COUNT: yes.
 */
enum drop_reason bare_refusal(const struct sa *sa, const struct ip_info *info,
			      const uint8_t *packet);
/* What goes out of a packet that may: len bytes from bare_out are written by bare_put. */
struct bare_out {
	struct bare bare;
	uint32_t len;
	uint32_t l4_off; /* in bare.body */
	uint8_t proto;	 /* of the upper layer */
	bool changes;	 /* its checksum, from the sum of one pair to that of another */
	uint16_t before, after;
};
/* False: the packet is not sound. */
bool bare_out_make(const struct sa *sa, const struct path *path, const uint8_t *packet,
		   uint32_t len, struct bare_out *out) __attribute__((warn_unused_result));
void bare_put(const struct bare_out *out, uint8_t *room);

/* Opened and without its trailer: the plan of the packet to be built. */
enum drop_reason bare_in(const struct sa *sa, const uint8_t *payload, size_t len,
			 uint8_t next_header, struct bare_plan *plan);
/* Builds it at p, bare_packet_len bytes, and says what it is. */
enum drop_reason bare_in_build(const struct sa *sa, const struct bare_plan *plan, uint8_t tos,
			       uint8_t *p, struct ip_info *info);

#endif
