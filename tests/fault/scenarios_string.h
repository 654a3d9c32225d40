/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of strings; part of scenarios.h. A text says of itself whether it is whole: it begins and ends with its version, and
 * what is between is as long as the version demands.
 */

/* "<3:....:3>" with so many dots that neighbours have other block sizes. */
static const char *string_text(int i, int version, char buf[4096])
{
	int dots = (i * 37 + version * 211) % 3000;
	int n = snprintf(buf, 4096, "<%d:", version);

	memset(buf + n, '.', (size_t)dots);
	snprintf(buf + n + dots, (size_t)(4096 - n - dots), ":%d>", version);
	return buf;
}

/* Which version string i has; -1: none that there ever was. */
static int string_version(shv_value *v, int i)
{
	char is[4096], be[4096];
	int version;
	ssize_t n = shv_string_peek(v, is, sizeof(is)); /* no lock: a dead one may hold it */

	if (n < 0 || sscanf(is, "<%d:", &version) != 1)
		return -1;
	string_text(i, version, be);
	return (size_t)n == strlen(be) && !strcmp(is, be) ? version : -1;
}

static shv_lockspec string_lock(int i)
{
	return i % 3 == 0 ? SHV_NONE : i % 3 == 1 ? SHV_RECURSIVE : SHV_PLAIN;
}

static void create_strings(struct stage *s)
{
	char text[4096];

	for (int i = 0; i < MANY; i++) {
		shv_value *v;
		REQUIRE((v = shv_string_new(s->a, string_text(i, 1, text), string_lock(i))));
		s->shared->ref[i] = shv_ref_of(v);
		s->shared->acknowledged = i + 1;
	}
}

static void strings_are_whole(struct stage *s, bool died)
{
	struct shv_value_info info = { .size = sizeof(info) };
	uint64_t cursor = 0;

	(void)died;
	for (long i = 0; i < s->shared->acknowledged; i++) {
		shv_value *v = shv_deref(s->a, s->shared->ref[i]);
		ck_assert_msg(v != NULL, "string %ld is lost: %s", i, shv_errmsg());
		ck_assert_int_eq(string_version(v, (int)i), 1);
	}
	while (shv_value_next(s->a, &cursor, &info) == 1)
		if (info.kind == SHV_KIND_STRING) {
			int is = -1;
			for (int i = 0; i < MANY && is < 1; i++)
				is = string_version(shv_deref(s->a, info.ref), i);
			ck_assert_msg(is == 1, "a string lives whose text is not whole");
		}
}

static void survivor_strings(struct stage *s)
{
	char text[4096];

	for (int i = 0; i < MANY; i++) {
		REQUIRE((s->v[i] = shv_string_new(s->a, string_text(i, 1, text), string_lock(i))));
		s->shared->ref[i] = shv_ref_of(s->v[i]);
	}
	s->shared->acknowledged = 0;
}

/* Each string goes from version 1 to 2 and 3; acknowledged counts the steps. */
static void set_strings(struct stage *s)
{
	char text[4096];
	int r;

	for (int k = 0; k < 2 * MANY; k++) {
		string_text(k % MANY, 2 + k / MANY, text);
		REQUIRE((r = shv_string_set(s->v[k % MANY], text)) == 0 || r == SHV_RECOVERED);
		s->shared->acknowledged = k + 1;
	}
}

static void strings_were_set(struct stage *s, bool died)
{
	long done = s->shared->acknowledged;

	(void)died;
	for (int i = 0; i < MANY; i++) {
		int is = string_version(s->v[i], i), least = 1 + (done > i) + (done > i + MANY),
		    most = 1 + (done >= i) + (done >= i + MANY);
		ck_assert_msg(is >= least && is <= most, "string %d has version %d, not %d or %d, after %ld steps", i, is, least, most, done);
		is = shv_try_acquire(s->v[i]);
		ck_assert_msg(is == 0 || (is == SHV_RECOVERED && died), "lock %d: %d", i, is);
		ck_assert_int_eq(shv_release(s->v[i]), 0);
	}
}

/* Setters die at each of their points and nobody recovers: the next one to come finds what they left. */
static void dead_setters(struct stage *s)
{
	static const char *const at[] = { "text-reserved", "text-published", "text-committed", "free-withdrawn", "text-replaced" };
	char text[4096];

	survivor_strings(s);
	for (int i = 0; i < MANY; i++) {
		pid_t pid = fork();
		if (!pid) {
			arm_crash(at[(size_t)i % (sizeof(at) / sizeof(at[0]))]);
			(void)shv_string_set(s->v[i], string_text(i, 1, text));
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

/* Those who make a text of the survivor empty die at each point: the old text is not left to nobody. */
static void set_to_nothing(struct stage *s)
{
	int r;

	for (int k = 0; k < MANY; k++) {
		REQUIRE((r = shv_string_set(s->v[k], "")) == 0 || r == SHV_RECOVERED);
		s->shared->acknowledged = k + 1;
	}
}

static void strings_are_empty(struct stage *s, bool died)
{
	struct shv_stat st = { .size = sizeof(st) };
	long done = s->shared->acknowledged;

	(void)died;
	for (int i = 0; i < MANY; i++) {
		ssize_t n = shv_string_peek(s->v[i], NULL, 0);
		ck_assert_msg(n == 0 || (i >= done && string_version(s->v[i], i) == 1), "string %d: %zd after %ld steps", i, n, done);
	}
	ck_assert_int_eq(shv_stat(s->a, &st), 0);
	ck_assert_msg(st.parts == MANY, "%llu texts of %d strings", (unsigned long long)st.parts, MANY);
}

static void setters_in_order(struct stage *s, bool died)
{
	(void)died;
	for (int i = 0; i < MANY; i++) {
		int r = shv_try_acquire(s->v[i]);
		ck_assert_int_eq(string_version(s->v[i], i), 1);
		ck_assert_msg(r == 0 || r == SHV_RECOVERED, "lock %d: %d", i, r);
		ck_assert_int_eq(shv_release(s->v[i]), 0);
	}
}

static void append_strings(struct stage *s)
{
	int r;

	for (int k = 0; k < 2 * MANY; k++) {
		REQUIRE((r = shv_string_append(s->v[k % MANY], "+")) == 0 || r == SHV_RECOVERED);
		s->shared->acknowledged = k + 1;
	}
}

static void strings_were_appended(struct stage *s, bool died)
{
	long done = s->shared->acknowledged;
	char is[4200], be[4096];

	(void)died;
	for (int i = 0; i < MANY; i++) {
		ssize_t n = shv_string_peek(s->v[i], is, sizeof(is));
		int least = (done > i) + (done > i + MANY), most = (done >= i) + (done >= i + MANY);
		long more = n - (long)strlen(string_text(i, 1, be));
		ck_assert_msg(!strncmp(is, be, strlen(be)) && more >= least && more <= most && strspn(is + strlen(be), "+") == (size_t)more,
			      "string %d: %ld more, not %d or %d", i, more, least, most);
	}
}

/* Half of them the survivor's, half its own. */
static void free_strings(struct stage *s)
{
	char text[4096];

	for (int i = 0; i < MANY; i++) {
		if (i % 2) {
			REQUIRE(!shv_value_free(s->v[i]));
			s->shared->acknowledged = i + 1;
		} else {
			shv_value *v;
			REQUIRE((v = shv_string_new(s->a, string_text(i, 1, text), string_lock(i))));
			REQUIRE(!shv_value_free(v));
		}
	}
}

static void strings_were_freed(struct stage *s, bool died)
{
	(void)died;
	for (int i = 0; i < MANY; i++) {
		shv_value *v = shv_deref(s->a, s->shared->ref[i]);
		ck_assert_msg(v || i % 2, "string %d is lost", i);
		ck_assert_msg(!v || !(i % 2) || i >= s->shared->acknowledged, "string %d is there again", i);
		if (v)
			ck_assert_int_eq(string_version(v, i), 1);
	}
}
