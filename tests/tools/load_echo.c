/* SPDX-License-Identifier: MIT */
/*
 * ESP of a load: one ICMP echo request through a terminal's child SA, and the reply that comes
 * back through it.  Keys are made ready for each packet: fifty thousand terminals keep bytes only.
 */
#include <string.h>
#include "base/cursor.h"
#include "base/mem.h"
#include "crypto/crypt.h"
#include "load.h"
#include "wire/esp.h"
#include "wire/ip.h"

#define PACKET_MAX     256
#define TTL	       64
#define ICMP_LEN       16
#define ICMP_REQUEST   8
#define ICMP_REPLY     0
#define NEXT_HEADER_IP 4

static bool crypt_once(const struct terminal *t, enum crypt_direction way, uint8_t *esp, size_t len,
		       uint64_t number)
{
	struct err err;
	const uint8_t *key = way == CRYPT_SEAL ? t->key_out : t->key_in;
	struct crypt *c = crypt_new(t->encr, t->integ, key, t->key_len, way, &err);
	if (!c)
		load_die("%s", err.text);
	struct crypt_op op = {.crypt = c,
			      .esp = esp,
			      .len = (uint32_t)len,
			      .seq_hi = (uint32_t)(number >> 32),
			      .esn = t->esn};
	static struct crypt_worker *worker;
	if (!worker && !(worker = crypt_worker_new(CRYPT_LIBRARY_BEST, 1, &err)))
		load_die("%s", err.text);
	if (way == CRYPT_SEAL)
		crypt_seal(worker, &op, 1);
	else
		crypt_open(worker, &op, 1);
	crypt_worker_forget(worker, crypt_id(c));
	crypt_free(c);
	return op.ok;
}

static size_t icv_len(const struct terminal *t)
{
	return t->integ ? t->integ->icv_len : t->encr->icv_len;
}

static size_t write_request(uint8_t *p, size_t room, const struct terminal *t,
			    const struct addr *target)
{
	size_t header = ip_write_header(p, room, &t->home, target, IP_PROTO_ICMP, 0, TTL, ICMP_LEN);
	struct writer w = writer_of(p + header, room - header);
	writer_u8(&w, ICMP_REQUEST);
	writer_u8(&w, 0);
	writer_u16(&w, 0);
	writer_u16(&w, (uint16_t)t->index);
	writer_u16(&w, (uint16_t)t->sequence);
	writer_u64(&w, t->index);
	uint16_t sum = ip_fold(ip_sum(p + header, ICMP_LEN, 0));
	p[header + 2] = (uint8_t)(sum >> 8);
	p[header + 3] = (uint8_t)sum;
	return header + ICMP_LEN;
}

void load_echo_send(struct load *l, struct terminal *t, const struct addr *target)
{
	uint8_t esp[PACKET_MAX] = {0};
	size_t at = ESP_HEADER_LEN + t->encr->iv_len;
	struct writer w = writer_of(esp, sizeof(esp));
	t->sequence++;
	writer_u32(&w, t->spi_out);
	writer_u32(&w, (uint32_t)t->sequence);
	size_t inner = write_request(esp + at, sizeof(esp) - at, t, target);
	size_t trailer = esp_write_trailer(esp + at, inner, t->encr->block_len, NEXT_HEADER_IP);
	size_t len = at + inner + trailer + icv_len(t);
	if (!crypt_once(t, CRYPT_SEAL, esp, len, t->sequence))
		load_die("an ESP packet cannot be sealed");
	struct endpoint from = {t->outer, l->o.port}, to = {l->o.to, l->o.to_port};
	load_net_send(l->net, &from, &to, false, esp, len);
}

static bool is_reply(const struct terminal *t, const uint8_t *ip, size_t len)
{
	struct ip_info info;
	return ip_parse(ip, len, &info) && info.proto == IP_PROTO_ICMP && info.first &&
	       addr_equal(&info.dst, &t->home) &&
	       info.total_len >= (uint32_t)info.l4_off + ICMP_LEN && ip[info.l4_off] == ICMP_REPLY;
}

void load_echo_input(struct load *l, uint8_t *esp, size_t len)
{
	struct reader r = reader_of(esp, len);
	uint32_t i = reader_u32(&r) - LOAD_SPI_BASE;
	uint64_t number = reader_u32(&r);
	struct terminal *t = i < l->spi_count ? l->by_spi[i] : NULL;
	size_t at, inner;
	uint8_t next;
	if (r.failed || !t || !t->spi_out)
		return;
	at = ESP_HEADER_LEN + t->encr->iv_len;
	/* Few packets come: the high half of their numbers is 0. */
	if (len < at + icv_len(t) || !crypt_once(t, CRYPT_OPEN, esp, len, number) ||
	    !esp_read_trailer(esp + at, len - at - icv_len(t), &inner, &next) ||
	    !is_reply(t, esp + at, inner))
		return;
	t->wanted = false;
}
