/* SPDX-License-Identifier: MIT */
/*
 * See the header.  Out: what a packet needs is read from it once more, here, rather than carried
 * through the tunnel's way.  Any packet thread; no state.
 */
#include "forward/bare.h"

#include <string.h>

static enum drop_reason drop_of(enum bare_result result)
{
	switch (result) {
	case BARE_OK:
		return DROP_COUNT;
	case BARE_FRAGMENT:
		return DROP_FRAGMENT;
	case BARE_OUTSIDE:
		return DROP_OUTSIDE;
	case BARE_UNSOUND:
		return DROP_BAD_INNER;
	}
	return DROP_BAD_INNER;
}

enum drop_reason bare_refusal(const struct sa *sa, const struct ip_info *info,
			      const uint8_t *packet)
{
	struct bare bare;
	if (!addr_equal(&info->src, &sa->pair->local) || !addr_equal(&info->dst, &sa->pair->remote))
		return DROP_NOT_THE_PAIR;
	return drop_of(bare_take(packet, info, sa->mode == SA_BEET, &bare));
}

bool bare_out_make(const struct sa *sa, const struct path *path, const uint8_t *packet,
		   uint32_t len, struct bare_out *out)
{
	struct ip_info info;
	if (!ip_parse(packet, len, &info) ||
	    bare_take(packet, &info, sa->mode == SA_BEET, &out->bare) != BARE_OK)
		return false;
	out->len = out->bare.head_len + out->bare.body_len;
	out->l4_off = (uint32_t)(packet + info.l4_off - out->bare.body);
	out->proto = info.proto;
	out->changes = sa->mode == SA_TRANSPORT;
	if (out->changes) {
		out->before = sa->pair->sum;
		out->after = bare_pair_sum(&path->local.addr, &path->remote.addr);
	}
	return true;
}

void bare_put(const struct bare_out *out, uint8_t *room)
{
	if (out->bare.head_len)
		memcpy(room, out->bare.head, out->bare.head_len);
	uint8_t *body = room + out->bare.head_len;
	if (out->bare.body_len)
		memcpy(body, out->bare.body, out->bare.body_len);
	if (out->changes)
		bare_checksum_change(body + out->l4_off, out->bare.body_len - out->l4_off,
				     out->proto, out->before, out->after);
}

enum drop_reason bare_in(const struct sa *sa, const uint8_t *payload, size_t len,
			 uint8_t next_header, struct bare_plan *plan)
{
	return drop_of(bare_read(payload, len, next_header, sa->pair->local.family,
				 sa->mode == SA_BEET, plan));
}

enum drop_reason bare_in_build(const struct sa *sa, const struct bare_plan *plan, uint8_t tos,
			       uint8_t *p, struct ip_info *info)
{
	const struct sa_pair *pair = sa->pair;
	bare_build(plan, &pair->remote, &pair->local, tos, p);
	if (!ip_parse(p, bare_packet_len(plan, pair->local.family), info))
		return DROP_BAD_INNER;
	if (info->fragment)
		return DROP_FRAGMENT;
	if (sa->mode == SA_TRANSPORT && !bare_checksum_renew(p, info))
		return DROP_BAD_INNER;
	return DROP_COUNT;
}
