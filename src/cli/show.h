/* SPDX-License-Identifier: MIT */
/* Replies of sojournd for a person.  doc/control.md has their form. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

typedef void (*show_fn)(const json_t *reply, FILE *out, bool colour);

void show_status(const json_t *reply, FILE *out, bool colour);
void show_connections(const json_t *reply, FILE *out, bool colour);
void show_bindings(const json_t *reply, FILE *out, bool colour);
void show_moves(const json_t *reply, FILE *out, bool colour);
void show_counters(const json_t *reply, FILE *out, bool colour);
/* IKE SAs with their child SAs, then what was counted. */
void show_ike(const json_t *reply, FILE *out, bool colour);
/* Lines for Wireshark's files ikev2_decryption_table and esp_sa. */
void show_keys(const json_t *reply, FILE *out, bool colour);
/* reload, switch, up and the like: what the reply says, or that it was done. */
void show_done(const json_t *reply, FILE *out, bool colour);

#endif
