/* SPDX-License-Identifier: MIT */
/* The authentication header and the headers before it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "wire/ah.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A header that is not sound is left alone; one that is stays so, and nothing more of it is
 * mutable. */
static void check_zero(const uint8_t *data, size_t len, bool (*zero)(uint8_t *ip, size_t len))
{
	uint8_t *p = malloc(len ? len : 1), *again = malloc(len ? len : 1);
	assert(p && again);
	if (len)
		memcpy(p, data, len);
	if (!zero(p, len)) {
		assert(len == 0 || memcmp(p, data, len) == 0);
	} else {
		memcpy(again, p, len);
		bool sound = zero(again, len);
		/* An IPv4 option that became zero ends the list, which is sound as well. */
		assert(sound && memcmp(again, p, len) == 0);
	}
	free(p);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ah_header h, back;
	uint8_t out[AH_LEN_MAX];

	check_zero(data, len, ah_zero_ip4);
	check_zero(data, len, ah_zero_ip6);
	if (ah_read(data, len, &h)) {
		assert(h.len >= AH_FIXED_LEN && h.len <= len);
		assert(ah_write(out, sizeof(out), &h) == h.len);
		assert(ah_read(out, sizeof(out), &back));
		assert(h.next_header == back.next_header && h.len == back.len);
		assert(h.spi == back.spi && h.seq == back.seq);
	}
	return 0;
}
