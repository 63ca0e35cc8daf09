//! The memory that the connections of one process share, and its locks.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use libsqlite3_sys::{SQLITE_BUSY, SQLITE_OK, SQLITE_SHM_EXCLUSIVE, SQLITE_SHM_LOCK, sqlite3_file};

use crate::disk::Fault;
use crate::vfs::{file_of, open_of};
use crate::world::world;

/// The place of the lock that who writes to the log holds.
const WRITING: usize = 0;

pub(crate) unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    let path = format!("{}-shm", open_of(file).path);
    world().disk.open(&path);
    let shm = &mut file_of(file).shm;
    while shm.len() <= region as usize && extend != 0 {
        shm.push(vec![0; size as usize].into_boxed_slice());
    }
    let found = shm.get_mut(region as usize);
    unsafe { *out = found.map_or(null_mut(), |region| region.as_mut_ptr().cast()) };
    SQLITE_OK
}

pub(crate) unsafe extern "C" fn shm_lock(
    file: *mut sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    let open = open_of(file);
    let locks = &mut file_of(file).shm_locks;
    let places = first as usize..(first + count) as usize;
    let mask = |place: usize| 1_u8 << place;
    if flags & SQLITE_SHM_LOCK == 0 {
        for place in places {
            if open.exclusive & mask(place) != 0 {
                locks[place] = 0;
            } else if open.shared & mask(place) != 0 {
                locks[place] -= 1;
            }
            open.exclusive &= !mask(place);
            open.shared &= !mask(place);
        }
        return SQLITE_OK;
    }
    let is_exclusive = flags & SQLITE_SHM_EXCLUSIVE != 0;
    if is_exclusive && places.contains(&WRITING) && world().disk.fault == Fault::Held {
        return SQLITE_BUSY;
    }
    for place in places.clone() {
        let own = i32::from(open.shared & mask(place) != 0);
        let is_taken = if is_exclusive {
            locks[place] != own && open.exclusive & mask(place) == 0
        } else {
            locks[place] < 0 && open.exclusive & mask(place) == 0
        };
        if is_taken {
            return SQLITE_BUSY;
        }
    }
    for place in places {
        if is_exclusive {
            locks[place] = -1;
            open.exclusive |= mask(place);
        } else if open.shared & mask(place) == 0 {
            locks[place] += 1;
            open.shared |= mask(place);
        }
    }
    SQLITE_OK
}

pub(crate) unsafe extern "C" fn shm_barrier(_: *mut sqlite3_file) {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

pub(crate) unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, deletes: c_int) -> c_int {
    let open = open_of(file);
    if open.shared | open.exclusive != 0 {
        unsafe { shm_lock(file, 0, 8, 0) };
    }
    if deletes != 0 {
        world().disk.delete(&format!("{}-shm", open.path));
        file_of(file).forget_shm();
    }
    SQLITE_OK
}

