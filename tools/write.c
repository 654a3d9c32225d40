/* SPDX-License-Identifier: MIT */
/* Files that are there whole or not at all; see write.h. */
#include "config.h"

#include "tools/write.h"

#include "tools/shvdump.h"
#include "tools/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const char *path)
{
	int why = errno;

	fputs("shvdump: ", stderr);
	text_put(stderr, path);
	fprintf(stderr, ": %s\n", strerror(why));
	return STATUS_FAILED;
}

/* As the user's umask wants it; mkstemp() makes files that nobody else may read. */
static void usual_mode(int fd)
{
	mode_t mask = umask(0);

	umask(mask);
	(void)fchmod(fd, 0666 & ~mask);
}

static int fill(int fd, const char *path, int (*put)(FILE *out, void *ctx), void *ctx)
{
	FILE *out = fdopen(fd, "w");
	int status;

	if (!out) {
		close(fd);
		return failed(path);
	}
	status = put(out, ctx);
	if (fflush(out) || ferror(out)) {
		status = failed(path);
		(void)fclose(out);
		return status;
	}
	return fclose(out) ? failed(path) : status;
}

int write_file(const char *path, int (*put)(FILE *out, void *ctx), void *ctx)
{
	struct stat st;
	char *name;
	int fd, status;

	if (!strcmp(path, "-"))
		return put(stdout, ctx);
	/* A device or a pipe cannot be replaced, only written. */
	if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
		fd = open(path, O_WRONLY | O_CLOEXEC);
		return fd < 0 ? failed(path) : fill(fd, path, put, ctx);
	}
	if (asprintf(&name, "%s.XXXXXX", path) < 0)
		return failed(path);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0) {
		status = failed(path);
		free(name);
		return status;
	}
	usual_mode(fd);
	status = fill(fd, path, put, ctx);
	if (!status && rename(name, path))
		status = failed(path);
	if (status)
		(void)unlink(name);
	free(name);
	return status;
}
