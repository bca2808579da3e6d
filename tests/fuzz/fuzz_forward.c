/* SPDX-License-Identifier: MIT */
/*
 * The packet path, by the first byte:
 *   0  arbitrary datagrams from the network, UDP_GRO sizes included
 *   1  arbitrary inner packets, validly sealed, several in a batch: what a peer with keys can do
 *   2  arbitrary frames with arbitrary virtio headers from the TUN device
 * Whatever leaves is checked: sends must be such as UDP_SEGMENT takes, merged writes such as the
 * kernel cuts into the packets they were made of.  Bytes behind an input are poisoned.
 */
#include <assert.h>
#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>
#include "base/cursor.h"
#include "base/mem.h"
#include "forward/fwd.h"
#include "forward/segment.h"
#include "wire/esp.h"
#include "wire/ip.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { SPI_ESN = 0x101, SPI_PLAIN = 0x102, SPI_OUT = 0x103, PACKETS_MAX = 32 };

static struct fwd *fwd;
static struct peer peer;
static struct sa *in_esn, *in_plain, *out[2], *sealer;
static struct crypt_worker *sealing;
static struct path *paths[2];
static usec_t now = USEC_PER_SEC;

struct input {
	const uint8_t *data;
	size_t len;
	struct virtio_net_hdr vh;
	uint16_t gso_size;
};
static struct input inputs[PACKETS_MAX];
static int input_count, input_taken;
static uint8_t sealed[PACKETS_MAX][4096];
static uint8_t whole[FWD_BUFFER_LEN];

static void poison(uint8_t *p, size_t len)
{
	ASAN_UNPOISON_MEMORY_REGION(p, FWD_BUFFER_LEN);
	ASAN_POISON_MEMORY_REGION(p + len, FWD_BUFFER_LEN - len);
	(void)p, (void)len;
}

static int tun_read(void *ctx, struct fwd_frame *frames, int n)
{
	(void)ctx;
	int i = 0;
	for (; i < n && input_taken < input_count; i++, input_taken++) {
		poison(frames[i].data, inputs[input_taken].len);
		memcpy(frames[i].data, inputs[input_taken].data, inputs[input_taken].len);
		frames[i].len = (uint32_t)inputs[input_taken].len;
		frames[i].vh = inputs[input_taken].vh;
	}
	return i;
}

static int receive(void *ctx, uint16_t sock, struct fwd_dgram *dgrams, int n)
{
	(void)ctx, (void)sock;
	int i = 0;
	for (; i < n && input_taken < input_count; i++, input_taken++) {
		poison(dgrams[i].data, inputs[input_taken].len);
		memcpy(dgrams[i].data, inputs[input_taken].data, inputs[input_taken].len);
		dgrams[i].len = (uint32_t)inputs[input_taken].len;
		dgrams[i].gso_size = inputs[input_taken].gso_size;
		dgrams[i].tos = (uint8_t)i;
		dgrams[i].src = paths[0]->remote;
	}
	return i;
}

static int tun_write(void *ctx, struct fwd_write *writes, int n)
{
	static uint8_t packet[FWD_BUFFER_LEN];
	(void)ctx;
	for (int i = 0; i < n; i++) {
		struct ip_info info;
		struct segment_plan plan;
		size_t len = 0;
		for (int v = 0; v < writes[i].iov_count; v++) {
			assert(len + writes[i].iov[v].iov_len <= 65535);
			memcpy(whole + len, writes[i].iov[v].iov_base, writes[i].iov[v].iov_len);
			len += writes[i].iov[v].iov_len;
		}
		assert(ip_parse(whole, len, &info) && info.total_len == len);
		if (writes[i].vh.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
			assert(writes[i].iov_count == 1 && writes[i].vh.flags == 0);
			continue;
		}
		assert(writes[i].iov_count > 1);
		assert(segment_plan_make(&plan, whole, &info, &writes[i].vh, 65535));
		assert(plan.count == (uint32_t)writes[i].iov_count);
		for (uint32_t s = 0; s < plan.count; s++)
			segment_write(&plan, s, packet);
	}
	return n;
}

static int send_all(void *ctx, struct fwd_send *sends, int n)
{
	(void)ctx;
	for (int i = 0; i < n; i++) {
		const struct fwd_send *s = &sends[i];
		assert(s->len > 0 && s->len <= sizeof(whole));
		memcpy(whole, s->data, s->len);
		if (s->gso_size) {
			assert(s->len > s->gso_size && s->len <= 65000);
			assert((s->len + s->gso_size - 1) / s->gso_size <= FWD_SEGMENTS_MAX);
		} else {
			assert(s->len <= 65535 + ESP_MAX_OVERHEAD);
		}
		if (s->len % 7 == 0) {
			sends[i].error = EMSGSIZE;
			sends[i].mtu = 1000;
		}
	}
	return n;
}

static struct sa *make_sa(uint32_t spi, bool esn, enum crypt_direction direction)
{
	static const uint8_t key[64] = {1, 2, 3};
	struct err err;
	const struct alg *encr = alg_find("null"), *integ = alg_find("hmac-sha-1-96");
	struct sa_config c = {
	    .spi = spi,
	    .encr = encr,
	    .integ = integ,
	    .key = key,
	    .key_len = crypt_key_len(encr, integ),
	    .esn = esn,
	    .configured_keys = true,
	    .udp = true,
	    .replay_packets = 64,
	    .peer = &peer,
	};
	struct sa *sa = sa_new(&c, direction, &err);
	assert(sa);
	return sa;
}

static void set_route(const char *text)
{
	struct prefix p;
	struct active *a = active_new(2);
	a->sa[0] = out[0];
	a->sa[1] = out[1];
	if (prefix_parse(text, &p) != 0 || fwd_route_set(fwd, &p, a) != 0)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct err err;
	(void)argc, (void)argv;
	rcu_register_thread();
	struct sadb *db = sadb_new();
	static struct prefix prefixes[2];
	space_init(&peer.space, 64);
	peer.prefixes = prefixes;
	peer.prefix_count = 2;
	if (prefix_parse("0.0.0.0/0", &peer.prefixes[0]) != 0 ||
	    prefix_parse("::/0", &peer.prefixes[1]) != 0)
		abort();
	in_esn = make_sa(SPI_ESN, true, CRYPT_OPEN);
	in_plain = make_sa(SPI_PLAIN, false, CRYPT_OPEN);
	sealer = make_sa(SPI_PLAIN, false, CRYPT_SEAL);
	sealing = crypt_worker_new(CRYPT_LIBRARY_OPENSSL, 1, &err);
	if (!sealing)
		abort();
	if (sadb_add(db, in_esn) != 0 || sadb_add(db, in_plain) != 0)
		abort();
	for (int i = 0; i < 2; i++) {
		out[i] = make_sa(SPI_OUT + (uint32_t)i, i == 0, CRYPT_SEAL);
		paths[i] = path_new();
		paths[i]->remote.addr.family = 4;
		sa_set_path(out[i], paths[i]);
	}
	struct fwd_config c = {
	    .sadb = db,
	    .io = {.tun_read = tun_read, .tun_write = tun_write, .recv = receive, .send = send_all},
	    .offload = true,
	    .own_count = 2,
	    .ike = true,
	    .library = CRYPT_LIBRARY_OPENSSL, /* whose code the sanitizers see */
	};
	if (addr_parse("10.0.0.1", &c.own[0]) != 0 || addr_parse("fd00::1", &c.own[1]) != 0)
		abort();
	c.icmp4 = c.own[0];
	c.icmp6 = c.own[1];
	fwd = fwd_new(&c, &err);
	assert(fwd);
	set_route("0.0.0.0/0");
	set_route("::/0");
	return 0;
}

/* Each input meets the same state. */
static void begin(void)
{
	input_count = input_taken = 0;
	now += 2 * USEC_PER_SEC;
	replay_reset(&peer.space.window, 0, true);
	replay_reset(&in_plain->space->window, 0, true);
	atomic_store(&peer.space.next, 1);
	atomic_store(&out[1]->space->next, 1);
	struct sa *all[] = {in_esn, in_plain, out[0], out[1]};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		atomic_store(&all[i]->dead, false);
		atomic_store(&all[i]->packets, 0);
		atomic_store(&all[i]->newest, 0);
	}
}

static void drain(void)
{
	const struct fwd_event *e;
	while ((e = fwd_event_next(fwd)) != NULL) {
		assert(e->len <= FWD_EVENT_DATA_MAX);
		fwd_event_done(fwd);
	}
	struct fwd_ike *m;
	while ((m = fwd_ike_next(fwd)) != NULL) {
		assert(m->len >= 28 && m->len < FWD_BUFFER_LEN);
		memset(m->msg, 0, m->len);
		fwd_ike_done(fwd);
	}
	rcu_quiescent_state();
}

static const uint8_t *take(struct reader *r, size_t *len)
{
	size_t want = reader_u16(r);
	if (want > reader_left(r))
		want = reader_left(r);
	*len = want;
	return reader_bytes(r, want);
}

static void add_datagrams(struct reader *r)
{
	while (input_count < PACKETS_MAX && reader_left(r) > 4) {
		struct input *in = &inputs[input_count++];
		*in = (struct input){.gso_size = reader_u16(r)};
		in->data = take(r, &in->len);
	}
}

static void add_sealed(struct reader *r)
{
	uint32_t number = 1;
	while (input_count < PACKETS_MAX && reader_left(r) > 4) {
		uint8_t *p = sealed[input_count];
		uint8_t next_header = reader_u8(r);
		size_t len;
		const uint8_t *payload = take(r, &len);
		if (!payload || len > 2048)
			return;
		struct writer w = writer_of(p, ESP_HEADER_LEN);
		writer_u32(&w, SPI_PLAIN);
		writer_u32(&w, number++);
		memcpy(p + ESP_HEADER_LEN, payload, len);
		size_t tail = esp_write_trailer(p + ESP_HEADER_LEN, len, 4, next_header);
		struct crypt_op op = {.crypt = sealer->crypt, .esp = p};
		op.len = (uint32_t)(ESP_HEADER_LEN + len + tail + sealer->icv_len);
		crypt_seal(sealing, &op, 1);
		assert(op.ok);
		inputs[input_count++] = (struct input){.data = p, .len = op.len};
	}
}

static void add_frames(struct reader *r)
{
	paths[0]->mtu = reader_u16(r);
	paths[1]->mtu = (uint16_t)(paths[0]->mtu ^ (reader_u8(r) & 0x7f));
	while (input_count < PACKETS_MAX && reader_left(r) > 12) {
		struct input *in = &inputs[input_count++];
		memset(in, 0, sizeof(*in));
		reader_copy(r, &in->vh, sizeof(in->vh));
		in->data = take(r, &in->len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 1 || len > 65000)
		return 0;
	struct reader r = reader_of(data + 1, len - 1);
	begin();
	switch (data[0] % 3) {
	case 0:
		add_datagrams(&r);
		fwd_run_sock(fwd_worker(fwd, 0), 0, true, now);
		break;
	case 1:
		add_sealed(&r);
		fwd_run_sock(fwd_worker(fwd, 0), 0, true, now);
		break;
	case 2:
		add_frames(&r);
		fwd_run_tun(fwd_worker(fwd, 0), now);
		break;
	}
	drain();
	return 0;
}
