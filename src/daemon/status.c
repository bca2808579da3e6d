/* SPDX-License-Identifier: MIT */
/* What `sojourn` shows, as JSON: reads the tables, changes nothing.  doc/control.md. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "daemon/role.h"
#include "mobility/registrar.h"

static double ms_since(usec_t then_us, usec_t now_us)
{
	return then_us && now_us > then_us ? (double)(now_us - then_us) / USEC_PER_MS : 0.0;
}

static json_t *seconds_until(usec_t then_us, usec_t now_us)
{
	if (then_us == USEC_NEVER)
		return json_null();
	return json_integer(then_us > now_us ? (json_int_t)((then_us - now_us) / USEC_PER_SEC) : 0);
}

json_t *status_addr(const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	return json_string(addr_format(a, text));
}

static json_t *endpoint_json(const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_MAX];
	return e->addr.family ? json_string(endpoint_format(e, text)) : json_null();
}

static json_t *spi_json(const struct sa *sa)
{
	char text[16];
	snprintf(text, sizeof text, "0x%08" PRIx32, sa->spi);
	return json_string(text);
}

static json_t *traffic_json(struct conn_traffic t)
{
	return json_pack("{s:I,s:I}", "packets", (json_int_t)t.packets, "bytes",
			 (json_int_t)t.bytes);
}

static json_t *network_json(const struct network *net)
{
	char text[24];
	if (!network_known(net))
		return json_null();
	snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", net->gateway[0],
		 net->gateway[1], net->gateway[2], net->gateway[3], net->gateway[4],
		 net->gateway[5]);
	return json_string(text);
}

static json_t *connection_json(const struct node *n, const struct conn *c, usec_t now)
{
	const char *terminal = n->cfg->terminals->name;
	usec_t heard = conn_heard_us(c);
	uint32_t mtu = node_conn_inner_mtu(c);
	json_t *o = json_object();

	if (n->cfg->role == ROLE_HOME_SERVER && c->peer->owner)
		terminal = ((const struct registrar_terminal *)c->peer->owner)->name;
	json_object_set_new(o, "name", json_string(c->name));
	json_object_set_new(o, "terminal", json_string(terminal));
	json_object_set_new(o, "state", json_string(conn_state_text(c->state)));
	json_object_set_new(o, "since_s", json_real(ms_since(c->since_us, now) / 1000.0));
	json_object_set_new(o, "care_of", endpoint_json(&c->care_of));
	json_object_set_new(o, "interface",
			    c->interface[0] ? json_string(c->interface) : json_null());
	json_object_set_new(o, "network", network_json(&c->network));
	json_object_set_new(o, "server", endpoint_json(&c->server));
	json_object_set_new(o, "protocol", json_string(sa_protocol_text(c->out)));
	json_object_set_new(o, "encapsulation",
			    c->out->ah ? json_null() : json_string(c->udp ? "udp" : "esp"));
	json_object_set_new(o, "mode", json_string(sa_mode_text((enum sa_mode)c->out->mode)));
	/* Only the home server sees both addresses. */
	json_object_set_new(o, "behind_nat",
			    n->cfg->role == ROLE_HOME_SERVER ? json_boolean(c->behind_nat)
							     : json_null());
	const struct path *path = rcu_dereference(c->out->path);
	json_object_set_new(o, "place",
			    n->cfg->role != ROLE_HOME_SERVER || !path ? json_null()
			    : path->trial			      ? json_string("on trial")
			    : c->place_proven			      ? json_string("proven")
								      : json_string("not proven"));
	json_object_set_new(o, "spi_in", spi_json(c->in));
	json_object_set_new(o, "spi_out", spi_json(c->out));
	const struct alg *cipher = sa_cipher(c->in), *integrity = sa_integrity(c->in);
	json_object_set_new(o, "cipher", cipher ? json_string(cipher->name) : json_null());
	json_object_set_new(o, "integrity", integrity ? json_string(integrity->name) : json_null());
	json_object_set_new(o, "heard_ms", heard ? json_real(ms_since(heard, now)) : json_null());
	json_object_set_new(o, "rtt_ms",
			    c->srtt_us ? json_real((double)c->srtt_us / USEC_PER_MS) : json_null());
	json_object_set_new(o, "mtu", mtu ? json_integer(mtu) : json_null());
	json_object_set_new(o, "expires_s", seconds_until(c->expires_us, now));
	json_object_set_new(o, "rx", traffic_json(conn_rx(c)));
	json_object_set_new(o, "tx", traffic_json(conn_tx(c)));
	return o;
}

json_t *status_connections(const struct node *n)
{
	json_t *list = json_array();
	usec_t now = clock_now_us();
	for (const struct conn *c = conn_table_first(n->table); c; c = c->next)
		json_array_append_new(list, connection_json(n, c, now));
	return json_pack("{s:o}", "connections", list);
}

static json_t *move_json(const struct move *mv)
{
	json_t *events = json_array();
	for (unsigned i = 0; i < mv->event_count; i++) {
		const struct move_event *e = &mv->events[i];
		double ms = ((double)e->at_us - (double)mv->start_us) / USEC_PER_MS;
		json_array_append_new(events, json_pack("{s:f,s:s,s:s}", "ms", ms, "step",
							move_step_text(e->step), "text", e->text));
	}
	json_t *o = json_pack("{s:I,s:I,s:s,s:s,s:s,s:s,s:s,s:b}", "id", (json_int_t)mv->id,
			      "wall_us", (json_int_t)mv->wall_us, "terminal", mv->terminal, "kind",
			      move_kind_text(mv->kind), "from", mv->from, "to", mv->to, "why",
			      mv->why, "done", mv->done);
	json_object_set_new(o, "by", mv->by ? json_string(mv->by) : json_null());
	json_object_set_new(o, "switch_ms",
			    mv->switch_us < 0 ? json_null()
					      : json_real((double)mv->switch_us / USEC_PER_MS));
	json_object_set_new(o, "lost", json_integer((json_int_t)mv->lost));
	json_object_set_new(o, "signalling_packets", json_integer(mv->signalling_packets));
	json_object_set_new(o, "signalling_octets", json_integer(mv->signalling_octets));
	json_object_set_new(o, "events", events);
	return o;
}

json_t *status_moves(const struct node *n)
{
	json_t *list = json_array();
	const struct move *mv;
	for (size_t i = 0; (mv = moves_at(n->moves, i)); i++)
		json_array_append_new(list, move_json(mv));
	return json_pack("{s:o}", "moves", list);
}

json_t *status_counters(const struct node *n)
{
	struct fwd_counters k;
	fwd_counters(n->fwd, &k);
	json_t *drops = json_object(), *texts = json_object();
	for (int i = 0; i < DROP_COUNT; i++) {
		const char *name = drop_name((enum drop_reason)i);
		json_object_set_new(drops, name, json_integer((json_int_t)k.drops[i]));
		json_object_set_new(texts, name, json_string(drop_text((enum drop_reason)i)));
	}
	json_t *packets = json_object();
#define COUNT(field) json_object_set_new(packets, #field, json_integer((json_int_t)k.field))
	COUNT(out_packets);
	COUNT(out_bytes);
	COUNT(in_packets);
	COUNT(in_bytes);
	COUNT(out_sends);
	COUNT(in_recvs);
	COUNT(tun_reads);
	COUNT(tun_writes);
	COUNT(keepalives);
	COUNT(duplicates);
	COUNT(ike_messages);
#undef COUNT
	return json_pack("{s:o,s:o,s:o}", "drops", drops, "texts", texts, "packets", packets);
}

json_t *status_node(struct node *n)
{
	json_t *states = json_object();
	for (int s = CONN_FORMING; s <= CONN_EXPIRED; s++)
		json_object_set_new(
		    states, conn_state_text((enum conn_state)s),
		    json_integer((json_int_t)conn_table_count(n->table, (enum conn_state)s)));
	json_t *active = json_array();
	for (const struct conn *c = conn_table_first(n->table); c; c = c->next)
		if (c->state == CONN_ACTIVE && n->cfg->role == ROLE_TERMINAL)
			json_array_append_new(active, json_string(c->name));
	json_t *agents = json_array();
	for (unsigned i = 0; i < n->cfg->home_agent_count; i++)
		json_array_append_new(agents, status_addr(&n->cfg->home_agents[i]));
	json_t *o = json_pack(
	    "{s:s,s:s,s:i,s:f,s:o,s:o,s:o,s:s}", "version", SOJOURN_VERSION, "role",
	    n->cfg->role == ROLE_TERMINAL ? "terminal" : "home-server", "pid", (int)getpid(),
	    "uptime_s", ms_since(n->start_us, clock_now_us()) / 1000.0, "connections", states,
	    "active", active, "home_agents", agents, "crypto", fwd_library(n->fwd));
	json_object_set_new(o, "tun",
			    json_pack("{s:s,s:i}", "name", n->cfg->tun, "mtu", (int)n->tun_mtu));
	json_object_set_new(o, "workers", json_integer(fwd_worker_count(n->fwd)));
	n->role->status(n, o);
	return o;
}
