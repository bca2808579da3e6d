/* SPDX-License-Identifier: MIT */
/*
 * Traffic selectors as sets of packets (RFC 7296 2.9, 3.13; RFC 4301 4.4.1.1).
 *
 * A selector is a box: a protocol or any, a range of ports, a range of addresses.  The common
 * part of two boxes is a box, so narrowing an offer to a policy is the list of all common parts;
 * nothing is merged or cut up.  OPAQUE (ports from 65535 to 0) are packets whose ports cannot be
 * seen; it is in ANY and in itself, and in no range of numbers.  For ICMP a "port" is type and
 * code in one number, which changes nothing here.
 */
#include "wire/ike.h"

#include <netinet/in.h>
#include <stdio.h>

#define PORT_MAX 65535

bool ike_ts_is_opaque(const struct ike_ts *ts)
{
	return ts->port_from == PORT_MAX && ts->port_to == 0;
}

static bool ports_are_any(const struct ike_ts *ts)
{
	return ts->port_from == 0 && ts->port_to == PORT_MAX;
}

/* Sets the bits of an address from `bit` on. */
static void set_bits_from(struct addr *a, size_t bit)
{
	size_t len = addr_len(a);

	if (bit / 8 >= len)
		return;
	a->b[bit / 8] = (uint8_t)(a->b[bit / 8] | 0xff >> bit % 8);
	memset(a->b + bit / 8 + 1, 0xff, len - bit / 8 - 1);
}

struct ike_ts ike_ts_of_prefix(const struct prefix *p)
{
	struct ike_ts ts = {.port_to = PORT_MAX, .from = p->addr, .to = p->addr};

	set_bits_from(&ts.to, p->len);
	return ts;
}

static bool intersect_ports(const struct ike_ts *a, const struct ike_ts *b, struct ike_ts *out)
{
	if (ike_ts_is_opaque(a) || ike_ts_is_opaque(b)) {
		out->port_from = PORT_MAX;
		out->port_to = 0;
		return (ike_ts_is_opaque(a) || ports_are_any(a)) &&
		       (ike_ts_is_opaque(b) || ports_are_any(b));
	}
	out->port_from = a->port_from > b->port_from ? a->port_from : b->port_from;
	out->port_to = a->port_to < b->port_to ? a->port_to : b->port_to;
	return out->port_from <= out->port_to;
}

static int addr_order(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

bool ike_ts_intersect(const struct ike_ts *a, const struct ike_ts *b, struct ike_ts *out)
{
	struct ike_ts both = {.protocol = a->protocol ? a->protocol : b->protocol};

	if (a->from.family != b->from.family)
		return false;
	if (a->protocol && b->protocol && a->protocol != b->protocol)
		return false;
	if (!intersect_ports(a, b, &both))
		return false;
	both.from = addr_order(&a->from, &b->from) > 0 ? a->from : b->from;
	both.to = addr_order(&a->to, &b->to) < 0 ? a->to : b->to;
	if (addr_order(&both.from, &both.to) > 0)
		return false;
	*out = both;
	return true;
}

bool ike_ts_equal(const struct ike_ts *a, const struct ike_ts *b)
{
	return a->protocol == b->protocol && a->port_from == b->port_from &&
	       a->port_to == b->port_to && addr_equal(&a->from, &b->from) &&
	       addr_equal(&a->to, &b->to);
}

static void list_add(struct ike_ts_list *list, const struct ike_ts *ts)
{
	for (size_t i = 0; i < list->count; i++) {
		if (ike_ts_equal(&list->at[i], ts))
			return;
	}
	if (list->count < IKE_TS_MAX)
		list->at[list->count++] = *ts;
}

void ike_ts_narrow(const struct ike_ts_list *offered, const struct ike_ts_list *policy,
		   struct ike_ts_list *out)
{
	struct ike_ts common;
	struct ike_ts_list list = {0};

	for (size_t i = 0; i < offered->count; i++) {
		for (size_t j = 0; j < policy->count; j++) {
			if (ike_ts_intersect(&offered->at[i], &policy->at[j], &common))
				list_add(&list, &common);
		}
	}
	*out = list;
}

/* The length of the prefix that is exactly this range, or -1. */
static int prefix_len_of(const struct ike_ts *ts)
{
	for (size_t bits = 0; bits <= addr_len(&ts->from) * 8; bits++) {
		struct prefix p = prefix_of(&ts->from, (uint8_t)bits);
		struct ike_ts whole = ike_ts_of_prefix(&p);
		if (addr_equal(&whole.from, &ts->from) && addr_equal(&whole.to, &ts->to))
			return (int)bits;
	}
	return -1;
}

static const char *format_protocol(uint8_t protocol, char *buf, size_t len)
{
	switch (protocol) {
	case 0:
		return "any";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMPV6:
		return "ipv6-icmp";
	}
	snprintf(buf, len, "%u", protocol);
	return buf;
}

static void format_ports(const struct ike_ts *ts, char *buf, size_t len)
{
	if (ports_are_any(ts))
		buf[0] = '\0';
	else if (ike_ts_is_opaque(ts))
		snprintf(buf, len, "/opaque");
	else if (ts->port_from == ts->port_to)
		snprintf(buf, len, "/%u", ts->port_from);
	else
		snprintf(buf, len, "/%u-%u", ts->port_from, ts->port_to);
}

const char *ike_ts_format(const struct ike_ts *ts, char *buf)
{
	char from[ADDR_TEXT_MAX], range[ADDR_TEXT_MAX + 1], protocol[4], ports[16];
	char restricted[32] = "";
	int bits = prefix_len_of(ts);

	if (ts->protocol || !ports_are_any(ts)) {
		format_ports(ts, ports, sizeof(ports));
		snprintf(restricted, sizeof(restricted), "[%s%s]",
			 format_protocol(ts->protocol, protocol, sizeof(protocol)), ports);
	}
	if (bits >= 0) {
		snprintf(range, sizeof(range), "/%d", bits);
	} else {
		range[0] = '-';
		addr_format(&ts->to, range + 1);
	}
	snprintf(buf, IKE_TS_TEXT_MAX, "%s%s%s", addr_format(&ts->from, from), range, restricted);
	return buf;
}
