/* SPDX-License-Identifier: MIT */
/*
 * Static probes: places that perf, bpftrace, SystemTap and gdb can watch in a running program (docs/PROBES.md lists them).
 * With --enable-usdt each is one nop and a note in the library, which says where the arguments are. Without, it is no
 * instruction at all, but the arguments are still compiled, so that they cannot rot.
 *
 * Arguments are integers, or pointers; they are evaluated only with --enable-usdt, so they must have no effects.
 */
#ifndef SHV_BASE_PROBE_H
#define SHV_BASE_PROBE_H

#include <stdint.h>

#if defined(SHV_USDT) && SHV_USDT
#include <sys/sdt.h>
#define PROBE1(name, a) DTRACE_PROBE1(libshv, name, (uint64_t)(a))
#define PROBE2(name, a, b) DTRACE_PROBE2(libshv, name, (uint64_t)(a), (uint64_t)(b))
#define PROBE3(name, a, b, c) DTRACE_PROBE3(libshv, name, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c))
#define PROBE4(name, a, b, c, d) DTRACE_PROBE4(libshv, name, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d))
#else
/* sizeof looks at the types and evaluates nothing. */
#define PROBE_ARGUMENT(x) ((void)sizeof((uint64_t)(x)))
#define PROBE1(name, a) PROBE_ARGUMENT(a)
#define PROBE2(name, a, b) (PROBE_ARGUMENT(a), PROBE_ARGUMENT(b))
#define PROBE3(name, a, b, c) (PROBE_ARGUMENT(a), PROBE_ARGUMENT(b), PROBE_ARGUMENT(c))
#define PROBE4(name, a, b, c, d) (PROBE_ARGUMENT(a), PROBE_ARGUMENT(b), PROBE_ARGUMENT(c), PROBE_ARGUMENT(d))
#endif

#endif /* SHV_BASE_PROBE_H */
