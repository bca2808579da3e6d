/* SPDX-License-Identifier: MIT */
/*
 * sojournd: reads the configuration, makes what needs privileges, and becomes two processes.
 *
 * The parent goes on as `net`, the child as `node` (net.h, node.h).  The child dies with its
 * parent; the parent undoes what it made when the child ends.  It stays in the foreground: a
 * service manager, or `&`, puts it into the background.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "daemon/config.h"
#include "daemon/net.h"
#include "daemon/node.h"

#define CONFIG_DEFAULT "/etc/sojourn/sojourn.conf"

static const char usage[] = "usage: sojournd [-c FILE] [-tv]\n"
			    "  -c FILE  the configuration (" CONFIG_DEFAULT ")\n"
			    "  -t       check it and exit\n"
			    "  -v       log in detail\n"
			    "  -V       print the version\n"
			    "sojournd(8), sojourn.conf(5)\n";

struct options {
	const char *path;
	bool check, verbose;
};

/* For the journal, which knows the time: priority as sd-daemon(3) has it. */
static void log_write_journal(void *ctx, enum log_level level, const char *line)
{
	static const char priority[] = {
	    [LOG_LEVEL_ERROR] = '3',
	    [LOG_LEVEL_WARN] = '4',
	    [LOG_LEVEL_INFO] = '6',
	    [LOG_LEVEL_DEBUG] = '7',
	};

	(void)ctx;
	fprintf(stderr, "<%c>%s\n", priority[level], line);
}

/* -1: go on; else the exit status. */
static int options_parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
	    {"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 't'},
	    {"verbose", no_argument, NULL, 'v'},      {"version", no_argument, NULL, 'V'},
	    {"help", no_argument, NULL, 'h'},	      {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:tvVh", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->path = optarg;
			break;
		case 't':
			o->check = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'V':
			printf("sojournd %s\n", SOJOURN_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "sojournd: \"%s\" is one argument too many\n%s", argv[optind], usage);
	return 2;
}

static void config_summary(const struct config *c)
{
	unsigned terminals = 0, connections = 0, peers = 0;

	for (const struct config_terminal *t = c->terminals; t; t = t->next) {
		terminals++;
		peers += t->peer != NULL;
		for (const struct config_connection *x = t->connections; x; x = x->next)
			connections++;
	}
	printf("%s: ok: %s, %u terminal%s, %u connection%s", c->path,
	       c->role == ROLE_TERMINAL ? "terminal" : "home-server", terminals,
	       terminals == 1 ? "" : "s", connections, connections == 1 ? "" : "s");
	if (peers)
		printf(" with configured keys, %u by IKE", peers);
	putchar('\n');
}

/* In the child: never returns before the node's end. */
static int run_node(struct net *net, struct config *cfg, struct net_start *start,
		    const struct log *log, pid_t parent)
{
	/* The parent may have died before prctl. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		return 1;
	net_forget(net);
	return node_main(cfg, start, log);
}

static int run(struct config *cfg, const struct log *log)
{
	struct err err = {{0}};
	struct net_start start;

	if (geteuid() != 0) {
		fprintf(stderr, "sojournd: needs root for its tunnel device and routes (it gives "
				"privileges up once they are made); start it with sudo, or check a "
				"configuration with -t\n");
		config_free(cfg);
		return 1;
	}
	struct net *net = net_new(cfg, log, &start, &err);
	if (!net) {
		fprintf(stderr, "sojournd: %s\n", err.text);
		config_free(cfg);
		return 1;
	}
	pid_t parent = getpid(), child = fork();
	if (child == 0)
		_exit(run_node(net, cfg, &start, log, parent));
	int status = 1;
	if (child < 0)
		fprintf(stderr, "sojournd: cannot fork: %s\n", strerror(errno));
	tun_close(&start.tun);
	close(start.control_fd);
	close(start.channel_fd);
	if (child > 0)
		status = net_run(net, child);
	net_free(net);
	return status;
}

int main(int argc, char **argv)
{
	struct options o = {.path = CONFIG_DEFAULT};
	struct err err = {{0}};

	int status = options_parse(argc, argv, &o);
	if (status >= 0)
		return status;
	struct config *cfg = config_load(o.path, &err);
	if (!cfg) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	if (o.check) {
		config_summary(cfg);
		config_free(cfg);
		return 0;
	}
	struct log log = {
	    .level = o.verbose ? LOG_LEVEL_DEBUG : cfg->log_level,
	    .write = getenv("INVOCATION_ID") ? log_write_journal : log_write_stderr,
	};
	return run(cfg, &log);
}
