// What the functions of mlp.cpp and population.cpp share: R networks, and the threads that compute their parts.

#pragma once

#include <atomic>
#include <cstring>
#include <vector>

// g [replica, number] = sums of parts [replica, segment, number].
static void sum_up(int64_t replicas, int segments, int64_t numbers, const float* parts, float* g) {
    for (int64_t r = 0; r < replicas; r++, g += numbers) {
        memcpy(g, parts, numbers * sizeof(float));
        parts += numbers;
        for (int s = 1; s < segments; s++, parts += numbers)
            for (int64_t i = 0; i < numbers; i++) g[i] += parts[i];
    }
}

struct Call {
    int64_t replicas;
    std::vector<int> dims;
    int loss, threads;
    const float* const* params;
    const int64_t* strides;

    std::vector<const float*> of_replica(int64_t r) const {
        std::vector<const float*> own;
        for (size_t p = 0; p < 2 * (dims.size() - 1); p++) own.push_back(params[p] ? params[p] + r * strides[p] : nullptr);
        return own;
    }

    // of_segment(replica, segment, gradient) for all of them, where make() gives a thread its own of_segment; without grads, none.
    template <class Make>
    void run(int segments, float* grads, Make make) const {
        int64_t numbers = 0;
        for (size_t l = 0; grads && l + 1 < dims.size(); l++) numbers += (int64_t)dims[l] * dims[l + 1] + (params[2 * l + 1] ? dims[l + 1] : 0);
        std::vector<float> parts(segments > 1 ? replicas * segments * numbers : 0);
        std::atomic<int64_t> next{0};
        const int most = (int)std::min<int64_t>(threads, replicas * segments);
        // Torch's own threads, which wait for work for a while and would be in the way of others.
#pragma omp parallel num_threads(most) if (most > 1)
        {
            auto of_segment = make();
            for (int64_t item; (item = next++) < replicas * segments;)
                of_segment(item / segments, item % segments, (segments > 1 ? parts.data() : grads) + item * numbers);
        }
        if (grads && segments > 1) sum_up(replicas, segments, numbers, parts.data(), grads);
    }
};
