/* SPDX-License-Identifier: MIT */
/*
 * The files that a configuration names.
 *
 * A key, a certificate or a CRL is read when the reader of its option asks for it, and kept until
 * the configuration is complete.  So the privileged process can hand a reload to the confined one,
 * which can open nothing, as one bundle: the text and every file that was asked for, exactly as
 * they were when they were checked.
 *
 *   | magic 8 | count 4 | { name length 4 | data length 4 | name | data } * count |
 *
 * in host order, since it never leaves the machine; the first entry is the text and has no name.
 *
 * Everything here may be secret: it is wiped when freed, and no message shows any of it.  Control
 * thread of either process.
 */
#include "daemon/config_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/config_text.h"

#define MAGIC	     "SJCONF1\n"
#define NAME_MAX_LEN 4096u
#define BUNDLE_MAX   (CONFIG_FILES_LEN_MAX + CONFIG_TEXT_MAX + CONFIG_FILES_MAX * (NAME_MAX_LEN + 8))
/* A file that is being written while we read it may grow: its size is a first guess. */
#define ROOM_FIRST 8192u

struct entry {
	char *name;
	struct config_file file;
	bool secret; /* nobody else can read it */
	struct entry *next;
};

struct config_files {
	enum config_files_from from;
	bool packed; /* came with the text */
	unsigned count;
	size_t len; /* of all */
	struct entry *first, **end;
};

struct config_files *config_files_new(enum config_files_from from)
{
	struct config_files *f = mem_zalloc(sizeof(*f));
	f->from = from;
	f->end = &f->first;
	return f;
}

void config_file_clear(struct config_file *file)
{
	if (file->data)
		mem_wipe(file->data, file->len);
	free(file->data);
	*file = (struct config_file){0};
}

void config_files_free(struct config_files *f)
{
	if (!f)
		return;
	for (struct entry *e = f->first, *next; e; e = next) {
		next = e->next;
		config_file_clear(&e->file);
		free(e->name);
		free(e);
	}
	free(f);
}

static struct entry *files_add(struct config_files *f, const char *name, size_t name_len)
{
	struct entry *e = mem_zalloc(sizeof(*e));
	e->name = mem_zalloc(name_len + 1);
	memcpy(e->name, name, name_len);
	*f->end = e;
	f->end = &e->next;
	f->count++;
	return e;
}

/* --- from the disk */

/* Grows by doubling into fresh memory, since realloc would leave keys behind. */
static int file_fill(int fd, size_t max, struct config_file *out)
{
	size_t room = ROOM_FIRST;
	ssize_t got;

	out->data = mem_zalloc(room + 1);
	while ((got = read(fd, out->data + out->len, room - out->len)) != 0) {
		if (got < 0)
			return -errno;
		out->len += (size_t)got;
		if (out->len > max)
			return -EFBIG;
		if (out->len < room)
			continue;
		char *more = mem_zalloc(room * 2 + 1);
		memcpy(more, out->data, out->len);
		mem_wipe(out->data, out->len);
		free(out->data);
		out->data = more;
		room *= 2;
	}
	return 0;
}

int config_file_read(const char *path, size_t max, bool secret, struct config_file *out,
		     struct err *err)
{
	struct stat st;
	int r = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	*out = (struct config_file){0};
	if (fd < 0)
		return err_set(err, "cannot open the file: %s; write its whole path",
			       strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		r = err_set(err, "not a file; write the path of one");
	else if (secret && (st.st_mode & (S_IROTH | S_IWOTH)))
		r = err_set(err, "the file can be %s by others; chmod 600 it",
			    st.st_mode & S_IROTH ? "read" : "written");
	else if (st.st_mode & S_IWOTH)
		r = err_set(err, "the file can be written by others; chmod 644 it");
	else if ((r = file_fill(fd, max, out)) < 0)
		r = r == -EFBIG
			? err_set(err, "longer than %zu KiB; is it the right file?", max >> 10)
			: err_set(err, "cannot be read: %s", strerror(-r));
	close(fd);
	if (r < 0)
		config_file_clear(out);
	return r;
}

const struct config_file *config_files_get(struct config_files *f, const char *name, bool secret,
					   struct err *err)
{
	struct config_file file;

	for (struct entry *e = f->first; e; e = e->next) {
		if ((f->packed || e->secret || !secret) && !strcmp(e->name, name))
			return &e->file;
	}
	if (f->from == CONFIG_FILES_NOWHERE) {
		err_set(err, f->packed
				 ? "the file did not come with the configuration; reload again"
				 : "files are not read here");
		return NULL;
	}
	if (f->count == CONFIG_FILES_MAX) {
		err_set(err, "more than %u files are named; put secrets into the configuration",
			CONFIG_FILES_MAX);
		return NULL;
	}
	if (strlen(name) > NAME_MAX_LEN) {
		err_set(err, "not a file; write the path of one");
		return NULL;
	}
	if (config_file_read(name, CONFIG_FILE_MAX, secret, &file, err) < 0)
		return NULL;
	struct entry *e = files_add(f, name, strlen(name));
	e->file = file;
	e->secret = secret;
	f->len += file.len;
	if (f->len <= CONFIG_FILES_LEN_MAX)
		return &e->file;
	err_set(err, "all files together are longer than %u MiB; name fewer",
		CONFIG_FILES_LEN_MAX >> 20);
	return NULL;
}

/* --- as a bundle */

static void pack_entry(FILE *out, const char *name, const struct config_file *file)
{
	uint32_t lens[2] = {(uint32_t)strlen(name), (uint32_t)file->len};

	fwrite(lens, sizeof(lens), 1, out);
	fwrite(name, 1, lens[0], out);
	fwrite(file->data, 1, lens[1], out);
}

int config_files_pack(const struct config_files *f, const struct config_file *text, FILE *out,
		      const char *path, struct err *err)
{
	uint32_t count = f->count + 1;

	fwrite(MAGIC, sizeof(MAGIC) - 1, 1, out);
	fwrite(&count, sizeof(count), 1, out);
	pack_entry(out, "", text);
	for (const struct entry *e = f->first; e; e = e->next)
		pack_entry(out, e->name, &e->file);
	return ferror(out) || fflush(out)
		   ? err_set(err, "%s: no memory for a copy: %s", path, strerror(errno))
		   : 0;
}

static bool unpack_bytes(FILE *in, uint32_t len, size_t *left, struct config_file *out)
{
	if (len > *left)
		return false;
	*left -= len;
	out->data = mem_zalloc((size_t)len + 1);
	out->len = len;
	return fread(out->data, 1, len, in) == len;
}

static bool unpack_entry(FILE *in, size_t *left, struct config_file *name, struct config_file *data)
{
	uint32_t lens[2];

	if (fread(lens, sizeof(lens), 1, in) != 1 || lens[0] > NAME_MAX_LEN)
		return false;
	return unpack_bytes(in, lens[0], left, name) && unpack_bytes(in, lens[1], left, data) &&
	       strlen(name->data) == lens[0];
}

struct config_files *config_files_unpack(FILE *in, struct config_file *text, const char *path,
					 struct err *err)
{
	struct config_files *f = config_files_new(CONFIG_FILES_NOWHERE);
	char magic[sizeof(MAGIC) - 1];
	size_t left = BUNDLE_MAX;
	uint32_t count = 0;
	bool good;

	f->packed = true;
	*text = (struct config_file){0};
	good = fread(magic, sizeof(magic), 1, in) == 1 && !memcmp(magic, MAGIC, sizeof(magic)) &&
	       fread(&count, sizeof(count), 1, in) == 1 && count > 0 &&
	       count <= CONFIG_FILES_MAX + 1;
	for (uint32_t k = 0; good && k < count; k++) {
		struct config_file name = {0}, data = {0};
		good = unpack_entry(in, &left, &name, &data) && !name.len == !k;
		if (good && k)
			files_add(f, name.data, name.len)->file = data;
		else if (good)
			*text = data;
		else
			config_file_clear(&data);
		config_file_clear(&name);
	}
	if (good)
		return f;
	config_file_clear(text);
	config_files_free(f);
	err_set(err, "%s: the copy of the configuration is not whole; reload again", path);
	return NULL;
}
