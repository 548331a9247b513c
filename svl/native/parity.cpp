// Examples of parity: inputs as bits and labels, from their counters.

#include <algorithm>
#include <cstring>

#include "philox.h"

constexpr int AT_ONCE = 64, WORDS = 4;

// Of count counters index of one replica, the first dim digits of their random words. A digit of 0 stands for the sign 1, which is a set bit
// of words [count, number of words]; the label is the parity of the digits under the mask.
static void of_replica(const int64_t* key, const uint32_t* mask, int dim, int64_t count, const int64_t* index, uint32_t* words, float* labels) {
    const int filled = (dim + 31) / 32;
    alignas(64) uint32_t random[WORDS][AT_ONCE];
    int64_t counters[AT_ONCE];
    for (int64_t first = 0; first < count; first += AT_ONCE) {
        const int part = (int)std::min<int64_t>(AT_ONCE, count - first);
        memset(counters, 0, sizeof counters);
        memcpy(counters, index + first, part * sizeof(int64_t));
        philox<AT_ONCE>((uint32_t)key[0], (uint32_t)key[1], counters, random);
        for (int i = 0; i < part; i++) {
            uint32_t odd = 0;
            for (int w = 0; w < filled; w++) {
                const uint32_t digits = w + 1 == filled && dim % 32 ? (1u << dim % 32) - 1 : ~0u;
                words[(first + i) * filled + w] = ~random[w][i] & digits;
                odd ^= random[w][i] & mask[w];
            }
            labels[first + i] = __builtin_parity(odd) ? -1.0f : 1.0f;
        }
    }
}

//   key    [replica, 2] of the examples
//   mask   [replica, 4] digits that the label depends on
//   index  [replica, count] counters
//   words  [replica, count, words of dim]
//   labels [replica, count]
extern "C" void parity_examples(int replicas, int threads, int dim, int64_t count, const int64_t* key, const uint32_t* mask, const int64_t* index,
                                uint32_t* words, float* labels) {
    const int64_t filled = (dim + 31) / 32;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int r = 0; r < replicas; r++)
        of_replica(key + r * 2, mask + r * WORDS, dim, count, index + r * count, words + r * count * filled, labels + r * count);
}
