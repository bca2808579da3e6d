/* SPDX-License-Identifier: MIT */
/*
 * DNS messages (RFC 1035 4.1): one question, and the addresses among its answers.
 *
 * A recursive server gives the whole chain of aliases with the addresses at its end in one answer
 * section, so addresses are taken wherever they are in it: whoever could put a false one under
 * another name could put it under this one.  Names in answers are skipped, never followed: a
 * compressed name ends with its pointer (4.1.4).
 */
#include "wire/dns.h"

#include <string.h>
#include "base/cursor.h"

#define DNS_HEADER_LEN	 12
#define DNS_LABEL_MAX	 63
#define DNS_FLAG_REPLY	 0x8000
#define DNS_FLAG_RECURSE 0x0100
#define DNS_OPCODE	 0x7800
#define DNS_CLASS_IN	 1
#define DNS_ANSWERS_MAX	 64

/* Letters, digits, hyphens, underscores, as labels; a final dot is the root's. */
static bool write_name(struct writer *w, const char *name)
{
	size_t total = 0;
	while (*name) {
		size_t len = strcspn(name, ".");
		if (len == 0 || len > DNS_LABEL_MAX || (total += len + 1) >= DNS_NAME_MAX)
			return false;
		for (size_t i = 0; i < len; i++)
			if ((uint8_t)name[i] <= ' ' || (uint8_t)name[i] >= 0x7f)
				return false;
		writer_u8(w, (uint8_t)len);
		writer_bytes(w, name, len);
		name += len;
		if (*name == '.')
			name++;
	}
	writer_u8(w, 0);
	return total > 0;
}

size_t dns_write_query(uint8_t *out, size_t room, uint16_t id, const char *name, enum dns_type type)
{
	struct writer w = writer_of(out, room);
	writer_u16(&w, id);
	writer_u16(&w, DNS_FLAG_RECURSE);
	writer_u16(&w, 1); /* question */
	writer_zero(&w, 6);
	if (!write_name(&w, name))
		return 0;
	writer_u16(&w, (uint16_t)type);
	writer_u16(&w, DNS_CLASS_IN);
	return w.failed ? 0 : writer_len(&w);
}

static void skip_name(struct reader *r)
{
	for (;;) {
		uint8_t len = reader_u8(r);
		if (r->failed || len == 0)
			return;
		if ((len & 0xc0) == 0xc0) {
			reader_skip(r, 1);
			return;
		}
		if (len & 0xc0) {
			r->failed = true;
			return;
		}
		reader_skip(r, len);
	}
}

/* The same octets but for the case of letters, which some servers change. */
static bool same_question(const uint8_t *a, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t x = a[i], y = b[i];
		x = x >= 'A' && x <= 'Z' ? (uint8_t)(x | 0x20) : x;
		y = y >= 'A' && y <= 'Z' ? (uint8_t)(y | 0x20) : y;
		if (x != y)
			return false;
	}
	return true;
}

static void read_record(struct reader *r, struct addr *out, size_t max, size_t *found)
{
	skip_name(r);
	uint16_t type = reader_u16(r), class = reader_u16(r);
	reader_skip(r, 4); /* time to live */
	uint16_t len = reader_u16(r);
	const uint8_t *data = reader_bytes(r, len);
	if (r->failed || class != DNS_CLASS_IN || *found == max)
		return;
	if (type == DNS_A && len == 4)
		out[(*found)++] = addr_from_bytes(4, data);
	else if (type == DNS_AAAA && len == 16)
		out[(*found)++] = addr_from_bytes(6, data);
}

bool dns_read_answer(const uint8_t *msg, size_t len, const uint8_t *query, size_t query_len,
		     struct addr *out, size_t max, size_t *found)
{
	struct reader r = reader_of(msg, len), q = reader_of(query, query_len);
	*found = 0;
	uint16_t id = reader_u16(&r), flags = reader_u16(&r);
	uint16_t questions = reader_u16(&r), answers = reader_u16(&r);
	reader_skip(&r, 4);
	uint16_t asked = reader_u16(&q);
	reader_skip(&q, DNS_HEADER_LEN - 2);
	size_t question_len = reader_left(&q);
	const uint8_t *question = reader_bytes(&r, question_len);
	if (r.failed || q.failed || id != asked || !(flags & DNS_FLAG_REPLY) ||
	    (flags & DNS_OPCODE) || questions != 1 ||
	    !same_question(question, query + DNS_HEADER_LEN, question_len))
		return false;
	for (unsigned i = 0; i < answers && i < DNS_ANSWERS_MAX && !r.failed; i++)
		read_record(&r, out, max, found);
	return true;
}
