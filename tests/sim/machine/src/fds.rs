//! Descriptors and their lives. A process that dies closes its descriptors; so does a life.

use std::collections::BTreeMap;

use libc::c_int;

use crate::calls::real;
use crate::world::{me, world};

/// A socket of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Socket {
    pub(crate) port: u16,
    pub(crate) peer: u16,
}

#[derive(Debug, Clone, Copy)]
struct Fd {
    life: usize,
    socket: Option<Socket>,
}

#[derive(Debug, Default)]
pub(crate) struct Fds {
    open: BTreeMap<c_int, Fd>,
    last_port: u16,
}

impl Fds {
    pub(crate) fn opened(&mut self, fd: c_int, life: usize, socket: Option<Socket>) {
        self.open.insert(fd, Fd { life, socket });
    }

    pub(crate) fn socket(&mut self, fd: c_int) -> Option<&mut Socket> {
        self.open.get_mut(&fd)?.socket.as_mut()
    }

    pub(crate) fn next_port(&mut self) -> u16 {
        self.last_port = self.last_port.max(20_000) + 1;
        self.last_port
    }

    pub(crate) fn close_all(&mut self, life: usize) {
        for (fd, _) in self.open.extract_if(.., |_, fd| fd.life == life) {
            real_close(fd);
        }
    }
}

fn real_close(fd: c_int) -> c_int {
    type Close = unsafe extern "C" fn(c_int) -> c_int;
    // SAFETY: closes a descriptor.
    unsafe { real!(c"close" as Close)(fd) }
}

/// Notes a new descriptor of this thread's life.
pub(crate) fn note(fd: c_int, socket: Option<Socket>) {
    if let Some(me) = me()
        && fd >= 0
    {
        let world = world();
        let life = world.slots[me].life;
        world.fds.opened(fd, life, socket);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close(fd: c_int) -> c_int {
    if me().is_some() {
        world().fds.open.remove(&fd);
    }
    real_close(fd)
}

/// Files: the locks of a process end with it.
#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const libc::c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    type Open = unsafe extern "C" fn(*const libc::c_char, c_int, libc::mode_t) -> c_int;
    let fd = unsafe { real!(c"open64" as Open)(path, flags, mode) };
    note(fd, None);
    fd
}
