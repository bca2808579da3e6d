/* SPDX-License-Identifier: MIT */
/*
 * The control socket: a UNIX stream socket made by `net` (path, mode, group) and served by
 * `node`.  One request a line, JSON: {"command": "status", ...}; one reply, a JSON object on
 * one line; errors are {"error": "text"}.  doc/control.md lists them.  A client that is slow or
 * sends too much is closed; at most 16 at once.
 */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include <jansson.h>
#include "base/log.h"
#include "platform/loop.h"

/* Returns the reply (owned by the caller), or NULL: it comes later, by control_answer. */
typedef json_t *(*control_fn)(void *ctx, const char *command, const json_t *request);

struct control;
/* In a control_fn: root asks, not only somebody whom the socket's mode lets in. */
bool control_asker_is_root(const struct control *c);
/* listen_fd is taken. */
struct control *control_new(struct loop *loop, int listen_fd, control_fn fn, void *ctx,
			    const struct log *log);
/* Answers every client that waits for a later reply (borrowed). */
void control_answer(struct control *c, const json_t *reply);
void control_free(struct control *c);

#endif
