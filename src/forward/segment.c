/* SPDX-License-Identifier: MIT */
/*
 * Segmentation in software: see the header.  IPv4 identifications and TCP sequence numbers
 * rise from packet to packet; FIN and PSH belong to the last, CWR to the first (RFC 3168 6.1.2),
 * as every sender's own stack does it.
 */
#include <string.h>
#include "base/cursor.h"
#include "forward/segment.h"

#define TCP_SEQ_OFF   4
#define TCP_DOFF_OFF  12
#define TCP_FLAGS_OFF 13
#define TCP_CSUM_OFF  16
#define UDP_LEN_OFF   4
#define UDP_CSUM_OFF  6

enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_CWR = 0x80 };

static uint16_t get16(const uint8_t *p)
{
	struct reader r = reader_of(p, 2);
	return reader_u16(&r);
}

static uint32_t get32(const uint8_t *p)
{
	struct reader r = reader_of(p, 4);
	return reader_u32(&r);
}

static void put16(uint8_t *p, uint32_t v)
{
	struct writer w = writer_of(p, 2);
	writer_u16(&w, (uint16_t)v);
}

static void put32(uint8_t *p, uint32_t v)
{
	struct writer w = writer_of(p, 4);
	writer_u32(&w, v);
}

/* The length of the upper layer's header, or 0 when it does not fit what the frame says. */
static uint32_t l4_header_len(const uint8_t *packet, const struct ip_info *info, uint8_t gso_type)
{
	if (info->fragment || info->l4_off > info->total_len)
		return 0;
	uint32_t room = info->total_len - info->l4_off;
	switch (gso_type) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6: {
		uint8_t version = gso_type == VIRTIO_NET_HDR_GSO_TCPV4 ? 4 : 6;
		if (info->version != version || info->proto != IP_PROTO_TCP ||
		    room < TCP_HEADER_LEN)
			return 0;
		uint32_t len = (uint32_t)(packet[info->l4_off + TCP_DOFF_OFF] >> 4) * 4;
		return len >= TCP_HEADER_LEN && len <= room ? len : 0;
	}
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return info->proto == IP_PROTO_UDP && room >= UDP_HEADER_LEN ? UDP_HEADER_LEN : 0;
	default: /* the kernel's numbers, not an enum of ours */
		return 0;
	}
}

bool segment_plan_make(struct segment_plan *plan, const uint8_t *packet, const struct ip_info *info,
		       const struct virtio_net_hdr *vh, uint32_t mtu)
{
	uint8_t type = vh->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	uint32_t l4_len = l4_header_len(packet, info, type);
	uint32_t size = vh->gso_size;
	if (l4_len == 0 || size == 0)
		return false;
	uint32_t header_len = info->l4_off + l4_len;
	if (info->proto == IP_PROTO_TCP && header_len + size > mtu && mtu > header_len)
		size = mtu - header_len;
	uint32_t payload_len = info->total_len - header_len;
	*plan = (struct segment_plan){
	    .packet = packet,
	    .payload_len = payload_len,
	    .size = size,
	    .count = payload_len <= size ? 1 : (payload_len + size - 1) / size,
	    .header_len = (uint16_t)header_len,
	    .l4_off = info->l4_off,
	    .version = info->version,
	    .proto = info->proto,
	    .pseudo_sum = ip_pseudo_sum(&info->src, &info->dst, info->proto, 0),
	};
	if (info->version == 4)
		plan->id = get16(packet + 4);
	if (info->proto == IP_PROTO_TCP)
		plan->seq = get32(packet + info->l4_off + TCP_SEQ_OFF);
	return true;
}

static uint32_t payload_at(const struct segment_plan *plan, uint32_t i)
{
	uint32_t off = i * plan->size;
	uint32_t left = plan->payload_len - off;
	return left < plan->size ? left : plan->size;
}

uint32_t segment_len(const struct segment_plan *plan, uint32_t i)
{
	return plan->header_len + payload_at(plan, i);
}

static void write_tcp(const struct segment_plan *plan, uint32_t i, uint8_t *tcp, uint32_t sum)
{
	put32(tcp + TCP_SEQ_OFF, plan->seq + i * plan->size);
	if (i > 0)
		tcp[TCP_FLAGS_OFF] &= (uint8_t)~TCP_CWR;
	if (i + 1 < plan->count)
		tcp[TCP_FLAGS_OFF] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	put16(tcp + TCP_CSUM_OFF, 0);
	sum = ip_sum(tcp, plan->header_len - (size_t)plan->l4_off, sum);
	put16(tcp + TCP_CSUM_OFF, ip_fold(sum));
}

static void write_udp(uint8_t *udp, uint32_t l4_len, uint32_t sum)
{
	put16(udp + UDP_LEN_OFF, l4_len);
	put16(udp + UDP_CSUM_OFF, 0);
	uint16_t checksum = ip_fold(ip_sum(udp, UDP_HEADER_LEN, sum));
	put16(udp + UDP_CSUM_OFF, checksum ? checksum : 0xffff); /* RFC 768: 0 means none */
}

void segment_write(const struct segment_plan *plan, uint32_t i, uint8_t *out)
{
	uint32_t payload_len = payload_at(plan, i);
	uint32_t len = plan->header_len + payload_len;
	uint32_t l4_len = len - plan->l4_off;

	memcpy(out, plan->packet, plan->header_len);
	/* The payload's part of the checksum; headers are of even length. */
	uint32_t sum = ip_copy_sum(out + plan->header_len,
				   plan->packet + plan->header_len + (size_t)i * plan->size,
				   payload_len, plan->pseudo_sum + l4_len);
	if (plan->version == 4) {
		put16(out + 2, len);
		put16(out + 4, plan->id + i);
		ip4_set_checksum(out);
	} else {
		put16(out + 4, len - IP6_HEADER_LEN);
	}
	if (plan->proto == IP_PROTO_TCP)
		write_tcp(plan, i, out + plan->l4_off, sum);
	else
		write_udp(out + plan->l4_off, l4_len, sum);
}

bool segment_complete_checksum(uint8_t *packet, size_t len, const struct virtio_net_hdr *vh)
{
	if (!(vh->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	size_t start = vh->csum_start, at = start + vh->csum_offset;
	if (at + 2 > len)
		return false;
	/* The field holds the pseudo-header's sum and so is part of what is summed. */
	uint16_t sum = ip_fold(ip_sum(packet + start, len - start, 0));
	put16(packet + at, sum ? sum : 0xffff); /* right for TCP too: both are zero */
	return true;
}
