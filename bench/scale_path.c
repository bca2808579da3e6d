/* SPDX-License-Identifier: MIT */
/*
 * The packet thread, and an I/O in memory: batches of single packets, as many as the real one
 * gives.  Each packet has a port of its own, so that nothing is merged or sent as one whether
 * there is one terminal or many: what differs is what has to be found.
 *
 * The time in our half of the I/O is not counted.  Inbound packets are sealed before, by the
 * library directly.
 */
#include <string.h>
#include <openssl/evp.h>
#include "base/cursor.h"
#include "base/mem.h"
#include "scale.h"
#include "wire/ip.h"

#define CHUNK	     8192 /* inbound packets sealed at a time */
#define SEALED_LEN   2048 /* room of one */
#define IV_LEN	     8
#define ICV_LEN	     16
#define INNER_MIN    (IP4_HEADER_LEN + UDP_HEADER_LEN)
#define FLOW_LEN     1400
#define FLOW_IN_EACH 8 /* of so many batches one is inbound, while there are packets */

struct sealed {
	uint32_t id, len;
	unsigned k; /* the connection it comes on */
};

/* --- packets */

static uint32_t pick(struct path_io *io)
{
	if (io->one)
		return 0;
	if (io->sweep)
		return io->at++ % io->fleet->count;
	return (uint32_t)((rnd(&io->random) >> 32) * io->fleet->count >> 32);
}

/* Headers alone: what follows is whatever lies there. */
static void write_inner(struct path_io *io, uint8_t *p, uint32_t src, uint32_t dst)
{
	struct writer w = writer_of(p, INNER_MIN);
	writer_u32(&w, 0x45000000 | io->len);
	writer_u32(&w, 0x00004000); /* DF */
	writer_u32(&w, 64u << 24 | IP_PROTO_UDP << 16);
	writer_u32(&w, src);
	writer_u32(&w, dst);
	writer_u16(&w, io->port++);
	writer_u16(&w, 5001);
	writer_u16(&w, (uint16_t)(io->len - IP4_HEADER_LEN));
	writer_u16(&w, 0);
	ip4_set_checksum(p);
}

/* RFC 4303, RFC 4106, as the terminal would. */
static uint32_t seal(struct path_io *io, EVP_CIPHER_CTX *ctx, uint32_t id, uint8_t *p)
{
	unsigned k = io->fleet->active[id];
	uint64_t number = ++io->fleet->sent[id];
	uint8_t key[SCALE_KEY_LEN], nonce[12], aad[12];
	uint32_t text_len = io->len + (uint32_t)esp_pad_len(io->len, 1) + ESP_TRAILER_LEN;
	uint8_t *text = p + ESP_HEADER_LEN + IV_LEN;
	int n;
	fleet_key(id, k, true, key);
	struct writer w = writer_of(p, ESP_HEADER_LEN + IV_LEN);
	writer_u32(&w, fleet_spi_in(id, k));
	writer_u32(&w, (uint32_t)number);
	writer_u64(&w, number);
	write_inner(io, text, fleet_home(id), SCALE_HOST);
	esp_write_trailer(text, io->len, 1, IP_PROTO_IPIP);
	memcpy(nonce, key + 16, 4);
	memcpy(nonce + 4, p + ESP_HEADER_LEN, IV_LEN);
	w = writer_of(aad, sizeof aad);
	writer_u32(&w, fleet_spi_in(id, k));
	writer_u64(&w, number);
	if (!EVP_EncryptInit_ex(ctx, NULL, NULL, key, nonce) ||
	    !EVP_EncryptUpdate(ctx, NULL, &n, aad, sizeof aad) ||
	    !EVP_EncryptUpdate(ctx, text, &n, text, (int)text_len) ||
	    !EVP_EncryptFinal_ex(ctx, text + n, &n) ||
	    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, ICV_LEN, text + text_len))
		die("the library does not seal");
	return ESP_HEADER_LEN + IV_LEN + text_len + ICV_LEN;
}

static void seal_chunk(struct path_io *io, uint32_t count)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (!ctx || !EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, NULL, NULL))
		die("the library has no AES-128-GCM");
	for (uint32_t i = 0; i < count; i++) {
		uint32_t id = pick(io);
		io->sealed[i].id = id;
		io->sealed[i].k = io->fleet->active[id];
		io->sealed[i].len = seal(io, ctx, id, io->sealed_data + (size_t)i * SEALED_LEN);
	}
	EVP_CIPHER_CTX_free(ctx);
	io->sealed_count = count;
	io->sealed_taken = 0;
}

/* --- the I/O */

static int on_tun_read(void *ctx, struct fwd_frame *frames, int n)
{
	struct path_io *io = ctx;
	uint64_t began = now_ns();
	int i = 0;
	for (; i < n && io->left; i++, io->left--) {
		write_inner(io, frames[i].data, SCALE_HOST, fleet_home(pick(io)));
		frames[i].len = io->len;
		memset(&frames[i].vh, 0, sizeof frames[i].vh);
	}
	io->io_ns += now_ns() - began;
	return i;
}

static int on_tun_write(void *ctx, struct fwd_write *writes, int n)
{
	struct path_io *io = ctx;
	for (int i = 0; i < n; i++)
		writes[i].failed = false;
	io->written += (uint64_t)n;
	return n;
}

static int on_recv(void *ctx, uint16_t sock, struct fwd_dgram *dgrams, int n)
{
	struct path_io *io = ctx;
	uint64_t began = now_ns();
	int i = 0;
	(void)sock;
	for (; i < n && io->sealed_taken < io->sealed_count; i++) {
		const struct sealed *s = &io->sealed[io->sealed_taken];
		memcpy(dgrams[i].data, io->sealed_data + (size_t)io->sealed_taken++ * SEALED_LEN,
		       s->len);
		dgrams[i].len = s->len;
		dgrams[i].gso_size = 0;
		dgrams[i].tos = 0;
		dgrams[i].dst.family = 0;
		dgrams[i].src = (struct endpoint){addr4(fleet_care_of(s->id, s->k)), SCALE_PORT};
	}
	io->io_ns += now_ns() - began;
	return i;
}

static int on_send(void *ctx, struct fwd_send *sends, int n)
{
	struct path_io *io = ctx;
	for (int i = 0; i < n; i++) {
		sends[i].error = 0;
		io->sent += sends[i].gso_size
				? (sends[i].len + sends[i].gso_size - 1) / sends[i].gso_size
				: 1;
	}
	return n;
}

struct fwd_io carrier_io(struct carrier *c)
{
	return (struct fwd_io){.ctx = &c->io,
			       .tun_read = on_tun_read,
			       .tun_write = on_tun_write,
			       .recv = on_recv,
			       .send = on_send};
}

/* --- the thread */

static void *carrier_main(void *arg)
{
	struct carrier *c = arg;
	pin_to(1);
	rcu_register_thread();
	rcu_thread_offline();
	pthread_mutex_lock(&c->lock);
	for (;;) {
		while (!c->job && !c->end)
			pthread_cond_wait(&c->turn, &c->lock);
		if (!c->job)
			break;
		pthread_mutex_unlock(&c->lock);
		rcu_thread_online();
		c->job(c);
		rcu_thread_offline();
		pthread_mutex_lock(&c->lock);
		c->job = NULL;
		pthread_cond_broadcast(&c->turn);
	}
	pthread_mutex_unlock(&c->lock);
	rcu_unregister_thread();
	return NULL;
}

static void job_begin(struct carrier *c, void (*job)(struct carrier *c))
{
	pthread_mutex_lock(&c->lock);
	c->job = job;
	pthread_cond_broadcast(&c->turn);
	pthread_mutex_unlock(&c->lock);
}

static void job_wait(struct carrier *c)
{
	rcu_thread_offline();
	pthread_mutex_lock(&c->lock);
	while (c->job)
		pthread_cond_wait(&c->turn, &c->lock);
	pthread_mutex_unlock(&c->lock);
	rcu_thread_online();
}

void carrier_start(struct carrier *c, struct fleet *f)
{
	c->io.fleet = f;
	c->io.random = 1;
	c->io.sealed = mem_zalloc(CHUNK * sizeof *c->io.sealed);
	c->io.sealed_data = mem_zalloc((size_t)CHUNK * SEALED_LEN);
	memset(c->io.sealed_data, 1, (size_t)CHUNK * SEALED_LEN);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->turn, NULL);
	if (pthread_create(&c->thread, NULL, carrier_main, c) != 0)
		die("no thread");
}

void carrier_stop(struct carrier *c)
{
	pthread_mutex_lock(&c->lock);
	c->end = true;
	pthread_cond_broadcast(&c->turn);
	pthread_mutex_unlock(&c->lock);
	rcu_thread_offline();
	pthread_join(c->thread, NULL);
	rcu_thread_online();
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->turn);
	free(c->io.sealed);
	free(c->io.sealed_data);
}

/* --- jobs */

static uint64_t run_out(struct carrier *c, uint64_t packets)
{
	struct path_io *io = &c->io;
	struct fwd *f = io->fleet->node.fwd;
	io->left = packets;
	io->io_ns = 0;
	uint64_t began = now_ns();
	while (fwd_run_tun(fwd_worker(f, 0), clock_now_us()) > 0)
		rcu_quiescent_state();
	return now_ns() - began - io->io_ns;
}

static uint64_t run_in(struct carrier *c, uint64_t packets)
{
	struct path_io *io = &c->io;
	struct fwd *f = io->fleet->node.fwd;
	uint64_t ns = 0;
	while (packets > 0) {
		uint32_t count = packets < CHUNK ? (uint32_t)packets : CHUNK;
		seal_chunk(io, count);
		packets -= count;
		io->io_ns = 0;
		uint64_t began = now_ns();
		while (fwd_run_sock(fwd_worker(f, 0), SCALE_SOCK, true, clock_now_us()) > 0)
			rcu_quiescent_state();
		ns += now_ns() - began - io->io_ns;
	}
	return ns;
}

static void job_measure(struct carrier *c)
{
	struct path_io *io = &c->io;
	io->sent = io->written = 0;
	uint64_t ns = c->inbound ? run_in(c, c->packets) : run_out(c, c->packets);
	uint64_t done = c->inbound ? io->written : io->sent;
	if (done != c->packets)
		die("of %llu packets %llu came through", (unsigned long long)c->packets,
		    (unsigned long long)done);
	c->ns_per_packet = (double)ns / (double)c->packets;
}

double carrier_measure(struct carrier *c, bool inbound, bool one, uint32_t len, uint64_t packets)
{
	c->io.one = one;
	c->io.len = len;
	c->inbound = inbound;
	c->packets = packets;
	job_begin(c, job_measure);
	job_wait(c);
	return c->ns_per_packet;
}

void carrier_touch(struct carrier *c)
{
	c->io.sweep = true;
	for (int inbound = 0; inbound < 2; inbound++) {
		c->io.at = 0;
		(void)carrier_measure(c, inbound, SCALE_MANY, 64, c->io.fleet->count);
	}
	c->io.sweep = false;
}

static void flow_batch(struct carrier *c, bool inbound)
{
	struct path_io *io = &c->io;
	struct fwd *f = io->fleet->node.fwd;
	uint64_t began = now_ns();
	io->left = FWD_FRAMES_MAX;
	if (inbound)
		c->flow.in_packets +=
		    fwd_run_sock(fwd_worker(f, 0), SCALE_SOCK, true, clock_now_us());
	else
		c->flow.packets += fwd_run_tun(fwd_worker(f, 0), clock_now_us());
	fwd_run_commands(fwd_worker(f, 0), clock_now_us());
	rcu_quiescent_state();
	uint64_t ns = now_ns() - began;
	c->flow.batches++;
	c->flow.over_1ms += ns > 1000000;
	c->flow.over_5ms += ns > 5000000;
	if (ns > c->flow.worst_ns)
		c->flow.worst_ns = ns;
}

static void job_flow(struct carrier *c)
{
	struct path_io *io = &c->io;
	uint64_t began = now_ns();
	c->flow = (struct flow){0};
	while (!atomic_load_explicit(&c->stop, memory_order_relaxed))
		flow_batch(c, c->flow.batches % FLOW_IN_EACH == 0 &&
				  io->sealed_taken < io->sealed_count);
	c->flow.seconds = (double)(now_ns() - began) / 1e9;
}

static void job_seal(struct carrier *c)
{
	seal_chunk(&c->io, CHUNK);
}

void carrier_flow_begin(struct carrier *c)
{
	c->io.one = false;
	c->io.len = FLOW_LEN;
	atomic_store(&c->stop, false);
	job_begin(c, job_seal);
	job_wait(c);
	job_begin(c, job_flow);
}

struct flow carrier_flow_end(struct carrier *c)
{
	atomic_store(&c->stop, true);
	job_wait(c);
	return c->flow;
}
