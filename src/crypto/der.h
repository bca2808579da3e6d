/* SPDX-License-Identifier: MIT */
/* DER (X.690) by the cursor: definite lengths in their shortest form, low tag numbers. */
#ifndef CRYPTO_DER_H
#define CRYPTO_DER_H

#include "base/cursor.h"

#define DER_INTEGER    0x02
#define DER_NULL       0x05
#define DER_OID	       0x06
#define DER_UTF8       0x0c
#define DER_NUMERIC    0x12
#define DER_PRINTABLE  0x13
#define DER_T61	       0x14
#define DER_IA5	       0x16
#define DER_VISIBLE    0x1a
#define DER_UNIVERSAL  0x1c
#define DER_BMP	       0x1e
#define DER_SEQUENCE   0x30
#define DER_SET	       0x31
#define DER_CONTEXT(n) (0xa0 | (n)) /* constructed */
#define DER_HEADER_MAX 4	    /* tag and length, up to 65535 octets of contents */

/* The contents of the next value; gives its tag.  Failed (both) when there is none. */
static inline struct reader der_next(struct reader *r, uint8_t *tag)
{
	*tag = reader_u8(r);
	size_t len = reader_u8(r);
	if ((*tag & 0x1f) == 0x1f)
		r->failed = true;
	if (len >= 0x80) {
		size_t octets = len - 0x80, least = octets == 2 ? 0x100 : 0x80;
		len = octets == 1 || octets == 2 ? (size_t)reader_uint(r, octets) : 0;
		if (len < least)
			r->failed = true;
	}
	return reader_sub(r, len);
}

/* The same for a value that must have this tag. */
static inline struct reader der_take(struct reader *r, uint8_t tag)
{
	uint8_t found;
	struct reader inner = der_next(r, &found);
	if (found != tag)
		inner.failed = r->failed = true;
	return inner;
}

static inline size_t der_header_len(size_t len)
{
	return len < 0x80 ? 2 : len < 0x100 ? 3 : 4;
}

static inline void der_write_header(struct writer *w, uint8_t tag, size_t len)
{
	writer_u8(w, tag);
	if (len > UINT16_MAX)
		w->failed = true;
	if (len >= 0x80)
		writer_u8(w, len < 0x100 ? 0x81 : 0x82);
	writer_uint(w, len, len < 0x100 ? 1 : 2);
}

#endif
