/* SPDX-License-Identifier: MIT */
/*
 * The packet threads and their I/O: TUN with virtio headers, UDP sockets with UDP_SEGMENT and
 * UDP_GRO, raw sockets for native ESP, all in batches, behind struct fwd_io.
 */
#ifndef PLATFORM_PKTIO_H
#define PLATFORM_PKTIO_H

#include "base/err.h"
#include "base/log.h"
#include "forward/fwd.h"
#include "platform/tun.h"

#define PKTIO_SOCKS_MAX 256

struct pktio;

/* tun is taken: its count is 0 afterwards, also when this fails.  One packet thread for each of its
 * queues.  Gives the fwd_io for fwd_new, with as many workers. */
struct pktio *pktio_new(struct tun *tun, const struct log *log, struct err *err);
void pktio_free(struct pktio *p); /* after pktio_stop */
struct fwd_io pktio_ops(struct pktio *p);
/* Readable when fwd_event_next has something (edge: read 8 bytes, then drain). */
int pktio_event_fd(const struct pktio *p);

int pktio_start(struct pktio *p, struct fwd *f); /* starts the threads; 0 or -errno */
void pktio_stop(struct pktio *p);		 /* ends and joins them */

/* Adds a packet socket (fd taken); returns its index for struct path, or -ENFILE.  Safe while
 * the thread runs. */
int pktio_sock_add(struct pktio *p, int fd, bool udp, bool ipv6);
/* Another descriptor bound to the same address (SO_REUSEPORT; taken), for the next thread that has
 * none of its own of this socket.  0, or -ENFILE: each has one. */
int pktio_sock_join(struct pktio *p, uint16_t sock, int fd);
/* Of control: the address and port it is bound to.  False: there is none with this number. */
bool pktio_sock_local(const struct pktio *p, uint16_t sock, struct endpoint *out);
/* The thread stops using it; closed after a grace period (paths that name it were replaced). */
void pktio_sock_remove(struct pktio *p, uint16_t sock);

/* From the control thread: one datagram on a UDP packet socket, behind four zero octets when
 * `marker` (RFC 3948 2.2), from local's address where the socket is bound to none.  One that is
 * larger than the path goes in IP fragments.  0 or -errno; nothing waits for room. */
int pktio_send(struct pktio *p, uint16_t sock, const struct endpoint *local,
	       const struct endpoint *remote, bool marker, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

#endif
