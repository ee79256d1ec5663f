/* Blocks: LANES sequences run all their steps side by side, a sequence in each lane. */

/* Steps whose samples are encoded at once. */
#define CHUNK 16
/* Bytes of outputs that are kept until they are written in rows. */
#define KEPT (64 * 1024)
/* Steps after which running counts are added up, long before they could leave 32 bits. */
#define COUNT_STEPS (1 << 24)
/* Narrow blocks are flat: the lanes of all neurons of a population are updated as one array, because
 * those of one neuron do not fill the vectors, nor hide how long each operation takes. */
#define FLAT (LANES <= FLAT_LANES)
/* Flat populations are padded to this number of neurons, which fill vectors. */
#define FLAT_NEURONS (LANES < FLAT_LANES ? FLAT_LANES / LANES : 1)
/* A vector of the level. Spelled out, because compilers do not find every loop over lanes. */
typedef int32_t lanes_t __attribute__((vector_size(COUNT_LANES * 4)));

static inline lanes_t load(const int32_t *from)
{
    lanes_t lanes;
    memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

/* Scratch of one block. */
typedef struct {
    int16_t *messages;      /* [pair][lane][2] */
    int32_t *states;        /* of all populations [neuron][state][lane]; flat: [state][neuron][lane] */
    int32_t *sent[2];       /* of all populations [neuron][lane]: of this step and of the last */
    int32_t *sums;          /* flat, or with a kernel: [accumulator][neuron][lane] of one
                             * population */
    int32_t *parameters;    /* flat: of all populations [parameter][neuron][lane] */
    int32_t *lost;          /* flat: of all populations [mark][neuron][lane], running counts */
    size_t lost_bytes;
    int32_t *running;       /* of all populations [neuron][non-zero, changed][COUNT_LANES] */
    int64_t *counts;
    int64_t *saturated;     /* of all populations [neuron][mark] */
    int16_t *encoded;       /* [lane][1 + CHUNK][column]: the step before the chunk, the chunk */
    int64_t encoded_stride;
    int32_t *row;           /* [CHUNK][channel] */
    codec_t codec;
    int32_t *input_counts;  /* [saturated, non-zero, changed][CHUNK][channel] */
    int32_t *kept;          /* [step][output][lane] outputs that are not written yet */
    int64_t kept_steps;
    int32_t live[LANES];    /* 1: the sequence goes on */
    int lanes;
    int64_t first;          /* sequence of the first lane */
} block_t;

/* Neurons of a population in the arrays of a block. */
static int64_t places(const population_t *p)
{
    return FLAT ? (p->neurons + FLAT_NEURONS - 1) / FLAT_NEURONS * FLAT_NEURONS : p->neurons;
}

static int64_t all_places(const run_t *run)
{
    int64_t count = 0;
    for (int32_t i = 0; i < run->populations; i++)
        count += places(run->list + i);
    return count;
}

/* Where the lanes of one word of a neuron begin, among `words` words of its population. */
static int64_t place_of(const population_t *p, int64_t neuron, int32_t word, int32_t words)
{
    return (FLAT ? word * places(p) + neuron : neuron * words + word) * LANES;
}

static void count_inputs(const run_t *run, block_t *block, int64_t step)
{
    const int64_t channels = run->channels;
    for (int kind = 0; kind < 3; kind++)
        for (int64_t k = 0; k < CHUNK; k++) {
            const int32_t *from = block->input_counts + (kind * CHUNK + k) * channels;
            int64_t total = 0;
            for (int64_t c = 0; c < channels; c++) {
                block->counts[kind * channels + c] += from[c];
                total += from[c];
            }
            if (run->step_totals && kind && step + k < run->time)
                add_total(run, 0, kind - 1, step + k, total);
        }
}

/* n encoded samples as digits, counted. */
static void take_digits(const run_t *run, const int32_t *samples, int64_t n, int16_t *row,
                        const int16_t *last, int32_t *non_zero, int32_t *changed)
{
    for (int64_t i = 0; i < n; i++) {
        const int32_t bits = run->digit_bits[i % run->channels];
        row[2 * i] = low_digit(samples[i], bits);
        row[2 * i + 1] = high_digit(samples[i], bits);
    }
    for (int64_t i = 0; i < n; i++) {
        non_zero[i] += samples[i] != 0;
        changed[i] += row[2 * i] != last[2 * i] || row[2 * i + 1] != last[2 * i + 1];
    }
}

/* Encodes and counts the samples of the next CHUNK steps. */
static void encode_chunk(const run_t *run, block_t *block, int64_t step)
{
    const int64_t channels = run->channels, all = CHUNK * channels, columns = input_columns(run);
    int32_t *restrict saturated = block->input_counts, *restrict non_zero = saturated + all;
    int32_t *restrict changed = non_zero + all;
    memset(saturated, 0, (size_t)(3 * all) * sizeof *saturated);
    for (int lane = 0; lane < block->lanes; lane++) {
        int16_t *last = block->encoded + lane * block->encoded_stride, *row = last + columns;
        const int64_t left = run->lengths[block->first + lane] - step;
        const int64_t n = (left < 0 ? 0 : left > CHUNK ? CHUNK : left) * channels;
        memcpy(last, last + CHUNK * columns, (size_t)columns * sizeof *last);
        encode(run, ((block->first + lane) * run->time + step) * channels, block->codec, n,
               block->row, saturated);
        if (run->digit_bits) {
            take_digits(run, block->row, n, row, last, non_zero, changed);
            continue;
        }
        for (int64_t i = 0; i < n; i++)
            row[i] = (int16_t)block->row[i];
        for (int64_t i = 0; i < n; i++) {
            non_zero[i] += row[i] != 0;
            changed[i] += row[i] != last[i];
        }
    }
    count_inputs(run, block, step);
}

/* The samples of one step of the chunk, as pairs of message rows. */
static void send_inputs(const run_t *run, block_t *block, int64_t place)
{
    const int64_t columns = input_columns(run), stride = block->encoded_stride;
    const int16_t *from = block->encoded + (1 + place) * columns;
    int16_t *to = block->messages;
    for (int64_t c = 0; c + 1 < columns; c += 2, to += 2 * LANES)
        for (int lane = 0; lane < LANES; lane++)
            memcpy(to + 2 * lane, from + lane * stride + c, 2 * sizeof *to);
    if (columns % 2)
        for (int lane = 0; lane < LANES; lane++)
            to[2 * lane] = from[lane * stride + columns - 1];
}

/* Two rows of messages as pairs; the second may be absent. */
static void deliver(int16_t *restrict to, const int32_t *restrict even,
                    const int32_t *restrict odd)
{
    for (int k = 0; k < LANES; k += COUNT_LANES) {
        lanes_t low = load(even + k) & 0xffff;
        if (odd)
            low |= load(odd + k) << 16;
        memcpy(to + 2 * k, &low, sizeof low);
    }
}

/* A row of messages as pairs of digits. */
static void deliver_digits(int16_t *restrict to, const int32_t *restrict messages, int32_t bits)
{
    for (int k = 0; k < LANES; k += COUNT_LANES) {
        const lanes_t message = load(messages + k);
        const lanes_t pair = (message & ((1 << bits) - 1)) | (message >> bits) << 16;
        memcpy(to + 2 * k, &pair, sizeof pair);
    }
}

/* The messages of a population to those who read them. */
static void send(const population_t *p, block_t *block, const int32_t *fresh)
{
    int16_t *to = block->messages + (int64_t)p->first_pair * 2 * LANES;
    if (p->digit_bits)
        for (int64_t n = 0; n < p->neurons; n++, to += 2 * LANES)
            deliver_digits(to, fresh + n * LANES, p->digit_bits[n]);
    else
        for (int64_t n = 0; n < p->neurons; n += 2, to += 2 * LANES)
            deliver(to, fresh + n * LANES,
                    n + 1 < p->neurons ? fresh + (n + 1) * LANES : NULL);
}

/* Adds the non-zero and the changed messages of a neuron to its running counts. */
static void count(const int32_t *restrict fresh, const int32_t *restrict last,
                  const int32_t *restrict live, int32_t *restrict running)
{
    lanes_t some = {0}, other = {0};
    for (int k = 0; k < LANES; k += COUNT_LANES) {
        const lanes_t message = load(fresh + k), alive = load(live + k);
        some += (message != 0) & alive;
        other += (message != load(last + k)) & alive;
    }
    some += load(running);
    other += load(running + COUNT_LANES);
    memcpy(running, &some, sizeof some);
    memcpy(running + COUNT_LANES, &other, sizeof other);
}

/* Adds the running counts up. */
static void settle(const run_t *run, block_t *block)
{
    int64_t *counts = block->counts + 3 * run->channels;
    int32_t *running = block->running;
    for (int32_t i = 0; i < run->populations; i++) {
        const int64_t n = run->list[i].neurons;
        for (int64_t k = 0; k < 2 * n; k++, running += COUNT_LANES)
            for (int lane = 0; lane < COUNT_LANES; lane++) {
                counts[k % 2 * n + k / 2] += running[lane];
                running[lane] = 0;
            }
        counts += 2 * n;
    }
}

/* Totals of a population in one step, over its neurons and the sequences of the block. */
static void add_step_totals(const run_t *run, const block_t *block, int32_t index, int64_t step,
                            const int32_t *fresh, const int32_t *last)
{
    int64_t non_zero = 0, changed = 0;
    for (int64_t i = 0; i < (int64_t)run->list[index].neurons * LANES; i++) {
        non_zero += (fresh[i] != 0) & block->live[i % LANES];
        changed += (fresh[i] != last[i]) & block->live[i % LANES];
    }
    add_total(run, index + 1, 0, step, non_zero);
    add_total(run, index + 1, 1, step, changed);
}

static void record_neuron(const run_t *run, const population_t *p, const block_t *block,
                          int64_t neuron, int64_t step, const int32_t *states,
                          const int32_t *fresh)
{
    const int64_t plane = run->batch * run->time * p->neurons;
    for (int32_t s = 0; s < p->planes; s++) {
        const int32_t *from = s < p->states ? states + place_of(p, neuron, s, p->states)
                                            : fresh + neuron * LANES;
        for (int lane = 0; lane < block->lanes; lane++)
            if (block->live[lane])
                p->record[s * plane + ((block->first + lane) * run->time + step) * p->neurons +
                          neuron] = from[lane];
    }
}

/* Most rows of a tile, or of two. */
#define ROWS (TWINS ? 12 : 6)

/* Where the sums of each row of a tile lie, counted from those of its first neuron. */
static void place_rows(const population_t *p, int64_t *to)
{
    for (int row = 0, neuron = 0; row < ROWS; neuron++)
        for (int32_t a = 0; a < p->accumulators && row < ROWS; a++, row++)
            to[row] = place_of(p, neuron, a, p->accumulators);
}

/* Sums of the neurons of a tile, or of two that have the same columns; returns how many neurons
 * they are. `neuron` is the first.
 */
static int multiply(const population_t *p, const block_t *block, int64_t tile, int64_t neuron,
                    int32_t *sums, const int64_t *to)
{
    const int64_t left = p->neurons - neuron;
    const int64_t *begin = p->column_starts + tile, *count = p->pair_counts + tile;
    int width = (int)(left < p->tile_neurons ? left : p->tile_neurons);
    const tile_t *kernels = tiles;
    const int rows = width * p->accumulators;
    if (TWINS && left >= 2 * width && begin[0] == begin[1] && count[0] == count[1]) {
        kernels = twins;
        width *= 2;
    }
    kernels[rows](p->weights + p->weight_starts[tile], p->columns + *begin, (int)*count,
                  block->messages, sums, to);
    return width;
}

/* Sums of all neurons of a population that share a kernel. A tile is channels at one place. */
static void convolve(const population_t *p, const block_t *block, int32_t *sums)
{
    const int64_t places_each = p->places;
    int64_t to[ROWS];
    for (int row = 0; row < ROWS; row++)
        to[row] = place_of(p, row * places_each, 0, p->accumulators);
    for (int32_t a = 0; a < p->accumulators; a++) {
        const convolution_t *c = p->convolutions + a;
        for (int64_t tile = 0; tile < p->neurons / c->tile_channels; tile++) {
            const int64_t first =
                tile / places_each * c->tile_channels * places_each + tile % places_each;
            tiles[c->tile_channels](c->tile_weights + c->weight_starts[tile],
                                    c->columns + c->column_starts[tile],
                                    (int)c->pair_counts[tile],
                                    block->messages + (size_t)c->offsets[tile] * 2 * LANES,
                                    sums + place_of(p, first, a, p->accumulators), to);
        }
    }
}

/* Updates a population in one step; its messages are `fresh` and not yet delivered. */
static void update_block(const population_t *p, const block_t *block, int32_t *states,
                         int32_t *fresh, int64_t *saturated)
{
    int32_t sums[ROWS * LANES] __attribute__((aligned(64)));
    int64_t to[ROWS];
    if (p->places) {
        convolve(p, block, block->sums);
        for (int64_t n = 0; n < p->neurons; n++)
            p->update_sequences(block->sums + n * p->accumulators * LANES,
                                p->parameter_values + n * p->parameters, p->shifts, states + n * p->states * LANES, fresh + n * LANES,
                                block->live, saturated + n * p->marks, LANES);
        return;
    }
    place_rows(p, to);
    for (int64_t tile = 0, neuron = 0; neuron < p->neurons; tile++) {
        const int width = multiply(p, block, tile, neuron, sums, to);
        for (int n = 0; n < width; n++, neuron++)
            p->update_sequences(sums + n * p->accumulators * LANES,
                                p->parameter_values + neuron * p->parameters, p->shifts,
                                states + neuron * p->states * LANES, fresh + neuron * LANES,
                                block->live, saturated + neuron * p->marks, LANES);
    }
}

/* The same of a flat block: first all sums, then all neurons. */
static void update_flat(const population_t *p, const block_t *block, int32_t *states,
                        int32_t *fresh, const int32_t *parameters, int32_t *lost)
{
    int64_t to[ROWS];
    place_rows(p, to);
    if (p->places)
        convolve(p, block, block->sums);
    for (int64_t tile = 0, neuron = 0, width; !p->places && neuron < p->neurons; neuron += width) {
        width = multiply(p, block, tile, neuron, block->sums + neuron * LANES, to);
        tile += width > p->tile_neurons ? 2 : 1;
    }
    /* Like lanes without a sequence, padding computes on zeros. */
    for (int32_t a = 0; a < p->accumulators; a++)
        memset(block->sums + place_of(p, p->neurons, a, p->accumulators), 0,
               (size_t)((places(p) - p->neurons) * LANES) * sizeof *block->sums);
    p->update_neurons(block->sums, parameters, p->shifts, states, fresh, lost,
                      (int)(places(p) * LANES));
}

/* Writes the kept outputs: rows of each sequence, 16 values at a time while they are in cache. */
static void write_outputs(const run_t *run, const block_t *block, int64_t begin, int64_t steps)
{
    const int64_t outputs = run->list[run->output].neurons, all = steps * outputs;
    for (int64_t i = 0; i < all; i += 16)
        for (int lane = 0; lane < block->lanes; lane++) {
            const int64_t sequence = block->first + lane;
            const int64_t there = (run->lengths[sequence] - begin) * outputs;
            const int64_t n = (there < all ? there : all) - i;
            int32_t *to = run->outputs + (sequence * run->time + begin) * outputs + i;
            const int32_t *from = block->kept + i * LANES + lane;
            if (n >= 16)
                for (int k = 0; k < 16; k++)
                    to[k] = from[k * LANES];
            else
                for (int64_t k = 0; k < n; k++)
                    to[k] = from[k * LANES];
        }
}

static void keep_outputs(const run_t *run, block_t *block, int64_t step, int64_t longest,
                         const int32_t *fresh)
{
    const int64_t values = (int64_t)run->list[run->output].neurons * LANES;
    const int64_t place = step % block->kept_steps;
    memcpy(block->kept + place * values, fresh, (size_t)values * sizeof *fresh);
    if (place == block->kept_steps - 1 || step + 1 == longest)
        write_outputs(run, block, step - place, place + 1);
}

static void run_populations(const run_t *run, block_t *block, int64_t step, int64_t longest)
{
    int32_t *states = block->states, *running = block->running;
    int64_t *saturated = block->saturated;
    const int32_t *parameters = block->parameters;
    int32_t *lost = block->lost;
    int32_t *fresh = block->sent[step % 2], *last = block->sent[1 - step % 2];
    for (int32_t i = 0; i < run->populations; i++) {
        const population_t *p = run->list + i;
        if (FLAT)
            update_flat(p, block, states, fresh, parameters, lost);
        else
            update_block(p, block, states, fresh, saturated);
        if (p->record)
            for (int64_t n = 0; n < p->neurons; n++)
                record_neuron(run, p, block, n, step, states, fresh);
        for (int64_t n = 0; n < p->neurons; n++)
            count(fresh + n * LANES, last + n * LANES, block->live,
                  running + 2 * n * COUNT_LANES);
        if (run->step_totals)
            add_step_totals(run, block, i, step, fresh, last);
        if (p->first_pair >= 0)
            send(p, block, fresh);
        if (i == run->output)
            keep_outputs(run, block, step, longest, fresh);
        const int64_t values = places(p) * LANES;
        states += values * p->states;
        parameters += values * p->parameters;
        lost += values * p->marks;
        fresh += values;
        last += values;
        running += 2 * (int64_t)p->neurons * COUNT_LANES;
        saturated += (int64_t)p->neurons * p->marks;
    }
}

static void start_block(const run_t *run, block_t *block)
{
    const int64_t values = all_places(run) * LANES;
    memset(block->messages, 0, (size_t)run->pairs * 2 * LANES * sizeof *block->messages);
    memset(block->encoded, 0, (size_t)(block->encoded_stride * LANES) * sizeof *block->encoded);
    memset(block->sent[1], 0, (size_t)values * sizeof **block->sent);
    int32_t *states = block->states, *sent = block->sent[1];
    for (int32_t i = 0; i < run->populations; i++) {
        const population_t *p = run->list + i;
        memset(states, 0, (size_t)(places(p) * p->states * LANES) * sizeof *states);
        for (int32_t s = 0; s < p->states; s++)
            for (int lane = 0; lane < block->lanes; lane++)
                for (int64_t n = 0; n < p->neurons; n++) {
                    const int64_t place = (int64_t)s * run->batch + block->first + lane;
                    const int32_t value = p->initial[place * p->neurons + n];
                    states[place_of(p, n, s, p->states) + lane] = value;
                    if (s == p->message_state)
                        sent[n * LANES + lane] = value;
                }
        if (p->first_pair >= 0 && p->message_state >= 0)
            send(p, block, sent);
        states += places(p) * p->states * LANES;
        sent += places(p) * LANES;
    }
}

/* Adds what saturated in a lane since it began or since this was called, in flat blocks. */
static void settle_lost(const run_t *run, const block_t *block, int lane)
{
    int32_t *lost = block->lost;
    int64_t *saturated = block->saturated;
    for (int32_t i = 0; i < run->populations; i++) {
        const population_t *p = run->list + i;
        for (int32_t mark = 0; mark < p->marks; mark++)
            for (int64_t n = 0; n < p->neurons; n++) {
                int32_t *from = lost + place_of(p, n, mark, p->marks) + lane;
                saturated[n * p->marks + mark] += *from;
                *from = 0;
            }
        lost += places(p) * p->marks * LANES;
        saturated += (int64_t)p->neurons * p->marks;
    }
}

/* Stores the states of the sequences that end with this step. */
static void finish_lanes(const run_t *run, const block_t *block, int64_t step)
{
    for (int lane = 0; lane < block->lanes; lane++) {
        if (run->lengths[block->first + lane] != step + 1)
            continue;
        const int32_t *states = block->states;
        for (int32_t i = 0; i < run->populations; i++) {
            const population_t *p = run->list + i;
            for (int32_t s = 0; s < p->states; s++)
                for (int64_t n = 0; n < p->neurons; n++)
                    p->final[((int64_t)s * run->batch + block->first + lane) * p->neurons + n] =
                        states[place_of(p, n, s, p->states) + lane];
            states += places(p) * p->states * LANES;
        }
        if (FLAT)
            settle_lost(run, block, lane);
    }
}

static void run_block(const run_t *run, block_t *block, int64_t first, int64_t last)
{
    const int64_t left = last - first;
    int64_t longest = 0;
    block->first = first;
    block->lanes = (int)(left < LANES ? left : LANES);
    for (int lane = 0; lane < block->lanes; lane++)
        if (run->lengths[first + lane] > longest)
            longest = run->lengths[first + lane];
    start_block(run, block);
    memset(block->lost, 0, block->lost_bytes);
    for (int64_t step = 0; step < longest && !stopped(run); step++) {
        for (int lane = 0; lane < LANES; lane++)
            block->live[lane] = lane < block->lanes && step < run->lengths[first + lane];
        if (step % CHUNK == 0)
            encode_chunk(run, block, step);
        send_inputs(run, block, step % CHUNK);
        run_populations(run, block, step, longest);
        finish_lanes(run, block, step);
        if (step % COUNT_STEPS == COUNT_STEPS - 1) {
            settle(run, block);
            for (int lane = 0; FLAT && lane < LANES; lane++)
                if (block->live[lane])
                    settle_lost(run, block, lane);
            memset(block->lost, 0, block->lost_bytes);
        }
        __atomic_fetch_add(&run->shared[1], block->lanes, __ATOMIC_RELAXED);
    }
    settle(run, block);
}

static void lay_out_block(const run_t *run, arena_t *arena, block_t *block)
{
    const int64_t word = sizeof(int32_t), values = all_places(run) * LANES;
    const int64_t row = CHUNK * (int64_t)run->channels, columns = input_columns(run);
    const int64_t output = (int64_t)run->list[run->output].neurons * LANES * word;
    int64_t states = 0, sums = 0, parameters = 0, marks = 0;
    for (int32_t i = 0; i < run->populations; i++) {
        const population_t *p = run->list + i;
        states += places(p) * p->states;
        if (FLAT || p->places)
            sums = places(p) * p->accumulators > sums ? places(p) * p->accumulators : sums;
        parameters += places(p) * p->parameters;
        marks += places(p) * p->marks;
    }
    block->kept_steps = KEPT / output < 1 ? 1 : KEPT / output > 64 ? 64 : KEPT / output;
    block->encoded_stride = ((CHUNK + 1) * columns + 31) / 32 * 32 + 32;
    block->messages = carve(arena, (int64_t)run->pairs * LANES * word);
    block->states = carve(arena, states * LANES * word);
    block->sent[0] = carve(arena, values * word);
    block->sent[1] = carve(arena, values * word);
    block->sums = carve(arena, sums * LANES * word);
    block->parameters = carve(arena, FLAT * parameters * LANES * word);
    block->lost_bytes = (size_t)(FLAT * marks * LANES * word);
    block->lost = carve(arena, (int64_t)block->lost_bytes);
    block->running = carve(arena, 2 * all_neurons(run) * COUNT_LANES * word);
    block->counts = carve(arena, counters(run) * (int64_t)sizeof(int64_t));
    block->saturated = carve(arena, all_marks(run) * (int64_t)sizeof(int64_t));
    block->encoded = carve(arena, block->encoded_stride * LANES * (int64_t)sizeof(int16_t));
    block->row = carve(arena, row * word);
    carve_codec(arena, &block->codec, row);
    block->input_counts = carve(arena, 3 * row * word);
    block->kept = carve(arena, block->kept_steps * output);
}

/* The parameters of all neurons in all lanes; padding has those of the last neuron. */
static void fill_parameters(const run_t *run, block_t *block)
{
    int32_t *to = block->parameters;
    for (int32_t i = 0; i < run->populations; i++) {
        const population_t *p = run->list + i;
        for (int32_t parameter = 0; parameter < p->parameters; parameter++)
            for (int64_t place = 0; place < places(p); place++, to += LANES) {
                const int64_t neuron = place < p->neurons ? place : p->neurons - 1;
                for (int lane = 0; lane < LANES; lane++)
                    to[lane] = p->parameter_values[neuron * p->parameters + parameter];
            }
    }
}

/* Runs blocks begin, begin + stride, ... of the sequences first, ... last - 1. Returns 0, 1 if
 * stopped, 2 without memory.
 */
int32_t run_blocks(const run_t *run, int64_t first, int64_t last, int64_t begin, int64_t stride)
{
    arena_t arena = {NULL, 0};
    block_t block;
    lay_out_block(run, &arena, &block);
    if (!claim(&arena))
        return 2;
    lay_out_block(run, &arena, &block);
    fill_codec(run, block.codec, CHUNK);
    if (FLAT)
        fill_parameters(run, &block);
    for (first += begin * LANES; first < last && !stopped(run); first += stride * LANES)
        run_block(run, &block, first, last);
    add_all_counts(run, block.counts, block.saturated);
    free(arena.base);
    return stopped(run) ? 1 : 0;
}
