// What makes examples at the place and time where they are needed: a function of a task's library.

#pragma once

#include <cstdint>

struct Source {
    // Of count counters index of a replica: inputs [count, dim], or [count, words_of(dim)] of signs as bits, and targets [count].
    void (*make)(const void* task, int64_t replica, int count, const int64_t* index, void* inputs, float* targets);
    const void* task;  // what the function is given
};
