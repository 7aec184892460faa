//! A network of hosts: one namespace each, and a bridge between them in a namespace of its own.
//! Links are cut on the bridge, where what is dropped vanishes without an answer, as in a real
//! outage.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::Uid;

use super::host::{Account, Host};
use super::postgres::which;
use super::run_dir::{prefix, run};

/// The bridge and the namespaces of its hosts; removed when dropped.
pub(crate) struct Network {
    bridge: Host,
    pub(crate) hosts: Vec<Host>,
}

impl Network {
    /// A network with these hosts, or why there can be none here.
    pub(crate) fn of(names: &[&str]) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !Uid::effective().is_root() {
            return Err("network namespaces need root".to_owned());
        }
        for tool in ["ip", "nft"] {
            which(tool).ok_or_else(|| format!("network namespaces need the program {tool}"))?;
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = |name: &str| Some(format!("{}-{count}-{name}", prefix()));
        let bridge = Host {
            name: "bridge".to_owned(),
            address: Ipv4Addr::LOCALHOST,
            namespace: namespace("bridge"),
        };
        let hosts = (1..).zip(names).map(|(number, name)| Host {
            name: (*name).to_owned(),
            address: Ipv4Addr::new(10, 77, 7, number),
            namespace: namespace(name),
        });
        // Made before the first command is run, so that what a failure leaves behind is dropped,
        // too.
        let network = Self {
            bridge,
            hosts: hosts.collect(),
        };
        network
            .build()
            .map_err(|error| format!("network namespaces do not work here: {error}"))?;
        Ok(network)
    }

    fn build(&self) -> std::io::Result<()> {
        let bridge = self.bridge.namespace.as_deref().unwrap_or_default();
        ip(&format!("netns add {bridge}"))?;
        ip(&format!("-n {bridge} link add br0 type bridge"))?;
        ip(&format!("-n {bridge} link set br0 up"))?;
        for host in &self.hosts {
            let (name, own) = (&host.name, host.namespace.as_deref().unwrap_or_default());
            ip(&format!("netns add {own}"))?;
            ip(&format!("-n {own} link set lo up"))?;
            ip(&format!(
                "link add eth0 netns {own} type veth peer name {name} netns {bridge}"
            ))?;
            ip(&format!("-n {bridge} link set {name} master br0 up"))?;
            ip(&format!("-n {own} addr add {}/24 dev eth0", host.address))?;
            ip(&format!("-n {own} link set eth0 up"))?;
        }
        self.nft("add table bridge cuts")?;
        self.nft("add chain bridge cuts links { type filter hook forward priority 0; }")
    }

    /// Nothing passes between the two any more.
    pub(crate) fn cut(&self, one: &str, other: &str) {
        self.cut_directions(&[(one, other), (other, one)]);
    }

    /// Nothing passes from the one to the other of each of these pairs, from the same moment on; the
    /// way back stays.
    pub(crate) fn cut_directions(&self, pairs: &[(&str, &str)]) {
        let rule = |(from, to): &(&str, &str)| {
            format!("add rule bridge cuts links iifname {from} oifname {to} drop")
        };
        let rules: Vec<_> = pairs.iter().map(rule).collect();
        self.nft(&rules.join("; ")).expect("a cut");
    }

    /// Nothing passes between this host and any other.
    pub(crate) fn isolate(&self, name: &str) {
        self.nft(&format!("add rule bridge cuts links iifname {name} drop"))
            .expect("a cut");
        self.nft(&format!("add rule bridge cuts links oifname {name} drop"))
            .expect("a cut");
    }

    /// All links are whole again.
    pub(crate) fn heal(&self) {
        self.nft("flush chain bridge cuts links")
            .expect("links healed");
    }

    fn nft(&self, rule: &str) -> std::io::Result<()> {
        run(self.bridge.command("nft", Account::Own).arg(rule)).map(drop)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in self.hosts.iter().chain([&self.bridge]) {
            let _ = ip(&format!(
                "netns delete {}",
                host.namespace.as_deref().unwrap_or_default()
            ));
        }
    }
}

fn ip(arguments: &str) -> std::io::Result<()> {
    run(Command::new("ip").args(arguments.split(' '))).map(drop)
}
