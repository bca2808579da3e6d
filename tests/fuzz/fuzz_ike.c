/* SPDX-License-Identifier: MIT */
/*
 * IKEv2 messages in the clear: header, chain, every inside, and the selectors of TSi and TSr
 * against each other.  What was read, written again, reads the same.
 *
 * An input is a message; so that a wrong length in the header does not hide all else, it is also
 * taken as the type of a first payload and the chain.
 */
#include <assert.h>
#include <string.h>
#include "wire/ike.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t out[IKE_HEADER_LEN + 2 * IKE_MESSAGE_MAX];

static bool is_within(const uint8_t *p, size_t len, const struct ike_payload *in)
{
	return p >= in->body && p + len <= in->body + in->len;
}

/* The only payload of what the builder made. */
static struct ike_payload read_back(struct ike_builder *b)
{
	struct ike_payloads p;
	size_t len = ike_builder_finish(b);

	assert(len >= IKE_PAYLOAD_LEN);
	assert(ike_read_payloads(b->first, out, len, &p) == IKE_OK);
	assert(p.count == 1);
	return p.at[0];
}

static struct ike_builder fresh(void)
{
	return ike_builder_of(out, sizeof(out), NULL);
}

static void check_ke(const struct ike_payload *p)
{
	struct ike_ke a, back;

	if (!ike_read_ke(p, &a))
		return;
	assert(is_within(a.data, a.len, p));
	struct ike_builder b = fresh();
	ike_put_ke(&b, a.group, a.data, a.len);
	struct ike_payload q = read_back(&b);
	assert(ike_read_ke(&q, &back));
	assert(back.group == a.group && back.len == a.len);
	assert(memcmp(back.data, a.data, a.len) == 0);
}

static void check_typed(const struct ike_payload *p,
			bool (*read)(const struct ike_payload *p, struct ike_typed *out))
{
	struct ike_typed a, back;

	if (!read(p, &a))
		return;
	assert(is_within(a.data, a.len, p));
	struct ike_builder b = fresh();
	ike_put_typed(&b, p->type, a.type, a.data, a.len);
	struct ike_payload q = read_back(&b);
	assert(q.len == p->len && read(&q, &back));
	assert(back.type == a.type && back.len == a.len);
	assert(memcmp(back.data, a.data, a.len) == 0);
}

static void check_notify(const struct ike_payload *p)
{
	struct ike_notify n;

	if (!ike_read_notify(p, &n))
		return;
	assert(is_within(n.spi, n.spi_len, p) && is_within(n.data, n.len, p));
	assert(ike_notify_text(n.type));
	struct ike_builder b = fresh();
	ike_put_notify_spi(&b, n.type, n.protocol, n.spi, n.spi_len, n.data, n.len);
	struct ike_payload q = read_back(&b);
	assert(q.len == p->len && memcmp(q.body, p->body, q.len) == 0);
}

static void check_delete(const struct ike_payload *p)
{
	static uint32_t spis[UINT16_MAX];
	struct ike_delete d;

	if (!ike_read_delete(p, &d))
		return;
	assert(is_within(d.spis, (size_t)d.count * d.spi_len, p));
	struct reader r = reader_of(d.spis, (size_t)d.count * d.spi_len);
	for (size_t i = 0; i < d.count; i++)
		spis[i] = reader_u32(&r);
	assert(reader_done(&r));
	struct ike_builder b = fresh();
	ike_put_delete(&b, d.protocol, spis, d.count);
	struct ike_payload q = read_back(&b);
	assert(q.len == p->len && memcmp(q.body + 4, p->body + 4, q.len - 4u) == 0);
}

static void check_same_proposal(const struct ike_proposal *a, const struct ike_proposal *back)
{
	assert(a->number == back->number && a->protocol == back->protocol);
	assert(a->spi_len == back->spi_len && memcmp(a->spi, back->spi, sizeof(a->spi)) == 0);
	assert(a->count == back->count);
	for (size_t i = 0; i < a->count; i++) {
		const struct ike_transform *t = &a->at[i], *u = &back->at[i];
		assert(t->type == u->type && t->id == u->id && t->key_bits == u->key_bits);
		assert(!u->unknown_attribute);
	}
}

static void check_sa(const struct ike_payload *p)
{
	static struct ike_proposals a, back;

	if (!ike_read_sa(p, &a) || !a.count)
		return;
	assert(a.count <= IKE_PROPOSALS_MAX);
	for (size_t i = 0; i < a.count; i++)
		assert(a.at[i].count <= IKE_TRANSFORMS_MAX && a.at[i].spi_len <= IKE_SPI_LEN);
	struct ike_builder b = fresh();
	ike_put_sa(&b, &a);
	struct ike_payload q = read_back(&b);
	assert(ike_read_sa(&q, &back) && back.count == a.count);
	for (size_t i = 0; i < a.count; i++)
		check_same_proposal(&a.at[i], &back.at[i]);
}

static void check_ts(const struct ike_payload *p)
{
	struct ike_ts_list a, back;
	char text[IKE_TS_TEXT_MAX];

	if (!ike_read_ts(p, &a) || !a.count)
		return;
	assert(a.count <= IKE_TS_MAX);
	struct ike_builder b = fresh();
	ike_put_ts(&b, p->type, &a);
	struct ike_payload q = read_back(&b);
	assert(ike_read_ts(&q, &back) && back.count == a.count);
	for (size_t i = 0; i < a.count; i++) {
		assert(ike_ts_equal(&a.at[i], &back.at[i]));
		assert(strlen(ike_ts_format(&a.at[i], text)) < IKE_TS_TEXT_MAX);
	}
}

static void check_cp(const struct ike_payload *p)
{
	struct ike_cp a, back;

	if (!ike_read_cp(p, &a))
		return;
	assert(a.count <= IKE_CP_MAX);
	for (size_t i = 0; i < a.count; i++)
		assert(a.at[i].len <= sizeof(a.at[i].value));
	struct ike_builder b = fresh();
	ike_put_cp(&b, &a);
	struct ike_payload q = read_back(&b);
	assert(ike_read_cp(&q, &back) && memcmp(&a, &back, sizeof(a)) == 0);
}

static void check_inside(const struct ike_payload *p)
{
	struct ike_fragment f;

	switch ((enum ike_payload_type)p->type) {
	case IKE_PAYLOAD_SA:
		return check_sa(p);
	case IKE_PAYLOAD_KE:
		return check_ke(p);
	case IKE_PAYLOAD_IDI:
	case IKE_PAYLOAD_IDR:
		return check_typed(p, ike_read_id);
	case IKE_PAYLOAD_CERT:
	case IKE_PAYLOAD_CERTREQ:
		return check_typed(p, ike_read_cert);
	case IKE_PAYLOAD_AUTH:
		return check_typed(p, ike_read_auth);
	case IKE_PAYLOAD_NOTIFY:
		return check_notify(p);
	case IKE_PAYLOAD_DELETE:
		return check_delete(p);
	case IKE_PAYLOAD_TSI:
	case IKE_PAYLOAD_TSR:
		return check_ts(p);
	case IKE_PAYLOAD_CP:
		return check_cp(p);
	case IKE_PAYLOAD_SKF:
		assert(!ike_read_fragment(p, &f) || (f.number && f.number <= f.total));
		return;
	case IKE_PAYLOAD_NONE:
	case IKE_PAYLOAD_NONCE:
	case IKE_PAYLOAD_VENDOR:
	case IKE_PAYLOAD_SK:
	case IKE_PAYLOAD_EAP:
		return;
	}
}

static bool is_in(const struct ike_ts *ts, const struct ike_ts_list *list)
{
	struct ike_ts common;

	for (size_t i = 0; i < list->count; i++) {
		if (ike_ts_intersect(ts, &list->at[i], &common) && ike_ts_equal(ts, &common))
			return true;
	}
	return false;
}

/* What is left is in both, and narrows no further. */
static void check_narrow(const struct ike_payloads *p)
{
	const struct ike_payload *i = ike_find_payload(p, IKE_PAYLOAD_TSI);
	const struct ike_payload *r = ike_find_payload(p, IKE_PAYLOAD_TSR);
	struct ike_ts_list offered, policy, narrow, again;

	if (!i || !r || !ike_read_ts(i, &offered) || !ike_read_ts(r, &policy))
		return;
	ike_ts_narrow(&offered, &policy, &narrow);
	assert(narrow.count <= IKE_TS_MAX);
	for (size_t n = 0; n < narrow.count; n++)
		assert(is_in(&narrow.at[n], &offered) && is_in(&narrow.at[n], &policy));
	ike_ts_narrow(&narrow, &policy, &again);
	assert((narrow.count == 0) == (again.count == 0));
	ike_ts_narrow(&policy, &offered, &again);
	assert((narrow.count == 0) == (again.count == 0));
}

static void check_chain(uint8_t first, const uint8_t *body, size_t len)
{
	static struct ike_payloads p;
	struct ike_notify n;

	enum ike_verdict v = ike_read_payloads(first, body, len, &p);
	assert(v == IKE_OK || p.count == 0);
	assert((v == IKE_CRITICAL) == (p.critical != 0));
	for (size_t i = 0; i < p.count; i++) {
		assert(p.at[i].start >= body && p.at[i].body + p.at[i].len <= body + len);
		assert(p.at[i].body == p.at[i].start + IKE_PAYLOAD_LEN);
		assert(ike_find_payload(&p, p.at[i].type));
		check_inside(&p.at[i]);
	}
	if (ike_find_notify(&p, IKE_N_COOKIE, &n))
		assert(n.type == IKE_N_COOKIE);
	check_narrow(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ike_header h;

	if (ike_read_header(data, len, &h)) {
		assert(h.length == len && ike_exchange_text((enum ike_exchange)h.exchange));
		check_chain(h.next, data + IKE_HEADER_LEN, len - IKE_HEADER_LEN);
	}
	if (len > 0)
		check_chain(data[0], data + 1, len - 1);
	return 0;
}
