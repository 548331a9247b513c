// Blocks of Philox, and Gaussians, for counters and keys of any layout, as svl/random.py draws them operation by operation.

#include <algorithm>
#include <cstdint>

#include "normals.h"

constexpr int INPUTS = 6, WORDS = 4, BLOCKS = 64, MOST_AXES = 16;

// The elements from number `first` on, in order of their indices, for a tensor of each input's strides.
template <int INPUTS>
struct Elements {
    const int axes;
    const int64_t* shape;
    const int64_t* strides;  // [input, axis]
    int64_t at[MOST_AXES], offset[INPUTS];

    Elements(int axes, const int64_t* shape, const int64_t* strides, int64_t first) : axes(axes), shape(shape), strides(strides), offset() {
        for (int axis = axes - 1; axis >= 0; axis--) {
            at[axis] = first % shape[axis];
            first /= shape[axis];
            for (int i = 0; i < INPUTS; i++) offset[i] += at[axis] * strides[i * axes + axis];
        }
    }

    // How many of the next elements lie along the last axis.
    int64_t run() const { return shape[axes - 1] - at[axes - 1]; }

    void skip(int64_t count) {
        move(axes - 1, count);
        for (int axis = axes - 1; axis > 0 && at[axis] == shape[axis]; axis--) {
            move(axis, -shape[axis]);
            move(axis - 1, 1);
        }
    }

  private:
    void move(int axis, int64_t count) {
        at[axis] += count;
        for (int i = 0; i < INPUTS; i++) offset[i] += count * strides[i * axes + axis];
    }
};

// The inputs of the next count elements, to rows of COLUMNS.
template <class Number, int INPUTS, int COLUMNS>
static void gather(Elements<INPUTS>& elements, int count, const int64_t* const* inputs, Number (*rows)[COLUMNS]) {
    for (int done = 0; done < count;) {
        const int part = (int)std::min<int64_t>(elements.run(), count - done);
        for (int i = 0; i < INPUTS; i++) {
            Number* to = rows[i] + done;
            const int64_t *from = inputs[i] + elements.offset[i], step = elements.strides[i * elements.axes + elements.axes - 1];
            for (int e = 0; e < part; e++) to[e] = (Number)from[e * step];
        }
        elements.skip(part);
        done += part;
    }
}

static void some(Elements<INPUTS> elements, int count, const int64_t* const* inputs, int64_t size, int64_t* out) {
    alignas(64) uint32_t words[INPUTS][BLOCKS] = {};
    gather(elements, count, inputs, words);
    rounds<BLOCKS>(words);
    for (int w = 0; w < WORDS; w++)
        for (int e = 0; e < count; e++) out[w * size + e] = words[w][e];
}

//   shape   [axes] of all inputs, at least one axis and at most MOST_AXES
//   inputs  four words of counters and two of keys, as numbers of 64 bits
//   strides [input, axis]
//   out     [word, *shape]
extern "C" void philox(int threads, int axes, const int64_t* shape, const int64_t* const* inputs, const int64_t* strides, int64_t* out) {
    int64_t size = 1;
    for (int axis = 0; axis < axes; axis++) size *= shape[axis];
    const int64_t parts = (size + BLOCKS - 1) / BLOCKS;
#pragma omp parallel for num_threads(threads) if (threads > 1 && parts > 16)
    for (int64_t part = 0; part < parts; part++) {
        const int64_t first = part * BLOCKS;
        some(Elements<INPUTS>(axes, shape, strides, first), (int)std::min<int64_t>(BLOCKS, size - first), inputs, size, out + first);
    }
}

//   shape   [axes] of the inputs, as above
//   inputs  two words of keys and a counter, as numbers of 64 bits
//   strides [input, axis]
//   count   Gaussians for each counter
//   stream  the last word of the counters
//   out     [*shape, count]
extern "C" void normals(int threads, int axes, const int64_t* shape, const int64_t* const* inputs, const int64_t* strides, int count, uint32_t stream,
                        float* out) {
    constexpr int COUNTERS = 8 * LANES;
    int64_t size = 1;
    for (int axis = 0; axis < axes; axis++) size *= shape[axis];
    const int64_t parts = (size + COUNTERS - 1) / COUNTERS;
#pragma omp parallel for num_threads(threads) if (threads > 1 && parts > 1)
    for (int64_t part = 0; part < parts; part++) {
        const int64_t begin = part * COUNTERS;
        const int here = (int)std::min<int64_t>(COUNTERS, size - begin);
        alignas(64) int64_t words[3][COUNTERS] = {};
        Elements<3> elements(axes, shape, strides, begin);
        gather(elements, here, inputs, words);
        for (int e = 0; e < here; e += LANES)
            normals(Keys(words[0] + e, words[1] + e), Counters(words[2] + e, LANES), stream, count, std::max(0, e + LANES - here), out + (begin + e) * count,
                    [](int) { return vec{}; });
    }
}
