//! TCP on this machine alone, over sockets of the Unix family: what is written is there at once, in order,
//! so that no timing of the system is seen.

use std::mem::{size_of, zeroed};

use libc::{c_int, c_void, sockaddr, sockaddr_in, sockaddr_un, socklen_t};

use crate::calls::{real, set_errno};
use crate::fds::{Socket, note};
use crate::world::{me, world};

fn socket_of(fd: c_int) -> Option<&'static mut Socket> {
    me()?;
    world().fds.socket(fd)
}

/// The address that stands for a port. Other processes have others.
fn place(port: u16) -> (sockaddr_un, socklen_t) {
    // SAFETY: all zeros is an address.
    let mut address: sockaddr_un = unsafe { zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let name = format!("\0serval-sim-{}-{port}", std::process::id());
    for (to, from) in address.sun_path.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    let length = size_of::<libc::sa_family_t>() + name.len();
    (address, length as socklen_t)
}

unsafe fn port_of(address: *const sockaddr) -> Option<u16> {
    let address = unsafe { &*address.cast::<sockaddr_in>() };
    (c_int::from(address.sin_family) == libc::AF_INET).then(|| u16::from_be(address.sin_port))
}

unsafe fn tell(port: u16, address: *mut sockaddr, length: *mut socklen_t) {
    if address.is_null() {
        return;
    }
    // SAFETY: all zeros is an address.
    let mut found: sockaddr_in = unsafe { zeroed() };
    found.sin_family = libc::AF_INET as libc::sa_family_t;
    found.sin_port = port.to_be();
    found.sin_addr.s_addr = u32::from_be_bytes([127, 0, 0, 1]).to_be();
    unsafe {
        *address.cast::<sockaddr_in>() = found;
        *length = size_of::<sockaddr_in>() as socklen_t;
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    type Make = unsafe extern "C" fn(c_int, c_int, c_int) -> c_int;
    let real = unsafe { real!(c"socket" as Make) };
    if me().is_none() || domain != libc::AF_INET {
        return unsafe { real(domain, kind, protocol) };
    }
    let fd = unsafe { real(libc::AF_UNIX, kind, 0) };
    note(fd, Some(Socket::default()));
    fd
}

type Address = unsafe extern "C" fn(c_int, *const sockaddr, socklen_t) -> c_int;

#[unsafe(no_mangle)]
unsafe extern "C" fn bind(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    let real = unsafe { real!(c"bind" as Address) };
    let Some(port) = socket_of(fd).and(unsafe { port_of(address) }) else {
        return unsafe { real(fd, address, length) };
    };
    let port = if port == 0 {
        world().fds.next_port()
    } else {
        port
    };
    if let Some(socket) = socket_of(fd) {
        socket.port = port;
    }
    let (place, length) = place(port);
    unsafe { real(fd, (&raw const place).cast(), length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn connect(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    let real = unsafe { real!(c"connect" as Address) };
    let Some(port) = socket_of(fd).and(unsafe { port_of(address) }) else {
        return unsafe { real(fd, address, length) };
    };
    let own = world().fds.next_port();
    if let Some(socket) = socket_of(fd) {
        *socket = Socket {
            port: own,
            peer: port,
        };
    }
    let (place, length) = place(port);
    unsafe { real(fd, (&raw const place).cast(), length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn accept4(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    type Accept = unsafe extern "C" fn(c_int, *mut sockaddr, *mut socklen_t, c_int) -> c_int;
    let real = unsafe { real!(c"accept4" as Accept) };
    let Some(listening) = socket_of(fd).copied() else {
        return unsafe { real(fd, address, length, flags) };
    };
    let accepted = unsafe { real(fd, std::ptr::null_mut(), std::ptr::null_mut(), flags) };
    if accepted >= 0 {
        let peer = world().fds.next_port();
        let socket = Socket {
            port: listening.port,
            peer,
        };
        note(accepted, Some(socket));
        unsafe { tell(peer, address, length) };
    }
    accepted
}

type Name = unsafe extern "C" fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int;

#[unsafe(no_mangle)]
unsafe extern "C" fn getsockname(fd: c_int, to: *mut sockaddr, length: *mut socklen_t) -> c_int {
    match socket_of(fd) {
        Some(socket) => unsafe { tell(socket.port, to, length) },
        None => return unsafe { real!(c"getsockname" as Name)(fd, to, length) },
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn getpeername(fd: c_int, to: *mut sockaddr, length: *mut socklen_t) -> c_int {
    match socket_of(fd).copied() {
        Some(socket) if socket.peer != 0 => unsafe { tell(socket.peer, to, length) },
        Some(_) => {
            set_errno(libc::ENOTCONN);
            return -1;
        }
        None => return unsafe { real!(c"getpeername" as Name)(fd, to, length) },
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: socklen_t,
) -> c_int {
    type Set = unsafe extern "C" fn(c_int, c_int, c_int, *const c_void, socklen_t) -> c_int;
    if level != libc::SOL_SOCKET && socket_of(fd).is_some() {
        return 0;
    }
    unsafe { real!(c"setsockopt" as Set)(fd, level, name, value, length) }
}
