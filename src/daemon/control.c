/* SPDX-License-Identifier: MIT */
/*
 * The control socket: a request a line, a reply a line, both JSON (doc/control.md).
 *
 * Who may connect is the socket file's mode and group, which `net` sets; here nobody is trusted
 * further.  A client has one buffer in, of a fixed size, and one out, of a bounded size; who
 * sends a longer line, or does not read its replies, is closed.  At most CLIENTS_MAX at once:
 * while all places are taken, a new client is accepted, told so and closed.
 *
 * Ownership: a client belongs to its control and lives as long as its descriptor.  Everything
 * runs in the loop's thread.
 */
#include "daemon/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"

#define CLIENTS_MAX 16
#define LINE_MAX_IN (64u << 10)
/* A status of ten thousand connections has about 6 MiB. */
#define OUT_MAX (64u << 20)

struct client {
	struct control *control;
	int fd;
	struct loop_fd *watch;
	size_t in_len;
	char in[LINE_MAX_IN];
	char *out; /* owned; out_at..out_len is to be sent */
	size_t out_at, out_len;
	bool closing; /* once everything is sent */
};

struct control {
	struct loop *loop;
	int listen_fd;
	struct loop_fd *watch;
	control_fn fn;
	void *ctx;
	const struct log *log;
	struct log_limit limit;
	struct client *clients[CLIENTS_MAX];
};

static void client_free(struct client *c)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (c->control->clients[i] == c)
			c->control->clients[i] = NULL;
	}
	loop_fd_remove(c->watch);
	close(c->fd);
	free(c->out);
	free(c);
}

static json_t *error_reply(const char *text)
{
	return json_pack("{s:s}", "error", text);
}

/* Takes the reply.  false: the client does not read. */
static bool client_queue(struct client *c, json_t *reply)
{
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;

	json_decref(reply);
	if (!text)
		text = mem_strdup("{\"error\":\"the reply cannot be written as JSON\"}");
	size_t len = strlen(text), left = c->out_len - c->out_at;
	bool fits = left + len + 1 <= OUT_MAX;
	if (fits) {
		char *out = mem_zalloc(left + len + 1);
		if (left)
			memcpy(out, c->out + c->out_at, left);
		memcpy(out + left, text, len);
		out[left + len] = '\n';
		free(c->out);
		c->out = out;
		c->out_at = 0;
		c->out_len = left + len + 1;
	}
	free(text);
	return fits;
}

static json_t *client_answer(struct client *c, const char *line, size_t len)
{
	json_error_t why;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);

	if (!json_is_object(request)) {
		json_decref(request);
		return error_reply("not a JSON object on one line, like {\"command\": \"status\"}");
	}
	const char *command = json_string_value(json_object_get(request, "command"));
	json_t *reply = command ? c->control->fn(c->control->ctx, command, request)
				: error_reply("no \"command\"; write {\"command\": \"status\"}");
	json_decref(request);
	return reply ? reply : error_reply("no reply");
}

/* Answers the whole lines; false: close. */
static bool client_lines(struct client *c)
{
	char *at = c->in, *end = c->in + c->in_len, *nl;

	while (!c->closing && (nl = memchr(at, '\n', (size_t)(end - at)))) {
		if (!client_queue(c, client_answer(c, at, (size_t)(nl - at))))
			return false;
		at = nl + 1;
	}
	c->in_len = (size_t)(end - at);
	memmove(c->in, at, c->in_len);
	if (c->in_len < sizeof(c->in))
		return true;
	c->closing = true;
	return client_queue(c, error_reply("the line is longer than 64 KiB"));
}

/* false: close. */
static bool client_send(struct client *c)
{
	while (c->out_at < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			loop_fd_want_write(c->watch, true);
			return true;
		}
		if (n < 0)
			return false;
		c->out_at += (size_t)n;
	}
	loop_fd_want_write(c->watch, false);
	free(c->out);
	c->out = NULL;
	c->out_at = c->out_len = 0;
	return !c->closing;
}

/* false: close. */
static bool client_receive(struct client *c)
{
	/* Nothing more is taken from who does not read what it asked for. */
	if (c->closing || c->out_len)
		return true;
	ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
	if (n == 0)
		return false;
	c->in_len += (size_t)n;
	return client_lines(c);
}
