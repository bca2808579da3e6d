/* SPDX-License-Identifier: MIT */
/*
 * A stream of numbered UDP packets each way, and a record of every one.
 *
 * Purpose: to know exactly what a move costs.  Both ends run this program; each sends `rate`
 * packets a second to its peer, whatever happens (a refused send is a packet that was lost, not
 * a reason to stop), and writes a record for each packet it sent and each that arrived.
 * Arrival is the kernel's time stamp, so that a busy machine does not look like a silent network.
 *
 * The log is an array of struct record in the machine's byte order, written within 10 ms so that
 * it can be followed while it grows.  Times are CLOCK_MONOTONIC, which all network namespaces
 * of a machine share.  One thread; owns its socket and log.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAGIC	   0x534a5354u
#define PACKET_MAX 1400u
#define BATCH	   64u
#define FLUSH_US   10000u
#define USEC_PER_S 1000000ull
#define PER_BUFFER 4096u

enum record_kind {
	RECORD_SENT = 1,
	RECORD_REFUSED = 2, /* sent, but the system refused: error */
	RECORD_RECEIVED = 3,
};

struct record {
	uint64_t time_us;
	uint32_t number;
	uint16_t kind;
	uint16_t error;
};

/* What is in a packet, network byte order; padded with zeros to --size. */
struct payload {
	uint32_t magic;
	uint32_t number;
};

static struct record buffer[PER_BUFFER];
static unsigned buffered;
static uint64_t flushed_us;
static FILE *log_file;
static volatile sig_atomic_t stopping;

static void die(const char *what)
{
	fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void on_signal(int signo)
{
	(void)signo;
	stopping = 1;
}

static uint64_t clock_us(clockid_t which)
{
	struct timespec ts;

	clock_gettime(which, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

static void log_flush(uint64_t now_us)
{
	flushed_us = now_us;
	if (buffered > 0 && (fwrite(buffer, sizeof(buffer[0]), buffered, log_file) != buffered ||
			     fflush(log_file) != 0))
		die("log");
	buffered = 0;
}

static void log_add(enum record_kind kind, uint32_t number, uint64_t time_us, int error)
{
	if (buffered == PER_BUFFER)
		log_flush(time_us);
	buffer[buffered++] = (struct record){time_us, number, (uint16_t)kind, (uint16_t)error};
}

/* "ADDR:PORT" or "[ADDR]:PORT". */
static socklen_t parse_endpoint(const char *text, struct sockaddr_storage *out)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				 .ai_socktype = SOCK_DGRAM};
	struct addrinfo *info;
	const char *colon = strrchr(text, ':');
	char host[64];
	size_t len;
	socklen_t result;

	len = colon != NULL ? (size_t)(colon - text) : 0;
	if (len == 0 || len >= sizeof(host)) {
		fprintf(stderr, "stream: %s: expected ADDR:PORT\n", text);
		exit(2);
	}
	memcpy(host, text, len);
	host[len] = '\0';
	if (host[0] == '[') {
		memmove(host, host + 1, len);
		host[strcspn(host, "]")] = '\0';
	}
	if (getaddrinfo(host, colon + 1, &hints, &info) != 0) {
		fprintf(stderr, "stream: %s: not a numeric ADDR:PORT\n", text);
		exit(2);
	}
	memcpy(out, info->ai_addr, info->ai_addrlen);
	result = info->ai_addrlen;
	freeaddrinfo(info);
	return result;
}

static int open_socket(const struct sockaddr_storage *local, socklen_t len)
{
	int fd = socket(local->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, size = 8 << 20;

	/* Free bind: the home address may be between two interfaces just now. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_IP, IP_FREEBIND, &one, sizeof(one)) < 0 ||
	    bind(fd, (const struct sockaddr *)local, len) < 0)
		die("bind");
	return fd;
}

static uint64_t arrival_us(struct msghdr *m, uint64_t real_minus_mono_us)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		struct timespec ts;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&ts, CMSG_DATA(c), sizeof(ts));
		return (uint64_t)ts.tv_sec * USEC_PER_S + (uint64_t)ts.tv_nsec / 1000 -
		       real_minus_mono_us;
	}
	return clock_us(CLOCK_MONOTONIC);
}

static void receive(int fd)
{
	static uint8_t data[BATCH][sizeof(struct payload)];
	static uint8_t control[BATCH][CMSG_SPACE(sizeof(struct timespec))];
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	uint64_t offset_us;
	int n;

	do {
		memset(msgs, 0, sizeof(msgs));
		for (unsigned i = 0; i < BATCH; i++) {
			iov[i] = (struct iovec){data[i], sizeof(data[i])};
			msgs[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i],
							  .msg_iovlen = 1,
							  .msg_control = control[i],
							  .msg_controllen = sizeof(control[i])};
		}
		n = recvmmsg(fd, msgs, BATCH, MSG_DONTWAIT, NULL);
		offset_us = clock_us(CLOCK_REALTIME) - clock_us(CLOCK_MONOTONIC);
		for (int i = 0; i < n; i++) {
			struct payload p;

			if (msgs[i].msg_len < sizeof(p))
				continue;
			memcpy(&p, data[i], sizeof(p));
			if (ntohl(p.magic) == MAGIC)
				log_add(RECORD_RECEIVED, ntohl(p.number),
					arrival_us(&msgs[i].msg_hdr, offset_us), 0);
		}
	} while (n == (int)BATCH);
}

static void send_one(int fd, const struct sockaddr_storage *peer, socklen_t peer_len,
		     uint32_t number, size_t size)
{
	static uint8_t packet[PACKET_MAX];
	struct payload p = {htonl(MAGIC), htonl(number)};
	uint64_t now_us = clock_us(CLOCK_MONOTONIC);
	ssize_t n;

	memcpy(packet, &p, sizeof(p));
	n = sendto(fd, packet, size, MSG_DONTWAIT, (const struct sockaddr *)peer, peer_len);
	/* A waiting ICMP error is reported instead of sending: that one is over, send again. */
	if (n < 0 && (errno == ECONNREFUSED || errno == EHOSTUNREACH))
		n = sendto(fd, packet, size, MSG_DONTWAIT, (const struct sockaddr *)peer, peer_len);
	log_add(n < 0 ? RECORD_REFUSED : RECORD_SENT, number, now_us, n < 0 ? errno : 0);
}

static void run(int fd, const struct sockaddr_storage *peer, socklen_t peer_len, double rate,
		size_t size, uint64_t end_us)
{
	uint64_t start_us = clock_us(CLOCK_MONOTONIC), now_us = start_us, due_us = start_us;
	uint32_t number = 0;

	while (!stopping && now_us < end_us) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint64_t wake_us = flushed_us + FLUSH_US;
		struct timespec ts = {0};

		/* Late is late: what was due while the machine was busy goes out now. */
		while (rate > 0 && due_us <= now_us) {
			send_one(fd, peer, peer_len, number++, size);
			due_us = start_us + (uint64_t)((double)number * 1e6 / rate);
		}
		if (rate > 0 && due_us < wake_us)
			wake_us = due_us;
		if (wake_us > now_us)
			ts.tv_nsec = (long)(wake_us - now_us) * 1000;
		if (ppoll(&p, 1, &ts, NULL) > 0)
			receive(fd);
		now_us = clock_us(CLOCK_MONOTONIC);
		if (now_us - flushed_us >= FLUSH_US)
			log_flush(now_us);
	}
	receive(fd);
	log_flush(now_us);
}

static void usage(void)
{
	fputs(
	    "usage: stream --bind ADDR:PORT --peer ADDR:PORT --log FILE [--rate PER_S] [--size N]\n"
	    "              [--seconds N]\n"
	    "rate 0: only receive.  Ends by SIGTERM or after the seconds.\n",
	    stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"bind", 1, NULL, 'b'}, {"peer", 1, NULL, 'p'}, {"log", 1, NULL, 'l'},
	    {"rate", 1, NULL, 'r'}, {"size", 1, NULL, 's'}, {"seconds", 1, NULL, 't'},
	    {NULL, 0, NULL, 0},
	};
	const char *local_text = NULL, *peer_text = NULL, *log_path = NULL;
	struct sockaddr_storage local, peer;
	socklen_t local_len, peer_len;
	double rate = 1000, seconds = 0;
	size_t size = 200;
	int c, fd;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'b':
			local_text = optarg;
			break;
		case 'p':
			peer_text = optarg;
			break;
		case 'l':
			log_path = optarg;
			break;
		case 'r':
			rate = strtod(optarg, NULL);
			break;
		case 's':
			size = strtoul(optarg, NULL, 0);
			break;
		case 't':
			seconds = strtod(optarg, NULL);
			break;
		default:
			usage();
		}
	}
	if (local_text == NULL || peer_text == NULL || log_path == NULL || optind != argc ||
	    size < sizeof(struct payload) || size > PACKET_MAX || !(rate >= 0 && rate <= 1e6))
		usage();
	local_len = parse_endpoint(local_text, &local);
	peer_len = parse_endpoint(peer_text, &peer);
	log_file = fopen(log_path, "we");
	if (log_file == NULL)
		die(log_path);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	prctl(PR_SET_TIMERSLACK, 1);
	fd = open_socket(&local, local_len);
	flushed_us = clock_us(CLOCK_MONOTONIC);
	run(fd, &peer, peer_len, rate, size,
	    seconds > 0 ? flushed_us + (uint64_t)(seconds * 1e6) : UINT64_MAX);
	close(fd);
	fclose(log_file);
	return 0;
}
