/* SPDX-License-Identifier: MIT */
/*
 * IKEv2 (RFC 7296): what makes connections and their keys.  Sans-I/O: datagrams, wishes and the
 * time go in; datagrams, child SAs and the next deadline come out.
 *
 * Ownership: the engine owns IKE SAs and child SAs; it borrows peers (struct ike_peer) until
 * ike_peer_gone.  One thread.  A callback may call back into the engine except ike_free and
 * ike_peer_gone; an ike_sa or ike_child named to sa_down or child_down is gone when it returns.
 *
 * A peer's packet changes nothing until it was authenticated, except: a half-open IKE SA (bounded
 * in number, cookies beyond half_open_cookie, RFC 7296 2.6) and counters.
 */
#ifndef IKE_IKE_H
#define IKE_IKE_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/alg.h"
#include "crypto/cert.h"
#include "crypto/suite.h"
#include "ike/eap.h"
#include "wire/ike.h"

struct ike;
struct ike_sa;
struct ike_child;

/* A way to the other side.  `sock` is the daemon's: which of its sockets.  natt: port 4500, with
 * the four zero octets before the message (added and removed by the daemon). */
struct ike_path {
	struct endpoint local, remote;
	uint32_t sock;
	bool natt;
};
bool ike_path_equal(const struct ike_path *a, const struct ike_path *b);

/* --- configuration (borrowed, constant) */

enum ike_auth { IKE_BY_PSK, IKE_BY_CERT, IKE_BY_EAP };

struct ike_child_config {
	struct suite_list esp, ah;	  /* ah.count 0: not offered and not accepted */
	bool transport;			  /* ask for, or accept, transport mode */
	struct ike_ts_list local, remote; /* policy; count 0 on a terminal: our assigned address /
					   * everything; on a server: everything / theirs */
	usec_t rekey_us, life_us; /* 0: never; rekeyed at rekey_us less up to a tenth at random */
	bool require_pfs;	  /* refuse CREATE_CHILD_SA without key exchange */
};

struct ike_peer {
	const char *name; /* for logs and display */
	const struct identity *local_id;
	const struct identity *remote_id; /* a pattern (identity_matches) */
	enum ike_auth local_auth, remote_auth;
	/* PSK */
	const uint8_t *psk;
	size_t psk_len;
	/* certificates */
	const struct cert_own *own;
	const struct cert_trust *trust;
	bool rsa_pss;
	/* EAP */
	enum eap_method eap;			 /* as server or client */
	struct eap_tls *eap_tls;		 /* EAP_TLS */
	const char *eap_identity, *eap_password; /* client */
	/* post-quantum PSK (RFC 8784) */
	const char *ppk_id; /* NULL: none */
	const uint8_t *ppk;
	size_t ppk_len;
	bool ppk_required;
	struct suite_list ike;
	struct ike_child_config child;
	usec_t rekey_us;     /* of the IKE SA; 0 never */
	usec_t liveness_us;  /* nothing heard for so long: ask; 0 never */
	usec_t keepalive_us; /* NAT keepalives of an IKE SA behind a NAT without a child that sends
			      * its own; 0 never */
	bool mobike, fragmentation, childless;
	bool request_addresses; /* initiator: CP request for IPv4 and IPv6 */
	bool sojourn;		/* speak our own notifies when the other side can */
	bool force_udp;		/* initiator: encapsulate in UDP although there is no NAT */
	bool send_certreq, send_cert;
	void *owner; /* daemon's */
};

/* --- Sojourn's own (doc/protocol.md); encoded by ike/sojourn.c */

#define IKE_SJ_NAME_MAX	 40
#define IKE_SJ_HOMES_MAX 4
/* With a child SA's request: what it is for. */
struct ike_sj_connection {
	char name[IKE_SJ_NAME_MAX]; /* the terminal's name of it; "" none */
	bool spare;		    /* no care-of address yet */
	bool reg;		    /* register it: it becomes the active one of these homes */
	uint16_t lifetime_s;
	uint8_t home_count; /* 0: all that were assigned */
	struct addr homes[IKE_SJ_HOMES_MAX];
};
/* With the response, whenever the request told a connection: how the registration ended, and what
 * a terminal needs for the next one. */
struct ike_sj_registered {
	uint8_t code;			      /* RFC 5944 reply codes; without connection->reg: 0 */
	uint16_t lifetime_s;		      /* granted; 0: nothing was registered */
	uint64_t time;			      /* the server's clock as an RFC 5944 timestamp */
	struct addr home_agent4, home_agent6; /* inner; family 0: none */
};

/* --- a child SA as it is handed over */

struct ike_child_up {
	struct ike_sa *sa;
	struct ike_child *child;
	struct ike_child *replaces; /* rekey: this one will go; NULL: a new one */
	bool initiator;		    /* of the exchange that made it */
	uint8_t protocol;	    /* IKE_PROTO_ESP or IKE_PROTO_AH */
	uint32_t spi_in, spi_out;
	const struct alg *encr, *integ;
	bool esn, transport;
	bool udp;			 /* encapsulated */
	const uint8_t *key_in, *key_out; /* as sa_config wants them; wiped after the call */
	size_t key_len;
	const struct ike_ts_list *local, *remote;   /* ours, theirs; narrowed */
	bool sojourn;				    /* the other side is a Sojourn */
	const struct ike_sj_connection *connection; /* NULL: none was told */
	struct ike_sj_registered *registered; /* responder: to be filled in when connection->reg;
					       * initiator: what came back; NULL: nothing did */
	void *user;			      /* initiator: what ike_child_create was given */
};

/* --- callbacks */

struct ike_ops {
	void *ctx;
	/* One datagram, without the non-ESP marker.  Not kept.  A NAT keepalive is one octet FF,
	 * which goes without a marker. */
	void (*send)(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len);
	void (*random)(void *ctx, void *out, size_t len);
	uint64_t (*wall_us)(void *ctx);
	/* Responder: who may this be?  idr may be NULL.  eap: no AUTH came, it wants EAP.  NULL:
	 * nobody (AUTHENTICATION_FAILED after a proof was asked all the same, so that names cannot
	 * be guessed by time where that is cheap). */
	const struct ike_peer *(*find_peer)(void *ctx, const struct identity *idi,
					    const struct identity *idr, bool eap,
					    const struct ike_path *path);
	/* Responder, before any identity is known: the proposals for this path.  NULL: it answers
	 * nobody who begins, and find_peer is never asked. */
	const struct suite_list *(*proposals)(void *ctx, const struct ike_path *path);
	/* Optional (NULL).  Responder, before any identity is known: SHA-1 hashes of the CAs we
	 * believe (cert_trust_hashes), for the CERTREQ of IKE_SA_INIT's response; octets written.
	 */
	size_t (*authorities)(void *ctx, const struct ike_path *path, uint8_t *out, size_t room);
	/* Optional (NULL).  Initiator: it goes on at port 4500 (RFC 7296 2.23); natt and both ports
	 * are set in path already.  The daemon says by which socket, and other ports where it has
	 * them. */
	void (*float_path)(void *ctx, struct ike_path *path);
	/* EAP server: the peer that is this user, with its password where the method has one; NULL:
	 * unknown.  Replaces the peer found before. */
	const struct ike_peer *(*find_eap)(void *ctx, const struct ike_peer *generic,
					   const char *user, const char **password);
	/* Responder: addresses for a CP request.  Fills in `reply`; returns 0, or an error notify.
	 */
	uint16_t (*assign)(void *ctx, struct ike_sa *sa, const struct ike_cp *request,
			   struct ike_cp *reply);
	/* Initiator: what we were given. */
	void (*assigned)(void *ctx, struct ike_sa *sa, const struct ike_cp *reply);
	/* Optional (NULL).  Initiator: IKE_SA_INIT was answered; false ends the IKE SA without a
	 * word, before it authenticates (another way was answered first). */
	bool (*proceed)(void *ctx, struct ike_sa *sa);
	/* Authenticated.  Before its first child comes up. */
	void (*sa_up)(void *ctx, struct ike_sa *sa);
	/* Gone, with its children (child_down was called for each).  why: for the log and
	 * `sojourn ike`.  notify: the error that ended it, 0 none. Also for one that never came up.
	 */
	void (*sa_down)(void *ctx, struct ike_sa *sa, uint16_t notify, const char *why);
	/* Rekeyed: fresh took over old's children and user pointer; old is going. */
	void (*sa_rekeyed)(void *ctx, struct ike_sa *old, struct ike_sa *fresh);
	/* The other side is somewhere else now (MOBIKE, or an authenticated newer packet from a
	 * NAT's new port): the paths of its children follow (standard peers).  Also when the other
	 * side took our own move: what is known of NATs may be new.  Of a Sojourn: a request came
	 * from elsewhere; what we ask goes there, unless ike_sa_move says otherwise. */
	void (*sa_moved)(void *ctx, struct ike_sa *sa, const struct ike_path *path);
	/* A fresh SPI for an inbound child SA, not in use (>= 256). */
	uint32_t (*new_spi)(void *ctx, uint8_t protocol);
	/* The child works inbound from now; outbound too unless it replaces one and we are the
	 * responder (then at child_switch).  0, or an error notify to refuse it with. */
	uint16_t (*child_up)(void *ctx, struct ike_child_up *up);
	/* Outbound packets take `child` from now; the one it replaces only listens. */
	void (*child_switch)(void *ctx, struct ike_child *child);
	void (*child_down)(void *ctx, struct ike_child *child, const char *why);
	/* An ike_child_create that failed. */
	void (*child_failed)(void *ctx, struct ike_sa *sa, void *user, uint16_t notify);
	/* Optional (NULL).  MOBIKE: where else we can be reached (RFC 4555 3.6); returns the count.
	 */
	uint8_t (*addresses)(void *ctx, const struct ike_sa *sa, struct addr *out, uint8_t room);
	/* Of the whole IKE SA's children; for liveness. */
	usec_t (*heard_us)(void *ctx, struct ike_sa *sa);
	/* Optional (NULL): a decrypted SA's keys, for Wireshark's ikev2_decryption_table. */
	void (*keys)(void *ctx, const struct ike_sa *sa, const char *line);
};

struct ike_config {
	uint32_t half_open_max;	     /* more are refused by age: the oldest goes; default 4096 */
	uint32_t half_open_cookie;   /* cookies from here; default 64 */
	uint32_t half_open_per_addr; /* of one remote address; default 16 */
	usec_t half_open_us;	     /* it lives so long; default 30 s */
	usec_t retransmit_us;	     /* first; default 500 ms, doubling up to 8 s */
	uint8_t retransmits;	     /* then the peer is dead; default 7 */
	usec_t answer_kept_us;	     /* a response is kept for retransmissions; default 60 s */
	uint16_t fragment_len;	     /* IKE message bytes in one fragment's datagram; default 1280
				      * less headers (1232) */
	uint32_t sas_max;	     /* of IKE SAs; default 1,000,000 */
	bool force_udp;		     /* responder: every peer is to encapsulate, as behind a NAT */
	bool wireshark;		     /* ops.keys is called */
};
void ike_config_defaults(struct ike_config *cfg);

struct ike *ike_new(const struct ike_config *cfg, const struct ike_ops *ops, const struct log *log);
void ike_free(struct ike *e); /* no callbacks; wipes */

/* --- events */

/* One datagram, without the marker.  Changed in place (decryption). */
void ike_datagram(struct ike *e, const struct ike_path *path, uint8_t *msg, size_t len,
		  usec_t now_us);
/* Retransmissions, lifetimes, liveness; returns the next deadline (USEC_NEVER: none). */
usec_t ike_tick(struct ike *e, usec_t now_us);

/* --- wishes */

/* Begins an IKE SA as initiator with one child for `connection` (NULL: no notify of ours).
 * NULL: too many.  user: ike_sa_user. */
struct ike_sa *ike_initiate(struct ike *e, const struct ike_peer *peer, const struct ike_path *path,
			    const struct ike_sj_connection *connection, void *user, usec_t now_us);
/* Another child of an established IKE SA (queued behind the exchange under way). */
int ike_child_create(struct ike *e, struct ike_sa *sa, const struct ike_sj_connection *connection,
		     void *user, usec_t now_us);
void ike_child_rekey(struct ike *e, struct ike_child *child, usec_t now_us);
void ike_child_delete(struct ike *e, struct ike_child *child, const char *why, usec_t now_us);
void ike_sa_rekey(struct ike *e, struct ike_sa *sa, usec_t now_us);
/* Tells the other side and ends it; `at_once`: without waiting for the answer. */
void ike_sa_close(struct ike *e, struct ike_sa *sa, const char *why, bool at_once, usec_t now_us);
/* An empty INFORMATIONAL now: is the peer there? */
void ike_sa_probe(struct ike *e, struct ike_sa *sa, usec_t now_us);
/* MOBIKE: we are there now.  Tells the other side (UPDATE_SA_ADDRESSES, RFC 4555 3.5) if `tell`,
 * and sends further messages (retransmissions too) that way.  Without `tell` only the path changes:
 * between two Sojourns the IKE SA follows the binding. */
void ike_sa_move(struct ike *e, struct ike_sa *sa, const struct ike_path *path, bool tell,
		 usec_t now_us);
/* While there is no way to the other side at all: nothing is sent again, and its silence says
 * nothing.  ike_sa_move, then off, goes on. */
void ike_sa_hold(struct ike *e, struct ike_sa *sa, bool on, usec_t now_us);
/* Every IKE SA of a peer ends (at_once), then the peer is forgotten. */
void ike_peer_gone(struct ike *e, const struct ike_peer *peer, usec_t now_us);

/* --- looking */

enum ike_sa_state {
	IKE_SA_CONNECTING, /* IKE_SA_INIT and IKE_AUTH */
	IKE_SA_ESTABLISHED,
	IKE_SA_REKEYED, /* a fresh one took over; waits for its delete */
	IKE_SA_CLOSING,
};
const char *ike_sa_state_text(enum ike_sa_state s);

void *ike_sa_user(const struct ike_sa *sa);
void ike_sa_set_user(struct ike_sa *sa, void *user);
const struct ike_peer *ike_sa_peer(const struct ike_sa *sa); /* NULL before it is known */
enum ike_sa_state ike_sa_state(const struct ike_sa *sa);
bool ike_sa_is_initiator(const struct ike_sa *sa);
bool ike_sa_is_sojourn(const struct ike_sa *sa); /* both sides said so */
bool ike_sa_has_mobike(const struct ike_sa *sa);
/* Its child SAs are encapsulated in UDP; after sa_moved this is so for all that it has. */
bool ike_sa_is_udp(const struct ike_sa *sa);
bool ike_sa_nat_here(const struct ike_sa *sa); /* we are behind one */
bool ike_sa_nat_there(const struct ike_sa *sa);
const struct ike_path *ike_sa_path(const struct ike_sa *sa);
const struct identity *ike_sa_local_id(const struct ike_sa *sa);
const struct identity *ike_sa_remote_id(const struct ike_sa *sa);
const char *ike_sa_eap_identity(const struct ike_sa *sa); /* "" none */
const struct suite *ike_sa_suite(const struct ike_sa *sa);
void ike_sa_spis(const struct ike_sa *sa, uint8_t spi_i[IKE_SPI_LEN], uint8_t spi_r[IKE_SPI_LEN]);
usec_t ike_sa_since_us(const struct ike_sa *sa);
usec_t ike_sa_heard_us(const struct ike_sa *sa); /* last authenticated message; 0 none */
/* When one of our requests was answered from there last: it arrives what is sent there; 0 never. */
usec_t ike_sa_answered_us(const struct ike_sa *sa, const struct endpoint *from);
usec_t ike_sa_rekey_us(const struct ike_sa *sa); /* when; USEC_NEVER */
/* A key bound to this IKE SA: prf+(SK_d, label), the same on both sides until a rekey. */
int ike_sa_derive(const struct ike_sa *sa, const char *label, uint8_t *out, size_t len)
    __attribute__((warn_unused_result));
struct ike_sa *ike_sa_first(struct ike *e);
struct ike_sa *ike_sa_next(struct ike_sa *sa);
struct ike_child *ike_child_first(struct ike_sa *sa);
struct ike_child *ike_child_next(struct ike_child *c);

struct ike_sa *ike_child_sa(const struct ike_child *c);
void *ike_child_user(const struct ike_child *c);
void ike_child_set_user(struct ike_child *c, void *user);
uint32_t ike_child_spi_in(const struct ike_child *c);
uint32_t ike_child_spi_out(const struct ike_child *c);
const struct suite *ike_child_suite(const struct ike_child *c);
bool ike_child_is_transport(const struct ike_child *c);
void ike_child_ts(const struct ike_child *c, bool local, struct ike_ts_list *out);

/* X-macro: enum, text for people, metric name. */
#define IKE_COUNTERS(X)                                                                            \
	X(received, "messages received")                                                           \
	X(sent, "messages sent")                                                                   \
	X(retransmitted, "requests sent again")                                                    \
	X(answered_again, "responses sent again")                                                  \
	X(malformed, "malformed messages dropped")                                                 \
	X(unauthentic, "messages that failed authentication")                                      \
	X(unknown_spi, "messages for no IKE SA of ours")                                           \
	X(out_of_window, "messages outside the window")                                            \
	X(cookies_asked, "cookies asked for")                                                      \
	X(cookies_good, "good cookies")                                                            \
	X(half_open_dropped, "half-open IKE SAs dropped")                                          \
	X(established, "IKE SAs established")                                                      \
	X(auth_failed, "authentications failed")                                                   \
	X(children, "child SAs made")                                                              \
	X(child_rekeys, "child SAs rekeyed")                                                       \
	X(ike_rekeys, "IKE SAs rekeyed")                                                           \
	X(collisions, "rekey collisions resolved")                                                 \
	X(moves, "addresses updated (MOBIKE)")                                                     \
	X(dead_peers, "peers that did not answer")

struct ike_counters {
#define IKE_COUNTER_FIELD(name, text) uint64_t name;
	IKE_COUNTERS(IKE_COUNTER_FIELD)
#undef IKE_COUNTER_FIELD
};
const struct ike_counters *ike_counters(const struct ike *e);
size_t ike_count(const struct ike *e, enum ike_sa_state s);

#endif
