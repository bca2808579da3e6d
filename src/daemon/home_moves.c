/* SPDX-License-Identifier: MIT */
/* See the header.  Each change of addresses begins a round of its own; what was not answered of
 * the one before is asked again. */
#include "daemon/home_moves.h"

#include "base/mem.h"
#include "crypto/mac.h"
#include "platform/watch.h"

#define ASKED_MAX     64 /* connections of a round */
#define FIRST_US      (50 * USEC_PER_MS)
#define LONGEST_US    (2 * (usec_t)USEC_PER_SEC)
#define ROUND_ENDS_US (60 * (usec_t)USEC_PER_SEC)

struct asked {
	uint32_t spi_in; /* of the connection */
	uint64_t id;	 /* of the probe; 0: answered */
};

struct home_moves {
	struct node *n;
	struct watch *watch;
	bool started; /* what there was at the start has been told */
	struct asked asked[ASKED_MAX];
	unsigned count, waiting;
	usec_t next_us, every_us, end_us;
};

static void round_begin(struct home_moves *m, usec_t now_us)
{
	m->count = 0;
	for (const struct conn *c = conn_table_first(m->n->table); c; c = c->next) {
		if (m->count == ASKED_MAX)
			break;
		if (c->state == CONN_EXPIRED || !rcu_dereference(c->out->path))
			continue;
		struct asked *a = &m->asked[m->count++];
		a->spi_in = c->in->spi;
		do
			random_bytes(&a->id, sizeof a->id);
		while (a->id == 0);
	}
	m->waiting = m->count;
	m->next_us = now_us;
	m->every_us = FIRST_US;
	m->end_us = now_us + ROUND_ENDS_US;
}

static void changed(void *ctx, const struct care_of *list, size_t count, const char *cause,
		    usec_t at_us)
{
	struct home_moves *m = ctx;
	(void)list;
	(void)at_us;
	if (!m->started) {
		m->started = true;
		return;
	}
	if (count == 0)
		return; /* nowhere to ask from */
	round_begin(m, clock_now_us());
	log_info(m->n->log, "home: moved cause=\"%s\" connections=%u", cause, m->count);
	loop_timer_at(m->n->timer, m->next_us);
}

static void resolve(void *ctx, unsigned ifindex, const struct addr *gateway)
{
	(void)ctx; /* which network it is does not matter here */
	(void)ifindex;
	(void)gateway;
}

struct home_moves *home_moves_new(struct node *n, struct err *err)
{
	struct home_moves *m = mem_zalloc(sizeof *m);
	struct watch_config wc = {.ignore_interface = n->cfg->tun,
				  .ignore_table = n->cfg->table,
				  .changed = changed,
				  .resolve = resolve,
				  .ctx = m};
	m->n = n;
	m->next_us = USEC_NEVER;
	m->watch = watch_new(n->loop, &wc, n->log, err);
	if (m->watch)
		return m;
	free(m);
	return NULL;
}

void home_moves_free(struct home_moves *m)
{
	if (!m)
		return;
	watch_free(m->watch);
	free(m);
}

void home_moves_answered(struct home_moves *m, uint64_t id)
{
	for (unsigned i = 0; m && id && i < m->count; i++) {
		if (m->asked[i].id != id)
			continue;
		m->asked[i].id = 0;
		m->waiting--;
	}
}

usec_t home_moves_tick(struct home_moves *m, usec_t now_us)
{
	if (!m || m->waiting == 0 || now_us >= m->end_us)
		return USEC_NEVER;
	if (now_us < m->next_us)
		return m->next_us;
	for (unsigned i = 0; i < m->count; i++) {
		struct conn *c =
		    m->asked[i].id ? conn_find_spi(m->n->table, m->asked[i].spi_in) : NULL;
		if (c && rcu_dereference(c->out->path))
			node_send_probe(m->n, c, ESP_PROBE_REQUEST, m->asked[i].id, NULL);
	}
	m->next_us = now_us + m->every_us;
	m->every_us = m->every_us * 2 < LONGEST_US ? m->every_us * 2 : LONGEST_US;
	return m->next_us;
}
