/* SPDX-License-Identifier: MIT */
/*
 * Mobile IPv4 registration messages between bytes and values (RFC 5944 3.3 to 3.5).
 *
 * The extensions behind the fixed part come in three shapes:
 *
 *   padding           | 0 |
 *   short             | type 8 | length 8 | data ...                                        |
 *   long              | type 8 | subtype 8 | length 16 | data ...                           |
 *
 * A critical vendor extension is a long one: 38, reserved 8, length 16, vendor 32, vendor type
 * 16, value; a normal one is short: 134, length 8, reserved 16, vendor 32, vendor type 16,
 * value (RFC 3115).  Lengths count what follows the length field.
 *
 * Nothing is believed here that the authenticator covers: who reads a message checks
 * ext.auth over ext.auth_covers bytes before acting on it.  Pure functions over the caller's
 * memory; ext.auth borrows from the bytes read; any thread.
 */
#include "wire/mip4.h"

#include <string.h>
#include "base/cursor.h"

#define MIP4_TYPE_REQUEST 1
#define MIP4_TYPE_REPLY	  3

#define EXT_PADDING	    0
#define EXT_MN_HA_AUTH	    32
#define EXT_GENERAL_AUTH    36
#define EXT_CRITICAL_VENDOR 38
#define EXT_SKIPPABLE	    128 /* from here on unknown ones are skipped */
#define EXT_NORMAL_VENDOR   134

#define EXT_SPI_LEN    4
#define EXT_VENDOR_LEN 6 /* vendor and vendor type */
#define EXT_RESULT_LEN 5

/* Seconds from 1900, where NTP begins, to 1970. */
#define NTP_UNIX_OFFSET 2208988800u
#define USEC_IN_SEC	1000000u

const char *mip4_code_text(uint8_t code)
{
	static const struct {
		uint8_t code;
		const char *text;
	} table[] = {
	    {MIP4_ACCEPTED, "accepted"},
	    {MIP4_ACCEPTED_NO_SIMULTANEOUS, "accepted, simultaneous bindings unsupported"},
	    {MIP4_UNSPECIFIED, "reason unspecified"},
	    {MIP4_PROHIBITED, "administratively prohibited"},
	    {MIP4_NO_RESOURCES, "insufficient resources"},
	    {MIP4_MN_AUTH_FAILED, "mobile node failed authentication"},
	    {MIP4_FA_AUTH_FAILED, "foreign agent failed authentication"},
	    {MIP4_ID_MISMATCH, "identification mismatch"},
	    {MIP4_POORLY_FORMED, "poorly formed request"},
	    {MIP4_TOO_MANY_BINDINGS, "too many simultaneous bindings"},
	    {MIP4_UNKNOWN_HOME_AGENT, "unknown home agent address"},
	    {MIP4_UNSUPPORTED_VENDOR_REPLY, "unsupported vendor extension in the reply"},
	    {MIP4_UNSUPPORTED_VENDOR_REQUEST, "unsupported vendor extension in the request"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].code == code)
			return table[i].text;
	}
	return "unknown code";
}

/* Each of our fields may come once: two that disagree would leave the choice to chance. */
static enum mip4_verdict read_epoch(struct reader *value, struct mip4_ext *ext)
{
	uint32_t epoch = reader_u32(value);

	if (ext->has_epoch || !reader_done(value))
		return MIP4_MALFORMED;
	ext->has_epoch = true;
	ext->epoch = epoch;
	return MIP4_OK;
}

static enum mip4_verdict read_connections(struct reader *value, struct mip4_ext *ext)
{
	uint8_t op = reader_u8(value);
	size_t len = reader_left(value);

	if (ext->has_connections || value->failed || op > MIP4_OP_REMOVE || len % 4 ||
	    len / 4 > MIP4_SPIS_MAX)
		return MIP4_MALFORMED;
	ext->has_connections = true;
	ext->op = op;
	while (reader_left(value))
		ext->spis[ext->spi_count++] = reader_u32(value);
	return MIP4_OK;
}

static enum mip4_verdict read_results(struct reader *value, struct mip4_ext *ext)
{
	size_t len = reader_left(value);

	if (ext->result_count || len % EXT_RESULT_LEN || len / EXT_RESULT_LEN > MIP4_SPIS_MAX)
		return MIP4_MALFORMED;
	while (reader_left(value)) {
		ext->results[ext->result_count].spi = reader_u32(value);
		ext->results[ext->result_count++].code = reader_u8(value);
	}
	return MIP4_OK;
}

/* `body` begins at the vendor. */
static enum mip4_verdict read_vendor(struct reader *body, bool critical, struct mip4_ext *ext)
{
	uint32_t vendor = reader_u32(body);
	uint16_t type = reader_u16(body);

	if (body->failed)
		return MIP4_MALFORMED;
	if (vendor == SOJOURN_ENTERPRISE) {
		switch (type) {
		case MIP4_VENDOR_EPOCH:
			return read_epoch(body, ext);
		case MIP4_VENDOR_CONNECTIONS:
			return read_connections(body, ext);
		case MIP4_VENDOR_RESULTS:
			return read_results(body, ext);
		}
	}
	return critical ? MIP4_CRITICAL_VENDOR : MIP4_OK;
}

static enum mip4_verdict read_auth(struct reader *body, const uint8_t *start, struct mip4_ext *ext)
{
	ext->auth_spi = reader_u32(body);
	ext->auth_len = reader_left(body);
	ext->auth_covers = (size_t)(body->p - start);
	ext->auth = reader_bytes(body, ext->auth_len);
	if (body->failed || !ext->auth_len) {
		ext->auth = NULL;
		return MIP4_MALFORMED;
	}
	ext->has_auth = true;
	return MIP4_OK;
}

/* The extension at r, of a type that is not padding. */
static enum mip4_verdict read_extension(struct reader *r, uint8_t type, const uint8_t *start,
					struct mip4_ext *ext)
{
	bool critical = type == EXT_CRITICAL_VENDOR;

	/* Nobody can say how long an unknown one is: first the type, then the form. */
	if (type < EXT_SKIPPABLE && type != EXT_MN_HA_AUTH && !critical && !ext->has_auth)
		return MIP4_SILENT;
	bool is_long = critical || type == EXT_GENERAL_AUTH;
	if (is_long)
		reader_skip(r, 1);
	size_t len = is_long ? reader_u16(r) : reader_u8(r);
	struct reader body = reader_sub(r, len);
	if (r->failed)
		return MIP4_MALFORMED;
	/* What is behind the authenticator nobody vouches for: only its form counts. */
	if (ext->has_auth)
		return MIP4_OK;
	if (type == EXT_MN_HA_AUTH)
		return read_auth(&body, start, ext);
	if (type == EXT_NORMAL_VENDOR)
		reader_skip(&body, 2);
	if (critical || type == EXT_NORMAL_VENDOR)
		return read_vendor(&body, critical, ext);
	return MIP4_OK;
}

static enum mip4_verdict read_extensions(struct reader *r, const uint8_t *start,
					 struct mip4_ext *ext)
{
	enum mip4_verdict all = MIP4_OK;

	while (reader_left(r)) {
		uint8_t type = reader_u8(r);
		if (type == EXT_PADDING)
			continue;
		enum mip4_verdict one = read_extension(r, type, start, ext);
		/* Behind an unknown critical vendor's one the authenticator is still read, so
		 * that the denial goes only to whom it concerns. */
		if (one == MIP4_CRITICAL_VENDOR)
			all = one;
		else if (one != MIP4_OK)
			return one;
	}
	return all;
}

enum mip4_verdict mip4_read_request(const uint8_t *p, size_t len, struct mip4_request *out)
{
	struct reader r = reader_of(p, len);

	*out = (struct mip4_request){0};
	if (len < MIP4_REQUEST_LEN || reader_u8(&r) != MIP4_TYPE_REQUEST)
		return MIP4_SILENT;
	out->flags = reader_u8(&r);
	out->lifetime_s = reader_u16(&r);
	reader_copy(&r, out->home, sizeof(out->home));
	reader_copy(&r, out->home_agent, sizeof(out->home_agent));
	reader_copy(&r, out->care_of, sizeof(out->care_of));
	out->identification = reader_u64(&r);
	return read_extensions(&r, p, &out->ext);
}

enum mip4_verdict mip4_read_reply(const uint8_t *p, size_t len, struct mip4_reply *out)
{
	struct reader r = reader_of(p, len);

	*out = (struct mip4_reply){0};
	if (len < MIP4_REPLY_LEN || reader_u8(&r) != MIP4_TYPE_REPLY)
		return MIP4_SILENT;
	out->code = reader_u8(&r);
	out->lifetime_s = reader_u16(&r);
	reader_copy(&r, out->home, sizeof(out->home));
	reader_copy(&r, out->home_agent, sizeof(out->home_agent));
	out->identification = reader_u64(&r);
	return read_extensions(&r, p, &out->ext);
}

/* The head of one of our vendor extensions; the value of `len` bytes follows. */
static void write_vendor(struct writer *w, bool critical, enum mip4_vendor_type type, size_t len)
{
	if (critical) {
		writer_u8(w, EXT_CRITICAL_VENDOR);
		writer_u8(w, 0);
		writer_u16(w, (uint16_t)(EXT_VENDOR_LEN + len));
	} else {
		writer_u8(w, EXT_NORMAL_VENDOR);
		writer_u8(w, (uint8_t)(2 + EXT_VENDOR_LEN + len));
		writer_u16(w, 0);
	}
	writer_u32(w, SOJOURN_ENTERPRISE);
	writer_u16(w, (uint16_t)type);
}

/* Whoever does not know which connections are meant must not act on the request: critical.
 * Without the others the message still means something true: normal. */
static void write_extensions(struct writer *w, const struct mip4_ext *ext)
{
	if (ext->spi_count > MIP4_SPIS_MAX || ext->result_count > MIP4_SPIS_MAX) {
		w->failed = true;
		return;
	}
	if (ext->has_epoch) {
		write_vendor(w, false, MIP4_VENDOR_EPOCH, 4);
		writer_u32(w, ext->epoch);
	}
	if (ext->has_connections) {
		write_vendor(w, true, MIP4_VENDOR_CONNECTIONS, 1 + 4 * (size_t)ext->spi_count);
		writer_u8(w, ext->op);
		for (size_t i = 0; i < ext->spi_count; i++)
			writer_u32(w, ext->spis[i]);
	}
	if (ext->result_count) {
		write_vendor(w, false, MIP4_VENDOR_RESULTS,
			     EXT_RESULT_LEN * (size_t)ext->result_count);
		for (size_t i = 0; i < ext->result_count; i++) {
			writer_u32(w, ext->results[i].spi);
			writer_u8(w, ext->results[i].code);
		}
	}
}

static size_t write_end(struct writer *w, const struct mip4_ext *ext, size_t *auth_off)
{
	write_extensions(w, ext);
	writer_u8(w, EXT_MN_HA_AUTH);
	writer_u8(w, EXT_SPI_LEN + MIP4_AUTH_LEN);
	writer_u32(w, ext->auth_spi);
	*auth_off = writer_len(w);
	writer_zero(w, MIP4_AUTH_LEN);
	return w->failed ? 0 : writer_len(w);
}

size_t mip4_write_request(uint8_t *p, size_t room, const struct mip4_request *m, size_t *auth_off)
{
	struct writer w = writer_of(p, room);

	writer_u8(&w, MIP4_TYPE_REQUEST);
	writer_u8(&w, m->flags);
	writer_u16(&w, m->lifetime_s);
	writer_bytes(&w, m->home, sizeof(m->home));
	writer_bytes(&w, m->home_agent, sizeof(m->home_agent));
	writer_bytes(&w, m->care_of, sizeof(m->care_of));
	writer_u64(&w, m->identification);
	return write_end(&w, &m->ext, auth_off);
}

size_t mip4_write_reply(uint8_t *p, size_t room, const struct mip4_reply *m, size_t *auth_off)
{
	struct writer w = writer_of(p, room);

	writer_u8(&w, MIP4_TYPE_REPLY);
	writer_u8(&w, m->code);
	writer_u16(&w, m->lifetime_s);
	writer_bytes(&w, m->home, sizeof(m->home));
	writer_bytes(&w, m->home_agent, sizeof(m->home_agent));
	writer_u64(&w, m->identification);
	return write_end(&w, &m->ext, auth_off);
}

uint64_t mip4_identification(uint64_t wall_us)
{
	uint32_t sec = (uint32_t)(wall_us / USEC_IN_SEC) + NTP_UNIX_OFFSET;
	/* Rounded up, so that reading it gives the same microsecond. */
	uint64_t frac = ((wall_us % USEC_IN_SEC << 32) + USEC_IN_SEC - 1) / USEC_IN_SEC;

	return (uint64_t)sec << 32 | frac;
}

uint64_t mip4_wall_us(uint64_t identification)
{
	/* Modulo 2^32: seconds before 1970 are those after NTP's first era ends in 2036. */
	uint32_t sec = (uint32_t)(identification >> 32) - NTP_UNIX_OFFSET;
	uint64_t frac = identification & UINT32_MAX;

	return (uint64_t)sec * USEC_IN_SEC + (frac * USEC_IN_SEC >> 32);
}
