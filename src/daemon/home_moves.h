/* SPDX-License-Identifier: MIT */
/*
 * A home server that moves itself, at one end of end-to-end connections (announce-moves).
 *
 * It listens on whatever addresses it has.  When they change it asks over each of its connections
 * (a probe) until there is an answer: what it sends comes from where it is now, and a terminal that
 * follows its server (server-moves) goes by the newest authenticated packet's source.  Without that
 * it would be found only when it has something to say.
 *
 * Control thread.
 */
#ifndef DAEMON_HOME_MOVES_H
#define DAEMON_HOME_MOVES_H

#include "daemon/role.h"

struct home_moves;

struct home_moves *home_moves_new(struct node *n, struct err *err); /* NULL with err */
void home_moves_free(struct home_moves *m);			    /* NULL allowed */
void home_moves_answered(struct home_moves *m, uint64_t id);
/* Returns when it wants to be called next. */
usec_t home_moves_tick(struct home_moves *m, usec_t now_us);

#endif
