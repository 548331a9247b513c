// Outputs and loss gradients of R multi-layer perceptrons, each on its own batch, one replica at a time so that weights,
// activations and their derivatives stay in the first-level cache. Portable GNU vector extensions: the compiler maps the
// 16-lane vectors to AVX-512, AVX2 or NEON.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

typedef float vec __attribute__((vector_size(64)));
typedef int32_t ivec __attribute__((vector_size(64)));
constexpr int LANES = 16;

enum Activation { RELU = 0, SIGMOID = 1, QUADRATIC = 2 };
enum Loss { LOGISTIC = 0, HINGE = 1, SQUARED = 2, CORRELATION = 3 };

static inline vec load(const float* p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store(float* p, vec v) { memcpy(p, &v, sizeof v); }

static inline vec splat(float x) { return vec{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }

// Sum of the lanes, pairwise: four dependent additions instead of fifteen.
static inline float total(vec v) {
    v += __builtin_shuffle(v, ivec{8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7});
    v += __builtin_shuffle(v, ivec{4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11});
    v += __builtin_shuffle(v, ivec{2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13});
    return v[0] + v[1];
}

// Cephes' expf: 2^n times a polynomial on [-log(2)/2, log(2)/2]; relative error below 2e-7. NaN stays NaN.
static inline vec exp_(vec x) {
    vec bounded = x > splat(88.0f) ? splat(88.0f) : x;
    bounded = bounded < splat(-87.0f) ? splat(-87.0f) : bounded;
    const vec magic = splat(12582912.0f);  // adding and subtracting 1.5 * 2^23 rounds to the nearest integer
    vec n = (bounded * 1.44269504f + magic) - magic;
    vec r = bounded - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    ivec exponent = (__builtin_convertvector(n, ivec) + 127) << 23;
    return x != x ? x : p * (vec)exponent;
}

static inline vec sigmoid(vec z) { return 1.0f / (1.0f + exp_(-z)); }

enum { NOTHING = -1 };  // no activation

template <int ACTIVATION>
static inline vec activated(vec v) {
    if (ACTIVATION == RELU) return v > vec{} ? v : (v != v ? v : vec{});
    if (ACTIVATION == SIGMOID) return sigmoid(v);
    if (ACTIVATION == QUADRATIC) return 0.5f * v * v;
    return v;
}

// The activation's derivative, from its value and, for the quadratic one, from what it was applied to.
template <int ACTIVATION>
static inline vec slope(vec after, const float* before) {
    if (ACTIVATION == RELU) return after > vec{} ? splat(1.0f) : vec{};
    if (ACTIVATION == SIGMOID) return after * (1.0f - after);
    return load(before);
}

// C[m, 0 : 16 COLS] = activation(start + sum_k A(m, k) B[k, :]), where A(m, k) = a[m * am + k * ak].
template <int ROWS, int COLS, int ACTIVATION>
static inline void tile(int depth, const float* a, int am, int ak, const float* b, int ldb, const float* start, float* c, int ldc, float* before) {
    vec acc[ROWS][COLS];
    for (int r = 0; r < ROWS; r++)
        for (int q = 0; q < COLS; q++) acc[r][q] = start ? load(start + q * LANES) : vec{};
    for (int k = 0; k < depth; k++) {
        vec row[COLS];
        for (int q = 0; q < COLS; q++) row[q] = load(b + (int64_t)k * ldb + q * LANES);
        for (int r = 0; r < ROWS; r++) {
            vec scalar = splat(a[(int64_t)r * am + (int64_t)k * ak]);
            for (int q = 0; q < COLS; q++) acc[r][q] += scalar * row[q];
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int q = 0; q < COLS; q++) {
            const int64_t at = (int64_t)r * ldc + q * LANES;
            if (ACTIVATION == QUADRATIC) store(before + at, acc[r][q]);
            store(c + at, activated<ACTIVATION>(acc[r][q]));
        }
}

template <int COLS, int ACTIVATION>
static void columns(int m, int depth, const float* a, int am, int ak, const float* b, int ldb, const float* start, float* c, float* before) {
    int row = 0;
#define ROWS_OF(COUNT)                                                                                                                  \
    for (; row + COUNT <= m; row += COUNT)                                                                                              \
        tile<COUNT, COLS, ACTIVATION>(depth, a + (int64_t)row * am, am, ak, b, ldb, start, c + (int64_t)row * ldb, ldb,                 \
                                      before ? before + (int64_t)row * ldb : nullptr);
    ROWS_OF(10) ROWS_OF(8) ROWS_OF(4) ROWS_OF(1)
#undef ROWS_OF
}

// C [m, n] = activation(start[n] + A [m, depth] B [depth, n]) with n a multiple of 16; start may be null for zeros.
template <int ACTIVATION>
static void product(int m, int n, int depth, const float* a, int am, int ak, const float* b, const float* start, float* c,
                    float* before = nullptr) {
    int q = 0;
    for (; q + 2 * LANES <= n; q += 2 * LANES)
        columns<2, ACTIVATION>(m, depth, a, am, ak, b + q, n, start ? start + q : nullptr, c + q, before ? before + q : nullptr);
    for (; q < n; q += LANES)
        columns<1, ACTIVATION>(m, depth, a, am, ak, b + q, n, start ? start + q : nullptr, c + q, before ? before + q : nullptr);
}

// to [cols, padded] = from [rows, cols] transposed; the padding is left alone.
static void transpose(const float* from, int rows, int cols, float* to, int padded) {
    for (int c = 0; c < cols; c++)
        for (int r = 0; r < rows; r++) to[c * padded + r] = from[r * cols + c];
}

static int pad(int n) { return (n + LANES - 1) / LANES * LANES; }

static inline vec derivative(int loss, vec f, vec y) {
    if (loss == LOGISTIC) return -y * sigmoid(-y * f);
    if (loss == HINGE) return y * f < splat(1.0f) ? -y : vec{};
    if (loss == SQUARED) return 2.0f * (f - y);
    return -y;
}

// One replica at a time. The buffers are those of one call.
template <int ACTIVATION>
struct Network {
    const int batch, hidden;
    const std::vector<int> dims;
    std::vector<int> width;  // dims, padded to whole vectors
    std::vector<int64_t> offset;  // of each weight and bias in one replica's gradient
    int64_t total = 0;
    std::vector<std::vector<float>> after, before, flipped, start;  // of each hidden layer
    std::vector<float> last, f, d, scratch, padded, delta, below;

    Network(int batch, std::vector<int> dims_, const float* const* params)
        : batch(batch), hidden((int)dims_.size() - 2), dims(std::move(dims_)), after(hidden), before(hidden), flipped(hidden), start(hidden) {
        int64_t widest = 0, matrix = 0;
        for (int n : dims) width.push_back(pad(n));
        for (int l = 0; l <= hidden; l++) {
            offset.push_back(total);
            total += (int64_t)dims[l] * dims[l + 1];
            offset.push_back(total);
            if (params[2 * l + 1]) total += dims[l + 1];
            widest = std::max<int64_t>(widest, std::max(width[l], width[l + 1]));
            matrix = std::max(matrix, (int64_t)width[l] * width[l + 1]);
        }
        for (int l = 0; l < hidden; l++) {
            after[l].resize((int64_t)batch * width[l + 1]);
            if (ACTIVATION == QUADRATIC) before[l].resize((int64_t)batch * width[l + 1]);
            flipped[l].assign((int64_t)dims[l] * width[l + 1], 0.0f);
            start[l].assign(width[l + 1], 0.0f);
        }
        last.assign(widest, 0.0f);
        f.assign(pad(batch), 0.0f);
        d.assign(pad(batch), 0.0f);
        scratch.resize(matrix);
        padded.assign(hidden > 1 ? matrix : 0, 0.0f);
        delta.resize((int64_t)batch * widest);
        below.resize(hidden > 1 ? (int64_t)batch * widest : 0);
    }

    void forward(const float* x, const float* const* params) {
        const float* a = x;
        int lda = dims[0];
        for (int l = 0; l < hidden; l++) {
            const int out = dims[l + 1], n = width[l + 1];
            transpose(params[2 * l], out, dims[l], flipped[l].data(), n);
            if (params[2 * l + 1]) memcpy(start[l].data(), params[2 * l + 1], out * sizeof(float));
            product<ACTIVATION>(batch, n, dims[l], a, lda, 1, flipped[l].data(), start[l].data(), after[l].data(), before[l].data());
            a = after[l].data();
            lda = n;
        }
        const int fan_in = dims[hidden], whole = hidden ? lda : fan_in / LANES * LANES;
        memcpy(last.data(), params[2 * hidden], fan_in * sizeof(float));
        const float bias = params[2 * hidden + 1] ? *params[2 * hidden + 1] : 0.0f;
        for (int b = 0; b < batch; b++) {
            const float* row = a + (int64_t)b * lda;
            vec sum = {};
            for (int j = 0; j < whole; j += LANES) sum += load(row + j) * load(last.data() + j);
            float dot = bias + ::total(sum);
            for (int j = whole; j < fan_in; j++) dot += row[j] * last[j];
            f[b] = dot;
        }
    }

    // d[b]: derivative of the step's loss with respect to output b.
    void loss_slope(int loss, const float* y, const float* weight) {
        for (int b = 0; b < batch; b += LANES) {
            vec target = {}, w = splat(1.0f / batch);
            const int count = std::min(LANES, batch - b);
            memcpy(&target, y + b, count * sizeof(float));
            if (weight) memcpy(&w, weight + b, count * sizeof(float));
            store(d.data() + b, w * derivative(loss, load(f.data() + b), target));
        }
    }

    void backward(const float* x, const float* const* params, float* g) {
        if (params[2 * hidden + 1]) {
            float sum = 0.0f;
            for (int b = 0; b < batch; b++) sum += d[b];
            g[offset[2 * hidden + 1]] = sum;
        }
        if (!hidden) {
            for (int i = 0; i < dims[0]; i++) g[i] = 0.0f;
            for (int b = 0; b < batch; b++)
                for (int i = 0; i < dims[0]; i++) g[i] += d[b] * x[(int64_t)b * dims[0] + i];
        }
        for (int l = hidden - 1; l >= 0; l--) {
            const int out = dims[l + 1], n = width[l + 1];
            float* bias_gradient = params[2 * l + 1] ? g + offset[2 * l + 1] : nullptr;
            // delta: derivative with respect to this layer's pre-activations, a strip of 16 units at a time.
            for (int j = 0; j < n; j += LANES) {
                vec bias_sum = {}, last_sum = {};
                const vec outgoing = load(last.data() + j);
                for (int b = 0; b < batch; b++) {
                    const int64_t at = (int64_t)b * n + j;
                    const vec value = load(after[l].data() + at), s = splat(d[b]);
                    vec v = l == hidden - 1 ? s * outgoing : load(below.data() + at);
                    v *= slope<ACTIVATION>(value, before[l].data() + at);
                    store(delta.data() + at, v);
                    bias_sum += v;
                    last_sum += s * value;
                }
                const int count = std::min(LANES, out - j);
                if (bias_gradient) memcpy(bias_gradient + j, &bias_sum, count * sizeof(float));
                if (l == hidden - 1) memcpy(g + offset[2 * hidden] + j, &last_sum, count * sizeof(float));
            }
            const float* activations = l ? after[l - 1].data() : x;
            product<NOTHING>(dims[l], n, batch, activations, 1, l ? width[l] : dims[0], delta.data(), nullptr, scratch.data());
            for (int j = 0; j < out; j++)
                for (int i = 0; i < dims[l]; i++) g[offset[2 * l] + (int64_t)j * dims[l] + i] = scratch[(int64_t)i * n + j];
            if (l) {
                const float* w = params[2 * l];
                for (int j = 0; j < out; j++) memcpy(&padded[(int64_t)j * width[l]], w + (int64_t)j * dims[l], dims[l] * sizeof(float));
                product<NOTHING>(batch, width[l], out, delta.data(), n, 1, padded.data(), nullptr, below.data());
            }
        }
    }
};

template <int ACTIVATION>
static void run(int64_t replicas, int batch, int layers, const int32_t* dims, int loss, const float* x, const float* y, const float* weight,
                const float* const* params, const int64_t* strides, float* outputs, float* grads) {
    Network<ACTIVATION> network(batch, std::vector<int>(dims, dims + layers + 1), params);
    std::vector<const float*> own(2 * layers);
    for (int64_t r = 0; r < replicas; r++) {
        const float* input = x + r * batch * dims[0];
        for (int p = 0; p < 2 * layers; p++) own[p] = params[p] ? params[p] + r * strides[p] : nullptr;
        network.forward(input, own.data());
        memcpy(outputs + r * batch, network.f.data(), batch * sizeof(float));
        network.loss_slope(loss, y + r * batch, weight ? weight + r * batch : nullptr);
        network.backward(input, own.data(), grads + r * network.total);
    }
}

// Hidden layers have any width; the last layer has one output.
//   dims      layers + 1 widths, the input's first, the last is 1
//   x         [replica, batch, dims[0]]
//   y, weight [replica, batch]; weight may be null for a mean over the batch
//   params    2 layers pointers: weight [replica, out, in] and bias [replica, out] (null without biases) of every layer
//   strides   numbers from one replica to the next of each of these
//   outputs   [replica, batch]
//   grads     [replica, parameters of one replica in the order of params]
extern "C" void mlp_gradients(int64_t replicas, int batch, int layers, const int32_t* dims, int activation, int loss, const float* x,
                              const float* y, const float* weight, const float* const* params, const int64_t* strides,
                              float* outputs, float* grads) {
    auto* function = activation == RELU ? run<RELU> : activation == SIGMOID ? run<SIGMOID> : run<QUADRATIC>;
    function(replicas, batch, layers, dims, loss, x, y, weight, params, strides, outputs, grads);
}
