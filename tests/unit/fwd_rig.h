/* SPDX-License-Identifier: MIT */
/*
 * Two packet paths joined in memory: what one sends, the other receives.
 *
 *   node[0] terminal  10.9.0.5, fd09::5  -- up to two connections --  node[1] home server
 *
 * Inner correspondents are 10.1.0.1 and fd01::1 behind the server.  Everything a test wants to
 * look at (sends, TUN writes) is copied and kept until rig_clear.
 */
#ifndef TESTS_FWD_RIG_H
#define TESTS_FWD_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/cursor.h"
#include "base/mem.h"
#include "forward/fwd.h"
#include "forward/segment.h"
#include "wire/esp.h"
#include "wire/ip.h"

#define RIG_UNUSED __attribute__((unused))
#define RIG_MAX	   4096
#define RIG_SOCK   3
#define RIG_SAS	   2

struct rig_packet {
	struct virtio_net_hdr vh;
	uint8_t *data;
	uint32_t len;
	uint32_t gso_size;
	uint8_t tos;
	bool df;
	struct endpoint src, dst;
	uint16_t head_len; /* as struct fwd_dgram has it */
};

struct rig_list {
	struct rig_packet at[RIG_MAX];
	unsigned count, taken;
};

struct rig_node {
	struct fwd *f;
	struct sadb *db;
	struct peer peer;
	struct prefix prefixes[2]; /* of the peer */
	struct sa *in[RIG_SAS], *out[RIG_SAS];
	struct rig_list frames; /* for tun_read */
	struct rig_list inbox;	/* for recv */
	struct rig_list sent, written;
	int send_error;
	uint32_t send_mtu;
	int send_room, write_room; /* negative: no limit */
	unsigned events, commands; /* wake-ups */
};

struct rig_config {
	const char *encr, *integ;
	int outer;		    /* 4 or 6 */
	bool no_esn, fresh, native; /* fresh: keys are not configured ones */
	bool no_offload, udp_offload, strict, ike, own_space;
	enum sa_mode mode;
	int inner;   /* 4 or 6: family of the fixed pair; no tunnel */
	bool ah;     /* integ alone; native */
	bool bundle; /* with ah: over ESP */
	unsigned sas;
	uint16_t mtu; /* 0: 1500 */
	enum fwd_df df;
	uint32_t replay;
	uint64_t soft_packets, hard_packets, soft_bytes, hard_bytes;
};

struct rig {
	struct rig_config cfg;
	struct rig_node node[2];
	usec_t now;
};

enum { RIG_TERMINAL, RIG_SERVER };

static RIG_UNUSED struct addr rig_addr(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static RIG_UNUSED struct prefix rig_prefix(const char *text)
{
	struct prefix p;
	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static RIG_UNUSED struct rig_packet *rig_list_add(struct rig_list *l, const void *data, size_t len)
{
	assert_true(l->count < RIG_MAX);
	struct rig_packet *p = &l->at[l->count++];
	memset(p, 0, sizeof(*p));
	p->data = malloc(len ? len : 1);
	if (len)
		memcpy(p->data, data, len);
	p->len = (uint32_t)len;
	return p;
}

static RIG_UNUSED void rig_list_clear(struct rig_list *l)
{
	for (unsigned i = 0; i < l->count; i++)
		free(l->at[i].data);
	l->count = l->taken = 0;
}

/* --- the fake system */

static RIG_UNUSED int rig_tun_read(void *ctx, struct fwd_frame *frames, int n)
{
	struct rig_node *node = ctx;
	int i = 0;
	for (; i < n && node->frames.taken < node->frames.count; i++) {
		const struct rig_packet *p = &node->frames.at[node->frames.taken++];
		memcpy(frames[i].data, p->data, p->len);
		frames[i].len = p->len;
		frames[i].vh = p->vh;
	}
	return i;
}

static RIG_UNUSED int rig_tun_write(void *ctx, struct fwd_write *writes, int n)
{
	struct rig_node *node = ctx;
	static uint8_t whole[FWD_BUFFER_LEN * 2];
	int i = 0;
	for (; i < n && (node->write_room < 0 || i < node->write_room); i++) {
		size_t len = 0;
		for (int v = 0; v < writes[i].iov_count; v++) {
			assert_true(len + writes[i].iov[v].iov_len <= 65535);
			memcpy(whole + len, writes[i].iov[v].iov_base, writes[i].iov[v].iov_len);
			len += writes[i].iov[v].iov_len;
		}
		rig_list_add(&node->written, whole, len)->vh = writes[i].vh;
	}
	return i;
}

static RIG_UNUSED int rig_recv(void *ctx, uint16_t sock, struct fwd_dgram *dgrams, int n)
{
	struct rig_node *node = ctx;
	assert_int_equal(sock, RIG_SOCK);
	int i = 0;
	for (; i < n && node->inbox.taken < node->inbox.count; i++) {
		const struct rig_packet *p = &node->inbox.at[node->inbox.taken++];
		memcpy(dgrams[i].data, p->data, p->len);
		dgrams[i].len = p->len;
		dgrams[i].gso_size = p->gso_size;
		dgrams[i].tos = p->tos;
		dgrams[i].src = p->src;
		dgrams[i].dst = p->dst.addr;
		dgrams[i].head_len = p->head_len;
	}
	return i;
}

static RIG_UNUSED int rig_send(void *ctx, struct fwd_send *sends, int n)
{
	struct rig_node *node = ctx;
	int i = 0;
	for (; i < n && (node->send_room < 0 || i < node->send_room); i++) {
		if (node->send_error) {
			sends[i].error = node->send_error;
			sends[i].mtu = node->send_mtu;
			continue;
		}
		assert_true(sends[i].len <= 65535);
		struct rig_packet *p = rig_list_add(&node->sent, sends[i].data, sends[i].len);
		p->gso_size = sends[i].gso_size;
		p->tos = sends[i].tos;
		p->df = sends[i].df;
		p->src = sends[i].path->local;
		p->dst = sends[i].path->remote;
	}
	return i;
}

static RIG_UNUSED void rig_event(void *ctx)
{
	((struct rig_node *)ctx)->events++;
}

static RIG_UNUSED void rig_command(void *ctx)
{
	((struct rig_node *)ctx)->commands++;
}

/* --- making */

static RIG_UNUSED struct endpoint rig_outer(const struct rig *r, int node, unsigned sa)
{
	static const char *const text[2][2][RIG_SAS] = {
	    {{"192.0.2.5", "198.51.100.5"}, {"203.0.113.1", "203.0.113.1"}},
	    {{"2001:db8:1::5", "2001:db8:2::5"}, {"2001:db8::1", "2001:db8::1"}},
	};
	return (struct endpoint){
	    .addr = rig_addr(text[r->cfg.outer == 6][node][sa]),
	    .port = r->cfg.native ? 0 : 4500,
	};
}

static RIG_UNUSED struct path *rig_path(const struct rig *r, int from, unsigned sa)
{
	struct path *p = path_new();
	p->local = rig_outer(r, from, sa);
	p->remote = rig_outer(r, !from, sa);
	p->mtu = r->cfg.mtu ? r->cfg.mtu : 1500;
	return p;
}

static RIG_UNUSED const char *rig_inside(int version, bool terminal);

static RIG_UNUSED struct sa *rig_sa(struct rig *r, int node, int from, unsigned i)
{
	uint8_t key[192];
	struct err err = {""};
	const struct alg *integ = r->cfg.integ ? alg_find(r->cfg.integ) : NULL;
	const struct alg *encr = alg_find(r->cfg.encr);
	assert_non_null(encr);
	memset(key, 0x11 * (int)(1 + i) + 0x40 * from, sizeof(key));
	struct sa_config c = {
	    .spi = 0x1000u + (uint32_t)from * 0x100 + i,
	    .encr = encr,
	    .integ = integ,
	    .key = key,
	    .key_len = (r->cfg.ah ? integ->key_len : 0u) +
		       (!r->cfg.ah || r->cfg.bundle ? crypt_key_len(encr, integ) : 0),
	    .ah = r->cfg.ah,
	    .esp_spi = r->cfg.bundle ? 0x5000 : 0,
	    .esn = !r->cfg.no_esn,
	    .configured_keys = !r->cfg.fresh,
	    .udp = !r->cfg.native,
	    .own_space = r->cfg.own_space,
	    .replay_packets = r->cfg.replay ? r->cfg.replay : 1024,
	    .soft_packets = r->cfg.soft_packets,
	    .hard_packets = r->cfg.hard_packets,
	    .soft_bytes = r->cfg.soft_bytes,
	    .hard_bytes = r->cfg.hard_bytes,
	    .peer = &r->node[node].peer,
	    .mode = r->cfg.mode,
	};
	if (c.mode != SA_TUNNEL) {
		c.fixed_local = rig_addr(rig_inside(r->cfg.inner, node == 0));
		c.fixed_remote = rig_addr(rig_inside(r->cfg.inner, node != 0));
	}
	struct sa *sa = sa_new(&c, node == from ? CRYPT_SEAL : CRYPT_OPEN, &err);
	if (!sa)
		fail_msg("sa_new: %s", err.text);
	return sa;
}

static RIG_UNUSED void rig_route(struct rig_node *node, const char *prefix, unsigned sas)
{
	struct prefix p = rig_prefix(prefix);
	struct active *a = NULL;
	if (sas) {
		a = active_new((uint8_t)sas);
		for (unsigned i = 0; i < sas; i++)
			a->sa[i] = node->out[i];
	}
	assert_int_equal(fwd_route_set(node->f, &p, a), 0);
}

static RIG_UNUSED void rig_make_node(struct rig *r, int i)
{
	struct rig_node *node = &r->node[i];
	struct err err = {""};
	node->db = sadb_new();
	node->send_room = node->write_room = -1;
	node->peer.is_home_server = i == RIG_TERMINAL;
	node->peer.strict = i == RIG_SERVER && r->cfg.strict;
	node->peer.prefixes = node->prefixes;
	node->prefixes[0] = rig_prefix("10.9.0.0/24");
	node->prefixes[1] = rig_prefix("fd09::/64");
	node->peer.prefix_count = 2;
	space_init(&node->peer.space, r->cfg.replay ? r->cfg.replay : 1024);
	replay_reset(&node->peer.space.window, 0, true);
	struct fwd_config c = {
	    .sadb = node->db,
	    .io = {.ctx = node,
		   .tun_read = rig_tun_read,
		   .tun_write = rig_tun_write,
		   .recv = rig_recv,
		   .send = rig_send,
		   .event = rig_event,
		   .command = rig_command},
	    .df = r->cfg.df,
	    .offload = !r->cfg.no_offload,
	    .offload_udp = r->cfg.udp_offload,
	    .icmp4 = rig_addr("10.1.0.254"),
	    .icmp6 = rig_addr("fd01::fe"),
	    .own_count = 2,
	    .ike = r->cfg.ike,
	};
	c.own[0] = rig_addr(i == RIG_SERVER ? "10.1.0.2" : "10.9.0.5");
	c.own[1] = rig_addr(i == RIG_SERVER ? "fd01::2" : "fd09::5");
	if (r->cfg.mode != SA_TUNNEL)
		c.own[r->cfg.inner == 6] = rig_addr(rig_inside(r->cfg.inner, i == RIG_TERMINAL));
	node->f = fwd_new(&c, &err);
	assert_non_null(node->f);
	for (unsigned s = 0; s < r->cfg.sas; s++) {
		node->out[s] = rig_sa(r, i, i, s);
		sa_set_path(node->out[s], rig_path(r, i, s));
		node->in[s] = rig_sa(r, i, !i, s);
		sa_set_path(node->in[s], rig_path(r, i, s));
		atomic_store(&node->in[s]->active, true);
		assert_int_equal(sadb_add(node->db, node->in[s]), 0);
	}
}

static RIG_UNUSED struct rig *rig_new(const struct rig_config *cfg)
{
	struct rig *r = mem_zalloc(sizeof(*r));
	r->cfg = *cfg;
	if (!r->cfg.encr) {
		r->cfg.encr = "aes128-cbc";
		r->cfg.integ = "hmac-sha-256-128";
	}
	if (!r->cfg.outer)
		r->cfg.outer = 4;
	if (!r->cfg.sas)
		r->cfg.sas = 1;
	r->now = 10 * USEC_PER_SEC;
	rig_make_node(r, RIG_TERMINAL);
	rig_make_node(r, RIG_SERVER);
	rig_route(&r->node[RIG_TERMINAL], "0.0.0.0/0", r->cfg.sas);
	rig_route(&r->node[RIG_TERMINAL], "::/0", r->cfg.sas);
	rig_route(&r->node[RIG_SERVER], "10.9.0.0/24", r->cfg.sas);
	rig_route(&r->node[RIG_SERVER], "fd09::/64", r->cfg.sas);
	return r;
}

static RIG_UNUSED void rig_clear(struct rig *r)
{
	for (int i = 0; i < 2; i++) {
		struct rig_node *n = &r->node[i];
		rig_list_clear(&n->frames);
		rig_list_clear(&n->inbox);
		rig_list_clear(&n->sent);
		rig_list_clear(&n->written);
	}
}

static RIG_UNUSED void rig_free(struct rig *r)
{
	rig_clear(r);
	for (int i = 0; i < 2; i++) {
		struct rig_node *n = &r->node[i];
		fwd_free(n->f);
		for (unsigned s = 0; s < RIG_SAS; s++) {
			if (n->in[s])
				sadb_remove(n->db, n->in[s]);
			if (n->in[s])
				sa_free_later(n->in[s]);
			if (n->out[s])
				sa_free_later(n->out[s]);
		}
	}
	rcu_barrier();
	for (int i = 0; i < 2; i++) {
		space_clear(&r->node[i].peer.space);
		sadb_free(r->node[i].db);
	}
	free(r);
}

/* --- running */

static RIG_UNUSED struct rig_packet *rig_frame(struct rig_node *node, const void *data, size_t len)
{
	return rig_list_add(&node->frames, data, len);
}

/* Everything node's TUN has goes out. */
static RIG_UNUSED void rig_run_tun(struct rig *r, int node)
{
	while (fwd_run_tun(fwd_worker(r->node[node].f, 0), r->now) > 0)
		;
}

static RIG_UNUSED void rig_receive(struct rig *r, int node)
{
	while (fwd_run_sock(fwd_worker(r->node[node].f, 0), RIG_SOCK, !r->cfg.native, r->now) > 0)
		;
}

static RIG_UNUSED void rig_put(struct rig *r, int to, const struct rig_packet *p)
{
	struct rig_packet *d = rig_list_add(&r->node[to].inbox, p->data, p->len);
	d->gso_size = p->gso_size;
	d->tos = p->tos;
	d->src = p->src;
	d->head_len = p->head_len;
}

/* What `from` sent arrives at the other. */
static RIG_UNUSED void rig_deliver(struct rig *r, int from)
{
	struct rig_list *sent = &r->node[from].sent;
	while (sent->taken < sent->count)
		rig_put(r, !from, &sent->at[sent->taken++]);
	rig_receive(r, !from);
}

static RIG_UNUSED struct fwd_counters rig_counters(const struct rig *r, int node)
{
	struct fwd_counters c;
	fwd_counters(r->node[node].f, &c);
	return c;
}

static RIG_UNUSED uint64_t rig_drops(const struct rig *r, int node, enum drop_reason reason)
{
	return rig_counters(r, node).drops[reason];
}

static RIG_UNUSED uint64_t rig_all_drops(const struct rig *r, int node)
{
	struct fwd_counters c = rig_counters(r, node);
	uint64_t all = 0;
	for (int i = 0; i < DROP_COUNT; i++)
		all += c.drops[i];
	return all;
}

/* --- inner packets */

static RIG_UNUSED void rig_fill(uint8_t *p, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525u + 1013904223u;
		p[i] = (uint8_t)(seed >> 24);
	}
}

static RIG_UNUSED const char *rig_inside(int version, bool terminal)
{
	if (version == 4)
		return terminal ? "10.9.0.5" : "10.1.0.1";
	return terminal ? "fd09::5" : "fd01::1";
}

static RIG_UNUSED size_t rig_udp(uint8_t *p, int version, bool from_terminal, size_t payload_len,
				 uint32_t seed)
{
	uint8_t payload[FWD_BUFFER_LEN];
	struct endpoint src = {rig_addr(rig_inside(version, from_terminal)), 5000};
	struct endpoint dst = {rig_addr(rig_inside(version, !from_terminal)), 6000};
	rig_fill(payload, payload_len, seed);
	size_t len = ip_write_udp(p, FWD_BUFFER_LEN, &src, &dst, payload, payload_len);
	assert_true(len > 0);
	return len;
}

/* Makes the checksums of a UDP packet right again after a change. */
static RIG_UNUSED void rig_udp_mend(uint8_t *p, size_t len)
{
	size_t l4 = p[0] >> 4 == 4 ? IP4_HEADER_LEN : IP6_HEADER_LEN;
	struct ip_info info;
	if (l4 == IP4_HEADER_LEN)
		ip4_set_checksum(p);
	assert_true(ip_parse(p, len, &info));
	uint32_t l4_len = (uint32_t)(len - l4);
	uint32_t sum = ip_pseudo_sum(&info.src, &info.dst, IP_PROTO_UDP, l4_len);
	p[l4 + 6] = p[l4 + 7] = 0;
	uint16_t folded = ip_fold(ip_sum(p + l4, l4_len, sum));
	folded = folded ? folded : 0xffff;
	p[l4 + 6] = (uint8_t)(folded >> 8);
	p[l4 + 7] = (uint8_t)folded;
}

struct rig_tcp {
	int version;
	bool from_terminal;
	uint16_t sport;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window, id;
	const uint8_t *options;
	size_t options_len, payload_len;
	uint32_t seed;
	uint8_t tos;
};

static RIG_UNUSED void rig_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static RIG_UNUSED void rig_put32(uint8_t *p, uint32_t v)
{
	rig_put16(p, v >> 16);
	rig_put16(p + 2, v);
}

/* A TCP packet with right checksums; the payload is a function of seed. */
static RIG_UNUSED size_t rig_tcp(uint8_t *p, const struct rig_tcp *t)
{
	struct addr src = rig_addr(rig_inside(t->version, t->from_terminal));
	struct addr dst = rig_addr(rig_inside(t->version, !t->from_terminal));
	size_t tcp_len = TCP_HEADER_LEN + t->options_len + t->payload_len;
	size_t head =
	    ip_write_header(p, FWD_BUFFER_LEN, &src, &dst, IP_PROTO_TCP, t->tos, 64, tcp_len);
	assert_true(head > 0);
	if (t->version == 4) {
		rig_put16(p + 4, t->id);
		ip4_set_checksum(p);
	}
	uint8_t *tcp = p + head;
	memset(tcp, 0, TCP_HEADER_LEN);
	rig_put16(tcp, t->sport);
	rig_put16(tcp + 2, 80);
	rig_put32(tcp + 4, t->seq);
	rig_put32(tcp + 8, t->ack);
	tcp[12] = (uint8_t)((TCP_HEADER_LEN + t->options_len) / 4 << 4);
	tcp[13] = t->flags;
	rig_put16(tcp + 14, t->window);
	if (t->options_len)
		memcpy(tcp + TCP_HEADER_LEN, t->options, t->options_len);
	rig_fill(tcp + TCP_HEADER_LEN + t->options_len, t->payload_len, t->seed);
	uint32_t sum = ip_pseudo_sum(&src, &dst, IP_PROTO_TCP, (uint32_t)tcp_len);
	rig_put16(tcp + 16, ip_fold(ip_sum(tcp, tcp_len, sum)));
	return head + tcp_len;
}

/* Turns a whole TCP or UDP packet into a frame to be cut, as the kernel hands it over. */
static RIG_UNUSED struct virtio_net_hdr rig_gso(uint8_t *p, size_t len, uint16_t gso_size)
{
	struct ip_info info;
	assert_true(ip_parse(p, len, &info));
	bool tcp = info.proto == IP_PROTO_TCP;
	uint16_t at = tcp ? 16 : 6;
	uint32_t sum = ip_pseudo_sum(&info.src, &info.dst, info.proto, (uint32_t)len - info.l4_off);
	rig_put16(p + info.l4_off + at, (uint16_t)~ip_fold(sum));
	uint8_t tcp_type = info.version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	uint8_t type = tcp ? tcp_type : VIRTIO_NET_HDR_GSO_UDP_L4;
	return (struct virtio_net_hdr){
	    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	    .gso_type = gso_size ? type : VIRTIO_NET_HDR_GSO_NONE,
	    .gso_size = gso_size,
	    .hdr_len = (uint16_t)(info.l4_off + (tcp ? 20 : 8)),
	    .csum_start = info.l4_off,
	    .csum_offset = at,
	};
}

/* Both checksums of a whole TCP or UDP packet are right. */
static RIG_UNUSED bool rig_sound(const uint8_t *p, size_t len)
{
	struct ip_info info;
	if (!ip_parse(p, len, &info) || info.total_len != len)
		return false;
	if (info.version == 4 && !ip4_checksum_ok(p, len))
		return false;
	if (info.fragment)
		return true;
	uint32_t l4_len = (uint32_t)len - info.l4_off;
	uint32_t sum = ip_pseudo_sum(&info.src, &info.dst, info.proto, l4_len);
	return ip_fold(ip_sum(p + info.l4_off, l4_len, sum)) == 0;
}

/* --- datagrams and events by hand */

/* The terminal sends a UDP packet; it stays in its list of sends. */
static RIG_UNUSED struct rig_packet *rig_seal_udp(struct rig *r, int version, size_t payload_len)
{
	uint8_t p[FWD_BUFFER_LEN];
	size_t len = rig_udp(p, version, true, payload_len, 1);
	rig_frame(&r->node[0], p, len);
	rig_run_tun(r, 0);
	assert_true(r->node[0].sent.count > 0);
	return &r->node[0].sent.at[r->node[0].sent.count - 1];
}

/* Any bytes, validly sealed by node `from`. */
static RIG_UNUSED void rig_seal_raw(struct rig *r, int from, unsigned sa, uint8_t next_header,
				    const void *payload, size_t payload_len, uint64_t number,
				    bool bad_pad, struct rig_packet *out)
{
	struct sa *s = r->node[from].out[sa];
	size_t head = ESP_HEADER_LEN + s->iv_len, pad = esp_pad_len(payload_len, s->block_len);
	size_t len = head + payload_len + pad + ESP_TRAILER_LEN + s->icv_len;
	static uint8_t esp[FWD_BUFFER_LEN];
	struct writer w = writer_of(esp, ESP_HEADER_LEN);
	writer_u32(&w, s->spi);
	writer_u32(&w, (uint32_t)number);
	if (payload_len)
		memcpy(esp + head, payload, payload_len);
	esp_write_trailer(esp + head, payload_len, s->block_len, next_header);
	if (bad_pad)
		esp[head + payload_len + pad] = 0xfe; /* pad length */
	struct crypt_op op = {
	    .crypt = s->crypt,
	    .esp = esp,
	    .len = (uint32_t)len,
	    .seq_hi = (uint32_t)(number >> 32),
	    .esn = s->esn,
	};
	struct crypt_worker *worker = crypt_worker_new(CRYPT_LIBRARY_OPENSSL, 1, NULL);
	crypt_seal(worker, &op, 1);
	crypt_worker_free(worker);
	assert_true(op.ok);
	*out =
	    (struct rig_packet){.data = esp, .len = (uint32_t)len, .src = rig_outer(r, from, sa)};
}

static RIG_UNUSED void rig_receive_raw(struct rig *r, uint8_t next_header, const void *payload,
				       size_t len, uint64_t number)
{
	struct rig_packet raw;
	rig_seal_raw(r, 0, 0, next_header, payload, len, number, false, &raw);
	rig_put(r, 1, &raw);
	rig_receive(r, 1);
}

static RIG_UNUSED size_t rig_make_udp(uint8_t *out, const char *src, uint16_t sport,
				      const char *dst, uint16_t dport)
{
	struct endpoint s = {rig_addr(src), sport}, d = {rig_addr(dst), dport};
	size_t len = ip_write_udp(out, FWD_BUFFER_LEN, &s, &d, "0123456789", 10);
	assert_true(len > 0);
	return len;
}

static RIG_UNUSED const struct fwd_event *rig_next_event(struct rig *r, enum fwd_event_kind kind)
{
	const struct fwd_event *e = fwd_event_next(r->node[1].f);
	assert_non_null(e);
	assert_int_equal(e->kind, kind);
	return e;
}

static RIG_UNUSED void rig_no_event(struct rig *r)
{
	assert_null(fwd_event_next(r->node[1].f));
}

static RIG_UNUSED int rig_group_setup(void **state)
{
	(void)state;
	rcu_register_thread();
	return 0;
}

static RIG_UNUSED int rig_group_teardown(void **state)
{
	(void)state;
	rcu_barrier();
	rcu_unregister_thread();
	return 0;
}

#endif
