/* SPDX-License-Identifier: MIT */
/*
 * The packet path: batches between the TUN device and the network.
 *
 *   out: TUN batch -> destination -> binding -> each active SA: cut, number, encapsulate, seal
 *        -> send batch (segments of one read leave as one UDP_SEGMENT send)
 *   in:  datagram batch -> SPI -> SA -> replay check -> open -> replay mark -> checks
 *        -> control, or merged TCP segments -> TUN batch
 *
 * It does no system call itself: struct fwd_io is given at creation (platform has the real
 * one, tests have their own).  Each worker has one thread (a packet thread, registered with RCU
 * QSBR) that calls fwd_run_*; control calls the others.  No allocation, lock, log or system call
 * per packet.
 */
#ifndef FORWARD_FWD_H
#define FORWARD_FWD_H

#include <linux/virtio_net.h>
#include <sys/uio.h>
#include "base/addr.h"
#include "base/clock.h"
#include "base/err.h"
#include "forward/drops.h"
#include "sadb/sadb.h"

#define FWD_FRAMES_MAX	 32    /* TUN frames in one batch */
#define FWD_DGRAMS_MAX	 32    /* datagrams (before cutting by UDP_GRO) in one batch */
#define FWD_BUFFER_LEN	 65536 /* of one frame or datagram */
#define FWD_SEGMENTS_MAX 64    /* UDP_SEGMENT's limit */
#define FWD_SEND_LEN_MAX 65000 /* of all the segments of one send */

/* One TUN read: an IP packet behind its virtio header; may be up to 64 KiB to be cut. */
struct fwd_frame {
	struct virtio_net_hdr vh;
	uint8_t *data; /* given by fwd, FWD_BUFFER_LEN bytes; filled by tun_read */
	uint32_t len;
};

/* One TUN write: the pieces follow each other. */
struct fwd_write {
	struct virtio_net_hdr vh;
	struct iovec *iov;
	int iov_count;
	bool failed; /* set by tun_write */
};

/* One read of a packet socket.  Native ESP: the IP header is already removed. */
struct fwd_dgram {
	uint8_t *data; /* given by fwd, FWD_BUFFER_LEN bytes */
	uint32_t len;
	uint32_t gso_size; /* 0: one packet; else packets of this size, the last may be shorter */
	uint8_t tos;
	struct endpoint src;
	struct addr dst; /* of a socket that is bound to no address; else family 0 */
	/* AH: the packet is whole, from its outer IP header on, which begins here in data; len is
	 * its own, and head_len that of the headers before AH.  head_len 0: ESP, or in UDP. */
	uint16_t head_off, head_len;
};

/* One send on path->sock from path->local to path->remote.  AH over IPv4 has its IP header, and tos
 * and df are in it. */
struct fwd_send {
	const struct path *path;
	const uint8_t *data;
	uint32_t len;
	uint32_t gso_size; /* 0: one packet */
	uint8_t tos;
	bool df;
	int error; /* set by send: 0 or errno; EMSGSIZE also sets mtu */
	uint32_t mtu;
};

struct fwd_io {
	void *ctx;
	/* Each returns how many of n it did; fewer is "nothing (or no room) now". */
	int (*tun_read)(void *ctx, struct fwd_frame *frames, int n);
	int (*tun_write)(void *ctx, struct fwd_write *writes, int n);
	int (*recv)(void *ctx, uint16_t sock, struct fwd_dgram *dgrams, int n);
	int (*send)(void *ctx, struct fwd_send *sends, int n);
	void (*event)(void *ctx);   /* wakes control: events are waiting */
	void (*command)(void *ctx); /* wakes the packet thread: commands are waiting */
	/* What the worker is called with in place of ctx; NULL: ctx, all of them. */
	void *(*of_worker)(void *ctx, unsigned index);
};

#define FWD_WORKERS_MAX 16

enum fwd_df { FWD_DF_COPY, FWD_DF_SET, FWD_DF_CLEAR };

struct fwd_config {
	struct sadb *sadb; /* borrowed */
	struct fwd_io io;
	enum fwd_df df;
	bool offload;		  /* TUN may be written with GSO headers (merged TCP segments) */
	bool offload_udp;	  /* ... and merged UDP datagrams (Linux 6.2) */
	struct addr icmp4, icmp6; /* source of packet-too-big messages; none: not sent */
	/* Inner destinations whose registration messages (UDP port 434 either way, or Mobility
	 * Header) are control's: home agent addresses.  A terminal's are those of its peer. */
	struct addr own[8];
	uint8_t own_count;
	bool ike; /* somebody takes IKE messages (fwd_ike_next) */
	enum crypt_library library;
	unsigned workers; /* packet threads; 0: one */
};

struct fwd;
struct fwd_worker;
struct fwd *fwd_new(const struct fwd_config *cfg, struct err *err);
void fwd_free(struct fwd *f); /* no thread runs in it any more */

unsigned fwd_worker_count(const struct fwd *f);
struct fwd_worker *fwd_worker(struct fwd *f, unsigned index);

/* --- a packet thread: one batch each; return how much was done, 0 for nothing */
unsigned fwd_run_tun(struct fwd_worker *w, usec_t now_us);
unsigned fwd_run_sock(struct fwd_worker *w, uint16_t sock, bool udp, usec_t now_us);
void fwd_run_commands(struct fwd_worker *w, usec_t now_us); /* everything that waits */

/* --- control: what is published */
/* Packets to prefix go to these (taken); NULL takes the route away.  0 or -ENOMEM. */
int fwd_route_set(struct fwd *f, const struct prefix *prefix, struct active *active)
    __attribute__((warn_unused_result));

/* Sends payload (an inner IP packet, or a probe with next header 59) on sa.  hello_epoch not 0:
 * the space of the SA starts a new epoch with this packet, where its keys are configured ones.
 * false: no room, try later. */
bool fwd_inject(struct fwd *f, struct sa *sa, uint8_t next_header, const void *payload, size_t len,
		uint32_t hello_epoch);
/* The same, but to where `via` says (copied) instead of the SA's own path: a reply goes to where
 * its request came from, before anything is known about that place. */
bool fwd_inject_via(struct fwd *f, struct sa *sa, uint8_t next_header, const void *payload,
		    size_t len, uint32_t hello_epoch, const struct path *via);
/* Sends one packet under the hello number of `epoch` (not 0, not 2^32 - 1) without beginning that
 * epoch: the numbers of the SA go on as they were.  For a word to a peer that has lost our
 * numbers.  via as above, or NULL.  false: no room, or no hello is possible on this SA. */
bool fwd_inject_aside(struct fwd *f, struct sa *sa, uint8_t next_header, const void *payload,
		      size_t len, uint32_t epoch, const struct path *via);
/* An unencapsulated datagram on path's socket (NAT keepalive, RFC 3948 2.3). path is copied. */
bool fwd_keepalive(struct fwd *f, const struct path *path);
/* The peer's numbers continue from a hello: resets the replay window (done by the packet
 * thread, in order with what follows). */
bool fwd_reset_window(struct fwd *f, struct space *space, uint64_t top);
/* Frees sa by rcu once commands that name it are done, and its key schedule at once.  It must be
 * unpublished. */
void fwd_retire(struct fwd *f, struct sa *sa);

/* Calls fn(arg) in the packet thread once all commands given before are done (then, typically,
 * fn frees by rcu what those commands named). */
void fwd_after(struct fwd *f, void (*fn)(void *arg), void *arg);

enum fwd_event_kind {
	FWD_EV_CONTROL, /* data: a whole inner IP packet, a registration message */
	FWD_EV_PROBE,	/* data: the probe's bytes */
	FWD_EV_MOVED,	/* newest packet of the SA came from another source */
	FWD_EV_DATA,	/* newest packet of the space came on an SA that is not active */
	FWD_EV_SOFT_LIFETIME,
	FWD_EV_HARD_LIFETIME,
	FWD_EV_PATH_MTU, /* outbound SA's path carries at most mtu */
};

#define FWD_EVENT_DATA_MAX 640

struct fwd_event {
	enum fwd_event_kind kind;
	const struct sa *sa; /* compared, never followed: it may be gone, its SPI another's */
	uint32_t spi;	     /* of the SA: inbound, except LIFETIME and PATH_MTU of outbound ones */
	bool outbound;
	bool newest;	     /* PROBE, DATA: its number is the highest of a shared space */
	bool hello;	     /* authenticated with the hello number: number below is E<<32|E */
	uint64_t number;     /* 64-bit sequence number */
	struct endpoint src; /* whence the packet came, authenticated */
	uint16_t sock;	     /* packet socket it came from */
	uint8_t tos;
	uint32_t mtu;
	uint32_t outer_len; /* of the packet, with its outer headers */
	usec_t at_us;
	uint16_t len;
	uint8_t data[FWD_EVENT_DATA_MAX];
};
/* The oldest event or NULL; fwd_event_done gives it back. */
const struct fwd_event *fwd_event_next(struct fwd *f);
void fwd_event_done(struct fwd *f);

/* An IKE message that came to the UDP encapsulation port, without the marker (RFC 3948 2.2). */
struct fwd_ike {
	struct endpoint src;
	struct addr dst; /* family 0: the address the socket is bound to */
	uint16_t sock;
	usec_t at_us;
	uint32_t len;
	uint8_t msg[]; /* may be changed in place */
};
/* The oldest message or NULL, those of IKE SAs before IKE_SA_INITs; fwd_ike_done gives it back.
 * The wake-up is that of events. */
struct fwd_ike *fwd_ike_next(struct fwd *f);
void fwd_ike_done(struct fwd *f);

/* What seals and opens: crypt_worker_library. */
const char *fwd_library(const struct fwd *f);

struct fwd_counters {
	uint64_t drops[DROP_COUNT];
	uint64_t out_packets, out_bytes, in_packets, in_bytes; /* inner */
	uint64_t out_sends, in_recvs, tun_reads, tun_writes; /* I/O units: how well batches work */
	uint64_t keepalives, duplicates;
	uint64_t ike_messages; /* given to control */
};
void fwd_counters(const struct fwd *f, struct fwd_counters *out);

#endif
