/* Reads standard input and writes standard output through Linux's calls, without a C library: what
   runs is the code of a bare part, and user-mode emulators answer the calls. Numbers of calls are
   those of Linux's tables for 32-bit Arm and for RISC-V. */
#if defined(__arm__)
#define CALL_EXIT 1
#define CALL_READ 3
#define CALL_WRITE 4
static int32_t call(int32_t number, int32_t first, int32_t second, int32_t third)
{
    register int32_t r0 __asm__("r0") = first;
    register int32_t r1 __asm__("r1") = second;
    register int32_t r2 __asm__("r2") = third;
    /* r7 takes the number, and may be the compiler's frame pointer. */
    __asm__ volatile("push {r7}\n\tmov r7, %3\n\tsvc 0\n\tpop {r7}"
                     : "+r"(r0)
                     : "r"(r1), "r"(r2), "r"(number)
                     : "memory");
    return r0;
}
#elif defined(__riscv)
#define CALL_EXIT 93
#define CALL_READ 63
#define CALL_WRITE 64
static int32_t call(int32_t number, int32_t first, int32_t second, int32_t third)
{
    register int32_t a0 __asm__("a0") = first;
    register int32_t a1 __asm__("a1") = second;
    register int32_t a2 __asm__("a2") = third;
    register int32_t a7 __asm__("a7") = number;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
    return a0;
}
#else
#error "no system calls are known for this processor"
#endif

static int32_t pull(void *to, int32_t count)
{
    return call(CALL_READ, 0, (int32_t)(intptr_t)to, count);
}

static int32_t push(const void *from, int32_t count)
{
    return call(CALL_WRITE, 1, (int32_t)(intptr_t)from, count);
}

int32_t run(void);
void _start(void);

void _start(void)
{
    (void)call(CALL_EXIT, run(), 0, 0);
    for (;;) {
    }
}
