/* SPDX-License-Identifier: MIT */
/*
 * Section ike of a configuration: what concerns IKEv2 as a whole.  What concerns one peer, and may
 * stand in a terminal's section too, is config_peer.c's.
 *
 * Ownership: struct config_ike hangs on the configuration; peers hold its credentials, too.  No
 * state; control thread.
 */
#include <stddef.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/config_field.h"
#include "daemon/config_schema.h"
#include "daemon/config_section.h"

#define IKE_PORT	   500
#define IKE_PORT_NATT	   4500
#define SPARES_TERMINAL	   2
#define SPARES_HOME_SERVER 8

/* --- servers */

/* RFC 1123 2.1: labels of letters, digits and inner hyphens; the last not a number, which would be
 * a mistyped address. */
static bool is_host_name(const char *s)
{
	const char *label = s;
	bool number = true;
	size_t len = strlen(s);

	if (!len || len >= CONFIG_HOST_MAX)
		return false;
	for (const char *p = s;; p++) {
		if (*p == '.' || !*p) {
			size_t n = (size_t)(p - label);
			if (!n || n > 63 || label[0] == '-' || label[n - 1] == '-')
				return false;
			if (!*p)
				return !number;
			label = p + 1;
			number = true;
			continue;
		}
		bool digit = *p >= '0' && *p <= '9';
		if (!digit && !(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && *p != '-')
			return false;
		number &= digit;
	}
}

static bool server_parse(const struct config_item *i, struct config_server *s)
{
	char text[CONFIG_HOST_MAX + 8], *port = NULL, *end = NULL;
	unsigned long p = IKE_PORT_NATT;

	if (i->len >= sizeof(text))
		return false;
	memcpy(text, i->text, i->len + 1);
	char *host = addr_parse(text, &s->addr) == 0 ? text : config_value_split(text, &port);
	if (port)
		p = *port >= '0' && *port <= '9' ? strtoul(port, &end, 10) : 0;
	if (p < 1 || p > UINT16_MAX || (end && *end) || strlen(host) >= sizeof(s->name))
		return false;
	memcpy(s->name, host, strlen(host) + 1);
	s->port = (uint16_t)p;
	if (addr_parse(host, &s->addr) == 0)
		return !addr_is_any(&s->addr) && !addr_is_multicast(&s->addr);
	s->addr = (struct addr){0};
	return is_host_name(host);
}

static int read_servers(struct config_reading *r, cfg_t *sec, struct config_ike *ike)
{
	const struct config_item *i;
	char shown[64];

	if (!config_field(sec, "server"))
		return config_fail(r, sec->line,
				   "section ike has no server; write the home server's name or "
				   "address, like server = \"vpn.example.org\"");
	for (unsigned k = 0; (i = config_field_at(sec, "server", k)); k++) {
		struct config_server *s = &ike->servers[k];
		if (k == CONFIG_SERVERS_MAX)
			return config_fail(r, i->line, "more than %d in server; remove some",
					   CONFIG_SERVERS_MAX);
		if (!server_parse(i, s))
			return config_fail(r, i->line,
					   "server:%s is neither a name nor an address; write one "
					   "like \"vpn.example.org\", \"203.0.113.1:500\" or "
					   "\"[2001:db8::1]:4500\"",
					   config_value_show(i, shown, sizeof(shown)));
		for (unsigned j = 0; j < k; j++) {
			if (!strcmp(ike->servers[j].name, s->name) &&
			    ike->servers[j].port == s->port)
				return config_fail(
				    r, i->line, "server: %s is there twice; remove one", i->text);
		}
		ike->server_count = (uint8_t)(k + 1);
	}
	return 0;
}

/* --- the engine's numbers */

struct time_option {
	const char *name;
	uint64_t min, max;
	usec_t unit_us;
	size_t offset;
};

static int read_engine(struct config_reading *r, cfg_t *sec, struct ike_config *e)
{
	static const struct config_number numbers[] = {
	    CONFIG_NUMBER(ike_config, half_open_max, "half-open-max", 16, 1u << 20),
	    CONFIG_NUMBER(ike_config, half_open_cookie, "cookie-threshold", 0, 1u << 20),
	    CONFIG_NUMBER(ike_config, half_open_per_addr, "half-open-per-address", 1, 1u << 16),
	    CONFIG_NUMBER(ike_config, sas_max, "ike-sas-max", 1, 10000000),
	    CONFIG_NUMBER(ike_config, retransmits, "retransmit-tries", 1, 20),
	    /* IPv4's and IPv6's least reassembly sizes, less headers, are above 512 */
	    CONFIG_NUMBER(ike_config, fragment_len, "fragment-size", 512, 8192),
	};
	static const struct time_option times[] = {
	    {"retransmit-time", 50, 10000, USEC_PER_MS, offsetof(struct ike_config, retransmit_us)},
	    {"half-open-time", 5, 300, USEC_PER_SEC, offsetof(struct ike_config, half_open_us)},
	};

	ike_config_defaults(e);
	for (size_t k = 0; k < ARRAY_LEN(times); k++) {
		const struct time_option *t = &times[k];
		const struct config_item *i = config_field(sec, t->name);
		uint64_t v;
		if (!i)
			continue;
		if (config_value_number(r, t->name, i, t->min, t->max, &v) < 0)
			return -1;
		usec_t us = (usec_t)v * t->unit_us;
		memcpy((char *)e + t->offset, &us, sizeof(us));
	}
	if (config_field_numbers(r, sec, e, numbers, ARRAY_LEN(numbers)) < 0)
		return -1;
	return config_field_bool(r, sec, "wireshark-keys", &e->wireshark);
}

/* --- the section */

/* Who we are to every terminal. */
static int read_id(struct config_reading *r, cfg_t *sec, struct config_ike *ike)
{
	const struct config_item *i = config_field(sec, "id");

	if (!i)
		return config_fail(r, sec->line,
				   "section ike has no id; write the name that terminals know this "
				   "home server by, like id = \"vpn.example.org\"");
	ike->id = config_read_identity(r, "id", i, false);
	if (!ike->id)
		return -1;
	if (ike->credentials->own && !cert_own_has_identity(ike->credentials->own, ike->id))
		return config_fail(r, i->line,
				   "id is not in the certificate; write its subject or one of its "
				   "subjectAltNames (`openssl x509 -noout -text` shows them)");
	return 0;
}

static int read_lists(struct config_reading *r, cfg_t *sec, struct config_ike *ike)
{
	if (config_read_dns(r, sec, ike->dns, &ike->dns_count) < 0)
		return -1;
	return config_field_prefixes(r, sec, "subnets", ike->subnets, CONFIG_SUBNETS_MAX,
				     &ike->subnet_count);
}

int config_ike_read(struct config_reading *r, cfg_t *root)
{
	static const struct config_number numbers[] = {
	    CONFIG_NUMBER(config_ike, port, "port", 1, UINT16_MAX),
	    CONFIG_NUMBER(config_ike, spares, "spares", 0, CONFIG_SPARES_MAX),
	};
	bool server = r->cfg->role == ROLE_HOME_SERVER;

	if (!cfg_size(root, "ike"))
		return 0;
	cfg_t *sec = cfg_getnsec(root, "ike", 0);
	if (cfg_size(root, "ike") > 1)
		return config_fail(r, cfg_getnsec(root, "ike", 1)->line,
				   "a second section ike; a node has one, remove one");
	struct config_ike *ike = r->cfg->ike = mem_zalloc(sizeof(*ike));
	ike->line = sec->line;
	ike->port = IKE_PORT;
	ike->start = true;
	ike->spares = server ? SPARES_HOME_SERVER : SPARES_TERMINAL;
	ike->credentials = mem_zalloc(sizeof(*ike->credentials));
	ike->credentials->refs = 1;
	if (config_schema_check_ike(r, sec) < 0 || read_engine(r, sec, &ike->engine) < 0 ||
	    config_field_numbers(r, sec, ike, numbers, ARRAY_LEN(numbers)) < 0 ||
	    config_field_bool(r, sec, "start", &ike->start) < 0)
		return -1;
	if (ike->port == r->cfg->port)
		return config_fail(
		    r, (config_field(sec, "port") ? config_field(sec, "port")->line : sec->line),
		    "port %u of section ike is also that of encapsulated packets "
		    "(port outside of the sections); write another",
		    ike->port);
	if (!server && read_servers(r, sec, ike) < 0)
		return -1;
	if (config_credentials_read(r, sec, ike->credentials) < 0)
		return -1;
	if (!server)
		return 0;
	if (read_id(r, sec, ike) < 0 ||
	    config_read_proposals(r, sec, "proposals", SUITE_IKE, &ike->proposals) < 0)
		return -1;
	return read_lists(r, sec, ike);
}

void config_ike_free(struct config_ike *ike)
{
	if (!ike)
		return;
	config_peer_free(ike->eap);
	config_credentials_unref(ike->credentials);
	free(ike->id);
	free(ike);
}
