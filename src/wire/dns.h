/* SPDX-License-Identifier: MIT */
/* DNS (RFC 1035) as far as the addresses of one name: A, and AAAA (RFC 3596). */
#ifndef WIRE_DNS_H
#define WIRE_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/addr.h"

#define DNS_NAME_MAX  255 /* encoded */
#define DNS_QUERY_MAX (12 + DNS_NAME_MAX + 4)

enum dns_type { DNS_A = 1, DNS_AAAA = 28 };

/* A query that asks for recursion; its length, 0: not a host name, or no room. */
size_t dns_write_query(uint8_t *out, size_t room, uint16_t id, const char *name,
		       enum dns_type type);

/* The answer to a query that dns_write_query wrote.  False: it is not one (another id, another
 * question, malformed before its answers).  *found: how many of `out` (at most max) were written;
 * 0 also when the server has none or failed.  What is malformed further on ends the list. */
bool dns_read_answer(const uint8_t *msg, size_t len, const uint8_t *query, size_t query_len,
		     struct addr *out, size_t max, size_t *found);

#endif
