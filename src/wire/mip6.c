/* SPDX-License-Identifier: MIT */
/*
 * Binding Update and Binding Acknowledgement between bytes and values (RFC 6275 6.1.7, 6.1.8).
 *
 *   | payload proto 59 | header len | MH type | reserved | checksum 16 |
 *   | update: sequence 16 | flags 16 | lifetime 16 | options ...        |
 *   | ack: status 8 | flags 8 | sequence 16 | lifetime 16 | options ... |
 *
 * Header len counts units of 8 bytes less the first.  Options are {type, length, data} but for
 * Pad1, a lone zero.  The alternate care-of address (3) begins at 8n+6.  An IPv4 care-of
 * address goes as RFC 5555's option 32.  Ours are vendor options (RFC 5094) with the vendor
 * types of wire/mip4.h as subtypes.  A binding identifier (35, RFC 5648 4.1) has no care-of
 * address, an IPv4 one or an IPv6 one behind it:
 *
 *   | 35 | length 4, 8 or 20 | BID 16 | status 8 | H and priority 8 | care-of address |
 *
 * Pure functions over the caller's memory; any thread.
 */
#include "wire/mip6.h"

#include <string.h>
#include "base/cursor.h"
#include "wire/ip.h"

#define MH_TYPE_UPDATE	5
#define MH_TYPE_ACK	6
#define MH_UNIT		8
#define MH_CHECKSUM_OFF 4

#define OPT_PAD1	0
#define OPT_PADN	1
#define OPT_CARE_OF	3
#define OPT_VENDOR	19
#define OPT_CARE_OF_IP4 32
#define OPT_BID		35

#define OPT_VENDOR_HEAD 5 /* vendor and subtype */
#define OPT_RESULT_LEN	5
#define OPT_BID_LEN	4

#define UPDATE_FLAGS (MIP6_A | MIP6_H | MIP6_L | MIP6_K | MIP6_O)
#define ACK_K	     0x80

const char *mip6_status_text(uint8_t status)
{
	static const struct {
		uint8_t status;
		const char *text;
	} table[] = {
	    {MIP6_ACCEPTED, "accepted"},
	    {MIP6_UNSPECIFIED, "reason unspecified"},
	    {MIP6_PROHIBITED, "administratively prohibited"},
	    {MIP6_NO_RESOURCES, "insufficient resources"},
	    {MIP6_HOME_REG_UNSUPPORTED, "home registration not supported"},
	    {MIP6_NOT_HOME_SUBNET, "not home subnet"},
	    {MIP6_NOT_HOME_AGENT, "not home agent for this mobile node"},
	    {MIP6_SEQUENCE_OUT_OF_WINDOW, "sequence number out of window"},
	    {MIP6_BIDS_INCOMPLETE, "accepted, not all bindings"},
	    {MIP6_BID_MALFORMED, "malformed binding identifier"},
	    {MIP6_BINDING_WITHOUT_BID, "a binding without identifier exists"},
	    {MIP6_BIDS_PROHIBITED, "simultaneous bindings prohibited"},
	    {MIP6_BID_UNKNOWN, "unknown binding identifier"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].status == status)
			return table[i].text;
	}
	return "unknown status";
}

/* Checks header and checksum, and gives a reader behind the MH header. */
static bool mh_open(const uint8_t *p, size_t len, const struct addr *src, const struct addr *dst,
		    uint8_t type, struct reader *body)
{
	struct reader r = reader_of(p, len);
	uint8_t payload_proto = reader_u8(&r);
	size_t mh_len = ((size_t)reader_u8(&r) + 1) * MH_UNIT;
	uint8_t mh_type = reader_u8(&r);

	if (r.failed || src->family != 6 || dst->family != 6)
		return false;
	if (payload_proto != IP_PROTO_NONE || mh_type != type || mh_len > len)
		return false;
	uint32_t sum = ip_pseudo_sum(src, dst, IP_PROTO_MH, (uint32_t)mh_len);
	if (ip_fold(ip_sum(p, mh_len, sum)) != 0)
		return false;
	*body = reader_of(p, mh_len);
	reader_skip(body, 6);
	return true;
}

/* What the options of either message may hold. */
struct mh_options {
	struct mip6_update update;
	struct mip6_ack ack;
	uint8_t bid_count;
	struct mip6_bid bids[MIP4_SPIS_MAX];
};

static bool read_connections(struct reader *r, struct mip6_update *m)
{
	uint8_t op = reader_u8(r);
	size_t count = reader_left(r) / 4;

	if (r->failed || m->has_connections || op > MIP4_OP_REMOVE || count > MIP4_SPIS_MAX)
		return false;
	m->has_connections = true;
	m->op = op;
	for (size_t i = 0; i < count; i++)
		m->spis[i] = reader_u32(r);
	m->spi_count = (uint8_t)count;
	return reader_done(r);
}

static bool read_results(struct reader *r, struct mip6_ack *m)
{
	size_t count = reader_left(r) / OPT_RESULT_LEN;

	if (m->result_count || count > MIP4_SPIS_MAX)
		return false;
	for (size_t i = 0; i < count; i++) {
		m->results[i].spi = reader_u32(r);
		m->results[i].code = reader_u8(r);
	}
	m->result_count = (uint8_t)count;
	return reader_done(r);
}

static bool read_vendor(struct reader *r, struct mh_options *out)
{
	uint32_t vendor = reader_u32(r);
	uint8_t subtype = reader_u8(r);

	if (r->failed)
		return false;
	if (vendor != SOJOURN_ENTERPRISE)
		return true;
	switch (subtype) {
	case MIP4_VENDOR_EPOCH:
		if (out->update.has_epoch)
			return false;
		out->update.has_epoch = true;
		out->update.epoch = reader_u32(r);
		return reader_done(r);
	case MIP4_VENDOR_CONNECTIONS:
		return read_connections(r, &out->update);
	case MIP4_VENDOR_RESULTS:
		return read_results(r, &out->ack);
	}
	return true;
}

static bool read_care_of(struct reader *r, uint8_t type, struct mip6_update *m)
{
	uint8_t family = type == OPT_CARE_OF ? 6 : 4;

	if (m->has_care_of)
		return false;
	if (type == OPT_CARE_OF_IP4)
		reader_skip(r, 2);
	const uint8_t *b = reader_bytes(r, family == 6 ? 16 : 4);
	if (!reader_done(r))
		return false;
	m->has_care_of = true;
	m->care_of = addr_from_bytes(family, b);
	return true;
}

/* Each identifier once, and none of them 0, which is reserved. */
static bool read_bid(struct reader *r, struct mh_options *out)
{
	if (out->bid_count == MIP4_SPIS_MAX)
		return false;
	struct mip6_bid *b = &out->bids[out->bid_count];
	b->bid = reader_u16(r);
	b->status = reader_u8(r);
	reader_skip(r, 1);
	size_t left = reader_left(r);
	if (left) {
		uint8_t family = left == 16 ? 6 : 4;
		const uint8_t *care_of = reader_bytes(r, family == 6 ? 16 : 4);
		if (!reader_done(r))
			return false;
		b->care_of = addr_from_bytes(family, care_of);
	}
	for (uint8_t i = 0; i < out->bid_count; i++)
		if (out->bids[i].bid == b->bid)
			return false;
	out->bid_count++;
	return reader_done(r) && b->bid != 0;
}

/* Unknown options are skipped, whatever their length (RFC 6275 6.2.1). */
static bool read_options(struct reader *r, struct mh_options *out)
{
	while (reader_left(r)) {
		uint8_t type = reader_u8(r);
		if (type == OPT_PAD1)
			continue;
		uint8_t len = reader_u8(r);
		struct reader option = reader_sub(r, len);
		if (r->failed)
			return false;
		if (type == OPT_VENDOR && !read_vendor(&option, out))
			return false;
		if (type == OPT_BID && !read_bid(&option, out))
			return false;
		if ((type == OPT_CARE_OF || type == OPT_CARE_OF_IP4) &&
		    !read_care_of(&option, type, &out->update))
			return false;
	}
	return true;
}

bool mip6_read_update(const uint8_t *p, size_t len, const struct addr *src, const struct addr *dst,
		      struct mip6_update *out)
{
	struct mh_options all = {0};
	struct reader r;

	if (!mh_open(p, len, src, dst, MH_TYPE_UPDATE, &r))
		return false;
	all.update.sequence = reader_u16(&r);
	all.update.flags = reader_u16(&r) & UPDATE_FLAGS;
	all.update.lifetime_4s = reader_u16(&r);
	if (r.failed || !read_options(&r, &all))
		return false;
	*out = all.update;
	out->bid_count = all.bid_count;
	memcpy(out->bids, all.bids, sizeof(out->bids));
	return true;
}

bool mip6_read_ack(const uint8_t *p, size_t len, const struct addr *src, const struct addr *dst,
		   struct mip6_ack *out)
{
	struct mh_options all = {0};
	struct reader r;

	if (!mh_open(p, len, src, dst, MH_TYPE_ACK, &r))
		return false;
	all.ack.status = reader_u8(&r);
	all.ack.key_mgmt = reader_u8(&r) & ACK_K;
	all.ack.sequence = reader_u16(&r);
	all.ack.lifetime_4s = reader_u16(&r);
	if (r.failed || !read_options(&r, &all))
		return false;
	*out = all.ack;
	out->bid_count = all.bid_count;
	memcpy(out->bids, all.bids, sizeof(out->bids));
	return true;
}

/* The length and the checksum are written by mh_close. */
static void mh_begin(struct writer *w, uint8_t type)
{
	writer_u8(w, IP_PROTO_NONE);
	writer_u8(w, 0);
	writer_u8(w, type);
	writer_u8(w, 0);
	writer_u16(w, 0);
}

/* Pads so that the next byte stands at 8n + `at`. */
static void write_padding(struct writer *w, size_t at)
{
	size_t pad = (MH_UNIT + at - writer_len(w) % MH_UNIT) % MH_UNIT;

	if (pad == 1)
		writer_u8(w, OPT_PAD1);
	if (pad < 2)
		return;
	writer_u8(w, OPT_PADN);
	writer_u8(w, (uint8_t)(pad - 2));
	writer_zero(w, pad - 2);
}

static size_t mh_close(struct writer *w, const struct addr *src, const struct addr *dst)
{
	write_padding(w, 0);
	size_t len = writer_len(w);
	if (w->failed || len > 256 * MH_UNIT || src->family != 6 || dst->family != 6)
		return 0;
	w->start[1] = (uint8_t)(len / MH_UNIT - 1);
	uint32_t sum = ip_pseudo_sum(src, dst, IP_PROTO_MH, (uint32_t)len);
	/* Unlike UDP's, a checksum of zero goes as zero (RFC 6275 6.1.1 knows no "none"). */
	struct writer field = writer_of(w->start + MH_CHECKSUM_OFF, 2);
	writer_u16(&field, ip_fold(ip_sum(w->start, len, sum)));
	return len;
}

static void write_care_of(struct writer *w, const struct addr *care_of)
{
	if (care_of->family == 6) {
		write_padding(w, 6);
		writer_u8(w, OPT_CARE_OF);
		writer_u8(w, 16);
		writer_bytes(w, care_of->b, 16);
	} else if (care_of->family == 4) {
		writer_u8(w, OPT_CARE_OF_IP4);
		writer_u8(w, 6);
		writer_u16(w, 0);
		writer_bytes(w, care_of->b, 4);
	} else {
		w->failed = true;
	}
}

/* At 8n+2, so that the address stands at 8n. */
static void write_bids(struct writer *w, const struct mip6_bid *bids, uint8_t count)
{
	for (uint8_t i = 0; i < count; i++) {
		const struct mip6_bid *b = &bids[i];
		size_t len = b->care_of.family ? addr_len(&b->care_of) : 0;
		write_padding(w, 2);
		writer_u8(w, OPT_BID);
		writer_u8(w, (uint8_t)(OPT_BID_LEN + len));
		writer_u16(w, b->bid);
		writer_u8(w, b->status);
		writer_u8(w, 0);
		writer_bytes(w, b->care_of.b, len);
	}
}

static void write_vendor(struct writer *w, enum mip4_vendor_type type, size_t len)
{
	writer_u8(w, OPT_VENDOR);
	writer_u8(w, (uint8_t)(OPT_VENDOR_HEAD + len));
	writer_u32(w, SOJOURN_ENTERPRISE);
	writer_u8(w, (uint8_t)type);
}

size_t mip6_write_update(uint8_t *p, size_t room, const struct addr *src, const struct addr *dst,
			 const struct mip6_update *m)
{
	struct writer w = writer_of(p, room);

	if (m->spi_count > MIP4_SPIS_MAX || m->bid_count > MIP4_SPIS_MAX)
		return 0;
	mh_begin(&w, MH_TYPE_UPDATE);
	writer_u16(&w, m->sequence);
	writer_u16(&w, m->flags & UPDATE_FLAGS);
	writer_u16(&w, m->lifetime_4s);
	if (m->has_care_of)
		write_care_of(&w, &m->care_of);
	write_bids(&w, m->bids, m->bid_count);
	if (m->has_epoch) {
		write_vendor(&w, MIP4_VENDOR_EPOCH, 4);
		writer_u32(&w, m->epoch);
	}
	if (m->has_connections) {
		write_vendor(&w, MIP4_VENDOR_CONNECTIONS, 1 + 4 * (size_t)m->spi_count);
		writer_u8(&w, m->op);
		for (size_t i = 0; i < m->spi_count; i++)
			writer_u32(&w, m->spis[i]);
	}
	return mh_close(&w, src, dst);
}

size_t mip6_write_ack(uint8_t *p, size_t room, const struct addr *src, const struct addr *dst,
		      const struct mip6_ack *m)
{
	struct writer w = writer_of(p, room);

	if (m->result_count > MIP4_SPIS_MAX || m->bid_count > MIP4_SPIS_MAX)
		return 0;
	mh_begin(&w, MH_TYPE_ACK);
	writer_u8(&w, m->status);
	writer_u8(&w, m->key_mgmt ? ACK_K : 0);
	writer_u16(&w, m->sequence);
	writer_u16(&w, m->lifetime_4s);
	write_bids(&w, m->bids, m->bid_count);
	if (m->result_count) {
		write_vendor(&w, MIP4_VENDOR_RESULTS, OPT_RESULT_LEN * (size_t)m->result_count);
		for (size_t i = 0; i < m->result_count; i++) {
			writer_u32(&w, m->results[i].spi);
			writer_u8(&w, m->results[i].code);
		}
	}
	return mh_close(&w, src, dst);
}
