//! A network that is slow and loses packets: instead of by its bridge, hosts in namespaces are joined by
//! a switch of our own, which delays every frame and drops some. It needs no scheduler of the kernel.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::harness::host::{Host, in_namespace};

/// The switch; the hosts are without a network when this is dropped.
pub struct Lossy {
    is_over: Arc<AtomicBool>,
    switch: Option<JoinHandle<()>>,
}

impl Lossy {
    /// Takes the place of what joins the hosts: each way takes `delay`, and of 100 frames `loss` are
    /// lost.
    pub fn join(hosts: &[Host], delay: Duration, loss: f64) -> Self {
        let ports: Vec<File> = hosts.iter().map(port_of).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let switch = std::thread::spawn(move || switch(&ports, delay, loss, &until));
        Self {
            is_over,
            switch: Some(switch),
        }
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.switch.take().map(JoinHandle::join);
    }
}

/// Replaces the host's interface by one whose frames we get.
fn port_of(host: &Host) -> File {
    let namespace = host.namespace.as_deref().expect("a namespace");
    ip(&format!("-n {namespace} link delete eth0"));
    let port = in_namespace(namespace, || tap("eth0"));
    ip(&format!(
        "-n {namespace} addr add {}/24 dev eth0",
        host.address
    ));
    ip(&format!("-n {namespace} link set eth0 up"));
    port.expect("a TAP device")
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.expect("ip").success(), "ip {arguments}");
}

fn tap(name: &str) -> io::Result<File> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    // SAFETY: all zeroes is a valid value of this structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the kernel reads and writes no more than the structure.
    match unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF as _, &mut request) } {
        0 => {}
        _ => return Err(io::Error::last_os_error()),
    }
    fcntl(&device, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(io::Error::from)?;
    Ok(device)
}

/// A frame under way: when it arrives, from which port, and its bytes.
type UnderWay = (Instant, usize, Vec<u8>);

fn switch(ports: &[File], delay: Duration, loss: f64, is_over: &AtomicBool) {
    let mut under_way: VecDeque<UnderWay> = VecDeque::new();
    // Which port has sent from an address last.
    let mut learned: Vec<([u8; 6], usize)> = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut frame = [0; 2048];
    while !is_over.load(Ordering::Relaxed) {
        let next = under_way
            .front()
            .map(|(at, ..)| at.saturating_duration_since(Instant::now()));
        let wait = next.unwrap_or(IDLE).min(IDLE).as_millis() as u16;
        let mut ready: Vec<_> = ports
            .iter()
            .map(|port| PollFd::new(port.as_fd(), PollFlags::POLLIN))
            .collect();
        let _ = poll(&mut ready, PollTimeout::from(wait));
        for (from, mut port) in ports.iter().enumerate() {
            while let Ok(length) = port.read(&mut frame) {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                if (random >> 11) as f64 / (1_u64 << 53) as f64 * 100.0 >= loss {
                    under_way.push_back((Instant::now() + delay, from, frame[..length].to_vec()));
                }
            }
        }
        while under_way
            .front()
            .is_some_and(|(at, ..)| *at <= Instant::now())
        {
            let (_, from, frame) = under_way.pop_front().expect("the first");
            deliver(ports, &mut learned, from, &frame);
        }
    }
}

fn deliver(ports: &[File], learned: &mut Vec<([u8; 6], usize)>, from: usize, frame: &[u8]) {
    let (Some(to), Some(source)) = (frame.get(..6), frame.get(6..12)) else {
        return;
    };
    learned.retain(|(address, _)| address != source);
    learned.push((source.try_into().expect("six bytes"), from));
    let known = learned.iter().find(|(address, _)| address == to);
    for (number, mut port) in ports.iter().enumerate() {
        let is_for = known.is_none_or(|(_, it)| *it == number);
        if number != from && is_for {
            // A full queue loses frames, as networks do.
            let _ = port.write(frame);
        }
    }
}

/// At least so often the switch looks whether it is over.
const IDLE: Duration = Duration::from_millis(200);
