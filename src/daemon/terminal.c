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
#include "daemon/terminal_state.h"
#include "mobility/registrar.h"
#include "wire/ip.h"
#include "wire/mip4.h"

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

static void send_use(void *ctx, struct conn *conn, uint64_t id)
{
	node_send_probe(ctx, conn, ESP_PROBE_USE, id, NULL);
}

static void publish_routes(struct node *n)
{
	static const struct prefix everything[] = {{.addr = {.family = 4}},
						   {.addr = {.family = 6}}};
	struct terminal *t = terminal_of(n);
	for (unsigned i = 0; i < ARRAY_LEN(everything); i++)
		if (fwd_route_set(n->fwd, &everything[i],
				  node_active(t->active, t->active_count,
					      n->cfg->terminals->ncast_class)) < 0)
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

static void mtu_follow(struct node *n)
{
	const struct terminal *t = terminal_of(n);
	if (t->active_count)
		tun_mtu(n, node_peer_clamp(t->active[0]->peer, t->active, t->active_count));
}

bool terminal_is_active(const struct terminal *t, const struct conn *c)
{
	for (uint8_t i = 0; i < t->active_count; i++)
		if (t->active[i] == c)
			return true;
	return false;
}

/* While net still turns our routes away from the TUN device, packets that come there take the
 * connections they took before. */
void terminal_activate(void *node, struct conn *const *conns, uint8_t count)
{
	struct node *n = node;
	struct terminal *t = terminal_of(n);
	t->active_count = 0;
	for (uint8_t i = 0; i < count && i < ACTIVE_MAX; i++)
		t->active[t->active_count++] = conns[i];
	t->nothing_active = count == 0 && t->routes_asked > 0;
	t->nothing_us = USEC_NEVER;
	if (t->nothing_active)
		return;
	publish_routes(n);
	mtu_follow(n);
	if (t->keeper)
		keeper_activated(t->keeper, clock_now_us());
}

void terminal_activate_nothing(struct node *n)
{
	struct terminal *t = terminal_of(n);
	t->active_count = 0;
	t->nothing_active = false;
	publish_routes(n);
}

void terminal_deactivate(struct node *n, const struct conn *c)
{
	struct terminal *t = terminal_of(n);
	uint8_t kept = 0;
	for (uint8_t i = 0; i < t->active_count; i++)
		if (t->active[i] != c)
			t->active[kept++] = t->active[i];
	t->active_count = kept;
	if (kept)
		publish_routes(n);
	else
		terminal_activate_nothing(n);
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

static const struct addr *home_for(const struct terminal *t, uint8_t family)
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

/* Is it for the tunnel?  With the address that its packets have: none as long as the server has not
 * assigned any, when they are dropped rather than sent in the clear. */
static bool route_is_ours(const struct terminal *t, const struct prefix *p, struct addr *home)
{
	const struct addr *a = home_for(t, p->addr.family);
	if (t->keeper && keeper_state(t->keeper) == KEEPER_DOWN)
		return false; /* somebody wants it so */
	*home = a ? *a : (struct addr){0};
	return a || (t->keeper && !t->home_count);
}

static void route_off(struct node *n, const struct prefix *p)
{
	struct netreq req = {.kind = NETREQ_ROUTE, .prefix = *p};
	ask_route(n, &req);
}

static void route_on(struct node *n, const struct config *cfg, const struct prefix *p,
		     const struct addr *home, const struct care_of *at)
{
	struct netreq req = {.kind = NETREQ_ROUTE, .on = true, .prefix = *p, .addr = *home};
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

/* Our routes go into the tunnel, or at home natively by the home link's gateway. */
static void routes_set(struct node *n, const struct config *cfg, const struct care_of *at)
{
	struct terminal *t = terminal_of(n);
	struct prefix ours[CONFIG_LIST_MAX];
	uint8_t count = 0;
	struct addr home;
	for (unsigned i = 0; i < cfg->route_count; i++) {
		if (!route_is_ours(t, &cfg->routes[i], &home))
			continue;
		route_on(n, cfg, &cfg->routes[i], &home, at);
		ours[count++] = cfg->routes[i];
	}
	for (unsigned i = 0; i < t->route_count; i++) {
		bool stays = false;
		for (unsigned k = 0; k < count; k++)
			stays |= prefix_equal(&ours[k], &t->routes[i]);
		if (!stays)
			route_off(n, &t->routes[i]);
	}
	t->route_count = count;
	memcpy(t->routes, ours, count * sizeof ours[0]);
}

void terminal_routes(struct node *n, const struct config *cfg)
{
	const struct terminal *t = terminal_of(n);
	routes_set(n, cfg, t->home_at.interface[0] ? &t->home_at : NULL);
}

/* The home addresses stay on the TUN device at home too: packets still on their way in a
 * connection are delivered from there. */
static void home_change(void *ctx, const struct care_of *at)
{
	struct node *n = ctx;
	struct terminal *t = terminal_of(n);
	bool was = t->home_at.interface[0] != '\0';
	bool same = at && was && !strcmp(at->interface, t->home_at.interface);

	for (unsigned i = 0; i < t->home_count; i++) {
		struct netreq req = {.kind = NETREQ_ANNOUNCE, .on = true, .addr = t->homes[i]};
		if (was && !same)
			ask_home_addr(n, &t->homes[i], t->home_at.interface, false);
		if (!at || same)
			continue;
		ask_home_addr(n, &t->homes[i], at->interface, true);
		memcpy(req.interface, at->interface, sizeof req.interface);
		node_ask(n, &req);
	}
	routes_set(n, n->cfg, at);
	if (at)
		t->home_at = *at;
	else
		memset(&t->home_at, 0, sizeof t->home_at);
}

static void outlet_ready(struct node *n, struct outlet *o)
{
	terminal_outlet_ready(n, o);
	terminal_ike_ways(n);
}

static int spare_taken(void *ctx, struct conn *conn, const struct care_of *at)
{
	return keeper_spare_taken(terminal_of(ctx)->keeper, conn, at);
}

static void wanted(void *ctx, const struct care_of *at)
{
	keeper_wanted(terminal_of(ctx)->keeper, at, clock_now_us());
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
	struct terminal *t = terminal_of(n);
	t->care_of_count = count < MOVER_CARE_OFS_MAX ? count : MOVER_CARE_OFS_MAX;
	for (size_t i = 0; i < t->care_of_count; i++)
		t->care_ofs[i] = list[i];
	if (t->keeper)
		keeper_care_ofs(t->keeper, list, count, cause, at_us, clock_now_us());
	else
		mover_care_ofs(t->mover, list, count, cause, at_us, clock_now_us());
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

	if (!m || !ip_parse(e->data, e->len, &info))
		return;
	if (info.proto == IP_PROTO_MH && info.version == 6)
		mover_reply6(m, a->conn, &info.src, &info.dst, e->data + info.l4_off,
			     info.total_len - info.l4_off, e->hello, e->number, e->at_us);
	else if (ip_read_udp(e->data, &info, &sport, &dport, &payload, &len) && sport == MIP4_PORT)
		mover_reply4(m, a->conn, payload, len, e->hello, e->number, e->at_us);
}

static void terminal_probe_reply(struct node *n, const struct role_arrival *a, uint64_t id)
{
	if (terminal_of(n)->mover)
		mover_probe_reply(terminal_of(n)->mover, a->conn, id, a->event->at_us);
}

/* A home server does not move and nothing is learned, unless the configuration says that it does.
 */
static void terminal_moved(struct node *n, const struct role_arrival *a)
{
	terminal_server_moved(n, a->conn, &a->back.remote);
}

/* A home server registers nowhere. */
static bool terminal_used(struct node *n, const struct role_arrival *a)
{
	(void)n;
	(void)a;
	return false;
}

static void terminal_mtu_changed(struct node *n, struct conn *c)
{
	(void)c;
	mtu_follow(n);
}

static void terminal_expired(struct node *n, struct conn *c)
{
	if (terminal_of(n)->mover)
		mover_remove(terminal_of(n)->mover, c, clock_now_us());
	if (terminal_of(n)->keeper)
		keeper_expired(terminal_of(n)->keeper, c, clock_now_us());
}

/* Rekeyed: the same connections by their fresh SAs. */
static void terminal_out_changed(struct node *n, struct conn *c)
{
	(void)c;
	if (terminal_of(n)->nothing_active)
		terminal_activate_nothing(n);
	else
		publish_routes(n);
}

static void terminal_rekey_wanted(struct node *n, struct conn *c, bool outbound)
{
	const struct terminal *t = terminal_of(n);
	(void)outbound;
	if (t->keeper)
		keeper_rekey(t->keeper, c, clock_now_us());
}

static void terminal_sweep(struct node *n, struct conn *c, usec_t now)
{
	(void)n;
	(void)c;
	(void)now;
}

static usec_t terminal_tick(struct node *n, usec_t now)
{
	struct terminal *t = terminal_of(n);
	terminal_keepalives(n, now);
	usec_t next = t->mover ? mover_tick(t->mover, now) : USEC_NEVER;
	usec_t ike = terminal_ike_tick(n, now);
	if (ike < next)
		next = ike;
	if (!t->nothing_active)
		return next;
	if (t->nothing_us <= now)
		terminal_activate_nothing(n);
	else if (t->nothing_us < next)
		next = t->nothing_us;
	return next;
}

/* --- begin, end, reload */

static void mover_configure(const struct config *cfg, struct mover_config *mc)
{
	const struct config_terminal *me = cfg->terminals;
	memset(mc, 0, sizeof *mc);
	memcpy(mc->terminal, me->name, sizeof mc->terminal);
	for (unsigned i = 0; i < cfg->home_agent_count; i++) {
		const struct addr *a = &cfg->home_agents[i];
		*(a->family == 4 ? &mc->home_agent4 : &mc->home_agent6) = *a;
	}
	mc->mn_ha_spi = me->registration_spi;
	mc->mn_ha_key_len = me->registration_key_len;
	memcpy(mc->mn_ha_key, me->registration_key, sizeof mc->mn_ha_key);
	mc->lifetime_s = me->lifetime_s;
	mc->by_data = me->may & BINDING_MAY(BINDING_BY_DATA);
	mc->probe_idle_us = cfg->probe_idle_ms * USEC_PER_MS;
	mc->probe_spare_us = cfg->probe_spare_ms * USEC_PER_MS;
	mc->initial_rto_us = cfg->initial_rto_ms * USEC_PER_MS;
	mc->has_home_network = cfg->has_home_network;
	mc->home_network = cfg->home_network;
	mc->has_home_prefix = cfg->has_home;
	mc->home_prefix = cfg->home_prefix;
	mc->home_gateway = cfg->home_gateway;
	memcpy(mc->home_interface, cfg->home_interface, sizeof mc->home_interface);
	mc->ncast = me->ncast;
	mc->ncast_interface_count = me->ncast_interface_count;
	memcpy(mc->ncast_interfaces, me->ncast_interfaces, sizeof mc->ncast_interfaces);
}

void terminal_mover_begin(struct node *n, const struct mover_agent *agent)
{
	struct terminal *t = terminal_of(n);
	struct mover_ops ops = {.ctx = n,
				.attach = terminal_attach,
				.detach = terminal_detach,
				.send_request = send_request,
				.send_probe = send_probe,
				.send_use = send_use,
				.activate = terminal_activate,
				.home = home_change,
				.epoch_accepted = epoch_accepted,
				.epoch_heard = epoch_heard,
				.wall_us = wall_us,
				.random = random_for_mover};
	struct mover_config mc;

	mover_configure(n->cfg, &mc);
	mc.home_count = t->home_count;
	memcpy(mc.homes, t->homes, sizeof mc.homes);
	if (t->keeper) {
		ops.spare_taken = spare_taken;
		ops.wanted = wanted;
	}
	mover_free(t->mover);
	t->mover = mover_new(&mc, &ops, n->table, n->moves, n->log);
	mem_wipe(&mc, sizeof mc);
	if (agent)
		mover_set_agent(t->mover, agent);
	if (t->care_of_count)
		mover_care_ofs(t->mover, t->care_ofs, t->care_of_count, "start", clock_now_us(),
			       clock_now_us());
}

void terminal_homes_set(struct node *n, const struct addr *homes, uint8_t count)
{
	struct terminal *t = terminal_of(n);
	for (uint8_t i = 0; i < t->home_count; i++)
		ask_home_addr(n, &t->homes[i], "", false);
	t->home_count = count < TERMINAL_HOMES_MAX ? count : TERMINAL_HOMES_MAX;
	memcpy(t->homes, homes, t->home_count * sizeof *homes);
	for (uint8_t i = 0; i < t->home_count; i++)
		ask_home_addr(n, &t->homes[i], "", true);
	watch_ignore(t->watch, t->homes, t->home_count);
	terminal_routes(n, n->cfg);
}

static int watch_start(struct node *n, struct err *err)
{
	const struct config_terminal *me = n->cfg->terminals;
	struct watch_config wc = {.ignore_interface = n->cfg->tun,
				  .ignore_table = n->cfg->table,
				  .changed = care_ofs_changed,
				  .resolve = resolve,
				  .ctx = n};
	for (const struct config_connection *c = me->connections; c; c = c->next)
		if (wc.server_count < ARRAY_LEN(wc.servers))
			wc.servers[wc.server_count++] = c->server.addr;
	for (uint8_t i = 0; n->cfg->ike && i < n->cfg->ike->server_count; i++)
		if (n->cfg->ike->servers[i].addr.family && wc.server_count < ARRAY_LEN(wc.servers))
			wc.servers[wc.server_count++] = n->cfg->ike->servers[i].addr;
	terminal_of(n)->watch = watch_new(n->loop, &wc, n->log, err);
	return terminal_of(n)->watch ? 0 : -1;
}

static int terminal_start(struct node *n, struct err *err)
{
	struct terminal *t = mem_zalloc(sizeof *t);
	const struct config_terminal *me = n->cfg->terminals;

	n->state = t;
	t->outlets = outlets_new(n, outlet_ready);
	n->outlets = t->outlets;
	if (watch_start(n, err) < 0)
		return -1;
	if (n->cfg->ike)
		terminal_ike_start(n);
	if (me->home_count)
		terminal_homes_set(n, me->homes, me->home_count);
	else
		terminal_routes(n, n->cfg);
	if (!me->connections && n->cfg->ike)
		return 0;
	t->peer = node_peer_new(me, true);
	terminal_mover_begin(n, NULL);
	if (t->keeper)
		keeper_adopt(t->keeper, t->mover);
	for (const struct config_connection *c = me->connections; c; c = c->next)
		if (terminal_connection_add(n, c, (int)c->preference, err) < 0)
			return -1;
	return 0;
}

static void terminal_stop(struct node *n)
{
	struct terminal *t = terminal_of(n);
	watch_free(t->watch);
	terminal_ike_stop(n);
	terminal_activate_nothing(n);
	for (unsigned i = 0; i < TERMINAL_CONNECTIONS_MAX; i++)
		if (t->attachments[i].conn)
			terminal_connection_remove(n, &t->attachments[i]);
	mover_free(t->mover);
	node_peer_retire(n, t->peer);
	n->outlets = NULL;
	outlets_free(t->outlets);
	free(t);
	n->state = NULL;
}

static int terminal_reload(struct node *n, struct config *fresh, struct err *err)
{
	struct terminal *t = terminal_of(n);

	if (!config_terminal_equal(n->cfg->terminals, fresh->terminals))
		return err_set(err,
			       "the terminal's own addresses, keys or options changed: restart "
			       "sojournd to take them");
	for (unsigned i = 0; i < TERMINAL_CONNECTIONS_MAX; i++) {
		struct attachment *a = &t->attachments[i];
		if (!a->conn || !a->cfg)
			continue;
		const struct config_connection *same = fresh->terminals->connections;
		while (same && !config_connection_equal(a->cfg, same))
			same = same->next;
		if (same)
			a->cfg = same;
		else
			terminal_connection_remove(n, a);
	}
	terminal_routes(n, fresh);
	terminal_ike_reload(n, fresh, clock_now_us());
	if (t->mover && n->cfg->terminals->ncast != fresh->terminals->ncast)
		mover_set_ncast(t->mover, fresh->terminals->ncast, clock_now_us());
	if (t->mover)
		mover_set_times(t->mover, fresh->probe_idle_ms * USEC_PER_MS,
				fresh->probe_spare_ms * USEC_PER_MS,
				fresh->initial_rto_ms * USEC_PER_MS);
	if (t->mover)
		mover_set_by_data(t->mover, fresh->terminals->may & BINDING_MAY(BINDING_BY_DATA));
	for (const struct config_connection *c = fresh->terminals->connections; c; c = c->next) {
		struct conn *have = conn_find_name(n->table, NULL, c->name);
		if (have && have->state != CONN_EXPIRED)
			mover_prefer(t->mover, have, (int)c->preference, clock_now_us());
		else if (!have && terminal_connection_add(n, c, (int)c->preference, err) < 0)
			log_error(n->log, "terminal: %s", err->text);
	}
	return 0;
}

const struct role role_terminal = {
    .start = terminal_start,
    .stop = terminal_stop,
    .control_packet = terminal_control_packet,
    .probe_reply = terminal_probe_reply,
    .moved = terminal_moved,
    .used = terminal_used,
    .mtu_changed = terminal_mtu_changed,
    .sweep = terminal_sweep,
    .expired = terminal_expired,
    .out_changed = terminal_out_changed,
    .rekey_wanted = terminal_rekey_wanted,
    .tick = terminal_tick,
    .reload = terminal_reload,
    .status = terminal_status,
    .bindings = terminal_bindings,
    .command = terminal_command,
};
