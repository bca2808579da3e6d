/* SPDX-License-Identifier: MIT */
/*
 * What two Sojourns tell each other in IKEv2 (doc/protocol.md, "IKEv2 between two Sojourns"): a
 * vendor ID in IKE_AUTH, and two private notifies that travel with a child SA's request and its
 * response.  A peer without the vendor ID never sees them.
 *
 *   CONNECTION  | flags 1 | homes 1 | lifetime 2 | name length 1 | name | homes x (family 1,
 * address) | REGISTERED  | code 1 | agents 1 | lifetime 2 | time 8 | agents' addresses: 4 if bit 0,
 * 16 if bit 1 |
 */
#include "base/mem.h"
#include "ike/state.h"

static const char vendor[] = "sojourn-ikev2-1"; /* without the final NUL */

enum connection_flag { CONNECTION_SPARE = 0x01, CONNECTION_REGISTER = 0x02 };
enum agent_flag { AGENT_IP4 = 0x01, AGENT_IP6 = 0x02 };

#define NOTIFY_MAX 256

void sojourn_put_vendor(struct ike_builder *b)
{
	ike_put_bytes(b, IKE_PAYLOAD_VENDOR, vendor, sizeof(vendor) - 1);
}

bool sojourn_is_vendor(const struct ike_payload *p)
{
	return p->type == IKE_PAYLOAD_VENDOR && p->len == sizeof(vendor) - 1 &&
	       memcmp(p->body, vendor, sizeof(vendor) - 1) == 0;
}

static void put_addr(struct writer *w, const struct addr *a)
{
	writer_bytes(w, a->b, addr_len(a));
}

void sojourn_put_connection(struct ike_builder *b, const struct ike_sj_connection *c)
{
	uint8_t data[NOTIFY_MAX];
	struct writer w = writer_of(data, sizeof(data));
	size_t name_len = strnlen(c->name, IKE_SJ_NAME_MAX - 1);
	writer_u8(
	    &w, (uint8_t)((c->spare ? CONNECTION_SPARE : 0) | (c->reg ? CONNECTION_REGISTER : 0)));
	writer_u8(&w, c->home_count);
	writer_u16(&w, c->lifetime_s);
	writer_u8(&w, (uint8_t)name_len);
	writer_bytes(&w, c->name, name_len);
	for (uint8_t i = 0; i < c->home_count && i < IKE_SJ_HOMES_MAX; i++) {
		writer_u8(&w, c->homes[i].family);
		put_addr(&w, &c->homes[i]);
	}
	if (w.failed)
		b->w.failed = true;
	else
		ike_put_notify(b, SJ_N_CONNECTION, data, writer_len(&w));
}

static struct addr take_addr(struct reader *r, uint8_t family)
{
	uint8_t bytes[16] = {0};
	if (family == 4 || family == 6)
		reader_copy(r, bytes, family == 4 ? 4 : 16);
	else
		r->failed = true;
	return r->failed ? (struct addr){0} : addr_from_bytes(family, bytes);
}

/* Names go to logs and tables. */
static bool name_is_good(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	return true;
}

bool sojourn_take_connection(const struct ike_payloads *p, struct ike_sj_connection *out)
{
	struct ike_notify n;
	if (!ike_find_notify(p, SJ_N_CONNECTION, &n))
		return false;
	struct ike_sj_connection c = {0};
	struct reader r = reader_of(n.data, n.len);
	uint8_t flags = reader_u8(&r);
	c.home_count = reader_u8(&r);
	c.lifetime_s = reader_u16(&r);
	size_t name_len = reader_u8(&r);
	if (r.failed || name_len >= IKE_SJ_NAME_MAX || c.home_count > IKE_SJ_HOMES_MAX)
		return false;
	reader_copy(&r, c.name, name_len);
	for (uint8_t i = 0; i < c.home_count; i++)
		c.homes[i] = take_addr(&r, reader_u8(&r));
	if (!reader_done(&r) || !name_is_good(c.name, name_len))
		return false;
	c.spare = (flags & CONNECTION_SPARE) != 0;
	c.reg = (flags & CONNECTION_REGISTER) != 0;
	*out = c;
	return true;
}

void sojourn_put_registered(struct ike_builder *b, const struct ike_sj_registered *g)
{
	uint8_t data[NOTIFY_MAX];
	struct writer w = writer_of(data, sizeof(data));
	bool has4 = g->home_agent4.family == 4, has6 = g->home_agent6.family == 6;
	writer_u8(&w, g->code);
	writer_u8(&w, (uint8_t)((has4 ? AGENT_IP4 : 0) | (has6 ? AGENT_IP6 : 0)));
	writer_u16(&w, g->lifetime_s);
	writer_u64(&w, g->time);
	if (has4)
		put_addr(&w, &g->home_agent4);
	if (has6)
		put_addr(&w, &g->home_agent6);
	ike_put_notify(b, SJ_N_REGISTERED, data, writer_len(&w));
}

bool sojourn_take_registered(const struct ike_payloads *p, struct ike_sj_registered *out)
{
	struct ike_notify n;
	if (!ike_find_notify(p, SJ_N_REGISTERED, &n))
		return false;
	struct ike_sj_registered g = {0};
	struct reader r = reader_of(n.data, n.len);
	g.code = reader_u8(&r);
	uint8_t agents = reader_u8(&r);
	g.lifetime_s = reader_u16(&r);
	g.time = reader_u64(&r);
	if (agents & AGENT_IP4)
		g.home_agent4 = take_addr(&r, 4);
	if (agents & AGENT_IP6)
		g.home_agent6 = take_addr(&r, 6);
	if (!reader_done(&r))
		return false;
	*out = g;
	return true;
}
