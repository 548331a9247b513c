// Calls a library's functions on random shapes, with every buffer exactly as large as documented; built with sanitizers, which stop
// at the first wrong access. LIBRARY is the source file; TRAINS is defined for train.cpp, POPULATION for population.cpp.

#include <cstdio>
#include <cstdlib>
#include <random>

#include LIBRARY
#ifdef TRAINS
#include "../../svl/native/parity.cpp"
#include "../../svl/native/single_index.cpp"
#endif

static std::mt19937 generator(1);

static int below(int n) { return (int)(generator() % n); }

static std::vector<float> numbers(int64_t count, bool are_signs = false) {
    std::vector<float> values(count);
    for (float& value : values) value = are_signs ? below(2) * 2.0f - 1.0f : below(2001) / 1000.0f - 1.0f;
    return values;
}

struct Shape {
    int replicas = 1 + below(4), layers = 1 + below(4), batch = 1 + below(below(10) ? 200 : 5000);
    int loss = below(4), threads = 1 + below(3);
    bool has_signs = below(2), has_weights = below(2), has_bias = below(2);
    std::vector<int32_t> dims;
    std::vector<std::vector<float>> buffers;
    std::vector<float*> params;
    std::vector<int64_t> strides;
    int64_t total = 0;

    // Parameters, each with as many states behind it.
    explicit Shape(int states, int least_layers = 1, int most_layers = 4, int outputs = 1) {
        layers = std::min(std::max(layers, least_layers), most_layers);
        for (int l = 0; l < layers; l++) dims.push_back(1 + below(80));
        dims.push_back(outputs);
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
    const int states = STATES<SVL_RULE>, steps = 1 + below(4), outputs = SVL_SHALLOW || below(2) ? 1 : 2 + below(40);
    Shape s(states, SVL_SHALLOW ? 2 : 1, SVL_SHALLOW ? 2 : 4, outputs);
    if (SVL_SHALLOW) s.has_signs = true;
    if (outputs > 1) s.loss = below(2) ? SQUARED : CROSS_ENTROPY;
    const int64_t rows = (int64_t)s.replicas * steps * s.batch, dim = s.dims[0], targets = outputs > 1 ? targets_of(s.loss, outputs) : 1;
    const bool has_words = s.has_signs && (SVL_SHALLOW == 2 || below(2)), has_steps = below(2), writes = below(2);
    const auto x = numbers(rows * dim, s.has_signs), weight = numbers(rows), class_weight = numbers(outputs);
    auto y = numbers(rows * targets, true);
    if (s.loss == CROSS_ENTROPY)
        for (float& one : y) one = (float)below(outputs);
    std::vector<uint32_t> words(rows * words_of(dim));
    encode(rows, dim, x.data(), words.data());
    const int tensors = 2 * s.layers;
    std::vector<double> settings(s.replicas * tensors * NUMBERS, 0.1), rates(steps, 1.0);
    std::vector<uint8_t> frozen(s.replicas * tensors);
    for (uint8_t& one : frozen) one = !below(4);
    std::vector<float> loss(s.replicas), correct(s.replicas), of_step(s.replicas * steps), written(rows * outputs);
    std::vector<int64_t> counted(s.replicas), diverged(s.replicas, -1), begins, ends;
    for (int r = 0; r < s.replicas; r++) {
        begins.push_back(below(steps));
        ends.push_back(begins[r] + below(steps - (int)begins[r] + 1));
    }
    const void* examples[] = {has_words ? words.data() : nullptr, has_words ? nullptr : x.data(), y.data(), s.has_weights ? weight.data() : nullptr,
                              writes ? written.data() : nullptr, nullptr};
    int64_t of_one_step[] = {s.batch * words_of(dim), s.batch * dim, s.batch * targets, s.batch, s.batch * outputs, s.batch};
    std::vector<int64_t> strides;
    for (int64_t one : of_one_step) strides.push_back(steps * one);
    if (SVL_SHALLOW == 2 && below(2)) of_one_step[0] = 0;
    Job job = {};
    job.replicas = s.replicas, job.layers = s.layers, job.loss = s.loss, job.correct = below(3), job.threads = s.threads;
    job.steps = steps, job.batch = s.batch, job.has_signs = s.has_signs, job.has_words = has_words, job.dims = s.dims.data();
    job.kept = s.params.data(), job.kept_strides = s.strides.data(), job.class_weight = below(2) ? class_weight.data() : nullptr;
    job.examples = examples, job.strides = strides.data(), job.step_strides = of_one_step;
    job.numbers = settings.data(), job.rates = rates.data(), job.frozen = frozen.data();
    if (has_steps) job.begins = begins.data(), job.ends = ends.data();
    job.loss_sum = loss.data(), job.correct_sum = correct.data(), job.correct_of_step = below(2) ? of_step.data() : nullptr;
    job.counted = counted.data(), job.diverged_at = diverged.data();
    mlp_train(&job);
    mlp_scores(&job);
    // The same by a source: parity's of words, or a single-index model's of numbers.
    if (outputs > 1 || s.loss == CROSS_ENTROPY || dim > 128 || SVL_SHALLOW == 2) return;
    const std::vector<int64_t> keys(2 * s.replicas, 12345), counters(rows, (int64_t)1 << 61);
    const std::vector<uint32_t> masks(4 * s.replicas, 21);
    const auto teachers = numbers(s.replicas * dim), noise = numbers(s.replicas);
    const Parity parity{keys.data(), masks.data(), dim};
    const SingleIndex single_index{keys.data(), keys.data(), teachers.data(), below(2) ? noise.data() : nullptr, dim, below(8)};
    job.source = s.has_signs ? Source{parity_make, &parity} : Source{single_index_make, &single_index};
    job.has_words = s.has_signs;
    examples[0] = examples[1] = examples[2] = nullptr;
    examples[5] = counters.data();
    mlp_train(&job);
}
#elif defined(POPULATION)
static void call() {
    Shape p(0, 2);
    if (p.dims[0] < 2) return;
    const int low_dim = 1 + below(p.dims[0] - 1), high_dim = p.dims[0] - low_dim, low_rows = 1 + below(200), high_rows = 1 + below(40);
    const auto low = numbers(low_rows * low_dim), high = numbers(high_rows * high_dim), targets = numbers((int64_t)p.replicas * low_rows * high_rows, true);
    std::vector<float> population(targets.size()), sums(p.replicas * p.total);
    mlp_population_gradients(p.replicas, p.layers, p.dims.data(), p.loss, p.threads, p.params.data(), p.strides.data(), sums.data(), high_rows, high_dim,
                             high.data(), low_rows, low_dim, low.data(), targets.data(), population.data());
}
#else
static void call() {
    const Shape s(0);
    const int64_t rows = (int64_t)s.replicas * s.batch;
    const auto x = numbers(rows * s.dims[0], s.has_signs), y = numbers(rows, true), weight = numbers(rows);
    std::vector<float> outputs(rows), gradients(s.replicas * s.total);
    mlp_gradients(s.replicas, s.layers, s.dims.data(), s.loss, s.threads, s.params.data(), s.strides.data(), gradients.data(), s.batch, s.has_signs,
                  x.data(), y.data(), s.has_weights ? weight.data() : nullptr, outputs.data());
    mlp_outputs(s.replicas, s.layers, s.dims.data(), s.loss, s.threads, s.params.data(), s.strides.data(), nullptr, s.batch, s.has_signs, x.data(),
                outputs.data());
}
#endif

int main(int, char** arguments) {
    for (int i = 0; i < atoi(arguments[1]); i++) call();
    printf("done\n");
}
