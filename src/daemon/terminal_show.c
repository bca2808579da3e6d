/* SPDX-License-Identifier: MIT */
/* What people see of a terminal, and what they ask of it. */
#include <string.h>
#include "base/mem.h"
#include "daemon/terminal_state.h"
#include "wire/mip4.h"

/* By MOVER_NCAST_*. */
static const char *const ncast_words[] = {"no", "down", "up", "both"};

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

/* A server of another make follows where we are; nobody is home. */
static enum mover_place place_of(const struct terminal *t)
{
	if (t->mover)
		return mover_place(t->mover);
	return t->active_count ? MOVER_AWAY : MOVER_DETACHED;
}

void terminal_status(struct node *n, json_t *out)
{
	struct terminal *t = terminal_of(n);
	const struct config_terminal *me = n->cfg->terminals;
	json_t *homes = json_array(), *registrations = json_array();
	usec_t now = clock_now_us();

	for (unsigned i = 0; i < t->home_count; i++) {
		usec_t expires = USEC_NEVER;
		uint8_t code = 0;
		bool registered =
		    t->mover && mover_registered(t->mover, &t->homes[i], &expires, &code);
		json_array_append_new(homes, status_addr(&t->homes[i]));
		json_t *r = json_pack("{s:o,s:b,s:i,s:s}", "home_address",
				      status_addr(&t->homes[i]), "registered", registered, "code",
				      (int)code, "text", mip4_code_text(code));
		json_object_set_new(r, "expires_s",
				    registered && expires != USEC_NEVER && expires > now
					? json_integer((json_int_t)((expires - now) / USEC_PER_SEC))
					: json_null());
		json_array_append_new(registrations, r);
	}
	json_t *agents = json_array();
	for (uint8_t family = 4; t->mover && family <= 6; family += 2) {
		struct addr agent = mover_home_agent(t->mover, family);
		if (agent.family)
			json_array_append_new(agents, status_addr(&agent));
	}
	json_object_set_new(out, "home_agents", agents);
	json_object_set_new(out, "name", json_string(me->name));
	json_object_set_new(out, "place", json_string(place_text(place_of(t))));
	if (t->mover)
		json_object_set_new(out, "n_cast", json_string(ncast_words[mover_ncast(t->mover)]));
	if (t->keeper)
		json_object_set_new(out, "ike",
				    json_pack("{s:s,s:s}", "state",
					      keeper_state_text(keeper_state(t->keeper)), "trouble",
					      keeper_trouble(t->keeper)));
	json_object_set_new(out, "home_addresses", homes);
	json_object_set_new(out, "registrations", registrations);
}

/* Those that the home server sends to us on: ours may go out on fewer. */
static uint8_t active_set(const struct terminal *t, struct conn *out[ACTIVE_MAX])
{
	if (t->mover && mover_ncast(t->mover) & MOVER_NCAST_DOWN)
		return mover_active_set(t->mover, out);
	uint8_t count = t->active_count;
	if (t->mover && mover_ncast(t->mover) && count > 1)
		count = 1;
	memcpy(out, t->active, count * sizeof(*out));
	return count;
}

json_t *terminal_bindings(struct node *n)
{
	struct terminal *t = terminal_of(n);
	const struct config_terminal *me = n->cfg->terminals;
	json_t *list = json_array();
	usec_t now = clock_now_us();
	struct conn *active[ACTIVE_MAX];
	uint8_t active_count = active_set(t, active);
	for (unsigned i = 0; i < t->home_count; i++) {
		usec_t expires = USEC_NEVER;
		uint8_t code = 0;
		bool registered =
		    t->mover && mover_registered(t->mover, &t->homes[i], &expires, &code);
		json_t *conns = json_array();
		for (uint8_t k = 0; registered && k < active_count; k++)
			json_array_append_new(conns, json_string(active[k]->name));
		json_t *o =
		    json_pack("{s:s,s:o,s:o,s:s,s:i}", "terminal", me->name, "home_address",
			      status_addr(&t->homes[i]), "connections", conns, "why",
			      t->mover ? mover_registered_by(t->mover, &t->homes[i]) : "none",
			      "lifetime_s", (int)me->lifetime_s);
		json_object_set_new(o, "expires_s",
				    registered && expires != USEC_NEVER && expires > now
					? json_integer((json_int_t)((expires - now) / USEC_PER_SEC))
					: json_null());
		json_array_append_new(list, o);
	}
	return json_pack("{s:o}", "bindings", list);
}

/* on: as configured, or both. */
static json_t *ncast_command(struct node *n, const char *what)
{
	const struct terminal *t = terminal_of(n);
	uint8_t configured = n->cfg->terminals->ncast, ncast = 0;
	if (!what)
		return json_pack("{s:s}", "error", "n-cast: write on, off, down, up or both");
	if (!t->mover)
		return json_pack("{s:s}", "error",
				 "n-cast: there is no connection to a home server of our make");
	while (ncast < ARRAY_LEN(ncast_words) && strcmp(what, ncast_words[ncast]))
		ncast++;
	if (!strcmp(what, "on"))
		ncast = configured ? configured : MOVER_NCAST_DOWN | MOVER_NCAST_UP;
	else if (!strcmp(what, "off"))
		ncast = 0;
	if (ncast >= ARRAY_LEN(ncast_words))
		return json_pack("{s:s}", "error", "n-cast: write on, off, down, up or both");
	mover_set_ncast(t->mover, ncast, clock_now_us());
	return json_pack("{s:b,s:s}", "ok", 1, "n_cast", ncast_words[ncast]);
}

json_t *terminal_command(struct node *n, const char *command, const json_t *request)
{
	struct terminal *t = terminal_of(n);
	if (!strcmp(command, "n-cast"))
		return ncast_command(n, json_string_value(json_object_get(request, "n_cast")));
	if (strcmp(command, "switch"))
		return terminal_ike_command(n, command);
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
	if (!t->mover)
		return json_pack("{s:s}", "error", "switch: there is one connection only");
	if (mover_pin(t->mover, c, clock_now_us()) < 0)
		return json_pack("{s:s}", "error", "switch: the connection's lifetime has ended");
	return json_pack("{s:b,s:s}", "ok", 1, "connection", name);
}
