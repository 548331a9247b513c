// Trains one network by the loop's library for a number of steps, so that a program that counts instructions can count a step's.
// Arguments: steps, layers, units of a hidden layer, coordinates, examples of a step, whether inputs are signs.

#include <cstdlib>

#include "../native/train.cpp"

// Numbers in (-1, 1), the same on every machine.
static float next() {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return (float)(int32_t)state / 2147483648.0f;
}

int main(int, char** arguments) {
    const int steps = atoi(arguments[1]), layers = atoi(arguments[2]), width = atoi(arguments[3]), dim = atoi(arguments[4]), batch = atoi(arguments[5]);
    const bool has_signs = atoi(arguments[6]);
    std::vector<int32_t> dims(layers + 1, width);
    dims[0] = dim, dims[layers] = 1;
    std::vector<std::vector<float>> buffers;
    for (int p = 0; p < 2 * layers; p++)
        for (int part = 0; part < KEPT; part++) {
            buffers.emplace_back((size_t)dims[p / 2 + 1] * (p % 2 ? 1 : dims[p / 2]));
            for (float& value : buffers.back()) value = part ? 0.0f : next() / std::sqrt((float)dims[p / 2]);
        }
    std::vector<float*> kept;
    for (auto& buffer : buffers) kept.push_back(buffer.data());
    const std::vector<int64_t> none(buffers.size());
    // The same batch at each step: making examples is not what is counted.
    std::vector<float> x((size_t)batch * dim), y(batch);
    for (float& value : x) value = has_signs ? (next() > 0 ? 1.0f : -1.0f) : next();
    for (float& value : y) value = next() > 0 ? 1.0f : -1.0f;
    std::vector<uint32_t> words((size_t)batch * words_of(dim));
    encode(batch, dim, x.data(), words.data());
    // In the order of the first coordinates, which are the words' last bits.
    const auto reversed = [](uint32_t word) {
        uint32_t bits = 0;
        for (int i = 0; i < WORD; i++) bits |= (word >> i & 1) << (WORD - 1 - i);
        return bits;
    };
    if (SVL_SHALLOW == 2) std::sort(words.begin(), words.end(), [&](uint32_t a, uint32_t b) { return reversed(a) < reversed(b); });
    std::vector<double> numbers;
    for (int p = 0; p < 2 * layers; p++)
        for (double number : {RULE == ADAMW ? 1e-3 : 0.1, RULE == ADAMW ? 0.9 : 0.0, RULE == ADAMW ? 0.999 : 0.0, 1e-8, 0.01}) numbers.push_back(number);
    const std::vector<uint8_t> frozen(2 * layers);
    const std::vector<double> rates(steps, 1.0);
    const void* examples[] = {has_signs ? words.data() : nullptr, has_signs ? nullptr : x.data(), y.data(), nullptr, nullptr, nullptr};
    const int64_t no_strides[6] = {};
    float loss = 0.0f, correct = 0.0f;
    int64_t counted = 0, diverged_at = -1;
    Job job = {};
    job.replicas = 1, job.layers = layers, job.loss = LOGISTIC, job.correct = COUNTED, job.threads = 1, job.steps = steps, job.batch = batch;
    job.has_signs = job.has_words = has_signs, job.dims = dims.data(), job.kept = kept.data(), job.kept_strides = none.data();
    job.examples = examples, job.strides = no_strides, job.step_strides = no_strides, job.numbers = numbers.data(), job.rates = rates.data();
    job.frozen = frozen.data(), job.loss_sum = &loss, job.correct_sum = &correct, job.counted = &counted, job.diverged_at = &diverged_at;
    mlp_train(&job);
    return counted == steps ? 0 : 1;
}
