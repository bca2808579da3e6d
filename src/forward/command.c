/* SPDX-License-Identifier: MIT */
/*
 * From control to the packet threads: one ring for each worker (base/ring.h), control at one end.
 *
 * What names an SA goes to the first worker, in the order in which it was said.  Other workers are
 * only told to forget keys.  What must not be lost and finds the ring full waits for the next
 * command, or for the end of the whole.
 */
#include <string.h>
#include "base/mem.h"
#include "forward/state.h"

static void command_push(struct fwd_worker *w)
{
	ring_push(w->commands);
	if (w->io.command)
		w->io.command(w->io.ctx);
}

/* What had to wait for room comes before what is asked for now. */
static struct fwd_command *command_slot(struct fwd_worker *w, enum fwd_command_kind kind)
{
	struct fwd_command *c;
	while ((c = ring_slot(w->commands)) != NULL && w->later) {
		struct fwd_later *l = w->later;
		c->kind = l->kind;
		c->key_id = l->key_id;
		c->fn = l->fn;
		c->arg = l->arg;
		c->len = 0;
		w->later = l->next;
		if (!w->later)
			w->later_end = &w->later;
		free(l);
		command_push(w);
	}
	if (c) {
		c->kind = kind;
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
	struct fwd_command *c = command_slot(f->workers[0], FWD_CMD_INJECT);
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
	command_push(f->workers[0]);
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
	struct fwd_command *c = command_slot(f->workers[0], FWD_CMD_KEEPALIVE);
	if (!c)
		return false;
	c->path = *path;
	command_push(f->workers[0]);
	return true;
}

bool fwd_reset_window(struct fwd *f, struct space *space, uint64_t top)
{
	struct fwd_command *c = command_slot(f->workers[0], FWD_CMD_RESET_WINDOW);
	if (!c)
		return false;
	c->space = space;
	c->top = top;
	command_push(f->workers[0]);
	return true;
}

/* FORGET or AFTER, which must not be lost: it goes with the next command, or when the whole ends.
 */
static void surely(struct fwd_worker *w, const struct fwd_later *what)
{
	struct fwd_command *c = command_slot(w, what->kind);
	if (c) {
		c->key_id = what->key_id;
		c->fn = what->fn;
		c->arg = what->arg;
		command_push(w);
		return;
	}
	struct fwd_later *l = mem_zalloc(sizeof(*l));
	*l = *what;
	l->next = NULL;
	*w->later_end = l;
	w->later_end = &l->next;
}

void fwd_after(struct fwd *f, void (*fn)(void *arg), void *arg)
{
	surely(f->workers[0], &(struct fwd_later){.kind = FWD_CMD_AFTER, .fn = fn, .arg = arg});
}

static void retire_sa(void *arg)
{
	sa_free_later(arg);
}

static void forget_key(struct fwd *f, const struct crypt *crypt)
{
	struct fwd_later forget = {.kind = FWD_CMD_FORGET, .key_id = crypt_id(crypt)};
	for (unsigned i = 0; i < f->count; i++)
		surely(f->workers[i], &forget);
}

void fwd_retire(struct fwd *f, struct sa *sa)
{
	forget_key(f, sa->crypt);
	if (sa->inner)
		forget_key(f, sa->inner->crypt);
	fwd_after(f, retire_sa, sa);
}

static void run_command(struct fwd_worker *w, struct fwd_command *c, usec_t now_us)
{
	switch (c->kind) {
	case FWD_CMD_INJECT:
		out_inject(w, c, now_us);
		break;
	case FWD_CMD_KEEPALIVE:
		out_flush(w, now_us);
		out_keepalive(w, &c->path);
		break;
	case FWD_CMD_RESET_WINDOW:
		fwd_lock(w, &c->space->rx_lock);
		replay_reset(&c->space->window, c->top, true);
		c->space->resets++;
		fwd_unlock(w, &c->space->rx_lock);
		break;
	case FWD_CMD_FORGET:
		/* Sends that wait still name their SAs. */
		out_flush(w, now_us);
		crypt_worker_forget(w->crypt, c->key_id);
		break;
	case FWD_CMD_AFTER:
		out_flush(w, now_us);
		c->fn(c->arg);
		break;
	}
}

void fwd_run_commands(struct fwd_worker *w, usec_t now_us)
{
	struct fwd_command *c;
	while ((c = ring_peek(w->commands)) != NULL) {
		run_command(w, c, now_us);
		ring_pop(w->commands);
	}
	out_flush(w, now_us);
	fwd_event_flush(w);
}

void fwd_commands_free(struct fwd_worker *w)
{
	struct fwd_command *c;
	while ((c = ring_peek(w->commands)) != NULL) {
		if (c->kind == FWD_CMD_AFTER)
			c->fn(c->arg);
		mem_wipe(c->data, c->len);
		ring_pop(w->commands);
	}
	while (w->later) {
		struct fwd_later *l = w->later;
		w->later = l->next;
		if (l->kind == FWD_CMD_AFTER)
			l->fn(l->arg);
		free(l);
	}
	ring_free(w->commands);
}
