/* SPDX-License-Identifier: MIT */
/*
 * Addresses, endpoints and prefixes as values.
 *
 * Every function that makes an address leaves the unused bytes zero, so that values compare
 * by memcmp and hash by their bytes.  Numeric text only: no resolver is ever asked.  No
 * state; any thread.  Text forms: RFC 4291 2.2, RFC 5952.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct addr addr_from_bytes(uint8_t family, const void *bytes)
{
	struct addr a = {.family = family};

	memcpy(a.b, bytes, addr_len(&a));
	return a;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool addr_is_any(const struct addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->b, zero, sizeof(zero)) == 0;
}

bool addr_is_link_local(const struct addr *a)
{
	if (a->family == 4)
		return a->b[0] == 169 && a->b[1] == 254;
	return a->family == 6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool addr_is_multicast(const struct addr *a)
{
	if (a->family == 4)
		return (a->b[0] & 0xf0) == 0xe0;
	return a->family == 6 && a->b[0] == 0xff;
}

static uint64_t addr_mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	return h ^ h >> 32;
}

bool addr_is_host(const struct addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t loopback[16] = {[15] = 1};
	if (addr_is_any(a) || addr_is_multicast(a) || addr_is_link_local(a))
		return false;
	if (a->family == 4)
		return a->b[0] != 0 && a->b[0] != 127 && a->b[0] < 240;
	return memcmp(a->b, loopback, 16) != 0 && memcmp(a->b, mapped, 12) != 0;
}

int addr_cmp(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, addr_len(a));
}

uint64_t addr_hash(const struct addr *a)
{
	uint64_t lo, hi;

	memcpy(&lo, a->b, sizeof(lo));
	memcpy(&hi, a->b + 8, sizeof(hi));
	return addr_mix(addr_mix(lo + a->family) + hi);
}

int addr_parse(const char *text, struct addr *out)
{
	uint8_t b[16];

	if (inet_pton(AF_INET, text, b) == 1)
		*out = addr_from_bytes(4, b);
	else if (inet_pton(AF_INET6, text, b) == 1)
		*out = addr_from_bytes(6, b);
	else
		return -EINVAL;
	return 0;
}

const char *addr_format(const struct addr *a, char *buf)
{
	int af = a->family == 4 ? AF_INET : AF_INET6;

	if (!addr_len(a) || !inet_ntop(af, a->b, buf, ADDR_TEXT_MAX))
		snprintf(buf, ADDR_TEXT_MAX, "none");
	return buf;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && addr_equal(&a->addr, &b->addr);
}

const char *endpoint_format(const struct endpoint *e, char *buf)
{
	char text[ADDR_TEXT_MAX];

	addr_format(&e->addr, text);
	snprintf(buf, ENDPOINT_TEXT_MAX, e->addr.family == 6 ? "[%s]:%u" : "%s:%u", text, e->port);
	return buf;
}

/* A decimal number of one to three digits and nothing else, or -1. */
static int prefix_parse_len(const char *text)
{
	int n = 0;
	size_t digits = 0;

	for (; text[digits]; digits++) {
		if (text[digits] < '0' || text[digits] > '9' || digits == 3)
			return -1;
		n = n * 10 + (text[digits] - '0');
	}
	return digits ? n : -1;
}

int prefix_parse(const char *text, struct prefix *out)
{
	const char *slash = strchr(text, '/');
	char head[ADDR_TEXT_MAX];
	struct addr a;

	if (!slash) {
		if (addr_parse(text, &a))
			return -EINVAL;
		*out = prefix_host(&a);
		return 0;
	}
	size_t head_len = (size_t)(slash - text);
	if (head_len >= sizeof(head))
		return -EINVAL;
	memcpy(head, text, head_len);
	head[head_len] = '\0';
	int len = prefix_parse_len(slash + 1);
	if (addr_parse(head, &a) || len < 0 || (size_t)len > addr_len(&a) * 8)
		return -EINVAL;
	struct prefix p = prefix_of(&a, (uint8_t)len);
	if (!addr_equal(&p.addr, &a))
		return -EINVAL;
	*out = p;
	return 0;
}

const char *prefix_format(const struct prefix *p, char *buf)
{
	char text[ADDR_TEXT_MAX];

	if (p->addr.family)
		snprintf(buf, PREFIX_TEXT_MAX, "%s/%u", addr_format(&p->addr, text), p->len);
	else
		snprintf(buf, PREFIX_TEXT_MAX, "none");
	return buf;
}

bool prefix_contains(const struct prefix *p, const struct addr *a)
{
	if (p->addr.family != a->family || !a->family)
		return false;
	struct prefix of = prefix_of(a, p->len);
	return addr_equal(&of.addr, &p->addr);
}

bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return a->len == b->len && addr_equal(&a->addr, &b->addr);
}

struct prefix prefix_of(const struct addr *a, uint8_t len)
{
	struct prefix p = {.addr = *a, .len = len};
	size_t bytes = len / 8u;

	if (bytes >= addr_len(a)) {
		p.len = (uint8_t)(addr_len(a) * 8);
		return p;
	}
	p.addr.b[bytes] = (uint8_t)(p.addr.b[bytes] & 0xff00u >> len % 8u);
	memset(p.addr.b + bytes + 1, 0, sizeof(p.addr.b) - bytes - 1);
	return p;
}

struct prefix prefix_host(const struct addr *a)
{
	return (struct prefix){.addr = *a, .len = (uint8_t)(addr_len(a) * 8)};
}

struct addr prefix_last(const struct prefix *p)
{
	struct addr last = p->addr;
	for (size_t bit = p->len; bit < addr_len(&last) * 8; bit++)
		last.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return last;
}

/* The address after it; false when that was the last one there is. */
static bool addr_next(struct addr *a)
{
	for (size_t i = addr_len(a); i-- > 0;)
		if (++a->b[i] != 0)
			return true;
	return false;
}

size_t prefix_cover(const struct addr *from, const struct addr *to, struct prefix *out, size_t max)
{
	struct addr at = *from;
	size_t n = 0;
	if (addr_len(from) == 0 || from->family != to->family || addr_cmp(from, to) > 0)
		return 0;
	do {
		/* The widest that begins here and does not go beyond the end. */
		struct prefix widest = prefix_host(&at);
		while (widest.len > 0) {
			struct prefix wider = prefix_of(&at, (uint8_t)(widest.len - 1));
			struct addr last = prefix_last(&wider);
			if (!addr_equal(&wider.addr, &at) || addr_cmp(&last, to) > 0)
				break;
			widest = wider;
		}
		if (n < max)
			out[n] = widest;
		n++;
		at = prefix_last(&widest);
	} while (addr_cmp(&at, to) < 0 && addr_next(&at));
	return n;
}

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (e->addr.family == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ss;
		in->sin_family = AF_INET;
		in->sin_port = htons(e->port);
		memcpy(&in->sin_addr, e->addr.b, 4);
		return sizeof(*in);
	}
	if (e->addr.family == 6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(e->port);
		memcpy(&in6->sin6_addr, e->addr.b, 16);
		return sizeof(*in6);
	}
	return 0;
}

bool endpoint_from_sockaddr(const struct sockaddr_storage *ss, struct endpoint *e)
{
	*e = (struct endpoint){0};
	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
		e->addr = addr_from_bytes(4, &in->sin_addr);
		e->port = ntohs(in->sin_port);
		return true;
	}
	if (ss->ss_family != AF_INET6)
		return false;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
	e->addr = addr_from_bytes(6, &in6->sin6_addr);
	if (memcmp(e->addr.b, mapped_prefix, sizeof(mapped_prefix)) == 0)
		e->addr = addr_from_bytes(4, e->addr.b + sizeof(mapped_prefix));
	e->port = ntohs(in6->sin6_port);
	return true;
}
