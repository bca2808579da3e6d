/* SPDX-License-Identifier: MIT */
/*
 * Pools: home addresses that a home server assigns to terminals without one of their own.
 *
 * A range is written "FROM-TO" or as a prefix; of an IPv4 prefix the first and the last address are
 * the network's and the broadcast's, of an IPv6 prefix the first is the routers' anycast address
 * (RFC 4291 2.6.1), and none of these is given to a terminal.  No state; control thread.
 */
#include <string.h>
#include "base/mem.h"
#include "daemon/config_field.h"
#include "daemon/config_field.h"
#include "daemon/config_section.h"

/* --- addresses as numbers */

/* The neighbour above (up) or below. */
static void addr_step(struct addr *a, bool up)
{
	for (size_t k = addr_len(a); k > 0; k--) {
		uint8_t was = a->b[k - 1];
		a->b[k - 1] = (uint8_t)(up ? was + 1 : was - 1);
		if (was != (up ? 0xff : 0))
			return;
	}
}

static struct config_range range_of_prefix(const struct prefix *p)
{
	struct config_range g = {.from = p->addr, .to = prefix_last(p)};
	size_t bits = addr_len(&p->addr) * 8;

	if (bits - p->len < 2)
		return g;
	addr_step(&g.from, true);
	if (p->addr.family == 4)
		addr_step(&g.to, false);
	return g;
}

/* --- ranges */

static int read_range(struct config_reading *r, const struct config_item *i,
		      struct config_range *out)
{
	char text[2 * ADDR_TEXT_MAX], shown[64];
	const char *dash = strchr(i->text, '-');
	struct prefix p;

	if (!dash) {
		if (config_value_prefix(r, "address", i, &p) < 0)
			return -1;
		*out = range_of_prefix(&p);
	} else {
		size_t n = (size_t)(dash - i->text);
		bool fits = i->len < sizeof(text);
		if (fits) {
			memcpy(text, i->text, i->len + 1);
			text[n] = '\0';
		}
		if (!fits || addr_parse(text, &out->from) < 0 ||
		    addr_parse(text + n + 1, &out->to) < 0 || out->from.family != out->to.family)
			return config_fail(r, i->line,
					   "address:%s is no range; write one like "
					   "\"10.1.0.100-10.1.0.200\" or \"10.2.0.0/16\"",
					   config_value_show(i, shown, sizeof(shown)));
	}
	if (addr_cmp(&out->from, &out->to) > 0)
		return config_fail(r, i->line,
				   "address: %s ends before it begins; write the lower address "
				   "first",
				   i->text);
	if (addr_is_any(&out->from) || addr_is_multicast(&out->from) || addr_is_multicast(&out->to))
		return config_fail(r, i->line,
				   "address: %s has addresses that belong to no node; write others",
				   i->text);
	return 0;
}

static bool has_home_agent(const struct config *c, uint8_t family)
{
	for (unsigned k = 0; k < c->home_agent_count; k++) {
		if (c->home_agents[k].family == family)
			return true;
	}
	return false;
}

/* Many terminals, many ranges, few pools: each with each. */
static int check_overlap(struct config_reading *r, const struct config_item *i,
			 const struct config_range *g)
{
	for (const struct config_pool *p = r->cfg->pools; p; p = p->next) {
		for (unsigned k = 0; k < p->range_count; k++) {
			const struct config_range *o = &p->ranges[k];
			if (o->from.family == g->from.family && addr_cmp(&o->from, &g->to) <= 0 &&
			    addr_cmp(&g->from, &o->to) <= 0)
				return config_fail(r, i->line,
						   "address: %s overlaps a range of pool %s (line "
						   "%d); an address belongs to one pool, once",
						   i->text, p->name, p->line);
		}
	}
	return 0;
}

static int read_ranges(struct config_reading *r, cfg_t *sec, struct config_pool *p)
{
	const struct config_item *i;

	if (!config_field_needed(r, sec, "address", "\"10.1.0.100-10.1.0.200\""))
		return -1;
	for (unsigned k = 0; (i = config_field_at(sec, "address", k)); k++) {
		struct config_range g;
		if (k == ARRAY_LEN(p->ranges))
			return config_fail(r, i->line, "more than %zu in address; remove some",
					   ARRAY_LEN(p->ranges));
		if (read_range(r, i, &g) < 0)
			return -1;
		if (!has_home_agent(r->cfg, g.from.family))
			return config_fail(r, i->line,
					   "address: %s is IPv%u and there is no IPv%u home-agent; "
					   "add our inner IPv%u address to home-agent",
					   i->text, g.from.family, g.from.family, g.from.family);
		if (check_overlap(r, i, &g) < 0)
			return -1;
		p->ranges[p->range_count++] = g;
	}
	return 0;
}

/* --- sections */

int config_read_dns(struct config_reading *r, cfg_t *sec, struct addr dns[CONFIG_DNS_MAX],
		    uint8_t *count)
{
	return config_field_addrs(r, sec, "dns", dns, CONFIG_DNS_MAX, count);
}

int config_pools_read(struct config_reading *r, cfg_t *root)
{
	struct config_pool **end = &r->cfg->pools;
	unsigned count = cfg_size(root, "pool");
	const struct config_ike *ike = r->cfg->ike;

	for (unsigned k = 0; k < count; k++) {
		cfg_t *sec = cfg_getnsec(root, "pool", k);
		struct config_pool *p = mem_zalloc(sizeof(*p));
		*end = p;
		end = &p->next;
		p->line = sec->line;
		if (config_section_name(r, sec) < 0)
			return -1;
		snprintf(p->name, sizeof(p->name), "%s", sec->title);
		if (!ike)
			return config_fail(r, sec->line,
					   "pool %s: addresses are assigned by IKE and there is no "
					   "section ike; write ike { id = ... }",
					   p->name);
		memcpy(p->dns, ike->dns, sizeof(p->dns));
		p->dns_count = ike->dns_count;
		memcpy(p->subnets, ike->subnets, sizeof(p->subnets));
		p->subnet_count = ike->subnet_count;
		if (read_ranges(r, sec, p) < 0 ||
		    config_read_dns(r, sec, p->dns, &p->dns_count) < 0 ||
		    config_field_prefixes(r, sec, "subnets", p->subnets, CONFIG_SUBNETS_MAX,
					  &p->subnet_count) < 0)
			return -1;
	}
	return 0;
}

void config_pools_free(struct config_pool *list)
{
	for (struct config_pool *p = list, *next; p; p = next) {
		next = p->next;
		free(p);
	}
}

static bool prefixes_equal(const struct prefix *a, const struct prefix *b, unsigned count)
{
	for (unsigned k = 0; k < count; k++) {
		if (!prefix_equal(&a[k], &b[k]))
			return false;
	}
	return true;
}

bool config_pool_equal(const struct config_pool *a, const struct config_pool *b)
{
	if (!a || !b)
		return a == b;
	return !strcmp(a->name, b->name) && a->range_count == b->range_count &&
	       !memcmp(a->ranges, b->ranges, a->range_count * sizeof(a->ranges[0])) &&
	       a->dns_count == b->dns_count &&
	       !memcmp(a->dns, b->dns, a->dns_count * sizeof(a->dns[0])) &&
	       a->subnet_count == b->subnet_count &&
	       prefixes_equal(a->subnets, b->subnets, a->subnet_count);
}
