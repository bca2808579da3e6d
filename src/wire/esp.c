/* SPDX-License-Identifier: MIT */
/*
 * ESP's parts that are bytes and not cryptography: the trailer (RFC 4303 2.4-2.6), what
 * arrives on an encapsulation socket (RFC 3948 2.1-2.3), and the probe that measures a
 * connection inside of it.
 *
 * Pure functions over the caller's memory; any thread.
 */
#include "wire/esp.h"

#include <string.h>
#include "base/cursor.h"

static const uint8_t probe_magic[4] = {'S', 'J', 'P', 'R'};

enum esp_udp_kind esp_udp_classify(const uint8_t *p, size_t len)
{
	struct reader r = reader_of(p, len);

	if (len == 1 && p[0] == 0xff)
		return ESP_UDP_KEEPALIVE;
	if (reader_u32(&r) == 0)
		return r.failed ? ESP_UDP_RUNT : ESP_UDP_IKE;
	return len < ESP_HEADER_LEN ? ESP_UDP_RUNT : ESP_UDP_ESP;
}

size_t esp_write_trailer(uint8_t *payload, size_t payload_len, size_t block, uint8_t next_header)
{
	size_t pad = esp_pad_len(payload_len, block);
	uint8_t *p = payload + payload_len;

	for (size_t i = 0; i < pad; i++)
		p[i] = (uint8_t)(i + 1);
	p[pad] = (uint8_t)pad;
	p[pad + 1] = next_header;
	return pad + ESP_TRAILER_LEN;
}

bool esp_read_trailer(const uint8_t *payload, size_t len, size_t *payload_len, uint8_t *next_header)
{
	if (len < ESP_TRAILER_LEN)
		return false;
	size_t pad = payload[len - 2];
	if (pad > len - ESP_TRAILER_LEN)
		return false;

	size_t inner_len = len - ESP_TRAILER_LEN - pad;
	uint8_t wrong = 0;
	for (size_t i = 0; i < pad; i++)
		wrong = (uint8_t)(wrong | (payload[inner_len + i] ^ (i + 1)));
	if (wrong)
		return false;
	*payload_len = inner_len;
	*next_header = payload[len - 1];
	return true;
}

size_t esp_write_probe(uint8_t *p, size_t room, const struct esp_probe *probe)
{
	struct writer w = writer_of(p, room);

	writer_bytes(&w, probe_magic, sizeof(probe_magic));
	writer_u8(&w, (uint8_t)probe->kind);
	writer_zero(&w, 3);
	writer_u64(&w, probe->id);
	return w.failed ? 0 : writer_len(&w);
}

bool esp_read_probe(const uint8_t *p, size_t len, struct esp_probe *out)
{
	struct reader r = reader_of(p, len);
	uint8_t magic[sizeof(probe_magic)];

	reader_copy(&r, magic, sizeof(magic));
	uint8_t kind = reader_u8(&r);
	reader_skip(&r, 3);
	uint64_t id = reader_u64(&r);
	if (r.failed || memcmp(magic, probe_magic, sizeof(magic)) != 0)
		return false;
	if (kind != ESP_PROBE_REQUEST && kind != ESP_PROBE_REPLY && kind != ESP_PROBE_USE)
		return false;
	*out = (struct esp_probe){.kind = (enum esp_probe_kind)kind, .id = id};
	return true;
}
