// Outputs and loss gradients of R multi-layer perceptrons with one output, each on its own batch. Each library has the code for one
// activation SVL_ACTIVATION.

#include "call.h"
#include "network.h"

// Examples whose gradients are summed up apart: the work of a thread, and a bound on rounding. Fixed,
// so that sums do not depend on the number of threads.
constexpr int SEGMENT = 2048;
constexpr int LEAST_FOR_SIGNS = 32;  // examples in a batch that are worth tables

// Outputs, and where there are targets y gradients.
static void on_batches(const Call& call, int batch, bool has_signs, const float* x, const float* y, const float* weight, float* outputs, float* grads) {
    call.run((batch + SEGMENT - 1) / SEGMENT, grads, [&] {
        return [&, network = Network<SVL_ACTIVATION>(call.dims, call.params, has_signs && batch >= LEAST_FOR_SIGNS)](int64_t r, int64_t segment, float* g) mutable {
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
extern "C" void mlp_gradients(int replicas, int layers, const int32_t* dims, int loss, int threads,
                              const float* const* params, const int64_t* strides, float* grads, int batch, int has_signs, const float* x, const float* y,
                              const float* weight, float* outputs) {
    const Call call{replicas, std::vector<int>(dims, dims + layers + 1), loss, threads, params, strides};
    on_batches(call, batch, has_signs, x, y, weight, outputs, grads);
}

// The outputs alone; loss and grads are not looked at.
extern "C" void mlp_outputs(int replicas, int layers, const int32_t* dims, int loss, int threads, const float* const* params,
                            const int64_t* strides, float* grads, int batch, int has_signs, const float* x, float* outputs) {
    mlp_gradients(replicas, layers, dims, LOGISTIC, threads, params, strides, nullptr, batch, has_signs, x, nullptr, nullptr, outputs);
}
