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
#include "crypto/warm.h"
#include "daemon/control.h"
#include "daemon/node_engine.h"
#include "daemon/role.h"
#include "ike/eap.h"
#include "platform/priv.h"
#include "wire/esp.h"
#include "wire/ip.h"

#define MH_MAX	      1024
#define SWEEP_PARTS   20
#define SWEEP_LEAST   64 /* connections at a time */
#define MTU_FORGET_US (600ull * USEC_PER_SEC)
#define MTU_LEAST4    552
#define MTU_LEAST6    1280

/* --- sending control messages */

static void inject(struct node *n, struct conn *c, uint8_t next_header, const void *data,
		   size_t len, const struct node_sending *how)
{
	bool sent;
	if (how->aside && c->out->configured_keys)
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
		n->role->probe_reply(n, a, probe.id);
		break;
	case ESP_PROBE_USE:
		if (n->role->used(n, a))
			node_send_probe(n, a->conn, ESP_PROBE_REPLY, probe.id, &a->back);
		break;
	}
}

/* Neither direction carries anything any more. */
static void conn_end(struct node *n, struct conn *c)
{
	for (const struct conn_pair *p = c->pairs; p; p = p->next) {
		atomic_store(&p->in->dead, true);
		atomic_store(&p->out->dead, true);
	}
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
	node_conn_set_mtu(c, (uint16_t)mtu);
	log_info(n->log, "node: path mtu connection=%s mtu=%u", c->name, mtu);
	n->role->mtu_changed(n, c);
}

/* The rest of an SA that was rekeyed says nothing of its connection: that it ends, or whence its
 * last packets came once the fresh one is heard. */
static bool event_is_past(const struct conn *c, const struct fwd_event *e)
{
	if (e->sa == c->in || e->sa == c->out)
		return false;
	switch (e->kind) {
	case FWD_EV_CONTROL:
	case FWD_EV_PROBE:
	case FWD_EV_DATA:
	case FWD_EV_PATH_MTU:
		return false;
	case FWD_EV_MOVED:
		return atomic_load_explicit(&c->in->packets, memory_order_relaxed) > 0;
	case FWD_EV_SOFT_LIFETIME:
	case FWD_EV_HARD_LIFETIME:
		return true;
	}
	return false;
}

static void event_soft_lifetime(struct node *n, struct conn *c, const struct fwd_event *e)
{
	if (!c->in->configured_keys && n->role->rekey_wanted)
		n->role->rekey_wanted(n, c, e->outbound);
	else
		log_warn(n->log,
			 "node: lifetime nearly spent connection=%s; give it fresh keys and reload",
			 c->name);
}

/* Of a connection made by IKE: it may come to any of our addresses. */
static void arrival_local(const struct node *n, struct role_arrival *a)
{
	struct endpoint at;
	if (!pktio_sock_local(n->pktio, a->event->sock, &at))
		return;
	if (addr_is_any(&at.addr) && at.addr.family == a->back.local.addr.family)
		return;
	a->back.local = at;
	if (!a->conn->udp)
		a->back.local.port = 0;
}

static void event_handle(struct node *n, const struct fwd_event *e)
{
	struct role_arrival a = {.event = e,
				 .conn = conn_find_sa(n->table, e->sa, e->spi, e->outbound)};
	if (!a.conn || event_is_past(a.conn, e))
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
	if (a.conn->setup && n->cfg->role == ROLE_HOME_SERVER)
		arrival_local(n, &a);
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
	case FWD_EV_DATA:
		(void)n->role->used(n, &a);
		break;
	case FWD_EV_SOFT_LIFETIME:
		if (!conn_sa_drains(a.conn, e->sa))
			event_soft_lifetime(n, a.conn, e);
		break;
	case FWD_EV_HARD_LIFETIME:
		if (conn_sa_drains(a.conn, e->sa))
			break;
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

static void sweep_conn(struct node *n, struct conn *c, usec_t now)
{
	if (c->state == CONN_EXPIRED)
		return;
	if (c->expires_us <= now) {
		log_error(n->log, "node: lifetime ended connection=%s", c->name);
		conn_end(n, c);
	} else if (c->mtu_told_us && now - c->mtu_told_us > MTU_FORGET_US) {
		conn_path_mtu(n, c, node_link_mtu(n, c), 0);
	}
	node_conn_sweep(n, c, now);
	n->role->sweep(n, c, now);
}

/* Each connection once a second: what lasts and what ended.  A part of them at a time, so that many
 * do not hold up what came meanwhile. */
static void sweep(struct node *n, usec_t now)
{
	if (now < n->sweep_us)
		return;
	if (n->sweep_left == 0)
		n->sweep_left = conn_table_size(n->table);
	size_t part = conn_table_size(n->table) / SWEEP_PARTS + 1;
	part = part > SWEEP_LEAST ? part : SWEEP_LEAST;
	part = part < n->sweep_left ? part : n->sweep_left;
	n->sweep_left -= part;
	n->sweep_us = now + (n->sweep_left ? USEC_PER_SEC / SWEEP_PARTS : 0);
	if (n->sweep_left == 0) {
		n->sweep_us = n->sweep_round_us + USEC_PER_SEC;
		if (n->sweep_us <= now)
			n->sweep_us = now + USEC_PER_SEC;
		n->sweep_round_us = n->sweep_us;
	}
	for (struct conn *c; part > 0 && (c = conn_table_walk(n->table)); part--)
		sweep_conn(n, c, now);
}

static void node_turn(void *ctx)
{
	struct node *n = ctx;
	usec_t now = clock_now_us();
	sweep(n, now);
	bool more = node_ike_run(n);
	usec_t next = n->role->tick(n, now), ike = node_engine_tick(n, now);
	if (ike < next)
		next = ike;
	if (next > n->sweep_us)
		next = n->sweep_us;
	if (more)
		next = now;
	loop_timer_at(n->timer, more || next > now ? next : now + USEC_PER_MS);
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
	if (in)
		setvbuf(in, NULL, _IONBF, 0); /* keys */
	struct config *fresh = in ? config_read_bundle(in, n->cfg->path, &err) : NULL;

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
	case NETREQ_LOOKUP:
	case NETREQ_RESOLVCONF:
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
	json_t *reply = node_engine_command(n, command, request);
	if (!reply)
		reply = n->role->command(n, command, request);
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

static int node_build(struct node *n, struct net_start *start, struct err *err)
{
	n->loop = loop_new();
	n->net = netreq_client_new(n->loop, start->channel_fd, net_notice, n);
	n->timer = loop_timer_new(n->loop, node_timer, n);
	n->moves = moves_new();
	n->sadb = sadb_new();
	n->table = conn_table_new(state_changed, n);
	conn_table_set_retire(n->table, retire_sa, n);
	unsigned workers = start->tun.count;
	n->pktio = pktio_new(&start->tun, n->log, err);
	if (!n->pktio)
		return -1;

	struct fwd_config fc = {.sadb = n->sadb,
				.io = pktio_ops(n->pktio),
				.df = n->cfg->df,
				.offload = n->cfg->offload,
				.offload_udp = start->tun.udp,
				.library = n->cfg->library,
				.workers = workers,
				.ike = n->cfg->ike != NULL};
	for (unsigned i = 0; i < n->cfg->home_agent_count; i++) {
		const struct addr *a = &n->cfg->home_agents[i];
		struct addr *icmp = a->family == 4 ? &fc.icmp4 : &fc.icmp6;
		if (!icmp->family)
			*icmp = *a;
		if (n->cfg->role == ROLE_HOME_SERVER)
			fc.own[fc.own_count++] = *a;
	}
	n->fwd = fwd_new(&fc, err);
	if (!n->fwd)
		return -1;
	if (!loop_fd_add(n->loop, pktio_event_fd(n->pktio), events_ready, n))
		return err_set(err, "node: cannot watch the packet path's events");
	return 0;
}

int node_main(struct config *cfg, struct net_start *start, const struct log *log)
{
	struct err err = {{0}};
	struct node *n = mem_zalloc(sizeof *n);
	struct priv_node priv = {.user = cfg->user, .root = cfg->root};

	n->cfg = cfg;
	n->own_log = *log;
	n->log = &n->own_log;
	n->role = cfg->role == ROLE_TERMINAL ? &role_terminal : &role_home;
	n->start_us = clock_now_us();
	n->tun_mtu = start->tun_mtu;
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
	crypto_warm_up();
	eap_warm_up();
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
	node_engine_stop(n);
	node_ike_free(n);
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
