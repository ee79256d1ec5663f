/* Samples to messages, one sequence after the other and several steps at once: rows of memory. */

/* The codec, repeated for the steps of a chunk: the channels of all its steps are one row. */
typedef struct {
    double *gain, *offset, *low, *high; /* [step][channel] */
} codec_t;

static void carve_codec(arena_t *arena, codec_t *codec, int64_t values)
{
    double **parts[] = {&codec->gain, &codec->offset, &codec->low, &codec->high};
    for (int k = 0; k < 4; k++)
        *parts[k] = carve(arena, values * (int64_t)sizeof(double));
}

static void fill_codec(const run_t *run, codec_t codec, int64_t steps)
{
    for (int64_t i = 0; i < steps * run->channels; i++) {
        codec.gain[i] = run->gain[i % run->channels];
        codec.offset[i] = run->offset[i % run->channels];
        codec.low[i] = run->low[i % run->channels];
        codec.high[i] = run->high[i % run->channels];
    }
}

/* Floats: rounded half up, saturated and counted. `row` is scratch: 16-bit and 64-bit lanes in
 * one loop would halve the width of vectors. */
#define ENCODE_FLOATS(name, type)                                                                 \
    static void name(const type *restrict x, codec_t codec, int64_t n, int32_t *restrict row,     \
                     int32_t *restrict saturated)                                                 \
    {                                                                                             \
        const double *restrict gain = codec.gain, *restrict offset = codec.offset;                \
        const double *restrict low = codec.low, *restrict high = codec.high;                      \
        for (int64_t i = 0; i < n; i++) {                                                         \
            const double scaled = floor(((double)x[i] - offset[i]) * gain[i] + 0.5);              \
            double inside = scaled < low[i] ? low[i] : scaled;                                    \
            inside = inside > high[i] ? high[i] : inside;                                         \
            saturated[i] += inside != scaled;                                                     \
            row[i] = (int32_t)inside;                                                             \
        }                                                                                         \
    }
ENCODE_FLOATS(encode_float64, double)
ENCODE_FLOATS(encode_float32, float)

static void encode_int32(const int32_t *restrict x, codec_t codec, int64_t n,
                         int32_t *restrict row, int32_t *restrict saturated)
{
    for (int64_t i = 0; i < n; i++) {
        const int32_t low = (int32_t)codec.low[i], high = (int32_t)codec.high[i];
        const int32_t inside = x[i] < low ? low : x[i] > high ? high : x[i];
        saturated[i] += inside != x[i];
        row[i] = inside;
    }
}

/* n values from `place` on, with the channels in turn. */
static void encode(const run_t *run, int64_t place, codec_t codec, int64_t n, int32_t *row,
                   int32_t *saturated)
{
    if (run->kind == FLOAT64)
        encode_float64((const double *)run->x + place, codec, n, row, saturated);
    else if (run->kind == FLOAT32)
        encode_float32((const float *)run->x + place, codec, n, row, saturated);
    else
        encode_int32((const int32_t *)run->x + place, codec, n, row, saturated);
}
