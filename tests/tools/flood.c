/* SPDX-License-Identifier: MIT */
/*
 * Garbage at a steady rate: UDP datagrams of random octets and lengths to one port, or raw IP
 * packets of one protocol (--proto 50: native ESP).
 *
 * Purpose: to show that a node survives what the internet may throw at it.  Every batch is due at
 * a point in time and sent by one sendmmsg.  Prints what was sent as JSON.  With --spi each
 * packet begins with that SPI, so that it goes as far as the integrity check.  The numbers are
 * of a generator with a seed: a run can be repeated.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH	   64u
#define LEN_MAX	   1400u
#define NSEC_PER_S 1000000000ull

struct flood {
	int fd;
	uint64_t state;
	unsigned len_min, len_max;
	bool has_spi;
	uint32_t spi;
	uint64_t sent, refused;
};

static void die(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t random_next(struct flood *f)
{
	f->state ^= f->state >> 12;
	f->state ^= f->state << 25;
	f->state ^= f->state >> 27;
	return f->state * 0x2545f4914f6cdd1dull;
}

static int open_to(const char *host, const char *port, int proto)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				 .ai_socktype = SOCK_DGRAM};
	struct addrinfo *info;
	int fd, size = 8 << 20;

	if (getaddrinfo(host, port, &hints, &info) != 0) {
		fprintf(stderr, "flood: %s port %s: not numeric\n", host, port);
		exit(2);
	}
	fd = proto > 0 ? socket(info->ai_family, SOCK_RAW | SOCK_CLOEXEC, proto)
		       : socket(info->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	if (proto > 0 && info->ai_family == AF_INET)
		((struct sockaddr_in *)(void *)info->ai_addr)->sin_port = 0;
	if (proto > 0 && info->ai_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)info->ai_addr)->sin6_port = 0;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (connect(fd, info->ai_addr, info->ai_addrlen) < 0)
		die("connect");
	freeaddrinfo(info);
	return fd;
}

static void send_batch(struct flood *f)
{
	static uint64_t data[BATCH][LEN_MAX / 8 + 1];
	struct mmsghdr msgs[BATCH] = {0};
	struct iovec iov[BATCH];
	unsigned done = 0;

	for (unsigned i = 0; i < BATCH; i++) {
		unsigned len =
		    f->len_min + (unsigned)(random_next(f) % (f->len_max - f->len_min + 1));

		/* The head is new each time; the tail stays from the packets before. */
		for (unsigned w = 0; w < 8; w++)
			data[i][w] = random_next(f);
		if (f->has_spi)
			memcpy(data[i], &f->spi, sizeof(f->spi));
		iov[i] = (struct iovec){data[i], len};
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	while (done < BATCH) {
		int n = sendmmsg(f->fd, msgs + done, BATCH - done, 0);

		if (n <= 0) {
			/* An ICMP error of an earlier packet, or no room: not a reason to stop. */
			f->refused++;
			n = 1;
		} else {
			f->sent += (uint64_t)n;
		}
		done += (unsigned)n;
	}
}

static void run(struct flood *f, double rate, double seconds)
{
	uint64_t start = now_ns(), batches = 0, end = start + (uint64_t)(seconds * 1e9), due;
	struct timespec ts;

	for (;;) {
		due = start + (uint64_t)((double)(batches * BATCH) * 1e9 / rate);
		if (due >= end)
			break;
		ts = (struct timespec){(time_t)(due / NSEC_PER_S), (long)(due % NSEC_PER_S)};
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

static void usage(void)
{
	fputs("usage: flood --to ADDR [--port N | --proto N] [--rate PER_S] [--seconds N]\n"
	      "             [--min LEN] [--max LEN] [--spi N] [--seed N]\n",
	      stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"to", 1, NULL, 't'},   {"port", 1, NULL, 'p'},    {"proto", 1, NULL, 'P'},
	    {"rate", 1, NULL, 'r'}, {"seconds", 1, NULL, 's'}, {"min", 1, NULL, 'm'},
	    {"max", 1, NULL, 'M'},  {"spi", 1, NULL, 'i'},     {"seed", 1, NULL, 'S'},
	    {NULL, 0, NULL, 0},
	};
	struct flood f = {.state = 0x9e3779b97f4a7c15ull, .len_min = 1, .len_max = 200};
	const char *to = NULL, *port = "4500";
	double rate = 100000, seconds = 5;
	int c, proto = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 't':
			to = optarg;
			break;
		case 'p':
			port = optarg;
			break;
		case 'P':
			proto = atoi(optarg);
			break;
		case 'r':
			rate = strtod(optarg, NULL);
			break;
		case 's':
			seconds = strtod(optarg, NULL);
			break;
		case 'm':
			f.len_min = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'M':
			f.len_max = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'i':
			f.has_spi = true;
			f.spi = htonl((uint32_t)strtoul(optarg, NULL, 0));
			break;
		case 'S':
			f.state ^= strtoull(optarg, NULL, 0) * 0x2545f4914f6cdd1dull;
			break;
		default:
			usage();
		}
	}
	if (to == NULL || optind != argc || f.len_min > f.len_max || f.len_max > LEN_MAX ||
	    !(rate > 0) || f.state == 0)
		usage();
	f.fd = open_to(to, port, proto);
	run(&f, rate, seconds);
	return 0;
}
