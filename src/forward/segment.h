/* SPDX-License-Identifier: MIT */
/*
 * Cutting what a TUN device with virtio headers gives: frames of up to 64 KiB to be segmented
 * (TCP over IPv4 and IPv6, UDP), and checksums left to be completed.
 *
 * Pure functions.  A plan says how many packets a frame makes; each is then written straight
 * to where it is needed, more than once if it goes several ways.
 */
#ifndef FORWARD_SEGMENT_H
#define FORWARD_SEGMENT_H

#include <linux/virtio_net.h>
#include "wire/ip.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

struct segment_plan {
	const uint8_t *packet; /* borrowed */
	uint32_t payload_len;  /* of the whole frame */
	uint32_t size;	       /* payload of each packet; the last may have less */
	uint32_t count;
	uint32_t seq; /* TCP */
	uint16_t id;  /* IPv4 */
	uint16_t header_len, l4_off;
	uint8_t version, proto;
	uint32_t pseudo_sum; /* without the length */
};

/* Plans to cut the frame parsed to `info` as its virtio header says.  TCP is cut finer than that
 * when the packets would exceed mtu (if that has room for any payload); UDP keeps its message
 * boundaries.  False: the header and the
 * frame do not agree. */
bool segment_plan_make(struct segment_plan *plan, const uint8_t *packet, const struct ip_info *info,
		       const struct virtio_net_hdr *vh, uint32_t mtu)
    __attribute__((warn_unused_result));
/* The length of packet i. */
uint32_t segment_len(const struct segment_plan *plan, uint32_t i);
/* Writes packet i, segment_len() bytes, with all its checksums. */
void segment_write(const struct segment_plan *plan, uint32_t i, uint8_t *out);

/* Completes the checksum that the virtio header asks for in a packet of len bytes, in place.
 * False: it points outside. */
bool segment_complete_checksum(uint8_t *packet, size_t len, const struct virtio_net_hdr *vh)
    __attribute__((warn_unused_result));

#endif
