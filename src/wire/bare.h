/* SPDX-License-Identifier: MIT */
/*
 * Packets without their IP header, as ESP carries them in transport mode (RFC 4303 3.1.1) and in
 * BEET mode (RFC 7402 appendix B): the header is taken off and built again from addresses that both
 * sides know.
 *
 * BEET mode carries IPv4 options in a pseudo header in front of the payload (protocol 94):
 *
 *   | next header 1 | length 1 | pad length 1 | reserved 1 | padding 0 or 4 | options |
 *
 * The length counts units of 8 bytes without the first; padding makes the whole fill them.
 *
 * Pure functions over the caller's memory; any thread.
 */
#ifndef WIRE_BARE_H
#define WIRE_BARE_H

#include "wire/ip.h"

#define BARE_HEAD_MAX 48 /* of a pseudo header with 40 bytes of options */

/* What is carried of a packet: head, then body. */
struct bare {
	uint8_t next_header;
	uint8_t head_len; /* 0, or of the pseudo header */
	uint8_t head[BARE_HEAD_MAX];
	const uint8_t *body; /* borrowed from the packet */
	uint32_t body_len;
};

enum bare_result {
	BARE_OK,
	BARE_FRAGMENT, /* its place in the whole is in the header */
	BARE_OUTSIDE,  /* transport mode: options, or extension headers, that stay outside ESP */
	BARE_UNSOUND,
};

/* Of a packet that ip_parse read as `info`. */
enum bare_result bare_take(const uint8_t *packet, const struct ip_info *info, bool beet,
			   struct bare *out) __attribute__((warn_unused_result));

/* Where the whole packet's parts go when it is built again. */
struct bare_plan {
	uint8_t next_header; /* of the IP header */
	uint8_t options_len; /* IPv4, multiple of 4 */
	const uint8_t *rest; /* options, then the payload; borrowed */
	uint32_t rest_len;
};

/* Of len bytes that came with this next header; family: that of the header to be built. */
enum bare_result bare_read(const uint8_t *payload, size_t len, uint8_t next_header, uint8_t family,
			   bool beet, struct bare_plan *out) __attribute__((warn_unused_result));
/* The whole packet's length. */
uint32_t bare_packet_len(const struct bare_plan *plan, uint8_t family);
/* The packet into p, with room for that length: identification 0 and DF in IPv4, flow label 0 in
 * IPv6. */
void bare_build(const struct bare_plan *plan, const struct addr *src, const struct addr *dst,
		uint8_t tos, uint8_t *p);

/* --- the upper layer's checksum, which covers the addresses */

/* Where it is in the upper layer's header; -1: it has none that covers them. */
int bare_checksum_at(uint8_t proto);
/* The sum of two addresses, as bare_checksum_change wants it. */
uint16_t bare_pair_sum(const struct addr *a, const struct addr *b);
/* Changes it from one pair of addresses to another (RFC 1624) in l4_len bytes of proto. */
void bare_checksum_change(uint8_t *l4, size_t l4_len, uint8_t proto, uint16_t before,
			  uint16_t after);
/* Makes it right for the packet's own addresses, whatever it was; a UDP datagram over IPv4 without
 * one stays so.  False: the packet is too short for it. */
bool bare_checksum_renew(uint8_t *packet, const struct ip_info *info)
    __attribute__((warn_unused_result));

#endif
