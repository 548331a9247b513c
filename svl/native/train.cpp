// Optimisation steps of R multi-layer perceptrons with one output, several in one call, so that a replica's parameters and optimizer
// states stay in the cache from one step to the next.

#include <atomic>

#include "network.h"
#include "shallow_signs.h"

constexpr int SEGMENT = 2048;  // examples whose gradients are summed up apart, as in mlp.cpp: a bound on rounding

// The gradients of any network.
template <int ACTIVATION>
struct Gradients {
    Network<ACTIVATION> network;
    std::vector<const float*> params;
    Floats gradient, part;
    Floats decoded;  // a strip's inputs, where a network without hidden layers has signs

    Gradients(const std::vector<int>& dims, const float* const* params, bool has_signs)
        : network(dims, params, has_signs), params(2 * (dims.size() - 1)), gradient(network.total), part(network.total),
          decoded(has_signs && !network.hidden ? STRIP * dims[0] : 0) {}

    float gradients(int batch, const uint32_t* words, const float* x, int loss, const float* y, const float* weight, float uniform, Score& score) {
        const int dim = network.dims[0];
        for (int first = 0; first < batch; first += SEGMENT) {
            network.begin(params.data());
            for (int b = first; b < std::min(batch, first + SEGMENT); b += STRIP) {
                const int count = std::min(STRIP, batch - b);
                const float* inputs = words ? decoded.data() : x + (int64_t)b * dim;
                const uint32_t* encoded = words ? words + (int64_t)b * words_of(dim) : nullptr;
                if (decoded.size()) decode(count, dim, encoded, decoded.data());
                if (network.signs) network.forward(count, encoded);
                else network.forward(count, inputs);
                network.backward(count, inputs, loss, y + b, weight ? weight + b : nullptr, uniform, &score);
            }
            network.end(first ? part.data() : gradient.data());
            for (int64_t i = 0; first && i < network.total; i++) gradient[i] += part[i];
        }
        return 0.0f;
    }

    void score(int count, const uint32_t* words, const float* x, int loss, const float* y, Score& score) {
        network.begin(params.data());
        const int dim = network.dims[0];
        for (int b = 0; b < count; b += STRIP) {
            const int part = std::min(STRIP, count - b);
            const uint32_t* encoded = words ? words + (int64_t)b * words_of(dim) : nullptr;
            if (decoded.size()) decode(part, dim, encoded, decoded.data());
            if (network.signs) network.forward(part, encoded);
            else network.forward(part, words ? decoded.data() : x + (int64_t)b * dim);
            slopes_of_loss(part, loss, network.f, y + b, nullptr, 1.0f, network.d, &score);
        }
    }
};

// The interface of ShallowSigns for any network.
template <int ACTIVATION, int RULE>
struct General : Gradients<ACTIVATION> {
    std::vector<Kept<RULE>> tensors;

    using Gradients<ACTIVATION>::Gradients;

    void begin(const Kept<RULE>* own) {
        tensors.assign(own, own + this->params.size());
        for (size_t p = 0; p < tensors.size(); p++) this->params[p] = own[p][0];
    }

    void end(const Kept<RULE>*) const {}

    void apply(const Update<RULE>* const* rules, float) {
        const auto& dims = this->network.dims;
        for (size_t p = 0; p < tensors.size(); p++) {
            if (!rules[p]) continue;
            const int64_t size = (int64_t)dims[p / 2 + 1] * (p % 2 ? 1 : dims[p / 2]);
            update(*rules[p], tensors[p][0], tensors[p][0] + size, &this->gradient[this->network.offset[p]], tensors[p].data() + 1);
        }
    }
};

// The rows of one replica begin at data + replica * stride.
template <class Number>
struct Rows {
    Number* data;
    int64_t stride;

    Number* of(int64_t replica) const { return data ? data + replica * stride : nullptr; }
};

struct Call {
    int64_t replicas;
    std::vector<int> dims;
    int loss, threads, tensors, steps, batch;
    int64_t first_step;
    const Rows<float>* kept;  // [tensor, parameter and states]
    const double *numbers, *rates;
    const uint8_t* frozen;
    Rows<const uint32_t> words;
    Rows<const float> x, y, weight;
    float *loss_sum, *correct_sum;
    int64_t *counted, *diverged_at;
};

// One replica's steps until its loss is not finite.
template <int RULE, class Model>
static void train(const Call& call, int64_t r, Model& model, std::vector<Corrections>& corrections) {
    constexpr int KEPT = 1 + STATES<RULE>;  // with the parameter
    if (call.diverged_at[r] >= 0) return;
    std::vector<Kept<RULE>> own(call.tensors);
    std::vector<Update<RULE>> made;
    made.reserve(call.tensors);
    std::vector<const Update<RULE>*> rules(call.tensors);
    for (int p = 0; p < call.tensors; p++) {
        for (int part = 0; part < KEPT; part++) own[p][part] = call.kept[p * KEPT + part].of(r);
        const double* numbers = call.numbers + (r * call.tensors + p) * NUMBERS;
        if (RULE == ADAMW) corrections[p].begin(numbers[1], numbers[2], call.first_step, call.steps);
    }
    model.begin(own.data());
    const int64_t size = call.batch, row = size * words_of(call.dims[0]), x_row = size * call.dims[0];
    const uint32_t* words = call.words.of(r);
    const float *x = call.x.of(r), *y = call.y.of(r), *weight = call.weight.of(r);
    for (int s = 0; s < call.steps; s++) {
        Score score;
        const float sum_of_d = model.gradients(call.batch, words ? words + s * row : nullptr, x ? x + s * x_row : nullptr, call.loss, y + s * size,
                                               weight ? weight + s * size : nullptr, 1.0f / call.batch, score);
        const float loss = total(score.loss);
        if (!std::isfinite(loss)) {
            call.diverged_at[r] = call.first_step + s;
            break;
        }
        made.clear();
        for (int p = 0; p < call.tensors; p++) {
            const int64_t at = r * call.tensors + p;
            made.emplace_back(call.numbers + at * NUMBERS, call.rates[s], corrections[p], s);
            rules[p] = own[p][0] && !call.frozen[at] ? &made.back() : nullptr;
        }
        model.apply(rules.data(), sum_of_d);
        call.loss_sum[r] += loss;
        call.correct_sum[r] += total(score.correct);
        call.counted[r]++;
    }
    model.end(own.data());
}

// Replicas are the threads' items: each one's numbers are the same on any number of threads.
template <int RULE, class Make>
static void train_all(const Call& call, Make make) {
    std::atomic<int64_t> next{0};
    const int most = (int)std::min<int64_t>(call.threads, call.replicas);
#pragma omp parallel num_threads(most) if (most > 1)
    {
        auto model = make();
        std::vector<Corrections> corrections(call.tensors);
        for (int64_t r; (r = next++) < call.replicas;) train<RULE>(call, r, model, corrections);
    }
}

// Sums over one replica's examples, to loss_sum and correct_sum.
template <class Model>
static void score(const Call& call, int64_t r, Model& model) {
    std::vector<Kept<SGD>> own(call.tensors);
    for (int p = 0; p < call.tensors; p++) own[p] = {call.kept[p * (1 + STATES<SGD>)].of(r), nullptr};
    model.begin(own.data());
    const uint32_t* words = call.words.of(r);
    const float *x = call.x.of(r), *y = call.y.of(r);
    double loss = 0.0, correct = 0.0;
    for (int first = 0; first < call.batch; first += SEGMENT) {
        Score part;
        model.score(std::min(SEGMENT, call.batch - first), words ? words + (int64_t)first * words_of(call.dims[0]) : nullptr,
                    x ? x + (int64_t)first * call.dims[0] : nullptr, call.loss, y + first, part);
        loss += total(part.loss);
        correct += total(part.correct);
    }
    call.loss_sum[r] = (float)loss;
    call.correct_sum[r] = (float)correct;
}

// The same for all replicas.
template <class Make>
static void score_all(const Call& call, Make make) {
    std::atomic<int64_t> next{0};
    const int most = (int)std::min<int64_t>(call.threads, call.replicas);
#pragma omp parallel num_threads(most) if (most > 1)
    {
        auto model = make();
        for (int64_t r; (r = next++) < call.replicas;) score(call, r, model);
    }
}

template <int ACTIVATION>
static void score_activation(const Call& call, int) {
    std::vector<const float*> params;
    for (int p = 0; p < call.tensors; p++) params.push_back(call.kept[p * (1 + STATES<SGD>)].data);
    if (ACTIVATION == RELU && call.dims.size() == 3 && call.words.data) score_all(call, [&] { return ShallowSigns<SGD>(call.dims, params.data()); });
    else score_all(call, [&] { return General<ACTIVATION, SGD>(call.dims, params.data(), call.words.data); });
}

template <int ACTIVATION, int RULE>
static void train_rule(const Call& call) {
    std::vector<const float*> params;
    for (int p = 0; p < call.tensors; p++) params.push_back(call.kept[p * (1 + STATES<RULE>)].data);
    if (ACTIVATION == RELU && call.dims.size() == 3 && call.words.data)
        train_all<RULE>(call, [&] { return ShallowSigns<RULE>(call.dims, params.data()); });
    else train_all<RULE>(call, [&] { return General<ACTIVATION, RULE>(call.dims, params.data(), call.words.data); });
}

template <int ACTIVATION>
static void train_activation(const Call& call, int rule) {
    if (rule == SGD) train_rule<ACTIVATION, SGD>(call);
    else train_rule<ACTIVATION, ADAMW>(call);
}

// Steps first_step, ..., first_step + steps - 1 of all replicas, in place. A replica whose loss is not finite keeps the parameters and
// states that it has then; its diverged_at becomes that step, and where this is not negative the replica is left alone.
//   dims      layers + 1 widths, the input's first, the last is 1
//   kept      2 layers tensors, weight [replica, out, in] and bias [replica, out] (null without biases) of every layer, each followed
//             by its optimizer states, of the same shape; strides are the numbers from one replica to the next of each
//   numbers   [replica, 2 layers, NUMBERS] of the rule, see update.h
//   rates     [steps] factors on the learning rates
//   frozen    [replica, 2 layers] whether the tensor stays as it is
//   batches   words [replica, step, batch, words_of(dims[0])] of signs or null, x [replica, step, batch, dims[0]] or null, y [replica,
//             step, batch], weight [replica, step, batch] or null for 1 / batch each; strides as above
//   loss_sum, correct_sum, counted, diverged_at   [replica]; the first three are added to at each step
extern "C" void mlp_train(int replicas, int layers, const int32_t* dims, int activation, int loss, int rule, int threads, float* const* kept,
                          const int64_t* strides, const double* numbers, const uint8_t* frozen, int64_t first_step, int steps, int batch,
                          const double* rates, const void* const* batches, const int64_t* batch_strides, float* loss_sum, float* correct_sum,
                          int64_t* counted, int64_t* diverged_at) {
    const int tensors = 2 * layers;
    std::vector<Rows<float>> rows;
    for (int i = 0; i < tensors * (rule == SGD ? 1 + STATES<SGD> : 1 + STATES<ADAMW>); i++) rows.push_back({kept[i], strides[i]});
    const auto floats = [&](int i) { return Rows<const float>{(const float*)batches[i], batch_strides[i]}; };
    const Call call{replicas, std::vector<int>(dims, dims + layers + 1), loss, threads, tensors, steps, batch, first_step, rows.data(), numbers, rates,
                    frozen, {(const uint32_t*)batches[0], batch_strides[0]}, floats(1), floats(2), floats(3), loss_sum, correct_sum, counted, diverged_at};
    constexpr decltype(&train_activation<RELU>) functions[] = {train_activation<RELU>, train_activation<SIGMOID>, train_activation<QUADRATIC>,
                                                               train_activation<GELU>};
    functions[activation](call, rule);
}

// Sums of losses, and counts of outputs that have the sign of their target, over examples words [replica, count, words_of(dims[0])] or x
// [replica, count, dims[0]] with targets y [replica, count]; loss_sum and correct_sum [replica] are written. kept is as for mlp_train with SGD,
// whose states may be null.
extern "C" void mlp_scores(int replicas, int layers, const int32_t* dims, int activation, int loss, int threads, float* const* kept, const int64_t* strides,
                           int count, const void* const* examples, const int64_t* example_strides, float* loss_sum, float* correct_sum) {
    std::vector<Rows<float>> rows;
    for (int i = 0; i < 2 * layers * (1 + STATES<SGD>); i++) rows.push_back({kept[i], strides[i]});
    const auto floats = [&](int i) { return Rows<const float>{(const float*)examples[i], example_strides[i]}; };
    const Call call{replicas, std::vector<int>(dims, dims + layers + 1), loss, threads, 2 * layers, 1, count, 0, rows.data(), nullptr, nullptr, nullptr,
                    {(const uint32_t*)examples[0], example_strides[0]}, floats(1), floats(2), floats(2), loss_sum, correct_sum, nullptr, nullptr};
    constexpr decltype(&score_activation<RELU>) functions[] = {score_activation<RELU>, score_activation<SIGMOID>, score_activation<QUADRATIC>,
                                                               score_activation<GELU>};
    functions[activation](call, 0);
}

// Words [count, words_of(dim)] of inputs x [count, dim] that are all -1 or 1.
extern "C" void encode_signs(int64_t count, int dim, const float* x, uint32_t* words) { encode(count, dim, x, words); }
