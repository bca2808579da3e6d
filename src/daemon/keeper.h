/* SPDX-License-Identifier: MIT */
/*
 * The terminal's joint of IKEv2 and mobility.  Sans-I/O.
 *
 * It seeks a way to the home server over the care-of addresses there are, keeps one line of IKE
 * SAs (an authentication and its rekeys) to it, and has child SAs made before they are needed:
 *
 *   a Sojourn     one connection for every care-of address and a number of spares, given to the
 *                 mover, which chooses and registers; the IKE SA follows the active connection
 *   another make  one connection, which follows the best care-of address by MOBIKE (gateway.c)
 *
 * Seeking (seeker.c): IKE_SA_INIT goes out on the preferred way and, while nothing answers, after
 * a short while on the next one as well; the first that is answered authenticates, the others
 * end.  So neither a dead first address nor the wrong address family costs seconds.
 */
#ifndef DAEMON_KEEPER_H
#define DAEMON_KEEPER_H

#include "daemon/joint.h"
#include "mobility/mover.h"

#define IKE_PORT      500 /* RFC 7296 2 */
#define IKE_PORT_NATT 4500

#define KEEPER_SERVERS_MAX 16
#define KEEPER_PLACES_MAX  32
#define KEEPER_HOMES_MAX   4
#define KEEPER_DNS_MAX	   4

/* A name and an order of preference for what is reached by an interface or a network. */
struct keeper_place {
	char name[CONN_NAME_MAX];
	char interface[IF_NAMESIZE]; /* "" any */
	bool has_network;
	struct network network;
	int preference; /* lower is better */
};

struct keeper_config {
	const struct ike_peer *peer; /* borrowed */
	char terminal[CONN_NAME_MAX];
	uint8_t home_count; /* by the configuration; 0: assigned */
	struct addr homes[KEEPER_HOMES_MAX];
	uint8_t prefix_count; /* behind the terminal */
	struct prefix prefixes[PEER_PREFIXES_MAX - KEEPER_HOMES_MAX];
	uint32_t replay_packets;
	uint16_t lifetime_s; /* of registrations */
	/* Their key, by the configuration; len 0: the IKE SA's. */
	uint32_t mn_ha_spi;
	uint8_t mn_ha_key[MOVER_KEY_MAX];
	size_t mn_ha_key_len;
	uint8_t spares;
	uint8_t connections_max; /* with spares; the stalest goes beyond it */
	uint8_t place_count;
	struct keeper_place places[KEEPER_PLACES_MAX];
};

/* What the server gave us. */
struct keeper_assigned {
	uint8_t home_count;
	struct addr homes[KEEPER_HOMES_MAX];
	uint8_t dns_count;
	struct addr dns[KEEPER_DNS_MAX];
};

enum keeper_way { KEEPER_WAY_OPEN, KEEPER_WAY_WAITS, KEEPER_WAY_NONE };

struct keeper_ops {
	struct joint_ops joint;
	void *ctx;
	/* A socket for IKE from this care-of address to the server, and (native) one for ESP
	 * without UDP.  OPEN: `path` is filled in; WAITS: ask again when keeper_ways_changed is
	 * called.  Each that is not NONE is given back once. */
	enum keeper_way (*way_open)(void *ctx, const struct care_of *at,
				    const struct endpoint *server, bool native,
				    struct ike_path *path);
	void (*way_close)(void *ctx, const struct care_of *at, const struct endpoint *server,
			  bool native);
	/* Our addresses are these from now: onto the device, into the packet path. */
	void (*assigned)(void *ctx, const struct keeper_assigned *a);
	/* A mover for these home addresses instead of the one that was there (all of whose
	 * connections are gone), told of the care-of addresses; borrowed until the next call, or
	 * NULL. */
	struct mover *(*mover_make)(void *ctx, const struct addr *homes, uint8_t count,
				    const struct mover_agent *agent);
	/* Without a mover (a server of another make): packets take this connection; NULL: none. */
	void (*activate)(void *ctx, struct conn *conn);
	/* conn is about to be removed: nothing may name it any longer. */
	void (*leaving)(void *ctx, struct conn *conn);
};

struct keeper;
/* cfg is copied; table, moves, log borrowed.  It is down until keeper_up. */
struct keeper *keeper_new(const struct keeper_config *cfg, const struct keeper_ops *ops,
			  struct conn_table *table, struct moves *moves, const struct log *log);
void keeper_free(struct keeper *k, usec_t now_us); /* ends everything at once; the server is told */
void keeper_set_engine(struct keeper *k, struct ike *engine);
/* A mover that is there already, since connections are configured too: for cfg's home addresses.
 * The line's connections become its own, and it is told of care-of addresses here.  Borrowed. */
void keeper_adopt(struct keeper *k, struct mover *mover);

/* Another configuration: places, spares and limits are taken at once; a changed peer, home
 * addresses or servers begin a new line. */
void keeper_configure(struct keeper *k, const struct keeper_config *cfg, usec_t now_us);
void keeper_servers(struct keeper *k, const struct endpoint *servers, uint8_t count, usec_t now_us);
void keeper_up(struct keeper *k, usec_t now_us);
void keeper_down(struct keeper *k, usec_t now_us);
/* Every usable care-of address.  The mover, if there is one, is told here too. */
void keeper_care_ofs(struct keeper *k, const struct care_of *list, size_t count, const char *cause,
		     usec_t at_us, usec_t now_us);
void keeper_ways_changed(struct keeper *k, usec_t now_us);
usec_t keeper_tick(struct keeper *k, usec_t now_us);

/* From the engine's callbacks of the same names. */
bool keeper_proceed(struct keeper *k, struct ike_sa *sa, usec_t now_us);
void keeper_address(struct keeper *k, struct ike_sa *sa, const struct ike_cp *reply);
void keeper_sa_up(struct keeper *k, struct ike_sa *sa, usec_t now_us);
void keeper_sa_down(struct keeper *k, struct ike_sa *sa, uint16_t notify, const char *why,
		    usec_t now_us);
void keeper_sa_rekeyed(struct keeper *k, struct ike_sa *old, struct ike_sa *fresh);
void keeper_sa_moved(struct keeper *k, struct ike_sa *sa, const struct ike_path *path,
		     usec_t now_us);
uint16_t keeper_child_up(struct keeper *k, struct ike_child_up *up, usec_t now_us);
void keeper_child_switch(struct keeper *k, struct ike_child *child);
void keeper_child_down(struct keeper *k, struct ike_child *child, const char *why, usec_t now_us);
void keeper_child_failed(struct keeper *k, struct ike_sa *sa, void *user, uint16_t notify,
			 usec_t now_us);
uint8_t keeper_addresses(const struct keeper *k, const struct ike_sa *sa, struct addr *out,
			 uint8_t room);

/* From the mover's callbacks of the same names. */
void keeper_wanted(struct keeper *k, const struct care_of *care_of, usec_t now_us);
int keeper_spare_taken(struct keeper *k, struct conn *conn, const struct care_of *care_of);
void keeper_activated(struct keeper *k, usec_t now_us);
/* A connection's lifetime is nearly spent: its child SA is rekeyed. */
void keeper_rekey(struct keeper *k, struct conn *conn, usec_t now_us);
/* It is spent: its child SA ends, and what it served wants another. */
void keeper_expired(struct keeper *k, struct conn *conn, usec_t now_us);

enum keeper_state { KEEPER_DOWN, KEEPER_SEEKING, KEEPER_UP };
const char *keeper_state_text(enum keeper_state s);
enum keeper_state keeper_state(const struct keeper *k);
const struct keeper_assigned *keeper_assigned(const struct keeper *k);
/* The IKE SA of the line; NULL. */
struct ike_sa *keeper_sa(const struct keeper *k);
/* Why it is not up, for people: the last end; "" none. */
const char *keeper_trouble(const struct keeper *k);

#endif
