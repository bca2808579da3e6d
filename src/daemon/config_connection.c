/* SPDX-License-Identifier: MIT */
/*
 * The connections of a configuration: those with configured keys, and, beside a section ike, the
 * places that only have a name and an order.
 *
 * Ownership: the lists hang on the terminal, which config_free frees.  No state; control thread.
 */
#include <string.h>
#include "base/mem.h"
#include "daemon/config_field.h"
#include "daemon/config_schema.h"
#include "daemon/config_section.h"

#define ESP_PORT    4500
#define SPI_MIN	    256 /* 0 is never sent, 1..255 are reserved (RFC 4303 2.1) */
#define NOT_IN_SOFT 10	/* the soft limit is a tenth below the hard one */

/* --- keys */

/* The key of `name`, or of the file in `name`-file. */
int config_read_key(struct config_reading *r, cfg_t *sec, const char *name, size_t suggest,
		    uint8_t *out, size_t room, size_t *len, int *line)
{
	char file_name[40], example[64];
	snprintf(file_name, sizeof(file_name), "%s-file", name);
	const struct config_item *i = config_field(sec, name), *f = config_field(sec, file_name);

	if (i && f)
		return config_fail(r, f->line, "both %s and %s; remove one", name, file_name);
	snprintf(example, sizeof(example), "\"0x...\": " CONFIG_KEYS_HINT, suggest);
	if (!i && !f)
		return config_field_needed(r, sec, name, example) ? 0 : -1;
	*line = i ? i->line : f->line;
	return config_value_key(r, i ? name : file_name, i ? i : f, !i, out, room, len);
}

static int read_connection_key(struct config_reading *r, cfg_t *sec, const char *name,
			       struct config_connection *c, uint8_t *out)
{
	size_t need = (c->encr ? c->encr->key_len : 0u) + (size_t)c->integ->key_len, len = 0;
	need += c->bundle ? c->integ->key_len : 0u;
	int line = sec->line;

	if (config_read_key(r, sec, name, need, out, CONFIG_KEY_MAX, &len, &line) < 0)
		return -1;
	if (len != need && c->bundle)
		return config_fail(r, line,
				   "%s has %zu bytes; %s and %s need %zu (%u of ESP's encryption, "
				   "then %u of its integrity, then %u of AH's): " CONFIG_KEYS_HINT,
				   name, len, c->encr->name, c->integ->name, need, c->encr->key_len,
				   c->integ->key_len, c->integ->key_len, need);
	if (len != need && c->ah)
		return config_fail(r, line, "%s has %zu bytes; %s needs %zu: " CONFIG_KEYS_HINT,
				   name, len, c->integ->name, need, need);
	if (len != need)
		return config_fail(
		    r, line,
		    "%s has %zu bytes; %s and %s need %zu (%u of encryption, then %u "
		    "of integrity): " CONFIG_KEYS_HINT,
		    name, len, c->encr->name, c->integ->name, need, c->encr->key_len,
		    c->integ->key_len, need);
	c->key_len = len;
	return 0;
}

int config_read_spi(struct config_reading *r, cfg_t *sec, const char *name, uint32_t *out)
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
	if (c->ah && c->server.port)
		return config_fail(r, p ? p->line : i->line, "AH has no ports; remove the port");
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

/* AH covers the outer addresses, so that nothing may stand between them and it. */
static int read_connection_protocol(struct config_reading *r, cfg_t *sec,
				    struct config_connection *c)
{
	static const char *const protocols[] = {"esp", "ah", "ah-esp", "ah+esp", NULL};
	static const char *const encapsulations[] = {"udp", "esp", NULL};
	const struct config_item *i = config_field(sec, "encapsulation");
	unsigned word = 0;

	if (config_field_word(r, sec, "protocol", protocols, &word) < 0)
		return -1;
	c->ah = word != 0;
	c->bundle = word >= 2; /* "ah+esp" only in quotes: + is a sign of the syntax */
	if (c->ah && i)
		return config_fail(r, i->line,
				   "encapsulation: AH protects the outer addresses (RFC 4302), so "
				   "it goes neither in UDP nor through a NAT; remove "
				   "encapsulation, or write protocol = esp");
	word = 0;
	if (config_field_word(r, sec, "encapsulation", encapsulations, &word) < 0)
		return -1;
	c->udp = !c->ah && word == 0;
	return 0;
}

static int read_connection_ends(struct config_reading *r, cfg_t *sec, struct config_connection *c)
{
	const struct config_item *i;

	if (read_connection_protocol(r, sec, c) < 0)
		return -1;
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
	if (c->ah && c->care_of.port)
		return config_fail(r, i->line, "care-of: AH has no ports; remove the port");
	if (!c->udp && c->care_of.port)
		return config_fail(r, i->line,
				   "care-of: ESP without UDP has no ports; remove the "
				   "port, or write encapsulation = udp");
	if (c->udp && !c->care_of.port)
		c->care_of.port = ESP_PORT;
	return 0;
}

/* Without an IP header on the wire there is one address on either side: the terminal's home address
 * and the home server's inner one. */
static int read_connection_mode(struct config_reading *r, cfg_t *sec,
				const struct config_terminal *t, struct config_connection *c)
{
	static const char *const modes[] = {"tunnel", "transport", "beet", NULL};
	const struct config_item *i = config_field(sec, "mode");
	const struct config *cfg = r->cfg;
	bool server = cfg->role == ROLE_HOME_SERVER;
	unsigned word = 0;

	if (config_field_word(r, sec, "mode", modes, &word) < 0)
		return -1;
	c->mode = (enum sa_mode)word;
	if (c->mode == SA_TUNNEL)
		return 0;
	if (c->ah)
		return config_fail(r, i->line,
				   "mode %s is carried by ESP alone; write protocol = esp, or "
				   "mode = tunnel",
				   i->text);
	if (t->home_count != 1 || t->prefix_count)
		return config_fail(r, i->line,
				   "mode %s carries one address of the terminal; write one "
				   "home-address and no prefix, or mode = tunnel",
				   i->text);
	const struct addr *home = &t->homes[0], *agent = NULL;
	for (unsigned k = 0; !agent && k < cfg->home_agent_count; k++)
		if (cfg->home_agents[k].family == home->family)
			agent = &cfg->home_agents[k];
	if (!agent)
		return config_fail(r, i->line,
				   "mode %s needs the home server's fixed address; write "
				   "home-agent = ..., of home-address's family",
				   i->text);
	if (c->mode == SA_TRANSPORT && home->family != c->server.addr.family)
		return config_fail(r, i->line,
				   "mode transport: home-address is IPv%u and server IPv%u; write "
				   "both of one family, or mode = beet",
				   home->family, c->server.addr.family);
	if (c->mode == SA_TRANSPORT && addr_is_any(&c->server.addr))
		return config_fail(r, i->line,
				   "mode transport: checksums are made for the server's own "
				   "address; write listen and server = that, or mode = beet");
	if (addr_equal(agent, &c->server.addr))
		return config_fail(r, i->line,
				   "mode %s: home-agent is the server's outer address; give it an "
				   "address of its own for what goes inside",
				   i->text);
	c->fixed_local = server ? *agent : *home;
	c->fixed_remote = server ? *home : *agent;
	return 0;
}

/* Of ESP within AH: the same as AH's unless told, since an SPI is of one protocol. */
static int read_inner_spi(struct config_reading *r, cfg_t *sec, const struct config_connection *c,
			  const char *name, uint32_t of_ah, uint32_t *out)
{
	const struct config_item *i = config_field(sec, name);

	if (i && !c->bundle)
		return config_fail(r, i->line, "%s: only protocol = ah-esp has it; remove it",
				   name);
	*out = c->bundle ? of_ah : 0;
	return i ? config_read_spi(r, sec, name, out) : 0;
}

static int read_connection_keys(struct config_reading *r, cfg_t *sec, struct config_connection *c)
{
	const struct config_item *i = config_field(sec, "cipher");

	bool esp = !c->ah || c->bundle;
	if (!esp && i)
		return config_fail(r, i->line,
				   "cipher: AH encrypts nothing; remove it, or write protocol = "
				   "esp or ah-esp");
	if (esp)
		i = config_field_needed(r, sec, "cipher", "aes128-cbc");
	if (esp && (!i || config_value_alg(r, "cipher", i, false, &c->encr) < 0))
		return -1;
	i = config_field_needed(r, sec, "integrity",
				"hmac-sha-256-128 (no cipher of configured keys "
				"protects a packet from change)");
	if (!i || config_value_alg(r, "integrity", i, true, &c->integ) < 0)
		return -1;
	if (config_read_spi(r, sec, "spi-in", &c->spi_in) < 0 ||
	    config_read_spi(r, sec, "spi-out", &c->spi_out) < 0)
		return -1;
	if (read_inner_spi(r, sec, c, "esp-spi-in", c->spi_in, &c->esp_spi_in) < 0 ||
	    read_inner_spi(r, sec, c, "esp-spi-out", c->spi_out, &c->esp_spi_out) < 0)
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
	    config_field_bool(r, sec, "server-moves", &c->server_moves) < 0 ||
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

int config_name_check(struct config_reading *r, int line, const char *what, const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= CONN_NAME_MAX)
		return config_fail(r, line, "the name of a %s has 1 to %d characters", what,
				   CONN_NAME_MAX - 1);
	for (const char *p = name; *p; p++) {
		bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
		if (!letter && !(*p >= '0' && *p <= '9') && !strchr("-_.", *p))
			return config_fail(r, line,
					   "the name of a %s is made of letters, digits, - _ and .",
					   what);
	}
	if (!strcmp(name, "auto") || !strcmp(name, "home"))
		return config_fail(r, line, "%s is a word of `sojourn`; give the %s another name",
				   name, what);
	return 0;
}

int config_section_name(struct config_reading *r, cfg_t *sec)
{
	return config_name_check(r, sec->line, sec->name, sec->title);
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

/* --- places */

/* A section without keys. */
static bool is_place(struct config_reading *r, cfg_t *sec)
{
	static const char *const keys[] = {"cipher", "integrity", "spi-in",	 "spi-out",
					   "key-in", "key-out",	  "key-in-file", "key-out-file"};

	for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
		if (config_field(sec, keys[k]))
			return false;
	}
	return r->cfg->role == ROLE_TERMINAL && r->cfg->ike;
}

bool config_connections_keyed(struct config_reading *r, cfg_t *parent)
{
	for (unsigned k = 0; k < cfg_size(parent, "connection"); k++) {
		if (!is_place(r, cfg_getnsec(parent, "connection", k)))
			return true;
	}
	return false;
}

static struct config_place *place_add(struct config_terminal *t, const char *name, int line)
{
	struct config_place **end = &t->places, *p = mem_zalloc(sizeof(*p));

	while (*end)
		end = &(*end)->next;
	*end = p;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->line = line;
	return p;
}

static int read_place(struct config_reading *r, cfg_t *sec, struct config_terminal *t,
		      unsigned preference)
{
	static const char *const of_ike[] = {
	    "server",	     "port",	      "encapsulation",	  "esn",
	    "keepalive",     "replay-window", "lifetime-packets", "lifetime-bytes",
	    "lifetime-time", "mode",	      "server-moves",	  "protocol"};
	struct config_place *p = place_add(t, sec->title, sec->line);
	const struct config_item *network = config_field(sec, "network");

	for (size_t k = 0; k < ARRAY_LEN(of_ike); k++) {
		const struct config_item *i = config_field(sec, of_ike[k]);
		if (i)
			return config_fail(
			    r, i->line,
			    "%s: connection %s has no keys, so IKE makes it; what it "
			    "needs is in section ike, remove it here",
			    of_ike[k], sec->title);
	}
	p->preference = preference;
	if (config_field_interface(r, sec, "interface", p->interface) < 0 ||
	    (network && config_value_mac(r, "network", network, p->network.gateway) < 0))
		return -1;
	p->has_network = network != NULL;
	if (!network && !p->interface[0])
		return config_fail(r, sec->line,
				   "connection %s says neither interface nor network nor keys; "
				   "write interface = NAME, or leave it out",
				   sec->title);
	return 0;
}

static bool name_is_taken(const struct config_terminal *t, const char *name)
{
	for (const struct config_place *p = t->places; p; p = p->next) {
		if (!strcmp(p->name, name))
			return true;
	}
	for (const struct config_connection *c = t->connections; c; c = c->next) {
		if (!strcmp(c->name, name))
			return true;
	}
	return false;
}

/* `prefer` of section ike: interfaces in order, each a place of its own name. */
int config_places_read_prefer(struct config_reading *r, cfg_t *ike, struct config_terminal *t,
			      unsigned preference)
{
	const struct config_item *i;
	char name[IF_NAMESIZE];

	for (unsigned k = 0; (i = config_field_at(ike, "prefer", k)); k++) {
		if (k == CONFIG_LIST_MAX)
			return config_fail(r, i->line, "more than %d in prefer; remove some",
					   CONFIG_LIST_MAX);
		if (config_value_interface(r, "prefer", i, name) < 0 ||
		    config_name_check(r, i->line, "connection", name) < 0)
			return -1;
		if (name_is_taken(t, name))
			return config_fail(r, i->line,
					   "prefer: %s is already the name of a connection; write "
					   "it once",
					   name);
		struct config_place *p = place_add(t, name, i->line);
		memcpy(p->interface, name, sizeof(name));
		p->preference = preference + k;
	}
	return 0;
}

/* --- all of a terminal */

static int read_connection(struct config_reading *r, cfg_t *sec, struct config_terminal *t,
			   struct config_connection ***end, unsigned preference, uint32_t scope)
{
	struct config_connection *c = mem_zalloc(sizeof(*c));

	**end = c;
	*end = &c->next;
	c->line = sec->line;
	c->preference = preference;
	snprintf(c->name, sizeof(c->name), "%s", sec->title);
	if (read_connection_ends(r, sec, c) < 0 || read_connection_mode(r, sec, t, c) < 0 ||
	    read_connection_keys(r, sec, c) < 0 || read_connection_limits(r, sec, t, c) < 0)
		return -1;
	claim_spis(r, sec, c, scope);
	return 0;
}

int config_connections_read(struct config_reading *r, cfg_t *parent, struct config_terminal *t,
			    uint32_t scope)
{
	struct config_connection **end = &t->connections;
	unsigned count = cfg_size(parent, "connection");

	for (unsigned k = 0; k < count; k++) {
		cfg_t *sec = cfg_getnsec(parent, "connection", k);
		if (config_section_name(r, sec) < 0 || config_schema_check_connection(r, sec) < 0)
			return -1;
		if ((is_place(r, sec) ? read_place(r, sec, t, k)
				      : read_connection(r, sec, t, &end, k, scope)) < 0)
			return -1;
	}
	return 0;
}

void config_connections_free(struct config_terminal *t)
{
	for (struct config_connection *c = t->connections, *next; c; c = next) {
		next = c->next;
		mem_wipe(c, sizeof(*c));
		free(c);
	}
	for (struct config_place *p = t->places, *next; p; p = next) {
		next = p->next;
		free(p);
	}
}
