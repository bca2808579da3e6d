/* SPDX-License-Identifier: MIT */
/*
 * What no single option of a configuration can tell: what two may not share, what must fit
 * together, and, between two configurations, what a reload changes.
 *
 * The readers note what only one may have as claims; here they are sorted and neighbours
 * compared, so that a home server of many thousand terminals is checked in a moment.  No state;
 * control thread.
 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "daemon/config_parse.h"
#include "daemon/config_section.h"

void config_claim(struct config_reading *r, const struct config_claim *claim)
{
	if (r->claim_count == r->claim_room) {
		size_t room = r->claim_room ? r->claim_room * 2 : 64;
		struct config_claim *more = mem_zalloc(room * sizeof(*more));
		if (r->claim_count)
			memcpy(more, r->claims, r->claim_count * sizeof(*more));
		free(r->claims);
		r->claims = more;
		r->claim_room = room;
	}
	r->claims[r->claim_count++] = *claim;
}

static int identity_compare(const struct identity *a, const struct identity *b)
{
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	if (a->type == IDENTITY_FQDN || a->type == IDENTITY_EMAIL)
		return strncasecmp((const char *)a->data, (const char *)b->data, a->len);
	return memcmp(a->data, b->data, a->len);
}

static int claim_compare_what(const struct config_claim *a, const struct config_claim *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->kind == CLAIM_IDENTITY)
		return identity_compare(a->identity, b->identity);
	if (a->kind == CLAIM_EAP)
		return strcmp(a->user, b->user);
	if (a->spi != b->spi)
		return a->spi < b->spi ? -1 : 1;
	if (a->scope != b->scope)
		return a->scope < b->scope ? -1 : 1;
	int server = memcmp(&a->server, &b->server, sizeof(a->server));
	if (server)
		return server;
	if (a->prefix.len != b->prefix.len)
		return a->prefix.len < b->prefix.len ? -1 : 1;
	return memcmp(&a->prefix.addr, &b->prefix.addr, sizeof(a->prefix.addr));
}

static int claim_compare(const void *pa, const void *pb)
{
	const struct config_claim *a = pa, *b = pb;
	int what = claim_compare_what(a, b);

	return what ? what : (a->line > b->line) - (a->line < b->line);
}

static int claim_refuse(struct config_reading *r, const struct config_claim *first,
			const struct config_claim *second)
{
	char text[PREFIX_TEXT_MAX];

	switch (second->kind) {
	case CLAIM_SPI_IN:
		return config_fail(r, second->line,
				   "spi-in 0x%" PRIx32 " is already that of connection %s (line "
				   "%d); give each connection its own",
				   second->spi, first->owner, first->line);
	case CLAIM_SPI_OUT:
		return config_fail(r, second->line,
				   "spi-out 0x%" PRIx32 " is already that of connection %s (line "
				   "%d) with the same peer; give each connection its own",
				   second->spi, first->owner, first->line);
	case CLAIM_IDENTITY:
		return config_fail(
		    r, second->line,
		    "id is already that of terminal %s (line %d); give each terminal "
		    "its own",
		    first->owner, first->line);
	case CLAIM_EAP:
		return config_fail(r, second->line,
				   "eap-identity is already that of terminal %s (line %d); give "
				   "each terminal its own user",
				   first->owner, first->line);
	case CLAIM_PREFIX:
		return config_fail(r, second->line,
				   "%s is already that of terminal %s (line %d); a home address or "
				   "prefix belongs to one terminal, once",
				   prefix_format(&second->prefix, text), first->owner, first->line);
	}
	return -1;
}

/* Of several, the one that comes first in the file. */
static int check_claims(struct config_reading *r)
{
	const struct config_claim *first = NULL, *second = NULL;

	if (!r->claim_count)
		return 0;
	qsort(r->claims, r->claim_count, sizeof(*r->claims), claim_compare);
	for (size_t k = 1; k < r->claim_count; k++) {
		const struct config_claim *a = &r->claims[k - 1], *b = &r->claims[k];
		if (claim_compare_what(a, b) == 0 && (!second || b->line < second->line)) {
			first = a;
			second = b;
		}
	}
	return second ? claim_refuse(r, first, second) : 0;
}

static bool terminal_has_family(const struct config_terminal *t, uint8_t family)
{
	for (unsigned k = 0; k < t->home_count; k++) {
		if (t->homes[k].family == family)
			return true;
	}
	return false;
}

/* The home server's outer address, alone? */
static bool is_server(const struct config *c, const struct prefix *p)
{
	for (const struct config_connection *x = c->terminals->connections; x; x = x->next) {
		struct prefix server = prefix_host(&x->server.addr);
		if (prefix_equal(p, &server))
			return true;
	}
	for (unsigned k = 0; c->ike && k < c->ike->server_count; k++) {
		struct prefix server = prefix_host(&c->ike->servers[k].addr);
		if (server.addr.family && prefix_equal(p, &server))
			return true;
	}
	return false;
}

static int check_routes(struct config_reading *r)
{
	const struct config *c = r->cfg;
	const struct config_terminal *t = c->terminals;
	char text[PREFIX_TEXT_MAX];

	for (unsigned k = 0; k < c->route_count; k++) {
		const struct prefix *p = &c->routes[k];
		if (t->home_count && !terminal_has_family(t, p->addr.family))
			return config_fail(r, r->routes_line,
					   "routes: %s is IPv%u and there is no IPv%u home-address "
					   "to send from; add one or remove the route",
					   prefix_format(p, text), p->addr.family, p->addr.family);
		if (is_server(c, p))
			return config_fail(r, r->routes_line,
					   "routes: %s is the home server's outer address, which "
					   "cannot be reached through itself; remove the route",
					   prefix_format(p, text));
	}
	return 0;
}

static int check_home(struct config_reading *r)
{
	const struct config *c = r->cfg;
	const struct config_terminal *t = c->terminals;
	char text[PREFIX_TEXT_MAX];

	if (c->has_home && !t->home_count)
		return config_fail(r, r->home_line,
				   "section home without home-address: at home it is needed before "
				   "anybody could assign one; write home-address = ...");
	for (unsigned k = 0; c->has_home && k < t->home_count; k++) {
		if (prefix_contains(&c->home_prefix, &t->homes[k]))
			return 0;
	}
	return !c->has_home ? 0
			    : config_fail(r, r->home_line,
					  "no home-address is in the home link's prefix %s; write "
					  "the prefix of the link where home-address belongs",
					  prefix_format(&c->home_prefix, text));
}

int config_check(struct config_reading *r)
{
	if (check_claims(r) < 0)
		return -1;
	if (r->cfg->role == ROLE_HOME_SERVER)
		return 0;
	if (check_routes(r) < 0)
		return -1;
	return check_home(r);
}

uint32_t config_overhead_max(const struct config *cfg)
{
	for (const struct config_terminal *t = cfg->terminals; t; t = t->next) {
		for (const struct config_connection *c = t->connections; c; c = c->next) {
			if (c->bundle)
				return CONFIG_OVERHEAD_BUNDLE;
		}
	}
	return CONFIG_OVERHEAD_MAX;
}

/* --- between two configurations */

bool config_connection_equal(const struct config_connection *a, const struct config_connection *b)
{
	return !strcmp(a->name, b->name) && !strcmp(a->interface, b->interface) &&
	       a->has_network == b->has_network &&
	       !memcmp(&a->network, &b->network, sizeof(a->network)) &&
	       endpoint_equal(&a->care_of, &b->care_of) && endpoint_equal(&a->server, &b->server) &&
	       a->mode == b->mode && addr_equal(&a->fixed_local, &b->fixed_local) &&
	       addr_equal(&a->fixed_remote, &b->fixed_remote) &&
	       a->server_moves == b->server_moves && a->udp == b->udp && a->ah == b->ah &&
	       a->esp_spi_in == b->esp_spi_in && a->esp_spi_out == b->esp_spi_out &&
	       a->encr == b->encr && a->integ == b->integ && a->spi_in == b->spi_in &&
	       a->spi_out == b->spi_out && a->key_len == b->key_len &&
	       mem_equal(a->key_in, b->key_in, a->key_len) &&
	       mem_equal(a->key_out, b->key_out, a->key_len) && a->esn == b->esn &&
	       a->replay_packets == b->replay_packets && a->soft_packets == b->soft_packets &&
	       a->hard_packets == b->hard_packets && a->soft_bytes == b->soft_bytes &&
	       a->hard_bytes == b->hard_bytes && a->lifetime_s == b->lifetime_s &&
	       a->keepalive_s == b->keepalive_s;
}

bool config_place_equal(const struct config_place *a, const struct config_place *b)
{
	return !strcmp(a->name, b->name) && a->preference == b->preference &&
	       !strcmp(a->interface, b->interface) && a->has_network == b->has_network &&
	       !memcmp(&a->network, &b->network, sizeof(a->network));
}

bool config_terminal_equal(const struct config_terminal *a, const struct config_terminal *b)
{
	if (strcmp(a->name, b->name) != 0 || a->home_count != b->home_count ||
	    a->prefix_count != b->prefix_count)
		return false;
	for (unsigned k = 0; k < a->home_count; k++) {
		if (!addr_equal(&a->homes[k], &b->homes[k]))
			return false;
	}
	for (unsigned k = 0; k < a->prefix_count; k++) {
		if (!prefix_equal(&a->prefixes[k], &b->prefixes[k]))
			return false;
	}
	return a->registration_spi == b->registration_spi &&
	       a->registration_key_len == b->registration_key_len &&
	       mem_equal(a->registration_key, b->registration_key, a->registration_key_len) &&
	       a->lifetime_s == b->lifetime_s && a->replay_packets == b->replay_packets &&
	       a->connections_max == b->connections_max && config_ncast_equal(a, b) &&
	       config_pool_equal(a->pool, b->pool);
}

static bool addrs_equal(const struct addr *a, unsigned a_count, const struct addr *b,
			unsigned b_count)
{
	if (a_count != b_count)
		return false;
	for (unsigned k = 0; k < a_count; k++) {
		if (!addr_equal(&a[k], &b[k]))
			return false;
	}
	return true;
}

static bool homes_equal(const struct config *a, const struct config *b)
{
	return a->has_home == b->has_home && prefix_equal(&a->home_prefix, &b->home_prefix) &&
	       addr_equal(&a->home_gateway, &b->home_gateway) &&
	       !strcmp(a->home_interface, b->home_interface) &&
	       a->has_home_network == b->has_home_network &&
	       !memcmp(&a->home_network, &b->home_network, sizeof(a->home_network));
}

/* The engine is made once. */
static const char *ike_fixed_difference(const struct config_ike *a, const struct config_ike *b)
{
	if (!a || !b)
		return !a == !b ? NULL : "section ike";
	const struct ike_config *x = &a->engine, *y = &b->engine;
	const struct {
		bool differs;
		const char *name;
	} fixed[] = {
	    {a->port != b->port, "port of section ike"},
	    {x->half_open_max != y->half_open_max, "half-open-max"},
	    {x->half_open_cookie != y->half_open_cookie, "cookie-threshold"},
	    {x->half_open_per_addr != y->half_open_per_addr, "half-open-per-address"},
	    {x->half_open_us != y->half_open_us, "half-open-time"},
	    {x->retransmit_us != y->retransmit_us, "retransmit-time"},
	    {x->retransmits != y->retransmits, "retransmit-tries"},
	    {x->fragment_len != y->fragment_len, "fragment-size"},
	    {x->sas_max != y->sas_max, "ike-sas-max"},
	    {x->wireshark != y->wireshark, "wireshark-keys"},
	};

	for (size_t k = 0; k < ARRAY_LEN(fixed); k++) {
		if (fixed[k].differs)
			return fixed[k].name;
	}
	return NULL;
}

const char *config_fixed_difference(const struct config *a, const struct config *b)
{
	const struct {
		bool differs;
		const char *name;
	} fixed[] = {
	    {a->role != b->role, "role"},
	    {strcmp(a->user, b->user) != 0, "user"},
	    {strcmp(a->root, b->root) != 0, "root"},
	    {strcmp(a->tun, b->tun) != 0, "tun"},
	    {a->mtu != b->mtu, "mtu"},
	    {a->offload != b->offload, "offload"},
	    {a->df != b->df, "df"},
	    {a->library != b->library, "packet-crypto"},
	    {a->workers != b->workers, "workers"},
	    {strcmp(a->control, b->control) != 0, "control"},
	    {a->control_mode != b->control_mode, "control-mode"},
	    {strcmp(a->control_group, b->control_group) != 0, "control-group"},
	    {a->mark != b->mark, "mark"},
	    {a->table != b->table, "table"},
	    {a->port != b->port, "port"},
	    {!addrs_equal(a->home_agents, a->home_agent_count, b->home_agents, b->home_agent_count),
	     "home-agent"},
	    {!addrs_equal(a->listen, a->listen_count, b->listen, b->listen_count), "listen"},
	    {strcmp(a->home_link, b->home_link) != 0, "home-link"},
	    {a->announce_moves != b->announce_moves, "announce-moves"},
	    {!homes_equal(a, b), "home"},
	};

	for (size_t k = 0; k < ARRAY_LEN(fixed); k++) {
		if (fixed[k].differs)
			return fixed[k].name;
	}
	return ike_fixed_difference(a->ike, b->ike);
}
