/* SPDX-License-Identifier: MIT */
/*
 * The insides of IKEv2 payloads, from octets to values (RFC 7296 3.3 to 3.15, RFC 7383 2.5).
 *
 *   SA     proposal   | 0 last, 2 more | 0 | length 2 | number | protocol | SPI size | count |
 *                     | SPI ... | transforms ...
 *          transform  | 0 last, 3 more | 0 | length 2 | type | 0 | id 2 | attributes ...
 *          attribute  | 1, type 15 | value 2 |   or   | 0, type 15 | length 2 | value ...
 *   TS     | count | 0 3 | selectors ...
 *          selector   | type | protocol | length 2 | from port 2 | to port 2 | from | to |
 *   CP     | kind | 0 3 | attributes ...
 *          attribute  | 0, type 15 | length 2 | value ...
 *
 * Every length and every count must agree with what is there; a struct in which they do not is
 * malformed, also where it would have been passed over.  Each reader fills its value only from
 * its payload's body and leaves nothing of it unset.
 */
#include "wire/ike.h"

#define MORE_NONE	0 /* the last of its kind */
#define MORE_PROPOSALS	2
#define MORE_TRANSFORMS 3

#define PROPOSAL_HEAD_LEN  8
#define TRANSFORM_HEAD_LEN 8
#define ATTR_SHORT	   0x8000 /* the value is in the place of the length */
#define ATTR_KEY_LENGTH	   14

#define TS_HEAD_LEN 8
#define TS_IPV4	    7
#define TS_IPV6	    8

static struct reader body_of(const struct ike_payload *p)
{
	return reader_of(p->body, p->len);
}

/* All that is left. */
static const uint8_t *read_rest(struct reader *r, size_t *len)
{
	*len = reader_left(r);
	return reader_bytes(r, *len);
}

bool ike_read_ke(const struct ike_payload *p, struct ike_ke *out)
{
	struct reader r = body_of(p);

	out->group = reader_u16(&r);
	reader_skip(&r, 2);
	out->data = read_rest(&r, &out->len);
	return !r.failed && out->len > 0;
}

static bool read_typed(const struct ike_payload *p, size_t reserved_len, struct ike_typed *out)
{
	struct reader r = body_of(p);

	out->type = reader_u8(&r);
	reader_skip(&r, reserved_len);
	out->data = read_rest(&r, &out->len);
	return !r.failed;
}

/* ID_NULL has no data (RFC 7619 2.2). */
bool ike_read_id(const struct ike_payload *p, struct ike_typed *out)
{
	return read_typed(p, 3, out);
}

bool ike_read_auth(const struct ike_payload *p, struct ike_typed *out)
{
	return read_typed(p, 3, out) && out->len > 0;
}

/* A CERTREQ without data asks for any authority. */
bool ike_read_cert(const struct ike_payload *p, struct ike_typed *out)
{
	return read_typed(p, 0, out) && (out->len > 0 || p->type == IKE_PAYLOAD_CERTREQ);
}

bool ike_read_notify(const struct ike_payload *p, struct ike_notify *out)
{
	struct reader r = body_of(p);

	out->protocol = reader_u8(&r);
	out->spi_len = reader_u8(&r);
	out->type = reader_u16(&r);
	out->spi = reader_bytes(&r, out->spi_len);
	out->data = read_rest(&r, &out->len);
	return !r.failed && (out->spi_len == 0 || out->spi_len == 4 || out->spi_len == IKE_SPI_LEN);
}

bool ike_read_delete(const struct ike_payload *p, struct ike_delete *out)
{
	struct reader r = body_of(p);

	out->protocol = reader_u8(&r);
	out->spi_len = reader_u8(&r);
	out->count = reader_u16(&r);
	out->spis = reader_bytes(&r, (size_t)out->count * out->spi_len);
	if (!reader_done(&r))
		return false;
	if (out->protocol == IKE_PROTO_IKE) {
		out->count = 0; /* the IKE SA itself, whatever number of nothing is told */
		return out->spi_len == 0;
	}
	return (out->protocol == IKE_PROTO_AH || out->protocol == IKE_PROTO_ESP) &&
	       out->spi_len == 4;
}

/* --- SA */

static bool read_transform(struct reader *r, struct ike_transform *out)
{
	*out = (struct ike_transform){.type = reader_u8(r)};
	reader_skip(r, 1);
	out->id = reader_u16(r);
	while (!r->failed && reader_left(r)) {
		uint16_t type = reader_u16(r), value = reader_u16(r);
		if (!(type & ATTR_SHORT))
			reader_skip(r, value);
		if (type == (ATTR_SHORT | ATTR_KEY_LENGTH) && value && !out->key_bits)
			out->key_bits = value;
		else
			out->unknown_attribute = true;
	}
	return !r->failed;
}

static bool proposal_has_type(const struct ike_proposal *p, uint8_t type)
{
	for (size_t i = 0; i < p->count; i++) {
		if (p->at[i].type == type)
			return true;
	}
	return false;
}

/* *whole: false when a type is missing from what fits, so that a choice would leave it out. */
static bool read_transforms(struct reader *r, size_t count, struct ike_proposal *out, bool *whole)
{
	struct ike_transform t;

	for (size_t i = 0; i < count; i++) {
		uint8_t more = reader_u8(r);
		reader_skip(r, 1);
		uint16_t length = reader_u16(r);
		if (length < TRANSFORM_HEAD_LEN ||
		    more != (i + 1 < count ? MORE_TRANSFORMS : MORE_NONE))
			return false;
		struct reader inside = reader_sub(r, length - 4u);
		if (!read_transform(&inside, &t))
			return false;
		if (out->count < IKE_TRANSFORMS_MAX)
			out->at[out->count++] = t;
		else if (!proposal_has_type(out, t.type))
			*whole = false;
	}
	return reader_done(r);
}

/* A protocol that is known here, with an SPI of its size. */
static bool proposal_is_usable(uint8_t protocol, uint8_t spi_len)
{
	if (protocol == IKE_PROTO_IKE)
		return spi_len == 0 || spi_len == IKE_SPI_LEN;
	return (protocol == IKE_PROTO_AH || protocol == IKE_PROTO_ESP) && spi_len == 4;
}

/* *usable: false when it is to be passed over. */
static bool read_proposal(struct reader *r, struct ike_proposal *out, bool *usable)
{
	uint8_t more = reader_u8(r);
	reader_skip(r, 1);
	uint16_t length = reader_u16(r);
	if (r->failed || length < PROPOSAL_HEAD_LEN)
		return false;
	struct reader inside = reader_sub(r, length - 4u);
	if (r->failed || more != (reader_left(r) ? MORE_PROPOSALS : MORE_NONE))
		return false;
	*out = (struct ike_proposal){.number = reader_u8(&inside)};
	out->protocol = reader_u8(&inside);
	out->spi_len = reader_u8(&inside);
	uint8_t count = reader_u8(&inside);
	*usable = proposal_is_usable(out->protocol, out->spi_len);
	if (*usable)
		reader_copy(&inside, out->spi, out->spi_len);
	else
		reader_skip(&inside, out->spi_len);
	return read_transforms(&inside, count, out, usable);
}

bool ike_read_sa(const struct ike_payload *p, struct ike_proposals *out)
{
	struct reader r = body_of(p);
	struct ike_proposal one;
	bool usable;

	out->count = 0;
	do {
		if (!read_proposal(&r, &one, &usable))
			return false;
		if (usable && out->count < IKE_PROPOSALS_MAX)
			out->at[out->count++] = one;
	} while (reader_left(&r));
	return true;
}

/* --- TS */

/* The inside of a selector of a known type, behind its length. */
static bool read_selector(struct reader *r, uint8_t family, struct ike_ts *out)
{
	size_t len = family == 4 ? 4 : 16;

	out->port_from = reader_u16(r);
	out->port_to = reader_u16(r);
	const uint8_t *from = reader_bytes(r, len), *to = reader_bytes(r, len);
	if (!reader_done(r) || memcmp(from, to, len) > 0)
		return false;
	out->from = addr_from_bytes(family, from);
	out->to = addr_from_bytes(family, to);
	/* From 65535 to 0 is OPAQUE (RFC 7296 3.13.1), any other falling range is nonsense. */
	return out->port_from <= out->port_to || ike_ts_is_opaque(out);
}

bool ike_read_ts(const struct ike_payload *p, struct ike_ts_list *out)
{
	struct reader r = body_of(p);
	uint8_t count = reader_u8(&r);

	reader_skip(&r, 3);
	out->count = 0;
	for (size_t i = 0; i < count; i++) {
		uint8_t type = reader_u8(&r);
		struct ike_ts ts = {.protocol = reader_u8(&r)};
		uint16_t length = reader_u16(&r);
		if (length < TS_HEAD_LEN)
			return false;
		struct reader inside = reader_sub(&r, length - 4u);
		if (r.failed)
			return false;
		if (type != TS_IPV4 && type != TS_IPV6)
			continue;
		if (!read_selector(&inside, type == TS_IPV4 ? 4 : 6, &ts))
			return false;
		if (out->count < IKE_TS_MAX)
			out->at[out->count++] = ts;
	}
	return reader_done(&r) && count > 0;
}

/* --- CP */

/* Whether a value of this length can be meant (RFC 7296 3.15.1); what is not known here may be
 * of any length that fits. */
static bool cp_len_fits(uint16_t attr, size_t len, size_t room)
{
	static const struct {
		uint16_t attr;
		uint8_t len;
	} table[] = {
	    {IKE_CP_IP4_ADDRESS, 4}, {IKE_CP_IP4_NETMASK, 4},  {IKE_CP_IP4_DNS, 4},
	    {IKE_CP_IP4_SUBNET, 8},  {IKE_CP_IP6_ADDRESS, 17}, {IKE_CP_IP6_DNS, 16},
	    {IKE_CP_IP6_SUBNET, 17},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].attr == attr)
			return len == 0 || len == table[i].len;
	}
	return len <= room;
}

bool ike_read_cp(const struct ike_payload *p, struct ike_cp *out)
{
	struct reader r = body_of(p);

	*out = (struct ike_cp){.kind = reader_u8(&r)};
	reader_skip(&r, 3);
	while (!r.failed && reader_left(&r)) {
		uint16_t attr = reader_u16(&r) & 0x7fff;
		uint16_t len = reader_u16(&r);
		const uint8_t *value = reader_bytes(&r, len);
		if (!value || out->count == IKE_CP_MAX ||
		    !cp_len_fits(attr, len, sizeof(out->at[0].value)))
			continue;
		out->at[out->count].attr = attr;
		out->at[out->count].len = (uint8_t)len;
		memcpy(out->at[out->count++].value, value, len);
	}
	return !r.failed;
}

/* --- SKF */

bool ike_read_fragment(const struct ike_payload *p, struct ike_fragment *out)
{
	struct reader r = body_of(p);

	out->number = reader_u16(&r);
	out->total = reader_u16(&r);
	return !r.failed && out->number > 0 && out->number <= out->total;
}
