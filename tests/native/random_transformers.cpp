// Calls transformer.cpp's function on random shapes, with every buffer exactly as large as documented; built with sanitizers.

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

static void call() {
    const int heads = 1 + below(3), width = heads * (1 + below(12)), vocabulary = below(2) ? 0 : 1 + below(9);
    Shape s{1 + below(12), vocabulary ? 1 : 1 + below(3), vocabulary, width,    1 + below(2), heads, 1 + below(40), below(2), below(3), below(3),
                  1 + below(9), 0};
    s.has_signs = !vocabulary && s.token == 1 && below(2);
    const int replicas = 1 + below(3), batch = 1 + below(below(4) ? 40 : 150), threads = 1 + below(3);
    const int losses[] = {LOGISTIC, HINGE, SQUARED, CORRELATION, CLASSES, DERIVATIVE}, loss = losses[s.outputs > 1 ? 4 + below(2) : below(6)];
    const int64_t rows = (int64_t)replicas * batch * (s.readout == ALL ? s.positions : 1), tokens = (int64_t)replicas * batch * s.positions;
    const Parameters at(s);
    std::vector<std::vector<float>> buffers;
    std::vector<const float*> params;
    std::vector<int64_t> strides;
    for (size_t i = 0; i < at.offset.size(); i++) {
        strides.push_back((i + 1 < at.offset.size() ? at.offset[i + 1] : at.total) - at.offset[i]);
        buffers.push_back(numbers(replicas * strides.back()));
        params.push_back(buffers.back().data());
    }
    const auto x = numbers(vocabulary ? 0 : tokens * s.token, s.has_signs), weight = numbers(rows);
    std::vector<int64_t> words(vocabulary ? tokens : 0);
    for (int64_t& word : words) word = below(vocabulary + 2) - 1;
    auto y = numbers(loss == DERIVATIVE ? rows * s.outputs : rows);
    for (float& value : y)
        if (loss == CLASSES) value = (float)below(s.outputs);
    std::vector<float> outputs(rows * s.outputs), gradients(replicas * at.total);
    const void* in = vocabulary ? (const void*)words.data() : x.data();
    const bool has_weights = s.readout == ALL || below(2);
    transformer_gradients(replicas, (const int32_t*)&s, threads, loss, batch, params.data(), strides.data(), gradients.data(), in, y.data(),
                          loss != DERIVATIVE && has_weights ? weight.data() : nullptr, outputs.data());
    transformer_gradients(replicas, (const int32_t*)&s, threads, LOGISTIC, batch, params.data(), strides.data(), nullptr, in, nullptr, nullptr, outputs.data());
}

int main(int, char** arguments) {
    for (int i = 0; i < atoi(arguments[1]); i++) call();
    printf("done\n");
}
