/* Reads standard input and writes standard output, where there is an operating system. */
#include <unistd.h>

static int32_t pull(void *to, int32_t count)
{
    return (int32_t)read(0, to, (size_t)count);
}

static int32_t push(const void *from, int32_t count)
{
    return (int32_t)write(1, from, (size_t)count);
}

int32_t run(void);

int main(void)
{
    return (int)run();
}
