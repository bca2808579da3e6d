/* SPDX-License-Identifier: MIT */
/* Inside the registrar: its state, and the one way in which a binding changes. */
#ifndef MOBILITY_BINDING_H
#define MOBILITY_BINDING_H

#include "mobility/registrar.h"
#include "sadb/rtable.h"
#include "wire/mip4.h"

#define REGISTRAR_AGENTS_MAX 8

struct registrar {
	struct registrar_ops ops;
	struct addr home_agents[REGISTRAR_AGENTS_MAX];
	uint8_t home_agent_count;
	struct conn_table *table;
	struct moves *moves;
	const struct log *log;
	struct registrar_terminal *terminals, *last_terminal;
	struct binding *bindings; /* one for each home address, also when nothing is active */
	struct binding *last_binding;
	struct rtable by_home; /* of bindings */
	struct rtable by_name; /* of terminals */
	struct heap expiries;
	uint64_t seed;
	struct registrar_counters counters;
	struct log_limit denied_limit, data_limit;
	struct move *last_move; /* joined by the other home addresses of the same terminal */
};

/* What a request that passed every check asks for. */
struct binding_ask {
	struct binding *binding;
	struct conn *conn;   /* it came on */
	bool deregister;     /* lifetime 0 */
	bool everything;     /* deregister: the whole binding */
	bool simultaneous;   /* S flag, or binding identifiers */
	uint16_t lifetime_s; /* granted */
	bool has_connections;
	uint8_t op;
	uint8_t spi_count;
	uint32_t spis[MIP4_SPIS_MAX];
};

struct binding_result {
	uint32_t spi;
	uint8_t code;
};

/* The answer to it, computed before anything changes. */
struct binding_plan {
	uint8_t code; /* of enum mip4_code; 0 or 1: it may be committed */
	uint8_t count;
	struct conn *conns[ACTIVE_MAX];
	uint8_t result_count;
	struct binding_result results[MIP4_SPIS_MAX];
};

void binding_plan(const struct registrar *r, const struct binding_ask *ask,
		  struct binding_plan *plan);

/* Makes conns the active ones of b: states, the SAs' active flags, expiry, timeline.  True
 * when the set is another one now (ops.binding_changed is the caller's, in its own order). */
bool binding_assign(struct registrar *r, struct binding *b, struct conn *const *conns,
		    uint8_t count, enum binding_why why, uint16_t lifetime_s, usec_t now_us,
		    uint64_t wall_us);

/* Empties b, or takes c out of it, and publishes. */
void binding_drop(struct registrar *r, struct binding *b, const struct conn *c, const char *reason,
		  usec_t now_us);

/* Registration of this kind is allowed. */
static inline bool binding_may(const struct registrar_terminal *t, enum binding_why why)
{
	return t->may & BINDING_MAY(why);
}
/* c has every binding of its terminal for itself. */
bool binding_is_all(const struct registrar_terminal *t, const struct conn *c);
/* registrar_data.c */
/* The terminal used what is active now, or made it so by data, after it had sent the packet with
 * this number on c. */
bool binding_is_newer(const struct registrar_terminal *t, const struct conn *c, uint64_t number);
/* A request that comes later than packets by which b moved: it is of the past. */
bool binding_overtook(struct registrar *r, const struct binding *b,
		      const struct registrar_arrival *a);
/* Made by data, and its connections were heard within its lifetime: it lives on. */
bool binding_is_alive(struct registrar *r, struct binding *b, usec_t now_us);

/* Connections that a binding of this terminal may have, 1 to ACTIVE_MAX. */
uint8_t binding_room(const struct registrar_terminal *t);
struct binding *binding_find(const struct registrar_terminal *t, const struct addr *home);
/* The terminal that a connection belongs to, NULL: none. */
struct registrar_terminal *binding_terminal(const struct conn *c);
bool binding_is_agent(const struct registrar *r, const struct addr *a);
/* Our address of this family; none: family 0. */
struct addr binding_agent(const struct registrar *r, uint8_t family);
/* True when the other side, which knows `epoch` of our numbers, could not follow them. */
bool binding_epoch_unknown(const struct registrar *r, struct conn *c, bool has_epoch,
			   uint32_t epoch);

void binding_count_denied(struct registrar *r, const struct registrar_arrival *a,
			  const struct registrar_terminal *t, const char *home, uint8_t code,
			  const char *text);
/* The last request's timeline, NULL when it changed nothing. */
void binding_note_reply(struct registrar *r, bool changed, usec_t now_us, size_t octets,
			uint8_t code);

#endif
