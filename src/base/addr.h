/* SPDX-License-Identifier: MIT */
/* IPv4 and IPv6 addresses, endpoints (address and port) and prefixes as plain values. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* family: 0 (none), 4 or 6.  Unused bytes of b are zero, so that memcmp compares. */
struct addr {
	uint8_t family;
	uint8_t b[16];
};

struct endpoint {
	struct addr addr;
	uint16_t port; /* host order; 0 where there are no ports (native ESP) */
};

struct prefix {
	struct addr addr; /* bits past len are zero */
	uint8_t len;	  /* bits */
};

#define ADDR_TEXT_MAX	  48
#define ENDPOINT_TEXT_MAX 56 /* "[addr]:port" */
#define PREFIX_TEXT_MAX	  52

/* 4 -> 4, 6 -> 16, 0 -> 0 (bytes). */
static inline size_t addr_len(const struct addr *a)
{
	return a->family == 4 ? 4 : a->family == 6 ? 16 : 0;
}

struct addr addr_from_bytes(uint8_t family, const void *bytes);
bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_is_any(const struct addr *a); /* none, 0.0.0.0 or :: */
bool addr_is_link_local(const struct addr *a);
bool addr_is_multicast(const struct addr *a);
/* A node's own address in a wider network: not any, loopback, link-local, multicast or reserved. */
bool addr_is_host(const struct addr *a);
/* Less than, equal to or more than 0, as numbers; of one family. */
int addr_cmp(const struct addr *a, const struct addr *b);
uint64_t addr_hash(const struct addr *a);

/* Numeric text only.  0 or -EINVAL. */
int addr_parse(const char *text, struct addr *out) __attribute__((warn_unused_result));
/* Into the caller's buffer of ADDR_TEXT_MAX; returns it.  "none" for family 0. */
const char *addr_format(const struct addr *a, char *buf);

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
const char *endpoint_format(const struct endpoint *e, char *buf); /* ENDPOINT_TEXT_MAX */

/* "10.0.0.0/8", "fd00::/64" or a bare address (whole length).  -EINVAL also when bits
 * past the length are set. */
int prefix_parse(const char *text, struct prefix *out) __attribute__((warn_unused_result));
const char *prefix_format(const struct prefix *p, char *buf); /* PREFIX_TEXT_MAX */
bool prefix_contains(const struct prefix *p, const struct addr *a);
bool prefix_equal(const struct prefix *a, const struct prefix *b);
struct prefix prefix_of(const struct addr *a, uint8_t len); /* masked */
struct prefix prefix_host(const struct addr *a);	    /* /32 or /128 */

/* The last address of a prefix. */
struct addr prefix_last(const struct prefix *p);
/* The fewest prefixes that make up from..to, in order: writes up to `max` of them and returns how
 * many there are (never more than 254). 0: of different families, or to is before from. */
size_t prefix_cover(const struct addr *from, const struct addr *to, struct prefix *out, size_t max);

/* To and from the kernel's form.  Returns the socklen; 0 for family none. */
socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *ss);
/* An IPv4-mapped IPv6 address becomes IPv4.  false when neither family. */
bool endpoint_from_sockaddr(const struct sockaddr_storage *ss, struct endpoint *e);

#endif
