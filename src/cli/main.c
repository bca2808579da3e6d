/* SPDX-License-Identifier: MIT */
/*
 * sojourn: asks sojournd over its control socket and shows the reply.
 *
 * One request, one reply, both one line of JSON (doc/control.md); nothing of the daemon is
 * linked in.  Exit status: 0 done, 1 refused by the daemon, 2 not asked at all.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/show.h"

#define SOCKET_DEFAULT "/run/sojourn/control"
#define ANSWER_S       10
#define REPLY_MAX      (256u << 20)

static const char usage[] =
    "usage: sojourn [-s SOCKET] [--json] COMMAND\n"
    "  status          role, place, what is active\n"
    "  connections     the connection table\n"
    "  bindings        which connections serve which home address\n"
    "  moves           the last moves, millisecond by millisecond\n"
    "  counters        packets, and what was dropped and why\n"
    "  reload          read the configuration again\n"
    "  switch NAME     prefer connection NAME (terminal); \"auto\": choose again by itself\n"
    "  n-cast WHAT     on or off; or down, up, both: send on all connections (terminal)\n"
    "  ike             IKE SAs and their child SAs\n"
    "  up              begin with IKE (terminal)\n"
    "  down [NAME]     end the IKE SA (terminal), or those of terminal NAME (home server)\n"
    "  rekey NAME [ike|child]\n"
    "                  fresh keys for a peer, or for connection NAME\n"
    "  keys --wireshark\n"
    "                  keys of IKE SAs for Wireshark, where the configuration allows it\n"
    "  -s SOCKET       of sojournd (" SOCKET_DEFAULT ")\n"
    "  --json          print the reply as it came\n"
    "sojourn(1)\n";

#define ARGUMENTS_MAX 2

static const struct command {
	const char *name;
	int needed;			      /* arguments that must be there */
	const char *arguments[ARGUMENTS_MAX]; /* their fields in the request */
	show_fn show;
} commands[] = {
    {"status", 0, {NULL}, show_status},
    {"connections", 0, {NULL}, show_connections},
    {"bindings", 0, {NULL}, show_bindings},
    {"moves", 0, {NULL}, show_moves},
    {"counters", 0, {NULL}, show_counters},
    {"reload", 0, {NULL}, show_done},
    {"switch", 1, {"connection"}, show_done},
    {"n-cast", 1, {"n_cast"}, show_done},
    {"ike", 0, {NULL}, show_ike},
    {"up", 0, {"name"}, show_done},
    {"down", 0, {"name"}, show_done},
    {"rekey", 1, {"name", "what"}, show_done},
    {"keys", 0, {NULL}, show_keys},
};

struct options {
	const char *socket;
	bool json, wireshark;
	const struct command *command;
	char *const *arguments;
	int argument_count;
};

static int usage_error(const char *what, const char *arg)
{
	fprintf(stderr, "sojourn: %s%s\n%s", what, arg, usage);
	return 2;
}

static int command_find(int argc, char **argv, struct options *o)
{
	if (optind == argc)
		return usage_error("no command", "");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!strcmp(commands[i].name, argv[optind]))
			o->command = &commands[i];
	}
	if (!o->command)
		return usage_error("unknown command ", argv[optind]);
	int known = 0;
	while (known < ARGUMENTS_MAX && o->command->arguments[known])
		known++;
	o->arguments = argv + optind + 1;
	o->argument_count = argc - optind - 1;
	if (o->argument_count < o->command->needed)
		return usage_error("a name is missing after ", argv[optind]);
	if (o->argument_count > known)
		return usage_error("too many arguments after ", argv[optind]);
	if (!strcmp(o->command->name, "keys") != o->wireshark)
		return usage_error("write: sojourn keys --wireshark", "");
	return -1;
}

/* -1: go on; else the exit status. */
static int options_parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
	    {"socket", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
	    {"wireshark", no_argument, NULL, 'W'},    {"version", no_argument, NULL, 'V'},
	    {"help", no_argument, NULL, 'h'},	      {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "s:jVh", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			o->socket = optarg;
			break;
		case 'j':
			o->json = true;
			break;
		case 'W':
			o->wireshark = true;
			break;
		case 'V':
			printf("sojourn %s\n", SOJOURN_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	return command_find(argc, argv, o);
}

static int connect_error(const char *path)
{
	switch (errno) {
	case ENOENT:
	case ECONNREFUSED:
		fprintf(stderr,
			"sojourn: nobody answers at %s: is sojournd running? (-s names another "
			"socket)\n",
			path);
		break;
	case EACCES:
	case EPERM:
		fprintf(stderr,
			"sojourn: %s: permission denied: use sudo, or set control-group in the "
			"configuration to a group of yours\n",
			path);
		break;
	default:
		fprintf(stderr, "sojourn: %s: %s\n", path, strerror(errno));
		break;
	}
	return -1;
}

static int daemon_connect(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = ANSWER_S};

	if (strlen(path) >= sizeof(sun.sun_path)) {
		fprintf(stderr, "sojourn: %s: longer than a socket's path can be\n", path);
		return -1;
	}
	memcpy(sun.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return connect_error(path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	connect_error(path);
	close(fd);
	return -1;
}

static int daemon_send(int fd, const struct options *o)
{
	json_t *request = json_pack("{s:s}", "command", o->command->name);

	for (int i = 0; i < o->argument_count; i++)
		json_object_set_new(request, o->command->arguments[i],
				    json_string(o->arguments[i]));
	CLEANUP_FREE char *text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (!text) {
		fprintf(stderr, "sojourn: the argument is not UTF-8 text\n");
		return -1;
	}
	size_t len = strlen(text), at = 0;
	text[len++] = '\n'; /* in the place of the zero */
	while (at < len) {
		ssize_t n = send(fd, text + at, len - at, MSG_NOSIGNAL);
		if (n < 0)
			break;
		at += (size_t)n;
	}
	/* Too many clients: the daemon has already said so and closed; its reply is there. */
	return 0;
}

/* The line of the reply without its end, owned; NULL after a message. */
static char *daemon_receive(int fd)
{
	size_t room = 65536, len = 0;
	char *text = mem_zalloc(room + 1);

	for (;;) {
		ssize_t n = recv(fd, text + len, room - len, 0);
		if (n <= 0) {
			fprintf(
			    stderr, "sojourn: %s\n",
			    n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)
				? "sojournd ended the connection without a reply; its log says why"
				: "sojournd does not answer");
			break;
		}
		char *nl = memchr(text + len, '\n', (size_t)n);
		len += (size_t)n;
		if (nl) {
			*nl = '\0';
			return text;
		}
		if (len < room)
			continue;
		if (room >= REPLY_MAX) {
			fprintf(stderr, "sojourn: the reply has no end\n");
			break;
		}
		char *more = mem_zalloc(room * 2 + 1);
		memcpy(more, text, len);
		free(text);
		text = more;
		room *= 2;
	}
	free(text);
	return NULL;
}

static int reply_show(const struct options *o, const char *text)
{
	json_error_t why;
	json_t *reply = json_loads(text, 0, &why);

	if (!json_is_object(reply)) {
		fprintf(stderr,
			"sojourn: the reply is not JSON: is this the socket of sojournd?\n");
		json_decref(reply);
		return 2;
	}
	const char *error = json_string_value(json_object_get(reply, "error"));
	if (o->json) {
		json_dumpf(reply, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
		fputc('\n', stdout);
	} else if (error) {
		fprintf(stderr, "sojourn: %s\n", error);
	} else {
		o->command->show(reply, stdout, isatty(STDOUT_FILENO) == 1);
	}
	int status = error ? 1 : 0;
	json_decref(reply);
	return fflush(stdout) == 0 ? status : 2;
}

int main(int argc, char **argv)
{
	struct options o = {.socket = SOCKET_DEFAULT};

	int status = options_parse(argc, argv, &o);
	if (status >= 0)
		return status;
	int fd = daemon_connect(o.socket);
	if (fd < 0)
		return 2;
	CLEANUP_FREE char *text = daemon_send(fd, &o) == 0 ? daemon_receive(fd) : NULL;
	close(fd);
	return text ? reply_show(&o, text) : 2;
}
