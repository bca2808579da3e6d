/* SPDX-License-Identifier: MIT */
/*
 * UDP datagrams of one size at a steady rate, and how many of them come.
 *
 *   udp_load receive ADDR PORT TAG                        until SIGTERM or SIGINT
 *   udp_load send FROM ADDR PORT TAG LEN RATE SECONDS     LEN: octets of payload, 8 or more
 *
 * Purpose: to load a tunnel with single datagrams without being what limits it: sendmmsg and
 * recvmmsg, no segmentation offload (UDP_SEGMENT, UDP_GRO), a receive buffer beyond the system's
 * limit.  The sender sends what is due every 200 us, so that it leaves the processor to what is
 * measured; what it could not send in time it leaves out: a burst later would not be the rate that
 * was asked for, and more than a TUN device's queue holds.
 * Datagrams have a number, and a tag that keeps the last run's stragglers out of this one.
 *
 * Both print JSON: the receiver when it listens and when it ends, the sender when it ends.
 * One thread; owns its socket and what it allocates.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
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

#define BATCH	     64u
#define LEN_MAX	     1472u
#define NSEC_PER_S   1000000000ull
#define TICK_NS	     200000ull
#define LATE_NS	     1000000ull /* of sending: more is left out */
#define SOCKBUF	     (16 << 20)
#define NUMBERS	     (1u << 27) /* of datagrams that the receiver tells apart */
#define SEND_MAX_S   60
#define SEND_MAX_PPS 10000000

struct payload { /* network byte order */
	uint32_t tag;
	uint32_t number;
};

static uint8_t data[BATCH][LEN_MAX + 1];
static struct iovec iov[BATCH];
static struct mmsghdr msgs[BATCH];
static volatile sig_atomic_t stopping;

static void die(const char *what)
{
	fprintf(stderr, "udp_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

_Noreturn static void usage(void)
{
	fputs("usage: udp_load receive ADDR PORT TAG\n"
	      "       udp_load send FROM ADDR PORT TAG LEN RATE SECONDS\n",
	      stderr);
	exit(2);
}

static void on_signal(int signo)
{
	(void)signo;
	stopping = 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_S + (uint64_t)ts.tv_nsec;
}

static double number_read(const char *text, double min, double max)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= min && value <= max))
		usage();
	return value;
}

static struct sockaddr_in address_read(const char *text, uint16_t port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (inet_pton(AF_INET, text, &addr.sin_addr) != 1)
		usage();
	return addr;
}

static int socket_open(struct sockaddr_in local)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = SOCKBUF;
	struct timeval timeout = {.tv_usec = 20000};

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    bind(fd, (struct sockaddr *)&local, sizeof(local)) < 0)
		die("socket");
	return fd;
}

static void messages_set(size_t len)
{
	memset(data, 0x5a, sizeof(data));
	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){data[i], len};
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
}

static uint32_t socket_drops(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		die("SO_MEMINFO");
	return info[SK_MEMINFO_DROPS];
}

/* Whether it is one of this run's, not seen before. */
static bool payload_take(const uint8_t *at, size_t len, uint32_t tag, uint64_t *seen)
{
	struct payload p;
	uint32_t number;
	uint64_t bit;

	if (len < sizeof(p))
		return false;
	memcpy(&p, at, sizeof(p));
	number = ntohl(p.number);
	if (ntohl(p.tag) != tag || number >= NUMBERS)
		return false;
	bit = 1ull << (number % 64);
	if (seen[number / 64] & bit)
		return false;
	seen[number / 64] |= bit;
	return true;
}

static int receive(char **args)
{
	uint16_t port = (uint16_t)number_read(args[1], 1, UINT16_MAX);
	uint32_t tag = (uint32_t)number_read(args[2], 0, UINT32_MAX);
	int fd = socket_open(address_read(args[0], port)), n;
	uint64_t *seen = calloc(NUMBERS / 64, sizeof(*seen));
	uint64_t received = 0, others = 0, first_ns = 0, last_ns = 0;
	struct sigaction action = {.sa_handler = on_signal};

	if (seen == NULL)
		die("memory");
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	messages_set(sizeof(data[0]));
	puts("{\"listening\": true}");
	fflush(stdout);
	while (!stopping) {
		n = recvmmsg(fd, msgs, BATCH, MSG_WAITFORONE, NULL);
		if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
			die("recvmmsg");
		if (n <= 0)
			continue;
		last_ns = now_ns();
		first_ns = first_ns == 0 ? last_ns : first_ns;
		for (int i = 0; i < n; i++) {
			if (payload_take(data[i], msgs[i].msg_len, tag, seen))
				received++;
			else
				others++;
		}
	}
	printf("{\"received\": %llu, \"others\": %llu, \"seconds\": %.6f, \"overflow\": %u}\n",
	       (unsigned long long)received, (unsigned long long)others,
	       (double)(last_ns - first_ns) / (double)NSEC_PER_S, socket_drops(fd));
	free(seen);
	close(fd);
	return 0;
}

/* Sends some of what is due; returns how many went or were refused. */
static unsigned send_some(int fd, uint32_t tag, uint32_t number, unsigned due, uint64_t *refused)
{
	struct payload p = {.tag = htonl(tag)};
	int n;

	due = due > BATCH ? BATCH : due;
	for (unsigned i = 0; i < due; i++) {
		p.number = htonl(number + i);
		memcpy(data[i], &p, sizeof(p));
	}
	n = sendmmsg(fd, msgs, due, 0);
	if (n > 0)
		return (unsigned)n;
	if (errno != ENOBUFS && errno != ECONNREFUSED && errno != EINTR)
		die("sendmmsg");
	++*refused; /* which is a lost one */
	return 1;
}

static int send_at_rate(char **args)
{
	uint16_t port = (uint16_t)number_read(args[2], 1, UINT16_MAX);
	uint32_t tag = (uint32_t)number_read(args[3], 0, UINT32_MAX);
	size_t len = (size_t)number_read(args[4], sizeof(struct payload), LEN_MAX);
	double rate = number_read(args[5], 1, SEND_MAX_PPS);
	uint64_t length_ns = (uint64_t)(number_read(args[6], 0.01, SEND_MAX_S) * NSEC_PER_S);
	int fd = socket_open(address_read(args[0], 0));
	struct sockaddr_in to = address_read(args[1], port);
	uint64_t sent = 0, left_out = 0, refused = 0, start_ns, now, due;
	uint64_t late = (uint64_t)(rate * LATE_NS / NSEC_PER_S) + 1;

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect");
	prctl(PR_SET_TIMERSLACK, 1);
	messages_set(len);
	start_ns = now_ns();
	while ((now = now_ns()) - start_ns < length_ns) {
		due = (uint64_t)((double)(now - start_ns) * rate / NSEC_PER_S) - sent - left_out;
		if (due > late) {
			left_out += due - late;
			due = late;
		}
		if (due > 0)
			sent += send_some(fd, tag, (uint32_t)sent, (unsigned)due, &refused);
		if (due <= BATCH)
			nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
	}
	printf("{\"sent\": %llu, \"refused\": %llu, \"left_out\": %llu, \"seconds\": %.6f}\n",
	       (unsigned long long)sent, (unsigned long long)refused, (unsigned long long)left_out,
	       (double)(now - start_ns) / (double)NSEC_PER_S);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "receive") == 0)
		return receive(argv + 2);
	if (argc == 9 && strcmp(argv[1], "send") == 0)
		return send_at_rate(argv + 2);
	usage();
}
