/* SPDX-License-Identifier: MIT */
/*
 * The steward's instances, their addresses and their lines.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/home_terminal.h"
#include "daemon/steward_state.h"

#define ID_MAX (IDENTITY_MAX + 1 + 18) /* with an address and a port */

/* --- instances */

/* L2TP's clients are called as their private address is, which others behind their NAT, or behind
 * another one, have as well: they are told apart by where they come from. */
static size_t place_of(const struct ike_sa *sa, uint8_t *out)
{
	const struct endpoint *at = &ike_sa_path(sa)->remote;
	size_t len = addr_len(&at->addr);
	memcpy(out, at->addr.b, len);
	out[len++] = (uint8_t)(at->port >> 8);
	out[len++] = (uint8_t)at->port;
	return len;
}

/* What makes it the same one again: the terminal of the configuration, or the identity that fitted
 * a pattern (names without case). */
static size_t instance_id(const struct sw_entry *e, const struct ike_sa *sa, uint8_t out[ID_MAX])
{
	const char *user = ike_sa_eap_identity(sa);
	const struct identity *id = ike_sa_remote_id(sa);
	const void *data = e->t->name;
	size_t len = strlen(e->t->name);
	out[0] = 0;
	if (e->t->peer->is_pattern && user[0]) {
		out[0] = 0xff;
		data = user;
		len = strlen(user);
	} else if (e->t->peer->is_pattern && id) {
		out[0] = id->type;
		data = id->data;
		len = id->len;
	}
	if (len > IDENTITY_MAX)
		len = IDENTITY_MAX;
	memcpy(out + 1, data, len);
	for (size_t i = 1; i <= len; i++)
		if (out[0] == IDENTITY_FQDN || out[0] == IDENTITY_EMAIL)
			out[i] = (uint8_t)tolower(out[i]);
	if (e->t->peer->peer.child.transport && e->t->peer->is_pattern &&
	    (out[0] == IDENTITY_IP4 || out[0] == IDENTITY_IP6))
		len += place_of(sa, out + 1 + len);
	return len + 1;
}

static uint64_t hash_id(const struct steward *s, const struct sw_entry *e, const uint8_t *id,
			size_t len)
{
	return hash_bytes(s->seed ^ (uintptr_t)e, id, len);
}

static struct sw_instance *instance_find(const struct steward *s, const struct sw_entry *e,
					 const uint8_t *id, size_t len)
{
	struct hash_link *l = hash_find(&s->ids, hash_id(s, e, id, len));
	for (; l; l = hash_next(l)) {
		struct sw_instance *i = hash_owner(l, struct sw_instance, by_id);
		if (i->entry == e && i->id_len == len && memcmp(i->id, id, len) == 0)
			return i;
	}
	return NULL;
}

static bool name_is_taken(const struct steward *s, const char *name)
{
	struct hash_link *l =
	    hash_find(&s->instance_names, hash_bytes(s->seed, name, strlen(name)));
	for (; l; l = hash_next(l))
		if (strcmp(hash_owner(l, struct sw_instance, by_name)->name, name) == 0)
			return true;
	return entry_named(s, name) || registrar_find(s->registrar, name);
}

/* Of somebody who fits a pattern: his identity, of a distinguished name the common name. */
static void instance_name(const struct steward *s, struct sw_instance *i, const struct ike_sa *sa)
{
	char text[IDENTITY_MAX] = "", *from = text, *end;
	const struct identity *id = ike_sa_remote_id(sa);
	if (ike_sa_eap_identity(sa)[0])
		snprintf(text, sizeof text, "%s", ike_sa_eap_identity(sa));
	else if (id)
		identity_format(id, text, sizeof text);
	if (id && id->type == IDENTITY_DN && (from = strstr(text, "CN="))) {
		from += 3;
		if ((end = strchr(from, ',')))
			*end = '\0';
	}
	for (char *c = from ? from : text; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '_';
	snprintf(i->name, sizeof i->name, "%.*s", CONN_NAME_MAX - 1, from ? from : text);
	/* Of many with the same one, each is told apart by what is not shown of it. */
	uint64_t n = hash_bytes(0, i->id, i->id_len);
	for (; !i->name[0] || name_is_taken(s, i->name); n++)
		snprintf(i->name, sizeof i->name, "%.*s#%08" PRIx32, CONN_NAME_MAX - 12,
			 from ? from : text, (uint32_t)n);
}

static struct sw_instance *instance_of(struct steward *s, struct sw_entry *e,
				       const struct ike_sa *sa)
{
	uint8_t id[ID_MAX];
	size_t len = instance_id(e, sa, id);
	struct sw_instance *i = instance_find(s, e, id, len);
	if (i)
		return i;
	i = mem_zalloc(sizeof *i + len);
	i->entry = e;
	i->id_len = (uint16_t)len;
	memcpy(i->id, id, len);
	if (e->t->peer->is_pattern)
		instance_name(s, i, sa);
	else
		snprintf(i->name, sizeof i->name, "%s", e->t->name);
	i->next = e->instances;
	if (i->next)
		i->next->prev = i;
	e->instances = i;
	hash_add(&s->ids, &i->by_id, hash_id(s, e, id, len));
	hash_add(&s->instance_names, &i->by_name, hash_bytes(s->seed, i->name, strlen(i->name)));
	s->instance_count++;
	return i;
}

static void homes_give(struct sw_instance *i, const struct addr *homes, uint8_t count)
{
	for (uint8_t k = 0; i->entry->pool && k < count; k++)
		pool_give(i->entry->pool, &homes[k]);
}

static void instance_free(struct steward *s, struct sw_instance *i)
{
	if (i->made) {
		homes_give(i, i->rt->homes, i->rt->home_count);
		registrar_remove(s->registrar, i->rt);
	}
	*(i->prev ? &i->prev->next : &i->entry->instances) = i->next;
	if (i->next)
		i->next->prev = i->prev;
	hash_remove(&s->ids, &i->by_id);
	hash_remove(&s->instance_names, &i->by_name);
	s->instance_count--;
	free(i);
}

unsigned instance_close(struct steward *s, struct sw_instance *i, const char *why, bool at_once,
			usec_t now_us)
{
	struct ike_sa *list[STEWARD_LINES_MAX + 1];
	unsigned count = 0;
	/* The instance goes with its last line, perhaps at once. */
	for (struct sw_line *l = i->lines; l && count < ARRAY_LEN(list); l = l->next) {
		l->closing = true;
		list[count++] = l->sa;
	}
	for (unsigned k = 0; k < count; k++)
		ike_sa_close(s->engine, list[k], why, at_once, now_us);
	return count;
}

void entry_end_instances(struct steward *s, struct sw_entry *e, usec_t now_us)
{
	struct sw_line *l;
	while (e->instances && (l = e->instances->lines))
		line_end(s, l, now_us);
}

/* --- addresses */

/* Of each family that its pool has, one; returns how many. */
static uint8_t homes_take(struct sw_instance *i, const struct addr *wishes, struct addr homes[2])
{
	uint8_t count = 0;
	for (unsigned k = 0; i->entry->pool && k < 2; k++)
		if (pool_take(i->entry->pool, i->id, i->id_len, k ? 6 : 4,
			      wishes && wishes[k].family ? &wishes[k] : NULL, &homes[count]) == 0)
			count++;
	return count;
}

/* wishes: one of IPv4, one of IPv6; NULL: none. */
static bool homes_find(struct steward *s, struct sw_instance *i, const struct addr *wishes)
{
	const struct config_terminal *t = i->entry->t;
	if (i->rt)
		return true;
	if (t->home_count && (i->rt = registrar_find(s->registrar, t->name))) {
		i->configured = i->rt->peer;
		return true;
	}
	struct addr taken[2] = {{0}};
	const struct addr *homes = t->home_count ? t->homes : taken;
	uint8_t count = t->home_count ? t->home_count : homes_take(i, wishes, taken);
	struct registrar_terminal *rt =
	    home_terminal_new(t, i->name, homes, count, s->ops.wall_us(s->ops.ctx));
	if (count && registrar_add(s->registrar, rt) == 0) {
		i->rt = rt;
		i->made = true;
		return true;
	}
	log_error(s->log, "steward: no address for terminal=%s: %s", i->name,
		  count		   ? "its home address is another's"
		  : i->entry->pool ? "its pool is used up"
				   : "it has neither a home address nor a pool");
	homes_give(i, homes, count);
	registrar_terminal_free(rt);
	return false;
}

bool instance_has_homes(struct steward *s, struct sw_instance *i)
{
	return homes_find(s, i, NULL);
}

static bool reply_add(struct ike_cp *reply, uint16_t attr, const void *value, size_t len,
		      uint8_t extra)
{
	if (reply->count == IKE_CP_MAX)
		return false;
	memcpy(reply->at[reply->count].value, value, len);
	if (attr == IKE_CP_IP6_ADDRESS || attr == IKE_CP_IP6_SUBNET)
		reply->at[reply->count].value[len++] = extra;
	reply->at[reply->count].attr = attr;
	reply->at[reply->count++].len = (uint8_t)len;
	return true;
}

static void reply_addr(struct ike_cp *reply, uint16_t attr4, uint16_t attr6, const struct addr *a)
{
	reply_add(reply, a->family == 4 ? attr4 : attr6, a->b, addr_len(a), 128);
}

static void reply_subnet(struct ike_cp *reply, const struct prefix *p)
{
	uint8_t value[16];
	size_t len = addr_len(&p->addr);
	memcpy(value, p->addr.b, len);
	for (unsigned i = 0; p->addr.family == 4 && i < 4; i++) /* its mask */
		value[len++] = (uint8_t)(p->len >= 8 * (i + 1) ? 0xff
					 : p->len <= 8 * i     ? 0
							       : 0xff << (8 * (i + 1) - p->len));
	reply_add(reply, p->addr.family == 4 ? IKE_CP_IP4_SUBNET : IKE_CP_IP6_SUBNET, value, len,
		  p->len);
}

static unsigned asked(const struct ike_cp *request, uint16_t attr, struct addr *wish)
{
	unsigned count = 0;
	for (uint8_t i = 0; i < request->count; i++) {
		if (request->at[i].attr != attr)
			continue;
		count++;
		if (wish && request->at[i].len >= (attr == IKE_CP_IP4_ADDRESS ? 4 : 16))
			*wish = addr_from_bytes(attr == IKE_CP_IP4_ADDRESS ? 4 : 6,
						request->at[i].value);
	}
	return count;
}

static void reply_rest(const struct steward *s, const struct sw_instance *i,
		       const struct ike_cp *request, struct ike_cp *reply)
{
	const struct config_pool *p = i->entry->t->pool;
	const struct config_ike *ike = s->cfg->ike;
	const struct addr *dns = p ? p->dns : ike->dns;
	const struct prefix *subnets = p ? p->subnets : ike->subnets;
	uint8_t dns_count = p ? p->dns_count : ike->dns_count,
		subnet_count = p ? p->subnet_count : ike->subnet_count;
	for (uint8_t k = 0; k < dns_count; k++)
		if (asked(request, dns[k].family == 4 ? IKE_CP_IP4_DNS : IKE_CP_IP6_DNS, NULL))
			reply_addr(reply, IKE_CP_IP4_DNS, IKE_CP_IP6_DNS, &dns[k]);
	for (uint8_t k = 0; k < subnet_count; k++)
		reply_subnet(reply, &subnets[k]);
}

uint16_t steward_assign(struct steward *s, struct ike_sa *sa, const struct ike_cp *request,
			struct ike_cp *reply)
{
	struct sw_line *l = line_of(sa);
	struct addr wishes[2] = {{0}};
	unsigned left[2] = {asked(request, IKE_CP_IP4_ADDRESS, &wishes[0]),
			    asked(request, IKE_CP_IP6_ADDRESS, &wishes[1])};
	bool any = left[0] || left[1];
	if (!l || !homes_find(s, l->instance, wishes))
		return IKE_N_INTERNAL_ADDRESS_FAILURE;
	/* A Sojourn asks once for each family and takes what there is. */
	for (unsigned k = 0; k < 2 && ike_sa_is_sojourn(sa); k++)
		left[k] = left[k] ? REGISTRAR_HOMES_MAX : 0;
	const struct registrar_terminal *rt = l->instance->rt;
	reply->kind = IKE_CP_REPLY;
	reply->count = 0;
	for (uint8_t k = 0; k < rt->home_count; k++) {
		unsigned *more = &left[rt->homes[k].family == 6];
		if (*more == 0)
			continue;
		--*more;
		reply_addr(reply, IKE_CP_IP4_ADDRESS, IKE_CP_IP6_ADDRESS, &rt->homes[k]);
	}
	if (any && !reply->count) {
		log_warn(s->log, "steward: no address of the family asked for terminal=%s",
			 l->instance->name);
		return IKE_N_INTERNAL_ADDRESS_FAILURE;
	}
	reply_rest(s, l->instance, request, reply);
	return 0;
}

/* --- lines */

struct sw_line *line_of(const struct ike_sa *sa)
{
	return ike_sa_user(sa);
}

static void line_close_oldest(struct steward *s, struct sw_instance *i, usec_t now_us)
{
	struct sw_line *oldest = NULL;
	unsigned count = 0;
	for (struct sw_line *l = i->lines; l; l = l->next, count++)
		oldest = l;
	if (count > STEWARD_LINES_MAX)
		ike_sa_close(s->engine, oldest->sa, "it authenticated too often", true, now_us);
}

void steward_sa_up(struct steward *s, struct ike_sa *sa, usec_t now_us)
{
	struct sw_entry *e = ike_sa_peer(sa)->owner;
	char remote[ENDPOINT_TEXT_MAX], id[IDENTITY_MAX] = "none";
	if (!e) {
		ike_sa_close(s->engine, sa, "nobody's", true, now_us);
		return;
	}
	struct sw_line *l = mem_zalloc(sizeof *l);
	l->sa = sa;
	l->instance = instance_of(s, e, sa);
	l->has_key = joint_registration_key(sa, l->key) == 0;
	l->next = l->instance->lines;
	l->instance->lines = l;
	s->line_count++;
	ike_sa_set_user(sa, l);
	if (ike_sa_remote_id(sa))
		identity_format(ike_sa_remote_id(sa), id, sizeof id);
	log_info(s->log, "steward: up terminal=%s identity=\"%s\" from=%s sojourn=%s",
		 l->instance->name, id, endpoint_format(&ike_sa_path(sa)->remote, remote),
		 ike_sa_is_sojourn(sa) ? "yes" : "no");
	line_close_oldest(s, l->instance, now_us);
}

void line_take_over(struct steward *s, struct sw_line *l, usec_t now_us)
{
	struct sw_instance *i = l->instance;
	struct registrar_terminal *rt = i->rt;
	struct ike_sa *others[STEWARD_LINES_MAX + 1];
	unsigned count = 0;
	registrar_set_peer(rt, l->peer);
	if (!i->entry->t->registration_key_len && l->has_key) {
		registrar_set_key(rt, JOINT_KEY_SPI, l->key, sizeof l->key);
	}
	mem_wipe(l->key, sizeof l->key);
	l->has_key = false;
	for (struct sw_line *o = i->lines; o && count < ARRAY_LEN(others); o = o->next) {
		if (o == l || o->closing)
			continue;
		o->closing = true;
		others[count++] = o->sa;
	}
	for (unsigned k = 0; k < count; k++)
		ike_sa_close(s->engine, others[k], "the terminal authenticated again", false,
			     now_us);
}

/* The peer of connections to come: of the newest line that has one. */
static void line_hand_back(struct sw_line *gone)
{
	struct sw_instance *i = gone->instance;
	struct sw_line *l = i->lines;
	while (l && !l->peer)
		l = l->next;
	if (i->rt && gone->peer && i->rt->peer == gone->peer)
		registrar_set_peer(i->rt, l ? l->peer : i->configured);
}

void line_end(struct steward *s, struct sw_line *l, usec_t now_us)
{
	struct sw_instance *i = l->instance;
	struct sw_line **p = &i->lines;
	while (l->conns)
		sw_conn_end(s, l->conns, "its IKE SA ended", now_us);
	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	line_hand_back(l);
	if (l->peer)
		s->ops.joint.peer_retire(s->ops.joint.ctx, l->peer);
	mem_wipe(l, sizeof *l);
	free(l);
	s->line_count--;
	if (!i->lines)
		instance_free(s, i);
}

void steward_sa_down(struct steward *s, struct ike_sa *sa, const char *why, usec_t now_us)
{
	struct sw_line *l = line_of(sa);
	if (!l)
		return;
	log_info(s->log, "steward: down terminal=%s reason=\"%s\"", l->instance->name, why);
	ike_sa_set_user(sa, NULL);
	line_end(s, l, now_us);
}

void steward_sa_rekeyed(struct steward *s, struct ike_sa *old, struct ike_sa *fresh)
{
	struct sw_line *l = line_of(fresh);
	(void)s;
	(void)old;
	if (l)
		l->sa = fresh;
}
