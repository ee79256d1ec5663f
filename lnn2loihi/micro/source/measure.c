/* How deep a step reaches into the stack: the bytes below are painted, and looked at afterwards. */
static uint8_t *stack_pointer(void)
{
    uint8_t *place;
#if defined(__arm__)
    __asm__ volatile("mov %0, sp" : "=r"(place));
#else
    __asm__ volatile("mv %0, sp" : "=r"(place));
#endif
    return place;
}
