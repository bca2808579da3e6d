/* SPDX-License-Identifier: MIT */
/*
 * Receive-side merging of TCP and UDP: see the header.  Packets are chained into runs as they come;
 * the iovecs are laid out at the end, when the length of each run is known.
 */
#include <string.h>
#include "base/cursor.h"
#include "forward/merge.h"

#define MERGE_END     UINT16_MAX
#define MERGE_LEN_MAX 65535

#define IP4_DF	      0x40
#define TCP_CSUM_OFF  16
#define TCP_FLAGS_OFF 13
#define UDP_CSUM_OFF  6

enum { TCP_PSH = 0x08, TCP_ACK = 0x10 };

/* What is looked at in a TCP segment or a UDP datagram. */
struct l4_view {
	const uint8_t *ip, *l4;
	uint32_t header_len, payload_len;
	uint32_t seq; /* TCP */
	uint8_t proto, flags;
	bool candidate; /* may be part of a run */
};

static uint16_t get16(const uint8_t *p)
{
	struct reader r = reader_of(p, 2);
	return reader_u16(&r);
}

static void put16(uint8_t *p, uint32_t v)
{
	struct writer w = writer_of(p, 2);
	writer_u16(&w, (uint16_t)v);
}

void merge_begin(struct merge *m, bool tcp, bool udp)
{
	m->tcp = tcp;
	m->udp = udp;
	m->packet_count = m->run_count = m->open_count = 0;
}

bool merge_full(const struct merge *m)
{
	return m->packet_count == MERGE_PACKETS_MAX;
}

/* Plain headers, and both checksums right: those of the later packets of a run are not passed on,
 * so a wrong one would be hidden. */
static bool is_sound(const struct ip_info *info, const struct l4_view *v)
{
	if (info->version == 4 ? info->l4_off != IP4_HEADER_LEN : info->l4_off != IP6_HEADER_LEN)
		return false;
	if (info->version == 4 && !ip4_checksum_ok(v->ip, info->total_len))
		return false;
	uint32_t l4_len = info->total_len - info->l4_off;
	uint32_t sum = ip_pseudo_sum(&info->src, &info->dst, v->proto, l4_len);
	return ip_fold(ip_sum(v->l4, l4_len, sum)) == 0;
}

/* The flags of bulk data.  A sum of zero has two right spellings, and whoever cuts a run again
 * chooses by himself. */
static bool tcp_is_candidate(const struct ip_info *info, const struct l4_view *v)
{
	uint16_t checksum = get16(v->l4 + TCP_CSUM_OFF);
	return v->payload_len > 0 && (v->flags & (uint8_t)~TCP_PSH) == TCP_ACK && checksum != 0 &&
	       checksum != 0xffff && is_sound(info, v);
}

/* A datagram without a checksum would get one. */
static bool udp_is_candidate(const struct ip_info *info, const struct l4_view *v)
{
	return v->payload_len > 0 && get16(v->l4 + UDP_CSUM_OFF) != 0 && is_sound(info, v);
}

static bool view_tcp(const struct ip_info *info, struct l4_view *v)
{
	if (info->total_len < (uint32_t)info->l4_off + TCP_HEADER_LEN)
		return false;
	struct reader r = reader_of(v->l4, TCP_HEADER_LEN);
	reader_skip(&r, 4);
	v->seq = reader_u32(&r);
	reader_skip(&r, 4);
	v->header_len = info->l4_off + (uint32_t)(reader_u8(&r) >> 4) * 4;
	v->flags = reader_u8(&r);
	if (v->header_len < (uint32_t)info->l4_off + TCP_HEADER_LEN ||
	    v->header_len > info->total_len)
		return false;
	v->payload_len = info->total_len - v->header_len;
	v->candidate = tcp_is_candidate(info, v);
	return true;
}

static bool view_udp(const struct ip_info *info, struct l4_view *v)
{
	if (info->total_len < (uint32_t)info->l4_off + UDP_HEADER_LEN ||
	    get16(v->l4 + 4) != info->total_len - info->l4_off)
		return false;
	v->header_len = (uint32_t)info->l4_off + UDP_HEADER_LEN;
	v->payload_len = info->total_len - v->header_len;
	v->candidate = udp_is_candidate(info, v);
	return true;
}

/* False: a fragment, or malformed. */
static bool view_l4(const uint8_t *packet, const struct ip_info *info, struct l4_view *v)
{
	*v = (struct l4_view){.ip = packet, .l4 = packet + info->l4_off, .proto = info->proto};
	if (info->fragment)
		return false;
	return info->proto == IP_PROTO_TCP ? view_tcp(info, v) : view_udp(info, v);
}

static bool same_flow(const struct merge *m, const struct merge_run *run,
		      const struct ip_info *info, const struct l4_view *v)
{
	const uint8_t *first = m->packets[run->first].data + run->l4_off;
	return memcmp(first, v->l4, 4) == 0 && run->proto == v->proto &&
	       addr_equal(&run->src, &info->src) && addr_equal(&run->dst, &info->dst);
}

/* The IP headers agree in what the kernel copies to every packet when it cuts.  It counts the
 * identification up; with DF and no counting by the sender it has no meaning (RFC 6864). */
static bool same_ip(const uint8_t *a, const uint8_t *b, uint8_t version, uint16_t count)
{
	if (version == 6) /* version, class, flow label; hop limit */
		return memcmp(a, b, 4) == 0 && a[7] == b[7];
	if (a[1] != b[1] || a[6] != b[6] || a[7] != b[7] || a[8] != b[8])
		return false;
	uint16_t ida = get16(a + 4), idb = get16(b + 4);
	return idb == (uint16_t)(ida + count) || ((a[6] & IP4_DF) && ida == idb);
}

static bool same_tcp(const struct merge_run *run, const uint8_t *tcp, const struct l4_view *v)
{
	/* acknowledgement, data offset; window; urgent pointer, options */
	return v->seq == run->next_seq && memcmp(tcp + 8, v->l4 + 8, 5) == 0 &&
	       memcmp(tcp + 14, v->l4 + 14, 2) == 0 &&
	       memcmp(tcp + 18, v->l4 + 18, v->header_len - run->l4_off - 18) == 0;
}

static bool can_join(const struct merge *m, const struct merge_run *run, const struct ip_info *info,
		     const struct l4_view *v)
{
	const uint8_t *first = m->packets[run->first].data;
	uint16_t most = v->proto == IP_PROTO_TCP ? MERGE_RUN_MAX : MERGE_UDP_MAX;
	if (!v->candidate || run->version != info->version || v->payload_len > run->size ||
	    v->header_len != run->header_len || run->count >= most ||
	    run->total_len + v->payload_len > MERGE_LEN_MAX)
		return false;
	if (!same_ip(first, v->ip, run->version, run->count))
		return false;
	return v->proto == IP_PROTO_UDP || same_tcp(run, first + run->l4_off, v);
}

static void close_run(struct merge *m, uint16_t at)
{
	m->open_count--;
	memmove(&m->open[at], &m->open[at + 1], (size_t)(m->open_count - at) * sizeof(m->open[0]));
}

static void start_run(struct merge *m, uint16_t packet, const struct ip_info *info,
		      const struct l4_view *v)
{
	struct merge_run *run = &m->runs[m->run_count];
	run->first = run->last = packet;
	run->count = 1;
	run->total_len = m->packets[packet].len;
	if (v && v->candidate && !(v->flags & TCP_PSH)) {
		run->version = info->version;
		run->proto = v->proto;
		run->flags = v->flags;
		run->l4_off = info->l4_off;
		run->header_len = (uint16_t)v->header_len;
		run->size = v->payload_len;
		run->next_seq = v->seq + v->payload_len;
		run->src = info->src;
		run->dst = info->dst;
		if (m->open_count == MERGE_OPEN_MAX)
			close_run(m, 0);
		m->open[m->open_count++] = m->run_count;
	}
	m->run_count++;
}

static void join_run(struct merge *m, uint16_t at, uint16_t packet, const struct l4_view *v)
{
	struct merge_run *run = &m->runs[m->open[at]];
	m->packets[packet].skip = run->header_len;
	m->packets[run->last].next = packet;
	run->last = packet;
	run->count++;
	run->total_len += v->payload_len;
	run->next_seq += v->payload_len;
	run->flags |= v->flags;
	if (v->payload_len < run->size || (run->flags & TCP_PSH))
		close_run(m, at);
}

void merge_add(struct merge *m, uint8_t *packet, const struct ip_info *info)
{
	uint16_t i = m->packet_count++;
	bool tcp = m->tcp && info->proto == IP_PROTO_TCP;
	bool udp = m->udp && info->proto == IP_PROTO_UDP;
	struct l4_view v;
	m->packets[i] =
	    (struct merge_packet){.data = packet, .len = info->total_len, .next = MERGE_END};
	if (!tcp && !udp) {
		/* The rest of a datagram whose beginning is elsewhere: of any flow. */
		if (info->fragment)
			m->open_count = 0;
		start_run(m, i, info, NULL);
		return;
	}
	if (!view_l4(packet, info, &v)) {
		m->open_count = 0;
		start_run(m, i, info, NULL);
		return;
	}
	for (uint16_t at = 0; at < m->open_count; at++) {
		struct merge_run *run = &m->runs[m->open[at]];
		if (!same_flow(m, run, info, &v))
			continue;
		if (can_join(m, run, info, &v)) {
			join_run(m, at, i, &v);
			return;
		}
		close_run(m, at);
		break;
	}
	start_run(m, i, info, &v);
}

/* Makes the first header that of the whole, its checksum left to the kernel. */
static void finish_run(struct merge *m, const struct merge_run *run, struct virtio_net_hdr *vh)
{
	uint8_t *ip = m->packets[run->first].data;
	uint8_t *l4 = ip + run->l4_off;
	uint32_t l4_len = run->total_len - run->l4_off;
	bool tcp = run->proto == IP_PROTO_TCP;
	uint16_t csum_offset = tcp ? TCP_CSUM_OFF : UDP_CSUM_OFF;
	if (run->version == 4) {
		put16(ip + 2, run->total_len);
		ip4_set_checksum(ip);
	} else {
		put16(ip + 4, run->total_len - IP6_HEADER_LEN);
	}
	if (tcp)
		l4[TCP_FLAGS_OFF] = run->flags;
	else
		put16(l4 + 4, l4_len);
	uint32_t sum = ip_pseudo_sum(&run->src, &run->dst, run->proto, l4_len);
	put16(l4 + csum_offset, (uint16_t)~ip_fold(sum));
	*vh = (struct virtio_net_hdr){
	    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	    .gso_type = !tcp		    ? VIRTIO_NET_HDR_GSO_UDP_L4
			: run->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4
					    : VIRTIO_NET_HDR_GSO_TCPV6,
	    .hdr_len = run->header_len,
	    .gso_size = (uint16_t)run->size,
	    .csum_start = run->l4_off,
	    .csum_offset = csum_offset,
	};
}

int merge_finish(struct merge *m)
{
	struct iovec *iov = m->iov;
	for (uint16_t i = 0; i < m->run_count; i++) {
		const struct merge_run *run = &m->runs[i];
		struct fwd_write *w = &m->writes[i];
		*w = (struct fwd_write){.iov = iov, .iov_count = run->count};
		if (run->count > 1)
			finish_run(m, run, &w->vh);
		for (uint16_t p = run->first; p != MERGE_END; p = m->packets[p].next) {
			const struct merge_packet *packet = &m->packets[p];
			*iov++ = (struct iovec){.iov_base = packet->data + packet->skip,
						.iov_len = packet->len - packet->skip};
		}
	}
	return m->run_count;
}
