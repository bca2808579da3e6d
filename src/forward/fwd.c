/* SPDX-License-Identifier: MIT */
/*
 * The packet path's frame: creation, what control publishes, commands to the packet thread and
 * events from it, counters.  The packets themselves are in out.c and in.c.
 *
 * Threads: commands and events are two one-way rings (base/ring.h), control at one end and the
 * packet thread at the other; the forwarding table is read under RCU.
 */
#include <errno.h>
#include <string.h>
#include "base/mem.h"
#include "forward/state.h"

struct fwd *fwd_new(const struct fwd_config *cfg, struct err *err)
{
	if (!cfg->sadb || !cfg->io.tun_read || !cfg->io.tun_write || !cfg->io.recv ||
	    !cfg->io.send || cfg->own_count > ARRAY_LEN(cfg->own)) {
		err_set(err, "forward: the configuration of the packet path is incomplete");
		return NULL;
	}
	struct crypt_worker *crypt = crypt_worker_new(cfg->library, 0, err);
	if (!crypt)
		return NULL;
	struct fwd *f = mem_zalloc(sizeof(*f));
	f->cfg = *cfg;
	f->crypt = crypt;
	f->later_end = &f->later;
	f->fib = fib_new();
	f->commands = ring_new(sizeof(struct fwd_command), FWD_COMMANDS_MAX);
	f->events = ring_new(sizeof(struct fwd_event), FWD_EVENTS_MAX);
	if (cfg->ike)
		ikebox_init(&f->ike);
	for (int i = 0; i < FWD_FRAMES_MAX; i++)
		f->frames[i].data = f->buffers[i];
	for (int i = 0; i < FWD_DGRAMS_MAX; i++)
		f->dgrams[i].data = f->dgram_buffers[i];
	return f;
}

void fwd_free(struct fwd *f)
{
	if (!f)
		return;
	struct fwd_command *c;
	while ((c = ring_peek(f->commands)) != NULL) {
		if (c->kind == FWD_CMD_AFTER)
			c->fn(c->arg);
		mem_wipe(c->data, c->len);
		ring_pop(f->commands);
	}
	while (f->later) {
		struct fwd_later *l = f->later;
		f->later = l->next;
		l->fn(l->arg);
		free(l);
	}
	ring_free(f->commands);
	ring_free(f->events);
	ikebox_clear(&f->ike);
	fib_free(f->fib);
	crypt_worker_free(f->crypt);
	free(f);
}

bool fwd_limit_ok(struct fwd_limit *l, usec_t now_us, uint32_t n)
{
	if (now_us - l->since_us >= USEC_PER_SEC || now_us < l->since_us) {
		l->since_us = now_us;
		l->count = 0;
	}
	if (l->count >= n)
		return false;
	l->count++;
	return true;
}

/* --- control to packet thread */

int fwd_route_set(struct fwd *f, const struct prefix *prefix, struct active *active)
{
	return fib_set(f->fib, prefix, active);
}

static void command_push(struct fwd *f)
{
	ring_push(f->commands);
	if (f->cfg.io.command)
		f->cfg.io.command(f->cfg.io.ctx);
}

/* What had to wait for room comes before what is asked for now. */
static struct fwd_command *command_slot(struct fwd *f, enum fwd_command_kind kind)
{
	struct fwd_command *c;
	while ((c = ring_slot(f->commands)) != NULL && f->later) {
		struct fwd_later *l = f->later;
		c->kind = FWD_CMD_AFTER;
		c->sa = l->sa;
		c->fn = l->fn;
		c->arg = l->arg;
		c->len = 0;
		f->later = l->next;
		if (!f->later)
			f->later_end = &f->later;
		free(l);
		command_push(f);
	}
	if (c) {
		c->kind = kind;
		c->sa = NULL;
		c->has_path = false;
		c->hello_epoch = 0;
		c->aside = false;
		c->len = 0;
	}
	return c;
}

static bool inject(struct fwd *f, struct sa *sa, uint8_t next_header, const void *payload,
		   size_t len, uint32_t hello_epoch, bool aside, const struct path *via)
{
	if (len > FWD_COMMAND_DATA)
		return false;
	struct fwd_command *c = command_slot(f, FWD_CMD_INJECT);
	if (!c)
		return false;
	c->sa = sa;
	c->next_header = next_header;
	/* Fresh keys: numbers begin with them, and the other side tries no hello. */
	c->hello_epoch = sa->configured_keys ? hello_epoch : 0;
	c->aside = aside;
	c->len = (uint16_t)len;
	if (len)
		memcpy(c->data, payload, len);
	if (via) {
		c->path = *via;
		c->has_path = true;
	}
	command_push(f);
	return true;
}

bool fwd_inject(struct fwd *f, struct sa *sa, uint8_t next_header, const void *payload, size_t len,
		uint32_t hello_epoch)
{
	return inject(f, sa, next_header, payload, len, hello_epoch, false, NULL);
}

bool fwd_inject_via(struct fwd *f, struct sa *sa, uint8_t next_header, const void *payload,
		    size_t len, uint32_t hello_epoch, const struct path *via)
{
	return inject(f, sa, next_header, payload, len, hello_epoch, false, via);
}

bool fwd_inject_aside(struct fwd *f, struct sa *sa, uint8_t next_header, const void *payload,
		      size_t len, uint32_t epoch, const struct path *via)
{
	/* The number 2^64 - 1 is none, and without ESN a hello's number could come twice. */
	if (epoch == 0 || epoch == UINT32_MAX || !sa->esn || !sa->configured_keys)
		return false;
	return inject(f, sa, next_header, payload, len, epoch, true, via);
}

bool fwd_keepalive(struct fwd *f, const struct path *path)
{
	struct fwd_command *c = command_slot(f, FWD_CMD_KEEPALIVE);
	if (!c)
		return false;
	c->path = *path;
	command_push(f);
	return true;
}

bool fwd_reset_window(struct fwd *f, struct space *space, uint64_t top)
{
	struct fwd_command *c = command_slot(f, FWD_CMD_RESET_WINDOW);
	if (!c)
		return false;
	c->space = space;
	c->top = top;
	command_push(f);
	return true;
}

static void after(struct fwd *f, struct sa *sa, void (*fn)(void *arg), void *arg)
{
	struct fwd_command *c = command_slot(f, FWD_CMD_AFTER);
	if (c) {
		c->sa = sa;
		c->fn = fn;
		c->arg = arg;
		command_push(f);
		return;
	}
	/* It must not be lost: it goes with the next command, or when the whole ends. */
	struct fwd_later *l = mem_zalloc(sizeof(*l));
	l->sa = sa;
	l->fn = fn;
	l->arg = arg;
	*f->later_end = l;
	f->later_end = &l->next;
}

void fwd_after(struct fwd *f, void (*fn)(void *arg), void *arg)
{
	after(f, NULL, fn, arg);
}

static void retire_sa(void *arg)
{
	sa_free_later(arg);
}

void fwd_retire(struct fwd *f, struct sa *sa)
{
	after(f, sa, retire_sa, sa);
}

void fwd_run_commands(struct fwd *f, usec_t now_us)
{
	struct fwd_command *c;
	while ((c = ring_peek(f->commands)) != NULL) {
		switch (c->kind) {
		case FWD_CMD_INJECT:
			out_inject(f, c, now_us);
			break;
		case FWD_CMD_KEEPALIVE:
			out_flush(f, now_us);
			out_keepalive(f, &c->path);
			break;
		case FWD_CMD_RESET_WINDOW:
			replay_reset(c->space->replay, c->top, true);
			c->space->resets++;
			break;
		case FWD_CMD_AFTER:
			/* Sends that wait still name their SAs. */
			out_flush(f, now_us);
			if (c->sa)
				crypt_worker_forget(f->crypt, c->sa->crypt);
			c->fn(c->arg);
			break;
		}
		ring_pop(f->commands);
	}
	out_flush(f, now_us);
	fwd_event_flush(f);
}

/* --- packet thread to control */

/* How much room must stay for what is rarer and matters more. */
static uint64_t event_spare(enum fwd_event_kind kind)
{
	switch (kind) {
	case FWD_EV_CONTROL:
	case FWD_EV_PROBE:
		return FWD_EVENTS_SPARE;
	case FWD_EV_MOVED:
	case FWD_EV_PATH_MTU:
		return FWD_EVENTS_LAST;
	case FWD_EV_SOFT_LIFETIME:
	case FWD_EV_HARD_LIFETIME:
		return 0;
	}
	return 0;
}

struct fwd_event *fwd_event_slot(struct fwd *f, enum fwd_event_kind kind, const struct sa *sa,
				 usec_t now_us)
{
	uint64_t waiting = f->events_given - fwd_get(&f->events_taken);
	if (waiting + event_spare(kind) >= FWD_EVENTS_MAX)
		return NULL;
	struct fwd_event *e = ring_slot(f->events);
	if (!e)
		return NULL;
	memset(e, 0, offsetof(struct fwd_event, data));
	e->kind = kind;
	e->sa = sa;
	e->spi = sa->spi;
	e->at_us = now_us;
	return e;
}

void fwd_event_push(struct fwd *f)
{
	ring_push(f->events);
	f->events_given++;
	f->event_waiting = true;
}

void fwd_event_flush(struct fwd *f)
{
	if (!f->event_waiting)
		return;
	f->event_waiting = false;
	if (f->cfg.io.event)
		f->cfg.io.event(f->cfg.io.ctx);
}

const struct fwd_event *fwd_event_next(struct fwd *f)
{
	return ring_peek(f->events);
}

void fwd_event_done(struct fwd *f)
{
	ring_pop(f->events);
	fwd_add(&f->events_taken, 1);
}

struct fwd_ike *fwd_ike_next(struct fwd *f)
{
	return ikebox_next(&f->ike);
}

void fwd_ike_done(struct fwd *f)
{
	ikebox_done(&f->ike);
}

/* --- lifetimes (RFC 4301 4.4.2.1) */

static bool lifetime_event(struct fwd *f, struct sa *sa, bool outbound, enum fwd_event_kind kind,
			   usec_t now_us)
{
	struct fwd_event *e = fwd_event_slot(f, kind, sa, now_us);
	if (!e)
		return false;
	e->outbound = outbound;
	fwd_event_push(f);
	return true;
}

void fwd_kill_sa(struct fwd *f, struct sa *sa, bool outbound, usec_t now_us)
{
	if (!atomic_exchange_explicit(&sa->dead, true, memory_order_relaxed))
		lifetime_event(f, sa, outbound, FWD_EV_HARD_LIFETIME, now_us);
}

static bool reached(uint64_t value, uint64_t limit)
{
	return limit && value >= limit;
}

void fwd_count_packet(struct fwd *f, struct sa *sa, bool outbound, uint32_t inner_len,
		      usec_t now_us)
{
	fwd_add(&sa->packets, 1);
	fwd_add(&sa->bytes, inner_len);
	fwd_put(&sa->last_us, now_us);
	uint64_t packets = fwd_get(&sa->packets), bytes = fwd_get(&sa->bytes);
	if (reached(packets, sa->hard_packets) || reached(bytes, sa->hard_bytes))
		fwd_kill_sa(f, sa, outbound, now_us);
	else if ((reached(packets, sa->soft_packets) || reached(bytes, sa->soft_bytes)) &&
		 !atomic_load_explicit(&sa->soft_told, memory_order_relaxed) &&
		 lifetime_event(f, sa, outbound, FWD_EV_SOFT_LIFETIME, now_us))
		atomic_store_explicit(&sa->soft_told, true, memory_order_relaxed);
}

const char *fwd_library(const struct fwd *f)
{
	return crypt_worker_library(f->crypt);
}

void fwd_counters(const struct fwd *f, struct fwd_counters *out)
{
	const struct fwd_stats *s = &f->stats;
	for (int i = 0; i < DROP_COUNT; i++)
		out->drops[i] = fwd_get(&s->drops[i]);
	out->out_packets = fwd_get(&s->out_packets);
	out->out_bytes = fwd_get(&s->out_bytes);
	out->in_packets = fwd_get(&s->in_packets);
	out->in_bytes = fwd_get(&s->in_bytes);
	out->out_sends = fwd_get(&s->out_sends);
	out->in_recvs = fwd_get(&s->in_recvs);
	out->tun_reads = fwd_get(&s->tun_reads);
	out->tun_writes = fwd_get(&s->tun_writes);
	out->keepalives = fwd_get(&s->keepalives);
	out->duplicates = fwd_get(&s->duplicates);
	out->ike_messages = fwd_get(&s->ike_messages);
}
