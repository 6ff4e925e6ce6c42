//! Ports for services that must be told one beforehand.
//!
//! A Java service takes seconds from being given a port to binding it. Meanwhile another process of this project must
//! not choose the same, so a port is leased: a lock file in the machine's temporary folder is held while the lease
//! lives.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

use anyhow::{Result, bail};

/// A free loopback port that no other lease on this machine has.
#[derive(Debug)]
pub struct PortLease {
    port: u16,
    /// Unlocked by the kernel when it is closed, so also when the tool is killed.
    _lock: File,
}

impl PortLease {
    /// Leases the first free port of `range`. Ranges below 32768 are safe from outgoing connections.
    ///
    /// # Errors
    /// Where none is free.
    pub fn from(range: RangeInclusive<u16>) -> Result<Self> {
        match range.clone().find_map(Self::take) {
            Some(lease) => Ok(lease),
            None => bail!("no port is free between {} and {}", range.start(), range.end()),
        }
    }

    /// Returns the number of the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn take(port: u16) -> Option<Self> {
        // A lock file of another user cannot be opened: then the port counts as taken.
        let lock = File::create(std::env::temp_dir().join(format!("driftless-port-{port}.lock"))).ok()?;
        lock.try_lock().ok()?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
        free.then_some(Self { port, _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_do_not_collide_and_end_with_their_holder() {
        let range = 21_750..=21_753;
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 21_750)).unwrap();
        let leases: Vec<PortLease> = (0..3).map(|_| PortLease::from(range.clone()).unwrap()).collect();
        let ports: Vec<u16> = leases.iter().map(PortLease::port).collect();
        assert_eq!(ports, [21_751, 21_752, 21_753]);
        let message = PortLease::from(range.clone()).unwrap_err().to_string();
        assert_eq!(message, "no port is free between 21750 and 21753");
        drop((leases, taken));
        assert!(PortLease::from(range).is_ok());
    }
}
