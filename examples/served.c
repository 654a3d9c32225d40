/* SPDX-License-Identifier: MIT */
/*
 * Programs that are no relations, and know of each other nothing but a path: one serves its arena there, others connect.
 *
 * attach_pid.c shows the way through /proc, which only a process of the same user may go, and which needs to know whom. The socket
 * of a server says who may come in and how far: here this user for writing, and everybody for looking. After it has let somebody in,
 * the server is not needed: the client goes on when it has ended.
 */
#include <shv/shv.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS = 4, TIMES = 250 };

static void die(const char *what)
{
	fprintf(stderr, "served: %s: %s\n", what, shv_errmsg());
	exit(1);
}

/* The other program: `served PATH`. */
static int client(const char *path)
{
	shv_arena *a = shv_arena_connect(path, 0), *look = shv_arena_connect(path, SHV_RDONLY);
	shv_value *visits;

	if (!a || !look)
		die("connect");
	visits = shv_find(a, "visits");
	for (int i = 0; i < TIMES; i++)
		if (shv_add(visits, 1, NULL))
			die("add");
	visits = shv_find(look, "visits");
	if (SHV_LOAD(visits, long) < TIMES || shv_add(visits, 1, NULL) != -EROFS) /* whoever only looks cannot write */
		die("look");
	return shv_arena_detach(look) || shv_arena_detach(a);
}

int main(int argc, char **argv)
{
	static const uid_t everybody[] = { SHV_EVERYBODY };
	const struct shv_serve_options who = { .size = sizeof(who), .read_users = everybody, .read_users_n = 1 };
	char folder[] = "/tmp/shv-served-XXXXXX", path[64];
	shv_value *visits;
	shv_arena *a;
	int status, bad = 0;
	long total;

	if (argc > 1)
		return client(argv[1]);
	if (!mkdtemp(folder))
		return perror("mkdtemp"), 1;
	snprintf(path, sizeof(path), "%s/arena", folder);
	a = shv_arena_create(NULL);
	visits = a ? SHV_VALUE(a, long, 0) : NULL;
	if (!visits || shv_publish(visits, "visits") || shv_arena_serve(a, path, &who))
		die("serve");
	for (int i = 0; i < CLIENTS; i++)
		if (fork() == 0) {
			execl("/proc/self/exe", argv[0], path, (char *)NULL);
			_exit(127);
		}
	while (wait(&status) > 0)
		bad |= status;
	total = SHV_LOAD(visits, long);
	printf("%d programs came to %s and counted to %ld\n", CLIENTS, path, total);
	if (shv_arena_detach(a)) /* ends the service too: the socket is gone */
		die("detach");
	return bad || total != (long)CLIENTS * TIMES || rmdir(folder);
}
