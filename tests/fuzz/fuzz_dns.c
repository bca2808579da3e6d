/* SPDX-License-Identifier: MIT */
/* DNS answers: the first octet says of what is a query for which name the rest is an answer to. */
#include <assert.h>
#include <string.h>
#include "wire/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const names[] = {"gw.example.net", "a", "very-long-label.example.org."};
	uint8_t query[DNS_QUERY_MAX];
	struct addr out[8];
	size_t found;
	if (len < 3)
		return 0;
	enum dns_type type = data[0] & 1 ? DNS_A : DNS_AAAA;
	uint16_t id = (uint16_t)(data[1] << 8 | data[2]);
	size_t query_len =
	    dns_write_query(query, sizeof(query), id, names[(data[0] >> 1) % 3], type);
	assert(query_len > 12 && query_len <= sizeof(query));
	size_t max = data[0] >> 3 & 7;
	bool is = dns_read_answer(data + 1, len - 1, query, query_len, out, max, &found);
	assert(found <= max && (is || found == 0));
	for (size_t i = 0; i < found; i++)
		assert(out[i].family == 4 || out[i].family == 6);
	/* A text as a name: refused, or written whole. */
	char text[DNS_NAME_MAX + 20];
	size_t text_len = len < sizeof(text) ? len : sizeof(text) - 1;
	memcpy(text, data, text_len);
	text[text_len] = '\0';
	query_len = dns_write_query(query, sizeof(query), id, text, type);
	assert(query_len == 0 || (query_len > 16 && query[query_len - 5] == 0));
	return 0;
}
