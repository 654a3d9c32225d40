/* SPDX-License-Identifier: MIT */
/*
 * What server and client of shv_arena_serve() say to each other: one message each way, on a SOCK_SEQPACKET socket, which keeps messages
 * apart. Both are of one machine, so numbers are in its byte order.
 *
 *   client  struct shv_ask      which version it speaks, and what it wants
 *   server  struct shv_answer   0 and descriptors (SCM_RIGHTS), or an errno; then it closes
 *
 * Descriptors: for reading one, open for reading; for writing two, of two descriptions. The first is to become the member's sign of
 * life (process.c: a lock through a description that only a mapping keeps), the second its ordinary descriptor: a client of another user
 * cannot make either of the other by opening /proc/self/fd.
 *
 * A later version may make the messages longer, never shorter: the version byte says what follows.
 */
#ifndef SHV_ARENA_SERVE_H
#define SHV_ARENA_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SHV_ASK_MAGIC UINT32_C(0x51564853)    /* "SHVQ" */
#define SHV_ANSWER_MAGIC UINT32_C(0x41564853) /* "SHVA" */
#define SHV_SERVE_VERSION 1
#define SHV_SERVE_FDS 2 /* at the most, in an answer */

enum shv_wish {
	SHV_WISH_WRITE = 0,
	SHV_WISH_READ = 1,
};

struct shv_ask {
	uint32_t magic;
	uint8_t version;
	uint8_t wish;     /* enum shv_wish */
	uint16_t spare;   /* 0 */
	uint64_t reserved; /* 0 */
};

struct shv_answer {
	uint32_t magic;
	uint8_t version;
	uint8_t spare[3];
	int32_t error;    /* 0, or a positive errno */
	uint32_t fds;     /* descriptors that come with it */
};

_Static_assert(sizeof(struct shv_ask) == 16 && sizeof(struct shv_answer) == 16, "messages are the same in every build");

/* The address of a path, or of an abstract name ('@name'): its length, or a negative errno with a sentence that begins with `who`. */
int socket_address(const char *path, struct sockaddr_un *out, const char *who) __attribute__((visibility("hidden")));

#endif /* SHV_ARENA_SERVE_H */
