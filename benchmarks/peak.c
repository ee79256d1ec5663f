/* Register microkernels: what one core does at best, with no load, store or branch in the way.
 *
 * Each function runs `rounds` times 12 independent chains of one operation. The operands are
 * zeros, which no CPU treats differently.
 */

#include <immintrin.h>
#include <stdint.h>

#define CHAINS(step) step(0) step(1) step(2) step(3) step(4) step(5) \
    step(6) step(7) step(8) step(9) step(10) step(11)
#define NAME(n) a##n = zero,
#define DECLARE(type) type NAME(0) NAME(1) NAME(2) NAME(3) NAME(4) NAME(5) \
    NAME(6) NAME(7) NAME(8) NAME(9) NAME(10) a11 = zero

#define PEAK(name, instructions, type, set, step)                                      \
    __attribute__((target(instructions))) void name(int64_t rounds)                    \
    {                                                                                  \
        const type zero = set();                                                       \
        type b = zero, c = zero;                                                       \
        DECLARE(type);                                                                 \
        __asm__ volatile("" : "+x"(b), "+x"(c));                                       \
        for (int64_t i = 0; i < rounds; i++) {                                         \
            CHAINS(step)                                                               \
        }                                                                              \
    }

#define VNNI(n) __asm__ volatile("vpdpwssd %1, %2, %0" : "+v"(a##n) : "v"(b), "v"(c));
#define FMA(n) __asm__ volatile("vfmadd231ps %1, %2, %0" : "+v"(a##n) : "v"(b), "v"(c));
#define MULTIPLY(n) __asm__ volatile("vpmulld %1, %0, %0" : "+v"(a##n) : "v"(b));
#define MADD(n)                                                                        \
    {                                                                                  \
        type_of_madd product;                                                          \
        __asm__ volatile("vpmaddwd %2, %3, %1\n\tvpaddd %1, %0, %0"                    \
                         : "+x"(a##n), "=&x"(product)                                  \
                         : "x"(b), "x"(c));                                            \
    }

typedef __m256i type_of_madd;

PEAK(int16_avx512vnni, "avx512f,avx512bw,avx512vnni", __m512i, _mm512_setzero_si512, VNNI)
PEAK(int16_avx2, "avx2", __m256i, _mm256_setzero_si256, MADD)
PEAK(fp32_avx512vnni, "avx512f", __m512, _mm512_setzero_ps, FMA)
PEAK(fp32_avx2, "avx2,fma", __m256, _mm256_setzero_ps, FMA)
PEAK(int32_avx512vnni, "avx512f", __m512i, _mm512_setzero_si512, MULTIPLY)
PEAK(int32_avx2, "avx2", __m256i, _mm256_setzero_si256, MULTIPLY)
