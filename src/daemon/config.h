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
#include "forward/fwd.h"
#include "sadb/conn.h"

#define CONFIG_KEY_MAX	128
#define CONFIG_LIST_MAX 16

enum config_role { ROLE_TERMINAL, ROLE_HOME_SERVER };

/* One connection with configured keys, as this node sees it. */
struct config_connection {
	char name[CONN_NAME_MAX];
	int line;
	/* terminal: what it serves */
	char interface[IF_NAMESIZE]; /* "" any */
	bool has_network;
	struct network network;
	/* server: where the terminal is; family none: `any`, learned */
	struct endpoint care_of;
	struct endpoint server; /* port: 4500 unless told; 0 when native */
	bool udp;		/* encapsulation = udp (default) | esp */
	const struct alg *encr, *integ;
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

/* The terminal itself (role terminal: one, no name needed) or a terminal of the home server. */
struct config_terminal {
	char name[CONN_NAME_MAX];
	int line;
	uint8_t home_count;
	struct addr homes[4];
	uint8_t prefix_count; /* behind the terminal */
	struct prefix prefixes[8];
	uint32_t registration_spi;
	uint8_t registration_key[64];
	size_t registration_key_len;
	uint16_t lifetime_s; /* asked for (terminal) or the most allowed (server) */
	bool strict;	     /* policy = strict | lenient (default) */
	uint32_t replay_packets;
	uint8_t connections_max;
	struct config_connection *connections; /* order = preference */
	struct config_terminal *next;
};

struct config {
	char *path;
	enum config_role role;
	/* common */
	char user[32];		/* of the node process; default "nobody" */
	char root[128];		/* it is confined to; default an empty directory made at start */
	char tun[IF_NAMESIZE];	/* default "sojourn0" */
	uint32_t mtu;		/* of outer packets; default 1500 */
	bool offload;		/* default yes */
	enum fwd_df df;		/* default set */
	char *control;		/* socket path; default /run/sojourn/control */
	uint32_t control_mode;	/* default 0660 */
	char control_group[32]; /* default "": root */
	uint32_t mark;		/* of our own packets; default 0x534a */
	uint32_t table;		/* routing table; default 434 */
	uint16_t port;		/* UDP encapsulation, local; default 4500 */
	enum log_level log_level;
	uint8_t home_agent_count; /* inner addresses of the home server */
	struct addr home_agents[4];
	/* home server */
	uint8_t listen_count;
	struct addr listen[8];
	char home_link[IF_NAMESIZE]; /* "" : no proxy ARP/ND */
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
};

/* NULL with err: "FILE:LINE: what is wrong; what to write instead".  Never key material.
 * `path` is for messages; the text comes from `in` (not closed). */
struct config *config_read(FILE *in, const char *path, struct err *err);
struct config *config_load(const char *path, struct err *err);
void config_free(struct config *c); /* wipes keys */

/* Same connection with the same keys, addresses and options (a reload leaves it alone). */
bool config_connection_equal(const struct config_connection *a, const struct config_connection *b);
bool config_terminal_equal(const struct config_terminal *a,
			   const struct config_terminal *b); /* without connections */
/* What cannot be changed by a reload (role, tun, control, mark, ...): NULL or its name. */
const char *config_fixed_difference(const struct config *a, const struct config *b);

#endif
