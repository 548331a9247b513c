// Training of any network: gradients by network.h, and updates of the parameters where they lie. The interface is ShallowSigns'.

#pragma once

#include "examples.h"
#include "network.h"
#include "update.h"

template <int ACTIVATION, int RULE>
struct General {
    Network<ACTIVATION> network;
    std::vector<const float*> params;
    std::vector<Kept<RULE>> tensors;
    Floats gradient, part;
    Floats decoded;  // a strip's inputs, where a network without hidden layers has signs as bits

    Made made;

    General(const std::vector<int>& dims, const float* const* params, bool has_signs, bool has_words, bool has_source, const float* class_weight)
        : network(dims, params, has_signs), params(2 * (dims.size() - 1)), gradient(network.total), part(network.total),
          decoded(has_words && !network.hidden ? STRIP * dims[0] : 0), made(has_source, has_words, dims[0]) {
        network.class_weight = class_weight;
    }

    void begin(const Kept<RULE>* own) {
        tensors.assign(own, own + params.size());
        for (size_t p = 0; p < tensors.size(); p++) params[p] = own[p][0];
    }

    void end(const Kept<RULE>*) const {}

    float gradients(int batch, const Examples& examples, int loss, Score& score) {
        for (int first = 0; first < batch; first += SEGMENT) {
            network.begin(params.data());
            for (int b = first; b < std::min(batch, first + SEGMENT); b += STRIP) {
                const int count = std::min(STRIP, batch - b);
                const Examples strip = made(count, examples.from(b, network.dims[0], targets_of(loss, network.dims.back()), network.dims.back()));
                const float* inputs = forward(count, strip);
                if (strip.outputs) network.copy_outputs(count, strip.outputs);
                network.backward(count, inputs, loss, strip.y, strip.weight, examples.uniform, &score);
            }
            network.end(first ? part.data() : gradient.data());
            for (int64_t i = 0; first && i < network.total; i++) gradient[i] += part[i];
        }
        return 0.0f;
    }

    void score(int count, const Examples& examples, int loss, Score& score) {
        network.begin(params.data());
        for (int b = 0; b < count; b += STRIP) {
            const int part = std::min(STRIP, count - b);
            const Examples strip = examples.from(b, network.dims[0], targets_of(loss, network.dims.back()), network.dims.back());
            forward(part, strip);
            if (strip.outputs) network.copy_outputs(part, strip.outputs);
            network.score(part, loss, strip.y, score);
        }
    }

    void apply(const Update<RULE>* const* rules, float) {
        const auto& dims = network.dims;
        for (size_t p = 0; p < tensors.size(); p++) {
            if (!rules[p]) continue;
            const int64_t size = (int64_t)dims[p / 2 + 1] * (p % 2 ? 1 : dims[p / 2]);
            update(*rules[p], tensors[p][0], tensors[p][0] + size, &gradient[network.offset[p]], tensors[p].data() + 1);
        }
    }

  private:
    // Returns the inputs, where the backward pass needs them.
    const float* forward(int count, const Examples& strip) {
        const float* inputs = strip.x;
        if (decoded.size()) {
            decode(count, network.dims[0], strip.words, decoded.data());
            inputs = decoded.data();
        }
        if (strip.words && network.signs) network.forward(count, strip.words);
        else network.forward(count, inputs);
        return inputs;
    }
};
