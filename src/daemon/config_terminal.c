/* SPDX-License-Identifier: MIT */
/*
 * Terminals of a configuration: the terminal itself, with its home link and routes, or those that
 * a home server serves.
 *
 * What a terminal has to say depends on how its connections come about.  With configured keys:
 * its home addresses, a registration key and the connections.  With IKE: who it is (config_peer.c);
 * addresses may then be assigned, and the registration key is the IKE SA's.  Both may stand
 * together.
 *
 * Ownership: the list hangs on the configuration.  No state; control thread.
 */
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/config_field.h"
#include "daemon/config_schema.h"
#include "daemon/config_section.h"

#define WINDOW 4096

static int read_registration_key(struct config_reading *r, cfg_t *sec, struct config_terminal *t)
{
	size_t len = 0;
	int line = sec->line;

	if (config_read_key(r, sec, "registration-key", 32, t->registration_key,
			    sizeof(t->registration_key), &len, &line) < 0)
		return -1;
	if (len < 16)
		return config_fail(
		    r, line, "registration-key has %zu bytes; it needs 16 to 64: " CONFIG_KEYS_HINT,
		    len, (size_t)32);
	t->registration_key_len = len;
	return 0;
}

/* --- terminals */

static void claim_prefixes(struct config_reading *r, cfg_t *sec, const struct config_terminal *t)
{
	struct config_claim c = {.kind = CLAIM_PREFIX, .owner = t->name};

	for (unsigned k = 0; k < t->home_count; k++) {
		c.line = config_field_at(sec, "home-address", k)->line;
		c.prefix = prefix_host(&t->homes[k]);
		config_claim(r, &c);
	}
	for (unsigned k = 0; k < t->prefix_count; k++) {
		c.line = config_field_at(sec, "prefix", k)->line;
		c.prefix = t->prefixes[k];
		config_claim(r, &c);
	}
}

static bool has_family(const struct addr *list, unsigned count, uint8_t family)
{
	for (unsigned k = 0; k < count; k++) {
		if (list[k].family == family)
			return true;
	}
	return false;
}

static int check_homes(struct config_reading *r, cfg_t *sec, const struct config_terminal *t)
{
	const struct config *cfg = r->cfg;

	for (unsigned k = 0; k < t->home_count; k++) {
		const struct config_item *i = config_field_at(sec, "home-address", k);
		uint8_t family = t->homes[k].family;
		/* With IKE the home server tells its own. */
		bool told = cfg->ike && !cfg->home_agent_count;
		if (!told && !has_family(cfg->home_agents, cfg->home_agent_count, family))
			return config_fail(r, i->line,
					   "home-address %s is IPv%u and there is no IPv%u "
					   "home-agent; add the home server's inner IPv%u address "
					   "to home-agent",
					   i->text, family, family, family);
		for (unsigned j = 0; j < cfg->home_agent_count; j++) {
			if (addr_equal(&cfg->home_agents[j], &t->homes[k]))
				return config_fail(r, i->line,
						   "home-address %s is also home-agent; give each "
						   "its own",
						   i->text);
		}
	}
	for (unsigned k = 0; k < t->prefix_count; k++) {
		const struct config_item *i = config_field_at(sec, "prefix", k);
		if (!has_family(t->homes, t->home_count, t->prefixes[k].addr.family))
			return config_fail(r, i->line,
					   "prefix %s is IPv%u and the terminal has no IPv%u "
					   "home-address to register it with; add one",
					   i->text, t->prefixes[k].addr.family,
					   t->prefixes[k].addr.family);
	}
	return 0;
}

/* The key of registrations: the IKE SA's when there is none. */
static int read_registration(struct config_reading *r, cfg_t *sec, bool ike,
			     struct config_terminal *t)
{
	bool none = !config_field(sec, "registration-spi") &&
		    !config_field(sec, "registration-key") &&
		    !config_field(sec, "registration-key-file");

	if (ike && none && !config_connections_keyed(r, sec))
		return 0;
	if (config_read_spi(r, sec, "registration-spi", &t->registration_spi) < 0)
		return -1;
	return read_registration_key(r, sec, t);
}

static int read_terminal(struct config_reading *r, cfg_t *sec, const struct config_source *ike,
			 struct config_terminal *t, uint32_t scope)
{
	static const struct config_number numbers[] = {
	    /* below 4 s there is no lifetime in a Binding Update's units (RFC 6275 6.1.7) */
	    CONFIG_NUMBER(config_terminal, lifetime_s, "lifetime", 4, 65534),
	};
	const struct config_item *homes = config_field(sec, "home-address");

	t->lifetime_s = 600;
	t->replay_packets = WINDOW;
	t->connections_max = 1;
	if (!homes && !ike)
		return config_field_needed(r, sec, "home-address", "\"10.1.0.10\"") ? 0 : -1;
	t->line = sec->title ? sec->line : homes ? homes->line : r->cfg->ike->line;
	if (config_field_addrs(r, sec, "home-address", t->homes, ARRAY_LEN(t->homes),
			       &t->home_count) < 0 ||
	    config_field_prefixes(r, sec, "prefix", t->prefixes, ARRAY_LEN(t->prefixes),
				  &t->prefix_count) < 0 ||
	    read_registration(r, sec, ike != NULL, t) < 0 ||
	    config_field_window(r, sec, &t->replay_packets) < 0 ||
	    config_field_numbers(r, sec, t, numbers, ARRAY_LEN(numbers)) < 0 ||
	    check_homes(r, sec, t) < 0 || (ike && config_peer_read(r, ike, t) < 0) ||
	    config_connections_read(r, sec, t, scope) < 0)
		return -1;
	claim_prefixes(r, sec, t);
	if (!t->connections && !ike)
		return config_fail(r, t->line,
				   "no connection; write connection NAME { ... }, or "
				   "%s",
				   sec->title ? "id and secret for IKE" : "a section ike { ... }");
	return 0;
}

/* --- of the home server */

static const struct config_pool *pool_named(const struct config *c, const char *name)
{
	const struct config_pool *p = c->pools;
	while (p && strcmp(p->name, name) != 0)
		p = p->next;
	return p;
}

/* Where its addresses come from. */
static int read_pool_of(struct config_reading *r, cfg_t *sec, struct config_terminal *t)
{
	const struct config *c = r->cfg;
	const struct config_item *i = config_field(sec, "pool");

	if (i && !t->peer)
		return config_fail(r, i->line,
				   "pool: terminal %s does not use IKE, so no address "
				   "can be assigned; write its id, or remove pool",
				   t->name);
	if (i && !(t->pool = pool_named(c, i->text)))
		return config_fail(r, i->line,
				   "pool: there is no section pool of this name; write "
				   "pool NAME { address = ... } before the terminals");
	if (i && t->home_count)
		return config_fail(r, i->line, "both pool and home-address; remove one");
	if (!t->peer || t->home_count || t->pool)
		return 0;
	if (c->pools && !c->pools->next) {
		t->pool = c->pools;
		return 0;
	}
	return config_fail(r, t->line, "terminal %s has neither home-address nor pool; write one%s",
			   t->name,
			   c->pools ? " (there are several pools)"
				    : ", and a section pool NAME { address = ... }");
}

/* Many terminals under one name have nothing of their own but their identities. */
static int check_pattern(struct config_reading *r, cfg_t *sec, const struct config_terminal *t)
{
	static const char *const single[] = {"home-address", "prefix", "registration-spi",
					     "registration-key", "registration-key-file"};

	if (!t->peer || !t->peer->is_pattern)
		return 0;
	for (size_t k = 0; k < ARRAY_LEN(single); k++) {
		const struct config_item *i = config_field(sec, single[k]);
		if (i)
			return config_fail(r, i->line,
					   "%s: id of terminal %s is a pattern, which is many "
					   "terminals; write a pool instead, or a terminal with an "
					   "id of its own",
					   single[k], t->name);
	}
	if (t->connections)
		return config_fail(r, t->connections->line,
				   "connection %s: id of terminal %s is a pattern, which is many "
				   "terminals; configured keys belong to one",
				   t->connections->name, t->name);
	return 0;
}

static bool wants_ike(cfg_t *sec)
{
	static const char *const of_ike[] = {"id",     "eap-identity", "secret",   "secret-file",
					     "auth",   "server-auth",  "password", "password-file",
					     "ppk-id", "pool"};

	for (size_t k = 0; k < ARRAY_LEN(of_ike); k++) {
		if (config_field(sec, of_ike[k]))
			return true;
	}
	return false;
}

static int read_terminal_section(struct config_reading *r, cfg_t *root, cfg_t *sec,
				 struct config_terminal *t, uint32_t scope)
{
	static const struct config_number numbers[] = {
	    CONFIG_NUMBER(config_terminal, connections_max, "connections-max", 1, ACTIVE_MAX),
	};
	bool ike = wants_ike(sec);

	if (config_section_name(r, sec) < 0)
		return -1;
	snprintf(t->name, sizeof(t->name), "%s", sec->title);
	if (ike && !r->cfg->ike)
		return config_fail(r, sec->line,
				   "terminal %s uses IKE and there is no section ike; write ike { "
				   "id = ... }",
				   t->name);
	struct config_source s = {.own = sec, .ike = ike ? cfg_getnsec(root, "ike", 0) : NULL};
	if (read_terminal(r, sec, ike ? &s : NULL, t, scope) < 0 || check_pattern(r, sec, t) < 0 ||
	    read_pool_of(r, sec, t) < 0 || config_policy_read(r, sec, t) < 0 ||
	    config_field_numbers(r, sec, t, numbers, ARRAY_LEN(numbers)) < 0 ||
	    config_ncast_read_class(r, sec, &t->ncast_class) < 0)
		return -1;
	if (t->peer)
		config_peer_selectors(r->cfg, t);
	return 0;
}

int config_terminals_read(struct config_reading *r, cfg_t *root)
{
	struct config_terminal **end = &r->cfg->terminals;
	unsigned count = cfg_size(root, "terminal");

	for (unsigned k = 0; k < count; k++) {
		struct config_terminal *t = mem_zalloc(sizeof(*t));
		*end = t;
		end = &t->next;
		if (read_terminal_section(r, root, cfg_getnsec(root, "terminal", k), t, k) < 0)
			return -1;
	}
	return r->cfg->ike ? config_peer_read_eap(r, cfg_getnsec(root, "ike", 0)) : 0;
}

/* --- the terminal itself */

static int read_home(struct config_reading *r, cfg_t *root)
{
	struct config *c = r->cfg;
	const struct config_item *i;

	if (!cfg_size(root, "home"))
		return 0;
	cfg_t *sec = cfg_getnsec(root, "home", 0);
	r->home_line = sec->line;
	if (cfg_size(root, "home") > 1)
		return config_fail(r, cfg_getnsec(root, "home", 1)->line,
				   "a second section home; a terminal has one, remove one");
	c->has_home = true;
	i = config_field(sec, "prefix");
	if (!i)
		return config_fail(r, sec->line,
				   "section home has no prefix; write the home "
				   "link's, like \"10.1.0.0/24\"");
	if (config_value_prefix(r, "prefix", i, &c->home_prefix) < 0)
		return -1;
	i = config_field(sec, "gateway");
	if (!i)
		return config_fail(r, sec->line,
				   "section home has no gateway; write the home "
				   "link's, like \"10.1.0.1\"");
	if (config_value_addr(r, "gateway", i, &c->home_gateway) < 0)
		return -1;
	if (!prefix_contains(&c->home_prefix, &c->home_gateway) &&
	    !addr_is_link_local(&c->home_gateway))
		return config_fail(r, i->line,
				   "gateway %s is not in the home link's prefix; "
				   "write an address that is",
				   i->text);
	i = config_field(sec, "gateway-mac");
	if (i && config_value_mac(r, "gateway-mac", i, c->home_network.gateway) < 0)
		return -1;
	c->has_home_network = i != NULL;
	return config_field_interface(r, sec, "interface", c->home_interface);
}

/* All that its connections carry goes to one address: that; NULL: more. */
static const struct addr *only_peer(const struct config *cfg, const struct config_terminal *t,
				    bool ike)
{
	if (ike && t->peer->peer.child.transport && !t->connections)
		return &cfg->home_agents[0];
	const struct addr *only = ike ? NULL : &t->connections->fixed_remote;

	for (const struct config_connection *k = t->connections; only && k; k = k->next) {
		if (k->mode == SA_TUNNEL)
			only = NULL;
	}
	return only;
}

/* In transport mode nothing is assigned, and all goes to the home agent. */
static int check_transport(struct config_reading *r, const struct config_terminal *t)
{
	const struct config *c = r->cfg;

	if (!t->peer || !t->peer->peer.child.transport)
		return 0;
	if (!t->home_count)
		return config_fail(r, c->ike->line,
				   "mode transport without home-address; write ours, under which "
				   "the inside sees us");
	if (!c->home_agent_count)
		return config_fail(r, c->ike->line,
				   "mode transport without home-agent; write the home server's "
				   "address for the inside");
	return 0;
}

int config_terminal_read_own(struct config_reading *r, cfg_t *root)
{
	static const struct config_number numbers[] = {
	    CONFIG_NUMBER(config, probe_idle_ms, "probe-idle", 100, 3600000),
	    CONFIG_NUMBER(config, probe_spare_ms, "probe-spare", 100, 86400000),
	    CONFIG_NUMBER(config, initial_rto_ms, "initial-rto", 20, 60000),
	};
	struct config *c = r->cfg;
	struct config_terminal *t = c->terminals = mem_zalloc(sizeof(*t));
	const struct config_item *routes = config_field(root, "routes");
	cfg_t *ike = c->ike ? cfg_getnsec(root, "ike", 0) : NULL;
	struct config_source s = {.own = ike};

	if (gethostname(t->name, sizeof(t->name) - 1) < 0 || !t->name[0])
		snprintf(t->name, sizeof(t->name), "terminal");
	if (config_field_text(r, root, "name", t->name, sizeof(t->name)) < 0 ||
	    read_terminal(r, root, ike ? &s : NULL, t, 0) < 0 ||
	    config_policy_read_own(r, root, t) < 0 ||
	    (ike && config_places_read_prefer(r, ike, t, cfg_size(root, "connection")) < 0) ||
	    config_field_numbers(r, root, c, numbers, ARRAY_LEN(numbers)) < 0 ||
	    config_field_prefixes(r, root, "routes", c->routes, CONFIG_LIST_MAX, &c->route_count) <
		0 ||
	    config_ncast_read_own(r, root, t) < 0 || read_home(r, root) < 0 ||
	    check_transport(r, t) < 0)
		return -1;
	r->routes_line = routes ? routes->line : 0;
	if (ike)
		config_peer_selectors(c, t);
	const struct addr *peer = routes ? NULL : only_peer(c, t, ike != NULL);
	if (peer)
		c->routes[c->route_count++] = prefix_host(peer);
	for (uint8_t family = 4; !routes && !peer && family <= 6; family += 2) {
		if (!t->home_count || has_family(t->homes, t->home_count, family))
			c->routes[c->route_count++] = (struct prefix){.addr.family = family};
	}
	return 0;
}

void config_terminals_free(struct config_terminal *list)
{
	for (struct config_terminal *t = list, *next; t; t = next) {
		next = t->next;
		config_connections_free(t);
		config_peer_free(t->peer);
		mem_wipe(t, sizeof(*t));
		free(t);
	}
}
