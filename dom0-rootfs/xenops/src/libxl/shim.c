/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* See shim.h. */
#define LIBXL_API_VERSION 0x041800
#include <libxl.h>
#include <libxl_event.h>
#include <libxl_utils.h>
#include <xenctrl.h>

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "shim.h"

/* Exit status when libxl has lost track of its own events or children. */
#define DISASTER 70
/* How often somebody looks whether a long operation is still wanted. */
#define LOOK_MS 500

/* Starts with the vtable: libxl sees it as a xentoollog_logger. */
struct logger {
    xentoollog_logger vtable;
    xentoollog_level least;
    char first_error[512];
};

struct xenith_ctx {
    struct logger logger;
    libxl_ctx *ctx;
    xc_interface *xc; /* Opened when it is needed. */
};

/*
 * libxl forks without exec and logs in the child, so neither malloc nor a lock may be used here:
 * one buffer on the stack, one write. The child's copy of first_error is its own.
 */
static void log_message(xentoollog_logger *base, xentoollog_level level, int errnoval,
                        const char *context, const char *format, va_list arguments)
{
    struct logger *logger = (struct logger *)base;
    char line[1024];
    const int room = sizeof line - 1;
    int start, used;

    if (level < logger->least)
        return;
    start = snprintf(line, room, "%s: %s: ", context ? context : "xen",
                     xtl_level_to_string(level));
    used = start;
    if (used < room) {
        int more = vsnprintf(line + used, room - used, format, arguments);
        used = more < 0 ? used : used + more;
    }
    if (used < room && errnoval >= 0)
        used += snprintf(line + used, room - used, ": %s", strerror(errnoval));
    if (used >= room)
        used = room - 1;
    /* The first error is the cause; those after it say what came of it. */
    if (level >= XTL_ERROR && used > start && !logger->first_error[0])
        snprintf(logger->first_error, sizeof logger->first_error, "%.*s", used - start,
                 line + start);
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, used) < 0)
        return; /* Nowhere left to say so. */
}

/* Nobody reads progress bars here. */
static void log_progress(xentoollog_logger *base, const char *context, const char *doing,
                         int percent, unsigned long done, unsigned long total)
{
    (void)base, (void)context, (void)doing, (void)percent, (void)done, (void)total;
}

static void log_destroy(xentoollog_logger *base)
{
    (void)base; /* Part of xenith_ctx. */
}

/* No event can be trusted any more: end, so that the daemon starts a new worker. */
static void disaster(void *user, libxl_event_type type, const char *message, int errnoval)
{
    xentoollog_logger *logger = user;
    xtl_log(logger, XTL_CRITICAL, errnoval, "libxl", "disaster (event type %d): %s", type,
            message);
    _exit(DISASTER);
}

static const libxl_event_hooks event_hooks = { .disaster = disaster };

/* The default mode takes child statuses that are not libxl's; this one reaps its own only. */
static const libxl_childproc_hooks child_hooks = {
    .chldowner = libxl_sigchld_owner_libxl_always_selective_reap,
};

struct xenith_ctx *xenith_open(int verbose)
{
    struct xenith_ctx *x = calloc(1, sizeof *x);

    if (!x)
        return NULL;
    x->logger.vtable.vmessage = log_message;
    x->logger.vtable.progress = log_progress;
    x->logger.vtable.destroy = log_destroy;
    x->logger.least = verbose ? XTL_DEBUG : XTL_WARN;
    if (libxl_ctx_alloc(&x->ctx, LIBXL_VERSION, 0, &x->logger.vtable)) {
        free(x);
        return NULL;
    }
    libxl_childproc_setmode(x->ctx, &child_hooks, NULL);
    libxl_event_register_callbacks(x->ctx, &event_hooks, &x->logger.vtable);
    return x;
}

void xenith_close(struct xenith_ctx *x)
{
    if (x->xc)
        xc_interface_close(x->xc);
    libxl_ctx_free(x->ctx);
    free(x);
}

void xenith_forget_error(struct xenith_ctx *x)
{
    x->logger.first_error[0] = '\0';
}

const char *xenith_first_error(const struct xenith_ctx *x)
{
    return x->logger.first_error;
}

int xenith_create(struct xenith_ctx *x, const char *json, uint32_t *domid)
{
    libxl_domain_config config;
    int rc;

    libxl_domain_config_init(&config);
    rc = libxl_domain_config_from_json(x->ctx, &config, json);
    if (!rc)
        rc = libxl_domain_create_new(x->ctx, &config, domid, NULL, NULL);
    libxl_domain_config_dispose(&config);
    return rc;
}

int xenith_unpause(struct xenith_ctx *x, uint32_t domid)
{
    return libxl_domain_unpause(x->ctx, domid, NULL);
}

int xenith_pause(struct xenith_ctx *x, uint32_t domid)
{
    return libxl_domain_pause(x->ctx, domid, NULL);
}

int xenith_shutdown(struct xenith_ctx *x, uint32_t domid)
{
    int rc = libxl_domain_shutdown(x->ctx, domid, NULL);

    if (rc == ERROR_NOPARAVIRT)
        rc = libxl_send_trigger(x->ctx, domid, LIBXL_TRIGGER_POWER, 0, NULL);
    return rc;
}

int xenith_reboot(struct xenith_ctx *x, uint32_t domid)
{
    int rc = libxl_domain_reboot(x->ctx, domid, NULL);

    if (rc == ERROR_NOPARAVIRT)
        rc = libxl_send_trigger(x->ctx, domid, LIBXL_TRIGGER_RESET, 0, NULL);
    return rc;
}

int xenith_destroy(struct xenith_ctx *x, uint32_t domid)
{
    return libxl_domain_destroy(x->ctx, domid, NULL);
}

/* Opens Xen's own interface, once. */
static xc_interface *xen(struct xenith_ctx *x)
{
    if (!x->xc)
        x->xc = xc_interface_open(&x->logger.vtable, &x->logger.vtable, 0);
    return x->xc;
}

int xenith_take_apart(struct xenith_ctx *x, uint32_t domid)
{
    if (!xen(x))
        return ERROR_FAIL;
    if (!xc_domain_destroy(x->xc, domid) || errno == ESRCH)
        return 0;
    xtl_log(&x->logger.vtable, XTL_ERROR, errno, "xc", "destroying domain %" PRIu32, domid);
    return ERROR_FAIL;
}

int xenith_disk_destroy(struct xenith_ctx *x, uint32_t domid, const char *vdev)
{
    libxl_device_disk disk;
    int rc;

    libxl_device_disk_init(&disk);
    rc = libxl_vdev_to_device_disk(x->ctx, domid, vdev, &disk);
    if (!rc)
        rc = libxl_device_disk_destroy(x->ctx, domid, &disk, NULL);
    libxl_device_disk_dispose(&disk);
    return rc;
}

int xenith_cdrom_insert(struct xenith_ctx *x, uint32_t domid, const char *json)
{
    libxl_device_disk disk;
    int rc;

    libxl_device_disk_init(&disk);
    rc = libxl_device_disk_from_json(x->ctx, &disk, json);
    if (!rc)
        rc = libxl_cdrom_insert(x->ctx, domid, &disk, NULL);
    libxl_device_disk_dispose(&disk);
    return rc;
}

/* A long operation that libxl runs while this thread looks on. */
struct long_run {
    int done;
    int rc;
    int aborted;
};

static void long_run_done(libxl_ctx *ctx, int rc, void *for_callback)
{
    struct long_run *run = for_callback;

    (void)ctx;
    run->done = 1;
    run->rc = rc;
}

static libxl_asyncop_how how_of(struct long_run *run)
{
    libxl_asyncop_how how = { .callback = long_run_done, .u.for_callback = run };

    return how;
}

/* Waits for what libxl waits for, at most until somebody has to look again; an error of libxl or 0. */
static int wait_once(struct xenith_ctx *x, struct pollfd **fds, int *room)
{
    struct timeval now;
    int count, timeout, rc;

    for (;;) {
        count = *room;
        timeout = LOOK_MS;
        gettimeofday(&now, NULL);
        rc = libxl_osevent_beforepoll(x->ctx, &count, *fds, &timeout, now);
        if (rc != ERROR_BUFFERFULL)
            break;
        struct pollfd *more = realloc(*fds, count * sizeof *more);
        if (!more)
            return ERROR_NOMEM;
        *fds = more;
        *room = count;
    }
    if (rc)
        return rc;
    if (timeout < 0 || timeout > LOOK_MS)
        timeout = LOOK_MS;
    if (poll(*fds, count, timeout) < 0 && errno != EINTR) {
        xtl_log(&x->logger.vtable, XTL_ERROR, errno, "libxl", "waiting for its events");
        return ERROR_FAIL;
    }
    gettimeofday(&now, NULL);
    libxl_osevent_afterpoll(x->ctx, count, *fds, now);
    return 0;
}

/*
 * Follows a long operation that was begun with how_of(run) to its end, whatever happens: until
 * then libxl has what its arguments point to. Asks `wanted` now and then, and aborts the operation
 * once it is not wanted any more; one that fails after that has XENITH_STOPPED, for libxl does not
 * always say ERROR_ABORTED.
 */
static int follow(struct xenith_ctx *x, struct long_run *run, xenith_wanted *wanted, void *user)
{
    libxl_asyncop_how how = how_of(run);
    struct pollfd *fds = NULL;
    int room = 0;

    while (!run->done) {
        int rc = wait_once(x, &fds, &room);

        /* The operation cannot be ended without its events, nor left behind. */
        if (rc)
            disaster(&x->logger.vtable, 0, "following a long operation", errno);
        if (!run->done && !wanted(user) && !run->aborted)
            run->aborted = !libxl_ao_abort(x->ctx, &how);
    }
    free(fds);
    return run->rc && run->aborted ? XENITH_STOPPED : run->rc;
}

int xenith_suspend(struct xenith_ctx *x, uint32_t domid, int fd, xenith_wanted *wanted,
                   void *user)
{
    struct long_run run = { 0 };
    libxl_asyncop_how how = how_of(&run);
    int rc = libxl_domain_suspend(x->ctx, domid, fd, 0, &how);

    if (!rc)
        rc = follow(x, &run, wanted, user);
    return rc == ERROR_GUEST_TIMEDOUT ? XENITH_TIMED_OUT : rc;
}

int xenith_resume(struct xenith_ctx *x, uint32_t domid)
{
    return libxl_domain_resume(x->ctx, domid, 1, NULL);
}

int xenith_restore(struct xenith_ctx *x, const char *json, int fd, uint32_t *domid,
                   xenith_wanted *wanted, void *user)
{
    libxl_domain_config config;
    libxl_domain_restore_params params;
    struct long_run run = { 0 };
    libxl_asyncop_how how = how_of(&run);
    int rc;

    *domid = INVALID_DOMID;

    libxl_domain_config_init(&config);
    libxl_domain_restore_params_init(&params);
    params.stream_version = 2;
    rc = libxl_domain_config_from_json(x->ctx, &config, json);
    if (!rc)
        rc = libxl_domain_create_restore(x->ctx, &config, domid, fd, -1, &params, &how, NULL);
    if (!rc)
        rc = follow(x, &run, wanted, user);
    /* libxl removes what it could not build, but not always what it was told to leave off. */
    if (rc == XENITH_STOPPED && libxl_domid_valid_guest(*domid) && xenith_exists(x, *domid)
        && libxl_domain_destroy(x->ctx, *domid, NULL))
        rc = ERROR_FAIL;
    libxl_domain_restore_params_dispose(&params);
    libxl_domain_config_dispose(&config);
    return rc;
}

int xenith_set_vcpus(struct xenith_ctx *x, uint32_t domid, int count)
{
    libxl_bitmap map;
    int rc, i;

    libxl_bitmap_init(&map);
    rc = libxl_bitmap_alloc(x->ctx, &map, count);
    for (i = 0; !rc && i < count; i++)
        libxl_bitmap_set(&map, i);
    if (!rc)
        rc = libxl_set_vcpuonline(x->ctx, domid, &map, NULL);
    libxl_bitmap_dispose(&map);
    return rc;
}

int xenith_set_memory_target(struct xenith_ctx *x, uint32_t domid, uint64_t kib)
{
    return libxl_set_memory_target(x->ctx, domid, (int64_t)kib, 0, 1);
}

/* A negative number leaves what there is. */
int xenith_set_scheduling(struct xenith_ctx *x, uint32_t domid, int weight, int cap)
{
    libxl_domain_sched_params params;
    int rc;

    libxl_domain_sched_params_init(&params);
    rc = libxl_domain_sched_params_get(x->ctx, domid, &params);
    if (!rc && weight >= 0)
        params.weight = weight;
    if (!rc && cap >= 0)
        params.cap = cap;
    if (!rc)
        rc = libxl_domain_sched_params_set(x->ctx, domid, &params);
    libxl_domain_sched_params_dispose(&params);
    return rc;
}

int xenith_sysrq(struct xenith_ctx *x, uint32_t domid, char key)
{
    return libxl_send_sysrq(x->ctx, domid, key);
}

int xenith_trigger(struct xenith_ctx *x, uint32_t domid, const char *name)
{
    libxl_trigger trigger;
    int rc = libxl_trigger_from_string(name, &trigger);

    return rc ? rc : libxl_send_trigger(x->ctx, domid, trigger, 0, NULL);
}

int xenith_dump_core(struct xenith_ctx *x, uint32_t domid, const char *file)
{
    return libxl_domain_core_dump(x->ctx, domid, file, NULL);
}

int xenith_exists(struct xenith_ctx *x, uint32_t domid)
{
    int rc = libxl_domain_info(x->ctx, NULL, domid);

    return rc == ERROR_DOMAIN_NOTFOUND ? 0 : rc ? rc : 1;
}

char *xenith_domains(struct xenith_ctx *x)
{
    int count = 0, i;
    libxl_dominfo *list = libxl_list_domain(x->ctx, &count);
    char *text = NULL;
    size_t length = 0;
    FILE *out;

    if (!list)
        return NULL;
    out = open_memstream(&text, &length);
    if (out) {
        int ok = fputc('[', out) != EOF;

        for (i = 0; ok && i < count; i++) {
            char *one = libxl_dominfo_to_json(x->ctx, &list[i]);

            ok = one && fprintf(out, "%s%s", i ? "," : "", one) > 0;
            free(one);
        }
        ok = ok && fputc(']', out) != EOF;
        if (fclose(out) || !ok) {
            free(text);
            text = NULL;
        }
    }
    libxl_dominfo_list_free(list, count);
    return text;
}

/* The top bit can be left over from an update of the times. */
#define TIME_BITS (~0ULL >> 1)

/* False if the memory for the text ran out; the domain may go meanwhile, then it has no CPUs. */
static int print_usage(struct xenith_ctx *x, FILE *out, const libxl_dominfo *domain)
{
    uint32_t i, online = 0, runnable = 0;
    int ok = fprintf(out,
                     "{\"domid\":%" PRIu32 ",\"uuid\":\"" LIBXL_UUID_FMT
                     "\",\"paused\":%s,\"memory_kib\":%" PRIu64 ",\"vcpus\":[",
                     domain->domid, LIBXL_UUID_BYTES(domain->uuid),
                     domain->paused ? "true" : "false", domain->current_memkb) > 0;

    for (i = 0; ok && i <= domain->vcpu_max_id; i++) {
        xc_vcpuinfo_t vcpu;

        if (xc_vcpu_getinfo(x->xc, domain->domid, i, &vcpu))
            break;
        online += vcpu.online;
        runnable += vcpu.online && !vcpu.blocked;
        ok = fprintf(out, "%s%llu", i ? "," : "",
                     (unsigned long long)(vcpu.cpu_time & TIME_BITS)) > 0;
    }
    return ok && fprintf(out, "],\"online\":%" PRIu32 ",\"runnable\":%" PRIu32 "}", online,
                         runnable) > 0;
}

/* The idle time of each physical CPU; those that are offline have none. */
static int print_idle(struct xenith_ctx *x, FILE *out)
{
    libxl_physinfo physical;
    xc_cpuinfo_t *cpus = NULL;
    int count = 0, i, ok;

    libxl_physinfo_init(&physical);
    ok = !libxl_get_physinfo(x->ctx, &physical);
    if (ok)
        cpus = calloc(physical.max_cpu_id + 1, sizeof *cpus);
    ok = cpus && !xc_getcpuinfo(x->xc, physical.max_cpu_id + 1, cpus, &count);
    for (i = 0; ok && i < count; i++)
        ok = fprintf(out, "%s%llu", i ? "," : "",
                     (unsigned long long)(cpus[i].idletime & TIME_BITS)) > 0;
    free(cpus);
    libxl_physinfo_dispose(&physical);
    return ok;
}

char *xenith_usage(struct xenith_ctx *x)
{
    int count = 0, i, ok;
    libxl_dominfo *list;
    char *text = NULL;
    size_t length = 0;
    FILE *out;

    if (!xen(x))
        return NULL;
    list = libxl_list_domain(x->ctx, &count);
    if (!list)
        return NULL;
    out = open_memstream(&text, &length);
    if (out) {
        ok = fputs("{\"cpus\":[", out) != EOF && print_idle(x, out)
            && fputs("],\"domains\":[", out) != EOF;
        for (i = 0; ok && i < count; i++) {
            if (list[i].dying)
                continue;
            /* Dom0 comes first and never dies. */
            ok = (!i || fputc(',', out) != EOF) && print_usage(x, out, &list[i]);
        }
        ok = ok && fputs("]}", out) != EOF;
        if (fclose(out) || !ok) {
            free(text);
            text = NULL;
        }
    }
    libxl_dominfo_list_free(list, count);
    return text;
}

char *xenith_physinfo(struct xenith_ctx *x)
{
    libxl_physinfo info;
    char *text = NULL;

    libxl_physinfo_init(&info);
    if (!libxl_get_physinfo(x->ctx, &info))
        text = libxl_physinfo_to_json(x->ctx, &info);
    libxl_physinfo_dispose(&info);
    return text;
}

char *xenith_version(struct xenith_ctx *x)
{
    const libxl_version_info *info = libxl_get_version_info(x->ctx);

    return info ? libxl_version_info_to_json(x->ctx, (libxl_version_info *)info) : NULL;
}

char *xenith_console_ring(struct xenith_ctx *x, int clear)
{
    libxl_xen_console_reader *reader = libxl_xen_console_read_start(x->ctx, clear ? 1 : 0);
    char *text = NULL, *piece;
    size_t length = 0;
    int more;

    if (!reader)
        return NULL;
    /* Each piece is text of its own, which the next call overwrites. */
    while ((more = libxl_xen_console_read_line(x->ctx, reader, &piece)) > 0) {
        size_t room = strlen(piece);
        char *longer = realloc(text, length + room + 1);

        if (!longer)
            break;
        text = longer;
        memcpy(text + length, piece, room + 1);
        length += room;
    }
    libxl_xen_console_read_finish(x->ctx, reader);
    if (more) {
        free(text);
        return NULL;
    }
    return text ? text : strdup("");
}

int xenith_debug_keys(struct xenith_ctx *x, const char *keys)
{
    /* libxl takes it without const and only reads it. */
    return libxl_send_debug_keys(x->ctx, (char *)keys);
}

char *xenith_understood(struct xenith_ctx *x, const char *json)
{
    libxl_domain_config config;
    char *text = NULL;

    libxl_domain_config_init(&config);
    if (!libxl_domain_config_from_json(x->ctx, &config, json))
        text = libxl_domain_config_to_json(x->ctx, &config);
    libxl_domain_config_dispose(&config);
    return text;
}

void xenith_free(char *text)
{
    free(text);
}
