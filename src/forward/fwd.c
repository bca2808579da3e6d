/* SPDX-License-Identifier: MIT */
/*
 * The packet path's frame: creation, what control publishes, counters.  The packets themselves are
 * in out.c and in.c.
 *
 * Threads: each worker is a packet thread of its own, with its own buffers, key schedules, rings
 * and counters.  What workers share: the SADB and the forwarding table, which are read under RCU;
 * and SAs and their sequence spaces, of which one changes what it holds the lock of (sadb/sa.h).
 * With one worker there is nothing to lock.
 */
#include <errno.h>
#include <string.h>
#include "base/mem.h"
#include "forward/state.h"

static void worker_free(struct fwd_worker *w)
{
	if (!w)
		return;
	fwd_commands_free(w);
	ring_free(w->events);
	ikebox_clear(&w->ike);
	crypt_worker_free(w->crypt);
	free(w);
}

static struct fwd_worker *worker_new(struct fwd *f, unsigned index, struct err *err)
{
	struct crypt_worker *crypt = crypt_worker_new(f->cfg.library, 0, err);
	if (!crypt)
		return NULL;
	struct fwd_worker *w = mem_zalloc_lines(sizeof(*w));
	w->shared = f;
	w->cfg = &f->cfg;
	w->io = f->cfg.io;
	if (w->io.of_worker)
		w->io.ctx = w->io.of_worker(w->io.ctx, index);
	w->locks = f->count > 1;
	w->crypt = crypt;
	w->later_end = &w->later;
	w->commands = ring_new(sizeof(struct fwd_command), FWD_COMMANDS_MAX);
	w->events = ring_new(sizeof(struct fwd_event), FWD_EVENTS_MAX);
	if (f->cfg.ike)
		ikebox_init(&w->ike);
	for (int i = 0; i < FWD_FRAMES_MAX; i++)
		w->frames[i].data = w->frame_buffers[i];
	for (int i = 0; i < FWD_DGRAMS_MAX; i++)
		w->dgrams[i].data = w->dgram_buffers[i];
	return w;
}

struct fwd *fwd_new(const struct fwd_config *cfg, struct err *err)
{
	if (!cfg->sadb || !cfg->io.tun_read || !cfg->io.tun_write || !cfg->io.recv ||
	    !cfg->io.send || cfg->own_count > ARRAY_LEN(cfg->own) ||
	    cfg->workers > FWD_WORKERS_MAX) {
		err_set(err, "forward: the configuration of the packet path is incomplete");
		return NULL;
	}
	struct fwd *f = mem_zalloc(sizeof(*f));
	f->cfg = *cfg;
	f->count = cfg->workers ? cfg->workers : 1;
	f->fib = fib_new();
	for (unsigned i = 0; i < f->count; i++) {
		f->workers[i] = worker_new(f, i, err);
		if (!f->workers[i]) {
			fwd_free(f);
			return NULL;
		}
	}
	return f;
}

void fwd_free(struct fwd *f)
{
	if (!f)
		return;
	for (unsigned i = 0; i < f->count; i++)
		worker_free(f->workers[i]);
	fib_free(f->fib);
	free(f);
}

unsigned fwd_worker_count(const struct fwd *f)
{
	return f->count;
}

struct fwd_worker *fwd_worker(struct fwd *f, unsigned index)
{
	return f->workers[index];
}

int fwd_route_set(struct fwd *f, const struct prefix *prefix, struct active *active)
{
	return fib_set(f->fib, prefix, active);
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

const char *fwd_library(const struct fwd *f)
{
	return crypt_worker_library(f->workers[0]->crypt);
}

static void counters_add(const struct fwd_stats *s, struct fwd_counters *out)
{
	for (int i = 0; i < DROP_COUNT; i++)
		out->drops[i] += fwd_get(&s->drops[i]);
	out->out_packets += fwd_get(&s->out_packets);
	out->out_bytes += fwd_get(&s->out_bytes);
	out->in_packets += fwd_get(&s->in_packets);
	out->in_bytes += fwd_get(&s->in_bytes);
	out->out_sends += fwd_get(&s->out_sends);
	out->in_recvs += fwd_get(&s->in_recvs);
	out->tun_reads += fwd_get(&s->tun_reads);
	out->tun_writes += fwd_get(&s->tun_writes);
	out->keepalives += fwd_get(&s->keepalives);
	out->duplicates += fwd_get(&s->duplicates);
	out->ike_messages += fwd_get(&s->ike_messages);
}

void fwd_counters(const struct fwd *f, struct fwd_counters *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < f->count; i++)
		counters_add(&f->workers[i]->stats, out);
}
