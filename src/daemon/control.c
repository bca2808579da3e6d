/* SPDX-License-Identifier: MIT */
/*
 * The control socket: a request a line, a reply a line, both JSON (doc/control.md).
 *
 * Who may connect is the socket file's mode and group, which `net` sets; here nobody is trusted
 * further.  A client has one buffer in, of a fixed size, and one reply at a time on its way out:
 * its next request waits until that was sent.  Who sends a longer line, or does not read its
 * reply for STALL_US, is closed.  At most CLIENTS_MAX at once: while all places are taken, a new
 * client is accepted, told so and closed.
 *
 * Ownership: a client belongs to its control and lives as long as its descriptor.  Everything
 * runs in the loop's thread.
 */
#include "daemon/control.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"

#define CLIENTS_MAX 16
#define LINE_MAX_IN (64u << 10)
#define STALL_US    (5 * USEC_PER_SEC)

struct client {
	struct control *control;
	int fd;
	struct loop_fd *watch;
	size_t in_len;
	char in[LINE_MAX_IN];
	char *out; /* owned; out_at..out_len is to be sent */
	size_t out_at, out_len;
	usec_t sent_us; /* when something was sent last */
	bool closing;	/* once everything is sent */
	bool waiting;	/* for control_answer */
	bool root;	/* who opened the connection */
};

struct control {
	struct loop *loop;
	int listen_fd;
	struct loop_fd *watch;
	struct loop_timer *timer;
	control_fn fn;
	void *ctx;
	const struct log *log;
	struct log_limit limit;
	struct client *clients[CLIENTS_MAX];
	const struct client *asking; /* during fn */
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

/* Takes the reply; nothing else is waiting to be sent. */
static void client_queue(struct client *c, json_t *reply)
{
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;

	json_decref(reply);
	if (!text)
		text = mem_strdup("{\"error\":\"the reply cannot be written as JSON\"}");
	size_t len = strlen(text);
	text[len] = '\n'; /* in the place of the zero: `out` has a length */
	free(c->out);
	c->out = text;
	c->out_at = 0;
	c->out_len = len + 1;
	c->sent_us = clock_now_us();
}

/* NULL: the answer comes later. */
static json_t *client_answer(struct client *c, const char *line, size_t len)
{
	json_error_t why;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);

	if (!json_is_object(request)) {
		json_decref(request);
		return error_reply("not a JSON object on one line, like {\"command\": \"status\"}");
	}
	const char *command = json_string_value(json_object_get(request, "command"));
	c->control->asking = c;
	json_t *reply = command ? c->control->fn(c->control->ctx, command, request)
				: error_reply("no \"command\"; write {\"command\": \"status\"}");
	c->control->asking = NULL;
	json_decref(request);
	c->waiting = !reply;
	return reply;
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
		c->sent_us = clock_now_us();
	}
	loop_fd_want_write(c->watch, false);
	free(c->out);
	c->out = NULL;
	c->out_at = c->out_len = 0;
	return !c->closing;
}

/* Answers whole lines while the client takes the replies; false: close. */
static bool client_lines(struct client *c)
{
	char *at = c->in, *end = c->in + c->in_len, *nl;

	while (!c->closing && !c->waiting && !c->out_len &&
	       (nl = memchr(at, '\n', (size_t)(end - at)))) {
		json_t *reply = client_answer(c, at, (size_t)(nl - at));
		at = nl + 1;
		if (!reply)
			break;
		client_queue(c, reply);
		if (!client_send(c))
			return false;
	}
	c->in_len = (size_t)(end - at);
	memmove(c->in, at, c->in_len);
	if (c->in_len < sizeof(c->in))
		return true;
	if (c->out_len || c->waiting) /* asks on and on, and reads nothing */
		return false;
	c->closing = true;
	client_queue(c, error_reply("the line is longer than 64 KiB"));
	return client_send(c);
}

/* false: close. */
static bool client_receive(struct client *c)
{
	if (c->closing || c->in_len == sizeof(c->in))
		return false;
	ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
	if (n == 0)
		return false;
	c->in_len += (size_t)n;
	return client_lines(c);
}

static void client_ready(void *ctx, bool readable, bool writable)
{
	struct client *c = ctx;

	if (writable && (!client_send(c) || !client_lines(c)))
		client_free(c);
	else if (readable && !client_receive(c))
		client_free(c);
}

bool control_asker_is_root(const struct control *k)
{
	return k->asking && k->asking->root;
}

/* --- the socket */

static bool is_root(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == 0;
}

void control_answer(struct control *k, const json_t *reply)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = k->clients[i];
		if (!c || !c->waiting)
			continue;
		c->waiting = false;
		client_queue(c, json_deep_copy(reply));
		if (!client_send(c) || !client_lines(c))
			client_free(c);
	}
}

static struct client **control_place(struct control *k)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (!k->clients[i])
			return &k->clients[i];
	}
	return NULL;
}

static void control_accept(void *ctx, bool readable, bool writable)
{
	static const char busy[] = "{\"error\":\"too many clients at once; try again\"}\n";
	struct control *k = ctx;
	struct client **place = control_place(k);
	int fd = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)readable;
	(void)writable;
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED &&
		    log_limit_ok(&k->limit, clock_now_us(), 1))
			log_warn(k->log, "control: cannot accept a client: %s", strerror(errno));
		return;
	}
	if (!place) {
		(void)!send(fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(fd);
		return;
	}
	struct client *c = mem_zalloc(sizeof(*c));
	c->control = k;
	c->fd = fd;
	c->root = is_root(fd);
	c->watch = loop_fd_add(k->loop, fd, client_ready, c);
	if (!c->watch) {
		close(fd);
		free(c);
		return;
	}
	*place = c;
}

/* Closes who has not read for a while. */
static void control_sweep(void *ctx)
{
	struct control *k = ctx;
	usec_t now = clock_now_us();

	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = k->clients[i];
		if (c && c->out_len && now - c->sent_us > STALL_US)
			client_free(c);
	}
	loop_timer_at(k->timer, now + USEC_PER_SEC);
}

struct control *control_new(struct loop *loop, int listen_fd, control_fn fn, void *ctx,
			    const struct log *log)
{
	struct control *k = mem_zalloc(sizeof(*k));

	*k = (struct control){
	    .loop = loop, .listen_fd = listen_fd, .fn = fn, .ctx = ctx, .log = log};
	/* A client that gave up between poll and accept must not stop the loop. */
	(void)!fcntl(listen_fd, F_SETFL, O_NONBLOCK);
	k->watch = loop_fd_add(loop, listen_fd, control_accept, k);
	k->timer = loop_timer_new(loop, control_sweep, k);
	if (!k->watch || !k->timer) {
		control_free(k);
		return NULL;
	}
	loop_timer_at(k->timer, clock_now_us() + USEC_PER_SEC);
	return k;
}

void control_free(struct control *k)
{
	if (!k)
		return;
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (k->clients[i])
			client_free(k->clients[i]);
	}
	if (k->timer)
		loop_timer_free(k->timer);
	if (k->watch)
		loop_fd_remove(k->watch);
	close(k->listen_fd);
	free(k);
}
