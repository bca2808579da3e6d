/* SPDX-License-Identifier: MIT */
/*
 * Security associations and what the packet path finds from them.
 *
 * Ownership and threads: control creates and publishes; the packet thread reads under RCU
 * (QSBR) and changes only what is marked [packet].  A struct sa, path or active set leaves by
 * rcu after it was unpublished.  Counters are read by control without a lock.
 *
 * One sequence space per peer and direction: all ESN SAs of a peer draw their numbers from one
 * counter and share one replay window, so that copies on several SAs carry one number and a
 * move cannot lose or repeat one.  An SA without ESN has a space of its own, and so have those
 * with a peer of another make, which numbers each SA by itself.
 *
 * Memory: a home server has a million of these, and a packet finds none of them in the caches.  So
 * what a packet looks at and changes lies together, in as few cache lines as it can: two of the SA,
 * one of its space (with the window's ends), and one each of the path, the key and the peer's
 * prefixes.  What is behind them is for control and for what is rare.  Those made by sa_new and
 * peer_new begin at a line.
 */

#define SA_LINE 64
#ifndef SADB_SA_H
#define SADB_SA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <urcu-qsbr.h> /* QSBR behind the short names: call_rcu, rcu_read_lock */
#include "base/addr.h"
#include "base/clock.h"
#include "base/spin.h"
#include "crypto/crypt.h"
#include "sadb/replay.h"

/* A sequence space: what we sent, what we received.  Borrowed by SAs; does not move. */
struct space {
	_Atomic uint64_t next; /* [packet] the number the next packet gets */
	/* Of several packet threads one has the first to draw numbers, and to count on SAs of the
	 * space that send; and the second to look at and mark the window, and to change SAs that
	 * receive.  Taken for a batch, not for each packet. */
	struct spin tx_lock, rx_lock;
	_Atomic uint32_t rx_epoch; /* high half announced by the sender's last hello; 0 none */
	uint32_t resets;	   /* [packet] how often the window was reset */
	struct replay window;	   /* [packet] */
};

/*
 * Hello packets.  With configured keys both nodes forget their numbers in a restart.  A sender
 * begins a new epoch E (random, not 0) by sending number (E << 32 | E): a receiver that cannot
 * authenticate a packet in its window tries that number once, and hands a packet that then
 * verifies to control only, and only if it is a registration message.  Control checks the
 * registration's own freshness and then resets the window.
 */
static inline uint64_t space_hello_number(uint32_t epoch)
{
	return (uint64_t)epoch << 32 | epoch;
}

/* Numbers from 1, no epoch, a new window (replay_init). */
void space_init(struct space *s, uint32_t replay_packets);
/* Frees the window; no SA borrows the space any more. */
void space_clear(struct space *s);
/* The next packet gets the hello number of `epoch` (not 0).  Of the packet thread, or before any
 * SA of the space is published. */
void space_begin_epoch(struct space *s, uint32_t epoch);

/* Where an outbound SA's packets go.  Immutable; replaced as a whole. */
struct path {
	struct endpoint local, remote; /* ports 0: native ESP */
	uint16_t sock;		       /* index of the packet socket */
	uint16_t mtu;		       /* of the outer packet */
	bool trial;		       /* it is a struct trial's (sadb/trial.h) */
	struct rcu_head rcu;
};

#define PEER_PREFIXES_MAX 12 /* home addresses and the prefixes behind a terminal */

/* The packet path's view of the other node: on a home server one per terminal, on a terminal
 * one for its home server. */
struct peer {
	struct space space;
	_Atomic bool strict;  /* accept inner packets from active connections only */
	_Atomic bool implied; /* the newest inner packet makes its connection active */
	bool is_home_server;  /* any inner source allowed, destination must be ours */
	uint8_t prefix_count; /* inner sources it may use (home server role); our own home
			       * addresses and prefixes (terminal role) */
	/* The MSS of TCP SYNs that come in from it is lowered to fit this: control sets the
	 * smallest inner MTU of its active connections; 0: left as it is. */
	_Atomic uint16_t clamp_mtu;
	/* the second line */
	struct prefix *prefixes; /* behind the peer itself when it is of peer_new */
	void *owner;		 /* control's object */
	struct rcu_head rcu;
};

/* With a space and a window (of SAs with a space of their own as well), and these prefixes. */
struct peer *peer_new(uint32_t replay_packets, const struct prefix *prefixes, uint8_t prefix_count);
void peer_free(struct peer *peer);	 /* nothing looks at it any more; NULL allowed */
void peer_free_later(struct peer *peer); /* by rcu; NULL allowed */

/* A time in 32 bits: it has years of them, in parts of 66 ms; 0: none. */
#define SA_DRAIN(us) ((uint32_t)(((us) + 0xffff) >> 16))
/* What ESP carries: a whole packet, or one without its IP header (RFC 4303 3.1, RFC 7402 appendix
 * B).  In the latter two the inside talks between one fixed pair of addresses. */
enum sa_mode { SA_TUNNEL, SA_TRANSPORT, SA_BEET };
const char *sa_mode_text(enum sa_mode mode);

/* Both of one family. */
struct sa_pair {
	struct addr local, remote;
	uint16_t sum; /* bare_pair_sum of both */
};

/* ESP within AH (RFC 4301 4.4.2.1: a bundle, AH around ESP in one tunnel).  It is a part of the SA
 * around it, of which it has number, window, lifetime and end: AH covers all of it, so that what is
 * new there is new here.  It is found by nobody else. */
struct sa_inner {
	uint32_t spi;
	uint8_t iv_len, block_len, icv_len;
	struct crypt *crypt; /* owned */
};

struct sa {
	/* The first line: what a packet looks at. */
	uint32_t spi;
	bool esn;
	bool configured_keys; /* hello packets are possible */
	_Atomic bool udp;     /* UDP encapsulation; control changes it with the path */
	uint8_t iv_len, block_len, icv_len;
	_Atomic bool active; /* inbound: its connection is in the peer's binding */
	_Atomic bool dead;   /* a hard lifetime ended: drop */
	_Atomic bool soft_told;
	bool path_lent; /* control: path is another SA's */
	/* as it was made */
	uint8_t mode : 2;    /* enum sa_mode */
	bool ah : 1;	     /* AH; else ESP */
	bool crypt_long : 1; /* crypt_is_long */
	struct crypt *crypt; /* owned */
	struct space *space; /* borrowed: the peer's, or own_space */
	struct peer *peer;   /* borrowed */
	struct path *path;   /* rcu; outbound: where to; inbound: whence expected (or NULL) */
	/* limits: 0 is none.  At the soft one an event is raised once, at the hard one dead. */
	uint64_t soft_packets, hard_packets;
	/* The second: what it changes. [packet] */
	uint64_t soft_bytes, hard_bytes;
	_Atomic uint64_t packets, bytes; /* bytes of inner packets */
	_Atomic uint64_t last_us;	 /* last packet sealed or accepted, or copy heard */
	_Atomic uint64_t first_us;	 /* first data packet since control set it to 0 */
	_Atomic uint64_t newest;	 /* inbound: highest authentic number of this SA */
	uint32_t newest_resets;		 /* space->resets when newest was set */
	/* [packet] what control was last told of this SA, so that not each packet tells it */
	uint32_t told_mtu; /* FWD_EV_PATH_MTU */
	uint64_t told_mtu_us, moved_us;
	const struct path *moved_path; /* FWD_EV_MOVED: compared, never followed */
	struct endpoint moved_src;
	uint32_t hello_count;
	uint64_t hello_since_us; /* [packet] hellos given to control in this second */
	usec_t asked_us;	 /* [packet] when it last asked for a registration; 0: not lately */
	uint64_t unread;	 /* [packet] highest number of a copy refused unread */
	uint32_t unread_resets;	 /* space->resets when unread was set */
	_Atomic uint32_t drain;	 /* inbound, not active, peer strict: accepted until (SA_DRAIN) */
	uint32_t claimed_ms;	 /* [packet] control was told that it is used and not active */
	/* cold */
	struct sa_inner *inner; /* owned; AH over ESP; else NULL */
	void *conn;		/* control's connection */
	struct sa_pair *pair;	/* owned; NULL in tunnel mode */
	struct rcu_head rcu;
	/* The last member: there is no memory for it where the peer's space is used. */
	struct space own_space;
};

/* --- fetched ahead for a batch (sadb/sadb.h says how); none is needed for a right answer
 *
 * What is needed for sealing or opening a packet comes while others are sealed or opened, so that
 * memory works meanwhile. */

/* The lines of its own. */
static inline void sa_prefetch_hot(const struct sa *sa)
{
	__builtin_prefetch(sa, 1);
	__builtin_prefetch((const char *)sa + SA_LINE, 1);
}

static inline void sa_prefetch_key(const struct sa *sa)
{
	const char *crypt = (const char *)sa->crypt;
	__builtin_prefetch(crypt);
	if (sa->crypt_long)
		__builtin_prefetch(crypt + SA_LINE);
}

/* Outbound, when its own lines have come: what its numbers and its place are in. */
static inline void sa_prefetch_out(const struct sa *sa)
{
	__builtin_prefetch(sa->space, 1);
	__builtin_prefetch(sa->path); /* one line; NULL harms nothing */
}

/* Inbound: for the SPI; */
static inline void sa_prefetch_first(const struct sa *sa)
{
	__builtin_prefetch(sa);
}

/* when that has come, for the number, for opening and what follows; */
static inline void sa_prefetch_in(const struct sa *sa)
{
	__builtin_prefetch(sa->space, 1);
	sa_prefetch_key(sa);
	__builtin_prefetch((const char *)sa + SA_LINE, 1);
	__builtin_prefetch(sa->path);
	__builtin_prefetch(&sa->peer->prefixes); /* and the first of them, mostly */
}

/* when that has come, the bits of the window. */
static inline void sa_prefetch_window(const struct sa *sa, uint32_t seq_lo)
{
	replay_prefetch(&sa->space->window, seq_lo);
}

struct sa_config {
	uint32_t spi;
	const struct alg *encr, *integ;
	const uint8_t *key;
	size_t key_len;
	bool esn, configured_keys, udp;
	bool own_space;		 /* numbers and window of its own, with ESN too */
	uint32_t replay_packets; /* for an own space */
	uint64_t soft_packets, hard_packets, soft_bytes, hard_bytes;
	struct peer *peer; /* borrowed; its space must have a replay window when it is shared */
	void *conn;
	enum sa_mode mode;
	struct addr fixed_local, fixed_remote; /* not in tunnel mode */
	bool ah; /* integ alone is used: an integrity algorithm, or AES-GMAC; never udp */
	/* With ah, not 0: over ESP with this SPI and encr, integ.  The key is ESP's, then AH's. */
	uint32_t esp_spi;
};

/* NULL with err.  Numbers of an own space start at 1; without ESN the number 2^32 is never
 * used: the SA dies before. */
struct sa *sa_new(const struct sa_config *cfg, enum crypt_direction direction, struct err *err);
void sa_free(struct sa *sa);	   /* at once: never published, or after a grace period */
void sa_free_later(struct sa *sa); /* by rcu */
/* All zero: for sa_set_path, which takes it. */
struct path *path_new(void) __attribute__((returns_nonnull));
void path_free(struct path *path); /* never published, or after a grace period; NULL allowed */
/* Replaces sa->path; the old one is freed by rcu.  path is taken; NULL allowed. */
void sa_set_path(struct sa *sa, struct path *path);
/* The same for both SAs of a connection: `out` takes it, `in` borrows it and leaves no later. */
void sa_set_pair_path(struct sa *out, struct sa *in, struct path *path);
/* A copy of its path; NULL: it has none. */
struct path *sa_path_copy(const struct sa *sa);
/* Of ESP, be it within AH; NULL: AH alone. */
const struct alg *sa_cipher(const struct sa *sa);
/* NULL: an AEAD has none.  Of AH, and of ESP within it. */
const struct alg *sa_integrity(const struct sa *sa);
/* "esp", "ah" or "ah+esp". */
const char *sa_protocol_text(const struct sa *sa);
/* Of its authentication header on a packet of this family. */
size_t sa_ah_len(const struct sa *sa, uint8_t family);
/* Bytes that ESP or AH adds to an inner packet, without the outer IP and UDP headers: the largest
 * inner packet that fits in `room` bytes of ESP packet.  AH depends on the path's family;
 * without an inner IP header on the wire it is so much more. */
uint32_t sa_inner_mtu(const struct sa *sa, uint32_t room);

/* The active connections of a binding, as the packet path sees them: immutable, replaced as a
 * whole.  Each packet goes out on every one (n-casting); with by_class those of some classes only,
 * and others on the first that can carry them.  It is the forwarding table's entry at the same
 * time, so that a packet has one line less to wait for. */
#define ACTIVE_MAX 8
struct active {
	struct prefix prefix; /* the table's own (forward/fib.h) */
	uint8_t count;
	bool by_class;
	struct rcu_head rcu;
	/* outbound, borrowed; behind them, with by_class, the set of DSCPs in 64 bits */
	struct sa *sa[];
};
/* With room for so many. */
struct active *active_new(uint8_t count) __attribute__((returns_nonnull));
/* N-casts only packets whose DSCP is in the set: bit 46 is EF. */
struct active *active_new_by_class(uint8_t count, uint64_t dscps) __attribute__((returns_nonnull));
/* A packet with this TOS or traffic class goes out on all of them. */
static inline bool active_casts(const struct active *a, uint8_t tos)
{
	uint64_t dscps;
	if (__builtin_expect(!a->by_class, 1))
		return true;
	memcpy(&dscps, &a->sa[a->count], sizeof(dscps));
	return dscps >> (tos >> 2) & 1;
}
void active_free(struct active *a); /* never published, or after a grace period; NULL allowed */

#endif
