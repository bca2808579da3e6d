/* SPDX-License-Identifier: MIT */
/*
 * The control socket's file.  Its mode and group are the access control: the socket is bound
 * under a mask that lets nobody in, and opened up when the group is set.
 */
#include "daemon/net_control.h"

#include <errno.h>
#include <grp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/mem.h"

#define NET_CONTROL_BACKLOG 16

static int net_control_address(const char *path, struct sockaddr_un *un, struct err *err)
{
	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(un->sun_path))
		return err_set(err,
			       "control socket %s: the path is longer than %zu; shorten `control`",
			       path, sizeof(un->sun_path) - 1);
	strcpy(un->sun_path, path);
	return 0;
}

/* The last directory of the path; what is above it must be there. */
static int net_control_make_directory(const char *path, struct err *err)
{
	CLEANUP_FREE char *dir = mem_strdup(path);
	char *slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return err_set(err,
			       "directory %s of the control socket: %s; make it or set `control`",
			       dir, strerror(errno));
	return 0;
}

/* Whether somebody listens there.  A file that is no socket is not ours to remove. */
static int net_control_clear(const struct sockaddr_un *un, struct err *err)
{
	struct stat st;
	if (lstat(un->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(err,
			       "control socket %s: a file is there; remove it or set `control`",
			       un->sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, "control socket: %s", strerror(errno));
	/* EAGAIN: its backlog is full, so it is alive. */
	bool alive = connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 || errno == EAGAIN;
	close(fd);
	if (alive)
		return err_set(
		    err,
		    "control socket %s: another sojournd runs and answers there; stop it "
		    "or set another `control`",
		    un->sun_path);
	if (unlink(un->sun_path) < 0)
		return err_set(err, "control socket %s: cannot remove the old one: %s",
			       un->sun_path, strerror(errno));
	return 0;
}

static int net_control_group(const char *name, gid_t *gid, struct err *err)
{
	*gid = 0;
	if (!name[0])
		return 0;
	const struct group *gr = getgrnam(name);
	if (!gr)
		return err_set(err, "group %s is unknown; make it or set `control_group`", name);
	*gid = gr->gr_gid;
	return 0;
}

int net_control_open(const struct config *cfg, struct err *err)
{
	struct sockaddr_un un;
	gid_t gid;
	if (net_control_address(cfg->control, &un, err) < 0 ||
	    net_control_group(cfg->control_group, &gid, err) < 0 ||
	    net_control_make_directory(cfg->control, err) < 0 || net_control_clear(&un, err) < 0)
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, "control socket: %s", strerror(errno));
	mode_t mask = umask(0177);
	int r = bind(fd, (const struct sockaddr *)&un, sizeof(un));
	umask(mask);
	if (r < 0) {
		err_set(err, "control socket %s: %s; set `control` to a path that can be made",
			cfg->control, strerror(errno));
		close(fd);
		return -1;
	}
	if (chown(cfg->control, 0, gid) < 0 || chmod(cfg->control, cfg->control_mode & 0777) < 0 ||
	    listen(fd, NET_CONTROL_BACKLOG) < 0) {
		err_set(err, "control socket %s: %s", cfg->control, strerror(errno));
		unlink(cfg->control);
		close(fd);
		return -1;
	}
	return fd;
}

void net_control_remove(const char *path)
{
	(void)unlink(path);
}
