//! Addresses, and ranges of them, as they are written in a configuration.
//!
//! Invariant: an IPv4 address in its IPv6 form is an IPv4 address, in a range as well as in what is looked up.
//! Deliberately absent: zones of IPv6 addresses, names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address, or all that share its first bits (CIDR, RFC 4632).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpRange {
    addr: IpAddr,
    bits: u8,
}

impl IpRange {
    /// Reads `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`.
    pub fn parse(text: &str) -> Option<Self> {
        let (addr, bits) = match text.trim().split_once('/') {
            Some((addr, bits)) => (addr, Some(bits)),
            None => (text.trim(), None),
        };
        let addr: IpAddr = addr.parse().ok()?;
        let all: u8 = if addr.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => all,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|parsed| *parsed <= all && bits.bytes().all(|b| b.is_ascii_digit()))?,
        };
        Some(match (addr.to_canonical(), bits.checked_sub(96)) {
            (short @ IpAddr::V4(_), Some(bits)) if addr.is_ipv6() => Self { addr: short, bits },
            _ => Self { addr, bits },
        })
    }

    /// The ranges that go by a name: `loopback`, `private` (and on the same link), `cloudflare` (the addresses
    /// that its network speaks from, <https://www.cloudflare.com/ips/>), `none`.
    pub fn preset(name: &str) -> Option<&'static [Self]> {
        match name {
            "loopback" => Some(&LOOPBACK),
            "private" => Some(&PRIVATE),
            "cloudflare" => Some(&CLOUDFLARE),
            "none" => Some(&[]),
            _ => None,
        }
    }

    /// The IPv4 addresses that begin with the first `bits` bits of `addr`.
    pub const fn v4(addr: [u8; 4], bits: u8) -> Self {
        let [a, b, c, d] = addr;
        Self { addr: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
    }

    /// The IPv6 addresses that begin with the first `bits` bits, at most 32, of `start`.
    pub const fn v6(start: u32, bits: u8) -> Self {
        Self { addr: IpAddr::V6(Ipv6Addr::from_bits((start as u128) << 96)), bits }
    }

    /// Whether an address is in the range; an IPv4 address may come in its IPv6 form.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.addr, ip.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32u32.saturating_sub(self.bits.into());
                a.to_bits().checked_shr(shift) == b.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128u32.saturating_sub(self.bits.into());
                a.to_bits().checked_shr(shift) == b.to_bits().checked_shr(shift)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Whether all addresses of a family are in it.
    pub const fn is_whole(&self) -> bool {
        self.bits == 0
    }
}

const LOOPBACK: [IpRange; 2] =
    [IpRange::v4([127, 0, 0, 0], 8), IpRange { addr: IpAddr::V6(Ipv6Addr::LOCALHOST), bits: 128 }];

const PRIVATE: [IpRange; 6] = [
    IpRange::v4([10, 0, 0, 0], 8),
    IpRange::v4([172, 16, 0, 0], 12),
    IpRange::v4([192, 168, 0, 0], 16),
    IpRange::v4([169, 254, 0, 0], 16),
    IpRange::v6(0xfc00_0000, 7),
    IpRange::v6(0xfe80_0000, 10),
];

const CLOUDFLARE: [IpRange; 22] = [
    IpRange::v4([173, 245, 48, 0], 20),
    IpRange::v4([103, 21, 244, 0], 22),
    IpRange::v4([103, 22, 200, 0], 22),
    IpRange::v4([103, 31, 4, 0], 22),
    IpRange::v4([141, 101, 64, 0], 18),
    IpRange::v4([108, 162, 192, 0], 18),
    IpRange::v4([190, 93, 240, 0], 20),
    IpRange::v4([188, 114, 96, 0], 20),
    IpRange::v4([197, 234, 240, 0], 22),
    IpRange::v4([198, 41, 128, 0], 17),
    IpRange::v4([162, 158, 0, 0], 15),
    IpRange::v4([104, 16, 0, 0], 13),
    IpRange::v4([104, 24, 0, 0], 14),
    IpRange::v4([172, 64, 0, 0], 13),
    IpRange::v4([131, 0, 72, 0], 22),
    IpRange::v6(0x2400_cb00, 32),
    IpRange::v6(0x2606_4700, 32),
    IpRange::v6(0x2803_f800, 32),
    IpRange::v6(0x2405_b500, 32),
    IpRange::v6(0x2405_8100, 32),
    IpRange::v6(0x2a06_98c0, 29),
    IpRange::v6(0x2c0f_f248, 32),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_the_addresses_that_share_their_bits() {
        let table = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("160.79.104.0/21", "160.79.111.255", true),
            ("160.79.104.0/21", "160.79.112.0", false),
            ("160.79.104.0/21", "::ffff:160.79.105.1", true),
            ("10.1.2.3/8", "10.255.0.1", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
            ("::/0", "192.0.2.1", false),
            ("::1", "::1", true),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("::ffff:192.0.2.0/120", "192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "192.0.3.9", false),
        ];
        for (range, ip, inside) in table {
            let range = IpRange::parse(range).expect(range);
            assert_eq!(range.contains(ip.parse().expect(ip)), inside, "{range:?} {ip}");
            assert_eq!(range.is_whole(), range.bits == 0);
        }
        for text in [
            "",
            "localhost",
            "1.2.3",
            "1.2.3.4/33",
            "::1/129",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "1.2.3.4/-1",
            "::1%eth0",
        ] {
            assert_eq!(IpRange::parse(text), None, "{text}");
        }
    }

    #[test]
    fn presets_are_ranges_by_name() {
        let table = [
            ("loopback", "127.9.9.9", true),
            ("loopback", "::1", true),
            ("loopback", "::2", false),
            ("private", "10.0.0.1", true),
            ("private", "172.31.0.1", true),
            ("private", "172.32.0.1", false),
            ("private", "192.168.1.1", true),
            ("private", "fd00::1", true),
            ("private", "fe80::1", true),
            ("private", "100.64.0.1", false),
            ("private", "127.0.0.1", false),
            ("cloudflare", "104.16.0.1", true),
            ("cloudflare", "172.71.255.255", true),
            ("cloudflare", "172.72.0.0", false),
            ("cloudflare", "2606:4700::1111", true),
            ("cloudflare", "2a06:98c7:ffff::", true),
            ("cloudflare", "2a06:98c8::", false),
            ("none", "127.0.0.1", false),
        ];
        for (name, ip, inside) in table {
            let ip: IpAddr = ip.parse().expect(ip);
            let ranges = IpRange::preset(name).expect(name);
            assert_eq!(ranges.iter().any(|range| range.contains(ip)), inside, "{name} {ip}");
        }
        assert_eq!(IpRange::preset("Loopback"), None);
    }
}
