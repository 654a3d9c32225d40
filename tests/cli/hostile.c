/* SPDX-License-Identifier: MIT */
/* An arena whose names, types and content are meant to do harm to who prints them. Prints "ready PID", waits for its input to end. */
#include <shv/shv.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *const names[] = {
	"<script>alert(1)</script>",
	"\"><img src=x onerror=alert(2)>",
	"</title></svg><svg onload=alert(3)>",
	"' onload='alert(4)",
	"&lt;b&gt; &amp;quot;",
	"]]><!-- ",
	"\033[31mred\033]0;title\007",
	"invalid \xff\xfe and \xc0\xaf",
	"over \xe2\x80\xae thgir, zero\xe2\x80\x8bwidth",
	"line\nfeed\rreturn\ttab",
	"back\\slash \"quote\"",
	"{label=\"x\"} 1 # EOF",
	"=cmd|' /C calc'!A0",
};

static void need(const void *p)
{
	if (p)
		return;
	fprintf(stderr, "hostile: %s\n", shv_errmsg());
	exit(1);
}

int main(void)
{
	const struct shv_arena_options opt = { .size = sizeof(opt), .name = "<i>&\"'", .capacity = (size_t)256 << 20 };
	const struct shv_field fields[] = { { sizeof(struct shv_field), "member", SHV_INT, 0, 4 } };
	const shv_type *type = shv_type_struct("type<u>&\"'", 4, fields, 1);
	shv_arena *a;
	char c;

	prctl(PR_SET_NAME, "<b>&\"'\033[1m");
	a = shv_arena_create(&opt);
	need(a);
	need(type);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		shv_value *v = shv_value_new(a, i % 2 ? SHV_INT : type, NULL, SHV_PLAIN);

		need(v);
		if (shv_publish(v, names[i]) || shv_acquire(v))
			need(NULL);
	}
	need(shv_string_new(a, "<script>\033[31m", SHV_NONE));
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
