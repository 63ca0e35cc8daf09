//! A network between a client and a server: what passes takes a time in each direction.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Listens on a free port and passes everything on to the port `to` of this machine, `delay` later. It lasts as long as
/// the process. Threads, since the timers of tokio count whole milliseconds.
pub(crate) fn pass_on(to: u16, delay: Duration) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, to));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            // The client sees that its connection ends.
            drop(connect(client, server, delay));
        }
    });
    Ok(port)
}

fn connect(client: TcpStream, server: SocketAddr, delay: Duration) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        thread::spawn(move || {
            // The end of either side ends both.
            drop(copy(&from, &to, delay));
            drop(to.shutdown(Shutdown::Both));
            drop(from.shutdown(Shutdown::Both));
        });
    }
    Ok(())
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, delay: Duration) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        thread::sleep(delay);
        to.write_all(&buffer[..n])?;
    }
}
