/* SPDX-License-Identifier: MIT */
/*
 * The Internet checksum's sum, alone and while copying.
 *
 * The one's complement sum does not care about the byte order it is done in, nor about the word
 * size as long as carries come round (RFC 1071 2): so it is done in the machine's own order, over
 * words of 8 bytes, and swapped once at the end.
 *
 * In vectors nobody sees a carry.  But of many words v the sum of their high halves is exact, and
 * so is that of the low halves: it is what the sum of v, modulo 2^64, has beyond 2^32 times the
 * other.  That takes three operations for each vector; and in the end both halves weigh the same.
 * The processor is asked at each call, which is a load and a test and needs no state of ours.
 *
 * Pure functions; any thread; called per packet.
 */
#include <endian.h>
#include <string.h>
#include "wire/ip.h"

#define INLINE static inline __attribute__((always_inline))

#define WIDE_LEN 64  /* what the vectors take at a time */
#define WIDE_MIN 128 /* shorter is faster without them */

/* a + b with the carry added in again: one's complement in 64 bits. */
INLINE uint64_t add64(uint64_t a, uint64_t b)
{
	uint64_t s = a + b;

	return s + (s < b);
}

/* Copies where there is a dst: the compiler knows at each call whether there is. */
INLINE uint64_t take64(uint8_t *dst, const uint8_t *p, size_t off)
{
	uint64_t v;

	memcpy(&v, p + off, sizeof(v));
	if (dst)
		memcpy(dst + off, &v, sizeof(v));
	return v;
}

/* Less than 8 bytes, as if zeros followed. */
INLINE uint64_t take_last(uint8_t *dst, const uint8_t *p, size_t len)
{
	uint64_t sum = 0;
	size_t off = 0;
	uint32_t v32;
	uint16_t v16;

	if (len & 4) {
		memcpy(&v32, p, sizeof(v32));
		if (dst)
			memcpy(dst, &v32, sizeof(v32));
		sum += v32;
		off += 4;
	}
	if (len & 2) {
		memcpy(&v16, p + off, sizeof(v16));
		if (dst)
			memcpy(dst + off, &v16, sizeof(v16));
		sum += v16;
		off += 2;
	}
	if (len & 1) {
		sum += htobe16((uint16_t)(p[off] << 8));
		if (dst)
			dst[off] = p[off];
	}
	return sum;
}

INLINE uint64_t take_words(uint8_t *dst, const uint8_t *p, size_t len)
{
	uint64_t a = 0, b = 0, c = 0, d = 0;
	size_t off = 0;

	for (; len - off >= 32; off += 32) {
		a = add64(a, take64(dst, p, off));
		b = add64(b, take64(dst, p, off + 8));
		c = add64(c, take64(dst, p, off + 16));
		d = add64(d, take64(dst, p, off + 24));
	}
	for (; len - off >= 8; off += 8)
		a = add64(a, take64(dst, p, off));
	b = add64(b, take_last(dst ? dst + off : NULL, p + off, len - off));
	return add64(add64(a, b), add64(c, d));
}

#ifdef __x86_64__

typedef uint64_t vec4 __attribute__((vector_size(32)));

/* A multiple of WIDE_LEN. */
__attribute__((target("avx2"))) static uint64_t take_wide(uint8_t *dst, const uint8_t *p,
							  size_t len)
{
	vec4 all_a = {0}, all_b = {0}, high_a = {0}, high_b = {0}, a, b;
	uint64_t all[4], high[4], sum = 0;

	for (size_t off = 0; off < len; off += WIDE_LEN) {
		memcpy(&a, p + off, sizeof(a));
		memcpy(&b, p + off + sizeof(a), sizeof(b));
		if (dst) {
			memcpy(dst + off, &a, sizeof(a));
			memcpy(dst + off + sizeof(a), &b, sizeof(b));
		}
		all_a += a;
		all_b += b;
		high_a += a >> 32;
		high_b += b >> 32;
	}
	all_a += all_b;
	high_a += high_b;
	memcpy(all, &all_a, sizeof(all));
	memcpy(high, &high_a, sizeof(high));
	for (size_t i = 0; i < 4; i++)
		sum += all[i] - (high[i] << 32) + high[i];
	return sum;
}

INLINE uint64_t take(uint8_t *dst, const uint8_t *p, size_t len)
{
	size_t wide = len & ~(size_t)(WIDE_LEN - 1);

	if (len < WIDE_MIN || !__builtin_cpu_supports("avx2"))
		return take_words(dst, p, len);
	return add64(take_wide(dst, p, wide),
		     take_words(dst ? dst + wide : NULL, p + wide, len - wide));
}

#else

INLINE uint64_t take(uint8_t *dst, const uint8_t *p, size_t len)
{
	return take_words(dst, p, len);
}

#endif

/* Folded to 16 bits and added, carries coming round. */
INLINE uint32_t add_to(uint32_t sum, uint64_t a)
{
	a = (a >> 32) + (a & UINT32_MAX);
	a = (a >> 32) + (a & UINT32_MAX);
	a = (a >> 16) + (a & 0xffff);
	a = (a >> 16) + (a & 0xffff);
	uint32_t words = be16toh((uint16_t)((a >> 16) + (a & 0xffff)));
	sum += words;
	return sum + (sum < words);
}

uint32_t ip_sum(const void *data, size_t len, uint32_t sum)
{
	return add_to(sum, take(NULL, data, len));
}

uint32_t ip_copy_sum(void *dst, const void *src, size_t len, uint32_t sum)
{
	return add_to(sum, take(dst, src, len));
}
