//! The socket at which metrics are told.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    net::SocketAddr,
    task::{Context, Poll, Waker},
};

use tokio::net::{TcpListener, TcpStream};

use crate::daemon::Daemon;

/// What is done where the socket cannot be had at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The change is refused.
    Refuse,
    /// It is tried again where only the address is missing: that of an interface of ours that is about to have it.
    AwaitAddress,
    /// It is tried again whatever the reason: the daemon starts or goes back, and tunnels do not wait for metrics.
    Wait,
}

/// The socket, if there is to be one.
#[derive(Default)]
pub(crate) struct Endpoint {
    wanted: Option<SocketAddr>,
    listener: Option<TcpListener>,
    /// Why there is no socket though there is to be one.
    problem: Option<String>,
    /// Whom to tell that there is another socket.
    waiting: Cell<Option<Waker>>,
}

impl Endpoint {
    /// Where there is to be a socket.
    pub(crate) const fn wanted(&self) -> Option<SocketAddr> {
        self.wanted
    }

    /// From now on the socket is there. After an error it is where it was.
    pub(crate) fn follow(&mut self, wanted: Option<SocketAddr>, patience: Patience) -> Result<(), String> {
        if wanted == self.wanted {
            return Ok(());
        }
        let listener = match wanted.map(|address| self.open(address)).transpose() {
            Ok(listener) => {
                self.problem = None;
                listener
            }
            Err((address, error)) => {
                let text = refusal(address, &error);
                let waits = match patience {
                    Patience::Refuse => false,
                    Patience::AwaitAddress => error.kind() == io::ErrorKind::AddrNotAvailable,
                    Patience::Wait => true,
                };
                if !waits {
                    return Err(text);
                }
                tracing::warn!("{text}; it is tried again each second");
                self.problem = Some(text);
                None
            }
        };
        if let (Some(address), Some(_)) = (wanted, &listener) {
            tracing::info!("metrics are told at {address}");
        }
        self.wanted = wanted;
        self.put(listener);
        Ok(())
    }

    /// Tries again where there is no socket yet; to be called about once a second.
    pub(crate) fn tick(&mut self) {
        let (Some(address), None) = (self.wanted, &self.listener) else {
            return;
        };
        match listen(address) {
            Ok(listener) => {
                tracing::info!("metrics are told at {address}");
                self.problem = None;
                self.put(Some(listener));
            }
            Err(error) => {
                let text = refusal(address, &error);
                if self.problem.as_ref() != Some(&text) {
                    tracing::warn!("{text}; it is tried again each second");
                    self.problem = Some(text);
                }
            }
        }
    }

    /// A socket at `address`. One of ours that is in its way, at all addresses and the same port for instance, makes
    /// room, and comes back where that was not the reason.
    fn open(&mut self, address: SocketAddr) -> Result<TcpListener, (SocketAddr, io::Error)> {
        let old = self.wanted.filter(|old| old.port() == address.port());
        match (listen(address), old) {
            (Err(error), Some(old)) if error.kind() == io::ErrorKind::AddrInUse => {
                let had = self.listener.take().is_some();
                let opened = listen(address);
                if opened.is_err() && had {
                    self.put(listen(old).ok());
                }
                opened
            }
            (opened, _) => opened,
        }
        .map_err(|error| (address, error))
    }

    fn put(&mut self, listener: Option<TcpListener>) {
        self.listener = listener;
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        self.waiting.set(Some(context.waker().clone()));
        match &self.listener {
            Some(listener) => listener
                .poll_accept(context)
                .map(|accepted| accepted.map(|(stream, _)| stream)),
            None => Poll::Pending,
        }
    }
}

/// Whoever comes next, at whatever socket there is by then.
pub(super) async fn accept(daemon: &RefCell<Daemon>) -> io::Result<TcpStream> {
    poll_fn(|context| daemon.borrow().metrics.poll_accept(context)).await
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn refusal(address: SocketAddr, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            let port = address.port();
            format!("it is in use (`ss -ltnp sport = :{port}` shows by whom); choose another port")
        }
        io::ErrorKind::AddrNotAvailable => "it is not an address of this host (`ip address`)".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need CAP_NET_BIND_SERVICE; choose another port".to_owned()
        }
        _ => error.to_string(),
    };
    format!("metrics cannot be told at {address}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_runtime(test: impl FnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _guard = runtime.enter();
        test();
    }

    fn taken() -> (std::net::TcpListener, SocketAddr) {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        (other, address)
    }

    fn free() -> SocketAddr {
        taken().1
    }

    fn is_open(address: SocketAddr) -> bool {
        std::net::TcpStream::connect(address).is_ok()
    }

    #[test]
    fn a_port_in_use_is_refused_and_what_was_there_stays() {
        in_runtime(|| {
            let mut endpoint = Endpoint::default();
            let first = free();
            endpoint.follow(Some(first), Patience::Refuse).unwrap();
            let (_other, address) = taken();
            let error = endpoint.follow(Some(address), Patience::Refuse).unwrap_err();
            assert!(
                error.contains("in use") && error.contains(&address.to_string()),
                "{error}"
            );
            assert_eq!(endpoint.wanted(), Some(first));
            assert!(is_open(first));
            endpoint.follow(None, Patience::Refuse).unwrap();
            assert!(!is_open(first));
        });
    }

    #[test]
    fn a_socket_of_ours_is_not_in_the_way_of_another() {
        in_runtime(|| {
            let mut endpoint = Endpoint::default();
            let first = free();
            let all = SocketAddr::from(([0, 0, 0, 0], first.port()));
            let second = SocketAddr::from(([127, 0, 0, 2], first.port()));
            for address in [first, all, second] {
                endpoint.follow(Some(address), Patience::Refuse).unwrap();
            }
            assert!(is_open(second) && !is_open(first));
            // Somebody else is in the way of the next: ours comes back.
            let _other = std::net::TcpListener::bind(first).unwrap();
            endpoint.follow(Some(all), Patience::Refuse).unwrap_err();
            assert_eq!(endpoint.wanted(), Some(second));
            assert!(is_open(second));
        });
    }

    #[test]
    fn what_may_come_is_waited_for() {
        in_runtime(|| {
            let mut endpoint = Endpoint::default();
            let (other, address) = taken();
            endpoint
                .follow(Some(address), Patience::AwaitAddress)
                .unwrap_err();
            endpoint.follow(Some(address), Patience::Wait).unwrap();
            endpoint.tick();
            assert!(endpoint.listener.is_none() && endpoint.problem.is_some());
            drop(other);
            endpoint.tick();
            assert!(endpoint.listener.is_some() && endpoint.problem.is_none());
            // Of a documentation network (RFC 5737).
            let elsewhere = "192.0.2.77:9273".parse().unwrap();
            let error = endpoint.follow(Some(elsewhere), Patience::Refuse).unwrap_err();
            assert!(error.contains("not an address of this host"), "{error}");
            endpoint.follow(Some(elsewhere), Patience::AwaitAddress).unwrap();
            assert_eq!(endpoint.wanted(), Some(elsewhere));
        });
    }
}
