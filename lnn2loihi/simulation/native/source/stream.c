/* Streams: a single sequence that goes on from call to call, a sample each, in scratch that is the
 * caller's. Nothing is allocated, and nothing is copied that nobody has asked for. */

typedef struct {
    const run_t *run;       /* of one sequence and one step */
    char *scratch;          /* stream_bytes of zeros, aligned to 64 */
    int64_t updates;        /* of a sample */
    int64_t done;           /* updates since running counts were added up */
    const double *scale, *offset; /* (outputs,): of the decoder; offset NULL: nothing is added */
    double *decoded;        /* (outputs,) */
    single_t *single;       /* in the scratch */
} stream_t;

static single_t *lay_out_stream(const run_t *run, arena_t *arena)
{
    single_t none, *single = carve(arena, sizeof none);
    lay_out_single(run, arena, single ? single : &none);
    return single;
}

int64_t stream_bytes(const run_t *run)
{
    arena_t arena = {NULL, 0};
    lay_out_stream(run, &arena);
    return (int64_t)arena.used;
}

/* Begins with the initial states, and with counts of 0. */
void stream_start(stream_t *stream)
{
    arena_t arena = {stream->scratch, 0};
    stream->single = lay_out_stream(stream->run, &arena);
    stream->done = 0;
    fill_codec(stream->run, stream->single->codec, 1);
    start_single(stream->run, stream->single, 0);
}

/* Answers the sample at run->x, in run->outputs and decoded. Returns 1, and changes nothing, if a
 * value of it is NaN or infinite. */
int32_t stream_step(stream_t *stream)
{
    const run_t *run = stream->run;
    if (run->kind == FLOAT64) {
        /* What is not finite is so after a subtraction from itself, and in every sum. */
        const double *x = run->x;
        double sum = 0.0;
        for (int32_t c = 0; c < run->channels; c++)
            sum += x[c] - x[c];
        if (sum != 0.0)
            return 1;
    }
    for (int64_t update = 0; update < stream->updates; update++) {
        step_single(run, stream->single, 0, 0);
        if (++stream->done == COUNT_STEPS) {
            settle_single(run, stream->single);
            stream->done = 0;
        }
    }
    const int32_t neurons = run->list[run->output].neurons;
    for (int32_t n = 0; n < neurons; n++)
        stream->decoded[n] = (double)run->outputs[n] * stream->scale[n];
    if (stream->offset)
        for (int32_t n = 0; n < neurons; n++)
            stream->decoded[n] += stream->offset[n];
    return 0;
}

/* Writes the states to where a sequence ends, and adds what was counted since the last call. */
void stream_read(stream_t *stream)
{
    single_t *single = stream->single;
    settle_single(stream->run, single);
    stream->done = 0;
    finish_single(stream->run, single, 0);
    add_all_counts(stream->run, single->counts, single->lost_in_all);
    memset(single->counts, 0, (size_t)counters(stream->run) * sizeof(int64_t));
    memset(single->lost_in_all, 0, (size_t)all_marks(stream->run) * sizeof(int64_t));
}
