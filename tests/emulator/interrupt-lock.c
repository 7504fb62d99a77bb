/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A plugin for QEMU (docs/devel/tcg-plugins) that takes a lock which QEMU forgets.
 *
 * A guest of an emulated hypervisor that writes CR8 while an interrupt waits for it has that interrupt
 * raised by helper_write_crN() (target/i386/tcg/system/misc_helper.c) without the big lock, and the handler
 * of interrupts ends QEMU for it. UEFI firmware writes CR8 at the end of every interrupt. This stands
 * between the two and takes the lock. Seen in QEMU 10.0, and in the code of 11.1.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct CPUState CPUState;
typedef void Handler(CPUState *cpu, int mask);

/* What QEMU exports: to plugins, and to its own modules. */
void qemu_plugin_register_vcpu_init_cb(uint64_t id, void (*callback)(uint64_t id, unsigned int vcpu));
bool bql_locked(void);
void bql_lock_impl(const char *file, int line);
void bql_unlock(void);
void *cpus_get_accel(void);
Handler tcg_handle_interrupt;

/* The interface of QEMU 9.0 is enough. */
__attribute__((visibility("default"))) int qemu_plugin_version = 2;

static void handle_interrupt(CPUState *cpu, int mask)
{
    bool locked = bql_locked();
    if (!locked) {
        bql_lock_impl(__FILE__, __LINE__);
    }
    tcg_handle_interrupt(cpu, mask);
    if (!locked) {
        bql_unlock();
    }
}

/* The accelerator's operations are a structure of pointers, no shorter than this; which of them the handler is
 * no interface says. */
enum { POINTERS = 30 };

static void vcpu_init(uint64_t id, unsigned int vcpu)
{
    (void)id;
    (void)vcpu;
    Handler **operations = cpus_get_accel();
    for (int i = 0; i < POINTERS; i++) {
        if (operations[i] == tcg_handle_interrupt) {
            operations[i] = handle_interrupt;
        }
        if (operations[i] == handle_interrupt) {
            return;
        }
    }
    fputs("interrupt-lock: this QEMU keeps its handler of interrupts elsewhere\n", stderr);
    exit(1);
}

__attribute__((visibility("default"))) int qemu_plugin_install(uint64_t id, const void *info, int count,
                                                               char **values)
{
    (void)info;
    (void)count;
    (void)values;
    qemu_plugin_register_vcpu_init_cb(id, vcpu_init);
    return 0;
}
