/* SPDX-License-Identifier: MIT */
/*
 * The node's IKEv2 engine: joined to the sockets (node_ike.c), the clock, the SADB; and what
 * people see of it and ask of it.
 */
#include "daemon/node_engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "crypto/mac.h"

#define SPI_LEAST     256 /* RFC 4303 2.1 */
#define KEYS_KEPT     256
#define KEYS_LINE_MAX 640

struct node_engine {
	struct node *node;
	struct ike *ike;
	/* For Wireshark: the last ones, when the configuration allows it; else none. */
	char (*keys)[KEYS_LINE_MAX];
	size_t key_count;
};

/* --- what the engine asks for */

static void op_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	random_bytes(out, len);
}

static uint64_t op_wall_us(void *ctx)
{
	(void)ctx;
	return clock_wall_us();
}

/* AH has a space of SPIs of its own, but one lookup serves both. */
static uint32_t op_new_spi(void *ctx, uint8_t protocol)
{
	struct node *n = ctx;
	uint32_t spi = 0;
	(void)protocol;
	while (spi < SPI_LEAST || conn_find_spi(n->table, spi))
		random_bytes(&spi, sizeof spi);
	return spi;
}

static void op_keys(void *ctx, const struct ike_sa *sa, const char *line)
{
	struct node *n = ctx;
	struct node_engine *e = n->engine;
	(void)sa;
	if (!e->keys)
		e->keys = mem_zalloc(KEYS_KEPT * sizeof *e->keys);
	snprintf(e->keys[e->key_count++ % KEYS_KEPT], KEYS_LINE_MAX, "%s", line);
}

static void message(struct node *n, const struct ike_path *path, uint8_t *msg, size_t len,
		    usec_t at_us)
{
	(void)at_us; /* of its arrival; deadlines are told the time it is handled */
	ike_datagram(n->engine->ike, path, msg, len, clock_now_us());
}

/* --- begin, end, time */

void node_engine_start(struct node *n, const struct ike_config *cfg, const struct ike_ops *role)
{
	struct ike_ops ops = *role;
	ops.ctx = n;
	ops.send = node_ike_send;
	ops.random = op_random;
	ops.wall_us = op_wall_us;
	ops.new_spi = op_new_spi;
	ops.keys = cfg->wireshark ? op_keys : NULL;
	n->engine = mem_zalloc(sizeof *n->engine);
	n->engine->node = n;
	n->engine->ike = ike_new(cfg, &ops, n->log);
	node_ike_listen(n, message);
}

void node_engine_stop(struct node *n)
{
	struct node_engine *e = n->engine;
	n->engine = NULL;
	if (!e)
		return;
	ike_free(e->ike);
	if (e->keys)
		mem_wipe(e->keys, KEYS_KEPT * sizeof *e->keys);
	free(e->keys);
	free(e);
}

struct ike *node_engine_ike(const struct node *n)
{
	return n->engine ? n->engine->ike : NULL;
}

usec_t node_engine_tick(struct node *n, usec_t now_us)
{
	return n->engine ? ike_tick(n->engine->ike, now_us) : USEC_NEVER;
}

/* --- display */

static json_t *endpoint_json(const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_MAX];
	return e->addr.family ? json_string(endpoint_format(e, text)) : json_null();
}

static json_t *identity_json(const struct identity *i)
{
	char text[IDENTITY_MAX];
	return i ? json_string(identity_format(i, text, sizeof text)) : json_null();
}

static json_t *spi_json(uint32_t spi)
{
	char text[16];
	snprintf(text, sizeof text, "0x%08" PRIx32, spi);
	return json_string(text);
}

static json_t *ike_spi_json(const uint8_t spi[IKE_SPI_LEN])
{
	char text[2 * IKE_SPI_LEN + 1];
	for (size_t i = 0; i < IKE_SPI_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", spi[i]);
	return json_string(text);
}

static json_t *seconds_until(usec_t then_us, usec_t now_us)
{
	if (then_us == USEC_NEVER)
		return json_null();
	return json_integer(then_us > now_us ? (json_int_t)((then_us - now_us) / USEC_PER_SEC) : 0);
}

static json_t *selectors_json(const struct ike_ts_list *ts)
{
	json_t *list = json_array();
	char text[IKE_TS_TEXT_MAX];
	for (uint8_t i = 0; ts && i < ts->count; i++)
		json_array_append_new(list, json_string(ike_ts_format(&ts->at[i], text)));
	return list;
}

static json_t *child_json(const struct ike_child *c)
{
	char suite[SUITE_TEXT_MAX];
	const struct conn *conn = ike_child_user(c);
	struct ike_ts_list local, remote;
	ike_child_ts(c, true, &local);
	ike_child_ts(c, false, &remote);
	return json_pack("{s:o,s:o,s:o,s:s,s:s,s:o,s:o}", "connection",
			 conn ? json_string(conn->name) : json_null(), "spi_in",
			 spi_json(ike_child_spi_in(c)), "spi_out", spi_json(ike_child_spi_out(c)),
			 "mode", ike_child_is_transport(c) ? "transport" : "tunnel", "proposal",
			 suite_format(SUITE_ESP, ike_child_suite(c), suite), "local",
			 selectors_json(&local), "remote", selectors_json(&remote));
}

static json_t *sa_json(struct ike_sa *sa, usec_t now_us)
{
	const struct ike_peer *peer = ike_sa_peer(sa);
	const struct ike_path *path = ike_sa_path(sa);
	uint8_t spi_i[IKE_SPI_LEN], spi_r[IKE_SPI_LEN];
	char suite[SUITE_TEXT_MAX];
	json_t *children = json_array(), *o = json_object();
	ike_sa_spis(sa, spi_i, spi_r);
	for (struct ike_child *c = ike_child_first(sa); c; c = ike_child_next(c))
		json_array_append_new(children, child_json(c));
	json_object_set_new(o, "peer", peer ? json_string(peer->name) : json_null());
	json_object_set_new(o, "state", json_string(ike_sa_state_text(ike_sa_state(sa))));
	json_object_set_new(o, "initiator", json_boolean(ike_sa_is_initiator(sa)));
	json_object_set_new(o, "local_id", identity_json(ike_sa_local_id(sa)));
	json_object_set_new(o, "remote_id", identity_json(ike_sa_remote_id(sa)));
	json_object_set_new(o, "eap_identity",
			    ike_sa_eap_identity(sa)[0] ? json_string(ike_sa_eap_identity(sa))
						       : json_null());
	json_object_set_new(o, "local", endpoint_json(&path->local));
	json_object_set_new(o, "remote", endpoint_json(&path->remote));
	json_object_set_new(o, "nat_here", json_boolean(ike_sa_nat_here(sa)));
	json_object_set_new(o, "nat_there", json_boolean(ike_sa_nat_there(sa)));
	json_object_set_new(o, "sojourn", json_boolean(ike_sa_is_sojourn(sa)));
	json_object_set_new(o, "mobike", json_boolean(ike_sa_has_mobike(sa)));
	json_object_set_new(o, "proposal",
			    ike_sa_suite(sa)->prf
				? json_string(suite_format(SUITE_IKE, ike_sa_suite(sa), suite))
				: json_null());
	json_object_set_new(o, "spi_i", ike_spi_json(spi_i));
	json_object_set_new(o, "spi_r", ike_spi_json(spi_r));
	json_object_set_new(o, "since_s",
			    json_real((double)(now_us - ike_sa_since_us(sa)) / USEC_PER_SEC));
	json_object_set_new(o, "rekey_s", seconds_until(ike_sa_rekey_us(sa), now_us));
	json_object_set_new(o, "children", children);
	return o;
}

static json_t *engine_status(const struct node_engine *e)
{
	const struct ike_counters *c = ike_counters(e->ike);
	json_t *list = json_array(), *counters = json_object(), *texts = json_object();
	usec_t now_us = clock_now_us();
	for (struct ike_sa *sa = ike_sa_first(e->ike); sa; sa = ike_sa_next(sa))
		json_array_append_new(list, sa_json(sa, now_us));
#define COUNTER(name, text)                                                                        \
	json_object_set_new(counters, #name, json_integer((json_int_t)c->name));                   \
	json_object_set_new(texts, #name, json_string(text));
	IKE_COUNTERS(COUNTER)
#undef COUNTER
	return json_pack("{s:o,s:o,s:o}", "ike", list, "counters", counters, "texts", texts);
}

static json_t *engine_keys(const struct node_engine *e)
{
	json_t *list = json_array();
	if (!e->node->cfg->ike->engine.wireshark) {
		json_decref(list);
		return json_pack("{s:s}", "error",
				 "keys are not given out: the configuration does not allow it "
				 "(wireshark-keys = yes in section ike)");
	}
	size_t first = e->key_count > KEYS_KEPT ? e->key_count - KEYS_KEPT : 0;
	for (size_t i = first; i < e->key_count; i++)
		json_array_append_new(list, json_string(e->keys[i % KEYS_KEPT]));
	return json_pack("{s:o}", "keys", list);
}

static json_t *engine_rekey(struct node_engine *e, const char *name, const char *what)
{
	usec_t now_us = clock_now_us();
	bool ike = !what || !strcmp(what, "ike"), child = !what || !strcmp(what, "child");
	int count = 0;
	for (struct ike_sa *sa = ike_sa_first(e->ike); sa; sa = ike_sa_next(sa)) {
		const struct ike_peer *peer = ike_sa_peer(sa);
		bool whole = peer && !strcmp(peer->name, name);
		if (ike_sa_state(sa) != IKE_SA_ESTABLISHED)
			continue;
		for (struct ike_child *c = ike_child_first(sa); c && child; c = ike_child_next(c)) {
			const struct conn *conn = ike_child_user(c);
			if (!whole && (!conn || strcmp(conn->name, name)))
				continue;
			ike_child_rekey(e->ike, c, now_us);
			count++;
		}
		if (whole && ike) {
			ike_sa_rekey(e->ike, sa, now_us);
			count++;
		}
	}
	if (!count)
		return json_pack("{s:s}", "error",
				 "rekey: no such peer or connection is up; see `sojourn ike`");
	return json_pack("{s:b,s:i}", "ok", 1, "rekeying", count);
}

json_t *node_engine_command(struct node *n, const char *command, const json_t *request)
{
	static const char *const ours[] = {"ike", "keys", "rekey"};
	bool known = false;
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		known |= !strcmp(command, ours[i]);
	if (!known)
		return NULL;
	if (!n->engine)
		return json_pack("{s:s}", "error",
				 "IKEv2 is not configured: there is no section ike");
	if (!strcmp(command, "ike"))
		return engine_status(n->engine);
	if (!strcmp(command, "keys"))
		return engine_keys(n->engine);
	const char *name = json_string_value(json_object_get(request, "name"));
	const char *what = json_string_value(json_object_get(request, "what"));
	if (!name || (what && strcmp(what, "ike") != 0 && strcmp(what, "child") != 0))
		return json_pack("{s:s}", "error",
				 "rekey: name a peer or a connection, and ike, child or nothing");
	return engine_rekey(n->engine, name, what);
}
