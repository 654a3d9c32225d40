/* SPDX-License-Identifier: MIT */
/*
 * Programs that are not each other's forks meet in one arena. This one starts itself anew (fork, exec)
 * three times; after exec nothing of the parent is left, and the new program gets in
 *
 *   pid PID    by the number of a process that has the arena, as shvdump does
 *   fd N       by a descriptor that it inherited
 *   look N     by a descriptor that permits reading only
 */
#include <shv/shv.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "attach_pid[%d]: %s: %s\n", (int)getpid(), what, shv_errmsg());
	exit(1);
}

/* ---- the program that comes later ------------------------------------------------------------ */

static int newcomer(const char *how, int number)
{
	int look = !strcmp(how, "look");
	shv_arena *a = !strcmp(how, "pid") ? shv_arena_attach_pid(number, "meeting", 0) :
					     shv_arena_attach(number, look ? SHV_RDONLY : 0);
	shv_value *visits = a ? shv_find(a, "visits") : NULL;
	int64_t now;

	if (!visits)
		die(how);
	if (look) {
		if (shv_add(visits, 1, NULL) != -EROFS)
			die("a read-only attachment should not be able to write");
		now = SHV_LOAD(visits, int);
	} else if (shv_add(visits, 1, &now)) {
		die("add");
	}
	printf("  by %-5s visits is now %d%s\n", how, (int)now, look ? " (reading only)" : "");
	return shv_arena_detach(a) ? 1 : 0;
}

/* ---- the program that is there --------------------------------------------------------------- */

static void start_myself(const char *how, int number)
{
	char text[16];
	int status;
	pid_t pid;

	snprintf(text, sizeof(text), "%d", number);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		execl("/proc/self/exe", "attach_pid", how, text, (char *)NULL);
		die("exec");
	}
	if (waitpid(pid, &status, 0) != pid || status)
		die("the other program failed");
}

/* The library's descriptors are closed by exec; a copy that is to be inherited is made with dup(). */
static void start_with_descriptor(const char *how, int fd)
{
	int copy = dup(fd);

	if (fd < 0 || copy < 0)
		die("descriptor");
	start_myself(how, copy);
	close(copy);
}

int main(int argc, char **argv)
{
	shv_value *visits;
	shv_arena *a;
	int fd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3)
		return newcomer(argv[1], atoi(argv[2]));
	a = shv_arena_create(&(struct shv_arena_options){ .name = "meeting" });
	visits = a ? SHV_VALUE(a, int, 0) : NULL;
	if (!visits || shv_publish(visits, "visits"))
		die("create");
	printf("process %d has the arena \"%s\"\n", (int)getpid(), shv_arena_name(a));

	start_myself("pid", getpid());
	start_with_descriptor("fd", shv_arena_fd(a));
	fd = shv_arena_fd_rdonly(a);
	start_with_descriptor("look", fd);
	close(fd);

	printf("process %d sees %d visits\n", (int)getpid(), SHV_LOAD(visits, int));
	if (SHV_LOAD(visits, int) != 2)
		die("there should be 2");
	return shv_arena_detach(a) ? 1 : 0;
}
