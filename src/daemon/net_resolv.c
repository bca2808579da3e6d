/* SPDX-License-Identifier: MIT */
/* The file of name servers: see the header.  Readers see the old one or the new one, whole. */
#include "daemon/net_resolv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESOLV_FILE "resolv.conf"
#define RESOLV_MODE 0644

/* FILE in the control socket's directory. */
static bool resolv_path(const struct config *cfg, const char *file, char *out, size_t room)
{
	const char *slash = strrchr(cfg->control, '/');
	int dir = slash ? (int)(slash - cfg->control) : 0;
	int len = snprintf(out, room, "%.*s%s%s", dir, cfg->control, slash ? "/" : "", file);
	return len > 0 && (size_t)len < room;
}

static int resolv_fill(int fd, const struct addr *servers, size_t count)
{
	char text[ADDR_TEXT_MAX];
	dprintf(fd, "# by sojournd\n");
	for (size_t i = 0; i < count; i++)
		if (dprintf(fd, "nameserver %s\n", addr_format(&servers[i], text)) < 0)
			return -errno;
	return fchmod(fd, RESOLV_MODE) < 0 ? -errno : 0;
}

int net_resolv_write(const struct config *cfg, const struct addr *servers, size_t count)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	if (!resolv_path(cfg, RESOLV_FILE, path, sizeof(path)) ||
	    !resolv_path(cfg, "." RESOLV_FILE ".new", fresh, sizeof(fresh)))
		return -ENAMETOOLONG;
	if (count == 0)
		return unlink(path) < 0 ? -errno : 0;
	(void)unlink(fresh); /* of one of us that was killed */
	int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, RESOLV_MODE);
	if (fd < 0)
		return -errno;
	int r = resolv_fill(fd, servers, count);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(fresh, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(fresh);
	return r;
}
