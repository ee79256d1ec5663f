/* The C engine: runs a LoihiProgram in sample time, in blocks of LANES sequences.
 *
 * What stands above this text is generated: LANES, the tile kernels of one instruction-set level
 * and the update functions of the neuron programs. No global state; everything a run needs is in
 * its arguments, so that runs in several threads are independent of each other.
 */

typedef struct {
    int32_t neurons, accumulators, states, parameters;
    int32_t program;        /* which update function */
    int32_t tile_neurons;   /* neurons whose rows a tile holds */
    int32_t first_pair;     /* where its messages begin among all pairs; -1: nobody reads them */
    int32_t message_state;  /* state word that keeps the message; -1: none */
    const int32_t *weights; /* [tile][pair][row] pairs of int16 */
    const int32_t *columns; /* [tile][pair] pair of message rows */
    const int64_t *weight_starts, *column_starts, *pair_counts; /* (tiles,) */
    const int32_t *parameter_values; /* [neuron][parameter] */
    const int32_t *row_weights;     /* single sequences: [tile][pair][row]; NULL: not laid out */
    const int32_t *row_columns;     /* (row_pairs,) */
    int64_t row_pairs;
    const int32_t *row_parameters;  /* [parameter][padded neuron] */
    const int32_t *initial; /* [state][batch][neuron] */
    int32_t *final;         /* the same */
    int32_t *record;        /* [state, then message][batch][time][neuron], or NULL */
    int64_t *non_zero, *changed; /* (neurons,): messages, summed over steps and sequences */
} population_t;

typedef struct {
    int64_t batch, time;
    int32_t channels, populations, pairs, output;
    double scale;           /* encoder: floor(x * scale + 0.5); 0: x holds int32 */
    const void *x;          /* [batch][time][channel] double or int32 */
    const int32_t *low, *high; /* (channels,) */
    const int64_t *lengths; /* (batch,) */
    int64_t *saturated;     /* (channels,) */
    int64_t *input_non_zero, *input_changed; /* (channels,) */
    int32_t *outputs;       /* [batch][time][output] */
    int64_t *shared;        /* {not 0: stop, steps done} */
    population_t *list;
} run_t;

typedef void (*update_t)(const int32_t *restrict, const int32_t *restrict, int32_t *restrict,
                         int32_t *restrict, int);
typedef void (*tile_t)(const int32_t *restrict, const int32_t *restrict, int,
                       const int16_t *restrict, int32_t *restrict);

/* Scratch of one block; sizes are of the largest population. */
typedef struct {
    int16_t *messages;      /* [pair][lane][2] */
    int32_t *fresh;         /* [neuron][lane] messages that are not sent yet */
    int32_t **states;       /* of each population [neuron][state][lane] */
    int32_t **sent;         /* of each population [neuron][lane] messages of the step before */
    int64_t *counts;        /* saturated, non-zero and changed of inputs, then of populations */
} block_t;

static inline int stopped(const run_t *run)
{
    return __atomic_load_n(&run->shared[0], __ATOMIC_RELAXED) != 0;
}

static inline int16_t *row_of(int16_t *messages, int64_t row)
{
    return messages + (row / 2) * 2 * LANES + row % 2;
}

/* Counts the non-zero and the changed messages of a neuron, and keeps them as sent. */
static void count(int32_t *restrict sent, const int32_t *restrict fresh,
                  const int32_t *restrict live, int64_t *restrict non_zero,
                  int64_t *restrict changed)
{
    int32_t some = 0, other = 0;
    for (int lane = 0; lane < LANES; lane++) {
        some += (fresh[lane] != 0) & live[lane];
        other += (fresh[lane] != sent[lane]) & live[lane];
        sent[lane] = fresh[lane];
    }
    *non_zero += some;
    *changed += other;
}

static void deliver(int16_t *restrict to, const int32_t *restrict from)
{
    for (int lane = 0; lane < LANES; lane++)
        to[2 * lane] = (int16_t)from[lane];
}

static void encode(const run_t *run, int64_t first, int lanes, int64_t step,
                   const int32_t *live, block_t *block)
{
    int64_t *saturated = block->counts;
    int64_t *non_zero = saturated + run->channels, *changed = non_zero + run->channels;
    int32_t row[LANES] = {0};
    for (int32_t channel = 0; channel < run->channels; channel++) {
        const int32_t low = run->low[channel], high = run->high[channel];
        for (int lane = 0; lane < lanes; lane++) {
            const int64_t place = ((first + lane) * run->time + step) * run->channels + channel;
            int32_t value;
            if (run->scale != 0.0) {
                const double scaled = floor(((const double *)run->x)[place] * run->scale + 0.5);
                const double inside = scaled < low ? low : scaled > high ? high : scaled;
                saturated[channel] += (inside != scaled) & live[lane];
                value = (int32_t)inside;
            } else {
                const int32_t given = ((const int32_t *)run->x)[place];
                value = given < low ? low : given > high ? high : given;
                saturated[channel] += (value != given) & live[lane];
            }
            row[lane] = value;
        }
        count(block->sent[run->populations] + channel * LANES, row, live, &non_zero[channel],
              &changed[channel]);
        deliver(row_of(block->messages, channel), row);
    }
}

static void update_tile(const run_t *run, const population_t *p, int64_t tile, int32_t *states,
                        block_t *block, int64_t first, int lanes, int64_t step,
                        const int32_t *live)
{
    int32_t sums[6 * LANES] __attribute__((aligned(64)));
    const int64_t begin = tile * p->tile_neurons;
    const int64_t left = p->neurons - begin;
    const int count = (int)(left < p->tile_neurons ? left : p->tile_neurons);
    tiles[count * p->accumulators](p->weights + p->weight_starts[tile],
                                   p->columns + p->column_starts[tile],
                                   (int)p->pair_counts[tile], block->messages, sums);
    for (int n = 0; n < count; n++) {
        const int64_t neuron = begin + n;
        int32_t *message = block->fresh + neuron * LANES;
        int32_t *own = states + neuron * p->states * LANES;
        sequence_updates[p->program](sums + n * p->accumulators * LANES,
                                     p->parameter_values + neuron * p->parameters, own, message,
                                     LANES);
        if (p == run->list + run->output)
            for (int lane = 0; lane < lanes; lane++)
                if (live[lane])
                    run->outputs[((first + lane) * run->time + step) * p->neurons + neuron] =
                        message[lane];
        if (p->record) {
            const int64_t plane = run->batch * run->time * p->neurons;
            for (int s = 0; s <= p->states; s++)
                for (int lane = 0; lane < lanes; lane++)
                    if (live[lane])
                        p->record[s * plane + ((first + lane) * run->time + step) * p->neurons +
                                  neuron] = s < p->states ? own[s * LANES + lane] : message[lane];
        }
    }
}

static void start_block(const run_t *run, block_t *block, int64_t first, int lanes)
{
    memset(block->messages, 0, (size_t)run->pairs * 2 * LANES * sizeof *block->messages);
    memset(block->sent[run->populations], 0, (size_t)run->channels * LANES * sizeof(int32_t));
    for (int32_t i = 0; i < run->populations; i++) {
        const population_t *p = run->list + i;
        memset(block->states[i], 0, (size_t)p->neurons * p->states * LANES * sizeof(int32_t));
        memset(block->sent[i], 0, (size_t)p->neurons * LANES * sizeof(int32_t));
        for (int32_t s = 0; s < p->states; s++)
            for (int lane = 0; lane < lanes; lane++)
                for (int64_t n = 0; n < p->neurons; n++) {
                    const int32_t value =
                        p->initial[((int64_t)s * run->batch + first + lane) * p->neurons + n];
                    block->states[i][(n * p->states + s) * LANES + lane] = value;
                    if (s == p->message_state)
                        block->sent[i][n * LANES + lane] = value;
                    if (s == p->message_state && p->first_pair >= 0)
                        row_of(block->messages, 2 * (int64_t)p->first_pair + n)[2 * lane] =
                            (int16_t)value;
                }
    }
}

static void finish_lanes(const run_t *run, const block_t *block, int64_t first, int lanes,
                         int64_t step)
{
    for (int lane = 0; lane < lanes; lane++) {
        if (run->lengths[first + lane] != step + 1)
            continue;
        for (int32_t i = 0; i < run->populations; i++) {
            const population_t *p = run->list + i;
            for (int32_t s = 0; s < p->states; s++)
                for (int64_t n = 0; n < p->neurons; n++)
                    p->final[((int64_t)s * run->batch + first + lane) * p->neurons + n] =
                        block->states[i][(n * p->states + s) * LANES + lane];
        }
    }
}

static void run_block(const run_t *run, block_t *block, int64_t first)
{
    const int64_t left = run->batch - first;
    const int lanes = (int)(left < LANES ? left : LANES);
    int32_t live[LANES] = {0};
    int64_t longest = 0;
    for (int lane = 0; lane < lanes; lane++)
        if (run->lengths[first + lane] > longest)
            longest = run->lengths[first + lane];
    start_block(run, block, first, lanes);
    for (int64_t step = 0; step < longest && !stopped(run); step++) {
        for (int lane = 0; lane < lanes; lane++)
            live[lane] = step < run->lengths[first + lane];
        encode(run, first, lanes, step, live, block);
        int64_t *counts = block->counts + 3 * run->channels;
        for (int32_t i = 0; i < run->populations; i++) {
            const population_t *p = run->list + i;
            const int64_t tiles_of = (p->neurons + p->tile_neurons - 1) / p->tile_neurons;
            for (int64_t tile = 0; tile < tiles_of; tile++)
                update_tile(run, p, tile, block->states[i], block, first, lanes, step, live);
            for (int64_t n = 0; n < p->neurons; n++) {
                const int32_t *fresh = block->fresh + n * LANES;
                count(block->sent[i] + n * LANES, fresh, live, &counts[n],
                      &counts[p->neurons + n]);
                if (p->first_pair >= 0)
                    deliver(row_of(block->messages, 2 * (int64_t)p->first_pair + n), fresh);
            }
            counts += 2 * p->neurons;
        }
        finish_lanes(run, block, first, lanes, step);
        __atomic_fetch_add(&run->shared[1], 1, __ATOMIC_RELAXED);
    }
}

static void add_counts(int64_t *to, const int64_t *from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        __atomic_fetch_add(&to[i], from[i], __ATOMIC_RELAXED);
}

#ifdef __SANITIZE_ADDRESS__
void __asan_poison_memory_region(const volatile void *, size_t);
#endif

/* Scratch from one allocation: laid out twice, first only to learn its size. */
typedef struct {
    char *base;
    size_t used;
} arena_t;

static void *carve(arena_t *arena, int64_t bytes)
{
    char *place = arena->base ? arena->base + arena->used : NULL;
    arena->used += ((size_t)bytes + 63) / 64 * 64;
#ifdef __SANITIZE_ADDRESS__
    arena->used += 64; /* nothing may be touched between two arrays */
    if (place)
        __asan_poison_memory_region(place + bytes,
                                    (size_t)(arena->base + arena->used - place) - (size_t)bytes);
#endif
    return place;
}

static int64_t counted(const run_t *run)
{
    int64_t count = 3 * (int64_t)run->channels;
    for (int32_t i = 0; i < run->populations; i++)
        count += 2 * (int64_t)run->list[i].neurons;
    return count;
}

/* Arrays that both kinds of runs have; `lanes` values of each of `neurons[i]` neurons. */
static void lay_out_states(const run_t *run, arena_t *arena, int32_t **states, int32_t **sent,
                           int64_t lanes, int64_t pad)
{
    for (int32_t i = 0; i < run->populations; i++) {
        const population_t *p = run->list + i;
        const int64_t values = (p->neurons + pad - 1) / pad * pad * lanes;
        int32_t *own = carve(arena, values * p->states * (int64_t)sizeof *own);
        int32_t *last = carve(arena, values * (int64_t)sizeof *last);
        if (arena->base) {
            states[i] = own;
            sent[i] = last;
        }
    }
    int32_t *input = carve(arena, run->channels * lanes * (int64_t)sizeof *input);
    if (arena->base)
        sent[run->populations] = input;
}

static int64_t widest(const run_t *run)
{
    int64_t most = 1;
    for (int32_t i = 0; i < run->populations; i++)
        most = run->list[i].neurons > most ? run->list[i].neurons : most;
    return most;
}

static void lay_out_block(const run_t *run, arena_t *arena, block_t *block)
{
    const int64_t pointers = (run->populations + 1) * (int64_t)sizeof(int32_t *);
    block->messages = carve(arena, (int64_t)run->pairs * 2 * LANES * (int64_t)sizeof(int16_t));
    block->fresh = carve(arena, widest(run) * LANES * (int64_t)sizeof(int32_t));
    block->counts = carve(arena, counted(run) * (int64_t)sizeof(int64_t));
    block->states = carve(arena, pointers);
    block->sent = carve(arena, pointers);
    lay_out_states(run, arena, block->states, block->sent, LANES, 1);
}

static void add_all_counts(const run_t *run, const int64_t *counts)
{
    add_counts(run->saturated, counts, run->channels);
    add_counts(run->input_non_zero, counts + run->channels, run->channels);
    add_counts(run->input_changed, counts + 2 * run->channels, run->channels);
    counts += 3 * run->channels;
    for (int32_t i = 0; i < run->populations; i++) {
        const int64_t n = run->list[i].neurons;
        add_counts(run->list[i].non_zero, counts, n);
        add_counts(run->list[i].changed, counts + n, n);
        counts += 2 * n;
    }
}

/* Runs blocks begin, begin + stride, ... Returns 0, 1 if stopped, 2 without memory. */
int32_t run_blocks(const run_t *run, int64_t begin, int64_t stride)
{
    arena_t arena = {NULL, 0};
    block_t block;
    lay_out_block(run, &arena, &block);
    arena.base = aligned_alloc(64, arena.used);
    if (!arena.base)
        return 2;
    memset(arena.base, 0, arena.used);
    arena.used = 0;
    lay_out_block(run, &arena, &block);
    for (int64_t first = begin * LANES; first < run->batch && !stopped(run);
         first += stride * LANES)
        run_block(run, &block, first);
    add_all_counts(run, block.counts);
    free(arena.base);
    return stopped(run) ? 1 : 0;
}

/* One sequence at a time: a lane is a neuron. */
typedef struct {
    int16_t *messages;      /* (pairs, 2) */
    int32_t *sums;          /* [accumulator][padded neuron] of the largest population */
    int32_t *fresh;         /* (padded neurons,) of the largest population */
    int32_t **states;       /* of each population [state][padded neuron] */
    int32_t **sent;         /* of each population, then of the input */
    int64_t *counts;
} single_t;

static int64_t padded(int64_t neurons)
{
    return (neurons + ROW_LANES - 1) / ROW_LANES * ROW_LANES;
}

static void sum_rows(const population_t *p, const int16_t *messages, int32_t *sums)
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

static void count_single(int32_t *restrict sent, const int32_t *restrict fresh, int64_t n,
                         int64_t *restrict non_zero, int64_t *restrict changed)
{
    for (int64_t i = 0; i < n; i++) {
        non_zero[i] += fresh[i] != 0;
        changed[i] += fresh[i] != sent[i];
        sent[i] = fresh[i];
    }
}

static void encode_single(const run_t *run, int64_t place, single_t *single, int32_t *row)
{
    int64_t *saturated = single->counts;
    for (int32_t channel = 0; channel < run->channels; channel++) {
        const int32_t low = run->low[channel], high = run->high[channel];
        if (run->scale != 0.0) {
            const double scaled =
                floor(((const double *)run->x)[place + channel] * run->scale + 0.5);
            const double inside = scaled < low ? low : scaled > high ? high : scaled;
            saturated[channel] += inside != scaled;
            row[channel] = (int32_t)inside;
        } else {
            const int32_t given = ((const int32_t *)run->x)[place + channel];
            row[channel] = given < low ? low : given > high ? high : given;
            saturated[channel] += row[channel] != given;
        }
        single->messages[channel] = (int16_t)row[channel];
    }
    count_single(single->sent[run->populations], row, run->channels, saturated + run->channels,
                 saturated + 2 * run->channels);
}

static void update_population(const run_t *run, int32_t index, single_t *single, int64_t *counts,
                              int64_t sequence, int64_t step)
{
    const population_t *p = run->list + index;
    const int64_t lanes = padded(p->neurons);
    int32_t *states = single->states[index];
    sum_rows(p, single->messages, single->sums);
    neuron_updates[p->program](single->sums, p->row_parameters, states, single->fresh, (int)lanes);
    count_single(single->sent[index], single->fresh, p->neurons, counts, counts + p->neurons);
    if (p->first_pair >= 0)
        for (int64_t n = 0; n < p->neurons; n++)
            single->messages[2 * (int64_t)p->first_pair + n] = (int16_t)single->fresh[n];
    const int64_t place = (sequence * run->time + step) * p->neurons;
    const size_t size = (size_t)p->neurons * sizeof(int32_t);
    if (index == run->output)
        memcpy(run->outputs + place, single->fresh, size);
    if (p->record) {
        const int64_t plane = run->batch * run->time * p->neurons;
        for (int32_t s = 0; s <= p->states; s++)
            memcpy(p->record + s * plane + place,
                   s < p->states ? states + s * lanes : single->fresh, size);
    }
}

static void move_states(const run_t *run, single_t *single, int64_t sequence, int store)
{
    for (int32_t i = 0; i < run->populations; i++) {
        const population_t *p = run->list + i;
        const int64_t lanes = padded(p->neurons);
        for (int32_t s = 0; s < p->states; s++) {
            const int64_t place = ((int64_t)s * run->batch + sequence) * p->neurons;
            int32_t *own = single->states[i] + s * lanes;
            if (store)
                memcpy(p->final + place, own, (size_t)p->neurons * sizeof *own);
            else
                memcpy(own, p->initial + place, (size_t)p->neurons * sizeof *own);
            if (!store && s == p->message_state)
                for (int64_t n = 0; n < p->neurons; n++) {
                    single->sent[i][n] = own[n];
                    if (p->first_pair >= 0)
                        single->messages[2 * (int64_t)p->first_pair + n] = (int16_t)own[n];
                }
        }
    }
}

static void run_sequence(const run_t *run, single_t *single, int32_t *row, int64_t sequence)
{
    memset(single->messages, 0, (size_t)run->pairs * 2 * sizeof *single->messages);
    memset(single->sent[run->populations], 0, (size_t)run->channels * sizeof(int32_t));
    for (int32_t i = 0; i < run->populations; i++)
        memset(single->sent[i], 0, (size_t)padded(run->list[i].neurons) * sizeof(int32_t));
    move_states(run, single, sequence, 0);
    for (int64_t step = 0; step < run->lengths[sequence] && !stopped(run); step++) {
        int64_t *counts = single->counts + 3 * run->channels;
        encode_single(run, (sequence * run->time + step) * run->channels, single, row);
        for (int32_t i = 0; i < run->populations; i++) {
            update_population(run, i, single, counts, sequence, step);
            counts += 2 * run->list[i].neurons;
        }
    }
    if (run->lengths[sequence])
        move_states(run, single, sequence, 1);
    __atomic_fetch_add(&run->shared[1], run->lengths[sequence], __ATOMIC_RELAXED);
}

static void lay_out_single(const run_t *run, arena_t *arena, single_t *single, int32_t **row)
{
    const int64_t pointers = (run->populations + 1) * (int64_t)sizeof(int32_t *);
    int64_t rows = 1;
    for (int32_t i = 0; i < run->populations; i++) {
        const int64_t own = run->list[i].accumulators * padded(run->list[i].neurons);
        rows = own > rows ? own : rows;
    }
    single->messages = carve(arena, (int64_t)run->pairs * 2 * (int64_t)sizeof(int16_t));
    single->sums = carve(arena, rows * (int64_t)sizeof(int32_t));
    single->fresh = carve(arena, padded(widest(run)) * (int64_t)sizeof(int32_t));
    single->counts = carve(arena, counted(run) * (int64_t)sizeof(int64_t));
    single->states = carve(arena, pointers);
    single->sent = carve(arena, pointers);
    *row = carve(arena, run->channels * (int64_t)sizeof **row);
    lay_out_states(run, arena, single->states, single->sent, 1, ROW_LANES);
}

/* Runs sequences begin, begin + stride, ... one at a time. Returns as run_blocks. */
int32_t run_sequences(const run_t *run, int64_t begin, int64_t stride)
{
    arena_t arena = {NULL, 0};
    single_t single;
    int32_t *row;
    lay_out_single(run, &arena, &single, &row);
    arena.base = aligned_alloc(64, arena.used);
    if (!arena.base)
        return 2;
    memset(arena.base, 0, arena.used);
    arena.used = 0;
    lay_out_single(run, &arena, &single, &row);
    for (int64_t sequence = begin; sequence < run->batch && !stopped(run); sequence += stride)
        run_sequence(run, &single, row, sequence);
    add_all_counts(run, single.counts);
    free(arena.base);
    return stopped(run) ? 1 : 0;
}
