/* SPDX-License-Identifier: MIT */
/*
 * The inside of struct fwd, shared by fwd.c (creation), command.c (control to workers), event.c
 * (workers to control), out.c (to the network) and in.c (from it).  A worker belongs to its packet
 * thread, except what says otherwise.  All buffers are made once: nothing is allocated per packet.
 */
#ifndef FORWARD_STATE_H
#define FORWARD_STATE_H

#include "base/ring.h"
#include "base/spin.h"
#include "crypto/crypt.h"
#include "forward/bare.h"
#include "forward/fib.h"
#include "forward/fwd.h"
#include "forward/ikebox.h"
#include "forward/merge.h"
#include "forward/segment.h"
#include "forward/whole.h"
#include "sadb/trial.h"
#include "wire/ah.h"
#include "wire/esp.h"
#include "wire/ip.h"

/* From one buffer to the next: at 64 KiB the packets of a batch would all fall on the same few sets
 * of the caches, and drive one another out. */
#define FWD_BUFFER_STEP	 (FWD_BUFFER_LEN + 25 * 64)
#define FWD_OPS_MAX	 256	/* packets sealed or opened by one call */
#define FWD_ARENA_LEN	 524288 /* of sealed packets waiting to be sent */
#define FWD_BUILT_LEN	 262144 /* of packets that got their IP header again */
#define FWD_COMMANDS_MAX 256
#define FWD_COMMAND_DATA 2048
#define FWD_EVENTS_MAX	 256
#define FWD_EVENTS_SPARE 32 /* of them not for messages of peers */
#define FWD_EVENTS_LAST	 8  /* and of these, only for ends of lifetimes */

/* Tells control once a second of what lasts, or at once when it changed. */
#define FWD_RETELL_US USEC_PER_SEC

enum fwd_command_kind {
	FWD_CMD_INJECT,
	FWD_CMD_KEEPALIVE,
	FWD_CMD_RESET_WINDOW,
	FWD_CMD_FORGET,
	FWD_CMD_AFTER
};

struct fwd_command {
	enum fwd_command_kind kind;
	struct sa *sa;
	uint64_t key_id; /* FORGET: of a struct crypt */
	struct space *space;
	uint64_t top;
	uint32_t hello_epoch;
	bool aside;	  /* the hello's number for this packet alone */
	struct path path; /* KEEPALIVE; INJECT when has_path */
	bool has_path;
	void (*fn)(void *arg);
	void *arg;
	uint8_t next_header;
	uint16_t len;
	uint8_t data[FWD_COMMAND_DATA];
};

/* FORGET or AFTER that found the ring full; control's. */
struct fwd_later {
	enum fwd_command_kind kind;
	uint64_t key_id;
	void (*fn)(void *arg);
	void *arg;
	struct fwd_later *next;
};

/* At most n in a second. */
struct fwd_limit {
	usec_t since_us;
	uint32_t count;
};
bool fwd_limit_ok(struct fwd_limit *l, usec_t now_us, uint32_t n);

/* A copy of an inner packet on its way to one SA. */
struct out_packet {
	struct sa *sa;
	const struct path *path;
	uint8_t tos;
	bool df;
	bool alone;	  /* never in a UDP_SEGMENT send */
	bool refused;	  /* counted already */
	uint8_t head_len; /* AH: of its outer IP header, which is before it; else 0 */
};

/* Where a frame goes. */
struct fwd_lookup {
	struct addr dst;
	bool same; /* as the frame before */
	struct fib_question question;
	const struct active *active;
};

struct fwd_out {
	struct fwd_lookup lookups[FWD_FRAMES_MAX];
	size_t used;
	unsigned count;
	bool trials; /* some of the packets go where they may not arrive (sadb/trial.h) */
	struct crypt_op ops[FWD_OPS_MAX];
	struct out_packet packets[FWD_OPS_MAX];
	unsigned inner_count; /* ESP within AH, sealed before it; which packet's */
	struct crypt_op inner_ops[FWD_OPS_MAX];
	uint16_t inner_of[FWD_OPS_MAX];
	struct fwd_send sends[FWD_OPS_MAX];
	unsigned send_first[FWD_OPS_MAX], send_count[FWD_OPS_MAX]; /* packets of a send */
	struct fwd_limit too_big;
	uint8_t arena[FWD_ARENA_LEN];
	uint8_t segment[FWD_BUFFER_LEN];
	uint8_t scratch[FWD_BUFFER_LEN];
	struct whole whole;
};

/* A received packet between its lookup and its last check. */
struct in_packet {
	struct sa *sa;
	const struct fwd_dgram *dgram;
	uint8_t *esp;	       /* AH: from its outer IP header */
	uint32_t len, spi, lo; /* lo: of its number */
	bool same;	       /* SPI as the one before it */
	uint16_t ah_len;       /* of its authentication header; 0: ESP */
	uint64_t number;
	enum drop_reason fallback; /* why it is dropped if it does not verify */
	bool hello;		   /* number is the hello number */
	bool may_hello;		   /* try that one if this fails */
	bool newest;		   /* its number is the highest of its peer's */
};

struct fwd_in {
	unsigned taken;	    /* packets, before they are looked up */
	unsigned count;	    /* of these, at the front: opened */
	bool ah;	    /* some of them have AH */
	uint16_t sock;	    /* the batch came from */
	struct space *held; /* whose rx_lock we have */
	struct crypt_op ops[FWD_OPS_MAX];
	struct in_packet packets[FWD_OPS_MAX];
	struct crypt_op again[FWD_OPS_MAX]; /* hello numbers; then ESP within AH */
	uint16_t again_of[FWD_OPS_MAX];
	struct fwd_limit second_tries, seen_tries; /* of hello numbers */
	struct merge merge;
	size_t built_used;
	uint8_t built[FWD_BUILT_LEN];
};

struct fwd_stats { /* written by the packet thread, read by control */
	_Atomic uint64_t drops[DROP_COUNT];
	_Atomic uint64_t out_packets, out_bytes, in_packets, in_bytes;
	_Atomic uint64_t out_sends, in_recvs, tun_reads, tun_writes;
	_Atomic uint64_t keepalives, duplicates, ike_messages;
};

/* What one thread has: the packet path from end to end. */
struct fwd_worker {
	struct fwd *shared;
	const struct fwd_config *cfg; /* the shared one's */
	struct fwd_io io;	      /* with this worker's ctx */
	bool locks;		      /* there are other workers */
	struct crypt_worker *crypt;
	struct ring *commands, *events;
	struct ikebox ike;
	_Atomic uint64_t events_taken; /* by control */
	uint64_t events_given;
	bool event_waiting;
	struct fwd_later *later, **later_end; /* control's */
	struct fwd_stats stats;
	struct fwd_frame frames[FWD_FRAMES_MAX];
	struct fwd_dgram dgrams[FWD_DGRAMS_MAX];
	struct fwd_out out;
	struct fwd_in in;
	uint8_t frame_buffers[FWD_FRAMES_MAX][FWD_BUFFER_STEP];
	uint8_t dgram_buffers[FWD_DGRAMS_MAX][FWD_BUFFER_STEP];
};

struct fwd {
	struct fwd_config cfg;
	struct fib *fib;
	unsigned count;
	struct fwd_worker *workers[FWD_WORKERS_MAX];
	unsigned event_of, ike_of; /* control's: the worker whose event, message is looked at */
};

/* One thread writes each of these, so no locked instruction is needed. */
static inline void fwd_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline uint64_t fwd_get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void fwd_put(_Atomic uint64_t *counter, uint64_t v)
{
	atomic_store_explicit(counter, v, memory_order_relaxed);
}

static inline void fwd_drop(struct fwd_worker *w, enum drop_reason reason, uint64_t packets)
{
	fwd_add(&w->stats.drops[reason], packets);
}

/* Of a sequence space, where there are other workers. */
static inline void fwd_lock(const struct fwd_worker *w, struct spin *s)
{
	if (w->locks)
		spin_lock(s);
}

static inline void fwd_unlock(const struct fwd_worker *w, struct spin *s)
{
	if (w->locks)
		spin_unlock(s);
}

/* The cheap test before ip_clamp_mss, which reads the whole packet again. */
static inline bool fwd_is_syn(const uint8_t *packet, const struct ip_info *info)
{
	enum { TCP_FLAGS_OFF = 13, TCP_SYN = 0x02 };
	return info->proto == IP_PROTO_TCP && info->first &&
	       info->total_len > (uint32_t)info->l4_off + TCP_FLAGS_OFF &&
	       (packet[info->l4_off + TCP_FLAGS_OFF] & TCP_SYN);
}

/* An event to fill in place (kind, spi, outbound, at_us set, the rest zero), or NULL: no room.
 * Then fwd_event_push. */
struct fwd_event *fwd_event_slot(struct fwd_worker *w, enum fwd_event_kind kind,
				 const struct sa *sa, usec_t now_us);
void fwd_event_push(struct fwd_worker *w);
/* Wakes control if anything was pushed. */
void fwd_event_flush(struct fwd_worker *w);

/* How many of so many packets the SA's lifetime allows. */
uint32_t fwd_lifetime_left(const struct sa *sa, uint32_t packets);
/* Counts packets of an SA and looks at its lifetimes. */
void fwd_count(struct fwd_worker *w, struct sa *sa, bool outbound, uint32_t packets,
	       uint64_t inner_bytes, usec_t now_us);
void fwd_kill_sa(struct fwd_worker *w, struct sa *sa, bool outbound, usec_t now_us);

/* command.c: what waits is done or undone. */
void fwd_commands_free(struct fwd_worker *w);

/* out.c: seals and sends what waits */
void out_flush(struct fwd_worker *w, usec_t now_us);
void out_inject(struct fwd_worker *w, const struct fwd_command *c, usec_t now_us);
void out_keepalive(struct fwd_worker *w, const struct path *path);

#endif
