/* SPDX-License-Identifier: MIT */
/*
 * IPv4 (RFC 791), IPv6 (RFC 8200), UDP, TCP and ICMP as the packet path and the control
 * messages need them.  Pure functions; every length is checked before anything is read.
 */
#ifndef WIRE_IP_H
#define WIRE_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/addr.h"

enum {
	IP_PROTO_ICMP = 1,
	IP_PROTO_IPIP = 4,
	IP_PROTO_TCP = 6,
	IP_PROTO_UDP = 17,
	IP_PROTO_IPV6 = 41,
	IP_PROTO_ESP = 50,
	IP_PROTO_AH = 51,
	IP_PROTO_ICMPV6 = 58,
	IP_PROTO_NONE = 59, /* RFC 4303 2.6: a dummy packet; we also carry probes in it */
	IP_PROTO_MH = 135,  /* RFC 6275 */
};

#define IP4_HEADER_LEN 20
#define IP6_HEADER_LEN 40
#define UDP_HEADER_LEN 8
#define TCP_HEADER_LEN 20 /* without options */

#define ECN_MASK    3
#define ECN_NOT_ECT 0
#define ECN_CE	    3

/* What a packet's headers say.  Offsets from the start of the IP header. */
struct ip_info {
	uint8_t version; /* 4 or 6 */
	uint8_t proto;	 /* the upper layer's, extension headers passed */
	uint8_t tos;	 /* DSCP and ECN */
	uint8_t ttl;
	bool df;       /* IPv4's flag; true for IPv6 */
	bool fragment; /* any fragment, first ones included */
	bool first;    /* not a fragment with an offset: l4_off points at an upper-layer header */
	uint16_t l4_off;
	uint32_t total_len; /* as the header says, at most the bytes given */
	struct addr src, dst;
};

/* False for what is not a whole IP packet: bad version or lengths, header checksum not
 * looked at.  `len` may exceed the packet's own length (link padding). */
bool ip_parse(const uint8_t *p, size_t len, struct ip_info *out)
    __attribute__((warn_unused_result));

/* Cheap: the destination only (packet path).  False when too short or of no known version. */
bool ip_dst(const uint8_t *p, size_t len, struct addr *dst) __attribute__((warn_unused_result));

/* Internet checksum (RFC 1071): running 32-bit sum over bytes, then folded.  Of several pieces
 * summed one after the other all but the last must be of even length. */
uint32_t ip_sum(const void *data, size_t len, uint32_t sum);
/* The same of src, which it copies to dst meanwhile; they do not overlap. */
uint32_t ip_copy_sum(void *dst, const void *src, size_t len, uint32_t sum);
uint16_t ip_fold(uint32_t sum); /* complemented, host order, to be written big-endian */
/* Mends the big-endian checksum at `field` after one 16-bit word of what it covers changed
 * (RFC 1624).  Not for UDP over IPv4, where 0 means none. */
void ip_checksum_mend(uint8_t *field, uint16_t before, uint16_t after);
/* Sum of the pseudo-header of an upper layer of l4_len bytes (RFC 793, RFC 8200 8.1). */
uint32_t ip_pseudo_sum(const struct addr *src, const struct addr *dst, uint8_t proto,
		       uint32_t l4_len);
void ip4_set_checksum(uint8_t *ip4);
/* Verifies IPv4 header checksum. */
bool ip4_checksum_ok(const uint8_t *ip4, size_t len);

/* RFC 6040 / RFC 4301 5.1.2: the ECN field of a decapsulated packet whose header is whole.
 * Rewrites the inner header (and IPv4 checksum) when outer says CE, or ECT(1) where inner
 * says ECT(0).  False: the packet must be dropped (outer CE, inner not ECN-capable). */
bool ip_ecn_decapsulate(uint8_t *inner, uint8_t outer_tos) __attribute__((warn_unused_result));

/* Writes an IP header for `payload_len` bytes of `proto`; returns its length (20 or 40), 0
 * when it does not fit.  DF set, id 0. */
size_t ip_write_header(uint8_t *p, size_t room, const struct addr *src, const struct addr *dst,
		       uint8_t proto, uint8_t tos, uint8_t ttl, size_t payload_len);
/* A whole IP/UDP packet with checksums into p; returns its length, 0 when it does not fit. */
size_t ip_write_udp(uint8_t *p, size_t room, const struct endpoint *src, const struct endpoint *dst,
		    const void *payload, size_t len);
/* The UDP payload of a whole unfragmented packet parsed by ip_parse; checks length and
 * checksum (zero allowed in IPv4 only).  False when it is not sound. */
bool ip_read_udp(const uint8_t *p, const struct ip_info *info, uint16_t *sport, uint16_t *dport,
		 const uint8_t **payload, size_t *payload_len) __attribute__((warn_unused_result));

/* ICMP "fragmentation needed" (RFC 1191) or ICMPv6 "packet too big" (RFC 8201) about
 * `original`, from `from` to its source, with the mtu the source must use.  Returns the
 * packet's length, or 0: no such message may be sent (ICMP errors, fragments with an offset,
 * multicast, no room).  `from` is of the original's family. */
size_t ip_write_too_big(uint8_t *p, size_t room, const uint8_t *original, size_t original_len,
			const struct addr *from, uint32_t mtu);

/* Lowers the MSS option of a TCP SYN to what fits in mtu and mends the checksum; any other
 * packet is left as it is.  Returns true when it changed something.  The checksum must be a
 * whole one: complete it first where a device left it to be done (vnet_hdr NEEDS_CSUM). */
bool ip_clamp_mss(uint8_t *p, size_t len, uint32_t mtu);

/* Cuts an IPv4 packet without DF into fragments of at most mtu bytes (RFC 791).  Calls emit
 * for each with a whole packet built in `scratch` (>= mtu bytes).  Returns the number of
 * fragments, 0 when it cannot be cut.  A packet that fits is emitted as it is, as one. */
unsigned ip4_fragment(const uint8_t *p, size_t len, uint32_t mtu, uint8_t *scratch,
		      void (*emit)(void *ctx, const uint8_t *fragment, size_t len), void *ctx);

#endif
