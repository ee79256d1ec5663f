/* Whole records from and to what pull and push move in pieces. */
#define ROOM 65536

static uint8_t inbox[ROOM], outbox[ROOM];
static int32_t in_at, in_end, out_end;

/* 1, or 0 where the input has ended. */
static int32_t take(void *to, int32_t count)
{
    uint8_t *bytes = (uint8_t *)to;
    int32_t i;
    for (i = 0; i < count; i++) {
        if (in_at == in_end) {
            in_end = pull(inbox, ROOM);
            in_at = 0;
            if (in_end <= 0) {
                in_end = 0;
                return 0;
            }
        }
        bytes[i] = inbox[in_at++];
    }
    return 1;
}

/* 1, or 0 where nobody takes it. */
static int32_t flush(void)
{
    int32_t done = 0;
    while (done < out_end) {
        int32_t count = push(outbox + done, out_end - done);
        if (count <= 0) {
            return 0;
        }
        done += count;
    }
    out_end = 0;
    return 1;
}

static int32_t give(const void *from, int32_t count)
{
    const uint8_t *bytes = (const uint8_t *)from;
    int32_t i;
    for (i = 0; i < count; i++) {
        if (out_end == ROOM && flush() == 0) {
            return 0;
        }
        outbox[out_end++] = bytes[i];
    }
    return 1;
}
