//! The disk as `SQLite` sees it: its default VFS.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::ptr::{null, null_mut};
use std::slice;

use libsqlite3_sys::{
    SQLITE_BUSY, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOCAP_POWERSAFE_OVERWRITE,
    SQLITE_IOERR_FSYNC, SQLITE_IOERR_SHORT_READ, SQLITE_IOERR_WRITE, SQLITE_LOCK_EXCLUSIVE,
    SQLITE_LOCK_NONE, SQLITE_LOCK_PENDING, SQLITE_LOCK_RESERVED, SQLITE_LOCK_SHARED,
    SQLITE_NOTFOUND, SQLITE_OK, SQLITE_OPEN_CREATE, SQLITE_OPEN_DELETEONCLOSE, 
     sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs,
    sqlite3_vfs_register,
};

use crate::disk::{Fault, File};
use crate::shm::{shm_barrier, shm_lock, shm_map, shm_unmap};
use crate::world::{Wait, block, disk_step, me, world};

/// Julian day of 1970 in milliseconds.
const EPOCH: i64 = 210_866_760_000_000;

#[repr(C)]
struct Handle {
    base: sqlite3_file,
    open: *mut Open,
}

/// One connection's view of a file.
pub(crate) struct Open {
    id: usize,
    pub(crate) path: String,
    goes_with_it: bool,
    lock: c_int,
    pub(crate) shared: u8,
    pub(crate) exclusive: u8,
}

pub(crate) fn open_of(file: *mut sqlite3_file) -> &'static mut Open {
    // SAFETY: `open` made it, and `close` ends it.
    unsafe { &mut *(*file.cast::<Handle>()).open }
}

pub(crate) fn file_of(file: *mut sqlite3_file) -> &'static mut File {
    world().disk.open(&open_of(file).path)
}

unsafe fn text(path: *const c_char) -> String {
    unsafe { CStr::from_ptr(path) }.to_string_lossy().into_owned()
}

unsafe extern "C" fn open(
    _vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
    let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let handle = file.cast::<Handle>();
    unsafe { (*handle).base.pMethods = null() };
    if me().is_none() {
        return SQLITE_CANTOPEN;
    }
    let path = if name.is_null() {
        std::env::temp_dir().join(format!("sim-{id}")).to_string_lossy().into_owned()
    } else {
        unsafe { text(name) }
    };
    let is_there = world().disk.exists(&path) || std::path::Path::new(&path).exists();
    if !is_there && flags & SQLITE_OPEN_CREATE == 0 {
        return SQLITE_CANTOPEN;
    }
    world().disk.open(&path);
    let open = Box::new(Open {
        id,
        path,
        goes_with_it: flags & SQLITE_OPEN_DELETEONCLOSE != 0,
        lock: SQLITE_LOCK_NONE,
        shared: 0,
        exclusive: 0,
    });
    unsafe {
        (*handle).open = Box::into_raw(open);
        (*handle).base.pMethods = &raw const METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    SQLITE_OK
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    unsafe { unlock(file, SQLITE_LOCK_NONE) };
    unsafe { shm_unmap(file, 0) };
    // SAFETY: made by `open`, and closed once.
    let open = unsafe { Box::from_raw((*file.cast::<Handle>()).open) };
    if open.goes_with_it {
        world().disk.delete(&open.path);
    }
    SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    into: *mut c_void,
    length: c_int,
    at: sqlite3_int64,
) -> c_int {
    let into = unsafe { slice::from_raw_parts_mut(into.cast::<u8>(), length as usize) };
    let data = &file_of(file).data;
    let rest = data.get(at as usize..).unwrap_or_default();
    let found = rest.len().min(into.len());
    into[..found].copy_from_slice(&rest[..found]);
    into[found..].fill(0);
    if found < into.len() {
        SQLITE_IOERR_SHORT_READ
    } else {
        SQLITE_OK
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    length: c_int,
    at: sqlite3_int64,
) -> c_int {
    disk_step();
    let from = unsafe { slice::from_raw_parts(from.cast::<u8>(), length as usize) };
    let fault = world().disk.fault;
    let found = file_of(file);
    let grows = at as usize + from.len() > found.data.len();
    match fault {
        Fault::Write => return SQLITE_IOERR_WRITE,
        Fault::Full if grows => return SQLITE_FULL,
        Fault::None | Fault::Full | Fault::Sync | Fault::Held => {}
    }
    found.write(at as usize, from);
    disk_step();
    SQLITE_OK
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    disk_step();
    file_of(file).resize(length as usize);
    SQLITE_OK
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    disk_step();
    let longest = world().disk.sync_time;
    if longest > 0 {
        let world = world();
        let until = world.now + world.dice.u64(0..longest);
        block(Wait::Time, Some(until));
    }
    if world().disk.fault == Fault::Sync {
        let world = world();
        world.disk.open(&open_of(file).path).fail_to_sync(&mut world.dice);
        return SQLITE_IOERR_FSYNC;
    }
    file_of(file).sync();
    disk_step();
    SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut sqlite3_int64) -> c_int {
    unsafe { *size = file_of(file).data.len() as sqlite3_int64 };
    SQLITE_OK
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    let open = open_of(file);
    let found = file_of(file);
    if open.lock >= level {
        return SQLITE_OK;
    }
    let is_taken = found.writer.is_some_and(|id| id != open.id);
    match level {
        SQLITE_LOCK_SHARED if is_taken && found.is_closed => return SQLITE_BUSY,
        SQLITE_LOCK_SHARED => found.sharers += 1,
        _ if is_taken => return SQLITE_BUSY,
        SQLITE_LOCK_EXCLUSIVE => {
            found.writer = Some(open.id);
            found.is_closed = true;
            if found.sharers > 1 {
                open.lock = SQLITE_LOCK_PENDING;
                return SQLITE_BUSY;
            }
        }
        _ => found.writer = Some(open.id),
    }
    open.lock = level;
    SQLITE_OK
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    let open = open_of(file);
    if open.lock <= level {
        return SQLITE_OK;
    }
    let found = file_of(file);
    if open.lock >= SQLITE_LOCK_RESERVED {
        found.writer = None;
        found.is_closed = false;
    }
    if level == SQLITE_LOCK_NONE {
        found.sharers = found.sharers.saturating_sub(1);
    }
    open.lock = level;
    SQLITE_OK
}

unsafe extern "C" fn check_reserved(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    unsafe { *out = c_int::from(file_of(file).writer.is_some()) };
    SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut sqlite3_file, _op: c_int, _: *mut c_void) -> c_int {
    SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut sqlite3_file) -> c_int {
    4096
}

unsafe extern "C" fn characteristics(_: *mut sqlite3_file) -> c_int {
    SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, path: *const c_char, _sync: c_int) -> c_int {
    disk_step();
    let path = unsafe { text(path) };
    world().disk.delete(&path);
    SQLITE_OK
}

unsafe extern "C" fn access(
    _: *mut sqlite3_vfs,
    path: *const c_char,
    _flags: c_int,
    out: *mut c_int,
) -> c_int {
    let path = unsafe { text(path) };
    unsafe { *out = c_int::from(world().disk.exists(&path)) };
    SQLITE_OK
}

unsafe extern "C" fn full_path(
    _: *mut sqlite3_vfs,
    path: *const c_char,
    length: c_int,
    out: *mut c_char,
) -> c_int {
    let path = unsafe { CStr::from_ptr(path) }.to_bytes_with_nul();
    if path.len() > length as usize {
        return SQLITE_CANTOPEN;
    }
    unsafe { std::ptr::copy_nonoverlapping(path.as_ptr().cast(), out, path.len()) };
    SQLITE_OK
}

unsafe extern "C" fn randomness(_: *mut sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
    let out = unsafe { slice::from_raw_parts_mut(out.cast::<u8>(), length as usize) };
    world().entropy.fill(out);
    length
}

unsafe extern "C" fn sleep(_: *mut sqlite3_vfs, micros: c_int) -> c_int {
    let until = world().now + u64::try_from(micros).unwrap_or(0) * 1000;
    block(Wait::Time, Some(until));
    micros
}

unsafe extern "C" fn current_time(_: *mut sqlite3_vfs, out: *mut sqlite3_int64) -> c_int {
    let wall = me().map_or(0, |me| world().wall(me));
    unsafe { *out = EPOCH + wall / 1_000_000 };
    SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}

/// Makes this disk the one of all connections that open from now on.
pub(crate) fn register() {
    let vfs = Box::new(sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<Handle>() as c_int,
        mxPathname: 1024,
        pNext: null_mut(),
        zName: c"simulated".as_ptr(),
        pAppData: null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_path),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: None,
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: Some(current_time),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    });
    // SAFETY: the VFS is never freed.
    let code = unsafe { sqlite3_vfs_register(Box::into_raw(vfs), 1) };
    assert_eq!(code, SQLITE_OK, "SQLite takes the simulated disk");
}
