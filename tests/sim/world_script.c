/* SPDX-License-Identifier: MIT */
/* What happens in a run, by its seed: the nodes' options, the networks, a number of changes one
 * after the other; then a quiet network, and after a bounded time everything must be well. */
#include <stdlib.h>
#include <string.h>
#include "world.h"

#define AGREE_US       (20 * USEC_PER_SEC)
#define SETTLE_US      (60 * USEC_PER_SEC)
#define SETTLE_HOME_US (160 * USEC_PER_SEC)
#define STEADY_US      (10 * USEC_PER_SEC)

void script_config(struct world_config *cfg, uint64_t seed)
{
	struct world draw = {.rng = seed ^ 0x5eed}, *r = &draw;
	*cfg = *world_defaults();
	cfg->seed = seed;
	cfg->pool = world_chance(r, 500);
	cfg->strict = world_chance(r, 300);
	cfg->spares = (uint8_t)world_below(r, 4);
	cfg->port = world_chance(r, 500) ? IKE_PORT : IKE_PORT_NATT;
	cfg->dead_server = world_chance(r, 150);
	cfg->attach_later = world_chance(r, 500);
	cfg->lifetime_s = (uint16_t)(8 + world_below(r, 80));
	cfg->child_rekey_us = (8 + world_below(r, 80)) * USEC_PER_SEC;
	cfg->ike_rekey_us = (10 + world_below(r, 120)) * USEC_PER_SEC;
	cfg->terminal_liveness_us = (5 + world_below(r, 30)) * USEC_PER_SEC;
	cfg->server_liveness_us = (20 + world_below(r, 100)) * USEC_PER_SEC;
	cfg->rekey_packets = world_chance(r, 800) ? 0 : 100 + world_below(r, 400);
	cfg->half_open_cookie = world_chance(r, 700) ? 64 : world_below(r, 2);
	cfg->fragment_len = (uint16_t)(world_chance(r, 700) ? 1232 : 300 + world_below(r, 300));
	cfg->clock_us = world_chance(r, 500) ? 0 : (int64_t)world_below(r, 200000000) - 100000000;
	cfg->data_every_us = 200 * USEC_PER_MS;
	cfg->ncast = world_chance(r, 500) ? 0 : (uint8_t)world_below(r, 4);
	cfg->connections_max = (uint8_t)(1 + world_below(r, 4));
	for (int i = 0; i < LINKS; i++) {
		struct link *l = &cfg->links[i];
		*l = (struct link){.family = world_chance(r, 300) ? 6 : 4,
				   .host = (uint8_t)(2 + world_below(r, 200)),
				   .network_known = true,
				   .delay_us = 1000 + world_below(r, 100000)};
		if (i == LINK_HOME)
			l->family = 4;
		l->up = i != LINK_HOME && world_chance(r, 600);
		l->has_nat = i != LINK_HOME && l->family == 4 && world_chance(r, 700);
		l->network = i == LINK_HOME ? 0 : (uint8_t)world_below(r, 3);
		l->jitter_us = world_chance(r, 500) ? 0 : world_below(r, 30000);
		l->loss_permille = world_chance(r, 500) ? 0 : world_below(r, 200);
		l->dup_permille = world_chance(r, 500) ? 0 : world_below(r, 200);
	}
}

/* --- changes */

static void link_toggle(struct world *w, int i)
{
	struct link *l = &w->links[i];
	l->network_known = world_chance(w, 500);
	if (!l->up && i != LINK_HOME) {
		l->host = (uint8_t)(2 + world_below(w, 200));
		l->network = (uint8_t)world_below(w, 3);
	}
	link_set(w, i, !l->up);
	if (l->network_known)
		return;
	l->network_known = true;
	net_tell_care_ofs(w, 100000 + world_below(w, 500000), "network known");
}

/* Another address in the same network, or another network behind the same interface. */
static void care_of_change(struct world *w, int i)
{
	struct link *l = &w->links[i];
	if (i == LINK_HOME)
		return;
	l->host = (uint8_t)(2 + world_below(w, 200));
	if (world_chance(w, 500))
		l->network = (uint8_t)world_below(w, 3);
	l->mapping++;
	world_say(w, "script: %s has another address", link_names[i]);
	net_tell_care_ofs(w, world_below(w, 30000), "address changed");
}

static void server_deletes(struct world *w)
{
	struct conn *c = conn_table_first(w->s.n.table);
	for (uint32_t skip = world_below(w, 4); c && c->next && skip; skip--)
		c = c->next;
	for (struct ike_sa *sa = ike_sa_first(w->s.n.engine); sa && c; sa = ike_sa_next(sa))
		for (struct ike_child *k = ike_child_first(sa); k; k = ike_child_next(k))
			if (ike_child_user(k) == c) {
				world_say(w, "script: the server deletes %s", c->name);
				ike_child_delete(w->s.n.engine, k, "script", w->now_us);
				w->s.n.tick_us = w->now_us;
				return;
			}
}

static void rekey(struct world *w, struct sim_node *n, bool ike)
{
	struct ike_sa *sa = ike_sa_first(n->engine);
	while (sa && ike_sa_state(sa) != IKE_SA_ESTABLISHED)
		sa = ike_sa_next(sa);
	if (!sa)
		return;
	world_say(w, "script: the %s rekeys %s", n->server ? "server" : "terminal",
		  ike ? "the IKE SA" : "child SAs");
	n->tick_us = w->now_us;
	if (ike) {
		ike_sa_rekey(n->engine, sa, w->now_us);
		return;
	}
	for (struct ike_child *c = ike_child_first(sa); c; c = ike_child_next(c))
		ike_child_rekey(n->engine, c, w->now_us);
}

/* Often both at once. */
static void rekeys(struct world *w)
{
	bool ike = world_chance(w, 500);
	uint32_t who = world_below(w, 3);
	if (who != 1)
		rekey(w, &w->t.n, ike);
	if (who != 0)
		rekey(w, &w->s.n, world_chance(w, 200) ? !ike : ike);
}

static void person(struct world *w)
{
	struct sim_terminal *t = &w->t;
	switch (world_below(w, 3)) {
	case 0: {
		struct conn *c = conn_table_first(t->n.table);
		for (uint32_t skip = world_below(w, 4); c && skip; skip--)
			c = c->next;
		if (!t->mover || (c && !strncmp(c->name, "spare", 5)))
			return;
		world_say(w, "script: pin %s", c ? c->name : "nothing");
		if (mover_pin(t->mover, c, w->now_us) != 0)
			world_fail(w, "cannot pin %s", c ? c->name : "nothing");
		break;
	}
	case 1:
		world_say(w, "script: down, and up again");
		keeper_down(t->keeper, w->now_us);
		keeper_up(t->keeper, w->now_us);
		break;
	case 2:
		world_say(w, "script: the server lets go of the terminal");
		(void)steward_down(w->s.steward, "alice", w->now_us);
		w->s.n.tick_us = w->now_us;
		break;
	}
	t->n.tick_us = w->now_us;
}

static void restart(struct world *w, bool server)
{
	bool told = world_chance(w, 300);
	world_say(w, "script: the %s restarts%s", server ? "server" : "terminal",
		  told ? "" : " after a crash");
	if (server) {
		server_stop(w, told);
		server_start(w);
	} else {
		terminal_stop(w, told);
		terminal_start(w);
	}
}

static void link_trouble(struct world *w, int i)
{
	struct link *l = &w->links[i];
	switch (world_below(w, 4)) {
	case 0:
		l->deaf_up = world_chance(w, 600);
		l->deaf_down = world_chance(w, 600);
		world_say(w, "script: %s deaf up=%d down=%d", link_names[i], l->deaf_up,
			  l->deaf_down);
		return;
	case 1:
		l->deaf_up = l->deaf_down = false;
		world_say(w, "script: %s hears", link_names[i]);
		return;
	case 2:
		link_rebind(w, i);
		world_say(w, "script: %s has another mapping", link_names[i]);
		return;
	case 3:
		l->loss_permille = world_below(w, 200);
		l->dup_permille = world_below(w, 200);
		world_say(w, "script: %s loss=%u", link_names[i], l->loss_permille);
		return;
	}
}

static void quiet(struct world *w)
{
	w->quiet = true;
	for (int i = 0; i < LINKS; i++)
		w->links[i].loss_permille = w->links[i].dup_permille = w->links[i].jitter_us = 0;
}

void script_change(struct world *w)
{
	int i = (int)world_below(w, 3);
	switch (world_below(w, 14)) {
	case 0:
	case 1:
	case 2:
	case 3:
		link_toggle(w, i);
		break;
	case 4:
	case 5:
	case 6:
		link_trouble(w, i);
		break;
	case 7:
		care_of_change(w, i);
		break;
	case 8:
		restart(w, true);
		break;
	case 9:
		restart(w, false);
		break;
	case 10:
		link_toggle(w, LINK_HOME);
		break;
	case 11:
		server_deletes(w);
		break;
	case 12:
		rekeys(w);
		break;
	case 13:
		person(w);
		break;
	}
	w->changed_us = w->now_us;
	if (--w->changes_left == 0) {
		quiet(w);
		return;
	}
	usec_t wait =
	    world_chance(w, 300) ? world_below(w, 200000) : 500000 + world_below(w, 8000000);
	(void)world_push(w, w->now_us + wait, EVENT_CHANGE);
}

/* --- a run */

static void lines_said(struct world *w)
{
	for (int i = 0; i < LINKS; i++)
		world_say(w, "end: %s up=%d deaf=%d/%d", link_names[i], w->links[i].up,
			  w->links[i].deaf_up, w->links[i].deaf_down);
	for (const struct conn *c = conn_table_first(w->t.n.table); c; c = c->next)
		world_say(w, "end: terminal %s %s on link %d", c->name, conn_state_text(c->state),
			  terminal_link_of(w, c));
	for (const struct conn *c = conn_table_first(w->s.n.table); c; c = c->next)
		world_say(w, "end: server %s %s", c->name, conn_state_text(c->state));
}

/* Data that was sent and did not come, but for what is on its way. */
static void check_loss(struct world *w, const struct node_counts *from,
		       const struct node_counts *to, const struct node_counts *from_before,
		       const struct node_counts *to_before)
{
	uint64_t sent = from->data_sent - from_before->data_sent,
		 came = to->data_received - to_before->data_received;
	if (sent > came + 1)
		world_fail(w, "%llu packets of data were lost in a quiet network",
			   (unsigned long long)(sent - came - 1));
}

static void steady(struct world *w)
{
	struct node_counts t = w->t.n.counts, s = w->s.n.counts;
	usec_t end = w->now_us + STEADY_US;
	check_settled(w);
	w->settled = check_any_carries(w);
	while (w->now_us < end && !w->why[0]) {
		world_run(w, w->now_us + USEC_PER_SEC);
		check_settled(w);
	}
	/* A strict server loses what is on its way in a move. */
	if (w->cfg.strict || !check_any_carries(w))
		return;
	check_loss(w, &w->t.n.counts, &w->s.n.counts, &t, &s);
	check_loss(w, &w->s.n.counts, &w->t.n.counts, &s, &t);
}

static void totals_add(const struct world *w, struct totals *sum)
{
	const struct ike_counters *c = &w->ike;
	sum->datagrams += w->datagrams;
	sum->setups += c->established;
	sum->children += c->children;
	sum->rekeys += c->child_rekeys + c->ike_rekeys;
	sum->collisions += c->collisions;
	sum->forged += w->forged;
	++*(!check_any_carries(w)    ? &sum->ended_apart
	    : w->links[LINK_HOME].up ? &sum->ended_home
				     : &sum->ended_away);
}

bool script_run(const struct script *r, struct totals *sum, uint64_t *trace)
{
	struct world_config cfg;
	script_config(&cfg, r->seed);
	cfg.verbose = r->verbose;
	struct world *w = world_new(&cfg);
	w->attacks = true;
	w->changes_left = 1 + world_below(w, r->changes);
	server_start(w);
	terminal_start(w);
	(void)world_push(w, w->now_us + world_below(w, 8000000), EVENT_CHANGE);
	(void)world_push(w, w->now_us + world_below(w, 3000000), EVENT_ATTACK);
	while (w->changes_left && !w->why[0])
		world_step(w);
	/* At home nothing says that the server was restarted but the question whether it is there,
	 * which is asked after a while and given up after another. */
	if (!w->links[LINK_HOME].up) {
		world_run(w, w->changed_us + AGREE_US);
		check_agreed(w);
	}
	world_run(w, w->changed_us + (w->links[LINK_HOME].up ? SETTLE_HOME_US : SETTLE_US));
	if (!w->why[0])
		steady(w);
	lines_said(w);
	w->attacks = false;
	world_end(w);
	bool good = !w->why[0];
	if (!good)
		printf("seed %llu at %.3f s: %s\n", (unsigned long long)r->seed,
		       (double)w->now_us / 1e6, w->why);
	totals_add(w, sum);
	*trace = w->trace;
	world_free(w);
	return good;
}
