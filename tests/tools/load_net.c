/* SPDX-License-Identifier: MIT */
/*
 * The socket of a load.  It is bound to a port of every address; which of ours a datagram is from
 * or to goes by IP_PKTINFO, so that one socket is fifty thousand terminals.  (Their addresses are
 * made local by a route: `ip route add local PREFIX dev lo`.)
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"
#include "load.h"
#include "wire/esp.h"

#define BATCH	  64u
#define ROOM	  2048u /* a datagram; IKE messages beyond go in fragments */
#define BUFFER	  (64 << 20)
#define NATT_PORT 4500

struct control {
	_Alignas(struct cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

struct load_net {
	struct load *l;
	int fd;
	unsigned queued;
	struct mmsghdr out[BATCH], in[BATCH];
	struct iovec out_iov[BATCH], in_iov[BATCH];
	struct sockaddr_storage out_to[BATCH], in_from[BATCH];
	struct control out_control[BATCH], in_control[BATCH];
	uint8_t out_data[BATCH][ROOM], in_data[BATCH][ROOM];
};

struct load_net *load_net_open(struct load *l)
{
	struct load_net *n = mem_zalloc(sizeof(*n));
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(l->o.port)};
	int on = 1, size = BUFFER;
	n->l = l;
	n->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd < 0 || bind(n->fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		load_die("UDP port %u: %s", l->o.port, strerror(errno));
	if (setsockopt(n->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) < 0)
		load_die("IP_PKTINFO: %s", strerror(errno));
	(void)setsockopt(n->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	(void)setsockopt(n->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return n;
}

void load_net_close(struct load_net *n)
{
	close(n->fd);
	free(n);
}

/* --- out */

static void put_source(struct msghdr *m, struct control *c, const struct addr *from)
{
	m->msg_control = c->bytes;
	m->msg_controllen = sizeof(c->bytes);
	struct cmsghdr *h = CMSG_FIRSTHDR(m);
	struct in_pktinfo info = {0};
	memcpy(&info.ipi_spec_dst, from->b, 4);
	h->cmsg_level = IPPROTO_IP;
	h->cmsg_type = IP_PKTINFO;
	h->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(h), &info, sizeof(info));
}

void load_net_send(struct load_net *n, const struct endpoint *from, const struct endpoint *to,
		   bool marker, const uint8_t *data, size_t len)
{
	unsigned i = n->queued;
	size_t before = marker ? IKE_NON_ESP_LEN : 0;
	if (len + before > ROOM)
		load_die("a message of %zu octets; there is room for %u", len, ROOM);
	memset(n->out_data[i], 0, before);
	memcpy(n->out_data[i] + before, data, len);
	n->out_iov[i] = (struct iovec){n->out_data[i], len + before};
	n->out[i].msg_hdr = (struct msghdr){.msg_name = &n->out_to[i],
					    .msg_namelen = endpoint_to_sockaddr(to, &n->out_to[i]),
					    .msg_iov = &n->out_iov[i],
					    .msg_iovlen = 1};
	put_source(&n->out[i].msg_hdr, &n->out_control[i], &from->addr);
	if (++n->queued == BATCH)
		load_net_flush(n);
}

void load_net_flush(struct load_net *n)
{
	unsigned done = 0;
	while (done < n->queued) {
		int sent = sendmmsg(n->fd, n->out + done, n->queued - done, 0);
		/* What is refused is lost as on any network. */
		done += sent > 0 ? (unsigned)sent : 1;
	}
	n->queued = 0;
}

/* --- in */

static bool take_destination(struct msghdr *m, struct addr *to)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		struct in_pktinfo info;
		if (h->cmsg_level != IPPROTO_IP || h->cmsg_type != IP_PKTINFO)
			continue;
		memcpy(&info, CMSG_DATA(h), sizeof(info));
		*to = addr_from_bytes(4, &info.ipi_addr);
		return true;
	}
	return false;
}

static void take(struct load_net *n, unsigned i, usec_t now_us)
{
	struct load *l = n->l;
	struct ike_path path = {.natt = l->o.port == NATT_PORT, .local.port = l->o.port};
	uint8_t *data = n->in_data[i];
	size_t len = n->in[i].msg_len;
	if (!endpoint_from_sockaddr(&n->in_from[i], &path.remote) ||
	    !take_destination(&n->in[i].msg_hdr, &path.local.addr))
		return;
	if (!path.natt) {
		ike_datagram(l->engine, &path, data, len, now_us);
		return;
	}
	switch (esp_udp_classify(data, len)) {
	case ESP_UDP_IKE:
		ike_datagram(l->engine, &path, data + IKE_NON_ESP_LEN, len - IKE_NON_ESP_LEN,
			     now_us);
		break;
	case ESP_UDP_ESP:
		load_echo_input(l, data, len);
		break;
	case ESP_UDP_KEEPALIVE:
	case ESP_UDP_RUNT:
		break;
	}
}

static unsigned receive(struct load_net *n)
{
	for (unsigned i = 0; i < BATCH; i++) {
		n->in_iov[i] = (struct iovec){n->in_data[i], ROOM};
		n->in[i].msg_hdr = (struct msghdr){.msg_name = &n->in_from[i],
						   .msg_namelen = sizeof(n->in_from[i]),
						   .msg_iov = &n->in_iov[i],
						   .msg_iovlen = 1,
						   .msg_control = n->in_control[i].bytes,
						   .msg_controllen = sizeof(n->in_control[i])};
	}
	int got = recvmmsg(n->fd, n->in, BATCH, 0, NULL);
	usec_t now_us = clock_now_us();
	for (int i = 0; i < got; i++)
		take(n, (unsigned)i, now_us);
	return got > 0 ? (unsigned)got : 0;
}

bool load_net_turn(struct load_net *n, usec_t until_us)
{
	struct pollfd fds[] = {{.fd = n->fd, .events = POLLIN},
			       {.fd = STDIN_FILENO, .events = POLLIN}};
	usec_t now_us = clock_now_us();
	int wait_ms = 0;
	load_net_flush(n);
	if (until_us == USEC_NEVER)
		wait_ms = -1;
	else if (until_us > now_us)
		wait_ms = (int)((until_us - now_us + USEC_PER_MS - 1) / USEC_PER_MS);
	if (poll(fds, 2, wait_ms) < 0 && errno != EINTR)
		load_die("poll: %s", strerror(errno));
	/* Bounded, so that deadlines and commands get their turn. */
	for (unsigned i = 0; i < 16 && receive(n) == BATCH; i++)
		load_net_flush(n);
	load_net_flush(n);
	return fds[1].revents != 0;
}
