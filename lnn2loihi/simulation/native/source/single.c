/* Single sequences: one after the other, a neuron in each lane. */

typedef struct {
    int16_t *messages;      /* (pairs, 2) */
    int32_t *scattered;     /* [place][channel] of the largest population with a kernel */
    int32_t *sums;          /* [accumulator][padded neuron] of the largest population */
    int32_t *fresh;         /* (padded neurons,) of the largest population */
    int32_t *states;        /* of all populations [state][padded neuron] */
    int32_t *sent;          /* of all populations (padded neurons,), messages of the last step */
    int32_t *row, *last;    /* (channels,): the encoded sample, and the one before */
    int32_t *saturated;     /* (channels,) */
    codec_t codec;
    int64_t *counts;
    int32_t *lost;          /* of all populations [mark][padded neuron]: saturated words, running */
    int64_t *lost_in_all;   /* the same [neuron][mark], added up */
} single_t;

static int64_t padded(int64_t neurons)
{
    return (neurons + ROW_LANES - 1) / ROW_LANES * ROW_LANES;
}

/* Messages as pairs of digits to those who read them. */
static __attribute__((noinline)) void send_digits(int16_t *restrict to,
                                                  const int32_t *restrict messages, int64_t n,
                                                  const int32_t *restrict digit_bits)
{
    for (int64_t i = 0; i < n; i++) {
        to[2 * i] = low_digit(messages[i], digit_bits[i]);
        to[2 * i + 1] = high_digit(messages[i], digit_bits[i]);
    }
}

/* The messages of a population to those who read them. */
static inline void send_single(const population_t *p, single_t *single, const int32_t *messages)
{
    int16_t *to = single->messages + 2 * (int64_t)p->first_pair;
    if (p->digit_bits)
        send_digits(to, messages, p->neurons, p->digit_bits);
    else
        for (int64_t n = 0; n < p->neurons; n++)
            to[n] = (int16_t)messages[n];
}

static void sum_dense(const population_t *p, const int16_t *messages, int32_t *sums)
{
    const int64_t rows = p->accumulators * padded(p->neurons);
    const int32_t *weights = p->row_weights;
    for (int64_t row = 0; row < rows;) {
        const int64_t left = (rows - row) / ROW_VECTOR;
        const int vectors = (int)(left < ROW_VECTORS ? left : ROW_VECTORS);
        rows_of[vectors](weights, p->row_columns, (int)p->row_pairs, messages, sums + row);
        weights += p->row_pairs * vectors * ROW_VECTOR;
        row += (int64_t)vectors * ROW_VECTOR;
    }
}

/* Scalar loads: a gather costs as much as the loads that it stands for. */
static void sum_sparse(const population_t *p, const int16_t *restrict messages,
                       int32_t *restrict sums)
{
    const int32_t *restrict columns = p->row_columns;
    const int16_t *restrict values = p->row_values;
    for (int64_t gate = 0, row = 0; gate < p->accumulators; gate++)
        for (int64_t n = 0; n < p->neurons; n++, row++) {
            const int64_t end = p->row_starts[row + 1];
            int64_t i = p->row_starts[row];
            int32_t a = 0, b = 0, c = 0, d = 0;
            for (; i + 4 <= end; i += 4) {
                a += values[i] * messages[columns[i]];
                b += values[i + 1] * messages[columns[i + 1]];
                c += values[i + 2] * messages[columns[i + 2]];
                d += values[i + 3] * messages[columns[i + 3]];
            }
            for (; i < end; i++)
                a += values[i] * messages[columns[i]];
            sums[gate * padded(p->neurons) + n] = a + b + c + d;
        }
    for (int64_t gate = 0; gate < p->accumulators; gate++)
        for (int64_t n = p->neurons; n < padded(p->neurons); n++)
            sums[gate * padded(p->neurons) + n] = 0;
}

static void count_single(const run_t *run, int32_t source, int64_t step, int32_t *restrict sent,
                         const int32_t *restrict fresh, int64_t n, int64_t *restrict non_zero,
                         int64_t *restrict changed)
{
    if (run->step_totals) {
        int64_t some = 0, other = 0;
        for (int64_t i = 0; i < n; i++) {
            some += fresh[i] != 0;
            other += fresh[i] != sent[i];
        }
        add_total(run, source, 0, step, some);
        add_total(run, source, 1, step, other);
    }
    for (int64_t i = 0; i < n; i++) {
        non_zero[i] += fresh[i] != 0;
        changed[i] += fresh[i] != sent[i];
        sent[i] = fresh[i];
    }
}

/* Sums of neurons that share a kernel, of one accumulator: each message that is not zero is added
 * to the windows that it lies in, to all channels of each at once. `outer` is that of the kernel,
 * which compilers unroll loops by where it is a constant.
 */
static inline __attribute__((always_inline)) void
scatter_to(const convolution_t *c, const int16_t *restrict message, int64_t channels,
           int32_t *restrict scattered, const int32_t outer)
{
    for (int64_t channel = 0; channel < (int64_t)c->groups * c->inner; channel++) {
        const int32_t *weights = c->weights + channel * c->taps * outer;
        const int8_t *used = c->used + channel * c->taps;
        int32_t *group = scattered + channel / c->inner * outer;
        if (!memchr(used, 1, (size_t)c->taps)) {
            message += (int64_t)c->height * c->width;
            continue;
        }
        for (int64_t y = 0; y < c->height; y++)
            for (int64_t x = 0; x < c->width; x++, message++) {
                const int32_t value = *message;
                if (!value)
                    continue;
                for (int32_t i = c->down_starts[y]; i < c->down_starts[y + 1]; i++)
                    for (int32_t j = c->across_starts[x]; j < c->across_starts[x + 1]; j++) {
                        const int32_t tap = c->down_taps[i] * c->across_taps + c->across_of_tap[j];
                        if (!used[tap])
                            continue;
                        const int64_t place =
                            (int64_t)c->down_windows[i] * c->across + c->across_windows[j];
                        const int32_t *restrict w = weights + (int64_t)tap * outer;
                        int32_t *restrict to = group + place * channels;
                        for (int32_t n = 0; n < outer; n++)
                            to[n] += value * w[n];
                    }
            }
    }
}

static void scatter(const convolution_t *c, const int16_t *message, int64_t channels,
                    int32_t *scattered)
{
    switch (c->outer) {
    case 1: scatter_to(c, message, channels, scattered, 1); break;
    case 2: scatter_to(c, message, channels, scattered, 2); break;
    case 3: scatter_to(c, message, channels, scattered, 3); break;
    case 4: scatter_to(c, message, channels, scattered, 4); break;
    case 5: scatter_to(c, message, channels, scattered, 5); break;
    case 6: scatter_to(c, message, channels, scattered, 6); break;
    case 8: scatter_to(c, message, channels, scattered, 8); break;
    case 16: scatter_to(c, message, channels, scattered, 16); break;
    default: scatter_to(c, message, channels, scattered, c->outer);
    }
}

static void sum_convolutions(const population_t *p, const single_t *single)
{
    const int64_t channels = p->neurons / p->places, places = p->places;
    int32_t *restrict sums = single->sums;
    const int32_t *restrict scattered = single->scattered;
    for (int32_t a = 0; a < p->accumulators; a++, sums += padded(p->neurons)) {
        memset(single->scattered, 0, (size_t)p->neurons * sizeof *scattered);
        scatter(p->convolutions + a, single->messages + p->convolutions[a].first, channels,
                single->scattered);
        for (int64_t place = 0; place < places; place++)
            for (int64_t channel = 0; channel < channels; channel++)
                sums[channel * places + place] = scattered[place * channels + channel];
        for (int64_t n = p->neurons; n < padded(p->neurons); n++)
            sums[n] = 0;
    }
}

static void encode_single(const run_t *run, single_t *single, int64_t sequence, int64_t step)
{
    const int64_t channels = run->channels;
    encode(run, (sequence * run->time + step) * channels, single->codec, channels, single->row,
           single->saturated);
    /* Of digits, the first are written a second time: here they cost what one message costs. */
    for (int64_t c = 0; c < channels; c++) {
        single->messages[c] = (int16_t)single->row[c];
        single->counts[c] += single->saturated[c];
        single->saturated[c] = 0;
    }
    if (run->digit_bits)
        send_digits(single->messages, single->row, channels, run->digit_bits);
    count_single(run, 0, step, single->last, single->row, channels, single->counts + channels,
                 single->counts + 2 * channels);
}

/* Adds the running counts of saturated words up. */
static void settle_single(const run_t *run, single_t *single)
{
    int32_t *lost = single->lost;
    int64_t *to = single->lost_in_all;
    for (int32_t i = 0; i < run->populations; i++) {
        const population_t *p = run->list + i;
        for (int32_t m = 0; m < p->marks; m++, lost += padded(p->neurons))
            for (int64_t n = 0; n < p->neurons; n++) {
                to[n * p->marks + m] += lost[n];
                lost[n] = 0;
            }
        to += (int64_t)p->neurons * p->marks;
    }
}

static void update_single(const run_t *run, int32_t index, single_t *single, int32_t *states,
                          int32_t *sent, int64_t *counts, int32_t *lost, int64_t sequence,
                          int64_t step)
{
    const population_t *p = run->list + index;
    const int64_t lanes = padded(p->neurons);
    if (p->places && !p->row_starts)
        sum_convolutions(p, single);
    else if (p->row_weights)
        sum_dense(p, single->messages, single->sums);
    else
        sum_sparse(p, single->messages, single->sums);
    p->update_neurons(single->sums, p->row_parameters, p->shifts, states, single->fresh, lost,
                      (int)lanes);
    count_single(run, index + 1, step, sent, single->fresh, p->neurons, counts,
                 counts + p->neurons);
    if (p->first_pair >= 0)
        send_single(p, single, single->fresh);
    const int64_t place = (sequence * run->time + step) * p->neurons;
    const size_t size = (size_t)p->neurons * sizeof(int32_t);
    if (index == run->output)
        memcpy(run->outputs + place, single->fresh, size);
    if (p->record) {
        const int64_t plane = run->batch * run->time * p->neurons;
        for (int32_t s = 0; s < p->planes; s++)
            memcpy(p->record + s * plane + place,
                   s < p->states ? states + s * lanes : single->fresh, size);
    }
}

static void start_single(const run_t *run, single_t *single, int64_t sequence)
{
    int32_t *states = single->states, *sent = single->sent;
    memset(single->messages, 0, (size_t)run->pairs * 2 * sizeof *single->messages);
    memset(single->last, 0, (size_t)run->channels * sizeof *single->last);
    for (int32_t i = 0; i < run->populations; i++) {
        const population_t *p = run->list + i;
        const int64_t lanes = padded(p->neurons);
        memset(sent, 0, (size_t)lanes * sizeof *sent);
        for (int32_t s = 0; s < p->states; s++, states += lanes) {
            const int64_t place = ((int64_t)s * run->batch + sequence) * p->neurons;
            memcpy(states, p->initial + place, (size_t)p->neurons * sizeof *states);
            if (s == p->message_state)
                memcpy(sent, states, (size_t)p->neurons * sizeof *sent);
            if (s == p->message_state && p->first_pair >= 0)
                send_single(p, single, states);
        }
        sent += lanes;
    }
}

static void finish_single(const run_t *run, const single_t *single, int64_t sequence)
{
    const int32_t *states = single->states;
    for (int32_t i = 0; i < run->populations; i++) {
        const population_t *p = run->list + i;
        for (int32_t s = 0; s < p->states; s++, states += padded(p->neurons))
            memcpy(p->final + ((int64_t)s * run->batch + sequence) * p->neurons, states,
                   (size_t)p->neurons * sizeof *states);
    }
}

/* One update of all populations. */
static void step_single(const run_t *run, single_t *single, int64_t sequence, int64_t step)
{
    int64_t *counts = single->counts + 3 * run->channels;
    int32_t *states = single->states, *sent = single->sent, *lost = single->lost;
    encode_single(run, single, sequence, step);
    for (int32_t i = 0; i < run->populations; i++) {
        const population_t *p = run->list + i;
        update_single(run, i, single, states, sent, counts, lost, sequence, step);
        states += p->states * padded(p->neurons);
        sent += padded(p->neurons);
        lost += p->marks * padded(p->neurons);
        counts += 2 * (int64_t)p->neurons;
    }
}

static void run_single(const run_t *run, single_t *single, int64_t sequence)
{
    start_single(run, single, sequence);
    for (int64_t step = 0; step < run->lengths[sequence] && !stopped(run); step++) {
        step_single(run, single, sequence, step);
        if (step % COUNT_STEPS == COUNT_STEPS - 1)
            settle_single(run, single);
    }
    settle_single(run, single);
    if (run->lengths[sequence])
        finish_single(run, single, sequence);
    __atomic_fetch_add(&run->shared[1], run->lengths[sequence], __ATOMIC_RELAXED);
}

static void lay_out_single(const run_t *run, arena_t *arena, single_t *single)
{
    const int64_t word = sizeof(int32_t);
    int64_t rows = 1, states = 0, sent = 0, lost = 0, scattered = 0;
    for (int32_t i = 0; i < run->populations; i++) {
        const int64_t lanes = padded(run->list[i].neurons);
        rows = run->list[i].accumulators * lanes > rows ? run->list[i].accumulators * lanes : rows;
        if (run->list[i].places && run->list[i].neurons > scattered)
            scattered = run->list[i].neurons;
        states += run->list[i].states * lanes;
        sent += lanes;
        lost += run->list[i].marks * lanes;
    }
    single->messages = carve(arena, (int64_t)run->pairs * word);
    single->scattered = carve(arena, scattered * word);
    single->sums = carve(arena, rows * word);
    single->fresh = carve(arena, padded(widest(run)) * word);
    single->states = carve(arena, states * word);
    single->sent = carve(arena, sent * word);
    single->row = carve(arena, run->channels * word);
    single->last = carve(arena, run->channels * word);
    single->saturated = carve(arena, run->channels * word);
    carve_codec(arena, &single->codec, run->channels);
    single->counts = carve(arena, counters(run) * (int64_t)sizeof(int64_t));
    single->lost = carve(arena, lost * word);
    single->lost_in_all = carve(arena, all_marks(run) * (int64_t)sizeof(int64_t));
}

/* Runs sequences first + begin, first + begin + stride, ... last - 1 one at a time. Returns as
 * run_blocks.
 */
int32_t run_sequences(const run_t *run, int64_t first, int64_t last, int64_t begin, int64_t stride)
{
    arena_t arena = {NULL, 0};
    single_t single;
    lay_out_single(run, &arena, &single);
    if (!claim(&arena))
        return 2;
    lay_out_single(run, &arena, &single);
    fill_codec(run, single.codec, 1);
    for (int64_t sequence = first + begin; sequence < last && !stopped(run); sequence += stride)
        run_single(run, &single, sequence);
    add_all_counts(run, single.counts, single.lost_in_all);
    free(arena.base);
    return stopped(run) ? 1 : 0;
}
