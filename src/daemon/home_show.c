/* SPDX-License-Identifier: MIT */
/* What people see of a home server. */
#include <stdio.h>
#include "daemon/home_state.h"

static json_t *pool_json(const struct steward *s, const struct config_pool *p)
{
	const struct pool *pool = steward_pool(s, p->name);
	json_t *o = json_pack("{s:s}", "name", p->name);
	for (uint8_t family = 4; pool && family <= 6; family += 2) {
		struct pool_counts k = pool_counts(pool, family);
		if (k.size)
			json_object_set_new(o, family == 4 ? "ipv4" : "ipv6",
					    json_pack("{s:I,s:I,s:I}", "size",
						      (json_int_t)(k.size - k.excluded), "used",
						      (json_int_t)k.used, "remembered",
						      (json_int_t)k.remembered));
	}
	return o;
}

static void ike_status(struct node *n, json_t *out)
{
	const struct steward *s = home_of(n)->steward;
	json_t *pools = json_array();
	if (s) {
		struct steward_counts k = steward_counts(s);
		json_object_set_new(out, "terminals",
				    json_pack("{s:I,s:I,s:I}", "up", (json_int_t)k.instances,
					      "ike_sas", (json_int_t)k.lines, "connections",
					      (json_int_t)k.connections));
		for (const struct config_pool *p = n->cfg->pools; p; p = p->next)
			json_array_append_new(pools, pool_json(s, p));
	}
	json_object_set_new(out, "pools", pools);
}

void home_status(struct node *n, json_t *out)
{
	const struct registrar_counters *k = registrar_counters(home_of(n)->registrar);
	json_int_t bindings = 0, denied = 0;
	for (const struct binding *b = registrar_first(home_of(n)->registrar); b; b = b->next)
		bindings += b->count > 0;
	json_t *codes = json_object();
	for (int i = 0; i < 256; i++) {
		char text[8];
		snprintf(text, sizeof text, "%d", i);
		denied += (json_int_t)k->denied[i];
		if (k->denied[i])
			json_object_set_new(codes, text, json_integer((json_int_t)k->denied[i]));
	}
	ike_status(n, out);
	const struct home_places *p = &home_of(n)->places;
	json_object_set_new(out, "places",
			    json_pack("{s:I,s:I,s:I,s:I}", "on_trial", (json_int_t)p->trials.count,
				      "begun", (json_int_t)p->begun, "confirmed",
				      (json_int_t)p->confirmed, "failed", (json_int_t)p->failed));
	json_object_set_new(out, "bindings", json_integer(bindings));
	json_object_set_new(out, "registration",
			    json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "by_data",
				      (json_int_t)k->by_data, "by_setup", (json_int_t)k->by_setup,
				      "data_denied", (json_int_t)k->data_denied, "overtaken",
				      (json_int_t)k->overtaken, "requests", (json_int_t)k->requests,
				      "accepted", (json_int_t)k->accepted, "denied", denied,
				      "silent", (json_int_t)k->silent, "deregistrations",
				      (json_int_t)k->deregistrations, "expired",
				      (json_int_t)k->expired, "denied_by_code", codes));
}

json_t *home_bindings(struct node *n)
{
	json_t *list = json_array();
	usec_t now = clock_now_us();
	for (const struct binding *b = registrar_first(home_of(n)->registrar); b; b = b->next) {
		json_t *conns = json_array();
		for (unsigned i = 0; i < b->count; i++)
			json_array_append_new(conns, json_string(b->conns[i]->name));
		json_t *o =
		    json_pack("{s:s,s:o,s:o,s:s,s:i,s:f}", "terminal", b->terminal->name,
			      "home_address", status_addr(&b->home), "connections", conns, "why",
			      binding_why_text(b->why), "lifetime_s", (int)b->lifetime_s, "since_s",
			      b->since_us ? (double)(now - b->since_us) / USEC_PER_SEC : 0.0);
		json_object_set_new(
		    o, "expires_s",
		    b->expires_us == USEC_NEVER || b->count == 0
			? json_null()
			: json_integer((json_int_t)(b->expires_us > now
							? (b->expires_us - now) / USEC_PER_SEC
							: 0)));
		json_array_append_new(list, o);
	}
	return json_pack("{s:o}", "bindings", list);
}
