// Examples of single-index models: Gaussian inputs, and a link function of their product with a teacher.

#include "activations.h"
#include "normals.h"

enum Link { HE1, HE2, HE3, HE4, HE5, OF_RELU, OF_SIGMOID, SIGN };  // as in svl/tasks/single_index.py

struct SingleIndex {
    const int64_t *key, *noise_key;  // [replica, 2] of the inputs and of the labels' noise
    const float *teacher, *noise;    // [replica, dim], and [replica] standard deviations, or null for none
    int32_t dim, link;
};

static inline vec linked(int link, vec z) {
    if (link == HE1) return z;
    if (link == HE2) return z * z - 1.0f;
    if (link == HE3) return z * (z * z - 3.0f);
    if (link == HE4) return z * z * (z * z - 6.0f) + 3.0f;
    if (link == HE5) return z * (z * z * (z * z - 10.0f) + 15.0f);
    if (link == OF_RELU) return positive(z);
    if (link == OF_SIGMOID) return sigmoid(z);
    return z > vec{} ? splat(1.0f) : z < vec{} ? splat(-1.0f) : vec{};
}

// A source's function, see source.h.
extern "C" void single_index_make(const void* task, int64_t replica, int count, const int64_t* index, void* inputs, float* targets) {
    const SingleIndex& model = *(const SingleIndex*)task;
    const int dim = model.dim;
    const float* teacher = model.teacher + replica * dim;
    const float noise = model.noise ? model.noise[replica] : 0.0f;
    const Keys keys(model.key + 2 * replica), noise_keys(model.noise_key + 2 * replica);
    for (int first = 0; first < count; first += LANES) {
        const int here = std::min(LANES, count - first);
        const Counters counters(index + first, here);
        float* to = (float*)inputs + (int64_t)first * dim;
        vec y = linked(model.link, normals(keys, counters, 0, dim, LANES - here, to, [=](int column) { return splat(teacher[column]); }));
        if (noise != 0.0f) {
            uvec words[4];
            vec one, other;
            counters.draw(noise_keys, 0, 0, words);
            normal_pair(words[0], words[1], one, other);
            y += noise * one;
        }
        store(targets + first, in_order(y, Lanes{}), targets + count);
    }
}
