/* SPDX-License-Identifier: MIT */
/*
 * What both roles do with peers and connections: from the configuration's keys or a key exchange
 * into the connection table and the SADB, rekeyed in place, and out again.
 *
 * Rekeying: the fresh inbound SA is published beside the old one; the fresh outbound one takes over
 * when the exchange says so, and the role publishes it where the old one was; the old pair goes
 * with the exchange that deletes it.  So no packet of either side comes on an SA that is not there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "crypto/mac.h"
#include "daemon/role.h"
#include "mobility/registrar.h"
#include "sadb/trial.h"
#include "wire/ip.h"

/* --- peers */

struct peer *node_peer_make(const struct node_peer_config *cfg)
{
	struct prefix list[PEER_PREFIXES_MAX];
	uint8_t count = 0;
	for (unsigned i = 0; i < cfg->home_count && count < PEER_PREFIXES_MAX; i++)
		list[count++] = prefix_host(&cfg->homes[i]);
	for (unsigned i = 0; i < cfg->prefix_count && count < PEER_PREFIXES_MAX; i++)
		list[count++] = cfg->prefixes[i];
	struct peer *p = peer_new(cfg->replay_packets, list, count);
	/* Numbers of fresh keys begin at 1: there is nothing to be told apart from. */
	if (cfg->configured_keys)
		space_begin_epoch(&p->space, node_new_epoch());
	p->strict = cfg->strict && !cfg->is_home_server;
	p->implied = cfg->implied && !cfg->is_home_server;
	p->is_home_server = cfg->is_home_server;
	return p;
}

struct peer *node_peer_new(const struct config_terminal *t, bool is_home_server)
{
	struct node_peer_config cfg = {.homes = t->homes,
				       .home_count = t->home_count,
				       .prefixes = t->prefixes,
				       .prefix_count = t->prefix_count,
				       .replay_packets = t->replay_packets,
				       .strict = t->strict,
				       .implied = t->may & BINDING_MAY(BINDING_BY_DATA),
				       .is_home_server = is_home_server,
				       .configured_keys = true};
	return node_peer_make(&cfg);
}

static void peer_free_after(void *arg)
{
	peer_free_later(arg);
}

void node_peer_retire(struct node *n, struct peer *peer)
{
	if (peer)
		fwd_after(n->fwd, peer_free_after, peer);
}

uint32_t node_new_epoch(void)
{
	uint32_t epoch = 0;
	while (epoch == 0 || epoch == UINT32_MAX)
		random_bytes(&epoch, sizeof epoch);
	return epoch;
}

void node_epoch_accept(struct node *n, struct conn *c, uint64_t number)
{
	if (fwd_reset_window(n->fwd, c->in->space, number))
		atomic_store(&c->in->space->rx_epoch, (uint32_t)(number >> 32));
	else
		log_warn(n->log, "node: packet thread is behind, epoch not taken connection=%s",
			 c->name);
}

/* --- connections */

static struct sa *conn_sa(const struct config_connection *c, enum crypt_direction direction,
			  struct peer *peer, struct conn *conn, struct err *err)
{
	bool in = direction == CRYPT_OPEN;
	struct sa_config cfg = {
	    .spi = in ? c->spi_in : c->spi_out,
	    .encr = c->encr,
	    .integ = c->integ,
	    .key = in ? c->key_in : c->key_out,
	    .key_len = c->key_len,
	    .esn = c->esn,
	    .configured_keys = true,
	    .udp = c->udp,
	    .replay_packets = c->replay_packets,
	    .soft_packets = c->soft_packets,
	    .hard_packets = c->hard_packets,
	    .soft_bytes = c->soft_bytes,
	    .hard_bytes = c->hard_bytes,
	    .peer = peer,
	    .conn = conn,
	    .mode = c->mode,
	    .fixed_local = c->fixed_local,
	    .fixed_remote = c->fixed_remote,
	    .ah = c->ah,
	    .esp_spi = in ? c->esp_spi_in : c->esp_spi_out,
	};
	return sa_new(&cfg, direction, err);
}

/* Into table and SADB, or everything is freed. */
static struct conn *conn_publish(struct node *n, struct conn *conn, struct err *err)
{
	if (sadb_add(n->sadb, conn->in) < 0) {
		err_set(err, "connection %s: SPI 0x%08" PRIx32 " is taken; choose another",
			conn->name, conn->in->spi);
		goto fail_sa;
	}
	if (conn_table_add(n->table, conn) < 0) {
		err_set(err, "connection %s: its name or SPI is taken", conn->name);
		goto fail_table;
	}
	return conn;

fail_table:
	sadb_remove(n->sadb, conn->in);
	fwd_retire(n->fwd, conn->in);
	conn->in = NULL;
fail_sa:
	sa_free(conn->in);
	sa_free(conn->out);
	free(conn);
	return NULL;
}

static void conn_discard(struct conn *conn)
{
	sa_free(conn->in);
	sa_free(conn->out);
	free(conn);
}

struct conn *node_conn_add(struct node *n, const struct config_connection *c, struct peer *peer,
			   void *owner, struct err *err)
{
	struct conn *conn = mem_zalloc(sizeof *conn);
	usec_t now = clock_now_us();

	memcpy(conn->name, c->name, sizeof conn->name);
	conn->care_of = c->care_of;
	conn->server = c->server;
	conn->udp = c->udp;
	conn->peer = peer;
	conn->owner = owner;
	conn->since_us = now;
	conn->expires_us = c->lifetime_s ? now + c->lifetime_s * (usec_t)USEC_PER_SEC : USEC_NEVER;
	conn->in = conn_sa(c, CRYPT_OPEN, peer, conn, err);
	conn->out = conn->in ? conn_sa(c, CRYPT_SEAL, peer, conn, err) : NULL;
	if (conn->out)
		return conn_publish(n, conn, err);
	conn_discard(conn);
	return NULL;
}

/* --- connections that a key exchange made */

/* A rekey that does not come about ends the SA at twice what should have begun it. */
static uint64_t hard_limit(uint64_t soft)
{
	return soft > UINT64_MAX / 2 ? 0 : soft * 2;
}

static struct sa *made_sa(const struct node_made *made, enum crypt_direction direction,
			  struct conn *conn, struct err *err)
{
	const struct ike_child_up *up = made->up;
	bool in = direction == CRYPT_OPEN;
	struct sa_config cfg = {
	    .spi = in ? up->spi_in : up->spi_out,
	    .encr = up->encr,
	    .integ = up->integ,
	    .key = in ? up->key_in : up->key_out,
	    .key_len = up->key_len,
	    .esn = up->esn,
	    .udp = up->udp,
	    .own_space = !up->sojourn,
	    .replay_packets = made->replay_packets,
	    .soft_packets = made->rekey_packets,
	    .hard_packets = hard_limit(made->rekey_packets),
	    .soft_bytes = made->rekey_bytes,
	    .hard_bytes = hard_limit(made->rekey_bytes),
	    .peer = conn->peer,
	    .conn = conn,
	    .mode = up->transport ? SA_TRANSPORT : SA_TUNNEL,
	    .fixed_local = made->fixed_local,
	    .fixed_remote = made->fixed_remote,
	};
	return sa_new(&cfg, direction, err);
}

static int made_pair(const struct node_made *made, struct conn *conn, struct sa **in,
		     struct sa **out, struct err *err)
{
	if (made->up->protocol != IKE_PROTO_ESP)
		return err_set(err, "connection %s: only ESP is carried", conn->name);
	*in = made_sa(made, CRYPT_OPEN, conn, err);
	*out = *in ? made_sa(made, CRYPT_SEAL, conn, err) : NULL;
	if (*out)
		return 0;
	sa_free(*in);
	*in = NULL;
	return -1;
}

struct conn *node_conn_new(struct node *n, const struct node_made *made, struct err *err)
{
	struct conn *conn = mem_zalloc(sizeof *conn);

	snprintf(conn->name, sizeof conn->name, "%s", made->name);
	conn->care_of = made->care_of;
	conn->server = made->server;
	conn->udp = made->up->udp;
	if (!conn->udp)
		conn->care_of.port = conn->server.port = 0;
	conn->peer = made->peer;
	conn->owner = made->owner;
	conn->since_us = clock_now_us();
	conn->expires_us = USEC_NEVER;
	if (made_pair(made, conn, &conn->in, &conn->out, err) == 0)
		return conn_publish(n, conn, err);
	conn_discard(conn);
	return NULL;
}

static bool is_published(const struct node *n, uint32_t spi_in)
{
	rcu_read_lock();
	bool found = sadb_find(n->sadb, spi_in) != NULL;
	rcu_read_unlock();
	return found;
}

int node_conn_rekey(struct node *n, struct conn *c, const struct node_made *made, struct err *err)
{
	struct sa *in = NULL, *out = NULL;
	if (made->up->udp != c->udp)
		return err_set(err, "connection %s: a rekey cannot change its encapsulation",
			       c->name);
	if (made_pair(made, c, &in, &out, err) < 0)
		return -1;
	/* Into the table first: it gives the SA its path and what it is allowed. */
	if (!is_published(n, in->spi) && conn_add_pair(n->table, c, in, out) == 0)
		return sadb_add(n->sadb, in);
	sa_free(in);
	sa_free(out);
	return err_set(err, "connection %s: SPI 0x%08" PRIx32 " is taken", c->name,
		       made->up->spi_in);
}

void node_conn_use(struct node *n, struct conn *c, uint32_t spi_in)
{
	if (conn_use_pair(c, spi_in))
		n->role->out_changed(n, c);
}

bool node_conn_drop(struct node *n, struct conn *c, uint32_t spi_in)
{
	const struct sa *out = c->out;
	usec_t now = clock_now_us();
	if (!conn_drain_pair(c, spi_in, now))
		return false;
	if (c->out != out)
		n->role->out_changed(n, c);
	node_conn_sweep(n, c, now);
	return true;
}

void node_conn_sweep(struct node *n, struct conn *c, usec_t now_us)
{
	struct conn_pair *p;
	while ((p = conn_take_drained(n->table, c, now_us))) {
		sadb_remove(n->sadb, p->in);
		conn_pair_retire(n->table, p);
	}
}

void node_conn_remove(struct node *n, struct conn *c)
{
	for (const struct conn_pair *p = c->pairs; p; p = p->next)
		sadb_remove(n->sadb, p->in);
	conn_table_remove(n->table, c);
}

static struct path *path_copy(const struct path *p)
{
	struct path *copy = path_new();
	copy->local = p->local;
	copy->remote = p->remote;
	copy->sock = p->sock;
	copy->mtu = p->mtu;
	return copy;
}

void node_conn_set_path(struct conn *c, const struct path *path)
{
	for (const struct conn_pair *p = c->pairs; p; p = p->next)
		sa_set_pair_path(p->out, p->in, path ? path_copy(path) : NULL);
}

void node_conn_try_path(struct conn *c, const struct path *path, uint64_t credit,
			const struct path *fallback)
{
	for (const struct conn_pair *p = c->pairs; p; p = p->next) {
		/* One of them has it: what it sends with. */
		struct path *on = trial_new(p->out == c->out ? credit : 0, fallback);
		on->local = path->local;
		on->remote = path->remote;
		on->sock = path->sock;
		on->mtu = path->mtu;
		sa_set_pair_path(p->out, p->in, on);
	}
}

void node_conn_set_mtu(struct conn *c, uint16_t mtu)
{
	for (const struct conn_pair *p = c->pairs; p; p = p->next) {
		struct path *copy = sa_path_copy(p->out);
		if (!copy)
			continue;
		copy->mtu = mtu;
		sa_set_pair_path(p->out, p->in, copy);
	}
}

uint32_t node_link_mtu(const struct node *n, const struct conn *c)
{
	return c->link_mtu && c->link_mtu < n->cfg->mtu ? c->link_mtu : n->cfg->mtu;
}

uint32_t node_conn_inner_mtu(const struct conn *c)
{
	const struct path *p = rcu_dereference(c->out->path);
	if (!p)
		return 0;
	uint32_t outer = (p->remote.addr.family == 6 ? IP6_HEADER_LEN : IP4_HEADER_LEN) +
			 (c->udp ? UDP_HEADER_LEN : 0u);
	return p->mtu > outer ? sa_inner_mtu(c->out, p->mtu - outer) : 0;
}

uint32_t node_peer_clamp(struct peer *peer, struct conn *const *conns, size_t count)
{
	uint32_t least = 0;
	for (size_t i = 0; i < count; i++) {
		uint32_t mtu = node_conn_inner_mtu(conns[i]);
		if (mtu && (!least || mtu < least))
			least = mtu;
	}
	/* An IP packet is no longer than that. */
	uint16_t clamp = (uint16_t)(least < UINT16_MAX ? least : UINT16_MAX);
	atomic_store_explicit(&peer->clamp_mtu, clamp, memory_order_relaxed);
	return least;
}

struct active *node_active(struct conn *const *conns, size_t count, uint64_t dscps)
{
	if (count == 0)
		return NULL;
	uint8_t n = (uint8_t)(count < ACTIVE_MAX ? count : ACTIVE_MAX);
	struct active *a = dscps && n > 1 ? active_new_by_class(n, dscps) : active_new(n);
	for (size_t i = 0; i < a->count; i++)
		a->sa[i] = conns[i]->out;
	return a;
}
