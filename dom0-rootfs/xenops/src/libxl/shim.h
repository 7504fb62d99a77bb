/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The whole of libxl that Xenith uses, in terms of integers and strings, so that the C compiler
 * checks every libxl type against the headers and Rust has none to describe.
 *
 * A context belongs to one thread at a time. Functions that return int return 0 or a libxl error
 * (negative). Functions that return char * return malloc'ed text, or NULL on failure.
 */
#ifndef XENITH_SHIM_H
#define XENITH_SHIM_H

#include <stdint.h>

struct xenith_ctx;

/* Opens a context; NULL on failure. verbose: log libxl's debug messages too. */
struct xenith_ctx *xenith_open(int verbose);
void xenith_close(struct xenith_ctx *x);

/* Forgets, or returns, the first error message that libxl logged; "" if none. */
void xenith_forget_error(struct xenith_ctx *x);
const char *xenith_first_error(const struct xenith_ctx *x);

/* Builds a domain, left paused, from a libxl_domain_config in JSON. */
int xenith_create(struct xenith_ctx *x, const char *json, uint32_t *domid);
int xenith_unpause(struct xenith_ctx *x, uint32_t domid);
int xenith_pause(struct xenith_ctx *x, uint32_t domid);
/* Ask the guest; an HVM guest without PV drivers gets the ACPI button. */
int xenith_shutdown(struct xenith_ctx *x, uint32_t domid);
int xenith_reboot(struct xenith_ctx *x, uint32_t domid);
int xenith_destroy(struct xenith_ctx *x, uint32_t domid);
/* Has Xen take a domain apart, and nothing else; one that is not there is no error. */
int xenith_take_apart(struct xenith_ctx *x, uint32_t domid);
/* Takes a disk that QEMU serves from a domain, whatever the guest says. */
int xenith_disk_destroy(struct xenith_ctx *x, uint32_t domid, const char *vdev);
/* What lies in an emulated CD drive, in JSON as libxl_device_disk has it. */
int xenith_cdrom_insert(struct xenith_ctx *x, uint32_t domid, const char *json);

/* Asked about twice a second while a long operation runs: 0 if it is not wanted any more. */
typedef int xenith_wanted(void *user);
/* The guest did not do in time what it was asked for. */
#define XENITH_TIMED_OUT 1
/* The operation was not wanted any more. */
#define XENITH_STOPPED 2

/*
 * Writes a guest to fd and leaves its domain suspended; XENITH_TIMED_OUT, or XENITH_STOPPED with
 * the domain suspended or not.
 */
int xenith_suspend(struct xenith_ctx *x, uint32_t domid, int fd, xenith_wanted *wanted,
                   void *user);
/* Lets a suspended domain run on where it is. */
int xenith_resume(struct xenith_ctx *x, uint32_t domid);
/* Like xenith_create, with memory and state read from fd; XENITH_STOPPED leaves no domain. */
int xenith_restore(struct xenith_ctx *x, const char *json, int fd, uint32_t *domid,
                   xenith_wanted *wanted, void *user);
/* The first count virtual CPUs are online. */
int xenith_set_memory_target(struct xenith_ctx *x, uint32_t domid, uint64_t kib);
int xenith_set_scheduling(struct xenith_ctx *x, uint32_t domid, int weight, int cap);
int xenith_sysrq(struct xenith_ctx *x, uint32_t domid, char key);
int xenith_trigger(struct xenith_ctx *x, uint32_t domid, const char *name);
int xenith_dump_core(struct xenith_ctx *x, uint32_t domid, const char *file);
int xenith_set_vcpus(struct xenith_ctx *x, uint32_t domid, int count);

/* 1 if it exists, 0 if not, negative on failure. */
int xenith_exists(struct xenith_ctx *x, uint32_t domid);

/* libxl_dominfo of every domain as a JSON array. */
char *xenith_domains(struct xenith_ctx *x);
/*
 * What CPUs and domains have used, in JSON: "cpus" has the idle time of each physical CPU and
 * "domains" a list of domid, uuid, paused, memory_kib, online (virtual CPUs), runnable (those that
 * run or could), and vcpus, the time that each ran. Times are in nanoseconds.
 */
char *xenith_usage(struct xenith_ctx *x);
/* libxl_physinfo and libxl_version_info in JSON. */
char *xenith_physinfo(struct xenith_ctx *x);
char *xenith_version(struct xenith_ctx *x);
/* What is in the ring of Xen's console, which is then emptied if clear is not 0. */
char *xenith_console_ring(struct xenith_ctx *x, int clear);
/* Presses keys of Xen's debug console. */
int xenith_debug_keys(struct xenith_ctx *x, const char *keys);
/* A configuration as libxl understood it. */
char *xenith_understood(struct xenith_ctx *x, const char *json);

void xenith_free(char *text);

#endif
