/* SPDX-License-Identifier: MIT */
/*
 * The mover: the terminal's connections and the care-of addresses they are attached to.
 *
 * Ownership: connections are borrowed and must be removed here before they leave the table.
 * One thread (control).  Nothing here waits or does I/O; the same events at the same times with
 * the same random numbers give the same calls.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "mobility/mover_state.h"

#define ATTACH_WAIT_US	   USEC_PER_SEC
#define ROAM_WAIT_US	   (500 * USEC_PER_MS)
#define ROAM_WAIT_MAX_US   (8 * USEC_PER_SEC)
#define ATTACH_WAIT_MAX_US (10 * USEC_PER_SEC)
/* Packets in flight on a connection that was left are accepted this long. */
#define LEFT_ACCEPT_US (2 * USEC_PER_SEC)
/* A network that has a gateway is known when that is resolved: a spare is not spent before. */
#define NETWORK_WAIT_US (30 * USEC_PER_MS)

struct mover *mover_new(const struct mover_config *cfg, const struct mover_ops *ops,
			struct conn_table *table, struct moves *moves, const struct log *log)
{
	struct mover *m = mem_zalloc(sizeof(*m));
	m->cfg = *cfg;
	m->ops = *ops;
	m->table = table;
	m->moves = moves;
	m->log = log;
	m->serve_us = USEC_NEVER;
	for (uint8_t i = 0; i < cfg->home_count && i < MOVER_HOMES_MAX; i++) {
		m->regs[i].home = cfg->homes[i];
		m->ops.random(m->ops.ctx, &m->regs[i].sequence, sizeof(m->regs[i].sequence));
	}
	return m;
}

void mover_free(struct mover *m)
{
	if (!m)
		return;
	while (m->candidates) {
		struct candidate *c = m->candidates;
		m->candidates = c->next;
		free(c);
	}
	mem_wipe(m, sizeof(*m));
	free(m);
}

struct candidate *mover_find(struct mover *m, const struct conn *conn)
{
	for (struct candidate *c = m->candidates; c; c = c->next)
		if (c->conn == conn)
			return c;
	return NULL;
}

void mover_sync_state(struct mover *m, struct candidate *c, usec_t now_us)
{
	enum conn_state s;
	if (c->conn->state == CONN_EXPIRED)
		return;
	if (c->silent || (!c->attached && c->proven_once))
		s = CONN_STALE;
	else if ((c == m->active && m->activated) || c->casts)
		s = CONN_ACTIVE;
	else if (c->attached && c->proven)
		s = CONN_READY;
	else
		s = c->proven_once ? CONN_STALE : CONN_FORMING;
	if (c->conn->state != s)
		conn_set_state(m->table, c->conn, s, now_us);
}

static bool network_equal(const struct network *a, const struct network *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* As long as one of the two networks is not known, the address says which one it is; without a
 * gateway none will ever be known, and all of the interface is one. */
static bool network_suits(const struct candidate *c, const struct care_of *co)
{
	if (c->cfg.has_network && network_known(&co->network))
		return network_equal(&c->cfg.network, &co->network);
	if (!c->cfg.made)
		return !c->cfg.has_network;
	return addr_equal(&c->care_of.addr, &co->addr) || !c->care_of.addr.family ||
	       !co->gateway.family;
}

/* How well a care-of address suits a connection; 0: not at all. */
static int care_of_rank(const struct mover *m, const struct candidate *c, const struct care_of *co)
{
	if (c->cfg.spare)
		return 0;
	if (c->cfg.interface[0] && strcmp(c->cfg.interface, co->interface) != 0)
		return 0;
	if (!network_suits(c, co))
		return 0;
	if (co->addr.family != c->conn->server.addr.family)
		return 0;
	if (addr_is_link_local(&co->addr))
		return 1;
	for (uint8_t i = 0; i < m->cfg.home_count; i++)
		if (addr_equal(&m->cfg.homes[i], &co->addr))
			return 2;
	return co->gateway.family ? 4 : 3;
}

static bool has_place(const struct candidate *c, const struct care_of *co)
{
	return c->has_care_of && c->care_of.ifindex == co->ifindex &&
	       addr_equal(&c->care_of.addr, &co->addr);
}

static const struct care_of *care_of_for(const struct mover *m, const struct candidate *c)
{
	const struct care_of *best = NULL;
	int best_rank = 0;
	for (size_t i = 0; i < m->care_of_count; i++) {
		const struct care_of *co = &m->care_ofs[i];
		int rank = care_of_rank(m, c, co);
		/* The one it has stays, unless that is a makeshift. */
		if (rank >= 3 && has_place(c, co))
			return co;
		if (rank > best_rank) {
			best = co;
			best_rank = rank;
		}
	}
	return best;
}

static bool place_is_same(const struct care_of *a, const struct care_of *b)
{
	if (!addr_equal(&a->addr, &b->addr) || a->ifindex != b->ifindex)
		return false;
	/* A network that was unknown and now is known is not another network. */
	return !network_known(&a->network) || !network_known(&b->network) ||
	       network_equal(&a->network, &b->network);
}

static void candidate_detach(struct mover *m, struct candidate *c, usec_t now_us)
{
	char addr[ADDR_TEXT_MAX];
	log_info(m->log, "mover: detached connection=%s care_of=%s", c->conn->name,
		 addr_format(&c->care_of.addr, addr));
	c->has_care_of = c->attached = c->attaching = c->proven = c->silent = false;
	c->probing = c->renewed = false;
	c->attach_retry_us = USEC_NEVER;
	c->conn->interface[0] = '\0';
	c->conn->ifindex = 0;
	m->ops.detach(m->ops.ctx, c->conn);
	mover_sync_state(m, c, now_us);
}

static void candidate_attach(struct mover *m, struct candidate *c)
{
	c->attaching = true;
	c->attach_retry_us = USEC_NEVER;
	memcpy(c->conn->interface, c->care_of.interface, sizeof(c->conn->interface));
	c->conn->ifindex = c->care_of.ifindex;
	c->conn->network = c->care_of.network;
	m->ops.attach(m->ops.ctx, c->conn, &c->care_of);
}

static void candidate_place(struct mover *m, struct candidate *c, const struct care_of *co,
			    usec_t now_us)
{
	if (c->cfg.made && network_known(&co->network)) {
		c->cfg.has_network = true;
		c->cfg.network = co->network;
	}
	bool same = c->has_care_of && place_is_same(&c->care_of, co);
	bool mtu_same = c->care_of.mtu == co->mtu;
	c->care_of = *co;
	if (same && (mtu_same || !c->attached)) {
		c->conn->network = co->network;
		return;
	}
	if (!same) {
		c->renewed = c->has_care_of && c == m->active;
		c->has_care_of = true;
		c->attached = c->proven = c->silent = c->probing = false;
		c->attach_wait_us = 0;
		c->cause_us = m->cause_us;
		memcpy(c->cause, m->cause, sizeof(c->cause));
		mover_sync_state(m, c, now_us);
	}
	candidate_attach(m, c);
}

/* To an address on the next interface, in the order they are listed. */
static void candidate_roam(struct mover *m, struct candidate *c, usec_t now_us)
{
	size_t n = m->care_of_count, at = 0;
	while (at < n && !has_place(c, &m->care_ofs[at]))
		at++;
	for (size_t i = 1; i < n; i++) {
		const struct care_of *co = &m->care_ofs[(at + i) % n];
		if (co->ifindex == c->care_of.ifindex || care_of_rank(m, c, co) < 3)
			continue;
		c->roam = false;
		c->roam_wait_us = c->roam_wait_us
				      ? rto_bound(c->roam_wait_us * 2ull, 0, ROAM_WAIT_MAX_US)
				      : ROAM_WAIT_US;
		c->roam_at_us = now_us + c->roam_wait_us;
		candidate_place(m, c, co, now_us);
		return;
	}
}

/* Nothing was heard on one interface after the other: each is given longer, since an answer may
 * take its time. */
static usec_t candidate_roams(struct mover *m, struct candidate *c, usec_t now_us)
{
	if (!c->roam || c->proven || !c->has_care_of || c->attaching)
		return USEC_NEVER;
	if (c->roam_at_us <= now_us)
		candidate_roam(m, c, now_us);
	return c->roam && c->roam_at_us > now_us ? c->roam_at_us : USEC_NEVER;
}

/* One connection is enough for the addresses of a family in a network. */
static bool is_served(const struct mover *m, const struct care_of *co)
{
	for (const struct candidate *c = m->candidates; c; c = c->next)
		if (c->has_care_of && c->care_of.ifindex == co->ifindex &&
		    c->care_of.addr.family == co->addr.family)
			return true;
	return false;
}

static bool is_to_be_served(const struct mover *m, const struct care_of *co)
{
	if (addr_is_link_local(&co->addr) || chooser_is_home(m, co))
		return false;
	for (uint8_t i = 0; i < m->cfg.home_count; i++)
		if (addr_equal(&m->cfg.homes[i], &co->addr))
			return false;
	return !is_served(m, co);
}

static void spare_take(struct mover *m, struct candidate *c, const struct care_of *co,
		       usec_t now_us)
{
	c->cfg.spare = false;
	c->cfg.made = true;
	memcpy(c->cfg.interface, co->interface, sizeof(c->cfg.interface));
	c->cfg.preference = m->ops.spare_taken(m->ops.ctx, c->conn, co);
	log_info(m->log, "mover: spare taken connection=%s interface=%s", c->conn->name,
		 co->interface);
	candidate_place(m, c, co, now_us);
}

/* Care-of addresses that no connection serves take spares, or want connections. */
static void serve_rest(struct mover *m, usec_t now_us)
{
	m->serve_us = USEC_NEVER;
	if (!m->ops.wanted)
		return;
	for (size_t i = 0; i < m->care_of_count; i++) {
		struct care_of co = m->care_ofs[i];
		if (!is_to_be_served(m, &co))
			continue;
		usec_t known_us = m->seen_us[i] + NETWORK_WAIT_US;
		if (co.gateway.family && !network_known(&co.network) && now_us < known_us) {
			m->serve_us = usec_min(m->serve_us, known_us);
			continue;
		}
		struct candidate *c = m->candidates;
		while (c && !c->cfg.spare)
			c = c->next;
		if (c)
			spare_take(m, c, &co, now_us);
		else
			m->ops.wanted(m->ops.ctx, &co);
	}
}

/* The server has c in its bindings by its setup, but something else is active here, or we are at
 * home: say so. */
static void setup_overtaken(struct mover *m, struct candidate *c, usec_t now_us)
{
	if (!c->cfg.registered_s)
		return;
	c->cfg.registered_s = 0;
	if (m->place == MOVER_HOME) {
		if (!registrant_pending(m))
			chooser_go_home(m, now_us);
		return;
	}
	if (m->active && m->active != c)
		registrant_begin(m, m->active, false, now_us);
}

static void match_all(struct mover *m, usec_t now_us)
{
	const struct care_of *co;
	m->busy = true;
	for (struct candidate *c = m->candidates; c; c = c->next)
		if (c->has_care_of && !care_of_for(m, c))
			candidate_detach(m, c, now_us);
	for (struct candidate *c = m->candidates; c; c = c->next)
		if ((co = care_of_for(m, c)))
			candidate_place(m, c, co, now_us);
	serve_rest(m, now_us);
	m->busy = false;
	chooser_place(m, now_us);
	chooser_choose(m, now_us);
	for (struct candidate *c = m->candidates; c; c = c->next)
		if (c->attached)
			setup_overtaken(m, c, now_us);
}

void mover_look(struct mover *m, usec_t now_us)
{
	match_all(m, now_us);
}

int mover_add(struct mover *m, const struct mover_connection *cfg, usec_t now_us)
{
	if (mover_find(m, cfg->conn))
		return -EEXIST;
	struct candidate *c = mem_zalloc(sizeof(*c));
	c->cfg = *cfg;
	c->conn = cfg->conn;
	c->attach_retry_us = USEC_NEVER;
	c->bid = ++m->last_bid ? m->last_bid : ++m->last_bid;
	struct candidate **end = &m->candidates;
	while (*end)
		end = &(*end)->next;
	*end = c;
	if (m->care_of_count)
		match_all(m, now_us);
	if (!c->has_care_of)
		setup_overtaken(m, c, now_us);
	return 0;
}

void mover_remove(struct mover *m, struct conn *conn, usec_t now_us)
{
	struct candidate *c = mover_find(m, conn);
	if (!c)
		return;
	m->busy = true;
	setup_overtaken(m, c, now_us);
	if (c->has_care_of)
		candidate_detach(m, c, now_us);
	m->busy = false;
	for (struct candidate **p = &m->candidates; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	chooser_forget(m, c, now_us);
	conn_set_active(conn, false);
	free(c);
	chooser_choose(m, now_us);
}

/* Until its neighbour is resolved again, the same address is in the network it was in: else
 * another network with this address would not be seen to be one. */
static void network_keep(const struct mover *m, struct care_of *co)
{
	for (size_t i = 0; i < m->care_of_count && !network_known(&co->network); i++)
		if (place_is_same(&m->care_ofs[i], co))
			co->network = m->care_ofs[i].network;
}

static usec_t seen_since(const struct mover *m, const struct care_of *co, usec_t now_us)
{
	for (size_t i = 0; i < m->care_of_count; i++)
		if (place_is_same(&m->care_ofs[i], co))
			return m->seen_us[i];
	return now_us;
}

void mover_care_ofs(struct mover *m, const struct care_of *list, size_t n, const char *cause,
		    usec_t at_us, usec_t now_us)
{
	struct care_of fresh[MOVER_CARE_OFS_MAX];
	usec_t seen_us[MOVER_CARE_OFS_MAX];
	n = n < MOVER_CARE_OFS_MAX ? n : MOVER_CARE_OFS_MAX;
	for (size_t i = 0; i < n; i++) {
		fresh[i] = list[i];
		network_keep(m, &fresh[i]);
		seen_us[i] = seen_since(m, &fresh[i], now_us);
	}
	for (size_t i = 0; i < n; i++) {
		m->care_ofs[i] = fresh[i];
		m->seen_us[i] = seen_us[i];
	}
	m->care_of_count = n;
	m->cause_us = at_us;
	(void)snprintf(m->cause, sizeof(m->cause), "%s", cause ? cause : "");
	match_all(m, now_us);
}

void mover_attached(struct mover *m, struct conn *conn, bool ok, usec_t now_us)
{
	struct candidate *c = mover_find(m, conn);
	if (!c || !c->has_care_of || !c->attaching)
		return;
	c->attaching = false;
	if (!ok) {
		c->attached = c->proven = false;
		c->attach_wait_us = c->attach_wait_us
					? rto_bound(c->attach_wait_us * 2ull, 0, ATTACH_WAIT_MAX_US)
					: ATTACH_WAIT_US;
		c->attach_retry_us = now_us + c->attach_wait_us;
		log_warn(m->log, "mover: cannot attach connection=%s interface=%s retry_ms=%u",
			 conn->name, c->care_of.interface, c->attach_wait_us / 1000);
		mover_sync_state(m, c, now_us);
	} else if (!c->attached) {
		char addr[ADDR_TEXT_MAX];
		log_info(m->log, "mover: attached connection=%s interface=%s care_of=%s",
			 conn->name, c->care_of.interface, addr_format(&c->care_of.addr, addr));
		c->attached = true;
		c->attached_us = now_us;
		c->attach_wait_us = 0;
		prober_attached(m, c, now_us);
		if (c->cfg.registered_s) /* the exchange that made it went this way */
			prober_heard(m, c, now_us);
	}
	chooser_choose(m, now_us);
	/* While addresses are being distributed the choice is to come. */
	if (!c->attaching && !m->busy)
		setup_overtaken(m, c, now_us);
}

int mover_pin(struct mover *m, struct conn *conn, usec_t now_us)
{
	struct candidate *c = conn ? mover_find(m, conn) : NULL;
	if (conn && !c)
		return -ENOENT;
	m->pinned = c;
	m->asked_us = now_us;
	if (c && c->attached && !c->proven && c != m->active)
		prober_hurry(m, c, now_us);
	chooser_choose(m, now_us);
	return 0;
}

void mover_set_times(struct mover *m, uint32_t probe_idle_us, uint32_t probe_spare_us,
		     uint32_t initial_rto_us)
{
	m->cfg.probe_idle_us = probe_idle_us;
	m->cfg.probe_spare_us = probe_spare_us;
	m->cfg.initial_rto_us = initial_rto_us;
}

void mover_set_by_data(struct mover *m, bool on)
{
	m->cfg.by_data = on;
	m->use_again_us = 0;
}

void mover_set_ncast(struct mover *m, uint8_t ncast, usec_t now_us)
{
	if (m->cfg.ncast == ncast)
		return;
	m->cfg.ncast = ncast;
	for (struct candidate *c = m->candidates; c; c = c->next)
		c->refused_until_us = 0;
	if (m->active && m->activated)
		caster_activate(m);
	chooser_choose(m, now_us);
}

uint8_t mover_ncast(const struct mover *m)
{
	return m->cfg.ncast;
}

void mover_prefer(struct mover *m, struct conn *conn, int preference, usec_t now_us)
{
	struct candidate *c = mover_find(m, conn);
	if (!c)
		return;
	c->cfg.preference = preference;
	chooser_choose(m, now_us);
}

static usec_t tick_candidate(struct mover *m, struct candidate *c, usec_t now_us)
{
	usec_t next = candidate_roams(m, c, now_us);
	if (c->attach_retry_us <= now_us)
		candidate_attach(m, c);
	next = usec_min(next, c->attach_retry_us);
	if (c->left_us) {
		if (c->left_us + LEFT_ACCEPT_US > now_us) {
			next = usec_min(next, c->left_us + LEFT_ACCEPT_US);
		} else {
			c->left_us = 0;
			if (c != m->active && !c->casts)
				conn_set_active(c->conn, false);
		}
	}
	if (c->hold_until_us > now_us)
		next = usec_min(next, c->hold_until_us);
	if (c->refused_until_us > now_us)
		next = usec_min(next, c->refused_until_us);
	return usec_min(next, prober_tick(m, c, now_us));
}

usec_t mover_tick(struct mover *m, usec_t now_us)
{
	usec_t next = USEC_NEVER;
	if (m->serve_us <= now_us)
		match_all(m, now_us);
	for (struct candidate *c = m->candidates; c; c = c->next)
		(void)tick_candidate(m, c, now_us);
	(void)registrant_tick(m, now_us);
	chooser_choose(m, now_us);
	/* Whatever was due has been done: what is left is in the future. */
	for (struct candidate *c = m->candidates; c; c = c->next)
		next = usec_min(next, tick_candidate(m, c, now_us));
	next = usec_min(next, registrant_tick(m, now_us));
	next = usec_min(next, chooser_tick_move(m, now_us));
	next = usec_min(next, m->serve_us);
	return next > now_us ? next : now_us + USEC_PER_MS;
}

enum mover_place mover_place(const struct mover *m)
{
	return m->place;
}

bool mover_registered(const struct mover *m, const struct addr *home, usec_t *expires_us,
		      uint8_t *last_code)
{
	for (uint8_t i = 0; i < m->cfg.home_count; i++) {
		const struct registration *r = &m->regs[i];
		if (!addr_equal(&r->home, home))
			continue;
		if (expires_us)
			*expires_us = r->expires_us;
		if (last_code)
			*last_code = r->last_code;
		return r->registered;
	}
	return false;
}

const char *mover_registered_by(const struct mover *m, const struct addr *home)
{
	for (uint8_t i = 0; i < m->cfg.home_count; i++)
		if (addr_equal(&m->regs[i].home, home) && m->regs[i].registered)
			return m->regs[i].by_setup  ? "setup"
			       : m->regs[i].by_data ? "data"
						    : "request";
	return "none";
}

struct conn *mover_active(const struct mover *m)
{
	return m->active ? m->active->conn : NULL;
}

uint8_t mover_active_set(const struct mover *m, struct conn *out[ACTIVE_MAX])
{
	return caster_set(m, out);
}

struct addr mover_home_agent(const struct mover *m, uint8_t family)
{
	return family == 4 ? m->cfg.home_agent4 : m->cfg.home_agent6;
}

bool mover_works(const struct mover *m)
{
	for (const struct candidate *c = m->candidates; c; c = c->next)
		if (c->attached && !c->silent)
			return true;
	return false;
}
