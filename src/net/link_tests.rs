//! Links against real sockets: split writes, ends, resets, refusals, budgets.

use std::net::{Shutdown, TcpListener, TcpStream as Peer};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::*;
use crate::sys::clock;

const PATIENCE: Duration = Duration::from_secs(60);
const LIMIT: usize = 1024 * 1024;

/// A link to a peer of the test's, and that peer.
fn pair(input_limit: usize) -> (Link, Peer) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let link = Link::connect(&Endpoint::Tcp(listener.local_addr().unwrap()), input_limit).unwrap();
    (link, listener.accept().unwrap().0)
}

/// Pumps until `found` gives something, without caring for events.
pub(super) fn until<T>(
    link: &mut Link,
    mut found: impl FnMut(&mut Link, Pumped) -> Option<T>,
) -> T {
    let begun = clock::monotonic();
    loop {
        let pumped = link.pump();
        if let Some(value) = found(link, pumped) {
            return value;
        }
        assert!(
            clock::monotonic().since(begun) < PATIENCE,
            "nothing came of it"
        );
        std::thread::yield_now();
    }
}

fn until_failed(link: &mut Link) -> io::ErrorKind {
    until(link, |_, pumped| match pumped.next {
        Next::Failed(error) => Some(error.kind()),
        _ => None,
    })
}

fn until_ended(link: &mut Link) {
    until(link, |_, pumped| {
        matches!(pumped.next, Next::Ended).then_some(())
    });
}

#[test]
fn a_body_follows_the_output() {
    let (mut link, mut peer) = pair(BUDGET);
    link.output.extend_from_slice(b"head ");
    link.body = Bytes::from(vec![b'y'; 3 * BUDGET]);
    let mut received = vec![0; 5 + 3 * BUDGET];
    std::thread::scope(|scope| {
        scope.spawn(|| peer.read_exact(&mut received).unwrap());
        let mut written = 0;
        until(&mut link, |link, pumped| {
            written += pumped.written;
            (link.unsent() == 0).then_some(())
        });
        assert_eq!(written, 5 + 3 * BUDGET);
    });
    assert!(received.starts_with(b"head yyyy") && received.ends_with(b"yyy"));
}

#[test]
fn connects_reports_it_and_moves_bytes_both_ways() {
    let (mut link, mut peer) = pair(LIMIT);
    assert!(link.is_connecting());
    link.output.extend_from_slice(b"hello");
    until(&mut link, |link, _| link.output.is_empty().then_some(()));
    assert!(!link.is_connecting());
    let mut received = [0; 5];
    peer.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"hello");
    for portion in b"split".chunks(1) {
        peer.write_all(portion).unwrap();
    }
    until(&mut link, |link, _| {
        (&link.input[..] == b"split").then_some(())
    });
    assert_eq!(link.pump().read, 0);
}

#[test]
fn the_end_of_the_other_half_leaves_ours_open() {
    let (mut link, mut peer) = pair(LIMIT);
    peer.write_all(b"last words").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    until_ended(&mut link);
    assert_eq!(&link.input[..], b"last words");
    link.output.extend_from_slice(b"answer");
    assert!(matches!(
        link.pump(),
        Pumped {
            written: 6,
            next: Next::Ended,
            ..
        }
    ));
    link.end_output().unwrap();
    let mut received = String::new();
    peer.read_to_string(&mut received).unwrap();
    assert_eq!(received, "answer");
}

#[test]
fn a_reset_is_a_failure() {
    let (mut link, peer) = pair(LIMIT);
    link.output.extend_from_slice(b"never read");
    until(&mut link, |link, _| link.output.is_empty().then_some(()));
    std::thread::yield_now();
    // Closed with unread bytes, TCP answers with a reset.
    peer.peek(&mut [0]).unwrap();
    drop(peer);
    assert_eq!(until_failed(&mut link), io::ErrorKind::ConnectionReset);
}

#[test]
fn what_was_sent_before_a_refusal_is_read_though_writing_fails() {
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let stream = Socket::Unix(UnixStream::from_std(ours));
    let mut link = Link::new(stream, State::Open { has_ended: false }, LIMIT);
    theirs.write_all(b"too many clients").unwrap();
    drop(theirs);
    link.output.extend_from_slice(b"query");
    let pumped = link.pump();
    assert!(
        matches!(pumped.next, Next::Failed(error) if error.kind() == io::ErrorKind::BrokenPipe)
    );
    assert_eq!(pumped.read, 16);
    assert_eq!(&link.input[..], b"too many clients");
}

#[test]
fn a_refused_connection_fails_at_the_first_pumps() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    // Over loopback the refusal may be known before connect returns.
    let refused = match Link::connect(&Endpoint::Tcp(address), LIMIT) {
        Ok(mut link) => until_failed(&mut link),
        Err(error) => error.kind(),
    };
    assert_eq!(refused, io::ErrorKind::ConnectionRefused);
}

#[test]
fn connects_to_unix_sockets_by_path_and_by_abstract_name() {
    let name = format!("pglookout-link-{}", std::process::id());
    let path = std::env::temp_dir().join(&name);
    let _ = std::fs::remove_file(&path);
    let by_path = UnixListener::bind(&path).unwrap();
    let by_name = UnixListener::bind_addr(&UnixAddr::from_abstract_name(&name).unwrap()).unwrap();
    let check = |endpoint, listener: &UnixListener| {
        let mut link = Link::connect(&endpoint, LIMIT).unwrap();
        listener.accept().unwrap().0.write_all(b"hello").unwrap();
        until_ended(&mut link);
        assert_eq!(&link.input[..], b"hello");
        link.set_keepalive(&KeepAlive::default()).unwrap();
    };
    check(Endpoint::Unix(path.clone()), &by_path);
    check(Endpoint::Abstract(name.into_bytes()), &by_name);
    std::fs::remove_file(&path).unwrap();
    assert!(Link::connect(&Endpoint::Unix(path), LIMIT).is_err());
    assert!(Link::connect(&Endpoint::Unix("x".repeat(200).into()), LIMIT).is_err());
}

#[test]
fn much_is_moved_in_portions() {
    let (mut link, mut peer) = pair(4 * BUDGET);
    let sender = std::thread::Builder::new().spawn(move || {
        peer.write_all(&vec![b'x'; 3 * BUDGET]).unwrap();
        let mut received = vec![0; 20 * BUDGET];
        peer.read_exact(&mut received).unwrap();
        peer
    });
    link.output.resize(20 * BUDGET, b'y');
    let mut unfinished = 0;
    until(&mut link, |link, pumped| {
        assert!(pumped.read <= BUDGET && pumped.written <= BUDGET);
        unfinished += u32::from(matches!(pumped.next, Next::Again));
        (link.input.len() == 3 * BUDGET && link.output.is_empty()).then_some(())
    });
    assert!(unfinished > 0);
    drop(sender.unwrap().join().unwrap());
    until_ended(&mut link);
}

#[test]
fn a_long_answer_reaches_one_who_has_ended_his_half() {
    let (mut link, mut peer) = pair(LIMIT);
    peer.shutdown(Shutdown::Write).unwrap();
    until_ended(&mut link);
    link.output.resize(BUDGET + 1, b'y');
    assert!(matches!(link.pump().next, Next::Again));
    until_ended(&mut link);
    link.end_output().unwrap();
    let mut received = Vec::new();
    peer.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), BUDGET + 1);
}

#[test]
fn a_full_input_reads_no_more_until_it_was_taken() {
    let (mut link, mut peer) = pair(4);
    peer.write_all(b"123456").unwrap();
    drop(peer);
    until(&mut link, |_, pumped| {
        matches!(pumped.next, Next::Full).then_some(())
    });
    assert_eq!(&link.input[..], b"1234");
    assert!(matches!(
        link.pump(),
        Pumped {
            read: 0,
            next: Next::Full,
            ..
        }
    ));
    link.input.advance(3);
    until_ended(&mut link);
    assert_eq!(&link.input[..], b"456");
}

#[test]
fn an_idle_link_holds_no_memory() {
    let (mut link, mut peer) = pair(LIMIT);
    peer.write_all(b"answer").unwrap();
    until(&mut link, |link, _| (link.input.len() == 6).then_some(()));
    link.tidy();
    assert_eq!(link.input.len(), 6);
    link.input.clear();
    link.tidy();
    assert_eq!((link.input.capacity(), link.output.capacity()), (0, 0));
}

#[test]
fn events_come_for_interests_registered_once() {
    let (mut link, mut peer) = pair(LIMIT);
    let mut poll = mio::Poll::new().unwrap();
    let mut events = mio::Events::with_capacity(4);
    let descriptor = link.as_fd().as_raw_fd();
    let both = Interest::READABLE | Interest::WRITABLE;
    poll.registry()
        .register(&mut SourceFd(&descriptor), Token(5), both)
        .unwrap();
    for word in ["one", "two", "three"] {
        peer.write_all(word.as_bytes()).unwrap();
        link.input.clear();
        while link.input != word.as_bytes() {
            poll.poll(&mut events, Some(PATIENCE)).unwrap();
            assert!(!events.is_empty());
            link.pump();
        }
    }
}

#[test]
fn a_connection_to_oneself_is_a_refused_one() {
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, getsockname, socket,
    };

    let socket = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    let anywhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
    bind(socket.as_raw_fd(), &SockaddrStorage::from(anywhere)).unwrap();
    let own: SockaddrStorage = getsockname(socket.as_raw_fd()).unwrap();
    connect(socket.as_raw_fd(), &own).unwrap();
    let stream = Peer::from(socket);
    stream.set_nonblocking(true).unwrap();
    let mut link = Link::new(
        Socket::Tcp(TcpStream::from_std(stream)),
        State::Connecting,
        LIMIT,
    );
    assert_eq!(until_failed(&mut link), io::ErrorKind::ConnectionRefused);
}
