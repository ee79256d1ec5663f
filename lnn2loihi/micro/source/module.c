/* What a page calls: it writes INPUTS encoded messages to input_words(), calls update(), and reads
   WORDS recorded words from record_words(). */
#define EXPORTED(name) __attribute__((export_name(#name)))

static net_state net;
static int32_t input[INPUTS], row[WORDS];

EXPORTED(input_words) int32_t *input_words(void)
{
    return input;
}

EXPORTED(record_words) int32_t *record_words(void)
{
    return row;
}

EXPORTED(restart) void restart(void)
{
    net_reset(&net);
}

EXPORTED(update) void update(void)
{
    net_update(&net, input);
    record(&net, row);
}
