// Outputs and loss gradients of R multi-layer perceptrons with one output over a population of inputs that is a product of two sets of
// halves. Each library has the code for one activation SVL_ACTIVATION.

#include "call.h"
#include "population.h"

constexpr int SEGMENTS_OF_POPULATION = 8;  // of rows, whose gradients are summed up apart; fixed, as in mlp.cpp

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

// Hidden layers, at least one, have any width; the last layer has one output.
//   dims      layers + 1 widths, the input's first, the last is 1
//   threads   on how many the work is spread
//   params    2 layers pointers: weight [replica, out, in] and bias [replica, out] (null without biases) of every layer
//   strides   numbers from one replica to the next of each of these
//   grads     [replica, parameters of one replica in the order of params]
//   high, low [high_rows, high_dim], [low_rows, low_dim]: low_dim + high_dim = dims[0]
//   y         [replica, high_rows low_rows]
//   outputs   [replica, high_rows low_rows]
extern "C" void mlp_population_gradients(int replicas, int layers, const int32_t* dims, int loss, int threads,
                                         const float* const* params, const int64_t* strides, float* grads, int high_rows, int high_dim,
                                         const float* high, int low_rows, int low_dim, const float* low, const float* y,
                                         float* outputs) {
    const Call call{replicas, std::vector<int>(dims, dims + layers + 1), loss, threads, params, strides};
    const Half lows(low_rows, low_dim, low), highs(high_rows, high_dim, high);
    if (layers > 2) on_population<Deep<SVL_ACTIVATION>>(call, lows, highs, y, outputs, grads);
    else on_population<Shallow<SVL_ACTIVATION>>(call, lows, highs, y, outputs, grads);
}
