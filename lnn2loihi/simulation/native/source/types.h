/* The C engine: runs a LoihiProgram in sample time.
 *
 * The engine is compiled once for an instruction-set level; what stands above this text is
 * generated: LANES, the width of its blocks, and other constants, and the matrix kernels
 * of that level and width. Neuron programs are libraries of their own, called through the pointers of their populations. There is no global state: everything a
 * run needs is in its arguments, so that runs in several threads are independent of each other.
 */

/* Updates of one neuron in `lanes` sequences; and of `lanes` neurons in one sequence, or in flat
 * blocks of all neurons in several, a lane for each neuron and sequence.
 */
typedef void (*update_sequences_t)(const int32_t *sums, const int32_t *parameters,
                                   const int32_t *shifts, int32_t *states, int32_t *message,
                                   const int32_t *live, int64_t *saturated, int lanes);
typedef void (*update_neurons_t)(const int32_t *sums, const int32_t *parameters,
                                 const int32_t *shifts, int32_t *states, int32_t *message,
                                 int32_t *saturated, int lanes);
typedef void (*tile_t)(const int32_t *restrict, const int32_t *restrict, int,
                       const int16_t *restrict, int32_t *restrict, const int64_t *restrict);
typedef void (*rows_t)(const int32_t *restrict, const int32_t *restrict, int,
                       const int16_t *restrict, int32_t *restrict);

/* A kernel that all neurons of a population share, for one of their accumulators. */
typedef struct {
    int32_t tile_channels;          /* channels of a tile, which stand at one place */
    int32_t groups, inner, outer;   /* channels of the source and of the target in a group */
    int32_t height, width;          /* of the source */
    int32_t taps, across_taps;      /* places of the kernel, and those of one of its rows */
    int32_t across;                 /* windows side by side */
    int64_t first;                  /* message with which the source begins */
    const int32_t *tile_weights;    /* [tile][pair][channel] pairs of int16; many tiles share them */
    const int32_t *columns;         /* [tile][pair], counted from `offsets` */
    const int64_t *weight_starts, *column_starts, *pair_counts; /* (tiles,) */
    const int32_t *offsets;         /* (tiles,): the first pair */
    /* For single sequences: [channel of the source][place of the kernel][channel of the group], and
     * whether any of the last is not zero, [channel of the source][place of the kernel].
     */
    const int32_t *weights;
    const int8_t *used;
    /* The windows that a row and a column of the source lie in: starts, and for each its place in
     * the kernel and its window.
     */
    const int32_t *down_starts, *down_taps, *down_windows;
    const int32_t *across_starts, *across_of_tap, *across_windows;
} convolution_t;

typedef struct {
    int32_t neurons, accumulators, states, parameters;
    int32_t tile_neurons;   /* neurons whose rows a tile holds */
    int32_t first_pair;     /* where its messages begin among all pairs; -1: nobody reads them */
    int32_t message_state;  /* state word that keeps the message; -1: none */
    int32_t marks;          /* words whose saturations are counted */
    int32_t planes;         /* of `record`: the states, and the message where no state keeps it */
    int32_t places;         /* neurons of a channel that share a kernel; 0: they have rows */
    update_sequences_t update_sequences;
    update_neurons_t update_neurons;
    const int32_t *shifts;  /* the right shifts that differ between networks of a family */
    const int32_t *weights; /* [tile][pair][row] pairs of int16 */
    const int32_t *columns; /* [tile][pair] pair of message rows */
    const int64_t *weight_starts, *column_starts, *pair_counts; /* (tiles,) */
    const int32_t *parameter_values; /* [neuron][parameter] */
    const int32_t *row_weights;     /* single sequences: [tile][pair][row]; NULL: row_starts */
    const int32_t *row_columns;     /* (row_pairs,) pairs; or (synapses,) messages */
    int64_t row_pairs;
    const int64_t *row_starts;      /* (rows + 1,), rows are [accumulator][neuron]; NULL: kernels */
    const int16_t *row_values;      /* (synapses,) */
    const int32_t *row_parameters;  /* [parameter][padded neuron] */
    const int32_t *initial; /* [state][batch][neuron]; may be `final` */
    int32_t *final;         /* the same */
    int32_t *record;        /* [plane][batch][time][neuron], or NULL */
    int64_t *non_zero, *changed; /* (neurons,): messages, summed over steps and sequences */
    int64_t *saturated;     /* [neuron][mark]: updates in which a word saturated, likewise */
    const convolution_t *convolutions; /* (accumulators,), with a kernel */
    const int32_t *digit_bits; /* (neurons,) of the low digit: each message is a pair of digits;
                                * NULL: two messages are a pair */
} population_t;

/* Types of samples. */
enum { INT32, FLOAT64, FLOAT32 };

typedef struct {
    int64_t batch, time;
    int32_t channels, populations, pairs, output, kind;
    const void *x;          /* [batch][time][channel] of that kind */
    const double *gain, *offset; /* (channels,): floats become floor((x - offset) * gain + 0.5) */
    const int32_t *low, *high; /* (channels,) */
    const int64_t *lengths; /* (batch,) */
    int64_t *saturated;     /* (channels,) */
    int64_t *input_non_zero, *input_changed; /* (channels,) */
    int32_t *outputs;       /* [batch][time][output] */
    int64_t *step_totals;   /* [input, then population][non-zero, changed][time], or NULL */
    int64_t *shared;        /* {not 0: stop, steps done} */
    population_t *list;
    const int32_t *digit_bits; /* (channels,), as of a population */
} run_t;

/* The digits of a message that is wider than 16 bits: low + high * 2**bits. */
static inline int16_t low_digit(int32_t message, int32_t bits)
{
    return (int16_t)(message & ((1 << bits) - 1));
}

static inline int16_t high_digit(int32_t message, int32_t bits)
{
    return (int16_t)(message >> bits);
}

/* Columns of int16 that the samples of a step take. */
static inline int64_t input_columns(const run_t *run)
{
    return run->digit_bits ? 2 * (int64_t)run->channels : run->channels;
}

static inline int stopped(const run_t *run)
{
    return __atomic_load_n(&run->shared[0], __ATOMIC_RELAXED) != 0;
}

static inline void add_total(const run_t *run, int64_t source, int kind, int64_t step,
                             int64_t count)
{
    __atomic_fetch_add(&run->step_totals[(2 * source + kind) * run->time + step], count,
                       __ATOMIC_RELAXED);
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

/* Takes the memory that a first laying out asked for, zeroed; 0 if there is none. */
static int claim(arena_t *arena)
{
    arena->base = aligned_alloc(64, arena->used + 64);
    if (!arena->base)
        return 0;
    memset(arena->base, 0, arena->used);
    arena->used = 0;
    return 1;
}

static int64_t widest(const run_t *run)
{
    int64_t most = 1;
    for (int32_t i = 0; i < run->populations; i++)
        most = run->list[i].neurons > most ? run->list[i].neurons : most;
    return most;
}

static int64_t all_neurons(const run_t *run)
{
    int64_t count = 0;
    for (int32_t i = 0; i < run->populations; i++)
        count += run->list[i].neurons;
    return count;
}

/* Counters: saturated, non-zero and changed of inputs, then non-zero and changed of populations. */
static int64_t counters(const run_t *run)
{
    return 3 * (int64_t)run->channels + 2 * all_neurons(run);
}

/* Counts of saturated words of all populations. */
static int64_t all_marks(const run_t *run)
{
    int64_t count = 0;
    for (int32_t i = 0; i < run->populations; i++)
        count += (int64_t)run->list[i].neurons * run->list[i].marks;
    return count;
}

static void add_counts(int64_t *to, const int64_t *from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        __atomic_fetch_add(&to[i], from[i], __ATOMIC_RELAXED);
}

static void add_all_counts(const run_t *run, const int64_t *counts, const int64_t *saturated)
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
        add_counts(run->list[i].saturated, saturated, n * run->list[i].marks);
        saturated += n * run->list[i].marks;
    }
}
