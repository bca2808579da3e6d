/* SPDX-License-Identifier: MIT */
/*
 * The control thread's event loop over libevent's event_core.
 *
 * Purpose: file descriptors, one-shot timers on the monotonic clock and signals call back in
 * one thread; after the callbacks of each turn those who asked (loop_on_turn) run once, so that
 * several changes of one turn are published and their deadlines set together.
 *
 * Ownership: descriptors stay the caller's; loop_fd and loop_timer objects are freed by their
 * own functions before loop_free; signal handlers are freed with the loop.  A callback may
 * remove its own descriptor or free its own timer: nothing here touches them afterwards.
 *
 * Timers: libevent counts from a time it caches and rounds to its clock; a timer that would
 * fire early is armed again, so that a deadline has always passed when its function runs.
 */
#include "platform/loop.h"

#include <event2/event.h>
#include "base/mem.h"

#define LOOP_TURNS_MAX	 4
#define LOOP_SIGNALS_MAX 8

struct loop_signal {
	struct loop *loop;
	struct event *ev;
	int signo;
	void (*fn)(void *ctx, int signo);
	void *ctx;
};

struct loop {
	struct event_base *base;
	bool stop, waiting;
	void (*wait_begins)(void), (*wait_ends)(void);
	unsigned turn_count, signal_count;
	struct {
		void (*fn)(void *ctx);
		void *ctx;
	} turns[LOOP_TURNS_MAX];
	struct loop_signal signals[LOOP_SIGNALS_MAX];
};

struct loop_fd {
	struct loop *loop;
	struct event *ev;
	int fd;
	void (*fn)(void *ctx, bool readable, bool writable);
	void *ctx;
};

struct loop_timer {
	struct loop *loop;
	struct event *ev;
	usec_t at_us;
	void (*fn)(void *ctx);
	void *ctx;
};

struct loop *loop_new(void)
{
	struct event_config *cfg = event_config_new();
	if (!cfg)
		return NULL;
	event_config_set_flag(cfg, EVENT_BASE_FLAG_PRECISE_TIMER);
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NO_CACHE_TIME);
	struct event_base *base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (!base)
		return NULL;
	struct loop *l = mem_zalloc(sizeof(*l));
	l->base = base;
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < l->signal_count; i++)
		event_free(l->signals[i].ev);
	event_base_free(l->base);
	free(l);
}

/* Before the first callback of a turn, and when there was none. */
static void loop_woken(struct loop *l)
{
	if (l->waiting && l->wait_ends)
		l->wait_ends();
	l->waiting = false;
}

int loop_run(struct loop *l)
{
	l->stop = false;
	for (;;) {
		for (unsigned i = 0; i < l->turn_count; i++)
			l->turns[i].fn(l->turns[i].ctx);
		if (l->stop)
			return 0;
		/* 1: nothing is registered any more, so nothing can ever happen. */
		l->waiting = true;
		if (l->wait_begins)
			l->wait_begins();
		int r = event_base_loop(l->base, EVLOOP_ONCE);
		loop_woken(l);
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
}

void loop_stop(struct loop *l)
{
	l->stop = true;
	event_base_loopbreak(l->base);
}

void loop_around_wait(struct loop *l, void (*begins)(void), void (*ends)(void))
{
	l->wait_begins = begins;
	l->wait_ends = ends;
}

void loop_on_turn(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	if (l->turn_count == LOOP_TURNS_MAX)
		abort();
	l->turns[l->turn_count].fn = fn;
	l->turns[l->turn_count++].ctx = ctx;
}

static void loop_fd_ready(evutil_socket_t fd, short what, void *arg)
{
	struct loop_fd *f = arg;
	(void)fd;
	loop_woken(f->loop);
	f->fn(f->ctx, (what & EV_READ) != 0, (what & EV_WRITE) != 0);
}

struct loop_fd *loop_fd_add(struct loop *l, int fd,
			    void (*fn)(void *ctx, bool readable, bool writable), void *ctx)
{
	struct loop_fd *f = mem_zalloc(sizeof(*f));
	*f = (struct loop_fd){.loop = l, .fd = fd, .fn = fn, .ctx = ctx};
	f->ev = event_new(l->base, fd, EV_READ | EV_PERSIST, loop_fd_ready, f);
	if (f->ev && event_add(f->ev, NULL) == 0)
		return f;
	if (f->ev)
		event_free(f->ev);
	free(f);
	return NULL;
}

void loop_fd_want_write(struct loop_fd *f, bool on)
{
	short what = (short)(EV_READ | EV_PERSIST | (on ? EV_WRITE : 0));
	if (event_get_events(f->ev) == what)
		return;
	event_del(f->ev);
	event_assign(f->ev, f->loop->base, f->fd, what, loop_fd_ready, f);
	event_add(f->ev, NULL);
}

void loop_fd_remove(struct loop_fd *f)
{
	if (!f)
		return;
	event_free(f->ev);
	free(f);
}

static void loop_timer_fired(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *t = arg;
	(void)fd;
	(void)what;
	if (t->at_us == USEC_NEVER)
		return;
	if (clock_now_us() < t->at_us) {
		loop_timer_at(t, t->at_us);
		return;
	}
	t->at_us = USEC_NEVER;
	loop_woken(t->loop);
	t->fn(t->ctx);
}

struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	struct loop_timer *t = mem_zalloc(sizeof(*t));
	*t = (struct loop_timer){.loop = l, .at_us = USEC_NEVER, .fn = fn, .ctx = ctx};
	t->ev = event_new(l->base, -1, 0, loop_timer_fired, t);
	if (t->ev)
		return t;
	free(t);
	return NULL;
}

void loop_timer_at(struct loop_timer *t, usec_t at_us)
{
	t->at_us = at_us;
	if (at_us == USEC_NEVER) {
		event_del(t->ev);
		return;
	}
	usec_t now = clock_now_us();
	usec_t left = at_us > now ? at_us - now : 0;
	/* The largest wait libevent takes without complaint is far beyond any of ours. */
	if (left > 1000000ull * USEC_PER_SEC)
		left = 1000000ull * USEC_PER_SEC;
	struct timeval tv = {.tv_sec = (time_t)(left / USEC_PER_SEC),
			     .tv_usec = (suseconds_t)(left % USEC_PER_SEC)};
	event_add(t->ev, &tv);
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	event_free(t->ev);
	free(t);
}

static void loop_signal_fired(evutil_socket_t fd, short what, void *arg)
{
	struct loop_signal *s = arg;
	(void)fd;
	(void)what;
	loop_woken(s->loop);
	s->fn(s->ctx, s->signo);
}

int loop_signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx)
{
	if (l->signal_count == LOOP_SIGNALS_MAX)
		return -1;
	struct loop_signal *s = &l->signals[l->signal_count];
	*s = (struct loop_signal){.loop = l, .signo = signo, .fn = fn, .ctx = ctx};
	s->ev = event_new(l->base, signo, EV_SIGNAL | EV_PERSIST, loop_signal_fired, s);
	if (!s->ev)
		return -1;
	if (event_add(s->ev, NULL) != 0) {
		event_free(s->ev);
		return -1;
	}
	l->signal_count++;
	return 0;
}
