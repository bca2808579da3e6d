/* SPDX-License-Identifier: MIT */
/* What a socket gives, what decryption gives, and the probe within it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "wire/esp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_trailer(const uint8_t *data, size_t len)
{
	size_t payload_len, again_len;
	uint8_t next, next2;

	if (!esp_read_trailer(data, len, &payload_len, &next))
		return;
	assert(payload_len + ESP_TRAILER_LEN <= len);
	size_t room = payload_len + esp_pad_len(payload_len, 16) + ESP_TRAILER_LEN;
	uint8_t *p = malloc(room);
	assert(p);
	memcpy(p, data, payload_len);
	assert(esp_write_trailer(p, payload_len, 16, next) == room - payload_len);
	assert(esp_read_trailer(p, room, &again_len, &next2));
	assert(again_len == payload_len && next2 == next);
	free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct esp_probe probe, again;
	uint8_t out[ESP_PROBE_LEN];

	enum esp_udp_kind kind = esp_udp_classify(data, len);
	assert(kind != ESP_UDP_ESP || len >= ESP_HEADER_LEN);
	check_trailer(data, len);
	if (esp_read_probe(data, len, &probe)) {
		assert(esp_write_probe(out, sizeof(out), &probe) == sizeof(out));
		assert(esp_read_probe(out, sizeof(out), &again));
		assert(again.kind == probe.kind && again.id == probe.id);
	}
	return 0;
}
