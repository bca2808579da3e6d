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
#include "daemon/control.h"

#define SPI_LEAST     256 /* RFC 4303 2.1 */
#define KEYS_KEPT     256
#define KEYS_LINE_MAX 640

struct key_lines { /* the last ones */
	char (*lines)[KEYS_LINE_MAX];
	size_t count;
};

struct node_engine {
	struct node *node;
	struct ike *ike;
	uint16_t (*child_up)(void *ctx, struct ike_child_up *up); /* the role's */
	/* For Wireshark, when the configuration allows it: of IKE SAs, of child SAs. */
	struct key_lines ike_keys, esp_keys;
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

/* --- keys for Wireshark */

static char *key_line(struct key_lines *k)
{
	if (!k->lines)
		k->lines = mem_zalloc(KEYS_KEPT * sizeof *k->lines);
	return k->lines[k->count++ % KEYS_KEPT];
}

static void key_lines_wipe(struct key_lines *k)
{
	if (k->lines)
		mem_wipe(k->lines, KEYS_KEPT * sizeof *k->lines);
	free(k->lines);
	*k = (struct key_lines){0};
}

static void op_keys(void *ctx, const struct ike_sa *sa, const char *line)
{
	struct node *n = ctx;
	(void)sa;
	snprintf(key_line(&n->engine->ike_keys), KEYS_LINE_MAX, "%s", line);
}

static void put_hex(char *line, const char *before, const uint8_t *data, size_t len,
		    const char *after)
{
	size_t at = strlen(line);
	at += (size_t)snprintf(line + at, KEYS_LINE_MAX - at, "%s", before);
	for (size_t i = 0; i < len && at + 3 < KEYS_LINE_MAX; i++)
		at += (size_t)snprintf(line + at, KEYS_LINE_MAX - at, "%02x", data[i]);
	snprintf(line + at, KEYS_LINE_MAX - at, "%s", after);
}

/* A line of Wireshark's file esp_sa; addresses may change under an SA, so any will do. */
static void esp_key(struct node *n, const struct ike_child_up *up, uint32_t spi, const uint8_t *key,
		    const char *family)
{
	static const struct {
		const char *ours, *theirs;
	} names[] = {
	    {"aes128-gcm", "AES-GCM with 16 octet ICV [RFC4106]"},
	    {"aes192-gcm", "AES-GCM with 16 octet ICV [RFC4106]"},
	    {"aes256-gcm", "AES-GCM with 16 octet ICV [RFC4106]"},
	    {"chacha20-poly1305", "ChaCha20 with Poly1305 [RFC7634]"},
	    {"aes128-cbc", "AES-CBC [RFC3602]"},
	    {"aes192-cbc", "AES-CBC [RFC3602]"},
	    {"aes256-cbc", "AES-CBC [RFC3602]"},
	    {"null", "NULL"},
	    {"hmac-sha-1-96", "HMAC-SHA-1-96 [RFC2404]"},
	    {"hmac-sha-256-128", "HMAC-SHA-256-128 [RFC4868]"},
	    {"hmac-sha-384-192", "HMAC-SHA-384-192 [RFC4868]"},
	    {"hmac-sha-512-256", "HMAC-SHA-512-256 [RFC4868]"},
	};
	const char *encr = "", *integ = "NULL";
	size_t encr_len = up->encr->key_len;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!strcmp(names[i].ours, up->encr->name))
			encr = names[i].theirs;
		if (up->integ && !strcmp(names[i].ours, up->integ->name))
			integ = names[i].theirs;
	}
	char *line = key_line(&n->engine->esp_keys);
	snprintf(line, KEYS_LINE_MAX, "\"%s\",\"*\",\"*\",\"0x%08" PRIx32 "\",\"%s\",\"", family,
		 spi, encr);
	put_hex(line, encr_len ? "0x" : "", key, encr_len, "\",\"");
	size_t at = strlen(line);
	snprintf(line + at, KEYS_LINE_MAX - at, "%s\",\"", integ);
	put_hex(line, up->integ ? "0x" : "", key + encr_len, up->key_len - encr_len, "\"");
}

static uint16_t op_child_up(void *ctx, struct ike_child_up *up)
{
	struct node *n = ctx;
	static const char *const families[] = {"IPv4", "IPv6"};
	/* Wireshark knows no AES-GMAC; its packets can be read without. */
	bool told = up->protocol == IKE_PROTO_ESP && !up->encr->encrypts_nothing;
	for (size_t i = 0; i < ARRAY_LEN(families) && told; i++) {
		esp_key(n, up, up->spi_in, up->key_in, families[i]);
		esp_key(n, up, up->spi_out, up->key_out, families[i]);
	}
	return n->engine->child_up(ctx, up);
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
	n->engine = mem_zalloc(sizeof *n->engine);
	n->engine->node = n;
	if (cfg->wireshark) {
		ops.keys = op_keys;
		n->engine->child_up = ops.child_up;
		ops.child_up = op_child_up;
		log_warn(n->log, "ike: keys are kept for Wireshark, as the configuration says");
	}
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
	key_lines_wipe(&e->ike_keys);
	key_lines_wipe(&e->esp_keys);
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

static json_t *lines_json(const struct key_lines *k)
{
	json_t *list = json_array();
	size_t first = k->count > KEYS_KEPT ? k->count - KEYS_KEPT : 0;
	for (size_t i = first; i < k->count; i++)
		json_array_append_new(list, json_string(k->lines[i % KEYS_KEPT]));
	return list;
}

static json_t *engine_keys(const struct node_engine *e)
{
	if (!e->node->cfg->ike->engine.wireshark)
		return json_pack("{s:s}", "error",
				 "keys are not given out: the configuration does not allow it "
				 "(wireshark-keys = yes in section ike)");
	return json_pack("{s:o,s:o}", "keys", lines_json(&e->ike_keys), "esp",
			 lines_json(&e->esp_keys));
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
	if (!strcmp(command, "keys") && !control_asker_is_root(n->control))
		return json_pack("{s:s}", "error", "keys are for root alone");
	if (!strcmp(command, "keys"))
		return engine_keys(n->engine);
	const char *name = json_string_value(json_object_get(request, "name"));
	const char *what = json_string_value(json_object_get(request, "what"));
	if (!name || (what && strcmp(what, "ike") != 0 && strcmp(what, "child") != 0))
		return json_pack("{s:s}", "error",
				 "rekey: name a peer or a connection, and ike, child or nothing");
	return engine_rekey(n->engine, name, what);
}
