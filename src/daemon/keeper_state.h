/* SPDX-License-Identifier: MIT */
/* Inside the keeper.  keeper.c: what is wished of it, time.  keeper_line.c: the line and its
 * connections.  keeper_way.c: which way the IKE SA goes.  seeker.c: ways to the server.  gateway.c:
 * servers of another make. */
#ifndef DAEMON_KEEPER_STATE_H
#define DAEMON_KEEPER_STATE_H

#include "daemon/keeper.h"
#include "mobility/moves.h"

#define ATTEMPTS_MAX 4
#define TROUBLE_MAX  160

/* From one of our addresses to one of the server's. */
struct way {
	bool open;   /* ops.way_close is due */
	bool native; /* for ESP without UDP, too */
	bool ready;  /* path is known */
	struct care_of at;
	struct endpoint server;
	struct ike_path path;
};

/* An IKE SA that is being set up. */
struct attempt {
	bool used;
	struct way way;
	struct ike_sa *sa; /* NULL: its way is not ready yet */
	struct wish *wish; /* of its first child */
	usec_t since_us;
};

/* What a child SA that we asked for is to be. */
struct wish {
	struct care_of care_of; /* family none: a spare */
	struct ike_sj_connection connection;
	struct wish *next;
};

/* A connection of the line. */
struct tended {
	struct conn *conn;
	struct ike_child *child; /* the newest */
	bool spare;
	bool ending;	/* the server is being told */
	usec_t turn_us; /* nothing was heard of it here: another server address gets its turn; 0 */
	struct tended *next;
};

/* An authentication and the rekeys of its IKE SA. */
struct line {
	struct ike_sa *sa;
	struct peer *peer; /* NULL until the first child is up */
	struct tended *tended;
	struct wish *wishes; /* under way */
	struct way way;	     /* of the IKE SA */
	struct way left;     /* the one before; while moving it still goes by that */
	bool sojourn;
	uint8_t key[JOINT_KEY_LEN]; /* of registrations */
	bool moving;		    /* way is for where the IKE SA goes as soon as it is ready */
	usec_t up_us;
	usec_t tell_us;	      /* the server is told where we are; USEC_NEVER */
	usec_t wish_after_us; /* the server makes no more now */
	bool spare_taken;     /* a moment ago */
	usec_t spare_after_us;
	/* a server of another make */
	struct conn *conn;
	struct move *move; /* open until the server has answered; NULL */
	usec_t doubt_us;   /* since when it does not answer; 0 */
	unsigned turn;	   /* of the ways, while it does not */
};

/* An IKE SA whose end is being told, by this way. */
struct closing {
	struct ike_sa *sa;
	struct way way;
	struct closing *next;
};

struct keeper {
	struct keeper_config cfg;
	struct keeper_ops ops;
	struct ike *engine;
	struct conn_table *table;
	struct moves *moves;
	const struct log *log;
	struct mover *mover; /* borrowed; NULL: none yet */
	struct keeper_assigned assigned, mover_for;
	bool up; /* wanted */
	struct line *line;
	struct closing *closing;
	struct line *old; /* the one before, until the new one has a connection */
	uint8_t server_count;
	struct endpoint servers[KEEPER_SERVERS_MAX];
	struct care_of care_ofs[MOVER_CARE_OFS_MAX];
	size_t care_of_count;
	char cause[MOVE_TEXT_MAX];
	usec_t cause_us;
	/* seeking */
	struct attempt attempts[ATTEMPTS_MAX];
	struct ike_sa *leader; /* its IKE_SA_INIT was answered, then: */
	usec_t leader_us;
	struct keeper_assigned offered; /* by the leader's IKE_AUTH */
	unsigned tried;			/* ways of this round */
	usec_t seek_us;			/* the next attempt; USEC_NEVER */
	usec_t silent_us;		/* nothing of the line answers, since; 0 */
	unsigned failures;		/* rounds in a row */
	char trouble[TROUBLE_MAX];
};

#define TELL_WAIT_US  (100 * USEC_PER_MS)
#define WISH_AGAIN_US (5 * USEC_PER_SEC)

/* keeper.c */
void keeper_trouble_set(struct keeper *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* keeper_way.c */
int keeper_preference(const struct keeper *k, const struct care_of *at, const char **name);
/* The n-th best pair of care-of and server address; false: there are fewer. */
bool keeper_way_at(const struct keeper *k, unsigned n, struct care_of *at, struct endpoint *server);
/* The server's address that a care-of address reaches; false: none. */
bool keeper_server_for(const struct keeper *k, const struct care_of *at, struct endpoint *out);
/* The IKE SA goes where it should; tells the server with `tell`. */
void keeper_follow(struct keeper *k, const struct care_of *at, bool tell, usec_t now_us);
/* A connection that was never heard where it is tries the server's addresses in turn. */
void keeper_servers_turn(struct keeper *k, usec_t now_us);
void keeper_follow_binding(struct keeper *k, usec_t now_us);
void keeper_way_take(struct keeper *k, struct line *l, const struct way *way);
void keeper_way_float(struct keeper *k, struct line *l);

/* keeper_line.c */
struct wish *keeper_wish_new(const struct keeper *k, const struct care_of *at, bool reg);
void keeper_wish_drop(struct line *l, struct wish *w);
/* "wlan0", or "wlan0-2" when that is taken. */
void keeper_name_choose(const struct keeper *k, const char *wish, char out[CONN_NAME_MAX]);
struct tended *keeper_tended(const struct line *l, const struct conn *c); /* NULL: none */
void keeper_line_begin(struct keeper *k, struct attempt *a, usec_t now_us);
/* What is left of the line goes at once; its IKE SA when the server has been told. */
void keeper_line_close(struct keeper *k, struct line *l, bool at_once, const char *why,
		       usec_t now_us);
void keeper_old_end(struct keeper *k, usec_t now_us);
void keeper_closing_end(struct keeper *k, struct closing **at);

/* seeker.c */
void seeker_begin(struct keeper *k, usec_t now_us); /* when not seeking already */
void seeker_end(struct keeper *k, usec_t now_us);   /* every attempt */
void seeker_care_ofs(struct keeper *k, usec_t now_us);
struct attempt *seeker_find(struct keeper *k, const struct ike_sa *sa);
void seeker_failed(struct keeper *k, struct attempt *a, uint16_t notify, const char *why,
		   usec_t now_us);
usec_t seeker_tick(struct keeper *k, usec_t now_us);
bool seeker_busy(const struct keeper *k);
void way_close(struct keeper *k, struct way *w);
bool way_open(struct keeper *k, struct way *w, const struct care_of *at,
	      const struct endpoint *server); /* false: none */

/* gateway.c */
void gateway_child_up(struct keeper *k, struct tended *t, usec_t now_us);
void gateway_care_ofs(struct keeper *k, usec_t now_us);
void gateway_moved(struct keeper *k, const struct ike_path *path, usec_t now_us);
void gateway_way_ready(struct keeper *k, usec_t now_us);
void gateway_gone(struct keeper *k, struct conn *c);
usec_t gateway_tick(struct keeper *k, usec_t now_us);

#endif
