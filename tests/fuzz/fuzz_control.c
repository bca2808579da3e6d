/* SPDX-License-Identifier: MIT */
/* What a client may send to the control socket, in two pieces: it is answered or closed. */
#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "daemon/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct {
	struct loop *loop;
	struct loop_timer *timer;
	struct control *control;
	struct sockaddr_un addr;
	socklen_t addr_len;
} rig;

static json_t *answer(void *ctx, const char *command, const json_t *request)
{
	(void)ctx;
	assert(command && json_is_object(request));
	if (!strcmp(command, "later"))
		return NULL;
	return json_pack("{s:s}", "command", command);
}

static void stop(void *ctx)
{
	(void)ctx;
	loop_stop(rig.loop);
}

static void rig_make(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	rig.addr.sun_family = AF_UNIX;
	int n = snprintf(rig.addr.sun_path + 1, sizeof(rig.addr.sun_path) - 1, "fuzz_control.%d",
			 (int)getpid());
	rig.addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	if (bind(fd, (struct sockaddr *)&rig.addr, rig.addr_len) < 0 || listen(fd, 8) < 0)
		__builtin_trap();
	rig.loop = loop_new();
	rig.timer = loop_timer_new(rig.loop, stop, NULL);
	rig.control = control_new(rig.loop, fd, answer, NULL, NULL);
}

/* Until nothing more is due: one turn with an expired timer. */
static void turn(void)
{
	for (unsigned i = 0; i < 3; i++) {
		loop_timer_at(rig.timer, clock_now_us());
		loop_run(rig.loop);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char reply[1 << 16];
	size_t half = len ? data[0] % len : 0;

	if (!rig.loop)
		rig_make();
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (connect(fd, (struct sockaddr *)&rig.addr, rig.addr_len) < 0)
		__builtin_trap();
	turn();
	(void)!send(fd, data, half, MSG_NOSIGNAL);
	turn();
	(void)!send(fd, data + half, len - half, MSG_NOSIGNAL);
	turn();
	/* Each reply is a line of JSON. */
	ssize_t n = recv(fd, reply, sizeof(reply) - 1, 0);
	char *at = reply, *nl;
	while (n > 0 && (nl = memchr(at, '\n', (size_t)(reply + n - at)))) {
		json_t *o = json_loadb(at, (size_t)(nl - at), 0, NULL);
		assert(json_is_object(o));
		json_decref(o);
		at = nl + 1;
	}
	close(fd);
	turn();
	return 0;
}
