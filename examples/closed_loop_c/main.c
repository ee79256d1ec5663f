/* The network in C, in a process of its own: it reads samples and writes answers, as integers.

   A request is 1 for the first sample of an episode or 0, and POLICY_INPUTS encoded messages; the
   answer is POLICY_OUTPUTS messages. All are int32_t of this machine. It ends with its input. */
#include <stdint.h>
#include <stdio.h>

#include "policy.h"

int main(void)
{
    static policy_state policy;
    int32_t request[1 + POLICY_INPUTS];
    int32_t answer[POLICY_OUTPUTS];
    policy_reset(&policy);
    while (fread(request, sizeof request, 1, stdin) == 1) {
        if (request[0] != 0) {
            policy_reset(&policy);
        }
        policy_step(&policy, request + 1, answer);
        if (fwrite(answer, sizeof answer, 1, stdout) != 1 || fflush(stdout) != 0) {
            return 1;
        }
    }
    return 0;
}
