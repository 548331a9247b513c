// Which example an epoch has at a place: the keyed permutations of svl/random.py, with code for a processor instead of a graph.

#include <algorithm>
#include <cstdint>

typedef uint32_t u32;
typedef uint64_t u64;
constexpr int ROUNDS = 8, CHUNK = 16;

// Philox-4x32-10 (Salmon et al. 2011), in place.
static void philox(u32 c[4], u32 k0, u32 k1) {
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        const u64 p0 = (u64)c[0] * 0xD2511F53u, p1 = (u64)c[2] * 0xCD9E8D57u;
        c[0] = (u32)(p1 >> 32) ^ c[1] ^ k0;
        c[2] = (u32)(p0 >> 32) ^ c[3] ^ k1;
        c[1] = (u32)p1;
        c[3] = (u32)p0;
    }
}

static inline u32 mix(u32 x) {
    x = (x ^ x >> 16) * 0x85EBCA6Bu;
    x = (x ^ x >> 13) * 0xC2B2AE35u;
    return x ^ x >> 16;
}

// One epoch's permutation of a pool, on a grid of a x b cells.
struct Order {
    u32 keys[ROUNDS];
    u32 a, b;

    // What svl.random.fold and svl.random.round_keys give.
    void begin(const int64_t* key, int64_t epoch) {
        u32 own[4] = {(u32)epoch, (u32)((u64)epoch >> 32), 0, 0xFFFFFFFFu};
        philox(own, (u32)key[0], (u32)key[1]);
        for (u32 block = 0; block < ROUNDS / 4; block++) {
            u32 words[4] = {0, 0, block, 0};
            philox(words, own[0], own[1]);
            for (int w = 0; w < 4; w++) keys[4 * block + w] = words[w];
        }
    }

    // A network of Feistel rounds. Places are below 2^62 and sides at most 2^31.
    template <int COUNT>
    void scramble(int64_t* x) const {
        u32 left[COUNT], right[COUNT];
        // The quotient of doubles is exact below 2^52, and vectors have no other.
        const bool is_small = (u64)a * b < 1ull << 52;
        for (int i = 0; i < COUNT; i++) left[i] = is_small ? (u32)(int64_t)((double)x[i] / (double)b) : (u32)(x[i] / b);
        for (int i = 0; i < COUNT; i++) right[i] = (u32)(x[i] - (int64_t)left[i] * b);
        for (int round = 0; round < ROUNDS; round += 2) {
            for (int i = 0; i < COUNT; i++) left[i] = turned(left[i], right[i], keys[round], a);
            for (int i = 0; i < COUNT; i++) right[i] = turned(right[i], left[i], keys[round + 1], b);
        }
        for (int i = 0; i < COUNT; i++) x[i] = (int64_t)left[i] * b + right[i];
    }

    static u32 turned(u32 half, u32 source, u32 key, u32 side) {
        const u32 moved = half + (u32)((u64)mix(source ^ key) * side >> 32);
        return moved >= side ? moved - side : moved;
    }
};

//   key       [rows, 2] words of 32 bits
//   size      [rows] at least 1
//   sides     [rows, 2]
//   position  [rows, count] from 0, counted through the epochs
//   index     [rows, count] below size
extern "C" void epoch_indices(int64_t rows, int64_t count, const int64_t* key, const int64_t* size, const int64_t* sides,
                              const int64_t* position, int64_t* index) {
    for (int64_t r = 0; r < rows; r++, key += 2, sides += 2, position += count, index += count) {
        const int64_t n = size[r];
        if (n == 1) {  // also what stands for fresh data
            std::fill(index, index + count, 0);
            continue;
        }
        Order order;
        order.a = (u32)sides[0], order.b = (u32)sides[1];
        int64_t began = -1;  // the place of the present epoch's first example
        for (int64_t i = 0; i < count;) {
            if (began < 0 || position[i] < began || position[i] - began >= n) {
                const int64_t epoch = position[i] / n;
                order.begin(key, epoch);
                began = epoch * n;
            }
            int here = 0;
            int64_t places[CHUNK] = {};
            while (here < CHUNK && i + here < count && position[i + here] >= began && position[i + here] - began < n) {
                places[here] = position[i + here] - began;
                here++;
            }
            order.scramble<CHUNK>(places);
            for (int p = 0; p < here; p++) {
                // Cells beyond the pool are left as soon as they are entered.
                while (places[p] >= n) order.scramble<1>(&places[p]);
                index[i + p] = places[p];
            }
            i += here;
        }
    }
}
