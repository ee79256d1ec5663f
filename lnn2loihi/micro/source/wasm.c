/* Reads and writes through two functions of whoever runs the module. */
__attribute__((import_module("host"), import_name("pull"))) int32_t pull(void *to, int32_t count);
__attribute__((import_module("host"), import_name("push"))) int32_t push(const void *from,
                                                                        int32_t count);
__attribute__((export_name("run"))) int32_t run(void);
