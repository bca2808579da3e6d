/* SPDX-License-Identifier: MIT */
/*
 * Two packet paths joined in memory, for counting instructions: what the terminal's sends, the home
 * server's receives.  Linked with crypt_none.c: the counts are the packet path's own.
 *
 *     instructions SHAPE COUNT     frames of one shape, COUNT times
 *
 * tso: one TCP frame of 44 segments; udp1400, udp64: 32 datagrams, each a flow of its own.  The I/O
 * gives pointers away and copies nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/cursor.h"
#include "base/mem.h"
#include "bench.h"
#include "forward/fwd.h"
#include "wire/esp.h"
#include "wire/ip.h"

#define SEGMENTS  44
#define MSS	  1348
#define SINGLES	  32
#define SPI	  0x1000
#define SOCK	  1
#define REPLAY	  4096
#define OUTER_MTU 1500
#define TERMINAL  "10.9.0.5"
#define HOST	  "10.1.0.1"

struct shape {
	const char *name;
	unsigned frames;
	uint32_t len; /* of each */
	bool tcp;
};

static const struct shape shapes[] = {
    {"tso", 1, IP4_HEADER_LEN + TCP_HEADER_LEN + SEGMENTS *MSS, true},
    {"udp1400", SINGLES, 1400, false},
    {"udp64", SINGLES, 64, false},
};

/* What is sent and not received yet: it stays where it was sealed until the next frames come. */
struct wire {
	struct fwd_dgram dgrams[FWD_DGRAMS_MAX * 2];
	unsigned sent, taken;
};

static struct wire wire;
static const struct shape *shape;
static unsigned waiting; /* frames */
static uint8_t frame_data[SINGLES][FWD_BUFFER_LEN];

static struct addr address(const char *text)
{
	struct addr a;
	if (addr_parse(text, &a) != 0)
		die("%s is not an address", text);
	return a;
}

/* --- frames */

static void make_tcp(uint8_t *p)
{
	struct addr src = address(TERMINAL), dst = address(HOST);
	size_t l4 = ip_write_header(p, FWD_BUFFER_LEN, &src, &dst, IP_PROTO_TCP, 0, 64,
				    shape->len - IP4_HEADER_LEN);
	struct writer w = writer_of(p + l4, TCP_HEADER_LEN);
	writer_u16(&w, 1000);
	writer_u16(&w, 80);
	writer_u32(&w, 1);
	writer_u32(&w, 1);
	writer_u16(&w, 0x5010); /* ACK */
	writer_u16(&w, 500);
	writer_u32(&w, 0);
}

static void make_udp(uint8_t *p, unsigned flow)
{
	static uint8_t payload[1400];
	struct endpoint src = {address(TERMINAL), (uint16_t)(2000 + flow)};
	struct endpoint dst = {address(HOST), 5001};
	if (!ip_write_udp(p, FWD_BUFFER_LEN, &src, &dst, payload,
			  shape->len - IP4_HEADER_LEN - UDP_HEADER_LEN))
		die("a frame does not fit");
}

static void make_frames(void)
{
	for (unsigned i = 0; i < shape->frames; i++) {
		if (shape->tcp)
			make_tcp(frame_data[i]);
		else
			make_udp(frame_data[i], i);
	}
}

static int on_tun_read(void *ctx, struct fwd_frame *frames, int n)
{
	(void)ctx;
	int i = 0;
	for (; i < n && waiting; i++, waiting--) {
		frames[i].data = frame_data[i];
		frames[i].len = shape->len;
		frames[i].vh = (struct virtio_net_hdr){0};
		if (shape->tcp)
			frames[i].vh =
			    (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
						    .hdr_len = IP4_HEADER_LEN + TCP_HEADER_LEN,
						    .gso_size = MSS,
						    .csum_start = IP4_HEADER_LEN,
						    .csum_offset = 16};
	}
	return i;
}

/* --- the wire */

static int on_send(void *ctx, struct fwd_send *sends, int n)
{
	(void)ctx;
	for (int i = 0; i < n; i++) {
		if (wire.sent == ARRAY_LEN(wire.dgrams))
			die("the wire is full");
		wire.dgrams[wire.sent++] = (struct fwd_dgram){
		    .data = (uint8_t *)(uintptr_t)sends[i].data,
		    .len = sends[i].len,
		    .gso_size = sends[i].gso_size,
		    .src = sends[i].path->local,
		};
		sends[i].error = 0;
	}
	return n;
}

static int on_recv(void *ctx, uint16_t sock, struct fwd_dgram *dgrams, int n)
{
	(void)ctx;
	(void)sock;
	int i = 0;
	for (; i < n && wire.taken < wire.sent; i++, wire.taken++)
		dgrams[i] = wire.dgrams[wire.taken];
	return i;
}

static int on_tun_write(void *ctx, struct fwd_write *writes, int n)
{
	(void)ctx;
	for (int i = 0; i < n; i++)
		writes[i].failed = false;
	return n;
}

/* --- the two nodes */

static struct fwd *node(struct sadb *db)
{
	struct err err;
	struct fwd_config c = {.sadb = db,
			       .io = {.tun_read = on_tun_read,
				      .tun_write = on_tun_write,
				      .recv = on_recv,
				      .send = on_send},
			       .df = FWD_DF_SET,
			       .offload = true,
			       .offload_udp = true};
	struct fwd *f = fwd_new(&c, &err);
	if (!f)
		die("%s", err.text);
	return f;
}

static struct sa *sa_of(struct peer *peer, enum crypt_direction direction)
{
	static const uint8_t key[20];
	struct err err;
	struct sa_config c = {.spi = SPI,
			      .encr = alg_find("aes128-gcm"),
			      .key = key,
			      .key_len = sizeof(key),
			      .esn = true,
			      .udp = true,
			      .peer = peer};
	struct sa *sa = sa_new(&c, direction, &err);
	if (!sa)
		die("%s", err.text);
	return sa;
}

static struct path *path_to(const char *local, const char *remote)
{
	struct path *p = path_new();
	p->local = (struct endpoint){address(local), 4500};
	p->remote = (struct endpoint){address(remote), 4500};
	p->sock = SOCK;
	p->mtu = OUTER_MTU;
	return p;
}

static void run(struct fwd *terminal, struct fwd *server, uint64_t count)
{
	uint64_t packets = 0;
	for (uint64_t i = 0; i < count; i++) {
		wire.sent = wire.taken = 0;
		waiting = shape->frames;
		while (fwd_run_tun(fwd_worker(terminal, 0), clock_now_us()) > 0)
			;
		while (fwd_run_sock(fwd_worker(server, 0), SOCK, true, clock_now_us()) > 0)
			;
		packets += shape->tcp ? SEGMENTS : shape->frames;
		rcu_quiescent_state();
	}
	struct fwd_counters k;
	fwd_counters(server, &k);
	if (k.in_packets != packets)
		die("%llu of %llu packets came", (unsigned long long)k.in_packets,
		    (unsigned long long)packets);
	printf("%llu\n", (unsigned long long)packets);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 3 && i < ARRAY_LEN(shapes); i++)
		if (strcmp(shapes[i].name, argv[1]) == 0)
			shape = &shapes[i];
	if (!shape)
		die("a shape (tso, udp1400, udp64) and a count are wanted");
	make_frames();
	rcu_register_thread();
	struct prefix home = {address(TERMINAL), 32}, all = {address("0.0.0.0"), 0};
	struct sadb *out_db = sadb_new(), *in_db = sadb_new();
	struct fwd *terminal = node(out_db), *server = node(in_db);
	struct peer *to = peer_new(REPLAY, &home, 1), *from = peer_new(REPLAY, &home, 1);
	struct sa *out = sa_of(to, CRYPT_SEAL), *in = sa_of(from, CRYPT_OPEN);
	sa_set_path(out, path_to("192.0.2.2", "192.0.2.1"));
	sa_set_path(in, path_to("192.0.2.1", "192.0.2.2"));
	atomic_store(&in->active, true);
	struct active *a = active_new(1);
	a->sa[0] = out;
	if (sadb_add(in_db, in) < 0 || fwd_route_set(terminal, &all, a) < 0)
		die("the nodes cannot be made");
	run(terminal, server, number(argv[2]));
	sadb_remove(in_db, in);
	fwd_free(terminal);
	fwd_free(server);
	sa_free(out);
	sa_free(in);
	peer_free_later(to);
	peer_free_later(from);
	rcu_quiescent_state();
	rcu_thread_offline();
	rcu_barrier();
	sadb_free(out_db);
	sadb_free(in_db);
	return 0;
}
