/* SPDX-License-Identifier: MIT */
/*
 * What must hold.
 *
 * At every step: a binding names connections that are there and active; what the terminal sends on
 * is there; nothing is in two states.  (Keys and numbers, sockets, hellos: where they are used.)
 * At an attacker's datagram: the digest of all that a stranger must not change stays the same.
 * When the network was quiet for a while: both nodes agree on the active connection, and data flows
 * both ways.  When it was so for long: they have the same connections with the same keys, nothing
 * is lost, spares are ready, nothing is left of what was before.
 */
#include <string.h>
#include "world.h"

#define DATA_LATE_US (1500 * USEC_PER_MS)

bool check_link_carries(const struct world *w, int link)
{
	const struct link *l = &w->links[link];
	return l->up && !l->deaf_up && !l->deaf_down;
}

bool check_any_carries(const struct world *w)
{
	for (int i = 0; i < LINKS; i++)
		if (check_link_carries(w, i))
			return true;
	return false;
}

/* --- at every step */

static void check_bindings(struct world *w)
{
	const struct sim_server *s = &w->s;
	for (const struct binding *b = registrar_first(s->registrar); b; b = b->next)
		for (uint8_t i = 0; i < b->count; i++) {
			const struct conn *c = b->conns[i];
			if (!node_has(&s->n, c))
				world_fail(w, "a binding names a connection that is gone");
			else if (c->state != CONN_ACTIVE || !atomic_load(&c->in->active))
				world_fail(w, "%s is bound and not active", c->name);
		}
	for (const struct conn *c = conn_table_first(s->n.table); c; c = c->next) {
		bool bound = false;
		for (const struct binding *b = registrar_first(s->registrar); b; b = b->next)
			for (uint8_t i = 0; i < b->count; i++)
				bound |= b->conns[i] == c;
		if (!bound && c->state == CONN_ACTIVE)
			world_fail(w, "%s is active and not bound", c->name);
	}
}

static void check_terminal(struct world *w)
{
	const struct sim_terminal *t = &w->t;
	if (t->active && !node_has(&t->n, t->active))
		world_fail(w, "the terminal's packets go to a connection that is gone");
	for (unsigned i = 0; i < sizeof(t->attached) / sizeof(t->attached[0]); i++)
		if (t->attached[i].conn && !node_has(&t->n, t->attached[i].conn))
			world_fail(w, "a connection that is gone is attached");
}

void check_step(struct world *w)
{
	if (w->s.n.alive)
		check_bindings(w);
	if (w->t.n.alive)
		check_terminal(w);
}

/* --- what a stranger must not change */

static uint64_t mix(uint64_t digest, const void *data, size_t len)
{
	return hash_bytes(digest, data, len);
}

static uint64_t mix_number(uint64_t digest, uint64_t number)
{
	return mix(digest, &number, sizeof(number));
}

static uint64_t mix_endpoint(uint64_t digest, const struct endpoint *e)
{
	digest = mix(digest, e->addr.b, sizeof(e->addr.b));
	return mix_number(digest, e->port);
}

static uint64_t mix_conn(uint64_t digest, const struct conn *c)
{
	digest = mix(digest, c->name, strlen(c->name));
	digest = mix_number(digest, c->state);
	digest = mix_endpoint(digest, &c->care_of);
	digest = mix_number(digest, c->out->spi);
	for (const struct conn_pair *p = c->pairs; p; p = p->next) {
		digest = mix_number(digest, p->in->spi);
		digest = mix_number(digest, atomic_load(&p->in->active));
		digest = mix_number(digest, atomic_load(&p->in->newest));
		digest = mix_number(digest, atomic_load(&p->in->last_us));
		if (p->out->path)
			digest = mix_endpoint(digest, &p->out->path->remote);
	}
	return mix_number(digest, replay_top(&c->peer->space.window));
}

/* Beginnings of IKE SAs have no proof yet. */
static uint64_t mix_sa(uint64_t digest, struct ike_sa *sa)
{
	uint8_t i[IKE_SPI_LEN], r[IKE_SPI_LEN];
	if (ike_sa_state(sa) == IKE_SA_CONNECTING)
		return digest;
	ike_sa_spis(sa, i, r);
	digest = mix(digest, i, sizeof(i));
	digest = mix(digest, r, sizeof(r));
	digest = mix_number(digest, ike_sa_state(sa));
	digest = mix_number(digest, ike_sa_heard_us(sa));
	digest = mix_endpoint(digest, &ike_sa_path(sa)->remote);
	digest = mix_endpoint(digest, &ike_sa_path(sa)->local);
	for (struct ike_child *c = ike_child_first(sa); c; c = ike_child_next(c))
		digest = mix_number(digest, ike_child_spi_in(c));
	return digest;
}

uint64_t check_digest(struct world *w, bool server)
{
	const struct sim_node *n = server ? &w->s.n : &w->t.n;
	uint64_t digest = 0;
	for (const struct conn *c = conn_table_first(n->table); c; c = c->next)
		digest = mix_conn(digest, c);
	for (struct ike_sa *sa = ike_sa_first(n->engine); sa; sa = ike_sa_next(sa))
		digest = mix_sa(digest, sa);
	if (server) {
		const struct registrar_counters *rc = registrar_counters(w->s.registrar);
		for (const struct binding *b = registrar_first(w->s.registrar); b; b = b->next) {
			digest = mix_number(digest, b->count);
			digest = mix_number(digest, b->expires_us);
		}
		return mix_number(digest, rc->requests);
	}
	digest = mix_number(digest, keeper_state(w->t.keeper));
	if (!w->t.mover)
		return digest;
	const struct conn *active = mover_active(w->t.mover);
	digest = mix_number(digest, active ? active->in->spi : 0);
	return mix_number(digest, mover_place(w->t.mover));
}

/* --- when it has been quiet for long */

static const struct conn *twin_of(const struct world *w, const struct conn *c)
{
	for (const struct conn *o = conn_table_first(w->s.n.table); o; o = o->next)
		if (conn_has_spi(o, c->out->spi, false) && conn_has_spi(c, o->out->spi, false))
			return o;
	return NULL;
}

static void check_same(struct world *w)
{
	const struct sim_terminal *t = &w->t;
	size_t spares = 0;
	for (const struct conn *c = conn_table_first(t->n.table); c; c = c->next) {
		spares += strncmp(c->name, "spare", 5) == 0;
		if (!twin_of(w, c))
			world_fail(w, "the server does not have %s", c->name);
	}
	size_t here = conn_table_size(t->n.table), there = conn_table_size(w->s.n.table);
	if (here != there)
		world_fail(w, "%zu connections here and %zu there", here, there);
	if (spares != w->cfg.spares)
		world_fail(w, "%zu spares instead of %u", spares, w->cfg.spares);
	size_t lines = steward_counts(w->s.steward).lines;
	size_t sas_here = ike_count(w->t.n.engine, IKE_SA_ESTABLISHED),
	       sas_there = ike_count(w->s.n.engine, IKE_SA_ESTABLISHED);
	if (sas_here != 1 || sas_there != 1)
		world_fail(w, "%zu IKE SAs here and %zu there", sas_here, sas_there);
	if (w->t.n.peers != 1)
		world_fail(w, "the terminal has %u peers", w->t.n.peers);
	if (w->t.ways != 1)
		world_fail(w, "the keeper has %u ways open", w->t.ways);
	if (lines != 1)
		world_fail(w, "the server has %zu lines of the terminal", lines);
}

static void check_home(struct world *w)
{
	if (!w->t.home || !w->t.mover || mover_place(w->t.mover) != MOVER_HOME)
		world_fail(w, "at home and does not know it");
	if (w->t.active)
		world_fail(w, "at home and packets go to %s", w->t.active->name);
	for (const struct binding *b = registrar_first(w->s.registrar); b; b = b->next)
		if (b->count)
			world_fail(w, "at home and bound to %s", b->conns[0]->name);
}

/* One that was added or taken out just now may be in a request that is out. */
static void check_set(struct world *w, const struct binding *b)
{
	const struct sim_terminal *t = &w->t;
	struct conn *set[ACTIVE_MAX];
	uint8_t count = mover_active_set(t->mover, set);
	uint8_t down = w->cfg.ncast & MOVER_NCAST_DOWN ? count : 1;
	if (t->set_count != (w->cfg.ncast & MOVER_NCAST_UP ? count : 1))
		world_fail(w, "%u are active, packets go out on %u", count, t->set_count);
	if (count > 1 && !w->cfg.ncast)
		world_fail(w, "%u are active, and it does not n-cast", count);
	if (w->now_us < t->set_us + USEC_PER_SEC)
		return;
	if (b->count != down)
		world_fail(w, "terminal has %u active, server %u (family %u)", down, b->count,
			   b->home.family);
	for (uint8_t i = 0; i < b->count && i < count; i++)
		if (b->conns[i] != twin_of(w, set[i]))
			world_fail(w, "the server has %s where the terminal has %s",
				   b->conns[i]->name, set[i]->name);
}

static void check_away(struct world *w)
{
	const struct sim_terminal *t = &w->t;
	const struct conn *a = t->active;
	if (t->home)
		world_fail(w, "away and does not know it");
	if (!a || !t->mover) {
		world_fail(w, "nothing is active and something would work");
		return;
	}
	int link = terminal_link_of(w, a);
	if (link < 0 || !check_link_carries(w, link))
		world_fail(w, "%s is active, does not work, and another would", a->name);
	if (a->state != CONN_ACTIVE)
		world_fail(w, "%s is %s", a->name, conn_state_text(a->state));
	const struct conn *twin = twin_of(w, a);
	for (uint8_t i = 0; i < t->home_count; i++) {
		const struct binding *b = registrar_first(w->s.registrar);
		while (b && !addr_equal(&b->home, &t->homes[i]))
			b = b->next;
		if (b)
			check_set(w, b);
		if (!b || !b->count || b->conns[0] != twin)
			world_fail(w, "terminal has %s active, server %s (family %u)", a->name,
				   b && b->count ? b->conns[0]->name : "nothing",
				   t->homes[i].family);
		if (!mover_registered(t->mover, &t->homes[i], NULL, NULL))
			world_fail(w, "not registered (family %u)", t->homes[i].family);
	}
	if (t->n.data_us + DATA_LATE_US < w->now_us)
		world_fail(w, "nothing comes down on %s", a->name);
	if (w->s.n.data_us + DATA_LATE_US < w->now_us)
		world_fail(w, "nothing comes up on %s", a->name);
}

void check_agreed(struct world *w)
{
	if (!check_any_carries(w))
		return;
	if (keeper_state(w->t.keeper) != KEEPER_UP)
		world_fail(w, "the terminal is not up: %s", keeper_trouble(w->t.keeper));
	else if (w->links[LINK_HOME].up)
		check_home(w);
	else
		check_away(w);
}

void check_settled(struct world *w)
{
	check_agreed(w);
	if (check_any_carries(w) && !w->why[0])
		check_same(w);
}
