#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The side of CPython: multiprocessing's RawValue and Value, asked by the benchmark over a pipe.

A line in: `raw|locked|nolock batch|churn BATCH LIVE ROUNDS`, or `increment SIDES N`. A line out: ns to make,
to free, of a pair; or ns of one increment. The first line out says that all is there.
"""
import ctypes
import multiprocessing
import random
import sys
import time

MAKERS = {
    "raw": lambda x: multiprocessing.RawValue(ctypes.c_long, x),
    "locked": lambda x: multiprocessing.Value(ctypes.c_long, x),
}


def batch(make, n):
    values = [None] * n
    begin = time.thread_time_ns()
    for i in range(n):
        values[i] = make(i)
    middle = time.thread_time_ns()
    total = 0
    for i in range(n):
        total += values[i].value
        values[i] = None
    end = time.thread_time_ns()
    assert total == n * (n - 1) // 2
    return (middle - begin) / n, (end - middle) / n, (end - begin) / n


def churn(make, live, rounds):
    values = [make(i) for i in range(live)]
    made, dropped = sum(range(live)), 0
    victims = [random.randrange(live) for _ in range(rounds)]
    begin = time.thread_time_ns()
    for i, k in enumerate(victims):
        dropped += values[k].value
        values[k] = None
        values[k] = make(i)
        made += i
    end = time.thread_time_ns()
    dropped += sum(v.value for v in values)
    assert made == dropped
    return 0, 0, (end - begin) / rounds


def increments(value, n):
    for _ in range(n):
        with value.get_lock():
            value.value += 1


def meet_and_increment(value, n, barrier):
    barrier.wait()
    increments(value, n)


def increment(sides, n):
    value = multiprocessing.Value(ctypes.c_long, 0)
    increments(value, 100)
    if sides == 1:
        begin = time.thread_time_ns()
        increments(value, n)
        return (time.thread_time_ns() - begin) / n
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(sides)
    others = [context.Process(target=meet_and_increment, args=(value, n, barrier)) for _ in range(sides - 1)]
    for other in others:
        other.start()
    barrier.wait()
    begin = time.perf_counter_ns()
    increments(value, n)
    for other in others:
        other.join()
    end = time.perf_counter_ns()
    assert value.value == 100 + sides * n
    return (end - begin) / (sides * n)


def main():
    print("ready", flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "increment":
            print(increment(int(words[1]), int(words[2])), flush=True)
            continue
        what, how, n, live, rounds = words[0], words[1], *map(int, words[2:])
        figures = batch(MAKERS[what], n) if how == "batch" else churn(MAKERS[what], live, rounds)
        print(*figures, flush=True)


if __name__ == "__main__":
    main()
