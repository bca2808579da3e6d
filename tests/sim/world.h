/* SPDX-License-Identifier: MIT */
/*
 * Two whole nodes with IKEv2 in one process and in virtual time.
 *
 *   terminal                                                   home server
 *   mover + keeper + IKE engine --- link 0 "wifi0" --- NAT? --- registrar + steward + IKE engine
 *                               --- link 1 "cell0" --- NAT? ---   192.0.2.1
 *                               --- link 2 "eth0"  --- NAT? ---   2001:db8::1
 *                               --- link 3 "home0" ----------
 *                                        ^
 *                                   an attacker, who sees all, repeats, changes and invents
 *
 * Real: the engines with their cryptography, keeper, steward, mover, registrar, connection tables,
 * spaces, replay windows and pools.  A light model: the packet path.  A packet has an SPI and the
 * low half of its number; its tag is computed from the SA's key, the whole number and what it
 * carries, and "authenticates" when the receiver computes the same.
 *
 * The same seed gives the same run to the last bit: time is virtual, every random number comes from
 * the seed, private key exchange values and what libraries draw for themselves too
 * (world_random.c).
 *
 * world.c: time and randomness.  world_net.c: links and NATs.  world_attack.c: the attacker.
 * world_node.c: what both nodes have, the packet path.  world_terminal.c, world_server.c: the
 * roles.  world_check.c: what must hold.  world_script.c: what happens by a seed.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdio.h>
#include "base/heap.h"
#include "daemon/config.h"
#include "daemon/keeper.h"
#include "daemon/steward.h"
#include "mobility/moves.h"

#define LINKS	     4
#define LINK_HOME    3
#define DATAGRAM_MAX 3000
#define PAYLOAD_MAX  256
#define RECORDED     48
#define OUTLETS	     24
#define KEYS_MAX     4096 /* of a run: a power of two */
#define WALL_US	     1800000000000000ull

struct world;

/* --- datagrams */

enum esp_kind { ESP_DATA, ESP_REQUEST, ESP_REPLY, ESP_PROBE, ESP_PROBE_REPLY };

/* A packet of an SA, as it is on the wire. */
struct esp {
	uint32_t spi, lo;
	enum esp_kind kind;
	uint64_t probe;	      /* its id; of data: which one */
	struct addr src, dst; /* inner */
	uint16_t len;
	uint8_t payload[PAYLOAD_MAX];
	uint64_t tag;
};

enum origin { GENUINE, CHANGED, REPEATED, INVENTED };

struct datagram {
	struct heap_item arrival; /* of an event */
	bool up;		  /* to the server */
	bool is_esp;
	enum origin origin;
	unsigned lost_index;	  /* of the sent one: world.sent_heard */
	int link;		  /* GENUINE: which it takes */
	struct endpoint src, dst; /* as the server's side of a NAT sees them */
	struct esp esp;
	size_t len;
	uint8_t bytes[]; /* of IKE */
};

/* --- the network */

struct link {
	bool up; /* the terminal has an address there */
	uint8_t family;
	bool has_nat;
	uint8_t network, host; /* parts of the address */
	bool network_known;    /* its gateway was resolved */
	bool deaf_up, deaf_down;
	unsigned mapping; /* of its NAT; what goes to an older one is lost */
	uint32_t delay_us, jitter_us;
	uint32_t loss_permille, dup_permille;
};

/* --- nodes */

/* An SA of the model. */
struct light_sa {
	struct sa sa; /* first */
	uint64_t key;
	uint64_t last; /* number sent */
};

#define DELIVERED 4096

/* Which data came to one side. */
struct delivered {
	uint64_t seen[DELIVERED / 64];
	uint64_t newest;
};

struct node_counts {
	uint64_t sent, received, unknown_spi, unauthentic, replayed;
	uint64_t data_sent, data_received;
};

struct sim_node {
	struct world *w;
	bool server;
	bool alive;
	unsigned life;
	struct conn_table *table;
	struct moves *moves;
	struct ike *engine;
	usec_t tick_us;
	unsigned peers; /* made and not retired */
	usec_t data_us; /* last data heard */
	uint64_t rekey_packets;
	uint32_t soft[8]; /* inbound SPIs of what has carried so many */
	unsigned soft_count;
	unsigned spins;
	struct node_counts counts;
};

/* A socket of the terminal's: its index is the `sock` of a path. */
struct sim_outlet {
	unsigned users;
	bool plain; /* of the IKE port */
	bool asked, ready;
	struct addr addr;
	unsigned ifindex;
	uint64_t made; /* which of those that had this index */
};

struct sim_terminal {
	struct sim_node n; /* first */
	struct config *cfg;
	struct keeper *keeper;
	struct mover *mover;
	struct conn *active;	      /* packets go there; NULL */
	struct conn *set[ACTIVE_MAX]; /* and there */
	uint8_t set_count;
	usec_t set_us; /* since */
	bool home;
	uint8_t home_count;
	struct addr homes[4];
	struct sim_outlet outlets[OUTLETS];
	struct attached {
		struct conn *conn;
		int outlet; /* -1 */
		bool ready;
	} attached[64];
	struct care_of care_ofs[LINKS];
	size_t care_of_count;
	unsigned ways;			  /* open */
	usec_t started_us, first_data_us; /* 0 */
};

struct sim_server {
	struct sim_node n; /* first */
	struct config *cfg;
	struct registrar *registrar;
	struct steward *steward;
	/* of the packet being handled */
	struct conn *arrived_on;
	struct path back;
	uint64_t accepted_id, accepted_key; /* highest, and under which key */
	usec_t began_us;
};

/* --- events */

enum event_kind {
	EVENT_DATAGRAM,
	EVENT_CARE_OFS,
	EVENT_OUTLET,
	EVENT_DATA,
	EVENT_CHANGE,
	EVENT_ATTACK
};

struct event {
	struct heap_item at; /* first */
	enum event_kind kind;
	unsigned life; /* of the node it is for */
	int outlet;
	uint64_t made;
	struct datagram *datagram;
	char cause[24];
};

struct recorded {
	struct datagram *d; /* owned */
	unsigned heard;	    /* index into world.heard */
};

/* What a run is to be like; by the seed, or by a test. */
struct world_config {
	uint64_t seed;
	bool verbose;
	bool pool;   /* addresses from a pool, else of the configuration */
	bool strict; /* the server's policy */
	uint8_t ncast, connections_max;
	uint8_t spares;
	uint16_t port;	  /* of the server: 500 or 4500 */
	bool dead_server; /* another address first, where nobody is */
	bool attach_later;
	uint16_t lifetime_s;
	usec_t child_rekey_us, ike_rekey_us;
	usec_t terminal_liveness_us, server_liveness_us;
	uint64_t rekey_packets; /* 0 never */
	uint32_t half_open_cookie;
	uint16_t fragment_len;
	int64_t clock_us; /* the terminal's clock is off by this */
	usec_t data_every_us;
	struct link links[LINKS];
};

struct world {
	struct world_config cfg;
	uint64_t data_made; /* of both sides */
	struct delivered delivered_up, delivered_down;
	uint64_t copies;
	uint64_t rng;
	struct log log;
	usec_t now_us;
	struct heap events;
	struct link links[LINKS];
	struct sim_terminal t;
	struct sim_server s;
	/* what was sent, and whether it was ever heard by whom it was for */
	uint8_t *heard;
	unsigned sent_count, heard_room;
	struct recorded recorded[RECORDED];
	unsigned recorded_count;
	/* keys that ever sealed */
	uint64_t keys[KEYS_MAX];
	unsigned key_count;
	/* the script's */
	unsigned changes_left;
	usec_t changed_us;
	bool quiet;   /* the network loses nothing any more */
	bool settled; /* and has been so for long: everything must be well */
	bool attacks;
	unsigned ticks_here;
	usec_t ticks_at_us;
	uint64_t datagrams, forged, trace;
	struct ike_counters ike; /* of engines that ended */
	/* tests look at what is sent: NULL */
	void (*spy)(void *ctx, const struct datagram *d);
	void *spy_ctx;
	char why[240]; /* what failed; "" nothing */
};

/* world.c */
struct world *world_new(const struct world_config *cfg);
void world_free(struct world *w); /* ends both nodes; w->why may be set by it: look before */
void world_end(struct world *w);  /* both nodes end; what must be gone then */
/* One event, or one deadline. */
void world_step(struct world *w);
void world_run(struct world *w, usec_t until_us); /* or until something fails */
uint64_t world_random(struct world *w);
uint32_t world_below(struct world *w, uint32_t n);
bool world_chance(struct world *w, uint32_t permille);
struct event *world_push(struct world *w, usec_t at_us, enum event_kind kind);
void world_fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void world_say(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* world_config.c */
struct config *world_config_terminal(const struct world_config *cfg);
struct config *world_config_server(const struct world_config *cfg);
/* Configurations of both nodes, read once; false says why on stderr. */
bool world_prepare(void);
void world_cleanup(void);
const struct world_config *world_defaults(void);

/* world_random.c: whose randomness is drawn from; NULL: the system's */
void world_random_of(struct world *w);

/* world_net.c */
extern const char *const link_names[LINKS];
extern const struct endpoint server4, server6;
struct addr link_address(const struct world *w, int link);
size_t net_care_ofs(struct world *w, struct care_of out[LINKS]);
/* d is taken; src and dst are the sender's own. */
void net_send(struct world *w, struct datagram *d);
void net_arrive(struct world *w, struct datagram *d); /* taken */
struct datagram *datagram_new(const uint8_t *bytes, size_t len);
void net_tell_care_ofs(struct world *w, usec_t after_us, const char *cause);
void link_set(struct world *w, int link, bool up);
void link_rebind(struct world *w, int link); /* its NAT forgets */

/* world_attack.c */
void attack_record(struct world *w, const struct datagram *d);
void attack(struct world *w);
void attack_free(struct world *w);

/* world_node.c */
struct joint_ops node_joint(struct sim_node *n);
void node_begin(struct sim_node *n, const struct ike_config *ike, const struct ike_ops *role,
		const struct log *log);
void node_start(struct sim_node *n);
void node_end(struct sim_node *n); /* the engine without a word; the table must be empty then */
/* Sends on c: to `via`, or where its path leads. */
void node_send_esp(struct sim_node *n, struct conn *c, struct esp *e, const struct path *via);
/* Data, a copy on each connection, under one number. */
void node_send_copies(struct sim_node *n, struct conn *const *conns, uint8_t count);
/* Data reached its receiver's side. */
void node_delivered(struct sim_node *n, const struct esp *e);
/* Authentic and new: handed to the role. */
void node_receive(struct sim_node *n, struct datagram *d);
void node_set_path(struct conn *c, const struct path *path); /* copied; NULL none */
bool node_has(const struct sim_node *n, const struct conn *c);
void node_turn(struct sim_node *n);
bool conn_has_spi(const struct conn *c, uint32_t spi, bool outbound);
void node_ike_arrives(struct sim_node *n, const struct ike_path *path, struct datagram *d);

/* world_terminal.c */
void terminal_start(struct world *w);
void terminal_stop(struct world *w, bool told); /* told: it says goodbye */
void terminal_send_data(struct world *w);
void terminal_esp(struct world *w, struct conn *c, const struct esp *e, uint64_t number);
void terminal_outlet_opened(struct world *w, int outlet, uint64_t made);
void terminal_care_ofs(struct world *w, const char *cause);
usec_t terminal_tick(struct world *w);
int terminal_link_of(const struct world *w, const struct conn *c); /* -1 */

/* world_server.c */
void server_start(struct world *w);
void server_stop(struct world *w, bool told);
void server_send_data(struct world *w);
/* newest: with the highest number of its SA so far. */
void server_esp(struct world *w, struct conn *c, const struct sa *in, const struct datagram *d,
		uint64_t number, bool newest);
/* A copy of what came by another connection: where its own is. */
void server_copy(struct world *w, struct conn *c, const struct sa *in, const struct datagram *d);
usec_t server_tick(struct world *w);
void server_sweep(struct world *w);

/* world_check.c */
void check_step(struct world *w);		     /* after every event */
void check_agreed(struct world *w);		     /* the network has been quiet for a while */
void check_settled(struct world *w);		     /* for long */
uint64_t check_digest(struct world *w, bool server); /* of what a stranger must not change */
bool check_any_carries(const struct world *w);
bool check_link_carries(const struct world *w, int link);

/* world_script.c */
void script_config(struct world_config *cfg, uint64_t seed);
struct totals { /* of all runs */
	uint64_t datagrams, forged, setups, children, rekeys, collisions;
	uint64_t ended_away, ended_home, ended_apart;
};
struct script {
	uint64_t seed;
	uint32_t changes; /* at most */
	bool verbose;
};
/* False: something did not hold, which was said. */
bool script_run(const struct script *r, struct totals *sum, uint64_t *trace);
void script_change(struct world *w);

#endif
