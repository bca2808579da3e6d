/* SPDX-License-Identifier: MIT */
/*
 * What is different with sockets of AH (RFC 4302): its ICV covers the outer IP header.
 *
 * Over IPv4 packets come and go with it (IP_HDRINCL).  A system does two things less for such a
 * packet: it neither cuts one that is larger than the path, nor looks at what routers said of the
 * path; so both is done here.
 *
 * Over IPv6 the system keeps the header.  All of it that is covered is known, and the extension
 * headers before AH come as control messages in their order (RFC 3542 4, 5): they are put together
 * again before the packet, where room was left.
 */
#include <errno.h>
#include <string.h>
#include "platform/pktio_state.h"
#include "wire/ip.h"

#define AH_ROOM (IP6_HEADER_LEN + PKTIO_EXT_MAX) /* before a packet, for its headers */

/* --- receiving */

void pktio_ah_prepare(struct pktio_worker *w, const struct pktio_sock *s, unsigned slot,
		      struct fwd_dgram *d)
{
	size_t room = s->ipv6 ? AH_ROOM : 0;
	struct iovec *iov = w->iovs[slot];
	iov[0] = (struct iovec){d->data + room, FWD_BUFFER_LEN - room};
	w->msgs[slot].msg_hdr =
	    (struct msghdr){.msg_name = &w->names[slot],
			    .msg_namelen = sizeof(w->names[slot]),
			    .msg_iov = iov,
			    .msg_iovlen = 1,
			    .msg_control = w->ext_controls[slot].buf,
			    .msg_controllen = sizeof(w->ext_controls[slot].buf)};
}

static void received_ip4(struct fwd_dgram *d)
{
	d->head_len = d->len ? (uint16_t)((d->data[0] & 15u) * 4u) : 0;
	if (d->head_len < IP4_HEADER_LEN || d->len < d->head_len)
		d->len = d->head_len = 0;
	else
		d->tos = d->data[1];
}

/* Which extension header a control message is; -1: none. */
static int ext_kind(const struct cmsghdr *c)
{
	if (c->cmsg_level != SOL_IPV6 || c->cmsg_len < CMSG_LEN(8))
		return -1;
	switch (c->cmsg_type) {
	case IPV6_HOPOPTS:
		return IPPROTO_HOPOPTS;
	case IPV6_DSTOPTS:
		return IPPROTO_DSTOPTS;
	case IPV6_RTHDR:
		return IPPROTO_ROUTING;
	default: /* the system's numbers */
		return -1;
	}
}

/* The extension headers, before `end`; returns their length and the first one's kind. */
static size_t put_extensions(struct msghdr *msg, uint8_t *end, uint8_t *first)
{
	size_t total = 0;
	*first = IP_PROTO_AH;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (ext_kind(c) >= 0)
			total += c->cmsg_len - CMSG_LEN(0);
	if (total > PKTIO_EXT_MAX)
		return SIZE_MAX;
	uint8_t *p = end - total;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		int kind = ext_kind(c);
		if (kind < 0)
			continue;
		if (p == end - total)
			*first = (uint8_t)kind;
		size_t len = c->cmsg_len - CMSG_LEN(0);
		memcpy(p, CMSG_DATA(c), len);
		p += len;
	}
	return total;
}

static void received_ip6(const struct pktio_sock *s, struct msghdr *msg, struct fwd_dgram *d)
{
	const struct addr *dst = s->any ? &d->dst : &s->local.addr;
	uint8_t *packet = d->data + AH_ROOM, first;
	size_t ext_len = put_extensions(msg, packet, &first);
	if ((msg->msg_flags & MSG_CTRUNC) || ext_len == SIZE_MAX || dst->family != 6 ||
	    !ip_write_header(packet - ext_len - IP6_HEADER_LEN, IP6_HEADER_LEN, &d->src.addr, dst,
			     first, 0, 0, ext_len + d->len)) {
		d->len = 0;
		return;
	}
	d->head_len = (uint16_t)(IP6_HEADER_LEN + ext_len);
	d->head_off = (uint16_t)(AH_ROOM - d->head_len);
	d->len += d->head_len;
}

void pktio_ah_received(struct pktio_worker *w, const struct pktio_sock *s, unsigned slot,
		       struct fwd_dgram *d)
{
	if (!s->ipv6)
		received_ip4(d);
	else if (d->len)
		received_ip6(s, &w->msgs[slot].msg_hdr, d);
}

/* --- sending */

void pktio_ah_errors(struct pktio_end *end)
{
	struct addr of;
	uint32_t mtu = pktio_drain_told(end->fd, &of);
	if (mtu)
		pktio_ah_told(end, &of, mtu);
}

void pktio_ah_told(struct pktio_end *end, const struct addr *of, uint32_t mtu)
{
	end->told_to = *of;
	end->told_mtu = mtu;
}

static bool told_too_large(const struct pktio_end *end, const struct fwd_send *send)
{
	return send->df && end->told_mtu && send->len > end->told_mtu &&
	       addr_equal(&send->path->remote.addr, &end->told_to);
}

static bool wants_fragments(const struct fwd_send *send)
{
	return !send->df && send->len > send->path->mtu;
}

unsigned pktio_ah_plain(const struct pktio_end *end, const struct fwd_send *sends, unsigned n)
{
	unsigned i = 0;
	while (i < n && !told_too_large(end, &sends[i]) && !wants_fragments(&sends[i]))
		i++;
	return i;
}

struct fragments {
	struct pktio_end *end;
	struct fwd_send *send;
};

static void send_fragment(void *ctx, const uint8_t *fragment, size_t len)
{
	struct fragments *f = ctx;
	struct sockaddr_storage ss;
	struct endpoint to = {.addr = f->send->path->remote.addr};
	socklen_t ss_len = endpoint_to_sockaddr(&to, &ss);
	if (!f->send->error && sendto(f->end->fd, fragment, len, MSG_DONTWAIT | MSG_NOSIGNAL,
				      (struct sockaddr *)&ss, ss_len) < 0)
		f->send->error = errno;
}

void pktio_ah_send(struct pktio_worker *w, struct pktio_end *end, struct fwd_send *send)
{
	if (wants_fragments(send)) {
		struct fragments f = {end, send};
		if (!ip4_fragment(send->data, send->len, send->path->mtu, w->fragment,
				  send_fragment, &f))
			send->error = EINVAL;
		return;
	}
	send->error = EMSGSIZE;
	send->mtu = end->told_mtu;
	end->told_mtu = 0; /* it is told; the next packets are cut to fit, or a router says more */
}
