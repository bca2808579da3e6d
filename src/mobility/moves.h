/* SPDX-License-Identifier: MIT */
/*
 * The timeline of the last moves, kept on both nodes for `sojourn moves`: what happened on the
 * link, which connection was chosen and why, request, reply, first packets, what was lost.
 */
#ifndef MOBILITY_MOVES_H
#define MOBILITY_MOVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/clock.h"

#define MOVES_KEPT	64
#define MOVE_EVENTS_MAX 24
#define MOVE_TEXT_MAX	112

enum move_kind {
	MOVE_START,
	MOVE_MAKE_BEFORE_BREAK,
	MOVE_BREAK_BEFORE_MAKE,
	MOVE_HOME,
	MOVE_LEAVE_HOME,
	MOVE_ADD,    /* n-casting: one more connection beside those that stay */
	MOVE_REMOVE, /* one less */
};
const char *move_kind_text(enum move_kind k);

enum move_step {
	MOVE_LINK,    /* what happened on the link */
	MOVE_CHOSEN,  /* which connection, why */
	MOVE_REQUEST, /* a request left (or came, on the server) */
	MOVE_REPLY,
	MOVE_SWITCH, /* packets go to the new connection from here */
	MOVE_FIRST_UP,
	MOVE_FIRST_DOWN,
	MOVE_NOTE,
	MOVE_DONE,
};
const char *move_step_text(enum move_step s);

struct move_event {
	usec_t at_us;
	enum move_step step;
	char text[MOVE_TEXT_MAX];
};

struct move {
	uint64_t id; /* 1, 2, ... */
	usec_t start_us;
	uint64_t wall_us;
	enum move_kind kind;
	char terminal[40];
	char from[40], to[40]; /* connection names, "home", "" */
	char why[MOVE_TEXT_MAX];
	const char *by; /* what registered it: "request", "data", "setup"; NULL: nothing (yet) */
	bool done;
	uint32_t signalling_packets, signalling_octets; /* registration, both ways, inner octets */
	uint64_t lost;		/* numbers of the other side that never came */
	int64_t switch_us;	/* link event to first packet; -1 not yet */
	unsigned tries, try_at; /* failed ones; first event of the last try */
	unsigned event_count;	/* in the order of their times */
	struct move_event events[MOVE_EVENTS_MAX];
};

struct moves;
struct moves *moves_new(void);
void moves_free(struct moves *m);
/* Begins a move; the returned value is valid until the next moves_begin. */
struct move *moves_begin(struct moves *m, enum move_kind kind, const char *terminal,
			 const char *from, const char *to, usec_t start_us, uint64_t wall_us);
void move_note(struct move *mv, usec_t at_us, enum move_step step, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A move that failed goes on over another connection (or the same): it is not done any more. */
void move_try_again(struct move *mv, usec_t at_us, const char *to);
/* Oldest first; NULL past the end. */
const struct move *moves_at(const struct moves *m, size_t i);

#endif
