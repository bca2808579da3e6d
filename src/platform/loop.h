/* SPDX-License-Identifier: MIT */
/* The control thread's event loop: libevent's event_core behind one small header. */
#ifndef PLATFORM_LOOP_H
#define PLATFORM_LOOP_H

#include <stdbool.h>
#include "base/clock.h"

struct loop;
struct loop_fd;
struct loop_timer;

struct loop *loop_new(void);
void loop_free(struct loop *l);
int loop_run(struct loop *l); /* until loop_stop; 0 or -1 */
void loop_stop(struct loop *l);
/* Called around each wait for something to happen (RCU readers go offline there). */
void loop_around_wait(struct loop *l, void (*begins)(void), void (*ends)(void));
/* Called at the end of each turn of the loop, after its callbacks (deadlines, publishing). */
void loop_on_turn(struct loop *l, void (*fn)(void *ctx), void *ctx);

/* Calls fn while fd is readable (and writable, when asked).  The fd stays the caller's. */
struct loop_fd *loop_fd_add(struct loop *l, int fd,
			    void (*fn)(void *ctx, bool readable, bool writable), void *ctx);
void loop_fd_want_write(struct loop_fd *f, bool on);
void loop_fd_remove(struct loop_fd *f);

struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *ctx), void *ctx);
void loop_timer_at(struct loop_timer *t, usec_t at_us); /* monotonic; USEC_NEVER stops it */
void loop_timer_free(struct loop_timer *t);

/* fn(ctx, signo) in the loop, for SIGTERM, SIGINT, SIGHUP, SIGCHLD. */
int loop_signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx);

#endif
