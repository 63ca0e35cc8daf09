//! Functions of the C library that the machine answers itself: futexes, `epoll_wait`, threads, clocks and
//! entropy.
//!
//! The standard library waits with `syscall(SYS_futex)`, so `syscall` is among them. Threads that are not of
//! the machine are passed on to the real functions.

use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use libc::{c_int, c_long, clockid_t, epoll_event, pthread_attr_t, pthread_t, size_t, timespec};

use crate::world::{Wait, block, door, enter, leave, me, world};

/// The address of the real function of this name.
pub(crate) fn find(known: &AtomicUsize, name: &CStr) -> usize {
    let mut at = known.load(Ordering::Relaxed);
    if at == 0 {
        // SAFETY: the name is a string that ends with a zero.
        at = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) } as usize;
        assert_ne!(at, 0, "the C library has {name:?}");
        known.store(at, Ordering::Relaxed);
    }
    at
}

/// The real function behind a name. Unsafe: the C library has to have it with this type.
macro_rules! real {
    ($name:literal as $type:ty) => {{
        static AT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        std::mem::transmute::<usize, $type>($crate::calls::find(&AT, $name))
    }};
}
pub(crate) use real;

type Syscall = unsafe extern "C" fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long;
type Start = extern "C" fn(*mut c_void) -> *mut c_void;

const NANOS: u64 = 1_000_000_000;

pub(crate) fn set_errno(errno: c_int) {
    // SAFETY: the place is this thread's own.
    unsafe { *libc::__errno_location() = errno };
}

/// A futex call of the machine itself.
pub(crate) fn real_futex(word: &AtomicU32, op: c_int, value: usize) {
    let op = op | libc::FUTEX_PRIVATE_FLAG;
    let real = unsafe { real!(c"syscall" as Syscall) };
    // SAFETY: the word outlives the call.
    unsafe { real(libc::SYS_futex, word.as_ptr() as usize, op as usize, value, 0, 0, 0) };
}

/// True if something can be read, or the other end is closed; of an `epoll`: if it has something to tell.
pub(crate) fn is_readable(fd: c_int) -> bool {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one element.
    unsafe { libc::poll(&raw mut poll, 1, 0) > 0 }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    if me().is_some() {
        if number == libc::SYS_futex
            && let Some(answer) = unsafe { futex(a, b, c, d) }
        {
            return answer;
        }
        if number == libc::SYS_getrandom {
            return unsafe { getrandom(a as *mut c_void, b, 0) } as c_long;
        }
    }
    let real = unsafe { real!(c"syscall" as Syscall) };
    unsafe { real(number, a, b, c, d, e, f) }
}

unsafe fn futex(address: usize, op: usize, value: usize, timeout: usize) -> Option<c_long> {
    let op = op as c_int & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    match op {
        libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET => {
            let word = unsafe { *(address as *const u32) };
            if word != value as u32 {
                set_errno(libc::EAGAIN);
                return Some(-1);
            }
            let timeout = timeout as *const timespec;
            let time = (!timeout.is_null()).then(|| nanos(unsafe { &*timeout }));
            let since = if op == libc::FUTEX_WAIT { world().now } else { 0 };
            let until = time.map(|time| since.saturating_add(time));
            if block(Wait::Futex(address), until) {
                set_errno(libc::ETIMEDOUT);
                return Some(-1);
            }
            Some(0)
        }
        libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET => {
            Some(world().wake(address, value as i32 as usize) as c_long)
        }
        _ => None,
    }
}

fn nanos(time: &timespec) -> u64 {
    (time.tv_sec as u64).saturating_mul(NANOS) + time.tv_nsec as u64
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_wait(
    epoll: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: c_int,
) -> c_int {
    type Wait_ = unsafe extern "C" fn(c_int, *mut epoll_event, c_int, c_int) -> c_int;
    let real = unsafe { real!(c"epoll_wait" as Wait_) };
    if me().is_none() {
        return unsafe { real(epoll, events, max, timeout) };
    }
    let until = u64::try_from(timeout).ok();
    let until = until.map(|millis| world().now + millis * 1_000_000);
    loop {
        let found = unsafe { real(epoll, events, max, 0) };
        let is_over = until.is_some_and(|until| until <= world().now);
        if found != 0 || is_over {
            return found;
        }
        block(Wait::Epoll(epoll), until);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, into: *mut timespec) -> c_int {
    type Get = unsafe extern "C" fn(clockid_t, *mut timespec) -> c_int;
    let Some(me) = me() else {
        return unsafe { real!(c"clock_gettime" as Get)(clock, into) };
    };
    let world = world();
    let nanos = match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => world.wall(me),
        _ => world.now.cast_signed(),
    };
    let nanos_each = NANOS.cast_signed();
    let time = timespec {
        tv_sec: nanos.div_euclid(nanos_each),
        tv_nsec: nanos.rem_euclid(nanos_each),
    };
    unsafe { *into = time };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    time: *const timespec,
    left: *mut timespec,
) -> c_int {
    type Sleep = unsafe extern "C" fn(clockid_t, c_int, *const timespec, *mut timespec) -> c_int;
    if me().is_none() {
        return unsafe { real!(c"clock_nanosleep" as Sleep)(clock, flags, time, left) };
    }
    let time = nanos(unsafe { &*time });
    let until = if flags & libc::TIMER_ABSTIME == 0 {
        world().now + time
    } else {
        time
    };
    block(Wait::Time, Some(until));
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nanosleep(time: *const timespec, left: *mut timespec) -> c_int {
    unsafe { clock_nanosleep(libc::CLOCK_MONOTONIC, 0, time, left) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(into: *mut c_void, length: size_t, _flags: u32) -> isize {
    // Outside of a machine everything is the same as well, so that nothing of a first use differs.
    let into = unsafe { std::slice::from_raw_parts_mut(into.cast::<u8>(), length) };
    if me().is_some() {
        world().entropy.fill(into);
    } else {
        into.fill(7);
    }
    length.cast_signed()
}

struct Starting {
    slot: usize,
    door: &'static AtomicU32,
    start: Start,
    argument: *mut c_void,
}

extern "C" fn first(starting: *mut c_void) -> *mut c_void {
    // SAFETY: made by `pthread_create` below, for this thread alone.
    let starting = unsafe { Box::from_raw(starting.cast::<Starting>()) };
    enter(starting.slot, starting.door);
    let result = (starting.start)(starting.argument);
    leave();
    result
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut pthread_t,
    attributes: *const pthread_attr_t,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    type Create = unsafe extern "C" fn(
        *mut pthread_t,
        *const pthread_attr_t,
        Start,
        *mut c_void,
    ) -> c_int;
    let real = unsafe { real!(c"pthread_create" as Create) };
    let Some(me) = me() else {
        return unsafe { real(thread, attributes, start, argument) };
    };
    let slot = world().add(me);
    let starting = Box::new(Starting {
        slot,
        door: door(slot),
        start,
        argument,
    });
    let starting = Box::into_raw(starting).cast();
    let code = unsafe { real(thread, attributes, first, starting) };
    let slot = &mut world().slots[slot];
    if code == 0 {
        slot.pthread = unsafe { *thread };
    } else {
        slot.wait = Wait::Gone;
    }
    code
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_join(thread: pthread_t, result: *mut *mut c_void) -> c_int {
    type Join = unsafe extern "C" fn(pthread_t, *mut *mut c_void) -> c_int;
    let runs = |thread| {
        let mut slots = world().slots.iter();
        slots.any(|slot| slot.pthread == thread && slot.wait != Wait::Gone)
    };
    while me().is_some() && runs(thread) {
        block(Wait::Join(thread), None);
    }
    unsafe { real!(c"pthread_join" as Join)(thread, result) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sched_yield() -> c_int {
    if me().is_some() {
        block(Wait::Turn, None);
    }
    0
}
