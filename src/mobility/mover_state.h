/* SPDX-License-Identifier: MIT */
/*
 * Inside the mover.  mover.c: connections and care-of addresses.  chooser.c: which connection
 * is active, home and away, the timeline.  caster.c: which others are active beside it.  prober.c:
 * whether a connection works.  registrant.c: requests and replies.  registrant_data.c: registration
 * by data.
 *
 * Every event ends in chooser_choose, the one place that decides.
 */
#ifndef MOBILITY_MOVER_STATE_H
#define MOBILITY_MOVER_STATE_H

#include "mobility/mover.h"
#include "wire/mip4.h"
#include "wire/mip6.h"

#define SENT_KEPT 4 /* a reply may answer any of the last ones */

struct sent {
	uint64_t id; /* identification, sequence or probe id; 0: none */
	usec_t at_us;
	uint32_t hello; /* epoch it began; 0: none */
};

/* A connection and what we know of it. */
struct candidate {
	struct mover_connection cfg;
	struct conn *conn;
	/* its care-of address */
	bool has_care_of;
	struct care_of care_of;
	bool attaching, attached;
	bool roam;	       /* serves any interface and is silent on this one: try the next */
	uint32_t roam_wait_us; /* doubling until it is heard */
	usec_t roam_at_us;     /* not before */
	usec_t attached_us;
	usec_t tried_us;	/* made active last */
	usec_t attach_retry_us; /* attach failed: when to try again; USEC_NEVER */
	uint32_t attach_wait_us;
	bool renewed;	 /* active, but its care-of address is another one now */
	usec_t cause_us; /* of its care-of address */
	char cause[MOVE_TEXT_MAX];
	/* whether it works */
	bool proven, proven_once, silent;
	usec_t proof_us; /* last answer of any kind */
	bool probing;
	uint8_t probe_tries, probe_limit;
	struct sent probes[SENT_KEPT];
	unsigned probe_count;
	usec_t probe_first_us;	 /* of this round */
	usec_t probe_next_us;	 /* retransmission, or the next round */
	uint32_t probe_wait_us;	 /* between rounds while it does not answer */
	uint64_t probe_heard_us; /* conn->in->last_us when the round ended in vain */
	/* it went silent before: not preferred until */
	uint32_t hold_us;
	usec_t hold_until_us;
	usec_t left_us; /* its SA may still receive until shortly after; 0: no */
	/* n-casting (caster.c) */
	uint16_t bid;
	bool casts, asked, past_limit;
	usec_t refused_until_us;
	uint32_t refused_wait_us; /* the last time; 0: it was taken */
	struct candidate *next;
};

/* The registration of one home address. */
struct registration {
	struct addr home;
	bool pending; /* a request is out, or waits its turn or its retry */
	bool held;    /* waits until another one's hello is answered */
	bool denied;  /* waits for its retry */
	bool deregister;
	bool early; /* the next retransmission is */
	struct candidate *via;
	uint8_t unanswered; /* transmissions since the last answer */
	usec_t started_us;
	usec_t next_us;	   /* of whatever comes next */
	usec_t refresh_us; /* half the lifetime */
	uint32_t rto_us, denied_wait_us;
	struct sent sent[SENT_KEPT];
	unsigned sent_count;
	uint16_t sequence;
	bool registered, by_setup, by_data;
	usec_t expires_us;
	uint8_t last_code;
};

/* What says that a connection is used, until it is answered. */
struct use {
	struct candidate *via; /* NULL: nothing is out */
	struct sent sent[SENT_KEPT];
	unsigned sent_count;
	uint8_t unanswered;
	usec_t started_us, next_us;
	uint32_t rto_us;
};

struct mover {
	struct mover_config cfg;
	struct mover_ops ops;
	struct conn_table *table;
	struct moves *moves;
	const struct log *log;
	struct candidate *candidates; /* in the order they were added */
	struct candidate *active;
	struct candidate *pinned;
	usec_t asked_us;	  /* when that wish was made */
	char left[CONN_NAME_MAX]; /* the connection that was active before; "" none ever was */
	bool activated;		  /* ops.activate was called for active */
	bool busy;		  /* care-of addresses are being distributed: decide afterwards */
	enum mover_place place;
	bool was_home;
	bool home_waits; /* to deregister, for a connection that is attaching */
	struct care_of home_at;
	usec_t home_since_us;
	struct care_of care_ofs[MOVER_CARE_OFS_MAX];
	usec_t seen_us[MOVER_CARE_OFS_MAX]; /* each since */
	size_t care_of_count;
	usec_t serve_us; /* when to look for unserved ones again; USEC_NEVER */
	usec_t cause_us;
	char cause[MOVE_TEXT_MAX];
	/* registration */
	struct registration regs[MOVER_HOMES_MAX];
	struct use use;
	usec_t use_again_us; /* the server does not answer it: not before then; 0: try */
	usec_t requested_us; /* the last request was sent; 0: none ever */
	uint64_t last_id;
	uint32_t last_hello6;
	int64_t hello6_offset_s; /* that an acknowledgement told, on top of our clock */
	int64_t offset_us;	 /* the server's clock less ours, as far as a code 133 told */
	uint32_t bump_us;
	usec_t resync_since_us;
	unsigned resync_count;
	/* n-casting */
	uint16_t last_bid;
	bool asked_gone; /* one that the last request named was removed */
	/* the open move */
	struct move *move;   /* NULL: none */
	struct move *failed; /* ended without a reply, and nothing was accepted since */
	struct candidate *move_to;
	bool move_switched, move_replied, up_seen, down_seen;
	usec_t move_switch_us;
	uint64_t move_top; /* of the window at the switch; 0: what is lost is not counted */
	struct log_limit reply_limit;
};

static inline usec_t usec_min(usec_t a, usec_t b)
{
	return a < b ? a : b;
}
static inline uint32_t rto_bound(uint64_t us, uint32_t least, uint32_t most)
{
	return us < least ? least : us > most ? most : (uint32_t)us;
}

/* mover.c */
struct candidate *mover_find(struct mover *m, const struct conn *conn);
void mover_sync_state(struct mover *m, struct candidate *c, usec_t now_us);

/* chooser.c */
void chooser_choose(struct mover *m, usec_t now_us);
/* From the care-of addresses: are we home, and what follows. */
void chooser_place(struct mover *m, usec_t now_us);
bool chooser_is_home(const struct mover *m, const struct care_of *co);
void chooser_forget(struct mover *m, struct candidate *c, usec_t now_us);
/* The active one's registration was accepted: what had waited for it. */
void chooser_registered(struct mover *m, struct candidate *c, usec_t now_us);
/* At home: deregisters over whatever can carry it. */
void chooser_go_home(struct mover *m, usec_t now_us);
void chooser_deregistered(struct mover *m, bool accepted, usec_t now_us);
/* Another one that is attached, be it silent: its requests may be heard. */
bool chooser_has_other(const struct mover *m, const struct candidate *c);
/* Deregistration went unanswered over `from`: the next one that may carry it. */
struct candidate *chooser_next_via(struct mover *m, struct candidate *from, usec_t now_us);
/* Connections beside the active one came or went. */
void chooser_set_changed(struct mover *m, bool more, const char *from, const char *to,
			 usec_t now_us);
/* The open move's first packets; returns the next deadline. */
usec_t chooser_tick_move(struct mover *m, usec_t now_us);

/* caster.c */
/* Who belongs to the set, as things are; true when that changed. */
bool caster_follow(struct mover *m, usec_t now_us);
/* The same, and what follows from a change: packets, a request. */
void caster_choose(struct mover *m, usec_t now_us);
uint8_t caster_set(const struct mover *m, struct conn *out[ACTIVE_MAX]);
void caster_names(const struct mover *m, char *out, size_t room);
/* Packets go out on the active one, or on all. */
void caster_activate(struct mover *m);
void caster_forget(struct mover *m, struct candidate *c, usec_t now_us);
/* A request begins over via: whom it names.  Or nothing but via is bound any more. */
void caster_ask(struct mover *m, const struct candidate *via, bool deregister);
void caster_unask(struct mover *m);
void caster_fill4(const struct mover *m, const struct registration *r, struct mip4_request *q);
void caster_fill6(const struct mover *m, const struct registration *r, struct mip6_update *u);
/* True: what the request named is not understood there, and it may be sent again without. */
bool caster_reply4(struct mover *m, const struct mip4_reply *reply, usec_t now_us);
void caster_reply6(struct mover *m, const struct mip6_ack *ack, usec_t now_us);

/* prober.c */
void prober_attached(struct mover *m, struct candidate *c, usec_t now_us);
void prober_heard(struct mover *m, struct candidate *c, usec_t now_us);
void prober_silent(struct mover *m, struct candidate *c, const char *why, usec_t now_us);
/* A round begins now if none is under way. */
void prober_hurry(struct mover *m, struct candidate *c, usec_t now_us);
/* Of all that are attached and not proven, but c. */
void prober_hurry_others(struct mover *m, const struct candidate *c, usec_t now_us);
usec_t prober_tick(struct mover *m, struct candidate *c, usec_t now_us);

/* registrant.c */
void registrant_start(struct mover *m, struct candidate *c, bool deregister, bool doubt,
		      usec_t now_us);
/* The setup of c registered it. */
void registrant_set_up(struct mover *m, struct candidate *c, uint16_t granted_s, usec_t now_us);
void registrant_stop(struct mover *m);
bool registrant_pending(const struct mover *m);
/* No request is out that may reach the server later than what is sent now by another way. */
bool registrant_is_quiet(const struct mover *m, usec_t now_us);
/* The server would not accept our numbers before a hello. */
bool registrant_is_cold(const struct mover *m, const struct candidate *c);
/* Unanswered transmissions of the request that waits longest. */
uint8_t registrant_unanswered(const struct mover *m);
/* Something came back over c: what waits for long on it is sent now. */
void registrant_hurry(struct mover *m, struct candidate *c, usec_t now_us);
usec_t registrant_tick(struct mover *m, usec_t now_us);
/* The numbers of this connection are told by epochs, which begin with requests. */
bool registrant_has_epochs(const struct candidate *c);
/* All of them, when no answer is waited for. */
void registrant_forget(struct mover *m);

/* registrant_data.c */
/* Registers c: by data where it is to be so and can be, else by requests.  doubt: the server may
 * not be able to follow our numbers. */
void registrant_begin(struct mover *m, struct candidate *c, bool doubt, usec_t now_us);
void use_stop(struct mover *m);
bool use_pending(const struct mover *m);
uint8_t use_unanswered(const struct mover *m);
void use_hurry(struct mover *m, struct candidate *c, usec_t now_us);
/* True: id answers it. */
bool use_reply(struct mover *m, struct candidate *c, uint64_t id, usec_t now_us);
usec_t use_tick(struct mover *m, usec_t now_us);

#endif
