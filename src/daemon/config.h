/* SPDX-License-Identifier: MIT */
/*
 * The configuration of a node as values, read with libconfuse and checked whole.  Both
 * processes have one: `net` checks requests against it, `node` builds the tables from it.
 * sojourn.conf(5) describes the text.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <net/if.h>
#include <stdio.h>
#include "base/addr.h"
#include "base/err.h"
#include "base/log.h"
#include "crypto/alg.h"
#include "crypto/identity.h"
#include "forward/fwd.h"
#include "ike/ike.h"
#include "sadb/conn.h"

#define CONFIG_KEY_MAX		    160 /* of AH over ESP: AES-256 and HMAC-SHA-512 twice */
#define CONFIG_LIST_MAX		    16
#define CONFIG_SERVERS_MAX	    4
#define CONFIG_DNS_MAX		    4
#define CONFIG_SUBNETS_MAX	    8
#define CONFIG_SPARES_MAX	    8
#define CONFIG_NCAST_INTERFACES_MAX 8
#define CONFIG_HOST_MAX		    254 /* with its zero (RFC 1035 2.3.4) */

enum config_role { ROLE_TERMINAL, ROLE_HOME_SERVER };

/* One connection with configured keys, as this node sees it. */
struct config_connection {
	char name[CONN_NAME_MAX];
	int line;
	unsigned preference; /* place in the file among connections and places, from 0 */
	/* terminal: what it serves */
	char interface[IF_NAMESIZE]; /* "" any */
	bool has_network;
	struct network network;
	/* server: where the terminal is; family none: `any`, learned */
	struct endpoint care_of;
	struct endpoint server; /* port: 4500 unless told; 0 when native */
	bool udp;		/* encapsulation = udp (default) | esp; never with AH */
	bool ah;		/* protocol = ah or ah-esp; default esp */
	bool bundle;		/* protocol = ah-esp */
	enum sa_mode mode;	/* tunnel (default) | transport | beet */
	bool server_moves;	/* terminal: the server is where its newest packet comes from */
	uint32_t esp_spi_in, esp_spi_out;      /* ah-esp; else 0 */
	struct addr fixed_local, fixed_remote; /* not in tunnel mode: what the inside sees */
	const struct alg *encr, *integ;	       /* encr: NULL with AH alone */
	uint32_t spi_in, spi_out;
	uint8_t key_in[CONFIG_KEY_MAX], key_out[CONFIG_KEY_MAX];
	size_t key_len; /* of each */
	bool esn;
	uint32_t replay_packets; /* window (own space without ESN) */
	uint64_t soft_packets, hard_packets, soft_bytes, hard_bytes;
	uint32_t lifetime_s;  /* of the SA pair, 0 none */
	uint32_t keepalive_s; /* NAT keepalive (terminal), 0 none */
	struct config_connection *next;
};

/* Terminal, with IKE: a name and an order of preference for connections over an interface or a
 * network (a section connection without keys, or an entry of `prefer`). */
struct config_place {
	char name[CONN_NAME_MAX];
	int line;
	unsigned preference;
	char interface[IF_NAMESIZE]; /* "" any */
	bool has_network;
	struct network network;
	struct config_place *next;
};

/* --- IKEv2 */

/* Certificates and keys, shared by the peers of one configuration and by those of older ones
 * that a reload kept. */
struct config_credentials {
	unsigned refs;
	struct cert_own *own;	  /* NULL: none */
	struct cert_trust *trust; /* NULL: no CA */
	struct eap_tls *eap_tls;  /* NULL: not used */
	/* What these replaced, for authentications under way; dropped some minutes later. */
	struct config_credentials *before;
	usec_t replaced_us;
};

/* Whom we speak IKEv2 with.  `peer` is what the engine borrows; what it points to is owned here.
 * A terminal's own: its home server.  A home server's: one terminal, or (remote_id is a pattern)
 * any number of them. */
struct config_peer {
	struct ike_peer peer;
	char name[CONN_NAME_MAX];
	struct identity *local_id, *remote_id;
	uint8_t *psk, *ppk;
	char *ppk_id;
	/* Client: who we are to EAP.  Server, EAP_MSCHAPV2 and EAP_TLS: which user this terminal is
	 * (peer.eap_identity and peer.eap_password are these in both roles). */
	char *eap_identity, *eap_password;
	bool is_pattern;
	uint64_t rekey_bytes, rekey_packets;	/* of a child SA, in one direction; 0 never */
	struct config_credentials *credentials; /* a reference; NULL: none */
};

/* A server's name or address; port 4500 (UDP encapsulation from the first message) unless told. */
struct config_server {
	char name[CONFIG_HOST_MAX]; /* as written, without the port */
	struct addr addr;	    /* family 0: a name, to be looked up */
	uint16_t port;
};

struct config_range {
	struct addr from, to; /* of one family, both in it */
};
/* Home addresses to give away.  Those of terminals and home-agent may lie in a range: they are
 * not free. */
struct config_pool {
	char name[CONN_NAME_MAX];
	int line;
	uint8_t range_count;
	struct config_range ranges[CONFIG_LIST_MAX];
	uint8_t dns_count; /* with its terminals; default section ike's */
	struct addr dns[CONFIG_DNS_MAX];
	uint8_t subnet_count; /* told as reached through us; default section ike's */
	struct prefix subnets[CONFIG_SUBNETS_MAX];
	struct config_pool *next;
};

/* Section ike. */
struct config_ike {
	int line;
	struct ike_config engine;
	struct identity *id; /* home server's own; NULL on a terminal (its peer's local_id) */
	uint16_t port;	     /* ours for IKE; default 500.  The other one is config.port */
	struct suite_list proposals; /* home server: every proposal of its peers, for IKE_SA_INIT */
	struct config_credentials *credentials;
	/* terminal (its peer: config.terminals->peer) */
	uint8_t server_count;
	struct config_server servers[CONFIG_SERVERS_MAX];
	bool start; /* bring up at start; default yes */
	/* Terminal: how many to keep ready, default 2.  Home server: the most for one terminal,
	 * default 8. */
	uint8_t spares;
	/* home server */
	struct config_peer *eap; /* for who wants EAP under an identity that fits no terminal; NULL:
				  * no terminal uses EAP */
	uint8_t dns_count;
	struct addr dns[CONFIG_DNS_MAX];
	uint8_t subnet_count;
	struct prefix subnets[CONFIG_SUBNETS_MAX];
};

/* The terminal itself (role terminal: one, no name needed) or a terminal of the home server. */
struct config_terminal {
	char name[CONN_NAME_MAX];
	int line;
	uint8_t home_count; /* 0: assigned (with a peer) */
	struct addr homes[4];
	uint8_t prefix_count; /* behind the terminal */
	struct prefix prefixes[8];
	uint32_t registration_spi; /* 0: none */
	uint8_t registration_key[64];
	size_t registration_key_len; /* 0: from the IKE SA (with a peer) */
	uint16_t lifetime_s;	     /* asked for (terminal) or the most allowed (server) */
	/* Policy (config_policy.c), which a reload changes in place. */
	uint8_t may; /* server: BINDING_MAY of mobility/registrar.h; terminal: by data, or not */
	bool strict; /* accept = active-only | shared (default) */
	uint16_t drain_s; /* with active-only; 0 none */
	uint32_t replay_packets;
	uint8_t connections_max;
	uint64_t ncast_class; /* DSCPs that are n-cast; 0: all */
	/* role terminal: bit 0 down, bit 1 up (n-cast); interfaces, none: all */
	uint8_t ncast, ncast_interface_count;
	char ncast_interfaces[CONFIG_NCAST_INTERFACES_MAX][IF_NAMESIZE];
	struct config_connection *connections; /* with configured keys; order = preference */
	struct config_place *places;	       /* terminal, with a peer */
	struct config_peer *peer;	       /* NULL: configured keys only */
	const struct config_pool *pool;	       /* home server; NULL: none */
	struct config_terminal *next;
};

struct config {
	char *path;
	enum config_role role;
	/* common */
	char user[32];	       /* of the node process; default "nobody" */
	char root[128];	       /* it is confined to; default an empty directory made at start */
	char tun[IF_NAMESIZE]; /* default "sojourn0" */
	uint32_t mtu;	       /* of outer packets; default 1500 */
	bool offload;	       /* default yes */
	enum fwd_df df;	       /* default set */
	uint32_t workers;      /* packet threads; default by role and processors */
	enum crypt_library library; /* default best */
	char *control;		    /* socket path; default /run/sojourn/control */
	uint32_t control_mode;	    /* default 0660 */
	char control_group[32];	    /* default "": root */
	uint32_t mark;		    /* of our own packets; default 0x534a */
	uint32_t table;		    /* routing table; default 434 */
	uint16_t port;		    /* UDP encapsulation, local; default 4500 */
	enum log_level log_level;
	uint8_t
	    home_agent_count; /* inner addresses of the home server; 0: told by IKE (terminal) */
	struct addr home_agents[4];
	/* home server */
	uint8_t listen_count;
	struct addr listen[8];
	char home_link[IF_NAMESIZE]; /* "" : no proxy ARP/ND */
	bool announce_moves;	     /* its own addresses change; default no */
	/* terminal */
	uint8_t route_count; /* destinations through the tunnel; default everything */
	struct prefix routes[CONFIG_LIST_MAX];
	uint32_t probe_idle_ms, probe_spare_ms, initial_rto_ms; /* 1000, 20000, 250 */
	bool has_home;						/* section home */
	struct prefix home_prefix;
	struct addr home_gateway;
	char home_interface[IF_NAMESIZE];
	bool has_home_network;
	struct network home_network;
	struct config_terminal *terminals; /* role terminal: exactly one */
	struct config_ike *ike;		   /* NULL: no section ike */
	struct config_pool *pools;
};

/* NULL with err: "FILE:LINE: what is wrong; what to write instead".  Never key material.
 * `path` is for messages; the text comes from `in` (not closed).  A text that names files is
 * refused. */
struct config *config_read(FILE *in, const char *path, struct err *err);
/* From the file, and the files it names. */
struct config *config_load(const char *path, struct err *err);
void config_free(struct config *c); /* wipes keys */

/* A configuration on its way to a process without files: config_load_bundle reads it and every
 * file it names, once, and writes all of it to `out` (secret: a memory file); config_read_bundle
 * reads that. */
struct config *config_load_bundle(const char *path, FILE *out, struct err *err);
struct config *config_read_bundle(FILE *in, const char *path, struct err *err);

/* Same connection with the same keys, addresses and options (a reload leaves it alone). */
bool config_connection_equal(const struct config_connection *a, const struct config_connection *b);
bool config_terminal_equal(const struct config_terminal *a,
			   const struct config_terminal *b); /* without connections, places, peer,
							      * policy, n-cast */
bool config_place_equal(const struct config_place *a, const struct config_place *b);
bool config_pool_equal(const struct config_pool *a, const struct config_pool *b); /* NULL: none */
/* Same identities, secrets and options; certificates, CAs and CRLs may differ.  NULL: none. */
bool config_peer_equal(const struct config_peer *a, const struct config_peer *b);
/* At a reload that will not fail any more: when the peers are equal, *fresh becomes the old
 * object, with the fresh certificates, so that the engine goes on borrowing it; true.  False: the
 * old one is to be ended (ike_peer_gone). */
bool config_peer_keep(struct config_peer **old, struct config_peer **fresh, usec_t now_us);
/* What cannot be changed by a reload (role, tun, control, mark, ...): NULL or its name. */
const char *config_fixed_difference(const struct config *a, const struct config *b);

/* The most that IPv6, UDP, ESP, initialisation vector, padding and ICV add to a packet, rounded
 * up: for a connection that is not known yet. */
#define CONFIG_OVERHEAD_MAX 128
/* With AH around it. */
#define CONFIG_OVERHEAD_BUNDLE 168
/* Of the connections that this configuration can have. */
uint32_t config_overhead_max(const struct config *cfg);

/* Of the TUN device, where packets grow by `overhead`.  With less it would have no IPv6 (RFC 8200
 * 5). */
static inline uint32_t config_inner_mtu(const struct config *cfg, uint32_t overhead)
{
	enum { LEAST = 1280 };
	return cfg->mtu > LEAST + overhead ? cfg->mtu - overhead : LEAST;
}

#endif
