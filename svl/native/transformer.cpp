// Outputs and loss gradients of R Transformers, each on its own batch.

#include <atomic>
#include <memory>

#include "loss.h"
#include "transformer.h"

// Losses besides those of one output: cross-entropy, where y is a class; and any loss, where y is the loss's derivative itself.
enum { CLASSES = 100, DERIVATIVE = 101 };

constexpr int TOKENS_OF_SEGMENT = 256, SEQUENCES = 16;  // whose gradients are summed up apart, at least: the work of a thread
constexpr int TOKENS_OF_STRIP = 160;                    // that are worked on at once, at least

struct Call {
    int64_t replicas;
    Shape shape;
    int threads, loss, batch;
    const float* const* params;
    const int64_t* strides;
    const void* x;
    const float *y, *weight;
    float *outputs, *grads;

    // Sequences of a segment: independent of the number of threads, and of lanes.
    int segment() const { return SEQUENCES * ((TOKENS_OF_SEGMENT + SEQUENCES * shape.positions - 1) / (SEQUENCES * shape.positions)); }
    int groups() const {
        const int sequences = std::min(segment(), batch);
        return std::max(1, std::min((sequences + LANES - 1) / LANES, TOKENS_OF_STRIP / (shape.positions * LANES)));
    }
};

// The derivative of the weighted loss with respect to one column of outputs f [outputs][LANES], to d.
static void slopes(int loss, int outputs, const float* f, vec y, vec weight, float* d) {
    if (loss != CLASSES) {
        store(d, weight * derivative(loss, load(f), y));
        return;
    }
    vec largest = load(f), sum = {};
    for (int o = 1; o < outputs; o++) {
        const vec v = load(f + o * LANES);
        largest = v > largest ? v : largest;
    }
    for (int o = 0; o < outputs; o++) {
        const vec e = exp_(load(f + o * LANES) - largest);
        sum += e;
        store(d + o * LANES, e);
    }
    const vec share = weight / sum;
    for (int o = 0; o < outputs; o++) store(d + o * LANES, load(d + o * LANES) * share - (y == splat((float)o) ? weight : vec{}));
}

// A thread's network, which it keeps from one call to the next: to clear so much memory again would take long.
static Transformer& network_of(const Call& call) {
    thread_local std::unique_ptr<Transformer> kept;
    if (!kept || memcmp(&kept->s, &call.shape, sizeof(Shape)) || kept->groups != call.groups()) {
        kept.reset();
        kept = std::make_unique<Transformer>(call.shape, call.groups());
    }
    return *kept;
}

template <class Input>
struct Worker {
    const Call& call;
    Transformer& network;
    int64_t replica = -1;
    std::vector<const float*> params;

    explicit Worker(const Call& call_) : call(call_), network(network_of(call)) {}

    // One segment's outputs and, unless g is null, its gradient, which is stored or added.
    void of_segment(int64_t r, int64_t segment, float* g, bool adds) {
        const int size = call.segment(), first = (int)segment * size, end = std::min(call.batch, first + size), strip = network.groups * LANES;
        if (r != replica) {
            params.clear();
            for (size_t i = 0; i < network.at.offset.size(); i++) params.push_back(call.params[i] + r * call.strides[i]);
            network.begin(params.data());
            replica = r;
        }
        if (g) network.clear();
        for (int b = first; b < end; b += strip) {
            const int count = std::min(strip, end - b), numbers = call.shape.positions * (call.shape.vocabulary ? 1 : call.shape.token);
            const Input* in = (const Input*)call.x + (r * call.batch + b) * numbers;
            network.forward(count, in);
            of_outputs(count, r * call.batch + b, g);
            if (g) network.backward(count, in);
        }
        if (g) network.end(g, adds);
    }

    // Stores a strip's outputs and takes their derivatives.
    void of_outputs(int count, int64_t first, const float* g) {
        const int outputs = call.shape.outputs, positions = call.shape.read_positions(), columns = (count + LANES - 1) / LANES * positions;
        for (int c = 0; c < columns; c++) {
            const float* f = network.f.of(1)[c];
            float* d = network.d_f.of(1)[c];
            const int lanes = std::min(LANES, count - c / positions * LANES);
            const auto row = [&](int lane) { return (first + c / positions * LANES + lane) * positions + c % positions; };
            for (int lane = 0; lane < lanes; lane++)
                for (int o = 0; o < outputs; o++) call.outputs[row(lane) * outputs + o] = f[o * LANES + lane];
            if (!g) continue;
            if (call.loss == DERIVATIVE) {
                for (int lane = 0; lane < LANES; lane++)
                    for (int o = 0; o < outputs; o++) d[o * LANES + lane] = lane < lanes ? call.y[row(lane) * outputs + o] : 0.0f;
                continue;
            }
            vec y = {}, weight = {};
            for (int lane = 0; lane < lanes; lane++) {
                y[lane] = call.y[row(lane)];
                weight[lane] = call.weight ? call.weight[row(lane)] : 1.0f / call.batch;
            }
            slopes(call.loss, outputs, f, y, weight, d);
        }
    }
};

template <class Input>
static void run(const Call& call) {
    const int segments = (call.batch + call.segment() - 1) / call.segment();
    // Whole replicas, unless threads would have to wait for others. Either way the sums have the same order.
    const bool is_whole = segments == 1 || call.replicas % call.threads == 0 || call.replicas >= 4 * call.threads;
    const int64_t items = is_whole ? call.replicas : call.replicas * segments, total = Parameters(call.shape).total;
    Floats parts(is_whole || !call.grads ? 0 : items * total);
    std::atomic<int64_t> next{0};
    const int most = (int)std::min<int64_t>(call.threads, items);
#pragma omp parallel num_threads(most) if (most > 1)
    {
        Worker<Input> worker(call);
        for (int64_t item; (item = next++) < items;) {
            if (!is_whole) worker.of_segment(item / segments, item % segments, call.grads ? parts.data() + item * total : nullptr, false);
            for (int i = 0; is_whole && i < segments; i++) worker.of_segment(item, i, call.grads ? call.grads + item * total : nullptr, i > 0);
        }
    }
    for (int64_t item = 0; call.grads && !is_whole && item < items; item++) {
        const float* part = parts.data() + item * total;
        float* g = call.grads + item / segments * total;
        for (int64_t i = 0; i < total; i++) g[i] = part[i] + (item % segments ? g[i] : 0.0f);
    }
}

// Outputs, and gradients where grads is not null.
//   shape     the numbers of Shape
//   threads   on how many the work is spread
//   loss      of loss.h for one output, CLASSES or DERIVATIVE
//   params    pointers to the network's parameters, in their order; strides are the numbers from one replica to the next of each
//   grads     [replica, parameters of one replica in the same order]
//   x         [replica, batch, position, token] of floats; or [replica, batch, position] of int64 where there is a vocabulary
//   y, weight [replica, batch, read position], where only the readout of all has several; weight may be null for 1 / batch each. y is
//             [replica, batch, read position, output] where it is a derivative, and weight is not looked at
//   outputs   [replica, batch, read position, output]
extern "C" void transformer_gradients(int replicas, const int32_t* shape, int threads, int loss, int batch, const float* const* params, const int64_t* strides,
                                      float* grads, const void* x, const float* y, const float* weight, float* outputs) {
    Shape s;
    static_assert(sizeof(Shape) == 12 * sizeof(int32_t));
    memcpy(&s, shape, sizeof s);
    if (s.readout == LAST && s.positions == 1) s.readout = ALL;
    const Call call{replicas, s, threads, loss, batch, params, strides, x, y, weight, outputs, grads};
    if (s.vocabulary) run<int64_t>(call);
    else run<float>(call);
}
