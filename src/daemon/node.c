/* SPDX-License-Identifier: MIT */
/*
 * The unprivileged process.  It joins the rooms: events of the packet path go to mobility,
 * what mobility decides is published to the packet path, and what needs privileges is asked
 * of `net`.  home.c and terminal.c are the two roles; everything both have is here.
 *
 * Threads: all of this is the control thread; the packet thread is pktio's.
 */
#include "daemon/node.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "crypto/mac.h"
#include "daemon/control.h"
#include "daemon/role.h"
#include "platform/priv.h"
#include "wire/esp.h"
#include "wire/ip.h"

#define MH_MAX	      1024
#define MTU_FORGET_US (600ull * USEC_PER_SEC)
#define MTU_LEAST4    552
#define MTU_LEAST6    1280

/* --- peers */

struct node_peer {
	struct peer peer; /* first: a struct peer * is a struct node_peer * */
	struct rcu_head rcu;
};

static void peer_free(struct rcu_head *head)
{
	struct node_peer *p = caa_container_of(head, struct node_peer, rcu);
	space_clear(&p->peer.space);
	free(p);
}

static void peer_free_later(void *arg)
{
	struct node_peer *p = arg;
	call_rcu(&p->rcu, peer_free);
}

struct peer *node_peer_new(struct node *n, const struct config_terminal *t, bool is_home_server)
{
	(void)n;
	struct node_peer *p = mem_zalloc(sizeof *p);
	space_init(&p->peer.space, t->replay_packets);
	space_begin_epoch(&p->peer.space, node_new_epoch());
	p->peer.strict = t->strict && !is_home_server;
	p->peer.is_home_server = is_home_server;
	for (unsigned i = 0; i < t->home_count; i++)
		p->peer.prefixes[p->peer.prefix_count++] = prefix_host(&t->homes[i]);
	for (unsigned i = 0; i < t->prefix_count && p->peer.prefix_count < PEER_PREFIXES_MAX; i++)
		p->peer.prefixes[p->peer.prefix_count++] = t->prefixes[i];
	return &p->peer;
}

void node_peer_retire(struct node *n, struct peer *peer)
{
	if (peer)
		fwd_after(n->fwd, peer_free_later, caa_container_of(peer, struct node_peer, peer));
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
	};
	return sa_new(&cfg, direction, err);
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
	if (!conn->out)
		goto fail_sa;
	if (sadb_add(n->sadb, conn->in) < 0) {
		err_set(err, "connection %s: SPI 0x%08" PRIx32 " is taken; choose another", c->name,
			c->spi_in);
		goto fail_sa;
	}
	if (conn_table_add(n->table, conn) < 0) {
		err_set(err, "connection %s: its name or SPI is taken", c->name);
		goto fail_table;
	}
	return conn;

fail_table:
	sadb_remove(n->sadb, conn->in);
	fwd_retire(n->fwd, conn->in);
	conn->in = NULL;
fail_sa:
	if (conn->in)
		sa_free(conn->in);
	if (conn->out)
		sa_free(conn->out);
	free(conn);
	return NULL;
}

void node_conn_remove(struct node *n, struct conn *c)
{
	sadb_remove(n->sadb, c->in);
	conn_table_remove(n->table, c);
}

static struct path *path_copy(const struct path *p)
{
	struct path *copy = mem_zalloc(sizeof *copy);
	copy->local = p->local;
	copy->remote = p->remote;
	copy->sock = p->sock;
	copy->mtu = p->mtu;
	return copy;
}

void node_conn_set_path(struct conn *c, const struct path *path)
{
	sa_set_path(c->out, path ? path_copy(path) : NULL);
	sa_set_path(c->in, path ? path_copy(path) : NULL);
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
	atomic_store_explicit(&peer->clamp_mtu, least, memory_order_relaxed);
	return least;
}

struct active *node_active(struct conn *const *conns, size_t count)
{
	if (count == 0)
		return NULL;
	struct active *a = mem_zalloc(sizeof *a);
	for (size_t i = 0; i < count && i < ACTIVE_MAX; i++)
		a->sa[a->count++] = conns[i]->out;
	return a;
}

/* --- sending control messages */

static void inject(struct node *n, struct conn *c, uint8_t next_header, const void *data,
		   size_t len, const struct node_sending *how)
{
	bool sent;
	if (how->aside)
		sent = fwd_inject_aside(n->fwd, c->out, next_header, data, len, how->hello_epoch,
					how->via);
	else
		sent = fwd_inject_via(n->fwd, c->out, next_header, data, len, how->hello_epoch,
				      how->via);
	if (!sent)
		log_warn(n->log,
			 "node: packet thread is behind, control message dropped connection=%s",
			 c->name);
}

void node_send_udp(struct node *n, struct conn *c, const struct endpoint *src,
		   const struct endpoint *dst, const uint8_t *msg, size_t len,
		   const struct node_sending *how)
{
	uint8_t packet[MH_MAX];
	size_t total = ip_write_udp(packet, sizeof packet, src, dst, msg, len);
	if (total)
		inject(n, c, src->addr.family == 6 ? IP_PROTO_IPV6 : IP_PROTO_IPIP, packet, total,
		       how);
}

void node_send_mh(struct node *n, struct conn *c, const struct addr *src, const struct addr *dst,
		  const uint8_t *msg, size_t len, const struct node_sending *how)
{
	uint8_t packet[MH_MAX];
	size_t header = ip_write_header(packet, sizeof packet, src, dst, IP_PROTO_MH, 0, 64, len);
	if (!header || header + len > sizeof packet)
		return;
	memcpy(packet + header, msg, len);
	inject(n, c, IP_PROTO_IPV6, packet, header + len, how);
}

void node_send_probe(struct node *n, struct conn *c, enum esp_probe_kind kind, uint64_t id,
		     const struct path *via)
{
	uint8_t data[ESP_PROBE_LEN];
	struct esp_probe probe = {.kind = kind, .id = id};
	struct node_sending how = {.via = via};
	size_t len = esp_write_probe(data, sizeof data, &probe);
	inject(n, c, IP_PROTO_NONE, data, len, &how);
}

/* --- events of the packet path */

static void event_probe(struct node *n, const struct role_arrival *a)
{
	struct esp_probe probe;
	if (!esp_read_probe(a->event->data, a->event->len, &probe))
		return;
	switch (probe.kind) {
	case ESP_PROBE_REQUEST:
		node_send_probe(n, a->conn, ESP_PROBE_REPLY, probe.id, &a->back);
		break;
	case ESP_PROBE_REPLY:
		n->role->probe_reply(n, a->conn, probe.id, a->event->at_us);
		break;
	}
}

/* Neither direction carries anything any more. */
static void conn_end(struct node *n, struct conn *c)
{
	atomic_store(&c->in->dead, true);
	atomic_store(&c->out->dead, true);
	n->role->expired(n, c);
	conn_set_state(n->table, c, CONN_EXPIRED, clock_now_us());
}

/* RFC 1191 6.3: what a router said is believed for ten minutes (told_us 0: forgotten).  It is
 * not authenticated: no lower than what Linux itself believes. */
static void conn_path_mtu(struct node *n, struct conn *c, uint32_t mtu, usec_t told_us)
{
	const struct path *old = rcu_dereference(c->out->path);
	uint32_t least = c->server.addr.family == 6 ? MTU_LEAST6 : MTU_LEAST4;
	if (mtu < least)
		mtu = least;
	c->mtu_told_us = told_us;
	if (!old || (told_us ? mtu >= old->mtu : mtu == old->mtu))
		return;
	struct path path = *old;
	path.mtu = (uint16_t)mtu;
	node_conn_set_path(c, &path);
	log_info(n->log, "node: path mtu connection=%s mtu=%u", c->name, mtu);
	n->role->mtu_changed(n, c);
}

/* NULL when it was removed meanwhile, or its SPI belongs to another SA now. */
static struct conn *event_conn(struct node *n, const struct fwd_event *e)
{
	struct conn *c;
	if (!e->outbound) {
		c = conn_find_spi(n->table, e->spi);
		return c && c->in == e->sa ? c : NULL;
	}
	for (c = conn_table_first(n->table); c; c = c->next)
		if (c->out == e->sa)
			return c;
	return NULL;
}

static void event_handle(struct node *n, const struct fwd_event *e)
{
	struct role_arrival a = {.event = e, .conn = event_conn(n, e)};
	if (!a.conn)
		return; /* removed meanwhile */
	const struct path *known = rcu_dereference(a.conn->out->path);
	a.back = (struct path){.local = a.conn->server,
			       .remote = e->src,
			       .sock = e->sock,
			       .mtu = known ? known->mtu : (uint16_t)n->cfg->mtu};
	if (!a.conn->udp)
		a.back.local.port = a.back.remote.port = 0;
	if (known && n->cfg->role == ROLE_TERMINAL)
		a.back.local = known->local;
	switch (e->kind) {
	case FWD_EV_CONTROL:
		n->role->control_packet(n, &a);
		break;
	case FWD_EV_PROBE:
		event_probe(n, &a);
		break;
	case FWD_EV_MOVED:
		n->role->moved(n, &a);
		break;
	case FWD_EV_SOFT_LIFETIME:
		log_warn(n->log,
			 "node: lifetime nearly spent connection=%s; give it fresh keys and reload",
			 a.conn->name);
		break;
	case FWD_EV_HARD_LIFETIME:
		log_error(n->log, "node: lifetime spent connection=%s spi=0x%08" PRIx32,
			  a.conn->name, e->spi);
		conn_end(n, a.conn);
		break;
	case FWD_EV_PATH_MTU:
		conn_path_mtu(n, a.conn, e->mtu, e->at_us);
		break;
	}
}

static void events_run(struct node *n)
{
	const struct fwd_event *e;
	while ((e = fwd_event_next(n->fwd))) {
		event_handle(n, e);
		fwd_event_done(n->fwd);
	}
}

static void events_ready(void *ctx, bool readable, bool writable)
{
	struct node *n = ctx;
	uint64_t count;
	(void)readable;
	(void)writable;
	if (read(pktio_event_fd(n->pktio), &count, sizeof count) < 0 && errno != EAGAIN)
		log_error(n->log, "node: event fd failed: %s", strerror(errno));
	events_run(n);
}

/* --- time */

/* Once a second: what lasts and what ended. */
static void sweep(struct node *n, usec_t now)
{
	if (now < n->sweep_us)
		return;
	n->sweep_us = now + USEC_PER_SEC;
	for (struct conn *c = conn_table_first(n->table); c; c = c->next) {
		if (c->state == CONN_EXPIRED)
			continue;
		if (c->expires_us <= now) {
			log_error(n->log, "node: lifetime ended connection=%s", c->name);
			conn_end(n, c);
		} else if (c->mtu_told_us && now - c->mtu_told_us > MTU_FORGET_US) {
			conn_path_mtu(n, c, node_link_mtu(n, c), 0);
		}
		n->role->sweep(n, c, now);
	}
}

static void node_turn(void *ctx)
{
	struct node *n = ctx;
	usec_t now = clock_now_us();
	sweep(n, now);
	usec_t next = n->role->tick(n, now);
	if (next > n->sweep_us)
		next = n->sweep_us;
	loop_timer_at(n->timer, next > now ? next : now + USEC_PER_MS);
}

static void node_timer(void *ctx)
{
	(void)ctx; /* node_turn follows every turn of the loop */
}

/* --- net */

void node_answered(struct node *n, const struct netreq *reply, int fd)
{
	if (fd >= 0)
		close(fd);
	if (reply->result < 0)
		log_error(n->log, "node: net refused kind=%d: %s", (int)reply->kind, reply->text);
}

static void ask_done(void *ctx, const struct netreq *reply, int fd)
{
	node_answered(ctx, reply, fd);
}

void node_ask(struct node *n, struct netreq *req)
{
	if (netreq_send(n->net, req, ask_done, n) < 0)
		loop_stop(n->loop);
}

static void node_reload(struct node *n, int fd)
{
	struct err err = {{0}};
	struct netreq done = {.kind = NETREQ_RELOAD_DONE};
	json_t *answer;
	FILE *in = fd >= 0 ? fdopen(fd, "r") : NULL;
	struct config *fresh = in ? config_read(in, n->cfg->path, &err) : NULL;

	if (in)
		fclose(in);
	if (fresh && n->role->reload(n, fresh, &err) == 0) {
		if (n->own_log.level == n->cfg->log_level) /* not overruled by -v */
			n->own_log.level = fresh->log_level;
		config_free(n->cfg);
		n->cfg = fresh;
		log_info(n->log, "node: configuration reloaded");
		answer = json_pack("{s:b}", "ok", 1);
	} else {
		config_free(fresh);
		done.result = -EINVAL;
		log_error(n->log, "node: reload refused: %s", err.text);
		answer = json_pack("{s:s}", "error", err.text);
	}
	control_answer(n->control, answer);
	json_decref(answer);
	node_ask(n, &done);
}

static void net_notice(void *ctx, const struct netreq *m, int fd)
{
	struct node *n = ctx;
	switch (m->kind) {
	case NETREQ_RELOAD:
		node_reload(n, fd);
		return;
	case NETREQ_STOP:
		loop_stop(n->loop);
		break;
	case NETREQ_SOCK:
	case NETREQ_HOME_ADDR:
	case NETREQ_ROUTE:
	case NETREQ_PROXY:
	case NETREQ_ANNOUNCE:
	case NETREQ_RESOLVE:
	case NETREQ_TUN_MTU:
	case NETREQ_RELOAD_PLEASE:
	case NETREQ_RELOAD_DONE:
		log_warn(n->log, "node: unexpected message from net kind=%d", (int)m->kind);
		break;
	}
	if (fd >= 0)
		close(fd);
}

/* --- control socket */

/* net has read the file: what it says of it is the answer, unless the node's part is to come. */
static void reload_checked(void *ctx, const struct netreq *reply, int fd)
{
	struct node *n = ctx;
	if (fd >= 0)
		close(fd);
	if (reply->result == 0)
		return; /* NETREQ_RELOAD follows */
	json_t *answer = json_pack("{s:s}", "error", reply->text);
	control_answer(n->control, answer);
	json_decref(answer);
}

static json_t *reload_request(struct node *n)
{
	struct netreq req = {.kind = NETREQ_RELOAD_PLEASE};
	if (netreq_send(n->net, &req, reload_checked, n) < 0)
		return json_pack("{s:s}", "error", "the privileged process is gone");
	return NULL;
}

static json_t *control_request(void *ctx, const char *command, const json_t *request)
{
	struct node *n = ctx;
	if (!strcmp(command, "status"))
		return status_node(n);
	if (!strcmp(command, "connections"))
		return status_connections(n);
	if (!strcmp(command, "bindings"))
		return n->role->bindings(n);
	if (!strcmp(command, "moves"))
		return status_moves(n);
	if (!strcmp(command, "counters"))
		return status_counters(n);
	if (!strcmp(command, "reload"))
		return reload_request(n);
	json_t *reply = n->role->command(n, command, request);
	if (reply)
		return reply;
	return json_pack("{s:s+}", "error", "unknown command: ", command);
}

static void state_changed(void *ctx, struct conn *c, enum conn_state from, enum conn_state to)
{
	struct node *n = ctx;
	char care_of[ENDPOINT_TEXT_MAX];
	log_info(n->log, "conn: state connection=%s %s -> %s care_of=%s interface=%s", c->name,
		 conn_state_text(from), conn_state_text(to), endpoint_format(&c->care_of, care_of),
		 c->interface);
}

static void retire_sa(void *ctx, struct sa *sa)
{
	struct node *n = ctx;
	fwd_retire(n->fwd, sa);
}

/* --- start and end */

static int node_build(struct node *n, const struct net_start *start, struct err *err)
{
	n->loop = loop_new();
	n->net = netreq_client_new(n->loop, start->channel_fd, net_notice, n);
	n->timer = loop_timer_new(n->loop, node_timer, n);
	n->moves = moves_new();
	n->sadb = sadb_new();
	n->table = conn_table_new(state_changed, n);
	conn_table_set_retire(n->table, retire_sa, n);
	n->pktio = pktio_new(start->tun_fd, n->log, err);
	if (!n->pktio)
		return -1;

	struct fwd_config fc = {.sadb = n->sadb,
				.io = pktio_ops(n->pktio),
				.df = n->cfg->df,
				.offload = n->cfg->offload};
	for (unsigned i = 0; i < n->cfg->home_agent_count; i++) {
		const struct addr *a = &n->cfg->home_agents[i];
		struct addr *icmp = a->family == 4 ? &fc.icmp4 : &fc.icmp6;
		if (!icmp->family)
			*icmp = *a;
		if (n->cfg->role == ROLE_HOME_SERVER)
			fc.own[fc.own_count++] = *a;
	}
	if (n->cfg->role == ROLE_TERMINAL)
		for (unsigned i = 0; i < n->cfg->terminals->home_count; i++)
			fc.own[fc.own_count++] = n->cfg->terminals->homes[i];
	n->fwd = fwd_new(&fc, err);
	if (!n->fwd)
		return -1;
	if (!loop_fd_add(n->loop, pktio_event_fd(n->pktio), events_ready, n))
		return err_set(err, "node: cannot watch the packet path's events");
	return 0;
}

int node_main(struct config *cfg, const struct net_start *start, const struct log *log)
{
	struct err err = {{0}};
	struct node *n = mem_zalloc(sizeof *n);
	struct priv_node priv = {.user = cfg->user, .root = cfg->root};

	n->cfg = cfg;
	n->own_log = *log;
	n->log = &n->own_log;
	n->role = cfg->role == ROLE_TERMINAL ? &role_terminal : &role_home;
	n->start_us = clock_now_us();
	n->tun_mtu = cfg->mtu;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* net tells us when to stop */
	signal(SIGHUP, SIG_IGN);
	rcu_register_thread();
	if (node_build(n, start, &err) < 0 || n->role->start(n, &err) < 0)
		goto fail;
	n->control = control_new(n->loop, start->control_fd, control_request, n, log);
	if (!n->control) {
		err_set(&err, "node: cannot serve the control socket");
		goto fail;
	}
	if (priv_enter_node(&priv, &err) < 0)
		goto fail;
	if (pktio_start(n->pktio, n->fwd) < 0) {
		err_set(&err, "node: cannot start the packet thread");
		goto fail;
	}
	loop_on_turn(n->loop, node_turn, n);
	loop_around_wait(n->loop, rcu_thread_offline, rcu_thread_online);
	loop_timer_at(n->timer, clock_now_us());
	log_info(log, "node: running role=%s tun=%s",
		 cfg->role == ROLE_TERMINAL ? "terminal" : "home-server", cfg->tun);
	loop_run(n->loop);
	n->role->stop(n);
	control_free(n->control);
	pktio_stop(n->pktio);
	conn_table_free(n->table);
	fwd_free(n->fwd);
	rcu_barrier();
	sadb_free(n->sadb);
	pktio_free(n->pktio);
	moves_free(n->moves);
	netreq_client_free(n->net);
	loop_timer_free(n->timer);
	loop_free(n->loop);
	rcu_unregister_thread();
	config_free(n->cfg);
	int status = n->exit_status;
	free(n);
	return status;

fail:
	log_error(log, "%s", err.text);
	return 1;
}
