// Examples of parity: inputs as bits and labels, from their counters.

#include "philox.h"

constexpr int WORDS = 4;

struct Parity {
    const int64_t* key;    // [replica, 2] of the examples
    const uint32_t* mask;  // [replica, WORDS] digits that the label depends on
    int32_t dim;
};

// A source's function, see source.h. Of each counter's random words, the first dim digits count: 0 stands for the sign 1, which is a set bit; the
// label is the parity of the digits under the mask.
extern "C" void parity_make(const void* task, int64_t replica, int count, const int64_t* index, void* inputs, float* labels) {
    const Parity& parity = *(const Parity*)task;
    const uint32_t* mask = parity.mask + replica * WORDS;
    const int filled = (parity.dim + 31) / 32;
    const Keys keys(parity.key + replica * 2);
    uint32_t* words = (uint32_t*)inputs;
    for (int first = 0; first < count; first += LANES) {
        const int here = std::min(LANES, count - first);
        uvec random[WORDS], odd = {};
        Counters(index + first, here).draw(keys, 0, 0, random);
        for (int w = 0; w < filled; w++) {
            const uint32_t digits = w + 1 == filled && parity.dim % 32 ? (1u << parity.dim % 32) - 1 : ~0u;
            odd ^= random[w] & mask[w];
            const vec signs = in_order((vec)(~random[w] & digits), Lanes{});
            uint32_t* to = words + (int64_t)first * filled + w;
            if (filled == 1 && here == LANES) store((float*)to, signs);
            else {
                alignas(vec) float lanes[LANES];
                store(lanes, signs);
                for (int row = 0; row < here; row++) memcpy(to + row * filled, lanes + row, sizeof(uint32_t));
            }
        }
        for (int shift = 16; shift; shift /= 2) odd ^= odd >> shift;
        store(labels + first, in_order((vec)(((odd & 1) << 31) | 0x3F800000u), Lanes{}), labels + count);
    }
}

//   index  [replica, count] counters
//   words  [replica, count, words of dim]
//   labels [replica, count]
extern "C" void parity_examples(const void* task, int replicas, int threads, int count, const int64_t* index, uint32_t* words, float* labels) {
    const int64_t filled = (((const Parity*)task)->dim + 31) / 32;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < replicas; r++) parity_make(task, r, count, index + r * count, words + r * count * filled, labels + r * count);
}
