/* SPDX-License-Identifier: MIT */
/*
 * A wire with delay, loss and a rate between two network interfaces.
 *
 * Purpose: the kernel's netem is not everywhere, and a test wants to drop exactly the third
 * packet.  So this forwards Ethernet frames between interfaces `a` and `b` (AF_PACKET, both
 * promiscuous) and holds each as long as the wire is.  a -> b is "up", b -> a is "down".
 *
 * Each direction is a ring of frames in order of arrival.  A frame leaves when the frame before it
 * has left and its own time has come: there is no jitter and no reordering, also when the delay
 * changes under way.  With a rate, frames leave the bottleneck one after the other and what would
 * wait longer than the queue allows is dropped, as in a router.  Frames singled out by `holdmatch`
 * are the exception: they wait apart and may be overtaken.
 *
 * Offloads of the far ends must be off (ethtool -K IF tx off): frames are expected as they
 * would be on a cable, with checksums and not above the MTU.
 *
 * The control socket (UNIX datagrams, one command each, answered with "ok ..." or "error ...";
 * without a direction a command is about both):
 *   delay MS [up|down]          one way
 *   loss PERCENT [up|down]
 *   rate MBIT [up|down]         0: no limit
 *   drop N [up|down]            the next N frames
 *   blackhole on|off [up|down]
 *   dropmatch up|down udp MIN MAX COUNT       the next COUNT frames with such a UDP payload
 *   holdmatch up|down udp MIN MAX COUNT MS    the same, but they come MS later
 *   stats                       JSON
 * One thread; owns its sockets, rings and the control path.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX  2048u
#define BATCH	   64u
#define HELD_MAX   64u
#define NSEC_PER_S 1000000000ull
#define SOCKBUF	   (64 << 20)

struct frame {
	uint64_t due_ns;
	uint32_t len;
	uint8_t data[FRAME_MAX];
};

/* A rule for frames with a UDP payload of min..max octets. */
struct match {
	unsigned min, max, count;
	uint64_t hold_ns; /* 0: drop */
};

struct direction {
	const char *name;
	int in_fd, out_fd;
	/* parameters */
	uint64_t delay_ns, queue_ns, rate_bps;
	double loss; /* 0..1 */
	bool blackhole;
	unsigned drop_next;
	struct match drop, hold;
	/* the wire */
	struct frame *ring;
	uint32_t slots, head, count; /* head: oldest */
	uint64_t busy_until_ns;	     /* the bottleneck sends until then */
	struct frame *held;
	uint32_t held_count;
	/* statistics */
	uint64_t received, sent, lost, dropped, matched, overrun, oversize, failed;
};

static struct direction dirs[2] = {{.name = "up"}, {.name = "down"}};
static uint8_t batch_data[BATCH][FRAME_MAX];
static uint64_t random_state = 0x9e3779b97f4a7c15ull;

static void die(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_S + (uint64_t)ts.tv_nsec;
}

/* xorshift64*: the same seed loses the same frames. */
static double random_unit(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (double)((random_state * 0x2545f4914f6cdd1dull) >> 11) / 9007199254740992.0;
}

static int open_interface(const char *name)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, size = SOCKBUF;
	struct packet_mreq promiscuous = {.mr_type = PACKET_MR_PROMISC};
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};

	if (fd < 0)
		die("AF_PACKET socket");
	addr.sll_ifindex = (int)if_nametoindex(name);
	if (addr.sll_ifindex == 0)
		die(name);
	promiscuous.mr_ifindex = addr.sll_ifindex;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) <
		0 ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die(name);
	return fd;
}

/* Octets of UDP payload, or -1 for anything else.  Fragments count as anything else. */
static int udp_payload_len(const uint8_t *f, size_t len)
{
	size_t at = sizeof(struct ether_header), ihl;
	unsigned type;

	if (len < at + 20)
		return -1;
	type = (unsigned)(f[12] << 8 | f[13]);
	if (type == ETHERTYPE_IP) {
		ihl = (size_t)(f[at] & 0x0f) * 4;
		if (f[at + 9] != IPPROTO_UDP || (f[at + 6] & 0x3f) != 0 || f[at + 7] != 0)
			return -1;
		at += ihl;
	} else if (type == ETHERTYPE_IPV6) {
		if (len < at + 40 || f[at + 6] != IPPROTO_UDP)
			return -1;
		at += 40;
	} else {
		return -1;
	}
	if (len < at + 8)
		return -1;
	return (f[at + 4] << 8 | f[at + 5]) - 8;
}

static bool match_takes(struct match *m, int payload_len)
{
	if (m->count == 0 || payload_len < (int)m->min || payload_len > (int)m->max)
		return false;
	m->count--;
	return true;
}

static void frame_set(struct frame *f, uint64_t due_ns, const uint8_t *data, size_t len)
{
	f->due_ns = due_ns;
	f->len = (uint32_t)len;
	memcpy(f->data, data, len);
}

/* Decides what becomes of one frame that came in. */
static void direction_take(struct direction *d, const uint8_t *data, size_t len, uint64_t now)
{
	uint64_t leaves = now;
	int payload_len;

	d->received++;
	if (d->blackhole || d->drop_next > 0) {
		if (!d->blackhole)
			d->drop_next--;
		d->dropped++;
		return;
	}
	payload_len = d->drop.count + d->hold.count > 0 ? udp_payload_len(data, len) : -1;
	if (match_takes(&d->drop, payload_len)) {
		d->matched++;
		return;
	}
	if (d->loss > 0 && random_unit() < d->loss) {
		d->lost++;
		return;
	}
	if (match_takes(&d->hold, payload_len) && d->held_count < HELD_MAX) {
		d->matched++;
		frame_set(&d->held[d->held_count++], now + d->delay_ns + d->hold.hold_ns, data,
			  len);
		return;
	}
	if (d->rate_bps > 0) {
		if (d->busy_until_ns > now)
			leaves = d->busy_until_ns;
		if (leaves - now > d->queue_ns) {
			d->overrun++;
			return;
		}
		leaves += (uint64_t)len * 8 * NSEC_PER_S / d->rate_bps;
		d->busy_until_ns = leaves;
	}
	if (d->count == d->slots) {
		d->overrun++;
		return;
	}
	frame_set(&d->ring[(d->head + d->count++) % d->slots], leaves + d->delay_ns, data, len);
}

static void direction_receive(struct direction *d)
{
	struct mmsghdr msgs[BATCH] = {0};
	struct iovec iov[BATCH];
	uint64_t now;
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){batch_data[i], FRAME_MAX};
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	do {
		/* An error here is the interface going down: it may come up again. */
		n = recvmmsg(d->in_fd, msgs, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
		now = now_ns();
		for (int i = 0; i < n; i++) {
			if (msgs[i].msg_len > FRAME_MAX)
				d->oversize++;
			else
				direction_take(d, batch_data[i], msgs[i].msg_len, now);
		}
	} while (n == (int)BATCH);
}

static void direction_send_held(struct direction *d, uint64_t now)
{
	for (uint32_t i = 0; i < d->held_count;) {
		if (d->held[i].due_ns > now) {
			i++;
			continue;
		}
		if (send(d->out_fd, d->held[i].data, d->held[i].len, MSG_DONTWAIT) < 0)
			d->failed++;
		else
			d->sent++;
		d->held[i] = d->held[--d->held_count];
	}
}

static void direction_send(struct direction *d, uint64_t now)
{
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	unsigned due;
	int n;

	direction_send_held(d, now);
	for (;;) {
		for (due = 0; due < BATCH && due < d->count; due++) {
			struct frame *f = &d->ring[(d->head + due) % d->slots];

			if (f->due_ns > now)
				break;
			iov[due] = (struct iovec){f->data, f->len};
			memset(&msgs[due], 0, sizeof(msgs[due]));
			msgs[due].msg_hdr.msg_iov = &iov[due];
			msgs[due].msg_hdr.msg_iovlen = 1;
		}
		if (due == 0)
			return;
		n = sendmmsg(d->out_fd, msgs, due, MSG_DONTWAIT);
		if (n > 0) {
			d->sent += (uint64_t)n;
		} else {
			/* The cable is out (ENETDOWN) or the queue full: this frame is gone. */
			d->failed++;
			n = 1;
		}
		d->head = (d->head + (uint32_t)n) % d->slots;
		d->count -= (uint32_t)n;
	}
}

static uint64_t direction_deadline(const struct direction *d)
{
	uint64_t due = d->count > 0 ? d->ring[d->head].due_ns : UINT64_MAX;

	for (uint32_t i = 0; i < d->held_count; i++)
		if (d->held[i].due_ns < due)
			due = d->held[i].due_ns;
	return due;
}

/* Control */

static void stats_write(char *out, size_t size)
{
	size_t at = (size_t)snprintf(out, size, "ok {");

	for (int i = 0; i < 2; i++) {
		const struct direction *d = &dirs[i];

		at += (size_t)snprintf(
		    out + at, size - at,
		    "%s\"%s\": {\"received\": %llu, \"sent\": %llu, \"lost\": %llu, "
		    "\"dropped\": %llu, \"matched\": %llu, \"overrun\": %llu, "
		    "\"oversize\": %llu, \"failed\": %llu, \"waiting\": %u}",
		    i > 0 ? ", " : "", d->name, (unsigned long long)d->received,
		    (unsigned long long)d->sent, (unsigned long long)d->lost,
		    (unsigned long long)d->dropped, (unsigned long long)d->matched,
		    (unsigned long long)d->overrun, (unsigned long long)d->oversize,
		    (unsigned long long)d->failed, d->count + d->held_count);
	}
	snprintf(out + at, size - at, "}");
}

static bool set_match(struct direction *d, const char *command, int words, const unsigned v[4])
{
	struct match m = {v[0], v[1], v[2], (uint64_t)v[3] * 1000000};

	if (strcmp(command, "dropmatch") == 0 && words == 6)
		d->drop = m;
	else if (strcmp(command, "holdmatch") == 0 && words == 7)
		d->hold = m;
	else
		return false;
	return true;
}

static bool set_value(struct direction *d, const char *command, const char *value)
{
	double number;
	char *end;

	if (strcmp(command, "blackhole") == 0) {
		d->blackhole = strcmp(value, "on") == 0;
		return d->blackhole || strcmp(value, "off") == 0;
	}
	number = strtod(value, &end);
	if (*end != '\0' || end == value || !(number >= 0 && number <= 1e6))
		return false;
	if (strcmp(command, "delay") == 0)
		d->delay_ns = (uint64_t)(number * 1e6);
	else if (strcmp(command, "loss") == 0)
		d->loss = number / 100;
	else if (strcmp(command, "rate") == 0)
		d->rate_bps = (uint64_t)(number * 1e6);
	else if (strcmp(command, "queue") == 0)
		d->queue_ns = (uint64_t)(number * 1e6);
	else if (strcmp(command, "drop") == 0)
		d->drop_next = (unsigned)number;
	else
		return false;
	return true;
}

static bool command_run(const char *text)
{
	char command[16] = "", value[16] = "", which[16] = "";
	unsigned v[4] = {0};
	bool ok = true, found = false;
	int words;

	words =
	    sscanf(text, "%15s %15s udp %u %u %u %u", command, which, &v[0], &v[1], &v[2], &v[3]);
	if (words >= 5) {
		for (int i = 0; i < 2; i++)
			if (strcmp(which, dirs[i].name) == 0)
				return set_match(&dirs[i], command, words + 1, v);
		return false;
	}
	which[0] = '\0';
	words = sscanf(text, "%15s %15s %15s", command, value, which);
	for (int i = 0; i < 2; i++) {
		if (words == 3 && strcmp(which, dirs[i].name) != 0)
			continue;
		found = true;
		ok = ok && set_value(&dirs[i], command, value);
	}
	return ok && found && words >= 2;
}

static void control_answer(int fd)
{
	struct sockaddr_un from;
	socklen_t from_len = sizeof(from);
	char text[256], reply[1024] = "ok";
	ssize_t n = recvfrom(fd, text, sizeof(text) - 1, 0, (struct sockaddr *)&from, &from_len);

	if (n < 0)
		return;
	text[n] = '\0';
	if (strncmp(text, "stats", 5) == 0)
		stats_write(reply, sizeof(reply));
	else if (!command_run(text))
		snprintf(reply, sizeof(reply), "error: not understood: %.200s", text);
	if (from_len > sizeof(sa_family_t))
		(void)sendto(fd, reply, strlen(reply), MSG_DONTWAIT, (struct sockaddr *)&from,
			     from_len);
}

static int control_open(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
		die(path);
	strcpy(addr.sun_path, path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die(path);
	return fd;
}

static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void relay_run(int control_fd, int signal_fd)
{
	int fds[] = {dirs[0].in_fd, dirs[1].in_fd, control_fd, signal_fd};
	int ep = epoll_create1(EPOLL_CLOEXEC);

	for (unsigned i = 0; i < 4; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};

		if (fds[i] >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e) < 0)
			die("epoll");
	}
	for (;;) {
		struct epoll_event events[4];
		uint64_t due = direction_deadline(&dirs[0]), due_b = direction_deadline(&dirs[1]);
		uint64_t now = now_ns(), wait;
		struct timespec ts;
		int n;

		due = due_b < due ? due_b : due;
		wait = due > now ? due - now : 0;
		ts = (struct timespec){(time_t)(wait / NSEC_PER_S), (long)(wait % NSEC_PER_S)};
		n = epoll_pwait2(ep, events, 4, due == UINT64_MAX ? NULL : &ts, NULL);
		for (int i = 0; i < n; i++) {
			if (events[i].data.u32 < 2)
				direction_receive(&dirs[events[i].data.u32]);
			else if (events[i].data.u32 == 2)
				control_answer(control_fd);
			else
				return;
		}
		now = now_ns();
		direction_send(&dirs[0], now);
		direction_send(&dirs[1], now);
	}
}

static void usage(void)
{
	fputs("usage: relay --a IF --b IF [--delay MS] [--loss PERCENT] [--rate MBIT]\n"
	      "             [--queue MS] [--slots N] [--seed N] [--control PATH]\n",
	      stderr);
	exit(2);
}

struct options {
	const char *a, *b, *control;
	uint32_t slots;
};

static void options_read(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
	    {"a", 1, NULL, 'a'},     {"b", 1, NULL, 'b'},    {"delay", 1, NULL, 'd'},
	    {"loss", 1, NULL, 'l'},  {"rate", 1, NULL, 'r'}, {"queue", 1, NULL, 'q'},
	    {"slots", 1, NULL, 's'}, {"seed", 1, NULL, 'S'}, {"control", 1, NULL, 'c'},
	    {NULL, 0, NULL, 0},
	};
	char command[64];
	int c, which = 0;

	while ((c = getopt_long(argc, argv, "", options, &which)) != -1) {
		switch (c) {
		case 'a':
			o->a = optarg;
			break;
		case 'b':
			o->b = optarg;
			break;
		case 'c':
			o->control = optarg;
			break;
		case 's':
			o->slots = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'S':
			random_state ^= strtoull(optarg, NULL, 0) * 0x9e3779b97f4a7c15ull + 1;
			break;
		case 'd':
		case 'l':
		case 'r':
		case 'q':
			/* These are commands of the control socket too. */
			snprintf(command, sizeof(command), "%s %s", options[which].name, optarg);
			if (!command_run(command))
				usage();
			break;
		default:
			usage();
		}
	}
	if (o->a == NULL || o->b == NULL || o->slots == 0 || optind != argc)
		usage();
}

int main(int argc, char **argv)
{
	struct options o = {.slots = 16384};
	int signal_fd, control_fd = -1;

	for (int i = 0; i < 2; i++)
		dirs[i].queue_ns = 200 * 1000000ull;
	options_read(&o, argc, argv);
	prctl(PR_SET_TIMERSLACK, 1);
	dirs[0].in_fd = dirs[1].out_fd = open_interface(o.a);
	dirs[1].in_fd = dirs[0].out_fd = open_interface(o.b);
	for (int i = 0; i < 2; i++) {
		dirs[i].slots = o.slots;
		dirs[i].ring = calloc(o.slots, sizeof(struct frame));
		dirs[i].held = calloc(HELD_MAX, sizeof(struct frame));
		if (dirs[i].ring == NULL || dirs[i].held == NULL)
			die("memory");
	}
	signal_fd = signals_open();
	if (o.control != NULL)
		control_fd = control_open(o.control);
	relay_run(control_fd, signal_fd);
	if (o.control != NULL)
		unlink(o.control);
	for (int i = 0; i < 2; i++) {
		free(dirs[i].ring);
		free(dirs[i].held);
	}
	return 0;
}
