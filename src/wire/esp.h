/* SPDX-License-Identifier: MIT */
/*
 * ESP (RFC 4303) as bytes, UDP encapsulation (RFC 3948), and our probe.
 *
 *   | SPI 4 | sequence 4 | IV | payload | padding 1,2,3.. | pad length 1 | next header 1 | ICV |
 */
#ifndef WIRE_ESP_H
#define WIRE_ESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ESP_HEADER_LEN	 8
#define ESP_TRAILER_LEN	 2
#define ESP_MAX_OVERHEAD (ESP_HEADER_LEN + 16 + 16 + ESP_TRAILER_LEN + 32)

/* Padding bytes so that payload + padding + trailer fills `block` (at least 4, RFC 4303 2.4). */
static inline size_t esp_pad_len(size_t payload_len, size_t block)
{
	size_t b = block < 4 ? 4 : block;
	return (b - (payload_len + ESP_TRAILER_LEN) % b) % b;
}

/* A datagram of an encapsulation socket (RFC 3948 2.1-2.3). */
enum esp_udp_kind { ESP_UDP_ESP, ESP_UDP_IKE, ESP_UDP_KEEPALIVE, ESP_UDP_RUNT };
enum esp_udp_kind esp_udp_classify(const uint8_t *p, size_t len);

/* Writes padding and trailer behind `payload_len` bytes at `payload`; returns the bytes
 * written (room was made by the caller with esp_pad_len). */
size_t esp_write_trailer(uint8_t *payload, size_t payload_len, size_t block, uint8_t next_header);
/* Checks pad bytes and length within `len` decrypted bytes (payload..next header); gives the
 * payload's length and next header. */
bool esp_read_trailer(const uint8_t *payload, size_t len, size_t *payload_len, uint8_t *next_header)
    __attribute__((warn_unused_result));

/*
 * Probe: the payload of an ESP packet with next header 59, which other people's IPsec
 * discards as a dummy (RFC 4303 2.6).  16 bytes: magic "SJPR", kind 1, reserved 3, id 8.
 */
#define ESP_PROBE_LEN 16
/* USE: a request that says as well that its sender uses this connection (implied registration). */
enum esp_probe_kind { ESP_PROBE_REQUEST = 1, ESP_PROBE_REPLY = 2, ESP_PROBE_USE = 3 };
struct esp_probe {
	enum esp_probe_kind kind;
	uint64_t id;
};
size_t esp_write_probe(uint8_t *p, size_t room, const struct esp_probe *probe);
bool esp_read_probe(const uint8_t *p, size_t len, struct esp_probe *out)
    __attribute__((warn_unused_result));

#endif
