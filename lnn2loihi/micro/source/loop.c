/* Whole sequences in one call: samples to messages, the network's step, and its answers. */
#include <stdint.h>

#include "net.h"

int64_t state_bytes(void);
void begin(net_state *net);
void run(net_state *net, const double *sample, const double *offset, const double *gain,
         const double *low, const double *high, int64_t steps, int32_t *answer);

int64_t state_bytes(void)
{
    return (int64_t)sizeof(net_state);
}

void begin(net_state *net)
{
    net_reset(net);
}

/* Codecs of NET_INPUTS channels; samples [steps][NET_INPUTS], answers [steps][NET_OUTPUTS]. */
void run(net_state *net, const double *sample, const double *offset, const double *gain,
         const double *low, const double *high, int64_t steps, int32_t *answer)
{
    int32_t input[NET_INPUTS];
    int64_t t;
    int32_t i;
    for (t = 0; t < steps; t++) {
        for (i = 0; i < NET_INPUTS; i++) {
            const double value = ((sample[i] - offset[i]) * gain[i]) + 0.5;
            const double raised = (value > low[i]) ? value : low[i];
            const double inside = (raised < high[i]) ? raised : high[i];
            const int32_t whole = (int32_t)inside;
            input[i] = ((double)whole > inside) ? (whole - 1) : whole;
        }
        net_step(net, input, answer);
        sample += NET_INPUTS;
        answer += NET_OUTPUTS;
    }
}
