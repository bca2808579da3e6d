/* SPDX-License-Identifier: MIT */
/*
 * The cursor: every variable-length format is read and written through it.
 *
 * A cursor is a value on the stack with a sticky error: a read past the end gives
 * zero (or NULL) and sets `failed`; a write past the end writes nothing and sets
 * `failed`.  So a parser reads all its fields and asks once at the end.  All integers
 * are big-endian.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader {
	const uint8_t *p;
	const uint8_t *end;
	bool failed;
};

static inline struct reader reader_of(const void *buf, size_t len)
{
	return (struct reader){.p = buf, .end = (const uint8_t *)buf + len, .failed = false};
}

static inline size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->p);
}

/* The next `len` bytes, or NULL (and failed) when fewer are left.  Borrowed. */
static inline const uint8_t *reader_bytes(struct reader *r, size_t len)
{
	if (r->failed || reader_left(r) < len) {
		r->failed = true;
		return NULL;
	}
	const uint8_t *p = r->p;
	r->p += len;
	return p;
}

static inline void reader_skip(struct reader *r, size_t len)
{
	(void)reader_bytes(r, len);
}

static inline void reader_copy(struct reader *r, void *out, size_t len)
{
	const uint8_t *p = reader_bytes(r, len);
	if (p)
		memcpy(out, p, len);
	else
		memset(out, 0, len);
}

static inline uint64_t reader_uint(struct reader *r, size_t len)
{
	const uint8_t *p = reader_bytes(r, len);
	uint64_t v = 0;
	for (size_t i = 0; p && i < len; i++)
		v = v << 8 | p[i];
	return v;
}

static inline uint8_t reader_u8(struct reader *r)
{
	return (uint8_t)reader_uint(r, 1);
}

static inline uint16_t reader_u16(struct reader *r)
{
	return (uint16_t)reader_uint(r, 2);
}

static inline uint32_t reader_u32(struct reader *r)
{
	return (uint32_t)reader_uint(r, 4);
}

static inline uint64_t reader_u64(struct reader *r)
{
	return reader_uint(r, 8);
}

/* A reader over the next `len` bytes, which are passed; failed when fewer are left. */
static inline struct reader reader_sub(struct reader *r, size_t len)
{
	const uint8_t *p = reader_bytes(r, len);
	return (struct reader){.p = p, .end = p ? p + len : NULL, .failed = !p};
}

/* Everything read, nothing left, no error. */
static inline bool reader_done(const struct reader *r)
{
	return !r->failed && r->p == r->end;
}

struct writer {
	uint8_t *start;
	uint8_t *p;
	uint8_t *end;
	bool failed;
};

static inline struct writer writer_of(void *buf, size_t len)
{
	uint8_t *b = buf;
	return (struct writer){.start = b, .p = b, .end = b + len, .failed = false};
}

static inline size_t writer_len(const struct writer *w)
{
	return (size_t)(w->p - w->start);
}

/* Room for `len` bytes, to be filled by the caller, or NULL (and failed). */
static inline uint8_t *writer_room(struct writer *w, size_t len)
{
	if (w->failed || (size_t)(w->end - w->p) < len) {
		w->failed = true;
		return NULL;
	}
	uint8_t *p = w->p;
	w->p += len;
	return p;
}

static inline void writer_bytes(struct writer *w, const void *data, size_t len)
{
	uint8_t *p = writer_room(w, len);
	if (p && len)
		memcpy(p, data, len);
}

static inline void writer_zero(struct writer *w, size_t len)
{
	uint8_t *p = writer_room(w, len);
	if (p)
		memset(p, 0, len);
}

static inline void writer_uint(struct writer *w, uint64_t v, size_t len)
{
	uint8_t *p = writer_room(w, len);
	for (size_t i = len; p && i-- > 0; v >>= 8)
		p[i] = (uint8_t)v;
}

static inline void writer_u8(struct writer *w, uint8_t v)
{
	writer_uint(w, v, 1);
}

static inline void writer_u16(struct writer *w, uint16_t v)
{
	writer_uint(w, v, 2);
}

static inline void writer_u32(struct writer *w, uint32_t v)
{
	writer_uint(w, v, 4);
}

static inline void writer_u64(struct writer *w, uint64_t v)
{
	writer_uint(w, v, 8);
}

#endif
