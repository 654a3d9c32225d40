/* SPDX-License-Identifier: MIT */
/*
 * Python's manual warns of Value(c_char_p, b"Hello, World!"): what is shared there is the address of one process's memory, and
 * another process finds something else at it, or dies. Here the text itself lies in the arena.
 *
 * This program makes a string and starts itself anew (fork, exec), so that nothing of its memory is left in the children. They come
 * into the arena by the parent's pid, or by a descriptor that they inherit, print the string and change it.
 */
#include <shv/shv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "hello_string[%d]: %s: %s\n", (int)getpid(), what, shv_errmsg());
	exit(1);
}

static int child(const char *how, int number)
{
	shv_arena *a = strcmp(how, "pid") ? shv_arena_attach(number, 0) : shv_arena_attach_pid(number, "hello", 0);
	shv_value *greeting = a ? shv_find(a, "greeting") : NULL;
	char *text = greeting ? shv_string_dup(greeting, NULL) : NULL;

	if (!text)
		die(how);
	printf("  child by %-3s reads \"%s\"\n", how, text);
	free(text);
	if (shv_string_append(greeting, " Seen by ") < 0 || shv_string_append(greeting, how) < 0 || shv_string_append(greeting, ".") < 0)
		die("append");
	return shv_arena_detach(a) ? 1 : 0;
}

static void start_child(const char *how, int number)
{
	char text[16];
	int status;
	pid_t pid;

	snprintf(text, sizeof(text), "%d", number);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		execl("/proc/self/exe", "hello_string", how, text, (char *)NULL);
		die("exec");
	}
	if (waitpid(pid, &status, 0) != pid || status)
		die("a child failed");
}

int main(int argc, char **argv)
{
	static const char expected[] = "Hello, World! Seen by pid. Seen by fd.";
	shv_value *greeting;
	char text[100];
	shv_arena *a;
	int fd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3)
		return child(argv[1], atoi(argv[2]));
	a = shv_arena_create(&(struct shv_arena_options){ .name = "hello" });
	greeting = a ? shv_string_new(a, "Hello, World!", SHV_RECURSIVE) : NULL;
	if (!greeting || shv_publish(greeting, "greeting"))
		die("create");

	start_child("pid", getpid());
	fd = dup(shv_arena_fd(a)); /* the library's own are closed by exec */
	start_child("fd", fd);
	close(fd);

	if (shv_string_get(greeting, text, sizeof(text)) < 0)
		die("get");
	printf("parent reads \"%s\"\n", text);
	if (strcmp(text, expected))
		die("that is another text");
	if (shv_string_set(greeting, "") || shv_value_free(greeting))
		die("free");
	return shv_arena_detach(a) ? 1 : 0;
}
