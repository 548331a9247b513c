// Calls a library's functions on random shapes, with every buffer exactly as large as documented; built with sanitizers, which stop
// at the first wrong access. LIBRARY is the source file; TRAINS is defined for train.cpp.

#include <cstdio>
#include <cstdlib>
#include <random>

#include LIBRARY

static std::mt19937 generator(1);

static int below(int n) { return (int)(generator() % n); }

static std::vector<float> numbers(int64_t count, bool are_signs = false) {
    std::vector<float> values(count);
    for (float& value : values) value = are_signs ? below(2) * 2.0f - 1.0f : below(2001) / 1000.0f - 1.0f;
    return values;
}

struct Shape {
    int replicas = 1 + below(4), layers = 1 + below(4), batch = 1 + below(below(10) ? 200 : 5000);
    int activation = below(4), loss = below(4), threads = 1 + below(3);
    bool has_signs = below(2), has_weights = below(2), has_bias = below(2);
    std::vector<int32_t> dims;
    std::vector<std::vector<float>> buffers;
    std::vector<float*> params;
    std::vector<int64_t> strides;
    int64_t total = 0;

    // Parameters, each with as many states behind it.
    explicit Shape(int states, int least_layers = 1) {
        layers = std::max(layers, least_layers);
        for (int l = 0; l < layers; l++) dims.push_back(1 + below(80));
        dims.push_back(1);
        for (int l = 0; l < layers; l++)
            for (int is_bias = 0; is_bias < 2; is_bias++)
                for (int part = 0; part <= states; part++) {
                    const int64_t size = is_bias ? dims[l + 1] : (int64_t)dims[l] * dims[l + 1];
                    const bool exists = !is_bias || has_bias;
                    buffers.push_back(part ? std::vector<float>(exists ? replicas * size : 0) : numbers(exists ? replicas * size : 0));
                    params.push_back(exists ? buffers.back().data() : nullptr);
                    strides.push_back(size);
                    if (exists && !part) total += size;
                }
    }
};

#ifdef TRAINS
static void call() {
    const int rule = below(2), states = rule == SGD ? 1 : 2, steps = 1 + below(4);
    Shape s(states);
    if (below(2)) s.activation = RELU;
    const int64_t rows = (int64_t)s.replicas * steps * s.batch, dim = s.dims[0];
    const auto x = numbers(rows * dim, s.has_signs), y = numbers(rows, true), weight = numbers(rows);
    std::vector<uint32_t> words(rows * words_of(dim));
    encode_signs(rows, dim, x.data(), words.data());
    const int tensors = 2 * s.layers;
    std::vector<double> settings(s.replicas * tensors * NUMBERS, 0.1), rates(steps, 1.0);
    std::vector<uint8_t> frozen(s.replicas * tensors);
    for (uint8_t& one : frozen) one = !below(4);
    std::vector<float> loss(s.replicas), correct(s.replicas);
    std::vector<int64_t> counted(s.replicas), diverged(s.replicas, -1);
    const void* batches[] = {s.has_signs ? words.data() : nullptr, s.has_signs ? nullptr : x.data(), y.data(), s.has_weights ? weight.data() : nullptr};
    const int64_t size = (int64_t)steps * s.batch, strides[] = {size * words_of(dim), size * dim, size, size};
    mlp_train(s.replicas, s.layers, s.dims.data(), s.activation, s.loss, rule, s.threads, s.params.data(), s.strides.data(), settings.data(), frozen.data(),
              0, steps, s.batch, rates.data(), batches, strides, loss.data(), correct.data(), counted.data(), diverged.data());
}
#else
static void call() {
    const Shape s(0);
    const int64_t rows = (int64_t)s.replicas * s.batch;
    const auto x = numbers(rows * s.dims[0], s.has_signs), y = numbers(rows, true), weight = numbers(rows);
    std::vector<float> outputs(rows), gradients(s.replicas * s.total);
    mlp_gradients(s.replicas, s.layers, s.dims.data(), s.activation, s.loss, s.threads, s.params.data(), s.strides.data(), gradients.data(), s.batch,
                  s.has_signs, x.data(), y.data(), s.has_weights ? weight.data() : nullptr, outputs.data());
    mlp_outputs(s.replicas, s.layers, s.dims.data(), s.activation, s.loss, s.threads, s.params.data(), s.strides.data(), nullptr, s.batch, s.has_signs,
                x.data(), outputs.data());
    Shape p(0, 2);
    if (p.dims[0] < 2) return;
    const int low_dim = 1 + below(p.dims[0] - 1), high_dim = p.dims[0] - low_dim, low_rows = 1 + below(200), high_rows = 1 + below(40);
    const auto low = numbers(low_rows * low_dim), high = numbers(high_rows * high_dim), targets = numbers((int64_t)p.replicas * low_rows * high_rows, true);
    std::vector<float> population(targets.size()), sums(p.replicas * p.total);
    mlp_population_gradients(p.replicas, p.layers, p.dims.data(), p.activation, p.loss, p.threads, p.params.data(), p.strides.data(), sums.data(), high_rows,
                             high_dim, high.data(), low_rows, low_dim, low.data(), targets.data(), population.data());
}
#endif

int main(int, char** arguments) {
    for (int i = 0; i < atoi(arguments[1]); i++) call();
    printf("done\n");
}
