// Outputs and loss gradients of R multi-layer perceptrons, each on its own batch or on one population of inputs.

#include <atomic>

#include "network.h"
#include "population.h"

// Examples, or rows of a population, whose gradients are summed up apart: the work of a thread, and a bound on rounding. Fixed,
// so that sums do not depend on the number of threads.
constexpr int SEGMENT = 2048, SEGMENTS_OF_POPULATION = 8;
constexpr int LEAST_FOR_SIGNS = 32;  // examples in a batch that are worth tables

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

// Outputs, and where there are targets y gradients.
template <int ACTIVATION>
static void on_batches(const Call& call, int batch, bool has_signs, const float* x, const float* y, const float* weight, float* outputs, float* grads) {
    call.run((batch + SEGMENT - 1) / SEGMENT, grads, [&] {
        return [&, network = Network<ACTIVATION>(call.dims, call.params, has_signs && batch >= LEAST_FOR_SIGNS)](int64_t r, int64_t segment, float* g) mutable {
            const int64_t end = r * batch + std::min<int64_t>(batch, (segment + 1) * SEGMENT);
            network.begin(call.of_replica(r).data());
            for (int64_t b = r * batch + segment * SEGMENT; b < end; b += STRIP) {
                const int count = (int)std::min<int64_t>(STRIP, end - b);
                network.forward(count, x + b * call.dims[0]);
                memcpy(outputs + b, network.f, count * sizeof(float));
                if (y) network.backward(count, x + b * call.dims[0], call.loss, y + b, weight ? weight + b : nullptr, 1.0f / batch);
            }
            if (y) network.end(g);
        };
    });
}

template <class Factored>
static void on_population(const Call& call, const Half& low, const Half& high, const float* y, float* outputs, float* grads) {
    const int segments = std::min(high.rows, SEGMENTS_OF_POPULATION);
    const int64_t size = (int64_t)high.rows * low.rows;
    call.run(segments, grads, [&] {
        return [&, factored = Factored(call.dims, call.params, call.loss, low, high)](int64_t r, int64_t segment, float* g) mutable {
            const int first = segment * high.rows / segments, end = (segment + 1) * high.rows / segments;
            factored.gradient(call.of_replica(r).data(), first, end, y + r * size, 1.0f / size, outputs + r * size, g);
        };
    });
}

// What both functions take. Hidden layers have any width; the last layer has one output.
//   dims      layers + 1 widths, the input's first, the last is 1
//   threads   on how many the work is spread
//   params    2 layers pointers: weight [replica, out, in] and bias [replica, out] (null without biases) of every layer
//   strides   numbers from one replica to the next of each of these
//   grads     [replica, parameters of one replica in the order of params]

//   has_signs whether all of x is -1 or 1
//   x         [replica, batch, dims[0]]
//   y, weight [replica, batch]; weight may be null for a mean over the batch
//   outputs   [replica, batch]
extern "C" void mlp_gradients(int replicas, int layers, const int32_t* dims, int activation, int loss, int threads,
                              const float* const* params, const int64_t* strides, float* grads, int batch, int has_signs, const float* x, const float* y,
                              const float* weight, float* outputs) {
    const Call call{replicas, std::vector<int>(dims, dims + layers + 1), loss, threads, params, strides};
    constexpr decltype(&on_batches<RELU>) functions[] = {on_batches<RELU>, on_batches<SIGMOID>, on_batches<QUADRATIC>, on_batches<GELU>};
    functions[activation](call, batch, has_signs, x, y, weight, outputs, grads);
}

// The outputs alone; loss and grads are not looked at.
extern "C" void mlp_outputs(int replicas, int layers, const int32_t* dims, int activation, int loss, int threads, const float* const* params,
                            const int64_t* strides, float* grads, int batch, int has_signs, const float* x, float* outputs) {
    mlp_gradients(replicas, layers, dims, activation, LOGISTIC, threads, params, strides, nullptr, batch, has_signs, x, nullptr, nullptr, outputs);
}

// At least one hidden layer.
//   high, low [high_rows, high_dim], [low_rows, low_dim]: low_dim + high_dim = dims[0]
//   y         [replica, high_rows low_rows]
//   outputs   [replica, high_rows low_rows]
extern "C" void mlp_population_gradients(int replicas, int layers, const int32_t* dims, int activation, int loss, int threads,
                                         const float* const* params, const int64_t* strides, float* grads, int high_rows, int high_dim,
                                         const float* high, int low_rows, int low_dim, const float* low, const float* y,
                                         float* outputs) {
    const Call call{replicas, std::vector<int>(dims, dims + layers + 1), loss, threads, params, strides};
    constexpr decltype(&on_population<Shallow<RELU>>) functions[][2] = {{on_population<Shallow<RELU>>, on_population<Deep<RELU>>},
                                                                        {on_population<Shallow<SIGMOID>>, on_population<Deep<SIGMOID>>},
                                                                        {on_population<Shallow<QUADRATIC>>, on_population<Deep<QUADRATIC>>},
                                                                        {on_population<Shallow<GELU>>, on_population<Deep<GELU>>}};
    functions[activation][layers > 2](call, Half(low_rows, low_dim, low), Half(high_rows, high_dim, high), y, outputs, grads);
}
