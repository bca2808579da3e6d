/* SPDX-License-Identifier: MIT */
/*
 * The terminal's role: a mover over the connection table, fed by rtnetlink (watch), which
 * attaches connections to care-of addresses (a socket bound to address and interface, so that
 * packets leave by the interface whose address they carry), and whose choice is published as
 * the default route of the packet path.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "crypto/mac.h"
#include "daemon/role.h"
#include "mobility/mover.h"
#include "platform/watch.h"
#include "wire/ip.h"
#include "wire/mip4.h"

#define CONNECTIONS_MAX 64

/* A packet socket of a care-of address; shared by the connections that are attached there. */
struct outlet {
	struct addr addr;
	char interface[IF_NAMESIZE];
	bool udp;
	int sock;   /* -1: none (yet) */
	bool asked; /* net's answer is to come */
	unsigned users;
};

struct attachment {
	struct conn *conn;
	const struct config_connection *cfg;
	struct outlet *outlet; /* NULL: detached */
	bool ready;	       /* mover was told */
	usec_t keepalive_us;   /* last one sent */
};

struct terminal {
	struct mover *mover;
	struct watch *watch;
	struct peer *peer;
	struct attachment attachments[CONNECTIONS_MAX];
	struct outlet outlets[CONNECTIONS_MAX];
	struct conn *active[ACTIVE_MAX];
	uint8_t active_count;
	struct care_of home_at; /* interface "": away */
	unsigned routes_asked;	/* of net, not answered yet */
	bool nothing_active;	/* to be published a little after they are */
	usec_t nothing_us;	/* then */
};

static struct terminal *terminal_of(struct node *n)
{
	return n->state;
}

static struct attachment *attachment_of(struct terminal *t, const struct conn *c)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (t->attachments[i].conn == c)
			return &t->attachments[i];
	return NULL;
}

/* --- sockets and paths */

static void attachment_publish(struct node *n, struct attachment *a)
{
	struct conn *c = a->conn;
	struct path path = {.local = c->care_of,
			    .remote = c->server,
			    .sock = (uint16_t)a->outlet->sock,
			    .mtu = (uint16_t)(node_link_mtu(n, c))};
	node_conn_set_path(c, &path);
	a->ready = true;
	mover_attached(terminal_of(n)->mover, c, true, clock_now_us());
}

static void outlet_ready(void *ctx, const struct netreq *reply, int fd)
{
	struct node *n = ctx;
	struct terminal *t = terminal_of(n);
	struct outlet *o = NULL;
	char text[ADDR_TEXT_MAX];

	for (unsigned i = 0; t && i < CONNECTIONS_MAX; i++) {
		struct outlet *k = &t->outlets[i];
		if (k->users && k->asked && k->udp == reply->udp &&
		    addr_equal(&k->addr, &reply->local.addr) &&
		    !strcmp(k->interface, reply->interface))
			o = k;
	}
	if (!o) { /* nobody wants it any more */
		if (fd >= 0)
			close(fd);
		return;
	}
	o->asked = false;
	if (fd >= 0)
		o->sock = pktio_sock_add(n->pktio, fd, o->udp, o->addr.family == 6);
	if (o->sock < 0)
		log_warn(n->log, "terminal: no socket interface=%s care_of=%s: %s", o->interface,
			 addr_format(&o->addr, text), fd < 0 ? reply->text : "too many");
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		struct attachment *a = &t->attachments[i];
		if (a->outlet != o || a->ready)
			continue;
		if (o->sock >= 0)
			attachment_publish(n, a);
		else
			mover_attached(t->mover, a->conn, false, clock_now_us());
	}
}

static void outlet_ask(struct node *n, struct outlet *o, unsigned ifindex)
{
	struct netreq req = {.kind = NETREQ_SOCK,
			     .on = true,
			     .udp = o->udp,
			     .ifindex = ifindex,
			     .local = {.addr = o->addr, .port = o->udp ? n->cfg->port : 0}};
	memcpy(req.interface, o->interface, sizeof req.interface);
	o->asked = true;
	if (netreq_send(n->net, &req, outlet_ready, n) < 0)
		loop_stop(n->loop);
}

static struct outlet *outlet_get(struct node *n, const struct care_of *at, bool udp)
{
	struct terminal *t = terminal_of(n);
	struct outlet *o = NULL;
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		struct outlet *k = &t->outlets[i];
		if (!k->users) {
			o = o ? o : k;
		} else if (k->udp == udp && addr_equal(&k->addr, &at->addr) &&
			   !strcmp(k->interface, at->interface)) {
			o = k;
			break;
		}
	}
	if (!o)
		return NULL;
	if (!o->users) {
		*o = (struct outlet){.addr = at->addr, .udp = udp, .sock = -1};
		memcpy(o->interface, at->interface, sizeof o->interface);
	}
	o->users++;
	if (o->sock < 0 && !o->asked)
		outlet_ask(n, o, at->ifindex);
	return o;
}

static void outlet_put(struct node *n, struct outlet *o)
{
	if (--o->users)
		return;
	if (o->sock >= 0)
		pktio_sock_remove(n->pktio, (uint16_t)o->sock);
	o->sock = -1;
	o->asked = false;
}

static void detach(void *ctx, struct conn *conn)
{
	struct node *n = ctx;
	struct attachment *a = attachment_of(terminal_of(n), conn);
	if (!a || !a->outlet)
		return;
	node_conn_set_path(conn, NULL);
	outlet_put(n, a->outlet);
	a->outlet = NULL;
	a->ready = false;
}

static void attach(void *ctx, struct conn *conn, const struct care_of *at)
{
	struct node *n = ctx;
	struct terminal *t = terminal_of(n);
	struct attachment *a = attachment_of(t, conn);
	struct endpoint care_of = {.addr = at->addr, .port = conn->udp ? n->cfg->port : 0};
	struct outlet *old = a->outlet;

	/* The new outlet first: when it is the old one its socket stays. */
	conn_set_pair(n->table, conn, &care_of, &conn->server);
	conn->mtu_told_us = 0;
	conn->link_mtu = at->mtu;
	a->ready = false;
	a->outlet = outlet_get(n, at, conn->udp);
	if (old != a->outlet)
		node_conn_set_path(conn, NULL);
	if (old)
		outlet_put(n, old);
	if (!a->outlet)
		mover_attached(t->mover, conn, false, clock_now_us());
	else if (a->outlet->sock >= 0)
		attachment_publish(n, a);
}

/* --- what mover asks for */

static void send_request(void *ctx, struct conn *conn, const struct addr *src,
			 const struct addr *dst, const uint8_t *msg, size_t len,
			 uint32_t hello_epoch)
{
	struct node_sending how = {.hello_epoch = hello_epoch};
	struct endpoint from = {.addr = *src, .port = MIP4_PORT},
			to = {.addr = *dst, .port = MIP4_PORT};
	if (src->family == 4)
		node_send_udp(ctx, conn, &from, &to, msg, len, &how);
	else
		node_send_mh(ctx, conn, src, dst, msg, len, &how);
}

static void send_probe(void *ctx, struct conn *conn, uint64_t id)
{
	node_send_probe(ctx, conn, ESP_PROBE_REQUEST, id, NULL);
}

static void publish_routes(struct node *n)
{
	static const struct prefix everything[] = {{.addr = {.family = 4}},
						   {.addr = {.family = 6}}};
	struct terminal *t = terminal_of(n);
	for (unsigned i = 0; i < ARRAY_LEN(everything); i++)
		if (fwd_route_set(n->fwd, &everything[i], node_active(t->active, t->active_count)) <
		    0)
			log_error(n->log,
				  "terminal: out of memory publishing the active connection");
}

static void tun_mtu(struct node *n, uint32_t mtu)
{
	if (mtu < 1280 || mtu == n->tun_mtu)
		return;
	n->tun_mtu = mtu;
	struct netreq req = {.kind = NETREQ_TUN_MTU, .on = true, .value = mtu};
	node_ask(n, &req);
}

/* While net still turns our routes away from the TUN device, packets that come there take the
 * connections they took before. */
static void activate(void *ctx, struct conn *const *conns, uint8_t count)
{
	struct node *n = ctx;
	struct terminal *t = terminal_of(n);
	t->active_count = 0;
	for (uint8_t i = 0; i < count && i < ACTIVE_MAX; i++)
		t->active[t->active_count++] = conns[i];
	t->nothing_active = count == 0 && t->routes_asked > 0;
	t->nothing_us = USEC_NEVER;
	if (t->nothing_active)
		return;
	publish_routes(n);
	tun_mtu(n, node_peer_clamp(t->peer, t->active, t->active_count));
}

/* At once: a connection is about to go. */
static void activate_nothing(struct node *n)
{
	struct terminal *t = terminal_of(n);
	t->active_count = 0;
	t->nothing_active = false;
	publish_routes(n);
}

static void route_answered(void *ctx, const struct netreq *reply, int fd)
{
	struct node *n = ctx;
	struct terminal *t = terminal_of(n);
	node_answered(n, reply, fd);
	if (t && --t->routes_asked == 0)
		t->nothing_us = clock_now_us() + ROLE_DRAIN_US;
}

/* interface "": the TUN device */
static void ask_home_addr(struct node *n, const struct addr *home, const char *interface, bool on)
{
	struct netreq req = {.kind = NETREQ_HOME_ADDR, .on = on, .prefix = prefix_host(home)};
	snprintf(req.interface, sizeof req.interface, "%s", interface);
	node_ask(n, &req);
}

static const struct addr *home_for(const struct config_terminal *t, uint8_t family)
{
	for (unsigned i = 0; i < t->home_count; i++)
		if (t->homes[i].family == family)
			return &t->homes[i];
	return NULL;
}

static void ask_route(struct node *n, struct netreq *req)
{
	terminal_of(n)->routes_asked++;
	if (netreq_send(n->net, req, route_answered, n) < 0)
		loop_stop(n->loop);
}

/* Our routes go into the tunnel, or at home natively by the home link's gateway. */
static void ask_routes(struct node *n, const struct config *cfg, const struct care_of *at)
{
	for (unsigned i = 0; i < cfg->route_count; i++) {
		const struct prefix *p = &cfg->routes[i];
		const struct addr *home = home_for(cfg->terminals, p->addr.family);
		struct netreq req = {.kind = NETREQ_ROUTE, .on = true, .prefix = *p};
		if (!home)
			continue; /* no home address of this family: nothing to carry */
		req.addr = *home;
		if (at) {
			bool on_link = cfg->has_home && cfg->home_prefix.len <= p->len &&
				       prefix_contains(&cfg->home_prefix, &p->addr);
			memcpy(req.interface, at->interface, sizeof req.interface);
			/* No way to it from home: the system's own routes are left. */
			req.on = on_link || at->gateway.family == p->addr.family;
			if (!on_link && req.on)
				req.gateway = at->gateway;
		}
		ask_route(n, &req);
	}
}

/* The home addresses stay on the TUN device at home too: packets still on their way in a
 * connection are delivered from there. */
static void home_change(void *ctx, const struct care_of *at)
{
	struct node *n = ctx;
	struct terminal *t = terminal_of(n);
	const struct config_terminal *me = n->cfg->terminals;
	bool was = t->home_at.interface[0] != '\0';
	bool same = at && was && !strcmp(at->interface, t->home_at.interface);

	for (unsigned i = 0; i < me->home_count; i++) {
		struct netreq req = {.kind = NETREQ_ANNOUNCE, .on = true, .addr = me->homes[i]};
		if (was && !same)
			ask_home_addr(n, &me->homes[i], t->home_at.interface, false);
		if (!at || same)
			continue;
		ask_home_addr(n, &me->homes[i], at->interface, true);
		memcpy(req.interface, at->interface, sizeof req.interface);
		node_ask(n, &req);
	}
	ask_routes(n, n->cfg, at);
	if (at)
		t->home_at = *at;
	else
		memset(&t->home_at, 0, sizeof t->home_at);
}

static void epoch_accepted(void *ctx, struct conn *conn, uint64_t number)
{
	node_epoch_accept(ctx, conn, number);
}

static uint32_t epoch_heard(void *ctx, struct conn *conn)
{
	(void)ctx;
	return atomic_load(&conn->in->space->rx_epoch);
}

static uint64_t wall_us(void *ctx)
{
	(void)ctx;
	return clock_wall_us();
}

static void random_for_mover(void *ctx, void *out, size_t len)
{
	(void)ctx;
	random_bytes(out, len);
}

/* --- events */

static void care_ofs_changed(void *ctx, const struct care_of *list, size_t count, const char *cause,
			     usec_t at_us)
{
	struct node *n = ctx;
	mover_care_ofs(terminal_of(n)->mover, list, count, cause, at_us, clock_now_us());
}

static void resolve(void *ctx, unsigned ifindex, const struct addr *gateway)
{
	struct node *n = ctx;
	struct netreq req = {
	    .kind = NETREQ_RESOLVE, .on = true, .ifindex = ifindex, .addr = *gateway};
	node_ask(n, &req);
}

static void terminal_control_packet(struct node *n, const struct role_arrival *a)
{
	struct mover *m = terminal_of(n)->mover;
	const struct fwd_event *e = a->event;
	struct ip_info info;
	uint16_t sport, dport;
	const uint8_t *payload;
	size_t len;

	if (!ip_parse(e->data, e->len, &info))
		return;
	if (info.proto == IP_PROTO_MH && info.version == 6)
		mover_reply6(m, a->conn, &info.src, &info.dst, e->data + info.l4_off,
			     info.total_len - info.l4_off, e->hello, e->number, e->at_us);
	else if (ip_read_udp(e->data, &info, &sport, &dport, &payload, &len) && sport == MIP4_PORT)
		mover_reply4(m, a->conn, payload, len, e->hello, e->number, e->at_us);
}

static void terminal_probe_reply(struct node *n, struct conn *c, uint64_t id, usec_t at_us)
{
	mover_probe_reply(terminal_of(n)->mover, c, id, at_us);
}

/* A home server does not move: nothing is learned from another source. */
static void terminal_moved(struct node *n, const struct role_arrival *a)
{
	(void)n;
	(void)a;
}

static void terminal_mtu_changed(struct node *n, struct conn *c)
{
	struct terminal *t = terminal_of(n);
	(void)c;
	tun_mtu(n, node_peer_clamp(t->peer, t->active, t->active_count));
}

static void terminal_expired(struct node *n, struct conn *c)
{
	mover_remove(terminal_of(n)->mover, c, clock_now_us());
}

/* Rekeyed: the same connections by their fresh SAs. */
static void terminal_out_changed(struct node *n, struct conn *c)
{
	(void)c;
	if (terminal_of(n)->nothing_active)
		activate_nothing(n);
	else
		publish_routes(n);
}

static void terminal_sweep(struct node *n, struct conn *c, usec_t now)
{
	(void)n;
	(void)c;
	(void)now;
}

static void keepalives(struct node *n, usec_t now)
{
	struct terminal *t = terminal_of(n);
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		struct attachment *a = &t->attachments[i];
		if (!a->conn || !a->ready || !a->conn->udp || !a->cfg->keepalive_s)
			continue;
		usec_t sent = atomic_load_explicit(&a->conn->out->last_us, memory_order_relaxed);
		if (a->keepalive_us > sent)
			sent = a->keepalive_us;
		if (now < sent + a->cfg->keepalive_s * (usec_t)USEC_PER_SEC)
			continue;
		a->keepalive_us = now;
		const struct path *path = rcu_dereference(a->conn->out->path);
		if (path)
			fwd_keepalive(n->fwd, path);
	}
}

static usec_t terminal_tick(struct node *n, usec_t now)
{
	struct terminal *t = terminal_of(n);
	keepalives(n, now);
	usec_t next = mover_tick(t->mover, now);
	if (!t->nothing_active)
		return next;
	if (t->nothing_us <= now)
		activate_nothing(n);
	else if (t->nothing_us < next)
		next = t->nothing_us;
	return next;
}

/* --- connections of the configuration */

static int connection_add(struct node *n, const struct config_connection *c, int preference,
			  struct err *err)
{
	struct terminal *t = terminal_of(n);
	struct attachment *a = attachment_of(t, NULL);
	if (!a)
		return err_set(err, "connection %s: more than %d connections", c->name,
			       CONNECTIONS_MAX);
	struct conn *conn = node_conn_add(n, c, t->peer, NULL, err);
	if (!conn)
		return -1;
	*a = (struct attachment){.conn = conn, .cfg = c};
	struct mover_connection mc = {.conn = conn,
				      .has_network = c->has_network,
				      .network = c->network,
				      .preference = preference};
	memcpy(mc.interface, c->interface, sizeof mc.interface);
	if (mover_add(t->mover, &mc, clock_now_us()) < 0)
		return err_set(err, "connection %s: cannot be added twice", c->name);
	return 0;
}

static void connection_remove(struct node *n, struct attachment *a)
{
	struct terminal *t = terminal_of(n);
	struct conn *c = a->conn;
	bool used = t->nothing_active;
	if (c->state != CONN_EXPIRED)
		mover_remove(t->mover, c, clock_now_us());
	detach(n, c);
	for (uint8_t i = 0; i < t->active_count; i++)
		used |= t->active[i] == c;
	if (used)
		activate_nothing(n);
	*a = (struct attachment){0};
	node_conn_remove(n, c);
}

static void mover_configure(const struct config *cfg, struct mover_config *mc)
{
	const struct config_terminal *me = cfg->terminals;
	memset(mc, 0, sizeof *mc);
	memcpy(mc->terminal, me->name, sizeof mc->terminal);
	mc->home_count = me->home_count;
	memcpy(mc->homes, me->homes, sizeof mc->homes);
	for (unsigned i = 0; i < cfg->home_agent_count; i++) {
		const struct addr *a = &cfg->home_agents[i];
		*(a->family == 4 ? &mc->home_agent4 : &mc->home_agent6) = *a;
	}
	mc->mn_ha_spi = me->registration_spi;
	mc->mn_ha_key_len = me->registration_key_len;
	memcpy(mc->mn_ha_key, me->registration_key, sizeof mc->mn_ha_key);
	mc->lifetime_s = me->lifetime_s;
	mc->probe_idle_us = cfg->probe_idle_ms * USEC_PER_MS;
	mc->probe_spare_us = cfg->probe_spare_ms * USEC_PER_MS;
	mc->initial_rto_us = cfg->initial_rto_ms * USEC_PER_MS;
	mc->has_home_network = cfg->has_home_network;
	mc->home_network = cfg->home_network;
	mc->has_home_prefix = cfg->has_home;
	mc->home_prefix = cfg->home_prefix;
	mc->home_gateway = cfg->home_gateway;
	memcpy(mc->home_interface, cfg->home_interface, sizeof mc->home_interface);
}

static int watch_start(struct node *n, struct err *err)
{
	const struct config_terminal *me = n->cfg->terminals;
	struct watch_config wc = {.ignore_interface = n->cfg->tun,
				  .ignore_table = n->cfg->table,
				  .changed = care_ofs_changed,
				  .resolve = resolve,
				  .ctx = n};
	for (unsigned i = 0; i < me->home_count; i++)
		wc.ignore[wc.ignore_count++] = me->homes[i];
	for (const struct config_connection *c = me->connections; c; c = c->next)
		if (wc.server_count < ARRAY_LEN(wc.servers))
			wc.servers[wc.server_count++] = c->server.addr;
	terminal_of(n)->watch = watch_new(n->loop, &wc, n->log, err);
	return terminal_of(n)->watch ? 0 : -1;
}

static int terminal_start(struct node *n, struct err *err)
{
	struct terminal *t = mem_zalloc(sizeof *t);
	struct mover_ops ops = {.ctx = n,
				.attach = attach,
				.detach = detach,
				.send_request = send_request,
				.send_probe = send_probe,
				.activate = activate,
				.home = home_change,
				.epoch_accepted = epoch_accepted,
				.epoch_heard = epoch_heard,
				.wall_us = wall_us,
				.random = random_for_mover};
	struct mover_config mc;
	int preference = 0;

	n->state = t;
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		t->outlets[i].sock = -1;
	t->peer = node_peer_new(n->cfg->terminals, true);
	mover_configure(n->cfg, &mc);
	t->mover = mover_new(&mc, &ops, n->table, n->moves, n->log);
	mem_wipe(&mc, sizeof mc);
	for (const struct config_connection *c = n->cfg->terminals->connections; c; c = c->next)
		if (connection_add(n, c, preference++, err) < 0)
			return -1;
	for (unsigned i = 0; i < n->cfg->terminals->home_count; i++)
		ask_home_addr(n, &n->cfg->terminals->homes[i], "", true);
	ask_routes(n, n->cfg, NULL);
	return watch_start(n, err);
}

static void terminal_stop(struct node *n)
{
	struct terminal *t = terminal_of(n);
	watch_free(t->watch);
	activate_nothing(n);
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (t->attachments[i].conn)
			connection_remove(n, &t->attachments[i]);
	mover_free(t->mover);
	node_peer_retire(n, t->peer);
	free(t);
	n->state = NULL;
}

static bool has_route(const struct config *cfg, const struct prefix *p)
{
	for (unsigned i = 0; i < cfg->route_count; i++)
		if (prefix_equal(&cfg->routes[i], p))
			return true;
	return false;
}

static void reload_routes(struct node *n, const struct config *fresh)
{
	const struct terminal *t = terminal_of(n);
	for (unsigned i = 0; i < n->cfg->route_count; i++) {
		const struct prefix *p = &n->cfg->routes[i];
		struct netreq req = {.kind = NETREQ_ROUTE, .prefix = *p};
		if (!has_route(fresh, p) && home_for(n->cfg->terminals, p->addr.family))
			ask_route(n, &req);
	}
	ask_routes(n, fresh, t->home_at.interface[0] ? &t->home_at : NULL);
}

static int terminal_reload(struct node *n, struct config *fresh, struct err *err)
{
	struct terminal *t = terminal_of(n);
	int preference = 0;

	if (!config_terminal_equal(n->cfg->terminals, fresh->terminals))
		return err_set(err,
			       "the terminal's own addresses, keys or options changed: restart "
			       "sojournd to take them");
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		struct attachment *a = &t->attachments[i];
		if (!a->conn)
			continue;
		const struct config_connection *same = fresh->terminals->connections;
		while (same && !config_connection_equal(a->cfg, same))
			same = same->next;
		if (same)
			a->cfg = same;
		else
			connection_remove(n, a);
	}
	reload_routes(n, fresh);
	mover_set_times(t->mover, fresh->probe_idle_ms * USEC_PER_MS,
			fresh->probe_spare_ms * USEC_PER_MS, fresh->initial_rto_ms * USEC_PER_MS);
	for (const struct config_connection *c = fresh->terminals->connections; c;
	     c = c->next, preference++) {
		struct conn *have = conn_find_name(n->table, NULL, c->name);
		if (have && have->state != CONN_EXPIRED)
			mover_prefer(t->mover, have, preference, clock_now_us());
		else if (!have && connection_add(n, c, preference, err) < 0)
			log_error(n->log, "terminal: %s", err->text);
	}
	return 0;
}

/* --- display */

static const char *place_text(enum mover_place p)
{
	switch (p) {
	case MOVER_DETACHED:
		return "detached";
	case MOVER_AWAY:
		return "away";
	case MOVER_HOME:
		return "home";
	}
	return "";
}

static void terminal_status(struct node *n, json_t *out)
{
	struct terminal *t = terminal_of(n);
	const struct config_terminal *me = n->cfg->terminals;
	json_t *homes = json_array(), *registrations = json_array();
	usec_t now = clock_now_us();

	for (unsigned i = 0; i < me->home_count; i++) {
		usec_t expires;
		uint8_t code;
		bool registered = mover_registered(t->mover, &me->homes[i], &expires, &code);
		json_array_append_new(homes, status_addr(&me->homes[i]));
		json_t *r = json_pack("{s:o,s:b,s:i,s:s}", "home_address",
				      status_addr(&me->homes[i]), "registered", registered, "code",
				      (int)code, "text", mip4_code_text(code));
		json_object_set_new(r, "expires_s",
				    registered && expires != USEC_NEVER && expires > now
					? json_integer((json_int_t)((expires - now) / USEC_PER_SEC))
					: json_null());
		json_array_append_new(registrations, r);
	}
	json_object_set_new(out, "name", json_string(me->name));
	json_object_set_new(out, "place", json_string(place_text(mover_place(t->mover))));
	json_object_set_new(out, "home_addresses", homes);
	json_object_set_new(out, "registrations", registrations);
}

static json_t *terminal_bindings(struct node *n)
{
	struct terminal *t = terminal_of(n);
	const struct config_terminal *me = n->cfg->terminals;
	json_t *list = json_array();
	usec_t now = clock_now_us();
	for (unsigned i = 0; i < me->home_count; i++) {
		usec_t expires;
		uint8_t code;
		bool registered = mover_registered(t->mover, &me->homes[i], &expires, &code);
		json_t *conns = json_array();
		for (uint8_t k = 0; registered && k < t->active_count; k++)
			json_array_append_new(conns, json_string(t->active[k]->name));
		json_t *o =
		    json_pack("{s:s,s:o,s:o,s:s,s:i}", "terminal", me->name, "home_address",
			      status_addr(&me->homes[i]), "connections", conns, "why",
			      registered ? "request" : "none", "lifetime_s", (int)me->lifetime_s);
		json_object_set_new(o, "expires_s",
				    registered && expires != USEC_NEVER && expires > now
					? json_integer((json_int_t)((expires - now) / USEC_PER_SEC))
					: json_null());
		json_array_append_new(list, o);
	}
	return json_pack("{s:o}", "bindings", list);
}

static json_t *terminal_command(struct node *n, const char *command, const json_t *request)
{
	struct terminal *t = terminal_of(n);
	if (strcmp(command, "switch"))
		return NULL;
	const char *name = json_string_value(json_object_get(request, "connection"));
	if (!name)
		return json_pack("{s:s}", "error", "switch: name a connection, or auto");
	struct conn *c = NULL;
	if (strcmp(name, "auto")) {
		c = conn_find_name(n->table, NULL, name);
		if (!c)
			return json_pack("{s:s}", "error",
					 "switch: no such connection; see `sojourn connections`");
	}
	if (mover_pin(t->mover, c, clock_now_us()) < 0)
		return json_pack("{s:s}", "error", "switch: the connection's lifetime has ended");
	return json_pack("{s:b,s:s}", "ok", 1, "connection", name);
}

const struct role role_terminal = {
    .start = terminal_start,
    .stop = terminal_stop,
    .control_packet = terminal_control_packet,
    .probe_reply = terminal_probe_reply,
    .moved = terminal_moved,
    .mtu_changed = terminal_mtu_changed,
    .sweep = terminal_sweep,
    .expired = terminal_expired,
    .out_changed = terminal_out_changed,
    .tick = terminal_tick,
    .reload = terminal_reload,
    .status = terminal_status,
    .bindings = terminal_bindings,
    .command = terminal_command,
};
