/* SPDX-License-Identifier: MIT */
/*
 * The configuration: from text to values.
 *
 * The text goes through config_text.c (comments out) and config_schema.c (libconfuse); the
 * readers here walk the sections and fill struct config with the help of config_value.c (single
 * values); config_check.c then looks at what concerns more than one option.
 *
 * Ownership: config_read returns one struct with its lists, all the caller's; config_free wipes
 * the keys.  Control thread of either process.  Only config_load opens key files: `node`, which
 * reads a reloaded configuration from a descriptor, has no files.
 */
#include "daemon/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/config_field.h"
#include "daemon/config_parse.h"
#include "daemon/config_schema.h"
#include "daemon/config_text.h"

#define ESP_PORT    4500
#define SPI_MIN	    256 /* 0 is never sent, 1..255 are reserved (RFC 4303 2.1) */
#define WINDOW	    4096
#define KEYS_HINT   "`openssl rand -hex %zu` makes one"
#define NOT_IN_SOFT 10 /* the soft limit is a tenth below the hard one */

/* --- keys */

/* The key of `name`, or of the file in `name`-file. */
static int read_key(struct config_reading *r, cfg_t *sec, const char *name, size_t suggest,
		    uint8_t *out, size_t room, size_t *len, int *line)
{
	char file_name[40], example[64];
	snprintf(file_name, sizeof(file_name), "%s-file", name);
	const struct config_item *i = config_field(sec, name), *f = config_field(sec, file_name);

	if (i && f)
		return config_fail(r, f->line, "both %s and %s; remove one", name, file_name);
	snprintf(example, sizeof(example), "\"0x...\": " KEYS_HINT, suggest);
	if (!i && !f)
		return config_field_needed(r, sec, name, example) ? 0 : -1;
	*line = i ? i->line : f->line;
	return config_value_key(r, i ? name : file_name, i ? i : f, !i, out, room, len);
}

static int read_connection_key(struct config_reading *r, cfg_t *sec, const char *name,
			       struct config_connection *c, uint8_t *out)
{
	size_t need = (size_t)c->encr->key_len + c->integ->key_len, len = 0;
	int line = sec->line;

	if (read_key(r, sec, name, need, out, CONFIG_KEY_MAX, &len, &line) < 0)
		return -1;
	if (len != need)
		return config_fail(
		    r, line,
		    "%s has %zu bytes; %s and %s need %zu (%u of encryption, then %u "
		    "of integrity): " KEYS_HINT,
		    name, len, c->encr->name, c->integ->name, need, c->encr->key_len,
		    c->integ->key_len, need);
	c->key_len = len;
	return 0;
}

static int read_registration_key(struct config_reading *r, cfg_t *sec, struct config_terminal *t)
{
	size_t len = 0;
	int line = sec->line;

	if (read_key(r, sec, "registration-key", 32, t->registration_key,
		     sizeof(t->registration_key), &len, &line) < 0)
		return -1;
	if (len < 16)
		return config_fail(r, line,
				   "registration-key has %zu bytes; it needs 16 to 64: " KEYS_HINT,
				   len, (size_t)32);
	t->registration_key_len = len;
	return 0;
}

static int read_spi(struct config_reading *r, cfg_t *sec, const char *name, uint32_t *out)
{
	const struct config_item *i = config_field_needed(r, sec, name, "0x1001");
	uint64_t v;

	if (!i || config_value_number(r, name, i, 0, UINT32_MAX, &v) < 0)
		return -1;
	if (v < SPI_MIN)
		return config_fail(
		    r, i->line, "%s: 0 to 255 are reserved (%s); write %d or more", name,
		    name[0] == 'r' ? "RFC 5944 section 3.5" : "RFC 4303 section 2.1", SPI_MIN);
	*out = (uint32_t)v;
	return 0;
}

/* --- connections */

static int read_connection_server(struct config_reading *r, cfg_t *sec, struct config_connection *c)
{
	const struct config *cfg = r->cfg;
	const struct config_item *i = config_field(sec, "server"), *p = config_field(sec, "port");
	uint64_t port;

	if (!i && cfg->role == ROLE_HOME_SERVER && cfg->listen_count == 1)
		c->server.addr = cfg->listen[0];
	else if (!config_field_needed(r, sec, "server", "\"203.0.113.1\"") ||
		 config_value_endpoint(r, "server", i, &c->server) < 0)
		return -1;
	if (p && i && c->server.port)
		return config_fail(r, p->line,
				   "port is already written after the address of the "
				   "server; remove one");
	if (p) {
		if (config_value_number(r, "port", p, 1, UINT16_MAX, &port) < 0)
			return -1;
		c->server.port = (uint16_t)port;
	}
	if (!c->udp && c->server.port)
		return config_fail(r, p ? p->line : i->line,
				   "ESP without UDP has no ports; remove the port, or write "
				   "encapsulation = udp");
	if (cfg->role == ROLE_TERMINAL) {
		if (c->udp && !c->server.port)
			c->server.port = ESP_PORT;
		return 0;
	}
	if (c->server.port && c->server.port != cfg->port)
		return config_fail(r, i->line,
				   "server: this node listens on port %u; write that, "
				   "or set port outside of the sections",
				   cfg->port);
	c->server.port = c->udp ? cfg->port : 0;
	for (unsigned k = 0; k < cfg->listen_count; k++) {
		if (addr_equal(&cfg->listen[k], &c->server.addr))
			return 0;
	}
	return config_fail(r, i->line,
			   "server %s is not in listen; write an address of this node "
			   "that is",
			   i->text);
}

static int read_connection_ends(struct config_reading *r, cfg_t *sec, struct config_connection *c)
{
	static const char *const encapsulations[] = {"udp", "esp", NULL};
	const struct config_item *i;
	unsigned word = 0;

	if (config_field_word(r, sec, "encapsulation", encapsulations, &word) < 0)
		return -1;
	c->udp = word == 0;
	if (config_field_interface(r, sec, "interface", c->interface) < 0 ||
	    read_connection_server(r, sec, c) < 0)
		return -1;
	i = config_field(sec, "network");
	if (i && config_value_mac(r, "network", i, c->network.gateway) < 0)
		return -1;
	c->has_network = i != NULL;

	i = config_field(sec, "care-of");
	if (!i || !strcmp(i->text, "any"))
		return 0;
	if (config_value_endpoint(r, "care-of", i, &c->care_of) < 0)
		return -1;
	if (c->care_of.addr.family != c->server.addr.family)
		return config_fail(r, i->line,
				   "care-of is IPv%u and server IPv%u; write both of one family",
				   c->care_of.addr.family, c->server.addr.family);
	if (!c->udp && c->care_of.port)
		return config_fail(r, i->line,
				   "care-of: ESP without UDP has no ports; remove the "
				   "port, or write encapsulation = udp");
	if (c->udp && !c->care_of.port)
		c->care_of.port = ESP_PORT;
	return 0;
}

static int read_connection_keys(struct config_reading *r, cfg_t *sec, struct config_connection *c)
{
	const struct config_item *i = config_field_needed(r, sec, "cipher", "aes128-cbc");

	if (!i || config_value_alg(r, "cipher", i, false, &c->encr) < 0)
		return -1;
	i = config_field_needed(r, sec, "integrity",
				"hmac-sha-256-128 (no cipher of configured keys "
				"protects a packet from change)");
	if (!i || config_value_alg(r, "integrity", i, true, &c->integ) < 0)
		return -1;
	if (read_spi(r, sec, "spi-in", &c->spi_in) < 0 ||
	    read_spi(r, sec, "spi-out", &c->spi_out) < 0)
		return -1;
	if (read_connection_key(r, sec, "key-in", c, c->key_in) < 0)
		return -1;
	return read_connection_key(r, sec, "key-out", c, c->key_out);
}

static int read_connection_limits(struct config_reading *r, cfg_t *sec,
				  const struct config_terminal *t, struct config_connection *c)
{
	static const struct config_number numbers[] = {
	    CONFIG_NUMBER(config_connection, hard_packets, "lifetime-packets", 16, UINT64_MAX / 2),
	    CONFIG_NUMBER(config_connection, hard_bytes, "lifetime-bytes", 65536, UINT64_MAX / 2),
	    CONFIG_NUMBER(config_connection, lifetime_s, "lifetime-time", 10, UINT32_MAX / 2),
	    CONFIG_NUMBER(config_connection, keepalive_s, "keepalive", 0, 3600),
	};
	const struct config_item *w = config_field(sec, "replay-window");

	c->esn = true;
	c->keepalive_s = r->cfg->role == ROLE_TERMINAL ? 20 : 0;
	c->replay_packets = t->replay_packets;
	if (config_field_bool(r, sec, "esn", &c->esn) < 0 ||
	    config_field_window(r, sec, &c->replay_packets) < 0 ||
	    config_field_numbers(r, sec, c, numbers, ARRAY_LEN(numbers)) < 0)
		return -1;
	if (w && c->esn)
		return config_fail(r, w->line,
				   "replay-window: connections with esn share one window; write it "
				   "outside of the connection, or esn = no");
	c->soft_packets = c->hard_packets - c->hard_packets / NOT_IN_SOFT;
	c->soft_bytes = c->hard_bytes - c->hard_bytes / NOT_IN_SOFT;
	return 0;
}

static int name_check(struct config_reading *r, cfg_t *sec)
{
	size_t len = strlen(sec->title);

	if (!len || len >= CONN_NAME_MAX)
		return config_fail(r, sec->line, "the name of a %s has 1 to %d characters",
				   sec->name, CONN_NAME_MAX - 1);
	for (const char *p = sec->title; *p; p++) {
		bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
		if (!letter && !(*p >= '0' && *p <= '9') && !strchr("-_.", *p))
			return config_fail(r, sec->line,
					   "the name of a %s is made of letters, digits, - _ and .",
					   sec->name);
	}
	if (!strcmp(sec->title, "auto") || !strcmp(sec->title, "home"))
		return config_fail(r, sec->line,
				   "%s is a word of `sojourn`; give the %s another "
				   "name",
				   sec->title, sec->name);
	return 0;
}

static void claim_spis(struct config_reading *r, cfg_t *sec, const struct config_connection *c,
		       uint32_t scope)
{
	struct config_claim in = {.kind = CLAIM_SPI_IN, .spi = c->spi_in, .owner = c->name};
	struct config_claim out = {.kind = CLAIM_SPI_OUT,
				   .spi = c->spi_out,
				   .owner = c->name,
				   .scope = scope,
				   .server = c->server.addr};

	in.line = config_field(sec, "spi-in")->line;
	out.line = config_field(sec, "spi-out")->line;
	config_claim(r, &in);
	config_claim(r, &out);
}

static int read_connections(struct config_reading *r, cfg_t *parent, struct config_terminal *t,
			    uint32_t scope)
{
	struct config_connection **end = &t->connections;
	unsigned count = cfg_size(parent, "connection");

	for (unsigned k = 0; k < count; k++) {
		cfg_t *sec = cfg_getnsec(parent, "connection", k);
		struct config_connection *c = mem_zalloc(sizeof(*c));
		*end = c;
		end = &c->next;
		c->line = sec->line;
		if (name_check(r, sec) < 0)
			return -1;
		snprintf(c->name, sizeof(c->name), "%s", sec->title);
		if (config_schema_check_connection(r, sec) < 0 ||
		    read_connection_ends(r, sec, c) < 0 || read_connection_keys(r, sec, c) < 0 ||
		    read_connection_limits(r, sec, t, c) < 0)
			return -1;
		claim_spis(r, sec, c, scope);
	}
	if (!count)
		return config_fail(r, t->line, "no connection; write connection NAME { ... }");
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
		if (!has_family(cfg->home_agents, cfg->home_agent_count, family))
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

static int read_terminal(struct config_reading *r, cfg_t *sec, struct config_terminal *t,
			 uint32_t scope)
{
	static const struct config_number numbers[] = {
	    /* below 4 s there is no lifetime in a Binding Update's units (RFC 6275 6.1.7) */
	    CONFIG_NUMBER(config_terminal, lifetime_s, "lifetime", 4, 65534),
	};
	const struct config_item *homes =
	    config_field_needed(r, sec, "home-address", "\"10.1.0.10\"");

	t->lifetime_s = 600;
	t->replay_packets = WINDOW;
	t->connections_max = 1;
	if (!homes)
		return -1;
	t->line = sec->title ? sec->line : homes->line;
	if (config_field_addrs(r, sec, "home-address", t->homes, ARRAY_LEN(t->homes),
			       &t->home_count) < 0 ||
	    config_field_prefixes(r, sec, "prefix", t->prefixes, ARRAY_LEN(t->prefixes),
				  &t->prefix_count) < 0 ||
	    read_spi(r, sec, "registration-spi", &t->registration_spi) < 0 ||
	    read_registration_key(r, sec, t) < 0 ||
	    config_field_window(r, sec, &t->replay_packets) < 0 ||
	    config_field_numbers(r, sec, t, numbers, ARRAY_LEN(numbers)) < 0 ||
	    check_homes(r, sec, t) < 0)
		return -1;
	claim_prefixes(r, sec, t);
	return read_connections(r, sec, t, scope);
}

static int read_terminal_sections(struct config_reading *r, cfg_t *root)
{
	static const char *const policies[] = {"lenient", "strict", NULL};
	static const struct config_number numbers[] = {
	    CONFIG_NUMBER(config_terminal, connections_max, "connections-max", 1, ACTIVE_MAX),
	};
	struct config_terminal **end = &r->cfg->terminals;
	unsigned count = cfg_size(root, "terminal");

	for (unsigned k = 0; k < count; k++) {
		cfg_t *sec = cfg_getnsec(root, "terminal", k);
		struct config_terminal *t = mem_zalloc(sizeof(*t));
		unsigned word = 0;
		*end = t;
		end = &t->next;
		if (name_check(r, sec) < 0)
			return -1;
		snprintf(t->name, sizeof(t->name), "%s", sec->title);
		if (read_terminal(r, sec, t, k) < 0 ||
		    config_field_word(r, sec, "policy", policies, &word) < 0 ||
		    config_field_numbers(r, sec, t, numbers, ARRAY_LEN(numbers)) < 0)
			return -1;
		t->strict = word == 1;
	}
	return 0;
}

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

static int read_terminal_root(struct config_reading *r, cfg_t *root)
{
	static const struct config_number numbers[] = {
	    CONFIG_NUMBER(config, probe_idle_ms, "probe-idle", 100, 3600000),
	    CONFIG_NUMBER(config, probe_spare_ms, "probe-spare", 100, 86400000),
	    CONFIG_NUMBER(config, initial_rto_ms, "initial-rto", 20, 60000),
	};
	struct config *c = r->cfg;
	struct config_terminal *t = c->terminals = mem_zalloc(sizeof(*t));
	const struct config_item *routes = config_field(root, "routes");

	if (gethostname(t->name, sizeof(t->name) - 1) < 0 || !t->name[0])
		snprintf(t->name, sizeof(t->name), "terminal");
	if (config_field_text(r, root, "name", t->name, sizeof(t->name)) < 0 ||
	    read_terminal(r, root, t, 0) < 0 ||
	    config_field_numbers(r, root, c, numbers, ARRAY_LEN(numbers)) < 0 ||
	    config_field_prefixes(r, root, "routes", c->routes, CONFIG_LIST_MAX, &c->route_count) <
		0 ||
	    read_home(r, root) < 0)
		return -1;
	r->routes_line = routes ? routes->line : 0;
	for (uint8_t family = 4; !routes && family <= 6; family += 2) {
		if (has_family(t->homes, t->home_count, family))
			c->routes[c->route_count++] = (struct prefix){.addr.family = family};
	}
	return 0;
}

/* --- the whole */

static int read_common_names(struct config_reading *r, cfg_t *root)
{
	struct config *c = r->cfg;
	char control[108] = "/run/sojourn/control"; /* sun_path */
	const struct config_item *i = config_field(root, "control");

	snprintf(c->user, sizeof(c->user), "nobody");
	snprintf(c->root, sizeof(c->root), "/run/sojourn/empty");
	snprintf(c->tun, sizeof(c->tun), "sojourn0");
	if (i && config_value_text(r, "control", i, control, sizeof(control)) < 0)
		return -1;
	if (control[0] != '/')
		return config_fail(r, i->line,
				   "control is not a whole path; write one that begins "
				   "with /");
	c->control = mem_strdup(control);
	i = config_field(root, "root");
	if (config_field_text(r, root, "user", c->user, sizeof(c->user)) < 0 ||
	    config_field_text(r, root, "root", c->root, sizeof(c->root)) < 0 ||
	    config_field_text(r, root, "control-group", c->control_group,
			      sizeof(c->control_group)) < 0)
		return -1;
	if (c->root[0] != '/')
		return config_fail(r, i->line,
				   "root is not a whole path; write one that begins "
				   "with /");
	return config_field_interface(r, root, "tun", c->tun);
}

static int read_common(struct config_reading *r, cfg_t *root)
{
	static const struct config_number numbers[] = {
	    /* no link of IPv6 is smaller (RFC 8200 5) */
	    CONFIG_NUMBER(config, mtu, "mtu", 1280, 9216),
	    CONFIG_NUMBER(config, control_mode, "control-mode", 0, 0777),
	    CONFIG_NUMBER(config, mark, "mark", 1, UINT32_MAX),
	    CONFIG_NUMBER(config, table, "table", 1, UINT32_MAX),
	    CONFIG_NUMBER(config, port, "port", 1, UINT16_MAX),
	};
	static const char *const dfs[] = {"copy", "set", "clear", NULL};
	static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
	struct config *c = r->cfg;
	unsigned df = FWD_DF_SET, level = LOG_LEVEL_INFO;

	c->mtu = 1500;
	c->offload = true;
	c->control_mode = 0660;
	c->mark = 0x534a;
	c->table = 434;
	c->port = ESP_PORT;
	c->probe_idle_ms = 1000;
	c->probe_spare_ms = 20000;
	c->initial_rto_ms = 120;
	if (read_common_names(r, root) < 0 ||
	    config_field_numbers(r, root, c, numbers, ARRAY_LEN(numbers)) < 0 ||
	    config_field_bool(r, root, "offload", &c->offload) < 0 ||
	    config_field_word(r, root, "df", dfs, &df) < 0 ||
	    config_field_word(r, root, "log-level", levels, &level) < 0)
		return -1;
	c->df = (enum fwd_df)df;
	c->log_level = (enum log_level)level;
	const struct config_item *i = config_field(root, "table");
	if (i && (c->table >= 253 && c->table <= 255))
		return config_fail(r, i->line,
				   "table: 253 to 255 are the system's own; write "
				   "another number");
	i = config_field_needed(r, root, "home-agent",
				"\"10.1.0.1\", the home server's inner address");
	if (!i)
		return -1;
	r->home_agent_line = i->line;
	return config_field_addrs(r, root, "home-agent", c->home_agents, ARRAY_LEN(c->home_agents),
				  &c->home_agent_count);
}

static int read_root(struct config_reading *r, cfg_t *root)
{
	static const char *const roles[] = {"terminal", "home-server", NULL};
	struct config *c = r->cfg;
	const struct config_item *i = config_field(root, "role");
	unsigned role = 0;

	root->line = 1;
	if (!i)
		return config_fail(r, 1, "no role; write role = terminal or role = home-server");
	if (config_value_word(r, "role", i, roles, &role) < 0)
		return -1;
	c->role = role ? ROLE_HOME_SERVER : ROLE_TERMINAL;
	root->line = i->line; /* where what is missing belongs */
	if (config_schema_check_role(r, root) < 0 || read_common(r, root) < 0)
		return -1;
	if (c->role == ROLE_TERMINAL)
		return read_terminal_root(r, root);
	if (!config_field_needed(r, root, "listen",
				 "{ \"203.0.113.1\" }, this node's outer addresses") ||
	    config_field_addrs(r, root, "listen", c->listen, ARRAY_LEN(c->listen),
			       &c->listen_count) < 0 ||
	    config_field_interface(r, root, "home-link", c->home_link) < 0)
		return -1;
	return read_terminal_sections(r, root);
}

static struct config *read_text_of(struct config_text *text, const char *path, bool key_files,
				   struct err *err)
{
	struct err unused;
	struct config_reading r = {
	    .path = path, .err = err ? err : &unused, .key_files = key_files};
	struct config *c = r.cfg = mem_zalloc(sizeof(*c));
	cfg_t *root = config_schema_parse(&r, text);
	int rc = root ? read_root(&r, root) : -1;

	if (rc == 0)
		rc = config_check(&r);
	if (rc == 0)
		c->path = mem_strdup(path);
	if (root)
		cfg_free(root);
	free(r.claims);
	if (rc == 0)
		return c;
	config_free(c);
	return NULL;
}

static struct config *read_stream(FILE *in, const char *path, bool key_files, struct err *err)
{
	struct config_text text;

	if (config_text_read(&text, in, path, err) < 0)
		return NULL;
	struct config *c = read_text_of(&text, path, key_files, err);
	config_text_free(&text);
	return c;
}

struct config *config_read(FILE *in, const char *path, struct err *err)
{
	return read_stream(in, path, false, err);
}

struct config *config_load(const char *path, struct err *err)
{
	struct stat st;
	FILE *in = fopen(path, "re");

	if (!in) {
		err_set(err, "%s: %s; `sojournd -c FILE` names another", path, strerror(errno));
		return NULL;
	}
	struct config *c = NULL;
	if (fstat(fileno(in), &st) < 0 || S_ISDIR(st.st_mode))
		err_set(err, "%s: not a file", path);
	else if (S_ISREG(st.st_mode) && (st.st_mode & (S_IROTH | S_IWOTH)))
		err_set(err, "%s: %s by others and holds keys: chmod 600 %s", path,
			st.st_mode & S_IROTH ? "readable" : "writable", path);
	else
		c = read_stream(in, path, true, err);
	fclose(in);
	return c;
}

static void config_free_connections(struct config_connection *c)
{
	while (c) {
		struct config_connection *next = c->next;
		mem_wipe(c, sizeof(*c));
		free(c);
		c = next;
	}
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (struct config_terminal *t = c->terminals, *next; t; t = next) {
		next = t->next;
		config_free_connections(t->connections);
		mem_wipe(t, sizeof(*t));
		free(t);
	}
	free(c->control);
	free(c->path);
	free(c);
}
