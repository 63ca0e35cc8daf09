//! The network between one replica and the servers: it can be slow, cut and mended.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// How the network is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct State {
    /// Nothing arrives. It is not lost: when the network is mended, it arrives, as what TCP sends again.
    is_cut: bool,
    delay: Duration,
    /// Number of times that all connections were reset.
    resets: u64,
    /// The next commit arrives, and all connections are reset before it is answered.
    loses_commit: bool,
    /// The connection that writes is silent. The others work.
    is_writer_cut: bool,
    /// No answer of a server arrives.
    is_mute: bool,
}

/// What only the connection that writes says.
const LOCK: &[u8] = b"pg_advisory_xact_lock";
/// Time in which a server commits.
const COMMIT: Duration = Duration::from_millis(100);

/// Where a chunk of bytes goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum To {
    Server,
    Client,
}

/// The way from one replica to each server.
pub(crate) struct Network {
    state: Arc<watch::Sender<State>>,
    ports: Vec<u16>,
}

impl Network {
    /// Opens a port for each server.
    pub(crate) async fn open(sockets: &[PathBuf]) -> Self {
        let state: Arc<watch::Sender<State>> = Arc::default();
        let mut ports = Vec::new();
        for socket in sockets {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            ports.push(listener.local_addr().unwrap().port());
            tokio::spawn(accept(listener, socket.clone(), Arc::clone(&state)));
        }
        Self { state, ports }
    }

    /// The URL of the database, with both servers.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> = (self.ports.iter())
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        format!("postgres://tests@{}/postgres", hosts.join(","))
    }

    /// Delays all that is sent, each way.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.is_cut = true);
    }

    /// Mends it. `resets`: the connections have ended meanwhile, and what was under way is lost.
    pub(crate) fn mend(&self, resets: bool) {
        self.state.send_modify(|state| {
            state.is_cut = false;
            state.is_writer_cut = false;
            state.resets += u64::from(resets);
        });
    }

    /// Cuts the connection that writes, and no other.
    pub(crate) fn cut_writer(&self) {
        self.state.send_modify(|state| state.is_writer_cut = true);
    }

    /// Resets all connections when the next commit has arrived, and before it is answered.
    pub(crate) fn lose_commit(&self) {
        self.state.send_modify(|state| state.loses_commit = true);
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, state: Arc<watch::Sender<State>>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(join(client, socket.clone(), Arc::clone(&state)));
    }
}

/// Serves one connection until either end closes it, or all are reset.
async fn join(client: TcpStream, socket: PathBuf, state: Arc<watch::Sender<State>>) {
    let resets = state.borrow().resets;
    let mut seen = state.subscribe();
    let is_reset = seen.wait_for(|state| state.resets != resets);
    let pump = async {
        drop(state.subscribe().wait_for(|state| !state.is_cut).await);
        client.set_nodelay(true)?;
        let server = UnixStream::connect(socket).await?;
        let (from_client, to_client) = split(client);
        let (from_server, to_server) = split(server);
        tokio::select! {
            ended = carry(from_client, to_server, To::Server, &state) => ended,
            ended = carry(from_server, to_client, To::Client, &state) => ended,
        }
    };
    tokio::select! {
        _ended = pump => {}
        _state = is_reset => {}
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut into: impl AsyncWrite + Unpin,
    to: To,
    state: &watch::Sender<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        let chunk = &buffer[..length];
        let delay = state.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        // Also an end does not arrive while the network is cut.
        let mut seen = state.subscribe();
        // A transaction begins with the lock, so the connection hangs there.
        let begins = chunk.windows(LOCK.len()).any(|word| word == LOCK);
        let is_silent = |state: &State| {
            state.is_cut || state.is_mute && to == To::Client || state.is_writer_cut && begins
        };
        drop(seen.wait_for(|state| !is_silent(state)).await);
        if length == 0 {
            return Ok(());
        }
        let loses = to == To::Server
            && chunk.windows(6).any(|word| word == b"COMMIT")
            && state.send_if_modified(|state| std::mem::take(&mut state.loses_commit));
        if loses {
            state.send_modify(|state| state.is_mute = true);
        }
        into.write_all(chunk).await?;
        if loses {
            tokio::time::sleep(COMMIT).await;
            state.send_modify(|state| {
                state.is_mute = false;
                state.resets += 1;
            });
        }
    }
}
