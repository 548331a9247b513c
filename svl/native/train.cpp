// Optimisation steps of R multi-layer perceptrons, several in one call, so that a replica's parameters and optimizer states stay in the
// cache from one step to the next. Each library has the code for one activation SVL_ACTIVATION and one optimizer SVL_RULE. SVL_SHALLOW is 1
// for networks with one output and one hidden ReLU layer on signs, 2 for these on the same signs as bits at each step, and 0 for all others.

#include <atomic>

#if SVL_SHALLOW == 2
#include "shallow_set.h"
typedef ShallowSet<SVL_RULE> Model;
#elif SVL_SHALLOW
#include "shallow_signs.h"
typedef ShallowSigns<SVL_RULE> Model;
#else
#include "general.h"
typedef General<SVL_ACTIVATION, SVL_RULE> Model;
#endif

constexpr int RULE = SVL_RULE;
constexpr int KEPT = 1 + STATES<RULE>;  // tensors of a parameter, with its optimizer states

enum Correct { NOT_COUNTED = 0, COUNTED = 1, UNDEFINED = 2 };

// What both functions are given, mirrored by svl/native/train.py. Strides count numbers, from one replica to the next and from one step to
// the next.
struct Job {
    int32_t replicas, layers, loss, correct, threads, steps, batch, has_signs, has_words;
    Source source;                   // of examples, whose function may be null
    const int32_t* dims;             // layers + 1 widths, the input's first
    float* const* kept;              // 2 layers parameters, weight [replica, out, in] and bias [replica, out] (null without biases) of every
    const int64_t* kept_strides;     // layer, each followed by its optimizer states, of the same shape
    const float* class_weight;       // [outputs] of the cross-entropy, or null for ones
    const void* const* examples;     // words [replica, step, batch, words_of(dims[0])] of signs or null, x [replica, step, batch, dims[0]] or null,
    const int64_t* strides;          // y [replica, step, batch, targets], weight [replica, step, batch] or null for 1 / batch each, and null or
    const int64_t* step_strides;     // outputs [replica, step, batch, outputs] to be written, and null or
                                     // counters [replica, step, batch] for the source
    const double* numbers;           // [replica, 2 layers, NUMBERS] of the rule, see update.h
    const double* rates;             // [steps] factors on the learning rates
    const uint8_t* frozen;           // [replica, 2 layers] whether the tensor stays as it is
    int64_t first_step;              // number of the first step
    const int64_t *begins, *ends;    // [replica] a replica's own steps among these, or null for all
    float *loss_sum, *correct_sum;   // [replica]
    float* correct_of_step;          // [replica, steps] of the steps that were taken, or null
    int64_t *counted, *diverged_at;  // [replica]
};

// The rows of one replica and one step begin at data + replica * stride + step * step_stride.
template <class Number>
static Number* of(const Job& job, int part, int64_t replica, int64_t step) {
    Number* data = (Number*)job.examples[part];
    return data ? data + replica * job.strides[part] + step * job.step_strides[part] : nullptr;
}

static Examples examples_of(const Job& job, int64_t replica, int64_t step, float uniform) {
    return {of<const uint32_t>(job, 0, replica, step), of<const float>(job, 1, replica, step), of<const float>(job, 2, replica, step),
            of<const float>(job, 3, replica, step), uniform, of<float>(job, 4, replica, step), of<const int64_t>(job, 5, replica, step), &job.source, replica};
}

static float* kept(const Job& job, int64_t replica, int tensor, int part) {
    const int i = tensor * KEPT + part;
    return job.kept[i] ? job.kept[i] + replica * job.kept_strides[i] : nullptr;
}

// One replica's steps, which change nothing from the one on whose loss is not finite.
static void train(const Job& job, int64_t r, Model& model, std::vector<Corrections>& corrections) {
    const int begin = job.begins ? (int)job.begins[r] : 0, end = job.ends ? (int)job.ends[r] : job.steps, tensors = 2 * job.layers;
    bool is_alive = job.diverged_at[r] < 0;
    // What a strategy waits for is measured of all replicas.
    if (begin >= end || (!is_alive && !job.correct_of_step)) return;
    std::vector<Kept<RULE>> own(tensors);
    std::vector<Update<RULE>> made;
    made.reserve(tensors);
    std::vector<const Update<RULE>*> rules(tensors);
    for (int p = 0; p < tensors; p++) {
        for (int part = 0; part < KEPT; part++) own[p][part] = kept(job, r, p, part);
        const double* numbers = job.numbers + (r * tensors + p) * NUMBERS;
        if (RULE == ADAMW) corrections[p].begin(numbers[1], numbers[2], job.first_step, job.steps);
    }
    model.begin(own.data());
    for (int s = begin; s < end; s++) {
        Score score;
        const float sum_of_d = model.gradients(job.batch, examples_of(job, r, s, 1.0f / job.batch), job.loss, score);
        const float loss = total(score.loss), correct = job.correct == UNDEFINED ? NAN : total(score.correct);
        if (job.correct_of_step) job.correct_of_step[r * job.steps + s] = correct;
        if (is_alive && !std::isfinite(loss)) {
            job.diverged_at[r] = job.first_step + s;
            is_alive = false;
            if (!job.correct_of_step) break;
        }
        if (!is_alive) continue;
        made.clear();
        for (int p = 0; p < tensors; p++) {
            const int64_t at = r * tensors + p;
            made.emplace_back(job.numbers + at * NUMBERS, job.rates[s], corrections[p], s);
            rules[p] = own[p][0] && !job.frozen[at] ? &made.back() : nullptr;
        }
        model.apply(rules.data(), sum_of_d);
        job.loss_sum[r] += loss;
        if (job.correct != NOT_COUNTED) job.correct_sum[r] += correct;
        job.counted[r]++;
    }
    model.end(own.data());
}

// Sums over one replica's examples, to loss_sum and correct_sum.
static void score(const Job& job, int64_t r, Model& model, std::vector<Corrections>&) {
    std::vector<Kept<RULE>> own(2 * job.layers);
    for (size_t p = 0; p < own.size(); p++) {
        own[p].fill(nullptr);
        own[p][0] = kept(job, r, (int)p, 0);
    }
    model.begin(own.data());
    const Examples examples = examples_of(job, r, 0, 1.0f);
    const int outputs = job.dims[job.layers], targets = targets_of(job.loss, outputs);
    double loss = 0.0, correct = 0.0;
    for (int first = 0; first < job.batch; first += SEGMENT) {
        Score part;
        model.score(std::min(SEGMENT, job.batch - first), examples.from(first, job.dims[0], targets, outputs), job.loss, part);
        loss += total(part.loss);
        correct += total(part.correct);
    }
    job.loss_sum[r] = (float)loss;
    job.correct_sum[r] = job.correct == UNDEFINED ? NAN : (float)correct;
}

// Replicas are the threads' items: each one's numbers are the same on any number of threads.
template <class Work>
static void each_replica(const Job& job, Work work) {
    const std::vector<int> dims(job.dims, job.dims + job.layers + 1);
    std::vector<const float*> params;
    for (int p = 0; p < 2 * job.layers; p++) params.push_back(job.kept[p * KEPT]);
    std::atomic<int64_t> next{0};
    const int most = std::min(job.threads, job.replicas);
#pragma omp parallel num_threads(most) if (most > 1)
    {
        Model model(dims, params.data(), job.has_signs, job.has_words, job.source.make, job.class_weight);
        std::vector<Corrections> corrections(2 * job.layers);
        for (int64_t r; (r = next++) < job.replicas;) work(job, r, model, corrections);
    }
}

// Steps first_step, ..., first_step + steps - 1 of all replicas, in place. A replica whose loss is not finite keeps the parameters and states
// that it has then; its diverged_at becomes that step, and where this is not negative the replica is left alone. Loss, accuracy and number of
// the steps are added to loss_sum, correct_sum and counted.
extern "C" void mlp_train(const Job* job) { each_replica(*job, train); }

// Sums of losses, and counts of correct outputs, over the examples of the first step of all replicas, to loss_sum and correct_sum. The
// optimizer states, numbers, rates, frozen, counted and diverged_at are not looked at.
extern "C" void mlp_scores(const Job* job) { each_replica(*job, score); }
