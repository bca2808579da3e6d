/* SPDX-License-Identifier: MIT */
/* UTF-8 (RFC 3629) out of the network. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/cursor.h"

/* The next code point; malformed, overlong, a surrogate or beyond U+10FFFF: 0 and failed. */
static inline uint32_t utf8_read(struct reader *r)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	uint8_t first = reader_u8(r);
	if (first < 0x80)
		return first;
	size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
	uint32_t c = first & (0x3fu >> more);
	bool good = first >= 0xc2 && first <= 0xf4;
	for (size_t i = 0; good && i < more; i++) {
		uint8_t next = reader_u8(r);
		good = (next & 0xc0) == 0x80;
		c = c << 6 | (next & 0x3f);
	}
	if (!good || c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
		r->failed = true;
		return 0;
	}
	return c;
}

#endif
