//! The server's processes, as /proc shows them: CPU time and resident memory.

use std::{
    collections::HashSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    time::Duration,
};

use gogochat_client::Target;
use rustix::param::{clock_ticks_per_second, page_size};

/// The processes of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pids: Vec<u32>,
}

impl Server {
    /// These processes; or, when none is named and the target is on this machine, those that own its port.
    pub(crate) fn find(pids: &[u32], target: &Target) -> Option<Self> {
        let pids = if pids.is_empty() {
            if !target.is_loopback() {
                return None;
            }
            owners(target)
        } else {
            pids.to_vec()
        };
        let server = Self { pids };
        (!server.pids.is_empty() && server.cpu().is_some()).then_some(server)
    }

    /// User and system time of all processes so far.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        self.pids.iter().map(|pid| cpu(&format!("/proc/{pid}/stat"))).sum()
    }

    /// Resident memory of all processes, in KiB.
    pub(crate) fn rss_kib(&self) -> Option<f64> {
        self.pids.iter().map(|pid| rss_kib(*pid)).sum()
    }
}

/// User and system time of this process so far.
pub(crate) fn own_cpu() -> Duration {
    cpu("/proc/self/stat").unwrap_or_default()
}

/// Fields 14 and 15 of proc_pid_stat(5). The second field is a name in parentheses that may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let text = fs::read_to_string(stat).ok()?;
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()? + ticks()?;
    Some(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
}

fn rss_kib(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((pages * page_size() as u64) as f64 / 1024.0)
}

/// Who listens on the target's port: by the socket's inode in /proc/net, then by who has that inode open.
fn owners(target: &Target) -> Vec<u32> {
    let sockets: HashSet<String> = ["tcp", "tcp6", "udp", "udp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/net/{table}")).ok())
        .flat_map(|table| listening(&table, target.port()))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| has_open(*pid, &sockets))
        .collect();
    pids.sort_unstable();
    pids
}

/// Inodes of sockets that are bound to a port of loopback or of every address and connected to nobody.
fn listening(table: &str, port: u16) -> Vec<u64> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (address, local_port) = fields.get(1)?.split_once(':')?;
            let (_, remote_port) = fields.get(2)?.split_once(':')?;
            let here = address_of(address).is_some_and(|ip| ip.is_loopback() || ip.is_unspecified());
            (here && u16::from_str_radix(local_port, 16).ok()? == port && remote_port == "0000")
                .then(|| fields.get(9)?.parse().ok())?
        })
        .collect()
}

/// /proc/net writes addresses as 32-bit words in the machine's byte order.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            let bytes: [u8; 16] = words.try_into().ok()?;
            Some(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

fn has_open(pid: u32, sockets: &HashSet<String>) -> bool {
    // Processes of others are not ours to look into: they are passed over.
    fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")).into_iter().flatten().flatten().any(|entry| {
        fs::read_link(entry.path()).is_ok_and(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn the_owner_of_a_port_is_found() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0")).unwrap();
        for port in [tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port()] {
            let target: Target = format!("http://127.0.0.1:{port}").parse().unwrap();
            assert_eq!(Server::find(&[], &target), Some(Server { pids: vec![std::process::id()] }));
        }
        assert_eq!(Server::find(&[u32::MAX], &"http://127.0.0.1:1".parse().unwrap()), None);
        assert_eq!(Server::find(&[], &"http://192.0.2.1:1".parse().unwrap()), None, "elsewhere");
    }

    #[test]
    fn cpu_time_and_memory_grow_with_use() {
        let own = Server { pids: vec![std::process::id()] };
        let (cpu, begin) = (own_cpu(), std::time::Instant::now());
        let mut spent = 0_u64;
        while own_cpu() - cpu < Duration::from_millis(30) {
            assert!(begin.elapsed() < Duration::from_secs(20));
            spent = std::hint::black_box(spent.wrapping_add(1));
        }
        assert!(own.cpu().unwrap() >= cpu + Duration::from_millis(30));
        let before = own.rss_kib().unwrap();
        let memory = std::hint::black_box(vec![1_u8; 32 << 20]);
        assert!(own.rss_kib().unwrap() > before + 30_000.0);
        drop(memory);
    }
}
