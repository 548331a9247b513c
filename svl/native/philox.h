// Philox-4x32-10 (Salmon, Moraes, Dror and Shaw 2011) for many counters, as svl/random.py draws it.

#pragma once

#include <cstdint>

constexpr uint32_t MULTIPLIERS[] = {0xD2511F53u, 0xCD9E8D57u}, WEYL[] = {0x9E3779B9u, 0xBB67AE85u};
constexpr int PHILOX_ROUNDS = 10;

// COUNT counters at once, which the compiler turns into vectors: words[w][i] is word w of counter i, and then of its block; the last two
// are those of its own key, which change.
template <int COUNT>
static inline void rounds(uint32_t (*words)[COUNT]) {
    uint32_t *c0 = words[0], *c1 = words[1], *c2 = words[2], *c3 = words[3], *k0 = words[4], *k1 = words[5];
    for (int round = 0; round < PHILOX_ROUNDS; round++)
        for (int i = 0; i < COUNT; i++) {
            const uint64_t first = (uint64_t)c0[i] * MULTIPLIERS[0], second = (uint64_t)c2[i] * MULTIPLIERS[1];
            const uint32_t one = c1[i], three = c3[i];
            c0[i] = (uint32_t)(second >> 32) ^ one ^ k0[i];
            c1[i] = (uint32_t)second;
            c2[i] = (uint32_t)(first >> 32) ^ three ^ k1[i];
            c3[i] = (uint32_t)first;
            k0[i] += WEYL[0];
            k1[i] += WEYL[1];
        }
}

// Block 0 of counters index with one key.
template <int COUNT>
static inline void philox(uint32_t k0, uint32_t k1, const int64_t* index, uint32_t (*words)[COUNT]) {
    uint32_t *c0 = words[0], *c1 = words[1], *c2 = words[2], *c3 = words[3];
    for (int i = 0; i < COUNT; i++) {
        c0[i] = (uint32_t)index[i];
        c1[i] = (uint32_t)((uint64_t)index[i] >> 32);
        c2[i] = c3[i] = 0;
    }
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++) {
            const uint64_t first = (uint64_t)c0[i] * MULTIPLIERS[0], second = (uint64_t)c2[i] * MULTIPLIERS[1];
            const uint32_t one = c1[i], three = c3[i];
            c0[i] = (uint32_t)(second >> 32) ^ one ^ k0;
            c1[i] = (uint32_t)second;
            c2[i] = (uint32_t)(first >> 32) ^ three ^ k1;
            c3[i] = (uint32_t)first;
        }
        k0 += WEYL[0];
        k1 += WEYL[1];
    }
}
