/* SPDX-License-Identifier: MIT */
/*
 * The IP authentication header (RFC 4302) as bytes, and the outer IP header as its ICV sees it.
 *
 *   | next header 1 | length 1 | reserved 2 | SPI 4 | sequence 4 | ICV, padding |
 *
 * The ICV covers the packet from its outer IP header on: what may change on the way counts as zero
 * (3.3.3.1, appendix A), and so does the ICV itself.  Pure functions over the caller's memory.
 */
#ifndef WIRE_AH_H
#define WIRE_AH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/addr.h"

#define AH_FIXED_LEN 12
#define AH_LEN_MAX   (257 * 4) /* that the length octet can say */

struct ah_header {
	uint8_t next_header;
	uint16_t len; /* of the whole header in bytes, a multiple of 4 */
	uint32_t spi, seq;
};

/* With an ICV of so many bytes: whole words of 32 bits in IPv4, of 64 bits in IPv6 (2.6). */
static inline size_t ah_len(size_t icv_len, uint8_t family)
{
	size_t word = family == 6 ? 8 : 4;
	return (AH_FIXED_LEN + icv_len + word - 1) / word * word;
}

/* Has a header of an SA with an ICV of icv_len this length?  Words of 64 bits are taken in IPv4 as
 * well, since Linux fills them there unless it is told not to. */
static inline bool ah_len_fits(uint16_t len, size_t icv_len)
{
	return len == ah_len(icv_len, 4) || len == ah_len(icv_len, 6);
}

/* With ICV and padding zero; returns h->len, 0 when it does not fit. */
size_t ah_write(uint8_t *p, size_t room, const struct ah_header *h);
/* False: shorter than it says, or than the fixed part. */
bool ah_read(const uint8_t *p, size_t len, struct ah_header *out)
    __attribute__((warn_unused_result));

/* Sets to zero what is mutable in an IPv4 header of `len` bytes, options included (3.3.3.1.1).
 * False, and nothing is changed: not sound. */
bool ah_zero_ip4(uint8_t *ip, size_t len) __attribute__((warn_unused_result));
/* The same of an IPv6 header and the extension headers behind it, `len` bytes together, up to the
 * authentication header (3.3.3.1.2); it has arrived, so a routing header has no segments left. */
bool ah_zero_ip6(uint8_t *ip, size_t len) __attribute__((warn_unused_result));

/* Writes the outer header of a packet of ours with `payload_len` bytes behind it (from the
 * authentication header on), what is mutable zero.  id: IPv4's Identification, not 0, which systems
 * replace.  Returns its length, 0 when it does not fit. */
size_t ah_write_ip(uint8_t *p, size_t room, const struct addr *src, const struct addr *dst,
		   uint16_t id, size_t payload_len);
/* Then, with the ICV made, the IPv4 header as it is sent. */
void ah_finish_ip4(uint8_t *ip, uint8_t tos, bool df);

#endif
