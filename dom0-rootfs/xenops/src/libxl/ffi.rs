// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls into `shim.c`: integers and strings, nothing else crosses.
#![expect(unsafe_code, reason = "the one door to libxl")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use crate::hypervisor::{Button, Scheduling, ShutdownRequest};

/// `struct xenith_ctx`, opaque.
#[repr(C)]
struct RawCtx {
    _private: [u8; 0],
}

/// `xenith_wanted`.
type RawWanted = extern "C" fn(*mut c_void) -> c_int;

/// `XENITH_TIMED_OUT`.
const TIMED_OUT: c_int = 1;
/// `XENITH_STOPPED`.
const STOPPED: c_int = 2;

unsafe extern "C" {
    fn xenith_open(verbose: c_int) -> *mut RawCtx;
    fn xenith_close(x: *mut RawCtx);
    fn xenith_forget_error(x: *mut RawCtx);
    fn xenith_first_error(x: *const RawCtx) -> *const c_char;
    fn xenith_create(x: *mut RawCtx, json: *const c_char, domid: *mut u32) -> c_int;
    fn xenith_unpause(x: *mut RawCtx, domid: u32) -> c_int;
    fn xenith_pause(x: *mut RawCtx, domid: u32) -> c_int;
    fn xenith_shutdown(x: *mut RawCtx, domid: u32) -> c_int;
    fn xenith_reboot(x: *mut RawCtx, domid: u32) -> c_int;
    fn xenith_destroy(x: *mut RawCtx, domid: u32) -> c_int;
    fn xenith_take_apart(x: *mut RawCtx, domid: u32) -> c_int;
    fn xenith_disk_destroy(x: *mut RawCtx, domid: u32, vdev: *const c_char) -> c_int;
    fn xenith_cdrom_insert(x: *mut RawCtx, domid: u32, json: *const c_char) -> c_int;
    fn xenith_suspend(
        x: *mut RawCtx,
        domid: u32,
        fd: c_int,
        wanted: RawWanted,
        user: *mut c_void,
    ) -> c_int;
    fn xenith_resume(x: *mut RawCtx, domid: u32) -> c_int;
    fn xenith_restore(
        x: *mut RawCtx,
        json: *const c_char,
        fd: c_int,
        domid: *mut u32,
        wanted: RawWanted,
        user: *mut c_void,
    ) -> c_int;
    fn xenith_set_memory_target(x: *mut RawCtx, domid: u32, kib: u64) -> c_int;
    fn xenith_set_scheduling(x: *mut RawCtx, domid: u32, weight: c_int, cap: c_int) -> c_int;
    fn xenith_sysrq(x: *mut RawCtx, domid: u32, key: c_char) -> c_int;
    fn xenith_trigger(x: *mut RawCtx, domid: u32, name: *const c_char) -> c_int;
    fn xenith_dump_core(x: *mut RawCtx, domid: u32, file: *const c_char) -> c_int;
    fn xenith_set_vcpus(x: *mut RawCtx, domid: u32, count: c_int) -> c_int;
    fn xenith_exists(x: *mut RawCtx, domid: u32) -> c_int;
    fn xenith_domains(x: *mut RawCtx) -> *mut c_char;
    fn xenith_usage(x: *mut RawCtx) -> *mut c_char;
    fn xenith_physinfo(x: *mut RawCtx) -> *mut c_char;
    fn xenith_version(x: *mut RawCtx) -> *mut c_char;
    fn xenith_understood(x: *mut RawCtx, json: *const c_char) -> *mut c_char;
    fn xenith_console_ring(x: *mut RawCtx, clear: c_int) -> *mut c_char;
    fn xenith_debug_keys(x: *mut RawCtx, keys: *const c_char) -> c_int;
    fn xenith_free(text: *mut c_char);
}

/// Says whether a long operation is still wanted.
pub(crate) type Wanted<'a> = &'a mut dyn FnMut() -> bool;

/// Asks the [`Wanted`] that `user` points to.
extern "C" fn ask(user: *mut c_void) -> c_int {
    // SAFETY: whoever gave this function to the shim gave a pointer to a `Wanted` of its own with it, which
    // lives until the shim returns and which nobody else touches meanwhile.
    let wanted = unsafe { &mut *user.cast::<Wanted<'_>>() };
    c_int::from(wanted())
}

/// How writing a guest to a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saved {
    /// It is there, and its domain is suspended.
    Whole,
    /// The guest did not suspend in time.
    TimedOut,
    /// It was not wanted any more.
    Stopped,
}

/// A libxl context. One thread uses it at a time, any thread may.
#[derive(Debug)]
pub(crate) struct Ctx(NonNull<RawCtx>);

// SAFETY: the shim keeps no thread-local state and libxl contexts are not bound to the thread
// that made them (libxl.h, "contexts"); `&mut self` on every call keeps two threads apart.
unsafe impl Send for Ctx {}

impl Ctx {
    /// None if the hypervisor or xenstore cannot be reached; libxl has logged why.
    pub(crate) fn open(verbose: bool) -> Option<Ctx> {
        // SAFETY: takes no pointer; the result is null or a context that is ours to close.
        NonNull::new(unsafe { xenith_open(c_int::from(verbose)) }).map(Ctx)
    }

    /// Builds a domain from a configuration in JSON.
    pub(crate) fn create(&mut self, json: &CStr) -> Result<u32, String> {
        let mut domid = 0;
        // SAFETY: the context is alive (`self` owns it), `json` is NUL-terminated and only read,
        // and `domid` outlives the call.
        let rc = self.forgetting(|x| unsafe { xenith_create(x, json.as_ptr(), &mut domid) });
        self.check(rc).map(|_| domid)
    }

    pub(crate) fn unpause(&mut self, domid: u32) -> Result<(), String> {
        // SAFETY: the context is alive; the other argument is a number.
        let rc = self.forgetting(|x| unsafe { xenith_unpause(x, domid) });
        self.check(rc).map(drop)
    }

    pub(crate) fn pause(&mut self, domid: u32) -> Result<(), String> {
        // SAFETY: the context is alive; the other argument is a number.
        let rc = self.forgetting(|x| unsafe { xenith_pause(x, domid) });
        self.check(rc).map(drop)
    }

    pub(crate) fn ask(&mut self, domid: u32, how: ShutdownRequest) -> Result<(), String> {
        // SAFETY: the context is alive; the other argument is a number.
        let rc = self.forgetting(|x| unsafe {
            match how {
                ShutdownRequest::PowerOff => xenith_shutdown(x, domid),
                ShutdownRequest::Reboot => xenith_reboot(x, domid),
            }
        });
        self.check(rc).map(drop)
    }

    pub(crate) fn destroy(&mut self, domid: u32) -> Result<(), String> {
        // SAFETY: the context is alive; the other argument is a number.
        let rc = self.forgetting(|x| unsafe { xenith_destroy(x, domid) });
        self.check(rc).map(drop)
    }

    /// Has Xen take a domain apart, and nothing else; one that is not there is no error.
    pub(crate) fn take_apart(&mut self, domid: u32) -> Result<(), String> {
        // SAFETY: the context is alive; the other argument is a number.
        let rc = self.forgetting(|x| unsafe { xenith_take_apart(x, domid) });
        self.check(rc).map(drop)
    }

    /// Takes a disk that QEMU serves from a domain.
    pub(crate) fn destroy_disk(&mut self, domid: u32, vdev: &CStr) -> Result<(), String> {
        // SAFETY: the context is alive and `vdev` is NUL-terminated and only read.
        let rc = self.forgetting(|x| unsafe { xenith_disk_destroy(x, domid, vdev.as_ptr()) });
        self.check(rc).map(drop)
    }

    /// Changes what lies in an emulated CD drive, which `json` describes.
    pub(crate) fn change_medium(&mut self, domid: u32, json: &CStr) -> Result<(), String> {
        // SAFETY: the context is alive and `json` is NUL-terminated and only read.
        let rc = self.forgetting(|x| unsafe { xenith_cdrom_insert(x, domid, json.as_ptr()) });
        self.check(rc).map(drop)
    }

    /// Writes a guest to a file, as long as that is wanted.
    pub(crate) fn suspend(
        &mut self,
        domid: u32,
        image: BorrowedFd<'_>,
        mut wanted: Wanted<'_>,
    ) -> Result<Saved, String> {
        let user = (&raw mut wanted).cast();
        // SAFETY: the context is alive, the descriptor stays open during the call, and `user` points to what
        // `ask` expects, which outlives it.
        let rc =
            self.forgetting(|x| unsafe { xenith_suspend(x, domid, image.as_raw_fd(), ask, user) });
        self.check(rc).map(|rc| match rc {
            TIMED_OUT => Saved::TimedOut,
            STOPPED => Saved::Stopped,
            _ => Saved::Whole,
        })
    }

    pub(crate) fn resume(&mut self, domid: u32) -> Result<(), String> {
        // SAFETY: the context is alive; the other argument is a number.
        let rc = self.forgetting(|x| unsafe { xenith_resume(x, domid) });
        self.check(rc).map(drop)
    }

    /// Builds a domain from a configuration in JSON, with memory and state out of a file, as long as that is
    /// wanted; none if it was not any more.
    pub(crate) fn restore(
        &mut self,
        json: &CStr,
        image: BorrowedFd<'_>,
        mut wanted: Wanted<'_>,
    ) -> Result<Option<u32>, String> {
        let mut domid = 0;
        let user = (&raw mut wanted).cast();
        // SAFETY: the context is alive, `json` is NUL-terminated and only read, the descriptor
        // stays open during the call, and `user` points to what `ask` expects, which outlives it as `domid` does.
        let rc = self.forgetting(|x| unsafe {
            xenith_restore(x, json.as_ptr(), image.as_raw_fd(), &mut domid, ask, user)
        });
        self.check(rc).map(|rc| (rc != STOPPED).then_some(domid))
    }

    pub(crate) fn set_vcpus(&mut self, domid: u32, count: u32) -> Result<(), String> {
        let count = c_int::try_from(count).map_err(|error| error.to_string())?;
        // SAFETY: the context is alive; the other arguments are numbers.
        let rc = self.forgetting(|x| unsafe { xenith_set_vcpus(x, domid, count) });
        self.check(rc).map(drop)
    }

    pub(crate) fn set_memory_target(&mut self, domid: u32, kib: u64) -> Result<(), String> {
        // SAFETY: the context is alive; the other arguments are numbers.
        let rc = self.forgetting(|x| unsafe { xenith_set_memory_target(x, domid, kib) });
        self.check(rc).map(drop)
    }

    pub(crate) fn set_scheduling(
        &mut self,
        domid: u32,
        Scheduling { weight, cap }: Scheduling,
    ) -> Result<(), String> {
        let weight = weight.map_or(-1, c_int::from);
        let cap = cap.map_or(Ok(-1), c_int::try_from).map_err(|error| error.to_string())?;
        // SAFETY: the context is alive; the other arguments are numbers.
        let rc = self.forgetting(|x| unsafe { xenith_set_scheduling(x, domid, weight, cap) });
        self.check(rc).map(drop)
    }

    pub(crate) fn press(&mut self, domid: u32, button: Button) -> Result<(), String> {
        let name = match button {
            Button::SysRq(key) => {
                let key = u8::try_from(key).map_err(|error| error.to_string())?;
                let key = c_char::from_ne_bytes([key]);
                // SAFETY: the context is alive; the other arguments are numbers.
                let rc = self.forgetting(|x| unsafe { xenith_sysrq(x, domid, key) });
                return self.check(rc).map(drop);
            }
            Button::Power => c"power",
            Button::Sleep => c"sleep",
            Button::Nmi => c"nmi",
            Button::Init => c"init",
            Button::Reset => c"reset",
            Button::Wake => c"s3resume",
        };
        // SAFETY: the context is alive and the name is NUL-terminated and only read.
        let rc = self.forgetting(|x| unsafe { xenith_trigger(x, domid, name.as_ptr()) });
        self.check(rc).map(drop)
    }

    pub(crate) fn dump_core(&mut self, domid: u32, file: &CStr) -> Result<(), String> {
        // SAFETY: the context is alive and `file` is NUL-terminated and only read.
        let rc = self.forgetting(|x| unsafe { xenith_dump_core(x, domid, file.as_ptr()) });
        self.check(rc).map(drop)
    }

    pub(crate) fn exists(&mut self, domid: u32) -> Result<bool, String> {
        // SAFETY: the context is alive; the other argument is a number.
        let rc = self.forgetting(|x| unsafe { xenith_exists(x, domid) });
        self.check(rc).map(|found| found == 1)
    }

    /// `libxl_dominfo` of every domain, a JSON array.
    pub(crate) fn domains(&mut self) -> Result<String, String> {
        // SAFETY: the context is alive.
        let text = self.forgetting(|x| unsafe { xenith_domains(x) });
        self.text(text)
    }

    /// What CPUs and domains have used; the shim says in which words.
    pub(crate) fn usage(&mut self) -> Result<String, String> {
        // SAFETY: the context is alive.
        let text = self.forgetting(|x| unsafe { xenith_usage(x) });
        self.text(text)
    }

    pub(crate) fn physinfo(&mut self) -> Result<String, String> {
        // SAFETY: the context is alive.
        let text = self.forgetting(|x| unsafe { xenith_physinfo(x) });
        self.text(text)
    }

    pub(crate) fn version(&mut self) -> Result<String, String> {
        // SAFETY: the context is alive.
        let text = self.forgetting(|x| unsafe { xenith_version(x) });
        self.text(text)
    }

    /// What is in the ring of Xen's console.
    pub(crate) fn console_ring(&mut self, clear: bool) -> Result<String, String> {
        // SAFETY: the context is alive; the other argument is a number.
        let text = self.forgetting(|x| unsafe { xenith_console_ring(x, c_int::from(clear)) });
        self.text(text)
    }

    /// Presses keys of Xen's debug console.
    pub(crate) fn send_debug_keys(&mut self, keys: &CStr) -> Result<(), String> {
        // SAFETY: the context is alive and `keys` is NUL-terminated and only read.
        let rc = self.forgetting(|x| unsafe { xenith_debug_keys(x, keys.as_ptr()) });
        self.check(rc).map(drop)
    }

    /// A configuration as libxl understood it.
    pub(crate) fn understood(&mut self, json: &CStr) -> Result<String, String> {
        // SAFETY: the context is alive and `json` is NUL-terminated and only read.
        let text = self.forgetting(|x| unsafe { xenith_understood(x, json.as_ptr()) });
        self.text(text)
    }

    /// Makes one call, after which the first error is of this call.
    fn forgetting<T>(&mut self, call: impl FnOnce(*mut RawCtx) -> T) -> T {
        // SAFETY: the context is alive.
        unsafe { xenith_forget_error(self.0.as_ptr()) };
        call(self.0.as_ptr())
    }

    fn first_error(&self) -> String {
        // SAFETY: the context is alive; the text is NUL-terminated, part of the context, and
        // copied before anything can change it, for `self` is borrowed.
        let words = unsafe { CStr::from_ptr(xenith_first_error(self.0.as_ptr())) };
        words.to_string_lossy().into_owned()
    }

    fn check(&self, rc: c_int) -> Result<c_int, String> {
        match rc {
            0.. => Ok(rc),
            _ => match self.first_error() {
                words if words.is_empty() => Err(format!("libxl error {rc}")),
                words => Err(format!("{words} (libxl error {rc})")),
            },
        }
    }

    fn text(&self, text: *mut c_char) -> Result<String, String> {
        if text.is_null() {
            return Err(self.first_error());
        }
        // SAFETY: not null, so it is NUL-terminated text from malloc that is ours; it is copied,
        // then freed once.
        let copy = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        // SAFETY: see above; `text` is not used afterwards.
        unsafe { xenith_free(text) };
        Ok(copy)
    }
}

impl Drop for Ctx {
    fn drop(&mut self) {
        // SAFETY: the context is alive and nobody else has the pointer.
        unsafe { xenith_close(self.0.as_ptr()) };
    }
}

/// Text for the calls above; a NUL inside is refused.
pub(crate) fn c_text(text: String) -> Result<CString, String> {
    CString::new(text).map_err(|error| error.to_string())
}
