/* SPDX-License-Identifier: MIT */
/*
 * Cutting and merging against a second opinion: a cutter written here by the rules of the kernel
 * (net/ipv4/tcp_offload.c and udp_offload.c do it so), sharing no code with the production one.
 *
 *   trains  packets of a few flows, neighbours that differ in something, any bytes between: merged,
 *           then cut again, they are what they were, once each, none before one of its flow
 *   frames  what a TUN device could give: cut like the second opinion does; then as a train
 *
 * The first byte says which; the next four what each of four flows is like; then packets, of which
 * each has an operation and an argument.  Every packet lies in memory of just its size.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/cursor.h"
#include "forward/merge.h"
#include "forward/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FIN = 0x01, PSH = 0x08, ACK = 0x10, CWR = 0x80 };
enum { FLOWS = 4, PACKETS_MAX = MERGE_PACKETS_MAX, LEN_MAX = 65535, TRAIN_BYTES_MAX = 400000 };

struct packet {
	uint8_t *data, *was; /* what merging may change, and a copy */
	size_t len;
	struct ip_info info;
	bool seen;
};
static struct packet packets[PACKETS_MAX];
static unsigned packet_count;
static size_t packet_bytes;
static struct merge merge;
static uint8_t whole[LEN_MAX + 1], cut[LEN_MAX + 1];

/* --- numbers and sums, each byte by itself */

static uint32_t get(const uint8_t *p, int n)
{
	uint32_t v = 0;
	while (n-- > 0)
		v = v << 8 | *p++;
	return v;
}

static void put(uint8_t *p, int n, uint32_t v)
{
	while (n-- > 0) {
		p[n] = (uint8_t)v;
		v >>= 8;
	}
}

static uint32_t add(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t pseudo(const uint8_t *ip, uint8_t proto, size_t l4_len)
{
	bool v4 = ip[0] >> 4 == 4;
	uint8_t tail[8] = {0, 0, 0, 0, 0, 0, 0, proto};
	put(tail, 4, (uint32_t)l4_len);
	return add(tail, 8, v4 ? add(ip + 12, 8, 0) : add(ip + 8, 32, 0));
}

static size_t sum_off(uint8_t proto)
{
	return proto == IP_PROTO_TCP ? 16 : 6;
}

static void set_ip_sum(uint8_t *ip)
{
	size_t head = (ip[0] & 15u) * 4;
	put(ip + 10, 2, 0);
	put(ip + 10, 2, 0xffff & ~add(ip, head, 0));
}

static void set_l4_sum(uint8_t *ip, size_t l4, size_t len, uint8_t proto)
{
	uint8_t *at = ip + l4 + sum_off(proto);
	put(at, 2, 0);
	uint32_t sum = 0xffff & ~add(ip + l4, len - l4, pseudo(ip, proto, len - l4));
	put(at, 2, sum == 0 && proto == IP_PROTO_UDP ? 0xffff : sum);
}

/* --- the second opinion */

struct gso {
	const uint8_t *packet;
	size_t len, l4, head, size;
	uint8_t proto;
};

static size_t gso_count(const struct gso *g)
{
	size_t data = g->len - g->head;
	return data <= g->size ? 1 : (data + g->size - 1) / g->size;
}

/* Writes packet i and returns its length. */
static size_t gso_cut(const struct gso *g, size_t i, uint8_t *out)
{
	size_t off = i * g->size, data = g->len - g->head - off;
	bool last = data <= g->size;
	if (!last)
		data = g->size;
	size_t len = g->head + data;
	uint8_t *l4 = out + g->l4;
	memcpy(out, g->packet, g->head);
	memcpy(out + g->head, g->packet + g->head + off, data);
	if (out[0] >> 4 == 4) {
		put(out + 2, 2, (uint32_t)len);
		put(out + 4, 2, get(out + 4, 2) + (uint32_t)i);
		set_ip_sum(out);
	} else {
		put(out + 4, 2, (uint32_t)len - 40);
	}
	if (g->proto == IP_PROTO_TCP) {
		put(l4 + 4, 4, get(l4 + 4, 4) + (uint32_t)off);
		if (i > 0)
			l4[13] &= (uint8_t)~CWR;
		if (!last)
			l4[13] &= (uint8_t) ~(FIN | PSH);
	} else {
		put(l4 + 4, 2, (uint32_t)(len - g->l4));
	}
	set_l4_sum(out, g->l4, len, g->proto);
	return len;
}

/* What a merged write must be for the kernel to take it, and to cut it as we want. */
static struct gso gso_of_write(const uint8_t *p, size_t len, const struct virtio_net_hdr *vh)
{
	bool v4 = p[0] >> 4 == 4;
	struct gso g = {.packet = p, .len = len, .l4 = vh->csum_start, .size = vh->gso_size};
	g.proto = vh->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4 ? IP_PROTO_UDP : IP_PROTO_TCP;
	assert(g.proto == IP_PROTO_UDP ||
	       vh->gso_type == (v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6));
	assert(vh->flags == VIRTIO_NET_HDR_F_NEEDS_CSUM && vh->csum_offset == sum_off(g.proto));
	assert(g.l4 == (v4 ? 20 : 40) && p[v4 ? 9 : 6] == g.proto);
	g.head = g.l4 + (g.proto == IP_PROTO_UDP ? 8u : (p[g.l4 + 12] >> 4) * 4u);
	assert(vh->hdr_len == g.head && g.size > 0 && len > g.head + g.size);
	assert(v4 ? get(p + 2, 2) == len && add(p, 20, 0) == 0xffff : get(p + 4, 2) == len - 40);
	assert(get(p + g.l4 + vh->csum_offset, 2) == pseudo(p, g.proto, len - g.l4));
	if (g.proto == IP_PROTO_UDP)
		assert(get(p + g.l4 + 4, 2) == len - g.l4);
	return g;
}

/* --- what came out against what went in */

/* RFC 6864 4.1: the identification of what has DF and is no fragment means nothing. */
static bool same_packet(const struct packet *p, const uint8_t *out, size_t len)
{
	if (p->len != len)
		return false;
	if (memcmp(p->was, out, len) == 0)
		return true;
	if (p->info.version == 6 || !p->info.df || p->info.fragment)
		return false;
	return memcmp(p->was, out, 4) == 0 && memcmp(p->was + 6, out + 6, 4) == 0 &&
	       memcmp(p->was + 12, out + 12, len - 12) == 0;
}

/* The ports, or NULL: it may belong to any flow of its addresses. */
static const uint8_t *ports_of(const struct packet *p)
{
	bool has = p->info.proto == IP_PROTO_TCP || p->info.proto == IP_PROTO_UDP;
	if (!has || p->info.fragment || p->info.total_len < (uint32_t)p->info.l4_off + 4)
		return NULL;
	return p->was + p->info.l4_off;
}

static bool same_flow(const struct packet *a, const struct packet *b)
{
	if (a->info.version != b->info.version || a->info.proto != b->info.proto ||
	    !addr_equal(&a->info.src, &b->info.src) || !addr_equal(&a->info.dst, &b->info.dst))
		return false;
	const uint8_t *pa = ports_of(a), *pb = ports_of(b);
	return !pa || !pb || memcmp(pa, pb, 4) == 0;
}

static void check_out(const uint8_t *out, size_t len)
{
	unsigned i = 0;
	while (i < packet_count && (packets[i].seen || !same_packet(&packets[i], out, len)))
		i++;
	assert(i < packet_count);
	for (unsigned before = 0; before < i; before++)
		assert(packets[before].seen || !same_flow(&packets[before], &packets[i]));
	packets[i].seen = true;
}

static void check_write(const struct fwd_write *w)
{
	size_t len = 0;
	for (int v = 0; v < w->iov_count; v++) {
		assert(len + w->iov[v].iov_len <= LEN_MAX);
		memcpy(whole + len, w->iov[v].iov_base, w->iov[v].iov_len);
		len += w->iov[v].iov_len;
	}
	if (w->vh.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		assert(w->vh.flags == 0 && w->iov_count == 1);
		check_out(whole, len);
		return;
	}
	struct gso g = gso_of_write(whole, len, &w->vh);
	for (size_t i = 0; i < gso_count(&g); i++)
		check_out(cut, gso_cut(&g, i, cut));
}

static void check_merging(bool enabled)
{
	merge_begin(&merge, enabled, enabled);
	for (unsigned i = 0; i < packet_count; i++) {
		assert(!merge_full(&merge));
		merge_add(&merge, packets[i].data, &packets[i].info);
	}
	int n = merge_finish(&merge);
	assert(enabled || n == (int)packet_count);
	for (int i = 0; i < n; i++)
		check_write(&merge.writes[i]);
	for (unsigned i = 0; i < packet_count; i++)
		assert(packets[i].seen);
}

static void add_packet(const uint8_t *p, size_t len)
{
	struct ip_info info;
	if (packet_count == PACKETS_MAX || packet_bytes + len > TRAIN_BYTES_MAX ||
	    !ip_parse(p, len, &info))
		return;
	struct packet *new = &packets[packet_count++];
	*new = (struct packet){.len = info.total_len, .info = info};
	new->data = malloc(new->len);
	new->was = malloc(new->len);
	assert(new->data &&new->was);
	memcpy(new->data, p, new->len);
	memcpy(new->was, p, new->len);
	packet_bytes += new->len;
}

static void forget_packets(void)
{
	for (unsigned i = 0; i < packet_count; i++) {
		free(packets[i].data);
		free(packets[i].was);
	}
	packet_count = 0;
	packet_bytes = 0;
}

/* --- trains */

struct flow {
	uint8_t version, proto, tos, ttl, field6, flags, reserved, options_len;
	uint16_t port, id, window, urgent;
	uint32_t seq, ack, label;
	size_t size;
	bool counting;
};

static struct flow flow_of(unsigned i, uint8_t like)
{
	static const uint16_t sizes[] = {1, 2, 5, 100, 101, 536, 1400, 4000};
	return (struct flow){
	    .version = i & 1 ? 6 : 4,
	    .proto = like & 0x80 ? IP_PROTO_UDP : IP_PROTO_TCP,
	    .ttl = 64,
	    .field6 = like & 0x40 ? 0x40 : 0,
	    .flags = ACK,
	    .options_len = like & 0x20 ? 12 : 0,
	    .port = (uint16_t)(1000 + i),
	    .id = like & 0x08 ? 0xfffe : 0,
	    .window = 500,
	    .seq = 0xfffffff0,
	    .ack = 7,
	    .size = sizes[like & 7],
	    .counting = like & 0x10,
	};
}

static size_t write_headers(const struct flow *f, size_t data_len, uint8_t *p)
{
	bool v4 = f->version == 4, tcp = f->proto == IP_PROTO_TCP;
	size_t ip = v4 ? 20 : 40, l4 = tcp ? 20u + f->options_len : 8u, len = ip + l4 + data_len;
	memset(p, 0, ip + l4);
	if (v4) {
		p[0] = 0x45;
		p[1] = f->tos;
		put(p + 2, 2, (uint32_t)len);
		put(p + 4, 2, f->id);
		p[6] = f->field6;
		p[8] = f->ttl;
		p[9] = f->proto;
		put(p + 12, 4, 0x0a090005);
		put(p + 16, 4, 0x0a010001);
	} else {
		put(p, 4, 6u << 28 | (uint32_t)f->tos << 20 | f->label);
		put(p + 4, 2, (uint32_t)len - 40);
		p[6] = f->proto;
		p[7] = f->ttl;
		p[8] = p[24] = 0xfd;
		p[23] = p[39] = 1;
	}
	uint8_t *q = p + ip;
	put(q, 4, (uint32_t)f->port << 16 | 80);
	if (tcp) {
		put(q + 4, 4, f->seq);
		put(q + 8, 4, f->ack);
		q[12] = (uint8_t)(l4 / 4 << 4 | f->reserved);
		q[13] = f->flags;
		put(q + 14, 2, f->window);
		put(q + 18, 2, f->urgent);
		memset(q + 20, 1, f->options_len);
	} else {
		put(q + 4, 2, (uint32_t)(8 + data_len));
	}
	return ip + l4;
}

/* A packet of the flow as it is; returns its length. */
static size_t write_packet(const struct flow *f, uint8_t fill, size_t data_len, uint8_t *p)
{
	size_t head = write_headers(f, data_len, p), ip = f->version == 4 ? 20 : 40;
	for (size_t i = 0; i < data_len; i++)
		p[head + i] = (uint8_t)(fill + i * 7);
	if (f->version == 4)
		set_ip_sum(p);
	set_l4_sum(p, ip, head + data_len, f->proto);
	return head + data_len;
}

/* Something about this packet is not as in its neighbours.  Returns its data's length. */
static size_t change_flow(struct flow *f, uint8_t op, uint8_t arg)
{
	switch (op) {
	case 1:
		f->flags ^= arg;
		break;
	case 2:
		f->reserved ^= arg & 15;
		break;
	case 3:
		return arg;
	case 4:
		return f->size > arg ? f->size - arg : 0;
	case 5:
		return f->size + arg;
	case 6:
		f->seq += (uint32_t)(int8_t)arg;
		break;
	case 7:
		f->ack += arg;
		break;
	case 8:
		f->window ^= arg;
		break;
	case 9:
		f->urgent ^= arg;
		break;
	case 10:
		f->options_len = arg & 0x28;
		break;
	case 11:
		f->tos ^= arg;
		break;
	case 12:
		f->ttl ^= arg;
		break;
	case 13:
		f->id ^= arg;
		break;
	case 14:
		f->field6 ^= arg & 0xe0;
		break;
	case 15:
		f->label ^= arg;
		break;
	default: /* as its neighbours */
		break;
	}
	return f->size;
}

/* After the checksums were made. */
static size_t spoil_packet(const struct flow *f, uint8_t op, uint8_t arg, uint8_t *p, size_t len)
{
	size_t ip = f->version == 4 ? 20 : 40, at = ip + sum_off(f->proto);
	bool tcp = f->proto == IP_PROTO_TCP;
	switch (op) {
	case 16: /* any byte */
		p[arg % len] ^= 0x10;
		break;
	case 17:
		put(p + at, 2, arg & 1 ? 0 : 0xffff);
		break;
	case 18: /* the last word so that it comes out as zero */
		if ((len - ip) % 2 || len < ip + (tcp ? 22u + f->options_len : 10u))
			break;
		put(p + at, 2, 0);
		put(p + len - 2, 2, 0);
		put(p + len - 2, 2, 0xffff & ~add(p + ip, len - ip, pseudo(p, f->proto, len - ip)));
		put(p + at, 2, arg & 1 ? 0 : 0xffff);
		break;
	case 19: /* UDP's length */
		p[ip + 5] ^= arg;
		set_l4_sum(p, ip, len, f->proto);
		break;
	case 20: /* link padding */
		return len + arg;
	default:
		break;
	}
	return len;
}

static void add_of_flow(struct flow *flow, uint8_t op, uint8_t arg, uint8_t *room)
{
	struct flow f = *flow;
	bool stays = op & 0x20;
	op &= 0x1f;
	size_t data_len = change_flow(&f, op, arg);
	size_t len = write_packet(&f, arg, data_len, room);
	memset(room + len, 0, 256);
	add_packet(room, spoil_packet(&f, op, arg, room, len));
	if (stays)
		*flow = f;
	flow->seq += (uint32_t)data_len;
	flow->id += flow->counting;
}

static void fuzz_trains(struct reader *r, bool enabled)
{
	struct flow flows[FLOWS];
	for (unsigned i = 0; i < FLOWS; i++)
		flows[i] = flow_of(i, reader_u8(r));
	while (!r->failed && reader_left(r)) {
		uint8_t op = reader_u8(r), arg = reader_u8(r);
		if (r->failed)
			break;
		if (op == 0xff) { /* any bytes */
			size_t n = arg < reader_left(r) ? arg : reader_left(r);
			const uint8_t *p = reader_bytes(r, n);
			if (p)
				add_packet(p, n);
			continue;
		}
		/* op's six low bits; the count of equal ones saves the fuzzer work */
		unsigned times = (op & 0x3f) == 0 ? 1 + arg % 48 : 1;
		while (times--)
			add_of_flow(&flows[op >> 6], op & 0x3f, arg, whole);
	}
	check_merging(enabled);
}

/* --- frames */

/* The header's claims against the frame: what may be cut, by what the kernel can give. */
static void check_cutting(const uint8_t *p, const struct ip_info *info,
			  const struct virtio_net_hdr *vh, uint32_t mtu)
{
	struct segment_plan plan;
	if (!segment_plan_make(&plan, p, info, vh, mtu))
		return;
	struct gso g = {.packet = p, .len = info->total_len, .l4 = info->l4_off};
	g.proto = info->proto;
	g.size = vh->gso_size;
	g.head = g.l4 + (g.proto == IP_PROTO_UDP ? 8u : (p[g.l4 + 12] >> 4) * 4u);
	if (g.proto == IP_PROTO_TCP && mtu > g.head && g.head + g.size > mtu)
		g.size = mtu - g.head;
	assert(plan.count == gso_count(&g));
	for (uint32_t i = 0; i < plan.count && i < PACKETS_MAX; i++) {
		size_t len = gso_cut(&g, i, cut);
		uint8_t *out = malloc(len);
		assert(out && segment_len(&plan, i) == len);
		segment_write(&plan, i, out);
		assert(memcmp(out, cut, len) == 0);
		add_packet(out, len);
		free(out);
	}
	check_merging(true);
}

static void check_completing(const uint8_t *p, size_t len, const struct virtio_net_hdr *vh)
{
	size_t start = vh->csum_start, at = start + vh->csum_offset;
	uint8_t *out = malloc(len);
	assert(out);
	memcpy(out, p, len);
	bool ok = segment_complete_checksum(out, len, vh);
	if (!(vh->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
		assert(ok && memcmp(out, p, len) == 0);
	} else if (ok) {
		uint32_t sum = 0xffff & ~add(p + start, len - start, 0);
		assert(at + 2 <= len && get(out + at, 2) == (sum ? sum : 0xffff));
		memcpy(out + at, p + at, 2);
		assert(memcmp(out, p, len) == 0);
	} else {
		assert(at + 2 > len);
	}
	free(out);
}

/* A flow's packet with much data, or any bytes. */
static void fuzz_frames(struct reader *r, bool any)
{
	struct flow f = flow_of(reader_u8(r) & 1, reader_u8(r));
	uint8_t op = reader_u8(r), arg = reader_u8(r);
	uint32_t mtu = reader_u16(r), data_len = reader_u16(r);
	struct virtio_net_hdr vh = {0};
	reader_copy(r, &vh, sizeof(vh));
	if (r->failed)
		return;
	size_t len = reader_left(r);
	const uint8_t *from = reader_bytes(r, len);
	if (any) {
		if (!from || len > LEN_MAX)
			return;
		memcpy(whole, from, len);
	} else {
		(void)change_flow(&f, op & 15, arg);
		len = write_packet(&f, arg, data_len % (LEN_MAX - 120), whole);
		if (!(op & 0x80)) { /* as a kernel would say it */
			bool tcp = f.proto == IP_PROTO_TCP;
			uint8_t tcp_type =
			    f.version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
			vh.gso_type = tcp ? tcp_type : VIRTIO_NET_HDR_GSO_UDP_L4;
			vh.csum_start = f.version == 4 ? 20 : 40;
			vh.csum_offset = (uint16_t)sum_off(f.proto);
		}
	}
	uint8_t *p = malloc(len ? len : 1);
	struct ip_info info;
	assert(p);
	memcpy(p, whole, len);
	if (ip_parse(p, len, &info)) {
		check_completing(p, info.total_len, &vh);
		check_cutting(p, &info, &vh, mtu);
	}
	free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 1)
		return 0;
	struct reader r = reader_of(data + 1, len - 1);
	switch (data[0] & 3) {
	case 0:
	case 1:
		fuzz_trains(&r, data[0] != 4);
		break;
	case 2:
		fuzz_frames(&r, false);
		break;
	case 3:
		fuzz_frames(&r, true);
		break;
	}
	forget_packets();
	return 0;
}
