/* SPDX-License-Identifier: MIT */
/*
 * Inside ike_load.  Which file does what:
 *
 *   ike_load.c    options, commands from standard input, what is printed
 *   load_fleet.c  terminals and their IKE SAs: the engine's callbacks; the responder
 *   load_net.c    one UDP socket in batches, its loop
 *   load_echo.c   ESP: an ICMP echo through each terminal's child SA
 *   load_creds.c  certificates made in memory
 */
#ifndef TESTS_TOOLS_LOAD_H
#define TESTS_TOOLS_LOAD_H

#include "base/addr.h"
#include "base/clock.h"
#include "ike/ike.h"

#define LOAD_KEY_MAX  64
#define LOAD_SPI_BASE 0x10000000u
#define LOAD_NAME_MAX 64

struct load_options {
	struct addr to;	    /* the responder; family 0: we are it */
	struct prefix from; /* terminal n is at the prefix's address n + 1 */
	uint16_t port;	    /* ours; 4500: with the marker */
	uint16_t to_port;
	unsigned count, in_flight;
	const char *id; /* "t%05u@fleet.test" */
	const char *server_id;
	const char *secret;
	const char *pki; /* a directory for ca.pem, server.pem and server.key; NULL: by secret */
	bool sojourn;
};

enum terminal_state { TERMINAL_IDLE, TERMINAL_BEGUN, TERMINAL_UP, TERMINAL_FAILED, TERMINAL_GONE };

struct terminal {
	unsigned index;
	enum terminal_state state;
	char name[LOAD_NAME_MAX];
	struct ike_peer peer;
	struct addr outer, home; /* home: family 0 until assigned */
	struct ike_sa *sa;	 /* NULL: none */
	usec_t began_us, took_us;
	/* its child SA; spi_out 0: none */
	uint32_t spi_in, spi_out;
	const struct alg *encr, *integ;
	uint8_t key_in[LOAD_KEY_MAX], key_out[LOAD_KEY_MAX];
	size_t key_len;
	bool esn;
	uint64_t sequence; /* of what we sent */
	bool wanted;	   /* the reply to an echo */
	usec_t asked_us;   /* in a round: when last; and how often */
	unsigned tries;
};

/* Something asked of many terminals that are up, some at a time. */
enum round_kind { ROUND_PROBE, ROUND_ECHO, ROUND_DELETE };
#define ROUND_AT_ONCE 256
struct round {
	enum round_kind kind;
	struct addr target;    /* ROUND_ECHO */
	struct terminal **all; /* owned */
	unsigned count, next, asked;
	struct terminal *under_way[ROUND_AT_ONCE];
	unsigned done, lost;
};

struct load {
	struct load_options o;
	struct load_net *net;
	struct load_creds *creds; /* NULL: by secret */
	struct ike *engine;
	struct log log;
	struct suite_list proposals;
	struct terminal *terminals; /* o.count */
	struct terminal **by_spi;   /* from LOAD_SPI_BASE on; NULL: not a terminal's */
	uint32_t spi_count, spi_room;
	unsigned begun, target; /* terminals that began; that should */
	unsigned begun_now, up, failed, gone;
	uint16_t last_notify;
	char last_why[128];
	/* the responder's side */
	struct ike_peer server;
	uint32_t given; /* addresses */
};

_Noreturn void load_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* --- load_fleet.c */
void load_fleet_open(struct load *l);
void load_fleet_close(struct load *l);
/* Begins what may begin now; as many as in_flight allows. */
void load_fleet_begin(struct load *l);
/* Nothing is under way. */
bool load_fleet_settled(const struct load *l);
/* Of the responder and the initiator alike: deadlines. */
usec_t load_fleet_tick(struct load *l);
/* Of `n` terminals that are up, evenly spread; 0: of all. */
void load_round_begin(struct load *l, struct round *r, enum round_kind kind, unsigned n);
/* Sees what was answered, asks the next; false: all is over. */
bool load_round_go(struct load *l, struct round *r);
void load_round_end(struct round *r);

/* --- load_net.c */
struct load_net *load_net_open(struct load *l);
void load_net_close(struct load_net *n);
/* One datagram, sent with the others of this turn. */
void load_net_send(struct load_net *n, const struct endpoint *from, const struct endpoint *to,
		   bool marker, const uint8_t *data, size_t len);
void load_net_flush(struct load_net *n);
/* Waits until something comes, `until_us` or a line on standard input; handles all that came.
 * True: there may be input. */
bool load_net_turn(struct load_net *n, usec_t until_us);

/* --- load_echo.c */
/* An ICMP echo request to `target`; its reply clears t->wanted. */
void load_echo_send(struct load *l, struct terminal *t, const struct addr *target);
void load_echo_input(struct load *l, uint8_t *esp, size_t len);

/* --- load_creds.c */
/* Makes a CA and the responder's certificate and writes them there; or reads what was written. */
struct load_creds *load_creds_new(const char *directory, const char *server_id);
struct load_creds *load_creds_read(const char *directory);
void load_creds_free(struct load_creds *c);
const struct cert_trust *load_creds_trust(const struct load_creds *c);
const struct cert_own *load_creds_server(const struct load_creds *c);
/* A certificate with this e-mail address or name, and a key of its own.  Owned by the caller. */
struct cert_own *load_creds_terminal(const struct load_creds *c, const char *id);

#endif
